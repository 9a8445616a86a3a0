// SPDX-License-Identifier: MIT
/*
 * The directory of a PCI function (drivers/pci/pci-sysfs.c). Most files never change;
 * what may is compared with what was last shown, after each request.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bitmap.h"
#include "server/sysfs_priv.h"

static struct pci_dev *attr_pdev(struct sysfs_attr *a)
{
	return a->obj;
}

static ssize_t override_store(struct sysfs_attr *a, struct call *call, const char *buf,
			      size_t len)
{
	struct device *dev = &attr_pdev(a)->dev;
	ssize_t ret = driver_override_store(dev, buf, len);
	char text[PAGE_SIZE + 2];

	if (ret >= 0) {
		snprintf(text, sizeof(text), "%s\n",
			 dev->driver_override ? dev->driver_override : "(null)");
		sysfs_update(a->fs, a->path, a->mode, text);
	}
	return ret;
}

static ssize_t remove_store(struct sysfs_attr *a, struct call *call, const char *buf,
			    size_t len)
{
	struct sysfs_async *as = sysfs_async_begin(call, len);

	if (!as)
		return -ENOMEM;
	return sysfs_async_end(as, pci_remove_store(attr_pdev(a), buf, len,
						    sysfs_async_done, as));
}

static ssize_t rescan_store(struct sysfs_attr *a, struct call *call, const char *buf,
			    size_t len)
{
	return pci_dev_rescan_store(attr_pdev(a), buf, len);
}

static ssize_t reset_store(struct sysfs_attr *a, struct call *call, const char *buf,
			   size_t len)
{
	return pci_reset_store(attr_pdev(a), buf, len);
}

static ssize_t reset_method_store(struct sysfs_attr *a, struct call *call,
				  const char *buf, size_t len)
{
	ssize_t ret = pci_reset_method_store(attr_pdev(a), buf, len);
	char text[256] = "";

	if (ret >= 0) {
		pci_reset_method_show(attr_pdev(a), text, sizeof(text));
		sysfs_update(a->fs, a->path, a->mode, text);
	}
	return ret;
}

static ssize_t enable_store(struct sysfs_attr *a, struct call *call, const char *buf,
			    size_t len)
{
	struct pci_dev *pdev = attr_pdev(a);
	ssize_t ret = 0;

	if (buf[0] != '0' && buf[0] != '1')
		return -EINVAL;
	if (pdev->dev.driver)
		return -EBUSY;
	if (buf[0] == '1')
		ret = pci_enable_device(pdev);
	else if (pci_is_enabled(pdev))
		pci_disable_device(pdev);
	else
		ret = -EIO;
	return ret < 0 ? ret : (ssize_t)len;
}

static const char *power_name(const struct pci_dev *pdev)
{
	static const char *const names[] = {"D0", "D1", "D2", "D3hot", "D3cold"};

	return pdev->current_state < ARRAY_SIZE(names) ? names[pdev->current_state]
						       : "unknown";
}

static void put_modalias(const struct pci_dev *p, char *out, size_t size)
{
	snprintf(out, size, "pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X", p->vendor,
		 p->device, p->subsystem_vendor, p->subsystem_device, p->class >> 16,
		 p->class >> 8 & 0xff, p->class & 0xff);
}

void sysfs_pci_uevent(struct sysfs *fs, struct pci_dev *p)
{
	struct sysfs_pci *sp = p->sysfs;
	const struct device_driver *drv = p->dev.unbinding ? NULL : p->dev.driver;
	char alias[128];

	if (!sp)
		return;
	put_modalias(p, alias, sizeof(alias));
	sysfs_printf(fs, sp->path, "uevent", 0644,
		     "%s%s%sPCI_CLASS=%04X\nPCI_ID=%04X:%04X\nPCI_SUBSYS_ID=%04X:%04X\n"
		     "PCI_SLOT_NAME=%s\nMODALIAS=%s\n",
		     drv ? "DRIVER=" : "", drv ? drv->name : "", drv ? "\n" : "",
		     p->class, p->vendor, p->device, p->subsystem_vendor,
		     p->subsystem_device, pci_name(p), alias);
}

static void put_resource(struct sysfs *fs, struct sysfs_pci *sp)
{
	unsigned n = sp->pdev->subordinate ? PCI_NUM_RESOURCES : PCI_BRIDGE_RESOURCES;
	char text[PCI_NUM_RESOURCES * 64];
	size_t len = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct pci_resource *r = &sp->pdev->resource[i];

		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"0x%016llx 0x%016llx 0x%016llx\n",
					(unsigned long long)r->start,
					(unsigned long long)r->last,
					(unsigned long long)r->flags);
	}
	sysfs_const(fs, sp->path, "resource", "%s", text);
}

static void put_config(struct sysfs *fs, struct sysfs_pci *sp)
{
	u8 config[HW_CONFIG_SIZE];
	char path[SYSFS_PATH_MAX];
	size_t n = pci_read_config(sp->pdev, 0, config, sp->pdev->cfg_size);

	sysfs_join(path, sp->path, "config");
	sysfs_put(fs, path, 0644, config, n);
}

static void put_link_files(struct sysfs *fs, const struct sysfs_pci *sp)
{
	static const char *const speed[] = {"Unknown",	      "2.5 GT/s PCIe",
					    "5.0 GT/s PCIe",  "8.0 GT/s PCIe",
					    "16.0 GT/s PCIe", "32.0 GT/s PCIe",
					    "64.0 GT/s PCIe"};
	u32 cap = 0;
	u16 sta = 0;

	if (!pci_is_pcie(sp->pdev))
		return;
	pcie_capability_read_dword(sp->pdev, PCI_EXP_LNKCAP, &cap);
	pcie_capability_read_word(sp->pdev, PCI_EXP_LNKSTA, &sta);
	if (!cap)
		return;
	sysfs_const(fs, sp->path, "max_link_speed", "%s\n",
		    speed[(cap & 0xf) < ARRAY_SIZE(speed) ? cap & 0xf : 0]);
	sysfs_const(fs, sp->path, "max_link_width", "%u\n", cap >> 4 & 0x3f);
	sysfs_printf(fs, sp->path, "current_link_speed", 0444, "%s\n",
		     speed[(sta & 0xf) < ARRAY_SIZE(speed) ? sta & 0xf : 0]);
	sysfs_printf(fs, sp->path, "current_link_width", 0444, "%u\n", sta >> 4 & 0x3f);
}

/* All CPUs of this host: devices of a machine are near none of them in particular. */
static void put_cpus(struct sysfs *fs, const char *dir)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	char text[512];
	size_t len = 0;

	if (n < 1 || n > 1024)
		n = 1;
	for (long words = DIV_ROUND_UP(n, 32); words > 0; words--) {
		long bits = min_t(long, 32, n - (words - 1) * 32);
		bool first = !len;

		len += (size_t)snprintf(text + len, sizeof(text) - len,
					first ? "%x" : ",%08x",
					bits == 32 ? ~0U : (1U << bits) - 1);
	}
	sysfs_const(fs, dir, "local_cpus", "%s\n", text);
	if (n == 1)
		sysfs_const(fs, dir, "local_cpulist", "0\n");
	else
		sysfs_const(fs, dir, "local_cpulist", "0-%ld\n", n - 1);
}

