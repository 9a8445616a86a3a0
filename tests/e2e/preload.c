// SPDX-License-Identifier: MIT
/*
 * What an unmodified program may do around a device, each once: run with
 *	moat run --device edu -- preload CASE
 * on the edu at 0000:00:05.0. No case: all of them, each in a child of its own.
 * Exit status 0: all good; the name of what went wrong is printed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define BDF	   "0000:00:05.0"
#define EDU_ID	   0x00
#define EDU_LIVE   0x04
#define EDU_RAISE  0x60
#define EDU_STATUS 0x24
#define EDU_ACK	   0x64
#define EDU_SRC	   0x80
#define EDU_DST	   0x88
#define EDU_COUNT  0x90
#define EDU_CMD	   0x98
#define EDU_BUFFER 0x40000UL

#define CHECK(cond)                                                                   \
	do {                                                                          \
		if (!(cond)) {                                                        \
			fprintf(stderr, "%s:%d: %s (errno %d)\n", __func__, __LINE__, \
				#cond, errno);                                        \
			_exit(1);                                                     \
		}                                                                     \
	} while (0)

/* Has it died of @sig? AddressSanitizer tells of it and exits instead. */
static bool killed_by(int status, int sig)
{
#ifdef __SANITIZE_ADDRESS__
	if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
		return true;
#endif
	return WIFSIGNALED(status) && WTERMSIG(status) == sig;
}

static int container, group, device;
static volatile uint8_t *bar;
static size_t bar_size;

static uint32_t rd(unsigned off)
{
	return *(volatile uint32_t *)(bar + off);
}

static void wr(unsigned off, uint32_t val)
{
	*(volatile uint32_t *)(bar + off) = val;
}

static void wr64(unsigned off, uint64_t val)
{
	*(volatile uint64_t *)(bar + off) = val;
}

static void open_device(void)
{
	struct vfio_region_info reg = {.argsz = sizeof(reg), .index = 0};
	struct vfio_region_info conf = {.argsz = sizeof(conf),
					.index = VFIO_PCI_CONFIG_REGION_INDEX};
	char link[128], path[32];
	uint16_t cmd = 6;
	ssize_t n = readlink("/sys/bus/pci/devices/" BDF "/iommu_group", link,
			     sizeof(link) - 1);

	CHECK(n > 0);
	link[n] = 0;
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') + 1);
	container = open("/dev/vfio/vfio", O_RDWR);
	CHECK(container >= 0);
	group = open(path, O_RDWR);
	CHECK(group >= 0);
	CHECK(!ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
	CHECK(!ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, BDF);
	CHECK(device >= 0);
	CHECK(!ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &reg));
	CHECK(!ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &conf));
	CHECK(pwrite(device, &cmd, 2, conf.offset + 4) == 2);
	bar = mmap(NULL, reg.size, PROT_READ | PROT_WRITE, MAP_SHARED, device,
		   reg.offset);
	CHECK(bar != MAP_FAILED);
	bar_size = reg.size;
}

static int map_dma(void *va, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_map m = {.argsz = sizeof(m),
					     .vaddr = (uintptr_t)va,
					     .iova = iova,
					     .size = size,
					     .flags = VFIO_DMA_MAP_FLAG_READ |
						      VFIO_DMA_MAP_FLAG_WRITE};

	return ioctl(container, VFIO_IOMMU_MAP_DMA, &m);
}

static int unmap_dma(uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_unmap u = {
		.argsz = sizeof(u), .iova = iova, .size = size};

	return ioctl(container, VFIO_IOMMU_UNMAP_DMA, &u);
}

static void dma(uint64_t src, uint64_t dst, unsigned len, unsigned dir)
{
	wr64(EDU_SRC, src);
	wr64(EDU_DST, dst);
	wr64(EDU_COUNT, len);
	wr64(EDU_CMD, 1 | dir);
	while (rd(EDU_CMD) & 1)
		;
}

static void to_device(uint64_t iova, unsigned len)
{
	dma(iova, EDU_BUFFER, len, 0);
}

static void from_device(uint64_t iova, unsigned len)
{
	dma(EDU_BUFFER, iova, len, 2);
}

