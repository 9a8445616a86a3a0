/* SPDX-License-Identifier: MIT */
/*
 * Drivers of the machine's own kernel for devices that a machine may have: they use
 * the kernel's DMA API, so a group in which one is bound is not viable for user
 * space, and they are refused while user space owns the group. They do no work.
 */
#ifndef MOAT_SERVER_HOST_DRIVERS_H
#define MOAT_SERVER_HOST_DRIVERS_H

#include "base/types.h"

struct machine;
struct host_drivers;

int __must_check host_drivers_register(struct machine *m, struct host_drivers **out);
void host_drivers_unregister(struct host_drivers *d);

#endif
