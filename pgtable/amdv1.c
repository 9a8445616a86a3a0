// SPDX-License-Identifier: MIT
/*
 * AMD-Vi host page tables, 1 to 6 levels. An entry names the level of what it points
 * at: 0 a page of the entry's own size, 7 a page of any power of two, whose size is the
 * run of ones in the low address bits and which repeats in each entry that it spans,
 * otherwise a table. Permissions are ANDed over the levels, so tables grant all. The
 * top level of six holds tables only, and 512 GiB is not a page size (hardware erratum).
 * AMD I/O Virtualization Technology specification 2.2.3.
 */
#include "pgtable/pgtable.h"

#define FMT	    pgtable_amdv1
#define FMT_NAME    "amdv1"
#define FMT_MIN_TOP 1
#define FMT_MAX_TOP 5
#define FMT_VA_BITS 64
#define FMT_OA_BITS 52
#define FMT_DIRTY   BIT_ULL(6)

#include "pgtable/radix.h"

#define PTE_PR	      BIT_ULL(0)
#define PTE_NL_SHIFT  9
#define PTE_NL(l)     ((u64)(l) << PTE_NL_SHIFT)
#define PTE_GET_NL(e) ((unsigned)((e) >> PTE_NL_SHIFT) & 7)
#define PTE_NL_PAGE   0 /* default page size */
#define PTE_NL_SIZE   7 /* size in the address */
#define PTE_ADDR      GENMASK_ULL(51, 12)
#define PTE_FC	      BIT_ULL(60)
#define PTE_IR	      BIT_ULL(61)
#define PTE_IW	      BIT_ULL(62)

static u64 fmt_sizes(unsigned level)
{
	unsigned low = item_lg2(level);

	if (level >= FMT_MAX_TOP)
		return 0;
	return GENMASK_ULL(min(51U, low + 8), low) & ~BIT_ULL(39);
}

static enum pt_type fmt_type(u64 entry, unsigned level)
{
	unsigned next = PTE_GET_NL(entry);

	if (!(entry & PTE_PR))
		return PT_EMPTY;
	if (!level || next == PTE_NL_PAGE || next == PTE_NL_SIZE)
		return PT_LEAF;
	return PT_TABLE;
}

static u64 fmt_table(phys_addr_t phys, unsigned child_level)
{
	return phys | PTE_PR | PTE_IR | PTE_IW | PTE_NL(child_level + 1);
}

static phys_addr_t fmt_table_phys(u64 entry)
{
	return entry & PTE_ADDR;
}

static u64 fmt_leaf(phys_addr_t phys, unsigned lg2, unsigned level, u64 attrs)
{
	if (lg2 == item_lg2(level))
		return phys | attrs | PTE_PR | PTE_NL(PTE_NL_PAGE);
	/* Ones below bit lg2 - 1: an address of 2^lg2 alignment, less one page size bit.
	 */
	return phys | attrs | PTE_PR | PTE_NL(PTE_NL_SIZE) |
	       (((1ULL << (lg2 - 1)) - 1) & PTE_ADDR);
}

/* log2 of the page that the address bits encode: one more than the run of ones. */
static unsigned encoded_lg2(u64 entry)
{
	u64 zeroes = ~entry & PTE_ADDR;

	return zeroes ? __ffs64(zeroes) + 1 : 52;
}

static phys_addr_t fmt_leaf_phys(u64 entry)
{
	phys_addr_t phys = entry & PTE_ADDR;

	if (PTE_GET_NL(entry) == PTE_NL_SIZE)
		phys &= ~((1ULL << encoded_lg2(entry)) - 1);
	return phys;
}

static unsigned fmt_contig_lg2(u64 entry, unsigned level)
{
	unsigned lg2;

	if (PTE_GET_NL(entry) != PTE_NL_SIZE)
		return 0;
	lg2 = encoded_lg2(entry);
	/* Never more than the table holds, whatever is written there. */
	return lg2 <= item_lg2(level) ? 0 : min(lg2 - item_lg2(level), 9U);
}

static int fmt_attrs(const struct pgtable *pt, unsigned prot, u64 *attrs)
{
	*attrs = (prot & PGTABLE_READ ? PTE_IR : 0) |
		 (prot & PGTABLE_WRITE ? PTE_IW : 0) | (pt->force_coherence ? PTE_FC : 0);
	return 0;
}
