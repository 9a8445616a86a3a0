/* SPDX-License-Identifier: MIT */
/* The MSI-X table for machine/endpoint.c; all called with the function's lock held. */
#ifndef MOAT_MACHINE_MSI_H
#define MOAT_MACHINE_MSI_H

#include "machine/hw.h"

#define MSIX_MAX_VECTORS 2048

u64 msix_state_size(u32 vectors);
void msix_reset(struct hw *hw, u32 fn);
/* True: the access was to the table or the PBA, and is done. */
bool msix_mmio(struct hw *hw, u32 fn, unsigned bar, u64 off, u64 *val, unsigned size,
	       bool write);

/* False: this thread is inside already. A dead owner's function is reset. */
bool endpoint_lock(struct hw *hw, u32 fn);
void endpoint_unlock(struct hw *hw, u32 fn, bool locked);

#endif
