// SPDX-License-Identifier: MIT
/*
 * The ways to show a machine's groups: for people (text), for scripts (tsv, json), as a
 * picture (Graphviz' dot).
 */
#include <stdlib.h>

#include "cli/groups.h"
#include "pci/ids.h"

#define UNKNOWN (PCI_UNKNOWN_TYPE | PCI_UNKNOWN_ACS | PCI_UNKNOWN_ID | PCI_UNKNOWN_PLACE)

/* Members of a group in turn, by address: each knows the next, see list_groups(). */
struct order {
	unsigned *first, *next; /* index + 1; 0: none */
};

static bool list_groups(const struct groups *g, struct order *o)
{
	unsigned *last = calloc((size_t)g->nr_groups + 1, sizeof(*last));

	o->first = calloc((size_t)g->nr_groups + 1, sizeof(*o->first));
	o->next = calloc((size_t)g->nr + 1, sizeof(*o->next));
	for (unsigned i = 0; last && o->first && o->next && i < g->nr; i++) {
		int n = g->members[i].number;

		if (n < 0)
			continue;
		if (last[n])
			o->next[last[n] - 1] = i + 1;
		else
			o->first[n] = i + 1;
		last[n] = i + 1;
	}
	free(last);
	return o->first && o->next;
}

static void free_order(struct order *o)
{
	free(o->first);
	free(o->next);
}

void groups_describe(FILE *f, const struct member *m)
{
	const struct pci_dev *pdev = m->fn->pdev;
	const char *class = pci_ids_class((u16)(pdev->class >> 8)),
		   *vendor = pci_ids_vendor(pdev->vendor),
		   *device = pci_ids_device(pdev->vendor, pdev->device);

	if (m->fn->virtfn && pdev->vendor == 0xffff) {
		fputs("virtual function", f);
		return;
	}
	if (class)
		fprintf(f, "%s: ", class);
	else
		fprintf(f, "Class %04x: ", pdev->class >> 8);
	if (m->fn->unknown & PCI_UNKNOWN_ID) {
		fputs("unknown device", f);
		return;
	}
	if (vendor)
		fprintf(f, "%s ", vendor);
	if (device)
		fprintf(f, "%s ", device);
	fprintf(f, "[%04x:%04x]", pdev->vendor, pdev->device);
}

/* The first member that did not start a group says why the others are with it. */
static const struct member *telling(const struct groups *g, const struct order *o, int n)
{
	for (unsigned i = o->first[n]; i; i = o->next[i - 1]) {
		if (g->members[i - 1].why.with)
			return &g->members[i - 1];
	}
	return &g->members[o->first[n] - 1];
}

static void text_notes(FILE *f, const struct groups *g)
{
	unsigned type = 0, acs = 0, id = 0, place = 0;

	for (unsigned i = 0; i < g->nr; i++) {
		u8 u = g->members[i].fn->unknown;

		type += !!(u & PCI_UNKNOWN_TYPE);
		acs += (u & (PCI_UNKNOWN_ACS | PCI_UNKNOWN_TYPE)) == PCI_UNKNOWN_ACS;
		id += !!(u & PCI_UNKNOWN_ID);
		place += !!(u & PCI_UNKNOWN_PLACE);
	}
	if (type)
		fprintf(f,
			"\n%u devices: not known whether PCI Express, taken as "
			"conventional "
			"(capabilities missing).\n",
			type);
	if (acs)
		fprintf(f,
			"%s%u devices: not known whether they have ACS, taken as "
			"without.\n",
			type ? "" : "\n", acs);
	if (place)
		fprintf(f, "%u devices: not known behind which bridge.\n", place);
	if (id)
		fprintf(f,
			"%u devices: vendor and device not known, a quirk may be "
			"missed.\n",
			id);
	if (g->nr_uncertain)
		fprintf(f,
			"%u of %u devices may be in a smaller group: marked with `?'.\n",
			g->nr_uncertain, g->nr);
}

