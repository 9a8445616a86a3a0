// SPDX-License-Identifier: MIT
/*
 * The AMD-Vi unit by itself: software that writes tables and commands by hand, from the
 * specification alone (no driver, no pgtable/). Translation is compared with a slow walk
 * that knows nothing of caches.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rand.h"
#include "machine/dma.h"
#include "machine/machine.h"
#include "machine/translate.h"
#include "units/amd/amd_regs.h"
#include "units/amd/amd_unit.h"
#include "units/units.h"

#define SID    0x0128
#define DOMAIN 7

static struct fx {
	struct machine *m;
	struct hw *hw;
	u64 devtab, ring, log, sem, tail;
	unsigned events, faults, irqs;
	u32 last_irq;
	struct dma_fault last;
} fx;

static void on_irq(struct hw *hw, u32 irq)
{
	fx.irqs++;
	fx.last_irq = irq;
}

static void on_fault(struct hw *hw, const struct dma_fault *fault)
{
	fx.faults++;
	fx.last = *fault;
}

static void on_event(struct hw *hw, u32 unit)
{
	fx.events++;
}

static const struct hw_host_ops ops = {
	.irq = on_irq, .fault = on_fault, .unit_event = on_event};

static const struct hw_host_ops quiet; /* for threads */

static u64 pages(unsigned order)
{
	phys_addr_t phys;

	assert_int_equal(ram_alloc_pages(fx.m, order, &phys), 0);
	return phys;
}

static u64 *ram(u64 phys)
{
	u64 *p = ram_ptr(fx.hw, phys, 8);

	assert_non_null(p);
	return p;
}

static u64 rd(u64 off)
{
	return unit_mmio_read(fx.hw, 0, off, 8);
}

static void wr(u64 off, u64 val)
{
	unit_mmio_write(fx.hw, 0, off, val, 8);
}

/* The first 512 device ids; translation, commands, events on. */
static void up(const struct amd_unit_config *config)
{
	struct amd_unit_config c = {0};

	memset(&fx, 0, sizeof(fx));
	if (config)
		c = *config;
	c.regs = 0xfed80000;
	assert_int_equal(machine_create(&fx.m, 64 << 20, 4, ""), 0);
	fx.hw = &fx.m->hw;
	fx.hw->ops = &ops;
	units_register(fx.hw);
	assert_int_equal(amd_unit_setup(fx.hw, 0, &c), 0);
	hw_function_init(fx.hw, 0);
	fx.hw->functions[0].requester_id = SID;
	fx.hw->functions[0].unit = 0;
	fx.hw->functions[0].config[4] = 6;
	fx.devtab = pages(2);
	fx.ring = pages(0);
	fx.log = pages(0);
	fx.sem = pages(0);
	wr(AMD_DEVTAB_BASE, fx.devtab | 3);
	wr(AMD_CMDBUF_BASE, fx.ring | AMD_RING_LEN(8));
	wr(AMD_EVTLOG_BASE, fx.log | AMD_RING_LEN(8));
	wr(AMD_CONTROL, AMD_CTRL_IOMMU_EN | AMD_CTRL_CMDBUF_EN | AMD_CTRL_EVT_LOG_EN |
				AMD_CTRL_EVT_INT_EN |
				(c.guest_apic ? AMD_CTRL_GA_EN : 0));
}

static void down(void)
{
	machine_destroy(fx.m);
}

static void command(u32 a, u32 b, u32 c, u32 d)
{
	u32 *p = (u32 *)ram(fx.ring + fx.tail);

	p[0] = a;
	p[1] = b;
	p[2] = c;
	p[3] = d;
	fx.tail = (fx.tail + 16) % 4096;
	wr(AMD_CMDBUF_TAIL, fx.tail);
}

static bool waited(void)
{
	*ram(fx.sem) = 0;
	command((u32)fx.sem | AMD_WAIT_STORE, AMD_CMD(AMD_CMD_COMPLETION_WAIT), 0x55,
		0x66);
	return *ram(fx.sem) == 0x6600000055;
}

