// SPDX-License-Identifier: MIT
/*
 * Calls on descriptors: what a file of the machine is asked goes to the server, every
 * other descriptor costs a look at a byte. pread and its kind fail on a socket, so
 * they need not even that.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/uio.h>
#include <unistd.h>

#include "preload/guard.h"
#include "preload/hooks.h"
#include "preload/host.h"
#include "preload/signals.h"
#include "preload/vma.h"

#define IOCTL_TYPE    0x3b /* ';': VFIO and iommufd */
#define RW_MAX	      (64 * 1024)
#define IOCTL_NR(cmd) ((cmd)&0xff)

enum {
	NR_MAP_DMA = 113,
	NR_UNMAP_DMA = 114,
	NR_SET_IRQS = 110,
	NR_IOEVENTFD = 116,
	NR_IOAS_COPY = 0x83,
	NR_IOAS_MAP = 0x85,
	NR_IOAS_UNMAP = 0x86,
	NR_IOAS_MAP_FILE = 0x8f,
};

static bool maps_memory(unsigned long cmd)
{
	switch (IOCTL_NR(cmd)) {
	case NR_MAP_DMA:
	case NR_UNMAP_DMA:
	case NR_IOAS_COPY:
	case NR_IOAS_MAP:
	case NR_IOAS_UNMAP:
	case NR_IOAS_MAP_FILE:
		return true;
	default:
		return false;
	}
}

static long machine_ioctl(const struct pfile *f, int fd, unsigned long cmd, u64 arg)
{
	struct wire_request req = {.op = WIRE_IOCTL, .a = (u32)cmd, .b = arg};
	struct conn_answer ans;
	struct proc *p = proc_get();
	long ret;

	if (!p)
		return -EIO;
	ret = conn_call(p, fd, f->cookie, &req, arg, WIRE_PREFETCH, maps_memory(cmd),
			&ans);
	if (ret >= 0 && IOCTL_NR(cmd) == NR_SET_IRQS)
		irq_note_set(f, arg);
	if (ret >= 0 && IOCTL_NR(cmd) == NR_IOAS_MAP_FILE)
		vma_files_given();
	if (ret >= 0 && IOCTL_NR(cmd) == NR_IOEVENTFD) {
		s32 efd;

		/* struct vfio_device_ioeventfd: argsz, flags, offset, data, fd */
		if (guarded_read(&efd, arg + 24, sizeof(efd)) == sizeof(efd) && efd >= 0)
			fd_heard(efd);
	}
	if (ret >= 0 && ans.has_new && ans.fd >= 0 && ans.new_fd.flags & WIRE_FD_FILE)
		file_add(ans.fd, &ans.new_fd, O_RDWR);
	return ret;
}

HOOK int ioctl(int fd, unsigned long cmd, ...)
{
	struct pfile f;
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	if ((cmd >> 8 & 0xff) == IOCTL_TYPE && file_get(fd, &f))
		return libc_ret(machine_ioctl(&f, fd, cmd, (u64)arg));
	/* No terminal, no file system: what the kernel says of a device node. */
	if (unlikely(fd_hint(fd) == FD_OURS) && file_get(fd, &f) && cmd != FIONBIO &&
	    cmd != FIOCLEX && cmd != FIONCLEX)
		return libc_ret(!S_ISREG(f.mode) ? machine_ioctl(&f, fd, cmd, (u64)arg)
						 : -ENOTTY);
	return NEXT(ioctl)(fd, cmd, arg);
}

/* ---- read and write ---- */

static long file_rw(const struct pfile *f, int fd, u32 op, u64 buf, size_t len, u64 pos)
{
	struct wire_request req = {.op = op, .a = buf, .b = len, .c = pos};
	struct conn_answer ans;
	struct proc *p = proc_get();
	long ret;

	if (!p)
		return -EIO;
	ret = conn_call(p, fd, f->cookie, &req, buf,
			op == WIRE_WRITE ? min_t(size_t, len, RW_MAX) : 0, false, &ans);
	if (ret >= 0 && ans.reply.kind == WIRE_MMIO) {
		file_set_function(f->cookie, ans.reply.a >> 8);
		irq_file_function(f->cookie, ans.reply.a >> 8);
	}
	return ret;
}

