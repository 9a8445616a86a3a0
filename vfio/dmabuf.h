/* SPDX-License-Identifier: MIT */
/*
 * dma-bufs that vfio-pci makes of BARs, for who maps them for another device's DMA
 * (iommufd's MAP_FILE). A dma-buf can be revoked at any time, and comes back: its
 * importers are told to stop using the addresses.
 */
#ifndef MOAT_VFIO_DMABUF_H
#define MOAT_VFIO_DMABUF_H

#include "base/list.h"
#include "base/types.h"

struct file;

struct vfio_dmabuf_importer {
	/* Nothing of it is reachable any more, until @restored. */
	void (*revoked)(struct vfio_dmabuf_importer *imp);
	void (*restored)(struct vfio_dmabuf_importer *imp);
	struct list_head node;
};

/**
 * vfio_dmabuf_import - the physical range behind a dma-buf of one range.
 * @file: a reference is taken on it until vfio_dmabuf_release()
 *
 * Return: 0; -EOPNOTSUPP: no dma-buf of vfio, or of several ranges; -ENODEV: revoked, or
 * its device is closed.
 */
int __must_check vfio_dmabuf_import(struct file *file, struct vfio_dmabuf_importer *imp,
				    phys_addr_t *phys, u64 *len);
void vfio_dmabuf_release(struct file *file, struct vfio_dmabuf_importer *imp);
bool vfio_file_is_dmabuf(struct file *file);

#endif
