/* SPDX-License-Identifier: MIT */
/*
 * What lies at a physical address, for the files of machine/ that move bytes. A
 * struct backing is valid while the caller's translator slot is held: whoever
 * takes memory away from under a physical address waits for those.
 */
#ifndef MOAT_MACHINE_BACKING_H
#define MOAT_MACHINE_BACKING_H

#include <string.h>

#include "machine/hw.h"

enum backing_kind {
	BACKED_NOT = 0,
	BACKED_RAM,	/* at host, always accessible */
	BACKED_PROGRAM, /* vaddr of mm */
	BACKED_BAR,	/* offset in a BAR of function */
	BACKED_MSI,
	BACKED_UNIT, /* offset in the registers of unit (function) */
};

struct backing {
	u8 kind; /* enum backing_kind */
	bool writable;
	u8 bar;
	u16 mm;
	u32 function;
	u8 *host;
	u64 vaddr; /* or the offset */
	u64 len;   /* bytes that lie contiguously from there */
	/* BACKED_PROGRAM: the slot where it was found, and when. */
	const struct hw_extent *extent;
	u32 seq;
};

/* Look up @phys; at most @len bytes are of interest. */
void backing_find(struct hw *hw, phys_addr_t phys, u64 len, struct backing *out);

/*
 * Move @len bytes (at most b->len) to or from RAM or a program's memory. If the
 * memory moved to another place meanwhile, *@moved is set and nothing is certain to
 * have happened: look it up again. Return: 0, -EFAULT, -ESRCH.
 */
int backing_copy(struct hw *hw, const struct backing *b, void *buf, u64 len, bool write,
		 bool *moved);

/*
 * Access a peer's BAR, from @from (~0: from no function). Takes the peer's lock; gives
 * up after a while if that cannot be had, since two devices may do it to each other.
 * Return: 0, -EFAULT.
 */
int endpoint_peer_access(struct hw *hw, u32 from, const struct backing *b, void *buf,
			 u64 len, bool write);

/*
 * A device's access to RAM. Several may touch the same bytes, and software too; that is
 * theirs to order, as on real hardware, so the thread sanitizer is not shown it.
 */
#if defined(__SANITIZE_THREAD__)
#define DMA_UNSEEN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DMA_UNSEEN 1
#endif
#endif
#if defined(DMA_UNSEEN) && defined(__x86_64__)
static inline void dma_memmove(void *to, const void *from, u64 n)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n)::"memory");
}
#else
static inline void dma_memmove(void *to, const void *from, u64 n)
{
	memmove(to, from, n);
}
#endif

/* A message to @addr in the MSI window, through remapping. Return: 0, -EFAULT. */
int irq_message(struct hw *hw, u32 fn, u64 addr, u32 data);
/* The function's DMA is let out: bus mastering is on, or it is no PCI function. */
bool may_master(const struct hw *hw, u32 fn);

#endif
