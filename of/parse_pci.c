// SPDX-License-Identifier: MIT
/*
 * PCI functions in a machine file: nodes below a host or a bridge, found by the device
 * and function number in their reg (PCI Bus Binding to IEEE 1275, section 2.2.1 and
 * 4.1.1). Properties of that binding describe plain functions; moat,* ones say what it
 * has no word for. All are documented in moat-machine(5).
 */
#include <stdio.h>

#include "base/alloc.h"
#include "base/bitmap.h"
#include "of/read.h"

struct of_fn *of_new_fn(struct of_machine *om, struct of_bus *bus, const char *path,
			u8 devfn)
{
	struct of_fn *fn = kzalloc(sizeof(*fn));

	if (!fn)
		return NULL;
	fn->path = kstrdup(path);
	if (!fn->path) {
		kfree(fn);
		return NULL;
	}
	fn->devfn = devfn;
	fn->arg = -1;
	fn->desc.unit = -1;
	list_add_tail(&fn->node, &bus->fns);
	om->nr_functions++;
	return fn;
}

void of_free_fn(struct of_fn *fn)
{
	struct of_fn *child, *tmp;

	if (fn->below) {
		list_for_each_entry_safe(child, tmp, &fn->below->fns, node)
			of_free_fn(child);
		kfree(fn->below);
	}
	list_del(&fn->node);
	kfree(fn->image);
	kfree(fn->driver);
	kfree(fn->path);
	kfree(fn);
}

struct of_fn *of_find_fn(struct of_bus *bus, u8 devfn)
{
	struct of_fn *fn;

	list_for_each_entry(fn, &bus->fns, node) {
		if (fn->devfn == devfn)
			return fn;
	}
	return NULL;
}

u16 of_find_model(const struct of_machine *om, const char *name)
{
	u16 i;

	for (i = 1; om->config.models && i < ENDPOINT_MAX_MODELS; i++) {
		if (om->config.models[i] && !strcmp(om->config.models[i]->name, name))
			return i;
	}
	return 0;
}

int of_set_model(struct of_machine *om, struct of_fn *fn, u16 model)
{
	const struct endpoint_property *p = om->config.models[model]->properties;
	unsigned i;

	fn->desc.model = model;
	fn->desc.props = fn->props;
	for (i = 0; p && p[i].name; i++) {
		if (i == OF_MAX_PROPS)
			return -EINVAL;
		fn->props[i] = p[i].default_value;
	}
	return 0;
}

/* ---- properties ---- */

static void parse_model(struct of_machine *om, int node, struct of_fn *fn)
{
	const char *name = of_string(om, node, "moat,model");
	const struct endpoint_property *p;
	char prop[64];
	u16 model;
	unsigned i;

	if (!of_has(om, node, "moat,model"))
		return;
	model = name ? of_find_model(om, name) : 0;
	if (!model || of_set_model(om, fn, model)) {
		of_node_defect(om, node, "moat,model",
			       "moat,model: no model is called \"%s\"", name ? name : "");
		return;
	}
	p = om->config.models[model]->properties;
	for (i = 0; p && p[i].name; i++) {
		snprintf(prop, sizeof(prop), "moat,%s", p[i].name);
		if (of_value(om, node, prop, p[i].max, &fn->props[i]))
			continue;
	}
}

static bool is_model_property(const struct of_machine *om, const struct of_fn *fn,
			      const char *name)
{
	const struct endpoint_property *p;
	unsigned i;

	if (!fn->desc.model)
		return false;
	p = om->config.models[fn->desc.model]->properties;
	for (i = 0; p && p[i].name; i++) {
		if (!strcmp(p[i].name, name + 5))
			return true;
	}
	return false;
}

