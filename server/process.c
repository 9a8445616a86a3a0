// SPDX-License-Identifier: MIT
/*
 * Address spaces of programs. One is made by HELLO on a control connection and ends
 * when that connection does (exit, exec, kill); the struct stays while something of
 * it is pinned, and so does its index in machine memory.
 *
 * Permissions are asked of the host kernel (PROCMAP_QUERY, fs/proc/task_mmu.c; before
 * Linux 6.11 the text of /proc/PID/maps), the same as pin_user_pages() would look at:
 * VM_READ, and VM_WRITE where the device writes. A file's mapping beyond its end has no
 * pages; there one byte is read to find out.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "machine/translate.h"
#include "server/server_priv.h"

#define LOG_SUBSYSTEM "server"
#include "base/log.h"

/* linux/fs.h since 6.11; older headers lack it. */
struct procmap_query_abi {
	u64 size, query_flags, query_addr;
	u64 vma_start, vma_end, vma_flags, vma_page_size, vma_offset, inode;
	u32 dev_major, dev_minor;
	u32 vma_name_size, build_id_size;
	u64 vma_name_addr, build_id_addr;
};
#define PROCMAP_QUERY_ABI _IOWR('f', 17, struct procmap_query_abi)

struct vma {
	u64 start, end; /* end exclusive */
	bool readable, writable, file, special;
};

#define to_process(m) container_of(m, struct process, mm)

static bool name_is_special(const char *name)
{
	return !strncmp(name, "[vvar", 5) || !strncmp(name, "[vsyscall]", 10);
}

/* 0, -ENOENT: nothing mapped at @addr, -ENOTTY: no such ioctl. */
static int vma_query(struct process *p, u64 addr, struct vma *vma)
{
	char name[64] = "";
	struct procmap_query_abi q = {.size = sizeof(q),
				      .query_addr = addr,
				      .vma_name_size = sizeof(name),
				      .vma_name_addr = (uintptr_t)name};

	if (ioctl(p->maps_fd, PROCMAP_QUERY_ABI, &q) < 0) {
		/* The name does not fit: a file's. */
		if (errno != ENAMETOOLONG)
			return -errno;
		q = (struct procmap_query_abi){.size = sizeof(q), .query_addr = addr};
		if (ioctl(p->maps_fd, PROCMAP_QUERY_ABI, &q) < 0)
			return -errno;
	}
	vma->start = q.vma_start;
	vma->end = q.vma_end;
	vma->readable = q.vma_flags & 1;
	vma->writable = q.vma_flags & 2;
	vma->file = q.inode != 0;
	vma->special = name_is_special(name);
	return 0;
}

/* The same from the text; reads all of it. */
static int vma_parse(struct process *p, u64 addr, struct vma *vma)
{
	char path[64], line[512];
	int ret = -ENOENT;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/maps", p->mm.pid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		u64 start, end, off, inode;
		unsigned maj, min;
		char perm[8];
		int name = 0;

		if (sscanf(line,
			   "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %x:%x %" SCNu64 " %n",
			   &start, &end, perm, &off, &maj, &min, &inode, &name) < 7)
			continue;
		if (addr < start)
			break;
		if (addr >= end)
			continue;
		vma->start = start;
		vma->end = end;
		vma->readable = perm[0] == 'r';
		vma->writable = perm[1] == 'w';
		vma->file = inode != 0;
		vma->special = name && name_is_special(line + name);
		ret = 0;
		break;
	}
	fclose(f);
	return ret;
}

static int vma_find(struct process *p, u64 addr, struct vma *vma)
{
	if (!p->no_query) {
		int ret = vma_query(p, addr, vma);

		if (ret != -ENOTTY && ret != -EINVAL)
			return ret;
		p->no_query = true;
	}
	return vma_parse(p, addr, vma);
}

/* Can the page at @addr be had at all? True also where the host does not tell. */
static bool page_there(struct process *p, u64 addr)
{
	u8 byte;
	struct iovec local = {&byte, 1}, remote = {(void *)(uintptr_t)addr, 1};

	return process_vm_readv((pid_t)p->mm.pid, &local, 1, &remote, 1, 0) == 1 ||
	       errno != EFAULT;
}

/* How many bytes of the pages [addr, end) of a file's mapping are within the file. */
static u64 file_backed(struct process *p, u64 addr, u64 end)
{
	u64 lo, hi; /* pages: lo is there, hi is not */

	if (page_there(p, (end - 1) & PAGE_MASK))
		return end - addr;
	if (!page_there(p, addr))
		return 0;
	lo = addr >> PAGE_SHIFT;
	hi = (end - 1) >> PAGE_SHIFT;
	while (hi - lo > 1) {
		u64 mid = lo + (hi - lo) / 2;

		if (page_there(p, mid << PAGE_SHIFT))
			lo = mid;
		else
			hi = mid;
	}
	return (hi << PAGE_SHIFT) - addr;
}

