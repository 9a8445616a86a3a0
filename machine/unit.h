/* SPDX-License-Identifier: MIT */
/*
 * An IOMMU's hardware half as the rest of the machine sees it: registers, a
 * translation, interrupt remapping. Units are flat state in machine memory plus
 * these functions, so they run in whichever process does the DMA. A driver
 * reaches its unit through machine RAM and unit_mmio_*() alone.
 */
#ifndef MOAT_MACHINE_UNIT_H
#define MOAT_MACHINE_UNIT_H

#include "base/types.h"

struct hw;
struct hw_unit;
struct translator;

enum unit_kind {
	UNIT_NONE = 0,
	UNIT_VTD,
	UNIT_AMD,
	UNIT_SMMU_V3,
	UNIT_NR_KINDS = 32,
};

#define DMA_READ  1 /* the device reads memory */
#define DMA_WRITE 2 /* the device writes memory */

#define NO_PASID (~0U)

struct dma_request {
	u16 sid;   /* requester id */
	u8 access; /* DMA_READ or DMA_WRITE */
	u32 pasid; /* NO_PASID: none */
	iova_t iova;
	u64 len; /* a hint: how many bytes from there are wanted; 0: no idea */
};

struct dma_translation {
	phys_addr_t phys; /* of the request's iova */
	u64 len;	  /* bytes from there that translate contiguously, at least 1 */
	u8 access;	  /* what is allowed: DMA_READ | DMA_WRITE */
};

/* Why a request was refused, in the unit's own terms and in common ones. */
enum fault_class {
	FAULT_NOT_PRESENT = 1, /* nothing mapped there */
	FAULT_READ,	       /* mapped, reading not permitted */
	FAULT_WRITE,	       /* mapped, writing not permitted */
	FAULT_BLOCKED, /* the device may not do DMA at all (no or blocking domain) */
	FAULT_ADDRESS_WIDTH, /* beyond the aperture */
	FAULT_TABLE,	     /* malformed or unreachable tables */
	FAULT_IRQ,	     /* an interrupt that remapping refused */
	FAULT_UNBACKED,	     /* translated, but nothing lies at that physical address */
	FAULT_MEMORY_GONE,   /* backed by program memory that no longer exists */
};

struct dma_fault {
	u32 function; /* index of the hw_function */
	u16 sid;
	u8 access;
	u8 class;   /* enum fault_class */
	u16 reason; /* the specification's code, 0 where the unit did not decide */
	u16 unit;   /* index, 0xffff: none */
	u32 pasid;
	iova_t iova;
	u64 len;      /* of the device's whole access, bytes */
	u32 irq_data; /* FAULT_IRQ: the message's data */
};

struct unit_ops {
	const char *name;
	u64 state_size;
	void (*init)(struct hw *hw, struct hw_unit *unit);
	u64 (*mmio_read)(struct hw *hw, struct hw_unit *unit, u64 off, unsigned size);
	void (*mmio_write)(struct hw *hw, struct hw_unit *unit, u64 off, u64 val,
			   unsigned size);
	/*
	 * Never NULL. Called with the translator entered. Return: 0, or -EFAULT with
	 * @fault's class and reason filled in and the unit's fault registers updated.
	 */
	int (*translate)(struct hw *hw, struct hw_unit *unit, struct translator *x,
			 const struct dma_request *req, struct dma_translation *out,
			 struct dma_fault *fault);
	/*
	 * A write of @data to @addr in the MSI window. Return: 0 with *@irq (the
	 * index of a hw_irq), or -EFAULT with @fault filled in.
	 */
	int (*remap_irq)(struct hw *hw, struct hw_unit *unit, u16 sid, u64 addr, u32 data,
			 u32 *irq, struct dma_fault *fault);
	/* The reason code in the specification's words. */
	const char *(*reason)(u16 reason);
};

/* For drivers (server): an access to a register of a unit by physical address. */
u64 unit_mmio_read(struct hw *hw, u32 unit, u64 off, unsigned size);
void unit_mmio_write(struct hw *hw, u32 unit, u64 off, u64 val, unsigned size);

/*
 * Wait until every DMA that may have used a translation from before this call
 * has left its translator slot. Units call it when they complete an
 * invalidation. Never called from within a translation.
 */
void translators_synchronize(struct hw *hw);

#endif
