// SPDX-License-Identifier: MIT
/* See double.h. */
#include "tests/double/double.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "machine/dma.h"
#include "machine/endpoint.h"
#include "machine/irq.h"
#include "machine/machine.h"
#include "machine/watch.h"
#include "pci/pci.h"

#define MAX_FDS 4096

struct doubled dbl;
static struct file *files[MAX_FDS];

/* ---- memory of this process, by address, without a signal where there is none --------
 */

static int peek(void *to, u64 from, size_t n)
{
	struct iovec l = {to, n}, r = {(void *)(uintptr_t)from, n};

	return process_vm_readv(getpid(), &l, 1, &r, 1, 0) == (ssize_t)n ? 0 : -EFAULT;
}

static int poke(u64 to, const void *from, size_t n)
{
	struct iovec l = {(void *)(uintptr_t)from, n}, r = {(void *)(uintptr_t)to, n};

	return process_vm_writev(getpid(), &l, 1, &r, 1, 0) == (ssize_t)n ? 0 : -EFAULT;
}

/* BARs that the "program" has mapped. */
static struct bar_map {
	u64 va, len;
	phys_addr_t phys;
} bar_maps[16];

static u64 mm_accessible(struct mm *mm, u64 va, u64 len, bool write, bool *special,
			 phys_addr_t *phys)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long long start, end;
	u64 at = va;
	char perms[8], line[512];

	*special = false;
	for (unsigned i = 0; i < ARRAY_SIZE(bar_maps); i++) {
		struct bar_map *b = &bar_maps[i];

		if (b->len && va >= b->va && va < b->va + b->len) {
			fclose(maps);
			*special = true;
			*phys = b->phys + (va - b->va);
			return min(len, b->va + b->len - va);
		}
	}
	while (fgets(line, sizeof(line), maps) && at < va + len) {
		if (sscanf(line, "%llx-%llx %7s", &start, &end, perms) != 3 || end <= at)
			continue;
		if (start > at || perms[0] != 'r' || (write && perms[1] != 'w'))
			break;
		at = end;
	}
	fclose(maps);
	return min(at, va + len) - va;
}

static u64 mm_memlock_limit(struct mm *mm)
{
	struct rlimit limit;

	if (dbl.memlock != ~0ULL)
		return dbl.memlock;
	getrlimit(RLIMIT_MEMLOCK, &limit);
	return limit.rlim_cur == RLIM_INFINITY ? ~0ULL : limit.rlim_cur;
}

static bool mm_alive(struct mm *mm)
{
	return true;
}

static void mm_release(struct mm *mm)
{
	kfree(mm);
}

static const struct mm_ops double_mm_ops = {
	.accessible = mm_accessible,
	.memlock_limit = mm_memlock_limit,
	.alive = mm_alive,
	.release = mm_release,
};

/* ---- calls
 * ----------------------------------------------------------------------------- */

/* @n 0: a descriptor. */
static bool not_here_yet(u64 at, u64 n)
{
	if (!dbl.restart)
		return false;
	for (unsigned i = 0; i < dbl.nr_come; i++) {
		u64 from = dbl.come[i].at, len = dbl.come[i].n;

		if (n ? len && at >= from && at - from <= len && n <= len - (at - from)
		      : !len && at == from)
			return false;
	}
	if (dbl.nr_come == ARRAY_SIZE(dbl.come))
		return false;
	dbl.come[dbl.nr_come].at = at;
	dbl.come[dbl.nr_come++].n = n;
	return true;
}

static int op_copy_from(struct call *call, void *to, u64 from, size_t n)
{
	if (not_here_yet(from, n))
		return -ERESTARTNOINTR;
	return peek(to, from, n);
}

static int op_copy_to(struct call *call, u64 to, const void *from, size_t n)
{
	return poke(to, from, n);
}

static int op_writable(struct call *call, u64 to, size_t n)
{
	char *tmp;
	int ret;

	if (not_here_yet(to, n))
		return -ERESTARTNOINTR;
	tmp = malloc(n);
	ret = peek(tmp, to, n);
	if (!ret)
		ret = poke(to, tmp, n);
	free(tmp);
	return ret;
}

struct file *double_file(int fd)
{
	return fd >= 0 && fd < MAX_FDS ? files[fd] : NULL;
}

static struct file *op_fget(struct call *call, int fd)
{
	struct file *file = double_file(fd);

	if (not_here_yet((u64)fd, 0))
		return ERR_PTR(-ERESTARTNOINTR);
	if (file)
		return get_file(file);
	return ERR_PTR(fcntl(fd, F_GETFD) < 0 ? -EBADF : -ENOTTY);
}

static int op_dup_fd(struct call *call, int fd)
{
	int copy;

	if (not_here_yet((u64)fd, 0))
		return -ERESTARTNOINTR;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return copy < 0 ? -EBADF : copy;
}

static int install(struct file *file)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0 || fd >= MAX_FDS) {
		if (fd >= 0)
			close(fd);
		fput(file);
		return -EMFILE;
	}
	files[fd] = file;
	return fd;
}

