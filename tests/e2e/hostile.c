// SPDX-License-Identifier: MIT
/*
 * A program that speaks to the server by itself and means no good: well-formed requests
 * with wild contents, packets of any shape, connections closed in the middle. To be run
 * under moat run; at the end the server must still answer, and hold nothing.
 *
 *	hostile [ROUNDS [SEED]]
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/wire.h"

#define MAX_FILES 24
#define SHORT	  20 /* milliseconds */
#define LONG	  20000

static u64 state;
static int files[MAX_FILES], nr_files, control;
static u32 mm;
static u8 packet[WIRE_MAX_PACKET], answer[WIRE_MAX_PACKET];

static u64 rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static u64 pick(u64 n)
{
	return rnd() % n;
}

/* Numbers that matter more than others. */
static u64 value(void)
{
	static const u64 edges[] = {0,
				    1,
				    2,
				    4,
				    8,
				    0x1000,
				    0x10000,
				    0xfee00000,
				    0x7ffffffff000,
				    0x7fffffffffff,
				    0xffff800000000000,
				    ~0ULL,
				    ~0ULL - 0xfff};

	switch (pick(4)) {
	case 0:
		return edges[pick(sizeof(edges) / sizeof(edges[0]))];
	case 1:
		return pick(64);
	case 2:
		return 1ULL << pick(64);
	default:
		return rnd();
	}
}

static int dial(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = (int)syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	const char *path = getenv(WIRE_ENV_SOCKET);

	if (!path || fd < 0 || strlen(path) >= sizeof(addr.sun_path))
		return -1;
	strcpy(addr.sun_path, path);
	return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -1 : fd;
}

static void keep(int fd)
{
	if (nr_files < MAX_FILES) {
		files[nr_files++] = fd;
	} else {
		int i = (int)pick(MAX_FILES);

		syscall(SYS_close, files[i]);
		files[i] = fd;
	}
}

/* Sends what is in @packet; takes answers until the last. False: no connection any more.
 */
static bool exchange(int fd, size_t len, const int *send_fds, unsigned nr_send,
		     int wait_ms)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * WIRE_MAX_FDS)];
	} c;
	struct iovec iov = {packet, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (nr_send) {
		struct cmsghdr *cm;

		msg.msg_control = c.buf;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nr_send);
		cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * nr_send);
		memcpy(CMSG_DATA(cm), send_fds, sizeof(int) * nr_send);
	}
	if (sendmsg(fd, &msg, MSG_NOSIGNAL) < 0)
		return false;
	while (wait_ms) {
		const struct wire_reply *rep = (const void *)answer;
		struct pollfd p = {.fd = fd, .events = POLLIN};
		struct cmsghdr *cm;
		ssize_t n;

		/* Some requests have no answer, some answer when something else happens.
		 */
		if (syscall(SYS_poll, &p, 1, wait_ms) != 1)
			return wait_ms == SHORT;
		iov.iov_base = answer;
		iov.iov_len = sizeof(answer);
		msg.msg_control = c.buf;
		msg.msg_controllen = sizeof(c.buf);
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		for (cm = CMSG_FIRSTHDR(&msg); cm; cm = CMSG_NXTHDR(&msg, cm)) {
			unsigned nr =
				(unsigned)((cm->cmsg_len - CMSG_LEN(0)) / sizeof(int));

			for (unsigned i = 0; i < nr; i++) {
				int got;

				memcpy(&got, CMSG_DATA(cm) + i * sizeof(int),
				       sizeof(int));
				keep(got);
			}
		}
		if (rep->kind != WIRE_STORE)
			return true;
	}
	return true;
}

static bool hello(void)
{
	struct wire_request *req = (void *)packet;
	const struct wire_reply *rep = (const void *)answer;

	control = dial();
	if (control < 0)
		return false;
	memset(req, 0, sizeof(*req));
	req->op = WIRE_HELLO;
	req->a = WIRE_VERSION;
	req->b = pick(2);
	if (!exchange(control, sizeof(*req), NULL, 0, LONG))
		return false;
	mm = (u32)rep->a;
	return rep->ret == 0;
}

static const char *const paths[] = {
	"/dev/vfio/vfio",
	"/dev/vfio/3",
	"/dev/vfio/4",
	"/dev/vfio/7",
	"/dev/iommu",
	"/dev/vfio/devices/vfio0",
	"/dev/vfio/devices/vfio1",
	"/dev/nothing",
	"/sys/bus/pci/drivers/vfio-pci/new_id",
	"/sys/bus/pci/devices/0000:00:03.0/config",
	"/sys/bus/pci/devices/0000:00:03.0/driver_override",
	"/sys/bus/pci/drivers_probe",
	"/sys/kernel/iommu_groups/3/type",
	"/sys/bus/pci/rescan",
	"/sys/../../etc/passwd",
	"/sys/module/vfio_iommu_type1/parameters/dma_entry_limit",
};

static size_t put_open(struct wire_request *req)
{
	const char *path = paths[pick(sizeof(paths) / sizeof(paths[0]))];

	req->op = pick(8) ? WIRE_OPEN : WIRE_STAT;
	req->a = pick(3);
	req->payload_len = (u32)strlen(path);
	memcpy(req + 1, path, strlen(path));
	return sizeof(*req) + strlen(path);
}

