// SPDX-License-Identifier: MIT
/*
 * Areas: mapping, copying, unmapping and splitting them. The choice of an IOVA is in
 * iova_alloc.c, domains and reserved ranges in iopt_domains.c, memory in pages.c.
 *
 * A mapping is made in three steps: allocate everything, insert the areas, fill the
 * domains. A failure takes back all of it, and the table is as it was.
 */
#include "iommufd/io_pagetable.h"

#include "base/alloc.h"
#include "base/overflow.h"
#include "iommufd/iommufd.h"
#include "iommufd/iova_alloc.h"
#include "machine/events.h"
#include "machine/file.h"

static int iopt_check_iova(struct io_pagetable *iopt, u64 iova, u64 length)
{
	u64 last;

	if (iova & (iopt->iova_alignment - 1))
		return -EINVAL;
	if (check_add_overflow(iova, length - 1, &last))
		return -EOVERFLOW;
	if (interval_tree_iter_first(&iopt->reserved_itree, iova, last))
		return -EINVAL;
	if (iopt_area_iter_first(iopt, iova, last))
		return -EEXIST;
	return 0;
}

static int iopt_insert_area(struct io_pagetable *iopt, struct iopt_area *area,
			    struct iopt_pages *pages, u64 iova, u64 start_byte,
			    u64 length, int iommu_prot)
{
	u64 last_byte;

	if ((iommu_prot & IOMMU_WRITE) && !pages->writable)
		return -EPERM;
	area->iommu_prot = iommu_prot;
	area->page_offset = start_byte % PAGE_SIZE;
	if (area->page_offset & (iopt->iova_alignment - 1))
		return -EINVAL;
	area->node.start = iova;
	if (check_add_overflow(iova, length - 1, &area->node.last) ||
	    check_add_overflow(start_byte, length - 1, &last_byte))
		return -EOVERFLOW;
	area->pages_node.start = start_byte / PAGE_SIZE;
	area->pages_node.last = last_byte / PAGE_SIZE;
	if (WARN_ON(area->pages_node.last >= pages->npages))
		return -EOVERFLOW;
	area->iopt = iopt;
	interval_tree_insert(&area->node, &iopt->area_itree);
	iopt->nr_areas++;
	return 0;
}

static void iopt_remove_area(struct iopt_area *area)
{
	if (area->iopt) {
		interval_tree_remove(&area->node, &area->iopt->area_itree);
		area->iopt->nr_areas--;
	}
	kfree(area);
}

void iopt_free_pages_list(struct list_head *pieces)
{
	struct iopt_pages_piece *elm, *next;

	list_for_each_entry_safe(elm, next, pieces, next) {
		if (elm->area)
			iopt_remove_area(elm->area);
		if (elm->pages)
			iopt_put_pages(elm->pages);
		list_del(&elm->next);
		kfree(elm);
	}
}

/* Where the first piece's memory lies: the low bits of a chosen IOVA follow it. */
static u64 piece_address(const struct iopt_pages_piece *elm)
{
	if (elm->pages->type != IOPT_ADDRESS_USER)
		return elm->start_byte + elm->pages->file_start;
	return elm->start_byte + elm->pages->vaddr;
}

static int iopt_alloc_area_pages(struct io_pagetable *iopt, struct list_head *pieces,
				 u64 length, u64 *dst_iova, int iommu_prot,
				 unsigned int flags)
{
	struct iopt_pages_piece *elm;
	u64 iova;
	int rc;

	list_for_each_entry(elm, pieces, next) {
		elm->area = kzalloc(sizeof(*elm->area));
		if (!elm->area)
			return -ENOMEM;
	}
	if ((length & (iopt->iova_alignment - 1)) || !length)
		return -EINVAL;
	if (flags & IOPT_ALLOC_IOVA) {
		elm = list_first_entry(pieces, struct iopt_pages_piece, next);
		rc = iopt_alloc_iova(iopt, dst_iova, piece_address(elm), length);
	} else {
		rc = iopt_check_iova(iopt, *dst_iova, length);
	}
	if (rc)
		return rc;
	iova = *dst_iova;
	list_for_each_entry(elm, pieces, next) {
		rc = iopt_insert_area(iopt, elm->area, elm->pages, iova, elm->start_byte,
				      elm->length, iommu_prot);
		if (rc)
			return rc;
		iova += elm->length;
	}
	return 0;
}

