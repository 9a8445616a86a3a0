// SPDX-License-Identifier: MIT
/*
 * The "vfio-pci" driver: it manages DMA itself (so it may be bound next to a user of the
 * group), takes only what is given to it (driver_override, new_id, vfio_pci.ids), and
 * leaves a device when its last user has.
 */
#define LOG_SUBSYSTEM "vfio"
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "vfio/pci_priv.h"

static long pci_ioctl(struct vfio_device *core_vdev, struct call *call, unsigned cmd,
		      u64 arg)
{
	struct vfio_pci_core_device *vdev = to_vfio_pci(core_vdev);

	switch (cmd) {
	case VFIO_DEVICE_GET_INFO:
		return vfio_pci_ioctl_get_info(vdev, call, arg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return vfio_pci_ioctl_get_irq_info(vdev, call, arg);
	case VFIO_DEVICE_SET_IRQS:
		return vfio_pci_ioctl_set_irqs(vdev, call, arg);
	case VFIO_DEVICE_RESET:
		return vfio_pci_ioctl_reset(vdev);
	case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
		return vfio_pci_ioctl_hot_reset_info(vdev, call, arg);
	case VFIO_DEVICE_PCI_HOT_RESET:
		return vfio_pci_ioctl_hot_reset(vdev, call, arg);
	case VFIO_DEVICE_IOEVENTFD:
		return vfio_pci_ioctl_ioeventfd(vdev, call, arg);
	default:
		return -ENOTTY;
	}
}

static void pci_request(struct vfio_device *core_vdev, unsigned count)
{
	struct vfio_pci_core_device *vdev = to_vfio_pci(core_vdev);

	if (vdev->req_trigger >= 0) {
		if (!(count % 10))
			pr_info("vfio-pci %s: Relaying device request to user (#%u)",
				pci_name(vdev->pdev), count);
		vfio_eventfd_signal(vdev->req_trigger);
	} else if (!count) {
		pr_warn("vfio-pci %s: No device request channel registered, blocked "
			"until "
			"released by user",
			pci_name(vdev->pdev));
	}
}

static const struct vfio_device_ops vfio_pci_ops = {
	.name = "vfio-pci",
	.open_device = vfio_pci_open_device,
	.close_device = vfio_pci_close_device,
	.ioctl = pci_ioctl,
	.get_region_info_caps = vfio_pci_get_region_info,
	.device_feature = vfio_pci_feature,
	.read = vfio_pci_read,
	.write = vfio_pci_write,
	.mmap = vfio_pci_mmap,
	.request = pci_request,
	.match = vfio_pci_match,
	.match_token_uuid = vfio_pci_match_token_uuid,
	.pm_get = vfio_pci_pm_get,
	.pm_put = vfio_pci_pm_put,
};

/* Accelerators with errata that let an untrusted user harm the machine. */
static bool is_denylisted(const struct pci_dev *pdev)
{
	if (pdev->vendor != PCI_VENDOR_ID_INTEL)
		return false;
	switch (pdev->device) {
	case 0x0b25: /* DSA */
	case 0x0cfe: /* IAX */
	case 0x0435: /* QAT DH895XCC and its functions */
	case 0x0443:
	case 0x19e2: /* QAT C3XXX */
	case 0x19e3:
	case 0x37c8: /* QAT C62X */
	case 0x37c9:
		return true;
	default:
		return false;
	}
}

static int assign_device_set(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;

	if (pci_is_root_bus(pdev->bus) || pdev->is_virtfn)
		return vfio_assign_device_set(&vdev->vdev, vdev);
	/* A hot-plug slot fills its bus, so the bus stands for it. */
	return vfio_assign_device_set(&vdev->vdev, pdev->bus);
}

static int vfio_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct vfio_core *core = pdev->dev.machine->vfio;
	struct vfio_pci_core_device *vdev;
	int ret;

	if (is_denylisted(pdev) && !core->params.disable_denylist) {
		pr_warn("%s: %04x:%04x exists in vfio-pci device denylist, driver "
			"probing "
			"disallowed.",
			pci_name(pdev), pdev->vendor, pdev->device);
		return -EINVAL;
	}
	vdev = kzalloc(sizeof(*vdev));
	if (!vdev)
		return -ENOMEM;
	vdev->pdev = pdev;
	vdev->irq_type = VFIO_PCI_NUM_IRQS;
	vdev->err_trigger = -1;
	vdev->req_trigger = -1;
	vdev->intx.trigger = -1;
	vdev->pm_wake_eventfd = -1;
	INIT_LIST_HEAD(&vdev->ioeventfds);
	INIT_LIST_HEAD(&vdev->dmabufs);
	ret = vfio_init_device(&vdev->vdev, &pdev->dev, &vfio_pci_ops);
	if (ret)
		goto err_free;
	pci_set_drvdata(pdev, vdev);
	if (pdev->hdr_type != PCI_HEADER_TYPE_NORMAL) {
		ret = -EINVAL;
		goto err_uninit;
	}
	ret = assign_device_set(vdev);
	if (ret)
		goto err_uninit;
	ret = vfio_pci_vf_init(vdev);
	if (ret)
		goto err_uninit;
	vfio_pci_probe_power_state(vdev);
	vfio_pci_set_power_state(vdev, 0);
	ret = vfio_register_group_dev(&vdev->vdev);
	if (ret)
		goto err_vf;
	return 0;

err_vf:
	vfio_pci_vf_uninit(vdev);
err_uninit:
	pci_set_drvdata(pdev, NULL);
	vfio_uninit_device(&vdev->vdev);
	pci_free_saved_state(vdev->pm_save);
err_free:
	kfree(vdev);
	return ret;
}

