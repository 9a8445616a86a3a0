// SPDX-License-Identifier: MIT
/*
 * VT-d fault reporting: recording registers, fault status, and the fault event.
 * Architecture Specification 7.2 to 7.4, 11.4.7.
 *
 * A recording register is free while F is clear; they are used in turn. A fault that
 * finds the next one taken sets PFO and is lost, as are all until software
 * clears PFO. One from the same source for the same page as one that is pending is
 * not recorded again (7.2.1 allows it).
 */
#include "units/vtd/vtd_state.h"

/* Status bits that stand for a pending condition behind the fault event. */
#define FSTS_EVENTS \
	(VTD_FSTS_PFO | VTD_FSTS_PPF | VTD_FSTS_IQE | VTD_FSTS_ICE | VTD_FSTS_ITE)
#define FSTS_W1C (VTD_FSTS_PFO | VTD_FSTS_IQE | VTD_FSTS_ICE | VTD_FSTS_ITE)

static void lock(struct vtd_state *st)
{
	(void)hw_lock_acquire(&st->faults);
}

static void unlock(struct vtd_state *st)
{
	hw_lock_release(&st->faults);
}

static u32 fsts_get(struct vtd_state *st)
{
	return atomic_load_explicit(&st->fsts, memory_order_relaxed);
}

static void fsts_put(struct vtd_state *st, u32 val)
{
	atomic_store_explicit(&st->fsts, val, memory_order_relaxed);
}

/*
 * 7.3: a condition was added to @before. Return: true if the message is to be sent;
 * nothing new is sent while an earlier condition has not been serviced.
 */
static bool event_due(struct vtd_state *st, u32 before)
{
	if (before & FSTS_EVENTS)
		return false;
	if (st->fectl & VTD_ECTL_IM) {
		st->fectl |= VTD_ECTL_IP;
		return false;
	}
	st->fectl &= ~VTD_ECTL_IP;
	return true;
}

static void raise(struct hw *hw, struct hw_unit *unit)
{
	if (hw->ops && hw->ops->unit_event)
		hw->ops->unit_event(hw, vtd_unit_index(hw, unit));
}

void vtd_fault_record(struct hw *hw, struct hw_unit *unit, u16 sid, u8 access, u64 info,
		      u16 reason, bool suppress)
{
	struct vtd_state *st = vtd_state(hw, unit);
	unsigned n = vtd_nr_fault_regs(st), i;
	bool irq = reason >= VTD_FR_IR_REQUEST_RESERVED && reason <= VTD_FR_IR_SID;
	u64 lo = irq ? info : info & VTD_FRCD_LO_FI, hi;
	struct vtd_frcd *rec;
	bool due = false;
	u32 before;

	if (suppress || !n)
		return;
	hi = VTD_FRCD_HI_F | VTD_FRCD_HI_SID(sid) |
	     (u64)(reason & 0xff) << VTD_FRCD_HI_FR_SHIFT |
	     (!irq && access == DMA_READ ? VTD_FRCD_HI_T1 : 0);
	lock(st);
	before = fsts_get(st);
	if (before & VTD_FSTS_PFO)
		goto out;
	for (i = 0; i < n; i++)
		if (st->frcd[i].hi == hi && st->frcd[i].lo == lo)
			goto out;
	st->next_frcd %= n;
	rec = &st->frcd[st->next_frcd];
	if (rec->hi & VTD_FRCD_HI_F) {
		fsts_put(st, before | VTD_FSTS_PFO);
		goto out;
	}
	rec->lo = lo;
	rec->hi = hi;
	if (!(before & VTD_FSTS_PPF))
		fsts_put(st, (before & ~VTD_FSTS_FRI_MASK) | VTD_FSTS_PPF |
				     st->next_frcd << VTD_FSTS_FRI_SHIFT);
	st->next_frcd = (st->next_frcd + 1) % n;
	due = event_due(st, before);
out:
	unlock(st);
	if (due)
		raise(hw, unit);
}

void vtd_fault_status(struct hw *hw, struct hw_unit *unit, u32 bits)
{
	struct vtd_state *st = vtd_state(hw, unit);
	u32 before;
	bool due;

	lock(st);
	before = fsts_get(st);
	fsts_put(st, before | (bits & FSTS_W1C));
	due = event_due(st, before);
	unlock(st);
	if (due)
		raise(hw, unit);
}

u32 vtd_fault_reg_read(struct vtd_state *st, u32 off)
{
	switch (off) {
	case VTD_FSTS:
		return fsts_get(st);
	case VTD_FECTL:
		return st->fectl;
	case VTD_FEDATA:
		return st->fedata;
	case VTD_FEADDR:
		return st->feaddr;
	case VTD_FEUADDR:
		return st->feuaddr;
	}
	return 0;
}

