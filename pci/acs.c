// SPDX-License-Identifier: MIT
/*
 * Access Control Services: switching them on, and whether they, or what stands in
 * for them, keep a device from its peers (PCI Express 5.0 section 6.12;
 * drivers/pci/pci.c: pci_enable_acs(), pci_acs_enabled()). What counts is the control
 * register, for the services that the capability register offers.
 */
#include <stdlib.h>
#include <string.h>

#include "machine/machine.h"
#include "pci/priv.h"

#define ACS_ALL                                                                        \
	(PCI_ACS_SV | PCI_ACS_TB | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF | PCI_ACS_EC | \
	 PCI_ACS_DT)

void pci_acs_init(struct pci_dev *pdev)
{
	pdev->acs_cap = pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_ACS);
	if (!pdev->acs_cap)
		return;
	pci_read_config_word(pdev, pdev->acs_cap + PCI_ACS_CAP, &pdev->acs_capabilities);
	pci_read_config_word(pdev, pdev->acs_cap + PCI_ACS_CTRL, &pdev->acs_firmware);
	pci_disable_broken_acs_cap(pdev);
}

/* A hexadecimal number of at most @max. */
static int parse_hex(const char **p, unsigned long max, unsigned *out)
{
	char *end;
	unsigned long val;

	if (!((**p >= '0' && **p <= '9') || ((**p | 0x20) >= 'a' && (**p | 0x20) <= 'f')))
		return -EINVAL;
	val = strtoul(*p, &end, 16);
	if (val > max)
		return -EINVAL;
	*out = (unsigned)val;
	*p = end;
	return 0;
}

/* "vendor:device[:subvendor:subdevice]" behind "pci:"; 0 fits all. */
static int match_ids(const struct pci_dev *pdev, const char **pos)
{
	const char *p = *pos;
	unsigned id[4] = {0};
	int n = 0;

	for (; n < 4; n++) {
		if (n && (*p != ':' || !p++))
			break;
		if (parse_hex(&p, 0xffff, &id[n]))
			return -EINVAL;
	}
	if (n != 2 && n != 4)
		return -EINVAL;
	*pos = p;
	return (!id[0] || id[0] == pdev->vendor) && (!id[1] || id[1] == pdev->device) &&
	       (!id[2] || id[2] == pdev->subsystem_vendor) &&
	       (!id[3] || id[3] == pdev->subsystem_device);
}

/* "[domain:]bus:slot.fn[/slot.fn]...": the path down from a device on a root's bus. */
static int match_path(struct pci_dev *pdev, const char **pos)
{
	const char *p = *pos;
	unsigned num[4], hops[64], nr = 0, n = 0, fn;

	*pos = p + strcspn(p, ";");
	for (;;) {
		if (n == 4 || parse_hex(&p, 0xffff, &num[n]))
			return -EINVAL;
		n++;
		if (*p == '.')
			break;
		if (*p++ != ':')
			return -EINVAL;
	}
	p++;
	if (n < 2 || parse_hex(&p, 7, &fn))
		return -EINVAL;
	while (*p == '/') {
		unsigned slot, func;

		p++;
		if (nr == ARRAY_SIZE(hops) || parse_hex(&p, 31, &slot) || *p++ != '.' ||
		    parse_hex(&p, 7, &func))
			return -EINVAL;
		hops[nr++] = PCI_DEVFN(slot, func);
	}
	if (p != *pos)
		return -EINVAL;
	while (nr--) {
		if (pdev->devfn != hops[nr])
			return 0;
		pdev = pci_upstream_bridge(pdev);
		if (!pdev)
			return 0;
	}
	return (n == 3 ? num[0] : 0) == pdev->bus->domain &&
	       num[n - 2] == pdev->bus->number &&
	       pdev->devfn == PCI_DEVFN(num[n - 1], fn);
}

static int str_match(struct pci_dev *pdev, const char **p)
{
	if (strncmp(*p, "pci:", 4))
		return match_path(pdev, p);
	*p += 4;
	return match_ids(pdev, p);
}

