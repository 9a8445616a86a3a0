// SPDX-License-Identifier: MIT
/*
 * epoll, a batch at a time. A watch that is removed while a batch is handled stays
 * allocated until its end, because later events of the batch may point at it.
 */
#include "server/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"

#define LOOP_BATCH 128

struct loop {
	int epfd;
	bool in_batch;
	struct list_head dead;	 /* watch.node, removed during a batch */
	struct list_head queued; /* loop_work.node */
};

struct watch {
	struct loop *loop;
	int fd;
	void (*fn)(void *data, u32 events); /* NULL: removed */
	void *data;
	struct list_head node;
};

int loop_create(struct loop **out)
{
	struct loop *loop = kzalloc(sizeof(*loop));

	if (!loop)
		return -ENOMEM;
	loop->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epfd < 0) {
		int err = -errno;

		kfree(loop);
		return err;
	}
	INIT_LIST_HEAD(&loop->dead);
	INIT_LIST_HEAD(&loop->queued);
	*out = loop;
	return 0;
}

static void loop_bury(struct loop *loop)
{
	struct watch *w, *tmp;

	list_for_each_entry_safe(w, tmp, &loop->dead, node) {
		list_del(&w->node);
		kfree(w);
	}
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	loop_bury(loop);
	close(loop->epfd);
	kfree(loop);
}

struct watch *loop_watch(struct loop *loop, int fd, u32 events,
			 void (*fn)(void *data, u32 events), void *data)
{
	struct watch *w = kzalloc(sizeof(*w));
	struct epoll_event ev = {.events = events};

	if (!w)
		return ERR_PTR(-ENOMEM);
	w->loop = loop;
	w->fd = fd;
	w->fn = fn;
	w->data = data;
	INIT_LIST_HEAD(&w->node);
	ev.data.ptr = w;
	if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		int err = -errno;

		kfree(w);
		return ERR_PTR(err);
	}
	return w;
}

int loop_rewatch(struct watch *w, u32 events)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	return epoll_ctl(w->loop->epfd, EPOLL_CTL_MOD, w->fd, &ev) < 0 ? -errno : 0;
}

void loop_unwatch(struct watch *w)
{
	if (IS_ERR_OR_NULL(w))
		return;
	epoll_ctl(w->loop->epfd, EPOLL_CTL_DEL, w->fd, NULL);
	w->fn = NULL;
	if (w->loop->in_batch)
		list_add_tail(&w->node, &w->loop->dead);
	else
		kfree(w);
}

void loop_work_init(struct loop_work *work, void (*fn)(struct loop_work *work))
{
	work->fn = fn;
	INIT_LIST_HEAD(&work->node);
}

void loop_queue(struct loop *loop, struct loop_work *work)
{
	if (list_empty(&work->node))
		list_add_tail(&work->node, &loop->queued);
}

void loop_cancel(struct loop_work *work)
{
	list_del_init(&work->node);
}

void loop_run_queued(struct loop *loop)
{
	LIST_HEAD(now);

	list_splice_tail_init(&loop->queued, &now);
	while (!list_empty(&now)) {
		struct loop_work *work = list_first_entry(&now, struct loop_work, node);

		list_del_init(&work->node);
		work->fn(work);
	}
}

int loop_turn(struct loop *loop, int timeout_ms)
{
	static const u32 hangup = EPOLLHUP | EPOLLERR | EPOLLRDHUP;
	struct epoll_event ev[LOOP_BATCH];
	int n;

	loop_run_queued(loop);
	if (!list_empty(&loop->queued))
		timeout_ms = 0;
	n = epoll_wait(loop->epfd, ev, LOOP_BATCH, timeout_ms);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	loop->in_batch = true;
	for (int pass = 0; pass < 2; pass++) {
		for (int i = 0; i < n; i++) {
			struct watch *w = ev[i].data.ptr;

			if (!!(ev[i].events & hangup) != !pass || !w->fn)
				continue;
			w->fn(w->data, ev[i].events);
		}
	}
	loop->in_batch = false;
	loop_bury(loop);
	return 0;
}
