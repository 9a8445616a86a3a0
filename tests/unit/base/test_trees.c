// SPDX-License-Identifier: MIT
/*
 * Red-black and interval trees against arrays, with the same random input.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/interval_tree.h"
#include "base/rand.h"
#include "base/rbtree.h"

#define NODES 300
#define STEPS 40000

struct item {
	struct rb_node rb;
	u64 key;
	bool in;
};

static void item_insert(struct rb_root *root, struct item *item)
{
	struct rb_node **link = &root->rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = item->key < rb_entry(parent, struct item, rb)->key
			       ? &parent->rb_left
			       : &parent->rb_right;
	}
	rb_link_node(&item->rb, parent, link);
	rb_insert_color(&item->rb, root);
}

static void rbtree_random_stays_balanced_and_sorted(void **state)
{
	static struct item items[NODES];
	struct rb_root root = RB_ROOT;
	unsigned in = 0;
	struct rnd r;

	rnd_seed(&r, 1);
	for (unsigned step = 0; step < STEPS; step++) {
		struct item *item = &items[rnd_below(&r, NODES)];
		struct rb_node *node;
		unsigned count = 0;
		u64 previous = 0;

		if (item->in) {
			rb_erase(&item->rb, &root);
			in--;
		} else {
			item->key = rnd_below(&r, 1000);
			item_insert(&root, item);
			in++;
		}
		item->in = !item->in;
		if (step % 16)
			continue;
		assert_true(rb_check(&root));
		for (node = rb_first(&root); node; node = rb_next(node)) {
			assert_true(rb_entry(node, struct item, rb)->key >= previous);
			previous = rb_entry(node, struct item, rb)->key;
			if (rb_next(node))
				assert_ptr_equal(rb_prev(rb_next(node)), node);
			else
				assert_ptr_equal(rb_last(&root), node);
			count++;
		}
		assert_int_equal(count, in);
	}
}

struct area {
	struct interval_tree_node node;
	bool in;
};

/* The first in order of (start, then whatever order the tree keeps) that overlaps. */
static u64 reference_first_start(const struct area *areas, u64 start, u64 last,
				 bool *found)
{
	u64 best = UINT64_MAX;

	*found = false;
	for (unsigned i = 0; i < NODES; i++) {
		const struct interval_tree_node *n = &areas[i].node;

		if (areas[i].in && n->start <= last && n->last >= start) {
			*found = true;
			best = min(best, n->start);
		}
	}
	return best;
}

static void check_range(const struct rb_root_cached *root, const struct area *areas,
			u64 start, u64 last)
{
	struct interval_tree_node *node = interval_tree_iter_first(root, start, last);
	unsigned expected = 0, count = 0;
	u64 previous = 0, first;
	bool found;

	first = reference_first_start(areas, start, last, &found);
	assert_int_equal(found, !!node);
	if (node)
		assert_int_equal(node->start, first);
	interval_tree_for_each(node, root, start, last) {
		assert_true(node->start <= last && node->last >= start);
		assert_true(node->start >= previous);
		previous = node->start;
		count++;
	}
	for (unsigned i = 0; i < NODES; i++)
		expected += areas[i].in && areas[i].node.start <= last &&
			    areas[i].node.last >= start;
	assert_int_equal(count, expected);
}

static bool covered(const struct area *areas, u64 at)
{
	for (unsigned i = 0; i < NODES; i++) {
		if (areas[i].in && areas[i].node.start <= at && areas[i].node.last >= at)
			return true;
	}
	return false;
}

static void interval_tree_random_finds_what_array_finds(void **state)
{
	static struct area areas[NODES];
	struct rb_root_cached root = RB_ROOT_CACHED;
	struct rnd r;

	rnd_seed(&r, 2);
	for (unsigned step = 0; step < STEPS; step++) {
		struct area *area = &areas[rnd_below(&r, NODES)];
		u64 base = rnd_one_in(&r, 2) ? 0 : UINT64_MAX - 5000;
		u64 start = base + rnd_below(&r, 4900);

		if (area->in) {
			interval_tree_remove(&area->node, &root);
		} else {
			area->node.start = start;
			area->node.last = start + rnd_below(&r, 40);
			interval_tree_insert(&area->node, &root);
		}
		area->in = !area->in;
		start = base + rnd_below(&r, 4900);
		check_range(&root, areas, start, start + rnd_below(&r, 100));
		if (step % 512 == 0) {
			check_range(&root, areas, 0, UINT64_MAX);
			assert_true(rb_check(&root.rb_root));
		}
	}
}

static void interval_tree_spans_alternate_and_cover_range(void **state)
{
	static struct area areas[NODES];
	struct rnd r;

	rnd_seed(&r, 3);
	for (unsigned round = 0; round < 200; round++) {
		struct rb_root_cached root = RB_ROOT_CACHED;
		struct interval_tree_span_iter span;
		u64 first = rnd_below(&r, 1000), last = first + rnd_below(&r, 1000);
		u64 next = first;

		for (unsigned i = 0; i < NODES; i++) {
			areas[i].in = i < round / 8;
			if (!areas[i].in)
				continue;
			areas[i].node.start = rnd_below(&r, 2000);
			areas[i].node.last = areas[i].node.start + rnd_below(&r, 60);
			interval_tree_insert(&areas[i].node, &root);
		}
		interval_tree_for_each_span(&span, &root, first, last)
		{
			assert_int_equal(span.start, next);
			for (u64 at = span.start; at <= span.last; at++)
				assert_int_equal(covered(areas, at), !span.is_hole);
			next = span.last + 1;
		}
		assert_int_equal(next, last + 1);
	}
}

static void interval_tree_spans_reach_the_last_address(void **state)
{
	struct rb_root_cached root = RB_ROOT_CACHED;
	struct interval_tree_node node = {.start = UINT64_MAX - 1, .last = UINT64_MAX};
	struct interval_tree_span_iter span;
	unsigned count = 0;

	interval_tree_insert(&node, &root);
	interval_tree_for_each_span(&span, &root, 0, UINT64_MAX)
		assert_int_equal(span.is_hole, count++ == 0);
	assert_int_equal(count, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rbtree_random_stays_balanced_and_sorted),
		cmocka_unit_test(interval_tree_random_finds_what_array_finds),
		cmocka_unit_test(interval_tree_spans_alternate_and_cover_range),
		cmocka_unit_test(interval_tree_spans_reach_the_last_address),
	};

	return cmocka_run_group_tests_name("trees", tests, NULL, NULL);
}
