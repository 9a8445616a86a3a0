/* SPDX-License-Identifier: MIT */
/*
 * The IOMMU core's API with the kernel's names and rules: what IOMMU drivers
 * implement (struct iommu_ops, struct iommu_domain_ops) and what front ends
 * (vfio/, iommufd/, dma/) call. Differences from include/linux/iommu.h: there are no
 * gfp arguments; what the kernel keeps in globals belongs to a struct machine; the
 * fwspec hangs off struct device; a domain may map a whole range in one call.
 *
 * Locks, in order: iommu_core.probe_lock, iommu_group.mutex, the driver's own. A
 * driver's callbacks run with group->mutex held where the comment of the callback
 * says so and never call back into functions that take it.
 */
#ifndef MOAT_IOMMU_IOMMU_H
#define MOAT_IOMMU_IOMMU_H

#include "base/err.h"
#include "base/list.h"
#include "base/mutex.h"
#include "base/types.h"
#include "machine/device.h"
#include "pgtable/iommu_pages.h"

#define IOMMU_READ   BIT(0)
#define IOMMU_WRITE  BIT(1)
#define IOMMU_CACHE  BIT(2) /* DMA is cache coherent */
#define IOMMU_NOEXEC BIT(3)
#define IOMMU_MMIO   BIT(4) /* a BAR, the MSI doorbell */
#define IOMMU_PRIV   BIT(5)

#define IOMMU_FAULT_READ  0
#define IOMMU_FAULT_WRITE 1

#define IOMMU_NO_PASID		 0U
#define IOMMU_FIRST_GLOBAL_PASID 1U
#define IOMMU_PASID_INVALID	 (~0U)
typedef u32 ioasid_t;

/* iommu_paging_domain_alloc_flags(); equal to IOMMU_HWPT_ALLOC_* of the iommufd ABI. */
#define IOMMU_ALLOC_NEST_PARENT	   BIT(0)
#define IOMMU_ALLOC_DIRTY_TRACKING BIT(1)
#define IOMMU_ALLOC_FAULT_ID_VALID BIT(2)
#define IOMMU_ALLOC_PASID	   BIT(3)

/* read_and_clear_dirty() */
#define IOMMU_DIRTY_NO_CLEAR BIT(0)

struct iommu_core;
struct iommu_device;
struct iommu_domain;
struct iommu_group;
struct iommu_ops;
struct machine;
struct mm;

struct iommu_domain_geometry {
	iova_t aperture_start;
	iova_t aperture_end; /* inclusive */
	bool force_aperture; /* DMA is only allowed within the aperture */
};

#define __IOMMU_DOMAIN_PAGING	BIT(0)
#define __IOMMU_DOMAIN_DMA_API	BIT(1)
#define __IOMMU_DOMAIN_PT	BIT(2)
#define __IOMMU_DOMAIN_DMA_FQ	BIT(3)
#define __IOMMU_DOMAIN_SVA	BIT(4)
#define __IOMMU_DOMAIN_PLATFORM BIT(5)
#define __IOMMU_DOMAIN_NESTED	BIT(6)

#define IOMMU_DOMAIN_BLOCKED   0U
#define IOMMU_DOMAIN_IDENTITY  __IOMMU_DOMAIN_PT
#define IOMMU_DOMAIN_UNMANAGED __IOMMU_DOMAIN_PAGING
#define IOMMU_DOMAIN_DMA       (__IOMMU_DOMAIN_PAGING | __IOMMU_DOMAIN_DMA_API)
#define IOMMU_DOMAIN_DMA_FQ    (IOMMU_DOMAIN_DMA | __IOMMU_DOMAIN_DMA_FQ)
#define IOMMU_DOMAIN_SVA       __IOMMU_DOMAIN_SVA
#define IOMMU_DOMAIN_PLATFORM  __IOMMU_DOMAIN_PLATFORM
#define IOMMU_DOMAIN_NESTED    __IOMMU_DOMAIN_NESTED

