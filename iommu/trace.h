/* SPDX-License-Identifier: MIT */
/*
 * Tracepoints of the core, for sysfs, the report and tests. With no listener each
 * costs one test of a global. Listeners are called with the locks of the place
 * held (group->mutex for membership and attach): they look and record, and call nothing
 * that takes them.
 */
#ifndef MOAT_IOMMU_TRACE_H
#define MOAT_IOMMU_TRACE_H

#include "base/list.h"
#include "base/types.h"

struct device;
struct iommu_device;
struct iommu_domain;
struct iommu_group;
struct machine;

struct iommu_listener {
	struct machine *machine; /* NULL: of all machines */
	/* A group exists from here to here (its directory in sysfs). */
	void (*group_added)(struct iommu_listener *l, struct iommu_group *group);
	void (*group_removed)(struct iommu_listener *l, struct iommu_group *group);
	/* @name: the link in the group's devices directory, usually dev_name() */
	void (*add_device_to_group)(struct iommu_listener *l, struct iommu_group *group,
				    struct device *dev, const char *name);
	void (*remove_device_from_group)(struct iommu_listener *l,
					 struct iommu_group *group, struct device *dev,
					 const char *name);
	/* The group's `name` file appears, changes or disappears. */
	void (*group_renamed)(struct iommu_listener *l, struct iommu_group *group);
	/* /sys/class/iommu */
	void (*iommu_added)(struct iommu_listener *l, struct iommu_device *iommu);
	void (*iommu_removed)(struct iommu_listener *l, struct iommu_device *iommu);
	void (*device_linked)(struct iommu_listener *l, struct iommu_device *iommu,
			      struct device *dev);
	void (*device_unlinked)(struct iommu_listener *l, struct iommu_device *iommu,
				struct device *dev);
	void (*attach_device_to_domain)(struct iommu_listener *l, struct device *dev,
					struct iommu_domain *domain);
	void (*map)(struct iommu_listener *l, struct iommu_domain *domain, u64 iova,
		    u64 paddr, u64 size, int prot);
	void (*unmap)(struct iommu_listener *l, struct iommu_domain *domain, u64 iova,
		      u64 size, u64 unmapped);
	void (*io_page_fault)(struct iommu_listener *l, struct device *dev, u64 iova,
			      int flags);
	struct list_head node;
};

void iommu_listener_register(struct iommu_listener *l);
/* No call to @l is under way when this returns. Not from within one. */
void iommu_listener_unregister(struct iommu_listener *l);

#endif
