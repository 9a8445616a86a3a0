// SPDX-License-Identifier: MIT
/*
 * A kernel's boot log: what enumeration prints of each function (from 6.8 on with its
 * PCI Express type), where bridges lead, which VMD made a domain, and the groups that
 * the kernel itself formed. Logs do not show ACS, so that is unknown throughout. A
 * function of which only the group is told has no registers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "pci/import.h"

struct note {
	struct pci_import_fn *fn;
	struct pci_import_facts f;
	bool typed, enumerated;
};

struct log {
	struct pci_import *imp;
	struct note *notes;
	unsigned max;
	/* By a hash of the address: 1 + index into notes. */
	unsigned *hash, hash_size;
};

static unsigned slot_of(const struct log *l, u32 domain, u8 bus, u8 devfn)
{
	u32 h = ((domain << 16) ^ ((u32)bus << 8) ^ devfn ^ domain >> 16) * 2654435761U;
	unsigned i = (h >> 7) & (l->hash_size - 1);

	for (; l->hash[i]; i = (i + 1) & (l->hash_size - 1)) {
		const struct pci_import_fn *fn = l->notes[l->hash[i] - 1].fn;

		if (fn->domain == domain && fn->bus == bus && fn->devfn == devfn)
			break;
	}
	return i;
}

static struct note *find_note(struct log *l, u32 domain, u8 bus, u8 devfn)
{
	unsigned i = l->hash_size ? slot_of(l, domain, bus, devfn) : 0;

	return l->hash_size && l->hash[i] ? &l->notes[l->hash[i] - 1] : NULL;
}

static struct note *new_note(struct log *l, u32 domain, u8 bus, u8 devfn)
{
	struct pci_import_fn *fn;
	struct note *n;

	if (l->imp->nr == l->max) {
		unsigned max = l->max ? 2 * l->max : 128;

		n = krealloc_array(l->notes, max, sizeof(*n));
		if (!n)
			return NULL;
		l->notes = n;
		kfree(l->hash);
		l->hash_size = 0;
		l->hash = kcalloc(4 * max, sizeof(*l->hash));
		if (!l->hash)
			return NULL;
		l->max = max;
		l->hash_size = 4 * max;
		for (unsigned i = 0; i < l->imp->nr; i++) {
			fn = l->notes[i].fn;
			l->hash[slot_of(l, fn->domain, fn->bus, fn->devfn)] = i + 1;
		}
	}
	fn = pci_import_add(l->imp, domain, bus, devfn);
	if (!fn)
		return NULL;
	n = &l->notes[l->imp->nr - 1];
	*n = (struct note){.fn = fn, .f.express = -1};
	l->hash[slot_of(l, domain, bus, devfn)] = l->imp->nr;
	return n;
}

static const struct {
	const char *text;
	int type; /* -1: conventional */
} types[] = {
	{"PCIe Root Complex Integrated Endpoint", PCI_EXP_TYPE_RC_END},
	{"PCIe Root Complex Event Collector", PCI_EXP_TYPE_RC_EC},
	{"PCIe Legacy Endpoint", PCI_EXP_TYPE_LEG_END},
	{"PCIe Endpoint", PCI_EXP_TYPE_ENDPOINT},
	{"PCIe Root Port", PCI_EXP_TYPE_ROOT_PORT},
	{"PCIe Switch Upstream Port", PCI_EXP_TYPE_UPSTREAM},
	{"PCIe Switch Downstream Port", PCI_EXP_TYPE_DOWNSTREAM},
	{"PCIe to PCI/PCI-X bridge", PCI_EXP_TYPE_PCI_BRIDGE},
	{"PCI/PCI-X to PCIe bridge", PCI_EXP_TYPE_PCIE_BRIDGE},
	{"conventional PCI", -1},
	{"CardBus bridge", -1},
};

