// SPDX-License-Identifier: MIT
/*
 * Which capabilities a program sees. Those whose length is known (a fixed size, or one
 * that their registers say) are shown; the others are taken out of the virtual list.
 * The map says for each byte of configuration space whose it is.
 */
#define LOG_SUBSYSTEM "vfio"
#include <string.h>

#include "base/log.h"
#include "vfio/pci_priv.h"

#define VARIES 0xff

static const u8 cap_length[PCI_CAP_ID_EA + 1] = {
	[PCI_CAP_ID_PM] = PCI_PM_SIZEOF,
	[PCI_CAP_ID_AGP] = 12,
	[PCI_CAP_ID_VPD] = 8,
	[PCI_CAP_ID_MSI] = VARIES,
	[PCI_CAP_ID_PCIX] = VARIES,
	[PCI_CAP_ID_HT] = VARIES,
	[PCI_CAP_ID_VNDR] = VARIES,
	[PCI_CAP_ID_EXP] = VARIES,
	[PCI_CAP_ID_MSIX] = PCI_MSIX_SIZEOF,
	[PCI_CAP_ID_SATA] = VARIES,
	[PCI_CAP_ID_AF] = 6,
};

enum {
	ECAP_PWR = 0x04,
	ECAP_MFVC = 0x08,
	ECAP_VC9 = 0x09,
	ECAP_MCAST = 0x12,
	ECAP_DPA = 0x16,
	ECAP_TPH = 0x17,
	ECAP_MAX = 0x31,
};

static const u8 ecap_length[ECAP_MAX + 1] = {
	[PCI_EXT_CAP_ID_ERR] = 0x2c, /* without the root's registers */
	[PCI_EXT_CAP_ID_VC] = VARIES,
	[PCI_EXT_CAP_ID_DSN] = 12,
	[ECAP_PWR] = 16,
	[ECAP_MFVC] = VARIES,
	[ECAP_VC9] = VARIES,
	[PCI_EXT_CAP_ID_VNDR] = VARIES,
	[PCI_EXT_CAP_ID_ACS] = VARIES,
	[PCI_EXT_CAP_ID_ARI] = 8,
	[PCI_EXT_CAP_ID_ATS] = 8,
	[PCI_EXT_CAP_ID_SRIOV] = 64,
	[ECAP_MCAST] = 40,
	[PCI_EXT_CAP_ID_PRI] = 16,
	[PCI_EXT_CAP_ID_REBAR] = VARIES,
	[ECAP_DPA] = VARIES,
	[ECAP_TPH] = VARIES,
	[PCI_EXT_CAP_ID_LTR] = 8,
	[PCI_EXT_CAP_ID_DVSEC] = VARIES,
};

int vfio_fill_vconfig(struct vfio_pci_core_device *vdev, unsigned offset, unsigned size)
{
	while (size) {
		int n = size >= 4 && !(offset % 4)   ? 4
			: size >= 2 && !(offset % 2) ? 2
						     : 1;
		u32 val;
		int ret = vfio_user_config_read(vdev, (int)offset, &val, n);

		if (ret)
			return ret;
		memcpy(vdev->vconfig + offset, &val, (size_t)n);
		offset += (unsigned)n;
		size -= (unsigned)n;
	}
	return 0;
}

/* Something lies in extended configuration space. */
static void look_for_extended(struct vfio_pci_core_device *vdev)
{
	u32 dword;

	if (vdev->pdev->cfg_size > PCI_CFG_SPACE_SIZE &&
	    !pci_read_config_dword(vdev->pdev, PCI_CFG_SPACE_SIZE, &dword))
		vdev->extended_caps = dword != 0;
}

static int msi_cap_len(struct vfio_pci_core_device *vdev, u8 pos)
{
	int ret, len = 10;
	u16 flags;

	ret = pci_read_config_word(vdev->pdev, pos + PCI_MSI_FLAGS, &flags);
	if (ret)
		return ret;
	if (flags & PCI_MSI_FLAGS_64BIT)
		len += 4;
	if (flags & PCI_MSI_FLAGS_MASKBIT)
		len += 10;
	ret = vfio_msi_perm_init(vdev, flags);
	return ret ? ret : len;
}

