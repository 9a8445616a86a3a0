// SPDX-License-Identifier: MIT
/* One I/OAT channel: rings, errors, the states a driver steps through. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "endpoints/ioat/regs.h"
#include "endpoints/models.h"
#include "tests/unit/endpoints/hw_double.h"

#define RING	 0x1000
#define STATUS	 0x3000
#define SRC	 0x10000
#define DST	 0x180000
#define NR_DESC	 32
#define NOWHERE	 0xdead0000ULL
#define DESC(i)	 (RING + (i) % NR_DESC * IOAT_DESC_SIZE)
#define RUN_ERRS (CHANCTRL_ERR_COMPLETION_EN | CHANCTRL_ANY_ERR_ABORT_EN)

static struct ioat_descriptor *desc(struct hw_double *d, unsigned i)
{
	return (struct ioat_descriptor *)(d->mem + DESC(i));
}

static u64 status(struct hw_double *d)
{
	u64 val;

	memcpy(&val, d->mem + STATUS, 8);
	return val;
}

static u64 chansts(struct hw_double *d)
{
	return double_read(d, IOAT_CHANSTS, 8);
}

static void arm(struct hw_double *d, u64 chain)
{
	double_write(d, IOAT_CHAINADDR, chain, 8);
	double_write(d, IOAT_CHANCMP, STATUS, 8);
	double_write(d, IOAT_CHANCTRL, RUN_ERRS, 2);
}

static void fill_ring(struct hw_double *d)
{
	unsigned i;

	for (i = 0; i < NR_DESC; i++)
		desc(d, i)->next = DESC(i + 1);
}

static void put(struct hw_double *d, unsigned i, u32 op, u64 dst, u64 src, u32 size)
{
	desc(d, i)->size = size;
	desc(d, i)->control = op << 24 | DESC_COMPLETION_UPDATE;
	desc(d, i)->src = src;
	desc(d, i)->dst = dst;
}

static int setup(void **state)
{
	static struct hw_double d;
	unsigned i;

	double_init(&d, &ioat_model, NULL);
	for (i = 0; i < 0x100000; i++)
		d.mem[SRC + i] = i * 31 >> 3;
	fill_ring(&d);
	arm(&d, RING);
	*state = &d;
	return 0;
}

static int teardown(void **state)
{
	double_free(*state);
	return 0;
}

static void ioat_power_on_is_halted_with_its_version(void **state)
{
	static const struct {
		u64 props[4];
		u8 cbver, xfercap;
	} kinds[] = {
		{{0x2021, 0, 20}, 0x33, 20},
		{{0x0b00, 0, 20}, 0x34, 20},
		{{0x2021, 0x34, 12}, 0x34, 12},
		{{0x2021, 0, 3}, 0x33, 12},
	};
	struct hw_double d;
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		double_init(&d, &ioat_model, kinds[i].props);
		assert_int_equal(double_read(&d, IOAT_CHANCNT, 1), 1);
		assert_int_equal(double_read(&d, IOAT_CBVER, 1), kinds[i].cbver);
		assert_int_equal(double_read(&d, IOAT_XFERCAP, 1), kinds[i].xfercap);
		assert_int_equal(double_read(&d, IOAT_DMACAPABILITY, 4), DMACAP_BFILL);
		assert_int_equal(chansts(&d), IOAT_HALTED);
		assert_int_equal(double_read(&d, IOAT_CHANERR, 4), 0);
		double_free(&d);
	}
}

static void ioat_any_group_of_bytes_reads_the_same_registers(void **state)
{
	struct hw_double *d = *state;
	unsigned off, size, i;

	double_write(d, IOAT_CHANERRMASK, 0x12345, 4);
	for (size = 1; size <= 8; size *= 2) {
		for (off = IOAT_CHANCTRL; off + size <= IOAT_REGS_END; off++) {
			u64 val = double_read(d, off, size);

			for (i = 0; i < size; i++)
				assert_int_equal((u8)(val >> 8 * i),
						 double_read(d, off + i, 1));
		}
	}
	assert_int_equal(double_read(d, IOAT_REGS_END - 4, 8), 0x12345);
	assert_int_equal(double_read(d, 0x1000, 8), 0);
}

static void ioat_chainaddr_in_halves_arms(void **state)
{
	struct hw_double *d = *state;

	double_write(d, IOAT_CHANCMD, CHANCMD_RESET, 1);
	assert_int_equal(chansts(d), IOAT_HALTED);
	double_write(d, IOAT_CHANCMD, CHANCMD_SUSPEND, 1);
	assert_int_equal(chansts(d), IOAT_HALTED);
	double_write(d, IOAT_CHAINADDR, 0x1000, 4);
	double_write(d, IOAT_CHAINADDR + 4, 0x7f, 4);
	assert_true(double_read(d, IOAT_CHAINADDR, 8) == 0x7f00001000ULL);
	assert_int_equal(chansts(d), IOAT_ARMED);
}

static void ioat_copy_completes_in_order_and_writes_status(void **state)
{
	struct hw_double *d = *state;

	put(d, 0, DESC_OP_COPY, DST, SRC, 2048);
	put(d, 1, DESC_OP_COPY, DST + 2048, SRC + 5000, 100);
	assert_int_equal(chansts(d), IOAT_ARMED);
	double_write(d, IOAT_DMACOUNT, 2, 2);
	assert_memory_equal(d->mem + DST, d->mem + SRC, 2048);
	assert_memory_equal(d->mem + DST + 2048, d->mem + SRC + 5000, 100);
	assert_int_equal(d->mem[DST + 2148], 0);
	assert_int_equal(chansts(d), DESC(1) | IOAT_IDLE);
	assert_int_equal(status(d), DESC(1) | IOAT_IDLE);
	assert_int_equal(double_read(d, IOAT_CDAR, 8), DESC(1));
}

static void ioat_completion_only_where_asked(void **state)
{
	struct hw_double *d = *state;

	put(d, 0, DESC_OP_COPY, DST, SRC, 16);
	put(d, 1, DESC_OP_COPY, DST, SRC, 16);
	desc(d, 1)->control &= ~DESC_COMPLETION_UPDATE;
	double_write(d, IOAT_DMACOUNT, 2, 2);
	assert_int_equal(status(d), DESC(0) | IOAT_ACTIVE);
	assert_int_equal(chansts(d), DESC(1) | IOAT_IDLE);
}

static void ioat_count_wraps_with_the_ring(void **state)
{
	struct hw_double *d = *state;
	unsigned i;

	for (i = 0; i < 70000; i++) {
		put(d, i, DESC_OP_COPY, DST + i % 64, SRC + i % 4096, 1);
		double_write(d, IOAT_DMACOUNT, (i + 1) & 0xffff, 2);
		assert_int_equal(d->mem[DST + i % 64], d->mem[SRC + i % 4096]);
		assert_int_equal(status(d), DESC(i) | IOAT_IDLE);
	}
}

static void ioat_fill_of_any_length_repeats_the_pattern(void **state)
{
	static const unsigned lengths[] = {8, 64, 1024, 50, 100, 89, 1};
	const u64 pattern = 0xfedcba9876543210;
	struct hw_double *d = *state;
	unsigned i, j;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		memset(d->mem + DST, 0, 2048);
		put(d, i, DESC_OP_FILL, DST + 3, pattern, lengths[i]);
		double_write(d, IOAT_DMACOUNT, i + 1, 2);
		for (j = 0; j < lengths[i]; j++)
			assert_int_equal(d->mem[DST + 3 + j], (u8)(pattern >> j % 8 * 8));
		assert_int_equal(d->mem[DST + 3 + j], 0);
	}
}

static void ioat_fill_in_parts_continues_the_pattern(void **state)
{
	const u64 pattern = 0xfedcba9876543210;
	struct hw_double *d = *state;
	unsigned j;

	put(d, 0, DESC_OP_FILL, DST, pattern, 1000);
	double_store(d, IOAT_DMACOUNT, 1, 2);
	while (double_work(d, 101))
		;
	for (j = 0; j < 1000; j++)
		assert_int_equal(d->mem[DST + j], (u8)(pattern >> j % 8 * 8));
}

static void ioat_null_moves_nothing_and_completes(void **state)
{
	struct hw_double *d = *state;

	put(d, 0, DESC_OP_COPY, NOWHERE, NOWHERE, 1);
	desc(d, 0)->control |= DESC_NULL;
	double_write(d, IOAT_DMACOUNT, 1, 2);
	assert_int_equal(status(d), DESC(0) | IOAT_IDLE);
}

static void ioat_large_copy_is_cut_into_budgets(void **state)
{
	struct hw_double *d = *state;
	unsigned turns = 1;

	put(d, 0, DESC_OP_COPY, DST, SRC, SZ_1M);
	double_store(d, IOAT_DMACOUNT, 1, 2);
	while (double_work(d, 64 * 1024)) {
		assert_int_equal(chansts(d) & CHANSTS_STATE_MASK, IOAT_ACTIVE);
		turns++;
	}
	assert_true(turns >= 16);
	assert_true(d->largest <= 64 * 1024);
	assert_memory_equal(d->mem + DST, d->mem + SRC, SZ_1M);
	assert_int_equal(status(d), DESC(0) | IOAT_IDLE);
}

static void ioat_bad_address_halts_before_it(void **state)
{
	struct hw_double *d = *state;
	static const struct {
		u64 dst, src;
		u32 error;
	} cases[] = {
		{DST, NOWHERE, CHANERR_SRC_ADDR},
		{NOWHERE, SRC, CHANERR_DEST_ADDR},
	};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		double_write(d, IOAT_CHANERR, double_read(d, IOAT_CHANERR, 4), 4);
		double_write(d, IOAT_CHANCMD, CHANCMD_RESET, 1);
		arm(d, RING);
		put(d, 0, DESC_OP_COPY, DST, SRC, 64);
		put(d, 1, DESC_OP_COPY, cases[i].dst, cases[i].src, 64);
		put(d, 2, DESC_OP_COPY, DST + 0x1000, SRC, 64);
		memset(d->mem + DST, 0, 0x2000);
		double_write(d, IOAT_DMACOUNT, 3, 2);
		assert_int_equal(double_read(d, IOAT_CHANERR, 4), cases[i].error);
		assert_int_equal(chansts(d), DESC(0) | IOAT_HALTED);
		assert_int_equal(status(d), DESC(0) | IOAT_HALTED);
		assert_int_equal(d->mem[DST + 0x1001], 0);
		/* Halted is halted, whatever the doorbell says. */
		double_write(d, IOAT_DMACOUNT, 5, 2);
		assert_int_equal(chansts(d), DESC(0) | IOAT_HALTED);
	}
}

