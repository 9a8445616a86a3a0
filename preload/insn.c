// SPDX-License-Identifier: MIT
/*
 * Decoding (insn.h), and a cache of it by address, so that an access in a loop costs a
 * look at a table and a comparison of the instruction's bytes (code may be replaced:
 * dlclose, a JIT).
 */
#include "preload/insn.h"

#include <Zydis/Zydis.h>
#include <stdatomic.h>
#include <string.h>

#include "preload/guard.h"
#include "preload/proc.h"

#define CACHE_LG2 10

struct entry {
	_Atomic u32 seq; /* odd while written */
	struct insn insn;
};
static struct entry cache[1 << CACHE_LG2];

const u8 insn_greg[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
			  REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
			  REG_R12, REG_R13, REG_R14, REG_R15};

static u8 reg_number(ZydisRegister reg)
{
	ZydisRegister big =
		ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);

	if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
		return INSN_RIP;
	if (big < ZYDIS_REGISTER_RAX || big > ZYDIS_REGISTER_R15)
		return INSN_NO_REG;
	return big - ZYDIS_REGISTER_RAX;
}

static bool is_gpr(const ZydisDecodedOperand *op)
{
	return op->type == ZYDIS_OPERAND_TYPE_REGISTER && reg_number(op->reg.value) < 16;
}

static void take_reg(struct insn *in, const ZydisDecodedOperand *op)
{
	in->reg = reg_number(op->reg.value);
	in->reg_size = op->size / 8;
	in->reg_high8 =
		op->reg.value >= ZYDIS_REGISTER_AH && op->reg.value <= ZYDIS_REGISTER_BH;
}

static void take_mem(struct insn *in, const ZydisDecodedInstruction *zi,
		     const ZydisDecodedOperand *op)
{
	in->base = reg_number(op->mem.base);
	in->index = reg_number(op->mem.index);
	in->scale = op->mem.scale;
	in->disp = op->mem.disp.has_displacement ? op->mem.disp.value : 0;
	in->seg = op->mem.segment == ZYDIS_REGISTER_FS	 ? 4
		  : op->mem.segment == ZYDIS_REGISTER_GS ? 5
							 : 0;
	in->size = op->size / 8 <= INSN_MAX_MEM ? op->size / 8 : 0;
	in->reads = op->actions & ZYDIS_OPERAND_ACTION_MASK_READ;
	in->writes = op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
	in->addr_size = zi->address_width / 8;
}

static enum insn_kind string_kind(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_MOVSB:
	case ZYDIS_MNEMONIC_MOVSW:
	case ZYDIS_MNEMONIC_MOVSD: /* the SSE one has no second memory operand */
	case ZYDIS_MNEMONIC_MOVSQ:
		return INSN_MOVS;
	case ZYDIS_MNEMONIC_STOSB:
	case ZYDIS_MNEMONIC_STOSW:
	case ZYDIS_MNEMONIC_STOSD:
	case ZYDIS_MNEMONIC_STOSQ:
		return INSN_STOS;
	case ZYDIS_MNEMONIC_LODSB:
	case ZYDIS_MNEMONIC_LODSW:
	case ZYDIS_MNEMONIC_LODSD:
	case ZYDIS_MNEMONIC_LODSQ:
		return INSN_LODS;
	case ZYDIS_MNEMONIC_CMPSB:
	case ZYDIS_MNEMONIC_CMPSW:
	case ZYDIS_MNEMONIC_CMPSD:
	case ZYDIS_MNEMONIC_CMPSQ:
		return INSN_CMPS;
	case ZYDIS_MNEMONIC_SCASB:
	case ZYDIS_MNEMONIC_SCASW:
	case ZYDIS_MNEMONIC_SCASD:
	case ZYDIS_MNEMONIC_SCASQ:
		return INSN_SCAS;
	default:
		return INSN_NONE;
	}
}

static void classify_string(struct insn *in, const ZydisDecodedInstruction *zi,
			    unsigned nr_mem)
{
	enum insn_kind kind = string_kind(zi->mnemonic);

	if (zi->meta.category != ZYDIS_CATEGORY_STRINGOP || !kind || !nr_mem)
		return;
	in->kind = kind;
	if (zi->attributes & ZYDIS_ATTRIB_HAS_REPNE)
		in->rep = INSN_REPNE;
	else if (zi->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE))
		in->rep = INSN_REP;
}

