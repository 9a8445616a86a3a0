// SPDX-License-Identifier: MIT
/*
 * The host side of hardware in this process (host.h). Called with an endpoint's lock and
 * a translator slot held, in signal handlers: system calls made directly, no waiting for
 * the server. What its socket cannot take at once is sent by the engine thread.
 */
#include "preload/host.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/uio.h>

#include "machine/endpoint.h"
#include "machine/unit.h"
#include "preload/bars.h"
#include "preload/frames.h"
#include "preload/guard.h"
#include "preload/vma.h"

/* ---- memory of programs ---- */

/* Moves of memory that DMA may still look for in its old place; oldest overwritten. */
#define MOVES 16
static struct {
	_Atomic u64 from, len, to;
} moves[MOVES];
static _Atomic u32 nr_moves;

void host_moved(u64 from, u64 len, u64 to)
{
	unsigned i = atomic_fetch_add(&nr_moves, 1) % MOVES;

	atomic_store(&moves[i].len, 0);
	atomic_store(&moves[i].from, from);
	atomic_store(&moves[i].to, to);
	atomic_store(&moves[i].len, len);
}

static u64 moved_to(u64 addr, u64 *len)
{
	for (unsigned i = 0; i < MOVES; i++) {
		u64 from = atomic_load(&moves[i].from), n = atomic_load(&moves[i].len);

		if (addr >= from && addr - from < n) {
			*len = min(*len, n - (addr - from));
			return atomic_load(&moves[i].to) + (addr - from);
		}
	}
	return 0;
}

/*
 * Past page protection, as a device goes. Another process's (@pid) or, 0, this one's.
 */
static long forced(u32 pid, u64 addr, void *buf, size_t len, bool write)
{
	char path[32] = "/proc/", digits[12];
	unsigned n = 0, pos = 6;
	long fd, ret;

	if (!pid) {
		fd = proc_mem_fd();
	} else {
		do
			digits[n++] = '0' + pid % 10;
		while (pid /= 10);
		while (n)
			path[pos++] = digits[--n];
		memcpy(path + pos, "/mem", 5);
		fd = sc4(SYS_openat, AT_FDCWD, path,
			 (write ? O_RDWR : O_RDONLY) | O_CLOEXEC, 0);
	}
	if (fd < 0)
		return fd;
	ret = sc4(write ? SYS_pwrite64 : SYS_pread64, fd, buf, len, addr);
	if (path[6])
		sys_close(fd);
	return ret;
}

/* At most a page of one side faulted: get it by another way. Return: bytes, 0: none. */
static size_t rescue(u8 *to, const u8 *from, size_t len, u64 fault)
{
	bool reading = fault >= (u64)from && fault - (u64)from < len;
	u64 addr = reading ? (u64)from : (u64)to, n, there;
	long ret;

	n = min_t(u64, len, PAGE_SIZE - (addr & ~PAGE_MASK));
	there = moved_to(addr, &n);
	if (there) {
		struct guard_result r = reading ? guarded_copy(to, (const void *)there, n)
						: guarded_copy((void *)there, from, n);

		if (!r.left)
			return n;
		addr = there;
	}
	ret = reading ? forced(0, addr, to, n, false)
		      : forced(0, addr, (void *)from, n, true);
	return ret > 0 ? ret : 0;
}

int host_copy(void *to, const void *from, size_t len)
{
	u8 *dst = to;
	const u8 *src = from;

	for (;;) {
		struct guard_result r = guarded_copy(dst, src, len);
		size_t n;

		if (likely(!r.left))
			return 0;
		dst += len - r.left;
		src += len - r.left;
		len = r.left;
		n = rescue(dst, src, len, r.addr);
		if (!n)
			return -EFAULT;
		dst += n;
		src += n;
		len -= n;
		if (!len)
			return 0;
	}
}