static long op_install(struct call *call, struct file *file, int host_fd, u64 slot)
{
	int fd = file ? install(file) : host_fd;

	if (fd >= 0 && slot && poke(slot, &fd, sizeof(fd)))
		return -EFAULT;
	return slot && fd >= 0 ? 0 : fd;
}

static ssize_t op_mmio(struct call *call, u32 fn, unsigned bar, u64 off, u64 ubuf,
		       size_t len, bool write)
{
	size_t done = 0;

	while (done < len) {
		size_t n = 8;
		u8 buf[8];
		int ret;

		while (n > len - done || (off + done) & (n - 1))
			n /= 2;
		if (write) {
			if (peek(buf, ubuf + done, n))
				return -EFAULT;
			ret = endpoint_mmio_write(&dbl.m->hw, fn, bar, off + done, buf,
						  (unsigned)n);
		} else {
			ret = endpoint_mmio_read(&dbl.m->hw, fn, bar, off + done, buf,
						 (unsigned)n);
			if (!ret && poke(ubuf + done, buf, n))
				return -EFAULT;
		}
		if (ret)
			return ret;
		done += n;
	}
	return (ssize_t)done;
}

static bool op_capable(struct call *call, int cap)
{
	return dbl.privileged;
}

static void op_complete(struct call *call, long ret)
{
}

static const struct call_ops double_call_ops = {
	.copy_from = op_copy_from,
	.copy_to = op_copy_to,
	.writable = op_writable,
	.fget = op_fget,
	.dup_fd = op_dup_fd,
	.install = op_install,
	.mmio = op_mmio,
	.capable = op_capable,
	.complete = op_complete,
};

static struct call new_call(void)
{
	return (struct call){
		.ops = &double_call_ops,
		.machine = dbl.m,
		.mm = dbl.mm,
		.pid = (u32)getpid(),
		.tid = (u32)getpid(),
	};
}

/* For a call: run it again while something has not come yet. */
#define restarting(run)                            \
	({                                         \
		__typeof__(run) _ret;              \
		dbl.nr_come = 0;                   \
		do {                               \
			_ret = (run);              \
		} while (_ret == -ERESTARTNOINTR); \
		_ret;                              \
	})

int double_open(const char *path, int flags)
{
	struct call call = new_call();
	struct devnode *node = devnode_find(dbl.m, path);
	struct file *file;
	int ret;

	if (!node)
		return -ENOENT;
	ret = node->ops->open(dbl.m, node->data, &call, flags, &file);
	ret = ret ? ret : install(file);
	double_pump();
	return ret;
}

long double_ioctl(int fd, unsigned cmd, u64 arg)
{
	struct call call = new_call();
	struct file *file = get_file(files[fd]);
	long ret = file->ops->ioctl ? restarting(file->ops->ioctl(file, &call, cmd, arg))
				    : -ENOTTY;

	fput(file);
	double_pump();
	return ret;
}

ssize_t double_pread(int fd, void *buf, size_t len, u64 pos)
{
	struct call call = new_call();
	struct file *file = files[fd];
	ssize_t ret = file->ops->read
			      ? restarting(file->ops->read(file, &call, (uintptr_t)buf,
							   len, pos))
			      : -EINVAL;

	double_pump();
	return ret;
}

ssize_t double_pwrite(int fd, const void *buf, size_t len, u64 pos)
{
	struct call call = new_call();
	struct file *file = files[fd];
	ssize_t ret = file->ops->write
			      ? restarting(file->ops->write(file, &call, (uintptr_t)buf,
							    len, pos))
			      : -EINVAL;

	double_pump();
	return ret;
}

/* Registers are not reached through such a mapping; it only has its address. */
void *double_mmap(void *addr, size_t len, int prot, int flags, int fd, u64 off)
{
	struct call call = new_call();
	struct mmap_request req = {
		.pgoff = off, .len = len, .prot = prot, .flags = flags};
	struct file *file = files[fd];
	int ret = file->ops->mmap ? file->ops->mmap(file, &call, &req) : -ENODEV;
	void *p;

	if (ret)
		return ERR_PTR(ret);
	p = mmap(addr, len, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bar_maps); i++) {
		if (bar_maps[i].len)
			continue;
		bar_maps[i] = (struct bar_map){
			(uintptr_t)p, ALIGN(len, PAGE_SIZE),
			dbl.m->hw.functions[req.function].bar[req.bar].phys +
				req.bar_offset};
		break;
	}
	return p;
}

bool double_close(int fd)
{
	struct file *file = double_file(fd);

	if (!file)
		return false;
	files[fd] = NULL;
	close(fd);
	fput(file);
	double_pump();
	return true;
}

bool double_dup(int fd, int new_fd)
{
	if (!double_file(fd) || new_fd < 0 || new_fd >= MAX_FDS)
		return false;
	files[new_fd] = get_file(files[fd]);
	return true;
}

/* ---- what a server does between calls
 * ---------------------------------------------------- */

