// SPDX-License-Identifier: MIT
/*
 * Memory that a driver shares with its device. Linux gathers scattered pages and makes
 * them contiguous for the CPU with page tables; machine RAM has none in front of it, so
 * what the CPU is to see in one piece is one piece (a power of two of pages), and only
 * dma_alloc_noncontiguous() gathers. Source: drivers/iommu/dma-iommu.c, kernel/dma/.
 */
#include "dma/core.h"

#include "base/alloc.h"

/* Pieces of a gathered allocation are this large where such are free. */
#define PIECE_ORDER 9
#define MAX_PIECES  65536

static struct dma_debug *checker(const struct device *dev)
{
	return dma_core(dev)->debug;
}

/* Whether the memory at @phys serves a device that is addressed directly. */
static bool reachable(struct device *dev, phys_addr_t phys, u64 size, u64 mask)
{
	return use_dma_iommu(dev) || dev->mapping || dma_capable(dev, phys, size, mask);
}

static dma_addr_t map_for(struct device *dev, phys_addr_t phys, u64 size,
			  enum dma_data_direction dir, u64 mask)
{
	if (dev->mapping)
		return dma_arm_map(dev, phys, size, dma_prot(dir, 0));
	if (use_dma_iommu(dev))
		return dma_iommu_map(dev, phys, size, dma_prot(dir, 0), mask);
	return phys;
}

static void unmap_for(struct device *dev, dma_addr_t addr, u64 size)
{
	if (dev->mapping)
		dma_arm_unmap(dev, addr, size);
	else if (use_dma_iommu(dev))
		dma_iommu_unmap(dev, addr, size);
}

static int alloc_mapped(struct device *dev, u64 size, enum dma_data_direction dir,
			u64 mask, phys_addr_t *phys, dma_addr_t *handle)
{
	unsigned order;

	if (!dma_core(dev) || !size || size > HW_MAX_RAM || dir > DMA_FROM_DEVICE)
		return -ENOMEM;
	size = ALIGN(size, PAGE_SIZE);
	order = dma_get_order(size);
	if (ram_alloc_pages(dev->machine, order, phys))
		return -ENOMEM;
	*handle = DMA_MAPPING_ERROR;
	if (reachable(dev, *phys, size, mask))
		*handle = map_for(dev, *phys, size, dir, mask);
	if (*handle == DMA_MAPPING_ERROR) {
		ram_free_pages(dev->machine, *phys, order);
		return -ENOMEM;
	}
	return 0;
}

static void free_mapped(struct device *dev, u64 size, phys_addr_t phys, dma_addr_t handle)
{
	size = ALIGN(size, PAGE_SIZE);
	unmap_for(dev, handle, size);
	ram_free_pages(dev->machine, phys, dma_get_order(size));
}

void *dma_alloc_attrs(struct device *dev, u64 size, dma_addr_t *handle, u32 attrs)
{
	u64 mask = dev->coherent_dma_mask;
	struct dma_debug *debug;
	phys_addr_t phys;

	if (!mask || attrs & DMA_ATTR_MMIO ||
	    alloc_mapped(dev, size, DMA_BIDIRECTIONAL, mask, &phys, handle))
		return NULL;
	debug = checker(dev);
	if (debug)
		dma_debug_map(debug, &(struct dma_debug_ref){dev, DMA_DEBUG_COHERENT,
							     DMA_BIDIRECTIONAL, *handle,
							     size, phys, 0});
	return ram_ptr(&dev->machine->hw, phys, size);
}

void dma_free_attrs(struct device *dev, u64 size, void *cpu_addr, dma_addr_t handle,
		    u32 attrs)
{
	struct dma_debug *debug;
	phys_addr_t phys;

	if (!cpu_addr || !dma_core(dev) || !dma_virt_to_phys(dev, cpu_addr, size, &phys))
		return;
	debug = checker(dev);
	if (debug)
		dma_debug_unmap(debug, &(struct dma_debug_ref){dev, DMA_DEBUG_COHERENT,
							       DMA_BIDIRECTIONAL, handle,
							       size, phys, 0});
	free_mapped(dev, size, phys, handle);
}

int dma_alloc_pages(struct device *dev, u64 size, phys_addr_t *page, dma_addr_t *handle,
		    enum dma_data_direction dir)
{
	int ret = alloc_mapped(dev, size, dir, dev->coherent_dma_mask, page, handle);

	if (!ret && checker(dev))
		dma_debug_map(checker(dev),
			      &(struct dma_debug_ref){dev, DMA_DEBUG_NONCOHERENT, dir,
						      *handle, size, *page, 0});
	return ret;
}

void dma_free_pages(struct device *dev, u64 size, phys_addr_t page, dma_addr_t handle,
		    enum dma_data_direction dir)
{
	if (!dma_core(dev))
		return;
	if (checker(dev))
		dma_debug_unmap(checker(dev),
				&(struct dma_debug_ref){dev, DMA_DEBUG_NONCOHERENT, dir,
							handle, size, page, 0});
	free_mapped(dev, size, page, handle);
}

