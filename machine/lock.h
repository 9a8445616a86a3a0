/* SPDX-License-Identifier: MIT */
/*
 * A lock in machine memory, shared by processes that may die while they hold it. One
 * word holds the owner's thread id, so there is no pointer in it and nothing that a
 * program writes there harms another process: a waiter asks the kernel whether
 * the owner still lives, and takes the lock from the dead. An owner that keeps it
 * for HW_LOCK_STUCK_MS is taken for dead too, so that a program which is stopped,
 * or bent on it, never stops the server.
 *
 * All of it may be called in a signal handler. Zero is an unlocked lock.
 */
#ifndef MOAT_MACHINE_LOCK_H
#define MOAT_MACHINE_LOCK_H

#include <stdatomic.h>

#include "base/types.h"

#define HW_LOCK_STUCK_MS 5000

struct hw_lock {
	_Atomic u32 word; /* 0 free, else thread id | HW_LOCK_WAITERS */
	u32 reserved;
};
#define HW_LOCK_WAITERS 0x80000000U

/*
 * Return: 0; -EOWNERDEAD: got it, but its last owner died with it held; -EDEADLK: the
 * calling thread holds it (nothing changed).
 */
int hw_lock_acquire(struct hw_lock *lock);
/* The same, but give up (-EBUSY) after @ms milliseconds of waiting; 0: at once. */
int hw_lock_acquire_timeout(struct hw_lock *lock, unsigned ms);
void hw_lock_release(struct hw_lock *lock);
/* Does the calling thread hold it? */
bool hw_lock_mine(const struct hw_lock *lock);

/* This process and thread; right after fork() too, and cheap (no system call). */
u32 self_pid(void);
u32 self_tid(void);
/* Is that thread (of whatever process) gone, or a zombie? */
bool thread_is_dead(u32 tid);
/*
 * The letter of /proc/TID/task/TID/stat: 'R' runs or would like to, 'Z' and 'X' have
 * ended, '?' cannot be told. @ticks: of 10 ms that it has run (0 where that cannot be
 * told).
 */
char thread_state(u32 tid, u64 *ticks);

#endif
