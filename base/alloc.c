// SPDX-License-Identifier: MIT
/*
 * malloc() behind one injection point and one live counter.
 */
#include "base/alloc.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault_inject.h"
#include "base/overflow.h"

static _Atomic s64 live;

s64 alloc_live_count(void)
{
	return atomic_load_explicit(&live, memory_order_relaxed);
}

static void *count(void *p)
{
	if (p)
		atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
	return p;
}

void kfree(const void *p)
{
	if (!p)
		return;
	atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
	free((void *)p);
}

/* What size_mul() and size_add() saturate to is never asked of libc. */
static bool too_large(size_t size)
{
	return size > PTRDIFF_MAX;
}

void *kmalloc(size_t size)
{
	if (should_fail("kmalloc") || too_large(size))
		return NULL;
	return count(malloc(size ? size : 1));
}

void *kcalloc(size_t n, size_t size)
{
	if (should_fail("kcalloc") || too_large(size_mul(n, size)))
		return NULL;
	return count(calloc(n ? n : 1, size ? size : 1));
}

void *kzalloc(size_t size)
{
	return kcalloc(1, size);
}

void *krealloc(void *p, size_t size)
{
	void *new;

	if (should_fail("krealloc") || too_large(size))
		return NULL;
	new = realloc(p, size ? size : 1);
	return p ? new : count(new);
}

void *krealloc_array(void *p, size_t n, size_t size)
{
	return krealloc(p, size_mul(n, size));
}

void *kmemdup(const void *src, size_t size)
{
	void *p = kmalloc(size);

	if (p && size)
		memcpy(p, src, size);
	return p;
}

char *kstrndup(const char *s, size_t max)
{
	size_t len;
	char *p;

	if (!s)
		return NULL;
	len = strnlen(s, max);
	p = kmalloc(size_add(len, 1));
	if (p) {
		memcpy(p, s, len);
		p[len] = '\0';
	}
	return p;
}

char *kstrdup(const char *s)
{
	return kstrndup(s, SIZE_MAX);
}

char *kvasprintf(const char *fmt, va_list ap)
{
	va_list again;
	char *p = NULL;
	int len;

	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, ap);
	if (len >= 0)
		p = kmalloc((size_t)len + 1);
	if (p)
		vsnprintf(p, (size_t)len + 1, fmt, again);
	va_end(again);
	return p;
}

char *kasprintf(const char *fmt, ...)
{
	va_list ap;
	char *p;

	va_start(ap, fmt);
	p = kvasprintf(fmt, ap);
	va_end(ap);
	return p;
}
