// SPDX-License-Identifier: MIT
/*
 * Ids that user space gives a driver at run time: the sysfs files `new_id` and
 * `remove_id`. Numbers are hexadecimal and cut to 32 bits; the first two are needed.
 * Source: drivers/pci/pci-driver.c (new_id_store(), remove_id_store()).
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "machine/machine.h"
#include "pci/priv.h"

struct dynid {
	struct pci_device_id id;
	struct list_head node; /* pci_driver.dynids; dynids_lock */
};

const struct pci_device_id *pci_match_dynid(struct pci_driver *drv,
					    const struct pci_dev *pdev)
{
	struct dynid *d;

	guard(mutex)(&drv->dynids_lock);
	list_for_each_entry(d, &drv->dynids, node) {
		if (pci_id_matches(&d->id, pdev))
			return &d->id;
	}
	return NULL;
}

void pci_free_dynids(struct pci_driver *drv)
{
	struct dynid *d, *tmp;

	list_for_each_entry_safe(d, tmp, &drv->dynids, node) {
		list_del(&d->node);
		kfree(d);
	}
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * Up to @max numbers as sscanf("%x %x ...") of the kernel takes them: an optional 0x,
 * digits up to the first character that is none. Return: how many there were.
 */
static unsigned scan_hex(const char *p, const char *end, u64 *out, unsigned max)
{
	unsigned n;

	for (n = 0; n < max; n++) {
		u64 val = 0;
		bool any = false;

		while (p < end && is_blank(*p))
			p++;
		if (end - p > 2 && p[0] == '0' && (p[1] | 0x20) == 'x' &&
		    hex_digit(p[2]) >= 0)
			p += 2;
		for (; p < end && hex_digit(*p) >= 0; p++) {
			val = val << 4 | (u64)hex_digit(*p);
			any = true;
		}
		if (!any)
			break;
		out[n] = val;
	}
	return n;
}

/* Unbound devices that fit now are probed, whatever drivers_autoprobe says. */
static int attach_to(struct device *dev, void *data)
{
	struct pci_driver *drv = data;

	if (!dev->driver && !dev->unbinding && pci_bus_type.match(dev, &drv->driver) &&
	    device_driver_attach(&drv->driver, dev))
		return 0;
	return 0;
}

static int already_matches(struct pci_driver *drv, const u32 *v)
{
	struct pci_dev *probe = kzalloc(sizeof(*probe));
	bool match;

	if (!probe)
		return -ENOMEM;
	probe->vendor = (u16)v[0];
	probe->device = (u16)v[1];
	probe->subsystem_vendor = (u16)v[2];
	probe->subsystem_device = (u16)v[3];
	probe->class = v[4];
	match = pci_match_device(drv, probe);
	kfree(probe);
	return match ? -EEXIST : 0;
}

/* The driver's own table must know the driver_data, where it has a table. */
static bool known_data(const struct pci_driver *drv, u64 data)
{
	const struct pci_device_id *id = drv->id_table;

	if (!id)
		return true;
	for (; id->vendor || id->subvendor || id->class_mask; id++) {
		if (id->driver_data == data)
			return true;
	}
	return false;
}

int pci_new_id_store(struct pci_driver *drv, const char *buf, size_t len)
{
	u64 raw[7] = {0, 0, PCI_ANY_ID, PCI_ANY_ID, 0, 0, 0};
	unsigned fields = scan_hex(buf, buf + len, raw, 7), i;
	struct dynid *d;
	u32 v[6];
	int ret;

	if (fields < 2)
		return -EINVAL;
	for (i = 0; i < 6; i++)
		v[i] = (u32)raw[i];
	if (fields != 7) {
		ret = already_matches(drv, v);
		if (ret)
			return ret;
	}
	if (!known_data(drv, raw[6]))
		return -EINVAL;
	d = kzalloc(sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->id = (struct pci_device_id){v[0], v[1], v[2], v[3], v[4], v[5], raw[6], 0};
	mutex_lock(&drv->dynids_lock);
	list_add_tail(&d->node, &drv->dynids);
	mutex_unlock(&drv->dynids_lock);
	bus_for_each_dev(drv->driver.bus, attach_to, drv);
	return (int)len;
}

int pci_remove_id_store(struct pci_driver *drv, const char *buf, size_t len)
{
	u64 raw[6] = {0, 0, PCI_ANY_ID, PCI_ANY_ID, 0, 0};
	struct dynid *d, *tmp;
	u32 v[6];
	unsigned i;

	if (scan_hex(buf, buf + len, raw, 6) < 2)
		return -EINVAL;
	for (i = 0; i < 6; i++)
		v[i] = (u32)raw[i];
	guard(mutex)(&drv->dynids_lock);
	list_for_each_entry_safe(d, tmp, &drv->dynids, node) {
		if (d->id.vendor != v[0] || d->id.device != v[1] ||
		    (v[2] != PCI_ANY_ID && d->id.subvendor != v[2]) ||
		    (v[3] != PCI_ANY_ID && d->id.subdevice != v[3]) ||
		    ((d->id.class ^ v[4]) & v[5]))
			continue;
		list_del(&d->node);
		kfree(d);
		return (int)len;
	}
	return -ENODEV;
}
