// SPDX-License-Identifier: MIT
/*
 * Enumeration: from what answers on a bus to struct pci_dev, in the kernel's order
 * (drivers/pci/probe.c). All slots of a bus come first, then what is behind its
 * bridges; a device is in the driver model, and seen by the IOMMU, before the scan
 * goes on. A function above 0 counts as multi-function only after that, which is why
 * what arrives later alone may get a group of its own.
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

/* ---- buses ---- */

struct pci_bus *pci_bus_get(struct pci_bus *bus)
{
	refcount_inc(&bus->ref);
	return bus;
}

void pci_bus_put(struct pci_bus *bus)
{
	if (bus && refcount_dec_and_test(&bus->ref)) {
		struct pci_bus *parent = bus->parent;

		if (bus->bridge)
			put_device(bus->bridge);
		kfree(bus);
		pci_bus_put(parent);
	}
}

struct pci_bus *pci_alloc_bus(struct pci_host *host, struct pci_bus *parent,
			      struct pci_dev *self, u8 number, u8 last)
{
	struct pci_bus *bus = kzalloc(sizeof(*bus));

	if (!bus)
		return NULL;
	bus->host = host;
	bus->parent = parent ? pci_bus_get(parent) : NULL;
	bus->self = self;
	bus->domain = parent ? parent->domain : 0;
	bus->number = number;
	bus->busn_last = last;
	refcount_set(&bus->ref, 1);
	INIT_LIST_HEAD(&bus->children);
	INIT_LIST_HEAD(&bus->devices);
	INIT_LIST_HEAD(&bus->node);
	return bus;
}

void pci_link_bus(struct pci_bus *bus)
{
	struct list_head *list =
		bus->parent ? &bus->parent->children : &bus->host->root_buses;

	guard(mutex)(&bus->host->lock);
	list_add_tail(&bus->node, list);
}

/* ---- devices ---- */

static void pci_release_dev(struct device *dev)
{
	struct pci_dev *pdev = to_pci_dev(dev);

	pci_bus_put(pdev->bus);
	kfree(pdev->saved_config);
	kfree(pdev->msi);
	kfree(pdev);
}

struct pci_dev *pci_alloc_dev(struct pci_bus *bus, u8 devfn)
{
	struct pci_dev *pdev = kzalloc(sizeof(*pdev));

	if (!pdev)
		return NULL;
	if (bus->host->machine) { /* a dump has no state to save */
		pdev->saved_config = kzalloc(HW_CONFIG_SIZE);
		if (!pdev->saved_config) {
			kfree(pdev);
			return NULL;
		}
	}
	device_initialize(&pdev->dev, bus->host->machine, pci_release_dev);
	pdev->host = bus->host;
	pdev->bus = pci_bus_get(bus);
	pdev->devfn = devfn;
	pdev->dev.bus = bus->host->bus;
	pdev->dev.hw_function = -1;
	pdev->dev.dma_mask = pdev->dev.coherent_dma_mask = 0xffffffff;
	INIT_LIST_HEAD(&pdev->bus_list);
	INIT_LIST_HEAD(&pdev->host_node);
	INIT_LIST_HEAD(&pdev->remove_node);
	INIT_LIST_HEAD(&pdev->removal.wait_node);
	snprintf(pdev->dev.name, sizeof(pdev->dev.name), "%04x:%02x:%02x.%d", bus->domain,
		 bus->number, PCI_SLOT(devfn), PCI_FUNC(devfn));
	return pdev;
}

void pci_link_dev(struct pci_dev *pdev)
{
	guard(mutex)(&pdev->host->lock);
	list_add_tail(&pdev->bus_list, &pdev->bus->devices);
	list_add_tail(&pdev->host_node, &pdev->host->devices);
}

/* ---- resources ---- */

static u64 bar_size(u64 readback, u64 mask)
{
	u64 bits = readback & mask;

	return bits ? bits & ~(bits - 1) : 0;
}

