// SPDX-License-Identifier: MIT
/*
 * Copies memory with a DMA engine from user space: VFIO type1, no other library.
 * It drives Intel I/OAT channels and QEMU's educational device, on any Linux
 * machine where one of them is bound to vfio-pci, and under `moat run`.
 *
 *	vfio-copy [--device DDDD:BB:DD.F] [--size BYTES] [--bug]
 *
 * --bug copies once more after the destination has been unmapped, as a program
 * does that frees a buffer while a transfer into it is still queued.
 * Exit status: 0 copied and compared, 1 failed, 77 there is no such device.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Where the three buffers lie for the device: below 2^28, as edu needs. */
#define IOVA_RING 0x01000000ULL
#define IOVA_SRC  0x02000000ULL
#define IOVA_DST  0x08000000ULL
#define MAX_SIZE  (64UL << 20)

struct engine {
	uint16_t vendor, device;
	int (*start)(struct engine *e);
	/* Copy @len bytes from @src to @dst (IOVAs). Return: 0, or what the device
	 * reports. */
	uint64_t (*copy)(struct engine *e, uint64_t dst, uint64_t src, size_t len);
	/* filled in when it is opened */
	char bdf[32];
	int container, group, fd;
	uint8_t *bar; /* NULL: the BAR cannot be mapped, use pread and pwrite */
	uint64_t bar_offset;
	uint8_t *ring;
	uint64_t issued;
};

static void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
static void die(const char *fmt, ...)
{
	int error = errno;
	va_list args;

	fprintf(stderr, "vfio-copy: ");
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, ": %s\n", strerror(error));
	exit(1);
}

/* Registers */

static uint64_t reg_read(struct engine *e, uint64_t off, unsigned size)
{
	uint64_t val = 0;

	if (!e->bar) {
		if (pread(e->fd, &val, size, e->bar_offset + off) != size)
			die("reading register 0x%llx", (unsigned long long)off);
		return val;
	}
	switch (size) {
	case 1:
		return *(volatile uint8_t *)(e->bar + off);
	case 2:
		return *(volatile uint16_t *)(e->bar + off);
	case 4:
		return *(volatile uint32_t *)(e->bar + off);
	default:
		return *(volatile uint64_t *)(e->bar + off);
	}
}

static void reg_write(struct engine *e, uint64_t off, uint64_t val, unsigned size)
{
	if (!e->bar) {
		if (pwrite(e->fd, &val, size, e->bar_offset + off) != size)
			die("writing register 0x%llx", (unsigned long long)off);
		return;
	}
	switch (size) {
	case 1:
		*(volatile uint8_t *)(e->bar + off) = val;
		break;
	case 2:
		*(volatile uint16_t *)(e->bar + off) = val;
		break;
	case 4:
		*(volatile uint32_t *)(e->bar + off) = val;
		break;
	default:
		*(volatile uint64_t *)(e->bar + off) = val;
		break;
	}
}

/* Memory for the device; out of line, so that a backtrace names them */

static __attribute__((noinline)) void *map_buffer(struct engine *e, uint64_t iova,
						  size_t size)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.iova = iova,
		.size = size,
	};
	void *buf = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);

	if (buf == MAP_FAILED)
		die("allocating %zu bytes", size);
	map.vaddr = (uintptr_t)buf;
	if (ioctl(e->container, VFIO_IOMMU_MAP_DMA, &map))
		die("VFIO_IOMMU_MAP_DMA of %zu bytes", size);
	return buf;
}

static __attribute__((noinline)) void unmap_buffer(struct engine *e, uint64_t iova,
						   size_t size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = size,
	};

	if (ioctl(e->container, VFIO_IOMMU_UNMAP_DMA, &unmap))
		die("VFIO_IOMMU_UNMAP_DMA");
}

/* A busy device may take a second; an absent answer is an error. */
static bool expired(time_t *since)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!*since)
		*since = now.tv_sec;
	return now.tv_sec - *since > 2;
}

/* Intel I/OAT, one channel a function */

#define IOAT_XFERCAP   0x01
#define IOAT_CBVER     0x08
#define IOAT_CHANCTRL  0x80
#define IOAT_CHANCMD   0x84
#define IOAT_DMACOUNT  0x86
#define IOAT_CHANSTS   0x88
#define IOAT_CHAINADDR 0x90
#define IOAT_CHANCMP   0x98
#define IOAT_CHANERR   0xa8

