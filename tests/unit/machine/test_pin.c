// SPDX-License-Identifier: MIT
/*
 * Pinning: placement, splitting by relocation, and a long run of random operations
 * against a flat map of pages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fault_inject.h"
#include "base/rand.h"
#include "machine/dma.h"
#include "machine/machine.h"
#include "machine/mm.h"

#define VA_PAGES 4096 /* the program's address space, from VA up */
#define VA	 0x7f0000000000ULL
#define MM	 3

/*
 * The program: each of its virtual pages holds a page's worth of a number, which moves
 * with it. Reading pinned memory must give the number that was there when pinned.
 */
struct prog {
	struct machine *m;
	struct mm mm;
	u32 content[VA_PAGES];
	u64 limit; /* accessible bytes from VA */
	bool special;
};

static struct prog *prog_of(struct hw *hw)
{
	return hw->host;
}

static int mm_read(struct hw *hw, u32 mm, u64 va, void *buf, size_t len)
{
	struct prog *p = prog_of(hw);

	if (mm != MM)
		return -ESRCH;
	for (size_t i = 0; i < len; i++) {
		u64 page = (va + i - VA) >> PAGE_SHIFT;

		if (page >= VA_PAGES || !p->content[page])
			return -EFAULT;
		((u8 *)buf)[i] = p->content[page] >> 8 * ((va + i) & 3);
	}
	return 0;
}

static int mm_write(struct hw *hw, u32 mm, u64 va, const void *buf, size_t len)
{
	u64 page = (va - VA) >> PAGE_SHIFT;

	if (mm != MM || page >= VA_PAGES || len != 4)
		return -EFAULT;
	memcpy(&prog_of(hw)->content[page], buf, 4);
	return 0;
}

static u64 accessible(struct mm *mm, u64 va, u64 len, bool write, bool *special,
		      phys_addr_t *phys)
{
	struct prog *p = mm->private;

	*special = p->special;
	*phys = 0xe0000000;
	if (va < VA || va - VA >= p->limit)
		return 0;
	return min(len, p->limit - (va - VA));
}

static const struct mm_ops mm_ops = {.accessible = accessible};
static const struct hw_host_ops host_ops = {.mm_read = mm_read, .mm_write = mm_write};

static struct prog *prog_new(void)
{
	struct prog *p = calloc(1, sizeof(*p));

	assert_int_equal(machine_create(&p->m, 64 << 20, 1, ""), 0);
	p->m->hw.ops = &host_ops;
	p->m->hw.host = p;
	p->mm.ops = &mm_ops;
	p->mm.machine = p->m;
	p->mm.index = MM;
	p->mm.private = p;
	refcount_set(&p->mm.ref, 1);
	INIT_LIST_HEAD(&p->mm.pins);
	p->limit = VA_PAGES * PAGE_SIZE;
	for (unsigned i = 0; i < VA_PAGES; i++)
		p->content[i] = i + 1;
	return p;
}

static void prog_free(struct prog *p)
{
	assert_int_equal(refcount_read(&p->mm.ref), 1);
	assert_null(p->mm.places);
	assert_int_equal(atomic_load(&p->m->hw.mms[MM].pinned_last), 0);
	machine_destroy(p->m);
	free(p);
}

static u32 read_phys(struct prog *p, u64 phys)
{
	u32 val = 0;

	return phys_read(&p->m->hw, phys, &val, 4) ? 0 : val;
}

static void pin_is_congruent_and_contiguous(void **state)
{
	struct prog *p = prog_new();
	struct pin pin;

	p->limit = ~0ULL - VA;
	for (unsigned lg2 = 12; lg2 < 34; lg2++) {
		u64 len = 1ULL << lg2, want = 0x123456789000ULL;
		u64 bits = len <= SZ_2M ? SZ_2M - 1 : SZ_1G - 1;

		assert_int_equal(pin_user(p->m, &p->mm, VA, len, want, true, &pin), 0);
		assert_int_equal(pin.len, len);
		assert_int_equal(pin.phys & bits, want & bits);
		assert_int_equal(read_phys(p, pin.phys), 1);
		/* Nothing lies before it, nor behind. */
		assert_int_equal(read_phys(p, pin.phys - 4), 0);
		assert_int_equal(read_phys(p, pin.phys + len), 0);
		unpin_user(p->m, &pin);
		assert_int_equal(read_phys(p, pin.phys), 0);
	}
	prog_free(p);
}

