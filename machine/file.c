// SPDX-License-Identifier: MIT
/*
 * Open files and device nodes of a machine, and the thin front of calls: arguments
 * are checked here once, then whoever carries the call (struct call_ops) does it.
 *
 * The list of device nodes is one for the process, each node naming its machine; it
 * is short, and only opens look at it.
 */
#include "machine/file.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/mutex.h"
#include "machine/machine.h"
#include "machine/mm.h"

/* No user mapping reaches beyond (arch/x86: TASK_SIZE_MAX with 4-level tables). */
#define USER_LIMIT 0x7ffffffff000ULL

static void (*notify_fn)(struct file *file);

struct file *file_alloc(struct machine *m, const struct file_operations *ops,
			void *private, int flags)
{
	struct file *file = kzalloc(sizeof(*file));
	int ret;

	if (!file)
		return ERR_PTR(-ENOMEM);
	file->ops = ops;
	file->private = private;
	file->machine = m;
	file->flags = flags;
	file->mode = 0600;
	refcount_set(&file->ref, 1);
	mutex_lock(&m->lock);
	ret = xa_alloc(&m->files, &file->id, file, xa_limit_31b);
	mutex_unlock(&m->lock);
	if (ret) {
		kfree(file);
		return ERR_PTR(ret == -EBUSY ? -ENFILE : ret);
	}
	return file;
}

struct file *get_file(struct file *file)
{
	refcount_inc(&file->ref);
	return file;
}

void fput(struct file *file)
{
	struct machine *m;

	if (!file || !refcount_dec_and_test(&file->ref))
		return;
	m = file->machine;
	if (file->ops->release)
		file->ops->release(file);
	mutex_lock(&m->lock);
	xa_erase(&m->files, file->id);
	mutex_unlock(&m->lock);
	kfree(file);
}

u64 file_count(struct machine *m)
{
	guard(mutex)(&m->lock);
	return m->files.count;
}

void file_set_notify(void (*fn)(struct file *file))
{
	notify_fn = fn;
}

void file_notify(struct file *file)
{
	if (notify_fn)
		notify_fn(file);
}

struct mm *call_mm(struct call *call)
{
	return call->mm;
}

u32 call_pid(struct call *call)
{
	return call->pid;
}

u32 call_euid(struct call *call)
{
	return call->euid;
}

struct machine *call_machine(struct call *call)
{
	return call->machine;
}

bool call_capable(struct call *call, int cap)
{
	return call->ops->capable(call, cap);
}

static bool user_range_ok(u64 addr, size_t n)
{
	return n <= USER_LIMIT && addr <= USER_LIMIT - n;
}

int copy_from_user(struct call *call, void *to, u64 from, size_t n)
{
	if (!n)
		return 0;
	if (!user_range_ok(from, n))
		return -EFAULT;
	return call->ops->copy_from(call, to, from, n);
}

int copy_to_user(struct call *call, u64 to, const void *from, size_t n)
{
	if (!n)
		return 0;
	if (!user_range_ok(to, n))
		return -EFAULT;
	return call->ops->copy_to(call, to, from, n);
}

int user_writable(struct call *call, u64 to, size_t n)
{
	if (!n)
		return 0;
	if (!user_range_ok(to, n))
		return -EFAULT;
	return call->ops->writable(call, to, n);
}

void call_on_fault(struct call *call, void (*undo)(void *data), void *data)
{
	call->undo = undo;
	call->undo_data = data;
}

struct file *call_fget(struct call *call, int fd)
{
	if (fd < 0)
		return ERR_PTR(-EBADF);
	return call->ops->fget(call, fd);
}

int call_dup_fd(struct call *call, int fd)
{
	if (fd < 0)
		return -EBADF;
	return call->ops->dup_fd(call, fd);
}

