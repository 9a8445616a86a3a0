// SPDX-License-Identifier: MIT
/*
 * Regions of a device's file: read, write and mmap of BARs, and ioeventfds, which write a
 * register when they are signalled. A register access is made where the device's
 * DMA would touch memory, in the caller's process (call_mmio()); the checks are here.
 *
 * The MSI-X table is the kernel's: reads give ones and writes are dropped.
 */
#include <string.h>
#include <sys/mman.h>

#include "base/bitmap.h"
#include "machine/endpoint.h"
#include "vfio/pci_priv.h"

static unsigned region_index(u64 pos)
{
	u64 index = pos >> VFIO_PCI_OFFSET_SHIFT;

	return index < VFIO_PCI_NUM_REGIONS ? (unsigned)index : VFIO_PCI_NUM_REGIONS;
}

static u32 function_of(struct vfio_pci_core_device *vdev)
{
	return (u32)vdev->pdev->dev.hw_function;
}

/*
 * An access that touches the MSI-X table, piece by piece: what lies outside is done
 * here, what lies inside is not done at all.
 */
static ssize_t bar_rw_around_table(struct vfio_pci_core_device *vdev, struct call *call,
				   u64 ubuf, size_t count, unsigned bar, u64 pos,
				   bool write)
{
	struct hw *hw = &vfio_pci_machine(vdev)->hw;
	u64 first = vdev->msix_offset, end = first + vdev->msix_size;
	u8 *buf;
	int ret;

	buf = kmalloc(count);
	if (!buf)
		return -ENOMEM;
	if (write) {
		ret = copy_from_user(call, buf, ubuf, count);
		if (ret)
			goto out;
	} else {
		memset(buf, 0xff, count);
	}
	for (size_t done = 0, n; done < count; done += n) {
		u64 at = pos + done;

		if (at >= first && at < end) {
			n = min_t(size_t, count - done, end - at);
			continue;
		}
		n = min_t(size_t, count - done, at < first ? first - at : ~0ULL);
		while (n > 8 || at & (n - 1) || !is_power_of_2(n))
			n = n > 8 ? 8 : rounddown_pow_of_two(n - 1);
		if (write)
			ret = endpoint_mmio_write(hw, function_of(vdev), bar, at,
						  buf + done, (unsigned)n);
		else
			ret = endpoint_mmio_read(hw, function_of(vdev), bar, at,
						 buf + done, (unsigned)n);
		if (ret)
			goto out;
	}
	ret = write ? 0 : copy_to_user(call, ubuf, buf, count);
out:
	kfree(buf);
	return ret ? ret : (ssize_t)count;
}

static ssize_t bar_rw(struct vfio_pci_core_device *vdev, struct call *call, u64 ubuf,
		      size_t count, unsigned bar, u64 pos, bool write)
{
	struct pci_dev *pdev = vdev->pdev;
	u64 end;

	if (!pci_resource_start(pdev, bar))
		return -EINVAL;
	end = pci_resource_len(pdev, bar);
	if (pos >= end)
		return -EINVAL;
	count = min_t(size_t, count, end - pos);
	/* No device here has an image behind its ROM: there is nothing to map. */
	if (bar == PCI_ROM_RESOURCE)
		return -ENOMEM;
	if (pci_resource_flags(pdev, bar) & IORESOURCE_MEM &&
	    !vfio_pci_memory_enabled(vdev))
		return -EIO;
	if (bar == vdev->msix_bar && pos < (u64)vdev->msix_offset + vdev->msix_size &&
	    pos + count > vdev->msix_offset)
		return bar_rw_around_table(vdev, call, ubuf, count, bar, pos, write);
	return call_mmio(call, function_of(vdev), bar, pos, ubuf, count, write);
}

