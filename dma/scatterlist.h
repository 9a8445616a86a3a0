/* SPDX-License-Identifier: MIT */
/*
 * Scattered memory for the DMA API: an array of segments, each contiguous in physical
 * memory. dma_map_sg() writes the device's view into the same entries: the first
 * entries hold merged segments, as many as it returns.
 */
#ifndef MOAT_DMA_SCATTERLIST_H
#define MOAT_DMA_SCATTERLIST_H

#include <string.h>

#include "base/types.h"

struct scatterlist {
	phys_addr_t phys;
	u32 length; /* bytes */
	u32 dma_length;
	iova_t dma_address;
};

struct sg_table {
	struct scatterlist *sgl;
	unsigned nents;	     /* device's segments, after mapping */
	unsigned orig_nents; /* entries of sgl */
};

#define sg_dma_address(sg) ((sg)->dma_address)
#define sg_dma_len(sg)	   ((sg)->dma_length)

#define for_each_sg(sglist, sg, nr, i) \
	for ((i) = 0, (sg) = (sglist); (i) < (nr); (i)++, (sg)++)

static inline void sg_init_table(struct scatterlist *sgl, unsigned nents)
{
	memset(sgl, 0, sizeof(*sgl) * nents);
}

static inline void sg_set_phys(struct scatterlist *sg, phys_addr_t phys, u32 length)
{
	sg->phys = phys;
	sg->length = length;
}

#endif
