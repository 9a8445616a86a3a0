// SPDX-License-Identifier: MIT
/*
 * Pinned memory outlives its address (vma.h). What is pinned in a range that goes away is
 * moved, pages and all, to a hidden place (mremap), which the server is told; what
 * cannot be moved is copied into machine memory by the server. A DMA that is under way
 * meanwhile finds the pages through the list of recent moves (host_moved()).
 *
 * Hidden pages are given back when nothing pins them any more, which is looked at
 * before more are hidden.
 */
#include "preload/vma.h"

#include <fcntl.h>
#include <malloc.h>
#include <string.h>
#include <sys/stat.h>

#include "preload/conn.h"
#include "preload/host.h"

#define HIDDEN_MAX 1024

/* Pages that the program has given up and devices have not. vma_lock. */
static struct {
	u64 addr, len;
} hidden[HIDDEN_MAX];
static unsigned nr_hidden;

bool vma_pinned(u64 addr, u64 len)
{
	const struct hw_mm *mm;
	u64 first, last;

	if (likely(!proc_ready()) || !len)
		return false;
	mm = &proc_hw.mms[proc_page->mm];
	first = atomic_load_explicit(&mm->pinned_first, memory_order_acquire);
	last = atomic_load_explicit(&mm->pinned_last, memory_order_acquire);
	return last && addr <= last && addr + len - 1 >= first;
}

static long vma_note(struct proc *p, u64 a, u64 b, u32 what, u64 d,
		     struct conn_answer *ans)
{
	struct wire_request req = {
		.op = WIRE_NOTE_VMA, .a = a, .b = b, .c = what, .d = d};

	return control_call(p, &req, NULL, 0, ans);
}

/* Calls @fn for each pinned piece of [addr, addr + len). */
static void for_each_pinned(struct proc *p, u64 addr, u64 len,
			    void (*fn)(struct proc *p, u64 addr, u64 len, void *arg),
			    void *arg)
{
	u64 end = addr + len;

	while (addr < end) {
		struct conn_answer ans;

		if (vma_note(p, addr, end - addr, WIRE_VMA_QUERY, 0, &ans) < 0)
			return;
		for (unsigned i = 0; i < ans.nr_pieces; i++) {
			u64 lo = max(ans.pieces[i].addr, addr);
			u64 hi = min(ans.pieces[i].addr + ans.pieces[i].len, end);

			if (lo < hi)
				fn(p, lo, hi - lo, arg);
		}
		if (!ans.reply.a || ans.reply.a <= addr)
			return;
		addr = ans.reply.a;
	}
}

static void count_piece(struct proc *p, u64 addr, u64 len, void *arg)
{
	(*(unsigned *)arg)++;
}

static void reclaim(struct proc *p)
{
	unsigned out = 0;

	for (unsigned i = 0; i < nr_hidden; i++) {
		unsigned pinned = 0;

		for_each_pinned(p, hidden[i].addr, hidden[i].len, count_piece, &pinned);
		if (pinned)
			hidden[out++] = hidden[i];
		else
			sys_unmap((void *)hidden[i].addr, hidden[i].len);
	}
	nr_hidden = out;
}

/*
 * Move the pages away; pieces of several mappings move in halves. Return: false: what is
 * left has to be copied.
 */
static bool move_pages(struct proc *p, u64 addr, u64 len, bool keep)
{
	struct conn_answer ans;
	u64 half;
	void *to;
	long ret;

	to = sys_map(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		     -1, 0);
	if ((u64)to >= (u64)-MAX_ERRNO)
		return false;
	host_moved(addr, len, (u64)to);
	ret = sc5(SYS_mremap, addr, len, len,
		  MREMAP_MAYMOVE | MREMAP_FIXED | (keep ? MREMAP_DONTUNMAP : 0), to);
	if (ret == (long)to) {
		if (nr_hidden < HIDDEN_MAX) {
			hidden[nr_hidden].addr = (u64)to;
			hidden[nr_hidden++].len = len;
		}
		vma_note(p, addr, len, WIRE_VMA_MOVED, (u64)to, &ans);
		return true;
	}
	sys_unmap(to, len);
	half = ALIGN_DOWN(len / 2, PAGE_SIZE);
	if (!half || len <= PAGE_SIZE)
		return false;
	if (!move_pages(p, addr, half, keep))
		vma_note(p, addr, half, WIRE_VMA_MOVED, 0, &ans);
	if (!move_pages(p, addr + half, len - half, keep))
		vma_note(p, addr + half, len - half, WIRE_VMA_MOVED, 0, &ans);
	return true;
}

