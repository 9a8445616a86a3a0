// SPDX-License-Identifier: MIT
/* GET_INFO, GET_REGION_INFO and GET_IRQ_INFO of PCI devices. */
#include "vfio/pci_priv.h"

#define PCI_EXP_DEVCAP2_ATOMIC_ROUTE	    0x00000040
#define PCI_EXP_DEVCAP2_ATOMIC_COMP32	    0x00000080
#define PCI_EXP_DEVCAP2_ATOMIC_COMP64	    0x00000100
#define PCI_EXP_DEVCAP2_ATOMIC_COMP128	    0x00000200
#define PCI_EXP_DEVCTL2_ATOMIC_EGRESS_BLOCK 0x0080

/*
 * Do atomic operations of the device reach a completer of @comp at the root? Each
 * switch on the way has to route them.
 */
static bool atomic_ops_to_root(struct pci_dev *pdev, u32 comp)
{
	struct pci_dev *bridge;
	u16 ctl2;
	u32 cap;

	if (!pci_is_pcie(pdev) || pdev->is_virtfn)
		return false;
	for (bridge = pci_upstream_bridge(pdev); bridge;
	     bridge = pci_upstream_bridge(bridge)) {
		cap = 0;
		ctl2 = 0;
		pcie_capability_read_dword(bridge, PCI_EXP_DEVCAP2, &cap);
		pcie_capability_read_word(bridge, PCI_EXP_DEVCTL2, &ctl2);
		switch (pci_pcie_type(bridge)) {
		case PCI_EXP_TYPE_UPSTREAM:
		case PCI_EXP_TYPE_DOWNSTREAM:
			if (!(cap & PCI_EXP_DEVCAP2_ATOMIC_ROUTE))
				return false;
			break;
		case PCI_EXP_TYPE_ROOT_PORT:
			if ((cap & comp) != comp)
				return false;
			break;
		default:
			return false;
		}
		if (pci_pcie_type(bridge) == PCI_EXP_TYPE_UPSTREAM &&
		    ctl2 & PCI_EXP_DEVCTL2_ATOMIC_EGRESS_BLOCK)
			return false;
	}
	return true;
}

/* 0: added, or there is nothing to say. */
static int add_atomic_cap(struct vfio_pci_core_device *vdev, struct vfio_info_cap *caps)
{
	static const struct {
		u32 cap, flag;
	} sizes[] = {
		{PCI_EXP_DEVCAP2_ATOMIC_COMP32, VFIO_PCI_ATOMIC_COMP32},
		{PCI_EXP_DEVCAP2_ATOMIC_COMP64, VFIO_PCI_ATOMIC_COMP64},
		{PCI_EXP_DEVCAP2_ATOMIC_COMP128, VFIO_PCI_ATOMIC_COMP128},
	};
	struct vfio_device_info_cap_pci_atomic_comp cap = {
		.header = {.id = VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP, .version = 1},
	};
	struct pci_dev *pdev = pci_physfn(vdev->pdev);
	u32 devcap2 = 0;

	pcie_capability_read_dword(pdev, PCI_EXP_DEVCAP2, &devcap2);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		if (devcap2 & sizes[i].cap && atomic_ops_to_root(pdev, sizes[i].cap))
			cap.flags |= sizes[i].flag;
	}
	return cap.flags ? vfio_info_add_capability(caps, &cap.header, sizeof(cap)) : 0;
}