long file_read(const struct pfile *f, int fd, void *buf, size_t len, u64 pos)
{
	return file_rw(f, fd, WIRE_READ, (u64)buf, len, pos);
}

long file_write(const struct pfile *f, int fd, const void *buf, size_t len, u64 pos)
{
	return file_rw(f, fd, WIRE_WRITE, (u64)buf, len, pos);
}

HOOK ssize_t read(int fd, void *buf, size_t len)
{
	struct pfile f;

	if (unlikely(fd_hint(fd) != FD_OTHER) && file_get_hinted(fd, &f))
		return libc_ret(file_read(&f, fd, buf, len, ~0ULL));
	return NEXT(read)(fd, buf, len);
}

static void heard(int fd)
{
	struct proc *p = proc_get();
	int keep = errno;

	if (p)
		control_sync(p);
	errno = keep;
}

HOOK ssize_t write(int fd, const void *buf, size_t len)
{
	struct pfile f;
	ssize_t ret;

	if (unlikely(fd_hint(fd) != FD_OTHER) && file_get_hinted(fd, &f))
		return libc_ret(file_write(&f, fd, buf, len, ~0ULL));
	ret = NEXT(write)(fd, buf, len);
	if (unlikely(fd_hint(fd) == FD_HEARD))
		heard(fd);
	return ret;
}

HOOK int eventfd_write(int fd, eventfd_t value)
{
	int ret = NEXT(eventfd_write)(fd, value);

	if (unlikely(fd_hint(fd) == FD_HEARD))
		heard(fd);
	return ret;
}

/* What only a socket (of all files that can be read) refuses so. */
static bool refused(ssize_t ret, int fd, struct pfile *f)
{
	return unlikely(ret < 0 && errno == ESPIPE && proc_socket) && file_get(fd, f);
}

HOOK ssize_t pread(int fd, void *buf, size_t len, off_t pos)
{
	struct pfile f;
	ssize_t ret;

	if (unlikely(fd_hint(fd) == FD_OURS) && file_get(fd, &f))
		return libc_ret(pos < 0 ? -EINVAL : file_read(&f, fd, buf, len, pos));
	ret = NEXT(pread)(fd, buf, len, pos);
	return refused(ret, fd, &f) ? libc_ret(file_read(&f, fd, buf, len, pos)) : ret;
}
HOOK_ALIAS(pread64, pread);

HOOK ssize_t pwrite(int fd, const void *buf, size_t len, off_t pos)
{
	struct pfile f;
	ssize_t ret;

	if (unlikely(fd_hint(fd) == FD_OURS) && file_get(fd, &f))
		return libc_ret(pos < 0 ? -EINVAL : file_write(&f, fd, buf, len, pos));
	ret = NEXT(pwrite)(fd, buf, len, pos);
	return refused(ret, fd, &f) ? libc_ret(file_write(&f, fd, buf, len, pos)) : ret;
}
HOOK_ALIAS(pwrite64, pwrite);

ssize_t __read_chk(int fd, void *buf, size_t len, size_t size);
HOOK ssize_t __read_chk(int fd, void *buf, size_t len, size_t size)
{
	struct pfile f;

	if (unlikely(fd_hint(fd) != FD_OTHER) && len <= size && file_get_hinted(fd, &f))
		return libc_ret(file_read(&f, fd, buf, len, ~0ULL));
	return NEXT(__read_chk)(fd, buf, len, size);
}

ssize_t __pread_chk(int fd, void *buf, size_t len, off_t pos, size_t size);
HOOK ssize_t __pread_chk(int fd, void *buf, size_t len, off_t pos, size_t size)
{
	struct pfile f;
	ssize_t ret;

	if (unlikely(fd_hint(fd) == FD_OURS) && len <= size && file_get(fd, &f))
		return libc_ret(pos < 0 ? -EINVAL : file_read(&f, fd, buf, len, pos));
	ret = NEXT(__pread_chk)(fd, buf, len, pos, size);
	return refused(ret, fd, &f) ? libc_ret(file_read(&f, fd, buf, len, pos)) : ret;
}
HOOK_ALIAS(__pread64_chk, __pread_chk);

