// SPDX-License-Identifier: MIT
/*
 * HWPTs: a domain of an IOMMU driver as an object. A paging HWPT belongs to an IOAS,
 * which keeps its domain filled with every mapping; a nested one stands on a paging
 * parent. Source: drivers/iommu/iommufd/hw_pagetable.c.
 */
#include "base/alloc.h"
#include "iommufd/iommufd.h"
#include "iommufd/viommu.h"

static void hwpt_destroy(struct iommufd_hw_pagetable *hwpt)
{
	if (hwpt->domain)
		iommu_domain_free(hwpt->domain);
	if (hwpt->fault)
		iommufd_fault_use(hwpt->fault, false);
}

void iommufd_hwpt_paging_destroy(struct iommufd_object *obj)
{
	struct iommufd_hwpt_paging *hwpt_paging =
		container_of(obj, struct iommufd_hwpt_paging, common.obj);

	if (!list_empty(&hwpt_paging->hwpt_item)) {
		list_del(&hwpt_paging->hwpt_item);
		iopt_table_remove_domain(&hwpt_paging->ioas->iopt,
					 hwpt_paging->common.domain);
	}
	hwpt_destroy(&hwpt_paging->common);
	hwpt_paging->ioas->obj.users--;
}

void iommufd_hwpt_nested_destroy(struct iommufd_object *obj)
{
	struct iommufd_hwpt_nested *nested =
		container_of(obj, struct iommufd_hwpt_nested, common.obj);

	hwpt_destroy(&nested->common);
	if (nested->viommu)
		nested->viommu->obj.users--;
	else
		nested->parent->common.obj.users--;
}

void iommufd_hw_pagetable_put(struct iommufd_ctx *ictx, struct iommufd_hw_pagetable *hwpt)
{
	if (hwpt->obj.type == IOMMUFD_OBJ_HWPT_PAGING &&
	    container_of(hwpt, struct iommufd_hwpt_paging, common)->auto_domain) {
		/* -EBUSY: another device still uses it. */
		(void)iommufd_object_remove(ictx, &hwpt->obj, hwpt->obj.id);
		return;
	}
	hwpt->obj.users--;
}

static int hwpt_paging_enforce_cc(struct iommufd_hwpt_paging *hwpt_paging)
{
	struct iommu_domain *domain = hwpt_paging->common.domain;

	if (hwpt_paging->enforce_cache_coherency)
		return 0;
	if (domain->ops->enforce_cache_coherency)
		hwpt_paging->enforce_cache_coherency =
			domain->ops->enforce_cache_coherency(domain);
	return hwpt_paging->enforce_cache_coherency ? 0 : -EINVAL;
}

static struct iommu_domain *alloc_paging_domain(struct iommufd_device *idev, u32 flags,
						const struct iommu_user_data *user_data)
{
	const struct iommu_ops *ops = dev_iommu_ops(idev->dev);
	struct iommu_domain *domain;

	if (!ops->domain_alloc_paging_flags)
		return iommu_paging_domain_alloc(idev->dev);
	domain = ops->domain_alloc_paging_flags(
		idev->dev, flags & ~IOMMU_HWPT_FAULT_ID_VALID, user_data);
	if (!IS_ERR(domain))
		iommu_domain_init(domain, IOMMU_DOMAIN_UNMANAGED, ops);
	return domain;
}

