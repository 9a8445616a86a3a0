/* SPDX-License-Identifier: MIT */
/* Slots and pieces of the program window, for pin.c; all under prog_alloc.lock. */
#ifndef MOAT_MACHINE_PIN_SLOTS_H
#define MOAT_MACHINE_PIN_SLOTS_H

#include "base/mutex.h"
#include "machine/hw.h"
#include "machine/mm.h"

/* One kind of slots: which are taken, and where to look next. */
struct slot_zone {
	phys_addr_t base;
	unsigned shift;
	u32 first_extent;
	u32 nr;
	u32 next;    /* never used from here on */
	u32 scan;    /* runs: next fit starts here */
	u32 singles; /* slots taken as runs of one */
	u32 *free;   /* stack of single slots; may hold some that are taken again */
	u32 free_n, free_max;
	unsigned long *used;
};

#define PIECE_ORDERS 21

struct prog_alloc {
	struct mutex lock; /* all of it, all pins and their places */
	struct slot_zone large, small;
	/* Arrays of pieces: free and used ones by order, and where the unused begin. */
	u32 piece_next;
	u32 *piece_free[PIECE_ORDERS];
	u32 piece_free_n[PIECE_ORDERS], piece_free_max[PIECE_ORDERS];
	u32 piece_used[PIECE_ORDERS];
	u64 marks;
};

/* @n consecutive slots. Return: 0, -ENOMEM. */
int __must_check zone_alloc(struct slot_zone *z, u32 n, u32 *out);
void zone_free(struct slot_zone *z, u32 at, u32 n);

void extent_write(struct hw_extent *e, u16 backing, u16 mm, u32 first, u32 last,
		  u64 vaddr, u32 flags, u32 nr_pieces);

/* The slots of a pin. */
struct pin_slots {
	struct slot_zone *zone;
	u32 first, nr;
	u64 off; /* of the pin in the first */
};
void pin_slots(struct prog_alloc *pa, phys_addr_t phys, u64 len, struct pin_slots *s);
/* Bytes of slot number @i that belong to the pin: where in the pin, and in the slot. */
void slot_range(const struct pin_slots *s, u32 i, u64 len, u64 *pin_off, u64 *n,
		u32 *first);

/* An array of @n pieces out of @nr_pieces; its size for pieces_free() is the same @n. */
int __must_check pieces_alloc(struct prog_alloc *pa, u32 nr_pieces, u32 n, u32 *out);
void pieces_free(struct prog_alloc *pa, u32 at, u32 n);

#endif
