// SPDX-License-Identifier: MIT
/*
 * Carrying out an instruction (insn.h). An access that faults leaves the context as it
 * was, or, in a string instruction, as it is between two elements; both are states
 * from which the processor can go on.
 */
#include <asm/prctl.h>
#include <string.h>

#include "preload/guard.h"
#include "preload/insn.h"
#include "preload/sys.h"

#define FLAG_CF	     0x001
#define FLAG_PF	     0x004
#define FLAG_AF	     0x010
#define FLAG_ZF	     0x040
#define FLAG_SF	     0x080
#define FLAG_DF	     0x400
#define FLAG_OF	     0x800
#define FLAGS_STATUS (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

/* Elements of a string instruction done in one go; then the processor asks again. */
#define STRING_MAX 65536

static u64 reg_get(const ucontext_t *uc, u8 reg)
{
	return uc->uc_mcontext.gregs[insn_greg[reg]];
}

static void reg_set(ucontext_t *uc, u8 reg, u64 val)
{
	uc->uc_mcontext.gregs[insn_greg[reg]] = val;
}

/* As a destination of @size bytes: 4 clears the upper half, 1 and 2 keep it. */
static void reg_write(ucontext_t *uc, u8 reg, unsigned size, bool high8, u64 val)
{
	u64 old = reg_get(uc, reg);

	switch (size) {
	case 1:
		if (high8)
			val = (old & ~0xff00ULL) | (val & 0xff) << 8;
		else
			val = (old & ~0xffULL) | (val & 0xff);
		break;
	case 2:
		val = (old & ~0xffffULL) | (val & 0xffff);
		break;
	case 4:
		val = (u32)val;
		break;
	}
	reg_set(uc, reg, val);
}

static u64 seg_base(u8 seg)
{
	u64 base = 0;

	if (seg)
		sc2(SYS_arch_prctl, seg == 4 ? ARCH_GET_FS : ARCH_GET_GS, &base);
	return base;
}

u64 insn_address(const struct insn *in, const ucontext_t *uc)
{
	u64 addr = in->disp;

	if (in->base == INSN_RIP)
		addr += in->rip + in->len;
	else if (in->base < 16)
		addr += reg_get(uc, in->base);
	if (in->index < 16)
		addr += reg_get(uc, in->index) * in->scale;
	if (in->addr_size == 4)
		addr = (u32)addr;
	return addr + seg_base(in->seg);
}

static u64 extend(u64 val, unsigned size, bool sign)
{
	switch (size) {
	case 1:
		return sign ? (u64)(s64)(s8)val : (u8)val;
	case 2:
		return sign ? (u64)(s64)(s16)val : (u16)val;
	case 4:
		return sign ? (u64)(s64)(s32)val : (u32)val;
	default:
		return val;
	}
}

static enum insn_result done(const struct insn *in, ucontext_t *uc)
{
	uc->uc_mcontext.gregs[REG_RIP] = in->rip + in->len;
	return INSN_DONE;
}

static enum insn_result do_load(const struct insn *in, ucontext_t *uc,
				struct insn_fault *fault)
{
	u64 val = 0;

	if (insn_access(insn_address(in, uc), &val, in->size, false, fault))
		return INSN_FAULT;
	reg_write(uc, in->reg, in->reg_size, in->reg_high8,
		  extend(val, in->size, in->sign));
	return done(in, uc);
}

static enum insn_result do_store(const struct insn *in, ucontext_t *uc,
				 struct insn_fault *fault)
{
	u64 val = in->imm;

	if (in->kind == INSN_STORE) {
		val = reg_get(uc, in->reg);
		if (in->reg_high8)
			val >>= 8;
	}
	if (insn_access(insn_address(in, uc), &val, in->size, true, fault))
		return INSN_FAULT;
	return done(in, uc);
}

/* Status flags of a - b. */
static u64 compare_flags(u64 a, u64 b, unsigned size)
{
	u64 flags;
	unsigned shift = 64 - size * 8;
	u64 half = (a & 0xf) < (b & 0xf) ? FLAG_AF : 0;
	u8 low = a - b;

	/* At the top of a register, carry, sign, zero and overflow are those of the
	 * width. */
	a <<= shift;
	b <<= shift;
	__asm__("cmp %2, %1\n\tpushfq\n\tpopq %0" : "=r"(flags) : "r"(a), "r"(b) : "cc");
	flags &= FLAG_CF | FLAG_ZF | FLAG_SF | FLAG_OF;
	if (!(__builtin_popcount(low) & 1))
		flags |= FLAG_PF;
	return flags | half;
}

struct string_regs {
	u64 mask; /* of the address size */
	u64 si_base;
	s64 step;
};

static u64 string_addr(const ucontext_t *uc, const struct string_regs *s, int greg)
{
	u64 addr = uc->uc_mcontext.gregs[greg] & s->mask;

	return greg == REG_RSI ? addr + s->si_base : addr;
}

static void string_advance(ucontext_t *uc, const struct string_regs *s, int greg, s64 by)
{
	u64 val = uc->uc_mcontext.gregs[greg] + by;

	uc->uc_mcontext.gregs[greg] = val & s->mask;
}

/* One element. Return: INSN_DONE, or INSN_FAULT with nothing changed. */
static enum insn_result string_element(const struct insn *in, ucontext_t *uc,
				       const struct string_regs *s,
				       struct insn_fault *fault)
{
	greg_t *regs = uc->uc_mcontext.gregs;
	u64 a = 0, b = 0, flags;

