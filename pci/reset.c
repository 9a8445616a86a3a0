// SPDX-License-Identifier: MIT
/*
 * Resets of one function, by the methods that it offers in the order of preference,
 * and of a whole bus (drivers/pci/pci.c). Every reset is complete when the register
 * write that starts it returns, so nothing waits.
 *
 * Locks: device locks of what is reset, and of the bridge above it first.
 */
#include <stdio.h>
#include <string.h>

#include "machine/machine.h"
#include "pci/priv.h"

int pcie_flr(struct pci_dev *pdev)
{
	return pcie_capability_clear_and_set_word(pdev, PCI_EXP_DEVCTL, 0,
						  PCI_EXP_DEVCTL_BCR_FLR);
}

static int reset_flr(struct pci_dev *pdev, bool probe)
{
	u32 cap;

	if (pdev->dev_flags & PCI_DEV_FLAGS_NO_FLR_RESET)
		return -ENOTTY;
	pcie_capability_read_dword(pdev, PCI_EXP_DEVCAP, &cap);
	if (!(cap & PCI_EXP_DEVCAP_FLR))
		return -ENOTTY;
	return probe ? 0 : pcie_flr(pdev);
}

static int reset_af_flr(struct pci_dev *pdev, bool probe)
{
	u8 cap;

	if (!pdev->af_cap || pdev->dev_flags & PCI_DEV_FLAGS_NO_FLR_RESET)
		return -ENOTTY;
	pci_read_config_byte(pdev, pdev->af_cap + PCI_AF_CAP, &cap);
	if (!(cap & PCI_AF_CAP_TP) || !(cap & PCI_AF_CAP_FLR))
		return -ENOTTY;
	return probe ? 0
		     : pci_write_config_byte(pdev, pdev->af_cap + PCI_AF_CTRL,
					     PCI_AF_CTRL_FLR);
}

static int reset_pm(struct pci_dev *pdev, bool probe)
{
	int reg = pdev->pm_cap + PCI_PM_CTRL;
	u16 csr;

	if (!pdev->pm_cap || pdev->dev_flags & PCI_DEV_FLAGS_NO_PM_RESET)
		return -ENOTTY;
	pci_read_config_word(pdev, reg, &csr);
	if (csr & PCI_PM_CTRL_NO_SOFT_RESET)
		return -ENOTTY;
	if (probe)
		return 0;
	if (pdev->current_state)
		return -EINVAL;
	csr &= (u16)~PCI_PM_CTRL_STATE_MASK;
	pci_write_config_word(pdev, reg, csr | 3);
	pci_write_config_word(pdev, reg, csr);
	return 0;
}

static void secondary_bus_reset(struct pci_dev *bridge)
{
	u16 ctrl;

	pci_read_config_word(bridge, PCI_BRIDGE_CONTROL, &ctrl);
	pci_write_config_word(bridge, PCI_BRIDGE_CONTROL,
			      ctrl | PCI_BRIDGE_CTL_BUS_RESET);
	pci_write_config_word(bridge, PCI_BRIDGE_CONTROL,
			      ctrl & (u16)~PCI_BRIDGE_CTL_BUS_RESET);
}

/* A slot that its port's hot-plug controller can reset. */
static bool in_hotplug_slot(const struct pci_dev *pdev)
{
	const struct pci_dev *bridge = pci_upstream_bridge(pdev);

	return bridge && bridge->is_hotplug_bridge && pci_is_pcie(bridge);
}

static int reset_bus(struct pci_dev *pdev, bool probe)
{
	struct pci_dev *bridge = pci_upstream_bridge(pdev);
	bool alone;

	if (!bridge || pdev->subordinate || pdev->dev_flags & PCI_DEV_FLAGS_NO_BUS_RESET)
		return -ENOTTY;
	mutex_lock(&pdev->host->lock);
	alone = list_is_singular(&pdev->bus->devices);
	mutex_unlock(&pdev->host->lock);
	if (!alone && (pdev->multifunction || !in_hotplug_slot(pdev)))
		return -ENOTTY;
	if (!probe)
		secondary_bus_reset(bridge);
	return 0;
}

