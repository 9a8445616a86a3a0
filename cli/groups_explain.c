// SPDX-License-Identifier: MIT
/*
 * Why two devices share a group or do not, link by link on the way to the root, and what
 * it takes to give a device to a virtual machine.
 */
#include <string.h>

#include "cli/groups.h"

static const char *kind(const struct pci_dev *pdev)
{
	static const char *const types[16] = {
		[PCI_EXP_TYPE_ENDPOINT] = "PCIe endpoint",
		[PCI_EXP_TYPE_LEG_END] = "PCIe legacy endpoint",
		[PCI_EXP_TYPE_ROOT_PORT] = "PCIe root port",
		[PCI_EXP_TYPE_UPSTREAM] = "PCIe switch upstream port",
		[PCI_EXP_TYPE_DOWNSTREAM] = "PCIe switch downstream port",
		[PCI_EXP_TYPE_PCI_BRIDGE] = "PCIe-to-PCI bridge",
		[PCI_EXP_TYPE_PCIE_BRIDGE] = "PCI-to-PCIe bridge",
		[PCI_EXP_TYPE_RC_END] = "root complex integrated endpoint",
		[PCI_EXP_TYPE_RC_EC] = "root complex event collector",
	};

	if (pci_is_pcie(pdev))
		return types[pci_pcie_type(pdev)] ? types[pci_pcie_type(pdev)]
						  : "PCIe device";
	return pci_is_bridge(pdev) ? "conventional PCI bridge"
				   : "conventional PCI device";
}

/* A kind of device that needs no ACS as long as it has one function. */
static bool may_have_no_peer(const struct pci_dev *pdev)
{
	if (!pci_is_pcie(pdev))
		return false;
	switch (pci_pcie_type(pdev)) {
	case PCI_EXP_TYPE_ENDPOINT:
	case PCI_EXP_TYPE_LEG_END:
	case PCI_EXP_TYPE_UPSTREAM:
	case PCI_EXP_TYPE_RC_END:
		return true;
	default:
		return false;
	}
}

static void acs_state(FILE *f, struct pci_dev *pdev)
{
	static const struct {
		u16 bit;
		const char *name;
	} bits[] = {
		{PCI_ACS_SV, "SrcValid"},
		{PCI_ACS_RR, "ReqRedir"},
		{PCI_ACS_CR, "CmpltRedir"},
		{PCI_ACS_UF, "UpstreamFwd"},
	};
	bool on = pci_acs_enabled(pdev, PCI_GROUP_ACS_FLAGS);
	const struct pci_import_fn *fn = pci_import_of(pdev);

	if (fn->unknown & PCI_UNKNOWN_TYPE)
		fprintf(f, "not known whether it isolates, taken as not");
	else if (!pdev->acs_cap && fn->unknown & PCI_UNKNOWN_ACS)
		fprintf(f, on ? "isolates (no ACS needed, or a quirk)"
			      : "not known whether it has ACS, taken as without");
	else if (on && pdev->acs_cap)
		fprintf(f, "isolates, by ACS");
	else if (on && (pdev->multifunction || !may_have_no_peer(pdev)))
		fprintf(f, "isolates, by the kernel's quirk for this device");
	else if (on)
		fprintf(f, "isolates: a single function without a peer");
	else if (!pdev->acs_cap)
		fprintf(f, "does NOT isolate: no ACS");
	else
		fprintf(f, "does NOT isolate although it has ACS");
	if (!pdev->acs_cap)
		return;
	fprintf(f, " (offers");
	for (unsigned i = 0; i < ARRAY_SIZE(bits); i++) {
		if (pdev->acs_capabilities & bits[i].bit)
			fprintf(f, " %s", bits[i].name);
	}
	fprintf(f, "%s)", pdev->acs_capabilities & PCI_GROUP_ACS_FLAGS ? "" : " nothing");
}

static struct pci_dev *parent_of(struct pci_dev *pdev)
{
	struct pci_bus *bus = pdev->bus;

	while (bus && !pci_is_root_bus(bus) && !bus->self)
		bus = bus->parent;
	return bus && !pci_is_root_bus(bus) ? bus->self : NULL;
}

static void path(FILE *f, struct pci_dev *pdev)
{
	for (unsigned depth = 0; pdev; pdev = parent_of(pdev), depth++) {
		fprintf(f, "  %*s%s  %s", (int)depth * 2, "", pci_name(pdev), kind(pdev));
		if (pdev->multifunction)
			fprintf(f, ", one of several functions");
		fprintf(f, ": ");
		acs_state(f, pdev);
		fputc('\n', f);
	}
}

static unsigned companions(FILE *f, const struct groups *g, const struct member *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < g->nr; i++) {
		const struct member *c = &g->members[i];

		if (c == m || c->number != m->number)
			continue;
		fprintf(f, "  %s  ", pci_name(c->fn->pdev));
		groups_describe(f, c);
		fprintf(f, "\n      ");
		groups_reason(f, c);
		fputc('\n', f);
		n++;
	}
	return n;
}

static struct member *wanted(struct groups *g, const char *name)
{
	struct member *m = groups_find(g, name);

	if (!m)
		fprintf(stderr, "moat groups: %s: no device %s\n", g->source, name);
	return m;
}

