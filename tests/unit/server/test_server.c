// SPDX-License-Identifier: MIT
/*
 * The server's connections and calls, on a machine with one device node whose ioctls do
 * what front ends do: read, write, take descriptors, install them, answer later.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "iommu/iommu.h"
#include "machine/file.h"
#include "machine/machine.h"
#include "machine/mm.h"
#include "tests/unit/server/wire_client.h"

enum {
	T_ECHO = 1,
	T_POINTER,
	T_FGET,
	T_EVENTFD,
	T_INSTALL,
	T_PENDING,
	T_WRITABLE,
	T_MMIO,
	T_UNDO,
	T_BIG,
	T_PIN
};

struct fixture {
	struct machine *m;
	struct server *s;
	struct client c;
	int released, undone, opens;
	struct call *pending;
	struct pin pin;
};

static struct fixture *fx;

static const struct file_operations test_fops;

static void undo(void *data)
{
	((struct fixture *)data)->undone++;
}

static long test_ioctl(struct file *file, struct call *call, unsigned cmd, u64 arg)
{
	static u8 big[200000];
	struct file *other;
	u64 v = 0, w;
	int fd, ret;

	switch (cmd) {
	case T_ECHO:
		ret = copy_from_user(call, &v, arg, 8);
		if (ret)
			return ret;
		v++;
		return copy_to_user(call, arg, &v, 8);
	case T_POINTER:
		ret = copy_from_user(call, &v, arg, 8);
		if (ret)
			return ret;
		ret = copy_from_user(call, &w, v, 8);
		return ret ? ret : (long)w;
	case T_FGET:
		other = call_fget(call, (int)arg);
		if (IS_ERR(other))
			return PTR_ERR(other);
		ret = other->ops == &test_fops;
		fput(other);
		return ret;
	case T_EVENTFD:
		fd = call_eventfd(call, (int)arg);
		if (fd < 0)
			return fd;
		v = 1;
		ret = write(fd, &v, 8) == 8 ? 0 : -EIO;
		close(fd);
		return ret;
	case T_INSTALL:
		other = file_alloc(fx->m, &test_fops, fx, O_RDWR);
		if (IS_ERR(other))
			return PTR_ERR(other);
		return call_install_fd(call, other, arg);
	case T_PENDING:
		fx->pending = call;
		return -EIOCBQUEUED;
	case T_WRITABLE:
		return user_writable(call, arg, 64);
	case T_MMIO:
		return call_mmio(call, 3, 2, 0x40, arg, 16, true);
	case T_UNDO:
		ret = copy_to_user(call, arg, &v, 8);
		call_on_fault(call, undo, fx);
		return ret;
	case T_BIG:
		memset(big, 0x5a, sizeof(big));
		return copy_to_user(call, arg, big, sizeof(big));
	case T_PIN:
		memset(&fx->pin, 0, sizeof(fx->pin));
		return pin_user(fx->m, call_mm(call), arg, 1 << 20, 0, true, &fx->pin);
	default:
		return -ENOTTY;
	}
}

static void test_release(struct file *file)
{
	fx->released++;
}

static const struct file_operations test_fops = {
	.name = "test",
	.ioctl = test_ioctl,
	.release = test_release,
};

static int test_open(struct machine *m, void *data, struct call *call, int flags,
		     struct file **out)
{
	struct file *file = file_alloc(m, &test_fops, data, flags);

	if (IS_ERR(file))
		return (int)PTR_ERR(file);
	fx->opens++;
	*out = file;
	return 0;
}

static const struct device_node_ops test_node = {.open = test_open};

static int setup(void **state)
{
	static char dir[] = "/tmp";

	setenv("TMPDIR", dir, 0);
	fx = calloc(1, sizeof(*fx));
	assert_int_equal(machine_create(&fx->m, 16 * SZ_1M, 8, ""), 0);
	assert_int_equal(iommu_core_create(fx->m), 0);
	assert_int_equal(
		devnode_register(fx->m, "/dev/test", 0600, 10, 7, &test_node, fx), 0);
	assert_int_equal(server_create(fx->m, false, &fx->s), 0);
	server_populate(fx->s);
	client_connect(&fx->c, fx->s);
	client_hello(&fx->c, 0);
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	char *root = strdup(server_root(fx->s));
	struct stat st;

	client_close(&fx->c);
	if (fx->pin.mm)
		unpin_user(fx->m, &fx->pin);
	server_drain(fx->s);
	assert_true(server_is_idle(fx->s));
	server_destroy(fx->s);
	devnode_unregister(fx->m, "/dev/test");
	iommu_core_destroy(fx->m);
	machine_destroy(fx->m);
	/* Nothing is left in the file system. */
	assert_int_equal(lstat(root, &st), -1);
	free(root);
	free(fx);
	return 0;
}