static void ioat_first_failure_reports_address_zero(void **state)
{
	struct hw_double *d = *state;

	put(d, 0, DESC_OP_COPY, DST, NOWHERE, 64);
	double_write(d, IOAT_DMACOUNT, 1, 2);
	assert_int_equal(status(d), IOAT_HALTED);
}

static void ioat_error_without_completion_enable_writes_nothing(void **state)
{
	struct hw_double *d = *state;

	double_write(d, IOAT_CHANCTRL, CHANCTRL_ANY_ERR_ABORT_EN, 2);
	put(d, 0, DESC_OP_COPY, DST, NOWHERE, 64);
	memset(d->mem + STATUS, 0xaa, 8);
	double_write(d, IOAT_DMACOUNT, 1, 2);
	assert_int_equal(d->mem[STATUS], 0xaa);
	assert_int_equal(chansts(d), IOAT_HALTED);
}

/* The sequence of DPDK's driver: clear, reset, new chain address, then ARMED exactly. */
static void ioat_recovers_after_an_error(void **state)
{
	struct hw_double *d = *state;

	put(d, 0, DESC_OP_COPY, DST, SRC, 64);
	put(d, 1, DESC_OP_COPY, DST, NOWHERE, 64);
	put(d, 2, DESC_OP_COPY, DST + 128, SRC + 128, 64);
	double_write(d, IOAT_DMACOUNT, 3, 2);
	assert_int_equal(status(d), DESC(0) | IOAT_HALTED);

	/* An error that still stands keeps the channel halted. */
	double_write(d, IOAT_CHAINADDR, DESC(2), 8);
	assert_int_equal(chansts(d), DESC(0) | IOAT_HALTED);

	double_write(d, IOAT_CHANERR, ~CHANERR_SRC_ADDR, 4);
	assert_int_equal(double_read(d, IOAT_CHANERR, 4), CHANERR_SRC_ADDR);
	double_write(d, IOAT_CHANERR, CHANERR_SRC_ADDR, 1);
	assert_int_equal(double_read(d, IOAT_CHANERR, 4), 0);
	double_write(d, IOAT_CHANCMD, CHANCMD_RESET, 1);
	assert_int_equal(double_read(d, IOAT_CHANCMD, 1), 0);
	arm(d, DESC(2));
	assert_int_equal(chansts(d), IOAT_ARMED);
	double_write(d, IOAT_DMACOUNT, 0, 2);
	assert_int_equal(chansts(d), IOAT_ARMED);
	double_write(d, IOAT_DMACOUNT, 1, 2);
	assert_memory_equal(d->mem + DST + 128, d->mem + SRC + 128, 64);
	assert_int_equal(status(d), DESC(2) | IOAT_IDLE);
}

