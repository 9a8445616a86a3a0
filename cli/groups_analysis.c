// SPDX-License-Identifier: MIT
/*
 * Groups of an imported machine: devices arrive one by one and each looks for the group
 * that it must share, as in the kernel. Done twice where something is unknown, once with
 * each assumption; groups with the same members both times are certain.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/groups.h"

static struct member *member_of(const struct pci_dev *pdev)
{
	return pci_import_of(pdev)->data;
}

static void *get_group(struct pci_dev *pdev, void *data)
{
	const struct member *m = member_of(pdev);

	return m->id < 0 ? NULL : (char *)data + m->id;
}

/* In a comma-separated list of addresses, with or without a domain. */
static bool listed(const char *list, const struct pci_dev *pdev)
{
	const char *name = pci_name(pdev);

	for (const char *p = list; p && *p;) {
		size_t n = strcspn(p, ",");

		if ((n == strlen(name) && !strncmp(p, name, n)) ||
		    (n == 7 && !strncmp(name, "0000:", 5) && !strncmp(p, name + 5, n)))
			return true;
		p += n + (p[n] == ',');
	}
	return false;
}

static bool has_no_group(const struct pci_dev *pdev, const char *exclude)
{
	/* An AMD IOMMU does not translate for itself. */
	return listed(exclude, pdev) || (pdev->class >> 8 == PCI_CLASS_SYSTEM_IOMMU &&
					 pdev->vendor == PCI_VENDOR_ID_AMD);
}

static void form(struct groups *g, const char *exclude)
{
	/* An identity for each group: an address in something big enough. */
	char *base = (char *)g->members;
	struct pci_dev *pdev;

	g->nr_groups = 0;
	for (unsigned i = 0; i < g->nr; i++)
		g->members[i].id = -1;
	list_for_each_entry(pdev, &g->host->devices, host_node) {
		struct member *m = member_of(pdev);
		char *with;

		if (has_no_group(pdev, exclude))
			continue;
		with = pci_find_group(pdev, get_group, base, &m->why);
		m->id = with ? (int)(with - base) : g->nr_groups++;
	}
}

/*
 * Marks the devices whose group by @key has other members than that by id. Devices
 * without either (negative) do not count.
 */
static int compare(struct groups *g, int (*key)(const struct member *m),
		   void (*mark)(struct member *m))
{
	unsigned *size, *key_size;
	int *first, max = 0;

	for (unsigned i = 0; i < g->nr; i++) {
		if (key(&g->members[i]) > max)
			max = key(&g->members[i]);
	}
	/* Numbers of a source may be anything; beyond that many they are not groups. */
	if (max > 1 << 24)
		max = 1 << 24;
	size = kcalloc((size_t)g->nr_groups + 1, sizeof(*size));
	first = kcalloc((size_t)g->nr_groups + 1, sizeof(*first));
	key_size = kcalloc((size_t)max + 1, sizeof(*key_size));
	if (!size || !first || !key_size) {
		kfree(size);
		kfree(first);
		kfree(key_size);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < g->nr; i++) {
		const struct member *m = &g->members[i];
		int k = key(m);

		if (k < 0 || m->id < 0 || k > max)
			continue;
		if (!size[m->id]++)
			first[m->id] = k;
		else if (first[m->id] != k)
			first[m->id] = -1;
		key_size[k]++;
	}
	for (unsigned i = 0; i < g->nr; i++) {
		struct member *m = &g->members[i];
		int k = key(m);

		if (k >= 0 && k <= max && m->id >= 0 &&
		    (first[m->id] != k || size[m->id] != key_size[k]))
			mark(m);
	}
	kfree(size);
	kfree(first);
	kfree(key_size);
	return 0;
}

static int other_key(const struct member *m)
{
	return m->other;
}

static int kernel_key(const struct member *m)
{
	return m->fn->kernel_group;
}

static void mark_uncertain(struct member *m)
{
	m->certain = false;
}

static void mark_different(struct member *m)
{
	m->differs = true;
}

static int number(struct groups *g)
{
	int *by_id = kcalloc((size_t)g->nr_groups + 1, sizeof(*by_id)), next = 0;

	if (!by_id)
		return -ENOMEM;
	for (unsigned i = 0; i < g->nr; i++) {
		struct member *m = &g->members[i];

		m->number = -1;
		if (m->id < 0)
			continue;
		if (!by_id[m->id])
			by_id[m->id] = ++next;
		m->number = by_id[m->id] - 1;
	}
	kfree(by_id);
	return 0;
}

