// SPDX-License-Identifier: MIT
/*
 * The program's view of its signals (signals.h). Order of events in a delivery, and what
 * the kernel does with a fault that is blocked or ignored (it kills): signal(7),
 * sigaction(2) and the mainline's kernel/signal.c, force_sig_info_to_task().
 */
#include "preload/signals.h"

#include <string.h>

#include "preload/proc.h"

#define NSIG_KERNEL 64

static struct kaction actions[NSIG_KERNEL + 1]; /* of ours: all; of others: mask only */
static u64 masks_had[NSIG_KERNEL + 1]; /* bits of ours in the sa_mask of others */
static void (*our_handler)(int, siginfo_t *, void *);
static _Atomic bool installed;

/* Sent by kill() while blocked: comes when it is unblocked. */
static __thread kset_t pending __attribute__((tls_model("initial-exec")));

static const struct {
	int sig, stand_in;
} stand_ins[] = {{SIGSEGV, 64}, {SIGBUS, 63}, {SIGILL, 62}};

static bool is_ours(int sig)
{
	return sig == SIGSEGV || sig == SIGBUS || sig == SIGILL;
}

kset_t mask_to_kernel(kset_t set)
{
	for (unsigned i = 0; i < ARRAY_SIZE(stand_ins); i++) {
		if (set & KSIG(stand_ins[i].sig))
			set |= KSIG(stand_ins[i].stand_in);
	}
	return set & ~KSET_OURS;
}

kset_t mask_to_program(kset_t set)
{
	set &= ~KSET_OURS;
	for (unsigned i = 0; i < ARRAY_SIZE(stand_ins); i++) {
		if (set & KSIG(stand_ins[i].stand_in))
			set |= KSIG(stand_ins[i].sig);
	}
	return set;
}

void sig_restorer(void);
__asm__(".text\n"
	".p2align 4\n"
	"	nop\n"
	".globl sig_restorer\n"
	".hidden sig_restorer\n"
	".type sig_restorer, @function\n"
	/* Exactly these bytes: unwinders and debuggers know a signal frame by them. */
	"sig_restorer:\n"
	"	mov	$15, %rax\n"
	"	syscall\n"
	".size sig_restorer, . - sig_restorer\n");

/* call_on(sp, fn, arg) */
void call_on(void *sp, void (*fn)(void *), void *arg);
__asm__(".text\n"
	".p2align 4\n"
	".globl call_on\n"
	".hidden call_on\n"
	".type call_on, @function\n"
	"call_on:\n"
	"	.cfi_startproc\n"
	"	push	%rbp\n"
	"	.cfi_def_cfa_offset 16\n"
	"	.cfi_offset %rbp, -16\n"
	"	mov	%rsp, %rbp\n"
	"	.cfi_def_cfa_register %rbp\n"
	"	mov	%rdi, %rsp\n"
	"	mov	%rdx, %rdi\n"
	"	call	*%rsi\n"
	"	mov	%rbp, %rsp\n"
	"	pop	%rbp\n"
	"	.cfi_def_cfa %rsp, 8\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size call_on, . - call_on\n");

/* Has the signal moved to the alternate stack? Not if it came while we were on it. */
static bool on_altstack(const ucontext_t *uc)
{
	u64 sp = uc->uc_mcontext.gregs[REG_RSP], base = (u64)uc->uc_stack.ss_sp;

	return uc->uc_stack.ss_size && !(uc->uc_stack.ss_flags & SS_DISABLE) &&
	       (sp <= base || sp - base > uc->uc_stack.ss_size);
}

struct moved_call {
	void (*fn)(void *);
	void *arg;
};

/*
 * A fault in here would start at the top of the alternate stack again, over the frame
 * that lies there: switch it off; the return from the handler switches it on.
 */
static void call_moved(void *arg)
{
	struct moved_call *c = arg;
	stack_t off = {.ss_flags = SS_DISABLE};

	sc2(SYS_sigaltstack, &off, NULL);
	c->fn(c->arg);
}

void altstack_restore(const ucontext_t *uc)
{
	if (on_altstack(uc))
		sc2(SYS_sigaltstack, &uc->uc_stack, NULL);
}

/* Below what the interrupted code may use below its stack pointer. */
static void *interrupted_sp(const ucontext_t *uc)
{
	return (void *)((uc->uc_mcontext.gregs[REG_RSP] - 256) & ~63ULL);
}

