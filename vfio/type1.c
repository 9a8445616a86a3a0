// SPDX-License-Identifier: MIT
/*
 * MAP_DMA and UNMAP_DMA of type1 containers, both versions (type1 unmaps what a range
 * begins with even where it ends inside a mapping, type1v2 refuses to split), with
 * accounting against RLIMIT_MEMLOCK. Source of behaviour:
 * drivers/vfio/vfio_iommu_type1.c.
 *
 * A request is checked completely before anything changes; a map that fails half way
 * is undone; an unmap cannot fail once it has begun, except where a dirty bitmap is
 * asked for and its memory turns out bad: then the mappings before stay unmapped, as
 * in Linux.
 */
#define LOG_SUBSYSTEM "vfio"
#include "base/log.h"
#include "base/overflow.h"
#include "vfio/type1.h"

/* ---- accounting ------------------------------------------------------------------- */

int vfio_charge_locked(struct machine *m, struct mm *mm, u64 pages, bool lock_cap)
{
	int ret = 0;

	if (!pages)
		return 0;
	mutex_lock(&m->lock);
	if (!lock_cap && mm->locked_vm + pages > mm->ops->memlock_limit(mm) >> PAGE_SHIFT)
		ret = -ENOMEM;
	else
		mm->locked_vm += pages;
	mutex_unlock(&m->lock);
	return ret;
}

void vfio_uncharge_locked(struct machine *m, struct mm *mm, u64 pages)
{
	mutex_lock(&m->lock);
	WARN_ON(mm->locked_vm < pages);
	mm->locked_vm -= min(pages, mm->locked_vm);
	mutex_unlock(&m->lock);
}

/* BARs are not charged. */
static u64 pin_pages(const struct vfio_pin *p)
{
	return p->pin.special ? 0 : p->pin.len >> PAGE_SHIFT;
}

/* ---- one mapping ------------------------------------------------------------------ */

static int domain_map(struct vfio_iommu *iommu, struct vfio_domain *d, iova_t iova,
		      phys_addr_t phys, u64 size, int prot)
{
	u64 step = iommu->core->params.disable_hugepages ? PAGE_SIZE : size;
	int ret;

	for (u64 done = 0; done < size; done += step) {
		ret = iommu_map(d->domain, iova + done, phys + done, step,
				prot | IOMMU_CACHE);
		if (ret) {
			if (done)
				iommu_unmap(d->domain, iova, done);
			return ret;
		}
	}
	return 0;
}

static int map_pin(struct vfio_iommu *iommu, struct vfio_dma *dma, struct vfio_pin *p)
{
	struct vfio_domain *d;
	int ret;

	list_for_each_entry(d, &iommu->domain_list, next) {
		ret = domain_map(iommu, d, p->iova, p->pin.phys, p->pin.len, dma->prot);
		if (ret)
			goto unwind;
	}
	return 0;

unwind:
	list_for_each_entry_continue_reverse(d, &iommu->domain_list, next)
		iommu_unmap(d->domain, p->iova, p->pin.len);
	return ret;
}

int vfio_dma_map_domain(struct vfio_iommu *iommu, struct vfio_dma *dma,
			struct vfio_domain *domain)
{
	struct vfio_pin *p;
	int ret;

	list_for_each_entry(p, &dma->pins, next) {
		ret = domain_map(iommu, domain, p->iova, p->pin.phys, p->pin.len,
				 dma->prot);
		if (ret) {
			if (p->iova != dma->node.start)
				iommu_unmap(domain->domain, dma->node.start,
					    p->iova - dma->node.start);
			return ret;
		}
	}
	return 0;
}

void vfio_free_pin(struct vfio_dma *dma, struct vfio_pin *p)
{
	list_del(&p->next);
	if (p != &dma->first_pin)
		kfree(p);
}

