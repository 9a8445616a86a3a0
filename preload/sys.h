/* SPDX-License-Identifier: MIT */
/*
 * System calls as the preload library makes them: directly, because libc's functions
 * of these names may be its own hooks, and because errno belongs to the program.
 * All return what the kernel returns (-errno).
 */
#ifndef MOAT_PRELOAD_SYS_H
#define MOAT_PRELOAD_SYS_H

#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/err.h"
#include "machine/sys.h"

#define sc0(nr)		    sys_call(nr, 0, 0, 0, 0, 0, 0)
#define sc1(nr, a)	    sys_call(nr, (long)(a), 0, 0, 0, 0, 0)
#define sc2(nr, a, b)	    sys_call(nr, (long)(a), (long)(b), 0, 0, 0, 0)
#define sc3(nr, a, b, c)    sys_call(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define sc4(nr, a, b, c, d) sys_call(nr, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define sc5(nr, a, b, c, d, e) \
	sys_call(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define sc6(nr, a, b, c, d, e, f) \
	sys_call(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* The kernel's signal set: one word. */
typedef u64 kset_t;
#define KSIG(n) (1ULL << ((n)-1))
#define KSET_SYNC \
	(KSIG(SIGSEGV) | KSIG(SIGBUS) | KSIG(SIGILL) | KSIG(SIGFPE) | KSIG(SIGTRAP))
/* Those that this library takes for itself. */
#define KSET_OURS (KSIG(SIGSEGV) | KSIG(SIGBUS) | KSIG(SIGILL))

static inline void *sys_map(void *addr, size_t len, int prot, int flags, int fd, u64 off)
{
	return (void *)sc6(SYS_mmap, addr, len, prot, flags, fd, off);
}

static inline void sys_unmap(void *addr, size_t len)
{
	sc2(SYS_munmap, addr, len);
}

static inline long sys_close(int fd)
{
	return sc1(SYS_close, fd);
}

/* Everything but what an instruction itself can raise. Return: the mask before. */
static inline kset_t sys_block_signals(void)
{
	kset_t all = ~KSET_SYNC, old = 0;

	sc4(SYS_rt_sigprocmask, SIG_BLOCK, &all, &old, sizeof(all));
	return old;
}

static inline void sys_restore_signals(kset_t old)
{
	sc4(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof(old));
}

/*
 * A lock inside this process. Zero is unlocked, so one that lies in memory which
 * fork wipes is free in the child. Held with signals blocked only.
 */
struct plock {
	_Atomic u32 word; /* 0 free, 1 held, 2 held and waited for */
};

static inline void plock_lock(struct plock *l)
{
	u32 free = 0;

	if (atomic_compare_exchange_strong(&l->word, &free, 1))
		return;
	while (atomic_exchange(&l->word, 2))
		sc4(SYS_futex, &l->word, FUTEX_WAIT_PRIVATE, 2, NULL);
}

static inline void plock_unlock(struct plock *l)
{
	if (atomic_exchange(&l->word, 0) == 2)
		sc3(SYS_futex, &l->word, FUTEX_WAKE_PRIVATE, 1);
}

#endif
