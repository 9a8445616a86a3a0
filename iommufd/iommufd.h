/* SPDX-License-Identifier: MIT */
/*
 * iommufd: objects of an open /dev/iommu and the calls that other front ends (vfio/)
 * make.
 *
 * An object has an id and a count of users: 1 for its existence and one for each object
 * or device that needs it; it can be destroyed while the count is 1 (-EBUSY else). It is
 * allocated, which reserves the id, and then finalized, which makes it visible, or
 * aborted. Everything runs on the server's thread.
 */
#ifndef MOAT_IOMMUFD_IOMMUFD_H
#define MOAT_IOMMUFD_IOMMUFD_H

#include "iommufd/io_pagetable.h"
#include "iommu/iommu.h"
#include "machine/file.h"
#include "machine/machine.h"
#include "moat/uapi/iommufd.h"

enum iommufd_object_type {
	IOMMUFD_OBJ_NONE,
	IOMMUFD_OBJ_ANY = IOMMUFD_OBJ_NONE,
	IOMMUFD_OBJ_DEVICE,
	IOMMUFD_OBJ_HWPT_PAGING,
	IOMMUFD_OBJ_HWPT_NESTED,
	IOMMUFD_OBJ_IOAS,
	IOMMUFD_OBJ_FAULT,
	IOMMUFD_OBJ_ACCESS,
	IOMMUFD_OBJ_SELFTEST,
	IOMMUFD_OBJ_VIOMMU,
	IOMMUFD_OBJ_VDEVICE,
	IOMMUFD_OBJ_VEVENTQ,
	IOMMUFD_OBJ_HW_QUEUE,
	IOMMUFD_OBJ_NR_TYPES,
};

struct iommufd_object {
	enum iommufd_object_type type;
	u32 id;
	unsigned int users;
	bool visible;
};

/* One open /dev/iommu. A bound device holds a reference on the file. */
struct iommufd_ctx {
	struct machine *machine;
	struct file *file;
	struct xarray objects; /* struct iommufd_object by id, reserved until finalized */
	struct xarray groups;  /* struct iommufd_group by id of the iommu_group */
	struct iommufd_ioas *vfio_ioas;
	enum iopt_account_mode account_mode;
	bool no_iommu_mode;
};

/* A call of one ioctl, its struct already copied and checked for size. */
struct iommufd_ucmd {
	struct iommufd_ctx *ictx;
	struct call *call;
	u64 ubuffer;
	u32 user_size;
	void *cmd;
};

struct iommufd_ioas {
	struct iommufd_object obj;
	struct iommufd_ctx *ictx;
	struct io_pagetable iopt;
	struct list_head hwpt_list; /* iommufd_hwpt_paging.hwpt_item */
};

struct iommufd_fault;
struct iommufd_vdevice;
struct iommufd_viommu;

struct iommufd_hw_pagetable {
	struct iommufd_object obj;
	struct iommu_domain *domain;
	struct iommufd_fault *fault; /* a user of it */
	bool pasid_compat;
};

struct iommufd_hwpt_paging {
	struct iommufd_hw_pagetable common;
	struct iommufd_ioas *ioas; /* a user of it */
	bool auto_domain; /* made by an attach to an IOAS; goes with its last device */
	bool enforce_cache_coherency, nest_parent;
	struct list_head hwpt_item; /* on ioas->hwpt_list once its domain is filled */
};

struct iommufd_hwpt_nested {
	struct iommufd_hw_pagetable common;
	struct iommufd_hwpt_paging *parent; /* a user of it, unless of viommu */
	struct iommufd_viommu *viommu;	    /* a user of it; may be NULL */
};

/* What one group is attached to, by PASID. */
struct iommufd_attach {
	struct iommufd_hw_pagetable *hwpt;
	struct xarray device_array; /* struct iommufd_device by object id */
};

struct iommufd_group {
	struct refcount ref; /* one for each of its devices */
	struct iommufd_ctx *ictx;
	struct iommu_group *group;
	struct xarray pasid_attach; /* struct iommufd_attach */
	phys_addr_t sw_msi_start;
};

/* A device that was bound to the context. users: 2 while nothing else uses it. */
struct iommufd_device {
	struct iommufd_object obj;
	struct iommufd_ctx *ictx;
	struct iommufd_group *igroup;
	struct device *dev;
	bool enforce_cache_coherency;
	struct iommufd_vdevice *vdev; /* as a vIOMMU knows it; NULL: not */
};

/* What somebody who reaches an IOAS by CPU, not by DMA, is told and asked for. */
struct iommufd_access_ops {
	bool needs_pin_pages; /* mappings must be whole pages */
	/* What is pinned in [iova, iova + length) must be unpinned before it returns. */
	void (*unmap)(void *data, u64 iova, u64 length);
};