static void put_msi_irqs(struct sysfs *fs, struct sysfs_pci *sp)
{
	char dir[SYSFS_PATH_MAX], name[16];
	struct hw *hw = &fs->m->hw;

	sysfs_join(dir, sp->path, "msi_irqs");
	sp->msi = sp->pdev->msi_enabled || sp->pdev->msix_enabled;
	sysfs_remove(fs, dir);
	if (!sp->msi || sp->pdev->dev.hw_function < 0)
		return;
	sysfs_mkdir(fs, dir);
	for (u32 irq = 1; irq < HW_MAX_IRQS; irq++) {
		if (hw->irqs[irq].kind != HW_IRQ_MSI ||
		    hw->irqs[irq].function != sp->pdev->dev.hw_function)
			continue;
		snprintf(name, sizeof(name), "%u", irq);
		sysfs_printf(fs, dir, name, 0444,
			     sp->pdev->msix_enabled ? "msix\n" : "msi\n");
	}
}

static void put_state(struct sysfs *fs, struct sysfs_pci *sp)
{
	struct pci_dev *p = sp->pdev;

	sp->power = p->current_state;
	sysfs_printf(fs, sp->path, "power_state", 0444, "%s\n", power_name(p));
	sp->irq = p->irq;
	sysfs_printf(fs, sp->path, "irq", 0444, "%u\n", p->irq);
}

