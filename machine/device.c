// SPDX-License-Identifier: MIT
/*
 * Devices: lifetime, arrival, removal, and who is told of it. Source:
 * drivers/base/core.c; the order of a removal is that of
 * pci_stop_and_remove_bus_device(): everything below is unbound first, then
 * everything is deleted, children before parents, the last to come first.
 *
 * A removal may have to wait for user space at each unbind. So it is a loop that
 * keeps its place in the devices themselves (stopping, dead) and is entered again by
 * a waiter of the device it waits for; it needs no memory.
 */
#define LOG_SUBSYSTEM "device"
#include "machine/driver_core.h"

#include <sched.h>

#include "base/alloc.h"
#include "base/log.h"

void device_initialize(struct device *dev, struct machine *m,
		       void (*release)(struct device *))
{
	dev->machine = m;
	dev->release = release;
	dev->hw_function = -1;
	dev->dma_mask = dev->coherent_dma_mask = 0xffffffffULL;
	mutex_init(&dev->lock);
	refcount_set(&dev->ref, 1);
	INIT_LIST_HEAD(&dev->bus_node);
	INIT_LIST_HEAD(&dev->driver_node);
	INIT_LIST_HEAD(&dev->deferred_node);
	INIT_LIST_HEAD(&dev->children);
	INIT_LIST_HEAD(&dev->sibling);
	INIT_LIST_HEAD(&dev->unbind_waiters);
	INIT_LIST_HEAD(&dev->unbind_waiter.node);
	INIT_LIST_HEAD(&dev->del_waiter.node);
}

struct device *get_device(struct device *dev)
{
	if (dev)
		refcount_inc(&dev->ref);
	return dev;
}

void put_device(struct device *dev)
{
	struct device *parent;

	if (!dev || !refcount_dec_and_test(&dev->ref))
		return;
	WARN_ON(dev->added || dev->driver || dev->iommu_group);
	parent = dev->parent_held ? dev->parent : NULL;
	kfree(dev->driver_override);
	kfree(dev->fwspec);
	mutex_destroy(&dev->lock);
	if (dev->release)
		dev->release(dev);
	put_device(parent);
}

void device_register_notifier(struct machine *m, struct device_notifier *nb)
{
	nb->users = 0;
	nb->dead = false;
	mutex_lock(&m->lock);
	list_add_tail(&nb->node, &m->notifiers);
	mutex_unlock(&m->lock);
}

/* Not from within a notification. */
void device_unregister_notifier(struct machine *m, struct device_notifier *nb)
{
	mutex_lock(&m->lock);
	nb->dead = true;
	while (nb->users) {
		mutex_unlock(&m->lock);
		sched_yield();
		mutex_lock(&m->lock);
	}
	list_del(&nb->node);
	mutex_unlock(&m->lock);
}

void device_notify(struct device *dev, enum device_event event)
{
	struct machine *m = dev->machine;
	struct device_notifier *nb;

	mutex_lock(&m->lock);
	list_for_each_entry(nb, &m->notifiers, node) {
		if (nb->dead)
			continue;
		/* Keeps it on the list, so that the walk can go on from it. */
		nb->users++;
		mutex_unlock(&m->lock);
		nb->notify(nb, event, dev);
		mutex_lock(&m->lock);
		nb->users--;
	}
	mutex_unlock(&m->lock);
}

int device_dma_configure(struct device *dev)
{
	return dev->machine->dma_configure ? dev->machine->dma_configure(dev) : 0;
}

void device_dma_cleanup(struct device *dev)
{
	if (dev->machine->dma_cleanup)
		dev->machine->dma_cleanup(dev);
}

int device_add(struct device *dev)
{
	struct machine *m = dev->machine;

	if (!dev->name[0])
		return -EINVAL;
	mutex_lock(&m->lock);
	if (WARN_ON(dev->added || dev->dead)) {
		mutex_unlock(&m->lock);
		return -EINVAL;
	}
	if (dev->parent && dev->parent->dead) {
		mutex_unlock(&m->lock);
		return -ENODEV;
	}
	dev->seq = ++m->device_seq;
	dev->added = true;
	if (dev->parent) {
		get_device(dev->parent);
		dev->parent_held = true;
		list_add_tail(&dev->sibling, &dev->parent->children);
	}
	if (dev->bus) {
		get_device(dev);
		list_add_tail(&dev->bus_node, &dev->bus->devices);
	}
	mutex_unlock(&m->lock);

	device_notify(dev, DEVICE_ADDED);
	device_initial_probe(dev);
	return 0;
}

