// SPDX-License-Identifier: MIT
/*
 * Collects what goes wrong. Mappings are kept by space, the live ones and the newest
 * of those that are gone, so that a fault can be told apart: past the end of a
 * mapping, after its unmap, not permitted, or nowhere near anything.
 *
 * Runs on the server's one thread. When memory is short a record is dropped, never
 * the program.
 */
#include "server/report_priv.h"

#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/overflow.h"
#include "machine/endpoint.h"

/* An access this far from a mapping is called "past its end" or "before it". */
#define NEAR_BYTES (1ULL << 20)

static struct rspace *space_find(struct report *r, u64 id)
{
	struct rspace *s;

	list_for_each_entry(s, &r->spaces, node) {
		if (s->id == id)
			return s;
	}
	return NULL;
}

static struct rspace *space_get(struct report *r, u64 id)
{
	struct rspace *s = space_find(r, id);

	if (s)
		return s;
	s = kzalloc(sizeof(*s));
	if (!s)
		return NULL;
	s->id = id;
	s->live = RB_ROOT_CACHED;
	s->dead = RB_ROOT_CACHED;
	list_add(&s->node, &r->spaces);
	return s;
}

static struct rmap *rmap_first(struct rb_root_cached *root, iova_t start, iova_t last)
{
	struct interval_tree_node *it = interval_tree_iter_first(root, start, last);

	return it ? container_of(it, struct rmap, it) : NULL;
}

static void dead_forget(struct report *r, struct rspace *s, struct rmap *map)
{
	interval_tree_remove(&map->it, &s->dead);
	list_del(&map->node);
	r->nr_dead--;
	kfree(map);
}

static void rmap_kill(struct report *r, struct rspace *s, struct rmap *map,
		      const struct trace *trace)
{
	struct rmap *old;

	interval_tree_remove(&map->it, &s->live);
	s->nr_live--;
	map->gone = true;
	map->unmapped = trace;
	interval_tree_insert(&map->it, &s->dead);
	list_add_tail(&map->node, &r->dead);
	if (++r->nr_dead <= REPORT_MAX_DEAD)
		return;
	old = list_first_entry(&r->dead, struct rmap, node);
	s = space_find(r, old->space);
	dead_forget(r, s, old);
}

static const struct trace *call_trace(struct report *r, struct call *call)
{
	if (!call)
		return NULL;
	return trace_depot_get(r->depot, call->pid, call->nr_frames, call->frames);
}

static void on_map(struct machine *m, struct call *call, u64 space, iova_t iova,
		   iova_t last, u64 vaddr, unsigned prot)
{
	struct report *r = m->events_data;
	struct rspace *s = space_get(r, space);
	struct rmap *map = s ? kzalloc(sizeof(*map)) : NULL;

	if (!map)
		return;
	map->it.start = iova;
	map->it.last = last;
	map->space = space;
	map->vaddr = vaddr;
	map->prot = prot;
	map->mapped = call_trace(r, call);
	INIT_LIST_HEAD(&map->node);
	interval_tree_insert(&map->it, &s->live);
	s->nr_live++;
}

static void on_unmap(struct machine *m, struct call *call, u64 space, iova_t iova,
		     iova_t last)
{
	struct report *r = m->events_data;
	struct rspace *s = space_find(r, space);
	const struct trace *trace = call_trace(r, call);
	struct rmap *map;

	while (s && (map = rmap_first(&s->live, iova, last)))
		rmap_kill(r, s, map, trace);
}

static void on_attach(struct machine *m, struct device *dev, u64 space)
{
	struct report *r = m->events_data;

	/* After a detach the last space still explains what the device does. */
	if (space && dev->hw_function >= 0 && dev->hw_function < HW_MAX_FUNCTIONS)
		r->space_of[dev->hw_function] = space;
}

static bool same_problem(const struct record *a, const struct record *b)
{
	if (a->kind != b->kind || a->pid != b->pid)
		return false;
	switch (a->kind) {
	case RECORD_FAULT:
		return a->fault.function == b->fault.function &&
		       a->fault.access == b->fault.access &&
		       a->fault.class == b->fault.class &&
		       a->fault.reason == b->fault.reason &&
		       a->fault.iova == b->fault.iova &&
		       a->fault.pasid == b->fault.pasid &&
		       a->fault.irq_data == b->fault.irq_data &&
		       a->map_gone == b->map_gone;
	case RECORD_LOST:
		return a->how == b->how && a->vaddr == b->vaddr;
	case RECORD_LEAK:
		return false;
	case RECORD_MMIO:
		return a->function == b->function && a->bar == b->bar &&
		       a->offset == b->offset && a->width == b->width &&
		       a->write == b->write;
	case RECORD_DMA_API:
		return a->function == b->function && !strcmp(a->what, b->what);
	}
	return false;
}

