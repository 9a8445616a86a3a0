// SPDX-License-Identifier: MIT
/* References on an address space (machine/mm.h); who made it frees it in release(). */
#include "machine/mm.h"

struct mm *mm_get(struct mm *mm)
{
	refcount_inc(&mm->ref);
	return mm;
}

void mm_put(struct mm *mm)
{
	if (mm && refcount_dec_and_test(&mm->ref) && mm->ops->release)
		mm->ops->release(mm);
}
