// SPDX-License-Identifier: MIT
/*
 * The default domain: what a group's DMA goes through while nobody else owns it. Its
 * type comes from the driver where a device needs a certain one, from the file
 * `type`, or from the command line. Firmware's 1:1 mappings (RMRRs) are made
 * before the domain is attached, so a device that firmware keeps using never misses
 * one. Source: drivers/iommu/iommu.c (iommu_setup_default_domain,
 * iommu_group_store_type), drivers/iommu/dma-iommu.c (iommu_dma_init_domain).
 */
#define LOG_SUBSYSTEM "iommu"
#include "iommu/core.h"

#include <stdio.h>
#include <string.h>

#include "base/bitmap.h"

static const struct iommu_dma_hooks *dma_hooks;

void iommu_set_dma_hooks(const struct iommu_dma_hooks *hooks)
{
	__atomic_store_n(&dma_hooks, hooks, __ATOMIC_RELEASE);
}

static const struct iommu_dma_hooks *get_hooks(void)
{
	return __atomic_load_n(&dma_hooks, __ATOMIC_ACQUIRE);
}

int iommu_dma_get_cookie(struct iommu_domain *domain)
{
	const struct iommu_dma_hooks *hooks = get_hooks();

	return hooks ? hooks->get_cookie(domain) : 0;
}

void iommu_dma_put_cookie(struct iommu_domain *domain)
{
	const struct iommu_dma_hooks *hooks = get_hooks();

	if (hooks)
		hooks->put_cookie(domain);
}

static int dma_init_fq(struct iommu_domain *domain)
{
	const struct iommu_dma_hooks *hooks = get_hooks();

	return hooks ? hooks->init_fq(domain) : 0;
}

/*
 * The DMA API of @dev uses @domain from now on. With its first device a lazy domain
 * turns strict if that device's IOMMU cannot defer invalidations.
 */
void iommu_setup_dma_ops(struct device *dev, struct iommu_domain *domain)
{
	const struct iommu_dma_hooks *hooks = get_hooks();

	dev->iommu->dma_iommu = iommu_is_dma_domain(domain);
	if (!dev->iommu->dma_iommu)
		return;
	if (!domain->dma_initialized) {
		domain->dma_initialized = true;
		if (domain->type == IOMMU_DOMAIN_DMA_FQ &&
		    (!device_iommu_capable(dev, IOMMU_CAP_DEFERRED_FLUSH) ||
		     dma_init_fq(domain)))
			domain->type = IOMMU_DOMAIN_DMA;
	}
	if (hooks && hooks->init_domain(domain, dev)) {
		pr_warn("%s: failed to set up IOMMU for DMA", dev_name(dev));
		dev->iommu->dma_iommu = false;
	}
}

/* Map what of [@start, @end) is not mapped yet, 1:1. */
static int map_direct(struct iommu_domain *domain, u64 start, u64 end, u64 pg_size,
		      int prot)
{
	u64 pending = 0, addr;
	int ret;

	for (addr = start; addr <= end; addr += pg_size) {
		/* Whether page 0 is mapped to 0 cannot be told from no mapping. */
		if (addr < end && !iommu_iova_to_phys(domain, addr ? addr : 1)) {
			pending += pg_size;
			continue;
		}
		if (!pending)
			continue;
		ret = iommu_map(domain, addr - pending, addr - pending, pending, prot);
		if (ret)
			return ret;
		pending = 0;
	}
	return 0;
}

int iommu_create_device_direct_mappings(struct iommu_domain *domain, struct device *dev)
{
	u64 pg_size = domain->pgsize_bitmap ? 1ULL << __ffs64(domain->pgsize_bitmap) : 0;
	struct iommu_resv_region *entry;
	LIST_HEAD(mappings);
	int ret = 0;

	if (WARN_ON(iommu_is_dma_domain(domain) && !pg_size))
		return -EINVAL;
	iommu_get_resv_regions(dev, &mappings);
	list_for_each_entry(entry, &mappings, list) {
		if (entry->type == IOMMU_RESV_DIRECT)
			dev->iommu->require_direct = true;
		if ((entry->type != IOMMU_RESV_DIRECT &&
		     entry->type != IOMMU_RESV_DIRECT_RELAXABLE) ||
		    !iommu_is_dma_domain(domain))
			continue;
		ret = map_direct(domain, ALIGN(entry->start, pg_size),
				 ALIGN(entry->start + entry->length, pg_size), pg_size,
				 entry->prot);
		if (ret)
			break;
	}
	iommu_put_resv_regions(dev, &mappings);
	return ret;
}

