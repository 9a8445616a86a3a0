// SPDX-License-Identifier: MIT
/* libFuzzer: the text of a dump, and the search for groups on what it describes. */
#include <stdlib.h>

#include "base/alloc.h"
#include "iommu/pci_group.h"
#include "pci/dump.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void *get(struct pci_dev *pdev, void *data)
{
	return pdev->dev.driver_data;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	s64 live = alloc_live_count();
	struct pci_host *host;
	struct pci_dev *pdev;
	char *error = NULL;

	if (pci_dump_parse("fuzz", (const char *)data, size, &host, &error)) {
		free(error);
	} else {
		for_each_pci_dev(host, pdev)
		{
			void *with = pci_find_group(pdev, get, NULL, NULL);

			pdev->dev.driver_data = with ? with : pdev;
		}
		pci_dump_free(host);
	}
	if (alloc_live_count() != live)
		abort();
	return 0;
}
