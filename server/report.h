/* SPDX-License-Identifier: MIT */
/*
 * The report: every DMA that went where it should not, and what a program left
 * undone, with who mapped, who unmapped and who drove the device. Collected in the
 * server through machine events; printed once, when the program has ended.
 *
 * Addresses of the program's code are kept with the module they lie in (file and
 * offset), because the program is gone when they are turned into names.
 */
#ifndef MOAT_SERVER_REPORT_H
#define MOAT_SERVER_REPORT_H

#include <stdio.h>

#include "machine/events.h"
#include "machine/mm.h"

struct report;

/* One frame of a backtrace: where in which file. */
struct report_frame {
	u64 pc;
	const char *path; /* module; NULL: not known */
	u64 offset;	  /* of pc in the file */
};

/*
 * Turns a frame into text ("main at foo.c:12"); false: leave it as file and offset.
 * @caller: pc is a return address, so the call lies just before it.
 */
struct report_symbolizer {
	bool (*resolve)(struct report_symbolizer *s, const struct report_frame *frame,
			char *buf, size_t size);
};

enum report_format { REPORT_TEXT, REPORT_JSON };

/* Listens to @m's events until report_free(). Return: 0, -ENOMEM. */
int __must_check report_attach(struct machine *m, struct report **out);
void report_free(struct report *r);

/* A process said hello: it is new, or runs another program from now on. */
void report_exec(struct report *r, u32 pid);

/* Memory under a mapping went away, or lost a permission, while a device could use it. */
enum report_lost { REPORT_MUNMAP = 1, REPORT_MPROTECT };
void report_memory_lost(struct report *r, struct mm *mm, u64 vaddr, u64 len,
			enum report_lost how, u32 nr_frames, const u64 *frames);

/* A register access that no register answers (enum wire_mmio). */
void report_mmio(struct report *r, u32 function, unsigned bar, u64 offset, unsigned width,
		 bool write, bool outside, u32 pid, u32 nr_frames, const u64 *frames);

/* Errors fail a --strict run; warnings do not. */
u64 report_errors(const struct report *r);
bool report_is_empty(const struct report *r);

void report_print(struct report *r, FILE *out, enum report_format format,
		  struct report_symbolizer *sym);

#endif
