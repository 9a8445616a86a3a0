// SPDX-License-Identifier: MIT
/*
 * First fit from below, as Linux does it: each allowed span is walked hole by hole, a
 * hole being what neither an area nor a reserved range covers. An IOVA that the kernel
 * chooses is visible to programs, so the rule is kept to the letter, the rounding of an
 * already rounded start included (drivers/iommu/iommufd/io_pagetable.c,
 * iopt_alloc_iova()).
 */
#include "iommufd/iova_alloc.h"

#include "base/bitmap.h"
#include "base/overflow.h"
#include "iommufd/io_pagetable.h"

#define HPAGE_SIZE SZ_2M

/* Moves *start up to where the range could begin; false if it does not fit before @last.
 */
static bool fits(u64 *start, u64 last, u64 length, u64 alignment, u64 page_offset)
{
	u64 aligned;

	if (check_add_overflow(*start, alignment - 1, &aligned))
		return false;
	aligned &= ~(alignment - 1);
	aligned |= page_offset;
	if (aligned >= last || last - aligned < length - 1)
		return false;
	*start = aligned;
	return true;
}

/* The first byte at or after @start that @tree covers, ~0 if none up to @last. */
static bool next_used(const struct rb_root_cached *tree, u64 start, u64 last,
		      u64 *used_start, u64 *used_last)
{
	struct interval_tree_node *node = interval_tree_iter_first(tree, start, last);

	if (!node)
		return false;
	*used_start = max(node->start, start);
	*used_last = node->last;
	return true;
}

static bool search_holes(struct io_pagetable *iopt, u64 start, u64 last, u64 length,
			 u64 alignment, u64 page_offset, u64 *iova)
{
	while (start <= last) {
		u64 a_start, a_last, r_start, r_last, hole_last = last, skip_to = last;
		bool a = next_used(&iopt->area_itree, start, last, &a_start, &a_last);
		bool r = next_used(&iopt->reserved_itree, start, last, &r_start, &r_last);
		u64 candidate = start;

		if (a && a_start == start) {
			skip_to = a_last;
		} else if (r && r_start == start) {
			skip_to = r_last;
		} else {
			if (a)
				hole_last = min(hole_last, a_start - 1);
			if (r)
				hole_last = min(hole_last, r_start - 1);
			if (fits(&candidate, hole_last, length, alignment, page_offset)) {
				*iova = candidate;
				return true;
			}
			skip_to = hole_last;
		}
		if (skip_to >= last)
			return false;
		start = skip_to + 1;
	}
	return false;
}

int iopt_alloc_iova(struct io_pagetable *iopt, u64 *iova, u64 addr, u64 length)
{
	u64 first = PAGE_SIZE, last = ~0ULL - PAGE_SIZE;
	u64 page_offset = addr % PAGE_SIZE;
	struct interval_tree_node *node;
	u64 alignment;

	if (length == 0 || length >= ~0ULL / 2)
		return -EOVERFLOW;
	alignment = 1ULL << fls64(length - 1);
	if (addr)
		alignment = min(alignment, addr & -addr);
	alignment = min_t(u64, alignment, HPAGE_SIZE);
	if (alignment < iopt->iova_alignment)
		return -EINVAL;

	node = interval_tree_iter_first(&iopt->allowed_itree, 0, ~0ULL);
	if (!node) {
		if (fits(&first, last, length, alignment, page_offset) &&
		    search_holes(iopt, first, last, length, alignment, page_offset, iova))
			return 0;
		return -ENOSPC;
	}
	for (node = interval_tree_iter_first(&iopt->allowed_itree, first, last); node;
	     node = interval_tree_iter_next(node, PAGE_SIZE, last)) {
		u64 start = max_t(u64, node->start, PAGE_SIZE);
		u64 end = min(node->last, last);
		struct interval_tree_node *next;

		/* Ranges that touch are one span. */
		while (end < last && (next = interval_tree_iter_first(
					      &iopt->allowed_itree, end + 1, end + 1))) {
			node = next;
			end = min(next->last, last);
		}
		if (fits(&start, end, length, alignment, page_offset) &&
		    search_holes(iopt, start, end, length, alignment, page_offset, iova))
			return 0;
	}
	return -ENOSPC;
}