struct iommufd_hwpt_paging *
iommufd_hwpt_paging_alloc(struct iommufd_ctx *ictx, struct iommufd_ioas *ioas,
			  struct iommufd_device *idev, ioasid_t pasid, u32 flags,
			  bool immediate_attach, const struct iommu_user_data *user_data)
{
	const u32 valid_flags = IOMMU_HWPT_ALLOC_NEST_PARENT |
				IOMMU_HWPT_ALLOC_DIRTY_TRACKING |
				IOMMU_HWPT_FAULT_ID_VALID | IOMMU_HWPT_ALLOC_PASID;
	const struct iommu_ops *ops = dev_iommu_ops(idev->dev);
	struct iommufd_hwpt_paging *hwpt_paging;
	struct iommufd_hw_pagetable *hwpt;
	int rc;

	if ((flags || user_data) && !ops->domain_alloc_paging_flags)
		return ERR_PTR(-EOPNOTSUPP);
	if (flags & ~valid_flags)
		return ERR_PTR(-EOPNOTSUPP);
	if ((flags & IOMMU_HWPT_ALLOC_DIRTY_TRACKING) &&
	    !device_iommu_capable(idev->dev, IOMMU_CAP_DIRTY_TRACKING))
		return ERR_PTR(-EOPNOTSUPP);
	if ((flags & IOMMU_HWPT_FAULT_ID_VALID) && (flags & IOMMU_HWPT_ALLOC_NEST_PARENT))
		return ERR_PTR(-EOPNOTSUPP);
	hwpt_paging = iommufd_object_alloc(ictx, hwpt_paging, IOMMUFD_OBJ_HWPT_PAGING);
	if (IS_ERR(hwpt_paging))
		return hwpt_paging;
	hwpt = &hwpt_paging->common;
	hwpt->pasid_compat = flags & IOMMU_HWPT_ALLOC_PASID;
	INIT_LIST_HEAD(&hwpt_paging->hwpt_item);
	ioas->obj.users++;
	hwpt_paging->ioas = ioas;
	hwpt_paging->nest_parent = flags & IOMMU_HWPT_ALLOC_NEST_PARENT;
	hwpt->domain = alloc_paging_domain(idev, flags, user_data);
	if (IS_ERR(hwpt->domain)) {
		rc = (int)PTR_ERR(hwpt->domain);
		hwpt->domain = NULL;
		goto err_abort;
	}
	hwpt->domain->cookie = hwpt;
	hwpt->domain->cookie_type = IOMMU_COOKIE_IOMMUFD;
	if (idev->enforce_cache_coherency) {
		rc = hwpt_paging_enforce_cc(hwpt_paging);
		if (WARN_ON(rc))
			goto err_abort;
	}
	/* Attached before it is filled, so that a driver may settle its format first. */
	if (immediate_attach) {
		rc = iommufd_hw_pagetable_attach(hwpt, idev, pasid);
		if (rc)
			goto err_abort;
	}
	rc = iopt_table_add_domain(&ioas->iopt, hwpt->domain);
	if (rc)
		goto err_detach;
	list_add_tail(&hwpt_paging->hwpt_item, &ioas->hwpt_list);
	return hwpt_paging;

err_detach:
	if (immediate_attach)
		iommufd_hw_pagetable_detach(idev, pasid);
err_abort:
	iommufd_object_abort_and_destroy(ictx, &hwpt->obj);
	return ERR_PTR(rc);
}

static struct iommufd_hwpt_nested *
hwpt_nested_alloc(struct iommufd_ctx *ictx, struct iommufd_hwpt_paging *parent,
		  struct iommufd_device *idev, u32 flags,
		  const struct iommu_user_data *user_data)
{
	const struct iommu_ops *ops = dev_iommu_ops(idev->dev);
	struct iommufd_hwpt_nested *nested;
	struct iommufd_hw_pagetable *hwpt;
	int rc;

	if ((flags & ~(IOMMU_HWPT_FAULT_ID_VALID | IOMMU_HWPT_ALLOC_PASID)) ||
	    !user_data->len || !ops->domain_alloc_nested)
		return ERR_PTR(-EOPNOTSUPP);
	if (parent->auto_domain || !parent->nest_parent ||
	    parent->common.domain->owner != ops)
		return ERR_PTR(-EINVAL);
	nested = iommufd_object_alloc(ictx, nested, IOMMUFD_OBJ_HWPT_NESTED);
	if (IS_ERR(nested))
		return nested;
	hwpt = &nested->common;
	hwpt->pasid_compat = flags & IOMMU_HWPT_ALLOC_PASID;
	parent->common.obj.users++;
	nested->parent = parent;
	hwpt->domain =
		ops->domain_alloc_nested(idev->dev, parent->common.domain,
					 flags & ~IOMMU_HWPT_FAULT_ID_VALID, user_data);
	if (IS_ERR(hwpt->domain)) {
		rc = (int)PTR_ERR(hwpt->domain);
		hwpt->domain = NULL;
		iommufd_object_abort_and_destroy(ictx, &hwpt->obj);
		return ERR_PTR(rc);
	}
	iommu_domain_init(hwpt->domain, IOMMU_DOMAIN_NESTED, ops);
	hwpt->domain->cookie = hwpt;
	hwpt->domain->cookie_type = IOMMU_COOKIE_IOMMUFD;
	return nested;
}

