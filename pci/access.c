// SPDX-License-Identifier: MIT
/*
 * Configuration accesses of the machine's software, and the walks over capability
 * lists that rest on them. A list that loops ends after as many steps as the space
 * could hold (drivers/pci/pci.c, drivers/pci/access.c).
 */
#include "base/err.h"
#include "machine/machine.h"
#include "pci/hardware.h"
#include "pci/priv.h"

#define FIND_CAP_TTL 48

static u32 hw_read(struct pci_host *host, u16 segment, u8 bus, u8 devfn, u16 where,
		   u8 size)
{
	struct pci_function *fn = pci_hw_find(host, segment, bus, devfn);
	u32 ones = size == 4 ? ~0U : (1U << 8 * size) - 1;

	return fn ? pci_fn_config_read(host, fn, where, size) & ones : ones;
}

static void hw_write(struct pci_host *host, u16 segment, u8 bus, u8 devfn, u16 where,
		     u32 val, u8 size)
{
	struct pci_function *fn = pci_hw_find(host, segment, bus, devfn);

	if (fn)
		pci_fn_config_write(host, fn, where, val, size);
}

const struct pci_ops pci_hw_ops = {.read = hw_read, .write = hw_write};

static u32 config_read(const struct pci_dev *pdev, int where, u8 size)
{
	return pdev->host->ops->read(pdev->host, pdev->bus->domain, pdev->bus->number,
				     pdev->devfn, (u16)where, size);
}

static void config_write(const struct pci_dev *pdev, int where, u32 val, u8 size)
{
	if (pdev->host->ops->write)
		pdev->host->ops->write(pdev->host, pdev->bus->domain, pdev->bus->number,
				       pdev->devfn, (u16)where, val, size);
}

static bool good_register(int where, int size)
{
	return where >= 0 && where % size == 0 && where + size <= PCI_CFG_SPACE_EXP_SIZE;
}

int pci_read_config_byte(const struct pci_dev *pdev, int where, u8 *val)
{
	*val = 0xff;
	if (!good_register(where, 1))
		return -EINVAL;
	*val = (u8)config_read(pdev, where, 1);
	return 0;
}

int pci_read_config_word(const struct pci_dev *pdev, int where, u16 *val)
{
	*val = 0xffff;
	if (!good_register(where, 2))
		return -EINVAL;
	*val = (u16)config_read(pdev, where, 2);
	return 0;
}

int pci_read_config_dword(const struct pci_dev *pdev, int where, u32 *val)
{
	*val = ~0U;
	if (!good_register(where, 4))
		return -EINVAL;
	*val = config_read(pdev, where, 4);
	return 0;
}

int pci_write_config_byte(const struct pci_dev *pdev, int where, u8 val)
{
	if (!good_register(where, 1))
		return -EINVAL;
	config_write(pdev, where, val, 1);
	return 0;
}

int pci_write_config_word(const struct pci_dev *pdev, int where, u16 val)
{
	if (!good_register(where, 2))
		return -EINVAL;
	config_write(pdev, where, val, 2);
	return 0;
}

int pci_write_config_dword(const struct pci_dev *pdev, int where, u32 val)
{
	if (!good_register(where, 4))
		return -EINVAL;
	config_write(pdev, where, val, 4);
	return 0;
}

/* The largest aligned access that fits, as the sysfs file does it. */
static unsigned chunk(u32 off, size_t len)
{
	return off % 4 == 0 && len >= 4 ? 4 : off % 2 == 0 && len >= 2 ? 2 : 1;
}

static size_t clip(const struct pci_dev *pdev, u32 off, size_t len)
{
	return off >= pdev->cfg_size ? 0 : min_t(size_t, len, pdev->cfg_size - off);
}

size_t pci_read_config(const struct pci_dev *pdev, u32 off, void *buf, size_t len)
{
	u8 *p = buf;
	size_t done;

	len = clip(pdev, off, len);
	for (done = 0; done < len;) {
		unsigned size = chunk(off, len - done), i;
		u32 val = config_read(pdev, (int)off, (u8)size);

		for (i = 0; i < size; i++)
			p[done++] = (u8)(val >> 8 * i);
		off += size;
	}
	return len;
}

size_t pci_write_config(const struct pci_dev *pdev, u32 off, const void *buf, size_t len)
{
	const u8 *p = buf;
	size_t done;

	len = clip(pdev, off, len);
	for (done = 0; done < len;) {
		unsigned size = chunk(off, len - done), i;
		u32 val = 0;

		for (i = 0; i < size; i++)
			val |= (u32)p[done++] << 8 * i;
		config_write(pdev, (int)off, val, (u8)size);
		off += size;
	}
	return len;
}

