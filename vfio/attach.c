// SPDX-License-Identifier: MIT
/*
 * Groups come to and leave a type1 container: which domain they get, what of the IOVA
 * space is left (aperture less reserved regions), and putting existing mappings into
 * a new domain. Source of behaviour: drivers/vfio/vfio_iommu_type1.c.
 *
 * iova_list is replaced as a whole: a copy is changed, and only an attach that
 * succeeds puts it in the place of the old one.
 */
#define LOG_SUBSYSTEM "vfio"
#include "base/log.h"
#include "vfio/type1.h"

static int iova_insert(struct list_head *head, iova_t start, iova_t end)
{
	struct vfio_iova *v = kzalloc(sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->start = start;
	v->end = end;
	list_add_tail(&v->list, head);
	return 0;
}

static void iova_del(struct vfio_iova *v)
{
	list_del(&v->list);
	kfree(v);
}

void vfio_iova_list_free(struct list_head *iova)
{
	struct vfio_iova *v, *tmp;

	list_for_each_entry_safe(v, tmp, iova, list)
		iova_del(v);
}

static int iova_list_copy(struct vfio_iommu *iommu, struct list_head *copy)
{
	struct vfio_iova *v;

	list_for_each_entry(v, &iommu->iova_list, list) {
		if (iova_insert(copy, v->start, v->end)) {
			vfio_iova_list_free(copy);
			return -ENOMEM;
		}
	}
	return 0;
}

static void iova_list_replace(struct vfio_iommu *iommu, struct list_head *copy)
{
	vfio_iova_list_free(&iommu->iova_list);
	list_splice_tail_init(copy, &iommu->iova_list);
}

/* Would an aperture [start, end] cut off something that is mapped? */
static bool aperture_conflict(struct vfio_iommu *iommu, iova_t start, iova_t end)
{
	struct vfio_iova *first, *last;

	if (list_empty(&iommu->iova_list))
		return false;
	first = list_first_entry(&iommu->iova_list, struct vfio_iova, list);
	last = list_last_entry(&iommu->iova_list, struct vfio_iova, list);
	if (start > last->end || end < first->start)
		return true;
	if (start > first->start && vfio_find_dma(iommu, first->start, start - 1))
		return true;
	return end < last->end && vfio_find_dma(iommu, end + 1, last->end);
}

/* Narrow @iova to [start, end]. */
static int aperture_resize(struct list_head *iova, iova_t start, iova_t end)
{
	struct vfio_iova *v, *tmp;

	if (list_empty(iova))
		return iova_insert(iova, start, end);
	list_for_each_entry_safe(v, tmp, iova, list) {
		if (start < v->start)
			break;
		if (start < v->end) {
			v->start = start;
			break;
		}
		iova_del(v);
	}
	list_for_each_entry_safe(v, tmp, iova, list) {
		if (end > v->end)
			continue;
		if (end > v->start)
			v->end = end;
		else
			iova_del(v);
	}
	return 0;
}

static bool resv_conflict(struct vfio_iommu *iommu, struct list_head *resv)
{
	struct iommu_resv_region *r;

	list_for_each_entry(r, resv, list) {
		if (r->type != IOMMU_RESV_DIRECT_RELAXABLE &&
		    vfio_find_dma(iommu, r->start, r->start + r->length - 1))
			return true;
	}
	return false;
}

/* Take the regions out of @iova. -EINVAL: nothing is left. */
static int resv_exclude(struct list_head *iova, struct list_head *resv)
{
	struct iommu_resv_region *r;
	struct vfio_iova *v, *tmp;

	list_for_each_entry(r, resv, list) {
		iova_t start = r->start, end = r->start + r->length - 1;

		if (r->type == IOMMU_RESV_DIRECT_RELAXABLE)
			continue;
		list_for_each_entry_safe(v, tmp, iova, list) {
			if (start > v->end || end < v->start)
				continue;
			/* Inserted before v, so they are not met again. */
			if (start > v->start &&
			    iova_insert(&v->list, v->start, start - 1))
				return -ENOMEM;
			if (end < v->end && iova_insert(&v->list, end + 1, v->end))
				return -ENOMEM;
			iova_del(v);
		}
	}
	return list_empty(iova) ? -EINVAL : 0;
}

static void update_pgsize_bitmap(struct vfio_iommu *iommu)
{
	struct vfio_domain *d;

	iommu->pgsize_bitmap = ~0ULL;
	list_for_each_entry(d, &iommu->domain_list, next)
		iommu->pgsize_bitmap &= d->domain->pgsize_bitmap;
	/* Sizes below a page are as good as a page. */
	if (iommu->pgsize_bitmap & ~PAGE_MASK) {
		iommu->pgsize_bitmap &= PAGE_MASK;
		iommu->pgsize_bitmap |= PAGE_SIZE;
	}
}

static struct vfio_iommu_group *domain_find_group(struct vfio_domain *domain,
						  struct iommu_group *iommu_group)
{
	struct vfio_iommu_group *g;

	list_for_each_entry(g, &domain->group_list, next) {
		if (g->iommu_group == iommu_group)
			return g;
	}
	return NULL;
}

static int alloc_domain_for(struct device *dev, void *data)
{
	struct iommu_domain **domain = data;

	*domain = iommu_paging_domain_alloc(dev);
	return 1;
}

struct attach_event {
	struct machine *machine;
	u64 space;
};

static int tell_attach(struct device *dev, void *data)
{
	struct attach_event *e = data;

	machine_event(e->machine, attach, dev, e->space);
	return 0;
}

static void group_event(struct vfio_iommu *iommu, struct iommu_group *group, u64 space)
{
	struct attach_event e = {iommu->core->machine, space};

	iommu_group_for_each_dev(group, &e, tell_attach);
}

/* Everything mapped so far is put in the new domain, or nothing. */
static int replay(struct vfio_iommu *iommu, struct vfio_domain *domain)
{
	struct vfio_dma *dma, *done;
	int ret;

	vfio_for_each_dma(dma, iommu)
	{
		ret = vfio_dma_map_domain(iommu, dma, domain);
		if (ret)
			goto unwind;
	}
	return 0;

unwind:
	for (done = vfio_find_dma(iommu, 0, ~0ULL); done != dma;
	     done = vfio_next_dma(done, 0, ~0ULL))
		iommu_unmap(domain->domain, done->node.start, vfio_dma_size(done));
	return ret;
}

/*
 * Try the domains there are; the new one is attached meanwhile.
 * Return: 1: moved to one of them; 0: none fits, still in @domain; -errno: in neither.
 */
static int join_domain(struct vfio_iommu *iommu, struct vfio_domain *domain,
		       struct vfio_iommu_group *group)
{
	struct vfio_domain *d;
	int ret;

	list_for_each_entry(d, &iommu->domain_list, next) {
		if (d->domain->ops != domain->domain->ops ||
		    d->enforce_cache_coherency != domain->enforce_cache_coherency)
			continue;
		iommu_detach_group(domain->domain, group->iommu_group);
		if (!iommu_attach_group(d->domain, group->iommu_group)) {
			list_add(&group->next, &d->group_list);
			return 1;
		}
		ret = iommu_attach_group(domain->domain, group->iommu_group);
		if (ret)
			return ret;
	}
	return 0;
}

int vfio_type1_attach_group(void *iommu_data, struct iommu_group *iommu_group)
{
	struct vfio_iommu *iommu = iommu_data;
	struct iommu_domain_geometry *geo;
	struct vfio_iommu_group *group;
	struct vfio_domain *domain, *d;
	LIST_HEAD(iova_copy);
	LIST_HEAD(resv);
	int ret;

	if (iommu->vaddr_invalid_count)
		return -EBUSY;
	list_for_each_entry(d, &iommu->domain_list, next) {
		if (domain_find_group(d, iommu_group))
			return -EINVAL;
	}
	group = kzalloc(sizeof(*group));
	if (!group)
		return -ENOMEM;
	group->iommu_group = iommu_group;
	domain = kzalloc(sizeof(*domain));
	if (!domain) {
		ret = -ENOMEM;
		goto err_free_group;
	}
	INIT_LIST_HEAD(&domain->group_list);
	domain->domain = ERR_PTR(-ENODEV);
	iommu_group_for_each_dev(iommu_group, &domain->domain, alloc_domain_for);
	if (IS_ERR(domain->domain)) {
		ret = (int)PTR_ERR(domain->domain);
		goto err_free_domain;
	}
	ret = iommu_attach_group(domain->domain, iommu_group);
	if (ret)
		goto err_domain;

	geo = &domain->domain->geometry;
	if (aperture_conflict(iommu, geo->aperture_start, geo->aperture_end)) {
		ret = -EINVAL;
		goto err_detach;
	}
	ret = iommu_get_group_resv_regions(iommu_group, &resv);
	if (ret)
		goto err_detach;
	if (resv_conflict(iommu, &resv)) {
		ret = -EINVAL;
		goto err_detach;
	}
	ret = iova_list_copy(iommu, &iova_copy);
	if (!ret)
		ret = aperture_resize(&iova_copy, geo->aperture_start, geo->aperture_end);
	if (!ret)
		ret = resv_exclude(&iova_copy, &resv);
	if (ret)
		goto err_detach;

	if (!iommu->core->params.allow_unsafe_interrupts &&
	    !iommu_group_has_isolated_msi(iommu_group)) {
		pr_warn("No interrupt remapping support.  Use the module param "
			"\"allow_unsafe_interrupts\" to enable VFIO IOMMU support on "
			"this "
			"platform");
		ret = -EPERM;
		goto err_detach;
	}
	if (domain->domain->ops->enforce_cache_coherency)
		domain->enforce_cache_coherency =
			domain->domain->ops->enforce_cache_coherency(domain->domain);

	ret = join_domain(iommu, domain, group);
	if (ret < 0)
		goto err_domain;
	if (ret) {
		iommu_domain_free(domain->domain);
		kfree(domain);
	} else {
		ret = replay(iommu, domain);
		if (ret)
			goto err_detach;
		list_add(&group->next, &domain->group_list);
		list_add(&domain->next, &iommu->domain_list);
		update_pgsize_bitmap(iommu);
	}
	iova_list_replace(iommu, &iova_copy);
	iommu_put_resv_regions(NULL, &resv);
	group_event(iommu, iommu_group, vfio_iommu_space(iommu));
	return 0;

err_detach:
	iommu_detach_group(domain->domain, iommu_group);
err_domain:
	iommu_domain_free(domain->domain);
	vfio_iova_list_free(&iova_copy);
	iommu_put_resv_regions(NULL, &resv);
err_free_domain:
	kfree(domain);
err_free_group:
	kfree(group);
	return ret;
}

static void remove_all(struct vfio_iommu *iommu)
{
	struct vfio_dma *dma;

	iommu->left += iommu->nr_dma;
	while ((dma = vfio_find_dma(iommu, 0, ~0ULL)))
		vfio_remove_dma(iommu, dma);
}

/*
 * The list that the groups still there allow; if it cannot be had, the old one stays.
 * Its ends move apart only when a domain has gone (@expand), as in Linux.
 */
static void iova_list_recompute(struct vfio_iommu *iommu, bool expand)
{
	iova_t start = 0, end = ~0ULL;
	struct vfio_iommu_group *g;
	struct vfio_domain *d;
	LIST_HEAD(iova);
	LIST_HEAD(resv);
	int ret = 0;

	if (list_empty(&iommu->iova_list))
		return;
	list_for_each_entry(d, &iommu->domain_list, next) {
		start = max(start, d->domain->geometry.aperture_start);
		end = min(end, d->domain->geometry.aperture_end);
		list_for_each_entry(g, &d->group_list, next) {
			ret = iommu_get_group_resv_regions(g->iommu_group, &resv);
			if (ret)
				goto out;
		}
	}
	if (!expand) {
		start = list_first_entry(&iommu->iova_list, struct vfio_iova, list)
				->start;
		end = list_last_entry(&iommu->iova_list, struct vfio_iova, list)->end;
	}
	ret = aperture_resize(&iova, start, end);
	if (!ret)
		ret = resv_exclude(&iova, &resv);
out:
	if (!ret)
		iova_list_replace(iommu, &iova);
	vfio_iova_list_free(&iova);
	iommu_put_resv_regions(NULL, &resv);
}

void vfio_type1_detach_group(void *iommu_data, struct iommu_group *iommu_group)
{
	struct vfio_iommu *iommu = iommu_data;
	struct vfio_iommu_group *group = NULL;
	struct vfio_domain *domain;
	bool gone = false;

	list_for_each_entry(domain, &iommu->domain_list, next) {
		group = domain_find_group(domain, iommu_group);
		if (group)
			break;
	}
	if (!group)
		return;
	iommu_detach_group(domain->domain, iommu_group);
	group_event(iommu, iommu_group, 0);
	list_del(&group->next);
	kfree(group);
	if (list_empty(&domain->group_list)) {
		if (list_is_singular(&iommu->domain_list))
			remove_all(iommu);
		list_del(&domain->next);
		iommu_domain_free(domain->domain);
		kfree(domain);
		update_pgsize_bitmap(iommu);
		gone = true;
	}
	iova_list_recompute(iommu, gone);
	if (iommu->dirty_page_tracking)
		vfio_dirty_all(iommu);
}

void vfio_type1_release(void *iommu_data)
{
	struct vfio_iommu *iommu = iommu_data;

	/* The container's last group has left, and with it all domains and mappings. */
	WARN_ON(!list_empty(&iommu->domain_list));
	WARN_ON(iommu->nr_dma);
	machine_event(iommu->core->machine, space_gone, vfio_iommu_space(iommu),
		      iommu->left);
	vfio_iova_list_free(&iommu->iova_list);
	kfree(iommu);
}