static const struct {
	const char *name;
	int (*fn)(struct pci_dev *pdev, bool probe);
} methods[PCI_NUM_RESET_METHODS] = {
	[PCI_RESET_DEVICE_SPECIFIC] = {"device_specific", NULL},
	[PCI_RESET_ACPI] = {"acpi", NULL},
	[PCI_RESET_FLR] = {"flr", reset_flr},
	[PCI_RESET_AF_FLR] = {"af_flr", reset_af_flr},
	[PCI_RESET_PM] = {"pm", reset_pm},
	[PCI_RESET_BUS] = {"bus", reset_bus},
	[PCI_RESET_CXL_BUS] = {"cxl_bus", NULL},
};

static int call_method(struct pci_dev *pdev, unsigned m, bool probe)
{
	return methods[m].fn ? methods[m].fn(pdev, probe) : -ENOTTY;
}

void pci_init_reset_methods(struct pci_dev *pdev)
{
	unsigned m, n = 0;

	for (m = 1; m < PCI_NUM_RESET_METHODS; m++) {
		if (!call_method(pdev, m, true))
			pdev->reset_methods[n++] = (u8)m;
	}
	pdev->reset_methods[n] = 0;
}

bool pci_reset_supported(const struct pci_dev *pdev)
{
	return pdev->reset_methods[0] != 0;
}

int __pci_reset_function_locked(struct pci_dev *pdev)
{
	unsigned i;
	int ret;

	for (i = 0; i < PCI_NUM_RESET_METHODS && pdev->reset_methods[i]; i++) {
		ret = call_method(pdev, pdev->reset_methods[i], false);
		if (ret != -ENOTTY)
			return ret;
	}
	return -ENOTTY;
}

static void save_and_disable(struct pci_dev *pdev)
{
	if (pdev->driver && pdev->driver->reset_prepare)
		pdev->driver->reset_prepare(pdev);
	if (pci_set_power_state(pdev, 0))
		pdev->current_state = 0;
	pci_save_state(pdev);
	pci_write_config_word(pdev, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE);
}

static void restore(struct pci_dev *pdev)
{
	pci_restore_state(pdev);
	if (pdev->driver && pdev->driver->reset_done)
		pdev->driver->reset_done(pdev);
}

int pci_reset_function(struct pci_dev *pdev)
{
	struct pci_dev *bridge = pci_upstream_bridge(pdev);
	int ret;

	if (!pci_reset_supported(pdev))
		return -ENOTTY;
	if (bridge)
		mutex_lock(&bridge->dev.lock);
	mutex_lock(&pdev->dev.lock);
	save_and_disable(pdev);
	ret = __pci_reset_function_locked(pdev);
	restore(pdev);
	mutex_unlock(&pdev->dev.lock);
	if (bridge)
		mutex_unlock(&bridge->dev.lock);
	return ret;
}

int pci_try_reset_function(struct pci_dev *pdev)
{
	int ret;

	if (!pci_reset_supported(pdev))
		return -ENOTTY;
	if (!mutex_trylock(&pdev->dev.lock))
		return -EAGAIN;
	save_and_disable(pdev);
	ret = __pci_reset_function_locked(pdev);
	restore(pdev);
	mutex_unlock(&pdev->dev.lock);
	return ret;
}

/* ---- a whole bus ---- */

static bool bus_resettable(struct pci_bus *bus)
{
	struct pci_dev *pdev;

	if (bus->self && bus->self->dev_flags & PCI_DEV_FLAGS_NO_BUS_RESET)
		return false;
	list_for_each_entry(pdev, &bus->devices, bus_list) {
		if (pdev->dev_flags & PCI_DEV_FLAGS_NO_BUS_RESET ||
		    (pdev->subordinate && !bus_resettable(pdev->subordinate)))
			return false;
	}
	return true;
}

int pci_probe_reset_bus(struct pci_bus *bus)
{
	guard(mutex)(&bus->host->lock);
	return bus->self && bus_resettable(bus) ? 0 : -ENOTTY;
}

int pci_probe_reset_slot(struct pci_dev *pdev)
{
	return in_hotplug_slot(pdev) ? pci_probe_reset_bus(pdev->bus) : -ENOTTY;
}

static void unlock_bus(struct pci_bus *bus, struct pci_dev *until)
{
	struct pci_dev *pdev;

	list_for_each_entry(pdev, &bus->devices, bus_list) {
		if (pdev == until)
			return;
		if (pdev->subordinate)
			unlock_bus(pdev->subordinate, NULL);
		mutex_unlock(&pdev->dev.lock);
	}
}

