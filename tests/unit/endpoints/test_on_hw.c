// SPDX-License-Identifier: MIT
/*
 * The models behind machine/: real machine memory, no IOMMU in front (identity),
 * locks, widths, MSI-X, asynchronous work and the death of a driver.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "endpoints/ioat/regs.h"
#include "endpoints/models.h"
#include "machine/dma.h"
#include "machine/msi.h"

#define RAM    (16 * SZ_1M)
#define RING   0x10000
#define STATUS 0x12000
#define SRC    0x400000
#define DST    0x800000

enum { FN_IOAT, FN_EDU, NR_FN };

static struct {
	unsigned irqs, last_irq, kicks, faults;
	bool intx;
} seen;

static void on_irq(struct hw *hw, u32 irq)
{
	seen.irqs++;
	seen.last_irq = irq;
}

static void on_intx(struct hw *hw, u32 function, bool level)
{
	seen.intx = level;
}

static void on_fault(struct hw *hw, const struct dma_fault *fault)
{
	seen.faults++;
}

static void on_kick(struct hw *hw, u32 function)
{
	seen.kicks++;
}

static const struct hw_host_ops ops = {
	.irq = on_irq,
	.intx = on_intx,
	.fault = on_fault,
	.kick = on_kick,
};

static void put16(u8 *p, u16 val)
{
	memcpy(p, &val, 2);
}

static void put32(u8 *p, u32 val)
{
	memcpy(p, &val, 4);
}

static void add_function(struct hw *hw, u32 fn, const char *name)
{
	int model = endpoint_model_find(name), i;
	const struct endpoint_property *p = endpoint_models[model]->properties;
	struct hw_function *f = &hw->functions[fn];
	struct endpoint_pci_info info;
	u64 props[8];

	for (i = 0; p[i].name; i++)
		props[i] = p[i].default_value;
	hw_function_init(hw, fn);
	f->unit = -1;
	f->bdf = f->requester_id = fn << 3;
	endpoint_models[model]->describe(props, &info);
	f->bar[0].size = info.bar[0].size;
	assert_int_equal(endpoint_create(hw, fn, model, props), 0);
	put16(f->config + 4, 6);
	put16(f->config + 6, 0x10);
	f->config[0x34] = 0x40;
	if (info.msix_vectors) {
		put32(f->config + 0x40, 0x80000011);
		put32(f->config + 0x44, info.msix_table);
		put32(f->config + 0x48, info.msix_pba);
	} else {
		put32(f->config + 0x40, 0x00810005);
		put32(f->config + 0x44, MSI_WINDOW_BASE | 0x1000);
		put16(f->config + 0x4c, 0x42);
	}
}

static int setup(void **state)
{
	static struct hw hw;
	unsigned i;

	memset(&hw, 0, sizeof(hw));
	memset(&seen, 0, sizeof(seen));
	if (hw_create(&hw, RAM, NR_FN))
		return -1;
	hw.ops = &ops;
	hw.self_mm = ~0U;
	hw.endpoint_models = endpoint_models;
	add_function(&hw, FN_IOAT, "ioat");
	add_function(&hw, FN_EDU, "edu");
	for (i = 0; i < 2 * SZ_1M; i++)
		hw.ram[SRC + i] = i * 13 >> 2;
	*state = &hw;
	return 0;
}

static int teardown(void **state)
{
	hw_detach(*state);
	return 0;
}

static void reg_write(struct hw *hw, u32 fn, u64 off, u64 val, unsigned size)
{
	assert_int_equal(endpoint_mmio_write(hw, fn, 0, off, &val, size), 0);
}

static u64 reg_read(struct hw *hw, u32 fn, u64 off, unsigned size)
{
	u64 val = 0;

	assert_int_equal(endpoint_mmio_read(hw, fn, 0, off, &val, size), 0);
	return val;
}

static void start_copy(struct hw *hw, u32 size, u32 control)
{
	struct ioat_descriptor *desc = (struct ioat_descriptor *)(hw->ram + RING);

	*desc = (struct ioat_descriptor){
		.size = size,
		.control = control | DESC_COMPLETION_UPDATE,
		.src = SRC,
		.dst = DST,
		.next = RING,
	};
	reg_write(hw, FN_IOAT, IOAT_CHANCMP, STATUS, 8);
	reg_write(hw, FN_IOAT, IOAT_CHAINADDR, RING, 8);
	reg_write(hw, FN_IOAT, IOAT_DMACOUNT, 1, 2);
}

static u64 status(const struct hw *hw)
{
	u64 val;

	memcpy(&val, hw->ram + STATUS, 8);
	return val;
}

static void ioat_on_hw_copies_inline(void **state)
{
	struct hw *hw = *state;

	start_copy(hw, 100000, 0);
	assert_int_equal(status(hw), RING | IOAT_IDLE);
	assert_memory_equal(hw->ram + SRC, hw->ram + DST, 100000);
	assert_int_equal(seen.kicks, 0);
}

static void ioat_on_hw_over_budget_goes_on_in_the_engine(void **state)
{
	u32 n = ENDPOINT_INLINE_BUDGET / SZ_1M + 1;
	struct hw *hw = *state;

	hw->functions[FN_IOAT].flags |= HW_FN_ASYNC;
	start_copy(hw, SZ_1M, 0);
	hw->functions[FN_IOAT].flags &= ~HW_FN_ASYNC;
	seen.kicks = 0;
	/* The ring is one descriptor, which is its own next. */
	reg_write(hw, FN_IOAT, IOAT_DMACOUNT, n, 2);
	assert_int_equal(seen.kicks, 1);
	assert_int_equal(status(hw), RING | IOAT_ACTIVE);
	while (endpoint_run(hw, FN_IOAT, ENDPOINT_ENGINE_BUDGET))
		;
	assert_int_equal(status(hw), RING | IOAT_IDLE);
	assert_memory_equal(hw->ram + SRC, hw->ram + DST, SZ_1M);
}

