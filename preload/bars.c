// SPDX-License-Identifier: MIT
/*
 * The table of BAR mappings (bars.h): sorted by address, a few dozen at most in any
 * program that is known, read by binary search under a sequence count.
 */
#include "preload/bars.h"

#include <string.h>

#include "preload/conn.h"

#define MAX_MAPS 4096

static struct bar_map maps[MAX_MAPS];
static u32 nr_maps;
static _Atomic u32 maps_seq;

static u32 read_begin(void)
{
	u32 seq;

	while ((seq = atomic_load_explicit(&maps_seq, memory_order_acquire)) & 1)
		cpu_relax();
	return seq;
}

static bool read_retry(u32 seq)
{
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&maps_seq, memory_order_relaxed) != seq;
}

static kset_t write_begin(struct proc *p)
{
	kset_t mask = sys_block_signals();

	plock_lock(&p->bars_lock);
	atomic_store(&maps_seq, atomic_load(&maps_seq) | 1);
	atomic_thread_fence(memory_order_release);
	return mask;
}

static void write_end(struct proc *p, kset_t mask)
{
	atomic_store_explicit(&maps_seq, atomic_load(&maps_seq) + 1,
			      memory_order_release);
	plock_unlock(&p->bars_lock);
	sys_restore_signals(mask);
}

