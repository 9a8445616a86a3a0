// SPDX-License-Identifier: MIT
/*
 * The report as one JSON object; docs/report.md is its schema. Addresses are
 * strings in hexadecimal, because JSON numbers lose bits beyond 2^53.
 */
#include "server/report_priv.h"

#include <inttypes.h>
#include <jansson.h>

/* jansson's *_new functions steal references and take NULL: short memory drops a field.
 */
static void put_hex(json_t *o, const char *key, u64 value)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	json_object_set_new(o, key, json_string(text));
}

static void put_int(json_t *o, const char *key, u64 value)
{
	json_object_set_new(o, key, json_integer((json_int_t)value));
}

static void put_str(json_t *o, const char *key, const char *value)
{
	json_object_set_new(o, key, json_string(value));
}

static void put_trace(json_t *o, const char *key, const struct trace *t,
		      struct report_symbolizer *sym)
{
	json_t *trace, *frames;

	if (!t)
		return;
	trace = json_object();
	frames = json_array();
	put_int(trace, "pid", t->pid);
	put_str(trace, "command", t->comm);
	for (u32 i = 0; i < t->nr_frames; i++) {
		const struct report_frame *f = &t->frame[i];
		json_t *frame = json_object();
		char text[512];

		put_hex(frame, "pc", f->pc);
		if (f->path) {
			put_str(frame, "module", f->path);
			put_hex(frame, "offset", f->offset);
		}
		if (sym && sym->resolve(sym, f, text, sizeof(text)))
			put_str(frame, "symbol", text);
		json_array_append_new(frames, frame);
	}
	json_object_set_new(trace, "frames", frames);
	json_object_set_new(o, key, trace);
}

static void put_fault(json_t *o, struct report *r, const struct record *rec,
		      struct report_symbolizer *sym)
{
	static const char *const where[] = {
		[WHERE_NOWHERE] = "nowhere",
		[WHERE_INSIDE] = "inside",
		[WHERE_AFTER] = "after",
		[WHERE_BEFORE] = "before",
	};
	const struct dma_fault *f = &rec->fault;
	char name[64];

	report_function_name(r, f->function, name, sizeof(name));
	put_str(o, "device", name);
	put_str(o, "operation", f->access == DMA_WRITE ? "write" : "read");
	put_hex(o, "iova", f->iova);
	put_int(o, "length", f->len);
	put_hex(o, "source_id", f->sid);
	if (f->pasid != NO_PASID)
		put_int(o, "pasid", f->pasid);
	if (f->class == FAULT_IRQ)
		put_hex(o, "message", f->irq_data);
	put_hex(o, "reason", f->reason);
	put_str(o, "reason_text", report_reason(r, f));
	put_str(o, "where", where[rec->where]);
	if (rec->has_map) {
		json_t *map = json_object();

		put_int(o, "distance", rec->distance);
		put_hex(map, "iova", rec->map_start);
		put_hex(map, "last", rec->map_last);
		put_hex(map, "vaddr", rec->map_vaddr);
		json_object_set_new(map, "read",
				    json_boolean(rec->map_prot & DMA_MAP_READ));
		json_object_set_new(map, "write",
				    json_boolean(rec->map_prot & DMA_MAP_WRITE));
		json_object_set_new(map, "unmapped", json_boolean(rec->map_gone));
		put_trace(map, "mapped_by", rec->mapped, sym);
		put_trace(map, "unmapped_by", rec->unmapped, sym);
		json_object_set_new(o, "mapping", map);
	}
}

static json_t *record_json(struct report *r, const struct record *rec,
			   struct report_symbolizer *sym)
{
	json_t *o = json_object();
	char name[64];

	put_str(o, "severity", rec->error ? "error" : "warning");
	put_str(o, "kind", record_kind_name(rec));
	put_str(o, "title", record_title(rec));
	put_int(o, "count", rec->count);
	put_int(o, "pid", rec->pid);
	switch (rec->kind) {
	case RECORD_FAULT:
		put_fault(o, r, rec, sym);
		break;
	case RECORD_LOST:
		put_hex(o, "vaddr", rec->vaddr);
		put_int(o, "length", rec->len);
		break;
	case RECORD_LEAK:
		put_int(o, "mappings", rec->len);
		put_trace(o, "mapped_by", rec->mapped, sym);
		break;
	case RECORD_MMIO:
		report_function_name(r, rec->function, name, sizeof(name));
		put_str(o, "device", name);
		put_int(o, "bar", rec->bar);
		put_hex(o, "offset", rec->offset);
		put_int(o, "width", rec->width);
		put_str(o, "operation", rec->write ? "write" : "read");
		break;
	case RECORD_DMA_API:
		report_function_name(r, rec->function, name, sizeof(name));
		put_str(o, "device", name);
		put_str(o, "what", rec->what);
		put_trace(o, "mapped_by", rec->mapped, sym);
		break;
	}
	put_trace(o, "at", rec->trace, sym);
	return o;
}

void report_print_json(struct report *r, FILE *out, struct report_symbolizer *sym)
{
	json_t *root = json_object(), *list = json_array();
	struct record *rec;

	list_for_each_entry(rec, &r->records, node)
		json_array_append_new(list, record_json(r, rec, sym));
	put_int(root, "version", 1);
	put_int(root, "errors", r->errors);
	put_int(root, "warnings", r->warnings);
	put_int(root, "not_listed", r->dropped);
	json_object_set_new(root, "records", list);
	json_dumpf(root, out, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	fputc('\n', out);
	json_decref(root);
}
