/* SPDX-License-Identifier: MIT */
/*
 * Machines from device trees (moat-machine(5)). A machine file is parsed and checked as
 * a whole before anything is built; each defect is one line "FILE:LINE: what is
 * wrong" ("FILE: /node/path: ..." for a blob).
 *
 * The order of a start, which is the kernel's:
 *	of_machine_open()	parse and check; sizes for machine_create()
 *	machine_create(), iommu_core_create(), pci_host_create() by the caller
 *	of_machine_build()	units, functions; firmware assigns addresses
 *	pci_host_scan()		devices are on the bus
 *	of_machine_start_iommus() drivers of the units take their devices
 *	drivers register; pci_bus_add_devices()	the drivers of devices
 */
#ifndef MOAT_OF_MACHINE_H
#define MOAT_OF_MACHINE_H

#include "base/types.h"
#include "machine/endpoint.h"
#include "pci/pci.h"

struct machine;
struct of_machine;
struct pci_hw_bus;

/* One property that a unit understands; boolean ones are 0 or 1 with max 1. */
struct of_unit_property {
	const char *name; /* "aw-bits" */
	u64 default_value;
	u64 max;
};

/* What a node says of an IOMMU. */
struct of_unit_desc {
	u32 index; /* of the hw_unit */
	u16 segment;
	phys_addr_t regs;
	u64 regs_size;
	const u64 *props; /* values in the order of of_unit_type.properties */
	const char *path; /* of its node */
};

/* A kind of IOMMU, from units/ and drivers/: the server passes a table of them. */
struct of_unit_type {
	const char *compatible;			   /* "intel,vtd" */
	const char *kind;			   /* what --iommu calls it: "vtd" */
	const struct of_unit_property *properties; /* ended by a NULL name */
	/* Hardware: hw->units[desc->index] is zeroed. 0 or -errno (-EINVAL: a value). */
	int (*create)(struct machine *m, const struct of_unit_desc *desc);
	/* NULL, or: the unit's own PCI functions, after those of the machine file. */
	int (*add_functions)(struct machine *m, const struct of_unit_desc *desc,
			     struct pci_hw_bus *bus);
	/* Software: the IOMMU driver starts. 0, -ENODEV: switched off by the command
	 * line. */
	int (*start)(struct machine *m, const struct of_unit_desc *desc);
};

struct of_machine_config {
	const struct of_unit_type *const *unit_types; /* ended by NULL */
	const struct endpoint_model *const *models;   /* ENDPOINT_MAX_MODELS entries */
	const char *iommu; /* --iommu KIND: replaces the units' kind; "none"; NULL: as it
			      is */
};

/**
 * of_machine_open - read and check a machine file.
 * @path: a .dts or .dtb file; for messages only when @data is given
 * @data: a blob in memory, or NULL to read @path
 * @error: on failure all defects, a line each, newline-terminated, or NULL (free() it)
 *
 * Return: 0; -EINVAL: defects, in *@error; -ENOENT and what open(2) says; -ENOMEM.
 */
int __must_check of_machine_open(const char *path, const void *data, size_t len,
				 const struct of_machine_config *config,
				 struct of_machine **out, char **error);
void of_machine_close(struct of_machine *om);

/* What machine_create() needs; known after of_machine_open() and the --device options. */
u64 of_machine_ram_size(const struct of_machine *om);
u32 of_machine_nr_functions(const struct of_machine *om);
const char *of_machine_cmdline(const struct of_machine *om); /* /chosen bootargs, or "" */
const char *of_machine_name(const struct of_machine *om);    /* /model, or "" */

/**
 * of_machine_add_device - `--device MODEL[,addr=DDDD:BB:DD.F][,PROP=VALUE]...`.
 *
 * To be called before of_machine_build(). Without addr= the function goes to the
 * first free slot of the first root bus.
 *
 * Return: 0; -EINVAL with what is wrong in *@error.
 */
int __must_check of_machine_add_device(struct of_machine *om, const char *arg,
				       char **error);

int __must_check of_machine_build(struct of_machine *om, struct machine *m, char **error);
int __must_check of_machine_start_iommus(struct of_machine *om, struct machine *m);
/* Where --device number @i (from 0) came to be, "0000:00:05.0"; after of_machine_build().
 */
const char *of_machine_device_address(const struct of_machine *om, unsigned i);

/* A machine embedded in the program; machines/. The list ends with a NULL name. */
struct of_builtin_machine {
	const char *name;
	const unsigned char *dtb;
	size_t len;
};
extern const struct of_builtin_machine of_builtin_machines[];

#endif
