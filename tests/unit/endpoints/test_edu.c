// SPDX-License-Identifier: MIT
/* The educational device against what QEMU 7.2 was recorded to answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "endpoints/models.h"
#include "tests/unit/endpoints/hw_double.h"

static int setup(void **state)
{
	static struct hw_double d;

	double_init(&d, &edu_model, NULL);
	*state = &d;
	return 0;
}

static int teardown(void **state)
{
	double_free(*state);
	return 0;
}

static void edu_identification_reads_as_documented(void **state)
{
	struct hw_double *d = *state;

	assert_int_equal(double_read(d, 0, 4), 0x010000ed);
	double_write(d, 0, 5, 4);
	assert_int_equal(double_read(d, 0, 4), 0x010000ed);
}

static void edu_liveness_inverts(void **state)
{
	struct hw_double *d = *state;

	assert_int_equal(double_read(d, 4, 4), 0);
	double_write(d, 4, 0x12345678, 4);
	assert_int_equal(double_read(d, 4, 4), 0xedcba987);
}

static void edu_narrow_access_reads_zero_and_writes_nothing(void **state)
{
	struct hw_double *d = *state;

	double_write(d, 4, 0x12345678, 4);
	assert_int_equal(double_read(d, 4, 1), 0);
	assert_int_equal(double_read(d, 4, 2), 0);
	assert_int_equal(double_read(d, 0xffffe, 2), 0);
	assert_int_equal(double_read(d, 2, 4), 0);
	double_write(d, 4, 0, 1);
	double_write(d, 4, 0, 2);
	assert_int_equal(double_read(d, 4, 4), 0xedcba987);
}

static void edu_wide_access_below_80_reads_ones_and_writes_nothing(void **state)
{
	struct hw_double *d = *state;

	assert_true(double_read(d, 0, 8) == ~0ULL);
	double_write(d, 0, 1, 8);
	assert_int_equal(double_read(d, 4, 4), 0);
}

static void edu_unused_offsets_read_ones(void **state)
{
	struct hw_double *d = *state;

	assert_int_equal(double_read(d, 0xffffc, 4), 0xffffffff);
	assert_int_equal(double_read(d, 0x84, 4), 0xffffffff);
	assert_int_equal(double_read(d, 0x40000, 4), 0xffffffff);
}

static void edu_factorial_wraps_at_32_bits(void **state)
{
	struct hw_double *d = *state;
	u32 n, expect = 1;

	for (n = 0; n < 40; n++) {
		if (n)
			expect *= n;
		double_write(d, 8, n, 4);
		assert_int_equal(double_read(d, 8, 4), expect);
		assert_int_equal(double_read(d, 0x20, 4), 0);
	}
	double_write(d, 8, 0xffffffff, 4);
	assert_int_equal(double_read(d, 8, 4), 0);
}

static void edu_factorial_async_ignores_writes_while_computing(void **state)
{
	struct hw_double *d = *state;

	double_store(d, 8, 5, 4);
	assert_int_equal(double_read(d, 0x20, 4), 1);
	double_store(d, 8, 6, 4);
	assert_true(double_work(d, 0));
	assert_int_equal(double_read(d, 0x20, 4), 1);
	assert_false(double_work(d, 4096));
	assert_false(double_work(d, 0));
	assert_int_equal(double_read(d, 8, 4), 120);
	assert_int_equal(double_read(d, 0x20, 4), 0);
}

static void edu_factorial_interrupt_only_if_asked(void **state)
{
	struct hw_double *d = *state;

	double_write(d, 8, 5, 4);
	assert_false(d->intx);
	double_write(d, 0x20, 0xff, 4);
	assert_int_equal(double_read(d, 0x20, 4), 0x80);
	double_write(d, 8, 5, 4);
	assert_true(d->intx);
	assert_int_equal(double_read(d, 0x24, 4), 1);
	double_write(d, 0x64, 1, 4);
	assert_false(d->intx);
}

static void edu_raise_with_msi_sends_a_message_each_time(void **state)
{
	struct hw_double *d = *state;

	d->msi = true;
	double_write(d, 0x60, 1, 4);
	double_write(d, 0x60, 2, 4);
	assert_int_equal(d->nr_msi, 2);
	assert_int_equal(d->last_vector, 0);
	assert_false(d->intx);
	assert_int_equal(double_read(d, 0x24, 4), 3);
	double_write(d, 0x64, 3, 4);
	/* Nothing pending: raising nothing sends nothing. */
	double_write(d, 0x60, 0, 4);
	assert_int_equal(d->nr_msi, 2);
}

static void edu_intx_falls_when_all_bits_are_acknowledged(void **state)
{
	struct hw_double *d = *state;

	double_write(d, 0x60, 5, 4);
	assert_true(d->intx);
	double_write(d, 0x64, 1, 4);
	assert_true(d->intx);
	double_write(d, 0x64, 0xffffffff, 4);
	assert_false(d->intx);
}

