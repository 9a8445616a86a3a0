// SPDX-License-Identifier: MIT
/*
 * One body for every format: random maps and unmaps against a flat reference that
 * keeps, for each 4 KiB of a window, what is mapped there and by what size of page; and
 * a walk of the tables as hardware does it, written from the specifications.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/alloc.h"
#include "base/bitmap.h"
#include "base/fault_inject.h"
#include "base/rand.h"
#include "machine/machine.h"
#include "pgtable/pgtable.h"

/* --- machine RAM that counts ------------------------------------------------- */

#define RAM_PAGES 8192U

static struct hw_header header;
static struct machine machine;
static DECLARE_BITMAP(ram_used, RAM_PAGES);
static DEFINE_MUTEX(ram_lock);

int ram_alloc_pages(struct machine *m, unsigned order, phys_addr_t *out)
{
	u64 page;

	guard(mutex)(&ram_lock);
	page = find_next_zero_bit(ram_used, RAM_PAGES, 1);
	if (should_fail("ram") || page == RAM_PAGES)
		return -ENOMEM;
	__set_bit(page, ram_used);
	*out = page << PAGE_SHIFT;
	memset(m->hw.ram + *out, 0, PAGE_SIZE);
	return 0;
}

void ram_free_pages(struct machine *m, phys_addr_t phys, unsigned order)
{
	guard(mutex)(&ram_lock);
	assert_true(__test_and_clear_bit(phys >> PAGE_SHIFT, ram_used));
	memset(m->hw.ram + phys, 0xa5, PAGE_SIZE);
}

static int setup(void **state)
{
	header.ram_size = RAM_PAGES * PAGE_SIZE;
	machine.hw.hdr = &header;
	machine.hw.ram = aligned_alloc(PAGE_SIZE, header.ram_size);
	return !machine.hw.ram;
}

static int teardown(void **state)
{
	free(machine.hw.ram);
	return 0;
}

/* --- hardware's walk --------------------------------------------------------- */

struct found {
	u64 *entry;
	unsigned count; /* entries that repeat */
	phys_addr_t phys;
	u64 page; /* bytes */
	bool readable, writable;
};

static bool walk_vtdss(phys_addr_t top, unsigned level, iova_t iova, struct found *found)
{
	for (;; level--) {
		u64 *entry =
			(u64 *)(machine.hw.ram + top) + (iova >> (12 + 9 * level)) % 512;
		u64 value = *entry;

		if (!(value & 3))
			return false;
		if (!level || value & BIT(7)) {
			assert_true(level <= 2);
			found->entry = entry;
			found->count = 1;
			found->page = 1ULL << (12 + 9 * level);
			found->phys = value & 0xffffffffff000ULL;
			found->readable = value & BIT(0);
			found->writable = value & BIT(1);
			assert_int_equal(found->phys % found->page, 0);
			return true;
		}
		assert_int_equal(value & 0xff8, 0);
		top = value & 0xffffffffff000ULL;
	}
}

static bool walk_x86_64(phys_addr_t top, unsigned level, iova_t iova, struct found *found)
{
	for (;; level--) {
		u64 *entry =
			(u64 *)(machine.hw.ram + top) + (iova >> (12 + 9 * level)) % 512;
		u64 value = *entry;

		if (!(value & BIT(0)))
			return false;
		if (!level || value & BIT(7)) {
			assert_true(level <= 2);
			found->entry = entry;
			found->count = 1;
			found->page = 1ULL << (12 + 9 * level);
			found->phys = value & 0xffffffffff000ULL;
			found->readable = true;
			found->writable = value & BIT(1);
			assert_int_equal(found->phys % found->page, 0);
			return true;
		}
		assert_true(value & BIT(1) && value & BIT(2));
		top = value & 0xffffffffff000ULL;
	}
}

