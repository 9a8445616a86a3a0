// SPDX-License-Identifier: MIT
/*
 * AMD-Vi interrupt remapping. Specification 2.2.5.
 *
 * The device's own table says what each of its messages becomes; the index is the
 * message's data. What comes out is the irq number that a message in compatibility
 * format to that destination and vector would have (machine/irq.h). Entries are cached
 * under irt_gen, with the word of the device table entry that led to them.
 */
#include "units/amd/amd_state.h"

#define TYPE_FIXED	0
#define TYPE_ARBITRATED 1
#define TYPE_NMI	4
#define TYPE_INIT	5
#define TYPE_EXTINT	7
#define MAX_LEN		11

/* @log: false where the device table entry says to stay silent. */
static int refuse(struct hw *hw, struct hw_unit *unit, u16 sid, u16 reason, u64 addr,
		  bool log, struct dma_fault *fault)
{
	fault->class = FAULT_IRQ;
	fault->reason = reason;
	if (log)
		amd_event_fault(hw, unit, sid, 0, reason, addr);
	return -EFAULT;
}

static int unmapped(u64 addr, u32 data, u32 *irq)
{
	*irq = (u32)(addr >> 12 & 0xff) << 8 | (data & 0xff);
	return 0;
}

/* The table entry as destination and vector: *out bit 63 set, vector 7:0, destination
 * above. */
static u16 entry_fetch(const struct hw *hw, const struct amd_state *st, u64 dte2,
		       u32 index, u64 *out)
{
	u16 flags = AMD_EVF_I | AMD_EVF_RW;
	u64 table = dte2 & AMD_DTE2_TABLE, lo, hi = 0, dest;
	const void *p;

	if (atomic_load_explicit(&st->control, memory_order_relaxed) & AMD_CTRL_GA_EN) {
		p = ram_ptr(hw, table + index * 16ULL, 16);
		if (!p)
			return AMD_REASON(AMD_EVENT_PAGETAB_ERROR, flags);
		lo = __atomic_load_n((const u64 *)p, __ATOMIC_ACQUIRE);
		hi = __atomic_load_n((const u64 *)p + 1, __ATOMIC_RELAXED);
		if ((lo & AMD_IRTE_EN) && (lo & (AMD_IRTE_GUEST | GENMASK_ULL(63, 32))))
			return AMD_REASON(AMD_EVENT_IO_PAGE_FAULT,
					  flags | AMD_EVF_PR | AMD_EVF_RZ);
		/* Without x2APIC the destination has 8 bits. */
		dest = lo >> 8 & 0xff;
		hi &= 0xff;
	} else {
		p = ram_ptr(hw, table + index * 4ULL, 4);
		if (!p)
			return AMD_REASON(AMD_EVENT_PAGETAB_ERROR, flags);
		lo = __atomic_load_n((const u32 *)p, __ATOMIC_RELAXED);
		if ((lo & AMD_IRTE_EN) && (lo & AMD_IRTE_RSVD))
			return AMD_REASON(AMD_EVENT_IO_PAGE_FAULT,
					  flags | AMD_EVF_PR | AMD_EVF_RZ);
		dest = AMD_IRTE_GET_DEST(lo);
		hi = AMD_IRTE_GET_VECTOR(lo);
	}
	if (!(lo & AMD_IRTE_EN))
		return AMD_REASON(AMD_EVENT_IO_PAGE_FAULT, flags);
	*out = BIT_ULL(63) | dest << 8 | hi;
	return 0;
}

/* The device table entry's word on interrupts, from the cache where it is valid. */
static u16 control_word(struct hw *hw, struct hw_unit *unit, struct amd_state *st,
			struct translator *x, u16 sid, u64 gen, u64 *dte2)
{
	/* Ids of these are below 2^16, those of entries above. */
	struct tlb_context *c = &x->irqs[(sid ^ sid >> 6) % TLB_IRQ_ENTRIES];
	u64 dte[4];
	u16 reason;

	if (c->owner == unit && c->id == sid && c->stamp == gen) {
		*dte2 = c->a;
		return 0;
	}
	reason = amd_dte_fetch(hw, st, sid, dte);
	if (reason)
		return reason | AMD_EVF_I;
	*dte2 = dte[2];
	*c = (struct tlb_context){.owner = unit, .id = sid, .stamp = gen, .a = dte[2]};
	return 0;
}

int amd_remap_irq(struct hw *hw, struct hw_unit *unit, u16 sid, u64 addr, u32 data,
		  u32 *irq, struct dma_fault *fault)
{
	struct amd_state *st = amd_state(hw, unit);
	struct translator *x = translator_self; /* entered by the caller */
	u64 gen = atomic_load_explicit(&st->irt_gen, memory_order_acquire), dte2,
	    entry = 0;
	u16 flags = AMD_EVF_I | AMD_EVF_RW, reason;
	u32 index = data & 0x7ff, type = data >> 8 & 7, id;
	struct tlb_context *c;
	bool log;

	if (!(atomic_load_explicit(&st->control, memory_order_relaxed) &
	      AMD_CTRL_IOMMU_EN))
		return unmapped(addr, data, irq);
	reason = control_word(hw, unit, st, x, sid, gen, &dte2);
	if (reason)
		return refuse(hw, unit, sid, reason, addr, true, fault);
	if (!(dte2 & AMD_DTE2_IV))
		return unmapped(addr, data, irq);
	log = !(dte2 & AMD_DTE2_IG);
	reason = AMD_REASON(AMD_EVENT_IO_PAGE_FAULT, flags);
	switch (type) {
	case TYPE_FIXED:
	case TYPE_ARBITRATED:
		break;
	case TYPE_NMI:
	case TYPE_INIT:
	case TYPE_EXTINT:
		if (dte2 & (type == TYPE_NMI	? AMD_DTE2_NMI
			    : type == TYPE_INIT ? AMD_DTE2_INIT
						: AMD_DTE2_EINT))
			return unmapped(addr, data, irq);
		return refuse(hw, unit, sid, reason | AMD_EVF_PR, addr, log, fault);
	default:
		return refuse(hw, unit, sid, reason | AMD_EVF_PR, addr, log, fault);
	}
	switch (AMD_DTE2_GET_CTL(dte2)) {
	case AMD_INTCTL_FORWARD:
		return unmapped(addr, data, irq);
	case AMD_INTCTL_REMAP:
		break;
	case AMD_INTCTL_ABORT:
		return refuse(hw, unit, sid, reason, addr, log, fault);
	default:
		return refuse(hw, unit, sid, AMD_REASON(AMD_EVENT_ILLEGAL_DTE, AMD_EVF_I),
			      addr, true, fault);
	}
	if (AMD_DTE2_GET_LEN(dte2) > MAX_LEN)
		return refuse(hw, unit, sid, AMD_REASON(AMD_EVENT_ILLEGAL_DTE, AMD_EVF_I),
			      addr, true, fault);
	if (index >> AMD_DTE2_GET_LEN(dte2))
		return refuse(hw, unit, sid, reason, addr, log, fault);

	id = BIT(31) | (u32)sid << 11 | index;
	c = &x->irqs[(index ^ sid ^ sid >> 5) % TLB_IRQ_ENTRIES];
	if (c->owner == unit && c->id == id && c->stamp == gen) {
		*irq = (u32)c->a;
		return 0;
	}
	reason = entry_fetch(hw, st, dte2, index, &entry);
	if (reason)
		return refuse(hw, unit, sid, reason, addr, log, fault);
	*irq = entry & 0xffff;
	*c = (struct tlb_context){.owner = unit, .id = id, .stamp = gen, .a = *irq};
	return 0;
}
