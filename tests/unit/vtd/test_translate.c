// SPDX-License-Identifier: MIT
/*
 * Translation: each fault reason from a table made by hand, TLB behaviour, and random
 * tables (many of them broken) against a walker written for clarity alone.
 */
#include <string.h>

#include "base/rand.h"
#include "machine/translate.h"
#include "tests/unit/vtd/vtd_fixture.h"

#define RW (VTD_SS_R | VTD_SS_W)

static u64 hint; /* dma_request.len */

static int translate(struct fx *fx, u16 sid, u64 iova, u8 access,
		     struct dma_translation *t, struct dma_fault *f)
{
	struct dma_request req = {.sid = sid,
				  .access = access,
				  .pasid = NO_PASID,
				  .iova = iova,
				  .len = hint};
	struct translator *x = translator_enter(fx->hw);
	struct dma_fault fault = {0};
	int ret;

	ret = vtd_unit_ops.translate(fx->hw, &fx->hw->units[0], x, &req, t, &fault);
	translator_leave(x);
	if (f)
		*f = fault;
	return ret;
}

static void expect_fault(struct fx *fx, u64 iova, u8 access, u16 reason, u8 class)
{
	struct dma_translation t;
	struct dma_fault f;

	assert_int_equal(translate(fx, FX_SID, iova, access, &t, &f), -EFAULT);
	assert_int_equal(f.reason, reason);
	assert_int_equal(f.class, class);
}

static void expect_phys(struct fx *fx, u64 iova, u8 access, u64 phys)
{
	struct dma_translation t;

	assert_int_equal(translate(fx, FX_SID, iova, access, &t, NULL), 0);
	assert_int_equal(t.phys, phys);
	assert_true(t.len >= 1);
}

static void unit_translation_off_identity(void **state)
{
	struct fx fx;

	fx_init(&fx, NULL);
	expect_phys(&fx, 0x123456789, DMA_WRITE, 0x123456789);
	fx_exit(&fx);
}

static void walk_all_sizes_and_levels(void **state)
{
	static const unsigned widths[] = {39, 48, 57};

	for (unsigned i = 0; i < 3; i++) {
		struct vtd_unit_config c = {.aw_bits = 57};
		unsigned levels = 3 + i;
		u64 top = 1ULL << (widths[i] - 1), table;
		struct fx fx;

		fx_init(&fx, &c);
		table = fx_page(&fx);
		fx_map(&fx, table, levels, top + 0x1000, 0x7000, 12, RW);
		fx_map(&fx, table, levels, top + SZ_2M, 0x600000, 21, RW);
		fx_map(&fx, table, levels, top + SZ_1G, 5 * SZ_1G, 30, VTD_SS_R);
		fx_enable(&fx, table | VTD_CTX_P, VTD_CTX_AW(i + 1) | VTD_CTX_DID(9));
		for (int again = 0; again < 2; again++) {
			expect_phys(&fx, top + 0x1234, DMA_WRITE, 0x7234);
			expect_phys(&fx, top + SZ_2M + 0x12345, DMA_READ, 0x612345);
			expect_phys(&fx, top + SZ_1G + 0x1234567, DMA_READ,
				    5 * SZ_1G + 0x1234567);
			expect_fault(&fx, top + SZ_1G + 8, DMA_WRITE, 5, FAULT_WRITE);
			expect_fault(&fx, top + 0x2000, DMA_READ, 6, FAULT_NOT_PRESENT);
			expect_fault(&fx, 1ULL << widths[i], DMA_READ,
				     VTD_FR_ADDRESS_WIDTH, FAULT_ADDRESS_WIDTH);
		}
		fx_exit(&fx);
	}
}

