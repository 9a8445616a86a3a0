// SPDX-License-Identifier: MIT
/*
 * Bounce buffers: copies in pages of their own, for what a device cannot reach or may not
 * see the neighbourhood of. The pool grows by chunks of 64 pages, naturally aligned in
 * machine RAM, up to 64 MiB, and shrinks with the machine only; a mapping takes
 * consecutive pages of one chunk. An address is found by an array over RAM.
 *
 * The copy is filled also where the device is to write, as in Linux: a device that writes
 * less than it said must not leave the buffer with somebody else's bytes. Source:
 * kernel/dma/swiotlb.c.
 */
#include "dma/core.h"

#include <string.h>

#include "base/alloc.h"
#include "base/bitmap.h"
#include "base/overflow.h"

#define CHUNK_SHIFT 18
#define CHUNK_SLOTS (1U << (CHUNK_SHIFT - PAGE_SHIFT))
#define CHUNK_ORDER (CHUNK_SHIFT - PAGE_SHIFT)
#define MAX_CHUNKS  256

struct slot {
	phys_addr_t orig, copy;
	u64 size;     /* bytes; first slot of a mapping only */
	u8 first, nr; /* which slot that is, and how many there are */
};

struct chunk {
	phys_addr_t phys;
	u64 used; /* a bit each slot */
	struct slot slots[CHUNK_SLOTS];
};

struct swiotlb {
	struct dma_core *core;
	struct mutex lock;
	u64 nr_places;
	struct chunk **place; /* by physical address >> CHUNK_SHIFT; NULL until used */
	struct chunk *chunks[MAX_CHUNKS];
	unsigned nr_chunks;
	_Atomic u64 in_use; /* mappings */
};

int swiotlb_create(struct dma_core *core)
{
	struct swiotlb *s = kzalloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->core = core;
	mutex_init(&s->lock);
	s->nr_places = DIV_ROUND_UP(core->machine->hw.hdr->ram_size, 1ULL << CHUNK_SHIFT);
	core->swiotlb = s;
	return 0;
}

void swiotlb_destroy(struct dma_core *core)
{
	struct swiotlb *s = core->swiotlb;

	for (unsigned i = 0; i < s->nr_chunks; i++) {
		ram_free_pages(core->machine, s->chunks[i]->phys, CHUNK_ORDER);
		kfree(s->chunks[i]);
	}
	mutex_destroy(&s->lock);
	kfree(s->place);
	kfree(s);
	core->swiotlb = NULL;
}

static struct chunk *chunk_add(struct swiotlb *s, u64 limit)
{
	struct machine *m = s->core->machine;
	struct chunk *c;

	if (s->nr_chunks == MAX_CHUNKS)
		return NULL;
	if (!s->place)
		s->place = kcalloc(s->nr_places, sizeof(*s->place));
	c = s->place ? kzalloc(sizeof(*c)) : NULL;
	if (!c)
		return NULL;
	if (ram_alloc_pages(m, CHUNK_ORDER, &c->phys))
		goto err_free;
	if (c->phys + SWIOTLB_MAX_SIZE - 1 > limit)
		goto err_free_pages;
	s->place[c->phys >> CHUNK_SHIFT] = c;
	s->chunks[s->nr_chunks++] = c;
	return c;

err_free_pages:
	ram_free_pages(m, c->phys, CHUNK_ORDER);
err_free:
	kfree(c);
	return NULL;
}

/* The first of @nr free slots in a row, or CHUNK_SLOTS. */
static unsigned chunk_find(const struct chunk *c, unsigned nr)
{
	u64 want = nr == 64 ? ~0ULL : (1ULL << nr) - 1;

	for (unsigned i = 0; i + nr <= CHUNK_SLOTS; i++) {
		if (!(c->used & want << i))
			return i;
	}
	return CHUNK_SLOTS;
}

static struct slot *slot_of(struct swiotlb *s, phys_addr_t phys, struct chunk **chunk)
{
	struct chunk *c;
	unsigned i;

	lockdep_assert_held(&s->lock);
	if (!s->place || phys >> CHUNK_SHIFT >= s->nr_places)
		return NULL;
	c = s->place[phys >> CHUNK_SHIFT];
	i = (unsigned)(phys >> PAGE_SHIFT) & (CHUNK_SLOTS - 1);
	if (!c || !(c->used & 1ULL << i))
		return NULL;
	if (chunk)
		*chunk = c;
	return &c->slots[c->slots[i].first];
}

