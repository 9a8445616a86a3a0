// SPDX-License-Identifier: MIT
/* Registers: access rules, command handshakes, the invalidation queue, fault recording.
 */
#include <string.h>

#include "tests/unit/vtd/vtd_fixture.h"

#define RW (VTD_SS_R | VTD_SS_W)

static void capabilities_are_the_golden_units(void **state)
{
	struct vtd_unit_config c = {
		.aw_bits = 39, .caching_mode = true, .snoop_control = true};
	struct fx fx;

	fx_init(&fx, NULL);
	assert_int_equal(fx_rd64(&fx, VTD_CAP), 0x00d2008c222f0606);
	assert_int_equal(fx_rd64(&fx, VTD_ECAP), 0xf00f4a);
	assert_int_equal(fx_rd32(&fx, VTD_VER), 0x10);
	fx_exit(&fx);
	fx_init(&fx, &c);
	assert_int_equal(fx_rd64(&fx, VTD_CAP), 0x00d2008c22260286);
	assert_int_equal(fx_rd64(&fx, VTD_ECAP), 0xf00fca);
	fx_exit(&fx);
}

static void read_only_registers_ignore_writes(void **state)
{
	static const u16 ro[] = {VTD_VER,    VTD_CAP, VTD_ECAP, VTD_GSTS, VTD_IQH,
				 VTD_IQERCD, 0x60,    VTD_PMEN, VTD_PQA,  0x500};
	struct fx fx;

	fx_init(&fx, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(ro); i++) {
		u32 before = fx_rd32(&fx, ro[i]);

		fx_wr32(&fx, ro[i], ~0U);
		assert_int_equal(fx_rd32(&fx, ro[i]), before);
	}
	fx_exit(&fx);
}

static void odd_accesses_do_nothing(void **state)
{
	struct fx fx;

	fx_init(&fx, NULL);
	assert_int_equal(unit_mmio_read(fx.hw, 0, VTD_CAP, 2), 0xffff);
	assert_int_equal(unit_mmio_read(fx.hw, 0, VTD_CAP + 4, 8), ~0ULL);
	assert_int_equal(unit_mmio_read(fx.hw, 0, 0xffc, 8), ~0ULL);
	assert_int_equal(unit_mmio_read(fx.hw, 0, 1ULL << 40, 4), 0xffffffff);
	unit_mmio_write(fx.hw, 0, VTD_RTADDR, 0xff, 1);
	unit_mmio_write(fx.hw, 0, VTD_RTADDR + 4, ~0ULL, 8);
	assert_int_equal(fx_rd64(&fx, VTD_RTADDR), 0);
	assert_int_equal(unit_mmio_read(fx.hw, 1, 0, 4), 0xffffffff);
	assert_int_equal(unit_mmio_read(fx.hw, 1000, 0, 8), ~0ULL);
	fx_exit(&fx);
}

static void halves_of_wide_registers_combine(void **state)
{
	struct fx fx;

	fx_init(&fx, NULL);
	fx_wr32(&fx, VTD_RTADDR + 4, 0x12);
	fx_wr32(&fx, VTD_RTADDR, 0x3456789a);
	assert_int_equal(fx_rd64(&fx, VTD_RTADDR), 0x1234567800);
	assert_int_equal(fx_rd32(&fx, VTD_RTADDR + 4), 0x12);
	fx_exit(&fx);
}

static void gcmd_bits_are_reported(void **state)
{
	struct vtd_unit_config none = {.no_intremap = true,
				       .no_queued_invalidation = true};
	struct fx fx;

	fx_init(&fx, NULL);
	fx_wr64(&fx, VTD_IQA, fx.queue);
	fx_gcmd(&fx, VTD_GCMD_SRTP, true);
	fx_gcmd(&fx, VTD_GCMD_QIE, true);
	fx_gcmd(&fx, VTD_GCMD_SIRTP, true);
	fx_gcmd(&fx, VTD_GCMD_IRE, true);
	fx_gcmd(&fx, VTD_GCMD_CFI, true);
	fx_gcmd(&fx, VTD_GCMD_TE, true);
	fx_gcmd(&fx, VTD_GCMD_CFI, false);
	fx_gcmd(&fx, VTD_GCMD_TE, false);
	assert_int_equal(fx_rd32(&fx, VTD_GCMD), 0);
	fx_exit(&fx);

	fx_init(&fx, &none);
	fx_wr32(&fx, VTD_GCMD,
		VTD_GCMD_QIE | VTD_GCMD_IRE | VTD_GCMD_SIRTP | VTD_GCMD_SFL);
	assert_int_equal(fx_rd32(&fx, VTD_GSTS), 0);
	fx_exit(&fx);
}

