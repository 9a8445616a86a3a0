/* SPDX-License-Identifier: MIT */
/*
 * Devices, drivers and buses of one machine, with the kernel's names and rules:
 * matching, probe and remove, bind and unbind from sysfs, driver_override, deferred
 * probe, references. The bus type is code; a struct bus is one machine's instance.
 */
#ifndef MOAT_MACHINE_DEVICE_H
#define MOAT_MACHINE_DEVICE_H

#include "base/err.h"
#include "base/list.h"
#include "base/mutex.h"
#include "base/refcount.h"
#include "base/types.h"

struct bus;
struct device;
struct device_driver;
struct dev_iommu;
struct iommu_group;
struct iommu_fwspec;
struct machine;

struct bus_type {
	const char *name; /* "pci", "platform" */
	/* Called with dev->lock held, as are probe, remove and the DMA hooks. */
	bool (*match)(struct device *dev, const struct device_driver *drv);
	int (*probe)(struct device *dev);
	void (*remove)(struct device *dev);
	/*
	 * Called before probe and after remove (kernel: really_probe()): finds the
	 * device's IOMMU (-EPROBE_DEFER while it is not there) and, unless the driver
	 * is driver_managed_dma, takes the default domain for the kernel's DMA API
	 * (iommu_device_use_default_domain(), -EBUSY while user space owns the group).
	 */
	int (*dma_configure)(struct device *dev);
	void (*dma_cleanup)(struct device *dev);
};

struct bus {
	const struct bus_type *type;
	struct machine *machine;
	struct list_head
		devices; /* device.bus_node, in order of arrival; machine->lock */
	struct list_head drivers; /* device_driver.bus_node; machine->lock */
	struct list_head node;	  /* machine.buses */
	bool autoprobe;		  /* sysfs drivers_autoprobe */
};

struct device_driver {
	const char *name;
	struct bus *bus;
	struct list_head bus_node;
	struct list_head devices; /* device.driver_node */
	bool driver_managed_dma;  /* pci_driver.driver_managed_dma and its like */
	bool suppress_bind_attrs;
	int (*probe)(struct device *dev); /* used where the bus type has no probe */
	void (*remove)(struct device *dev);
	/*
	 * Optional, called first when the device is to be unbound. 0: go on at once.
	 * -EIOCBQUEUED: user space still holds it; dev->unbinding stays set, and the
	 * driver calls device_release_driver_continue() when it is free.
	 */
	int (*remove_begin)(struct device *dev);
	void *private;
	u64 seq;   /* order of registration; machine->lock, like the next */
	u32 users; /* walkers that stand on it */
};

/* Somebody who waits for an unbind to complete. */
struct device_waiter {
	void (*done)(void *data);
	void *data;
	struct list_head node; /* device.unbind_waiters; device.lock */
	bool queued, allocated;
};

struct device {
	char name[64];	       /* "0000:00:05.0" */
	struct device *parent; /* holds a reference */
	struct bus *bus;       /* NULL: on no bus */
	struct machine *machine;
	struct device_driver *driver; /* protected by lock */
	char *driver_override;	      /* protected by lock */
	void *driver_data;
	struct iommu_group *iommu_group; /* iommu/ */
	struct dev_iommu *iommu;	 /* iommu/ */
	struct iommu_fwspec *fwspec;	 /* set by of/ or acpi/ before device_add */
	void *of_node;
	u64 dma_mask, coherent_dma_mask;
	u64 bus_dma_limit; /* the highest address that its bus passes on; 0: all */
	/* What its DMA engine can take in one segment; zeroes: the defaults. */
	struct {
		u32 max_segment_size, min_align_mask;
		u64 segment_boundary_mask;
	} dma_parms;
	struct dma_iommu_mapping *mapping; /* dma/arm.c */
	u32 max_pasids;	 /* that it can put on its requests; set by the bus, 0: none */
	s32 hw_function; /* index in machine memory, -1: none */
	bool added, dead, untrusted;
	bool unbinding; /* the driver link is gone, remove() waits for user space */
	bool offline_disabled;
	struct mutex lock; /* device_lock: driver and driver_override */
	/* The rest is private to machine/. */
	u64 seq; /* order of arrival; machine->lock, like the flags that follow */
	bool parent_held, can_match, stopping, deleting, del_notified;
	struct list_head unbind_waiters; /* lock */
	struct device_waiter unbind_waiter, del_waiter;
	void (*del_done)(void *data);
	void *del_data;
	struct refcount ref;
	struct list_head bus_node, driver_node, deferred_node;
	struct list_head children, sibling;  /* machine->lock */
	void (*release)(struct device *dev); /* the last reference is gone */
};

