// SPDX-License-Identifier: MIT
/*
 * The DMA channel of an I/OAT function: a chain of descriptors, usually closed
 * to a ring, that starts at CHAINADDR; DMACOUNT says how many of them the driver
 * has issued since then. One descriptor is fetched, carried out and completed at a
 * time and in order, so a fence has nothing to wait for.
 *
 * States (CHANSTS 2:0) and what leads from one to the next:
 *
 *	HALTED	  power-on, CHANCMD reset or abort, an error
 *	ARMED	  CHAINADDR written in any state but ACTIVE, with no error standing
 *	ACTIVE	  DMACOUNT written in ARMED or IDLE; resume
 *	IDLE	  all issued descriptors are complete
 *	SUSPENDED CHANCMD suspend, between two parts of the work
 *
 * An error stops the channel at the descriptor that met it: CHANSTS keeps the
 * address of the last good one, and with CHANCTRL.ERR_COMPLETION_EN the same value
 * goes to memory. Invariant: in_descriptor only while ACTIVE or SUSPENDED.
 *
 * A channel that was armed may take its time to start (start_latency), as version 3.4
 * does here by default. DPDK's driver depends on it: after an error it asks for one
 * completion at a time, and loses one if the rest of the burst is complete already.
 */
#include <time.h>

#include "endpoints/ioat/ioat.h"
#include "machine/dma.h"

/* Work is counted in bytes; a descriptor costs at least as much as its own fetch. */
#define DESC_COST IOAT_DESC_SIZE

void ioat_chan_init(struct ioat_state *ioat)
{
	ioat->state = IOAT_HALTED;
	ioat->dmacount = 0;
	ioat->done = 0;
	ioat->in_descriptor = 0;
	ioat->first = 1;
	ioat->progress = 0;
	ioat->completed = 0;
	ioat->chainaddr = 0;
	ioat->next = 0;
	ioat->cdar = 0;
	ioat->chanerr = 0;
}

void ioat_chan_reset(struct hw *hw, u32 fn)
{
	ioat_chan_init(endpoint_state(hw, fn));
}

/* Return: 0, or -EFAULT where the address refused it. */
static int write_completion(struct hw *hw, u32 fn)
{
	struct ioat_state *ioat = endpoint_state(hw, fn);
	u64 status = (ioat->completed & CHANSTS_ADDR_MASK) |
		     (ioat->state & CHANSTS_STATE_MASK);

	return dma_write(hw, fn, ioat->chancmp, &status, sizeof(status));
}

static void halt(struct hw *hw, u32 fn, u32 error)
{
	struct ioat_state *ioat = endpoint_state(hw, fn);

	ioat->chanerr |= error;
	ioat->state = IOAT_HALTED;
	ioat->in_descriptor = 0;
	if ((ioat->chanctrl & CHANCTRL_ERR_COMPLETION_EN) && write_completion(hw, fn))
		ioat->chanerr |= CHANERR_COMPLETION_ADDR;
	if ((ioat->chanctrl & CHANCTRL_ERR_INT_EN) &&
	    (ioat->chanerr & ~ioat->chanerrmask))
		ioat_interrupt(hw, fn);
}

void ioat_chan_set_chainaddr(struct hw *hw, u32 fn, u64 addr)
{
	struct ioat_state *ioat = endpoint_state(hw, fn);

	if (ioat->state == IOAT_ACTIVE)
		return;
	ioat->chainaddr = addr;
	/* An error keeps the channel halted until it is cleared. */
	if (ioat->state == IOAT_HALTED && ioat->chanerr)
		return;
	ioat->next = addr;
	ioat->first = 1;
	ioat->dmacount = 0;
	ioat->done = 0;
	ioat->completed = 0;
	ioat->in_descriptor = 0;
	ioat->state = IOAT_ARMED;
}

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* Is the time over that a channel needs between its first doorbell and its first fetch?
 */
static bool started(const struct ioat_state *ioat)
{
	u64 wait;

	if (likely(!ioat->first || !ioat->start_latency))
		return true;
	wait = ioat->start_at - now_ns();
	return (s64)wait <= 0 || wait > IOAT_MAX_START_LATENCY * 1000ULL;
}

void ioat_chan_doorbell(struct hw *hw, u32 fn, u16 count)
{
	struct ioat_state *ioat = endpoint_state(hw, fn);

	if (ioat->state == IOAT_ARMED && ioat->start_latency)
		ioat->start_at = now_ns() + ioat->start_latency * 1000ULL;
	ioat->dmacount = count;
	if ((ioat->state == IOAT_ARMED || ioat->state == IOAT_IDLE) &&
	    count != ioat->done)
		ioat->state = IOAT_ACTIVE;
}

