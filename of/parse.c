// SPDX-License-Identifier: MIT
/*
 * From the blob to struct of_machine: memory, command line, IOMMUs, PCI hosts. What is
 * wrong is noted and parsing goes on, so that one run tells all of it. Bindings:
 * Devicetree Specification 0.4 chapters 2 and 3; PCI Bus Binding to IEEE 1275; Linux
 * Documentation/devicetree/bindings/pci/{host-generic-pci,pci-iommu}.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/bitmap.h"
#include "of/read.h"

#define DEFAULT_RAM (256 * SZ_1M)
#define MAX_RAM	    (1ULL << 40)

void of_node_path(const struct of_machine *om, int node, char *buf, size_t size)
{
	if (fdt_get_path(om->blob, node, buf, (int)size))
		snprintf(buf, size, "?");
}

void of_node_defect(struct of_machine *om, int node, const char *prop, const char *fmt,
		    ...)
{
	char path[1024], what[512];
	va_list ap;

	of_node_path(om, node, path, sizeof(path));
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	of_defect(&om->defects, path, prop, "%s", what);
}

int of_value(struct of_machine *om, int node, const char *prop, u64 max, u64 *out)
{
	unsigned nr;
	const fdt32_t *cells = of_cells(om, node, prop, &nr);
	int len;

	if (!cells)
		return -ENOENT;
	fdt_getprop(om->blob, node, prop, &len);
	if (!len && max >= 1) {
		*out = 1;
		return 0;
	}
	if ((len != 4 && len != 8) || of_number(cells, nr) > max) {
		of_node_defect(om, node, prop, "%s: wants a number up to 0x%llx", prop,
			       (unsigned long long)max);
		return -EINVAL;
	}
	*out = of_number(cells, nr);
	return 0;
}

bool of_disabled(const struct of_machine *om, int node)
{
	const char *status = of_string(om, node, "status");

	return status && strcmp(status, "okay") && strcmp(status, "ok");
}

/* ---- reg of ordinary nodes ---- */

static int parent_reg(struct of_machine *om, int node, unsigned index, u64 *addr,
		      u64 *size)
{
	int parent = fdt_parent_offset(om->blob, node);
	int na = fdt_address_cells(om->blob, parent),
	    ns = fdt_size_cells(om->blob, parent);
	unsigned nr, at;
	const fdt32_t *cells = of_cells(om, node, "reg", &nr);
	int len;

	if (!cells)
		return -ENOENT;
	fdt_getprop(om->blob, node, "reg", &len);
	if (na < 1 || na > 2 || ns < 0 || ns > 2 || len % (4 * (na + ns)) || !len) {
		of_node_defect(
			om, node, "reg",
			"reg: is no list of entries of %d address and %d size cells", na,
			ns);
		return -EINVAL;
	}
	at = index * (unsigned)(na + ns);
	if (at >= nr)
		return -ENOENT;
	*addr = of_number(cells + at, (unsigned)na);
	*size = of_number(cells + at + na, (unsigned)ns);
	return 0;
}

static void parse_memory(struct of_machine *om)
{
	int node, ret = -ENOENT;
	bool found = false;

	fdt_for_each_subnode(node, om->blob, 0) {
		const char *type = of_string(om, node, "device_type");
		u64 addr, size;
		unsigned i;

		if (!type || strcmp(type, "memory") || of_disabled(om, node))
			continue;
		for (i = 0; !(ret = parent_reg(om, node, i, &addr, &size)); i++) {
			found = true;
			if (addr) /* boards have more elsewhere; tables lie in the first
				   */
				continue;
			if (size < SZ_1M || size > MAX_RAM || size % PAGE_SIZE)
				of_node_defect(om, node, "reg",
					       "memory: 0x%llx bytes are no size from 1 "
					       "MiB to 1 TiB in pages",
					       (unsigned long long)size);
			else
				om->ram_size = size;
		}
		if (!i && ret == -ENOENT)
			of_node_defect(om, node, NULL, "memory: has no reg");
	}
	if (found && !om->ram_size && !om->defects.text)
		om->ram_size = DEFAULT_RAM; /* a board whose memory starts elsewhere */
	if (!om->ram_size)
		om->ram_size = DEFAULT_RAM;
}

