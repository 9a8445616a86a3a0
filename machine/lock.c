// SPDX-License-Identifier: MIT
/*
 * Locks that outlive their owner (lock.h), and who this thread is.
 *
 * The ids of a thread are cached in thread-local storage. A page that the kernel
 * wipes in forked children (MADV_WIPEONFORK) tells a child, however it was made,
 * that what it inherited there is its parent's.
 */
#include "machine/lock.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <time.h>

#include "machine/sys.h"

#define HW_LOCK_TID (~HW_LOCK_WAITERS)

struct self_ids {
	u32 epoch, pid, tid;
};

static __thread struct self_ids self_ids __attribute__((tls_model("initial-exec")));

/* The page that a fork wipes; its word is this process's epoch, never 0. */
static _Atomic(_Atomic u32 *) self_page;
static _Atomic u32 self_epochs;

static _Atomic u32 *self_page_make(void)
{
	_Atomic u32 *page, *expected = NULL;
	long ret;

	ret = sys_call(SYS_mmap, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ret < 0)
		return NULL;
	if (sys_call(SYS_madvise, ret, PAGE_SIZE, MADV_WIPEONFORK, 0, 0, 0) < 0) {
		sys_call(SYS_munmap, ret, PAGE_SIZE, 0, 0, 0, 0);
		return NULL;
	}
	page = (_Atomic u32 *)ret;
	if (!atomic_compare_exchange_strong(&self_page, &expected, page)) {
		sys_call(SYS_munmap, ret, PAGE_SIZE, 0, 0, 0, 0);
		page = expected;
	}
	return page;
}

static __attribute__((noinline)) void self_refresh(void)
{
	_Atomic u32 *page = atomic_load(&self_page);
	u32 epoch = 0;

	if (!page)
		page = self_page_make();
	if (page) {
		epoch = atomic_load(page);
		if (!epoch) {
			u32 next = atomic_fetch_add(&self_epochs, 1) + 1;

			if (atomic_compare_exchange_strong(page, &epoch, next))
				epoch = next;
		}
	}
	self_ids.pid = sys_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
	self_ids.tid = sys_call(SYS_gettid, 0, 0, 0, 0, 0, 0);
	self_ids.epoch = epoch; /* 0, no such page: ask again each time */
}

static inline void self_check(void)
{
	_Atomic u32 *page = atomic_load_explicit(&self_page, memory_order_acquire);

	if (unlikely(!page || !self_ids.epoch ||
		     atomic_load_explicit(page, memory_order_relaxed) != self_ids.epoch))
		self_refresh();
}

u32 self_pid(void)
{
	self_check();
	return self_ids.pid;
}

u32 self_tid(void)
{
	self_check();
	return self_ids.tid;
}

char thread_state(u32 tid, u64 *ticks)
{
	char path[48] = "/proc/", buf[1024];
	char digits[12];
	unsigned n = 0, pos = 6, field, i;
	long fd, len, at;
	char state;
	u64 value;

	*ticks = 0;
	do
		digits[n++] = '0' + tid % 10;
	while (tid /= 10);
	/* Its own: what is in /proc/TID/stat is the sum over a main thread's process. */
	for (i = n; i; i--)
		path[pos++] = digits[i - 1];
	__builtin_memcpy(path + pos, "/task/", 6);
	for (i = n, pos += 6; i; i--)
		path[pos++] = digits[i - 1];
	__builtin_memcpy(path + pos, "/stat", 6);

	fd = sys_call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
	if (fd < 0)
		return fd == -ENOENT ? 'X' : '?';
	len = sys_call(SYS_read, fd, (long)buf, sizeof(buf), 0, 0, 0);
	sys_call(SYS_close, fd, 0, 0, 0, 0, 0);
	/* "tid (name) S ...": the name may hold anything, the last ")" ends it. */
	for (at = len - 1; at > 0; at--)
		if (buf[at] == ')')
			break;
	if (at <= 0 || at + 2 >= len)
		return '?';
	state = buf[at + 2];
	/* Field 3 is the state, 14 and 15 what it ran in user mode and in the kernel. */
	for (at += 2, field = 3; at < len && field < 16; at++, field++) {
		for (value = 0; at < len && buf[at] != ' '; at++)
			value = value * 10 + (u64)(buf[at] - '0');
		if (field == 14 || field == 15)
			*ticks += value;
	}
	return state;
}