static const char *const known_properties[] = {
	"moat,model",
	"moat,config-image",
	"moat,driver",
	"moat,port",
	"moat,acs",
	"moat,ari",
	"moat,multifunction",
	"moat,hotplug",
	"moat,slot",
	"moat,integrated",
	"moat,pcie",
	"moat,flr",
	"moat,pm",
	"moat,no-soft-reset",
	"moat,msi",
	"moat,msi-maskable",
	"moat,msix",
	"moat,no-mmap",
	"moat,async",
	"moat,absent",
	"moat,external-facing",
	"moat,bypass-iommu",
	"moat,config-scratch",
};

static void refuse_unknown(struct of_machine *om, int node, const struct of_fn *fn)
{
	int prop;

	fdt_for_each_property_offset(prop, om->blob, node) {
		const char *name;
		unsigned i;

		if (!fdt_getprop_by_offset(om->blob, prop, &name, NULL) ||
		    strncmp(name, "moat,", 5) || is_model_property(om, fn, name))
			continue;
		for (i = 0; i < ARRAY_SIZE(known_properties); i++) {
			if (!strcmp(known_properties[i], name))
				break;
		}
		if (i == ARRAY_SIZE(known_properties))
			of_node_defect(om, node, name, "%s: no such property", name);
	}
}

static void flag(struct of_machine *om, int node, const char *name, bool *out)
{
	u64 val;

	if (!of_value(om, node, name, 1, &val))
		*out = val;
}

static u64 number(struct of_machine *om, int node, const char *name, u64 max)
{
	u64 val;

	return of_value(om, node, name, max, &val) ? 0 : val;
}

static void parse_port(struct of_machine *om, int node, const struct of_bus *bus,
		       struct of_fn *fn)
{
	static const char *const kinds[] = {
		[PCI_FN_ROOT_PORT] = "root-port",   [PCI_FN_UPSTREAM] = "upstream",
		[PCI_FN_DOWNSTREAM] = "downstream", [PCI_FN_PCIE_TO_PCI] = "pcie-to-pci",
		[PCI_FN_PCI_BRIDGE] = "pci-bridge",
	};
	const char *port = of_string(om, node, "moat,port");
	unsigned i;

	if (!of_has(om, node, "moat,port")) {
		const char *type = of_string(om, node, "device_type");

		/* As boards describe the port below their host. */
		if (type && !strcmp(type, "pci") &&
		    !of_has(om, node, "moat,config-image"))
			fn->desc.kind =
				bus->bridge ? PCI_FN_PCI_BRIDGE : PCI_FN_ROOT_PORT;
		return;
	}
	for (i = PCI_FN_ROOT_PORT; i < ARRAY_SIZE(kinds); i++) {
		if (port && !strcmp(port, kinds[i])) {
			fn->desc.kind = i;
			return;
		}
	}
	of_node_defect(om, node, "moat,port",
		       "moat,port: wants root-port, upstream, downstream, pcie-to-pci or "
		       "pci-bridge");
}

/* Which kind of bridge an image is, by its PCI Express capability. */
static enum pci_function_kind image_kind(const u8 *image, size_t len)
{
	unsigned pos = image[PCI_CAPABILITY_LIST] & ~3U, ttl = 48;

	if ((image[PCI_HEADER_TYPE] & PCI_HEADER_TYPE_MASK) != PCI_HEADER_TYPE_BRIDGE)
		return PCI_FN_ENDPOINT;
	for (; pos >= 0x40 && pos + 4 <= min_t(size_t, len, 256) && ttl--;
	     pos = image[pos + 1] & ~3U) {
		if (image[pos] != PCI_CAP_ID_EXP)
			continue;
		switch (image[pos + PCI_EXP_FLAGS] >> 4) {
		case PCI_EXP_TYPE_ROOT_PORT:
			return PCI_FN_ROOT_PORT;
		case PCI_EXP_TYPE_UPSTREAM:
			return PCI_FN_UPSTREAM;
		case PCI_EXP_TYPE_DOWNSTREAM:
			return PCI_FN_DOWNSTREAM;
		case PCI_EXP_TYPE_PCI_BRIDGE:
			return PCI_FN_PCIE_TO_PCI;
		}
	}
	return PCI_FN_PCI_BRIDGE;
}

