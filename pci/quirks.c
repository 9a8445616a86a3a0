// SPDX-License-Identifier: MIT
/*
 * Devices that do not follow the rules, by table: what isolates without an ACS
 * capability, what uses requester ids that are not its own, what must not be reset in
 * some way. Data from drivers/pci/quirks.c of Linux 7.0: pci_dev_acs_enabled[],
 * pci_dev_acs_ops[], quirk_*_alias(), quirk_no_*().
 */
#include "base/err.h"
#include "machine/machine.h"
#include "pci/priv.h"

#define ISOLATED (PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF)

/* ---- isolation without, or besides, the capability ---- */

/* 1: all services in @flags are among those in effect. */
static int in_effect(u16 flags, u16 services)
{
	return (flags & services) == flags;
}

static bool is_port(const struct pci_dev *pdev, int type)
{
	return pci_is_pcie(pdev) && pci_pcie_type(pdev) == type;
}

/* Where an AMD IOMMU is, the southbridge sends peer-to-peer requests through it. */
static int amd_southbridge(struct pci_dev *pdev, u16 flags)
{
	if (!pdev->multifunction || !pci_is_root_bus(pdev->bus) || !pdev->host->amd_iommu)
		return -ENODEV;
	return in_effect(flags & (PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_EC | PCI_ACS_DT),
			 PCI_ACS_RR | PCI_ACS_CR);
}

/* Vendors state that the functions do not talk to one another. */
static int multifunction(struct pci_dev *pdev, u16 flags)
{
	return in_effect(flags, ISOLATED | PCI_ACS_TB | PCI_ACS_DT);
}

static int port(struct pci_dev *pdev, u16 flags)
{
	return in_effect(flags, ISOLATED);
}

static int integrated(struct pci_dev *pdev, u16 flags)
{
	if (pci_pcie_type(pdev) != PCI_EXP_TYPE_RC_END || !pci_is_pcie(pdev))
		return -ENOTTY;
	return in_effect(flags, ISOLATED);
}

static int cavium(struct pci_dev *pdev, u16 flags)
{
	if (!is_port(pdev, PCI_EXP_TYPE_ROOT_PORT) ||
	    !((pdev->device >= 0xa000 && pdev->device <= 0xa7ff) ||
	      pdev->device == 0xaf84 || pdev->device == 0xb884))
		return -ENOTTY;
	return in_effect(flags, ISOLATED);
}

static int zhaoxin(struct pci_dev *pdev, u16 flags)
{
	u16 d = pdev->device;

	if (!is_port(pdev, PCI_EXP_TYPE_ROOT_PORT) &&
	    !is_port(pdev, PCI_EXP_TYPE_DOWNSTREAM))
		return -ENOTTY;
	if ((d >= 0x0710 && d <= 0x071e) || d == 0x0721 || (d >= 0x0723 && d <= 0x0752))
		return in_effect(flags, ISOLATED);
	return 0;
}

static int annapurna(struct pci_dev *pdev, u16 flags)
{
	if (!is_port(pdev, PCI_EXP_TYPE_ROOT_PORT))
		return -ENOTTY;
	return in_effect(flags, ISOLATED);
}

static int wangxun(struct pci_dev *pdev, u16 flags)
{
	static const u16 ids[] = {0x1001, 0x2001, 0x5010, 0x5025,
				  0x5040, 0x5110, 0x5125, 0x5140};
	unsigned i;

	if (pdev->device >= 0x0100 && pdev->device <= 0x010f)
		return in_effect(flags, ISOLATED);
	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		if (pdev->device == ids[i])
			return in_effect(flags, ISOLATED);
	}
	return 0;
}

/* Ranges of root ports of Intel chipsets that isolate but do not say so. */
static const struct {
	u16 first, last, step;
} intel_pch_ports[] = {
	{0x3b42, 0x3b51, 1}, {0x1c10, 0x1c1f, 1}, {0x1e10, 0x1e1f, 1},
	{0x8c10, 0x8c1f, 1}, {0x9c10, 0x9c1b, 1}, {0x9c90, 0x9c9b, 1},
	{0x1d10, 0x1d1e, 2}, {0x8d10, 0x8d1e, 1}, {0x8c90, 0x8c9e, 2},
};

static bool is_intel_pch_port(const struct pci_dev *pdev)
{
	unsigned i;

	if (!is_port(pdev, PCI_EXP_TYPE_ROOT_PORT))
		return false;
	for (i = 0; i < ARRAY_SIZE(intel_pch_ports); i++) {
		if (pdev->device >= intel_pch_ports[i].first &&
		    pdev->device <= intel_pch_ports[i].last &&
		    !((pdev->device - intel_pch_ports[i].first) %
		      intel_pch_ports[i].step))
			return true;
	}
	return false;
}

