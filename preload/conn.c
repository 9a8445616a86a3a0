// SPDX-License-Identifier: MIT
/*
 * Requests and answers (conn.h).
 *
 * All holders of an open file, in whatever process, share one lock in machine memory
 * (by the hash of the socket's cookie) and, in its spare word, one count of
 * requests. A holder may be killed at any point: whoever takes the lock next tells
 * answers to the dead by their sequence number, and closes what came with them.
 *
 * Signals are blocked over the exchange, those that instructions raise excepted:
 * the program's own memory is only touched with guarded copies.
 */
#include "preload/conn.h"

#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>

#include "machine/endpoint.h"
#include "preload/frames.h"
#include "preload/guard.h"
#include "preload/host.h"

#define USER_MIN   PAGE_SIZE
#define USER_LAST  0x7fffffffefffULL
#define WINDOW_MAX (100 * 1024)

struct exchange {
	struct proc *p;
	struct iobuf *b;
	struct wire_request *req;
	struct conn_answer *ans;
	int sock;
	bool control, faulted, no_room;
	u32 *seq;
	long mmio_ret;
	bool mmio;
};

static int wait_socket(int sock, short events)
{
	struct pollfd pfd = {.fd = sock, .events = events};
	long ret = sc5(SYS_ppoll, &pfd, 1, NULL, NULL, 0);

	return ret == -EINTR ? 0 : ret;
}

static long send_packet(int sock, struct iovec *iov, unsigned nr, const int *fds,
			unsigned nr_fds)
{
	u64 control[(CMSG_SPACE(sizeof(int) * WIRE_MAX_FDS) + 7) / 8];
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = nr};
	long ret;

	if (nr_fds) {
		struct cmsghdr *cm;

		memset(control, 0, sizeof(control));
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nr_fds);
		cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * nr_fds);
		memcpy(CMSG_DATA(cm), fds, sizeof(int) * nr_fds);
	}
	for (;;) {
		ret = sc3(SYS_sendmsg, sock, &msg, MSG_NOSIGNAL);
		if (ret == -EAGAIN)
			ret = wait_socket(sock, POLLOUT);
		else if (ret != -EINTR)
			return ret;
		if (ret < 0)
			return ret;
	}
}

static void close_fds(struct iobuf *b)
{
	for (unsigned i = 0; i < b->nr_fds; i++) {
		if (b->fds[i] >= 0)
			sys_close(b->fds[i]);
	}
	b->nr_fds = 0;
}

/* The next packet. Return: its length, 0 at the end of the connection, -errno. */
static long receive(struct exchange *x)
{
	struct iobuf *b = x->b;
	struct iovec iov = {b->data, sizeof(b->data)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = b->control,
			     .msg_controllen = sizeof(b->control)};
	struct cmsghdr *cm;
	long ret;

	b->nr_fds = 0;
	for (;;) {
		ret = sc3(SYS_recvmsg, x->sock, &msg, MSG_CMSG_CLOEXEC);
		if (ret == -EAGAIN)
			ret = wait_socket(x->sock, POLLIN);
		else if (ret != -EINTR)
			break;
		if (ret < 0)
			return ret;
	}
	if (ret < 0)
		return ret;
	for (cm = CMSG_FIRSTHDR(&msg); cm; cm = CMSG_NXTHDR(&msg, cm)) {
		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		b->nr_fds = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(b->fds, CMSG_DATA(cm), b->nr_fds * sizeof(int));
	}
	/* Descriptors that found no room in this process's table. */
	x->no_room = msg.msg_flags & MSG_CTRUNC;
	if (!ret) {
		close_fds(b);
		return 0;
	}
	return msg.msg_flags & MSG_TRUNC ? -EPROTO : ret;
}

static bool user_range(u64 addr, u64 len)
{
	return addr >= USER_MIN && addr <= USER_LAST && len <= USER_LAST - addr + 1;
}

static bool probe_writable(u64 addr, u64 len)
{
	u64 last = addr + len - 1;

	if (!len)
		return true;
	if (!user_range(addr, len))
		return false;
	for (u64 page = addr; page <= last;
	     page = ALIGN_DOWN(page, PAGE_SIZE) + PAGE_SIZE) {
		if (guarded_probe((void *)page))
			return false;
	}
	return true;
}

