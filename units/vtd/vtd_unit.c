// SPDX-License-Identifier: MIT
/*
 * The VT-d unit: what its registers do. Architecture Specification 11.4.
 *
 * A register is reached by aligned accesses of 4 or 8 bytes; other accesses read all
 * ones and write nothing. Commands are complete when the write returns; the status
 * that software polls for is there at once. Translation and invalidation, faults and
 * interrupts have files of their own.
 */
#include "units/vtd/vtd_unit.h"

#include <errno.h>

#include "units/vtd/vtd_state.h"

#define RTADDR_BITS (VTD_RTADDR_RTA | VTD_RTADDR_TTM)
#define IQA_BITS    (VTD_IQA_ADDR | VTD_IQA_DW | VTD_IQA_QS)
#define IRTA_BITS   (VTD_IRTA_ADDR | VTD_IRTA_EIME | VTD_IRTA_S)

static bool lock(struct vtd_state *st)
{
	return hw_lock_acquire(&st->cmd) != -EDEADLK;
}

static void unlock(struct vtd_state *st, bool locked)
{
	if (locked)
		hw_lock_release(&st->cmd);
}

static void vtd_init(struct hw *hw, struct hw_unit *unit)
{
	struct vtd_state *st = vtd_state(hw, unit);

	atomic_store(&st->gsts, 0);
	atomic_store(&st->root, 0);
	atomic_store(&st->irt, 0);
	atomic_store(&st->fsts, 0);
	st->rtaddr = st->ccmd = st->iva = st->iotlb = 0;
	st->iqh = st->iqt = st->iqa = st->iqercd = st->irta = 0;
	st->ics = st->iedata = st->ieaddr = st->ieuaddr = 0;
	st->fedata = st->feaddr = st->feuaddr = 0;
	st->next_frcd = 0;
	st->fectl = st->iectl = VTD_ECTL_IM;
	for (unsigned i = 0; i < VTD_MAX_FAULT_REGS; i++)
		st->frcd[i] = (struct vtd_frcd){0};
	atomic_fetch_add(&st->iotlb_gen, 1);
	atomic_fetch_add(&st->context_gen, 1);
	atomic_fetch_add(&st->iec_gen, 1);
	translators_synchronize(hw);
}

/* The aligned quad-word at @off as software reads it. */
static u64 read_qword(struct vtd_state *st, u64 off)
{
	switch (off) {
	case VTD_VER:
		return st->ver;
	case VTD_CAP:
		return st->cap;
	case VTD_ECAP:
		return st->ecap;
	case VTD_GCMD: /* write-only; GSTS is the upper half */
		return (u64)atomic_load(&st->gsts) << 32;
	case VTD_RTADDR:
		return st->rtaddr;
	case VTD_CCMD:
		return st->ccmd;
	case VTD_FSTS - 4:
		return (u64)vtd_fault_reg_read(st, VTD_FSTS) << 32;
	case VTD_FECTL:
	case VTD_FEADDR:
		return vtd_fault_reg_read(st, off) | (u64)vtd_fault_reg_read(st, off + 4)
							     << 32;
	case VTD_IQH:
		return st->iqh;
	case VTD_IQT:
		return st->iqt;
	case VTD_IQA:
		return st->iqa;
	case VTD_ICS - 4:
		return (u64)st->ics << 32;
	case VTD_IECTL:
		return st->iectl | (u64)st->iedata << 32;
	case VTD_IEADDR:
		return st->ieaddr | (u64)st->ieuaddr << 32;
	case VTD_IQERCD:
		return st->iqercd;
	case VTD_IRTA:
		return st->irta;
	case VTD_IOTLB_BASE + VTD_IOTLB_OFF:
		return st->iotlb;
	}
	if (off >= VTD_FRCD_BASE)
		return vtd_frcd_read(st, off - VTD_FRCD_BASE);
	return 0;
}

static u64 vtd_mmio_read(struct hw *hw, struct hw_unit *unit, u64 off, unsigned size)
{
	struct vtd_state *st = vtd_state(hw, unit);

	if ((size != 4 && size != 8) || !IS_ALIGNED(off, size) ||
	    off > VTD_REGS_SIZE - size)
		return size < 8 ? (1ULL << size * 8) - 1 : ~0ULL;
	if (size == 8)
		return read_qword(st, off);
	return (u32)(read_qword(st, off & ~7ULL) >> (off & 4) * 8);
}

/* What is to be raised once no lock is held. */
struct outcome {
	bool event;
	u32 errors; /* FSTS bits */
};

static void queue(struct hw *hw, struct hw_unit *unit, struct outcome *out)
{
	u32 errors;

	out->event |= vtd_queue_run(hw, unit, &errors);
	out->errors |= errors;
}

/* 11.4.4: each bit that changes is a command. */
static void gcmd(struct hw *hw, struct hw_unit *unit, struct vtd_state *st, u32 val,
		 struct outcome *out)
{
	u32 gsts = atomic_load(&st->gsts), changed, allowed = VTD_GCMD_TE | VTD_GCMD_SRTP;