static int parse_image(struct of_machine *om, int node, struct of_fn *fn)
{
	int len;
	const void *image = fdt_getprop(om->blob, node, "moat,config-image", &len);

	if (!image)
		return 0;
	if (len < 64 || len > PCI_CFG_SPACE_EXP_SIZE) {
		of_node_defect(om, node, "moat,config-image",
			       "moat,config-image: %d bytes; 64 to 4096 are a "
			       "configuration space",
			       len);
		return 0;
	}
	fn->image = kmemdup(image, (size_t)len);
	if (!fn->image)
		return -ENOMEM;
	if ((fn->image[PCI_HEADER_TYPE] & PCI_HEADER_TYPE_MASK) >
	    PCI_HEADER_TYPE_BRIDGE) {
		of_node_defect(om, node, "moat,config-image",
			       "moat,config-image: header type 0x%02x is neither a "
			       "function nor a bridge",
			       fn->image[PCI_HEADER_TYPE]);
		return 0;
	}
	fn->desc.image = fn->image;
	fn->desc.image_len = (size_t)len;
	if (!of_has(om, node, "moat,port"))
		fn->desc.kind = image_kind(fn->image, (size_t)len);
	return 0;
}

/*
 * BARs: entries of reg behind the first (sizes), or of assigned-addresses (places and
 * sizes); 5 cells each, the register's offset in the low byte of the first.
 */
static void parse_bars(struct of_machine *om, int node, const char *prop, unsigned first,
		       struct of_fn *fn)
{
	unsigned nr, i;
	const fdt32_t *c = of_cells(om, node, prop, &nr);
	unsigned rom =
		fn->desc.kind == PCI_FN_ENDPOINT ? PCI_ROM_ADDRESS : PCI_ROM_ADDRESS1;

	if (!c)
		return;
	if (nr % 5) {
		of_node_defect(om, node, prop, "%s: is no list of entries of 5 cells",
			       prop);
		return;
	}
	for (i = 5 * first; i < nr; i += 5) {
		u32 hi = of_cell(c, i), reg = hi & 0xff, space = hi >> 24 & 3;
		u64 addr = of_number(c + i + 1, 2), size = of_number(c + i + 3, 2);
		unsigned bar = reg == rom ? HW_NR_BARS : (reg - PCI_BASE_ADDRESS_0) / 4;
		struct pci_bar_desc *desc;

		if (reg != rom &&
		    (reg < PCI_BASE_ADDRESS_0 || reg % 4 || bar >= HW_NR_BARS ||
		     (fn->desc.kind != PCI_FN_ENDPOINT && bar >= 2))) {
			of_node_defect(om, node, prop,
				       "%s: 0x%02x is no base address register", prop,
				       reg);
			continue;
		}
		if (!space || !is_power_of_2(size) || size < (space == 1 ? 4 : 16)) {
			of_node_defect(om, node, prop,
				       "%s: register 0x%02x: 0x%llx bytes are no power "
				       "of two that a BAR can have",
				       prop, reg, (unsigned long long)size);
			continue;
		}
		desc = &fn->desc.bar[bar];
		desc->size = size;
		desc->flags = space == 1
				      ? HW_BAR_IO
				      : (space == 3 ? HW_BAR_64 : 0) |
						(hi & 0x40000000 ? HW_BAR_PREFETCH : 0) |
						(bar < HW_NR_BARS ? HW_BAR_MMAP : 0);
		if (strcmp(prop, "reg")) {
			desc->addr = addr;
			desc->fixed = true;
			if (addr & (size - 1))
				of_node_defect(om, node, prop,
					       "%s: register 0x%02x: 0x%llx is not "
					       "aligned to its size",
					       prop, reg, (unsigned long long)addr);
		}
	}
}

