/* SPDX-License-Identifier: MIT */
/*
 * Drivers of the machine's own kernel that do DMA: `edu` and `ioatdma`. Each tests its
 * device at probe, through the DMA API, and refuses a device whose DMA does not arrive
 * (-EIO); the I/OAT driver keeps its ring mapped while it is bound. They take no device
 * by themselves when the machine boots: bind, drivers_probe or hot plug brings one to
 * ioatdma; edu, which Linux has no driver for, wants to be named in driver_override or
 * new_id.
 */
#ifndef MOAT_SERVER_HOST_DMA_H
#define MOAT_SERVER_HOST_DMA_H

#include "base/types.h"

struct machine;
struct host_dma;

/* After the machine's devices have been bound. 0, -ENOMEM. */
int __must_check host_dma_register(struct machine *m, struct host_dma **out);
void host_dma_unregister(struct host_dma *d);

#endif
