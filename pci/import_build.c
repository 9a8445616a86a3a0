// SPDX-License-Identifier: MIT
/*
 * The tree over an import's functions, and the configuration space they answer with.
 * Devices arrive in the order of the source, whatever order the tree is made in.
 */
#include <stdio.h>
#include <string.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "pci/bytes.h"
#include "pci/import.h"
#include "pci/priv.h"

#define ACS_ALL	 (PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF)
#define ACS_SIZE 12
#define ADD_AT	 0xff0 /* where nothing else is, as a rule */

static struct pci_import_fn *find_fn(struct pci_import *imp, u16 segment, u8 bus,
				     u8 devfn)
{
	struct pci_import_fn *fn = imp->last;

	if (fn && fn->dom->internal == segment && fn->bus == bus && fn->devfn == devfn)
		return fn;
	for (unsigned i = imp->nr_domains; i--;) {
		if (imp->domains[i].internal != segment)
			continue;
		fn = pci_import_find(imp, imp->domains[i].domain, bus, devfn);
		if (fn)
			imp->last = fn;
		return fn;
	}
	return NULL;
}

static u32 import_read(struct pci_host *host, u16 segment, u8 bus, u8 devfn, u16 where,
		       u8 size)
{
	const struct pci_import_fn *fn = find_fn(host->ops_data, segment, bus, devfn);

	if (!fn || !fn->live || where + size > fn->len)
		return size == 4 ? ~0U : (1U << 8 * size) - 1;
	return get_size(fn->live + where, size);
}

/* Software's settings of isolation; nothing else has an effect. */
static void import_write(struct pci_host *host, u16 segment, u8 bus, u8 devfn, u16 where,
			 u32 val, u8 size)
{
	struct pci_import_fn *fn = find_fn(host->ops_data, segment, bus, devfn);

	if (((struct pci_import *)host->ops_data)->acs_as_found)
		return;
	if (!fn || !fn->live || !fn->pdev || !fn->pdev->acs_cap ||
	    where < fn->pdev->acs_cap || where + size > fn->pdev->acs_cap + ACS_SIZE ||
	    where + size > fn->len)
		return;
	for (u8 i = 0; i < size; i++)
		fn->live[where + i] = (u8)(val >> 8 * i);
}

static const struct pci_ops import_ops = {.read = import_read, .write = import_write};

/* ---- assumptions ---- */

static int grow(struct pci_import_fn *fn)
{
	u8 *more;

	if (fn->len == PCI_CFG_SPACE_EXP_SIZE)
		return 0;
	more = kzalloc(PCI_CFG_SPACE_EXP_SIZE);
	if (!more)
		return -ENOMEM;
	memcpy(more, fn->live, fn->len);
	kfree(fn->live);
	fn->live = more;
	/* Both copies are as long as len says. */
	more = krealloc(fn->config, PCI_CFG_SPACE_EXP_SIZE);
	if (!more)
		return -ENOMEM;
	memset(more + fn->len, 0, PCI_CFG_SPACE_EXP_SIZE - fn->len);
	fn->config = more;
	fn->len = PCI_CFG_SPACE_EXP_SIZE;
	return 0;
}

static u8 find_cap(const struct pci_import_fn *fn, u8 id)
{
	u8 pos = fn->live[PCI_CAPABILITY_LIST] & 0xfc;

	if (!(fn->live[PCI_STATUS] & 0x10))
		return 0;
	for (unsigned ttl = 0; ttl < 48 && pos >= 0x40 && pos + 2 <= fn->len; ttl++) {
		if (fn->live[pos] == id)
			return pos;
		pos = fn->live[pos + 1] & 0xfc;
	}
	return 0;
}

/* All services, on; where Intel has 32-bit registers too. */
static void fill_acs(u8 *cap)
{
	put16(cap + PCI_ACS_CAP, get16(cap + PCI_ACS_CAP) | ACS_ALL);
	put16(cap + PCI_ACS_CTRL, get16(cap + PCI_ACS_CTRL) | ACS_ALL);
	put16(cap + PCI_ACS_CAP + 4, get16(cap + PCI_ACS_CAP + 4) | ACS_ALL);
}