static void record_add(struct report *r, const struct record *what)
{
	struct record *rec;

	if (what->error)
		r->errors++;
	else
		r->warnings++;
	list_for_each_entry(rec, &r->records, node) {
		if (same_problem(rec, what)) {
			rec->count++;
			return;
		}
	}
	rec = r->nr_records < REPORT_MAX_RECORDS ? kzalloc(sizeof(*rec)) : NULL;
	if (!rec) {
		r->dropped++;
		return;
	}
	*rec = *what;
	rec->count = 1;
	list_add_tail(&rec->node, &r->records);
	r->nr_records++;
}

static void record_take_map(struct record *rec, const struct rmap *map, enum rwhere where,
			    u64 distance)
{
	rec->has_map = true;
	rec->map_gone = map->gone;
	rec->map_start = map->it.start;
	rec->map_last = map->it.last;
	rec->map_vaddr = map->vaddr;
	rec->map_prot = map->prot;
	rec->mapped = map->mapped;
	rec->unmapped = map->unmapped;
	rec->where = where;
	rec->distance = distance;
}

/* The dead mapping over @iova that was unmapped last. */
static struct rmap *dead_newest(struct report *r, struct rspace *s, iova_t iova)
{
	struct rmap *map;

	if (!interval_tree_iter_first(&s->dead, iova, iova))
		return NULL;
	list_for_each_entry_reverse(map, &r->dead, node) {
		if (map->space == s->id && map->it.start <= iova && map->it.last >= iova)
			return map;
	}
	return NULL;
}

/* The live mapping that ends next before @iova, or else begins next after it, if near. */
static struct rmap *live_near(struct rspace *s, iova_t iova, enum rwhere *where,
			      u64 *distance)
{
	struct rmap *best = NULL, *map;
	struct interval_tree_node *it;
	u64 low = iova > NEAR_BYTES ? iova - NEAR_BYTES : 0;
	u64 high;

	if (check_add_overflow(iova, NEAR_BYTES, &high))
		high = ~0ULL;
	for (it = interval_tree_iter_first(&s->live, low, high); it;
	     it = interval_tree_iter_next(it, low, high)) {
		map = container_of(it, struct rmap, it);
		if (map->it.last < iova) {
			best = map;
			*where = WHERE_AFTER;
			*distance = iova - map->it.last - 1;
		} else {
			if (!best) {
				best = map;
				*where = WHERE_BEFORE;
				*distance = map->it.start - iova;
			}
			break;
		}
	}
	return best;
}

static void record_locate(struct report *r, struct record *rec)
{
	struct rspace *s = space_find(r, r->space_of[rec->fault.function]);
	iova_t iova = rec->fault.iova;
	enum rwhere where = WHERE_NOWHERE;
	u64 distance = 0;
	struct rmap *map;

	if (!s)
		return;
	map = rmap_first(&s->live, iova, iova);
	if (map) {
		record_take_map(rec, map, WHERE_INSIDE, iova - map->it.start);
		return;
	}
	map = dead_newest(r, s, iova);
	if (map) {
		record_take_map(rec, map, WHERE_INSIDE, iova - map->it.start);
		return;
	}
	map = live_near(s, iova, &where, &distance);
	if (map)
		record_take_map(rec, map, where, distance);
}

static void on_fault(struct machine *m, const struct dma_fault *fault, u32 pid,
		     u32 nr_frames, const u64 *frames)
{
	struct report *r = m->events_data;
	struct record rec = {
		.kind = RECORD_FAULT,
		.error = true,
		.pid = pid,
		.fault = *fault,
	};

	/* The fault may come from a program: believe nothing that indexes. */
	if (fault->function >= m->hw.hdr->nr_functions ||
	    fault->function >= HW_MAX_FUNCTIONS)
		return;
	r->faults++;
	rec.trace = trace_depot_get(r->depot, pid, nr_frames, frames);
	if (fault->class != FAULT_IRQ)
		record_locate(r, &rec);
	record_add(r, &rec);
}

