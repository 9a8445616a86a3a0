// SPDX-License-Identifier: MIT
/*
 * Slots of the program window and arrays of pieces, for pin.c: which are taken, and
 * writing them where others read them under a sequence count.
 *
 * A single slot comes from a stack of freed ones, else from the end of what was used so
 * far; a run from that end, else by next fit.
 */
#include "machine/pin_slots.h"

#include "base/alloc.h"
#include "base/bitmap.h"
#include "machine/machine.h"

static int zone_init(struct slot_zone *z, phys_addr_t base, unsigned shift, u32 first,
		     u32 nr)
{
	z->base = base;
	z->shift = shift;
	z->first_extent = first;
	z->nr = nr;
	z->used = kcalloc(BITS_TO_LONGS(nr), sizeof(long));
	return z->used ? 0 : -ENOMEM;
}

int prog_alloc_create(struct machine *m)
{
	const struct hw_header *hdr = m->hw.hdr;
	struct prog_alloc *pa = kzalloc(sizeof(*pa));

	if (!pa)
		return -ENOMEM;
	mutex_init(&pa->lock);
	if (zone_init(&pa->large, hdr->prog_base, hdr->prog_shift, 0, hdr->nr_extents) ||
	    zone_init(&pa->small, hdr->small_base, hdr->small_shift, hdr->nr_extents,
		      hdr->nr_small)) {
		kfree(pa->large.used);
		kfree(pa->small.used);
		kfree(pa);
		return -ENOMEM;
	}
	m->prog_alloc = pa;
	return 0;
}

void prog_alloc_destroy(struct machine *m)
{
	struct prog_alloc *pa = m->prog_alloc;

	if (!pa)
		return;
	for (unsigned i = 0; i < PIECE_ORDERS; i++)
		kfree(pa->piece_free[i]);
	kfree(pa->large.free);
	kfree(pa->large.used);
	kfree(pa->small.free);
	kfree(pa->small.used);
	mutex_destroy(&pa->lock);
	kfree(pa);
	m->prog_alloc = NULL;
}

/* Makes room for one more entry of a stack, so that pushing cannot fail later. */
static int stack_reserve(u32 **stack, u32 *max, u32 want)
{
	u32 *p, n;

	if (want <= *max)
		return 0;
	n = max_t(u32, 64, roundup_pow_of_two(want));
	p = krealloc_array(*stack, n, sizeof(u32));
	if (!p)
		return -ENOMEM;
	*stack = p;
	*max = n;
	return 0;
}

static bool zone_run_free(const struct slot_zone *z, u32 at, u32 n)
{
	return at <= z->nr && n <= z->nr - at &&
	       find_next_bit(z->used, at + n, at) == at + n;
}

/* @n consecutive slots. Return: 0, -ENOMEM. */
int zone_alloc(struct slot_zone *z, u32 n, u32 *out)
{
	u64 at;

	if (n == 1) {
		/* Freeing it must not allocate: room for it is made now. */
		if (stack_reserve(&z->free, &z->free_max, z->free_n + z->singles + 1))
			return -ENOMEM;
		/* A single that became part of a run meanwhile is skipped. */
		while (z->free_n) {
			u32 slot = z->free[--z->free_n];

			if (!test_bit(slot, z->used)) {
				__set_bit(slot, z->used);
				z->next = max(z->next, slot + 1);
				z->singles++;
				*out = slot;
				return 0;
			}
		}
	}
	if (n > z->nr)
		return -ENOMEM;
	at = z->next;
	if (zone_run_free(z, at, n)) {
		z->next += n;
	} else {
		/* Next fit, once around. */
		u32 tries;

		at = z->scan < z->nr ? z->scan : 0;
		for (tries = 0;;) {
			u64 busy;

			at = find_next_zero_bit(z->used, z->nr, at);
			if (at + n > z->nr) {
				if (tries++)
					return -ENOMEM;
				at = 0;
				continue;
			}
			busy = find_next_bit(z->used, at + n, at);
			if (busy == at + n)
				break;
			at = busy + 1;
		}
		z->scan = at + n;
		z->next = max_t(u32, z->next, at + n);
	}
	bitmap_set(z->used, at, n);
	if (n == 1)
		z->singles++;
	*out = at;
	return 0;
}

