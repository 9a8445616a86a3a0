// SPDX-License-Identifier: MIT
/*
 * AMD-Vi DMA remapping: TLB, device table, v1 page tables of one to six levels.
 * Specification 2.2.2 (device table), 2.2.3 (page tables), 2.1.2 (special addresses),
 * 2.5 (events).
 *
 * A table that is malformed, or lies anywhere but in machine RAM, is refused with the
 * specification's event; no address in an entry is followed unchecked, and each step
 * of a walk goes at least one level down. Entries are cached under the generations read
 * before they were fetched, so that one that an invalidation overtakes is dead when it
 * is stored.
 */
#include "units/amd/amd_state.h"

/* Keys of cached entries are never 0. */
#define KEY(index, domain) (0x80000000U | (u32)(index) << 16 | (domain))

/* A cached device table entry (tlb_context): a = flags and domain, b = table. */
#define CTX_DOMAIN(a) ((u16)(a))
#define CTX_MODE(a)   ((unsigned)((a) >> 16) & 7)
#define CTX_READ      BIT_ULL(20)
#define CTX_WRITE     BIT_ULL(21)
#define CTX_PASS      BIT_ULL(22) /* V is 0: nothing is looked at */
#define CTX_BLOCKED   BIT_ULL(23) /* TV is 0 */
#define CTX_EX	      BIT_ULL(24)
#define CTX_SA	      BIT_ULL(25)
#define CTX_SE	      BIT_ULL(26)
#define CTX_LOGGED    BIT_ULL(27) /* SE: the first fault has been logged */
#define CTX_DIRTY     BIT_ULL(28)

#define NOT_PRESENT 1 /* tlb_entry.reason */

struct refusal {
	u16 reason;
	u8 class;
};

static int refuse(struct refusal *r, unsigned code, unsigned flags,
		  enum fault_class class)
{
	r->reason = AMD_REASON(code, flags);
	r->class = class;
	return -EFAULT;
}

static unsigned rw(u8 access)
{
	return access == DMA_WRITE ? AMD_EVF_RW : 0;
}

u16 amd_dte_fetch(const struct hw *hw, const struct amd_state *st, u16 sid, u64 dte[4])
{
	u64 base = atomic_load_explicit(&st->devtab, memory_order_relaxed);
	u64 entries =
		((base & AMD_DEVTAB_SIZE) + 1) * (PAGE_SIZE / sizeof(struct amd_dte));
	const u64 *p;

	if (sid >= entries)
		return AMD_REASON(AMD_EVENT_ILLEGAL_DTE, 0);
	p = ram_ptr(hw, (base & AMD_DEVTAB_ADDR) + sid * sizeof(struct amd_dte), 32);
	if (!p)
		return AMD_REASON(AMD_EVENT_DEVTAB_ERROR, 0);
	/* Who writes an entry makes the first word valid last. */
	dte[0] = __atomic_load_n(&p[0], __ATOMIC_ACQUIRE);
	for (unsigned i = 1; i < 4; i++)
		dte[i] = __atomic_load_n(&p[i], __ATOMIC_RELAXED);
	return 0;
}

/* From the source id to a decoded entry. */
static int context_fetch(const struct hw *hw, const struct amd_state *st, u16 sid, u64 *a,
			 u64 *b, struct refusal *r)
{
	u64 d[4];
	u16 reason = amd_dte_fetch(hw, st, sid, d);
	unsigned mode;

	if (reason)
		return refuse(r, reason >> 12, reason & 0xfff, FAULT_TABLE);
	*b = d[0] & AMD_DTE0_ROOT;
	*a = 0;
	if (!(d[0] & AMD_DTE0_V)) {
		*a = CTX_PASS | CTX_READ | CTX_WRITE;
		return 0;
	}
	mode = AMD_DTE0_GET_MODE(d[0]);
	if ((d[0] & (AMD_DTE0_RSVD | AMD_DTE0_GUEST)) || mode > AMD_MAX_LEVELS ||
	    ((d[0] & AMD_DTE0_TV) && mode > amd_max_levels(st)))
		return refuse(r, AMD_EVENT_ILLEGAL_DTE, 0, FAULT_TABLE);
	*a = (d[1] & AMD_DTE1_DOMAIN) | (u64)mode << 16;
	if (!(d[0] & AMD_DTE0_TV))
		*a |= CTX_BLOCKED;
	if (d[0] & AMD_DTE0_IR)
		*a |= CTX_READ;
	if (d[0] & AMD_DTE0_IW)
		*a |= CTX_WRITE;
	if (d[1] & AMD_DTE1_EX)
		*a |= CTX_EX;
	if (d[1] & AMD_DTE1_SA)
		*a |= CTX_SA;
	if (d[1] & AMD_DTE1_SE)
		*a |= CTX_SE;
	if ((st->efr & AMD_EFR_HD) && (d[0] & AMD_DTE0_HAD) == AMD_DTE0_HAD)
		*a |= CTX_DIRTY;
	return 0;
}

