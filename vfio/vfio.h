/* SPDX-License-Identifier: MIT */
/*
 * VFIO: containers, groups and devices, with the kernel's names (drivers/vfio/). A
 * struct vfio_device is what a driver (vfio-pci) registers for a device that user space
 * may drive; it is reached through its group (vfio/group.c) or through its own
 * character device (struct vfio_cdev_ops), and knows of neither more than is said
 * here.
 *
 * Lifetimes: a device's registration count is held by each of its open files and by
 * its driver; while it is not zero an unbind waits (driver's remove_begin). The
 * struct itself lives until remove().
 *
 * Context: the thread of the machine's event loop; nothing here locks
 * (docs/locking.md).
 */
#ifndef MOAT_VFIO_VFIO_H
#define MOAT_VFIO_VFIO_H

#include "base/list.h"
#include "base/xarray.h"
#include "machine/device.h"
#include "machine/file.h"
#include "moat/uapi/vfio.h"

struct iommu_group;
struct iommufd_ctx;
struct machine;
struct pci_driver;
struct vfio_container;
struct vfio_device;
struct vfio_group;

/* What the kernel keeps in module parameters; sysfs may change them at any time. */
struct vfio_params {
	bool enable_unsafe_noiommu_mode; /* vfio */
	bool allow_unsafe_interrupts;	 /* vfio_iommu_type1 */
	bool disable_hugepages;
	u32 dma_entry_limit;
	bool nointxmask; /* vfio_pci */
	bool disable_idle_d3;
	bool enable_sriov;
	bool disable_denylist;
	char ids[256]; /* "vendor:device[:...],...": given to new_id when it registers */
};

struct vfio_info_cap {
	void *buf;
	size_t size;
};

struct vfio_device_ops {
	const char *name;
	int (*open_device)(struct vfio_device *vdev);
	void (*close_device)(struct vfio_device *vdev);
	long (*ioctl)(struct vfio_device *vdev, struct call *call, unsigned cmd, u64 arg);
	int (*get_region_info_caps)(struct vfio_device *vdev,
				    struct vfio_region_info *info,
				    struct vfio_info_cap *caps);
	long (*device_feature)(struct vfio_device *vdev, struct call *call, u32 flags,
			       u64 arg, size_t argsz);
	ssize_t (*read)(struct vfio_device *vdev, struct call *call, u64 ubuf, size_t len,
			u64 pos);
	ssize_t (*write)(struct vfio_device *vdev, struct call *call, u64 ubuf,
			 size_t len, u64 pos);
	int (*mmap)(struct vfio_device *vdev, struct mmap_request *req);
	/* The device is wanted back; @count: how often that has been said before. */
	void (*request)(struct vfio_device *vdev, unsigned count);
	/* GET_DEVICE_FD's string: 1 it names this device, 0 not, -errno. */
	int (*match)(struct vfio_device *vdev, const char *buf);
	/* @uuid: 16 bytes, or NULL if none was given. 0 or -errno. */
	int (*match_token_uuid)(struct vfio_device *vdev, const u8 *uuid);
	/* Around an ioctl or an access to a region (runtime power management); may be
	 * NULL. */
	void (*pm_get)(struct vfio_device *vdev);
	void (*pm_put)(struct vfio_device *vdev);
};

/* Devices that are reset together. */
struct vfio_device_set {
	const void *set_id;
	struct list_head device_list; /* vfio_device.dev_set_list */
	struct list_head node;	      /* vfio_core.device_sets */
};

struct vfio_device {
	struct device *dev;
	const struct vfio_device_ops *ops;
	struct vfio_core *core;
	struct vfio_device_set *dev_set;
	struct list_head dev_set_list;
	struct vfio_group *group;
	struct list_head group_next; /* in vfio_group.device_list */
	u32 index;		     /* N of vfioN */
	char name[16];		     /* "vfioN" */
	u32 refcount;		     /* registrations; 0: gone, or not there yet */
	u32 open_count;
	bool cdev_opened;
	bool unregistering;
	unsigned requests; /* how often ->request has been called */
	struct watch *request_watch;
	int request_timer; /* timerfd, -1: none */
	/* iommufd's */
	void *iommufd_device;
	bool iommufd_attached;
	void *iommufd_private;
};