static int other_mm(struct hw *hw, u32 mm, u64 vaddr, void *buf, size_t len, bool write)
{
	u8 *pos = buf;
	u32 pid;

	if (mm >= HW_MAX_MMS)
		return -EFAULT;
	pid = atomic_load(&hw->mms[mm].pid);
	if (!pid)
		return -ESRCH;
	while (len) {
		struct iovec local = {pos, len}, remote = {(void *)vaddr, len};
		long ret = sc6(write ? SYS_process_vm_writev : SYS_process_vm_readv, pid,
			       &local, 1, &remote, 1, 0);

		if (ret == -ESRCH)
			return -ESRCH;
		if (ret <= 0) {
			ret = forced(pid, vaddr, pos,
				     min_t(u64, len, PAGE_SIZE - (vaddr & ~PAGE_MASK)),
				     write);
			if (ret <= 0)
				return -EFAULT;
		}
		pos += ret;
		vaddr += ret;
		len -= ret;
	}
	return 0;
}

static int host_mm_read(struct hw *hw, u32 mm, u64 vaddr, void *buf, size_t len)
{
	if (mm == hw->self_mm)
		return host_copy(buf, (const void *)vaddr, len);
	return other_mm(hw, mm, vaddr, buf, len, false);
}

static int host_mm_write(struct hw *hw, u32 mm, u64 vaddr, const void *buf, size_t len)
{
	if (mm == hw->self_mm)
		return host_copy((void *)vaddr, buf, len);
	return other_mm(hw, mm, vaddr, (void *)buf, len, true);
}

/* ---- interrupts ---- */

/*
 * Eventfds by what triggers them. A place keeps its descriptor's number for good; what
 * the number stands for is exchanged with dup3, so a thread that is about to write to it
 * never hits something else.
 */
#define IRQ_PLACES 2048

struct irq_place {
	u64 cookie; /* of the device file; 0: free */
	u16 index, vector;
	s32 fd; /* hidden eventfd, -1: never had one */
	bool live;
	_Atomic u32 gen; /* of the hw_irq when first used, + 1; 0: not yet */
};
static struct irq_place irq_places[IRQ_PLACES];
static u32 nr_irq_places;
/* Which file a function's interrupts were set up through. */
static u64 function_cookie[HW_MAX_FUNCTIONS];

static struct irq_place *irq_find(u64 cookie, unsigned index, unsigned vector)
{
	for (u32 i = 0; i < nr_irq_places; i++) {
		struct irq_place *pl = &irq_places[i];

		if (pl->cookie == cookie && pl->index == index && pl->vector == vector)
			return pl;
	}
	return NULL;
}

static void irq_drop(struct irq_place *pl)
{
	__atomic_store_n(&pl->live, false, __ATOMIC_SEQ_CST);
}

static void irq_put(u64 cookie, unsigned index, unsigned vector, int fd)
{
	struct irq_place *pl = irq_find(cookie, index, vector);

	if (fd < 0) {
		if (pl)
			irq_drop(pl);
		return;
	}
	for (u32 i = 0; i < nr_irq_places && !pl; i++) {
		if (!irq_places[i].live)
			pl = &irq_places[i];
	}
	if (!pl) {
		if (nr_irq_places == IRQ_PLACES)
			return;
		pl = &irq_places[nr_irq_places];
		pl->fd = -1;
		nr_irq_places++;
	}
	irq_drop(pl);
	if (pl->fd < 0)
		pl->fd = fd_hide_dup(fd);
	else if (sc3(SYS_dup3, fd, pl->fd, O_CLOEXEC) < 0)
		return;
	if (pl->fd < 0)
		return;
	pl->cookie = cookie;
	pl->index = index;
	pl->vector = vector;
	atomic_store(&pl->gen, 0);
	__atomic_store_n(&pl->live, true, __ATOMIC_SEQ_CST);
}

void irq_file_function(u64 cookie, u32 function)
{
	if (function < HW_MAX_FUNCTIONS)
		__atomic_store_n(&function_cookie[function], cookie, __ATOMIC_RELAXED);
}

void irq_fd_moved(int from, int to)
{
	for (u32 i = 0; i < nr_irq_places; i++) {
		if (irq_places[i].fd == from)
			irq_places[i].fd = to;
	}
}

/* struct vfio_irq_set (linux/vfio.h). */
struct irq_set {
	u32 argsz, flags, index, start, count;
};
#define IRQ_SET_DATA_NONE      BIT(0)
#define IRQ_SET_DATA_EVENTFD   BIT(2)
#define IRQ_SET_ACTION_TRIGGER BIT(5)
#define IRQ_SET_ACTION_UNMASK  BIT(4)
#define IRQ_INTX	       0
#define IRQ_MSI		       1
#define IRQ_MSIX	       2