static void put_enable(struct sysfs *fs, struct sysfs_pci *sp)
{
	char path[SYSFS_PATH_MAX], text[16];

	sp->enable_cnt = sp->pdev->enable_cnt;
	snprintf(text, sizeof(text), "%d\n", sp->enable_cnt);
	sysfs_join(path, sp->path, "enable");
	sysfs_update(fs, path, 0644, text);
}

/* ---- /sys/bus/pci/slots ---- */

static ssize_t slot_power_store(struct sysfs_attr *a, struct call *call, const char *buf,
				size_t len)
{
	struct sysfs_async *as = sysfs_async_begin(call, len);

	if (!as)
		return -ENOMEM;
	return sysfs_async_end(as, pci_slot_power_store(attr_pdev(a), buf, len,
							sysfs_async_done, as));
}

static bool slot_dir(const struct pci_dev *port, char *out)
{
	unsigned n = pci_slot_number(port);

	snprintf(out, SYSFS_PATH_MAX, "sys/bus/pci/slots/%u", n);
	return n && port->subordinate;
}

static void put_slot(struct sysfs *fs, struct sysfs_pci *sp)
{
	char dir[SYSFS_PATH_MAX];

	if (!slot_dir(sp->pdev, dir))
		return;
	sysfs_mkdir(fs, dir);
	sysfs_const(fs, dir, "address", "%04x:%02x:00\n", sp->pdev->subordinate->domain,
		    sp->pdev->subordinate->number);
	sp->slot = true;
	sp->powered = pci_slot_powered(sp->pdev);
	sysfs_const(fs, dir, "attention", "0\n");
	sysfs_const(fs, dir, "latch", "0\n");
	sysfs_attr(fs, dir, "power", 0644, sp->powered ? "1\n" : "0\n", slot_power_store,
		   sp->pdev);
	sysfs_printf(fs, dir, "adapter", 0444, sp->powered ? "1\n" : "0\n");
}

static void refresh_slot(struct sysfs *fs, struct sysfs_pci *sp)
{
	bool powered = pci_slot_powered(sp->pdev);
	char dir[SYSFS_PATH_MAX], path[SYSFS_PATH_MAX];

	if (powered == sp->powered || !slot_dir(sp->pdev, dir))
		return;
	sp->powered = powered;
	sysfs_join(path, dir, "power");
	sysfs_update(fs, path, 0644, powered ? "1\n" : "0\n");
	sysfs_join(path, dir, "adapter");
	sysfs_update(fs, path, 0444, powered ? "1\n" : "0\n");
}

static void put_bridge_files(struct sysfs *fs, const struct sysfs_pci *sp)
{
	const struct pci_bus *bus = sp->pdev->subordinate;
	char dir[SYSFS_PATH_MAX], path[SYSFS_PATH_MAX], name[16];

	if (!bus)
		return;
	sysfs_const(fs, sp->path, "secondary_bus_number", "%u\n", bus->number);
	sysfs_const(fs, sp->path, "subordinate_bus_number", "%u\n", bus->busn_last);
	sysfs_join(dir, sp->path, "pci_bus");
	snprintf(name, sizeof(name), "%04x:%02x", bus->domain, bus->number);
	sysfs_join(path, dir, name);
	sysfs_mkdir(fs, path);
}

