// SPDX-License-Identifier: MIT
/*
 * Memory behind areas: pinning it when the first domain needs it, sharing pins between
 * areas, charging each page once, and putting it into domains.
 *
 * A pin covers page indices; it is made for the part of an area that no pin covers yet,
 * congruent to that area's IOVA so that large pages stay large, and dropped when no
 * filled area touches it any more.
 */
#include "iommufd/io_pagetable.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/overflow.h"
#include "iommufd/iommufd.h"
#include "machine/file.h"
#include "machine/machine.h"

#define CAP_IPC_LOCK 14

struct iopt_pin {
	struct interval_tree_node node; /* page indices, inclusive */
	struct pin pin;
};

static struct iopt_pin *pin_first(struct iopt_pages *pages, u64 start, u64 last)
{
	struct interval_tree_node *node =
		interval_tree_iter_first(&pages->pins, start, last);

	return node ? container_of(node, struct iopt_pin, node) : NULL;
}

static struct iopt_pages *iopt_alloc_pages(struct call *call, u64 start_byte, u64 length,
					   bool writable)
{
	struct iopt_pages *pages;

	if (length > SIZE_MAX - PAGE_SIZE || length == 0)
		return ERR_PTR(-EINVAL);
	pages = kzalloc(sizeof(*pages));
	if (!pages)
		return ERR_PTR(-ENOMEM);
	refcount_set(&pages->ref, 1);
	pages->machine = call_machine(call);
	pages->npages = DIV_ROUND_UP(length + start_byte, PAGE_SIZE);
	pages->domains_itree = RB_ROOT_CACHED;
	pages->access_itree = RB_ROOT_CACHED;
	pages->pins = RB_ROOT_CACHED;
	pages->writable = writable;
	pages->account_mode = call_capable(call, CAP_IPC_LOCK) ? IOPT_PAGES_ACCOUNT_NONE
							       : IOPT_PAGES_ACCOUNT_USER;
	pages->source_mm = mm_get(call_mm(call));
	return pages;
}

struct iopt_pages *iopt_alloc_user_pages(struct call *call, u64 uaddr, u64 length,
					 bool writable)
{
	struct iopt_pages *pages;
	u64 end;

	if (check_add_overflow(uaddr, length, &end))
		return ERR_PTR(-EOVERFLOW);
	pages = iopt_alloc_pages(call, uaddr % PAGE_SIZE, length, writable);
	if (IS_ERR(pages))
		return pages;
	pages->type = IOPT_ADDRESS_USER;
	pages->vaddr = ALIGN_DOWN(uaddr, PAGE_SIZE);
	pages->backing_mm = mm_get(pages->source_mm);
	return pages;
}

/* Every area of the pages leaves its domains; what the device finds there now is a fault.
 */
static void dmabuf_revoked(struct vfio_dmabuf_importer *imp)
{
	struct iopt_pages *pages = container_of(imp, struct iopt_pages, importer);
	struct interval_tree_node *node;

	interval_tree_for_each(node, &pages->domains_itree, 0, ~0ULL) {
		struct iopt_area *area = container_of(node, struct iopt_area, pages_node);

		for (unsigned int i = 0; i < area->iopt->nr_domains; i++)
			iopt_area_unmap_domain(area, area->iopt->domains[i]);
	}
	pages->revoked = true;
}

static int alloc_dmabuf(struct iopt_pages *pages, struct file *file, u64 start,
			u64 length)
{
	u64 size;
	int rc;

	pages->type = IOPT_ADDRESS_DMABUF;
	pages->account_mode = IOPT_PAGES_ACCOUNT_NONE;
	pages->importer.revoked = dmabuf_revoked;
	rc = vfio_dmabuf_import(file, &pages->importer, &pages->dmabuf_phys, &size);
	if (rc)
		return rc;
	pages->dmabuf = file;
	return size <= start + length - 1 ? -EINVAL : 0;
}

/*
 * A file is mapped in the server, whose memory any program's device reaches as it reaches
 * another program's. memfd_pin_folios() takes shared memory files only (-EINVAL), so a
 * file of the machine that is no dma-buf is not even held.
 */