static int parse_chosen(struct of_machine *om)
{
	int chosen = fdt_path_offset(om->blob, "/chosen");
	const char *args = chosen >= 0 ? of_string(om, chosen, "bootargs") : NULL;
	const char *model = of_string(om, 0, "model");

	if (chosen >= 0 && !args && of_has(om, chosen, "bootargs"))
		of_node_defect(om, chosen, "bootargs", "bootargs: wants a string");
	om->cmdline = kstrdup(args ? args : "");
	om->name = kstrdup(model ? model : "");
	return om->cmdline && om->name ? 0 : -ENOMEM;
}

/* ---- IOMMUs ---- */

static bool names_kind(const struct of_machine *om, int node, const char *compatible)
{
	return fdt_node_check_compatible(om->blob, node, compatible) == 0;
}

static const struct of_unit_type *unit_type(const struct of_machine *om, int node)
{
	const struct of_unit_type *const *t;
	bool is_unit = false;
	const struct of_unit_type *own = NULL;

	for (t = om->config.unit_types; t && *t; t++) {
		if (names_kind(om, node, (*t)->compatible)) {
			is_unit = true;
			own = own ? own : *t;
		}
	}
	if (!is_unit || !om->config.iommu)
		return own;
	for (t = om->config.unit_types; *t; t++) {
		if (!strcmp((*t)->kind, om->config.iommu))
			return *t;
	}
	return NULL;
}

static bool standard_property(const char *name)
{
	static const char *const names[] = {
		"compatible",	   "reg",
		"phandle",	   "status",
		"interrupts",	   "interrupt-parent",
		"interrupt-names", "interrupts-extended",
		"clocks",	   "clock-names",
		"power-domains",   "dma-coherent",
		"msi-parent",	   "reg-names",
		"resets",	   "name",
		"device_type",
	};
	unsigned i;

	if (name[0] == '#' || (strchr(name, ',') && strncmp(name, "moat,", 5)))
		return true;
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(names[i], name))
			return true;
	}
	return false;
}

static void parse_unit_properties(struct of_machine *om, int node, struct of_unit *unit,
				  bool own_type)
{
	const struct of_unit_property *p = unit->type->properties;
	char known[OF_MAX_PROPS][40];
	unsigned nr = 0, i;
	int prop;

	for (; p && p->name && nr < OF_MAX_PROPS; p++, nr++) {
		unit->props[nr] = p->default_value;
		if (of_value(om, node, p->name, p->max, &unit->props[nr]) == -EINVAL)
			unit->props[nr] = p->default_value;
		snprintf(known[nr], sizeof(known[nr]), "%s", p->name);
	}
	fdt_for_each_property_offset(prop, om->blob, node) {
		const char *name;

		if (!fdt_getprop_by_offset(om->blob, prop, &name, NULL) ||
		    standard_property(name))
			continue;
		for (i = 0; i < nr && strcmp(known[i], name); i++)
			;
		if (i == nr && own_type)
			of_node_defect(om, node, name, "%s: no such property of %s", name,
				       unit->type->compatible);
	}
}

static int parse_unit(struct of_machine *om, int node, const struct of_unit_type *type)
{
	struct of_unit *units, *unit;
	char path[1024];
	u64 seg = 0;
	int ret;

	if (om->nr_units == HW_MAX_UNITS) {
		of_node_defect(om, node, NULL, "more than %d IOMMUs", HW_MAX_UNITS);
		return 0;
	}
	units = krealloc_array(om->units, om->nr_units + 1, sizeof(*units));
	if (!units)
		return -ENOMEM;
	om->units = units;
	unit = &units[om->nr_units];
	memset(unit, 0, sizeof(*unit));
	unit->type = type;
	unit->phandle = fdt_get_phandle(om->blob, node);
	of_node_path(om, node, path, sizeof(path));
	unit->path = kstrdup(path);
	if (!unit->path)
		return -ENOMEM;
	unit->desc.index = om->nr_units++;
	ret = parent_reg(om, node, 0, &unit->desc.regs, &unit->desc.regs_size);
	if (ret == -ENOENT)
		of_node_defect(om, node, NULL, "%s: has no reg", type->compatible);
	else if (!ret &&
		 (unit->desc.regs % PAGE_SIZE || unit->desc.regs_size < PAGE_SIZE))
		of_node_defect(om, node, "reg", "reg: registers are whole pages");
	else if (!ret && unit->desc.regs < om->ram_size)
		of_node_defect(om, node, "reg", "reg: 0x%llx lies in memory",
			       (unsigned long long)unit->desc.regs);
	if (!of_value(om, node, "linux,pci-domain", 0xffff, &seg))
		unit->desc.segment = (u16)seg;
	parse_unit_properties(om, node, unit, names_kind(om, node, type->compatible));
	return 0;
}

