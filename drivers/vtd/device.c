// SPDX-License-Identifier: MIT
/*
 * Devices behind an IOMMU: whose they are, what they can rely on, what is reserved for
 * them; and the struct iommu_ops. Source: Linux's drivers/iommu/intel/iommu.c.
 */
#define LOG_SUBSYSTEM "vtd"
#include <string.h>

#include "base/alloc.h"
#include "drivers/vtd/driver.h"
#include "moat/uapi/iommufd.h"
#include "pci/pci.h"

static bool in_scope(const struct vtd_iommu *vtd, struct device *dev)
{
	const struct hw *hw = &vtd->m->hw;

	if (vtd->params.in_scope)
		return vtd->params.in_scope(dev, vtd->params.data);
	if (vtd->params.fwnode)
		return dev->fwspec && dev->fwspec->iommu_fwnode == vtd->params.fwnode;
	return dev->hw_function >= 0 && (u32)dev->hw_function < hw->hdr->nr_functions &&
	       hw->functions[dev->hw_function].unit == (s16)vtd->unit;
}

struct lookup {
	struct device *dev;
	struct vtd_iommu *found;
};

static int lookup_one(struct iommu_device *iommu, void *data)
{
	struct lookup *lookup = data;
	struct vtd_iommu *vtd;

	if (iommu->ops != &vtd_iommu_ops)
		return 0;
	vtd = container_of(iommu, struct vtd_iommu, iommu);
	if (!in_scope(vtd, lookup->dev))
		return 0;
	lookup->found = vtd;
	return 1;
}

static struct iommu_device *vtd_probe_device(struct device *dev)
{
	struct lookup lookup = {.dev = dev};
	struct vtd_iommu *vtd;
	struct vtd_device *info;
	u16 sid;

	iommu_for_each_iommu_device(dev->machine, lookup_one, &lookup);
	vtd = lookup.found;
	if (!vtd)
		return ERR_PTR(-ENODEV);
	if (dev_is_pci(dev))
		sid = pci_dev_id(to_pci_dev(dev));
	else if (dev->fwspec && dev->fwspec->num_ids)
		sid = (u16)dev->fwspec->ids[0];
	else if (dev->hw_function >= 0)
		sid = dev->machine->hw.functions[dev->hw_function].requester_id;
	else
		return ERR_PTR(-ENODEV);
	info = kzalloc(sizeof(*info));
	if (!info)
		return ERR_PTR(-ENOMEM);
	info->dev = dev;
	info->vtd = vtd;
	info->bus = (u8)(sid >> 8);
	info->devfn = (u8)sid;
	INIT_LIST_HEAD(&info->link);
	dev_iommu_priv_set(dev, info);
	mutex_lock(&vtd->lock);
	list_add_tail(&info->node, &vtd->devices);
	mutex_unlock(&vtd->lock);
	return &vtd->iommu;
}

static void vtd_release_device(struct device *dev)
{
	struct vtd_device *info = dev_iommu_priv_get(dev);

	mutex_lock(&info->vtd->lock);
	list_del(&info->node);
	mutex_unlock(&info->vtd->lock);
	kfree(info);
}

static struct iommu_group *vtd_device_group(struct device *dev)
{
	return dev_is_pci(dev) ? pci_device_group(dev) : generic_device_group(dev);
}

static bool vtd_capable(struct device *dev, enum iommu_cap cap)
{
	const struct vtd_device *info = dev_iommu_priv_get(dev);

	switch (cap) {
	case IOMMU_CAP_CACHE_COHERENCY:
		return true;
	case IOMMU_CAP_DEFERRED_FLUSH:
		return true;
	case IOMMU_CAP_PRE_BOOT_PROTECTION:
		return info->vtd->params.platform_opt_in;
	case IOMMU_CAP_ENFORCE_CACHE_COHERENCY:
		return info->vtd->ecap & VTD_ECAP_SC;
	default:
		return false;
	}
}

