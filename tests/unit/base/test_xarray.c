// SPDX-License-Identifier: MIT
/*
 * The id map against an array, and what running out of memory leaves of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/bitmap.h"
#include "base/fault_inject.h"
#include "base/rand.h"
#include "base/xarray.h"

#define IDS   9000
#define STEPS 200000

static char things[IDS];
static char reserved; /* in the reference: taken, no entry */

static u32 reference_free(void **ref, u32 min, u32 max)
{
	while (min <= max && min < IDS && ref[min])
		min++;
	return min;
}

static void xarray_random_equals_array(void **state)
{
	static void *ref[IDS];
	DEFINE_XARRAY(xa);
	s64 live = alloc_live_count();
	struct rnd r;
	u64 index, count = 0;
	void *entry;

	rnd_seed(&r, 4);
	for (unsigned step = 0; step < STEPS; step++) {
		/* Phases that fill and phases that empty. */
		bool fill = step / 25000 % 2 == 0;
		u32 id = (u32)rnd_below(&r, rnd_one_in(&r, 3) ? 100 : IDS), got = 0, min,
		    max;

		switch (rnd_below(&r, fill ? 4 : 3)) {
		case 0:
			assert_int_equal(xa_store(&xa, id, &things[id]), 0);
			if (fill || ref[id])
				ref[id] = &things[id];
			else
				xa_erase(&xa, id);
			break;
		case 1:
			entry = xa_erase(&xa, id);
			assert_ptr_equal(entry, ref[id] == &reserved ? NULL : ref[id]);
			ref[id] = NULL;
			break;
		case 2:
			entry = rnd_one_in(&r, 2) ? &things[id] : NULL;
			assert_int_equal(xa_insert(&xa, id, entry), ref[id] ? -EBUSY : 0);
			if (!ref[id])
				ref[id] = entry ? entry : &reserved;
			if (!fill) {
				xa_erase(&xa, id);
				ref[id] = NULL;
			}
			break;
		case 3:
			min = id;
			max = min + (u32)rnd_below(&r, 64);
			id = reference_free(ref, min, max);
			if (id > max || id >= IDS)
				break;
			assert_int_equal(
				xa_alloc(&xa, &got, &things[id], XA_LIMIT(min, max)), 0);
			assert_int_equal(got, id);
			ref[id] = &things[id];
			break;
		}
		id = (u32)rnd_below(&r, IDS);
		assert_ptr_equal(xa_load(&xa, id), ref[id] == &reserved ? NULL : ref[id]);
		if (step % 2048)
			continue;
		index = 0;
		count = 0;
		xa_for_each(&xa, index, entry) {
			assert_ptr_equal(ref[index], entry);
			count++;
		}
		for (u32 i = 0; i < IDS; i++)
			count -= ref[i] && ref[i] != &reserved;
		assert_int_equal(count, 0);
	}
	for (u32 i = 0; i < IDS; i++)
		xa_erase(&xa, i);
	assert_true(xa_empty(&xa));
	assert_int_equal(alloc_live_count(), live);
}

static void xarray_distant_indices_are_kept(void **state)
{
	static const u64 at[] = {0, 63, 64, 1ULL << 32, UINT64_MAX - 1, UINT64_MAX};
	DEFINE_XARRAY(xa);
	s64 live = alloc_live_count();
	unsigned n = 0;
	u64 index;
	void *entry;
	u32 id = 0;

	for (unsigned i = ARRAY_SIZE(at); i-- > 0;)
		assert_int_equal(xa_store(&xa, at[i], &things[i]), 0);
	xa_for_each(&xa, index, entry) {
		assert_int_equal(index, at[n]);
		assert_ptr_equal(entry, &things[n]);
		n++;
	}
	assert_int_equal(n, ARRAY_SIZE(at));
	assert_int_equal(xa_alloc(&xa, &id, &things[9], xa_limit_32b), 0);
	assert_int_equal(id, 1);
	xa_destroy(&xa);
	assert_int_equal(alloc_live_count(), live);
}

