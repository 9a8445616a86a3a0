/* SPDX-License-Identifier: MIT */
/*
 * Extensible structs of an ABI: the rule by which a program and the machine may be of
 * different age, once, for all ioctls (kernel: lib/usercopy.c and
 * copy_struct_from_user()).
 */
#ifndef MOAT_MACHINE_UACCESS_H
#define MOAT_MACHINE_UACCESS_H

#include "machine/file.h"

static inline int __must_check get_user_u32(struct call *call, u32 *out, u64 from)
{
	return copy_from_user(call, out, from, sizeof(*out));
}

/**
 * copy_struct_from_user - take a struct that may be shorter or longer than ours.
 * @to: @ksize bytes; what the program does not know of is zeroed
 * @usize: the size that the program gave
 *
 * Return: 0; -E2BIG if bytes beyond @ksize are not zero; -EFAULT; -ERESTARTNOINTR.
 */
int __must_check copy_struct_from_user(struct call *call, void *to, size_t ksize,
				       u64 from, size_t usize);

#endif
