// SPDX-License-Identifier: MIT
/*
 * References, checked arithmetic, guards, allocation and fault injection.
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
#include "base/err.h"
#include "base/fault_inject.h"
#include "base/mutex.h"
#include "base/overflow.h"
#include "base/rand.h"
#include "base/refcount.h"

static void refcount_last_put_is_told(void **state)
{
	struct refcount ref = REFCOUNT_INIT(1);

	refcount_inc(&ref);
	assert_false(refcount_dec_and_test(&ref));
	assert_false(refcount_read(&ref) != 1);
	assert_true(refcount_dec_and_test(&ref));
	assert_false(refcount_inc_not_zero(&ref));
	refcount_set(&ref, 2);
	assert_true(refcount_inc_not_zero(&ref));
	assert_false(refcount_dec_if_one(&ref));
	assert_true(refcount_sub_and_test(3, &ref));
}

static void refcount_use_after_zero_saturates(void **state)
{
	struct refcount ref = REFCOUNT_INIT(0);

	refcount_inc(&ref);
	/* Whatever happens from now on, nobody is told to free it. */
	for (int i = 0; i < 3; i++)
		assert_false(refcount_dec_and_test(&ref));
	refcount_set(&ref, INT32_MAX);
	refcount_inc(&ref);
	assert_false(refcount_dec_and_test(&ref));
	refcount_set(&ref, 1);
	assert_true(refcount_dec_and_test(&ref));
	assert_false(refcount_dec_and_test(&ref));
}

static void overflow_is_seen_at_each_edge(void **state)
{
	u64 sum;
	u32 small;
	struct flexible {
		u64 head;
		u32 items[];
	} *object = NULL;

	assert_false(check_add_overflow(UINT64_MAX - 1, 1ULL, &sum));
	assert_true(sum == UINT64_MAX);
	assert_true(check_add_overflow(UINT64_MAX, 1ULL, &sum));
	assert_true(check_sub_overflow(0ULL, 1ULL, &sum));
	assert_true(check_mul_overflow(1ULL << 32, 1ULL << 32, &sum));
	assert_true(check_add_overflow(UINT32_MAX, 1U, &small));
	assert_true(size_mul(SIZE_MAX / 2, 3) == SIZE_MAX);
	assert_true(size_add(SIZE_MAX, 1) == SIZE_MAX);
	assert_int_equal(struct_size(object, items, 3), 8 + 12);
	assert_true(struct_size(object, items, SIZE_MAX / 2) == SIZE_MAX);
	assert_null(kcalloc(SIZE_MAX / 2, 3));
}

static int early_return(struct mutex *m, bool early)
{
	guard(mutex)(m);
	lockdep_assert_held(m);
	if (early)
		return 1;
	return mutex_held(m) ? 2 : 3;
}

static void *hold_from_elsewhere(void *m)
{
	return (void *)(intptr_t)(mutex_is_locked(m) && !mutex_held(m) &&
				  !mutex_trylock(m));
}

static void guard_every_way_out_unlocks(void **state)
{
	DEFINE_MUTEX(m);
	unsigned runs = 0;

	assert_int_equal(early_return(&m, true), 1);
	assert_false(mutex_is_locked(&m));
	assert_int_equal(early_return(&m, false), 2);
	assert_false(mutex_is_locked(&m));
	scoped_guard(mutex, &m)
	{
		assert_true(mutex_held(&m));
		runs++;
	}
	assert_int_equal(runs, 1);
	scoped_guard(mutex, &m) break;
	assert_false(mutex_is_locked(&m));
}

static void mutex_owner_is_the_thread(void **state)
{
	DEFINE_MUTEX(m);
	pthread_t thread;
	void *seen;

	mutex_lock(&m);
	assert_int_equal(pthread_create(&thread, NULL, hold_from_elsewhere, &m), 0);
	pthread_join(thread, &seen);
	assert_non_null(seen);
	mutex_unlock(&m);
	assert_true(mutex_trylock(&m));
	mutex_unlock(&m);
	mutex_destroy(&m);
}

static char *take_out(bool out)
{
	char *s __free(kfree) = kstrdup("moat");

	if (!out)
		return NULL;
	return_ptr(s);
}

static void free_scope_end_frees_what_was_not_taken(void **state)
{
	s64 live = alloc_live_count();
	char *s;

	assert_null(take_out(false));
	assert_int_equal(alloc_live_count(), live);
	s = take_out(true);
	assert_string_equal(s, "moat");
	assert_int_equal(alloc_live_count(), live + 1);
	kfree(s);
	{
		void *error __free(kfree) = ERR_PTR(-ENOMEM);

		assert_true(IS_ERR(error));
	}
	assert_int_equal(alloc_live_count(), live);
}