static bool walk_amdv1(phys_addr_t top, unsigned level, iova_t iova, struct found *found)
{
	for (;; level--) {
		u64 *entry =
			(u64 *)(machine.hw.ram + top) + (iova >> (12 + 9 * level)) % 512;
		u64 value = *entry, address = value & 0xffffffffff000ULL;
		unsigned next = (value >> 9) & 7;

		if (!(value & BIT(0)))
			return false;
		if (next == 0 || next == 7) {
			found->page = 1ULL << (12 + 9 * level);
			if (next == 7) {
				/* The lowest clear address bit n: a page of 2^(n + 1). */
				for (found->page = 0x2000; address & (found->page / 2);)
					found->page *= 2;
			}
			found->phys = address & ~(found->page - 1);
			found->count = (unsigned)(found->page >> (12 + 9 * level));
			assert_true(found->count >= 1 && found->count <= 256);
			found->entry = (u64 *)((uintptr_t)entry &
					       ~((uintptr_t)found->count * 8 - 1));
			for (unsigned i = 0; i < found->count; i++)
				assert_int_equal((found->entry[i] ^ value) & ~(u64)BIT(6),
						 0);
			found->readable = value & BIT_ULL(61);
			found->writable = value & BIT_ULL(62);
			return true;
		}
		assert_int_equal(next, level);
		assert_true((value & BIT_ULL(61)) && (value & BIT_ULL(62)));
		top = address;
	}
}

/* --- the reference ----------------------------------------------------------- */

#define WINDOW (3 * SZ_1G)
#define PAGES  (WINDOW / PAGE_SIZE)

struct format_case {
	const char *name;
	const struct pgtable_format *fmt;
	struct pgtable_config config;
	bool (*walk)(phys_addr_t top, unsigned level, iova_t iova, struct found *found);
	iova_t base; /* where the window lies */
	unsigned steps;
};

struct flat {
	phys_addr_t phys;
	u8 lg2; /* of the page; 0: nothing mapped */
	u8 first : 1, read : 1, write : 1, dirty : 1;
};

static struct flat *flat;

static unsigned reference_lg2(const struct pgtable *pt, iova_t iova, u64 size,
			      phys_addr_t phys)
{
	for (unsigned lg2 = 63; lg2 >= 12; lg2--) {
		u64 page = 1ULL << lg2;

		if ((pt->pgsize_bitmap & page) && page <= size && !(iova % page) &&
		    !(phys % page))
			return lg2;
	}
	return 0;
}

static int reference_map(const struct pgtable *pt, iova_t base, iova_t iova,
			 phys_addr_t phys, u64 size, unsigned prot, u64 *mapped)
{
	while (*mapped < size) {
		unsigned lg2 =
			reference_lg2(pt, iova + *mapped, size - *mapped, phys + *mapped);
		struct flat *at = &flat[(iova + *mapped - base) / PAGE_SIZE];

		for (u64 i = 0; i < (1ULL << lg2) / PAGE_SIZE; i++) {
			if (at[i].lg2)
				return -EADDRINUSE;
		}
		for (u64 i = 0; i < (1ULL << lg2) / PAGE_SIZE; i++) {
			at[i] = (struct flat){.phys = phys + *mapped + i * PAGE_SIZE,
					      .lg2 = (u8)lg2,
					      .first = !i,
					      .read = prot & 1,
					      .write = prot >> 1 & 1};
		}
		*mapped += 1ULL << lg2;
	}
	return 0;
}

static u64 reference_unmap(iova_t base, iova_t iova, u64 size)
{
	u64 done = 0;

	while (done < size) {
		struct flat *at = &flat[(iova + done - base) / PAGE_SIZE];
		u64 page = 1ULL << at->lg2;

		if (!at->lg2 || !at->first)
			break;
		memset(at, 0, page / PAGE_SIZE * sizeof(*at));
		done += page;
	}
	return done;
}

static void check_page(const struct format_case *c, const struct pgtable *pt, u64 page)
{
	iova_t iova = c->base + page * PAGE_SIZE;
	struct found found;
	bool present;
	u64 low;

	assert_int_equal(pgtable_iova_to_phys(pt, iova + 5),
			 flat[page].lg2 ? flat[page].phys + 5 : 0);
	if (pgtable_top_level(pt) < 5 && iova >> (12 + 9 * (pgtable_top_level(pt) + 1)))
		present = false;
	else
		present = c->walk(pgtable_top(pt), pgtable_top_level(pt), iova, &found);
	assert_int_equal(present, !!flat[page].lg2);
	if (!present)
		return;
	low = iova & (found.page - 1);
	assert_int_equal(found.page, 1ULL << flat[page].lg2);
	assert_int_equal(found.phys + low, flat[page].phys);
	assert_int_equal(found.writable, flat[page].write);
	if (c->fmt != &pgtable_x86_64)
		assert_int_equal(found.readable, flat[page].read);
}

