// SPDX-License-Identifier: MIT
/*
 * The tree of the IOVA allocator. Invariants, with iovad->lock held: nodes are disjoint
 * and ascending, the anchor is the last one; each node's gap begins right after its
 * predecessor (or at start_pfn); gap_order and subtree_order follow from that.
 */
#include "dma/iova.h"

#include "base/alloc.h"
#include "base/bitmap.h"

#define PFN_MAX (~0ULL)

/* The largest k so that an aligned block of 2^k lies in [lo, hi); -1 if it is empty. */
static int aligned_order(u64 lo, u64 hi)
{
	int k;

	if (lo >= hi)
		return -1;
	/* The block that ends highest: its end is hi with low bits cleared. */
	for (k = fls64(hi - lo) - 1; k > 0; k--) {
		u64 end = hi & ~((1ULL << k) - 1);

		if (end >= lo && end - lo >= 1ULL << k)
			break;
	}
	return k;
}

static int node_order(const struct rb_node *node)
{
	return node ? rb_entry(node, struct iova, node)->subtree_order : -1;
}

static bool iova_augment(struct rb_node *node)
{
	struct iova *iova = rb_entry(node, struct iova, node);
	int order = max(node_order(node->rb_left), node_order(node->rb_right));

	order = max(order, (int)iova->gap_order);
	if (iova->subtree_order == order)
		return false;
	iova->subtree_order = (s8)order;
	return true;
}

static void gap_set(struct iova *iova, u64 gap_lo)
{
	iova->gap_lo = min(gap_lo, iova->pfn_lo);
	iova->gap_order = (s8)aligned_order(iova->gap_lo, iova->pfn_lo);
}

/* A node's gap changed: its ancestors follow. */
static void gap_update(struct iova *iova, u64 gap_lo)
{
	struct rb_node *node;

	gap_set(iova, gap_lo);
	for (node = &iova->node; node && iova_augment(node); node = node->parent)
		;
}

static struct iova *iova_next(struct iova *iova)
{
	return rb_entry(rb_next(&iova->node), struct iova, node);
}

/* @iova lies in the gap of @next. */
static void iova_insert(struct iova_domain *iovad, struct iova *iova, struct iova *next)
{
	struct rb_node **link, *parent;

	gap_set(iova, next->gap_lo);
	iova->subtree_order = -1;
	/* The place before @next: its left child, or the rightmost below that. */
	parent = &next->node;
	link = &next->node.rb_left;
	while (*link) {
		parent = *link;
		link = &parent->rb_right;
	}
	rb_link_node(&iova->node, parent, link);
	rb_insert_augmented(&iova->node, &iovad->rbroot, iova_augment);
	gap_update(next, iova->pfn_hi + 1);
}

static void iova_erase(struct iova_domain *iovad, struct iova *iova)
{
	struct iova *next = iova_next(iova);
	u64 gap_lo = iova->gap_lo;

	rb_erase_augmented(&iova->node, &iovad->rbroot, iova_augment);
	gap_update(next, gap_lo);
}

void init_iova_domain(struct iova_domain *iovad, u64 granule, u64 start_pfn)
{
	mutex_init(&iovad->lock);
	iovad->rbroot = RB_ROOT;
	iovad->granule = granule;
	iovad->start_pfn = start_pfn;
	iovad->rcaches = NULL;
	iovad->anchor =
		(struct iova){.pfn_lo = PFN_MAX, .pfn_hi = PFN_MAX, .subtree_order = -1};
	gap_set(&iovad->anchor, start_pfn);
	rb_link_node(&iovad->anchor.node, NULL, &iovad->rbroot.rb_node);
	rb_insert_augmented(&iovad->anchor.node, &iovad->rbroot, iova_augment);
}

void put_iova_domain(struct iova_domain *iovad)
{
	struct rb_node *node;

	iova_domain_free_rcaches(iovad);
	while ((node = rb_first(&iovad->rbroot)) != &iovad->anchor.node) {
		rb_erase(node, &iovad->rbroot);
		kfree(rb_entry(node, struct iova, node));
	}
	mutex_destroy(&iovad->lock);
}

/* --- searching
 * -------------------------------------------------------------------------------- */

/* The highest aligned start of @size pfns within [lo, hi); false if there is none. */
static bool fit_below(u64 lo, u64 hi, u64 size, u64 align, u64 *start)
{
	if (hi < size || hi <= lo)
		return false;
	*start = (hi - size) & ~(align - 1);
	return *start >= lo;
}

/* The last node in the subtree whose gap has an aligned block of 2^order. */
static struct iova *last_in_subtree(struct rb_node *node, int order)
{
	for (;;) {
		struct iova *iova = rb_entry(node, struct iova, node);

		if (node_order(node->rb_right) >= order)
			node = node->rb_right;
		else if (iova->gap_order >= order)
			return iova;
		else
			node = node->rb_left;
	}
}

/* The last node before @iova whose gap has an aligned block of 2^order; NULL if none. */
static struct iova *prev_with_order(struct iova *iova, int order)
{
	struct rb_node *node = &iova->node;

	if (node_order(node->rb_left) >= order)
		return last_in_subtree(node->rb_left, order);
	for (; node->parent; node = node->parent) {
		struct iova *up = rb_entry(node->parent, struct iova, node);

		if (node != node->parent->rb_right)
			continue;
		if (up->gap_order >= order)
			return up;
		if (node_order(node->parent->rb_left) >= order)
			return last_in_subtree(node->parent->rb_left, order);
	}
	return NULL;
}

