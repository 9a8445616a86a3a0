/* SPDX-License-Identifier: MIT */
/*
 * PCI as the machine's kernel sees it: buses, devices, drivers, and what may be
 * done with a device. Names and rules are the kernel's (include/linux/pci.h,
 * drivers/pci/). The hardware that answers configuration accesses is
 * pci/function.h; a dump read back (pci/dump.h) answers them just as well, so
 * everything here works without a machine's memory too.
 *
 * Locks: pci_host.rescan_lock is held while the tree changes (scan, remove);
 * pci_host.lock protects the lists and is never held over a callback. Fields of a
 * device that say "lock" are protected by its device lock.
 */
#ifndef MOAT_PCI_PCI_H
#define MOAT_PCI_PCI_H

#include "base/list.h"
#include "base/mutex.h"
#include "base/types.h"
#include "machine/device.h"
#include "pci/regs.h"

struct machine;
struct pci_bus;
struct pci_dev;
struct pci_driver;
struct pci_function;
struct pci_host;
struct pci_saved_state;

#define PCI_DEVFN(slot, func) ((((slot)&0x1f) << 3) | ((func)&0x07))
#define PCI_SLOT(devfn)	      (((devfn) >> 3) & 0x1f)
#define PCI_FUNC(devfn)	      ((devfn)&0x07)
#define PCI_DEVID(bus, devfn) ((u16)((u16)(bus) << 8 | (devfn)))
#define PCI_ANY_ID	      (~0U)

/* Resources by index, as the `resource` file prints them. */
#define PCI_ROM_RESOURCE     6
#define PCI_IOV_RESOURCES    7
#define PCI_BRIDGE_RESOURCES 13 /* I/O, memory, prefetchable memory */
#define PCI_NUM_RESOURCES    17

#define IORESOURCE_IO	      0x00000100ULL
#define IORESOURCE_MEM	      0x00000200ULL
#define IORESOURCE_PREFETCH   0x00002000ULL
#define IORESOURCE_READONLY   0x00004000ULL
#define IORESOURCE_SIZEALIGN  0x00040000ULL
#define IORESOURCE_MEM_64     0x00100000ULL
#define IORESOURCE_WINDOW     0x00200000ULL
#define IORESOURCE_ROM_ENABLE 0x1ULL
#define IORESOURCE_DISABLED   0x10000000ULL
#define IORESOURCE_UNSET      0x20000000ULL

struct pci_resource {
	u64 start, last; /* inclusive; both 0: none */
	u64 flags;	 /* IORESOURCE_*, and the low bits of the BAR; 0: none */
};

/* pci_dev.dev_flags: quirks that the kernel records in a device. */
#define PCI_DEV_FLAGS_PCI_BRIDGE_NO_ALIAS BIT(0)
#define PCI_DEV_FLAGS_BRIDGE_XLATE_ROOT	  BIT(1)
#define PCI_DEV_FLAG_PCIE_BRIDGE_ALIAS	  BIT(2)
#define PCI_DEV_FLAGS_NO_BUS_RESET	  BIT(3)
#define PCI_DEV_FLAGS_NO_FLR_RESET	  BIT(4)
#define PCI_DEV_FLAGS_NO_PM_RESET	  BIT(5)
#define PCI_DEV_FLAGS_ACS_ENABLED_QUIRK	  BIT(6)

enum pci_reset_method {
	PCI_RESET_NONE = 0,
	PCI_RESET_DEVICE_SPECIFIC,
	PCI_RESET_ACPI,
	PCI_RESET_FLR,
	PCI_RESET_AF_FLR,
	PCI_RESET_PM,
	PCI_RESET_BUS,
	PCI_RESET_CXL_BUS,
	PCI_NUM_RESET_METHODS,
};

/* A removal under way, kept in the topmost device that goes (pci/remove.c). */
struct pci_removal {
	struct list_head
		devs; /* pci_dev.remove_node, in the order in which drivers let go */
	struct pci_dev *next;	    /* the one that is asked now; NULL: all have let go */
	bool stepping, again;	    /* a step that completes at once must not recurse */
	bool asked;		    /* under way or waiting */
	struct list_head wait_node; /* pci_host.removals */
	void (*done)(void *data);
	void *data;
};

