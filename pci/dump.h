/* SPDX-License-Identifier: MIT */
/*
 * A machine's PCI from what `lspci -n -xxxx -D` printed: the same buses and devices as
 * an enumeration finds, answering configuration reads from the text. There is no
 * machine memory behind it and nothing can be written.
 */
#ifndef MOAT_PCI_DUMP_H
#define MOAT_PCI_DUMP_H

#include "pci/pci.h"

/**
 * pci_dump_parse - build the tree from the text of a dump.
 * @name: of the file, for messages
 * @error: on failure "name:line: what is wrong" (free() it)
 *
 * Devices arrive in the order of the text. Functions above 0 count as multi-function,
 * as they do once a boot's scan is complete.
 *
 * Return: 0; -EINVAL with *@error; -ENOMEM.
 */
int __must_check pci_dump_parse(const char *name, const char *text, size_t len,
				struct pci_host **out, char **error);
void pci_dump_free(struct pci_host *host);

#endif