static void pin_ends_where_memory_ends(void **state)
{
	struct prog *p = prog_new();
	struct pin pin;

	p->limit = 5 * PAGE_SIZE + 100;
	assert_int_equal(pin_user(p->m, &p->mm, VA + PAGE_SIZE, 100 * PAGE_SIZE, 0, false,
				  &pin),
			 0);
	assert_int_equal(pin.len, 4 * PAGE_SIZE);
	unpin_user(p->m, &pin);
	assert_int_equal(pin_user(p->m, &p->mm, VA + 5 * PAGE_SIZE, PAGE_SIZE, 0, false,
				  &pin),
			 -EFAULT);
	assert_int_equal(pin_user(p->m, &p->mm, VA, 0, 0, false, &pin), -EFAULT);
	assert_int_equal(pin_user(p->m, &p->mm, VA + 1, PAGE_SIZE, 0, false, &pin),
			 -EFAULT);
	assert_int_equal(pin_user(p->m, &p->mm, ~0ULL & PAGE_MASK, 2 * PAGE_SIZE, 0,
				  false, &pin),
			 -EFAULT);
	p->special = true;
	assert_int_equal(pin_user(p->m, &p->mm, VA, PAGE_SIZE, 0, false, &pin), 0);
	assert_true(pin.special);
	assert_int_equal(pin.phys, 0xe0000000);
	unpin_user(p->m, &pin);
	prog_free(p);
}

static void read_only_pin_refuses_writes(void **state)
{
	struct prog *p = prog_new();
	struct hw *hw = &p->m->hw;
	struct pin pin;
	u32 val = 7;

	hw_function_init(hw, 0);
	hw->functions[0].config[4] = 6;
	assert_int_equal(pin_user(p->m, &p->mm, VA, PAGE_SIZE, 0, false, &pin), 0);
	assert_int_equal(dma_write(hw, 0, pin.phys, &val, 4), -EFAULT);
	assert_int_equal(dma_read(hw, 0, pin.phys, &val, 4), 0);
	assert_int_equal(val, 1);
	unpin_user(p->m, &pin);
	prog_free(p);
}

static void many_small_pins_fit(void **state)
{
	struct prog *p = prog_new();
	unsigned n = 300000;
	struct pin *pins = calloc(n, sizeof(*pins));

	for (unsigned i = 0; i < n; i++)
		assert_int_equal(pin_user(p->m, &p->mm, VA + (i % VA_PAGES) * PAGE_SIZE,
					  PAGE_SIZE, i * PAGE_SIZE, true, &pins[i]),
				 0);
	for (unsigned i = 0; i < n; i += 997)
		assert_int_equal(read_phys(p, pins[i].phys), i % VA_PAGES + 1);
	for (unsigned i = 0; i < n; i++)
		unpin_user(p->m, &pins[i * 7919ULL % n]);
	free(pins);
	prog_free(p);
}

static void window_full_is_enomem(void **state)
{
	struct prog *p = prog_new();
	struct pin a, b;

	p->limit = ~0ULL - VA;
	assert_int_equal(pin_user(p->m, &p->mm, VA, 40000 * SZ_1G, 0, true, &a), 0);
	assert_int_equal(pin_user(p->m, &p->mm, VA, 40000 * SZ_1G, 0, true, &b), -ENOMEM);
	unpin_user(p->m, &a);
	assert_int_equal(pin_user(p->m, &p->mm, VA, 40000 * SZ_1G, 0, true, &b), 0);
	unpin_user(p->m, &b);
	prog_free(p);
}

static void ranges_are_merged_and_clipped(void **state)
{
	struct prog *p = prog_new();
	struct pin_range out[2];
	struct pin a, b, c;

	assert_int_equal(pin_user(p->m, &p->mm, VA, 4 * PAGE_SIZE, 0, true, &a), 0);
	assert_int_equal(pin_user(p->m, &p->mm, VA + 2 * PAGE_SIZE, 4 * PAGE_SIZE, 0,
				  true, &b),
			 0);
	assert_int_equal(
		pin_user(p->m, &p->mm, VA + 10 * PAGE_SIZE, PAGE_SIZE, 0, true, &c), 0);
	assert_int_equal(mm_pins_in_range(p->m, &p->mm, VA + PAGE_SIZE, 20 * PAGE_SIZE,
					  out, 2),
			 2);
	assert_int_equal(out[0].va, VA + PAGE_SIZE);
	assert_int_equal(out[0].len, 5 * PAGE_SIZE);
	assert_int_equal(out[1].va, VA + 10 * PAGE_SIZE);
	assert_int_equal(
		mm_pins_in_range(p->m, &p->mm, VA + 6 * PAGE_SIZE, PAGE_SIZE, out, 2), 0);
	assert_int_equal(mm_pins_in_range(p->m, &p->mm, 0, ~0ULL, NULL, 0), 2);
	assert_int_equal(atomic_load(&p->m->hw.mms[MM].pinned_first), VA);
	assert_int_equal(atomic_load(&p->m->hw.mms[MM].pinned_last),
			 VA + 11 * PAGE_SIZE - 1);
	unpin_user(p->m, &a);
	unpin_user(p->m, &b);
	unpin_user(p->m, &c);
	prog_free(p);
}

