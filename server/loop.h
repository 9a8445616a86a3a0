/* SPDX-License-Identifier: MIT */
/*
 * The server's event loop: descriptors, and work put off until the handler that asked
 * for it has returned. One thread runs it. In one batch of events hang-ups come first,
 * so a descriptor that a program closed before it sent a request elsewhere is seen
 * closed by that request.
 */
#ifndef MOAT_SERVER_LOOP_H
#define MOAT_SERVER_LOOP_H

#include "base/list.h"
#include "base/types.h"

struct loop;
struct watch;

int __must_check loop_create(struct loop **out);
void loop_destroy(struct loop *loop);

/* ERR_PTR(-ENOMEM or what epoll_ctl gave). @fd is borrowed. */
struct watch *loop_watch(struct loop *loop, int fd, u32 events,
			 void (*fn)(void *data, u32 events), void *data);
/* Not called again after this returns, also within a batch; the watch is gone. */
void loop_unwatch(struct watch *w);
int loop_rewatch(struct watch *w, u32 events);

/* One piece of work; may be queued again from its own function, not twice at a time. */
struct loop_work {
	void (*fn)(struct loop_work *work);
	struct list_head node; /* INIT_LIST_HEAD() before first use */
};
void loop_work_init(struct loop_work *work, void (*fn)(struct loop_work *work));
void loop_queue(struct loop *loop, struct loop_work *work);
void loop_cancel(struct loop_work *work);
/* Run what is queued now, not what that queues. */
void loop_run_queued(struct loop *loop);

/* Wait for events once and handle them. @timeout_ms: -1 for ever. */
int loop_turn(struct loop *loop, int timeout_ms);

#endif
