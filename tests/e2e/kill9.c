// SPDX-License-Identifier: MIT
/*
 * moat run -- kill9 [N] [SEED]: starts a program that maps, unmaps and runs DMA on two
 * devices, from two processes and several threads, kills all of it at a random
 * instant, and waits until the server's counts are what they were before. N times.
 * A victim is a fork or an exec of this program in turn; all random numbers come
 * from SEED, only the instant of the kill depends on the machine's speed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/vfio.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "server/wire.h"

/* What a victim got done before it died; shared with it. */
struct progress {
	_Atomic u64 opened, mapped, copied;
};
static struct progress *progress;

static u64 seed;

static u32 next_random(void)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return seed >> 33;
}

/* The victim */

struct victim_device {
	char bdf[32];
	bool ioat;
	int container, group, fd;
	volatile u8 *bar;
	u8 *ring;
	u16 issued;
};

static bool sysfs_id(const char *bdf, const char *file, unsigned *out)
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

static bool group_path(const char *bdf, char *out, size_t size)
{
	char path[PATH_MAX], link[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return false;
	link[n] = 0;
	snprintf(out, size, "/dev/vfio/%.32s", strrchr(link, '/') + 1);
	return true;
}

static bool map_at(struct victim_device *d, void *buf, u64 iova, u64 size)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)buf,
		.iova = iova,
		.size = size,
	};

	if (ioctl(d->container, VFIO_IOMMU_MAP_DMA, &map))
		return false;
	progress->mapped++;
	return true;
}

static void unmap_at(struct victim_device *d, u64 iova, u64 size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = size,
	};

	ioctl(d->container, VFIO_IOMMU_UNMAP_DMA, &unmap);
}

