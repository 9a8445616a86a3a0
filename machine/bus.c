// SPDX-License-Identifier: MIT
/*
 * Buses: their lists of devices and drivers, walks over them, and the files of the
 * driver model in sysfs. Source of the rules: drivers/base/bus.c, and for what each
 * write returns the recordings in conformance/groups (FACTS 13 to 21).
 */
#include "machine/driver_core.h"

#include <string.h>

#include "base/alloc.h"

int bus_register(struct machine *m, const struct bus_type *type, struct bus **out)
{
	struct bus *bus;

	if (bus_find(m, type->name))
		return -EEXIST;
	bus = kzalloc(sizeof(*bus));
	if (!bus)
		return -ENOMEM;
	bus->type = type;
	bus->machine = m;
	bus->autoprobe = true;
	INIT_LIST_HEAD(&bus->devices);
	INIT_LIST_HEAD(&bus->drivers);
	mutex_lock(&m->lock);
	list_add_tail(&bus->node, &m->buses);
	mutex_unlock(&m->lock);
	*out = bus;
	return 0;
}

void bus_unregister(struct bus *bus)
{
	WARN_ON(!list_empty(&bus->devices));
	WARN_ON(!list_empty(&bus->drivers));
	mutex_lock(&bus->machine->lock);
	list_del(&bus->node);
	mutex_unlock(&bus->machine->lock);
	kfree(bus);
}

struct bus *bus_find(struct machine *m, const char *name)
{
	struct bus *bus, *found = NULL;

	mutex_lock(&m->lock);
	list_for_each_entry(bus, &m->buses, node) {
		if (!strcmp(bus->type->name, name)) {
			found = bus;
			break;
		}
	}
	mutex_unlock(&m->lock);
	return found;
}

struct device *bus_next_device(struct bus *bus, struct device *prev)
{
	struct device *dev, *next = NULL;

	mutex_lock(&bus->machine->lock);
	if (prev && !list_empty(&prev->bus_node)) {
		if (prev->bus_node.next != &bus->devices)
			next = list_next_entry(prev, bus_node);
	} else {
		list_for_each_entry(dev, &bus->devices, bus_node) {
			if (!prev || dev->seq > prev->seq) {
				next = dev;
				break;
			}
		}
	}
	get_device(next);
	mutex_unlock(&bus->machine->lock);
	put_device(prev);
	return next;
}

struct device_driver *bus_next_driver(struct bus *bus, struct device_driver *prev)
{
	struct device_driver *drv, *next = NULL;

	mutex_lock(&bus->machine->lock);
	if (prev && !list_empty(&prev->bus_node)) {
		if (prev->bus_node.next != &bus->drivers)
			next = list_next_entry(prev, bus_node);
	} else {
		list_for_each_entry(drv, &bus->drivers, bus_node) {
			if (!prev || drv->seq > prev->seq) {
				next = drv;
				break;
			}
		}
	}
	if (next)
		next->users++;
	if (prev)
		prev->users--;
	mutex_unlock(&bus->machine->lock);
	return next;
}

void bus_put_driver(struct bus *bus, struct device_driver *drv)
{
	mutex_lock(&bus->machine->lock);
	drv->users--;
	mutex_unlock(&bus->machine->lock);
}

int bus_for_each_dev(struct bus *bus, int (*fn)(struct device *dev, void *data),
		     void *data)
{
	struct device *dev = NULL;
	int ret;

	while ((dev = bus_next_device(bus, dev))) {
		ret = fn(dev, data);
		if (ret) {
			put_device(dev);
			return ret;
		}
	}
	return 0;
}

/*
 * sysfs_streq(): the two are equal, but for one newline at the end of what was
 * written. A NUL byte ends it.
 */
static bool sysfs_streq(const char *buf, size_t len, const char *name)
{
	size_t n = strnlen(buf, len);

	if (n && buf[n - 1] == '\n')
		n--;
	return n == strlen(name) && !memcmp(buf, name, n);
}

static struct device *bus_find_device_by_buf(struct bus *bus, const char *buf, size_t len)
{
	struct device *dev, *found = NULL;

	mutex_lock(&bus->machine->lock);
	list_for_each_entry(dev, &bus->devices, bus_node) {
		if (sysfs_streq(buf, len, dev_name(dev))) {
			found = get_device(dev);
			break;
		}
	}
	mutex_unlock(&bus->machine->lock);
	return found;
}

struct device *bus_find_device_by_name(struct bus *bus, const char *name)
{
	return bus_find_device_by_buf(bus, name, strlen(name));
}

struct device_driver *driver_find(struct bus *bus, const char *name)
{
	struct device_driver *drv, *found = NULL;

	mutex_lock(&bus->machine->lock);
	list_for_each_entry(drv, &bus->drivers, bus_node) {
		if (!strcmp(drv->name, name)) {
			found = drv;
			break;
		}
	}
	mutex_unlock(&bus->machine->lock);
	return found;
}