/* A bridge's ranges: child address (3 cells), parent address (3), size (2). */
static void parse_windows(struct of_machine *om, int node, struct of_fn *fn)
{
	unsigned nr, i;
	const fdt32_t *c = of_cells(om, node, "ranges", &nr);

	if (!c || !nr)
		return;
	if (nr % 8) {
		of_node_defect(om, node, "ranges",
			       "ranges: is no list of entries of 8 cells");
		return;
	}
	fn->desc.has_windows = true;
	for (i = 0; i < 3; i++)
		fn->desc.window[i] = (struct pci_window_desc){1, 0, true};
	for (i = 0; i < nr; i += 8) {
		u32 hi = of_cell(c, i), space = hi >> 24 & 3;
		unsigned w = space == 1 ? 0 : hi & 0x40000000 ? 2 : 1;
		u64 base = of_number(c + i + 1, 2), size = of_number(c + i + 6, 2);
		u64 granularity = w ? SZ_1M : SZ_4K;

		if (!space || !size || base % granularity || size % granularity ||
		    base + size < base) {
			of_node_defect(om, node, "ranges",
				       "ranges: 0x%llx bytes at 0x%llx are no window of "
				       "a bridge",
				       (unsigned long long)size,
				       (unsigned long long)base);
			continue;
		}
		fn->desc.window[w] =
			(struct pci_window_desc){base, base + size - 1, true};
	}
}

static void parse_bridge(struct of_machine *om, int node, struct of_fn *fn)
{
	unsigned nr;
	const fdt32_t *c = of_cells(om, node, "bus-range", &nr);

	if (c && (nr != 2 || !of_cell(c, 0) || of_cell(c, 0) > of_cell(c, 1) ||
		  of_cell(c, 1) > 0xff)) {
		of_node_defect(om, node, "bus-range",
			       "bus-range: wants a first and a last bus from 1 to 255");
	} else if (c) {
		fn->desc.bus_first = (u8)of_cell(c, 0);
		fn->desc.bus_last = (u8)of_cell(c, 1);
	}
	parse_windows(om, node, fn);
}

/* compatible = "pciVVVV,DDDD": the binding's own word for the ids. */
static void ids_from_compatible(struct of_machine *om, int node,
				struct endpoint_pci_info *info)
{
	int len, n;
	const char *list = fdt_getprop(om->blob, node, "compatible", &len), *p;
	unsigned vendor, device;

	for (p = list; p && p < list + len;
	     p += strnlen(p, (size_t)(list + len - p)) + 1) {
		n = 0;
		if (list[len - 1] ||
		    sscanf(p, "pci%4x,%4x%n", &vendor, &device, &n) != 2 || p[n] ||
		    vendor == 0xffff)
			continue;
		info->vendor = (u16)vendor;
		info->device = (u16)device;
		return;
	}
}

/* A board's node may speak of its interrupt controller here; a pin is one cell. */
static u8 intx_pin(struct of_machine *om, int node)
{
	unsigned nr;
	const fdt32_t *c = of_cells(om, node, "interrupts", &nr);

	return c && nr == 1 && of_cell(c, 0) <= 4 ? (u8)of_cell(c, 0) : 0;
}

