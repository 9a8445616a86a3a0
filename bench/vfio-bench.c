// SPDX-License-Identifier: MIT
/*
 * What a program pays for its device: run it under `moat run`. Every figure stands
 * beside a reference measured in the same process just before it: a bare SIGSEGV
 * round trip for trapped register accesses, an echo over SOCK_SEQPACKET for ioctls,
 * memcpy for copies by I/OAT. System calls of the references are made directly, so
 * that no library sees them.
 *
 *	vfio-bench [--device BDF]
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define ROUNDS 25

static int container, device;
static volatile uint8_t *bar;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* Something to be measured: @n times, @arg as it needs it. */
struct job {
	void (*fn)(unsigned n, void *arg);
	void *arg;
	unsigned n;
};

static double once(const struct job *job)
{
	double start = now_ns();

	job->fn(job->n, job->arg);
	return (now_ns() - start) / job->n;
}

/*
 * A job and its reference in turn, so that both see the same machine; of each the best
 * round, which is the least disturbed one.
 */
static void measure(const struct job *job, const struct job *reference, double *ns,
		    double *ref_ns)
{
	double t;
	unsigned i;

	once(reference);
	once(job);
	*ns = *ref_ns = 1e18;
	for (i = 0; i < ROUNDS; i++) {
		t = once(reference);
		if (t < *ref_ns)
			*ref_ns = t;
		t = once(job);
		if (t < *ns)
			*ns = t;
	}
}

static void report(const char *what, double ns, const char *reference, double ref_ns,
		   double aim)
{
	printf("%-34s %11.1f ns   %-22s %11.1f ns   ratio %5.2f", what, ns, reference,
	       ref_ns, ns / ref_ns);
	if (aim)
		printf("  (aim %.2f)", aim);
	printf("\n");
}

/* The same for copies, where more is better. */
static void report_rate(const char *what, double ns, double ref_ns, size_t bytes,
			double aim)
{
	printf("%-34s %8.2f GiB/s   %-22s %8.2f GiB/s   ratio %5.2f", what,
	       bytes / ns * 1e9 / (1 << 30), "memcpy", bytes / ref_ns * 1e9 / (1 << 30),
	       ref_ns / ns);
	if (aim)
		printf("  (aim %.2f)", aim);
	printf("\n");
}

/* A bare trap: a load from a page without rights, and a handler that steps over it. */

static volatile uint32_t *forbidden;

/* mov (%rdi),%eax and mov %eax,(%rdi) are two bytes each. */
static void step_over(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	uc->uc_mcontext.gregs[REG_RIP] += 2;
}

struct kernel_sigaction {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

void restore_rt(void);
__asm__(".globl restore_rt\nrestore_rt:\n\tmov $15, %eax\n\tsyscall\n");

static long raw_sigaction(int sig, const struct kernel_sigaction *new,
			  struct kernel_sigaction *old)
{
	register long size __asm__("r10") = 8;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"((long)SYS_rt_sigaction), "D"((long)sig), "S"(new),
			   "d"(old), "r"(size)
			 : "rcx", "r11", "memory");
	return ret;
}

static void load_at(unsigned n, void *arg)
{
	volatile uint32_t *p = arg;
	uint32_t val;

	while (n--)
		__asm__ volatile("mov (%1),%0" : "=a"(val) : "D"(p) : "memory");
}

static void store_at(unsigned n, void *arg)
{
	volatile uint32_t *p = arg;

	while (n--)
		__asm__ volatile("mov %0,(%1)" : : "a"(0x20), "D"(p) : "memory");
}

static const struct kernel_sigaction stepping = {
	.handler = step_over,
	.flags = SA_SIGINFO | 0x04000000 /* SA_RESTORER */,
	.restorer = restore_rt,
};

static void bare_loads(unsigned n, void *arg)
{
	struct kernel_sigaction old;

	raw_sigaction(SIGSEGV, &stepping, &old);
	load_at(n, (void *)forbidden);
	raw_sigaction(SIGSEGV, &old, NULL);
}

static void bare_stores(unsigned n, void *arg)
{
	struct kernel_sigaction old;

	raw_sigaction(SIGSEGV, &stepping, &old);
	store_at(n, (void *)forbidden);
	raw_sigaction(SIGSEGV, &old, NULL);
}

static void bench_trap(void)
{
	struct job load = {load_at, (void *)(bar + 0x10), 1000};
	struct job store = {store_at, (void *)(bar + 0xac), 1000};
	struct job bare_load = {bare_loads, NULL, 1000},
		   bare_store = {bare_stores, NULL, 1000};
	double ns, ref;

	forbidden = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	measure(&load, &bare_load, &ns, &ref);
	report("trapped load, 4 bytes", ns, "bare SIGSEGV", ref, 1.2);
	measure(&store, &bare_store, &ns, &ref);
	report("trapped store, 4 bytes", ns, "bare SIGSEGV", ref, 1.2);
}