/* A request with windows that hold anything, and descriptors of any kind. */
static size_t put_call(struct wire_request *req, int *send_fds, unsigned *nr_send)
{
	struct wire_window *w = (void *)(req + 1);
	struct wire_fd *f;
	u8 *p;

	req->op = (u32)(pick(4) ? WIRE_IOCTL : WIRE_IOCTL + pick(6));
	req->a = pick(3) ? (';' << 8 | (pick(2) ? 100 + pick(24) : 0x80 + pick(24)))
			 : rnd();
	req->b = 0x10000 * pick(8);
	req->c = value();
	req->d = value();
	if (req->op == WIRE_READ || req->op == WIRE_WRITE) {
		req->a = 0x10000;
		req->b = pick(2) ? pick(5000) : value();
		req->c = pick(2) ? ~0ULL : pick(8) << 40 | pick(4096);
	}
	req->nr_windows = (u16)pick(4);
	req->nr_fds = (u16)pick(4);
	f = (void *)(w + req->nr_windows);
	p = (u8 *)(f + req->nr_fds);
	for (unsigned i = 0; i < req->nr_windows; i++) {
		w[i] = (struct wire_window){.addr = 0x10000 * pick(8),
					    .len = (u32)pick(600),
					    .flags = (u32)pick(4)};
		w[i].avail = (u32)(pick(3) ? w[i].len : pick(w[i].len + 1));
		for (u32 k = 0; k < w[i].avail; k += 8) {
			u64 v = value();

			memcpy(p + k, &v, w[i].avail - k < 8 ? w[i].avail - k : 8);
		}
		/* What most structs begin with: a size that is not absurd. */
		if (w[i].avail >= 8 && pick(4)) {
			u32 argsz = (u32)pick(100), flags = (u32)pick(64);

			memcpy(p, &argsz, 4);
			memcpy(p + 4, &flags, 4);
		}
		p += w[i].avail;
		req->payload_len += w[i].avail;
	}
	for (unsigned i = 0; i < req->nr_fds; i++) {
		f[i] = (struct wire_fd){.number = (s32)pick(12),
					.state = pick(2) ? 0 : -EBADF};
		if (!f[i].state)
			send_fds[(*nr_send)++] =
				nr_files && pick(4) ? files[pick((u64)nr_files)] : 2;
	}
	return (size_t)(p - packet);
}

static size_t put_note(struct wire_request *req)
{
	req->op = (u32)(WIRE_NOTE_IRQ + pick(7));
	req->a = value();
	req->b = value();
	req->c = pick(2) ? pick(6) : value();
	req->d = value();
	/* Do not move our own memory about. */
	if (req->op == WIRE_NOTE_VMA && req->c == 2)
		req->a = value() & ~0xfffULL;
	return sizeof(*req);
}

static void round_once(void)
{
	struct wire_request *req = (void *)packet;
	int send_fds[8], to = control;
	unsigned nr_send = 0;
	size_t len;

	memset(packet, 0, 8192);
	req->mm = pick(16) ? mm : (u32)value();
	req->seq = (u32)rnd();
	req->euid = pick(4) ? geteuid() : (u32)rnd();
	switch (pick(10)) {
	case 0:
	case 1:
		len = put_open(req);
		break;
	case 2:
		len = put_note(req);
		break;
	case 3: /* anything at all */
		len = 1 + pick(500);
		for (size_t i = 0; i < len; i++)
			packet[i] = (u8)rnd();
		if (pick(2) && nr_files)
			to = files[pick((u64)nr_files)];
		else
			to = dial();
		if (to < 0)
			return;
		exchange(to, len, NULL, 0, pick(2) ? SHORT : 0);
		if (pick(2))
			keep(to);
		else
			syscall(SYS_close, to);
		for (int i = 0; i < nr_files; i++) {
			if (files[i] == to)
				files[i] = files[--nr_files];
		}
		return;
	default:
		if (!nr_files)
			return;
		to = files[pick((u64)nr_files)];
		len = put_call(req, send_fds, &nr_send);
		if (!pick(20))
			len -= pick(len);
		break;
	}
	if (!exchange(to, len, send_fds, nr_send, SHORT) && to == control) {
		syscall(SYS_close, control);
		if (!hello()) {
			fprintf(stderr, "hostile: the server does not answer any more\n");
			exit(1);
		}
	}
}

int main(int argc, char **argv)
{
	unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 20000;

	state = argc > 2 ? strtoull(argv[2], NULL, 0) : 88172645463325252ULL;
	/* Where mappings of the calls may land: real memory of ours. */
	if (mmap((void *)0x10000, 0x80000, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		 0) == MAP_FAILED ||
	    !hello()) {
		fprintf(stderr, "hostile: not under moat run\n");
		return 77;
	}
	for (unsigned long i = 0; i < rounds; i++)
		round_once();
	while (nr_files)
		syscall(SYS_close, files[--nr_files]);
	syscall(SYS_close, control);
	if (!hello()) {
		fprintf(stderr, "hostile: the server does not answer any more\n");
		return 1;
	}
	printf("%lu rounds, and it still answers\n", rounds);
	return 0;
}
