// SPDX-License-Identifier: MIT
/*
 * The checker: every mapping is kept with its size, direction, kind and backtrace, and
 * each call compared with it, as the kernel's dma-debug does (kernel/dma/debug.c), in
 * whose words it complains. What is found goes to the machine's listener (the report) and
 * to the log. Mappings stand in a tree by the device's address, those that a device
 * writes also in one by physical address, where two in one cache line destroy each
 * other's data. When memory is out it stops checking and says so.
 */
#define LOG_SUBSYSTEM "dma"
#include "dma/core.h"

#include <execinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/interval_tree.h"
#include "base/log.h"
#include "machine/events.h"

#define CACHE_LINE 64ULL
#define NR_FRAMES  12

struct entry {
	struct interval_tree_node addr; /* dma_debug.by_addr */
	struct interval_tree_node phys; /* dma_debug.by_phys, if written */
	struct dma_debug_ref ref;
	bool written;
	bool unchecked; /* nobody asked dma_mapping_error() */
	u32 nr_frames;
	void *frames[NR_FRAMES];
};

struct dma_debug {
	struct dma_core *core;
	struct mutex lock; /* all of it */
	struct rb_root_cached by_addr, by_phys;
	bool off; /* out of memory once; atomic */
	struct device_notifier nb;
};

static const char *const type_names[] = {
	[DMA_DEBUG_SINGLE] = "single",	   [DMA_DEBUG_SG] = "scatter-gather",
	[DMA_DEBUG_COHERENT] = "coherent", [DMA_DEBUG_NONCOHERENT] = "noncoherent",
	[DMA_DEBUG_RESOURCE] = "resource",
};

static const char *const dir_names[] = {
	[DMA_BIDIRECTIONAL] = "DMA_BIDIRECTIONAL",
	[DMA_TO_DEVICE] = "DMA_TO_DEVICE",
	[DMA_FROM_DEVICE] = "DMA_FROM_DEVICE",
	[DMA_NONE] = "DMA_NONE",
};

static const char *dir_name(enum dma_data_direction dir)
{
	return dir <= DMA_NONE ? dir_names[dir] : "an invalid direction";
}

static u64 last_of(u64 start, u64 size)
{
	return size ? start + size - 1 : start;
}

static void complain(struct dma_debug *debug, struct device *dev, const struct entry *e,
		     const char *text)
{
	u64 now[NR_FRAMES], mapped[NR_FRAMES];
	void *raw[NR_FRAMES];
	int n = backtrace(raw, NR_FRAMES);

	pr_warn("DMA-API: %s: %s", dev_name(dev), text);
	for (int i = 0; i < n; i++)
		now[i] = (uintptr_t)raw[i];
	for (u32 i = 0; e && i < e->nr_frames; i++)
		mapped[i] = (uintptr_t)e->frames[i];
	machine_event(debug->core->machine, dma_api, dev, text, (u32)n, now,
		      e ? e->nr_frames : 0, mapped);
}

static void __printf(4, 5) complainf(struct dma_debug *debug, struct device *dev,
				     const struct entry *e, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	complain(debug, dev, e, text);
}

void dma_debug_say(struct dma_debug *debug, struct device *dev, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	mutex_lock(&debug->lock);
	complain(debug, dev, NULL, text);
	mutex_unlock(&debug->lock);
}

static struct entry *by_addr_next(const struct interval_tree_node *it)
{
	return it ? container_of(it, struct entry, addr) : NULL;
}

/* The mapping of @ref's device that begins at its address, the most alike of several. */
static struct entry *find_exact(struct dma_debug *debug, const struct dma_debug_ref *ref)
{
	struct interval_tree_node *it;
	struct entry *best = NULL;
	int best_score = -1;

	for (it = interval_tree_iter_first(&debug->by_addr, ref->addr, ref->addr); it;
	     it = interval_tree_iter_next(it, ref->addr, ref->addr)) {
		struct entry *e = by_addr_next(it);
		int score = (e->ref.size == ref->size) + (e->ref.type == ref->type) +
			    (e->ref.dir == ref->dir);

		if (e->ref.dev != ref->dev || e->ref.addr != ref->addr ||
		    score <= best_score)
			continue;
		best = e;
		best_score = score;
	}
	return best;
}

static struct entry *find_holding(struct dma_debug *debug,
				  const struct dma_debug_ref *ref)
{
	struct interval_tree_node *it;

	for (it = interval_tree_iter_first(&debug->by_addr, ref->addr, ref->addr); it;
	     it = interval_tree_iter_next(it, ref->addr, ref->addr)) {
		struct entry *e = by_addr_next(it);

		if (e->ref.dev == ref->dev)
			return e;
	}
	return NULL;
}

static void entry_free(struct dma_debug *debug, struct entry *e)
{
	interval_tree_remove(&e->addr, &debug->by_addr);
	if (e->written)
		interval_tree_remove(&e->phys, &debug->by_phys);
	kfree(e);
}

