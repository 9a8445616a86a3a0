// SPDX-License-Identifier: MIT
/*
 * Domains of single PASIDs. group->pasid_array holds, by PASID, a domain or the
 * attach handle of a user (bit 0 of the entry tells them apart); the place of PASID 0
 * is for the handle of what the whole group is attached to. Source:
 * drivers/iommu/iommu.c (iommu_attach_device_pasid).
 */
#define LOG_SUBSYSTEM "iommu"
#include "iommu/core.h"

#define PASID_ENTRY_HANDLE 1UL

void *iommu_pasid_entry(struct iommu_domain *domain, struct iommu_attach_handle *handle)
{
	if (!handle)
		return domain;
	handle->domain = domain;
	return (void *)((uintptr_t)handle | PASID_ENTRY_HANDLE);
}

static struct iommu_attach_handle *entry_handle(void *entry)
{
	if (!((uintptr_t)entry & PASID_ENTRY_HANDLE))
		return NULL;
	return (struct iommu_attach_handle *)((uintptr_t)entry & ~PASID_ENTRY_HANDLE);
}

struct iommu_domain *iommu_pasid_entry_domain(void *entry)
{
	struct iommu_attach_handle *handle = entry_handle(entry);

	return handle ? handle->domain : entry;
}

/* The blocked domain can always be set. */
static void remove_dev_pasid(struct device *dev, ioasid_t pasid,
			     struct iommu_domain *domain)
{
	struct iommu_domain *blocked = dev_iommu_ops(dev)->blocked_domain;
	int ret = blocked->ops->set_dev_pasid(blocked, dev, pasid, domain);

	if (ret)
		pr_err("%s: PASID %u not removed: %d", dev_name(dev), pasid, ret);
}

static int set_group_pasid(struct iommu_domain *domain, struct iommu_group *group,
			   ioasid_t pasid, struct iommu_domain *old)
{
	struct group_device *gdev, *failed;
	int ret = 0;

	for_each_group_device(group, gdev) {
		if (!gdev->dev->iommu->max_pasids)
			continue;
		ret = domain->ops->set_dev_pasid(domain, gdev->dev, pasid, old);
		if (ret)
			break;
	}
	if (!ret)
		return 0;
	failed = gdev;
	for_each_group_device(group, gdev) {
		if (gdev == failed)
			break;
		if (!gdev->dev->iommu->max_pasids)
			continue;
		if (!old || old->ops->set_dev_pasid(old, gdev->dev, pasid, domain))
			remove_dev_pasid(gdev->dev, pasid, domain);
	}
	return ret;
}

int iommu_attach_device_pasid(struct iommu_domain *domain, struct device *dev,
			      ioasid_t pasid, struct iommu_attach_handle *handle)
{
	struct iommu_group *group = dev_group(dev);
	const struct iommu_ops *ops;
	struct group_device *gdev;
	int ret;

	if (!group || !dev_has_iommu(dev))
		return -ENODEV;
	ops = dev_iommu_ops(dev);
	if (!domain->ops->set_dev_pasid || !ops->blocked_domain ||
	    !ops->blocked_domain->ops->set_dev_pasid)
		return -EOPNOTSUPP;
	if (!domain_iommu_ops_compatible(ops, domain) || pasid == IOMMU_NO_PASID)
		return -EINVAL;

	guard(mutex)(&group->mutex);
	if (group->resetting_domain)
		return -EBUSY;
	for_each_group_device(group, gdev) {
		/* Members that cannot do PASIDs are not in the way. */
		if (gdev->dev->iommu->max_pasids && pasid >= gdev->dev->iommu->max_pasids)
			return -EINVAL;
	}
	ret = xa_reserve(&group->pasid_array, pasid);
	if (ret)
		return ret;
	ret = set_group_pasid(domain, group, pasid, NULL);
	if (ret) {
		xa_erase(&group->pasid_array, pasid);
		return ret;
	}
	return xa_store(&group->pasid_array, pasid, iommu_pasid_entry(domain, handle));
}