static void register_invalidation_completes(void **state)
{
	u64 did = 7ULL << VTD_IOTLB_DID_SHIFT, v, table;
	struct fx fx;
	u32 word = 0;

	fx_init(&fx, NULL);
	for (u64 g = 0; g < 4; g++) {
		fx_wr64(&fx, VTD_CCMD, VTD_CCMD_ICC | g << VTD_CCMD_CIRG_SHIFT);
		v = fx_rd64(&fx, VTD_CCMD);
		assert_false(v & VTD_CCMD_ICC);
		assert_int_equal(v >> VTD_CCMD_CAIG_SHIFT & 3, g);
		fx_wr64(&fx, VTD_IOTLB_BASE, 0x1000 | 18);
		fx_wr64(&fx, VTD_IOTLB_BASE + 8,
			VTD_IOTLB_IVT | g << VTD_IOTLB_IIRG_SHIFT | did);
		v = fx_rd64(&fx, VTD_IOTLB_BASE + 8);
		assert_false(v & VTD_IOTLB_IVT);
		assert_int_equal(v >> VTD_IOTLB_IAIG_SHIFT & 3, g);
	}
	/* AM beyond CAP.MAMV is not performed. */
	fx_wr64(&fx, VTD_IOTLB_BASE, 19);
	fx_wr64(&fx, VTD_IOTLB_BASE + 8, VTD_IOTLB_IVT | 3ULL << VTD_IOTLB_IIRG_SHIFT);
	assert_int_equal(fx_rd64(&fx, VTD_IOTLB_BASE + 8) >> VTD_IOTLB_IAIG_SHIFT & 3, 0);

	/* And they do drop what is cached. */
	table = fx_page(&fx);
	fx_map(&fx, table, 4, 0x1000, 0x7000, 12, RW);
	*fx_qword(&fx, fx.root + (FX_SID >> 8) * 16) = fx.context | VTD_ROOT_P;
	fx_context(&fx, FX_SID, table | VTD_CTX_P, VTD_CTX_AW(2) | VTD_CTX_DID(7));
	fx_wr64(&fx, VTD_RTADDR, fx.root);
	fx_gcmd(&fx, VTD_GCMD_SRTP, true);
	fx_gcmd(&fx, VTD_GCMD_TE, true);
	assert_int_equal(dma_read(fx.hw, FX_FN, 0x1000, &word, 4), 0);
	*fx_pte(&fx, table, 4, 0x1000, 1) = 0;
	assert_int_equal(dma_read(fx.hw, FX_FN, 0x1000, &word, 4), 0);
	fx_wr64(&fx, VTD_IOTLB_BASE + 8,
		VTD_IOTLB_IVT | 2ULL << VTD_IOTLB_IIRG_SHIFT | did);
	assert_int_equal(dma_read(fx.hw, FX_FN, 0x1000, &word, 4), -EFAULT);
	/* With the queue on, registers must not be used, and do nothing. */
	fx_wr64(&fx, VTD_IQA, fx.queue);
	fx_gcmd(&fx, VTD_GCMD_QIE, true);
	fx_wr64(&fx, VTD_CCMD, VTD_CCMD_ICC | 1ULL << VTD_CCMD_CIRG_SHIFT);
	v = fx_rd64(&fx, VTD_CCMD);
	assert_int_equal(v >> VTD_CCMD_CAIG_SHIFT & 3, 0);
	assert_false(v & VTD_CCMD_ICC);
	fx_exit(&fx);
}

