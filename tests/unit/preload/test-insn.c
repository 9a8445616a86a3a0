// SPDX-License-Identifier: MIT
/*
 * Trapped instructions against the processor: each form runs on ordinary memory, then on
 * a page without access at the same address whose contents a "device" holds, with
 * the same random registers, flags, vectors and memory. All of these must come out
 * the same, and the device must have been accessed as wide as the instruction is.
 */
#include <cpuid.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "preload/insn.h"
#include "preload/proc.h"
#include "preload/guard.h"

#define PAGE   0x10000000UL /* low, so that 32-bit addressing reaches it */
#define ROUNDS 64

struct proc *proc_page;

static u8 device[4096] __aligned(64);
static u8 *const page = (u8 *)PAGE;
static u8 *plain;
static volatile bool trapping;
static volatile unsigned reads, writes, widest;

bool insn_traps(u64 addr, unsigned len)
{
	return trapping && addr < PAGE + 4096 && addr + len > PAGE;
}

int insn_access(u64 addr, void *buf, unsigned len, bool write, struct insn_fault *fault)
{
	u8 *at = insn_traps(addr, len) ? device + (addr - PAGE) : (u8 *)addr;

	if (at != (u8 *)addr) {
		if (write)
			writes++;
		else
			reads++;
		if (len > widest)
			widest = len;
	}
	if (write)
		memcpy(at, buf, len);
	else
		memcpy(buf, at, len);
	return 0;
}

static void on_fault(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;
	struct insn_fault fault;
	struct insn in;
	char text[128];

	if (guard_fixup(uc, (u64)si->si_addr))
		return;
	if (!insn_get(uc->uc_mcontext.gregs[REG_RIP], &in) ||
	    insn_execute(&in, uc, &fault) == INSN_UNKNOWN) {
		insn_describe(uc->uc_mcontext.gregs[REG_RIP], text, sizeof(text));
		fprintf(stderr, "cannot emulate: %s\n", text);
		_exit(1);
	}
}

/* In each test: the framework sets its own around it. */
static void install(void)
{
	struct sigaction act = {.sa_sigaction = on_fault,
				.sa_flags = SA_SIGINFO | SA_NODEFER};

	sigaction(SIGSEGV, &act, NULL);
}

struct state {
	u64 gpr[16], flags;
	void *thunk, *fpstate;
	u64 components;
};
void ool_run(struct state *s);

struct insn_case {
	const char *text;
	void (*code)(void);
	u64 avx512;
};
#define CASE(text, wide)                               \
	__asm__(".pushsection .text\n"                 \
		"771: " text "\n"                      \
		"	ret\n"                               \
		".popsection\n"                        \
		".pushsection .rodata.text\n"          \
		"772: .asciz \"" text "\"\n"           \
		".popsection\n"                        \
		".pushsection insn_cases, \"aw\"\n"    \
		"	.quad 772b, 771b, " #wide "\n" \
		".popsection\n");
#define X(text) CASE(text, 0)
#define Y(text) CASE(text, 1)
#include "insn_cases.h"

extern const struct insn_case __start_insn_cases[], __stop_insn_cases[];

static u64 seed = 88172645463325252ULL;

static u64 rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void fill(void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((u8 *)p)[i] = rnd();
}

#define AREA 4096
static u8 start_area[AREA] __aligned(64), area[2][AREA] __aligned(64);
static u8 start_page[4096], start_plain[4096], end_page[2][4096], end_plain[2][4096];

/* A state of vectors that a program could have: random registers, default control words.
 */
static void random_vectors(u64 components)
{
	u32 mxcsr = 0x1f80;

	memset(start_area, 0, AREA);
	start_area[0] = 0x7f; /* FCW */
	start_area[1] = 0x03;
	memcpy(start_area + 24, &mxcsr, 4);
	fill(start_area + 160, 256); /* XMM */
	memcpy(start_area + 512, &components, 8);
	for (unsigned i = 2; i < 8; i++) {
		unsigned eax, ebx, ecx, edx;

		if (!(components >> i & 1))
			continue;
		__cpuid_count(0xd, i, eax, ebx, ecx, edx);
		if (ebx + eax <= AREA)
			fill(start_area + ebx, eax);
	}
}

static u64 xcr0(void)
{
	u32 a, d;

	__asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	return a & 0xe7;
}