/*
 * Put together the request with @windows and @fds in the buffer and send it. The
 * windows and fds may lie in the buffer themselves, where NEED brought them.
 */
static long send_request(struct exchange *x, const struct wire_window *windows,
			 unsigned nr_win, const struct wire_fd *fds, unsigned nr_fds,
			 const void *payload, size_t payload_len, const u64 *frames,
			 unsigned nr_frames)
{
	struct wire_window win[WIRE_MAX_WINDOWS];
	struct wire_fd wfd[WIRE_MAX_FDS];
	int send_fds[WIRE_MAX_FDS];
	unsigned nr_send = 0;
	struct wire_request *req = x->req;
	size_t data = 0, room;
	struct iovec iov[7];
	u8 *out = x->b->data;

	if (nr_win > WIRE_MAX_WINDOWS || nr_fds > WIRE_MAX_FDS)
		return -EPROTO;
	memcpy(win, windows, nr_win * sizeof(*win));
	memcpy(wfd, fds, nr_fds * sizeof(*wfd));

	room = WIRE_MAX_PACKET - sizeof(*req) - nr_win * sizeof(*win) -
	       nr_fds * sizeof(*wfd) - nr_frames * sizeof(*frames) - payload_len;
	for (unsigned i = 0; i < nr_win; i++) {
		struct wire_window *w = &win[i];
		u32 asked = w->flags;

		w->flags = 0;
		w->avail = 0;
		if (asked & WIRE_WINDOW_NO_DATA)
			w->flags |= WIRE_WINDOW_NO_DATA;
		else if (user_range(w->addr, 1))
			w->avail = guarded_read(out + data, w->addr,
						min_t(size_t, w->len, room - data));
		if (asked & WIRE_WINDOW_WRITABLE && probe_writable(w->addr, w->len))
			w->flags |= WIRE_WINDOW_WRITABLE;
		data += w->avail;
	}
	for (unsigned i = 0; i < nr_fds; i++) {
		int fd = wfd[i].number;

		wfd[i].state = -EBADF;
		if (fd >= 0 && !fd_is_hidden(fd) && sc2(SYS_fcntl, fd, F_GETFD) >= 0) {
			wfd[i].state = 0;
			send_fds[nr_send++] = fd;
		}
	}

	req->seq = ++*x->seq;
	req->mm = x->p->mm;
	req->tid = self_tid();
	req->euid = sc0(SYS_geteuid);
	req->nr_windows = nr_win;
	req->nr_fds = nr_fds;
	req->nr_frames = nr_frames;
	req->payload_len = data + payload_len;
	iov[0] = (struct iovec){req, sizeof(*req)};
	iov[1] = (struct iovec){win, nr_win * sizeof(*win)};
	iov[2] = (struct iovec){wfd, nr_fds * sizeof(*wfd)};
	iov[3] = (struct iovec){(void *)frames, nr_frames * sizeof(*frames)};
	iov[4] = (struct iovec){out, data};
	iov[5] = (struct iovec){(void *)payload, payload_len};
	return send_packet(x->sock, iov, 6, send_fds, nr_send);
}

/* An answer's parts, checked against the packet's length. */
struct answer_parts {
	struct wire_reply rep;
	const struct wire_window *windows;
	const struct wire_fd *fds;
	const struct wire_new_fd *news;
	const u8 *payload;
};

static int take_apart(const struct iobuf *b, size_t len, struct answer_parts *a)
{
	const u8 *pos = b->data;
	size_t head;

	if (len < sizeof(a->rep))
		return -EPROTO;
	memcpy(&a->rep, pos, sizeof(a->rep));
	head = sizeof(a->rep) + a->rep.nr_windows * sizeof(*a->windows) +
	       a->rep.nr_fds * sizeof(*a->fds) + a->rep.nr_new * sizeof(*a->news);
	if (head > len || a->rep.payload_len > len - head)
		return -EPROTO;
	pos += sizeof(a->rep);
	a->windows = (const void *)pos;
	pos += a->rep.nr_windows * sizeof(*a->windows);
	a->fds = (const void *)pos;
	pos += a->rep.nr_fds * sizeof(*a->fds);
	a->news = (const void *)pos;
	a->payload = pos + a->rep.nr_new * sizeof(*a->news);
	return 0;
}

