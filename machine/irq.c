// SPDX-License-Identifier: MIT
/*
 * Interrupt numbers of a machine and what makes a device raise them (irq.h). A number
 * is what a message decodes to: a destination of 8 bits and a vector of 8. Vectors
 * below 0x20 and above 0xef are the processor's own, as on a PC, and not given out.
 *
 * irq_free() returns when no handler of that irq runs any more, unless it is the
 * handler that calls it.
 */
#include "machine/irq.h"

#include <sched.h>

#include "base/alloc.h"
#include "base/mutex.h"
#include "base/xarray.h"
#include "machine/machine.h"

#define FIRST_VECTOR 0x20
#define NR_VECTORS   (0xf0 - FIRST_VECTOR)
#define NR_DESTS     256

struct irq_desc {
	struct device *dev;
	void (*handler)(void *data);
	void *data;
	s32 remapped; /* the unit whose irq_remap made an entry, -1: none */
	unsigned running;
	pthread_t runner; /* the last to start it; while running */
};

struct irq_core {
	struct mutex lock;   /* all below, and descs' fields */
	struct xarray descs; /* by running number, see number_to_irq() */
	struct irq_remap *remaps[HW_MAX_UNITS];
};

static u32 number_to_irq(u32 n)
{
	return (n / NR_VECTORS) << 8 | (FIRST_VECTOR + n % NR_VECTORS);
}

/* False: no irq that is ever given out. */
static bool irq_to_number(u32 irq, u32 *n)
{
	u32 vector = irq & 0xff;

	if (irq >= HW_MAX_IRQS || vector < FIRST_VECTOR ||
	    vector >= FIRST_VECTOR + NR_VECTORS)
		return false;
	*n = (irq >> 8) * NR_VECTORS + (vector - FIRST_VECTOR);
	return true;
}

static struct irq_desc *desc_find(struct irq_core *core, u32 irq)
{
	u32 n;

	return irq_to_number(irq, &n) ? xa_load(&core->descs, n) : NULL;
}

int irq_core_create(struct machine *m)
{
	struct irq_core *core = kzalloc(sizeof(*core));

	if (!core)
		return -ENOMEM;
	mutex_init(&core->lock);
	xa_init(&core->descs);
	m->irq = core;
	return 0;
}

void irq_core_destroy(struct machine *m)
{
	struct irq_core *core = m->irq;
	struct irq_desc *desc;
	u64 n;

	if (!core)
		return;
	xa_for_each(&core->descs, n, desc)
		kfree(desc);
	xa_destroy(&core->descs);
	mutex_destroy(&core->lock);
	kfree(core);
	m->irq = NULL;
}

void irq_remap_register(struct machine *m, u32 unit, struct irq_remap *remap)
{
	guard(mutex)(&m->irq->lock);
	if (!WARN_ON(unit >= HW_MAX_UNITS))
		m->irq->remaps[unit] = remap;
}

void irq_remap_unregister(struct machine *m, u32 unit)
{
	struct irq_desc *desc;
	u64 n;

	guard(mutex)(&m->irq->lock);
	if (WARN_ON(unit >= HW_MAX_UNITS))
		return;
	m->irq->remaps[unit] = NULL;
	/* The entries go with their table. */
	xa_for_each(&m->irq->descs, n, desc)
		if (desc->remapped == (s32)unit)
			desc->remapped = -1;
}

/* Index of the unit in front of @dev, -1: none. */
static s32 device_unit(struct device *dev)
{
	const struct hw *hw = &dev->machine->hw;
	s32 unit;

	if (dev->hw_function < 0 || (u32)dev->hw_function >= hw->hdr->nr_functions)
		return -1;
	unit = hw->functions[dev->hw_function].unit;
	return unit < HW_MAX_UNITS ? unit : -1;
}

bool irq_remap_present(struct device *dev)
{
	struct irq_core *core = dev->machine->irq;
	s32 unit = device_unit(dev);

	if (unit < 0 || !core)
		return false;
	guard(mutex)(&core->lock);
	return core->remaps[unit];
}

