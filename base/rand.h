/* SPDX-License-Identifier: MIT */
/*
 * Seeded random numbers (xorshift64*): the same seed gives the same run on every
 * machine. Not for secrets.
 */
#ifndef MOAT_BASE_RAND_H
#define MOAT_BASE_RAND_H

#include "base/types.h"

struct rnd {
	u64 state; /* never 0 */
};

static inline void rnd_seed(struct rnd *r, u64 seed)
{
	/* Spread small seeds over the state (splitmix64's finisher). */
	seed += 0x9e3779b97f4a7c15ULL;
	seed = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9ULL;
	seed = (seed ^ (seed >> 27)) * 0x94d049bb133111ebULL;
	seed ^= seed >> 31;
	r->state = seed ? seed : 1;
}

static inline u64 rnd_u64(struct rnd *r)
{
	u64 x = r->state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	r->state = x;
	return x * 0x2545f4914f6cdd1dULL;
}

/* Uniform enough in [0, n); n > 0. */
static inline u64 rnd_below(struct rnd *r, u64 n)
{
	return rnd_u64(r) % n;
}

/* Both ends inclusive. */
static inline u64 rnd_range(struct rnd *r, u64 low, u64 high)
{
	return high - low == UINT64_MAX ? rnd_u64(r) : low + rnd_below(r, high - low + 1);
}

/* True once in @n times on average. */
static inline bool rnd_one_in(struct rnd *r, u64 n)
{
	return !rnd_below(r, n);
}

#endif
