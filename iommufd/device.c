// SPDX-License-Identifier: MIT
/*
 * Devices bound to a context, and what they are attached to. The members of a group share
 * one attachment for each PASID: the first one attaches the group, the last one detaches
 * it, and all others only join (the same HWPT) or are refused. Each attached device keeps
 * its reserved ranges reserved in the IOAS behind the HWPT.
 * Source: drivers/iommu/iommufd/device.c.
 */
#include "base/alloc.h"
#include "base/bitmap.h"
#include "iommufd/iommufd.h"
#include "iommufd/viommu.h"
#include "machine/events.h"

/* --- groups
 * ------------------------------------------------------------------------------- */

static void igroup_put(struct iommufd_group *igroup)
{
	if (!refcount_dec_and_test(&igroup->ref))
		return;
	WARN_ON(!xa_empty(&igroup->pasid_attach));
	if (xa_load(&igroup->ictx->groups, iommu_group_id(igroup->group)) == igroup)
		xa_erase(&igroup->ictx->groups, iommu_group_id(igroup->group));
	iommu_group_put(igroup->group);
	xa_destroy(&igroup->pasid_attach);
	kfree(igroup);
}

static struct iommufd_group *igroup_get(struct iommufd_ctx *ictx, struct device *dev)
{
	struct iommu_group *group = iommu_group_get(dev);
	struct iommufd_group *igroup;
	int rc;

	if (!group)
		return ERR_PTR(-ENODEV);
	igroup = xa_load(&ictx->groups, iommu_group_id(group));
	/* The number of a group that is gone may have been given out again. */
	if (igroup && igroup->group == group) {
		refcount_inc(&igroup->ref);
		iommu_group_put(group);
		return igroup;
	}
	igroup = kzalloc(sizeof(*igroup));
	if (!igroup) {
		iommu_group_put(group);
		return ERR_PTR(-ENOMEM);
	}
	refcount_set(&igroup->ref, 1);
	xa_init(&igroup->pasid_attach);
	igroup->sw_msi_start = ~0ULL;
	igroup->group = group;
	igroup->ictx = ictx;
	rc = xa_store(&ictx->groups, iommu_group_id(group), igroup);
	if (rc) {
		iommu_group_put(group);
		kfree(igroup);
		return ERR_PTR(rc);
	}
	return igroup;
}

/* --- binding
 * ------------------------------------------------------------------------------ */

void iommufd_device_destroy(struct iommufd_object *obj)
{
	struct iommufd_device *idev = container_of(obj, struct iommufd_device, obj);

	iommu_device_release_dma_owner(idev->dev);
	igroup_put(idev->igroup);
	put_device(idev->dev);
}

struct iommufd_device *iommufd_device_bind(struct iommufd_ctx *ictx, struct device *dev,
					   u32 *id)
{
	struct iommufd_group *igroup;
	struct iommufd_device *idev;
	int rc;

	if (!device_iommu_capable(dev, IOMMU_CAP_CACHE_COHERENCY))
		return ERR_PTR(-EINVAL);
	igroup = igroup_get(ictx, dev);
	if (IS_ERR(igroup))
		return ERR_CAST(igroup);
	if (!iommufd_is_test_device(dev) &&
	    !iommu_group_has_isolated_msi(igroup->group) &&
	    !ictx->machine->iommufd->allow_unsafe_interrupts) {
		rc = -EPERM;
		goto err_group;
	}
	rc = iommu_device_claim_dma_owner(dev, ictx);
	if (rc)
		goto err_group;
	idev = iommufd_object_alloc(ictx, idev, IOMMUFD_OBJ_DEVICE);
	if (IS_ERR(idev)) {
		rc = (int)PTR_ERR(idev);
		goto err_owner;
	}
	idev->ictx = ictx;
	if (!iommufd_is_test_device(dev))
		iommufd_ctx_get(ictx);
	idev->dev = get_device(dev);
	idev->enforce_cache_coherency =
		device_iommu_capable(dev, IOMMU_CAP_ENFORCE_CACHE_COHERENCY);
	idev->obj.users++; /* unbind's */
	idev->igroup = igroup;
	iommufd_object_finalize(ictx, &idev->obj);
	*id = idev->obj.id;
	return idev;

err_owner:
	iommu_device_release_dma_owner(dev);
err_group:
	igroup_put(igroup);
	return ERR_PTR(rc);
}

