// SPDX-License-Identifier: MIT
/*
 * Registered devices: their registration count, device sets, and how an unbind waits
 * for the last user (source of behaviour: drivers/vfio/vfio_main.c).
 *
 * refcount is 1 while the driver is bound, plus 1 for each open file. An unbind drops
 * the driver's own; if files are left, their owner is told at once (->request) and
 * again every ten seconds, and the unbind completes with the last close.
 */
#define LOG_SUBSYSTEM "vfio"
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/log.h"
#include "machine/watch.h"
#include "vfio/priv.h"

#define REQUEST_SECONDS 10

int vfio_init_device(struct vfio_device *vdev, struct device *dev,
		     const struct vfio_device_ops *ops)
{
	struct vfio_core *core = dev->machine->vfio;
	int ret;

	ret = xa_alloc(&core->device_indices, &vdev->index, vdev,
		       XA_LIMIT(0, (1U << 20) - 1));
	if (ret)
		return ret;
	vdev->dev = dev;
	vdev->ops = ops;
	vdev->core = core;
	vdev->request_timer = -1;
	snprintf(vdev->name, sizeof(vdev->name), "vfio%u", vdev->index);
	return 0;
}

static void release_device_set(struct vfio_device *vdev)
{
	struct vfio_device_set *set = vdev->dev_set;

	if (!set)
		return;
	list_del(&vdev->dev_set_list);
	vdev->dev_set = NULL;
	if (list_empty(&set->device_list)) {
		list_del(&set->node);
		kfree(set);
	}
}

void vfio_uninit_device(struct vfio_device *vdev)
{
	release_device_set(vdev);
	xa_erase(&vdev->core->device_indices, vdev->index);
}

int vfio_assign_device_set(struct vfio_device *vdev, const void *set_id)
{
	struct vfio_core *core = vdev->core;
	struct vfio_device_set *set;

	list_for_each_entry(set, &core->device_sets, node) {
		if (set->set_id == set_id)
			goto found;
	}
	set = kzalloc(sizeof(*set));
	if (!set)
		return -ENOMEM;
	set->set_id = set_id;
	INIT_LIST_HEAD(&set->device_list);
	list_add_tail(&set->node, &core->device_sets);
found:
	vdev->dev_set = set;
	list_add_tail(&vdev->dev_set_list, &set->device_list);
	return 0;
}

struct vfio_device *vfio_find_device_in_devset(struct vfio_device_set *set,
					       struct device *dev)
{
	struct vfio_device *vdev;

	list_for_each_entry(vdev, &set->device_list, dev_set_list) {
		if (vdev->dev == dev)
			return vdev;
	}
	return NULL;
}

unsigned vfio_device_set_open_count(struct vfio_device_set *set)
{
	struct vfio_device *vdev;
	unsigned count = 0;

	list_for_each_entry(vdev, &set->device_list, dev_set_list)
		count += vdev->open_count;
	return count;
}

int vfio_register_group_dev(struct vfio_device *vdev)
{
	struct vfio_core *core = vdev->core;
	struct vfio_listener *l;
	int ret;

	if (!vdev->dev_set) {
		ret = vfio_assign_device_set(vdev, vdev);
		if (ret)
			return ret;
	}
	ret = vfio_device_set_group(vdev);
	if (ret)
		return ret;
	if (!vfio_device_is_noiommu(vdev) &&
	    !device_iommu_capable(vdev->dev, IOMMU_CAP_CACHE_COHERENCY)) {
		ret = -EINVAL;
		goto err_group;
	}
	if (core->cdev) {
		ret = core->cdev->add(vdev);
		if (ret)
			goto err_group;
	}
	vdev->refcount = 1;
	vfio_device_group_register(vdev);
	list_for_each_entry(l, &core->listeners, node) {
		if (l->device_added)
			l->device_added(l, vdev);
	}
	return 0;

err_group:
	vfio_device_remove_group(vdev);
	return ret;
}

static void request_timer_stop(struct vfio_device *vdev)
{
	if (!IS_ERR_OR_NULL(vdev->request_watch))
		machine_unwatch_fd(vdev->request_watch);
	vdev->request_watch = NULL;
	if (vdev->request_timer >= 0)
		close(vdev->request_timer);
	vdev->request_timer = -1;
}

static void request_again(void *data, u32 events)
{
	struct vfio_device *vdev = data;
	u64 expirations;

	if (read(vdev->request_timer, &expirations, sizeof(expirations)) ==
	    sizeof(expirations))
		vdev->ops->request(vdev, vdev->requests++);
}

/* Without a timer the first request is the only one. */
static void request_timer_start(struct vfio_device *vdev)
{
	const struct itimerspec every = {
		.it_interval = {.tv_sec = REQUEST_SECONDS},
		.it_value = {.tv_sec = REQUEST_SECONDS},
	};

	vdev->request_timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (vdev->request_timer < 0)
		return;
	vdev->request_watch = ERR_PTR(-EINVAL);
	if (!timerfd_settime(vdev->request_timer, 0, &every, NULL))
		vdev->request_watch =
			machine_watch_fd(vdev->core->machine, vdev->request_timer,
					 EPOLLIN, request_again, vdev);
	if (IS_ERR(vdev->request_watch))
		request_timer_stop(vdev);
}

int vfio_unregister_begin(struct vfio_device *vdev)
{
	struct vfio_core *core = vdev->core;
	struct vfio_listener *l;

	vfio_device_group_unregister(vdev);
	list_for_each_entry(l, &core->listeners, node) {
		if (l->device_removed)
			l->device_removed(l, vdev);
	}
	if (core->cdev)
		core->cdev->del(vdev);
	if (!--vdev->refcount)
		return 0;
	vdev->unregistering = true;
	vdev->requests = 0;
	if (vdev->ops->request) {
		vdev->ops->request(vdev, vdev->requests++);
		request_timer_start(vdev);
	}
	return -EIOCBQUEUED;
}

void vfio_unregister_group_dev(struct vfio_device *vdev)
{
	WARN_ON(vdev->refcount);
	request_timer_stop(vdev);
	vfio_device_remove_group(vdev);
}

bool vfio_device_try_get_registration(struct vfio_device *vdev)
{
	if (!vdev->refcount)
		return false;
	vdev->refcount++;
	return true;
}

void vfio_device_put_registration(struct vfio_device *vdev)
{
	if (--vdev->refcount || !vdev->unregistering)
		return;
	request_timer_stop(vdev);
	vdev->unregistering = false;
	device_release_driver_continue(vdev->dev);
}