/* Who uses the cookie of a domain; set once by that user. */
enum iommu_domain_cookie_type {
	IOMMU_COOKIE_NONE,
	IOMMU_COOKIE_DMA_IOVA,	    /* dma/ */
	IOMMU_COOKIE_DMA_MSI,	    /* dma/ for vfio's containers */
	IOMMU_COOKIE_FAULT_HANDLER, /* iommu_set_fault_handler() */
	IOMMU_COOKIE_SVA,
	IOMMU_COOKIE_IOMMUFD,
};

typedef int (*iommu_fault_handler_t)(struct iommu_domain *domain, struct device *dev,
				     iova_t iova, int flags, void *token);

struct iopf_group;

/*
 * Embedded first in a driver's domain. The driver sets ops (or leaves it NULL for
 * iommu_ops.default_domain_ops), dirty_ops, pgsize_bitmap and geometry; type, owner
 * are the core's. Contents of the page tables are protected by the caller of
 * iommu_map() and iommu_unmap(): no two calls on overlapping ranges at a time.
 */
struct iommu_domain {
	u32 type; /* IOMMU_DOMAIN_*; DMA becomes DMA_FQ under group->mutex */
	enum iommu_domain_cookie_type cookie_type;
	const struct iommu_domain_ops *ops;
	const struct iommu_dirty_ops *dirty_ops;
	const struct iommu_ops *owner;
	u64 pgsize_bitmap; /* page sizes that can be mapped, a bit each */
	struct iommu_domain_geometry geometry;
	bool dma_initialized; /* group->mutex; the DMA API has taken it into use */
	int (*iopf_handler)(struct iopf_group *group);
	union {
		void *cookie; /* DMA_IOVA, DMA_MSI, IOMMUFD: that user's object */
		struct {
			iommu_fault_handler_t handler;
			void *handler_token;
		};
		struct {
			struct mm *mm;
			int users;
			struct list_head next;
		};
	};
};

static inline bool iommu_is_dma_domain(const struct iommu_domain *domain)
{
	return domain->type & __IOMMU_DOMAIN_DMA_API;
}

enum iommu_cap {
	IOMMU_CAP_CACHE_COHERENCY, /* IOMMU_CACHE is supported */
	IOMMU_CAP_NOEXEC,
	IOMMU_CAP_PRE_BOOT_PROTECTION,
	IOMMU_CAP_ENFORCE_CACHE_COHERENCY, /* per device: no-snoop can be blocked */
	IOMMU_CAP_DEFERRED_FLUSH,
	IOMMU_CAP_DIRTY_TRACKING,
	IOMMU_CAP_PCI_ATS_SUPPORTED,
};

enum iommu_resv_type {
	IOMMU_RESV_DIRECT,	     /* mapped 1:1 at all times (RMRR) */
	IOMMU_RESV_DIRECT_RELAXABLE, /* 1:1 except when given to user space */
	IOMMU_RESV_RESERVED,	     /* never to be mapped */
	IOMMU_RESV_MSI,		     /* the hardware's MSI window, untranslated */
	IOMMU_RESV_SW_MSI,	     /* an MSI window that software maps */
};

struct iommu_resv_region {
	struct list_head list;
	phys_addr_t start;
	u64 length; /* bytes */
	int prot;
	enum iommu_resv_type type;
	/* NULL: kfree() */
	void (*free)(struct device *dev, struct iommu_resv_region *region);
};

/* What unmap has removed and the hardware may still hold. start, end inclusive. */
struct iommu_iotlb_gather {
	iova_t start;
	iova_t end;
	u64 pgsize;
	struct iommu_pages_list freelist;
	bool queued; /* the flush comes later: do not free, do not sync */
};

/* Where a driver records dirty IOVAs. */
struct iommu_dirty_bitmap {
	void (*set)(void *data, iova_t iova, u64 length); /* NULL: only clear */
	void *data;
	struct iommu_iotlb_gather *gather;
};

struct iommu_dirty_ops {
	int (*set_dirty_tracking)(struct iommu_domain *domain, bool enabled);
	int (*read_and_clear_dirty)(struct iommu_domain *domain, iova_t iova, u64 size,
				    u32 flags, struct iommu_dirty_bitmap *dirty);
};

/* A driver-specific struct of the iommufd ABI, already copied from user space. */
struct iommu_user_data {
	u32 type;
	const void *data;
	size_t len;
};
struct iommu_user_data_array {
	u32 type;
	const void *data;
	size_t entry_len;
	u32 entry_num;
};