static bool open_device(struct victim_device *d)
{
	struct vfio_region_info region = {.argsz = sizeof(region)};
	u16 command = 6;
	char path[64];

	if (!group_path(d->bdf, path, sizeof(path)))
		return false;
	d->container = open("/dev/vfio/vfio", O_RDWR);
	d->group = open(path, O_RDWR);
	if (d->container < 0 || d->group < 0 ||
	    ioctl(d->group, VFIO_GROUP_SET_CONTAINER, &d->container) ||
	    ioctl(d->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return false;
	d->fd = ioctl(d->group, VFIO_GROUP_GET_DEVICE_FD, d->bdf);
	if (d->fd < 0)
		return false;
	region.index = VFIO_PCI_CONFIG_REGION_INDEX;
	if (ioctl(d->fd, VFIO_DEVICE_GET_REGION_INFO, &region) ||
	    pwrite(d->fd, &command, 2, region.offset + 4) != 2)
		return false;
	region = (struct vfio_region_info){.argsz = sizeof(region)};
	if (ioctl(d->fd, VFIO_DEVICE_GET_REGION_INFO, &region))
		return false;
	d->bar = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd,
		      region.offset);
	d->ring = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	if (d->bar == MAP_FAILED || d->ring == MAP_FAILED)
		return false;
	progress->opened++;
	return map_at(d, d->ring, 0x10000, 4096);
}

#define REG(d, type, off) (*(volatile type *)((d)->bar + (off)))

static void copy_once(struct victim_device *d, u64 iova, u32 size)
{
	u32 *desc = (u32 *)d->ring;
	u64 *desc64 = (u64 *)d->ring;

	if (d->ioat) {
		desc[0] = size / 2;
		desc[1] = 8;
		desc64[1] = iova;
		desc64[2] = iova + size / 2;
		desc64[3] = 0x10000;
		if (!d->issued) {
			REG(d, u8, 0x84) = 0x20;
			REG(d, u64, 0x98) = 0x10800;
			REG(d, u64, 0x90) = 0x10000;
		}
		REG(d, u16, 0x86) = ++d->issued;
	} else {
		REG(d, u32, 0x80) = iova;
		REG(d, u32, 0x88) = 0x40000;
		REG(d, u32, 0x90) = 4000;
		REG(d, u32, 0x98) = 1;
	}
	progress->copied++;
}

static void *churn(void *arg)
{
	struct victim_device *d = arg;
	u64 sizes[] = {4096, 65536, 2 << 20, 64 << 20};
	u64 iova, size, n = 0;
	void *buf;

	for (;;) {
		size = sizes[n++ % 4];
		/* Below 2^28, where edu reaches; each thread would be refused what
		 * another has. */
		iova = 0x1000000 + (n % 3) * 0x4000000;
		buf = mmap(NULL, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (buf == MAP_FAILED)
			continue;
		if (map_at(d, buf, iova, size)) {
			copy_once(d, iova, 4096);
			if (n % 5)
				unmap_at(d, iova, size);
		} else {
			unmap_at(d, iova, size);
		}
		/* Now and then memory goes while a device can still reach it. */
		munmap(buf, size);
	}
	return NULL;
}

static _Noreturn void victim(void)
{
	static struct victim_device devices[2];
	unsigned vendor, n = 0, i;
	struct dirent *entry;
	pthread_t thread;
	DIR *dir = opendir("/sys/bus/pci/devices");

	/* One I/OAT and one edu. */
	while (dir && n < 2 && (entry = readdir(dir))) {
		if (!sysfs_id(entry->d_name, "vendor", &vendor) ||
		    (vendor != 0x8086 && vendor != 0x1234) ||
		    (n && devices[0].ioat == (vendor == 0x8086)))
			continue;
		snprintf(devices[n].bdf, sizeof(devices[n].bdf), "%.31s", entry->d_name);
		devices[n].ioat = vendor == 0x8086;
		if (open_device(&devices[n]))
			n++;
	}
	if (dir)
		closedir(dir);
	if (!n)
		exit(3);
	/* A child with the same descriptors. */
	if (!fork())
		churn(&devices[0]);
	for (i = 0; i < n; i++) {
		if (pthread_create(&thread, NULL, churn, &devices[i]))
			exit(4);
	}
	for (;;)
		pause();
}

/* The judge */

static int control;

static void control_call(u32 op, u64 a, void *out, size_t size)
{
	struct wire_request req = {.op = op, .seq = 1, .a = a};
	char buf[8192];
	struct iovec iov = {buf, sizeof(buf)};
	char space[CMSG_SPACE(sizeof(int) * 8)];
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = space,
		.msg_controllen = sizeof(space),
	};
	struct wire_reply rep;
	ssize_t n;

	if (send(control, &req, sizeof(req), 0) != sizeof(req)) {
		perror("kill9: the server's socket");
		exit(1);
	}
	n = recvmsg(control, &msg, 0);
	if (n < (ssize_t)(sizeof(rep) + size)) {
		fprintf(stderr, "kill9: the server's answer has %zd bytes\n", n);
		exit(1);
	}
	memcpy(&rep, buf, sizeof(rep));
	if (size)
		memcpy(out, buf + n - size, size);
}

static void connect_control(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const char *path = getenv(WIRE_ENV_SOCKET);

	if (!path || strlen(path) >= sizeof(addr.sun_path)) {
		fprintf(stderr, "kill9: not under moat run\n");
		exit(77);
	}
	strcpy(addr.sun_path, path);
	control = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (control < 0 || connect(control, (struct sockaddr *)&addr, sizeof(addr))) {
		perror(path);
		exit(1);
	}
	control_call(WIRE_HELLO, WIRE_VERSION, NULL, 0);
}

static bool same(const struct wire_counts *a, const struct wire_counts *b)
{
	return a->files == b->files && a->mappings == b->mappings &&
	       a->pinned == b->pinned && a->attached == b->attached &&
	       a->processes == b->processes;
}

static void print_counts(const char *what, const struct wire_counts *c)
{
	printf("%s: %llu files, %llu mappings, %llu bytes pinned, %llu devices attached, "
	       "%llu processes\n",
	       what, (unsigned long long)c->files, (unsigned long long)c->mappings,
	       (unsigned long long)c->pinned, (unsigned long long)c->attached,
	       (unsigned long long)c->processes);
}

int main(int argc, char **argv)
{
	unsigned n = argc > 1 ? atoi(argv[1]) : 1000, i, round, opened = 0, mapped = 0,
		 copied = 0;
	u32 range = 25000000; /* ns within which a victim is killed */
	struct wire_counts before, now;
	int memfd, status;
	char number[16];
	pid_t pid;

	if (argc == 3 && !strcmp(argv[1], "victim")) {
		progress = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
				atoi(argv[2]), 0);
		if (progress != MAP_FAILED)
			victim();
		return 5;
	}
	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	connect_control();
	memfd = memfd_create("progress", 0);
	if (memfd < 0 || ftruncate(memfd, 4096))
		return 1;
	progress = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	snprintf(number, sizeof(number), "%d", memfd);
	control_call(WIRE_COUNTS, 0, &before, sizeof(before));
	print_counts("at the start", &before);

	for (i = 0; i < n; i++) {
		struct timespec delay = {0, next_random() % range};

		memset(progress, 0, sizeof(*progress));
		pid = fork();
		if (!pid) {
			setpgid(0, 0);
			if (i % 2)
				victim();
			execl("/proc/self/exe", argv[0], "victim", number, NULL);
			_exit(6);
		}
		setpgid(pid, pid);
		nanosleep(&delay, NULL);
		kill(-pid, SIGKILL);
		waitpid(pid, &status, 0);
		if (WIFEXITED(status)) {
			printf("victim %u ended by itself with status %d\n", i,
			       WEXITSTATUS(status));
			return 1;
		}
		opened += progress->opened != 0;
		mapped += progress->mapped > 1;
		copied += progress->copied != 0;
		/* On a slow or busy machine they get more time, or few come to a DMA. */
		if (i % 50 == 49 && copied < i / 3 && range < 400000000)
			range *= 2;
		for (round = 0; round < 5000; round++) {
			control_call(WIRE_COUNTS, 0, &now, sizeof(now));
			if (same(&before, &now))
				break;
			delay = (struct timespec){0, 1000000};
			nanosleep(&delay, NULL);
		}
		if (round == 5000) {
			printf("after kill %u, seed %llu\n", i, (unsigned long long)seed);
			print_counts("before", &before);
			print_counts("now", &now);
			return 1;
		}
	}
	printf("%u kills: %u after an open, %u after a map, %u after a DMA; the counts "
	       "came back "
	       "each time\n",
	       n, opened, mapped, copied);
	/* A test that never got as far as a DMA tests nothing. */
	return n >= 100 && copied < n / 10;
}