static int intel_pch(struct pci_dev *pdev, u16 flags)
{
	if (!is_intel_pch_port(pdev))
		return -ENOTTY;
	return in_effect(
		flags, pdev->dev_flags & PCI_DEV_FLAGS_ACS_ENABLED_QUIRK ? ISOLATED : 0);
}

/* Sunrise Point and later: the capability's registers are 32 bits wide each. */
static bool is_intel_spt_port(const struct pci_dev *pdev)
{
	u16 d = pdev->device;

	return is_port(pdev, PCI_EXP_TYPE_ROOT_PORT) && pdev->acs_cap &&
	       ((d >= 0xa110 && d <= 0xa11f) || (d >= 0xa167 && d <= 0xa16a) ||
		(d >= 0xa290 && d <= 0xa29f) || (d >= 0xa2e7 && d <= 0xa2ee) ||
		(d >= 0x9d10 && d <= 0x9d1b));
}

#define SPT_ACS_CTRL (PCI_ACS_CAP + 4)

static int intel_spt(struct pci_dev *pdev, u16 flags)
{
	u32 cap, ctrl;

	if (!is_intel_spt_port(pdev))
		return -ENOTTY;
	pci_read_config_dword(pdev, pdev->acs_cap + PCI_ACS_CAP, &cap);
	pci_read_config_dword(pdev, pdev->acs_cap + SPT_ACS_CTRL, &ctrl);
	return in_effect((u16)(flags & (cap | PCI_ACS_EC)), (u16)ctrl);
}

static const u16 ids_1002_amd_southbridge[] = {
	0x4385, 0x439c, 0x4383, 0x439d, 0x4384, 0x4399, 0,
};
static const u16 ids_1022_amd_southbridge[] = {
	0x780f,
	0x7809,
	0,
};
static const u16 ids_1924_multifunction[] = {
	0x0903,
	0x0923,
	0x0a03,
	0,
};
static const u16 ids_8086_multifunction[] = {
	0x10c6, 0x10db, 0x10dd, 0x10e1, 0x10f1, 0x10f7, 0x10f8, 0x10f9, 0x10fa, 0x10fb,
	0x10fc, 0x1507, 0x1514, 0x151c, 0x1529, 0x152a, 0x154d, 0x154f, 0x1551, 0x1558,
	0x1509, 0x150e, 0x150f, 0x1510, 0x1511, 0x1516, 0x1527, 0x10c9, 0x10e6, 0x10e7,
	0x10e8, 0x150a, 0x150d, 0x1518, 0x1526, 0x10a7, 0x10a9, 0x10d6, 0x1521, 0x1522,
	0x1523, 0x1524, 0x105e, 0x105f, 0x1060, 0x10d9, 0x15b7, 0x15b8, 0,
};
static const u16 ids_17cb_port[] = {
	0x0400, 0x0401, 0x0115, 0x0111, 0x0120, 0,
};
static const u16 ids_1dbf_port[] = {
	0x0401,
	0,
};
static const u16 ids_19a2_multifunction[] = {
	0x0710,
	0,
};
static const u16 ids_10df_multifunction[] = {
	0x0720,
	0,
};
static const u16 ids_177d_multifunction[] = {
	0xa026,
	0xa059,
	0xa060,
	0,
};
static const u16 ids_10e8_port[] = {
	0xe004,
	0,
};
static const u16 ids_1def_port[] = {
	0xe005, 0xe006, 0xe007, 0xe008, 0xe009, 0xe00a, 0xe00b, 0xe00c, 0,
};
static const u16 ids_14e4_multifunction[] = {
	0x16d7, 0x1750, 0x1751, 0x1752, 0x1760, 0x1761, 0x1762, 0x1763, 0,
};
static const u16 ids_14e4_port[] = {
	0xd714,
	0,
};
static const u16 ids_0014_port[] = {
	0x3c09, 0x3c19, 0x3c29, 0x7a09, 0x7a19, 0x7a29, 0x7a39, 0x7a49, 0x7a59, 0x7a69, 0,
};
static const u16 ids_1c36_annapurna[] = {
	0x0031,
	0,
};
static const u16 ids_1d17_multifunction[] = {
	0x3038,
	0x3104,
	0x9083,
	0,
};
static const u16 ids_1957_port[] = {
	0x8d81, 0x8da1, 0x8d83, 0x8d80, 0x8da0, 0x8d82, 0x8d90, 0x8db0, 0x8d92,
	0x8d91, 0x8db1, 0x8d93, 0x8d89, 0x8da9, 0x8d8b, 0x8d88, 0x8da8, 0x8d8a,
	0x8d98, 0x8db8, 0x8d9a, 0x8d99, 0x8db9, 0x8d9b, 0,
};

