// SPDX-License-Identifier: MIT
/*
 * libFuzzer: a machine file in its binary form, opened, given a device, built, scanned.
 * Whatever it holds, there are defects or a machine, and nothing is left behind.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "endpoints/models.h"
#include "machine/machine.h"
#include "of/machine.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static int unit_create(struct machine *m, const struct of_unit_desc *desc)
{
	return desc->props[0] > 57 ? -EINVAL : 0;
}

static const struct of_unit_property unit_props[] = {
	{"aw-bits", 48, 64}, {"caching-mode", 0, 1}, {0}};
static const struct of_unit_type unit_type = {.compatible = "intel,vtd",
					      .kind = "vtd",
					      .properties = unit_props,
					      .create = unit_create};
static const struct of_unit_type *const unit_types[] = {&unit_type, NULL};

static void start(struct of_machine *om)
{
	struct machine *m;
	struct pci_host *host;
	char *error = NULL;

	if (of_machine_nr_functions(om) > 256 ||
	    machine_create(&m, SZ_2M, of_machine_nr_functions(om),
			   of_machine_cmdline(om)))
		return;
	m->hw.endpoint_models = endpoint_models;
	if (!pci_host_create(m, &host)) {
		if (!of_machine_build(om, m, &error) && !pci_host_scan(host)) {
			pci_request_acs(host, true);
			pci_bus_add_devices(host);
		}
		free(error);
		pci_host_destroy(host);
	}
	machine_destroy(m);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct of_machine_config config = {.unit_types = unit_types,
					   .models = endpoint_models};
	s64 live = alloc_live_count();
	struct of_machine *om;
	char *error = NULL;

	if (!of_machine_open("fuzz.dtb", data, size, &config, &om, &error)) {
		if (of_machine_add_device(om, "edu,addr=00:05.0,dma-mask=0xffff", &error))
			free(error);
		start(om);
		of_machine_close(om);
	} else {
		free(error);
	}
	if (alloc_live_count() != live)
		abort();
	return 0;
}