long vfio_pci_ioctl_get_info(struct vfio_pci_core_device *vdev, struct call *call,
			     u64 arg)
{
	const size_t minsz = offsetofend(struct vfio_device_info, num_irqs);
	struct vfio_device_info info = {};
	struct vfio_info_cap caps = {};
	size_t size;
	int ret;

	ret = copy_from_user(call, &info, arg, minsz);
	if (ret)
		return ret;
	if (info.argsz < minsz)
		return -EINVAL;
	size = min_t(size_t, info.argsz, sizeof(info));
	info.flags = VFIO_DEVICE_FLAGS_PCI;
	if (vdev->reset_works)
		info.flags |= VFIO_DEVICE_FLAGS_RESET;
	info.num_regions = VFIO_PCI_NUM_REGIONS;
	info.num_irqs = VFIO_PCI_NUM_IRQS;
	ret = add_atomic_cap(vdev, &caps);
	if (ret)
		return ret;
	if (caps.size) {
		info.flags |= VFIO_DEVICE_FLAGS_CAPS;
		if (info.argsz < sizeof(info) + caps.size) {
			info.argsz = (u32)(sizeof(info) + caps.size);
		} else {
			vfio_info_cap_shift(&caps, sizeof(info));
			ret = copy_to_user(call, arg + sizeof(info), caps.buf, caps.size);
			info.cap_offset = sizeof(info);
		}
		kfree(caps.buf);
	}
	return ret ? ret : copy_to_user(call, arg, &info, size);
}

int vfio_pci_get_region_info(struct vfio_device *core_vdev, struct vfio_region_info *info,
			     struct vfio_info_cap *caps)
{
	static const struct vfio_info_cap_header msix_mappable = {
		.id = VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
		.version = 1,
	};
	struct vfio_pci_core_device *vdev = to_vfio_pci(core_vdev);
	struct pci_dev *pdev = vdev->pdev;

	switch (info->index) {
	case VFIO_PCI_CONFIG_REGION_INDEX:
		info->size = pdev->cfg_size;
		info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
		break;
	case VFIO_PCI_BAR0_REGION_INDEX ... VFIO_PCI_BAR5_REGION_INDEX:
		info->size = pci_resource_len(pdev, info->index);
		info->flags = 0;
		if (!info->size)
			break;
		info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
		if (!vdev->bar_mmap_supported[info->index])
			break;
		info->flags |= VFIO_REGION_INFO_FLAG_MMAP;
		if (info->index == vdev->msix_bar) {
			int ret = vfio_info_add_capability(caps, &msix_mappable,
							   sizeof(msix_mappable));

			if (ret)
				return ret;
		}
		break;
	case VFIO_PCI_ROM_REGION_INDEX:
		/* A ROM without an image is as good as none. */
		info->size = 0;
		info->flags = 0;
		break;
	default:
		/* VGA, and regions of a device's own: there are none. */
		return -EINVAL;
	}
	info->offset = (u64)info->index << VFIO_PCI_OFFSET_SHIFT;
	return 0;
}

u32 vfio_pci_irq_count(struct vfio_pci_core_device *vdev, u32 index)
{
	struct pci_dev *pdev = vdev->pdev;

	switch (index) {
	case VFIO_PCI_INTX_IRQ_INDEX:
		return vdev->vconfig[PCI_INTERRUPT_PIN] ? 1 : 0;
	case VFIO_PCI_MSI_IRQ_INDEX:
		return pci_msi_vec_count(pdev);
	case VFIO_PCI_MSIX_IRQ_INDEX:
		return pci_msix_vec_count(pdev);
	case VFIO_PCI_ERR_IRQ_INDEX:
		return pci_is_pcie(pdev) ? 1 : 0;
	case VFIO_PCI_REQ_IRQ_INDEX:
		return 1;
	default:
		return 0;
	}
}

long vfio_pci_ioctl_get_irq_info(struct vfio_pci_core_device *vdev, struct call *call,
				 u64 arg)
{
	struct vfio_irq_info info;
	int ret = copy_from_user(call, &info, arg, sizeof(info));

	if (ret)
		return ret;
	if (info.argsz < sizeof(info) || info.index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	if (info.index == VFIO_PCI_ERR_IRQ_INDEX && !pci_is_pcie(vdev->pdev))
		return -EINVAL;
	info.flags = VFIO_IRQ_INFO_EVENTFD;
	info.count = vfio_pci_irq_count(vdev, info.index);
	if (info.index == VFIO_PCI_INTX_IRQ_INDEX)
		info.flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
	else if (info.index != VFIO_PCI_MSIX_IRQ_INDEX || !vdev->pdev->msix_cap)
		/* Vectors of MSI-X come and go while the others work. */
		info.flags |= VFIO_IRQ_INFO_NORESIZE;
	return copy_to_user(call, arg, &info, sizeof(info));
}
