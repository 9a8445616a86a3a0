/* SPDX-License-Identifier: MIT */
/*
 * Errors: 0 or -errno, and pointers that carry one. Error pointers occupy the
 * last page of the address space, which no allocation returns.
 */
#ifndef MOAT_BASE_ERR_H
#define MOAT_BASE_ERR_H

#include <errno.h>

#include "base/types.h"

#define MAX_ERRNO 4095

/*
 * Kernel-internal codes that never reach a program. ERESTARTNOINTR: run the
 * call again from the start with what it asked for (machine/file.h);
 * EPROBE_DEFER: a driver waits for a supplier; EIOCBQUEUED: the answer comes
 * later through call_complete(); ENOTSUPP: in-kernel "not supported".
 */
#define ERESTARTNOINTR 513
#define EPROBE_DEFER   517
#define ENOTSUPP       524
#define EIOCBQUEUED    529

static inline void *ERR_PTR(long error)
{
	return (void *)error;
}

static inline long PTR_ERR(const void *ptr)
{
	return (long)ptr;
}

static inline bool IS_ERR(const void *ptr)
{
	return unlikely((unsigned long)ptr >= (unsigned long)-MAX_ERRNO);
}

static inline bool IS_ERR_OR_NULL(const void *ptr)
{
	return !ptr || IS_ERR(ptr);
}

static inline void *ERR_CAST(const void *ptr)
{
	return (void *)ptr;
}

static inline int PTR_ERR_OR_ZERO(const void *ptr)
{
	return IS_ERR(ptr) ? (int)PTR_ERR(ptr) : 0;
}

#endif
