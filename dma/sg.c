// SPDX-License-Identifier: MIT
/*
 * Scattered memory through the default domain: all segments get one range of addresses,
 * so neighbours merge into one segment for the device as far as its limits (segment
 * length, boundary) let them. While a list is being mapped, dma_address of an entry keeps
 * its offset in the page and dma_length its length; both are put back if it fails.
 * Source: drivers/iommu/dma-iommu.c.
 */
#include "dma/core.h"

#include "base/overflow.h"

int dma_iommu_map_list(struct iommu_domain *domain, iova_t iova,
		       const struct scatterlist *sg, unsigned nents, int prot)
{
	iova_t at = iova;
	int ret = 0;

	for (unsigned i = 0; !ret && i < nents;) {
		phys_addr_t phys = sg[i].phys;
		u64 len = sg[i].length;

		/* What lies next to each other is mapped in one piece. */
		while (++i < nents && sg[i].phys == phys + len)
			len += sg[i].length;
		if (!len)
			continue;
		ret = iommu_map_nosync(domain, at, phys, len, prot);
		if (!ret)
			at += len;
	}
	if (!ret && at != iova)
		ret = iommu_sync_map(domain, iova, at - iova);
	if (ret && at != iova)
		iommu_unmap(domain, iova, at - iova);
	return ret;
}

static void restore(struct scatterlist *sg, unsigned nents)
{
	struct scatterlist *s;
	unsigned i;

	for_each_sg(sg, s, nents, i)
	{
		if (s->dma_address != DMA_MAPPING_ERROR)
			s->phys += s->dma_address;
		if (s->dma_length)
			s->length = s->dma_length;
		s->dma_address = DMA_MAPPING_ERROR;
		s->dma_length = 0;
	}
}

static int finalise(struct device *dev, struct scatterlist *sg, unsigned nents,
		    dma_addr_t addr)
{
	u64 boundary = dma_get_seg_boundary(dev);
	u32 max_len = dma_get_max_seg_size(dev);
	struct scatterlist *s, *cur = sg;
	u32 cur_len = 0;
	int count = 0;
	unsigned i;

	for_each_sg(sg, s, nents, i)
	{
		u32 offset = (u32)s->dma_address, length = s->dma_length;
		u32 mapped = s->length;

		s->phys += offset;
		s->length = length;
		s->dma_address = DMA_MAPPING_ERROR;
		s->dma_length = 0;
		/* It begins a page, where the last one ended, and nothing forbids it. */
		if (cur_len && !offset && (addr & boundary) &&
		    max_len - cur_len >= length && max_len >= cur_len) {
			cur_len += length;
		} else {
			if (i)
				cur++;
			cur_len = length;
			count++;
			cur->dma_address = addr + offset;
		}
		cur->dma_length = cur_len;
		addr += mapped;
		if (length + offset < mapped)
			cur_len = 0;
	}
	return count;
}

/* Each by itself: any of them may be bounced. */
static int map_untrusted(struct device *dev, struct scatterlist *sg, unsigned nents,
			 enum dma_data_direction dir, u32 attrs)
{
	for (unsigned i = 0; i < nents; i++) {
		sg[i].dma_address =
			dma_iommu_map_phys(dev, sg[i].phys, sg[i].length, dir, attrs);
		if (sg[i].dma_address == DMA_MAPPING_ERROR) {
			while (i--)
				dma_iommu_unmap_phys(dev, sg[i].dma_address,
						     sg[i].dma_length, dir,
						     attrs | DMA_ATTR_SKIP_CPU_SYNC);
			return -EIO;
		}
		sg[i].dma_length = sg[i].length;
	}
	return (int)nents;
}

int dma_iommu_map_sg(struct device *dev, struct scatterlist *sg, unsigned nents,
		     enum dma_data_direction dir, u32 attrs)
{
	u64 boundary = dma_get_seg_boundary(dev);
	struct scatterlist *s, *prev = NULL;
	struct iommu_domain *domain;
	struct dma_cookie *cookie = dma_cookie_of(dev, &domain);
	u64 mask, total = 0;
	dma_addr_t iova;
	unsigned i;
	int ret;

	if (!cookie)
		return -ENOMEM;
	if (unlikely(dev->iommu->attach_deferred)) {
		ret = iommu_deferred_attach(dev, domain);
		if (ret)
			return ret;
	}
	if (dev->untrusted)
		return map_untrusted(dev, sg, nents, dir, attrs);
	mask = cookie->iovad.granule - 1;
	for_each_sg(sg, s, nents, i)
	{
		u64 offset = s->phys & mask, length = s->length, pad;
		u32 rounded;

		if (check_add_overflow(s->length, (u32)(offset + mask), &rounded) ||
		    rounded > (u32)INT32_MAX) {
			restore(sg, i);
			return -EINVAL;
		}
		s->dma_address = offset;
		s->dma_length = s->length;
		s->phys -= offset;
		s->length = rounded & ~(u32)mask;
		length = s->length;
		/*
		 * The device does not cross the boundary in one segment: begin at it,
		 * which the alignment of the whole range makes possible.
		 */
		pad = (boundary - total + 1) & boundary;
		if (prev && pad && pad < length - 1) {
			if (pad > UINT32_MAX ||
			    check_add_overflow(prev->length, (u32)pad, &prev->length)) {
				restore(sg, i + 1);
				return -EINVAL;
			}
			total += pad;
		}
		total += length;
		prev = s;
	}
	if (!total)
		return finalise(dev, sg, nents, 0);
	iova = dma_alloc_iova(cookie, total, dma_get_mask(dev), dev);
	if (!iova) {
		restore(sg, nents);
		return -ENOMEM;
	}
	ret = dma_iommu_map_list(domain, iova, sg, nents, dma_prot(dir, attrs));
	if (ret) {
		dma_free_iova(cookie, iova, total);
		restore(sg, nents);
		return ret == -ENOMEM ? ret : -EINVAL;
	}
	return finalise(dev, sg, nents, iova);
}

void dma_iommu_unmap_sg(struct device *dev, struct scatterlist *sg, unsigned nents,
			enum dma_data_direction dir, u32 attrs)
{
	dma_addr_t start, end;
	unsigned i = 0;

	if (dev->untrusted) {
		for (; i < nents; i++)
			dma_iommu_unmap_phys(dev, sg[i].dma_address, sg[i].dma_length,
					     dir, attrs);
		return;
	}
	while (i < nents && !sg[i].dma_length)
		i++;
	if (i == nents)
		return;
	start = sg[i].dma_address;
	for (end = start; i < nents && sg[i].dma_length; i++)
		end = sg[i].dma_address + sg[i].dma_length;
	dma_iommu_unmap(dev, start, end - start);
}
