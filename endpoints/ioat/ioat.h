/* SPDX-License-Identifier: MIT */
/*
 * State of an I/OAT function in machine memory, and the channel's engine as the
 * register file (ioat.c) drives it. All of it may be overwritten by a program at
 * any time: the engine uses nothing here as an index or a host address.
 */
#ifndef MOAT_ENDPOINTS_IOAT_H
#define MOAT_ENDPOINTS_IOAT_H

#include "endpoints/ioat/regs.h"
#include "machine/endpoint.h"

struct ioat_state {
	/* power-on properties */
	u8 version;
	u8 xfercap;	   /* _lg2 of the largest transfer, bytes */
	u32 start_latency; /* microseconds from the first doorbell after CHAINADDR */

	u8 genctrl;
	u8 intrctrl; /* MASTER_INT_EN and MSIX_CONTROL only */
	u32 attnstatus;
	u16 intrdelay;

	u16 chanctrl;
	u16 dmacount;	  /* descriptors issued since CHAINADDR was written */
	u16 done;	  /* of these, completed */
	u8 state;	  /* enum ioat_chan_state */
	u8 in_descriptor; /* desc is fetched and not yet complete */
	u8 first;	  /* the next fetch follows CHAINADDR, not a next field */
	u64 completed;	  /* address of the last completed descriptor, 0: none yet */
	u64 chainaddr;
	u64 chancmp;
	u64 cdar;
	u64 next;     /* address of the descriptor to fetch */
	u64 start_at; /* not fetched before, CLOCK_MONOTONIC nanoseconds; with a latency
		       */
	u32 chanerr;
	u32 chanerrmask;

	struct ioat_descriptor desc;
	u32 progress; /* bytes of desc that have been moved */
};

/* Longer waits, as only a program can have put there, are taken for over. */
#define IOAT_MAX_START_LATENCY 100000

/* Power-on: the channel is halted and without error. */
void ioat_chan_init(struct ioat_state *ioat);
/* CHANCMD.RESET: forget the ring and what is under way; CHANCTRL and CHANCMP stay. */
void ioat_chan_reset(struct hw *hw, u32 fn);
void ioat_chan_command(struct hw *hw, u32 fn, u8 cmd);
void ioat_chan_set_chainaddr(struct hw *hw, u32 fn, u64 addr);
void ioat_chan_doorbell(struct hw *hw, u32 fn, u16 count);
bool ioat_chan_work(struct hw *hw, u32 fn, size_t budget);

/* The channel wants attention: ATTNSTATUS, then MSI-X or INTA#. */
void ioat_interrupt(struct hw *hw, u32 fn);
/* Drive INTA# as INTRCTRL and ATTNSTATUS say. */
void ioat_update_intx(struct hw *hw, u32 fn);

#endif