void iommufd_device_unbind(struct iommufd_device *idev)
{
	struct iommufd_ctx *ictx = idev->ictx;
	bool held = !iommufd_is_test_device(idev->dev);

	if (idev->vdev)
		WARN_ON(iommufd_object_remove(ictx, NULL, idev->vdev->obj.id));
	WARN_ON(iommufd_object_remove(ictx, &idev->obj, idev->obj.id));
	if (held)
		iommufd_ctx_put(ictx);
}

bool iommufd_ctx_has_group(struct iommufd_ctx *ictx, struct iommu_group *group)
{
	struct iommufd_object *obj;
	u64 index;

	xa_for_each(&ictx->objects, index, obj) {
		if (obj->type == IOMMUFD_OBJ_DEVICE &&
		    container_of(obj, struct iommufd_device, obj)->igroup->group == group)
			return true;
	}
	return false;
}

struct iommufd_ctx *iommufd_device_to_ictx(struct iommufd_device *idev)
{
	return idev->ictx;
}

u32 iommufd_device_to_id(struct iommufd_device *idev)
{
	return idev->obj.id;
}

/* --- attaching one HWPT
 * --------------------------------------------------------------------- */

static void attach_event(struct iommufd_device *idev, struct iommufd_hw_pagetable *hwpt)
{
	struct iommufd_hwpt_paging *hwpt_paging = hwpt ? find_hwpt_paging(hwpt) : NULL;

	machine_event(idev->dev->machine, attach, idev->dev,
		      hwpt_paging ? hwpt_paging->ioas->iopt.space : 0);
}

/* The RID and its PASIDs may live side by side only in domains that allow it. */
static int hwpt_pasid_compat(struct iommufd_hw_pagetable *hwpt,
			     struct iommufd_device *idev, ioasid_t pasid)
{
	struct xarray *attached = &idev->igroup->pasid_attach;
	struct iommufd_attach *attach;
	u64 index = IOMMU_NO_PASID;

	if (pasid == IOMMU_NO_PASID) {
		if (!hwpt->pasid_compat && xa_find_after(attached, &index, UINT32_MAX))
			return -EINVAL;
		return 0;
	}
	if (!hwpt->pasid_compat)
		return -EINVAL;
	attach = xa_load(attached, IOMMU_NO_PASID);
	if (attach && !attach->hwpt->pasid_compat)
		return -EINVAL;
	return 0;
}

static int hwpt_attach_device(struct iommufd_hw_pagetable *hwpt,
			      struct iommufd_device *idev, ioasid_t pasid)
{
	struct iommufd_attach_handle *handle;
	int rc = hwpt_pasid_compat(hwpt, idev, pasid);

	if (rc)
		return rc;
	handle = kzalloc(sizeof(*handle));
	if (!handle)
		return -ENOMEM;
	handle->idev = idev;
	if (pasid == IOMMU_NO_PASID)
		rc = iommu_attach_group_handle(hwpt->domain, idev->igroup->group,
					       &handle->handle);
	else
		rc = iommu_attach_device_pasid(hwpt->domain, idev->dev, pasid,
					       &handle->handle);
	if (rc)
		kfree(handle);
	return rc;
}

static struct iommufd_attach_handle *attach_handle(struct iommufd_device *idev,
						   ioasid_t pasid)
{
	struct iommu_attach_handle *handle =
		iommu_attach_handle_get(idev->igroup->group, pasid, 0);

	return IS_ERR_OR_NULL(handle)
		       ? NULL
		       : container_of(handle, struct iommufd_attach_handle, handle);
}

static void hwpt_detach_device(struct iommufd_hw_pagetable *hwpt,
			       struct iommufd_device *idev, ioasid_t pasid)
{
	struct iommufd_attach_handle *handle = attach_handle(idev, pasid);

