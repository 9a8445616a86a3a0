/* SPDX-License-Identifier: MIT */
/*
 * The DMA API with the kernel's names (include/linux/dma-mapping.h): what drivers of the
 * machine's own kernel use to give memory to a device. Memory is machine RAM: a "CPU
 * address" is a pointer into hw->ram, a page is named by its physical address.
 *
 * A device goes one of three ways: through its group's default domain (dev->iommu->
 * dma_iommu), through a mapping of its own (the legacy 32-bit ARM API), or directly,
 * where a device's address is the physical one. Memory that a device may not see or
 * cannot reach is bounced (dma/swiotlb.c). Each call is checked (dma/debug.c) unless the
 * machine's command line says dma_debug=off.
 *
 * Context: any thread, no lock of the group held; a mapping of one address is unmapped
 * once. The machine has a DMA core (dma_core_create()).
 */
#ifndef MOAT_DMA_MAPPING_H
#define MOAT_DMA_MAPPING_H

#include "dma/scatterlist.h"
#include "machine/device.h"

struct dma_iommu_mapping;
struct iommu_domain;
struct machine;

typedef iova_t dma_addr_t;

#define DMA_MAPPING_ERROR (~(dma_addr_t)0)
#define DMA_BIT_MASK(n)	  (~0ULL >> (64 - (n)))

enum dma_data_direction {
	DMA_BIDIRECTIONAL,
	DMA_TO_DEVICE,
	DMA_FROM_DEVICE,
	DMA_NONE,
};

#define DMA_ATTR_SKIP_CPU_SYNC	  BIT(5)
#define DMA_ATTR_FORCE_CONTIGUOUS BIT(6)
#define DMA_ATTR_NO_WARN	  BIT(8)
#define DMA_ATTR_PRIVILEGED	  BIT(9)
#define DMA_ATTR_MMIO		  BIT(10) /* not RAM: a BAR of another device */

/*
 * Before the machine's IOMMUs are registered, and after the last of its domains is gone.
 * 0, -ENOMEM.
 */
int __must_check dma_core_create(struct machine *m);
void dma_core_destroy(struct machine *m);

/* --- one contiguous range: DMA_MAPPING_ERROR when it cannot be ------------------------
 */
dma_addr_t dma_map_phys(struct device *dev, phys_addr_t phys, u64 size,
			enum dma_data_direction dir, u32 attrs);
void dma_unmap_phys(struct device *dev, dma_addr_t addr, u64 size,
		    enum dma_data_direction dir, u32 attrs);
dma_addr_t dma_map_page_attrs(struct device *dev, phys_addr_t page, u64 offset, u64 size,
			      enum dma_data_direction dir, u32 attrs);
/* @ptr: into machine RAM. */
dma_addr_t dma_map_single_attrs(struct device *dev, void *ptr, u64 size,
				enum dma_data_direction dir, u32 attrs);
void dma_unmap_page_attrs(struct device *dev, dma_addr_t addr, u64 size,
			  enum dma_data_direction dir, u32 attrs);
dma_addr_t dma_map_resource(struct device *dev, phys_addr_t phys, u64 size,
			    enum dma_data_direction dir, u32 attrs);
void dma_unmap_resource(struct device *dev, dma_addr_t addr, u64 size,
			enum dma_data_direction dir, u32 attrs);
/* 0, or -ENOMEM for DMA_MAPPING_ERROR. The checker wants it asked after each mapping. */
int dma_mapping_error(struct device *dev, dma_addr_t addr);

#define dma_map_page(d, p, o, s, r)  dma_map_page_attrs(d, p, o, s, r, 0)
#define dma_unmap_page(d, a, s, r)   dma_unmap_page_attrs(d, a, s, r, 0)
#define dma_map_single(d, p, s, r)   dma_map_single_attrs(d, p, s, r, 0)
#define dma_unmap_single(d, a, s, r) dma_unmap_page_attrs(d, a, s, r, 0)

/*
 * Hand a mapped range to the CPU or back to the device; any part of a mapping. Moves
 * bytes only where the range is bounced.
 */
void dma_sync_single_for_cpu(struct device *dev, dma_addr_t addr, u64 size,
			     enum dma_data_direction dir);
void dma_sync_single_for_device(struct device *dev, dma_addr_t addr, u64 size,
				enum dma_data_direction dir);
void dma_sync_sg_for_cpu(struct device *dev, struct scatterlist *sg, unsigned nents,
			 enum dma_data_direction dir);
void dma_sync_sg_for_device(struct device *dev, struct scatterlist *sg, unsigned nents,
			    enum dma_data_direction dir);
bool dma_need_sync(struct device *dev, dma_addr_t addr);

/* --- scattered memory -----------------------------------------------------------------
 */

/* Return: segments that the device sees, 0 on failure; unmap takes the original count. */
unsigned dma_map_sg_attrs(struct device *dev, struct scatterlist *sg, unsigned nents,
			  enum dma_data_direction dir, u32 attrs);
