/* SPDX-License-Identifier: MIT */
/*
 * A machine: its memory, its buses and devices, its IOMMUs and command line.
 * Everything that Linux keeps in globals hangs here, so one process can hold
 * several machines.
 */
#ifndef MOAT_MACHINE_MACHINE_H
#define MOAT_MACHINE_MACHINE_H

#include "base/list.h"
#include "base/mutex.h"
#include "base/xarray.h"
#include "machine/device.h"
#include "machine/hw.h"

struct dma_core;
struct machine_events;
struct ram_alloc;
struct prog_alloc;

struct machine {
	struct hw hw;
	struct mutex
		lock; /* lists of buses, devices, drivers; never held over a callback */
	struct list_head buses;
	struct list_head notifiers;	      /* device_notifier.node */
	struct list_head deferred;	      /* device.deferred_node */
	u64 deferred_triggers, deferred_done; /* lock; machine/deferred.c */
	bool deferred_running;
	u64 device_seq;		     /* lock; numbers devices and drivers as they come */
	char *cmdline;		     /* the machine's kernel command line */
	struct ram_alloc *ram_alloc; /* machine/ram.c */
	struct prog_alloc *prog_alloc; /* machine/pin.c */
	struct irq_core *irq;	       /* machine/irq.c */
	struct mm
		*self_mm; /* the server's own memory, reachable by devices; may be NULL */
	struct xarray files;	  /* machine/file.c: open files; lock */
	struct iommu_core *iommu; /* iommu/ */
	struct dma_core *dma;	  /* dma/; NULL: no DMA API */
	/* Set by iommu_core_create(); for device_dma_configure() and _cleanup(). */
	int (*dma_configure)(struct device *dev);
	void (*dma_cleanup)(struct device *dev);
	struct pci_host *pci;		     /* pci/: first root bus */
	struct vfio_core *vfio;		     /* vfio/ */
	struct iommufd_core *iommufd;	     /* iommufd/ */
	const struct machine_events *events; /* the report; may be NULL */
	void *events_data;
};

int __must_check machine_create(struct machine **out, u64 ram_size, u32 nr_functions,
				const char *cmdline);
void machine_destroy(struct machine *m);

/*
 * The machine's kernel command line. cmdline_get() finds the last NAME=VALUE (or a
 * bare NAME, then *value is "") and returns false if it is not there; the value
 * is not terminated and has *len bytes.
 */
bool cmdline_get(const struct machine *m, const char *name, const char **value,
		 size_t *len);

/* The same in the order in which they stand: *pos starts at the line. */
struct cmdline_arg {
	const char *name, *value;
	size_t name_len, value_len;
};
bool cmdline_next(const char **pos, struct cmdline_arg *arg);
bool cmdline_name_is(const struct cmdline_arg *arg, const char *name);
/* kstrtobool(); false if it is none. */
bool cmdline_bool(const char *value, size_t len, bool *out);

/* Pages of machine RAM for tables and queues: zeroed, naturally aligned. */
int __must_check ram_alloc_pages(struct machine *m, unsigned order, phys_addr_t *out);
void ram_free_pages(struct machine *m, phys_addr_t phys, unsigned order);
/* The same for pages that hold nothing but zeroes, which saves clearing them. */
void ram_free_zeroed(struct machine *m, phys_addr_t phys, unsigned order);
/* machine_create() and machine_destroy() call these (prog_alloc_*: mm.h, irq_*: irq.h).
 */
int __must_check ram_alloc_create(struct machine *m);
void ram_alloc_destroy(struct machine *m);

#endif