static bool is_off(const struct dma_debug *debug)
{
	return __atomic_load_n(&debug->off, __ATOMIC_RELAXED);
}

void dma_debug_map(struct dma_debug *debug, const struct dma_debug_ref *ref)
{
	struct entry *e;

	if (is_off(debug))
		return;
	e = kzalloc(sizeof(*e));
	if (!e) {
		pr_err("DMA-API: debugging out of memory - disabling");
		__atomic_store_n(&debug->off, true, __ATOMIC_RELAXED);
		return;
	}
	e->ref = *ref;
	e->addr.start = ref->addr;
	e->addr.last = last_of(ref->addr, ref->size);
	e->unchecked = ref->type == DMA_DEBUG_SINGLE || ref->type == DMA_DEBUG_RESOURCE;
	e->nr_frames = (u32)backtrace(e->frames, NR_FRAMES);
	/* Of a list's merged segments only the first part's place is known. */
	e->written = ref->dir != DMA_TO_DEVICE && ref->type == DMA_DEBUG_SINGLE;
	e->phys.start = ref->phys & ~(CACHE_LINE - 1);
	e->phys.last = last_of(ref->phys, ref->size) | (CACHE_LINE - 1);
	mutex_lock(&debug->lock);
	if (e->written) {
		struct interval_tree_node *it = interval_tree_iter_first(
			&debug->by_phys, e->phys.start, e->phys.last);

		if (it)
			complain(debug, ref->dev, container_of(it, struct entry, phys),
				 "cacheline tracking EEXIST, overlapping mappings aren't "
				 "supported");
		interval_tree_insert(&e->phys, &debug->by_phys);
	}
	interval_tree_insert(&e->addr, &debug->by_addr);
	mutex_unlock(&debug->lock);
}

static void check_unmap(struct dma_debug *debug, const struct entry *e,
			const struct dma_debug_ref *ref)
{
	const struct dma_debug_ref *was = &e->ref;

	if (was->size != ref->size)
		complainf(debug, ref->dev, e,
			  "device driver frees DMA memory with different size [device "
			  "address=0x%016llx] [map size=%llu bytes] [unmap size=%llu "
			  "bytes]",
			  (unsigned long long)ref->addr, (unsigned long long)was->size,
			  (unsigned long long)ref->size);
	if (was->type != ref->type)
		complainf(debug, ref->dev, e,
			  "device driver frees DMA memory with wrong function [device "
			  "address=0x%016llx] [size=%llu bytes] [mapped as %s] [unmapped "
			  "as "
			  "%s]",
			  (unsigned long long)ref->addr, (unsigned long long)ref->size,
			  type_names[was->type], type_names[ref->type]);
	else if (was->type == DMA_DEBUG_COHERENT && was->phys != ref->phys)
		complainf(debug, ref->dev, e,
			  "device driver frees DMA memory with different CPU address "
			  "[device address=0x%016llx] [size=%llu bytes]",
			  (unsigned long long)ref->addr, (unsigned long long)ref->size);
	if (ref->sg_nents && was->type == DMA_DEBUG_SG && was->sg_nents != ref->sg_nents)
		complainf(
			debug, ref->dev, e,
			"device driver frees DMA sg list with different entry count [map "
			"count=%u] [unmap count=%u]",
			was->sg_nents, ref->sg_nents);
	if (was->dir != ref->dir)
		complainf(
			debug, ref->dev, e,
			"device driver frees DMA memory with different direction [device "
			"address=0x%016llx] [size=%llu bytes] [mapped with %s] [unmapped "
			"with %s]",
			(unsigned long long)ref->addr, (unsigned long long)ref->size,
			dir_name(was->dir), dir_name(ref->dir));
	if (e->unchecked)
		complainf(debug, ref->dev, e,
			  "device driver failed to check map error [device "
			  "address=0x%016llx] [size=%llu bytes] [mapped as %s]",
			  (unsigned long long)ref->addr, (unsigned long long)ref->size,
			  type_names[was->type]);
}

void dma_debug_unmap(struct dma_debug *debug, const struct dma_debug_ref *ref)
{
	struct entry *e;

	if (is_off(debug))
		return;
	guard(mutex)(&debug->lock);
	e = find_exact(debug, ref);
	if (!e && ref->addr == DMA_MAPPING_ERROR) {
		complain(debug, ref->dev, NULL,
			 "device driver tries to free an invalid DMA memory address");
		return;
	}
	if (!e) {
		complainf(debug, ref->dev, NULL,
			  "device driver tries to free DMA memory it has not allocated "
			  "[device address=0x%016llx] [size=%llu bytes]",
			  (unsigned long long)ref->addr, (unsigned long long)ref->size);
		return;
	}
	check_unmap(debug, e, ref);
	entry_free(debug, e);
}