/* What happens to devices; sysfs, the IOMMU core and the report listen. */
enum device_event {
	DEVICE_ADDED,	  /* kernel: BUS_NOTIFY_ADD_DEVICE, before it may be probed */
	DEVICE_REMOVED,	  /* BUS_NOTIFY_REMOVED_DEVICE, driver already gone */
	DEVICE_BOUND,	  /* BUS_NOTIFY_BOUND_DRIVER */
	DEVICE_UNBINDING, /* before remove() */
	DEVICE_UNBOUND,	  /* BUS_NOTIFY_UNBOUND_DRIVER */
};
/*
 * Called in the order of registration, with dev->lock held for the three events of a
 * driver and with no lock for the other two.
 */
struct device_notifier {
	void (*notify)(struct device_notifier *nb, enum device_event event,
		       struct device *dev);
	struct list_head node; /* machine.notifiers; machine->lock, like the next two */
	u32 users;
	bool dead;
};

int __must_check bus_register(struct machine *m, const struct bus_type *type,
			      struct bus **out);
void bus_unregister(struct bus *bus);
struct bus *bus_find(struct machine *m, const char *name);
/* Holds a reference on what it returns. */
struct device *bus_find_device_by_name(struct bus *bus, const char *name);
int bus_for_each_dev(struct bus *bus, int (*fn)(struct device *dev, void *data),
		     void *data);

int __must_check driver_register(struct device_driver *drv, struct bus *bus);
void driver_unregister(struct device_driver *drv);
struct device_driver *driver_find(struct bus *bus, const char *name);
/* Probe all devices of the bus that are unbound and match, autoprobe or not (new_id). */
void driver_attach(struct device_driver *drv);

void device_initialize(struct device *dev, struct machine *m,
		       void (*release)(struct device *));
int __must_check device_add(struct device *dev);
void device_del(struct device *dev);
/*
 * For bus_type.dma_configure and dma_cleanup: what the IOMMU core of the machine does
 * there, nothing if there is none (it lies in a later layer).
 */
int device_dma_configure(struct device *dev);
void device_dma_cleanup(struct device *dev);
struct device *get_device(struct device *dev);
void put_device(struct device *dev);

/* device_attach() unless the bus's autoprobe is off: what a new device gets. */
void device_initial_probe(struct device *dev);
/* kernel: device_attach(): 1 bound, 0 no match, -errno (-EPROBE_DEFER: queued). */
int device_attach(struct device *dev);
/*
 * kernel: device_driver_attach(), what sysfs `bind` does after the name lookup.
 * 0; -EBUSY bound already, or its DMA belongs to somebody else; -ENODEV gone; -EAGAIN
 * the driver asks to be probed later; what probe returned.
 */
int device_driver_attach(struct device_driver *drv, struct device *dev);
void device_release_driver(struct device *dev);
/*
 * Unbind, or delete, without waiting: @done(data) runs when it is complete, at once or
 * later (see remove_begin). device_del() and device_release_driver() are for callers
 * that know that no user holds the device; if one does, the work completes when it
 * lets go. A deletion first unbinds all devices below, then deletes them, each level
 * in reverse order of arrival; the references of those who made them stay theirs.
 *
 * device_release_driver_async() returns 0, or -ENOMEM with nothing begun by this call;
 * that can only be if somebody else waits for the same device already.
 */
int device_release_driver_async(struct device *dev, void (*done)(void *data), void *data);
void device_del_async(struct device *dev, void (*done)(void *data), void *data);
void device_release_driver_continue(struct device *dev);
/* Probe again all devices that returned -EPROBE_DEFER. */
void driver_deferred_probe_trigger(struct machine *m);

void device_register_notifier(struct machine *m, struct device_notifier *nb);
void device_unregister_notifier(struct machine *m, struct device_notifier *nb);

/*
 * The sysfs files of the driver model: each returns what write(2) would, errno
 * included (conformance/groups FACTS 13 to 21).
 */
int driver_bind_store(struct device_driver *drv, const char *buf, size_t len);
/*
 * The same, but while another driver is being unbound and waits for user space it
 * waits too: -EIOCBQUEUED, and @done(data, what write(2) returns) follows.
 * driver_bind_store() says -EBUSY then.
 */
int driver_bind_store_async(struct device_driver *drv, const char *buf, size_t len,
			    void (*done)(void *data, int ret), void *data);
/* -EIOCBQUEUED: @done(data) is called when the unbind is complete. */
int driver_unbind_store(struct device_driver *drv, const char *buf, size_t len,
			void (*done)(void *data), void *data);
int drivers_probe_store(struct bus *bus, const char *buf, size_t len);
int drivers_autoprobe_store(struct bus *bus, const char *buf, size_t len);
int driver_override_store(struct device *dev, const char *buf, size_t len);

static inline const char *dev_name(const struct device *dev)
{
	return dev->name;
}

#endif