/* 0: unknown; -errno. */
static int cap_len(struct vfio_pci_core_device *vdev, u8 cap, u8 pos)
{
	struct pci_dev *pdev = vdev->pdev;
	bool integrated;
	u16 word;
	u8 byte;
	int ret;

	switch (cap) {
	case PCI_CAP_ID_MSI:
		return msi_cap_len(vdev, pos);
	case PCI_CAP_ID_PCIX:
		ret = pci_read_config_word(pdev, pos + 2, &word);
		if (ret)
			return ret;
		if (!(word >> 12 & 3))
			return 8;
		look_for_extended(vdev);
		return 24;
	case PCI_CAP_ID_VNDR:
		ret = pci_read_config_byte(pdev, pos + 2, &byte);
		return ret ? ret : byte;
	case PCI_CAP_ID_EXP:
		look_for_extended(vdev);
		integrated = pci_pcie_type(pdev) == PCI_EXP_TYPE_RC_END;
		if ((pdev->pcie_flags_reg & PCI_EXP_FLAGS_VERS) == 1)
			return integrated ? 0x0c : 0x14;
		return integrated ? 0x2c : 0x34;
	case PCI_CAP_ID_HT:
		ret = pci_read_config_byte(pdev, pos + 3, &byte);
		return ret ? ret : byte & 0xe0 ? 24 : 28;
	case PCI_CAP_ID_SATA:
		ret = pci_read_config_byte(pdev, pos + 4, &byte);
		return ret ? ret : (byte & 0xf) == 0xf ? 16 : 8;
	default:
		return 0;
	}
}

static int vc_cap_len(struct pci_dev *pdev, u16 pos)
{
	u32 cap1, cap2;
	int len, phases, ret;

	ret = pci_read_config_dword(pdev, pos + 4, &cap1);
	if (!ret)
		ret = pci_read_config_dword(pdev, pos + 8, &cap2);
	if (ret)
		return ret;
	phases = cap2 & 8 ? 128 : cap2 & 4 ? 64 : cap2 & 2 ? 32 : 0;
	len = 0x10 + (1 + (int)(cap1 & 7)) * 0x0c;
	/* The arbitration table: 4 bits a phase. */
	return phases ? ALIGN(len, 16) + phases / 2 : len;
}

static int ecap_len(struct vfio_pci_core_device *vdev, u16 ecap, u16 pos)
{
	struct pci_dev *pdev = vdev->pdev;
	u32 dword;
	int ret;

	switch (ecap) {
	case PCI_EXT_CAP_ID_VC:
	case ECAP_VC9:
	case ECAP_MFVC:
		return vc_cap_len(pdev, pos);
	case PCI_EXT_CAP_ID_VNDR:
	case PCI_EXT_CAP_ID_DVSEC:
		ret = pci_read_config_dword(pdev, pos + 4, &dword);
		return ret ? ret : (int)(dword >> 20);
	case PCI_EXT_CAP_ID_ACS:
		ret = pci_read_config_dword(pdev, pos + 4, &dword);
		if (ret)
			return ret;
		if (!(dword & PCI_ACS_EC))
			return 8;
		/* An egress control bit for each port; a size of 0 means 256. */
		dword = dword >> 8 & 0xff;
		return 8 + (dword ? (int)ALIGN(dword, 32) : 256) / 8;
	case PCI_EXT_CAP_ID_REBAR:
		ret = pci_read_config_dword(pdev, pos + 8, &dword);
		return ret ? ret : 4 + (int)(dword >> 5 & 7) * 8;
	case ECAP_DPA:
		ret = pci_read_config_dword(pdev, pos + 4, &dword);
		return ret ? ret : 16 + (int)(dword & 0x1f) + 1;
	case ECAP_TPH:
		ret = pci_read_config_dword(pdev, pos + 4, &dword);
		if (ret)
			return ret;
		return (dword & 0x600) == 0x200 ? 12 + (int)(dword >> 16 & 0x7ff) * 2 + 2
						: 12;
	default:
		return 0;
	}
}

/* The bytes from @pos on belong to @cap; cut where configuration space ends. */
static void map_cap(struct vfio_pci_core_device *vdev, unsigned pos, int *len, u8 cap,
		    unsigned end)
{
	u8 *map = vdev->pci_config_map;

	*len = min_t(int, *len, (int)(end - pos));
	for (int i = 0; i < *len; i++) {
		if (map[pos + (unsigned)i] != VFIO_CAP_INVALID)
			pr_warn("%s: PCI config conflict @%#x, was cap %#x now cap %#x",
				pci_name(vdev->pdev), pos + (unsigned)i,
				map[pos + (unsigned)i], cap);
	}
	memset(map + pos, cap, (size_t)*len);
}