#define IOAT_RESET	    0x20
#define IOAT_STATUS_MASK    7
#define IOAT_HALTED	    3
#define IOAT_ERR_COMPLETION 0x000c /* CHANCTRL: stop on error and write the status */
#define IOAT_UPDATE	    0x0008 /* descriptor: write the status when it is done */

#define IOAT_NR_DESC 64

struct ioat_desc {
	uint32_t size, control;
	uint64_t src, dst, next, reserved[4];
};

/* The ring's page: descriptors, and behind them the word that the device writes. */
static volatile uint64_t *ioat_status(struct engine *e)
{
	return (volatile uint64_t *)(e->ring + IOAT_NR_DESC * sizeof(struct ioat_desc));
}

static int ioat_start(struct engine *e)
{
	struct ioat_desc *desc = (struct ioat_desc *)e->ring;
	uint64_t version = reg_read(e, IOAT_CBVER, 1);
	time_t since = 0;
	unsigned i;

	printf("%s: I/OAT version %u.%u\n", e->bdf, (unsigned)(version >> 4),
	       (unsigned)(version & 15));
	for (i = 0; i < IOAT_NR_DESC; i++)
		desc[i].next = IOVA_RING + (i + 1) % IOAT_NR_DESC * sizeof(*desc);
	reg_write(e, IOAT_CHANERR, reg_read(e, IOAT_CHANERR, 4), 4);
	reg_write(e, IOAT_CHANCMD, IOAT_RESET, 1);
	while (reg_read(e, IOAT_CHANCMD, 1) & IOAT_RESET) {
		if (expired(&since))
			return -1;
	}
	reg_write(e, IOAT_CHANCTRL, IOAT_ERR_COMPLETION, 2);
	reg_write(e, IOAT_CHANCMP, IOVA_RING + IOAT_NR_DESC * sizeof(*desc), 8);
	reg_write(e, IOAT_CHAINADDR, IOVA_RING, 8);
	return 0;
}

/* Wait until the device has completed the descriptor at @iova. */
static uint64_t ioat_wait(struct engine *e, uint64_t iova)
{
	time_t since = 0;
	uint64_t status;

	while (((status = *ioat_status(e)) & ~0x3fULL) != iova) {
		if ((status & IOAT_STATUS_MASK) == IOAT_HALTED || expired(&since))
			return reg_read(e, IOAT_CHANERR, 4) | 1ULL << 63;
	}
	return 0;
}

static uint64_t ioat_copy(struct engine *e, uint64_t dst, uint64_t src, size_t len)
{
	struct ioat_desc *ring = (struct ioat_desc *)e->ring;
	size_t largest = (size_t)1 << reg_read(e, IOAT_XFERCAP, 1), part;
	uint64_t last = 0, error;

	while (len) {
		unsigned slot = e->issued % IOAT_NR_DESC;

		part = len < largest ? len : largest;
		ring[slot].size = part;
		ring[slot].control = IOAT_UPDATE;
		ring[slot].src = src;
		ring[slot].dst = dst;
		last = IOVA_RING + slot * sizeof(*ring);
		e->issued++;
		src += part;
		dst += part;
		len -= part;
		if (len && e->issued % IOAT_NR_DESC)
			continue;
		*ioat_status(e) = 0;
		__atomic_thread_fence(__ATOMIC_RELEASE);
		reg_write(e, IOAT_DMACOUNT, e->issued & 0xffff, 2);
		error = ioat_wait(e, last);
		if (error)
			return error;
	}
	return 0;
}

/* QEMU's educational device: 4 KiB inside the device, both ways */

#define EDU_DMA_SRC   0x80
#define EDU_DMA_DST   0x88
#define EDU_DMA_COUNT 0x90
#define EDU_DMA_CMD   0x98
#define EDU_BUFFER    0x40000
#define EDU_CHUNK     4095 /* QEMU before 8.2 refuses the last byte of the buffer */
#define EDU_RUN	      1
#define EDU_TO_MEMORY 2