static u64 random_size(struct rnd *r)
{
	switch (rnd_below(r, 400)) {
	case 0:
		return rnd_below(r, 2 * SZ_1G / PAGE_SIZE) + 1;
	case 1 ... 40:
		return rnd_below(r, 4096) + 1;
	case 41 ... 60:
		return 512 * (rnd_below(r, 4) + 1);
	case 61 ... 200:
		return 1;
	default:
		return rnd_below(r, 64) + 1;
	}
}

/* Empty the window, so that long runs find room again. */
static void unmap_all(const struct format_case *c, struct pgtable *pt,
		      struct iommu_pages_list *freed)
{
	u64 page = 0;

	while (page < PAGES) {
		iova_t iova = c->base + page * PAGE_SIZE;
		u64 size = (PAGES - page) * PAGE_SIZE, got;

		if (!flat[page].lg2) {
			page++;
			continue;
		}
		got = pgtable_unmap_range(pt, iova, size, freed);
		assert_int_equal(got, reference_unmap(c->base, iova, size));
		page += got / PAGE_SIZE;
	}
}

static void pgtable_random_equals_flat_map(void **state)
{
	const struct format_case *c = *state;
	struct iommu_pages_list freed = IOMMU_PAGES_LIST_INIT;
	struct pgtable pt;
	struct rnd r;

	rnd_seed(&r, 7);
	flat = calloc(PAGES, sizeof(*flat));
	assert_non_null(flat);
	assert_int_equal(pgtable_init(&pt, &machine, c->fmt, &c->config), 0);
	for (unsigned step = 0; step < c->steps; step++) {
		u64 pages = random_size(&r), got = 0, expect = 0;
		u64 page = rnd_one_in(&r, 3) ? rnd_below(&r, 1024) : rnd_below(&r, PAGES);
		iova_t iova;
		phys_addr_t phys;
		unsigned prot = 1 + (unsigned)rnd_below(&r, 3);
		int rc, want;

		if (rnd_one_in(&r, 4))
			page &= ~511ULL;
		if (rnd_one_in(&r, 16))
			page &= ~0x3ffffULL;
		pages = min(pages, PAGES - page);
		iova = c->base + page * PAGE_SIZE;
		phys = rnd_below(&r, 64) << 30;
		phys += rnd_one_in(&r, 2) ? iova % SZ_1G
					  : rnd_below(&r, SZ_1G / PAGE_SIZE) << 12;
		if (rnd_one_in(&r, 2)) {
			rc = pgtable_map_range(&pt, iova, phys, pages * PAGE_SIZE, prot,
					       &got, &freed);
			want = reference_map(&pt, c->base, iova, phys, pages * PAGE_SIZE,
					     prot, &expect);
			assert_int_equal(rc, want);
			assert_int_equal(got, expect);
			if (rc && got) {
				assert_int_equal(
					pgtable_unmap_range(&pt, iova, got, &freed), got);
				reference_unmap(c->base, iova, got);
			}
		} else {
			got = pgtable_unmap_range(&pt, iova, pages * PAGE_SIZE, &freed);
			assert_int_equal(got, reference_unmap(c->base, iova,
							      pages * PAGE_SIZE));
		}
		if (rnd_one_in(&r, 4))
			iommu_put_pages_list(&machine, &freed);
		check_page(c, &pt, page);
		check_page(c, &pt, page + pages - 1);
		check_page(c, &pt, rnd_below(&r, PAGES));
		if (step % 2048 == 2047)
			unmap_all(c, &pt, &freed);
	}
	for (u64 page = 0; page < PAGES; page += 7)
		check_page(c, &pt, page);
	iommu_put_pages_list(&machine, &freed);
	pgtable_destroy(&pt);
	assert_true(bitmap_empty(ram_used, RAM_PAGES));
	free(flat);
}