/* A bare round trip: another process echoes packets of the size that an ioctl takes. */

#define REQUEST 320
#define REPLY	104

static int echo_fd;

static void echo_server(int fd)
{
	char buf[4096];

	while (recv(fd, buf, sizeof(buf), 0) > 0) {
		if (send(fd, buf, REPLY, MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}

static void round_trips(unsigned n, void *arg)
{
	char buf[4096] = "";

	while (n--) {
		if (send(echo_fd, buf, REQUEST, 0) < 0 ||
		    recv(echo_fd, buf, sizeof(buf), 0) < 0)
			die("echo");
	}
}

static pid_t start_echo(void)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
		die("socketpair");
	pid = fork();
	if (!pid) {
		close(pair[0]);
		echo_server(pair[1]);
	}
	close(pair[1]);
	echo_fd = pair[0];
	return pid;
}

struct mapping {
	void *buf;
	uint64_t iova, size;
};

static void map_dma(const struct mapping *m)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)m->buf,
		.iova = m->iova,
		.size = m->size,
	};

	if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map))
		die("VFIO_IOMMU_MAP_DMA");
}

static void unmap_dma(const struct mapping *m)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = m->iova,
		.size = m->size,
	};

	if (ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap))
		die("VFIO_IOMMU_UNMAP_DMA");
}

static void map_unmap(unsigned n, void *arg)
{
	while (n--) {
		map_dma(arg);
		unmap_dma(arg);
	}
}

static void check_extension(unsigned n, void *arg)
{
	while (n--)
		ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU);
}

static void bench_ioctl(void)
{
	struct mapping small = {.iova = 1ULL << 32, .size = 4096};
	struct mapping large = {.iova = 1ULL << 33, .size = 8ULL << 30};
	struct job echo = {round_trips, NULL, 300},
		   extension = {check_extension, NULL, 300};
	struct job map_small = {map_unmap, &small, 200},
		   map_large = {map_unmap, &large, 200};
	pid_t pid = start_echo();
	double ns, ref;

	small.buf = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	large.buf = mmap(NULL, large.size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (small.buf == MAP_FAILED || large.buf == MAP_FAILED)
		die("mmap");
	measure(&extension, &echo, &ns, &ref);
	report("ioctl, CHECK_EXTENSION", ns, "SEQPACKET echo", ref, 1.3);
	measure(&map_small, &echo, &ns, &ref);
	report("MAP_DMA + UNMAP_DMA, 4 KiB", ns, "2 SEQPACKET echoes", 2 * ref, 1.3);
	measure(&map_large, &echo, &ns, &ref);
	report("MAP_DMA + UNMAP_DMA, 8 GiB", ns, "2 SEQPACKET echoes", 2 * ref, 0);
	printf("%-34s %11.3f ms   %-22s %11.3f ms\n", "MAP_DMA of 8 GiB, at most",
	       ns / 1e6, "aim", 0.2);
	munmap(large.buf, large.size);
	munmap(small.buf, small.size);
	close(echo_fd);
	waitpid(pid, NULL, 0);
}

/* Copies by I/OAT */

#define IOVA_RING 0x01000000ULL
#define IOVA_SRC  0x02000000ULL
#define IOVA_DST  0x04000000ULL
#define COPY_MAX  (1UL << 20)
#define NR_DESC	  64

struct ioat_desc {
	uint32_t size, control;
	uint64_t src, dst, next, reserved[4];
};

static struct {
	struct ioat_desc *ring;
	volatile uint64_t *status;
	uint16_t issued;
	uint8_t *src, *dst;
} ioat;

static void unmap_all(void)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.flags = VFIO_DMA_UNMAP_FLAG_ALL,
	};

	if (ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap))
		die("VFIO_IOMMU_UNMAP_DMA of all");
}

static void *dma_buffer(uint64_t iova, size_t size)
{
	struct mapping m = {.iova = iova, .size = size};

	m.buf = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0);
	if (m.buf == MAP_FAILED)
		die("mmap");
	memset(m.buf, 1, size);
	map_dma(&m);
	return m.buf;
}

static void ioat_start(void)
{
	unsigned i;

	ioat.ring = dma_buffer(IOVA_RING, 8192);
	ioat.status = (uint64_t *)(ioat.ring + NR_DESC);
	ioat.src = dma_buffer(IOVA_SRC, COPY_MAX);
	ioat.dst = dma_buffer(IOVA_DST, COPY_MAX);
	for (i = 0; i < NR_DESC; i++) {
		ioat.ring[i] = (struct ioat_desc){
			.control = 8, /* write the status when it is done */
			.src = IOVA_SRC,
			.dst = IOVA_DST,
			.next = IOVA_RING + (i + 1) % NR_DESC * sizeof(*ioat.ring),
		};
	}
	*(volatile uint8_t *)(bar + 0x84) = 0x20;
	*(volatile uint16_t *)(bar + 0x80) = 0x000c;
	*(volatile uint64_t *)(bar + 0x98) = IOVA_RING + NR_DESC * sizeof(*ioat.ring);
	*(volatile uint64_t *)(bar + 0x90) = IOVA_RING;
}

