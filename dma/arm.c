// SPDX-License-Identifier: MIT
/*
 * The DMA mappings of 32-bit ARM: a driver makes a range of addresses with a domain of
 * its own and attaches devices to it by hand, default domains notwithstanding. Addresses
 * are given out from the bottom, aligned to the size up to 1 MiB, first fit; a granule is
 * a page. Source: arch/arm/mm/dma-mapping.c.
 */
#include "dma/core.h"

#include "base/alloc.h"
#include "base/bitmap.h"
#include "base/overflow.h"
#include "base/refcount.h"

/* CONFIG_ARM_DMA_IOMMU_ALIGNMENT */
#define MAX_ALIGN_ORDER 8U

struct dma_iommu_mapping {
	struct refcount ref;
	struct iommu_domain *domain;
	dma_addr_t base;
	u64 pages;
	struct mutex lock; /* used */
	u64 *used;	   /* a bit a page */
};

struct dma_iommu_mapping *arm_iommu_create_mapping(struct device *dev, dma_addr_t base,
						   u64 size)
{
	struct dma_iommu_mapping *mapping;
	int ret = -ENOMEM;

	if (size > DMA_BIT_MASK(32) + 1)
		return ERR_PTR(-ERANGE);
	if (size < PAGE_SIZE || base > DMA_BIT_MASK(32) || base & (PAGE_SIZE - 1) ||
	    size - 1 > DMA_BIT_MASK(32) - base)
		return ERR_PTR(-EINVAL);
	mapping = kzalloc(sizeof(*mapping));
	if (!mapping)
		return ERR_PTR(-ENOMEM);
	mapping->base = base;
	mapping->pages = size >> PAGE_SHIFT;
	mapping->used = kcalloc(DIV_ROUND_UP(mapping->pages, 64), sizeof(u64));
	if (!mapping->used)
		goto err_free;
	mapping->domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(mapping->domain)) {
		ret = (int)PTR_ERR(mapping->domain);
		goto err_free_used;
	}
	mutex_init(&mapping->lock);
	refcount_set(&mapping->ref, 1);
	return mapping;

err_free_used:
	kfree(mapping->used);
err_free:
	kfree(mapping);
	return ERR_PTR(ret);
}

void arm_iommu_release_mapping(struct dma_iommu_mapping *mapping)
{
	if (!mapping || !refcount_dec_and_test(&mapping->ref))
		return;
	iommu_domain_free(mapping->domain);
	mutex_destroy(&mapping->lock);
	kfree(mapping->used);
	kfree(mapping);
}

int arm_iommu_attach_device(struct device *dev, struct dma_iommu_mapping *mapping)
{
	int ret = iommu_attach_device(mapping->domain, dev);

	if (ret)
		return ret;
	refcount_inc(&mapping->ref);
	dev->mapping = mapping;
	return 0;
}

void arm_iommu_detach_device(struct device *dev)
{
	struct dma_iommu_mapping *mapping = dev->mapping;

	if (!mapping)
		return;
	iommu_detach_device(mapping->domain, dev);
	dev->mapping = NULL;
	arm_iommu_release_mapping(mapping);
}

static bool page_used(const struct dma_iommu_mapping *m, u64 page)
{
	return m->used[page / 64] >> (page % 64) & 1;
}

static void set_pages(struct dma_iommu_mapping *m, u64 page, u64 nr, bool used)
{
	for (; nr--; page++) {
		u64 bit = 1ULL << (page % 64);

		if (used)
			m->used[page / 64] |= bit;
		else
			m->used[page / 64] &= ~bit;
	}
}

static bool take_pages(struct dma_iommu_mapping *m, u64 nr, u64 limit, u64 *page)
{
	u64 align = 1ULL << min(dma_get_order(nr << PAGE_SHIFT), MAX_ALIGN_ORDER);
	u64 at = 0;

	guard(mutex)(&m->lock);
	while (nr <= m->pages && at <= m->pages - nr) {
		u64 n = 0;

		if (m->base + ((at + nr) << PAGE_SHIFT) - 1 > limit)
			return false;
		while (n < nr && !page_used(m, at + n))
			n++;
		if (n == nr) {
			set_pages(m, at, nr, true);
			*page = at;
			return true;
		}
		at = ALIGN(at + n + 1, align);
	}
	return false;
}

dma_addr_t dma_arm_map(struct device *dev, phys_addr_t phys, u64 size, int prot)
{
	struct dma_iommu_mapping *m = dev->mapping;
	u64 offset = phys & (PAGE_SIZE - 1), page;
	dma_addr_t addr;

	if (!size || check_add_overflow(size, offset + PAGE_SIZE - 1, &size))
		return DMA_MAPPING_ERROR;
	size &= PAGE_MASK;
	if (!take_pages(m, size >> PAGE_SHIFT, dma_get_mask(dev), &page))
		return DMA_MAPPING_ERROR;
	addr = m->base + (page << PAGE_SHIFT);
	if (iommu_map(m->domain, addr, phys - offset, size, prot)) {
		mutex_lock(&m->lock);
		set_pages(m, page, size >> PAGE_SHIFT, false);
		mutex_unlock(&m->lock);
		return DMA_MAPPING_ERROR;
	}
	return addr + offset;
}

void dma_arm_unmap(struct device *dev, dma_addr_t addr, u64 size)
{
	struct dma_iommu_mapping *m = dev->mapping;
	u64 offset = addr & (PAGE_SIZE - 1), last;

	addr -= offset;
	if (!size || check_add_overflow(size, offset + PAGE_SIZE - 1, &size))
		return;
	size &= PAGE_MASK;
	if (addr < m->base || check_add_overflow(addr - m->base, size - 1, &last) ||
	    last >> PAGE_SHIFT >= m->pages)
		return;
	if (iommu_unmap(m->domain, addr, size) != size)
		return;
	mutex_lock(&m->lock);
	set_pages(m, (addr - m->base) >> PAGE_SHIFT, size >> PAGE_SHIFT, false);
	mutex_unlock(&m->lock);
}

phys_addr_t dma_arm_iova_to_phys(struct device *dev, dma_addr_t addr)
{
	return iommu_iova_to_phys(dev->mapping->domain, addr);
}
