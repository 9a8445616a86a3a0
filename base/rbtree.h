/* SPDX-License-Identifier: MIT */
/*
 * Red-black trees with the kernel's names. The caller walks down, links the new
 * node with rb_link_node() and lets rb_insert_color() balance. A tree may be
 * augmented: a function recomputes what a node keeps about its subtree, and the tree
 * calls it, bottom up, for each node whose subtree changed. Nothing here locks or
 * allocates.
 */
#ifndef MOAT_BASE_RBTREE_H
#define MOAT_BASE_RBTREE_H

#include "base/types.h"

struct rb_node {
	struct rb_node *parent, *rb_left, *rb_right;
	bool red;
};

struct rb_root {
	struct rb_node *rb_node;
};

/* A root that knows its first node. */
struct rb_root_cached {
	struct rb_root rb_root;
	struct rb_node *rb_leftmost;
};

#define RB_ROOT          \
	(struct rb_root) \
	{                \
		NULL     \
	}
#define RB_ROOT_CACHED          \
	(struct rb_root_cached) \
	{                       \
		{NULL}, NULL    \
	}
#define RB_EMPTY_ROOT(root)	    (!(root)->rb_node)
#define rb_entry(ptr, type, member) container_of(ptr, type, member)

/* Recompute @node's data from its own and its children's; true if it changed. */
typedef bool (*rb_augment_fn)(struct rb_node *node);

struct rb_node *rb_first(const struct rb_root *root);
struct rb_node *rb_last(const struct rb_root *root);
struct rb_node *rb_next(const struct rb_node *node);
struct rb_node *rb_prev(const struct rb_node *node);

/* Make @node a leaf at *@link below @parent; balance with rb_insert_*() next. */
static inline void rb_link_node(struct rb_node *node, struct rb_node *parent,
				struct rb_node **link)
{
	node->parent = parent;
	node->rb_left = NULL;
	node->rb_right = NULL;
	*link = node;
}

void rb_insert_augmented(struct rb_node *node, struct rb_root *root,
			 rb_augment_fn augment);
void rb_erase_augmented(struct rb_node *node, struct rb_root *root,
			rb_augment_fn augment);

static inline void rb_insert_color(struct rb_node *node, struct rb_root *root)
{
	rb_insert_augmented(node, root, NULL);
}

static inline void rb_erase(struct rb_node *node, struct rb_root *root)
{
	rb_erase_augmented(node, root, NULL);
}

static inline struct rb_node *rb_first_cached(const struct rb_root_cached *root)
{
	return root->rb_leftmost;
}

/* @leftmost: the walk down never turned right. */
static inline void rb_insert_augmented_cached(struct rb_node *node,
					      struct rb_root_cached *root, bool leftmost,
					      rb_augment_fn augment)
{
	if (leftmost)
		root->rb_leftmost = node;
	rb_insert_augmented(node, &root->rb_root, augment);
}

static inline void rb_erase_augmented_cached(struct rb_node *node,
					     struct rb_root_cached *root,
					     rb_augment_fn augment)
{
	if (root->rb_leftmost == node)
		root->rb_leftmost = rb_next(node);
	rb_erase_augmented(node, &root->rb_root, augment);
}

/* Whether black heights and colours are right; for tests. */
bool rb_check(const struct rb_root *root);

#endif