	iommufd_auto_response_faults(hwpt, handle);
	if (pasid == IOMMU_NO_PASID)
		iommu_detach_group_handle(hwpt->domain, idev->igroup->group);
	else
		iommu_detach_device_pasid(hwpt->domain, idev->dev, pasid);
	kfree(handle);
}

static int hwpt_replace_device(struct iommufd_device *idev, ioasid_t pasid,
			       struct iommufd_hw_pagetable *hwpt,
			       struct iommufd_hw_pagetable *old_hwpt)
{
	struct iommufd_attach_handle *handle, *old;
	int rc = hwpt_pasid_compat(hwpt, idev, pasid);

	if (rc)
		return rc;
	old = attach_handle(idev, pasid);
	handle = kzalloc(sizeof(*handle));
	if (!handle)
		return -ENOMEM;
	handle->idev = idev;
	if (pasid == IOMMU_NO_PASID)
		rc = iommu_replace_group_handle(idev->igroup->group, hwpt->domain,
						&handle->handle);
	else
		rc = iommu_replace_device_pasid(hwpt->domain, idev->dev, pasid,
						&handle->handle);
	if (!rc)
		iommufd_auto_response_faults(old_hwpt, old);
	kfree(rc ? handle : old);
	return rc;
}

int iommufd_hw_pagetable_attach(struct iommufd_hw_pagetable *hwpt,
				struct iommufd_device *idev, ioasid_t pasid)
{
	struct iommufd_hwpt_paging *hwpt_paging = find_hwpt_paging(hwpt);
	bool attach_resv = hwpt_paging && pasid == IOMMU_NO_PASID;
	struct iommufd_group *igroup = idev->igroup;
	struct iommufd_attach *attach = xa_load(&igroup->pasid_attach, pasid);
	bool first = !attach;
	int rc;

	if (first) {
		attach = kzalloc(sizeof(*attach));
		if (!attach)
			return -ENOMEM;
		xa_init(&attach->device_array);
		/* Room for it, so that nothing can fail once the hardware has changed. */
		rc = xa_insert(&igroup->pasid_attach, pasid, NULL);
		if (rc)
			goto err_free;
	}
	rc = xa_insert(&attach->device_array, idev->obj.id, NULL);
	if (rc)
		goto err_pasid;
	if (!first && attach->hwpt != hwpt) {
		rc = -EINVAL;
		goto err_device;
	}
	if (attach_resv) {
		rc = iopt_table_enforce_dev_resv_regions(
			&hwpt_paging->ioas->iopt, idev->dev, &igroup->sw_msi_start);
		if (rc)
			goto err_device;
	}
	if (first) {
		rc = hwpt_attach_device(hwpt, idev, pasid);
		if (rc)
			goto err_resv;
		attach->hwpt = hwpt;
		WARN_ON(xa_store(&igroup->pasid_attach, pasid, attach));
	}
	WARN_ON(xa_store(&attach->device_array, idev->obj.id, idev));
	hwpt->obj.users++;
	attach_event(idev, hwpt);
	return 0;

err_resv:
	if (attach_resv)
		iopt_remove_reserved_iova(&hwpt_paging->ioas->iopt, idev->dev);
err_device:
	xa_erase(&attach->device_array, idev->obj.id);
err_pasid:
	if (first)
		xa_erase(&igroup->pasid_attach, pasid);
err_free:
	if (first) {
		xa_destroy(&attach->device_array);
		kfree(attach);
	}
	return rc;
}

