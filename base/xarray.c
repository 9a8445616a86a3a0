// SPDX-License-Identifier: MIT
/*
 * The radix tree behind struct xarray. A node covers 6 bits of the id; the root's
 * shift grows as larger ids come. Each node keeps two masks: `used`, slots that are
 * not NULL, and `full`, slots below which every id is taken. The tree grows before it
 * is changed, so that running out of memory leaves only empty nodes, which are
 * pruned again.
 */
#include "base/xarray.h"

#include "base/alloc.h"
#include "base/bitmap.h"

#define NODE_BITS  6
#define NODE_SLOTS 64

struct xa_node {
	struct xa_node *parent;
	u8 shift; /* 0: slots are entries */
	u8 slot;  /* index in the parent */
	u64 used, full;
	void *slots[NODE_SLOTS];
};

/* What a reserved id points at. */
static char reserved_entry;
#define RESERVED ((void *)&reserved_entry)

static unsigned slot_of(const struct xa_node *node, u64 index)
{
	return (index >> node->shift) % NODE_SLOTS;
}

/* Whether @index lies in the subtree of the root @node. */
static bool node_covers(const struct xa_node *node, u64 index)
{
	return node->shift + NODE_BITS >= 64 || !(index >> (node->shift + NODE_BITS));
}

static struct xa_node *node_new(struct xa_node *parent, u8 shift, u8 slot)
{
	struct xa_node *node = kzalloc(sizeof(*node));

	if (node) {
		node->parent = parent;
		node->shift = shift;
		node->slot = slot;
	}
	return node;
}

static void mark_full(struct xa_node *node, unsigned slot)
{
	node->full |= BIT_ULL(slot);
	while (node->full == UINT64_MAX && node->parent) {
		node->parent->full |= BIT_ULL(node->slot);
		node = node->parent;
	}
}

static void mark_not_full(struct xa_node *node, unsigned slot)
{
	node->full &= ~BIT_ULL(slot);
	while (node->parent && (node->parent->full & BIT_ULL(node->slot))) {
		node->parent->full &= ~BIT_ULL(node->slot);
		node = node->parent;
	}
}

/* Free @node and what is above it while empty; lower a root that has one low slot. */
static void prune(struct xarray *xa, struct xa_node *node)
{
	while (node && !node->used) {
		struct xa_node *parent = node->parent;

		if (parent) {
			parent->slots[node->slot] = NULL;
			parent->used &= ~BIT_ULL(node->slot);
		} else {
			xa->root = NULL;
		}
		kfree(node);
		node = parent;
	}
	while (xa->root && xa->root->shift && xa->root->used == 1) {
		struct xa_node *root = xa->root;

		xa->root = root->slots[0];
		xa->root->parent = NULL;
		kfree(root);
	}
}

static struct xa_node *leaf_find(const struct xarray *xa, u64 index)
{
	struct xa_node *node = xa->root;

	if (!node || !node_covers(node, index))
		return NULL;
	while (node && node->shift)
		node = node->slots[slot_of(node, index)];
	return node;
}

/* The leaf of @index, made if need be; NULL when memory is out. */
static struct xa_node *leaf_make(struct xarray *xa, u64 index)
{
	struct xa_node *node;

	if (!xa->root) {
		u8 shift = 0;

		while (shift + NODE_BITS < 64 && index >> (shift + NODE_BITS))
			shift += NODE_BITS;
		xa->root = node_new(NULL, shift, 0);
		if (!xa->root)
			return NULL;
	}
	while (!node_covers(xa->root, index)) {
		struct xa_node *old = xa->root;

		node = node_new(NULL, old->shift + NODE_BITS, 0);
		if (!node) {
			prune(xa, NULL);
			return NULL;
		}
		node->slots[0] = old;
		node->used = 1;
		node->full = old->full == UINT64_MAX;
		old->parent = node;
		xa->root = node;
	}
	node = xa->root;
	while (node->shift) {
		unsigned slot = slot_of(node, index);

		if (!node->slots[slot]) {
			struct xa_node *child =
				node_new(node, node->shift - NODE_BITS, (u8)slot);

			if (!child) {
				prune(xa, node);
				return NULL;
			}
			node->slots[slot] = child;
			node->used |= BIT_ULL(slot);
		}
		node = node->slots[slot];
	}
	return node;
}

void xa_destroy(struct xarray *xa)
{
	struct xa_node *node = xa->root;

	while (node) {
		struct xa_node *parent = node->parent;

		if (node->shift && node->used) {
			unsigned slot = __ffs64(node->used);

			node->used &= ~BIT_ULL(slot);
			node = node->slots[slot];
			continue;
		}
		kfree(node);
		node = parent;
	}
	xa_init(xa);
}

void *xa_load(const struct xarray *xa, u64 index)
{
	struct xa_node *leaf = leaf_find(xa, index);
	void *entry = leaf ? leaf->slots[slot_of(leaf, index)] : NULL;

	return entry == RESERVED ? NULL : entry;
}

