// SPDX-License-Identifier: MIT
/*
 * The mock IOMMU's driver: domains that only remember what was mapped, in pages of 2 KiB,
 * half of the machine's, so that what is not aligned to a page gets tested; nested
 * domains with an IOTLB of four words; attaches that always work but for one PASID.
 *
 * A page's entry is its physical address with PRESENT and DIRTY below; it is not zero,
 * so it is stored as the pointer. Source: drivers/iommu/iommufd/selftest.c.
 */
#include "iommufd/selftest/mock.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bitmap.h"
#include "machine/machine.h"

#define PRESENT BIT(3)
#define DIRTY	BIT(4)

static const struct iommu_domain_ops mock_paging_ops, mock_nested_ops;

struct mock_domain *to_mock_domain(struct iommu_domain *domain)
{
	return domain->ops == &mock_paging_ops
		       ? container_of(domain, struct mock_domain, domain)
		       : NULL;
}

struct mock_nested *to_mock_nested(struct iommu_domain *domain)
{
	return domain->ops == &mock_nested_ops
		       ? container_of(domain, struct mock_nested, domain)
		       : NULL;
}

/* --- page tables ---------------------------------------------------------------------
 */

static u64 page_load(struct mock_domain *mock, iova_t iova)
{
	return (u64)(uintptr_t)xa_load(&mock->pages, iova / MOCK_PAGE_SIZE);
}

/* At a taken index it cannot fail. */
static int page_store(struct mock_domain *mock, iova_t iova, u64 entry)
{
	return xa_store(&mock->pages, iova / MOCK_PAGE_SIZE, (void *)(uintptr_t)entry);
}

static int mock_map_range(struct iommu_domain *domain, iova_t iova, phys_addr_t paddr,
			  u64 size, int prot, u64 *mapped)
{
	struct mock_domain *mock = container_of(domain, struct mock_domain, domain);

	if ((iova | paddr | size) % MOCK_PAGE_SIZE)
		return -EINVAL;
	for (u64 at = 0; at < size; at += MOCK_PAGE_SIZE) {
		int rc;

		if (page_load(mock, iova + at))
			return -EADDRINUSE;
		rc = page_store(mock, iova + at, (paddr + at) | PRESENT);
		if (rc)
			return rc;
		*mapped += MOCK_PAGE_SIZE;
	}
	return 0;
}

static u64 mock_unmap_range(struct iommu_domain *domain, iova_t iova, u64 size,
			    struct iommu_iotlb_gather *gather)
{
	struct mock_domain *mock = container_of(domain, struct mock_domain, domain);
	u64 at;

	for (at = 0; at < size; at += MOCK_PAGE_SIZE) {
		if (!xa_erase(&mock->pages, (iova + at) / MOCK_PAGE_SIZE))
			break;
	}
	return at;
}

static phys_addr_t mock_iova_to_phys(struct iommu_domain *domain, iova_t iova)
{
	struct mock_domain *mock = container_of(domain, struct mock_domain, domain);
	u64 entry = page_load(mock, iova);

	return entry ? ALIGN_DOWN(entry, MOCK_PAGE_SIZE) + iova % MOCK_PAGE_SIZE : 0;
}

static void mock_domain_free(struct iommu_domain *domain)
{
	struct mock_domain *mock = container_of(domain, struct mock_domain, domain);

	WARN_ON(!xa_empty(&mock->pages));
	xa_destroy(&mock->pages);
	kfree(mock);
}

static int mock_set_dirty_tracking(struct iommu_domain *domain, bool enabled)
{
	container_of(domain, struct mock_domain, domain)->track_dirty = enabled;
	return 0;
}

static int mock_read_and_clear_dirty(struct iommu_domain *domain, iova_t iova, u64 size,
				     u32 flags, struct iommu_dirty_bitmap *dirty)
{
	struct mock_domain *mock = container_of(domain, struct mock_domain, domain);

	for (u64 at = 0; at < size; at += MOCK_PAGE_SIZE) {
		u64 entry = page_load(mock, iova + at);

		if (!(entry & DIRTY))
			continue;
		if (dirty->set)
			dirty->set(dirty->data, iova + at, MOCK_PAGE_SIZE);
		if (!(flags & IOMMU_DIRTY_NO_CLEAR))
			WARN_ON(page_store(mock, iova + at, entry & ~(u64)DIRTY));
	}
	return 0;
}

void mock_domain_set_dirty(struct mock_domain *mock, iova_t iova)
{
	u64 entry = page_load(mock, iova);

	if (entry)
		WARN_ON(page_store(mock, iova, entry | DIRTY));
}

static const struct iommu_dirty_ops mock_dirty_ops = {
	.set_dirty_tracking = mock_set_dirty_tracking,
	.read_and_clear_dirty = mock_read_and_clear_dirty,
};