/* An open file of a device; private of vfio_device_fops. */
struct vfio_device_file {
	struct vfio_device *device;
	struct vfio_group *group; /* NULL: through the character device */
	u32 devid;		  /* set by bind_iommufd */
	struct iommufd_ctx *iommufd;
	bool access_granted;
};

extern const struct file_operations vfio_device_fops;

/*
 * What iommufd/ does for VFIO; set once with vfio_set_iommufd_ops(). The kernel's
 * functions of the same names (drivers/vfio/iommufd.c) say what each returns.
 */
struct vfio_iommufd_ops {
	/* A reference; ERR_PTR(-EBADFD) for a file that is no iommufd. */
	struct iommufd_ctx *(*ctx_from_file)(struct file *file);
	void (*ctx_put)(struct iommufd_ctx *ictx);
	int (*compat_ioas_create)(struct iommufd_ctx *ictx);
	int (*compat_set_no_iommu)(struct iommufd_ctx *ictx);
	int (*compat_ioas_get_id)(struct iommufd_ctx *ictx, u32 *ioas_id);
	int (*bind)(struct vfio_device *vdev, struct iommufd_ctx *ictx, u32 *devid);
	void (*unbind)(struct vfio_device *vdev);
	int (*attach_ioas)(struct vfio_device *vdev, u32 *pt_id);
	void (*detach_ioas)(struct vfio_device *vdev);
	struct iommufd_ctx *(*device_ictx)(
		struct vfio_device *vdev); /* NULL: not bound */
	/* The device's id in @ictx; -ENOENT: only its group is; -ENODEV: not even that.
	 */
	int (*get_dev_id)(struct vfio_device *vdev, struct iommufd_ctx *ictx);
};

/*
 * The character device: who implements it is told of devices that come and go, and
 * gets the requests that are only for it. Without one there are no such nodes.
 */
struct vfio_cdev_ops {
	int (*add)(struct vfio_device *vdev); /* make /dev/vfio/devices/vfioN */
	void (*del)(struct vfio_device *vdev);
	/* BIND, before access_granted; ATTACH and DETACH after; -ENOIOCTLCMD: not mine.
	 */
	long (*ioctl)(struct vfio_device_file *df, struct call *call, unsigned cmd,
		      u64 arg);
	/* Last close of a file that was bound (vfio_df_unbind_iommufd()). */
	void (*release)(struct vfio_device_file *df);
};
#define ENOIOCTLCMD 515

/* Who shows devices and groups (sysfs). Called after they came and before they go. */
struct vfio_listener {
	void (*device_added)(struct vfio_listener *l, struct vfio_device *vdev);
	void (*device_removed)(struct vfio_listener *l, struct vfio_device *vdev);
	/* /dev/vfio/NAME with its minor number */
	void (*group_added)(struct vfio_listener *l, struct vfio_group *group);
	void (*group_removed)(struct vfio_listener *l, struct vfio_group *group);
	struct list_head node;
};

struct vfio_core {
	struct machine *machine;
	struct vfio_params params;
	const struct vfio_iommufd_ops *iommufd;
	const struct vfio_cdev_ops *cdev;
	struct list_head groups;      /* vfio_group.vfio_next */
	struct list_head device_sets; /* vfio_device_set.node */
	struct list_head listeners;
	struct list_head sriov_pfs; /* vfio_pci_core_device.sriov_pfs_item */
	struct xarray group_minors;
	struct xarray device_indices;
	struct pci_driver *pci_driver; /* "vfio-pci" */
	u64 container_mappings;	       /* now, of all containers; for tests */
};

/* Linux's numbers; the others are given out at run time there. */
#define VFIO_MISC_MAJOR	 10
#define VFIO_MINOR	 196
#define VFIO_GROUP_MAJOR 253
#define VFIO_CDEV_MAJOR	 252

/**
 * vfio_core_create - VFIO for a machine: /dev/vfio/vfio and, from the machine's command
 * line, the parameters (vfio.*, vfio_iommu_type1.*, vfio_pci.*).
 *
 * Context: after machine_create() and iommu_core_create().
 * Return: 0 or -ENOMEM.
 */