static inline struct tlb_context *context_slot(struct translator *x, u16 sid)
{
	return &x->contexts[(sid ^ sid >> 6) % TLB_CONTEXTS];
}

/* The entry of @sid, from the cache where it is valid. */
static int context_get(const struct hw *hw, const struct hw_unit *unit,
		       struct amd_state *st, struct translator *x, u16 sid,
		       struct tlb_context **out, struct refusal *r)
{
	u64 gen = atomic_load_explicit(&st->dte_gen, memory_order_acquire), a, b;
	struct tlb_context *c = context_slot(x, sid);
	bool walks, excluded;
	int ret;

	*out = c;
	if (c->owner == unit && c->id == sid && c->stamp == gen)
		return 0;
	ret = context_fetch(hw, st, sid, &a, &b, r);
	if (ret)
		return ret;
	excluded = atomic_load_explicit(&st->excl_base, memory_order_relaxed) &
		   AMD_EXCL_EX_EN;
	walks = !(a & (CTX_PASS | CTX_BLOCKED)) && CTX_MODE(a) && !excluded;
	*c = (struct tlb_context){
		.owner = unit,
		.id = sid,
		/* Only an entry with tables, and nothing before them, finds anything in
		   the TLB. */
		.key = walks ? KEY(amd_unit_index(hw, unit), CTX_DOMAIN(a)) : 0,
		.stamp = gen,
		.a = a,
		.b = b,
		.state = st,
	};
	return 0;
}

struct leaf {
	u64 phys; /* of the page */
	unsigned lg2;
	u8 access;
	const u64
		*pte; /* of a page of its level's size, whose neighbours may follow on */
};

/* Bits of an address that a table of @level does not look at, of those it covers. */
static unsigned level_shift(unsigned level)
{
	return PAGE_SHIFT + 9 * (level - 1);
}

/* Marks the page accessed, and dirty; the processor's write is atomic. */
static u64 mark(u64 *p, u64 pte, u8 access)
{
	u64 bits = AMD_PTE_A | (access == DMA_WRITE ? AMD_PTE_D : 0);

	if ((pte & bits) == bits)
		return pte;
	return __atomic_fetch_or(p, bits, __ATOMIC_ACQ_REL) | bits;
}

/* 2.2.3: walk from the table of the context. Permissions are the AND of those on the way.
 */
static int walk(const struct hw *hw, u64 a, u64 table, iova_t iova, u8 access,
		struct leaf *out, struct refusal *r)
{
	u64 need = access == DMA_WRITE ? AMD_PTE_IW : AMD_PTE_IR,
	    may = AMD_PTE_IR | AMD_PTE_IW;
	unsigned level = CTX_MODE(a);