struct pci_dev {
	struct device dev; /* name "DDDD:BB:DD.F"; dev.hw_function is its hardware */
	struct list_head bus_list; /* pci_bus.devices, in the order found; host->lock */
	struct list_head
		host_node; /* pci_host.devices, in order of arrival; host->lock */
	struct pci_host *host;
	struct pci_bus *bus;	     /* the bus it is on; holds a reference */
	struct pci_bus *subordinate; /* the bus behind it (bridges) */
	u8 devfn;
	u16 vendor, device;
	u16 subsystem_vendor, subsystem_device;
	u32 class; /* 24 bits: base, sub, interface */
	u8 revision;
	u8 hdr_type;  /* without the multi-function bit */
	u8 pin;	      /* INTx: 0 none, 1 to 4 */
	u8 irq;	      /* PCI_INTERRUPT_LINE */
	u16 cfg_size; /* 256 or 4096 */
	/* Offsets of capabilities; 0: not there. */
	u8 pcie_cap, pm_cap, msi_cap, msix_cap, af_cap;
	u16 acs_cap, ari_cap, sriov_cap, ats_cap, pri_cap, pasid_cap;
	u16 pcie_flags_reg;
	u16 acs_capabilities, acs_firmware; /* ACS control as found */
	u32 dev_flags;
	bool multifunction, is_virtfn, is_physfn, untrusted, external_facing;
	bool is_hotplug_bridge, no_msi, broken_intx_masking, match_driver;
	bool msi_enabled, msix_enabled, is_busmaster, state_saved, added, removing;
	bool no_d3cold, has_dma_alias;
	u8 ari_enabled;
	u32 dma_alias_mask[8]; /* by devfn, of the same bus; see has_dma_alias */
	struct pci_dev *physfn;
	struct pci_dev *dma_alias_dev;		 /* pci_real_dma_dev(); NULL: itself */
	u8 reset_methods[PCI_NUM_RESET_METHODS]; /* in the order tried, ended by 0; lock
						  */
	u8 current_state;			 /* 0 to 3: D0 to D3hot */
	int enable_cnt;
	struct pci_resource resource[PCI_NUM_RESOURCES];
	u8 *saved_config; /* pci_save_state(); HW_CONFIG_SIZE bytes */
	struct list_head remove_node;
	struct pci_removal removal;
	struct pci_msi_state
		*msi; /* what is programmed; NULL: neither MSI nor MSI-X is on */
	struct pci_driver *driver;
	void *sysfs; /* the server's */
};

#define to_pci_dev(d) container_of(d, struct pci_dev, dev)

/* Who answers configuration accesses below a host bridge. size: 1, 2 or 4. */
struct pci_ops {
	u32 (*read)(struct pci_host *host, u16 segment, u8 bus, u8 devfn, u16 where,
		    u8 size);
	void (*write)(struct pci_host *host, u16 segment, u8 bus, u8 devfn, u16 where,
		      u32 val, u8 size);
};

struct pci_bus {
	struct pci_host *host;
	struct pci_bus *parent;	   /* NULL: a root bus */
	struct pci_dev *self;	   /* the bridge that leads here; NULL: root or virtual */
	struct list_head node;	   /* parent's children or host->root_buses; host->lock */
	struct list_head children; /* host->lock */
	struct list_head devices;  /* pci_dev.bus_list; host->lock */
	u16 domain;		   /* segment */
	u8 number, busn_last;
	struct refcount ref;
	struct device *bridge; /* root bus: "pciDDDD:BB", the parent of its devices */
};

/* What iommu/ does for the bus (it lies below pci/); set by whoever builds the machine.
 */
struct pci_iommu_hooks {
	int (*dma_configure)(struct device *dev); /* iommu_dma_configure() */
	void (*dma_cleanup)(struct device *dev);  /* iommu_dma_cleanup() */
};