int __must_check vfio_core_create(struct machine *m);
void vfio_core_destroy(struct machine *m);
/* The "vfio-pci" driver; after pci_host_create(). 0, -ENOMEM, -EBUSY. */
int __must_check vfio_pci_init(struct machine *m);
/* Devices are unbound first; no file of theirs is open any more. */
void vfio_pci_exit(struct machine *m);

void vfio_set_iommufd_ops(struct machine *m, const struct vfio_iommufd_ops *ops);
void vfio_set_cdev_ops(struct machine *m, const struct vfio_cdev_ops *ops);
/* Tells of all that is there already. */
void vfio_listener_register(struct machine *m, struct vfio_listener *l);
void vfio_listener_unregister(struct vfio_listener *l);

/* ---- devices (device.c), for drivers ------------------------------------------------
 */

/* 0, -ENOMEM. Afterwards vfio_uninit_device() undoes it. */
int __must_check vfio_init_device(struct vfio_device *vdev, struct device *dev,
				  const struct vfio_device_ops *ops);
void vfio_uninit_device(struct vfio_device *vdev);
int __must_check vfio_assign_device_set(struct vfio_device *vdev, const void *set_id);
/* 0; -EINVAL: no group, or not cache coherent; -ENOMEM. */
int __must_check vfio_register_group_dev(struct vfio_device *vdev);
/*
 * First half of vfio_unregister_group_dev(): no new user from now on, and those that
 * there are, are asked to leave. Return: 0: nobody there; -EIOCBQUEUED:
 * device_release_driver_continue() is called when the last has left.
 */
int vfio_unregister_begin(struct vfio_device *vdev);
/* Second half, with no user left. */
void vfio_unregister_group_dev(struct vfio_device *vdev);
bool vfio_device_try_get_registration(struct vfio_device *vdev);
/* May free @vdev, if its driver is waiting for this. */
void vfio_device_put_registration(struct vfio_device *vdev);
struct vfio_device *vfio_find_device_in_devset(struct vfio_device_set *set,
					       struct device *dev);
unsigned vfio_device_set_open_count(struct vfio_device_set *set);

/* ---- open files (device_file.c), for group and character device
 * ------------------------ */

struct vfio_device_file *vfio_allocate_device_file(struct vfio_device *vdev);
/* First open of the device: takes its IOMMU (container or df->iommufd) and opens it. */
int __must_check vfio_df_open(struct vfio_device_file *df, struct call *call);
void vfio_df_close(struct vfio_device_file *df);
/* NULL if @file is not a device's. */
struct vfio_device *vfio_device_from_file(struct file *file);

/* ---- groups (group.c)
 * ------------------------------------------------------------------- */

/* For the character device: -EBUSY while the group is open; undone by unblock. */
int __must_check vfio_device_block_group(struct vfio_device *vdev);
void vfio_device_unblock_group(struct vfio_device *vdev);
bool vfio_device_is_noiommu(const struct vfio_device *vdev);
bool vfio_file_is_group(struct file *file);
bool vfio_file_has_dev(struct file *file, struct vfio_device *vdev);
const char *vfio_group_name(const struct vfio_group *group); /* "7", "noiommu-0" */
unsigned vfio_group_minor(const struct vfio_group *group);
struct iommu_group *vfio_group_iommu_group(const struct vfio_group *group);

/* ---- capability chains, checks (info.c)
 * ----------------------------------------------------- */

struct vfio_info_cap_header *vfio_info_cap_add(struct vfio_info_cap *caps, size_t size,
					       u16 id, u16 version);
int __must_check vfio_info_add_capability(struct vfio_info_cap *caps,
					  const struct vfio_info_cap_header *cap,
					  size_t size);
/* Offsets count from @offset, where the chain will lie. */
void vfio_info_cap_shift(struct vfio_info_cap *caps, size_t offset);
/* 1: go on; 0: it was only asked whether; -EINVAL. */
int vfio_check_feature(u32 flags, size_t argsz, u32 supported_ops, size_t minsz);
/* @num_irqs: vectors of the index; *@data_size: bytes that follow the header. */
int vfio_set_irqs_validate_and_prepare(const struct vfio_irq_set *hdr, u32 num_irqs,
				       u32 max_irq_type, size_t *data_size);

#define offsetofend(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))

#endif
