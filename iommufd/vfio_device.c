// SPDX-License-Identifier: MIT
/*
 * iommufd as VFIO's devices use it, and their character devices: a device is bound to a
 * context, then attached to its page tables, by PASID or as a whole.
 * Source: drivers/vfio/iommufd.c and device_cdev.c.
 */
#include "iommufd/vfio_device.h"

#include <stdio.h>

#include "base/alloc.h"
#include "iommufd/iommufd.h"
#include "machine/uaccess.h"
#include "vfio/vfio.h"

/* The PASIDs a bound device is attached by; vdev->iommufd_private. */
struct vfio_pasids {
	struct xarray attached;
};

static int physical_bind(struct vfio_device *vdev, struct iommufd_ctx *ictx, u32 *devid)
{
	struct vfio_pasids *pasids = kzalloc(sizeof(*pasids));
	struct iommufd_device *idev;

	if (!pasids)
		return -ENOMEM;
	idev = iommufd_device_bind(ictx, vdev->dev, devid);
	if (IS_ERR(idev)) {
		kfree(pasids);
		return (int)PTR_ERR(idev);
	}
	xa_init(&pasids->attached);
	vdev->iommufd_device = idev;
	vdev->iommufd_private = pasids;
	return 0;
}

static void physical_detach_ioas(struct vfio_device *vdev)
{
	if (!vdev->iommufd_attached)
		return;
	iommufd_device_detach(vdev->iommufd_device, IOMMU_NO_PASID);
	vdev->iommufd_attached = false;
}

static void physical_unbind(struct vfio_device *vdev)
{
	struct vfio_pasids *pasids = vdev->iommufd_private;
	void *entry;
	u64 pasid;

	xa_for_each(&pasids->attached, pasid, entry)
		iommufd_device_detach(vdev->iommufd_device, (ioasid_t)pasid);
	xa_destroy(&pasids->attached);
	kfree(pasids);
	vdev->iommufd_private = NULL;
	physical_detach_ioas(vdev);
	iommufd_device_unbind(vdev->iommufd_device);
	vdev->iommufd_device = NULL;
}

static int physical_attach_ioas(struct vfio_device *vdev, u32 *pt_id)
{
	int rc;

	if (WARN_ON(!vdev->iommufd_device))
		return -EINVAL;
	if (vdev->iommufd_attached)
		rc = iommufd_device_replace(vdev->iommufd_device, IOMMU_NO_PASID, pt_id);
	else
		rc = iommufd_device_attach(vdev->iommufd_device, IOMMU_NO_PASID, pt_id);
	if (!rc)
		vdev->iommufd_attached = true;
	return rc;
}

static int physical_pasid_attach_ioas(struct vfio_device *vdev, u32 pasid, u32 *pt_id)
{
	struct vfio_pasids *pasids = vdev->iommufd_private;
	int rc;

	if (pasid > INT32_MAX)
		return -ENOSPC;
	if (xa_load(&pasids->attached, pasid))
		return iommufd_device_replace(vdev->iommufd_device, pasid, pt_id);
	rc = xa_store(&pasids->attached, pasid, vdev);
	if (rc)
		return rc;
	rc = iommufd_device_attach(vdev->iommufd_device, pasid, pt_id);
	if (rc)
		xa_erase(&pasids->attached, pasid);
	return rc;
}

static void physical_pasid_detach_ioas(struct vfio_device *vdev, u32 pasid)
{
	struct vfio_pasids *pasids = vdev->iommufd_private;

	if (xa_erase(&pasids->attached, pasid))
		iommufd_device_detach(vdev->iommufd_device, pasid);
}

static struct iommufd_ctx *device_ictx(struct vfio_device *vdev)
{
	return vdev->iommufd_device ? iommufd_device_to_ictx(vdev->iommufd_device) : NULL;
}

static int get_dev_id(struct vfio_device *vdev, struct iommufd_ctx *ictx)
{
	struct iommu_group *group;
	bool mine;

	if (device_ictx(vdev) == ictx)
		return vdev->iommufd_device
			       ? (int)iommufd_device_to_id(vdev->iommufd_device)
			       : -EINVAL;
	group = iommu_group_get(vdev->dev);
	if (!group)
		return -ENODEV;
	mine = iommufd_ctx_has_group(ictx, group);
	iommu_group_put(group);
	return mine ? -ENOENT : -ENODEV;
}