static void dte(u64 d0, u64 d1, u64 d2)
{
	u64 *p = ram(fx.devtab + SID * 32);

	p[0] = d0;
	p[1] = d1;
	p[2] = d2;
	command(SID, AMD_CMD(AMD_CMD_INVALIDATE_DEVTAB), 0, 0);
}

static void flush_domain(void)
{
	command(0, AMD_CMD(AMD_CMD_INVALIDATE_PAGES) | DOMAIN,
		0xfffff000 | AMD_INV_SIZE | AMD_INV_PDE, 0x7fffffff);
	assert_true(waited());
}

#define GRANT  (AMD_PTE_PR | AMD_PTE_IR | AMD_PTE_IW)
#define DTE_ON (AMD_DTE0_V | AMD_DTE0_TV | AMD_DTE0_IR | AMD_DTE0_IW)

static int get(u64 iova, u64 *val)
{
	return dma_read(fx.hw, 0, iova, val, 8);
}

static int put(u64 iova, u64 val)
{
	return dma_write(fx.hw, 0, iova, &val, 8);
}

/* The newest event's second word; all of them are taken. */
static u32 take_event(void)
{
	u64 tail = rd(AMD_EVTLOG_TAIL);
	u32 word;

	if (tail == rd(AMD_EVTLOG_HEAD))
		return 0;
	word = ((u32 *)ram(fx.log + (tail ? tail - 16 : 4096 - 16)))[1];
	wr(AMD_EVTLOG_HEAD, tail);
	wr(AMD_STATUS, AMD_STATUS_EVT_INT | AMD_STATUS_EVT_OVERFLOW);
	return word;
}

static void amd_entry_decides_who_may_do_what(void **state)
{
	u64 value;

	up(NULL);
	*ram(0x5000) = 42;
	/* V clear: untouched. */
	assert_int_equal(get(0x5000, &value), 0);
	assert_int_equal(value, 42);
	/* V without TV: blocked. */
	dte(AMD_DTE0_V, DOMAIN, 0);
	assert_int_equal(get(0x5000, &value), -EFAULT);
	assert_int_equal(fx.last.class, FAULT_BLOCKED);
	assert_int_equal(take_event(), AMD_EVENT_IO_PAGE_FAULT << 28 | DOMAIN);
	/* Mode 0: untranslated, as IR and IW say. */
	dte(AMD_DTE0_V | AMD_DTE0_TV | AMD_DTE0_IR, DOMAIN, 0);
	assert_int_equal(get(0x5000, &value), 0);
	assert_int_equal(put(0x5000, 1), -EFAULT);
	assert_int_equal(take_event(),
			 AMD_EVENT_IO_PAGE_FAULT << 28 | AMD_EVF_RW << 16 | DOMAIN);
	/* Reserved bits and modes. */
	dte(DTE_ON | BIT_ULL(3), DOMAIN, 0);
	assert_int_equal(get(0x5000, &value), -EFAULT);
	assert_int_equal(take_event() >> 28, AMD_EVENT_ILLEGAL_DTE);
	dte(DTE_ON | AMD_DTE0_MODE(7), DOMAIN, 0);
	assert_int_equal(get(0x5000, &value), -EFAULT);
	assert_int_equal(take_event() >> 28, AMD_EVENT_ILLEGAL_DTE);
	/* Five levels on a unit of four. */
	dte(DTE_ON | AMD_DTE0_MODE(5), DOMAIN, 0);
	assert_int_equal(get(0x5000, &value), -EFAULT);
	assert_int_equal(take_event() >> 28, AMD_EVENT_ILLEGAL_DTE);
	/* Beyond the table, and a table that is not there. */
	fx.hw->functions[0].requester_id = 512;
	assert_int_equal(get(0x5000, &value), -EFAULT);
	assert_int_equal(take_event() >> 28, AMD_EVENT_ILLEGAL_DTE);
	wr(AMD_DEVTAB_BASE, 0xe00000000 | 3);
	fx.hw->functions[0].requester_id = SID + 1;
	assert_int_equal(get(0x5000, &value), -EFAULT);
	assert_int_equal(take_event() >> 28, AMD_EVENT_DEVTAB_ERROR);
	down();
}