/* In this order; ids end with 0, NULL: all of the vendor. */
static const struct {
	u16 vendor;
	int (*rule)(struct pci_dev *pdev, u16 flags);
	const u16 *ids;
} acs_rules[] = {
	{0x1002, amd_southbridge, ids_1002_amd_southbridge},
	{0x1022, amd_southbridge, ids_1022_amd_southbridge},
	{0x1924, multifunction, ids_1924_multifunction},
	{0x8086, multifunction, ids_8086_multifunction},
	{0x8086, integrated, NULL},
	{0x17cb, port, ids_17cb_port},
	{0x1dbf, port, ids_1dbf_port},
	{0x8086, intel_pch, NULL},
	{0x8086, intel_spt, NULL},
	{0x19a2, multifunction, ids_19a2_multifunction},
	{0x10df, multifunction, ids_10df_multifunction},
	{0x177d, cavium, NULL},
	{0x177d, multifunction, ids_177d_multifunction},
	{0x10e8, port, ids_10e8_port},
	{0x1def, port, ids_1def_port},
	{0x14e4, multifunction, ids_14e4_multifunction},
	{0x14e4, port, ids_14e4_port},
	{0x0014, port, ids_0014_port},
	{0x1c36, annapurna, ids_1c36_annapurna},
	{0x1d17, multifunction, ids_1d17_multifunction},
	{0x1957, port, ids_1957_port},
	{0x1d17, zhaoxin, NULL},
	{0x8088, wangxun, NULL},
};

static bool listed(const u16 *ids, u16 device)
{
	if (!ids)
		return true;
	for (; *ids; ids++) {
		if (*ids == device)
			return true;
	}
	return false;
}

int pci_dev_specific_acs_enabled(struct pci_dev *pdev, u16 acs_flags)
{
	unsigned i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(acs_rules); i++) {
		if (acs_rules[i].vendor != pdev->vendor ||
		    !listed(acs_rules[i].ids, pdev->device))
			continue;
		ret = acs_rules[i].rule(pdev, acs_flags);
		if (ret >= 0)
			return ret;
	}
	return -ENOTTY;
}

/* The chipset's register block must be there (RCBA enabled) for the port to be set up. */
static void enable_intel_pch(struct pci_dev *pdev)
{
	struct pci_host *host = pdev->host;
	u32 rcba = host->ops->read(host, pdev->bus->domain, pdev->bus->number,
				   PCI_DEVFN(31, 0), 0xf0, 4);
	u32 mpc;

	if (rcba == ~0U || !(rcba & 1))
		return;
	pci_read_config_dword(pdev, 0xd8, &mpc);
	pci_write_config_dword(pdev, 0xd8, mpc | BIT(26));
	pdev->dev_flags |= PCI_DEV_FLAGS_ACS_ENABLED_QUIRK;
}

int pci_dev_specific_enable_acs(struct pci_dev *pdev)
{
	u32 cap, ctrl;

	if (pdev->vendor != PCI_VENDOR_ID_INTEL)
		return -ENOTTY;
	if (is_intel_pch_port(pdev)) {
		enable_intel_pch(pdev);
		return 0;
	}
	if (!is_intel_spt_port(pdev))
		return -ENOTTY;
	pci_read_config_dword(pdev, pdev->acs_cap + PCI_ACS_CAP, &cap);
	pci_read_config_dword(pdev, pdev->acs_cap + SPT_ACS_CTRL, &ctrl);
	ctrl |= cap & ISOLATED;
	if (pdev->external_facing || pdev->untrusted)
		ctrl |= cap & PCI_ACS_TB;
	pci_write_config_dword(pdev, pdev->acs_cap + SPT_ACS_CTRL, ctrl);
	return 0;
}

int pci_dev_specific_disable_acs_redir(struct pci_dev *pdev)
{
	u32 ctrl;

	if (pdev->vendor != PCI_VENDOR_ID_INTEL || !is_intel_spt_port(pdev))
		return -ENOTTY;
	pci_read_config_dword(pdev, pdev->acs_cap + SPT_ACS_CTRL, &ctrl);
	ctrl &= ~(u32)(PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_EC);
	pci_write_config_dword(pdev, pdev->acs_cap + SPT_ACS_CTRL, ctrl);
	return 0;
}

