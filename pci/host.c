// SPDX-License-Identifier: MIT
/*
 * A machine's PCI from creation to destruction: the bus type's instance, the first
 * scan, the moment from which drivers may have devices, rescans.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "machine/machine.h"
#include "pci/hardware.h"
#include "pci/priv.h"

#undef LOG_SUBSYSTEM
#define LOG_SUBSYSTEM "pci"

int pci_host_create(struct machine *m, struct pci_host **out)
{
	struct pci_host *host = kzalloc(sizeof(*host));
	int ret;

	if (!host)
		return -ENOMEM;
	host->machine = m;
	host->ops = &pci_hw_ops;
	mutex_init(&host->rescan_lock);
	mutex_init(&host->lock);
	INIT_LIST_HEAD(&host->root_buses);
	INIT_LIST_HEAD(&host->devices);
	INIT_LIST_HEAD(&host->removals);
	ret = pci_hardware_create(host, m->hw.hdr->nr_functions);
	if (ret)
		goto err_free;
	ret = bus_register(m, &pci_bus_type, &host->bus);
	if (ret)
		goto err_hardware;
	m->pci = host;
	*out = host;
	return 0;

err_hardware:
	pci_hardware_destroy(host);
err_free:
	kfree(host);
	return ret;
}

void pci_host_set_iommu(struct pci_host *host, const struct pci_iommu_hooks *hooks)
{
	host->iommu = hooks;
}

static void release_bridge(struct device *dev)
{
	kfree(dev);
}

/* The device that root-bus devices hang from, "pci0000:00". */
static struct device *make_bridge(struct pci_host *host, struct pci_bus *bus)
{
	struct device *dev = kzalloc(sizeof(*dev));

	if (!dev)
		return NULL;
	device_initialize(dev, host->machine, release_bridge);
	dev->hw_function = -1;
	snprintf(dev->name, sizeof(dev->name), "pci%04x:%02x", bus->domain, bus->number);
	if (device_add(dev)) {
		put_device(dev);
		return NULL;
	}
	return dev;
}

static int add_root_bus(struct pci_host *host, struct pci_hw_bus *hw_bus)
{
	struct pci_bus *bus =
		pci_alloc_bus(host, NULL, NULL, hw_bus->number, hw_bus->last);

	if (!bus)
		return -ENOMEM;
	bus->domain = hw_bus->segment;
	bus->bridge = make_bridge(host, bus);
	if (!bus->bridge) {
		pci_bus_put(bus);
		return -ENOMEM;
	}
	bus->bridge->of_node = hw_bus->of_node;
	pci_link_bus(bus);
	return 0;
}

/* pci=disable_acs_redir=..., pci=config_acs=...: both end where the option's word does.
 */
static int read_options(struct pci_host *host)
{
	static const char *const names[] = {"disable_acs_redir=", "config_acs="};
	const char **to[] = {&host->disable_acs_redir, &host->config_acs};
	const char *value, *p;
	size_t len;
	unsigned i;

	if (!cmdline_get(host->machine, "pci", &value, &len))
		return 0;
	for (p = value; p < value + len;) {
		const char *comma = memchr(p, ',', (size_t)(value + len - p));
		size_t n = (size_t)((comma ? comma : value + len) - p);

		for (i = 0; i < ARRAY_SIZE(names); i++) {
			size_t l = strlen(names[i]);

			if (n < l || memcmp(p, names[i], l))
				continue;
			kfree(*to[i]);
			*to[i] = kstrndup(p + l, n - l);
			if (!*to[i])
				return -ENOMEM;
		}
		p += n + 1;
	}
	return 0;
}

int pci_host_scan(struct pci_host *host)
{
	struct pci_hw_bus *hw_bus;
	struct pci_bus *bus;
	int ret;

	ret = read_options(host);
	if (ret)
		return ret;
	guard(mutex)(&host->rescan_lock);
	list_for_each_entry(hw_bus, &host->hardware->roots, node) {
		ret = add_root_bus(host, hw_bus);
		if (ret)
			return ret;
	}
	list_for_each_entry(bus, &host->root_buses, node) {
		ret = pci_scan_child_bus(bus);
		if (ret)
			return ret;
	}
	return 0;
}

/* Devices in order of arrival, so that what binds at start does so in bus order. */
static void add_all(struct pci_host *host)
{
	struct pci_dev *pdev;

	for_each_pci_dev(host, pdev) pci_bus_add_device(pdev);
}

void pci_bus_add_devices(struct pci_host *host)
{
	host->drivers_started = true;
	add_all(host);
}

void pci_rescan(struct pci_host *host, struct pci_bus *bus)
{
	struct pci_bus *root;

	mutex_lock(&host->rescan_lock);
	if (bus) {
		pci_scan_child_bus(bus);
	} else {
		list_for_each_entry(root, &host->root_buses, node)
			pci_scan_child_bus(root);
	}
	mutex_unlock(&host->rescan_lock);
	if (host->drivers_started)
		add_all(host);
}

static void free_tree(struct pci_bus *bus)
{
	struct pci_bus *child, *tmp;

	list_for_each_entry_safe(child, tmp, &bus->children, node)
		free_tree(child);
	list_del(&bus->node);
	if (bus->bridge && bus->bridge->added)
		device_del(bus->bridge);
	pci_bus_put(bus);
}

void pci_host_destroy(struct pci_host *host)
{
	struct pci_bus *bus, *tmp;

	list_for_each_entry(bus, &host->root_buses, node) {
		struct pci_dev *pdev;

		while ((pdev = list_first_entry_or_null(&bus->devices, struct pci_dev,
							bus_list))) {
			pci_stop_and_remove_bus_device(pdev);
			/* A driver still has it: the caller broke the order above. */
			if (WARN_ON(!list_empty(&bus->devices) &&
				    list_first_entry(&bus->devices, struct pci_dev,
						     bus_list) == pdev))
				break;
		}
	}
	list_for_each_entry_safe(bus, tmp, &host->root_buses, node)
		free_tree(bus);
	if (host->bus)
		bus_unregister(host->bus);
	pci_hardware_destroy(host);
	kfree(host->disable_acs_redir);
	kfree(host->config_acs);
	mutex_destroy(&host->rescan_lock);
	mutex_destroy(&host->lock);
	if (host->machine && host->machine->pci == host)
		host->machine->pci = NULL;
	kfree(host);
}
