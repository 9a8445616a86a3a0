// SPDX-License-Identifier: MIT
/*
 * AMD-Vi command buffer. Specification 2.4.
 *
 * An invalidation changes a generation, which makes what was cached under the old one
 * useless, and is complete only when nobody translates under the old one any more.
 * COMPLETION_WAIT is what tells software of completion; so the waiting for translators
 * is put off until there, and done at the latest when the buffer runs empty.
 * Invalidation by page drops its whole domain and that by device all entries, which
 * the specification permits. A command that is illegal, or cannot be fetched, is logged
 * and stops the unit at it until software switches the buffer off and on.
 */
#include "units/amd/amd_state.h"

static void bump(_Atomic u64 *gen)
{
	atomic_fetch_add_explicit(gen, 1, memory_order_release);
}

struct run {
	struct hw *hw;
	struct amd_state *st;
	bool dirty; /* a generation changed, translators not waited for */
	bool event;
};

static void settle(struct run *r)
{
	if (r->dirty)
		translators_synchronize(r->hw);
	r->dirty = false;
}

static bool completion_wait(struct run *r, const u32 *d)
{
	u64 addr = ((u64)(d[1] & 0xfffff) << 32 | d[0]) & ~7ULL;
	u64 data = (u64)d[3] << 32 | d[2], *p;

	settle(r);
	if (d[0] & AMD_WAIT_STORE) {
		p = ram_ptr(r->hw, addr, 8);
		if (p)
			__atomic_store_n(p, data, __ATOMIC_RELEASE);
		else
			(void)phys_write(r->hw, addr, &data, 8);
	}
	if (d[0] & AMD_WAIT_INT) {
		u64 before = atomic_fetch_or(&r->st->status, AMD_STATUS_COMWAIT_INT);

		if (!(before & AMD_STATUS_COMWAIT_INT) &&
		    (atomic_load(&r->st->control) & AMD_CTRL_COMWAIT_INT_EN))
			r->event = true;
	}
	return true;
}

/* Carries out one command. Return: false: it is illegal. */
static bool command(struct run *r, const u32 *d)
{
	struct amd_state *st = r->st;

	switch (AMD_CMD_GET(d[1])) {
	case AMD_CMD_COMPLETION_WAIT:
		return completion_wait(r, d);
	case AMD_CMD_INVALIDATE_DEVTAB:
		if (d[0] >> 16 || (d[1] & GENMASK(27, 0)) || d[2] || d[3])
			return false;
		bump(&st->dte_gen);
		/* The entry has the address of the interrupt table too. */
		bump(&st->irt_gen);
		break;
	case AMD_CMD_INVALIDATE_PAGES:
		if (d[0] >> 20 || (d[1] & GENMASK(27, 16)) || (d[2] & GENMASK(11, 3)))
			return false;
		/* No guest translation here. */
		if (d[2] & AMD_INV_GN)
			return true;
		bump(&st->domain_gen[d[1] & 0xffff]);
		break;
	case AMD_CMD_INVALIDATE_IOTLB:
		return true; /* no device here keeps translations */
	case AMD_CMD_INVALIDATE_INTERRUPT:
		if (d[0] >> 16 || (d[1] & GENMASK(27, 0)) || d[2] || d[3])
			return false;
		bump(&st->irt_gen);
		break;
	case AMD_CMD_PREFETCH:
		return st->efr & AMD_EFR_PREF;
	case AMD_CMD_COMPLETE_PPR:
		return st->efr & AMD_EFR_PPR;
	case AMD_CMD_INVALIDATE_ALL:
		if (!(st->efr & AMD_EFR_IA) || d[0] || (d[1] & GENMASK(27, 0)) || d[2] ||
		    d[3])
			return false;
		bump(&st->all_gen);
		bump(&st->dte_gen);
		bump(&st->irt_gen);
		break;
	default:
		return false;
	}
	r->dirty = true;
	return true;
}

static void stop(struct run *r, struct hw_unit *unit, u16 code, u64 at)
{
	const u32 data[4] = {0, (u32)code << 28, (u32)at, (u32)(at >> 32)};

	atomic_fetch_and(&r->st->status, ~AMD_STATUS_CMD_RUN);
	r->event |= amd_event_log(r->hw, unit, data);
}

bool amd_commands_run(struct hw *hw, struct hw_unit *unit)
{
	struct run r = {.hw = hw, .st = amd_state(hw, unit)};
	struct amd_state *st = r.st;
	u64 bytes = amd_ring_bytes(st->cmd_base), base = st->cmd_base & AMD_RING_ADDR;
	u64 head, tail;

	if (!(atomic_load(&st->status) & AMD_STATUS_CMD_RUN) || !bytes)
		return false;
	head = st->cmd_head & AMD_RING_PTR & (bytes - 1);
	tail = st->cmd_tail & AMD_RING_PTR & (bytes - 1);
	while (head != tail) {
		const u32 *p = ram_ptr(hw, base + head, 16);
		u32 d[4];

		if (!p) {
			stop(&r, unit, AMD_EVENT_CMD_ERROR, base + head);
			break;
		}
		for (unsigned i = 0; i < 4; i++)
			d[i] = __atomic_load_n(&p[i], __ATOMIC_RELAXED);
		if (!command(&r, d)) {
			stop(&r, unit, AMD_EVENT_ILLEGAL_CMD, base + head);
			break;
		}
		head = (head + 16) & (bytes - 1);
	}
	st->cmd_head = head;
	settle(&r);
	return r.event;
}
