// SPDX-License-Identifier: MIT
/*
 * The AMD-Vi unit: what its registers do. Specification 3.4.
 *
 * A register is reached by aligned accesses of 4 or 8 bytes; other accesses read all ones
 * and write nothing. Commands are complete when the write of the tail returns.
 * Translation, commands, events and interrupts have files of their own.
 */
#include "units/amd/amd_unit.h"

#include <errno.h>

#include "units/amd/amd_state.h"

#define DEVTAB_BITS (AMD_DEVTAB_ADDR | AMD_DEVTAB_SIZE)
#define RING_BITS   (AMD_RING_ADDR | AMD_RING_LEN(0xf))

static bool lock(struct amd_state *st)
{
	return hw_lock_acquire(&st->cmd) != -EDEADLK;
}

static void unlock(struct amd_state *st, bool locked)
{
	if (locked)
		hw_lock_release(&st->cmd);
}

static void bump_all(struct amd_state *st)
{
	atomic_fetch_add(&st->all_gen, 1);
	atomic_fetch_add(&st->dte_gen, 1);
	atomic_fetch_add(&st->irt_gen, 1);
}

static void amd_init(struct hw *hw, struct hw_unit *unit)
{
	struct amd_state *st = amd_state(hw, unit);

	atomic_store(&st->control, 0);
	atomic_store(&st->devtab, 0);
	atomic_store(&st->excl_base, 0);
	atomic_store(&st->excl_limit, 0);
	atomic_store(&st->status, 0);
	st->cmd_base = st->cmd_head = st->cmd_tail = 0;
	st->evt_base = st->evt_head = st->evt_tail = 0;
	st->msi[0] = st->msi[1] = st->msi[2] = 0;
	bump_all(st);
	translators_synchronize(hw);
}

/* The aligned quad-word at @off as software reads it. */
static u64 read_qword(struct amd_state *st, u64 off)
{
	switch (off) {
	case AMD_DEVTAB_BASE:
		return atomic_load(&st->devtab);
	case AMD_CMDBUF_BASE:
		return st->cmd_base;
	case AMD_EVTLOG_BASE:
		return st->evt_base;
	case AMD_CONTROL:
		return atomic_load(&st->control);
	case AMD_EXCL_BASE:
		return atomic_load(&st->excl_base);
	case AMD_EXCL_LIMIT:
		return atomic_load(&st->excl_limit);
	case AMD_EFR:
		return st->efr;
	case AMD_EFR2:
		return st->efr2;
	case AMD_MSI_ADDR_LO - 4:
		return (u64)st->msi[0] << 32;
	case AMD_MSI_ADDR_LO + 4:
		return st->msi[1] | (u64)st->msi[2] << 32;
	case AMD_CMDBUF_HEAD:
		return st->cmd_head;
	case AMD_CMDBUF_TAIL:
		return st->cmd_tail;
	case AMD_EVTLOG_HEAD:
		return st->evt_head;
	case AMD_EVTLOG_TAIL:
		return st->evt_tail;
	case AMD_STATUS:
		return atomic_load(&st->status);
	}
	return 0;
}

static u64 amd_mmio_read(struct hw *hw, struct hw_unit *unit, u64 off, unsigned size)
{
	struct amd_state *st = amd_state(hw, unit);

	if ((size != 4 && size != 8) || !IS_ALIGNED(off, size) ||
	    off > AMD_REGS_SIZE - size)
		return size < 8 ? (1ULL << size * 8) - 1 : ~0ULL;
	if (size == 8)
		return read_qword(st, off);
	return (u32)(read_qword(st, off & ~7ULL) >> (off & 4) * 8);
}

static void merge(u64 *reg, u64 val, u64 mask, u64 bits)
{
	*reg = ((*reg & ~mask) | (val & mask)) & bits;
}

/* The same for a register that translation reads. */
static void merge_atomic(_Atomic u64 *reg, u64 val, u64 mask, u64 bits)
{
	u64 now = atomic_load(reg);

	merge(&now, val, mask, bits);
	atomic_store(reg, now);
}

static u64 control_bits(const struct amd_state *st)
{
	u64 bits = AMD_CTRL_IOMMU_EN | AMD_CTRL_HT_TUN_EN | AMD_CTRL_EVT_LOG_EN |
		   AMD_CTRL_EVT_INT_EN | AMD_CTRL_COMWAIT_INT_EN | GENMASK_ULL(11, 5) |
		   AMD_CTRL_CMDBUF_EN;

	return st->efr & AMD_EFR_GA ? bits | AMD_CTRL_GA_EN : bits;
}

