// SPDX-License-Identifier: MIT
/*
 * Everything else that takes a path, for where there is no mount namespace: the path is
 * replaced by one in the machine's tree, and names that come back are the program's.
 */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "preload/hooks.h"

HOOK int access(const char *path, int mode)
{
	return NEXT(access)(REDIRECT(AT_FDCWD, path), mode);
}

HOOK int faccessat(int dirfd, const char *path, int mode, int flags)
{
	return NEXT(faccessat)(dirfd, REDIRECT(dirfd, path), mode, flags);
}

HOOK int euidaccess(const char *path, int mode)
{
	return NEXT(euidaccess)(REDIRECT(AT_FDCWD, path), mode);
}
HOOK_ALIAS(eaccess, euidaccess);

/* What a link holds may name our tree (/proc/self/fd/N, /proc/self/cwd). */
static ssize_t strip_link(ssize_t n, char *out, size_t size)
{
	char tmp[PATH_BUF];

	if (!proc_redirect || n <= 0 || (size_t)n >= sizeof(tmp) || *out != '/')
		return n;
	memcpy(tmp, out, n);
	tmp[n] = 0;
	path_strip(tmp);
	n = min(strlen(tmp), size);
	memcpy(out, tmp, n);
	return n;
}

HOOK ssize_t readlink(const char *path, char *out, size_t size)
{
	return strip_link(NEXT(readlink)(REDIRECT(AT_FDCWD, path), out, size), out, size);
}

HOOK ssize_t readlinkat(int dirfd, const char *path, char *out, size_t size)
{
	return strip_link(NEXT(readlinkat)(dirfd, REDIRECT(dirfd, path), out, size), out,
			  size);
}

ssize_t __readlink_chk(const char *path, char *out, size_t size, size_t room);
HOOK ssize_t __readlink_chk(const char *path, char *out, size_t size, size_t room)
{
	return strip_link(NEXT(__readlink_chk)(REDIRECT(AT_FDCWD, path), out, size, room),
			  out, size);
}

ssize_t __readlinkat_chk(int dirfd, const char *path, char *out, size_t size,
			 size_t room);
HOOK ssize_t __readlinkat_chk(int dirfd, const char *path, char *out, size_t size,
			      size_t room)
{
	return strip_link(NEXT(__readlinkat_chk)(dirfd, REDIRECT(dirfd, path), out, size,
						 room),
			  out, size);
}

HOOK DIR *opendir(const char *path)
{
	return NEXT(opendir)(REDIRECT(AT_FDCWD, path));
}

HOOK int scandir(const char *path, struct dirent ***list,
		 int (*sel)(const struct dirent *),
		 int (*cmp)(const struct dirent **, const struct dirent **))
{
	return NEXT(scandir)(REDIRECT(AT_FDCWD, path), list, sel, cmp);
}

static char *strip_result(char *path)
{
	if (path && proc_redirect)
		path_strip(path);
	return path;
}

HOOK char *realpath(const char *path, char *out)
{
	return strip_result(NEXT(realpath)(REDIRECT(AT_FDCWD, path), out));
}

char *__realpath_chk(const char *path, char *out, size_t room);
HOOK char *__realpath_chk(const char *path, char *out, size_t room)
{
	return strip_result(NEXT(__realpath_chk)(REDIRECT(AT_FDCWD, path), out, room));
}

HOOK char *canonicalize_file_name(const char *path)
{
	return strip_result(NEXT(canonicalize_file_name)(REDIRECT(AT_FDCWD, path)));
}

HOOK int chdir(const char *path)
{
	int ret = NEXT(chdir)(REDIRECT(AT_FDCWD, path));

	path_cwd_changed();
	return ret;
}

HOOK int fchdir(int fd)
{
	int ret = NEXT(fchdir)(fd);

	path_cwd_changed();
	return ret;
}

HOOK char *getcwd(char *buf, size_t size)
{
	return strip_result(NEXT(getcwd)(buf, size));
}

HOOK char *get_current_dir_name(void)
{
	return strip_result(NEXT(get_current_dir_name)());
}

HOOK int statfs(const char *path, struct statfs *st)
{
	return NEXT(statfs)(REDIRECT(AT_FDCWD, path), st);
}

HOOK ssize_t getxattr(const char *path, const char *name, void *value, size_t size)
{
	return NEXT(getxattr)(REDIRECT(AT_FDCWD, path), name, value, size);
}

HOOK ssize_t lgetxattr(const char *path, const char *name, void *value, size_t size)
{
	return NEXT(lgetxattr)(REDIRECT(AT_FDCWD, path), name, value, size);
}

HOOK int nftw(const char *path,
	      int (*fn)(const char *, const struct stat *, int, struct FTW *), int n,
	      int flags)
{
	return NEXT(nftw)(REDIRECT(AT_FDCWD, path), fn, n, flags);
}

/* ---- glob: libc's walks directories by itself, unless it is given functions ---- */

static void *glob_opendir(const char *path)
{
	return NEXT(opendir)(REDIRECT(AT_FDCWD, path));
}

static struct dirent *glob_readdir(void *dir)
{
	return readdir(dir);
}

static void glob_closedir(void *dir)
{
	closedir(dir);
}

static int glob_stat(const char *path, struct stat *st)
{
	return hook_stat(path, st);
}

static int glob_lstat(const char *path, struct stat *st)
{
	return hook_lstat(path, st);
}

HOOK int glob(const char *pattern, int flags, int (*err)(const char *, int), glob_t *g)
{
	if (proc_redirect && !(flags & GLOB_ALTDIRFUNC)) {
		g->gl_opendir = glob_opendir;
		g->gl_readdir = (void *)glob_readdir;
		g->gl_closedir = glob_closedir;
		g->gl_stat = (void *)glob_stat;
		g->gl_lstat = (void *)glob_lstat;
		flags |= GLOB_ALTDIRFUNC;
	}
	return NEXT(glob)(pattern, flags, err, g);
}
int glob64_alias(const char *pattern, int flags, int (*err)(const char *, int),
		 glob_t *g) __asm__("glob64");
int glob64_alias(const char *pattern, int flags, int (*err)(const char *, int), glob_t *g)
	__attribute__((alias("glob"), visibility("default")));
int scandir64_alias(const char *path, struct dirent ***list,
		    int (*sel)(const struct dirent *),
		    int (*cmp)(const struct dirent **,
			       const struct dirent **)) __asm__("scandir64");
int scandir64_alias(const char *path, struct dirent ***list,
		    int (*sel)(const struct dirent *),
		    int (*cmp)(const struct dirent **, const struct dirent **))
	__attribute__((alias("scandir"), visibility("default")));
