// SPDX-License-Identifier: MIT
/* DMA without a unit, endpoints' widths and locks, MSI and MSI-X, peer-to-peer. */
#include <setjmp.h>
#include <stdarg.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rand.h"
#include "machine/dma.h"
#include "machine/endpoint.h"
#include "machine/irq.h"
#include "machine/machine.h"

#define BAR_SIZE 0x4000
#define TABLE	 0x2000
#define PBA	 0x3000
#define VECTORS	 70

/* A device that keeps a log of accesses, and at register 8 does the DMA it is told to. */
struct toy {
	u64 regs[64];
	u32 log[64]; /* offset << 8 | size, bit 31: write */
	u32 n, resets, work_left, work_calls;
};

static u64 toy_read(struct hw *hw, u32 fn, unsigned bar, u64 off, unsigned size)
{
	struct toy *t = endpoint_state(hw, fn);

	t->log[t->n++ % 64] = off << 8 | size;
	return t->regs[off / 8 % 64] >> 8 * (off & 7);
}

static void toy_write(struct hw *hw, u32 fn, unsigned bar, u64 off, u64 val,
		      unsigned size)
{
	struct toy *t = endpoint_state(hw, fn);

	t->log[t->n++ % 64] = 1U << 31 | off << 8 | size;
	if (off == 8)
		(void)dma_write(hw, fn, val, &t->regs[2], 8);
	else if (off == 24)
		t->work_left = val;
	else if (off == 40)
		hw_msi_send(hw, fn, val);
	else
		memcpy((u8 *)t->regs + off % 256, &val, size);
}

static void toy_reset(struct hw *hw, u32 fn)
{
	struct toy *t = endpoint_state(hw, fn);

	t->resets++;
	t->regs[0] = 0;
}

static bool toy_work(struct hw *hw, u32 fn, size_t budget)
{
	struct toy *t = endpoint_state(hw, fn);

	t->work_calls++;
	t->work_left -= min_t(u64, budget, t->work_left);
	return t->work_left;
}

static void toy_describe(const u64 *props, struct endpoint_pci_info *info)
{
	info->msix_vectors = VECTORS;
}

static const struct endpoint_model toy = {
	.name = "toy",
	.state_size = sizeof(struct toy),
	.describe = toy_describe,
	.reset = toy_reset,
	.mmio_read = toy_read,
	.mmio_write = toy_write,
	.work = toy_work,
};
static const struct endpoint_model *const models[ENDPOINT_MAX_MODELS] = {NULL, &toy};

struct bench {
	struct machine *m;
	struct hw *hw;
	unsigned irqs, faults, kicks, intx;
	u32 irq_log[512];
	struct dma_fault last;
	bool level;
};

static void on_irq(struct hw *hw, u32 irq)
{
	struct bench *b = hw->host;

	b->irq_log[b->irqs++ % 512] = irq;
}

static void on_intx(struct hw *hw, u32 fn, bool level)
{
	struct bench *b = hw->host;

	b->intx++;
	b->level = level;
}

static void on_fault(struct hw *hw, const struct dma_fault *fault)
{
	struct bench *b = hw->host;

	b->faults++;
	b->last = *fault;
}

static void on_kick(struct hw *hw, u32 fn)
{
	((struct bench *)hw->host)->kicks++;
}

static const struct hw_host_ops ops = {
	.irq = on_irq, .intx = on_intx, .fault = on_fault, .kick = on_kick};

static void put32(struct hw *hw, u32 fn, unsigned off, u32 val)
{
	memcpy(&hw->functions[fn].config[off], &val, 4);
}

static struct bench *bench_new(void)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_int_equal(machine_create(&b->m, 16 << 20, 4, ""), 0);
	b->hw = &b->m->hw;
	b->hw->ops = &ops;
	b->hw->host = b;
	b->hw->endpoint_models = models;
	for (u32 fn = 0; fn < 2; fn++) {
		struct hw_function *f = &b->hw->functions[fn];

		hw_function_init(b->hw, fn);
		f->bar[0] = (struct hw_bar){.phys = 0xe0000000 + fn * BAR_SIZE,
					    .size = BAR_SIZE};
		f->config[4] = 6;
		/* Status: a list of capabilities; MSI at 40 (64 bit, masks), MSI-X at 60.
		 */
		f->config[6] = 0x10;
		f->config[0x34] = 0x40;
		put32(b->hw, fn, 0x40, 5 | 0x60 << 8 | 0x18a << 16);
		put32(b->hw, fn, 0x60, 0x11 | (VECTORS - 1) << 16);
		put32(b->hw, fn, 0x64, TABLE);
		put32(b->hw, fn, 0x68, PBA);
		assert_int_equal(endpoint_create(b->hw, fn, 1, NULL), 0);
	}
	return b;
}

