// SPDX-License-Identifier: MIT
/*
 * Running an instruction out of line: a copy of it whose memory operand is [register],
 * the register pointing to a buffer of ours, is called with all other registers and
 * the flags as the program has them. Vector and x87 state goes through the XSAVE area
 * of the signal frame, from which the kernel loads it when the handler returns.
 *
 * Not done this way: what uses the stack pointer as a data register or the stack as
 * memory, gathers and scatters, and operands over 64 bytes. A masked load reads the
 * whole operand; a masked store writes only what the mask selects.
 */
#include <Zydis/Zydis.h>
#include <string.h>

#include "preload/insn.h"
#include "preload/sys.h"

#define THUNK_SIZE  32
#define THUNK_SPACE (256 * 1024)

#define FPSTATE_SW     464
#define FPSTATE_MAGIC1 0x46505853U
#define XSTATE_KEPT    0xe7ULL /* x87, SSE, AVX, AVX-512 */

struct ool_state {
	u64 gpr[16];	/* 0: [4] is not used */
	u64 flags;	/* 128 */
	void *thunk;	/* 136 */
	void *fpstate;	/* 144; NULL: not needed */
	u64 components; /* 152; 0: an FXSAVE area */
};

/* Loads the state, calls the thunk, keeps the state. */
void ool_run(struct ool_state *s);
__asm__(".text\n"
	".p2align 4\n"
	".globl ool_run\n"
	".hidden ool_run\n"
	".type ool_run, @function\n"
	"ool_run:\n"
	"	push	%rbx\n"
	"	push	%rbp\n"
	"	push	%r12\n"
	"	push	%r13\n"
	"	push	%r14\n"
	"	push	%r15\n"
	"	push	%rdi\n"
	"	push	136(%rdi)\n"
	"	mov	144(%rdi), %rcx\n"
	"	test	%rcx, %rcx\n"
	"	jz	2f\n"
	"	mov	152(%rdi), %rax\n"
	"	mov	%rax, %rdx\n"
	"	shr	$32, %rdx\n"
	"	test	%rax, %rax\n"
	"	jz	1f\n"
	"	xrstor64 (%rcx)\n"
	"	jmp	2f\n"
	"1:	fxrstor64 (%rcx)\n"
	"2:	push	128(%rdi)\n"
	"	popfq\n"
	"	mov	0(%rdi), %rax\n"
	"	mov	8(%rdi), %rcx\n"
	"	mov	16(%rdi), %rdx\n"
	"	mov	24(%rdi), %rbx\n"
	"	mov	40(%rdi), %rbp\n"
	"	mov	48(%rdi), %rsi\n"
	"	mov	64(%rdi), %r8\n"
	"	mov	72(%rdi), %r9\n"
	"	mov	80(%rdi), %r10\n"
	"	mov	88(%rdi), %r11\n"
	"	mov	96(%rdi), %r12\n"
	"	mov	104(%rdi), %r13\n"
	"	mov	112(%rdi), %r14\n"
	"	mov	120(%rdi), %r15\n"
	"	mov	56(%rdi), %rdi\n"
	"	call	*(%rsp)\n"
	"	xchg	%rdi, 8(%rsp)\n"
	"	mov	%rax, 0(%rdi)\n"
	"	mov	%rcx, 8(%rdi)\n"
	"	mov	%rdx, 16(%rdi)\n"
	"	mov	%rbx, 24(%rdi)\n"
	"	mov	%rbp, 40(%rdi)\n"
	"	mov	%rsi, 48(%rdi)\n"
	"	mov	%r8, 64(%rdi)\n"
	"	mov	%r9, 72(%rdi)\n"
	"	mov	%r10, 80(%rdi)\n"
	"	mov	%r11, 88(%rdi)\n"
	"	mov	%r12, 96(%rdi)\n"
	"	mov	%r13, 104(%rdi)\n"
	"	mov	%r14, 112(%rdi)\n"
	"	mov	%r15, 120(%rdi)\n"
	"	pushfq\n"
	"	pop	128(%rdi)\n"
	"	mov	8(%rsp), %rax\n"
	"	mov	%rax, 56(%rdi)\n"
	"	cld\n"
	"	mov	144(%rdi), %rcx\n"
	"	test	%rcx, %rcx\n"
	"	jz	4f\n"
	"	mov	152(%rdi), %rax\n"
	"	mov	%rax, %rdx\n"
	"	shr	$32, %rdx\n"
	"	test	%rax, %rax\n"
	"	jz	3f\n"
	"	xsave64	(%rcx)\n"
	"	test	$4, %al\n"
	"	jz	4f\n"
	"	vzeroupper\n"
	"	jmp	4f\n"
	"3:	fxsave64 (%rcx)\n"
	"4:	add	$16, %rsp\n"
	"	pop	%r15\n"
	"	pop	%r14\n"
	"	pop	%r13\n"
	"	pop	%r12\n"
	"	pop	%rbp\n"
	"	pop	%rbx\n"
	"	ret\n"
	".size ool_run, . - ool_run\n");

