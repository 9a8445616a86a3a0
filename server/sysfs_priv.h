/* SPDX-License-Identifier: MIT */
/*
 * What the files of the tree share. Paths are relative to the root that the server
 * made ("sys/bus/pci/devices"); nothing here locks, the server's thread does it all.
 */
#ifndef MOAT_SERVER_SYSFS_PRIV_H
#define MOAT_SERVER_SYSFS_PRIV_H

#include "base/list.h"
#include "iommu/iommu.h"
#include "iommu/trace.h"
#include "machine/machine.h"
#include "pci/pci.h"
#include "server/sysfs.h"
#include "vfio/vfio.h"

#define SYSFS_PATH_MAX 512
#define SYSFS_HASH     256

struct sysfs_attr;
typedef ssize_t (*sysfs_store_t)(struct sysfs_attr *a, struct call *call, const char *buf,
				 size_t len);

/* A file that can be written, or is read through the server (config). */
struct sysfs_attr {
	struct list_head hash; /* sysfs.attrs */
	u64 ino;
	char *path;
	u32 mode;
	sysfs_store_t store; /* NULL: read-only */
	void *obj;	     /* the store function's */
	struct sysfs *fs;
	unsigned refs;
	bool dead;   /* the file is gone: ENODEV */
	bool config; /* a device's configuration space; obj is the pci_dev */
};

/* What is shown of a function, to see what has changed. */
struct sysfs_pci {
	struct list_head node; /* sysfs.pci */
	struct pci_dev *pdev;
	char path[SYSFS_PATH_MAX];
	int enable_cnt;
	u8 power, irq;
	bool msi, slot, powered;
	u8 config[HW_CONFIG_SIZE]; /* physical, as last shown */
};

struct sysfs_iommu {
	struct list_head node; /* sysfs.iommus */
	struct iommu_device *iommu;
	char path[SYSFS_PATH_MAX];
	char *shown[16]; /* of its attributes, in order */
};

/* A content that more files than one have. */
struct sysfs_same {
	char *text, *path;
};

struct sysfs {
	struct machine *m;
	bool unmasked; /* umask is 0 for a while */
	int root;      /* descriptor of the directory */
	struct list_head attrs[SYSFS_HASH];
	struct sysfs_same same[512]; /* by hash of the text; only to save work */
	struct list_head pci;	     /* sysfs_pci.node */
	struct list_head iommus;     /* sysfs_iommu.node */
	struct device_notifier devices;
	struct iommu_listener groups;
	struct vfio_listener vfio;
	bool listening;
	bool groups_changed; /* show type and regions of all groups again */
};

/* sysfs.c: the tree. All tolerate what is there already, or gone; failures are logged. */
void sysfs_mkdir(struct sysfs *fs, const char *path);
void sysfs_put(struct sysfs *fs, const char *path, u32 mode, const void *data,
	       size_t len);
void sysfs_puts(struct sysfs *fs, const char *path, u32 mode, const char *text);
void sysfs_printf(struct sysfs *fs, const char *dir, const char *name, u32 mode,
		  const char *fmt, ...) __printf(5, 6);
/* A read-only file that never changes. */
void sysfs_const(struct sysfs *fs, const char *dir, const char *name, const char *fmt,
		 ...) __printf(4, 5);
/* Replaces contents; the file is made if need be. */
void sysfs_update(struct sysfs *fs, const char *path, u32 mode, const char *text);
/* A file with a store function. */
struct sysfs_attr *sysfs_attr(struct sysfs *fs, const char *dir, const char *name,
			      u32 mode, const char *text, sysfs_store_t store, void *obj);
/* A link at @path to @target, both in the tree; written relative. */
void sysfs_link(struct sysfs *fs, const char *path, const char *target);
/* A file, a link or a whole directory. */
void sysfs_remove(struct sysfs *fs, const char *path);
void sysfs_join(char *out, const char *dir, const char *name);
/* "sys/devices/pci0000:00/0000:00:05.0" */
void sysfs_device_path(const struct device *dev, char *out);

/* sysfs_file.c */
void sysfs_attr_put(struct sysfs_attr *a);
/*
 * A write that may be answered later: begin, hand sysfs_async_done() and what begin
 * gave to a function that may return -EIOCBQUEUED, end with what that returned.
 */
struct sysfs_async;
struct sysfs_async *sysfs_async_begin(struct call *call, size_t len);
void sysfs_async_done(void *async);
ssize_t sysfs_async_end(struct sysfs_async *async, ssize_t ret);

/* sysfs_bus.c: /sys/bus/pci and the driver links of its devices */
void sysfs_bus_create(struct sysfs *fs);
void sysfs_bound(struct sysfs *fs, struct device *dev);
void sysfs_unbound(struct sysfs *fs, struct device *dev);
/* sysfs_pci.c: a function's directory */
void sysfs_pci_add(struct sysfs *fs, struct pci_dev *pdev);
void sysfs_pci_remove(struct sysfs *fs, struct pci_dev *pdev);
void sysfs_pci_uevent(struct sysfs *fs, struct pci_dev *pdev);
void sysfs_pci_refresh(struct sysfs *fs);
/* sysfs_iommu.c: groups and /sys/class/iommu */
void sysfs_iommu_create(struct sysfs *fs);
void sysfs_iommu_destroy(struct sysfs *fs);
void sysfs_iommu_refresh(struct sysfs *fs);
/* sysfs_vfio.c: /sys/class/vfio, vfio-dev, /dev; sysfs_module.c: parameters */
void sysfs_nodes_create(struct sysfs *fs);
void sysfs_nodes_destroy(struct sysfs *fs);
void sysfs_vfio_create(struct sysfs *fs);
void sysfs_vfio_destroy(struct sysfs *fs);
void sysfs_modules_create(struct sysfs *fs);

#endif