void dma_unmap_sg_attrs(struct device *dev, struct scatterlist *sg, unsigned nents,
			enum dma_data_direction dir, u32 attrs);
#define dma_map_sg(d, s, n, r)	 dma_map_sg_attrs(d, s, n, r, 0)
#define dma_unmap_sg(d, s, n, r) dma_unmap_sg_attrs(d, s, n, r, 0)
/* 0; -EINVAL; -ENOMEM (memory or addresses); -EIO. */
int __must_check dma_map_sgtable(struct device *dev, struct sg_table *sgt,
				 enum dma_data_direction dir, u32 attrs);
void dma_unmap_sgtable(struct device *dev, struct sg_table *sgt,
		       enum dma_data_direction dir, u32 attrs);

/* --- memory for a device: zeroed; NULL when there is none -----------------------------
 */
void *dma_alloc_attrs(struct device *dev, u64 size, dma_addr_t *handle, u32 attrs);
void dma_free_attrs(struct device *dev, u64 size, void *cpu_addr, dma_addr_t handle,
		    u32 attrs);
#define dma_alloc_coherent(d, s, h)   dma_alloc_attrs(d, s, h, 0)
#define dma_free_coherent(d, s, c, h) dma_free_attrs(d, s, c, h, 0)
/* *@page: the first page's physical address. 0, -ENOMEM. */
int __must_check dma_alloc_pages(struct device *dev, u64 size, phys_addr_t *page,
				 dma_addr_t *handle, enum dma_data_direction dir);
void dma_free_pages(struct device *dev, u64 size, phys_addr_t page, dma_addr_t handle,
		    enum dma_data_direction dir);
/* One range for the device (nents is 1), pieces for the CPU. */
struct sg_table *dma_alloc_noncontiguous(struct device *dev, u64 size,
					 enum dma_data_direction dir, u32 attrs);
void dma_free_noncontiguous(struct device *dev, u64 size, struct sg_table *sgt,
			    enum dma_data_direction dir);

/* --- what a device can address --------------------------------------------------------
 */

/* 0; -EIO: the machine cannot serve so narrow a mask. */
int __must_check dma_set_mask(struct device *dev, u64 mask);
int __must_check dma_set_coherent_mask(struct device *dev, u64 mask);
int __must_check dma_set_mask_and_coherent(struct device *dev, u64 mask);
u64 dma_get_mask(const struct device *dev);
u64 dma_get_required_mask(struct device *dev);
bool dma_addressing_limited(struct device *dev);
u64 dma_max_mapping_size(struct device *dev);
u64 dma_opt_mapping_size(struct device *dev);
/* Segments whose ends are aligned to it can be merged; 0: never. */
u64 dma_get_merge_boundary(struct device *dev);

static inline u32 dma_get_max_seg_size(const struct device *dev)
{
	return dev->dma_parms.max_segment_size ? dev->dma_parms.max_segment_size
					       : (u32)SZ_64K;
}
static inline void dma_set_max_seg_size(struct device *dev, u32 size)
{
	dev->dma_parms.max_segment_size = size;
}
static inline u64 dma_get_seg_boundary(const struct device *dev)
{
	return dev->dma_parms.segment_boundary_mask ? dev->dma_parms.segment_boundary_mask
						    : ~0ULL;
}
static inline void dma_set_seg_boundary(struct device *dev, u64 mask)
{
	dev->dma_parms.segment_boundary_mask = mask;
}
static inline void dma_set_min_align_mask(struct device *dev, u32 mask)
{
	dev->dma_parms.min_align_mask = mask;
}

/* --- message addresses behind a translating IOMMU -------------------------------------
 */

/*
 * For domains of user space: message pages come from @base up. 0; -EINVAL: no unmanaged
 * domain; -EBUSY: it has a cookie; -ENOMEM.
 */
int __must_check iommu_get_msi_cookie(struct iommu_domain *domain, dma_addr_t base);
/*
 * Where @dev must write so that it reaches the doorbell at @msi_addr; mapped when first
 * asked for. Context: group->mutex keeps others off. Return: 0 (also where nothing is
 * translated: *@iova is @msi_addr), -ENOMEM.
 */
int __must_check iommu_dma_sw_msi(struct iommu_domain *domain, struct device *dev,
				  phys_addr_t msi_addr, dma_addr_t *iova);

/* --- the legacy 32-bit ARM API (arch/arm/include/asm/dma-iommu.h) ---------------------
 */

/* ERR_PTR: -EINVAL for no bytes, -ERANGE past 4 GiB, -ENODEV, -ENOMEM. */
struct dma_iommu_mapping *arm_iommu_create_mapping(struct device *dev, dma_addr_t base,
						   u64 size);
void arm_iommu_release_mapping(struct dma_iommu_mapping *mapping);
/* The device's DMA API goes through @mapping; holds a reference. */
int __must_check arm_iommu_attach_device(struct device *dev,
					 struct dma_iommu_mapping *mapping);
void arm_iommu_detach_device(struct device *dev);

#endif