/* A main thread that died stays as a zombie until it is waited for. */
static bool thread_is_zombie(u32 tid)
{
	u64 ticks;
	char state = thread_state(tid, &ticks);

	return state == 'Z' || state == 'X';
}

bool thread_is_dead(u32 tid)
{
	if (!tid || tid > 0x3fffffff)
		return true;
	if (sys_call(SYS_tkill, tid, 0, 0, 0, 0, 0) == -ESRCH)
		return true;
	return thread_is_zombie(tid);
}

bool hw_lock_mine(const struct hw_lock *lock)
{
	u32 word = atomic_load_explicit(&((struct hw_lock *)lock)->word,
					memory_order_relaxed);

	return (word & HW_LOCK_TID) == self_tid();
}

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* @limit_ms over: -EBUSY, or with @steal the lock is taken from its owner. */
static __attribute__((noinline)) int lock_slow(struct hw_lock *lock, u32 self,
					       unsigned limit_ms, bool steal)
{
	struct timespec wait = {.tv_nsec = 1000000};
	u64 start = 0;
	u32 mark = 0; /* once we slept, others may sleep too: keep them on the word */
	unsigned spins;

	for (spins = 0;; spins++) {
		u32 word = atomic_load_explicit(&lock->word, memory_order_relaxed);
		u64 now;

		if (!(word & HW_LOCK_TID)) {
			if (atomic_compare_exchange_weak_explicit(
				    &lock->word, &word,
				    self | mark | (word & HW_LOCK_WAITERS),
				    memory_order_acquire, memory_order_relaxed))
				return 0;
			continue;
		}
		if ((word & HW_LOCK_TID) == self)
			return -EDEADLK;
		if (spins < 100) {
			cpu_relax();
			continue;
		}
		now = now_ns();
		if (!start)
			start = now;
		if (thread_is_dead(word & HW_LOCK_TID) ||
		    (steal && now - start > limit_ms * 1000000ULL)) {
			if (atomic_compare_exchange_strong_explicit(
				    &lock->word, &word, self | HW_LOCK_WAITERS,
				    memory_order_acquire, memory_order_relaxed))
				return -EOWNERDEAD;
			continue;
		}
		if (!steal && now - start >= limit_ms * 1000000ULL)
			return -EBUSY;
		mark = HW_LOCK_WAITERS;
		if (!(word & HW_LOCK_WAITERS) &&
		    !atomic_compare_exchange_strong(&lock->word, &word,
						    word | HW_LOCK_WAITERS))
			continue;
		sys_call(SYS_futex, (long)&lock->word, FUTEX_WAIT, word | HW_LOCK_WAITERS,
			 (long)&wait, 0, 0);
		if (wait.tv_nsec < 16000000)
			wait.tv_nsec *= 2;
	}
}

int hw_lock_acquire(struct hw_lock *lock)
{
	u32 self = self_tid(), free = 0;

	if (likely(atomic_compare_exchange_strong_explicit(&lock->word, &free, self,
							   memory_order_acquire,
							   memory_order_relaxed)))
		return 0;
	return lock_slow(lock, self, HW_LOCK_STUCK_MS, true);
}

int hw_lock_acquire_timeout(struct hw_lock *lock, unsigned ms)
{
	u32 self = self_tid(), free = 0;

	if (likely(atomic_compare_exchange_strong_explicit(&lock->word, &free, self,
							   memory_order_acquire,
							   memory_order_relaxed)))
		return 0;
	return lock_slow(lock, self, ms, false);
}

void hw_lock_release(struct hw_lock *lock)
{
	u32 self = self_tid(), word = self;

	if (likely(atomic_compare_exchange_strong_explicit(
		    &lock->word, &word, 0, memory_order_release, memory_order_relaxed)))
		return;
	/* Taken away from us meanwhile: it is not ours to free. */
	if ((word & HW_LOCK_TID) != self)
		return;
	atomic_store_explicit(&lock->word, 0, memory_order_release);
	sys_call(SYS_futex, (long)&lock->word, FUTEX_WAKE, 1, 0, 0, 0);
}