static u8 find_cap_from(const struct pci_dev *pdev, int pos, u8 cap)
{
	unsigned ttl = FIND_CAP_TTL;
	u16 ent;
	u8 next;

	pci_read_config_byte(pdev, pos, &next);
	while (ttl--) {
		if (next < 0x40)
			return 0;
		next &= 0xfc;
		pci_read_config_word(pdev, next, &ent);
		if ((ent & 0xff) == 0xff)
			return 0;
		if ((ent & 0xff) == cap)
			return next;
		next = (u8)(ent >> 8);
	}
	return 0;
}

u8 pci_find_capability(const struct pci_dev *pdev, u8 cap)
{
	u16 status;

	pci_read_config_word(pdev, PCI_STATUS, &status);
	if (!(status & PCI_STATUS_CAP_LIST) || pdev->hdr_type > PCI_HEADER_TYPE_CARDBUS)
		return 0;
	return find_cap_from(
		pdev,
		pdev->hdr_type == PCI_HEADER_TYPE_CARDBUS ? 0x14 : PCI_CAPABILITY_LIST,
		cap);
}

u8 pci_find_next_capability(const struct pci_dev *pdev, u8 pos, u8 cap)
{
	return find_cap_from(pdev, pos + PCI_CAP_LIST_NEXT, cap);
}

u16 pci_find_next_ext_capability(const struct pci_dev *pdev, u16 start, u16 cap)
{
	unsigned ttl = (PCI_CFG_SPACE_EXP_SIZE - PCI_CFG_SPACE_SIZE) / 8;
	u16 pos = start ? start : PCI_CFG_SPACE_SIZE;
	u32 header;

	if (pdev->cfg_size <= PCI_CFG_SPACE_SIZE)
		return 0;
	while (ttl--) {
		pci_read_config_dword(pdev, pos, &header);
		if (!header || header == ~0U)
			return 0;
		if (PCI_EXT_CAP_ID(header) == cap && pos != start)
			return pos;
		pos = PCI_EXT_CAP_NEXT(header);
		if (pos < PCI_CFG_SPACE_SIZE)
			return 0;
	}
	return 0;
}

u16 pci_find_ext_capability(const struct pci_dev *pdev, u16 cap)
{
	return pci_find_next_ext_capability(pdev, 0, cap);
}

/* Which registers a PCI Express capability of this version and port type has. */
static bool pcie_has(const struct pci_dev *pdev, int pos)
{
	int type = pci_pcie_type(pdev);
	bool v2 = (pdev->pcie_flags_reg & PCI_EXP_FLAGS_VERS) > 1;
	bool port = type == PCI_EXP_TYPE_ROOT_PORT || type == PCI_EXP_TYPE_DOWNSTREAM;

	if (!pci_is_pcie(pdev))
		return false;
	switch (pos & ~1) {
	case PCI_EXP_FLAGS:
	case PCI_EXP_DEVCAP:
	case PCI_EXP_DEVCTL:
	case PCI_EXP_DEVSTA:
		return true;
	case PCI_EXP_LNKCAP:
	case PCI_EXP_LNKCTL:
	case PCI_EXP_LNKSTA:
		return type != PCI_EXP_TYPE_RC_END && type != PCI_EXP_TYPE_RC_EC;
	case PCI_EXP_SLTCAP:
	case PCI_EXP_SLTCTL:
	case PCI_EXP_SLTSTA:
		return port && pdev->pcie_flags_reg & PCI_EXP_FLAGS_SLOT;
	case PCI_EXP_RTCTL:
	case PCI_EXP_RTCAP:
	case PCI_EXP_RTSTA:
		return type == PCI_EXP_TYPE_ROOT_PORT || type == PCI_EXP_TYPE_RC_EC;
	default:
		return pos >= PCI_EXP_DEVCAP2 && pos < PCI_EXP_SIZEOF_V2 && v2;
	}
}

int pcie_capability_read_word(const struct pci_dev *pdev, int pos, u16 *val)
{
	*val = 0;
	if (pos & 1)
		return -EINVAL;
	return pcie_has(pdev, pos) ? pci_read_config_word(pdev, pdev->pcie_cap + pos, val)
				   : 0;
}

int pcie_capability_read_dword(const struct pci_dev *pdev, int pos, u32 *val)
{
	*val = 0;
	if (pos & 3)
		return -EINVAL;
	return pcie_has(pdev, pos)
		       ? pci_read_config_dword(pdev, pdev->pcie_cap + pos, val)
		       : 0;
}

int pcie_capability_clear_and_set_word(const struct pci_dev *pdev, int pos, u16 clear,
				       u16 set)
{
	u16 val;
	int ret = pcie_capability_read_word(pdev, pos, &val);

	if (ret || !pcie_has(pdev, pos))
		return ret;
	return pci_write_config_word(pdev, pdev->pcie_cap + pos,
				     (u16)((val & ~clear) | set));
}
