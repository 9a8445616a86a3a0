// SPDX-License-Identifier: MIT
/* See vfio_fixture.h. */
#include "tests/unit/vfio/vfio_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "iommu/iommu.h"

int golden_start(void **state)
{
	return double_start("golden-uapi", NULL);
}

int pc_start(void **state)
{
	return double_start("pc", NULL);
}

int machine_end(void **state)
{
	double_stop();
	return 0;
}

struct pci_dev *device(const char *address)
{
	struct device *dev = bus_find_device_by_name(dbl.m->pci->bus, address);

	assert_non_null(dev);
	put_device(dev);
	return to_pci_dev(dev);
}

int group_open(const char *address)
{
	struct iommu_group *group = iommu_group_get(&device(address)->dev);
	char path[64];

	assert_non_null(group);
	snprintf(path, sizeof(path), "/dev/vfio/%d", iommu_group_id(group));
	iommu_group_put(group);
	return double_open(path, O_RDWR);
}

int map(int c, const void *p, u64 iova, u64 size, u32 flags)
{
	struct vfio_iommu_type1_dma_map req = {sizeof(req), flags, (uintptr_t)p, iova,
					       size};

	return (int)double_ioctl(c, VFIO_IOMMU_MAP_DMA, (uintptr_t)&req);
}

long unmap(int c, u64 iova, u64 size, u32 flags)
{
	struct vfio_iommu_type1_dma_unmap req = {sizeof(req), flags, iova, size};
	long ret = double_ioctl(c, VFIO_IOMMU_UNMAP_DMA, (uintptr_t)&req);

	return ret ? ret : (long)req.size;
}

int set_irqs(int d, u32 index, u32 flags, u32 start, u32 count, const void *data)
{
	u8 buf[sizeof(struct vfio_irq_set) + 64];
	struct vfio_irq_set *set = (void *)buf;
	size_t size = flags & VFIO_IRQ_SET_DATA_EVENTFD ? 4 * count
		      : flags & VFIO_IRQ_SET_DATA_BOOL	? count
							: 0;

	*set = (struct vfio_irq_set){(u32)(sizeof(*set) + size), flags, index, start,
				     count};
	if (size)
		memcpy(set->data, data, size);
	return (int)double_ioctl(d, VFIO_DEVICE_SET_IRQS, (uintptr_t)buf);
}

struct opened open_device(const char *address, u64 type)
{
	struct opened o;

	o.c = double_open("/dev/vfio/vfio", O_RDWR);
	assert_true(o.c >= 0);
	o.g = group_open(address);
	assert_true(o.g >= 0);
	assert_int_equal(double_ioctl(o.g, VFIO_GROUP_SET_CONTAINER, (uintptr_t)&o.c), 0);
	assert_int_equal(double_ioctl(o.c, VFIO_SET_IOMMU, type), 0);
	o.d = (int)double_ioctl(o.g, VFIO_GROUP_GET_DEVICE_FD, (uintptr_t)address);
	assert_true(o.d >= 0);
	return o;
}

void close_all(struct opened *o)
{
	double_close(o->d);
	double_close(o->g);
	double_close(o->c);
}

u64 drain(int efd)
{
	struct pollfd p = {.fd = efd, .events = POLLIN};
	u64 count = 0;

	double_pump();
	if (poll(&p, 1, 0) == 1 && read(efd, &count, sizeof(count)) != sizeof(count))
		return ~0ULL;
	return count;
}

u32 cfg_read(int d, unsigned at, unsigned len)
{
	u64 pos = (u64)VFIO_PCI_CONFIG_REGION_INDEX << VFIO_PCI_OFFSET_SHIFT;
	u32 val = 0;

	assert_int_equal(double_pread(d, &val, len, pos + at), len);
	return val;
}

void cfg_write(int d, unsigned at, unsigned len, u32 val)
{
	u64 pos = (u64)VFIO_PCI_CONFIG_REGION_INDEX << VFIO_PCI_OFFSET_SHIFT;

	assert_int_equal(double_pwrite(d, &val, len, pos + at), len);
}

struct census census(void)
{
	struct census now = {
		.blocks = alloc_live_count(),
		.files = file_count(dbl.m),
		.mappings = dbl.m->vfio->container_mappings,
		.locked = dbl.mm->locked_vm,
	};

	for (u32 irq = 0; irq < HW_MAX_IRQS; irq++)
		now.irqs += dbl.m->hw.irqs[irq].kind != HW_IRQ_NONE;
	return now;
}
