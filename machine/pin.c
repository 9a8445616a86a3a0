// SPDX-License-Identifier: MIT
/*
 * Pinning programs' memory: slots of the program window, and where pinned memory is
 * when the program moves it (mm.h; hw.h has the layout).
 *
 * A pin owns a run of consecutive slots of one kind, so its physical addresses are
 * contiguous for good. What backs them is a list of places: stretches of the pin with
 * the program's address that holds them now. A fresh pin has one. Where the program
 * moves part of it (pin_relocate()) a place is cut, and a slot that then holds more
 * than one becomes HW_BACKING_SPLIT with an array of pieces. Places in program
 * memory are in a tree of their mm, by address, which says what a munmap would
 * take away from devices.
 *
 * All allocation comes before the first change. unpin_user() neither allocates nor
 * fails; what it frees is in nobody's translation any more. Slots and arrays of
 * pieces are handled in pin_slots.c.
 *
 * All of it is protected by prog_alloc.lock.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/interval_tree.h"
#include "machine/dma.h"
#include "machine/machine.h"
#include "machine/pin_slots.h"

/* A block of machine RAM that took the place of program memory. */
struct local_ram {
	unsigned refs; /* places */
	unsigned order;
	phys_addr_t phys;
};

/* Where a stretch of a pin is: bytes [off, off + len) of it. */
struct pin_place {
	struct interval_tree_node node; /* program addresses; not in a tree when local */
	struct pin_place *next;		/* of the pin, ascending by off */
	struct pin *pin;
	u64 off, len;
	u64 at;		       /* program address, or physical address when local */
	struct local_ram *ram; /* NULL: program memory */
};

/* A slot of a pin with several places, and its array of pieces. */
struct pin_split {
	struct pin_split *next;
	u32 slot; /* of the pin, from 0 */
	u32 at, cap;
};

struct pin_places {
	struct pin_place *first;
	struct pin_split *splits;
	u64 mark;
	struct pin_place initial;
};

struct pin_tree {
	struct rb_root_cached places;
	u64 nr; /* places in the tree */
};

/* Bounds for the program's own munmap, see struct hw_mm. */
static void mm_bounds_update(struct machine *m, struct mm *mm)
{
	struct interval_tree_node *first, *root;
	struct hw_mm *hm;

	if (mm->index >= HW_MAX_MMS)
		return;
	hm = &m->hw.mms[mm->index];
	if (!mm->places || !mm->places->nr) {
		atomic_store(&hm->pinned_first, 0);
		atomic_store(&hm->pinned_last, 0);
		return;
	}
	first = container_of(rb_first_cached(&mm->places->places),
			     struct interval_tree_node, rb);
	root = container_of(mm->places->places.rb_root.rb_node, struct interval_tree_node,
			    rb);
	atomic_store(&hm->pinned_first, first->start);
	atomic_store(&hm->pinned_last, root->subtree_last);
}

static void place_insert(struct pin_place *p)
{
	struct pin_tree *tree = p->pin->mm->places;

	p->node.start = p->at;
	p->node.last = p->at + p->len - 1;
	interval_tree_insert(&p->node, &tree->places);
	tree->nr++;
}

static void place_remove(struct pin_place *p)
{
	struct pin_tree *tree = p->pin->mm->places;

	interval_tree_remove(&p->node, &tree->places);
	tree->nr--;
}

static void tree_put(struct mm *mm)
{
	if (mm->places && list_empty(&mm->pins)) {
		kfree(mm->places);
		mm->places = NULL;
	}
}

static void pin_fill(struct pin *pin, struct mm *mm, u64 va, u64 len, phys_addr_t phys,
		     bool write, bool special, struct pin_places *places)
{
	pin->mm = mm_get(mm);
	pin->va = va;
	pin->len = len;
	pin->phys = phys;
	pin->writable = write;
	pin->special = special;
	pin->places = places;
	INIT_LIST_HEAD(&pin->node);
}

int pin_user(struct machine *m, struct mm *mm, u64 va, u64 len, u64 congruent, bool write,
	     struct pin *pin)
{
	struct prog_alloc *pa = m->prog_alloc;
	struct pin_places *places;
	struct pin_slots s = {0};
	phys_addr_t phys = 0;
	bool special = false;
	u64 can;
	int ret;

