/* SPDX-License-Identifier: MIT */
/*
 * What report.c collects and report_text.c and report_json.c print.
 */
#ifndef MOAT_SERVER_REPORT_PRIV_H
#define MOAT_SERVER_REPORT_PRIV_H

#include "base/interval_tree.h"
#include "base/list.h"
#include "server/report.h"
#include "server/trace_depot.h"

/* How many different problems are kept; what comes later is only counted. */
#define REPORT_MAX_RECORDS 256
/* How many mappings are remembered after their unmap, the newest. */
#define REPORT_MAX_DEAD 4096

/* One mapping of a space, live or gone. it.start and it.last are IOVAs. */
struct rmap {
	struct interval_tree_node it;
	struct list_head node; /* report.dead, oldest first, while gone */
	u64 space;
	u64 vaddr;
	unsigned prot; /* DMA_MAP_* */
	bool gone;
	const struct trace *mapped, *unmapped;
};

struct rspace {
	struct list_head node;
	u64 id;
	struct rb_root_cached live, dead;
	u64 nr_live;
};

/* Where an IOVA lies in relation to a mapping. */
enum rwhere {
	WHERE_NOWHERE, /* no mapping near it, now or before */
	WHERE_INSIDE,
	WHERE_AFTER, /* distance bytes past the end */
	WHERE_BEFORE,
};

enum rkind { RECORD_FAULT, RECORD_LOST, RECORD_LEAK, RECORD_MMIO, RECORD_DMA_API };

/* One distinct problem. */
struct record {
	struct list_head node;
	enum rkind kind;
	bool error; /* else a warning */
	u64 count;
	u32 pid;
	const struct trace *trace; /* who drove the device, munmapped, ... */

	/* RECORD_FAULT */
	struct dma_fault fault;
	enum rwhere where;
	u64 distance;
	bool has_map, map_gone;
	u64 map_start, map_last, map_vaddr;
	unsigned map_prot;
	const struct trace *mapped, *unmapped;

	/* RECORD_LOST: program memory [vaddr, vaddr + len); RECORD_LEAK: len mappings */
	enum report_lost how;
	u64 vaddr, len;

	/* RECORD_MMIO */
	u32 function;
	unsigned bar, width;
	bool write, outside;
	u64 offset;

	/* RECORD_DMA_API: function as above */
	char what[240];
};

struct report {
	struct machine *machine;
	struct trace_depot *depot;
	struct list_head spaces, records, dead;
	u64 nr_dead, nr_records, dropped;
	u64 errors, warnings, faults;
	u64 *space_of; /* by index of the hw_function */
};

/* "0000:00:05.0 (ioat)" */
void report_function_name(const struct report *r, u32 function, char *buf, size_t size);
const char *record_title(const struct record *rec);
const char *record_kind_name(const struct record *rec);
/* The unit's own words for a fault, or "". */
const char *report_reason(const struct report *r, const struct dma_fault *fault);

void report_print_text(struct report *r, FILE *out, struct report_symbolizer *sym);
void report_print_json(struct report *r, FILE *out, struct report_symbolizer *sym);

#endif
