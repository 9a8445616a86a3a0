// SPDX-License-Identifier: MIT
/*
 * SET_IRQS: MSI, MSI-X, and the two that are no interrupts of the device (ERR, REQ);
 * INTx is in pci_intx.c. Only one of INTx, MSI and MSI-X is set up at a time.
 *
 * An MSI vector has its irq from enable to disable, because the messages of all vectors
 * are consecutive; one of MSI-X only while it has a consumer, and is masked in the
 * table otherwise. When the consumer of an irq changes, hw_irq.gen changes, so that
 * processes which deliver to the eventfd themselves look again.
 */
#include <string.h>

#include "base/bitmap.h"
#include "machine/irq.h"
#include "vfio/pci_priv.h"

/* ---- vectors ------------------------------------------------------------------------
 */

static void msi_handler(void *data)
{
	struct vfio_pci_irq_ctx *ctx = data;

	if (ctx->trigger < 0)
		ctx->pending = ctx->keeps;
	vfio_eventfd_signal(ctx->trigger);
}

static bool msi_maskable(struct pci_dev *pdev)
{
	u16 flags = 0;

	pci_read_config_word(pdev, pdev->msi_cap + PCI_MSI_FLAGS, &flags);
	return flags & PCI_MSI_FLAGS_MASKBIT;
}

static void consumer_changed(struct vfio_pci_core_device *vdev, u32 irq)
{
	atomic_fetch_add(&vfio_pci_machine(vdev)->hw.irqs[irq].gen, 1);
}

/*
 * irqs for MSI vectors 0 to @nvec - 1: consecutive, and the first aligned, so that their
 * messages differ in the low bits only. What does not fit is given back at the end.
 */
static int msi_alloc_irqs(struct vfio_pci_core_device *vdev, unsigned nvec)
{
	struct device *dev = &vdev->pdev->dev;
	u64 block = roundup_pow_of_two(nvec);
	u32 refused[256];
	unsigned n = 0, nr_refused = 0;
	int irq = 0;

	while (n < nvec && nr_refused + nvec < ARRAY_SIZE(refused)) {
		irq = irq_alloc(dev, HW_IRQ_MSI, VFIO_PCI_MSI_IRQ_INDEX, (u16)n,
				msi_handler, &vdev->vectors[n]);
		if (irq < 0)
			break;
		if (n ? (u32)irq == vdev->vectors[n - 1].irq + 1
		      : !((u32)irq & (block - 1))) {
			vdev->vectors[n++].irq = (u32)irq;
			continue;
		}
		refused[nr_refused++] = (u32)irq;
		while (n)
			refused[nr_refused++] = vdev->vectors[--n].irq;
	}
	while (nr_refused)
		irq_free(dev, refused[--nr_refused]);
	if (n == nvec)
		return 0;
	while (n--)
		irq_free(dev, vdev->vectors[n].irq);
	return irq < 0 ? irq : -ENOSPC;
}

static void free_vectors(struct vfio_pci_core_device *vdev)
{
	kfree(vdev->vectors);
	vdev->vectors = NULL;
	vdev->nr_vectors = 0;
	vdev->nr_msi = 0;
}

/*
 * Return: 0; a positive number: only so many can be had, nothing is enabled; -ERANGE for
 * no vector at all; -EINVAL: not in D0; -ENOMEM, -ENOSPC.
 */