	if (st->cap & VTD_CAP_RWBF)
		allowed |= VTD_GCMD_WBF;
	if (st->ecap & VTD_ECAP_QI)
		allowed |= VTD_GCMD_QIE;
	if (st->ecap & VTD_ECAP_IR)
		allowed |= VTD_GCMD_IRE | VTD_GCMD_SIRTP | VTD_GCMD_CFI;
	val &= allowed;
	changed =
		(val ^ gsts) & (VTD_GCMD_TE | VTD_GCMD_QIE | VTD_GCMD_IRE | VTD_GCMD_CFI);

	if (val & VTD_GCMD_SRTP) {
		atomic_store(&st->root, st->rtaddr);
		gsts |= VTD_GSTS_RTPS;
	}
	if (val & VTD_GCMD_SIRTP) {
		atomic_store(&st->irt, st->irta);
		gsts |= VTD_GSTS_IRTPS;
	}
	if ((changed & VTD_GCMD_QIE) && !(val & VTD_GCMD_QIE))
		st->iqh = 0;
	/* A write-back of the root complex's buffers finds nothing to write back. */
	gsts ^= changed;
	atomic_store(&st->gsts, gsts);
	/* Who hits in a TLB looks at this only (vtd_translate()). */
	if (changed & VTD_GCMD_TE)
		atomic_fetch_add(&st->context_gen, 1);
	if (changed & val & VTD_GCMD_QIE) {
		st->iqh = 0;
		queue(hw, unit, out);
	}
	/* 6.6: status tells that requests under the old setting are drained. */
	if ((changed & (VTD_GCMD_TE | VTD_GCMD_IRE)) ||
	    (val & (VTD_GCMD_SRTP | VTD_GCMD_SIRTP)))
		translators_synchronize(hw);
}

static void merge(u64 *reg, u64 val, u64 mask)
{
	*reg = (*reg & ~mask) | (val & mask);
}

static void merge32(u32 *reg, u64 val, u64 mask, bool high)
{
	if (mask >> (high ? 32 : 0) & 0xffffffff)
		*reg = val >> (high ? 32 : 0);
}

/* A write of the bits in @mask to the aligned quad-word at @off, with cmd held. */
static void write_qword(struct hw *hw, struct hw_unit *unit, struct vtd_state *st,
			u64 off, u64 val, u64 mask, struct outcome *out)
{
	u32 ectl;

	switch (off) {
	case VTD_GCMD:
		if (mask & 0xffffffff)
			gcmd(hw, unit, st, val, out);
		break;
	case VTD_RTADDR:
		merge(&st->rtaddr, val & RTADDR_BITS, mask);
		break;
	case VTD_CCMD:
		merge(&st->ccmd, val, mask & ~(3ULL << VTD_CCMD_CAIG_SHIFT));
		if (st->ccmd & VTD_CCMD_ICC)
			vtd_ccmd(hw, st);
		break;
	case VTD_IOTLB_BASE + VTD_IVA_OFF:
		merge(&st->iva, val, mask);
		break;
	case VTD_IOTLB_BASE + VTD_IOTLB_OFF:
		merge(&st->iotlb, val, mask & ~(3ULL << VTD_IOTLB_IAIG_SHIFT));
		if (st->iotlb & VTD_IOTLB_IVT)
			vtd_iotlb(hw, st);
		break;
	case VTD_IQT:
		merge(&st->iqt, val & VTD_IQ_OFF_MASK, mask);
		queue(hw, unit, out);
		break;
	case VTD_IQA:
		merge(&st->iqa, val & IQA_BITS, mask);
		break;
	case VTD_ICS - 4:
		if (val & mask & (u64)VTD_ICS_IWC << 32) {
			st->ics &= ~VTD_ICS_IWC;
			st->iectl &= ~VTD_ECTL_IP;
		}
		break;
	case VTD_IECTL:
		ectl = st->iectl;
		merge32(&ectl, val, mask, false);
		if (!(ectl & VTD_ECTL_IM) && (st->iectl & VTD_ECTL_IP)) {
			st->iectl = 0;
			out->event = true;
		} else {
			st->iectl = (ectl & VTD_ECTL_IM) | (st->iectl & VTD_ECTL_IP);
		}
		merge32(&st->iedata, val, mask, true);
		break;
	case VTD_IEADDR:
		merge32(&st->ieaddr, val & ~3ULL, mask, false);
		merge32(&st->ieuaddr, val, mask, true);
		break;
	case VTD_IRTA:
		merge(&st->irta, val & IRTA_BITS, mask);
		if (!(st->ecap & VTD_ECAP_EIM))
			st->irta &= ~VTD_IRTA_EIME;
		break;
	}
}

static bool is_fault_qword(u64 off)
{
	return off == VTD_FSTS - 4 || off == VTD_FECTL || off == VTD_FEADDR;
}