static void ioat_bad_descriptor_names_its_defect(void **state)
{
	struct hw_double *d = *state;
	static const struct {
		u32 op, size;
		u64 next;
		u32 error;
	} cases[] = {
		{0x87, 64, DESC(1), CHANERR_DESC_CONTROL},
		{DESC_OP_COPY, 0, DESC(1), CHANERR_DESC_LENGTH},
		{DESC_OP_COPY, SZ_1M + 1, DESC(1), CHANERR_DESC_LENGTH},
		{DESC_OP_COPY, 64, DESC(1) + 8, CHANERR_DESC},
		{DESC_OP_COPY, 64, NOWHERE, CHANERR_NEXT_DESC_ADDR | CHANERR_READ_DATA},
	};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		double_write(d, IOAT_CHANERR, ~0U, 4);
		double_write(d, IOAT_CHANCMD, CHANCMD_RESET, 1);
		arm(d, RING);
		put(d, 0, cases[i].op, DST, SRC, cases[i].size);
		desc(d, 0)->next = cases[i].next;
		put(d, 1, DESC_OP_COPY, DST, SRC, 64);
		double_write(d, IOAT_DMACOUNT, 2, 2);
		assert_int_equal(double_read(d, IOAT_CHANERR, 4), cases[i].error);
		assert_int_equal(chansts(d) & CHANSTS_STATE_MASK, IOAT_HALTED);
	}
}

