// SPDX-License-Identifier: MIT
/*
 * DMA (dma.h). An access is cut where translations or backings end. Each chunk is
 * translated and moved under one translator slot, so that an invalidation that
 * waited for the slot knows that no byte moves any more; a chunk is at most
 * CHUNK_MAX, so that it does not wait long.
 *
 * A BAR of a peer is accessed after the slot was left: that takes the peer's lock, and
 * its work may do DMA in turn. Real hardware orders a posted write that is past
 * the IOMMU no more strictly.
 *
 * What is refused is refused by the page, and the rest of the access goes on, as on
 * a bus where each page is a request of its own. The first refusal is reported; the
 * unit records each.
 */
#include "machine/dma.h"

#include <errno.h>
#include <string.h>

#include "machine/backing.h"
#include "machine/translate.h"
#include "machine/unit_priv.h"

#define CHUNK_MAX (1ULL << 20)
#define BOUNCE	  1024

#define PCI_COMMAND	   4
#define PCI_COMMAND_MASTER 4

bool may_master(const struct hw *hw, u32 fn)
{
	const struct hw_function *f = &hw->functions[fn];

	return (f->flags & HW_FN_PLATFORM) ||
	       (f->config[PCI_COMMAND] & PCI_COMMAND_MASTER);
}

static bool function_valid(const struct hw *hw, u32 fn)
{
	return fn < hw->hdr->nr_functions && hw->functions[fn].present;
}

static void report(struct hw *hw, struct dma_fault *fault)
{
	if (hw->ops && hw->ops->fault)
		hw->ops->fault(hw, fault);
}

/* A request as one access makes it, and what has been refused of it so far. */
struct access {
	struct hw *hw;
	u32 fn;
	const struct unit_ops *ops; /* NULL: no unit in front */
	bool stuck;		    /* there is one, but nobody here can run it */
	struct hw_unit *unit;
	struct dma_request req;
	u64 len;
	bool refused;
	bool irq_lost;		/* an interrupt was refused, and reported already */
	struct dma_fault fault; /* the first */
};

static void access_init(struct access *a, struct hw *hw, u32 fn, u8 access, u64 len)
{
	const struct hw_function *f = &hw->functions[fn];

	a->hw = hw;
	a->fn = fn;
	a->ops = f->unit < 0 ? NULL : unit_ops_of(hw, f->unit);
	a->stuck = !a->ops && f->unit >= 0 && f->unit < HW_MAX_UNITS &&
		   hw->units[f->unit].kind != UNIT_NONE;
	a->unit = a->ops ? &hw->units[f->unit] : NULL;
	a->req.sid = f->requester_id;
	a->req.access = access;
	a->req.pasid = NO_PASID;
	a->len = len;
	a->refused = false;
	a->irq_lost = false;
}

static void fault_init(const struct access *a, iova_t iova, struct dma_fault *fault)
{
	*fault = (struct dma_fault){
		.function = a->fn,
		.sid = a->req.sid,
		.access = a->req.access,
		.unit = a->unit ? (u16)(a->unit - a->hw->units) : 0xffff,
		.pasid = a->req.pasid,
		.iova = iova,
		.len = a->len,
	};
}

/* @fault happened; only the first of an access is told. */
static void refuse(struct access *a, const struct dma_fault *fault)
{
	if (!a->refused)
		a->fault = *fault;
	a->refused = true;
}

static void refuse_as(struct access *a, iova_t iova, enum fault_class class)
{
	struct dma_fault fault;

	fault_init(a, iova, &fault);
	fault.class = class;
	refuse(a, &fault);
}

static int access_end(struct access *a)
{
	if (!a->refused)
		return 0;
	report(a->hw, &a->fault);
	return -EFAULT;
}

/*
 * With the slot held: where @iova leads. *@len becomes what can be done in one go, or
 * how much is refused. False: refused.
 */