struct pci_hardware;

struct pci_host {
	struct machine *machine; /* NULL: a dump */
	struct bus *bus;	 /* machine's "pci" bus; NULL: a dump */
	const struct pci_ops *ops;
	const struct pci_iommu_hooks *iommu;
	struct mutex rescan_lock; /* kernel: pci_rescan_remove_lock */
	struct mutex lock;
	struct list_head root_buses; /* pci_bus.node, by (domain, number) */
	struct list_head devices;    /* pci_dev.host_node */
	struct list_head removals;   /* waiting for the one under way; lock */
	bool removal_active;
	struct pci_hardware *hardware; /* pci/function.h; NULL: a dump */
	void *ops_data;
	struct builtin_drivers *builtin;
	bool drivers_started; /* pci_bus_add_devices() has run: new devices are bound at
				 once */
	bool acs_requested;   /* pci_request_acs() */
	bool amd_iommu;	      /* firmware describes AMD IOMMUs (an IVRS table) */
	const char *disable_acs_redir, *config_acs; /* pci=...; NULL: not given */
};

/* ---- bus and devices (pci/probe.c, pci/search.c, pci/remove.c) ---- */

extern const struct bus_type pci_bus_type;

static inline bool dev_is_pci(const struct device *dev)
{
	return dev->bus && dev->bus->type == &pci_bus_type;
}

static inline u16 pci_dev_id(const struct pci_dev *pdev)
{
	return PCI_DEVID(pdev->bus->number, pdev->devfn);
}

static inline bool pci_is_root_bus(const struct pci_bus *bus)
{
	return !bus->parent;
}

static inline bool pci_is_bridge(const struct pci_dev *pdev)
{
	return pdev->hdr_type == PCI_HEADER_TYPE_BRIDGE ||
	       pdev->hdr_type == PCI_HEADER_TYPE_CARDBUS;
}

static inline bool pci_is_pcie(const struct pci_dev *pdev)
{
	return pdev->pcie_cap != 0;
}

static inline int pci_pcie_type(const struct pci_dev *pdev)
{
	return (pdev->pcie_flags_reg & PCI_EXP_FLAGS_TYPE) >> 4;
}

static inline struct pci_dev *pci_upstream_bridge(const struct pci_dev *pdev)
{
	return pci_is_root_bus(pdev->bus) ? NULL : pdev->bus->self;
}

static inline struct pci_dev *pci_physfn(struct pci_dev *pdev)
{
	return pdev->is_virtfn ? pdev->physfn : pdev;
}

static inline const char *pci_name(const struct pci_dev *pdev)
{
	return pdev->dev.name;
}

/* All hold a reference on what they return (put_device(&pdev->dev)), or return NULL. */
struct pci_dev *pci_get_domain_bus_and_slot(struct pci_host *host, u16 domain, u8 bus,
					    u8 devfn);
struct pci_dev *pci_get_slot(struct pci_bus *bus, u8 devfn);
struct pci_bus *pci_find_bus(struct pci_host *host, u16 domain, u8 number);
/*
 * All devices in order of arrival: pass NULL first, then what it returned (that
 * reference is dropped). Leaving the loop early leaves a reference to drop.
 */
struct pci_dev *pci_next_dev(struct pci_host *host, struct pci_dev *from);
#define for_each_pci_dev(host, pdev) \
	for (pdev = pci_next_dev(host, NULL); pdev; pdev = pci_next_dev(host, pdev))
/* Devices below @top (and on it), parents first; stops at a non-zero return. */
int pci_walk_bus(struct pci_bus *top, int (*fn)(struct pci_dev *pdev, void *data),
		 void *data);

/**
 * pci_rescan - look for devices that are not known yet and add them.
 *
 * Store functions behind the sysfs files `rescan` (bus: NULL for all root buses) and
 * `remove`: what write(2) returns. pci_remove_store() may return -EIOCBQUEUED: then
 * @done(data) runs when the device is gone (a user holds it until then).
 */