/* One segment after the other, as the kernel does for files without read_iter. */
static long file_rwv(const struct pfile *f, int fd, u32 op, const struct iovec *iov,
		     int n, u64 pos)
{
	long done = 0, ret;

	if (n < 0 || n > 1024)
		return -EINVAL;
	for (int i = 0; i < n; i++) {
		if (!iov[i].iov_len)
			continue;
		ret = file_rw(f, fd, op, (u64)iov[i].iov_base, iov[i].iov_len, pos);
		if (ret < 0)
			return done ? done : ret;
		done += ret;
		if (pos != ~0ULL)
			pos += ret;
		if (ret != (long)iov[i].iov_len)
			break;
	}
	return done;
}

HOOK ssize_t readv(int fd, const struct iovec *iov, int n)
{
	struct pfile f;

	if (unlikely(fd_hint(fd) != FD_OTHER) && file_get_hinted(fd, &f))
		return libc_ret(file_rwv(&f, fd, WIRE_READ, iov, n, ~0ULL));
	return NEXT(readv)(fd, iov, n);
}

HOOK ssize_t writev(int fd, const struct iovec *iov, int n)
{
	struct pfile f;

	if (unlikely(fd_hint(fd) != FD_OTHER) && file_get_hinted(fd, &f))
		return libc_ret(file_rwv(&f, fd, WIRE_WRITE, iov, n, ~0ULL));
	return NEXT(writev)(fd, iov, n);
}

HOOK ssize_t preadv(int fd, const struct iovec *iov, int n, off_t pos)
{
	ssize_t ret = NEXT(preadv)(fd, iov, n, pos);
	struct pfile f;

	return refused(ret, fd, &f) ? libc_ret(file_rwv(&f, fd, WIRE_READ, iov, n, pos))
				    : ret;
}
HOOK_ALIAS(preadv64, preadv);

HOOK ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t pos)
{
	ssize_t ret = NEXT(pwritev)(fd, iov, n, pos);
	struct pfile f;

	return refused(ret, fd, &f) ? libc_ret(file_rwv(&f, fd, WIRE_WRITE, iov, n, pos))
				    : ret;
}
HOOK_ALIAS(pwritev64, pwritev);

/* ---- descriptors ---- */

HOOK int close(int fd)
{
	if (unlikely(fd_is_hidden(fd)))
		return libc_ret(-EBADF);
	stdio_before_change(fd);
	fd_forget(fd);
	return NEXT(close)(fd);
}

/* Calls @fn for the runs of [first, last] that hold no hidden descriptor. */
static long for_visible(unsigned first, unsigned last,
			long (*fn)(unsigned, unsigned, int), int arg)
{
	unsigned start = first;
	long ret = 0;

	for (unsigned fd = first; fd <= last && fd < FD_MAX; fd++) {
		if (!fd_is_hidden(fd)) {
			fd_forget(fd);
			continue;
		}
		if (fd > start)
			ret = fn(start, fd - 1, arg);
		if (ret < 0)
			return ret;
		start = fd + 1;
	}
	return start <= last ? fn(start, last, arg) : ret;
}

static long close_run(unsigned first, unsigned last, int flags)
{
	return sc3(SYS_close_range, first, last, flags);
}

HOOK int close_range(unsigned first, unsigned last, int flags)
{
	if (!proc_used() || first > last)
		return libc_ret(sc3(SYS_close_range, first, last, flags));
	return libc_ret(for_visible(first, last, close_run, flags));
}

HOOK void closefrom(int first)
{
	if (!proc_used() || for_visible(first < 0 ? 0 : first, ~0U, close_run, 0) < 0)
		NEXT(closefrom)(first);
}

