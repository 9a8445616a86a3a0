// SPDX-License-Identifier: MIT
/*
 * Who may do DMA with a group: the kernel's drivers through the DMA API (then the
 * group is at its default domain and owner_cnt counts them), or one owner in user
 * space, named by a cookie (then it is at the blocking domain or the owner's, and
 * owner_cnt counts the claims), or nobody yet. The two exclude each other for the
 * whole group, since its members cannot be told apart. Source:
 * drivers/iommu/iommu.c (iommu_device_use_default_domain,
 * iommu_group_claim_dma_owner).
 */
#define LOG_SUBSYSTEM "iommu"
#include "iommu/core.h"

int iommu_device_use_default_domain(struct device *dev)
{
	struct iommu_group *group = dev_group(dev);

	if (!group)
		return 0;
	guard(mutex)(&group->mutex);
	/* Its IOMMU is still being set up. */
	if (!group->default_domain)
		return -EPROBE_DEFER;
	if (group->owner_cnt && (group->domain != group->default_domain || group->owner ||
				 !xa_empty(&group->pasid_array)))
		return -EBUSY;
	group->owner_cnt++;
	return 0;
}

void iommu_device_unuse_default_domain(struct device *dev)
{
	struct iommu_group *group = dev_group(dev);

	if (!group)
		return;
	guard(mutex)(&group->mutex);
	if (!WARN_ON(!group->owner_cnt || !xa_empty(&group->pasid_array)))
		group->owner_cnt--;
}

/* A domain that lets nothing through: the driver's own, or an empty paging domain. */
int iommu_group_alloc_blocking_domain(struct iommu_group *group)
{
	struct device *dev = iommu_group_first_dev(group);
	const struct iommu_ops *ops = dev_iommu_ops(dev);
	struct iommu_domain *domain;

	if (group->blocking_domain)
		return 0;
	if (ops->blocked_domain) {
		group->blocking_domain = ops->blocked_domain;
		return 0;
	}
	domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(domain))
		return PTR_ERR(domain);
	group->blocking_domain = domain;
	return 0;
}

static int take_ownership(struct iommu_group *group, void *owner)
{
	int ret;

	if ((group->domain && group->domain != group->default_domain) ||
	    !xa_empty(&group->pasid_array))
		return -EBUSY;
	/* No member, or members without an IOMMU (noiommu): nothing to own. */
	if (list_empty(&group->devices) || !dev_has_iommu(iommu_group_first_dev(group)))
		return -ENODEV;
	ret = iommu_group_alloc_blocking_domain(group);
	if (ret)
		return ret;
	ret = iommu_group_set_domain(group, group->blocking_domain, 0);
	if (ret)
		return ret;
	group->owner = owner;
	group->owner_cnt++;
	return 0;
}

int iommu_group_claim_dma_owner(struct iommu_group *group, void *owner)
{
	if (WARN_ON(!owner))
		return -EINVAL;
	guard(mutex)(&group->mutex);
	if (group->owner_cnt)
		return -EPERM;
	return take_ownership(group, owner);
}

int iommu_device_claim_dma_owner(struct device *dev, void *owner)
{
	struct iommu_group *group = dev_group(dev);

	if (WARN_ON(!owner))
		return -EINVAL;
	if (!group)
		return -ENODEV;
	guard(mutex)(&group->mutex);
	if (!group->owner_cnt)
		return take_ownership(group, owner);
	if (group->owner != owner)
		return -EPERM;
	group->owner_cnt++;
	return 0;
}

static void release_ownership(struct iommu_group *group)
{
	int ret;

	if (WARN_ON(!group->owner_cnt || !group->owner || !xa_empty(&group->pasid_array)))
		return;
	group->owner_cnt = 0;
	group->owner = NULL;
	if (!group->default_domain)
		return; /* the last member is gone */
	ret = iommu_group_set_domain(group, group->default_domain,
				     IOMMU_SET_DOMAIN_MUST_SUCCEED);
	if (ret)
		pr_err("group %d: a member could not be attached: %d", group->id, ret);
}

void iommu_group_release_dma_owner(struct iommu_group *group)
{
	guard(mutex)(&group->mutex);
	release_ownership(group);
}

void iommu_device_release_dma_owner(struct device *dev)
{
	struct iommu_group *group = dev_group(dev);

	guard(mutex)(&group->mutex);
	if (group->owner_cnt > 1)
		group->owner_cnt--;
	else
		release_ownership(group);
}

bool iommu_group_dma_owner_claimed(struct iommu_group *group)
{
	guard(mutex)(&group->mutex);
	return group->owner_cnt;
}