static bool locate(struct access *a, struct translator *x, iova_t iova, u64 *len,
		   struct backing *b)
{
	struct dma_translation t;
	struct dma_fault fault;
	u64 page_left = PAGE_SIZE - (iova & (PAGE_SIZE - 1));

	*len = min(*len, CHUNK_MAX);
	/* The interrupt range is not memory, on the bus side of a unit already. */
	if (unlikely(iova >= MSI_WINDOW_BASE && iova <= MSI_WINDOW_LAST)) {
		*len = min(*len, page_left);
		b->kind = BACKED_MSI;
		b->vaddr = iova;
		return true;
	}
	if (a->ops) {
		a->req.iova = iova;
		a->req.len = *len;
		if (unlikely(a->ops->translate(a->hw, a->unit, x, &a->req, &t, &fault))) {
			u8 class = fault.class;
			u16 reason = fault.reason;

			fault_init(a, iova, &fault);
			fault.class = class;
			fault.reason = reason;
			refuse(a, &fault);
			*len = min(*len, page_left);
			return false;
		}
		*len = min(*len, t.len);
	} else if (unlikely(a->stuck)) {
		*len = min(*len, page_left);
		refuse_as(a, iova, FAULT_TABLE);
		return false;
	} else {
		t.phys = iova;
	}
	backing_find(a->hw, t.phys, *len, b);
	*len = b->len;
	switch (b->kind) {
	case BACKED_RAM:
	case BACKED_PROGRAM:
	case BACKED_BAR:
		if (b->writable || a->req.access != DMA_WRITE)
			return true;
		break;
	case BACKED_MSI:
		return true;
	}
	/* Nothing there, registers of a unit, or memory pinned for reading only. */
	*len = min(*len, page_left);
	refuse_as(a, iova, FAULT_UNBACKED);
	return false;
}

/* One chunk of a read or write; returns how many bytes are done with. */
static u64 move_chunk(struct access *a, iova_t iova, u8 *buf, u64 len)
{
	bool write = a->req.access == DMA_WRITE, moved;
	struct translator *x = translator_enter(a->hw);
	struct backing b;
	u64 n = len;
	int ret;

	if (unlikely(!x)) {
		refuse_as(a, iova, FAULT_TABLE);
		n = min(n, PAGE_SIZE - (iova & (PAGE_SIZE - 1)));
		goto refused;
	}
again:
	if (!locate(a, x, iova, &n, &b)) {
		translator_leave(x);
		goto refused;
	}
	if (likely(b.kind == BACKED_RAM || b.kind == BACKED_PROGRAM)) {
		ret = backing_copy(a->hw, &b, buf, n, write, &moved);
		if (unlikely(ret)) {
			n = len;
			if (moved)
				goto again;
			n = min(n, PAGE_SIZE - (iova & (PAGE_SIZE - 1)));
			refuse_as(a, iova, FAULT_MEMORY_GONE);
			translator_leave(x);
			goto refused;
		}
		translator_leave(x);
		return n;
	}
	translator_leave(x);

	if (b.kind == BACKED_BAR) {
		ret = endpoint_peer_access(a->hw, a->fn, &b, buf, n, write);
	} else {
		/* Interrupts are aligned writes of 4 bytes, and nothing reads there. */
		u32 data;

		ret = -EFAULT;
		if (write && a->len == 4 && n == 4 && IS_ALIGNED(b.vaddr, 4)) {
			memcpy(&data, buf, 4);
			a->irq_lost = irq_message(a->hw, a->fn, b.vaddr, data);
			return n;
		}
	}
	if (!ret)
		return n;
	refuse_as(a, iova, FAULT_UNBACKED);
refused:
	if (!write)
		memset(buf, 0, n);
	return n;
}