static const struct vfio_iommufd_ops vfio_iommufd_ops = {
	.ctx_from_file = iommufd_ctx_from_file,
	.ctx_put = iommufd_ctx_put,
	.compat_ioas_create = iommufd_vfio_compat_ioas_create,
	.compat_set_no_iommu = iommufd_vfio_compat_set_no_iommu,
	.compat_ioas_get_id = iommufd_vfio_compat_ioas_get_id,
	.bind = physical_bind,
	.unbind = physical_unbind,
	.attach_ioas = physical_attach_ioas,
	.detach_ioas = physical_detach_ioas,
	.device_ictx = device_ictx,
	.get_dev_id = get_dev_id,
};

/* --- the character device
 * ----------------------------------------------------------------- */

static int check_token(struct vfio_device *vdev, struct call *call,
		       const struct vfio_device_bind_iommufd *bind)
{
	u8 uuid[16];
	int rc;

	if (!vdev->ops->match_token_uuid)
		return bind->flags & VFIO_DEVICE_BIND_FLAG_TOKEN ? -EINVAL : 0;
	if (!(bind->flags & VFIO_DEVICE_BIND_FLAG_TOKEN))
		return vdev->ops->match_token_uuid(vdev, NULL);
	rc = copy_from_user(call, uuid, bind->token_uuid_ptr, sizeof(uuid));
	return rc ? rc : vdev->ops->match_token_uuid(vdev, uuid);
}

static void df_unbind(void *data)
{
	struct vfio_device_file *df = data;
	struct vfio_device *vdev = df->device;

	vfio_df_close(df);
	iommufd_ctx_put(df->iommufd);
	df->iommufd = NULL;
	df->access_granted = false;
	vdev->cdev_opened = false;
	vfio_device_unblock_group(vdev);
}

static long bind_iommufd(struct vfio_device_file *df, struct call *call, u64 arg)
{
	struct vfio_device *vdev = df->device;
	struct vfio_device_bind_iommufd bind;
	u32 user_size;
	int rc;

	rc = get_user_u32(call, &user_size, arg);
	if (rc)
		return rc;
	if (user_size < offsetofend(struct vfio_device_bind_iommufd, out_devid))
		return -EINVAL;
	rc = copy_struct_from_user(call, &bind, sizeof(bind), arg, user_size);
	if (rc)
		return rc;
	if (bind.iommufd < 0 || (bind.flags & ~VFIO_DEVICE_BIND_FLAG_TOKEN))
		return -EINVAL;
	if (df->group)
		return -EINVAL;
	rc = vfio_device_block_group(vdev);
	if (rc)
		return rc;
	if (df->access_granted) {
		rc = -EINVAL;
		goto err_unblock;
	}
	rc = check_token(vdev, call, &bind);
	if (rc)
		goto err_unblock;
	df->iommufd = iommufd_ctx_from_fd(call, bind.iommufd);
	if (IS_ERR(df->iommufd)) {
		rc = (int)PTR_ERR(df->iommufd);
		df->iommufd = NULL;
		goto err_unblock;
	}
	rc = vfio_df_open(df, call);
	if (rc)
		goto err_put;
	rc = copy_to_user(call,
			  arg + offsetof(struct vfio_device_bind_iommufd, out_devid),
			  &df->devid, sizeof(df->devid));
	if (rc) {
		vfio_df_close(df);
		goto err_put;
	}
	call_on_fault(call, df_unbind, df);
	vdev->cdev_opened = true;
	df->access_granted = true;
	return 0;

err_put:
	iommufd_ctx_put(df->iommufd);
	df->iommufd = NULL;
err_unblock:
	vfio_device_unblock_group(vdev);
	return rc;
}

static void undo_attach(void *data)
{
	physical_detach_ioas(data);
}

