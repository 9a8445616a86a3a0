/* SPDX-License-Identifier: MIT */
/*
 * Intervals [start, last], both inclusive so that they reach 2^64-1, in an augmented
 * red-black tree: find all that overlap a range in order of start. Intervals may
 * overlap each other. struct interval_tree_span_iter walks a range as alternating
 * spans, each covered by some interval or by none.
 */
#ifndef MOAT_BASE_INTERVAL_TREE_H
#define MOAT_BASE_INTERVAL_TREE_H

#include "base/rbtree.h"
#include "base/types.h"

struct interval_tree_node {
	struct rb_node rb;
	u64 start, last;
	u64 subtree_last; /* greatest last in the subtree */
};

void interval_tree_insert(struct interval_tree_node *node, struct rb_root_cached *root);
void interval_tree_remove(struct interval_tree_node *node, struct rb_root_cached *root);
/* The first, by start, that overlaps [start, last]; NULL if none. */
struct interval_tree_node *interval_tree_iter_first(const struct rb_root_cached *root,
						    u64 start, u64 last);
/* The next after @node that overlaps [start, last]. */
struct interval_tree_node *interval_tree_iter_next(struct interval_tree_node *node,
						   u64 start, u64 last);

/* The body must not change the tree. */
#define interval_tree_for_each(node, root, start, last)                    \
	for ((node) = interval_tree_iter_first(root, start, last); (node); \
	     (node) = interval_tree_iter_next(node, start, last))

struct interval_tree_span_iter {
	const struct rb_root_cached *root;
	u64 first_index, last_index; /* the range asked for */
	bool done;
	/* The current span. */
	bool is_hole;
	u64 start, last;
};

void interval_tree_span_iter_first(struct interval_tree_span_iter *iter,
				   const struct rb_root_cached *root, u64 first_index,
				   u64 last_index);
/* Each step starts afresh from the tree, which may have changed beyond iter->last. */
void interval_tree_span_iter_next(struct interval_tree_span_iter *iter);

#define interval_tree_for_each_span(iter, root, first, last)                        \
	for (interval_tree_span_iter_first(iter, root, first, last); !(iter)->done; \
	     interval_tree_span_iter_next(iter))

#endif