HOOK int dup(int fd)
{
	int ret = fd_is_hidden(fd) ? libc_ret(-EBADF) : NEXT(dup)(fd);

	if (ret >= 0)
		fd_hint_copy(fd, ret);
	return ret;
}

HOOK int dup2(int fd, int to)
{
	int ret;

	if (unlikely(fd_is_hidden(to)))
		fd_evade(to);
	if (fd != to)
		stdio_before_change(to);
	ret = NEXT(dup2)(fd, to);
	if (ret >= 0 && fd != to) {
		fd_hint_copy(fd, to);
		if (fd_hint(to) == FD_OURS)
			stdio_after_change(to);
	}
	return ret;
}

HOOK int dup3(int fd, int to, int flags)
{
	int ret;

	if (unlikely(fd_is_hidden(to)))
		fd_evade(to);
	stdio_before_change(to);
	ret = NEXT(dup3)(fd, to, flags);
	if (ret >= 0) {
		fd_hint_copy(fd, to);
		if (fd_hint(to) == FD_OURS)
			stdio_after_change(to);
	}
	return ret;
}

HOOK int fcntl(int fd, int cmd, ...)
{
	struct pfile f;
	va_list ap;
	void *arg;
	int ret;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (unlikely(fd_is_hidden(fd)))
		return libc_ret(-EBADF);
	ret = NEXT(fcntl)(fd, cmd, arg);
	if (ret < 0)
		return ret;
	if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
		fd_hint_copy(fd, ret);
	/* A socket is always open for both. */
	if (cmd == F_GETFL && unlikely(fd_hint(fd) == FD_OURS) && file_get(fd, &f))
		ret = (ret & ~O_ACCMODE) | (f.flags & O_ACCMODE);
	return ret;
}
HOOK_ALIAS(fcntl64, fcntl);

/* ---- readiness ---- */

#define READY_ALWAYS (EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM)

static u32 file_poll(const struct pfile *f, int fd)
{
	struct wire_request req = {.op = WIRE_POLL};
	struct conn_answer ans;
	struct proc *p = proc_get();
	long ret = p ? conn_call(p, fd, f->cookie, &req, 0, 0, false, &ans) : -EIO;

	return ret < 0 ? EPOLLERR : ret;
}

/* Answers for our files; others are left to the kernel. Return: how many are ready. */
static int poll_ours(struct pollfd *fds, nfds_t n, bool *any)
{
	struct pfile f;
	int ready = 0;

	*any = false;
	for (nfds_t i = 0; i < n; i++) {
		if (fds[i].fd < 0 || fd_hint(fds[i].fd) != FD_OURS ||
		    !file_get(fds[i].fd, &f))
			continue;
		*any = true;
		fds[i].revents =
			file_poll(&f, fds[i].fd) & (fds[i].events | POLLERR | POLLHUP);
		ready += !!fds[i].revents;
	}
	return ready;
}

/*
 * Ours are ready (nearly all files have no poll at all), so the others are looked at
 * without waiting. Where none of ours is, the rest is waited for in short turns.
 */
static int poll_mixed(struct pollfd *fds, nfds_t n, const struct timespec *limit,
		      const kset_t *mask)
{
	struct timespec now, zero = {0, 0}, turn = {0, 10000000};
	s64 left = limit ? limit->tv_sec * 1000000000LL + limit->tv_nsec : -1;
	struct pollfd others[256];

	if (n > ARRAY_SIZE(others))
		return -EINVAL;
	for (;;) {
		bool any;
		int ours = poll_ours(fds, n, &any);
		long ret;

		for (nfds_t i = 0; i < n; i++) {
			others[i] = fds[i];
			if (fd_hint(fds[i].fd) == FD_OURS)
				others[i].fd = -1;
		}
		now = ours || !left ? zero : turn;
		if (left > 0 && left < turn.tv_nsec)
			now.tv_nsec = left;
		ret = sc5(SYS_ppoll, others, n, &now, mask, sizeof(*mask));
		if (ret < 0)
			return ret;
		for (nfds_t i = 0; i < n; i++) {
			if (others[i].fd >= 0)
				fds[i].revents = others[i].revents;
		}
		if (ret || ours || !left)
			return ret + ours;
		if (left > 0)
			left = max_t(s64, 0, left - turn.tv_nsec);
	}
}

