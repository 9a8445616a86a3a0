// SPDX-License-Identifier: MIT
/*
 * Configuration space as a program sees it: each access is cut at dwords and at the
 * ends of capabilities, and each piece goes to the capability it lies in (pci_perms.c).
 * What no capability claims is passed through to hardware.
 */
#include <string.h>

#include "vfio/pci_priv.h"

int vfio_user_config_read(struct vfio_pci_core_device *vdev, int pos, u32 *val, int count)
{
	int ret;
	u16 w;
	u8 b;

	*val = 0;
	switch (count) {
	case 1:
		ret = pci_read_config_byte(vdev->pdev, pos, &b);
		if (!ret)
			*val = b;
		return ret;
	case 2:
		ret = pci_read_config_word(vdev->pdev, pos, &w);
		if (!ret)
			*val = w;
		return ret;
	case 4:
		return pci_read_config_dword(vdev->pdev, pos, val);
	default:
		return -EINVAL;
	}
}

int vfio_user_config_write(struct vfio_pci_core_device *vdev, int pos, u32 val, int count)
{
	switch (count) {
	case 1:
		return pci_write_config_byte(vdev->pdev, pos, (u8)val);
	case 2:
		return pci_write_config_word(vdev->pdev, pos, (u16)val);
	case 4:
		return pci_write_config_dword(vdev->pdev, pos, val);
	default:
		return -EINVAL;
	}
}

/* Bytes from @pos on in the same dword and the same capability. */
static size_t cap_remaining_dword(struct vfio_pci_core_device *vdev, size_t pos)
{
	u8 cap = vdev->pci_config_map[pos];
	size_t i = 1;

	while ((pos + i) % 4 && vdev->pci_config_map[pos + i] == cap)
		i++;
	return i;
}

/* One piece of 1, 2 or 4 bytes; *@val is read or written. Return: its size, -errno. */
static int config_rw_single(struct vfio_pci_core_device *vdev, struct call *call,
			    u64 ubuf, size_t count, size_t pos, bool write, u32 *val)
{
	const struct perm_bits *perm;
	int n, start, offset, ret;
	u8 cap;

	count = min(count, cap_remaining_dword(vdev, pos));
	n = count >= 4 && !(pos % 4) ? 4 : count >= 2 && !(pos % 2) ? 2 : 1;
	cap = vdev->pci_config_map[pos];
	start = cap == VFIO_CAP_BASIC	  ? 0
		: cap == VFIO_CAP_INVALID ? (int)pos
					  : vfio_find_cap_start(vdev, (int)pos);
	offset = (int)pos - start;
	perm = vfio_perms_of(vdev, (unsigned)pos);
	*val = 0;
	if (write) {
		if (!perm->writefn)
			return n;
		ret = copy_from_user(call, val, ubuf, (size_t)n);
		if (ret)
			return ret;
		return perm->writefn(vdev, (int)pos, n, perm, offset, *val);
	}
	return perm->readfn(vdev, (int)pos, n, perm, offset, val);
}

ssize_t vfio_pci_config_rw(struct vfio_pci_core_device *vdev, struct call *call, u64 ubuf,
			   size_t count, u64 pos, bool write)
{
	u8 buf[PCI_CFG_SPACE_EXP_SIZE];
	size_t done = 0;
	int ret;

	if (pos >= vdev->pdev->cfg_size || count > vdev->pdev->cfg_size - pos)
		return -EFAULT;
	if (write) {
		/* All of it is here, then the pieces; a bad address shows in its piece.
		 */
		ret = copy_from_user(call, buf, ubuf, count);
		if (ret == -ERESTARTNOINTR)
			return ret;
	}
	while (done < count) {
		u32 val;

		ret = config_rw_single(vdev, call, ubuf + done, count - done, pos + done,
				       write, &val);
		if (ret < 0)
			return ret;
		if (!write)
			memcpy(buf + done, &val, (size_t)ret);
		done += (size_t)ret;
	}
	if (!write) {
		ret = copy_to_user(call, ubuf, buf, count);
		if (ret)
			return ret;
	}
	return (ssize_t)count;
}

int vfio_config_init(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	int ret = -ENOMEM;

	vdev->pci_config_map = kmalloc(pdev->cfg_size);
	vdev->vconfig = kzalloc(pdev->cfg_size);
	if (!vdev->pci_config_map || !vdev->vconfig)
		goto err_free;
	memset(vdev->pci_config_map, VFIO_CAP_BASIC, 64);
	memset(vdev->pci_config_map + 64, VFIO_CAP_INVALID, pdev->cfg_size - 64U);
	ret = vfio_fill_vconfig(vdev, 0, 64);
	if (ret)
		goto err_free;
	vdev->bardirty = true;
	for (unsigned i = 0; i < 6; i++)
		memcpy(&vdev->rbar[i], vdev->vconfig + PCI_BASE_ADDRESS_0 + 4 * i, 4);
	memcpy(&vdev->rbar[6], vdev->vconfig + PCI_ROM_ADDRESS, 4);
	if (pdev->is_virtfn) {
		/* Virtual functions do not answer these themselves, and have no INTx. */
		vconfig_set_word(vdev, PCI_VENDOR_ID, pdev->vendor);
		vconfig_set_word(vdev, PCI_DEVICE_ID, pdev->device);
		vdev->vconfig[PCI_INTERRUPT_PIN] = 0;
		vconfig_set_word(vdev, PCI_COMMAND,
				 vconfig_word(vdev, PCI_COMMAND) | PCI_COMMAND_MEMORY);
	}
	if (vdev->nointx || !pdev->irq)
		vdev->vconfig[PCI_INTERRUPT_PIN] = 0;
	ret = vfio_cap_init(vdev);
	if (!ret)
		ret = vfio_ecap_init(vdev);
	if (!ret)
		return 0;

err_free:
	vfio_config_free(vdev);
	return ret;
}

void vfio_config_free(struct vfio_pci_core_device *vdev)
{
	kfree(vdev->vconfig);
	vdev->vconfig = NULL;
	kfree(vdev->pci_config_map);
	vdev->pci_config_map = NULL;
	kfree(vdev->msi_perm);
	vdev->msi_perm = NULL;
}