void zone_free(struct slot_zone *z, u32 at, u32 n)
{
	bitmap_clear(z->used, at, n);
	if (n == 1)
		z->singles--;
	if (at + n == z->next) {
		z->next = at;
		return;
	}
	/* A slot that the stack has no room for is found by its bit. */
	if (n == 1 && z->free_n < z->free_max)
		z->free[z->free_n++] = at;
}

static void extent_begin(struct hw_extent *e)
{
	atomic_store_explicit(&e->seq,
			      atomic_load_explicit(&e->seq, memory_order_relaxed) | 1,
			      memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

static void extent_end(struct hw_extent *e)
{
	atomic_store_explicit(&e->seq,
			      atomic_load_explicit(&e->seq, memory_order_relaxed) + 1,
			      memory_order_release);
}

void extent_write(struct hw_extent *e, u16 backing, u16 mm, u32 first, u32 last,
		  u64 vaddr, u32 flags, u32 nr_pieces)
{
	extent_begin(e);
	__atomic_store_n(&e->backing, backing, __ATOMIC_RELAXED);
	__atomic_store_n(&e->mm, mm, __ATOMIC_RELAXED);
	__atomic_store_n(&e->first, first, __ATOMIC_RELAXED);
	__atomic_store_n(&e->last, last, __ATOMIC_RELAXED);
	__atomic_store_n(&e->vaddr, vaddr, __ATOMIC_RELAXED);
	__atomic_store_n(&e->flags, flags, __ATOMIC_RELAXED);
	__atomic_store_n(&e->nr_pieces, nr_pieces, __ATOMIC_RELAXED);
	extent_end(e);
}

void pin_slots(struct prog_alloc *pa, phys_addr_t phys, u64 len, struct pin_slots *s)
{
	struct slot_zone *z = &pa->large;

	if ((phys - pa->small.base) >> pa->small.shift < pa->small.nr)
		z = &pa->small;
	s->zone = z;
	s->first = (phys - z->base) >> z->shift;
	s->off = (phys - z->base) & ((1ULL << z->shift) - 1);
	s->nr = ((s->off + len - 1) >> z->shift) + 1;
}

/* Bytes of slot number @i that belong to the pin: in the pin and in the slot. */
void slot_range(const struct pin_slots *s, u32 i, u64 len, u64 *pin_off, u64 *n,
		u32 *first)
{
	u64 size = 1ULL << s->zone->shift;

	*first = i ? 0 : s->off;
	*pin_off = i ? i * size - s->off : 0;
	*n = min(size - *first, len - *pin_off);
}

/* Arrays of pieces, in powers of two. */

int pieces_alloc(struct prog_alloc *pa, u32 nr_pieces, u32 n, u32 *out)
{
	unsigned order = order_base_2(n);

	if (order >= PIECE_ORDERS)
		return -ENOMEM;
	if (stack_reserve(&pa->piece_free[order], &pa->piece_free_max[order],
			  pa->piece_free_n[order] + pa->piece_used[order] + 1))
		return -ENOMEM;
	if (pa->piece_free_n[order]) {
		*out = pa->piece_free[order][--pa->piece_free_n[order]];
	} else {
		if ((1U << order) > nr_pieces - pa->piece_next)
			return -ENOMEM;
		*out = pa->piece_next;
		pa->piece_next += 1U << order;
	}
	pa->piece_used[order]++;
	return 0;
}

void pieces_free(struct prog_alloc *pa, u32 at, u32 n)
{
	unsigned order = order_base_2(n);

	pa->piece_used[order]--;
	if (pa->piece_free_n[order] < pa->piece_free_max[order])
		pa->piece_free[order][pa->piece_free_n[order]++] = at;
}