static int edu_start(struct engine *e)
{
	uint32_t id = reg_read(e, 0, 4);

	printf("%s: edu, identification 0x%x\n", e->bdf, id);
	return (id & 0xffff) == 0x00ed ? 0 : -1;
}

static uint64_t edu_transfer(struct engine *e, uint64_t dst, uint64_t src, size_t len,
			     uint32_t direction)
{
	time_t since = 0;

	reg_write(e, EDU_DMA_SRC, src, 4);
	reg_write(e, EDU_DMA_DST, dst, 4);
	reg_write(e, EDU_DMA_COUNT, len, 4);
	reg_write(e, EDU_DMA_CMD, EDU_RUN | direction, 4);
	while (reg_read(e, EDU_DMA_CMD, 4) & EDU_RUN) {
		if (expired(&since))
			return ETIMEDOUT;
	}
	return 0;
}

static uint64_t edu_copy(struct engine *e, uint64_t dst, uint64_t src, size_t len)
{
	uint64_t error = 0;
	size_t part;

	for (; len && !error; len -= part, src += part, dst += part) {
		part = len < EDU_CHUNK ? len : EDU_CHUNK;
		error = edu_transfer(e, EDU_BUFFER, src, part, 0);
		if (!error)
			error = edu_transfer(e, dst, EDU_BUFFER, part, EDU_TO_MEMORY);
	}
	return error;
}

static struct engine engines[] = {
	{.vendor = 0x8086, .device = 0x2021, .start = ioat_start, .copy = ioat_copy},
	{.vendor = 0x8086, .device = 0x0b00, .start = ioat_start, .copy = ioat_copy},
	{.vendor = 0x1234, .device = 0x11e8, .start = edu_start, .copy = edu_copy},
};

/* Finding and opening the device */

static unsigned sysfs_number(const char *bdf, const char *file)
{
	char path[PATH_MAX], text[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, file);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (!fgets(text, sizeof(text), f))
		text[0] = 0;
	fclose(f);
	return strtoul(text, NULL, 16);
}

static bool sysfs_link(const char *bdf, const char *name, char *base, size_t size)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, name);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = 0;
	name = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
	if (strlen(name) >= size)
		return false;
	strcpy(base, name);
	return true;
}

static struct engine *engine_of(const char *bdf)
{
	uint16_t vendor = sysfs_number(bdf, "vendor"),
		 device = sysfs_number(bdf, "device");
	char driver[64];
	size_t i;

	if (!sysfs_link(bdf, "driver", driver, sizeof(driver)) ||
	    strcmp(driver, "vfio-pci"))
		return NULL;
	for (i = 0; i < ARRAY_SIZE(engines); i++) {
		if (engines[i].vendor == vendor && engines[i].device == device)
			return &engines[i];
	}
	return NULL;
}

/* The first device by address, I/OAT before edu; or the one called @wanted. */
static struct engine *find_engine(const char *wanted)
{
	struct engine *best = NULL, *e;
	struct dirent **names;
	int i, n = scandir("/sys/bus/pci/devices", &names, NULL, alphasort);

	for (i = 0; i < n; i++) {
		e = engine_of(names[i]->d_name);
		if (e && (!wanted || !strcmp(wanted, names[i]->d_name)) &&
		    (!best || (e->vendor == 0x8086 && best->vendor != 0x8086))) {
			best = e;
			snprintf(e->bdf, sizeof(e->bdf), "%.31s", names[i]->d_name);
		}
		free(names[i]);
	}
	if (n > 0)
		free(names);
	return best;
}

