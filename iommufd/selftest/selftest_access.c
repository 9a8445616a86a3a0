// SPDX-License-Identifier: MIT
/*
 * Accesses as descriptors: a test pins pages with them, reads and writes through an IOAS.
 * What is pinned is a list of items, each with a number that its context has not given
 * out before; all go when their memory is unmapped. Source:
 * drivers/iommu/iommufd/selftest.c.
 */
#include <fcntl.h>

#include "base/alloc.h"
#include "base/overflow.h"
#include "iommufd/selftest/mock.h"
#include "machine/backing.h"
#include "machine/translate.h"

#define MAX_LENGTH (16U << 20)

struct selftest_access {
	struct iommufd_access *access;
	struct list_head items; /* struct selftest_item */
	u32 next_id;
};

struct selftest_item {
	struct list_head node;
	u64 iova, length;
	u32 id;
};

static const struct file_operations access_fops;

/* Valid while @file, a reference of the caller, is. */
static struct selftest_access *access_get(struct call *call, u32 fd, struct file **file)
{
	*file = call_fget(call, (int)fd);
	if (IS_ERR(*file))
		return PTR_ERR(*file) == -ERESTARTNOINTR ? ERR_CAST(*file)
							 : ERR_PTR(-EBADFD);
	if ((*file)->ops != &access_fops) {
		fput(*file);
		return ERR_PTR(-EBADFD);
	}
	return (*file)->private;
}

static void item_destroy(struct selftest_access *sa, struct selftest_item *item)
{
	list_del(&item->node);
	iommufd_access_unpin_pages(sa->access, item->iova, item->length);
	kfree(item);
}

static void access_unmap(void *data, u64 iova, u64 length)
{
	struct selftest_access *sa = data;
	struct selftest_item *item, *next;
	u64 last = iova + length - 1;

	list_for_each_entry_safe(item, next, &sa->items, node) {
		if (iova <= item->iova + item->length - 1 && last >= item->iova)
			item_destroy(sa, item);
	}
}

static const struct iommufd_access_ops access_ops = {
	.unmap = access_unmap,
};
static const struct iommufd_access_ops access_ops_pin = {
	.needs_pin_pages = true,
	.unmap = access_unmap,
};

static void access_release(struct file *file)
{
	struct selftest_access *sa = file->private;

	if (sa->access) {
		access_unmap(sa, 0, ~0ULL);
		iommufd_access_destroy(sa->access);
	}
	kfree(sa);
}

static const struct file_operations access_fops = {
	.name = "[iommufd_test_staccess]",
	.release = access_release,
};

int selftest_create_access(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct selftest_access *sa;
	u32 flags = cmd->create_access.flags, id;
	struct file *file;
	long rc;

	if (flags & ~MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES)
		return -EOPNOTSUPP;
	sa = kzalloc(sizeof(*sa));
	if (!sa)
		return -ENOMEM;
	INIT_LIST_HEAD(&sa->items);
	file = file_alloc(ucmd->ictx->machine, &access_fops, sa, O_RDWR);
	if (IS_ERR(file)) {
		kfree(sa);
		return (int)PTR_ERR(file);
	}
	sa->access =
		iommufd_access_create(ucmd->ictx,
				      flags & MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES
					      ? &access_ops_pin
					      : &access_ops,
				      sa, &id);
	if (IS_ERR(sa->access)) {
		rc = PTR_ERR(sa->access);
		sa->access = NULL;
		goto err_file;
	}
	rc = iommufd_access_attach(sa->access, cmd->id);
	if (rc)
		goto err_file;
	cmd->create_access.out_access_fd = 0;
	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	if (rc)
		goto err_file;
	/* The number goes over the struct. */
	rc = call_install_fd(ucmd->call, file,
			     ucmd->ubuffer + offsetof(struct iommu_test_cmd,
						      create_access.out_access_fd));
	if (rc >= 0)
		return 0;

err_file:
	fput(file);
	return (int)rc;
}

int selftest_access_replace_ioas(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct file *file;
	struct selftest_access *sa = access_get(ucmd->call, cmd->id, &file);
	int rc;

	if (IS_ERR(sa))
		return (int)PTR_ERR(sa);
	rc = iommufd_access_replace(sa->access, cmd->access_replace_ioas.ioas_id);
	fput(file);
	return rc;
}

int selftest_destroy_access_pages(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct file *file;
	struct selftest_access *sa = access_get(ucmd->call, cmd->id, &file);
	struct selftest_item *item;
	int rc = -ENOENT;

	if (IS_ERR(sa))
		return (int)PTR_ERR(sa);
	list_for_each_entry(item, &sa->items, node) {
		if (item->id == cmd->destroy_access_pages.access_pages_id) {
			item_destroy(sa, item);
			rc = 0;
			break;
		}
	}
	fput(file);
	return rc;
}

