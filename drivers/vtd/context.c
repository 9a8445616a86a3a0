// SPDX-License-Identifier: MIT
/*
 * Root and context tables: which domain each source id belongs to. A device has an
 * entry for its own id and for each alias that its DMA may carry. VT-d
 * specification 9.1 and 9.3; order of writes and invalidations as in Linux's
 * drivers/iommu/intel/iommu.c (domain_context_mapping_one(), domain_context_clear_one()).
 *
 * Tables are allocated before anything changes; setting and clearing cannot fail.
 */
#define LOG_SUBSYSTEM "vtd"
#include "base/alloc.h"
#include "base/bitmap.h"
#include "drivers/vtd/driver.h"
#include "pci/pci.h"

static struct vtd_context_entry *context_entry(struct vtd_iommu *vtd, u16 sid)
{
	phys_addr_t table = vtd->context[sid >> 8];

	if (!table)
		return NULL;
	return (struct vtd_context_entry *)ram_ptr(&vtd->m->hw, table, PAGE_SIZE) +
	       (sid & 0xff);
}

static bool context_copied(const struct vtd_iommu *vtd, u16 sid)
{
	return vtd->copied && test_bit(sid, vtd->copied);
}

static int context_table_alloc(struct vtd_iommu *vtd, u8 bus)
{
	struct vtd_root_entry *root = ram_ptr(&vtd->m->hw, vtd->root, PAGE_SIZE);
	int rc;

	if (vtd->context[bus])
		return 0;
	rc = ram_alloc_pages(vtd->m, 0, &vtd->context[bus]);
	if (rc)
		return rc;
	__atomic_store_n(&root[bus].lo, vtd->context[bus] | VTD_ROOT_P, __ATOMIC_RELEASE);
	return 0;
}

/* Calls @fn for each source id of the device. */
static int for_each_sid(struct vtd_device *info,
			int (*fn)(struct pci_dev *pdev, u16 sid, void *data), void *data)
{
	if (!dev_is_pci(info->dev))
		return fn(NULL, PCI_DEVID(info->bus, info->devfn), data);
	return pci_for_each_dma_alias(to_pci_dev(info->dev), fn, data);
}

static int alloc_one(struct pci_dev *pdev, u16 sid, void *data)
{
	return context_table_alloc(data, sid >> 8);
}

/* Makes the tables that the device's entries need. Return: 0, -ENOMEM. */
int vtd_context_alloc(struct vtd_device *info)
{
	guard(mutex)(&info->vtd->lock);
	return for_each_sid(info, alloc_one, info->vtd);
}

/* kdump: the old kernel's entry goes, with all that the unit may remember of it. */
static void copied_tear_down(struct vtd_iommu *vtd, struct vtd_context_entry *entry,
			     u16 sid)
{
	u16 did = VTD_CTX_GET_DID(entry->hi);

	if (!context_copied(vtd, sid))
		return;
	__atomic_store_n(&entry->lo, 0, __ATOMIC_RELEASE);
	entry->hi = 0;
	if (did < vtd_ndoms(vtd)) {
		vtd_flush_context(vtd, did, sid, VTD_GRAN_DEVICE);
		vtd_flush_iotlb(vtd, did, 0, 0, false, VTD_GRAN_DOMAIN);
	}
	__clear_bit(sid, vtd->copied);
}

struct context_value {
	struct vtd_iommu *vtd;
	u64 lo, hi;
	u16 did;
};

static int set_one(struct pci_dev *pdev, u16 sid, void *data)
{
	const struct context_value *value = data;
	struct vtd_iommu *vtd = value->vtd;
	struct vtd_context_entry *entry = context_entry(vtd, sid);

	if (WARN_ON(!entry))
		return 0;
	/* An alias that another member of the group has already set up. */
	if ((entry->lo & VTD_CTX_P) && !context_copied(vtd, sid))
		return 0;
	copied_tear_down(vtd, entry, sid);
	entry->hi = value->hi;
	__atomic_store_n(&entry->lo, value->lo | VTD_CTX_P, __ATOMIC_RELEASE);
	if (vtd->cap & VTD_CAP_CM) {
		/* Absent entries are cached under domain id 0. */
		vtd_flush_context(vtd, 0, sid, VTD_GRAN_DEVICE);
		vtd_flush_iotlb(vtd, value->did, 0, 0, false, VTD_GRAN_DOMAIN);
	} else {
		vtd_flush_write_buffer(vtd);
	}
	return 0;
}

