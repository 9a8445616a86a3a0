// SPDX-License-Identifier: MIT
/*
 * /sys/bus/pci: drivers, the files that bind and unbind, links to devices.
 */
#include <stdio.h>
#include <string.h>

#include "server/sysfs_priv.h"

static void bind_done(void *call, int ret)
{
	call_complete(call, ret);
}

static ssize_t bind_store(struct sysfs_attr *a, struct call *call, const char *buf,
			  size_t len)
{
	return driver_bind_store_async(a->obj, buf, len, bind_done, call);
}

static ssize_t unbind_store(struct sysfs_attr *a, struct call *call, const char *buf,
			    size_t len)
{
	struct sysfs_async *as = sysfs_async_begin(call, len);

	if (!as)
		return -ENOMEM;
	return sysfs_async_end(as, driver_unbind_store(a->obj, buf, len, sysfs_async_done,
						       as));
}

static ssize_t new_id_store(struct sysfs_attr *a, struct call *call, const char *buf,
			    size_t len)
{
	return pci_new_id_store(to_pci_driver((struct device_driver *)a->obj), buf, len);
}

static ssize_t remove_id_store(struct sysfs_attr *a, struct call *call, const char *buf,
			       size_t len)
{
	return pci_remove_id_store(to_pci_driver((struct device_driver *)a->obj), buf,
				   len);
}

static ssize_t drivers_probe(struct sysfs_attr *a, struct call *call, const char *buf,
			     size_t len)
{
	return drivers_probe_store(a->obj, buf, len);
}

static ssize_t autoprobe(struct sysfs_attr *a, struct call *call, const char *buf,
			 size_t len)
{
	struct bus *bus = a->obj;
	ssize_t ret = drivers_autoprobe_store(bus, buf, len);

	sysfs_update(a->fs, a->path, a->mode, bus->autoprobe ? "1\n" : "0\n");
	return ret;
}

static ssize_t bus_rescan(struct sysfs_attr *a, struct call *call, const char *buf,
			  size_t len)
{
	return pci_rescan_store(a->fs->m->pci, NULL, buf, len);
}

/* A uevent asked for by hand: nobody listens (lib/kobject_uevent.c checks the word). */
static ssize_t uevent_store(struct sysfs_attr *a, struct call *call, const char *buf,
			    size_t len)
{
	static const char *const actions[] = {"add",	"remove",  "change", "move",
					      "online", "offline", "bind",   "unbind"};
	size_t n = strcspn(buf, " \n");

	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		if (strlen(actions[i]) == n && !strncmp(buf, actions[i], n))
			return (ssize_t)len;
	}
	return -EINVAL;
}

static void add_driver(struct sysfs *fs, struct device_driver *drv)
{
	char dir[SYSFS_PATH_MAX];

	sysfs_join(dir, "sys/bus/pci/drivers", drv->name);
	sysfs_mkdir(fs, dir);
	if (!drv->suppress_bind_attrs) {
		sysfs_attr(fs, dir, "bind", 0200, NULL, bind_store, drv);
		sysfs_attr(fs, dir, "unbind", 0200, NULL, unbind_store, drv);
	}
	sysfs_attr(fs, dir, "new_id", 0200, NULL, new_id_store, drv);
	sysfs_attr(fs, dir, "remove_id", 0200, NULL, remove_id_store, drv);
	sysfs_attr(fs, dir, "uevent", 0200, NULL, uevent_store, drv);
}

void sysfs_bus_create(struct sysfs *fs)
{
	static const char dir[] = "sys/bus/pci";
	struct bus *bus = bus_find(fs->m, "pci");
	struct device_driver *drv;

	sysfs_mkdir(fs, "sys/bus/pci/devices");
	sysfs_mkdir(fs, "sys/bus/pci/drivers");
	sysfs_mkdir(fs, "sys/bus/pci/slots");
	if (!bus)
		return;
	sysfs_attr(fs, dir, "drivers_autoprobe", 0644, bus->autoprobe ? "1\n" : "0\n",
		   autoprobe, bus);
	sysfs_attr(fs, dir, "drivers_probe", 0200, NULL, drivers_probe, bus);
	sysfs_attr(fs, dir, "rescan", 0200, NULL, bus_rescan, bus);
	sysfs_attr(fs, dir, "uevent", 0200, NULL, uevent_store, bus);
	list_for_each_entry(drv, &bus->drivers, bus_node)
		add_driver(fs, drv);
}

static void driver_link(const struct device *dev, const char *driver, char *out)
{
	snprintf(out, SYSFS_PATH_MAX, "sys/bus/pci/drivers/%s/%s", driver, dev_name(dev));
}

void sysfs_bound(struct sysfs *fs, struct device *dev)
{
	char path[SYSFS_PATH_MAX], link[SYSFS_PATH_MAX], target[SYSFS_PATH_MAX];

	if (!dev->driver)
		return;
	sysfs_device_path(dev, path);
	sysfs_join(target, "sys/bus/pci/drivers", dev->driver->name);
	sysfs_join(link, path, "driver");
	sysfs_link(fs, link, target);
	driver_link(dev, dev->driver->name, link);
	sysfs_link(fs, link, path);
	sysfs_pci_uevent(fs, to_pci_dev(dev));
}

void sysfs_unbound(struct sysfs *fs, struct device *dev)
{
	char path[SYSFS_PATH_MAX], link[SYSFS_PATH_MAX];
	struct bus *bus = dev->bus;
	struct device_driver *drv;

	sysfs_device_path(dev, path);
	sysfs_join(link, path, "driver");
	sysfs_remove(fs, link);
	/* dev->driver may be cleared already. */
	list_for_each_entry(drv, &bus->drivers, bus_node) {
		driver_link(dev, drv->name, link);
		sysfs_remove(fs, link);
	}
	sysfs_pci_uevent(fs, to_pci_dev(dev));
}