/* "01x...@": bits from the right, x leaves a bit as firmware set it. */
static int parse_flags(const char **p, u16 *mask, u16 *flags)
{
	const char *at = strchr(*p, '@'), *c;
	unsigned shift = 0;

	if (!at)
		return -EINVAL;
	*mask = *flags = 0;
	for (c = at; c-- > *p; shift++) {
		if (shift > 15)
			return -EINVAL;
		if (*c == '0' || *c == '1')
			*mask |= (u16)BIT(shift);
		else if ((*c | 0x20) != 'x')
			return -EINVAL;
		if (*c == '1')
			*flags |= (u16)BIT(shift);
	}
	*p = at + 1;
	return *mask & ~ACS_ALL ? -EINVAL : 0;
}

static void config_acs(struct pci_dev *pdev, const char *p, bool flags_given,
		       u16 firmware, u16 *ctrl)
{
	u16 mask = PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_EC, flags = 0;
	int ret = 0;

	while (p && *p) {
		if (flags_given && parse_flags(&p, &mask, &flags))
			return;
		ret = str_match(pdev, &p);
		if (ret || (*p != ';' && *p != ','))
			break;
		p++;
	}
	if (ret != 1 || !pci_dev_specific_disable_acs_redir(pdev))
		return;
	*ctrl = (u16)((firmware & ~mask) | (flags & mask));
}

void pci_enable_acs(struct pci_dev *pdev)
{
	struct pci_host *host = pdev->host;
	bool standard = host->acs_requested && pci_dev_specific_enable_acs(pdev) != 0;
	u16 ctrl, firmware = pdev->acs_firmware;

	if (!pdev->acs_cap)
		return;
	ctrl = firmware;
	if (standard) {
		ctrl |= pdev->acs_capabilities &
			(PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF);
		if (pdev->external_facing || pdev->untrusted)
			ctrl |= pdev->acs_capabilities & PCI_ACS_TB;
	}
	config_acs(pdev, host->disable_acs_redir, false, firmware, &ctrl);
	config_acs(pdev, host->config_acs, true, firmware, &ctrl);
	pci_write_config_word(pdev, pdev->acs_cap + PCI_ACS_CTRL, ctrl);
}

void pci_request_acs(struct pci_host *host, bool on)
{
	struct pci_dev *pdev;

	host->acs_requested = on;
	for_each_pci_dev(host, pdev)
	{
		if (on)
			pci_enable_acs(pdev);
		else if (pdev->acs_cap)
			pci_write_config_word(pdev, pdev->acs_cap + PCI_ACS_CTRL,
					      pdev->acs_firmware);
	}
}

static bool flags_enabled(struct pci_dev *pdev, u16 flags)
{
	u16 ctrl;

	if (!pdev->acs_cap)
		return false;
	/* A service that the device does not offer need not be on, save egress control.
	 */
	flags &= pdev->acs_capabilities | PCI_ACS_EC;
	pci_read_config_word(pdev, pdev->acs_cap + PCI_ACS_CTRL, &ctrl);
	return (ctrl & flags) == flags;
}

bool pci_acs_enabled(struct pci_dev *pdev, u16 acs_flags)
{
	int ret = pci_dev_specific_acs_enabled(pdev, acs_flags);

	if (ret >= 0)
		return ret > 0;
	if (!pci_is_pcie(pdev))
		return false; /* a shared bus: peers hear everything */
	switch (pci_pcie_type(pdev)) {
	case PCI_EXP_TYPE_PCIE_BRIDGE:
	case PCI_EXP_TYPE_PCI_BRIDGE:
	case PCI_EXP_TYPE_RC_EC:
		return false;
	case PCI_EXP_TYPE_DOWNSTREAM:
	case PCI_EXP_TYPE_ROOT_PORT:
		return flags_enabled(pdev, acs_flags);
	case PCI_EXP_TYPE_ENDPOINT:
	case PCI_EXP_TYPE_UPSTREAM:
	case PCI_EXP_TYPE_LEG_END:
	case PCI_EXP_TYPE_RC_END:
		/* Only between functions could there be traffic without a switch. */
		return !pdev->multifunction || flags_enabled(pdev, acs_flags);
	}
	return true;
}

bool pci_acs_path_enabled(struct pci_dev *start, struct pci_dev *end, u16 acs_flags)
{
	struct pci_dev *pdev, *parent = start;

	do {
		pdev = parent;
		if (!pci_acs_enabled(pdev, acs_flags))
			return false;
		if (pci_is_root_bus(pdev->bus))
			return !end;
		parent = pdev->bus->self;
		if (!parent)
			return !end;
	} while (pdev != end);
	return true;
}