struct iommufd_hw_pagetable *iommufd_hw_pagetable_detach(struct iommufd_device *idev,
							 ioasid_t pasid)
{
	struct iommufd_group *igroup = idev->igroup;
	struct iommufd_attach *attach = xa_load(&igroup->pasid_attach, pasid);
	struct iommufd_hwpt_paging *hwpt_paging;
	struct iommufd_hw_pagetable *hwpt;

	if (!attach)
		return NULL;
	hwpt = attach->hwpt;
	hwpt_paging = find_hwpt_paging(hwpt);
	xa_erase(&attach->device_array, idev->obj.id);
	if (xa_empty(&attach->device_array)) {
		hwpt_detach_device(hwpt, idev, pasid);
		xa_erase(&igroup->pasid_attach, pasid);
		xa_destroy(&attach->device_array);
		kfree(attach);
	}
	if (hwpt_paging && pasid == IOMMU_NO_PASID)
		iopt_remove_reserved_iova(&hwpt_paging->ioas->iopt, idev->dev);
	attach_event(idev, NULL);
	iommufd_hw_pagetable_put(idev->ictx, hwpt);
	return hwpt;
}

static struct iommufd_hw_pagetable *device_do_attach(struct iommufd_device *idev,
						     ioasid_t pasid,
						     struct iommufd_hw_pagetable *hwpt)
{
	return ERR_PTR(iommufd_hw_pagetable_attach(hwpt, idev, pasid));
}

/* --- replacing
 * -------------------------------------------------------------------------------- */

static void group_remove_reserved_iova(struct iommufd_attach *attach,
				       struct iommufd_hwpt_paging *hwpt_paging)
{
	struct iommufd_device *cur;
	u64 index;

	xa_for_each(&attach->device_array, index, cur)
		iopt_remove_reserved_iova(&hwpt_paging->ioas->iopt, cur->dev);
}

static int group_replace_reserved_iova(struct iommufd_attach *attach,
				       struct iommufd_hwpt_paging *hwpt_paging)
{
	struct iommufd_hwpt_paging *old = find_hwpt_paging(attach->hwpt);
	struct iommufd_device *cur;
	u64 index;
	int rc;

	if (old && hwpt_paging->ioas == old->ioas)
		return 0;
	xa_for_each(&attach->device_array, index, cur) {
		rc = iopt_table_enforce_dev_resv_regions(&hwpt_paging->ioas->iopt,
							 cur->dev, NULL);
		if (rc) {
			group_remove_reserved_iova(attach, hwpt_paging);
			return rc;
		}
	}
	return 0;
}

/* Returns the HWPT that lost a user, NULL if nothing changed. */
static struct iommufd_hw_pagetable *device_do_replace(struct iommufd_device *idev,
						      ioasid_t pasid,
						      struct iommufd_hw_pagetable *hwpt)
{
	struct iommufd_hwpt_paging *hwpt_paging = find_hwpt_paging(hwpt);
	bool attach_resv = hwpt_paging && pasid == IOMMU_NO_PASID;
	struct iommufd_attach *attach = xa_load(&idev->igroup->pasid_attach, pasid);
	struct iommufd_hwpt_paging *old_paging;
	struct iommufd_hw_pagetable *old;
	struct iommufd_device *cur;
	unsigned int nr = 0;
	u64 index;
	int rc;

	if (!attach || !xa_load(&attach->device_array, idev->obj.id))
		return ERR_PTR(-EINVAL);
	old = attach->hwpt;
	old_paging = find_hwpt_paging(old);
	if (hwpt == old)
		return NULL;
	if (attach_resv) {
		rc = group_replace_reserved_iova(attach, hwpt_paging);
		if (rc)
			return ERR_PTR(rc);
	}
	rc = hwpt_replace_device(idev, pasid, hwpt, old);
	if (rc) {
		if (attach_resv && (!old_paging || hwpt_paging->ioas != old_paging->ioas))
			group_remove_reserved_iova(attach, hwpt_paging);
		return ERR_PTR(rc);
	}
	if (old_paging && pasid == IOMMU_NO_PASID &&
	    (!hwpt_paging || hwpt_paging->ioas != old_paging->ioas))
		group_remove_reserved_iova(attach, old_paging);
	attach->hwpt = hwpt;
	xa_for_each(&attach->device_array, index, cur) {
		attach_event(cur, hwpt);
		nr++;
	}
	/* Each member was a user; the last use of the old one is the caller's to give up.
	 */
	hwpt->obj.users += nr;
	old->obj.users -= nr - 1;
	return old;
}