/* Write ones, see what sticks, put back. Returns whether it was a 64-bit BAR. */
static bool read_bar(struct pci_dev *pdev, unsigned index, int reg, bool rom)
{
	struct pci_resource *res = &pdev->resource[index];
	u32 low, low_size, high = 0, high_size = 0;
	u64 base, size;

	pci_read_config_dword(pdev, reg, &low);
	pci_write_config_dword(pdev, reg, rom ? PCI_ROM_ADDRESS_MASK : ~0U);
	pci_read_config_dword(pdev, reg, &low_size);
	pci_write_config_dword(pdev, reg, low);
	if (low_size == ~0U)
		low_size = 0;
	if (low == ~0U)
		low = 0;
	if (rom) {
		size = bar_size(low_size, PCI_ROM_ADDRESS_MASK);
		if (!size)
			return false;
		res->flags = IORESOURCE_MEM | IORESOURCE_PREFETCH | IORESOURCE_READONLY |
			     IORESOURCE_SIZEALIGN | (low & PCI_ROM_ADDRESS_ENABLE);
		res->start = low & PCI_ROM_ADDRESS_MASK;
		res->last = res->start + size - 1;
		return false;
	}
	if (low & PCI_BASE_ADDRESS_SPACE_IO) {
		size = bar_size(low_size, PCI_BASE_ADDRESS_IO_MASK & 0xffff);
		if (!size)
			return false;
		res->flags = (low & ~(u32)PCI_BASE_ADDRESS_IO_MASK) | IORESOURCE_IO |
			     IORESOURCE_SIZEALIGN;
		res->start = low & (u32)PCI_BASE_ADDRESS_IO_MASK;
		res->last = res->start + size - 1;
		return false;
	}
	base = low & PCI_BASE_ADDRESS_MEM_MASK;
	size = low_size & PCI_BASE_ADDRESS_MEM_MASK;
	res->flags = (low & ~(u32)PCI_BASE_ADDRESS_MEM_MASK) | IORESOURCE_MEM |
		     IORESOURCE_SIZEALIGN;
	if (low & PCI_BASE_ADDRESS_MEM_PREFETCH)
		res->flags |= IORESOURCE_PREFETCH;
	if ((low & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64) {
		res->flags |= IORESOURCE_MEM_64;
		pci_read_config_dword(pdev, reg + 4, &high);
		pci_write_config_dword(pdev, reg + 4, ~0U);
		pci_read_config_dword(pdev, reg + 4, &high_size);
		pci_write_config_dword(pdev, reg + 4, high);
		base |= (u64)high << 32;
		size |= (u64)high_size << 32;
	}
	size = bar_size(size, PCI_BASE_ADDRESS_MEM_MASK);
	if (!size) {
		bool wide = res->flags & IORESOURCE_MEM_64;

		res->flags = 0;
		return wide;
	}
	res->start = base;
	res->last = base + size - 1;
	return res->flags & IORESOURCE_MEM_64;
}

static void read_bases(struct pci_dev *pdev, unsigned nr, int rom)
{
	u16 command;
	unsigned i;

	if (!pdev->host->hardware)
		return; /* a dump does not tell sizes */
	pci_read_config_word(pdev, PCI_COMMAND, &command);
	if (command & (PCI_COMMAND_IO | PCI_COMMAND_MEMORY))
		pci_write_config_word(pdev, PCI_COMMAND,
				      command & ~(PCI_COMMAND_IO | PCI_COMMAND_MEMORY));
	for (i = 0; i < nr; i++)
		i += read_bar(pdev, i, PCI_BASE_ADDRESS_0 + 4 * (int)i, false);
	read_bar(pdev, PCI_ROM_RESOURCE, rom, true);
	if (command & (PCI_COMMAND_IO | PCI_COMMAND_MEMORY))
		pci_write_config_word(pdev, PCI_COMMAND, command);
}

static void read_bridge_windows(struct pci_dev *pdev)
{
	struct pci_resource *res = &pdev->resource[PCI_BRIDGE_RESOURCES];
	u8 io_base, io_limit;
	u16 base, limit, upper_base = 0, upper_limit = 0;
	u32 high_base = 0, high_limit = 0;
	u64 start, last;

	pci_read_config_byte(pdev, PCI_IO_BASE, &io_base);
	pci_read_config_byte(pdev, PCI_IO_LIMIT, &io_limit);
	if ((io_base & PCI_IO_RANGE_TYPE_MASK) == PCI_IO_RANGE_TYPE_32) {
		pci_read_config_word(pdev, PCI_IO_BASE_UPPER16, &upper_base);
		pci_read_config_word(pdev, PCI_IO_LIMIT_UPPER16, &upper_limit);
	}
	start = (u64)(io_base & 0xf0) << 8 | (u64)upper_base << 16;
	last = (u64)(io_limit & 0xf0) << 8 | (u64)upper_limit << 16 | 0xfff;
	if (start && start <= last)
		res[0] = (struct pci_resource){
			start, last, (io_base & PCI_IO_RANGE_TYPE_MASK) | IORESOURCE_IO};
	pci_read_config_word(pdev, PCI_MEMORY_BASE, &base);
	pci_read_config_word(pdev, PCI_MEMORY_LIMIT, &limit);
	start = (u64)(base & 0xfff0) << 16;
	last = (u64)(limit & 0xfff0) << 16 | 0xfffff;
	if (start && start <= last)
		res[1] =
			(struct pci_resource){start, last, (base & 0xf) | IORESOURCE_MEM};
	pci_read_config_word(pdev, PCI_PREF_MEMORY_BASE, &base);
	pci_read_config_word(pdev, PCI_PREF_MEMORY_LIMIT, &limit);
	if ((base & 0xf) == PCI_PREF_RANGE_TYPE_64) {
		pci_read_config_dword(pdev, PCI_PREF_BASE_UPPER32, &high_base);
		pci_read_config_dword(pdev, PCI_PREF_LIMIT_UPPER32, &high_limit);
	}
	start = (u64)(base & 0xfff0) << 16 | (u64)high_base << 32;
	last = (u64)(limit & 0xfff0) << 16 | 0xfffff | (u64)high_limit << 32;
	if (start && start <= last)
		res[2] = (struct pci_resource){
			start, last,
			(base & 0xf) | IORESOURCE_MEM | IORESOURCE_PREFETCH |
				((base & 0xf) == PCI_PREF_RANGE_TYPE_64
					 ? IORESOURCE_MEM_64
					 : 0)};
}

/* ---- what a device is ---- */

static u16 cfg_space_size(struct pci_dev *pdev)
{
	u32 header;

	if (!pci_is_pcie(pdev) && pdev->class >> 8 != PCI_CLASS_BRIDGE_HOST)
		return PCI_CFG_SPACE_SIZE;
	pci_read_config_dword(pdev, PCI_CFG_SPACE_SIZE, &header);
	return header == ~0U ? PCI_CFG_SPACE_SIZE : PCI_CFG_SPACE_EXP_SIZE;
}

int pci_setup_device(struct pci_dev *pdev)
{
	struct pci_dev *above = pci_upstream_bridge(pdev);
	u32 class;
	u8 hdr;

	pci_read_config_byte(pdev, PCI_HEADER_TYPE, &hdr);
	pci_read_config_word(pdev, PCI_VENDOR_ID, &pdev->vendor);
	pci_read_config_word(pdev, PCI_DEVICE_ID, &pdev->device);
	pci_read_config_dword(pdev, PCI_CLASS_REVISION, &class);
	pdev->hdr_type = hdr & PCI_HEADER_TYPE_MASK;
	pdev->multifunction = hdr & PCI_HEADER_TYPE_MFD;
	pdev->revision = (u8) class;
	pdev->class = class >> 8;
	pdev->pcie_cap = pci_find_capability(pdev, PCI_CAP_ID_EXP);
	if (pdev->pcie_cap)
		pci_read_config_word(pdev, pdev->pcie_cap + PCI_EXP_FLAGS,
				     &pdev->pcie_flags_reg);
	pdev->cfg_size = cfg_space_size(pdev);
	pdev->untrusted = above && (above->untrusted || above->external_facing);
	pdev->dev.untrusted = pdev->untrusted;
	switch (pdev->hdr_type) {
	case PCI_HEADER_TYPE_NORMAL:
		if (pdev->class >> 8 == PCI_CLASS_BRIDGE_PCI)
			return -EIO;
		pci_read_config_byte(pdev, PCI_INTERRUPT_PIN, &pdev->pin);
		pci_read_config_byte(pdev, PCI_INTERRUPT_LINE, &pdev->irq);
		read_bases(pdev, 6, PCI_ROM_ADDRESS);
		pci_read_config_word(pdev, PCI_SUBSYSTEM_VENDOR_ID,
				     &pdev->subsystem_vendor);
		pci_read_config_word(pdev, PCI_SUBSYSTEM_ID, &pdev->subsystem_device);
		break;
	case PCI_HEADER_TYPE_BRIDGE: {
		u8 pos;

		pci_read_config_byte(pdev, PCI_INTERRUPT_PIN, &pdev->pin);
		pci_read_config_byte(pdev, PCI_INTERRUPT_LINE, &pdev->irq);
		read_bases(pdev, 2, PCI_ROM_ADDRESS1);
		read_bridge_windows(pdev);
		pos = pci_find_capability(pdev, PCI_CAP_ID_SSVID);
		if (pos) {
			pci_read_config_word(pdev, pos + 4, &pdev->subsystem_vendor);
			pci_read_config_word(pdev, pos + 6, &pdev->subsystem_device);
		}
		if (pci_is_pcie(pdev)) {
			u32 slot;

			pcie_capability_read_dword(pdev, PCI_EXP_SLTCAP, &slot);
			pdev->is_hotplug_bridge = slot & PCI_EXP_SLTCAP_HPC;
		}
		break;
	}
	case PCI_HEADER_TYPE_CARDBUS:
		pci_read_config_byte(pdev, PCI_INTERRUPT_PIN, &pdev->pin);
		pci_read_config_word(pdev, 0x40, &pdev->subsystem_vendor);
		pci_read_config_word(pdev, 0x42, &pdev->subsystem_device);
		break;
	default:
		pr_warn("%s: unknown header type %02x, ignoring device", pci_name(pdev),
			hdr);
		return -EIO;
	}
	return 0;
}

/* Function 0 settles whether its port forwards ARI requests. */
static void configure_ari(struct pci_dev *pdev)
{
	struct pci_dev *bridge = pci_upstream_bridge(pdev);
	u32 cap;

	if (!bridge || pdev->devfn || !pci_is_pcie(pdev))
		return;
	pcie_capability_read_dword(bridge, PCI_EXP_DEVCAP2, &cap);
	if (!(cap & PCI_EXP_DEVCAP2_ARI))
		return;
	bridge->ari_enabled = pdev->ari_cap != 0;
	pcie_capability_clear_and_set_word(bridge, PCI_EXP_DEVCTL2, PCI_EXP_DEVCTL2_ARI,
					   bridge->ari_enabled ? PCI_EXP_DEVCTL2_ARI : 0);
}

void pci_init_capabilities(struct pci_dev *pdev)
{
	pdev->pm_cap = pci_find_capability(pdev, PCI_CAP_ID_PM);
	pdev->msi_cap = pci_find_capability(pdev, PCI_CAP_ID_MSI);
	pdev->msix_cap = pci_find_capability(pdev, PCI_CAP_ID_MSIX);
	pdev->af_cap = pci_find_capability(pdev, PCI_CAP_ID_AF);
	pdev->ari_cap = pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_ARI);
	pdev->sriov_cap = pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_SRIOV);
	pdev->ats_cap = pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_ATS);
	pdev->pri_cap = pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_PRI);
	pdev->pasid_cap = pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_PASID);
	pdev->is_physfn = pdev->sriov_cap != 0;
	configure_ari(pdev);
	pci_acs_init(pdev);
	if (pdev->host->acs_requested)
		pci_enable_acs(pdev);
	if (!pdev->host->hardware)
		return;
	if (pdev->msi_cap) {
		u16 flags;

		pci_read_config_word(pdev, pdev->msi_cap + PCI_MSI_FLAGS, &flags);
		if (flags & PCI_MSI_FLAGS_ENABLE)
			pci_write_config_word(pdev, pdev->msi_cap + PCI_MSI_FLAGS,
					      flags & ~PCI_MSI_FLAGS_ENABLE);
	}
}

