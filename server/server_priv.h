/* SPDX-License-Identifier: MIT */
/*
 * What the files of the server share. All fields belong to the server's thread.
 */
#ifndef MOAT_SERVER_SERVER_PRIV_H
#define MOAT_SERVER_SERVER_PRIV_H

#include <sys/uio.h>

#include <sys/uio.h>

#include "base/interval_tree.h"
#include "base/list.h"
#include "machine/file.h"
#include "machine/machine.h"
#include "machine/mm.h"
#include "server/loop.h"
#include "server/report.h"
#include "server/server.h"
#include "server/wire_decode.h"

#define CONN_HASH 256

struct sysfs;

struct server {
	struct machine *m;
	struct loop *loop;
	struct report *report; /* NULL: none */
	struct sysfs *sysfs;
	char *dir; /* private; holds sys/, dev/ and the socket */
	char *socket, *view;
	bool mounted; /* dir is a tmpfs of our own mount namespace */
	int listen_fd, dir_lock;
	struct watch *listen_watch;
	u32 owner_uid; /* the machine's root */
	struct list_head conns;
	struct list_head by_cookie[CONN_HASH]; /* conn.hash, files only */
	struct process *procs[HW_MAX_MMS];     /* by mm index; alive or still pinned */
	struct list_head free_calls;
	struct loop_work irq_work, intx_work, engine_work, unit_work;
	u64 irqs[HW_MAX_IRQS / 64];	 /* arrived while a handler ran, a bit each */
	u64 intx[HW_MAX_FUNCTIONS / 64]; /* functions whose INTx level changed */
	u16 intx_irq[HW_MAX_FUNCTIONS];
	u64 engine[HW_MAX_FUNCTIONS / 64]; /* functions that have work pending */
	u64 units;			   /* units whose driver should look */
	void (*unit_event)(struct machine *m,
			   u32 unit); /* set by the starter; may be NULL */
	struct mm self_mm;	      /* self_mm.c */
	u8 *buf;		      /* one packet */
};

/* A packet that the socket had no room for. */
struct conn_out {
	struct list_head node;
	size_t len;
	unsigned nr_fds;
	int fds[WIRE_MAX_FDS]; /* owned */
	u8 data[];
};

struct conn {
	struct server *server;
	struct list_head node; /* server.conns */
	struct list_head hash; /* server.by_cookie */
	int fd;
	struct watch *watch;
	u64 cookie;	      /* of the program's end */
	struct file *file;    /* a file's connection; NULL: control */
	struct process *proc; /* control, after HELLO */
	u32 peer_pid;	      /* control */
	bool closing;
	struct server_call *pending; /* it answers later */
	struct list_head out;	     /* conn_out.node */
	void (*undo)(void *data);    /* of the last answer, until the next request */
	void *undo_data;
};

/* An mm of a program; the first member is what the machine sees. */
struct process {
	struct mm mm;
	struct server *server;
	struct conn *conn; /* control connection; NULL: gone */
	int maps_fd;	   /* /proc/PID/maps */
	u32 features;	   /* WIRE_FEATURE_* */
	bool dead, no_query;
	struct rb_root_cached bars; /* struct bar_map.it */
};

/* Where a program has mapped a BAR. it: addresses. */
struct bar_map {
	struct interval_tree_node it;
	u32 function;
	unsigned bar;
	u64 offset; /* in the BAR, of it.start */
};

#define CALL_MAX_NEW 8

struct call_store {
	u64 addr;
	u32 len;
};

struct call_new_fd {
	struct file *file; /* NULL: a host descriptor */
	int fd;
	u64 slot;
};

struct server_call {
	struct call call;
	struct server *server;
	struct conn *conn; /* NULL: it is gone (pending calls) */
	struct list_head node;
	struct wire_packet
		pkt;	/* points into server.buf; not after the handler returned */
	const int *fds; /* received; closed by the connection */
	unsigned nr_received;
	u32 seq, features;
	bool pending;
	/* What is missing: NEED lists pkt's and these. */
	struct wire_window need[WIRE_MAX_WINDOWS];
	unsigned nr_need;
	int need_fds[WIRE_MAX_FDS];
	unsigned nr_need_fds;
	int error; /* more is needed than a packet can hold */
	/* What goes back. */
	struct call_store *stores;
	unsigned nr_stores, max_stores;
	u8 *data;
	size_t data_len, data_max;
	struct call_new_fd new_fds[CALL_MAX_NEW];
	unsigned nr_new;
	bool mmio, mmio_write;
	u64 mmio_target, mmio_off, mmio_ubuf, mmio_len;
	u64 frame_store[WIRE_MAX_FRAMES];
	struct wire_reply reply; /* a to d of the answer */
};

/* conn.c */
struct conn *conn_create(struct server *s, int fd);
void conn_close(struct conn *c);
/* Makes a socket pair for @file; the reference moves. Returns the program's end. */
int __must_check conn_open_file(struct server *s, struct file *file, struct conn **out);
struct conn *conn_find(struct server *s, u64 cookie);
/*
 * Queue or send one packet. Descriptors are the caller's to close. A connection that
 * cannot take it is closed.
 */
void conn_send(struct conn *c, const struct iovec *iov, int nr_iov, const int *fds,
	       unsigned nr_fds);
void server_accept(void *data, u32 events);

/* call.c */
struct server_call *call_begin(struct conn *c, const struct wire_packet *pkt,
			       const int *fds, unsigned nr_received,
			       struct process *proc);
/* The handler has returned @ret: answer, and free the call unless it is pending. */
void call_end(struct server_call *sc, long ret);
/* A short answer without a call: ret, and a to d of @body if not NULL. */
void call_reply_simple(struct conn *c, u32 seq, long ret, const struct wire_reply *body,
		       const void *payload, size_t len);

/* dispatch.c: one request on a file's or on a control connection. -EPROTO: close it. */
int dispatch_file(struct conn *c, struct wire_packet *pkt, const int *fds,
		  unsigned nr_fds);
int dispatch_control(struct conn *c, struct wire_packet *pkt, const int *fds,
		     unsigned nr_fds);
/* notes.c */
int dispatch_note(struct conn *c, struct process *proc, struct wire_packet *pkt);

/* process.c */
struct process *process_create(struct server *s, struct conn *c, u32 pid, u32 features);
/* Its control connection is gone: the address space has ended (exit or exec). */
void process_gone(struct process *p);
struct process *process_by_mm(struct server *s, u32 index);
int process_add_bar(struct process *p, u64 addr, u64 len, u32 function, unsigned bar,
		    u64 off);
void process_del_bar(struct process *p, u64 addr, u64 len);

/* self_mm.c: the last index is the server's own. */
#define SELF_MM_INDEX (HW_MAX_MMS - 1)
void self_mm_init(struct server *s);
void self_mm_exit(struct server *s);

/* host.c: what hardware asks of this process; done once the handler has returned. */
void host_init(struct server *s);
void host_exit(struct server *s);
void host_irq(struct server *s, u32 irq);
void host_intx(struct server *s, u32 function);
void host_unit(struct server *s, u32 unit);

#endif
