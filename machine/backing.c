// SPDX-License-Identifier: MIT
/*
 * From a physical address to what backs it (hw.h has the map), and moving bytes to
 * and from there. All that is read here lies in machine memory, so all of it is
 * checked: indices, lengths, and that RAM is RAM.
 *
 * The order of tests is by frequency: the program window, RAM, the rest.
 */
#include "machine/backing.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "machine/dma.h"
#include "machine/sys.h"

#define SEQ_SPINS   100000
#define MOVE_NAP_NS 100000
#define MOVE_NAPS   50

#define PCI_COMMAND_MEMORY_BIT 2

/* The piece of a split slot that holds offset @off; false: it lies in a hole. */
static bool piece_find(const struct hw *hw, u64 first, u64 n, u32 off,
		       struct hw_piece *out)
{
	u64 low = 0, high = n;

	if (first > hw->hdr->nr_pieces || n > hw->hdr->nr_pieces - first)
		return false;
	while (low < high) {
		u64 mid = low + (high - low) / 2;
		const struct hw_piece *p = &hw->pieces[first + mid];
		u32 p_first = __atomic_load_n(&p->first, __ATOMIC_RELAXED);
		u32 p_last = __atomic_load_n(&p->last, __ATOMIC_RELAXED);

		if (off < p_first) {
			high = mid;
		} else if (off > p_last) {
			low = mid + 1;
		} else {
			out->first = p_first;
			out->last = p_last;
			out->vaddr = __atomic_load_n(&p->vaddr, __ATOMIC_RELAXED);
			out->backing = __atomic_load_n(&p->backing, __ATOMIC_RELAXED);
			out->mm = __atomic_load_n(&p->mm, __ATOMIC_RELAXED);
			return true;
		}
	}
	return false;
}

static void window_find(struct hw *hw, u64 slot, u32 off, struct backing *out)
{
	const struct hw_extent *e = &hw->extents[slot];
	unsigned spins = 0;
	struct hw_piece piece;
	u32 seq, flags;
	bool there;

	do {
		seq = atomic_load_explicit(&e->seq, memory_order_acquire);
		if (unlikely(seq & 1)) {
			cpu_relax();
			continue;
		}
		piece.first = __atomic_load_n(&e->first, __ATOMIC_RELAXED);
		piece.last = __atomic_load_n(&e->last, __ATOMIC_RELAXED);
		piece.vaddr = __atomic_load_n(&e->vaddr, __ATOMIC_RELAXED);
		piece.backing = __atomic_load_n(&e->backing, __ATOMIC_RELAXED);
		piece.mm = __atomic_load_n(&e->mm, __ATOMIC_RELAXED);
		flags = __atomic_load_n(&e->flags, __ATOMIC_RELAXED);
		there = off >= piece.first && off <= piece.last;
		if (there && piece.backing == HW_BACKING_SPLIT)
			there = piece_find(hw, piece.vaddr,
					   __atomic_load_n(&e->nr_pieces,
							   __ATOMIC_RELAXED),
					   off, &piece);
		atomic_thread_fence(memory_order_acquire);
		if (likely(atomic_load_explicit(&e->seq, memory_order_relaxed) == seq))
			goto stable;
	} while (++spins < SEQ_SPINS);
	return;

stable:
	if (!there)
		return;
	out->extent = e;
	out->seq = seq;
	out->writable = flags & HW_EXTENT_WRITABLE;
	out->len = (u64)piece.last - off + 1;
	out->vaddr = piece.vaddr + (off - piece.first);
	out->mm = piece.mm;
	if (piece.backing == HW_BACKING_PROGRAM) {
		out->kind = BACKED_PROGRAM;
	} else if (piece.backing == HW_BACKING_LOCAL) {
		out->host = ram_ptr(hw, out->vaddr, out->len);
		if (out->host)
			out->kind = BACKED_RAM;
	}
}

