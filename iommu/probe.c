// SPDX-License-Identifier: MIT
/*
 * A device finds its IOMMU and its group, and leaves them. Source:
 * drivers/iommu/iommu.c (iommu_init_device, __iommu_probe_device,
 * iommu_deinit_device, bus_iommu_probe).
 *
 * Where firmware names the IOMMU (fwspec), that one's driver is asked; else each
 * driver whose IOMMUs find their devices themselves (VT-d, AMD-Vi), in the order of
 * registration, until one takes the device.
 *
 * When an IOMMU arrives, the devices that are there already are gathered into groups
 * first and the default domains made afterwards, so that every member has a say in
 * their type. A device that comes later gets the domain its group has.
 */
#define LOG_SUBSYSTEM "iommu"
#include "iommu/core.h"

#include <string.h>

#include "base/alloc.h"

static const struct iommu_ops *next_ops(struct iommu_core *core, const void *fwnode,
					const struct iommu_ops *prev)
{
	struct iommu_device *iommu, *before;
	bool past = !prev;

	guard(mutex)(&core->lock);
	list_for_each_entry(iommu, &core->devices, list) {
		bool seen = false;

		if (iommu->fwnode != fwnode)
			continue;
		/* Each driver once, whatever the number of its instances. */
		list_for_each_entry(before, &core->devices, list) {
			if (before == iommu)
				break;
			if (before->fwnode == fwnode && before->ops == iommu->ops)
				seen = true;
		}
		if (seen)
			continue;
		if (past)
			return iommu->ops;
		past = iommu->ops == prev;
	}
	return NULL;
}

static struct iommu_device *ask_drivers(struct device *dev)
{
	const void *fwnode = dev->fwspec ? dev->fwspec->iommu_fwnode : NULL;
	struct iommu_device *iommu = ERR_PTR(-ENODEV);
	const struct iommu_ops *ops = NULL;

	while ((ops = next_ops(dev->machine->iommu, fwnode, ops))) {
		iommu = ops->probe_device(dev);
		if (PTR_ERR_OR_ZERO(iommu) != -ENODEV)
			break;
		dev->iommu->priv = NULL;
	}
	return iommu;
}

static void dev_iommu_free(struct device *dev)
{
	struct dev_iommu *param = dev->iommu;

	dev->iommu = NULL;
	kfree(param);
}

static int iommu_init_device(struct device *dev)
{
	struct iommu_device *iommu_dev;
	const struct iommu_ops *ops;
	struct iommu_group *group;
	int ret;

	dev->iommu = kzalloc(sizeof(*dev->iommu));
	if (!dev->iommu)
		return -ENOMEM;
	iommu_dev = ask_drivers(dev);
	if (IS_ERR(iommu_dev)) {
		ret = PTR_ERR(iommu_dev);
		goto err_free;
	}
	ops = iommu_dev->ops;
	dev->iommu->iommu_dev = iommu_dev;
	iommu_trace(device_linked, iommu_dev, dev);

	group = ops->device_group(dev);
	if (WARN_ON(!group))
		group = ERR_PTR(-EINVAL);
	if (IS_ERR(group)) {
		ret = PTR_ERR(group);
		goto err_release;
	}
	dev_set_group(dev, group);
	dev->iommu->max_pasids = min(dev->max_pasids, iommu_dev->max_pasids);
	if (ops->is_attach_deferred)
		dev->iommu->attach_deferred = ops->is_attach_deferred(dev);
	return 0;

err_release:
	iommu_trace(device_unlinked, iommu_dev, dev);
	if (ops->release_device)
		ops->release_device(dev);
err_free:
	dev_iommu_free(dev);
	return ret;
}

/* The last thing a driver hears of a device; it is no member any more. */
void iommu_deinit_device(struct device *dev)
{
	struct iommu_group *group = dev_group(dev);
	const struct iommu_ops *ops = dev_iommu_ops(dev);

	lockdep_assert_held(&group->mutex);
	iommu_trace(device_unlinked, dev->iommu->iommu_dev, dev);
	/*
	 * The device's DMA ends here, unless firmware wants it to go on. A device that
	 * was never attached (deferred) stays as the old kernel left it.
	 */
	if (!dev->iommu->attach_deferred && ops->release_domain) {
		struct iommu_domain *release_domain = ops->release_domain;

		if (dev->iommu->require_direct && ops->identity_domain &&
		    release_domain == ops->blocked_domain)
			release_domain = ops->identity_domain;
		release_domain->ops->attach_dev(release_domain, dev, group->domain);
	}
	if (ops->release_device)
		ops->release_device(dev);

	if (list_empty(&group->devices)) {
		if (group->default_domain)
			iommu_domain_free(group->default_domain);
		group->default_domain = NULL;
		if (group->blocking_domain)
			iommu_domain_free(group->blocking_domain);
		group->blocking_domain = NULL;
		group->domain = NULL;
	}
	dev_set_group(dev, NULL);
	dev_iommu_free(dev);
}

