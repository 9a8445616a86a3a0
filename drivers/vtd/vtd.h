/* SPDX-License-Identifier: MIT */
/*
 * The VT-d driver as the rest of the machine sees it: start it on a unit, stop it, and
 * hand it the unit's events. What it offers to devices are the struct iommu_ops that it
 * registers with the core.
 */
#ifndef MOAT_DRIVERS_VTD_VTD_H
#define MOAT_DRIVERS_VTD_VTD_H

#include "base/types.h"

struct device;
struct machine;

/* A region that firmware wants mapped 1:1 for a device (DMAR: RMRR). */
struct vtd_rmrr {
	phys_addr_t base, last; /* inclusive */
	const char *device;	/* name; for a bridge, all that is below it too */
};

/* What the DMAR table says. Everything here must live as long as the driver runs. */
struct vtd_driver_params {
	/* Does this unit translate for @dev? NULL: as the machine is wired. */
	bool (*in_scope)(struct device *dev, void *data);
	void *data;
	const struct vtd_rmrr *rmrr;
	unsigned nr_rmrr;
	const void *fwnode;   /* what devices' fwspec names; NULL: they have none */
	bool platform_opt_in; /* DMA_CTRL_PLATFORM_OPT_IN_FLAG: protected since before
				 boot */
};

/**
 * vtd_driver_register - start the driver on unit @unit.
 * @params: NULL: all defaults
 *
 * Interrupt remapping is switched on unless intremap=off; translation unless iommu=off
 * or intel_iommu=off. In a kdump kernel (elfcorehdr=) tables that a unit is already
 * using are taken over and devices stay on them until they are attached.
 *
 * Return: 0; -ENODEV: translation is switched off by the command line (interrupt
 * remapping may run all the same); -EINVAL: no such unit or capabilities that make
 * no sense; -EEXIST; -ENOMEM; what iommu_device_register() gave; -ETIMEDOUT: the
 * unit does not do as it is told.
 */
int __must_check vtd_driver_register(struct machine *m, u32 unit,
				     const struct vtd_driver_params *params);
/* Takes the devices back, switches the unit off. Nothing where it does not run. */
void vtd_driver_unregister(struct machine *m, u32 unit);

/**
 * vtd_driver_event - the unit asks to be looked at (hw_host_ops.unit_event).
 *
 * Reads and clears the fault recording registers and tells fault handlers.
 *
 * Context: not from within a translation; no locks held.
 */
void vtd_driver_event(struct machine *m, u32 unit);

#endif
