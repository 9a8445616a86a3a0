// SPDX-License-Identifier: MIT
/*
 * Translator slots, and waiting for them (translate.h).
 *
 * A thread's translator is memory of its process, kept in a list that only grows;
 * it is wiped in a forked child, which may then use it for its own threads. A slot
 * in machine memory is claimed by putting one's process id into it. Slots are given
 * back when a thread ends (pthread key) and taken from the dead.
 *
 * Nobody waits forever: a slot that does not move although its thread lives (a program
 * stopped by a debugger in the middle of a DMA, or one that scribbles over its slot) is
 * taken from it; it gets another when it goes on. What is counted is how long that
 * thread runs without moving its slot, and how often it is found asleep. A thread that
 * wants to run and cannot, because the machine is busy, is waited for.
 */
#include "machine/translate.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/err.h"
#include "machine/sys.h"

#define SLOT_NAP_MAX_NS	 1000000L
#define SLOT_STUCK_TICKS 500  /* of 10 ms that the thread ran */
#define SLOT_STUCK_LOOKS 5000 /* at a thread that does not run, 1 ms or more between */

__thread struct translator *translator_self;

static struct translator *_Atomic translators[HW_MAX_SLOTS];
static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;
static bool exit_key_made;

static long membarrier(int cmd)
{
	return sys_call(SYS_membarrier, cmd, 0, 0, 0, 0, 0);
}

bool membarrier_usable(void)
{
	return membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED) == 0;
}

static void slot_free(struct hw_slot *slot)
{
	atomic_store_explicit(&slot->active, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->tid, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->pid, 0, memory_order_release);
}

/* Gives up @x: its slot, if it still has it, and then the translator itself. */
static void translator_put(struct translator *x)
{
	u32 tid = atomic_load(&x->tid);

	if (x->hw && atomic_load(&x->slot->tid) == tid)
		slot_free(x->slot);
	x->hw = NULL;
	atomic_store_explicit(&x->tid, 0, memory_order_release);
}

static void thread_exits(void *unused)
{
	u32 tid = self_tid();

	for (u32 i = 0; i < HW_MAX_SLOTS; i++) {
		struct translator *x = atomic_load(&translators[i]);

		if (!x)
			break;
		if (atomic_load(&x->tid) == tid)
			translator_put(x);
	}
	translator_self = NULL;
}

static void make_exit_key(void)
{
	exit_key_made = !pthread_key_create(&exit_key, thread_exits);
}

void translators_register(struct hw *hw)
{
	pthread_once(&exit_once, make_exit_key);
	membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
}

void translators_forget(struct hw *hw)
{
	for (u32 i = 0; i < HW_MAX_SLOTS; i++) {
		struct translator *x = atomic_load(&translators[i]);

		if (!x)
			break;
		if (x->hw == hw)
			translator_put(x);
	}
	translator_self = NULL;
}

static u32 slots_used(const struct hw *hw)
{
	return min_t(u32, atomic_load(&hw->shared->slots_high), HW_MAX_SLOTS);
}

/* Take the slot from whoever has it, unless it changes hands meanwhile. */
static void slot_take_back(struct hw_slot *slot, u32 pid, u32 tid)
{
	if (atomic_load(&slot->pid) == pid && atomic_load(&slot->tid) == tid)
		slot_free(slot);
}

void translators_reclaim(struct hw *hw, u32 pid)
{
	u32 n = slots_used(hw);

	for (u32 i = 0; i < n; i++) {
		struct hw_slot *slot = &hw->slots[i];
		u32 owner = atomic_load(&slot->pid), tid = atomic_load(&slot->tid);

		if (owner && ((pid && owner == pid) || thread_is_dead(tid ? tid : owner)))
			slot_take_back(slot, owner, tid);
	}
}

static struct hw_slot *slot_claim(struct hw *hw, u32 pid, u32 tid)
{
	for (u32 i = 0; i < HW_MAX_SLOTS; i++) {
		struct hw_slot *slot = &hw->slots[i];
		u32 high = atomic_load(&hw->shared->slots_high), none = 0;

		/* Whoever synchronizes must know of the slot before it is used. */
		while (high <= i && !atomic_compare_exchange_weak(&hw->shared->slots_high,
								  &high, i + 1))
			;
		if (atomic_load(&slot->pid) ||
		    !atomic_compare_exchange_strong(&slot->pid, &none, pid))
			continue;
		atomic_store(&slot->active, 0);
		atomic_store(&slot->tid, tid);
		return slot;
	}
	return NULL;
}

