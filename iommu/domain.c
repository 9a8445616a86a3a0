// SPDX-License-Identifier: MIT
/*
 * Domains: making and freeing them, what a device's DMA goes through, and faults in
 * them. Source: drivers/iommu/iommu.c.
 */
#define LOG_SUBSYSTEM "iommu"
#include "iommu/core.h"

const char *iommu_domain_type_str(u32 type)
{
	switch (type) {
	case IOMMU_DOMAIN_BLOCKED:
		return "Blocked";
	case IOMMU_DOMAIN_IDENTITY:
		return "Passthrough";
	case IOMMU_DOMAIN_UNMANAGED:
		return "Unmanaged";
	case IOMMU_DOMAIN_DMA:
	case IOMMU_DOMAIN_DMA_FQ:
		return "Translated";
	case IOMMU_DOMAIN_PLATFORM:
		return "Platform";
	default:
		return "Unknown";
	}
}

void iommu_domain_init(struct iommu_domain *domain, u32 type, const struct iommu_ops *ops)
{
	domain->type = type;
	domain->owner = ops;
	if (!domain->ops)
		domain->ops = ops->default_domain_ops;
}

struct iommu_domain *iommu_paging_domain_alloc_type(struct device *dev, u32 type,
						    u32 flags)
{
	const struct iommu_ops *ops;
	struct iommu_domain *domain;

	if (!dev_has_iommu(dev))
		return ERR_PTR(-ENODEV);
	ops = dev_iommu_ops(dev);
	if (ops->domain_alloc_paging && !flags)
		domain = ops->domain_alloc_paging(dev);
	else if (ops->domain_alloc_paging_flags)
		domain = ops->domain_alloc_paging_flags(dev, flags, NULL);
	else
		return ERR_PTR(-EOPNOTSUPP);
	if (IS_ERR(domain))
		return domain;
	if (!domain)
		return ERR_PTR(-ENOMEM);
	iommu_domain_init(domain, type, ops);
	return domain;
}

struct iommu_domain *iommu_paging_domain_alloc_flags(struct device *dev, u32 flags)
{
	return iommu_paging_domain_alloc_type(dev, IOMMU_DOMAIN_UNMANAGED, flags);
}

void iommu_domain_free(struct iommu_domain *domain)
{
	if (domain->cookie_type == IOMMU_COOKIE_DMA_IOVA ||
	    domain->cookie_type == IOMMU_COOKIE_DMA_MSI)
		iommu_dma_put_cookie(domain);
	if (domain->ops->free)
		domain->ops->free(domain);
}

struct iommu_domain *iommu_get_domain_for_dev(struct device *dev)
{
	struct iommu_group *group = dev_group(dev);

	if (!group)
		return NULL;
	guard(mutex)(&group->mutex);
	return group->domain;
}

struct iommu_domain *iommu_driver_get_domain_for_dev(struct device *dev)
{
	struct iommu_group *group = dev_group(dev);

	lockdep_assert_held(&group->mutex);
	return group->resetting_domain ? group->resetting_domain : group->domain;
}

struct iommu_domain *iommu_get_dma_domain(struct device *dev)
{
	return dev_group(dev)->default_domain;
}

void iommu_set_fault_handler(struct iommu_domain *domain, iommu_fault_handler_t handler,
			     void *token)
{
	if (WARN_ON(!domain || domain->cookie_type != IOMMU_COOKIE_NONE))
		return;
	domain->cookie_type = IOMMU_COOKIE_FAULT_HANDLER;
	domain->handler = handler;
	domain->handler_token = token;
}

int report_iommu_fault(struct iommu_domain *domain, struct device *dev, iova_t iova,
		       int flags)
{
	int ret = -ENOSYS;

	if (domain->cookie_type == IOMMU_COOKIE_FAULT_HANDLER && domain->handler)
		ret = domain->handler(domain, dev, iova, flags, domain->handler_token);
	iommu_trace(io_page_fault, dev, iova, flags);
	return ret;
}