static int open_test(void)
{
	long fd = client_open(&fx->c, "/dev/test", O_RDWR);

	assert_true(fd >= 0);
	return (int)fd;
}

static struct answer an;

static void open_device_node_is_released_by_last_close(void **state)
{
	int fd = open_test(), copy = dup(fd);
	struct wire_counts n;

	server_counts(fx->s, &n);
	assert_int_equal(n.files, 1);
	close(fd);
	client_turn(&fx->c);
	assert_int_equal(fx->released, 0);
	close(copy);
	client_turn(&fx->c);
	assert_int_equal(fx->released, 1);
	server_counts(fx->s, &n);
	assert_int_equal(n.files, 0);
}

static void open_describes_the_node(void **state)
{
	struct extra x = {.payload = "/dev/test", .payload_len = 9};
	int fd;

	assert_true(client_call(&fx->c, fx->c.fd, WIRE_OPEN, O_RDWR, 0, 0, 0, &x, &an));
	assert_int_equal(an.news[0].mode, S_IFCHR | 0600);
	assert_int_equal(an.news[0].rdev_major, 10);
	assert_int_equal(an.news[0].rdev_minor, 7);
	fd = an.received[0];
	/* The same by its cookie, and by its path. */
	assert_true(client_call(&fx->c, fx->c.fd, WIRE_IDENTIFY, an.news[0].cookie, 0, 0,
				0, NULL, &an));
	assert_int_equal(an.rep.ret, 0);
	assert_int_equal(an.news[0].rdev_minor, 7);
	assert_true(client_call(&fx->c, fx->c.fd, WIRE_STAT, 0, 0, 0, 0, &x, &an));
	assert_int_equal(an.news[0].mode, S_IFCHR | 0600);
	assert_true(client_call(&fx->c, fx->c.fd, WIRE_IDENTIFY, 12345678, 0, 0, 0, NULL,
				&an));
	assert_int_equal(an.rep.ret, -ENOENT);
	close(fd);
}

static void open_unknown_path_enoent(void **state)
{
	assert_int_equal(client_open(&fx->c, "/dev/nothing", O_RDWR), -ENOENT);
	assert_int_equal(client_open(&fx->c, "/sys/nothing", O_RDWR), -ENOENT);
}

static void ioctl_reads_window_and_stores(void **state)
{
	u64 v = 41;
	struct extra x = {.nr_windows = 1,
			  .data = {&v},
			  .windows = {{.addr = 0x5000, .len = 8, .avail = 8}}};
	int fd = open_test();

	assert_true(client_call(&fx->c, fd, WIRE_IOCTL, T_ECHO, 0x5000, 0, 0, &x, &an));
	assert_int_equal(an.rep.kind, WIRE_STORE);
	assert_int_equal(an.rep.a, 0x5000);
	memcpy(&v, an.payload, 8);
	assert_int_equal(v, 42);
	assert_true(client_recv(&fx->c, fd, &an));
	assert_int_equal(an.rep.kind, WIRE_REPLY);
	assert_int_equal(an.rep.ret, 0);
	close(fd);
}

