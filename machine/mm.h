/* SPDX-License-Identifier: MIT */
/*
 * Address spaces of programs as the machine sees them, and pinning their memory
 * for DMA. An mm outlives its process while something is pinned or charged.
 */
#ifndef MOAT_MACHINE_MM_H
#define MOAT_MACHINE_MM_H

#include "base/list.h"
#include "base/mutex.h"
#include "base/refcount.h"
#include "base/types.h"

struct machine;
struct mm;
struct pin_tree;
struct pin_places;

/* What the server does for an mm (a test double in unit tests). */
struct mm_ops {
	/*
	 * How many bytes from @va on can be read (@write: and written) by the program,
	 * up to @len; touches nothing. *@special is set (and the run ends there) where
	 * the address lies in a mapping of a BAR: *@phys is what it maps.
	 */
	u64 (*accessible)(struct mm *mm, u64 va, u64 len, bool write, bool *special,
			  phys_addr_t *phys);
	/* RLIMIT_MEMLOCK in bytes, ~0: unlimited. */
	u64 (*memlock_limit)(struct mm *mm);
	bool (*alive)(struct mm *mm);
	void (*release)(struct mm *mm);
};

struct mm {
	const struct mm_ops *ops;
	struct machine *machine;
	u32 index; /* in hw mms */
	u32 pid;
	u32 pasid;     /* SVA; 0: none */
	u64 locked_vm; /* pages charged as type1 does (mm->locked_vm); m->lock */
	u64 pinned_vm; /* pages charged as iommufd does */
	struct refcount ref;
	void *private;
	struct list_head pins; /* struct pin.node */
	struct pin_tree
		*places; /* machine/pin.c: by address; NULL while nothing is pinned */
};

struct mm *mm_get(struct mm *mm);
void mm_put(struct mm *mm);

/* One pinned run of a program's memory: contiguous in the program window. */
struct pin {
	struct mm *mm;		/* holds a reference */
	u64 va, len;		/* bytes, page aligned */
	phys_addr_t phys;	/* of va */
	bool writable, special; /* special: a BAR, not in the program window */
	struct list_head node;
	struct pin_places *places; /* machine/pin.c: where its memory is now */
};

/**
 * pin_user - pin [@va, @va + @len) of @mm for DMA.
 * @congruent: the low bits wanted of the physical address of @va (usually its IOVA);
 *	30 bits are honoured, 21 for runs of at most 2 MiB
 * @write: the device will write
 *
 * Pins nothing beyond a boundary between ordinary memory and a BAR's mapping, or
 * where memory ends; @pin->len says how far it came, at least a page.
 *
 * Return: 0; -EFAULT if not one page at @va is accessible; -ENOMEM when the
 * window is full.
 */
int __must_check pin_user(struct machine *m, struct mm *mm, u64 va, u64 len,
			  u64 congruent, bool write, struct pin *pin);
void unpin_user(struct machine *m, struct pin *pin);

/* One stretch of a program's addresses that a device can reach. */
struct pin_range {
	u64 va, len;
};

/**
 * mm_pins_in_range - which parts of [@va, @va + @len) are pinned.
 *
 * Ranges come in ascending order, merged where they touch or overlap, at most @max.
 * Return: how many there are (may be more than @max; the rest is not stored).
 */
unsigned mm_pins_in_range(struct machine *m, struct mm *mm, u64 va, u64 len,
			  struct pin_range *out, unsigned max);
/* How many pins hold the byte at @va. */
unsigned mm_pin_count(struct machine *m, struct mm *mm, u64 va);

/**
 * pin_relocate - the pages at [@va, @va + @len) of @mm are now at @new_va.
 *
 * Everything pinned in that range follows, and no DMA goes to the old place when this
 * returns. Context: may wait for DMA under way.
 * Return: 0; -EINVAL: not page aligned or wraps; -ENOMEM: nothing changed.
 */
int __must_check pin_relocate(struct machine *m, struct mm *mm, u64 va, u64 len,
			      u64 new_va);

/**
 * pin_relocate_local - the program's pages at [@va, @va + @len) are about to go; a copy
 * in machine RAM takes their place for devices.
 *
 * Return: as pin_relocate(); -EFAULT: the memory cannot be read (any more).
 */
int __must_check pin_relocate_local(struct machine *m, struct mm *mm, u64 va, u64 len);

int __must_check prog_alloc_create(struct machine *m);
void prog_alloc_destroy(struct machine *m);

#endif