static void amd_levels_can_be_skipped_where_addresses_are_zero(void **state)
{
	u64 top, leaf, value;

	up(NULL);
	top = pages(0);
	leaf = pages(0);
	*ram(0x9000) = 77;
	/* From level 4 straight to level 1. */
	ram(top)[2] = leaf | GRANT | AMD_PTE_NL(1);
	ram(leaf)[3] = 0x9000 | GRANT;
	dte(DTE_ON | AMD_DTE0_MODE(4) | top, DOMAIN, 0);
	assert_int_equal(get((2ULL << 39) + 0x3000, &value), 0);
	assert_int_equal(value, 77);
	assert_int_equal(get((2ULL << 39) + SZ_2M + 0x3000, &value), -EFAULT);
	assert_int_equal(fx.last.class, FAULT_NOT_PRESENT);
	/* Upwards or to its own level is not a way. */
	ram(top)[2] = leaf | GRANT | AMD_PTE_NL(4);
	flush_domain();
	assert_int_equal(get((2ULL << 39) + 0x3000, &value), -EFAULT);
	assert_int_equal(take_event() >> 16,
			 AMD_EVENT_IO_PAGE_FAULT << 12 | AMD_EVF_PR | AMD_EVF_RZ);
	/* Beyond four levels. */
	assert_int_equal(get(1ULL << 48, &value), -EFAULT);
	assert_int_equal(fx.last.class, FAULT_ADDRESS_WIDTH);
	down();
}

static void amd_page_sizes_are_what_the_ones_say(void **state)
{
	u64 top, value;

	up(NULL);
	top = pages(0);
	/* Level 1: 64 KiB at 0x10000 -> 0x200000; the entry repeats sixteen times. */
	for (unsigned i = 16; i < 32; i++)
		ram(top)[i] = 0x200000 | 0x7000 | GRANT | AMD_PTE_NL(7);
	for (unsigned i = 0; i < 16; i++)
		*ram(0x200000 + i * PAGE_SIZE) = i;
	dte(DTE_ON | AMD_DTE0_MODE(1) | top, DOMAIN, 0);
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(get(0x10000 + i * PAGE_SIZE, &value), 0);
		assert_int_equal(value, i);
	}
	/* No run of ones at all is 8 KiB; a page as large as the next level's is illegal.
	 */
	ram(top)[40] = 0x200000 | GRANT | AMD_PTE_NL(7);
	assert_int_equal(get(40 * PAGE_SIZE, &value), 0);
	ram(top)[50] = (0x200000 | ((SZ_1M - 1) & PAGE_MASK)) | GRANT | AMD_PTE_NL(7);
	assert_int_equal(get(50 * PAGE_SIZE, &value), -EFAULT);
	assert_int_equal(take_event() >> 16,
			 AMD_EVENT_IO_PAGE_FAULT << 12 | AMD_EVF_PR | AMD_EVF_RZ);
	down();
}

/* --- random tables against a slow walk ---------------------------------------------- */

struct slow {
	bool ok,
		encoded; /* encoded: a page of several entries, which here seldom agree */
	u64 phys;
};

static struct slow slow_walk(u64 table, unsigned mode, u64 iova, bool write)
{
	struct slow no = {0};
	u64 need = write ? AMD_PTE_IW : AMD_PTE_IR;

	if (mode < 6 && iova >> (12 + 9 * mode))
		return no;
	for (unsigned level = mode; level;) {
		unsigned shift = 12 + 9 * (level - 1), next, lg2 = shift;
		u64 pte;

		if (table + 4096 > 64 << 20)
			return no;
		pte = *ram(table + (iova >> shift & 511) * 8);
		next = pte >> 9 & 7;
		if (!(pte & 1) || !(pte & need) || (pte & GENMASK_ULL(58, 52)))
			return no;
		if (next == 0 || next == 7) {
			u64 addr = pte & AMD_PTE_ADDR;

			if (next == 7) {
				for (lg2 = 13; lg2 <= 52 && addr & (1ULL << (lg2 - 1));
				     lg2++)
					;
				if (lg2 <= shift || lg2 >= shift + 9)
					return no;
			} else if (addr % (1ULL << lg2)) {
				return no;
			}
			return (struct slow){true, next == 7,
					     (addr >> lg2 << lg2) + iova % (1ULL << lg2)};
		}
		if (next >= level ||
		    (next + 1 < level && iova % (1ULL << shift) >> (12 + 9 * next)))
			return no;
		table = pte & AMD_PTE_ADDR;
		level = next;
	}
	return no;
}

