/* SPDX-License-Identifier: MIT */
/*
 * Translators: how a thread that does DMA makes itself known to whoever invalidates
 * translations, and where it keeps its private TLB.
 *
 * Between translator_enter() and translator_leave() the thread's slot in machine
 * memory is active. It looks at the units' generations, looks up or walks, and
 * touches the memory, all inside. An invalidation changes the generation and
 * then waits, in translators_synchronize(), until each slot that was active has
 * changed: whoever enters later sees the new generation. The order of the
 * translating side's store (slot) and loads (generations) is kept by membarrier(2)
 * on the other side where that can be had, so that entering costs a plain
 * store; else by a fence.
 *
 * A slot belongs to a thread; a forked child, which inherits the memory of a
 * translator wiped, takes one of its own. Slots of dead threads are taken back by
 * whoever waits for them or needs one.
 */
#ifndef MOAT_MACHINE_TRANSLATE_H
#define MOAT_MACHINE_TRANSLATE_H

#include "machine/hw.h"
#include "machine/unit.h"

#define TLB_SMALL_LG2	  10 /* 1024 entries of 4 KiB */
#define TLB_LARGE_LG2	  8  /* 256 of 2 MiB */
#define TLB_SMALL_ENTRIES (1U << TLB_SMALL_LG2)
#define TLB_LARGE_ENTRIES (1U << TLB_LARGE_LG2)
#define TLB_CONTEXTS	  64 /* a power of two, like the others */
#define TLB_IRQ_ENTRIES	  64

/* What a unit remembers of a translation; key 0 is an empty entry. */
struct tlb_entry {
	u64 page;  /* iova >> 12, or >> 21 among the large ones */
	u64 stamp; /* the unit's generations when it was made */
	u64 phys;  /* of the page's first byte */
	u32 key;   /* the unit's: which unit and domain */
	u16 run;   /* pages from here on that continue alike; 0: nobody looked */
	u8 reason; /* with access 0: why the unit refused */
	u8 access; /* DMA_READ | DMA_WRITE */
};

/* What a unit remembers of a source id (or of an interrupt). */
struct tlb_context {
	const void *owner; /* the unit; NULL: empty */
	u32 id;
	u32 key; /* for tlb_entry.key */
	u64 stamp;
	u64 a, b;    /* the unit's */
	void *state; /* of the unit */
};

struct translator {
	struct hw_slot *slot;
	struct hw *hw;	  /* NULL: of no machine, or wiped in a forked child */
	u64 count;	  /* the next value of slot->active */
	_Atomic u32 tid;  /* its thread; 0: free for any */
	const void *home; /* that thread's translator_self */
	u32 depth;	  /* nested enters */
	bool fence;	  /* membarrier is not to be had */
	struct tlb_context contexts[TLB_CONTEXTS];
	struct tlb_context irqs[TLB_IRQ_ENTRIES];
	struct tlb_entry small[TLB_SMALL_ENTRIES];
	struct tlb_entry large[TLB_LARGE_ENTRIES];
};

/* For hw.c: can this process make others' fences; this process starts, stops to
 * translate. */
bool membarrier_usable(void);
void translators_register(struct hw *hw);
void translators_forget(struct hw *hw);

/* The calling thread's translator, made on first use; NULL: no slot is left. */
struct translator *translator_get_slow(struct hw *hw);

extern __thread struct translator *translator_self
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

static inline struct translator *translator_enter(struct hw *hw)
{
	struct translator *x = translator_self;

	if (unlikely(!x || x->hw != hw || x->home != &translator_self ||
		     atomic_load_explicit(&x->slot->tid, memory_order_relaxed) !=
			     atomic_load_explicit(&x->tid, memory_order_relaxed))) {
		x = translator_get_slow(hw);
		if (!x)
			return NULL;
	}
	if (unlikely(x->depth++))
		return x;
	if (unlikely(x->fence))
		atomic_exchange(&x->slot->active, x->count); /* a full barrier */
	else
		atomic_store_explicit(&x->slot->active, x->count, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	return x;
}

static inline void translator_leave(struct translator *x)
{
	if (unlikely(--x->depth))
		return;
	x->count += 2;
	atomic_store_explicit(&x->slot->active, 0, memory_order_release);
}

/*
 * Take back the slots of dead threads (and those of process @pid when it is not 0,
 * whether its threads are gone yet or not). For the server, when a program ends.
 */
void translators_reclaim(struct hw *hw, u32 pid);

#endif
