// SPDX-License-Identifier: MIT
/*
 * Counters behind should_fail(). The process-wide counter is only touched while it
 * is armed, so that an unarmed build pays one load and one test.
 */
#define LOG_SUBSYSTEM "fault_inject"
#include "base/fault_inject.h"

#include <stdatomic.h>

#include "base/log.h"

static _Thread_local u64 thread_nth;
static _Atomic s64 process_nth;
static _Atomic bool injected;

bool should_fail(const char *point)
{
	bool fail = false;

	if (unlikely(thread_nth))
		fail = --thread_nth == 0;
	if (unlikely(atomic_load_explicit(&process_nth, memory_order_relaxed) > 0))
		fail |= atomic_fetch_sub(&process_nth, 1) == 1;
	if (unlikely(fail)) {
		atomic_store(&injected, true);
		pr_debug("failing %s", point);
	}
	return fail;
}

void fault_inject_arm(u64 nth)
{
	atomic_store(&injected, false);
	thread_nth = nth;
}

void fault_inject_arm_process(u64 nth)
{
	atomic_store(&injected, false);
	atomic_store(&process_nth, (s64)nth);
}

bool fault_inject_disarm(void)
{
	thread_nth = 0;
	atomic_store(&process_nth, 0);
	return atomic_exchange(&injected, false);
}