/* Pin the run at @pos of the mapping and map it; *@len: how far it came. */
static int pin_map_run(struct vfio_iommu *iommu, struct vfio_dma *dma, u64 pos, u64 *len)
{
	struct machine *m = iommu->core->machine;
	struct vfio_pin *p = pos ? kzalloc(sizeof(*p)) : &dma->first_pin;
	int ret;

	if (!p)
		return -ENOMEM;
	p->iova = dma->node.start + pos;
	list_add_tail(&p->next, &dma->pins);
	ret = pin_user(m, dma->mm, dma->vaddr + pos, vfio_dma_size(dma) - pos, p->iova,
		       dma->prot & IOMMU_WRITE, &p->pin);
	if (ret)
		goto err_free;
	ret = vfio_charge_locked(m, dma->mm, pin_pages(p), dma->lock_cap);
	if (ret) {
		pr_warn("RLIMIT_MEMLOCK (%llu) exceeded",
			(unsigned long long)dma->mm->ops->memlock_limit(dma->mm));
		goto err_unpin;
	}
	dma->locked_vm += pin_pages(p);
	ret = map_pin(iommu, dma, p);
	if (ret)
		goto err_uncharge;
	*len = p->pin.len;
	return 0;

err_uncharge:
	dma->locked_vm -= pin_pages(p);
	vfio_uncharge_locked(m, dma->mm, pin_pages(p));
err_unpin:
	unpin_user(m, &p->pin);
err_free:
	vfio_free_pin(dma, p);
	return ret;
}

/* Out of all domains first: nothing reaches the memory any more when it is unpinned. */
static void unmap_unpin(struct vfio_iommu *iommu, struct vfio_dma *dma, u64 size)
{
	struct machine *m = iommu->core->machine;
	struct vfio_pin *p, *tmp;
	struct vfio_domain *d;

	if (size)
		list_for_each_entry(d, &iommu->domain_list, next)
			iommu_unmap(d->domain, dma->node.start, size);
	list_for_each_entry_safe(p, tmp, &dma->pins, next) {
		unpin_user(m, &p->pin);
		vfio_free_pin(dma, p);
	}
	vfio_uncharge_locked(m, dma->mm, dma->locked_vm);
	dma->locked_vm = 0;
}

static void free_dma(struct vfio_iommu *iommu, struct vfio_dma *dma)
{
	mm_put(dma->mm);
	kfree(dma->bitmap);
	kfree(dma);
	iommu->dma_avail++;
}

void vfio_remove_dma(struct vfio_iommu *iommu, struct vfio_dma *dma)
{
	unmap_unpin(iommu, dma, vfio_dma_size(dma));
	interval_tree_remove(&dma->node, &iommu->dma_list);
	if (dma->vaddr_invalid)
		iommu->vaddr_invalid_count--;
	free_dma(iommu, dma);
	iommu->nr_dma--;
	iommu->core->container_mappings--;
}

static int pin_map_dma(struct vfio_iommu *iommu, struct vfio_dma *dma)
{
	u64 size = vfio_dma_size(dma), pos = 0, len;

	while (pos < size) {
		int ret = pin_map_run(iommu, dma, pos, &len);

		if (ret) {
			unmap_unpin(iommu, dma, pos);
			return ret;
		}
		pos += len;
	}
	return 0;
}

/* ---- MAP_DMA ------------------------------------------------------------------------
 */

static bool iova_valid(struct vfio_iommu *iommu, iova_t start, iova_t last)
{
	struct vfio_iova *v;

	list_for_each_entry(v, &iommu->iova_list, list) {
		if (start >= v->start && last <= v->end)
			return true;
	}
	return list_empty(&iommu->iova_list);
}

