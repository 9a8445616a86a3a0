/* SPDX-License-Identifier: MIT */
/*
 * Inside pci/: what the files of the kernel half call of one another.
 */
#ifndef MOAT_PCI_PRIV_H
#define MOAT_PCI_PRIV_H

#include "pci/pci.h"

/* probe.c */
struct pci_dev *pci_alloc_dev(struct pci_bus *bus, u8 devfn);
/* Everything that is read from its registers; -EIO: a header type nobody knows. */
int pci_setup_device(struct pci_dev *pdev);
void pci_init_capabilities(struct pci_dev *pdev);
/* Puts it in the lists, from where pci_dev_put_lists() takes it. */
void pci_link_dev(struct pci_dev *pdev);
struct pci_bus *pci_alloc_bus(struct pci_host *host, struct pci_bus *parent,
			      struct pci_dev *self, u8 number, u8 last);
void pci_link_bus(struct pci_bus *bus);
struct pci_bus *pci_bus_get(struct pci_bus *bus);
void pci_bus_put(struct pci_bus *bus);
/* Scans @bus and all below; new devices are added to the driver model. */
int pci_scan_child_bus(struct pci_bus *bus);
void pci_bus_add_device(struct pci_dev *pdev);

/* acs.c */
void pci_acs_init(struct pci_dev *pdev);
void pci_enable_acs(struct pci_dev *pdev);

/* quirks.c */
void pci_fixup_header(struct pci_dev *pdev);
/* 1: isolated, 0: not, -ENOTTY: no quirk decides. */
int pci_dev_specific_acs_enabled(struct pci_dev *pdev, u16 acs_flags);
/* 0: done, -ENOTTY: use the ACS capability. */
int pci_dev_specific_enable_acs(struct pci_dev *pdev);
int pci_dev_specific_disable_acs_redir(struct pci_dev *pdev);
void pci_disable_broken_acs_cap(struct pci_dev *pdev);
/* driver.c, dynid.c */
bool pci_id_matches(const struct pci_device_id *id, const struct pci_dev *pdev);
const struct pci_device_id *pci_match_dynid(struct pci_driver *drv,
					    const struct pci_dev *pdev);
void pci_free_dynids(struct pci_driver *drv);

/* reset.c */
void pci_init_reset_methods(struct pci_dev *pdev);
/*
 * remove.c: takes @pdev and all below off, when their users allow; then @done (may be
 * NULL). At once for a device that somebody takes off already.
 */
void pci_remove_async(struct pci_dev *pdev, void (*done)(void *data), void *data);
int pci_parse_ulong(const char *buf, size_t len, unsigned long *val);

#endif
