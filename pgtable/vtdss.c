// SPDX-License-Identifier: MIT
/*
 * VT-d second-stage paging entries: 3 to 5 levels, pages of 4 KiB, 2 MiB and 1 GiB. An
 * entry without R and W is not present. Intel VT-d specification 3.7 and 9.8.
 */
#include "pgtable/pgtable.h"

#define FMT	    pgtable_vtdss
#define FMT_NAME    "vtdss"
#define FMT_MIN_TOP 2
#define FMT_MAX_TOP 4
#define FMT_VA_BITS 57
#define FMT_OA_BITS 52
#define FMT_DIRTY   BIT_ULL(9)

#include "pgtable/radix.h"

#define SS_R	BIT_ULL(0)
#define SS_W	BIT_ULL(1)
#define SS_PS	BIT_ULL(7)
#define SS_SNP	BIT_ULL(11)
#define SS_ADDR GENMASK_ULL(51, 12)

static u64 fmt_sizes(unsigned level)
{
	return level <= 2 ? 1ULL << item_lg2(level) : 0;
}

static enum pt_type fmt_type(u64 entry, unsigned level)
{
	if (!(entry & (SS_R | SS_W)))
		return PT_EMPTY;
	if (!level || (level <= 2 && (entry & SS_PS)))
		return PT_LEAF;
	return PT_TABLE;
}

static u64 fmt_table(phys_addr_t phys, unsigned child_level)
{
	return phys | SS_R | SS_W;
}

static phys_addr_t fmt_table_phys(u64 entry)
{
	return entry & SS_ADDR;
}

static u64 fmt_leaf(phys_addr_t phys, unsigned lg2, unsigned level, u64 attrs)
{
	return phys | attrs | (level ? SS_PS : 0);
}

static phys_addr_t fmt_leaf_phys(u64 entry)
{
	return entry & SS_ADDR;
}

static unsigned fmt_contig_lg2(u64 entry, unsigned level)
{
	return 0;
}

static int fmt_attrs(const struct pgtable *pt, unsigned prot, u64 *attrs)
{
	if (pt->force_writable && !(prot & PGTABLE_WRITE))
		return -EINVAL;
	*attrs = (prot & PGTABLE_READ ? SS_R : 0) | (prot & PGTABLE_WRITE ? SS_W : 0) |
		 (pt->force_coherence ? SS_SNP : 0);
	return 0;
}
