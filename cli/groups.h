/* SPDX-License-Identifier: MIT */
/*
 * What `moat groups` computes of one machine, and the ways to show it. A result holds
 * the machine's tree; what is uncertain is so because the source does not tell enough.
 */
#ifndef MOAT_CLI_GROUPS_H
#define MOAT_CLI_GROUPS_H

#include <stdio.h>

#include "iommu/pci_group.h"
#include "pci/import.h"

struct member {
	struct pci_import_fn *fn;
	struct pci_group_result why;
	int id;	      /* in order of arrival; -1: no group */
	int number;   /* by the smallest address in it; -1: none */
	int other;    /* id when all that is unknown isolates */
	bool certain; /* the same members, whatever is unknown */
	bool differs; /* the kernel's group has other members */
};

struct groups {
	const char *source;
	struct pci_import *imp;
	struct pci_host *host;
	struct member *members; /* sorted by address */
	unsigned nr;
	int nr_groups;
	unsigned nr_kernel, nr_differ, nr_uncertain; /* devices */
};

/* Takes over @imp, which is finished. -ENOMEM. */
int __must_check groups_analyse(struct pci_import *imp, const char *source,
				const char *exclude, struct groups *g);
void groups_free(struct groups *g);
struct member *groups_find(struct groups *g, const char *name);
/* What the device is kept together with others by; half a line. */
void groups_reason(FILE *f, const struct member *m);
/* The device at or above @pdev that does not isolate; NULL: all do. */
struct pci_dev *groups_weak_link(struct pci_dev *pdev);

/* groups_print.c */
void groups_text(FILE *f, struct groups *g);
void groups_tsv(FILE *f, struct groups *g);
void groups_json(FILE *f, struct groups *g, bool one_line);
void groups_dot(FILE *f, struct groups *g);
/* "PCI bridge: Intel Corporation ... [8086:1901]" */
void groups_describe(FILE *f, const struct member *m);

/* groups_explain.c: 0, or 1 after a message. */
int groups_explain(FILE *f, struct groups *g, const char *a, const char *b);
int groups_passthrough(FILE *f, struct groups *g, const char *name);

#endif
