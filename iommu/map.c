// SPDX-License-Identifier: MIT
/*
 * Mapping and unmapping. A range is cut into runs of pages of one size, the largest
 * that the alignment of both addresses and the length allow; a domain whose
 * page-table code cuts ranges itself (map_range) gets them whole. The caller keeps
 * others off the range, so nothing here locks. Source: drivers/iommu/iommu.c
 * (iommu_pgsize, __iommu_map_domain_pgtbl, __iommu_unmap).
 */
#define LOG_SUBSYSTEM "iommu"
#include "iommu/core.h"

#include "base/bitmap.h"
#include "base/overflow.h"

static u64 smallest_page(const struct iommu_domain *domain)
{
	return domain->pgsize_bitmap & -domain->pgsize_bitmap;
}

/*
 * The page size for the start of a range, and how many such pages until a larger one
 * fits or the range ends. @size is at least the smallest page, all are aligned to it.
 */
static u64 pick_page(const struct iommu_domain *domain, iova_t iova, phys_addr_t paddr,
		     u64 size, u64 *count)
{
	u64 merged = paddr | iova;
	u64 sizes, pgsize, next, offset, end;

	sizes = domain->pgsize_bitmap & GENMASK_ULL(__fls(size), 0);
	if (merged)
		sizes &= GENMASK_ULL(__ffs64(merged), 0);
	pgsize = 1ULL << __fls(sizes);

	sizes = domain->pgsize_bitmap & ~GENMASK_ULL(__fls(sizes), 0);
	if (sizes) {
		next = sizes & -sizes;
		/* Only if both reach the larger size's boundary at once. */
		if (!((iova ^ paddr) & (next - 1))) {
			offset = next - (merged & (next - 1));
			if (!check_add_overflow(offset, next, &end) && end <= size)
				size = offset;
		}
	}
	*count = size >> __fls(pgsize);
	return pgsize;
}

static int map_pages(struct iommu_domain *domain, iova_t iova, phys_addr_t paddr,
		     u64 size, int prot)
{
	const struct iommu_domain_ops *ops = domain->ops;
	iova_t orig_iova = iova;
	u64 orig_size = size;
	iova_t last;
	int ret = 0;

	if (unlikely(!(domain->type & __IOMMU_DOMAIN_PAGING)))
		return -EINVAL;
	if (unlikely(!ops->map_pages || !domain->pgsize_bitmap))
		return -ENODEV;
	if (!IS_ALIGNED(iova | paddr | size, smallest_page(domain)))
		return -EINVAL;
	if (!size)
		return 0;
	if (check_add_overflow(iova, size - 1, &last) ||
	    check_add_overflow(paddr, size - 1, &last))
		return -EOVERFLOW;

	while (size) {
		u64 pgsize, count, mapped = 0;

		pgsize = pick_page(domain, iova, paddr, size, &count);
		ret = ops->map_pages(domain, iova, paddr, pgsize, count, prot, &mapped);
		/* Some pages may have been mapped before it failed. */
		size -= mapped;
		if (ret)
			break;
		iova += mapped;
		paddr += mapped;
	}
	if (ret && orig_size != size)
		iommu_unmap(domain, orig_iova, orig_size - size);
	return ret;
}

int iommu_map_nosync(struct iommu_domain *domain, iova_t iova, phys_addr_t paddr,
		     u64 size, int prot)
{
	u64 mapped = 0;
	int ret;

	if (likely(domain->ops->map_range)) {
		ret = domain->ops->map_range(domain, iova, paddr, size, prot, &mapped);
		if (unlikely(ret) && mapped)
			iommu_unmap(domain, iova, mapped);
	} else {
		ret = map_pages(domain, iova, paddr, size, prot);
	}
	if (likely(!ret))
		iommu_trace(map, domain, iova, paddr, size, prot);
	return ret;
}

int iommu_sync_map(struct iommu_domain *domain, iova_t iova, u64 size)
{
	if (!domain->ops->iotlb_sync_map)
		return 0;
	return domain->ops->iotlb_sync_map(domain, iova, size);
}

int iommu_map(struct iommu_domain *domain, iova_t iova, phys_addr_t paddr, u64 size,
	      int prot)
{
	int ret = iommu_map_nosync(domain, iova, paddr, size, prot);

	if (unlikely(ret))
		return ret;
	ret = iommu_sync_map(domain, iova, size);
	if (unlikely(ret))
		iommu_unmap(domain, iova, size);
	return ret;
}

static u64 unmap_pages(struct iommu_domain *domain, iova_t iova, u64 size,
		       struct iommu_iotlb_gather *gather)
{
	const struct iommu_domain_ops *ops = domain->ops;
	u64 unmapped = 0, done;

	if (unlikely(!(domain->type & __IOMMU_DOMAIN_PAGING)))
		return 0;
	if (unlikely(!ops->unmap_pages || !domain->pgsize_bitmap))
		return 0;
	if (!IS_ALIGNED(iova | size, smallest_page(domain)))
		return 0;

	while (unmapped < size) {
		u64 pgsize, count;

		pgsize = pick_page(domain, iova, iova, size - unmapped, &count);
		done = ops->unmap_pages(domain, iova, pgsize, count, gather);
		if (!done)
			break;
		/* A driver that gathers nothing invalidates all that was asked for. */
		if (gather->start >= gather->end)
			iommu_iotlb_gather_add_range(gather, iova, size);
		iova += done;
		unmapped += done;
	}
	return unmapped;
}

u64 iommu_unmap_fast(struct iommu_domain *domain, iova_t iova, u64 size,
		     struct iommu_iotlb_gather *gather)
{
	u64 unmapped;

	if (likely(domain->ops->unmap_range))
		unmapped = domain->ops->unmap_range(domain, iova, size, gather);
	else
		unmapped = unmap_pages(domain, iova, size, gather);
	iommu_trace(unmap, domain, iova, size, unmapped);
	return unmapped;
}

u64 iommu_unmap(struct iommu_domain *domain, iova_t iova, u64 size)
{
	struct iommu_iotlb_gather gather;
	u64 unmapped;

	iommu_iotlb_gather_init(&gather);
	unmapped = iommu_unmap_fast(domain, iova, size, &gather);
	iommu_iotlb_sync(domain, &gather);
	return unmapped;
}

phys_addr_t iommu_iova_to_phys(struct iommu_domain *domain, iova_t iova)
{
	if (domain->type == IOMMU_DOMAIN_IDENTITY)
		return iova;
	if (domain->type == IOMMU_DOMAIN_BLOCKED || !domain->ops->iova_to_phys)
		return 0;
	return domain->ops->iova_to_phys(domain, iova);
}