/**
 * struct iommu_ops - an IOMMU driver's callbacks, one struct for all its instances
 * @capable: NULL: no capability
 * @hw_info: iommufd's GET_HW_INFO; returns memory that the caller frees with kfree()
 * @domain_alloc_identity: for drivers without a static @identity_domain
 * @domain_alloc_paging_flags: flags are IOMMU_ALLOC_*; ERR_PTR(-EOPNOTSUPP) for an
 *	unknown one. Context: group->mutex may be held
 * @domain_alloc_paging: the same without flags; preferred where flags are 0
 * @domain_alloc_sva, @domain_alloc_nested: optional
 * @probe_device: take @dev on; sets dev_iommu_priv_set(). Returns the instance that
 *	translates for it, ERR_PTR(-ENODEV): not mine. Context: probe_lock
 * @release_device: the reverse. Context: group->mutex
 * @probe_finalize: last step of a probe, no lock held
 * @device_group: pci_device_group(), generic_device_group(), ... or the driver's;
 *	returns a group with a reference. Context: probe_lock
 * @get_resv_regions: append the device's regions (iommu_alloc_resv_region())
 * @of_xlate: ids of one `iommus` or `iommu-map` entry (iommu_fwspec_add_ids())
 * @is_attach_deferred: true postpones the attach to the default domain until the first
 *	DMA mapping (kdump with the old kernel's tables still live)
 * @def_domain_type: IOMMU_DOMAIN_IDENTITY or _DMA where the device needs it, 0: any
 * @default_domain_ops: for domains whose ops are not set
 * @identity_domain, @blocked_domain: static domains, always attachable
 * @release_domain: attached when a device leaves
 * @default_domain: the only possible default domain
 */
struct iommu_ops {
	const char *name;
	bool (*capable)(struct device *dev, enum iommu_cap cap);
	void *(*hw_info)(struct device *dev, u32 *length, u32 *type);
	struct iommu_domain *(*domain_alloc_identity)(struct device *dev);
	struct iommu_domain *(*domain_alloc_paging_flags)(
		struct device *dev, u32 flags, const struct iommu_user_data *data);
	struct iommu_domain *(*domain_alloc_paging)(struct device *dev);
	struct iommu_domain *(*domain_alloc_sva)(struct device *dev, struct mm *mm);
	struct iommu_domain *(*domain_alloc_nested)(struct device *dev,
						    struct iommu_domain *parent,
						    u32 flags,
						    const struct iommu_user_data *data);
	struct iommu_device *(*probe_device)(struct device *dev);
	void (*release_device)(struct device *dev);
	void (*probe_finalize)(struct device *dev);
	struct iommu_group *(*device_group)(struct device *dev);
	void (*get_resv_regions)(struct device *dev, struct list_head *list);
	int (*of_xlate)(struct device *dev, const u32 *args, unsigned nr_args);
	bool (*is_attach_deferred)(struct device *dev);
	int (*def_domain_type)(struct device *dev);
	const struct iommu_domain_ops *default_domain_ops;
	struct iommu_domain *identity_domain;
	struct iommu_domain *blocked_domain;
	struct iommu_domain *release_domain;
	struct iommu_domain *default_domain;
	bool user_pasid_table;
};

/**
 * struct iommu_domain_ops - what a domain can do
 * @attach_dev: make @dev's DMA go through the domain; @old is what it went through
 *	until now, NULL: unknown. On failure the device still goes through @old.
 *	-EINVAL: this domain can never work for @dev. Context: group->mutex
 * @set_dev_pasid: the same for one PASID; blocked_domain's removes it.
 * @map_pages: map @pgcount pages of @pgsize; *@mapped grows by the bytes mapped also
 *	when it fails
 * @unmap_pages: returns the bytes unmapped; 0 ends the unmap. May unmap more than asked
 *	for where a larger page covers the range
 * @map_range, @unmap_range: the same for a whole range, with page sizes chosen by the
 *	page-table code; used instead of the above when set
 * @iotlb_sync_map: after map, where the hardware caches absent entries
 * @iotlb_sync: invalidate what @gather says, then free its freelist
 * @iova_to_phys: 0 where nothing is mapped
 * @enforce_cache_coherency: no-snoop is ignored from now on for this domain; false if
 *	that cannot be. Irreversible
 */