static int parse_units(struct of_machine *om, int parent, unsigned depth)
{
	int node, ret;

	if (depth > 32)
		return 0;
	fdt_for_each_subnode(node, om->blob, parent) {
		const struct of_unit_type *type;

		if (of_disabled(om, node))
			continue;
		type = unit_type(om, node);
		if (type) {
			ret = parse_unit(om, node, type);
			if (ret)
				return ret;
		}
		ret = parse_units(om, node, depth + 1);
		if (ret)
			return ret;
	}
	return 0;
}

static int find_unit(const struct of_machine *om, u32 phandle)
{
	unsigned i;

	for (i = 0; i < om->nr_units; i++) {
		if (om->units[i].phandle == phandle && phandle)
			return (int)i;
	}
	return -1;
}

/* ---- PCI hosts ---- */

static void parse_bus_range(struct of_machine *om, int node, struct of_host *host)
{
	unsigned nr;
	const fdt32_t *c = of_cells(om, node, "bus-range", &nr);

	host->first = 0;
	host->last = 0xff;
	if (!c)
		return;
	if (nr != 2 || of_cell(c, 0) > of_cell(c, 1) || of_cell(c, 1) > 0xff) {
		of_node_defect(om, node, "bus-range",
			       "bus-range: wants a first and a last bus from 0 to 255");
		return;
	}
	host->first = (u8)of_cell(c, 0);
	host->last = (u8)of_cell(c, 1);
}

/* ranges: PCI address (3 cells), CPU address, size; both addresses the same for memory.
 */
static void parse_host_ranges(struct of_machine *om, int node, struct of_host *host)
{
	int parent = fdt_parent_offset(om->blob, node);
	unsigned na = (unsigned)max(fdt_address_cells(om->blob, parent), 1), nr, i;
	unsigned entry = 3 + na + 2;
	const fdt32_t *c = of_cells(om, node, "ranges", &nr);

	host->io_base = 0x1000;
	host->io_last = 0xffff;
	host->mem_base = 0xc0000000;
	host->mem_last = 0xfebfffff;
	host->mem64_base = 1;
	host->mem64_last = 0;
	if (!c)
		return;
	if (!nr || nr % entry) {
		of_node_defect(om, node, "ranges",
			       "ranges: is no list of entries of %u cells", entry);
		return;
	}
	host->io_base = host->mem_base = 1;
	host->io_last = host->mem_last = 0;
	for (i = 0; i < nr; i += entry) {
		u32 space = of_cell(c, i) >> 24 & 3;
		u64 pci = of_number(c + i + 1, 2), cpu = of_number(c + i + 3, na);
		u64 size = of_number(c + i + 3 + na, 2), last;

		if (!size || __builtin_add_overflow(pci, size - 1, &last)) {
			of_node_defect(om, node, "ranges", "ranges: an entry of no size");
			continue;
		}
		if (space && pci != cpu) {
			of_node_defect(om, node, "ranges",
				       "ranges: PCI address 0x%llx is CPU address "
				       "0x%llx; they must be the same",
				       (unsigned long long)pci, (unsigned long long)cpu);
			continue;
		}
		if (space > 1 && pci < om->ram_size) {
			of_node_defect(om, node, "ranges",
				       "ranges: 0x%llx lies in memory",
				       (unsigned long long)pci);
			continue;
		}
		if (space == 1) {
			/* Port 0 to 0xfff belong to the board. */
			host->io_base = max(pci, 0x1000ULL);
			host->io_last = last;
		} else if (space == 2 && last < BIT_ULL(32)) {
			if (host->mem_last > host->mem_base &&
			    size < host->mem_last - host->mem_base)
				continue; /* the largest serves */
			host->mem_base = pci;
			host->mem_last = last;
		} else if (space >= 2) {
			host->mem64_base = pci;
			host->mem64_last = last;
		}
	}
}

/* iommu-map: (rid, phandle, iommu's id, length)...; the masked and odd forms are refused.
 */