/* The first node that ends at or above @pfn: the anchor, if nothing else does. */
static struct iova *first_from(struct iova_domain *iovad, u64 pfn)
{
	struct rb_node *node = iovad->rbroot.rb_node;
	struct iova *found = &iovad->anchor;

	while (node) {
		struct iova *iova = rb_entry(node, struct iova, node);

		if (iova->pfn_hi >= pfn) {
			found = iova;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return found;
}

/*
 * Finds the highest range and the node that follows it. An aligned power of two fits in a
 * gap exactly if the gap's order reaches it. Other sizes may fit in gaps of one order
 * less (unaligned: two); such gaps are looked at one by one, and only there can the
 * search be long.
 */
static struct iova *search(struct iova_domain *iovad, u64 size, u64 limit_pfn, u64 align,
			   u64 *start)
{
	int order = fls64(size - 1); /* 2^order >= size */
	bool aligned = align == 1ULL << order;
	int may = max(order - (aligned ? size != align : 2), 0);
	struct iova *iova = first_from(iovad, limit_pfn);
	u64 hi = min(iova->pfn_lo, limit_pfn == PFN_MAX ? PFN_MAX : limit_pfn + 1);

	if (fit_below(iova->gap_lo, hi, size, align, start))
		return iova;
	while ((iova = prev_with_order(iova, may))) {
		if (fit_below(iova->gap_lo, iova->pfn_lo, size, align, start))
			return iova;
	}
	return NULL;
}

struct iova *alloc_iova(struct iova_domain *iovad, u64 size, u64 limit_pfn,
			bool size_aligned)
{
	struct iova *iova, *next;
	u64 align, start;

	if (!size || size > 1ULL << 62)
		return NULL;
	iova = kzalloc(sizeof(*iova));
	if (!iova)
		return NULL;
	align = size_aligned ? 1ULL << fls64(size - 1) : 1;
	mutex_lock(&iovad->lock);
	next = search(iovad, size, limit_pfn, align, &start);
	if (next) {
		iova->pfn_lo = start;
		iova->pfn_hi = start + size - 1;
		iova_insert(iovad, iova, next);
	}
	mutex_unlock(&iovad->lock);
	if (!next) {
		kfree(iova);
		return NULL;
	}
	return iova;
}

static struct iova *find_locked(struct iova_domain *iovad, u64 pfn)
{
	struct iova *iova = first_from(iovad, pfn);

	return iova != &iovad->anchor && iova->pfn_lo <= pfn ? iova : NULL;
}

struct iova *find_iova(struct iova_domain *iovad, u64 pfn)
{
	struct iova *iova;

	mutex_lock(&iovad->lock);
	iova = find_locked(iovad, pfn);
	mutex_unlock(&iovad->lock);
	return iova;
}

void __free_iova(struct iova_domain *iovad, struct iova *iova)
{
	mutex_lock(&iovad->lock);
	iova_erase(iovad, iova);
	mutex_unlock(&iovad->lock);
	kfree(iova);
}

void free_iova(struct iova_domain *iovad, u64 pfn)
{
	struct iova *iova;

	mutex_lock(&iovad->lock);
	iova = find_locked(iovad, pfn);
	if (iova)
		iova_erase(iovad, iova);
	mutex_unlock(&iovad->lock);
	kfree(iova);
}

struct iova *reserve_iova(struct iova_domain *iovad, u64 pfn_lo, u64 pfn_hi)
{
	struct iova *fresh, *iova;

	if (pfn_lo > pfn_hi || pfn_hi == PFN_MAX)
		return NULL;
	fresh = kzalloc(sizeof(*fresh));
	if (!fresh)
		return NULL;
	mutex_lock(&iovad->lock);
	/* Whatever overlaps becomes part of one range. */
	while ((iova = first_from(iovad, pfn_lo)) != &iovad->anchor &&
	       iova->pfn_lo <= pfn_hi) {
		pfn_lo = min(pfn_lo, iova->pfn_lo);
		pfn_hi = max(pfn_hi, iova->pfn_hi);
		iova_erase(iovad, iova);
		kfree(iova);
	}
	fresh->pfn_lo = pfn_lo;
	fresh->pfn_hi = pfn_hi;
	iova_insert(iovad, fresh, iova);
	mutex_unlock(&iovad->lock);
	return fresh;
}

/* --- through the caches
 * ------------------------------------------------------------------------- */

static u64 cached_size(u64 size)
{
	return size < 1ULL << (IOVA_RANGE_CACHE_MAX_SIZE - 1) ? 1ULL << fls64(size - 1)
							      : size;
}

u64 alloc_iova_fast(struct iova_domain *iovad, u64 size, u64 limit_pfn, bool flush_rcache)
{
	struct iova *iova;
	u64 pfn;

	if (!size)
		return 0;
	size = cached_size(size);
	pfn = iova_rcache_get(iovad, size, limit_pfn);
	if (pfn)
		return pfn;
	iova = alloc_iova(iovad, size, limit_pfn, true);
	if (!iova && flush_rcache) {
		iova_rcache_flush(iovad);
		iova = alloc_iova(iovad, size, limit_pfn, true);
	}
	return iova ? iova->pfn_lo : 0;
}

void free_iova_fast(struct iova_domain *iovad, u64 pfn, u64 size)
{
	if (!iova_rcache_insert(iovad, pfn, cached_size(size)))
		free_iova(iovad, pfn);
}