void pci_rescan(struct pci_host *host, struct pci_bus *bus);
int pci_rescan_store(struct pci_host *host, struct pci_bus *bus, const char *buf,
		     size_t len);
int pci_dev_rescan_store(struct pci_dev *pdev, const char *buf, size_t len);
int pci_remove_store(struct pci_dev *pdev, const char *buf, size_t len,
		     void (*done)(void *data), void *data);
void pci_stop_and_remove_bus_device(struct pci_dev *pdev);

/*
 * Hot-plug slots (pci/hotplug.c), sysfs /sys/bus/pci/slots/N/: N is the physical slot
 * number of a hot-pluggable port, 0 for other devices. pci_find_slot() holds a reference.
 * Storing 0 in `power` takes the devices off and the card out, perhaps later
 * (-EIOCBQUEUED, then @done(data)); -ENODEV for 1 without a card.
 */
unsigned pci_slot_number(const struct pci_dev *port);
struct pci_dev *pci_find_slot(struct pci_host *host, unsigned number);
bool pci_slot_powered(struct pci_dev *port);
int pci_slot_power_store(struct pci_dev *port, const char *buf, size_t len,
			 void (*done)(void *data), void *data);

/* ---- configuration space (pci/access.c) ---- */

/* Return: 0; -EINVAL (PCIBIOS_BAD_REGISTER_NUMBER) unless naturally aligned and inside.
 */
int pci_read_config_byte(const struct pci_dev *pdev, int where, u8 *val);
int pci_read_config_word(const struct pci_dev *pdev, int where, u16 *val);
int pci_read_config_dword(const struct pci_dev *pdev, int where, u32 *val);
int pci_write_config_byte(const struct pci_dev *pdev, int where, u8 val);
int pci_write_config_word(const struct pci_dev *pdev, int where, u16 val);
int pci_write_config_dword(const struct pci_dev *pdev, int where, u32 val);
/* sysfs `config`: any alignment, cut at cfg_size. Return: bytes. */
size_t pci_read_config(const struct pci_dev *pdev, u32 off, void *buf, size_t len);
size_t pci_write_config(const struct pci_dev *pdev, u32 off, const void *buf, size_t len);

u8 pci_find_capability(const struct pci_dev *pdev, u8 cap);
u8 pci_find_next_capability(const struct pci_dev *pdev, u8 pos, u8 cap);
u16 pci_find_ext_capability(const struct pci_dev *pdev, u16 cap);
u16 pci_find_next_ext_capability(const struct pci_dev *pdev, u16 pos, u16 cap);
/* Registers of the PCI Express capability: 0 where the device does not have them. */
int pcie_capability_read_word(const struct pci_dev *pdev, int pos, u16 *val);
int pcie_capability_read_dword(const struct pci_dev *pdev, int pos, u32 *val);
int pcie_capability_clear_and_set_word(const struct pci_dev *pdev, int pos, u16 clear,
				       u16 set);

static inline u64 pci_resource_start(const struct pci_dev *pdev, unsigned bar)
{
	return pdev->resource[bar].start;
}

static inline u64 pci_resource_flags(const struct pci_dev *pdev, unsigned bar)
{
	return pdev->resource[bar].flags;
}

static inline u64 pci_resource_len(const struct pci_dev *pdev, unsigned bar)
{
	const struct pci_resource *r = &pdev->resource[bar];

	return r->flags && (r->last || r->start) ? r->last - r->start + 1 : 0;
}

/* ---- what a driver does with its device (pci/device.c, pci/state.c) ---- */

int __must_check pci_enable_device(struct pci_dev *pdev);
void pci_disable_device(struct pci_dev *pdev);
static inline bool pci_is_enabled(const struct pci_dev *pdev)
{
	return pdev->enable_cnt > 0;
}
void pci_set_master(struct pci_dev *pdev);
void pci_clear_master(struct pci_dev *pdev);
void pci_intx(struct pci_dev *pdev, bool enable);
bool pci_intx_mask_supported(struct pci_dev *pdev);
/* True: it was this device's interrupt (INTx pending) and is masked now. */
bool pci_check_and_mask_intx(struct pci_dev *pdev);
/* True: unmasked; false: still asserted, left masked. */
bool pci_check_and_unmask_intx(struct pci_dev *pdev);
int pci_set_power_state(struct pci_dev *pdev, int state);