static int store(struct xarray *xa, u64 index, void *entry, bool replace)
{
	struct xa_node *leaf = leaf_make(xa, index);
	unsigned slot;

	if (!leaf)
		return -ENOMEM;
	slot = slot_of(leaf, index);
	if (leaf->slots[slot]) {
		if (!replace)
			return -EBUSY;
	} else {
		xa->count++;
		leaf->used |= BIT_ULL(slot);
		mark_full(leaf, slot);
	}
	leaf->slots[slot] = entry;
	return 0;
}

int xa_store(struct xarray *xa, u64 index, void *entry)
{
	if (!entry) {
		xa_erase(xa, index);
		return 0;
	}
	return store(xa, index, entry, true);
}

int xa_insert(struct xarray *xa, u64 index, void *entry)
{
	return store(xa, index, entry ? entry : RESERVED, false);
}

int xa_reserve(struct xarray *xa, u64 index)
{
	return xa_insert(xa, index, NULL);
}

void *xa_erase(struct xarray *xa, u64 index)
{
	struct xa_node *leaf = leaf_find(xa, index);
	unsigned slot;
	void *entry;

	if (!leaf)
		return NULL;
	slot = slot_of(leaf, index);
	entry = leaf->slots[slot];
	if (!entry)
		return NULL;
	xa->count--;
	leaf->slots[slot] = NULL;
	leaf->used &= ~BIT_ULL(slot);
	mark_not_full(leaf, slot);
	prune(xa, leaf);
	return entry == RESERVED ? NULL : entry;
}

/* Mask of the slots of @node at or after @slot; none for slot 64. */
static u64 slots_from(unsigned slot)
{
	return slot >= NODE_SLOTS ? 0 : ~0ULL << slot;
}

/*
 * The smallest index >= @min whose slot is not set in @full-style masks (@want_free)
 * or is set in used (!@want_free), within the tree as it stands; false if none.
 */
static bool search(const struct xarray *xa, u64 min, bool want_free, u64 *index)
{
	struct xa_node *node = xa->root;
	u64 at = min;

	if (!node || !node_covers(node, min))
		return false;
	for (;;) {
		unsigned slot = slot_of(node, at);
		u64 mask = (want_free ? ~node->full : node->used) & slots_from(slot);

		while (!mask) {
			/* Nothing in the rest of this node: the next slot of its parent.
			 */
			if (!node->parent)
				return false;
			slot = node->slot + 1;
			node = node->parent;
			mask = (want_free ? ~node->full : node->used) & slots_from(slot);
		}
		if (__ffs64(mask) != slot_of(node, at)) {
			/* Moved right: everything below starts from zero. */
			u64 above =
				node->shift + NODE_BITS >= 64
					? 0
					: at >> (node->shift + NODE_BITS)
							  << (node->shift + NODE_BITS);

			at = above | (u64)__ffs64(mask) << node->shift;
		}
		if (!node->shift || !node->slots[slot_of(node, at)]) {
			*index = at;
			return true;
		}
		node = node->slots[slot_of(node, at)];
	}
}

int xa_alloc(struct xarray *xa, u32 *id, void *entry, struct xa_limit limit)
{
	u64 index = limit.min;
	int rc;

	if (limit.min > limit.max)
		return -EBUSY;
	/* Beyond what the tree covers, everything is free. */
	if (!search(xa, limit.min, true, &index) && xa->root &&
	    node_covers(xa->root, limit.min))
		index = BIT_ULL(xa->root->shift + NODE_BITS);
	if (index > limit.max)
		return -EBUSY;
	rc = xa_insert(xa, index, entry);
	if (!rc)
		*id = (u32)index;
	return rc;
}

int xa_alloc_cyclic(struct xarray *xa, u32 *id, void *entry, struct xa_limit limit,
		    u32 *next)
{
	u32 min = max(limit.min, *next);
	int rc = -EBUSY;
	bool wrapped = false;

	if (min <= limit.max)
		rc = xa_alloc(xa, id, entry, XA_LIMIT(min, limit.max));
	if (rc == -EBUSY && min > limit.min) {
		wrapped = true;
		rc = xa_alloc(xa, id, entry, limit);
	}
	if (rc)
		return rc;
	*next = *id == limit.max ? limit.min : *id + 1;
	return wrapped;
}

void *xa_find(const struct xarray *xa, u64 *index, u64 max)
{
	u64 at = *index;

	while (search(xa, at, false, &at) && at <= max) {
		struct xa_node *leaf = leaf_find(xa, at);
		void *entry = leaf->slots[slot_of(leaf, at)];

		if (entry != RESERVED) {
			*index = at;
			return entry;
		}
		if (at == UINT64_MAX)
			break;
		at++;
	}
	return NULL;
}

void *xa_find_after(const struct xarray *xa, u64 *index, u64 max)
{
	u64 at = *index + 1;
	void *entry;

	if (!at)
		return NULL;
	entry = xa_find(xa, &at, max);
	if (entry)
		*index = at;
	return entry;
}