static void faults_have_the_specified_reasons(void **state)
{
	u64 table, *pte, *root, aw = VTD_CTX_AW(2) | VTD_CTX_DID(3);
	struct fx fx;

	fx_init(&fx, NULL);
	table = fx_page(&fx);
	fx_map(&fx, table, 4, 0x1000, 0x7000, 12, RW);
	fx_enable(&fx, table | VTD_CTX_P, aw);
	root = fx_qword(&fx, fx.root + (FX_SID >> 8) * 16);

#define CASE(reason, class)                                         \
	do {                                                        \
		fx_flush_all(&fx);                                  \
		expect_fault(&fx, 0x1000, DMA_READ, reason, class); \
	} while (0)
	*root = fx.context;
	CASE(VTD_FR_ROOT_NOT_PRESENT, FAULT_BLOCKED);
	*root = fx.context | VTD_ROOT_P | 2;
	CASE(VTD_FR_ROOT_RESERVED, FAULT_TABLE);
	root[1] = 1;
	*root = fx.context | VTD_ROOT_P;
	CASE(VTD_FR_ROOT_RESERVED, FAULT_TABLE);
	root[1] = 0;
	*root = 0x7000000000ULL | VTD_ROOT_P;
	CASE(VTD_FR_CONTEXT_ACCESS, FAULT_TABLE);
	*root = fx.context | VTD_ROOT_P;
	fx_context(&fx, FX_SID, table, aw);
	CASE(VTD_FR_CONTEXT_NOT_PRESENT, FAULT_BLOCKED);
	fx_context(&fx, FX_SID, table | VTD_CTX_P | BIT_ULL(4), aw);
	CASE(VTD_FR_CONTEXT_RESERVED, FAULT_TABLE);
	fx_context(&fx, FX_SID, table | VTD_CTX_P, aw | BIT_ULL(24));
	CASE(VTD_FR_CONTEXT_RESERVED, FAULT_TABLE);
	fx_context(&fx, FX_SID, table | VTD_CTX_P, VTD_CTX_AW(3));
	CASE(VTD_FR_CONTEXT_INVALID, FAULT_TABLE);
	fx_context(&fx, FX_SID, table | VTD_CTX_P, VTD_CTX_AW(0));
	CASE(VTD_FR_CONTEXT_INVALID, FAULT_TABLE);
	fx_context(&fx, FX_SID, table | VTD_CTX_P | VTD_CTX_TT(1), aw);
	CASE(VTD_FR_CONTEXT_INVALID, FAULT_TABLE);
	fx_context(&fx, FX_SID, table | VTD_CTX_P | VTD_CTX_TT(3), aw);
	CASE(VTD_FR_CONTEXT_INVALID, FAULT_TABLE);
	fx_context(&fx, FX_SID, BIT_ULL(50) | VTD_CTX_P, aw);
	CASE(VTD_FR_CONTEXT_INVALID, FAULT_TABLE);
	fx_context(&fx, FX_SID, 0x7000000000ULL | VTD_CTX_P, aw);
	CASE(VTD_FR_TABLE_ACCESS, FAULT_TABLE);
	fx_context(&fx, FX_SID, table | VTD_CTX_P, aw);
	fx_flush_all(&fx);
	expect_phys(&fx, 0x1000, DMA_READ, 0x7000);

	pte = fx_pte(&fx, table, 4, 0x1000, 1);
	*pte |= VTD_SS_SNP;
	CASE(VTD_FR_PTE_RESERVED, FAULT_TABLE);
	*pte = 0x7000 | RW | VTD_SS_TM;
	CASE(VTD_FR_PTE_RESERVED, FAULT_TABLE);
	*pte = 0x7000 | RW | BIT_ULL(48);
	CASE(VTD_FR_PTE_RESERVED, FAULT_TABLE);
	*pte = 0x7000 | RW | BIT_ULL(63) | BIT_ULL(52) | VTD_SS_EMT | VTD_SS_A;
	fx_flush_all(&fx);
	expect_phys(&fx, 0x1000, DMA_READ, 0x7000);
	*pte = 0x7000 | VTD_SS_W;
	CASE(VTD_FR_READ, FAULT_READ);
	*pte = 0;
	CASE(VTD_FR_READ, FAULT_NOT_PRESENT);
	*fx_pte(&fx, table, 4, 0x1000, 3) |= VTD_SS_SNP;
	CASE(VTD_FR_PTE_RESERVED, FAULT_TABLE);
	*fx_pte(&fx, table, 4, 0x1000, 4) |= VTD_SS_PS;
	CASE(VTD_FR_PTE_RESERVED, FAULT_TABLE);

	fx_wr64(&fx, VTD_RTADDR, 0x7000000000ULL);
	fx_gcmd(&fx, VTD_GCMD_SRTP, true);
	CASE(VTD_FR_ROOT_ACCESS, FAULT_TABLE);
	fx_wr64(&fx, VTD_RTADDR, fx.root | VTD_RTADDR_TTM_ABORT);
	fx_gcmd(&fx, VTD_GCMD_SRTP, true);
	CASE(VTD_FR_RTA_ABORT, FAULT_BLOCKED);
#undef CASE
	fx_exit(&fx);
}

