// SPDX-License-Identifier: MIT
/*
 * Connections. A control connection belongs to a process and is accepted on the
 * server's socket; a file's connection is one end of a socket pair whose other end is
 * the program's descriptor, so the last close of that, in whatever process, is a
 * hang-up here and releases the file.
 *
 * The server never waits for a program: what a socket cannot take is queued.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "server/server_priv.h"

#define LOG_SUBSYSTEM "server"
#include "base/log.h"

static struct list_head *conn_bucket(struct server *s, u64 cookie)
{
	return &s->by_cookie[cookie % CONN_HASH];
}

struct conn *conn_find(struct server *s, u64 cookie)
{
	struct conn *c;

	list_for_each_entry(c, conn_bucket(s, cookie), hash) {
		if (c->cookie == cookie)
			return c;
	}
	return NULL;
}

static void conn_out_free(struct conn_out *o)
{
	for (unsigned i = 0; i < o->nr_fds; i++)
		close(o->fds[i]);
	list_del(&o->node);
	kfree(o);
}

/* Release everything the connection stands for; it is freed. */
void conn_close(struct conn *c)
{
	struct file *file = c->file;
	struct process *proc = c->proc;

	while (!list_empty(&c->out))
		conn_out_free(list_first_entry(&c->out, struct conn_out, node));
	if (c->pending)
		c->pending->conn = NULL;
	loop_unwatch(c->watch);
	close(c->fd);
	list_del(&c->node);
	list_del(&c->hash);
	kfree(c);
	if (file) {
		file->carrier = NULL;
		fput(file);
	}
	if (proc)
		process_gone(proc);
}

static ssize_t send_packet(int fd, const struct iovec *iov, int nr_iov, const int *fds,
			   unsigned nr_fds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * WIRE_MAX_FDS)];
	} control;
	struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = nr_iov};
	ssize_t n;

	if (nr_fds) {
		struct cmsghdr *cm;

		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nr_fds);
		cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * nr_fds);
		memcpy(CMSG_DATA(cm), fds, sizeof(int) * nr_fds);
	}
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static void conn_flush(struct conn *c)
{
	while (!list_empty(&c->out)) {
		struct conn_out *o = list_first_entry(&c->out, struct conn_out, node);
		struct iovec iov = {o->data, o->len};
		ssize_t n = send_packet(c->fd, &iov, 1, o->fds, o->nr_fds);

		if (n == -EAGAIN)
			return;
		conn_out_free(o);
		/* A peer that is gone hangs up; nothing else can be done with an error.
		 */
	}
	loop_rewatch(c->watch, EPOLLIN | EPOLLRDHUP);
}

void conn_send(struct conn *c, const struct iovec *iov, int nr_iov, const int *fds,
	       unsigned nr_fds)
{
	struct conn_out *o;
	size_t len = 0;

	if (list_empty(&c->out) &&
	    send_packet(c->fd, iov, nr_iov, fds, nr_fds) != -EAGAIN)
		return;
	for (int i = 0; i < nr_iov; i++)
		len += iov[i].iov_len;
	o = kmalloc(sizeof(*o) + len);
	if (!o)
		return;
	o->len = 0;
	for (int i = 0; i < nr_iov; i++) {
		memcpy(o->data + o->len, iov[i].iov_base, iov[i].iov_len);
		o->len += iov[i].iov_len;
	}
	o->nr_fds = 0;
	for (unsigned i = 0; i < nr_fds; i++) {
		int fd = dup(fds[i]);

		if (fd >= 0)
			o->fds[o->nr_fds++] = fd;
	}
	if (list_empty(&c->out))
		loop_rewatch(c->watch, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	list_add_tail(&o->node, &c->out);
}

/* One packet. Return: 1 handled, 0 nothing there, -errno: the connection has ended. */
static int conn_receive(struct conn *c)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * WIRE_MAX_FDS)];
	} control;
	struct server *s = c->server;
	struct iovec iov = {s->buf, WIRE_MAX_PACKET};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf)};
	struct wire_packet pkt;
	int fds[WIRE_MAX_FDS];
	unsigned nr_fds = 0;
	struct cmsghdr *cm;
	ssize_t n;
	int ret;

	n = recvmsg(c->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	for (cm = CMSG_FIRSTHDR(&msg); cm; cm = CMSG_NXTHDR(&msg, cm)) {
		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		nr_fds = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(cm), nr_fds * sizeof(int));
	}
	if (!n && !nr_fds)
		return -ECONNRESET;
	ret = msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)
		      ? -EPROTO
		      : wire_decode(s->buf, n, nr_fds, &pkt);
	if (!ret) {
		c->undo = pkt.req.op == WIRE_FAULTED ? c->undo : NULL;
		ret = c->file ? dispatch_file(c, &pkt, fds, nr_fds)
			      : dispatch_control(c, &pkt, fds, nr_fds);
	}
	if (ret == -EPROTO)
		pr_info("malformed request, connection closed");
	for (unsigned i = 0; i < nr_fds; i++)
		close(fds[i]);
	return ret < 0 ? ret : 1;
}

static void conn_event(void *data, u32 events)
{
	struct conn *c = data;
	int ret;

	if (events & EPOLLOUT)
		conn_flush(c);
	if (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) {
		/* What was sent before the close counts. */
		do
			ret = conn_receive(c);
		while (ret > 0);
		conn_close(c);
		return;
	}
	if (events & EPOLLIN && conn_receive(c) < 0)
		conn_close(c);
}

struct conn *conn_create(struct server *s, int fd)
{
	struct conn *c = kzalloc(sizeof(*c));

	if (!c)
		return ERR_PTR(-ENOMEM);
	c->server = s;
	c->fd = fd;
	INIT_LIST_HEAD(&c->hash);
	INIT_LIST_HEAD(&c->out);
	c->watch = loop_watch(s->loop, fd, EPOLLIN | EPOLLRDHUP, conn_event, c);
	if (IS_ERR(c->watch)) {
		void *err = c->watch;

		kfree(c);
		return ERR_CAST(err);
	}
	list_add_tail(&c->node, &s->conns);
	return c;
}

int conn_open_file(struct server *s, struct file *file, struct conn **out)
{
	socklen_t len = sizeof(u64);
	struct conn *c;
	int pair[2], err;
	u64 cookie;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	if (getsockopt(pair[1], SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0) {
		err = -errno;
		goto err_close;
	}
	c = conn_create(s, pair[0]);
	if (IS_ERR(c)) {
		err = PTR_ERR(c);
		goto err_close;
	}
	c->cookie = cookie;
	c->file = file;
	file->cookie = cookie;
	file->carrier = c;
	list_add_tail(&c->hash, conn_bucket(s, cookie));
	*out = c;
	return pair[1];

err_close:
	close(pair[0]);
	close(pair[1]);
	return err;
}

void server_accept(void *data, u32 events)
{
	struct server *s = data;
	struct ucred cred;
	socklen_t len = sizeof(cred);
	struct conn *c;
	int fd;

	fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || cred.pid <= 0) {
		close(fd);
		return;
	}
	c = conn_create(s, fd);
	if (IS_ERR(c)) {
		close(fd);
		return;
	}
	c->peer_pid = cred.pid;
}