static void ioat_on_hw_async_leaves_all_to_the_engine(void **state)
{
	struct hw *hw = *state;

	hw->functions[FN_IOAT].flags |= HW_FN_ASYNC;
	start_copy(hw, 4096, 0);
	assert_int_equal(status(hw), 0);
	assert_int_equal(reg_read(hw, FN_IOAT, IOAT_CHANSTS, 8), IOAT_ACTIVE);
	assert_true(seen.kicks >= 1);
	assert_false(endpoint_run(hw, FN_IOAT, SZ_1M));
	assert_int_equal(status(hw), RING | IOAT_IDLE);
}

static void edu_on_hw_async_is_busy_until_the_engine_runs(void **state)
{
	struct hw *hw = *state;

	hw->functions[FN_EDU].flags |= HW_FN_ASYNC;
	reg_write(hw, FN_EDU, 8, 6, 4);
	assert_int_equal(reg_read(hw, FN_EDU, 0x20, 4), 1);
	assert_false(endpoint_run(hw, FN_EDU, 1));
	assert_int_equal(reg_read(hw, FN_EDU, 8, 4), 720);
}

static void ioat_on_hw_reset_in_the_middle_ends_the_copy(void **state)
{
	struct hw *hw = *state;
	u32 epoch = hw->functions[FN_IOAT].epoch;

	hw->functions[FN_IOAT].flags |= HW_FN_ASYNC;
	start_copy(hw, SZ_1M, 0);
	assert_true(endpoint_run(hw, FN_IOAT, 64 * 1024));
	endpoint_reset(hw, FN_IOAT);
	assert_false(endpoint_run(hw, FN_IOAT, SZ_1M));
	assert_int_equal(reg_read(hw, FN_IOAT, IOAT_CHANSTS, 8), IOAT_HALTED);
	assert_int_equal(hw->ram[DST + 512 * 1024 + 1], 0);
	assert_int_not_equal(hw->functions[FN_IOAT].epoch, epoch);
}

static void ioat_on_hw_msix_message_reaches_its_irq(void **state)
{
	struct hw *hw = *state;

	reg_write(hw, FN_IOAT, 0x2000, MSI_WINDOW_BASE | 0x1000, 8);
	reg_write(hw, FN_IOAT, 0x2008, 0x23, 4);
	reg_write(hw, FN_IOAT, IOAT_INTRCTRL, INTRCTRL_MSIX_CONTROL, 1);
	/* Masked: it pends, and comes when the mask goes. */
	start_copy(hw, 64, DESC_INT_EN);
	assert_int_equal(seen.irqs, 0);
	assert_int_equal(reg_read(hw, FN_IOAT, 0x3000, 4), 1);
	reg_write(hw, FN_IOAT, 0x200c, 0, 4);
	assert_int_equal(seen.irqs, 1);
	assert_int_equal(seen.last_irq, 0x123);
	assert_int_equal(reg_read(hw, FN_IOAT, 0x3000, 4), 0);
}