/* An ACS capability that offers everything, at the end of the list. */
static int give_acs(struct pci_import_fn *fn)
{
	u16 pos = PCI_CFG_SPACE_SIZE, last = 0;

	if (!find_cap(fn, PCI_CAP_ID_EXP))
		return 0; /* no such thing on a shared bus */
	if (grow(fn))
		return -ENOMEM;
	for (unsigned ttl = 0; ttl < 480 && pos >= 256; ttl++) {
		u32 header = get32(fn->live + pos);

		if (!header || header == ~0U)
			break;
		if ((header & 0xffff) == PCI_EXT_CAP_ID_ACS) {
			if (pos + ACS_SIZE <= fn->len)
				fill_acs(fn->live + pos);
			return 0;
		}
		last = pos;
		pos = (u16)(header >> 20 & 0xffc);
	}
	pos = last ? ADD_AT : PCI_CFG_SPACE_SIZE;
	if (last)
		put32(fn->live + last,
		      (get32(fn->live + last) & 0xfffff) | (u32)pos << 20);
	memset(fn->live + pos, 0, ACS_SIZE);
	put32(fn->live + pos, PCI_EXT_CAP_ID_ACS | 1U << 16);
	fill_acs(fn->live + pos);
	return 0;
}

/* A kind of PCI Express device that isolates, if ACS lets it. */
static int give_express(struct pci_import_fn *fn)
{
	bool bridge = (fn->live[PCI_HEADER_TYPE] & PCI_HEADER_TYPE_MASK) ==
		      PCI_HEADER_TYPE_BRIDGE;
	unsigned type = PCI_EXP_TYPE_ENDPOINT;

	if (find_cap(fn, PCI_CAP_ID_EXP))
		return 0;
	if (bridge)
		type = fn->dom->bridge[fn->bus] ? PCI_EXP_TYPE_DOWNSTREAM
						: PCI_EXP_TYPE_ROOT_PORT;
	if (grow(fn))
		return -ENOMEM;
	put16(fn->live + PCI_STATUS, get16(fn->live + PCI_STATUS) | 0x10);
	fn->live[0x81] = fn->live[PCI_CAPABILITY_LIST] & 0xfc;
	fn->live[PCI_CAPABILITY_LIST] = 0x80;
	fn->live[0x80] = PCI_CAP_ID_EXP;
	put16(fn->live + 0x82, (u16)(2 | type << 4));
	return 0;
}

static int prepare(struct pci_import *imp, bool isolated)
{
	int ret = 0;

	for (unsigned i = 0; i < imp->nr && !ret; i++) {
		struct pci_import_fn *fn = imp->fns[i];

		fn->pdev = NULL;
		kfree(fn->live);
		fn->live = kmemdup(fn->config, fn->len);
		if (!fn->live)
			return -ENOMEM;
		if (isolated && fn->unknown & PCI_UNKNOWN_TYPE && !fn->virtfn)
			ret = give_express(fn);
		if (!ret &&
		    (fn->add_acs ||
		     (isolated && fn->unknown & (PCI_UNKNOWN_TYPE | PCI_UNKNOWN_ACS))))
			ret = give_acs(fn);
	}
	return ret;
}

/* ---- the tree ---- */

static struct pci_dev *make_device(struct pci_host *host, struct pci_import_fn *fn);

static struct pci_import_fn *bridge_around(const struct pci_import_domain *dom, u8 bus)
{
	for (unsigned sec = bus; sec--;) {
		struct pci_import_fn *fn = dom->bridge[sec];

		if (fn && !fn->removed && fn->config[PCI_SUBORDINATE_BUS] >= bus)
			return fn;
	}
	return NULL;
}

static struct pci_bus *get_bus(struct pci_host *host, struct pci_import_domain *dom,
			       u8 number)
{
	struct pci_import_fn *above = dom->bridge[number];
	struct pci_bus *bus = dom->bus[number], *parent = NULL;
	struct pci_dev *self = NULL;

	if (bus)
		return bus;
	if (above && !above->removed) {
		self = make_device(host, above);
		if (!self)
			return NULL;
		parent = self->bus;
	} else {
		above = bridge_around(dom, number);
		if (above) {
			parent = get_bus(host, dom, above->config[PCI_SECONDARY_BUS]);
			if (!parent)
				return NULL;
		}
	}
	bus = pci_alloc_bus(host, parent, self, number,
			    self ? above->config[PCI_SUBORDINATE_BUS] : 0xff);
	if (!bus)
		return NULL;
	bus->domain = dom->internal;
	if (self && !self->subordinate)
		self->subordinate = bus;
	pci_link_bus(bus);
	dom->bus[number] = bus;
	return bus;
}

static void name_it(struct pci_dev *pdev, const struct pci_import_fn *fn)
{
	snprintf(pdev->dev.name, sizeof(pdev->dev.name), "%04x:%02x:%02x.%d", fn->domain,
		 fn->bus, PCI_SLOT(fn->devfn), PCI_FUNC(fn->devfn));
}