/* What the drivers of the members want: a type, or 0 if they do not care. */
static u32 driver_domain_type(struct iommu_group *group, struct device *dev, u32 cur_type)
{
	const struct iommu_ops *ops = dev_iommu_ops(dev);
	u32 type;

	if (ops->default_domain)
		type = ops->default_domain->type;
	else if (ops->def_domain_type)
		type = (u32)ops->def_domain_type(dev);
	else
		return cur_type;
	if (!type || cur_type == type)
		return cur_type;
	if (!cur_type)
		return type;
	pr_warn("%s: IOMMU driver error, requesting conflicting def_domain_type, %s and "
		"%s, for devices in group %d.",
		dev_name(dev), iommu_domain_type_str(cur_type),
		iommu_domain_type_str(type), group->id);
	/* It may still work where the drivers' tables are the same as no tables. */
	return type == IOMMU_DOMAIN_IDENTITY ? type : cur_type;
}

/* -1: @target_type cannot be; 0: the default of the machine. */
static int default_domain_type(struct iommu_group *group, int target_type)
{
	struct device *untrusted = NULL;
	struct group_device *gdev;
	u32 driver_type = 0;

	lockdep_assert_held(&group->mutex);
	for_each_group_device(group, gdev) {
		driver_type = driver_domain_type(group, gdev->dev, driver_type);
		if (gdev->dev->untrusted)
			untrusted = gdev->dev;
	}
	if (untrusted) {
		if (driver_type && driver_type != IOMMU_DOMAIN_DMA) {
			pr_warn("%s: Device is not trusted, but driver is overriding "
				"group %d to %s, refusing to probe.",
				dev_name(untrusted), group->id,
				iommu_domain_type_str(driver_type));
			return -1;
		}
		driver_type = IOMMU_DOMAIN_DMA;
	}
	if (target_type)
		return driver_type && target_type != (int)driver_type ? -1 : target_type;
	return (int)driver_type;
}

static struct iommu_domain *alloc_of_type(struct iommu_group *group, u32 type)
{
	struct device *dev = iommu_group_first_dev(group);
	const struct iommu_ops *ops = dev_iommu_ops(dev);
	struct iommu_domain *dom;

	if (group->default_domain && group->default_domain->type == type)
		return group->default_domain;
	if (type & __IOMMU_DOMAIN_PAGING) {
		dom = iommu_paging_domain_alloc_type(
			dev, type, dev->iommu->max_pasids ? IOMMU_ALLOC_PASID : 0);
		if (IS_ERR(dom) && PTR_ERR(dom) == -EOPNOTSUPP)
			dom = iommu_paging_domain_alloc_type(dev, type, 0);
		return dom;
	}
	if (type != IOMMU_DOMAIN_IDENTITY)
		return ERR_PTR(-EINVAL);
	if (ops->identity_domain)
		return ops->identity_domain;
	if (!ops->domain_alloc_identity)
		return ERR_PTR(-EOPNOTSUPP);
	dom = ops->domain_alloc_identity(dev);
	if (!IS_ERR(dom))
		iommu_domain_init(dom, IOMMU_DOMAIN_IDENTITY, ops);
	return dom;
}

static struct iommu_domain *alloc_default_domain(struct iommu_group *group, u32 req_type)
{
	const struct iommu_ops *ops = dev_iommu_ops(iommu_group_first_dev(group));
	struct iommu_core *core = group->core;
	struct iommu_domain *dom;
	u32 def_type;

	if (ops->default_domain) {
		if (req_type != ops->default_domain->type)
			return ERR_PTR(-EINVAL);
		return ops->default_domain;
	}
	if (req_type)
		return alloc_of_type(group, req_type);

	mutex_lock(&core->lock);
	def_type = core->def_domain_type;
	mutex_unlock(&core->lock);
	dom = alloc_of_type(group, def_type);
	if (!IS_ERR(dom))
		return dom;
	if (def_type == IOMMU_DOMAIN_DMA)
		return ERR_PTR(-EINVAL);
	dom = alloc_of_type(group, IOMMU_DOMAIN_DMA);
	if (!IS_ERR(dom))
		pr_warn("Failed to allocate default IOMMU domain of type %u for group %d "
			"- Falling back to IOMMU_DOMAIN_DMA",
			def_type, group->id);
	return dom;
}

/*
 * @target_type: IOMMU_DOMAIN_*, 0: whatever fits. On failure a group that had a
 * default domain is as before.
 */
