/* SPDX-License-Identifier: MIT */
/*
 * Table pages that were unlinked but that hardware may still be walking: a chain to
 * be freed after the IOTLB is synchronized. The chain runs through the first word of
 * each page, as the page-aligned address of the next, which every table format reads as
 * an entry that is not present; so it needs no memory of its own. Machine memory can
 * be overwritten by a program, therefore the chain's length is kept here and its links
 * are checked.
 */
#ifndef MOAT_PGTABLE_IOMMU_PAGES_H
#define MOAT_PGTABLE_IOMMU_PAGES_H

#include "base/types.h"

struct machine;

struct iommu_pages_list {
	phys_addr_t first, last; /* meaningful while count > 0 */
	u32 count;
};

#define IOMMU_PAGES_LIST_INIT     \
	(struct iommu_pages_list) \
	{                         \
		0, 0, 0           \
	}

static inline bool iommu_pages_list_empty(const struct iommu_pages_list *list)
{
	return !list->count;
}

/* @page is one page of machine RAM that no table points to any more. */
void iommu_pages_list_add(struct machine *m, struct iommu_pages_list *list,
			  phys_addr_t page);
/* Moves all of @from to the end of @to. */
void iommu_pages_list_splice(struct machine *m, struct iommu_pages_list *from,
			     struct iommu_pages_list *to);
/* Frees them all; no hardware may be walking them. */
void iommu_put_pages_list(struct machine *m, struct iommu_pages_list *list);

#endif
