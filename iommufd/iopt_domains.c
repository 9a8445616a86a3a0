// SPDX-License-Identifier: MIT
/*
 * What restricts and fills a table from outside: domains that come and go, ranges
 * reserved for devices, ranges that the program allows, and the alignment that follows
 * from them.
 *
 * A domain is added only after every area is mapped in it; a reserved range is refused
 * while an area or an allowed range lies in it (-EADDRINUSE).
 */
#include "base/alloc.h"
#include "base/bitmap.h"
#include "iommufd/io_pagetable.h"
#include "iommufd/iommufd.h"

void iopt_init_table(struct io_pagetable *iopt, struct machine *m, u64 space)
{
	iopt->machine = m;
	iopt->area_itree = RB_ROOT_CACHED;
	iopt->allowed_itree = RB_ROOT_CACHED;
	iopt->reserved_itree = RB_ROOT_CACHED;
	iopt->iova_alignment = 1;
	iopt->space = space;
	xa_init(&iopt->access_list);
}

static void free_allowed(struct rb_root_cached *tree)
{
	struct interval_tree_node *node;

	while ((node = interval_tree_iter_first(tree, 0, ~0ULL))) {
		interval_tree_remove(node, tree);
		kfree(container_of(node, struct iopt_allowed, node));
	}
}

void iopt_destroy_table(struct io_pagetable *iopt)
{
	free_allowed(&iopt->allowed_itree);
	/* Those of no owner are the test interface's, and last as long as the table. */
	iopt_remove_reserved_iova(iopt, NULL);
	WARN_ON(iopt->nr_domains);
	WARN_ON(iopt->nr_areas);
	WARN_ON(!xa_empty(&iopt->access_list));
	xa_destroy(&iopt->access_list);
	WARN_ON(interval_tree_iter_first(&iopt->reserved_itree, 0, ~0ULL));
	kfree(iopt->domains);
}

/* --- reserved and allowed ranges
 * -------------------------------------------------------- */

int iopt_reserve_iova(struct io_pagetable *iopt, u64 start, u64 last, void *owner)
{
	struct iopt_reserved *reserved;

	if (iopt_area_iter_first(iopt, start, last) ||
	    interval_tree_iter_first(&iopt->allowed_itree, start, last))
		return -EADDRINUSE;
	reserved = kzalloc(sizeof(*reserved));
	if (!reserved)
		return -ENOMEM;
	reserved->node.start = start;
	reserved->node.last = last;
	reserved->owner = owner;
	interval_tree_insert(&reserved->node, &iopt->reserved_itree);
	return 0;
}

void iopt_remove_reserved_iova(struct io_pagetable *iopt, void *owner)
{
	struct interval_tree_node *node =
		interval_tree_iter_first(&iopt->reserved_itree, 0, ~0ULL);

	while (node) {
		struct interval_tree_node *next = interval_tree_iter_next(node, 0, ~0ULL);
		struct iopt_reserved *reserved =
			container_of(node, struct iopt_reserved, node);

		if (reserved->owner == owner) {
			interval_tree_remove(node, &iopt->reserved_itree);
			kfree(reserved);
		}
		node = next;
	}
}

int iopt_set_allow_iova(struct io_pagetable *iopt, struct rb_root_cached *allowed)
{
	struct interval_tree_node *node;
	struct rb_root_cached old;

	interval_tree_for_each(node, allowed, 0, ~0ULL) {
		if (interval_tree_iter_first(&iopt->reserved_itree, node->start,
					     node->last))
			return -EADDRINUSE;
	}
	old = iopt->allowed_itree;
	iopt->allowed_itree = *allowed;
	*allowed = old;
	return 0;
}

int iopt_table_enforce_dev_resv_regions(struct io_pagetable *iopt, struct device *dev,
					phys_addr_t *sw_msi_start)
{
	struct iommu_resv_region *resv;
	LIST_HEAD(resv_regions);
	int rc = 0;

	iommu_get_resv_regions(dev, &resv_regions);
	list_for_each_entry(resv, &resv_regions, list) {
		if (resv->type == IOMMU_RESV_DIRECT_RELAXABLE)
			continue;
		if (sw_msi_start && resv->type == IOMMU_RESV_SW_MSI)
			*sw_msi_start = resv->start;
		rc = iopt_reserve_iova(iopt, resv->start, resv->length - 1 + resv->start,
				       dev);
		if (rc) {
			iopt_remove_reserved_iova(iopt, dev);
			break;
		}
	}
	iommu_put_resv_regions(dev, &resv_regions);
	return rc;
}

/* --- alignment
 * ----------------------------------------------------------------------------- */

static u64 domain_granule(const struct iommu_domain *domain)
{
	return domain->pgsize_bitmap & -domain->pgsize_bitmap;
}

static int iopt_check_iova_alignment(struct io_pagetable *iopt, u64 alignment)
{
	u64 mask = alignment - 1;
	struct iopt_area *area;

	for (area = iopt_area_iter_first(iopt, 0, ~0ULL); area;
	     area = iopt_area_iter_next(area, 0, ~0ULL)) {
		if ((area->node.start & mask) || (iopt_area_length(area) & mask) ||
		    (area->page_offset & mask))
			return -EADDRINUSE;
	}
	return 0;
}