/* --- by id
 * --------------------------------------------------------------------------------------
 */

typedef struct iommufd_hw_pagetable *(*attach_fn)(struct iommufd_device *idev,
						  ioasid_t pasid,
						  struct iommufd_hw_pagetable *hwpt);

/* To an IOAS: any of its automatic HWPTs that takes the device, else a new one. */
static struct iommufd_hw_pagetable *
device_auto_get_domain(struct iommufd_device *idev, ioasid_t pasid,
		       struct iommufd_ioas *ioas, u32 *pt_id, attach_fn do_attach)
{
	bool immediate_attach = do_attach == device_do_attach;
	struct iommufd_hw_pagetable *destroy_hwpt;
	struct iommufd_hwpt_paging *hwpt_paging;

	list_for_each_entry(hwpt_paging, &ioas->hwpt_list, hwpt_item) {
		if (!hwpt_paging->auto_domain)
			continue;
		destroy_hwpt = do_attach(idev, pasid, &hwpt_paging->common);
		if (IS_ERR(destroy_hwpt) && PTR_ERR(destroy_hwpt) == -EINVAL)
			continue;
		if (!IS_ERR(destroy_hwpt))
			*pt_id = hwpt_paging->common.obj.id;
		return destroy_hwpt;
	}
	hwpt_paging = iommufd_hwpt_paging_alloc(idev->ictx, ioas, idev, pasid, 0,
						immediate_attach, NULL);
	if (IS_ERR(hwpt_paging))
		return ERR_CAST(hwpt_paging);
	destroy_hwpt = NULL;
	if (!immediate_attach) {
		destroy_hwpt = do_attach(idev, pasid, &hwpt_paging->common);
		if (IS_ERR(destroy_hwpt)) {
			iommufd_object_abort_and_destroy(idev->ictx,
							 &hwpt_paging->common.obj);
			return destroy_hwpt;
		}
	}
	hwpt_paging->auto_domain = true;
	*pt_id = hwpt_paging->common.obj.id;
	iommufd_object_finalize(idev->ictx, &hwpt_paging->common.obj);
	return destroy_hwpt;
}

static int device_change_pt(struct iommufd_device *idev, ioasid_t pasid, u32 *pt_id,
			    attach_fn do_attach)
{
	struct iommufd_object *pt_obj =
		iommufd_get_object(idev->ictx, *pt_id, IOMMUFD_OBJ_ANY);
	struct iommufd_hw_pagetable *destroy_hwpt;

	if (IS_ERR(pt_obj))
		return (int)PTR_ERR(pt_obj);
	switch (pt_obj->type) {
	case IOMMUFD_OBJ_HWPT_NESTED:
	case IOMMUFD_OBJ_HWPT_PAGING:
		destroy_hwpt =
			do_attach(idev, pasid,
				  container_of(pt_obj, struct iommufd_hw_pagetable, obj));
		break;
	case IOMMUFD_OBJ_IOAS:
		destroy_hwpt = device_auto_get_domain(
			idev, pasid, container_of(pt_obj, struct iommufd_ioas, obj),
			pt_id, do_attach);
		break;
	default:
		return -EINVAL;
	}
	if (IS_ERR(destroy_hwpt))
		return (int)PTR_ERR(destroy_hwpt);
	if (destroy_hwpt)
		iommufd_hw_pagetable_put(idev->ictx, destroy_hwpt);
	return 0;
}

int iommufd_device_attach(struct iommufd_device *idev, ioasid_t pasid, u32 *pt_id)
{
	int rc = device_change_pt(idev, pasid, pt_id, device_do_attach);

	if (!rc)
		idev->obj.users++;
	return rc;
}

int iommufd_device_replace(struct iommufd_device *idev, ioasid_t pasid, u32 *pt_id)
{
	return device_change_pt(idev, pasid, pt_id, device_do_replace);
}

void iommufd_device_detach(struct iommufd_device *idev, ioasid_t pasid)
{
	if (iommufd_hw_pagetable_detach(idev, pasid))
		idev->obj.users--;
}
