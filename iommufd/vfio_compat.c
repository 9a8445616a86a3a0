// SPDX-License-Identifier: MIT
/*
 * The container's ioctls on an iommufd: they act on the context's compatibility IOAS,
 * which VFIO makes when an iommufd is set as the container of a group. What differs from
 * type1 is Linux's choice (drivers/iommu/iommufd/vfio_compat.c): no dirty pages, no vaddr
 * update, a version 1 table without large pages so that any part can be unmapped.
 */
#include "iommufd/iommufd.h"
#include "moat/uapi/vfio.h"

#define CAP_SYS_RAWIO 17

static struct iommufd_ioas *get_compat_ioas(struct iommufd_ctx *ictx)
{
	return ictx->vfio_ioas ? ictx->vfio_ioas : ERR_PTR(-ENODEV);
}

int iommufd_vfio_compat_ioas_get_id(struct iommufd_ctx *ictx, u32 *out_ioas_id)
{
	struct iommufd_ioas *ioas = get_compat_ioas(ictx);

	if (IS_ERR(ioas))
		return (int)PTR_ERR(ioas);
	*out_ioas_id = ioas->obj.id;
	return 0;
}

int iommufd_vfio_compat_set_no_iommu(struct iommufd_ctx *ictx)
{
	if (ictx->vfio_ioas)
		return -EINVAL;
	ictx->no_iommu_mode = true;
	return 0;
}

int iommufd_vfio_compat_ioas_create(struct iommufd_ctx *ictx)
{
	struct iommufd_ioas *ioas;

	if (ictx->no_iommu_mode)
		return -EINVAL;
	if (ictx->vfio_ioas)
		return 0;
	ioas = iommufd_ioas_alloc(ictx);
	if (IS_ERR(ioas))
		return (int)PTR_ERR(ioas);
	ictx->vfio_ioas = ioas;
	iommufd_object_finalize(ictx, &ioas->obj);
	return 0;
}

int iommufd_vfio_ioas(struct iommufd_ucmd *ucmd)
{
	struct iommu_vfio_ioas *cmd = ucmd->cmd;
	struct iommufd_ioas *ioas;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	switch (cmd->op) {
	case IOMMU_VFIO_IOAS_GET:
		ioas = get_compat_ioas(ucmd->ictx);
		if (IS_ERR(ioas))
			return (int)PTR_ERR(ioas);
		cmd->ioas_id = ioas->obj.id;
		return iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	case IOMMU_VFIO_IOAS_SET:
		ioas = iommufd_get_ioas(ucmd->ictx, cmd->ioas_id);
		if (IS_ERR(ioas))
			return (int)PTR_ERR(ioas);
		ucmd->ictx->vfio_ioas = ioas;
		return 0;
	case IOMMU_VFIO_IOAS_CLEAR:
		ucmd->ictx->vfio_ioas = NULL;
		return 0;
	}
	return -EOPNOTSUPP;
}

static int vfio_map_dma(struct iommufd_ctx *ictx, struct call *call, u64 arg)
{
	const u32 supported = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
	struct vfio_iommu_type1_dma_map map;
	struct iommufd_ioas *ioas;
	int prot = IOMMU_CACHE;
	u64 iova;
	int rc;

	rc = copy_from_user(call, &map, arg, sizeof(map));
	if (rc)
		return rc;
	if (map.argsz < sizeof(map) || (map.flags & ~supported))
		return -EINVAL;
	if (map.flags & VFIO_DMA_MAP_FLAG_READ)
		prot |= IOMMU_READ;
	if (map.flags & VFIO_DMA_MAP_FLAG_WRITE)
		prot |= IOMMU_WRITE;
	ioas = get_compat_ioas(ictx);
	if (IS_ERR(ioas))
		return (int)PTR_ERR(ioas);
	iova = map.iova;
	return iopt_map_user_pages(ictx, &ioas->iopt, call, &iova, map.vaddr, map.size,
				   prot, 0);
}

