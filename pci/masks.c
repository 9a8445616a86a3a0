// SPDX-License-Identifier: MIT
/*
 * Which bits of a function's registers software can write, which a one clears, and
 * which outlive a function-level reset: derived from the registers themselves, so a
 * function composed here and one given as an image behave alike. A list of
 * capabilities that loops or leaves the space ends where it does.
 */
#include <string.h>

#include "base/bitmap.h"
#include "pci/bytes.h"
#include "pci/compose.h"

static void masks_bars(struct pci_function *fn, const struct hw_bar *bar)
{
	bool bridge = (fn->reset[PCI_HEADER_TYPE] & PCI_HEADER_TYPE_MASK) ==
		      PCI_HEADER_TYPE_BRIDGE;
	unsigned nr = bridge ? 2 : HW_NR_BARS,
		 rom = bridge ? PCI_ROM_ADDRESS1 : PCI_ROM_ADDRESS;
	unsigned i;

	for (i = 0; i < HW_NR_BARS; i++) {
		u8 *reg = fn->reset + PCI_BASE_ADDRESS_0 + 4 * i;
		u8 *mask = fn->wmask + PCI_BASE_ADDRESS_0 + 4 * i;
		u64 bits = ~(bar[i].size - 1);

		if (i >= nr)
			break;
		if (!bar[i].size)
			continue;
		if (bar[i].flags & HW_BAR_IO) {
			put32(mask, (u32)bits & (u32)PCI_BASE_ADDRESS_IO_MASK);
			put32(reg, get32(reg) & ~(u32)PCI_BASE_ADDRESS_IO_MASK);
			continue;
		}
		put32(mask, (u32)bits & (u32)PCI_BASE_ADDRESS_MEM_MASK);
		put32(reg, get32(reg) & ~(u32)PCI_BASE_ADDRESS_MEM_MASK);
		if (bar[i].flags & HW_BAR_64 && i + 1 < nr) {
			put32(mask + 4, (u32)(bits >> 32));
			put32(reg + 4, 0);
			i++;
		}
	}
	if (bar[HW_NR_BARS].size) {
		put32(fn->wmask + rom,
		      ((u32) ~(bar[HW_NR_BARS].size - 1) & PCI_ROM_ADDRESS_MASK) |
			      PCI_ROM_ADDRESS_ENABLE);
		put32(fn->reset + rom, 0);
	}
}