/* IDT switches whose source validation drops good requests. */
void pci_disable_broken_acs_cap(struct pci_dev *pdev)
{
	if (pdev->vendor == 0x111d && (pdev->device == 0x80b5 || pdev->device == 0x8090))
		pdev->acs_capabilities &= (u16)~PCI_ACS_SV;
}

/* ---- requester ids and resets ---- */

enum fixup {
	ALIAS_FUNC0, /* DMA of all functions carries function 0 */
	ALIAS_FUNC1,
	ALIAS_SLOT1,	 /* 01.0 of the same bus; adaptec boards by subsystem */
	ALIAS_SECONDARY, /* a PCIe-to-PCI bridge without the capability that says so */
	ALIAS_MIC,
	ALIAS_VCA,
	ALIAS_ALL,  /* non-transparent bridges: any id of the bus */
	XLATE_ROOT, /* translation happens at this bridge */
	BRIDGE_NO_ALIAS,
	NO_BUS_RESET,
	NO_PM_RESET,
	NO_FLR,
};

static const struct {
	u16 vendor, device;
	u8 fixup; /* enum fixup */
} fixups[] = {
	{0x1180, 0xe832, ALIAS_FUNC0},	   {0x1180, 0xe476, ALIAS_FUNC0},
	{0x6766, 0x3d40, ALIAS_FUNC0},	   {0x6766, 0x3d41, ALIAS_FUNC0},
	{0x1b4b, 0x9120, ALIAS_FUNC1},	   {0x1b4b, 0x9123, ALIAS_FUNC1},
	{0x1b4b, 0x9125, ALIAS_FUNC1},	   {0x1b4b, 0x9128, ALIAS_FUNC1},
	{0x1b4b, 0x9130, ALIAS_FUNC1},	   {0x1b4b, 0x9170, ALIAS_FUNC1},
	{0x1b4b, 0x9172, ALIAS_FUNC1},	   {0x1b4b, 0x917a, ALIAS_FUNC1},
	{0x1b4b, 0x9182, ALIAS_FUNC1},	   {0x1b4b, 0x9183, ALIAS_FUNC1},
	{0x1b4b, 0x91a0, ALIAS_FUNC1},	   {0x1b4b, 0x9215, ALIAS_FUNC1},
	{0x1b4b, 0x9220, ALIAS_FUNC1},	   {0x1b4b, 0x9230, ALIAS_FUNC1},
	{0x1b4b, 0x9235, ALIAS_FUNC1},	   {0x1103, 0x0642, ALIAS_FUNC1},
	{0x1103, 0x0645, ALIAS_FUNC1},	   {0x197b, 0x2392, ALIAS_FUNC1},
	{0x1c28, 0x0122, ALIAS_FUNC1},	   {0x9005, 0x0285, ALIAS_SLOT1},
	{0x1b21, 0x1080, ALIAS_SECONDARY}, {0x10e3, 0x8113, ALIAS_SECONDARY},
	{0x1283, 0x8892, ALIAS_SECONDARY}, {0x1283, 0x8893, ALIAS_SECONDARY},
	{0x8086, 0x244e, ALIAS_SECONDARY}, {0x8086, 0x2260, ALIAS_MIC},
	{0x8086, 0x2264, ALIAS_MIC},	   {0x8086, 0x2954, ALIAS_VCA},
	{0x8086, 0x2955, ALIAS_VCA},	   {0x8086, 0x2956, ALIAS_VCA},
	{0x8086, 0x2958, ALIAS_VCA},	   {0x8086, 0x2959, ALIAS_VCA},
	{0x8086, 0x295a, ALIAS_VCA},	   {0x10b5, 0x87b0, ALIAS_ALL},
	{0x10b5, 0x87b1, ALIAS_ALL},	   {0x14e4, 0x9000, XLATE_ROOT},
	{0x14e4, 0x9084, XLATE_ROOT},	   {0x1a03, 0x1150, BRIDGE_NO_ALIAS},
	{0x10de, 0x22ce, NO_BUS_RESET},	   {0x10de, 0x22d0, NO_BUS_RESET},
	{0x168c, 0x0030, NO_BUS_RESET},	   {0x168c, 0x0032, NO_BUS_RESET},
	{0x168c, 0x003c, NO_BUS_RESET},	   {0x168c, 0x0033, NO_BUS_RESET},
	{0x168c, 0x0034, NO_BUS_RESET},	   {0x168c, 0x003e, NO_BUS_RESET},
	{0x177d, 0xa100, NO_BUS_RESET},	   {0x104c, 0xb005, NO_BUS_RESET},
	{0x1b21, 0x1164, NO_BUS_RESET},	   {0x15b3, 0xcb84, NO_PM_RESET},
	{0x15b3, 0xcf6c, NO_PM_RESET},	   {0x15b3, 0xcf70, NO_PM_RESET},
	{0x15b3, 0xcf80, NO_PM_RESET},	   {0x1022, 0x1487, NO_FLR},
	{0x1022, 0x148c, NO_FLR},	   {0x1022, 0x149c, NO_FLR},
	{0x1022, 0x7901, NO_FLR},	   {0x1022, 0x1502, NO_FLR},
	{0x1022, 0x17f0, NO_FLR},	   {0x8086, 0x1502, NO_FLR},
	{0x8086, 0x1503, NO_FLR},	   {0x14c3, 0x0616, NO_FLR},
};

