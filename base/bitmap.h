/* SPDX-License-Identifier: MIT */
/*
 * Bit arithmetic and bitmaps of unsigned longs. The functions with two leading
 * underscores and all range functions are for callers that hold a lock; set_bit(),
 * clear_bit() and the test_and_ forms without them are atomic. Searches return
 * @nbits when there is nothing to find.
 */
#ifndef MOAT_BASE_BITMAP_H
#define MOAT_BASE_BITMAP_H

#include <string.h>

#include "base/types.h"

#define BITS_PER_LONG	     64U
#define BITS_TO_LONGS(n)     DIV_ROUND_UP(n, BITS_PER_LONG)
#define DECLARE_BITMAP(b, n) unsigned long b[BITS_TO_LONGS(n)]

/* Index from 1 of the highest set bit, 0 if none. */
static inline int fls64(u64 x)
{
	return x ? 64 - __builtin_clzll(x) : 0;
}

static inline int fls(u32 x)
{
	return fls64(x);
}

/* Index from 0 of the lowest set bit; @x must not be 0. */
static inline unsigned __ffs64(u64 x)
{
	return (unsigned)__builtin_ctzll(x);
}

static inline unsigned __ffs(unsigned long x)
{
	return __ffs64(x);
}

/* Index from 0 of the highest set bit; @x must not be 0. */
static inline unsigned __fls(unsigned long x)
{
	return 63U - (unsigned)__builtin_clzl(x);
}

static inline unsigned ilog2(u64 x)
{
	return (unsigned)fls64(x) - 1;
}

static inline bool is_power_of_2(u64 x)
{
	return x && !(x & (x - 1));
}

/* @x must be 1 to 2^63. */
static inline u64 roundup_pow_of_two(u64 x)
{
	return x <= 1 ? 1 : 1ULL << fls64(x - 1);
}

static inline u64 rounddown_pow_of_two(u64 x)
{
	return 1ULL << ilog2(x);
}

/* Smallest n with 2^n >= x; 0 for 0. */
static inline unsigned order_base_2(u64 x)
{
	return x <= 1 ? 0 : (unsigned)fls64(x - 1);
}

static inline unsigned hweight64(u64 x)
{
	return (unsigned)__builtin_popcountll(x);
}

static inline bool test_bit(u64 nr, const unsigned long *map)
{
	return (__atomic_load_n(&map[nr / 64], __ATOMIC_RELAXED) >> (nr % 64)) & 1;
}

static inline void __set_bit(u64 nr, unsigned long *map)
{
	map[nr / 64] |= 1UL << (nr % 64);
}

static inline void __clear_bit(u64 nr, unsigned long *map)
{
	map[nr / 64] &= ~(1UL << (nr % 64));
}

static inline bool __test_and_set_bit(u64 nr, unsigned long *map)
{
	bool old = test_bit(nr, map);

	__set_bit(nr, map);
	return old;
}

static inline bool __test_and_clear_bit(u64 nr, unsigned long *map)
{
	bool old = test_bit(nr, map);

	__clear_bit(nr, map);
	return old;
}

static inline void set_bit(u64 nr, unsigned long *map)
{
	__atomic_fetch_or(&map[nr / 64], 1UL << (nr % 64), __ATOMIC_RELAXED);
}

static inline void clear_bit(u64 nr, unsigned long *map)
{
	__atomic_fetch_and(&map[nr / 64], ~(1UL << (nr % 64)), __ATOMIC_RELAXED);
}

static inline bool test_and_set_bit(u64 nr, unsigned long *map)
{
	unsigned long bit = 1UL << (nr % 64);

	return __atomic_fetch_or(&map[nr / 64], bit, __ATOMIC_ACQ_REL) & bit;
}

static inline bool test_and_clear_bit(u64 nr, unsigned long *map)
{
	unsigned long bit = 1UL << (nr % 64);

	return __atomic_fetch_and(&map[nr / 64], ~bit, __ATOMIC_ACQ_REL) & bit;
}

/* First bit at or after @start whose value differs from those of @invert. */
static inline u64 bitmap_find_next(const unsigned long *map, u64 nbits, u64 start,
				   unsigned long invert)
{
	u64 word = start / 64;
	unsigned long bits;

	if (start >= nbits)
		return nbits;
	bits = (map[word] ^ invert) & (~0UL << (start % 64));
	while (!bits) {
		if (++word * 64 >= nbits)
			return nbits;
		bits = map[word] ^ invert;
	}
	return min_t(u64, word * 64 + __ffs(bits), nbits);
}

static inline u64 find_next_bit(const unsigned long *map, u64 nbits, u64 start)
{
	return bitmap_find_next(map, nbits, start, 0);
}

static inline u64 find_next_zero_bit(const unsigned long *map, u64 nbits, u64 start)
{
	return bitmap_find_next(map, nbits, start, ~0UL);
}

static inline u64 find_first_bit(const unsigned long *map, u64 nbits)
{
	return find_next_bit(map, nbits, 0);
}

static inline u64 find_first_zero_bit(const unsigned long *map, u64 nbits)
{
	return find_next_zero_bit(map, nbits, 0);
}

#define for_each_set_bit(bit, map, nbits)                         \
	for ((bit) = find_first_bit(map, nbits); (bit) < (nbits); \
	     (bit) = find_next_bit(map, nbits, (bit) + 1))
#define for_each_clear_bit(bit, map, nbits)                            \
	for ((bit) = find_first_zero_bit(map, nbits); (bit) < (nbits); \
	     (bit) = find_next_zero_bit(map, nbits, (bit) + 1))

/* Bits of @word'th word of a map that lie in [start, start + nbits); nbits > 0. */
static inline unsigned long bitmap_word_mask(u64 word, u64 start, u64 nbits)
{
	u64 last = start + nbits - 1;
	unsigned long mask = ~0UL;

	if (word == start / 64)
		mask &= ~0UL << (start % 64);
	if (word == last / 64)
		mask &= ~0UL >> (63 - last % 64);
	return mask;
}

static inline void bitmap_set(unsigned long *map, u64 start, u64 nbits)
{
	for (u64 w = start / 64; nbits && w <= (start + nbits - 1) / 64; w++)
		map[w] |= bitmap_word_mask(w, start, nbits);
}

static inline void bitmap_clear(unsigned long *map, u64 start, u64 nbits)
{
	for (u64 w = start / 64; nbits && w <= (start + nbits - 1) / 64; w++)
		map[w] &= ~bitmap_word_mask(w, start, nbits);
}

static inline void bitmap_zero(unsigned long *map, u64 nbits)
{
	memset(map, 0, BITS_TO_LONGS(nbits) * sizeof(*map));
}

static inline void bitmap_fill(unsigned long *map, u64 nbits)
{
	memset(map, 0xff, BITS_TO_LONGS(nbits) * sizeof(*map));
}

static inline bool bitmap_empty(const unsigned long *map, u64 nbits)
{
	return find_first_bit(map, nbits) == nbits;
}

static inline bool bitmap_full(const unsigned long *map, u64 nbits)
{
	return find_first_zero_bit(map, nbits) == nbits;
}

static inline u64 bitmap_weight(const unsigned long *map, u64 nbits)
{
	u64 sum = 0;

	for (u64 w = 0; nbits && w <= (nbits - 1) / 64; w++)
		sum += hweight64(map[w] & bitmap_word_mask(w, 0, nbits));
	return sum;
}

#endif
