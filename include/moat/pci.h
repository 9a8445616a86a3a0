/* SPDX-License-Identifier: MIT */
/*
 * PCI: building the hardware of a bus (pci_hw_*), then finding it as an operating
 * system does, with drivers of one's own.
 */
#ifndef MOAT_PUBLIC_PCI_H
#define MOAT_PUBLIC_PCI_H

#include "moat/cxx_begin.h"

#include "pci/function.h"
#include "pci/pci.h"
#include "pci/regs.h"

#include "moat/cxx_end.h"

#endif