static void bench_free(struct bench *b)
{
	machine_destroy(b->m);
	free(b);
}

static void write64(struct bench *b, u32 fn, u64 off, u64 val)
{
	assert_int_equal(endpoint_mmio_write(b->hw, fn, 0, off, &val, 8), 0);
}

static u32 read32(struct bench *b, u32 fn, u64 off)
{
	u32 val;

	assert_int_equal(endpoint_mmio_read(b->hw, fn, 0, off, &val, 4), 0);
	return val;
}

static void write32(struct bench *b, u32 fn, u64 off, u32 val)
{
	assert_int_equal(endpoint_mmio_write(b->hw, fn, 0, off, &val, 4), 0);
}

static void accesses_are_split_by_width(void **state)
{
	static const struct {
		u16 off, len;
		u32 want[8];
	} cases[] = {
		{0x100, 8, {0x10008}},
		{0x101, 4, {0x10104}},
		{0x100, 16, {0x10008, 0x10808}},
		{0x104, 16, {0x10404, 0x10808, 0x11004}},
		{0x101, 3, {0x10101, 0x10202}},
		{0x103, 7, {0x10301, 0x10404, 0x10802}},
		{0x100,
		 64,
		 {0x10008, 0x10808, 0x11008, 0x11808, 0x12008, 0x12808, 0x13008,
		  0x13808}},
	};
	struct bench *b = bench_new();
	struct toy *t = endpoint_state(b->hw, 0);
	u8 buf[64];

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		t->n = 0;
		memset(t->log, 0, sizeof(t->log));
		assert_int_equal(endpoint_mmio_read(b->hw, 0, 0, cases[i].off, buf,
						    cases[i].len),
				 0);
		for (unsigned k = 0; k < 8; k++)
			assert_int_equal(t->log[k], cases[i].want[k]);
	}
	assert_int_equal(endpoint_mmio_read(b->hw, 0, 0, BAR_SIZE - 4, buf, 8), -EINVAL);
	assert_int_equal(endpoint_mmio_read(b->hw, 0, 0, ~0ULL, buf, 8), -EINVAL);
	assert_int_equal(endpoint_mmio_read(b->hw, 0, 1, 0, buf, 4), -EINVAL);
	assert_int_equal(endpoint_mmio_read(b->hw, 0, 99, 0, buf, 4), -EINVAL);
	assert_int_equal(endpoint_mmio_read(b->hw, 3, 0, 0, buf, 4), -EINVAL);
	assert_int_equal(endpoint_mmio_write(b->hw, 99999, 0, 0, buf, 4), -EINVAL);
	bench_free(b);
}

static void work_runs_inline_then_kicks(void **state)
{
	struct bench *b = bench_new();
	struct toy *t = endpoint_state(b->hw, 0);

	write64(b, 0, 24, 1000);
	assert_int_equal(t->work_left, 0);
	assert_int_equal(b->kicks, 0);
	write64(b, 0, 24, ENDPOINT_INLINE_BUDGET + 5000);
	assert_int_equal(t->work_left, 5000);
	assert_int_equal(b->kicks, 1);
	assert_true(endpoint_run(b->hw, 0, 3000));
	assert_false(endpoint_run(b->hw, 0, 3000));
	b->hw->functions[0].flags |= HW_FN_ASYNC;
	write64(b, 0, 24, 1000);
	assert_int_equal(t->work_left, 1000);
	assert_int_equal(b->kicks, 2);
	bench_free(b);
}

static void reset_bumps_epoch_and_masks_vectors(void **state)
{
	struct bench *b = bench_new();
	struct toy *t = endpoint_state(b->hw, 0);
	u32 epoch = atomic_load(&b->hw->functions[0].epoch);

	write32(b, 0, TABLE + 12, 0);
	hw_intx_set(b->hw, 0, true);
	assert_true(b->level);
	assert_int_equal(b->hw->functions[0].config[6], 0x18);
	endpoint_reset(b->hw, 0);
	assert_int_equal(t->resets, 1);
	assert_false(b->level);
	assert_int_equal(b->hw->functions[0].config[6], 0x10);
	assert_int_equal(read32(b, 0, TABLE + 12), 1);
	assert_true(atomic_load(&b->hw->functions[0].epoch) != epoch);
	/* INTx disable keeps it from the outside; update tells it after a change. */
	b->hw->functions[0].config[5] = 4;
	b->intx = 0;
	hw_intx_set(b->hw, 0, true);
	assert_int_equal(b->intx, 0);
	b->hw->functions[0].config[5] = 0;
	hw_intx_update(b->hw, 0);
	assert_true(b->intx == 1 && b->level);
	bench_free(b);
}