static void permissions_are_the_and_of_all_levels(void **state)
{
	struct dma_translation t;
	struct fx fx;
	u64 table;

	fx_init(&fx, NULL);
	table = fx_page(&fx);
	fx_map(&fx, table, 4, 0x1000, 0x7000, 12, RW);
	*fx_pte(&fx, table, 4, 0x1000, 3) &= ~VTD_SS_W;
	fx_enable(&fx, table | VTD_CTX_P, VTD_CTX_AW(2));
	assert_int_equal(translate(&fx, FX_SID, 0x1000, DMA_READ, &t, NULL), 0);
	assert_int_equal(t.access, DMA_READ);
	expect_fault(&fx, 0x1000, DMA_WRITE, 5, FAULT_WRITE);
	fx_exit(&fx);
}

static void pass_through_needs_no_table(void **state)
{
	struct vtd_unit_config c = {.no_pass_through = true};
	struct fx fx;

	fx_init(&fx, NULL);
	fx_enable(&fx, VTD_CTX_P | VTD_CTX_TT(VTD_TT_PASS_THROUGH), VTD_CTX_AW(2));
	expect_phys(&fx, 0xabcdef, DMA_WRITE, 0xabcdef);
	expect_fault(&fx, BIT_ULL(48), DMA_WRITE, VTD_FR_ADDRESS_WIDTH,
		     FAULT_ADDRESS_WIDTH);
	fx_exit(&fx);
	fx_init(&fx, &c);
	fx_enable(&fx, VTD_CTX_P | VTD_CTX_TT(VTD_TT_PASS_THROUGH), VTD_CTX_AW(2));
	expect_fault(&fx, 0, DMA_WRITE, VTD_FR_CONTEXT_INVALID, FAULT_TABLE);
	fx_exit(&fx);
}

static void snoop_bit_allowed_with_snoop_control(void **state)
{
	struct vtd_unit_config c = {.snoop_control = true};
	struct fx fx;
	u64 table;

	fx_init(&fx, &c);
	table = fx_page(&fx);
	fx_map(&fx, table, 4, 0x1000, 0x7000, 12, RW | VTD_SS_SNP);
	fx_enable(&fx, table | VTD_CTX_P, VTD_CTX_AW(2));
	expect_phys(&fx, 0x1000, DMA_READ, 0x7000);
	fx_exit(&fx);
}

/* Each kind of invalidation that must drop an entry does, and what need not be, is not.
 */
static void stale_until_invalidated(void **state)
{
	struct fx fx;
	u64 t1, t2;

	fx_init(&fx, NULL);
	t1 = fx_page(&fx);
	t2 = fx_page(&fx);
	fx_map(&fx, t1, 4, 0x1000, 0x7000, 12, RW);
	fx_map(&fx, t2, 4, 0x1000, 0x9000, 12, RW);
	fx_enable(&fx, t1 | VTD_CTX_P, VTD_CTX_AW(2) | VTD_CTX_DID(5));
	expect_phys(&fx, 0x1000, DMA_READ, 0x7000);
	fx_map(&fx, t1, 4, 0x1000, 0x8000, 12, RW);
	expect_phys(&fx, 0x1000, DMA_READ, 0x7000);
	fx_submit(&fx, VTD_QI_IOTLB | VTD_QI_GRAN(VTD_GRAN_DOMAIN) | VTD_QI_DID(6), 0);
	expect_phys(&fx, 0x1000, DMA_READ, 0x7000);
	fx_submit(&fx, VTD_QI_IOTLB | VTD_QI_GRAN(VTD_GRAN_PAGE) | VTD_QI_DID(5), 0x1000);
	expect_phys(&fx, 0x1000, DMA_READ, 0x8000);

	/* A new context with the same domain id: the IOTLB goes on with the old pages. */
	fx_context(&fx, FX_SID, t2 | VTD_CTX_P, VTD_CTX_AW(2) | VTD_CTX_DID(5));
	fx_submit(&fx,
		  VTD_QI_CONTEXT | VTD_QI_GRAN(VTD_GRAN_DEVICE) | VTD_QI_CC_SID(FX_SID),
		  0);
	expect_phys(&fx, 0x1000, DMA_READ, 0x8000);
	fx_submit(&fx, VTD_QI_IOTLB | VTD_QI_GRAN(VTD_GRAN_DOMAIN) | VTD_QI_DID(5), 0);
	expect_phys(&fx, 0x1000, DMA_READ, 0x9000);
	/* Without a context invalidation a change there is not seen. */
	fx_context(&fx, FX_SID, 0, 0);
	fx_submit(&fx, VTD_QI_IOTLB | VTD_QI_GRAN(VTD_GRAN_GLOBAL), 0);
	expect_phys(&fx, 0x1000, DMA_READ, 0x9000);
	fx_flush_all(&fx);
	expect_fault(&fx, 0x1000, DMA_READ, VTD_FR_CONTEXT_NOT_PRESENT, FAULT_BLOCKED);
	fx_exit(&fx);
}