static void *vtd_hw_info(struct device *dev, u32 *length, u32 *type)
{
	const struct vtd_device *info = dev_iommu_priv_get(dev);
	struct iommu_hw_info_vtd *vtd;

	if (*type != IOMMU_HW_INFO_TYPE_DEFAULT && *type != IOMMU_HW_INFO_TYPE_INTEL_VTD)
		return ERR_PTR(-EOPNOTSUPP);
	vtd = kzalloc(sizeof(*vtd));
	if (!vtd)
		return ERR_PTR(-ENOMEM);
	vtd->flags = 1; /* IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17: Linux always says so */
	vtd->cap_reg = info->vtd->cap;
	vtd->ecap_reg = info->vtd->ecap;
	*length = sizeof(*vtd);
	*type = IOMMU_HW_INFO_TYPE_INTEL_VTD;
	return vtd;
}

static int vtd_def_domain_type(struct device *dev)
{
	const struct vtd_device *info = dev_iommu_priv_get(dev);

	return info->vtd->ecap & VTD_ECAP_PT ? 0 : (int)IOMMU_DOMAIN_DMA;
}

static bool vtd_is_attach_deferred(struct device *dev)
{
	const struct vtd_device *info = dev_iommu_priv_get(dev);

	return info->vtd->pre_enabled && !info->domain;
}

/* --- reserved regions ------------------------------------------------------------- */

/* @name is the device itself or a bridge above it. */
static bool rmrr_applies(const char *name, struct device *dev)
{
	struct pci_dev *up;

	if (!strcmp(name, dev_name(dev)))
		return true;
	if (!dev_is_pci(dev))
		return false;
	for (up = pci_upstream_bridge(to_pci_dev(dev)); up;
	     up = pci_upstream_bridge(up)) {
		if (!strcmp(name, dev_name(&up->dev)))
			return true;
	}
	return false;
}

/* USB and display: firmware's own use ends when a driver takes the device. */
static bool rmrr_is_relaxable(struct device *dev)
{
	u32 class = dev_is_pci(dev) ? to_pci_dev(dev)->class : 0;

	return class >> 8 == 0x0c03 || class >> 16 == 0x03;
}

static void vtd_get_resv_regions(struct device *dev, struct list_head *list)
{
	const struct vtd_device *info = dev_iommu_priv_get(dev);
	const struct vtd_driver_params *params = &info->vtd->params;
	struct iommu_resv_region *region;

	for (unsigned i = 0; i < params->nr_rmrr; i++) {
		const struct vtd_rmrr *rmrr = &params->rmrr[i];

		if (!rmrr_applies(rmrr->device, dev))
			continue;
		region = iommu_alloc_resv_region(rmrr->base, rmrr->last - rmrr->base + 1,
						 IOMMU_READ | IOMMU_WRITE,
						 rmrr_is_relaxable(dev)
							 ? IOMMU_RESV_DIRECT_RELAXABLE
							 : IOMMU_RESV_DIRECT);
		if (!region)
			break;
		list_add_tail(&region->list, list);
	}
	region = iommu_alloc_resv_region(MSI_WINDOW_BASE,
					 MSI_WINDOW_LAST - MSI_WINDOW_BASE + 1, 0,
					 IOMMU_RESV_MSI);
	if (region)
		list_add_tail(&region->list, list);
}

const struct iommu_ops vtd_iommu_ops = {
	.name = "intel",
	.capable = vtd_capable,
	.hw_info = vtd_hw_info,
	.domain_alloc_paging_flags = vtd_domain_alloc_paging_flags,
	.domain_alloc_nested = vtd_domain_alloc_nested,
	.probe_device = vtd_probe_device,
	.release_device = vtd_release_device,
	.device_group = vtd_device_group,
	.get_resv_regions = vtd_get_resv_regions,
	.is_attach_deferred = vtd_is_attach_deferred,
	.def_domain_type = vtd_def_domain_type,
	.identity_domain = &vtd_identity_domain,
	.blocked_domain = &vtd_blocked_domain,
	.release_domain = &vtd_blocked_domain,
};
