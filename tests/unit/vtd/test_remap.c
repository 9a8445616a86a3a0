// SPDX-License-Identifier: MIT
/* Interrupt remapping: messages of an MSI capability, each reason, source checks,
 * caching. */
#include <string.h>

#include "tests/unit/vtd/vtd_fixture.h"

#define ENTRIES 256
#define DEST(d) VTD_IRTE_DST_XAPIC(d)

static u64 irt;

static void remap_init(struct fx *fx, const struct vtd_unit_config *c)
{
	fx_init(fx, c);
	fx_enable(fx, VTD_CTX_P | VTD_CTX_TT(VTD_TT_PASS_THROUGH), VTD_CTX_AW(2));
	irt = fx_page(fx);
	fx_wr64(fx, VTD_IRTA, irt | 7);
	fx_gcmd(fx, VTD_GCMD_SIRTP, true);
	fx_gcmd(fx, VTD_GCMD_IRE, true);
}

static void set_entry(struct fx *fx, unsigned i, u64 lo, u64 hi)
{
	u64 *p = fx_qword(fx, irt + i * 16);

	p[1] = hi;
	p[0] = lo;
	fx_submit(fx, VTD_QI_IEC | VTD_QI_IEC_G | VTD_QI_IEC_IIDX(i), 0);
	assert_true(fx_wait(fx));
}

static int send(struct fx *fx, u64 addr, u32 data)
{
	return dma_write(fx->hw, FX_FN, addr, &data, 4);
}

static u64 remappable(unsigned handle, bool shv)
{
	return MSI_WINDOW_BASE | VTD_MSI_ADDR_FORMAT | VTD_MSI_ADDR_HANDLE(handle) |
	       (shv ? VTD_MSI_ADDR_SHV : 0);
}

static void expect_refused(struct fx *fx, u64 addr, u32 data, u16 reason)
{
	unsigned before = fx->irqs;

	assert_int_equal(send(fx, addr, data), -EFAULT);
	assert_int_equal(fx->irqs, before);
	assert_int_equal(fx->last.class, FAULT_IRQ);
	assert_int_equal(fx->last.reason, reason);
	assert_int_equal(fx->last.iova, addr);
	assert_int_equal(fx->last.irq_data, data);
}

static void compat_decodes_destination_and_vector(void **state)
{
	struct fx fx;

	fx_init(&fx, NULL);
	assert_int_equal(send(&fx, 0xfee05000, 0x31), 0);
	assert_int_equal(fx.last_irq, 0x531);
	fx_exit(&fx);
}

static void compat_blocked_unless_cfi(void **state)
{
	struct vtd_unit_config eim = {.eim = true};
	struct fx fx;

	remap_init(&fx, NULL);
	expect_refused(&fx, 0xfee05000, 0x31, VTD_FR_IR_COMPAT_BLOCKED);
	fx_gcmd(&fx, VTD_GCMD_CFI, true);
	assert_int_equal(send(&fx, 0xfee05000, 0x31), 0);
	assert_int_equal(fx.last_irq, 0x531);
	fx_exit(&fx);

	remap_init(&fx, &eim);
	fx_wr64(&fx, VTD_IRTA, irt | 7 | VTD_IRTA_EIME);
	fx_gcmd(&fx, VTD_GCMD_SIRTP, true);
	fx_gcmd(&fx, VTD_GCMD_CFI, true);
	expect_refused(&fx, 0xfee05000, 0x31, VTD_FR_IR_COMPAT_BLOCKED);
	set_entry(&fx, 1, VTD_IRTE_P | VTD_IRTE_V(0x44) | VTD_IRTE_DST_X2APIC(9), 0);
	assert_int_equal(send(&fx, remappable(1, false), 0), 0);
	assert_int_equal(fx.last_irq, 0x944);
	fx_exit(&fx);
}

static void entry_decides_the_irq(void **state)
{
	struct fx fx;

	remap_init(&fx, NULL);
	set_entry(&fx, 5, VTD_IRTE_P | VTD_IRTE_V(0x52) | DEST(3),
		  VTD_IRTE_SID(FX_SID) | VTD_IRTE_SVT(VTD_SVT_SID));
	assert_int_equal(send(&fx, remappable(5, false), 0), 0);
	assert_int_equal(fx.last_irq, 0x352);
	assert_int_equal(send(&fx, remappable(2, true), 3), 0);
	assert_int_equal(fx.irqs, 2);
	/* Stale until the entry cache is invalidated. */
	*fx_qword(&fx, irt + 5 * 16) = VTD_IRTE_P | VTD_IRTE_V(0x66) | DEST(3);
	assert_int_equal(send(&fx, remappable(5, false), 0), 0);
	assert_int_equal(fx.last_irq, 0x352);
	fx_submit(&fx, VTD_QI_IEC, 0);
	assert_int_equal(send(&fx, remappable(5, false), 0), 0);
	assert_int_equal(fx.last_irq, 0x366);
	fx_exit(&fx);
}