int iommu_setup_default_domain(struct iommu_group *group, int target_type)
{
	struct iommu_domain *old_dom = group->default_domain;
	struct group_device *gdev;
	struct iommu_domain *dom;
	bool direct_failed = false;
	int req_type, ret;

	lockdep_assert_held(&group->mutex);
	req_type = default_domain_type(group, target_type);
	if (req_type < 0)
		return -EINVAL;
	dom = alloc_default_domain(group, (u32)req_type);
	if (IS_ERR(dom))
		return PTR_ERR(dom);
	if (group->default_domain == dom)
		return 0;
	if (iommu_is_dma_domain(dom)) {
		ret = iommu_dma_get_cookie(dom);
		if (ret) {
			iommu_domain_free(dom);
			return ret;
		}
	}
	/* A driver may need to be attached before it can map; then it is tried again. */
	for_each_group_device(group, gdev) {
		if (iommu_create_device_direct_mappings(dom, gdev->dev)) {
			direct_failed = true;
			pr_warn("%s: IOMMU driver was not able to establish FW requested "
				"direct mapping.",
				dev_name(gdev->dev));
		}
	}

	group->default_domain = dom;
	if (!group->domain) {
		/* No way back: the members have no domain yet. */
		ret = iommu_group_set_domain(group, dom, IOMMU_SET_DOMAIN_MUST_SUCCEED);
		if (ret)
			goto out_free_old;
	} else {
		ret = iommu_group_set_domain(group, dom, 0);
		if (ret)
			goto err_restore_def_domain;
	}
	if (direct_failed) {
		for_each_group_device(group, gdev) {
			ret = iommu_create_device_direct_mappings(dom, gdev->dev);
			if (ret)
				goto err_restore_domain;
		}
	}
out_free_old:
	if (old_dom)
		iommu_domain_free(old_dom);
	return ret;

err_restore_domain:
	if (old_dom)
		(void)iommu_group_set_domain(group, old_dom,
					     IOMMU_SET_DOMAIN_MUST_SUCCEED);
err_restore_def_domain:
	if (old_dom) {
		iommu_domain_free(dom);
		group->default_domain = old_dom;
	}
	return ret;
}

ssize_t iommu_group_show_type(struct iommu_group *group, char *buf, size_t size)
{
	const char *type = "unknown";

	mutex_lock(&group->mutex);
	if (group->default_domain) {
		switch (group->default_domain->type) {
		case IOMMU_DOMAIN_BLOCKED:
			type = "blocked";
			break;
		case IOMMU_DOMAIN_IDENTITY:
			type = "identity";
			break;
		case IOMMU_DOMAIN_UNMANAGED:
			type = "unmanaged";
			break;
		case IOMMU_DOMAIN_DMA:
			type = "DMA";
			break;
		case IOMMU_DOMAIN_DMA_FQ:
			type = "DMA-FQ";
			break;
		default:
			break;
		}
	}
	mutex_unlock(&group->mutex);
	return min_t(ssize_t, snprintf(buf, size, "%s\n", type), size);
}

/* The word, but for one newline at its end; a NUL ends what was written. */
static bool written(const char *buf, size_t len, const char *word)
{
	size_t n = strnlen(buf, len);

	if (n && buf[n - 1] == '\n')
		n--;
	return n == strlen(word) && !memcmp(buf, word, n);
}

/* Who may write is for the caller to check: -EACCES comes before all else. */
ssize_t iommu_group_store_type(struct iommu_group *group, const char *buf, size_t len)
{
	struct group_device *gdev;
	int req_type, ret;

	if (!len)
		return 0;
	guard(mutex)(&group->mutex);
	if (!group->default_domain)
		return -EINVAL;
	if (written(buf, len, "identity"))
		req_type = IOMMU_DOMAIN_IDENTITY;
	else if (written(buf, len, "DMA"))
		req_type = IOMMU_DOMAIN_DMA;
	else if (written(buf, len, "DMA-FQ"))
		req_type = IOMMU_DOMAIN_DMA_FQ;
	else if (written(buf, len, "auto"))
		req_type = 0;
	else
		return -EINVAL;

	/* From strict to lazy needs no new tables, so it may be done in use. */
	if (req_type == IOMMU_DOMAIN_DMA_FQ &&
	    group->default_domain->type == IOMMU_DOMAIN_DMA) {
		ret = dma_init_fq(group->default_domain);
		if (ret)
			return ret;
		group->default_domain->type = IOMMU_DOMAIN_DMA_FQ;
		return (ssize_t)len;
	}
	if (list_empty(&group->devices) || group->owner_cnt)
		return -EPERM;
	ret = iommu_setup_default_domain(group, req_type);
	if (ret)
		return ret;
	for_each_group_device(group, gdev)
		iommu_setup_dma_ops(gdev->dev, group->default_domain);
	return (ssize_t)len;
}