int pci_save_state(struct pci_dev *pdev);
void pci_restore_state(struct pci_dev *pdev);
struct pci_saved_state *
pci_store_saved_state(struct pci_dev *pdev); /* NULL: nothing saved */
int pci_load_saved_state(struct pci_dev *pdev, const struct pci_saved_state *state);
int pci_load_and_free_saved_state(struct pci_dev *pdev, struct pci_saved_state **state);
void pci_free_saved_state(struct pci_saved_state *state);

/* ---- message interrupts (pci/msi.c) ---- */

struct msix_entry {
	u32 irq;   /* of irq_alloc() */
	u16 entry; /* in the table */
};

/* How many vectors the capability offers; 0: no such capability. */
unsigned pci_msi_vec_count(struct pci_dev *pdev);
unsigned pci_msix_vec_count(struct pci_dev *pdev);

/**
 * pci_msi_enable - program the MSI capability and switch it on (INTx off).
 * @nvec: 1 to pci_msi_vec_count(), rounded up to a power of two in the register
 * @irqs: one of irq_alloc() for each vector
 *
 * More than one vector needs messages that differ in the low data bits only.
 *
 * Context: device lock held or the driver's own exclusion.
 * Return: 0; -EINVAL no capability, already enabled, or too many; -ENOSPC the
 * messages of @irqs do not fit one another (ask again with 1); what
 * irq_msi_message() gave.
 */
int __must_check pci_msi_enable(struct pci_dev *pdev, unsigned nvec, const u32 *irqs);
void pci_msi_disable(struct pci_dev *pdev);
/* All entries not named (all, with @nvec 0) stay masked. pci_msix_set/clear change one
 * entry while enabled. */
int __must_check pci_msix_enable(struct pci_dev *pdev, const struct msix_entry *entries,
				 unsigned nvec);
int __must_check pci_msix_set(struct pci_dev *pdev, u16 entry, u32 irq);
void pci_msix_clear(struct pci_dev *pdev, u16 entry);
void pci_msix_disable(struct pci_dev *pdev);
/* Write the messages again (after user space or a reset overwrote them). */
void pci_restore_msi_state(struct pci_dev *pdev);

/* ---- resets (pci/reset.c) ---- */

bool pci_reset_supported(const struct pci_dev *pdev);
/* Takes the device lock, saves and restores state. -ENOTTY: no method works. */
int pci_reset_function(struct pci_dev *pdev);
int pci_try_reset_function(struct pci_dev *pdev); /* -EAGAIN if locked */
/* The device lock is held; the caller saves and restores state. */
int __pci_reset_function_locked(struct pci_dev *pdev);
int pcie_flr(struct pci_dev *pdev);
/* 0: a slot (bus) reset is possible; -ENOTTY: it is not. */
int pci_probe_reset_slot(struct pci_dev *pdev);
int pci_probe_reset_bus(struct pci_bus *bus);
/* Secondary bus reset of all that is on the device's bus, state saved and restored. */
int pci_reset_bus(struct pci_dev *pdev);
/* sysfs `reset_method` ("flr bus\n", "" without any), `reset`. */
size_t pci_reset_method_show(struct pci_dev *pdev, char *buf, size_t size);
int pci_reset_method_store(struct pci_dev *pdev, const char *buf, size_t len);
int pci_reset_store(struct pci_dev *pdev, const char *buf, size_t len);

/* ---- aliases and isolation (pci/search.c, pci/acs.c, pci/quirks.c) ---- */

/*
 * Calls @fn for the device and for each requester id that its DMA may carry on the
 * way up, with the device that stands for it; stops at a non-zero return.
 * Source: drivers/pci/search.c.
 */