void on_interrupted_stack(ucontext_t *uc, void (*fn)(void *), void *arg)
{
	struct moved_call c = {fn, arg};

	if (on_altstack(uc))
		call_on(interrupted_sp(uc), call_moved, &c);
	else
		fn(arg);
}

static long raw_action(int sig, const struct kaction *act, struct kaction *old)
{
	return sc4(SYS_rt_sigaction, sig, act, old, sizeof(kset_t));
}

void signals_install(void (*handler)(int, siginfo_t *, void *))
{
	static const int sigs[] = {SIGSEGV, SIGBUS, SIGILL};
	struct kaction act = {
		.handler = (void *)handler,
		.flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | KSA_RESTORER,
		.restorer = (void *)sig_restorer,
		.mask = ~KSET_SYNC,
	};

	our_handler = handler;
	for (unsigned i = 0; i < ARRAY_SIZE(sigs); i++) {
		struct kaction old;

		if (raw_action(sigs[i], NULL, &old) || old.handler == (void *)handler)
			continue;
		actions[sigs[i]] = old;
		raw_action(sigs[i], &act, NULL);
	}
	atomic_store(&installed, true);
}

/* The default action, now: the process ends with this signal. */
static void die(int sig, siginfo_t *si, bool again)
{
	struct kaction dfl = {.handler = SIG_DFL};
	kset_t set = KSIG(sig);

	raw_action(sig, &dfl, NULL);
	sc4(SYS_rt_sigprocmask, SIG_UNBLOCK, &set, NULL, sizeof(set));
	/* A fault of the program's own comes again when it goes on: the better core file.
	 */
	if (!again)
		sc4(SYS_rt_tgsigqueueinfo, self_pid(), self_tid(), sig, si);
	if (!again)
		sc3(SYS_tgkill, self_pid(), self_tid(), sig);
}

struct delivery {
	int sig;
	siginfo_t *si;
	ucontext_t *uc;
	struct kaction act;
};

/* Runs the program's handler; what it has changed in the context is then the kernel's. */
static void run_handler(void *arg)
{
	struct delivery *d = arg;
	kset_t was;

	memcpy(&was, &d->uc->uc_sigmask, sizeof(was));
	was = mask_to_program(was);
	memcpy(&d->uc->uc_sigmask, &was, sizeof(was));
	if (d->act.flags & SA_SIGINFO)
		((void (*)(int, siginfo_t *, void *))d->act.handler)(d->sig, d->si,
								     d->uc);
	else
		((void (*)(int))d->act.handler)(d->sig);
	memcpy(&was, &d->uc->uc_sigmask, sizeof(was));
	was = mask_to_kernel(was);
	memcpy(&d->uc->uc_sigmask, &was, sizeof(was));
}

/* The kernel's part of a ucontext; libc's is longer. */
#define UCONTEXT_SIZE (offsetof(ucontext_t, uc_sigmask) + sizeof(kset_t))
#define FXSAVE_SIZE   512
#define FPSTATE_SW    464
#define FPSTATE_MAGIC 0x46505853U

struct moved_frame {
	siginfo_t si;
	struct delivery d;
	/* The return from a signal takes the context from the stack pointer. */
	ucontext_t uc __aligned(16);
};

static void run_moved(void *arg)
{
	struct moved_frame *f = arg;

	run_handler(&f->d);
	__asm__ volatile("mov	%0, %%rsp\n\t"
			 "mov	$15, %%eax\n\t"
			 "syscall"
			 :
			 : "r"(&f->uc)
			 : "memory");
	__builtin_unreachable();
}

/*
 * A handler without SA_ONSTACK, while the frame lies on an alternate stack because ours
 * asks for it: the whole frame moves to where it would have been, so that further
 * signals find the alternate stack free. Does not return.
 */
static void run_on_interrupted_stack(struct delivery *d)
{
	u8 *fp = (u8 *)d->uc->uc_mcontext.fpregs, *sp = interrupted_sp(d->uc);
	struct moved_frame *f;
	u32 sw[2], size = FXSAVE_SIZE;

	memcpy(sw, fp + FPSTATE_SW, sizeof(sw));
	if (sw[0] == FPSTATE_MAGIC)
		size = sw[1];
	sp = (u8 *)((u64)(sp - size) & ~63ULL);
	memcpy(sp, fp, size);
	f = (void *)((u64)(sp - sizeof(*f)) & ~63ULL);
	f->si = *d->si;
	f->d = *d;
	memcpy(&f->uc, d->uc, UCONTEXT_SIZE);
	f->uc.uc_mcontext.fpregs = (void *)sp;
	f->d.si = &f->si;
	f->d.uc = &f->uc;
	altstack_restore(d->uc);
	call_on((void *)((u64)f - 64), run_moved, f);
}

