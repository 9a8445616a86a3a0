// SPDX-License-Identifier: MIT
/*
 * Where watched descriptors go: to the event loop of this process, if it has one.
 */
#include "machine/watch.h"

#include "base/err.h"

static const struct watch_ops *watch_ops;

void machine_set_watch_ops(struct machine *m, const struct watch_ops *ops)
{
	watch_ops = ops;
}

struct watch *machine_watch_fd(struct machine *m, int fd, u32 events,
			       void (*fn)(void *data, u32 events), void *data)
{
	if (!watch_ops)
		return ERR_PTR(-ENOSYS);
	return watch_ops->add(m, fd, events, fn, data);
}

void machine_unwatch_fd(struct watch *w)
{
	if (watch_ops && !IS_ERR_OR_NULL(w))
		watch_ops->del(w);
}
