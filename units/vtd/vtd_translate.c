// SPDX-License-Identifier: MIT
/*
 * VT-d DMA remapping in legacy mode: TLB, root and context tables, second-stage walk.
 * Architecture Specification 3.4 to 3.8 (translation), 6.2 (caching), 7.1 (faults).
 *
 * A table that is malformed, or lies anywhere but in machine RAM, is refused with the
 * specification's reason; no address in an entry is followed unchecked. Entries are
 * cached under the generations read before they were fetched, so that one that an
 * invalidation overtakes is dead when it is stored.
 */
#include "units/vtd/vtd_state.h"

/* Keys of cached entries are never 0. */
#define KEY(index, id) (0x80000000U | (u32)(index) << 16 | (id))

/* A cached context entry (tlb_context): a = flags and domain, b = table. */
#define CTX_DID(a)    ((u16)(a))
#define CTX_LEVELS(a) ((unsigned)((a) >> 16) & 7)
#define CTX_PT	      BIT_ULL(20) /* pass-through */
#define CTX_FPD	      BIT_ULL(21)
#define CTX_REASON(a) \
	((u16)((a) >> 32)) /* caching mode: why it was refused; 0: it was not */

struct refusal {
	u16 reason;
	u8 class;
	bool suppress; /* FPD */
};

static int refuse(struct refusal *r, u16 reason, enum fault_class class, bool suppress)
{
	r->reason = reason;
	r->class = class;
	r->suppress = suppress;
	return -EFAULT;
}

/* Address bits that the host does not have. */
static u64 beyond_host(const struct vtd_state *st)
{
	return st->host_bits >= 52 ? GENMASK_ULL(63, 52) : GENMASK_ULL(63, st->host_bits);
}

/* Two quad-words of a table in machine RAM; false: there is none there. */
static bool fetch(const struct hw *hw, phys_addr_t phys, u64 *lo, u64 *hi)
{
	const u64 *p = ram_ptr(hw, phys, 16);

	if (!p)
		return false;
	*lo = __atomic_load_n(&p[0], __ATOMIC_RELAXED);
	*hi = __atomic_load_n(&p[1], __ATOMIC_RELAXED);
	return true;
}

/* 3.4.2, 9.1, 9.3: from the source id to a decoded context entry. */
static int context_fetch(const struct hw *hw, const struct vtd_state *st, u16 sid, u64 *a,
			 u64 *b, struct refusal *r)
{
	u64 root = atomic_load_explicit(&st->root, memory_order_relaxed), lo, hi;
	bool fpd;

	if ((root & VTD_RTADDR_TTM) != VTD_RTADDR_TTM_LEGACY)
		return refuse(r, VTD_FR_RTA_ABORT, FAULT_BLOCKED, false);
	if (!fetch(hw, (root & VTD_RTADDR_RTA) + (sid >> 8) * 16, &lo, &hi))
		return refuse(r, VTD_FR_ROOT_ACCESS, FAULT_TABLE, false);
	if (!(lo & VTD_ROOT_P))
		return refuse(r, VTD_FR_ROOT_NOT_PRESENT, FAULT_BLOCKED, false);
	if (hi || (lo & (VTD_ROOT_RSVD_LO | beyond_host(st))))
		return refuse(r, VTD_FR_ROOT_RESERVED, FAULT_TABLE, false);

	if (!fetch(hw, (lo & VTD_ROOT_CTP) + (sid & 0xff) * 16, &lo, &hi))
		return refuse(r, VTD_FR_CONTEXT_ACCESS, FAULT_TABLE, false);
	fpd = lo & VTD_CTX_FPD;
	*a = CTX_DID(VTD_CTX_GET_DID(hi)) | (fpd ? CTX_FPD : 0);
	*b = lo & VTD_CTX_SSPTPTR;
	if (!(lo & VTD_CTX_P))
		return refuse(r, VTD_FR_CONTEXT_NOT_PRESENT, FAULT_BLOCKED, fpd);
	if ((lo & VTD_CTX_RSVD_LO) || (hi & VTD_CTX_RSVD_HI))
		return refuse(r, VTD_FR_CONTEXT_RESERVED, FAULT_TABLE, fpd);
	/* AW 1, 2, 3 are 3, 4, 5 levels; SAGAW has a bit for each. */
	if (VTD_CTX_GET_AW(hi) > 4 ||
	    !(st->cap & BIT_ULL(VTD_CAP_SAGAW_SHIFT + VTD_CTX_GET_AW(hi))))
		return refuse(r, VTD_FR_CONTEXT_INVALID, FAULT_TABLE, fpd);
	*a |= (u64)(VTD_CTX_GET_AW(hi) + 2) << 16;
	switch (VTD_CTX_GET_TT(lo)) {
	case VTD_TT_UNTRANSLATED:
		break;
	case VTD_TT_ALL:
		if (st->ecap & VTD_ECAP_DT)
			break;
		return refuse(r, VTD_FR_CONTEXT_INVALID, FAULT_TABLE, fpd);
	case VTD_TT_PASS_THROUGH:
		*a |= CTX_PT;
		if (st->ecap & VTD_ECAP_PT)
			return 0; /* the table pointer is ignored */
		fallthrough;
	default:
		return refuse(r, VTD_FR_CONTEXT_INVALID, FAULT_TABLE, fpd);
	}
	if (*b & beyond_host(st))
		return refuse(r, VTD_FR_CONTEXT_INVALID, FAULT_TABLE, fpd);
	return 0;
}

