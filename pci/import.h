/* SPDX-License-Identifier: MIT */
/*
 * A machine's PCI from what somebody wrote down about it: a list of functions, each
 * with as much of its registers as is known, and the tree that an enumeration finds
 * there. Importers (import_*.c) fill the list; pci_import_build() makes the tree.
 * Nothing of a machine's memory is behind it.
 *
 * What is not known is said by a function's `unknown` flags. A tree is built under one
 * of two assumptions about all of that, and a result that is the same under both
 * follows from what is known alone.
 */
#ifndef MOAT_PCI_IMPORT_H
#define MOAT_PCI_IMPORT_H

#include "pci/pci.h"

#define PCI_UNKNOWN_TYPE  BIT(0) /* whether it is PCI Express, and which kind */
#define PCI_UNKNOWN_ACS	  BIT(1) /* whether it has ACS */
#define PCI_UNKNOWN_ID	  BIT(2) /* vendor and device: a quirk may be missed */
#define PCI_UNKNOWN_PLACE BIT(3) /* which bridge leads to its bus */

struct pci_import_fn {
	u32 domain; /* as written: behind a VMD more than 16 bits */
	u8 bus, devfn;
	u8 unknown; /* PCI_UNKNOWN_* */
	bool multifunction_known, virtfn, removed, add_acs;
	u16 len;	  /* bytes of config */
	u32 order, line;  /* of arrival; in the source */
	int kernel_group; /* what the source says; -1: nothing */
	u8 *config;
	u8 *live; /* the registers while a tree stands */
	char *driver;
	struct pci_import_fn *above;  /* the bridge before it in a path, or NULL */
	struct pci_import_fn *dma_fn; /* whose requester id its DMA has (VMD), or NULL */
	struct pci_import_domain *dom;
	struct pci_dev *pdev; /* in the tree; its driver data is this */
	void *data;	      /* of the list's user */
};

struct pci_import_domain {
	u32 domain;
	u16 internal;
	struct pci_bus *bus[256];
	struct pci_import_fn *bridge[256]; /* by secondary bus */
	struct pci_import_fn *behind;	   /* the VMD endpoint it is behind */
};

struct pci_import {
	struct pci_import_fn **fns; /* sorted by address after pci_import_finish() */
	unsigned nr, max;
	struct pci_import_domain *domains;
	unsigned nr_domains;
	struct pci_import_fn *last; /* found */
	struct { /* "domain is behind this VMD", where a source says so */
		u32 domain, owner_domain;
		u8 bus, devfn;
	} behind[16];
	unsigned nr_behind;
	/*
	 * The source's kernel had IOMMUs on, so ACS is as it left it, by command line
	 * too. Otherwise it is switched on as a kernel would with an IOMMU.
	 */
	bool acs_as_found;
	bool tells_groups; /* the source has a place for groups: none means IOMMUs off */
};

/* An importer's notes on one function, from which pci_import_set() makes registers. */
struct pci_import_facts {
	u16 vendor, device, subvendor, subdevice;
	u32 class; /* 24 bits */
	u8 revision, hdr_type;
	u8 primary, secondary, subordinate;
	int express; /* type; -1: not PCI Express */
	bool flr, pm, no_soft_reset, hotplug, af_flr, ari;
	bool acs;
	u16 acs_cap, acs_ctrl;
	bool sriov, vf_enable;
	u16 nr_vfs, vf_offset, vf_stride;
};

struct pci_import *pci_import_alloc(void);
void pci_import_free(struct pci_import *imp);
/* NULL: out of memory. The function has no registers yet. */
struct pci_import_fn *pci_import_add(struct pci_import *imp, u32 domain, u8 bus,
				     u8 devfn);
struct pci_import_fn *pci_import_find(const struct pci_import *imp, u32 domain, u8 bus,
				      u8 devfn);
/* By address: before that nothing is found. */
void pci_import_sort(struct pci_import *imp);
/* "DDDD:BB:DD.F" or "BB:DD.F", up to a character that belongs to no address. */
bool pci_import_address(const char **p, u32 *domain, u8 *bus, u8 *devfn);
/* Copies @len bytes of registers. -ENOMEM. */
int __must_check pci_import_config(struct pci_import_fn *fn, const u8 *config, u16 len);
/*
 * Registers as @facts say; what the function has of real ones already (64, 256 or 4096
 * bytes) stays, and facts fill up what is beyond.
 */
int __must_check pci_import_set(struct pci_import_fn *fn,
				const struct pci_import_facts *facts);

/**
 * pci_import_finish - the list is complete: sort it, find VFs, bridges, VMD domains.
 * @error: "name:line: what is wrong" (free() it)
 * Return: 0; -EINVAL with *@error; -ENOMEM.
 */
int __must_check pci_import_finish(struct pci_import *imp, const char *name,
				   char **error);

/**
 * pci_import_build - the tree. One at a time for a list.
 * @isolated: assume of what is unknown that it isolates; else that it does not
 * Return: 0; -ENOMEM.
 */
int __must_check pci_import_build(struct pci_import *imp, bool isolated,
				  struct pci_host **out);
void pci_import_unbuild(struct pci_host *host);

static inline struct pci_import_fn *pci_import_of(const struct pci_dev *pdev)
{
	return pdev->dev.driver_data;
}

/* ---- importers: fill an empty list. 0; -EINVAL with *@error; -ENOMEM. ---- */

/* What lspci printed, in any of its forms but -t and -m. */
int __must_check pci_import_lspci(struct pci_import *imp, const char *name,
				  const char *text, size_t len, char **error);
/* A boot log. */
int __must_check pci_import_dmesg(struct pci_import *imp, const char *name,
				  const char *text, size_t len, char **error);
/* /sys, or a copy of it. */
int __must_check pci_import_sysfs(struct pci_import *imp, const char *dir, char **error);

void __printf(4, 5)
	pci_import_tell(char **error, const char *name, u32 line, const char *fmt, ...);

#endif