int pci_for_each_dma_alias(struct pci_dev *pdev,
			   int (*fn)(struct pci_dev *pdev, u16 alias, void *data),
			   void *data);
bool pci_devs_are_dma_aliases(struct pci_dev *a, struct pci_dev *b);
void pci_add_dma_alias(struct pci_dev *pdev, u8 devfn_from, unsigned nr_devfns);
/* The requester id that an IOMMU at the root sees: the last alias. */
u16 pci_requester_id(struct pci_dev *pdev);
/* What protects a device from its peers: drivers/pci/pci.c, quirks by table. */
bool pci_acs_enabled(struct pci_dev *pdev, u16 acs_flags);
/*
 * Whoever starts IOMMUs asks for ACS first: it is switched on in all devices there
 * are and will be, as pci=disable_acs_redir= and pci=config_acs= modify it. false
 * takes that back (no IOMMU started after all).
 */
void pci_request_acs(struct pci_host *host, bool on);
bool pci_acs_path_enabled(struct pci_dev *start, struct pci_dev *end, u16 acs_flags);

/* ---- drivers (pci/driver.c, pci/dynid.c) ---- */

struct pci_device_id {
	u32 vendor, device; /* PCI_ANY_ID: any */
	u32 subvendor, subdevice;
	u32 class, class_mask;
	u64 driver_data;
	u32 override_only; /* matches only through driver_override */
};
#define PCI_ID_DRIVER_OVERRIDE_ONLY \
	1 /* PCI_ID_F_VFIO_DRIVER_OVERRIDE without the bus flag */

struct pci_driver {
	struct device_driver
		driver; /* name, driver_managed_dma, remove_begin: set by the owner */
	const struct pci_device_id
		*id_table; /* ended by an all-zero entry; may be NULL */
	int (*probe)(struct pci_dev *pdev, const struct pci_device_id *id);
	void (*remove)(struct pci_dev *pdev);
	void (*reset_prepare)(struct pci_dev *pdev); /* may be NULL, like the next */
	void (*reset_done)(struct pci_dev *pdev);
	struct mutex dynids_lock;
	struct list_head dynids;
};

#define to_pci_driver(d) container_of(d, struct pci_driver, driver)

static inline void *pci_get_drvdata(struct pci_dev *pdev)
{
	return pdev->dev.driver_data;
}

static inline void pci_set_drvdata(struct pci_dev *pdev, void *data)
{
	pdev->dev.driver_data = data;
}

int __must_check pci_register_driver(struct pci_host *host, struct pci_driver *drv);
void pci_unregister_driver(struct pci_driver *drv);
/* sysfs `new_id` and `remove_id`: what write(2) returns. */
int pci_new_id_store(struct pci_driver *drv, const char *buf, size_t len);
int pci_remove_id_store(struct pci_driver *drv, const char *buf, size_t len);
/* kernel: pci_match_device(); the override entry matches any device. */
const struct pci_device_id *pci_match_device(struct pci_driver *drv,
					     struct pci_dev *pdev);
/* "pcieport" (ports) and "pci-stub": both manage DMA themselves. */
int __must_check pci_register_builtin_drivers(struct pci_host *host);
void pci_unregister_builtin_drivers(struct pci_host *host);

/* ---- the host: building and starting (pci/host.c) ---- */

/*
 * A machine's PCI: m->pci. Its hardware is added through pci/function.h (of/ does),
 * then, in this order:
 *	pci_host_scan()		devices are added to the bus, in the kernel's order
 *	(IOMMU drivers register and take them)
 *	pci_bus_add_devices()	drivers may be bound from now on
 * pci_host_destroy() removes all devices; drivers have been unregistered before.
 */
int __must_check pci_host_create(struct machine *m, struct pci_host **out);
void pci_host_set_iommu(struct pci_host *host, const struct pci_iommu_hooks *hooks);
int __must_check pci_host_scan(struct pci_host *host);
void pci_bus_add_devices(struct pci_host *host);
void pci_host_destroy(struct pci_host *host);

#endif
