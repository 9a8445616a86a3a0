// SPDX-License-Identifier: MIT
/*
 * VT-d interrupt remapping. Architecture Specification 5.1, 9.9, 11.4.10.
 *
 * An entry names the destination and vector of the interrupt; what comes out is the irq
 * number that a message in compatibility format to that destination and vector
 * would have (machine/irq.h). Entries are cached under iec_gen.
 */
#include "units/vtd/vtd_state.h"

static int refuse(struct hw *hw, struct hw_unit *unit, u16 sid, u32 index, u16 reason,
		  bool fpd, struct dma_fault *fault)
{
	fault->class = FAULT_IRQ;
	fault->reason = reason;
	vtd_fault_record(hw, unit, sid, DMA_WRITE, (u64)index << 48, reason, fpd);
	return -EFAULT;
}

/* 9.9: SVT and SQ say which source ids may use the entry. */
static bool source_allowed(u64 hi, u16 sid)
{
	static const u16 ignored[] = {0, 4, 6, 7};
	u16 want = hi;

	switch (VTD_IRTE_GET_SVT(hi)) {
	case VTD_SVT_NONE:
		return true;
	case VTD_SVT_SID:
		return !((want ^ sid) & ~ignored[VTD_IRTE_GET_SQ(hi)]);
	case VTD_SVT_BUS:
		return sid >> 8 >= want >> 8 && sid >> 8 <= (want & 0xff);
	}
	return false;
}

/* Present and well-formed? 0 or the reason. */
static u16 check_entry(const struct vtd_state *st, u64 irt, u64 lo, u64 hi)
{
	u64 rsvd = VTD_IRTE_RSVD_LO | VTD_IRTE_IM;

	if (!(lo & VTD_IRTE_P))
		return VTD_FR_IR_NOT_PRESENT;
	if (!(irt & VTD_IRTA_EIME) || !(st->ecap & VTD_ECAP_EIM))
		rsvd |= VTD_IRTE_DST_XAPIC_RSVD;
	if ((lo & rsvd) || (hi & VTD_IRTE_RSVD_HI) || VTD_IRTE_GET_SVT(hi) == 3)
		return VTD_FR_IR_ENTRY_RESERVED;
	return 0;
}

int vtd_remap_irq(struct hw *hw, struct hw_unit *unit, u16 sid, u64 addr, u32 data,
		  u32 *irq, struct dma_fault *fault)
{
	struct vtd_state *st = vtd_state(hw, unit);
	u32 gsts = atomic_load_explicit(&st->gsts, memory_order_relaxed);
	u32 index;
	struct translator *x = translator_self; /* entered by the caller */
	struct tlb_context *c;
	u64 irt, gen, lo, hi;
	const u64 *p;
	u16 reason;

	if (!(addr & VTD_MSI_ADDR_FORMAT) || !(gsts & VTD_GSTS_IRES)) {
		irt = atomic_load_explicit(&st->irt, memory_order_relaxed);
		/* 5.1.4: compatibility format passes only if CFIS says so, never with
		 * EIME. */
		if ((gsts & VTD_GSTS_IRES) &&
		    (!(gsts & VTD_GSTS_CFIS) || (irt & VTD_IRTA_EIME)))
			return refuse(hw, unit, sid, 0, VTD_FR_IR_COMPAT_BLOCKED, false,
				      fault);
		*irq = (addr >> 12 & 0xff) << 8 | (data & 0xff);
		return 0;
	}
	irt = atomic_load_explicit(&st->irt, memory_order_relaxed);
	index = VTD_MSI_ADDR_GET_HANDLE(addr);
	if ((addr & VTD_MSI_ADDR_RSVD) || (data & VTD_MSI_DATA_RSVD))
		return refuse(hw, unit, sid, index, VTD_FR_IR_REQUEST_RESERVED, false,
			      fault);
	if (addr & VTD_MSI_ADDR_SHV)
		index += data & 0xffff;
	if (index >= 2U << (irt & VTD_IRTA_S))
		return refuse(hw, unit, sid, index & 0xffff, VTD_FR_IR_INDEX, false,
			      fault);

	gen = atomic_load_explicit(&st->iec_gen, memory_order_acquire);
	c = &x->irqs[index % TLB_IRQ_ENTRIES];
	if (c->owner == unit && c->id == index && c->stamp == gen) {
		lo = c->a;
		hi = c->b;
	} else {
		p = ram_ptr(hw,
			    (irt & VTD_IRTA_ADDR) + (u64)index * sizeof(struct vtd_irte),
			    16);
		if (!p)
			return refuse(hw, unit, sid, index, VTD_FR_IR_ACCESS, false,
				      fault);
		lo = __atomic_load_n(&p[0], __ATOMIC_RELAXED);
		hi = __atomic_load_n(&p[1], __ATOMIC_RELAXED);
		reason = check_entry(st, irt, lo, hi);
		if (reason)
			return refuse(hw, unit, sid, index, reason, lo & VTD_IRTE_FPD,
				      fault);
		*c = (struct tlb_context){
			.owner = unit, .id = index, .stamp = gen, .a = lo, .b = hi};
	}
	if (!source_allowed(hi, sid))
		return refuse(hw, unit, sid, index, VTD_FR_IR_SID, lo & VTD_IRTE_FPD,
			      fault);
	/* A destination beyond 8 bits is a processor that the machine does not have. */
	if (irt & VTD_IRTA_EIME)
		*irq = lo >> 40 ? 0 : (u32)(lo >> 32) << 8 | VTD_IRTE_GET_V(lo);
	else
		*irq = (u32)(lo >> 40 & 0xff) << 8 | VTD_IRTE_GET_V(lo);
	return 0;
}