static int move(struct hw *hw, u32 fn, iova_t iova, void *buf, size_t len, u8 access)
{
	struct access a;
	u64 done = 0;

	if (unlikely(!function_valid(hw, fn)) || !len)
		return len ? -EFAULT : 0;
	access_init(&a, hw, fn, access, len);
	if (unlikely(!may_master(hw, fn))) {
		refuse_as(&a, iova, FAULT_BLOCKED);
		a.fault.unit = 0xffff;
		if (access == DMA_READ)
			memset(buf, 0, len);
		return access_end(&a);
	}
	while (done < len)
		done += move_chunk(&a, iova + done, (u8 *)buf + done, len - done);
	if (unlikely(a.irq_lost))
		return -EFAULT;
	return access_end(&a);
}

int dma_read(struct hw *hw, u32 fn, iova_t iova, void *buf, size_t len)
{
	return move(hw, fn, iova, buf, len, DMA_READ);
}

int dma_write(struct hw *hw, u32 fn, iova_t iova, const void *buf, size_t len)
{
	return move(hw, fn, iova, (void *)buf, len, DMA_WRITE);
}

/* A pointer that hw->copy may be given, or NULL. */
static void *plain_pointer(const struct hw *hw, const struct backing *b)
{
	if (b->kind == BACKED_RAM)
		return b->host;
	if (b->kind == BACKED_PROGRAM && b->mm == hw->self_mm && hw->copy)
		return (void *)(uintptr_t)b->vaddr;
	return NULL;
}

/*
 * Both ends of a chunk at once, where both are plain memory of this process. Return:
 * bytes copied; 0: one end is refused (*@end says which) or takes the slow way.
 */
static u64 copy_chunk(struct access *dst, struct access *src, iova_t to, iova_t from,
		      u64 len, struct access **end)
{
	struct hw *hw = dst->hw;
	struct translator *x = translator_enter(hw);
	struct backing db, sb;
	void *dp, *sp;
	u64 n = len;
	int ret = 0;

	*end = NULL;
	if (unlikely(!x)) {
		refuse_as(src, from, FAULT_TABLE);
		*end = src;
		return 0;
	}
	if (!locate(src, x, from, &n, &sb)) {
		*end = src;
		goto out;
	}
	if (!locate(dst, x, to, &n, &db)) {
		*end = dst;
		goto out;
	}
	sp = plain_pointer(hw, &sb);
	dp = plain_pointer(hw, &db);
	if (!sp || !dp)
		goto out;
	if (hw->copy)
		ret = hw->copy(dp, sp, n);
	else
		dma_memmove(dp, sp, n); /* may overlap: a device is told anything */
	translator_leave(x);
	return ret ? 0 : n;
out:
	translator_leave(x);
	return 0;
}

int dma_copy(struct hw *hw, u32 fn, iova_t dst, iova_t src, size_t len, bool *fault_dst,
	     size_t *done)
{
	struct access to, from, *end;
	u8 bounce[BOUNCE];
	u64 n;

	*done = 0;
	*fault_dst = false;
	if (unlikely(!function_valid(hw, fn)))
		return len ? -EFAULT : 0;
	access_init(&to, hw, fn, DMA_WRITE, len);
	access_init(&from, hw, fn, DMA_READ, len);
	if (unlikely(!may_master(hw, fn)) && len) {
		refuse_as(&from, src, FAULT_BLOCKED);
		from.fault.unit = 0xffff;
		return access_end(&from);
	}
	while (*done < len) {
		n = copy_chunk(&to, &from, dst + *done, src + *done, len - *done, &end);
		if (unlikely(!n && !end)) {
			/* Through a buffer, each end on its own. */
			n = min_t(u64, len - *done, BOUNCE);
			n = min(n, PAGE_SIZE - ((src + *done) & (PAGE_SIZE - 1)));
			n = min(n, PAGE_SIZE - ((dst + *done) & (PAGE_SIZE - 1)));
			for (u64 got = 0; got < n && !from.refused;)
				got += move_chunk(&from, src + *done + got, bounce + got,
						  n - got);
			for (u64 put = 0; put < n && !from.refused && !to.refused;)
				put += move_chunk(&to, dst + *done + put, bounce + put,
						  n - put);
			if (from.refused || to.refused)
				end = from.refused ? &from : &to;
		}
		if (unlikely(end)) {
			*fault_dst = end == &to;
			return access_end(end);
		}
		*done += n;
	}
	return 0;
}

