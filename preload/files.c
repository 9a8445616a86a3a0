// SPDX-License-Identifier: MIT
/*
 * Files of the machine by cookie (files.h). The table is a hash with a few places per
 * bucket, newest first; it is a cache, so what falls out is asked for again. Readers do
 * not lock: a count tells them that a bucket changed under them.
 */
#include "preload/files.h"

#include <string.h>

#define BUCKETS 256
#define WAYS	8

/* Known not to be a file of the machine. */
#define COOKIE_OTHER 0xffffffffU

struct bucket {
	_Atomic u32 seq;
	struct pfile file[WAYS]; /* cookie 0: empty; mode COOKIE_OTHER: not ours */
};

u8 fd_hints[FD_MAX];
static struct bucket buckets[BUCKETS];

static u64 cookie_of(int fd)
{
	u64 cookie;
	u32 len = sizeof(cookie);

	if (sc5(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0)
		return 0;
	return cookie;
}

/* Only such a socket can be one of ours: spare the server the question. */
static bool is_seqpacket(int fd)
{
	int type = 0, domain = 0;
	u32 len = sizeof(int);

	return !sc5(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &len) &&
	       type == SOCK_SEQPACKET &&
	       !sc5(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) &&
	       domain == AF_UNIX;
}

static bool lookup(u64 cookie, struct pfile *out)
{
	struct bucket *b = &buckets[cookie % BUCKETS];
	u32 seq;
	bool found;

	do {
		do
			seq = atomic_load_explicit(&b->seq, memory_order_acquire);
		while (seq & 1);
		found = false;
		for (unsigned i = 0; i < WAYS && !found; i++) {
			if (b->file[i].cookie == cookie) {
				*out = b->file[i];
				found = true;
			}
		}
		atomic_thread_fence(memory_order_acquire);
	} while (atomic_load_explicit(&b->seq, memory_order_relaxed) != seq);
	return found;
}

static void put(const struct pfile *f)
{
	struct bucket *b = &buckets[f->cookie % BUCKETS];
	struct proc *p = proc_page;
	kset_t mask = sys_block_signals();
	unsigned i;

	plock_lock(&p->files_lock);
	/* A writer that a fork cut off in the parent's other thread left it odd. */
	atomic_store(&b->seq, atomic_load(&b->seq) | 1);
	atomic_thread_fence(memory_order_release);
	for (i = 0; i < WAYS - 1 && b->file[i].cookie && b->file[i].cookie != f->cookie;
	     i++)
		;
	memmove(&b->file[1], &b->file[0], i * sizeof(*b->file));
	b->file[0] = *f;
	atomic_store_explicit(&b->seq, atomic_load(&b->seq) + 1, memory_order_release);
	plock_unlock(&p->files_lock);
	sys_restore_signals(mask);
}

bool file_get(int fd, struct pfile *out)
{
	struct wire_request req = {.op = WIRE_IDENTIFY};
	struct conn_answer ans;
	struct proc *p;
	u64 cookie;

	if (!proc_socket || fd < 0 || fd_is_hidden(fd))
		return false;
	cookie = cookie_of(fd);
	if (!cookie) {
		if ((unsigned)fd < FD_MAX)
			fd_hints[fd] = FD_OTHER;
		return false;
	}
	if (!lookup(cookie, out)) {
		if (!is_seqpacket(fd)) {
			if ((unsigned)fd < FD_MAX)
				fd_hints[fd] = FD_OTHER;
			return false;
		}
		p = proc_get();
		if (!p)
			return false;
		req.a = cookie;
		memset(out, 0, sizeof(*out));
		out->cookie = cookie;
		out->function = -1;
		if (control_call(p, &req, NULL, 0, &ans) < 0 || !ans.has_new) {
			out->mode = COOKIE_OTHER;
		} else {
			out->mode = ans.new_fd.mode;
			out->rdev_major = ans.new_fd.rdev_major;
			out->rdev_minor = ans.new_fd.rdev_minor;
			out->flags = ans.reply.a;
		}
		put(out);
	}
	if ((unsigned)fd < FD_MAX)
		fd_hints[fd] = out->mode == COOKIE_OTHER ? FD_OTHER : FD_OURS;
	return out->mode != COOKIE_OTHER;
}

void file_add(int fd, const struct wire_new_fd *n, u32 flags)
{
	struct pfile f = {.cookie = n->cookie,
			  .mode = n->mode,
			  .rdev_major = n->rdev_major,
			  .rdev_minor = n->rdev_minor,
			  .flags = flags,
			  .function = -1};

	put(&f);
	if ((unsigned)fd < FD_MAX)
		fd_hints[fd] = FD_OURS;
}

void file_set_function(u64 cookie, u32 function)
{
	struct pfile f;

	if (lookup(cookie, &f) && f.function != (s32)function) {
		f.function = function;
		put(&f);
	}
}

void files_forked(void)
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		if (atomic_load(&buckets[i].seq) & 1)
			atomic_fetch_add(&buckets[i].seq, 1);
	}
}