/* ---- scanning ---- */

static bool present(struct pci_bus *bus, u8 devfn)
{
	u32 id = bus->host->ops->read(bus->host, bus->domain, bus->number, devfn,
				      PCI_VENDOR_ID, 4);

	return id != ~0U && id != 0 && id != 0x0000ffff && id != 0xffff0000;
}

/* What the machine file says of it, on the first scan only: an override goes with it. */
static void adopt_function(struct pci_dev *pdev)
{
	struct pci_host *host = pdev->host;
	struct pci_function *fn;

	if (!host->hardware)
		return;
	fn = pci_hw_find(host, pdev->bus->domain, pdev->bus->number, pdev->devfn);
	if (!fn)
		return;
	pdev->dev.hw_function = (s32)fn->index;
	pdev->dev.of_node = fn->desc.of_node;
	pdev->external_facing = fn->desc.untrusted;
	if (!host->drivers_started && fn->driver)
		pdev->dev.driver_override = kstrdup(fn->driver);
}

/* New, linked and in the driver model, or NULL. */
static struct pci_dev *scan_device(struct pci_bus *bus, u8 devfn)
{
	struct pci_dev *pdev;

	if (!present(bus, devfn))
		return NULL;
	pdev = pci_alloc_dev(bus, devfn);
	if (!pdev)
		return NULL;
	adopt_function(pdev);
	if (pci_setup_device(pdev)) {
		put_device(&pdev->dev);
		return NULL;
	}
	pci_init_capabilities(pdev);
	pci_fixup_header(pdev);
	pdev->dev.parent = bus->self ? &bus->self->dev : bus->bridge;
	pci_link_dev(pdev);
	pci_init_reset_methods(pdev);
	if (bus->host->machine && device_add(&pdev->dev))
		pr_warn("%s: could not be added", pci_name(pdev));
	return pdev;
}