/*
 * A device that is being deleted: iommu_release_device() has run for it, or will once the
 * probe lock is free, and then for the last time.
 */
static bool is_leaving(struct device *dev)
{
	bool dead;

	mutex_lock(&dev->machine->lock);
	dead = dev->dead;
	mutex_unlock(&dev->machine->lock);
	return dead;
}

/* @group_list: where a new group goes whose default domain is made later; NULL: now. */
static int probe_device_locked(struct device *dev, struct list_head *group_list)
{
	struct iommu_group *group;
	struct group_device *gdev;
	int ret;

	lockdep_assert_held(&dev->machine->iommu->probe_lock);
	if (dev_group(dev))
		return 0;
	if (is_leaving(dev))
		return -ENODEV;
	ret = iommu_init_device(dev);
	if (ret)
		return ret;

	group = dev_group(dev);
	gdev = iommu_group_alloc_device(group, dev);
	mutex_lock(&group->mutex);
	if (IS_ERR(gdev)) {
		ret = PTR_ERR(gdev);
		goto err_put_group;
	}
	list_add_tail(&gdev->list, &group->devices);
	WARN_ON(group->default_domain && !group->domain);
	if (group->default_domain)
		(void)iommu_create_device_direct_mappings(group->default_domain, dev);
	if (group->domain) {
		ret = iommu_device_set_domain(group, dev, group->domain, NULL, 0);
		if (ret)
			goto err_remove_gdev;
	} else if (!group->default_domain && !group_list) {
		ret = iommu_setup_default_domain(group, 0);
		if (ret)
			goto err_remove_gdev;
	} else if (!group->default_domain) {
		if (list_empty(&group->entry)) {
			iommu_group_ref_get(group);
			list_add_tail(&group->entry, group_list);
		}
	}
	if (group->default_domain)
		iommu_setup_dma_ops(dev, group->default_domain);
	if (!group_list)
		gdev->finalized = true;
	mutex_unlock(&group->mutex);
	return 0;

err_remove_gdev:
	list_del(&gdev->list);
	iommu_group_free_device(group, gdev);
err_put_group:
	iommu_deinit_device(dev);
	mutex_unlock(&group->mutex);
	iommu_group_put(group);
	return ret;
}

static void probe_finalize(struct device *dev)
{
	const struct iommu_ops *ops = dev_iommu_ops(dev);

	if (ops->probe_finalize)
		ops->probe_finalize(dev);
}

int iommu_probe_device(struct device *dev)
{
	struct iommu_core *core = dev->machine->iommu;
	bool had_group;
	int ret;

	if (!core)
		return -ENODEV;
	mutex_lock(&core->probe_lock);
	had_group = dev_group(dev);
	ret = probe_device_locked(dev, NULL);
	mutex_unlock(&core->probe_lock);
	if (!ret && !had_group)
		probe_finalize(dev);
	return ret;
}

void iommu_release_device(struct device *dev)
{
	struct iommu_core *core = dev->machine->iommu;

	if (!core)
		return;
	guard(mutex)(&core->probe_lock);
	iommu_group_remove_device(dev);
	if (dev->iommu)
		dev_iommu_free(dev);
}

static int probe_existing(struct device *dev, void *data)
{
	int ret;

	mutex_lock(&dev->machine->iommu->probe_lock);
	ret = probe_device_locked(dev, data);
	mutex_unlock(&dev->machine->iommu->probe_lock);
	return ret == -ENODEV ? 0 : ret;
}

/* The next member that has not been finalized, held. */
static struct device *next_to_finalize(struct iommu_group *group)
{
	struct group_device *gdev;

