// SPDX-License-Identifier: MIT
/*
 * INTx: a level, so it is masked when it is delivered and stays so until the program
 * unmasks it, by a request or through an eventfd; if the device still asserts it then,
 * it is delivered again at once. Devices of PCI 2.3 are masked in their command
 * register, others where the interrupt arrives.
 */
#include <string.h>

#include "machine/irq.h"
#include "vfio/pci_priv.h"

static bool is_intx(const struct vfio_pci_core_device *vdev)
{
	return vdev->irq_type == VFIO_PCI_INTX_IRQ_INDEX;
}

static bool asserted(struct vfio_pci_core_device *vdev)
{
	struct hw *hw = &vfio_pci_machine(vdev)->hw;

	return atomic_load(&hw->functions[vdev->pdev->dev.hw_function].intx_level);
}

static void send_eventfd(struct vfio_pci_core_device *vdev)
{
	if (is_intx(vdev) && !vdev->virq_disabled)
		vfio_eventfd_signal(vdev->intx.trigger);
}

static void intx_handler(void *data)
{
	struct vfio_pci_core_device *vdev = data;

	if (!is_intx(vdev) || vdev->intx.masked)
		return;
	if (vdev->pci_2_3 && !pci_check_and_mask_intx(vdev->pdev))
		return;
	vdev->intx.masked = true;
	send_eventfd(vdev);
}

bool vfio_pci_intx_mask(struct vfio_pci_core_device *vdev)
{
	if (!is_intx(vdev)) {
		/* Nobody listens: the program masks its device all the same. */
		if (vdev->pci_2_3)
			pci_intx(vdev->pdev, false);
		return false;
	}
	if (vdev->intx.masked)
		return false;
	if (vdev->pci_2_3)
		pci_intx(vdev->pdev, false);
	vdev->intx.masked = true;
	return true;
}

void vfio_pci_intx_unmask(struct vfio_pci_core_device *vdev)
{
	if (!is_intx(vdev)) {
		if (vdev->pci_2_3)
			pci_intx(vdev->pdev, true);
		return;
	}
	if (!vdev->intx.masked || vdev->virq_disabled)
		return;
	if (vdev->pci_2_3)
		vdev->intx.masked = !pci_check_and_unmask_intx(vdev->pdev);
	else
		vdev->intx.masked = asserted(vdev);
	if (vdev->intx.masked)
		send_eventfd(vdev);
}

static void unmask_by_eventfd(void *data)
{
	vfio_pci_intx_unmask(data);
}

/* @trigger (or -1) moves into the device; on failure it stays the caller's. */
static int intx_enable(struct vfio_pci_core_device *vdev, int trigger)
{
	struct pci_dev *pdev = vdev->pdev;
	int irq;

	if (!pdev->irq)
		return -ENODEV;
	irq = irq_alloc(&pdev->dev, HW_IRQ_INTX, VFIO_PCI_INTX_IRQ_INDEX, 0, intx_handler,
			vdev);
	if (irq < 0)
		return irq;
	vdev->intx = (struct vfio_pci_intx){
		.irq = (u32)irq,
		.trigger = trigger,
		.masked = vdev->virq_disabled,
	};
	vdev->irq_type = VFIO_PCI_INTX_IRQ_INDEX;
	if (vdev->pci_2_3)
		pci_intx(pdev, !vdev->intx.masked);
	if (asserted(vdev))
		intx_handler(vdev);
	return 0;
}

void vfio_pci_intx_disable(struct vfio_pci_core_device *vdev)
{
	vfio_virqfd_disable(&vdev->intx.unmask);
	irq_free(&vdev->pdev->dev, vdev->intx.irq);
	vfio_eventfd_close(&vdev->intx.trigger);
	vdev->irq_type = VFIO_PCI_NUM_IRQS;
}

static long set_mask(struct vfio_pci_core_device *vdev, const struct vfio_irq_data *irq)
{
	if (!is_intx(vdev) || irq->start || irq->count != 1)
		return -EINVAL;
	if (irq->flags & VFIO_IRQ_SET_DATA_EVENTFD)
		return -ENOTTY;
	if (irq->flags & VFIO_IRQ_SET_DATA_NONE || irq->data[0])
		vfio_pci_intx_mask(vdev);
	return 0;
}

static long set_unmask(struct vfio_pci_core_device *vdev, struct call *call,
		       const struct vfio_irq_data *irq)
{
	s32 fd;
	int efd, ret;

	if (!is_intx(vdev) || irq->start || irq->count != 1)
		return -EINVAL;
	if (!(irq->flags & VFIO_IRQ_SET_DATA_EVENTFD)) {
		if (irq->flags & VFIO_IRQ_SET_DATA_NONE || irq->data[0])
			vfio_pci_intx_unmask(vdev);
		return 0;
	}
	memcpy(&fd, irq->data, sizeof(fd));
	if (fd < 0) {
		vfio_virqfd_disable(&vdev->intx.unmask);
		return 0;
	}
	efd = call_eventfd(call, fd);
	if (efd < 0)
		return efd;
	ret = vfio_virqfd_enable(vfio_pci_machine(vdev), unmask_by_eventfd, vdev,
				 &vdev->intx.unmask, efd);
	if (ret)
		vfio_eventfd_close(&efd);
	return ret;
}

static long set_trigger(struct vfio_pci_core_device *vdev, struct call *call,
			const struct vfio_irq_data *irq)
{
	int efd = -1, ret = 0;
	s32 fd;

	if (is_intx(vdev) && !irq->count && irq->flags & VFIO_IRQ_SET_DATA_NONE) {
		vfio_pci_intx_disable(vdev);
		return 0;
	}
	if ((!is_intx(vdev) && vdev->irq_type != VFIO_PCI_NUM_IRQS) || irq->start ||
	    irq->count != 1)
		return -EINVAL;
	if (!(irq->flags & VFIO_IRQ_SET_DATA_EVENTFD)) {
		if (!is_intx(vdev))
			return -EINVAL;
		if (irq->flags & VFIO_IRQ_SET_DATA_NONE || irq->data[0])
			send_eventfd(vdev);
		return 0;
	}
	memcpy(&fd, irq->data, sizeof(fd));
	if (fd >= 0) {
		efd = call_eventfd(call, fd);
		if (efd < 0)
			return efd;
	}
	if (is_intx(vdev)) {
		vfio_eventfd_close(&vdev->intx.trigger);
		vdev->intx.trigger = efd;
	} else {
		ret = intx_enable(vdev, efd);
		if (ret)
			vfio_eventfd_close(&efd);
	}
	return ret;
}

long vfio_pci_set_intx(struct vfio_pci_core_device *vdev, struct call *call,
		       const struct vfio_irq_data *irq)
{
	switch (irq->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) {
	case VFIO_IRQ_SET_ACTION_MASK:
		return set_mask(vdev, irq);
	case VFIO_IRQ_SET_ACTION_UNMASK:
		return set_unmask(vdev, call, irq);
	case VFIO_IRQ_SET_ACTION_TRIGGER:
		return set_trigger(vdev, call, irq);
	default:
		return -ENOTTY;
	}
}
