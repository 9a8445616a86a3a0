// SPDX-License-Identifier: MIT
/*
 * The IOVA allocator against an array of pfns: each answer must be the highest free place
 * that fits, found by trying them all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rand.h"
#include "dma/iova.h"

#define SPACE 256
#define START 3

static int setup(void **state)
{
	struct iova_domain *iovad = calloc(1, sizeof(*iovad));

	init_iova_domain(iovad, PAGE_SIZE, START);
	*state = iovad;
	return 0;
}

static int teardown(void **state)
{
	put_iova_domain(*state);
	free(*state);
	return 0;
}

static u64 brute(const bool *used, u64 size, u64 limit, bool aligned)
{
	u64 align = 1;

	while (aligned && align < size)
		align *= 2;
	for (u64 start = limit + 1; start-- > START;) {
		u64 i;

		if (start % align || start + size - 1 > limit)
			continue;
		for (i = 0; i < size && !used[start + i]; i++)
			;
		if (i == size)
			return start;
	}
	return 0;
}

static void iova_alloc_random_is_highest_that_fits(void **state)
{
	struct iova_domain *iovad = *state;
	bool used[SPACE] = {};
	u64 lo[SPACE], size[SPACE];
	int n = 0;
	struct rnd rnd;

	rnd_seed(&rnd, 1);
	for (int step = 0; step < 200000; step++) {
		if (n && rnd_below(&rnd, 2)) {
			int k = (int)rnd_below(&rnd, n);

			free_iova(iovad, lo[k] + rnd_below(&rnd, size[k]));
			memset(used + lo[k], 0, size[k]);
			n--;
			lo[k] = lo[n];
			size[k] = size[n];
		} else {
			u64 want = 1 + rnd_below(&rnd, rnd_below(&rnd, 8) ? 8 : 64);
			u64 limit =
				rnd_below(&rnd, 4) ? SPACE - 1 : rnd_below(&rnd, SPACE);
			bool aligned = rnd_below(&rnd, 4);
			u64 expect = brute(used, want, limit, aligned);
			struct iova *iova = alloc_iova(iovad, want, limit, aligned);

			assert_int_equal(iova ? iova->pfn_lo : 0, expect);
			if (!iova)
				continue;
			assert_int_equal(iova_size(iova), want);
			memset(used + expect, 1, want);
			lo[n] = expect;
			size[n++] = want;
		}
		if (step % 1000 == 0)
			assert_true(rb_check(&iovad->rbroot));
	}
}

static void iova_reserve_overlapping_merges(void **state)
{
	struct iova_domain *iovad = *state;

	assert_non_null(reserve_iova(iovad, 10, 19));
	assert_non_null(reserve_iova(iovad, 30, 39));
	assert_non_null(reserve_iova(iovad, 15, 32));
	assert_int_equal(find_iova(iovad, 10)->pfn_hi, 39);
	assert_null(find_iova(iovad, 40));
	assert_int_equal(alloc_iova(iovad, 4, 41, false)->pfn_lo, 6);
}

static void iova_alloc_up_to_last_pfn_works(void **state)
{
	struct iova_domain *iovad = *state;
	struct iova *iova = alloc_iova(iovad, 1, ~0ULL, true);

	assert_int_equal(iova->pfn_lo, ~0ULL - 1);
	assert_null(alloc_iova(iovad, 1, 2, true));
	assert_null(alloc_iova(iovad, 0, ~0ULL, true));
	assert_null(alloc_iova(iovad, ~0ULL, ~0ULL, true));
}

static void iova_fast_freed_range_comes_back_from_cache(void **state)
{
	struct iova_domain *iovad = *state;
	u64 pfn;

	assert_int_equal(iova_domain_init_rcaches(iovad), 0);
	pfn = alloc_iova_fast(iovad, 3, SPACE - 1, false);
	assert_int_equal(pfn % 4, 0);
	free_iova_fast(iovad, pfn, 3);
	assert_non_null(find_iova(iovad, pfn));
	assert_int_equal(alloc_iova_fast(iovad, 4, SPACE - 1, false), pfn);
}

static void iova_fast_cached_range_above_limit_is_not_given(void **state)
{
	struct iova_domain *iovad = *state;
	u64 pfn;

	assert_int_equal(iova_domain_init_rcaches(iovad), 0);
	pfn = alloc_iova_fast(iovad, 1, SPACE - 1, false);
	free_iova_fast(iovad, pfn, 1);
	assert_true(alloc_iova_fast(iovad, 1, SPACE / 2, false) <= SPACE / 2);
}

static void iova_fast_exhausted_space_flushes_caches(void **state)
{
	struct iova_domain *iovad = *state;
	u64 pfn[SPACE];
	int n = 0;

	assert_int_equal(iova_domain_init_rcaches(iovad), 0);
	while ((pfn[n] = alloc_iova_fast(iovad, 1, 63, true)))
		n++;
	assert_int_equal(n, 64 - START);
	for (int i = 0; i < n; i++)
		free_iova_fast(iovad, pfn[i], 1);
	assert_int_equal(alloc_iova_fast(iovad, 32, 63, false), 0);
	assert_int_equal(alloc_iova_fast(iovad, 32, 63, true), 32);
}

struct worker {
	struct iova_domain *iovad;
	u8 *owner; /* atomically */
	u64 seed;
};

static void *work(void *data)
{
	struct worker *w = data;
	struct rnd rnd;
	u64 held[32], size[32];
	int n = 0;

	rnd_seed(&rnd, w->seed);
	for (int i = 0; i < 50000; i++) {
		if (n == 32 || (n && rnd_below(&rnd, 2))) {
			n--;
			for (u64 k = 0; k < size[n]; k++)
				if (__atomic_exchange_n(&w->owner[held[n] + k], 0,
							__ATOMIC_RELAXED) != w->seed)
					return "lost a range";
			free_iova_fast(w->iovad, held[n], size[n]);
		} else {
			size[n] = 1ULL << rnd_below(&rnd, 6);
			held[n] = alloc_iova_fast(w->iovad, size[n], 65535, true);
			if (!held[n])
				continue;
			for (u64 k = 0; k < size[n]; k++)
				if (__atomic_exchange_n(&w->owner[held[n] + k],
							(u8)w->seed, __ATOMIC_RELAXED))
					return "a range was given twice";
			n++;
		}
	}
	while (n--) {
		for (u64 k = 0; k < size[n]; k++)
			__atomic_store_n(&w->owner[held[n] + k], 0, __ATOMIC_RELAXED);
		free_iova_fast(w->iovad, held[n], size[n]);
	}
	return NULL;
}

static void iova_fast_threads_never_share_a_range(void **state)
{
	struct iova_domain *iovad = *state;
	u8 *owner = calloc(65536, 1);
	struct worker w[4];
	pthread_t t[4];

	assert_int_equal(iova_domain_init_rcaches(iovad), 0);
	for (int i = 0; i < 4; i++) {
		w[i] = (struct worker){iovad, owner, (u64)i + 1};
		assert_int_equal(pthread_create(&t[i], NULL, work, &w[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		void *why;

		pthread_join(t[i], &why);
		if (why)
			fail_msg("%s", (char *)why);
	}
	free(owner);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(iova_alloc_random_is_highest_that_fits),
		TEST(iova_reserve_overlapping_merges),
		TEST(iova_alloc_up_to_last_pfn_works),
		TEST(iova_fast_freed_range_comes_back_from_cache),
		TEST(iova_fast_cached_range_above_limit_is_not_given),
		TEST(iova_fast_exhausted_space_flushes_caches),
		TEST(iova_fast_threads_never_share_a_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