int iopt_map_pages(struct io_pagetable *iopt, struct call *call, struct list_head *pieces,
		   u64 length, u64 *dst_iova, int iommu_prot, unsigned int flags)
{
	struct iopt_pages_piece *elm, *undo;
	unsigned int prot = 0;
	int rc;

	rc = iopt_alloc_area_pages(iopt, pieces, length, dst_iova, iommu_prot, flags);
	if (rc)
		return rc;
	list_for_each_entry(elm, pieces, next) {
		rc = iopt_area_fill_domains(elm->area, elm->pages);
		if (rc)
			goto err_unfill;
	}
	if (iommu_prot & IOMMU_READ)
		prot |= DMA_MAP_READ;
	if (iommu_prot & IOMMU_WRITE)
		prot |= DMA_MAP_WRITE;
	list_for_each_entry(elm, pieces, next) {
		machine_event(iopt->machine, map, call, iopt->space,
			      elm->area->node.start, elm->area->node.last,
			      piece_address(elm), prot);
		elm->area->pages = elm->pages;
		elm->pages = NULL;
		elm->area = NULL;
	}
	return 0;

err_unfill:
	list_for_each_entry(undo, pieces, next) {
		if (undo == elm)
			break;
		iopt_area_unfill_domains(undo->area, undo->pages);
	}
	return rc;
}

/* Takes over the caller's reference to @pages. */
static int iopt_map_common(struct iommufd_ctx *ictx, struct io_pagetable *iopt,
			   struct call *call, struct iopt_pages *pages, u64 *iova,
			   u64 length, u64 start_byte, int iommu_prot, unsigned int flags)
{
	struct iopt_pages_piece *elm = kzalloc(sizeof(*elm));
	LIST_HEAD(pieces);
	int rc;

	if (!elm) {
		iopt_put_pages(pages);
		return -ENOMEM;
	}
	if (ictx->account_mode == IOPT_PAGES_ACCOUNT_MM &&
	    pages->account_mode == IOPT_PAGES_ACCOUNT_USER)
		pages->account_mode = IOPT_PAGES_ACCOUNT_MM;
	elm->pages = pages;
	elm->start_byte = start_byte;
	elm->length = length;
	list_add_tail(&elm->next, &pieces);
	rc = iopt_map_pages(iopt, call, &pieces, length, iova, iommu_prot, flags);
	iopt_free_pages_list(&pieces);
	return rc;
}

int iopt_map_user_pages(struct iommufd_ctx *ictx, struct io_pagetable *iopt,
			struct call *call, u64 *iova, u64 uaddr, u64 length,
			int iommu_prot, unsigned int flags)
{
	struct iopt_pages *pages;

	pages = iopt_alloc_user_pages(call, uaddr, length, iommu_prot & IOMMU_WRITE);
	if (IS_ERR(pages))
		return (int)PTR_ERR(pages);
	return iopt_map_common(ictx, iopt, call, pages, iova, length, uaddr % PAGE_SIZE,
			       iommu_prot, flags);
}

int iopt_map_file_pages(struct iommufd_ctx *ictx, struct io_pagetable *iopt,
			struct call *call, u64 *iova, int fd, u64 start, u64 length,
			int iommu_prot, unsigned int flags)
{
	struct iopt_pages *pages;
	u64 last;

	if (!length)
		return -EINVAL;
	if (check_add_overflow(start, length - 1, &last))
		return -EOVERFLOW;
	pages = iopt_alloc_file_pages(call, fd, start % PAGE_SIZE, start, length,
				      iommu_prot & IOMMU_WRITE);
	if (IS_ERR(pages))
		return (int)PTR_ERR(pages);
	return iopt_map_common(ictx, iopt, call, pages, iova, length, start % PAGE_SIZE,
			       iommu_prot, flags);
}

int iopt_get_pages(struct io_pagetable *iopt, u64 iova, u64 length,
		   struct list_head *pieces)
{
	struct iopt_pages_piece *elm;
	struct iopt_area *area;
	u64 last, at = iova;

	if (!length)
		return -EINVAL;
	if (check_add_overflow(iova, length - 1, &last))
		return -EOVERFLOW;
	for (;;) {
		u64 end;

		area = iopt_area_iter_first(iopt, at, at);
		if (!area) {
			iopt_free_pages_list(pieces);
			return -ENOENT;
		}
		elm = kzalloc(sizeof(*elm));
		if (!elm) {
			iopt_free_pages_list(pieces);
			return -ENOMEM;
		}
		end = min(last, area->node.last);
		elm->start_byte = iopt_area_start_byte(area, at);
		elm->length = end - at + 1;
		elm->pages = area->pages;
		iopt_get_pages_ref(area->pages);
		list_add_tail(&elm->next, pieces);
		if (end == last)
			return 0;
		at = end + 1;
	}
}