static int translate(u64 iova, bool write, u64 len, struct dma_translation *out)
{
	struct dma_request req = {SID, write ? DMA_WRITE : DMA_READ, NO_PASID, iova, len};
	struct translator *x = translator_enter(fx.hw);
	struct dma_fault fault = {0};
	int rc = amd_unit_ops.translate(fx.hw, &fx.hw->units[0], x, &req, out, &fault);

	translator_leave(x);
	return rc;
}

/* Tables point at each other, at pages and nowhere; every answer is the walk's. */
static void random_walks(const struct amd_unit_config *config, unsigned max_mode)
{
	enum { TABLES = 6 };
	u64 table[TABLES], iova;
	unsigned hits = 0;
	struct rnd r;

	up(config);
	rnd_seed(&r, 31 + max_mode);
	for (unsigned i = 0; i < TABLES; i++)
		table[i] = pages(0);
	for (unsigned round = 0; round < 300; round++) {
		unsigned mode = 1 + rnd_below(&r, max_mode);

		for (unsigned i = 0; i < TABLES * 16; i++) {
			u64 *p = ram(table[i % TABLES]) + (i / TABLES) % 8;
			u64 kind = rnd_below(&r, 8), lg2;

			if (kind < 3) {
				*p = table[rnd_below(&r, TABLES)] | AMD_PTE_PR |
				     AMD_PTE_NL(1 +
						rnd_below(&r, rnd_one_in(&r, 4) ? 6 : 3));
			} else if (kind < 6) {
				*p = (rnd_below(&r, 64) << (12 + 9 * rnd_below(&r, 3))) |
				     AMD_PTE_PR;
			} else if (kind < 7) {
				lg2 = 13 + rnd_below(&r, 12);
				*p = (rnd_below(&r, 8) << lg2) | AMD_PTE_PR |
				     AMD_PTE_NL(7) |
				     (((1ULL << (lg2 - 1)) - 1) & PAGE_MASK);
			} else {
				*p = 0;
			}
			*p |= rnd_one_in(&r, 5) ? AMD_PTE_IR : AMD_PTE_IR | AMD_PTE_IW;
			if (rnd_one_in(&r, 40))
				*p |= BIT_ULL(52 + rnd_below(&r, 7));
		}
		dte(DTE_ON | AMD_DTE0_MODE(mode) | table[0], DOMAIN, 0);
		flush_domain();
		for (unsigned i = 0; i < 200; i++) {
			bool write = rnd_one_in(&r, 2);
			struct dma_translation t = {0};
			struct slow want, at;

			iova = 0;
			for (unsigned level = 0; level < 6; level++)
				iova |= rnd_below(&r, rnd_one_in(&r, 3) ? 8 : 1)
					<< (12 + 9 * level);
			iova |= rnd_below(&r, 4096);
			if (iova >= AMD_HT_RANGE_BASE && iova <= AMD_HT_RANGE_LAST)
				continue;
			want = slow_walk(table[0], mode, iova, write);
			assert_int_equal(translate(iova, write, rnd_below(&r, 3) * 8192,
						   &t),
					 want.ok ? 0 : -EFAULT);
			if (!want.ok)
				continue;
			hits++;
			assert_int_equal(t.phys, want.phys);
			assert_true(t.len >= 1);
			if (want.encoded)
				continue;
			/* The last byte is where the length says it is. */
			at = slow_walk(table[0], mode, iova + t.len - 1, write);
			assert_true(at.ok);
			assert_int_equal(at.phys, want.phys + t.len - 1);
		}
	}
	assert_true(hits > 500);
	down();
}

static void amd_random_tables_equal_slow_walk(void **state)
{
	struct amd_unit_config six = {.levels = 6}, caching = {.np_cache = true};

	random_walks(NULL, 4);
	random_walks(&six, 6);
	random_walks(&caching, 4);
}

