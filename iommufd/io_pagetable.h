/* SPDX-License-Identifier: MIT */
/*
 * The mapping engine of an IOAS: which IOVAs hold which bytes of which memory.
 *
 * Two interval trees meet in an area. In its io_pagetable the area covers IOVAs
 * [node.start, node.last]; in its pages, while any domain is filled, it covers the
 * page indices [pages_node.start, pages_node.last]. Pages may have areas in several
 * io_pagetables (a copy shares them), and what one area has pinned another uses.
 *
 * An area without pages does not exist outside of one call. Areas never overlap, nor
 * do areas and reserved ranges; allowed ranges restrict only the choice of an IOVA.
 * All of it runs on the server's thread. Source of the rules: drivers/iommu/iommufd/
 * io_pagetable.c and pages.c.
 */
#ifndef MOAT_IOMMUFD_IO_PAGETABLE_H
#define MOAT_IOMMUFD_IO_PAGETABLE_H

#include "base/interval_tree.h"
#include "base/list.h"
#include "base/refcount.h"
#include "base/xarray.h"
#include "iommu/iommu.h"
#include "machine/mm.h"
#include "vfio/dmabuf.h"

struct call;
struct iommufd_access;
struct iommufd_ctx;
struct iopt_pages;

struct io_pagetable {
	struct machine *machine;
	struct rb_root_cached area_itree;     /* iopt_area.node, by IOVA */
	struct rb_root_cached allowed_itree;  /* empty: everything is allowed */
	struct rb_root_cached reserved_itree; /* may overlap each other */
	struct iommu_domain **domains;	      /* filled with every area */
	unsigned int nr_domains, max_domains;
	struct xarray access_list; /* struct iommufd_access by access_list_id */
	u64 iova_alignment;	   /* a power of two */
	bool disable_large_pages;
	u64 space; /* for machine/events.h */
	u64 nr_areas;
};

struct iopt_area {
	struct interval_tree_node node;
	struct interval_tree_node pages_node; /* in pages->domains_itree while filled */
	struct io_pagetable *iopt;	      /* set once it is in area_itree */
	struct iopt_pages *pages;	      /* holds a reference */
	unsigned int page_offset;	      /* of the first byte in its first page */
	int iommu_prot;			      /* IOMMU_READ, ... */
	bool filled;		   /* in the domains, and in pages->domains_itree */
	bool prevent_access;	   /* an unmap waits for the accesses to end */
	unsigned int num_accesses; /* accesses that have pages of it pinned */
	unsigned int num_locks;	   /* those of them that forbid an unmap */
};

struct iopt_reserved {
	struct interval_tree_node node;
	void *owner; /* a device or a domain */
};

struct iopt_allowed {
	struct interval_tree_node node;
};

static inline struct iopt_area *iopt_area_iter_first(const struct io_pagetable *iopt,
						     u64 start, u64 last)
{
	struct interval_tree_node *node =
		interval_tree_iter_first(&iopt->area_itree, start, last);

	return node ? container_of(node, struct iopt_area, node) : NULL;
}

static inline struct iopt_area *iopt_area_iter_next(struct iopt_area *area, u64 start,
						    u64 last)
{
	struct interval_tree_node *node =
		interval_tree_iter_next(&area->node, start, last);

	return node ? container_of(node, struct iopt_area, node) : NULL;
}

static inline u64 iopt_area_length(const struct iopt_area *area)
{
	return area->node.last - area->node.start + 1;
}

/* Byte offset in the pages of an IOVA in the area. */
static inline u64 iopt_area_start_byte(const struct iopt_area *area, iova_t iova)
{
	return iova - area->node.start + area->page_offset +
	       area->pages_node.start * PAGE_SIZE;
}

void iopt_init_table(struct io_pagetable *iopt, struct machine *m, u64 space);
void iopt_destroy_table(struct io_pagetable *iopt);

#define IOPT_ALLOC_IOVA 1 /* choose the IOVA instead of taking *iova */