static void edu_on_hw_msi_needs_bus_mastering(void **state)
{
	struct hw *hw = *state;

	reg_write(hw, FN_EDU, 0x60, 1, 4);
	assert_int_equal(seen.irqs, 1);
	assert_int_equal(seen.last_irq, 0x142);
	put16(hw->functions[FN_EDU].config + 4, 2);
	reg_write(hw, FN_EDU, 0x60, 1, 4);
	assert_int_equal(seen.irqs, 1);
	assert_int_equal(reg_read(hw, FN_EDU, 0x24, 4), 1);
}

static void edu_on_hw_intx_level_when_msi_is_off(void **state)
{
	struct hw *hw = *state;

	put16(hw->functions[FN_EDU].config + 0x42, 0x80);
	reg_write(hw, FN_EDU, 0x60, 1, 4);
	assert_true(seen.intx);
	reg_write(hw, FN_EDU, 0x64, 1, 4);
	assert_false(seen.intx);
	assert_int_equal(seen.irqs, 0);
}

static void ioat_on_hw_without_bus_mastering_halts(void **state)
{
	struct hw *hw = *state;

	put16(hw->functions[FN_IOAT].config + 4, 2);
	start_copy(hw, 64, 0);
	assert_int_equal(reg_read(hw, FN_IOAT, IOAT_CHANSTS, 8), IOAT_HALTED);
	assert_int_equal(hw->ram[DST + 1], 0);
}

static void ioat_on_hw_unbacked_address_names_its_end(void **state)
{
	struct hw *hw = *state;
	struct ioat_descriptor *desc = (struct ioat_descriptor *)(hw->ram + RING);

	start_copy(hw, 64, 0);
	desc->dst = 0xdead000000ULL;
	reg_write(hw, FN_IOAT, IOAT_DMACOUNT, 2, 2);
	assert_int_equal(reg_read(hw, FN_IOAT, IOAT_CHANERR, 4), CHANERR_DEST_ADDR);
	assert_true(seen.faults >= 1);
}

static void edu_on_hw_split_of_a_string_store_reaches_registers(void **state)
{
	struct hw *hw = *state;
	u32 words[4] = {0x11111111, 0, 0, 0};

	assert_int_equal(endpoint_mmio_write(hw, FN_EDU, 0, 0x80, words, 16), 0);
	assert_int_equal(reg_read(hw, FN_EDU, 0x80, 4), 0x11111111);
	assert_int_equal(endpoint_mmio_read(hw, FN_EDU, 0, 0xffffd, words, 4), -EINVAL);
}

static void ioat_on_hw_dead_owner_is_reset(void **state)
{
	struct hw *hw = *state;
	int wstatus;
	pid_t pid;

	hw->functions[FN_IOAT].flags |= HW_FN_ASYNC;
	start_copy(hw, SZ_1M, 0);
	pid = fork();
	if (!pid) {
		endpoint_lock(hw, FN_IOAT);
		_exit(0);
	}
	waitpid(pid, &wstatus, 0);
	assert_int_equal(reg_read(hw, FN_IOAT, IOAT_CHANSTS, 8), IOAT_HALTED);
	assert_false(endpoint_run(hw, FN_IOAT, SZ_1M));
	assert_int_equal(hw->ram[DST + 1], 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(ioat_on_hw_copies_inline),
		TEST(ioat_on_hw_over_budget_goes_on_in_the_engine),
		TEST(ioat_on_hw_async_leaves_all_to_the_engine),
		TEST(edu_on_hw_async_is_busy_until_the_engine_runs),
		TEST(ioat_on_hw_reset_in_the_middle_ends_the_copy),
		TEST(ioat_on_hw_msix_message_reaches_its_irq),
		TEST(edu_on_hw_msi_needs_bus_mastering),
		TEST(edu_on_hw_intx_level_when_msi_is_off),
		TEST(ioat_on_hw_without_bus_mastering_halts),
		TEST(ioat_on_hw_unbacked_address_names_its_end),
		TEST(edu_on_hw_split_of_a_string_store_reaches_registers),
		TEST(ioat_on_hw_dead_owner_is_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