static void hide_piece(struct proc *p, u64 addr, u64 len, void *arg)
{
	bool keep = *(bool *)arg;
	struct conn_answer ans;
	u64 end = ALIGN(addr + len, PAGE_SIZE);

	addr = ALIGN_DOWN(addr, PAGE_SIZE);
	if (!move_pages(p, addr, end - addr, keep))
		vma_note(p, addr, end - addr, WIRE_VMA_MOVED, 0, &ans);
}

void vma_vanish(u64 addr, u64 len, bool keep_mapping)
{
	struct proc *p;
	kset_t mask;

	len = ALIGN(len + (addr & ~PAGE_MASK), PAGE_SIZE);
	addr = ALIGN_DOWN(addr, PAGE_SIZE);
	if (likely(!vma_pinned(addr, len)) || addr + len < addr)
		return;
	p = proc_get();
	if (!p)
		return;
	mask = sys_block_signals();
	plock_lock(&p->vma_lock);
	reclaim(p);
	for_each_pinned(p, addr, len, hide_piece, &keep_mapping);
	plock_unlock(&p->vma_lock);
	sys_restore_signals(mask);
}

void vma_moved(u64 from, u64 len, u64 to)
{
	struct conn_answer ans;
	struct proc *p;

	if (!vma_pinned(from, len))
		return;
	p = proc_get();
	if (p)
		vma_note(p, from, len, WIRE_VMA_REMAPPED, to, &ans);
}

static void note_protected(struct proc *p, u64 addr, u64 len, void *arg)
{
	struct conn_answer ans;

	vma_note(p, addr, len, WIRE_VMA_PROTECTED, 0, &ans);
}

void vma_protected(u64 addr, u64 len)
{
	struct proc *p;

	if (!vma_pinned(addr, len))
		return;
	p = proc_get();
	if (p)
		for_each_pinned(p, addr, len, note_protected, NULL);
}

/* ---- /proc/self/maps ---- */

struct mapping {
	u64 start, end, offset, inode;
	u32 major, minor;
	bool shared;
};

static const char *number(const char *s, const char *end, unsigned base, u64 *out)
{
	*out = 0;
	for (; s < end; s++) {
		unsigned d = *s >= '0' && *s <= '9'   ? *s - '0'
			     : *s >= 'a' && *s <= 'f' ? *s - 'a' + 10
						      : 99;

		if (d >= base)
			break;
		*out = *out * base + d;
	}
	return s;
}

static bool parse_line(const char *s, const char *end, struct mapping *m)
{
	u64 major, minor;

	s = number(s, end, 16, &m->start) + 1;
	s = number(s, end, 16, &m->end) + 1;
	if (s + 5 >= end)
		return false;
	m->shared = s[3] == 's';
	s = number(s + 5, end, 16, &m->offset) + 1;
	s = number(s, end, 16, &major) + 1;
	s = number(s, end, 16, &minor) + 1;
	number(s, end, 10, &m->inode);
	m->major = major;
	m->minor = minor;
	return true;
}

