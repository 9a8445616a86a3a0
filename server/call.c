// SPDX-License-Identifier: MIT
/*
 * struct call as a connection carries it. What a handler reads must have come with the
 * request (a window, a descriptor); what has not is listed in NEED and the handler runs
 * again. What it writes is kept and goes back with the answer. All windows of a request
 * are listed again in NEED, so each round is complete in itself.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "server/server_priv.h"

#define LOG_SUBSYSTEM "server"
#include "base/log.h"

/* Bytes of windows that NEED may ask for; the rest of a packet is for its tables. */
#define NEED_MAX_DATA  (96 * 1024)
#define STORE_MAX_DATA (64 * 1024)

#define to_server_call(c) container_of(c, struct server_call, call)

/* ---- what came with the request ---- */

/*
 * The window that holds @addr: *@left bytes from there on were sent. Return: NULL and
 * *@fault if a window was asked for there and the program could not read it.
 */
static const u8 *window_at(struct server_call *sc, u64 addr, u64 *left, bool *fault)
{
	*fault = false;
	for (unsigned i = 0; i < sc->pkt.req.nr_windows; i++) {
		struct wire_window w = sc->pkt.windows[i];

		if (addr < w.addr || addr - w.addr >= w.len ||
		    w.flags & WIRE_WINDOW_NO_DATA)
			continue;
		if (addr - w.addr < w.avail) {
			*left = w.avail - (addr - w.addr);
			return sc->pkt.window_data[i] + (addr - w.addr);
		}
		*fault = true;
	}
	return NULL;
}

static int need_window(struct server_call *sc, u64 addr, u32 len, u32 flags)
{
	u64 total = 0;

	for (unsigned i = 0; i < sc->pkt.req.nr_windows; i++) {
		if (!(sc->pkt.windows[i].flags & WIRE_WINDOW_NO_DATA))
			total += sc->pkt.windows[i].len;
	}
	for (unsigned i = 0; i < sc->nr_need; i++) {
		if (!(sc->need[i].flags & WIRE_WINDOW_NO_DATA))
			total += sc->need[i].len;
	}
	if (!(flags & WIRE_WINDOW_NO_DATA))
		total += len;
	if (total > NEED_MAX_DATA ||
	    sc->nr_need + sc->pkt.req.nr_windows >= WIRE_MAX_WINDOWS)
		return -ENOMEM;
	sc->need[sc->nr_need++] =
		(struct wire_window){.addr = addr, .len = len, .flags = flags};
	return -ERESTARTNOINTR;
}

/* More than a packet holds: straight from the program. */
static int copy_from_remote(struct server_call *sc, void *to, u64 from, size_t n)
{
	struct iovec local = {to, n}, remote = {(void *)(uintptr_t)from, n};
	ssize_t got = process_vm_readv((pid_t)sc->call.pid, &local, 1, &remote, 1, 0);

	return got == (ssize_t)n ? 0 : -EFAULT;
}

static int sc_copy_from(struct call *call, void *to, u64 from, size_t n)
{
	struct server_call *sc = to_server_call(call);
	u8 *out = to;
	u64 addr = from;
	size_t rest = n;

	if (!sc->conn)
		return -EFAULT;
	if (n > NEED_MAX_DATA)
		return copy_from_remote(sc, to, from, n);
	while (rest) {
		bool fault;
		u64 left;
		const u8 *data = window_at(sc, addr, &left, &fault);
		size_t k;

		if (!data) {
			int ret;

			if (fault)
				return -EFAULT;
			ret = need_window(sc, addr, (u32)rest, 0);
			return ret == -ENOMEM ? copy_from_remote(sc, to, from, n) : ret;
		}
		k = min_t(u64, left, rest);
		memcpy(out, data, k);
		out += k;
		addr += k;
		rest -= k;
	}
	return 0;
}

static int sc_writable(struct call *call, u64 to, size_t n)
{
	struct server_call *sc = to_server_call(call);

	if (!sc->conn)
		return -EFAULT;
	for (unsigned i = 0; i < sc->pkt.req.nr_windows; i++) {
		struct wire_window w = sc->pkt.windows[i];

		if (to < w.addr || to - w.addr > w.len || n > w.len - (to - w.addr))
			continue;
		if (w.flags & WIRE_WINDOW_WRITABLE)
			return 0;
		/* A probe that failed; a window that was never probed says nothing. */
		if (w.flags & WIRE_WINDOW_NO_DATA)
			return -EFAULT;
	}
	if (n > UINT32_MAX)
		return -EFAULT;
	return need_window(sc, to, (u32)n, WIRE_WINDOW_WRITABLE | WIRE_WINDOW_NO_DATA);
}

