/* SPDX-License-Identifier: MIT */
/*
 * What the files of vfio/ share: containers, groups, and the drivers of a container's
 * IOMMU (type1, noiommu).
 *
 * References: a container is held by its open file and by each group in it; a group by
 * its devices' drivers and by its open file; an open group file by each open device
 * that came through it (so closing the group's descriptor leaves the group open).
 */
#ifndef MOAT_VFIO_PRIV_H
#define MOAT_VFIO_PRIV_H

#include "base/alloc.h"
#include "iommu/iommu.h"
#include "machine/events.h"
#include "machine/machine.h"
#include "vfio/vfio.h"

#define CAP_IPC_LOCK  14 /* linux/capability.h */
#define CAP_SYS_RAWIO 17

enum vfio_group_type { VFIO_IOMMU, VFIO_NO_IOMMU };

struct vfio_iommu_driver_ops {
	const char *name;
	/* ERR_PTR(-errno); NULL is a fine answer of a driver without data. */
	void *(*open)(struct vfio_core *core, struct call *call, u64 arg);
	void (*release)(void *iommu_data);
	/* @iommu_data NULL: nothing but CHECK_EXTENSION is asked. */
	long (*ioctl)(struct vfio_core *core, void *iommu_data, struct call *call,
		      unsigned cmd, u64 arg);
	int (*attach_group)(void *iommu_data, struct iommu_group *group);
	void (*detach_group)(void *iommu_data, struct iommu_group *group);
};
extern const struct vfio_iommu_driver_ops vfio_iommu_driver_ops_type1;
extern const struct vfio_iommu_driver_ops vfio_noiommu_ops;

struct vfio_container {
	struct vfio_core *core;
	u32 refs;
	struct list_head group_list;			  /* vfio_group.container_next */
	const struct vfio_iommu_driver_ops *iommu_driver; /* NULL: SET_IOMMU not done */
	void *iommu_data;
	bool noiommu;
};

struct vfio_group {
	struct vfio_core *core;
	u32 refs;
	u32 drivers; /* devices registered in it */
	u32 minor;
	char name[24]; /* of its node */
	enum vfio_group_type type;
	struct iommu_group *iommu_group; /* NULL once the last device has left */
	struct list_head device_list;	 /* vfio_device.group_next, the newest first */
	struct list_head vfio_next;	 /* vfio_core.groups */
	struct file *opened_file;	 /* it opens once */
	struct vfio_container *container;
	u32 container_users; /* 1, and 1 for each open device */
	struct list_head container_next;
	struct iommufd_ctx *iommufd; /* a reference, instead of a container */
	u32 cdev_device_open_cnt;
};

/* container.c */
int __must_check vfio_container_init(struct vfio_core *core);
void vfio_container_exit(struct vfio_core *core);
/* NULL if @file is no container's. */
struct vfio_container *vfio_container_from_file(struct file *file);
int __must_check vfio_container_attach_group(struct vfio_container *container,
					     struct vfio_group *group, struct call *call);
void vfio_group_detach_container(struct vfio_group *group);
int __must_check vfio_group_use_container(struct vfio_group *group, struct call *call);
void vfio_group_unuse_container(struct vfio_group *group);

/* group.c */
int __must_check vfio_device_set_group(struct vfio_device *vdev);
void vfio_device_remove_group(struct vfio_device *vdev);
void vfio_device_group_register(struct vfio_device *vdev);
void vfio_device_group_unregister(struct vfio_device *vdev);
void vfio_df_group_close(struct vfio_device_file *df);

/* Whether [addr, addr + size) lies in user space (kernel: access_ok()). */
static inline bool access_ok(u64 addr, u64 size)
{
	const u64 limit = (1ULL << 47) - PAGE_SIZE;

	return size <= limit && addr <= limit - size;
}

#endif
