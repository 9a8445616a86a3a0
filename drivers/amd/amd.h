/* SPDX-License-Identifier: MIT */
/*
 * The AMD-Vi driver as the rest of the machine sees it: start it on a unit, stop it, and
 * hand it the unit's events. What it offers to devices are the struct iommu_ops that it
 * registers with the core.
 */
#ifndef MOAT_DRIVERS_AMD_AMD_H
#define MOAT_DRIVERS_AMD_AMD_H

#include "base/types.h"

struct device;
struct machine;

/* A range that firmware says something of (IVRS: IVMD). */
struct amd_ivmd {
	phys_addr_t base, last; /* inclusive */
	u16 first, last_id;	/* device ids, inclusive */
	bool read, write;	/* mapped 1:1 for these accesses */
	bool exclusion;		/* not to be mapped at all */
};

/* What the IVRS table says. Everything here must live as long as the driver runs. */
struct amd_driver_params {
	u32 capability; /* header in the IOMMU function's capability; 0: EFR, no NpCache
			 */
	/* Does this unit translate for @dev? NULL: as the machine is wired. */
	bool (*in_scope)(struct device *dev, void *data);
	void *data;
	const struct amd_ivmd *ivmd;
	unsigned nr_ivmd;
	bool no_intremap;   /* firmware does not say where I/O APICs are */
	bool remap_support; /* DMA was remapped since before boot */
};

/**
 * amd_driver_register - start the driver on unit @unit.
 * @params: NULL: all defaults
 *
 * Interrupt remapping is switched on with translation unless intremap=off. In a kdump
 * kernel (elfcorehdr=) whose units all translate already, their device tables are
 * taken over and devices stay on them until they are attached.
 *
 * Return: 0; -ENODEV: switched off by the command line; -EINVAL: no such unit; -EEXIST;
 * -ENOMEM; what iommu_device_register() gave; -EIO: the unit does not do as it is told.
 */
int __must_check amd_driver_register(struct machine *m, u32 unit,
				     const struct amd_driver_params *params);
/* Takes the devices back, switches the unit off. Nothing where it does not run. */
void amd_driver_unregister(struct machine *m, u32 unit);

/**
 * amd_driver_event - the unit asks to be looked at (hw_host_ops.unit_event).
 *
 * Reads the event log and tells fault handlers.
 *
 * Context: not from within a translation; no locks held.
 */
void amd_driver_event(struct machine *m, u32 unit);

#endif
