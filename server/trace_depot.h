/* SPDX-License-Identifier: MIT */
/*
 * Backtraces of programs, each kept once. A program maps a million buffers from a
 * handful of places, so a mapping holds a pointer to its trace and no more. The
 * modules that the addresses lie in are looked up when a trace is first seen,
 * because the program may be gone when the report is printed.
 */
#ifndef MOAT_SERVER_TRACE_DEPOT_H
#define MOAT_SERVER_TRACE_DEPOT_H

#include "server/report.h"

#define TRACE_MAX_FRAMES 32

struct trace {
	struct trace *next; /* same bucket */
	u32 pid;
	u32 image;
	u32 nr_frames;
	char comm[16];
	struct report_frame frame[];
};

struct trace_depot;

struct trace_depot *trace_depot_create(void);
void trace_depot_free(struct trace_depot *depot);

/* The process runs another program from now on: its modules are others. */
void trace_depot_exec(struct trace_depot *depot, u32 pid);

/*
 * The one trace of these frames. Valid until trace_depot_free(); NULL when memory is
 * short or there are no frames.
 */
const struct trace *trace_depot_get(struct trace_depot *depot, u32 pid, u32 nr_frames,
				    const u64 *frames);

#endif
