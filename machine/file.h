/* SPDX-License-Identifier: MIT */
/*
 * Open files of programs and the calls on them: the boundary between the front
 * ends (vfio/, iommufd/, sysfs) and whoever carries calls (server/, unit tests).
 *
 * A call is decoded first and performed then. Reading the program's memory or
 * descriptors may return -ERESTARTNOINTR: what was asked for did not come with
 * the request; the handler returns that code, having changed nothing, and is
 * run again from its start once the program has sent it. So all copy_from_user(),
 * call_fget() and call_eventfd() of a handler come before its first change.
 */
#ifndef MOAT_MACHINE_FILE_H
#define MOAT_MACHINE_FILE_H

#include "base/err.h"
#include "base/list.h"
#include "base/refcount.h"
#include "base/types.h"

struct call;
struct file;
struct machine;
struct mm;

/* What a successful mmap of a file gives. */
struct mmap_request {
	u64 pgoff; /* in: byte offset in the file */
	u64 len;   /* in: bytes */
	int prot;  /* in: PROT_* */
	int flags; /* in: MAP_* */
	/* out: a BAR whose accesses trap */
	u32 function; /* index of the hw_function */
	u32 bar;
	u64 bar_offset;
};

struct file_operations {
	const char *name;
	bool unseen; /* what is done to such files changes nothing in sysfs */
	/* Return: what ioctl(2) returns, or -errno. @arg is a program's address or a
	 * number. */
	long (*ioctl)(struct file *file, struct call *call, unsigned cmd, u64 arg);
	ssize_t (*read)(struct file *file, struct call *call, u64 ubuf, size_t len,
			u64 pos);
	ssize_t (*write)(struct file *file, struct call *call, u64 ubuf, size_t len,
			 u64 pos);
	int (*mmap)(struct file *file, struct call *call, struct mmap_request *req);
	/* EPOLL* bits; NULL: always readable and writable. file_notify() when they
	 * change. */
	u32 (*poll)(struct file *file);
	void (*release)(struct file *file);
};

struct file {
	const struct file_operations *ops;
	void *private;
	struct machine *machine;
	int flags; /* O_ACCMODE of open, O_NONBLOCK */
	struct refcount ref;
	u32 id;	       /* in machine.files */
	u64 cookie;    /* server: the connection's socket cookie */
	void *carrier; /* server: the connection */
	/* For stat: st_mode and st_rdev; anonymous files have mode 0600 and no device. */
	u32 mode;
	u32 rdev_major, rdev_minor;
};

struct file *file_alloc(struct machine *m, const struct file_operations *ops,
			void *private, int flags);
struct file *get_file(struct file *file);
void fput(struct file *file); /* the last one calls release */
/* poll's answer changed, or read() has something. */
void file_notify(struct file *file);

/*
 * What carries a call: the server, from a connection; tests/call_double.c, straight
 * from this process. The functions below check and forward.
 */
struct call_ops {
	int (*copy_from)(struct call *call, void *to, u64 from, size_t n);
	int (*copy_to)(struct call *call, u64 to, const void *from, size_t n);
	int (*writable)(struct call *call, u64 to, size_t n);
	struct file *(*fget)(struct call *call, int fd);
	int (*dup_fd)(struct call *call, int fd);
	long (*install)(struct call *call, struct file *file, int host_fd, u64 slot);
	ssize_t (*mmio)(struct call *call, u32 fn, unsigned bar, u64 off, u64 ubuf,
			size_t len, bool write);
	bool (*capable)(struct call *call, int cap);
	void (*complete)(struct call *call, long ret);
};

struct call {
	const struct call_ops *ops;
	struct machine *machine;
	struct mm *mm;
	u32 pid, tid, euid;
	void (*undo)(void *data); /* call_on_fault() */
	void *undo_data;
	/* Return addresses of the program at the call, innermost first; for the report.
	 */
	u32 nr_frames;
	const u64 *frames;
};