static int iopt_unmap_iova_range(struct io_pagetable *iopt, struct call *call, u64 start,
				 u64 last, u64 *unmapped)
{
	struct iopt_area *area;
	u64 bytes = 0;
	int rc = 0;

	while ((area = iopt_area_iter_first(iopt, start, last))) {
		u64 area_first = area->node.start, area_last = area->node.last;
		struct iopt_pages *pages = area->pages;

		if (area->num_locks) {
			rc = -EBUSY;
			break;
		}
		if (area_first < start || area_last > last) {
			rc = -ENOENT;
			break;
		}
		/* Everything runs on one thread, so who does not answer at once never
		 * does. */
		if (area->num_accesses) {
			area->prevent_access = true;
			iommufd_access_notify_unmap(iopt, area_first,
						    area_last - area_first + 1);
			if (WARN_ON(area->num_accesses)) {
				rc = -EDEADLK;
				break;
			}
			continue;
		}
		machine_event(iopt->machine, unmap, call, iopt->space, area_first,
			      area_last);
		iopt_area_unfill_domains(area, pages);
		iopt_remove_area(area);
		iopt_put_pages(pages);
		bytes += area_last - area_first + 1;
		if (area_last >= last)
			break;
		start = area_last + 1;
	}
	*unmapped = bytes;
	return rc;
}

int iopt_unmap_iova(struct io_pagetable *iopt, struct call *call, u64 iova, u64 length,
		    u64 *unmapped)
{
	u64 last;

	*unmapped = 0;
	if (!length)
		return -EINVAL;
	if (check_add_overflow(iova, length - 1, &last))
		return -EOVERFLOW;
	return iopt_unmap_iova_range(iopt, call, iova, last, unmapped);
}

int iopt_unmap_all(struct io_pagetable *iopt, struct call *call, u64 *unmapped)
{
	return iopt_unmap_iova_range(iopt, call, 0, ~0ULL, unmapped);
}

/* The area becomes two, the first of which ends at @iova. */
static int iopt_area_split(struct iopt_area *area, u64 iova)
{
	struct io_pagetable *iopt = area->iopt;
	u64 start = area->node.start, last = area->node.last, new_start = iova + 1;
	u64 align = iopt->iova_alignment - 1;
	struct iopt_pages *pages = area->pages;
	struct iopt_area *lhs, *rhs;
	u64 start_byte, new_byte;
	bool filled = area->filled;

	if (iova == start || iova == last)
		return 0;
	if (area->prevent_access)
		return -EBUSY;
	if (pages->type == IOPT_ADDRESS_DMABUF)
		return -EOPNOTSUPP;
	if (area->num_accesses)
		return -EINVAL;
	new_byte = iopt_area_start_byte(area, new_start);
	start_byte = iopt_area_start_byte(area, start);
	if ((new_start & align) || (new_byte & align))
		return -EINVAL;
	if (filled && !iopt->disable_large_pages)
		return -EINVAL;
	lhs = kzalloc(sizeof(*lhs));
	rhs = kzalloc(sizeof(*rhs));
	if (!lhs || !rhs) {
		kfree(lhs);
		kfree(rhs);
		return -ENOMEM;
	}
	/* Nothing below can fail: both halves keep what held for the whole. */
	iopt_get_pages_ref(pages);
	interval_tree_remove(&area->node, &iopt->area_itree);
	iopt->nr_areas--;
	WARN_ON(iopt_insert_area(iopt, lhs, pages, start, start_byte, new_start - start,
				 area->iommu_prot));
	WARN_ON(iopt_insert_area(iopt, rhs, pages, new_start, new_byte,
				 last - new_start + 1, area->iommu_prot));
	lhs->pages = pages;
	rhs->pages = pages;
	if (filled) {
		iopt_area_link(lhs, pages);
		iopt_area_link(rhs, pages);
		interval_tree_remove(&area->pages_node, &pages->domains_itree);
	}
	kfree(area);
	return 0;
}

int iopt_cut_iova(struct io_pagetable *iopt, const u64 *iovas, size_t num_iovas)
{
	for (size_t i = 0; i < num_iovas; i++) {
		struct iopt_area *area = iopt_area_iter_first(iopt, iovas[i], iovas[i]);
		int rc = area ? iopt_area_split(area, iovas[i]) : 0;

		if (rc)
			return rc;
	}
	return 0;
}