struct copy {
	size_t bytes;
	unsigned batch; /* descriptors to a doorbell */
};

static void ioat_copies(unsigned n, void *arg)
{
	const struct copy *c = arg;
	unsigned i;

	while (n--) {
		uint64_t last;

		*ioat.status = 0;
		for (i = 0; i < c->batch; i++)
			ioat.ring[(ioat.issued + i) % NR_DESC].size = c->bytes;
		ioat.issued += c->batch;
		last = IOVA_RING +
		       (uint16_t)(ioat.issued - 1) % NR_DESC * sizeof(*ioat.ring);
		*(volatile uint16_t *)(bar + 0x86) = ioat.issued;
		while ((*ioat.status & ~0x3fULL) != last) {
			if ((*ioat.status & 7) == 3) {
				fprintf(stderr, "I/OAT halted\n");
				exit(1);
			}
			__asm__ volatile("pause");
		}
	}
}

static void memcpies(unsigned n, void *arg)
{
	const struct copy *c = arg;
	unsigned i;

	while (n--) {
		for (i = 0; i < c->batch; i++) {
			memcpy(ioat.dst, ioat.src, c->bytes);
			__asm__ volatile("" : : : "memory");
		}
	}
}

static void bench_copy(void)
{
	static const struct {
		const char *name;
		struct copy copy;
		unsigned n, reference_n;
		double aim;
	} kinds[] = {
		{"I/OAT copy, 4 KiB a doorbell", {4096, 1}, 500, 20000, 0},
		{"I/OAT copy, 32 x 4 KiB a doorbell", {4096, 32}, 100, 500, 0},
		{"I/OAT copy, 1 MiB a doorbell", {COPY_MAX, 1}, 30, 30, 0.9},
		{"I/OAT copy, 8 x 1 MiB a doorbell", {COPY_MAX, 8}, 5, 5, 0.9},
	};
	double ns, ref;
	unsigned i;

	ioat_start();
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct job job = {ioat_copies, (void *)&kinds[i].copy, kinds[i].n};
		struct job reference = {memcpies, (void *)&kinds[i].copy,
					kinds[i].reference_n};

		measure(&job, &reference, &ns, &ref);
		report_rate(kinds[i].name, ns, ref,
			    kinds[i].copy.bytes * kinds[i].copy.batch, kinds[i].aim);
	}
}

static bool sysfs_word(const char *bdf, const char *file, unsigned *out)
{
	char path[PATH_MAX];
	FILE *f;
	int n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, file);
	f = fopen(path, "re");
	if (!f)
		return false;
	n = fscanf(f, "%x", out);
	fclose(f);
	return n == 1;
}

static void open_ioat(const char *bdf)
{
	char path[PATH_MAX], link[PATH_MAX];
	struct vfio_region_info region = {.argsz = sizeof(region)};
	uint16_t command = 6;
	int group;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		die(path);
	link[n] = 0;
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') + 1);
	container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	group = open(path, O_RDWR | O_CLOEXEC);
	if (container < 0 || group < 0 ||
	    ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		die(path);
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	if (device < 0)
		die(bdf);
	region.index = VFIO_PCI_CONFIG_REGION_INDEX;
	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region) ||
	    pwrite(device, &command, 2, region.offset + 4) != 2)
		die("configuration space");
	region = (struct vfio_region_info){.argsz = sizeof(region)};
	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region))
		die("BAR 0");
	bar = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, device,
		   region.offset);
	if (bar == MAP_FAILED)
		die("BAR 0");
}

int main(int argc, char **argv)
{
	char bdf[64] = "";
	struct dirent *entry;
	unsigned vendor, id;
	DIR *dir;

	if (argc == 3 && !strcmp(argv[1], "--device"))
		snprintf(bdf, sizeof(bdf), "%s", argv[2]);
	dir = opendir("/sys/bus/pci/devices");
	while (!bdf[0] && dir && (entry = readdir(dir))) {
		if (sysfs_word(entry->d_name, "vendor", &vendor) && vendor == 0x8086 &&
		    sysfs_word(entry->d_name, "device", &id) &&
		    (id == 0x2021 || id == 0x0b00))
			snprintf(bdf, sizeof(bdf), "%.63s", entry->d_name);
	}
	if (!bdf[0]) {
		fprintf(stderr, "vfio-bench: no I/OAT device\n");
		return 77;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	open_ioat(bdf);
	bench_trap();
	bench_ioctl();
	bench_copy();
	unmap_all();
	return 0;
}
