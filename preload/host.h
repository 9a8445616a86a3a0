/* SPDX-License-Identifier: MIT */
/*
 * What this process does for the hardware it runs (struct hw_host_ops): memory of
 * programs, interrupts, notes to the server, and the engine thread for work that does
 * not end with the access that started it.
 */
#ifndef MOAT_PRELOAD_HOST_H
#define MOAT_PRELOAD_HOST_H

#include "preload/conn.h"
#include "preload/files.h"

extern const struct hw_host_ops host_ops;

/*
 * hw.copy: one side may be memory of this program. What the program has since
 * protected is reached all the same, as a pinned page is.
 */
int host_copy(void *to, const void *from, size_t len);

/*
 * Memory of this program that DMA may be using is about to move from [@from, @from +
 * @len) to @to: a copy that misses it there finds it here.
 */
void host_moved(u64 from, u64 len, u64 to);

/* Start the engine thread if it was asked for; no locks held. */
void host_after_access(void);
void host_want_engine(void);
/* Registers what a fork needs. */
void host_atfork(void);

/*
 * VFIO_DEVICE_SET_IRQS has succeeded on @f: keep duplicates of the eventfds, so that
 * this process's devices signal them without the server.
 */
void irq_note_set(const struct pfile *f, u64 arg);
/* Which function @f is the device file of. */
void irq_file_function(u64 cookie, u32 function);
void irq_fd_moved(int from, int to);

#endif
