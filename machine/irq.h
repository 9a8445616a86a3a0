/* SPDX-License-Identifier: MIT */
/*
 * Interrupts as the machine's software (vfio-pci, host drivers) asks for them. An
 * irq is an index into the hw_irq table; a device is made to raise it by the MSI
 * message that irq_msi_message() composes, through interrupt remapping where the
 * device's unit has it switched on (struct irq_remap), else in the compatibility
 * format: address 0xfee00000 | dest << 12 with dest = irq >> 8, data = irq & 0xff.
 */
#ifndef MOAT_MACHINE_IRQ_H
#define MOAT_MACHINE_IRQ_H

#include "machine/device.h"
#include "machine/hw.h"

struct msi_msg {
	u64 address;
	u32 data;
};

/* How an IOMMU driver remaps interrupts; registered per unit while it is enabled. */
struct irq_remap {
	/* Make an entry that lets @dev raise @irq (source-id checked); fill in @msg. */
	int (*map)(struct irq_remap *remap, struct device *dev, u32 irq,
		   struct msi_msg *msg);
	void (*unmap)(struct irq_remap *remap, struct device *dev, u32 irq);
};
void irq_remap_register(struct machine *m, u32 unit, struct irq_remap *remap);
void irq_remap_unregister(struct machine *m, u32 unit);
/* kernel: what iommu_cap/ msi isolation ask: does remapping stand before this device? */
bool irq_remap_present(struct device *dev);

/**
 * irq_alloc - an irq for vector @vector of @dev.
 * @handler: called in the server when the irq arrives (any thread that runs the
 *	machine's event loop); NULL: the consumer listens elsewhere
 *
 * Return: the irq number (> 0), -ENOSPC.
 */
int __must_check irq_alloc(struct device *dev, enum hw_irq_kind kind, u16 vfio_index,
			   u16 vector, void (*handler)(void *data), void *data);
void irq_free(struct device *dev, u32 irq);
int __must_check irq_msi_message(struct device *dev, u32 irq, struct msi_msg *msg);
/* An interrupt has arrived in the server, or was forwarded by a program. */
void irq_deliver(struct machine *m, u32 irq);

int __must_check irq_core_create(struct machine *m);
void irq_core_destroy(struct machine *m);

#endif