static bool polls_ours(const struct pollfd *fds, nfds_t n)
{
	if (!proc_used())
		return false;
	for (nfds_t i = 0; i < n; i++) {
		if (fds[i].fd >= 0 && fd_hint(fds[i].fd) == FD_OURS)
			return true;
	}
	return false;
}

static int poll_ms(struct pollfd *fds, nfds_t n, int timeout)
{
	struct timespec limit = {timeout / 1000, timeout % 1000 * 1000000L};

	return libc_ret(poll_mixed(fds, n, timeout < 0 ? NULL : &limit, NULL));
}

HOOK int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	if (unlikely(polls_ours(fds, n)))
		return poll_ms(fds, n, timeout);
	return NEXT(poll)(fds, n, timeout);
}

HOOK int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *limit,
	       const sigset_t *mask)
{
	sigset_t real;
	kset_t k;

	if (proc_socket && mask) {
		memcpy(&k, mask, sizeof(k));
		k = mask_to_kernel(k);
		memset(&real, 0, sizeof(real));
		memcpy(&real, &k, sizeof(k));
		mask = &real;
	}
	if (unlikely(polls_ours(fds, n)))
		return libc_ret(poll_mixed(fds, n, limit, (const kset_t *)mask));
	return NEXT(ppoll)(fds, n, limit, mask);
}

int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size);
HOOK int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size)
{
	if (unlikely(n <= size / sizeof(*fds) && polls_ours(fds, n)))
		return poll_ms(fds, n, timeout);
	return NEXT(__poll_chk)(fds, n, timeout, size);
}

HOOK int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	struct pfile f;

	if (op == EPOLL_CTL_ADD && unlikely(fd_hint(fd) == FD_OURS) && file_get(fd, &f) &&
	    !S_ISREG(f.mode) && file_poll(&f, fd) == READY_ALWAYS)
		return libc_ret(-EPERM);
	return NEXT(epoll_ctl)(epfd, op, fd, event);
}

HOOK int select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *limit)
{
	struct pollfd fds[256];
	struct timespec ts;
	unsigned nr = 0;
	bool ours = false;
	int ret, bits = 0;

	for (int fd = 0; proc_used() && fd < n && fd < FD_SETSIZE; fd++) {
		short ev = (r && FD_ISSET(fd, r) ? POLLIN : 0) |
			   (w && FD_ISSET(fd, w) ? POLLOUT : 0) |
			   (e && FD_ISSET(fd, e) ? POLLPRI : 0);

		if (!ev)
			continue;
		ours |= fd_hint(fd) == FD_OURS;
		if (nr == ARRAY_SIZE(fds)) {
			ours = false;
			break;
		}
		fds[nr++] = (struct pollfd){.fd = fd, .events = ev};
	}
	if (likely(!ours))
		return NEXT(select)(n, r, w, e, limit);
	if (limit) {
		ts.tv_sec = limit->tv_sec;
		ts.tv_nsec = limit->tv_usec * 1000;
	}
	ret = poll_mixed(fds, nr, limit ? &ts : NULL, NULL);
	if (ret < 0)
		return libc_ret(ret);
	for (unsigned i = 0; i < nr; i++) {
		int fd = fds[i].fd, re = fds[i].revents;

		if (re & POLLNVAL)
			return libc_ret(-EBADF);
		if (r && FD_ISSET(fd, r) && !(re & (POLLIN | POLLHUP | POLLERR)))
			FD_CLR(fd, r);
		if (w && FD_ISSET(fd, w) && !(re & (POLLOUT | POLLERR)))
			FD_CLR(fd, w);
		if (e && FD_ISSET(fd, e) && !(re & POLLPRI))
			FD_CLR(fd, e);
		bits += (r && FD_ISSET(fd, r)) + (w && FD_ISSET(fd, w)) +
			(e && FD_ISSET(fd, e));
	}
	return bits;
}
