/* SPDX-License-Identifier: MIT */
/*
 * What the files of the driver model (device.c, bus.c, driver.c, deferred.c) share.
 *
 * Locks, in order: a device's lock, then machine->lock, which is a leaf: no callback
 * runs under it. So a walk over a list holds a reference on its element (devices) or
 * counts itself in (drivers, notifiers) and finds the next one by its sequence number
 * where the element has been taken off meanwhile.
 */
#ifndef MOAT_MACHINE_DRIVER_CORE_H
#define MOAT_MACHINE_DRIVER_CORE_H

#include "machine/machine.h"

void device_notify(struct device *dev, enum device_event event);

/* The first device or driver after @seq, held; NULL: no more. */
struct device *bus_next_device(struct bus *bus, struct device *prev);
struct device_driver *bus_next_driver(struct bus *bus, struct device_driver *prev);
void bus_put_driver(struct bus *bus, struct device_driver *drv);

/* driver.c */
/*
 * Unbind with dev->lock held. True: no driver any more, and @waiters has those to be
 * woken with device_wake() once the lock is dropped. False: its user keeps it.
 */
bool device_unbind_locked(struct device *dev, struct list_head *waiters);
void device_wait_locked(struct device *dev, struct device_waiter *w);
void device_wake(struct list_head *waiters);
int device_attach_locked(struct device *dev);

/* deferred.c */
void driver_deferred_probe_add(struct device *dev);
void driver_deferred_probe_del(struct device *dev);
u64 driver_deferred_triggers(struct machine *m);
void driver_deferred_count(struct machine *m);
/* Between these no deferred probe starts in this thread; the last one runs them. */
void probe_enter(void);
void probe_leave(struct machine *m);

#endif