static void sentence(FILE *f, const struct groups *g, struct member *m)
{
	fprintf(f, "%s  ", pci_name(m->fn->pdev));
	groups_describe(f, m);
	if (m->number < 0) {
		fprintf(f, "\nhas no group: no IOMMU translates for it.\n");
		return;
	}
	fprintf(f, "\nis in group %d%s: ", m->number, m->certain ? "" : " (not certain)");
	groups_reason(f, m);
	fprintf(f, "\n\nFrom the device to the root:\n");
	path(f, m->fn->pdev);
	if (m->fn->pdev->dma_alias_dev) {
		fprintf(f, "  and its DMA leaves through:\n");
		path(f, m->fn->pdev->dma_alias_dev);
	}
}

int groups_explain(FILE *f, struct groups *g, const char *a, const char *b)
{
	struct member *ma = wanted(g, a), *mb = b ? wanted(g, b) : NULL;

	if (!ma || (b && !mb))
		return 1;
	sentence(f, g, ma);
	if (!b) {
		if (ma->number < 0)
			return 0;
		fprintf(f, "\nWith it in the group:\n");
		if (!companions(f, g, ma))
			fprintf(f, "  no other device\n");
		return 0;
	}
	fputc('\n', f);
	sentence(f, g, mb);
	fputc('\n', f);
	if (ma->number < 0 || mb->number < 0)
		return 0;
	fprintf(f,
		ma->number == mb->number
			? "They share group %d: each is there for the reason above, and "
			  "nothing marked as isolating\nlies between them and that.\n"
			: "They are apart: group %d and group %d. On at least one of the "
			  "two ways up, all from the point\nwhere the ways part "
			  "isolates.\n",
		ma->number, mb->number);
	return 0;
}

/* Ports stay with their driver; everything else in the group must let go of its. */
static bool must_unbind(const struct member *c)
{
	return !(pci_is_bridge(c->fn->pdev));
}

int groups_passthrough(FILE *f, struct groups *g, const char *name)
{
	static const char *const methods[] = {
		[PCI_RESET_DEVICE_SPECIFIC] = "device specific",
		[PCI_RESET_ACPI] = "ACPI",
		[PCI_RESET_FLR] = "function level (FLR)",
		[PCI_RESET_AF_FLR] = "function level (AF)",
		[PCI_RESET_PM] = "power management",
		[PCI_RESET_BUS] = "bus",
		[PCI_RESET_CXL_BUS] = "CXL bus",
	};
	struct member *m = wanted(g, name);
	unsigned others = 0;
	bool bridge = false;
	struct pci_dev *pdev;

	if (!m)
		return 1;
	pdev = m->fn->pdev;
	fprintf(f, "%s  ", pci_name(pdev));
	groups_describe(f, m);
	fputc('\n', f);
	if (m->number < 0) {
		fprintf(f, "No: no IOMMU translates for it.\n");
		return 0;
	}
	if (pci_is_bridge(pdev)) {
		fprintf(f, "No: vfio-pci takes no bridges.\n");
		return 0;
	}
	for (unsigned i = 0; i < g->nr; i++) {
		const struct member *c = &g->members[i];

		if (c->number != m->number || c == m)
			continue;
		others += must_unbind(c);
		bridge |= pci_is_bridge(c->fn->pdev);
	}
	if (!others)
		fprintf(f, "Yes, by itself: no other endpoint is in group %d%s.\n",
			m->number, m->certain ? "" : " (as far as is known)");
	else
		fprintf(f,
			"Yes, but not alone: these %u of group %d must be unbound from "
			"their drivers, or go along:\n",
			others, m->number);
	for (unsigned i = 0; i < g->nr; i++) {
		const struct member *c = &g->members[i];

		if (c->number != m->number || c == m || !must_unbind(c))
			continue;
		fprintf(f, "  %s  ", pci_name(c->fn->pdev));
		groups_describe(f, c);
		if (c->fn->driver)
			fprintf(f, " (driver %s)", c->fn->driver);
		if (c->fn->pdev->class >> 16 == 6 || c->fn->pdev->class >> 16 == 0xc)
			fprintf(f, "  - the host may need it");
		fputc('\n', f);
	}
	if (bridge)
		fprintf(f, "Ports of the group stay with pcieport, which does not use "
			   "DMA of "
			   "its own.\n");
	for (unsigned i = 0; i < g->nr; i++) {
		const struct member *c = &g->members[i];

		if (c != m && c->fn->pdev->bus == pdev->bus && c->number != m->number &&
		    PCI_SLOT(c->fn->devfn) == PCI_SLOT(pdev->devfn))
			fprintf(f,
				"Of the same card, in group %d: %s (a guest may want it "
				"too).\n",
				c->number, pci_name(c->fn->pdev));
	}
	if (m->fn->unknown & PCI_UNKNOWN_TYPE || m->fn->len <= 64) {
		fprintf(f, "Reset: not known, its capabilities are missing.\n");
		return 0;
	}
	fprintf(f, "Reset:");
	for (unsigned i = 0; i < PCI_NUM_RESET_METHODS && pdev->reset_methods[i]; i++)
		fprintf(f, "%s %s", i ? "," : "", methods[pdev->reset_methods[i]]);
	fprintf(f, "%s.\n",
		pdev->reset_methods[0] ? ""
				       : " none works: a second start of the guest may "
					 "find it in disorder");
	return 0;
}