static void ioctl_missing_bytes_are_asked_for_with_all_windows(void **state)
{
	u64 ptr = 0x9000, v = 77;
	struct extra x = {.nr_windows = 1,
			  .data = {&ptr},
			  .windows = {{.addr = 0x5000, .len = 8, .avail = 8}}};
	int fd = open_test();

	assert_true(
		client_call(&fx->c, fd, WIRE_IOCTL, T_POINTER, 0x5000, 0, 0, &x, &an));
	assert_int_equal(an.rep.kind, WIRE_NEED);
	assert_int_equal(an.rep.nr_windows, 2);
	assert_int_equal(an.windows[0].addr, 0x5000);
	assert_int_equal(an.windows[1].addr, 0x9000);
	assert_int_equal(an.windows[1].len, 8);
	x.nr_windows = 2;
	x.windows[1] = (struct wire_window){.addr = 0x9000, .len = 8, .avail = 8};
	x.data[1] = &v;
	assert_true(
		client_call(&fx->c, fd, WIRE_IOCTL, T_POINTER, 0x5000, 0, 0, &x, &an));
	assert_int_equal(an.rep.kind, WIRE_REPLY);
	assert_int_equal(an.rep.ret, 77);
	close(fd);
}

static void ioctl_unreadable_window_efault(void **state)
{
	u64 ptr = 0x9000;
	struct extra x = {.nr_windows = 2,
			  .data = {&ptr, &ptr},
			  .windows = {{.addr = 0x5000, .len = 8, .avail = 8},
				      {.addr = 0x9000, .len = 8, .avail = 4}}};
	int fd = open_test();

	assert_true(
		client_call(&fx->c, fd, WIRE_IOCTL, T_POINTER, 0x5000, 0, 0, &x, &an));
	assert_int_equal(an.rep.ret, -EFAULT);
	/* An address of the kernel needs no question. */
	ptr = 0xffff888000000000;
	x.nr_windows = 1;
	assert_true(
		client_call(&fx->c, fd, WIRE_IOCTL, T_POINTER, 0x5000, 0, 0, &x, &an));
	assert_int_equal(an.rep.kind, WIRE_REPLY);
	assert_int_equal(an.rep.ret, -EFAULT);
	close(fd);
}

static void ioctl_descriptor_is_recognised_by_its_cookie(void **state)
{
	int fd = open_test(), efd = eventfd(0, EFD_NONBLOCK);
	struct extra x = {
		.nr_fds = 1, .nr_send = 1, .fds = {{.number = 9}}, .send = {fd}};
	u64 v = 0;

	assert_true(client_call(&fx->c, fd, WIRE_IOCTL, T_FGET, 9, 0, 0, NULL, &an));
	assert_int_equal(an.rep.kind, WIRE_NEED);
	assert_int_equal(an.rep.nr_fds, 1);
	assert_int_equal(an.fds[0].number, 9);
	assert_true(client_call(&fx->c, fd, WIRE_IOCTL, T_FGET, 9, 0, 0, &x, &an));
	assert_int_equal(an.rep.ret, 1);
	/* Any other file, and none at all. */
	x.send[0] = efd;
	assert_true(client_call(&fx->c, fd, WIRE_IOCTL, T_FGET, 9, 0, 0, &x, &an));
	assert_int_equal(an.rep.ret, -ENOTTY);
	assert_true(client_call(&fx->c, fd, WIRE_IOCTL, T_EVENTFD, 9, 0, 0, &x, &an));
	assert_int_equal(an.rep.ret, 0);
	assert_int_equal(read(efd, &v, 8), 8);
	x.send[0] = STDIN_FILENO;
	assert_true(client_call(&fx->c, fd, WIRE_IOCTL, T_EVENTFD, 9, 0, 0, &x, &an));
	assert_int_equal(an.rep.ret, -EINVAL);
	x.nr_send = 0;
	x.fds[0].state = -EBADF;
	assert_true(client_call(&fx->c, fd, WIRE_IOCTL, T_FGET, 9, 0, 0, &x, &an));
	assert_int_equal(an.rep.ret, -EBADF);
	close(fd);
	close(efd);
}

