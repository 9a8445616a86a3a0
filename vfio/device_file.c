// SPDX-License-Identifier: MIT
/*
 * Open files of a device: first open and last close, the requests that every driver
 * answers alike (DEVICE_FEATURE of migration, GET_REGION_INFO's chain), and passing the
 * rest on. Source of behaviour: drivers/vfio/vfio_main.c.
 *
 * A file that came through the character device has df->group NULL and is good for
 * nothing before it is bound (access_granted).
 */
#include "vfio/priv.h"

struct vfio_device_file *vfio_allocate_device_file(struct vfio_device *vdev)
{
	struct vfio_device_file *df = kzalloc(sizeof(*df));

	if (df)
		df->device = vdev;
	return df;
}

static int use_iommu(struct vfio_device_file *df, struct call *call)
{
	struct vfio_device *vdev = df->device;

	if (!df->iommufd)
		return vfio_group_use_container(vdev->group, call);
	if (vfio_device_is_noiommu(vdev))
		return 0;
	return vdev->core->iommufd->bind(vdev, df->iommufd, &df->devid);
}

static void unuse_iommu(struct vfio_device_file *df)
{
	struct vfio_device *vdev = df->device;

	if (!df->iommufd)
		vfio_group_unuse_container(vdev->group);
	else if (!vfio_device_is_noiommu(vdev))
		vdev->core->iommufd->unbind(vdev);
}

int vfio_df_open(struct vfio_device_file *df, struct call *call)
{
	struct vfio_device *vdev = df->device;
	int ret;

	/* Through the character device only one opener. */
	if (vdev->open_count && !df->group)
		return -EINVAL;
	if (vdev->open_count) {
		vdev->open_count++;
		return 0;
	}
	ret = use_iommu(df, call);
	if (ret)
		return ret;
	vdev->open_count = 1;
	if (vdev->ops->open_device)
		ret = vdev->ops->open_device(vdev);
	if (ret) {
		vdev->open_count = 0;
		unuse_iommu(df);
	}
	return ret;
}

void vfio_df_close(struct vfio_device_file *df)
{
	struct vfio_device *vdev = df->device;

	if (WARN_ON(!vdev->open_count))
		return;
	if (vdev->open_count == 1) {
		if (vdev->ops->close_device)
			vdev->ops->close_device(vdev);
		unuse_iommu(df);
	}
	vdev->open_count--;
}

static void device_file_release(struct file *file)
{
	struct vfio_device_file *df = file->private;
	struct vfio_device *vdev = df->device;

	if (df->group)
		vfio_df_group_close(df);
	else if (vdev->core->cdev)
		vdev->core->cdev->release(df);
	kfree(df);
	vfio_device_put_registration(vdev);
}

static long device_ioctl_feature(struct vfio_device *vdev, struct call *call, u64 arg)
{
	struct vfio_device_feature feature;
	int ret = copy_from_user(call, &feature, arg, sizeof(feature));

	if (ret)
		return ret;
	if (feature.argsz < sizeof(feature))
		return -EINVAL;
	if (feature.flags & ~(VFIO_DEVICE_FEATURE_MASK | VFIO_DEVICE_FEATURE_SET |
			      VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_PROBE))
		return -EINVAL;
	if (!(feature.flags & VFIO_DEVICE_FEATURE_PROBE) &&
	    feature.flags & VFIO_DEVICE_FEATURE_SET &&
	    feature.flags & VFIO_DEVICE_FEATURE_GET)
		return -EINVAL;

	switch (feature.flags & VFIO_DEVICE_FEATURE_MASK) {
	case VFIO_DEVICE_FEATURE_MIGRATION:
	case VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE:
	case VFIO_DEVICE_FEATURE_MIG_DATA_SIZE:
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_START:
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP:
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT:
		/* Of drivers that can migrate their device; vfio-pci cannot. */
		return -ENOTTY;
	case VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2:
		return -EINVAL;
	default:
		if (!vdev->ops->device_feature)
			return -ENOTTY;
		return vdev->ops->device_feature(vdev, call, feature.flags,
						 arg + sizeof(feature),
						 feature.argsz - sizeof(feature));
	}
}