/* --- commands -------------------------------------------------------------------- */

static void amd_invalidation_forgets_and_only_then(void **state)
{
	struct amd_unit_config config = {.np_cache = true};
	u64 top, value;

	up(&config);
	top = pages(0);
	dte(DTE_ON | AMD_DTE0_MODE(1) | top, DOMAIN, 0);
	ram(top)[1] = 0x9000 | GRANT;
	*ram(0x9000) = 1;
	*ram(0xa000) = 2;
	assert_int_equal(get(0x1000, &value), 0);
	assert_int_equal(get(0x2000, &value), -EFAULT);
	ram(top)[1] = 0xa000 | GRANT;
	ram(top)[2] = 0xa000 | GRANT;
	assert_int_equal(get(0x1000, &value), 0);
	assert_int_equal(value, 1);
	assert_int_equal(get(0x2000, &value), -EFAULT);
	/* Another domain's invalidation changes nothing. */
	command(0, AMD_CMD(AMD_CMD_INVALIDATE_PAGES) | (DOMAIN + 1), 0x1000, 0);
	assert_int_equal(get(0x1000, &value), 0);
	assert_int_equal(value, 1);
	flush_domain();
	assert_int_equal(get(0x1000, &value), 0);
	assert_int_equal(value, 2);
	assert_int_equal(get(0x2000, &value), 0);
	/* INVALIDATE_IOMMU_ALL. */
	ram(top)[1] = 0;
	assert_int_equal(get(0x1000, &value), 0);
	command(0, AMD_CMD(AMD_CMD_INVALIDATE_ALL), 0, 0);
	assert_true(waited());
	assert_int_equal(get(0x1000, &value), -EFAULT);
	down();
}

static _Atomic bool writing;
static _Atomic u64 moved;

static void *keep_writing(void *data)
{
	u8 buf[512];

	memset(buf, 0xff, sizeof(buf));
	while (atomic_load(&writing)) {
		if (!dma_write(fx.hw, 0, 0x1100, buf, sizeof(buf)))
			atomic_fetch_add(&moved, 1);
	}
	return NULL;
}

/* COMPLETION_WAIT waits for those who translate: nothing moves behind it. */
static void amd_completion_means_no_write_is_under_way(void **state)
{
	static const u8 zeroes[4096];
	time_t end = time(NULL) + 4;
	pthread_t threads[3];
	u64 top, page;

	up(NULL);
	top = pages(0);
	page = pages(0);
	dte(DTE_ON | AMD_DTE0_MODE(1) | top, DOMAIN | AMD_DTE1_SA, 0);
	fx.hw->ops = &quiet;
	atomic_store(&writing, true);
	atomic_store(&moved, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, keep_writing, NULL),
				 0);
	for (unsigned i = 0; i < 1000 && time(NULL) < end; i++) {
		u8 *mem = ram_ptr(fx.hw, page, 4096);

		__atomic_store_n(&ram(top)[1], page | GRANT, __ATOMIC_RELAXED);
		for (unsigned spin = 0; spin < 200 + i % 700; spin++)
			__asm__ volatile("pause");
		if (i % 64 == 0)
			usleep(200);
		__atomic_store_n(&ram(top)[1], 0, __ATOMIC_RELAXED);
		flush_domain();
		memset(mem, 0, 4096);
		for (unsigned look = 0; look < 3; look++) {
			assert_memory_equal(mem, zeroes, sizeof(zeroes));
			sched_yield();
		}
	}
	atomic_store(&writing, false);
	for (unsigned i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_true(atomic_load(&moved) > 10);
	down();
}

