// SPDX-License-Identifier: MIT
/*
 * vIOMMUs, their devices and hardware queues. They need an IOMMU driver that can hand out
 * slices of its hardware; of the machine's only the mock IOMMU of the test interface
 * does, so for all others the checks end where Linux's do for such hardware. Source:
 * drivers/iommu/iommufd/viommu.c.
 */
#include "iommufd/viommu.h"

#include "base/alloc.h"
#include "base/overflow.h"

void iommufd_viommu_destroy(struct iommufd_object *obj)
{
	struct iommufd_viommu *viommu = container_of(obj, struct iommufd_viommu, obj);

	viommu->hwpt->common.obj.users--;
	xa_destroy(&viommu->vdevs);
}

int iommufd_viommu_alloc(struct iommufd_ucmd *ucmd)
{
	struct iommu_viommu_alloc *cmd = ucmd->cmd;
	const struct iommufd_viommu_ops *ops;
	struct iommufd_hwpt_paging *hwpt;
	struct iommufd_viommu *viommu;
	struct iommufd_device *idev;

	if (cmd->flags || cmd->type == 0)
		return -EOPNOTSUPP;
	idev = iommufd_get_device(ucmd, cmd->dev_id);
	if (IS_ERR(idev))
		return (int)PTR_ERR(idev);
	if (!iommufd_is_test_device(idev->dev))
		return -EOPNOTSUPP;
	ops = idev->dev->machine->iommufd->test->viommu_ops;
	if (cmd->type != ops->viommu_type)
		return -EOPNOTSUPP;
	hwpt = iommufd_get_hwpt_paging(ucmd, cmd->hwpt_id);
	if (IS_ERR(hwpt))
		return (int)PTR_ERR(hwpt);
	if (!hwpt->nest_parent)
		return -EINVAL;
	/* A page of the vIOMMU's for the program to map comes with vendor data. */
	if (cmd->data_len)
		return -EOPNOTSUPP;
	viommu = iommufd_object_alloc(ucmd->ictx, viommu, IOMMUFD_OBJ_VIOMMU);
	if (IS_ERR(viommu))
		return (int)PTR_ERR(viommu);
	xa_init(&viommu->vdevs);
	INIT_LIST_HEAD(&viommu->veventqs);
	viommu->ictx = ucmd->ictx;
	viommu->ops = ops;
	viommu->hwpt = hwpt;
	hwpt->common.obj.users++;
	viommu->iommu_dev = idev->dev->iommu->iommu_dev;
	cmd->out_viommu_id = viommu->obj.id;
	return iommufd_ucmd_respond_new(ucmd, sizeof(*cmd), &viommu->obj);
}

/* --- devices -------------------------------------------------------------------------
 */

struct device *iommufd_viommu_find_dev(struct iommufd_viommu *viommu, u64 virt_id)
{
	struct iommufd_vdevice *vdev = xa_load(&viommu->vdevs, virt_id);

	return vdev ? vdev->idev->dev : NULL;
}

int iommufd_viommu_get_vdev_id(struct iommufd_viommu *viommu, struct device *dev,
			       u64 *virt_id)
{
	struct iommufd_vdevice *vdev;
	u64 index;

	xa_for_each(&viommu->vdevs, index, vdev) {
		if (vdev->idev->dev == dev) {
			*virt_id = vdev->virt_id;
			return 0;
		}
	}
	return -ENOENT;
}

void iommufd_vdevice_destroy(struct iommufd_object *obj)
{
	struct iommufd_vdevice *vdev = container_of(obj, struct iommufd_vdevice, obj);

	/* It is not there if another device had the name. */
	if (xa_load(&vdev->viommu->vdevs, vdev->virt_id) == vdev)
		xa_erase(&vdev->viommu->vdevs, vdev->virt_id);
	vdev->viommu->obj.users--;
	vdev->idev->vdev = NULL;
}

int iommufd_vdevice_alloc(struct iommufd_ucmd *ucmd)
{
	struct iommu_vdevice_alloc *cmd = ucmd->cmd;
	struct iommufd_viommu *viommu = iommufd_get_viommu(ucmd, cmd->viommu_id);
	struct iommufd_vdevice *vdev;
	struct iommufd_device *idev;
	int rc;

	if (IS_ERR(viommu))
		return (int)PTR_ERR(viommu);
	idev = iommufd_get_device(ucmd, cmd->dev_id);
	if (IS_ERR(idev))
		return (int)PTR_ERR(idev);
	if (viommu->iommu_dev != idev->dev->iommu->iommu_dev)
		return -EINVAL;
	if (idev->vdev)
		return -EEXIST;
	vdev = iommufd_object_alloc(ucmd->ictx, vdev, IOMMUFD_OBJ_VDEVICE);
	if (IS_ERR(vdev))
		return (int)PTR_ERR(vdev);
	vdev->virt_id = cmd->virt_id;
	vdev->viommu = viommu;
	viommu->obj.users++;
	vdev->idev = idev;
	idev->vdev = vdev;
	rc = xa_load(&viommu->vdevs, vdev->virt_id)
		     ? -EEXIST
		     : xa_store(&viommu->vdevs, vdev->virt_id, vdev);
	if (rc) {
		iommufd_object_abort_and_destroy(ucmd->ictx, &vdev->obj);
		return rc;
	}
	cmd->out_vdevice_id = vdev->obj.id;
	return iommufd_ucmd_respond_new(ucmd, sizeof(*cmd), &vdev->obj);
}