/* A bind that waits for an unbind, as it would for the device's lock in the kernel. */
struct late_bind {
	struct device_waiter waiter;
	struct device_driver *drv;
	struct bus *bus;
	struct device *dev; /* holds a reference */
	int len;
	void (*done)(void *data, int ret);
	void *data;
};

static bool bus_has_driver(struct bus *bus, const struct device_driver *drv)
{
	struct device_driver *pos;
	bool found = false;

	mutex_lock(&bus->machine->lock);
	list_for_each_entry(pos, &bus->drivers, bus_node)
		found |= pos == drv;
	mutex_unlock(&bus->machine->lock);
	return found;
}

static void late_bind_go(void *data)
{
	struct late_bind *lb = data;
	int ret = -ENODEV;

	if (bus_has_driver(lb->bus, lb->drv))
		ret = device_driver_attach(lb->drv, lb->dev);
	put_device(lb->dev);
	lb->done(lb->data, ret ? ret : lb->len);
	kfree(lb);
}

static int late_bind_locked(struct device_driver *drv, struct device *dev, size_t len,
			    void (*done)(void *data, int ret), void *data)
{
	struct late_bind *lb = kzalloc(sizeof(*lb));

	if (!lb)
		return -ENOMEM;
	lb->drv = drv;
	lb->bus = drv->bus;
	lb->dev = get_device(dev);
	lb->len = (int)len;
	lb->done = done;
	lb->data = data;
	lb->waiter.done = late_bind_go;
	lb->waiter.data = lb;
	device_wait_locked(dev, &lb->waiter);
	return -EIOCBQUEUED;
}

int driver_bind_store_async(struct device_driver *drv, const char *buf, size_t len,
			    void (*done)(void *data, int ret), void *data)
{
	struct device *dev;
	bool attach = false;
	int ret;

	if (!len)
		return 0;
	dev = bus_find_device_by_buf(drv->bus, buf, len);
	if (!dev)
		return -ENODEV;
	mutex_lock(&dev->lock);
	if (!drv->bus->type->match(dev, drv))
		ret = -ENODEV;
	else if (dev->unbinding && done)
		ret = late_bind_locked(drv, dev, len, done, data);
	else
		attach = true;
	mutex_unlock(&dev->lock);
	if (attach) {
		ret = device_driver_attach(drv, dev);
		if (!ret)
			ret = (int)len;
	}
	put_device(dev);
	return ret;
}

int driver_bind_store(struct device_driver *drv, const char *buf, size_t len)
{
	return driver_bind_store_async(drv, buf, len, NULL, NULL);
}

int driver_unbind_store(struct device_driver *drv, const char *buf, size_t len,
			void (*done)(void *data), void *data)
{
	struct device_waiter *w = NULL;
	LIST_HEAD(waiters);
	struct device *dev;
	int ret;

	if (!len)
		return 0;
	dev = bus_find_device_by_buf(drv->bus, buf, len);
	if (!dev)
		return -ENODEV;
	mutex_lock(&dev->lock);
	if (dev->driver != drv) {
		ret = -ENODEV;
		goto out;
	}
	/* Somebody waits for this unbind already: a node of our own is needed. */
	if (dev->unbind_waiter.queued) {
		w = kzalloc(sizeof(*w));
		if (!w) {
			ret = -ENOMEM;
			goto out;
		}
		w->allocated = true;
	} else {
		w = &dev->unbind_waiter;
	}
	w->done = done;
	w->data = data;
	ret = (int)len;
	if (!device_unbind_locked(dev, &waiters)) {
		device_wait_locked(dev, w);
		w = NULL;
		ret = -EIOCBQUEUED;
	}
out:
	mutex_unlock(&dev->lock);
	if (w && w->allocated)
		kfree(w);
	device_wake(&waiters);
	put_device(dev);
	return ret;
}

int drivers_probe_store(struct bus *bus, const char *buf, size_t len)
{
	struct device *dev;
	int ret;

	if (!len)
		return 0;
	dev = bus_find_device_by_buf(bus, buf, len);
	if (!dev)
		return -ENODEV;
	ret = device_attach(dev);
	put_device(dev);
	return ret < 0 ? -EINVAL : (int)len;
}

int drivers_autoprobe_store(struct bus *bus, const char *buf, size_t len)
{
	if (!len)
		return 0;
	mutex_lock(&bus->machine->lock);
	bus->autoprobe = buf[0] != '0';
	mutex_unlock(&bus->machine->lock);
	return (int)len;
}

/* Whatever stands before a newline; nothing there clears it. */
int driver_override_store(struct device *dev, const char *buf, size_t len)
{
	char *name = NULL, *old;
	size_t n;

	if (!len)
		return 0;
	if (len >= PAGE_SIZE - 1)
		return -EINVAL;
	for (n = 0; n < len && buf[n] && buf[n] != '\n'; n++)
		;
	if (n) {
		name = kzalloc(n + 1);
		if (!name)
			return -ENOMEM;
		memcpy(name, buf, n);
	}
	mutex_lock(&dev->lock);
	old = dev->driver_override;
	dev->driver_override = name;
	mutex_unlock(&dev->lock);
	kfree(old);
	return (int)len;
}