/*
 * users: 2 until iommufd_access_destroy(). Holds its IOAS as a user, and the context
 * unless it is internal, an object's of that context. An internal one locks what it pins.
 */
struct iommufd_access {
	struct iommufd_object obj;
	struct iommufd_ctx *ictx;
	struct iommufd_ioas *ioas;
	struct iommufd_ioas *ioas_unpin; /* where unpinning goes while ioas changes */
	const struct iommufd_access_ops *ops;
	void *data;
	u64 iova_alignment;
	u32 access_list_id;
	bool internal; /* ops->unmap is NULL */
};

struct iommufd_attach_handle {
	struct iommu_attach_handle handle;
	struct iommufd_device *idev;
};

/* --- for the machine and other front ends
 * ------------------------------------------------ */

/* Registers /dev/iommu. Return: 0, -ENOMEM. */
int __must_check iommufd_core_create(struct machine *m);
void iommufd_core_destroy(struct machine *m);

/* ERR_PTR(-EBADFD): another file. The caller owns a reference (iommufd_ctx_put()). */
struct iommufd_ctx *iommufd_ctx_from_file(struct file *file);
/* The same by descriptor of the caller: also ERR_PTR(-EBADF) and -ERESTARTNOINTR. */
struct iommufd_ctx *iommufd_ctx_from_fd(struct call *call, int fd);
void iommufd_ctx_get(struct iommufd_ctx *ictx);
void iommufd_ctx_put(struct iommufd_ctx *ictx);
bool iommufd_ctx_has_group(struct iommufd_ctx *ictx, struct iommu_group *group);

/*
 * Bind @dev: claims its group's DMA for the context. Return: ERR_PTR(-EINVAL) without an
 * IOMMU that is cache coherent, -EPERM: group owned by somebody else or interrupts not
 * isolated (module option allow_unsafe_interrupts), -ENODEV: no group, -ENOMEM.
 */
struct iommufd_device *iommufd_device_bind(struct iommufd_ctx *ictx, struct device *dev,
					   u32 *id);
void iommufd_device_unbind(struct iommufd_device *idev);
struct iommufd_ctx *iommufd_device_to_ictx(struct iommufd_device *idev);
u32 iommufd_device_to_id(struct iommufd_device *idev);

/*
 * Attach to an IOAS or an HWPT; *@pt_id becomes the HWPT. replace: from what it is
 * attached to, with no moment between.
 * Return: 0, -ENOENT: no such object, -EINVAL: wrong type or incompatible, -EADDRINUSE:
 * mappings in the device's reserved ranges, -EFAULT, -ENOMEM.
 */
int __must_check iommufd_device_attach(struct iommufd_device *idev, ioasid_t pasid,
				       u32 *pt_id);
int __must_check iommufd_device_replace(struct iommufd_device *idev, ioasid_t pasid,
					u32 *pt_id);
void iommufd_device_detach(struct iommufd_device *idev, ioasid_t pasid);

#define IOMMUFD_ACCESS_RW_WRITE BIT(0)

/*
 * Access to an IOAS for emulated devices (access.c). attach: -EINVAL if it has an IOAS,
 * -ENOENT: no such IOAS, -EADDRINUSE: mappings in it are not whole pages; replace:
 * -ENOENT also if it has none, -EBUSY while its IOAS changes already.
 */
struct iommufd_access *iommufd_access_create(struct iommufd_ctx *ictx,
					     const struct iommufd_access_ops *ops,
					     void *data, u32 *id);
void iommufd_access_destroy(struct iommufd_access *access);
int __must_check iommufd_access_attach(struct iommufd_access *access, u32 ioas_id);
int __must_check iommufd_access_replace(struct iommufd_access *access, u32 ioas_id);
void iommufd_access_detach(struct iommufd_access *access);
/*
 * Pin the pages behind [@iova, @iova + @length): *@out has the physical address of each.
 * -EINVAL: not whole pages, or about to be unmapped; -ENOENT: a hole; -EPERM; -EFAULT;
 * -EOVERFLOW; -ENOMEM. Nothing is pinned then.
 */
int __must_check iommufd_access_pin_pages(struct iommufd_access *access, u64 iova,
					  u64 length, phys_addr_t *out,
					  unsigned int flags);
void iommufd_access_unpin_pages(struct iommufd_access *access, u64 iova, u64 length);
/* Copy between @data and the IOAS; what comes before an error is done. */
int __must_check iommufd_access_rw(struct iommufd_access *access, struct call *call,
				   u64 iova, void *data, u64 length, unsigned int flags);