static int vfio_unmap_dma(struct iommufd_ctx *ictx, struct call *call, u64 arg)
{
	struct vfio_iommu_type1_dma_unmap unmap;
	struct iommufd_ioas *ioas;
	u64 unmapped = 0;
	int rc, rc_copy;

	rc = copy_from_user(call, &unmap, arg, sizeof(unmap));
	if (rc)
		return rc;
	if (unmap.argsz < sizeof(unmap) || (unmap.flags & ~VFIO_DMA_UNMAP_FLAG_ALL))
		return -EINVAL;
	ioas = get_compat_ioas(ictx);
	if (IS_ERR(ioas))
		return (int)PTR_ERR(ioas);
	if (unmap.flags & VFIO_DMA_UNMAP_FLAG_ALL) {
		if (unmap.iova || unmap.size)
			return -EINVAL;
		rc = iopt_unmap_all(&ioas->iopt, call, &unmapped);
	} else {
		if (ioas->iopt.disable_large_pages) {
			const u64 cuts[] = {unmap.iova + unmap.size - 1, unmap.iova - 1};

			rc = iopt_cut_iova(&ioas->iopt, cuts, unmap.iova ? 2 : 1);
			if (rc)
				return rc;
		}
		rc = iopt_unmap_iova(&ioas->iopt, call, unmap.iova, unmap.size,
				     &unmapped);
	}
	unmap.size = unmapped;
	rc_copy = copy_to_user(call, arg, &unmap, sizeof(unmap));
	return rc_copy ? rc_copy : rc;
}

static int vfio_cc_iommu(struct iommufd_ctx *ictx)
{
	struct iommufd_ioas *ioas = get_compat_ioas(ictx);
	struct iommufd_hwpt_paging *hwpt_paging;

	if (IS_ERR(ioas))
		return (int)PTR_ERR(ioas);
	list_for_each_entry(hwpt_paging, &ioas->hwpt_list, hwpt_item) {
		if (!hwpt_paging->enforce_cache_coherency)
			return 0;
	}
	return 1;
}

static int vfio_check_extension(struct iommufd_ctx *ictx, u64 type)
{
	switch (type) {
	case VFIO_TYPE1_IOMMU:
	case VFIO_TYPE1v2_IOMMU:
	case VFIO_UNMAP_ALL:
		return !ictx->no_iommu_mode;
	case VFIO_NOIOMMU_IOMMU:
		return 1;
	case VFIO_DMA_CC_IOMMU:
		return vfio_cc_iommu(ictx);
	}
	return 0;
}

static int vfio_set_iommu(struct iommufd_ctx *ictx, struct call *call, u64 type)
{
	struct iommufd_ioas *ioas;

	if (type == VFIO_NOIOMMU_IOMMU && ictx->no_iommu_mode)
		return call_capable(call, CAP_SYS_RAWIO) ? 0 : -EPERM;
	if ((type != VFIO_TYPE1_IOMMU && type != VFIO_TYPE1v2_IOMMU) ||
	    ictx->no_iommu_mode)
		return -EINVAL;
	ioas = get_compat_ioas(ictx);
	if (IS_ERR(ioas))
		return (int)PTR_ERR(ioas);
	return type == VFIO_TYPE1_IOMMU ? iopt_disable_large_pages(&ioas->iopt) : 0;
}

static u64 get_pagesizes(struct iommufd_ioas *ioas)
{
	u64 bitmap = ~0ULL;

	for (unsigned int i = 0; i < ioas->iopt.nr_domains; i++)
		bitmap &= ioas->iopt.domains[i]->pgsize_bitmap;
	/* Sub-page sizes are of no use to a program of whole pages. */
	if (bitmap & ~PAGE_MASK)
		bitmap = (bitmap & PAGE_MASK) | PAGE_SIZE;
	return max(bitmap, ioas->iopt.iova_alignment);
}

/*
 * Each capability is written if all of it fits, ranges one by one; the length is what it
 * would need. @avail 0: only the length.
 */
