// SPDX-License-Identifier: MIT
/*
 * Domains: v1 page tables that grow levels as addresses need them, pass-through, and
 * blocked. Rules and errnos as in Linux's drivers/iommu/amd/iommu.c. A domain has one id
 * on all IOMMUs of the machine.
 *
 * The device table always has an entry to write, so an attach can fail only before
 * anything has changed.
 */
#define LOG_SUBSYSTEM "amd"
#include "base/alloc.h"
#include "base/bitmap.h"
#include "drivers/amd/driver.h"

/* --- invalidation --------------------------------------------------------------- */

static void flush_range(struct amd_domain *domain, iova_t start, iova_t last)
{
	lockdep_assert_held(&domain->lock);
	for (u32 unit = 0; unit < HW_MAX_UNITS; unit++) {
		if (domain->uses[unit].devices)
			amd_flush_pages(domain->uses[unit].amd, domain->id, start, last);
	}
}

static void amd_flush_iotlb_all(struct iommu_domain *domain)
{
	struct amd_domain *ad = to_amd_domain(domain);

	guard(mutex)(&ad->lock);
	flush_range(ad, 0, UINT64_MAX);
}

static void amd_iotlb_sync(struct iommu_domain *domain, struct iommu_iotlb_gather *gather)
{
	struct amd_domain *ad = to_amd_domain(domain);

	mutex_lock(&ad->lock);
	flush_range(ad, gather->start, gather->end);
	mutex_unlock(&ad->lock);
	iommu_put_pages_list(ad->pt.machine, &gather->freelist);
}

static int amd_iotlb_sync_map(struct iommu_domain *domain, iova_t iova, u64 size)
{
	struct amd_domain *ad = to_amd_domain(domain);

	guard(mutex)(&ad->lock);
	for (u32 unit = 0; unit < HW_MAX_UNITS; unit++) {
		if (ad->uses[unit].devices &&
		    (ad->uses[unit].amd->cap & AMD_CAP_NP_CACHE))
			amd_flush_pages(ad->uses[unit].amd, ad->id, iova,
					iova + size - 1);
	}
	return 0;
}

/* --- mapping -------------------------------------------------------------------- */

static int amd_map_range(struct iommu_domain *domain, iova_t iova, phys_addr_t paddr,
			 u64 size, int prot, u64 *mapped)
{
	struct amd_domain *ad = to_amd_domain(domain);
	struct iommu_pages_list freed = IOMMU_PAGES_LIST_INIT;
	int rc = pgtable_map_range(&ad->pt, iova, paddr, size, (unsigned)prot, mapped,
				   &freed);

	/* A large page took the place of empty tables that the unit may have cached. */
	if (unlikely(!iommu_pages_list_empty(&freed))) {
		mutex_lock(&ad->lock);
		flush_range(ad, iova, iova + size - 1);
		mutex_unlock(&ad->lock);
		iommu_put_pages_list(ad->pt.machine, &freed);
	}
	return rc;
}

static u64 amd_unmap_range(struct iommu_domain *domain, iova_t iova, u64 size,
			   struct iommu_iotlb_gather *gather)
{
	struct amd_domain *ad = to_amd_domain(domain);
	struct iommu_pages_list freed = IOMMU_PAGES_LIST_INIT;
	u64 unmapped = pgtable_unmap_range(&ad->pt, iova, size, &freed);

	if (!iommu_iotlb_gather_queued(gather) && unmapped)
		iommu_iotlb_gather_add_range(gather, iova, unmapped);
	iommu_pages_list_splice(ad->pt.machine, &freed, &gather->freelist);
	return unmapped;
}

static phys_addr_t amd_iova_to_phys(struct iommu_domain *domain, iova_t iova)
{
	return pgtable_iova_to_phys(&to_amd_domain(domain)->pt, iova);
}

/* FC is set in all entries, always. */
static bool amd_enforce_cache_coherency(struct iommu_domain *domain)
{
	return true;
}

/* The tables grew a level. Context: pt->top_lock held; the old top is part of the new. */
static void change_top(struct pgtable *pt, phys_addr_t top, unsigned level)
{
	struct amd_domain *ad = container_of(pt, struct amd_domain, pt);
	struct amd_device *info;

	guard(mutex)(&ad->lock);
	list_for_each_entry(info, &ad->devices, link)
		amd_devtab_update(info, ad, top, level);
	flush_range(ad, 0, UINT64_MAX);
}

