// SPDX-License-Identifier: MIT
#include "server/host_drivers.h"

#include "base/alloc.h"
#include "machine/machine.h"
#include "pci/pci.h"

#define NR_HOST_DRIVERS 2

static const struct pci_device_id virtio_ids[] = {
	{.vendor = 0x1af4,
	 .device = PCI_ANY_ID,
	 .subvendor = PCI_ANY_ID,
	 .subdevice = PCI_ANY_ID},
	{0},
};
static const struct pci_device_id nvme_ids[] = {
	{.vendor = PCI_ANY_ID,
	 .device = PCI_ANY_ID,
	 .subvendor = PCI_ANY_ID,
	 .subdevice = PCI_ANY_ID,
	 .class = 0x010802,
	 .class_mask = 0xffffff},
	{0},
};

struct host_drivers {
	struct pci_driver driver[NR_HOST_DRIVERS];
	unsigned nr;
};

static int host_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int ret = pci_enable_device(pdev);

	if (!ret)
		pci_set_master(pdev);
	return ret;
}

static void host_remove(struct pci_dev *pdev)
{
	pci_clear_master(pdev);
	pci_disable_device(pdev);
}

int host_drivers_register(struct machine *m, struct host_drivers **out)
{
	static const struct {
		const char *name;
		const struct pci_device_id *ids;
	} table[NR_HOST_DRIVERS] = {{"nvme", nvme_ids}, {"virtio-pci", virtio_ids}};
	struct host_drivers *d = kzalloc(sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	for (d->nr = 0; d->nr < NR_HOST_DRIVERS; d->nr++) {
		struct pci_driver *drv = &d->driver[d->nr];

		drv->driver.name = table[d->nr].name;
		drv->id_table = table[d->nr].ids;
		drv->probe = host_probe;
		drv->remove = host_remove;
		err = pci_register_driver(m->pci, drv);
		if (err) {
			host_drivers_unregister(d);
			return err;
		}
	}
	*out = d;
	return 0;
}

void host_drivers_unregister(struct host_drivers *d)
{
	if (!d)
		return;
	while (d->nr)
		pci_unregister_driver(&d->driver[--d->nr]);
	kfree(d);
}
