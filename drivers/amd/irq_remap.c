// SPDX-License-Identifier: MIT
/*
 * Interrupt remapping: each device has a table of 512 entries, which it shares with those
 * whose messages carry the same id (an alias). The message's data is the index. Where it
 * can be, the index is the irq modulo 512, so that several messages of one MSI
 * capability differ in the low data bits only, as they must. Specification 2.2.5; as in
 * Linux's drivers/iommu/amd/iommu.c (alloc_irq_table(), modify_irte()).
 */
#define LOG_SUBSYSTEM "amd"
#include <string.h>

#include "base/alloc.h"
#include "base/bitmap.h"
#include "drivers/amd/driver.h"
#include "pci/pci.h"

/* A page has room for entries of 32 bits; those of 128 take two. */
static unsigned table_order(const struct amd_iommu *amd)
{
	return amd->ga ? 1 : 0;
}

static int find_table(struct amd_device *info, u16 devid, void *data)
{
	struct amd_irq_table **out = data;

	*out = xa_load(&info->amd->irq_tables, devid);
	return *out ? 1 : 0;
}

static int use_table(struct amd_device *info, u16 devid, void *data)
{
	struct amd_irq_table *table = data;
	int rc;

	if (xa_load(&info->amd->irq_tables, devid))
		return 0;
	rc = xa_insert(&info->amd->irq_tables, devid, table);
	if (rc)
		return rc;
	table->users++;
	amd_devtab_set_irq(info->amd, devid, table->phys);
	return 0;
}

static void free_table(struct amd_iommu *amd, struct amd_irq_table *table)
{
	ram_free_pages(amd->m, table->phys, table_order(amd));
	kfree(table);
}

/* The table of a device, made if need be. Context: amd->lock. */
static struct amd_irq_table *get_table(struct amd_device *info)
{
	struct amd_iommu *amd = info->amd;
	struct amd_irq_table *table = NULL;
	int rc;

	amd_for_each_id(info, find_table, &table);
	if (!table) {
		table = kzalloc(sizeof(*table));
		if (!table)
			return ERR_PTR(-ENOMEM);
		rc = ram_alloc_pages(amd->m, table_order(amd), &table->phys);
		if (rc) {
			kfree(table);
			return ERR_PTR(rc);
		}
	}
	rc = amd_for_each_id(info, use_table, table);
	if (!rc)
		return table;
	/* One that an id has already stays with it. */
	if (!table->users)
		free_table(amd, table);
	return ERR_PTR(rc);
}

static void write_entry(struct amd_iommu *amd, struct amd_irq_table *table, u32 index,
			u32 irq, bool on)
{
	u8 dest = (u8)(irq >> 8), vector = (u8)irq;

	if (amd->ga) {
		struct amd_irte_ga *irte =
			(struct amd_irte_ga *)ram_ptr(&amd->m->hw, table->phys,
						      2 * PAGE_SIZE) +
			index;

		/* Not enabled while the halves do not belong together. */
		__atomic_store_n(&irte->lo, 0, __ATOMIC_RELEASE);
		__atomic_store_n(&irte->hi, on ? vector : 0, __ATOMIC_RELEASE);
		__atomic_store_n(&irte->lo, on ? AMD_IRTE_EN | AMD_IRTE_DEST(dest) : 0,
				 __ATOMIC_RELEASE);
	} else {
		u32 *irte = (u32 *)ram_ptr(&amd->m->hw, table->phys, PAGE_SIZE) + index;

		__atomic_store_n(irte,
				 on ? AMD_IRTE_EN | AMD_IRTE_DEST(dest) |
						 AMD_IRTE_VECTOR(vector)
				    : 0,
				 __ATOMIC_RELEASE);
	}
}

static int flush_one(struct amd_device *info, u16 devid, void *data)
{
	return amd_flush_irt(info->amd, devid);
}

/* The index that @irq has, or AMD_IRTES. */
static u32 find_index(const struct amd_irq_table *table, u32 irq)
{
	u32 index = irq % AMD_IRTES;

	if (test_bit(index, table->used) && table->irq[index] == irq)
		return index;
	for (index = 0; index < AMD_IRTES; index++) {
		if (test_bit(index, table->used) && table->irq[index] == irq)
			break;
	}
	return index;
}

static int remap_map(struct irq_remap *remap, struct device *dev, u32 irq,
		     struct msi_msg *msg)
{
	struct amd_iommu *amd = container_of(remap, struct amd_iommu, remap);
	struct amd_device *info = dev_iommu_priv_get(dev);
	struct amd_irq_table *table;
	u32 index;

	if (!info || info->amd != amd)
		return -ENODEV;
	guard(mutex)(&amd->lock);
	table = get_table(info);
	if (IS_ERR(table))
		return (int)PTR_ERR(table);
	index = find_index(table, irq);
	if (index == AMD_IRTES) {
		index = irq % AMD_IRTES;
		if (test_bit(index, table->used))
			index = (u32)find_first_zero_bit(table->used, AMD_IRTES);
		if (index >= AMD_IRTES)
			return -ENOSPC;
	}
	__set_bit(index, table->used);
	table->irq[index] = irq;
	write_entry(amd, table, index, irq, true);
	msg->address = MSI_WINDOW_BASE;
	msg->data = index;
	return amd_for_each_id(info, flush_one, NULL);
}

static void remap_unmap(struct irq_remap *remap, struct device *dev, u32 irq)
{
	struct amd_iommu *amd = container_of(remap, struct amd_iommu, remap);
	struct amd_device *info = dev_iommu_priv_get(dev);
	struct amd_irq_table *table;
	u32 index;

	if (!info || info->amd != amd)
		return;
	guard(mutex)(&amd->lock);
	table = xa_load(&amd->irq_tables, info->devid);
	if (!table)
		return;
	index = find_index(table, irq);
	if (index == AMD_IRTES)
		return;
	write_entry(amd, table, index, 0, false);
	__clear_bit(index, table->used);
	amd_for_each_id(info, flush_one, NULL);
}

/* Before the unit is enabled: from then on nobody sends an interrupt that is not mapped.
 */
void amd_irq_remap_enable(struct amd_iommu *amd)
{
	struct amd_dte *table = ram_ptr(&amd->m->hw, amd->devtab, AMD_DEVTAB_BYTES);

	/* kdump: interrupts of the old kernel's devices go on until theirs are replaced.
	 */
	for (u32 id = 0; id < 65536 && !amd->pre_enabled; id++)
		table[id].data[2] |= AMD_DTE2_IV;
	amd->irq_on = true;
	amd->remap.map = remap_map;
	amd->remap.unmap = remap_unmap;
	irq_remap_register(amd->m, amd->unit, &amd->remap);
}

void amd_irq_remap_disable(struct amd_iommu *amd)
{
	struct amd_irq_table *table;
	u64 id;

	if (amd->irq_on)
		irq_remap_unregister(amd->m, amd->unit);
	amd->irq_on = false;
	xa_for_each(&amd->irq_tables, id, table) {
		xa_erase(&amd->irq_tables, id);
		if (!--table->users)
			free_table(amd, table);
	}
	xa_destroy(&amd->irq_tables);
}
