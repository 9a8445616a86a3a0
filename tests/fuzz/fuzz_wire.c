// SPDX-License-Identifier: MIT
/*
 * A packet from a program: the first byte says how many descriptors came along. What the
 * decoder accepts must lie inside the packet, all of it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/wire_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_packet pkt;
	volatile uint64_t sum = 0;
	unsigned nr;
	u8 *buf;

	if (!size)
		return 0;
	nr = data[0];
	data++;
	size--;
	/* Exactly as large as the packet, so that a byte too far is seen. */
	buf = malloc(size ? size : 1);
	memcpy(buf, data, size);
	if (!wire_decode(buf, size, nr, &pkt)) {
		for (unsigned i = 0; i < pkt.req.nr_windows; i++) {
			for (u32 k = 0; k < pkt.windows[i].avail; k++)
				sum += pkt.window_data[i][k];
		}
		for (unsigned i = 0; i < pkt.req.nr_fds; i++) {
			if (pkt.fd_index[i] >= (int)nr)
				abort();
			sum += (u64)pkt.fds[i].number;
		}
		for (unsigned i = 0; i < pkt.req.nr_frames; i++)
			sum += pkt.frames[i];
		for (size_t i = 0; i < pkt.payload_len; i++)
			sum += pkt.payload[i];
	}
	(void)sum; /* it was for the reading */
	free(buf);
	return 0;
}