/* Registers and BARs: few, and rarely the target of a DMA. */
static void mmio_find(struct hw *hw, phys_addr_t phys, struct backing *out)
{
	u32 fn, i;

	if (phys >= MSI_WINDOW_BASE && phys <= MSI_WINDOW_LAST) {
		out->kind = BACKED_MSI;
		out->vaddr = phys;
		out->len = MSI_WINDOW_LAST - phys + 1;
		return;
	}
	for (i = 0; i < HW_MAX_UNITS; i++) {
		const struct hw_unit *u = &hw->units[i];

		if (!u->kind || phys < u->regs || phys - u->regs >= u->regs_size)
			continue;
		out->kind = BACKED_UNIT;
		out->function = i;
		out->vaddr = phys - u->regs;
		out->len = u->regs_size - out->vaddr;
		return;
	}
	for (fn = 0; fn < hw->hdr->nr_functions; fn++) {
		const struct hw_function *f = &hw->functions[fn];

		if (!f->present)
			continue;
		if (!(f->flags & HW_FN_PLATFORM) &&
		    !(f->config[4] & PCI_COMMAND_MEMORY_BIT))
			continue;
		for (i = 0; i < HW_NR_BARS; i++) {
			const struct hw_bar *bar = &f->bar[i];

			if (!bar->phys || !bar->size || (bar->flags & HW_BAR_IO) ||
			    phys < bar->phys || phys - bar->phys >= bar->size)
				continue;
			out->kind = BACKED_BAR;
			out->function = fn;
			out->bar = i;
			out->writable = true;
			out->vaddr = phys - bar->phys;
			out->len = bar->size - out->vaddr;
			return;
		}
	}
}

void backing_find(struct hw *hw, phys_addr_t phys, u64 len, struct backing *out)
{
	const struct hw_header *hdr = hw->hdr;
	u64 off;

	out->kind = BACKED_NOT;
	out->writable = false;
	if ((off = phys - hdr->small_base) >> hdr->small_shift < hdr->nr_small) {
		window_find(hw, hdr->nr_extents + (off >> hdr->small_shift),
			    off & ((1ULL << hdr->small_shift) - 1), out);
	} else if ((off = phys - hdr->prog_base) >> hdr->prog_shift < hdr->nr_extents) {
		window_find(hw, off >> hdr->prog_shift,
			    off & ((1ULL << hdr->prog_shift) - 1), out);
	} else if (phys < hdr->ram_size) {
		out->kind = BACKED_RAM;
		out->host = hw->ram + phys;
		out->writable = true;
		out->len = hdr->ram_size - phys;
	} else {
		mmio_find(hw, phys, out);
	}
	if (out->kind == BACKED_NOT)
		out->len = PAGE_SIZE - (phys & (PAGE_SIZE - 1));
	out->len = min(out->len, len);
}

/*
 * Program memory that faults may be on its way to another place: the program moves it
 * first and tells then (pin_relocate()). Did the extent change, or does it soon?
 */
static bool backing_moved(const struct backing *b)
{
	struct timespec nap = {.tv_nsec = MOVE_NAP_NS};

	for (unsigned i = 0; i < MOVE_NAPS; i++) {
		if (atomic_load(&b->extent->seq) != b->seq)
			return true;
		sys_call(SYS_nanosleep, (long)&nap, 0, 0, 0, 0, 0);
	}
	return false;
}

int backing_copy(struct hw *hw, const struct backing *b, void *buf, u64 len, bool write,
		 bool *moved)
{
	int ret = -EFAULT;

	*moved = false;
	if (b->kind == BACKED_RAM) {
		if (write)
			dma_memmove(b->host, buf, len);
		else
			dma_memmove(buf, b->host, len);
		return 0;
	}
	if (b->mm == hw->self_mm && hw->copy) {
		void *there = (void *)(uintptr_t)b->vaddr;

		ret = write ? hw->copy(there, buf, len) : hw->copy(buf, there, len);
		if (likely(!ret))
			return 0;
	}
	if (hw->ops && write && hw->ops->mm_write)
		ret = hw->ops->mm_write(hw, b->mm, b->vaddr, buf, len);
	else if (hw->ops && !write && hw->ops->mm_read)
		ret = hw->ops->mm_read(hw, b->mm, b->vaddr, buf, len);
	if (ret == -EFAULT && backing_moved(b))
		*moved = true;
	return ret;
}