/* What vfio needs when an iommufd stands in for a container. */
int iommufd_vfio_compat_ioas_get_id(struct iommufd_ctx *ictx, u32 *out_ioas_id);
int iommufd_vfio_compat_ioas_create(struct iommufd_ctx *ictx);
int iommufd_vfio_compat_set_no_iommu(struct iommufd_ctx *ictx);

/* Module parameters of the machine; written through sysfs. */
struct iommufd_core {
	bool allow_unsafe_interrupts;
	struct list_head file_pages; /* iopt_pages.file_node, of files that are mapped */
	struct iommufd_test *test;   /* iommufd/selftest/; NULL: not in this machine */
};

/*
 * Bytes [@start, @start + @len) of the file with inode number @inode are about to vanish:
 * devices go on with copies of what is pinned of it. 0, -ENOMEM, -EFAULT.
 */
int iommufd_file_cut(struct machine *m, u64 inode, u64 start, u64 len);

/* --- inside iommufd/
 * ---------------------------------------------------------------------- */

void *iommufd_object_alloc_size(struct iommufd_ctx *ictx, size_t size,
				enum iommufd_object_type type);
/* @member must be the struct's first. */
#define iommufd_object_alloc(ictx, ptr, type) \
	((__typeof__(ptr))iommufd_object_alloc_size(ictx, sizeof(*(ptr)), type))
void iommufd_object_finalize(struct iommufd_ctx *ictx, struct iommufd_object *obj);
void iommufd_object_abort(struct iommufd_ctx *ictx, struct iommufd_object *obj);
void iommufd_object_abort_and_destroy(struct iommufd_ctx *ictx,
				      struct iommufd_object *obj);
/* Valid until the call returns or something destroys it. ERR_PTR(-ENOENT). */
struct iommufd_object *iommufd_get_object(struct iommufd_ctx *ictx, u32 id,
					  enum iommufd_object_type type);
/* @expect: NULL, or the object, a user count of which the caller gives up. -ENOENT,
 * -EBUSY. */
int iommufd_object_remove(struct iommufd_ctx *ictx, struct iommufd_object *expect,
			  u32 id);
/* Finish an ioctl that made @obj: answer, and have it destroyed if the answer is lost. */
int iommufd_ucmd_respond_new(struct iommufd_ucmd *ucmd, size_t cmd_len,
			     struct iommufd_object *obj);
int __must_check iommufd_ucmd_respond(struct iommufd_ucmd *ucmd, size_t cmd_len);

static inline struct iommufd_ioas *iommufd_get_ioas(struct iommufd_ctx *ictx, u32 id)
{
	struct iommufd_object *obj = iommufd_get_object(ictx, id, IOMMUFD_OBJ_IOAS);

	return IS_ERR(obj) ? ERR_CAST(obj) : container_of(obj, struct iommufd_ioas, obj);
}

static inline struct iommufd_device *iommufd_get_device(struct iommufd_ucmd *ucmd, u32 id)
{
	struct iommufd_object *obj =
		iommufd_get_object(ucmd->ictx, id, IOMMUFD_OBJ_DEVICE);

	return IS_ERR(obj) ? ERR_CAST(obj)
			   : container_of(obj, struct iommufd_device, obj);
}

static inline struct iommufd_hwpt_paging *
iommufd_get_hwpt_paging(struct iommufd_ucmd *ucmd, u32 id)
{
	struct iommufd_object *obj =
		iommufd_get_object(ucmd->ictx, id, IOMMUFD_OBJ_HWPT_PAGING);

	return IS_ERR(obj) ? ERR_CAST(obj)
			   : container_of(obj, struct iommufd_hwpt_paging, common.obj);
}

/* access.c */
void iommufd_access_destroy_object(struct iommufd_object *obj);
void iommufd_access_notify_unmap(struct io_pagetable *iopt, u64 iova, u64 length);

/* ioas.c */
struct iommufd_ioas *iommufd_ioas_alloc(struct iommufd_ctx *ictx);
void iommufd_ioas_destroy(struct iommufd_object *obj);
int iommufd_ioas_alloc_ioctl(struct iommufd_ucmd *ucmd);
int iommufd_ioas_iova_ranges(struct iommufd_ucmd *ucmd);
int iommufd_ioas_allow_iovas(struct iommufd_ucmd *ucmd);
int iommufd_ioas_map(struct iommufd_ucmd *ucmd);
int iommufd_ioas_map_file(struct iommufd_ucmd *ucmd);
int iommufd_ioas_copy(struct iommufd_ucmd *ucmd);
int iommufd_ioas_unmap(struct iommufd_ucmd *ucmd);
int iommufd_ioas_change_process(struct iommufd_ucmd *ucmd);
int iommufd_option(struct iommufd_ucmd *ucmd);

