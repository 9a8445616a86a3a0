// SPDX-License-Identifier: MIT
/*
 * Domains: second-stage tables with a domain id on each IOMMU that they are used on,
 * pass-through, and blocked. Rules and errnos as in Linux's drivers/iommu/intel/iommu.c,
 * except that an attach which fails leaves the device where it was.
 */
#define LOG_SUBSYSTEM "vtd"
#include <strings.h>

#include "base/alloc.h"
#include "base/bitmap.h"
#include "drivers/vtd/driver.h"

/* --- domain ids ----------------------------------------------------------------- */

/*
 * A domain that a group can have as its default keeps its use of an IOMMU, unused, when
 * the last device leaves: the way back must neither allocate nor fail. What is left of
 * that goes with the domain or with the IOMMU, whichever goes first.
 */
static struct mutex ends_lock = MUTEX_INIT; /* that race; taken before the others */

static void use_free(struct vtd_domain_iommu *use)
{
	mutex_lock(&use->vtd->lock);
	list_del(&use->node);
	xa_erase(&use->vtd->domain_ids, use->did);
	mutex_unlock(&use->vtd->lock);
	kfree(use);
}

/* The domain's use of @vtd, made if it has none; ERR_PTR: -ENOMEM, -ENOSPC. */
static struct vtd_domain_iommu *use_get_locked(struct vtd_domain *domain,
					       struct vtd_iommu *vtd)
{
	struct vtd_domain_iommu *use = xa_load(&domain->iommus, vtd->unit);
	u32 did;
	int rc;

	if (use)
		return use;
	use = kzalloc(sizeof(*use));
	if (!use)
		return ERR_PTR(-ENOMEM);
	mutex_lock(&vtd->lock);
	rc = xa_alloc(&vtd->domain_ids, &did, NULL,
		      XA_LIMIT(VTD_DID_FIRST, vtd_ndoms(vtd) - 1));
	if (!rc)
		list_add_tail(&use->node, &vtd->uses);
	mutex_unlock(&vtd->lock);
	if (rc) {
		kfree(use);
		return ERR_PTR(rc == -EBUSY ? -ENOSPC : rc);
	}
	use->domain = domain;
	use->vtd = vtd;
	use->did = (u16)did;
	rc = xa_insert(&domain->iommus, vtd->unit, use);
	if (rc) {
		use_free(use);
		return ERR_PTR(rc);
	}
	return use;
}

static int domain_get_iommu(struct vtd_domain *domain, struct vtd_iommu *vtd)
{
	struct vtd_domain_iommu *use;

	guard(mutex)(&domain->lock);
	use = use_get_locked(domain, vtd);
	if (IS_ERR(use))
		return (int)PTR_ERR(use);
	use->refcnt++;
	return 0;
}

static void domain_put_iommu(struct vtd_domain *domain, struct vtd_iommu *vtd)
{
	struct vtd_domain_iommu *use;

	guard(mutex)(&domain->lock);
	use = xa_load(&domain->iommus, vtd->unit);
	if (WARN_ON(!use) || --use->refcnt || iommu_is_dma_domain(&domain->domain))
		return;
	xa_erase(&domain->iommus, vtd->unit);
	use_free(use);
}

/* No device is behind @vtd any more. */
void vtd_forget_domains(struct vtd_iommu *vtd)
{
	struct vtd_domain_iommu *use;

	guard(mutex)(&ends_lock);
	for (;;) {
		mutex_lock(&vtd->lock);
		use = list_first_entry_or_null(&vtd->uses, struct vtd_domain_iommu, node);
		mutex_unlock(&vtd->lock);
		if (!use)
			return;
		mutex_lock(&use->domain->lock);
		xa_erase(&use->domain->iommus, vtd->unit);
		mutex_unlock(&use->domain->lock);
		use_free(use);
	}
}

/* --- invalidation --------------------------------------------------------------- */

/* The naturally aligned power of two of pages that holds [start, last]. */
static iova_t aligned_span(iova_t start, iova_t last, unsigned *am)
{
	u64 differ = (start ^ last) >> PAGE_SHIFT;

	*am = (unsigned)fls64(differ);
	return start & ~((PAGE_SIZE << *am) - 1);
}

