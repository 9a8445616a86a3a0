// SPDX-License-Identifier: MIT
/*
 * VFIO_UPDATE_VADDR: a program that is replaced while its device works (live update)
 * takes back the addresses of its mappings, and its successor gives new ones. The pages
 * and the device's view of them stay. Source of behaviour:
 * drivers/vfio/vfio_iommu_type1.c.
 *
 * A page that belongs to nobody but the old process cannot outlive it here. So where the
 * owner changes, the mapping moves to the same memory at the successor's address (it
 * is shared, else the successor would not have it); if it is not accessible there, the
 * mapping stays as it is.
 */
#include "vfio/type1.h"

/* All mappings from @first on in the range lose their address, or none. */
int vfio_invalidate_vaddr(struct vfio_iommu *iommu, struct vfio_dma *first, iova_t iova,
			  iova_t last, u64 *unmapped)
{
	struct vfio_dma *dma;

	for (dma = first; dma; dma = vfio_next_dma(dma, iova, last)) {
		if (!iommu->v2 && iova > dma->node.start)
			break;
		if (dma->vaddr_invalid)
			goto undo;
		dma->vaddr_invalid = true;
		iommu->vaddr_invalid_count++;
		*unmapped += vfio_dma_size(dma);
	}
	return 0;

undo:
	for (; first != dma; first = vfio_next_dma(first, iova, last)) {
		first->vaddr_invalid = false;
		iommu->vaddr_invalid_count--;
	}
	*unmapped = 0;
	return -EINVAL;
}

/* All of @dma's range pinned in @mm: 0, or nothing is pinned. */
static int pin_all(struct vfio_iommu *iommu, struct vfio_dma *dma, struct mm *mm,
		   u64 vaddr, struct list_head *pins)
{
	struct machine *m = iommu->core->machine;
	u64 size = vfio_dma_size(dma), pos = 0;
	struct vfio_pin *p, *tmp;
	int ret;

	while (pos < size) {
		p = kzalloc(sizeof(*p));
		if (!p) {
			ret = -ENOMEM;
			goto err;
		}
		p->iova = dma->node.start + pos;
		ret = pin_user(m, mm, vaddr + pos, size - pos, p->iova,
			       dma->prot & IOMMU_WRITE, &p->pin);
		if (ret) {
			kfree(p);
			goto err;
		}
		list_add_tail(&p->next, pins);
		pos += p->pin.len;
	}
	return 0;

err:
	list_for_each_entry_safe(p, tmp, pins, next) {
		unpin_user(m, &p->pin);
		list_del(&p->next);
		kfree(p);
	}
	return ret;
}

static void swap_lists(struct list_head *a, struct list_head *b)
{
	LIST_HEAD(tmp);

	list_splice_tail_init(a, &tmp);
	list_splice_tail_init(b, a);
	list_splice_tail_init(&tmp, b);
}

/* Into all domains what dma->pins says, in place of what is there. */
static int remap(struct vfio_iommu *iommu, struct vfio_dma *dma)
{
	struct vfio_domain *d;
	int ret = 0;

	list_for_each_entry(d, &iommu->domain_list, next) {
		iommu_unmap(d->domain, dma->node.start, vfio_dma_size(dma));
		ret = ret ? ret : vfio_dma_map_domain(iommu, dma, d);
	}
	return ret;
}

static void move_to(struct vfio_iommu *iommu, struct vfio_dma *dma, struct mm *mm,
		    u64 vaddr)
{
	struct machine *m = iommu->core->machine;
	struct vfio_pin *p, *tmp;
	LIST_HEAD(other);

	if (pin_all(iommu, dma, mm, vaddr, &other))
		return;
	swap_lists(&dma->pins, &other);
	if (remap(iommu, dma)) {
		swap_lists(&dma->pins, &other);
		/* The tables for it have just been there. */
		WARN_ON(remap(iommu, dma));
	}
	list_for_each_entry_safe(p, tmp, &other, next) {
		unpin_user(m, &p->pin);
		vfio_free_pin(dma, p);
	}
}

/* The mapping is from now on the caller's: it pays for the pages. */
static int change_dma_owner(struct vfio_iommu *iommu, struct vfio_dma *dma,
			    struct call *call, u64 vaddr)
{
	struct machine *m = iommu->core->machine;
	struct mm *mm = call_mm(call);
	bool lock_cap;
	int ret;

	if (mm == dma->mm)
		return 0;
	lock_cap = call_capable(call, CAP_IPC_LOCK);
	ret = vfio_charge_locked(m, mm, dma->locked_vm, lock_cap);
	if (ret)
		return ret;
	vfio_uncharge_locked(m, dma->mm, dma->locked_vm);
	move_to(iommu, dma, mm, vaddr);
	mm_put(dma->mm);
	dma->mm = mm_get(mm);
	dma->lock_cap = lock_cap;
	return 0;
}

/*
 * A new address for a mapping whose old one was taken back. The pages stay the same:
 * the program promises that they are those at the new address.
 */
int vfio_dma_set_vaddr(struct vfio_iommu *iommu, struct vfio_dma *dma, struct call *call,
		       const struct vfio_iommu_type1_dma_map *map)
{
	int ret;

	if (!dma)
		return -ENOENT;
	if (!dma->vaddr_invalid || dma->node.start != map->iova ||
	    vfio_dma_size(dma) != map->size)
		return -EINVAL;
	ret = change_dma_owner(iommu, dma, call, map->vaddr);
	if (ret)
		return ret;
	dma->vaddr = map->vaddr;
	dma->vaddr_invalid = false;
	iommu->vaddr_invalid_count--;
	/* For the report it lies elsewhere from now on. */
	machine_event(iommu->core->machine, unmap, call, vfio_iommu_space(iommu),
		      dma->node.start, dma->node.last);
	machine_event(iommu->core->machine, map, call, vfio_iommu_space(iommu),
		      dma->node.start, dma->node.last, dma->vaddr, (unsigned)dma->prot);
	return 0;
}