static bool fd_is_eventfd(int fd)
{
	char path[32], target[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = 0;
	/* Newer kernels number them: "anon_inode:[eventfd:12]". */
	return !strncmp(target, "anon_inode:[eventfd", 19);
}

int call_eventfd(struct call *call, int fd)
{
	int host = call_dup_fd(call, fd);

	if (host < 0)
		return host;
	if (!fd_is_eventfd(host)) {
		close(host);
		return -EINVAL;
	}
	return host;
}

long call_install_fd(struct call *call, struct file *file, u64 slot)
{
	if (slot && !user_range_ok(slot, 4)) {
		fput(file);
		return -EFAULT;
	}
	return call->ops->install(call, file, -1, slot);
}

long call_install_host_fd(struct call *call, int fd, u64 slot)
{
	if (slot && !user_range_ok(slot, 4)) {
		close(fd);
		return -EFAULT;
	}
	return call->ops->install(call, NULL, fd, slot);
}

ssize_t call_mmio(struct call *call, u32 fn, unsigned bar, u64 off, u64 ubuf, size_t len,
		  bool write)
{
	if (!len)
		return 0;
	if (!user_range_ok(ubuf, len))
		return -EFAULT;
	return call->ops->mmio(call, fn, bar, off, ubuf, len, write);
}

void call_complete(struct call *call, long ret)
{
	call->ops->complete(call, ret);
}

/* ---- device nodes ---- */

struct devnode_listener {
	struct machine *machine;
	void (*fn)(void *data, struct devnode *node, bool added);
	void *data;
	struct list_head node;
};

static DEFINE_MUTEX(devnode_lock);
static LIST_HEAD(devnodes);
static LIST_HEAD(devnode_listeners);

static struct devnode *devnode_find_locked(struct machine *m, const char *path)
{
	struct devnode *n;

	list_for_each_entry(n, &devnodes, node) {
		if (n->machine == m && !strcmp(n->path, path))
			return n;
	}
	return NULL;
}

static void devnode_tell(struct devnode *n, bool added)
{
	struct devnode_listener *l, *found = NULL;

	mutex_lock(&devnode_lock);
	list_for_each_entry(l, &devnode_listeners, node) {
		if (l->machine == n->machine)
			found = l;
	}
	mutex_unlock(&devnode_lock);
	if (found)
		found->fn(found->data, n, added);
}

/**
 * devnode_register - what an open of @path does from now on.
 * @path: absolute, "/dev/vfio/vfio"; copied
 * @mode: permission bits
 *
 * Return: 0, -EEXIST, -ENOMEM.
 */
int devnode_register(struct machine *m, const char *path, unsigned mode, unsigned major,
		     unsigned minor, const struct device_node_ops *ops, void *data)
{
	struct devnode *n = kzalloc(sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->path = kstrdup(path);
	if (!n->path) {
		kfree(n);
		return -ENOMEM;
	}
	n->machine = m;
	n->mode = S_IFCHR | (mode & 07777);
	n->major = major;
	n->minor = minor;
	n->ops = ops;
	n->data = data;
	mutex_lock(&devnode_lock);
	if (devnode_find_locked(m, path)) {
		mutex_unlock(&devnode_lock);
		kfree(n->path);
		kfree(n);
		return -EEXIST;
	}
	list_add_tail(&n->node, &devnodes);
	mutex_unlock(&devnode_lock);
	devnode_tell(n, true);
	return 0;
}

void devnode_unregister(struct machine *m, const char *path)
{
	struct devnode *n;

	mutex_lock(&devnode_lock);
	n = devnode_find_locked(m, path);
	if (n)
		list_del(&n->node);
	mutex_unlock(&devnode_lock);
	if (!n)
		return;
	devnode_tell(n, false);
	kfree(n->path);
	kfree(n);
}

struct devnode *devnode_find(struct machine *m, const char *path)
{
	guard(mutex)(&devnode_lock);
	return devnode_find_locked(m, path);
}

int devnode_for_each(struct machine *m, int (*fn)(struct devnode *node, void *data),
		     void *data)
{
	struct devnode *n, *tmp;

	list_for_each_entry_safe(n, tmp, &devnodes, node) {
		int ret = n->machine == m ? fn(n, data) : 0;

		if (ret)
			return ret;
	}
	return 0;
}

void devnode_listen(struct machine *m,
		    void (*fn)(void *data, struct devnode *node, bool added), void *data)
{
	struct devnode_listener *l, *tmp;

	mutex_lock(&devnode_lock);
	list_for_each_entry_safe(l, tmp, &devnode_listeners, node) {
		if (l->machine == m) {
			list_del(&l->node);
			kfree(l);
		}
	}
	mutex_unlock(&devnode_lock);
	if (!fn)
		return;
	l = kzalloc(sizeof(*l));
	if (!l)
		return;
	l->machine = m;
	l->fn = fn;
	l->data = data;
	mutex_lock(&devnode_lock);
	list_add_tail(&l->node, &devnode_listeners);
	mutex_unlock(&devnode_lock);
}
