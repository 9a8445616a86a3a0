// SPDX-License-Identifier: MIT
/*
 * Which domain a group's DMA goes through. All members change together: if one
 * cannot, those before it go back, and the group is as it was. Going back, and
 * whatever else must not fail (detach, release), tries every member to the end; one
 * that cannot follow is blocked rather than left with access to a domain that it has
 * no right to. Source: drivers/iommu/iommu.c (__iommu_group_set_domain_internal).
 */
#define LOG_SUBSYSTEM "iommu"
#include "iommu/core.h"

bool domain_iommu_ops_compatible(const struct iommu_ops *ops,
				 const struct iommu_domain *domain)
{
	/* Static domains are shared by drivers' instances and have no owner. */
	return domain->owner == ops || domain == ops->blocked_domain ||
	       domain == ops->identity_domain;
}

static int attach_device(struct iommu_domain *domain, struct device *dev,
			 struct iommu_domain *old)
{
	int ret;

	if (unlikely(!domain->ops->attach_dev))
		return -ENODEV;
	ret = domain->ops->attach_dev(domain, dev, old);
	if (ret)
		return ret;
	dev->iommu->attach_deferred = false;
	iommu_trace(attach_device_to_domain, dev, domain);
	return 0;
}

int iommu_device_set_domain(struct iommu_group *group, struct device *dev,
			    struct iommu_domain *new_domain,
			    struct iommu_domain *old_domain, unsigned flags)
{
	int ret;

	/*
	 * Firmware's mappings must hold at all times, so the device can neither be
	 * blocked nor, through the owner's first step, be given to user space. Where
	 * there is no way but to block it (it joined a group that was attached to its
	 * owner's domain, which is now going away) blocked it is; Linux would leave it
	 * attached to a domain that may be freed.
	 */
	if (dev->iommu->require_direct && !(flags & IOMMU_SET_DOMAIN_MUST_SUCCEED) &&
	    (new_domain->type == IOMMU_DOMAIN_BLOCKED ||
	     new_domain == group->blocking_domain)) {
		pr_warn("%s: Firmware has requested this device have a 1:1 IOMMU "
			"mapping, rejecting configuring the device without a 1:1 "
			"mapping. Contact your platform vendor.",
			dev_name(dev));
		return -EINVAL;
	}
	/* The default domain may wait for the first mapping, any other may not. */
	if (dev->iommu->attach_deferred) {
		if (new_domain == group->default_domain)
			return 0;
		dev->iommu->attach_deferred = false;
	}
	ret = attach_device(new_domain, dev, old_domain);
	if (ret && (flags & IOMMU_SET_DOMAIN_MUST_SUCCEED) && group->blocking_domain &&
	    group->blocking_domain != new_domain)
		(void)attach_device(group->blocking_domain, dev, old_domain);
	return ret;
}

/*
 * With IOMMU_SET_DOMAIN_MUST_SUCCEED the group is at @new_domain afterwards whatever
 * this returns.
 */
int iommu_group_set_domain(struct iommu_group *group, struct iommu_domain *new_domain,
			   unsigned flags)
{
	struct group_device *gdev, *failed;
	int result = 0, ret;

	lockdep_assert_held(&group->mutex);
	if (group->domain == new_domain)
		return 0;
	if (WARN_ON(!new_domain))
		return -EINVAL;
	if (group->resetting_domain)
		return -EBUSY;

	for_each_group_device(group, gdev) {
		ret = iommu_device_set_domain(group, gdev->dev, new_domain, group->domain,
					      flags);
		if (!ret)
			continue;
		result = ret;
		if (!(flags & IOMMU_SET_DOMAIN_MUST_SUCCEED))
			goto err_revert;
	}
	group->domain = new_domain;
	return result;

err_revert:
	failed = gdev;
	for_each_group_device(group, gdev) {
		if (gdev == failed)
			break;
		if (group->domain &&
		    iommu_device_set_domain(group, gdev->dev, group->domain, new_domain,
					    IOMMU_SET_DOMAIN_MUST_SUCCEED))
			pr_err("%s: cannot go back to its former domain",
			       dev_name(gdev->dev));
	}
	return result;
}

static void set_domain_nofail(struct iommu_group *group, struct iommu_domain *new_domain)
{
	int ret =
		iommu_group_set_domain(group, new_domain, IOMMU_SET_DOMAIN_MUST_SUCCEED);

	if (ret)
		pr_err("group %d: a member could not be attached: %d", group->id, ret);
}

/* Where a group is while nobody attaches anything: blocked if it has an owner. */
static void set_core_domain(struct iommu_group *group)
{
	set_domain_nofail(group,
			  group->owner ? group->blocking_domain : group->default_domain);
}