static void queue_waits_write_status_and_raise_event(void **state)
{
	struct fx fx;

	fx_init(&fx, NULL);
	fx_enable(&fx, 0, 0);
	for (unsigned i = 0; i < 600; i++)
		assert_true(fx_wait(&fx));
	assert_int_equal(fx_rd64(&fx, VTD_IQH), fx.tail);
	/* IF: masked, it pends; once unmasked it is raised; IWC holds back further ones.
	 */
	fx_submit(&fx, VTD_QI_WAIT | VTD_QI_WAIT_IF, 0);
	assert_int_equal(fx_rd32(&fx, VTD_ICS), VTD_ICS_IWC);
	assert_int_equal(fx_rd32(&fx, VTD_IECTL), VTD_ECTL_IM | VTD_ECTL_IP);
	assert_int_equal(fx.events, 0);
	fx_wr32(&fx, VTD_IECTL, 0);
	assert_int_equal(fx.events, 1);
	fx_submit(&fx, VTD_QI_WAIT | VTD_QI_WAIT_IF, 0);
	assert_int_equal(fx.events, 1);
	fx_wr32(&fx, VTD_ICS, VTD_ICS_IWC);
	assert_int_equal(fx_rd32(&fx, VTD_ICS), 0);
	fx_submit(&fx, VTD_QI_WAIT | VTD_QI_WAIT_IF, 0);
	assert_int_equal(fx.events, 2);
	fx_exit(&fx);
}

static void queue_error(struct fx *fx, u64 lo, u64 hi, unsigned iqei)
{
	u32 at = fx->tail;

	fx_submit(fx, lo, hi);
	assert_int_equal(fx_rd32(fx, VTD_FSTS) & VTD_FSTS_IQE, VTD_FSTS_IQE);
	assert_int_equal(fx_rd64(fx, VTD_IQERCD) & VTD_IQERCD_IQEI_MASK, iqei);
	assert_int_equal(fx_rd64(fx, VTD_IQH), at);
	/* Nothing goes on until software clears the error. */
	assert_false(fx_wait(fx));
	/* As Linux does: the bad descriptor becomes the wait, the error is cleared. */
	memcpy(fx_qword(fx, fx->queue + at), fx_qword(fx, fx->queue + (at + 16) % 4096),
	       16);
	fx_wr32(fx, VTD_FSTS, VTD_FSTS_IQE);
	assert_int_equal(fx_rd32(fx, VTD_FSTS) & VTD_FSTS_IQE, 0);
	assert_int_equal(fx_rd64(fx, VTD_IQH), fx->tail);
	assert_int_equal(*fx_qword(fx, fx->status), 0x5a);
}

static void queue_errors_stop_at_the_descriptor(void **state)
{
	struct fx fx;

	fx_init(&fx, NULL);
	fx_enable(&fx, 0, 0);
	queue_error(&fx, 0, 0, VTD_IQEI_TYPE);
	queue_error(&fx, VTD_QI_PIOTLB, 0, VTD_IQEI_TYPE);
	queue_error(&fx, 0xf | 7 << 9, 0, VTD_IQEI_TYPE);
	queue_error(&fx, VTD_QI_CONTEXT, 0, VTD_IQEI_RESERVED);
	queue_error(&fx, VTD_QI_CONTEXT | VTD_QI_GRAN(1), 1, VTD_IQEI_RESERVED);
	queue_error(&fx, VTD_QI_CONTEXT | VTD_QI_GRAN(1) | BIT_ULL(63), 0,
		    VTD_IQEI_RESERVED);
	queue_error(&fx, VTD_QI_IOTLB | VTD_QI_GRAN(0), 0, VTD_IQEI_RESERVED);
	queue_error(&fx, VTD_QI_IOTLB | VTD_QI_GRAN(3), 19, VTD_IQEI_RESERVED);
	queue_error(&fx, VTD_QI_IOTLB | VTD_QI_GRAN(3), 0x80, VTD_IQEI_RESERVED);
	queue_error(&fx, VTD_QI_IEC | VTD_QI_IEC_IM(16), 0, VTD_IQEI_RESERVED);
	queue_error(&fx, VTD_QI_WAIT | VTD_QI_WAIT_SW, 3, VTD_IQEI_RESERVED);
	fx_submit(&fx, VTD_QI_DEV_IOTLB, 0);
	assert_true(fx_wait(&fx));
	fx_exit(&fx);
}