static void deliver(int sig, siginfo_t *si, ucontext_t *uc, bool made_up)
{
	struct delivery d = {.sig = sig, .si = si, .uc = uc};
	bool fault = si->si_code > 0;
	struct proc *p = proc_page;
	kset_t was, mask;

	memcpy(&was, &uc->uc_sigmask, sizeof(was));
	if (p)
		plock_lock(&p->sig_lock);
	d.act = actions[sig];
	if (p)
		plock_unlock(&p->sig_lock);

	if (mask_to_program(was) & KSIG(sig)) {
		if (fault)
			die(sig, si, !made_up);
		else
			pending |= KSIG(sig);
		return;
	}
	if (d.act.handler == (void *)SIG_IGN && !fault)
		return;
	if (d.act.handler == (void *)SIG_IGN || d.act.handler == (void *)SIG_DFL) {
		die(sig, si, fault && !made_up);
		return;
	}
	if (d.act.flags & SA_RESETHAND)
		actions[sig].handler = SIG_DFL;

	mask = was | mask_to_kernel(d.act.mask);
	if (!(d.act.flags & SA_NODEFER))
		mask |= mask_to_kernel(KSIG(sig));
	sc4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask));

	if (d.act.flags & SA_ONSTACK || !on_altstack(uc)) {
		altstack_restore(uc);
		run_handler(&d);
	} else {
		run_on_interrupted_stack(&d);
	}
}

void signals_chain(int sig, siginfo_t *si, ucontext_t *uc)
{
	deliver(sig, si, uc, false);
}

void signals_deliver(int sig, int code, u64 addr, siginfo_t *si, ucontext_t *uc)
{
	int errnum = si->si_errno;

	memset(si, 0, sizeof(*si));
	si->si_signo = sig;
	si->si_errno = errnum;
	si->si_code = code;
	si->si_addr = (void *)addr;
	deliver(sig, si, uc, true);
}

long signals_action(int sig, const struct kaction *act, struct kaction *old)
{
	struct kaction k;
	kset_t mask;
	long ret = 0;

	if (!proc_socket || sig <= 0 || sig > NSIG_KERNEL)
		return raw_action(sig, act, old);
	if (is_ours(sig) && atomic_load(&installed)) {
		struct proc *p = proc_page;

		/* An address that is not there faults here, in the program's own call. */
		if (act)
			k = *act;
		mask = sys_block_signals();
		plock_lock(&p->sig_lock);
		if (old)
			*old = actions[sig];
		if (act)
			actions[sig] = k;
		plock_unlock(&p->sig_lock);
		sys_restore_signals(mask);
		return 0;
	}
	if (act) {
		k = *act;
		k.mask = mask_to_kernel(k.mask);
	}
	ret = raw_action(sig, act ? &k : NULL, old);
	if (!ret && old)
		old->mask = (old->mask & ~KSET_OURS) | masks_had[sig];
	if (!ret && act)
		masks_had[sig] = act->mask & KSET_OURS;
	return ret;
}

long signals_mask(int how, const kset_t *set, kset_t *old)
{
	kset_t k = set ? *set : 0, was;
	long ret;

	if (!proc_socket)
		return sc4(SYS_rt_sigprocmask, how, set, old, sizeof(kset_t));
	k = mask_to_kernel(k);
	ret = sc4(SYS_rt_sigprocmask, how, set ? &k : NULL, &was, sizeof(was));
	if (ret)
		return ret;
	if (old)
		*old = mask_to_program(was);
	if (unlikely(pending) && set) {
		kset_t now = 0, come;

		sc4(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &now, sizeof(now));
		come = pending & ~mask_to_program(now);
		pending &= ~come;
		for (unsigned i = 0; i < ARRAY_SIZE(stand_ins); i++) {
			if (come & KSIG(stand_ins[i].sig))
				sc3(SYS_tgkill, self_pid(), self_tid(), stand_ins[i].sig);
		}
	}
	return 0;
}

/* What exec has left blocked is told by the stand-ins from here on. */
__attribute__((constructor(102))) static void signals_start(void)
{
	kset_t mask = 0;

	if (!proc_socket)
		return;
	sc4(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, sizeof(mask));
	if (!(mask & KSET_OURS))
		return;
	mask = mask_to_kernel(mask);
	sc4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask));
}