	if (!(a & CTX_READ))
		may &= ~AMD_PTE_IR;
	if (!(a & CTX_WRITE))
		may &= ~AMD_PTE_IW;
	/* The sixth level has 7 bits only, so nothing lies beyond it. */
	if (level < AMD_MAX_LEVELS && iova >> level_shift(level + 1))
		return refuse(r, AMD_EVENT_IO_PAGE_FAULT, rw(access),
			      FAULT_ADDRESS_WIDTH);
	for (;;) {
		unsigned shift = level_shift(level), next;
		u64 *p = ram_ptr(hw, table + (iova >> shift & 0x1ff) * 8, 8);
		u64 pte;

		if (unlikely(!p))
			return refuse(r, AMD_EVENT_PAGETAB_ERROR, rw(access),
				      FAULT_TABLE);
		pte = __atomic_load_n(p, __ATOMIC_RELAXED);
		if (unlikely(!(pte & AMD_PTE_PR)))
			return refuse(r, AMD_EVENT_IO_PAGE_FAULT, rw(access),
				      FAULT_NOT_PRESENT);
		if (unlikely(pte & AMD_PTE_RSVD))
			goto reserved;
		may &= pte;
		next = AMD_PTE_GET_NL(pte);
		if (next == 0 || next == 7) {
			unsigned lg2 = shift;

			if (next == 7) {
				u64 zeroes = ~pte & AMD_PTE_ADDR;

				/* One more than the run of ones; within what the table
				 * spans. */
				lg2 = zeroes ? (unsigned)__builtin_ctzll(zeroes) + 1 : 64;
				if (lg2 <= shift || lg2 >= shift + 9)
					goto reserved;
			} else if (pte & AMD_PTE_ADDR & ((1ULL << shift) - 1)) {
				goto reserved;
			}
			if (unlikely(!(may & need)))
				return refuse(r, AMD_EVENT_IO_PAGE_FAULT,
					      rw(access) | AMD_EVF_PR | AMD_EVF_PE,
					      access == DMA_WRITE ? FAULT_WRITE
								  : FAULT_READ);
			if (a & CTX_DIRTY)
				pte = mark(p, pte, access);
			out->phys = pte & AMD_PTE_ADDR & ~((1ULL << lg2) - 1);
			out->pte = next || (a & CTX_DIRTY) ? NULL : p;
			out->lg2 = lg2;
			out->access = (may & AMD_PTE_IR ? DMA_READ : 0) |
				      (may & AMD_PTE_IW ? DMA_WRITE : 0);
			/* A page that is clean is written through another walk. */
			if ((a & CTX_DIRTY) && !(pte & AMD_PTE_D))
				out->access &= ~DMA_WRITE;
			return 0;
		}
		if (next >= level)
			goto reserved;
		/* Levels that are skipped have addresses of zero only. */
		if (next < level - 1 &&
		    (iova & ((1ULL << shift) - 1)) >> level_shift(next + 1))
			return refuse(r, AMD_EVENT_IO_PAGE_FAULT, rw(access),
				      FAULT_NOT_PRESENT);
		table = pte & AMD_PTE_ADDR;
		level = next;
	}
reserved:
	return refuse(r, AMD_EVENT_IO_PAGE_FAULT, rw(access) | AMD_EVF_PR | AMD_EVF_RZ,
		      FAULT_TABLE);
}

static inline struct tlb_entry *small_entry(struct translator *x, u16 domain, u64 page)
{
	return &x->small[(page ^ domain << 5) % TLB_SMALL_ENTRIES];
}

static inline struct tlb_entry *large_entry(struct translator *x, u16 domain, u64 page)
{
	return &x->large[(page ^ domain << 3) % TLB_LARGE_ENTRIES];
}

/*
 * How many pages of 4 KiB from that of @iova on follow each other in the same way: those
 * of one larger page, or what neighbouring entries of one table say.
 */
static u16 run_length(const struct leaf *leaf, iova_t iova, u64 len)
{
	u64 left = 512 - (iova >> PAGE_SHIFT & 511), n, max, want;

	if (leaf->lg2 > PAGE_SHIFT)
		return DIV_ROUND_UP((1ULL << leaf->lg2) -
					    (iova & ((1ULL << leaf->lg2) - 1)),
				    PAGE_SIZE);
	if (!leaf->pte)
		return 1;
	want = __atomic_load_n(leaf->pte, __ATOMIC_RELAXED);
	max = (iova & (PAGE_SIZE - 1)) + min(len, SZ_2M) + PAGE_SIZE - 1;
	max = min(max >> PAGE_SHIFT, left);
	for (n = 1; n < max; n++)
		if (__atomic_load_n(leaf->pte + n, __ATOMIC_RELAXED) !=
		    (want += PAGE_SIZE))
			break;
	return n;
}

static __attribute__((noinline)) int
report(struct hw *hw, struct hw_unit *unit, struct tlb_context *c,
       const struct dma_request *req, const struct refusal *r, struct dma_fault *fault)
{
	bool page_fault = r->reason >> 12 == AMD_EVENT_IO_PAGE_FAULT, log = true;

	fault->class = r->class;
	fault->reason = r->reason;
	if (page_fault && c) {
		log = !(c->a & CTX_SA) && !((c->a & CTX_SE) && (c->a & CTX_LOGGED));
		c->a |= CTX_LOGGED;
	}
	if (log)
		amd_event_fault(hw, unit, req->sid, c ? CTX_DOMAIN(c->a) : 0, r->reason,
				req->iova);
	return -EFAULT;
}

static int untranslated(iova_t iova, u64 len, u8 access, struct dma_translation *out)
{
	out->phys = iova;
	out->len = len;
	out->access = access;
	return 0;
}