static struct pci_dev *find_on_bus(struct pci_bus *bus, u8 devfn)
{
	struct pci_dev *pdev;

	guard(mutex)(&bus->host->lock);
	list_for_each_entry(pdev, &bus->devices, bus_list) {
		if (pdev->devfn == devfn)
			return pdev;
	}
	return NULL;
}

/* The function after @fn in a slot, -1: none. ARI: the chain that function @fn names. */
static int next_function(struct pci_bus *bus, struct pci_dev *pdev, int fn)
{
	if (bus->self && bus->self->ari_enabled) {
		u16 cap;
		int next;

		if (!pdev || !pdev->ari_cap)
			return -1;
		pci_read_config_word(pdev, pdev->ari_cap + PCI_ARI_CAP, &cap);
		next = PCI_ARI_CAP_NFN(cap);
		return next > fn ? next : -1;
	}
	if (fn >= 7 || (pdev && !pdev->multifunction) || (!pdev && !fn))
		return -1;
	return fn + 1;
}

static bool only_one_child(struct pci_bus *bus)
{
	struct pci_dev *bridge = bus->self;

	if (!bridge || !pci_is_pcie(bridge))
		return false;
	return pci_pcie_type(bridge) == PCI_EXP_TYPE_ROOT_PORT ||
	       pci_pcie_type(bridge) == PCI_EXP_TYPE_DOWNSTREAM ||
	       pci_pcie_type(bridge) == PCI_EXP_TYPE_PCIE_BRIDGE;
}