static void death_of_the_owner_resets(void **state)
{
	struct bench *b = bench_new();
	struct toy *t = endpoint_state(b->hw, 0);
	pid_t pid;

	write64(b, 0, 0x100, 77);
	pid = fork();
	if (!pid) {
		(void)hw_lock_acquire(&b->hw->functions[0].lock);
		raise(SIGKILL);
	}
	waitpid(pid, NULL, 0);
	(void)read32(b, 0, 0x100);
	assert_int_equal(t->resets, 1);
	(void)read32(b, 0, 0x100);
	assert_int_equal(t->resets, 1);
	bench_free(b);
}

static void msix_enable(struct bench *b, u32 fn, bool on, bool mask_all)
{
	b->hw->functions[fn].config[0x63] = (on ? 0x80 : 0) | (mask_all ? 0x40 : 0);
}

static void msix_masked_vectors_pend(void **state)
{
	struct bench *b = bench_new();
	struct toy *t = endpoint_state(b->hw, 0);

	t->n = 0;
	for (unsigned v = 0; v < VECTORS; v++) {
		write64(b, 0, TABLE + v * 16, 0xfee01000);
		write32(b, 0, TABLE + v * 16 + 8, 0x30 + v);
	}
	assert_int_equal(t->n, 0); /* the model sees nothing of it */
	assert_false(hw_msix_enabled(b->hw, 0));
	write64(b, 0, 40, 3);
	assert_int_equal(b->irqs, 0);
	msix_enable(b, 0, true, false);
	assert_true(hw_msix_enabled(b->hw, 0));
	write64(b, 0, 40, 3);
	write64(b, 0, 40, 69);
	assert_int_equal(b->irqs, 0);
	assert_int_equal(read32(b, 0, PBA), 8);
	assert_int_equal(read32(b, 0, PBA + 8), 1 << 5);
	write32(b, 0, PBA, 0); /* read-only */
	assert_int_equal(read32(b, 0, PBA), 8);
	write32(b, 0, TABLE + 3 * 16 + 12, 0);
	assert_int_equal(b->irqs, 1);
	assert_int_equal(b->irq_log[0], 0x133);
	assert_int_equal(read32(b, 0, PBA), 0);
	write64(b, 0, 40, 3);
	assert_int_equal(b->irqs, 2);
	/* The function's mask, and its end by a configuration write. */
	msix_enable(b, 0, true, true);
	write64(b, 0, 40, 3);
	write32(b, 0, TABLE + 69 * 16 + 12, 0xfffffffe);
	assert_int_equal(read32(b, 0, TABLE + 69 * 16 + 12), 0);
	assert_int_equal(b->irqs, 2);
	msix_enable(b, 0, true, false);
	hw_msi_flush(b->hw, 0);
	assert_int_equal(b->irqs, 4);
	assert_int_equal(b->irq_log[3], 0x100 + 0x30 + 69);
	/* Not a width of the table: nothing happens. */
	t->n = 0;
	assert_int_equal(endpoint_mmio_write(b->hw, 0, 0, TABLE + 1, "x", 1), 0);
	assert_int_equal(t->n, 0);
	write64(b, 0, 40, 1000);
	assert_int_equal(b->irqs, 4);
	bench_free(b);
}

static void msi_multiple_vectors_and_masks(void **state)
{
	struct bench *b = bench_new();
	struct hw *hw = b->hw;

	put32(hw, 0, 0x44, 0xfee02000);
	put32(hw, 0, 0x4c, 0x40);
	/* Enable with 4 of 32 vectors. */
	put32(hw, 0, 0x40, 5 | 0x60 << 8 | (0x18a | 1 | 2 << 4) << 16);
	assert_true(hw_msi_enabled(hw, 0));
	hw_msi_send(hw, 0, 2);
	assert_int_equal(b->irq_log[0], 0x242);
	hw_msi_send(hw, 0, 5);
	assert_int_equal(b->irq_log[1], 0x241);
	put32(hw, 0, 0x50, 1 << 3);
	hw_msi_send(hw, 0, 3);
	assert_int_equal(b->irqs, 2);
	assert_int_equal(hw->functions[0].config[0x54], 8);
	hw_msi_flush(hw, 0);
	assert_int_equal(b->irqs, 2);
	put32(hw, 0, 0x50, 0);
	hw_msi_flush(hw, 0);
	assert_int_equal(b->irqs, 3);
	assert_int_equal(hw->functions[0].config[0x54], 0);
	/* Without bus mastering no message goes out. */
	hw->functions[0].config[4] = 2;
	hw_msi_send(hw, 0, 0);
	assert_int_equal(b->irqs, 3);
	bench_free(b);
}

