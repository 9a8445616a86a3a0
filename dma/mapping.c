// SPDX-License-Identifier: MIT
/*
 * Entry points of the DMA API: check the arguments, choose the way, tell the checker.
 * Source: kernel/dma/mapping.c.
 */
#define LOG_SUBSYSTEM "dma"
#include "dma/core.h"

#include "base/bitmap.h"
#include "base/log.h"
#include "base/overflow.h"

bool dma_virt_to_phys(const struct device *dev, const void *ptr, u64 size,
		      phys_addr_t *phys)
{
	const struct hw *hw = &dev->machine->hw;
	uintptr_t base = (uintptr_t)hw->ram, at = (uintptr_t)ptr;

	if (at < base)
		return false;
	*phys = at - base;
	return ram_ptr(hw, *phys, size) != NULL;
}

static struct dma_debug *checker(const struct device *dev)
{
	struct dma_core *core = dma_core(dev);

	return core ? core->debug : NULL;
}

static bool valid(struct device *dev, enum dma_data_direction dir)
{
	return dma_core(dev) && dev->dma_mask &&
	       (dir == DMA_BIDIRECTIONAL || dir == DMA_TO_DEVICE ||
		dir == DMA_FROM_DEVICE);
}

dma_addr_t dma_do_map(struct device *dev, phys_addr_t phys, u64 size,
		      enum dma_data_direction dir, u32 attrs)
{
	if (unlikely(dev->mapping))
		return dma_arm_map(dev, phys, size, dma_prot(dir, attrs));
	if (use_dma_iommu(dev))
		return dma_iommu_map_phys(dev, phys, size, dir, attrs);
	return dma_direct_map_phys(dev, phys, size, dir, attrs);
}

void dma_do_unmap(struct device *dev, dma_addr_t addr, u64 size,
		  enum dma_data_direction dir, u32 attrs)
{
	if (unlikely(dev->mapping))
		dma_arm_unmap(dev, addr, size);
	else if (use_dma_iommu(dev))
		dma_iommu_unmap_phys(dev, addr, size, dir, attrs);
	else
		dma_direct_unmap_phys(dev, addr, size, dir, attrs);
}

static dma_addr_t map_typed(struct device *dev, phys_addr_t phys, u64 size,
			    enum dma_data_direction dir, u32 attrs,
			    enum dma_debug_type type)
{
	struct dma_debug *debug;
	dma_addr_t addr;

	if (unlikely(!valid(dev, dir)))
		return DMA_MAPPING_ERROR;
	addr = dma_do_map(dev, phys, size, dir, attrs);
	debug = checker(dev);
	if (unlikely(debug) && addr != DMA_MAPPING_ERROR)
		dma_debug_map(debug, &(struct dma_debug_ref){dev, type, dir, addr, size,
							     phys, 0});
	return addr;
}

static void unmap_typed(struct device *dev, dma_addr_t addr, u64 size,
			enum dma_data_direction dir, u32 attrs, enum dma_debug_type type)
{
	struct dma_debug *debug = checker(dev);

	if (unlikely(debug))
		dma_debug_unmap(debug, &(struct dma_debug_ref){dev, type, dir, addr, size,
							       0, 0});
	if (likely(valid(dev, dir)))
		dma_do_unmap(dev, addr, size, dir, attrs);
}

dma_addr_t dma_map_phys(struct device *dev, phys_addr_t phys, u64 size,
			enum dma_data_direction dir, u32 attrs)
{
	return map_typed(dev, phys, size, dir, attrs,
			 attrs & DMA_ATTR_MMIO ? DMA_DEBUG_RESOURCE : DMA_DEBUG_SINGLE);
}

void dma_unmap_phys(struct device *dev, dma_addr_t addr, u64 size,
		    enum dma_data_direction dir, u32 attrs)
{
	unmap_typed(dev, addr, size, dir, attrs,
		    attrs & DMA_ATTR_MMIO ? DMA_DEBUG_RESOURCE : DMA_DEBUG_SINGLE);
}