/* Identification of functions that no model and no image describes. */
static void parse_ids(struct of_machine *om, int node, struct of_fn *fn)
{
	struct endpoint_pci_info *info = &fn->desc.info;

	info->vendor = (u16)number(om, node, "vendor-id", 0xfffe);
	info->device = (u16)number(om, node, "device-id", 0xffff);
	info->subsystem_vendor = (u16)number(om, node, "subsystem-vendor-id", 0xffff);
	info->subsystem = (u16)number(om, node, "subsystem-id", 0xffff);
	info->class = (u32)number(om, node, "class-code", 0xffffff);
	info->revision = (u8)number(om, node, "revision-id", 0xff);
	info->intx_pin = intx_pin(om, node);
	if (!info->vendor)
		ids_from_compatible(om, node, info);
	info->msi_vectors = (u8)number(om, node, "moat,msi", 32);
	info->msi_64 = info->msi_vectors;
	flag(om, node, "moat,msi-maskable", &info->msi_maskable);
	flag(om, node, "moat,pcie", &info->pcie);
	flag(om, node, "moat,flr", &info->flr);
	flag(om, node, "moat,pm", &info->pm);
	flag(om, node, "moat,no-soft-reset", &info->no_soft_reset);
	if (of_has(om, node, "moat,integrated"))
		info->pcie = true;
	info->msix_vectors = (u16)number(om, node, "moat,msix", 2048);
	if (info->msi_vectors & (info->msi_vectors - 1))
		of_node_defect(om, node, "moat,msi",
			       "moat,msi: wants 1, 2, 4, 8, 16 or 32");
	if (fn->desc.kind == PCI_FN_ENDPOINT && !info->vendor)
		of_node_defect(om, node, NULL,
			       "what is this function? It has neither moat,model, "
			       "moat,config-image nor vendor-id");
	if (info->msix_vectors) {
		unsigned bar;

		for (bar = 0; bar < HW_NR_BARS; bar++) {
			if (fn->desc.bar[bar].size &&
			    !(fn->desc.bar[bar].flags & HW_BAR_IO))
				info->msix_bar = (u8)bar;
		}
		info->msix_pba = (u32)ALIGN(16U * info->msix_vectors, 8U);
		if (info->msix_pba + 8U * DIV_ROUND_UP(info->msix_vectors, 64U) >
		    fn->desc.bar[info->msix_bar].size)
			of_node_defect(om, node, "moat,msix",
				       "moat,msix: the last memory BAR has no room for "
				       "the table");
	}
}

static void parse_flags(struct of_machine *om, int node, struct of_fn *fn)
{
	struct pci_function_desc *d = &fn->desc;
	u64 acs;

	if (!of_value(om, node, "moat,acs", 0x7f, &acs)) {
		int len;

		fdt_getprop(om->blob, node, "moat,acs", &len);
		d->acs = !len || acs;
		d->acs_caps = len ? (u16)acs : 0;
	}
	flag(om, node, "moat,ari", &d->ari);
	flag(om, node, "moat,multifunction", &d->multifunction);
	flag(om, node, "moat,hotplug", &d->hotplug);
	flag(om, node, "moat,integrated", &d->integrated);
	flag(om, node, "moat,no-mmap", &d->no_mmap);
	flag(om, node, "moat,async", &d->async);
	flag(om, node, "moat,absent", &d->absent);
	flag(om, node, "moat,config-scratch", &d->scratch);
	flag(om, node, "moat,external-facing", &d->untrusted);
	flag(om, node, "moat,bypass-iommu", &fn->bypass);
	d->slot_number = (u16)number(om, node, "moat,slot", 0x1fff);
}

static int parse_driver(struct of_machine *om, int node, struct of_fn *fn)
{
	const char *driver = of_string(om, node, "moat,driver");

	if (!of_has(om, node, "moat,driver"))
		return 0;
	if (!driver || !*driver) {
		of_node_defect(om, node, "moat,driver",
			       "moat,driver: wants a driver's name");
		return 0;
	}
	fn->driver = kstrdup(driver);
	fn->desc.driver = fn->driver;
	return fn->driver ? 0 : -ENOMEM;
}

/* What sits below which bridge. */
static void check_place(struct of_machine *om, int node, struct of_bus *bus,
			struct of_fn *fn)
{
	enum pci_function_kind above =
		bus->bridge ? bus->bridge->desc.kind : PCI_FN_ENDPOINT;
	bool one_slot = above == PCI_FN_ROOT_PORT || above == PCI_FN_DOWNSTREAM;

