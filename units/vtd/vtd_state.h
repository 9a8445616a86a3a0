/* SPDX-License-Identifier: MIT */
/*
 * A VT-d unit's flat state, and what the files of the unit call of each other.
 *
 * All of it lies in machine memory: a program may have written anything there, so
 * indices into arrays of this structure are bounded where they are used.
 *
 * cmd is held while a register write is carried out, invalidations included; it is
 * never taken by who translates. faults protects the fault registers and is held
 * for a few instructions only. Registers that translation reads are atomic.
 * Events go out after both are released.
 */
#ifndef MOAT_UNITS_VTD_VTD_STATE_H
#define MOAT_UNITS_VTD_VTD_STATE_H

#include <errno.h>
#include <stdatomic.h>

#include "machine/dma.h"
#include "machine/translate.h"
#include "machine/unit.h"
#include "units/vtd/vtd_regs.h"
#include "units/vtd/vtd_unit.h"

struct vtd_frcd {
	u64 lo, hi;
};

struct vtd_state {
	/* Fixed at setup. */
	u32 ver;
	u16 nr_fault_regs;
	u8 host_bits;
	u8 mgaw;
	u64 cap, ecap;

	/* Read by who translates. */
	_Atomic u32 gsts;
	_Atomic u64 root; /* RTADDR as of the last SRTP */
	_Atomic u64 irt;  /* IRTA as of the last SIRTP */
	/*
	 * Generations. What is cached carries those it was made under: paging entries
	 * iotlb_gen + did_gen[did] (both only grow, so the sum is equal only if
	 * both are), context entries context_gen, interrupt entries iec_gen.
	 */
	_Atomic u64 iotlb_gen, context_gen, iec_gen;

	struct hw_lock cmd;
	u64 rtaddr, ccmd, iva, iotlb, iqh, iqt, iqa, iqercd, irta;
	u32 ics, iectl, iedata, ieaddr, ieuaddr;

	struct hw_lock faults;
	_Atomic u32 fsts;
	u32 fectl, fedata, feaddr, feuaddr;
	u32 next_frcd;
	struct vtd_frcd frcd[VTD_MAX_FAULT_REGS];

	_Atomic u64 did_gen[65536];
};

static inline struct vtd_state *vtd_state(const struct hw *hw, const struct hw_unit *unit)
{
	return hw_state_ptr(hw, unit->state);
}

static inline unsigned vtd_nr_fault_regs(const struct vtd_state *st)
{
	return min_t(unsigned, st->nr_fault_regs, VTD_MAX_FAULT_REGS);
}

static inline u32 vtd_unit_index(const struct hw *hw, const struct hw_unit *unit)
{
	return unit - hw->units;
}

/* translate.c */
int vtd_translate(struct hw *hw, struct hw_unit *unit, struct translator *x,
		  const struct dma_request *req, struct dma_translation *out,
		  struct dma_fault *fault);
/* remap.c */
int vtd_remap_irq(struct hw *hw, struct hw_unit *unit, u16 sid, u64 addr, u32 data,
		  u32 *irq, struct dma_fault *fault);

/* fault.c: note a refusal; @suppress: the entry's FPD bit asks not to record it. */
void vtd_fault_record(struct hw *hw, struct hw_unit *unit, u16 sid, u8 access, u64 info,
		      u16 reason, bool suppress);
u32 vtd_fault_reg_read(struct vtd_state *st, u32 off);
/* Return: true if invalidation errors were cleared (the queue may go on). */
bool vtd_fault_reg_write(struct hw *hw, struct hw_unit *unit, u32 off, u32 val);
u64 vtd_frcd_read(struct vtd_state *st, u32 off);
void vtd_frcd_write(struct vtd_state *st, u32 off, u64 val, u64 mask);
/* Set bits of FSTS other than PPF, and raise the fault event. */
void vtd_fault_status(struct hw *hw, struct hw_unit *unit, u32 bits);
const char *vtd_reason(u16 reason);

/* invalidate.c; with cmd held. Return: true if the completion event is due. */
bool vtd_queue_run(struct hw *hw, struct hw_unit *unit, u32 *errors);
void vtd_ccmd(struct hw *hw, struct vtd_state *st);
void vtd_iotlb(struct hw *hw, struct vtd_state *st);

#endif
