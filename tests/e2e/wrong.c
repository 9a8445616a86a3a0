// SPDX-License-Identifier: MIT
/*
 * wrong KIND: a VFIO program that does one thing wrong with the edu at 0000:00:03.0 of
 * the default machine (forged-msi: an added one), and nothing else. report.py compares
 * what the report says of it.
 */
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define IOVA 0x100000ULL
#define LEN  0x2000ULL

static int container, group, device;
static volatile uint8_t *regs;
static uint8_t *memory;

static void check(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(2);
	}
}

static void open_device(const char *name)
{
	struct vfio_region_info region = {.argsz = sizeof(region), .index = 0};
	char link[256], path[300];
	uint16_t command = 6;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", name);
	n = readlink(path, link, sizeof(link) - 1);
	check(n > 0, "iommu_group");
	link[n] = 0;
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') + 1);
	container = open("/dev/vfio/vfio", O_RDWR);
	group = open(path, O_RDWR);
	check(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0, "SET_CONTAINER");
	check(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0, "SET_IOMMU");
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
	check(device >= 0, "GET_DEVICE_FD");
	check(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region) == 0, "REGION_INFO");
	check(pwrite(device, &command, 2,
		     ((off_t)VFIO_PCI_CONFIG_REGION_INDEX << 40) + 4) == 2,
	      "command");
	regs = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, device,
		    (off_t)region.offset);
	check(regs != MAP_FAILED, "mmap");
}

static void map_memory(uint32_t flags)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = flags, .iova = IOVA, .size = LEN};

	memory = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	check(memory != MAP_FAILED, "memory");
	map.vaddr = (uintptr_t)memory;
	check(ioctl(container, VFIO_IOMMU_MAP_DMA, &map) == 0, "MAP_DMA");
}

static void unmap_memory(void)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .iova = IOVA, .size = LEN};

	check(ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap) == 0, "UNMAP_DMA");
}

/* The device copies between its buffer and memory. */
static void run_dma(uint64_t iova, uint64_t len, int to_memory)
{
	*(volatile uint64_t *)(regs + (to_memory ? 0x80 : 0x88)) = 0x40000;
	*(volatile uint64_t *)(regs + (to_memory ? 0x88 : 0x80)) = iova;
	*(volatile uint64_t *)(regs + 0x90) = len;
	*(volatile uint64_t *)(regs + 0x98) = to_memory ? 3 : 1;
	while (*(volatile uint64_t *)(regs + 0x98) & 1)
		;
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "";
	const uint32_t rw = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;

	open_device(strcmp(kind, "forged-msi") ? "0000:00:03.0" : "0000:00:05.0");
	if (!strcmp(kind, "nothing")) {
		map_memory(rw);
		run_dma(IOVA, 0x800, 1);
		unmap_memory();
	} else if (!strcmp(kind, "past-end")) {
		map_memory(rw);
		run_dma(IOVA + LEN + 16, 64, 1);
		unmap_memory();
	} else if (!strcmp(kind, "after-unmap")) {
		map_memory(rw);
		unmap_memory();
		run_dma(IOVA + 8, 64, 0);
	} else if (!strcmp(kind, "read-only")) {
		map_memory(VFIO_DMA_MAP_FLAG_READ);
		run_dma(IOVA, 64, 1);
		unmap_memory();
	} else if (!strcmp(kind, "write-only")) {
		map_memory(VFIO_DMA_MAP_FLAG_WRITE);
		run_dma(IOVA, 64, 0);
		unmap_memory();
	} else if (!strcmp(kind, "never")) {
		for (int i = 0; i < 3; i++)
			run_dma(0x8000000, 64, 1);
	} else if (!strcmp(kind, "munmap")) {
		map_memory(rw);
		munmap(memory, LEN);
		run_dma(IOVA, 64, 1);
		unmap_memory();
	} else if (!strcmp(kind, "mprotect")) {
		map_memory(rw);
		mprotect(memory, LEN, PROT_READ);
		run_dma(IOVA, 64, 1);
		unmap_memory();
	} else if (!strcmp(kind, "left")) {
		map_memory(rw);
	} else if (!strcmp(kind, "width")) {
		printf("%x\n", regs[1]);
	} else if (!strcmp(kind, "forged-msi")) {
		/* A DMA into the interrupt window: a message nobody allocated. */
		run_dma(0xfee00000, 4, 1);
	} else {
		return 2;
	}
	return 0;
}
