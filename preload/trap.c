// SPDX-License-Identifier: MIT
/*
 * What happens on a fault, in this order: a guarded copy of ours goes on at its fixup; an
 * access to a mapped BAR is carried out; an instruction that this processor lacks and
 * that drives devices (MOVDIR64B and its like) is carried out; all else is the program's.
 *
 * A BAR whose function has memory decoding off, or is in a low power state, has no pages,
 * as in vfio-pci (drivers/vfio/pci/vfio_pci_core.c, __vfio_pci_memory_enabled()): SIGBUS.
 */
#include "preload/trap.h"

#include <linux/pci_regs.h>
#include <string.h>

#include "machine/endpoint.h"
#include "preload/bars.h"
#include "preload/conn.h"
#include "preload/frames.h"
#include "preload/guard.h"
#include "preload/host.h"
#include "preload/insn.h"
#include "preload/signals.h"

/* How the last guarded copy of this thread faulted, for whom it belongs to. */
static __thread struct insn_fault guard_fault __attribute__((tls_model("initial-exec")));

/* Offset of the power management capability of each function; 1: it has none. */
static u8 pm_cap[HW_MAX_FUNCTIONS];

static u16 config16(const struct hw_function *f, unsigned off)
{
	return f->config[off] | f->config[off + 1] << 8;
}

static u8 find_pm_cap(const struct hw_function *f)
{
	u8 pos = f->config[PCI_CAPABILITY_LIST];

	if (!(config16(f, PCI_STATUS) & PCI_STATUS_CAP_LIST))
		return 1;
	for (unsigned n = 0; pos >= 0x40 && n < 48; n++) {
		pos &= ~3;
		if (f->config[pos] == PCI_CAP_ID_PM)
			return pos;
		pos = f->config[pos + 1];
	}
	return 1;
}

static bool memory_enabled(u32 fn)
{
	const struct hw_function *f = &proc_hw.functions[fn];

	if (f->flags & HW_FN_PLATFORM)
		return true;
	if (!(f->config[PCI_COMMAND] & PCI_COMMAND_MEMORY))
		return false;
	if (!pm_cap[fn])
		pm_cap[fn] = find_pm_cap(f);
	return pm_cap[fn] == 1 ||
	       (f->config[pm_cap[fn] + PCI_PM_CTRL] & PCI_PM_CTRL_STATE_MASK) < 3;
}

/* A register access that the report should name. */
static void note_mmio(const struct bar_map *m, u64 off, unsigned len, bool write,
		      bool outside)
{
	struct wire_request req = {.op = WIRE_NOTE_MMIO,
				   .a = (u64)m->function << 8 | m->bar,
				   .b = off,
				   .c = len,
				   .d = (outside ? WIRE_MMIO_OUTSIDE : 0) |
					(write ? WIRE_MMIO_WRITE : 0)};
	u64 frames[16];
	unsigned n = frames_here(frames, ARRAY_SIZE(frames));
	struct proc *p = proc_get();

	if (p)
		control_note(p, &req, NULL, 0, frames, n, true);
}

/* Whether the device answers an access of this width; wider ones are taken apart. */
static bool width_taken(const struct bar_map *m, u64 off, unsigned len)
{
	const struct endpoint_model *model = NULL;
	u16 nr = proc_hw.functions[m->function].model;

	if (nr && nr < ENDPOINT_MAX_MODELS)
		model = proc_hw.endpoint_models[nr];
	return !model || !model->takes || model->takes(m->bar, off, min(len, 8U));
}

static int bar_access(const struct bar_map *m, u64 addr, void *buf, unsigned len,
		      bool write, struct insn_fault *fault)
{
	u64 off = m->offset + (addr - m->addr);
	int ret;

	if (!m->prot || (write && !(m->prot & PROT_WRITE))) {
		*fault = (struct insn_fault){SIGSEGV, SEGV_ACCERR, addr};
		return -EFAULT;
	}
	if (!memory_enabled(m->function)) {
		*fault = (struct insn_fault){SIGBUS, BUS_ADRERR, addr};
		return -EFAULT;
	}
	if (write)
		ret = endpoint_mmio_write(&proc_hw, m->function, m->bar, off, buf, len);
	else
		ret = endpoint_mmio_read(&proc_hw, m->function, m->bar, off, buf, len);
	if (unlikely(ret)) {
		/* Nobody answers. */
		if (!write)
			memset(buf, 0xff, len);
		note_mmio(m, off, len, write, true);
	} else if (unlikely(!width_taken(m, off, len))) {
		note_mmio(m, off, len, write, false);
	}
	return 0;
}