dma_addr_t dma_map_page_attrs(struct device *dev, phys_addr_t page, u64 offset, u64 size,
			      enum dma_data_direction dir, u32 attrs)
{
	phys_addr_t phys;

	if (attrs & DMA_ATTR_MMIO || check_add_overflow(page, offset, &phys))
		return DMA_MAPPING_ERROR;
	return dma_map_phys(dev, phys, size, dir, attrs);
}

dma_addr_t dma_map_single_attrs(struct device *dev, void *ptr, u64 size,
				enum dma_data_direction dir, u32 attrs)
{
	phys_addr_t phys;

	if (unlikely(!dma_virt_to_phys(dev, ptr, size, &phys))) {
		struct dma_debug *debug = checker(dev);

		if (debug)
			dma_debug_say(debug, dev,
				      "device driver maps memory that is no RAM of the "
				      "machine [addr=%p] [size=%llu bytes]",
				      ptr, (unsigned long long)size);
		return DMA_MAPPING_ERROR;
	}
	return dma_map_page_attrs(dev, phys, 0, size, dir, attrs);
}

void dma_unmap_page_attrs(struct device *dev, dma_addr_t addr, u64 size,
			  enum dma_data_direction dir, u32 attrs)
{
	if (!(attrs & DMA_ATTR_MMIO))
		dma_unmap_phys(dev, addr, size, dir, attrs);
}

dma_addr_t dma_map_resource(struct device *dev, phys_addr_t phys, u64 size,
			    enum dma_data_direction dir, u32 attrs)
{
	if (ram_ptr(&dev->machine->hw, phys, 1))
		return DMA_MAPPING_ERROR;
	return dma_map_phys(dev, phys, size, dir, attrs | DMA_ATTR_MMIO);
}

void dma_unmap_resource(struct device *dev, dma_addr_t addr, u64 size,
			enum dma_data_direction dir, u32 attrs)
{
	dma_unmap_phys(dev, addr, size, dir, attrs | DMA_ATTR_MMIO);
}

int dma_mapping_error(struct device *dev, dma_addr_t addr)
{
	struct dma_debug *debug = checker(dev);

	if (unlikely(addr == DMA_MAPPING_ERROR))
		return -ENOMEM;
	if (unlikely(debug))
		dma_debug_error_checked(debug, dev, addr);
	return 0;
}

/* --- scattered memory -------------------------------------------------------------- */

static int do_map_sg(struct device *dev, struct scatterlist *sg, unsigned nents,
		     enum dma_data_direction dir, u32 attrs)
{
	if (use_dma_iommu(dev) && !dev->mapping)
		return dma_iommu_map_sg(dev, sg, nents, dir, attrs);
	for (unsigned i = 0; i < nents; i++) {
		sg[i].dma_address = dma_do_map(dev, sg[i].phys, sg[i].length, dir, attrs);
		if (sg[i].dma_address == DMA_MAPPING_ERROR) {
			while (i--)
				dma_do_unmap(dev, sg[i].dma_address, sg[i].dma_length,
					     dir, attrs | DMA_ATTR_SKIP_CPU_SYNC);
			return -EIO;
		}
		sg[i].dma_length = sg[i].length;
	}
	return (int)nents;
}

static int map_sg(struct device *dev, struct scatterlist *sg, unsigned nents,
		  enum dma_data_direction dir, u32 attrs)
{
	struct dma_debug *debug = checker(dev);
	int ret;