/* --- attaching -----------------------------------------------------------------------
 */

static int mock_attach_dev(struct iommu_domain *domain, struct device *dev,
			   struct iommu_domain *old)
{
	struct mock_dev *mdev = to_mock_dev(dev);
	struct mock_nested *nested = to_mock_nested(domain);
	u64 vdev_id = 0;

	if (domain->dirty_ops && (mdev->flags & MOCK_FLAGS_DEVICE_NO_DIRTY))
		return -EINVAL;
	if (nested && nested->viommu) {
		int rc = iommufd_viommu_get_vdev_id(nested->viommu, dev, &vdev_id);

		if (rc)
			return rc;
	}
	mdev->viommu = nested ? nested->viommu : NULL;
	mdev->vdev_id = vdev_id;
	return 0;
}

/* One PASID fails every second time, so that the core has something to take back. */
static int mock_set_dev_pasid(struct iommu_domain *domain, struct device *dev,
			      ioasid_t pasid, struct iommu_domain *old)
{
	struct mock_dev *mdev = to_mock_dev(dev);
	bool fails = mdev->pasid_fails;

	if (pasid != MOCK_PASID_FAILS_TWICE)
		return 0;
	if (domain->type == IOMMU_DOMAIN_BLOCKED) {
		mdev->pasid_fails = false;
		return 0;
	}
	mdev->pasid_fails = !fails;
	return fails ? -ENOMEM : 0;
}

static const struct iommu_domain_ops mock_paging_ops = {
	.attach_dev = mock_attach_dev,
	.set_dev_pasid = mock_set_dev_pasid,
	.map_range = mock_map_range,
	.unmap_range = mock_unmap_range,
	.iova_to_phys = mock_iova_to_phys,
	.free = mock_domain_free,
};

static const struct iommu_domain_ops mock_blocking_ops = {
	.attach_dev = mock_attach_dev,
	.set_dev_pasid = mock_set_dev_pasid,
};

static struct iommu_domain mock_blocking_domain = {
	.type = IOMMU_DOMAIN_BLOCKED,
	.ops = &mock_blocking_ops,
};

/* --- domains -------------------------------------------------------------------------
 */

/* Vendor data may be shorter or longer than what is known of it, if the rest is zero. */
static int get_user_cfg(const struct iommu_user_data *data,
			struct iommu_hwpt_selftest *cfg)
{
	const u8 *bytes = data->data;

	memset(cfg, 0, sizeof(*cfg));
	if (data->type != IOMMU_HWPT_DATA_SELFTEST || data->len < sizeof(cfg->iotlb))
		return -EINVAL;
	for (size_t i = sizeof(*cfg); i < data->len; i++) {
		if (bytes[i])
			return -E2BIG;
	}
	memcpy(cfg, bytes, min(data->len, sizeof(*cfg)));
	return 0;
}

static struct iommu_domain *mock_domain_alloc(struct device *dev, u32 flags,
					      const struct iommu_user_data *data)
{
	bool no_dirty = to_mock_dev(dev)->flags & MOCK_FLAGS_DEVICE_NO_DIRTY;
	struct iommu_hwpt_selftest cfg = {0};
	struct mock_domain *mock;

	if (flags & ~(u32)(IOMMU_ALLOC_DIRTY_TRACKING | IOMMU_ALLOC_NEST_PARENT |
			   IOMMU_ALLOC_PASID))
		return ERR_PTR(-EOPNOTSUPP);
	if ((flags & IOMMU_ALLOC_DIRTY_TRACKING) && no_dirty)
		return ERR_PTR(-EOPNOTSUPP);
	if (data) {
		int rc = -EOPNOTSUPP;

		if (data->type == IOMMU_HWPT_DATA_SELFTEST)
			rc = get_user_cfg(data, &cfg);
		if (rc)
			return ERR_PTR(rc);
	}
	if (cfg.pagetable_type > MOCK_IOMMUPT_HUGE)
		return ERR_PTR(-EOPNOTSUPP);
	mock = kzalloc(sizeof(*mock));
	if (!mock)
		return ERR_PTR(-ENOMEM);
	xa_init(&mock->pages);
	mock->domain.ops = &mock_paging_ops;
	mock->domain.geometry.force_aperture = true;
	if (cfg.pagetable_type == MOCK_IOMMUPT_HUGE) {
		mock->domain.pgsize_bitmap = MOCK_HUGE_PAGE_SIZE | PAGE_SIZE;
		mock->domain.geometry.aperture_end = BIT_ULL(56) - 1;
	} else {
		mock->domain.pgsize_bitmap = GENMASK_ULL(38, 11);
		mock->domain.geometry.aperture_start = MOCK_APERTURE_START;
		mock->domain.geometry.aperture_end = MOCK_APERTURE_LAST;
	}
	if (flags & IOMMU_ALLOC_DIRTY_TRACKING)
		mock->domain.dirty_ops = &mock_dirty_ops;
	return &mock->domain;
}