static void text_kernel(FILE *f, const struct groups *g)
{
	if (!g->nr_kernel)
		return;
	if (!g->nr_differ) {
		fprintf(f, "\nThe kernel's own groups, of %u devices, are the same.\n",
			g->nr_kernel);
		return;
	}
	fprintf(f, "\nThe kernel's own groups differ for %u of %u devices:\n",
		g->nr_differ, g->nr_kernel);
	for (unsigned i = 0; i < g->nr; i++) {
		const struct member *m = &g->members[i];

		if (m->differs)
			fprintf(f, "  %s  here %d, the kernel's %d%s\n",
				pci_name(m->fn->pdev), m->number, m->fn->kernel_group,
				m->certain ? "" : " (not enough is known)");
	}
	fprintf(f, "Reasons may be: pcie_acs_override or pci=config_acs= on its command "
		   "line, devices that\ncame or went since it started, quirks of another "
		   "kernel version, firmware that sets ACS.\n");
}

void groups_text(FILE *f, struct groups *g)
{
	struct order o;

	if (list_groups(g, &o)) {
		for (int n = 0; n < g->nr_groups && o.first[n]; n++) {
			fprintf(f, "group %d: ", n);
			if (o.next[o.first[n] - 1] ||
			    g->members[o.first[n] - 1].why.reason == PCI_GROUP_OWN)
				groups_reason(f, telling(g, &o, n));
			else
				fprintf(f, "alone, though it could reach others");
			fputc('\n', f);
			for (unsigned i = o.first[n]; i; i = o.next[i - 1]) {
				const struct member *m = &g->members[i - 1];

				fprintf(f, "  %s%s ", pci_name(m->fn->pdev),
					m->certain ? " " : "?");
				groups_describe(f, m);
				if (m->fn->driver)
					fprintf(f, " (%s)", m->fn->driver);
				fputc('\n', f);
			}
		}
		for (unsigned i = 0; i < g->nr; i++) {
			if (g->members[i].number < 0)
				fprintf(f, "no group: %s\n",
					pci_name(g->members[i].fn->pdev));
		}
		text_notes(f, g);
		text_kernel(f, g);
	}
	free_order(&o);
}

void groups_tsv(FILE *f, struct groups *g)
{
	struct order o;

	if (list_groups(g, &o)) {
		for (int n = 0; n < g->nr_groups; n++) {
			for (unsigned i = o.first[n]; i; i = o.next[i - 1])
				fprintf(f, "%d\t%s\n", n,
					pci_name(g->members[i - 1].fn->pdev));
		}
	}
	free_order(&o);
}