static struct pci_dev *make_device(struct pci_host *host, struct pci_import_fn *fn)
{
	struct pci_bus *bus;
	struct pci_dev *pdev;

	if (fn->pdev)
		return fn->pdev;
	bus = get_bus(host, fn->dom, fn->bus);
	if (!bus)
		return NULL;
	pdev = pci_alloc_dev(bus, fn->devfn);
	if (!pdev)
		return NULL;
	fn->pdev = pdev;
	pdev->dev.driver_data = fn;
	if (fn->domain > 0xffff)
		name_it(pdev, fn);
	if (pci_setup_device(pdev))
		pdev->hdr_type = PCI_HEADER_TYPE_NORMAL; /* the kernel has it */
	pci_init_capabilities(pdev);
	pci_fixup_header(pdev);
	pdev->is_virtfn = fn->virtfn;
	if (fn->virtfn)
		pdev->multifunction = false;
	else if (PCI_FUNC(pdev->devfn))
		pdev->multifunction = true;
	if (pdev->class >> 8 == PCI_CLASS_SYSTEM_IOMMU &&
	    pdev->vendor == PCI_VENDOR_ID_AMD)
		host->amd_iommu = true;
	pci_link_dev(pdev);
	return pdev;
}

static int by_order(const void *a, const void *b)
{
	const struct pci_import_fn *x = *(struct pci_import_fn *const *)a,
				   *y = *(struct pci_import_fn *const *)b;

	return x->order < y->order ? -1 : x->order > y->order;
}

static int make_tree(struct pci_host *host, struct pci_import *imp)
{
	struct pci_import_fn **ordered = kmemdup(imp->fns, imp->nr * sizeof(*ordered));
	int ret = 0;

	if (!ordered)
		return -ENOMEM;
	qsort(ordered, imp->nr, sizeof(*ordered), by_order);
	for (unsigned i = 0; i < imp->nr && !ret; i++) {
		if (!ordered[i]->removed)
			ret = make_device(host, ordered[i]) ? 0 : -ENOMEM;
	}
	for (unsigned i = 0; i < imp->nr && !ret; i++) {
		struct pci_import_fn *fn = ordered[i];

		if (fn->removed)
			continue;
		list_move_tail(&fn->pdev->host_node, &host->devices);
		list_move_tail(&fn->pdev->bus_list, &fn->pdev->bus->devices);
		if (fn->dom->behind && fn->dom->behind->pdev)
			fn->pdev->dma_alias_dev = fn->dom->behind->pdev;
		pci_init_reset_methods(fn->pdev);
	}
	kfree(ordered);
	return ret;
}

int pci_import_build(struct pci_import *imp, bool isolated, struct pci_host **out)
{
	struct pci_host *host = kzalloc(sizeof(*host));
	int ret;

	if (!host)
		return -ENOMEM;
	host->ops = &import_ops;
	host->ops_data = imp;
	host->acs_requested = true;
	mutex_init(&host->rescan_lock);
	mutex_init(&host->lock);
	INIT_LIST_HEAD(&host->root_buses);
	INIT_LIST_HEAD(&host->devices);
	INIT_LIST_HEAD(&host->removals);
	for (unsigned i = 0; i < imp->nr_domains; i++)
		memset(imp->domains[i].bus, 0, sizeof(imp->domains[i].bus));
	ret = prepare(imp, isolated);
	if (!ret)
		ret = make_tree(host, imp);
	if (ret) {
		pci_import_unbuild(host);
		return ret;
	}
	*out = host;
	return 0;
}

static void free_bus(struct pci_bus *bus)
{
	struct pci_bus *child, *tmp;
	struct pci_dev *pdev, *ptmp;

	list_for_each_entry_safe(child, tmp, &bus->children, node)
		free_bus(child);
	list_for_each_entry_safe(pdev, ptmp, &bus->devices, bus_list) {
		list_del(&pdev->bus_list);
		list_del(&pdev->host_node);
		put_device(&pdev->dev);
	}
	list_del(&bus->node);
	pci_bus_put(bus);
}

void pci_import_unbuild(struct pci_host *host)
{
	struct pci_import *imp = host->ops_data;
	struct pci_bus *bus, *tmp;

	list_for_each_entry_safe(bus, tmp, &host->root_buses, node)
		free_bus(bus);
	for (unsigned i = 0; i < imp->nr; i++) {
		kfree(imp->fns[i]->live);
		imp->fns[i]->live = NULL;
		imp->fns[i]->pdev = NULL;
	}
	imp->last = NULL;
	mutex_destroy(&host->rescan_lock);
	mutex_destroy(&host->lock);
	kfree(host);
}