static void queue_that_is_not_there_is_an_error(void **state)
{
	static const struct {
		u64 iqa, iqt;
		unsigned iqei;
	} cases[] = {
		{0x7000000000ULL, 16, VTD_IQEI_FETCH},
		{0x10000 | VTD_IQA_DW, 32, VTD_IQEI_WIDTH},
		{0x10000, 4096, VTD_IQEI_TAIL},
	};
	struct fx fx;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		fx_init(&fx, NULL);
		fx_wr32(&fx, VTD_FECTL, 0);
		fx_wr64(&fx, VTD_IQA, cases[i].iqa);
		fx_gcmd(&fx, VTD_GCMD_QIE, true);
		if (fx_rd32(&fx, VTD_FSTS) & VTD_FSTS_IQE)
			fx_wr32(&fx, VTD_FSTS, VTD_FSTS_IQE);
		fx_wr64(&fx, VTD_IQT, cases[i].iqt);
		assert_int_equal(fx_rd32(&fx, VTD_FSTS), VTD_FSTS_IQE);
		assert_int_equal(fx_rd64(&fx, VTD_IQERCD), cases[i].iqei);
		assert_true(fx.events >= 1);
		fx_exit(&fx);
	}
}

static void faults_are_recorded_in_turn_then_overflow(void **state)
{
	struct vtd_unit_config c = {.nr_fault_regs = 3};
	u64 table, hi;
	struct fx fx;
	u32 word;

	fx_init(&fx, &c);
	table = fx_page(&fx);
	fx_enable(&fx, table | VTD_CTX_P, VTD_CTX_AW(2));
	assert_int_equal(VTD_CAP_GET_NFR(fx_rd64(&fx, VTD_CAP)), 3);
	assert_int_equal(VTD_CAP_GET_FRO(fx_rd64(&fx, VTD_CAP)), VTD_FRCD_BASE);
	/* Masked: the event pends. */
	assert_int_equal(dma_read(fx.hw, FX_FN, 0x5123, &word, 4), -EFAULT);
	assert_int_equal(fx.events, 0);
	assert_int_equal(fx_rd32(&fx, VTD_FECTL), VTD_ECTL_IM | VTD_ECTL_IP);
	assert_int_equal(fx_rd32(&fx, VTD_FSTS), VTD_FSTS_PPF);
	hi = fx_rd64(&fx, VTD_FRCD_BASE + 8);
	assert_int_equal(fx_rd64(&fx, VTD_FRCD_BASE), 0x5000);
	assert_int_equal(hi, VTD_FRCD_HI_F | VTD_FRCD_HI_T1 | 6ULL << 32 | FX_SID);
	fx_wr32(&fx, VTD_FECTL, 0);
	assert_int_equal(fx.events, 1);
	assert_int_equal(fx_rd32(&fx, VTD_FECTL), 0);
	/* The same again is not recorded again. */
	assert_int_equal(dma_read(fx.hw, FX_FN, 0x5000, &word, 4), -EFAULT);
	assert_int_equal(fx_rd64(&fx, VTD_FRCD_BASE + 16 + 8), 0);
	assert_int_equal(dma_write(fx.hw, FX_FN, 0x6000, &word, 4), -EFAULT);
	assert_int_equal(fx_rd64(&fx, VTD_FRCD_BASE + 16 + 8),
			 VTD_FRCD_HI_F | 5ULL << 32 | FX_SID);
	assert_int_equal(dma_write(fx.hw, FX_FN, 0x7000, &word, 4), -EFAULT);
	assert_int_equal(fx_rd32(&fx, VTD_FSTS), VTD_FSTS_PPF);
	assert_int_equal(dma_write(fx.hw, FX_FN, 0x8000, &word, 4), -EFAULT);
	assert_int_equal(fx_rd32(&fx, VTD_FSTS), VTD_FSTS_PPF | VTD_FSTS_PFO);
	assert_int_equal(fx.events, 1);
	/* F is cleared by writing one to it, in either width. */
	fx_wr64(&fx, VTD_FRCD_BASE + 8, 0);
	fx_wr32(&fx, VTD_FRCD_BASE + 8, ~0U);
	assert_int_equal(fx_rd64(&fx, VTD_FRCD_BASE + 8), hi);
	fx_wr32(&fx, VTD_FRCD_BASE + 12, VTD_FRCD_HI_F >> 32);
	fx_wr64(&fx, VTD_FRCD_BASE + 16 + 8, VTD_FRCD_HI_F);
	assert_int_equal(fx_rd32(&fx, VTD_FSTS), VTD_FSTS_PPF | VTD_FSTS_PFO);
	fx_wr32(&fx, VTD_FRCD_BASE + 32 + 12, VTD_FRCD_HI_F >> 32);
	assert_int_equal(fx_rd32(&fx, VTD_FSTS), VTD_FSTS_PFO);
	fx_wr32(&fx, VTD_FSTS, VTD_FSTS_PFO);
	assert_int_equal(fx_rd32(&fx, VTD_FSTS), 0);
	assert_int_equal(dma_write(fx.hw, FX_FN, 0x9000, &word, 4), -EFAULT);
	assert_int_equal(fx.events, 2);
	fx_exit(&fx);
}