void vtd_context_set_domain(struct vtd_device *info, u16 did)
{
	const struct pgtable *pt = &info->domain->pt;
	struct context_value value = {
		.vtd = info->vtd,
		.lo = pgtable_top(pt) | VTD_CTX_TT(VTD_TT_UNTRANSLATED),
		.hi = VTD_CTX_AW(pgtable_top_level(pt) - 1) | VTD_CTX_DID(did),
		.did = did,
	};

	guard(mutex)(&info->vtd->lock);
	for_each_sid(info, set_one, &value);
}

void vtd_context_set_pass_through(struct vtd_device *info)
{
	struct context_value value = {
		.vtd = info->vtd,
		.lo = VTD_CTX_TT(VTD_TT_PASS_THROUGH),
		.hi = VTD_CTX_AW(info->vtd->msagaw) | VTD_CTX_DID(VTD_DID_PASS_THROUGH),
		.did = VTD_DID_PASS_THROUGH,
	};

	guard(mutex)(&info->vtd->lock);
	for_each_sid(info, set_one, &value);
}

static int clear_one(struct pci_dev *pdev, u16 sid, void *data)
{
	struct vtd_iommu *vtd = data;
	struct vtd_context_entry *entry = context_entry(vtd, sid);
	u16 did;

	if (!entry || !(entry->lo & VTD_CTX_P))
		return 0;
	did = VTD_CTX_GET_DID(entry->hi);
	__atomic_store_n(&entry->lo, entry->lo & ~VTD_CTX_P, __ATOMIC_RELEASE);
	vtd_flush_context(vtd, did, sid, VTD_GRAN_DEVICE);
	vtd_flush_iotlb(vtd, did, 0, 0, false, VTD_GRAN_DOMAIN);
	entry->lo = 0;
	entry->hi = 0;
	if (vtd->copied)
		__clear_bit(sid, vtd->copied);
	return 0;
}

void vtd_context_clear(struct vtd_device *info)
{
	guard(mutex)(&info->vtd->lock);
	for_each_sid(info, clear_one, info->vtd);
}

/* --- kdump: tables of the kernel that crashed -------------------------------------- */

static int copy_bus(struct vtd_iommu *vtd, unsigned bus, phys_addr_t old_table)
{
	const struct vtd_context_entry *old = ram_ptr(&vtd->m->hw, old_table, PAGE_SIZE);
	int rc;

	if (!old)
		return -EINVAL;
	rc = context_table_alloc(vtd, (u8)bus);
	if (rc)
		return rc;
	for (unsigned devfn = 0; devfn < 256; devfn++) {
		struct vtd_context_entry entry = old[devfn];
		u16 did = VTD_CTX_GET_DID(entry.hi), sid = PCI_DEVID(bus, devfn);

		if (!(entry.lo & VTD_CTX_P))
			continue;
		/* Taken twice is fine: several devices share a domain. */
		if (did < vtd_ndoms(vtd)) {
			rc = xa_reserve(&vtd->domain_ids, did);
			if (rc && rc != -EBUSY)
				return rc;
		}
		*context_entry(vtd, sid) = entry;
		__set_bit(sid, vtd->copied);
	}
	return 0;
}

/**
 * vtd_context_copy_tables - go on with the tables that the unit is using.
 *
 * A bus whose table cannot be copied loses its entries, the others stay.
 *
 * Return: 0; -EINVAL: the unit is not in legacy mode or has no root table; -ENOMEM.
 */
int vtd_context_copy_tables(struct vtd_iommu *vtd)
{
	u64 rtaddr = vtd_rd64(vtd, VTD_RTADDR);
	const struct vtd_root_entry *root =
		ram_ptr(&vtd->m->hw, rtaddr & VTD_RTADDR_RTA, PAGE_SIZE);

	if ((rtaddr & VTD_RTADDR_TTM) != VTD_RTADDR_TTM_LEGACY ||
	    !(rtaddr & VTD_RTADDR_RTA) || !root)
		return -EINVAL;
	vtd->copied = kcalloc(BITS_TO_LONGS(65536), sizeof(*vtd->copied));
	if (!vtd->copied)
		return -ENOMEM;
	guard(mutex)(&vtd->lock);
	for (unsigned bus = 0; bus < 256; bus++) {
		if ((root[bus].lo & VTD_ROOT_P) &&
		    copy_bus(vtd, bus, root[bus].lo & VTD_ROOT_CTP))
			pr_err("%s: failed to copy context table for bus %u", vtd->name,
			       bus);
	}
	return 0;
}

void vtd_context_free_tables(struct vtd_iommu *vtd)
{
	for (unsigned bus = 0; bus < 256; bus++) {
		if (vtd->context[bus])
			ram_free_pages(vtd->m, vtd->context[bus], 0);
		vtd->context[bus] = 0;
	}
	kfree(vtd->copied);
	vtd->copied = NULL;
}