static void amd_illegal_command_stops_until_restart(void **state)
{
	static const u32 bad[][4] = {
		{0, 0, 0, 0},
		{0, AMD_CMD(9), 0, 0},
		{SID, AMD_CMD(AMD_CMD_INVALIDATE_DEVTAB), 1, 0},
		{0x10000, AMD_CMD(AMD_CMD_INVALIDATE_DEVTAB), 0, 0},
		{0, AMD_CMD(AMD_CMD_INVALIDATE_PAGES), 0x20, 0},
		{0, AMD_CMD(AMD_CMD_COMPLETE_PPR), 0, 0},
		{0, AMD_CMD(AMD_CMD_INVALIDATE_ALL), 0, 1},
	};

	up(NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		u64 at = fx.tail, control = rd(AMD_CONTROL);

		command(bad[i][0], bad[i][1], bad[i][2], bad[i][3]);
		assert_false(rd(AMD_STATUS) & AMD_STATUS_CMD_RUN);
		assert_int_equal(rd(AMD_CMDBUF_HEAD), at);
		assert_int_equal(take_event(), AMD_EVENT_ILLEGAL_CMD << 28);
		assert_false(waited());
		wr(AMD_CONTROL, control & ~AMD_CTRL_CMDBUF_EN);
		wr(AMD_CMDBUF_BASE, fx.ring | AMD_RING_LEN(8));
		fx.tail = 0;
		wr(AMD_CONTROL, control);
		assert_true(waited());
	}
	/* A buffer that is not in memory. */
	wr(AMD_CMDBUF_BASE, 0xf00000000 | AMD_RING_LEN(8));
	wr(AMD_CMDBUF_TAIL, 16);
	assert_int_equal(take_event(), AMD_EVENT_CMD_ERROR << 28);
	down();
}

static void amd_event_log_overflows_and_restarts(void **state)
{
	u64 value, control;

	up(NULL);
	dte(AMD_DTE0_V, DOMAIN, 0);
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(get(i * PAGE_SIZE, &value), -EFAULT);
	/* One interrupt as long as software does not clear it. */
	assert_int_equal(fx.events, 1);
	assert_int_equal(rd(AMD_EVTLOG_TAIL), 255 * 16);
	assert_true(rd(AMD_STATUS) & AMD_STATUS_EVT_OVERFLOW);
	assert_false(rd(AMD_STATUS) & AMD_STATUS_EVT_RUN);
	assert_int_equal(((u32 *)ram(fx.log + 5 * 16))[2], 5 * PAGE_SIZE);
	assert_int_equal(((u32 *)ram(fx.log + 5 * 16))[0], SID);
	take_event();
	get(0, &value);
	assert_int_equal(take_event(), 0);
	control = rd(AMD_CONTROL);
	wr(AMD_CONTROL, control & ~AMD_CTRL_EVT_LOG_EN);
	wr(AMD_CONTROL, control);
	get(0, &value);
	assert_int_equal(take_event() >> 28, AMD_EVENT_IO_PAGE_FAULT);
	assert_int_equal(fx.events, 2);
	/* SA: silence. */
	dte(AMD_DTE0_V, DOMAIN | AMD_DTE1_SA, 0);
	get(0, &value);
	assert_int_equal(take_event(), 0);
	down();
}

static void amd_exclusion_range_goes_untranslated(void **state)
{
	u64 top, value;

	up(NULL);
	top = pages(0);
	*ram(0x31000) = 5;
	dte(DTE_ON | AMD_DTE0_MODE(1) | top, DOMAIN, 0);
	wr(AMD_EXCL_LIMIT, 0x32000);
	wr(AMD_EXCL_BASE, 0x31000 | AMD_EXCL_EX_EN);
	assert_int_equal(get(0x31000, &value), -EFAULT);
	dte(DTE_ON | AMD_DTE0_MODE(1) | top, DOMAIN | AMD_DTE1_EX, 0);
	assert_int_equal(get(0x31000, &value), 0);
	assert_int_equal(value, 5);
	assert_int_equal(get(0x32ff8, &value), 0);
	assert_int_equal(get(0x33000, &value), -EFAULT);
	assert_int_equal(get(0x30ff8, &value), -EFAULT);
	dte(DTE_ON | AMD_DTE0_MODE(1) | top, DOMAIN, 0);
	wr(AMD_EXCL_BASE, 0x31000 | AMD_EXCL_EX_EN | AMD_EXCL_ALLOW);
	assert_int_equal(get(0x31000, &value), 0);
	wr(AMD_EXCL_BASE, 0);
	assert_int_equal(get(0x31000, &value), -EFAULT);
	down();
}