static u64 mm_accessible(struct mm *mm, u64 va, u64 len, bool write, bool *special,
			 phys_addr_t *phys)
{
	struct process *p = to_process(mm);
	struct interval_tree_node *it;
	u64 last = va + len - 1, addr = va, end;
	struct vma vma;

	*special = false;
	if (!len || last < va || p->dead)
		return 0;
	it = interval_tree_iter_first(&p->bars, va, last);
	if (it && it->start <= va) {
		struct bar_map *b = container_of(it, struct bar_map, it);
		const struct hw_bar *bar =
			&mm->machine->hw.functions[b->function].bar[b->bar];

		*special = true;
		*phys = bar->phys + b->offset + (va - it->start);
		return min(last, it->last) - va + 1;
	}
	if (it)
		last = it->start - 1;
	while (addr <= last) {
		if (vma_find(p, addr, &vma) || vma.special || !vma.readable ||
		    (write && !vma.writable))
			break;
		end = min(vma.end, last + 1);
		if (vma.file) {
			u64 n = file_backed(p, addr, end);

			if (n < end - addr) {
				addr += n;
				break;
			}
		}
		addr = end;
	}
	return addr - va;
}

/* Another user's limits may be read, but not with prlimit(2). */
static u64 memlock_from_text(struct mm *mm)
{
	char path[64], line[256];
	u64 limit = ~0ULL;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/limits", mm->pid);
	f = fopen(path, "re");
	if (!f)
		return limit;
	while (fgets(line, sizeof(line), f)) {
		/* "unlimited" is no number. */
		if (!strncmp(line, "Max locked memory", 17)) {
			if (sscanf(line + 17, "%" SCNu64, &limit) != 1)
				limit = ~0ULL;
			break;
		}
	}
	fclose(f);
	return limit;
}

static u64 mm_memlock_limit(struct mm *mm)
{
	struct rlimit lim;

	if (prlimit((pid_t)mm->pid, RLIMIT_MEMLOCK, NULL, &lim) < 0)
		return memlock_from_text(mm);
	return lim.rlim_cur == RLIM_INFINITY ? ~0ULL : lim.rlim_cur;
}

static bool mm_alive(struct mm *mm)
{
	return !to_process(mm)->dead;
}

static void mm_release(struct mm *mm)
{
	struct process *p = to_process(mm);
	struct interval_tree_node *it;

	while ((it = interval_tree_iter_first(&p->bars, 0, ~0ULL))) {
		interval_tree_remove(it, &p->bars);
		kfree(container_of(it, struct bar_map, it));
	}
	p->server->procs[mm->index] = NULL;
	close(p->maps_fd);
	kfree(p);
}

static const struct mm_ops process_mm_ops = {
	.accessible = mm_accessible,
	.memlock_limit = mm_memlock_limit,
	.alive = mm_alive,
	.release = mm_release,
};

struct process *process_create(struct server *s, struct conn *c, u32 pid, u32 features)
{
	struct process *p;
	char path[64];
	u32 index;

	for (index = 0; index < SELF_MM_INDEX && s->procs[index]; index++)
		;
	if (index == SELF_MM_INDEX)
		return ERR_PTR(-EAGAIN);
	p = kzalloc(sizeof(*p));
	if (!p)
		return ERR_PTR(-ENOMEM);
	p->mm.ops = &process_mm_ops;
	p->mm.machine = s->m;
	p->mm.index = index;
	p->mm.pid = pid;
	refcount_set(&p->mm.ref, 1);
	INIT_LIST_HEAD(&p->mm.pins);
	p->server = s;
	p->conn = c;
	p->features = features;
	p->bars = RB_ROOT_CACHED;
	snprintf(path, sizeof(path), "/proc/%u/maps", pid);
	p->maps_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (p->maps_fd < 0)
		p->no_query = true;
	s->procs[index] = p;
	s->m->hw.mms[index].generation++;
	atomic_store(&s->m->hw.mms[index].pid, pid);
	return p;
}

void process_gone(struct process *p)
{
	struct hw *hw = &p->server->m->hw;

	p->conn = NULL;
	p->dead = true;
	atomic_store(&hw->mms[p->mm.index].pid, 0);
	translators_reclaim(hw, p->mm.pid);
	mm_put(&p->mm);
}

struct process *process_by_mm(struct server *s, u32 index)
{
	struct process *p = index < HW_MAX_MMS ? s->procs[index] : NULL;

	return p && !p->dead ? p : NULL;
}

int process_add_bar(struct process *p, u64 addr, u64 len, u32 function, unsigned bar,
		    u64 off)
{
	struct bar_map *b;

	if (!len || addr + len - 1 < addr ||
	    function >= p->server->m->hw.hdr->nr_functions || bar >= HW_NR_BARS)
		return -EINVAL;
	process_del_bar(p, addr, len);
	b = kzalloc(sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->it.start = addr;
	b->it.last = addr + len - 1;
	b->function = function;
	b->bar = bar;
	b->offset = off;
	interval_tree_insert(&b->it, &p->bars);
	return 0;
}

void process_del_bar(struct process *p, u64 addr, u64 len)
{
	u64 last = addr + len - 1;
	struct interval_tree_node *it;

	if (!len || last < addr)
		return;
	while ((it = interval_tree_iter_first(&p->bars, addr, last))) {
		struct bar_map *b = container_of(it, struct bar_map, it);
		u64 start = it->start, end = it->last, off = b->offset;
		struct bar_map *tail = NULL;

		interval_tree_remove(it, &p->bars);
		if (start < addr) {
			/* The part in front stays; one behind needs a node of its own. */
			if (end > last)
				tail = kmemdup(b, sizeof(*b));
			b->it.last = addr - 1;
			interval_tree_insert(&b->it, &p->bars);
			if (!tail)
				continue;
			b = tail;
		} else if (end <= last) {
			kfree(b);
			continue;
		}
		b->offset = off + (last + 1 - start);
		b->it.start = last + 1;
		b->it.last = end;
		interval_tree_insert(&b->it, &p->bars);
	}
}
