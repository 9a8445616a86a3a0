// SPDX-License-Identifier: MIT
/*
 * Hot-plug slots below PCI Express ports: the sysfs files slots/N/. Switching a slot
 * off takes its devices off first, which waits for their users; then the card is gone,
 * as in an emulator that ejects what has no power. Source:
 * drivers/pci/hotplug/{pciehp_ctrl,pci_hotplug_core}.c.
 */
#include "base/alloc.h"
#include "machine/machine.h"
#include "pci/hardware.h"
#include "pci/priv.h"

unsigned pci_slot_number(const struct pci_dev *port)
{
	u32 cap;

	if (!port->is_hotplug_bridge)
		return 0;
	pcie_capability_read_dword(port, PCI_EXP_SLTCAP, &cap);
	return (cap & PCI_EXP_SLTCAP_PSN) >> 19;
}

struct pci_dev *pci_find_slot(struct pci_host *host, unsigned number)
{
	struct pci_dev *pdev;

	for_each_pci_dev(host, pdev)
	{
		if (number && pci_slot_number(pdev) == number)
			return pdev;
	}
	return NULL;
}

static struct pci_hw_bus *hw_bus_below(struct pci_dev *port)
{
	struct pci_function *fn;

	if (!port->host->hardware || port->dev.hw_function < 0)
		return NULL;
	fn = pci_hw_by_index(port->host, (u32)port->dev.hw_function);
	return fn ? fn->secondary : NULL;
}

bool pci_slot_powered(struct pci_dev *port)
{
	struct pci_hw_bus *bus = hw_bus_below(port);
	struct pci_function *fn;

	if (!bus)
		return false;
	list_for_each_entry(fn, &bus->functions, node) {
		if (fn->present)
			return true;
	}
	return false;
}

/* The devices of a slot go one after the other; then the card. */
struct power_off {
	struct pci_dev *port; /* holds a reference */
	void (*done)(void *data);
	void *data;
	bool finished, async;
};

static void eject(struct pci_dev *port)
{
	struct pci_hw_bus *bus = hw_bus_below(port);
	struct pci_function *fn;

	if (!bus)
		return;
	list_for_each_entry(fn, &bus->functions, node)
		pci_hw_unplug(port->host, fn);
}

/* The last one of the slot that nobody takes off yet, without a reference. */
static struct pci_dev *last_device(struct pci_dev *port)
{
	struct pci_dev *pdev;

	guard(mutex)(&port->host->lock);
	if (!port->subordinate)
		return NULL;
	list_for_each_entry_reverse(pdev, &port->subordinate->devices, bus_list) {
		if (!pdev->removing && !pdev->removal.asked)
			return pdev;
	}
	return NULL;
}

static void remove_next(void *data)
{
	struct power_off *off = data;
	struct pci_dev *pdev = last_device(off->port);

	if (pdev) {
		pci_remove_async(pdev, remove_next, off);
		return;
	}
	eject(off->port);
	put_device(&off->port->dev);
	off->finished = true;
	if (off->async) {
		off->done(off->data);
		kfree(off);
	}
}

int pci_slot_power_store(struct pci_dev *port, const char *buf, size_t len,
			 void (*done)(void *data), void *data)
{
	struct power_off *off;
	unsigned long power;

	if (pci_parse_ulong(buf, len, &power) || power > 1)
		return -EINVAL;
	if (power) {
		if (!pci_slot_powered(port))
			return -ENODEV; /* there is no card in it */
		return -EINVAL;		/* on already */
	}
	if (!pci_slot_powered(port))
		return -EINVAL;
	off = kzalloc(sizeof(*off));
	if (!off)
		return -ENOMEM;
	off->port = port;
	off->done = done;
	off->data = data;
	get_device(&port->dev);
	remove_next(off);
	if (off->finished) {
		kfree(off);
		return (int)len;
	}
	off->async = true;
	return -EIOCBQUEUED;
}