int selftest_check_phys(struct call *call, phys_addr_t phys, u64 uptr, int differs)
{
	struct machine *m = call_machine(call);
	struct mm *mm = call_mm(call);
	struct translator *x;
	struct backing b;
	bool special;
	phys_addr_t bar;

	if (!mm->ops->accessible(mm, ALIGN_DOWN(uptr, PAGE_SIZE), PAGE_SIZE, false,
				 &special, &bar))
		return -EFAULT;
	x = translator_enter(&m->hw);
	backing_find(&m->hw, phys, 1, &b);
	if (x)
		translator_leave(x);
	return b.kind == BACKED_PROGRAM && b.mm == mm->index && b.vaddr == uptr ? 0
										: differs;
}

/* Number of an area in the lower half, offset in it in the upper one. */
static u64 syz_iova(struct iommufd_access *access, u64 iova)
{
	struct iopt_area *area;
	u32 nth = (u32)iova;

	if (!access->ioas)
		return 0;
	for (area = iopt_area_iter_first(&access->ioas->iopt, 0, ~0ULL); area;
	     area = iopt_area_iter_next(area, 0, ~0ULL)) {
		if (!nth--)
			return area->node.start + (iova >> 32);
	}
	return 0;
}

static int pin_item(struct iommufd_ucmd *ucmd, struct selftest_access *sa, u64 iova,
		    phys_addr_t *pages, u64 npages)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	u64 uptr = cmd->access_pages.uptr - iova % PAGE_SIZE;
	u64 length = cmd->access_pages.length;
	struct selftest_item *item;
	int rc;

	item = kzalloc(sizeof(*item));
	if (!item)
		return -ENOMEM;
	rc = iommufd_access_pin_pages(sa->access, iova, length, pages,
				      cmd->access_pages.flags & MOCK_FLAGS_ACCESS_WRITE);
	if (rc)
		goto err_free;
	for (u64 i = 0; cmd->access_pages.uptr && i < npages && !rc; i++)
		rc = selftest_check_phys(ucmd->call, pages[i], uptr + i * PAGE_SIZE,
					 -EBADE);
	if (rc)
		goto err_unpin;
	cmd->access_pages.out_access_pages_id = sa->next_id;
	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	if (rc)
		goto err_unpin;
	item->iova = iova;
	item->length = length;
	item->id = sa->next_id++;
	list_add_tail(&item->node, &sa->items);
	return 0;

err_unpin:
	iommufd_access_unpin_pages(sa->access, iova, length);
err_free:
	kfree(item);
	return rc;
}

int selftest_access_pages(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	u64 iova = cmd->access_pages.iova, length = cmd->access_pages.length, npages;
	struct selftest_access *sa;
	phys_addr_t *pages;
	struct file *file;
	int rc;

	if (length > MAX_LENGTH)
		return -ENOMEM;
	if (cmd->access_pages.flags & ~(MOCK_FLAGS_ACCESS_WRITE | MOCK_FLAGS_ACCESS_SYZ))
		return -EOPNOTSUPP;
	sa = access_get(ucmd->call, cmd->id, &file);
	if (IS_ERR(sa))
		return (int)PTR_ERR(sa);
	rc = -EOPNOTSUPP;
	if (sa->access->ops != &access_ops_pin)
		goto out_put;
	if (cmd->access_pages.flags & MOCK_FLAGS_ACCESS_SYZ)
		iova = syz_iova(sa->access, iova);
	npages = length / PAGE_SIZE + 2;
	pages = kcalloc(npages, sizeof(*pages));
	rc = -ENOMEM;
	if (!pages)
		goto out_put;
	npages = (ALIGN(iova + length, PAGE_SIZE) - ALIGN_DOWN(iova, PAGE_SIZE)) /
		 PAGE_SIZE;
	rc = pin_item(ucmd, sa, iova, pages, npages);
	kfree(pages);
out_put:
	fput(file);
	return rc;
}

int selftest_access_rw(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	u64 iova = cmd->access_rw.iova, length = cmd->access_rw.length;
	u32 flags = cmd->access_rw.flags;
	bool write = flags & MOCK_FLAGS_ACCESS_WRITE;
	struct selftest_access *sa;
	struct file *file;
	void *buf;
	int rc = 0;

	if (length > MAX_LENGTH)
		return -ENOMEM;
	if (flags &
	    ~(MOCK_FLAGS_ACCESS_WRITE | MOCK_ACCESS_RW_SLOW_PATH | MOCK_FLAGS_ACCESS_SYZ))
		return -EOPNOTSUPP;
	sa = access_get(ucmd->call, cmd->id, &file);
	if (IS_ERR(sa))
		return (int)PTR_ERR(sa);
	buf = kzalloc(length + 1);
	if (!buf) {
		rc = -ENOMEM;
		goto out_put;
	}
	if (write)
		rc = copy_from_user(ucmd->call, buf, cmd->access_rw.uptr, length);
	if (rc)
		goto out_free;
	if (flags & MOCK_FLAGS_ACCESS_SYZ)
		iova = syz_iova(sa->access, iova);
	rc = iommufd_access_rw(sa->access, ucmd->call, iova, buf, length,
			       write ? IOMMUFD_ACCESS_RW_WRITE : 0);
	if (!rc && !write)
		rc = copy_to_user(ucmd->call, cmd->access_rw.uptr, buf, length);
out_free:
	kfree(buf);
out_put:
	fput(file);
	return rc;
}
