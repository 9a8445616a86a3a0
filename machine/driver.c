// SPDX-License-Identifier: MIT
/*
 * Bringing a driver and a device together, and apart. Source: drivers/base/dd.c.
 *
 * Whatever refuses a probe before the driver has been asked (dma_configure: the
 * group belongs to user space, a supplier is missing) is an error of the attach and
 * ends the search for a driver; what the driver's own probe returns only means that
 * this driver does not want the device. Inside this file the latter is a positive
 * errno, as in the kernel.
 *
 * Everything that changes device.driver runs under device.lock, which is held over
 * the driver's probe and remove, but not while an unbind waits for user space
 * (device.unbinding): what the kernel does by sleeping with the lock held.
 */
#define LOG_SUBSYSTEM "device"
#include "machine/driver_core.h"

#include <sched.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"

static void driver_bound(struct device *dev)
{
	struct machine *m = dev->machine;

	mutex_lock(&m->lock);
	list_add_tail(&dev->driver_node, &dev->driver->devices);
	list_del_init(&dev->deferred_node);
	m->deferred_triggers++;
	mutex_unlock(&m->lock);
	pr_info("%s: bound to %s", dev_name(dev), dev->driver->name);
	device_notify(dev, DEVICE_BOUND);
}

/* 0, -errno: refused before the probe, errno > 0: the driver's probe failed. */
static int really_probe(struct device_driver *drv, struct device *dev)
{
	const struct bus_type *type = dev->bus->type;
	int ret;

	dev->driver = drv;
	if (type->dma_configure) {
		ret = type->dma_configure(dev);
		if (ret)
			goto err_driver;
	}
	ret = type->probe ? type->probe(dev) : drv->probe ? drv->probe(dev) : 0;
	if (ret) {
		if (ret != -EPROBE_DEFER && ret != -ENODEV && ret != -ENXIO)
			pr_warn("%s: probe with driver %s failed with error %d",
				dev_name(dev), drv->name, ret);
		ret = ret < 0 ? -ret : ret;
		goto err_dma;
	}
	driver_bound(dev);
	return 0;

err_dma:
	if (type->dma_cleanup)
		type->dma_cleanup(dev);
err_driver:
	dev->driver = NULL;
	dev->driver_data = NULL;
	return ret;
}

static int probe_locked(struct device_driver *drv, struct device *dev)
{
	if (dev->dead || !dev->added)
		return -ENODEV;
	if (dev->driver)
		return -EBUSY;
	mutex_lock(&dev->machine->lock);
	dev->can_match = true;
	mutex_unlock(&dev->machine->lock);
	return really_probe(drv, dev);
}

/* The same, and what defers is tried again later. */
static int probe_or_defer_locked(struct device_driver *drv, struct device *dev)
{
	struct machine *m = dev->machine;
	u64 triggers = driver_deferred_triggers(m);
	int ret = probe_locked(drv, dev);

	if (ret == -EPROBE_DEFER || ret == EPROBE_DEFER) {
		driver_deferred_probe_add(dev);
		/* What it waits for may have come meanwhile. */
		if (triggers != driver_deferred_triggers(m))
			driver_deferred_count(m);
	}
	return ret;
}

int device_attach_locked(struct device *dev)
{
	struct device_driver *drv = NULL;
	int ret = 0;

	if (dev->dead || !dev->bus)
		return 0;
	if (dev->driver)
		return 1;
	while ((drv = bus_next_driver(dev->bus, drv))) {
		if (!dev->bus->type->match(dev, drv))
			continue;
		ret = probe_or_defer_locked(drv, dev);
		if (ret <= 0) {
			bus_put_driver(dev->bus, drv);
			return ret ? ret : 1;
		}
	}
	return 0;
}

int device_attach(struct device *dev)
{
	int ret;

	probe_enter();
	mutex_lock(&dev->lock);
	ret = device_attach_locked(dev);
	mutex_unlock(&dev->lock);
	probe_leave(dev->machine);
	return ret;
}

void device_initial_probe(struct device *dev)
{
	bool autoprobe;

	if (!dev->bus)
		return;
	mutex_lock(&dev->machine->lock);
	autoprobe = dev->bus->autoprobe;
	mutex_unlock(&dev->machine->lock);
	if (autoprobe)
		device_attach(dev);
}

int device_driver_attach(struct device_driver *drv, struct device *dev)
{
	int ret;

	probe_enter();
	mutex_lock(&dev->lock);
	ret = probe_locked(drv, dev);
	mutex_unlock(&dev->lock);
	probe_leave(dev->machine);
	if (ret > 0)
		ret = -ret;
	return ret == -EPROBE_DEFER ? -EAGAIN : ret;
}

static int attach_one(struct device *dev, void *data)
{
	struct device_driver *drv = data;

	mutex_lock(&dev->lock);
	if (drv->bus->type->match(dev, drv))
		probe_or_defer_locked(drv, dev);
	mutex_unlock(&dev->lock);
	return 0;
}

void driver_attach(struct device_driver *drv)
{
	probe_enter();
	bus_for_each_dev(drv->bus, attach_one, drv);
	probe_leave(drv->bus->machine);
}