static void amd_ht_range_is_no_memory(void **state)
{
	struct amd_unit_config config = {.no_ht_range = true};
	u64 top, value;

	for (unsigned i = 0; i < 2; i++) {
		up(i ? &config : NULL);
		top = pages(0);
		ram(top)[1] = 0 | GRANT;
		dte(DTE_ON | AMD_DTE0_MODE(4) | top, DOMAIN, 0);
		/* A page of 512 GiB. */
		assert_int_equal(get(0x8000001000, &value), 0);
		assert_int_equal(get(AMD_HT_RANGE_BASE - 8, &value), -EFAULT);
		assert_int_equal(fx.last.class, FAULT_UNBACKED);
		assert_int_equal(get(AMD_HT_RANGE_BASE, &value), -EFAULT);
		assert_int_equal(fx.last.class, i ? FAULT_UNBACKED : FAULT_ADDRESS_WIDTH);
		assert_int_equal(get(AMD_HT_RANGE_LAST - 7, &value), -EFAULT);
		assert_int_equal(fx.last.class, i ? FAULT_UNBACKED : FAULT_ADDRESS_WIDTH);
		down();
	}
}

static void amd_writes_mark_pages_dirty(void **state)
{
	struct amd_unit_config config = {.dirty = true};
	u64 top, value;

	up(&config);
	top = pages(0);
	ram(top)[1] = 0x9000 | GRANT;
	dte(DTE_ON | AMD_DTE0_MODE(1) | AMD_DTE0_HAD | top, DOMAIN, 0);
	assert_int_equal(get(0x1000, &value), 0);
	assert_int_equal(ram(top)[1], 0x9000 | GRANT | AMD_PTE_A);
	assert_int_equal(put(0x1000, 1), 0);
	assert_int_equal(ram(top)[1], 0x9000 | GRANT | AMD_PTE_A | AMD_PTE_D);
	/* Read and cleared, and the next write marks again. */
	ram(top)[1] &= ~AMD_PTE_D;
	flush_domain();
	assert_int_equal(put(0x1000, 2), 0);
	assert_true(ram(top)[1] & AMD_PTE_D);
	down();
}

/* --- interrupts -------------------------------------------------------------------- */

static void msi(u32 data)
{
	(void)dma_write(fx.hw, 0, 0xfee00000, &data, 4);
}

static void irq_tables(bool ga)
{
	struct amd_unit_config config = {.guest_apic = ga};
	u64 table, ctl = AMD_DTE2_IV | AMD_DTE2_LEN(4) | AMD_DTE2_CTL(AMD_INTCTL_REMAP);

	up(&config);
	table = pages(0);
	/* No valid map: as it is. */
	dte(DTE_ON, DOMAIN, 0);
	msi(0x31);
	assert_int_equal(fx.irqs, 1);
	assert_int_equal(fx.last_irq, 0x31);
	dte(DTE_ON, DOMAIN, AMD_DTE2_IV);
	msi(0x31);
	assert_int_equal(fx.irqs, 1);
	assert_int_equal(fx.last.class, FAULT_IRQ);
	dte(DTE_ON, DOMAIN, AMD_DTE2_IV | AMD_DTE2_CTL(AMD_INTCTL_FORWARD));
	msi(0x31);
	assert_int_equal(fx.irqs, 2);
	dte(DTE_ON, DOMAIN, ctl | table);
	if (ga) {
		ram(table)[6] = AMD_IRTE_EN | AMD_IRTE_DEST(2);
		ram(table)[7] = 0x44;
	} else {
		((u32 *)ram(table))[3] =
			AMD_IRTE_EN | AMD_IRTE_DEST(2) | AMD_IRTE_VECTOR(0x44);
	}
	msi(3);
	assert_int_equal(fx.irqs, 3);
	assert_int_equal(fx.last_irq, 0x244);
	take_event();
	/* Not enabled; beyond the table; an NMI that the entry does not let pass. */
	msi(4);
	assert_int_equal(take_event() >> 16,
			 AMD_EVENT_IO_PAGE_FAULT << 12 | AMD_EVF_I | AMD_EVF_RW);
	msi(16);
	assert_int_equal(take_event() >> 28, AMD_EVENT_IO_PAGE_FAULT);
	msi(0x431);
	assert_int_equal(take_event() >> 28, AMD_EVENT_IO_PAGE_FAULT);
	assert_int_equal(fx.irqs, 3);
	dte(DTE_ON, DOMAIN, ctl | table | AMD_DTE2_NMI);
	msi(0x431);
	assert_int_equal(fx.irqs, 4);
	assert_int_equal(fx.last_irq, 0x31);
	/* Taken away. */
	if (ga)
		ram(table)[6] = 0;
	else
		((u32 *)ram(table))[3] = 0;
	msi(3);
	assert_int_equal(fx.irqs, 4);
	down();
}