static bool trylock_bus(struct pci_bus *bus)
{
	struct pci_dev *pdev;

	list_for_each_entry(pdev, &bus->devices, bus_list) {
		if (!mutex_trylock(&pdev->dev.lock)) {
			unlock_bus(bus, pdev);
			return false;
		}
		if (pdev->subordinate && !trylock_bus(pdev->subordinate)) {
			mutex_unlock(&pdev->dev.lock);
			unlock_bus(bus, pdev);
			return false;
		}
	}
	return true;
}

static void for_each_on_bus(struct pci_bus *bus, void (*fn)(struct pci_dev *pdev))
{
	struct pci_dev *pdev;

	list_for_each_entry(pdev, &bus->devices, bus_list) {
		fn(pdev);
		if (pdev->subordinate)
			for_each_on_bus(pdev->subordinate, fn);
	}
}

int pci_reset_bus(struct pci_dev *pdev)
{
	struct pci_bus *bus = pdev->bus;
	int ret = pci_probe_reset_bus(bus);

	if (ret)
		return ret;
	/* The tree stays as it is meanwhile. */
	guard(mutex)(&pdev->host->rescan_lock);
	if (!mutex_trylock(&bus->self->dev.lock))
		return -EAGAIN;
	if (trylock_bus(bus)) {
		for_each_on_bus(bus, save_and_disable);
		secondary_bus_reset(bus->self);
		for_each_on_bus(bus, restore);
		unlock_bus(bus, NULL);
	} else {
		ret = -EAGAIN;
	}
	mutex_unlock(&bus->self->dev.lock);
	return ret;
}

/* ---- sysfs ---- */

size_t pci_reset_method_show(struct pci_dev *pdev, char *buf, size_t size)
{
	size_t len = 0;
	unsigned i;

	if (size)
		buf[0] = 0;
	for (i = 0; i < PCI_NUM_RESET_METHODS && pdev->reset_methods[i] && len < size;
	     i++)
		len += (size_t)snprintf(buf + len, size - len, "%s%s", i ? " " : "",
					methods[pdev->reset_methods[i]].name);
	if (len && len < size)
		len += (size_t)snprintf(buf + len, size - len, "\n");
	return min(len, size);
}

/* One word of @p; NULL: no more. */
static const char *next_word(const char **p, const char *end, size_t *len)
{
	const char *start;

	while (*p < end && (**p == ' ' || **p == '\n' || **p == '\t'))
		++*p;
	start = *p;
	while (*p < end && **p != ' ' && **p != '\n' && **p != '\t')
		++*p;
	*len = (size_t)(*p - start);
	return *len ? start : NULL;
}

static bool word_is(const char *word, size_t len, const char *text)
{
	return len == strlen(text) && !memcmp(word, text, len);
}

int pci_reset_method_store(struct pci_dev *pdev, const char *buf, size_t len)
{
	u8 chosen[PCI_NUM_RESET_METHODS] = {0};
	const char *p = buf, *end = buf + len, *word;
	unsigned n = 0, m;
	size_t l;

	if (!len || (len == 1 && buf[0] == '\n')) {
		pdev->reset_methods[0] = 0;
		return (int)len;
	}
	if (word_is(buf, len, "default") || word_is(buf, len, "default\n")) {
		pci_init_reset_methods(pdev);
		return (int)len;
	}
	while ((word = next_word(&p, end, &l))) {
		for (m = 1; m < PCI_NUM_RESET_METHODS; m++) {
			if (word_is(word, l, methods[m].name))
				break;
		}
		if (m == PCI_NUM_RESET_METHODS || call_method(pdev, m, true) ||
		    n == PCI_NUM_RESET_METHODS - 1)
			return -EINVAL;
		chosen[n++] = (u8)m;
	}
	memcpy(pdev->reset_methods, chosen, sizeof(chosen));
	return (int)len;
}

int pci_reset_store(struct pci_dev *pdev, const char *buf, size_t len)
{
	int ret;

	if (!(word_is(buf, len, "1") || word_is(buf, len, "1\n")))
		return -EINVAL;
	ret = pci_reset_function(pdev);
	return ret ? ret : (int)len;
}
