/* SPDX-License-Identifier: MIT */
/*
 * Inside pci/: what the files of the hardware half call of one another.
 */
#ifndef MOAT_PCI_HARDWARE_H
#define MOAT_PCI_HARDWARE_H

#include "pci/function.h"

int __must_check pci_hardware_create(struct pci_host *host, u32 max_functions);
void pci_hardware_destroy(struct pci_host *host);
void pci_fn_update_decode(struct pci_host *host, struct pci_function *fn);
void pci_hw_set_presence(struct pci_host *host, struct pci_function *fn, bool present);
/* Presence detect and link state of the port above @bus. */
void pci_hw_set_presence_bits(struct pci_host *host, struct pci_hw_bus *bus);
/* Configuration accesses as the kernel makes them: all ones where nothing answers. */
extern const struct pci_ops pci_hw_ops;

#endif