static void amd_interrupts_go_by_the_devices_table(void **state)
{
	irq_tables(false);
	irq_tables(true);
}

static void amd_interrupt_entries_are_cached_until_invalidated(void **state)
{
	u64 table;

	up(NULL);
	table = pages(0);
	dte(DTE_ON, DOMAIN,
	    AMD_DTE2_IV | AMD_DTE2_LEN(4) | AMD_DTE2_CTL(AMD_INTCTL_REMAP) | table);
	((u32 *)ram(table))[3] = AMD_IRTE_EN | AMD_IRTE_VECTOR(0x44);
	msi(3);
	((u32 *)ram(table))[3] = 0;
	msi(3);
	assert_int_equal(fx.irqs, 2);
	command(SID, AMD_CMD(AMD_CMD_INVALIDATE_INTERRUPT), 0, 0);
	assert_true(waited());
	msi(3);
	assert_int_equal(fx.irqs, 2);
	/* Reserved bits. */
	((u32 *)ram(table))[3] = AMD_IRTE_EN | BIT(30);
	take_event();
	msi(3);
	assert_int_equal(take_event() >> 16, AMD_EVENT_IO_PAGE_FAULT << 12 | AMD_EVF_I |
						     AMD_EVF_RW | AMD_EVF_PR |
						     AMD_EVF_RZ);
	down();
}

static void amd_odd_register_accesses_are_refused(void **state)
{
	up(NULL);
	assert_int_equal(unit_mmio_read(fx.hw, 0, AMD_CONTROL, 2), 0xffff);
	assert_int_equal(unit_mmio_read(fx.hw, 0, AMD_CONTROL + 4, 8), ~0ULL);
	assert_int_equal(unit_mmio_read(fx.hw, 0, AMD_REGS_SIZE, 8), ~0ULL);
	unit_mmio_write(fx.hw, 0, AMD_DEVTAB_BASE + 4, 5, 4);
	assert_int_equal(rd(AMD_DEVTAB_BASE), 5ULL << 32 | fx.devtab | 3);
	wr(AMD_EFR, 0);
	assert_true(rd(AMD_EFR) & AMD_EFR_IA);
	for (u16 reason = 1; reason < 9; reason++)
		assert_non_null(amd_unit_ops.reason(reason << 12));
	assert_null(amd_unit_ops.reason(0xf000));
	down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(amd_entry_decides_who_may_do_what),
		cmocka_unit_test(amd_levels_can_be_skipped_where_addresses_are_zero),
		cmocka_unit_test(amd_page_sizes_are_what_the_ones_say),
		cmocka_unit_test(amd_random_tables_equal_slow_walk),
		cmocka_unit_test(amd_invalidation_forgets_and_only_then),
		cmocka_unit_test(amd_completion_means_no_write_is_under_way),
		cmocka_unit_test(amd_illegal_command_stops_until_restart),
		cmocka_unit_test(amd_event_log_overflows_and_restarts),
		cmocka_unit_test(amd_exclusion_range_goes_untranslated),
		cmocka_unit_test(amd_ht_range_is_no_memory),
		cmocka_unit_test(amd_writes_mark_pages_dirty),
		cmocka_unit_test(amd_interrupts_go_by_the_devices_table),
		cmocka_unit_test(amd_interrupt_entries_are_cached_until_invalidated),
		cmocka_unit_test(amd_odd_register_accesses_are_refused),
	};

	return cmocka_run_group_tests_name("amd-unit", tests, NULL, NULL);
}