/* What the kernel does to the pages: they are at their new address, the old is empty. */
static void move_pages(struct prog *p, u64 from, u64 to, u64 n)
{
	u32 *tmp = malloc(n * 4);

	memcpy(tmp, &p->content[from], n * 4);
	memset(&p->content[from], 0, n * 4);
	memcpy(&p->content[to], tmp, n * 4);
	free(tmp);
}

#define PINS 12

/* For each page of each pin: the number that it held when it was pinned. */
struct model {
	bool used;
	struct pin pin;
	u32 *want;
	u64 pages;
};

static void check(struct prog *p, struct model *pins, struct rnd *r)
{
	for (unsigned i = 0; i < PINS; i++) {
		struct model *d = &pins[i];

		for (unsigned k = 0; d->used && k < 24; k++) {
			u64 page = rnd_below(r, d->pages);
			u32 got = read_phys(p, d->pin.phys + page * PAGE_SIZE);

			assert_int_equal(got, d->want[page]);
		}
	}
}

static void random_relocations_agree_with_flat_map(void **state)
{
	struct model pins[PINS] = {0};
	struct prog *p = prog_new();
	u32 next = VA_PAGES + 1;
	unsigned moves = 0, locals = 0;
	struct rnd r;

	rnd_seed(&r, 5);
	for (unsigned op = 0; op < 6000; op++) {
		struct model *d = &pins[rnd_below(&r, PINS)];
		u64 first = rnd_below(&r, VA_PAGES), n, to;

		switch (rnd_below(&r, 6)) {
		case 0:
		case 1:
			if (d->used) {
				unpin_user(p->m, &d->pin);
				free(d->want);
				d->used = false;
				break;
			}
			/* Pages that are there now; the program maps new ones where none
			 * are. */
			n = 1 + rnd_below(&r, rnd_one_in(&r, 2) ? 8 : 1500);
			n = min(n, VA_PAGES - first);
			for (u64 i = first; i < first + n; i++)
				if (!p->content[i])
					p->content[i] = next++;
			assert_int_equal(pin_user(p->m, &p->mm, VA + first * PAGE_SIZE,
						  n * PAGE_SIZE, rnd_u64(&r), true,
						  &d->pin),
					 0);
			d->used = true;
			d->pages = n;
			d->want = malloc(n * 4);
			memcpy(d->want, &p->content[first], n * 4);
			break;
		case 2:
		case 3:
		case 4:
			/* mremap to where nothing is pinned, nor mapped. */
			n = 1 + rnd_below(&r, rnd_one_in(&r, 2) ? 4 : 300);
			n = min(n, VA_PAGES - first);
			to = rnd_below(&r, VA_PAGES - n + 1);
			if (to < first + n && first < to + n)
				break;
			if (mm_pins_in_range(p->m, &p->mm, VA + to * PAGE_SIZE,
					     n * PAGE_SIZE, NULL, 0))
				break;
			move_pages(p, first, to, n);
			assert_int_equal(pin_relocate(p->m, &p->mm,
						      VA + first * PAGE_SIZE,
						      n * PAGE_SIZE, VA + to * PAGE_SIZE),
					 0);
			moves++;
			break;
		case 5:
			n = 1 + rnd_below(&r, 40);
			n = min(n, VA_PAGES - first);
			if (!rnd_one_in(&r, 3))
				break;
			for (u64 i = first; i < first + n; i++)
				if (!p->content[i])
					n = i - first;
			if (!n)
				break;
			assert_int_equal(pin_relocate_local(p->m, &p->mm,
							    VA + first * PAGE_SIZE,
							    n * PAGE_SIZE),
					 0);
			memset(&p->content[first], 0, n * 4);
			locals++;
			break;
		}
		if (op % 8 == 0)
			check(p, pins, &r);
	}
	assert_true(moves > 300 && locals > 20);
	for (unsigned i = 0; i < PINS; i++) {
		if (!pins[i].used)
			continue;
		for (u64 k = 0; k < pins[i].pages; k++)
			assert_int_equal(read_phys(p, pins[i].pin.phys + k * PAGE_SIZE),
					 pins[i].want[k]);
		unpin_user(p->m, &pins[i].pin);
		free(pins[i].want);
	}
	prog_free(p);
}

