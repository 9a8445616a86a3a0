/* SPDX-License-Identifier: MIT */
/*
 * What the files of the AMD-Vi driver share. Register and table layouts come from
 * units/amd/amd_regs.h, which is all that the driver and the unit have in common.
 *
 * Locks, in order: group->mutex (the core's), pgtable.top_lock, amd_domain.lock,
 * amd_iommu.lock, amd_iommu.cmd_lock. Waiting for a command means waiting for DMA under
 * way, so nothing that runs inside a translation may take any of them.
 *
 * Machine RAM can be overwritten by a program: what decides about the driver's own
 * memory (addresses of tables, domain ids, free interrupt entries) is kept here and
 * not read back.
 */
#ifndef MOAT_DRIVERS_AMD_DRIVER_H
#define MOAT_DRIVERS_AMD_DRIVER_H

#include "base/mutex.h"
#include "base/xarray.h"
#include "drivers/amd/amd.h"
#include "iommu/iommu.h"
#include "machine/dma.h"
#include "machine/irq.h"
#include "machine/machine.h"
#include "machine/unit.h"
#include "pgtable/pgtable.h"
#include "units/amd/amd_regs.h"

#define AMD_DEVTAB_ORDER 9 /* 2 MiB: an entry for each device id */
#define AMD_DEVTAB_BYTES (PAGE_SIZE << AMD_DEVTAB_ORDER)
#define AMD_RING_ORDER	 1
#define AMD_RING_LG2	 9 /* 512 entries of 16 bytes */
#define AMD_RING_BYTES	 (16U << AMD_RING_LG2)
#define AMD_POLL_LIMIT	 100000U
#define AMD_IRTE_LG2	 9
#define AMD_IRTES	 (1U << AMD_IRTE_LG2)
#define AMD_MAX_BATCH	 64 /* commands at a time, the wait not counted */

_Static_assert(AMD_DEVTAB_BYTES == 65536 * sizeof(struct amd_dte),
	       "the table fills its pages");
_Static_assert(AMD_RING_BYTES == PAGE_SIZE << AMD_RING_ORDER,
	       "the rings fill their pages");

/* What the IOMMUs of one machine have in common; amd_instances_lock. */
struct amd_common {
	struct list_head node;
	struct machine *m;
	u32 users;	   /* instances and domains */
	bool reuse;	   /* kdump: all units translated, their tables are taken over */
	struct xarray ids; /* domain ids that are taken */
	u16 identity_id;
	struct mutex lock; /* ids */
};

struct amd_irq_table {
	phys_addr_t phys;
	u32 users; /* device ids */
	unsigned long used[AMD_IRTES / (8 * sizeof(long))];
	u32 irq[AMD_IRTES];
};

struct amd_iommu {
	struct iommu_device iommu;
	struct list_head node; /* all instances; amd_instances_lock */
	struct machine *m;
	struct amd_common *common;
	u32 unit;
	char name[16]; /* "ivhd0" */
	struct amd_driver_params params;
	u32 cap;
	u64 efr, efr2;
	struct mutex control_lock; /* innermost */
	u64 control;		   /* what was written there; control_lock */
	u64 pgsizes;		   /* page sizes that the command line leaves */
	bool registered;	   /* with the core */
	bool pre_enabled;	   /* kdump: on the old kernel's device table */
	struct mutex lock;	   /* device table, devices, interrupt tables */
	phys_addr_t devtab;
	unsigned long
		*deferred; /* kdump: device ids that were never attached; NULL: none */
	struct list_head devices; /* amd_device.node */
	/* The command buffer: empty whenever cmd_lock is free. */
	struct mutex cmd_lock;
	phys_addr_t cmd_ring, sem, evt_ring;
	u32 cmd_tail;
	u64 sequence;
	struct mutex evt_lock;
	/* Interrupt remapping. */
	struct irq_remap remap;
	bool irq_on, ga;
	struct xarray irq_tables; /* struct amd_irq_table by device id */
};

/* dev_iommu_priv of a device; fields: group->mutex, lists as said. */
struct amd_device {
	struct device *dev;
	struct amd_iommu *amd;
	u16 devid;
	struct iommu_domain *domain; /* NULL: blocked */
	struct list_head node;	     /* amd->devices; amd->lock */
	struct list_head link;	     /* amd_domain.devices; domain->lock */
};

struct amd_domain {
	struct iommu_domain domain; /* first */
	struct pgtable pt;
	struct amd_common *common;
	u16 id;
	bool dirty_tracking; /* lock */
	struct mutex lock;
	struct list_head devices; /* amd_device.link; lock */
	struct {
		struct amd_iommu *amd;
		u32 devices;
	} uses[HW_MAX_UNITS]; /* lock */
};

static inline struct amd_domain *to_amd_domain(struct iommu_domain *domain)
{
	return container_of(domain, struct amd_domain, domain);
}

static inline u64 amd_rd(const struct amd_iommu *amd, u64 off)
{
	return unit_mmio_read(&amd->m->hw, amd->unit, off, 8);
}

static inline void amd_wr(const struct amd_iommu *amd, u64 off, u64 val)
{
	unit_mmio_write(&amd->m->hw, amd->unit, off, val, 8);
}

/* driver.c */
extern const struct iommu_ops amd_iommu_ops;
void amd_common_get(struct amd_common *common);
void amd_common_put(struct amd_common *common);
/* Return: 0, -ENOMEM, -ENOSPC. */
int amd_id_alloc(struct amd_common *common, u16 *id);
void amd_id_free(struct amd_common *common, u16 id);
void amd_control(struct amd_iommu *amd, u64 set, u64 clear);

/* command.c: each waits for completion. */
int amd_commands_enable(struct amd_iommu *amd);
int amd_submit(struct amd_iommu *amd, const struct amd_command *commands, unsigned nr);
int amd_flush_dte(struct amd_iommu *amd, u16 devid);
int amd_flush_pages(struct amd_iommu *amd, u16 domain, iova_t start, iova_t last);
int amd_flush_domain(struct amd_iommu *amd, u16 domain);
int amd_flush_irt(struct amd_iommu *amd, u16 devid);
int amd_flush_everything(struct amd_iommu *amd);

/* devtab.c: of a device and all its aliases. */
void amd_devtab_init(struct amd_iommu *amd);
int amd_devtab_copy(struct amd_iommu *amd);
/* Does @amd translate by a table that amd_devtab_copy() could take? */
bool amd_devtab_usable(struct machine *m, u32 unit);
void amd_devtab_set_paging(struct amd_device *info, struct amd_domain *domain,
			   phys_addr_t top, unsigned level);
void amd_devtab_set_identity(struct amd_device *info);
void amd_devtab_block(struct amd_device *info);
/* A new top or mode of tables that stay otherwise: one store. */
void amd_devtab_update(struct amd_device *info, struct amd_domain *domain,
		       phys_addr_t top, unsigned level);
void amd_devtab_set_irq(struct amd_iommu *amd, u16 devid, phys_addr_t table);
int amd_for_each_id(struct amd_device *info, int (*fn)(struct amd_device *, u16, void *),
		    void *data);

/* domain.c */
struct iommu_domain *amd_domain_alloc_paging_flags(struct device *dev, u32 flags,
						   const struct iommu_user_data *data);
extern struct iommu_domain amd_blocked_domain, amd_identity_domain;

/* irq_remap.c */
void amd_irq_remap_enable(struct amd_iommu *amd);
void amd_irq_remap_disable(struct amd_iommu *amd);

/* event.c */
int amd_events_enable(struct amd_iommu *amd);
void amd_events_handle(struct amd_iommu *amd);

#endif