static struct iommufd_hwpt_nested *
viommu_alloc_nested(struct iommufd_viommu *viommu, u32 flags,
		    const struct iommu_user_data *user_data)
{
	struct iommufd_hwpt_nested *nested;
	struct iommufd_hw_pagetable *hwpt;
	int rc;

	if ((flags & ~(IOMMU_HWPT_FAULT_ID_VALID | IOMMU_HWPT_ALLOC_PASID)) ||
	    !user_data->len)
		return ERR_PTR(-EOPNOTSUPP);
	nested = iommufd_object_alloc(viommu->ictx, nested, IOMMUFD_OBJ_HWPT_NESTED);
	if (IS_ERR(nested))
		return nested;
	hwpt = &nested->common;
	hwpt->pasid_compat = flags & IOMMU_HWPT_ALLOC_PASID;
	nested->viommu = viommu;
	viommu->obj.users++;
	nested->parent = viommu->hwpt;
	hwpt->domain = viommu->ops->alloc_domain_nested(
		viommu, flags & ~IOMMU_HWPT_FAULT_ID_VALID, user_data);
	if (IS_ERR(hwpt->domain)) {
		rc = (int)PTR_ERR(hwpt->domain);
		hwpt->domain = NULL;
		iommufd_object_abort_and_destroy(viommu->ictx, &hwpt->obj);
		return ERR_PTR(rc);
	}
	iommu_domain_init(hwpt->domain, IOMMU_DOMAIN_NESTED, viommu->iommu_dev->ops);
	hwpt->domain->cookie = hwpt;
	hwpt->domain->cookie_type = IOMMU_COOKIE_IOMMUFD;
	return nested;
}

/* Vendor data is a page at most; the driver checks what it knows of it. */
static int load_user_data(struct iommufd_ucmd *ucmd, const struct iommu_hwpt_alloc *cmd,
			  struct iommu_user_data *out, void **buf)
{
	int rc;

	*buf = NULL;
	*out = (struct iommu_user_data){.type = cmd->data_type, .len = cmd->data_len};
	if (!cmd->data_len)
		return 0;
	if (cmd->data_len > PAGE_SIZE)
		return -E2BIG;
	*buf = kzalloc(cmd->data_len);
	if (!*buf)
		return -ENOMEM;
	rc = copy_from_user(ucmd->call, *buf, cmd->data_uptr, cmd->data_len);
	out->data = *buf;
	return rc;
}

int iommufd_hwpt_alloc(struct iommufd_ucmd *ucmd)
{
	struct iommu_hwpt_alloc *cmd = ucmd->cmd;
	struct iommufd_hw_pagetable *hwpt;
	struct iommu_user_data user_data;
	struct iommufd_object *pt_obj;
	struct iommufd_device *idev;
	void *buf;
	int rc;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	if ((cmd->data_type == IOMMU_HWPT_DATA_NONE) != !cmd->data_len)
		return -EINVAL;
	idev = iommufd_get_device(ucmd, cmd->dev_id);
	if (IS_ERR(idev))
		return (int)PTR_ERR(idev);
	pt_obj = iommufd_get_object(ucmd->ictx, cmd->pt_id, IOMMUFD_OBJ_ANY);
	if (IS_ERR(pt_obj))
		return -EINVAL;
	if (pt_obj->type != IOMMUFD_OBJ_IOAS && pt_obj->type != IOMMUFD_OBJ_HWPT_PAGING &&
	    pt_obj->type != IOMMUFD_OBJ_VIOMMU)
		return -EINVAL;
	rc = load_user_data(ucmd, cmd, &user_data, &buf);
	if (rc)
		goto out_free;
	if (pt_obj->type == IOMMUFD_OBJ_IOAS) {
		struct iommufd_hwpt_paging *hwpt_paging = iommufd_hwpt_paging_alloc(
			ucmd->ictx, container_of(pt_obj, struct iommufd_ioas, obj), idev,
			IOMMU_NO_PASID, cmd->flags, false,
			user_data.len ? &user_data : NULL);

		if (IS_ERR(hwpt_paging)) {
			rc = (int)PTR_ERR(hwpt_paging);
			goto out_free;
		}
		hwpt = &hwpt_paging->common;
	} else {
		struct iommufd_viommu *viommu =
			container_of(pt_obj, struct iommufd_viommu, obj);
		struct iommufd_hwpt_nested *nested;

		if (pt_obj->type == IOMMUFD_OBJ_HWPT_PAGING)
			nested = hwpt_nested_alloc(
				ucmd->ictx,
				container_of(pt_obj, struct iommufd_hwpt_paging,
					     common.obj),
				idev, cmd->flags, &user_data);
		else if (viommu->iommu_dev == idev->dev->iommu->iommu_dev)
			nested = viommu_alloc_nested(viommu, cmd->flags, &user_data);
		else
			nested = ERR_PTR(-EINVAL);

		if (IS_ERR(nested)) {
			rc = (int)PTR_ERR(nested);
			goto out_free;
		}
		hwpt = &nested->common;
	}
	if (cmd->flags & IOMMU_HWPT_FAULT_ID_VALID) {
		struct iommufd_fault *fault = iommufd_get_fault(ucmd, cmd->fault_id);

		if (IS_ERR(fault)) {
			rc = (int)PTR_ERR(fault);
			iommufd_object_abort_and_destroy(ucmd->ictx, &hwpt->obj);
			goto out_free;
		}
		hwpt->fault = fault;
		iommufd_fault_use(fault, true);
	}
	cmd->out_hwpt_id = hwpt->obj.id;
	rc = iommufd_ucmd_respond_new(ucmd, sizeof(*cmd), &hwpt->obj);
out_free:
	kfree(buf);
	return rc;
}

