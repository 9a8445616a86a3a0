// SPDX-License-Identifier: MIT
/*
 * Red-black balancing (Cormen et al., ch. 13) without sentinel nodes: a missing
 * child is black. Rotations keep the set of nodes below their top, so augmented data
 * above the top stays right and only the two rotated nodes are recomputed.
 */
#include "base/rbtree.h"

static bool is_red(const struct rb_node *node)
{
	return node && node->red;
}

struct rb_node *rb_first(const struct rb_root *root)
{
	struct rb_node *node = root->rb_node;

	while (node && node->rb_left)
		node = node->rb_left;
	return node;
}

struct rb_node *rb_last(const struct rb_root *root)
{
	struct rb_node *node = root->rb_node;

	while (node && node->rb_right)
		node = node->rb_right;
	return node;
}

struct rb_node *rb_next(const struct rb_node *node)
{
	if (node->rb_right) {
		struct rb_root right = {node->rb_right};

		return rb_first(&right);
	}
	while (node->parent && node == node->parent->rb_right)
		node = node->parent;
	return node->parent;
}

struct rb_node *rb_prev(const struct rb_node *node)
{
	if (node->rb_left) {
		struct rb_root left = {node->rb_left};

		return rb_last(&left);
	}
	while (node->parent && node == node->parent->rb_left)
		node = node->parent;
	return node->parent;
}

/* Put @new where @old hangs below its parent. */
static void replace_child(struct rb_root *root, struct rb_node *old, struct rb_node *new)
{
	struct rb_node *parent = old->parent;

	if (!parent)
		root->rb_node = new;
	else if (parent->rb_left == old)
		parent->rb_left = new;
	else
		parent->rb_right = new;
	if (new)
		new->parent = parent;
}

/* @node goes down to the left (or right), its child on the other side comes up. */
static void rotate(struct rb_root *root, struct rb_node *node, bool left,
		   rb_augment_fn augment)
{
	struct rb_node *up = left ? node->rb_right : node->rb_left;
	struct rb_node *middle = left ? up->rb_left : up->rb_right;

	replace_child(root, node, up);
	if (left) {
		node->rb_right = middle;
		up->rb_left = node;
	} else {
		node->rb_left = middle;
		up->rb_right = node;
	}
	if (middle)
		middle->parent = node;
	node->parent = up;
	if (augment) {
		augment(node);
		augment(up);
	}
}

static void propagate(struct rb_node *node, rb_augment_fn augment)
{
	for (; augment && node; node = node->parent)
		augment(node);
}

void rb_insert_augmented(struct rb_node *node, struct rb_root *root,
			 rb_augment_fn augment)
{
	node->red = true;
	if (augment) {
		augment(node);
		for (struct rb_node *up = node->parent; up && augment(up);
		     up = up->parent)
			;
	}
	while (is_red(node->parent)) {
		struct rb_node *parent = node->parent;
		struct rb_node *grand = parent->parent;
		bool on_left = parent == grand->rb_left;
		struct rb_node *uncle = on_left ? grand->rb_right : grand->rb_left;

		if (is_red(uncle)) {
			parent->red = false;
			uncle->red = false;
			grand->red = true;
			node = grand;
			continue;
		}
		if (node == (on_left ? parent->rb_right : parent->rb_left)) {
			rotate(root, parent, on_left, augment);
			parent = node;
		}
		parent->red = false;
		grand->red = true;
		rotate(root, grand, !on_left, augment);
		break;
	}
	root->rb_node->red = false;
}

/* The paths through @parent's child @node (perhaps NULL) are one black short. */
static void erase_fixup(struct rb_root *root, struct rb_node *node,
			struct rb_node *parent, rb_augment_fn augment)
{
	while (parent && !is_red(node)) {
		bool on_left = node == parent->rb_left;
		struct rb_node *sibling = on_left ? parent->rb_right : parent->rb_left;
		struct rb_node *near, *far;

		if (sibling->red) {
			sibling->red = false;
			parent->red = true;
			rotate(root, parent, on_left, augment);
			sibling = on_left ? parent->rb_right : parent->rb_left;
		}
		near = on_left ? sibling->rb_left : sibling->rb_right;
		far = on_left ? sibling->rb_right : sibling->rb_left;
		if (!is_red(near) && !is_red(far)) {
			sibling->red = true;
			node = parent;
			parent = node->parent;
			continue;
		}
		if (!is_red(far)) {
			rotate(root, sibling, !on_left, augment);
			far = sibling;
			sibling = near;
		}
		sibling->red = parent->red;
		parent->red = false;
		far->red = false;
		rotate(root, parent, on_left, augment);
		return;
	}
	if (node)
		node->red = false;
}

void rb_erase_augmented(struct rb_node *node, struct rb_root *root, rb_augment_fn augment)
{
	struct rb_node *child, *parent;
	bool was_red;

	if (node->rb_left && node->rb_right) {
		/* The successor takes the node's place; what is missing is where it was.
		 */
		struct rb_node *next = rb_next(node);

		child = next->rb_right;
		parent = next->parent == node ? next : next->parent;
		was_red = next->red;
		replace_child(root, next, child);
		replace_child(root, node, next);
		next->rb_left = node->rb_left;
		next->rb_left->parent = next;
		next->rb_right = node->rb_right;
		if (next->rb_right)
			next->rb_right->parent = next;
		next->red = node->red;
	} else {
		child = node->rb_left ? node->rb_left : node->rb_right;
		parent = node->parent;
		was_red = node->red;
		replace_child(root, node, child);
	}
	propagate(parent, augment);
	if (!was_red)
		erase_fixup(root, child, parent, augment);
}

/* Black height of the subtree, -1 if it breaks a rule. */
static int check_subtree(const struct rb_node *node)
{
	int left, right;

	if (!node)
		return 0;
	if (node->red && (is_red(node->rb_left) || is_red(node->rb_right)))
		return -1;
	if ((node->rb_left && node->rb_left->parent != node) ||
	    (node->rb_right && node->rb_right->parent != node))
		return -1;
	left = check_subtree(node->rb_left);
	right = check_subtree(node->rb_right);
	return left < 0 || left != right ? -1 : left + !node->red;
}

bool rb_check(const struct rb_root *root)
{
	return !is_red(root->rb_node) && check_subtree(root->rb_node) >= 0;
}