static void dma(struct hw_double *d, u64 src, u64 dst, u64 count, u32 cmd)
{
	double_write(d, 0x80, src, 4);
	double_write(d, 0x88, dst, 4);
	double_write(d, 0x90, count, 4);
	double_write(d, 0x98, cmd, 4);
}

static void edu_dma_round_trip_moves_all_4096_bytes(void **state)
{
	struct hw_double *d = *state;
	unsigned i;

	for (i = 0; i < 4096; i++)
		d->mem[0x10000 + i] = i * 7;
	dma(d, 0x10000, 0x40000, 4096, 1);
	assert_int_equal(double_read(d, 0x98, 4), 0);
	dma(d, 0x40000, 0x20123, 4096, 3);
	assert_memory_equal(d->mem + 0x10000, d->mem + 0x20123, 4096);
	assert_int_equal(d->mem[0x20122], 0);
}

static void edu_dma_outside_the_buffer_moves_nothing_and_ends(void **state)
{
	struct hw_double *d = *state;
	static const struct {
		u64 addr, count;
	} bad[] = {{0x40001, 4096}, {0x3ffff, 1}, {0x41000, 1},	    {0x40000, 4097},
		   {0, 4096},	    {0x41001, 1}, {0xffffffff, 16}, {0x40000, 0}};
	unsigned i;

	memset(d->mem + 0x10000, 0x5a, 4096);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		dma(d, bad[i].addr, 0x10000, bad[i].count, 3);
		assert_int_equal(double_read(d, 0x98, 4), 2);
	}
	for (i = 0; i < 4096; i++)
		assert_int_equal(d->mem[0x10000 + i], 0x5a);
}

static void edu_dma_address_is_masked(void **state)
{
	struct hw_double *d = *state;

	d->mem[0x1000] = 0x77;
	double_write(d, 0x80, 0xf0001000ULL, 8);
	double_write(d, 0x88, 0x40000, 8);
	double_write(d, 0x90, 1, 8);
	double_write(d, 0x98, 1, 8);
	assert_true(double_read(d, 0x80, 8) == 0xf0001000ULL);
	dma(d, 0x40000, 0x2000, 1, 3);
	assert_int_equal(d->mem[0x2000], 0x77);
}

static void edu_dma_refused_read_delivers_zeroes(void **state)
{
	struct hw_double *d = *state;

	memset(d->mem, 0xee, 0x30000);
	dma(d, 0x10000, 0x40000, 64, 1);
	double_refuse(d, 0x10000, 0x10fff);
	dma(d, 0x10000, 0x40000, 64, 1);
	dma(d, 0x40000, 0x20000, 64, 3);
	assert_int_equal(d->mem[0x20000], 0);
	assert_int_equal(d->mem[0x2003f], 0);
	assert_int_equal(d->mem[0x20040], 0xee);
}

static void edu_dma_registers_are_locked_while_running(void **state)
{
	struct hw_double *d = *state;

	double_store(d, 0x90, 16, 4);
	double_store(d, 0x98, 5, 4);
	double_store(d, 0x90, 32, 4);
	assert_int_equal(double_read(d, 0x90, 4), 16);
	double_store(d, 0x98, 1, 4);
	assert_true(double_work(d, 0));
	assert_int_equal(double_read(d, 0x98, 4), 5);
	double_work(d, 4096);
	assert_int_equal(double_read(d, 0x98, 4), 4);
	assert_int_equal(double_read(d, 0x24, 4), 0x100);
	assert_true(d->intx);
}

static void edu_dma_command_without_run_is_ignored(void **state)
{
	struct hw_double *d = *state;

	double_write(d, 0x98, 6, 4);
	assert_int_equal(double_read(d, 0x98, 4), 0);
}

static void edu_reset_keeps_registers_and_drops_the_line(void **state)
{
	struct hw_double *d = *state;

	double_write(d, 4, 0x2222, 4);
	double_write(d, 0x60, 1, 4);
	d->model->reset(&d->hw, 0);
	assert_int_equal(double_read(d, 4, 4), 0xffffdddd);
	assert_false(d->intx);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(edu_identification_reads_as_documented),
		TEST(edu_liveness_inverts),
		TEST(edu_narrow_access_reads_zero_and_writes_nothing),
		TEST(edu_wide_access_below_80_reads_ones_and_writes_nothing),
		TEST(edu_unused_offsets_read_ones),
		TEST(edu_factorial_wraps_at_32_bits),
		TEST(edu_factorial_async_ignores_writes_while_computing),
		TEST(edu_factorial_interrupt_only_if_asked),
		TEST(edu_raise_with_msi_sends_a_message_each_time),
		TEST(edu_intx_falls_when_all_bits_are_acknowledged),
		TEST(edu_dma_round_trip_moves_all_4096_bytes),
		TEST(edu_dma_outside_the_buffer_moves_nothing_and_ends),
		TEST(edu_dma_address_is_masked),
		TEST(edu_dma_refused_read_delivers_zeroes),
		TEST(edu_dma_registers_are_locked_while_running),
		TEST(edu_dma_command_without_run_is_ignored),
		TEST(edu_reset_keeps_registers_and_drops_the_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