/* The first mapping that ends behind @addr. */
static u32 first_behind(u64 addr)
{
	u32 lo = 0, hi = min_t(u32, nr_maps, MAX_MAPS);

	while (lo < hi) {
		u32 mid = (lo + hi) / 2;

		if (maps[mid].addr + maps[mid].len > addr)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

bool bars_find(u64 addr, struct bar_map *out)
{
	bool found;
	u32 seq, i;

	do {
		seq = read_begin();
		i = first_behind(addr);
		found = i < nr_maps && maps[i].addr <= addr;
		if (found)
			*out = maps[i];
	} while (read_retry(seq));
	return found;
}

bool bars_overlap(u64 addr, u64 len)
{
	bool found;
	u32 seq, i;

	if (likely(!nr_maps) || !len)
		return false;
	do {
		seq = read_begin();
		i = first_behind(addr);
		found = i < nr_maps && maps[i].addr < addr + len;
	} while (read_retry(seq));
	return found;
}

static void insert_at(u32 i, const struct bar_map *m)
{
	memmove(&maps[i + 1], &maps[i], (nr_maps - i) * sizeof(*maps));
	maps[i] = *m;
	nr_maps++;
}

static bool fd_in_use(int fd)
{
	for (u32 i = 0; i < nr_maps; i++) {
		if (maps[i].fd == fd)
			return true;
	}
	return false;
}

/* Take [addr, addr + len) out of the table; descriptors to close go to @fds. */
static unsigned cut(u64 addr, u64 len, int *fds, unsigned max)
{
	u64 end = addr + len;
	unsigned n = 0;
	u32 i;

	while ((i = first_behind(addr)) < nr_maps && maps[i].addr < end) {
		struct bar_map m = maps[i];
		u64 m_end = m.addr + m.len;

		memmove(&maps[i], &maps[i + 1], (nr_maps - i - 1) * sizeof(*maps));
		nr_maps--;
		if (m.addr < addr) {
			struct bar_map head = m;

			head.len = addr - m.addr;
			insert_at(i++, &head);
		}
		if (m_end > end && nr_maps < MAX_MAPS) {
			struct bar_map tail = m;

			tail.addr = end;
			tail.len = m_end - end;
			tail.offset += end - m.addr;
			insert_at(i, &tail);
		}
		if (!fd_in_use(m.fd) && n < max)
			fds[n++] = m.fd;
	}
	return n;
}

static void tell(struct proc *p, u32 op, u64 a, u64 b, u64 c, u64 d)
{
	struct wire_request req = {.op = op, .a = a, .b = b, .c = c, .d = d};
	struct conn_answer ans;

	control_call(p, &req, NULL, 0, &ans);
}

static void tell_map(struct proc *p, const struct bar_map *m)
{
	tell(p, WIRE_NOTE_BAR_MAP, m->addr, m->len, (u64)m->function << 8 | m->bar,
	     m->offset);
}

int bars_add(struct proc *p, const struct bar_map *map)
{
	kset_t mask = write_begin(p);
	bool room = nr_maps < MAX_MAPS - 1;

	if (room)
		insert_at(first_behind(map->addr), map);
	write_end(p, mask);
	if (!room)
		return -ENOMEM;
	tell_map(p, map);
	return 0;
}

void bars_remove(struct proc *p, u64 addr, u64 len)
{
	int fds[64];
	unsigned n;
	kset_t mask;

	if (!bars_overlap(addr, len))
		return;
	do {
		mask = write_begin(p);
		n = cut(addr, len, fds, ARRAY_SIZE(fds));
		write_end(p, mask);
		for (unsigned i = 0; i < n; i++)
			fd_unhide_close(fds[i]);
	} while (n == ARRAY_SIZE(fds));
	tell(p, WIRE_NOTE_VMA, addr, len, WIRE_VMA_BAR_GONE, 0);
}

void bars_protect(struct proc *p, u64 addr, u64 len, int prot)
{
	u64 end = addr + len;
	kset_t mask = write_begin(p);
	u32 i;

	for (i = first_behind(addr); i < nr_maps && maps[i].addr < end; i++) {
		struct bar_map tail = maps[i];

		if (maps[i].addr < addr && nr_maps < MAX_MAPS) {
			maps[i].len = addr - maps[i].addr;
			tail.addr = addr;
			tail.offset += maps[i].len;
			tail.len -= maps[i].len;
			insert_at(++i, &tail);
		}
		if (maps[i].addr + maps[i].len > end && nr_maps < MAX_MAPS) {
			tail = maps[i];
			tail.addr = end;
			tail.offset += end - maps[i].addr;
			tail.len = maps[i].addr + maps[i].len - end;
			maps[i].len = end - maps[i].addr;
			insert_at(i + 1, &tail);
		}
		maps[i].prot = prot;
	}
	write_end(p, mask);
}

void bars_move(struct proc *p, u64 old, u64 len, u64 to)
{
	struct bar_map moved[16];
	unsigned n = 0;
	kset_t mask = write_begin(p);
	u64 end = old + len;
	u32 i;

	while (n < ARRAY_SIZE(moved) && (i = first_behind(old)) < nr_maps &&
	       maps[i].addr < end) {
		struct bar_map m = maps[i];
		u64 lo = max(m.addr, old), hi = min(m.addr + m.len, end);

		moved[n] = m;
		moved[n].addr = to + (lo - old);
		moved[n].len = hi - lo;
		moved[n].offset += lo - m.addr;
		n++;
		cut(lo, hi - lo, NULL, 0);
	}
	for (unsigned k = 0; k < n && nr_maps < MAX_MAPS; k++)
		insert_at(first_behind(moved[k].addr), &moved[k]);
	write_end(p, mask);
	tell(p, WIRE_NOTE_VMA, old, len, WIRE_VMA_BAR_GONE, 0);
	for (unsigned k = 0; k < n; k++)
		tell_map(p, &moved[k]);
}

void bars_announce(struct proc *p)
{
	struct bar_map m;
	u64 addr = 0;

	for (;;) {
		u32 seq = read_begin(), i = first_behind(addr);
		bool some = i < nr_maps;

		if (some)
			m = maps[i];
		if (read_retry(seq))
			continue;
		if (!some)
			return;
		tell_map(p, &m);
		addr = m.addr + m.len;
	}
}

void bars_forked(void)
{
	if (atomic_load(&maps_seq) & 1)
		atomic_fetch_add(&maps_seq, 1);
}

void bars_fd_moved(int from, int to)
{
	for (u32 i = 0; i < nr_maps; i++) {
		if (maps[i].fd == from)
			maps[i].fd = to;
	}
}
