// SPDX-License-Identifier: MIT
/*
 * Opening: device nodes and writable attributes become connections to the server, all
 * else (redirected where there is no mount namespace) is the file system's.
 */
#include "preload/hooks.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "preload/vma.h"

void *next_symbol(void **slot, const char *name)
{
	void *p = __atomic_load_n(slot, __ATOMIC_RELAXED);

	if (unlikely(!p)) {
		p = dlsym(RTLD_NEXT, name);
		__atomic_store_n(slot, p, __ATOMIC_RELAXED);
	}
	return p;
}

static int open_request(const char *path, int flags, unsigned mode)
{
	struct wire_request req = {.op = WIRE_OPEN, .a = (u32)flags, .b = mode};
	struct conn_answer ans;
	struct proc *p = proc_get();
	long ret;

	if (!p)
		return -ENXIO;
	ret = control_call(p, &req, path, strlen(path), &ans);
	if (ret < 0)
		return ret;
	if (ans.fd < 0 || !ans.has_new)
		return -EIO;
	if (!(flags & O_CLOEXEC))
		sc3(SYS_fcntl, ans.fd, F_SETFD, 0);
	if (flags & O_NONBLOCK)
		sc3(SYS_fcntl, ans.fd, F_SETFL, O_NONBLOCK);
	file_add(ans.fd, &ans.new_fd, flags);
	return ans.fd;
}

static bool is_dir(const char *path)
{
	struct stat st;

	path = REDIRECT(AT_FDCWD, path);
	return sc4(SYS_newfstatat, AT_FDCWD, path, &st, 0) >= 0 && S_ISDIR(st.st_mode);
}

/* The kernel looks at the mode for root too: what nobody may read is EACCES (fs/kernfs).
 */
static bool is_unreadable(int dirfd, const char *path)
{
	struct stat st;

	return !strncmp(path, "/sys/", 5) &&
	       sc4(SYS_newfstatat, dirfd, REDIRECT(dirfd, path), &st, 0) >= 0 &&
	       S_ISREG(st.st_mode) && !(st.st_mode & 0444);
}

static __attribute__((noinline)) int open_device(int dirfd, const char *path, int flags,
						 unsigned mode)
{
	char name[PATH_BUF];
	int ret;

	if (!path_device(dirfd, path, name))
		return NOT_OURS;
	ret = open_request(name, flags, mode);
	if (ret >= 0)
		vma_tame_malloc();
	return ret == -ENOENT && is_dir(name) ? NOT_OURS : ret;
}

static __attribute__((noinline)) int open_attribute(int dirfd, const char *path,
						    int flags, unsigned mode)
{
	char name[PATH_BUF];
	bool ours;
	int ret;

	if (!path_attribute(dirfd, path, flags, name, &ours))
		return NOT_OURS;
	ret = open_request(name, flags, mode);
	return !ours && (ret == -ENOENT || ret == -EACCES) ? NOT_OURS : ret;
}

int machine_open(int dirfd, const char *path, int flags, unsigned mode)
{
	int ret = NOT_OURS;

	if (!proc_socket || !path || flags & (O_PATH | O_DIRECTORY))
		return NOT_OURS;
	if (path_device_like(path))
		ret = open_device(dirfd, path, flags, mode);
	if (ret != NOT_OURS)
		return ret;
	if ((flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC)
		return open_attribute(dirfd, path, flags, mode);
	return is_unreadable(dirfd, path) ? -EACCES : NOT_OURS;
}

static bool wants_mode(int flags)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE;
}

#define MODE_ARGUMENT(flags)                           \
	({                                             \
		unsigned _mode = 0;                    \
		if (wants_mode(flags)) {               \
			va_list _ap;                   \
			va_start(_ap, flags);          \
			_mode = va_arg(_ap, unsigned); \
			va_end(_ap);                   \
		}                                      \
		_mode;                                 \
	})

HOOK int open(const char *path, int flags, ...)
{
	unsigned mode = MODE_ARGUMENT(flags);
	int fd = machine_open(AT_FDCWD, path, flags, mode);

	if (fd != NOT_OURS)
		return libc_ret(fd);
	fd = NEXT(open)(REDIRECT(AT_FDCWD, path), flags, mode);
	fd_forget(fd);
	return fd;
}
HOOK_ALIAS(open64, open);

HOOK int openat(int dirfd, const char *path, int flags, ...)
{
	unsigned mode = MODE_ARGUMENT(flags);
	int fd = machine_open(dirfd, path, flags, mode);

	if (fd != NOT_OURS)
		return libc_ret(fd);
	fd = NEXT(openat)(dirfd, REDIRECT(dirfd, path), flags, mode);
	fd_forget(fd);
	return fd;
}
HOOK_ALIAS(openat64, openat);

int __open_2(const char *path, int flags);
HOOK int __open_2(const char *path, int flags)
{
	int fd = machine_open(AT_FDCWD, path, flags, 0);

	if (fd != NOT_OURS)
		return libc_ret(fd);
	fd = NEXT(__open_2)(REDIRECT(AT_FDCWD, path), flags);
	fd_forget(fd);
	return fd;
}
HOOK_ALIAS(__open64_2, __open_2);