static void xarray_alloc_full_range_ebusy(void **state)
{
	DEFINE_XARRAY(xa);
	u32 id = 77;

	for (u32 i = 0; i < 64; i++) {
		assert_int_equal(xa_alloc(&xa, &id, NULL, XA_LIMIT(0, 63)), 0);
		assert_int_equal(id, i);
	}
	assert_int_equal(xa_alloc(&xa, &id, NULL, XA_LIMIT(0, 63)), -EBUSY);
	assert_int_equal(xa_alloc(&xa, &id, NULL, XA_LIMIT(5, 64)), 0);
	assert_int_equal(id, 64);
	xa_destroy(&xa);
}

static void xarray_alloc_cyclic_wraps_to_the_freed(void **state)
{
	DEFINE_XARRAY(xa);
	u32 id, next = 0;

	for (u32 i = 1; i <= 10; i++) {
		assert_int_equal(
			xa_alloc_cyclic(&xa, &id, &things[i], XA_LIMIT(1, 10), &next), 0);
		assert_int_equal(id, i);
	}
	assert_int_equal(xa_alloc_cyclic(&xa, &id, things, XA_LIMIT(1, 10), &next),
			 -EBUSY);
	xa_erase(&xa, 4);
	xa_erase(&xa, 7);
	next = 6;
	assert_int_equal(xa_alloc_cyclic(&xa, &id, things, XA_LIMIT(1, 10), &next), 0);
	assert_int_equal(id, 7);
	assert_int_equal(xa_alloc_cyclic(&xa, &id, things, XA_LIMIT(1, 10), &next), 1);
	assert_int_equal(id, 4);
	xa_destroy(&xa);
}

static void xarray_store_without_memory_changes_nothing(void **state)
{
	DEFINE_XARRAY(xa);
	s64 live;
	int rc;

	assert_int_equal(xa_store(&xa, 5, things), 0);
	live = alloc_live_count();
	for (u64 nth = 1;; nth++) {
		fault_inject_arm(nth);
		rc = xa_store(&xa, 1ULL << 40, &things[1]);
		if (!fault_inject_disarm())
			break;
		assert_int_equal(rc, -ENOMEM);
		assert_int_equal(alloc_live_count(), live);
		assert_ptr_equal(xa_load(&xa, 5), things);
		assert_int_equal(xa.count, 1);
	}
	assert_int_equal(rc, 0);
	assert_ptr_equal(xa_load(&xa, 1ULL << 40), &things[1]);
	xa_destroy(&xa);
}

static void bitmap_random_equals_bytes(void **state)
{
	enum { N = 517 };
	DECLARE_BITMAP(map, N);
	bool ref[N] = {false};
	struct rnd r;

	rnd_seed(&r, 5);
	bitmap_zero(map, N);
	for (unsigned step = 0; step < 20000; step++) {
		u64 start = rnd_below(&r, N), n = rnd_below(&r, N - start + 1), bit,
		    sum = 0;
		bool set = rnd_one_in(&r, 2);

		if (set)
			bitmap_set(map, start, n);
		else
			bitmap_clear(map, start, n);
		for (u64 i = 0; i < n; i++)
			ref[start + i] = set;
		start = rnd_below(&r, N);
		for (bit = start; bit < N && !ref[bit]; bit++)
			;
		assert_int_equal(find_next_bit(map, N, start), bit);
		for (bit = start; bit < N && ref[bit]; bit++)
			;
		assert_int_equal(find_next_zero_bit(map, N, start), bit);
		for (bit = 0; bit < N; bit++)
			sum += ref[bit];
		assert_int_equal(bitmap_weight(map, N), sum);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(xarray_random_equals_array),
		cmocka_unit_test(xarray_distant_indices_are_kept),
		cmocka_unit_test(xarray_alloc_full_range_ebusy),
		cmocka_unit_test(xarray_alloc_cyclic_wraps_to_the_freed),
		cmocka_unit_test(xarray_store_without_memory_changes_nothing),
		cmocka_unit_test(bitmap_random_equals_bytes),
	};

	return cmocka_run_group_tests_name("xarray", tests, NULL, NULL);
}
