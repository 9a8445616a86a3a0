// SPDX-License-Identifier: MIT
/*
 * Mapping through the default domain. A mapping has whole pages of the IOMMU, so the
 * edges of an unaligned buffer show the device what lies next to it; for a device that is
 * not trusted such a buffer is bounced. The first mapping of a device that a crashed
 * kernel left running attaches it (deferred attach). Source: drivers/iommu/dma-iommu.c.
 */
#define LOG_SUBSYSTEM "dma"
#include "dma/core.h"

#include "base/log.h"
#include "base/overflow.h"

int dma_prot(enum dma_data_direction dir, u32 attrs)
{
	int prot = attrs & DMA_ATTR_MMIO ? IOMMU_MMIO : IOMMU_CACHE;

	if (attrs & DMA_ATTR_PRIVILEGED)
		prot |= IOMMU_PRIV;
	switch (dir) {
	case DMA_BIDIRECTIONAL:
		return prot | IOMMU_READ | IOMMU_WRITE;
	case DMA_TO_DEVICE:
		return prot | IOMMU_READ;
	case DMA_FROM_DEVICE:
		return prot | IOMMU_WRITE;
	default:
		return 0;
	}
}

/* @phys and @size rounded to pages; false: they wrap. */
static bool round_out(const struct dma_cookie *cookie, u64 addr, u64 *size, u64 *offset)
{
	u64 mask = cookie->iovad.granule - 1;

	*offset = addr & mask;
	if (check_add_overflow(*size, *offset + mask, size))
		return false;
	*size &= ~mask;
	return true;
}

dma_addr_t dma_iommu_map(struct device *dev, phys_addr_t phys, u64 size, int prot,
			 u64 mask)
{
	struct iommu_domain *domain;
	struct dma_cookie *cookie = dma_cookie_of(dev, &domain);
	dma_addr_t iova;
	u64 offset;

	if (unlikely(!cookie))
		return DMA_MAPPING_ERROR;
	if (unlikely(dev->iommu->attach_deferred) && iommu_deferred_attach(dev, domain))
		return DMA_MAPPING_ERROR;
	if (unlikely(dev->dma_parms.min_align_mask > cookie->iovad.granule - 1)) {
		pr_warn("%s: Unsupported alignment constraint", dev_name(dev));
		return DMA_MAPPING_ERROR;
	}
	if (unlikely(!round_out(cookie, phys, &size, &offset)))
		return DMA_MAPPING_ERROR;
	iova = dma_alloc_iova(cookie, size, mask, dev);
	if (unlikely(!iova))
		return DMA_MAPPING_ERROR;
	if (unlikely(iommu_map(domain, iova, phys - offset, size, prot))) {
		dma_free_iova(cookie, iova, size);
		return DMA_MAPPING_ERROR;
	}
	return iova + offset;
}

void dma_iommu_unmap(struct device *dev, dma_addr_t addr, u64 size)
{
	struct iommu_domain *domain;
	struct dma_cookie *cookie = dma_cookie_of(dev, &domain);
	struct iommu_iotlb_gather gather;
	u64 offset, unmapped;

	if (unlikely(!cookie || !round_out(cookie, addr, &size, &offset) || !size))
		return;
	addr -= offset;
	iommu_iotlb_gather_init(&gather);
	gather.queued = __atomic_load_n(&cookie->fq, __ATOMIC_ACQUIRE) != NULL;
	unmapped = iommu_unmap_fast(domain, addr, size, &gather);
	if (unlikely(unmapped != size)) {
		/* The driver's error. Addresses that it does not own are not made free.
		 */
		pr_warn("%s: unmap of 0x%llx bytes at 0x%llx found 0x%llx mapped",
			dev_name(dev), (unsigned long long)size, (unsigned long long)addr,
			(unsigned long long)unmapped);
		gather.queued = false;
		iommu_flush_iotlb_all(domain);
		if (!iommu_pages_list_empty(&gather.freelist))
			iommu_put_pages_list(dev->machine, &gather.freelist);
		return;
	}
	if (gather.queued) {
		unsigned shift = (unsigned)__builtin_ctzll(cookie->iovad.granule);

		dma_fq_queue(cookie, addr >> shift, size >> shift, &gather.freelist);
		return;
	}
	iommu_iotlb_sync(domain, &gather);
	dma_free_iova(cookie, addr, size);
}

dma_addr_t dma_iommu_map_phys(struct device *dev, phys_addr_t phys, u64 size,
			      enum dma_data_direction dir, u32 attrs)
{
	int prot = dma_prot(dir, attrs);
	phys_addr_t copy;
	dma_addr_t addr;

	if (likely(!dev->untrusted))
		return dma_iommu_map(dev, phys, size, prot, dma_get_mask(dev));
	if (!((phys | size) & (PAGE_SIZE - 1)))
		return dma_iommu_map(dev, phys, size, prot, dma_get_mask(dev));
	if (attrs & DMA_ATTR_MMIO || swiotlb_map(dma_core(dev), phys, size, ~0ULL, &copy))
		return DMA_MAPPING_ERROR;
	addr = dma_iommu_map(dev, copy, size, prot, dma_get_mask(dev));
	if (addr == DMA_MAPPING_ERROR)
		swiotlb_unmap(dma_core(dev), copy, DMA_NONE, attrs);
	return addr;
}

void dma_iommu_unmap_phys(struct device *dev, dma_addr_t addr, u64 size,
			  enum dma_data_direction dir, u32 attrs)
{
	phys_addr_t phys = 0;

	if (unlikely(dev->untrusted) && !(attrs & DMA_ATTR_MMIO))
		phys = iommu_iova_to_phys(iommu_get_dma_domain(dev), addr);
	dma_iommu_unmap(dev, addr, size);
	if (phys)
		swiotlb_unmap(dma_core(dev), phys, dir, attrs);
}
