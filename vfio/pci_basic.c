// SPDX-License-Identifier: MIT
/*
 * The first 64 bytes of configuration space. BARs are virtual: what the program writes is
 * kept, and sized, without touching hardware. The command register goes to hardware,
 * but for INTX_DISABLE, which is the program's view of a mask that the driver also
 * uses; and writes to it notice when a reset has cleared the real BARs.
 */
#define LOG_SUBSYSTEM "vfio"
#include <string.h>

#include "base/log.h"
#include "vfio/pci_priv.h"

static bool is_bar(int offset)
{
	return (offset >= PCI_BASE_ADDRESS_0 && offset < PCI_BASE_ADDRESS_0 + 24) ||
	       (offset >= PCI_ROM_ADDRESS && offset < PCI_ROM_ADDRESS + 4);
}

static u32 bar_flags(struct pci_dev *pdev, unsigned bar)
{
	u64 flags = pci_resource_flags(pdev, bar);
	u32 val = 0;

	if (flags & IORESOURCE_IO)
		return PCI_BASE_ADDRESS_SPACE_IO;
	if (flags & IORESOURCE_PREFETCH)
		val |= PCI_BASE_ADDRESS_MEM_PREFETCH;
	if (flags & IORESOURCE_MEM_64)
		val |= PCI_BASE_ADDRESS_MEM_TYPE_64;
	return val;
}

static u32 vbar_get(struct vfio_pci_core_device *vdev, unsigned at)
{
	u32 val;

	memcpy(&val, vdev->vconfig + at, 4);
	return val;
}

static void vbar_set(struct vfio_pci_core_device *vdev, unsigned at, u32 val)
{
	memcpy(vdev->vconfig + at, &val, 4);
}

/* After writes: the virtual BARs show sizes and types as hardware would. */
static void bar_fixup(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	u64 mask;

	if (!vdev->bardirty)
		return;
	for (unsigned bar = 0; bar < 6; bar++) {
		unsigned at = PCI_BASE_ADDRESS_0 + 4 * bar;

		if (!pci_resource_start(pdev, bar)) {
			vbar_set(vdev, at, 0);
			continue;
		}
		mask = ~(pci_resource_len(pdev, bar) - 1);
		vbar_set(vdev, at,
			 (vbar_get(vdev, at) & (u32)mask) | bar_flags(pdev, bar));
		if (vbar_get(vdev, at) & PCI_BASE_ADDRESS_MEM_TYPE_64 && bar < 5) {
			bar++;
			at += 4;
			vbar_set(vdev, at, vbar_get(vdev, at) & (u32)(mask >> 32));
		}
	}
	if (pci_resource_start(pdev, PCI_ROM_RESOURCE)) {
		mask = ~(pci_resource_len(pdev, PCI_ROM_RESOURCE) - 1) |
		       PCI_ROM_ADDRESS_ENABLE;
		vbar_set(vdev, PCI_ROM_ADDRESS,
			 vbar_get(vdev, PCI_ROM_ADDRESS) & (u32)mask);
	} else {
		vbar_set(vdev, PCI_ROM_ADDRESS, 0);
	}
	vdev->bardirty = false;
}

int vfio_basic_config_read(struct vfio_pci_core_device *vdev, int pos, int count,
			   const struct perm_bits *perm, int offset, u32 *val)
{
	if (is_bar(offset))
		bar_fixup(vdev);
	count = vfio_default_config_read(vdev, pos, count, perm, offset, val);
	/* A virtual function decodes memory always. */
	if (offset == PCI_COMMAND && vdev->pdev->is_virtfn)
		*val |= vconfig_word(vdev, PCI_COMMAND) & PCI_COMMAND_MEMORY;
	return count;
}

static bool need_bar_restore(struct vfio_pci_core_device *vdev)
{
	for (unsigned i = 0; i < 6; i++) {
		u32 bar;

		if (vdev->rbar[i] &&
		    (pci_read_config_dword(vdev->pdev, PCI_BASE_ADDRESS_0 + 4 * (int)i,
					   &bar) ||
		     bar != vdev->rbar[i]))
			return true;
	}
	return false;
}

static void bar_restore(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	u16 cmd;

	if (pdev->is_virtfn)
		return;
	pr_info("%s: reset recovery - restoring BARs", pci_name(pdev));
	for (unsigned i = 0; i < 6; i++)
		pci_write_config_dword(pdev, PCI_BASE_ADDRESS_0 + 4 * (int)i,
				       vdev->rbar[i]);
	pci_write_config_dword(pdev, PCI_ROM_ADDRESS, vdev->rbar[6]);
	if (vdev->nointx && !pci_read_config_word(pdev, PCI_COMMAND, &cmd))
		pci_write_config_word(pdev, PCI_COMMAND, cmd | PCI_COMMAND_INTX_DISABLE);
}

/* Before the write: 0 or -errno. */
static int command_prepare(struct vfio_pci_core_device *vdev, u16 new_cmd)
{
	u16 phys, virt = vconfig_word(vdev, PCI_COMMAND);
	int ret = pci_read_config_word(vdev->pdev, PCI_COMMAND, &phys);

	if (ret)
		return ret;
	if (!(new_cmd & PCI_COMMAND_MEMORY))
		vfio_pci_dma_buf_move(vdev, true);
	/* Enabled for the program, but not in hardware: somebody has reset it. */
	if ((new_cmd & virt & ~phys & PCI_COMMAND_MEMORY && !vdev->pdev->is_virtfn) ||
	    new_cmd & virt & ~phys & PCI_COMMAND_IO || need_bar_restore(vdev))
		bar_restore(vdev);
	return 0;
}

static void command_finish(struct vfio_pci_core_device *vdev, u16 new_cmd)
{
	const u16 mask = PCI_COMMAND_MEMORY | PCI_COMMAND_IO;
	u16 virt = vconfig_word(vdev, PCI_COMMAND);

	vconfig_set_word(vdev, PCI_COMMAND, (u16)((virt & ~mask) | (new_cmd & mask)));
	if (vfio_pci_memory_enabled(vdev))
		vfio_pci_dma_buf_move(vdev, false);
}

int vfio_basic_config_write(struct vfio_pci_core_device *vdev, int pos, int count,
			    const struct perm_bits *perm, int offset, u32 val)
{
	int ret;

	if (offset == PCI_COMMAND) {
		ret = command_prepare(vdev, (u16)val);
		if (ret)
			return ret;
	}
	count = vfio_default_config_write(vdev, pos, count, perm, offset, val);
	if (count < 0)
		return count;
	if (offset == PCI_COMMAND)
		command_finish(vdev, (u16)val);
	if (offset == PCI_COMMAND || offset == PCI_COMMAND + 1) {
		bool disable = vconfig_word(vdev, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE;

		if (disable && !vdev->virq_disabled) {
			vdev->virq_disabled = true;
			vfio_pci_intx_mask(vdev);
		} else if (!disable && vdev->virq_disabled) {
			vdev->virq_disabled = false;
			vfio_pci_intx_unmask(vdev);
		}
	}
	if (is_bar(offset))
		vdev->bardirty = true;
	return count;
}