/* --- hardware queues -----------------------------------------------------------------
 */

/* A queue of the hardware in the guest's memory, which stays pinned and mapped. */
struct iommufd_hw_queue {
	struct iommufd_object obj;
	struct iommufd_viommu *viommu;
	struct iommufd_access *access; /* internal; holds the pages */
	u64 iova, length;	       /* whole pages */
	u32 index;
};

void iommufd_hw_queue_destroy(struct iommufd_object *obj)
{
	struct iommufd_hw_queue *queue = container_of(obj, struct iommufd_hw_queue, obj);
	struct iommufd_viommu *viommu = queue->viommu;

	if (viommu->hw_queues[queue->index] == queue) {
		viommu->hw_queues[queue->index] = NULL;
		if (queue->index)
			viommu->hw_queues[queue->index - 1]->obj.users--;
	}
	if (queue->access) {
		if (queue->length)
			iommufd_access_unpin_pages(queue->access, queue->iova,
						   queue->length);
		iommufd_access_destroy(queue->access);
	}
	viommu->obj.users--;
}

static const struct iommufd_access_ops hw_queue_access_ops = {
	.needs_pin_pages = true,
};

/* On failure the caller's destroy takes back what there is. */
static int hw_queue_pin(struct iommufd_hw_queue *queue, u64 iova, u64 length,
			phys_addr_t *base)
{
	struct iommufd_viommu *viommu = queue->viommu;
	u64 offset = iova % PAGE_SIZE, npages;
	phys_addr_t *pages;
	u32 id;
	int rc;

	if (check_add_overflow(offset, length, &length) ||
	    check_add_overflow(length, PAGE_SIZE - 1, &length))
		return -ERANGE;
	npages = length / PAGE_SIZE;
	pages = npages > INT32_MAX ? NULL : kcalloc(npages, sizeof(*pages));
	if (!pages)
		return -ENOMEM;
	queue->access =
		iommufd_access_create(viommu->ictx, &hw_queue_access_ops, NULL, &id);
	if (IS_ERR(queue->access)) {
		rc = (int)PTR_ERR(queue->access);
		queue->access = NULL;
		goto out_free;
	}
	rc = iommufd_access_attach(queue->access, viommu->hwpt->ioas->obj.id);
	if (!rc)
		rc = iommufd_access_pin_pages(queue->access, iova - offset,
					      npages * PAGE_SIZE, pages, 0);
	if (rc)
		goto out_free;
	queue->iova = iova - offset;
	queue->length = npages * PAGE_SIZE;
	for (u64 i = 1; i < npages && !rc; i++)
		rc = pages[i] == pages[i - 1] + PAGE_SIZE ? 0 : -EFAULT;
	*base = pages[0] + offset;
out_free:
	kfree(pages);
	return rc;
}

static int hw_queue_init(struct iommufd_hw_queue *queue, u32 index, phys_addr_t base,
			 u64 iova)
{
	struct iommufd_viommu *viommu = queue->viommu;
	struct iommu_domain *parent = viommu->hwpt->common.domain;

	if (index >= min_t(u32, viommu->ops->nr_hw_queues, IOMMUFD_MAX_HW_QUEUES))
		return -EINVAL;
	if (viommu->hw_queues[index])
		return -EEXIST;
	if (index && !viommu->hw_queues[index - 1])
		return -EIO;
	if (parent->ops->iova_to_phys(parent, iova) != base)
		return -EFAULT;
	if (index)
		viommu->hw_queues[index - 1]->obj.users++;
	queue->index = index;
	viommu->hw_queues[index] = queue;
	return 0;
}

int iommufd_hw_queue_alloc(struct iommufd_ucmd *ucmd)
{
	struct iommu_hw_queue_alloc *cmd = ucmd->cmd;
	u64 iova = cmd->nesting_parent_iova, last;
	struct iommufd_hw_queue *queue;
	struct iommufd_viommu *viommu;
	phys_addr_t base = 0;
	int rc;

	if (cmd->flags || cmd->type == 0)
		return -EOPNOTSUPP;
	if (!cmd->length)
		return -EINVAL;
	if (check_add_overflow(iova, cmd->length - 1, &last))
		return -EOVERFLOW;
	viommu = iommufd_get_viommu(ucmd, cmd->viommu_id);
	if (IS_ERR(viommu))
		return (int)PTR_ERR(viommu);
	if (cmd->type != viommu->ops->hw_queue_type)
		return -EOPNOTSUPP;
	queue = iommufd_object_alloc(ucmd->ictx, queue, IOMMUFD_OBJ_HW_QUEUE);
	if (IS_ERR(queue))
		return (int)PTR_ERR(queue);
	queue->viommu = viommu;
	viommu->obj.users++;
	rc = hw_queue_pin(queue, iova, cmd->length, &base);
	if (!rc)
		rc = hw_queue_init(queue, cmd->index, base, iova);
	if (rc) {
		iommufd_object_abort_and_destroy(ucmd->ictx, &queue->obj);
		return rc;
	}
	cmd->out_hw_queue_id = queue->obj.id;
	return iommufd_ucmd_respond_new(ucmd, sizeof(*cmd), &queue->obj);
}