static void broken_capability_lists_end(void **state)
{
	struct bench *b = bench_new();
	struct rnd r;

	rnd_seed(&r, 4);
	b->hw->functions[0].config[0x34] = 0x80;
	b->hw->functions[0].config[0x81] = 0x80; /* a loop */
	hw_msi_send(b->hw, 0, 0);
	for (unsigned i = 0; i < 50000; i++) {
		b->hw->functions[0].config[rnd_below(&r, 256)] = rnd_u64(&r);
		b->hw->functions[0].msix_vectors = rnd_u64(&r);
		hw_msi_send(b->hw, 0, rnd_below(&r, 100));
		(void)read32(b, 0, rnd_below(&r, BAR_SIZE - 4));
		hw_msi_flush(b->hw, 0);
	}
	bench_free(b);
}

static void bus_master_off_blocks(void **state)
{
	struct bench *b = bench_new();
	u32 word = 5;

	b->hw->functions[0].config[4] = 2;
	assert_int_equal(dma_read(b->hw, 0, 0x1000, &word, 4), -EFAULT);
	assert_int_equal(word, 0);
	assert_int_equal(b->last.class, FAULT_BLOCKED);
	b->hw->functions[0].flags |= HW_FN_PLATFORM;
	assert_int_equal(dma_read(b->hw, 0, 0x1000, &word, 4), 0);
	assert_int_equal(dma_read(b->hw, 9999, 0x1000, &word, 4), -EFAULT);
	bench_free(b);
}

static void refused_part_reads_zero_rest_goes_on(void **state)
{
	struct bench *b = bench_new();
	u64 end = b->hw->hdr->ram_size;
	u8 buf[8192];
	size_t done;
	bool dst;

	memset(b->hw->ram + end - 4096, 0x11, 4096);
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(dma_read(b->hw, 0, end - 100, buf, 200), -EFAULT);
	assert_int_equal(b->faults, 1);
	assert_int_equal(b->last.class, FAULT_UNBACKED);
	assert_int_equal(b->last.iova, end);
	assert_int_equal(b->last.len, 200);
	assert_int_equal(buf[99], 0x11);
	assert_int_equal(buf[100], 0);
	assert_int_equal(buf[199], 0);
	assert_int_equal(buf[200], 0xff);
	assert_int_equal(dma_write(b->hw, 0, end - 4, buf + 196, 8), -EFAULT);
	assert_int_equal(b->hw->ram[end - 1], 0);
	assert_int_equal(dma_copy(b->hw, 0, end - 4096 - 50, 0x1000, 5000, &dst, &done),
			 -EFAULT);
	assert_true(dst);
	assert_int_equal(done, 4146);
	assert_int_equal(dma_copy(b->hw, 0, 0x2000, end - 10, 5000, &dst, &done),
			 -EFAULT);
	assert_false(dst);
	assert_int_equal(done, 10);
	assert_int_equal(dma_fill(b->hw, 0, end - 16, 0x0102030405060708, 24, &done),
			 -EFAULT);
	assert_int_equal(done, 16);
	assert_int_equal(b->hw->ram[end - 16], 8);
	/* An address space's very end. */
	assert_int_equal(dma_read(b->hw, 0, ~0ULL - 3, buf, 4), -EFAULT);
	assert_int_equal(dma_read(b->hw, 0, ~0ULL - 3, buf, 8), -EFAULT);
	bench_free(b);
}

static void copies_and_fills_any_alignment(void **state)
{
	struct bench *b = bench_new();
	u8 *ram = b->hw->ram;
	struct rnd r;
	size_t done;
	bool dst;

	rnd_seed(&r, 8);
	for (unsigned i = 0; i < 2000; i++) {
		u64 from = 0x10000 + rnd_below(&r, 10000),
		    to = 0x40000 + rnd_below(&r, 10000);
		u64 n = rnd_below(&r, 9000), pattern = rnd_u64(&r);

		for (u64 k = 0; k < n; k++)
			ram[from + k] = rnd_u64(&r);
		ram[to + n] = 0xa5;
		assert_int_equal(dma_copy(b->hw, 0, to, from, n, &dst, &done), 0);
		assert_int_equal(done, n);
		assert_memory_equal(ram + to, ram + from, n);
		assert_int_equal(ram[to + n], 0xa5);
		assert_int_equal(dma_fill(b->hw, 0, to, pattern, n, &done), 0);
		for (u64 k = 0; k < n; k++)
			assert_int_equal(ram[to + k], (u8)(pattern >> 8 * (k & 7)));
		assert_int_equal(ram[to + n], 0xa5);
	}
	bench_free(b);
}

