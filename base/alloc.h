/* SPDX-License-Identifier: MIT */
/*
 * Every allocation of libmoat goes through these, so that a test can fail each in
 * turn (base/fault_inject.h) and see afterwards that nothing is left. They return
 * NULL when memory is out; sizes are bytes; kfree(NULL) does nothing.
 */
#ifndef MOAT_BASE_ALLOC_H
#define MOAT_BASE_ALLOC_H

#include <stdarg.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/types.h"

void kfree(const void *p);
void *kmalloc(size_t size) __must_check;
void *kzalloc(size_t size) __must_check;
/* Zeroed; NULL if n * size overflows. */
void *kcalloc(size_t n, size_t size) __must_check;
/* Contents beyond the old size are undefined; on failure the old block stays. */
void *krealloc(void *p, size_t size) __must_check;
void *krealloc_array(void *p, size_t n, size_t size) __must_check;
void *kmemdup(const void *src, size_t size) __must_check;
/* kstrdup(NULL) is NULL. */
char *kstrdup(const char *s) __must_check;
/* At most @max characters of @s, always terminated. */
char *kstrndup(const char *s, size_t max) __must_check;
char *kasprintf(const char *fmt, ...) __must_check __printf(1, 2);
char *kvasprintf(const char *fmt, va_list ap) __must_check __printf(1, 0);

/* Blocks allocated and not freed, in this process. */
s64 alloc_live_count(void);

/* Tolerates error pointers, as constructors return them. */
DEFINE_FREE(kfree, void *, if (!IS_ERR_OR_NULL(_T)) kfree(_T))

#endif
