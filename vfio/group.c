// SPDX-License-Identifier: MIT
/*
 * /dev/vfio/N: the group as the unit of ownership. It opens once; SET_CONTAINER claims
 * the DMA of all its members (at once for a container of ours, with the first device
 * for an iommufd); GET_DEVICE_FD opens a member that is bound to a vfio driver.
 * Source of behaviour: drivers/vfio/group.c; recordings in conformance/groups (22 to 35).
 *
 * A group whose last device has left its driver has no iommu_group any more: an open
 * file of it lives on and answers -ENODEV for ever.
 */
#define LOG_SUBSYSTEM "vfio"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "vfio/priv.h"

static void group_put(struct vfio_group *group)
{
	if (--group->refs)
		return;
	WARN_ON(group->iommu_group);
	xa_erase(&group->core->group_minors, group->minor);
	kfree(group);
}

static bool group_has_iommu(const struct vfio_group *group)
{
	return group->container || group->iommufd;
}

static void group_put_iommufd(struct vfio_group *group)
{
	if (group->iommufd)
		group->core->iommufd->ctx_put(group->iommufd);
	group->iommufd = NULL;
}

/* Holds a registration on what it returns. */
static struct vfio_device *device_get_from_name(struct vfio_group *group,
						const char *name)
{
	struct vfio_device *vdev;

	list_for_each_entry(vdev, &group->device_list, group_next) {
		int ret;

		if (vdev->ops->match) {
			ret = vdev->ops->match(vdev, name);
			if (ret < 0)
				return ERR_PTR(ret);
		} else {
			ret = !strcmp(dev_name(vdev->dev), name);
		}
		if (ret && vfio_device_try_get_registration(vdev))
			return vdev;
	}
	return ERR_PTR(-ENODEV);
}

static int df_group_open(struct vfio_device_file *df, struct call *call)
{
	struct vfio_device *vdev = df->device;
	const struct vfio_iommufd_ops *iommufd = vdev->core->iommufd;
	u32 ioas_id;
	int ret;

	if (!group_has_iommu(vdev->group))
		return -EINVAL;
	df->iommufd = vdev->group->iommufd;
	if (df->iommufd && vfio_device_is_noiommu(vdev) && !vdev->open_count &&
	    (!call_capable(call, CAP_SYS_RAWIO) ||
	     !iommufd->compat_ioas_get_id(df->iommufd, &ioas_id))) {
		ret = -EPERM;
		goto err_iommufd;
	}
	ret = vfio_df_open(df, call);
	if (ret)
		goto err_iommufd;
	if (df->iommufd && vdev->open_count == 1 && !vfio_device_is_noiommu(vdev)) {
		ret = iommufd->compat_ioas_get_id(df->iommufd, &ioas_id);
		if (!ret)
			ret = iommufd->attach_ioas(vdev, &ioas_id);
		if (ret)
			goto err_close;
	}
	df->access_granted = true;
	return 0;

err_close:
	vfio_df_close(df);
err_iommufd:
	df->iommufd = NULL;
	return ret;
}

void vfio_df_group_close(struct vfio_device_file *df)
{
	vfio_df_close(df);
	df->iommufd = NULL;
}

static struct file *device_open_file(struct vfio_device *vdev, struct call *call)
{
	struct vfio_device_file *df = vfio_allocate_device_file(vdev);
	struct file *file;
	int ret;

	if (!df)
		return ERR_PTR(-ENOMEM);
	df->group = vdev->group;
	ret = df_group_open(df, call);
	if (ret)
		goto err_free;
	file = file_alloc(vdev->core->machine, &vfio_device_fops, df, O_RDWR | O_CLOEXEC);
	if (IS_ERR(file)) {
		ret = (int)PTR_ERR(file);
		goto err_close;
	}
	if (vdev->group->type == VFIO_NO_IOMMU)
		pr_warn("vfio-pci %s: vfio-noiommu device opened by user (%u)",
			dev_name(vdev->dev), call_pid(call));
	return file;

err_close:
	vfio_df_group_close(df);
err_free:
	kfree(df);
	return ERR_PTR(ret);
}

