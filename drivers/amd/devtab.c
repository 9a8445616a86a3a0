// SPDX-License-Identifier: MIT
/*
 * The device table: which page tables each device id goes through. A device has an entry
 * for its own id and for each alias that its DMA may carry. Specification 2.2.2; what
 * entries hold as in Linux's drivers/iommu/amd/iommu.c (set_dte_entry(),
 * clear_dte_entry()).
 *
 * All entries exist from the start, so setting and clearing cannot fail. An entry
 * changes domains by way of one that blocks: its words do not change together.
 */
#define LOG_SUBSYSTEM "amd"
#include <string.h>

#include "base/alloc.h"
#include "base/bitmap.h"
#include "drivers/amd/driver.h"
#include "pci/pci.h"

static struct amd_dte *entry_of(struct amd_iommu *amd, u16 devid)
{
	return (struct amd_dte *)ram_ptr(&amd->m->hw, amd->devtab, AMD_DEVTAB_BYTES) +
	       devid;
}

/* Nobody's DMA passes, nor, once interrupts are remapped, anybody's interrupts. */
void amd_devtab_init(struct amd_iommu *amd)
{
	struct amd_dte *table = entry_of(amd, 0);

	for (u32 id = 0; id < 65536; id++)
		table[id].data[0] = AMD_DTE0_V | AMD_DTE0_TV;
}

struct id_walk {
	struct amd_device *info;
	int (*fn)(struct amd_device *, u16, void *);
	void *data;
};

static int walk_one(struct pci_dev *pdev, u16 alias, void *data)
{
	struct id_walk *walk = data;

	if (alias == walk->info->devid)
		return 0;
	return walk->fn(walk->info, alias, walk->data);
}

/* The device's own id first, then its aliases. */
int amd_for_each_id(struct amd_device *info, int (*fn)(struct amd_device *, u16, void *),
		    void *data)
{
	struct id_walk walk = {info, fn, data};
	int rc = fn(info, info->devid, data);

	if (rc || !dev_is_pci(info->dev))
		return rc;
	return pci_for_each_dma_alias(to_pci_dev(info->dev), walk_one, &walk);
}

struct entry_value {
	u64 data0, data1;
};

static int set_one(struct amd_device *info, u16 devid, void *data)
{
	struct amd_iommu *amd = info->amd;
	struct amd_dte *dte = entry_of(amd, devid);
	const struct entry_value *value = data;
	u16 old = dte->data[1] & AMD_DTE1_DOMAIN;

	__atomic_store_n(&dte->data[0], AMD_DTE0_V, __ATOMIC_RELEASE);
	amd_flush_dte(amd, devid);
	/* Also what is cached under an id that a crashed kernel gave out. */
	if (old)
		amd_flush_domain(amd, old);
	__atomic_store_n(&dte->data[1], value->data1, __ATOMIC_RELEASE);
	dte->data[3] = 0;
	if (value->data0 == AMD_DTE0_V)
		return 0;
	__atomic_store_n(&dte->data[0], value->data0, __ATOMIC_RELEASE);
	amd_flush_dte(amd, devid);
	return 0;
}

static u64 paging_word(const struct amd_domain *domain, phys_addr_t top, unsigned level)
{
	return AMD_DTE0_V | AMD_DTE0_TV | AMD_DTE0_IR | AMD_DTE0_IW |
	       AMD_DTE0_MODE(level + 1) | (domain->dirty_tracking ? AMD_DTE0_HAD : 0) |
	       (top & AMD_DTE0_ROOT);
}

void amd_devtab_set_paging(struct amd_device *info, struct amd_domain *domain,
			   phys_addr_t top, unsigned level)
{
	struct entry_value value = {paging_word(domain, top, level), domain->id};

	guard(mutex)(&info->amd->lock);
	amd_for_each_id(info, set_one, &value);
}

void amd_devtab_set_identity(struct amd_device *info)
{
	struct entry_value value = {AMD_DTE0_V | AMD_DTE0_TV | AMD_DTE0_IR | AMD_DTE0_IW,
				    info->amd->common->identity_id};

	guard(mutex)(&info->amd->lock);
	amd_for_each_id(info, set_one, &value);
}

static int is_id(struct amd_device *info, u16 devid, void *data)
{
	return devid == *(u16 *)data;
}