static long attach_pt(struct vfio_device_file *df, struct call *call, u64 arg)
{
	const size_t minsz = offsetofend(struct vfio_device_attach_iommufd_pt, pt_id);
	struct vfio_device_attach_iommufd_pt attach;
	struct vfio_device *vdev = df->device;
	int rc;

	rc = copy_from_user(call, &attach, arg, minsz);
	if (rc)
		return rc;
	if (attach.argsz < minsz || (attach.flags & ~VFIO_DEVICE_ATTACH_PASID))
		return -EINVAL;
	if (attach.flags & VFIO_DEVICE_ATTACH_PASID) {
		if (attach.argsz < sizeof(attach))
			return -EINVAL;
		rc = copy_from_user(call, &attach, arg, sizeof(attach));
		if (rc)
			return rc;
		rc = physical_pasid_attach_ioas(vdev, attach.pasid, &attach.pt_id);
	} else {
		rc = physical_attach_ioas(vdev, &attach.pt_id);
	}
	if (rc)
		return rc;
	rc = copy_to_user(call,
			  arg + offsetof(struct vfio_device_attach_iommufd_pt, pt_id),
			  &attach.pt_id, sizeof(attach.pt_id));
	if (rc)
		physical_detach_ioas(vdev);
	else
		call_on_fault(call, undo_attach, vdev);
	return rc;
}

static long detach_pt(struct vfio_device_file *df, struct call *call, u64 arg)
{
	const size_t minsz = offsetofend(struct vfio_device_detach_iommufd_pt, flags);
	struct vfio_device_detach_iommufd_pt detach;
	int rc;

	rc = copy_from_user(call, &detach, arg, minsz);
	if (rc)
		return rc;
	if (detach.argsz < minsz || (detach.flags & ~VFIO_DEVICE_DETACH_PASID))
		return -EINVAL;
	if (detach.flags & VFIO_DEVICE_DETACH_PASID) {
		if (detach.argsz < sizeof(detach))
			return -EINVAL;
		rc = copy_from_user(call, &detach, arg, sizeof(detach));
		if (rc)
			return rc;
		physical_pasid_detach_ioas(df->device, detach.pasid);
	} else {
		physical_detach_ioas(df->device);
	}
	return 0;
}

static long cdev_ioctl(struct vfio_device_file *df, struct call *call, unsigned cmd,
		       u64 arg)
{
	switch (cmd) {
	case VFIO_DEVICE_BIND_IOMMUFD:
		return bind_iommufd(df, call, arg);
	case VFIO_DEVICE_ATTACH_IOMMUFD_PT:
		return attach_pt(df, call, arg);
	case VFIO_DEVICE_DETACH_IOMMUFD_PT:
		return detach_pt(df, call, arg);
	}
	return -ENOIOCTLCMD;
}

static void cdev_release(struct vfio_device_file *df)
{
	if (df->access_granted)
		df_unbind(df);
}

static int cdev_open(struct machine *m, void *data, struct call *call, int flags,
		     struct file **out)
{
	struct vfio_device *vdev = data;
	struct vfio_device_file *df;

	if (!vfio_device_try_get_registration(vdev))
		return -ENODEV;
	df = vfio_allocate_device_file(vdev);
	*out = df ? file_alloc(m, &vfio_device_fops, df, flags) : ERR_PTR(-ENOMEM);
	if (IS_ERR(*out)) {
		kfree(df);
		vfio_device_put_registration(vdev);
		return (int)PTR_ERR(*out);
	}
	return 0;
}

static const struct device_node_ops cdev_node_ops = {
	.open = cdev_open,
};

static void cdev_path(const struct vfio_device *vdev, char *buf, size_t size)
{
	snprintf(buf, size, "/dev/vfio/devices/%s", vdev->name);
}

/* A device without an IOMMU is reached through its group alone. */
static int cdev_add(struct vfio_device *vdev)
{
	char path[64];

	if (vfio_device_is_noiommu(vdev))
		return 0;
	cdev_path(vdev, path, sizeof(path));
	return devnode_register(vdev->core->machine, path, 0600, VFIO_CDEV_MAJOR,
				vdev->index, &cdev_node_ops, vdev);
}

static void cdev_del(struct vfio_device *vdev)
{
	char path[64];

	if (vfio_device_is_noiommu(vdev))
		return;
	cdev_path(vdev, path, sizeof(path));
	devnode_unregister(vdev->core->machine, path);
}

static const struct vfio_cdev_ops vfio_cdev_ops = {
	.add = cdev_add,
	.del = cdev_del,
	.ioctl = cdev_ioctl,
	.release = cdev_release,
};

void iommufd_vfio_init(struct machine *m)
{
	vfio_set_iommufd_ops(m, &vfio_iommufd_ops);
	vfio_set_cdev_ops(m, &vfio_cdev_ops);
}