/* A terminated string of at most a page: 0, -EFAULT, -EINVAL (longer), -ERESTARTNOINTR.
 */
static int copy_name(struct call *call, char *buf, u64 from)
{
	size_t done = 0;

	while (done < PAGE_SIZE) {
		/* Never beyond what the string is known to need: chunks end at boundaries
		 * of 64. */
		size_t n = min_t(size_t, 64 - ((from + done) & 63), PAGE_SIZE - done);
		int ret = copy_from_user(call, buf + done, from + done, n);

		if (ret)
			return ret;
		if (memchr(buf + done, 0, n))
			return 0;
		done += n;
	}
	return -EINVAL;
}

static long group_get_device_fd(struct vfio_group *group, struct call *call, u64 arg)
{
	struct vfio_device *vdev;
	struct file *file;
	char *name;
	int ret;

	name = kmalloc(PAGE_SIZE);
	if (!name)
		return -ENOMEM;
	ret = copy_name(call, name, arg);
	vdev = ret ? ERR_PTR(ret) : device_get_from_name(group, name);
	kfree(name);
	if (IS_ERR(vdev))
		return PTR_ERR(vdev);
	file = device_open_file(vdev, call);
	if (IS_ERR(file)) {
		vfio_device_put_registration(vdev);
		return PTR_ERR(file);
	}
	return call_install_fd(call, file, 0);
}

static long group_get_status(struct vfio_group *group, struct call *call, u64 arg)
{
	struct vfio_group_status status;
	int ret = copy_from_user(call, &status, arg, sizeof(status));

	if (ret)
		return ret;
	if (status.argsz < sizeof(status))
		return -EINVAL;
	if (!group->iommu_group)
		return -ENODEV;
	status.flags = 0;
	if (group_has_iommu(group))
		status.flags = VFIO_GROUP_FLAGS_CONTAINER_SET | VFIO_GROUP_FLAGS_VIABLE;
	else if (!iommu_group_dma_owner_claimed(group->iommu_group))
		status.flags = VFIO_GROUP_FLAGS_VIABLE;
	return copy_to_user(call, arg, &status, sizeof(status));
}

static int set_iommufd(struct vfio_group *group, struct file *file)
{
	const struct vfio_iommufd_ops *ops = group->core->iommufd;
	struct iommufd_ctx *ictx;
	int ret;

	ictx = ops ? ops->ctx_from_file(file) : ERR_PTR(-EBADFD);
	if (IS_ERR(ictx))
		return -EBADFD;
	if (group->type == VFIO_NO_IOMMU)
		ret = ops->compat_set_no_iommu(ictx);
	else
		ret = ops->compat_ioas_create(ictx);
	if (ret) {
		ops->ctx_put(ictx);
		return ret;
	}
	group->iommufd = ictx;
	return 0;
}

static long group_set_container(struct vfio_group *group, struct call *call, u64 arg)
{
	struct vfio_container *container;
	struct file *file;
	s32 fd;
	int ret;

	ret = copy_from_user(call, &fd, arg, sizeof(fd));
	if (ret)
		return ret;
	file = call_fget(call, fd);
	if (IS_ERR(file) && PTR_ERR(file) != -ENOTTY)
		return PTR_ERR(file);
	if (group_has_iommu(group)) {
		ret = -EINVAL;
	} else if (!group->iommu_group) {
		ret = -ENODEV;
	} else if (IS_ERR(file)) {
		ret = -EBADFD;
	} else {
		container = vfio_container_from_file(file);
		ret = container ? vfio_container_attach_group(container, group, call)
				: set_iommufd(group, file);
	}
	if (!IS_ERR(file))
		fput(file);
	return ret;
}

