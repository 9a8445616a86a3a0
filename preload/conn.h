/* SPDX-License-Identifier: MIT */
/*
 * Requests and their answers, on a file's connection and on the control connection.
 */
#ifndef MOAT_PRELOAD_CONN_H
#define MOAT_PRELOAD_CONN_H

#include "preload/proc.h"
#include "server/wire.h"

struct iobuf {
	u32 index;
	u32 reserved;
	u8 data[WIRE_MAX_PACKET + sizeof(struct wire_reply)];
	u64 control[(CMSG_SPACE(sizeof(int) * WIRE_MAX_FDS) + 7) / 8];
	int fds[WIRE_MAX_FDS]; /* received */
	unsigned nr_fds;
};

#define CONN_MAX_PIECES WIRE_MAX_WINDOWS

struct conn_answer {
	struct wire_reply reply;
	/* The first new descriptor (open), or the first that came (HELLO); -1: none. */
	int fd;
	bool has_new;
	struct wire_new_fd new_fd;
	/* Answer to WIRE_VMA_QUERY. */
	unsigned nr_pieces;
	struct wire_window pieces[CONN_MAX_PIECES];
};

/**
 * conn_call - one request on the connection of an open file.
 * @fd: the program's descriptor
 * @cookie: of its socket
 * @req: op and a to d; the rest is filled in
 * @window: address of bytes of the program that go along (0: none), @window_len of them
 * @frames: send the caller's frames
 *
 * Does what the answer asks for: sends more, stores, installs descriptors, accesses
 * registers. Signals are blocked meanwhile. Return: the call's result or -errno.
 */
long conn_call(struct proc *p, int fd, u64 cookie, struct wire_request *req, u64 window,
	       u32 window_len, bool frames, struct conn_answer *ans);

/* The same on the control connection. @payload travels as it is. */
long control_call(struct proc *p, struct wire_request *req, const void *payload,
		  size_t len, struct conn_answer *ans);

/*
 * A note on the control connection, without an answer. @payload is not the program's.
 * Never blocks; may be called in a signal handler with locks of the hardware held.
 */
void control_note(struct proc *p, struct wire_request *req, const void *payload,
		  size_t len, const u64 *frames, unsigned nr_frames, bool may_drop);
/* Returns when the server has seen all that this process has done before. */
void control_sync(struct proc *p);
/* Send what could not be sent at once; blocks. Return: false: nothing was waiting. */
bool control_flush(struct proc *p);

#endif
