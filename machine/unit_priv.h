/* SPDX-License-Identifier: MIT */
/* How the files of machine/ find the code of a unit. */
#ifndef MOAT_MACHINE_UNIT_PRIV_H
#define MOAT_MACHINE_UNIT_PRIV_H

#include "machine/hw.h"
#include "machine/unit.h"

/* NULL: there is no such unit, or nobody here can run it. */
static inline const struct unit_ops *unit_ops_of(const struct hw *hw, u32 unit)
{
	u32 kind;

	if (unlikely(unit >= HW_MAX_UNITS || !hw->unit_ops))
		return NULL;
	kind = hw->units[unit].kind;
	return likely(kind < UNIT_NR_KINDS) ? hw->unit_ops[kind] : NULL;
}

#endif