static void relocation_arguments_are_checked(void **state)
{
	struct prog *p = prog_new();

	assert_int_equal(pin_relocate(p->m, &p->mm, VA + 1, PAGE_SIZE, VA), -EINVAL);
	assert_int_equal(pin_relocate(p->m, &p->mm, VA, 0, VA), -EINVAL);
	assert_int_equal(pin_relocate(p->m, &p->mm, VA, PAGE_SIZE, VA + 5), -EINVAL);
	assert_int_equal(pin_relocate(p->m, &p->mm, ~0ULL & PAGE_MASK, 2 * PAGE_SIZE, VA),
			 -EINVAL);
	assert_int_equal(pin_relocate(p->m, &p->mm, VA, PAGE_SIZE, VA + PAGE_SIZE), 0);
	assert_int_equal(pin_relocate_local(p->m, &p->mm, VA, 3), -EINVAL);
	prog_free(p);
}

/* Fail each allocation of a relocation that splits: nothing changes, nothing leaks. */
static void failed_relocation_changes_nothing(void **state)
{
	struct prog *p = prog_new();
	unsigned at, failed = 0;
	struct pin pin;
	s64 live;

	assert_int_equal(pin_user(p->m, &p->mm, VA, 1000 * PAGE_SIZE, SZ_2M - PAGE_SIZE,
				  true, &pin),
			 0);
	for (at = 1; at < 100; at++) {
		int ret;

		live = alloc_live_count();
		fault_inject_arm(at);
		ret = pin_relocate(p->m, &p->mm, VA + 100 * PAGE_SIZE, 10 * PAGE_SIZE,
				   VA + 2000 * PAGE_SIZE);
		fault_inject_disarm();
		if (!ret)
			break;
		assert_int_equal(ret, -ENOMEM);
		failed++;
		/* Stacks may have grown; no object may be left. */
		assert_true(alloc_live_count() <= live + 1);
		for (u64 i = 0; i < 1000; i++)
			assert_int_equal(read_phys(p, pin.phys + i * PAGE_SIZE), i + 1);
	}
	assert_true(failed >= 3);
	move_pages(p, 100, 2000, 10);
	for (u64 i = 0; i < 1000; i++)
		assert_int_equal(read_phys(p, pin.phys + i * PAGE_SIZE), i + 1);
	unpin_user(p->m, &pin);
	prog_free(p);
}

/* Whatever a program writes over extents and pieces, reading stays inside. */
static void hostile_extents_are_harmless(void **state)
{
	struct prog *p = prog_new();
	struct hw *hw = &p->m->hw;
	struct pin pin;
	struct rnd r;
	u8 buf[64];

	rnd_seed(&r, 3);
	assert_int_equal(pin_user(p->m, &p->mm, VA, SZ_2M, 0, true, &pin), 0);
	for (unsigned i = 0; i < 200000; i++) {
		u64 slot = hw->hdr->nr_extents;
		u32 *words = (u32 *)&hw->extents[slot];
		u64 junk = rnd_u64(&r) >> rnd_below(&r, 64);

		words[1 + rnd_below(&r, 7)] = junk;
		if (rnd_one_in(&r, 3))
			hw->extents[slot].backing = rnd_below(&r, 5);
		if (rnd_one_in(&r, 3))
			hw->extents[slot].first = 0;
		((u64 *)hw->pieces)[rnd_below(&r, 64)] = rnd_u64(&r) >> rnd_below(&r, 64);
		atomic_store(&hw->extents[slot].seq, 2);
		(void)phys_read(hw, hw->hdr->small_base + rnd_below(&r, SZ_2M), buf,
				sizeof(buf));
	}
	hw->extents[hw->hdr->nr_extents].backing = HW_BACKING_NONE;
	unpin_user(p->m, &pin);
	prog_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pin_is_congruent_and_contiguous),
		cmocka_unit_test(pin_ends_where_memory_ends),
		cmocka_unit_test(read_only_pin_refuses_writes),
		cmocka_unit_test(many_small_pins_fit),
		cmocka_unit_test(window_full_is_enomem),
		cmocka_unit_test(ranges_are_merged_and_clipped),
		cmocka_unit_test(relocation_arguments_are_checked),
		cmocka_unit_test(random_relocations_agree_with_flat_map),
		cmocka_unit_test(failed_relocation_changes_nothing),
		cmocka_unit_test(hostile_extents_are_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