static long fill_cap_dma_avail(struct iommufd_ioas *ioas, struct call *call, u64 at,
			       u64 avail)
{
	struct vfio_iommu_type1_info_dma_avail cap = {
		.header = {.id = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, .version = 1},
		.avail = UINT32_MAX,
	};
	int rc;

	if (avail >= sizeof(cap)) {
		rc = copy_to_user(call, at, &cap, sizeof(cap));
		if (rc)
			return rc;
	}
	return sizeof(cap);
}

static long fill_cap_iova(struct iommufd_ioas *ioas, struct call *call, u64 at, u64 avail)
{
	struct vfio_iommu_type1_info_cap_iova_range cap = {
		.header = {.id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, .version = 1},
	};
	struct interval_tree_span_iter span;
	u64 size = sizeof(cap);
	int rc;

	interval_tree_for_each_span(&span, &ioas->iopt.reserved_itree, 0, ~0ULL)
	{
		struct vfio_iova_range range = {.start = span.start, .end = span.last};

		if (!span.is_hole)
			continue;
		if (avail >= size + sizeof(range)) {
			rc = copy_to_user(call, at + size, &range, sizeof(range));
			if (rc)
				return rc;
		}
		size += sizeof(range);
		cap.nr_iovas++;
	}
	if (avail >= size) {
		rc = copy_to_user(call, at, &cap, sizeof(cap));
		if (rc)
			return rc;
	}
	return (long)size;
}

static int vfio_iommu_get_info(struct iommufd_ctx *ictx, struct call *call, u64 arg)
{
	static long (*const fill[])(struct iommufd_ioas * ioas, struct call * call,
				    u64 at,
				    u64 avail) = {fill_cap_dma_avail, fill_cap_iova};
	const size_t minsz = offsetof(struct vfio_iommu_type1_info, cap_offset);
	struct vfio_iommu_type1_info info = {};
	u64 total = sizeof(info), last_cap = 0;
	struct iommufd_ioas *ioas;
	int rc;

	rc = copy_from_user(call, &info, arg, minsz);
	if (rc)
		return rc;
	if (info.argsz < minsz)
		return -EINVAL;
	ioas = get_compat_ioas(ictx);
	if (IS_ERR(ioas))
		return (int)PTR_ERR(ioas);
	for (size_t i = 0; i < ARRAY_SIZE(fill); i++) {
		u64 avail = info.argsz > total ? info.argsz - total : 0;
		long size = fill[i](ioas, call, arg + total, avail);

		if (size < 0)
			return (int)size;
		if (last_cap && info.argsz >= total) {
			u32 next = (u32)total;

			rc = copy_to_user(call,
					  arg + last_cap +
						  offsetof(struct vfio_info_cap_header,
							   next),
					  &next, sizeof(next));
			if (rc)
				return rc;
		}
		last_cap = total;
		total += ALIGN((u64)size, sizeof(u64));
	}
	info.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	info.iova_pgsizes = get_pagesizes(ioas);
	info.cap_offset = info.argsz >= total ? sizeof(info) : 0;
	rc = (int)min_t(size_t, info.argsz, sizeof(info));
	info.argsz = (u32)total;
	return copy_to_user(call, arg, &info, (size_t)rc);
}

long iommufd_vfio_ioctl(struct iommufd_ctx *ictx, struct call *call, unsigned cmd,
			u64 arg)
{
	switch (cmd) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_SET_IOMMU:
		return vfio_set_iommu(ictx, call, arg);
	case VFIO_CHECK_EXTENSION:
		return vfio_check_extension(ictx, arg);
	case VFIO_IOMMU_GET_INFO:
		return vfio_iommu_get_info(ictx, call, arg);
	case VFIO_IOMMU_MAP_DMA:
		return vfio_map_dma(ictx, call, arg);
	case VFIO_IOMMU_UNMAP_DMA:
		return vfio_unmap_dma(ictx, call, arg);
	}
	return -ENOTTY;
}