bool vtd_fault_reg_write(struct hw *hw, struct hw_unit *unit, u32 off, u32 val)
{
	struct vtd_state *st = vtd_state(hw, unit);
	bool due = false, resumed = false;
	u32 before;

	lock(st);
	switch (off) {
	case VTD_FSTS:
		before = fsts_get(st);
		resumed = before & val & (VTD_FSTS_IQE | VTD_FSTS_ITE);
		fsts_put(st, before & ~(val & FSTS_W1C));
		if (!(fsts_get(st) & FSTS_EVENTS))
			st->fectl &= ~VTD_ECTL_IP;
		break;
	case VTD_FECTL:
		due = !(val & VTD_ECTL_IM) && (st->fectl & VTD_ECTL_IP);
		st->fectl = (val & VTD_ECTL_IM) | (due ? 0 : st->fectl & VTD_ECTL_IP);
		break;
	case VTD_FEDATA:
		st->fedata = val;
		break;
	case VTD_FEADDR:
		st->feaddr = val & ~3U;
		break;
	case VTD_FEUADDR:
		st->feuaddr = val;
		break;
	}
	unlock(st);
	if (due)
		raise(hw, unit);
	return resumed;
}

u64 vtd_frcd_read(struct vtd_state *st, u32 off)
{
	const struct vtd_frcd *rec = &st->frcd[off / 16 % VTD_MAX_FAULT_REGS];

	if (off / 16 >= vtd_nr_fault_regs(st))
		return 0;
	return off & 8 ? rec->hi : rec->lo;
}

void vtd_frcd_write(struct vtd_state *st, u32 off, u64 val, u64 mask)
{
	unsigned n = vtd_nr_fault_regs(st), i;
	u32 fsts;

	if (off / 16 >= n || !(off & 8) || !(val & mask & VTD_FRCD_HI_F))
		return;
	lock(st);
	st->frcd[off / 16].hi &= ~VTD_FRCD_HI_F;
	for (i = 0; i < n; i++)
		if (st->frcd[i].hi & VTD_FRCD_HI_F)
			break;
	if (i == n) {
		fsts = fsts_get(st) & ~VTD_FSTS_PPF;
		fsts_put(st, fsts);
		if (!(fsts & FSTS_EVENTS))
			st->fectl &= ~VTD_ECTL_IP;
	}
	unlock(st);
}

const char *vtd_reason(u16 reason)
{
	switch (reason) {
	case VTD_FR_ROOT_NOT_PRESENT:
		return "root entry is not present";
	case VTD_FR_CONTEXT_NOT_PRESENT:
		return "context entry is not present";
	case VTD_FR_CONTEXT_INVALID:
		return "context entry is programmed in a way the unit does not support";
	case VTD_FR_ADDRESS_WIDTH:
		return "address is beyond the width of the domain";
	case VTD_FR_WRITE:
		return "no write permission in the second-stage tables";
	case VTD_FR_READ:
		return "no read permission in the second-stage tables";
	case VTD_FR_TABLE_ACCESS:
		return "second-stage table is not in memory";
	case VTD_FR_ROOT_ACCESS:
		return "root table is not in memory";
	case VTD_FR_CONTEXT_ACCESS:
		return "context table is not in memory";
	case VTD_FR_ROOT_RESERVED:
		return "reserved bits set in the root entry";
	case VTD_FR_CONTEXT_RESERVED:
		return "reserved bits set in the context entry";
	case VTD_FR_PTE_RESERVED:
		return "reserved bits set in a second-stage entry";
	case VTD_FR_TT_BLOCKED:
		return "context entry does not allow requests of this kind";
	case VTD_FR_INTERRUPT_RANGE:
		return "request of this kind to the interrupt address range";
	case VTD_FR_IR_REQUEST_RESERVED:
		return "reserved bits set in the interrupt message";
	case VTD_FR_IR_INDEX:
		return "interrupt index is beyond the remapping table";
	case VTD_FR_IR_NOT_PRESENT:
		return "interrupt remapping entry is not present";
	case VTD_FR_IR_ACCESS:
		return "interrupt remapping table is not in memory";
	case VTD_FR_IR_ENTRY_RESERVED:
		return "reserved bits set in the interrupt remapping entry";
	case VTD_FR_IR_COMPAT_BLOCKED:
		return "interrupt message in compatibility format is blocked";
	case VTD_FR_IR_SID:
		return "interrupt remapping entry belongs to another device";
	case VTD_FR_RTA_ABORT:
		return "root table address register aborts all DMA";
	case VTD_FR_TTM_PASID:
		return "request with PASID, but translation is in legacy mode";
	}
	return NULL;
}