static void ioctl_new_file_travels_with_the_answer(void **state)
{
	int fd = open_test();

	assert_true(client_call(&fx->c, fd, WIRE_IOCTL, T_INSTALL, 0, 0, 0, NULL, &an));
	assert_int_equal(an.rep.nr_new, 1);
	assert_int_equal(an.news[0].flags & WIRE_FD_RESULT, WIRE_FD_RESULT);
	close(an.received[0]);
	client_turn(&fx->c);
	assert_int_equal(fx->released, 1);
	assert_true(
		client_call(&fx->c, fd, WIRE_IOCTL, T_INSTALL, 0x7000, 0, 0, NULL, &an));
	assert_int_equal(an.news[0].flags & WIRE_FD_SLOT, WIRE_FD_SLOT);
	assert_int_equal(an.news[0].slot, 0x7000);
	close(an.received[0]);
	close(fd);
}

static void ioctl_pending_is_answered_later(void **state)
{
	struct wire_request req = {.op = WIRE_IOCTL, .a = T_PENDING};
	int fd = open_test();

	client_send(&fx->c, fd, &req, NULL);
	client_turn(&fx->c);
	assert_non_null(fx->pending);
	assert_int_equal(recv(fd, &an, 1, MSG_DONTWAIT), -1);
	call_complete(fx->pending, 5);
	assert_true(client_recv(&fx->c, fd, &an));
	assert_int_equal(an.rep.ret, 5);
	close(fd);
}

static void ioctl_pending_caller_dies_then_completion_harmless(void **state)
{
	struct wire_request req = {.op = WIRE_IOCTL, .a = T_PENDING};
	int fd = open_test();

	client_send(&fx->c, fd, &req, NULL);
	client_turn(&fx->c);
	close(fd);
	client_turn(&fx->c);
	assert_int_equal(fx->released, 1);
	call_complete(fx->pending, 5);
}

static void ioctl_writable_probe(void **state)
{
	struct extra x = {
		.nr_windows = 1,
		.windows = {{.addr = 0x5000, .len = 64, .flags = WIRE_WINDOW_NO_DATA}}};
	int fd = open_test();

	assert_true(
		client_call(&fx->c, fd, WIRE_IOCTL, T_WRITABLE, 0x5000, 0, 0, NULL, &an));
	assert_int_equal(an.rep.kind, WIRE_NEED);
	assert_int_equal(an.windows[0].flags, WIRE_WINDOW_WRITABLE | WIRE_WINDOW_NO_DATA);
	assert_true(
		client_call(&fx->c, fd, WIRE_IOCTL, T_WRITABLE, 0x5000, 0, 0, &x, &an));
	assert_int_equal(an.rep.ret, -EFAULT);
	x.windows[0].flags |= WIRE_WINDOW_WRITABLE;
	assert_true(
		client_call(&fx->c, fd, WIRE_IOCTL, T_WRITABLE, 0x5000, 0, 0, &x, &an));
	assert_int_equal(an.rep.ret, 0);
	close(fd);
}

static void ioctl_register_access_goes_back_to_the_program(void **state)
{
	int fd = open_test();

	assert_true(client_call(&fx->c, fd, WIRE_IOCTL, T_MMIO, 0x8000, 0, 0, NULL, &an));
	assert_int_equal(an.rep.kind, WIRE_MMIO);
	assert_int_equal(an.rep.ret, 16);
	assert_int_equal(an.rep.a, 3 << 8 | 2);
	assert_int_equal(an.rep.b, 0x40);
	assert_int_equal(an.rep.c, 0x8000);
	assert_true(an.rep.d == (16 | 1ULL << 63));
	close(fd);
}