	if (!valid(dev, dir) || attrs & DMA_ATTR_MMIO || !nents)
		return -EINVAL;
	ret = do_map_sg(dev, sg, nents, dir, attrs);
	if (!debug || ret <= 0)
		return ret;
	for (int i = 0; i < ret; i++) {
		struct scatterlist *s = &sg[i];
		u64 boundary = dma_get_seg_boundary(dev);
		dma_addr_t last = s->dma_address + s->dma_length - 1;

		if (s->dma_length > dma_get_max_seg_size(dev))
			dma_debug_say(debug, dev,
				      "mapping sg segment longer than device claims to "
				      "support [len=%u] [max=%u]",
				      s->dma_length, dma_get_max_seg_size(dev));
		if ((s->dma_address ^ last) & ~boundary)
			dma_debug_say(debug, dev,
				      "mapping sg segment across boundary [start=0x%llx] "
				      "[end=0x%llx] [boundary=0x%llx]",
				      (unsigned long long)s->dma_address,
				      (unsigned long long)last,
				      (unsigned long long)boundary);
		dma_debug_map(debug, &(struct dma_debug_ref){
					     dev, DMA_DEBUG_SG, dir, s->dma_address,
					     s->dma_length, s->phys, nents});
	}
	return ret;
}

unsigned dma_map_sg_attrs(struct device *dev, struct scatterlist *sg, unsigned nents,
			  enum dma_data_direction dir, u32 attrs)
{
	int ret = map_sg(dev, sg, nents, dir, attrs);

	return ret < 0 ? 0 : (unsigned)ret;
}

int dma_map_sgtable(struct device *dev, struct sg_table *sgt, enum dma_data_direction dir,
		    u32 attrs)
{
	int ret = map_sg(dev, sgt->sgl, sgt->orig_nents, dir, attrs);

	if (ret < 0)
		return ret;
	sgt->nents = (unsigned)ret;
	return 0;
}

/* How many segments the device was given: the others have no address. */
static unsigned sg_mapped(struct device *dev, const struct scatterlist *sg,
			  unsigned nents)
{
	unsigned i = 0;

	while (i < nents && sg[i].dma_address != DMA_MAPPING_ERROR && sg[i].dma_length)
		i++;
	return i;
}

void dma_unmap_sg_attrs(struct device *dev, struct scatterlist *sg, unsigned nents,
			enum dma_data_direction dir, u32 attrs)
{
	struct dma_debug *debug = checker(dev);
	unsigned mapped = sg_mapped(dev, sg, nents);

	if (!valid(dev, dir) || attrs & DMA_ATTR_MMIO)
		return;
	for (unsigned i = 0; debug && i < mapped; i++)
		dma_debug_unmap(debug, &(struct dma_debug_ref){
					       dev, DMA_DEBUG_SG, dir, sg[i].dma_address,
					       sg[i].dma_length, 0, nents});
	if (use_dma_iommu(dev) && !dev->mapping) {
		dma_iommu_unmap_sg(dev, sg, mapped, dir, attrs);
		return;
	}
	for (unsigned i = 0; i < mapped; i++)
		dma_do_unmap(dev, sg[i].dma_address, sg[i].dma_length, dir, attrs);
}

void dma_unmap_sgtable(struct device *dev, struct sg_table *sgt,
		       enum dma_data_direction dir, u32 attrs)
{
	dma_unmap_sg_attrs(dev, sgt->sgl, sgt->orig_nents, dir, attrs);
}

/* --- sync --------------------------------------------------------------------------- */

static phys_addr_t addr_to_phys(struct device *dev, dma_addr_t addr)
{
	if (dev->mapping)
		return dma_arm_iova_to_phys(dev, addr);
	if (use_dma_iommu(dev))
		return iommu_iova_to_phys(iommu_get_dma_domain(dev), addr);
	return addr;
}

static void sync_one(struct device *dev, dma_addr_t addr, u64 size,
		     enum dma_data_direction dir, bool to_cpu, enum dma_debug_type type)
{
	struct dma_debug *debug = checker(dev);

	if (!valid(dev, dir))
		return;
	if (debug)
		dma_debug_sync(debug,
			       &(struct dma_debug_ref){dev, type, dir, addr, size, 0, 0},
			       to_cpu);
	/* The CPU's caches are coherent: only copies need anything. */
	if (to_cpu ? dma_coming_from_device(dir) : dir != DMA_FROM_DEVICE)
		swiotlb_sync(dma_core(dev), addr_to_phys(dev, addr), size, to_cpu);
}