static void on_space_gone(struct machine *m, u64 space, u64 mappings)
{
	struct report *r = m->events_data;
	struct rspace *s = space_find(r, space);
	struct record rec = {.kind = RECORD_LEAK, .len = mappings};
	struct interval_tree_node *it;

	if (s && mappings) {
		it = interval_tree_iter_first(&s->live, 0, ~0ULL);
		if (it) {
			struct rmap *map = container_of(it, struct rmap, it);

			record_take_map(&rec, map, WHERE_INSIDE, 0);
			rec.pid = map->mapped ? map->mapped->pid : 0;
		}
		record_add(r, &rec);
	}
	/* The id may be given out again; what was mapped in it stays known as gone. */
	while (s && (it = interval_tree_iter_first(&s->live, 0, ~0ULL)))
		rmap_kill(r, s, container_of(it, struct rmap, it), NULL);
}

static void on_dma_api(struct machine *m, struct device *dev, const char *what,
		       u32 nr_frames, const u64 *frames, u32 nr_mapped, const u64 *mapped)
{
	struct report *r = m->events_data;
	struct record rec = {
		.kind = RECORD_DMA_API,
		.error = true,
		.pid = (u32)getpid(),
		.function = (u32)dev->hw_function,
	};

	if (dev->hw_function < 0)
		return;
	strncpy(rec.what, what, sizeof(rec.what) - 1);
	rec.trace = trace_depot_get(r->depot, rec.pid, nr_frames, frames);
	rec.mapped = trace_depot_get(r->depot, rec.pid, nr_mapped, mapped);
	record_add(r, &rec);
}

static const struct machine_events report_events = {
	.map = on_map,
	.unmap = on_unmap,
	.attach = on_attach,
	.space_gone = on_space_gone,
	.fault = on_fault,
	.dma_api = on_dma_api,
};

void report_memory_lost(struct report *r, struct mm *mm, u64 vaddr, u64 len,
			enum report_lost how, u32 nr_frames, const u64 *frames)
{
	struct record rec = {
		.kind = RECORD_LOST,
		.pid = mm->pid,
		.how = how,
		.vaddr = vaddr,
		.len = len,
	};

	rec.trace = trace_depot_get(r->depot, mm->pid, nr_frames, frames);
	record_add(r, &rec);
}

void report_mmio(struct report *r, u32 function, unsigned bar, u64 offset, unsigned width,
		 bool write, bool outside, u32 pid, u32 nr_frames, const u64 *frames)
{
	struct record rec = {
		.kind = RECORD_MMIO,
		.pid = pid,
		.function = function,
		.bar = bar,
		.offset = offset,
		.width = width,
		.write = write,
		.outside = outside,
	};

	if (function >= r->machine->hw.hdr->nr_functions)
		return;
	rec.trace = trace_depot_get(r->depot, pid, nr_frames, frames);
	record_add(r, &rec);
}

void report_exec(struct report *r, u32 pid)
{
	trace_depot_exec(r->depot, pid);
}