static void store(struct exchange *x, u64 addr, const void *from, size_t len)
{
	if (x->faulted || !len)
		return;
	if (!user_range(addr, len) || !guarded_write(addr, from, len))
		x->faulted = true;
}

static void store_windows(struct exchange *x, const struct answer_parts *a)
{
	size_t off = 0;

	for (unsigned i = 0; i < a->rep.nr_windows; i++) {
		const struct wire_window *w = &a->windows[i];

		if (w->avail > a->rep.payload_len - off)
			return;
		store(x, w->addr, a->payload + off, w->avail);
		off += w->avail;
	}
}

/* Descriptors of an answer: new files of the program, or (HELLO) machine memory. */
static long install(struct exchange *x, const struct answer_parts *a, long ret)
{
	struct iobuf *b = x->b;

	if (x->no_room || a->rep.nr_new > b->nr_fds) {
		bool described = a->rep.nr_new && !b->nr_fds && !x->no_room;

		if (described) { /* IDENTIFY, STAT: no descriptor comes with it */
			x->ans->has_new = true;
			x->ans->new_fd = a->news[0];
			return ret;
		}
		close_fds(b);
		return -EMFILE;
	}
	if (!a->rep.nr_new) {
		if (b->nr_fds) {
			x->ans->fd = b->fds[0];
			b->fds[0] = -1;
		}
		close_fds(b);
		return ret;
	}
	for (unsigned i = 0; i < a->rep.nr_new; i++) {
		const struct wire_new_fd *n = &a->news[i];
		s32 fd = b->fds[i];

		if (n->flags & WIRE_FD_SLOT)
			store(x, n->slot, &fd, sizeof(fd));
	}
	if (x->faulted) {
		close_fds(b);
		return ret;
	}
	for (unsigned i = 0; i < a->rep.nr_new; i++) {
		const struct wire_new_fd *n = &a->news[i];
		int fd = b->fds[i];

		if (!(n->flags & WIRE_FD_CLOEXEC))
			sc3(SYS_fcntl, fd, F_SETFD, 0);
		if (n->flags & WIRE_FD_RESULT)
			ret = fd;
		if (!x->ans->has_new) {
			x->ans->has_new = true;
			x->ans->new_fd = *n;
			x->ans->fd = fd;
		}
		b->fds[i] = -1;
	}
	close_fds(b);
	return ret;
}

static long finish(struct exchange *x, const struct answer_parts *a)
{
	long ret = a->rep.ret;

	x->ans->reply = a->rep;
	if (x->req->op == WIRE_NOTE_VMA) {
		unsigned n = min_t(unsigned, a->rep.nr_windows, CONN_MAX_PIECES);

		memcpy(x->ans->pieces, a->windows, n * sizeof(*a->windows));
		x->ans->nr_pieces = n;
	} else if (x->control && a->rep.payload_len) {
		; /* counts: for tests that speak the protocol themselves */
	} else {
		store_windows(x, a);
	}
	return install(x, a, ret);
}

/* The request again, with what the server asked for. */
static long send_again(struct exchange *x, const struct answer_parts *a,
		       const void *payload, size_t len, const u64 *frames,
		       unsigned nr_frames)
{
	return send_request(x, a->windows, a->rep.nr_windows, a->fds, a->rep.nr_fds,
			    payload, len, frames, nr_frames);
}

