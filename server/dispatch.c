// SPDX-License-Identifier: MIT
/*
 * Requests. A file's connection carries what the kernel's file operations take; a
 * control connection says who the process is, opens, and brings notes (notes.c).
 */
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "base/alloc.h"
#include "iommu/iommu.h"
#include "server/server_priv.h"
#include "server/sysfs.h"

#define LOG_SUBSYSTEM "server"
#include "base/log.h"

#define MAX_RW_COUNT 0x7ffff000ULL /* include/linux/fs.h */
#define POLL_DEFAULT (EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM)

static long file_rw(struct file *file, struct call *call, const struct wire_request *req)
{
	bool write = req->op == WIRE_WRITE;
	size_t len = min_t(u64, req->b, MAX_RW_COUNT);
	int mode = file->flags & O_ACCMODE;

	if (mode == (write ? O_RDONLY : O_WRONLY))
		return -EBADF;
	if (req->c != ~0ULL && (s64)req->c < 0)
		return -EINVAL;
	if (write)
		return file->ops->write
			       ? file->ops->write(file, call, req->a, len, req->c)
			       : -EINVAL;
	return file->ops->read ? file->ops->read(file, call, req->a, len, req->c)
			       : -EINVAL;
}

static long file_mmap(struct file *file, struct server_call *sc)
{
	const struct wire_request *req = &sc->pkt.req;
	struct mmap_request mr = {.pgoff = req->a,
				  .len = req->b,
				  .prot = (int)(u32)req->c,
				  .flags = (int)(req->c >> 32)};
	long ret;

	if (!file->ops->mmap)
		return -ENODEV;
	ret = file->ops->mmap(file, &sc->call, &mr);
	sc->reply.a = (u64)mr.function << 8 | mr.bar;
	sc->reply.b = mr.bar_offset;
	return ret;
}

/* Most calls change nothing that is seen in the tree of files. */
static bool shows_nothing(const struct file *file, const struct wire_request *req)
{
	return file->ops->unseen || req->op == WIRE_READ || req->op == WIRE_MMAP ||
	       req->op == WIRE_POLL;
}

int dispatch_file(struct conn *c, struct wire_packet *pkt, const int *fds,
		  unsigned nr_fds)
{
	const struct wire_request *req = &pkt->req;
	struct process *proc = process_by_mm(c->server, req->mm);
	struct file *file = c->file;
	struct server_call *sc;
	long ret;

	if (req->op < WIRE_IOCTL || req->op > WIRE_FAULTED)
		return -EPROTO;
	if (req->op == WIRE_FAULTED) {
		if (c->undo)
			c->undo(c->undo_data);
		c->undo = NULL;
		call_reply_simple(c, req->seq, 0, NULL, NULL, 0);
		return 0;
	}
	if (!proc) {
		call_reply_simple(c, req->seq, -ESRCH, NULL, NULL, 0);
		return 0;
	}
	sc = call_begin(c, pkt, fds, nr_fds, proc);
	if (!sc) {
		call_reply_simple(c, req->seq, -ENOMEM, NULL, NULL, 0);
		return 0;
	}
	switch (req->op) {
	case WIRE_IOCTL:
		ret = file->ops->ioctl ? file->ops->ioctl(file, &sc->call,
							  (unsigned)req->a, req->b)
				       : -ENOTTY;
		break;
	case WIRE_READ:
	case WIRE_WRITE:
		ret = file_rw(file, &sc->call, req);
		break;
	case WIRE_MMAP:
		ret = file_mmap(file, sc);
		break;
	default:
		ret = file->ops->poll ? (long)file->ops->poll(file) : POLL_DEFAULT;
		break;
	}
	loop_run_queued(c->server->loop);
	if (!shows_nothing(file, req))
		sysfs_refresh(c->server->sysfs);
	call_end(sc, ret);
	return 0;
}

/* ---- control ---- */

static int do_hello(struct conn *c, const struct wire_request *req)
{
	struct wire_reply rep = {.kind = WIRE_REPLY, .seq = req->seq};
	struct iovec iov = {&rep, sizeof(rep)};
	int memfd = c->server->m->hw.fd;

	if (c->proc)
		return -EPROTO;
	if (req->a != WIRE_VERSION) {
		call_reply_simple(c, req->seq, -EPROTONOSUPPORT, NULL, NULL, 0);
		return 0;
	}
	c->proc = process_create(c->server, c, c->peer_pid, (u32)req->b);
	if (IS_ERR(c->proc)) {
		long err = PTR_ERR(c->proc);

		c->proc = NULL;
		call_reply_simple(c, req->seq, err, NULL, NULL, 0);
		return 0;
	}
	rep.a = c->proc->mm.index;
	conn_send(c, &iov, 1, &memfd, 1);
	return 0;
}

/* The machine's root may do what the mode says for the owner, anybody else for others. */
static int may_open(struct server *s, u32 euid, u32 mode, int flags)
{
	int acc = flags & O_ACCMODE;
	u32 want = (acc != O_WRONLY ? 4 : 0) | (acc != O_RDONLY ? 2 : 0);

	if (euid == s->owner_uid)
		return 0;
	return (mode & want) == want ? 0 : -EACCES;
}