/* --- dirty tracking --------------------------------------------------------------- */

static int amd_set_dirty_tracking(struct iommu_domain *domain, bool enabled)
{
	struct amd_domain *ad = to_amd_domain(domain);
	struct amd_device *info;

	guard(mutex)(&ad->pt.top_lock);
	guard(mutex)(&ad->lock);
	if (ad->dirty_tracking == enabled)
		return 0;
	ad->dirty_tracking = enabled;
	list_for_each_entry(info, &ad->devices, link)
		amd_devtab_update(info, ad, pgtable_top(&ad->pt),
				  pgtable_top_level(&ad->pt));
	/* So that the next writes mark their pages. */
	flush_range(ad, 0, UINT64_MAX);
	return 0;
}

static void record_dirty(void *data, iova_t iova, u64 length)
{
	iommu_dirty_bitmap_record(data, iova, length);
}

static int amd_read_and_clear_dirty(struct iommu_domain *domain, iova_t iova, u64 size,
				    u32 flags, struct iommu_dirty_bitmap *dirty)
{
	return pgtable_read_and_clear_dirty(
		&to_amd_domain(domain)->pt, iova, size,
		flags & IOMMU_DIRTY_NO_CLEAR ? PGTABLE_DIRTY_NO_CLEAR : 0, record_dirty,
		dirty);
}

static const struct iommu_dirty_ops dirty_ops = {
	.set_dirty_tracking = amd_set_dirty_tracking,
	.read_and_clear_dirty = amd_read_and_clear_dirty,
};

/* --- attach --------------------------------------------------------------------- */

/* The device's entries are being rewritten: it no longer counts as the domain's. */
static void leave_domain(struct amd_device *info)
{
	struct iommu_domain *domain = info->domain;
	struct amd_domain *ad;

	info->domain = NULL;
	if (!domain || domain->type == IOMMU_DOMAIN_IDENTITY)
		return;
	ad = to_amd_domain(domain);
	guard(mutex)(&ad->lock);
	list_del(&info->link);
	ad->uses[info->amd->unit].devices--;
}

/* kdump: the device is ours from now on, also after it has been away. */
static void end_deferral(struct amd_device *info)
{
	if (info->amd->deferred)
		clear_bit(info->devid, info->amd->deferred);
}

static int amd_attach_dev(struct iommu_domain *domain, struct device *dev,
			  struct iommu_domain *old)
{
	struct amd_device *info = dev_iommu_priv_get(dev);
	struct amd_domain *ad = to_amd_domain(domain);

	if (info->domain == domain)
		return 0;
	if (ad->common != info->amd->common)
		return -EINVAL;
	end_deferral(info);
	if (domain->dirty_ops && !(info->amd->efr & AMD_EFR_HD))
		return -EINVAL;
	if (pgtable_top_level(&ad->pt) + 1 > 4 + AMD_EFR_GET_HATS(info->amd->efr) ||
	    ad->pt.va_bits > 12 + 9 * (4 + AMD_EFR_GET_HATS(info->amd->efr)))
		return -EINVAL;
	leave_domain(info);
	/* The top stays as it is while it is read and while the device joins. */
	guard(mutex)(&ad->pt.top_lock);
	guard(mutex)(&ad->lock);
	list_add_tail(&info->link, &ad->devices);
	ad->uses[info->amd->unit].amd = info->amd;
	ad->uses[info->amd->unit].devices++;
	info->domain = domain;
	amd_devtab_set_paging(info, ad, pgtable_top(&ad->pt), pgtable_top_level(&ad->pt));
	return 0;
}

static int amd_identity_attach(struct iommu_domain *domain, struct device *dev,
			       struct iommu_domain *old)
{
	struct amd_device *info = dev_iommu_priv_get(dev);

	if (info->domain == domain)
		return 0;
	end_deferral(info);
	leave_domain(info);
	info->domain = domain;
	amd_devtab_set_identity(info);
	return 0;
}

static int amd_blocked_attach(struct iommu_domain *domain, struct device *dev,
			      struct iommu_domain *old)
{
	struct amd_device *info = dev_iommu_priv_get(dev);

	leave_domain(info);
	amd_devtab_block(info);
	return 0;
}