/* @ih: no table page was unlinked, so cached tables stay good. */
static void domain_flush_range(struct vtd_domain *domain, iova_t start, iova_t last,
			       bool ih)
{
	struct vtd_domain_iommu *use;
	unsigned am;
	iova_t addr = aligned_span(start, last, &am);
	u64 unit;

	guard(mutex)(&domain->lock);
	xa_for_each(&domain->iommus, unit, use)
		vtd_flush_iotlb(use->vtd, use->did, addr, am, ih, VTD_GRAN_PAGE);
}

static void vtd_flush_iotlb_all(struct iommu_domain *domain)
{
	domain_flush_range(to_vtd_domain(domain), 0, UINT64_MAX, false);
}

static void vtd_iotlb_sync(struct iommu_domain *domain, struct iommu_iotlb_gather *gather)
{
	struct vtd_domain *vd = to_vtd_domain(domain);

	domain_flush_range(vd, gather->start, gather->end,
			   iommu_pages_list_empty(&gather->freelist));
	iommu_put_pages_list(vd->pt.machine, &gather->freelist);
}

static int vtd_iotlb_sync_map(struct iommu_domain *domain, iova_t iova, u64 size)
{
	struct vtd_domain *vd = to_vtd_domain(domain);
	struct vtd_domain_iommu *use;
	unsigned am;
	iova_t addr = aligned_span(iova, iova + size - 1, &am);
	u64 unit;

	if (!vd->sync_map)
		return 0;
	guard(mutex)(&vd->lock);
	xa_for_each(&vd->iommus, unit, use) {
		if (use->vtd->cap & VTD_CAP_CM)
			vtd_flush_iotlb(use->vtd, use->did, addr, am, false,
					VTD_GRAN_PAGE);
		else
			vtd_flush_write_buffer(use->vtd);
	}
	return 0;
}

/* --- mapping -------------------------------------------------------------------- */

static int vtd_map_range(struct iommu_domain *domain, iova_t iova, phys_addr_t paddr,
			 u64 size, int prot, u64 *mapped)
{
	struct vtd_domain *vd = to_vtd_domain(domain);
	struct iommu_pages_list freed = IOMMU_PAGES_LIST_INIT;
	int rc = pgtable_map_range(&vd->pt, iova, paddr, size, (unsigned)prot, mapped,
				   &freed);

	/* A large page took the place of empty tables that the unit may have cached. */
	if (unlikely(!iommu_pages_list_empty(&freed))) {
		domain_flush_range(vd, iova, iova + size - 1, false);
		iommu_put_pages_list(vd->pt.machine, &freed);
	}
	return rc;
}

static u64 vtd_unmap_range(struct iommu_domain *domain, iova_t iova, u64 size,
			   struct iommu_iotlb_gather *gather)
{
	struct vtd_domain *vd = to_vtd_domain(domain);
	struct iommu_pages_list freed = IOMMU_PAGES_LIST_INIT;
	u64 unmapped = pgtable_unmap_range(&vd->pt, iova, size, &freed);

	if (!iommu_iotlb_gather_queued(gather) && unmapped)
		iommu_iotlb_gather_add_range(gather, iova, unmapped);
	iommu_pages_list_splice(vd->pt.machine, &freed, &gather->freelist);
	return unmapped;
}

static phys_addr_t vtd_iova_to_phys(struct iommu_domain *domain, iova_t iova)
{
	return pgtable_iova_to_phys(&to_vtd_domain(domain)->pt, iova);
}

static bool vtd_enforce_cache_coherency(struct iommu_domain *domain)
{
	struct vtd_domain *vd = to_vtd_domain(domain);
	struct vtd_device *info;

	guard(mutex)(&vd->lock);
	list_for_each_entry(info, &vd->devices, link) {
		if (!(info->vtd->ecap & VTD_ECAP_SC))
			return false;
	}
	vd->pt.force_coherence = true;
	return true;
}

/* --- attach --------------------------------------------------------------------- */

void vtd_block_translation(struct vtd_device *info)
{
	struct vtd_domain *domain = info->domain;

	if (!info->attached)
		return;
	vtd_context_clear(info);
	info->attached = false;
	if (!domain)
		return;
	mutex_lock(&domain->lock);
	list_del(&info->link);
	mutex_unlock(&domain->lock);
	info->domain = NULL;
	domain_put_iommu(domain, info->vtd);
}

