// SPDX-License-Identifier: MIT
/*
 * Accesses: how somebody who is no DMA device reaches the memory of an IOAS, for emulated
 * devices. Pages are pinned by IOVA or bytes copied; who has pinned pages is asked to let
 * go of them when they are unmapped, and when the access moves to another IOAS.
 *
 * While it moves, ioas is NULL, so that nothing new is pinned, and ioas_unpin still names
 * the old one. Source: drivers/iommu/iommufd/device.c.
 */
#include "base/overflow.h"
#include "iommufd/iommufd.h"

static int access_change_ioas(struct iommufd_access *access, struct iommufd_ioas *new)
{
	struct iommufd_ioas *cur = access->ioas;
	u32 list_id = access->access_list_id;
	int rc;

	if (cur != access->ioas_unpin)
		return -EBUSY;
	if (cur == new)
		return 0;
	access->ioas = NULL;
	if (new) {
		rc = iopt_add_access(&new->iopt, access);
		if (rc) {
			access->ioas = cur;
			return rc;
		}
		new->obj.users++;
	}
	if (cur) {
		if (access->ops->unmap)
			access->ops->unmap(access->data, 0, ~0ULL);
		iopt_remove_access(&cur->iopt, access, list_id);
		cur->obj.users--;
	}
	access->ioas = new;
	access->ioas_unpin = new;
	return 0;
}

static int access_change_ioas_id(struct iommufd_access *access, u32 id)
{
	struct iommufd_ioas *ioas = iommufd_get_ioas(access->ictx, id);

	return IS_ERR(ioas) ? (int)PTR_ERR(ioas) : access_change_ioas(access, ioas);
}

void iommufd_access_destroy_object(struct iommufd_object *obj)
{
	struct iommufd_access *access = container_of(obj, struct iommufd_access, obj);

	if (access->ioas)
		WARN_ON(access_change_ioas(access, NULL));
}

struct iommufd_access *iommufd_access_create(struct iommufd_ctx *ictx,
					     const struct iommufd_access_ops *ops,
					     void *data, u32 *id)
{
	struct iommufd_access *access;

	access = iommufd_object_alloc(ictx, access, IOMMUFD_OBJ_ACCESS);
	if (IS_ERR(access))
		return access;
	access->obj.users++; /* the caller's, until iommufd_access_destroy() */
	access->data = data;
	access->ops = ops;
	access->iova_alignment = ops->needs_pin_pages ? PAGE_SIZE : 1;
	access->ictx = ictx;
	access->internal = !ops->unmap;
	if (!access->internal)
		iommufd_ctx_get(ictx);
	iommufd_object_finalize(ictx, &access->obj);
	*id = access->obj.id;
	return access;
}

void iommufd_access_destroy(struct iommufd_access *access)
{
	struct iommufd_ctx *ictx = access->ictx;
	bool held = !access->internal;

	WARN_ON(iommufd_object_remove(ictx, &access->obj, access->obj.id));
	if (held)
		iommufd_ctx_put(ictx);
}

int iommufd_access_attach(struct iommufd_access *access, u32 ioas_id)
{
	if (WARN_ON(access->ioas))
		return -EINVAL;
	return access_change_ioas_id(access, ioas_id);
}

int iommufd_access_replace(struct iommufd_access *access, u32 ioas_id)
{
	if (!access->ioas)
		return -ENOENT;
	return access_change_ioas_id(access, ioas_id);
}

void iommufd_access_detach(struct iommufd_access *access)
{
	if (!WARN_ON(!access->ioas))
		WARN_ON(access_change_ioas(access, NULL));
}

void iommufd_access_notify_unmap(struct io_pagetable *iopt, u64 iova, u64 length)
{
	struct iommufd_access *access;
	u64 index;

	xa_for_each(&iopt->access_list, index, access) {
		if (access->ops->unmap)
			access->ops->unmap(access->data, iova, length);
	}
}

