// SPDX-License-Identifier: MIT
/*
 * What firmware says of a device's place behind an IOMMU: which one (a fwnode, only
 * compared) and under which ids. Made by of/ and acpi/ before device_add(), so it is
 * there when the IOMMU itself is not yet; the device owns it. Source:
 * drivers/iommu/iommu.c (iommu_fwspec_*).
 */
#include "iommu/core.h"

#include "base/alloc.h"
#include "base/overflow.h"

int iommu_fwspec_init(struct device *dev, const void *fwnode)
{
	struct iommu_fwspec *fwspec = dev->fwspec;

	if (fwspec)
		return fwspec->iommu_fwnode == fwnode ? 0 : -EINVAL;
	fwspec = kzalloc(sizeof(*fwspec));
	if (!fwspec)
		return -ENOMEM;
	fwspec->iommu_fwnode = fwnode;
	dev->fwspec = fwspec;
	return 0;
}

int iommu_fwspec_add_ids(struct device *dev, const u32 *ids, u32 num_ids)
{
	struct iommu_fwspec *fwspec = dev->fwspec;
	size_t bytes;
	u32 total;

	if (!fwspec)
		return -EINVAL;
	if (check_add_overflow(fwspec->num_ids, num_ids, &total) ||
	    check_mul_overflow((size_t)total, sizeof(*ids), &bytes) ||
	    check_add_overflow(bytes, sizeof(*fwspec), &bytes))
		return -EINVAL;
	fwspec = krealloc(fwspec, bytes);
	if (!fwspec)
		return -ENOMEM;
	dev->fwspec = fwspec;
	for (u32 i = 0; i < num_ids; i++)
		fwspec->ids[fwspec->num_ids + i] = ids[i];
	fwspec->num_ids = total;
	return 0;
}

void iommu_fwspec_free(struct device *dev)
{
	kfree(dev->fwspec);
	dev->fwspec = NULL;
}
