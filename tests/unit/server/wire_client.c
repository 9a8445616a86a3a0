// SPDX-License-Identifier: MIT
#include "tests/unit/server/wire_client.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

void client_turn(struct client *c)
{
	for (int i = 0; i < 4; i++)
		assert_int_equal(loop_turn(server_loop(c->server), 0), 0);
}

void client_connect(struct client *c, struct server *s)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	memset(c, 0, sizeof(*c));
	c->server = s;
	c->memfd = -1;
	strcpy(addr.sun_path, server_socket(s));
	c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	client_turn(c);
}

void client_close(struct client *c)
{
	close(c->fd);
	if (c->memfd >= 0)
		close(c->memfd);
	client_turn(c);
}

void client_send(struct client *c, int fd, struct wire_request *req,
		 const struct extra *x)
{
	static const struct extra none;
	struct iovec iov[16];
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * 4)];
	} control;
	struct msghdr msg = {.msg_iov = iov};

	if (!x)
		x = &none;
	req->seq = ++c->seq;
	req->mm = c->mm;
	req->euid = geteuid();
	req->nr_windows = (u16)x->nr_windows;
	req->nr_fds = (u16)x->nr_fds;
	req->payload_len = (u32)x->payload_len;
	iov[0] = (struct iovec){req, sizeof(*req)};
	iov[1] =
		(struct iovec){(void *)x->windows, x->nr_windows * sizeof(x->windows[0])};
	iov[2] = (struct iovec){(void *)x->fds, x->nr_fds * sizeof(x->fds[0])};
	msg.msg_iovlen = 3;
	for (unsigned i = 0; i < x->nr_windows; i++) {
		iov[msg.msg_iovlen++] =
			(struct iovec){(void *)x->data[i], x->windows[i].avail};
		req->payload_len += x->windows[i].avail;
	}
	iov[msg.msg_iovlen++] = (struct iovec){(void *)x->payload, x->payload_len};
	if (x->nr_send) {
		struct cmsghdr *cm;

		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * x->nr_send);
		cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * x->nr_send);
		memcpy(CMSG_DATA(cm), x->send, sizeof(int) * x->nr_send);
	}
	assert_true(sendmsg(fd, &msg, MSG_NOSIGNAL) > 0);
}

bool client_recv(struct client *c, int fd, struct answer *a)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * WIRE_MAX_FDS)];
	} control;
	static u8 buf[WIRE_MAX_PACKET];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf)};
	struct cmsghdr *cm;
	const u8 *p = buf;
	ssize_t n = -1;

	memset(a, 0, sizeof(*a));
	for (int i = 0; i < 20; i++) {
		n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n >= 0 || errno != EAGAIN)
			break;
		msg.msg_controllen = sizeof(control.buf);
		client_turn(c);
	}
	if (n < 0 && errno == ECONNRESET)
		return false;
	assert_true(n >= 0);
	if (!n)
		return false;
	for (cm = CMSG_FIRSTHDR(&msg); cm; cm = CMSG_NXTHDR(&msg, cm)) {
		a->nr_received = (unsigned)((cm->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(a->received, CMSG_DATA(cm), a->nr_received * sizeof(int));
	}
	assert_true((size_t)n >= sizeof(a->rep));
	memcpy(&a->rep, p, sizeof(a->rep));
	p += sizeof(a->rep);
	memcpy(a->windows, p, a->rep.nr_windows * sizeof(a->windows[0]));
	p += a->rep.nr_windows * sizeof(a->windows[0]);
	memcpy(a->fds, p, a->rep.nr_fds * sizeof(a->fds[0]));
	p += a->rep.nr_fds * sizeof(a->fds[0]);
	memcpy(a->news, p, a->rep.nr_new * sizeof(a->news[0]));
	p += a->rep.nr_new * sizeof(a->news[0]);
	assert_int_equal(buf + n - p, a->rep.payload_len);
	memcpy(a->payload, p, a->rep.payload_len);
	return true;
}

bool client_call(struct client *c, int fd, u32 op, u64 a, u64 b, u64 arg_c, u64 d,
		 const struct extra *x, struct answer *out)
{
	struct wire_request req = {.op = op, .a = a, .b = b, .c = arg_c, .d = d};

	client_send(c, fd, &req, x);
	if (!client_recv(c, fd, out))
		return false;
	assert_int_equal(out->rep.seq, req.seq);
	return true;
}

void client_hello(struct client *c, u32 features)
{
	static struct answer a;

	assert_true(client_call(c, c->fd, WIRE_HELLO, WIRE_VERSION, features, 0, 0, NULL,
				&a));
	assert_int_equal(a.rep.ret, 0);
	assert_int_equal(a.nr_received, 1);
	c->memfd = a.received[0];
	c->mm = (u32)a.rep.a;
}

long client_open(struct client *c, const char *path, int flags)
{
	struct extra x = {.payload = path, .payload_len = strlen(path)};
	static struct answer a;

	assert_true(client_call(c, c->fd, WIRE_OPEN, (u64)flags, 0, 0, 0, &x, &a));
	if (a.rep.ret < 0)
		return a.rep.ret;
	assert_int_equal(a.rep.nr_new, 1);
	assert_int_equal(a.nr_received, 1);
	assert_true(a.news[0].flags & WIRE_FD_RESULT);
	return a.received[0];
}

long client_write(struct client *c, int fd, const char *text, size_t len)
{
	struct extra x = {
		.nr_windows = 1,
		.data = {text},
		.windows = {{.addr = 0x1000, .len = (u32)len, .avail = (u32)len}}};
	static struct answer a;

	assert_true(client_call(c, fd, WIRE_WRITE, 0x1000, len, ~0ULL, 0, &x, &a));
	return a.rep.ret;
}
