// SPDX-License-Identifier: MIT
/*
 * The signal calls that would take SIGSEGV, SIGBUS or SIGILL away or block them
 * (signals.h). Masks are translated on their way in and out, those of other
 * signals' handlers too: a register may be touched in any handler.
 */
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "preload/hooks.h"
#include "preload/signals.h"

static kset_t set_get(const sigset_t *set)
{
	kset_t k;

	memcpy(&k, set, sizeof(k));
	return k;
}

static void set_put(sigset_t *set, kset_t k)
{
	memset(set, 0, sizeof(*set));
	memcpy(set, &k, sizeof(k));
}

void hook_restorer(void);
__asm__(".text\n"
	".p2align 4\n"
	"	nop\n"
	".globl hook_restorer\n"
	".hidden hook_restorer\n"
	".type hook_restorer, @function\n"
	"hook_restorer:\n"
	"	mov	$15, %rax\n"
	"	syscall\n"
	".size hook_restorer, . - hook_restorer\n");

static int set_action(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct kaction k, was;
	long ret;

	if (act) {
		k.handler = (void *)act->sa_handler;
		k.flags = (u32)act->sa_flags | KSA_RESTORER;
		k.restorer = (void *)hook_restorer;
		k.mask = set_get(&act->sa_mask);
	}
	ret = signals_action(sig, act ? &k : NULL, old ? &was : NULL);
	if (!ret && old) {
		memset(old, 0, sizeof(*old));
		old->sa_handler = (void *)was.handler;
		old->sa_flags = was.flags & ~(u64)KSA_RESTORER;
		old->sa_restorer = (void *)was.restorer;
		set_put(&old->sa_mask, was.mask);
	}
	return libc_ret(ret);
}

HOOK int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	/* 32 and 33 are libc's own; let it refuse them. */
	if (!proc_socket || sig == 32 || sig == 33)
		return NEXT(sigaction)(sig, act, old);
	return set_action(sig, act, old);
}
extern __typeof__(sigaction) __sigaction
	__attribute__((alias("sigaction"), visibility("default")));

/* BSD semantics: the call restarts, the handler stays. */
static sighandler_t set_handler(int sig, sighandler_t fn, int flags)
{
	struct sigaction act = {.sa_handler = fn, .sa_flags = flags};
	struct sigaction old = {.sa_handler = SIG_ERR};

	if (fn == SIG_ERR || sig < 1 || sig > 64) {
		errno = EINVAL;
		return SIG_ERR;
	}
	if (!(flags & SA_NODEFER))
		sigaddset(&act.sa_mask, sig);
	return set_action(sig, &act, &old) < 0 ? SIG_ERR : old.sa_handler;
}

HOOK sighandler_t signal(int sig, sighandler_t fn)
{
	if (!proc_socket)
		return NEXT(signal)(sig, fn);
	return set_handler(sig, fn, SA_RESTART);
}
HOOK_ALIAS(ssignal, signal);
sighandler_t bsd_signal(int sig, sighandler_t fn);
HOOK_ALIAS(bsd_signal, signal);

sighandler_t sysv_signal(int sig, sighandler_t fn);
HOOK sighandler_t sysv_signal(int sig, sighandler_t fn)
{
	if (!proc_socket)
		return NEXT(sysv_signal)(sig, fn);
	return set_handler(sig, fn, SA_RESETHAND | SA_NODEFER | SA_INTERRUPT);
}
extern __typeof__(sysv_signal) __sysv_signal
	__attribute__((alias("sysv_signal"), visibility("default")));

static long set_mask(int how, const sigset_t *set, sigset_t *old)
{
	kset_t k, was;
	long ret;

	if (set)
		k = set_get(set) & ~(KSIG(32) | KSIG(33));
	ret = signals_mask(how, set ? &k : NULL, old ? &was : NULL);
	if (!ret && old)
		set_put(old, was);
	return ret;
}

HOOK int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	if (!proc_socket)
		return NEXT(sigprocmask)(how, set, old);
	return libc_ret(set_mask(how, set, old));
}

HOOK int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	if (!proc_socket)
		return NEXT(pthread_sigmask)(how, set, old);
	return -set_mask(how, set, old);
}

/* A set for the time of a call. */
static const sigset_t *translated(const sigset_t *set, sigset_t *buf)
{
	if (!proc_socket || !set)
		return set;
	set_put(buf, mask_to_kernel(set_get(set)));
	return buf;
}

HOOK int sigsuspend(const sigset_t *set)
{
	sigset_t buf;

	return NEXT(sigsuspend)(translated(set, &buf));
}

HOOK int pselect(int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *limit,
		 const sigset_t *set)
{
	sigset_t buf;

	return NEXT(pselect)(n, r, w, e, limit, translated(set, &buf));
}

HOOK int epoll_pwait(int epfd, struct epoll_event *ev, int n, int timeout,
		     const sigset_t *set)
{
	sigset_t buf;

	return NEXT(epoll_pwait)(epfd, ev, n, timeout, translated(set, &buf));
}