/* The path in a request, as if the tree were mounted at the root. 0, -EPROTO. */
static int payload_path(struct server *s, const struct wire_packet *pkt, char *path,
			size_t size)
{
	size_t n = strlen(s->dir);

	if (!pkt->payload_len || pkt->payload_len >= size || pkt->payload[0] != '/')
		return -EPROTO;
	memcpy(path, pkt->payload, pkt->payload_len);
	path[pkt->payload_len] = 0;
	if (!strncmp(path, s->dir, n) && path[n] == '/')
		memmove(path, path + n, strlen(path + n) + 1);
	return 0;
}

static int open_path(struct server *s, struct call *call, const char *path, int flags,
		     struct file **out)
{
	struct devnode *node;
	int ret;

	if (!strncmp(path, "/sys/", 5))
		return sysfs_open(s->sysfs, call, path, flags, out);
	node = devnode_find(s->m, path);
	if (!node)
		return -ENOENT;
	ret = may_open(s, call->euid, node->mode, flags);
	if (ret)
		return ret;
	ret = node->ops->open(s->m, node->data, call, flags, out);
	if (!ret) {
		(*out)->mode = node->mode;
		(*out)->rdev_major = node->major;
		(*out)->rdev_minor = node->minor;
	}
	return ret;
}

static int do_open(struct conn *c, struct wire_packet *pkt, const int *fds,
		   unsigned nr_fds)
{
	struct server_call *sc;
	struct file *file;
	char path[4096];
	long ret;

	if (payload_path(c->server, pkt, path, sizeof(path)))
		return -EPROTO;
	sc = call_begin(c, pkt, fds, nr_fds, c->proc);
	if (!sc) {
		call_reply_simple(c, pkt->req.seq, -ENOMEM, NULL, NULL, 0);
		return 0;
	}
	ret = open_path(c->server, &sc->call, path, (int)pkt->req.a, &file);
	if (!ret)
		ret = call_install_fd(&sc->call, file, 0);
	loop_run_queued(c->server->loop);
	sysfs_refresh(c->server->sysfs);
	call_end(sc, ret);
	return 0;
}

static void do_identify(struct conn *c, const struct wire_request *req)
{
	struct conn *f = conn_find(c->server, req->a);
	struct wire_reply rep = {.kind = WIRE_REPLY, .seq = req->seq, .nr_new = 1};
	struct wire_new_fd n = {.flags = WIRE_FD_FILE};
	struct iovec iov[2] = {{&rep, sizeof(rep)}, {&n, sizeof(n)}};

	if (!f) {
		call_reply_simple(c, req->seq, -ENOENT, NULL, NULL, 0);
		return;
	}
	n.cookie = f->cookie;
	n.mode = f->file->mode;
	n.rdev_major = f->file->rdev_major;
	n.rdev_minor = f->file->rdev_minor;
	rep.a = (u64)(unsigned)f->file->flags;
	conn_send(c, iov, 2, NULL, 0);
}

/* What stat() of a device node should say. */
static int do_stat(struct conn *c, struct wire_packet *pkt)
{
	struct server *s = c->server;
	struct wire_reply rep = {.kind = WIRE_REPLY, .seq = pkt->req.seq, .nr_new = 1};
	struct wire_new_fd n = {.flags = WIRE_FD_FILE};
	struct iovec iov[2] = {{&rep, sizeof(rep)}, {&n, sizeof(n)}};
	struct devnode *node;
	char path[4096];

	if (payload_path(s, pkt, path, sizeof(path)))
		return -EPROTO;
	node = devnode_find(s->m, path);
	if (!node) {
		call_reply_simple(c, pkt->req.seq, -ENOENT, NULL, NULL, 0);
		return 0;
	}
	n.mode = node->mode;
	n.rdev_major = node->major;
	n.rdev_minor = node->minor;
	conn_send(c, iov, 2, NULL, 0);
	return 0;
}

static int count_owned(struct iommu_group *group, void *data)
{
	*(u64 *)data += iommu_group_dma_owner_claimed(group);
	return 0;
}

void server_counts(struct server *s, struct wire_counts *out)
{
	struct pin *pin;

	memset(out, 0, sizeof(*out));
	out->files = file_count(s->m);
	for (u32 i = 0; i < HW_MAX_MMS; i++) {
		if (!s->procs[i])
			continue;
		out->processes += !s->procs[i]->dead;
		list_for_each_entry(pin, &s->procs[i]->mm.pins, node) {
			out->mappings++;
			out->pinned += pin->len;
		}
	}
	iommu_for_each_group(s->m, count_owned, &out->attached);
}

int dispatch_control(struct conn *c, struct wire_packet *pkt, const int *fds,
		     unsigned nr_fds)
{
	struct wire_counts counts;

	if (pkt->req.op == WIRE_HELLO)
		return do_hello(c, &pkt->req);
	if (!c->proc)
		return -EPROTO;
	switch (pkt->req.op) {
	case WIRE_OPEN:
		return do_open(c, pkt, fds, nr_fds);
	case WIRE_IDENTIFY:
		do_identify(c, &pkt->req);
		return 0;
	case WIRE_STAT:
		return do_stat(c, pkt);
	case WIRE_COUNTS:
		server_counts(c->server, &counts);
		call_reply_simple(c, pkt->req.seq, 0, NULL, &counts, sizeof(counts));
		return 0;
	default:
		if (pkt->req.op < WIRE_NOTE_IRQ)
			return -EPROTO;
		return dispatch_note(c, c->proc, pkt);
	}
}
