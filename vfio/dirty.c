// SPDX-License-Identifier: MIT
/*
 * Dirty page tracking of type1 containers. The IOMMU does not tell which pages a
 * device wrote, and a device of vfio-pci pins nothing page by page, so a report always
 * has every page of every mapping; what this file has to get right is the bitmap's
 * form, bit by bit. Source of behaviour: drivers/vfio/vfio_iommu_type1.c.
 *
 * A mapping that does not begin at a multiple of 64 pages of the range is shifted in
 * place and joined with the program's whole word, and what comes to lie beyond its end
 * stays in the bitmap for the next report: Linux does that, so bits after an
 * unaligned mapping's last may be set too.
 */
#include "base/bitmap.h"
#include "base/overflow.h"
#include "vfio/type1.h"

int vfio_dma_bitmap_alloc(struct vfio_dma *dma, u64 pgsize)
{
	u64 npages = vfio_dma_size(dma) / pgsize;

	if (npages > DIRTY_BITMAP_PAGES_MAX)
		return -EINVAL;
	/* One word more, for the shift. */
	dma->bitmap = kzalloc(DIRTY_BITMAP_BYTES(npages) + sizeof(u64));
	return dma->bitmap ? 0 : -ENOMEM;
}

static void bitmap_free(struct vfio_dma *dma)
{
	kfree(dma->bitmap);
	dma->bitmap = NULL;
}

static void stop(struct vfio_iommu *iommu)
{
	struct vfio_dma *dma;

	vfio_for_each_dma(dma, iommu) bitmap_free(dma);
	iommu->dirty_page_tracking = false;
}

static int start(struct vfio_iommu *iommu)
{
	u64 pgsize = vfio_iommu_pgsize(iommu);
	struct vfio_dma *dma;
	int ret;

	if (iommu->dirty_page_tracking)
		return 0;
	vfio_for_each_dma(dma, iommu)
	{
		ret = vfio_dma_bitmap_alloc(dma, pgsize);
		if (ret) {
			stop(iommu);
			return ret;
		}
	}
	iommu->dirty_page_tracking = true;
	return 0;
}

void vfio_dirty_all(struct vfio_iommu *iommu)
{
	u64 pgsize = vfio_iommu_pgsize(iommu);
	struct vfio_dma *dma;

	vfio_for_each_dma(dma, iommu)
		bitmap_set(dma->bitmap, 0, vfio_dma_size(dma) / pgsize);
}

int vfio_check_bitmap(const struct vfio_bitmap *bitmap, u64 size)
{
	/* A page size of 0 shifts by nothing; it is refused later, as no page size. */
	u64 npages = size >> (bitmap->pgsize ? __ffs64(bitmap->pgsize) : 0);

	if (!access_ok(bitmap->data, bitmap->size))
		return -EINVAL;
	if (!npages || !bitmap->size || bitmap->size > DIRTY_BITMAP_SIZE_MAX ||
	    npages > DIRTY_BITMAP_PAGES_MAX || bitmap->size < DIRTY_BITMAP_BYTES(npages))
		return -EINVAL;
	return 0;
}

/* Where a mapping's bits lie in the program's bitmap. */
struct place {
	u64 nbits, word, nwords;
	unsigned shift;
};

static struct place dma_place(const struct vfio_dma *dma, iova_t base, u64 pgsize)
{
	unsigned pgshift = __ffs64(pgsize);
	u64 offset = (dma->node.start - base) >> pgshift;
	struct place p = {
		.nbits = vfio_dma_size(dma) >> pgshift,
		.word = offset / 64,
		.shift = offset % 64,
	};

	p.nwords = DIRTY_BITMAP_BYTES(p.nbits + p.shift) / sizeof(u64);
	return p;
}

int vfio_prepare_user_bitmap(struct vfio_iommu *iommu, struct call *call, u64 bitmap,
			     iova_t iova, iova_t last, u64 pgsize)
{
	struct vfio_dma *dma;
	int ret;

	for (dma = vfio_find_dma(iommu, iova, last); dma;
	     dma = vfio_next_dma(dma, iova, last)) {
		struct place p;
		u64 word;

		if (dma->node.start < iova)
			continue;
		p = dma_place(dma, iova, pgsize);
		if (p.shift) {
			ret = copy_from_user(call, &word, bitmap + p.word * 8,
					     sizeof(word));
			if (ret == -ERESTARTNOINTR)
				return ret;
		}
		ret = user_writable(call, bitmap + p.word * 8, p.nwords * 8);
		if (ret == -ERESTARTNOINTR)
			return ret;
	}
	return 0;
}

