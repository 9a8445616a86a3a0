/* SPDX-License-Identifier: MIT */
/*
 * Reference counts that saturate: a count that would overflow, or that is used
 * after it reached zero, sticks at a large value and leaks the object rather than
 * free it under a user.
 */
#ifndef MOAT_BASE_REFCOUNT_H
#define MOAT_BASE_REFCOUNT_H

#include "base/log.h"
#include "base/types.h"

struct refcount {
	s32 refs; /* atomic */
};

#define REFCOUNT_SATURATED (INT32_MIN / 2)
#define REFCOUNT_INIT(n)    \
	{                   \
		.refs = (n) \
	}

static inline void refcount_set(struct refcount *r, int n)
{
	__atomic_store_n(&r->refs, n, __ATOMIC_RELAXED);
}

static inline unsigned int refcount_read(const struct refcount *r)
{
	return (unsigned int)__atomic_load_n(&r->refs, __ATOMIC_RELAXED);
}

static inline void refcount_saturate(struct refcount *r)
{
	refcount_set(r, REFCOUNT_SATURATED);
	WARN_ON(true);
}

static inline void refcount_add(int n, struct refcount *r)
{
	s32 old = __atomic_fetch_add(&r->refs, n, __ATOMIC_RELAXED);

	if (unlikely(old <= 0 || old > INT32_MAX - n))
		refcount_saturate(r);
}

static inline void refcount_inc(struct refcount *r)
{
	refcount_add(1, r);
}

/* Takes a reference unless the count is zero already. */
static inline bool __must_check refcount_inc_not_zero(struct refcount *r)
{
	s32 old = __atomic_load_n(&r->refs, __ATOMIC_RELAXED);

	do {
		if (!old)
			return false;
		if (unlikely(old < 0 || old == INT32_MAX)) {
			refcount_saturate(r);
			return true;
		}
	} while (!__atomic_compare_exchange_n(&r->refs, &old, old + 1, true,
					      __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	return true;
}

static inline bool __must_check refcount_sub_and_test(int n, struct refcount *r)
{
	s32 old = __atomic_fetch_sub(&r->refs, n, __ATOMIC_ACQ_REL);

	if (likely(old > n))
		return false;
	if (old == n)
		return true;
	refcount_saturate(r);
	return false;
}

/* True for whoever dropped the last reference. */
static inline bool __must_check refcount_dec_and_test(struct refcount *r)
{
	return refcount_sub_and_test(1, r);
}

/* Drops a reference that is known not to be the last. */
static inline void refcount_dec(struct refcount *r)
{
	WARN_ON(refcount_dec_and_test(r));
}

/* Drops the last reference, or none: for "free only if nobody else uses it". */
static inline bool __must_check refcount_dec_if_one(struct refcount *r)
{
	s32 one = 1;

	return __atomic_compare_exchange_n(&r->refs, &one, 0, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

#endif