static long group_unset_container(struct vfio_group *group)
{
	if (!group_has_iommu(group))
		return -EINVAL;
	if (group->container) {
		if (group->container_users != 1)
			return -EBUSY;
		vfio_group_detach_container(group);
	}
	group_put_iommufd(group);
	return 0;
}

static long group_ioctl(struct file *file, struct call *call, unsigned cmd, u64 arg)
{
	struct vfio_group *group = file->private;

	switch (cmd) {
	case VFIO_GROUP_GET_DEVICE_FD:
		return group_get_device_fd(group, call, arg);
	case VFIO_GROUP_GET_STATUS:
		return group_get_status(group, call, arg);
	case VFIO_GROUP_SET_CONTAINER:
		return group_set_container(group, call, arg);
	case VFIO_GROUP_UNSET_CONTAINER:
		return group_unset_container(group);
	default:
		return -ENOTTY;
	}
}

static void group_release(struct file *file)
{
	struct vfio_group *group = file->private;

	if (group->container)
		vfio_group_detach_container(group);
	group_put_iommufd(group);
	group->opened_file = NULL;
	group_put(group);
}

static const struct file_operations group_fops = {
	.name = "vfio-group",
	.ioctl = group_ioctl,
	.release = group_release,
};

static int group_open(struct machine *m, void *data, struct call *call, int flags,
		      struct file **out)
{
	struct vfio_group *group = data;
	struct file *file;

	if (group->type == VFIO_NO_IOMMU && !call_capable(call, CAP_SYS_RAWIO))
		return -EPERM;
	if (group->cdev_device_open_cnt || group->opened_file)
		return -EBUSY;
	file = file_alloc(m, &group_fops, group, flags);
	if (IS_ERR(file))
		return (int)PTR_ERR(file);
	group->opened_file = file;
	group->refs++;
	*out = file;
	return 0;
}

static const struct device_node_ops group_node_ops = {
	.open = group_open,
};

static void group_path(const struct vfio_group *group, char *buf, size_t size)
{
	snprintf(buf, size, "/dev/vfio/%s", group->name);
}

/* Takes a reference on @iommu_group. */
static struct vfio_group *group_create(struct vfio_core *core,
				       struct iommu_group *iommu_group,
				       enum vfio_group_type type)
{
	struct vfio_listener *l;
	struct vfio_group *group;
	char path[48];
	int ret;

	group = kzalloc(sizeof(*group));
	if (!group)
		return ERR_PTR(-ENOMEM);
	ret = xa_alloc(&core->group_minors, &group->minor, group,
		       XA_LIMIT(0, (1U << 20) - 1));
	if (ret)
		goto err_free;
	group->core = core;
	group->refs = 1;
	group->drivers = 1;
	group->type = type;
	INIT_LIST_HEAD(&group->device_list);
	snprintf(group->name, sizeof(group->name), "%s%d",
		 type == VFIO_NO_IOMMU ? "noiommu-" : "", iommu_group_id(iommu_group));
	group_path(group, path, sizeof(path));
	ret = devnode_register(core->machine, path, 0600, VFIO_GROUP_MAJOR, group->minor,
			       &group_node_ops, group);
	if (ret)
		goto err_minor;
	group->iommu_group = iommu_group_ref_get(iommu_group);
	list_add(&group->vfio_next, &core->groups);
	list_for_each_entry(l, &core->listeners, node) {
		if (l->group_added)
			l->group_added(l, group);
	}
	return group;

err_minor:
	xa_erase(&core->group_minors, group->minor);
err_free:
	kfree(group);
	return ERR_PTR(ret);
}

/* A device without an IOMMU gets a group of its own, made for the purpose. */
static struct vfio_group *noiommu_group_create(struct vfio_core *core, struct device *dev)
{
	struct iommu_group *iommu_group;
	struct vfio_group *group;
	int ret;