struct iommu_domain_ops {
	int (*attach_dev)(struct iommu_domain *domain, struct device *dev,
			  struct iommu_domain *old);
	int (*set_dev_pasid)(struct iommu_domain *domain, struct device *dev,
			     ioasid_t pasid, struct iommu_domain *old);
	int (*map_pages)(struct iommu_domain *domain, iova_t iova, phys_addr_t paddr,
			 u64 pgsize, u64 pgcount, int prot, u64 *mapped);
	u64 (*unmap_pages)(struct iommu_domain *domain, iova_t iova, u64 pgsize,
			   u64 pgcount, struct iommu_iotlb_gather *gather);
	int (*map_range)(struct iommu_domain *domain, iova_t iova, phys_addr_t paddr,
			 u64 size, int prot, u64 *mapped);
	u64 (*unmap_range)(struct iommu_domain *domain, iova_t iova, u64 size,
			   struct iommu_iotlb_gather *gather);
	void (*flush_iotlb_all)(struct iommu_domain *domain);
	int (*iotlb_sync_map)(struct iommu_domain *domain, iova_t iova, u64 size);
	void (*iotlb_sync)(struct iommu_domain *domain,
			   struct iommu_iotlb_gather *gather);
	int (*cache_invalidate_user)(struct iommu_domain *domain,
				     struct iommu_user_data_array *array);
	phys_addr_t (*iova_to_phys)(struct iommu_domain *domain, iova_t iova);
	bool (*enforce_cache_coherency)(struct iommu_domain *domain);
	void (*free)(struct iommu_domain *domain);
};

/* A file of /sys/class/iommu/NAME/ATTR_GROUP/; show() returns the length. */
struct iommu_attribute {
	const char *name;
	int (*show)(struct iommu_device *iommu, char *buf, size_t size);
};

/**
 * struct iommu_device - one IOMMU instance, embedded in the driver's
 * @name: in /sys/class/iommu ("dmar0"); set before iommu_device_register()
 * @attr_group, @attrs: its files ("intel-iommu"); the array ends with a NULL name
 * @fwnode: what a device's fwspec names; NULL: the driver finds its devices itself
 * @max_pasids: PASIDs the hardware supports, 0: none
 */
struct iommu_device {
	struct list_head list; /* iommu_core.devices; iommu_core.lock */
	const struct iommu_ops *ops;
	struct machine *machine;
	const void *fwnode;
	const char *name;
	const char *attr_group;
	const struct iommu_attribute *attrs;
	struct iommu_group
		*singleton_group; /* probe_lock; generic_single_device_group() */
	u32 max_pasids;
	bool ready; /* the replay over existing devices is complete */
};

/* Per device, while an IOMMU has it or a fwspec names one. Fields: group->mutex. */
struct dev_iommu {
	struct iommu_device *iommu_dev;
	void *priv; /* the driver's */
	u32 max_pasids;
	bool attach_deferred;
	bool require_direct; /* firmware wants 1:1 mappings: never blocked */
	bool shadow_on_flush;
	bool dma_iommu;		   /* DMA API calls go through the default domain */
	bool pci_32bit_workaround; /* dma/: addresses below 4 GiB first; atomic */
};

/* Which IOMMU translates for a device, and its ids there; owned by the device. */
struct iommu_fwspec {
	const void *iommu_fwnode;
	u32 flags;
	u32 num_ids;
	u32 ids[];
};

/* A user of an attached domain; iommufd embeds it. */
struct iommu_attach_handle {
	struct iommu_domain *domain;
};

/* --- the core of one machine -------------------------------------------------------- */

/**
 * iommu_core_create - give a machine an IOMMU core; reads the command line.
 *
 * To be called after machine_create() and before the first device_add(). Honours
 * iommu.passthrough=, iommu.strict= and iommu=pt|nopt in the order in which they
 * appear.
 *
 * Return: 0 or -ENOMEM.
 */
int __must_check iommu_core_create(struct machine *m);
void iommu_core_destroy(struct machine *m);

