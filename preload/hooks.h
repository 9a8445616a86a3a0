/* SPDX-License-Identifier: MIT */
/*
 * What the files of hooks share. A hook is defined under the name that libc uses and
 * exported; it does what concerns the machine itself and otherwise calls the next
 * definition of its name (libc's, or a sanitizer's), so that cancellation and
 * interceptors work as before.
 */
#ifndef MOAT_PRELOAD_HOOKS_H
#define MOAT_PRELOAD_HOOKS_H

#include <dlfcn.h>
#include <errno.h>

#include "base/err.h"
#include "preload/files.h"

#define HOOK __attribute__((visibility("default")))
/* A second name for a hook of the same type. */
#define HOOK_ALIAS(name, target)       \
	extern __typeof__(target) name \
		__attribute__((alias(#target), visibility("default")))

void *next_symbol(void **slot, const char *name);

/* The next definition of the hook's own name. */
#define NEXT(name)                                                    \
	({                                                            \
		static void *_next_##name;                            \
		(__typeof__(&name))next_symbol(&_next_##name, #name); \
	})

/* A result of ours to a libc result. */
static inline long libc_ret(long ret)
{
	if (unlikely(ret < 0 && ret >= -MAX_ERRNO)) {
		errno = -ret;
		return -1;
	}
	return ret;
}

#define PATH_BUF 4096

/*
 * path.c. Where a path leads: NULL (or @path itself) unless paths are redirected and it
 * lies in the machine's tree; then the name to use instead, in @buf.
 */
const char *path_redirect(int dirfd, const char *path, char *buf);
/* The same in a hook: stack is used only where it is needed (threads may have little). */
#define REDIRECT(dirfd, path)                                             \
	(unlikely(proc_redirect)                                          \
		 ? path_redirect(dirfd, path, __builtin_alloca(PATH_BUF)) \
		 : path)
/* Names in our tree are shown as the program knows them; in place. */
void path_strip(char *path);
/* chdir has happened, somewhere. */
void path_cwd_changed(void);
/* Can the last component be a device node of the machine? */
bool path_device_like(const char *path);
/* An absolute path that may be a device node of the machine, or false. */
bool path_device(int dirfd, const char *path, char *out);
/*
 * An attribute of the machine's /sys that is opened for writing: its path in the tree.
 * *@ours: it is in one of the directories that belong to the machine as a whole.
 */
bool path_attribute(int dirfd, const char *path, int flags, char *out, bool *ours);

/*
 * open_device() - open as the machine has it. Return: descriptor, -errno, or NOT_OURS:
 * the file system's.
 */
#define NOT_OURS (-ENOTSUPP)
int machine_open(int dirfd, const char *path, int flags, unsigned mode);

/* hooks_open.c: descriptor @fd is about to become another file, or has become one. */
void stdio_before_change(int fd);
void stdio_after_change(int fd);

/* hooks_stat.c: the hooks, for calls from inside. */
int hook_stat(const char *path, struct stat *st);
int hook_lstat(const char *path, struct stat *st);

long file_read(const struct pfile *f, int fd, void *buf, size_t len, u64 pos);
long file_write(const struct pfile *f, int fd, const void *buf, size_t len, u64 pos);

#endif