static void run_once(const struct insn_case *c, const struct state *start, int which,
		     struct state *out)
{
	*out = *start;
	memcpy(area[which], start_area, AREA);
	out->thunk = (void *)c->code;
	out->fpstate = area[which];
	memcpy(plain, start_plain, 4096);
	memcpy(page, start_page, 4096);
	memcpy(device, start_page, 4096);
	trapping = which;
	if (trapping) {
		memset(page, 0x11, 4096);
		mprotect(page, 4096, PROT_NONE);
	}
	ool_run(out);
	if (trapping)
		mprotect(page, 4096, PROT_READ | PROT_WRITE);
	memcpy(end_page[which], which ? device : page, 4096);
	memcpy(end_plain[which], plain, 4096);
}

static void check_case(const struct insn_case *c, u64 components)
{
	for (unsigned n = 0; n < ROUNDS; n++) {
		struct state start = {.components = components}, end[2];

		fill(start.gpr, sizeof(start.gpr));
		start.gpr[7] = PAGE + 0x200;	   /* rdi */
		start.gpr[3] = PAGE + 0x600;	   /* rbx */
		start.gpr[6] = (u64)plain + 0x200; /* rsi */
		start.gpr[5] = (u64)plain + 0x600; /* rbp */
		start.gpr[1] = rnd() % 33;	   /* rcx */
		start.flags = (rnd() & 0x8d5) | 2;
		fill(start_page, 4096);
		fill(start_plain, 4096);
		/* What compares shall find equal things too. */
		if (n & 1) {
			memcpy(&start.gpr[0], start_page + 0x200, 8);
			memcpy(&start.gpr[2], start_page + 0x208, 8);
			memcpy(start_plain + 0x200, start_page + 0x200, rnd() % 64);
		}
		memset(start_plain + 0x200, 0x80, strstr(c->text, "mxcsr") ? 2 : 0);
		if (strstr(c->text, "mxcsr"))
			memcpy(start_plain + 0x200, &(u32){0x1f80 | (n & 0x3f)}, 4);
		random_vectors(components);

		run_once(c, &start, 0, &end[0]);
		run_once(c, &start, 1, &end[1]);
		if (memcmp(end[0].gpr, end[1].gpr, sizeof(end[0].gpr)) ||
		    end[0].flags != end[1].flags) {
			for (unsigned i = 0; i < 16; i++)
				if (end[0].gpr[i] != end[1].gpr[i])
					print_error("r%u: %lx is, %lx expected\n", i,
						    end[1].gpr[i], end[0].gpr[i]);
			fail_msg("%s: registers or flags (%lx, expected %lx)", c->text,
				 end[1].flags, end[0].flags);
		}
		if (memcmp(end_page[0], end_page[1], 4096) ||
		    memcmp(end_plain[0], end_plain[1], 4096))
			fail_msg("%s: memory", c->text);
		/* The last instruction and data pointers of x87 say where it ran. */
		memset(area[0] + 8, 0, 16);
		memset(area[1] + 8, 0, 16);
		memset(area[0] + 464, 0, 48);
		memset(area[1] + 464, 0, 48);
		if (memcmp(area[0] + 24, area[1] + 24, AREA - 24) ||
		    memcmp(area[0], area[1], 8))
			fail_msg("%s: vectors", c->text);
	}
}

static void insn_each_form_as_processor(void **state)
{
	u64 components = xcr0();
	unsigned done = 0, skipped = 0;

	install();
	for (const struct insn_case *c = __start_insn_cases; c < __stop_insn_cases; c++) {
		if (c->avx512 && (components & 0xe0) != 0xe0) {
			skipped++;
			continue;
		}
		reads = writes = widest = 0;
		check_case(c, components);
		if (!reads && !writes)
			fail_msg("%s: did not trap", c->text);
		done++;
	}
	print_message("%u forms, %u skipped\n", done, skipped);
	assert_true(done > 200);
}

/* A load of eight bytes is one access, and a masked store only touches what it selects.
 */
