// SPDX-License-Identifier: MIT
/*
 * The direct way: no IOMMU, or one that translates nothing (identity). A device's address
 * is the physical one; what the device cannot reach is bounced. Source:
 * kernel/dma/direct.c.
 */
#define LOG_SUBSYSTEM "dma"
#include "dma/core.h"

#include "base/log.h"
#include "base/overflow.h"

bool dma_capable(const struct device *dev, dma_addr_t addr, u64 size, u64 mask)
{
	u64 last;

	if (!size || check_add_overflow(addr, size - 1, &last))
		return false;
	return last <= mask && (!dev->bus_dma_limit || last <= dev->bus_dma_limit);
}

/* Every mask of 24 bits can be served: that is where the lowest memory lies. */
bool dma_direct_supported(const struct device *dev, u64 mask)
{
	u64 ram_last = dev->machine->hw.hdr->ram_size - 1;

	return mask >= DMA_BIT_MASK(32) || mask >= min(ram_last, DMA_BIT_MASK(24));
}

dma_addr_t dma_direct_map_phys(struct device *dev, phys_addr_t phys, u64 size,
			       enum dma_data_direction dir, u32 attrs)
{
	u64 mask = dma_get_mask(dev), limit = mask;
	phys_addr_t copy;

	if (likely(dma_capable(dev, phys, size, mask)))
		return phys;
	if (dev->bus_dma_limit)
		limit = min(limit, dev->bus_dma_limit);
	if (attrs & DMA_ATTR_MMIO ||
	    swiotlb_map(dma_core(dev), phys, size, limit, &copy)) {
		if (!(attrs & DMA_ATTR_NO_WARN))
			pr_warn("%s: DMA addr 0x%llx+%llu overflow (mask %llx, bus limit "
				"%llx).",
				dev_name(dev), (unsigned long long)phys,
				(unsigned long long)size, (unsigned long long)mask,
				(unsigned long long)dev->bus_dma_limit);
		return DMA_MAPPING_ERROR;
	}
	return copy;
}

void dma_direct_unmap_phys(struct device *dev, dma_addr_t addr, u64 size,
			   enum dma_data_direction dir, u32 attrs)
{
	if (!(attrs & DMA_ATTR_MMIO))
		swiotlb_unmap(dma_core(dev), addr, dir, attrs);
}
