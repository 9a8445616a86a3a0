// SPDX-License-Identifier: MIT
/*
 * Groups: ids (the smallest that is free), members, references, and their files in
 * sysfs except `type`. A member holds a reference on its group; so does whoever
 * looks at it, and the id is given back with the last one. Source:
 * drivers/iommu/iommu.c.
 */
#define LOG_SUBSYSTEM "iommu"
#include "iommu/core.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "machine/irq.h"

struct iommu_group *iommu_group_alloc(struct machine *m)
{
	struct iommu_core *core = m->iommu;
	struct iommu_group *group;
	u32 id;
	int ret;

	group = kzalloc(sizeof(*group));
	if (!group)
		return ERR_PTR(-ENOMEM);
	group->core = core;
	refcount_set(&group->ref, 1);
	mutex_init(&group->mutex);
	INIT_LIST_HEAD(&group->devices);
	INIT_LIST_HEAD(&group->entry);
	xa_init(&group->pasid_array);

	mutex_lock(&core->lock);
	ret = xa_alloc(&core->groups, &id, group, xa_limit_31b);
	if (!ret)
		group->id = (int)id;
	mutex_unlock(&core->lock);
	if (ret) {
		mutex_destroy(&group->mutex);
		kfree(group);
		return ERR_PTR(ret);
	}
	pr_debug("Allocated group %d", group->id);
	iommu_trace(group_added, group);
	return group;
}

struct iommu_group *iommu_group_ref_get(struct iommu_group *group)
{
	refcount_inc(&group->ref);
	return group;
}

struct iommu_group *iommu_group_get(struct device *dev)
{
	struct iommu_core *core = dev->machine->iommu;
	struct iommu_group *group;

	if (!core)
		return NULL;
	/* With the lock: the last reference is dropped under it. */
	guard(mutex)(&core->lock);
	group = dev_group(dev);
	if (group && !refcount_inc_not_zero(&group->ref))
		group = NULL;
	return group;
}

static bool group_put_locked(struct iommu_group *group)
{
	/* What takes a reference from the maps does so under core->lock. */
	guard(mutex)(&group->core->lock);
	return refcount_dec_and_test(&group->ref);
}

void iommu_group_put(struct iommu_group *group)
{
	struct iommu_core *core;

	if (!group || !group_put_locked(group))
		return;
	core = group->core;
	pr_debug("Releasing group %d", group->id);
	iommu_trace(group_removed, group);
	if (group->iommu_data_release)
		group->iommu_data_release(group->iommu_data);
	WARN_ON(group->default_domain || group->blocking_domain);
	WARN_ON(!list_empty(&group->devices));
	mutex_lock(&core->lock);
	xa_erase(&core->groups, group->id);
	mutex_unlock(&core->lock);
	xa_destroy(&group->pasid_array);
	mutex_destroy(&group->mutex);
	kfree(group->name);
	kfree(group);
}

int iommu_group_id(const struct iommu_group *group)
{
	return group->id;
}

int iommu_group_set_name(struct iommu_group *group, const char *name)
{
	char *copy = NULL;

	if (name) {
		copy = kstrdup(name);
		if (!copy)
			return -ENOMEM;
	}
	mutex_lock(&group->mutex);
	kfree(group->name);
	group->name = copy;
	mutex_unlock(&group->mutex);
	iommu_trace(group_renamed, group);
	return 0;
}

bool iommu_group_get_name(struct iommu_group *group, char *buf, size_t size)
{
	guard(mutex)(&group->mutex);
	snprintf(buf, size, "%s", group->name ? group->name : "");
	return group->name;
}

void *iommu_group_get_iommudata(const struct iommu_group *group)
{
	return group->iommu_data;
}

void iommu_group_set_iommudata(struct iommu_group *group, void *data,
			       void (*release)(void *data))
{
	group->iommu_data = data;
	group->iommu_data_release = release;
}

/* Devices of two buses may have one name: the second link gets a number. */
static bool name_taken(struct iommu_group *group, const char *name)
{
	struct group_device *gdev;

	guard(mutex)(&group->mutex);
	for_each_group_device(group, gdev)
		if (!strcmp(gdev->name, name))
			return true;
	return false;
}

struct group_device *iommu_group_alloc_device(struct iommu_group *group,
					      struct device *dev)
{
	struct group_device *gdev;
	int i = 0;

	gdev = kzalloc(sizeof(*gdev));
	if (!gdev)
		goto err;
	gdev->dev = dev;
	gdev->name = kstrdup(dev_name(dev));
	while (gdev->name && name_taken(group, gdev->name)) {
		kfree(gdev->name);
		gdev->name = kasprintf("%s.%d", dev_name(dev), i++);
	}
	if (!gdev->name)
		goto err_free;
	iommu_trace(add_device_to_group, group, dev, gdev->name);
	pr_info("%s: Adding to iommu group %d", dev_name(dev), group->id);
	return gdev;

err_free:
	kfree(gdev);
err:
	pr_warn("%s: Failed to add to iommu group %d: %d", dev_name(dev), group->id,
		-ENOMEM);
	return ERR_PTR(-ENOMEM);
}