struct iopt_pages *iopt_alloc_file_pages(struct call *call, int fd, u64 start_byte,
					 u64 start, u64 length, bool writable)
{
	struct machine *m = call_machine(call);
	struct iopt_pages *pages;
	struct file *file;
	int rc = 0;

	pages = iopt_alloc_pages(call, start_byte, length, writable);
	if (IS_ERR(pages))
		return pages;
	pages->type = IOPT_ADDRESS_FILE;
	pages->file_map = MAP_FAILED;
	pages->file_fd = -1;
	pages->file_start = start - start_byte;
	file = call_fget(call, fd);
	if (!IS_ERR(file)) {
		if (vfio_file_is_dmabuf(file))
			rc = alloc_dmabuf(pages, file, start, length);
		fput(file);
	} else if (PTR_ERR(file) == -ENOTTY) {
		pages->file_fd = call_dup_fd(call, fd);
		rc = min(pages->file_fd, 0);
		pages->backing_mm = m->self_mm ? mm_get(m->self_mm) : NULL;
	} else {
		rc = (int)PTR_ERR(file);
	}
	if (rc) {
		iopt_put_pages(pages);
		return ERR_PTR(rc);
	}
	return pages;
}

void iopt_get_pages_ref(struct iopt_pages *pages)
{
	refcount_inc(&pages->ref);
}

void iopt_put_pages(struct iopt_pages *pages)
{
	if (!refcount_dec_and_test(&pages->ref))
		return;
	if (pages->type == IOPT_ADDRESS_FILE) {
		if (pages->file_map != MAP_FAILED) {
			list_del(&pages->file_node);
			munmap(pages->file_map, pages->npages * PAGE_SIZE);
		}
		if (pages->file_fd >= 0)
			close(pages->file_fd);
	}
	if (pages->dmabuf)
		vfio_dmabuf_release(pages->dmabuf, &pages->importer);
	if (pages->backing_mm)
		mm_put(pages->backing_mm);
	mm_put(pages->source_mm);
	kfree(pages);
}

/*
 * What memfd_pin_folios() does when a domain first needs a file's pages: -EINVAL for a
 * file that is no shared memory or a range that it does not hold.
 */
static int pages_map_file(struct iopt_pages *pages)
{
	size_t len = pages->npages * PAGE_SIZE;
	struct stat st;
	int prot = PROT_READ;

	if (pages->file_map != MAP_FAILED)
		return 0;
	if (!pages->backing_mm || pages->file_fd < 0 || fstat(pages->file_fd, &st) ||
	    !S_ISREG(st.st_mode) || fcntl(pages->file_fd, F_GET_SEALS) < 0)
		return -EINVAL;
	if (pages->file_start >= (u64)st.st_size ||
	    len > ALIGN((u64)st.st_size, PAGE_SIZE) - pages->file_start)
		return -EINVAL;
	if (pages->writable)
		prot |= PROT_WRITE;
	pages->file_map = mmap(NULL, len, prot, MAP_SHARED, pages->file_fd,
			       (off_t)pages->file_start);
	/* Linux pins sealed and read-only files all the same; a device's write is lost
	 * here. */
	if (pages->file_map == MAP_FAILED)
		pages->file_map = mmap(NULL, len, PROT_READ, MAP_SHARED, pages->file_fd,
				       (off_t)pages->file_start);
	if (pages->file_map == MAP_FAILED)
		return -EINVAL;
	pages->vaddr = (u64)(uintptr_t)pages->file_map;
	pages->file_inode = st.st_ino;
	list_add(&pages->file_node, &pages->machine->iommufd->file_pages);
	return 0;
}

/* What of the pages' own bytes [start, last] is pinned becomes a copy in machine RAM. */
static int pages_keep(struct iopt_pages *pages, u64 start, u64 last)
{
	u64 first_page = start / PAGE_SIZE, last_page = last / PAGE_SIZE;
	struct interval_tree_node *node;

	interval_tree_for_each(node, &pages->pins, first_page, last_page) {
		u64 from = max(node->start, first_page), to = min(node->last, last_page);
		int rc = pin_relocate_local(pages->machine, pages->backing_mm,
					    pages->vaddr + from * PAGE_SIZE,
					    (to - from + 1) * PAGE_SIZE);

		if (rc)
			return rc;
	}
	return 0;
}

int iommufd_file_cut(struct machine *m, u64 inode, u64 start, u64 len)
{
	struct iopt_pages *pages;
	u64 last;

	if (!len || check_add_overflow(start, len - 1, &last))
		return -EINVAL;
	list_for_each_entry(pages, &m->iommufd->file_pages, file_node) {
		u64 first = pages->file_start,
		    end = first + pages->npages * PAGE_SIZE - 1;
		int rc;

		if (pages->file_inode != inode || last < first || start > end)
			continue;
		rc = pages_keep(pages, max(start, first) - first, min(last, end) - first);
		if (rc)
			return rc;
	}
	return 0;
}

/* --- accounting ----------------------------------------------------------------------
 */

