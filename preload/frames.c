// SPDX-License-Identifier: MIT
/*
 * Backtraces (frames.h). Programs are built without frame pointers, so the unwind tables
 * must be read, at some hundred nanoseconds a frame. Each thread therefore keeps its
 * last results together with the stack slots that held each return address: if we are
 * called from the same slot and all slots still hold the same addresses, the result
 * is the same.
 */
#include "preload/frames.h"

#include <string.h>
#include <unwind.h>

#define MAX_FRAMES 16
#define MAX_WALK   48
#define MEMO	   4

struct trace {
	u64 slot[MAX_FRAMES]; /* where each return address lies; 0: in a signal frame */
	u64 addr[MAX_FRAMES];
	unsigned n;
	u64 here; /* our own frame: the key */
};

struct walk {
	struct trace *t;
	unsigned steps, max;
};

static __thread struct {
	u32 next;
	struct trace trace[MEMO];
} memo __attribute__((tls_model("initial-exec")));

extern const char library_start[] __asm__("__ehdr_start")
	__attribute__((visibility("hidden")));
extern const char library_end[] __asm__("_end") __attribute__((visibility("hidden")));

static bool is_own(u64 ip)
{
	return ip >= (u64)library_start && ip < (u64)library_end;
}

static _Unwind_Reason_Code step(struct _Unwind_Context *ctx, void *arg)
{
	struct walk *w = arg;
	struct trace *t = w->t;
	int before = 0;
	u64 ip = _Unwind_GetIPInfo(ctx, &before);
	/*
	 * A context's CFA is the stack pointer in that frame, so the return address that
	 * led to it was stored just below; in a frame that a signal interrupted it was
	 * not.
	 */
	u64 cfa = _Unwind_GetCFA(ctx);

	if (!ip || w->steps++ == MAX_WALK)
		return _URC_END_OF_STACK;
	if (is_own(ip)) {
		t->n = 0;
		return _URC_NO_REASON;
	}
	t->slot[t->n] = before ? 0 : cfa - 8;
	t->addr[t->n] = ip;
	t->n++;
	return t->n == w->max ? _URC_END_OF_STACK : _URC_NO_REASON;
}

/* The stack pointer at the hook's entry is the same, and so is all that is above it. */
static bool still_valid(const struct trace *t, u64 here)
{
	if (!t->n || t->here != here)
		return false;
	for (unsigned i = 0; i < t->n; i++) {
		if (!t->slot[i] || *(const u64 *)t->slot[i] != t->addr[i])
			return false;
	}
	return true;
}

__attribute__((noinline)) unsigned frames_here(u64 *out, unsigned max)
{
	struct trace *t;
	struct walk w = {.max = min_t(unsigned, max, MAX_FRAMES)};
	u64 here = (u64)__builtin_frame_address(0);

	for (unsigned i = 0; i < MEMO; i++) {
		t = &memo.trace[i];
		if (still_valid(t, here)) {
			memcpy(out, t->addr, min(t->n, w.max) * sizeof(*out));
			return min(t->n, w.max);
		}
	}
	t = &memo.trace[memo.next++ % MEMO];
	t->n = 0;
	t->here = 0;
	w.t = t;
	_Unwind_Backtrace(step, &w);
	t->here = here;
	memcpy(out, t->addr, t->n * sizeof(*out));
	return t->n;
}
