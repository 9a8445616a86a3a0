/* SPDX-License-Identifier: MIT */
/*
 * Inside pci/: from a description to registers (compose.c) and from registers to
 * what software can write in them (masks.c).
 */
#ifndef MOAT_PCI_COMPOSE_H
#define MOAT_PCI_COMPOSE_H

#include "pci/function.h"

/*
 * Fill in @fn->reset (zeroed, HW_CONFIG_SIZE bytes) and fn->cfg_size from fn->desc.
 * Return: 0, -EINVAL.
 */
int pci_compose(struct pci_function *fn, const struct endpoint_pci_info *info);
/*
 * Find the capabilities in fn->reset and set wmask, w1c, sticky and the offsets.
 * BAR sizes are those of @bar. Lists that loop or leave the space end there.
 */
void pci_derive_masks(struct pci_function *fn, const struct hw_bar *bar);

#endif
