// SPDX-License-Identifier: MIT
#include "server/wire_decode.h"

#include <string.h>

#include "base/err.h"

static bool op_known(u32 op)
{
	return (op >= WIRE_HELLO && op <= WIRE_FAULTED) ||
	       (op >= WIRE_NOTE_IRQ && op <= WIRE_NOTE_MMIO);
}

int wire_decode(const void *buf, size_t len, unsigned nr_received,
		struct wire_packet *out)
{
	const struct wire_request *req = buf;
	const u8 *pos = buf, *data;
	size_t head, data_len = 0;
	unsigned next = 0;

	if (len < sizeof(*req) || len > WIRE_MAX_PACKET)
		return -EPROTO;
	out->req = *req;
	req = &out->req;
	if (!op_known(req->op) || req->nr_windows > WIRE_MAX_WINDOWS ||
	    req->nr_fds > WIRE_MAX_FDS || req->nr_frames > WIRE_MAX_FRAMES)
		return -EPROTO;
	head = sizeof(*req) + req->nr_windows * sizeof(struct wire_window) +
	       req->nr_fds * sizeof(struct wire_fd) + req->nr_frames * sizeof(u64);
	if (head > len || req->payload_len != len - head)
		return -EPROTO;

	pos += sizeof(*req);
	out->windows = (const void *)pos;
	pos += req->nr_windows * sizeof(struct wire_window);
	out->fds = (const void *)pos;
	pos += req->nr_fds * sizeof(struct wire_fd);
	out->frames = (const void *)pos;
	data = pos + req->nr_frames * sizeof(u64);

	for (unsigned i = 0; i < req->nr_windows; i++) {
		const struct wire_window *w = &out->windows[i];

		if (w->avail > w->len || w->avail > req->payload_len - data_len)
			return -EPROTO;
		out->window_data[i] = data + data_len;
		data_len += w->avail;
	}
	out->payload = data + data_len;
	out->payload_len = req->payload_len - data_len;

	for (unsigned i = 0; i < req->nr_fds; i++) {
		out->fd_index[i] = -1;
		if (out->fds[i].state == 0) {
			if (next == nr_received)
				return -EPROTO;
			out->fd_index[i] = (int)next++;
		}
	}
	return next == nr_received ? 0 : -EPROTO;
}
