/* SPDX-License-Identifier: MIT */
/*
 * What passes between a program (preload/) and the server over SOCK_SEQPACKET.
 * Both ends are of one build, so the version only has to be equal.
 *
 * A process has one control connection (HELLO, OPEN, notes); each open file is a
 * connection of its own, whose program's end is the descriptor that the program
 * holds. On a file's connection at most one request is under way: whoever calls
 * holds wire_conn_lock (a robust lock in machine memory would be shared by all
 * holders; see preload/conn.c). One request is one packet; the answer is any
 * number of WIRE_STORE packets and then one WIRE_REPLY.
 *
 * The server may ask for more (NEED): the request then had no effect, and is sent
 * again with exactly the windows and descriptors that NEED lists (those that had come
 * along already are listed again). So nothing here needs ptrace rights.
 */
#ifndef MOAT_SERVER_WIRE_H
#define MOAT_SERVER_WIRE_H

#include "base/types.h"

#define WIRE_VERSION	 1
#define WIRE_MAX_PACKET	 (128 * 1024)
#define WIRE_MAX_WINDOWS 64
#define WIRE_MAX_FDS	 64 /* in one packet (SCM_RIGHTS allows 253) */
#define WIRE_MAX_FRAMES	 32
#define WIRE_PREFETCH	 128 /* bytes at arg that go with every ioctl, if readable */

#define WIRE_ENV_SOCKET	  "MOAT_SOCKET"	  /* path of the server's socket */
#define WIRE_ENV_ROOT	  "MOAT_ROOT"	  /* the tree that holds sys/ and dev/ */
#define WIRE_ENV_REDIRECT "MOAT_REDIRECT" /* "1": no mount namespace, redirect paths */

enum wire_op {
	/* control connection */
	/* a = version, b = WIRE_FEATURE_*; reply: a = mm index, fd 0 = machine memory */
	WIRE_HELLO = 1,
	WIRE_OPEN,     /* a = open flags, b = mode, payload = absolute path; reply: one
			  wire_new_fd */
	WIRE_IDENTIFY, /* a = socket cookie; reply: one wire_new_fd without descriptor, or
			  ret -ENOENT */
	WIRE_STAT, /* payload = absolute path; reply: one wire_new_fd without descriptor,
		      or ret -errno */
	WIRE_COUNTS, /* reply: payload = struct wire_counts; for tests */
	/* a file's connection */
	WIRE_IOCTL, /* a = cmd, b = arg */
	WIRE_READ,  /* a = user buffer, b = length, c = position (~0: current) */
	WIRE_WRITE, /* the same; the data comes as a window */
	/*
	 * a = offset, b = length, c = prot | flags << 32; d = user address chosen, or 0.
	 * Reply: a = function << 8 | bar, b = offset in the BAR.
	 */
	WIRE_MMAP,
	WIRE_POLL,    /* reply: ret = EPOLL* bits */
	WIRE_FAULTED, /* storing the last answer faulted: undo what can be undone */
	/* notes: no answer unless said */
	WIRE_NOTE_IRQ = 32, /* a = irq */
	WIRE_NOTE_INTX,	    /* a = function, b = level */
	WIRE_NOTE_FAULT,    /* payload = struct dma_fault, then frames */
	WIRE_NOTE_UNIT,	    /* a = unit: its driver should look */
	WIRE_NOTE_VMA,	   /* a = address, b = length, c = enum wire_vma, d = new address;
			      answered */
	WIRE_NOTE_BAR_MAP, /* a = address, b = length, c = function << 8 | bar, d =
			      offset; answered */
	WIRE_NOTE_MMIO,	   /* a wrong register access, for the report: a = function << 8 |
			      bar, b = offset,    c = width, d = enum wire_mmio; then frames
			    */
};

/* HELLO: the program takes stores as windows of WIRE_REPLY as well. */
#define WIRE_FEATURE_INLINE_STORES 1

enum wire_mmio {
	WIRE_MMIO_WRITE = 1,
	WIRE_MMIO_OUTSIDE = 2 /* of the BAR; else a wrong width */
};