void dma_sync_single_for_cpu(struct device *dev, dma_addr_t addr, u64 size,
			     enum dma_data_direction dir)
{
	sync_one(dev, addr, size, dir, true, DMA_DEBUG_SINGLE);
}

void dma_sync_single_for_device(struct device *dev, dma_addr_t addr, u64 size,
				enum dma_data_direction dir)
{
	sync_one(dev, addr, size, dir, false, DMA_DEBUG_SINGLE);
}

void dma_sync_sg_for_cpu(struct device *dev, struct scatterlist *sg, unsigned nents,
			 enum dma_data_direction dir)
{
	unsigned n = sg_mapped(dev, sg, nents);

	for (unsigned i = 0; i < n; i++)
		sync_one(dev, sg[i].dma_address, sg[i].dma_length, dir, true,
			 DMA_DEBUG_SG);
}

void dma_sync_sg_for_device(struct device *dev, struct scatterlist *sg, unsigned nents,
			    enum dma_data_direction dir)
{
	unsigned n = sg_mapped(dev, sg, nents);

	for (unsigned i = 0; i < n; i++)
		sync_one(dev, sg[i].dma_address, sg[i].dma_length, dir, false,
			 DMA_DEBUG_SG);
}

bool dma_need_sync(struct device *dev, dma_addr_t addr)
{
	return swiotlb_holds(dma_core(dev), addr_to_phys(dev, addr));
}

/* --- what can be addressed --------------------------------------------------------- */

static bool supported(struct device *dev, u64 mask)
{
	return use_dma_iommu(dev) || dev->mapping || dma_direct_supported(dev, mask);
}

int dma_set_mask(struct device *dev, u64 mask)
{
	if (!mask || !supported(dev, mask))
		return -EIO;
	dev->dma_mask = mask;
	return 0;
}

int dma_set_coherent_mask(struct device *dev, u64 mask)
{
	if (!mask || !supported(dev, mask))
		return -EIO;
	dev->coherent_dma_mask = mask;
	return 0;
}

int dma_set_mask_and_coherent(struct device *dev, u64 mask)
{
	int ret = dma_set_mask(dev, mask);

	return ret ? ret : dma_set_coherent_mask(dev, mask);
}

u64 dma_get_mask(const struct device *dev)
{
	return dev->dma_mask ? dev->dma_mask : DMA_BIT_MASK(32);
}

u64 dma_get_required_mask(struct device *dev)
{
	if (use_dma_iommu(dev) || dev->mapping)
		return DMA_BIT_MASK(32);
	return DMA_BIT_MASK(fls64(dev->machine->hw.hdr->ram_size - 1));
}

bool dma_addressing_limited(struct device *dev)
{
	u64 mask = dma_get_mask(dev);

	if (dev->bus_dma_limit)
		mask = min(mask, dev->bus_dma_limit);
	return mask < dma_get_required_mask(dev);
}

u64 dma_max_mapping_size(struct device *dev)
{
	if (use_dma_iommu(dev))
		return dev->untrusted ? SWIOTLB_MAX_SIZE - PAGE_SIZE : SIZE_MAX;
	return dma_addressing_limited(dev) ? SWIOTLB_MAX_SIZE - PAGE_SIZE : SIZE_MAX;
}

/* Larger ones are not served from the caches of addresses. */
u64 dma_opt_mapping_size(struct device *dev)
{
	u64 size = dma_max_mapping_size(dev);

	return use_dma_iommu(dev)
		       ? min(size, PAGE_SIZE << (IOVA_RANGE_CACHE_MAX_SIZE - 1))
		       : size;
}

u64 dma_get_merge_boundary(struct device *dev)
{
	struct iommu_domain *domain;

	if (!use_dma_iommu(dev))
		return 0;
	domain = iommu_get_dma_domain(dev);
	return (domain->pgsize_bitmap & -domain->pgsize_bitmap) - 1;
}
