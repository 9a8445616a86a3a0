// SPDX-License-Identifier: MIT
/*
 * Runs in the guest of qemu.sh, statically linked: drives an edu device first by
 * its sysfs resource file with physical addresses (`mmio`), then through the guest's own
 * VFIO (`vfio`). Prints one line a check, "ok NAME" or "not ok NAME: ...".
 *
 *	guest-edu mmio BDF OUTSIDE	OUTSIDE: an address where the guest has no memory
 *	guest-edu vfio BDF
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static volatile uint8_t *bar;
static int failures;

#define REG(type, off) (*(volatile type *)(bar + (off)))

static void check(const char *name, uint64_t got, uint64_t expected)
{
	if (got == expected) {
		printf("ok %s\n", name);
		return;
	}
	failures++;
	printf("not ok %s: 0x%llx, expected 0x%llx\n", name, (unsigned long long)got,
	       (unsigned long long)expected);
}

static void pause_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

/* Wait until the bits of @mask in the register are clear. */
static void settle(unsigned off, uint32_t mask)
{
	int i;

	for (i = 0; i < 3000 && (REG(uint32_t, off) & mask); i++)
		pause_ms(1);
}

static void check_registers(void)
{
	uint32_t n, expect = 1;
	char name[64];

	check("identification", REG(uint32_t, 0), 0x010000ed);
	check("identification, 1 byte", REG(uint8_t, 0), 0);
	check("identification, 2 bytes", REG(uint16_t, 0), 0);
	check("identification, 8 bytes", REG(uint64_t, 0), ~0ULL);
	REG(uint32_t, 4) = 0x12345678;
	check("liveness", REG(uint32_t, 4), 0xedcba987);
	REG(uint8_t, 4) = 0;
	REG(uint16_t, 4) = 0;
	REG(uint64_t, 0) = 0;
	check("liveness after stores of other widths", REG(uint32_t, 4), 0xedcba987);
	for (n = 1; n <= 14; n++) {
		expect *= n;
		REG(uint32_t, 8) = n;
		settle(0x20, 1);
		snprintf(name, sizeof(name), "factorial of %u", n);
		check(name, REG(uint32_t, 8), expect);
	}
	check("factorial, 1 byte", REG(uint8_t, 8), 0);
	check("factorial, 2 bytes", REG(uint16_t, 8), 0);
	check("factorial, 8 bytes", REG(uint64_t, 8), ~0ULL);
	REG(uint64_t, 0x80) = 0x1122334455667788;
	check("DMA source, 8 bytes", REG(uint64_t, 0x80), 0x1122334455667788);
	check("DMA source, 4 of 8 bytes", REG(uint32_t, 0x80), 0x55667788);
}

static void dma(uint64_t src, uint64_t dst, uint32_t count, uint32_t cmd)
{
	REG(uint32_t, 0x80) = src;
	REG(uint32_t, 0x88) = dst;
	REG(uint32_t, 0x90) = count;
	REG(uint32_t, 0x98) = cmd;
	settle(0x98, 1);
}

static uint64_t physical(void *p)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (fd < 0 || pread(fd, &entry, 8, (uintptr_t)p / 4096 * 8) != 8) {
		perror("pagemap");
		exit(1);
	}
	close(fd);
	return (entry & ((1ULL << 55) - 1)) * 4096 + (uintptr_t)p % 4096;
}

static int run_mmio(const char *bdf, uint64_t outside)
{
	char path[128];
	uint16_t command = 6;
	uint8_t *mem;
	int fd, i;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", bdf);
	fd = open(path, O_RDWR);
	if (fd < 0 || pwrite(fd, &command, 2, 4) != 2) {
		perror(path);
		return 1;
	}
	close(fd);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0", bdf);
	fd = open(path, O_RDWR | O_SYNC);
	bar = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	mem = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0);
	if (bar == MAP_FAILED || mem == MAP_FAILED) {
		perror(path);
		return 1;
	}
	check_registers();
	for (i = 0; i < 4096; i++)
		mem[i] = i * 7 + 1;
	dma(physical(mem), 0x40000, 4000, 1);
	dma(0x40000, physical(mem + 4096), 4000, 3);
	check("DMA of guest memory", memcmp(mem, mem + 4096, 4000), 0);
	dma(outside, 0x40000, 64, 1);
	dma(0x40000, physical(mem + 4096), 64, 3);
	for (i = 0; i < 64 && !mem[4096 + i]; i++)
		;
	check("DMA from outside guest memory delivers nothing", i, 64);
	return failures;
}

static int open_vfio(const char *bdf)
{
	char path[128], link[256];
	int container, group, device;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0) {
		perror(path);
		return -1;
	}
	link[n] = 0;
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') + 1);
	container = open("/dev/vfio/vfio", O_RDWR);
	group = open(path, O_RDWR);
	if (container < 0 || group < 0 ||
	    ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)) {
		perror(path);
		return -1;
	}
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	if (device < 0)
		perror("VFIO_GROUP_GET_DEVICE_FD");
	return device;
}

static int set_trigger(int device, unsigned index, int event)
{
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} irq = {
		.set =
			{
				.argsz = sizeof(irq),
				.flags = VFIO_IRQ_SET_DATA_EVENTFD |
					 VFIO_IRQ_SET_ACTION_TRIGGER,
				.index = index,
				.count = 1,
			},
		.fd = event,
	};

	return ioctl(device, VFIO_DEVICE_SET_IRQS, &irq);
}

static uint64_t arrived(int event)
{
	struct pollfd p = {.fd = event, .events = POLLIN};
	uint64_t count = 0;

	if (poll(&p, 1, 5000) == 1 && read(event, &count, 8) != 8)
		count = 0;
	return count;
}

static int run_vfio(const char *bdf)
{
	struct vfio_region_info region = {.argsz = sizeof(region)};
	int device = open_vfio(bdf), event = eventfd(0, 0);
	uint16_t command;

	if (device < 0)
		return 1;
	region.index = VFIO_PCI_CONFIG_REGION_INDEX;
	ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region);
	command = 6;
	if (pwrite(device, &command, 2, region.offset + 4) != 2)
		perror("command register");
	region = (struct vfio_region_info){.argsz = sizeof(region)};
	ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region);
	bar = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, device,
		   region.offset);
	if (bar == MAP_FAILED) {
		perror("BAR 0");
		return 1;
	}
	REG(uint32_t, 0x64) = ~0U;
	check("MSI enabled", set_trigger(device, VFIO_PCI_MSI_IRQ_INDEX, event), 0);
	REG(uint32_t, 0x60) = 1;
	check("MSI arrives", arrived(event), 1);
	REG(uint32_t, 0x64) = 1;
	REG(uint32_t, 0x20) = 0x80;
	REG(uint32_t, 8) = 5;
	check("MSI of the factorial arrives", arrived(event), 1);
	check("interrupt status", REG(uint32_t, 0x24), 1);
	REG(uint32_t, 0x64) = 1;
	REG(uint32_t, 0x20) = 0;
	return failures;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 4 && !strcmp(argv[1], "mmio"))
		return run_mmio(argv[2], strtoull(argv[3], NULL, 0)) != 0;
	if (argc == 3 && !strcmp(argv[1], "vfio"))
		return run_vfio(argv[2]) != 0;
	fprintf(stderr, "usage: guest-edu mmio BDF OUTSIDE | vfio BDF\n");
	return 2;
}