static void masks_header(struct pci_function *fn)
{
	u8 *w = fn->wmask;

	put16(w + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
				       PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
	put16(fn->w1c + PCI_STATUS, PCI_STATUS_ERROR_BITS);
	w[PCI_CACHE_LINE_SIZE] = 0xff;
	w[PCI_INTERRUPT_LINE] = 0xff;
	if ((fn->reset[PCI_HEADER_TYPE] & PCI_HEADER_TYPE_MASK) != PCI_HEADER_TYPE_BRIDGE)
		return;
	w[PCI_PRIMARY_BUS] = w[PCI_SECONDARY_BUS] = w[PCI_SUBORDINATE_BUS] = 0xff;
	w[PCI_IO_BASE] = w[PCI_IO_LIMIT] = 0xf0;
	put16(fn->w1c + PCI_SEC_STATUS, PCI_STATUS_ERROR_BITS);
	put32(w + PCI_MEMORY_BASE, 0xfff0fff0);
	put32(w + PCI_PREF_MEMORY_BASE, 0xfff0fff0);
	if ((fn->reset[PCI_PREF_MEMORY_BASE] & 0xf) == PCI_PREF_RANGE_TYPE_64) {
		put32(w + PCI_PREF_BASE_UPPER32, ~0U);
		put32(w + PCI_PREF_LIMIT_UPPER32, ~0U);
	}
	if ((fn->reset[PCI_IO_BASE] & 0xf) == PCI_IO_RANGE_TYPE_32)
		put32(w + PCI_IO_BASE_UPPER16, ~0U);
	put16(w + PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_PARITY | PCI_BRIDGE_CTL_SERR |
					      PCI_BRIDGE_CTL_ISA | PCI_BRIDGE_CTL_VGA |
					      PCI_BRIDGE_CTL_MASTER_ABORT |
					      PCI_BRIDGE_CTL_BUS_RESET);
}

static void masks_msi(struct pci_function *fn, unsigned pos)
{
	u16 flags = get16(fn->reset + pos + PCI_MSI_FLAGS);
	bool wide = flags & PCI_MSI_FLAGS_64BIT;
	unsigned size = wide ? 14 : 10;
	u8 *w = fn->wmask + pos;

	if (flags & PCI_MSI_FLAGS_MASKBIT)
		size = wide ? 24 : 20;
	if (pos + size > PCI_CFG_SPACE_SIZE)
		return;
	put16(w + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
	put32(w + PCI_MSI_ADDRESS_LO, 0xfffffffc);
	if (wide)
		put32(w + PCI_MSI_ADDRESS_HI, ~0U);
	put16(w + (wide ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32), 0xffff);
	if (flags & PCI_MSI_FLAGS_MASKBIT) {
		unsigned vectors = 1U << min((flags & PCI_MSI_FLAGS_QMASK) >> 1, 5);

		put32(w + (wide ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32),
		      (u32)GENMASK_ULL(vectors - 1, 0));
	}
	fn->msi_cap = (u16)pos;
}

static void masks_pcie(struct pci_function *fn, unsigned pos)
{
	const u8 *r = fn->reset + pos;
	u8 *w = fn->wmask + pos, *c = fn->w1c + pos, *s = fn->sticky + pos;
	u16 flags = get16(r + PCI_EXP_FLAGS);
	u16 type = (flags & PCI_EXP_FLAGS_TYPE) >> 4;
	bool v2 = (flags & PCI_EXP_FLAGS_VERS) >= 2;
	bool port = type == PCI_EXP_TYPE_ROOT_PORT || type == PCI_EXP_TYPE_DOWNSTREAM;

	if (pos + (v2 ? PCI_EXP_SIZEOF_V2 : 0x14) > PCI_CFG_SPACE_SIZE)
		return;
	put16(w + PCI_EXP_DEVCTL,
	      0x000f | PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_PAYLOAD |
		      PCI_EXP_DEVCTL_NOSNOOP_EN | PCI_EXP_DEVCTL_READRQ);
	put16(s + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_PAYLOAD);
	put16(c + PCI_EXP_DEVSTA, 0x000f);
	if (type != PCI_EXP_TYPE_RC_END && type != PCI_EXP_TYPE_RC_EC) {
		put16(w + PCI_EXP_LNKCTL, port ? 0x00db : 0x00c3);
		put16(s + PCI_EXP_LNKCTL, 0x00c3);
	}
	if (flags & PCI_EXP_FLAGS_SLOT && v2) {
		put16(w + PCI_EXP_SLTCTL, 0x17ff);
		put16(c + PCI_EXP_SLTSTA, 0x011f);
	}
	if (type == PCI_EXP_TYPE_ROOT_PORT && v2) {
		put16(w + PCI_EXP_RTCTL, 0x001f);
		put32(c + PCI_EXP_RTSTA, 0x00010000);
	}
	if (v2 && port && get32(r + PCI_EXP_DEVCAP2) & PCI_EXP_DEVCAP2_ARI)
		put16(w + PCI_EXP_DEVCTL2, PCI_EXP_DEVCTL2_ARI);
	fn->pcie_cap = (u16)pos;
}

static void masks_caps(struct pci_function *fn, unsigned long *used)
{
	unsigned pos = fn->reset[PCI_CAPABILITY_LIST] & ~3U, ttl = 48;

	if (!(fn->reset[PCI_STATUS] & PCI_STATUS_CAP_LIST))
		return;
	for (; pos >= 0x40 && ttl--; pos = fn->reset[pos + PCI_CAP_LIST_NEXT] & ~3U) {
		const u8 *r = fn->reset + pos;
		unsigned size = 2;

		switch (r[PCI_CAP_LIST_ID]) {
		case PCI_CAP_ID_PM:
			size = PCI_PM_SIZEOF;
			if (pos + size > PCI_CFG_SPACE_SIZE)
				break;
			put16(fn->wmask + pos + PCI_PM_CTRL,
			      PCI_PM_CTRL_STATE_MASK |
				      (get16(r + PCI_PM_PMC) & PCI_PM_CAP_PME_MASK
					       ? PCI_PM_CTRL_PME_ENABLE
					       : 0));
			put16(fn->w1c + pos + PCI_PM_CTRL, PCI_PM_CTRL_PME_STATUS);
			fn->pm_cap = (u16)pos;
			break;
		case PCI_CAP_ID_MSI:
			size = 24;
			masks_msi(fn, pos);
			break;
		case PCI_CAP_ID_MSIX:
			size = PCI_MSIX_SIZEOF;
			if (pos + size > PCI_CFG_SPACE_SIZE)
				break;
			put16(fn->wmask + pos + PCI_MSIX_FLAGS,
			      PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
			fn->msix_cap = (u16)pos;
			break;
		case PCI_CAP_ID_AF:
			size = 6;
			if (pos + size <= PCI_CFG_SPACE_SIZE)
				fn->af_cap = (u16)pos;
			break;
		case PCI_CAP_ID_EXP:
			size = PCI_EXP_SIZEOF_V2;
			masks_pcie(fn, pos);
			break;
		case PCI_CAP_ID_VNDR:
			size = max(r[2], (u8)3);
			break;
		case PCI_CAP_ID_SSVID:
		case PCI_CAP_ID_SATA:
		case PCI_CAP_ID_SHPC:
			size = 8;
			break;
		}
		bitmap_set(used, pos, min(size, PCI_CFG_SPACE_SIZE - pos));
	}
}

static void masks_ext_caps(struct pci_function *fn)
{
	unsigned pos = PCI_CFG_SPACE_SIZE, ttl = (PCI_CFG_SPACE_EXP_SIZE - 256) / 8;

	while (fn->cfg_size > PCI_CFG_SPACE_SIZE && pos >= PCI_CFG_SPACE_SIZE &&
	       pos + 8 <= PCI_CFG_SPACE_EXP_SIZE && ttl--) {
		const u8 *r = fn->reset + pos;
		u32 header = get32(r);

		if (!header)
			break;
		switch (PCI_EXT_CAP_ID(header)) {
		case PCI_EXT_CAP_ID_ACS:
			put16(fn->wmask + pos + PCI_ACS_CTRL,
			      get16(r + PCI_ACS_CAP) & 0x7f);
			break;
		case PCI_EXT_CAP_ID_ERR:
			if (pos + 0x18 > PCI_CFG_SPACE_EXP_SIZE)
				break;
			put32(fn->w1c + pos + 0x04, ~0U); /* uncorrectable status */
			put32(fn->wmask + pos + 0x08, 0x027ff030); /* mask */
			put32(fn->wmask + pos + 0x0c, 0x027ff030); /* severity */
			put32(fn->w1c + pos + 0x10, ~0U); /* correctable status */
			put32(fn->wmask + pos + 0x14, 0x0000f1c1); /* mask */
			memset(fn->sticky + pos + 4, 0xff, 0x14);
			break;
		case PCI_EXT_CAP_ID_LTR:
			put32(fn->wmask + pos + 4, 0x1fff1fff);
			break;
		}
		pos = PCI_EXT_CAP_NEXT(header);
	}
}

void pci_derive_masks(struct pci_function *fn, const struct hw_bar *bar)
{
	DECLARE_BITMAP(used, PCI_CFG_SPACE_SIZE) = {0};
	unsigned i;

	masks_header(fn);
	masks_bars(fn, bar);
	masks_caps(fn, used);
	masks_ext_caps(fn);
	for (i = 0x40; fn->desc.scratch && i < PCI_CFG_SPACE_SIZE; i++) {
		if (!test_bit(i, used))
			fn->wmask[i] = 0xff;
	}
	/* Registers that start as zero whatever an image was saved with. */
	if (fn->msi_cap) {
		u8 *w = fn->wmask + fn->msi_cap, *r = fn->reset + fn->msi_cap;

		for (i = 2; i < 24 && fn->msi_cap + i < PCI_CFG_SPACE_SIZE; i++)
			r[i] &= ~w[i];
	}
	if (fn->msix_cap) {
		u8 *r = fn->reset + fn->msix_cap + PCI_MSIX_FLAGS;

		put16(r, get16(r) & PCI_MSIX_FLAGS_QSIZE);
	}
	if (fn->pm_cap) {
		u8 *r = fn->reset + fn->pm_cap + PCI_PM_CTRL;

		put16(r, get16(r) & ~(PCI_PM_CTRL_STATE_MASK | PCI_PM_CTRL_PME_ENABLE |
				      PCI_PM_CTRL_PME_STATUS));
	}
}