static void copy_bytes(struct swiotlb *s, phys_addr_t to, phys_addr_t from, u64 size)
{
	struct hw *hw = &s->core->machine->hw;
	void *dst = ram_ptr(hw, to, size), *src = ram_ptr(hw, from, size);

	if (dst && src)
		memcpy(dst, src, size);
}

int swiotlb_map(struct dma_core *core, phys_addr_t phys, u64 size, u64 limit,
		phys_addr_t *out)
{
	struct swiotlb *s = core ? core->swiotlb : NULL;
	u64 offset = phys & (PAGE_SIZE - 1);
	struct chunk *c = NULL;
	unsigned nr, i = CHUNK_SLOTS, n;
	struct slot *slot;
	u8 *copy;

	if (!s || !size || size > SWIOTLB_MAX_SIZE - offset ||
	    !ram_ptr(&core->machine->hw, phys, size))
		return -EINVAL;
	nr = (unsigned)DIV_ROUND_UP(offset + size, PAGE_SIZE);
	guard(mutex)(&s->lock);
	for (n = 0; n < s->nr_chunks && i == CHUNK_SLOTS; n++) {
		c = s->chunks[n];
		if (c->phys + SWIOTLB_MAX_SIZE - 1 <= limit)
			i = chunk_find(c, nr);
	}
	if (i == CHUNK_SLOTS) {
		c = chunk_add(s, limit);
		if (!c)
			return -ENOMEM;
		i = 0;
	}
	c->used |= (nr == 64 ? ~0ULL : (1ULL << nr) - 1) << i;
	slot = &c->slots[i];
	for (n = 0; n < nr; n++)
		c->slots[i + n].first = (u8)i;
	slot->nr = (u8)nr;
	slot->orig = phys;
	slot->size = size;
	slot->copy = c->phys + ((u64)i << PAGE_SHIFT) + offset;
	copy = ram_ptr(&core->machine->hw, slot->copy - offset, (u64)nr << PAGE_SHIFT);
	memset(copy, 0, offset);
	memset(copy + offset + size, 0, ((u64)nr << PAGE_SHIFT) - offset - size);
	copy_bytes(s, slot->copy, phys, size);
	atomic_fetch_add_explicit(&s->in_use, 1, memory_order_relaxed);
	*out = slot->copy;
	return 0;
}

bool swiotlb_holds(struct dma_core *core, phys_addr_t phys)
{
	struct swiotlb *s = core ? core->swiotlb : NULL;

	if (!s || !atomic_load_explicit(&s->in_use, memory_order_relaxed))
		return false;
	guard(mutex)(&s->lock);
	return slot_of(s, phys, NULL) != NULL;
}

void swiotlb_unmap(struct dma_core *core, phys_addr_t phys, enum dma_data_direction dir,
		   u32 attrs)
{
	struct swiotlb *s = core ? core->swiotlb : NULL;
	struct chunk *c;
	struct slot *slot;

	if (!s || likely(!atomic_load_explicit(&s->in_use, memory_order_relaxed)))
		return;
	guard(mutex)(&s->lock);
	slot = slot_of(s, phys, &c);
	if (!slot)
		return;
	if (dma_coming_from_device(dir) && !(attrs & DMA_ATTR_SKIP_CPU_SYNC))
		copy_bytes(s, slot->orig, slot->copy, slot->size);
	c->used &= ~((slot->nr == 64 ? ~0ULL : (1ULL << slot->nr) - 1) << slot->first);
	atomic_fetch_sub_explicit(&s->in_use, 1, memory_order_relaxed);
}

void swiotlb_sync(struct dma_core *core, phys_addr_t phys, u64 size, bool to_cpu)
{
	struct swiotlb *s = core ? core->swiotlb : NULL;
	struct slot *slot;
	u64 at;

	if (!s || !atomic_load_explicit(&s->in_use, memory_order_relaxed))
		return;
	guard(mutex)(&s->lock);
	slot = slot_of(s, phys, NULL);
	if (!slot || phys < slot->copy || phys - slot->copy >= slot->size)
		return;
	at = phys - slot->copy;
	size = min(size, slot->size - at);
	if (to_cpu)
		copy_bytes(s, slot->orig + at, phys, size);
	else
		copy_bytes(s, phys, slot->orig + at, size);
}
