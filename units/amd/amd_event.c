// SPDX-License-Identifier: MIT
/*
 * AMD-Vi event log and status register. Specification 2.5, 3.4.
 *
 * The log is a ring in memory; the unit moves the tail, software the head. An event that
 * finds it full sets EventOverflow and is lost, and so are all until software switches
 * the log off and on again. The interrupt is raised when EventLogInt goes from 0 to 1.
 */
#include "units/amd/amd_state.h"

static void lock(struct amd_state *st)
{
	(void)hw_lock_acquire(&st->log);
}

static void unlock(struct amd_state *st)
{
	hw_lock_release(&st->log);
}

/* Return: true if the interrupt is due. */
static bool status_set(struct amd_state *st, u64 bits)
{
	u64 before = atomic_fetch_or(&st->status, bits | AMD_STATUS_EVT_INT);

	return !(before & AMD_STATUS_EVT_INT) &&
	       (atomic_load(&st->control) & AMD_CTRL_EVT_INT_EN);
}

bool amd_event_log(struct hw *hw, struct hw_unit *unit, const u32 data[4])
{
	struct amd_state *st = amd_state(hw, unit);
	bool due = false;
	u64 bytes, tail, next;
	u32 *slot;

	if (!(atomic_load_explicit(&st->status, memory_order_relaxed) &
	      AMD_STATUS_EVT_RUN))
		return false;
	lock(st);
	bytes = amd_ring_bytes(st->evt_base);
	if (!(atomic_load(&st->status) & AMD_STATUS_EVT_RUN) || !bytes)
		goto out;
	tail = st->evt_tail & AMD_RING_PTR & (bytes - 1);
	next = (tail + 16) & (bytes - 1);
	if (next == (st->evt_head & AMD_RING_PTR & (bytes - 1))) {
		atomic_fetch_and(&st->status, ~AMD_STATUS_EVT_RUN);
		due = status_set(st, AMD_STATUS_EVT_OVERFLOW);
		goto out;
	}
	slot = ram_ptr(hw, (st->evt_base & AMD_RING_ADDR) + tail, 16);
	if (slot) {
		slot[0] = data[0];
		slot[2] = data[2];
		slot[3] = data[3];
		/* The code makes it an event: last. */
		__atomic_store_n(&slot[1], data[1], __ATOMIC_RELEASE);
	}
	st->evt_tail = next;
	due = status_set(st, 0);
out:
	unlock(st);
	return due;
}

void amd_event_raise(struct hw *hw, struct hw_unit *unit)
{
	if (hw->ops && hw->ops->unit_event)
		hw->ops->unit_event(hw, amd_unit_index(hw, unit));
}

void amd_event_fault(struct hw *hw, struct hw_unit *unit, u16 sid, u16 domain, u16 reason,
		     u64 address)
{
	const u32 data[4] = {sid, (u32)reason << 16 | domain, (u32)address,
			     (u32)(address >> 32)};

	if (amd_event_log(hw, unit, data))
		amd_event_raise(hw, unit);
}

void amd_event_enable(struct amd_state *st, bool on)
{
	lock(st);
	if (on && amd_ring_bytes(st->evt_base))
		atomic_fetch_or(&st->status, AMD_STATUS_EVT_RUN);
	else
		atomic_fetch_and(&st->status, ~AMD_STATUS_EVT_RUN);
	unlock(st);
}

void amd_event_write(struct hw *hw, struct hw_unit *unit, u64 off, u64 val, u64 mask)
{
	struct amd_state *st = amd_state(hw, unit);

	lock(st);
	switch (off) {
	case AMD_EVTLOG_BASE:
		st->evt_base = (st->evt_base & ~mask) |
			       (val & mask & (AMD_RING_ADDR | AMD_RING_LEN(0xf)));
		st->evt_head = st->evt_tail = 0;
		break;
	case AMD_EVTLOG_HEAD:
		st->evt_head = ((st->evt_head & ~mask) | (val & mask)) & AMD_RING_PTR;
		break;
	case AMD_EVTLOG_TAIL:
		st->evt_tail = ((st->evt_tail & ~mask) | (val & mask)) & AMD_RING_PTR;
		break;
	case AMD_STATUS:
		val &= mask & (AMD_STATUS_EVT_OVERFLOW | AMD_STATUS_EVT_INT |
			       AMD_STATUS_COMWAIT_INT);
		atomic_fetch_and(&st->status, ~val);
		break;
	}
	unlock(st);
}

static const char *page_fault(u16 flags)
{
	if (flags & AMD_EVF_I)
		return flags & AMD_EVF_RZ
			       ? "reserved bits set in the interrupt table entry"
		       : flags & AMD_EVF_PR
			       ? "interrupt type is not allowed for the device"
			       : "interrupt is not mapped in the device's table";
	if (flags & AMD_EVF_RZ)
		return "reserved bits or an illegal level in a page table entry";
	if (!(flags & AMD_EVF_PR))
		return "page is not present, or no translation is set up for the device";
	return flags & AMD_EVF_RW ? "no write permission in the page tables"
				  : "no read permission in the page tables";
}

const char *amd_reason(u16 reason)
{
	switch (reason >> 12) {
	case AMD_EVENT_ILLEGAL_DTE:
		return "device table entry is illegal, or beyond the table";
	case AMD_EVENT_IO_PAGE_FAULT:
		return page_fault(reason & 0xfff);
	case AMD_EVENT_DEVTAB_ERROR:
		return "device table is not in memory";
	case AMD_EVENT_PAGETAB_ERROR:
		return "page table or interrupt table is not in memory";
	case AMD_EVENT_ILLEGAL_CMD:
		return "illegal command";
	case AMD_EVENT_CMD_ERROR:
		return "command buffer is not in memory";
	case AMD_EVENT_IOTLB_TIMEOUT:
		return "a device did not answer an IOTLB invalidation";
	case AMD_EVENT_INVALID_REQ:
		return "request of a kind, or to an address, that the device may not use";
	}
	return NULL;
}