/* Index among what came, or -ERESTARTNOINTR, -EBADF. */
static int find_fd(struct server_call *sc, int fd)
{
	if (!sc->conn)
		return -EBADF;
	for (unsigned i = 0; i < sc->pkt.req.nr_fds; i++) {
		if (sc->pkt.fds[i].number != fd)
			continue;
		return sc->pkt.fd_index[i] < 0 ? -EBADF : sc->pkt.fd_index[i];
	}
	for (unsigned i = 0; i < sc->nr_need_fds; i++) {
		if (sc->need_fds[i] == fd)
			return -ERESTARTNOINTR;
	}
	if (sc->nr_need_fds + sc->pkt.req.nr_fds >= WIRE_MAX_FDS) {
		/* Enough for one round; the rest in the next is not to be had. */
		sc->error = -ENOMEM;
		return -ERESTARTNOINTR;
	}
	sc->need_fds[sc->nr_need_fds++] = fd;
	return -ERESTARTNOINTR;
}

static struct file *sc_fget(struct call *call, int fd)
{
	struct server_call *sc = to_server_call(call);
	int i = find_fd(sc, fd);
	socklen_t len = sizeof(u64);
	struct conn *c;
	u64 cookie;

	if (i < 0)
		return ERR_PTR(i);
	if (getsockopt(sc->fds[i], SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0)
		return ERR_PTR(-ENOTTY);
	c = conn_find(sc->server, cookie);
	return c ? get_file(c->file) : ERR_PTR(-ENOTTY);
}

static int sc_dup_fd(struct call *call, int fd)
{
	struct server_call *sc = to_server_call(call);
	int i = find_fd(sc, fd), host;

	if (i < 0)
		return i;
	host = dup(sc->fds[i]);
	return host < 0 ? -errno : host;
}

/* ---- what goes back ---- */

static int grow(void **array, unsigned *max, unsigned want, size_t size)
{
	unsigned n = *max ? *max : 16;
	void *p;

	if (want <= *max)
		return 0;
	while (n < want)
		n *= 2;
	p = krealloc_array(*array, n, size);
	if (!p)
		return -ENOMEM;
	*array = p;
	*max = n;
	return 0;
}

static int sc_copy_to(struct call *call, u64 to, const void *from, size_t n)
{
	struct server_call *sc = to_server_call(call);
	size_t need = sc->data_len + n;

	if (need > UINT32_MAX)
		return -EFAULT;
	if (need > sc->data_max) {
		size_t max = max_t(size_t, need, 2 * sc->data_max);
		u8 *p = krealloc(sc->data, max);

		if (!p)
			return -ENOMEM;
		sc->data = p;
		sc->data_max = max;
	}
	if (grow((void **)&sc->stores, &sc->max_stores, sc->nr_stores + 1,
		 sizeof(*sc->stores)))
		return -ENOMEM;
	memcpy(sc->data + sc->data_len, from, n);
	sc->data_len += n;
	sc->stores[sc->nr_stores++] = (struct call_store){to, (u32)n};
	return 0;
}

static long sc_install(struct call *call, struct file *file, int host_fd, u64 slot)
{
	struct server_call *sc = to_server_call(call);

	if (sc->nr_new == CALL_MAX_NEW || !sc->conn) {
		if (file)
			fput(file);
		else
			close(host_fd);
		return -EMFILE;
	}
	sc->new_fds[sc->nr_new++] = (struct call_new_fd){file, host_fd, slot};
	return 0;
}

static ssize_t sc_mmio(struct call *call, u32 fn, unsigned bar, u64 off, u64 ubuf,
		       size_t len, bool write)
{
	struct server_call *sc = to_server_call(call);

	if (!sc->conn || sc->mmio)
		return -EIO;
	sc->mmio = true;
	sc->mmio_write = write;
	sc->mmio_target = (u64)fn << 8 | bar;
	sc->mmio_off = off;
	sc->mmio_ubuf = ubuf;
	sc->mmio_len = len;
	return (ssize_t)len;
}

static bool sc_capable(struct call *call, int cap)
{
	return call->euid == to_server_call(call)->server->owner_uid;
}

static void sc_complete(struct call *call, long ret)
{
	struct server_call *sc = to_server_call(call);

	if (WARN_ON(!sc->pending))
		return;
	sc->pending = false;
	if (sc->conn)
		sc->conn->pending = NULL;
	call_end(sc, ret);
}

static const struct call_ops server_call_ops = {
	.copy_from = sc_copy_from,
	.copy_to = sc_copy_to,
	.writable = sc_writable,
	.fget = sc_fget,
	.dup_fd = sc_dup_fd,
	.install = sc_install,
	.mmio = sc_mmio,
	.capable = sc_capable,
	.complete = sc_complete,
};

/* ---- begin and end ---- */

struct server_call *call_begin(struct conn *c, const struct wire_packet *pkt,
			       const int *fds, unsigned nr_received, struct process *proc)
{
	struct server *s = c->server;
	struct server_call *sc;

	if (list_empty(&s->free_calls)) {
		sc = kzalloc(sizeof(*sc));
		if (!sc)
			return NULL;
	} else {
		sc = list_first_entry(&s->free_calls, struct server_call, node);
		list_del(&sc->node);
	}
	sc->call = (struct call){.ops = &server_call_ops,
				 .machine = s->m,
				 .mm = &proc->mm,
				 .pid = proc->mm.pid,
				 .tid = pkt->req.tid,
				 .euid = pkt->req.euid,
				 .nr_frames = pkt->req.nr_frames};
	mm_get(&proc->mm);
	memcpy(sc->frame_store, pkt->frames, pkt->req.nr_frames * sizeof(u64));
	sc->call.frames = sc->frame_store;
	sc->server = s;
	sc->conn = c;
	INIT_LIST_HEAD(&sc->node);
	sc->pkt = *pkt;
	sc->fds = fds;
	sc->nr_received = nr_received;
	sc->seq = pkt->req.seq;
	sc->features = proc->features;
	sc->pending = sc->mmio = false;
	sc->nr_need = sc->nr_need_fds = sc->nr_stores = sc->nr_new = 0;
	sc->data_len = 0;
	sc->error = 0;
	memset(&sc->reply, 0, sizeof(sc->reply));
	return sc;
}

static void call_free(struct server_call *sc)
{
	struct server *s = sc->server;

	mm_put(sc->call.mm);
	if (sc->data_max > STORE_MAX_DATA) {
		kfree(sc->data);
		sc->data = NULL;
		sc->data_max = 0;
	}
	list_add_tail(&sc->node, &s->free_calls);
}

static void call_drop_new(struct server_call *sc)
{
	for (unsigned i = 0; i < sc->nr_new; i++) {
		if (sc->new_fds[i].file)
			fput(sc->new_fds[i].file);
		else
			close(sc->new_fds[i].fd);
	}
	sc->nr_new = 0;
}

static void send_need(struct server_call *sc)
{
	struct wire_reply rep = {.kind = WIRE_NEED, .seq = sc->seq};
	struct wire_window windows[WIRE_MAX_WINDOWS];
	struct wire_fd fds[WIRE_MAX_FDS];
	struct iovec iov[3];

	for (unsigned i = 0; i < sc->pkt.req.nr_windows; i++) {
		windows[rep.nr_windows] = sc->pkt.windows[i];
		windows[rep.nr_windows].avail = 0;
		/* What was probed is probed again. */
		if (windows[rep.nr_windows].flags & WIRE_WINDOW_NO_DATA)
			windows[rep.nr_windows].flags |= WIRE_WINDOW_WRITABLE;
		rep.nr_windows++;
	}
	memcpy(windows + rep.nr_windows, sc->need, sc->nr_need * sizeof(*windows));
	rep.nr_windows += sc->nr_need;
	for (unsigned i = 0; i < sc->pkt.req.nr_fds; i++)
		fds[rep.nr_fds++] = (struct wire_fd){.number = sc->pkt.fds[i].number};
	for (unsigned i = 0; i < sc->nr_need_fds; i++)
		fds[rep.nr_fds++] = (struct wire_fd){.number = sc->need_fds[i]};
	iov[0] = (struct iovec){&rep, sizeof(rep)};
	iov[1] = (struct iovec){windows, rep.nr_windows * sizeof(*windows)};
	iov[2] = (struct iovec){fds, rep.nr_fds * sizeof(*fds)};
	conn_send(sc->conn, iov, 3, NULL, 0);
}

static void send_store(struct server_call *sc, u64 addr, u8 *data, size_t len)
{
	struct wire_reply rep = {
		.kind = WIRE_STORE, .seq = sc->seq, .a = addr, .payload_len = (u32)len};
	struct iovec iov[2] = {{&rep, sizeof(rep)}, {data, len}};

	conn_send(sc->conn, iov, 2, NULL, 0);
}

static void send_stores(struct server_call *sc)
{
	u8 *data = sc->data;

	for (unsigned i = 0; i < sc->nr_stores; i++) {
		struct call_store st = sc->stores[i];

		for (u32 off = 0; off < st.len; off += STORE_MAX_DATA)
			send_store(sc, st.addr + off, data + off,
				   min_t(u32, st.len - off, STORE_MAX_DATA));
		data += st.len;
	}
}

/* How a new descriptor is described; the program's end goes to *@fd. */
static int open_new(struct server_call *sc, struct call_new_fd *n,
		    struct wire_new_fd *out, int *fd)
{
	memset(out, 0, sizeof(*out));
	out->slot = n->slot;
	out->flags = (n->slot ? WIRE_FD_SLOT : WIRE_FD_RESULT) | WIRE_FD_CLOEXEC;
	if (n->file) {
		struct conn *c;

		*fd = conn_open_file(sc->server, n->file, &c);
		if (*fd < 0)
			return *fd;
		out->flags |= WIRE_FD_FILE;
		out->cookie = c->cookie;
		out->mode = n->file->mode;
		out->rdev_major = n->file->rdev_major;
		out->rdev_minor = n->file->rdev_minor;
		n->file = NULL;
	} else {
		*fd = n->fd;
	}
	n->fd = -1;
	return 0;
}

static void call_answer(struct server_call *sc, long ret)
{
	struct wire_reply *rep = &sc->reply;
	struct wire_window windows[WIRE_MAX_WINDOWS];
	struct wire_new_fd news[CALL_MAX_NEW];
	struct iovec iov[4];
	int fds[CALL_MAX_NEW];
	unsigned nr_fds = 0;
	bool in_line = sc->features & WIRE_FEATURE_INLINE_STORES &&
		       sc->nr_stores <= WIRE_MAX_WINDOWS &&
		       sc->data_len <= STORE_MAX_DATA && !sc->mmio;

	if (!in_line)
		send_stores(sc);
	for (unsigned i = 0; i < sc->nr_new; i++) {
		int err = ret < 0 ? 0
				  : open_new(sc, &sc->new_fds[i], &news[nr_fds],
					     &fds[nr_fds]);

		if (err)
			ret = err;
		else if (ret >= 0)
			nr_fds++;
	}
	if (ret < 0) {
		for (unsigned i = 0; i < nr_fds; i++)
			close(fds[i]);
		nr_fds = 0;
		for (unsigned i = 0; i < sc->nr_new; i++) {
			if (sc->new_fds[i].file)
				fput(sc->new_fds[i].file);
			else if (sc->new_fds[i].fd >= 0)
				close(sc->new_fds[i].fd);
		}
	}
	rep->kind = WIRE_REPLY;
	rep->seq = sc->seq;
	rep->ret = ret;
	if (sc->mmio && ret > 0) {
		rep->kind = WIRE_MMIO;
		rep->a = sc->mmio_target;
		rep->b = sc->mmio_off;
		rep->c = sc->mmio_ubuf;
		rep->d = sc->mmio_len | (u64)sc->mmio_write << 63;
	}
	rep->nr_new = (u16)nr_fds;
	if (in_line) {
		rep->nr_windows = (u16)sc->nr_stores;
		for (unsigned i = 0; i < sc->nr_stores; i++)
			windows[i] = (struct wire_window){.addr = sc->stores[i].addr,
							  .len = sc->stores[i].len,
							  .avail = sc->stores[i].len};
		rep->payload_len = (u32)sc->data_len;
	}
	iov[0] = (struct iovec){rep, sizeof(*rep)};
	iov[1] = (struct iovec){windows, rep->nr_windows * sizeof(*windows)};
	iov[2] = (struct iovec){news, nr_fds * sizeof(*news)};
	iov[3] = (struct iovec){sc->data, rep->payload_len};
	sc->conn->undo = sc->call.undo;
	sc->conn->undo_data = sc->call.undo_data;
	conn_send(sc->conn, iov, 4, fds, nr_fds);
	for (unsigned i = 0; i < nr_fds; i++)
		close(fds[i]);
}

void call_end(struct server_call *sc, long ret)
{
	if (ret == -EIOCBQUEUED) {
		sc->pending = true;
		sc->pkt.req.nr_windows = sc->pkt.req.nr_fds = 0;
		if (sc->conn->pending)
			sc->conn->pending->conn = NULL;
		sc->conn->pending = sc;
		return;
	}
	if (!sc->conn) {
		call_drop_new(sc);
	} else if (ret == -ERESTARTNOINTR && !sc->error &&
		   (sc->nr_need || sc->nr_need_fds)) {
		call_drop_new(sc);
		send_need(sc);
	} else {
		if (ret == -ERESTARTNOINTR) {
			WARN_ON(!sc->error);
			ret = sc->error ? sc->error : -EFAULT;
		}
		call_answer(sc, ret);
	}
	call_free(sc);
}

void call_reply_simple(struct conn *c, u32 seq, long ret, const struct wire_reply *body,
		       const void *payload, size_t len)
{
	struct wire_reply rep = {0};
	struct iovec iov[2] = {{&rep, sizeof(rep)}, {(void *)payload, len}};

	if (body)
		rep = *body;
	rep.kind = WIRE_REPLY;
	rep.seq = seq;
	rep.ret = ret;
	if (!rep.nr_windows)
		rep.payload_len = (u32)len;
	conn_send(c, iov, 2, NULL, 0);
}
