// SPDX-License-Identifier: MIT
#include "server/start.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "drivers/vtd/vtd.h"
#include "endpoints/models.h"
#include "iommu/iommu.h"
#include "iommufd/iommufd.h"
#include "iommufd/vfio_device.h"
#include "machine/machine.h"
#include "of/machine.h"
#include "pci/pci.h"
#include "server/host_drivers.h"
#include "units/units.h"
#include "units/vtd/vtd_unit.h"
#include "vfio/vfio.h"

const char *const machine_iommu_kinds[] = { "vtd", "none", NULL };

/* ---- VT-d as machine files describe it ---- */

enum { VTD_AW_BITS, VTD_CACHING_MODE, VTD_NO_INTREMAP, VTD_NO_SNOOP, VTD_NO_PASS_THROUGH,
       VTD_NO_QI, VTD_X2APIC, VTD_FAULT_REGS, VTD_COHERENT };

static const struct of_unit_property vtd_properties[] = {
	[VTD_AW_BITS] = { "aw-bits", 48, 57 },
	[VTD_CACHING_MODE] = { "caching-mode", 0, 1 },
	[VTD_NO_INTREMAP] = { "no-interrupt-remapping", 0, 1 },
	[VTD_NO_SNOOP] = { "no-snoop-control", 0, 1 },
	[VTD_NO_PASS_THROUGH] = { "no-pass-through", 0, 1 },
	[VTD_NO_QI] = { "no-queued-invalidation", 0, 1 },
	[VTD_X2APIC] = { "x2apic", 0, 1 },
	[VTD_FAULT_REGS] = { "fault-registers", 1, VTD_MAX_FAULT_REGS },
	[VTD_COHERENT] = { "coherent", 0, 1 },
	{ 0 },
};

static int vtd_create(struct machine *m, const struct of_unit_desc *desc)
{
	struct vtd_unit_config config = {
		.segment = desc->segment,
		.regs = desc->regs,
		.aw_bits = (u8)desc->props[VTD_AW_BITS],
		.nr_fault_regs = (u16)desc->props[VTD_FAULT_REGS],
		.caching_mode = desc->props[VTD_CACHING_MODE],
		.snoop_control = !desc->props[VTD_NO_SNOOP],
		.coherent = desc->props[VTD_COHERENT],
		.eim = desc->props[VTD_X2APIC],
		.no_pass_through = desc->props[VTD_NO_PASS_THROUGH],
		.no_intremap = desc->props[VTD_NO_INTREMAP],
		.no_queued_invalidation = desc->props[VTD_NO_QI],
	};

	return vtd_unit_setup(&m->hw, desc->index, &config);
}

static int vtd_start(struct machine *m, const struct of_unit_desc *desc)
{
	return vtd_driver_register(m, desc->index, NULL);
}

static const struct of_unit_type vtd_type = {
	.compatible = "intel,vtd",
	.kind = "vtd",
	.properties = vtd_properties,
	.create = vtd_create,
	.start = vtd_start,
};

static const struct of_unit_type *const unit_types[] = { &vtd_type, NULL };

void machine_unit_event(struct machine *m, u32 unit)
{
	if (m->hw.units[unit].kind == UNIT_VTD)
		vtd_driver_event(m, unit);
}

/* ---- boot ---- */

static const struct pci_iommu_hooks iommu_hooks = {
	.dma_configure = iommu_dma_configure,
	.dma_cleanup = iommu_dma_cleanup,
};

struct start_parts {
	bool iommu, pci, builtin, vfio, vfio_pci, iommufd;
	struct host_drivers *host;
};

int machine_open(const struct start_config *config, struct of_machine **out, char **error)
{
	struct of_machine_config om_config = { .unit_types = unit_types,
					       .models = endpoint_models,
					       .iommu = config->iommu };
	const char *name = config->machine ? config->machine : "pc";
	const void *data = NULL;
	size_t len = 0;

	for (const struct of_builtin_machine *b = of_builtin_machines; b->name; b++) {
		if (strcmp(b->name, name))
			continue;
		data = b->dtb;
		len = b->len;
	}
	return of_machine_open(name, data, len, &om_config, out, error);
}

static int boot(struct start *s, char **error)
{
	struct start_parts *p = s->parts;
	struct machine *m = s->machine;
	struct pci_host *host;
	int err;

	units_register(&m->hw);
	m->hw.endpoint_models = endpoint_models;
	err = iommu_core_create(m);
	if (err)
		return err;
	p->iommu = true;
	err = pci_host_create(m, &host);
	if (err)
		return err;
	p->pci = true;
	pci_host_set_iommu(host, &iommu_hooks);
	err = of_machine_build(s->of, m, error);
	if (!err)
		err = pci_host_scan(host);
	if (!err)
		err = of_machine_start_iommus(s->of, m);
	if (err)
		return err;
	err = vfio_core_create(m);
	if (err)
		return err;
	p->vfio = true;
	err = iommufd_core_create(m);
	if (err)
		return err;
	p->iommufd = true;
	iommufd_vfio_init(m);
	err = vfio_pci_init(m);
	if (err)
		return err;
	p->vfio_pci = true;
	/* In the order in which the recordings' kernel has them, which decides who probes first. */
	err = pci_register_builtin_drivers(host);
	if (err)
		return err;
	p->builtin = true;
	err = host_drivers_register(m, &p->host);
	if (err)
		return err;
	pci_bus_add_devices(host);
	return 0;
}

int machine_start(const struct start_config *config, struct start *s, char **error)
{
	char *own_error = NULL;
	int err;

	memset(s, 0, sizeof(*s));
	if (!error)
		error = &own_error;
	err = machine_open(config, &s->of, error);
	if (err)
		goto out;
	for (unsigned i = 0; !err && i < config->nr_devices; i++)
		err = of_machine_add_device(s->of, config->devices[i], error);
	if (err)
		goto out;
	err = -ENOMEM;
	s->parts = kzalloc(sizeof(*s->parts));
	s->cmdline = kasprintf("%s%s%s", of_machine_cmdline(s->of), config->append ? " " : "",
			       config->append ? config->append : "");
	if (!s->parts || !s->cmdline)
		goto out;
	err = machine_create(&s->machine, of_machine_ram_size(s->of),
			     of_machine_nr_functions(s->of), s->cmdline);
	if (err)
		goto out;
	err = boot(s, error);
out:
	if (err)
		machine_stop(s);
	free(own_error);
	return err;
}

void machine_stop(struct start *s)
{
	struct machine *m = s->machine;
	struct start_parts *p = s->parts;

	if (m && p) {
		host_drivers_unregister(p->host);
		if (p->builtin)
			pci_unregister_builtin_drivers(m->pci);
		if (p->vfio_pci)
			vfio_pci_exit(m);
		if (p->iommufd)
			iommufd_core_destroy(m);
		if (p->vfio)
			vfio_core_destroy(m);
		if (p->pci)
			pci_host_destroy(m->pci);
		for (u32 i = 0; i < HW_MAX_UNITS; i++) {
			if (m->hw.units[i].kind == UNIT_VTD)
				vtd_driver_unregister(m, i);
		}
		if (p->iommu)
			iommu_core_destroy(m);
	}
	if (m)
		machine_destroy(m);
	if (s->of)
		of_machine_close(s->of);
	kfree(s->parts);
	kfree(s->cmdline);
	memset(s, 0, sizeof(*s));
}
