/* SPDX-License-Identifier: MIT */
/*
 * Names of vendors, devices and classes, both ways, from the list that distributions
 * install (pci.ids). Without one every name is unknown.
 */
#ifndef MOAT_PCI_IDS_H
#define MOAT_PCI_IDS_H

#include "base/types.h"

/* Read once, at first use; the strings live until the process ends. NULL: unknown. */
const char *pci_ids_vendor(u16 vendor);
const char *pci_ids_device(u16 vendor, u16 device);
const char *pci_ids_class(u16 class);
/* @text starts with a vendor's name, then a device's. @rest: behind the vendor's. */
bool pci_ids_find_vendor(const char *text, u16 *vendor, const char **rest);
bool pci_ids_find_device(u16 vendor, const char *name, size_t len, u16 *device);
bool pci_ids_find_class(const char *name, size_t len, u16 *class);

#endif
