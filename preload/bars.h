/* SPDX-License-Identifier: MIT */
/*
 * Where this process has mapped BARs. The pages are reserved without access, so each
 * load and store traps. Each mapping holds a hidden duplicate of the device's
 * descriptor, because an mmap keeps a file open.
 */
#ifndef MOAT_PRELOAD_BARS_H
#define MOAT_PRELOAD_BARS_H

#include "preload/proc.h"

struct bar_map {
	u64 addr, len;
	u64 offset; /* in the BAR, of addr */
	u32 function;
	u16 bar;
	u16 prot; /* as the program has set it */
	int fd;	  /* hidden; shared by the parts of a mapping that was split */
};

/* Lock-free, for the handler: the mapping that holds @addr, and what is left of it. */
bool bars_find(u64 addr, struct bar_map *out);
/* Does any lie in [@addr, @addr + @len)? Cheap. */
bool bars_overlap(u64 addr, u64 len);

/* Registers a mapping and tells the server; takes @fd. 0, -ENOMEM. */
int bars_add(struct proc *p, const struct bar_map *map);
/* The mappings in [@addr, @addr + @len) are gone; closes descriptors, tells the server.
 */
void bars_remove(struct proc *p, u64 addr, u64 len);
void bars_protect(struct proc *p, u64 addr, u64 len, int prot);
/* mremap: [@old, @old + @len) is now at @to. */
void bars_move(struct proc *p, u64 old, u64 len, u64 to);
/* A new process (fork): tell the server of all. */
void bars_announce(struct proc *p);
/* A child whose parent was cut off in a change by fork(). */
void bars_forked(void);
void bars_fd_moved(int from, int to);

#endif