void irq_note_set(const struct pfile *f, u64 arg)
{
	struct proc *p = proc_page;
	struct irq_set set;
	kset_t mask;

	if (guarded_read(&set, arg, sizeof(set)) != sizeof(set))
		return;
	if (set.flags & IRQ_SET_ACTION_UNMASK && set.flags & IRQ_SET_DATA_EVENTFD &&
	    set.count) {
		s32 fd;

		if (guarded_read(&fd, arg + sizeof(set), sizeof(fd)) == sizeof(fd))
			fd_heard(fd);
	}
	if (!(set.flags & IRQ_SET_ACTION_TRIGGER) ||
	    (set.index != IRQ_MSI && set.index != IRQ_MSIX))
		return;
	mask = sys_block_signals();
	plock_lock(&p->irq_lock);
	if (set.flags & IRQ_SET_DATA_NONE && !set.count) {
		for (u32 i = 0; i < nr_irq_places; i++) {
			if (irq_places[i].cookie == f->cookie &&
			    irq_places[i].index == set.index)
				irq_drop(&irq_places[i]);
		}
	} else if (set.flags & IRQ_SET_DATA_EVENTFD) {
		for (u32 i = 0; i < min(set.count, 2048U); i++) {
			s32 fd;

			if (guarded_read(&fd, arg + sizeof(set) + 4ULL * i, 4) != 4)
				break;
			irq_put(f->cookie, set.index, set.start + i, fd);
		}
	}
	plock_unlock(&p->irq_lock);
	sys_restore_signals(mask);
}

/*
 * This thread has told the server of an interrupt: before the program goes on, the
 * server shall have passed it on, as the processor would have taken it.
 */
static __thread bool note_sent __attribute__((tls_model("initial-exec")));

static void note(u32 op, u64 a, u64 b)
{
	struct wire_request req = {.op = op, .a = a, .b = b};
	struct proc *p = proc_get();

	if (!p)
		return;
	note_sent = true;
	control_note(p, &req, NULL, 0, NULL, 0, false);
}

static void host_irq(struct hw *hw, u32 irq)
{
	const struct hw_irq *q = &hw->irqs[irq];
	u64 cookie = q->function < HW_MAX_FUNCTIONS ? function_cookie[q->function] : 0;
	struct irq_place *pl = cookie && q->kind == HW_IRQ_MSI
				       ? irq_find(cookie, q->vfio_index, q->vector)
				       : NULL;
	u32 gen = atomic_load(&hw->irqs[irq].gen) + 1, first = 0;
	u64 one = 1;

	if (pl && __atomic_load_n(&pl->live, __ATOMIC_SEQ_CST)) {
		if (atomic_compare_exchange_strong(&pl->gen, &first, gen) ||
		    first == gen) {
			/* A full counter is an interrupt that is pending already. */
			if (sc3(SYS_write, pl->fd, &one, sizeof(one)) != -EBADF)
				return;
		}
		irq_drop(pl);
	}
	note(WIRE_NOTE_IRQ, irq, 0);
}

static void host_intx(struct hw *hw, u32 function, bool level)
{
	note(WIRE_NOTE_INTX, function, level);
}

static void host_unit_event(struct hw *hw, u32 unit)
{
	note(WIRE_NOTE_UNIT, unit, 0);
}

/*
 * Who asked for the work that the engine does: a fault there is told of with the frames
 * of the access that started it. A hint, so it is read without a lock.
 */
#define STARTERS 256
static struct {
	u32 function, n;
	u64 frames[16];
} starters[STARTERS];
static __thread bool is_engine __attribute__((tls_model("initial-exec")));

static void starter_keep(u32 function)
{
	u64 frames[16];
	unsigned n = frames_here(frames, ARRAY_SIZE(frames)), i = function % STARTERS;

	starters[i].n = 0;
	starters[i].function = function;
	memcpy(starters[i].frames, frames, n * sizeof(*frames));
	starters[i].n = n;
}