static void vtd_mmio_write(struct hw *hw, struct hw_unit *unit, u64 off, u64 val,
			   unsigned size)
{
	struct vtd_state *st = vtd_state(hw, unit);
	struct outcome out = {0};
	u64 mask = ~0ULL, qword = off & ~7ULL;
	bool resume = false, locked;

	if ((size != 4 && size != 8) || !IS_ALIGNED(off, size) ||
	    off > VTD_REGS_SIZE - size)
		return;
	if (size == 4) {
		val = (val & 0xffffffff) << (off & 4) * 8;
		mask = 0xffffffffULL << (off & 4) * 8;
	}
	if (off >= VTD_FRCD_BASE) {
		vtd_frcd_write(st, qword - VTD_FRCD_BASE, val, mask);
		return;
	}
	if (is_fault_qword(qword)) {
		if ((mask & 0xffffffff) && qword != VTD_FSTS - 4)
			resume |= vtd_fault_reg_write(hw, unit, qword, val);
		if (mask >> 32)
			resume |= vtd_fault_reg_write(hw, unit, qword + 4, val >> 32);
		if (!resume)
			return;
		/* The queue goes on where it stopped (11.4.9.9). */
		locked = lock(st);
		st->iqercd = 0;
		queue(hw, unit, &out);
	} else {
		locked = lock(st);
		write_qword(hw, unit, st, qword, val, mask, &out);
	}
	unlock(st, locked);

	if (out.errors)
		vtd_fault_status(hw, unit, out.errors);
	if (out.event && hw->ops && hw->ops->unit_event)
		hw->ops->unit_event(hw, vtd_unit_index(hw, unit));
}

int vtd_unit_setup(struct hw *hw, u32 index, const struct vtd_unit_config *config)
{
	u8 aw = config->aw_bits ? config->aw_bits : 48;
	u8 host = config->host_bits ? config->host_bits : 48;
	u16 nfr = config->nr_fault_regs ? config->nr_fault_regs : 1;
	struct vtd_state *st;
	struct hw_unit *unit;
	u64 state;

	if (index >= HW_MAX_UNITS || hw->units[index].kind != UNIT_NONE)
		return -EINVAL;
	if ((aw != 39 && aw != 48 && aw != 57) || host < 36 || host > 52 ||
	    nfr > VTD_MAX_FAULT_REGS || !IS_ALIGNED(config->regs, SZ_4K))
		return -EINVAL;
	state = hw_alloc_state(hw, sizeof(*st));
	if (!state)
		return -ENOMEM;
	unit = &hw->units[index];
	unit->segment = config->segment;
	unit->regs = config->regs;
	unit->regs_size = VTD_REGS_SIZE;
	unit->state = state;
	unit->state_size = sizeof(*st);

	st = vtd_state(hw, unit);
	st->ver = 0x10;
	st->nr_fault_regs = nfr;
	st->host_bits = host;
	st->mgaw = aw;
	st->cap = VTD_CAP_ND(6) | VTD_CAP_SAGAW_39 | VTD_CAP_MGAW(aw) |
		  VTD_CAP_FRO(VTD_FRCD_BASE) | VTD_CAP_SLLPS_2M | VTD_CAP_SLLPS_1G |
		  VTD_CAP_PSI | VTD_CAP_NFR(nfr) | VTD_CAP_MAMV(18) | VTD_CAP_DWD |
		  VTD_CAP_DRD;
	if (aw >= 48)
		st->cap |= VTD_CAP_SAGAW_48;
	if (aw >= 57)
		st->cap |= VTD_CAP_SAGAW_57;
	if (config->caching_mode)
		st->cap |= VTD_CAP_CM;
	st->ecap = VTD_ECAP_IRO(VTD_IOTLB_BASE);
	if (!config->no_queued_invalidation)
		st->ecap |= VTD_ECAP_QI;
	if (!config->no_pass_through)
		st->ecap |= VTD_ECAP_PT;
	if (config->snoop_control)
		st->ecap |= VTD_ECAP_SC;
	if (config->coherent)
		st->ecap |= VTD_ECAP_C;
	/* Remapping entries are invalidated through the queue only. */
	if (!config->no_intremap && !config->no_queued_invalidation) {
		st->ecap |= VTD_ECAP_IR | VTD_ECAP_MHMV(15);
		if (config->eim)
			st->ecap |= VTD_ECAP_EIM;
	}
	vtd_init(hw, unit);
	unit->kind = UNIT_VTD;
	return 0;
}

const struct unit_ops vtd_unit_ops = {
	.name = "vtd",
	.state_size = sizeof(struct vtd_state),
	.init = vtd_init,
	.mmio_read = vtd_mmio_read,
	.mmio_write = vtd_mmio_write,
	.translate = vtd_translate,
	.remap_irq = vtd_remap_irq,
	.reason = vtd_reason,
};