static inline struct tlb_context *context_slot(struct translator *x, u16 sid)
{
	return &x->contexts[(sid ^ sid >> 6) % TLB_CONTEXTS];
}

/* The context of @sid, from the cache where it is valid. */
static int context_get(const struct hw *hw, const struct hw_unit *unit,
		       struct vtd_state *st, struct translator *x, u16 sid, u64 *a,
		       u64 *b, struct refusal *r)
{
	u64 gen = atomic_load_explicit(&st->context_gen, memory_order_acquire);
	struct tlb_context *c = context_slot(x, sid);
	int ret;

	if (c->owner == unit && c->id == sid && c->stamp == gen) {
		*a = c->a;
		*b = c->b;
		if (CTX_REASON(c->a))
			return refuse(r, CTX_REASON(c->a), FAULT_BLOCKED, c->a & CTX_FPD);
		return 0;
	}
	ret = context_fetch(hw, st, sid, a, b, r);
	if (ret) {
		/* 6.1: with caching mode, what is not present is cached as well. */
		if (!(st->cap & VTD_CAP_CM) || r->class != FAULT_BLOCKED ||
		    r->reason == VTD_FR_RTA_ABORT)
			return ret;
		*a = (u64)r->reason << 32 | (r->suppress ? CTX_FPD : 0);
	}
	*c = (struct tlb_context){
		.owner = unit,
		.id = sid,
		/* Only a context with tables finds anything in the TLB. */
		.key = ret || (*a & CTX_PT) ? 0
					    : KEY(vtd_unit_index(hw, unit), CTX_DID(*a)),
		.stamp = gen,
		.a = *a,
		.b = *b,
		.state = st,
	};
	return ret;
}

/* Bits that must be 0 in a present second-stage entry of @level (9.8). */
static u64 entry_reserved(const struct vtd_state *st, unsigned level, bool leaf)
{
	u64 bits = st->host_bits < 52 ? GENMASK_ULL(51, st->host_bits) : 0;

	if (!(st->ecap & VTD_ECAP_DT) || !leaf)
		bits |= VTD_SS_TM;
	if (!leaf || !(st->ecap & VTD_ECAP_SC))
		bits |= VTD_SS_SNP;
	if (!leaf)
		return level > 3 ? bits | VTD_SS_PS : bits;
	if (level == 2)
		bits |= GENMASK_ULL(20, 12);
	else if (level == 3)
		bits |= GENMASK_ULL(29, 12);
	return bits;
}

struct leaf {
	u64 phys; /* of the page */
	unsigned lg2;
	u8 access;
	const u64 *pte;
};

/* 3.7: walk @levels levels from @table. Permissions are the AND of those on the way. */
static int walk(const struct hw *hw, const struct vtd_state *st, u64 table,
		unsigned levels, iova_t iova, u8 access, bool fpd, struct leaf *out,
		struct refusal *r)
{
	u64 need = access == DMA_WRITE ? VTD_SS_W : VTD_SS_R, may = VTD_SS_R | VTD_SS_W;
	unsigned level;

