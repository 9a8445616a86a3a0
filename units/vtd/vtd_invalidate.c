// SPDX-License-Identifier: MIT
/*
 * VT-d invalidation, by register and by queue. Architecture Specification 6.5,
 * 11.4.6, 11.4.9.
 *
 * An invalidation changes a generation, which makes what was cached under the old
 * one useless, and is complete only when nobody translates under the old one any
 * more. In the queue, completion is what a wait descriptor tells; so the waiting
 * for translators is put off until there, and done at the latest when the queue runs
 * empty. A page-selective invalidation drops its whole domain and a
 * device-selective one all contexts, which the specification permits.
 */
#include "units/vtd/vtd_state.h"

static void bump(_Atomic u64 *gen)
{
	atomic_fetch_add_explicit(gen, 1, memory_order_release);
}

/* Return: the granularity performed, 0: none (the request is not valid). */
static unsigned iotlb_invalidate(struct vtd_state *st, unsigned gran, u16 did, u64 am)
{
	switch (gran) {
	case VTD_GRAN_GLOBAL:
		bump(&st->iotlb_gen);
		return gran;
	case VTD_GRAN_DOMAIN:
		bump(&st->did_gen[did]);
		return gran;
	case VTD_GRAN_PAGE:
		if (!(st->cap & VTD_CAP_PSI) || am > VTD_CAP_GET_MAMV(st->cap))
			return 0;
		bump(&st->did_gen[did]);
		return gran;
	}
	return 0;
}

void vtd_ccmd(struct hw *hw, struct vtd_state *st)
{
	unsigned gran = st->ccmd >> VTD_CCMD_CIRG_SHIFT & 3;

	/* 6.5: by register only while the queue is off. */
	if (atomic_load(&st->gsts) & VTD_GSTS_QIES)
		gran = 0;
	if (gran) {
		bump(&st->context_gen);
		translators_synchronize(hw);
	}
	st->ccmd &= ~(VTD_CCMD_ICC | 3ULL << VTD_CCMD_CAIG_SHIFT);
	st->ccmd |= (u64)gran << VTD_CCMD_CAIG_SHIFT;
}

void vtd_iotlb(struct hw *hw, struct vtd_state *st)
{
	unsigned gran = st->iotlb >> VTD_IOTLB_IIRG_SHIFT & 3;

	if (atomic_load(&st->gsts) & VTD_GSTS_QIES)
		gran = 0;
	gran = iotlb_invalidate(st, gran, st->iotlb >> VTD_IOTLB_DID_SHIFT,
				st->iva & VTD_IVA_AM);
	if (gran)
		translators_synchronize(hw);
	st->iotlb &= ~(VTD_IOTLB_IVT | 3ULL << VTD_IOTLB_IAIG_SHIFT);
	st->iotlb |= (u64)gran << VTD_IOTLB_IAIG_SHIFT;
}

/* A queue at work. */
struct queue_run {
	struct hw *hw;
	struct vtd_state *st;
	bool dirty; /* a generation changed, translators not waited for */
	bool event;
};

static void settle(struct queue_run *q)
{
	if (q->dirty)
		translators_synchronize(q->hw);
	q->dirty = false;
}

static int do_wait(struct queue_run *q, u64 lo, u64 hi)
{
	struct vtd_state *st = q->st;
	u32 data = VTD_QI_WAIT_GET_DATA(lo);

	if ((lo & VTD_QI_WAIT_RSVD_LO) || (hi & ~VTD_QI_WAIT_ADDR))
		return VTD_IQEI_RESERVED;
	settle(q);
	if (lo & VTD_QI_WAIT_SW) {
		u32 *p = ram_ptr(q->hw, hi & VTD_QI_WAIT_ADDR, 4);

		if (p)
			__atomic_store_n(p, data, __ATOMIC_RELEASE);
		else
			(void)phys_write(q->hw, hi & VTD_QI_WAIT_ADDR, &data, 4);
	}
	/* 11.4.9.5: while IWC is set no further event is raised. */
	if ((lo & VTD_QI_WAIT_IF) && !(st->ics & VTD_ICS_IWC)) {
		st->ics |= VTD_ICS_IWC;
		if (st->iectl & VTD_ECTL_IM)
			st->iectl |= VTD_ECTL_IP;
		else
			q->event = true;
	}
	return 0;
}