/**
 * iopt_map_user_pages - map memory of the calling program.
 * @iova: in: where, unless IOPT_ALLOC_IOVA; out: where
 * @uaddr: any alignment that the domains' page sizes allow; as is @length (bytes)
 * @iommu_prot: IOMMU_READ, IOMMU_WRITE, IOMMU_CACHE
 *
 * Return: 0, -EINVAL (alignment, reserved, zero length), -EEXIST, -EOVERFLOW, -ENOSPC,
 * -EFAULT (a domain is attached and memory is missing), -ENOMEM, -EPERM.
 */
int iopt_map_user_pages(struct iommufd_ctx *ictx, struct io_pagetable *iopt,
			struct call *call, u64 *iova, u64 uaddr, u64 length,
			int iommu_prot, unsigned int flags);
int iopt_map_file_pages(struct iommufd_ctx *ictx, struct io_pagetable *iopt,
			struct call *call, u64 *iova, int fd, u64 start, u64 length,
			int iommu_prot, unsigned int flags);
/* Only whole areas: -ENOENT for a part of one, with what came before it unmapped. */
int iopt_unmap_iova(struct io_pagetable *iopt, struct call *call, u64 iova, u64 length,
		    u64 *unmapped);
int iopt_unmap_all(struct io_pagetable *iopt, struct call *call, u64 *unmapped);

/* What a copy takes from its source: pieces of pages, each with a reference. */
struct iopt_pages_piece {
	struct list_head next;
	struct iopt_pages *pages;
	struct iopt_area *area;
	u64 start_byte, length;
};
int iopt_get_pages(struct io_pagetable *iopt, u64 iova, u64 length,
		   struct list_head *pieces);
void iopt_free_pages_list(struct list_head *pieces);
int iopt_map_pages(struct io_pagetable *iopt, struct call *call, struct list_head *pieces,
		   u64 length, u64 *dst_iova, int iommu_prot, unsigned int flags);

/* Split areas after each of these IOVAs (type1 v1 semantics). */
int iopt_cut_iova(struct io_pagetable *iopt, const u64 *iovas, size_t num_iovas);
int iopt_disable_large_pages(struct io_pagetable *iopt);
void iopt_enable_large_pages(struct io_pagetable *iopt);

int iopt_reserve_iova(struct io_pagetable *iopt, u64 start, u64 last, void *owner);
void iopt_remove_reserved_iova(struct io_pagetable *iopt, void *owner);
/* @allowed: a tree of struct iopt_allowed, swapped with the present one on success. */
int iopt_set_allow_iova(struct io_pagetable *iopt, struct rb_root_cached *allowed);
/* @sw_msi_start: may be NULL. */
int iopt_table_enforce_dev_resv_regions(struct io_pagetable *iopt, struct device *dev,
					phys_addr_t *sw_msi_start);

int iopt_table_add_domain(struct io_pagetable *iopt, struct iommu_domain *domain);
void iopt_table_remove_domain(struct io_pagetable *iopt, struct iommu_domain *domain);

/* The alignment that @access needs holds from now on: -EADDRINUSE, -ENOMEM. */
int iopt_add_access(struct io_pagetable *iopt, struct iommufd_access *access);
void iopt_remove_access(struct io_pagetable *iopt, struct iommufd_access *access,
			u32 access_list_id);

/* Dirty tracking (iopt_dirty.c). -EOPNOTSUPP where the domain has none. */
int iopt_set_dirty_tracking(struct io_pagetable *iopt, struct iommu_domain *domain,
			    bool enable);
struct iommu_hwpt_get_dirty_bitmap;
int iopt_read_and_clear_dirty_data(struct io_pagetable *iopt, struct iommu_domain *domain,
				   struct call *call,
				   const struct iommu_hwpt_get_dirty_bitmap *bitmap);

/* --- pages.c ------------------------------------------------------------------------ */

enum iopt_address_type { IOPT_ADDRESS_USER, IOPT_ADDRESS_FILE, IOPT_ADDRESS_DMABUF };
enum iopt_account_mode {
	IOPT_PAGES_ACCOUNT_NONE,
	IOPT_PAGES_ACCOUNT_USER,
	IOPT_PAGES_ACCOUNT_MM
};

