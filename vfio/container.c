// SPDX-License-Identifier: MIT
/*
 * /dev/vfio/vfio: a container is a set of groups that share one IOMMU context, which
 * SET_IOMMU chooses while the first group is in it, and which goes with the last.
 * Everything else is passed on to that context's driver (type1; noiommu for groups
 * without an IOMMU). Source of behaviour: drivers/vfio/container.c.
 */
#define LOG_SUBSYSTEM "vfio"
#include "base/log.h"
#include "vfio/priv.h"

/* In the order in which they are asked. */
static const struct vfio_iommu_driver_ops *const iommu_drivers[] = {
	&vfio_iommu_driver_ops_type1,
	&vfio_noiommu_ops,
};

static void *noiommu_open(struct vfio_core *core, struct call *call, u64 arg)
{
	if (arg != VFIO_NOIOMMU_IOMMU)
		return ERR_PTR(-EINVAL);
	if (!call_capable(call, CAP_SYS_RAWIO))
		return ERR_PTR(-EPERM);
	return NULL;
}

static void noiommu_release(void *iommu_data)
{
}

static long noiommu_ioctl(struct vfio_core *core, void *iommu_data, struct call *call,
			  unsigned cmd, u64 arg)
{
	if (cmd == VFIO_CHECK_EXTENSION)
		return core->params.enable_unsafe_noiommu_mode &&
		       arg == VFIO_NOIOMMU_IOMMU;
	return -ENOTTY;
}

static int noiommu_attach_group(void *iommu_data, struct iommu_group *group)
{
	return 0;
}

static void noiommu_detach_group(void *iommu_data, struct iommu_group *group)
{
}

const struct vfio_iommu_driver_ops vfio_noiommu_ops = {
	.name = "vfio-noiommu",
	.open = noiommu_open,
	.release = noiommu_release,
	.ioctl = noiommu_ioctl,
	.attach_group = noiommu_attach_group,
	.detach_group = noiommu_detach_group,
};

static bool driver_allowed(const struct vfio_container *container,
			   const struct vfio_iommu_driver_ops *driver)
{
	return container->noiommu == (driver == &vfio_noiommu_ops);
}

static void container_put(struct vfio_container *container)
{
	if (!--container->refs)
		kfree(container);
}

static long container_check_extension(struct vfio_container *container, struct call *call,
				      u64 arg)
{
	const struct vfio_iommu_driver_ops *driver = container->iommu_driver;
	long ret = 0;

	if (driver)
		return driver->ioctl(container->core, container->iommu_data, call,
				     VFIO_CHECK_EXTENSION, arg);
	for (size_t i = 0; i < ARRAY_SIZE(iommu_drivers) && ret <= 0; i++) {
		driver = iommu_drivers[i];
		if (!list_empty(&container->group_list) &&
		    !driver_allowed(container, driver))
			continue;
		ret = driver->ioctl(container->core, NULL, call, VFIO_CHECK_EXTENSION,
				    arg);
	}
	return ret;
}

static int attach_groups(struct vfio_container *container,
			 const struct vfio_iommu_driver_ops *driver, void *data)
{
	struct vfio_group *group;
	int ret = -ENODEV;

	list_for_each_entry(group, &container->group_list, container_next) {
		ret = driver->attach_group(data, group->iommu_group);
		if (ret)
			goto unwind;
	}
	return ret;

unwind:
	list_for_each_entry_continue_reverse(group, &container->group_list,
					     container_next)
		driver->detach_group(data, group->iommu_group);
	return ret;
}

static long container_set_iommu(struct vfio_container *container, struct call *call,
				u64 arg)
{
	struct vfio_core *core = container->core;
	long ret = -ENODEV;

	if (list_empty(&container->group_list) || container->iommu_driver)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(iommu_drivers); i++) {
		const struct vfio_iommu_driver_ops *driver = iommu_drivers[i];
		void *data;

		if (!driver_allowed(container, driver) ||
		    driver->ioctl(core, NULL, call, VFIO_CHECK_EXTENSION, arg) <= 0)
			continue;
		data = driver->open(core, call, arg);
		if (IS_ERR(data)) {
			ret = PTR_ERR(data);
			continue;
		}
		ret = attach_groups(container, driver, data);
		if (ret) {
			driver->release(data);
			continue;
		}
		container->iommu_driver = driver;
		container->iommu_data = data;
		break;
	}
	return ret;
}