static void ioat_bad_chain_address_names_its_defect(void **state)
{
	struct hw_double *d = *state;

	arm(d, RING + 32);
	double_write(d, IOAT_DMACOUNT, 1, 2);
	assert_int_equal(double_read(d, IOAT_CHANERR, 4), CHANERR_CHAINADDR_VALUE);
	double_write(d, IOAT_CHANERR, ~0U, 4);
	arm(d, NOWHERE);
	double_write(d, IOAT_DMACOUNT, 1, 2);
	assert_int_equal(double_read(d, IOAT_CHANERR, 4),
			 CHANERR_CHAINADDR_VALUE | CHANERR_READ_DATA);
}

static void ioat_bad_completion_address_halts(void **state)
{
	struct hw_double *d = *state;

	double_write(d, IOAT_CHANCMP, NOWHERE, 8);
	put(d, 0, DESC_OP_COPY, DST, SRC, 64);
	put(d, 1, DESC_OP_COPY, DST, SRC, 64);
	double_write(d, IOAT_DMACOUNT, 2, 2);
	assert_int_equal(double_read(d, IOAT_CHANERR, 4), CHANERR_COMPLETION_ADDR);
	assert_int_equal(chansts(d), IOAT_HALTED);
}

static void ioat_without_bus_mastering_moves_nothing(void **state)
{
	struct hw_double *d = *state;

	d->bus_master = false;
	put(d, 0, DESC_OP_COPY, DST, SRC, 64);
	double_write(d, IOAT_DMACOUNT, 1, 2);
	assert_int_equal(chansts(d) & CHANSTS_STATE_MASK, IOAT_HALTED);
	assert_int_equal(d->mem[DST + 1], 0);
}

