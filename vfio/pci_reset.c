// SPDX-License-Identifier: MIT
/*
 * Resets. RESET is of one function; PCI_HOT_RESET is of all that hang on the same bus (or
 * in the same hot-plug slot), and needs all of them: each must be bound to a vfio
 * driver, and owned by the caller, who shows its groups' descriptors (or has them in
 * the iommufd of a device opened through the character device).
 */
#include "vfio/pci_priv.h"

long vfio_pci_ioctl_reset(struct vfio_pci_core_device *vdev)
{
	int ret;

	if (!vdev->reset_works)
		return -EINVAL;
	vfio_pci_set_power_state(vdev, 0);
	vfio_pci_dma_buf_move(vdev, true);
	ret = pci_try_reset_function(vdev->pdev);
	if (vfio_pci_memory_enabled(vdev))
		vfio_pci_dma_buf_move(vdev, false);
	return ret;
}

/* ---- who is affected
 * ------------------------------------------------------------------- */

struct walk {
	int (*fn)(struct pci_dev *pdev, void *data);
	void *data;
	struct pci_dev *top;
	bool slot; /* only what is in (or behind) the slot of top */
};

static int walk_one(struct pci_dev *pdev, void *data)
{
	struct walk *w = data;
	struct pci_dev *at = pdev;

	if (w->slot) {
		while (at && at->bus != w->top->bus)
			at = pci_upstream_bridge(at);
		if (!at || PCI_SLOT(at->devfn) != PCI_SLOT(w->top->devfn))
			return 0;
	}
	return w->fn(pdev, w->data);
}

static int for_each_affected(struct pci_dev *top, bool slot,
			     int (*fn)(struct pci_dev *pdev, void *data), void *data)
{
	struct walk w = {.fn = fn, .data = data, .top = top, .slot = slot};

	return pci_walk_bus(top->bus, walk_one, &w);
}

/* -ENODEV: neither a slot nor a bus that could be reset. */
static int probe_hot_reset(struct pci_dev *pdev, bool *slot)
{
	*slot = !pci_probe_reset_slot(pdev);
	if (*slot || !pci_probe_reset_bus(pdev->bus))
		return 0;
	return -ENODEV;
}

static int count_one(struct pci_dev *pdev, void *data)
{
	(*(u32 *)data)++;
	return 0;
}

struct fill {
	struct vfio_device *vdev;
	struct vfio_pci_dependent_device *devices;
	u32 max, count, flags;
};

static int device_id(struct fill *fill, struct pci_dev *pdev)
{
	const struct vfio_iommufd_ops *ops = fill->vdev->core->iommufd;
	struct vfio_device *vdev =
		vfio_find_device_in_devset(fill->vdev->dev_set, &pdev->dev);
	int id = -ENODEV;

	if (vdev && ops)
		id = ops->get_dev_id(vdev, ops->device_ictx(fill->vdev));
	if (id > 0)
		return id;
	if (id == -ENOENT)
		return VFIO_PCI_DEVID_OWNED;
	fill->flags &= ~VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED;
	return VFIO_PCI_DEVID_NOT_OWNED;
}

static int fill_one(struct pci_dev *pdev, void *data)
{
	struct vfio_pci_dependent_device *d;
	struct iommu_group *group;
	struct fill *fill = data;

	if (fill->count >= fill->max)
		return -EAGAIN;
	d = &fill->devices[fill->count++];
	d->segment = pdev->bus->domain;
	d->bus = pdev->bus->number;
	d->devfn = pdev->devfn;
	if (fill->flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID) {
		d->devid = (u32)device_id(fill, pdev);
		return 0;
	}
	group = iommu_group_get(&pdev->dev);
	if (!group)
		return -EPERM;
	d->group_id = (u32)iommu_group_id(group);
	iommu_group_put(group);
	return 0;
}

long vfio_pci_ioctl_hot_reset_info(struct vfio_pci_core_device *vdev, struct call *call,
				   u64 arg)
{
	struct vfio_pci_hot_reset_info hdr;
	struct fill fill = {.vdev = &vdev->vdev};
	u32 count = 0;
	bool slot;
	int ret;

	ret = copy_from_user(call, &hdr, arg, sizeof(hdr));
	if (ret)
		return ret;
	if (hdr.argsz < sizeof(hdr))
		return -EINVAL;
	hdr.flags = 0;
	ret = probe_hot_reset(vdev->pdev, &slot);
	if (ret)
		return ret;
	ret = for_each_affected(vdev->pdev, slot, count_one, &count);
	if (ret)
		return ret;
	if (count > (hdr.argsz - sizeof(hdr)) / sizeof(*fill.devices)) {
		hdr.count = count;
		ret = copy_to_user(call, arg, &hdr, sizeof(hdr));
		return ret ? ret : -ENOSPC;
	}
	fill.devices = kcalloc(count, sizeof(*fill.devices));
	if (!fill.devices)
		return -ENOMEM;
	fill.max = count;
	if (vdev->vdev.cdev_opened)
		fill.flags = VFIO_PCI_HOT_RESET_FLAG_DEV_ID |
			     VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED;
	ret = for_each_affected(vdev->pdev, slot, fill_one, &fill);
	if (!ret)
		ret = copy_to_user(call, arg + sizeof(hdr), fill.devices,
				   sizeof(*fill.devices) * fill.count);
	if (!ret) {
		hdr.count = fill.count;
		hdr.flags = fill.flags;
		ret = copy_to_user(call, arg, &hdr, sizeof(hdr));
	}
	kfree(fill.devices);
	return ret;
}