static long map_dma(struct vfio_iommu *iommu, struct call *call, u64 arg)
{
	struct vfio_iommu_type1_dma_map map;
	u64 iova_last, vaddr_last, pgsize;
	struct vfio_dma *dma;
	int ret, prot = 0;
	bool vaddr_only;

	ret = copy_from_user(call, &map, arg, sizeof(map));
	if (ret)
		return ret;
	if (map.argsz < sizeof(map) ||
	    map.flags & ~(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE |
			  VFIO_DMA_MAP_FLAG_VADDR))
		return -EINVAL;
	if (!map.size)
		return -EINVAL;
	if (check_add_overflow(map.iova, map.size - 1, &iova_last) ||
	    check_add_overflow(map.vaddr, map.size - 1, &vaddr_last))
		return -EOVERFLOW;
	vaddr_only = map.flags & VFIO_DMA_MAP_FLAG_VADDR;
	if (map.flags & VFIO_DMA_MAP_FLAG_WRITE)
		prot |= IOMMU_WRITE;
	if (map.flags & VFIO_DMA_MAP_FLAG_READ)
		prot |= IOMMU_READ;
	if (vaddr_only == !!prot)
		return -EINVAL;
	pgsize = vfio_iommu_pgsize(iommu);
	if ((map.size | map.iova | map.vaddr) & (pgsize - 1))
		return -EINVAL;

	dma = vfio_find_dma(iommu, map.iova, iova_last);
	if (vaddr_only)
		return vfio_dma_set_vaddr(iommu, dma, call, &map);
	if (dma)
		return -EEXIST;
	if (!iommu->dma_avail)
		return -ENOSPC;
	if (!iova_valid(iommu, map.iova, iova_last))
		return -EINVAL;

	dma = kzalloc(sizeof(*dma));
	if (!dma)
		return -ENOMEM;
	iommu->dma_avail--;
	dma->node.start = map.iova;
	dma->node.last = iova_last;
	dma->vaddr = map.vaddr;
	dma->prot = prot;
	dma->lock_cap = call_capable(call, CAP_IPC_LOCK);
	dma->mm = mm_get(call_mm(call));
	INIT_LIST_HEAD(&dma->pins);
	ret = pin_map_dma(iommu, dma);
	if (ret)
		goto err_free;
	if (iommu->dirty_page_tracking) {
		ret = vfio_dma_bitmap_alloc(dma, pgsize);
		if (ret)
			goto err_unmap;
	}
	interval_tree_insert(&dma->node, &iommu->dma_list);
	iommu->nr_dma++;
	iommu->core->container_mappings++;
	machine_event(iommu->core->machine, map, call, vfio_iommu_space(iommu), map.iova,
		      iova_last, map.vaddr, (unsigned)prot);
	return 0;

err_unmap:
	unmap_unpin(iommu, dma, map.size);
err_free:
	free_dma(iommu, dma);
	return ret;
}

/* ---- UNMAP_DMA -----------------------------------------------------------------------
 */

static int unmap_range(struct vfio_iommu *iommu, struct call *call,
		       struct vfio_iommu_type1_dma_unmap *unmap,
		       const struct vfio_bitmap *bitmap)
{
	struct machine *m = iommu->core->machine;
	bool all = unmap->flags & VFIO_DMA_UNMAP_FLAG_ALL;
	u64 iova = unmap->iova, pgsize = vfio_iommu_pgsize(iommu), last, unmapped = 0;
	struct vfio_bitmap_word word = {};
	struct vfio_dma *dma, *next;
	int ret = 0;

	if (iova & (pgsize - 1))
		return -EINVAL;
	if (all) {
		if (iova || unmap->size)
			return -EINVAL;
		last = ~0ULL;
	} else {
		if (!unmap->size || unmap->size & (pgsize - 1))
			return -EINVAL;
		if (check_add_overflow(iova, unmap->size - 1, &last))
			return -EOVERFLOW;
	}
	if (bitmap && (!iommu->dirty_page_tracking || bitmap->pgsize != pgsize))
		return -EINVAL;
	if (iommu->v2 && !all) {
		/* Neither end may cut a mapping. */
		dma = vfio_find_dma(iommu, iova, iova);
		if (dma && dma->node.start != iova)
			return -EINVAL;
		dma = vfio_find_dma(iommu, last, last);
		if (dma && dma->node.last != last)
			return -EINVAL;
	}
	dma = vfio_find_dma(iommu, iova, last);
	if (bitmap) {
		ret = vfio_prepare_user_bitmap(iommu, call, bitmap->data, iova, last,
					       pgsize);
		if (ret)
			return ret;
	}
	if (unmap->flags & VFIO_DMA_UNMAP_FLAG_VADDR) {
		ret = vfio_invalidate_vaddr(iommu, dma, iova, last, &unmapped);
	} else {
		for (; dma; dma = next) {
			iova_t first = dma->node.start, end = dma->node.last;

			/* Of type1: a range that begins inside a mapping leaves it alone.
			 */
			if (!iommu->v2 && iova > first)
				break;
			if (bitmap) {
				ret = vfio_update_user_bitmap(iommu, call, dma,
							      bitmap->data, iova, pgsize,
							      &word);
				if (ret)
					break;
			}
			unmapped += vfio_dma_size(dma);
			next = vfio_next_dma(dma, iova, last);
			vfio_remove_dma(iommu, dma);
			machine_event(m, unmap, call, vfio_iommu_space(iommu), first,
				      end);
		}
	}
	unmap->size = unmapped;
	return ret;
}