/* 3.4.3: switches of the unit. Return: true if an event is due. */
static bool control(struct hw *hw, struct hw_unit *unit, struct amd_state *st, u64 val,
		    u64 mask)
{
	u64 before = atomic_load(&st->control), now;
	bool was, is, event = false;

	merge_atomic(&st->control, val, mask, control_bits(st));
	now = atomic_load(&st->control);

	was = (before & AMD_CTRL_IOMMU_EN) && (before & AMD_CTRL_EVT_LOG_EN);
	is = (now & AMD_CTRL_IOMMU_EN) && (now & AMD_CTRL_EVT_LOG_EN);
	if (was != is)
		amd_event_enable(st, is);

	was = (before & AMD_CTRL_IOMMU_EN) && (before & AMD_CTRL_CMDBUF_EN);
	is = (now & AMD_CTRL_IOMMU_EN) && (now & AMD_CTRL_CMDBUF_EN);
	if (was != is) {
		if (is && amd_ring_bytes(st->cmd_base))
			atomic_fetch_or(&st->status, AMD_STATUS_CMD_RUN);
		else
			atomic_fetch_and(&st->status, ~AMD_STATUS_CMD_RUN);
	}
	if ((before ^ now) & (AMD_CTRL_IOMMU_EN | AMD_CTRL_GA_EN)) {
		/* Who hits in a TLB looks at generations only. */
		bump_all(st);
		translators_synchronize(hw);
	}
	if (is && !was)
		event = amd_commands_run(hw, unit);
	return event;
}

/* A write of the bits in @mask to the aligned quad-word at @off, with cmd held. */
static bool write_qword(struct hw *hw, struct hw_unit *unit, struct amd_state *st,
			u64 off, u64 val, u64 mask)
{
	switch (off) {
	case AMD_DEVTAB_BASE:
		merge_atomic(&st->devtab, val, mask, DEVTAB_BITS);
		break;
	case AMD_CMDBUF_BASE:
		merge(&st->cmd_base, val, mask, RING_BITS);
		st->cmd_head = st->cmd_tail = 0;
		break;
	case AMD_CONTROL:
		return control(hw, unit, st, val, mask);
	case AMD_EXCL_BASE:
		merge_atomic(&st->excl_base, val, mask,
			     AMD_EXCL_ADDR | AMD_EXCL_EX_EN | AMD_EXCL_ALLOW);
		break;
	case AMD_EXCL_LIMIT:
		merge_atomic(&st->excl_limit, val, mask, AMD_EXCL_ADDR);
		break;
	case AMD_MSI_ADDR_LO - 4:
		if (mask >> 32)
			st->msi[0] = val >> 32;
		break;
	case AMD_MSI_ADDR_LO + 4:
		if (mask & 0xffffffff)
			st->msi[1] = (u32)val;
		if (mask >> 32)
			st->msi[2] = val >> 32;
		break;
	case AMD_CMDBUF_HEAD:
		merge(&st->cmd_head, val, mask, AMD_RING_PTR);
		break;
	case AMD_CMDBUF_TAIL:
		merge(&st->cmd_tail, val, mask, AMD_RING_PTR);
		return amd_commands_run(hw, unit);
	default:
		amd_event_write(hw, unit, off, val, mask);
		return false;
	}
	if (off == AMD_EXCL_BASE || off == AMD_EXCL_LIMIT) {
		atomic_fetch_add(&st->dte_gen, 1);
		translators_synchronize(hw);
	}
	return false;
}

static void amd_mmio_write(struct hw *hw, struct hw_unit *unit, u64 off, u64 val,
			   unsigned size)
{
	struct amd_state *st = amd_state(hw, unit);
	bool locked, event;
	u64 mask = ~0ULL;

	if ((size != 4 && size != 8) || !IS_ALIGNED(off, size) ||
	    off > AMD_REGS_SIZE - size)
		return;
	if (size == 4) {
		val = (val & 0xffffffff) << (off & 4) * 8;
		mask = 0xffffffffULL << (off & 4) * 8;
	}
	locked = lock(st);
	event = write_qword(hw, unit, st, off & ~7ULL, val, mask);
	unlock(st, locked);
	if (event)
		amd_event_raise(hw, unit);
}

int amd_unit_setup(struct hw *hw, u32 index, const struct amd_unit_config *config)
{
	u8 levels = config->levels ? config->levels : 4;
	struct amd_state *st;
	struct hw_unit *unit;
	u64 state;

	if (index >= HW_MAX_UNITS || hw->units[index].kind != UNIT_NONE)
		return -EINVAL;
	if (levels < 4 || levels > AMD_MAX_LEVELS || !IS_ALIGNED(config->regs, SZ_4K))
		return -EINVAL;
	state = hw_alloc_state(hw, sizeof(*st));
	if (!state)
		return -ENOMEM;
	unit = &hw->units[index];
	unit->segment = config->segment;
	unit->regs = config->regs;
	unit->regs_size = AMD_REGS_SIZE;
	unit->state = state;
	unit->state_size = sizeof(*st);

	st = amd_state(hw, unit);
	st->np_cache = config->np_cache;
	st->efr = AMD_EFR_PREF | AMD_EFR_IA | AMD_EFR_HATS(levels - 4);
	if (config->guest_apic)
		st->efr |= AMD_EFR_GA;
	if (config->dirty)
		st->efr |= AMD_EFR_HD;
	st->efr2 = config->no_ht_range ? AMD_EFR2_HT_RANGE_IGNORE : 0;
	amd_init(hw, unit);
	unit->kind = UNIT_AMD;
	return 0;
}

const struct unit_ops amd_unit_ops = {
	.name = "amd",
	.state_size = sizeof(struct amd_state),
	.init = amd_init,
	.mmio_read = amd_mmio_read,
	.mmio_write = amd_mmio_write,
	.translate = amd_translate,
	.remap_irq = amd_remap_irq,
	.reason = amd_reason,
};