/* iommu=off (arch/x86/kernel/pci-dma.c: no_iommu): an IOMMU driver shall not start. */
bool iommu_disabled(const struct machine *m);
/* What `iommu=` or `iommu.passthrough=` set, or the default. */
bool iommu_default_passthrough(const struct machine *m);
void iommu_set_default_passthrough(struct machine *m, bool cmd_line);
void iommu_set_default_translated(struct machine *m, bool cmd_line);
/* No lazy invalidation: drivers whose IOMMU caches absent entries call it. */
void iommu_set_dma_strict(struct machine *m);

/**
 * iommu_device_register - an IOMMU is ready to take devices.
 * @iommu: name, fwnode and max_pasids set by the caller, zeroed otherwise
 *
 * All devices that are there already are probed, in order of arrival, platform
 * bus first; default domains are made once all members of a group are known.
 *
 * Return: 0 or the first error of a probe other than -ENODEV; then @iommu is not
 * registered.
 */
int __must_check iommu_device_register(struct machine *m, struct iommu_device *iommu,
				       const struct iommu_ops *ops);
void iommu_device_unregister(struct iommu_device *iommu);

/* Called for each registered instance in order; stops at the first non-zero return. */
int iommu_for_each_iommu_device(struct machine *m,
				int (*fn)(struct iommu_device *, void *), void *data);

/**
 * iommu_probe_device - find the IOMMU of @dev and put it in its group.
 *
 * Return: 0 (also when it has a group already), -ENODEV: no IOMMU translates for it,
 * -EPROBE_DEFER: its IOMMU is not there yet, -ENOMEM, or what the driver returned.
 * Source: drivers/iommu/iommu.c.
 */
int iommu_probe_device(struct device *dev);
void iommu_release_device(struct device *dev);

/*
 * The bus's dma_configure and dma_cleanup (device_dma_configure() calls them; see the
 * rule in machine/device.h). Return: 0, -EPROBE_DEFER, -EBUSY while user space
 * owns the group.
 */
int iommu_dma_configure(struct device *dev);
void iommu_dma_cleanup(struct device *dev);

static inline bool dev_has_iommu(const struct device *dev)
{
	return dev->iommu && dev->iommu->iommu_dev;
}

static inline const struct iommu_ops *dev_iommu_ops(const struct device *dev)
{
	return dev->iommu->iommu_dev->ops;
}

static inline void *dev_iommu_priv_get(const struct device *dev)
{
	return dev->iommu ? dev->iommu->priv : NULL;
}

/* In probe_device() only. */
static inline void dev_iommu_priv_set(struct device *dev, void *priv)
{
	dev->iommu->priv = priv;
}

#define iommu_get_iommu_dev(dev, type, member) \
	container_of((dev)->iommu->iommu_dev, type, member)

bool device_iommu_capable(struct device *dev, enum iommu_cap cap);

/* --- firmware's description of who translates for whom (fwspec.c) --------------------
 */

/**
 * iommu_fwspec_init - @dev is behind the IOMMU that @fwnode names.
 *
 * To be called before device_add(); the IOMMU need not be there yet.
 *
 * Return: 0, -EINVAL if it is behind another one already, -ENOMEM.
 */
int __must_check iommu_fwspec_init(struct device *dev, const void *fwnode);
int __must_check iommu_fwspec_add_ids(struct device *dev, const u32 *ids, u32 num_ids);
void iommu_fwspec_free(struct device *dev);

static inline struct iommu_fwspec *dev_iommu_fwspec_get(const struct device *dev)
{
	return dev->fwspec;
}

/* --- groups ---------------------------------------------------------------------------
 */

/*
 * A new group with the smallest free id and one reference, which its first member
 * takes over. Return: ERR_PTR(-ENOMEM).
 */
struct iommu_group *iommu_group_alloc(struct machine *m);
struct iommu_group *iommu_group_get(struct device *dev); /* NULL: no group */
struct iommu_group *iommu_group_ref_get(struct iommu_group *group);
void iommu_group_put(struct iommu_group *group); /* NULL is fine */
int iommu_group_id(const struct iommu_group *group);
int iommu_group_set_name(struct iommu_group *group, const char *name);
/* Copied to @buf, "" if none. Return: whether it has one. */
bool iommu_group_get_name(struct iommu_group *group, char *buf, size_t size);
void *iommu_group_get_iommudata(const struct iommu_group *group);
void iommu_group_set_iommudata(struct iommu_group *group, void *data,
			       void (*release)(void *data));
