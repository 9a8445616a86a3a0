// SPDX-License-Identifier: MIT
/*
 * Faults: read each recording register that has its F bit set, clear it, log it in the
 * kernel's words and tell the handler of the domain that the device is attached to. VT-d
 * specification 7.2 and 7.3.
 */
#define LOG_SUBSYSTEM "vtd"
#include "drivers/vtd/driver.h"
#include "pci/pci.h"

static u64 record_base(const struct vtd_iommu *vtd, unsigned index)
{
	return VTD_CAP_GET_FRO(vtd->cap) + 16 * (u64)index;
}

/* Calls the fault handler, if any, of the domain behind source id @sid. */
static void report(struct vtd_iommu *vtd, u16 sid, iova_t iova, int flags)
{
	struct device *dev = NULL;
	struct vtd_device *info;
	struct iommu_group *group;
	struct iommu_domain *domain;

	mutex_lock(&vtd->lock);
	list_for_each_entry(info, &vtd->devices, node) {
		if (PCI_DEVID(info->bus, info->devfn) == sid) {
			dev = get_device(info->dev);
			break;
		}
	}
	mutex_unlock(&vtd->lock);
	if (!dev)
		return;
	group = iommu_group_get(dev);
	domain = group ? iommu_get_domain_for_dev(dev) : NULL;
	if (domain && domain->cookie_type == IOMMU_COOKIE_FAULT_HANDLER)
		report_iommu_fault(domain, dev, iova, flags);
	iommu_group_put(group);
	put_device(dev);
}

static void handle_one(struct vtd_iommu *vtd, u64 lo, u64 hi)
{
	u16 sid = VTD_FRCD_HI_GET_SID(hi);
	u8 reason = VTD_FRCD_HI_GET_FR(hi);
	bool read = hi & VTD_FRCD_HI_T1;

	if (reason >= VTD_FR_IR_REQUEST_RESERVED && reason <= VTD_FR_IR_SID) {
		pr_warn("DMAR: [INTR-REMAP] Request device [%02x:%02x.%d] fault index "
			"0x%llx "
			"[fault reason 0x%02x]",
			sid >> 8, PCI_SLOT(sid), PCI_FUNC(sid),
			(unsigned long long)(lo >> 48), reason);
		return;
	}
	pr_warn("DMAR: [DMA %s NO_PASID] Request device [%02x:%02x.%d] fault addr 0x%llx "
		"[fault reason 0x%02x]",
		read ? "Read" : "Write", sid >> 8, PCI_SLOT(sid), PCI_FUNC(sid),
		(unsigned long long)(lo & VTD_FRCD_LO_FI), reason);
	report(vtd, sid, lo & VTD_FRCD_LO_FI,
	       read ? IOMMU_FAULT_READ : IOMMU_FAULT_WRITE);
}

void vtd_fault_handle(struct vtd_iommu *vtd)
{
	unsigned count = VTD_CAP_GET_NFR(vtd->cap);
	u32 fsts = vtd_rd32(vtd, VTD_FSTS);
	unsigned index = (fsts & VTD_FSTS_FRI_MASK) >> VTD_FSTS_FRI_SHIFT;

	if (!(fsts & VTD_FSTS_PPF))
		return;
	/* New faults may arrive meanwhile; what is left raises another event. */
	for (unsigned i = 0; i < 2 * count; i++, index++) {
		u64 base = record_base(vtd, index % count);
		u64 hi = vtd_rd64(vtd, base + 8), lo;

		if (!(hi & VTD_FRCD_HI_F))
			break;
		lo = vtd_rd64(vtd, base);
		vtd_wr32(vtd, base + 12, (u32)(VTD_FRCD_HI_F >> 32));
		handle_one(vtd, lo, hi);
	}
	vtd_wr32(vtd, VTD_FSTS, VTD_FSTS_PFO | VTD_FSTS_PRO);
}

/* What happened before we were here. */
void vtd_fault_clear(struct vtd_iommu *vtd)
{
	for (unsigned i = 0; i < VTD_CAP_GET_NFR(vtd->cap); i++)
		vtd_wr32(vtd, record_base(vtd, i) + 12, (u32)(VTD_FRCD_HI_F >> 32));
	vtd_wr32(vtd, VTD_FSTS, vtd_rd32(vtd, VTD_FSTS));
}