static void scan_slot(struct pci_bus *bus, unsigned slot)
{
	int fn = 0;

	if (only_one_child(bus) && slot)
		return;
	do {
		u8 devfn = (u8)(PCI_DEVFN(slot, 0) + fn);
		struct pci_dev *pdev = find_on_bus(bus, devfn);

		if (!pdev)
			pdev = scan_device(bus, devfn);
		if (pdev && fn > 0)
			pdev->multifunction = true;
		fn = next_function(bus, pdev, fn);
	} while (fn >= 0);
}

static int scan_bridge(struct pci_bus *bus, struct pci_dev *bridge)
{
	struct pci_bus *child = bridge->subordinate;
	u8 secondary, last;

	pci_read_config_byte(bridge, PCI_SECONDARY_BUS, &secondary);
	pci_read_config_byte(bridge, PCI_SUBORDINATE_BUS, &last);
	if (!secondary || secondary <= bus->number || secondary > bus->busn_last ||
	    last < secondary)
		return 0; /* not configured by firmware: nothing is reached through it */
	if (!child) {
		child = pci_alloc_bus(bus->host, bus, bridge, secondary,
				      min(last, bus->busn_last));
		if (!child)
			return -ENOMEM;
		bridge->subordinate = child;
		pci_link_bus(child);
	}
	return pci_scan_child_bus(child);
}

int pci_scan_child_bus(struct pci_bus *bus)
{
	struct pci_dev *pdev, **bridges;
	unsigned slot, nr = 0, i;
	int ret = 0;

	for (slot = 0; slot < 32; slot++)
		scan_slot(bus, slot);
	bridges = kcalloc(257, sizeof(struct pci_dev *));
	if (!bridges)
		return -ENOMEM;
	scoped_guard(mutex, &bus->host->lock)
	{
		list_for_each_entry(pdev, &bus->devices, bus_list) {
			if (pci_is_bridge(pdev) && nr < 256)
				bridges[nr++] = pdev;
		}
	}
	for (i = 0; i < nr; i++)
		ret = scan_bridge(bus, bridges[i]) ?: ret;
	kfree(bridges);
	return ret;
}

/* Drivers may have it from now on. Source: pci_bus_add_device(), drivers/pci/bus.c. */
void pci_bus_add_device(struct pci_dev *pdev)
{
	if (pdev->match_driver || !pdev->dev.added)
		return;
	pci_save_state(pdev);
	pdev->match_driver = true;
	if (pdev->dev.bus->autoprobe && device_attach(&pdev->dev) < 0)
		pr_debug("%s: no driver yet", pci_name(pdev));
}