	switch (in->kind) {
	case INSN_MOVS:
		if (insn_access(string_addr(uc, s, REG_RSI), &a, in->size, false,
				fault) ||
		    insn_access(string_addr(uc, s, REG_RDI), &a, in->size, true, fault))
			return INSN_FAULT;
		break;
	case INSN_STOS:
		a = regs[REG_RAX];
		if (insn_access(string_addr(uc, s, REG_RDI), &a, in->size, true, fault))
			return INSN_FAULT;
		break;
	case INSN_LODS:
		if (insn_access(string_addr(uc, s, REG_RSI), &a, in->size, false, fault))
			return INSN_FAULT;
		reg_write(uc, 0, in->size, false, a);
		break;
	default:
		if (in->kind == INSN_SCAS)
			a = regs[REG_RAX];
		else if (insn_access(string_addr(uc, s, REG_RSI), &a, in->size, false,
				     fault))
			return INSN_FAULT;
		if (insn_access(string_addr(uc, s, REG_RDI), &b, in->size, false, fault))
			return INSN_FAULT;
		flags = compare_flags(a, b, in->size);
		regs[REG_EFL] = (regs[REG_EFL] & ~(u64)FLAGS_STATUS) | flags;
		break;
	}
	if (in->kind != INSN_STOS && in->kind != INSN_SCAS)
		string_advance(uc, s, REG_RSI, s->step);
	if (in->kind != INSN_LODS)
		string_advance(uc, s, REG_RDI, s->step);
	return INSN_DONE;
}

static bool string_traps(const struct insn *in, const ucontext_t *uc,
			 const struct string_regs *s)
{
	if (in->kind != INSN_STOS && in->kind != INSN_SCAS &&
	    insn_traps(string_addr(uc, s, REG_RSI), in->size))
		return true;
	return in->kind != INSN_LODS && insn_traps(string_addr(uc, s, REG_RDI), in->size);
}

static enum insn_result do_string(const struct insn *in, ucontext_t *uc,
				  struct insn_fault *fault)
{
	greg_t *regs = uc->uc_mcontext.gregs;
	struct string_regs s = {
		.mask = in->addr_size == 4 ? 0xffffffffULL : ~0ULL,
		.si_base = in->kind == INSN_STOS || in->kind == INSN_SCAS
				   ? 0
				   : seg_base(in->seg),
		.step = regs[REG_EFL] & FLAG_DF ? -(s64)in->size : in->size,
	};
	bool compares = in->kind == INSN_CMPS || in->kind == INSN_SCAS;

	if (in->rep == INSN_REP_NONE) {
		if (string_element(in, uc, &s, fault) == INSN_FAULT)
			return INSN_FAULT;
		return done(in, uc);
	}
	for (unsigned n = 0; regs[REG_RCX] & s.mask; n++) {
		bool equal;

		/* The rest of ordinary memory is the processor's. */
		if (n == STRING_MAX || (n && !string_traps(in, uc, &s)))
			return INSN_RETRY;
		if (string_element(in, uc, &s, fault) == INSN_FAULT)
			return INSN_FAULT;
		string_advance(uc, &s, REG_RCX, -1);
		equal = regs[REG_EFL] & FLAG_ZF;
		if (compares && equal != (in->rep == INSN_REP))
			break;
	}
	return done(in, uc);
}

/*
 * 64 bytes to the address in a register. ENQCMD says in ZF whether the command was
 * taken: a device takes it, memory does not (Intel SDM, ENQCMD).
 */
static enum insn_result do_direct(const struct insn *in, ucontext_t *uc,
				  struct insn_fault *fault)
{
	greg_t *regs = uc->uc_mcontext.gregs;
	u64 to = reg_get(uc, in->reg);
	u8 data[64];
	bool taken;

	if (in->addr_size == 4)
		to = (u32)to;
	if (to & 63) {
		*fault = (struct insn_fault){SIGSEGV, SI_KERNEL, 0};
		return INSN_FAULT;
	}
	if (insn_access(insn_address(in, uc), data, 64, false, fault))
		return INSN_FAULT;
	taken = in->kind == INSN_MOVDIR64B || insn_traps(to, 64);
	if (in->kind == INSN_ENQCMD)
		memset(data, 0, 4); /* the PASID field: the processor's, none is set */
	if (taken && insn_access(to, data, 64, true, fault))
		return INSN_FAULT;
	if (in->kind == INSN_ENQCMD) {
		regs[REG_EFL] &= ~(u64)FLAGS_STATUS;
		if (!taken)
			regs[REG_EFL] |= FLAG_ZF;
	}
	return done(in, uc);
}

enum insn_result insn_execute(const struct insn *in, ucontext_t *uc,
			      struct insn_fault *fault)
{
	switch (in->kind) {
	case INSN_LOAD:
		return do_load(in, uc, fault);
	case INSN_STORE:
	case INSN_STORE_IMM:
		return do_store(in, uc, fault);
	case INSN_MOVS:
	case INSN_STOS:
	case INSN_LODS:
	case INSN_CMPS:
	case INSN_SCAS:
		return do_string(in, uc, fault);
	case INSN_MOVDIR64B:
	case INSN_ENQCMD:
		return do_direct(in, uc, fault);
	case INSN_OOL:
		return ool_execute(in, uc, insn_address(in, uc), fault);
	default:
		return INSN_UNKNOWN;
	}
}
