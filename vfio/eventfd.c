// SPDX-License-Identifier: MIT
/* See eventfd.h. */
#include "vfio/eventfd.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "machine/watch.h"

struct vfio_virqfd {
	int fd;
	struct watch *watch;
	void (*fn)(void *data);
	void *data;
};

void vfio_eventfd_signal(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	const u64 one = 1;

	/* A write to a counter that is full would wait for the program to read. */
	if (fd < 0 || poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT))
		return;
	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

bool vfio_eventfd_drain(int fd)
{
	u64 count;
	struct iovec iov = {&count, sizeof(count)};

	return preadv2(fd, &iov, 1, -1, RWF_NOWAIT) == sizeof(count);
}

void vfio_eventfd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void virqfd_wakeup(void *data, u32 events)
{
	struct vfio_virqfd *v = data;

	if (events & EPOLLIN && vfio_eventfd_drain(v->fd))
		v->fn(v->data);
}

int vfio_virqfd_enable(struct machine *m, void (*fn)(void *data), void *data,
		       struct vfio_virqfd **out, int fd)
{
	struct vfio_virqfd *v;
	int ret;

	if (*out)
		return -EBUSY;
	v = kzalloc(sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->fd = fd;
	v->fn = fn;
	v->data = data;
	v->watch = machine_watch_fd(m, fd, EPOLLIN, virqfd_wakeup, v);
	if (IS_ERR(v->watch)) {
		ret = (int)PTR_ERR(v->watch);
		kfree(v);
		return ret;
	}
	*out = v;
	if (vfio_eventfd_drain(fd))
		fn(data);
	return 0;
}

void vfio_virqfd_disable(struct vfio_virqfd **virqfd)
{
	struct vfio_virqfd *v = *virqfd;

	if (!v)
		return;
	*virqfd = NULL;
	machine_unwatch_fd(v->watch);
	close(v->fd);
	kfree(v);
}
