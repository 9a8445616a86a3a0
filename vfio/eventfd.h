/* SPDX-License-Identifier: MIT */
/*
 * Eventfds that programs hand in: signalling one, and acting when one is signalled
 * (kernel: eventfd_signal(), drivers/vfio/virqfd.c). The descriptors are duplicates;
 * their counters are shared with the program, which may do anything to them at any
 * time, so nothing here ever blocks on one.
 */
#ifndef MOAT_VFIO_EVENTFD_H
#define MOAT_VFIO_EVENTFD_H

#include "base/types.h"

struct machine;
struct vfio_virqfd;

/* Adds 1; a full counter stays as it is. fd < 0: nothing. */
void vfio_eventfd_signal(int fd);
/* Empties it. False: there was nothing. */
bool vfio_eventfd_drain(int fd);
/* close() that knows -1. */
void vfio_eventfd_close(int *fd);

/**
 * vfio_virqfd_enable - call @fn(@data) whenever @fd is signalled, beginning with now.
 * @fd: moves into *@out; on failure it stays the caller's
 *
 * Return: 0; -EBUSY: *@out is in use; -ENOMEM; what machine_watch_fd() gave.
 */
int __must_check vfio_virqfd_enable(struct machine *m, void (*fn)(void *data), void *data,
				    struct vfio_virqfd **out, int fd);
void vfio_virqfd_disable(struct vfio_virqfd **virqfd);

#endif
