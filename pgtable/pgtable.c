// SPDX-License-Identifier: MIT
/*
 * What needs no knowledge of the format: making and destroying a table, and the chain
 * of pages that wait for the IOTLB.
 */
#include "pgtable/pgtable.h"

#include "machine/dma.h"
#include "machine/machine.h"

void iommu_pages_list_add(struct machine *m, struct iommu_pages_list *list,
			  phys_addr_t page)
{
	if (list->count) {
		u64 *link = ram_ptr(&m->hw, list->last, PAGE_SIZE);

		__atomic_store_n(link, page, __ATOMIC_RELEASE);
	} else {
		list->first = page;
	}
	list->last = page;
	list->count++;
}

void iommu_pages_list_splice(struct machine *m, struct iommu_pages_list *from,
			     struct iommu_pages_list *to)
{
	if (!from->count)
		return;
	if (to->count) {
		u64 *link = ram_ptr(&m->hw, to->last, PAGE_SIZE);

		__atomic_store_n(link, from->first, __ATOMIC_RELEASE);
		to->last = from->last;
		to->count += from->count;
	} else {
		*to = *from;
	}
	*from = IOMMU_PAGES_LIST_INIT;
}

void iommu_put_pages_list(struct machine *m, struct iommu_pages_list *list)
{
	phys_addr_t page = list->first;

	while (list->count) {
		const u64 *link = ram_ptr(&m->hw, page, PAGE_SIZE);
		phys_addr_t next;

		/* A damaged link loses the rest of the chain. */
		if (!link)
			break;
		next = __atomic_load_n(link, __ATOMIC_ACQUIRE) & PAGE_MASK;
		ram_free_pages(m, page, 0);
		page = next;
		list->count--;
	}
	*list = IOMMU_PAGES_LIST_INIT;
}

int pgtable_init(struct pgtable *pt, struct machine *m, const struct pgtable_format *fmt,
		 const struct pgtable_config *config)
{
	u64 sizes = fmt->possible_sizes(config->dynamic_top ? fmt->max_top_level
							    : config->top_level);
	unsigned span = PAGE_SHIFT + 9 * (config->top_level + 1);
	phys_addr_t top;
	int rc;

	if (config->top_level < fmt->min_top_level ||
	    config->top_level > fmt->max_top_level)
		return -EOPNOTSUPP;
	if (config->dynamic_top)
		span = fmt->max_va_bits;
	*pt = (struct pgtable){
		.fmt = fmt,
		.machine = m,
		.va_bits = (u8)min_t(unsigned, span, fmt->max_va_bits),
		.oa_bits = fmt->max_oa_bits,
		.dynamic_top = config->dynamic_top,
		.force_coherence = config->force_coherence,
		.force_writable = config->force_writable,
	};
	if (config->va_bits)
		pt->va_bits = min(pt->va_bits, config->va_bits);
	if (config->oa_bits)
		pt->oa_bits = min(pt->oa_bits, config->oa_bits);
	if (config->pgsize_mask)
		sizes &= config->pgsize_mask;
	/* A page is neither larger than the IOVA space nor than the output space. */
	sizes &= GENMASK_ULL(min(pt->va_bits, pt->oa_bits) - 1, 0);
	pt->pgsize_bitmap = sizes;
	if (!sizes)
		return -EINVAL;
	rc = ram_alloc_pages(m, 0, &top);
	if (rc)
		return rc;
	mutex_init(&pt->top_lock);
	pt->top = top | config->top_level;
	return 0;
}

void pgtable_destroy(struct pgtable *pt)
{
	if (!pt->fmt)
		return;
	pt->fmt->free_tables(pt);
	ram_free_pages(pt->machine, pgtable_top(pt), 0);
	mutex_destroy(&pt->top_lock);
	pt->fmt = NULL;
}