static void ioat_suspend_keeps_the_rest_for_resume(void **state)
{
	struct hw_double *d = *state;

	put(d, 0, DESC_OP_COPY, DST, SRC, 0x10000);
	double_store(d, IOAT_DMACOUNT, 1, 2);
	assert_true(double_work(d, 0));
	assert_true(double_work(d, 0x1000));
	double_store(d, IOAT_CHANCMD, CHANCMD_SUSPEND, 1);
	assert_int_equal(chansts(d), IOAT_SUSPENDED);
	assert_false(double_work(d, 0x100000));
	assert_int_equal(d->mem[DST + 0x8000 + 1], 0);
	double_write(d, IOAT_CHANCMD, CHANCMD_RESUME, 1);
	assert_memory_equal(d->mem + DST, d->mem + SRC, 0x10000);
	assert_int_equal(status(d), DESC(0) | IOAT_IDLE);
}

static void ioat_suspended_restarts_at_a_new_chain_address(void **state)
{
	struct hw_double *d = *state;

	put(d, 0, DESC_OP_COPY, DST, SRC, 64);
	double_write(d, IOAT_DMACOUNT, 1, 2);
	double_write(d, IOAT_CHANCMD, CHANCMD_SUSPEND, 1);
	assert_int_equal(chansts(d) & CHANSTS_STATE_MASK, IOAT_SUSPENDED);
	arm(d, DESC(7));
	assert_int_equal(chansts(d), IOAT_ARMED);
	put(d, 7, DESC_OP_COPY, DST + 64, SRC + 64, 64);
	double_write(d, IOAT_DMACOUNT, 1, 2);
	assert_memory_equal(d->mem + DST, d->mem + SRC, 128);
	assert_int_equal(status(d), DESC(7) | IOAT_IDLE);
}

static void ioat_reset_in_the_middle_forgets_the_rest(void **state)
{
	struct hw_double *d = *state;

	put(d, 0, DESC_OP_COPY, DST, SRC, 0x10000);
	double_store(d, IOAT_DMACOUNT, 1, 2);
	assert_true(double_work(d, 0x1000));
	double_store(d, IOAT_CHANCMD, CHANCMD_RESET, 1);
	assert_int_equal(chansts(d), IOAT_HALTED);
	assert_false(double_work(d, 0x100000));
	assert_int_equal(d->mem[DST + 0x8000 + 1], 0);
	/* CHANCMP and CHANCTRL survive: Linux does not write them again. */
	assert_int_equal(double_read(d, IOAT_CHANCMP, 8), STATUS);
	assert_int_equal(double_read(d, IOAT_CHANCTRL, 2), RUN_ERRS);
	d->model->reset(&d->hw, 0);
	assert_int_equal(double_read(d, IOAT_CHANCMP, 8), 0);
	assert_int_equal(double_read(d, IOAT_CHANCTRL, 2), 0);
}

static void ioat_chainaddr_is_ignored_while_active(void **state)
{
	struct hw_double *d = *state;

	put(d, 0, DESC_OP_COPY, DST, SRC, 0x10000);
	double_store(d, IOAT_DMACOUNT, 1, 2);
	assert_true(double_work(d, 0x1000));
	double_store(d, IOAT_CHAINADDR, DESC(5), 8);
	assert_int_equal(double_read(d, IOAT_CHAINADDR, 8), RING);
	double_work(d, 0x100000);
	assert_int_equal(status(d), DESC(0) | IOAT_IDLE);
}