static int vfio_pci_remove_begin(struct device *dev)
{
	struct vfio_pci_core_device *vdev = dev->driver_data;

	return vfio_unregister_begin(&vdev->vdev);
}

static void vfio_pci_remove(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *vdev = pci_get_drvdata(pdev);

	vfio_unregister_group_dev(&vdev->vdev);
	vfio_pci_vf_uninit(vdev);
	vfio_uninit_device(&vdev->vdev);
	pci_set_drvdata(pdev, NULL);
	pci_free_saved_state(vdev->pm_save);
	kfree(vdev);
}

static const struct pci_device_id vfio_pci_table[] = {
	{PCI_ANY_ID, PCI_ANY_ID, PCI_ANY_ID, PCI_ANY_ID, .override_only = 1},
	{},
};

/* vfio_pci.ids=VENDOR:DEVICE[:SUBVENDOR[:SUBDEVICE[:CLASS[:MASK]]]],... */
static void fill_ids(struct vfio_core *core, struct pci_driver *drv)
{
	char ids[sizeof(core->params.ids)], *next, *id;

	memcpy(ids, core->params.ids, sizeof(ids));
	for (id = ids; id && *id; id = next) {
		char line[128];
		int ret;

		next = strchr(id, ',');
		if (next)
			*next++ = '\0';
		if (!*id)
			continue;
		snprintf(line, sizeof(line), "%s\n", id);
		for (char *c = line; *c; c++) {
			if (*c == ':')
				*c = ' ';
		}
		ret = pci_new_id_store(drv, line, strlen(line));
		if (ret < 0)
			pr_warn("failed to add dynamic id [%s] (%d)", id, ret);
	}
}

int vfio_pci_init(struct machine *m)
{
	struct vfio_core *core = m->vfio;
	struct pci_driver *drv;
	int ret;

	vfio_init_perm_bits();
	drv = kzalloc(sizeof(*drv));
	if (!drv)
		return -ENOMEM;
	drv->driver.name = "vfio-pci";
	drv->driver.driver_managed_dma = true;
	drv->driver.remove_begin = vfio_pci_remove_begin;
	drv->id_table = vfio_pci_table;
	drv->probe = vfio_pci_probe;
	drv->remove = vfio_pci_remove;
	ret = pci_register_driver(m->pci, drv);
	if (ret) {
		kfree(drv);
		return ret;
	}
	core->pci_driver = drv;
	if (core->params.ids[0])
		fill_ids(core, drv);
	return 0;
}

void vfio_pci_exit(struct machine *m)
{
	struct vfio_core *core = m->vfio;

	if (!core || !core->pci_driver)
		return;
	pci_unregister_driver(core->pci_driver);
	kfree(core->pci_driver);
	core->pci_driver = NULL;
}
