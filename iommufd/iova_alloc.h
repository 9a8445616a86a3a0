/* SPDX-License-Identifier: MIT */
/*
 * Which IOVA a mapping gets when the program does not say.
 */
#ifndef MOAT_IOMMUFD_IOVA_ALLOC_H
#define MOAT_IOMMUFD_IOVA_ALLOC_H

#include "base/types.h"

struct io_pagetable;

/**
 * iopt_alloc_iova - the lowest free range that fits.
 * @addr: address of the memory: the IOVA has the same offset in a page, and is aligned as
 *	far as the memory is, up to 2 MiB
 *
 * Inside the allowed ranges (all, if there are none), outside of areas and reserved
 *ranges.
 *
 * Return: 0, -EOVERFLOW (length), -EINVAL (memory aligned less than the domains need),
 * -ENOSPC.
 */
int __must_check iopt_alloc_iova(struct io_pagetable *iopt, u64 *iova, u64 addr,
				 u64 length);

#endif