/* Does the DMA of another device, which has a domain, carry @devid too? */
static bool in_use(struct amd_device *info, u16 devid)
{
	struct amd_device *other;

	list_for_each_entry(other, &info->amd->devices, node) {
		/* They share a group then, whose mutex protects the domain. */
		if (other != info && amd_for_each_id(other, is_id, &devid) &&
		    other->domain)
			return true;
	}
	return false;
}

static int block_one(struct amd_device *info, u16 devid, void *data)
{
	return in_use(info, devid) ? 0 : set_one(info, devid, data);
}

/* An id that other members of the group use blocks when the last of them does. */
void amd_devtab_block(struct amd_device *info)
{
	struct entry_value value = {AMD_DTE0_V, 0};

	guard(mutex)(&info->amd->lock);
	amd_for_each_id(info, block_one, &value);
}

static int update_one(struct amd_device *info, u16 devid, void *data)
{
	const struct entry_value *value = data;

	__atomic_store_n(&entry_of(info->amd, devid)->data[0], value->data0,
			 __ATOMIC_RELEASE);
	amd_flush_dte(info->amd, devid);
	return 0;
}

void amd_devtab_update(struct amd_device *info, struct amd_domain *domain,
		       phys_addr_t top, unsigned level)
{
	struct entry_value value = {paging_word(domain, top, level), domain->id};

	guard(mutex)(&info->amd->lock);
	amd_for_each_id(info, update_one, &value);
}

/* @table 0: interrupts of @devid are refused. Context: amd->lock held. */
void amd_devtab_set_irq(struct amd_iommu *amd, u16 devid, phys_addr_t table)
{
	u64 word = AMD_DTE2_IV | AMD_DTE2_CTL(AMD_INTCTL_ABORT);

	lockdep_assert_held(&amd->lock);
	if (table)
		word = AMD_DTE2_IV | AMD_DTE2_CTL(AMD_INTCTL_REMAP) |
		       AMD_DTE2_LEN(AMD_IRTE_LG2) | (table & AMD_DTE2_TABLE);
	__atomic_store_n(&entry_of(amd, devid)->data[2], word, __ATOMIC_RELEASE);
	amd_flush_dte(amd, devid);
}

/* --- kdump: the table of the kernel that crashed ------------------------------------ */

bool amd_devtab_usable(struct machine *m, u32 unit)
{
	u64 base = unit_mmio_read(&m->hw, unit, AMD_DEVTAB_BASE, 8);

	return (unit_mmio_read(&m->hw, unit, AMD_CONTROL, 8) & AMD_CTRL_IOMMU_EN) &&
	       ((base & AMD_DEVTAB_SIZE) + 1) * PAGE_SIZE == AMD_DEVTAB_BYTES &&
	       ram_ptr(&m->hw, base & AMD_DEVTAB_ADDR, AMD_DEVTAB_BYTES);
}

/**
 * amd_devtab_copy - go on with the entries that the unit is using.
 *
 * Domain ids in use are taken; several devices share one, so taken twice is fine.
 *
 * Return: 0, -ENOMEM.
 */
int amd_devtab_copy(struct amd_iommu *amd)
{
	u64 base = amd_rd(amd, AMD_DEVTAB_BASE) & AMD_DEVTAB_ADDR;
	const struct amd_dte *old = ram_ptr(&amd->m->hw, base, AMD_DEVTAB_BYTES);
	struct amd_dte *table = entry_of(amd, 0);

	if (!old)
		return -ENOMEM;
	amd->deferred = kcalloc(BITS_TO_LONGS(65536), sizeof(*amd->deferred));
	if (!amd->deferred)
		return -ENOMEM;
	bitmap_fill(amd->deferred, 65536);
	memcpy(table, old, AMD_DEVTAB_BYTES);
	guard(mutex)(&amd->common->lock);
	for (u32 id = 0; id < 65536; id++) {
		u16 domain = table[id].data[1] & AMD_DTE1_DOMAIN;
		int rc = 0;

		if ((table[id].data[0] & AMD_DTE0_V) && domain)
			rc = xa_reserve(&amd->common->ids, domain);
		if (rc && rc != -EBUSY)
			return rc;
	}
	return 0;
}