static void insn_access_width_as_written(void **state)
{
	u64 val;

	install();
	mprotect(page, 4096, PROT_NONE);
	trapping = true;
	reads = writes = widest = 0;
	val = *(volatile u64 *)(page + 8);
	(void)val;
	assert_int_equal(reads, 1);
	assert_int_equal(widest, 8);
	*(volatile u16 *)(page + 8) = 1;
	assert_int_equal(writes, 1);
	trapping = false;
	mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

/* The same address, other code: the cache must notice. */
static void insn_code_replaced_decoded_anew(void **state)
{
	static const u8 load[] = {0x48, 0x8b, 0x07, 0xc3}; /* mov (%rdi), %rax; ret */
	static const u8 load32[] = {0x0f, 0xb6, 0x07,
				    0xc3}; /* movzbl (%rdi), %eax; ret */
	u8 *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	u64 (*fn)(void *) = (void *)code;

	install();
	memset(device, 0xab, sizeof(device));
	mprotect(page, 4096, PROT_NONE);
	trapping = true;
	memcpy(code, load, sizeof(load));
	assert_int_equal(fn(page), 0xababababababababULL);
	memcpy(code, load32, sizeof(load32));
	assert_int_equal(fn(page), 0xab);
	trapping = false;
	mprotect(page, 4096, PROT_READ | PROT_WRITE);
	munmap(code, 4096);
}

static bool decodes(const u8 *code, struct insn *in)
{
	u8 *copy = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);

	memcpy(copy + 4096 - 15, code, 15);
	assert_true(insn_get((u64)copy + 4096 - 15, in));
	munmap(copy, 4096);
	return in->kind != INSN_NONE;
}

/* MOVDIR64B, MOVDIRI and ENQCMD are known even where the processor lacks them. */
static void insn_direct_stores_decoded(void **state)
{
	static const u8 movdir64b[15] = {0x66, 0x0f, 0x38, 0xf8, 0x06}; /* (%rsi), %rax */
	static const u8 enqcmd[15] = {0xf2, 0x0f, 0x38, 0xf8, 0x06};
	static const u8 movdiri[15] = {0x48, 0x0f, 0x38, 0xf9, 0x07}; /* %rax, (%rdi) */
	ucontext_t uc = {0};
	struct insn_fault fault;
	struct insn in;

	trapping = true;
	for (unsigned i = 0; i < 64; i++)
		plain[i] = i;
	uc.uc_mcontext.gregs[REG_RSI] = (u64)plain;
	uc.uc_mcontext.gregs[REG_RAX] = PAGE + 64;
	uc.uc_mcontext.gregs[REG_RDI] = PAGE + 256;
	memset(device, 0, sizeof(device));

	assert_true(decodes(movdir64b, &in));
	assert_int_equal(insn_execute(&in, &uc, &fault), INSN_DONE);
	assert_memory_equal(device + 64, plain, 64);

	/* To a device: taken. To memory: not. */
	assert_true(decodes(enqcmd, &in));
	uc.uc_mcontext.gregs[REG_EFL] = 0x8d5;
	memset(device, 0, sizeof(device));
	assert_int_equal(insn_execute(&in, &uc, &fault), INSN_DONE);
	assert_int_equal(uc.uc_mcontext.gregs[REG_EFL] & 0x8d5, 0);
	assert_memory_equal(device + 64 + 4, plain + 4, 60);
	uc.uc_mcontext.gregs[REG_RAX] = (u64)plain + 1024;
	assert_int_equal(insn_execute(&in, &uc, &fault), INSN_DONE);
	assert_int_equal(uc.uc_mcontext.gregs[REG_EFL] & 0x8d5, 0x40);

	assert_true(decodes(movdiri, &in));
	uc.uc_mcontext.gregs[REG_RAX] = 0x1122334455667788;
	assert_int_equal(insn_execute(&in, &uc, &fault), INSN_DONE);
	assert_int_equal(*(u64 *)(device + 256), 0x1122334455667788);
	trapping = false;
}

/* Never silently: what cannot be carried out is told, not passed over. */
static void insn_unsupported_refused(void **state)
{
	static const u8 push[15] = {0xff, 0x37};      /* push (%rdi) */
	static const u8 call[15] = {0xff, 0x17};      /* call *(%rdi) */
	static const u8 rsp[15] = {0x48, 0x03, 0x27}; /* add (%rdi), %rsp */
	static const u8 gather[15] = {0xc4, 0xe2, 0x6d, 0x90, 0x04, 0x0f};
	static const u8 fxsave[15] = {0x0f, 0xae, 0x07};
	static const u8 *const codes[] = {push, call, rsp, gather, fxsave};
	struct insn in;

	for (unsigned i = 0; i < ARRAY_SIZE(codes); i++) {
		if (decodes(codes[i], &in))
			fail_msg("form %u accepted", i);
	}
}

static int setup(void **state)
{
	if (mmap(page, 4096, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != page)
		return -1;
	plain = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(insn_each_form_as_processor),
		cmocka_unit_test(insn_access_width_as_written),
		cmocka_unit_test(insn_code_replaced_decoded_anew),
		cmocka_unit_test(insn_direct_stores_decoded),
		cmocka_unit_test(insn_unsupported_refused),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
