// SPDX-License-Identifier: MIT
/*
 * Which pages of a range a device has written: from the domain's dirty bits into the
 * program's bitmap, a bit for each page_size bytes, least significant bit first. Bits are
 * only set: the program's bitmap keeps what it had.
 */
#include "base/alloc.h"
#include "base/overflow.h"
#include "iommufd/io_pagetable.h"
#include "machine/file.h"
#include "moat/uapi/iommufd.h"

/* A piece of the program's bitmap at a time; one byte is eight pages. */
#define PIECE_BYTES 4096

struct bitmap_piece {
	iova_t iova;
	u64 page_size, nbits;
	u8 *bits;
};

static void piece_set(void *data, iova_t iova, u64 length)
{
	struct bitmap_piece *piece = data;
	u64 first = (iova - piece->iova) / piece->page_size;
	u64 last = (iova - piece->iova + length - 1) / piece->page_size;

	for (u64 bit = first; bit <= last && bit < piece->nbits; bit++)
		piece->bits[bit / 8] |= (u8)(1 << (bit % 8));
}

static int check_iova_range(struct io_pagetable *iopt,
			    const struct iommu_hwpt_get_dirty_bitmap *bitmap)
{
	u64 granule = iopt->iova_alignment, last;

	if (check_add_overflow(bitmap->iova, bitmap->length - 1, &last))
		return -EOVERFLOW;
	if ((bitmap->iova & (granule - 1)) || ((last + 1) & (granule - 1)))
		return -EINVAL;
	if (!bitmap->page_size)
		return -EINVAL;
	if ((bitmap->iova & (bitmap->page_size - 1)) ||
	    ((last + 1) & (bitmap->page_size - 1)))
		return -EINVAL;
	return 0;
}

/* The areas over [iova, last] must touch each other: -EINVAL at a hole. */
static int read_and_clear(struct io_pagetable *iopt, struct iommu_domain *domain,
			  iova_t iova, iova_t last, u32 flags,
			  struct iommu_dirty_bitmap *dirty)
{
	for (;;) {
		struct iopt_area *area = iopt_area_iter_first(iopt, iova, iova);
		iova_t end;
		int rc;

		if (!area)
			return -EINVAL;
		end = min(last, area->node.last);
		rc = domain->dirty_ops->read_and_clear_dirty(domain, iova, end - iova + 1,
							     flags, dirty);
		if (rc || end == last)
			return rc;
		iova = end + 1;
	}
}

int iopt_read_and_clear_dirty_data(struct io_pagetable *iopt, struct iommu_domain *domain,
				   struct call *call,
				   const struct iommu_hwpt_get_dirty_bitmap *bitmap)
{
	const struct iommu_dirty_ops *ops = domain->dirty_ops;
	u64 per_piece = bitmap->page_size * 8 * PIECE_BYTES;
	struct iommu_iotlb_gather gather;
	struct bitmap_piece piece = {.page_size = bitmap->page_size};
	struct iommu_dirty_bitmap dirty = {
		.set = piece_set, .data = &piece, .gather = &gather};
	u64 nbytes, at;
	int rc = check_iova_range(iopt, bitmap);
	bool lost = false;

	if (rc)
		return rc;
	if (!ops || !ops->read_and_clear_dirty)
		return -EOPNOTSUPP;
	nbytes = DIV_ROUND_UP(bitmap->length / bitmap->page_size, 8);
	/* Everything is read before the first bit is cleared: the call may start anew. */
	piece.bits = kzalloc(nbytes);
	if (!piece.bits)
		return -ENOMEM;
	for (at = 0; at < nbytes && !rc; at += PIECE_BYTES)
		rc = copy_from_user(call, piece.bits + at, bitmap->data + at,
				    min_t(u64, PIECE_BYTES, nbytes - at));
	if (!rc)
		rc = user_writable(call, bitmap->data, nbytes);
	if (rc == -ERESTARTNOINTR)
		goto out_free;
	lost = rc;
	rc = 0;
	piece.iova = bitmap->iova;
	piece.nbits = bitmap->length / bitmap->page_size;
	iommu_iotlb_gather_init(&gather);
	for (at = 0; at < bitmap->length && !rc; at += per_piece)
		rc = read_and_clear(iopt, domain, bitmap->iova + at,
				    bitmap->iova + min(at + per_piece, bitmap->length) -
					    1,
				    bitmap->flags, &dirty);
	if (!(bitmap->flags & IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR))
		iommu_iotlb_sync(domain, &gather);
	/* Linux says nothing of holes and of a bitmap that is not there. */
	rc = 0;
	for (at = 0; at < nbytes && !rc && !lost; at += PIECE_BYTES)
		rc = copy_to_user(call, bitmap->data + at, piece.bits + at,
				  min_t(u64, PIECE_BYTES, nbytes - at));
out_free:
	kfree(piece.bits);
	return rc;
}

static int clear_dirty_data(struct io_pagetable *iopt, struct iommu_domain *domain)
{
	struct iommu_iotlb_gather gather;
	struct iommu_dirty_bitmap dirty = {.gather = &gather};
	struct iopt_area *area;
	int rc = 0;

	iommu_iotlb_gather_init(&gather);
	for (area = iopt_area_iter_first(iopt, 0, ~0ULL); area && !rc;
	     area = iopt_area_iter_next(area, 0, ~0ULL))
		rc = domain->dirty_ops->read_and_clear_dirty(
			domain, area->node.start, iopt_area_length(area), 0, &dirty);
	iommu_iotlb_sync(domain, &gather);
	return rc;
}

int iopt_set_dirty_tracking(struct io_pagetable *iopt, struct iommu_domain *domain,
			    bool enable)
{
	int rc;

	if (!domain->dirty_ops)
		return -EOPNOTSUPP;
	if (enable) {
		rc = clear_dirty_data(iopt, domain);
		if (rc)
			return rc;
	}
	return domain->dirty_ops->set_dirty_tracking(domain, enable);
}