/* 3.4.5: addresses that go untranslated. Return: how many bytes from @iova on; 0: none.
 */
static u64 excluded(const struct amd_state *st, u64 a, iova_t iova)
{
	u64 base = atomic_load_explicit(&st->excl_base, memory_order_relaxed);
	u64 last = atomic_load_explicit(&st->excl_limit, memory_order_relaxed);

	if (!(base & AMD_EXCL_EX_EN) || !((base & AMD_EXCL_ALLOW) || (a & CTX_EX)))
		return 0;
	base &= AMD_EXCL_ADDR;
	last = (last & AMD_EXCL_ADDR) | (PAGE_SIZE - 1);
	return iova >= base && iova <= last ? last - iova + 1 : 0;
}

/* Past the TLB. The translation ends after @limit bytes, whatever the tables say. */
static __attribute__((noinline)) int
translate_miss(struct hw *hw, struct hw_unit *unit, struct amd_state *st,
	       struct translator *x, const struct dma_request *req, struct tlb_context *c,
	       u32 key, u64 stamp, u64 limit, struct dma_translation *out,
	       struct dma_fault *fault)
{
	u16 domain = CTX_DOMAIN(c->a), run = 0;
	iova_t iova = req->iova;
	u64 off = iova & (SZ_4K - 1);
	struct tlb_entry *e;
	struct refusal r;
	struct leaf leaf;
	unsigned shift;
	u64 size;

	if (walk(hw, c->a, c->b, iova, req->access, &leaf, &r)) {
		if (st->np_cache && r.class == FAULT_NOT_PRESENT) {
			e = small_entry(x, domain, iova >> PAGE_SHIFT);
			*e = (struct tlb_entry){.page = iova >> PAGE_SHIFT,
						.stamp = stamp,
						.key = key,
						.reason = NOT_PRESENT};
		}
		return report(hw, unit, c, req, &r, fault);
	}
	if (leaf.lg2 < 21 && req->len > SZ_4K - off)
		run = run_length(&leaf, iova, req->len);
	shift = leaf.lg2 >= 21 ? 21 : PAGE_SHIFT;
	size = 1ULL << leaf.lg2;
	e = shift == 21 ? large_entry(x, domain, iova >> 21)
			: small_entry(x, domain, iova >> PAGE_SHIFT);
	*e = (struct tlb_entry){
		.page = iova >> shift,
		.stamp = stamp,
		.phys = leaf.phys | ((iova & (size - 1)) & ~((1ULL << shift) - 1)),
		.key = key,
		.run = run,
		.access = leaf.access,
	};
	out->phys = leaf.phys | (iova & (size - 1));
	out->len = size - (iova & (size - 1));
	if (run > 1)
		out->len = max(out->len, ((u64)run << PAGE_SHIFT) - off);
	out->len = min(out->len, limit);
	out->access = leaf.access;
	return 0;
}

/* Whatever is not a plain hit. */
static __attribute__((noinline)) int translate_slow(struct hw *hw, struct hw_unit *unit,
						    struct translator *x,
						    const struct dma_request *req,
						    struct dma_translation *out,
						    struct dma_fault *fault)
{
	struct amd_state *st = amd_state(hw, unit);
	struct tlb_context *c;
	iova_t iova = req->iova;
	struct tlb_entry *e;
	struct refusal r;
	u64 stamp, len;
	u32 key;
	u8 may;

