// SPDX-License-Identifier: MIT
/*
 * Interrupt remapping: entry i of the table lets one device raise irq i. The message
 * names the entry of the first irq of an aligned block of 32 and has the rest in its
 * data (SHV), so several messages of one MSI capability differ in the low data bits
 * only, as they must. VT-d specification 5.1 and 9.9; source validation as in Linux's
 * drivers/iommu/intel/irq_remapping.c (set_msi_sid()).
 */
#define LOG_SUBSYSTEM "vtd"
#include <string.h>

#include "drivers/vtd/driver.h"
#include "pci/pci.h"

#define IRT_ENTRIES 65536U
#define IRT_SIZE    (IRT_ENTRIES * sizeof(struct vtd_irte))
#define IRT_ORDER   8	/* 1 MiB */
#define IRT_S	    0xf /* 2^(S + 1) entries */
#define SUBHANDLES  32U

_Static_assert(IRT_SIZE == PAGE_SIZE << IRT_ORDER, "the table fills its pages");
_Static_assert(HW_MAX_IRQS <= IRT_ENTRIES, "every irq has its entry");

static struct vtd_irte *irte_of(struct vtd_iommu *vtd, u32 irq)
{
	return (struct vtd_irte *)ram_ptr(&vtd->m->hw, vtd->irta, IRT_SIZE) + irq;
}

struct alias_walk {
	struct pci_dev *pdev;
	u16 alias;
	unsigned count, same_bus;
};

static int alias_one(struct pci_dev *pdev, u16 alias, void *data)
{
	struct alias_walk *walk = data;

	if (!walk->count || alias >> 8 == walk->alias >> 8)
		walk->same_bus++;
	walk->pdev = pdev;
	walk->alias = alias;
	walk->count++;
	return 0;
}

/* Who may use the entry: one source id, or a range of buses behind a bridge. */
static u64 irte_source(struct device *dev)
{
	const struct vtd_device *info = dev_iommu_priv_get(dev);
	struct alias_walk walk = {0};
	struct pci_dev *pdev;
	u8 bus;

	if (!dev_is_pci(dev)) {
		if (!info)
			return 0;
		return VTD_IRTE_SVT(VTD_SVT_SID) |
		       VTD_IRTE_SID(PCI_DEVID(info->bus, info->devfn));
	}
	pdev = to_pci_dev(dev);
	bus = pdev->bus->number;
	pci_for_each_dma_alias(pdev, alias_one, &walk);
	/* A conventional bus behind a bridge: all that can be told is the bus. */
	if (walk.alias >> 8 != walk.pdev->bus->number)
		return VTD_IRTE_SVT(VTD_SVT_BUS) |
		       VTD_IRTE_SID((walk.alias & 0xff00) | bus);
	if (walk.count >= 2 && walk.same_bus == walk.count)
		return VTD_IRTE_SVT(VTD_SVT_BUS) | VTD_IRTE_SID((unsigned)bus << 8 | bus);
	if (walk.pdev->bus->number != bus)
		return VTD_IRTE_SVT(VTD_SVT_SID) | VTD_IRTE_SID(walk.alias);
	return VTD_IRTE_SVT(VTD_SVT_SID) | VTD_IRTE_SID(pci_dev_id(pdev));
}

static int remap_map(struct irq_remap *remap, struct device *dev, u32 irq,
		     struct msi_msg *msg)
{
	struct vtd_iommu *vtd = container_of(remap, struct vtd_iommu, remap);
	u32 handle = irq & ~(SUBHANDLES - 1);
	struct vtd_irte *irte;

	if (irq >= IRT_ENTRIES)
		return -ENOSPC;
	mutex_lock(&vtd->lock);
	irte = irte_of(vtd, irq);
	/* Not present while the halves do not belong together. */
	__atomic_store_n(&irte->lo, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&irte->hi, irte_source(dev), __ATOMIC_RELEASE);
	__atomic_store_n(&irte->lo,
			 VTD_IRTE_P | VTD_IRTE_V(irq) | VTD_IRTE_DST_XAPIC(irq >> 8),
			 __ATOMIC_RELEASE);
	mutex_unlock(&vtd->lock);
	msg->address = MSI_WINDOW_BASE | VTD_MSI_ADDR_FORMAT | VTD_MSI_ADDR_SHV |
		       VTD_MSI_ADDR_HANDLE(handle);
	msg->data = irq & (SUBHANDLES - 1);
	return vtd_flush_iec(vtd, (int)irq);
}