static int pages_charge(struct iopt_pages *pages, u64 npages)
{
	struct mm *mm = pages->source_mm;
	u64 *charged, limit, total;

	switch (pages->account_mode) {
	case IOPT_PAGES_ACCOUNT_NONE:
		return 0;
	case IOPT_PAGES_ACCOUNT_USER:
		charged = &mm->pinned_vm;
		break;
	default:
		charged = &mm->locked_vm;
		break;
	}
	limit = mm->ops->memlock_limit(mm);
	if (check_add_overflow(*charged, npages, &total))
		return -ENOMEM;
	if (limit != ~0ULL && total > limit >> PAGE_SHIFT)
		return -ENOMEM;
	*charged = total;
	pages->npinned += npages;
	return 0;
}

static void pages_uncharge(struct iopt_pages *pages, u64 npages)
{
	if (pages->account_mode == IOPT_PAGES_ACCOUNT_NONE)
		return;
	if (pages->account_mode == IOPT_PAGES_ACCOUNT_USER)
		pages->source_mm->pinned_vm -= npages;
	else
		pages->source_mm->locked_vm -= npages;
	pages->npinned -= npages;
}

int iopt_pages_change_mm(struct iopt_pages *pages, struct mm *mm)
{
	struct mm *old = pages->source_mm;
	u64 npinned = pages->npinned;
	int rc;

	if (pages->old_mm || old == mm)
		return 0;
	pages->source_mm = mm;
	rc = pages_charge(pages, npinned);
	if (rc) {
		pages->source_mm = old;
		return rc;
	}
	pages->npinned = npinned;
	mm_get(mm);
	pages->old_mm = old;
	return 0;
}

/* The reference and the charge of @mm end; npinned stays, as the other owner has it. */
static void pages_release_mm(struct iopt_pages *pages, struct mm *mm)
{
	struct mm *now = pages->source_mm;
	u64 npinned = pages->npinned;

	pages->source_mm = mm;
	pages_uncharge(pages, npinned);
	pages->source_mm = now;
	pages->npinned = npinned;
	mm_put(mm);
}

void iopt_pages_change_mm_done(struct iopt_pages *pages)
{
	struct mm *old = pages->old_mm;

	if (!old)
		return;
	pages->old_mm = NULL;
	pages_release_mm(pages, old);
}

void iopt_pages_change_mm_undo(struct iopt_pages *pages, struct mm *mm)
{
	if (!pages->old_mm)
		return;
	pages->source_mm = pages->old_mm;
	pages->old_mm = NULL;
	pages_release_mm(pages, mm);
}

/* --- pins ------------------------------------------------------------------------------
 */

static void pin_drop(struct iopt_pages *pages, struct iopt_pin *p)
{
	interval_tree_remove(&p->node, &pages->pins);
	unpin_user(pages->machine, &p->pin);
	pages_uncharge(pages, p->node.last - p->node.start + 1);
	kfree(p);
}

/* Drop the pins over [start, last] that no filled area and no access touches. */
static void pages_unpin(struct iopt_pages *pages, u64 start, u64 last)
{
	struct interval_tree_node *node =
		interval_tree_iter_first(&pages->pins, start, last);

	while (node) {
		struct interval_tree_node *next =
			interval_tree_iter_next(node, start, last);
		struct iopt_pin *p = container_of(node, struct iopt_pin, node);

		if (!interval_tree_iter_first(&pages->domains_itree, node->start,
					      node->last) &&
		    !interval_tree_iter_first(&pages->access_itree, node->start,
					      node->last))
			pin_drop(pages, p);
		node = next;
	}
}

/* Pin [start, last], which no pin covers; @iova is where index @start will be mapped. */
static int pages_pin_hole(struct iopt_pages *pages, u64 start, u64 last, u64 iova)
{
	while (start <= last) {
		struct iopt_pin *p = kzalloc(sizeof(*p));
		u64 npages;
		int rc;

		if (!p)
			return -ENOMEM;
		rc = pin_user(pages->machine, pages->backing_mm,
			      pages->vaddr + start * PAGE_SIZE,
			      (last - start + 1) * PAGE_SIZE, iova, pages->writable,
			      &p->pin);
		if (rc) {
			kfree(p);
			return rc;
		}
		/* Ordinary memory only: a BAR comes as a dma-buf. */
		if (p->pin.special) {
			unpin_user(pages->machine, &p->pin);
			kfree(p);
			return -EFAULT;
		}
		npages = p->pin.len / PAGE_SIZE;
		rc = pages_charge(pages, npages);
		if (rc) {
			unpin_user(pages->machine, &p->pin);
			kfree(p);
			return rc;
		}
		p->node.start = start;
		p->node.last = start + npages - 1;
		interval_tree_insert(&p->node, &pages->pins);
		start += npages;
		iova += npages * PAGE_SIZE;
	}
	return 0;
}

