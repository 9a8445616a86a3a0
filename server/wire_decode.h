/* SPDX-License-Identifier: MIT */
/*
 * A packet from a program, checked and taken apart. Nothing in it is trusted: every
 * count and length is compared with the packet's size before anything is looked at.
 */
#ifndef MOAT_SERVER_WIRE_DECODE_H
#define MOAT_SERVER_WIRE_DECODE_H

#include "server/wire.h"

struct wire_packet {
	struct wire_request req;
	/* Into the packet; unaligned data is copied out by the functions below. */
	const struct wire_window *windows;
	const u8 *window_data[WIRE_MAX_WINDOWS];
	const struct wire_fd *fds;
	int fd_index[WIRE_MAX_FDS]; /* which received descriptor, -1: none */
	const u64 *frames;
	const u8 *payload; /* behind the data of windows */
	size_t payload_len;
};

/**
 * wire_decode - check a packet.
 * @buf: 8-byte aligned; stays alive as long as @out is used
 * @nr_received: descriptors that came along
 *
 * Return: 0; -EPROTO: not a well-formed request.
 */
int __must_check wire_decode(const void *buf, size_t len, unsigned nr_received,
			     struct wire_packet *out);

#endif