/* Without guest translation no device has PASIDs. */
static int amd_set_dev_pasid(struct iommu_domain *domain, struct device *dev,
			     ioasid_t pasid, struct iommu_domain *old)
{
	return -EOPNOTSUPP;
}

static int amd_blocked_set_dev_pasid(struct iommu_domain *domain, struct device *dev,
				     ioasid_t pasid, struct iommu_domain *old)
{
	/* There is no entry to take away. */
	return 0;
}

static const struct iommu_domain_ops blocked_ops = {
	.attach_dev = amd_blocked_attach,
	.set_dev_pasid = amd_blocked_set_dev_pasid,
};
static const struct iommu_domain_ops identity_ops = {.attach_dev = amd_identity_attach};

struct iommu_domain amd_blocked_domain = {
	.type = IOMMU_DOMAIN_BLOCKED,
	.ops = &blocked_ops,
};

struct iommu_domain amd_identity_domain = {
	.type = IOMMU_DOMAIN_IDENTITY,
	.ops = &identity_ops,
};

/* --- making and freeing --------------------------------------------------------- */

static void amd_domain_free(struct iommu_domain *domain)
{
	struct amd_domain *ad = to_amd_domain(domain);

	if (WARN_ON(!list_empty(&ad->devices)))
		return;
	pgtable_destroy(&ad->pt);
	amd_id_free(ad->common, ad->id);
	amd_common_put(ad->common);
	mutex_destroy(&ad->lock);
	kfree(ad);
}

static const struct iommu_domain_ops paging_ops = {
	.attach_dev = amd_attach_dev,
	.set_dev_pasid = amd_set_dev_pasid,
	.map_range = amd_map_range,
	.unmap_range = amd_unmap_range,
	.flush_iotlb_all = amd_flush_iotlb_all,
	.iotlb_sync_map = amd_iotlb_sync_map,
	.iotlb_sync = amd_iotlb_sync,
	.iova_to_phys = amd_iova_to_phys,
	.enforce_cache_coherency = amd_enforce_cache_coherency,
	.free = amd_domain_free,
};

struct iommu_domain *amd_domain_alloc_paging_flags(struct device *dev, u32 flags,
						   const struct iommu_user_data *data)
{
	struct amd_device *info = dev_iommu_priv_get(dev);
	struct amd_iommu *amd = info->amd;
	unsigned levels = 4 + AMD_EFR_GET_HATS(amd->efr);
	struct pgtable_config config = {
		.va_bits = (u8)min(64U, (levels - 1) * 9 + 21),
		.oa_bits = 52,
		.top_level = 2,
		.dynamic_top = true,
		.force_coherence = true,
		.pgsize_mask = amd->pgsizes,
	};
	struct amd_domain *ad;
	int rc;

	/* PASIDs and nesting need guest translation. */
	if (data || (flags & ~IOMMU_ALLOC_DIRTY_TRACKING))
		return ERR_PTR(-EOPNOTSUPP);
	if (flags && !(amd->efr & AMD_EFR_HD))
		return ERR_PTR(-EOPNOTSUPP);
	ad = kzalloc(sizeof(*ad));
	if (!ad)
		return ERR_PTR(-ENOMEM);
	rc = amd_id_alloc(amd->common, &ad->id);
	if (rc)
		goto err_domain;
	rc = pgtable_init(&ad->pt, amd->m, &pgtable_amdv1, &config);
	if (rc)
		goto err_id;
	ad->pt.change_top = change_top;
	amd_common_get(amd->common);
	ad->common = amd->common;
	mutex_init(&ad->lock);
	INIT_LIST_HEAD(&ad->devices);
	ad->domain.ops = &paging_ops;
	if (flags)
		ad->domain.dirty_ops = &dirty_ops;
	ad->domain.pgsize_bitmap = ad->pt.pgsize_bitmap;
	ad->domain.geometry = (struct iommu_domain_geometry){
		.aperture_start = 0,
		.aperture_end = GENMASK_ULL(ad->pt.va_bits - 1, 0),
		.force_aperture = true,
	};
	return &ad->domain;

err_id:
	amd_id_free(amd->common, ad->id);
err_domain:
	kfree(ad);
	/* The kernel tells no reason. */
	return ERR_PTR(rc == -ENOSPC ? -ENOMEM : rc);
}
