/* SPDX-License-Identifier: MIT */
/*
 * Checked arithmetic for values from outside: check_*_overflow() return true when
 * the result does not fit *@d (which then holds the truncated result); the size_*()
 * functions saturate at SIZE_MAX, which no allocation can satisfy.
 */
#ifndef MOAT_BASE_OVERFLOW_H
#define MOAT_BASE_OVERFLOW_H

#include "base/types.h"

static inline bool __must_check overflow_must_check(bool overflow)
{
	return unlikely(overflow);
}

#define check_add_overflow(a, b, d) overflow_must_check(__builtin_add_overflow(a, b, d))
#define check_sub_overflow(a, b, d) overflow_must_check(__builtin_sub_overflow(a, b, d))
#define check_mul_overflow(a, b, d) overflow_must_check(__builtin_mul_overflow(a, b, d))

static inline size_t __must_check size_add(size_t a, size_t b)
{
	size_t sum;

	return check_add_overflow(a, b, &sum) ? SIZE_MAX : sum;
}

static inline size_t __must_check size_mul(size_t a, size_t b)
{
	size_t product;

	return check_mul_overflow(a, b, &product) ? SIZE_MAX : product;
}

/* Bytes of a structure that ends in @n elements of its flexible array @member. */
#define struct_size(p, member, n) \
	size_add(sizeof(*(p)), size_mul(n, sizeof(*(p)->member)))

#endif
