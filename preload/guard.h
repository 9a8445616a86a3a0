/* SPDX-License-Identifier: MIT */
/*
 * Touching memory that may not be there: copies that end at the first byte which
 * faults, instead of with a signal. They need the handler of trap.c in place.
 */
#ifndef MOAT_PRELOAD_GUARD_H
#define MOAT_PRELOAD_GUARD_H

#include <ucontext.h>

#include "base/types.h"

struct guard_result {
	u64 left; /* bytes not copied; 0: all were */
	u64 addr; /* what faulted, if left */
};

/*
 * Bytes are copied upwards. Aligned 8, 4 and 2-byte copies are single accesses.
 */
struct guard_result guarded_copy(void *to, const void *from, size_t len);
/* Can the byte at @addr be written? Writes it with its own value. Return: 0, -EFAULT. */
int guarded_probe(void *addr);

/* For the handler: is this fault ours? Then the context continues at the fixup. */
bool guard_fixup(ucontext_t *uc, u64 addr);

/* How many bytes of [@addr, @addr + @len) can be copied to @to. */
static inline size_t guarded_read(void *to, u64 addr, size_t len)
{
	return len - guarded_copy(to, (const void *)addr, len).left;
}

/* Return: true if all of @len bytes were stored. */
static inline bool guarded_write(u64 addr, const void *from, size_t len)
{
	return !guarded_copy((void *)addr, from, len).left;
}

#endif