/* Who calls. All answer for the process that made this call. */
struct mm *call_mm(struct call *call);
u32 call_pid(struct call *call);
u32 call_euid(struct call *call);
struct machine *call_machine(struct call *call);
/* What capable(CAP_IPC_LOCK) etc. would say: the user who started the machine is its
 * root. */
bool call_capable(struct call *call, int cap);

/* 0, -EFAULT, -ERESTARTNOINTR. */
int __must_check copy_from_user(struct call *call, void *to, u64 from, size_t n);
/*
 * Handed to the program with the answer, before the call returns to it; if it
 * cannot be stored there, the program's call fails with EFAULT. -EFAULT at once
 * for addresses outside user space, or pages known to be absent.
 */
int __must_check copy_to_user(struct call *call, u64 to, const void *from, size_t n);
/* For results that must not be lost: 0 if [to, to + n) can be written, -EFAULT,
 * -ERESTARTNOINTR. */
int __must_check user_writable(struct call *call, u64 to, size_t n);
/* Run @undo(data) if the program turns out not to be able to take the result. */
void call_on_fault(struct call *call, void (*undo)(void *data), void *data);

/*
 * A descriptor of the calling program as an open file of the machine; the caller
 * owns a reference. ERR_PTR(-EBADF): not open; ERR_PTR(-ENOTTY): open, but no file of
 * the machine; ERR_PTR(-ERESTARTNOINTR).
 */
struct file *call_fget(struct call *call, int fd);
/* A duplicate in this process, owned by the caller: >= 0, -EBADF, -ERESTARTNOINTR. */
int call_dup_fd(struct call *call, int fd);
/* The same for an eventfd only: -EINVAL for any other file. */
int call_eventfd(struct call *call, int fd);

/*
 * Install @file as a new descriptor of the program when the call succeeds; the
 * handler returns what this returns (the reference moves into the descriptor):
 * a placeholder that becomes the descriptor's number. @slot is where a struct
 * wants the number instead (0: as return value).
 */
long call_install_fd(struct call *call, struct file *file, u64 slot);
/* The same for a plain host descriptor (eventfd-like, dma-buf memfd); owned by the call
 * then. */
long call_install_host_fd(struct call *call, int fd, u64 slot);

/*
 * Let the caller's process do this register access, where the memory is that DMA
 * would touch; the handler returns what this returns. Splits into 8, 4, 2 and
 * 1-byte accesses by alignment, as vfio_pci_core_do_io_rw() does.
 */
ssize_t call_mmio(struct call *call, u32 fn, unsigned bar, u64 off, u64 ubuf, size_t len,
		  bool write);

/* A handler that returned -EIOCBQUEUED answers later; the call is kept until then. */
void call_complete(struct call *call, long ret);

/* Device nodes of a machine: what an open of /dev/PATH does. */
struct device_node_ops {
	/* Return: 0 with *@out, or -errno. @minor as registered. */
	int (*open)(struct machine *m, void *data, struct call *call, int flags,
		    struct file **out);
};
struct devnode {
	struct machine *machine;
	char *path; /* absolute: "/dev/vfio/vfio" */
	unsigned mode, major, minor;
	const struct device_node_ops *ops;
	void *data;
	struct list_head node;
};
int __must_check devnode_register(struct machine *m, const char *path, unsigned mode,
				  unsigned major, unsigned minor,
				  const struct device_node_ops *ops, void *data);
void devnode_unregister(struct machine *m, const char *path);
/* For whoever shows a /dev tree. The node stays valid until it is unregistered. */
struct devnode *devnode_find(struct machine *m, const char *path);
int devnode_for_each(struct machine *m, int (*fn)(struct devnode *node, void *data),
		     void *data);
/* @fn hears of what comes (added) and goes; NULL ends it. One listener a machine. */
void devnode_listen(struct machine *m,
		    void (*fn)(void *data, struct devnode *node, bool added), void *data);
/* How many struct file of the machine are alive. */
u64 file_count(struct machine *m);
/* What carries files: called by file_notify(); set once by the server. */
void file_set_notify(void (*fn)(struct file *file));

#endif