static void classify(struct insn *in, const ZydisDecodedInstruction *zi,
		     const ZydisDecodedOperand *ops)
{
	unsigned nr_mem = 0, mem = 0;

	for (unsigned i = 0; i < zi->operand_count; i++) {
		if (ops[i].type != ZYDIS_OPERAND_TYPE_MEMORY ||
		    ops[i].mem.type == ZYDIS_MEMOP_TYPE_AGEN)
			continue;
		if (!nr_mem++)
			mem = i;
	}
	/* The place a direct store goes to is a register operand to Zydis. */
	if (zi->mnemonic == ZYDIS_MNEMONIC_MOVDIR64B ||
	    zi->mnemonic == ZYDIS_MNEMONIC_ENQCMD) {
		take_mem(in, zi, &ops[1]);
		in->reg = reg_number(ops[0].type == ZYDIS_OPERAND_TYPE_MEMORY
					     ? ops[0].mem.base
					     : ops[0].reg.value);
		in->size = 64;
		if (in->reg < 16)
			in->kind = zi->mnemonic == ZYDIS_MNEMONIC_ENQCMD ? INSN_ENQCMD
									 : INSN_MOVDIR64B;
		return;
	}
	if (!nr_mem)
		return;
	take_mem(in, zi, &ops[mem]);
	classify_string(in, zi, nr_mem);
	if (in->kind || nr_mem > 1 || !in->size ||
	    ops[mem].mem.type != ZYDIS_MEMOP_TYPE_MEM)
		return;

	switch (zi->mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_MOVNTI:
	case ZYDIS_MNEMONIC_MOVDIRI:
		if (mem == 1 && is_gpr(&ops[0])) {
			take_reg(in, &ops[0]);
			in->kind = INSN_LOAD;
			return;
		}
		if (mem == 0 && is_gpr(&ops[1])) {
			take_reg(in, &ops[1]);
			in->kind = INSN_STORE;
			return;
		}
		if (mem == 0 && ops[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
			in->imm = ops[1].imm.value.u;
			in->kind = INSN_STORE_IMM;
			return;
		}
		break;
	case ZYDIS_MNEMONIC_MOVZX:
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
		take_reg(in, &ops[0]);
		in->sign = zi->mnemonic != ZYDIS_MNEMONIC_MOVZX;
		in->kind = INSN_LOAD;
		return;
	default:
		break;
	}
	if (ool_prepare(in, zi, ops, mem))
		in->kind = INSN_OOL;
}

static bool decode(u64 rip, struct insn *in)
{
	ZydisDecoder decoder;
	ZydisDecodedInstruction zi;
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	size_t n;

	memset(in, 0, sizeof(*in));
	in->rip = rip;
	in->base = in->index = in->reg = INSN_NO_REG;
	n = guarded_read(in->bytes, rip, sizeof(in->bytes));
	if (!n)
		return false;
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, in->bytes, n, &zi, ops))) {
		in->len = n;
		return true;
	}
	in->len = zi.length;
	classify(in, &zi, ops);
	return true;
}

/* Is what was decoded still what lies there? It has just been executed: readable. */
static bool same_code(const struct insn *in)
{
	return !memcmp((const void *)in->rip, in->bytes, in->len);
}

bool insn_get(u64 rip, struct insn *out)
{
	struct entry *e = &cache[(rip ^ rip >> CACHE_LG2) & ((1 << CACHE_LG2) - 1)];
	u32 seq = atomic_load_explicit(&e->seq, memory_order_acquire);
	struct proc *p;

	if (!(seq & 1) && e->insn.rip == rip) {
		*out = e->insn;
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&e->seq, memory_order_relaxed) == seq &&
		    out->len && same_code(out))
			return true;
	}
	p = proc_page;
	if (p)
		plock_lock(&p->insn_lock);
	if (!decode(rip, out)) {
		if (p)
			plock_unlock(&p->insn_lock);
		return false;
	}
	atomic_store(&e->seq, atomic_load(&e->seq) | 1);
	atomic_thread_fence(memory_order_release);
	e->insn = *out;
	atomic_store_explicit(&e->seq, atomic_load(&e->seq) + 1, memory_order_release);
	if (p)
		plock_unlock(&p->insn_lock);
	return true;
}

void insn_describe(u64 rip, char *buf, size_t len)
{
	ZydisDecoder decoder;
	ZydisDecodedInstruction zi;
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	ZydisFormatter formatter;
	u8 bytes[15];
	size_t n = guarded_read(bytes, rip, sizeof(bytes));

	strncpy(buf, "(bytes that are no instruction)", len - 1);
	buf[len - 1] = 0;
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	if (!n || ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, bytes, n, &zi, ops)))
		return;
	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
	ZydisFormatterFormatInstruction(&formatter, &zi, ops, zi.operand_count_visible,
					buf, len, rip, NULL);
}
