/* SPDX-License-Identifier: MIT */
/*
 * Which descriptors of the program are open files of the machine. A file is known by
 * its socket's cookie, which no program can change and which dup, fork, exec and
 * SCM_RIGHTS keep; what is remembered of a number is only a hint.
 */
#ifndef MOAT_PRELOAD_FILES_H
#define MOAT_PRELOAD_FILES_H

#include <sys/stat.h>

#include "preload/conn.h"

/* What is known of a file; a copy, so it stays valid. */
struct pfile {
	u64 cookie;
	u32 mode;
	u32 rdev_major, rdev_minor;
	u32 flags;    /* of open, where this process opened it */
	s32 function; /* of a device file, once an mmap has told; -1 */
};

/* FD_HEARD: an eventfd that the server listens to. */
enum fd_hint { FD_UNKNOWN = 0, FD_OURS, FD_OTHER, FD_HEARD };
extern u8 fd_hints[FD_MAX];

static inline enum fd_hint fd_hint(int fd)
{
	return (unsigned)fd < FD_MAX ? fd_hints[fd] : FD_OTHER;
}

/* The kernel would act within a write to this eventfd; so the write waits for the server.
 */
static inline void fd_heard(int fd)
{
	if ((unsigned)fd < FD_MAX)
		fd_hints[fd] = FD_HEARD;
}

/* @fd is about to be closed or replaced. */
static inline void fd_forget(int fd)
{
	if ((unsigned)fd < FD_MAX && fd_hints[fd])
		fd_hints[fd] = FD_UNKNOWN;
}

/* Is @fd a file of the machine? Asks the kernel, and once per file the server. */
bool file_get(int fd, struct pfile *out);

/*
 * The same, cheap for others: for calls that a socket would take (read, write, poll).
 * Costs one system call for a number not seen before.
 */
static inline bool file_get_hinted(int fd, struct pfile *out)
{
	if (likely(!proc_socket || fd_hint(fd) >= FD_OTHER))
		return false;
	return file_get(fd, out);
}

/* A descriptor that the server has just made. */
void file_add(int fd, const struct wire_new_fd *n, u32 flags);
/* A child whose parent was cut off in a change by fork(). */
void files_forked(void);
void file_set_function(u64 cookie, u32 function);
/* dup: the new number is what the old one was. */
static inline void fd_hint_copy(int from, int to)
{
	if ((unsigned)to < FD_MAX)
		fd_hints[to] = fd_hint(from) == FD_OTHER ? FD_UNKNOWN : fd_hint(from);
}

#endif