int iommufd_hwpt_set_dirty_tracking(struct iommufd_ucmd *ucmd)
{
	struct iommu_hwpt_set_dirty_tracking *cmd = ucmd->cmd;
	struct iommufd_hwpt_paging *hwpt_paging;

	if (cmd->flags & ~IOMMU_HWPT_DIRTY_TRACKING_ENABLE)
		return -EOPNOTSUPP;
	hwpt_paging = iommufd_get_hwpt_paging(ucmd, cmd->hwpt_id);
	if (IS_ERR(hwpt_paging))
		return (int)PTR_ERR(hwpt_paging);
	return iopt_set_dirty_tracking(&hwpt_paging->ioas->iopt,
				       hwpt_paging->common.domain,
				       cmd->flags & IOMMU_HWPT_DIRTY_TRACKING_ENABLE);
}

int iommufd_hwpt_get_dirty_bitmap(struct iommufd_ucmd *ucmd)
{
	struct iommu_hwpt_get_dirty_bitmap *cmd = ucmd->cmd;
	struct iommufd_hwpt_paging *hwpt_paging;

	if ((cmd->flags & ~IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR) || cmd->__reserved)
		return -EOPNOTSUPP;
	hwpt_paging = iommufd_get_hwpt_paging(ucmd, cmd->hwpt_id);
	if (IS_ERR(hwpt_paging))
		return (int)PTR_ERR(hwpt_paging);
	return iopt_read_and_clear_dirty_data(
		&hwpt_paging->ioas->iopt, hwpt_paging->common.domain, ucmd->call, cmd);
}

#define INVALIDATE_MAX_BYTES SZ_64K

/* The entries are copied as a whole; what a driver has not consumed is not counted. */
static int hwpt_invalidate(struct iommufd_ucmd *ucmd, struct iommu_hwpt_invalidate *cmd,
			   struct iommufd_object *pt_obj, u32 *done)
{
	u64 bytes = (u64)cmd->entry_len * cmd->entry_num;
	struct iommu_user_data_array array = {
		.type = cmd->data_type,
		.entry_len = cmd->entry_len,
		.entry_num = cmd->entry_num,
	};
	struct iommu_domain *domain = NULL;
	struct iommufd_viommu *viommu = NULL;
	void *buf;
	int rc;

	if (pt_obj->type == IOMMUFD_OBJ_VIOMMU)
		viommu = container_of(pt_obj, struct iommufd_viommu, obj);
	else
		domain = container_of(pt_obj, struct iommufd_hw_pagetable, obj)->domain;
	if (viommu ? !viommu->ops->cache_invalidate
		   : !domain->ops || !domain->ops->cache_invalidate_user)
		return -EOPNOTSUPP;
	if (bytes > INVALIDATE_MAX_BYTES)
		return -E2BIG;
	buf = kzalloc(bytes + 1);
	if (!buf)
		return -ENOMEM;
	rc = copy_from_user(ucmd->call, buf, cmd->data_uptr, bytes);
	array.data = buf;
	if (!rc)
		rc = viommu ? viommu->ops->cache_invalidate(viommu, &array)
			    : domain->ops->cache_invalidate_user(domain, &array);
	*done = array.entry_num;
	kfree(buf);
	return rc;
}

int iommufd_hwpt_invalidate(struct iommufd_ucmd *ucmd)
{
	struct iommu_hwpt_invalidate *cmd = ucmd->cmd;
	struct iommufd_object *pt_obj;
	u32 done = 0;
	int rc, rc_respond;

	if (cmd->__reserved) {
		rc = -EOPNOTSUPP;
	} else if (cmd->entry_num && (!cmd->data_uptr || !cmd->entry_len)) {
		rc = -EINVAL;
	} else {
		pt_obj = iommufd_get_object(ucmd->ictx, cmd->hwpt_id, IOMMUFD_OBJ_ANY);
		if (IS_ERR(pt_obj))
			rc = (int)PTR_ERR(pt_obj);
		else if (pt_obj->type != IOMMUFD_OBJ_HWPT_NESTED &&
			 pt_obj->type != IOMMUFD_OBJ_VIOMMU)
			rc = -EINVAL;
		else
			rc = hwpt_invalidate(ucmd, cmd, pt_obj, &done);
	}
	if (rc == -ERESTARTNOINTR)
		return rc;
	cmd->entry_num = done;
	rc_respond = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	return rc_respond ? rc_respond : rc;
}