/* @gdev has been taken off the list. */
void iommu_group_free_device(struct iommu_group *group, struct group_device *gdev)
{
	iommu_trace(remove_device_from_group, group, gdev->dev, gdev->name);
	/* The last member of a group that is owned, or not at its default domain. */
	if (list_empty(&group->devices))
		WARN_ON(group->owner_cnt || group->domain != group->default_domain);
	kfree(gdev->name);
	kfree(gdev);
}

int iommu_group_add_device(struct iommu_group *group, struct device *dev)
{
	struct group_device *gdev = iommu_group_alloc_device(group, dev);

	if (IS_ERR(gdev))
		return PTR_ERR(gdev);
	iommu_group_ref_get(group);
	mutex_lock(&group->mutex);
	dev_set_group(dev, group);
	list_add_tail(&gdev->list, &group->devices);
	mutex_unlock(&group->mutex);
	return 0;
}

void iommu_group_remove_device(struct device *dev)
{
	struct iommu_group *group = dev_group(dev);
	struct group_device *gdev;

	if (!group)
		return;
	pr_info("%s: Removing from iommu group %d", dev_name(dev), group->id);
	mutex_lock(&group->mutex);
	for_each_group_device(group, gdev) {
		if (gdev->dev != dev)
			continue;
		list_del(&gdev->list);
		iommu_group_free_device(group, gdev);
		if (dev_has_iommu(dev))
			iommu_deinit_device(dev);
		else
			dev_set_group(dev, NULL);
		break;
	}
	mutex_unlock(&group->mutex);
	iommu_group_put(group);
}

int iommu_group_for_each_dev(struct iommu_group *group, void *data,
			     int (*fn)(struct device *dev, void *data))
{
	struct group_device *gdev;
	int ret = 0;

	guard(mutex)(&group->mutex);
	for_each_group_device(group, gdev) {
		ret = fn(gdev->dev, data);
		if (ret)
			break;
	}
	return ret;
}

static struct iommu_group *group_at_or_after(struct iommu_core *core, u64 *id)
{
	struct iommu_group *group;

	guard(mutex)(&core->lock);
	for (group = xa_find(&core->groups, id, UINT64_MAX); group;
	     group = xa_find_after(&core->groups, id, UINT64_MAX))
		if (refcount_inc_not_zero(&group->ref))
			break;
	return group;
}

int iommu_for_each_group(struct machine *m,
			 int (*fn)(struct iommu_group *group, void *data), void *data)
{
	struct iommu_group *group;
	int ret = 0;
	u64 id;

	if (!m->iommu)
		return 0;
	for (id = 0; !ret && (group = group_at_or_after(m->iommu, &id)); id++) {
		ret = fn(group, data);
		iommu_group_put(group);
	}
	return ret;
}

struct iommu_group *iommu_group_get_by_id(struct machine *m, int id)
{
	struct iommu_group *group;

	if (!m->iommu || id < 0)
		return NULL;
	guard(mutex)(&m->iommu->lock);
	group = xa_load(&m->iommu->groups, id);
	if (group && !refcount_inc_not_zero(&group->ref))
		group = NULL;
	return group;
}

bool iommu_group_has_isolated_msi(struct iommu_group *group)
{
	struct group_device *gdev;
	bool ret = true;

	guard(mutex)(&group->mutex);
	for_each_group_device(group, gdev)
		ret &= irq_remap_present(gdev->dev);
	return ret;
}

struct iommu_domain *iommu_group_default_domain(struct iommu_group *group)
{
	guard(mutex)(&group->mutex);
	return group->default_domain;
}

static void member_name(const struct device *dev, char *buf, size_t size)
{
	snprintf(buf, size, "%s:%s", dev->bus ? dev->bus->type->name : "none",
		 dev_name(dev));
}

size_t iommu_group_stable_name(struct iommu_group *group, char *buf, size_t size)
{
	struct group_device *gdev;
	char best[96] = "", name[96];

	mutex_lock(&group->mutex);
	for_each_group_device(group, gdev) {
		member_name(gdev->dev, name, sizeof(name));
		if (!best[0] || strcmp(name, best) < 0)
			memcpy(best, name, sizeof(best));
	}
	mutex_unlock(&group->mutex);
	return (size_t)snprintf(buf, size, "%s", best);
}

struct iommu_group *generic_device_group(struct device *dev)
{
	return iommu_group_alloc(dev->machine);
}

struct iommu_group *generic_single_device_group(struct device *dev)
{
	struct iommu_device *iommu = dev->iommu->iommu_dev;

	if (!iommu->singleton_group) {
		struct iommu_group *group = iommu_group_alloc(dev->machine);

		if (IS_ERR(group))
			return group;
		iommu->singleton_group = group;
	}
	return iommu_group_ref_get(iommu->singleton_group);
}

ssize_t iommu_group_show_name(struct iommu_group *group, char *buf, size_t size)
{
	guard(mutex)(&group->mutex);
	if (!group->name)
		return -ENOENT;
	return min_t(ssize_t, snprintf(buf, size, "%s\n", group->name), size);
}