int report_attach(struct machine *m, struct report **out)
{
	struct report *r = kzalloc(sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->machine = m;
	INIT_LIST_HEAD(&r->spaces);
	INIT_LIST_HEAD(&r->records);
	INIT_LIST_HEAD(&r->dead);
	r->depot = trace_depot_create();
	r->space_of = kcalloc(HW_MAX_FUNCTIONS, sizeof(*r->space_of));
	if (!r->depot || !r->space_of) {
		report_free(r);
		return -ENOMEM;
	}
	m->events_data = r;
	m->events = &report_events;
	*out = r;
	return 0;
}

void report_free(struct report *r)
{
	struct record *rec, *next_rec;
	struct rspace *s, *next;

	if (!r)
		return;
	if (r->machine->events_data == r) {
		r->machine->events = NULL;
		r->machine->events_data = NULL;
	}
	list_for_each_entry_safe(s, next, &r->spaces, node) {
		struct interval_tree_node *it;

		while ((it = interval_tree_iter_first(&s->live, 0, ~0ULL)))
			rmap_kill(r, s, container_of(it, struct rmap, it), NULL);
		while ((it = interval_tree_iter_first(&s->dead, 0, ~0ULL)))
			dead_forget(r, s, container_of(it, struct rmap, it));
		list_del(&s->node);
		kfree(s);
	}
	list_for_each_entry_safe(rec, next_rec, &r->records, node)
		kfree(rec);
	trace_depot_free(r->depot);
	kfree(r->space_of);
	kfree(r);
}

u64 report_errors(const struct report *r)
{
	return r->errors;
}

bool report_is_empty(const struct report *r)
{
	return list_empty(&r->records) && !r->dropped;
}

void report_function_name(const struct report *r, u32 function, char *buf, size_t size)
{
	const struct hw *hw = &r->machine->hw;
	const struct hw_function *fn = &hw->functions[function];
	const struct endpoint_model *model = NULL;

	if (fn->model && hw->endpoint_models)
		model = hw->endpoint_models[fn->model];
	snprintf(buf, size, "%04x:%02x:%02x.%x%s%s%s", fn->segment, fn->bdf >> 8,
		 (fn->bdf >> 3) & 0x1f, fn->bdf & 7, model ? " (" : "",
		 model ? model->name : "", model ? ")" : "");
}

const char *report_reason(const struct report *r, const struct dma_fault *fault)
{
	const struct hw *hw = &r->machine->hw;
	const struct unit_ops *ops = NULL;
	const char *words = NULL;

	if (fault->unit < HW_MAX_UNITS && hw->unit_ops) {
		u32 kind = hw->units[fault->unit].kind;

		if (kind < UNIT_NR_KINDS)
			ops = hw->unit_ops[kind];
	}
	if (ops && ops->reason && fault->reason)
		words = ops->reason(fault->reason);
	return words ? words : "";
}

const char *record_title(const struct record *rec)
{
	switch (rec->kind) {
	case RECORD_LOST:
		return rec->how == REPORT_MUNMAP
			       ? "program memory unmapped while mapped for DMA"
			       : "program memory protected while mapped for DMA";
	case RECORD_LEAK:
		return "mappings left when the last descriptor closed";
	case RECORD_MMIO:
		return rec->outside ? "register access outside the BAR"
				    : "register access of a width that the device does "
				      "not take";
	case RECORD_DMA_API:
		return "a host driver breaks a rule of the DMA API";
	case RECORD_FAULT:
		break;
	}
	switch (rec->fault.class) {
	case FAULT_NOT_PRESENT:
		if (rec->has_map && rec->map_gone)
			return "DMA after unmap";
		if (rec->where == WHERE_AFTER)
			return "DMA past the end of a mapping";
		if (rec->where == WHERE_BEFORE)
			return "DMA before the start of a mapping";
		return "DMA to an address that was never mapped";
	case FAULT_READ:
	case FAULT_WRITE:
		if (rec->has_map && rec->map_gone)
			return "DMA after unmap";
		if (rec->has_map && rec->where == WHERE_INSIDE)
			return rec->fault.class == FAULT_READ
				       ? "DMA read from a write-only mapping"
				       : "DMA write to a read-only mapping";
		if (rec->where == WHERE_AFTER)
			return "DMA past the end of a mapping";
		if (rec->where == WHERE_BEFORE)
			return "DMA before the start of a mapping";
		return "DMA to an address that was never mapped";
	case FAULT_BLOCKED:
		return "DMA by a device that is attached to nothing";
	case FAULT_ADDRESS_WIDTH:
		return "DMA beyond the address width";
	case FAULT_TABLE:
		return "DMA through a malformed table";
	case FAULT_IRQ:
		return "interrupt blocked";
	case FAULT_UNBACKED:
		return "DMA to a physical address where nothing is";
	case FAULT_MEMORY_GONE:
		return "DMA to program memory that no longer exists";
	}
	return "DMA refused";
}

const char *record_kind_name(const struct record *rec)
{
	static const char *const classes[] = {
		[FAULT_NOT_PRESENT] = "not-present",
		[FAULT_READ] = "read-not-permitted",
		[FAULT_WRITE] = "write-not-permitted",
		[FAULT_BLOCKED] = "blocked",
		[FAULT_ADDRESS_WIDTH] = "address-width",
		[FAULT_TABLE] = "bad-table",
		[FAULT_IRQ] = "interrupt-blocked",
		[FAULT_UNBACKED] = "unbacked",
		[FAULT_MEMORY_GONE] = "memory-gone",
	};

	switch (rec->kind) {
	case RECORD_LOST:
		return rec->how == REPORT_MUNMAP ? "memory-unmapped" : "memory-protected";
	case RECORD_LEAK:
		return "mappings-left";
	case RECORD_MMIO:
		return rec->outside ? "mmio-outside" : "mmio-width";
	case RECORD_DMA_API:
		return "dma-api";
	case RECORD_FAULT:
		break;
	}
	if (rec->fault.class < ARRAY_SIZE(classes) && classes[rec->fault.class])
		return classes[rec->fault.class];
	return "refused";
}

void report_print(struct report *r, FILE *out, enum report_format format,
		  struct report_symbolizer *sym)
{
	if (format == REPORT_JSON)
		report_print_json(r, out, sym);
	else if (!report_is_empty(r))
		report_print_text(r, out, sym);
	fflush(out);
}