/* --- cases ------------------------------------------------------------------- */

static void pgtable_unmap_whole_frees_all_tables(void **state)
{
	const struct format_case *c = *state;
	struct found found;
	struct iommu_pages_list freed = IOMMU_PAGES_LIST_INIT;
	u64 mapped = 0;
	struct pgtable pt;

	assert_int_equal(pgtable_init(&pt, &machine, c->fmt, &c->config), 0);
	/* Never congruent, so all of it is 4 KiB pages. */
	assert_int_equal(pgtable_map_range(&pt, c->base, 0x3000, SZ_2M * 5, 3, &mapped,
					   &freed),
			 0);
	assert_int_equal(mapped, SZ_2M * 5);
	assert_int_equal(pgtable_unmap_range(&pt, c->base, SZ_2M * 5, &freed), SZ_2M * 5);
	assert_int_equal(freed.count, 5);
	/* The pages are still there: hardware may be walking them. */
	assert_true(bitmap_weight(ram_used, RAM_PAGES) >= 6);
	iommu_put_pages_list(&machine, &freed);
	/* Nothing remembers a table that is gone. */
	mapped = 0;
	assert_int_equal(pgtable_map_range(&pt, c->base + SZ_2M * 4, 0x5000, SZ_4K, 3,
					   &mapped, &freed),
			 0);
	assert_true(c->walk(pgtable_top(&pt), pgtable_top_level(&pt), c->base + SZ_2M * 4,
			    &found));
	assert_int_equal(found.phys, 0x5000);
	pgtable_destroy(&pt);
	assert_true(bitmap_empty(ram_used, RAM_PAGES));
}

static void pgtable_large_page_over_empty_tables_frees_them(void **state)
{
	const struct format_case *c = *state;
	struct iommu_pages_list freed = IOMMU_PAGES_LIST_INIT;
	iova_t base = ALIGN(c->base, SZ_1G);
	u64 mapped = 0;
	struct pgtable pt;

	assert_int_equal(pgtable_init(&pt, &machine, c->fmt, &c->config), 0);
	assert_int_equal(pgtable_map_range(&pt, base + SZ_2M, SZ_4K, SZ_4K, 3, &mapped,
					   &freed),
			 0);
	mapped = 0;
	assert_int_equal(pgtable_map_range(&pt, base, 0, SZ_1G, 3, &mapped, &freed),
			 -EADDRINUSE);
	assert_int_equal(mapped, 0);
	assert_int_equal(pgtable_unmap_range(&pt, base + SZ_2M, SZ_4K, &freed), SZ_4K);
	assert_int_equal(freed.count, 0);
	assert_int_equal(pgtable_map_range(&pt, base, 0, SZ_1G, 3, &mapped, &freed), 0);
	assert_int_equal(freed.count, 2);
	/* A stale cursor would write into a table that is gone. */
	assert_int_equal(pgtable_map_range(&pt, base + SZ_2M, 0, SZ_4K, 3, &mapped,
					   &freed),
			 -EADDRINUSE);
	assert_int_equal(pgtable_unmap_range(&pt, base + SZ_2M, SZ_4K, &freed), 0);
	assert_int_equal(pgtable_unmap_range(&pt, base, SZ_4K, &freed), SZ_1G);
	iommu_put_pages_list(&machine, &freed);
	pgtable_destroy(&pt);
	assert_true(bitmap_empty(ram_used, RAM_PAGES));
}