static int attach_group_locked(struct iommu_domain *domain, struct iommu_group *group)
{
	struct device *dev;

	if (group->domain && group->domain != group->default_domain &&
	    group->domain != group->blocking_domain)
		return -EBUSY;
	if (list_empty(&group->devices))
		return -ENODEV;
	dev = iommu_group_first_dev(group);
	if (!dev_has_iommu(dev) ||
	    !domain_iommu_ops_compatible(dev_iommu_ops(dev), domain))
		return -EINVAL;
	return iommu_group_set_domain(group, domain, 0);
}

int iommu_attach_group(struct iommu_domain *domain, struct iommu_group *group)
{
	guard(mutex)(&group->mutex);
	return attach_group_locked(domain, group);
}

void iommu_detach_group(struct iommu_domain *domain, struct iommu_group *group)
{
	guard(mutex)(&group->mutex);
	if (group->domain)
		set_core_domain(group);
}

int iommu_attach_device(struct iommu_domain *domain, struct device *dev)
{
	struct iommu_group *group = dev_group(dev);

	if (!group)
		return -ENODEV;
	guard(mutex)(&group->mutex);
	if (!list_is_singular(&group->devices))
		return -EINVAL;
	return attach_group_locked(domain, group);
}

void iommu_detach_device(struct iommu_domain *domain, struct device *dev)
{
	struct iommu_group *group = dev_group(dev);

	if (!group)
		return;
	guard(mutex)(&group->mutex);
	if (WARN_ON(domain != group->domain) ||
	    WARN_ON(!list_is_singular(&group->devices)))
		return;
	set_core_domain(group);
}

int iommu_deferred_attach(struct device *dev, struct iommu_domain *domain)
{
	struct iommu_group *group = dev_group(dev);

	if (!group || !dev->iommu)
		return 0;
	guard(mutex)(&group->mutex);
	if (!dev->iommu->attach_deferred)
		return 0;
	if (group->resetting_domain)
		return -EBUSY;
	return attach_device(domain, dev, NULL);
}

/* A user of the domain that is told of its page faults holds the place of PASID 0. */
int iommu_attach_group_handle(struct iommu_domain *domain, struct iommu_group *group,
			      struct iommu_attach_handle *handle)
{
	int ret;

	if (!handle)
		return -EINVAL;
	guard(mutex)(&group->mutex);
	ret = xa_reserve(&group->pasid_array, IOMMU_NO_PASID);
	if (ret)
		return ret;
	ret = attach_group_locked(domain, group);
	if (ret) {
		xa_erase(&group->pasid_array, IOMMU_NO_PASID);
		return ret;
	}
	return xa_store(&group->pasid_array, IOMMU_NO_PASID,
			iommu_pasid_entry(domain, handle));
}

void iommu_detach_group_handle(struct iommu_domain *domain, struct iommu_group *group)
{
	guard(mutex)(&group->mutex);
	if (group->domain)
		set_core_domain(group);
	xa_erase(&group->pasid_array, IOMMU_NO_PASID);
}

int iommu_replace_group_handle(struct iommu_group *group, struct iommu_domain *new_domain,
			       struct iommu_attach_handle *handle)
{
	bool reserved;
	int ret;

	if (!new_domain || !handle)
		return -EINVAL;
	guard(mutex)(&group->mutex);
	ret = xa_reserve(&group->pasid_array, IOMMU_NO_PASID);
	reserved = !ret;
	if (ret && ret != -EBUSY)
		return ret;
	ret = iommu_group_set_domain(group, new_domain, 0);
	if (ret) {
		if (reserved)
			xa_erase(&group->pasid_array, IOMMU_NO_PASID);
		return ret;
	}
	return xa_store(&group->pasid_array, IOMMU_NO_PASID,
			iommu_pasid_entry(new_domain, handle));
}

/*
 * A reset makes a device forget what its IOMMU may have cached in it, so its DMA is
 * stopped around it; only drivers of devices with a translation cache of their own
 * (ATS) ask for that.
 */
int iommu_dev_reset_prepare(struct device *dev)
{
	struct iommu_group *group = dev_group(dev);
	int ret;

	if (!dev_has_iommu(dev))
		return 0;
	guard(mutex)(&group->mutex);
	if (group->resetting_domain)
		return -EBUSY;
	ret = iommu_group_alloc_blocking_domain(group);
	if (ret)
		return ret;
	if (group->domain != group->blocking_domain) {
		ret = attach_device(group->blocking_domain, dev, group->domain);
		if (ret)
			return ret;
	}
	iommu_remove_dev_pasids(group, dev);
	group->resetting_domain = group->blocking_domain;
	return 0;
}

void iommu_dev_reset_done(struct device *dev)
{
	struct iommu_group *group = dev_group(dev);

	if (!dev_has_iommu(dev))
		return;
	guard(mutex)(&group->mutex);
	if (!group->resetting_domain)
		return;
	if (group->domain != group->blocking_domain &&
	    attach_device(group->domain, dev, group->blocking_domain))
		pr_err("%s: still blocked after its reset", dev_name(dev));
	iommu_restore_dev_pasids(group, dev);
	group->resetting_domain = NULL;
}
