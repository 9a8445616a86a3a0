// SPDX-License-Identifier: MIT
/*
 * A machine file from opening to running IOMMU drivers. Everything that can be said
 * against a file is said when it is opened; what building adds (addresses that do not
 * fit) names the function that it is about.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "machine/machine.h"
#include "of/tree.h"

#define BLOB_MAX (64U << 20)

static bool is_source(const char *path)
{
	size_t n = strlen(path);

	return n > 4 && !strcmp(path + n - 4, ".dts");
}

static int read_file(const char *path, void **out, size_t *len)
{
	struct stat st;
	size_t done = 0;
	int fd, ret = 0;
	char *buf;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > BLOB_MAX) {
		close(fd);
		return -EINVAL;
	}
	buf = kmalloc((size_t)st.st_size + 1);
	if (!buf)
		ret = -ENOMEM;
	while (!ret && done < (size_t)st.st_size) {
		ssize_t n = read(fd, buf + done, (size_t)st.st_size - done);

		if (n < 0 && errno != EINTR)
			ret = -errno;
		else if (n == 0)
			break;
		else if (n > 0)
			done += (size_t)n;
	}
	close(fd);
	if (ret) {
		kfree(buf);
		return ret;
	}
	*out = buf;
	*len = done;
	return 0;
}

static int load(struct of_machine *om, const void *data, size_t len)
{
	int ret;

	if (data) {
		om->blob = kmemdup(data, len);
		om->len = len;
		return om->blob ? 0 : -ENOMEM;
	}
	om->defects.source = is_source(om->path);
	if (!om->defects.source) {
		ret = read_file(om->path, &om->blob, &om->len);
	} else if (access(om->path, R_OK)) {
		ret = -errno;
	} else {
		return of_compile(&om->defects, om->path, &om->blob, &om->len);
	}
	if (ret && ret != -ENOMEM)
		of_defect_line(&om->defects, "%s: %s", om->path, strerror(-ret));
	return ret;
}

int of_machine_open(const char *path, const void *data, size_t len,
		    const struct of_machine_config *config, struct of_machine **out,
		    char **error)
{
	struct of_machine *om = kzalloc(sizeof(*om));
	int ret;

	if (error)
		*error = NULL;
	if (!om)
		return -ENOMEM;
	om->config = *config;
	INIT_LIST_HEAD(&om->hosts);
	om->path = kstrdup(path);
	om->defects.path = om->path;
	ret = om->path ? load(om, data, len) : -ENOMEM;
	if (!ret)
		ret = of_parse(om);
	if (!ret) {
		*out = om;
		return 0;
	}
	if (error && om->defects.text)
		*error = strdup(om->defects.text);
	of_machine_close(om);
	return ret;
}

void of_machine_close(struct of_machine *om)
{
	struct of_host *host, *htmp;
	struct of_fn *fn, *tmp;
	unsigned i;

	if (!om)
		return;
	list_for_each_entry_safe(host, htmp, &om->hosts, node) {
		list_for_each_entry_safe(fn, tmp, &host->bus.fns, node)
			of_free_fn(fn);
		list_del(&host->node);
		kfree(host->map);
		kfree(host->path);
		kfree(host);
	}
	for (i = 0; i < om->nr_units; i++)
		kfree(om->units[i].path);
	kfree(om->units);
	kfree(om->addresses);
	kfree(om->name);
	kfree(om->cmdline);
	kfree(om->blob);
	of_defects_free(&om->defects);
	kfree(om->path);
	kfree(om);
}

u64 of_machine_ram_size(const struct of_machine *om)
{
	return om->ram_size;
}

u32 of_machine_nr_functions(const struct of_machine *om)
{
	/* A unit may be a function itself. */
	return max(om->nr_functions + om->nr_units, 1U);
}

const char *of_machine_cmdline(const struct of_machine *om)
{
	return om->cmdline;
}

const char *of_machine_name(const struct of_machine *om)
{
	return om->name;
}

const char *of_machine_device_address(const struct of_machine *om, unsigned i)
{
	return i < om->nr_args ? om->addresses[i] : NULL;
}

/* ---- building ---- */

static void build_defect(struct of_machine *om, const struct of_fn *fn, int err)
{
	of_defect(&om->defects, fn->path, NULL, "%s",
		  err == -EINVAL
			  ? "no hardware is like that: base address registers overlap, "
			    "have no power of two as size, or capabilities do not fit"
		  : err == -ENOSPC ? "the machine has no room for it"
				   : strerror(-err));
}

static int build_bus(struct of_machine *om, struct machine *m, struct of_bus *bus,
		     struct pci_hw_bus *hw)
{
	struct of_fn *fn, *other;
	int ret;

	list_for_each_entry(fn, &bus->fns, node) {
		if (!PCI_FUNC(fn->devfn)) {
			list_for_each_entry(other, &bus->fns, node) {
				if (other != fn &&
				    PCI_SLOT(other->devfn) == PCI_SLOT(fn->devfn))
					fn->desc.multifunction = true;
			}
		}
		fn->desc.of_node = fn->path;
		ret = pci_hw_add_function(m->pci, hw, fn->devfn, &fn->desc, &fn->hw);
		if (ret) {
			build_defect(om, fn, ret);
			return ret;
		}
		if (fn->below) {
			ret = build_bus(om, m, fn->below, fn->hw->secondary);
			if (ret)
				return ret;
		}
	}
	return 0;
}