static void pgtable_bad_arguments_are_refused(void **state)
{
	const struct format_case *c = *state;
	struct iommu_pages_list freed = IOMMU_PAGES_LIST_INIT;
	u64 mapped = 0;
	struct pgtable pt;

	assert_int_equal(pgtable_init(&pt, &machine, c->fmt, &c->config), 0);
	assert_int_equal(pgtable_map_range(&pt, 0, 0, 0, 3, &mapped, &freed), -EINVAL);
	assert_int_equal(pgtable_map_range(&pt, 0, 0, SZ_4K, 0, &mapped, &freed),
			 -EINVAL);
	assert_int_equal(pgtable_map_range(&pt, 0x800, 0, SZ_4K, 3, &mapped, &freed),
			 -ENXIO);
	assert_int_equal(pgtable_map_range(&pt, 0, 0x10, SZ_4K, 3, &mapped, &freed),
			 -ENXIO);
	assert_int_equal(pgtable_map_range(&pt, ~0ULL << 12, 0, SZ_4K * 2, 3, &mapped,
					   &freed),
			 -EOVERFLOW);
	assert_int_equal(pgtable_map_range(&pt, 0, 1ULL << 52, SZ_4K, 3, &mapped, &freed),
			 -ERANGE);
	if (pt.va_bits < 64) {
		assert_int_equal(pgtable_map_range(&pt, 1ULL << pt.va_bits, 0, SZ_4K, 3,
						   &mapped, &freed),
				 -ERANGE);
		assert_int_equal(pgtable_map_range(&pt, (1ULL << pt.va_bits) - SZ_4K, 0,
						   SZ_4K * 2, 3, &mapped, &freed),
				 -ERANGE);
		assert_int_equal(
			pgtable_unmap_range(&pt, 1ULL << pt.va_bits, SZ_4K, &freed), 0);
	}
	assert_int_equal(mapped, 0);
	assert_int_equal(pgtable_unmap_range(&pt, 0, 0, &freed), 0);
	assert_int_equal(pgtable_unmap_range(&pt, 0, UINT64_MAX, &freed), 0);
	pgtable_destroy(&pt);
	assert_true(bitmap_empty(ram_used, RAM_PAGES));
}

static void pgtable_map_without_memory_reports_what_it_mapped(void **state)
{
	const struct format_case *c = *state;
	struct pgtable pt;
	int rc;

	for (u64 nth = 1;; nth++) {
		struct iommu_pages_list freed = IOMMU_PAGES_LIST_INIT;
		u64 mapped = 0;

		assert_int_equal(pgtable_init(&pt, &machine, c->fmt, &c->config), 0);
		fault_inject_arm(nth);
		rc = pgtable_map_range(&pt, c->base, 0x3000, SZ_2M * 3, 3, &mapped,
				       &freed);
		if (!fault_inject_disarm())
			break;
		assert_int_equal(rc, -ENOMEM);
		assert_int_equal(mapped % SZ_2M, 0);
		assert_true(mapped < SZ_2M * 3);
		assert_int_equal(
			mapped ? pgtable_unmap_range(&pt, c->base, mapped, &freed) : 0,
			mapped);
		iommu_put_pages_list(&machine, &freed);
		pgtable_destroy(&pt);
		assert_true(bitmap_empty(ram_used, RAM_PAGES));
	}
	assert_int_equal(rc, 0);
	pgtable_destroy(&pt);
}

struct dirty_log {
	u64 bytes;
	iova_t first, last;
};

static void log_dirty(void *data, iova_t iova, u64 length)
{
	struct dirty_log *log = data;

	if (!log->bytes)
		log->first = iova;
	log->last = iova + length - 1;
	log->bytes += length;
}

