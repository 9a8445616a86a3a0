/* SPDX-License-Identifier: MIT */
/*
 * What the files of the core share: one machine's core, a group, a member.
 *
 * Locks, in order: device.lock (drivers probe under it), probe_lock, group.mutex,
 * core.lock; machine->lock is below all. dev->iommu and a device's membership change
 * under probe_lock and the group's mutex both, so either is enough to read them;
 * the pointer dev->iommu_group is read with dev_group() by whoever knows that the device
 * stays, else with iommu_group_get(). Invariants of a group, while its mutex is not held:
 *
 *   - all members' DMA goes through group->domain, except those whose attach is
 *     deferred (their group->domain is the default domain);
 *   - owner is set: group->domain is not the default domain, owner_cnt counts the
 *     claims; owner is NULL: owner_cnt counts members whose driver uses the DMA API;
 *   - no members: no domains.
 */
#ifndef MOAT_IOMMU_CORE_H
#define MOAT_IOMMU_CORE_H

#include "base/refcount.h"
#include "base/xarray.h"
#include "iommu/iommu.h"
#include "iommu/trace.h"
#include "machine/machine.h"

/* What was set on the command line. */
#define IOMMU_CMD_LINE_DMA_API BIT(0)
#define IOMMU_CMD_LINE_STRICT  BIT(1)

struct iommu_core {
	struct machine *machine;
	struct mutex probe_lock;  /* kernel: iommu_probe_device_lock */
	struct mutex lock;	  /* the rest of this struct; a leaf */
	struct list_head devices; /* iommu_device.list */
	struct xarray groups; /* by id; an entry is NULL until the group is complete */
	struct xarray global_pasids;
	u32 def_domain_type;
	u32 cmd_line; /* IOMMU_CMD_LINE_* */
	bool dma_strict, disabled;
	struct device_notifier nb;
};

struct iommu_group {
	struct iommu_core *core;
	struct refcount ref;
	int id;
	struct mutex mutex;
	/* Protected by mutex: */
	struct list_head devices; /* group_device.list, in order of arrival */
	struct xarray pasid_array;
	char *name;
	void *iommu_data;
	void (*iommu_data_release)(void *iommu_data);
	struct iommu_domain *default_domain;
	struct iommu_domain *blocking_domain;
	struct iommu_domain *resetting_domain; /* a member's reset is under way */
	struct iommu_domain *domain;
	u32 owner_cnt;
	void *owner;
	/* On the list of groups without a default domain; probe_lock. */
	struct list_head entry;
};

struct group_device {
	struct list_head list; /* group.devices */
	struct device *dev;
	char *name; /* the link's */
	bool finalized;
};

#define for_each_group_device(group, pos) \
	list_for_each_entry(pos, &(group)->devices, list)

static inline struct iommu_group *dev_group(const struct device *dev)
{
	return __atomic_load_n(&dev->iommu_group, __ATOMIC_ACQUIRE);
}

static inline void dev_set_group(struct device *dev, struct iommu_group *group)
{
	__atomic_store_n(&dev->iommu_group, group, __ATOMIC_RELEASE);
}

static inline struct device *iommu_group_first_dev(struct iommu_group *group)
{
	lockdep_assert_held(&group->mutex);
	return list_first_entry(&group->devices, struct group_device, list)->dev;
}

/* group.c */
struct group_device *iommu_group_alloc_device(struct iommu_group *group,
					      struct device *dev);
void iommu_group_free_device(struct iommu_group *group, struct group_device *gdev);

/* probe.c */
int iommu_probe_existing(struct iommu_core *core);
void iommu_release_existing(struct iommu_device *iommu);
void iommu_deinit_device(struct device *dev);

/* default.c */
int iommu_setup_default_domain(struct iommu_group *group, int target_type);
int iommu_create_device_direct_mappings(struct iommu_domain *domain, struct device *dev);
void iommu_setup_dma_ops(struct device *dev, struct iommu_domain *domain);
int iommu_dma_get_cookie(struct iommu_domain *domain);
void iommu_dma_put_cookie(struct iommu_domain *domain);

/* domain.c */
struct iommu_domain *iommu_paging_domain_alloc_type(struct device *dev, u32 type,
						    u32 flags);
const char *iommu_domain_type_str(u32 type);

/* attach.c */
#define IOMMU_SET_DOMAIN_MUST_SUCCEED BIT(0)
int iommu_device_set_domain(struct iommu_group *group, struct device *dev,
			    struct iommu_domain *new_domain,
			    struct iommu_domain *old_domain, unsigned flags);
int iommu_group_set_domain(struct iommu_group *group, struct iommu_domain *new_domain,
			   unsigned flags);
int iommu_group_alloc_blocking_domain(struct iommu_group *group);
bool domain_iommu_ops_compatible(const struct iommu_ops *ops,
				 const struct iommu_domain *domain);

/* pasid.c: entries of pasid_array */
void *iommu_pasid_entry(struct iommu_domain *domain, struct iommu_attach_handle *handle);
struct iommu_domain *iommu_pasid_entry_domain(void *entry);
void iommu_remove_dev_pasids(struct iommu_group *group, struct device *dev);
void iommu_restore_dev_pasids(struct iommu_group *group, struct device *dev);

/* trace.c: how many listeners there are */
extern int iommu_tracing;
#define iommu_trace(event, ...)                                                  \
	do {                                                                     \
		if (unlikely(__atomic_load_n(&iommu_tracing, __ATOMIC_RELAXED))) \
			iommu_trace_##event(__VA_ARGS__);                        \
	} while (0)
void iommu_trace_group_added(struct iommu_group *group);
void iommu_trace_group_removed(struct iommu_group *group);
void iommu_trace_group_renamed(struct iommu_group *group);
void iommu_trace_add_device_to_group(struct iommu_group *group, struct device *dev,
				     const char *name);
void iommu_trace_remove_device_from_group(struct iommu_group *group, struct device *dev,
					  const char *name);
void iommu_trace_iommu_added(struct iommu_device *iommu);
void iommu_trace_iommu_removed(struct iommu_device *iommu);
void iommu_trace_device_linked(struct iommu_device *iommu, struct device *dev);
void iommu_trace_device_unlinked(struct iommu_device *iommu, struct device *dev);
void iommu_trace_attach_device_to_domain(struct device *dev, struct iommu_domain *domain);
void iommu_trace_map(struct iommu_domain *domain, iova_t iova, phys_addr_t paddr,
		     u64 size, int prot);
void iommu_trace_unmap(struct iommu_domain *domain, iova_t iova, u64 size, u64 unmapped);
void iommu_trace_io_page_fault(struct device *dev, iova_t iova, int flags);

#endif