static long device_ioctl_region_info(struct vfio_device *vdev, struct call *call, u64 arg)
{
	struct vfio_region_info info;
	struct vfio_info_cap caps = {};
	int ret;

	if (!vdev->ops->get_region_info_caps)
		return -EINVAL;
	ret = copy_from_user(call, &info, arg, sizeof(info));
	if (ret)
		return ret;
	if (info.argsz < sizeof(info))
		return -EINVAL;
	ret = vdev->ops->get_region_info_caps(vdev, &info, &caps);
	if (ret)
		goto out;
	if (caps.size) {
		info.flags |= VFIO_REGION_INFO_FLAG_CAPS;
		if (info.argsz < sizeof(info) + caps.size) {
			info.argsz = (u32)(sizeof(info) + caps.size);
			info.cap_offset = 0;
		} else {
			vfio_info_cap_shift(&caps, sizeof(info));
			ret = copy_to_user(call, arg + sizeof(info), caps.buf, caps.size);
			if (ret)
				goto out;
			info.cap_offset = sizeof(info);
		}
	}
	ret = copy_to_user(call, arg, &info, sizeof(info));
out:
	kfree(caps.buf);
	return ret;
}

static long device_file_ioctl(struct file *file, struct call *call, unsigned cmd, u64 arg)
{
	struct vfio_device_file *df = file->private;
	struct vfio_device *vdev = df->device;
	const struct vfio_cdev_ops *cdev = vdev->core->cdev;
	long ret;

	if (cmd == VFIO_DEVICE_BIND_IOMMUFD)
		return cdev ? cdev->ioctl(df, call, cmd, arg) : -ENOTTY;
	if (!df->access_granted)
		return -EINVAL;
	if (vdev->ops->pm_get)
		vdev->ops->pm_get(vdev);
	ret = !df->group && cdev ? cdev->ioctl(df, call, cmd, arg) : -ENOIOCTLCMD;
	if (ret == -ENOIOCTLCMD) {
		switch (cmd) {
		case VFIO_DEVICE_FEATURE:
			ret = device_ioctl_feature(vdev, call, arg);
			break;
		case VFIO_DEVICE_GET_REGION_INFO:
			ret = device_ioctl_region_info(vdev, call, arg);
			break;
		default:
			ret = vdev->ops->ioctl ? vdev->ops->ioctl(vdev, call, cmd, arg)
					       : -EINVAL;
		}
	}
	if (vdev->ops->pm_put)
		vdev->ops->pm_put(vdev);
	return ret;
}

static ssize_t device_file_read(struct file *file, struct call *call, u64 ubuf,
				size_t len, u64 pos)
{
	struct vfio_device_file *df = file->private;

	if (!df->access_granted || !df->device->ops->read)
		return -EINVAL;
	return df->device->ops->read(df->device, call, ubuf, len, pos);
}

static ssize_t device_file_write(struct file *file, struct call *call, u64 ubuf,
				 size_t len, u64 pos)
{
	struct vfio_device_file *df = file->private;

	if (!df->access_granted || !df->device->ops->write)
		return -EINVAL;
	return df->device->ops->write(df->device, call, ubuf, len, pos);
}

static int device_file_mmap(struct file *file, struct call *call,
			    struct mmap_request *req)
{
	struct vfio_device_file *df = file->private;

	if (!df->access_granted || !df->device->ops->mmap)
		return -EINVAL;
	return df->device->ops->mmap(df->device, req);
}

const struct file_operations vfio_device_fops = {
	.name = "vfio-device",
	.ioctl = device_file_ioctl,
	.read = device_file_read,
	.write = device_file_write,
	.mmap = device_file_mmap,
	.release = device_file_release,
};

struct vfio_device *vfio_device_from_file(struct file *file)
{
	struct vfio_device_file *df = file->private;

	return file->ops == &vfio_device_fops ? df->device : NULL;
}