void sysfs_pci_add(struct sysfs *fs, struct pci_dev *p)
{
	struct sysfs_pci *sp;
	char path[SYSFS_PATH_MAX], text[256] = "";
	struct sysfs_attr *config;

	if (p->sysfs)
		return;
	sp = kzalloc(sizeof(*sp));
	if (!sp)
		return;
	sp->pdev = p;
	p->sysfs = sp;
	sysfs_device_path(&p->dev, sp->path);
	list_add_tail(&sp->node, &fs->pci);
	sysfs_mkdir(fs, sp->path);

	sysfs_const(fs, sp->path, "vendor", "0x%04x\n", p->vendor);
	sysfs_const(fs, sp->path, "device", "0x%04x\n", p->device);
	sysfs_const(fs, sp->path, "subsystem_vendor", "0x%04x\n", p->subsystem_vendor);
	sysfs_const(fs, sp->path, "subsystem_device", "0x%04x\n", p->subsystem_device);
	sysfs_const(fs, sp->path, "class", "0x%06x\n", p->class);
	sysfs_const(fs, sp->path, "revision", "0x%02x\n", p->revision);
	sysfs_printf(fs, sp->path, "numa_node", 0644, "-1\n");
	sysfs_const(fs, sp->path, "dma_mask_bits", "%d\n", fls64(p->dev.dma_mask));
	sysfs_const(fs, sp->path, "consistent_dma_mask_bits", "%d\n",
		    fls64(p->dev.coherent_dma_mask));
	sysfs_const(fs, sp->path, "ari_enabled", "%u\n", p->ari_enabled);
	sysfs_printf(fs, sp->path, "broken_parity_status", 0644, "0\n");
	sysfs_printf(fs, sp->path, "d3cold_allowed", 0644, "%d\n", !p->no_d3cold);
	sysfs_printf(fs, sp->path, "msi_bus", 0644, "%d\n", !p->no_msi);
	put_modalias(p, text, sizeof(text));
	sysfs_const(fs, sp->path, "modalias", "%s\n", text);
	if (p->class >> 8 == 0x0300)
		sysfs_const(fs, sp->path, "boot_vga", "0\n");
	put_cpus(fs, sp->path);
	put_resource(fs, sp);
	put_link_files(fs, sp);
	put_bridge_files(fs, sp);
	put_slot(fs, sp);
	put_state(fs, sp);

	snprintf(text, sizeof(text), "%s\n",
		 p->dev.driver_override ? p->dev.driver_override : "(null)");
	sysfs_attr(fs, sp->path, "driver_override", 0644, text, override_store, p);
	sysfs_attr(fs, sp->path, "remove", 0220, NULL, remove_store, p);
	sysfs_attr(fs, sp->path, "rescan", 0220, NULL, rescan_store, p);
	sysfs_attr(fs, sp->path, "enable", 0644, NULL, enable_store, p);
	put_enable(fs, sp);
	if (pci_reset_supported(p)) {
		sysfs_attr(fs, sp->path, "reset", 0200, NULL, reset_store, p);
		pci_reset_method_show(p, text, sizeof(text));
		sysfs_attr(fs, sp->path, "reset_method", 0644, text, reset_method_store,
			   p);
	}
	config = sysfs_attr(fs, sp->path, "config", 0644, NULL, NULL, p);
	if (config)
		config->config = true;
	if (p->dev.hw_function >= 0)
		memcpy(sp->config, fs->m->hw.functions[p->dev.hw_function].config,
		       p->cfg_size);
	put_config(fs, sp);
	sysfs_pci_uevent(fs, p);

	sysfs_join(path, sp->path, "subsystem");
	sysfs_link(fs, path, "sys/bus/pci");
	sysfs_join(path, "sys/bus/pci/devices", dev_name(&p->dev));
	sysfs_link(fs, path, sp->path);
}

void sysfs_pci_remove(struct sysfs *fs, struct pci_dev *p)
{
	struct sysfs_pci *sp = p->sysfs;
	char path[SYSFS_PATH_MAX];

	if (!sp)
		return;
	sysfs_join(path, "sys/bus/pci/devices", dev_name(&p->dev));
	sysfs_remove(fs, path);
	if (sp->slot && slot_dir(p, path))
		sysfs_remove(fs, path);
	sysfs_remove(fs, sp->path);
	list_del(&sp->node);
	p->sysfs = NULL;
	kfree(sp);
}

void sysfs_pci_refresh(struct sysfs *fs)
{
	struct sysfs_pci *sp;

	list_for_each_entry(sp, &fs->pci, node) {
		struct pci_dev *p = sp->pdev;
		const u8 *now;

		if (sp->slot)
			refresh_slot(fs, sp);
		if (sp->enable_cnt != p->enable_cnt)
			put_enable(fs, sp);
		if (sp->power != p->current_state || sp->irq != p->irq)
			put_state(fs, sp);
		if (sp->msi != (p->msi_enabled || p->msix_enabled))
			put_msi_irqs(fs, sp);
		if (p->dev.hw_function < 0)
			continue;
		now = fs->m->hw.functions[p->dev.hw_function].config;
		if (memcmp(sp->config, now, p->cfg_size)) {
			memcpy(sp->config, now, p->cfg_size);
			put_config(fs, sp);
		}
	}
}