static int parse_iommu_map(struct of_machine *om, int node, struct of_host *host)
{
	unsigned nr, i;
	const fdt32_t *c = of_cells(om, node, "iommu-map", &nr);

	if (!c)
		return 0;
	if (!nr || nr % 4) {
		of_node_defect(om, node, "iommu-map",
			       "iommu-map: wants entries of requester id, IOMMU, its id, "
			       "length");
		return 0;
	}
	host->map = kcalloc(nr / 4, sizeof(*host->map));
	if (!host->map)
		return -ENOMEM;
	for (i = 0; i < nr; i += 4) {
		struct of_iommu_map *m = &host->map[host->nr_map];

		m->rid = of_cell(c, i);
		m->length = of_cell(c, i + 3);
		m->unit = find_unit(om, of_cell(c, i + 1));
		if (m->rid > 0xffff || m->length > 0x10000 - m->rid || !m->length) {
			of_node_defect(om, node, "iommu-map",
				       "iommu-map: 0x%x requester ids from 0x%x on are "
				       "out of range",
				       m->length, m->rid);
			continue;
		}
		if (m->unit < 0 && om->config.iommu && !strcmp(om->config.iommu, "none"))
			continue;
		if (m->unit < 0) {
			of_node_defect(om, node, "iommu-map",
				       "iommu-map: phandle %u is no IOMMU that Moat has "
				       "a model of",
				       of_cell(c, i + 1));
			continue;
		}
		host->nr_map++;
	}
	return 0;
}

/* Without a number of its own a host takes the first segment that nobody uses. */
static u16 free_segment(const struct of_machine *om)
{
	const struct of_host *host;
	u16 segment = 0;
	bool used;

	do {
		used = false;
		list_for_each_entry(host, &om->hosts, node)
			used |= host->segment == segment;
		segment += used;
	} while (used);
	return segment;
}

static bool hosts_overlap(const struct of_host *a, const struct of_host *b)
{
	return a->segment == b->segment && a->first <= b->last && b->first <= a->last;
}

static int parse_host(struct of_machine *om, int node)
{
	struct of_host *host = kzalloc(sizeof(*host)), *other;
	char path[1024];
	u64 seg = 0;
	int ret;

	if (!host)
		return -ENOMEM;
	INIT_LIST_HEAD(&host->bus.fns);
	of_node_path(om, node, path, sizeof(path));
	host->path = kstrdup(path);
	if (!host->path) {
		kfree(host);
		return -ENOMEM;
	}
	if (!of_value(om, node, "linux,pci-domain", 0xffff, &seg))
		host->segment = (u16)seg;
	else
		host->segment = free_segment(om);
	parse_bus_range(om, node, host);
	parse_host_ranges(om, node, host);
	list_for_each_entry(other, &om->hosts, node) {
		if (hosts_overlap(host, other))
			of_node_defect(om, node, "bus-range",
				       "bus-range: buses %u to %u of domain %u belong to "
				       "%s already",
				       host->first, host->last, host->segment,
				       other->path);
	}
	list_add_tail(&host->node, &om->hosts);
	ret = parse_iommu_map(om, node, host);
	if (ret)
		return ret;
	return of_parse_functions(om, node, &host->bus);
}

static int parse_hosts(struct of_machine *om, int parent, unsigned depth)
{
	int node, ret;

	if (depth > 32)
		return 0;
	fdt_for_each_subnode(node, om->blob, parent) {
		const char *type = of_string(om, node, "device_type");

		if (of_disabled(om, node))
			continue;
		if ((type && !strcmp(type, "pci")) ||
		    names_kind(om, node, "pci-host-ecam-generic"))
			ret = parse_host(om, node);
		else
			ret = parse_hosts(om, node, depth + 1);
		if (ret)
			return ret;
	}
	return 0;
}

int of_parse(struct of_machine *om)
{
	int ret;

	/* libfdt's check does not survive formats older than 16, which nobody writes. */
	if (om->len < sizeof(struct fdt_header) || fdt_magic(om->blob) != FDT_MAGIC ||
	    fdt_version(om->blob) < 16 || fdt_check_full(om->blob, om->len)) {
		of_defect_line(&om->defects,
			       "%s: not a device tree blob, or a damaged one",
			       om->defects.path);
		return -EINVAL;
	}
	ret = parse_chosen(om);
	if (ret)
		return ret;
	parse_memory(om);
	ret = parse_units(om, 0, 0);
	if (ret)
		return ret;
	ret = parse_hosts(om, 0, 0);
	if (ret)
		return ret;
	if (list_empty(&om->hosts) && !om->defects.text)
		of_node_defect(om, 0, NULL, "the machine has no PCI host bridge");
	if (om->nr_functions > HW_MAX_FUNCTIONS)
		of_node_defect(om, 0, NULL, "%u functions are more than %d",
			       om->nr_functions, HW_MAX_FUNCTIONS);
	if (om->defects.failed)
		return -ENOMEM;
	return om->defects.text ? -EINVAL : 0;
}