static bool alive(void)
{
	static uint32_t n = 0x12345;

	n = n * 69069 + 1;
	wr(EDU_LIVE, n);
	return rd(EDU_LIVE) == ~n && (rd(EDU_ID) & 0xff) == 0xed;
}

static void *anon(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);

	CHECK(p != MAP_FAILED);
	return p;
}

static int wait_child(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	return status;
}

#define IN_CHILD(code)               \
	({                           \
		pid_t _pid = fork(); \
		CHECK(_pid >= 0);    \
		if (!_pid) {         \
			code;        \
			_exit(0);    \
		}                    \
		wait_child(_pid);    \
	})

/* ---- descriptors ---- */

static void descriptors(void)
{
	struct vfio_device_info info = {.argsz = sizeof(info)};
	struct epoll_event ev = {.events = EPOLLIN};
	struct stat st, st2;
	struct pollfd pfd;
	fd_set r;
	int fd, ep, low;
	uint32_t id;

	CHECK(!fstat(container, &st) && S_ISCHR(st.st_mode) &&
	      st.st_rdev == makedev(10, 196));
	CHECK(!stat("/dev/vfio/vfio", &st2) && S_ISCHR(st2.st_mode) &&
	      st2.st_rdev == st.st_rdev);
	CHECK(!fstat(group, &st) && S_ISCHR(st.st_mode));
	CHECK((fcntl(device, F_GETFL) & O_ACCMODE) == O_RDWR);
	CHECK(lseek(device, 0, SEEK_CUR) < 0 && errno == ESPIPE);
	CHECK(ioctl(device, FIOCLEX) == 0);
	CHECK(ioctl(device, 0x5401, &st) < 0 && errno == ENOTTY);
	CHECK(write(container, &id, 4) < 0 && errno == EINVAL);
	CHECK(read(group, &id, 4) < 0 && errno == EINVAL);

	pfd = (struct pollfd){.fd = device, .events = POLLIN | POLLOUT};
	CHECK(poll(&pfd, 1, -1) == 1 && pfd.revents == (POLLIN | POLLOUT));
	FD_ZERO(&r);
	FD_SET(container, &r);
	CHECK(select(container + 1, &r, NULL, NULL, NULL) == 1 &&
	      FD_ISSET(container, &r));
	ep = epoll_create1(0);
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, device, &ev) < 0 && errno == EPERM);

	/* Numbers are the lowest free, as ever; a duplicate is as good. */
	low = dup(0);
	close(low);
	fd = dup(device);
	CHECK(fd == low);
	CHECK(!ioctl(fd, VFIO_DEVICE_GET_INFO, &info) &&
	      info.num_regions >= VFIO_PCI_NUM_REGIONS);
	CHECK(pread(fd, &id, 4, 0) == 4 && (id & 0xff) == 0xed);
	fd = fcntl(device, F_DUPFD_CLOEXEC, 300);
	CHECK(fd == 300 && pread(fd, &id, 4, 0) == 4);
	CHECK(dup3(device, 301, O_CLOEXEC) == 301 && pread(301, &id, 4, 0) == 4);
	/* A number used again is what it is now. */
	CHECK(dup2(0, 301) == 301 && ioctl(301, VFIO_DEVICE_GET_INFO, &info) < 0);
	CHECK(close(fd) == 0 && pread(fd, &id, 4, 0) < 0 && errno == EBADF);

	/* Bad pointers are EFAULT, and the call has not happened. */
	CHECK(ioctl(device, VFIO_DEVICE_GET_INFO, (void *)8) < 0 && errno == EFAULT);
	CHECK(ioctl(device, VFIO_DEVICE_GET_INFO, (void *)-4096L) < 0 && errno == EFAULT);
	CHECK(pread(device, (void *)16, 4, 0) < 0 && errno == EFAULT);
	CHECK(ioctl(99, VFIO_DEVICE_GET_INFO, &info) < 0 && errno == EBADF);
	CHECK(open("/dev/vfio/4711", O_RDWR) < 0 && errno == ENOENT);
}

