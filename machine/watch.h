/* SPDX-License-Identifier: MIT */
/*
 * Waiting for host descriptors: front ends that listen to an eventfd of a program
 * (INTx unmask, ioeventfd) ask for it here, and whoever runs the machine's event loop
 * provides it. In a process without a loop (unit tests) watching fails with -ENOSYS
 * unless the test sets its own.
 */
#ifndef MOAT_MACHINE_WATCH_H
#define MOAT_MACHINE_WATCH_H

#include "base/types.h"

struct machine;
struct watch;

struct watch_ops {
	struct watch *(*add)(struct machine *m, int fd, u32 events,
			     void (*fn)(void *data, u32 events), void *data);
	void (*del)(struct watch *w);
};
void machine_set_watch_ops(struct machine *m, const struct watch_ops *ops);

/**
 * machine_watch_fd - call @fn(@data, EPOLL* bits) when @fd is ready, level triggered.
 * @fd: borrowed; stays open until machine_unwatch_fd()
 * @events: EPOLLIN, EPOLLOUT
 *
 * Return: a handle or ERR_PTR(-ENOSYS, -ENOMEM, what epoll_ctl gave).
 */
struct watch *machine_watch_fd(struct machine *m, int fd, u32 events,
			       void (*fn)(void *data, u32 events), void *data);
/* Not called again after this returns; may be called from within @fn. */
void machine_unwatch_fd(struct watch *w);

#endif