/* Towards higher bits, over as many words as nbits + shift need. */
static void shift_in_place(unsigned long *map, unsigned shift, u64 nwords)
{
	for (u64 w = nwords; w-- > 0;)
		map[w] = map[w] << shift | (w ? map[w - 1] >> (64 - shift) : 0);
}

int vfio_update_user_bitmap(struct vfio_iommu *iommu, struct call *call,
			    struct vfio_dma *dma, u64 bitmap, iova_t base, u64 pgsize,
			    struct vfio_bitmap_word *prev)
{
	struct place p = dma_place(dma, base, pgsize);
	u64 to = bitmap + p.word * 8;
	u64 before = 0;
	int ret;

	bitmap_set(dma->bitmap, 0, p.nbits);
	if (p.shift) {
		shift_in_place(dma->bitmap, p.shift, p.nwords);
		if (prev->valid && prev->index == p.word) {
			before = prev->value;
		} else {
			ret = copy_from_user(call, &before, to, sizeof(before));
			if (ret)
				return ret;
		}
		dma->bitmap[0] |= before;
	}
	ret = user_writable(call, to, p.nwords * 8);
	if (ret)
		return ret;
	*prev = (struct vfio_bitmap_word){true, p.word + p.nwords - 1,
					  dma->bitmap[p.nwords - 1]};
	return copy_to_user(call, to, dma->bitmap, p.nwords * 8);
}

static int report(struct vfio_iommu *iommu, struct call *call, u64 bitmap, iova_t iova,
		  iova_t last, u64 pgsize)
{
	struct vfio_bitmap_word word = {};
	struct vfio_dma *dma;
	int ret;

	dma = vfio_find_dma(iommu, iova, iova);
	if (dma && dma->node.start != iova)
		return -EINVAL;
	dma = vfio_find_dma(iommu, last, last);
	if (dma && dma->node.last != last)
		return -EINVAL;
	ret = vfio_prepare_user_bitmap(iommu, call, bitmap, iova, last, pgsize);
	if (ret)
		return ret;
	for (dma = vfio_find_dma(iommu, iova, last); dma;
	     dma = vfio_next_dma(dma, iova, last)) {
		ret = vfio_update_user_bitmap(iommu, call, dma, bitmap, iova, pgsize,
					      &word);
		if (ret)
			return ret;
		bitmap_clear(dma->bitmap, 0, vfio_dma_size(dma) / pgsize);
	}
	return 0;
}

static long get(struct vfio_iommu *iommu, struct call *call, u64 arg, u32 argsz)
{
	const size_t minsz = sizeof(struct vfio_iommu_type1_dirty_bitmap);
	struct vfio_iommu_type1_dirty_bitmap_get range;
	u64 pgsize = vfio_iommu_pgsize(iommu), last;
	int ret;

	if (argsz - minsz < sizeof(range))
		return -EINVAL;
	ret = copy_from_user(call, &range, arg + minsz, sizeof(range));
	if (ret)
		return ret;
	if (!range.size)
		return -EINVAL;
	if (check_add_overflow(range.iova, range.size - 1, &last))
		return -EOVERFLOW;
	ret = vfio_check_bitmap(&range.bitmap, range.size);
	if (ret)
		return ret;
	if (range.bitmap.pgsize != pgsize || range.iova & (pgsize - 1) ||
	    range.size & (pgsize - 1) || !iommu->dirty_page_tracking)
		return -EINVAL;
	return report(iommu, call, range.bitmap.data, range.iova, last, pgsize);
}

long vfio_type1_dirty_pages(struct vfio_iommu *iommu, struct call *call, u64 arg)
{
	struct vfio_iommu_type1_dirty_bitmap dirty;
	int ret;

	if (!iommu->v2)
		return -EACCES;
	ret = copy_from_user(call, &dirty, arg, sizeof(dirty));
	if (ret)
		return ret;
	if (dirty.argsz < sizeof(dirty))
		return -EINVAL;
	switch (dirty.flags) {
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_START:
		return start(iommu);
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP:
		if (iommu->dirty_page_tracking)
			stop(iommu);
		return 0;
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP:
		return get(iommu, call, arg, dirty.argsz);
	default:
		return -EINVAL;
	}
}
