// SPDX-License-Identifier: MIT
/* See vtd_fixture.h. */
#include "tests/unit/vtd/vtd_fixture.h"

#include <string.h>

#include "units/units.h"

static void on_irq(struct hw *hw, u32 irq)
{
	struct fx *fx = hw->host;

	fx->irqs++;
	fx->last_irq = irq;
}

static void on_fault(struct hw *hw, const struct dma_fault *fault)
{
	struct fx *fx = hw->host;

	mutex_lock(&fx->lock);
	fx->faults++;
	fx->last = *fault;
	mutex_unlock(&fx->lock);
}

static void on_unit_event(struct hw *hw, u32 unit)
{
	struct fx *fx = hw->host;

	__atomic_fetch_add(&fx->events, 1, __ATOMIC_RELAXED);
}

static const struct hw_host_ops ops = {
	.irq = on_irq,
	.fault = on_fault,
	.unit_event = on_unit_event,
};

void fx_init(struct fx *fx, const struct vtd_unit_config *config)
{
	struct vtd_unit_config plain = {0};

	memset(fx, 0, sizeof(*fx));
	mutex_init(&fx->lock);
	if (config)
		plain = *config;
	plain.regs = FX_REGS;
	assert_int_equal(machine_create(&fx->m, 64 << 20, 4, ""), 0);
	fx->hw = &fx->m->hw;
	fx->hw->ops = &ops;
	fx->hw->host = fx;
	units_register(fx->hw);
	assert_int_equal(vtd_unit_setup(fx->hw, 0, &plain), 0);
	hw_function_init(fx->hw, FX_FN);
	fx->hw->functions[FX_FN].requester_id = FX_SID;
	fx->hw->functions[FX_FN].unit = 0;
	fx->hw->functions[FX_FN].config[4] = 6;
	fx->root = fx_page(fx);
	fx->context = fx_page(fx);
	fx->queue = fx_page(fx);
	fx->status = fx_page(fx);
}

void fx_exit(struct fx *fx)
{
	machine_destroy(fx->m);
}

u64 fx_page(struct fx *fx)
{
	phys_addr_t phys;

	assert_int_equal(ram_alloc_pages(fx->m, 0, &phys), 0);
	return phys;
}

u64 *fx_qword(struct fx *fx, u64 phys)
{
	u64 *p = ram_ptr(fx->hw, phys, 8);

	assert_non_null(p);
	return p;
}

u32 fx_rd32(struct fx *fx, u64 off)
{
	return unit_mmio_read(fx->hw, 0, off, 4);
}

u64 fx_rd64(struct fx *fx, u64 off)
{
	return unit_mmio_read(fx->hw, 0, off, 8);
}

void fx_wr32(struct fx *fx, u64 off, u32 val)
{
	unit_mmio_write(fx->hw, 0, off, val, 4);
}

void fx_wr64(struct fx *fx, u64 off, u64 val)
{
	unit_mmio_write(fx->hw, 0, off, val, 8);
}

void fx_gcmd(struct fx *fx, u32 bit, bool on)
{
	u32 val = fx_rd32(fx, VTD_GSTS) & ~VTD_GCMD_ONE_SHOT;

	fx_wr32(fx, VTD_GCMD, on ? val | bit : val & ~bit);
	if (bit != VTD_GCMD_WBF)
		assert_int_equal(!!(fx_rd32(fx, VTD_GSTS) & bit), on);
}

void fx_context(struct fx *fx, u16 sid, u64 lo, u64 hi)
{
	u64 *p = fx_qword(fx, fx->context + (sid & 0xff) * 16);

	p[1] = hi;
	p[0] = lo;
}

void fx_enable(struct fx *fx, u64 ctx_lo, u64 ctx_hi)
{
	*fx_qword(fx, fx->root + (FX_SID >> 8) * 16) = fx->context | VTD_ROOT_P;
	fx_context(fx, FX_SID, ctx_lo, ctx_hi);
	fx_wr64(fx, VTD_RTADDR, fx->root);
	fx_gcmd(fx, VTD_GCMD_SRTP, true);
	fx_wr64(fx, VTD_IQA, fx->queue);
	fx_wr64(fx, VTD_IQT, 0);
	fx->tail = 0;
	fx_gcmd(fx, VTD_GCMD_QIE, true);
	fx_flush_all(fx);
	fx_gcmd(fx, VTD_GCMD_TE, true);
}

void fx_submit(struct fx *fx, u64 lo, u64 hi)
{
	u64 *p = fx_qword(fx, fx->queue + fx->tail);

	p[0] = lo;
	p[1] = hi;
	fx->tail = (fx->tail + 16) % 4096;
	fx_wr64(fx, VTD_IQT, fx->tail);
}

bool fx_wait(struct fx *fx)
{
	u32 *p = ram_ptr(fx->hw, fx->status, 4);

	*p = 0;
	fx_submit(fx, VTD_QI_WAIT | VTD_QI_WAIT_SW | VTD_QI_WAIT_DATA(0x5a), fx->status);
	return __atomic_load_n(p, __ATOMIC_ACQUIRE) == 0x5a;
}

void fx_flush_all(struct fx *fx)
{
	fx_submit(fx, VTD_QI_CONTEXT | VTD_QI_GRAN(VTD_GRAN_GLOBAL), 0);
	fx_submit(fx, VTD_QI_IOTLB | VTD_QI_GRAN(VTD_GRAN_GLOBAL), 0);
	assert_true(fx_wait(fx));
}

u64 *fx_pte(struct fx *fx, u64 root, unsigned levels, u64 iova, unsigned level)
{
	u64 table = root;

	for (unsigned l = levels;; l--) {
		u64 *p = fx_qword(fx, table + (iova >> (12 + 9 * (l - 1)) & 511) * 8);

		if (l == level)
			return p;
		if (!(*p & 3))
			*p = fx_page(fx) | VTD_SS_R | VTD_SS_W;
		table = *p & VTD_SS_ADDR;
	}
}

void fx_map(struct fx *fx, u64 root, unsigned levels, u64 iova, u64 phys, unsigned lg2,
	    u64 bits)
{
	unsigned level = lg2 == 30 ? 3 : lg2 == 21 ? 2 : 1;

	*fx_pte(fx, root, levels, iova, level) =
		phys | bits | (level > 1 ? VTD_SS_PS : 0);
}
