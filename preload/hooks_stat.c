// SPDX-License-Identifier: MIT
/*
 * stat and its kind: an unprivileged user cannot make device nodes, so the tree holds
 * ordinary files in their place, and the server is asked what they stand for.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "preload/hooks.h"

/* What a device node shows; false: it is none. */
static bool device_look(int dirfd, const char *path, struct wire_new_fd *out)
{
	struct wire_request req = {.op = WIRE_STAT};
	struct conn_answer ans;
	char name[PATH_BUF];
	struct proc *p;

	if (!path_device(dirfd, path, name))
		return false;
	p = proc_get();
	if (!p || control_call(p, &req, name, strlen(name), &ans) < 0 || !ans.has_new)
		return false;
	*out = ans.new_fd;
	return true;
}

static void dress(struct stat *st, u32 mode, u32 major, u32 minor)
{
	st->st_mode = mode;
	if (S_ISCHR(mode)) {
		st->st_rdev = makedev(major, minor);
		st->st_size = 0;
		st->st_blocks = 0;
	} else {
		st->st_size = PAGE_SIZE;
		st->st_rdev = 0;
	}
}

static void fix_path(int dirfd, const char *path, struct stat *st)
{
	struct wire_new_fd look;

	if (proc_socket && path && S_ISREG(st->st_mode) &&
	    device_look(dirfd, path, &look))
		dress(st, look.mode, look.rdev_major, look.rdev_minor);
}

static void fix_fd(int fd, struct stat *st)
{
	struct pfile f;

	if (proc_socket && S_ISSOCK(st->st_mode) && file_get(fd, &f))
		dress(st, f.mode, f.rdev_major, f.rdev_minor);
}

int hook_stat(const char *path, struct stat *st)
{
	int ret = NEXT(stat)(REDIRECT(AT_FDCWD, path), st);

	if (!ret)
		fix_path(AT_FDCWD, path, st);
	return ret;
}

int hook_lstat(const char *path, struct stat *st)
{
	int ret = NEXT(lstat)(REDIRECT(AT_FDCWD, path), st);

	if (!ret)
		fix_path(AT_FDCWD, path, st);
	return ret;
}

HOOK int stat(const char *path, struct stat *st)
{
	return hook_stat(path, st);
}

HOOK int lstat(const char *path, struct stat *st)
{
	return hook_lstat(path, st);
}

HOOK int fstat(int fd, struct stat *st)
{
	int ret = NEXT(fstat)(fd, st);

	if (!ret)
		fix_fd(fd, st);
	return ret;
}

static void fix_at(int dirfd, const char *path, int flags, struct stat *st)
{
	if (flags & AT_EMPTY_PATH && path && !*path)
		fix_fd(dirfd, st);
	else
		fix_path(dirfd, path, st);
}

HOOK int fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
	int ret = NEXT(fstatat)(dirfd, REDIRECT(dirfd, path), st, flags);

	if (!ret)
		fix_at(dirfd, path, flags, st);
	return ret;
}

/* On this architecture struct stat64 is struct stat. */
int stat64_alias(const char *path, struct stat *st) __asm__("stat64");
int stat64_alias(const char *path, struct stat *st)
	__attribute__((alias("stat"), visibility("default")));
int lstat64_alias(const char *path, struct stat *st) __asm__("lstat64");
int lstat64_alias(const char *path, struct stat *st)
	__attribute__((alias("lstat"), visibility("default")));
int fstat64_alias(int fd, struct stat *st) __asm__("fstat64");
int fstat64_alias(int fd, struct stat *st)
	__attribute__((alias("fstat"), visibility("default")));
int fstatat64_alias(int d, const char *path, struct stat *st,
		    int flags) __asm__("fstatat64");
int fstatat64_alias(int d, const char *path, struct stat *st, int flags)
	__attribute__((alias("fstatat"), visibility("default")));

/* Programs linked before glibc 2.33. */
int __xstat(int ver, const char *path, struct stat *st);
HOOK int __xstat(int ver, const char *path, struct stat *st)
{
	int ret = NEXT(__xstat)(ver, REDIRECT(AT_FDCWD, path), st);

	if (!ret)
		fix_path(AT_FDCWD, path, st);
	return ret;
}
HOOK_ALIAS(__xstat64, __xstat);

int __lxstat(int ver, const char *path, struct stat *st);
HOOK int __lxstat(int ver, const char *path, struct stat *st)
{
	int ret = NEXT(__lxstat)(ver, REDIRECT(AT_FDCWD, path), st);

	if (!ret)
		fix_path(AT_FDCWD, path, st);
	return ret;
}
HOOK_ALIAS(__lxstat64, __lxstat);

int __fxstat(int ver, int fd, struct stat *st);
HOOK int __fxstat(int ver, int fd, struct stat *st)
{
	int ret = NEXT(__fxstat)(ver, fd, st);

	if (!ret)
		fix_fd(fd, st);
	return ret;
}
HOOK_ALIAS(__fxstat64, __fxstat);

int __fxstatat(int ver, int dirfd, const char *path, struct stat *st, int flags);
HOOK int __fxstatat(int ver, int dirfd, const char *path, struct stat *st, int flags)
{
	int ret = NEXT(__fxstatat)(ver, dirfd, REDIRECT(dirfd, path), st, flags);

	if (!ret)
		fix_at(dirfd, path, flags, st);
	return ret;
}
HOOK_ALIAS(__fxstatat64, __fxstatat);

static void dress_statx(struct statx *st, u32 mode, u32 major, u32 minor)
{
	st->stx_mode = mode;
	if (S_ISCHR(mode)) {
		st->stx_rdev_major = major;
		st->stx_rdev_minor = minor;
		st->stx_size = 0;
		st->stx_blocks = 0;
	} else {
		st->stx_size = PAGE_SIZE;
	}
}

HOOK int statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *st)
{
	struct wire_new_fd look;
	struct pfile f;
	int ret = NEXT(statx)(dirfd, REDIRECT(dirfd, path), flags, mask, st);

	if (ret || !proc_socket || !path)
		return ret;
	if (flags & AT_EMPTY_PATH && !*path) {
		if (S_ISSOCK(st->stx_mode) && file_get(dirfd, &f))
			dress_statx(st, f.mode, f.rdev_major, f.rdev_minor);
	} else if (S_ISREG(st->stx_mode) && device_look(dirfd, path, &look)) {
		dress_statx(st, look.mode, look.rdev_major, look.rdev_minor);
	}
	return 0;
}
