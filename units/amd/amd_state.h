/* SPDX-License-Identifier: MIT */
/*
 * An AMD-Vi unit's flat state, and what the files of the unit call of each other.
 *
 * All of it lies in machine memory: a program may have written anything there, so
 * offsets into rings are bounded where they are used.
 *
 * cmd is held while a register write is carried out, commands included; it is never
 * taken by who translates. log protects the event log and the status register and is
 * held for a few instructions only; who holds cmd may take it. Events go out after
 * both are released. Registers that translation reads are atomic.
 */
#ifndef MOAT_UNITS_AMD_AMD_STATE_H
#define MOAT_UNITS_AMD_AMD_STATE_H

#include <errno.h>
#include <stdatomic.h>

#include "machine/dma.h"
#include "machine/translate.h"
#include "machine/unit.h"
#include "units/amd/amd_regs.h"
#include "units/amd/amd_unit.h"

struct amd_state {
	/* Fixed at setup. */
	u64 efr, efr2;
	bool np_cache;

	/* Read by who translates. */
	_Atomic u64 control, devtab, excl_base, excl_limit;
	/*
	 * Generations. What is cached carries those it was made under: paging entries
	 * all_gen + domain_gen[domain] (both only grow, so the sum is equal only if
	 * both are), device table entries dte_gen, interrupt entries irt_gen.
	 */
	_Atomic u64 all_gen, dte_gen, irt_gen;

	struct hw_lock cmd;
	u64 cmd_base, cmd_head, cmd_tail;
	u32 msi[3]; /* address low, high, data: nobody listens */

	struct hw_lock log;
	u64 evt_base, evt_head, evt_tail;
	_Atomic u64 status;

	_Atomic u64 domain_gen[65536];
};

static inline struct amd_state *amd_state(const struct hw *hw, const struct hw_unit *unit)
{
	return hw_state_ptr(hw, unit->state);
}

static inline u32 amd_unit_index(const struct hw *hw, const struct hw_unit *unit)
{
	return unit - hw->units;
}

static inline unsigned amd_max_levels(const struct amd_state *st)
{
	return min_t(unsigned, 4 + AMD_EFR_GET_HATS(st->efr), AMD_MAX_LEVELS);
}

/* Bytes of the ring that a base register describes; 0: none that works. */
static inline u64 amd_ring_bytes(u64 base)
{
	unsigned len = AMD_RING_GET_LEN(base);

	return len < AMD_RING_MIN_LEN ? 0 : 16ULL << len;
}

/* amd_translate.c: @reason is AMD_REASON() */
int amd_translate(struct hw *hw, struct hw_unit *unit, struct translator *x,
		  const struct dma_request *req, struct dma_translation *out,
		  struct dma_fault *fault);
/* Four quad-words of the device table entry of @sid. 0, or the reason why there is none.
 */
u16 amd_dte_fetch(const struct hw *hw, const struct amd_state *st, u16 sid, u64 dte[4]);

/* amd_remap.c */
int amd_remap_irq(struct hw *hw, struct hw_unit *unit, u16 sid, u64 addr, u32 data,
		  u32 *irq, struct dma_fault *fault);

/* amd_event.c: append to the log; may be called with cmd held, which @raise must wait
 * for. */
bool amd_event_log(struct hw *hw, struct hw_unit *unit, const u32 data[4]);
void amd_event_raise(struct hw *hw, struct hw_unit *unit);
/* A request of @sid was refused. */
void amd_event_fault(struct hw *hw, struct hw_unit *unit, u16 sid, u16 domain, u16 reason,
		     u64 address);
/* Writes to the log's registers and the status register. */
void amd_event_write(struct hw *hw, struct hw_unit *unit, u64 off, u64 val, u64 mask);
void amd_event_enable(struct amd_state *st, bool on);
const char *amd_reason(u16 reason);

/* amd_command.c; with cmd held. Return: true if an event is due. */
bool amd_commands_run(struct hw *hw, struct hw_unit *unit);

#endif
