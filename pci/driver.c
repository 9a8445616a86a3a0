// SPDX-License-Identifier: MIT
/*
 * The pci bus type: which driver fits which device, probe, removal, who may do DMA
 * (drivers/pci/pci-driver.c). Also the two drivers that a machine always has: the
 * ports' and the one that only keeps others away.
 */
#include <string.h>

#include "base/alloc.h"
#include "machine/machine.h"
#include "pci/priv.h"

static const struct pci_device_id any_device = {
	PCI_ANY_ID, PCI_ANY_ID, PCI_ANY_ID, PCI_ANY_ID, 0, 0, 0, 0,
};

static bool id_ends(const struct pci_device_id *id)
{
	return !id->vendor && !id->subvendor && !id->class_mask;
}

static bool id_matches(const struct pci_device_id *id, const struct pci_dev *pdev)
{
	return (id->vendor == PCI_ANY_ID || id->vendor == pdev->vendor) &&
	       (id->device == PCI_ANY_ID || id->device == pdev->device) &&
	       (id->subvendor == PCI_ANY_ID || id->subvendor == pdev->subsystem_vendor) &&
	       (id->subdevice == PCI_ANY_ID || id->subdevice == pdev->subsystem_device) &&
	       !((id->class ^ pdev->class) & id->class_mask);
}

const struct pci_device_id *pci_match_device(struct pci_driver *drv, struct pci_dev *pdev)
{
	const char *override = pdev->dev.driver_override;
	const struct pci_device_id *id, *dynamic;

	if (override && strcmp(override, drv->driver.name))
		return NULL;
	dynamic = pci_match_dynid(drv, pdev);
	if (dynamic)
		return dynamic;
	for (id = drv->id_table; id && !id_ends(id); id++) {
		if (id_matches(id, pdev) && (!id->override_only || override))
			return id;
	}
	return override ? &any_device : NULL;
}

bool pci_id_matches(const struct pci_device_id *id, const struct pci_dev *pdev)
{
	return id_matches(id, pdev);
}

static bool pci_bus_match(struct device *dev, const struct device_driver *drv)
{
	struct pci_dev *pdev = to_pci_dev(dev);

	return pdev->match_driver &&
	       pci_match_device((struct pci_driver *)to_pci_driver(drv), pdev);
}

static int pci_device_probe(struct device *dev)
{
	struct pci_driver *drv = to_pci_driver(dev->driver);
	struct pci_dev *pdev = to_pci_dev(dev);
	const struct pci_device_id *id = pci_match_device(drv, pdev);
	int ret;

	if (!drv->probe)
		return 0;
	if (!id)
		return -ENODEV;
	get_device(dev);
	pdev->driver = drv;
	ret = drv->probe(pdev, id);
	if (ret) {
		pdev->driver = NULL;
		put_device(dev);
	}
	return min(ret, 0);
}

static void pci_device_remove(struct device *dev)
{
	struct pci_dev *pdev = to_pci_dev(dev);
	struct pci_driver *drv = pdev->driver;

	if (!drv)
		return;
	if (drv->remove)
		drv->remove(pdev);
	pdev->driver = NULL;
	put_device(dev);
}

static int pci_dma_configure(struct device *dev)
{
	const struct pci_iommu_hooks *iommu = to_pci_dev(dev)->host->iommu;

	return iommu && iommu->dma_configure ? iommu->dma_configure(dev) : 0;
}

static void pci_dma_cleanup(struct device *dev)
{
	const struct pci_iommu_hooks *iommu = to_pci_dev(dev)->host->iommu;

	if (iommu && iommu->dma_cleanup)
		iommu->dma_cleanup(dev);
}

const struct bus_type pci_bus_type = {
	.name = "pci",
	.match = pci_bus_match,
	.probe = pci_device_probe,
	.remove = pci_device_remove,
	.dma_configure = pci_dma_configure,
	.dma_cleanup = pci_dma_cleanup,
};

int pci_register_driver(struct pci_host *host, struct pci_driver *drv)
{
	mutex_init(&drv->dynids_lock);
	INIT_LIST_HEAD(&drv->dynids);
	return driver_register(&drv->driver, host->bus);
}

void pci_unregister_driver(struct pci_driver *drv)
{
	driver_unregister(&drv->driver);
	pci_free_dynids(drv);
	mutex_destroy(&drv->dynids_lock);
}

/* ---- drivers that are always there ---- */

static int pcieport_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int type = pci_pcie_type(pdev);
	int ret;

	if (!pci_is_pcie(pdev) ||
	    (type != PCI_EXP_TYPE_ROOT_PORT && type != PCI_EXP_TYPE_UPSTREAM &&
	     type != PCI_EXP_TYPE_DOWNSTREAM && type != PCI_EXP_TYPE_RC_EC))
		return -ENODEV;
	ret = pci_enable_device(pdev);
	if (!ret)
		pci_set_master(pdev);
	return ret;
}

static void pcieport_remove(struct pci_dev *pdev)
{
	pci_disable_device(pdev);
}

static const struct pci_device_id pcieport_ids[] = {
	{PCI_ANY_ID, PCI_ANY_ID, PCI_ANY_ID, PCI_ANY_ID, PCI_CLASS_BRIDGE_PCI << 8, ~0U,
	 0, 0},
	{PCI_ANY_ID, PCI_ANY_ID, PCI_ANY_ID, PCI_ANY_ID, PCI_CLASS_BRIDGE_PCI << 8 | 1,
	 ~0U, 0, 0},
	{0},
};

static int stub_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	return 0;
}

struct builtin_drivers {
	struct pci_driver pcieport, stub;
};

int pci_register_builtin_drivers(struct pci_host *host)
{
	struct builtin_drivers *b = kzalloc(sizeof(*b));
	int ret;

	if (!b)
		return -ENOMEM;
	b->pcieport = (struct pci_driver){
		.driver = {.name = "pcieport", .driver_managed_dma = true},
		.id_table = pcieport_ids,
		.probe = pcieport_probe,
		.remove = pcieport_remove,
	};
	b->stub = (struct pci_driver){
		.driver = {.name = "pci-stub", .driver_managed_dma = true},
		.probe = stub_probe,
	};
	ret = pci_register_driver(host, &b->pcieport);
	if (ret)
		goto err_free;
	ret = pci_register_driver(host, &b->stub);
	if (ret)
		goto err_pcieport;
	host->builtin = b;
	return 0;

err_pcieport:
	pci_unregister_driver(&b->pcieport);
err_free:
	kfree(b);
	return ret;
}

void pci_unregister_builtin_drivers(struct pci_host *host)
{
	if (!host->builtin)
		return;
	pci_unregister_driver(&host->builtin->stub);
	pci_unregister_driver(&host->builtin->pcieport);
	kfree(host->builtin);
	host->builtin = NULL;
}