static void pgtable_dirty_is_read_and_cleared(void **state)
{
	const struct format_case *c = *state;
	struct iommu_pages_list freed = IOMMU_PAGES_LIST_INIT;
	iova_t base = ALIGN(c->base, SZ_1G);
	u64 dirty = c->fmt == &pgtable_amdv1 ? BIT_ULL(6) : BIT_ULL(9);
	struct dirty_log log = {0};
	struct found found;
	u64 mapped = 0;
	struct pgtable pt;

	assert_int_equal(pgtable_init(&pt, &machine, c->fmt, &c->config), 0);
	assert_int_equal(pgtable_map_range(&pt, base, 0, SZ_2M + 16 * SZ_4K, 3, &mapped,
					   &freed),
			 0);
	if (!c->fmt->read_and_clear_dirty) {
		assert_int_equal(pgtable_read_and_clear_dirty(&pt, base, SZ_4K, 0,
							      log_dirty, &log),
				 -EOPNOTSUPP);
		goto out;
	}
	assert_int_equal(
		pgtable_read_and_clear_dirty(&pt, base, SZ_1G, 0, log_dirty, &log), 0);
	assert_int_equal(log.bytes, 0);
	assert_true(c->walk(pgtable_top(&pt), pgtable_top_level(&pt),
			    base + SZ_2M + SZ_4K * 3, &found));
	found.entry[found.count - 1] |= dirty;
	for (u32 flags = PGTABLE_DIRTY_NO_CLEAR;; flags = 0) {
		log = (struct dirty_log){0};
		assert_int_equal(pgtable_read_and_clear_dirty(&pt, base, SZ_1G, flags,
							      log_dirty, &log),
				 0);
		assert_int_equal(log.bytes, found.page);
		assert_int_equal(log.first,
				 (base + SZ_2M + SZ_4K * 3) & ~(found.page - 1));
		if (!flags)
			break;
		assert_true(found.entry[found.count - 1] & dirty);
	}
	assert_false(found.entry[found.count - 1] & dirty);
out:
	pgtable_destroy(&pt);
	assert_true(bitmap_empty(ram_used, RAM_PAGES));
}

static void pgtable_damaged_tables_cost_no_more_than_what_was_built(void **state)
{
	const struct format_case *c = *state;
	struct iommu_pages_list freed = IOMMU_PAGES_LIST_INIT;
	struct dirty_log log = {0};
	u64 mapped = 0;
	struct pgtable pt;
	struct rnd r;

	rnd_seed(&r, 9);
	for (unsigned round = 0; round < 200; round++) {
		u64 *top;

		memset(ram_used, 0, sizeof(ram_used));
		assert_int_equal(pgtable_init(&pt, &machine, c->fmt, &c->config), 0);
		assert_int_equal(pgtable_map_range(&pt, c->base, 0, SZ_2M * 3, 3, &mapped,
						   &freed),
				 0);
		top = (u64 *)(machine.hw.ram + pgtable_top(&pt));
		/* Every entry of the top points somewhere, mostly back at the top. */
		for (unsigned i = 0; i < 512; i++) {
			u64 where = rnd_one_in(&r, 4) ? rnd_u64(&r) & 0xffffffffff000ULL
						      : pgtable_top(&pt);

			top[i] = where | 3 | (u64)(round % 8) << 9 |
				 (round & 8 ? 0x80 : 0) | 3ULL << 61;
		}
		pgtable_iova_to_phys(&pt, rnd_u64(&r));
		pgtable_read_and_clear_dirty(&pt, 0, 1ULL << 38, 0, log_dirty, &log);
		if (!pgtable_map_range(&pt, 0, 0, 1ULL << 38, 3, &mapped, &freed))
			assert_int_not_equal(mapped, 0);
		pgtable_unmap_range(&pt, 0, 1ULL << 38, &freed);
		freed = IOMMU_PAGES_LIST_INIT;
	}
	memset(ram_used, 0, sizeof(ram_used));
}

/* --- several threads, each in a range of its own ------------------------------ */

#define THREADS 4

struct worker {
	const struct format_case *c;
	struct pgtable *pt;
	unsigned number, rounds;
	pthread_barrier_t *start;
	bool failed;
};

static void *work(void *data)
{
	struct worker *w = data;
	struct iommu_pages_list freed = IOMMU_PAGES_LIST_INIT;
	/* Neighbours share all tables but the lowest. */
	iova_t base = ALIGN(w->c->base, SZ_1G) + w->number * SZ_2M;
	struct rnd r;

	rnd_seed(&r, w->number);
	pthread_barrier_wait(w->start);
	for (unsigned round = 0; round < w->rounds && !w->failed; round++) {
		u64 first = rnd_below(&r, 512), n = 1 + rnd_below(&r, 512 - first),
		    mapped = 0;
		phys_addr_t phys = 0x1000 + (u64)w->number * SZ_1G + round * SZ_4K;
		iova_t iova = base + first * SZ_4K;

		if (rnd_one_in(&r, 4))
			first = 0, n = 512, iova = base, phys = w->number * SZ_2M;
		if (pgtable_map_range(w->pt, iova, phys, n * SZ_4K, 3, &mapped, &freed) ||
		    pgtable_iova_to_phys(w->pt, iova + n * SZ_4K - 1) !=
			    phys + n * SZ_4K - 1 ||
		    pgtable_unmap_range(w->pt, iova, n * SZ_4K, &freed) != n * SZ_4K ||
		    pgtable_iova_to_phys(w->pt, iova))
			w->failed = true;
		iommu_put_pages_list(&machine, &freed);
	}
	return NULL;
}