	if (!(atomic_load_explicit(&st->control, memory_order_relaxed) &
	      AMD_CTRL_IOMMU_EN))
		return untranslated(iova, iova ? -iova : ~0ULL, DMA_READ | DMA_WRITE,
				    out);
	if (context_get(hw, unit, st, x, req->sid, &c, &r))
		return report(hw, unit, NULL, req, &r, fault);
	if (req->pasid != NO_PASID && !(c->a & CTX_PASS)) {
		refuse(&r, AMD_EVENT_INVALID_REQ, AMD_EVF_GN | rw(req->access),
		       FAULT_BLOCKED);
		return report(hw, unit, c, req, &r, fault);
	}
	if (unlikely(iova >= AMD_HT_RANGE_BASE && iova <= AMD_HT_RANGE_LAST) &&
	    !(st->efr2 & AMD_EFR2_HT_RANGE_IGNORE)) {
		refuse(&r, AMD_EVENT_INVALID_REQ, rw(req->access), FAULT_ADDRESS_WIDTH);
		return report(hw, unit, c, req, &r, fault);
	}
	/* What follows the address is the same up to the next special one. */
	len = iova < AMD_HT_RANGE_BASE ? AMD_HT_RANGE_BASE - iova : iova ? -iova : ~0ULL;
	if (c->a & CTX_PASS)
		return untranslated(iova, len, DMA_READ | DMA_WRITE, out);
	if (!c->key && excluded(st, c->a, iova))
		return untranslated(iova, min(len, excluded(st, c->a, iova)),
				    DMA_READ | DMA_WRITE, out);
	may = (c->a & CTX_READ ? DMA_READ : 0) | (c->a & CTX_WRITE ? DMA_WRITE : 0);
	if ((c->a & CTX_BLOCKED) || (!CTX_MODE(c->a) && !(may & req->access))) {
		refuse(&r, AMD_EVENT_IO_PAGE_FAULT, rw(req->access), FAULT_BLOCKED);
		return report(hw, unit, c, req, &r, fault);
	}
	if (!CTX_MODE(c->a)) {
		u64 base = atomic_load_explicit(&st->excl_base, memory_order_relaxed);

		/* Where the range begins, which makes no difference but to permissions.
		 */
		if ((base & AMD_EXCL_EX_EN) && iova < (base & AMD_EXCL_ADDR))
			len = min(len, (base & AMD_EXCL_ADDR) - iova);
		return untranslated(iova, len, may, out);
	}
	key = KEY(amd_unit_index(hw, unit), CTX_DOMAIN(c->a));
	stamp = atomic_load_explicit(&st->all_gen, memory_order_acquire) +
		atomic_load_explicit(&st->domain_gen[CTX_DOMAIN(c->a)],
				     memory_order_acquire);
	e = small_entry(x, CTX_DOMAIN(c->a), iova >> PAGE_SHIFT);
	if (e->page == iova >> PAGE_SHIFT && e->key == key && e->stamp == stamp &&
	    e->reason) {
		refuse(&r, AMD_EVENT_IO_PAGE_FAULT, rw(req->access), FAULT_NOT_PRESENT);
		return report(hw, unit, c, req, &r, fault);
	}
	/* The exclusion range may begin at any page. */
	if (!c->key)
		len = min(len, SZ_4K - (iova & (SZ_4K - 1)));
	return translate_miss(hw, unit, st, x, req, c, key, stamp, len, out, fault);
}

/* A hit in the TLB, and nothing else: no call, little state. */
int amd_translate(struct hw *hw, struct hw_unit *unit, struct translator *x,
		  const struct dma_request *req, struct dma_translation *out,
		  struct dma_fault *fault)
{
	const struct tlb_context *c = context_slot(x, req->sid);
	const struct amd_state *st = c->state;
	iova_t iova = req->iova;
	const struct tlb_entry *e;
	u64 len, stamp;
	u16 domain;

	if (unlikely(c->owner != unit || c->id != req->sid || !c->key ||
		     req->pasid != NO_PASID ||
		     c->stamp !=
			     atomic_load_explicit(&st->dte_gen, memory_order_acquire)))
		return translate_slow(hw, unit, x, req, out, fault);
	domain = CTX_DOMAIN(c->a);
	e = small_entry(x, domain, iova >> PAGE_SHIFT);
	stamp = atomic_load_explicit(&st->all_gen, memory_order_acquire) +
		atomic_load_explicit(&st->domain_gen[domain], memory_order_acquire);
	if (e->page == iova >> PAGE_SHIFT && e->key == c->key && e->stamp == stamp) {
		len = ((u64)e->run << PAGE_SHIFT | (e->run ? 0 : SZ_4K)) -
		      (iova & (SZ_4K - 1));
		if (unlikely(!(e->access & req->access) || (req->len > len && !e->run)))
			return translate_slow(hw, unit, x, req, out, fault);
		out->phys = e->phys | (iova & (SZ_4K - 1));
		out->len = len;
		out->access = e->access;
		return 0;
	}
	e = large_entry(x, domain, iova >> 21);
	if (e->page == iova >> 21 && e->key == c->key && e->stamp == stamp &&
	    (e->access & req->access)) {
		out->phys = e->phys | (iova & (SZ_2M - 1));
		out->len = SZ_2M - (iova & (SZ_2M - 1));
		out->access = e->access;
		return 0;
	}
	return translate_slow(hw, unit, x, req, out, fault);
}