int irq_alloc(struct device *dev, enum hw_irq_kind kind, u16 vfio_index, u16 vector,
	      void (*handler)(void *data), void *data)
{
	struct machine *m = dev->machine;
	struct irq_core *core = m->irq;
	struct irq_desc *desc;
	struct hw_irq *hi;
	u32 n;
	int ret;

	desc = kzalloc(sizeof(*desc));
	if (!desc)
		return -ENOMEM;
	desc->dev = dev;
	desc->handler = handler;
	desc->data = data;
	desc->remapped = -1;

	guard(mutex)(&core->lock);
	ret = xa_alloc(&core->descs, &n, desc, XA_LIMIT(0, NR_DESTS * NR_VECTORS - 1));
	if (ret) {
		kfree(desc);
		return ret == -EBUSY ? -ENOSPC : ret;
	}
	hi = &m->hw.irqs[number_to_irq(n)];
	hi->function = dev->hw_function;
	hi->vfio_index = vfio_index;
	hi->vector = vector;
	hi->kind = kind;
	atomic_fetch_add(&hi->gen, 1);
	return number_to_irq(n);
}

void irq_free(struct device *dev, u32 irq)
{
	struct machine *m = dev->machine;
	struct irq_core *core = m->irq;
	struct irq_remap *remap = NULL;
	struct irq_desc *desc;
	u32 n = 0;

	if (WARN_ON(!irq_to_number(irq, &n)))
		return;
	mutex_lock(&core->lock);
	desc = xa_erase(&core->descs, n);
	if (WARN_ON(!desc)) {
		mutex_unlock(&core->lock);
		return;
	}
	m->hw.irqs[irq].kind = HW_IRQ_NONE;
	atomic_fetch_add(&m->hw.irqs[irq].gen, 1);
	if (desc->remapped >= 0)
		remap = core->remaps[desc->remapped];
	while (desc->running && !pthread_equal(desc->runner, pthread_self())) {
		mutex_unlock(&core->lock);
		sched_yield();
		mutex_lock(&core->lock);
	}
	/* Freed by its own handler: irq_deliver() sees that nobody has it any more. */
	if (desc->running) {
		desc->handler = NULL;
		desc->dev = NULL;
		desc = NULL;
	}
	mutex_unlock(&core->lock);

	if (remap)
		remap->unmap(remap, dev, irq);
	kfree(desc);
}

int irq_msi_message(struct device *dev, u32 irq, struct msi_msg *msg)
{
	struct irq_core *core = dev->machine->irq;
	s32 unit = device_unit(dev);
	struct irq_remap *remap = NULL;
	struct irq_desc *desc;
	int ret = 0;

	mutex_lock(&core->lock);
	desc = desc_find(core, irq);
	if (WARN_ON(!desc || desc->dev != dev))
		ret = -EINVAL;
	else if (unit >= 0)
		remap = core->remaps[unit];
	mutex_unlock(&core->lock);
	if (ret)
		return ret;

	if (!remap) {
		msg->address = MSI_WINDOW_BASE | (u64)(irq >> 8) << 12;
		msg->data = irq & 0xff;
		return 0;
	}
	ret = remap->map(remap, dev, irq, msg);
	if (ret)
		return ret;
	mutex_lock(&core->lock);
	desc = desc_find(core, irq);
	if (desc)
		desc->remapped = unit;
	mutex_unlock(&core->lock);
	return 0;
}

void irq_deliver(struct machine *m, u32 irq)
{
	struct irq_core *core = m->irq;
	void (*handler)(void *data);
	struct irq_desc *desc;
	void *data;

	mutex_lock(&core->lock);
	desc = desc_find(core, irq);
	if (!desc || !desc->handler) {
		mutex_unlock(&core->lock);
		return;
	}
	desc->running++;
	desc->runner = pthread_self();
	handler = desc->handler;
	data = desc->data;
	mutex_unlock(&core->lock);

	handler(data);

	mutex_lock(&core->lock);
	if (!--desc->running && !desc->dev)
		kfree(desc);
	mutex_unlock(&core->lock);
}
