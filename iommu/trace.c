// SPDX-License-Identifier: MIT
/*
 * The listeners of iommu/trace.h. One list for the process, since most events have no
 * machine at hand but that of a device; a listener of one machine is skipped for the
 * others. The lock is held over the calls, so a listener that has been unregistered is
 * not running.
 */
#include "iommu/core.h"

int iommu_tracing;
static DEFINE_MUTEX(listeners_lock);
static LIST_HEAD(listeners);

void iommu_listener_register(struct iommu_listener *l)
{
	guard(mutex)(&listeners_lock);
	list_add_tail(&l->node, &listeners);
	__atomic_add_fetch(&iommu_tracing, 1, __ATOMIC_RELAXED);
}

void iommu_listener_unregister(struct iommu_listener *l)
{
	guard(mutex)(&listeners_lock);
	list_del(&l->node);
	__atomic_sub_fetch(&iommu_tracing, 1, __ATOMIC_RELAXED);
}

/* @m: NULL where the event does not know its machine. */
#define call_listeners(m, event, ...)                                             \
	do {                                                                      \
		struct machine *_m = (m);                                         \
		struct iommu_listener *l;                                         \
		guard(mutex)(&listeners_lock);                                    \
		list_for_each_entry(l, &listeners, node) {                        \
			if (l->event && (!l->machine || !_m || l->machine == _m)) \
				l->event(l, ##__VA_ARGS__);                       \
		}                                                                 \
	} while (0)

void iommu_trace_group_added(struct iommu_group *group)
{
	call_listeners(group->core->machine, group_added, group);
}

void iommu_trace_group_removed(struct iommu_group *group)
{
	call_listeners(group->core->machine, group_removed, group);
}

void iommu_trace_group_renamed(struct iommu_group *group)
{
	call_listeners(group->core->machine, group_renamed, group);
}

void iommu_trace_add_device_to_group(struct iommu_group *group, struct device *dev,
				     const char *name)
{
	call_listeners(dev->machine, add_device_to_group, group, dev, name);
}

void iommu_trace_remove_device_from_group(struct iommu_group *group, struct device *dev,
					  const char *name)
{
	call_listeners(dev->machine, remove_device_from_group, group, dev, name);
}

void iommu_trace_iommu_added(struct iommu_device *iommu)
{
	call_listeners(iommu->machine, iommu_added, iommu);
}

void iommu_trace_iommu_removed(struct iommu_device *iommu)
{
	call_listeners(iommu->machine, iommu_removed, iommu);
}

void iommu_trace_device_linked(struct iommu_device *iommu, struct device *dev)
{
	call_listeners(dev->machine, device_linked, iommu, dev);
}

void iommu_trace_device_unlinked(struct iommu_device *iommu, struct device *dev)
{
	call_listeners(dev->machine, device_unlinked, iommu, dev);
}

void iommu_trace_attach_device_to_domain(struct device *dev, struct iommu_domain *domain)
{
	call_listeners(dev->machine, attach_device_to_domain, dev, domain);
}

void iommu_trace_map(struct iommu_domain *domain, iova_t iova, phys_addr_t paddr,
		     u64 size, int prot)
{
	call_listeners(NULL, map, domain, iova, paddr, size, prot);
}

void iommu_trace_unmap(struct iommu_domain *domain, iova_t iova, u64 size, u64 unmapped)
{
	call_listeners(NULL, unmap, domain, iova, size, unmapped);
}

void iommu_trace_io_page_fault(struct device *dev, iova_t iova, int flags)
{
	call_listeners(dev->machine, io_page_fault, dev, iova, flags);
}