static u64 iova_to_index(const struct iopt_area *area, u64 iova)
{
	return iopt_area_start_byte(area, iova) / PAGE_SIZE;
}

static bool area_permits(const struct iopt_area *area, unsigned int flags)
{
	return area->iommu_prot &
	       (flags & IOMMUFD_ACCESS_RW_WRITE ? IOMMU_WRITE : IOMMU_READ);
}

/* Each area over [iova, last] has the range of it pinned; there are no holes. */
static void unpin_range(struct io_pagetable *iopt, u64 iova, u64 last, bool internal)
{
	for (;;) {
		struct iopt_area *area = iopt_area_iter_first(iopt, iova, iova);
		u64 end;

		if (WARN_ON(!area))
			return;
		end = min(last, area->node.last);
		iopt_area_remove_access(area, iova_to_index(area, iova),
					iova_to_index(area, end), internal);
		if (end == last)
			return;
		iova = end + 1;
	}
}

void iommufd_access_unpin_pages(struct iommufd_access *access, u64 iova, u64 length)
{
	u64 last = iova;

	if (WARN_ON(!length || check_add_overflow(iova, length - 1, &last)) ||
	    WARN_ON(!access->ioas_unpin))
		return;
	unpin_range(&access->ioas_unpin->iopt, iova, last, access->internal);
}

int iommufd_access_pin_pages(struct iommufd_access *access, u64 iova, u64 length,
			     phys_addr_t *out, unsigned int flags)
{
	struct io_pagetable *iopt;
	u64 at = iova, last;
	int rc;

	if (WARN_ON(access->iova_alignment != PAGE_SIZE))
		return -EINVAL;
	if (!length)
		return -EINVAL;
	if (check_add_overflow(iova, length - 1, &last))
		return -EOVERFLOW;
	if (!access->ioas)
		return -ENOENT;
	iopt = &access->ioas->iopt;
	for (;;) {
		struct iopt_area *area = iopt_area_iter_first(iopt, at, at);
		u64 end, first_index, last_index;

		rc = -ENOENT;
		if (!area)
			goto err_unpin;
		end = min(last, area->node.last);
		first_index = iova_to_index(area, at);
		last_index = iova_to_index(area, end);
		rc = -EINVAL;
		/* Only the last page of the whole may be in part. */
		if (area->prevent_access || iopt_area_start_byte(area, at) % PAGE_SIZE ||
		    (end != last &&
		     iopt_area_start_byte(area, end) % PAGE_SIZE != PAGE_SIZE - 1))
			goto err_unpin;
		rc = -EPERM;
		if (!area_permits(area, flags))
			goto err_unpin;
		rc = iopt_area_add_access(area, first_index, last_index, out, flags,
					  access->internal);
		if (rc)
			goto err_unpin;
		if (end == last)
			return 0;
		out += last_index - first_index + 1;
		at = end + 1;
	}

err_unpin:
	if (at != iova)
		unpin_range(iopt, iova, at - 1, access->internal);
	return rc;
}

int iommufd_access_rw(struct iommufd_access *access, struct call *call, u64 iova,
		      void *data, u64 length, unsigned int flags)
{
	u64 last;

	if (!length)
		return -EINVAL;
	if (check_add_overflow(iova, length - 1, &last))
		return -EOVERFLOW;
	if (!access->ioas)
		return -ENOENT;
	for (;;) {
		struct iopt_area *area =
			iopt_area_iter_first(&access->ioas->iopt, iova, iova);
		u64 end;
		int rc;

		if (!area)
			return -ENOENT;
		end = min(last, area->node.last);
		if (area->prevent_access)
			return -EINVAL;
		if (!area_permits(area, flags))
			return -EPERM;
		rc = iopt_pages_rw_access(area->pages, call,
					  iopt_area_start_byte(area, iova), data,
					  end - iova + 1, flags);
		if (rc || end == last)
			return rc;
		data = (u8 *)data + (end - iova + 1);
		iova = end + 1;
	}
}