static void ioat_unknown_command_sets_an_error_and_changes_nothing(void **state)
{
	struct hw_double *d = *state;

	double_write(d, IOAT_CHANCMD, 0x81, 1);
	assert_int_equal(double_read(d, IOAT_CHANERR, 4), CHANERR_CHANCMD);
	assert_int_equal(chansts(d), IOAT_ARMED);
}

static void ioat_msix_interrupts_once_until_rearmed(void **state)
{
	struct hw_double *d = *state;
	unsigned i;

	d->msix = true;
	double_write(d, IOAT_INTRCTRL, INTRCTRL_MSIX_CONTROL | INTRCTRL_MASTER_INT_EN, 1);
	for (i = 0; i < 3; i++) {
		put(d, i, DESC_OP_COPY, DST, SRC, 64);
		desc(d, i)->control |= DESC_INT_EN;
	}
	double_write(d, IOAT_DMACOUNT, 2, 2);
	assert_int_equal(d->nr_msi, 1);
	assert_int_equal(double_read(d, IOAT_CHANCTRL, 2),
			 RUN_ERRS | CHANCTRL_INT_DISABLE);
	double_write(d, IOAT_CHANCTRL, RUN_ERRS | CHANCTRL_INT_DISABLE, 2);
	assert_int_equal(double_read(d, IOAT_CHANCTRL, 2), RUN_ERRS);
	double_write(d, IOAT_DMACOUNT, 3, 2);
	assert_int_equal(d->nr_msi, 2);
	double_write(d, IOAT_INTRCTRL, INTRCTRL_MASTER_INT_EN, 1);
	assert_false(d->intx);
}

static void ioat_intx_follows_attention_and_master_enable(void **state)
{
	struct hw_double *d = *state;

	put(d, 0, DESC_OP_COPY, DST, SRC, 64);
	desc(d, 0)->control |= DESC_INT_EN;
	double_write(d, IOAT_DMACOUNT, 1, 2);
	assert_false(d->intx);
	double_write(d, IOAT_INTRCTRL, INTRCTRL_MASTER_INT_EN, 1);
	assert_true(d->intx);
	/* Reading INTRCTRL takes the enable away, reading ATTNSTATUS the reason. */
	assert_int_equal(double_read(d, IOAT_INTRCTRL, 1),
			 INTRCTRL_MASTER_INT_EN | INTRCTRL_INT_STATUS | INTRCTRL_INT);
	assert_false(d->intx);
	assert_int_equal(double_read(d, IOAT_ATTNSTATUS, 4), 1);
	assert_int_equal(double_read(d, IOAT_ATTNSTATUS, 4), 0);
	double_write(d, IOAT_INTRCTRL, INTRCTRL_MASTER_INT_EN, 1);
	assert_false(d->intx);
}

static void ioat_error_interrupt_respects_its_mask(void **state)
{
	struct hw_double *d = *state;

	double_write(d, IOAT_INTRCTRL, INTRCTRL_MASTER_INT_EN, 1);
	double_write(d, IOAT_CHANCTRL, CHANCTRL_ERR_INT_EN, 2);
	double_write(d, IOAT_CHANERRMASK, CHANERR_SRC_ADDR, 4);
	put(d, 0, DESC_OP_COPY, DST, NOWHERE, 64);
	double_write(d, IOAT_DMACOUNT, 1, 2);
	assert_false(d->intx);
	double_write(d, IOAT_CHANERRMASK, 0, 4);
	double_write(d, IOAT_CHANERR, ~0U, 4);
	double_write(d, IOAT_CHAINADDR, RING, 8);
	double_write(d, IOAT_DMACOUNT, 1, 2);
	assert_true(d->intx);
}