static int plain_access(u64 addr, void *buf, unsigned len, bool write,
			struct insn_fault *fault)
{
	struct guard_result r = write ? guarded_copy((void *)addr, buf, len)
				      : guarded_copy(buf, (const void *)addr, len);

	if (!r.left)
		return 0;
	*fault = guard_fault;
	return -EFAULT;
}

int insn_access(u64 addr, void *buf, unsigned len, bool write, struct insn_fault *fault)
{
	u8 *pos = buf;
	int ret;

	while (len) {
		struct bar_map m;
		unsigned n = len;

		if (bars_find(addr, &m)) {
			n = min_t(u64, n, m.addr + m.len - addr);
			ret = bar_access(&m, addr, pos, n, write, fault);
		} else {
			if (bars_overlap(addr, len))
				n = min_t(u64, n, PAGE_SIZE - (addr & ~PAGE_MASK));
			ret = plain_access(addr, pos, n, write, fault);
		}
		if (ret)
			return ret;
		addr += n;
		pos += n;
		len -= n;
	}
	return 0;
}

bool insn_traps(u64 addr, unsigned len)
{
	return bars_overlap(addr, len);
}

static void say(const char *text)
{
	sc3(SYS_write, 2, text, strlen(text));
}

static void hex(char *out, u64 val)
{
	for (int i = 15; i >= 0; i--, val >>= 4)
		out[i] = "0123456789abcdef"[val & 15];
	out[16] = 0;
}

/* An access that cannot be carried out must not be passed over. */
static __noreturn void unknown_instruction(u64 rip, u64 addr)
{
	char text[128], num[17];
	struct kaction dfl = {.handler = (void *)SIG_DFL};
	kset_t none = 0;

	insn_describe(rip, text, sizeof(text));
	say("moat: cannot emulate \"");
	say(text);
	say("\" at 0x");
	hex(num, rip);
	say(num);
	say(", which accesses a device register at 0x");
	hex(num, addr);
	say(num);
	say("\n");
	sc4(SYS_rt_sigaction, SIGABRT, &dfl, NULL, sizeof(kset_t));
	sc4(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
	sc3(SYS_tgkill, self_pid(), self_tid(), SIGABRT);
	for (;;)
		sc1(SYS_exit_group, 134);
}

struct trap {
	siginfo_t *si;
	ucontext_t *uc;
	u64 rip;
	bool direct_only;
	bool ours;
	struct insn_fault fault;
	enum insn_result result;
};

static bool direct_store(const struct insn *in)
{
	if (in->kind == INSN_MOVDIR64B || in->kind == INSN_ENQCMD)
		return true;
	/* MOVDIRI: 0f 38 f9, without a prefix that makes it something else. */
	for (unsigned i = 0; in->kind == INSN_STORE && i + 2 < in->len; i++) {
		if (in->bytes[i] == 0x0f && in->bytes[i + 1] == 0x38 &&
		    in->bytes[i + 2] == 0xf9)
			return true;
	}
	return false;
}

static void emulate(void *arg)
{
	struct trap *t = arg;
	struct insn in;

	/* A child that was forked: the machine is tied anew. */
	if (!proc_get() || !insn_get(t->rip, &in) ||
	    (t->direct_only && !direct_store(&in)))
		return;
	t->ours = true;
	t->result = insn_execute(&in, t->uc, &t->fault);
	host_after_access();
}

/* Return: false: it is the program's after all. */
static bool trap(siginfo_t *si, ucontext_t *uc, bool direct_only)
{
	struct trap t = {.si = si,
			 .uc = uc,
			 .rip = uc->uc_mcontext.gregs[REG_RIP],
			 .direct_only = direct_only};

	/* The alternate stack may be a small one. */
	on_interrupted_stack(uc, emulate, &t);
	if (!t.ours)
		return false;
	switch (t.result) {
	case INSN_UNKNOWN:
		unknown_instruction(t.rip, (u64)si->si_addr);
	case INSN_FAULT:
		signals_deliver(t.fault.signo, t.fault.code, t.fault.addr, si, uc);
		return true;
	default:
		return true;
	}
}

static void handler(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;
	u64 addr = (u64)si->si_addr;
	struct bar_map m;

	if (si->si_code > 0) {
		if (sig != SIGILL && guard_fixup(uc, addr)) {
			guard_fault = (struct insn_fault){sig, si->si_code, addr};
			return;
		}
		if (sig == SIGSEGV && si->si_code == SEGV_ACCERR && bars_find(addr, &m) &&
		    addr != (u64)uc->uc_mcontext.gregs[REG_RIP] && trap(si, uc, false))
			return;
		if (sig == SIGILL && proc_socket && trap(si, uc, true))
			return;
	}
	signals_chain(sig, si, uc);
}

void trap_install(void)
{
	signals_install(handler);
}
