/* SPDX-License-Identifier: MIT */
/*
 * The radix algorithm, compiled once a format: a format's file defines what follows and
 * then includes this, which defines the struct pgtable_format that FMT names.
 *
 *	FMT, FMT_NAME, FMT_MIN_TOP, FMT_MAX_TOP, FMT_VA_BITS, FMT_OA_BITS
 *	FMT_DIRTY			the dirty bit of an entry; 0: there is none
 *	fmt_sizes(level)		page sizes that an entry of a level can be
 *	fmt_type(entry, level)		enum pt_type
 *	fmt_table(phys, child_level)	entry that points at a table
 *	fmt_table_phys(entry)
 *	fmt_leaf(pt, phys, lg2, level, attrs)
 *	fmt_leaf_phys(entry)		of the start of the whole page
 *	fmt_contig_lg2(entry, level)	log2 of the entries that make up the page
 *	fmt_attrs(pt, prot, *attrs)	0 or -EINVAL
 *
 * All formats have tables of one page with 512 entries of 8 bytes; level 0 maps 4 KiB.
 *
 * The cursor remembers the leaf table of the last call: valid bit 63, IOVA bits from 21
 * in 62:20, page frame of the table in 19:0. A table can only go in a call whose range
 * covers it, and such a call clears the cursor if it names that table; by the rule of
 * no overlapping calls nobody is using it then.
 */
#include "base/bitmap.h"
#include "base/err.h"
#include "base/overflow.h"
#include "machine/dma.h"
#include "machine/machine.h"
#include "pgtable/pgtable.h"

enum pt_type { PT_EMPTY, PT_LEAF, PT_TABLE };

#define PT_ITEMS	512U
#define PT_CURSOR_VALID BIT_ULL(63)
#define PT_CURSOR_PFN	GENMASK_ULL(19, 0)
#define PT_CURSOR_LG2	21

_Static_assert(HW_MAX_RAM >> PAGE_SHIFT <= 1ULL << 20, "a table's frame fits the cursor");

static u64 fmt_sizes(unsigned level);
static enum pt_type fmt_type(u64 entry, unsigned level);
static u64 fmt_table(phys_addr_t phys, unsigned child_level);
static phys_addr_t fmt_table_phys(u64 entry);
static u64 fmt_leaf(phys_addr_t phys, unsigned lg2, unsigned level, u64 attrs);
static phys_addr_t fmt_leaf_phys(u64 entry);
static unsigned fmt_contig_lg2(u64 entry, unsigned level);
static int fmt_attrs(const struct pgtable *pt, unsigned prot, u64 *attrs);

static inline unsigned item_lg2(unsigned level)
{
	return PAGE_SHIFT + 9 * level;
}

static inline unsigned item_index(iova_t iova, unsigned level)
{
	return (iova >> item_lg2(level)) % PT_ITEMS;
}

static inline u64 entry_load(const u64 *entry)
{
	return __atomic_load_n(entry, __ATOMIC_ACQUIRE);
}

