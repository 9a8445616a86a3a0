/* SPDX-License-Identifier: MIT */
/*
 * A machine and the program that uses it in one process: calls reach the front ends
 * straight from here, without server, socket or preload. For unit tests, and for
 * replaying transcripts under a debugger (replay_shim.h).
 *
 * A machine's open file is a descriptor of this process (of /dev/null) whose number
 * stands in a table. What a server would do between calls (interrupts, eventfds that
 * became ready, work of endpoints) is done by double_pump().
 */
#ifndef MOAT_TESTS_DOUBLE_H
#define MOAT_TESTS_DOUBLE_H

#include "machine/file.h"
#include "machine/mm.h"
#include "server/start.h"

struct doubled {
	struct start start;
	struct machine *m;
	struct mm *mm;
	bool privileged; /* what call_capable() says */
	u64 memlock;	 /* bytes; ~0: the process's own limit */
	/*
	 * Nothing comes with a request: what a handler asks for is refused with
	 * -ERESTARTNOINTR the first time, and the handler is run again from its start.
	 */
	bool restart;
	struct {
		u64 at, n;
	} come[1024]; /* what the call under way has asked for: memory, or descriptor */
	unsigned nr_come;
};

extern struct doubled dbl;

/* 0, or the error of machine_start(), said on stderr. */
int double_start(const char *machine, const char *append);
void double_stop(void);

/* Like the system calls, but -errno instead of errno. */
int double_open(const char *path, int flags);
long double_ioctl(int fd, unsigned cmd, u64 arg);
ssize_t double_pread(int fd, void *buf, size_t len, u64 pos);
ssize_t double_pwrite(int fd, const void *buf, size_t len, u64 pos);
void *double_mmap(void *addr, size_t len, int prot, int flags, int fd, u64 off);
/* False: no file of the machine; the caller closes, dups the descriptor itself. */
bool double_close(int fd);
bool double_dup(int fd, int new_fd);
struct file *double_file(int fd);
void double_pump(void);

#endif
