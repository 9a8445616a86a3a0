/* SPDX-License-Identifier: MIT */
/*
 * What the files of the VT-d driver share. Register and descriptor layouts come from
 * units/vtd/vtd_regs.h, which is all that the driver and the unit have in common.
 *
 * Locks, in order: group->mutex (the core's), domain.c's ends_lock, vtd_domain.lock,
 * vtd_iommu.lock, vtd_iommu.qi_lock. Waiting for an invalidation means waiting for DMA
 * under way, so nothing that runs inside a translation may take any of them.
 *
 * Machine RAM can be overwritten by a program: what decides about the driver's own
 * memory (context table addresses, domain ids) is kept here and not read back.
 */
#ifndef MOAT_DRIVERS_VTD_DRIVER_H
#define MOAT_DRIVERS_VTD_DRIVER_H

#include "base/mutex.h"
#include "base/xarray.h"
#include "drivers/vtd/vtd.h"
#include "iommu/iommu.h"
#include "machine/dma.h"
#include "machine/irq.h"
#include "machine/machine.h"
#include "machine/unit.h"
#include "pgtable/pgtable.h"
#include "units/vtd/vtd_regs.h"

#define VTD_DID_PASS_THROUGH 1 /* kernel: FLPT_DEFAULT_DID */
#define VTD_DID_FIRST	     2 /* kernel: IDA_START_DID; 0 tags absent entries (CM) */
#define VTD_QI_LENGTH	     256U
#define VTD_POLL_LIMIT	     100000U

struct vtd_iommu {
	struct iommu_device iommu;
	struct list_head node; /* all instances; vtd_instances_lock */
	struct machine *m;
	u32 unit;
	char name[16]; /* "dmar0" */
	struct vtd_driver_params params;
	u64 cap, ecap;
	u32 gcmd;	   /* shadow of what stays set in GCMD; lock */
	u8 msagaw;	   /* largest supported AGAW, as in a context entry's AW */
	bool superpage;	   /* not intel_iommu=sp_off */
	bool registered;   /* with the core */
	bool pre_enabled;  /* kdump: translation was on, the old tables were copied */
	struct mutex lock; /* root and context tables, domain ids, devices, uses */
	phys_addr_t root;
	phys_addr_t context[256]; /* by bus; 0: no table */
	unsigned long *copied;	  /* kdump: context entries by source id; NULL: none */
	struct xarray domain_ids; /* taken ones are reserved */
	struct list_head devices; /* vtd_device.node */
	struct list_head uses;	  /* vtd_domain_iommu.node */
	/* The invalidation queue: empty whenever qi_lock is free. */
	struct mutex qi_lock;
	bool qi;
	phys_addr_t qi_ring, qi_status; /* a page each */
	u32 qi_tail;
	/* Interrupt remapping: entry i of the table is irq i. */
	struct irq_remap remap;
	phys_addr_t irta; /* 0: off */
};

/* dev_iommu_priv of a device; fields: group->mutex, lists as said. */
struct vtd_device {
	struct device *dev;
	struct vtd_iommu *vtd;
	u8 bus, devfn;
	struct vtd_domain *domain; /* NULL: blocked or identity */
	bool attached;		   /* has live context entries; false: blocked */
	struct list_head node;	   /* vtd->devices; vtd->lock */
	struct list_head link;	   /* domain->devices; domain->lock */
};

/* A domain's use of one IOMMU. */
struct vtd_domain_iommu {
	struct vtd_domain *domain;
	struct vtd_iommu *vtd;
	struct list_head node; /* vtd->uses; vtd->lock */
	u16 did;
	u32 refcnt; /* devices attached; 0: kept for a default domain's devices */
};

struct vtd_domain {
	struct iommu_domain domain; /* first */
	struct pgtable pt;
	struct mutex lock;
	struct xarray iommus;	  /* struct vtd_domain_iommu by unit; lock */
	struct list_head devices; /* vtd_device.link; lock */
	bool sync_map;		  /* absent entries are cached (CM), or RWBF */
};

static inline struct vtd_domain *to_vtd_domain(struct iommu_domain *domain)
{
	return container_of(domain, struct vtd_domain, domain);
}

static inline u32 vtd_ndoms(const struct vtd_iommu *vtd)
{
	return 1U << (4 + 2 * (vtd->cap & VTD_CAP_ND_MASK));
}

static inline unsigned vtd_sagaw(const struct vtd_iommu *vtd)
{
	return (vtd->cap >> VTD_CAP_SAGAW_SHIFT) & 0x1f;
}

static inline u32 vtd_rd32(const struct vtd_iommu *vtd, u64 off)
{
	return (u32)unit_mmio_read(&vtd->m->hw, vtd->unit, off, 4);
}

static inline u64 vtd_rd64(const struct vtd_iommu *vtd, u64 off)
{
	return unit_mmio_read(&vtd->m->hw, vtd->unit, off, 8);
}

static inline void vtd_wr32(const struct vtd_iommu *vtd, u64 off, u32 val)
{
	unit_mmio_write(&vtd->m->hw, vtd->unit, off, val, 4);
}

static inline void vtd_wr64(const struct vtd_iommu *vtd, u64 off, u64 val)
{
	unit_mmio_write(&vtd->m->hw, vtd->unit, off, val, 8);
}

/* driver.c */
extern const struct iommu_ops vtd_iommu_ops;
/* Write GCMD and wait for the bits @status of GSTS to be all set (or all clear). */
int vtd_command(struct vtd_iommu *vtd, u32 gcmd, u32 status, bool set);
bool vtd_is_kdump(const struct machine *m);

/* invalidate.c */
int vtd_qi_enable(struct vtd_iommu *vtd);
void vtd_qi_disable(struct vtd_iommu *vtd);
int vtd_flush_context(struct vtd_iommu *vtd, u16 did, u16 sid, unsigned granularity);
/* @am: log2 of the pages from @addr on, for VTD_GRAN_PAGE; @ih: no table has changed. */
int vtd_flush_iotlb(struct vtd_iommu *vtd, u16 did, iova_t addr, unsigned am, bool ih,
		    unsigned granularity);
int vtd_flush_iec(struct vtd_iommu *vtd, int index); /* -1: all */
void vtd_flush_write_buffer(struct vtd_iommu *vtd);

/* context.c */
int vtd_context_alloc(struct vtd_device *info);
void vtd_context_set_domain(struct vtd_device *info, u16 did);
void vtd_context_set_pass_through(struct vtd_device *info);
void vtd_context_clear(struct vtd_device *info);
int vtd_context_copy_tables(struct vtd_iommu *vtd);
void vtd_context_free_tables(struct vtd_iommu *vtd);

/* domain.c */
struct iommu_domain *vtd_domain_alloc_paging_flags(struct device *dev, u32 flags,
						   const struct iommu_user_data *data);
struct iommu_domain *vtd_domain_alloc_nested(struct device *dev,
					     struct iommu_domain *parent, u32 flags,
					     const struct iommu_user_data *data);
void vtd_block_translation(struct vtd_device *info);
void vtd_forget_domains(struct vtd_iommu *vtd);
extern struct iommu_domain vtd_blocked_domain, vtd_identity_domain;

/* irq_remap.c */
int vtd_irq_remap_enable(struct vtd_iommu *vtd);
void vtd_irq_remap_disable(struct vtd_iommu *vtd);

/* fault.c */
void vtd_fault_clear(struct vtd_iommu *vtd);
void vtd_fault_handle(struct vtd_iommu *vtd);

#endif