static struct iommu_domain *alloc_nested(struct iommufd_viommu *viommu, u32 flags,
					 const struct iommu_user_data *data)
{
	struct iommu_hwpt_selftest cfg;
	struct mock_nested *nested;
	int rc;

	if (flags & ~(u32)IOMMU_ALLOC_PASID)
		return ERR_PTR(-EOPNOTSUPP);
	if (data->type != IOMMU_HWPT_DATA_SELFTEST)
		return ERR_PTR(-EOPNOTSUPP);
	rc = get_user_cfg(data, &cfg);
	if (rc)
		return ERR_PTR(rc);
	nested = kzalloc(sizeof(*nested));
	if (!nested)
		return ERR_PTR(-ENOMEM);
	nested->domain.ops = &mock_nested_ops;
	nested->viommu = viommu;
	for (int i = 0; i < MOCK_NESTED_DOMAIN_IOTLB_NUM; i++)
		nested->iotlb[i] = cfg.iotlb;
	return &nested->domain;
}

static struct iommu_domain *mock_domain_alloc_nested(struct device *dev,
						     struct iommu_domain *parent,
						     u32 flags,
						     const struct iommu_user_data *data)
{
	return to_mock_domain(parent) ? alloc_nested(NULL, flags, data)
				      : ERR_PTR(-EINVAL);
}

static void mock_nested_free(struct iommu_domain *domain)
{
	kfree(container_of(domain, struct mock_nested, domain));
}

static int invalidate_one(struct mock_nested *nested,
			  const struct iommu_user_data_array *array, u32 i)
{
	const u8 *entry = (const u8 *)array->data + i * array->entry_len;
	struct iommu_hwpt_invalidate_selftest inv;

	if (array->entry_len < sizeof(inv))
		return -EINVAL;
	for (size_t k = sizeof(inv); k < array->entry_len; k++) {
		if (entry[k])
			return -E2BIG;
	}
	memcpy(&inv, entry, sizeof(inv));
	if (inv.flags & ~IOMMU_TEST_INVALIDATE_FLAG_ALL)
		return -EOPNOTSUPP;
	if (inv.iotlb_id >= MOCK_NESTED_DOMAIN_IOTLB_NUM)
		return -EINVAL;
	if (inv.flags & IOMMU_TEST_INVALIDATE_FLAG_ALL)
		memset(nested->iotlb, 0, sizeof(nested->iotlb));
	else
		nested->iotlb[inv.iotlb_id] = 0;
	return 0;
}

static int mock_cache_invalidate_user(struct iommu_domain *domain,
				      struct iommu_user_data_array *array)
{
	struct mock_nested *nested = container_of(domain, struct mock_nested, domain);
	u32 done = 0;
	int rc = 0;

	if (array->type != IOMMU_HWPT_INVALIDATE_DATA_SELFTEST)
		rc = -EINVAL;
	for (; !rc && done < array->entry_num; done += !rc)
		rc = invalidate_one(nested, array, done);
	array->entry_num = done;
	return rc;
}

static const struct iommu_domain_ops mock_nested_ops = {
	.attach_dev = mock_attach_dev,
	.set_dev_pasid = mock_set_dev_pasid,
	.cache_invalidate_user = mock_cache_invalidate_user,
	.free = mock_nested_free,
};

/* --- vIOMMUs -------------------------------------------------------------------------
 */

static int viommu_invalidate_one(struct iommufd_viommu *viommu, const void *entry)
{
	struct iommu_viommu_invalidate_selftest inv;
	struct mock_dev *mdev;
	struct device *dev;

	memcpy(&inv, entry, sizeof(inv));
	if (inv.flags & ~IOMMU_TEST_INVALIDATE_FLAG_ALL)
		return -EOPNOTSUPP;
	if (inv.cache_id >= MOCK_DEV_CACHE_NUM)
		return -EINVAL;
	dev = iommufd_viommu_find_dev(viommu, inv.vdev_id);
	if (!dev)
		return -EINVAL;
	mdev = to_mock_dev(dev);
	if (inv.flags & IOMMU_TEST_INVALIDATE_FLAG_ALL)
		memset(mdev->cache, 0, sizeof(mdev->cache));
	else
		mdev->cache[inv.cache_id] = 0;
	return 0;
}

/* The whole array at once: entries must have the size that is known. */
static int mock_viommu_invalidate(struct iommufd_viommu *viommu,
				  struct iommu_user_data_array *array)
{
	size_t size = sizeof(struct iommu_viommu_invalidate_selftest);
	u32 done = 0;
	int rc = 0;