/* --- gathered --------------------------------------------------------------------- */

static void free_pieces(struct device *dev, struct sg_table *sgt)
{
	for (unsigned i = 0; i < sgt->orig_nents; i++)
		ram_free_pages(dev->machine, sgt->sgl[i].phys,
			       dma_get_order(sgt->sgl[i].length));
	kfree(sgt->sgl);
	kfree(sgt);
}

/* The largest pieces that there are: few entries, few page-table writes. */
static struct sg_table *alloc_pieces(struct device *dev, u64 size)
{
	struct sg_table *sgt = kzalloc(sizeof(*sgt));
	unsigned max = 0, order = PIECE_ORDER;

	while (sgt && size) {
		phys_addr_t phys;

		while (order && PAGE_SIZE << order > size)
			order--;
		if (sgt->orig_nents == max) {
			struct scatterlist *sgl;

			max = max ? max * 2 : 16;
			sgl = max <= MAX_PIECES
				      ? krealloc_array(sgt->sgl, max, sizeof(*sgl))
				      : NULL;
			if (!sgl)
				break;
			sgt->sgl = sgl;
		}
		if (ram_alloc_pages(dev->machine, order, &phys)) {
			if (!order)
				break;
			order--;
			continue;
		}
		sg_init_table(&sgt->sgl[sgt->orig_nents], 1);
		sg_set_phys(&sgt->sgl[sgt->orig_nents++], phys,
			    (u32)(PAGE_SIZE << order));
		size -= PAGE_SIZE << order;
	}
	if (sgt && size) {
		free_pieces(dev, sgt);
		sgt = NULL;
	}
	return sgt;
}

static int map_pieces(struct device *dev, struct sg_table *sgt, u64 size,
		      enum dma_data_direction dir)
{
	struct iommu_domain *domain;
	struct dma_cookie *cookie = dma_cookie_of(dev, &domain);
	dma_addr_t iova;
	int ret;

	if (!cookie)
		return -ENOMEM;
	if (unlikely(dev->iommu->attach_deferred)) {
		ret = iommu_deferred_attach(dev, domain);
		if (ret)
			return ret;
	}
	iova = dma_alloc_iova(cookie, size, dev->coherent_dma_mask, dev);
	if (!iova)
		return -ENOMEM;
	ret = dma_iommu_map_list(domain, iova, sgt->sgl, sgt->orig_nents,
				 dma_prot(dir, 0));
	if (ret) {
		dma_free_iova(cookie, iova, size);
		return ret;
	}
	sgt->sgl[0].dma_address = iova;
	return 0;
}

struct sg_table *dma_alloc_noncontiguous(struct device *dev, u64 size,
					 enum dma_data_direction dir, u32 attrs)
{
	struct sg_table *sgt;
	u64 aligned;

	if (!dma_core(dev) || !size || size > HW_MAX_RAM || dir > DMA_FROM_DEVICE ||
	    attrs & ~DMA_ATTR_NO_WARN)
		return NULL;
	aligned = ALIGN(size, PAGE_SIZE);
	if (use_dma_iommu(dev) && !dev->mapping) {
		sgt = alloc_pieces(dev, aligned);
		if (sgt && map_pieces(dev, sgt, aligned, dir)) {
			free_pieces(dev, sgt);
			sgt = NULL;
		}
	} else {
		sgt = kzalloc(sizeof(*sgt));
		if (sgt)
			sgt->sgl = kzalloc(sizeof(*sgt->sgl));
		if (!sgt || !sgt->sgl ||
		    alloc_mapped(dev, size, dir, dev->coherent_dma_mask,
				 &sgt->sgl[0].phys, &sgt->sgl[0].dma_address)) {
			if (sgt)
				kfree(sgt->sgl);
			kfree(sgt);
			return NULL;
		}
		sgt->orig_nents = 1;
		sgt->sgl[0].length = (u32)aligned;
	}
	if (!sgt)
		return NULL;
	sgt->nents = 1;
	sgt->sgl[0].dma_length = (u32)aligned;
	if (checker(dev))
		dma_debug_map(checker(dev),
			      &(struct dma_debug_ref){dev, DMA_DEBUG_NONCOHERENT, dir,
						      sgt->sgl[0].dma_address, size,
						      sgt->sgl[0].phys, 0});
	return sgt;
}

void dma_free_noncontiguous(struct device *dev, u64 size, struct sg_table *sgt,
			    enum dma_data_direction dir)
{
	if (!sgt || !dma_core(dev))
		return;
	if (checker(dev))
		dma_debug_unmap(checker(dev),
				&(struct dma_debug_ref){dev, DMA_DEBUG_NONCOHERENT, dir,
							sgt->sgl[0].dma_address, size, 0,
							0});
	unmap_for(dev, sgt->sgl[0].dma_address, ALIGN(size, PAGE_SIZE));
	free_pieces(dev, sgt);
}