static ssize_t region_rw(struct vfio_device *core_vdev, struct call *call, u64 ubuf,
			 size_t count, u64 pos, bool write)
{
	struct vfio_pci_core_device *vdev = to_vfio_pci(core_vdev);
	unsigned index = region_index(pos);
	ssize_t ret;

	if (!count)
		return 0;
	if (index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	vfio_pci_pm_get(core_vdev);
	switch (index) {
	case VFIO_PCI_CONFIG_REGION_INDEX:
		ret = vfio_pci_config_rw(vdev, call, ubuf, count,
					 pos & VFIO_PCI_OFFSET_MASK, write);
		break;
	case VFIO_PCI_ROM_REGION_INDEX:
		ret = write ? -EINVAL
			    : bar_rw(vdev, call, ubuf, count, index,
				     pos & VFIO_PCI_OFFSET_MASK, false);
		break;
	case VFIO_PCI_VGA_REGION_INDEX:
		ret = -EINVAL;
		break;
	default:
		ret = bar_rw(vdev, call, ubuf, count, index, pos & VFIO_PCI_OFFSET_MASK,
			     write);
	}
	vfio_pci_pm_put(core_vdev);
	return ret;
}

ssize_t vfio_pci_read(struct vfio_device *core_vdev, struct call *call, u64 ubuf,
		      size_t len, u64 pos)
{
	return region_rw(core_vdev, call, ubuf, len, pos, false);
}

ssize_t vfio_pci_write(struct vfio_device *core_vdev, struct call *call, u64 ubuf,
		       size_t len, u64 pos)
{
	return region_rw(core_vdev, call, ubuf, len, pos, true);
}

/* A BAR smaller than a page is mapped if it has its page for itself. */
void vfio_pci_probe_mmaps(struct vfio_pci_core_device *vdev)
{
	struct machine *m = vfio_pci_machine(vdev);
	struct pci_dev *pdev = vdev->pdev;
	bool no_mmap = m->hw.functions[function_of(vdev)].flags & HW_FN_NO_MMAP;

	for (unsigned bar = 0; bar < 6; bar++) {
		u64 len = pci_resource_len(pdev, bar);

		vdev->bar_mmap_supported[bar] =
			!no_mmap && pci_resource_flags(pdev, bar) & IORESOURCE_MEM &&
			len &&
			(len >= PAGE_SIZE ||
			 !(pci_resource_start(pdev, bar) & ~PAGE_MASK));
	}
}

int vfio_pci_mmap(struct vfio_device *core_vdev, struct mmap_request *req)
{
	struct vfio_pci_core_device *vdev = to_vfio_pci(core_vdev);
	unsigned index = region_index(req->pgoff);
	u64 start = req->pgoff & VFIO_PCI_OFFSET_MASK;
	u64 size, len = ALIGN(req->len, PAGE_SIZE);

	if (index >= VFIO_PCI_ROM_REGION_INDEX)
		return -EINVAL;
	if ((req->flags & MAP_TYPE) == MAP_PRIVATE || !vdev->bar_mmap_supported[index])
		return -EINVAL;
	size = ALIGN(pci_resource_len(vdev->pdev, index), PAGE_SIZE);
	if (len < req->len || start > size || len > size - start)
		return -EINVAL;
	req->function = function_of(vdev);
	req->bar = index;
	req->bar_offset = start;
	return 0;
}

/* ---- ioeventfds
 * ------------------------------------------------------------------------ */

static void ioeventfd_fire(void *data)
{
	struct vfio_pci_ioeventfd *io = data;
	struct vfio_pci_core_device *vdev = io->vdev;

	if (pci_resource_flags(vdev->pdev, io->bar) & IORESOURCE_MEM &&
	    !vfio_pci_memory_enabled(vdev))
		return;
	/* Nobody waits for the outcome. */
	if (endpoint_mmio_write(&vfio_pci_machine(vdev)->hw, function_of(vdev), io->bar,
				io->pos, &io->data, io->count))
		return;
}

static void ioeventfd_remove(struct vfio_pci_ioeventfd *io)
{
	vfio_virqfd_disable(&io->virqfd);
	list_del(&io->next);
	io->vdev->ioeventfds_nr--;
	kfree(io);
}

void vfio_pci_ioeventfd_remove_all(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_ioeventfd *io, *tmp;

	list_for_each_entry_safe(io, tmp, &vdev->ioeventfds, next)
		ioeventfd_remove(io);
}

static int ioeventfd_add(struct vfio_pci_core_device *vdev, struct call *call,
			 const struct vfio_device_ioeventfd *req, unsigned bar, u64 pos,
			 unsigned count)
{
	struct vfio_pci_ioeventfd *io;
	int fd, ret;

	if (vdev->ioeventfds_nr >= VFIO_PCI_IOEVENTFD_MAX)
		return -ENOSPC;
	fd = call_eventfd(call, req->fd);
	if (fd < 0)
		return fd;
	io = kzalloc(sizeof(*io));
	if (!io) {
		ret = -ENOMEM;
		goto err_fd;
	}
	io->vdev = vdev;
	io->data = req->data;
	io->pos = pos;
	io->bar = bar;
	io->count = count;
	ret = vfio_virqfd_enable(vfio_pci_machine(vdev), ioeventfd_fire, io, &io->virqfd,
				 fd);
	if (ret)
		goto err_free;
	list_add(&io->next, &vdev->ioeventfds);
	vdev->ioeventfds_nr++;
	return 0;

err_free:
	kfree(io);
err_fd:
	vfio_eventfd_close(&fd);
	return ret;
}

long vfio_pci_ioctl_ioeventfd(struct vfio_pci_core_device *vdev, struct call *call,
			      u64 arg)
{
	const size_t minsz = offsetofend(struct vfio_device_ioeventfd, fd);
	struct vfio_device_ioeventfd req = {};
	struct vfio_pci_ioeventfd *io;
	unsigned bar, count;
	u64 pos;
	int ret;

	ret = copy_from_user(call, &req, arg, minsz);
	if (ret)
		return ret;
	if (req.argsz < minsz || req.flags & ~VFIO_DEVICE_IOEVENTFD_SIZE_MASK)
		return -EINVAL;
	count = req.flags;
	if (hweight64(count) != 1 || req.fd < -1)
		return -EINVAL;
	bar = region_index(req.offset);
	pos = req.offset & VFIO_PCI_OFFSET_MASK;
	if (bar > VFIO_PCI_BAR5_REGION_INDEX ||
	    pos + count > pci_resource_len(vdev->pdev, bar))
		return -EINVAL;
	if (bar == vdev->msix_bar && pos + count > vdev->msix_offset &&
	    pos < (u64)vdev->msix_offset + vdev->msix_size)
		return -EINVAL;
	if (count == 8)
		return -EINVAL;

	list_for_each_entry(io, &vdev->ioeventfds, next) {
		if (io->pos != pos || io->bar != bar || io->data != req.data ||
		    io->count != count)
			continue;
		if (req.fd != -1)
			return -EEXIST;
		ioeventfd_remove(io);
		return 0;
	}
	if (req.fd < 0)
		return -ENODEV;
	return ioeventfd_add(vdev, call, &req, bar, pos, count);
}