int dma_fill(struct hw *hw, u32 fn, iova_t dst, u64 pattern, size_t len, size_t *done)
{
	u64 block[BOUNCE / 8];
	struct access to;

	*done = 0;
	if (unlikely(!function_valid(hw, fn)))
		return len ? -EFAULT : 0;
	access_init(&to, hw, fn, DMA_WRITE, len);
	if (unlikely(!may_master(hw, fn)) && len) {
		refuse_as(&to, dst, FAULT_BLOCKED);
		to.fault.unit = 0xffff;
		return access_end(&to);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(block); i++)
		block[i] = pattern;
	while (*done < len) {
		u64 phase = *done & 7, n = min_t(u64, len - *done, sizeof(block) - phase);

		n = move_chunk(&to, dst + *done, (u8 *)block + phase, n);
		if (to.refused)
			return access_end(&to);
		*done += n;
	}
	return 0;
}

int irq_message(struct hw *hw, u32 fn, u64 addr, u32 data)
{
	struct access a;
	struct dma_fault fault;
	struct translator *x;
	u32 irq = 0;
	int ret = 0;

	access_init(&a, hw, fn, DMA_WRITE, 4);
	if (a.stuck)
		return -EFAULT;
	if (a.ops && a.ops->remap_irq) {
		fault_init(&a, addr, &fault);
		fault.class = FAULT_IRQ;
		fault.irq_data = data;
		x = translator_enter(hw);
		if (unlikely(!x))
			return -EFAULT;
		ret = a.ops->remap_irq(hw, a.unit, a.req.sid, addr, data, &irq, &fault);
		translator_leave(x);
		if (ret) {
			report(hw, &fault);
			return -EFAULT;
		}
	} else {
		irq = ((addr >> 12) & 0xff) << 8 | (data & 0xff);
	}
	/* An irq that nobody allocated is a message to a processor that is not there. */
	if (irq && irq < HW_MAX_IRQS && hw->ops && hw->ops->irq)
		hw->ops->irq(hw, irq);
	return 0;
}

/* The machine's own software: no unit in front. */
static int phys_move(struct hw *hw, phys_addr_t phys, u8 *buf, size_t len, bool write)
{
	int ret = 0;

	while (len && !ret) {
		struct translator *x = translator_enter(hw);
		struct backing b;
		bool moved;
		u64 n;

		if (!x)
			return -EFAULT;
		backing_find(hw, phys, min_t(u64, len, CHUNK_MAX), &b);
		n = b.len;
		if (b.kind == BACKED_RAM || b.kind == BACKED_PROGRAM) {
			ret = backing_copy(hw, &b, buf, n, write, &moved);
			translator_leave(x);
			if (ret && moved) {
				ret = 0;
				continue;
			}
		} else {
			translator_leave(x);
			ret = -EFAULT;
			if (b.kind == BACKED_BAR) {
				ret = endpoint_peer_access(hw, ~0U, &b, buf, n, write);
			} else if (b.kind == BACKED_UNIT && n >= 4) {
				u64 val = 0;

				n = n >= 8 && IS_ALIGNED(b.vaddr, 8) ? 8 : 4;
				if (write) {
					memcpy(&val, buf, n);
					unit_mmio_write(hw, b.function, b.vaddr, val, n);
				} else {
					val = unit_mmio_read(hw, b.function, b.vaddr, n);
					memcpy(buf, &val, n);
				}
				ret = 0;
			}
		}
		phys += n;
		buf += n;
		len -= n;
	}
	return ret ? -EFAULT : 0;
}

int phys_read(struct hw *hw, phys_addr_t phys, void *buf, size_t len)
{
	return phys_move(hw, phys, buf, len, false);
}

int phys_write(struct hw *hw, phys_addr_t phys, const void *buf, size_t len)
{
	return phys_move(hw, phys, (void *)buf, len, true);
}