static void ioctl_result_not_storable_undone_once(void **state)
{
	int fd = open_test();

	assert_true(client_call(&fx->c, fd, WIRE_IOCTL, T_UNDO, 0x8000, 0, 0, NULL, &an));
	assert_int_equal(an.rep.kind, WIRE_STORE);
	assert_true(client_recv(&fx->c, fd, &an));
	assert_true(client_call(&fx->c, fd, WIRE_FAULTED, 0, 0, 0, 0, NULL, &an));
	assert_int_equal(fx->undone, 1);
	assert_true(client_call(&fx->c, fd, WIRE_FAULTED, 0, 0, 0, 0, NULL, &an));
	assert_int_equal(fx->undone, 1);
	/* The next request confirms that the last was taken. */
	assert_true(client_call(&fx->c, fd, WIRE_IOCTL, T_UNDO, 0x8000, 0, 0, NULL, &an));
	assert_true(client_recv(&fx->c, fd, &an));
	assert_true(client_call(&fx->c, fd, WIRE_IOCTL, 99, 0, 0, 0, NULL, &an));
	assert_int_equal(an.rep.ret, -ENOTTY);
	assert_true(client_call(&fx->c, fd, WIRE_FAULTED, 0, 0, 0, 0, NULL, &an));
	assert_int_equal(fx->undone, 1);
	close(fd);
}

static void ioctl_large_store_comes_in_pieces_also_to_a_slow_reader(void **state)
{
	struct wire_request req = {.op = WIRE_IOCTL, .a = T_BIG, .b = 0x10000};
	int fd = open_test(), small = 4096;
	size_t total = 0;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	client_send(&fx->c, fd, &req, NULL);
	client_turn(&fx->c);
	for (;;) {
		assert_true(client_recv(&fx->c, fd, &an));
		if (an.rep.kind == WIRE_REPLY)
			break;
		assert_int_equal(an.rep.kind, WIRE_STORE);
		assert_int_equal(an.rep.a, 0x10000 + total);
		assert_int_equal(an.payload[an.rep.payload_len - 1], 0x5a);
		total += an.rep.payload_len;
	}
	assert_int_equal(total, 200000);
	close(fd);
}

static void hello_inline_stores_come_with_the_reply(void **state)
{
	u64 v = 41;
	struct extra x = {.nr_windows = 1,
			  .data = {&v},
			  .windows = {{.addr = 0x5000, .len = 8, .avail = 8}}};
	struct client c2;
	long fd;

	client_connect(&c2, fx->s);
	client_hello(&c2, WIRE_FEATURE_INLINE_STORES);
	fd = client_open(&c2, "/dev/test", O_RDWR);
	assert_true(client_call(&c2, (int)fd, WIRE_IOCTL, T_ECHO, 0x5000, 0, 0, &x, &an));
	assert_int_equal(an.rep.kind, WIRE_REPLY);
	assert_int_equal(an.rep.nr_windows, 1);
	assert_int_equal(an.windows[0].addr, 0x5000);
	assert_int_equal(an.payload[0], 42);
	close((int)fd);
	client_close(&c2);
}

static void hello_wrong_version_refused(void **state)
{
	struct client c2;

	client_connect(&c2, fx->s);
	assert_true(client_call(&c2, c2.fd, WIRE_HELLO, WIRE_VERSION + 1, 0, 0, 0, NULL,
				&an));
	assert_int_equal(an.rep.ret, -EPROTONOSUPPORT);
	client_close(&c2);
}

static void close_before_request_is_seen_before_it(void **state)
{
	struct wire_request req = {.op = WIRE_IOCTL, .a = 99};
	int a = open_test(), b = open_test();

	/* Both wait for the server in one batch. */
	client_send(&fx->c, b, &req, NULL);
	close(a);
	assert_int_equal(loop_turn(server_loop(fx->s), 0), 0);
	assert_int_equal(fx->released, 1);
	assert_true(client_recv(&fx->c, b, &an));
	close(b);
}