static void ioat_start_latency_delays_only_the_first_descriptor(void **state)
{
	const u64 props[] = {0x0b00, 0, 20, 20000};
	struct hw_double d;

	double_init(&d, &ioat_model, props);
	memset(d.mem + SRC, 0x5a, 64);
	fill_ring(&d);
	arm(&d, RING);
	put(&d, 0, DESC_OP_COPY, DST, SRC, 64);
	double_write(&d, IOAT_DMACOUNT, 1, 2);
	assert_int_equal(status(&d), 0);
	assert_int_equal(chansts(&d), IOAT_ACTIVE);
	while (double_work(&d, 4096))
		;
	assert_int_equal(status(&d), DESC(0) | IOAT_IDLE);
	put(&d, 1, DESC_OP_COPY, DST, SRC, 64);
	double_write(&d, IOAT_DMACOUNT, 2, 2);
	assert_int_equal(status(&d), DESC(1) | IOAT_IDLE);
	/* Armed again, it takes its time again; a reset ends the wait. */
	arm(&d, DESC(2));
	double_write(&d, IOAT_CHANCMD, CHANCMD_SUSPEND, 1);
	arm(&d, DESC(2));
	double_write(&d, IOAT_DMACOUNT, 1, 2);
	assert_true(double_work(&d, 4096));
	double_write(&d, IOAT_CHANCMD, CHANCMD_RESET, 1);
	assert_false(double_work(&d, 4096));
	double_free(&d);
}

/* Whatever a program scribbles over the state, work ends and stays in bounds. */
static void ioat_hostile_state_is_harmless(void **state)
{
	struct hw_double *d = *state;
	u8 *raw = endpoint_state(&d->hw, 0);
	u64 seed = 88172645463325252ULL;
	unsigned i, j;

	for (i = 0; i < 2000; i++) {
		for (j = 0; j < ioat_model.state_size; j++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			raw[j] = seed;
		}
		double_write(d, seed % IOAT_REGS_END, seed, 1 << (seed >> 60) % 4);
		double_read(d, seed % (IOAT_REGS_END + 64), 8);
		while (double_work(d, 4 * SZ_1M) && j-- > 300)
			;
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ioat_power_on_is_halted_with_its_version),
		TEST(ioat_any_group_of_bytes_reads_the_same_registers),
		TEST(ioat_chainaddr_in_halves_arms),
		TEST(ioat_copy_completes_in_order_and_writes_status),
		TEST(ioat_completion_only_where_asked),
		TEST(ioat_count_wraps_with_the_ring),
		TEST(ioat_fill_of_any_length_repeats_the_pattern),
		TEST(ioat_fill_in_parts_continues_the_pattern),
		TEST(ioat_null_moves_nothing_and_completes),
		TEST(ioat_large_copy_is_cut_into_budgets),
		TEST(ioat_bad_address_halts_before_it),
		TEST(ioat_first_failure_reports_address_zero),
		TEST(ioat_error_without_completion_enable_writes_nothing),
		TEST(ioat_recovers_after_an_error),
		TEST(ioat_bad_descriptor_names_its_defect),
		TEST(ioat_bad_chain_address_names_its_defect),
		TEST(ioat_bad_completion_address_halts),
		TEST(ioat_without_bus_mastering_moves_nothing),
		TEST(ioat_suspend_keeps_the_rest_for_resume),
		TEST(ioat_suspended_restarts_at_a_new_chain_address),
		TEST(ioat_reset_in_the_middle_forgets_the_rest),
		TEST(ioat_chainaddr_is_ignored_while_active),
		TEST(ioat_unknown_command_sets_an_error_and_changes_nothing),
		TEST(ioat_msix_interrupts_once_until_rearmed),
		TEST(ioat_intx_follows_attention_and_master_enable),
		TEST(ioat_error_interrupt_respects_its_mask),
		cmocka_unit_test(ioat_start_latency_delays_only_the_first_descriptor),
		TEST(ioat_hostile_state_is_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