static u64 area_page_iova(const struct iopt_area *area, u64 index)
{
	return area->node.start - area->page_offset +
	       (index - area->pages_node.start) * PAGE_SIZE;
}

/* On failure pins may be left; the caller calls pages_unpin(). */
static int area_pin_range(struct iopt_area *area, struct iopt_pages *pages, u64 index,
			  u64 last)
{
	int rc;

	if (pages->type == IOPT_ADDRESS_DMABUF)
		return 0;
	if (pages->type == IOPT_ADDRESS_FILE) {
		rc = pages_map_file(pages);
		if (rc)
			return rc;
	}
	while (index <= last) {
		struct iopt_pin *p = pin_first(pages, index, last);

		if (p && p->node.start <= index) {
			index = p->node.last + 1;
			continue;
		}
		rc = pages_pin_hole(pages, index, p ? p->node.start - 1 : last,
				    area_page_iova(area, index));
		if (rc)
			return rc;
		index = p ? p->node.start : last + 1;
	}
	return 0;
}

static int area_pin(struct iopt_area *area, struct iopt_pages *pages)
{
	return area_pin_range(area, pages, area->pages_node.start, area->pages_node.last);
}

/* --- accesses --------------------------------------------------------------------------
 */

/* Page indices that accesses have pinned; one for all that name the same range. */
struct iopt_pages_access {
	struct interval_tree_node node;
	unsigned int users;
};

static struct iopt_pages_access *get_exact_access(struct iopt_pages *pages, u64 start,
						  u64 last)
{
	struct interval_tree_node *node;

	interval_tree_for_each(node, &pages->access_itree, start, last) {
		if (node->start == start && node->last == last)
			return container_of(node, struct iopt_pages_access, node);
	}
	return NULL;
}

int iopt_area_add_access(struct iopt_area *area, u64 start, u64 last, phys_addr_t *out,
			 unsigned int flags, bool lock)
{
	struct iopt_pages *pages = area->pages;
	struct iopt_pages_access *access;

	if ((flags & IOMMUFD_ACCESS_RW_WRITE) && !pages->writable)
		return -EPERM;
	if (pages->type == IOPT_ADDRESS_DMABUF)
		return -EINVAL;
	access = get_exact_access(pages, start, last);
	if (!access) {
		int rc;

		access = kzalloc(sizeof(*access));
		if (!access)
			return -ENOMEM;
		rc = area_pin_range(area, pages, start, last);
		if (rc) {
			pages_unpin(pages, start, last);
			kfree(access);
			return rc;
		}
		access->node.start = start;
		access->node.last = last;
		interval_tree_insert(&access->node, &pages->access_itree);
	}
	access->users++;
	area->num_accesses++;
	area->num_locks += lock;
	for (u64 index = start; index <= last; index++) {
		struct iopt_pin *p = pin_first(pages, index, index);

		*out++ = p->pin.phys + (index - p->node.start) * PAGE_SIZE;
	}
	return 0;
}

void iopt_area_remove_access(struct iopt_area *area, u64 start, u64 last, bool unlock)
{
	struct iopt_pages *pages = area->pages;
	struct iopt_pages_access *access = get_exact_access(pages, start, last);

	if (WARN_ON(!access))
		return;
	area->num_accesses--;
	area->num_locks -= unlock;
	if (--access->users)
		return;
	interval_tree_remove(&access->node, &pages->access_itree);
	kfree(access);
	pages_unpin(pages, start, last);
}

/* The memory is not the caller's, or is a file's: the machine goes there itself. */
static int pages_rw_foreign(struct iopt_pages *pages, u64 start_byte, void *data,
			    u64 length, bool write)
{
	struct hw *hw = &pages->machine->hw;
	int rc = 0;

	if (pages->type == IOPT_ADDRESS_FILE)
		rc = pages_map_file(pages);
	if (rc)
		return rc;
	if (!hw->ops || !hw->ops->mm_read || !hw->ops->mm_write)
		return -EFAULT;
	rc = write ? hw->ops->mm_write(hw, pages->backing_mm->index,
				       pages->vaddr + start_byte, data, length)
		   : hw->ops->mm_read(hw, pages->backing_mm->index,
				      pages->vaddr + start_byte, data, length);
	return rc ? -EFAULT : 0;
}

