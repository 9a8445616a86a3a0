// SPDX-License-Identifier: MIT
/*
 * Process state (proc.h). Everything here may run in a signal handler (a forked child
 * whose first act is a register access is set up there), so it allocates with mmap
 * only and makes system calls directly.
 */
#include "preload/proc.h"

#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/un.h>

#include "endpoints/models.h"
#include "preload/bars.h"
#include "preload/conn.h"
#include "preload/host.h"
#include "preload/trap.h"
#include "server/wire.h"
#include "units/units.h"

struct proc *proc_page;
struct hw proc_hw;
const char *proc_socket, *proc_root;
bool proc_redirect;

static char socket_path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
static char root_path[512];
static u64 hidden[FD_MAX / 64];
static int inherited_control = -1;
static bool hw_attached;

bool fd_is_hidden(int fd)
{
	return (unsigned)fd < FD_MAX &&
	       __atomic_load_n(&hidden[fd / 64], __ATOMIC_RELAXED) >> (fd % 64) & 1;
}

static void set_hidden(int fd, bool on)
{
	u64 bit = 1ULL << (fd % 64);

	if (on)
		__atomic_fetch_or(&hidden[fd / 64], bit, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(&hidden[fd / 64], ~bit, __ATOMIC_RELAXED);
}

/* High, where a program that counts on small numbers does not notice. */
static int hidden_floor(void)
{
	struct rlimit lim = {.rlim_cur = 1024};
	u64 top;

	sc4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &lim);
	top = min_t(u64, lim.rlim_cur, 4096);
	return top - top / 4;
}

int fd_hide_dup(int fd)
{
	long ret = sc3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, hidden_floor());

	if (ret == -EINVAL || ret == -EMFILE)
		ret = sc3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0);
	if (ret >= FD_MAX) {
		sys_close(ret);
		return -EMFILE;
	}
	if (ret >= 0)
		set_hidden(ret, true);
	return ret;
}

int fd_hide(int fd)
{
	int ret = fd_hide_dup(fd);

	sys_close(fd);
	return ret;
}

void fd_unhide_close(int fd)
{
	if (!fd_is_hidden(fd))
		return;
	set_hidden(fd, false);
	sys_close(fd);
}

void fd_evade(int fd)
{
	struct proc *p = proc_page;
	int moved;

	if (!fd_is_hidden(fd) || !p)
		return;
	moved = fd_hide_dup(fd);
	if (moved < 0)
		return;
	if (p->control == fd)
		p->control = moved;
	if ((int)atomic_load(&p->mem_fd) - 1 == fd)
		atomic_store(&p->mem_fd, moved + 1);
	bars_fd_moved(fd, moved);
	irq_fd_moved(fd, moved);
	set_hidden(fd, false);
}

void proc_forked(void)
{
	int fd = inherited_control;

	inherited_control = -1;
	if (fd >= 0 && !(proc_page && proc_page->control == fd &&
			 atomic_load(&proc_page->state) == PROC_READY))
		fd_unhide_close(fd);
}

