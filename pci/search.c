// SPDX-License-Identifier: MIT
/*
 * Finding devices, and finding the requester ids under which a device's DMA arrives
 * at the root (drivers/pci/search.c, drivers/pci/pci.c). A PCIe-to-PCI bridge puts in
 * its secondary bus and function 0 (PCI Express to PCI/PCI-X Bridge 1.0, section
 * 2.3), a conventional bridge its own id.
 */
#include "base/alloc.h"
#include "machine/machine.h"
#include "pci/priv.h"

static struct pci_dev *hold(struct pci_dev *pdev)
{
	if (pdev)
		get_device(&pdev->dev);
	return pdev;
}

struct pci_dev *pci_get_slot(struct pci_bus *bus, u8 devfn)
{
	struct pci_dev *pdev;

	guard(mutex)(&bus->host->lock);
	list_for_each_entry(pdev, &bus->devices, bus_list) {
		if (pdev->devfn == devfn)
			return hold(pdev);
	}
	return NULL;
}

struct pci_dev *pci_get_domain_bus_and_slot(struct pci_host *host, u16 domain, u8 bus,
					    u8 devfn)
{
	struct pci_dev *pdev;

	guard(mutex)(&host->lock);
	list_for_each_entry(pdev, &host->devices, host_node) {
		if (pdev->bus->domain == domain && pdev->bus->number == bus &&
		    pdev->devfn == devfn)
			return hold(pdev);
	}
	return NULL;
}

static struct pci_bus *find_bus(struct list_head *list, u16 domain, u8 number)
{
	struct pci_bus *bus, *found;

	list_for_each_entry(bus, list, node) {
		if (bus->domain == domain && bus->number == number)
			return bus;
		found = find_bus(&bus->children, domain, number);
		if (found)
			return found;
	}
	return NULL;
}

struct pci_bus *pci_find_bus(struct pci_host *host, u16 domain, u8 number)
{
	guard(mutex)(&host->lock);
	return find_bus(&host->root_buses, domain, number);
}

struct pci_dev *pci_next_dev(struct pci_host *host, struct pci_dev *from)
{
	struct list_head *next;
	struct pci_dev *pdev = NULL;

	mutex_lock(&host->lock);
	/* One that has been taken off meanwhile ends the walk. */
	next = from ? from->host_node.next : host->devices.next;
	if (next != &host->devices && !(from && next == &from->host_node))
		pdev = hold(list_entry(next, struct pci_dev, host_node));
	mutex_unlock(&host->lock);
	if (from)
		put_device(&from->dev);
	return pdev;
}

static unsigned list_bus(struct pci_bus *bus, struct pci_dev **out, unsigned n,
			 unsigned max)
{
	struct pci_dev *pdev;

	list_for_each_entry(pdev, &bus->devices, bus_list) {
		if (out && n < max)
			out[n] = hold(pdev);
		n++;
		if (pdev->subordinate)
			n = list_bus(pdev->subordinate, out, n, max);
	}
	return n;
}

int pci_walk_bus(struct pci_bus *top, int (*fn)(struct pci_dev *pdev, void *data),
		 void *data)
{
	struct pci_dev **devs;
	unsigned nr, i;
	int ret = 0;

	mutex_lock(&top->host->lock);
	nr = list_bus(top, NULL, 0, 0);
	devs = kcalloc(nr + 1, sizeof(struct pci_dev *));
	if (devs)
		list_bus(top, devs, 0, nr);
	mutex_unlock(&top->host->lock);
	if (!devs)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		if (!ret)
			ret = fn(devs[i], data);
		put_device(&devs[i]->dev);
	}
	kfree(devs);
	return ret;
}

/* ---- aliases ---- */

static struct pci_dev *real_dma_dev(struct pci_dev *pdev)
{
	return pdev->dma_alias_dev ? pdev->dma_alias_dev : pdev;
}

static bool alias_bit(const struct pci_dev *pdev, u8 devfn)
{
	return pdev->has_dma_alias && pdev->dma_alias_mask[devfn / 32] & BIT(devfn % 32);
}

void pci_add_dma_alias(struct pci_dev *pdev, u8 devfn_from, unsigned nr_devfns)
{
	unsigned devfn, end = min(devfn_from + nr_devfns, 256U);

	pdev->has_dma_alias = true;
	for (devfn = devfn_from; devfn < end; devfn++)
		pdev->dma_alias_mask[devfn / 32] |= BIT(devfn % 32);
}

bool pci_devs_are_dma_aliases(struct pci_dev *a, struct pci_dev *b)
{
	return alias_bit(a, b->devfn) || alias_bit(b, a->devfn) || real_dma_dev(a) == b ||
	       real_dma_dev(b) == a;
}

int pci_for_each_dma_alias(struct pci_dev *pdev,
			   int (*fn)(struct pci_dev *pdev, u16 alias, void *data),
			   void *data)
{
	struct pci_bus *bus;
	unsigned devfn;
	int ret;

	pdev = real_dma_dev(pdev);
	ret = fn(pdev, pci_dev_id(pdev), data);
	for (devfn = 0; !ret && pdev->has_dma_alias && devfn < 256; devfn++) {
		if (alias_bit(pdev, (u8)devfn))
			ret = fn(pdev, PCI_DEVID(pdev->bus->number, devfn), data);
	}
	for (bus = pdev->bus; !ret && !pci_is_root_bus(bus); bus = bus->parent) {
		struct pci_dev *bridge = bus->self;
		bool secondary;

		if (!bridge)
			continue;
		if (bridge->dev_flags & PCI_DEV_FLAGS_BRIDGE_XLATE_ROOT)
			break;
		if (!pci_is_pcie(bridge)) {
			secondary = bridge->dev_flags & PCI_DEV_FLAG_PCIE_BRIDGE_ALIAS;
		} else if (pci_pcie_type(bridge) == PCI_EXP_TYPE_PCI_BRIDGE) {
			if (bridge->dev_flags & PCI_DEV_FLAGS_PCI_BRIDGE_NO_ALIAS)
				continue;
			secondary = true;
		} else if (pci_pcie_type(bridge) == PCI_EXP_TYPE_PCIE_BRIDGE) {
			secondary = false;
		} else {
			continue; /* ports pass ids on */
		}
		ret = fn(bridge,
			 secondary ? PCI_DEVID(bus->number, 0) : pci_dev_id(bridge),
			 data);
	}
	return ret;
}

static int last_alias(struct pci_dev *pdev, u16 alias, void *data)
{
	*(u16 *)data = alias;
	return 0;
}

u16 pci_requester_id(struct pci_dev *pdev)
{
	u16 id = pci_dev_id(pdev);

	pci_for_each_dma_alias(pdev, last_alias, &id);
	return id;
}