	for (level = levels; level; level--) {
		unsigned shift = PAGE_SHIFT + 9 * (level - 1);
		const u64 *p = ram_ptr(hw, table + (iova >> shift & 0x1ff) * 8, 8);
		bool leaf;
		u64 pte;

		if (unlikely(!p))
			return refuse(r, VTD_FR_TABLE_ACCESS, FAULT_TABLE, fpd);
		pte = __atomic_load_n(p, __ATOMIC_RELAXED);
		if (unlikely(!(pte & need))) {
			bool write = access == DMA_WRITE;
			enum fault_class class = FAULT_NOT_PRESENT;

			if (pte & (VTD_SS_R | VTD_SS_W))
				class = write ? FAULT_WRITE : FAULT_READ;
			return refuse(r, write ? VTD_FR_WRITE : VTD_FR_READ, class, fpd);
		}
		leaf = level == 1 || ((pte & VTD_SS_PS) &&
				      ((level == 2 && (st->cap & VTD_CAP_SLLPS_2M)) ||
				       (level == 3 && (st->cap & VTD_CAP_SLLPS_1G))));
		if (unlikely(pte & entry_reserved(st, level, leaf)) ||
		    unlikely(!leaf && (pte & VTD_SS_PS)))
			return refuse(r, VTD_FR_PTE_RESERVED, FAULT_TABLE, fpd);
		may &= pte;
		table = pte & VTD_SS_ADDR;
		if (leaf) {
			out->phys = table;
			out->pte = p;
			out->lg2 = shift;
			out->access = (may & VTD_SS_R ? DMA_READ : 0) |
				      (may & VTD_SS_W ? DMA_WRITE : 0);
			return 0;
		}
	}
	return refuse(r, VTD_FR_TABLE_ACCESS, FAULT_TABLE, fpd);
}

/*
 * Buffers lie at round distances from each other, so the low bits of a page's number
 * alone would make them meet in the same entries; a golden-ratio hash keeps runs apart.
 */
static inline u64 tlb_hash(u16 did, u64 page)
{
	return (page ^ (u64)did << 40) * 0x9e3779b97f4a7c15ULL;
}

static inline struct tlb_entry *small_entry(struct translator *x, u16 did, u64 page)
{
	return &x->small[tlb_hash(did, page) >> (64 - TLB_SMALL_LG2)];
}

static inline struct tlb_entry *large_entry(struct translator *x, u16 did, u64 page)
{
	return &x->large[tlb_hash(did, page) >> (64 - TLB_LARGE_LG2)];
}

/*
 * How many entries from that of @iova on, in the same table, map pages that follow each
 * other in the same way; no more than cover @len bytes.
 */
static u16 run_length(const struct leaf *leaf, iova_t iova, u64 len)
{
	u64 left = 512 - (iova >> PAGE_SHIFT & 511), n;
	u64 want = __atomic_load_n(leaf->pte, __ATOMIC_RELAXED), max;

	max = (iova & (PAGE_SIZE - 1)) + min(len, SZ_2M) + PAGE_SIZE - 1;
	max = min(max >> PAGE_SHIFT, left);
	for (n = 1; n < max; n++)
		if (__atomic_load_n(leaf->pte + n, __ATOMIC_RELAXED) !=
		    (want += PAGE_SIZE))
			break;
	return n;
}

/* Remember @leaf for @iova; one that covers 2 MiB or more by that much. */
static void tlb_fill(struct translator *x, u32 key, u64 stamp, u16 did, iova_t iova,
		     const struct leaf *leaf, u16 run)
{
	unsigned shift = leaf->lg2 >= 21 ? 21 : PAGE_SHIFT;
	u64 page = iova >> shift;
	struct tlb_entry *e;

	e = shift == 21 ? large_entry(x, did, page) : small_entry(x, did, page);
	e->page = page;
	e->stamp = stamp;
	e->phys = leaf->phys |
		  ((iova & ((1ULL << leaf->lg2) - 1)) & ~((1ULL << shift) - 1));
	e->key = key;
	e->run = run;
	e->reason = 0;
	e->access = leaf->access;
}