int driver_register(struct device_driver *drv, struct bus *bus)
{
	struct machine *m = bus->machine;
	bool autoprobe;

	if (driver_find(bus, drv->name))
		return -EBUSY;
	drv->bus = bus;
	drv->users = 0;
	INIT_LIST_HEAD(&drv->devices);
	mutex_lock(&m->lock);
	drv->seq = ++m->device_seq;
	list_add_tail(&drv->bus_node, &bus->drivers);
	autoprobe = bus->autoprobe;
	mutex_unlock(&m->lock);
	if (autoprobe)
		driver_attach(drv);
	return 0;
}

static struct device *driver_last_device(struct device_driver *drv)
{
	struct device *dev = NULL;

	mutex_lock(&drv->bus->machine->lock);
	if (!list_empty(&drv->devices))
		dev = get_device(
			list_last_entry(&drv->devices, struct device, driver_node));
	mutex_unlock(&drv->bus->machine->lock);
	return dev;
}

/*
 * The driver must not have devices that user space holds: in the kernel they hold
 * its module.
 */
void driver_unregister(struct device_driver *drv)
{
	struct machine *m = drv->bus->machine;
	struct device *dev;
	bool used, held;

	mutex_lock(&m->lock);
	list_del_init(&drv->bus_node);
	mutex_unlock(&m->lock);
	do {
		mutex_lock(&m->lock);
		used = drv->users != 0;
		mutex_unlock(&m->lock);
		if (used)
			sched_yield();
	} while (used);
	while ((dev = driver_last_device(drv))) {
		device_release_driver(dev);
		mutex_lock(&dev->lock);
		held = dev->driver == drv;
		mutex_unlock(&dev->lock);
		put_device(dev);
		if (WARN_ON(held))
			return;
	}
}

/* dev->lock held; the driver's last word. */
static void unbind_finish_locked(struct device *dev, struct list_head *waiters)
{
	const struct bus_type *type = dev->bus->type;
	struct device_driver *drv = dev->driver;

	if (type->remove)
		type->remove(dev);
	else if (drv->remove)
		drv->remove(dev);
	if (type->dma_cleanup)
		type->dma_cleanup(dev);
	dev->driver = NULL;
	dev->driver_data = NULL;
	dev->unbinding = false;
	mutex_lock(&dev->machine->lock);
	list_del_init(&dev->driver_node);
	mutex_unlock(&dev->machine->lock);
	pr_info("%s: unbound from %s", dev_name(dev), drv->name);
	device_notify(dev, DEVICE_UNBOUND);
	list_splice_tail_init(&dev->unbind_waiters, waiters);
}

bool device_unbind_locked(struct device *dev, struct list_head *waiters)
{
	struct device_driver *drv = dev->driver;

	if (!drv)
		return true;
	if (dev->unbinding)
		return false;
	dev->unbinding = true;
	device_notify(dev, DEVICE_UNBINDING);
	if (drv->remove_begin && drv->remove_begin(dev) == -EIOCBQUEUED)
		return false;
	unbind_finish_locked(dev, waiters);
	return true;
}

void device_wait_locked(struct device *dev, struct device_waiter *w)
{
	w->queued = true;
	list_add_tail(&w->node, &dev->unbind_waiters);
}

/* A waiter may free itself, or the device it lies in, in done(). */
void device_wake(struct list_head *waiters)
{
	while (!list_empty(waiters)) {
		struct device_waiter *w =
			list_first_entry(waiters, struct device_waiter, node);
		void (*done)(void *data) = w->done;
		void *data = w->data;

		list_del_init(&w->node);
		w->queued = false;
		if (w->allocated)
			kfree(w);
		if (done)
			done(data);
	}
}

int device_release_driver_async(struct device *dev, void (*done)(void *data), void *data)
{
	struct device_waiter *w = &dev->unbind_waiter;
	LIST_HEAD(waiters);
	bool complete;

	get_device(dev);
	mutex_lock(&dev->lock);
	if (w->queued && done) {
		w = kzalloc(sizeof(*w));
		if (!w) {
			mutex_unlock(&dev->lock);
			put_device(dev);
			return -ENOMEM;
		}
		w->allocated = true;
	}
	complete = device_unbind_locked(dev, &waiters);
	if (!complete && done) {
		w->done = done;
		w->data = data;
		device_wait_locked(dev, w);
	}
	mutex_unlock(&dev->lock);
	if (complete && w->allocated)
		kfree(w);
	device_wake(&waiters);
	if (complete && done)
		done(data);
	put_device(dev);
	return 0;
}

void device_release_driver(struct device *dev)
{
	device_release_driver_async(dev, NULL, NULL);
}

void device_release_driver_continue(struct device *dev)
{
	LIST_HEAD(waiters);

	get_device(dev);
	mutex_lock(&dev->lock);
	if (dev->driver && dev->unbinding)
		unbind_finish_locked(dev, &waiters);
	mutex_unlock(&dev->lock);
	device_wake(&waiters);
	put_device(dev);
}