	if (array->type != IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST ||
	    (array->entry_num && array->entry_len < size))
		rc = -EINVAL;
	for (; !rc && done < array->entry_num; done += !rc)
		rc = viommu_invalidate_one(viommu, (const u8 *)array->data +
							   done * array->entry_len);
	array->entry_num = done;
	return rc;
}

const struct iommufd_viommu_ops mock_viommu_ops = {
	.viommu_type = IOMMU_VIOMMU_TYPE_SELFTEST,
	.hw_queue_type = IOMMU_HW_QUEUE_TYPE_SELFTEST,
	.nr_hw_queues = IOMMU_TEST_HW_QUEUE_MAX,
	.cache_invalidate = mock_viommu_invalidate,
	.alloc_domain_nested = alloc_nested,
};

/* --- devices -------------------------------------------------------------------------
 */

static bool mock_capable(struct device *dev, enum iommu_cap cap)
{
	if (cap == IOMMU_CAP_DIRTY_TRACKING)
		return !(to_mock_dev(dev)->flags & MOCK_FLAGS_DEVICE_NO_DIRTY);
	return cap == IOMMU_CAP_CACHE_COHERENCY;
}

static void *mock_hw_info(struct device *dev, u32 *length, u32 *type)
{
	struct iommu_test_hw_info *info;

	if (*type != IOMMU_HW_INFO_TYPE_DEFAULT && *type != IOMMU_HW_INFO_TYPE_SELFTEST)
		return ERR_PTR(-EOPNOTSUPP);
	info = kzalloc(sizeof(*info));
	if (!info)
		return ERR_PTR(-ENOMEM);
	info->test_reg = IOMMU_HW_INFO_SELFTEST_REGVAL;
	*length = sizeof(*info);
	*type = IOMMU_HW_INFO_TYPE_SELFTEST;
	return info;
}

static struct iommu_device *mock_probe_device(struct device *dev)
{
	struct iommufd_test *test = dev->machine->iommufd->test;

	if (!test || dev->bus != test->bus)
		return ERR_PTR(-ENODEV);
	return &machine_mock_iommu(dev->machine)->iommu;
}

const struct iommu_ops mock_iommu_ops = {
	.name = "iommufd_mock",
	.capable = mock_capable,
	.hw_info = mock_hw_info,
	.domain_alloc_paging_flags = mock_domain_alloc,
	.domain_alloc_nested = mock_domain_alloc_nested,
	.probe_device = mock_probe_device,
	.device_group = generic_device_group,
	.default_domain = &mock_blocking_domain,
	.blocked_domain = &mock_blocking_domain,
	.user_pasid_table = true,
};

static void mock_dev_release(struct device *dev)
{
	struct mock_dev *mdev = to_mock_dev(dev);

	xa_erase(&machine_mock_iommu(dev->machine)->dev_ids, mdev->id);
	kfree(mdev);
}

struct mock_dev *mock_dev_create(struct machine *m, u32 flags)
{
	struct mock_iommu *mock = machine_mock_iommu(m);
	struct mock_dev *mdev;
	int rc;

	if (flags & ~(u32)(MOCK_FLAGS_DEVICE_NO_DIRTY | MOCK_FLAGS_DEVICE_PASID))
		return ERR_PTR(-EINVAL);
	mdev = kzalloc(sizeof(*mdev));
	if (!mdev)
		return ERR_PTR(-ENOMEM);
	rc = xa_alloc(&mock->dev_ids, &mdev->id, mdev, xa_limit_31b);
	if (rc) {
		kfree(mdev);
		return ERR_PTR(rc);
	}
	device_initialize(&mdev->dev, m, mock_dev_release);
	mdev->flags = flags;
	mdev->dev.bus = mock->test.bus;
	mdev->dev.hw_function = -1;
	if (flags & MOCK_FLAGS_DEVICE_PASID)
		mdev->dev.max_pasids = 1U << MOCK_PASID_WIDTH;
	for (int i = 0; i < MOCK_DEV_CACHE_NUM; i++)
		mdev->cache[i] = IOMMU_TEST_DEV_CACHE_DEFAULT;
	snprintf(mdev->dev.name, sizeof(mdev->dev.name), "iommufd_mock%u", mdev->id);
	rc = iommu_fwspec_init(&mdev->dev, mock);
	if (!rc)
		rc = device_add(&mdev->dev);
	if (rc)
		goto err_put;
	/* The core tells of a probe that failed only by there being no IOMMU. */
	if (!dev_has_iommu(&mdev->dev)) {
		device_del(&mdev->dev);
		rc = -ENOMEM;
		goto err_put;
	}
	return mdev;

err_put:
	iommu_fwspec_free(&mdev->dev);
	put_device(&mdev->dev);
	return ERR_PTR(rc);
}

void mock_dev_destroy(struct mock_dev *mdev)
{
	device_del(&mdev->dev);
	iommu_fwspec_free(&mdev->dev);
	put_device(&mdev->dev);
}