/* ---- the reset
 * ----------------------------------------------------------------------------- */

static int is_in_set(struct pci_dev *pdev, void *data)
{
	return vfio_find_device_in_devset(data, &pdev->dev) ? 0 : -ENODEV;
}

/* One of its devices, if a reset hits nobody else. */
static struct pci_dev *dev_set_resettable(struct vfio_device_set *set)
{
	struct vfio_device *first =
		list_first_entry(&set->device_list, struct vfio_device, dev_set_list);
	struct pci_dev *pdev = to_vfio_pci(first)->pdev;
	bool slot;

	if (probe_hot_reset(pdev, &slot) || for_each_affected(pdev, slot, is_in_set, set))
		return NULL;
	return pdev;
}

struct shown_groups {
	struct file **files;
	u32 count;
};

static bool owned_by_caller(struct vfio_device *vdev, const struct shown_groups *groups,
			    struct iommufd_ctx *ictx)
{
	int id;

	if (ictx) {
		id = vdev->core->iommufd->get_dev_id(vdev, ictx);
		return id > 0 || id == -ENOENT;
	}
	for (u32 i = 0; groups && i < groups->count; i++) {
		if (vfio_file_has_dev(groups->files[i], vdev))
			return true;
	}
	return false;
}

static int dev_set_hot_reset(struct vfio_device_set *set,
			     const struct shown_groups *groups, struct iommufd_ctx *ictx)
{
	struct pci_dev *pdev = dev_set_resettable(set);
	struct vfio_device *cur;
	int ret;

	if (!pdev)
		return -EINVAL;
	list_for_each_entry(cur, &set->device_list, dev_set_list) {
		if (!owned_by_caller(cur, groups, ictx))
			return -EINVAL;
	}
	list_for_each_entry(cur, &set->device_list, dev_set_list) {
		vfio_pci_dma_buf_move(to_vfio_pci(cur), true);
		vfio_pci_set_power_state(to_vfio_pci(cur), 0);
	}
	ret = pci_reset_bus(pdev);
	list_for_each_entry(cur, &set->device_list, dev_set_list) {
		if (cur->open_count && vfio_pci_memory_enabled(to_vfio_pci(cur)))
			vfio_pci_dma_buf_move(to_vfio_pci(cur), false);
	}
	return ret;
}

static long hot_reset_groups(struct vfio_pci_core_device *vdev, struct call *call,
			     u64 fds, u32 array_count, bool slot)
{
	struct shown_groups groups = {};
	u32 count = 0;
	s32 *numbers;
	int ret;

	ret = for_each_affected(vdev->pdev, slot, count_one, &count);
	if (ret)
		return ret;
	if (array_count > count)
		return -EINVAL;
	numbers = kcalloc(array_count, sizeof(*numbers));
	groups.files = kcalloc(array_count, sizeof(*groups.files));
	if (!numbers || !groups.files) {
		ret = -ENOMEM;
		goto out;
	}
	ret = copy_from_user(call, numbers, fds, array_count * sizeof(*numbers));
	while (!ret && groups.count < array_count) {
		struct file *file = call_fget(call, numbers[groups.count]);

		if (IS_ERR(file)) {
			ret = (int)PTR_ERR(file);
			if (ret == -ENOTTY)
				ret = -EINVAL;
		} else if (!vfio_file_is_group(file)) {
			fput(file);
			ret = -EINVAL;
		} else {
			groups.files[groups.count++] = file;
		}
	}
	if (!ret)
		ret = dev_set_hot_reset(vdev->vdev.dev_set, &groups, NULL);
	while (groups.count)
		fput(groups.files[--groups.count]);
out:
	kfree(groups.files);
	kfree(numbers);
	return ret;
}

long vfio_pci_ioctl_hot_reset(struct vfio_pci_core_device *vdev, struct call *call,
			      u64 arg)
{
	const struct vfio_iommufd_ops *iommufd = vdev->vdev.core->iommufd;
	struct vfio_pci_hot_reset hdr;
	bool slot;
	int ret;

	ret = copy_from_user(call, &hdr, arg, sizeof(hdr));
	if (ret)
		return ret;
	if (hdr.argsz < sizeof(hdr) || hdr.flags)
		return -EINVAL;
	/* Groups are shown by who came through a group, and by nobody else. */
	if (!!hdr.count == vdev->vdev.cdev_opened)
		return -EINVAL;
	ret = probe_hot_reset(vdev->pdev, &slot);
	if (ret)
		return ret;
	if (hdr.count)
		return hot_reset_groups(vdev, call, arg + sizeof(hdr), hdr.count, slot);
	return dev_set_hot_reset(vdev->vdev.dev_set, NULL,
				 iommufd->device_ictx(&vdev->vdev));
}

/* After a close: a device that could not be reset alone, if that is possible now. */
void vfio_pci_dev_set_try_reset(struct vfio_device_set *set)
{
	bool needs_reset = false;
	struct vfio_device *cur;
	struct pci_dev *pdev;

	/* The closing device still counts. */
	if (vfio_device_set_open_count(set) > 1)
		return;
	list_for_each_entry(cur, &set->device_list, dev_set_list)
		needs_reset |= to_vfio_pci(cur)->needs_reset;
	if (!needs_reset)
		return;
	pdev = dev_set_resettable(set);
	if (!pdev || pci_reset_bus(pdev))
		return;
	list_for_each_entry(cur, &set->device_list, dev_set_list)
		to_vfio_pci(cur)->needs_reset = false;
}
