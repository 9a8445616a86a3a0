// SPDX-License-Identifier: MIT
/*
 * Tables of x86-64 CPUs with 4 or 5 levels, which are also VT-d's first stage (9.7) and
 * AMD's guest tables. Reading cannot be taken away from a page that is present. With
 * canonical addresses only the lower half is for IOVAs: the user says 47 or 56 bits.
 */
#include "pgtable/pgtable.h"

#define FMT	    pgtable_x86_64
#define FMT_NAME    "x86_64"
#define FMT_MIN_TOP 3
#define FMT_MAX_TOP 4
#define FMT_VA_BITS 57
#define FMT_OA_BITS 52
/* Writable pages are made dirty from the start, so there is nothing to track. */
#define FMT_DIRTY 0ULL

#include "pgtable/radix.h"

#define PTE_P	 BIT_ULL(0)
#define PTE_RW	 BIT_ULL(1)
#define PTE_US	 BIT_ULL(2)
#define PTE_A	 BIT_ULL(5)
#define PTE_D	 BIT_ULL(6)
#define PTE_PS	 BIT_ULL(7)
#define PTE_ADDR GENMASK_ULL(51, 12)

static u64 fmt_sizes(unsigned level)
{
	return level <= 2 ? 1ULL << item_lg2(level) : 0;
}

static enum pt_type fmt_type(u64 entry, unsigned level)
{
	if (!(entry & PTE_P))
		return PT_EMPTY;
	if (!level || (level <= 2 && (entry & PTE_PS)))
		return PT_LEAF;
	return PT_TABLE;
}

static u64 fmt_table(phys_addr_t phys, unsigned child_level)
{
	return phys | PTE_P | PTE_RW | PTE_US | PTE_A;
}

static phys_addr_t fmt_table_phys(u64 entry)
{
	return entry & PTE_ADDR;
}

static u64 fmt_leaf(phys_addr_t phys, unsigned lg2, unsigned level, u64 attrs)
{
	return phys | attrs | PTE_P | (level ? PTE_PS : 0);
}

static phys_addr_t fmt_leaf_phys(u64 entry)
{
	return entry & PTE_ADDR;
}

static unsigned fmt_contig_lg2(u64 entry, unsigned level)
{
	return 0;
}

static int fmt_attrs(const struct pgtable *pt, unsigned prot, u64 *attrs)
{
	*attrs = PTE_US | PTE_A | (prot & PGTABLE_WRITE ? PTE_RW | PTE_D : 0);
	return 0;
}
