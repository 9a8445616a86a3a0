// SPDX-License-Identifier: MIT
/*
 * The report as a person reads it: in the form of a sanitizer's, so that eyes and
 * scripts that know one know the other.
 */
#include "server/report_priv.h"

#include <inttypes.h>
#include <string.h>

/* Frames of the preload library and of libc's ioctl say nothing to the reader. */
static bool frame_is_ours(const struct report_frame *f)
{
	const char *base = f->path ? strrchr(f->path, '/') : NULL;

	return base && !strcmp(base, "/libmoat-preload.so");
}

static void print_trace(FILE *out, const char *what, const struct trace *t,
			struct report_symbolizer *sym)
{
	u32 number = 0;

	if (!t)
		return;
	fprintf(out, "  %s by process %u%s%s%s:\n", what, t->pid, t->comm[0] ? " (" : "",
		t->comm, t->comm[0] ? ")" : "");
	for (u32 i = 0; i < t->nr_frames; i++) {
		const struct report_frame *f = &t->frame[i];
		char text[512];

		if (frame_is_ours(f))
			continue;
		if (sym && sym->resolve(sym, f, text, sizeof(text)))
			fprintf(out, "    #%u 0x%" PRIx64 " %s\n", number, f->pc, text);
		else if (f->path)
			fprintf(out, "    #%u 0x%" PRIx64 " (%s+0x%" PRIx64 ")\n", number,
				f->pc, f->path, f->offset);
		else
			fprintf(out, "    #%u 0x%" PRIx64 "\n", number, f->pc);
		number++;
	}
}

static const char *prot_words(unsigned prot)
{
	switch (prot & (DMA_MAP_READ | DMA_MAP_WRITE)) {
	case DMA_MAP_READ | DMA_MAP_WRITE:
		return "read and write";
	case DMA_MAP_READ:
		return "read-only";
	case DMA_MAP_WRITE:
		return "write-only";
	}
	return "no access";
}

static void print_where(FILE *out, const struct record *rec)
{
	u64 iova = rec->fault.iova;

	if (!rec->has_map) {
		fprintf(out, "  IOVA 0x%" PRIx64 " lies in no mapping, now or before\n",
			iova);
		return;
	}
	fprintf(out,
		"  IOVA 0x%" PRIx64 " is %" PRIu64 " bytes %s the %" PRIu64
		"-byte %s mapping [0x%" PRIx64 ", 0x%" PRIx64
		"] of program memory 0x%" PRIx64 "%s\n",
		iova, rec->distance,
		rec->where == WHERE_INSIDE  ? "inside"
		: rec->where == WHERE_AFTER ? "past the end of"
					    : "before",
		rec->map_last - rec->map_start + 1, prot_words(rec->map_prot),
		rec->map_start, rec->map_last, rec->map_vaddr,
		rec->map_gone ? ", which was unmapped" : "");
}

static void print_fault(struct report *r, FILE *out, const struct record *rec,
			struct report_symbolizer *sym)
{
	const struct dma_fault *f = &rec->fault;
	const char *reason = report_reason(r, f);
	char name[64];

	report_function_name(r, f->function, name, sizeof(name));
	if (f->class == FAULT_IRQ)
		fprintf(out, "  message 0x%x written to 0x%" PRIx64 " by %s\n",
			f->irq_data, f->iova, name);
	else
		fprintf(out, "  %s of %" PRIu64 " bytes at IOVA 0x%" PRIx64 " by %s\n",
			f->access == DMA_WRITE ? "WRITE" : "READ", f->len, f->iova, name);
	if (f->reason)
		fprintf(out, "  unit %u: source 0x%04x, fault reason 0x%02x: %s\n",
			f->unit, f->sid, f->reason, reason);
	if (f->class != FAULT_IRQ)
		print_where(out, rec);
	print_trace(out, "device driven", rec->trace, sym);
	print_trace(out, "mapped", rec->mapped, sym);
	print_trace(out, "unmapped", rec->unmapped, sym);
}

static void print_record(struct report *r, FILE *out, const struct record *rec,
			 struct report_symbolizer *sym)
{
	char name[64];

	fprintf(out, "==%u==%s: Moat: %s", rec->pid, rec->error ? "ERROR" : "WARNING",
		record_title(rec));
	if (rec->count > 1)
		fprintf(out, " (%" PRIu64 " times)", rec->count);
	fputc('\n', out);

	switch (rec->kind) {
	case RECORD_FAULT:
		print_fault(r, out, rec, sym);
		break;
	case RECORD_LOST:
		fprintf(out,
			"  %" PRIu64 " bytes of program memory at 0x%" PRIx64
			"; a device can still reach "
			"the pages\n",
			rec->len, rec->vaddr);
		print_trace(out, rec->how == REPORT_MUNMAP ? "unmapped" : "protected",
			    rec->trace, sym);
		break;
	case RECORD_LEAK:
		fprintf(out, "  %" PRIu64 " mapping%s", rec->len,
			rec->len == 1 ? "" : "s");
		if (rec->has_map)
			fprintf(out, ", the first at IOVA [0x%" PRIx64 ", 0x%" PRIx64 "]",
				rec->map_start, rec->map_last);
		fputc('\n', out);
		print_trace(out, "mapped", rec->mapped, sym);
		break;
	case RECORD_MMIO:
		report_function_name(r, rec->function, name, sizeof(name));
		fprintf(out, "  %s of %u bytes at offset 0x%" PRIx64 " of BAR %u of %s\n",
			rec->write ? "WRITE" : "READ", rec->width, rec->offset, rec->bar,
			name);
		print_trace(out, "accessed", rec->trace, sym);
		break;
	case RECORD_DMA_API:
		report_function_name(r, rec->function, name, sizeof(name));
		fprintf(out, "  %s: %s\n", name, rec->what);
		print_trace(out, "called", rec->trace, sym);
		print_trace(out, "mapped", rec->mapped, sym);
		break;
	}
	fputc('\n', out);
}

void report_print_text(struct report *r, FILE *out, struct report_symbolizer *sym)
{
	struct record *rec;

	fprintf(out,
		"=================================================================\n");
	list_for_each_entry(rec, &r->records, node)
		print_record(r, out, rec, sym);
	if (r->dropped)
		fprintf(out, "and %" PRIu64 " more that are different from these\n",
			r->dropped);
	fprintf(out, "SUMMARY: Moat: %" PRIu64 " error%s, %" PRIu64 " warning%s\n",
		r->errors, r->errors == 1 ? "" : "s", r->warnings,
		r->warnings == 1 ? "" : "s");
}