int iommu_replace_device_pasid(struct iommu_domain *domain, struct device *dev,
			       ioasid_t pasid, struct iommu_attach_handle *handle)
{
	struct iommu_group *group = dev_group(dev);
	struct iommu_domain *curr_domain;
	void *curr;
	int ret;

	if (!group || !dev_has_iommu(dev))
		return -ENODEV;
	if (!domain->ops->set_dev_pasid)
		return -EOPNOTSUPP;
	if (!domain_iommu_ops_compatible(dev_iommu_ops(dev), domain) ||
	    pasid == IOMMU_NO_PASID || !handle)
		return -EINVAL;

	guard(mutex)(&group->mutex);
	if (group->resetting_domain)
		return -EBUSY;
	curr = xa_load(&group->pasid_array, pasid);
	if (!curr || WARN_ON(entry_handle(curr) == handle))
		return -EINVAL;
	curr_domain = iommu_pasid_entry_domain(curr);
	if (curr_domain != domain) {
		ret = set_group_pasid(domain, group, pasid, curr_domain);
		if (ret)
			return ret;
	}
	return xa_store(&group->pasid_array, pasid, iommu_pasid_entry(domain, handle));
}

void iommu_detach_device_pasid(struct iommu_domain *domain, struct device *dev,
			       ioasid_t pasid)
{
	struct iommu_group *group = dev_group(dev);
	struct group_device *gdev;

	guard(mutex)(&group->mutex);
	for_each_group_device(group, gdev)
		if (gdev->dev->iommu->max_pasids)
			remove_dev_pasid(gdev->dev, pasid, domain);
	xa_erase(&group->pasid_array, pasid);
}

/* Around a reset; PASID 0 is the group's own domain. */
void iommu_remove_dev_pasids(struct iommu_group *group, struct device *dev)
{
	void *entry;
	u64 pasid;

	xa_for_each_start(&group->pasid_array, pasid, entry, 1)
		remove_dev_pasid(dev, (ioasid_t)pasid, iommu_pasid_entry_domain(entry));
}

void iommu_restore_dev_pasids(struct iommu_group *group, struct device *dev)
{
	void *entry;
	u64 pasid;

	xa_for_each_start(&group->pasid_array, pasid, entry, 1)
	{
		struct iommu_domain *domain = iommu_pasid_entry_domain(entry);

		if (domain->ops->set_dev_pasid(domain, dev, (ioasid_t)pasid,
					       group->blocking_domain))
			pr_err("%s: PASID %u still blocked after a reset", dev_name(dev),
			       (ioasid_t)pasid);
	}
}

ioasid_t iommu_alloc_global_pasid(struct device *dev)
{
	struct iommu_core *core = dev->machine->iommu;
	u32 pasid;

	/* The number must fit every device that may be given it later. */
	if (!dev->iommu || dev->iommu->max_pasids <= IOMMU_FIRST_GLOBAL_PASID)
		return IOMMU_PASID_INVALID;
	guard(mutex)(&core->lock);
	if (xa_alloc(&core->global_pasids, &pasid, NULL,
		     XA_LIMIT(IOMMU_FIRST_GLOBAL_PASID, dev->iommu->max_pasids - 1)))
		return IOMMU_PASID_INVALID;
	return pasid;
}

void iommu_free_global_pasid(struct device *dev, ioasid_t pasid)
{
	struct iommu_core *core = dev->machine->iommu;

	if (WARN_ON(pasid == IOMMU_PASID_INVALID))
		return;
	guard(mutex)(&core->lock);
	xa_erase(&core->global_pasids, pasid);
}

struct iommu_attach_handle *iommu_attach_handle_get(struct iommu_group *group,
						    ioasid_t pasid, u32 type)
{
	struct iommu_attach_handle *handle;

	guard(mutex)(&group->mutex);
	handle = entry_handle(xa_load(&group->pasid_array, pasid));
	if (!handle)
		return ERR_PTR(-ENOENT);
	if (type && handle->domain->type != type)
		return ERR_PTR(-EBUSY);
	return handle;
}