static int domain_compatible(struct vtd_domain *domain, const struct vtd_iommu *vtd)
{
	unsigned levels = pgtable_top_level(&domain->pt) + 1;
	u64 sizes = domain->domain.pgsize_bitmap;

	if (VTD_CAP_GET_MGAW(vtd->cap) < domain->pt.va_bits ||
	    !(vtd_sagaw(vtd) & BIT(levels - 2)))
		return -EINVAL;
	if (((sizes & SZ_2M) && !(vtd->cap & VTD_CAP_SLLPS_2M)) ||
	    ((sizes & SZ_1G) && !(vtd->cap & VTD_CAP_SLLPS_1G)))
		return -EINVAL;
	if ((vtd->cap & (VTD_CAP_CM | VTD_CAP_RWBF)) && !domain->sync_map)
		return -EINVAL;
	if (domain->pt.force_coherence && !(vtd->ecap & VTD_ECAP_SC))
		return -EINVAL;
	return 0;
}

static const struct iommu_domain_ops paging_ops;

/*
 * What the device needs for its default domain, be it attached there already or not yet
 * (deferred), so that it can go there from wherever it goes now.
 */
static int keep_way_back(struct vtd_device *info)
{
	struct iommu_domain *home = iommu_get_dma_domain(info->dev);
	struct vtd_domain *vd;
	int rc = vtd_context_alloc(info);

	if (rc || !home || home->ops != &paging_ops || !iommu_is_dma_domain(home))
		return rc;
	vd = to_vtd_domain(home);
	guard(mutex)(&vd->lock);
	return PTR_ERR_OR_ZERO(use_get_locked(vd, info->vtd));
}

static int vtd_attach_dev(struct iommu_domain *domain, struct device *dev,
			  struct iommu_domain *old)
{
	struct vtd_device *info = dev_iommu_priv_get(dev);
	struct vtd_domain *vd = to_vtd_domain(domain);
	struct vtd_domain_iommu *use;
	int rc = domain_compatible(vd, info->vtd);

	if (!rc)
		rc = keep_way_back(info);
	if (!rc)
		rc = domain_get_iommu(vd, info->vtd);
	if (rc)
		return rc;
	vtd_block_translation(info);
	mutex_lock(&vd->lock);
	use = xa_load(&vd->iommus, info->vtd->unit);
	list_add_tail(&info->link, &vd->devices);
	mutex_unlock(&vd->lock);
	info->domain = vd;
	info->attached = true;
	vtd_context_set_domain(info, use->did);
	return 0;
}

static int vtd_identity_attach(struct iommu_domain *domain, struct device *dev,
			       struct iommu_domain *old)
{
	struct vtd_device *info = dev_iommu_priv_get(dev);
	int rc;

	if (!(info->vtd->ecap & VTD_ECAP_PT))
		return -EINVAL;
	rc = vtd_context_alloc(info);
	if (rc)
		return rc;
	vtd_block_translation(info);
	info->attached = true;
	vtd_context_set_pass_through(info);
	return 0;
}

static int vtd_blocked_attach(struct iommu_domain *domain, struct device *dev,
			      struct iommu_domain *old)
{
	struct vtd_device *info = dev_iommu_priv_get(dev);
	int rc = keep_way_back(info); /* a no-op but for the first attach of all */

	if (rc)
		return rc;
	/* An entry copied from a crashed kernel is not among what is attached. */
	info->attached |= info->vtd->copied != NULL;
	vtd_block_translation(info);
	return 0;
}

/*
 * PASIDs need scalable mode. The core asks only for devices that have PASIDs, and the
 * probe says of none that it has; groups of others may be given PASIDs all the same.
 */
static int vtd_set_dev_pasid(struct iommu_domain *domain, struct device *dev,
			     ioasid_t pasid, struct iommu_domain *old)
{
	return -EOPNOTSUPP;
}

static int vtd_blocked_set_dev_pasid(struct iommu_domain *domain, struct device *dev,
				     ioasid_t pasid, struct iommu_domain *old)
{
	/* There is no entry to take away. */
	return 0;
}

static const struct iommu_domain_ops blocked_ops = {
	.attach_dev = vtd_blocked_attach,
	.set_dev_pasid = vtd_blocked_set_dev_pasid,
};
static const struct iommu_domain_ops identity_ops = {.attach_dev = vtd_identity_attach};

struct iommu_domain vtd_blocked_domain = {
	.type = IOMMU_DOMAIN_BLOCKED,
	.ops = &blocked_ops,
};

struct iommu_domain vtd_identity_domain = {
	.type = IOMMU_DOMAIN_IDENTITY,
	.ops = &identity_ops,
};

