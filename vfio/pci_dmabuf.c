// SPDX-License-Identifier: MIT
/*
 * DEVICE_FEATURE_DMA_BUF: ranges of a BAR as a file. It outlives the device's own file
 * but is of no use then; while the device decodes no memory (command register, D3,
 * reset) it is revoked.
 */
#include <fcntl.h>

#include "base/overflow.h"
#include "vfio/dmabuf.h"
#include "vfio/pci_priv.h"

struct dmabuf {
	struct vfio_pci_core_device *vdev; /* NULL: closed; holds a registration */
	struct list_head node;		   /* vfio_pci_core_device.dmabufs */
	struct list_head importers;
	bool revoked;
	u32 nr_ranges;
	struct vfio_region_dma_range ranges[]; /* physical */
};

static void dmabuf_release(struct file *file)
{
	struct dmabuf *buf = file->private;
	struct vfio_pci_core_device *vdev = buf->vdev;

	WARN_ON(!list_empty(&buf->importers));
	if (vdev)
		list_del(&buf->node);
	kfree(buf);
	if (vdev)
		vfio_device_put_registration(&vdev->vdev);
}

static long dmabuf_ioctl(struct file *file, struct call *call, unsigned cmd, u64 arg)
{
	return -ENOTTY;
}

static const struct file_operations dmabuf_fops = {
	.name = "dmabuf",
	.ioctl = dmabuf_ioctl,
	.release = dmabuf_release,
};

bool vfio_file_is_dmabuf(struct file *file)
{
	return file->ops == &dmabuf_fops;
}

int vfio_dmabuf_import(struct file *file, struct vfio_dmabuf_importer *imp,
		       phys_addr_t *phys, u64 *len)
{
	struct dmabuf *buf = file->private;

	if (!vfio_file_is_dmabuf(file))
		return -EOPNOTSUPP;
	if (buf->revoked)
		return -ENODEV;
	if (buf->nr_ranges != 1)
		return -EOPNOTSUPP;
	*phys = buf->ranges[0].offset;
	*len = buf->ranges[0].length;
	get_file(file);
	list_add_tail(&imp->node, &buf->importers);
	return 0;
}

void vfio_dmabuf_release(struct file *file, struct vfio_dmabuf_importer *imp)
{
	list_del(&imp->node);
	fput(file);
}

static void set_revoked(struct dmabuf *buf, bool revoked)
{
	struct vfio_dmabuf_importer *imp, *tmp;

	if (buf->revoked == revoked)
		return;
	buf->revoked = revoked;
	list_for_each_entry_safe(imp, tmp, &buf->importers, node) {
		if (revoked && imp->revoked)
			imp->revoked(imp);
		else if (!revoked && imp->restored)
			imp->restored(imp);
	}
}

void vfio_pci_dma_buf_move(struct vfio_pci_core_device *vdev, bool revoked)
{
	struct dmabuf *buf, *tmp;

	list_for_each_entry_safe(buf, tmp, &vdev->dmabufs, node)
		set_revoked(buf, revoked);
}

void vfio_pci_dma_buf_cleanup(struct vfio_pci_core_device *vdev)
{
	struct dmabuf *buf, *tmp;

	list_for_each_entry_safe(buf, tmp, &vdev->dmabufs, node) {
		set_revoked(buf, true);
		list_del(&buf->node);
		buf->vdev = NULL;
		/* Its own file is still being closed, so this is not the last one. */
		vfio_device_put_registration(&vdev->vdev);
	}
}

/* The program's ranges become physical ones, in place. */
static int check_ranges(struct vfio_pci_core_device *vdev, u32 region, struct dmabuf *buf)
{
	u64 start = pci_resource_start(vdev->pdev, region), size = 0, end;
	u64 limit = start + pci_resource_len(vdev->pdev, region);

	for (u32 i = 0; i < buf->nr_ranges; i++) {
		const struct vfio_region_dma_range *r = &buf->ranges[i];

		if (!r->length || (r->offset | r->length) & ~PAGE_MASK ||
		    check_add_overflow(size, r->length, &size))
			return -EINVAL;
	}
	if (size >> 63)
		return -EINVAL;
	if (!(pci_resource_flags(vdev->pdev, region) & IORESOURCE_MEM) || limit == start)
		return -EINVAL;
	for (u32 i = 0; i < buf->nr_ranges; i++) {
		struct vfio_region_dma_range *r = &buf->ranges[i];

		if (check_add_overflow(start, r->offset, &r->offset) ||
		    check_add_overflow(r->offset, r->length, &end))
			return -EOVERFLOW;
		if (end > limit)
			return -EINVAL;
	}
	return 0;
}

long vfio_pci_feature_dma_buf(struct vfio_pci_core_device *vdev, struct call *call,
			      u32 flags, u64 arg, size_t argsz)
{
	struct vfio_device_feature_dma_buf req;
	struct dmabuf *buf;
	struct file *file;
	int ret;

	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_GET, sizeof(req));
	if (ret != 1)
		return ret;
	ret = copy_from_user(call, &req, arg, sizeof(req));
	if (ret)
		return ret;
	if (!req.nr_ranges || req.flags)
		return -EINVAL;
	if (req.region_index >= VFIO_PCI_ROM_REGION_INDEX)
		return -ENODEV;
	buf = kzalloc(struct_size(buf, ranges, req.nr_ranges));
	if (!buf)
		return -ENOMEM;
	buf->nr_ranges = req.nr_ranges;
	INIT_LIST_HEAD(&buf->importers);
	ret = copy_from_user(call, buf->ranges, arg + sizeof(req),
			     req.nr_ranges * sizeof(*buf->ranges));
	if (!ret)
		ret = check_ranges(vdev, req.region_index, buf);
	/* What anon_inode_getfd() takes. */
	if (!ret && req.open_flags & ~(u32)(O_CLOEXEC | O_ACCMODE))
		ret = -EINVAL;
	if (!ret && !vfio_device_try_get_registration(&vdev->vdev))
		ret = -ENODEV;
	if (ret)
		goto err_free;
	file = file_alloc(vfio_pci_machine(vdev), &dmabuf_fops, buf, (int)req.open_flags);
	if (IS_ERR(file)) {
		ret = (int)PTR_ERR(file);
		goto err_registration;
	}
	buf->vdev = vdev;
	buf->revoked = !vfio_pci_memory_enabled(vdev);
	list_add_tail(&buf->node, &vdev->dmabufs);
	return call_install_fd(call, file, 0);

err_registration:
	vfio_device_put_registration(&vdev->vdev);
err_free:
	kfree(buf);
	return ret;
}