static void malformed_packet_closes_only_its_connection(void **state)
{
	static u8 junk[300];
	int a = open_test(), b = open_test();

	for (size_t n = 1; n < sizeof(junk); n += 13) {
		struct client c2;

		client_connect(&c2, fx->s);
		memset(junk, (int)n, sizeof(junk));
		assert_int_equal(send(c2.fd, junk, n, MSG_NOSIGNAL), n);
		client_turn(&c2);
		assert_false(client_recv(&c2, c2.fd, &an));
		client_close(&c2);
	}
	assert_int_equal(send(a, junk, sizeof(junk), 0), sizeof(junk));
	client_turn(&fx->c);
	assert_false(client_recv(&fx->c, a, &an));
	assert_int_equal(fx->released, 1);
	assert_true(client_call(&fx->c, b, WIRE_IOCTL, 99, 0, 0, 0, NULL, &an));
	assert_int_equal(an.rep.ret, -ENOTTY);
	close(a);
	close(b);
}

static void malformed_control_request_before_hello_closes(void **state)
{
	struct client c2;

	client_connect(&c2, fx->s);
	assert_false(client_call(&c2, c2.fd, WIRE_OPEN, O_RDWR, 0, 0, 0, NULL, &an));
	client_close(&c2);
}

static void process_end_lets_go_of_all_but_what_is_pinned(void **state)
{
	u8 *mem = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	struct wire_counts n;
	int fd = open_test();

	assert_true(client_call(&fx->c, fd, WIRE_IOCTL, T_PIN, (uintptr_t)mem, 0, 0, NULL,
				&an));
	assert_int_equal(an.rep.ret, 0);
	assert_int_equal(fx->pin.len, 1 << 20);
	server_counts(fx->s, &n);
	assert_int_equal(n.mappings, 1);
	assert_int_equal(n.pinned, 1 << 20);
	assert_int_equal(n.processes, 1);
	close(fx->c.fd);
	client_turn(&fx->c);
	server_counts(fx->s, &n);
	assert_int_equal(n.processes, 0);
	assert_int_equal(n.mappings, 1);
	unpin_user(fx->m, &fx->pin);
	fx->pin.mm = NULL;
	server_counts(fx->s, &n);
	assert_int_equal(n.mappings, 0);
	close(fd);
	fx->c.fd = -1;
	munmap(mem, 1 << 20);
}

static void pin_follows_permissions_of_the_program(void **state)
{
	u8 *mem = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	int fd = open_test(), ret;

	mprotect(mem + 0x10000, 0x1000, PROT_READ);
	assert_true(client_call(&fx->c, fd, WIRE_IOCTL, T_PIN, (uintptr_t)mem, 0, 0, NULL,
				&an));
	assert_int_equal(an.rep.ret, 0);
	assert_int_equal(fx->pin.len, 0x10000);
	unpin_user(fx->m, &fx->pin);
	fx->pin.mm = NULL;
	assert_true(client_call(&fx->c, fd, WIRE_IOCTL, T_PIN, (uintptr_t)mem + 0x10000,
				0, 0, NULL, &an));
	assert_int_equal(an.rep.ret, -EFAULT);
	munmap(mem, 1 << 20);
	assert_true(client_call(&fx->c, fd, WIRE_IOCTL, T_PIN, (uintptr_t)mem, 0, 0, NULL,
				&an));
	assert_int_equal(an.rep.ret, -EFAULT);
	/* Beyond the end of a file there is nothing to pin. */
	ret = memfd_create("t", MFD_CLOEXEC);
	assert_int_equal(ftruncate(ret, 0x5000), 0);
	mem = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, ret, 0);
	assert_true(client_call(&fx->c, fd, WIRE_IOCTL, T_PIN, (uintptr_t)mem, 0, 0, NULL,
				&an));
	assert_int_equal(an.rep.ret, 0);
	assert_int_equal(fx->pin.len, 0x5000);
	unpin_user(fx->m, &fx->pin);
	fx->pin.mm = NULL;
	munmap(mem, 1 << 20);
	close(ret);
	close(fd);
}