struct watch {
	int fd;
	u32 events;
	void (*fn)(void *data, u32 events);
	void *data;
	struct list_head node;
};
static LIST_HEAD(watches);

static struct watch *watch_add(struct machine *m, int fd, u32 events,
			       void (*fn)(void *data, u32 events), void *data)
{
	struct watch *w = kzalloc(sizeof(*w));

	if (!w)
		return ERR_PTR(-ENOMEM);
	*w = (struct watch){.fd = fd, .events = events, .fn = fn, .data = data};
	list_add_tail(&w->node, &watches);
	return w;
}

static void watch_del(struct watch *w)
{
	list_del(&w->node);
	kfree(w);
}

static const struct watch_ops double_watch_ops = {watch_add, watch_del};

static u8 intx_dirty[HW_MAX_FUNCTIONS], kicked[HW_MAX_FUNCTIONS];

static void host_irq(struct hw *hw, u32 irq)
{
	irq_deliver(dbl.m, irq);
}

static void host_intx(struct hw *hw, u32 function, bool level)
{
	intx_dirty[function] = 1;
}

static void host_fault(struct hw *hw, const struct dma_fault *fault)
{
}

static void host_unit_event(struct hw *hw, u32 unit)
{
	machine_unit_event(dbl.m, unit);
}

static void host_kick(struct hw *hw, u32 function)
{
	kicked[function] = 1;
}

static int host_mm_read(struct hw *hw, u32 mm, u64 vaddr, void *buf, size_t len)
{
	return peek(buf, vaddr, len);
}

static int host_mm_write(struct hw *hw, u32 mm, u64 vaddr, const void *buf, size_t len)
{
	return poke(vaddr, buf, len);
}

static const struct hw_host_ops double_host_ops = {
	.irq = host_irq,
	.intx = host_intx,
	.fault = host_fault,
	.unit_event = host_unit_event,
	.kick = host_kick,
	.mm_read = host_mm_read,
	.mm_write = host_mm_write,
};

static bool deliver_intx(u32 fn)
{
	struct hw *hw = &dbl.m->hw;

	intx_dirty[fn] = 0;
	if (!atomic_load(&hw->functions[fn].intx_level) ||
	    hw->functions[fn].config[PCI_COMMAND + 1] & PCI_COMMAND_INTX_DISABLE >> 8)
		return false;
	for (u32 irq = 1; irq < HW_MAX_IRQS; irq++) {
		if (hw->irqs[irq].kind == HW_IRQ_INTX && hw->irqs[irq].function == fn)
			irq_deliver(dbl.m, irq);
	}
	return true;
}

static bool pump_watches(void)
{
	struct watch *w;

	list_for_each_entry(w, &watches, node) {
		struct pollfd p = {.fd = w->fd, .events = POLLIN};

		if (poll(&p, 1, 0) == 1 && p.revents & POLLIN) {
			w->fn(w->data, EPOLLIN);
			return true; /* the list may have changed */
		}
	}
	return false;
}

void double_pump(void)
{
	struct hw *hw = &dbl.m->hw;
	bool again = true;

	for (int turn = 0; again && turn < 1000; turn++) {
		again = pump_watches();
		for (u32 fn = 0; fn < hw->hdr->nr_functions; fn++) {
			if (kicked[fn]) {
				kicked[fn] = 0;
				while (endpoint_run(hw, fn, ENDPOINT_INLINE_BUDGET))
					;
				again = true;
			}
			if (intx_dirty[fn])
				again |= deliver_intx(fn);
		}
	}
}

/* ---- the machine
 * ------------------------------------------------------------------------------ */

int double_start(const char *machine, const char *append)
{
	const struct start_config config = {.machine = machine, .append = append};
	char *error = NULL;
	struct mm *mm;
	int ret;

	ret = machine_start(&config, &dbl.start, &error);
	if (ret) {
		fprintf(stderr, "%s: %s%s\n", machine, error ? error : "",
			strerror(-ret));
		free(error);
		return ret;
	}
	dbl.m = dbl.start.machine;
	dbl.privileged = true;
	dbl.memlock = ~0ULL;
	machine_set_watch_ops(dbl.m, &double_watch_ops);
	mm = kzalloc(sizeof(*mm));
	mm->ops = &double_mm_ops;
	mm->machine = dbl.m;
	mm->pid = (u32)getpid();
	refcount_set(&mm->ref, 1);
	INIT_LIST_HEAD(&mm->pins);
	ret = hw_mm_alloc(&dbl.m->hw, mm->pid, &mm->index);
	dbl.mm = mm;
	dbl.m->hw.ops = &double_host_ops;
	dbl.m->hw.host = &dbl;
	return ret;
}

void double_stop(void)
{
	for (int fd = 0; fd < MAX_FDS; fd++)
		double_close(fd);
	mm_put(dbl.mm);
	machine_stop(&dbl.start);
	memset(&dbl, 0, sizeof(dbl));
	memset(bar_maps, 0, sizeof(bar_maps));
}