int groups_analyse(struct pci_import *imp, const char *source, const char *exclude,
		   struct groups *g)
{
	bool unknown = false;
	int ret;

	*g = (struct groups){.imp = imp, .source = source};
	/* Never smaller than the number of groups, see form(). */
	g->members = kcalloc(imp->nr + 1, sizeof(*g->members));
	if (!g->members)
		return -ENOMEM;
	for (unsigned i = 0; i < imp->nr; i++) {
		struct pci_import_fn *fn = imp->fns[i];

		if (fn->removed)
			continue;
		unknown |= fn->unknown & (PCI_UNKNOWN_TYPE | PCI_UNKNOWN_ACS);
		fn->data = &g->members[g->nr];
		g->members[g->nr++] =
			(struct member){.fn = fn, .id = -1, .certain = true};
	}
	if (unknown) {
		ret = pci_import_build(imp, true, &g->host);
		if (ret)
			return ret;
		form(g, exclude);
		for (unsigned i = 0; i < g->nr; i++)
			g->members[i].other = g->members[i].id;
		pci_import_unbuild(g->host);
		g->host = NULL;
	}
	ret = pci_import_build(imp, false, &g->host);
	if (ret)
		return ret;
	form(g, exclude);
	ret = number(g);
	if (!ret && unknown)
		ret = compare(g, other_key, mark_uncertain);
	if (!ret)
		ret = compare(g, kernel_key, mark_different);
	for (unsigned i = 0; i < g->nr; i++) {
		struct member *m = &g->members[i];

		if (m->fn->unknown & PCI_UNKNOWN_PLACE)
			m->certain = false;
		g->nr_uncertain += !m->certain;
		g->nr_kernel += m->id >= 0 && m->fn->kernel_group >= 0;
		g->nr_differ += m->differs;
	}
	return ret;
}

void groups_free(struct groups *g)
{
	if (g->host)
		pci_import_unbuild(g->host);
	kfree(g->members);
	pci_import_free(g->imp);
}

struct member *groups_find(struct groups *g, const char *name)
{
	struct pci_import_fn *fn;
	const char *p = name;
	u32 domain;
	u8 bus, devfn;

	if (!pci_import_address(&p, &domain, &bus, &devfn) || *p)
		return NULL;
	fn = pci_import_find(g->imp, domain, bus, devfn);
	return fn ? fn->data : NULL;
}

struct pci_dev *groups_weak_link(struct pci_dev *pdev)
{
	for (; pdev; pdev = pci_upstream_bridge(pdev)) {
		while (pdev && !pci_is_root_bus(pdev->bus) && !pdev->bus->self) {
			/* A bus that only exists for virtual functions. */
			struct pci_bus *bus = pdev->bus->parent;

			while (bus && !bus->self)
				bus = bus->parent;
			if (!bus)
				return NULL;
			if (!pci_acs_enabled(bus->self, PCI_GROUP_ACS_FLAGS))
				return bus->self;
			pdev = bus->self;
		}
		if (!pci_acs_enabled(pdev, PCI_GROUP_ACS_FLAGS))
			return pdev;
	}
	return NULL;
}

void groups_reason(FILE *f, const struct member *m)
{
	const struct pci_group_result *why = &m->why;
	struct pci_dev *weak, *pdev = m->fn->pdev;
	bool vmd = why->top && pdev->dma_alias_dev;

	switch (why->reason) {
	case PCI_GROUP_OWN:
		weak = pci_upstream_bridge(pdev);
		fprintf(f, weak ? "alone: ACS on the whole path"
				: "alone: nothing that it could reach before the IOMMU");
		break;
	case PCI_GROUP_ALIAS:
		if (vmd)
			fprintf(f, "its DMA goes through the VMD %s",
				pci_name(pdev->dma_alias_dev));
		else
			fprintf(f, "behind %s bridge %s",
				why->top && pci_is_pcie(why->top) ? "PCIe-to-PCI"
								  : "conventional PCI",
				why->top ? pci_name(why->top) : "?");
		break;
	case PCI_GROUP_NO_ACS:
		weak = groups_weak_link(why->top);
		fprintf(f, "no ACS on %s", pci_name(weak ? weak : why->top));
		break;
	case PCI_GROUP_DMA_ALIAS:
		fprintf(f, "DMA alias of %s (quirk)",
			why->with ? pci_name(why->with) : "another device");
		break;
	case PCI_GROUP_MULTIFUNCTION:
		fprintf(f, "functions of one slot without ACS, with %s",
			why->with ? pci_name(why->with) : "another");
		break;
	}
}