static __attribute__((noinline)) int report(struct hw *hw, struct hw_unit *unit,
					    const struct dma_request *req,
					    const struct refusal *r,
					    struct dma_fault *fault)
{
	fault->class = r->class;
	fault->reason = r->reason;
	vtd_fault_record(hw, unit, req->sid, req->access, req->iova, r->reason,
			 r->suppress);
	return -EFAULT;
}

/* Past the TLB. */
static __attribute__((noinline)) int
translate_miss(struct hw *hw, struct hw_unit *unit, struct vtd_state *st,
	       struct translator *x, const struct dma_request *req, u64 a, u64 b, u32 key,
	       u64 stamp, struct dma_translation *out, struct dma_fault *fault)
{
	unsigned levels = CTX_LEVELS(a),
		 bits = min_t(unsigned, st->mgaw, 12 + 9 * levels);
	iova_t iova = req->iova;
	struct refusal r;
	struct leaf leaf;
	u16 run = 0;
	u64 size;

	if (unlikely(bits < 64 && iova >> bits)) {
		refuse(&r, VTD_FR_ADDRESS_WIDTH, FAULT_ADDRESS_WIDTH, a & CTX_FPD);
		return report(hw, unit, req, &r, fault);
	}
	if (walk(hw, st, b, levels, iova, req->access, a & CTX_FPD, &leaf, &r)) {
		if ((st->cap & VTD_CAP_CM) && r.class == FAULT_NOT_PRESENT) {
			struct tlb_entry *e =
				small_entry(x, CTX_DID(a), iova >> PAGE_SHIFT);

			*e = (struct tlb_entry){
				.page = iova >> PAGE_SHIFT,
				.stamp = stamp,
				.key = key,
				.reason = r.reason,
			};
		}
		return report(hw, unit, req, &r, fault);
	}
	if (leaf.lg2 == PAGE_SHIFT && req->len > SZ_4K - (iova & (SZ_4K - 1)))
		run = run_length(&leaf, iova, req->len);
	tlb_fill(x, key, stamp, CTX_DID(a), iova, &leaf, run);
	size = 1ULL << leaf.lg2;
	out->phys = leaf.phys | (iova & (size - 1));
	out->len = max_t(u64, run, 1) * size - (iova & (size - 1));
	out->access = leaf.access;
	return 0;
}

/*
 * The page of @iova was found in the TLB, but more than a page is wanted and nobody has
 * looked yet what follows: look now, unless the table says something else of the
 * page by now than the TLB does.
 */
static __attribute__((noinline)) void extend(struct hw *hw, struct vtd_state *st,
					     struct tlb_entry *e,
					     const struct dma_request *req, u64 a, u64 b)
{
	struct refusal r;
	struct leaf leaf;

	e->run = 1;
	if (walk(hw, st, b, CTX_LEVELS(a), req->iova, req->access, false, &leaf, &r))
		return;
	if (leaf.lg2 == PAGE_SHIFT && leaf.phys == e->phys && leaf.access == e->access)
		e->run = run_length(&leaf, req->iova, req->len);
}

/* Whatever is not a plain hit. */
static __attribute__((noinline)) int translate_slow(struct hw *hw, struct hw_unit *unit,
						    struct translator *x,
						    const struct dma_request *req,
						    struct dma_translation *out,
						    struct dma_fault *fault)
{
	struct vtd_state *st = vtd_state(hw, unit);
	u32 key;
	iova_t iova = req->iova;
	struct tlb_entry *e;
	struct refusal r;
	u64 a = 0, b = 0, stamp, off = iova & (SZ_4K - 1);
	u16 did;