void dma_debug_sync(struct dma_debug *debug, const struct dma_debug_ref *ref, bool to_cpu)
{
	struct entry *e;

	if (is_off(debug))
		return;
	guard(mutex)(&debug->lock);
	e = find_holding(debug, ref);
	if (!e) {
		complainf(debug, ref->dev, NULL,
			  "device driver tries to sync DMA memory it has not allocated "
			  "[device address=0x%016llx] [size=%llu bytes]",
			  (unsigned long long)ref->addr, (unsigned long long)ref->size);
		return;
	}
	if (ref->size > e->addr.last - ref->addr + 1)
		complainf(
			debug, ref->dev, e,
			"device driver syncs DMA memory outside allocated range [device "
			"address=0x%016llx] [allocation size=%llu bytes] [sync "
			"size=%llu]",
			(unsigned long long)ref->addr, (unsigned long long)e->ref.size,
			(unsigned long long)ref->size);
	if (e->ref.dir == DMA_BIDIRECTIONAL)
		return;
	if (e->ref.dir != ref->dir)
		complainf(
			debug, ref->dev, e,
			"device driver syncs DMA memory with different direction [device "
			"address=0x%016llx] [size=%llu bytes] [mapped with %s] [synced "
			"with %s]",
			(unsigned long long)ref->addr, (unsigned long long)ref->size,
			dir_name(e->ref.dir), dir_name(ref->dir));
	if (to_cpu && e->ref.dir == DMA_TO_DEVICE)
		complainf(
			debug, ref->dev, e,
			"device driver syncs device read-only DMA memory for cpu [device "
			"address=0x%016llx] [size=%llu bytes]",
			(unsigned long long)ref->addr, (unsigned long long)ref->size);
	if (!to_cpu && e->ref.dir == DMA_FROM_DEVICE)
		complainf(debug, ref->dev, e,
			  "device driver syncs device write-only DMA memory to device "
			  "[device address=0x%016llx] [size=%llu bytes]",
			  (unsigned long long)ref->addr, (unsigned long long)ref->size);
}

void dma_debug_error_checked(struct dma_debug *debug, struct device *dev, dma_addr_t addr)
{
	struct interval_tree_node *it;

	if (is_off(debug))
		return;
	guard(mutex)(&debug->lock);
	for (it = interval_tree_iter_first(&debug->by_addr, addr, addr); it;
	     it = interval_tree_iter_next(it, addr, addr)) {
		struct entry *e = by_addr_next(it);

		/* The same address mapped twice is told apart by nothing: one a call. */
		if (e->ref.dev == dev && e->ref.addr == addr && e->unchecked) {
			e->unchecked = false;
			return;
		}
	}
}

/* A driver has let go of its device: whatever it left mapped is a leak. */
static void on_device(struct device_notifier *nb, enum device_event event,
		      struct device *dev)
{
	struct dma_debug *debug = container_of(nb, struct dma_debug, nb);
	struct interval_tree_node *it, *next;
	struct entry *first = NULL;
	unsigned count = 0;

	if (event != DEVICE_UNBOUND || is_off(debug))
		return;
	guard(mutex)(&debug->lock);
	for (it = interval_tree_iter_first(&debug->by_addr, 0, ~0ULL); it; it = next) {
		struct entry *e = by_addr_next(it);

		next = interval_tree_iter_next(it, 0, ~0ULL);
		if (e->ref.dev != dev)
			continue;
		if (count++)
			entry_free(debug, e);
		else
			first = e;
	}
	if (!first)
		return;
	complainf(debug, dev, first,
		  "device driver has pending DMA allocations while released from device "
		  "[count=%u] One of leaked entries details: [device address=0x%016llx] "
		  "[size=%llu bytes] [mapped with %s] [mapped as %s]",
		  count, (unsigned long long)first->ref.addr,
		  (unsigned long long)first->ref.size, dir_name(first->ref.dir),
		  type_names[first->ref.type]);
	entry_free(debug, first);
}

int dma_debug_create(struct dma_core *core)
{
	struct dma_debug *debug;
	const char *value;
	size_t len;

	if (cmdline_get(core->machine, "dma_debug", &value, &len) && len == 3 &&
	    !memcmp(value, "off", 3))
		return 0;
	debug = kzalloc(sizeof(*debug));
	if (!debug)
		return -ENOMEM;
	debug->core = core;
	mutex_init(&debug->lock);
	debug->by_addr = debug->by_phys = RB_ROOT_CACHED;
	debug->nb.notify = on_device;
	device_register_notifier(core->machine, &debug->nb);
	core->debug = debug;
	return 0;
}

void dma_debug_destroy(struct dma_core *core)
{
	struct dma_debug *debug = core->debug;
	struct interval_tree_node *it;

	if (!debug)
		return;
	device_unregister_notifier(core->machine, &debug->nb);
	core->debug = NULL;
	while ((it = interval_tree_iter_first(&debug->by_addr, 0, ~0ULL)))
		entry_free(debug, by_addr_next(it));
	mutex_destroy(&debug->lock);
	kfree(debug);
}