int vfio_cap_init(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	u8 pos, *prev = &vdev->vconfig[PCI_CAPABILITY_LIST];
	int loops = (PCI_CFG_SPACE_SIZE - 64) / PCI_CAP_SIZEOF;
	int ret, shown = 0;
	u16 status;

	ret = pci_read_config_word(pdev, PCI_STATUS, &status);
	if (ret || !(status & PCI_STATUS_CAP_LIST))
		return ret;
	ret = pci_read_config_byte(pdev, PCI_CAPABILITY_LIST, &pos);
	if (ret)
		return ret;
	while (pos >= 64 && loops--) {
		u8 cap, next;
		int len = 0;

		ret = pci_read_config_byte(pdev, pos, &cap);
		if (!ret)
			ret = pci_read_config_byte(pdev, pos + PCI_CAP_LIST_NEXT, &next);
		if (ret)
			return ret;
		if (cap && cap < ARRAY_SIZE(cap_length)) {
			len = cap_length[cap];
			if (len == VARIES)
				len = cap_len(vdev, cap, pos);
			if (len < 0)
				return len;
		}
		if (!len) {
			*prev = next;
			pos = next;
			continue;
		}
		map_cap(vdev, pos, &len, cap, PCI_CFG_SPACE_SIZE);
		ret = vfio_fill_vconfig(vdev, pos, (unsigned)len);
		if (ret)
			return ret;
		if (cap == PCI_CAP_ID_PM) {
			unsigned pmc = pos + PCI_PM_PMC, ctrl = pos + PCI_PM_CTRL;

			vconfig_set_word(vdev, pmc,
					 vconfig_word(vdev, pmc) &
						 (u16)~PCI_PM_CAP_PME_MASK);
			vconfig_set_word(vdev, ctrl,
					 vconfig_word(vdev, ctrl) &
						 (u16) ~(PCI_PM_CTRL_PME_ENABLE |
							 PCI_PM_CTRL_PME_STATUS));
		}
		prev = &vdev->vconfig[pos + PCI_CAP_LIST_NEXT];
		pos = next;
		shown++;
	}
	if (!shown)
		vconfig_set_word(vdev, PCI_STATUS,
				 vconfig_word(vdev, PCI_STATUS) &
					 (u16)~PCI_STATUS_CAP_LIST);
	return 0;
}

static u32 header_get(struct vfio_pci_core_device *vdev, unsigned at)
{
	u32 val;

	memcpy(&val, vdev->vconfig + at, 4);
	return val;
}

static void header_set(struct vfio_pci_core_device *vdev, unsigned at, u32 val)
{
	memcpy(vdev->vconfig + at, &val, 4);
}

int vfio_ecap_init(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	unsigned pos = PCI_CFG_SPACE_SIZE, prev = 0;
	int loops = (pdev->cfg_size - PCI_CFG_SPACE_SIZE) / PCI_CAP_SIZEOF;
	int ret, shown = 0;

	if (!vdev->extended_caps)
		return 0;
	while (loops-- > 0 && pos >= PCI_CFG_SPACE_SIZE) {
		bool hidden = false;
		int len = 0;
		u32 header;
		u16 ecap;

		ret = pci_read_config_dword(pdev, (int)pos, &header);
		if (ret)
			return ret;
		ecap = PCI_EXT_CAP_ID(header);
		if (ecap < ARRAY_SIZE(ecap_length)) {
			len = ecap_length[ecap];
			if (len == VARIES)
				len = ecap_len(vdev, ecap, (u16)pos);
			if (len < 0)
				return len;
		}
		if (!len) {
			if (prev) {
				pos = PCI_EXT_CAP_NEXT(header);
				header_set(vdev, prev,
					   (header_get(vdev, prev) & ~(0xffcU << 20)) |
						   pos << 20);
				continue;
			}
			/* The first cannot be left out: it is there without an id. */
			len = PCI_CAP_SIZEOF;
			hidden = true;
		}
		map_cap(vdev, pos, &len, (u8)ecap, pdev->cfg_size);
		ret = vfio_fill_vconfig(vdev, pos, (unsigned)len);
		if (ret)
			return ret;
		if (hidden)
			header_set(vdev, pos, header_get(vdev, pos) & 0xffcU << 20);
		else
			shown++;
		prev = pos;
		pos = PCI_EXT_CAP_NEXT(header);
	}
	if (!shown)
		header_set(vdev, PCI_CFG_SPACE_SIZE, 0);
	return 0;
}