static void alias_secondary(struct pci_dev *pdev)
{
	struct pci_dev *above = pci_upstream_bridge(pdev);

	if (above && pdev->hdr_type == PCI_HEADER_TYPE_BRIDGE && !pci_is_pcie(pdev) &&
	    pci_is_pcie(above) && pci_pcie_type(above) != PCI_EXP_TYPE_PCI_BRIDGE)
		pdev->dev_flags |= PCI_DEV_FLAG_PCIE_BRIDGE_ALIAS;
}

static void apply(struct pci_dev *pdev, enum fixup fixup)
{
	unsigned slot = PCI_SLOT(pdev->devfn), fn = PCI_FUNC(pdev->devfn);

	switch (fixup) {
	case ALIAS_FUNC0:
		if (fn != 0)
			pci_add_dma_alias(pdev, PCI_DEVFN(slot, 0), 1);
		break;
	case ALIAS_FUNC1:
		if (fn != 1)
			pci_add_dma_alias(pdev, PCI_DEVFN(slot, 1), 1);
		break;
	case ALIAS_SLOT1:
		if (pdev->subsystem_vendor == 0x9005 &&
		    (pdev->subsystem_device == 0x02bb ||
		     pdev->subsystem_device == 0x02bc))
			pci_add_dma_alias(pdev, PCI_DEVFN(1, 0), 1);
		break;
	case ALIAS_SECONDARY:
		alias_secondary(pdev);
		break;
	case ALIAS_MIC:
		pci_add_dma_alias(pdev, PCI_DEVFN(0x10, 0), 1);
		pci_add_dma_alias(pdev, PCI_DEVFN(0x11, 0), 1);
		pci_add_dma_alias(pdev, PCI_DEVFN(0x12, 3), 1);
		break;
	case ALIAS_VCA:
		for (slot = 0; slot < 32; slot++)
			pci_add_dma_alias(pdev, PCI_DEVFN(slot, 0), 5);
		break;
	case ALIAS_ALL:
		pci_add_dma_alias(pdev, 0, 256);
		break;
	case XLATE_ROOT:
		pdev->dev_flags |= PCI_DEV_FLAGS_BRIDGE_XLATE_ROOT;
		break;
	case BRIDGE_NO_ALIAS:
		pdev->dev_flags |= PCI_DEV_FLAGS_PCI_BRIDGE_NO_ALIAS;
		break;
	case NO_BUS_RESET:
		pdev->dev_flags |= PCI_DEV_FLAGS_NO_BUS_RESET;
		break;
	case NO_PM_RESET:
		if (!pci_is_root_bus(pdev->bus))
			pdev->dev_flags |= PCI_DEV_FLAGS_NO_PM_RESET;
		break;
	case NO_FLR:
		pdev->dev_flags |= PCI_DEV_FLAGS_NO_FLR_RESET;
		break;
	}
}

void pci_fixup_header(struct pci_dev *pdev)
{
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(fixups); i++) {
		if (fixups[i].vendor == pdev->vendor && fixups[i].device == pdev->device)
			apply(pdev, fixups[i].fixup);
	}
	if (pdev->vendor == 0x10de && (pdev->device & 0xffc0) == 0x2340)
		apply(pdev, NO_BUS_RESET);
	if (pdev->vendor == 0x1002 && pdev->class >> 8 == 0x0300)
		apply(pdev, NO_PM_RESET);
}