static int msi_enable(struct vfio_pci_core_device *vdev, unsigned nvec, bool msix)
{
	u32 index = msix ? VFIO_PCI_MSIX_IRQ_INDEX : VFIO_PCI_MSI_IRQ_INDEX;
	struct pci_dev *pdev = vdev->pdev;
	u32 irqs[32];
	int ret;

	if (vdev->irq_type != VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	if (!nvec)
		return -ERANGE;
	if (pdev->current_state)
		return -EINVAL;
	vdev->nr_vectors = vfio_pci_irq_count(vdev, index);
	vdev->vectors = kcalloc(vdev->nr_vectors, sizeof(*vdev->vectors));
	if (!vdev->vectors) {
		vdev->nr_vectors = 0;
		return -ENOMEM;
	}
	for (unsigned i = 0; i < vdev->nr_vectors; i++)
		vdev->vectors[i].trigger = -1;
	if (msix) {
		ret = pci_msix_enable(pdev, NULL, 0);
		if (ret)
			goto err_vectors;
	} else {
		if (nvec > ARRAY_SIZE(irqs)) {
			ret = -EINVAL;
			goto err_vectors;
		}
		ret = msi_alloc_irqs(vdev, nvec);
		if (ret)
			goto err_vectors;
		for (unsigned i = 0; i < nvec; i++) {
			irqs[i] = vdev->vectors[i].irq;
			vdev->vectors[i].keeps = true;
		}
		ret = pci_msi_enable(pdev, nvec, irqs);
		if (ret == -ENOSPC && nvec > 1)
			ret = 1;
		if (ret)
			goto err_irqs;
		vdev->nr_msi = nvec;
		vdev->msi_maskable = msi_maskable(pdev);
		/* The largest power of two that covers them. */
		vdev->msi_qmax = (u8)(fls(nvec * 2 - 1) - 1);
	}
	vdev->irq_type = index;
	return 0;

err_irqs:
	for (unsigned i = 0; i < nvec; i++)
		irq_free(&pdev->dev, irqs[i]);
err_vectors:
	free_vectors(vdev);
	return ret;
}

/* @fd is taken over; -1: the vector has no consumer from now on, which cannot fail. */
static int set_vector_signal(struct vfio_pci_core_device *vdev, unsigned vector, int fd,
			     bool msix)
{
	struct vfio_pci_irq_ctx *ctx = &vdev->vectors[vector];
	struct device *dev = &vdev->pdev->dev;
	int irq, ret;

	if (ctx->trigger >= 0) {
		if (msix) {
			pci_msix_clear(vdev->pdev, (u16)vector);
			irq_free(dev, ctx->irq);
			ctx->irq = 0;
		} else if (ctx->irq) {
			consumer_changed(vdev, ctx->irq);
		}
		vfio_eventfd_close(&ctx->trigger);
	}
	if (fd < 0)
		return 0;
	if (!msix) {
		/* Vectors beyond those that were enabled have no message. */
		if (vector >= vdev->nr_msi) {
			vfio_eventfd_close(&fd);
			return -EINVAL;
		}
		ctx->trigger = fd;
		consumer_changed(vdev, ctx->irq);
		if (ctx->pending)
			vfio_eventfd_signal(fd);
		ctx->pending = false;
		ctx->keeps = vdev->msi_maskable;
		return 0;
	}
	irq = irq_alloc(dev, HW_IRQ_MSI, VFIO_PCI_MSIX_IRQ_INDEX, (u16)vector,
			msi_handler, ctx);
	if (irq < 0) {
		vfio_eventfd_close(&fd);
		return irq;
	}
	ctx->irq = (u32)irq;
	ctx->trigger = fd;
	ret = pci_msix_set(vdev->pdev, (u16)vector, ctx->irq);
	if (ret) {
		irq_free(dev, ctx->irq);
		ctx->irq = 0;
		vfio_eventfd_close(&ctx->trigger);
	}
	return ret;
}

static void msi_disable(struct vfio_pci_core_device *vdev, bool msix)
{
	struct pci_dev *pdev = vdev->pdev;

	for (unsigned i = 0; i < vdev->nr_vectors; i++)
		set_vector_signal(vdev, i, -1, msix);
	if (msix)
		pci_msix_disable(pdev);
	else
		pci_msi_disable(pdev);
	for (unsigned i = 0; i < vdev->nr_msi; i++)
		irq_free(&pdev->dev, vdev->vectors[i].irq);
	free_vectors(vdev);
	if (vdev->nointx)
		pci_intx(pdev, false);
	vdev->irq_type = VFIO_PCI_NUM_IRQS;
}

/* ---- SET_IRQS of MSI and MSI-X
 * ---------------------------------------------------------- */

/*
 * Descriptors of a request: what each became here, -1 for none, or the error (less 1, so
 * that none is -1). All are asked for before any is waited for.
 */
static int fetch_eventfds(struct call *call, const struct vfio_irq_data *irq, int *fds)
{
	bool restart = false;
	unsigned i;

	for (i = 0; i < irq->count; i++) {
		s32 fd;

		memcpy(&fd, irq->data + 4 * i, sizeof(fd));
		fds[i] = fd < 0 ? -1 : call_eventfd(call, fd);
		if (fd >= 0 && fds[i] < 0) {
			restart |= fds[i] == -ERESTARTNOINTR;
			fds[i] -= 1;
		}
	}
	if (!restart)
		return 0;
	while (i--)
		vfio_eventfd_close(&fds[i]);
	return -ERESTARTNOINTR;
}

/* On failure none of the vectors up to the bad one has a consumer any more. */
static int set_block(struct vfio_pci_core_device *vdev, const struct vfio_irq_data *irq,
		     int *fds, bool msix)
{
	unsigned i;
	int ret = 0;

	for (i = 0; i < irq->count && !ret; i++) {
		ret = set_vector_signal(vdev, irq->start + i, fds[i] < 0 ? -1 : fds[i],
					msix);
		if (!ret && fds[i] < -1)
			ret = fds[i] + 1;
		fds[i] = -1;
	}
	if (ret)
		while (i--)
			set_vector_signal(vdev, irq->start + i, -1, msix);
	return ret;
}

static long set_msi_eventfds(struct vfio_pci_core_device *vdev, struct call *call,
			     const struct vfio_irq_data *irq, u32 index)
{
	bool msix = index == VFIO_PCI_MSIX_IRQ_INDEX, enabled = false;
	int *fds, ret;

	fds = kcalloc(irq->count + 1, sizeof(*fds));
	if (!fds)
		return -ENOMEM;
	ret = fetch_eventfds(call, irq, fds);
	if (ret)
		goto out_free;
	if (vdev->irq_type != index) {
		ret = msi_enable(vdev, irq->start + irq->count, msix);
		if (ret)
			goto out;
		enabled = true;
	}
	ret = set_block(vdev, irq, fds, msix);
	if (ret && enabled)
		msi_disable(vdev, msix);
out:
	for (unsigned i = 0; i < irq->count; i++)
		vfio_eventfd_close(&fds[i]);
out_free:
	kfree(fds);
	return ret;
}

static long set_msi(struct vfio_pci_core_device *vdev, struct call *call,
		    const struct vfio_irq_data *irq, u32 index)
{
	if (vdev->irq_type == index && !irq->count &&
	    irq->flags & VFIO_IRQ_SET_DATA_NONE) {
		msi_disable(vdev, index == VFIO_PCI_MSIX_IRQ_INDEX);
		return 0;
	}
	if (vdev->irq_type != index && vdev->irq_type != VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	if (irq->flags & VFIO_IRQ_SET_DATA_EVENTFD)
		return set_msi_eventfds(vdev, call, irq, index);
	if (vdev->irq_type != index)
		return -EINVAL;
	for (unsigned i = 0; i < irq->count; i++) {
		if (irq->flags & VFIO_IRQ_SET_DATA_NONE || irq->data[i])
			vfio_eventfd_signal(vdev->vectors[irq->start + i].trigger);
	}
	return 0;
}

/* ---- ERR and REQ
 * ---------------------------------------------------------------------------- */

static long set_single(struct call *call, const struct vfio_irq_data *irq, int *trigger)
{
	s32 fd;
	int efd;

	if (irq->start || irq->count > 1)
		return -EINVAL;
	if (irq->flags & VFIO_IRQ_SET_DATA_NONE) {
		if (*trigger < 0)
			return -EINVAL;
		if (irq->count)
			vfio_eventfd_signal(*trigger);
		else
			vfio_eventfd_close(trigger);
		return 0;
	}
	if (!irq->count)
		return -EINVAL;
	if (irq->flags & VFIO_IRQ_SET_DATA_BOOL) {
		if (irq->data[0])
			vfio_eventfd_signal(*trigger);
		return 0;
	}
	memcpy(&fd, irq->data, sizeof(fd));
	if (fd < -1)
		return -EINVAL;
	efd = fd < 0 ? -1 : call_eventfd(call, fd);
	if (efd < 0 && fd >= 0)
		return efd;
	vfio_eventfd_close(trigger);
	*trigger = efd;
	return 0;
}

/* ---- dispatch
 * -------------------------------------------------------------------------------- */

static long set_irqs(struct vfio_pci_core_device *vdev, struct call *call, u32 index,
		     const struct vfio_irq_data *irq)
{
	u32 action = irq->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;

	switch (index) {
	case VFIO_PCI_INTX_IRQ_INDEX:
		return vfio_pci_set_intx(vdev, call, irq);
	case VFIO_PCI_MSI_IRQ_INDEX:
	case VFIO_PCI_MSIX_IRQ_INDEX:
		if (action == VFIO_IRQ_SET_ACTION_TRIGGER)
			return set_msi(vdev, call, irq, index);
		break;
	case VFIO_PCI_ERR_IRQ_INDEX:
		if (action == VFIO_IRQ_SET_ACTION_TRIGGER && pci_is_pcie(vdev->pdev))
			return set_single(call, irq, &vdev->err_trigger);
		break;
	case VFIO_PCI_REQ_IRQ_INDEX:
		if (action == VFIO_IRQ_SET_ACTION_TRIGGER)
			return set_single(call, irq, &vdev->req_trigger);
		break;
	}
	return -ENOTTY;
}

long vfio_pci_ioctl_set_irqs(struct vfio_pci_core_device *vdev, struct call *call,
			     u64 arg)
{
	const size_t minsz = offsetofend(struct vfio_irq_set, count);
	struct vfio_irq_data irq = {};
	struct vfio_irq_set hdr;
	u8 *data = NULL;
	size_t size;
	long ret;

	ret = copy_from_user(call, &hdr, arg, minsz);
	if (ret)
		return ret;
	ret = vfio_set_irqs_validate_and_prepare(
		&hdr, vfio_pci_irq_count(vdev, hdr.index), VFIO_PCI_NUM_IRQS, &size);
	if (ret)
		return ret;
	if (size) {
		data = kmalloc(size);
		if (!data)
			return -ENOMEM;
		ret = copy_from_user(call, data, arg + minsz, size);
	}
	irq.flags = hdr.flags;
	irq.start = hdr.start;
	irq.count = hdr.count;
	irq.data = data;
	if (!ret)
		ret = set_irqs(vdev, call, hdr.index, &irq);
	kfree(data);
	return ret;
}

void vfio_pci_disable_irqs(struct vfio_pci_core_device *vdev)
{
	switch (vdev->irq_type) {
	case VFIO_PCI_INTX_IRQ_INDEX:
		vfio_pci_intx_disable(vdev);
		break;
	case VFIO_PCI_MSI_IRQ_INDEX:
	case VFIO_PCI_MSIX_IRQ_INDEX:
		msi_disable(vdev, vdev->irq_type == VFIO_PCI_MSIX_IRQ_INDEX);
		break;
	default:
		break;
	}
}