static void run_threads(const struct format_case *c, unsigned rounds)
{
	struct worker workers[THREADS];
	pthread_t threads[THREADS];
	pthread_barrier_t barrier;
	struct pgtable pt;

	assert_int_equal(pgtable_init(&pt, &machine, c->fmt, &c->config), 0);
	pthread_barrier_init(&barrier, NULL, THREADS);
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.c = c,
					     .pt = &pt,
					     .number = i,
					     .rounds = rounds,
					     .start = &barrier};
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_false(workers[i].failed);
	}
	pthread_barrier_destroy(&barrier);
	pgtable_destroy(&pt);
	assert_true(bitmap_empty(ram_used, RAM_PAGES));
}

static void pgtable_threads_in_their_own_ranges_do_not_disturb(void **state)
{
	run_threads(*state, 1000);
	/* Young tables: the threads meet where upper levels are being made. */
	for (unsigned i = 0; i < 300; i++)
		run_threads(*state, 2);
}

int main(void)
{
	static struct format_case cases[] = {
		{"vtdss-3", &pgtable_vtdss, {.top_level = 2}, walk_vtdss, 0, 60000},
		{"vtdss-4",
		 &pgtable_vtdss,
		 {.top_level = 3},
		 walk_vtdss,
		 (1ULL << 47) - SZ_1G,
		 60000},
		{"vtdss-5",
		 &pgtable_vtdss,
		 {.top_level = 4},
		 walk_vtdss,
		 (1ULL << 57) - 3 * SZ_1G,
		 40000},
		{"x86_64-4",
		 &pgtable_x86_64,
		 {.top_level = 3, .va_bits = 47},
		 walk_x86_64,
		 SZ_1G / 2,
		 60000},
		{"x86_64-5",
		 &pgtable_x86_64,
		 {.top_level = 4, .va_bits = 56},
		 walk_x86_64,
		 (1ULL << 56) - 3 * SZ_1G,
		 30000},
		{"amdv1-fixed",
		 &pgtable_amdv1,
		 {.top_level = 3},
		 walk_amdv1,
		 SZ_1G / 4,
		 60000},
		{"amdv1-grows",
		 &pgtable_amdv1,
		 {.top_level = 2, .dynamic_top = true},
		 walk_amdv1,
		 (1ULL << 39) - SZ_1G - SZ_1G / 2,
		 60000},
		{"amdv1-6",
		 &pgtable_amdv1,
		 {.top_level = 2, .dynamic_top = true},
		 walk_amdv1,
		 0 - 3 * SZ_1G,
		 40000},
	};
	struct CMUnitTest tests[ARRAY_SIZE(cases) * 8];
	unsigned n = 0;
	int rc;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
#define CASE(test)                                                                       \
	tests[n++] = (struct CMUnitTest){kasprintf("%s %s", #test, cases[i].name), test, \
					 NULL, NULL, &cases[i]}
		CASE(pgtable_random_equals_flat_map);
		CASE(pgtable_unmap_whole_frees_all_tables);
		CASE(pgtable_large_page_over_empty_tables_frees_them);
		CASE(pgtable_bad_arguments_are_refused);
		CASE(pgtable_map_without_memory_reports_what_it_mapped);
		CASE(pgtable_dirty_is_read_and_cleared);
		CASE(pgtable_threads_in_their_own_ranges_do_not_disturb);
		CASE(pgtable_damaged_tables_cost_no_more_than_what_was_built);
	}
	rc = cmocka_run_group_tests_name("pgtable", tests, setup, teardown);
	while (n)
		kfree(tests[--n].name);
	return rc;
}