static u8 *thunks;
static u32 thunks_used;

/* A callable copy of @code; called under the decoder's lock. */
static void *thunk_make(const u8 *code)
{
	if (!thunks) {
		u8 *mem = sys_map(NULL, THUNK_SPACE, PROT_READ | PROT_WRITE | PROT_EXEC,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if ((u64)mem >= (u64)-4095)
			return NULL;
		thunks = mem;
	}
	for (u32 at = 0; at < thunks_used; at += THUNK_SIZE) {
		if (!memcmp(thunks + at, code, THUNK_SIZE))
			return thunks + at;
	}
	if (thunks_used + THUNK_SIZE > THUNK_SPACE)
		return NULL;
	memcpy(thunks + thunks_used, code, THUNK_SIZE);
	thunks_used += THUNK_SIZE;
	return thunks + thunks_used - THUNK_SIZE;
}

static bool uses(const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *ops,
		 ZydisRegister gpr64)
{
	for (unsigned i = 0; i < zi->operand_count; i++) {
		if (ops[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64,
						     ops[i].reg.value) == gpr64)
			return true;
	}
	return false;
}

/* Does it need more than general registers and flags (MXCSR is no operand)? */
static bool needs_vectors(const ZydisDecodedInstruction *zi)
{
	switch (zi->meta.isa_ext) {
	case ZYDIS_ISA_EXT_BASE:
	case ZYDIS_ISA_EXT_LONGMODE:
	case ZYDIS_ISA_EXT_BMI1:
	case ZYDIS_ISA_EXT_BMI2:
	case ZYDIS_ISA_EXT_ADOX_ADCX:
	case ZYDIS_ISA_EXT_MOVBE:
	case ZYDIS_ISA_EXT_LZCNT:
		return false;
	default:
		return true;
	}
}

/* Low ones first: with AH to BH no others can be encoded. */
static const ZydisRegister candidates[] = {
	ZYDIS_REGISTER_RSI, ZYDIS_REGISTER_RDI, ZYDIS_REGISTER_RBX, ZYDIS_REGISTER_RCX,
	ZYDIS_REGISTER_RDX, ZYDIS_REGISTER_RAX, ZYDIS_REGISTER_R8,  ZYDIS_REGISTER_R9,
};

bool ool_prepare(struct insn *in, const ZydisDecodedInstruction *zi,
		 const ZydisDecodedOperand *ops, unsigned mem_op)
{
	ZydisRegister scratch = ZYDIS_REGISTER_NONE;
	ZydisEncoderRequest req;
	u8 code[THUNK_SIZE] = {0};
	ZyanUSize len = 15;

	if (mem_op >= zi->operand_count_visible || uses(zi, ops, ZYDIS_REGISTER_RSP) ||
	    zi->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(candidates) && !scratch; i++) {
		if (!uses(zi, ops, candidates[i]))
			scratch = candidates[i];
	}
	if (!scratch || ZYAN_FAILED(ZydisEncoderDecodedInstructionToEncoderRequest(
				zi, ops, zi->operand_count_visible, &req)))
		return false;
	req.prefixes &= ~(ZyanU64)ZYDIS_ATTRIB_HAS_SEGMENT;
	req.address_size_hint = ZYDIS_ADDRESS_SIZE_HINT_NONE;
	req.operands[mem_op].mem.base = scratch;
	req.operands[mem_op].mem.index = ZYDIS_REGISTER_NONE;
	req.operands[mem_op].mem.scale = 0;
	req.operands[mem_op].mem.displacement = 0;
	if (ZYAN_FAILED(ZydisEncoderEncodeInstruction(&req, code, &len)))
		return false;
	code[len] = 0xc3; /* ret */
	in->thunk = thunk_make(code);
	if (!in->thunk)
		return false;
	in->scratch = scratch - ZYDIS_REGISTER_RAX;
	in->vector = needs_vectors(zi);
	in->masked = (zi->avx.mask.reg != ZYDIS_REGISTER_NONE &&
		      zi->avx.mask.reg != ZYDIS_REGISTER_K0) ||
		     zi->mnemonic == ZYDIS_MNEMONIC_VMASKMOVPS ||
		     zi->mnemonic == ZYDIS_MNEMONIC_VMASKMOVPD ||
		     zi->mnemonic == ZYDIS_MNEMONIC_VPMASKMOVD ||
		     zi->mnemonic == ZYDIS_MNEMONIC_VPMASKMOVQ;
	switch (zi->mnemonic) {
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC:
		if (ops[1].type == ZYDIS_OPERAND_TYPE_REGISTER) {
			in->bit_string = true;
			in->reg = ZydisRegisterGetLargestEnclosing(
					  ZYDIS_MACHINE_MODE_LONG_64, ops[1].reg.value) -
				  ZYDIS_REGISTER_RAX;
			in->reg_size = ops[1].size / 8;
		}
		break;
	default:
		break;
	}
	return true;
}

static void set_fpstate(struct ool_state *s, ucontext_t *uc)
{
	/* What the kernel says of the area, in the bytes that FXSAVE leaves to software.
	 */
	struct {
		u32 magic1, extended_size;
		u64 xfeatures;
	} sw;

	s->fpstate = uc->uc_mcontext.fpregs;
	memcpy(&sw, (u8 *)s->fpstate + FPSTATE_SW, sizeof(sw));
	s->components = sw.magic1 == FPSTATE_MAGIC1 ? sw.xfeatures & XSTATE_KEPT : 0;
}

/* Runs the copy on @buf; the state is ready but for the scratch register. */
static void run(const struct insn *in, struct ool_state *s, void *buf)
{
	u64 keep = s->gpr[in->scratch];

	s->gpr[in->scratch] = (u64)buf;
	ool_run(s);
	s->gpr[in->scratch] = keep;
}

/*
 * Which bytes a masked store writes: those that come out the same over two different
 * backgrounds. Registers do not change.
 */
static enum insn_result masked_store(const struct insn *in, struct ool_state *s, u64 addr,
				     struct insn_fault *fault)
{
	u8 a[INSN_MAX_MEM] __aligned(64), b[INSN_MAX_MEM] __aligned(64);
	unsigned i = 0, n;

	memset(a, 0x00, sizeof(a));
	memset(b, 0xff, sizeof(b));
	run(in, s, a);
	run(in, s, b);
	while (i < in->size) {
		for (n = 0; i + n < in->size && a[i + n] == b[i + n]; n++)
			;
		if (n && insn_access(addr + i, a + i, n, true, fault))
			return INSN_FAULT;
		i += n + 1;
	}
	return INSN_DONE;
}

enum insn_result ool_execute(const struct insn *in, ucontext_t *uc, u64 addr,
			     struct insn_fault *fault)
{
	greg_t *regs = uc->uc_mcontext.gregs;
	u8 buf[INSN_MAX_MEM] __aligned(64);
	struct ool_state s = {.thunk = in->thunk};
	u64 bit_reg = 0;

	for (unsigned i = 0; i < 16; i++)
		s.gpr[i] = regs[insn_greg[i]];
	/* Status flags and direction; never trap, alignment check or nested task. */
	s.flags = (regs[REG_EFL] & 0xcd5) | 2;
	if (in->vector)
		set_fpstate(&s, uc);
	if (in->bit_string) {
		s64 bit;

		bit_reg = s.gpr[in->reg];
		bit = in->reg_size == 2	  ? (s16)bit_reg
		      : in->reg_size == 4 ? (s32)bit_reg
					  : (s64)bit_reg;
		addr += (bit >> (3 + __builtin_ctz(in->reg_size))) * in->reg_size;
		if (in->addr_size == 4)
			addr = (u32)addr;
		s.gpr[in->reg] = bit & (in->reg_size * 8 - 1);
	}

	if (in->masked && in->writes && !in->reads) {
		if (masked_store(in, &s, addr, fault) == INSN_FAULT)
			return INSN_FAULT;
	} else {
		if (in->reads) {
			if (insn_access(addr, buf, in->size, false, fault))
				return INSN_FAULT;
		}
		run(in, &s, buf);
		if (in->writes && insn_access(addr, buf, in->size, true, fault))
			return INSN_FAULT;
	}
	if (in->bit_string)
		s.gpr[in->reg] = bit_reg;
	for (unsigned i = 0; i < 16; i++) {
		if (i != 4)
			regs[insn_greg[i]] = s.gpr[i];
	}
	regs[REG_EFL] = (regs[REG_EFL] & ~0x8d5ULL) | (s.flags & 0x8d5);
	regs[REG_RIP] = in->rip + in->len;
	return INSN_DONE;
}
