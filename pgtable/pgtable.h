/* SPDX-License-Identifier: MIT */
/*
 * Page tables of IOMMUs, in machine RAM. One radix algorithm (pgtable/radix.h) is
 * compiled once a format; a driver embeds a struct pgtable in its domain and hands
 * whole ranges to it.
 *
 * Rules, those of Linux's drivers/iommu/generic_pt: map uses the largest pages that
 * alignment, length and pgsize_bitmap allow, and puts a large page over tables that
 * are empty. Unmap stops at a hole; a range that ends inside a large page takes the whole
 * page, one that starts inside it takes nothing. A table goes when an unmap covers all
 * that it spans; pages of tables are not freed before the IOTLB has been synchronized
 * (struct iommu_pages_list).
 *
 * Locks: calls on ranges that do not overlap may run at the same time. Tables are added
 * with compare-and-swap, entries are written once, and the cursor is a hint in one word.
 */
#ifndef MOAT_PGTABLE_PGTABLE_H
#define MOAT_PGTABLE_PGTABLE_H

#include "base/err.h"
#include "base/mutex.h"
#include "base/types.h"
#include "pgtable/iommu_pages.h"

struct machine;
struct pgtable;

/* The values of IOMMU_READ and IOMMU_WRITE. */
#define PGTABLE_READ  BIT(0)
#define PGTABLE_WRITE BIT(1)

/* read_and_clear_dirty(): leave the bits as they are (IOMMU_DIRTY_NO_CLEAR). */
#define PGTABLE_DIRTY_NO_CLEAR BIT(0)

typedef void (*pgtable_dirty_fn)(void *data, iova_t iova, u64 length);

struct pgtable_format {
	const char *name;
	u8 min_top_level, max_top_level;
	u8 max_va_bits, max_oa_bits;
	/* Page sizes that a table with this top level can hold, a bit each. */
	u64 (*possible_sizes)(unsigned top_level);
	int (*map_range)(struct pgtable *pt, iova_t iova, phys_addr_t paddr, u64 size,
			 unsigned prot, u64 *mapped, struct iommu_pages_list *freed);
	u64 (*unmap_range)(struct pgtable *pt, iova_t iova, u64 size,
			   struct iommu_pages_list *freed);
	phys_addr_t (*iova_to_phys)(const struct pgtable *pt, iova_t iova);
	int (*read_and_clear_dirty)(struct pgtable *pt, iova_t iova, u64 size, u32 flags,
				    pgtable_dirty_fn record, void *data);
	void (*free_tables)(struct pgtable *pt);
};

/* Levels count from 0, the tables whose entries are 4 KiB pages. */
struct pgtable_config {
	u8 va_bits; /* bits of an IOVA; 0: what the top level spans */
	u8 oa_bits; /* bits of an output address; 0: the format's most */
	u8 top_level;
	bool dynamic_top;     /* grow levels on demand, up to va_bits */
	bool force_coherence; /* no-snoop is overruled (SNP, FC) */
	bool force_writable;  /* read-only mappings are refused */
	u64 pgsize_mask;      /* page sizes to use of those possible; 0: all */
};

struct pgtable {
	const struct pgtable_format *fmt;
	struct machine *machine;
	u64 pgsize_bitmap;
	u8 va_bits, oa_bits;
	bool dynamic_top, force_coherence, force_writable;
	u64 top;       /* atomic: physical address | level */
	u64 cursor;    /* atomic hint: the last leaf table used, see radix.h */
	s32 nr_tables; /* atomic: below the top; bounds what damaged tables can cost */
	struct mutex top_lock;
	/* The hardware must use another top from now on; called with top_lock held. */
	void (*change_top)(struct pgtable *pt, phys_addr_t top, unsigned level);
};

extern const struct pgtable_format pgtable_vtdss;  /* VT-d second stage */
extern const struct pgtable_format pgtable_x86_64; /* CPU tables; VT-d first stage */
extern const struct pgtable_format pgtable_amdv1;  /* AMD-Vi host tables */

/**
 * pgtable_init - an empty table.
 * Return: 0; -EOPNOTSUPP: a top level that the format does not have; -EINVAL: no page
 * size is left; -ENOMEM.
 */
int __must_check pgtable_init(struct pgtable *pt, struct machine *m,
			      const struct pgtable_format *fmt,
			      const struct pgtable_config *config);
/* Frees all tables; hardware must not walk them any more. */
void pgtable_destroy(struct pgtable *pt);

static inline phys_addr_t pgtable_top(const struct pgtable *pt)
{
	return __atomic_load_n(&pt->top, __ATOMIC_ACQUIRE) & PAGE_MASK;
}

static inline unsigned pgtable_top_level(const struct pgtable *pt)
{
	return __atomic_load_n(&pt->top, __ATOMIC_ACQUIRE) & ~PAGE_MASK;
}

/**
 * pgtable_map_range - map [@iova, @iova + @size) to [@paddr, ...).
 * @prot: PGTABLE_READ, PGTABLE_WRITE; other bits are ignored
 * @mapped: grows by the bytes mapped, also on failure
 * @freed: gets tables that a large page replaced; if it is not empty afterwards the
 *	caller synchronizes the IOTLB and frees them
 *
 * Return: 0; -EADDRINUSE: something is mapped there; -EINVAL: size is 0, or @prot
 * cannot be expressed; -EOVERFLOW: the range wraps; -ENXIO: not aligned to any page
 * size; -ERANGE: beyond the table or the output width; -ENOMEM.
 */
static inline int __must_check pgtable_map_range(struct pgtable *pt, iova_t iova,
						 phys_addr_t paddr, u64 size,
						 unsigned prot, u64 *mapped,
						 struct iommu_pages_list *freed)
{
	return pt->fmt->map_range(pt, iova, paddr, size, prot, mapped, freed);
}

/* Return: the bytes unmapped from @iova on; can exceed @size by part of a large page. */
static inline u64 pgtable_unmap_range(struct pgtable *pt, iova_t iova, u64 size,
				      struct iommu_pages_list *freed)
{
	return pt->fmt->unmap_range(pt, iova, size, freed);
}

/* 0 where nothing is mapped. */
static inline phys_addr_t pgtable_iova_to_phys(const struct pgtable *pt, iova_t iova)
{
	return pt->fmt->iova_to_phys(pt, iova);
}

/*
 * Call @record for each page in the range that the hardware has marked dirty and,
 * unless PGTABLE_DIRTY_NO_CLEAR, clear the mark; the caller synchronizes the IOTLB
 * for what was recorded. Return: 0, -EINVAL, -EOVERFLOW, -ERANGE, -EOPNOTSUPP: the
 * format has no dirty bits.
 */
static inline int pgtable_read_and_clear_dirty(struct pgtable *pt, iova_t iova, u64 size,
					       u32 flags, pgtable_dirty_fn record,
					       void *data)
{
	if (!pt->fmt->read_and_clear_dirty)
		return -EOPNOTSUPP;
	return pt->fmt->read_and_clear_dirty(pt, iova, size, flags, record, data);
}

#endif