static void closing_all_keeps_machine(void)
{
	CHECK(close_range(200, ~0U, 0) == 0);
	for (int fd = 200; fd < 5000; fd++)
		close(fd);
	closefrom(200);
	CHECK(alive());
	CHECK(map_dma(anon(4096), 0, 4096) == 0);
	/* Taking a number that we use moves ours. */
	for (int fd = 500; fd < 1100; fd++)
		dup2(0, fd);
	CHECK(alive());
	CHECK(unmap_dma(0, 4096) == 0);
}

static void sysfs_write_errno(void)
{
	int fd = open("/sys/bus/pci/drivers/vfio-pci/bind", O_WRONLY);
	FILE *f;

	CHECK(fd >= 0);
	CHECK(write(fd, "0000:77:00.0", 12) < 0 && errno == ENODEV);
	CHECK((fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY);
	close(fd);
	CHECK(open("/sys/bus/pci/drivers/vfio-pci/nonsense", O_WRONLY) < 0 &&
	      errno == ENOENT);
	/* Through stdio the error comes with the flush. */
	f = fopen("/sys/bus/pci/drivers/vfio-pci/bind", "w");
	CHECK(f);
	fputs("0000:77:00.0", f);
	CHECK(fflush(f) == EOF && errno == ENODEV);
	fclose(f);
	CHECK(chdir("/sys/bus/pci/drivers/vfio-pci") == 0);
	fd = open("unbind", O_WRONLY);
	CHECK(fd >= 0 && write(fd, "0000:77:00.0", 12) < 0 && errno == ENODEV);
	close(fd);
	fd = open("/sys/bus/pci/drivers", O_RDONLY | O_DIRECTORY);
	CHECK(fd >= 0);
	fd = openat(fd, "vfio-pci/unbind", O_WRONLY);
	CHECK(fd >= 0 && write(fd, "x", 1) < 0 && errno == ENODEV);
}

/* What scripts do: the errno comes back from echo, whoever runs it. */
static void shells_see_errno(void)
{
	static const char *const lines[] = {
		"sh -c '! echo 0000:77:00.0 > $D/bind' 2>/dev/null",
		"bash -c '! echo 0000:77:00.0 > $D/bind' 2>/dev/null",
		"bash -c 'echo 0000:77:00.0 > $D/bind' 2>&1 | grep -q 'No such device'",
		"! /bin/echo 0000:77:00.0 > $D/bind 2>/dev/null",
		"! /usr/bin/printf 0000:77:00.0 > $D/bind 2>/dev/null",
		"echo 0000:77:00.0 | ( ! cat > $D/bind ) 2>/dev/null",
		"echo 0000:77:00.0 | ( ! tee $D/bind ) >/dev/null 2>&1",
		"bash -c 'echo " BDF " > $D/unbind && ! [ -e $D/" BDF " ]'",
		"bash -c 'cd $D; echo " BDF " >bind; echo outside' | grep -q '^outside$'",
		"[ -e $D/" BDF " ]",
	};

	munmap((void *)bar, bar_size);
	close(device);
	close(group);
	close(container);
	setenv("D", "/sys/bus/pci/drivers/vfio-pci", 1);
	for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		int status = system(lines[i]);

		if (status)
			fprintf(stderr, "%s: %x\n", lines[i], status);
		CHECK(!status);
	}
}

/* ---- processes ---- */

static void fork_drives_device(void)
{
	uint8_t *mem = anon(8192);

	CHECK(map_dma(mem, 0x1000, 4096) == 0);
	CHECK(IN_CHILD({
		      CHECK(alive());
		      /* The child's memory is another's; the parent's is still what is
		       * mapped. */
		      to_device(0x1000, 64);
		      from_device(0x1000 + 128, 64);
		      CHECK(map_dma(anon(4096), 0x2000, 4096) == 0);
		      CHECK(unmap_dma(0x2000, 4096) == 0);
	      }) == 0);
	memset(mem, 0x5a, 64);
	CHECK(IN_CHILD({
		      to_device(0x1000, 64);
		      from_device(0x1000 + 256, 64);
	      }) == 0);
	CHECK(!memcmp(mem + 256, mem, 64));
	CHECK(alive());
}