static void open_engine(struct engine *e)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};
	struct vfio_region_info region = {.argsz = sizeof(region)};
	char group[64], path[PATH_MAX];
	uint16_t command;
	void *bar;

	if (!sysfs_link(e->bdf, "iommu_group", group, sizeof(group)))
		die("%s has no IOMMU group", e->bdf);
	e->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (e->container < 0)
		die("/dev/vfio/vfio");
	if (ioctl(e->container, VFIO_GET_API_VERSION) != VFIO_API_VERSION)
		die("VFIO_GET_API_VERSION");
	snprintf(path, sizeof(path), "/dev/vfio/%s", group);
	e->group = open(path, O_RDWR | O_CLOEXEC);
	if (e->group < 0)
		die("%s", path);
	if (ioctl(e->group, VFIO_GROUP_GET_STATUS, &status))
		die("VFIO_GROUP_GET_STATUS");
	errno = EPERM;
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		die("group %s is not viable: not all its devices are bound to vfio",
		    group);
	if (ioctl(e->group, VFIO_GROUP_SET_CONTAINER, &e->container))
		die("VFIO_GROUP_SET_CONTAINER");
	if (ioctl(e->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		die("VFIO_SET_IOMMU");
	e->fd = ioctl(e->group, VFIO_GROUP_GET_DEVICE_FD, e->bdf);
	if (e->fd < 0)
		die("VFIO_GROUP_GET_DEVICE_FD %s", e->bdf);

	/* Without bus mastering nothing moves. */
	region.index = VFIO_PCI_CONFIG_REGION_INDEX;
	if (ioctl(e->fd, VFIO_DEVICE_GET_REGION_INFO, &region))
		die("VFIO_DEVICE_GET_REGION_INFO of config space");
	if (pread(e->fd, &command, 2, region.offset + 4) != 2)
		die("reading the command register");
	command |= 6;
	if (pwrite(e->fd, &command, 2, region.offset + 4) != 2)
		die("writing the command register");

	region = (struct vfio_region_info){.argsz = sizeof(region)};
	region.index = VFIO_PCI_BAR0_REGION_INDEX;
	if (ioctl(e->fd, VFIO_DEVICE_GET_REGION_INFO, &region))
		die("VFIO_DEVICE_GET_REGION_INFO of BAR 0");
	e->bar_offset = region.offset;
	if (!(region.flags & VFIO_REGION_INFO_FLAG_MMAP))
		return;
	bar = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, e->fd,
		   region.offset);
	if (bar == MAP_FAILED)
		die("mapping BAR 0");
	e->bar = bar;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"device", required_argument, NULL, 'd'},
		{"size", required_argument, NULL, 's'},
		{"bug", no_argument, NULL, 'b'},
		{NULL},
	};
	const char *bdf = NULL;
	size_t size = 1 << 20, mapped, i;
	uint8_t *src, *dst;
	struct engine *e;
	uint64_t error;
	bool bug = false;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'd':
			bdf = optarg;
			break;
		case 's':
			size = strtoul(optarg, NULL, 0);
			break;
		case 'b':
			bug = true;
			break;
		default:
			return 2;
		}
	}
	if (!size || size > MAX_SIZE) {
		fprintf(stderr, "vfio-copy: --size is 1 to %lu\n", MAX_SIZE);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	e = find_engine(bdf);
	if (!e) {
		fprintf(stderr,
			"vfio-copy: no such I/OAT or edu device is bound to vfio-pci\n");
		return 77;
	}
	open_engine(e);
	mapped = (size + 4095) & ~4095UL;
	e->ring = map_buffer(e, IOVA_RING, 2 * 4096);
	src = map_buffer(e, IOVA_SRC, mapped);
	dst = map_buffer(e, IOVA_DST, mapped);
	for (i = 0; i < size; i++)
		src[i] = i * 2654435761u >> 13;
	if (e->start(e)) {
		fprintf(stderr, "vfio-copy: %s does not start\n", e->bdf);
		return 1;
	}

	error = e->copy(e, IOVA_DST, IOVA_SRC, size);
	if (error || memcmp(src, dst, size)) {
		fprintf(stderr, "vfio-copy: %s: copy failed, error 0x%llx\n", e->bdf,
			(unsigned long long)(error & ~(1ULL << 63)));
		return 1;
	}
	printf("%s: %zu bytes copied, all equal\n", e->bdf, size);

	if (bug) {
		unmap_buffer(e, IOVA_DST, mapped);
		error = e->copy(e, IOVA_DST, IOVA_SRC, 4096);
		printf("%s: copied after unmap, the device reports 0x%llx\n", e->bdf,
		       (unsigned long long)(error & ~(1ULL << 63)));
	} else {
		unmap_buffer(e, IOVA_DST, mapped);
	}
	unmap_buffer(e, IOVA_SRC, mapped);
	unmap_buffer(e, IOVA_RING, 2 * 4096);
	return 0;
}