static inline void entry_store(u64 *entry, u64 value)
{
	__atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

/* NULL only where the tables have been damaged. */
static inline u64 *table_at(const struct pgtable *pt, phys_addr_t phys)
{
	return ram_ptr(&pt->machine->hw, phys, PAGE_SIZE);
}

/* --- the cursor -------------------------------------------------------------- */

static inline u64 *cursor_get(const struct pgtable *pt, iova_t iova)
{
	u64 cursor = __atomic_load_n(&pt->cursor, __ATOMIC_ACQUIRE);

	if ((cursor & ~PT_CURSOR_PFN) !=
	    (PT_CURSOR_VALID | (iova >> PT_CURSOR_LG2) << 20))
		return NULL;
	return table_at(pt, (cursor & PT_CURSOR_PFN) << PAGE_SHIFT);
}

static inline void cursor_set(struct pgtable *pt, iova_t iova, phys_addr_t table)
{
	__atomic_store_n(&pt->cursor,
			 PT_CURSOR_VALID | (iova >> PT_CURSOR_LG2) << 20 |
				 table >> PAGE_SHIFT,
			 __ATOMIC_RELEASE);
}

/* @table is going: forget it. */
static inline void cursor_drop(struct pgtable *pt, phys_addr_t table)
{
	u64 cursor = __atomic_load_n(&pt->cursor, __ATOMIC_ACQUIRE);

	if ((cursor & PT_CURSOR_PFN) == table >> PAGE_SHIFT)
		__atomic_compare_exchange_n(&pt->cursor, &cursor, 0, false,
					    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* --- ranges ------------------------------------------------------------------ */

static int range_last(const struct pgtable *pt, iova_t iova, u64 size, iova_t *last)
{
	if (!size)
		return -EINVAL;
	if (check_add_overflow(iova, size - 1, last))
		return -EOVERFLOW;
	if (pt->va_bits < 64 && *last >> pt->va_bits)
		return -ERANGE;
	return 0;
}

static inline bool top_spans(u64 top, iova_t last)
{
	unsigned lg2 = item_lg2((unsigned)(top & ~PAGE_MASK) + 1);

	return lg2 >= 64 || !(last >> lg2);
}

/* Add levels above the top until it spans @last and has entries of @leaf_level. */
static int grow_top(struct pgtable *pt, iova_t last, unsigned leaf_level)
{
	guard(mutex)(&pt->top_lock);
	while (!top_spans(pt->top, last) || pgtable_top_level(pt) < leaf_level) {
		u64 old = pt->top;
		unsigned level = (unsigned)(old & ~PAGE_MASK) + 1;
		phys_addr_t top;
		int rc;

		if (level > FMT_MAX_TOP)
			return -ERANGE;
		rc = ram_alloc_pages(pt->machine, 0, &top);
		if (rc)
			return rc;
		entry_store(table_at(pt, top), fmt_table(old & PAGE_MASK, level - 1));
		__atomic_fetch_add(&pt->nr_tables, 1, __ATOMIC_RELAXED);
		if (pt->change_top)
			pt->change_top(pt, top, level);
		__atomic_store_n(&pt->top, top | level, __ATOMIC_RELEASE);
	}
	return 0;
}

/* log2 of the largest page that fits the start of the range, -1: none. */
static int best_lg2(u64 sizes, iova_t iova, iova_t last, phys_addr_t paddr)
{
	u64 low = iova | paddr, span = last - iova;

	/* Sizes up to the alignment of the addresses. */
	if (low)
		sizes &= (low & -low) | ((low & -low) - 1);
	/* Sizes up to the length, span + 1. */
	if (span != UINT64_MAX)
		sizes &= GENMASK_ULL(ilog2(span + 1), 0);
	return fls64(sizes) - 1;
}

/* Where the run of pages of this size ends: the end, or where larger pages fit. */
static iova_t run_last(u64 sizes, iova_t iova, iova_t last, phys_addr_t paddr,
		       unsigned lg2)
{
	u64 larger = lg2 == 63 ? 0 : sizes & (~0ULL << (lg2 + 1));
	u64 mask = ~0ULL << lg2;

	if (larger) {
		u64 next = larger & -larger;
		iova_t boundary = ALIGN(iova, next);

		/* Congruent, not reached yet, and a page of that size fits behind it. */
		if (!((iova ^ paddr) & (next - 1)) && boundary > iova &&
		    boundary <= last && last - boundary >= next - 1)
			return boundary - 1;
	}
	/* The last whole page; (last - iova + 1) rounded down, minus 1, without overflow.
	 */
	return iova + ((last - iova - ~mask) & mask) + ~mask;
}

/* --- map --------------------------------------------------------------------- */

/* The table at @level for @iova, made if need be. */
static int table_get(struct pgtable *pt, iova_t iova, unsigned level, u64 **out)
{
	u64 top = __atomic_load_n(&pt->top, __ATOMIC_ACQUIRE);
	phys_addr_t phys = top & PAGE_MASK;
	u64 *table = table_at(pt, phys);

	for (unsigned l = (unsigned)(top & ~PAGE_MASK); l > level; l--) {
		u64 *item = &table[item_index(iova, l)];
		u64 entry = entry_load(item);

		if (fmt_type(entry, l) == PT_LEAF)
			return -EADDRINUSE;
		if (fmt_type(entry, l) == PT_EMPTY) {
			phys_addr_t new;
			int rc = ram_alloc_pages(pt->machine, 0, &new);

			if (rc)
				return rc;
			if (__atomic_compare_exchange_n(
				    item, &entry, fmt_table(new, l - 1), false,
				    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
				__atomic_fetch_add(&pt->nr_tables, 1, __ATOMIC_RELAXED);
				entry = entry_load(item);
			} else {
				/* Another call was first; it cannot have put a page here.
				 */
				ram_free_pages(pt->machine, new, 0);
			}
		}
		phys = fmt_table_phys(entry);
		table = table_at(pt, phys);
		if (unlikely(!table))
			return -EADDRINUSE;
	}
	if (!level)
		cursor_set(pt, iova, phys);
	*out = table;
	return 0;
}

/* Whether nothing is mapped below this table; @budget bounds the tables looked at. */
static bool table_is_empty(const struct pgtable *pt, const u64 *table, unsigned level,
			   s32 *budget)
{
	for (unsigned i = 0; i < PT_ITEMS; i++) {
		u64 entry = entry_load(&table[i]);
		const u64 *child;

		if (fmt_type(entry, level) == PT_EMPTY)
			continue;
		if (fmt_type(entry, level) == PT_LEAF || --*budget < 0)
			return false;
		child = table_at(pt, fmt_table_phys(entry));
		if (!child || !table_is_empty(pt, child, level - 1, budget))
			return false;
	}
	return true;
}

/* Unlink all tables below @table, which has become unreachable or is about to be. */
static void collect_tables(struct pgtable *pt, u64 *table, unsigned level,
			   struct iommu_pages_list *freed)
{
	for (unsigned i = 0; level && i < PT_ITEMS; i++) {
		u64 entry = entry_load(&table[i]);
		phys_addr_t phys = fmt_table_phys(entry);
		u64 *child;

		if (fmt_type(entry, level) != PT_TABLE)
			continue;
		child = table_at(pt, phys);
		if (!child ||
		    __atomic_fetch_sub(&pt->nr_tables, 1, __ATOMIC_RELAXED) <= 0)
			continue;
		collect_tables(pt, child, level - 1, freed);
		cursor_drop(pt, phys);
		iommu_pages_list_add(pt->machine, freed, phys);
	}
}

/* Make room for a page at @item, of level @level: only empty tables may be there. */
static int item_vacate(struct pgtable *pt, u64 *item, unsigned level,
		       struct iommu_pages_list *freed)
{
	u64 entry = entry_load(item);
	s32 budget = __atomic_load_n(&pt->nr_tables, __ATOMIC_RELAXED);
	phys_addr_t phys;
	u64 *table;

	if (fmt_type(entry, level) == PT_EMPTY)
		return 0;
	if (fmt_type(entry, level) == PT_LEAF)
		return -EADDRINUSE;
	phys = fmt_table_phys(entry);
	table = table_at(pt, phys);
	if (!table || !table_is_empty(pt, table, level - 1, &budget))
		return -EADDRINUSE;
	entry_store(item, 0);
	collect_tables(pt, table, level - 1, freed);
	cursor_drop(pt, phys);
	__atomic_fetch_sub(&pt->nr_tables, 1, __ATOMIC_RELAXED);
	iommu_pages_list_add(pt->machine, freed, phys);
	return 0;
}

/* Pages of one size, up to the end of one table. *@done grows by the bytes mapped. */
static int map_items(struct pgtable *pt, u64 *table, unsigned level, iova_t iova,
		     iova_t last, phys_addr_t paddr, unsigned lg2, u64 attrs, u64 *done,
		     struct iommu_pages_list *freed)
{
	unsigned step = 1U << (lg2 - item_lg2(level));
	unsigned index = item_index(iova, level);
	u64 count = ((last - iova) >> lg2) + 1;
	int rc = 0;

	count = min_t(u64, count, (PT_ITEMS - index) / step);
	for (; count; count--, index += step) {
		u64 value;

		for (unsigned i = 0; i < step && !rc; i++) {
			if (unlikely(entry_load(&table[index + i])))
				rc = item_vacate(pt, &table[index + i], level, freed);
		}
		if (rc)
			return rc;
		value = fmt_leaf(paddr, lg2, level, attrs);
		for (unsigned i = 0; i < step; i++)
			entry_store(&table[index + i], value);
		paddr += 1ULL << lg2;
		*done += 1ULL << lg2;
	}
	return 0;
}

static int map_range(struct pgtable *pt, iova_t iova, phys_addr_t paddr, u64 size,
		     unsigned prot, u64 *mapped, struct iommu_pages_list *freed)
{
	phys_addr_t paddr_last;
	u64 attrs, done = 0;
	iova_t last;
	int rc;

	if (!(prot & (PGTABLE_READ | PGTABLE_WRITE)))
		return -EINVAL;
	rc = fmt_attrs(pt, prot, &attrs);
	if (!rc)
		rc = range_last(pt, iova, size, &last);
	if (rc)
		return rc;
	if (check_add_overflow(paddr, size - 1, &paddr_last) || paddr_last >> pt->oa_bits)
		return -ERANGE;

	/* One page below a table that is known. */
	if (size == PAGE_SIZE && !((iova | paddr) & ~PAGE_MASK) &&
	    (pt->pgsize_bitmap & PAGE_SIZE)) {
		u64 *table = cursor_get(pt, iova);

		if (table) {
			u64 *item = &table[item_index(iova, 0)];

			if (unlikely(fmt_type(entry_load(item), 0) != PT_EMPTY))
				return -EADDRINUSE;
			entry_store(item, fmt_leaf(paddr, PAGE_SHIFT, 0, attrs));
			*mapped += PAGE_SIZE;
			return 0;
		}
	}

	if (best_lg2(pt->pgsize_bitmap, iova, last, paddr) < 0)
		return -ENXIO;
	if (!top_spans(__atomic_load_n(&pt->top, __ATOMIC_ACQUIRE), last)) {
		rc = pt->dynamic_top ? grow_top(pt, last, 0) : -ERANGE;
		if (rc)
			return rc;
	}
	while (done < size) {
		iova_t at = iova + done;
		int lg2 = best_lg2(pt->pgsize_bitmap, at, last, paddr + done);
		iova_t until;
		unsigned level;

		if (lg2 < 0) {
			rc = -ENXIO;
			break;
		}
		until = run_last(pt->pgsize_bitmap, at, last, paddr + done,
				 (unsigned)lg2);
		level = (unsigned)(lg2 - PAGE_SHIFT) / 9;
		/* A page can be an entry of the top only if there is one at that level.
		 */
		if (level > pgtable_top_level(pt))
			rc = pt->dynamic_top ? grow_top(pt, last, level) : -ENXIO;
		do {
			u64 *table, before = done;

			if (!rc)
				rc = table_get(pt, at, level, &table);
			if (!rc)
				rc = map_items(pt, table, level, at, until, paddr + done,
					       (unsigned)lg2, attrs, &done, freed);
			at += done - before;
		} while (!rc && at - 1 != until);
		if (rc)
			break;
	}
	*mapped += done;
	return rc;
}

/* --- unmap ------------------------------------------------------------------- */

static int unmap_level(struct pgtable *pt, phys_addr_t phys, unsigned level, iova_t iova,
		       iova_t last, u64 *unmapped, struct iommu_pages_list *freed)
{
	u64 *table = table_at(pt, phys), item_size = 1ULL << item_lg2(level);
	unsigned index = item_index(iova, level);

	if (unlikely(!table))
		return -EINVAL;
	for (;;) {
		u64 entry = entry_load(&table[index]);
		iova_t item_last = iova | (item_size - 1);

		switch (fmt_type(entry, level)) {
		case PT_EMPTY:
			return -EINVAL;
		case PT_LEAF: {
			unsigned contig = fmt_contig_lg2(entry, level);
			u64 page = item_size << contig;

			/* Begins inside a page: that is not ours to take. */
			if ((iova & (page - 1)) || index + (1U << contig) > PT_ITEMS)
				return -EINVAL;
			for (unsigned i = 0; i < 1U << contig; i++)
				entry_store(&table[index + i], 0);
			index += 1U << contig;
			*unmapped += page;
			item_last = iova + (page - 1);
			break;
		}
		case PT_TABLE: {
			phys_addr_t child = fmt_table_phys(entry);
			bool whole = !(iova & (item_size - 1)) && item_last <= last;
			int rc;

			/* Damaged tables may point in a circle. */
			if (whole && __atomic_fetch_sub(&pt->nr_tables, 1,
							__ATOMIC_RELAXED) <= 0) {
				__atomic_fetch_add(&pt->nr_tables, 1, __ATOMIC_RELAXED);
				return -EINVAL;
			}
			if (level == 1 && !whole)
				cursor_set(pt, iova, child & PAGE_MASK);
			rc = unmap_level(pt, child, level - 1, iova, min(last, item_last),
					 unmapped, freed);
			if (rc) {
				if (whole)
					__atomic_fetch_add(&pt->nr_tables, 1,
							   __ATOMIC_RELAXED);
				return rc;
			}
			if (whole) {
				entry_store(&table[index], 0);
				cursor_drop(pt, child);
				iommu_pages_list_add(pt->machine, freed, child);
			}
			index++;
			break;
		}
		}
		if (item_last >= last || index >= PT_ITEMS)
			return 0;
		iova = item_last + 1;
	}
}

static u64 unmap_range(struct pgtable *pt, iova_t iova, u64 size,
		       struct iommu_pages_list *freed)
{
	u64 top, unmapped = 0;
	u64 *table;
	iova_t last;

	if (range_last(pt, iova, size, &last))
		return 0;
	if (size == PAGE_SIZE && (table = cursor_get(pt, iova))) {
		u64 *item = &table[item_index(iova, 0)];
		u64 entry = entry_load(item);

		if (fmt_type(entry, 0) == PT_LEAF && !fmt_contig_lg2(entry, 0) &&
		    !(iova & ~PAGE_MASK)) {
			entry_store(item, 0);
			return PAGE_SIZE;
		}
	}
	top = __atomic_load_n(&pt->top, __ATOMIC_ACQUIRE);
	if (!top_spans(top, iova))
		return 0;
	unmap_level(pt, top & PAGE_MASK, (unsigned)(top & ~PAGE_MASK), iova, last,
		    &unmapped, freed);
	return unmapped;
}

/* --- read -------------------------------------------------------------------- */

static phys_addr_t iova_to_phys(const struct pgtable *pt, iova_t iova)
{
	u64 top = __atomic_load_n(&pt->top, __ATOMIC_ACQUIRE);
	const u64 *table = table_at(pt, top & PAGE_MASK);
	unsigned level = (unsigned)(top & ~PAGE_MASK);

	if (!top_spans(top, iova) || (pt->va_bits < 64 && iova >> pt->va_bits))
		return 0;
	for (; table; level--) {
		u64 entry = entry_load(&table[item_index(iova, level)]);
		u64 page;

		switch (fmt_type(entry, level)) {
		case PT_EMPTY:
			return 0;
		case PT_LEAF:
			page = 1ULL << (item_lg2(level) + fmt_contig_lg2(entry, level));
			return fmt_leaf_phys(entry) | (iova & (page - 1));
		case PT_TABLE:
			table = table_at(pt, fmt_table_phys(entry));
			break;
		}
	}
	return 0;
}

struct dirty_walk {
	u32 flags;
	s32 budget; /* tables, for tables that are damaged */
	pgtable_dirty_fn record;
	void *data;
};

static void dirty_level(struct pgtable *pt, u64 *table, unsigned level, iova_t iova,
			iova_t last, struct dirty_walk *walk)
{
	u64 item_size = 1ULL << item_lg2(level);

	if (!table || walk->budget-- < 0)
		return;
	for (unsigned index = item_index(iova, level); index < PT_ITEMS;) {
		u64 entry = entry_load(&table[index]);
		iova_t item_last = iova | (item_size - 1);
		unsigned first = index, count = 1;
		bool dirty = false;

		switch (fmt_type(entry, level)) {
		case PT_EMPTY:
			break;
		case PT_TABLE:
			dirty_level(pt, table_at(pt, fmt_table_phys(entry)), level - 1,
				    iova, min(last, item_last), walk);
			break;
		case PT_LEAF:
			count = 1U << fmt_contig_lg2(entry, level);
			first &= ~(count - 1);
			item_last = iova | ((item_size * count) - 1);
			for (unsigned i = first; i < first + count; i++)
				dirty |= entry_load(&table[i]) & FMT_DIRTY;
			if (!dirty)
				break;
			for (unsigned i = first; i < first + count; i++) {
				if (!(walk->flags & PGTABLE_DIRTY_NO_CLEAR))
					__atomic_fetch_and(&table[i], ~(u64)FMT_DIRTY,
							   __ATOMIC_ACQ_REL);
			}
			walk->record(walk->data, iova,
				     count == 1 ? (iova | (item_size - 1)) - iova + 1
						: min(last, item_last) - iova + 1);
			break;
		}
		if (item_last >= last)
			return;
		iova = item_last + 1;
		index = first + count;
	}
}

static __maybe_unused int read_and_clear_dirty(struct pgtable *pt, iova_t iova, u64 size,
					       u32 flags, pgtable_dirty_fn record,
					       void *data)
{
	u64 top = __atomic_load_n(&pt->top, __ATOMIC_ACQUIRE);
	struct dirty_walk walk = {
		.flags = flags,
		.budget = __atomic_load_n(&pt->nr_tables, __ATOMIC_RELAXED) + 1,
		.record = record,
		.data = data,
	};
	iova_t last;
	int rc = range_last(pt, iova, size, &last);

	if (rc)
		return rc;
	if (top_spans(top, iova))
		dirty_level(pt, table_at(pt, top & PAGE_MASK),
			    (unsigned)(top & ~PAGE_MASK), iova, last, &walk);
	return 0;
}

static void free_tables(struct pgtable *pt)
{
	struct iommu_pages_list freed = IOMMU_PAGES_LIST_INIT;

	collect_tables(pt, table_at(pt, pgtable_top(pt)), pgtable_top_level(pt), &freed);
	iommu_put_pages_list(pt->machine, &freed);
}

static u64 possible_sizes(unsigned top_level)
{
	u64 sizes = 0;

	for (unsigned level = 0; level <= top_level && level <= FMT_MAX_TOP; level++)
		sizes |= fmt_sizes(level);
	return sizes;
}

const struct pgtable_format FMT = {
	.name = FMT_NAME,
	.min_top_level = FMT_MIN_TOP,
	.max_top_level = FMT_MAX_TOP,
	.max_va_bits = FMT_VA_BITS,
	.max_oa_bits = FMT_OA_BITS,
	.possible_sizes = possible_sizes,
	.map_range = map_range,
	.unmap_range = unmap_range,
	.iova_to_phys = iova_to_phys,
	.read_and_clear_dirty = FMT_DIRTY ? read_and_clear_dirty : NULL,
	.free_tables = free_tables,
};