	if (!len || ((va | len) & ~PAGE_MASK) || va + len - 1 < va)
		return -EFAULT;
	can = mm->ops->accessible(mm, va, len, write, &special, &phys) & PAGE_MASK;
	if (!can)
		return -EFAULT;
	len = min(len, can);
	if (special) {
		pin_fill(pin, mm, va, len, phys, write, true, NULL);
		return 0;
	}

	places = kzalloc(sizeof(*places));
	if (!places)
		return -ENOMEM;
	mutex_lock(&pa->lock);
	ret = -ENOMEM;
	if (!mm->places)
		mm->places = kzalloc(sizeof(*mm->places));
	if (!mm->places)
		goto err;
	s.zone = len <= 1ULL << pa->small.shift ? &pa->small : &pa->large;
	s.off = congruent & ((1ULL << s.zone->shift) - 1) & PAGE_MASK;
	if (((len - 1) >> s.zone->shift) + 2 > s.zone->nr)
		goto err;
	s.nr = ((s.off + len - 1) >> s.zone->shift) + 1;
	ret = zone_alloc(s.zone, s.nr, &s.first);
	if (ret)
		goto err;

	pin_fill(pin, mm, va, len, s.zone->base + ((u64)s.first << s.zone->shift) + s.off,
		 write, false, places);
	list_add_tail(&pin->node, &mm->pins);
	places->first = &places->initial;
	places->initial.pin = pin;
	places->initial.len = len;
	places->initial.at = va;
	place_insert(&places->initial);
	for (u32 i = 0; i < s.nr; i++) {
		u64 pin_off, bytes;
		u32 first;

		slot_range(&s, i, len, &pin_off, &bytes, &first);
		extent_write(&m->hw.extents[s.zone->first_extent + s.first + i],
			     HW_BACKING_PROGRAM, mm->index, first, first + bytes - 1,
			     va + pin_off, write ? HW_EXTENT_WRITABLE : 0, 0);
	}
	mm_bounds_update(m, mm);
	mutex_unlock(&pa->lock);
	return 0;

err:
	tree_put(mm);
	mutex_unlock(&pa->lock);
	kfree(places);
	return ret;
}

static void ram_put(struct machine *m, struct local_ram *ram)
{
	if (!ram || --ram->refs)
		return;
	ram_free_pages(m, ram->phys, ram->order);
	kfree(ram);
}

void unpin_user(struct machine *m, struct pin *pin)
{
	struct prog_alloc *pa = m->prog_alloc;
	struct pin_places *places = pin->places;
	struct mm *mm = pin->mm;
	struct pin_place *p, *next;
	struct pin_slots s;

	if (pin->special) {
		pin->mm = NULL;
		mm_put(mm);
		return;
	}
	mutex_lock(&pa->lock);
	pin_slots(pa, pin->phys, pin->len, &s);
	for (u32 i = 0; i < s.nr; i++)
		extent_write(&m->hw.extents[s.zone->first_extent + s.first + i],
			     HW_BACKING_NONE, 0, 1, 0, 0, 0, 0);
	zone_free(s.zone, s.first, s.nr);
	for (p = places->first; p; p = next) {
		next = p->next;
		if (p->ram)
			ram_put(m, p->ram);
		else
			place_remove(p);
		if (p != &places->initial)
			kfree(p);
	}
	while (places->splits) {
		struct pin_split *split = places->splits;

		places->splits = split->next;
		pieces_free(pa, split->at, split->cap);
		kfree(split);
	}
	list_del(&pin->node);
	mm_bounds_update(m, mm);
	tree_put(mm);
	mutex_unlock(&pa->lock);
	kfree(places);
	pin->places = NULL;
	pin->mm = NULL;
	mm_put(mm);
}

unsigned mm_pins_in_range(struct machine *m, struct mm *mm, u64 va, u64 len,
			  struct pin_range *out, unsigned max)
{
	u64 last = va + len - 1, start = 0,
	    end = 0; /* the range being merged, end inclusive */
	struct interval_tree_node *node;
	unsigned n = 0;