static void vfork_leaves_parent_alone(void)
{
	pid_t pid = vfork();

	if (!pid) {
		int fd = open("/dev/null", O_WRONLY);

		dup2(fd, 1);
		close(fd);
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	CHECK(wait_child(pid) == 0);
	CHECK(alive());
}

static int exec_fd = -1;

static void exec_keeps_descriptor(void)
{
	char arg[16];

	snprintf(arg, sizeof(arg), "%d", device);
	CHECK(fcntl(device, F_SETFD, 0) == 0);
	CHECK(IN_CHILD({
		      execl("/proc/self/exe", "preload", "exec-child", arg, NULL);
		      _exit(1);
	      }) == 0);
	CHECK(alive());
}

static void exec_child(void)
{
	struct vfio_device_info info = {.argsz = sizeof(info)};
	uint32_t id;

	CHECK(!ioctl(exec_fd, VFIO_DEVICE_GET_INFO, &info));
	CHECK(pread(exec_fd, &id, 4, 0) == 4 && (id & 0xff) == 0xed);
	bar = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, exec_fd, 0);
	CHECK(bar != MAP_FAILED && alive());
}

static void send_fd(int sock, int fd)
{
	char c = 0, control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {&c, 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);

	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	CHECK(sendmsg(sock, &msg, 0) == 1);
}