	if (!(atomic_load_explicit(&st->gsts, memory_order_relaxed) & VTD_GSTS_TES)) {
		out->phys = iova;
		out->len = -iova ? -iova : ~0ULL;
		out->access = DMA_READ | DMA_WRITE;
		return 0;
	}
	if (req->pasid != NO_PASID) {
		refuse(&r, VTD_FR_TTM_PASID, FAULT_BLOCKED, false);
		return report(hw, unit, req, &r, fault);
	}
	if (context_get(hw, unit, st, x, req->sid, &a, &b, &r))
		return report(hw, unit, req, &r, fault);
	if (a & CTX_PT) {
		/* 3.9: the request's address is the host's, within the unit's width. */
		if (iova >> min_t(unsigned, st->host_bits, 63)) {
			refuse(&r, VTD_FR_ADDRESS_WIDTH, FAULT_ADDRESS_WIDTH,
			       a & CTX_FPD);
			return report(hw, unit, req, &r, fault);
		}
		out->phys = iova;
		out->len = (1ULL << min_t(unsigned, st->host_bits, 63)) - iova;
		out->access = DMA_READ | DMA_WRITE;
		return 0;
	}
	did = CTX_DID(a);
	key = KEY(vtd_unit_index(hw, unit), did);
	stamp = atomic_load_explicit(&st->iotlb_gen, memory_order_acquire) +
		atomic_load_explicit(&st->did_gen[did], memory_order_acquire);

	e = small_entry(x, did, iova >> PAGE_SHIFT);
	if (e->page == iova >> PAGE_SHIFT && e->key == key && e->stamp == stamp) {
		if (e->access & req->access) {
			out->phys = e->phys | off;
			out->access = e->access;
			if (req->len > SZ_4K - off && !e->run)
				extend(hw, st, e, req, a, b);
			out->len = (e->run ? (u64)e->run << PAGE_SHIFT : SZ_4K) - off;
			return 0;
		}
		if (e->reason) {
			bool write = req->access == DMA_WRITE;

			refuse(&r, write ? VTD_FR_WRITE : VTD_FR_READ, FAULT_NOT_PRESENT,
			       a & CTX_FPD);
			return report(hw, unit, req, &r, fault);
		}
	}
	e = large_entry(x, did, iova >> 21);
	if (e->page == iova >> 21 && e->key == key && e->stamp == stamp &&
	    (e->access & req->access)) {
		out->phys = e->phys | (iova & (SZ_2M - 1));
		out->len = SZ_2M - (iova & (SZ_2M - 1));
		out->access = e->access;
		return 0;
	}
	return translate_miss(hw, unit, st, x, req, a, b, key, stamp, out, fault);
}

/*
 * A hit in the TLB, and nothing else: no call, little state. That
 * translation is on needs no look, since TE changes context_gen.
 */
int vtd_translate(struct hw *hw, struct hw_unit *unit, struct translator *x,
		  const struct dma_request *req, struct dma_translation *out,
		  struct dma_fault *fault)
{
	const struct tlb_context *c = context_slot(x, req->sid);
	const struct vtd_state *st = c->state;
	iova_t iova = req->iova;
	const struct tlb_entry *e;
	u64 len, stamp;
	u16 did;

	if (unlikely(c->owner != unit || c->id != req->sid || req->pasid != NO_PASID ||
		     c->stamp != atomic_load_explicit(&st->context_gen,
						      memory_order_acquire)))
		return translate_slow(hw, unit, x, req, out, fault);
	did = CTX_DID(c->a);
	e = small_entry(x, did, iova >> PAGE_SHIFT);
	stamp = atomic_load_explicit(&st->iotlb_gen, memory_order_acquire) +
		atomic_load_explicit(&st->did_gen[did], memory_order_acquire);
	len = ((u64)e->run << PAGE_SHIFT | (e->run ? 0 : SZ_4K)) - (iova & (SZ_4K - 1));
	if (likely(e->page == iova >> PAGE_SHIFT && e->key == c->key &&
		   e->stamp == stamp && (e->access & req->access) &&
		   (req->len <= len || e->run))) {
		out->phys = e->phys | (iova & (SZ_4K - 1));
		out->len = len;
		out->access = e->access;
		return 0;
	}
	/* The same page may be in both, if the table changed; the small one counts then.
	 */
	if (e->page == iova >> PAGE_SHIFT && e->key == c->key && e->stamp == stamp)
		return translate_slow(hw, unit, x, req, out, fault);
	e = large_entry(x, did, iova >> 21);
	if (e->page == iova >> 21 && e->key == c->key && e->stamp == stamp &&
	    (e->access & req->access)) {
		out->phys = e->phys | (iova & (SZ_2M - 1));
		out->len = SZ_2M - (iova & (SZ_2M - 1));
		out->access = e->access;
		return 0;
	}
	return translate_slow(hw, unit, x, req, out, fault);
}