static void peer_bar_is_reached(void **state)
{
	struct bench *b = bench_new();
	struct toy *t0 = endpoint_state(b->hw, 0), *t1 = endpoint_state(b->hw, 1);

	t0->regs[2] = 0xabcdef;
	t1->regs[2] = 0x777;
	write64(b, 0, 8, 0xe0000000 + BAR_SIZE); /* function 0 writes register 0 of 1 */
	assert_int_equal(t1->regs[0], 0xabcdef);
	write64(b, 1, 8, 0xe0000000);
	assert_int_equal(t0->regs[0], 0x777);
	write64(b, 0, 8, 0xe0000000); /* its own, while inside */
	assert_int_equal(t0->regs[0], 0xabcdef);
	/* Memory decoding off: nobody there. */
	b->hw->functions[1].config[4] = 4;
	write64(b, 0, 8, 0xe0000000 + BAR_SIZE);
	assert_int_equal(b->faults, 1);
	bench_free(b);
}

static void *hammer(void *arg)
{
	struct bench *b = arg;
	static _Atomic u32 who;
	u32 fn = atomic_fetch_add(&who, 1) & 1;

	for (unsigned i = 0; i < 300; i++)
		write64(b, fn, 8, 0xe0000000 + (fn ^ 1) * BAR_SIZE);
	return NULL;
}

static void peers_at_each_other_do_not_deadlock(void **state)
{
	struct bench *b = bench_new();
	pthread_t t[2];

	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, hammer, b), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	bench_free(b);
}

static unsigned handled;

static void handler(void *data)
{
	handled += (unsigned long)data;
}

static void irqs_are_allocated_and_delivered(void **state)
{
	struct bench *b = bench_new();
	struct device dev = {.machine = b->m, .hw_function = 0}, none = dev;
	struct msi_msg msg;
	int irq, other, n;

	none.hw_function = -1;
	irq = irq_alloc(&dev, HW_IRQ_MSI, 2, 7, handler, (void *)5UL);
	other = irq_alloc(&dev, HW_IRQ_MSI, 2, 8, NULL, NULL);
	assert_true(irq > 0 && other > 0 && irq != other);
	assert_int_equal(b->hw->irqs[irq].vector, 7);
	assert_int_equal(b->hw->irqs[irq].kind, HW_IRQ_MSI);
	assert_int_equal(irq_msi_message(&dev, irq, &msg), 0);
	assert_int_equal(dma_write(b->hw, 0, msg.address, &msg.data, 4), 0);
	assert_int_equal(b->irq_log[0], irq);
	irq_deliver(b->m, irq);
	irq_deliver(b->m, other);
	irq_deliver(b->m, 0xffffffff);
	irq_deliver(b->m, 3);
	assert_int_equal(handled, 5);
	assert_false(irq_remap_present(&dev));
	assert_false(irq_remap_present(&none));
	irq_free(&dev, irq);
	irq_deliver(b->m, irq);
	assert_int_equal(handled, 5);
	assert_int_equal(b->hw->irqs[irq].kind, HW_IRQ_NONE);
	irq_free(&dev, other);
	for (n = 0; irq_alloc(&dev, HW_IRQ_MSI, 0, 0, NULL, NULL) > 0; n++)
		;
	assert_int_equal(n, 256 * 208);
	assert_int_equal(irq_alloc(&dev, HW_IRQ_MSI, 0, 0, NULL, NULL), -ENOSPC);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accesses_are_split_by_width),
		cmocka_unit_test(work_runs_inline_then_kicks),
		cmocka_unit_test(reset_bumps_epoch_and_masks_vectors),
		cmocka_unit_test(death_of_the_owner_resets),
		cmocka_unit_test(msix_masked_vectors_pend),
		cmocka_unit_test(msi_multiple_vectors_and_masks),
		cmocka_unit_test(broken_capability_lists_end),
		cmocka_unit_test(bus_master_off_blocks),
		cmocka_unit_test(refused_part_reads_zero_rest_goes_on),
		cmocka_unit_test(copies_and_fills_any_alignment),
		cmocka_unit_test(peer_bar_is_reached),
		cmocka_unit_test(peers_at_each_other_do_not_deadlock),
		cmocka_unit_test(irqs_are_allocated_and_delivered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