/* For groups without an IOMMU (noiommu): members are added by hand. */
int __must_check iommu_group_add_device(struct iommu_group *group, struct device *dev);
void iommu_group_remove_device(struct device *dev);
/* group->mutex is held over @fn. Stops at the first non-zero return, which it returns. */
int iommu_group_for_each_dev(struct iommu_group *group, void *data,
			     int (*fn)(struct device *dev, void *data));
/* Groups by ascending id, each held by a reference during @fn; no lock held. */
int iommu_for_each_group(struct machine *m,
			 int (*fn)(struct iommu_group *group, void *data), void *data);
struct iommu_group *iommu_group_get_by_id(struct machine *m, int id);
bool iommu_group_has_isolated_msi(struct iommu_group *group);
struct iommu_domain *iommu_group_default_domain(struct iommu_group *group);

/*
 * A name that depends on the topology alone, not on the order of arrival: the
 * smallest member ("pci:0000:00:05.0"). Return: its length, 0 for an empty group.
 */
size_t iommu_group_stable_name(struct iommu_group *group, char *buf, size_t size);

/* device_group() for drivers: each device its own; one for all of an instance. */
struct iommu_group *generic_device_group(struct device *dev);
struct iommu_group *generic_single_device_group(struct device *dev);
/* By the rules of PCI: aliases, ACS, multi-function slots (iommu/pci_group.c). */
struct iommu_group *pci_device_group(struct device *dev);

/* The files of /sys/kernel/iommu_groups/N; each returns what read or write would. */
ssize_t iommu_group_show_type(struct iommu_group *group, char *buf, size_t size);
ssize_t iommu_group_store_type(struct iommu_group *group, const char *buf, size_t len);
ssize_t iommu_group_show_resv_regions(struct iommu_group *group, char *buf, size_t size);
ssize_t iommu_group_show_name(struct iommu_group *group, char *buf, size_t size);

/* --- domains --------------------------------------------------------------------------
 */

/*
 * An unmanaged paging domain for @dev. Return: ERR_PTR(-ENODEV) without an IOMMU,
 * -EOPNOTSUPP for flags the driver does not know, -ENOMEM.
 */
struct iommu_domain *iommu_paging_domain_alloc_flags(struct device *dev, u32 flags);
static inline struct iommu_domain *iommu_paging_domain_alloc(struct device *dev)
{
	return iommu_paging_domain_alloc_flags(dev, 0);
}
void iommu_domain_free(struct iommu_domain *domain);
/* For domains that a caller had the driver make itself (nested). */
void iommu_domain_init(struct iommu_domain *domain, u32 type,
		       const struct iommu_ops *ops);

/**
 * iommu_attach_group - all members' DMA goes through @domain.
 *
 * On failure every member is where it was.
 *
 * Return: 0; -EBUSY: attached to another domain than default or blocking already;
 * -EINVAL: a domain of another driver, or incompatible with a member; else the driver's.
 */
int __must_check iommu_attach_group(struct iommu_domain *domain,
				    struct iommu_group *group);
void iommu_detach_group(struct iommu_domain *domain, struct iommu_group *group);
/* For groups of one: -EINVAL with more members, -ENODEV without a group. */
int __must_check iommu_attach_device(struct iommu_domain *domain, struct device *dev);
void iommu_detach_device(struct iommu_domain *domain, struct device *dev);

/* iommufd's: -EBUSY when a handle is attached already. */
int __must_check iommu_attach_group_handle(struct iommu_domain *domain,
					   struct iommu_group *group,
					   struct iommu_attach_handle *handle);
void iommu_detach_group_handle(struct iommu_domain *domain, struct iommu_group *group);
int __must_check iommu_replace_group_handle(struct iommu_group *group,
					    struct iommu_domain *new_domain,
					    struct iommu_attach_handle *handle);
/* ERR_PTR(-ENOENT): none; -EBUSY: its domain is not of @type (0: any). */
struct iommu_attach_handle *iommu_attach_handle_get(struct iommu_group *group,
						    ioasid_t pasid, u32 type);