static int connect_server(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = strlen(proc_socket);
	long fd, ret;

	if (len >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, proc_socket, len);
	fd = sc3(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	do
		ret = sc3(SYS_connect, fd, &addr, sizeof(addr));
	while (ret == -EINTR);
	if (ret < 0) {
		sys_close(fd);
		return ret;
	}
	return fd_hide(fd);
}

/* Greets the server; *@memfd is machine memory. */
static int hello(struct proc *p, int *memfd)
{
	struct wire_request req = {
		.op = WIRE_HELLO,
		.a = WIRE_VERSION,
		.b = WIRE_FEATURE_INLINE_STORES,
	};
	struct conn_answer ans = {.fd = -1};
	int ret;

	ret = control_call(p, &req, NULL, 0, &ans);
	if (ret < 0)
		return ret;
	p->mm = ans.reply.a;
	*memfd = ans.fd;
	return ans.fd < 0 ? -EPROTO : 0;
}

static int setup(struct proc *p)
{
	int memfd, ret;

	proc_forked();
	trap_install();
	p->pid = self_pid();
	p->control = connect_server();
	if (p->control < 0)
		return p->control;
	inherited_control = p->control;
	ret = hello(p, &memfd);
	if (ret < 0)
		return ret;
	if (hw_attached) {
		sys_close(memfd);
	} else {
		ret = fd_hide(memfd);
		if (ret < 0)
			return ret;
		memfd = ret;
		ret = hw_attach(&proc_hw, memfd);
		if (ret)
			return ret;
		hw_attached = true;
	}
	proc_hw.self_mm = p->mm;
	proc_hw.ops = &host_ops;
	proc_hw.copy = host_copy;
	units_register(&proc_hw);
	proc_hw.endpoint_models = endpoint_models;
	/* Where only a parent may touch a process's memory: DMA may come from any
	 * program. */
	sc2(SYS_prctl, PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	return 0;
}

static struct proc *proc_page_make(void)
{
	struct proc *p = sys_map(NULL, sizeof(*p), PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		    *expected = NULL;

	if ((long)p < 0)
		return NULL;
	sc3(SYS_madvise, p, sizeof(*p), MADV_WIPEONFORK);
	if (!__atomic_compare_exchange_n(&proc_page, &expected, p, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		sys_unmap(p, sizeof(*p));
		p = expected;
	}
	return p;
}

struct proc *proc_setup(void)
{
	struct proc *p = proc_page;
	kset_t mask;
	int ret = 0;

	if (!proc_socket)
		return NULL;
	if (!p)
		p = proc_page_make();
	if (!p || atomic_load(&p->state) == PROC_DEAD)
		return NULL;

	mask = sys_block_signals();
	plock_lock(&p->setup_lock);
	if (atomic_load(&p->state) == PROC_NEW) {
		p->control = -1;
		ret = setup(p);
		if (ret < 0 && p->control >= 0)
			fd_unhide_close(p->control);
		atomic_store(&p->state, ret < 0 ? PROC_DEAD : PROC_READY);
		if (!ret)
			bars_announce(p);
	}
	plock_unlock(&p->setup_lock);
	sys_restore_signals(mask);
	return atomic_load(&p->state) == PROC_READY ? p : NULL;
}

int proc_mem_fd(void)
{
	struct proc *p = proc_page;
	u32 fd = atomic_load(&p->mem_fd), none = 0;
	long ret;

	if (fd)
		return fd - 1;
	ret = sc4(SYS_openat, AT_FDCWD, "/proc/self/mem", O_RDWR | O_CLOEXEC, 0);
	if (ret < 0)
		return ret;
	ret = fd_hide(ret);
	if (ret < 0)
		return ret;
	if (!atomic_compare_exchange_strong(&p->mem_fd, &none, ret + 1)) {
		fd_unhide_close(ret);
		return none - 1;
	}
	return ret;
}

/* Buffers: as many as threads that call at one time, up to 32; kept for good. */
static struct iobuf *iobufs[32];

struct iobuf *iobuf_get(void)
{
	struct proc *p = proc_page;

	for (;;) {
		u32 used = atomic_load(&p->iobuf_used);
		unsigned i = ~used ? __builtin_ctz(~used) : 32;
		void *mem;

		if (i == 32) {
			sc0(SYS_sched_yield);
			continue;
		}
		if (!atomic_compare_exchange_weak(&p->iobuf_used, &used, used | BIT(i)))
			continue;
		if (iobufs[i])
			return iobufs[i];
		mem = sys_map(NULL, sizeof(struct iobuf), PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if ((long)mem > 0 || (long)mem < -MAX_ERRNO) {
			iobufs[i] = mem;
			iobufs[i]->index = i;
			return mem;
		}
		atomic_fetch_and(&p->iobuf_used, ~BIT(i));
		sc0(SYS_sched_yield);
	}
}

void iobuf_put(struct iobuf *b)
{
	atomic_fetch_and(&proc_page->iobuf_used, ~BIT(b->index));
}

/* Copies: a program may write over its environment. */
static void take_variable(const char *entry, const char *name, char *out, size_t size,
			  const char **var)
{
	size_t n = strlen(name);

	if (strncmp(entry, name, n) || !entry[n] || strlen(entry + n) >= size)
		return;
	strcpy(out, entry + n);
	*var = out;
}

__attribute__((constructor(101))) static void preload_start(void)
{
	extern char **environ;

	for (char **e = environ; e && *e; e++) {
		if (strncmp(*e, "MOAT_", 5))
			continue;
		take_variable(*e, WIRE_ENV_SOCKET "=", socket_path, sizeof(socket_path),
			      &proc_socket);
		take_variable(*e, WIRE_ENV_ROOT "=", root_path, sizeof(root_path),
			      &proc_root);
		if (!strcmp(*e, WIRE_ENV_REDIRECT "=1"))
			proc_redirect = true;
	}
	if (!proc_root || !proc_socket)
		proc_redirect = false;
	if (proc_socket)
		host_atfork();
}
