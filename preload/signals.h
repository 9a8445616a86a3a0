/* SPDX-License-Identifier: MIT */
/*
 * SIGSEGV, SIGBUS and SIGILL belong to this library once the machine is used; what the
 * program does with them is kept here and done to it when one is its own.
 *
 * The kernel's mask never has them blocked. In their place stand three realtime signals
 * at the end of the range: where the program blocks SIGSEGV, SIGRTMAX is blocked
 * instead. So whatever saves and restores masks (sigsetjmp, swapcontext, threads, fork)
 * keeps what the program meant.
 */
#ifndef MOAT_PRELOAD_SIGNALS_H
#define MOAT_PRELOAD_SIGNALS_H

#include <ucontext.h>

#include "preload/sys.h"

/* The kernel's struct sigaction. */
struct kaction {
	void *handler;
	u64 flags;
	void *restorer;
	kset_t mask;
};
#define KSA_RESTORER 0x04000000

/* Take the signals over, or back (somebody set them without us knowing). */
void signals_install(void (*handler)(int, siginfo_t *, void *));

/* @sig is the program's: do what it asked for. May not return. */
void signals_chain(int sig, siginfo_t *si, ucontext_t *uc);
/* The same with another signal than the one that came (SIGBUS for a page without memory).
 */
void signals_deliver(int sig, int code, u64 addr, siginfo_t *si, ucontext_t *uc);

/* The program's set as it goes to the kernel, and back. */
kset_t mask_to_kernel(kset_t set);
kset_t mask_to_program(kset_t set);

/*
 * Run @fn(@arg) on the stack that the signal interrupted, if the handler was entered on
 * an alternate one: it may be small.
 */
void on_interrupted_stack(ucontext_t *uc, void (*fn)(void *), void *arg);

/* The alternate stack as it was, after on_interrupted_stack(). */
void altstack_restore(const ucontext_t *uc);

/* What signal(2) and its kind do, for the hooks: -errno or 0. */
long signals_action(int sig, const struct kaction *act, struct kaction *old);
long signals_mask(int how, const kset_t *set, kset_t *old);

#endif