int __must_check iommu_attach_device_pasid(struct iommu_domain *domain,
					   struct device *dev, ioasid_t pasid,
					   struct iommu_attach_handle *handle);
int __must_check iommu_replace_device_pasid(struct iommu_domain *domain,
					    struct device *dev, ioasid_t pasid,
					    struct iommu_attach_handle *handle);
void iommu_detach_device_pasid(struct iommu_domain *domain, struct device *dev,
			       ioasid_t pasid);
ioasid_t iommu_alloc_global_pasid(struct device *dev);
void iommu_free_global_pasid(struct device *dev, ioasid_t pasid);

/* What the device's DMA goes through now; not with group->mutex held. */
struct iommu_domain *iommu_get_domain_for_dev(struct device *dev);
/* The same for a driver in a callback under group->mutex. */
struct iommu_domain *iommu_driver_get_domain_for_dev(struct device *dev);
struct iommu_domain *iommu_get_dma_domain(struct device *dev);
/* The first DMA mapping of a device whose attach was deferred. 0, -EBUSY, the driver's.
 */
int __must_check iommu_deferred_attach(struct device *dev, struct iommu_domain *domain);

/*
 * Around a reset of one device: its DMA is blocked, whatever is attached; attaching
 * anything to the group is -EBUSY meanwhile.
 */
int __must_check iommu_dev_reset_prepare(struct device *dev);
void iommu_dev_reset_done(struct device *dev);

/* --- mapping (map.c) ------------------------------------------------------------------
 */

/**
 * iommu_map - [@iova, @iova + @size) translates to [@paddr, ...).
 * @size: bytes; iova, paddr and size are multiples of the smallest page size
 * @prot: IOMMU_READ, ...
 *
 * Context: the caller keeps others off the range.
 *
 * Return: 0; -EINVAL: misaligned, or not a paging domain; -ENODEV: the domain cannot map;
 * what the driver returned (-ENOMEM, -EADDRINUSE or -EEXIST, -ERANGE); nothing is
 * mapped then.
 */
int __must_check iommu_map(struct iommu_domain *domain, iova_t iova, phys_addr_t paddr,
			   u64 size, int prot);
int __must_check iommu_map_nosync(struct iommu_domain *domain, iova_t iova,
				  phys_addr_t paddr, u64 size, int prot);
int __must_check iommu_sync_map(struct iommu_domain *domain, iova_t iova, u64 size);
/* Return: the bytes unmapped from @iova on; can exceed @size where a large page is hit.
 */
u64 iommu_unmap(struct iommu_domain *domain, iova_t iova, u64 size);
/* Without the IOTLB: the caller ends with iommu_iotlb_sync(). */
u64 iommu_unmap_fast(struct iommu_domain *domain, iova_t iova, u64 size,
		     struct iommu_iotlb_gather *gather);
/* 0 where nothing is mapped. */
phys_addr_t iommu_iova_to_phys(struct iommu_domain *domain, iova_t iova);

void iommu_set_fault_handler(struct iommu_domain *domain, iommu_fault_handler_t handler,
			     void *token);
/* A driver saw a fault. Return: the handler's, -ENOSYS without one. */
int report_iommu_fault(struct iommu_domain *domain, struct device *dev, iova_t iova,
		       int flags);

static inline void iommu_iotlb_gather_init(struct iommu_iotlb_gather *gather)
{
	gather->start = ~0ULL;
	gather->end = 0;
	gather->pgsize = 0;
	gather->queued = false;
	gather->freelist = IOMMU_PAGES_LIST_INIT;
}

static inline void iommu_flush_iotlb_all(struct iommu_domain *domain)
{
	if (domain->ops->flush_iotlb_all)
		domain->ops->flush_iotlb_all(domain);
}

static inline void iommu_iotlb_sync(struct iommu_domain *domain,
				    struct iommu_iotlb_gather *gather)
{
	if (domain->ops->iotlb_sync && likely(gather->start < gather->end))
		domain->ops->iotlb_sync(domain, gather);
	iommu_iotlb_gather_init(gather);
}