static void vma_query_names_pinned_pieces(void **state)
{
	u8 *mem = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	int fd = open_test();

	assert_true(client_call(&fx->c, fd, WIRE_IOCTL, T_PIN, (uintptr_t)mem, 0, 0, NULL,
				&an));
	assert_true(client_call(&fx->c, fx->c.fd, WIRE_NOTE_VMA, (uintptr_t)mem + 0x1000,
				0x3000, WIRE_VMA_QUERY, 0, NULL, &an));
	assert_int_equal(an.rep.nr_windows, 1);
	assert_int_equal(an.windows[0].addr, (uintptr_t)mem + 0x1000);
	assert_int_equal(an.windows[0].len, 0x3000);
	assert_int_equal(an.rep.a, 0);
	close(fd);
}

static void bar_mapping_is_special(void **state)
{
	int fd = open_test();

	fx->m->hw.functions[3].bar[2].phys = 0xe0000000;
	assert_true(client_call(&fx->c, fx->c.fd, WIRE_NOTE_BAR_MAP, 0x700000000000,
				0x200000, 3 << 8 | 2, 0x1000, NULL, &an));
	assert_int_equal(an.rep.ret, 0);
	assert_true(client_call(&fx->c, fd, WIRE_IOCTL, T_PIN, 0x700000003000, 0, 0, NULL,
				&an));
	assert_int_equal(an.rep.ret, 0);
	assert_true(fx->pin.special);
	assert_int_equal(fx->pin.phys, 0xe0004000);
	unpin_user(fx->m, &fx->pin);
	/* A hole in the middle leaves both ends. */
	assert_true(client_call(&fx->c, fx->c.fd, WIRE_NOTE_VMA, 0x700000010000, 0x1000,
				WIRE_VMA_BAR_GONE, 0, NULL, &an));
	assert_true(client_call(&fx->c, fd, WIRE_IOCTL, T_PIN, 0x700000010000, 0, 0, NULL,
				&an));
	assert_int_equal(an.rep.ret, -EFAULT);
	assert_true(client_call(&fx->c, fd, WIRE_IOCTL, T_PIN, 0x700000011000, 0, 0, NULL,
				&an));
	assert_int_equal(an.rep.ret, 0);
	assert_int_equal(fx->pin.phys, 0xe0012000);
	unpin_user(fx->m, &fx->pin);
	fx->pin.mm = NULL;
	close(fd);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(open_device_node_is_released_by_last_close),
		T(open_describes_the_node),
		T(open_unknown_path_enoent),
		T(ioctl_reads_window_and_stores),
		T(ioctl_missing_bytes_are_asked_for_with_all_windows),
		T(ioctl_unreadable_window_efault),
		T(ioctl_descriptor_is_recognised_by_its_cookie),
		T(ioctl_new_file_travels_with_the_answer),
		T(ioctl_pending_is_answered_later),
		T(ioctl_pending_caller_dies_then_completion_harmless),
		T(ioctl_writable_probe),
		T(ioctl_register_access_goes_back_to_the_program),
		T(ioctl_result_not_storable_undone_once),
		T(ioctl_large_store_comes_in_pieces_also_to_a_slow_reader),
		T(hello_inline_stores_come_with_the_reply),
		T(hello_wrong_version_refused),
		T(close_before_request_is_seen_before_it),
		T(malformed_packet_closes_only_its_connection),
		T(malformed_control_request_before_hello_closes),
		T(process_end_lets_go_of_all_but_what_is_pinned),
		T(pin_follows_permissions_of_the_program),
		T(vma_query_names_pinned_pieces),
		T(bar_mapping_is_special),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
