/* SPDX-License-Identifier: MIT */
/*
 * What the report needs to know of the machine's life. Front ends call the
 * event_*() functions below; without a listener they cost one test. A space is
 * what a program maps into (a type1 container, an IOAS): any number that is unique
 * while it lives.
 */
#ifndef MOAT_MACHINE_EVENTS_H
#define MOAT_MACHINE_EVENTS_H

#include "machine/file.h"
#include "machine/machine.h"
#include "machine/unit.h"

#define DMA_MAP_READ  1 /* the device may read */
#define DMA_MAP_WRITE 2

struct machine_events {
	/* [iova, last] of the space now maps vaddr of the caller (call may be NULL). */
	void (*map)(struct machine *m, struct call *call, u64 space, iova_t iova,
		    iova_t last, u64 vaddr, unsigned prot);
	/* Everything mapped in [iova, last] is gone. */
	void (*unmap)(struct machine *m, struct call *call, u64 space, iova_t iova,
		      iova_t last);
	/* @dev now does DMA through the space; 0: through none. */
	void (*attach)(struct machine *m, struct device *dev, u64 space);
	/* The space is destroyed; @mappings of it were never unmapped. */
	void (*space_gone)(struct machine *m, u64 space, u64 mappings);
	/* A DMA or interrupt was refused. frames: of the thread that drove the device. */
	void (*fault)(struct machine *m, const struct dma_fault *fault, u32 pid,
		      u32 nr_frames, const u64 *frames);
	/*
	 * A driver of the machine's own kernel broke a rule of the DMA API. The frames
	 * are this process's: of the call, and of the mapping where one is meant.
	 */
	void (*dma_api)(struct machine *m, struct device *dev, const char *what,
			u32 nr_frames, const u64 *frames, u32 nr_mapped,
			const u64 *mapped);
};

#define machine_event(m, event, ...)                          \
	do {                                                  \
		if ((m)->events && (m)->events->event)        \
			(m)->events->event((m), __VA_ARGS__); \
	} while (0)

#endif