static void caching_mode_caches_not_present(void **state)
{
	struct vtd_unit_config c = {.caching_mode = true};

	for (int cm = 0; cm < 2; cm++) {
		struct fx fx;
		u64 table;

		fx_init(&fx, cm ? &c : NULL);
		table = fx_page(&fx);
		fx_enable(&fx, table | VTD_CTX_P, VTD_CTX_AW(2) | VTD_CTX_DID(5));
		expect_fault(&fx, 0x1000, DMA_READ, 6, FAULT_NOT_PRESENT);
		fx_map(&fx, table, 4, 0x1000, 0x7000, 12, RW);
		if (cm) {
			expect_fault(&fx, 0x1000, DMA_WRITE, 5, FAULT_NOT_PRESENT);
			fx_submit(&fx,
				  VTD_QI_IOTLB | VTD_QI_GRAN(VTD_GRAN_PAGE) |
					  VTD_QI_DID(5),
				  0x1000);
		}
		expect_phys(&fx, 0x1000, DMA_READ, 0x7000);
		fx_exit(&fx);
	}
}

/* The reference: one flat function from the tables to an answer, straight from chapter 3.
 */
struct answer {
	u16 reason; /* 0: translated */
	u64 phys;
};

static struct answer reference(struct fx *fx, u16 sid, u64 iova, u8 access)
{
	u64 ram = fx->hw->hdr->ram_size, host = (1ULL << 48) - 1, at, lo, hi, entry,
	    table;
	unsigned levels, l, width;

	at = fx->root + (sid >> 8) * 16;
	lo = *fx_qword(fx, at);
	hi = *fx_qword(fx, at + 8);
	if (!(lo & 1))
		return (struct answer){1, 0};
	if (hi || (lo & 0xffe) || (lo & ~host))
		return (struct answer){0xa, 0};
	at = (lo & ~0xfffULL) + (sid & 0xff) * 16;
	if (at + 16 > ram)
		return (struct answer){9, 0};
	lo = *fx_qword(fx, at);
	hi = *fx_qword(fx, at + 8);
	if (!(lo & 1))
		return (struct answer){2, 0};
	if ((lo & 0xff0) || (hi >> 24) || (hi & 0x80))
		return (struct answer){0xb, 0};
	if ((hi & 7) != 1 && (hi & 7) != 2)
		return (struct answer){3, 0};
	if ((lo >> 2 & 3) == 2) {
		if (iova >> 48)
			return (struct answer){4, 0};
		return (struct answer){0, iova};
	}
	if ((lo >> 2 & 3) != 0 || (lo & ~0xfffULL & ~host))
		return (struct answer){3, 0};
	levels = (hi & 7) + 2;
	width = 12 + 9 * levels;
	if (iova >> width)
		return (struct answer){4, 0};
	table = lo & ~0xfffULL;
	for (l = levels;; l--) {
		unsigned shift = 12 + 9 * (l - 1);
		u64 index = iova >> shift & 511, size = 1ULL << shift;
		bool page;

		at = table + index * 8;
		if (at + 8 > ram)
			return (struct answer){7, 0};
		entry = *fx_qword(fx, at);
		if (access == DMA_WRITE && !(entry & 2))
			return (struct answer){5, 0};
		if (access == DMA_READ && !(entry & 1))
			return (struct answer){6, 0};
		page = l == 1 || (entry & 0x80);
		if ((entry & 0x80) && l > 3)
			return (struct answer){0xc, 0};
		if ((entry & 0x800) || (entry & BIT_ULL(62)) || (entry >> 48 & 0xf))
			return (struct answer){0xc, 0};
		if (page && (entry & 0xffffffffff000ULL & (size - 1)))
			return (struct answer){0xc, 0};
		table = entry & 0xffffffffff000ULL;
		if (page)
			return (struct answer){0, table | (iova & (size - 1))};
	}
}

