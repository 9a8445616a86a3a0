/* SPDX-License-Identifier: MIT */
/*
 * A machine from its file to running drivers: hardware first, then what the kernel does
 * at boot, in the kernel's order (of/machine.h).
 */
#ifndef MOAT_SERVER_START_H
#define MOAT_SERVER_START_H

#include "base/err.h"
#include "base/types.h"

struct machine;
struct of_machine;

struct start_config {
	const char *machine; /* a file, or the name of a built-in machine; NULL: "pc" */
	char **devices;	     /* --device arguments */
	unsigned nr_devices;
	const char *iommu;  /* --iommu; NULL: as the file says */
	const char *append; /* kernel arguments behind those of the file; NULL: none */
};

struct start {
	struct machine *machine;
	struct of_machine *of;
	char *cmdline;
	struct start_parts *parts;
};

/**
 * machine_start - build a machine and boot it.
 * @error: on failure what is wrong, lines with newlines (free() it); may be NULL
 *
 * Return: 0; -EINVAL with *@error; -ENOMEM; what a file could not be read for.
 */
int __must_check machine_start(const struct start_config *config, struct start *out,
			       char **error);
void machine_stop(struct start *s);

/* Only read and check the file (moat machine check). */
int __must_check machine_open(const struct start_config *config, struct of_machine **out,
			      char **error);
/* What --iommu takes, NULL-terminated. */
extern const char *const machine_iommu_kinds[];

/* For server_set_unit_event(): the driver of the unit looks at its registers. */
void machine_unit_event(struct machine *m, u32 unit);

#endif
