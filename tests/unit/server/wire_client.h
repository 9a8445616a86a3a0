/* SPDX-License-Identifier: MIT */
/*
 * A program's end of the wire, by hand: builds requests, reads answers. The server runs
 * in the same thread, so each exchange turns its loop until the answer is there.
 */
#ifndef MOAT_TESTS_WIRE_CLIENT_H
#define MOAT_TESTS_WIRE_CLIENT_H

#include "server/loop.h"
#include "server/server.h"
#include "server/wire.h"

struct client {
	struct server *server;
	int fd; /* control */
	u32 mm, seq;
	int memfd;
};

struct answer {
	struct wire_reply rep;
	struct wire_window windows[WIRE_MAX_WINDOWS];
	struct wire_fd fds[WIRE_MAX_FDS];
	struct wire_new_fd news[8];
	u8 payload[WIRE_MAX_PACKET];
	int received[WIRE_MAX_FDS];
	unsigned nr_received;
};

/* What goes along with a request. */
struct extra {
	struct wire_window windows[4];
	const void *data[4];
	unsigned nr_windows;
	struct wire_fd fds[4];
	int send[4];
	unsigned nr_fds, nr_send;
	const void *payload;
	size_t payload_len;
};

void client_connect(struct client *c, struct server *s);
void client_hello(struct client *c, u32 features);
void client_close(struct client *c);
void client_send(struct client *c, int fd, struct wire_request *req,
		 const struct extra *x);
/* false: the connection has ended. Nothing within a few turns is a failure. */
bool client_recv(struct client *c, int fd, struct answer *a);
/* One answer; also those that say NEED. */
bool client_call(struct client *c, int fd, u32 op, u64 a, u64 b, u64 arg_c, u64 d,
		 const struct extra *x, struct answer *out);
/* The descriptor, or what open returned. */
long client_open(struct client *c, const char *path, int flags);
long client_write(struct client *c, int fd, const char *text, size_t len);
void client_turn(struct client *c);

#endif