static unsigned fault_frames(u32 function, u64 *out)
{
	unsigned i = function % STARTERS, n = min(starters[i].n, 16U);

	if (!is_engine)
		return frames_here(out, 16);
	if (starters[i].function != function)
		return 0;
	memcpy(out, starters[i].frames, n * sizeof(*out));
	return n;
}

static void host_fault(struct hw *hw, const struct dma_fault *fault)
{
	struct wire_request req = {.op = WIRE_NOTE_FAULT};
	struct proc *p = proc_get();
	u64 frames[16];
	unsigned n;

	if (!p)
		return;
	n = fault_frames(fault->function, frames);
	control_note(p, &req, fault, sizeof(*fault), frames, n, true);
}

/* ---- the engine ---- */

#define ENGINE_WANTED 1
#define ENGINE_RUNS   2

static void engine_wake(struct proc *p)
{
	atomic_fetch_add(&p->engine_word, 1);
	sc3(SYS_futex, &p->engine_word, FUTEX_WAKE_PRIVATE, 1);
}

void host_want_engine(void)
{
	struct proc *p = proc_page;
	u32 none = 0;

	if (!p)
		return;
	atomic_compare_exchange_strong(&p->engine, &none, ENGINE_WANTED);
	engine_wake(p);
}

static void host_kick(struct hw *hw, u32 function)
{
	struct proc *p = proc_page;

	if (!p || function >= HW_MAX_FUNCTIONS)
		return;
	if (!is_engine)
		starter_keep(function);
	atomic_fetch_or(&p->engine_work[function / 64], 1ULL << (function % 64));
	host_want_engine();
}

/* One turn for each function that has work. */
static bool engine_turn(struct proc *p)
{
	bool some = false;

	for (unsigned i = 0; i < ARRAY_SIZE(p->engine_work); i++) {
		u64 bits = atomic_exchange(&p->engine_work[i], 0);

		while (bits) {
			unsigned bit = __builtin_ctzll(bits);

			bits &= bits - 1;
			some = true;
			if (endpoint_run(&proc_hw, i * 64 + bit, ENDPOINT_ENGINE_BUDGET))
				atomic_fetch_or(&p->engine_work[i], 1ULL << bit);
		}
	}
	return some;
}

static void *engine(void *arg)
{
	struct proc *p = arg;

	is_engine = true;
	for (;;) {
		u32 word = atomic_load(&p->engine_word);
		bool some = engine_turn(p);

		some |= control_flush(p);
		if (!some)
			sc4(SYS_futex, &p->engine_word, FUTEX_WAIT_PRIVATE, word, NULL);
	}
	return NULL;
}

/*
 * Not from within kick(): making a thread takes libc's locks. Here the program stands
 * at an instruction, or a call, of its own.
 */
void host_after_access(void)
{
	struct proc *p = proc_page;
	u32 wanted = ENGINE_WANTED;
	pthread_attr_t attr;
	pthread_t thread;
	kset_t mask;

	if (unlikely(note_sent) && p) {
		note_sent = false;
		control_flush(p);
		control_sync(p);
	}
	if (likely(!p || atomic_load_explicit(&p->engine, memory_order_relaxed) !=
				 ENGINE_WANTED))
		return;
	if (!atomic_compare_exchange_strong(&p->engine, &wanted, ENGINE_RUNS))
		return;
	mask = sys_block_signals();
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	if (pthread_create(&thread, &attr, engine, p))
		atomic_store(&p->engine, ENGINE_WANTED);
	pthread_attr_destroy(&attr);
	sys_restore_signals(mask);
}

const struct hw_host_ops host_ops = {
	.irq = host_irq,
	.intx = host_intx,
	.fault = host_fault,
	.unit_event = host_unit_event,
	.kick = host_kick,
	.mm_read = host_mm_read,
	.mm_write = host_mm_write,
};

static void child_after_fork(void)
{
	if (proc_used()) {
		vma_shared_with_others();
		bars_forked();
		files_forked();
	}
	proc_forked();
}

static void parent_after_fork(void)
{
	if (proc_used())
		vma_shared_with_others();
}

void host_atfork(void)
{
	pthread_atfork(NULL, parent_after_fork, child_after_fork);
}