static long exchange(struct exchange *x, u64 window, u32 window_len, const void *payload,
		     size_t len, const u64 *frames, unsigned nr_frames)
{
	struct wire_window first = {.addr = window, .len = window_len};
	bool undo_sent = false;
	struct answer_parts a;
	long ret;

	ret = send_request(x, &first, window_len ? 1 : 0, NULL, 0, payload, len, frames,
			   nr_frames);
	if (ret < 0)
		return ret;
	for (;;) {
		ret = receive(x);
		if (!ret)
			return -EIO; /* the machine is gone */
		if (ret < 0)
			return ret;
		if (take_apart(x->b, ret, &a)) {
			close_fds(x->b);
			return -EIO;
		}
		if (a.rep.seq != *x->seq) {
			close_fds(x->b);
			continue;
		}
		switch (a.rep.kind) {
		case WIRE_STORE:
			store(x, a.rep.a, a.payload, a.rep.payload_len);
			break;
		case WIRE_NEED:
			ret = send_again(x, &a, payload, len, frames, nr_frames);
			if (ret < 0)
				return ret;
			break;
		case WIRE_MMIO:
			x->ans->reply = a.rep;
			x->mmio = true;
			return a.rep.ret;
		case WIRE_REPLY:
			if (undo_sent)
				return -EFAULT;
			ret = finish(x, &a);
			if (!x->faulted && ret != -EMFILE)
				return ret;
			if (!x->faulted && a.rep.ret < 0)
				return ret;
			/* What was done must be undone; the program sees why. */
			x->req->op = WIRE_FAULTED;
			if (send_request(x, NULL, 0, NULL, 0, NULL, 0, NULL, 0) < 0)
				return -EFAULT;
			if (!x->faulted) { /* no room for a descriptor */
				receive(x);
				close_fds(x->b);
				return -EMFILE;
			}
			undo_sent = true;
			break;
		default:
			close_fds(x->b);
			return -EIO;
		}
	}
}

static long do_mmio(struct proc *p, const struct wire_reply *rep)
{
	u32 fn = rep->a >> 8;
	unsigned bar = rep->a & 0xff;
	bool write = rep->d >> 63;
	u64 left = rep->d & ~(1ULL << 63), off = rep->b, user = rep->c;
	u8 buf[8];

	if (fn >= proc_hw.hdr->nr_functions || bar > HW_NR_BARS)
		return -EIO;
	while (left) {
		unsigned n = left >= 8 && !(off & 7)   ? 8
			     : left >= 4 && !(off & 3) ? 4
			     : left >= 2 && !(off & 1) ? 2
						       : 1;

		if (!user_range(user, n))
			return -EFAULT;
		if (write) {
			if (guarded_read(buf, user, n) != n)
				return -EFAULT;
			if (endpoint_mmio_write(&proc_hw, fn, bar, off, buf, n))
				return -EIO;
		} else {
			if (endpoint_mmio_read(&proc_hw, fn, bar, off, buf, n))
				return -EIO;
			if (!guarded_write(user, buf, n))
				return -EFAULT;
		}
		left -= n;
		off += n;
		user += n;
	}
	return rep->ret;
}

long conn_call(struct proc *p, int fd, u64 cookie, struct wire_request *req, u64 window,
	       u32 window_len, bool frames, struct conn_answer *ans)
{
	struct hw_lock *lock =
		&proc_hw.conn_locks[(cookie ^ cookie >> 10) % HW_MAX_CONN_LOCKS];
	struct exchange x = {
		.p = p, .req = req, .ans = ans, .sock = fd, .seq = &lock->reserved};
	u64 addrs[WIRE_MAX_FRAMES];
	unsigned nr_frames = frames ? frames_here(addrs, 16) : 0;
	kset_t mask;
	long ret;

	ans->fd = -1;
	ans->has_new = false;
	ans->nr_pieces = 0;
	if (window && !user_range(window, 1))
		window_len = 0;
	mask = sys_block_signals();
	x.b = iobuf_get();
	hw_lock_acquire(lock);
	ret = exchange(&x, window, min_t(u32, window_len, WINDOW_MAX), NULL, 0, addrs,
		       nr_frames);
	hw_lock_release(lock);
	iobuf_put(x.b);
	if (x.mmio)
		ret = do_mmio(p, &ans->reply);
	sys_restore_signals(mask);
	if (x.mmio)
		host_after_access();
	return ret;
}

