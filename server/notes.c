// SPDX-License-Identifier: MIT
/*
 * Notes of a program: interrupts that it could not deliver itself, refused DMA, and what
 * it is about to do to memory that devices can reach.
 */
#include <string.h>
#include <sys/uio.h>

#include "iommufd/iommufd.h"
#include "machine/events.h"
#include "server/server_priv.h"

#define VMA_MAX_PIECE 0x80000000ULL /* wire_window.len has 32 bits */

static int note_fault(struct conn *c, struct process *proc, struct wire_packet *pkt)
{
	struct server *s = c->server;
	u64 frames[WIRE_MAX_FRAMES];
	struct dma_fault fault;

	if (pkt->payload_len != sizeof(fault))
		return -EPROTO;
	memcpy(&fault, pkt->payload, sizeof(fault));
	if (fault.function >= s->m->hw.hdr->nr_functions)
		return -EPROTO;
	memcpy(frames, pkt->frames, pkt->req.nr_frames * sizeof(u64));
	machine_event(s->m, fault, &fault, proc->mm.pid, pkt->req.nr_frames, frames);
	return 0;
}

static void vma_query(struct conn *c, struct process *proc,
		      const struct wire_request *req)
{
	struct pin_range ranges[WIRE_MAX_WINDOWS];
	struct wire_window windows[WIRE_MAX_WINDOWS];
	struct wire_reply rep = {.kind = WIRE_REPLY, .seq = req->seq};
	struct iovec iov[2] = {{&rep, sizeof(rep)}, {windows, 0}};
	unsigned n = mm_pins_in_range(c->server->m, &proc->mm, req->a, req->b, ranges,
				      ARRAY_SIZE(ranges));
	unsigned have = min_t(unsigned, n, ARRAY_SIZE(ranges)), i;

	for (i = 0; i < have; i++) {
		u64 va = ranges[i].va, len = ranges[i].len;

		while (len && rep.nr_windows < WIRE_MAX_WINDOWS) {
			u32 piece = (u32)min_t(u64, len, VMA_MAX_PIECE);

			windows[rep.nr_windows++] =
				(struct wire_window){.addr = va, .len = piece};
			va += piece;
			len -= piece;
		}
		if (len) {
			rep.a = va;
			break;
		}
	}
	if (!rep.a && n > have)
		rep.a = ranges[have - 1].va + ranges[have - 1].len;
	iov[1].iov_len = rep.nr_windows * sizeof(*windows);
	conn_send(c, iov, 2, NULL, 0);
}

/* Only what is pinned is copied, however much the program speaks of. */
static int copy_away(struct machine *m, struct mm *mm, u64 va, u64 len)
{
	struct pin_range ranges[WIRE_MAX_WINDOWS];
	u64 end = va + len, at = va;
	unsigned n;

	if (!len || (va | len) & ~PAGE_MASK || va + len - 1 < va)
		return -EINVAL;
	do {
		n = mm_pins_in_range(m, mm, at, end - at, ranges, ARRAY_SIZE(ranges));
		for (unsigned i = 0; i < min_t(unsigned, n, ARRAY_SIZE(ranges)); i++) {
			int ret = pin_relocate_local(m, mm, ranges[i].va, ranges[i].len);

			if (ret)
				return ret;
			at = ranges[i].va + ranges[i].len;
		}
	} while (n > ARRAY_SIZE(ranges) && at != end);
	return 0;
}

static int note_vma(struct conn *c, struct process *proc, struct wire_packet *pkt)
{
	const struct wire_request *req = &pkt->req;
	struct server *s = c->server;
	struct mm *mm = &proc->mm;
	u64 frames[WIRE_MAX_FRAMES];
	int ret = 0;

	memcpy(frames, pkt->frames, req->nr_frames * sizeof(u64));
	switch (req->c) {
	case WIRE_VMA_QUERY:
		vma_query(c, proc, req);
		return 0;
	case WIRE_VMA_MOVED:
		if (s->report)
			report_memory_lost(s->report, mm, req->a, req->b, REPORT_MUNMAP,
					   req->nr_frames, frames);
		fallthrough;
	case WIRE_VMA_REMAPPED:
		ret = req->d ? pin_relocate(s->m, mm, req->a, req->b, req->d)
			     : copy_away(s->m, mm, req->a, req->b);
		break;
	case WIRE_VMA_PROTECTED:
		if (s->report)
			report_memory_lost(s->report, mm, req->a, req->b, REPORT_MPROTECT,
					   req->nr_frames, frames);
		break;
	case WIRE_VMA_FILE_CUT:
		ret = iommufd_file_cut(s->m, req->d, req->a, req->b);
		break;
	case WIRE_VMA_BAR_GONE:
		process_del_bar(proc, req->a, req->b);
		break;
	default:
		return -EPROTO;
	}
	call_reply_simple(c, req->seq, ret, NULL, NULL, 0);
	return 0;
}

static int note_mmio(struct conn *c, struct process *proc, struct wire_packet *pkt)
{
	const struct wire_request *req = &pkt->req;
	struct server *s = c->server;
	u64 frames[WIRE_MAX_FRAMES];

	if (req->a >> 8 >= s->m->hw.hdr->nr_functions || (req->a & 0xff) > HW_NR_BARS)
		return -EPROTO;
	memcpy(frames, pkt->frames, req->nr_frames * sizeof(u64));
	if (s->report)
		report_mmio(s->report, (u32)(req->a >> 8), req->a & 0xff, req->b,
			    (unsigned)req->c, req->d & WIRE_MMIO_WRITE,
			    req->d & WIRE_MMIO_OUTSIDE, proc->mm.pid, req->nr_frames,
			    frames);
	return 0;
}

int dispatch_note(struct conn *c, struct process *proc, struct wire_packet *pkt)
{
	const struct wire_request *req = &pkt->req;
	struct server *s = c->server;
	int ret = 0;

	switch (req->op) {
	case WIRE_NOTE_IRQ:
		if (req->a >= HW_MAX_IRQS)
			return -EPROTO;
		host_irq(s, (u32)req->a);
		break;
	case WIRE_NOTE_INTX:
		if (req->a >= s->m->hw.hdr->nr_functions)
			return -EPROTO;
		host_intx(s, (u32)req->a);
		break;
	case WIRE_NOTE_FAULT:
		ret = note_fault(c, proc, pkt);
		break;
	case WIRE_NOTE_UNIT:
		if (req->a >= HW_MAX_UNITS)
			return -EPROTO;
		host_unit(s, (u32)req->a);
		break;
	case WIRE_NOTE_VMA:
		return note_vma(c, proc, pkt);
	case WIRE_NOTE_BAR_MAP:
		ret = process_add_bar(proc, req->a, req->b, (u32)(req->c >> 8),
				      req->c & 0xff, req->d);
		call_reply_simple(c, req->seq, ret, NULL, NULL, 0);
		return 0;
	case WIRE_NOTE_MMIO:
		return note_mmio(c, proc, pkt);
	default:
		return -EPROTO;
	}
	loop_run_queued(s->loop);
	return ret;
}
