// SPDX-License-Identifier: MIT
/*
 * Probes that wait for a supplier. A probe that returns -EPROBE_DEFER puts its
 * device on machine.deferred; each successful bind (and each IOMMU that arrives) is a
 * trigger, after which all of them are tried again, in the order in which they
 * came. The kernel does that in a work queue; here the thread that triggered does
 * it, when it holds no device's lock any more. Source: drivers/base/dd.c.
 */
#define LOG_SUBSYSTEM "device"
#include "machine/driver_core.h"

#include "base/log.h"

/* How many probes this thread is in. */
static __thread unsigned probe_depth;

void driver_deferred_probe_add(struct device *dev)
{
	struct machine *m = dev->machine;

	mutex_lock(&m->lock);
	if (dev->can_match && !dev->dead && list_empty(&dev->deferred_node))
		list_add_tail(&dev->deferred_node, &m->deferred);
	mutex_unlock(&m->lock);
}

void driver_deferred_probe_del(struct device *dev)
{
	mutex_lock(&dev->machine->lock);
	list_del_init(&dev->deferred_node);
	mutex_unlock(&dev->machine->lock);
}

u64 driver_deferred_triggers(struct machine *m)
{
	u64 n;

	mutex_lock(&m->lock);
	n = m->deferred_triggers;
	mutex_unlock(&m->lock);
	return n;
}

void driver_deferred_count(struct machine *m)
{
	mutex_lock(&m->lock);
	m->deferred_triggers++;
	mutex_unlock(&m->lock);
}

static void deferred_run(struct machine *m)
{
	LIST_HEAD(active);

	mutex_lock(&m->lock);
	if (m->deferred_running || m->deferred_done == m->deferred_triggers) {
		mutex_unlock(&m->lock);
		return;
	}
	m->deferred_running = true;
	while (m->deferred_done != m->deferred_triggers) {
		m->deferred_done = m->deferred_triggers;
		list_splice_tail_init(&m->deferred, &active);
		while (!list_empty(&active)) {
			struct device *dev =
				list_first_entry(&active, struct device, deferred_node);

			list_del_init(&dev->deferred_node);
			get_device(dev);
			mutex_unlock(&m->lock);
			pr_debug("%s: probing again", dev_name(dev));
			device_initial_probe(dev);
			put_device(dev);
			mutex_lock(&m->lock);
		}
	}
	m->deferred_running = false;
	mutex_unlock(&m->lock);
}

void probe_enter(void)
{
	probe_depth++;
}

void probe_leave(struct machine *m)
{
	if (--probe_depth == 0)
		deferred_run(m);
}

void driver_deferred_probe_trigger(struct machine *m)
{
	probe_enter();
	driver_deferred_count(m);
	probe_leave(m);
}
