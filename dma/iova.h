/* SPDX-License-Identifier: MIT */
/*
 * IOVA allocator with the kernel's names (include/linux/iova.h): ranges of page frame
 * numbers, handed out from the top down below a limit, aligned to their size where asked.
 *
 * A range in use is a node of a tree by address. Each node knows the free gap below it
 * and which power of two fits in there aligned; a subtree knows the largest of them. So
 * the search is logarithmic however fragmented the space is, for sizes that are powers of
 * two (all that the caches hold are). In front of the tree stand magazines of freed
 * ranges, one pair for each CPU and size, and a depot of full ones.
 *
 * Context: any thread. iovad->lock protects the tree; a cache's lock its magazines; no
 * lock is taken inside another, except iovad->lock under a cache's when magazines are
 * freed.
 */
#ifndef MOAT_DMA_IOVA_H
#define MOAT_DMA_IOVA_H

#include "base/mutex.h"
#include "base/rbtree.h"
#include "base/types.h"

/* An allocated range, inclusive. */
struct iova {
	struct rb_node node;
	u64 pfn_lo, pfn_hi;
	u64 gap_lo;	  /* first free pfn below pfn_lo; pfn_lo if there is none */
	s8 gap_order;	  /* largest k so that an aligned 2^k fits in the gap, -1: none */
	s8 subtree_order; /* the largest gap_order in the subtree */
};

struct iova_rcache;

struct iova_domain {
	struct mutex lock;
	struct rb_root rbroot; /* struct iova; its last node is the anchor */
	struct iova anchor;    /* pfn_lo = pfn_hi = ~0: its gap is the top of the space */
	u64 granule;	       /* bytes of a pfn, a power of two */
	u64 start_pfn;
	struct iova_rcache *rcaches; /* NULL until iova_domain_init_rcaches() */
};

/* Sizes below 2^this (in pfns) are cached. */
#define IOVA_RANGE_CACHE_MAX_SIZE 6

static inline u64 iova_size(const struct iova *iova)
{
	return iova->pfn_hi - iova->pfn_lo + 1;
}

/* @granule: bytes, a power of two; no pfn below @start_pfn is handed out. */
void init_iova_domain(struct iova_domain *iovad, u64 granule, u64 start_pfn);
/* 0 or -ENOMEM. */
int __must_check iova_domain_init_rcaches(struct iova_domain *iovad);
/* Everything is free afterwards; nobody else uses it meanwhile. */
void put_iova_domain(struct iova_domain *iovad);

/**
 * alloc_iova - the highest free range of @size pfns at or below @limit_pfn.
 * @size_aligned: aligned to @size rounded up to a power of two
 *
 * Return: NULL when nothing fits, or memory is short.
 */
struct iova *alloc_iova(struct iova_domain *iovad, u64 size, u64 limit_pfn,
			bool size_aligned);
void free_iova(struct iova_domain *iovad, u64 pfn);
void __free_iova(struct iova_domain *iovad, struct iova *iova);
/* The range that holds @pfn, NULL if it is free. */
struct iova *find_iova(struct iova_domain *iovad, u64 pfn);
/* Takes [lo, hi] out of use; what overlaps with ranges in use is merged with them. */
struct iova *reserve_iova(struct iova_domain *iovad, u64 pfn_lo, u64 pfn_hi);

/*
 * The same through the caches: size-aligned, sizes rounded up to a power of two if they
 * are small enough to be cached. @flush_rcache: empty the caches before giving up. 0:
 * none.
 */
u64 alloc_iova_fast(struct iova_domain *iovad, u64 size, u64 limit_pfn,
		    bool flush_rcache);
void free_iova_fast(struct iova_domain *iovad, u64 pfn, u64 size);

/* --- the caches (iova_rcache.c) --- */
u64 iova_rcache_get(struct iova_domain *iovad, u64 size, u64 limit_pfn);
bool iova_rcache_insert(struct iova_domain *iovad, u64 pfn, u64 size);
void iova_rcache_flush(struct iova_domain *iovad);
void iova_domain_free_rcaches(struct iova_domain *iovad);

#endif