/* Memory for a translator, empty: one that is free, or a new one. */
static struct translator *translator_alloc(u32 tid)
{
	for (u32 i = 0; i < HW_MAX_SLOTS; i++) {
		struct translator *x = atomic_load(&translators[i]), *none = NULL;
		u32 free = 0;
		long ret;

		if (x) {
			if (atomic_load(&x->tid) ||
			    !atomic_compare_exchange_strong(&x->tid, &free, tid))
				continue;
			x->hw = NULL;
			x->depth = 0;
			memset(x->contexts, 0,
			       sizeof(*x) - offsetof(struct translator, contexts));
			return x;
		}
		ret = sys_call(SYS_mmap, 0, sizeof(*x), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (ret < 0)
			return NULL;
		sys_call(SYS_madvise, ret, ALIGN(sizeof(*x), PAGE_SIZE), MADV_WIPEONFORK,
			 0, 0, 0);
		x = (struct translator *)ret;
		atomic_store(&x->tid, tid);
		if (atomic_compare_exchange_strong(&translators[i], &none, x))
			return x;
		sys_call(SYS_munmap, ret, sizeof(*x), 0, 0, 0, 0);
	}
	return NULL;
}

/* One that this thread has already, for another machine than the last it used. */
static struct translator *translator_find(struct hw *hw, u32 tid)
{
	for (u32 i = 0; i < HW_MAX_SLOTS; i++) {
		struct translator *x = atomic_load(&translators[i]);

		if (!x)
			return NULL;
		if (atomic_load(&x->tid) != tid || x->hw != hw)
			continue;
		if (atomic_load(&x->slot->tid) == tid)
			return x;
		translator_put(x); /* its slot was taken away */
	}
	return NULL;
}

struct translator *translator_get_slow(struct hw *hw)
{
	u32 tid = self_tid(), pid = self_pid();
	struct translator *x = translator_find(hw, tid);

	if (x)
		goto found;
	x = translator_alloc(tid);
	if (!x)
		return NULL;
	x->slot = slot_claim(hw, pid, tid);
	if (!x->slot) {
		translators_reclaim(hw, 0);
		x->slot = slot_claim(hw, pid, tid);
	}
	if (!x->slot) {
		atomic_store(&x->tid, 0);
		return NULL;
	}
	x->hw = hw;
	x->count = 1;
	x->fence = membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) ||
		   !hw->shared->membarrier;
	if (exit_key_made)
		pthread_setspecific(exit_key, x);
found:
	x->home = &translator_self;
	translator_self = x;
	return x;
}

/* What the waiter has seen of the thread that holds a slot. */
struct holder {
	u32 tid;
	u64 ticks;	/* it had run when the waiting began */
	unsigned looks; /* at which it did not run */
};

static bool holder_is_stuck(struct holder *holder, u32 tid)
{
	u64 ticks;
	char state = thread_state(tid, &ticks);

	if (state == 'Z' || state == 'X')
		return true;
	if (holder->tid != tid)
		*holder = (struct holder){.tid = tid, .ticks = ticks};
	if (state != 'R')
		holder->looks++;
	return holder->looks > SLOT_STUCK_LOOKS ||
	       ticks > holder->ticks + SLOT_STUCK_TICKS;
}

static void slot_wait(struct hw_slot *slot, u64 active)
{
	struct timespec nap = {.tv_nsec = 20000};
	struct holder holder = {0};
	unsigned i;

	for (i = 0; atomic_load_explicit(&slot->active, memory_order_acquire) == active;
	     i++) {
		u32 pid = atomic_load(&slot->pid), tid = atomic_load(&slot->tid);

		if (i < 500) {
			cpu_relax();
			continue;
		}
		if (!pid)
			return;
		if (i < 600) {
			sys_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
			continue;
		}
		/* The dead are told at once, the stuck by slow looks. */
		if (thread_is_dead(tid ? tid : pid) ||
		    (nap.tv_nsec == SLOT_NAP_MAX_NS &&
		     holder_is_stuck(&holder, tid ? tid : pid))) {
			slot_take_back(slot, pid, tid);
			return;
		}
		sys_call(SYS_nanosleep, (long)&nap, 0, 0, 0, 0, 0);
		nap.tv_nsec = min(nap.tv_nsec * 2, SLOT_NAP_MAX_NS);
	}
}

void translators_synchronize(struct hw *hw)
{
	u32 n, i, self;

	atomic_thread_fence(memory_order_seq_cst);
	n = slots_used(hw);
	if (!n)
		return;
	self = self_tid();
	for (i = 0; i < n; i++) {
		u32 tid = atomic_load_explicit(&hw->slots[i].tid, memory_order_relaxed);

		if (tid != self &&
		    atomic_load_explicit(&hw->slots[i].pid, memory_order_relaxed))
			break;
	}
	if (i == n)
		return;
	if (hw->shared->membarrier)
		membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
	for (; i < n; i++) {
		struct hw_slot *slot = &hw->slots[i];
		u64 active = atomic_load_explicit(&slot->active, memory_order_acquire);

		if (active && atomic_load(&slot->tid) != self)
			slot_wait(slot, active);
	}
}