	iommu_group = iommu_group_alloc(core->machine);
	if (IS_ERR(iommu_group))
		return ERR_CAST(iommu_group);
	ret = iommu_group_set_name(iommu_group, "vfio-noiommu");
	if (ret)
		goto err_put;
	ret = iommu_group_add_device(iommu_group, dev);
	if (ret)
		goto err_put;
	group = group_create(core, iommu_group, VFIO_NO_IOMMU);
	if (IS_ERR(group)) {
		ret = (int)PTR_ERR(group);
		goto err_remove;
	}
	iommu_group_put(iommu_group);
	pr_warn("vfio-pci %s: Adding kernel taint for vfio-noiommu group on device",
		dev_name(dev));
	return group;

err_remove:
	iommu_group_remove_device(dev);
err_put:
	iommu_group_put(iommu_group);
	return ERR_PTR(ret);
}

static struct vfio_group *group_find(struct vfio_core *core,
				     struct iommu_group *iommu_group)
{
	struct vfio_group *group;

	list_for_each_entry(group, &core->groups, vfio_next) {
		if (group->iommu_group == iommu_group)
			return group;
	}
	return NULL;
}

int vfio_device_set_group(struct vfio_device *vdev)
{
	struct vfio_core *core = vdev->core;
	struct iommu_group *iommu_group = iommu_group_get(vdev->dev);
	struct vfio_group *group;

	if (!iommu_group) {
		if (!core->params.enable_unsafe_noiommu_mode)
			return -EINVAL;
		group = noiommu_group_create(core, vdev->dev);
	} else {
		group = group_find(core, iommu_group);
		if (group)
			group->drivers++;
		else
			group = group_create(core, iommu_group, VFIO_IOMMU);
		iommu_group_put(iommu_group);
	}
	if (IS_ERR(group))
		return (int)PTR_ERR(group);
	vdev->group = group;
	return 0;
}

void vfio_device_remove_group(struct vfio_device *vdev)
{
	struct vfio_group *group = vdev->group;
	struct iommu_group *iommu_group;
	struct vfio_listener *l;
	char path[48];

	if (group->type == VFIO_NO_IOMMU)
		iommu_group_remove_device(vdev->dev);
	vdev->group = NULL;
	if (--group->drivers)
		return;
	list_for_each_entry(l, &group->core->listeners, node) {
		if (l->group_removed)
			l->group_removed(l, group);
	}
	list_del(&group->vfio_next);
	group_path(group, path, sizeof(path));
	devnode_unregister(group->core->machine, path);
	WARN_ON(!list_empty(&group->device_list));
	if (group->container)
		vfio_group_detach_container(group);
	iommu_group = group->iommu_group;
	group->iommu_group = NULL;
	iommu_group_put(iommu_group);
	group_put(group);
}

void vfio_device_group_register(struct vfio_device *vdev)
{
	list_add(&vdev->group_next, &vdev->group->device_list);
}

void vfio_device_group_unregister(struct vfio_device *vdev)
{
	list_del(&vdev->group_next);
}

int vfio_device_block_group(struct vfio_device *vdev)
{
	if (vdev->group->opened_file)
		return -EBUSY;
	vdev->group->cdev_device_open_cnt++;
	return 0;
}

void vfio_device_unblock_group(struct vfio_device *vdev)
{
	vdev->group->cdev_device_open_cnt--;
}

bool vfio_device_is_noiommu(const struct vfio_device *vdev)
{
	return vdev->group->type == VFIO_NO_IOMMU;
}

bool vfio_file_is_group(struct file *file)
{
	return file->ops == &group_fops;
}

bool vfio_file_has_dev(struct file *file, struct vfio_device *vdev)
{
	return vfio_file_is_group(file) && file->private == vdev->group;
}

const char *vfio_group_name(const struct vfio_group *group)
{
	return group->name;
}

unsigned vfio_group_minor(const struct vfio_group *group)
{
	return group->minor;
}

struct iommu_group *vfio_group_iommu_group(const struct vfio_group *group)
{
	return group->iommu_group;
}
