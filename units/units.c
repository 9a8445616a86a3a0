// SPDX-License-Identifier: MIT
/* The table of units that a process can run. */
#include "units/units.h"

#include "machine/unit.h"
#include "units/amd/amd_unit.h"
#include "units/vtd/vtd_unit.h"

static const struct unit_ops *const table[UNIT_NR_KINDS] = {
	[UNIT_VTD] = &vtd_unit_ops,
	[UNIT_AMD] = &amd_unit_ops,
};

void units_register(struct hw *hw)
{
	hw->unit_ops = table;
}
