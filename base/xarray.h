/* SPDX-License-Identifier: MIT */
/*
 * A map from ids to pointers, with the kernel's names, as a radix tree of 64-slot
 * nodes. Looking up, storing and finding the smallest free id take one step a level.
 * An id may be reserved: taken, but xa_load() gives NULL and iteration skips it.
 * The caller locks. Erasing, and storing at a taken or reserved id, never allocate.
 */
#ifndef MOAT_BASE_XARRAY_H
#define MOAT_BASE_XARRAY_H

#include "base/types.h"

struct xa_node;

struct xarray {
	struct xa_node *root; /* NULL: empty */
	u64 count;	      /* taken ids, reserved ones included */
};

struct xa_limit {
	u32 max, min; /* both inclusive */
};

#define XARRAY_INIT     \
	{               \
		NULL, 0 \
	}
#define DEFINE_XARRAY(name) struct xarray name = XARRAY_INIT
#define XA_LIMIT(_min, _max)                 \
	(struct xa_limit)                    \
	{                                    \
		.min = (_min), .max = (_max) \
	}
#define xa_limit_32b XA_LIMIT(0, UINT32_MAX)
#define xa_limit_31b XA_LIMIT(0, INT32_MAX)
#define xa_limit_16b XA_LIMIT(0, UINT16_MAX)

static inline void xa_init(struct xarray *xa)
{
	*xa = (struct xarray)XARRAY_INIT;
}

static inline bool xa_empty(const struct xarray *xa)
{
	return !xa->count;
}

/* Forgets all ids; what they named is the caller's. */
void xa_destroy(struct xarray *xa);

void *xa_load(const struct xarray *xa, u64 index);
/* @entry replaces what is there; NULL erases. Return: 0, -ENOMEM. */
int __must_check xa_store(struct xarray *xa, u64 index, void *entry);
/* Return: 0, -EBUSY if the id is taken, -ENOMEM. A NULL @entry reserves. */
int __must_check xa_insert(struct xarray *xa, u64 index, void *entry);
/* Take the id, without an entry yet. Return: 0, -EBUSY, -ENOMEM. */
int __must_check xa_reserve(struct xarray *xa, u64 index);
/* Return: what was there, NULL if nothing. */
void *xa_erase(struct xarray *xa, u64 index);

/*
 * The smallest free id within @limit. A NULL @entry reserves it.
 * Return: 0, -EBUSY if none is free, -ENOMEM.
 */
int __must_check xa_alloc(struct xarray *xa, u32 *id, void *entry, struct xa_limit limit);
/*
 * The smallest free id at or after *@next, and if there is none, within @limit;
 * *@next moves behind it. Return: 0, 1 after wrapping, -EBUSY, -ENOMEM.
 */
int __must_check xa_alloc_cyclic(struct xarray *xa, u32 *id, void *entry,
				 struct xa_limit limit, u32 *next);

/* First entry with *@index <= id <= @max; *@index becomes its id. NULL if none. */
void *xa_find(const struct xarray *xa, u64 *index, u64 max);
/* The same with *@index < id. */
void *xa_find_after(const struct xarray *xa, u64 *index, u64 max);

/* Ascending by id (u64 index). The body may erase any id and store at taken ones. */
#define xa_for_each(xa, index, entry)                                           \
	for ((index) = 0, (entry) = xa_find(xa, &(index), UINT64_MAX); (entry); \
	     (entry) = xa_find_after(xa, &(index), UINT64_MAX))
#define xa_for_each_start(xa, index, entry, start)                                    \
	for ((index) = (start), (entry) = xa_find(xa, &(index), UINT64_MAX); (entry); \
	     (entry) = xa_find_after(xa, &(index), UINT64_MAX))

#endif