static void remap_unmap(struct irq_remap *remap, struct device *dev, u32 irq)
{
	struct vtd_iommu *vtd = container_of(remap, struct vtd_iommu, remap);
	struct vtd_irte *irte;

	if (irq >= IRT_ENTRIES)
		return;
	mutex_lock(&vtd->lock);
	irte = irte_of(vtd, irq);
	__atomic_store_n(&irte->lo, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&irte->hi, 0, __ATOMIC_RELEASE);
	mutex_unlock(&vtd->lock);
	vtd_flush_iec(vtd, (int)irq);
}

/* kdump: devices of the old kernel may still send interrupts; let them go on. */
static void copy_old_table(struct vtd_iommu *vtd)
{
	u64 irta = vtd_rd64(vtd, VTD_IRTA);
	const void *old = ram_ptr(&vtd->m->hw, irta & VTD_IRTA_ADDR, IRT_SIZE);

	if ((irta & VTD_IRTA_S) != IRT_S || !old) {
		pr_err("%s: failed to copy the interrupt table of the old kernel",
		       vtd->name);
		return;
	}
	memcpy(irte_of(vtd, 0), old, IRT_SIZE);
}

int vtd_irq_remap_enable(struct vtd_iommu *vtd)
{
	int rc;

	/* Entries can only be invalidated through the queue. */
	if (!(vtd->ecap & VTD_ECAP_IR) || !vtd->qi)
		return -ENODEV;
	rc = ram_alloc_pages(vtd->m, IRT_ORDER, &vtd->irta);
	if (rc)
		return rc;
	if (vtd_rd32(vtd, VTD_GSTS) & VTD_GSTS_IRES) {
		if (vtd_is_kdump(vtd->m))
			copy_old_table(vtd);
		else
			rc = vtd_command(vtd, vtd->gcmd & ~VTD_GCMD_IRE, VTD_GSTS_IRES,
					 false);
	}
	vtd_wr64(vtd, VTD_IRTA, vtd->irta | IRT_S);
	if (!rc)
		rc = vtd_command(vtd, vtd->gcmd | VTD_GCMD_SIRTP, VTD_GSTS_IRTPS, true);
	if (!rc && !(vtd->cap & VTD_CAP_ESIRTPS))
		rc = vtd_flush_iec(vtd, -1);
	if (!rc)
		rc = vtd_command(vtd, vtd->gcmd | VTD_GCMD_IRE, VTD_GSTS_IRES, true);
	/* Messages in the old format would pass unchecked. */
	if (!rc)
		rc = vtd_command(vtd, vtd->gcmd & ~VTD_GCMD_CFI, VTD_GSTS_CFIS, false);
	if (rc)
		goto err_table;
	vtd->remap.map = remap_map;
	vtd->remap.unmap = remap_unmap;
	irq_remap_register(vtd->m, vtd->unit, &vtd->remap);
	return 0;

err_table:
	ram_free_pages(vtd->m, vtd->irta, IRT_ORDER);
	vtd->irta = 0;
	return rc;
}

void vtd_irq_remap_disable(struct vtd_iommu *vtd)
{
	if (!vtd->irta)
		return;
	irq_remap_unregister(vtd->m, vtd->unit);
	if (!(vtd->cap & VTD_CAP_ESIRTPS))
		vtd_flush_iec(vtd, -1);
	if (vtd_command(vtd, vtd->gcmd & ~VTD_GCMD_IRE, VTD_GSTS_IRES, false))
		pr_warn("%s: interrupt remapping stays on", vtd->name);
	ram_free_pages(vtd->m, vtd->irta, IRT_ORDER);
	vtd->irta = 0;
}