static void fault_processing_disabled_records_nothing(void **state)
{
	struct fx fx;
	u64 table;
	u32 word;

	fx_init(&fx, NULL);
	table = fx_page(&fx);
	fx_enable(&fx, table | VTD_CTX_P | VTD_CTX_FPD, VTD_CTX_AW(2));
	assert_int_equal(dma_read(fx.hw, FX_FN, 0x5000, &word, 4), -EFAULT);
	assert_int_equal(fx_rd32(&fx, VTD_FSTS), 0);
	/* FPD counts in an entry that is not present. */
	fx_context(&fx, FX_SID, VTD_CTX_FPD, 0);
	fx_flush_all(&fx);
	assert_int_equal(dma_read(fx.hw, FX_FN, 0x5000, &word, 4), -EFAULT);
	assert_int_equal(fx.last.reason, VTD_FR_CONTEXT_NOT_PRESENT);
	assert_int_equal(fx_rd32(&fx, VTD_FSTS), 0);
	*fx_qword(&fx, fx.root + (FX_SID >> 8) * 16) = 0;
	fx_flush_all(&fx);
	assert_int_equal(dma_read(fx.hw, FX_FN, 0x5000, &word, 4), -EFAULT);
	assert_int_equal(fx_rd32(&fx, VTD_FSTS) & VTD_FSTS_PPF, VTD_FSTS_PPF);
	fx_exit(&fx);
}

static void setup_refuses_what_does_not_exist(void **state)
{
	struct vtd_unit_config c = {0};
	struct fx fx;

	fx_init(&fx, NULL);
	assert_int_equal(vtd_unit_setup(fx.hw, 0, &c), -EINVAL);
	assert_int_equal(vtd_unit_setup(fx.hw, HW_MAX_UNITS, &c), -EINVAL);
	c.aw_bits = 40;
	assert_int_equal(vtd_unit_setup(fx.hw, 1, &c), -EINVAL);
	c = (struct vtd_unit_config){.nr_fault_regs = VTD_MAX_FAULT_REGS + 1};
	assert_int_equal(vtd_unit_setup(fx.hw, 1, &c), -EINVAL);
	c = (struct vtd_unit_config){.regs = 0x123};
	assert_int_equal(vtd_unit_setup(fx.hw, 1, &c), -EINVAL);
	fx_exit(&fx);
}

static void every_reason_has_words(void **state)
{
	for (u16 r = 1; r <= 0xe; r++)
		assert_non_null(vtd_unit_ops.reason(r));
	for (u16 r = 0x20; r <= 0x26; r++)
		assert_non_null(vtd_unit_ops.reason(r));
	assert_null(vtd_unit_ops.reason(0x7f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capabilities_are_the_golden_units),
		cmocka_unit_test(read_only_registers_ignore_writes),
		cmocka_unit_test(odd_accesses_do_nothing),
		cmocka_unit_test(halves_of_wide_registers_combine),
		cmocka_unit_test(gcmd_bits_are_reported),
		cmocka_unit_test(register_invalidation_completes),
		cmocka_unit_test(queue_waits_write_status_and_raise_event),
		cmocka_unit_test(queue_errors_stop_at_the_descriptor),
		cmocka_unit_test(queue_that_is_not_there_is_an_error),
		cmocka_unit_test(faults_are_recorded_in_turn_then_overflow),
		cmocka_unit_test(fault_processing_disabled_records_nothing),
		cmocka_unit_test(setup_refuses_what_does_not_exist),
		cmocka_unit_test(every_reason_has_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
