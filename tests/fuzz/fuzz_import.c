// SPDX-License-Identifier: MIT
/*
 * libFuzzer: lspci in words, or with FUZZ_LOG a boot log, the tree under both
 * assumptions, and the search for groups on it.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "iommu/pci_group.h"
#include "pci/import.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void *get(struct pci_dev *pdev, void *data)
{
	return pci_import_of(pdev)->data;
}

static void group(struct pci_import *imp, bool isolated)
{
	struct pci_host *host;
	struct pci_dev *pdev;

	for (unsigned i = 0; i < imp->nr; i++)
		imp->fns[i]->data = NULL;
	if (pci_import_build(imp, isolated, &host))
		return;
	for_each_pci_dev(host, pdev)
	{
		void *with = pci_find_group(pdev, get, NULL, NULL);

		pci_import_of(pdev)->data = with ? with : pdev;
	}
	pci_import_unbuild(host);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	s64 live = alloc_live_count();
	struct pci_import *imp = pci_import_alloc();
	char *error = NULL;
	int ret;

	if (!imp)
		return 0;
#ifdef FUZZ_LOG
	ret = pci_import_dmesg(imp, "fuzz", (const char *)data, size, &error);
#else
	ret = pci_import_lspci(imp, "fuzz", (const char *)data, size, &error);
#endif
	if (!ret)
		ret = pci_import_finish(imp, "fuzz", &error);
	if (!ret) {
		group(imp, true);
		group(imp, false);
	}
	free(error);
	pci_import_free(imp);
	if (alloc_live_count() != live)
		abort();
	return 0;
}