	if (!len || last < va)
		return 0;
	guard(mutex)(&m->prog_alloc->lock);
	if (!mm->places)
		return 0;
	interval_tree_for_each(node, &mm->places->places, va, last) {
		u64 from = max(node->start, va), to = min(node->last, last);

		if (n && from <= end + 1) {
			end = max(end, to);
		} else {
			n++;
			start = from;
			end = to;
		}
		if (n <= max)
			out[n - 1] =
				(struct pin_range){.va = start, .len = end - start + 1};
	}
	return n;
}

unsigned mm_pin_count(struct machine *m, struct mm *mm, u64 va)
{
	struct interval_tree_node *node;
	unsigned n = 0;

	guard(mutex)(&m->prog_alloc->lock);
	if (!mm->places)
		return 0;
	interval_tree_for_each(node, &mm->places->places, va, va)
		n++;
	return n;
}

/*
 * Relocation. A target says where a stretch of addresses went; the targets of one call
 * follow each other. All that is needed is reserved first: two more places for each
 * place in the range and each target boundary in it, and arrays of pieces for the
 * slots concerned. What was not used is given back at the end.
 */
struct target {
	u64 va, len, at;
	struct local_ram *ram;
};

/* A slot that will have other places than before. */
struct slot_change {
	struct slot_change *next;
	struct pin *pin;
	u32 slot;
	u32 at, cap;		 /* the new array */
	struct pin_split *split; /* reserved for a slot that is not split yet */
};

struct relocation {
	struct machine *m;
	struct mm *mm;
	const struct target *targets;
	unsigned nr_targets;
	u64 va, last;
	struct pin_place *spare;
	struct slot_change *changes;
};

/* How many targets touch [@start, @last]. */
static unsigned targets_in(const struct relocation *r, u64 start, u64 last)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->nr_targets; i++)
		n += r->targets[i].va <= last &&
		     start <= r->targets[i].va + r->targets[i].len - 1;
	return n;
}

static unsigned places_in(const struct pin *pin, u64 off, u64 len)
{
	unsigned n = 0;

	for (const struct pin_place *p = pin->places->first; p; p = p->next)
		n += p->off < off + len && off < p->off + p->len;
	return n;
}

static struct pin_split *split_find(const struct pin *pin, u32 slot)
{
	struct pin_split *split;

	for (split = pin->places->splits; split; split = split->next)
		if (split->slot == slot)
			return split;
	return NULL;
}