static u64 random_entry(struct fx *fx, struct rnd *r, const u64 *pages, unsigned n)
{
	u64 e = pages[rnd_below(r, n)];

	if (rnd_one_in(r, 8))
		return 0;
	if (rnd_one_in(r, 12))
		e = rnd_u64(r);
	else if (rnd_one_in(r, 6))
		e = rnd_u64(r) & 0xffffc0000000ULL;
	else if (rnd_one_in(r, 6))
		e = rnd_u64(r) & 0xffffffe00000ULL;
	e |= rnd_one_in(r, 6) ? rnd_below(r, 4) : RW;
	if (rnd_one_in(r, 5))
		e |= VTD_SS_PS;
	if (rnd_one_in(r, 20))
		e |= 1ULL << rnd_below(r, 64);
	return e;
}

static void random_tables_agree_with_reference(void **state)
{
	u64 pages[16], ok = 0, seen = 0, longer = 0;
	struct rnd r;
	struct fx fx;

	rnd_seed(&r, 20);
	fx_init(&fx, NULL);
	for (unsigned i = 0; i < 16; i++)
		pages[i] = fx_page(&fx);
	fx_enable(&fx, pages[0] | VTD_CTX_P, VTD_CTX_AW(2));
	for (unsigned round = 0; round < 400; round++) {
		for (unsigned i = 0; i < 16; i++)
			for (unsigned j = 0; j < 512; j++)
				*fx_qword(&fx, pages[i] + j * 8) =
					/* Runs of pages that follow each other are
					   common. */
					j && !rnd_one_in(&r, 3)
						? fx_qword(&fx, pages[i] + j * 8)[-1] +
							  4096
						: random_entry(&fx, &r, pages, 16);
		fx_context(&fx, FX_SID,
			   pages[0] | VTD_CTX_P |
				   (rnd_one_in(&r, 10) ? 1ULL << rnd_below(&r, 64) : 0),
			   VTD_CTX_AW(1 + rnd_below(&r, 2)) |
				   VTD_CTX_DID(rnd_below(&r, 4)) |
				   (rnd_one_in(&r, 20) ? 1ULL << rnd_below(&r, 64) : 0));
		fx_flush_all(&fx);
		for (unsigned i = 0; i < 2000; i++) {
			u64 iova = rnd_u64(&r) >> (16 + rnd_below(&r, 40));
			u8 access = rnd_one_in(&r, 2) ? DMA_READ : DMA_WRITE;
			struct answer want;
			struct dma_translation t;
			struct dma_fault f;
			int ret;

			if (rnd_one_in(&r, 50))
				iova = rnd_u64(&r);
			hint = rnd_one_in(&r, 3) ? rnd_below(&r, 100000) : 0;
			/* Some twice, to meet the TLB. */
			if (rnd_one_in(&r, 2))
				(void)translate(&fx, FX_SID, iova ^ (rnd_u64(&r) & 0xfff),
						rnd_one_in(&r, 2) ? DMA_READ : DMA_WRITE,
						&t, NULL);
			want = reference(&fx, FX_SID, iova, access);
			ret = translate(&fx, FX_SID, iova, access, &t, &f);
			if (want.reason) {
				assert_int_equal(ret, -EFAULT);
				assert_int_equal(f.reason, want.reason);
				seen |= 1ULL << want.reason;
			} else {
				struct answer end;

				assert_int_equal(ret, 0);
				assert_int_equal(t.phys, want.phys);
				ok++;
				/* What is said to be contiguous is so: its end, and
				 * inside. */
				end = reference(&fx, FX_SID, iova + t.len - 1, access);
				assert_int_equal(end.reason, 0);
				assert_int_equal(end.phys, t.phys + t.len - 1);
				want.phys = rnd_below(&r, t.len);
				end = reference(&fx, FX_SID, iova + want.phys, access);
				assert_int_equal(end.phys, t.phys + want.phys);
				longer += t.len > SZ_4K && t.len < SZ_2M;
			}
		}
	}
	assert_true(ok > 10000);
	assert_true(longer > 100);
	hint = 0;
	assert_int_equal(seen & (BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(12)),
			 BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(12));
	fx_exit(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unit_translation_off_identity),
		cmocka_unit_test(walk_all_sizes_and_levels),
		cmocka_unit_test(faults_have_the_specified_reasons),
		cmocka_unit_test(permissions_are_the_and_of_all_levels),
		cmocka_unit_test(pass_through_needs_no_table),
		cmocka_unit_test(snoop_bit_allowed_with_snoop_control),
		cmocka_unit_test(stale_until_invalidated),
		cmocka_unit_test(caching_mode_caches_not_present),
		cmocka_unit_test(random_tables_agree_with_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