/* hw_pagetable.c */
struct iommufd_hwpt_paging *
iommufd_hwpt_paging_alloc(struct iommufd_ctx *ictx, struct iommufd_ioas *ioas,
			  struct iommufd_device *idev, ioasid_t pasid, u32 flags,
			  bool immediate_attach, const struct iommu_user_data *user_data);
void iommufd_hwpt_paging_destroy(struct iommufd_object *obj);
void iommufd_hwpt_nested_destroy(struct iommufd_object *obj);
int iommufd_hwpt_alloc(struct iommufd_ucmd *ucmd);
int iommufd_hwpt_set_dirty_tracking(struct iommufd_ucmd *ucmd);
int iommufd_hwpt_get_dirty_bitmap(struct iommufd_ucmd *ucmd);
int iommufd_hwpt_invalidate(struct iommufd_ucmd *ucmd);
void iommufd_hw_pagetable_put(struct iommufd_ctx *ictx,
			      struct iommufd_hw_pagetable *hwpt);

/* device.c */
void iommufd_device_destroy(struct iommufd_object *obj);
int iommufd_hw_pagetable_attach(struct iommufd_hw_pagetable *hwpt,
				struct iommufd_device *idev, ioasid_t pasid);
struct iommufd_hw_pagetable *iommufd_hw_pagetable_detach(struct iommufd_device *idev,
							 ioasid_t pasid);
int iommufd_get_hw_info(struct iommufd_ucmd *ucmd);

/* fault.c */
void iommufd_fault_destroy(struct iommufd_object *obj);
int iommufd_fault_alloc(struct iommufd_ucmd *ucmd);
struct iommufd_fault *iommufd_get_fault(struct iommufd_ucmd *ucmd, u32 id);
void iommufd_fault_use(struct iommufd_fault *fault, bool use);
struct iommufd_page_request {
	bool pasid_valid;
	u32 pasid, grpid, perm;
	u64 addr;
};
/*
 * A device asks for a page: the queue of what it is attached to gets it. -ENOENT: nothing
 * with a queue, the request is refused.
 */
int iommufd_fault_report(struct iommufd_device *idev,
			 const struct iommufd_page_request *req);
/* What is queued or unanswered of an attachment is refused, as that ends. */
void iommufd_auto_response_faults(struct iommufd_hw_pagetable *hwpt,
				  struct iommufd_attach_handle *handle);

/* viommu.c */
int iommufd_viommu_alloc(struct iommufd_ucmd *ucmd);
int iommufd_vdevice_alloc(struct iommufd_ucmd *ucmd);
int iommufd_veventq_alloc(struct iommufd_ucmd *ucmd);
int iommufd_hw_queue_alloc(struct iommufd_ucmd *ucmd);
void iommufd_viommu_destroy(struct iommufd_object *obj);
void iommufd_vdevice_destroy(struct iommufd_object *obj);
void iommufd_veventq_destroy(struct iommufd_object *obj);
void iommufd_hw_queue_destroy(struct iommufd_object *obj);

/*
 * What iommufd/selftest/ adds to a machine. Its devices live in a context only, so they
 * do not hold it.
 */
struct iommufd_test {
	struct bus *bus; /* its devices' */
	const struct iommufd_viommu_ops *viommu_ops;
	int (*ioctl)(struct iommufd_ucmd *ucmd);
	void (*destroy_object)(struct iommufd_object *obj);
	void (*free)(struct machine *m);
};
static inline bool iommufd_is_test_device(const struct device *dev)
{
	const struct iommufd_test *test = dev->machine->iommufd->test;

	return test && dev->bus == test->bus;
}

/* vfio_compat.c */
long iommufd_vfio_ioctl(struct iommufd_ctx *ictx, struct call *call, unsigned cmd,
			u64 arg);
int iommufd_vfio_ioas(struct iommufd_ucmd *ucmd);

static inline struct iommufd_hwpt_paging *
find_hwpt_paging(struct iommufd_hw_pagetable *hwpt)
{
	switch (hwpt->obj.type) {
	case IOMMUFD_OBJ_HWPT_PAGING:
		return container_of(hwpt, struct iommufd_hwpt_paging, common);
	case IOMMUFD_OBJ_HWPT_NESTED:
		return container_of(hwpt, struct iommufd_hwpt_nested, common)->parent;
	default:
		return NULL;
	}
}

#endif