/* Carries out one descriptor. Return: 0 or why not, as IQERCD says it. */
static int do_descriptor(struct queue_run *q, u64 lo, u64 hi)
{
	struct vtd_state *st = q->st;

	switch (VTD_QI_TYPE(lo)) {
	case VTD_QI_CONTEXT:
		if ((lo & VTD_QI_CC_RSVD_LO) || hi || !VTD_QI_GET_GRAN(lo))
			return VTD_IQEI_RESERVED;
		bump(&st->context_gen);
		break;
	case VTD_QI_IOTLB:
		if ((lo & VTD_QI_IOTLB_RSVD_LO) || (hi & VTD_QI_IOTLB_RSVD_HI) ||
		    !iotlb_invalidate(st, VTD_QI_GET_GRAN(lo), VTD_QI_GET_DID(lo),
				      hi & VTD_QI_IOTLB_AM))
			return VTD_IQEI_RESERVED;
		break;
	case VTD_QI_IEC:
		if (!(st->ecap & VTD_ECAP_IR))
			return VTD_IQEI_TYPE;
		if ((lo & VTD_QI_IEC_RSVD_LO) || hi ||
		    VTD_QI_IEC_GET_IM(lo) > VTD_ECAP_GET_MHMV(st->ecap))
			return VTD_IQEI_RESERVED;
		bump(&st->iec_gen);
		break;
	case VTD_QI_DEV_IOTLB:
		return 0; /* no device here keeps translations */
	case VTD_QI_WAIT:
		return do_wait(q, lo, hi);
	default:
		return VTD_IQEI_TYPE;
	}
	q->dirty = true;
	return 0;
}

bool vtd_queue_run(struct hw *hw, struct hw_unit *unit, u32 *errors)
{
	struct queue_run q = {.hw = hw, .st = vtd_state(hw, unit)};
	struct vtd_state *st = q.st;
	u64 base = st->iqa & VTD_IQA_ADDR;
	u64 bytes = (u64)sizeof(struct vtd_qi_desc) << ((st->iqa & VTD_IQA_QS) + 8);
	u64 tail = st->iqt & VTD_IQ_OFF_MASK, head = st->iqh & VTD_IQ_OFF_MASK;
	int err = 0;

	*errors = 0;
	if (!(atomic_load(&st->gsts) & VTD_GSTS_QIES) ||
	    (atomic_load(&st->fsts) & VTD_FSTS_IQE))
		return false;
	if (st->iqa & VTD_IQA_DW)
		err = VTD_IQEI_WIDTH; /* 256-bit descriptors are scalable mode's */
	else if (tail >= bytes)
		err = VTD_IQEI_TAIL;
	if (head >= bytes)
		head = 0;
	while (!err && head != tail) {
		const u64 *p = ram_ptr(hw, base + head, sizeof(struct vtd_qi_desc));

		if (!p) {
			err = VTD_IQEI_FETCH;
			break;
		}
		err = do_descriptor(&q, __atomic_load_n(&p[0], __ATOMIC_RELAXED),
				    __atomic_load_n(&p[1], __ATOMIC_RELAXED));
		if (err)
			break;
		head += sizeof(struct vtd_qi_desc);
		if (head == bytes)
			head = 0;
	}
	st->iqh = head;
	settle(&q);
	if (err) {
		st->iqercd = (st->iqercd & ~VTD_IQERCD_IQEI_MASK) | (u64)err;
		*errors = VTD_FSTS_IQE;
	}
	return q.event;
}
