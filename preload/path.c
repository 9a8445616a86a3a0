// SPDX-License-Identifier: MIT
/*
 * Paths: which name device nodes and attributes of the machine, and, where there is no
 * mount namespace, where in the machine's own tree they lie.
 *
 * Names are compared after "//" and "/./" are folded. ".." is folded for devices; for
 * attributes, which are reached through many symbolic links, the kernel resolves it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "preload/hooks.h"

/* What is the machine's as a whole: nothing of the host's shows through. */
static const char *const whole[] = {
	"/sys/bus/pci",
	"/sys/devices/pci",
	"/sys/kernel/iommu_groups",
	"/sys/class/vfio",
	"/sys/class/iommu",
	"/sys/module/vfio",
	"/sys/module/iommufd",
	"/sys/devices/virtual/vfio",
	"/sys/devices/virtual/iommu",
	"/dev/vfio",
	"/dev/iommu",
};

static bool has_prefix(const char *path, const char *prefix)
{
	return !strncmp(path, prefix, strlen(prefix));
}

static bool is_whole(const char *path)
{
	for (unsigned i = 0; i < ARRAY_SIZE(whole); i++) {
		if (has_prefix(path, whole[i]))
			return true;
	}
	return false;
}

/* Folds in place; ".." too. */
static void fold(char *path)
{
	char *in = path, *out = path;

	while (*in) {
		size_t n;

		while (*in == '/')
			in++;
		n = strcspn(in, "/");
		if (!n)
			break;
		if (n == 2 && in[0] == '.' && in[1] == '.') {
			while (out > path && *--out != '/')
				;
		} else if (n != 1 || in[0] != '.') {
			*out++ = '/';
			memmove(out, in, n);
			out += n;
		}
		in += n;
	}
	if (out == path)
		*out++ = '/';
	*out = 0;
}

void path_strip(char *path)
{
	size_t n;

	if (!proc_root)
		return;
	n = strlen(proc_root);
	if (!strncmp(path, proc_root, n) && path[n] == '/')
		memmove(path, path + n, strlen(path + n) + 1);
}

/* Whether the current directory may lie in a tree that interests us. */
enum cwd_kind { CWD_UNKNOWN, CWD_OUTSIDE, CWD_INSIDE };
static _Atomic int cwd_kind;

void path_cwd_changed(void)
{
	atomic_store(&cwd_kind, CWD_UNKNOWN);
}

static bool interesting_dir(char *dir)
{
	path_strip(dir);
	return has_prefix(dir, "/sys") || has_prefix(dir, "/dev") || !strcmp(dir, "/");
}

static bool dir_path(int dirfd, char *out)
{
	char link[32];
	long n;

	if (dirfd == AT_FDCWD) {
		int kind = atomic_load(&cwd_kind);

		if (kind == CWD_OUTSIDE)
			return false;
		n = sc2(SYS_getcwd, out, PATH_BUF);
		if (n <= 0)
			return false;
		if (kind == CWD_UNKNOWN) {
			kind = interesting_dir(out) ? CWD_INSIDE : CWD_OUTSIDE;
			atomic_store(&cwd_kind, kind);
		}
		return kind == CWD_INSIDE;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
	n = sc4(SYS_readlinkat, AT_FDCWD, link, out, PATH_BUF - 1);
	if (n <= 0)
		return false;
	out[n] = 0;
	return interesting_dir(out);
}

/* An absolute name for @path, unfolded; false: it is of no interest. */
static bool absolute(int dirfd, const char *path, char *out)
{
	size_t n, m = strlen(path);

	if (path[0] == '/') {
		if (m >= PATH_BUF)
			return false;
		memcpy(out, path, m + 1);
		path_strip(out);
		return out[1] == '/' || out[1] == '.' || has_prefix(out, "/sys") ||
		       has_prefix(out, "/dev");
	}
	if (!dir_path(dirfd, out))
		return false;
	path_strip(out);
	n = strlen(out);
	if (n + m + 2 > PATH_BUF)
		return false;
	out[n] = '/';
	memcpy(out + n + 1, path, m + 1);
	return true;
}

bool path_device_like(const char *path)
{
	const char *base = strrchr(path, '/');

	base = base ? base + 1 : path;
	return (*base >= '0' && *base <= '9') || has_prefix(base, "vfio") ||
	       has_prefix(base, "iommu") || has_prefix(base, "noiommu");
}

bool path_device(int dirfd, const char *path, char *out)
{
	if (!path_device_like(path) || !absolute(dirfd, path, out))
		return false;
	fold(out);
	return has_prefix(out, "/dev/vfio/") || !strcmp(out, "/dev/iommu");
}

const char *path_redirect(int dirfd, const char *path, char *buf)
{
	char abs[PATH_BUF];
	struct stat st;
	size_t n;

	if (likely(!proc_redirect) || !path || !absolute(dirfd, path, abs))
		return path;
	/* Links of /sys are few and end inside it: folding finds the same file. */
	if (!strstr(abs, "/.."))
		fold(abs);
	if (!has_prefix(abs, "/sys/") && !has_prefix(abs, "/dev/"))
		return path;
	n = strlen(proc_root);
	if (n + strlen(abs) >= PATH_BUF)
		return path;
	memcpy(buf, proc_root, n);
	strcpy(buf + n, abs);
	if (is_whole(abs))
		return buf;
	/* Ours where the host has nothing: directories of both show the host's. */
	if (sc4(SYS_newfstatat, AT_FDCWD, abs, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
	    sc4(SYS_newfstatat, AT_FDCWD, buf, &st, AT_SYMLINK_NOFOLLOW) >= 0)
		return buf;
	return path;
}

bool path_attribute(int dirfd, const char *path, int flags, char *out, bool *ours)
{
	char buf[PATH_BUF], link[48];
	const char *real;
	long fd, n;

	if (!absolute(dirfd, path, out))
		return false;
	real = path_redirect(dirfd, path, buf);
	fd = sc4(SYS_openat, dirfd, real, O_PATH | O_CLOEXEC | (flags & O_NOFOLLOW), 0);
	if (fd < 0)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%ld", fd);
	n = sc4(SYS_readlinkat, AT_FDCWD, link, out, PATH_BUF - 1);
	sys_close(fd);
	if (n <= 0)
		return false;
	out[n] = 0;
	path_strip(out);
	*ours = is_whole(out);
	return has_prefix(out, "/sys/");
}