static int function_line(struct log *l, const char *s, u32 domain, u8 bus, u8 devfn,
			 u32 line)
{
	unsigned vendor, device, type, class;
	struct note *n;
	int used = 0;

	if (sscanf(s, ": [%4x:%4x] type %2x class %8x%n", &vendor, &device, &type, &class,
		   &used) != 4 ||
	    !used)
		return 0;
	n = find_note(l, domain, bus, devfn);
	if (!n)
		n = new_note(l, domain, bus, devfn);
	if (!n)
		return -ENOMEM;
	n->fn->line = line;
	n->f.vendor = (u16)vendor;
	n->f.device = (u16)device;
	n->f.class = class & 0xffffff;
	n->f.hdr_type = type & 0x7f;
	n->typed = false;
	n->enumerated = true;
	for (unsigned i = 0; i < ARRAY_SIZE(types) && !n->typed; i++) {
		if (strstr(s + used, types[i].text)) {
			n->typed = true;
			n->f.express = types[i].type;
		}
	}
	return 0;
}

static void bridge_line(struct log *l, const char *s, u32 domain, u8 bus, u8 devfn)
{
	unsigned first, last;
	struct note *n = find_note(l, domain, bus, devfn);
	int got = sscanf(s, ": PCI bridge to [bus %2x-%2x", &first, &last);

	if (!n || got < 1)
		return;
	n->f.primary = bus;
	n->f.secondary = (u8)first;
	n->f.subordinate = (u8)(got == 2 ? last : first);
}

static int group_line(struct log *l, const char *s, u32 domain, u8 bus, u8 devfn)
{
	struct note *n;
	unsigned group;

	if (sscanf(s, ": Adding to iommu group %u", &group) != 1 &&
	    sscanf(s, " to group %u", &group) != 1)
		return 0;
	n = find_note(l, domain, bus, devfn);
	if (!n)
		n = new_note(l, domain, bus, devfn);
	if (!n)
		return -ENOMEM;
	n->fn->kernel_group = (int)(group & 0x7fffffff);
	return 0;
}

static void vmd_line(struct log *l, const char *s, u32 domain, u8 bus, u8 devfn)
{
	struct pci_import *imp = l->imp;
	unsigned made;

	if (sscanf(s, ": PCI host bridge to bus %8x:", &made) != 1 || made <= 0xffff ||
	    imp->nr_behind == ARRAY_SIZE(imp->behind))
		return;
	imp->behind[imp->nr_behind].domain = made;
	imp->behind[imp->nr_behind].owner_domain = domain;
	imp->behind[imp->nr_behind].bus = bus;
	imp->behind[imp->nr_behind++].devfn = devfn;
}

/* The first address of the line that is followed by what a device's message has. */
static int take_line(struct log *l, const char *s, u32 line)
{
	for (const char *p = s; (p = strchr(p, '.')); p++) {
		const char *from = p, *at;
		u32 domain;
		u8 bus, devfn;

		while (from > s && from[-1] != ' ' && from[-1] != '\t')
			from--;
		at = from;
		if (p - from < 10 || !pci_import_address(&at, &domain, &bus, &devfn))
			continue;
		if (!strncmp(at, ": [", 3))
			return function_line(l, at, domain, bus, devfn, line);
		bridge_line(l, at, domain, bus, devfn);
		vmd_line(l, at, domain, bus, devfn);
		return group_line(l, at, domain, bus, devfn);
	}
	return 0;
}

int pci_import_dmesg(struct pci_import *imp, const char *name, const char *text,
		     size_t len, char **error)
{
	struct log l = {.imp = imp};
	const char *p = text, *end = text + len;
	int ret = 0;

	for (u32 line = 1; p < end && !ret; line++) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl ? nl : end) - p);
		char buf[512];

		n = min_t(size_t, n, sizeof(buf) - 1);
		memcpy(buf, p, n);
		buf[n] = 0;
		p = nl ? nl + 1 : end;
		ret = take_line(&l, buf, line);
	}
	for (unsigned i = 0; i < imp->nr && !ret; i++) {
		struct note *n = &l.notes[i];

		n->fn->unknown = !n->typed	     ? PCI_UNKNOWN_TYPE | PCI_UNKNOWN_ACS
				 : n->f.express >= 0 ? PCI_UNKNOWN_ACS
						     : 0;
		if (n->enumerated)
			ret = pci_import_set(n->fn, &n->f);
	}
	kfree(l.notes);
	kfree(l.hash);
	return ret;
}