/*
 * A run of memory of one program, or of a file. pins is a tree of struct iopt_pin by page
 * index; pins do not overlap, and each is kept while an area or an access uses it.
 */
struct iopt_pages {
	struct refcount ref;
	enum iopt_address_type type;
	enum iopt_account_mode account_mode;
	bool writable;
	struct machine *machine;
	struct mm *source_mm;  /* whose memory, and whom to charge */
	u64 vaddr;	       /* of byte 0, page aligned, in backing_mm */
	struct mm *backing_mm; /* USER: source_mm; FILE: the mm that maps the file */
	int file_fd;	       /* FILE, -1: one that has no memory */
	u64 file_start;	       /* FILE, DMABUF: byte of it at byte 0, page aligned */
	u64 file_inode;
	struct list_head file_node; /* iommufd_core.file_pages while mapped */
	void *file_map;		    /* the server's mapping, made when first pinned */
	struct file *dmabuf;	    /* DMABUF */
	struct vfio_dmabuf_importer importer;
	phys_addr_t dmabuf_phys;
	bool revoked; /* its areas are in no domain any more, for good */
	u64 npages;
	u64 npinned;	   /* charged */
	struct mm *old_mm; /* during a change of process: who was charged before */
	struct rb_root_cached domains_itree; /* iopt_area.pages_node */
	struct rb_root_cached access_itree;  /* struct iopt_pages_access, may overlap */
	struct rb_root_cached pins;
};

struct iopt_pages *iopt_alloc_user_pages(struct call *call, u64 uaddr, u64 length,
					 bool writable);
struct iopt_pages *iopt_alloc_file_pages(struct call *call, int fd, u64 start_byte,
					 u64 start, u64 length, bool writable);
void iopt_get_pages_ref(struct iopt_pages *pages);
void iopt_put_pages(struct iopt_pages *pages);
/*
 * Charge @mm for what the pages pin from now on: -ENOMEM over its limit. Followed, for
 * all pages of the change, by done, or by undo which gives back those that have changed.
 * Pages that were met before in the same change are left alone.
 */
int iopt_pages_change_mm(struct iopt_pages *pages, struct mm *mm);
void iopt_pages_change_mm_done(struct iopt_pages *pages);
void iopt_pages_change_mm_undo(struct iopt_pages *pages, struct mm *mm);

/* Pin what the area covers and map it into all domains, or into none. */
int iopt_area_fill_domains(struct iopt_area *area, struct iopt_pages *pages);
void iopt_area_unfill_domains(struct iopt_area *area, struct iopt_pages *pages);
/* One domain comes, or goes, while the area stays. */
int iopt_area_fill_domain(struct iopt_area *area, struct iommu_domain *domain);

/* Take the area out of @domain, if it is in it. */
void iopt_area_unmap_domain(struct iopt_area *area, struct iommu_domain *domain);

/*
 * Pin page indices [@start, @last] of the area's pages, once more if they are pinned, and
 * tell where they are: @out has an entry for each. @lock: the area may not be unmapped
 * until the same range is removed. -EPERM, -EFAULT, -ENOMEM, -EINVAL (dma-buf).
 */
int iopt_area_add_access(struct iopt_area *area, u64 start, u64 last, phys_addr_t *out,
			 unsigned int flags, bool lock);
void iopt_area_remove_access(struct iopt_area *area, u64 start, u64 last, bool unlock);
/*
 * Copy @length bytes at byte @start_byte of the pages. @call: who asks for it, NULL:
 * nobody that the memory could belong to. -EPERM, -EFAULT, -EINVAL, -ERESTARTNOINTR.
 */
int iopt_pages_rw_access(struct iopt_pages *pages, struct call *call, u64 start_byte,
			 void *data, u64 length, unsigned int flags);

/* Make the area known to its pages as filled, or no longer. */
void iopt_area_link(struct iopt_area *area, struct iopt_pages *pages);
void iopt_area_unlink(struct iopt_area *area, struct iopt_pages *pages);

#endif
