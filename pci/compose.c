// SPDX-License-Identifier: MIT
/*
 * The registers of a function as they are after power-on, composed from its
 * description: header, capabilities from 0x40 up in the order PM, MSI, PCI Express,
 * MSI-X, extended capabilities from 0x100 up. Layouts: PCI 3.0 chapter 6, PCI Express
 * 5.0 sections 7.5 to 7.8. A function given as an image gets the image with what
 * firmware and drivers had written into it taken out.
 */
#include <string.h>

#include "base/bitmap.h"
#include "base/err.h"
#include "pci/bytes.h"
#include "pci/compose.h"

struct composer {
	u8 *cfg;
	unsigned next;	   /* first free byte below 256 */
	u8 *link;	   /* where the next capability's offset goes */
	unsigned ext_next; /* first free byte from 256 on */
	unsigned ext_last; /* the last extended capability, 0: none */
};

/* Reserve @size bytes for capability @id; NULL: no room. */
static u8 *add_cap(struct composer *c, u8 id, unsigned size)
{
	u8 *cap;

	if (c->next + size > PCI_CFG_SPACE_SIZE)
		return NULL;
	cap = c->cfg + c->next;
	*c->link = (u8)c->next;
	cap[PCI_CAP_LIST_ID] = id;
	c->link = cap + PCI_CAP_LIST_NEXT;
	c->next += ALIGN(size, 4U);
	c->cfg[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	return cap;
}

static u8 *add_ext_cap(struct composer *c, u16 id, u8 version, unsigned size)
{
	u8 *cap = c->cfg + c->ext_next;

	put32(cap, id | (u32)version << 16);
	if (c->ext_last)
		put32(c->cfg + c->ext_last,
		      get32(c->cfg + c->ext_last) | c->ext_next << 20);
	c->ext_last = c->ext_next;
	c->ext_next += ALIGN(size, 4U);
	return cap;
}

static const struct port_ids {
	u16 vendor, device;
} port_ids[] = {
	[PCI_FN_ROOT_PORT] = {PCI_VENDOR_ID_REDHAT, 0x000c},
	[PCI_FN_UPSTREAM] = {0x104c, 0x8232},
	[PCI_FN_DOWNSTREAM] = {0x104c, 0x8233},
	[PCI_FN_PCIE_TO_PCI] = {PCI_VENDOR_ID_REDHAT, 0x000e},
	[PCI_FN_PCI_BRIDGE] = {PCI_VENDOR_ID_REDHAT, 0x0001},
};

static bool is_port(enum pci_function_kind kind)
{
	return kind == PCI_FN_ROOT_PORT || kind == PCI_FN_UPSTREAM ||
	       kind == PCI_FN_DOWNSTREAM;
}

static void compose_header(struct pci_function *fn, const struct endpoint_pci_info *info)
{
	u8 *cfg = fn->reset;
	bool bridge = fn->kind != PCI_FN_ENDPOINT;
	u16 vendor = info->vendor, device = info->device;

	if (bridge && !vendor) {
		vendor = port_ids[fn->kind].vendor;
		device = port_ids[fn->kind].device;
	}
	put16(cfg + PCI_VENDOR_ID, vendor);
	put16(cfg + PCI_DEVICE_ID, device);
	put32(cfg + PCI_CLASS_REVISION,
	      (bridge ? PCI_CLASS_BRIDGE_PCI << 8 : info->class) << 8 | info->revision);
	cfg[PCI_HEADER_TYPE] = bridge ? PCI_HEADER_TYPE_BRIDGE : PCI_HEADER_TYPE_NORMAL;
	if (fn->desc.multifunction)
		cfg[PCI_HEADER_TYPE] |= PCI_HEADER_TYPE_MFD;
	cfg[PCI_INTERRUPT_PIN] = info->intx_pin;
	if (!bridge) {
		put16(cfg + PCI_SUBSYSTEM_VENDOR_ID, info->subsystem_vendor);
		put16(cfg + PCI_SUBSYSTEM_ID, info->subsystem);
		return;
	}
	/* 32-bit I/O and 64-bit prefetchable windows, the low nibbles say so. */
	cfg[PCI_IO_BASE] = cfg[PCI_IO_LIMIT] = PCI_IO_RANGE_TYPE_32;
	cfg[PCI_PREF_MEMORY_BASE] = cfg[PCI_PREF_MEMORY_LIMIT] = PCI_PREF_RANGE_TYPE_64;
}

/* Flags in the low bits; sizes come with the masks. -EINVAL: a 64-bit BAR without room.
 */
static int compose_bars(struct pci_function *fn)
{
	unsigned nr = fn->kind == PCI_FN_ENDPOINT ? HW_NR_BARS : 2, i;

	for (i = 0; i < HW_NR_BARS; i++) {
		const struct pci_bar_desc *bar = &fn->desc.bar[i];
		u8 *reg = fn->reset + PCI_BASE_ADDRESS_0 + 4 * i;

		if (!bar->size)
			continue;
		if (i >= nr || !is_power_of_2(bar->size))
			return -EINVAL;
		if (bar->flags & HW_BAR_IO) {
			if (bar->size < 4 || bar->size > 0x10000 ||
			    bar->flags & HW_BAR_64)
				return -EINVAL;
			put32(reg, PCI_BASE_ADDRESS_SPACE_IO);
			continue;
		}
		if (bar->size < 16 ||
		    bar->size > BIT_ULL(bar->flags & HW_BAR_64 ? 46 : 31))
			return -EINVAL;
		put32(reg, (bar->flags & HW_BAR_64 ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0) |
				   (bar->flags & HW_BAR_PREFETCH
					    ? PCI_BASE_ADDRESS_MEM_PREFETCH
					    : 0));
		if (bar->flags & HW_BAR_64) {
			if (i + 1 >= nr || fn->desc.bar[i + 1].size)
				return -EINVAL;
			i++;
		}
	}
	if (fn->desc.bar[HW_NR_BARS].size &&
	    (!is_power_of_2(fn->desc.bar[HW_NR_BARS].size) ||
	     fn->desc.bar[HW_NR_BARS].size < 2048 ||
	     fn->desc.bar[HW_NR_BARS].size > 16 * SZ_1M))
		return -EINVAL;
	return 0;
}

static int compose_pcie(struct composer *c, struct pci_function *fn,
			const struct endpoint_pci_info *info)
{
	static const u8 types[] = {
		[PCI_FN_ENDPOINT] = PCI_EXP_TYPE_ENDPOINT,
		[PCI_FN_ROOT_PORT] = PCI_EXP_TYPE_ROOT_PORT,
		[PCI_FN_UPSTREAM] = PCI_EXP_TYPE_UPSTREAM,
		[PCI_FN_DOWNSTREAM] = PCI_EXP_TYPE_DOWNSTREAM,
		[PCI_FN_PCIE_TO_PCI] = PCI_EXP_TYPE_PCI_BRIDGE,
	};
	const struct pci_function_desc *desc = &fn->desc;
	bool slot = fn->kind == PCI_FN_ROOT_PORT || fn->kind == PCI_FN_DOWNSTREAM;
	bool integrated = fn->kind == PCI_FN_ENDPOINT && desc->integrated;
	u8 *cap = add_cap(c, PCI_CAP_ID_EXP, PCI_EXP_SIZEOF_V2);
	u32 devcap = PCI_EXP_DEVCAP_RBER;

	if (!cap)
		return -EINVAL;
	put16(cap + PCI_EXP_FLAGS,
	      (u16)(2 | (integrated ? PCI_EXP_TYPE_RC_END : types[fn->kind]) << 4 |
		    (slot ? PCI_EXP_FLAGS_SLOT : 0)));
	if (fn->kind == PCI_FN_ENDPOINT && info->flr)
		devcap |= PCI_EXP_DEVCAP_FLR;
	put32(cap + PCI_EXP_DEVCAP, devcap);
	put16(cap + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_NOSNOOP_EN |
					    PCI_EXP_DEVCTL_READRQ_512B);
	if (!integrated) {
		/* x1 at 2.5 GT/s, ASPM L0s. */
		put32(cap + PCI_EXP_LNKCAP, 0x411 | (slot ? PCI_EXP_LNKCAP_DLLLARC : 0) |
						    (u32)desc->slot_number << 24);
		put16(cap + PCI_EXP_LNKSTA, 0x11);
		put32(cap + PCI_EXP_LNKCAP2, 0x2);
		put16(cap + PCI_EXP_LNKCTL2, 0x1);
	}
	if (slot) {
		put32(cap + PCI_EXP_SLTCAP,
		      (u32)desc->slot_number << 19 |
			      (desc->hotplug
				       ? PCI_EXP_SLTCAP_ABP | PCI_EXP_SLTCAP_PCP |
						 PCI_EXP_SLTCAP_HPS | PCI_EXP_SLTCAP_HPC
				       : 0));
		put32(cap + PCI_EXP_DEVCAP2, PCI_EXP_DEVCAP2_ARI);
	}
	return 0;
}

static int compose_caps(struct pci_function *fn, const struct endpoint_pci_info *info)
{
	struct composer c = {
		.cfg = fn->reset,
		.next = 0x40,
		.link = fn->reset + PCI_CAPABILITY_LIST,
		.ext_next = PCI_CFG_SPACE_SIZE,
	};
	bool pcie =
		fn->kind == PCI_FN_ENDPOINT ? info->pcie : fn->kind != PCI_FN_PCI_BRIDGE;
	u8 *cap;

	if (info->pm || fn->kind == PCI_FN_PCIE_TO_PCI) {
		cap = add_cap(&c, PCI_CAP_ID_PM, PCI_PM_SIZEOF);
		put16(cap + PCI_PM_PMC, 3);
		if (info->no_soft_reset)
			put16(cap + PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET);
	}
	if (info->msi_vectors) {
		if (!is_power_of_2(info->msi_vectors) || info->msi_vectors > 32)
			return -EINVAL;
		cap = add_cap(&c, PCI_CAP_ID_MSI,
			      info->msi_maskable ? info->msi_64 ? 24 : 20
			      : info->msi_64	 ? 14
						 : 10);
		put16(cap + PCI_MSI_FLAGS,
		      (u16)(ilog2(info->msi_vectors) << 1 |
			    (info->msi_64 ? PCI_MSI_FLAGS_64BIT : 0) |
			    (info->msi_maskable ? PCI_MSI_FLAGS_MASKBIT : 0)));
	}
	if (pcie && compose_pcie(&c, fn, info))
		return -EINVAL;
	if (info->msix_vectors) {
		u64 size;

		if (info->msix_vectors > 2048 || info->msix_bar >= HW_NR_BARS ||
		    info->msix_table & 7 || info->msix_pba & 7)
			return -EINVAL;
		size = fn->desc.bar[info->msix_bar].size;
		if (fn->desc.bar[info->msix_bar].flags & HW_BAR_IO ||
		    info->msix_table + 16ULL * info->msix_vectors > size ||
		    info->msix_pba + 8ULL * DIV_ROUND_UP(info->msix_vectors, 64) > size)
			return -EINVAL;
		cap = add_cap(&c, PCI_CAP_ID_MSIX, PCI_MSIX_SIZEOF);
		put16(cap + PCI_MSIX_FLAGS, info->msix_vectors - 1);
		put32(cap + PCI_MSIX_TABLE, info->msix_table | info->msix_bar);
		put32(cap + PCI_MSIX_PBA, info->msix_pba | info->msix_bar);
	}
	if (is_port(fn->kind) && info->subsystem_vendor) {
		cap = add_cap(&c, PCI_CAP_ID_SSVID, 8);
		put16(cap + 4, info->subsystem_vendor);
		put16(cap + 6, info->subsystem);
	}
	fn->cfg_size = pcie ? PCI_CFG_SPACE_EXP_SIZE : PCI_CFG_SPACE_SIZE;
	if (!pcie)
		return fn->desc.acs || fn->desc.ari ? -EINVAL : 0;
	if (fn->desc.acs) {
		cap = add_ext_cap(&c, PCI_EXT_CAP_ID_ACS, 1, 8);
		put16(cap + PCI_ACS_CAP, fn->desc.acs_caps ? fn->desc.acs_caps
					 : fn->kind == PCI_FN_ENDPOINT
						 ? PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_DT
						 : PCI_ACS_SV | PCI_ACS_TB | PCI_ACS_RR |
							   PCI_ACS_CR | PCI_ACS_UF |
							   PCI_ACS_DT);
	}
	if (fn->desc.ari)
		add_ext_cap(&c, PCI_EXT_CAP_ID_ARI, 1, 8);
	return 0;
}

/* What firmware writes is given back to its value at power-on. */
static int compose_image(struct pci_function *fn)
{
	u8 *cfg = fn->reset;
	bool bridge;

	if (fn->desc.image_len < 64 || fn->desc.image_len > PCI_CFG_SPACE_EXP_SIZE)
		return -EINVAL;
	memcpy(cfg, fn->desc.image, fn->desc.image_len);
	bridge = (cfg[PCI_HEADER_TYPE] & PCI_HEADER_TYPE_MASK) == PCI_HEADER_TYPE_BRIDGE;
	if ((cfg[PCI_HEADER_TYPE] & PCI_HEADER_TYPE_MASK) > PCI_HEADER_TYPE_BRIDGE ||
	    bridge != (fn->kind != PCI_FN_ENDPOINT))
		return -EINVAL;
	if (fn->desc.multifunction)
		cfg[PCI_HEADER_TYPE] |= PCI_HEADER_TYPE_MFD;
	put16(cfg + PCI_COMMAND, 0);
	put16(cfg + PCI_STATUS,
	      get16(cfg + PCI_STATUS) & ~(PCI_STATUS_ERROR_BITS | PCI_STATUS_INTERRUPT));
	cfg[PCI_CACHE_LINE_SIZE] = cfg[PCI_LATENCY_TIMER] = 0;
	cfg[PCI_INTERRUPT_LINE] = 0;
	if (bridge) {
		put32(cfg + PCI_PRIMARY_BUS, 0);
		cfg[PCI_IO_BASE] &= PCI_IO_RANGE_TYPE_MASK;
		cfg[PCI_IO_LIMIT] &= PCI_IO_RANGE_TYPE_MASK;
		put32(cfg + PCI_MEMORY_BASE, 0);
		put32(cfg + PCI_PREF_MEMORY_BASE,
		      get32(cfg + PCI_PREF_MEMORY_BASE) & 0x000f000f);
		put32(cfg + PCI_PREF_BASE_UPPER32, 0);
		put32(cfg + PCI_PREF_LIMIT_UPPER32, 0);
		put32(cfg + PCI_IO_BASE_UPPER16, 0);
		put16(cfg + PCI_BRIDGE_CONTROL, 0);
	}
	fn->cfg_size = fn->desc.image_len > PCI_CFG_SPACE_SIZE ? PCI_CFG_SPACE_EXP_SIZE
							       : PCI_CFG_SPACE_SIZE;
	return 0;
}

int pci_compose(struct pci_function *fn, const struct endpoint_pci_info *info)
{
	int ret;

	if (fn->desc.image)
		return compose_image(fn);
	compose_header(fn, info);
	ret = compose_bars(fn);
	if (ret)
		return ret;
	return compose_caps(fn, info);
}