void ioat_chan_command(struct hw *hw, u32 fn, u8 cmd)
{
	struct ioat_state *ioat = endpoint_state(hw, fn);

	switch (cmd) {
	case 0:
		break;
	case CHANCMD_RESET:
		ioat_chan_reset(hw, fn);
		break;
	case CHANCMD_SUSPEND:
		if (ioat->state != IOAT_HALTED)
			ioat->state = IOAT_SUSPENDED;
		break;
	case CHANCMD_RESUME:
		if (ioat->state != IOAT_SUSPENDED)
			break;
		if (ioat->in_descriptor || ioat->dmacount != ioat->done)
			ioat->state = IOAT_ACTIVE;
		else
			ioat->state = ioat->first ? IOAT_ARMED : IOAT_IDLE;
		break;
	case CHANCMD_ABORT:
		ioat->in_descriptor = 0;
		ioat->state = IOAT_HALTED;
		break;
	default:
		ioat->chanerr |= CHANERR_CHANCMD;
		break;
	}
}

/* Fetch and check the next descriptor. Return: false after an error has halted us. */
static bool fetch(struct hw *hw, u32 fn)
{
	struct ioat_state *ioat = endpoint_state(hw, fn);
	struct ioat_descriptor *desc = &ioat->desc;
	u32 bad_address = ioat->first ? CHANERR_CHAINADDR_VALUE : CHANERR_NEXT_DESC_ADDR;
	u64 max = 1ULL << (ioat->xfercap & 63);

	ioat->cdar = ioat->next;
	if (!IS_ALIGNED(ioat->next, (u64)IOAT_DESC_SIZE)) {
		halt(hw, fn, ioat->first ? CHANERR_CHAINADDR_VALUE : CHANERR_DESC);
		return false;
	}
	if (dma_read(hw, fn, ioat->next, desc, sizeof(*desc))) {
		halt(hw, fn, bad_address | CHANERR_READ_DATA);
		return false;
	}
	if (DESC_OP(desc->control) != DESC_OP_COPY &&
	    DESC_OP(desc->control) != DESC_OP_FILL) {
		halt(hw, fn, CHANERR_DESC_CONTROL);
		return false;
	}
	if (!desc->size || desc->size > max) {
		halt(hw, fn, CHANERR_DESC_LENGTH);
		return false;
	}
	ioat->progress = 0;
	ioat->in_descriptor = 1;
	return true;
}

/*
 * Move up to @limit bytes of the current descriptor. Return: 0, or what goes into
 * CHANERR.
 */
static u32 transfer(struct hw *hw, u32 fn, size_t limit, size_t *moved)
{
	struct ioat_state *ioat = endpoint_state(hw, fn);
	struct ioat_descriptor desc = ioat->desc;
	u32 progress = min(ioat->progress, desc.size);
	size_t len = min_t(size_t, desc.size - progress, limit), done = 0;
	bool fault_dst = true;
	int ret;

	if (desc.control & DESC_NULL) {
		*moved = 0;
		ioat->progress = desc.size;
		return 0;
	}
	*moved = len;
	if (DESC_OP(desc.control) == DESC_OP_FILL) {
		unsigned shift = (progress & 7) * 8;

		/* The pattern goes on where the last part ended. */
		if (shift)
			desc.src = desc.src >> shift | desc.src << (64 - shift);
		ret = dma_fill(hw, fn, desc.dst + progress, desc.src, len, &done);
	} else {
		ret = dma_copy(hw, fn, desc.dst + progress, desc.src + progress, len,
			       &fault_dst, &done);
	}
	ioat->progress = progress + (ret ? done : len);
	if (!ret)
		return 0;
	return fault_dst ? CHANERR_DEST_ADDR : CHANERR_SRC_ADDR;
}

/* The current descriptor is done. Return: false after an error has halted us. */
static bool complete(struct hw *hw, u32 fn)
{
	struct ioat_state *ioat = endpoint_state(hw, fn);
	u32 control = ioat->desc.control;
	u64 previous = ioat->completed;

	ioat->in_descriptor = 0;
	ioat->completed = ioat->cdar;
	ioat->next = ioat->desc.next;
	ioat->first = 0;
	ioat->done++;
	if (ioat->done == ioat->dmacount)
		ioat->state = IOAT_IDLE;

	if ((control & DESC_COMPLETION_UPDATE) && write_completion(hw, fn)) {
		ioat->completed = previous;
		halt(hw, fn, CHANERR_COMPLETION_ADDR);
		return false;
	}
	if (control & DESC_INT_EN)
		ioat_interrupt(hw, fn);
	return true;
}

bool ioat_chan_work(struct hw *hw, u32 fn, size_t budget)
{
	struct ioat_state *ioat = endpoint_state(hw, fn);
	size_t moved;
	u32 error;

	while (ioat->state == IOAT_ACTIVE) {
		if (!budget || !started(ioat))
			return true;
		if (!ioat->in_descriptor) {
			budget -= min_t(size_t, budget, DESC_COST);
			if (!fetch(hw, fn))
				break;
			/* A descriptor is worth starting only with something left to do
			 * it. */
			if (!budget)
				return true;
		}
		error = transfer(hw, fn, budget, &moved);
		if (error) {
			halt(hw, fn, error);
			break;
		}
		budget -= moved;
		if (ioat->progress >= ioat->desc.size && !complete(hw, fn))
			break;
	}
	return false;
}