static inline bool iommu_iotlb_gather_is_disjoint(const struct iommu_iotlb_gather *gather,
						  iova_t iova, u64 size)
{
	iova_t last = iova + size - 1;

	if (!gather->end)
		return false;
	return last < gather->start - (gather->start != 0) ||
	       iova > gather->end + (gather->end != ~0ULL);
}

static inline void iommu_iotlb_gather_add_range(struct iommu_iotlb_gather *gather,
						iova_t iova, u64 size)
{
	iova_t last = iova + size - 1;

	if (gather->start > iova)
		gather->start = iova;
	if (gather->end < last)
		gather->end = last;
}

/* One page size and one contiguous range at a time: synchronizes what does not fit. */
static inline void iommu_iotlb_gather_add_page(struct iommu_domain *domain,
					       struct iommu_iotlb_gather *gather,
					       iova_t iova, u64 size)
{
	if ((gather->pgsize && gather->pgsize != size) ||
	    iommu_iotlb_gather_is_disjoint(gather, iova, size))
		iommu_iotlb_sync(domain, gather);
	gather->pgsize = size;
	iommu_iotlb_gather_add_range(gather, iova, size);
}

static inline bool iommu_iotlb_gather_queued(const struct iommu_iotlb_gather *gather)
{
	return gather && gather->queued;
}

static inline void iommu_dirty_bitmap_record(struct iommu_dirty_bitmap *dirty,
					     iova_t iova, u64 length)
{
	if (dirty->set)
		dirty->set(dirty->data, iova, length);
	if (dirty->gather)
		iommu_iotlb_gather_add_range(dirty->gather, iova, length);
}

/* --- reserved regions (resv.c) --------------------------------------------------------
 */

struct iommu_resv_region *iommu_alloc_resv_region(phys_addr_t start, u64 length, int prot,
						  enum iommu_resv_type type);
void iommu_get_resv_regions(struct device *dev, struct list_head *list);
void iommu_put_resv_regions(struct device *dev, struct list_head *list);
/*
 * Of all members, merged by type, ascending; each entry is the caller's to kfree()
 * (iommu_put_resv_regions(NULL, list) does it for all), also when it fails.
 * Return: 0 or -ENOMEM.
 */
int __must_check iommu_get_group_resv_regions(struct iommu_group *group,
					      struct list_head *list);
/* "direct", "direct-relaxable", "reserved", "msi" */
const char *iommu_resv_type_name(enum iommu_resv_type type);

/* --- who owns the DMA of a group (owner.c) --------------------------------------------
 */

/*
 * For a driver that does DMA through the kernel's API. Return: 0 (also without a
 * group), -EBUSY while somebody else owns the group, -EPROBE_DEFER while it has no
 * default domain.
 */
int __must_check iommu_device_use_default_domain(struct device *dev);
void iommu_device_unuse_default_domain(struct device *dev);

/**
 * iommu_group_claim_dma_owner - take the DMA of a group for user space.
 * @owner: any pointer that is not NULL, only compared
 *
 * The group is attached to its blocking domain until the owner attaches another.
 *
 * Return: 0; -EPERM: in use by a kernel driver or owned; -EBUSY: some other domain or
 * a PASID is attached; what making or attaching the blocking domain gave.
 */
int __must_check iommu_group_claim_dma_owner(struct iommu_group *group, void *owner);
void iommu_group_release_dma_owner(struct iommu_group *group);
bool iommu_group_dma_owner_claimed(struct iommu_group *group);
/* By device: the same @owner may claim several members. -ENODEV without a group. */
int __must_check iommu_device_claim_dma_owner(struct device *dev, void *owner);
void iommu_device_release_dma_owner(struct device *dev);

/* --- what dma/ does for the core ------------------------------------------------------
 */

/*
 * The DMA API's side of default domains. Without one (dma/ not linked) the domains
 * have no IOVA allocator, and nothing else changes.
 */
struct iommu_dma_hooks {
	int (*get_cookie)(struct iommu_domain *domain);
	void (*put_cookie)(struct iommu_domain *domain);
	int (*init_domain)(struct iommu_domain *domain, struct device *dev);
	int (*init_fq)(struct iommu_domain *domain);
};
void iommu_set_dma_hooks(const struct iommu_dma_hooks *hooks);

#endif