/* @fn returns true to stop. */
static void for_each_mapping(bool (*fn)(const struct mapping *m, void *arg), void *arg)
{
	char buf[4096];
	size_t have = 0;
	long fd = sc4(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0),
	     n;
	bool stop = false;

	if (fd < 0)
		return;
	while (!stop && (n = sc3(SYS_read, fd, buf + have, sizeof(buf) - have)) > 0) {
		char *line = buf, *nl;

		have += n;
		while (!stop && (nl = memchr(line, '\n', buf + have - line))) {
			struct mapping m;

			if (parse_line(line, nl, &m))
				stop = fn(&m, arg);
			line = nl + 1;
		}
		have = buf + have - line;
		memmove(buf, line, have);
		if (have == sizeof(buf))
			have = 0; /* a name longer than the buffer */
	}
	sys_close(fd);
}

struct find_private {
	u64 addr;
	bool result;
};

static bool check_private(const struct mapping *m, void *arg)
{
	struct find_private *f = arg;

	if (f->addr >= m->end)
		return false;
	f->result = f->addr >= m->start && !m->shared;
	return true;
}

bool vma_private(u64 addr)
{
	struct find_private f = {.addr = addr};

	for_each_mapping(check_private, &f);
	return f.result;
}

struct file_cut {
	struct stat st;
	u64 start, end;
	struct {
		u64 addr, len;
	} range[64];
	unsigned n;
};

static bool check_cut(const struct mapping *m, void *arg)
{
	struct file_cut *c = arg;
	u64 lo, hi;

	if (!m->shared || m->inode != c->st.st_ino)
		return false;
	lo = max(m->offset, c->start);
	hi = min(m->offset + (m->end - m->start), c->end);
	if (lo < hi && vma_pinned(m->start + (lo - m->offset), hi - lo)) {
		c->range[c->n].addr = m->start + (lo - m->offset);
		c->range[c->n++].len = hi - lo;
	}
	return c->n == ARRAY_SIZE(c->range);
}

static void copy_piece(struct proc *p, u64 addr, u64 len, void *arg)
{
	struct conn_answer ans;

	vma_note(p, addr, len, WIRE_VMA_MOVED, 0, &ans);
}

static bool files_given;

void vma_files_given(void)
{
	files_given = true;
}

void vma_file_cut(int fd, u64 start, u64 end)
{
	struct file_cut c = {.start = ALIGN_DOWN(start, PAGE_SIZE), .end = end};
	struct conn_answer ans;
	struct proc *p;

	if (likely(!files_given && !vma_pinned(0, ~0ULL)))
		return;
	p = proc_get();
	if (!p || sc2(SYS_fstat, fd, &c.st) < 0)
		return;
	if (files_given)
		vma_note(p, c.start, c.end - c.start, WIRE_VMA_FILE_CUT, c.st.st_ino,
			 &ans);
	for_each_mapping(check_cut, &c);
	for (unsigned i = 0; i < c.n; i++)
		for_each_pinned(p, c.range[i].addr, c.range[i].len, copy_piece, NULL);
}

/* ---- the end of the process ---- */

/* What is copied at most: the files may be gone with this process all the same. */
#define LEAVE_MAX (256ULL << 20)

static bool shared_with_others;

void vma_shared_with_others(void)
{
	shared_with_others = true;
}

static void add_piece(struct proc *p, u64 addr, u64 len, void *arg)
{
	*(u64 *)arg += len;
}

static void leave_piece(struct proc *p, u64 addr, u64 len, void *arg)
{
	struct conn_answer ans;

	vma_note(p, addr, len, WIRE_VMA_REMAPPED, 0, &ans);
}

void vma_leave(void)
{
	struct proc *p = proc_page;
	u64 total = 0;

	if (!shared_with_others || !vma_pinned(0, ~0ULL))
		return;
	/* A child of vfork ends in its parent's memory. */
	if ((u32)sc0(SYS_getpid) != p->pid)
		return;
	for_each_pinned(p, 0, 1ULL << 47, add_piece, &total);
	if (total && total <= LEAVE_MAX)
		for_each_pinned(p, 0, 1ULL << 47, leave_piece, NULL);
}

__attribute__((destructor)) static void vma_exit(void)
{
	vma_leave();
}

void vma_tame_malloc(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	mallopt(M_MMAP_MAX, 0);
	mallopt(M_TRIM_THRESHOLD, -1);
}
