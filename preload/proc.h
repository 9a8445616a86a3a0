/* SPDX-License-Identifier: MIT */
/*
 * This process's tie to the machine: the control connection, machine memory, and the
 * descriptors of ours that the program does not see. Made on first use; made anew in
 * a forked child, which finds the page that holds it wiped.
 *
 * What a child inherits as it is: the mapping of machine memory, mappings of BARs,
 * hidden descriptors other than the control connection, what is known of files.
 */
#ifndef MOAT_PRELOAD_PROC_H
#define MOAT_PRELOAD_PROC_H

#include "machine/hw.h"
#include "preload/sys.h"

#define FD_MAX 65536 /* descriptors beyond this number are never taken for ours */

enum proc_state { PROC_NEW = 0, PROC_READY, PROC_DEAD };

/* Lies in a page that fork wipes. */
struct proc {
	_Atomic u32 state; /* enum proc_state */
	int control;	   /* the control connection, -1: none */
	u32 mm;		   /* this process's index */
	u32 pid;
	u32 control_seq;
	struct plock setup_lock;
	struct plock control_lock; /* requests on the control connection */
	struct plock bars_lock;	   /* writers of the table of BAR mappings */
	struct plock files_lock;   /* writers of the table of files */
	struct plock vma_lock;	   /* changes of the address space that DMA must follow */
	struct plock note_lock;	   /* the ring of notes */
	struct plock irq_lock;	   /* writers of the eventfd table */
	struct plock insn_lock;	   /* decoding */
	struct plock sig_lock;	   /* the program's signal actions */
	_Atomic u32 mem_fd;	   /* /proc/self/mem + 1 */
	_Atomic u32 engine;	   /* 0: none, 1: wanted, 2: runs */
	_Atomic u32 engine_word;   /* futex: work has come */
	u32 note_head, note_tail;
	u32 notes_lost;
	_Atomic u32 iobuf_used; /* bit map */
	_Atomic u64 engine_work[HW_MAX_FUNCTIONS / 64];
};

/* NULL until the first use of the machine. */
extern struct proc *proc_page;
extern struct hw proc_hw;
/* Environment, as it was at process start; socket NULL: not run under moat. */
extern const char *proc_socket, *proc_root;
extern bool proc_redirect;

struct proc *proc_setup(void);
/* Close the inherited control connection of the parent. */
void proc_forked(void);

/* The tie, made if need be; NULL: there is no machine. Never fails once it has worked. */
static inline struct proc *proc_get(void)
{
	struct proc *p = proc_page;

	if (likely(p &&
		   atomic_load_explicit(&p->state, memory_order_acquire) == PROC_READY))
		return p;
	return proc_setup();
}

static inline bool proc_ready(void)
{
	struct proc *p = proc_page;

	return p && atomic_load_explicit(&p->state, memory_order_acquire) == PROC_READY;
}

/* Has this process, or the one it was forked from, used the machine? */
static inline bool proc_used(void)
{
	return proc_page != NULL;
}

/* Hidden descriptors: high numbers, close-on-exec. */
int fd_hide(int fd);	 /* moves @fd there; closes @fd; -errno */
int fd_hide_dup(int fd); /* a hidden duplicate */
void fd_unhide_close(int fd);
bool fd_is_hidden(int fd);
/* @fd is about to be overwritten (dup2): move what is hidden there away. */
void fd_evade(int fd);

/* /proc/self/mem of this process, opened on first use; < 0: not to be had. */
int proc_mem_fd(void);

/* A buffer for packets, WIRE_MAX_PACKET and a bit; never NULL, waits for one. */
struct iobuf *iobuf_get(void);
void iobuf_put(struct iobuf *b);

#endif
