/* SPDX-License-Identifier: MIT */
/*
 * A machine with one VT-d unit and one function behind it, and software that writes
 * its tables by hand, from the specification alone (no driver, no pgtable/).
 */
#ifndef MOAT_TESTS_UNIT_VTD_FIXTURE_H
#define MOAT_TESTS_UNIT_VTD_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "machine/dma.h"
#include "machine/machine.h"
#include "units/vtd/vtd_regs.h"
#include "units/vtd/vtd_unit.h"

#define FX_REGS 0xfed90000ULL
#define FX_SID	0x0128 /* 01:05.0 */
#define FX_FN	0

struct fx {
	struct machine *m;
	struct hw *hw;
	u64 root, context, queue; /* pages of RAM */
	u32 tail;
	u64 status; /* where waits write */
	unsigned events, faults, irqs;
	u32 last_irq;
	struct mutex lock; /* faults, last */
	struct dma_fault last;
};

void fx_init(struct fx *fx, const struct vtd_unit_config *config);
void fx_exit(struct fx *fx);

u64 fx_page(struct fx *fx);
u64 *fx_qword(struct fx *fx, u64 phys);
u32 fx_rd32(struct fx *fx, u64 off);
u64 fx_rd64(struct fx *fx, u64 off);
void fx_wr32(struct fx *fx, u64 off, u32 val);
void fx_wr64(struct fx *fx, u64 off, u64 val);
/* Set or clear a bit of GCMD the way software does it, and see GSTS follow. */
void fx_gcmd(struct fx *fx, u32 bit, bool on);
/* Root and context tables for FX_SID, queue on, translation on. */
void fx_enable(struct fx *fx, u64 ctx_lo, u64 ctx_hi);
void fx_context(struct fx *fx, u16 sid, u64 lo, u64 hi);
/* Puts descriptors into the queue and rings the bell. */
void fx_submit(struct fx *fx, u64 lo, u64 hi);
/* Submits a wait and says whether it completed. */
bool fx_wait(struct fx *fx);
void fx_flush_all(struct fx *fx);
/* One page of @lg2 size at @iova -> @phys in the table @root of @levels levels. */
void fx_map(struct fx *fx, u64 root, unsigned levels, u64 iova, u64 phys, unsigned lg2,
	    u64 bits);
/* The entry that maps @iova at level @level. */
u64 *fx_pte(struct fx *fx, u64 root, unsigned levels, u64 iova, unsigned level);

#endif
