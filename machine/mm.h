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
	u32 index;	/* in hw mms */
	u32 pid;
	u32 pasid;	/* SVA; 0: none */
	u64 locked_vm;	/* pages charged as type1 does (mm->locked_vm); m->lock */
	u64 pinned_vm;	/* pages charged as iommufd does */
	struct refcount ref;
	void *private;
	struct list_head pins; /* struct pin.node */
};

struct mm *mm_get(struct mm *mm);
void mm_put(struct mm *mm);

/* One pinned run of a program's memory: contiguous in the program window. */
struct pin {
	struct mm *mm; /* holds a reference */
	u64 va, len;	  /* bytes, page aligned */
	phys_addr_t phys; /* of va */
	bool writable, special; /* special: a BAR, not in the program window */
	struct list_head node;
};

/**
 * pin_user - pin [@va, @va + @len) of @mm for DMA.
 * @congruent: the low 30 bits wanted of the physical address of @va (usually its IOVA)
 * @write: the device will write
 *
 * Pins nothing beyond a boundary between ordinary memory and a BAR's mapping, or
 * where memory ends; @pin->len says how far it came, at least a page.
 *
 * Return: 0; -EFAULT if not one page at @va is accessible; -ENOMEM when the
 * window is full.
 */
int __must_check pin_user(struct machine *m, struct mm *mm, u64 va, u64 len, u64 congruent,
			  bool write, struct pin *pin);
void unpin_user(struct machine *m, struct pin *pin);

#endif