static void alloc_each_kind_counts_and_fails_alike(void **state)
{
	s64 live = alloc_live_count();

	for (unsigned kind = 0; kind < 7; kind++) {
		for (u64 nth = 0; nth < 2; nth++) {
			void *p = NULL;

			fault_inject_arm(nth);
			switch (kind) {
			case 0:
				p = kmalloc(0);
				break;
			case 1:
				p = kzalloc(100);
				assert_true(!p || !((char *)p)[99]);
				break;
			case 2:
				p = kcalloc(3, 5);
				break;
			case 3:
				p = krealloc(NULL, 10);
				break;
			case 4:
				p = kmemdup("abc", 4);
				assert_true(!p || !strcmp(p, "abc"));
				break;
			case 5:
				p = kstrndup("abcdef", 3);
				assert_true(!p || !strcmp(p, "abc"));
				break;
			case 6:
				p = kasprintf("%s-%d", "x", 7);
				assert_true(!p || !strcmp(p, "x-7"));
				break;
			}
			assert_int_equal(fault_inject_disarm(), nth == 1);
			assert_int_equal(!p, nth == 1);
			assert_int_equal(alloc_live_count(), live + !nth);
			kfree(p);
		}
	}
	assert_null(kstrdup(NULL));
	kfree(NULL);
	assert_int_equal(alloc_live_count(), live);
}

static void realloc_failure_keeps_the_block(void **state)
{
	s64 live = alloc_live_count();
	char *p = kstrdup("keep"), *q;

	fault_inject_arm(1);
	assert_null(krealloc(p, 1000));
	assert_true(fault_inject_disarm());
	assert_string_equal(p, "keep");
	q = krealloc(p, 1000);
	assert_non_null(q);
	assert_string_equal(q, "keep");
	assert_int_equal(alloc_live_count(), live + 1);
	kfree(q);
}

static void *pass_points(void *data)
{
	uintptr_t hits = 0;

	for (int i = 0; i < 10; i++)
		hits += should_fail("point");
	return (void *)hits;
}

static void fault_inject_thread_and_process_are_told_apart(void **state)
{
	pthread_t thread;
	void *hits;

	fault_inject_arm(3);
	assert_int_equal(pthread_create(&thread, NULL, pass_points, NULL), 0);
	pthread_join(thread, &hits);
	assert_null(hits);
	assert_false(should_fail("a"));
	assert_false(should_fail("b"));
	assert_true(should_fail("c"));
	assert_false(should_fail("d"));
	assert_true(fault_inject_disarm());
	assert_false(fault_inject_disarm());

	fault_inject_arm_process(10);
	assert_int_equal(pthread_create(&thread, NULL, pass_points, NULL), 0);
	pthread_join(thread, &hits);
	assert_int_equal((uintptr_t)hits, 1);
	assert_false(should_fail("e"));
	assert_true(fault_inject_disarm());
}

static void bits_equal_counting_by_hand(void **state)
{
	for (unsigned i = 0; i < 64; i++) {
		u64 x = BIT_ULL(i);

		assert_int_equal(fls64(x), i + 1);
		assert_int_equal(__ffs64(x), i);
		assert_int_equal(ilog2(x | (x - 1)), i);
		assert_true(is_power_of_2(x));
		assert_true(roundup_pow_of_two(x) == x);
		assert_int_equal(order_base_2(x), i);
		if (i > 1) {
			assert_false(is_power_of_2(x + 1));
			assert_true(rounddown_pow_of_two(x + 1) == x);
			assert_true(roundup_pow_of_two(x - 1) == x);
		}
	}
	assert_int_equal(fls64(0), 0);
	assert_false(is_power_of_2(0));
	assert_true(min(1, max(2, 3)) == 1);
	assert_true(GENMASK_ULL(63, 0) == UINT64_MAX);
	assert_true(ALIGN(0x1001ULL, SZ_4K) == 0x2000);
}

static void rand_same_seed_same_run(void **state)
{
	struct rnd a, b, c;
	bool differs = false;

	rnd_seed(&a, 0);
	rnd_seed(&b, 0);
	rnd_seed(&c, 1);
	for (int i = 0; i < 1000; i++) {
		u64 x = rnd_u64(&a);

		assert_true(x == rnd_u64(&b));
		differs |= x != rnd_u64(&c);
		assert_in_range(rnd_range(&a, 5, 9), 5, 9);
		rnd_u64(&b);
	}
	assert_true(differs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refcount_last_put_is_told),
		cmocka_unit_test(refcount_use_after_zero_saturates),
		cmocka_unit_test(overflow_is_seen_at_each_edge),
		cmocka_unit_test(guard_every_way_out_unlocks),
		cmocka_unit_test(mutex_owner_is_the_thread),
		cmocka_unit_test(free_scope_end_frees_what_was_not_taken),
		cmocka_unit_test(alloc_each_kind_counts_and_fails_alike),
		cmocka_unit_test(realloc_failure_keeps_the_block),
		cmocka_unit_test(fault_inject_thread_and_process_are_told_apart),
		cmocka_unit_test(bits_equal_counting_by_hand),
		cmocka_unit_test(rand_same_seed_same_run),
	};

	return cmocka_run_group_tests_name("basics", tests, NULL, NULL);
}
