// SPDX-License-Identifier: MIT
/*
 * Extensible structs of an ABI. The tail of a longer struct is looked at in pieces, so
 * that an absurd size costs no memory and ends at the first page that is not there.
 */
#include "machine/uaccess.h"

#include <string.h>

#define PIECE 1024

int copy_struct_from_user(struct call *call, void *to, size_t ksize, u64 from,
			  size_t usize)
{
	size_t both = min(ksize, usize);
	u8 piece[PIECE];
	int rc;

	for (size_t at = both; at < usize; at += PIECE) {
		size_t n = min_t(size_t, PIECE, usize - at);

		rc = copy_from_user(call, piece, from + at, n);
		if (rc)
			return rc;
		for (size_t i = 0; i < n; i++) {
			if (piece[i])
				return -E2BIG;
		}
	}
	memset((u8 *)to + both, 0, ksize - both);
	return copy_from_user(call, to, from, both);
}
