/* SPDX-License-Identifier: MIT */
/*
 * The type1 IOMMU context of a container: its mappings and its domains.
 *
 * Every mapping is in every domain: a group that comes later gets all of them
 * (attach.c), and the last group that leaves takes them with it. So a mapping always
 * stands in the first domain, and its memory is pinned as long as it exists.
 *
 * Mappings do not overlap. dma_list finds them by IOVA in O(log n); what is kept of
 * one does not grow with its size, but for the dirty bitmap while tracking is on.
 */
#ifndef MOAT_VFIO_TYPE1_H
#define MOAT_VFIO_TYPE1_H

#include "base/interval_tree.h"
#include "machine/mm.h"
#include "vfio/priv.h"

struct vfio_iommu {
	struct vfio_core *core;
	struct list_head domain_list; /* vfio_domain.next */
	struct list_head iova_list;   /* vfio_iova.list, ascending: what may be mapped */
	struct rb_root_cached dma_list; /* vfio_dma.node */
	u32 dma_avail;			/* mappings that may still be made */
	u32 nr_dma;
	u32 vaddr_invalid_count; /* mappings whose vaddr was taken back */
	u64 pgsize_bitmap;
	u64 left; /* mappings that nobody unmapped, for the report */
	bool v2;
	bool dirty_page_tracking;
};

/* Groups with the same IOMMU driver and the same coherency share one. */
struct vfio_domain {
	struct iommu_domain *domain;
	struct list_head next;
	struct list_head group_list; /* vfio_iommu_group.next */
	bool enforce_cache_coherency;
};

struct vfio_iommu_group {
	struct iommu_group *iommu_group;
	struct list_head next;
};

struct vfio_iova {
	struct list_head list;
	iova_t start, end; /* inclusive */
};

/* One run of pinned memory of a mapping. */
struct vfio_pin {
	struct pin pin;
	iova_t iova;
	struct list_head next; /* vfio_dma.pins, ascending */
};

struct vfio_dma {
	struct interval_tree_node node; /* [start, last] of IOVA */
	u64 vaddr;
	int prot;      /* IOMMU_READ, IOMMU_WRITE */
	bool lock_cap; /* who mapped it had CAP_IPC_LOCK */
	bool vaddr_invalid;
	struct mm *mm; /* a reference; whom its pages are charged to */
	u64 locked_vm; /* pages charged */
	struct list_head pins;
	struct vfio_pin first_pin; /* one is nearly always enough */
	unsigned long *bitmap;	   /* dirty pages, while tracking is on */
};

#define dma_of(n) container_of(n, struct vfio_dma, node)

static inline u64 vfio_dma_size(const struct vfio_dma *dma)
{
	return dma->node.last - dma->node.start + 1;
}

/* The smallest page size; IOVAs, addresses and sizes are multiples of it. */
static inline u64 vfio_iommu_pgsize(const struct vfio_iommu *iommu)
{
	return iommu->pgsize_bitmap & -iommu->pgsize_bitmap;
}

/* The number of the context in machine/events.h. */
static inline u64 vfio_iommu_space(const struct vfio_iommu *iommu)
{
	return (u64)(uintptr_t)iommu;
}

/* The lowest mapping that overlaps [start, last]; NULL: none. */
static inline struct vfio_dma *vfio_find_dma(struct vfio_iommu *iommu, iova_t start,
					     iova_t last)
{
	struct interval_tree_node *n =
		interval_tree_iter_first(&iommu->dma_list, start, last);

	return n ? dma_of(n) : NULL;
}

static inline struct vfio_dma *vfio_next_dma(struct vfio_dma *dma, iova_t start,
					     iova_t last)
{
	struct interval_tree_node *n = interval_tree_iter_next(&dma->node, start, last);

	return n ? dma_of(n) : NULL;
}

#define vfio_for_each_dma(dma, iommu)                       \
	for ((dma) = vfio_find_dma(iommu, 0, ~0ULL); (dma); \
	     (dma) = vfio_next_dma(dma, 0, ~0ULL))

/* type1.c */
/* Out of all domains, unpinned, freed. */
void vfio_remove_dma(struct vfio_iommu *iommu, struct vfio_dma *dma);
/* Put what is pinned for @dma into one domain: 0, or nothing is in it. */
int __must_check vfio_dma_map_domain(struct vfio_iommu *iommu, struct vfio_dma *dma,
				     struct vfio_domain *domain);

/* Charge @pages to @mm->locked_vm: 0, -ENOMEM beyond the limit. */
int __must_check vfio_charge_locked(struct machine *m, struct mm *mm, u64 pages,
				    bool lock_cap);
void vfio_uncharge_locked(struct machine *m, struct mm *mm, u64 pages);
void vfio_free_pin(struct vfio_dma *dma, struct vfio_pin *p);

/* vaddr.c */
/* All mappings from @first on in the range lose their address, or none: 0, -EINVAL. */
int vfio_invalidate_vaddr(struct vfio_iommu *iommu, struct vfio_dma *first, iova_t iova,
			  iova_t last, u64 *unmapped);
/* 0; -ENOENT: no mapping; -EINVAL: not this one, or it has its address; -ENOMEM. */
int vfio_dma_set_vaddr(struct vfio_iommu *iommu, struct vfio_dma *dma, struct call *call,
		       const struct vfio_iommu_type1_dma_map *map);

/* attach.c */
int vfio_type1_attach_group(void *iommu_data, struct iommu_group *group);
void vfio_type1_detach_group(void *iommu_data, struct iommu_group *group);
void vfio_type1_release(void *iommu_data);
void vfio_iova_list_free(struct list_head *iova);

/* type1_info.c */
long vfio_type1_get_info(struct vfio_iommu *iommu, struct call *call, u64 arg);
long vfio_type1_check_extension(struct vfio_iommu *iommu, u64 arg);

/* dirty.c */
#define DIRTY_BITMAP_BYTES(n)  (ALIGN(n, 64) / 8)
#define DIRTY_BITMAP_PAGES_MAX ((u64)INT32_MAX)
#define DIRTY_BITMAP_SIZE_MAX  DIRTY_BITMAP_BYTES(DIRTY_BITMAP_PAGES_MAX)
long vfio_type1_dirty_pages(struct vfio_iommu *iommu, struct call *call, u64 arg);
int __must_check vfio_dma_bitmap_alloc(struct vfio_dma *dma, u64 pgsize);
/* All of a mapping is dirty (a group whose pages nobody tracked has left). */
void vfio_dirty_all(struct vfio_iommu *iommu);
/* The first checks on a bitmap from outside: 0, -EINVAL. */
int vfio_check_bitmap(const struct vfio_bitmap *bitmap, u64 size);
/*
 * Everything that update needs of the program for mappings in [iova, last] is there.
 * 0, -ERESTARTNOINTR; bad addresses are found again by update.
 */
int vfio_prepare_user_bitmap(struct vfio_iommu *iommu, struct call *call, u64 bitmap,
			     iova_t iova, iova_t last, u64 pgsize);
/*
 * Store @dma's dirty bits in the program's @bitmap, which begins at @base. @prev: the
 * last word stored for the mapping before, whose other bits this one may share.
 */
struct vfio_bitmap_word {
	bool valid;
	u64 index, value;
};
int vfio_update_user_bitmap(struct vfio_iommu *iommu, struct call *call,
			    struct vfio_dma *dma, u64 bitmap, iova_t base, u64 pgsize,
			    struct vfio_bitmap_word *prev);

#endif
