// SPDX-License-Identifier: MIT
#include "server/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "machine/watch.h"
#include "server/dir.h"
#include "server/server_priv.h"
#include "server/sysfs.h"

#define LOG_SUBSYSTEM "server"
#include "base/log.h"

/* The loop that machine_watch_fd() of this process uses. */
static struct loop *watch_loop;

static struct watch *watch_add(struct machine *m, int fd, u32 events,
			       void (*fn)(void *data, u32 events), void *data)
{
	return loop_watch(watch_loop, fd, events, fn, data);
}

static const struct watch_ops server_watch_ops = {.add = watch_add, .del = loop_unwatch};

/* The name is not to be guessed: others may pass through the directory, not list it. */
static int listen_on(struct server *s)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	u64 secret[2];
	int err;

	if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
		return -EIO;
	s->socket = kasprintf("%s/s%016llx%016llx", s->dir, (unsigned long long)secret[0],
			      (unsigned long long)secret[1]);
	if (!s->socket)
		return -ENOMEM;
	if (strlen(s->socket) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, s->socket);
	s->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listen_fd < 0)
		return -errno;
	if (bind(s->listen_fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    chmod(s->socket, 0666) < 0 || listen(s->listen_fd, 128) < 0)
		return -errno;
	s->listen_watch = loop_watch(s->loop, s->listen_fd, EPOLLIN, server_accept, s);
	if (IS_ERR(s->listen_watch)) {
		err = PTR_ERR(s->listen_watch);
		s->listen_watch = NULL;
		return err;
	}
	return 0;
}

int server_create(struct machine *m, bool own_mounts, struct server **out)
{
	struct server *s = kzalloc(sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->m = m;
	s->listen_fd = s->dir_lock = -1;
	s->owner_uid = geteuid();
	INIT_LIST_HEAD(&s->conns);
	INIT_LIST_HEAD(&s->free_calls);
	for (unsigned i = 0; i < CONN_HASH; i++)
		INIT_LIST_HEAD(&s->by_cookie[i]);
	host_init(s);
	self_mm_init(s);
	err = -ENOMEM;
	s->buf = aligned_alloc(64, WIRE_MAX_PACKET);
	if (!s->buf)
		goto err_free;
	err = loop_create(&s->loop);
	if (err)
		goto err_free;
	err = dir_create(&s->dir, &s->dir_lock);
	if (err)
		goto err_free;
	s->mounted = own_mounts && mount("moat", s->dir, "tmpfs", MS_NOSUID | MS_NODEV,
					 "mode=0711") == 0;
	err = listen_on(s);
	if (err)
		goto err_free;
	/* Where a program's mount namespace keeps what it builds (cli/namespace.c). */
	s->view = kasprintf("%s/view", s->dir);
	if (!s->view || mkdir(s->view, 0755) < 0) {
		err = -ENOMEM;
		goto err_free;
	}
	err = sysfs_create(m, s->dir, &s->sysfs);
	if (err)
		goto err_free;
	watch_loop = s->loop;
	machine_set_watch_ops(m, &server_watch_ops);
	*out = s;
	return 0;

err_free:
	server_destroy(s);
	return err;
}

void server_destroy(struct server *s)
{
	if (!s)
		return;
	while (!list_empty(&s->conns))
		conn_close(list_first_entry(&s->conns, struct conn, node));
	if (s->loop)
		loop_run_queued(s->loop);
	self_mm_exit(s);
	sysfs_destroy(s->sysfs, s->mounted);
	if (watch_loop && watch_loop == s->loop) {
		machine_set_watch_ops(s->m, NULL);
		watch_loop = NULL;
	}
	loop_unwatch(s->listen_watch);
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	if (s->mounted)
		umount2(s->dir, MNT_DETACH);
	else if (s->socket)
		unlink(s->socket);
	if (s->view && !s->mounted)
		rmdir(s->view);
	if (s->dir)
		rmdir(s->dir);
	if (s->dir_lock >= 0)
		close(s->dir_lock);
	while (!list_empty(&s->free_calls)) {
		struct server_call *sc =
			list_first_entry(&s->free_calls, struct server_call, node);

		list_del(&sc->node);
		kfree(sc->stores);
		kfree(sc->data);
		kfree(sc);
	}
	loop_destroy(s->loop);
	host_exit(s);
	free(s->buf);
	kfree(s->socket);
	kfree(s->view);
	kfree(s->dir);
	kfree(s);
}

void server_populate(struct server *s)
{
	sysfs_populate(s->sysfs);
}

struct loop *server_loop(struct server *s)
{
	return s->loop;
}

const char *server_socket(const struct server *s)
{
	return s->socket;
}

const char *server_root(const struct server *s)
{
	return s->dir;
}

void server_set_report(struct server *s, struct report *r)
{
	s->report = r;
}

void server_set_unit_event(struct server *s, void (*fn)(struct machine *m, u32 unit))
{
	s->unit_event = fn;
}

bool server_is_idle(const struct server *s)
{
	return list_empty(&s->conns);
}

void server_drain(struct server *s)
{
	/* What the kernel has to say of closed descriptors is there already. */
	for (int i = 0; i < 1000; i++) {
		bool idle = server_is_idle(s);

		loop_turn(s->loop, 0);
		if (idle && server_is_idle(s))
			return;
		if (!idle)
			loop_turn(s->loop, 1);
	}
}
