// SPDX-License-Identifier: MIT
#include "server/start.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "dma/mapping.h"
#include "drivers/amd/amd.h"
#include "drivers/vtd/vtd.h"
#include "endpoints/models.h"
#include "iommu/iommu.h"
#include "iommufd/iommufd.h"
#include "iommufd/vfio_device.h"
#include "machine/machine.h"
#include "of/machine.h"
#include "pci/function.h"
#include "pci/pci.h"
#include "server/host_dma.h"
#include "server/host_drivers.h"
#include "units/amd/amd_regs.h"
#include "units/amd/amd_unit.h"
#include "units/units.h"
#include "units/vtd/vtd_unit.h"
#include "vfio/vfio.h"

const char *const machine_iommu_kinds[] = {"vtd", "amd", "none", NULL};

/* ---- VT-d as machine files describe it ---- */

enum {
	VTD_AW_BITS,
	VTD_CACHING_MODE,
	VTD_NO_INTREMAP,
	VTD_NO_SNOOP,
	VTD_NO_PASS_THROUGH,
	VTD_NO_QI,
	VTD_X2APIC,
	VTD_FAULT_REGS,
	VTD_COHERENT
};

static const struct of_unit_property vtd_properties[] = {
	[VTD_AW_BITS] = {"aw-bits", 48, 57},
	[VTD_CACHING_MODE] = {"caching-mode", 0, 1},
	[VTD_NO_INTREMAP] = {"no-interrupt-remapping", 0, 1},
	[VTD_NO_SNOOP] = {"no-snoop-control", 0, 1},
	[VTD_NO_PASS_THROUGH] = {"no-pass-through", 0, 1},
	[VTD_NO_QI] = {"no-queued-invalidation", 0, 1},
	[VTD_X2APIC] = {"x2apic", 0, 1},
	[VTD_FAULT_REGS] = {"fault-registers", 1, VTD_MAX_FAULT_REGS},
	[VTD_COHERENT] = {"coherent", 0, 1},
	{0},
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

/* ---- AMD-Vi ---- */

enum {
	AMD_LEVELS,
	AMD_NO_NP_CACHE,
	AMD_NO_INTREMAP,
	AMD_GUEST_APIC,
	AMD_DIRTY,
	AMD_NO_HT_RANGE
};

static const struct of_unit_property amd_properties[] = {
	[AMD_LEVELS] = {"levels", 4, 6},
	[AMD_NO_NP_CACHE] = {"no-not-present-caching", 0, 1},
	[AMD_NO_INTREMAP] = {"no-interrupt-remapping", 0, 1},
	[AMD_GUEST_APIC] = {"guest-apic", 0, 1},
	[AMD_DIRTY] = {"dirty-tracking", 0, 1},
	[AMD_NO_HT_RANGE] = {"no-ht-range", 0, 1},
	{0},
};

static u32 amd_capability(const struct of_unit_desc *desc)
{
	return AMD_CAP_ID | AMD_CAP_TYPE | AMD_CAP_IOTLB | AMD_CAP_HT_TUNNEL |
	       AMD_CAP_EFR | AMD_CAP_EXT |
	       (desc->props[AMD_NO_NP_CACHE] ? 0 : AMD_CAP_NP_CACHE);
}

static int amd_create(struct machine *m, const struct of_unit_desc *desc)
{
	struct amd_unit_config config = {
		.segment = desc->segment,
		.regs = desc->regs,
		.levels = (u8)desc->props[AMD_LEVELS],
		.np_cache = !desc->props[AMD_NO_NP_CACHE],
		.guest_apic = desc->props[AMD_GUEST_APIC],
		.dirty = desc->props[AMD_DIRTY],
		.no_ht_range = desc->props[AMD_NO_HT_RANGE],
	};

	return amd_unit_setup(&m->hw, desc->index, &config);
}

/* The IOMMU as software finds it on the bus; no unit translates for it. */
static int amd_add_functions(struct machine *m, const struct of_unit_desc *desc,
			     struct pci_hw_bus *bus)
{
	u8 image[256] = {0x22,
			 0x10,
			 0x08,
			 0x00,
			 [PCI_STATUS] = PCI_STATUS_CAP_LIST,
			 [PCI_CLASS_PROG] = 0x00,
			 [PCI_CLASS_DEVICE] = 0x06,
			 0x08,
			 [PCI_SUBSYSTEM_VENDOR_ID] = 0xf4,
			 0x1a,
			 0x00,
			 0x11,
			 [PCI_CAPABILITY_LIST] = 0x60,
			 [0x60] = PCI_CAP_ID_MSI,
			 0x40,
			 0x80};
	u32 cap[5] = {amd_capability(desc), (u32)desc->regs | 1, (u32)(desc->regs >> 32),
		      0xff000000, 48 << 15 | 40 << 8};
	struct pci_function_desc function = {
		.image = image, .image_len = sizeof(image), .unit = -1};
	struct pci_function *fn;
	int slot = pci_hw_free_slot(bus, 1);

	if (slot < 0)
		return slot;
	memcpy(image + 0x40, cap, sizeof(cap));
	return pci_hw_add_function(m->pci, bus, PCI_DEVFN(slot, 0), &function, &fn);
}

static int amd_start(struct machine *m, const struct of_unit_desc *desc)
{
	struct amd_driver_params params = {
		.capability = amd_capability(desc),
		.no_intremap = desc->props[AMD_NO_INTREMAP],
	};

	return amd_driver_register(m, desc->index, &params);
}

static const struct of_unit_type amd_type = {
	.compatible = "amd,iommu-v1",
	.kind = "amd",
	.properties = amd_properties,
	.create = amd_create,
	.add_functions = amd_add_functions,
	.start = amd_start,
};

static const struct of_unit_type *const unit_types[] = {&vtd_type, &amd_type, NULL};

void machine_unit_event(struct machine *m, u32 unit)
{
	if (m->hw.units[unit].kind == UNIT_VTD)
		vtd_driver_event(m, unit);
	else if (m->hw.units[unit].kind == UNIT_AMD)
		amd_driver_event(m, unit);
}

/* ---- boot ---- */

static const struct pci_iommu_hooks iommu_hooks = {
	.dma_configure = iommu_dma_configure,
	.dma_cleanup = iommu_dma_cleanup,
};

struct start_parts {
	bool iommu, pci, builtin, vfio, vfio_pci, iommufd;
	struct host_drivers *host;
	struct host_dma *host_dma;
};

int machine_open(const struct start_config *config, struct of_machine **out, char **error)
{
	struct of_machine_config om_config = {.unit_types = unit_types,
					      .models = endpoint_models,
					      .iommu = config->iommu};
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
	err = dma_core_create(m);
	if (err)
		return err;
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
	/* In the order in which the recordings' kernel has them, which decides who probes
	 * first. */
	err = pci_register_builtin_drivers(host);
	if (err)
		return err;
	p->builtin = true;
	err = host_drivers_register(m, &p->host);
	if (err)
		return err;
	pci_bus_add_devices(host);
	return host_dma_register(m, &p->host_dma);
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
	s->cmdline =
		kasprintf("%s%s%s", of_machine_cmdline(s->of), config->append ? " " : "",
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
		host_dma_unregister(p->host_dma);
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
			else if (m->hw.units[i].kind == UNIT_AMD)
				amd_driver_unregister(m, i);
		}
		if (p->iommu)
			iommu_core_destroy(m);
		dma_core_destroy(m);
	}
	if (m)
		machine_destroy(m);
	if (s->of)
		of_machine_close(s->of);
	kfree(s->parts);
	kfree(s->cmdline);
	memset(s, 0, sizeof(*s));
}
