// SPDX-License-Identifier: MIT
/*
 * Devices behind an IOMMU: whose they are, what they can rely on, what is reserved for
 * them; and the struct iommu_ops. Source: Linux's drivers/iommu/amd/iommu.c.
 */
#define LOG_SUBSYSTEM "amd"
#include "base/alloc.h"
#include "base/bitmap.h"
#include "drivers/amd/driver.h"
#include "moat/uapi/iommufd.h"
#include "pci/pci.h"

static bool in_scope(const struct amd_iommu *amd, struct device *dev)
{
	const struct hw *hw = &amd->m->hw;

	if (amd->params.in_scope)
		return amd->params.in_scope(dev, amd->params.data);
	return dev->hw_function >= 0 && (u32)dev->hw_function < hw->hdr->nr_functions &&
	       hw->functions[dev->hw_function].unit == (s16)amd->unit;
}

struct lookup {
	struct device *dev;
	struct amd_iommu *found;
};

static int lookup_one(struct iommu_device *iommu, void *data)
{
	struct lookup *lookup = data;
	struct amd_iommu *amd;

	if (iommu->ops != &amd_iommu_ops)
		return 0;
	amd = container_of(iommu, struct amd_iommu, iommu);
	if (!in_scope(amd, lookup->dev))
		return 0;
	lookup->found = amd;
	return 1;
}

static struct iommu_device *amd_probe_device(struct device *dev)
{
	struct lookup lookup = {.dev = dev};
	struct amd_iommu *amd;
	struct amd_device *info;
	u16 devid;

	iommu_for_each_iommu_device(dev->machine, lookup_one, &lookup);
	amd = lookup.found;
	if (!amd)
		return ERR_PTR(-ENODEV);
	if (dev_is_pci(dev))
		devid = pci_dev_id(to_pci_dev(dev));
	else if (dev->hw_function >= 0)
		devid = dev->machine->hw.functions[dev->hw_function].requester_id;
	else
		return ERR_PTR(-ENODEV);
	info = kzalloc(sizeof(*info));
	if (!info)
		return ERR_PTR(-ENOMEM);
	info->dev = dev;
	info->amd = amd;
	info->devid = devid;
	INIT_LIST_HEAD(&info->link);
	dev_iommu_priv_set(dev, info);
	mutex_lock(&amd->lock);
	list_add_tail(&info->node, &amd->devices);
	mutex_unlock(&amd->lock);
	return &amd->iommu;
}

static void amd_release_device(struct device *dev)
{
	struct amd_device *info = dev_iommu_priv_get(dev);

	/* What firmware wants mapped all the time goes on through identity. */
	WARN_ON(info->domain && info->domain->type != IOMMU_DOMAIN_IDENTITY);
	mutex_lock(&info->amd->lock);
	list_del(&info->node);
	mutex_unlock(&info->amd->lock);
	kfree(info);
}

static struct iommu_group *amd_device_group(struct device *dev)
{
	return dev_is_pci(dev) ? pci_device_group(dev) : generic_device_group(dev);
}

static bool amd_capable(struct device *dev, enum iommu_cap cap)
{
	const struct amd_device *info = dev_iommu_priv_get(dev);

	switch (cap) {
	case IOMMU_CAP_CACHE_COHERENCY:
	case IOMMU_CAP_ENFORCE_CACHE_COHERENCY:
		return true;
	case IOMMU_CAP_DEFERRED_FLUSH:
		return true;
	case IOMMU_CAP_PRE_BOOT_PROTECTION:
		return info->amd->params.remap_support;
	case IOMMU_CAP_DIRTY_TRACKING:
		return info->amd->efr & AMD_EFR_HD;
	default:
		return false;
	}
}

static void *amd_hw_info(struct device *dev, u32 *length, u32 *type)
{
	const struct amd_device *info = dev_iommu_priv_get(dev);
	struct iommu_hw_info_amd *hw;

	if (*type != IOMMU_HW_INFO_TYPE_DEFAULT && *type != IOMMU_HW_INFO_TYPE_AMD)
		return ERR_PTR(-EOPNOTSUPP);
	hw = kzalloc(sizeof(*hw));
	if (!hw)
		return ERR_PTR(-ENOMEM);
	hw->efr = info->amd->efr;
	hw->efr2 = info->amd->efr2;
	*length = sizeof(*hw);
	*type = IOMMU_HW_INFO_TYPE_AMD;
	return hw;
}

static int amd_def_domain_type(struct device *dev)
{
	if (dev_is_pci(dev) && to_pci_dev(dev)->untrusted)
		return (int)IOMMU_DOMAIN_DMA;
	return 0;
}

static bool amd_is_attach_deferred(struct device *dev)
{
	const struct amd_device *info = dev_iommu_priv_get(dev);

	return info->amd->deferred && test_bit(info->devid, info->amd->deferred);
}

/* Return: false when there is no memory. */
static bool reserve(struct list_head *list, phys_addr_t base, phys_addr_t last, int prot,
		    enum iommu_resv_type type)
{
	struct iommu_resv_region *region =
		iommu_alloc_resv_region(base, last - base + 1, prot, type);

	if (region)
		list_add_tail(&region->list, list);
	return region;
}

static void amd_get_resv_regions(struct device *dev, struct list_head *list)
{
	const struct amd_device *info = dev_iommu_priv_get(dev);
	const struct amd_driver_params *params = &info->amd->params;

	for (unsigned i = 0; i < params->nr_ivmd; i++) {
		const struct amd_ivmd *ivmd = &params->ivmd[i];
		int prot = (ivmd->read ? (int)IOMMU_READ : 0) |
			   (ivmd->write ? (int)IOMMU_WRITE : 0);

		if (info->devid < ivmd->first || info->devid > ivmd->last_id)
			continue;
		if (!reserve(list, ivmd->base, ivmd->last, prot,
			     ivmd->exclusion ? IOMMU_RESV_RESERVED : IOMMU_RESV_DIRECT))
			return;
	}
	if (!reserve(list, MSI_WINDOW_BASE, MSI_WINDOW_LAST, 0, IOMMU_RESV_MSI))
		return;
	if (!(info->amd->efr2 & AMD_EFR2_HT_RANGE_IGNORE))
		reserve(list, AMD_HT_RANGE_BASE, AMD_HT_RANGE_LAST, 0,
			IOMMU_RESV_RESERVED);
}

const struct iommu_ops amd_iommu_ops = {
	.name = "amd",
	.capable = amd_capable,
	.hw_info = amd_hw_info,
	.domain_alloc_paging_flags = amd_domain_alloc_paging_flags,
	.probe_device = amd_probe_device,
	.release_device = amd_release_device,
	.device_group = amd_device_group,
	.get_resv_regions = amd_get_resv_regions,
	.is_attach_deferred = amd_is_attach_deferred,
	.def_domain_type = amd_def_domain_type,
	.identity_domain = &amd_identity_domain,
	.blocked_domain = &amd_blocked_domain,
	.release_domain = &amd_blocked_domain,
};