/*
 * What is about to happen to an address range of the program. A QUERY's answer gives
 * pieces of less than 4 GiB; a = where to ask on from, 0: complete.
 */
enum wire_vma {
	WIRE_VMA_QUERY = 1, /* reply: windows = the pinned pieces of [a, a + b) */
	/* Pinned pages of [a, a + b) are now at d; 0: copy them, they are about to go. */
	WIRE_VMA_MOVED,
	WIRE_VMA_PROTECTED, /* mprotect took away what the device may use; for the report
			     */
	WIRE_VMA_BAR_GONE,  /* the BAR mapping at [a, a + b) is gone */
	WIRE_VMA_REMAPPED,  /* as MOVED, by the program's own mremap: nothing to report */
	/* Bytes [a, a + b) of the file with inode number d are about to go. */
	WIRE_VMA_FILE_CUT,
};

struct wire_window {
	u64 addr;
	u32 len;   /* asked for */
	u32 avail; /* NEED: 0; request: bytes that follow, < len if the rest faults */
	u32 flags; /* WIRE_WINDOW_* */
	u32 reserved;
};
/* NEED: find out whether all of it can be written. Request: it can. */
#define WIRE_WINDOW_WRITABLE 1
/* NEED and request: only the probe is wanted, no bytes follow (avail = 0). */
#define WIRE_WINDOW_NO_DATA 2

/* A descriptor that travels, or why it does not. */
struct wire_fd {
	s32 number; /* in the program */
	s32 state;  /* 0: the next SCM_RIGHTS descriptor; -EBADF; request for NEED: 0 */
};

/*
 * A packet: this, then nr_windows struct wire_window, nr_fds struct wire_fd, nr_frames
 * u64, then payload_len bytes (for windows: their data, one after the other).
 */
struct wire_request {
	u32 op;	 /* enum wire_op */
	u32 seq; /* the answer carries it */
	u32 mm;	 /* the index HELLO gave */
	u32 tid;
	u32 euid;
	u16 nr_windows, nr_fds, nr_frames, reserved;
	u32 payload_len;
	u64 a, b, c, d;
};

enum wire_reply_kind {
	WIRE_REPLY = 1,
	WIRE_STORE, /* a = user address, payload = bytes to put there; another packet
		       follows */
	WIRE_NEED,  /* windows and fds to send along with the same request */
	/*
	 * In place of WIRE_REPLY: do this access, the call returns ret or -EFAULT.
	 * a = fn << 8 | bar, b = offset, c = user buffer, d = length | write << 63.
	 */
	WIRE_MMIO,
};

/* How the program's end of a new file is to be installed. */
#define WIRE_FD_CLOEXEC 1
#define WIRE_FD_SLOT	2 /* store the number at slot, 4 bytes */
#define WIRE_FD_RESULT	4 /* the number is the call's result */
#define WIRE_FD_FILE	8 /* a file of the machine (else a plain descriptor) */

struct wire_new_fd {
	u64 slot;
	u64 cookie;
	u32 flags;
	u32 mode; /* st_mode for fstat, as a device file */
	u32 rdev_major, rdev_minor;
};

struct wire_counts {
	u64 files;    /* open files of the machine */
	u64 mappings; /* pinned runs of program memory */
	u64 pinned;   /* bytes in them */
	u64 attached; /* devices whose DMA user space owns */
	u64 processes;
};

/*
 * Then nr_windows wire_window, nr_fds wire_fd (NEED), nr_new wire_new_fd, payload.
 * Windows are what is needed (NEED), pieces (answer to WIRE_VMA_QUERY), or else stores to
 * do before the call returns, with their bytes in the payload (INLINE_STORES).
 */
struct wire_reply {
	u32 kind; /* enum wire_reply_kind */
	u32 seq;
	s64 ret;
	u16 nr_windows, nr_fds, nr_new, reserved;
	u32 payload_len;
	u64 a, b, c, d;
};

#endif
