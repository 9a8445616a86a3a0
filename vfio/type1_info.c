// SPDX-License-Identifier: MIT
/*
 * What a type1 container says of itself: CHECK_EXTENSION, and IOMMU_GET_INFO with its
 * chain (migration, mappings left, IOVA ranges). Source of behaviour:
 * drivers/vfio/vfio_iommu_type1.c.
 */
#include "base/overflow.h"
#include "vfio/type1.h"

long vfio_type1_check_extension(struct vfio_iommu *iommu, u64 arg)
{
	struct vfio_domain *d;

	switch (arg) {
	case VFIO_TYPE1_IOMMU:
	case VFIO_TYPE1v2_IOMMU:
	case VFIO_UNMAP_ALL:
		return 1;
	case VFIO_UPDATE_VADDR:
		return iommu != NULL;
	case VFIO_DMA_CC_IOMMU:
		if (!iommu)
			return 0;
		list_for_each_entry(d, &iommu->domain_list, next) {
			if (!d->enforce_cache_coherency)
				return 0;
		}
		return 1;
	default:
		return 0;
	}
}

static int add_migration_cap(struct vfio_iommu *iommu, struct vfio_info_cap *caps)
{
	const struct vfio_iommu_type1_info_cap_migration cap = {
		.header = {.id = VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, .version = 1},
		.pgsize_bitmap = vfio_iommu_pgsize(iommu),
		.max_dirty_bitmap_size = DIRTY_BITMAP_SIZE_MAX,
	};

	return vfio_info_add_capability(caps, &cap.header, sizeof(cap));
}

static int add_dma_avail_cap(struct vfio_iommu *iommu, struct vfio_info_cap *caps)
{
	const struct vfio_iommu_type1_info_dma_avail cap = {
		.header = {.id = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, .version = 1},
		.avail = iommu->dma_avail,
	};

	return vfio_info_add_capability(caps, &cap.header, sizeof(cap));
}

static int add_iova_cap(struct vfio_iommu *iommu, struct vfio_info_cap *caps)
{
	struct vfio_iommu_type1_info_cap_iova_range *cap;
	struct vfio_info_cap_header *header;
	struct vfio_iova *v;
	u32 n = 0;

	list_for_each_entry(v, &iommu->iova_list, list)
		n++;
	if (!n)
		return 0;
	header = vfio_info_cap_add(caps, struct_size(cap, iova_ranges, n),
				   VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 1);
	if (IS_ERR(header))
		return (int)PTR_ERR(header);
	cap = (void *)header;
	cap->nr_iovas = n;
	n = 0;
	list_for_each_entry(v, &iommu->iova_list, list)
		cap->iova_ranges[n++] = (struct vfio_iova_range){v->start, v->end};
	return 0;
}

long vfio_type1_get_info(struct vfio_iommu *iommu, struct call *call, u64 arg)
{
	const size_t minsz = offsetofend(struct vfio_iommu_type1_info, iova_pgsizes);
	struct vfio_iommu_type1_info info = {};
	struct vfio_info_cap caps = {};
	size_t size;
	int ret;

	ret = copy_from_user(call, &info, arg, minsz);
	if (ret)
		return ret;
	if (info.argsz < minsz)
		return -EINVAL;
	size = min_t(size_t, info.argsz, sizeof(info));
	info.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	info.iova_pgsizes = iommu->pgsize_bitmap;
	ret = add_migration_cap(iommu, &caps);
	if (!ret)
		ret = add_dma_avail_cap(iommu, &caps);
	if (!ret)
		ret = add_iova_cap(iommu, &caps);
	if (ret)
		goto out;
	if (info.argsz < sizeof(info) + caps.size) {
		info.argsz = (u32)(sizeof(info) + caps.size);
	} else {
		vfio_info_cap_shift(&caps, sizeof(info));
		ret = copy_to_user(call, arg + sizeof(info), caps.buf, caps.size);
		if (ret)
			goto out;
		info.cap_offset = sizeof(info);
	}
	ret = copy_to_user(call, arg, &info, size);
out:
	kfree(caps.buf);
	return ret;
}