static void json_string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			fprintf(f, "\\u%04x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

static const char *const reasons[] = {
	[PCI_GROUP_OWN] = "alone",
	[PCI_GROUP_ALIAS] = "bridge-alias",
	[PCI_GROUP_NO_ACS] = "no-acs",
	[PCI_GROUP_DMA_ALIAS] = "dma-alias",
	[PCI_GROUP_MULTIFUNCTION] = "multifunction",
};

static void json_device(FILE *f, const struct member *m)
{
	const struct pci_dev *pdev = m->fn->pdev;

	fprintf(f, "{\"address\":\"%s\",\"group\":", pci_name(pdev));
	if (m->number < 0)
		fputs("null", f);
	else
		fprintf(f, "%d", m->number);
	fprintf(f, ",\"class\":\"%06x\",\"vendor\":\"%04x\",\"device\":\"%04x\"",
		pdev->class, pdev->vendor, pdev->device);
	if (m->fn->driver) {
		fputs(",\"driver\":", f);
		json_string(f, m->fn->driver);
	}
	if (m->number >= 0) {
		fprintf(f, ",\"reason\":\"%s\"", reasons[m->why.reason]);
		if (m->why.with)
			fprintf(f, ",\"with\":\"%s\"", pci_name(m->why.with));
		if (m->why.top)
			fprintf(f, ",\"through\":\"%s\"", pci_name(m->why.top));
	}
	fprintf(f, ",\"certain\":%s", m->certain ? "true" : "false");
	if (m->fn->unknown & UNKNOWN) {
		const char *sep = "";

		fputs(",\"unknown\":[", f);
		if (m->fn->unknown & PCI_UNKNOWN_TYPE)
			fprintf(f, "\"type\""), sep = ",";
		if (m->fn->unknown & PCI_UNKNOWN_ACS)
			fprintf(f, "%s\"acs\"", sep), sep = ",";
		if (m->fn->unknown & PCI_UNKNOWN_ID)
			fprintf(f, "%s\"id\"", sep), sep = ",";
		if (m->fn->unknown & PCI_UNKNOWN_PLACE)
			fprintf(f, "%s\"place\"", sep);
		fputc(']', f);
	}
	if (m->fn->kernel_group >= 0)
		fprintf(f, ",\"kernel_group\":%d,\"differs\":%s", m->fn->kernel_group,
			m->differs ? "true" : "false");
	fputc('}', f);
}

void groups_json(FILE *f, struct groups *g, bool one_line)
{
	const char *nl = one_line ? "" : "\n  ";

	fputs("{\"source\":", f);
	json_string(f, g->source);
	fprintf(f,
		",%s\"groups\":%d,\"uncertain\":%u,\"kernel\":%u,\"differ\":%u,%s"
		"\"devices\":[",
		nl, g->nr_groups, g->nr_uncertain, g->nr_kernel, g->nr_differ, nl);
	for (unsigned i = 0; i < g->nr; i++) {
		if (i)
			fputc(',', f);
		fputs(nl, f);
		json_device(f, &g->members[i]);
	}
	fputs("]}\n", f);
}

/* ---- dot ---- */

static const char *const colours[] = {
	"#cfe8ff", "#d7f5d0", "#ffe3c2", "#f6d5f0", "#fff3b0",
	"#d5dbff", "#ffd6d6", "#d9f2ee", "#eadfcf", "#e3e3e3",
};

static void dot_bus(FILE *f, const struct pci_bus *bus)
{
	const struct pci_bus *child;

	list_for_each_entry(child, &bus->children, node) {
		const struct pci_dev *pdev;
		const struct pci_bus *up = child;

		while (up && !up->self)
			up = up->parent;
		list_for_each_entry(pdev, &child->devices, bus_list) {
			bool weak = up && !pci_acs_enabled(up->self, PCI_GROUP_ACS_FLAGS);

			if (up)
				fprintf(f, "  \"%s\" -> \"%s\"%s;\n", pci_name(up->self),
					pci_name(pdev),
					weak ? " [color=red, penwidth=2, label=\"no "
					       "ACS\"]"
					     : "");
		}
		dot_bus(f, child);
	}
}

void groups_dot(FILE *f, struct groups *g)
{
	const struct pci_bus *bus;

	fputs("digraph groups {\n  rankdir=LR;\n  node [shape=box, style=filled, "
	      "fontname=\"sans-serif\", fontsize=10];\n  edge [fontsize=9];\n",
	      f);
	for (unsigned i = 0; i < g->nr; i++) {
		const struct member *m = &g->members[i];
		const char *class = pci_ids_class((u16)(m->fn->pdev->class >> 8));

		fprintf(f, "  \"%s\" [label=\"%s\\n%s\\n", pci_name(m->fn->pdev),
			pci_name(m->fn->pdev), class ? class : "device");
		if (m->number < 0)
			fputs("no group\", fillcolor=white];\n", f);
		else
			fprintf(f, "group %d%s\", fillcolor=\"%s\"];\n", m->number,
				m->certain ? "" : " ?",
				colours[(unsigned)m->number % ARRAY_SIZE(colours)]);
	}
	list_for_each_entry(bus, &g->host->root_buses, node)
		dot_bus(f, bus);
	fputs("}\n", f);
}
