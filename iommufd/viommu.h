/* SPDX-License-Identifier: MIT */
/*
 * Slices of an IOMMU for a guest: vIOMMUs, what hangs off them, and what a driver that
 * has them provides. Objects point to their vIOMMU and are users of it.
 */
#ifndef MOAT_IOMMUFD_VIOMMU_H
#define MOAT_IOMMUFD_VIOMMU_H

#include "iommufd/iommufd.h"

struct iommufd_hw_queue;
struct iommufd_viommu;

struct iommufd_viommu_ops {
	u32 viommu_type, hw_queue_type; /* the ones it knows */
	int (*cache_invalidate)(struct iommufd_viommu *viommu,
				struct iommu_user_data_array *array);
	struct iommu_domain *(*alloc_domain_nested)(struct iommufd_viommu *viommu,
						    u32 flags,
						    const struct iommu_user_data *data);
	u32 nr_hw_queues; /* made in ascending order of index, destroyed in descending */
};

#define IOMMUFD_MAX_HW_QUEUES 2

struct iommufd_viommu {
	struct iommufd_object obj;
	struct iommufd_ctx *ictx;
	struct iommufd_hwpt_paging *hwpt; /* a user of it */
	const struct iommufd_viommu_ops *ops;
	struct iommu_device *iommu_dev;
	struct xarray vdevs;	   /* struct iommufd_vdevice by virt_id */
	struct list_head veventqs; /* struct iommufd_veventq.node */
	struct iommufd_hw_queue *hw_queues[IOMMUFD_MAX_HW_QUEUES];
};

/* A device as a vIOMMU's guest names it; goes when the device is unbound. */
struct iommufd_vdevice {
	struct iommufd_object obj;
	struct iommufd_viommu *viommu;
	struct iommufd_device *idev;
	u64 virt_id;
};

static inline struct iommufd_viommu *iommufd_get_viommu(struct iommufd_ucmd *ucmd, u32 id)
{
	struct iommufd_object *obj =
		iommufd_get_object(ucmd->ictx, id, IOMMUFD_OBJ_VIOMMU);

	return IS_ERR(obj) ? ERR_CAST(obj)
			   : container_of(obj, struct iommufd_viommu, obj);
}

/* NULL: the vIOMMU has none by that name. */
struct device *iommufd_viommu_find_dev(struct iommufd_viommu *viommu, u64 virt_id);
/* -ENOENT: @dev is no device of the vIOMMU. */
int iommufd_viommu_get_vdev_id(struct iommufd_viommu *viommu, struct device *dev,
			       u64 *virt_id);
/* An event for the guest, lost (and said so) if the queue is full. -EOPNOTSUPP: no
 * queue. */
int iommufd_viommu_report_event(struct iommufd_viommu *viommu, u32 type, const void *data,
				size_t len);

#endif
