// SPDX-License-Identifier: MIT
/*
 * Registers from what a text says of a function: a header, the list of capabilities
 * that decide on groups and resets, and the extended ones. What the source had of real
 * registers stays; its lists are not touched if they are complete.
 */
#include <string.h>

#include "base/alloc.h"
#include "pci/bytes.h"
#include "pci/import.h"

struct image {
	u8 config[PCI_CFG_SPACE_EXP_SIZE];
	u16 next; /* free place */
	u16 link; /* the byte (or header) that is to point there */
};

static void header(u8 *c, const struct pci_import_facts *f)
{
	put16(c + PCI_VENDOR_ID, f->vendor);
	put16(c + PCI_DEVICE_ID, f->device);
	c[PCI_CLASS_REVISION] = f->revision;
	c[PCI_CLASS_REVISION + 1] = (u8)f->class;
	put16(c + PCI_CLASS_REVISION + 2, (u16)(f->class >> 8));
	c[PCI_HEADER_TYPE] = f->hdr_type;
	if (f->hdr_type == PCI_HEADER_TYPE_NORMAL) {
		put16(c + PCI_SUBSYSTEM_VENDOR_ID, f->subvendor);
		put16(c + PCI_SUBSYSTEM_ID, f->subdevice);
		return;
	}
	c[PCI_SECONDARY_BUS - 1] = f->primary;
	c[PCI_SECONDARY_BUS] = f->secondary;
	c[PCI_SUBORDINATE_BUS] = f->subordinate;
}

static u8 *add_cap(struct image *im, u8 id, u8 size)
{
	u8 *c = im->config + im->next;

	im->config[im->link] = (u8)im->next;
	im->link = im->next + 1;
	im->next = (u16)(im->next + size);
	c[0] = id;
	put16(im->config + PCI_STATUS, get16(im->config + PCI_STATUS) | 0x10);
	return c;
}

static void capabilities(struct image *im, const struct pci_import_facts *f)
{
	u8 *c;

	im->config[PCI_CAPABILITY_LIST] = 0;
	im->link = PCI_CAPABILITY_LIST;
	im->next = 0x40;
	if (f->pm) {
		c = add_cap(im, PCI_CAP_ID_PM, 8);
		c[4] = f->no_soft_reset ? 8 : 0;
	}
	if (f->af_flr) {
		c = add_cap(im, PCI_CAP_ID_AF, 8);
		c[2] = 6;
		c[3] = 3; /* transactions pending, function level reset */
	}
	if (f->express >= 0) {
		c = add_cap(im, PCI_CAP_ID_EXP, 0x3c);
		put16(c + PCI_EXP_FLAGS, (u16)(2 | f->express << 4));
		put32(c + 4, f->flr ? 1U << 28 : 0);
		if (f->hotplug)
			put32(c + PCI_EXP_SLTCAP, PCI_EXP_SLTCAP_HPC);
	}
}

static u8 *add_ext(struct image *im, u16 id, u16 size)
{
	u8 *c = im->config + im->next;

	if (im->link)
		put32(im->config + im->link,
		      get32(im->config + im->link) | (u32)im->next << 20);
	im->link = im->next;
	im->next = (u16)(im->next + size);
	put32(c, id | 1U << 16);
	return c;
}

static void extended(struct image *im, const struct pci_import_facts *f)
{
	u8 *c;

	im->next = PCI_CFG_SPACE_SIZE;
	im->link = 0;
	if (f->acs) {
		c = add_ext(im, PCI_EXT_CAP_ID_ACS, 12);
		put16(c + PCI_ACS_CAP, f->acs_cap);
		put16(c + PCI_ACS_CTRL, f->acs_ctrl);
		/* Where registers are 32 bits wide lspci does not show the control. */
		put16(c + PCI_ACS_CAP + 4, f->acs_cap);
	}
	if (f->ari)
		add_ext(im, PCI_EXT_CAP_ID_ARI, 8);
	if (f->sriov) {
		c = add_ext(im, PCI_EXT_CAP_ID_SRIOV, 0x40);
		put16(c + 8, f->vf_enable ? 1 : 0);
		put16(c + 0x10, f->nr_vfs);
		put16(c + 0x14, f->vf_offset);
		put16(c + 0x16, f->vf_stride);
	}
}

int pci_import_set(struct pci_import_fn *fn, const struct pci_import_facts *f)
{
	struct image im;
	u16 len = fn->len, have = fn->len;

	if (have > PCI_CFG_SPACE_SIZE)
		return 0;
	memset(im.config, 0, sizeof(im.config));
	if (have)
		memcpy(im.config, fn->config, have);
	else
		header(im.config, f);
	/* The chipset's register block, which no text shows, is on wherever it exists. */
	if (have < 256 && f->class >> 8 == PCI_CLASS_BRIDGE_ISA &&
	    f->vendor == PCI_VENDOR_ID_INTEL)
		im.config[0xf0] = 1;
	if (have < 256) {
		capabilities(&im, f);
		len = im.config[0xf0] ? 256 : max_t(u16, im.next, 64);
	}
	if (f->express >= 0 && (f->acs || f->ari || f->sriov)) {
		extended(&im, f);
		len = im.next;
	}
	return len == have ? 0 : pci_import_config(fn, im.config, len);
}
