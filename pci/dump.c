// SPDX-License-Identifier: MIT
/*
 * Reading back what lspci -xxxx printed: an import (pci/import_lspci.c) in which every
 * function must have its registers. A virtual function's registers read vendor ffff.
 */
#include "base/alloc.h"
#include "pci/dump.h"
#include "pci/import.h"

static int check(const struct pci_import *imp, const char *name, char **error)
{
	for (unsigned i = 0; i < imp->nr; i++) {
		if (imp->fns[i]->multifunction_known)
			continue;
		pci_import_tell(error, name, imp->fns[i]->line,
				"the registers of this function are missing (lspci "
				"-xxxx, as root)");
		return -EINVAL;
	}
	return 0;
}

int pci_dump_parse(const char *name, const char *text, size_t len, struct pci_host **out,
		   char **error)
{
	struct pci_import *imp = pci_import_alloc();
	int ret;

	if (error)
		*error = NULL;
	if (!imp)
		return -ENOMEM;
	ret = pci_import_lspci(imp, name, text, len, error);
	if (!ret)
		ret = check(imp, name, error);
	if (!ret)
		ret = pci_import_finish(imp, name, error);
	if (!ret)
		ret = pci_import_build(imp, false, out);
	if (ret)
		pci_import_free(imp);
	return ret;
}

void pci_dump_free(struct pci_host *host)
{
	struct pci_import *imp = host->ops_data;

	pci_import_unbuild(host);
	pci_import_free(imp);
}