	guard(mutex)(&group->mutex);
	for_each_group_device(group, gdev) {
		if (!gdev->finalized) {
			gdev->finalized = true;
			return get_device(gdev->dev);
		}
	}
	return NULL;
}

static int finish_group(struct iommu_group *group)
{
	struct group_device *gdev;
	struct device *dev;
	int ret;

	mutex_lock(&group->mutex);
	/* All may have left meanwhile. */
	ret = list_empty(&group->devices) ? 0 : iommu_setup_default_domain(group, 0);
	if (!ret)
		for_each_group_device(group, gdev)
			iommu_setup_dma_ops(gdev->dev, group->default_domain);
	mutex_unlock(&group->mutex);
	while (!ret && (dev = next_to_finalize(group))) {
		probe_finalize(dev);
		put_device(dev);
	}
	return ret;
}

static int bus_iommu_probe(struct bus *bus)
{
	struct iommu_core *core = bus->machine->iommu;
	struct iommu_group *group;
	LIST_HEAD(group_list);
	int ret, err;

	ret = bus_for_each_dev(bus, probe_existing, &group_list);
	for (;;) {
		mutex_lock(&core->probe_lock);
		group = list_first_entry_or_null(&group_list, struct iommu_group, entry);
		if (group)
			list_del_init(&group->entry);
		mutex_unlock(&core->probe_lock);
		if (!group)
			return ret;
		if (!ret) {
			err = finish_group(group);
			ret = err;
		}
		iommu_group_put(group);
	}
}

/* The bus after @prev in order of registration. */
static struct bus *next_bus(struct machine *m, struct bus *prev)
{
	struct bus *bus, *next = NULL;

	mutex_lock(&m->lock);
	bus = prev ? list_next_entry(prev, node)
		   : list_first_entry(&m->buses, struct bus, node);
	if (&bus->node != &m->buses)
		next = bus;
	mutex_unlock(&m->lock);
	return next;
}

/* Platform devices first, as in the kernel's table of buses. */
int iommu_probe_existing(struct iommu_core *core)
{
	struct bus *platform = bus_find(core->machine, "platform");
	struct bus *bus;
	int ret = 0;

	if (platform)
		ret = bus_iommu_probe(platform);
	for (bus = next_bus(core->machine, NULL); bus && !ret;
	     bus = next_bus(core->machine, bus))
		if (bus != platform)
			ret = bus_iommu_probe(bus);
	return ret;
}

static int release_existing(struct device *dev, void *data)
{
	struct iommu_core *core = dev->machine->iommu;
	bool ours;

	mutex_lock(&core->probe_lock);
	ours = dev->iommu && dev->iommu->iommu_dev == data;
	if (ours) {
		iommu_group_remove_device(dev);
		if (dev->iommu)
			dev_iommu_free(dev);
	}
	mutex_unlock(&core->probe_lock);
	return 0;
}

void iommu_release_existing(struct iommu_device *iommu)
{
	struct bus *bus;

	for (bus = next_bus(iommu->machine, NULL); bus;
	     bus = next_bus(iommu->machine, bus))
		bus_for_each_dev(bus, release_existing, iommu);
}

/* Whether the IOMMU that firmware names has finished coming up. */
static bool fwspec_iommu_ready(struct device *dev)
{
	struct iommu_core *core = dev->machine->iommu;
	struct iommu_device *iommu;

	guard(mutex)(&core->lock);
	list_for_each_entry(iommu, &core->devices, list)
		if (iommu->fwnode == dev->fwspec->iommu_fwnode)
			return iommu->ready;
	return false;
}

int iommu_dma_configure(struct device *dev)
{
	int ret;

	if (dev->machine->iommu && dev->fwspec && !dev_group(dev)) {
		if (!fwspec_iommu_ready(dev))
			return -EPROBE_DEFER;
		ret = iommu_probe_device(dev);
		if (ret == -EPROBE_DEFER)
			return ret;
		/* Any other error: the device works without an IOMMU. */
		if (ret)
			pr_debug("%s: no IOMMU: %d", dev_name(dev), ret);
	}
	if (dev->driver && !dev->driver->driver_managed_dma)
		return iommu_device_use_default_domain(dev);
	return 0;
}

void iommu_dma_cleanup(struct device *dev)
{
	if (dev->driver && !dev->driver->driver_managed_dma)
		iommu_device_unuse_default_domain(dev);
}