/* --- making and freeing --------------------------------------------------------- */

static void vtd_domain_free(struct iommu_domain *domain)
{
	struct vtd_domain *vd = to_vtd_domain(domain);
	struct vtd_domain_iommu *use;
	u64 unit;

	if (WARN_ON(!list_empty(&vd->devices)))
		return;
	mutex_lock(&ends_lock);
	xa_for_each(&vd->iommus, unit, use)
		use_free(use);
	mutex_unlock(&ends_lock);
	pgtable_destroy(&vd->pt);
	xa_destroy(&vd->iommus);
	mutex_destroy(&vd->lock);
	kfree(vd);
}

static const struct iommu_domain_ops paging_ops = {
	.attach_dev = vtd_attach_dev,
	.set_dev_pasid = vtd_set_dev_pasid,
	.map_range = vtd_map_range,
	.unmap_range = vtd_unmap_range,
	.flush_iotlb_all = vtd_flush_iotlb_all,
	.iotlb_sync_map = vtd_iotlb_sync_map,
	.iotlb_sync = vtd_iotlb_sync,
	.iova_to_phys = vtd_iova_to_phys,
	.enforce_cache_coherency = vtd_enforce_cache_coherency,
	.free = vtd_domain_free,
};

/* Width and levels as Linux computes them (compute_vasz_lg2_ss()); 0 bits: none fit. */
static unsigned second_stage_bits(const struct vtd_iommu *vtd, u8 *top_level)
{
	unsigned sagaw = vtd_sagaw(vtd), mgaw = VTD_CAP_GET_MGAW(vtd->cap);

	if (mgaw > 48 && sagaw >= BIT(3)) {
		*top_level = 4;
		return min(57U, mgaw);
	}
	if (mgaw > 39 && sagaw >= BIT(2)) {
		*top_level = (u8)(3 + ffs((int)(sagaw >> 3)));
		return min(48U, mgaw);
	}
	if (mgaw > 30 && sagaw >= BIT(1)) {
		*top_level = (u8)(2 + ffs((int)(sagaw >> 2)));
		return min(39U, mgaw);
	}
	return 0;
}

struct iommu_domain *vtd_domain_alloc_paging_flags(struct device *dev, u32 flags,
						   const struct iommu_user_data *data)
{
	struct vtd_device *info = dev_iommu_priv_get(dev);
	struct vtd_iommu *vtd = info->vtd;
	struct pgtable_config config = {.pgsize_mask = SZ_4K};
	struct vtd_domain *vd;
	int rc;

	/* Nesting and dirty bits need scalable mode; a PASID is only a promise to ask
	 * later. */
	if (data || (flags & ~IOMMU_ALLOC_PASID))
		return ERR_PTR(-EOPNOTSUPP);
	config.va_bits = (u8)second_stage_bits(vtd, &config.top_level);
	if (!config.va_bits)
		return ERR_PTR(-EOPNOTSUPP);
	if (vtd->superpage && (vtd->cap & VTD_CAP_SLLPS_2M))
		config.pgsize_mask |= SZ_2M;
	if (vtd->superpage && (vtd->cap & VTD_CAP_SLLPS_1G))
		config.pgsize_mask |= SZ_1G;
	vd = kzalloc(sizeof(*vd));
	if (!vd)
		return ERR_PTR(-ENOMEM);
	rc = pgtable_init(&vd->pt, vtd->m, &pgtable_vtdss, &config);
	if (rc) {
		kfree(vd);
		return ERR_PTR(rc);
	}
	mutex_init(&vd->lock);
	xa_init(&vd->iommus);
	INIT_LIST_HEAD(&vd->devices);
	vd->sync_map = vtd->cap & (VTD_CAP_CM | VTD_CAP_RWBF);
	vd->domain.ops = &paging_ops;
	vd->domain.pgsize_bitmap = vd->pt.pgsize_bitmap;
	vd->domain.geometry = (struct iommu_domain_geometry){
		.aperture_start = 0,
		.aperture_end = GENMASK_ULL(vd->pt.va_bits - 1, 0),
		.force_aperture = true,
	};
	return &vd->domain;
}

/* Linux has this for all units and refuses where scalable mode is off. */
struct iommu_domain *vtd_domain_alloc_nested(struct device *dev,
					     struct iommu_domain *parent, u32 flags,
					     const struct iommu_user_data *data)
{
	return ERR_PTR(-EOPNOTSUPP);
}