/*
 * The next device to unbind: the last to come among the deepest, of those that have
 * not been looked at. Held; NULL: all have been.
 */
static struct device *next_to_stop(struct device *root)
{
	struct device *dev = root, *child;

	mutex_lock(&root->machine->lock);
down:
	list_for_each_entry_reverse(child, &dev->children, sibling) {
		if (!child->stopping) {
			dev = child;
			goto down;
		}
	}
	if (dev->stopping)
		dev = NULL;
	else
		dev->stopping = true;
	get_device(dev);
	mutex_unlock(&root->machine->lock);
	return dev;
}

/* The next to delete: the last of the deepest. Held. */
static struct device *next_to_delete(struct device *root)
{
	struct device *dev = root;

	mutex_lock(&root->machine->lock);
	while (!list_empty(&dev->children))
		dev = list_last_entry(&dev->children, struct device, sibling);
	get_device(dev);
	mutex_unlock(&root->machine->lock);
	return dev;
}

/* False: @root's removal goes on when the user of @dev lets go. */
static bool stop_one(struct device *dev, struct device *root)
{
	LIST_HEAD(waiters);
	bool stopped;

	mutex_lock(&dev->lock);
	stopped = device_unbind_locked(dev, &waiters);
	if (!stopped)
		device_wait_locked(dev, &root->del_waiter);
	mutex_unlock(&dev->lock);
	device_wake(&waiters);
	return stopped;
}

static bool delete_one(struct device *dev, struct device *root)
{
	struct machine *m = dev->machine;
	bool on_bus, mine;

	mutex_lock(&dev->lock);
	mutex_lock(&m->lock);
	dev->dead = true;
	on_bus = !list_empty(&dev->bus_node);
	list_del_init(&dev->bus_node);
	mutex_unlock(&m->lock);
	mutex_unlock(&dev->lock);
	if (on_bus)
		put_device(dev); /* the bus's; the caller holds one */

	/* Somebody may have bound it again since it was stopped. */
	if (!stop_one(dev, root))
		return false;
	driver_deferred_probe_del(dev);

	mutex_lock(&m->lock);
	mine = !dev->del_notified;
	dev->del_notified = true;
	mutex_unlock(&m->lock);
	if (!mine) {
		sched_yield(); /* another thread is about to finish with it */
		return true;
	}
	device_notify(dev, DEVICE_REMOVED);
	mutex_lock(&m->lock);
	dev->added = false;
	list_del_init(&dev->sibling);
	mutex_unlock(&m->lock);
	return true;
}

static bool device_is_added(struct device *dev)
{
	bool added;

	mutex_lock(&dev->machine->lock);
	added = dev->added;
	mutex_unlock(&dev->machine->lock);
	return added;
}

static void device_del_continue(void *data)
{
	struct device *root = data, *dev;
	void (*done)(void *) = root->del_done;
	void *done_data = root->del_data;
	bool more = true;

	while ((dev = next_to_stop(root))) {
		bool stopped = stop_one(dev, root);

		put_device(dev);
		if (!stopped)
			return;
	}
	while (more) {
		dev = next_to_delete(root);
		if (!delete_one(dev, root)) {
			put_device(dev);
			return;
		}
		more = dev != root || device_is_added(root);
		put_device(dev);
	}
	put_device(root);
	if (done)
		done(done_data);
}

void device_del_async(struct device *dev, void (*done)(void *data), void *data)
{
	struct machine *m = dev->machine;
	bool ours;

	mutex_lock(&m->lock);
	ours = dev->added && !dev->deleting;
	if (ours)
		dev->deleting = true;
	mutex_unlock(&m->lock);
	if (WARN_ON(!ours))
		return;
	dev->del_done = done;
	dev->del_data = data;
	dev->del_waiter.done = device_del_continue;
	dev->del_waiter.data = dev;
	get_device(dev);
	device_del_continue(dev);
}

void device_del(struct device *dev)
{
	device_del_async(dev, NULL, NULL);
}
