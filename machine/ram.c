// SPDX-License-Identifier: MIT
/*
 * Pages of machine RAM for tables and queues: a buddy allocator whose bookkeeping is
 * in the server's memory only, so nothing that lies in the pages can harm it.
 *
 * A block of 2^order pages is free on the list of its order, or inside a larger free
 * block, or allocated. Freed blocks merge with their buddy at once, except
 * single pages, of which a few wait on a stack for the next allocation. Pages are
 * handed out zeroed; a block knows whether it is clean already, as pages are that
 * nobody used yet (the file is sparse) or whose user cleared them.
 *
 * Addresses start at one page, so that 0 is never a table.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/bitmap.h"
#include "base/fault_inject.h"
#include "base/mutex.h"
#include "machine/dma.h"
#include "machine/machine.h"

#define RAM_MAX_ORDER 18 /* 1 GiB */
#define RAM_STACK     64
#define RAM_NONE      0xffffffffU

enum ram_state { RAM_INSIDE = 0, RAM_FREE, RAM_USED };

struct ram_page {
	u32 next, prev; /* free: neighbours on the list */
	u8 state;	/* enum ram_state, of the block that starts here */
	u8 order;
	bool dirty;
};

struct ram_alloc {
	struct mutex lock; /* all below */
	u32 nr_pages;
	u32 heads[RAM_MAX_ORDER + 1];
	u32 stack_n;
	u32 stack[RAM_STACK]; /* single pages, RAM_USED */
	struct ram_page pages[];
};

static void list_push(struct ram_alloc *r, u32 page, unsigned order)
{
	struct ram_page *p = &r->pages[page];

	p->state = RAM_FREE;
	p->order = order;
	p->prev = RAM_NONE;
	p->next = r->heads[order];
	if (p->next != RAM_NONE)
		r->pages[p->next].prev = page;
	r->heads[order] = page;
}

static void list_remove(struct ram_alloc *r, u32 page)
{
	struct ram_page *p = &r->pages[page];

	if (p->prev != RAM_NONE)
		r->pages[p->prev].next = p->next;
	else
		r->heads[p->order] = p->next;
	if (p->next != RAM_NONE)
		r->pages[p->next].prev = p->prev;
	p->state = RAM_INSIDE;
}

static void merge_in(struct ram_alloc *r, u32 page, unsigned order)
{
	bool dirty = r->pages[page].dirty;

	r->pages[page].state = RAM_INSIDE;
	while (order < RAM_MAX_ORDER) {
		u32 buddy = page ^ (1U << order);
		struct ram_page *b;

		if (buddy >= r->nr_pages)
			break;
		b = &r->pages[buddy];
		if (b->state != RAM_FREE || b->order != order)
			break;
		list_remove(r, buddy);
		dirty |= b->dirty;
		page = min(page, buddy);
		order++;
	}
	r->pages[page].dirty = dirty;
	list_push(r, page, order);
}

int ram_alloc_create(struct machine *m)
{
	u32 nr = m->hw.hdr->ram_size >> PAGE_SHIFT, page;
	struct ram_alloc *r;

	r = kzalloc(sizeof(*r) + (size_t)nr * sizeof(r->pages[0]));
	if (!r)
		return -ENOMEM;
	mutex_init(&r->lock);
	r->nr_pages = nr;
	for (unsigned i = 0; i <= RAM_MAX_ORDER; i++)
		r->heads[i] = RAM_NONE;
	/* The largest blocks that alignment and the end allow. */
	for (page = 1; page < nr;) {
		unsigned order = min_t(unsigned, __ffs64(page), RAM_MAX_ORDER);

		while (page + (1ULL << order) > nr)
			order--;
		list_push(r, page, order);
		page += 1U << order;
	}
	m->ram_alloc = r;
	return 0;
}

void ram_alloc_destroy(struct machine *m)
{
	if (!m->ram_alloc)
		return;
	mutex_destroy(&m->ram_alloc->lock);
	kfree(m->ram_alloc);
	m->ram_alloc = NULL;
}

/* A block of @order, split off the smallest larger one; RAM_NONE when there is none. */
static u32 take(struct ram_alloc *r, unsigned order)
{
	unsigned have = order;
	u32 page;

	while (have <= RAM_MAX_ORDER && r->heads[have] == RAM_NONE)
		have++;
	if (have > RAM_MAX_ORDER)
		return RAM_NONE;
	page = r->heads[have];
	list_remove(r, page);
	while (have > order) {
		u32 half = page + (1U << --have);

		r->pages[half].dirty = r->pages[page].dirty;
		list_push(r, half, have);
	}
	r->pages[page].state = RAM_USED;
	r->pages[page].order = order;
	return page;
}

static void drain_stack(struct ram_alloc *r)
{
	while (r->stack_n)
		merge_in(r, r->stack[--r->stack_n], 0);
}

int ram_alloc_pages(struct machine *m, unsigned order, phys_addr_t *out)
{
	struct ram_alloc *r = m->ram_alloc;
	bool dirty;
	u32 page;

	if (order > RAM_MAX_ORDER || should_fail("ram_alloc_pages"))
		return -ENOMEM;
	mutex_lock(&r->lock);
	if (!order && r->stack_n) {
		page = r->stack[--r->stack_n];
	} else {
		page = take(r, order);
		if (page == RAM_NONE && r->stack_n) {
			drain_stack(r);
			page = take(r, order);
		}
		if (page == RAM_NONE) {
			mutex_unlock(&r->lock);
			return -ENOMEM;
		}
	}
	dirty = r->pages[page].dirty;
	mutex_unlock(&r->lock);

	if (dirty)
		memset(m->hw.ram + ((u64)page << PAGE_SHIFT), 0, PAGE_SIZE << order);
	*out = (phys_addr_t)page << PAGE_SHIFT;
	return 0;
}

static void ram_free(struct machine *m, phys_addr_t phys, unsigned order, bool dirty)
{
	struct ram_alloc *r = m->ram_alloc;
	u32 page = phys >> PAGE_SHIFT;
	bool merge;

	if (WARN_ON(phys & ~PAGE_MASK || phys >> PAGE_SHIFT >= r->nr_pages))
		return;
	mutex_lock(&r->lock);
	merge = WARN_ON(r->pages[page].state != RAM_USED ||
			r->pages[page].order != order);
	if (!merge) {
		r->pages[page].dirty = dirty;
		if (!order && r->stack_n < RAM_STACK)
			r->stack[r->stack_n++] = page;
		else
			merge_in(r, page, order);
	}
	mutex_unlock(&r->lock);
}

void ram_free_pages(struct machine *m, phys_addr_t phys, unsigned order)
{
	ram_free(m, phys, order, true);
}

void ram_free_zeroed(struct machine *m, phys_addr_t phys, unsigned order)
{
	ram_free(m, phys, order, false);
}
