// SPDX-License-Identifier: MIT
/*
 * Finding a unit and the code that runs it (unit.h). What machine memory says of a
 * unit is checked here: an index or a kind that does not exist reads as all ones
 * and swallows writes, as an address does that nothing decodes.
 */
#include "machine/dma.h"
#include "machine/unit_priv.h"

u64 unit_mmio_read(struct hw *hw, u32 unit, u64 off, unsigned size)
{
	const struct unit_ops *ops = unit_ops_of(hw, unit);

	if (!ops || !ops->mmio_read)
		return size < 8 ? (1ULL << (size * 8)) - 1 : ~0ULL;
	return ops->mmio_read(hw, &hw->units[unit], off, size);
}

void unit_mmio_write(struct hw *hw, u32 unit, u64 off, u64 val, unsigned size)
{
	const struct unit_ops *ops = unit_ops_of(hw, unit);

	if (ops && ops->mmio_write)
		ops->mmio_write(hw, &hw->units[unit], off, val, size);
}