static int receive_fd(int sock)
{
	char c, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {&c, 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	int fd;

	CHECK(recvmsg(sock, &msg, 0) == 1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	return fd;
}

static void rights_pass_descriptor(void)
{
	int pair[2];
	pid_t pid;

	/* The child is made before it knows any of it. */
	munmap((void *)bar, bar_size);
	close(device);
	close(group);
	close(container);
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	pid = fork();
	if (!pid) {
		struct vfio_device_info info = {.argsz = sizeof(info)};
		int fd = receive_fd(pair[1]);

		CHECK(!ioctl(fd, VFIO_DEVICE_GET_INFO, &info));
		bar = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		CHECK(bar != MAP_FAILED && alive());
		_exit(0);
	}
	open_device();
	send_fd(pair[0], device);
	CHECK(wait_child(pid) == 0);
}

static void killed_child_frees_connection(void)
{
	uint32_t id;

	for (int i = 0; i < 50; i++) {
		pid_t pid = fork();

		if (!pid) {
			for (;;) {
				struct vfio_device_info info = {.argsz = sizeof(info)};

				ioctl(device, VFIO_DEVICE_GET_INFO, &info);
				alive();
			}
		}
		usleep(500 + i * 37);
		kill(pid, SIGKILL);
		wait_child(pid);
		/* An answer that the dead did not take is not ours. */
		CHECK(pread(device, &id, 4, 0) == 4 && (id & 0xff) == 0xed);
		CHECK(alive());
		CHECK(map_dma(anon(4096), 0, 4096) == 0);
		CHECK(unmap_dma(0, 4096) == 0);
	}
}

/* ---- threads ---- */

static void *hammer(void *arg)
{
	for (int i = 0; i < 300; i++) {
		struct vfio_device_info info = {.argsz = sizeof(info)};
		uint32_t id;

		CHECK(!ioctl(device, VFIO_DEVICE_GET_INFO, &info));
		CHECK(info.num_irqs == VFIO_PCI_NUM_IRQS);
		CHECK(pread(device, &id, 4, 0) == 4 && (id & 0xff) == 0xed);
		CHECK((rd(EDU_ID) & 0xff) == 0xed);
		CHECK(map_dma(arg, (uint64_t)(uintptr_t)arg & 0xfffffff, 4096) == 0);
		CHECK(unmap_dma((uint64_t)(uintptr_t)arg & 0xfffffff, 4096) == 0);
	}
	return NULL;
}

static void threads_share_all(void)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		CHECK(!pthread_create(&t[i], NULL, hammer, anon(4096)));
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

/* ---- signals ---- */

static volatile int faults;
static volatile char *volatile nowhere = (volatile char *)16;
static void *volatile fault_addr;
static sigjmp_buf jump;

static void fix_fault(int sig, siginfo_t *si, void *uc)
{
	faults++;
	fault_addr = si->si_addr;
	mprotect((void *)((uintptr_t)si->si_addr & ~4095UL), 4096,
		 PROT_READ | PROT_WRITE);
	alive();
}

static void jump_out(int sig)
{
	faults++;
	siglongjmp(jump, 1);
}

static void dead_end(int sig, siginfo_t *si, void *uc)
{
	*nowhere = 1;
}

static void own_segv_handler(void)
{
	struct sigaction act = {.sa_sigaction = fix_fault, .sa_flags = SA_SIGINFO}, old;
	volatile char *p =
		mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	sigemptyset(&act.sa_mask);
	sigaddset(&act.sa_mask, SIGUSR1);
	CHECK(!sigaction(SIGSEGV, &act, NULL));
	CHECK(!sigaction(SIGSEGV, NULL, &old) && old.sa_sigaction == fix_fault &&
	      old.sa_flags == SA_SIGINFO && sigismember(&old.sa_mask, SIGUSR1) == 1);
	p[5] = 1;
	CHECK(faults == 1 && fault_addr == p + 5);
	CHECK(alive() && faults == 1);

	/* Out by siglongjmp, more than once: the signal must not stay blocked. */
	signal(SIGSEGV, jump_out);
	for (int i = 0; i < 5; i++) {
		if (!sigsetjmp(jump, 1)) {
			p[4096 + i] = 1;
			CHECK(0);
		}
		CHECK(alive());
	}
	CHECK(faults == 6);
	CHECK(signal(SIGSEGV, SIG_DFL) == jump_out);
	CHECK(killed_by(IN_CHILD(p[4096] = 1), SIGSEGV));
	/* A fault that is ignored or blocked kills, as the kernel has it. */
	CHECK(killed_by(IN_CHILD({
				signal(SIGSEGV, SIG_IGN);
				kill(getpid(), SIGSEGV);
				alive();
				p[4096] = 1;
			}),
			SIGSEGV));
	/* A handler that faults itself, without SA_NODEFER. */
	CHECK(killed_by(IN_CHILD({
				act.sa_sigaction = dead_end;
				sigaction(SIGSEGV, &act, NULL);
				p[4096] = 1;
			}),
			SIGSEGV));
	act.sa_flags = SA_RESETHAND | SA_SIGINFO;
	faults = 0;
	sigaction(SIGSEGV, &act, NULL);
	p[4096] = 1;
	CHECK(faults == 1);
	CHECK(!sigaction(SIGSEGV, NULL, &old) && old.sa_handler == SIG_DFL);
}

static void blocked_segv_still_traps(void)
{
	sigset_t all, old;

	sigfillset(&all);
	CHECK(!sigprocmask(SIG_BLOCK, &all, NULL));
	CHECK(alive());
	CHECK(!pthread_sigmask(SIG_SETMASK, NULL, &old) &&
	      sigismember(&old, SIGSEGV) == 1 && sigismember(&old, SIGUSR2) == 1);
	/* Sent by kill: waits until it is unblocked. */
	faults = 0;
	signal(SIGSEGV, jump_out);
	kill(getpid(), SIGSEGV);
	CHECK(alive() && !faults);
	if (!sigsetjmp(jump, 1)) {
		sigemptyset(&all);
		sigaddset(&all, SIGSEGV);
		sigprocmask(SIG_UNBLOCK, &all, NULL);
		CHECK(0);
	}
	CHECK(faults == 1);
	CHECK(killed_by(IN_CHILD({
				sigprocmask(SIG_BLOCK, &all, NULL);
				*nowhere = 1;
			}),
			SIGSEGV));
}

/* On an alternate stack or not, as it asks for; registers may be touched in it. */
static volatile bool on_stack;

static void look_at_stack(int sig, siginfo_t *si, void *uc)
{
	stack_t st;

	sigaltstack(NULL, &st);
	on_stack = st.ss_flags & SS_ONSTACK;
	fix_fault(sig, si, uc);
}

static void handler_on_its_stack(void)
{
	struct sigaction act = {.sa_sigaction = look_at_stack, .sa_flags = SA_SIGINFO};
	char *p = mmap(NULL, 0x10000, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t st = {.ss_size = 65536};

	st.ss_sp = anon(st.ss_size);
	CHECK(!sigaltstack(&st, NULL));
	for (volatile int i = 0; i < 8; i++) {
		act.sa_flags = SA_SIGINFO | (i & 1 ? SA_ONSTACK : 0);
		sigaction(SIGSEGV, &act, NULL);
		((volatile char *)p)[i * 4096] = 1;
		CHECK(faults == i + 1 && on_stack == (i & 1));
		CHECK(alive());
	}
	CHECK(!sigaltstack(NULL, &st) && !st.ss_flags);
}

static void on_alarm(int sig)
{
	faults += alive();
}

static void handler_mask_full(void)
{
	struct sigaction act = {.sa_handler = on_alarm};

	faults = 0;
	sigfillset(&act.sa_mask);
	CHECK(!sigaction(SIGUSR1, &act, NULL));
	raise(SIGUSR1);
	CHECK(faults == 1);
	CHECK(!sigaction(SIGUSR1, NULL, &act) && sigismember(&act.sa_mask, SIGSEGV) == 1);
}

static void *small_stack_thread(void *arg)
{
	stack_t st = {.ss_size = 8192};

	st.ss_sp = anon(st.ss_size);
	CHECK(!sigaltstack(&st, NULL));
	CHECK(map_dma(anon(4096), 0x5000, 4096) == 0);
	for (int i = 0; i < 100; i++) {
		CHECK(alive());
		to_device(0x5000, 4096);
		from_device(0x5000, 4096);
	}
	CHECK(!sigaltstack(NULL, &st) && !(st.ss_flags & SS_DISABLE) &&
	      st.ss_size == 8192);
	return NULL;
}

static void small_alternate_stack(void)
{
	pthread_t t;

	CHECK(!pthread_create(&t, NULL, small_stack_thread, NULL));
	pthread_join(t, NULL);
}

static void memory_disabled_is_sigbus(void)
{
	struct vfio_region_info conf = {.argsz = sizeof(conf),
					.index = VFIO_PCI_CONFIG_REGION_INDEX};
	stack_t st = {.ss_size = 65536};
	uint16_t cmd = 0;

	st.ss_sp = anon(st.ss_size);
	CHECK(!sigaltstack(&st, NULL));
	CHECK(!ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &conf));
	CHECK(pwrite(device, &cmd, 2, conf.offset + 4) == 2);
	CHECK(killed_by(IN_CHILD(rd(0)), SIGBUS));
	signal(SIGBUS, jump_out);
	if (!sigsetjmp(jump, 1)) {
		rd(0);
		CHECK(0);
	}
	CHECK(!sigaltstack(NULL, &st) && !(st.ss_flags & SS_DISABLE));
	cmd = 6;
	CHECK(pwrite(device, &cmd, 2, conf.offset + 4) == 2);
	CHECK(alive());
}

/* ---- memory ---- */

static void pattern(uint8_t *p, unsigned seed)
{
	for (int i = 0; i < 4096; i++)
		p[i] = i * 7 + seed;
}

static bool device_has(unsigned seed)
{
	uint8_t want[4096], *mem = anon(4096);
	bool same;

	pattern(want, seed);
	CHECK(map_dma(mem, 0x8000000, 4096) == 0);
	from_device(0x8000000, 4096);
	same = !memcmp(mem, want, 4096);
	CHECK(unmap_dma(0x8000000, 4096) == 0);
	return same;
}

/* Pinned pages stay, whatever becomes of the addresses; reading them still works. */
static void pinned_memory_stays(void)
{
	uint8_t *p = anon(0x10000), *q;
	int fd;

	/* munmap, and the address used again */
	pattern(p, 1);
	CHECK(map_dma(p, 0x1000, 4096) == 0);
	CHECK(munmap(p, 4096) == 0);
	to_device(0x1000, 4096);
	CHECK(device_has(1));
	q = mmap(p, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		 -1, 0);
	CHECK(q == p);
	pattern(q, 2);
	to_device(0x1000, 4096);
	CHECK(device_has(1));
	CHECK(unmap_dma(0x1000, 4096) == 0);

	/* MAP_FIXED over it */
	pattern(p + 4096, 3);
	CHECK(map_dma(p + 4096, 0x1000, 4096) == 0);
	CHECK(mmap(p + 4096, 4096, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p + 4096);
	CHECK(p[4096] == 0);
	to_device(0x1000, 4096);
	CHECK(device_has(3));
	CHECK(unmap_dma(0x1000, 4096) == 0);

	/* madvise */
	pattern(p + 8192, 4);
	CHECK(map_dma(p + 8192, 0x1000, 4096) == 0);
	CHECK(madvise(p + 8192, 4096, MADV_DONTNEED) == 0);
	CHECK(p[8192 + 9] == 0);
	to_device(0x1000, 4096);
	CHECK(device_has(4));
	CHECK(unmap_dma(0x1000, 4096) == 0);

	/* mremap: the program's view and the device's stay one */
	q = anon(4096);
	pattern(p + 12288, 5);
	CHECK(map_dma(p + 12288, 0x1000, 4096) == 0);
	CHECK(mremap(p + 12288, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, q) == q);
	to_device(0x1000, 4096);
	CHECK(device_has(5));
	pattern(q, 6);
	to_device(0x1000, 4096);
	CHECK(device_has(6));
	CHECK(unmap_dma(0x1000, 4096) == 0);

	/* mprotect does not stop a device, neither way */
	pattern(p + 16384, 7);
	CHECK(map_dma(p + 16384, 0x1000, 4096) == 0);
	CHECK(mprotect(p + 16384, 4096, PROT_NONE) == 0);
	to_device(0x1000, 4096);
	CHECK(device_has(7));
	from_device(0x1000, 4096);
	CHECK(mprotect(p + 16384, 4096, PROT_READ) == 0);
	from_device(0x1000, 4096);
	CHECK(p[16384 + 1] == 14);
	CHECK(unmap_dma(0x1000, 4096) == 0);

	/* a memfd that shrinks */
	fd = memfd_create("x", 0);
	CHECK(!ftruncate(fd, 4096));
	q = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pattern(q, 8);
	CHECK(map_dma(q, 0x1000, 4096) == 0);
	CHECK(!ftruncate(fd, 0));
	to_device(0x1000, 4096);
	CHECK(device_has(8));
	CHECK(unmap_dma(0x1000, 4096) == 0);
}

/* What malloc gives back and takes again while it is mapped. */
static void freed_memory_stays(void)
{
	char *p = malloc(1 << 20), *page = (char *)(((uintptr_t)p + 8191) & ~4095UL);

	pattern((uint8_t *)page, 9);
	CHECK(map_dma(page, 0x1000, 4096) == 0);
	free(p);
	to_device(0x1000, 4096);
	CHECK(unmap_dma(0x1000, 4096) == 0);
}

static void bar_mapping_changes(void)
{
	struct vfio_device_info info = {.argsz = sizeof(info)};
	void *hole = mmap(NULL, bar_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile uint8_t *second = mmap(hole, 8192, PROT_READ | PROT_WRITE,
					MAP_SHARED | MAP_FIXED, device, 0);
	volatile uint8_t *old = bar;

	CHECK((void *)second == hole);
	CHECK(*(volatile uint32_t *)second == rd(EDU_ID));
	/* Part of it goes; a fault there is a fault. */
	CHECK(munmap((void *)(second + 4096), 4096) == 0);
	CHECK(*(volatile uint32_t *)second == rd(EDU_ID));
	CHECK(killed_by(IN_CHILD(second[4096]), SIGSEGV));
	/* Read only. */
	CHECK(mprotect((void *)second, 4096, PROT_READ) == 0);
	CHECK(*(volatile uint32_t *)second == rd(EDU_ID));
	CHECK(killed_by(IN_CHILD(*(volatile uint32_t *)second = 1), SIGSEGV));
	/* Moved. */
	bar = mremap((void *)bar, bar_size, bar_size, MREMAP_MAYMOVE | MREMAP_FIXED,
		     mmap(NULL, bar_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	CHECK((void *)bar != MAP_FAILED && bar != old && alive());
	CHECK(madvise((void *)bar, 4096, MADV_DONTNEED) < 0 && errno == EINVAL);
	/* A mapping keeps the device open. */
	close(device);
	CHECK(alive());
	CHECK(ioctl(group, VFIO_GROUP_UNSET_CONTAINER) < 0 && errno == EBUSY);
	munmap((void *)bar, bar_size);
	munmap((void *)second, 4096);
	(void)info;
}

static void interrupt_arrives(void)
{
	union {
		struct vfio_irq_set set;
		int32_t words[sizeof(struct vfio_irq_set) / 4 + 1];
	} irq = {{.argsz = sizeof(irq),
		  .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		  .index = VFIO_PCI_MSI_IRQ_INDEX,
		  .start = 0,
		  .count = 1}};
	int fd = eventfd(0, EFD_NONBLOCK);
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	uint64_t n;

	irq.words[sizeof(irq.set) / 4] = fd;
	CHECK(!ioctl(device, VFIO_DEVICE_SET_IRQS, &irq));
	wr(EDU_RAISE, 0x11);
	CHECK(poll(&pfd, 1, 5000) == 1 && read(fd, &n, 8) == 8 && n == 1);
	CHECK(rd(EDU_STATUS) == 0x11);
	wr(EDU_ACK, 0x11);
	/* From a child too: it has no duplicate of what was set before, and needs none.
	 */
	CHECK(IN_CHILD(wr(EDU_RAISE, 1)) == 0);
	CHECK(poll(&pfd, 1, 5000) == 1 && read(fd, &n, 8) == 8 && n == 1);
	wr(EDU_ACK, 1);
	/* Off: nothing more comes. */
	irq.set.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
	irq.set.count = 0;
	CHECK(!ioctl(device, VFIO_DEVICE_SET_IRQS, &irq));
	wr(EDU_RAISE, 1);
	CHECK(poll(&pfd, 1, 50) == 0);

	/* INTx: through the server. */
	irq.set.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	irq.set.index = VFIO_PCI_INTX_IRQ_INDEX;
	irq.set.count = 1;
	wr(EDU_ACK, 1);
	CHECK(!ioctl(device, VFIO_DEVICE_SET_IRQS, &irq));
	wr(EDU_RAISE, 2);
	CHECK(poll(&pfd, 1, 5000) == 1);
	wr(EDU_ACK, 2);
}

static const struct {
	const char *name;
	void (*fn)(void);
} cases[] = {
#define C(fn)           \
	{               \
#fn, fn \
	}
	C(descriptors),
	C(closing_all_keeps_machine),
	C(sysfs_write_errno),
	C(shells_see_errno),
	C(fork_drives_device),
	C(vfork_leaves_parent_alone),
	C(exec_keeps_descriptor),
	C(rights_pass_descriptor),
	C(killed_child_frees_connection),
	C(threads_share_all),
	C(own_segv_handler),
	C(blocked_segv_still_traps),
	C(handler_mask_full),
	C(handler_on_its_stack),
	C(small_alternate_stack),
	C(memory_disabled_is_sigbus),
	C(pinned_memory_stays),
	C(freed_memory_stays),
	C(bar_mapping_changes),
	C(interrupt_arrives),
};

int main(int argc, char **argv)
{
	unsigned n = sizeof(cases) / sizeof(cases[0]), failed = 0;

	if (argc == 3 && !strcmp(argv[1], "exec-child")) {
		exec_fd = atoi(argv[2]);
		exec_child();
		return 0;
	}
	for (unsigned i = 0; i < n; i++) {
		pid_t pid;
		int status;

		if (argc == 2 && strcmp(argv[1], cases[i].name))
			continue;
		pid = fork();
		if (!pid) {
			alarm(60);
			open_device();
			cases[i].fn();
			_exit(0);
		}
		status = wait_child(pid);
		if (status)
			printf("not ok: %s (status %x)\n", cases[i].name, status);
		failed += !!status;
	}
	if (!failed)
		printf("ok: %u cases\n", argc == 2 ? 1 : n);
	return !!failed;
}
