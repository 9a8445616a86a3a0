// SPDX-License-Identifier: MIT
/*
 * Guarded copies (guard.h), in assembly so that the handler knows from the address
 * of the faulting instruction where to go on. While copying, rdi, rsi and rcx always
 * say what is left to do. A fault in the fast part continues byte by byte, so that
 * the result is exact to the byte; a fault there ends the copy.
 */
#include "preload/guard.h"

__asm__(".text\n"
	".p2align 4\n"
	".globl guarded_copy\n"
	".hidden guarded_copy\n"
	".type guarded_copy, @function\n"
	"guarded_copy:\n"
	"	.cfi_startproc\n"
	"	mov	%rdx, %rcx\n"
	"	cmp	$16, %rdx\n"
	"	jb	2f\n"
	"	cmp	$1024, %rdx\n"
	"	jae	3f\n"
	".Lguard_fast_start:\n"
	"1:	movdqu	(%rsi), %xmm0\n"
	"	movdqu	%xmm0, (%rdi)\n"
	"	add	$16, %rsi\n"
	"	add	$16, %rdi\n"
	"	sub	$16, %rcx\n"
	"	cmp	$16, %rcx\n"
	"	jae	1b\n"
	"2:	test	$8, %cl\n"
	"	jz	4f\n"
	"	mov	(%rsi), %rax\n"
	"	mov	%rax, (%rdi)\n"
	"	add	$8, %rsi\n"
	"	add	$8, %rdi\n"
	"	sub	$8, %rcx\n"
	"4:	test	$4, %cl\n"
	"	jz	5f\n"
	"	mov	(%rsi), %eax\n"
	"	mov	%eax, (%rdi)\n"
	"	add	$4, %rsi\n"
	"	add	$4, %rdi\n"
	"	sub	$4, %rcx\n"
	"5:	test	$2, %cl\n"
	"	jz	6f\n"
	"	movzwl	(%rsi), %eax\n"
	"	mov	%ax, (%rdi)\n"
	"	add	$2, %rsi\n"
	"	add	$2, %rdi\n"
	"	sub	$2, %rcx\n"
	"6:	test	%cl, %cl\n"
	"	jz	7f\n"
	"	mov	(%rsi), %al\n"
	"	mov	%al, (%rdi)\n"
	"7:	xor	%eax, %eax\n"
	"	ret\n"
	".Lguard_fast_end:\n"
	".Lguard_slow_start:\n"
	"3:	rep movsb\n"
	"	xor	%eax, %eax\n"
	"	ret\n"
	".Lguard_slow_end:\n"
	".Lguard_fault:\n"
	"	mov	%rcx, %rax\n" /* rdx: set by the handler */
	"	ret\n"
	"	.cfi_endproc\n"
	"	.size guarded_copy, . - guarded_copy\n"

	".p2align 4\n"
	".globl guarded_probe\n"
	".hidden guarded_probe\n"
	".type guarded_probe, @function\n"
	"guarded_probe:\n"
	"	.cfi_startproc\n"
	"	xor	%eax, %eax\n"
	".Lguard_probe_start:\n"
	"	lock orb $0, (%rdi)\n"
	"	ret\n"
	".Lguard_probe_end:\n"
	".Lguard_probe_fault:\n"
	"	mov	$-14, %eax\n"
	"	ret\n"
	"	.cfi_endproc\n"
	"	.size guarded_probe, . - guarded_probe\n"

	".section .data.rel.ro.local, \"aw\"\n"
	".p2align 3\n"
	"guard_table:\n"
	"	.quad .Lguard_fast_start, .Lguard_fast_end, .Lguard_slow_start\n"
	"	.quad .Lguard_slow_start, .Lguard_slow_end, .Lguard_fault\n"
	"	.quad .Lguard_probe_start, .Lguard_probe_end, .Lguard_probe_fault\n"
	".previous\n");

extern const struct {
	u64 start, end, fixup;
} guard_table[3] __attribute__((visibility("hidden")));

bool guard_fixup(ucontext_t *uc, u64 addr)
{
	greg_t *regs = uc->uc_mcontext.gregs;
	u64 rip = regs[REG_RIP];

	for (unsigned i = 0; i < ARRAY_SIZE(guard_table); i++) {
		if (rip >= guard_table[i].start && rip < guard_table[i].end) {
			regs[REG_RIP] = guard_table[i].fixup;
			regs[REG_RDX] = addr;
			return true;
		}
	}
	return false;
}
