/* SPDX-License-Identifier: MIT */
/* The AMD-Vi unit for those who build machines; software reaches it through its
 * registers. */
#ifndef MOAT_UNITS_AMD_AMD_UNIT_H
#define MOAT_UNITS_AMD_AMD_UNIT_H

#include "machine/hw.h"
#include "machine/unit.h"

/* What a unit is; zero gives the plain one: four levels, interrupt tables of 32 bits. */
struct amd_unit_config {
	u16 segment;
	phys_addr_t regs; /* 16 KiB of registers */
	u8 levels;	  /* the most that a page table may have: 4 (or 0), 5, 6 */
	bool np_cache;	  /* caches entries that are not present */
	bool guest_apic;  /* interrupt table entries may have 128 bits */
	bool dirty;	  /* accessed and dirty bits */
	bool no_ht_range; /* fd00000000-ffffffffff are addresses like others */
};

extern const struct unit_ops amd_unit_ops;

/**
 * amd_unit_setup - make unit @index of @hw an AMD-Vi unit, as after power-on.
 *
 * Return: 0; -EINVAL: a value out of range, or the unit exists; -ENOMEM.
 */
int __must_check amd_unit_setup(struct hw *hw, u32 index,
				const struct amd_unit_config *config);

#endif