	if (one_slot && PCI_SLOT(fn->devfn) && !bus->bridge->desc.ari)
		of_node_defect(om, node, "reg",
			       "below a port there is only device 0, not %u",
			       PCI_SLOT(fn->devfn));
	if (fn->desc.kind == PCI_FN_ROOT_PORT && bus->bridge)
		of_node_defect(om, node, "moat,port", "a root port sits on a root bus");
	if (fn->desc.kind == PCI_FN_UPSTREAM && !one_slot)
		of_node_defect(om, node, "moat,port",
			       "an upstream port sits below a root or downstream port");
	if ((fn->desc.kind == PCI_FN_DOWNSTREAM) != (above == PCI_FN_UPSTREAM))
		of_node_defect(
			om, node, "moat,port",
			"downstream ports, and they alone, sit below an upstream port");
}

static int parse_function(struct of_machine *om, int node, struct of_bus *bus)
{
	char path[1024];
	unsigned nr;
	const fdt32_t *reg = of_cells(om, node, "reg", &nr);
	struct of_fn *fn;
	int ret;

	if (!reg || nr < 5 || nr % 5) {
		of_node_defect(om, node, reg ? "reg" : NULL,
			       "reg: a PCI function wants entries of 5 cells, the first "
			       "with its device and function");
		return 0;
	}
	if (of_cell(reg, 0) & 0xff) {
		of_node_defect(om, node, "reg",
			       "reg: the first entry names configuration space, its low "
			       "byte is 0");
		return 0;
	}
	of_node_path(om, node, path, sizeof(path));
	if (of_find_fn(bus, of_cell(reg, 0) >> 8 & 0xff)) {
		of_node_defect(om, node, "reg",
			       "reg: %s is device %u function %u already",
			       of_find_fn(bus, of_cell(reg, 0) >> 8 & 0xff)->path,
			       of_cell(reg, 0) >> 11 & 31, of_cell(reg, 0) >> 8 & 7);
		return 0;
	}
	fn = of_new_fn(om, bus, path, of_cell(reg, 0) >> 8 & 0xff);
	if (!fn)
		return -ENOMEM;
	parse_model(om, node, fn);
	parse_port(om, node, bus, fn);
	ret = parse_image(om, node, fn);
	if (!ret)
		ret = parse_driver(om, node, fn);
	if (ret)
		return ret;
	if (!!fn->desc.model + !!fn->desc.image +
		    (of_has(om, node, "vendor-id") && fn->desc.kind == PCI_FN_ENDPOINT) >
	    1)
		of_node_defect(om, node, NULL,
			       "moat,model, moat,config-image and vendor-id exclude one "
			       "another");
	parse_flags(om, node, fn);
	if (!fn->desc.model)
		parse_bars(om, node, "reg", 1, fn);
	parse_bars(om, node, "assigned-addresses", 0, fn);
	if (!fn->desc.model && !fn->desc.image && !of_has(om, node, "moat,model"))
		parse_ids(om, node, fn);
	refuse_unknown(om, node, fn);
	check_place(om, node, bus, fn);
	if (fn->desc.kind == PCI_FN_ENDPOINT) {
		int child = fdt_first_subnode(om->blob, node);

		if (child >= 0)
			of_node_defect(om, child, NULL, "its parent is no bridge");
		return 0;
	}
	parse_bridge(om, node, fn);
	fn->below = kzalloc(sizeof(*fn->below));
	if (!fn->below)
		return -ENOMEM;
	INIT_LIST_HEAD(&fn->below->fns);
	fn->below->bridge = fn;
	fn->below->depth = bus->depth + 1;
	return of_parse_functions(om, node, fn->below);
}

int of_parse_functions(struct of_machine *om, int parent, struct of_bus *bus)
{
	int node, ret;

	if (om->nr_functions > HW_MAX_FUNCTIONS)
		return 0; /* told once the tree is read */
	if (bus->depth > 64) {
		of_node_defect(om, parent, NULL,
			       "more than 64 bridges one below the other");
		return 0;
	}
	fdt_for_each_subnode(node, om->blob, parent) {
		/* A host's interrupt controller is no function. */
		if (of_disabled(om, node) || of_has(om, node, "interrupt-controller"))
			continue;
		ret = parse_function(om, node, bus);
		if (ret)
			return ret;
	}
	return 0;
}
