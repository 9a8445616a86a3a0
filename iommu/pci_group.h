/* SPDX-License-Identifier: MIT */
/*
 * Which group a PCI device belongs to, as a search over devices that have one
 * already. What a group is, is the caller's: iommu/ passes struct iommu_group, the
 * analysis of dumps its own.
 */
#ifndef MOAT_IOMMU_PCI_GROUP_H
#define MOAT_IOMMU_PCI_GROUP_H

#include "pci/pci.h"

/* What a device must not be able to do to count as isolated (REQ_ACS_FLAGS). */
#define PCI_GROUP_ACS_FLAGS (PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF)

enum pci_group_reason {
	PCI_GROUP_OWN,	  /* isolated from all that is there */
	PCI_GROUP_ALIAS,  /* its DMA carries the id of a bridge above */
	PCI_GROUP_NO_ACS, /* the way up does not isolate: the group of a bridge above */
	PCI_GROUP_DMA_ALIAS,	 /* it uses the id of another device, or that one its */
	PCI_GROUP_MULTIFUNCTION, /* functions of a slot that can reach one another */
};

struct pci_group_result {
	enum pci_group_reason reason;
	struct pci_dev *with; /* whose group it is; NULL: a new one. No reference */
	/* PCI_GROUP_NO_ACS, PCI_GROUP_ALIAS: the highest device that it cannot be told
	 * apart from, also where the group is new. */
	struct pci_dev *top;
};

/**
 * pci_find_group - look for the group that @pdev must share.
 * @get: the group of a device, NULL if it has none yet
 * @why: filled in; may be NULL
 *
 * Context: takes pci_host.lock briefly; @get is called without it.
 * Return: what @get returned for the device whose group it is, or NULL: a new group.
 * Source: drivers/iommu/iommu.c, pci_device_group().
 */
void *pci_find_group(struct pci_dev *pdev, void *(*get)(struct pci_dev *pdev, void *data),
		     void *data, struct pci_group_result *why);

#endif