static long container_ioctl(struct file *file, struct call *call, unsigned cmd, u64 arg)
{
	struct vfio_container *container = file->private;

	switch (cmd) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_CHECK_EXTENSION:
		return container_check_extension(container, call, arg);
	case VFIO_SET_IOMMU:
		return container_set_iommu(container, call, arg);
	default:
		if (!container->iommu_driver)
			return -EINVAL;
		return container->iommu_driver->ioctl(
			container->core, container->iommu_data, call, cmd, arg);
	}
}

static void container_release(struct file *file)
{
	container_put(file->private);
}

static const struct file_operations container_fops = {
	.name = "vfio",
	.unseen = true,
	.ioctl = container_ioctl,
	.release = container_release,
};

static int container_open(struct machine *m, void *data, struct call *call, int flags,
			  struct file **out)
{
	struct vfio_container *container = kzalloc(sizeof(*container));
	struct file *file;

	if (!container)
		return -ENOMEM;
	container->core = data;
	container->refs = 1;
	INIT_LIST_HEAD(&container->group_list);
	file = file_alloc(m, &container_fops, container, flags);
	if (IS_ERR(file)) {
		kfree(container);
		return (int)PTR_ERR(file);
	}
	*out = file;
	return 0;
}

static const struct device_node_ops container_node_ops = {
	.open = container_open,
};

struct vfio_container *vfio_container_from_file(struct file *file)
{
	return file->ops == &container_fops ? file->private : NULL;
}

/*
 * The group's DMA is claimed here, whether or not the container has its IOMMU yet.
 * Return: -EPERM: a member is in use by a kernel driver, or the container holds groups
 * of the other kind; what the IOMMU context says (type1: attach_group()).
 */
int vfio_container_attach_group(struct vfio_container *container,
				struct vfio_group *group, struct call *call)
{
	int ret;

	if (group->type == VFIO_NO_IOMMU && !call_capable(call, CAP_SYS_RAWIO))
		return -EPERM;
	if (!list_empty(&container->group_list) &&
	    container->noiommu != (group->type == VFIO_NO_IOMMU))
		return -EPERM;
	if (group->type == VFIO_IOMMU) {
		ret = iommu_group_claim_dma_owner(group->iommu_group, group);
		if (ret)
			return ret;
	}
	if (container->iommu_driver) {
		ret = container->iommu_driver->attach_group(container->iommu_data,
							    group->iommu_group);
		if (ret) {
			if (group->type == VFIO_IOMMU)
				iommu_group_release_dma_owner(group->iommu_group);
			return ret;
		}
	}
	group->container = container;
	group->container_users = 1;
	container->noiommu = group->type == VFIO_NO_IOMMU;
	list_add(&group->container_next, &container->group_list);
	container->refs++;
	return 0;
}

void vfio_group_detach_container(struct vfio_group *group)
{
	struct vfio_container *container = group->container;
	const struct vfio_iommu_driver_ops *driver = container->iommu_driver;

	WARN_ON(group->container_users != 1);
	if (driver)
		driver->detach_group(container->iommu_data, group->iommu_group);
	if (group->type == VFIO_IOMMU)
		iommu_group_release_dma_owner(group->iommu_group);
	group->container = NULL;
	group->container_users = 0;
	list_del(&group->container_next);
	if (driver && list_empty(&container->group_list)) {
		driver->release(container->iommu_data);
		container->iommu_driver = NULL;
		container->iommu_data = NULL;
	}
	container_put(container);
}

/* A device of the group is opened: the group stays open and in its container. */
int vfio_group_use_container(struct vfio_group *group, struct call *call)
{
	if (!group->container->iommu_driver)
		return -EINVAL;
	if (group->type == VFIO_NO_IOMMU && !call_capable(call, CAP_SYS_RAWIO))
		return -EPERM;
	get_file(group->opened_file);
	group->container_users++;
	return 0;
}

void vfio_group_unuse_container(struct vfio_group *group)
{
	WARN_ON(group->container_users <= 1);
	group->container_users--;
	fput(group->opened_file);
}

int vfio_container_init(struct vfio_core *core)
{
	return devnode_register(core->machine, "/dev/vfio/vfio", 0666, VFIO_MISC_MAJOR,
				VFIO_MINOR, &container_node_ops, core);
}

void vfio_container_exit(struct vfio_core *core)
{
	devnode_unregister(core->machine, "/dev/vfio/vfio");
}
