// SPDX-License-Identifier: MIT
/*
 * Interval search: a subtree whose subtree_last is below the range holds nothing, and
 * nothing right of a node that starts behind the range does. So the leftmost overlap
 * is in the left subtree if that reaches the range at all, and the walk never backs
 * up.
 */
#include "base/interval_tree.h"

static struct interval_tree_node *to_node(const struct rb_node *rb)
{
	return rb ? rb_entry(rb, struct interval_tree_node, rb) : NULL;
}

static bool augment(struct rb_node *rb)
{
	struct interval_tree_node *node = to_node(rb);
	u64 last = node->last, old = node->subtree_last;

	if (rb->rb_left)
		last = max(last, to_node(rb->rb_left)->subtree_last);
	if (rb->rb_right)
		last = max(last, to_node(rb->rb_right)->subtree_last);
	node->subtree_last = last;
	return last != old;
}

void interval_tree_insert(struct interval_tree_node *node, struct rb_root_cached *root)
{
	struct rb_node **link = &root->rb_root.rb_node, *parent = NULL;
	bool leftmost = true;

	while (*link) {
		parent = *link;
		if (node->start < to_node(parent)->start) {
			link = &parent->rb_left;
		} else {
			link = &parent->rb_right;
			leftmost = false;
		}
	}
	rb_link_node(&node->rb, parent, link);
	rb_insert_augmented_cached(&node->rb, root, leftmost, augment);
}

void interval_tree_remove(struct interval_tree_node *node, struct rb_root_cached *root)
{
	rb_erase_augmented_cached(&node->rb, root, augment);
}

/* The leftmost overlap in the subtree, which reaches @start (subtree_last >= start). */
static struct interval_tree_node *search(struct interval_tree_node *node, u64 start,
					 u64 last)
{
	for (;;) {
		struct interval_tree_node *left = to_node(node->rb.rb_left);

		if (left && left->subtree_last >= start) {
			node = left;
			continue;
		}
		if (node->start > last)
			return NULL;
		if (node->last >= start)
			return node;
		node = to_node(node->rb.rb_right);
		if (!node || node->subtree_last < start)
			return NULL;
	}
}

struct interval_tree_node *interval_tree_iter_first(const struct rb_root_cached *root,
						    u64 start, u64 last)
{
	struct interval_tree_node *node = to_node(root->rb_root.rb_node);

	if (!node || node->subtree_last < start ||
	    to_node(root->rb_leftmost)->start > last)
		return NULL;
	return search(node, start, last);
}

struct interval_tree_node *interval_tree_iter_next(struct interval_tree_node *node,
						   u64 start, u64 last)
{
	struct rb_node *rb = &node->rb;

	for (;;) {
		struct interval_tree_node *right = to_node(rb->rb_right);

		if (right && right->subtree_last >= start)
			return search(right, start, last);
		/* Up to the first ancestor of which this is in the left subtree. */
		while (rb->parent && rb == rb->parent->rb_right)
			rb = rb->parent;
		rb = rb->parent;
		node = to_node(rb);
		if (!node || node->start > last)
			return NULL;
		if (node->last >= start)
			return node;
	}
}

/* Fill in the span that starts at iter->start. */
static void span_at(struct interval_tree_span_iter *iter)
{
	struct interval_tree_node *node =
		interval_tree_iter_first(iter->root, iter->start, iter->last_index);

	iter->last = iter->last_index;
	if (!node) {
		iter->is_hole = true;
		return;
	}
	if (node->start > iter->start) {
		iter->is_hole = true;
		iter->last = node->start - 1;
		return;
	}
	iter->is_hole = false;
	iter->last = node->last;
	/* Intervals that overlap or touch continue the span. */
	for (;;) {
		u64 reach = iter->last;

		if (reach >= iter->last_index)
			break;
		interval_tree_for_each(node, iter->root, reach + 1, reach + 1)
			iter->last = max(iter->last, node->last);
		if (iter->last == reach)
			break;
	}
	iter->last = min(iter->last, iter->last_index);
}

void interval_tree_span_iter_first(struct interval_tree_span_iter *iter,
				   const struct rb_root_cached *root, u64 first_index,
				   u64 last_index)
{
	*iter = (struct interval_tree_span_iter){
		.root = root,
		.first_index = first_index,
		.last_index = last_index,
		.start = first_index,
		.done = first_index > last_index,
	};
	if (!iter->done)
		span_at(iter);
}

void interval_tree_span_iter_next(struct interval_tree_span_iter *iter)
{
	if (iter->last >= iter->last_index) {
		iter->done = true;
		return;
	}
	iter->start = iter->last + 1;
	span_at(iter);
}