static void refusals_have_the_specified_reasons(void **state)
{
	u64 lo = VTD_IRTE_P | VTD_IRTE_V(0x52) | DEST(3);
	struct fx fx;

	remap_init(&fx, NULL);
	set_entry(&fx, 5, lo, 0);
	expect_refused(&fx, remappable(5, true), 0x10000, VTD_FR_IR_REQUEST_RESERVED);
	expect_refused(&fx, remappable(ENTRIES, false), 0, VTD_FR_IR_INDEX);
	expect_refused(&fx, remappable(0x7fff, true), 0xffff, VTD_FR_IR_INDEX);
	expect_refused(&fx, remappable(6, false), 0, VTD_FR_IR_NOT_PRESENT);
	assert_int_equal(fx_rd64(&fx, VTD_FRCD_BASE + 8) >> 63, 1);
	set_entry(&fx, 5, lo | BIT_ULL(24), 0);
	expect_refused(&fx, remappable(5, false), 0, VTD_FR_IR_ENTRY_RESERVED);
	set_entry(&fx, 5, lo | VTD_IRTE_IM, 0);
	expect_refused(&fx, remappable(5, false), 0, VTD_FR_IR_ENTRY_RESERVED);
	set_entry(&fx, 5, lo | BIT_ULL(32), 0);
	expect_refused(&fx, remappable(5, false), 0, VTD_FR_IR_ENTRY_RESERVED);
	set_entry(&fx, 5, lo, BIT_ULL(20));
	expect_refused(&fx, remappable(5, false), 0, VTD_FR_IR_ENTRY_RESERVED);
	set_entry(&fx, 5, lo, VTD_IRTE_SVT(3));
	expect_refused(&fx, remappable(5, false), 0, VTD_FR_IR_ENTRY_RESERVED);
	fx_wr64(&fx, VTD_IRTA, 0x7000000000ULL | 7);
	fx_gcmd(&fx, VTD_GCMD_SIRTP, true);
	fx_submit(&fx, VTD_QI_IEC, 0);
	expect_refused(&fx, remappable(5, false), 0, VTD_FR_IR_ACCESS);
	fx_exit(&fx);
}

static void source_ids_are_checked(void **state)
{
	static const struct {
		u64 hi;
		u16 sid;
		bool ok;
	} cases[] = {
		{0, 0x999, true},
		{VTD_IRTE_SVT(1) | VTD_IRTE_SID(0x128), 0x128, true},
		{VTD_IRTE_SVT(1) | VTD_IRTE_SID(0x128), 0x129, false},
		{VTD_IRTE_SVT(1) | VTD_IRTE_SQ(1) | VTD_IRTE_SID(0x128), 0x12c, true},
		{VTD_IRTE_SVT(1) | VTD_IRTE_SQ(1) | VTD_IRTE_SID(0x128), 0x12a, false},
		{VTD_IRTE_SVT(1) | VTD_IRTE_SQ(2) | VTD_IRTE_SID(0x128), 0x12e, true},
		{VTD_IRTE_SVT(1) | VTD_IRTE_SQ(2) | VTD_IRTE_SID(0x128), 0x129, false},
		{VTD_IRTE_SVT(1) | VTD_IRTE_SQ(3) | VTD_IRTE_SID(0x128), 0x12f, true},
		{VTD_IRTE_SVT(1) | VTD_IRTE_SQ(3) | VTD_IRTE_SID(0x128), 0x130, false},
		{VTD_IRTE_SVT(2) | VTD_IRTE_SID(0x0204), 0x200, true},
		{VTD_IRTE_SVT(2) | VTD_IRTE_SID(0x0204), 0x4ff, true},
		{VTD_IRTE_SVT(2) | VTD_IRTE_SID(0x0204), 0x500, false},
		{VTD_IRTE_SVT(2) | VTD_IRTE_SID(0x0204), 0x1ff, false},
	};
	struct fx fx;

	remap_init(&fx, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		set_entry(&fx, 5, VTD_IRTE_P | VTD_IRTE_V(0x52), cases[i].hi);
		fx.hw->functions[FX_FN].requester_id = cases[i].sid;
		if (cases[i].ok)
			assert_int_equal(send(&fx, remappable(5, false), 0), 0);
		else
			expect_refused(&fx, remappable(5, false), 0, VTD_FR_IR_SID);
	}
	fx_exit(&fx);
}

static void interrupt_fault_recorded_with_index(void **state)
{
	struct fx fx;

	remap_init(&fx, NULL);
	expect_refused(&fx, remappable(0x21, false), 0, VTD_FR_IR_NOT_PRESENT);
	assert_int_equal(fx_rd64(&fx, VTD_FRCD_BASE), 0x21ULL << 48);
	assert_int_equal(fx_rd64(&fx, VTD_FRCD_BASE + 8),
			 VTD_FRCD_HI_F | (u64)VTD_FR_IR_NOT_PRESENT << 32 | FX_SID);
	fx_wr32(&fx, VTD_FRCD_BASE + 12, 1U << 31);
	/* FPD in the entry keeps it quiet. */
	set_entry(&fx, 0x22, VTD_IRTE_FPD, 0);
	expect_refused(&fx, remappable(0x22, false), 0, VTD_FR_IR_NOT_PRESENT);
	assert_int_equal(fx_rd32(&fx, VTD_FSTS), 0);
	fx_exit(&fx);
}

static void other_accesses_to_the_window_are_refused(void **state)
{
	struct fx fx;
	u64 word = 0x1122334455667788;

	remap_init(&fx, NULL);
	assert_int_equal(dma_write(fx.hw, FX_FN, 0xfee00000, &word, 8), -EFAULT);
	assert_int_equal(fx.last.class, FAULT_UNBACKED);
	assert_int_equal(dma_write(fx.hw, FX_FN, 0xfee00001, &word, 2), -EFAULT);
	assert_int_equal(dma_read(fx.hw, FX_FN, 0xfee00000, &word, 4), -EFAULT);
	assert_int_equal(word, 0x1122334400000000);
	assert_int_equal(fx.irqs, 0);
	fx_exit(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compat_decodes_destination_and_vector),
		cmocka_unit_test(compat_blocked_unless_cfi),
		cmocka_unit_test(entry_decides_the_irq),
		cmocka_unit_test(refusals_have_the_specified_reasons),
		cmocka_unit_test(source_ids_are_checked),
		cmocka_unit_test(interrupt_fault_recorded_with_index),
		cmocka_unit_test(other_accesses_to_the_window_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
