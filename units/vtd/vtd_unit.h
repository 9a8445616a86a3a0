/* SPDX-License-Identifier: MIT */
/* The VT-d unit for those who build machines; software reaches it through its registers.
 */
#ifndef MOAT_UNITS_VTD_VTD_UNIT_H
#define MOAT_UNITS_VTD_VTD_UNIT_H

#include "machine/hw.h"
#include "machine/unit.h"

#define VTD_MAX_FAULT_REGS 128

/* What a unit is; zero gives the plain one: 48 bits, pass-through, remapping. */
struct vtd_unit_config {
	u16 segment;
	phys_addr_t regs; /* 4 KiB of registers */
	u8 aw_bits;   /* guest address width: 39, 48 (or 0) or 57; lesser ones work too */
	u8 host_bits; /* host address width, 0: 48 */
	u16 nr_fault_regs;  /* 0: 1; at most VTD_MAX_FAULT_REGS */
	bool caching_mode;  /* caches entries that are not present */
	bool snoop_control; /* the SNP bit of paging entries */
	bool coherent;	    /* ECAP.C */
	bool eim;	    /* x2APIC destinations */
	bool no_pass_through;
	bool no_intremap;
	bool no_queued_invalidation;
};

extern const struct unit_ops vtd_unit_ops;

/**
 * vtd_unit_setup - make unit @index of @hw a VT-d unit, as after power-on.
 *
 * Return: 0; -EINVAL: a value out of range, or the unit exists; -ENOMEM.
 */
int __must_check vtd_unit_setup(struct hw *hw, u32 index,
				const struct vtd_unit_config *config);

#endif