static int reserve_slot(struct relocation *r, struct pin *pin, u32 slot, unsigned cap)
{
	struct prog_alloc *pa = r->m->prog_alloc;
	struct slot_change *c = kzalloc(sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->pin = pin;
	c->slot = slot;
	if (!split_find(pin, slot)) {
		c->split = kzalloc(sizeof(*c->split));
		if (!c->split)
			goto err;
	}
	if (pieces_alloc(pa, r->m->hw.hdr->nr_pieces, cap, &c->at))
		goto err;
	c->cap = cap;
	c->next = r->changes;
	r->changes = c;
	return 0;
err:
	kfree(c->split);
	kfree(c);
	return -ENOMEM;
}

static int reserve_pin(struct relocation *r, struct pin *pin)
{
	struct pin_slots s;

	pin_slots(r->m->prog_alloc, pin->phys, pin->len, &s);
	for (u32 i = 0; i < s.nr; i++) {
		unsigned hit = 0;
		u64 off, bytes;
		u32 first;

		slot_range(&s, i, pin->len, &off, &bytes, &first);
		for (struct pin_place *p = pin->places->first; p; p = p->next) {
			u64 from = max(p->off, off),
			    to = min(p->off + p->len, off + bytes);

			if (from < to && !p->ram)
				hit += targets_in(r, p->at + (from - p->off),
						  p->at + (to - p->off) - 1);
		}
		if (hit && reserve_slot(r, pin, i, places_in(pin, off, bytes) + 2 * hit))
			return -ENOMEM;
	}
	return 0;
}

static int reserve(struct relocation *r)
{
	u64 mark = ++r->m->prog_alloc->marks;
	struct interval_tree_node *node;

	interval_tree_for_each(node, &r->mm->places->places, r->va, r->last) {
		struct pin_place *p = container_of(node, struct pin_place, node);
		unsigned n = 2 * targets_in(r, node->start, node->last);

		while (n--) {
			struct pin_place *spare = kzalloc(sizeof(*spare));

			if (!spare)
				return -ENOMEM;
			spare->next = r->spare;
			r->spare = spare;
		}
		if (p->pin->places->mark == mark)
			continue;
		p->pin->places->mark = mark;
		if (reserve_pin(r, p->pin))
			return -ENOMEM;
	}
	return 0;
}

static void unreserve(struct relocation *r)
{
	while (r->spare) {
		struct pin_place *p = r->spare;

		r->spare = p->next;
		kfree(p);
	}
	while (r->changes) {
		struct slot_change *c = r->changes;

		r->changes = c->next;
		if (c->cap)
			pieces_free(r->m->prog_alloc, c->at, c->cap);
		kfree(c->split);
		kfree(c);
	}
}

/* Cuts @p at @len bytes; the rest becomes a place of its own, in no tree yet. */
static struct pin_place *place_cut(struct relocation *r, struct pin_place *p, u64 len)
{
	struct pin_place *rest = r->spare;

	r->spare = rest->next;
	*rest = (struct pin_place){
		.next = p->next,
		.pin = p->pin,
		.off = p->off + len,
		.len = p->len - len,
		.at = p->at + len,
	};
	p->next = rest;
	p->len = len;
	return rest;
}

/* Moves what of @p (in no tree) lies in the targets; all of it is in a tree, or local,
 * after. */
static void place_move(struct relocation *r, struct pin_place *p)
{
	for (unsigned i = 0; i < r->nr_targets; i++) {
		const struct target *t = &r->targets[i];
		struct pin_place *rest = NULL;

		if (t->va + t->len - 1 < p->at)
			continue;
		if (t->va > p->at + p->len - 1)
			break;
		if (t->va > p->at) {
			rest = place_cut(r, p, t->va - p->at);
			place_insert(p);
			p = rest;
			rest = NULL;
		}
		if (p->at + p->len - 1 > t->va + t->len - 1)
			rest = place_cut(r, p, t->va + t->len - p->at);
		p->at = t->at + (p->at - t->va);
		if (t->ram) {
			p->ram = t->ram;
			t->ram->refs++;
		} else {
			place_insert(p);
		}
		if (!rest)
			return;
		p = rest;
	}
	place_insert(p);
}

/* Writes one slot anew from its places. */
static void slot_rewrite(struct relocation *r, struct slot_change *c)
{
	struct machine *m = r->m;
	struct pin *pin = c->pin;
	struct hw_piece *pieces = &m->hw.pieces[c->at];
	u32 flags = pin->writable ? HW_EXTENT_WRITABLE : 0, first, n = 0;
	struct pin_split *old = split_find(pin, c->slot), **link;
	struct hw_piece piece = {0};
	struct hw_extent *e;
	struct pin_slots s;
	u64 off, bytes;

	pin_slots(m->prog_alloc, pin->phys, pin->len, &s);
	slot_range(&s, c->slot, pin->len, &off, &bytes, &first);
	e = &m->hw.extents[s.zone->first_extent + s.first + c->slot];
	for (struct pin_place *p = pin->places->first; p; p = p->next) {
		u64 from = max(p->off, off), to = min(p->off + p->len, off + bytes);

		if (from >= to)
			continue;
		piece.first = first + (from - off);
		piece.last = first + (to - off) - 1;
		piece.vaddr = p->at + (from - p->off);
		piece.backing = p->ram ? HW_BACKING_LOCAL : HW_BACKING_PROGRAM;
		piece.mm = pin->mm->index;
		__atomic_store_n(&pieces[n].first, piece.first, __ATOMIC_RELAXED);
		__atomic_store_n(&pieces[n].last, piece.last, __ATOMIC_RELAXED);
		__atomic_store_n(&pieces[n].vaddr, piece.vaddr, __ATOMIC_RELAXED);
		__atomic_store_n(&pieces[n].backing, piece.backing, __ATOMIC_RELAXED);
		__atomic_store_n(&pieces[n].mm, piece.mm, __ATOMIC_RELAXED);
		n++;
	}
	if (n == 1) {
		extent_write(e, piece.backing, piece.mm, piece.first, piece.last,
			     piece.vaddr, flags, 0);
		if (!old)
			return;
		for (link = &pin->places->splits; *link != old; link = &(*link)->next)
			;
		*link = old->next;
		pieces_free(m->prog_alloc, old->at, old->cap);
		kfree(old);
		return;
	}
	extent_write(e, HW_BACKING_SPLIT, pin->mm->index, first, first + bytes - 1, c->at,
		     flags, n);
	if (old) {
		pieces_free(m->prog_alloc, old->at, old->cap);
	} else {
		old = c->split;
		c->split = NULL;
		old->slot = c->slot;
		old->next = pin->places->splits;
		pin->places->splits = old;
	}
	old->at = c->at;
	old->cap = c->cap;
	c->cap = 0;
}

static int relocate(struct machine *m, struct mm *mm, const struct target *targets,
		    unsigned n)
{
	struct relocation r = {
		.m = m,
		.mm = mm,
		.targets = targets,
		.nr_targets = n,
		.va = targets[0].va,
		.last = targets[n - 1].va + targets[n - 1].len - 1,
	};
	struct pin_place *moving = NULL, *p;
	struct interval_tree_node *node;
	struct slot_change *c;
	int ret;

	mutex_lock(&m->prog_alloc->lock);
	if (!mm->places) {
		mutex_unlock(&m->prog_alloc->lock);
		return 0;
	}
	ret = reserve(&r);
	if (ret)
		goto out;
	/* Out of the tree first, so that none is met again at its new address. */
	while ((node = interval_tree_iter_first(&mm->places->places, r.va, r.last))) {
		p = container_of(node, struct pin_place, node);
		place_remove(p);
		p->node.rb.rb_left = (void *)moving;
		moving = p;
	}
	while ((p = moving)) {
		moving = (void *)p->node.rb.rb_left;
		place_move(&r, p);
	}
	for (c = r.changes; c; c = c->next)
		slot_rewrite(&r, c);
	mm_bounds_update(m, mm);
out:
	unreserve(&r);
	mutex_unlock(&m->prog_alloc->lock);
	if (!ret)
		translators_synchronize(&m->hw);
	return ret;
}

int pin_relocate(struct machine *m, struct mm *mm, u64 va, u64 len, u64 new_va)
{
	struct target t = {.va = va, .len = len, .at = new_va};

	if (!len || ((va | len | new_va) & ~PAGE_MASK) || va + len - 1 < va ||
	    new_va + len - 1 < new_va)
		return -EINVAL;
	return relocate(m, mm, &t, 1);
}

#define LOCAL_MAX_ORDER 10

int pin_relocate_local(struct machine *m, struct mm *mm, u64 va, u64 len)
{
	u64 chunk = PAGE_SIZE << LOCAL_MAX_ORDER, done;
	struct target *targets;
	unsigned n = 0;
	int ret = 0;

	if (!len || ((va | len) & ~PAGE_MASK) || va + len - 1 < va)
		return -EINVAL;
	if (!m->hw.ops || !m->hw.ops->mm_read)
		return -EFAULT;
	targets = kcalloc(DIV_ROUND_UP(len, chunk), sizeof(*targets));
	if (!targets)
		return -ENOMEM;
	for (done = 0; done < len && !ret; done += targets[n - 1].len) {
		struct target *t = &targets[n++];
		struct local_ram *ram = kzalloc(sizeof(*ram));

		t->va = va + done;
		t->len = min(len - done, chunk);
		ret = -ENOMEM;
		if (!ram)
			break;
		ram->refs = 1; /* ours, until the end */
		while (PAGE_SIZE << ram->order < t->len)
			ram->order++;
		ret = ram_alloc_pages(m, ram->order, &ram->phys);
		if (ret) {
			kfree(ram);
			break;
		}
		t->ram = ram;
		t->at = ram->phys;
		ret = m->hw.ops->mm_read(&m->hw, mm->index, t->va, m->hw.ram + ram->phys,
					 t->len);
	}
	if (!ret)
		ret = relocate(m, mm, targets, n);
	while (n--)
		ram_put(m, targets[n].ram);
	kfree(targets);
	return ret == -ESRCH ? -EFAULT : ret;
}
