// SPDX-License-Identifier: MIT
/*
 * libFuzzer: configuration writes to functions of each kind, and to one whose registers
 * are the input itself; registers that are read-only stay as they are.
 */
#include <stdlib.h>
#include <string.h>

#include "endpoints/models.h"
#include "machine/machine.h"
#include "pci/function.h"
#include "pci/pci.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

struct step {
	u8 fn, size;
	u16 off;
	u32 val;
} __packed;

static void play(struct pci_host *host, const struct step *s)
{
	struct pci_function *fn =
		pci_hw_by_index(host, s->fn % host->hardware->nr_functions);
	u8 width = (u8)(1U << s->size % 3);
	u16 off = s->off & (s->size & 0x80 ? 0xfff : 0xff) & (u16) ~(width - 1);

	pci_fn_config_write(host, fn, off, s->val, width);
	pci_fn_config_read(host, fn, off, width);
	if (pci_fn_config_read(host, fn, PCI_VENDOR_ID, 2) !=
	    (u32)(fn->reset[0] | fn->reset[1] << 8))
		abort();
}

static int build(struct pci_host *host, const u8 *image, size_t len)
{
	static u64 props[32];
	struct pci_function_desc port = {.kind = PCI_FN_ROOT_PORT,
					 .acs = true,
					 .unit = -1,
					 .hotplug = true,
					 .slot_number = 1};
	struct pci_function_desc bridge = {.kind = PCI_FN_PCIE_TO_PCI, .unit = -1};
	struct pci_function_desc edu = {.model = 1, .props = props, .unit = -1};
	struct pci_function_desc plain = {
		.image = image, .image_len = len, .unit = -1, .bar = {{.size = SZ_64K}}};
	struct pci_hw_bus *root;
	struct pci_function *fn;

	if (pci_hw_add_root(host, 0, 0, 255, &root))
		return -1;
	root->mem_base = 0xc0000000;
	root->mem_last = 0xdfffffff;
	root->io_base = 0x1000;
	root->io_last = 0xffff;
	if (pci_hw_add_function(host, root, 8, &port, &fn) ||
	    pci_hw_add_function(host, fn->secondary, 0, &edu, NULL) ||
	    pci_hw_add_function(host, root, 16, &bridge, &fn) ||
	    pci_hw_add_function(host, fn->secondary, 8, &edu, NULL))
		return -1;
	if (pci_hw_add_function(host, root, 24, &plain, NULL))
		return -1;
	return pci_firmware_assign(host, NULL);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct machine *m;
	struct pci_host *host;
	size_t image = 256, i;

	if (size < image || machine_create(&m, SZ_2M, 8, ""))
		return 0;
	m->hw.endpoint_models = endpoint_models;
	if (!pci_host_create(m, &host)) {
		if (!build(host, data, image)) {
			for (i = image; i + sizeof(struct step) <= size;
			     i += sizeof(struct step))
				play(host, (const struct step *)(data + i));
			if (!pci_host_scan(host))
				pci_rescan(host, NULL);
		}
		pci_host_destroy(host);
	}
	machine_destroy(m);
	return 0;
}