static int build_host(struct of_machine *om, struct machine *m, struct of_host *host)
{
	int ret = pci_hw_add_root(m->pci, host->segment, host->first, host->last,
				  &host->hw);

	if (ret) {
		of_defect(&om->defects, host->path, NULL, "cannot have these buses: %s",
			  strerror(-ret));
		return ret;
	}
	host->hw->io_base = host->io_base;
	host->hw->io_last = host->io_last;
	host->hw->mem_base = host->mem_base;
	host->hw->mem_last = host->mem_last;
	host->hw->mem64_base = host->mem64_base;
	host->hw->mem64_last = host->mem64_last;
	host->hw->of_node = host->path;
	return build_bus(om, m, &host->bus, host->hw);
}

/* Which unit translates for a requester id; the first entry that has it. */
static s16 map_unit(const struct of_host *host, u16 rid)
{
	unsigned i;

	for (i = 0; i < host->nr_map; i++) {
		if (rid >= host->map[i].rid &&
		    rid - host->map[i].rid < host->map[i].length)
			return (s16)host->map[i].unit;
	}
	return -1;
}

static void settle_bus(struct of_machine *om, struct machine *m, struct of_host *host,
		       struct of_bus *bus, bool bypass)
{
	struct of_fn *fn;

	list_for_each_entry(fn, &bus->fns, node) {
		struct hw_function *hf = &m->hw.functions[fn->hw->index];

		hf->unit = bypass || fn->bypass ? -1 : map_unit(host, hf->bdf);
		if (fn->arg >= 0)
			snprintf(om->addresses[fn->arg], sizeof(om->addresses[0]),
				 "%04x:%02x:%02x.%x", host->segment, hf->bdf >> 8,
				 PCI_SLOT(hf->bdf & 0xff), PCI_FUNC(hf->bdf & 0xff));
		if (fn->below)
			settle_bus(om, m, host, fn->below, bypass || fn->bypass);
	}
}

static int build_units(struct of_machine *om, struct machine *m)
{
	unsigned i;
	int ret;

	for (i = 0; i < om->nr_units; i++) {
		struct of_unit *unit = &om->units[i];

		unit->desc.props = unit->props;
		unit->desc.path = unit->path;
		ret = unit->type->create(m, &unit->desc);
		if (ret) {
			of_defect(&om->defects, unit->path, NULL, "%s: %s",
				  unit->type->compatible,
				  ret == -EINVAL ? "a property has a value that the unit "
						   "cannot have"
						 : strerror(-ret));
			return ret;
		}
		if (!strcmp(unit->type->kind, "amd"))
			m->pci->amd_iommu = true;
	}
	return 0;
}

/* On the first root bus of the unit's segment. */
static int build_unit_functions(struct of_machine *om, struct machine *m)
{
	struct of_host *host;
	unsigned i;
	int ret;

	for (i = 0; i < om->nr_units; i++) {
		struct of_unit *unit = &om->units[i];

		if (!unit->type->add_functions)
			continue;
		list_for_each_entry(host, &om->hosts, node) {
			if (host->segment != unit->desc.segment)
				continue;
			ret = unit->type->add_functions(m, &unit->desc, host->hw);
			if (ret) {
				of_defect(&om->defects, unit->path, NULL,
					  "there is no room for its function: %s",
					  strerror(-ret));
				return ret;
			}
			break;
		}
	}
	return 0;
}

static int build(struct of_machine *om, struct machine *m)
{
	struct of_host *host;
	char *what = NULL;
	int ret;

	ret = build_units(om, m);
	if (ret)
		return ret;
	list_for_each_entry(host, &om->hosts, node) {
		ret = build_host(om, m, host);
		if (ret)
			return ret;
	}
	ret = build_unit_functions(om, m);
	if (ret)
		return ret;
	ret = pci_firmware_assign(m->pci, &what);
	if (ret) {
		of_defect_line(&om->defects, "%s: %s", om->path,
			       what ? what : strerror(-ret));
		kfree(what);
		return ret;
	}
	list_for_each_entry(host, &om->hosts, node)
		settle_bus(om, m, host, &host->bus, false);
	return 0;
}

int of_machine_build(struct of_machine *om, struct machine *m, char **error)
{
	int ret = build(om, m);

	if (error)
		*error = NULL;
	if (ret && error && om->defects.text)
		*error = strdup(om->defects.text);
	return ret;
}

int of_machine_start_iommus(struct of_machine *om, struct machine *m)
{
	bool any = false;
	unsigned i;
	int ret;

	if (!om->nr_units)
		return 0;
	/* Before the first device is looked at: groups depend on it. */
	pci_request_acs(m->pci, true);
	for (i = 0; i < om->nr_units; i++) {
		struct of_unit *unit = &om->units[i];

		if (!unit->type->start)
			continue;
		ret = unit->type->start(m, &unit->desc);
		if (ret && ret != -ENODEV)
			return ret;
		any |= !ret;
	}
	if (!any)
		pci_request_acs(m->pci, false);
	return 0;
}