static long unmap_dma(struct vfio_iommu *iommu, struct call *call, u64 arg)
{
	struct vfio_iommu_type1_dma_unmap unmap;
	struct vfio_bitmap bitmap;
	bool dirty;
	int ret;

	ret = copy_from_user(call, &unmap, arg, sizeof(unmap));
	if (ret)
		return ret;
	if (unmap.argsz < sizeof(unmap) ||
	    unmap.flags & ~(VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP |
			    VFIO_DMA_UNMAP_FLAG_VADDR | VFIO_DMA_UNMAP_FLAG_ALL))
		return -EINVAL;
	dirty = unmap.flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
	if (dirty) {
		if (unmap.flags & (VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR) ||
		    unmap.argsz < sizeof(unmap) + sizeof(bitmap))
			return -EINVAL;
		ret = copy_from_user(call, &bitmap, arg + sizeof(unmap), sizeof(bitmap));
		if (ret)
			return ret;
		ret = vfio_check_bitmap(&bitmap, unmap.size);
		if (ret)
			return ret;
	}
	ret = unmap_range(iommu, call, &unmap, dirty ? &bitmap : NULL);
	if (ret)
		return ret;
	return copy_to_user(call, arg, &unmap, sizeof(unmap));
}

/* ---- the driver of a container
 * ---------------------------------------------------------- */

static void *type1_open(struct vfio_core *core, struct call *call, u64 arg)
{
	struct vfio_iommu *iommu;

	if (arg != VFIO_TYPE1_IOMMU && arg != VFIO_TYPE1v2_IOMMU)
		return ERR_PTR(-EINVAL);
	iommu = kzalloc(sizeof(*iommu));
	if (!iommu)
		return ERR_PTR(-ENOMEM);
	iommu->core = core;
	iommu->v2 = arg == VFIO_TYPE1v2_IOMMU;
	INIT_LIST_HEAD(&iommu->domain_list);
	INIT_LIST_HEAD(&iommu->iova_list);
	iommu->dma_list = (struct rb_root_cached)RB_ROOT_CACHED;
	iommu->dma_avail = core->params.dma_entry_limit;
	iommu->pgsize_bitmap = PAGE_MASK;
	return iommu;
}

static long type1_ioctl(struct vfio_core *core, void *iommu_data, struct call *call,
			unsigned cmd, u64 arg)
{
	struct vfio_iommu *iommu = iommu_data;

	switch (cmd) {
	case VFIO_CHECK_EXTENSION:
		return vfio_type1_check_extension(iommu, arg);
	case VFIO_IOMMU_GET_INFO:
		return vfio_type1_get_info(iommu, call, arg);
	case VFIO_IOMMU_MAP_DMA:
		return map_dma(iommu, call, arg);
	case VFIO_IOMMU_UNMAP_DMA:
		return unmap_dma(iommu, call, arg);
	case VFIO_IOMMU_DIRTY_PAGES:
		return vfio_type1_dirty_pages(iommu, call, arg);
	default:
		return -ENOTTY;
	}
}

const struct vfio_iommu_driver_ops vfio_iommu_driver_ops_type1 = {
	.name = "vfio-iommu-type1",
	.open = type1_open,
	.release = vfio_type1_release,
	.ioctl = type1_ioctl,
	.attach_group = vfio_type1_attach_group,
	.detach_group = vfio_type1_detach_group,
};