long control_call(struct proc *p, struct wire_request *req, const void *payload,
		  size_t len, struct conn_answer *ans)
{
	struct exchange x = {
		.p = p, .req = req, .ans = ans, .control = true, .seq = &p->control_seq};
	u64 addrs[WIRE_MAX_FRAMES];
	unsigned nr_frames = 0;
	kset_t mask;
	long ret;

	/* What the report tells of: memory that a device may use goes away. */
	if (req->op == WIRE_NOTE_VMA &&
	    (req->c == WIRE_VMA_MOVED || req->c == WIRE_VMA_PROTECTED))
		nr_frames = frames_here(addrs, 16);
	ans->fd = -1;
	ans->has_new = false;
	ans->nr_pieces = 0;
	mask = sys_block_signals();
	x.b = iobuf_get();
	plock_lock(&p->control_lock);
	x.sock = p->control;
	ret = exchange(&x, 0, 0, payload, len, addrs, nr_frames);
	plock_unlock(&p->control_lock);
	iobuf_put(x.b);
	sys_restore_signals(mask);
	return ret;
}

void control_sync(struct proc *p)
{
	/* No socket has this cookie; the answer is all that matters. */
	struct wire_request req = {.op = WIRE_IDENTIFY};
	struct conn_answer ans;

	control_call(p, &req, NULL, 0, &ans);
}

/* ---- notes ---- */

#define NOTE_RING 512

struct note {
	struct wire_request req;
	u8 payload[96];
	u64 frames[16];
};
static struct note notes[NOTE_RING];

static unsigned note_iov(struct wire_request *req, const void *payload, const u64 *frames,
			 struct iovec *iov)
{
	iov[0] = (struct iovec){req, sizeof(*req)};
	iov[1] = (struct iovec){(void *)frames, req->nr_frames * sizeof(*frames)};
	iov[2] = (struct iovec){(void *)payload, req->payload_len};
	return 3;
}

static long note_send(struct proc *p, struct wire_request *req, const void *payload,
		      const u64 *frames, int flags)
{
	struct iovec iov[3];
	struct msghdr msg = {.msg_iov = iov};
	long ret;

	msg.msg_iovlen = note_iov(req, payload, frames, iov);
	do
		ret = sc3(SYS_sendmsg, p->control, &msg, MSG_NOSIGNAL | flags);
	while (ret == -EINTR);
	return ret;
}

void control_note(struct proc *p, struct wire_request *req, const void *payload,
		  size_t len, const u64 *frames, unsigned nr_frames, bool may_drop)
{
	struct note *n;
	kset_t mask;
	bool full;

	req->mm = p->mm;
	req->tid = self_tid();
	req->nr_frames = min(nr_frames, 16U);
	req->payload_len = len;

	mask = sys_block_signals();
	plock_lock(&p->note_lock);
	if (p->note_head == p->note_tail &&
	    note_send(p, req, payload, frames, MSG_DONTWAIT) != -EAGAIN) {
		plock_unlock(&p->note_lock);
		sys_restore_signals(mask);
		return;
	}
	full = p->note_tail - p->note_head >= NOTE_RING - (may_drop ? NOTE_RING / 4 : 0);
	if (!full) {
		n = &notes[p->note_tail++ % NOTE_RING];
		n->req = *req;
		memcpy(n->payload, payload, min(len, sizeof(n->payload)));
		memcpy(n->frames, frames, req->nr_frames * sizeof(*frames));
	} else {
		p->notes_lost++;
	}
	plock_unlock(&p->note_lock);
	sys_restore_signals(mask);
	host_want_engine();
}

bool control_flush(struct proc *p)
{
	kset_t mask = sys_block_signals();
	bool some = false;

	for (;;) {
		struct note n;

		plock_lock(&p->note_lock);
		if (p->note_head == p->note_tail) {
			plock_unlock(&p->note_lock);
			break;
		}
		some = true;
		n = notes[p->note_head % NOTE_RING];
		if (note_send(p, &n.req, n.payload, n.frames, MSG_DONTWAIT) == -EAGAIN) {
			plock_unlock(&p->note_lock);
			wait_socket(p->control, POLLOUT);
			continue;
		}
		p->note_head++;
		plock_unlock(&p->note_lock);
	}
	sys_restore_signals(mask);
	return some;
}