static int iopt_calculate_iova_alignment(struct io_pagetable *iopt)
{
	u64 alignment = iopt->disable_large_pages ? PAGE_SIZE : 1;
	struct iommufd_access *access;
	u64 index;
	int rc;

	for (unsigned int i = 0; i < iopt->nr_domains; i++)
		alignment = max(alignment, domain_granule(iopt->domains[i]));
	xa_for_each(&iopt->access_list, index, access)
		alignment = max(alignment, access->iova_alignment);
	if (alignment > iopt->iova_alignment) {
		rc = iopt_check_iova_alignment(iopt, alignment);
		if (rc)
			return rc;
	}
	iopt->iova_alignment = alignment;
	return 0;
}

void iopt_enable_large_pages(struct io_pagetable *iopt)
{
	iopt->disable_large_pages = false;
	WARN_ON(iopt_calculate_iova_alignment(iopt));
}

int iopt_disable_large_pages(struct io_pagetable *iopt)
{
	int rc;

	if (iopt->disable_large_pages)
		return 0;
	/* Large pages are in the domains already. */
	if (iopt->nr_domains && iopt->nr_areas)
		return -EINVAL;
	iopt->disable_large_pages = true;
	rc = iopt_calculate_iova_alignment(iopt);
	if (rc)
		iopt->disable_large_pages = false;
	return rc;
}

/* --- domains
 * -------------------------------------------------------------------------------- */

static int iopt_fill_domain(struct io_pagetable *iopt, struct iommu_domain *domain)
{
	struct iopt_area *area, *end;
	int rc;

	for (area = iopt_area_iter_first(iopt, 0, ~0ULL); area;
	     area = iopt_area_iter_next(area, 0, ~0ULL)) {
		rc = iopt_area_fill_domain(area, domain);
		if (rc)
			goto err_unfill;
		if (!area->filled)
			iopt_area_link(area, area->pages);
	}
	return 0;

err_unfill:
	end = area;
	for (area = iopt_area_iter_first(iopt, 0, ~0ULL); area != end;
	     area = iopt_area_iter_next(area, 0, ~0ULL)) {
		iopt_area_unmap_domain(area, domain);
		if (!iopt->nr_domains)
			iopt_area_unlink(area, area->pages);
	}
	return rc;
}

static void iopt_unfill_domain(struct io_pagetable *iopt, struct iommu_domain *domain)
{
	struct iopt_area *area;

	for (area = iopt_area_iter_first(iopt, 0, ~0ULL); area;
	     area = iopt_area_iter_next(area, 0, ~0ULL)) {
		iopt_area_unmap_domain(area, domain);
		if (!iopt->nr_domains)
			iopt_area_unlink(area, area->pages);
	}
}

static int iopt_reserve_domain(struct io_pagetable *iopt)
{
	unsigned int max = iopt->max_domains ? 2 * iopt->max_domains : 4;
	struct iommu_domain **more;

	if (iopt->nr_domains < iopt->max_domains)
		return 0;
	more = krealloc_array(iopt->domains, max, sizeof(*more));
	if (!more)
		return -ENOMEM;
	iopt->domains = more;
	iopt->max_domains = max;
	return 0;
}

int iopt_table_add_domain(struct io_pagetable *iopt, struct iommu_domain *domain)
{
	const struct iommu_domain_geometry *geometry = &domain->geometry;
	u64 alignment = max(domain_granule(domain), iopt->iova_alignment);
	int rc;

	if (alignment > PAGE_SIZE)
		return -EINVAL;
	if (alignment != iopt->iova_alignment) {
		rc = iopt_check_iova_alignment(iopt, alignment);
		if (rc)
			return rc;
	}
	if (geometry->aperture_start != 0) {
		rc = iopt_reserve_iova(iopt, 0, geometry->aperture_start - 1, domain);
		if (rc)
			goto err_reserved;
	}
	if (geometry->aperture_end != ~0ULL) {
		rc = iopt_reserve_iova(iopt, geometry->aperture_end + 1, ~0ULL, domain);
		if (rc)
			goto err_reserved;
	}
	rc = iopt_reserve_domain(iopt);
	if (rc)
		goto err_reserved;
	rc = iopt_fill_domain(iopt, domain);
	if (rc)
		goto err_reserved;
	iopt->iova_alignment = alignment;
	iopt->domains[iopt->nr_domains++] = domain;
	return 0;

err_reserved:
	iopt_remove_reserved_iova(iopt, domain);
	return rc;
}

void iopt_table_remove_domain(struct io_pagetable *iopt, struct iommu_domain *domain)
{
	unsigned int i;

	for (i = 0; i < iopt->nr_domains; i++) {
		if (iopt->domains[i] == domain)
			break;
	}
	if (WARN_ON(i == iopt->nr_domains))
		return;
	iopt->domains[i] = iopt->domains[--iopt->nr_domains];
	iopt_unfill_domain(iopt, domain);
	iopt_remove_reserved_iova(iopt, domain);
	WARN_ON(iopt_calculate_iova_alignment(iopt));
}

/* --- accesses ---------------------------------------------------------------------- */

int iopt_add_access(struct io_pagetable *iopt, struct iommufd_access *access)
{
	u32 id;
	int rc = xa_alloc(&iopt->access_list, &id, access, xa_limit_16b);

	if (rc)
		return rc;
	rc = iopt_calculate_iova_alignment(iopt);
	if (rc) {
		xa_erase(&iopt->access_list, id);
		return rc;
	}
	access->access_list_id = id;
	return 0;
}

void iopt_remove_access(struct io_pagetable *iopt, struct iommufd_access *access,
			u32 access_list_id)
{
	WARN_ON(xa_erase(&iopt->access_list, access_list_id) != access);
	WARN_ON(iopt_calculate_iova_alignment(iopt));
}
