// SPDX-License-Identifier: MIT
/* DEVICE_FEATURE of PCI devices: low power, VF token, dma-buf; others are not there. */
#include "vfio/pci_priv.h"

static int runtime_pm_entry(struct vfio_pci_core_device *vdev, int wake_eventfd)
{
	vfio_pci_dma_buf_move(vdev, true);
	if (vdev->pm_runtime_engaged)
		return -EINVAL;
	vdev->pm_runtime_engaged = true;
	vdev->pm_wake_eventfd = wake_eventfd;
	return 0;
}

void vfio_pci_runtime_pm_exit(struct vfio_pci_core_device *vdev)
{
	if (vdev->pm_runtime_engaged) {
		vdev->pm_runtime_engaged = false;
		vfio_eventfd_close(&vdev->pm_wake_eventfd);
	}
	if (vfio_pci_memory_enabled(vdev))
		vfio_pci_dma_buf_move(vdev, false);
}

static long low_power_entry_with_wakeup(struct vfio_pci_core_device *vdev,
					struct call *call, u32 flags, u64 arg,
					size_t argsz)
{
	struct vfio_device_low_power_entry_with_wakeup entry;
	int efd, ret;

	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET, sizeof(entry));
	if (ret != 1)
		return ret;
	ret = copy_from_user(call, &entry, arg, sizeof(entry));
	if (ret)
		return ret;
	if (entry.wakeup_eventfd < 0)
		return -EINVAL;
	efd = call_eventfd(call, entry.wakeup_eventfd);
	if (efd < 0)
		return efd;
	ret = runtime_pm_entry(vdev, efd);
	if (ret)
		vfio_eventfd_close(&efd);
	return ret;
}

long vfio_pci_feature(struct vfio_device *core_vdev, struct call *call, u32 flags,
		      u64 arg, size_t argsz)
{
	struct vfio_pci_core_device *vdev = to_vfio_pci(core_vdev);
	int ret;

	switch (flags & VFIO_DEVICE_FEATURE_MASK) {
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY:
		ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET, 0);
		return ret == 1 ? runtime_pm_entry(vdev, -1) : ret;
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP:
		return low_power_entry_with_wakeup(vdev, call, flags, arg, argsz);
	case VFIO_DEVICE_FEATURE_LOW_POWER_EXIT:
		ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET, 0);
		if (ret != 1)
			return ret;
		vfio_pci_runtime_pm_exit(vdev);
		return 0;
	case VFIO_DEVICE_FEATURE_PCI_VF_TOKEN:
		return vfio_pci_feature_token(vdev, call, flags, arg, argsz);
	case VFIO_DEVICE_FEATURE_DMA_BUF:
		return vfio_pci_feature_dma_buf(vdev, call, flags, arg, argsz);
	default:
		return -ENOTTY;
	}
}