int iopt_pages_rw_access(struct iopt_pages *pages, struct call *call, u64 start_byte,
			 void *data, u64 length, unsigned int flags)
{
	bool write = flags & IOMMUFD_ACCESS_RW_WRITE;

	if (write && !pages->writable)
		return -EPERM;
	if (pages->type == IOPT_ADDRESS_DMABUF)
		return -EINVAL;
	if (pages->type != IOPT_ADDRESS_USER || !call ||
	    call_mm(call) != pages->source_mm)
		return pages_rw_foreign(pages, start_byte, data, length, write);
	if (write)
		return copy_to_user(call, pages->vaddr + start_byte, data, length);
	return copy_from_user(call, data, pages->vaddr + start_byte, length);
}

/* --- domains ---------------------------------------------------------------------------
 */

static void domain_unmap(struct iommu_domain *domain, iova_t iova, u64 length)
{
	u64 unmapped = iommu_unmap(domain, iova, length);

	WARN_ON(unmapped != length);
}

/* Everything of the area is pinned. */
static int domain_map_area(struct iommu_domain *domain, struct iopt_area *area,
			   struct iopt_pages *pages)
{
	u64 byte = area->pages_node.start * PAGE_SIZE + area->page_offset;
	iova_t iova = area->node.start;
	u64 left = iopt_area_length(area);
	struct iopt_pin *p;
	int rc;

	if (pages->type == IOPT_ADDRESS_DMABUF)
		return pages->revoked
			       ? 0
			       : iommu_map(domain, iova,
					   pages->dmabuf_phys + pages->file_start + byte,
					   left,
					   (area->iommu_prot & ~IOMMU_CACHE) |
						   IOMMU_MMIO);
	while (left) {
		u64 offset, run;

		p = pin_first(pages, byte / PAGE_SIZE, byte / PAGE_SIZE);
		offset = byte - p->node.start * PAGE_SIZE;
		run = min(left, p->pin.len - offset);
		rc = iommu_map(domain, iova, p->pin.phys + offset, run, area->iommu_prot);
		if (rc) {
			if (iova != area->node.start)
				domain_unmap(domain, area->node.start,
					     iova - area->node.start);
			return rc;
		}
		iova += run;
		byte += run;
		left -= run;
	}
	return 0;
}

void iopt_area_link(struct iopt_area *area, struct iopt_pages *pages)
{
	interval_tree_insert(&area->pages_node, &pages->domains_itree);
	area->filled = true;
}

void iopt_area_unlink(struct iopt_area *area, struct iopt_pages *pages)
{
	interval_tree_remove(&area->pages_node, &pages->domains_itree);
	area->filled = false;
	pages_unpin(pages, area->pages_node.start, area->pages_node.last);
}

int iopt_area_fill_domain(struct iopt_area *area, struct iommu_domain *domain)
{
	struct iopt_pages *pages = area->pages;
	int rc = area_pin(area, pages);

	if (!rc)
		rc = domain_map_area(domain, area, pages);
	if (rc && !area->filled)
		pages_unpin(pages, area->pages_node.start, area->pages_node.last);
	return rc;
}

/* @pages: the area may not have taken them over yet. */
static void area_unmap_domain(struct iopt_area *area, struct iopt_pages *pages,
			      struct iommu_domain *domain)
{
	if (!pages->revoked)
		domain_unmap(domain, area->node.start, iopt_area_length(area));
}

void iopt_area_unmap_domain(struct iopt_area *area, struct iommu_domain *domain)
{
	area_unmap_domain(area, area->pages, domain);
}

int iopt_area_fill_domains(struct iopt_area *area, struct iopt_pages *pages)
{
	struct io_pagetable *iopt = area->iopt;
	unsigned int i;
	int rc;

	if (!iopt->nr_domains)
		return 0;
	rc = area_pin(area, pages);
	if (rc)
		goto err_unpin;
	for (i = 0; i < iopt->nr_domains; i++) {
		rc = domain_map_area(iopt->domains[i], area, pages);
		if (rc)
			goto err_unmap;
	}
	iopt_area_link(area, pages);
	return 0;

err_unmap:
	while (i--)
		area_unmap_domain(area, pages, iopt->domains[i]);
err_unpin:
	pages_unpin(pages, area->pages_node.start, area->pages_node.last);
	return rc;
}

void iopt_area_unfill_domains(struct iopt_area *area, struct iopt_pages *pages)
{
	struct io_pagetable *iopt = area->iopt;

	if (!area->filled)
		return;
	for (unsigned int i = 0; i < iopt->nr_domains; i++)
		area_unmap_domain(area, pages, iopt->domains[i]);
	iopt_area_unlink(area, pages);
}