int __openat_2(int dirfd, const char *path, int flags);
HOOK int __openat_2(int dirfd, const char *path, int flags)
{
	int fd = machine_open(dirfd, path, flags, 0);

	if (fd != NOT_OURS)
		return libc_ret(fd);
	fd = NEXT(__openat_2)(dirfd, REDIRECT(dirfd, path), flags);
	fd_forget(fd);
	return fd;
}
HOOK_ALIAS(__openat64_2, __openat_2);

HOOK int creat(const char *path, mode_t mode)
{
	int fd = machine_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);

	if (fd != NOT_OURS)
		return libc_ret(fd);
	fd = NEXT(creat)(REDIRECT(AT_FDCWD, path), mode);
	fd_forget(fd);
	return fd;
}
HOOK_ALIAS(creat64, creat);

/* ---- stdio ---- */

/*
 * libc's own stdio writes where no hook sees it: a stream on one of our files writes
 * through these, so that fclose() and fflush() tell the kernel's errno.
 */
static ssize_t cookie_read(void *cookie, char *buf, size_t len)
{
	struct pfile f;

	if (!file_get((int)(long)cookie, &f))
		return libc_ret(-EBADF);
	return libc_ret(file_read(&f, (int)(long)cookie, buf, len, ~0ULL));
}

static ssize_t cookie_write(void *cookie, const char *buf, size_t len)
{
	struct pfile f;
	long ret;

	if (!file_get((int)(long)cookie, &f))
		return 0;
	ret = libc_ret(file_write(&f, (int)(long)cookie, buf, len, ~0ULL));
	return ret < 0 ? 0 : ret; /* fopencookie(3): 0 is the error */
}

static int cookie_close(void *cookie)
{
	fd_forget((int)(long)cookie);
	return libc_ret(sys_close((int)(long)cookie));
}

static FILE *stream_of(int fd, const char *mode)
{
	cookie_io_functions_t io = {
		.read = cookie_read, .write = cookie_write, .close = cookie_close};
	FILE *f = fopencookie((void *)(long)fd, mode, io);

	if (!f)
		sys_close(fd);
	else
		f->_fileno = fd; /* what fileno() tells */
	return f;
}

/*
 * The standard streams of a program whose descriptor 1 or 2 is one of our files (a
 * shell's "echo x > attribute"): libc would write to the descriptor itself.
 */
static FILE *kept_stream[3], *our_stream[3];

void stdio_before_change(int fd)
{
	FILE **std = fd == 1 ? &stdout : &stderr;

	if (fd < 1 || fd > 2 || !our_stream[fd])
		return;
	fflush(our_stream[fd]);
	if (*std == our_stream[fd])
		*std = kept_stream[fd];
	fclose(our_stream[fd]);
	our_stream[fd] = NULL;
}

void stdio_after_change(int fd)
{
	cookie_io_functions_t io = {.read = cookie_read, .write = cookie_write};
	FILE **std = fd == 1 ? &stdout : &stderr;
	struct pfile f;

	if (fd < 1 || fd > 2 || our_stream[fd] || !file_get_hinted(fd, &f))
		return;
	our_stream[fd] = fopencookie((void *)(long)fd, "w", io);
	if (!our_stream[fd])
		return;
	our_stream[fd]->_fileno = fd;
	kept_stream[fd] = *std;
	*std = our_stream[fd];
}

/* What a shell has set up before it ran this program. */
__attribute__((constructor(103))) static void stdio_start(void)
{
	struct pfile f;

	for (int fd = 1; proc_socket && fd <= 2; fd++) {
		if (file_get(fd, &f))
			stdio_after_change(fd);
	}
}

static int mode_flags(const char *mode)
{
	int flags = *mode == 'r'   ? O_RDONLY
		    : *mode == 'w' ? O_WRONLY | O_CREAT | O_TRUNC
				   : O_WRONLY | O_CREAT | O_APPEND;

	if (strchr(mode, '+'))
		flags = (flags & ~O_ACCMODE) | O_RDWR;
	if (strchr(mode, 'e'))
		flags |= O_CLOEXEC;
	return flags;
}

HOOK FILE *fopen(const char *path, const char *mode)
{
	int fd;

	if (proc_socket && path && mode) {
		fd = machine_open(AT_FDCWD, path, mode_flags(mode), 0666);
		if (fd >= 0)
			return stream_of(fd, mode);
		if (fd != NOT_OURS) {
			errno = -fd;
			return NULL;
		}
	}
	return NEXT(fopen)(REDIRECT(AT_FDCWD, path), mode);
}
HOOK_ALIAS(fopen64, fopen);

HOOK FILE *freopen(const char *path, const char *mode, FILE *stream)
{
	return NEXT(freopen)(REDIRECT(AT_FDCWD, path), mode, stream);
}
HOOK_ALIAS(freopen64, freopen);

HOOK FILE *fdopen(int fd, const char *mode)
{
	struct pfile f;

	if (file_get_hinted(fd, &f))
		return stream_of(fd, mode);
	return NEXT(fdopen)(fd, mode);
}
