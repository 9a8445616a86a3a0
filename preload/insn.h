/* SPDX-License-Identifier: MIT */
/*
 * One instruction of the program that touched a page which traps: decoded, then carried
 * out with registers and flags as the processor would leave them.
 *
 * What compilers make of a register access (mov, zero and sign extension, string
 * moves) is done here; everything else runs as itself, out of line, with its memory
 * operand pointing to a buffer (ool.c), so its flags are the processor's own.
 */
#ifndef MOAT_PRELOAD_INSN_H
#define MOAT_PRELOAD_INSN_H

#include <ucontext.h>

#include "base/types.h"

#define INSN_MAX_MEM 64 /* bytes of a memory operand */

enum insn_kind {
	INSN_NONE = 0, /* cannot be carried out */
	INSN_LOAD,     /* memory to general register, zero or sign extended */
	INSN_STORE,    /* general register to memory */
	INSN_STORE_IMM,
	INSN_MOVS,
	INSN_STOS,
	INSN_LODS,
	INSN_CMPS,
	INSN_SCAS,
	INSN_MOVDIR64B,
	INSN_ENQCMD,
	INSN_OOL,
};

#define INSN_REP_NONE 0
#define INSN_REP      1 /* rep, repe */
#define INSN_REPNE    2

#define INSN_NO_REG 0xff
#define INSN_RIP    0xfe

struct insn {
	u64 rip;
	u8 bytes[15];
	u8 len;
	u8 kind; /* enum insn_kind */
	u8 size; /* of the memory operand, bytes */
	/* Memory operand: registers by their number in encodings. */
	u8 base, index, scale, addr_size, seg; /* seg: 0, 4 (FS), 5 (GS) */
	/* Register operand. */
	u8 reg, reg_size;
	bool reg_high8, sign;
	u8 rep;
	/* Out of line. */
	u8 scratch; /* register that points to the buffer */
	bool reads, writes, vector, masked, bit_string;
	s64 disp;
	u64 imm;
	void *thunk;
};

/* Decode what lies at @rip, or take it from the cache. false: not even readable. */
bool insn_get(u64 rip, struct insn *out);
/* The instruction in words, for a message. */
void insn_describe(u64 rip, char *buf, size_t len);

enum insn_result {
	INSN_DONE,  /* the context is past it */
	INSN_RETRY, /* the processor can go on by itself from where the context is */
	INSN_UNKNOWN,
	INSN_FAULT, /* the program gets @fault */
};

struct insn_fault {
	int signo, code;
	u64 addr;
};

/* Carry out. Accesses go through insn_access(). */
enum insn_result insn_execute(const struct insn *in, ucontext_t *uc,
			      struct insn_fault *fault);

/*
 * Where an instruction's bytes go: provided by trap.c (and by tests).
 * Return: 0; -EFAULT with @fault filled in.
 */
int insn_access(u64 addr, void *buf, unsigned len, bool write, struct insn_fault *fault);
/* Does [@addr, @addr + @len) touch a page that traps? */
bool insn_traps(u64 addr, unsigned len);

/* ool.c */
struct ZydisDecodedInstruction_;
struct ZydisDecodedOperand_;
bool ool_prepare(struct insn *in, const struct ZydisDecodedInstruction_ *zi,
		 const struct ZydisDecodedOperand_ *ops, unsigned mem_op);
enum insn_result ool_execute(const struct insn *in, ucontext_t *uc, u64 addr,
			     struct insn_fault *fault);

/* gregs[] index of the general register with this number. */
extern const u8 insn_greg[16];
u64 insn_address(const struct insn *in, const ucontext_t *uc);

#endif
