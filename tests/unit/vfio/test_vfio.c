// SPDX-License-Identifier: MIT
/*
 * Containers, groups and type1 mappings, where the recorded transcripts do not reach:
 * limits, peer-to-peer mappings, unbinding under an open device, no IOMMU, and every
 * allocation failing once.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fault_inject.h"
#include "iommu/iommu.h"
#include "machine/dma.h"
#include "tests/unit/vfio/vfio_fixture.h"

#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

static void *pages(size_t n)
{
	void *p = mmap(NULL, n * PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static void type1_map_beyond_entry_limit_enospc(void **state)
{
	struct opened o;
	void *p = pages(1);

	dbl.m->vfio->params.dma_entry_limit = 2;
	o = open_device(EDU, VFIO_TYPE1v2_IOMMU);
	assert_int_equal(map(o.c, p, 0, PAGE_SIZE, RW), 0);
	assert_int_equal(map(o.c, p, PAGE_SIZE, PAGE_SIZE, RW), 0);
	assert_int_equal(map(o.c, p, 2 * PAGE_SIZE, PAGE_SIZE, RW), -ENOSPC);
	assert_int_equal(unmap(o.c, 0, PAGE_SIZE, 0), PAGE_SIZE);
	assert_int_equal(map(o.c, p, 2 * PAGE_SIZE, PAGE_SIZE, RW), 0);
	close_all(&o);
	dbl.m->vfio->params.dma_entry_limit = UINT16_MAX;
	munmap(p, PAGE_SIZE);
}

static void type1_map_over_memlock_limit_enomem_charges_nothing(void **state)
{
	struct opened o = open_device(EDU, VFIO_TYPE1v2_IOMMU);
	void *p = pages(8);

	dbl.privileged = false;
	dbl.memlock = 4 * PAGE_SIZE;
	assert_int_equal(map(o.c, p, 0, 8 * PAGE_SIZE, RW), -ENOMEM);
	assert_int_equal(dbl.mm->locked_vm, 0);
	assert_int_equal(map(o.c, p, 0, 4 * PAGE_SIZE, RW), 0);
	assert_int_equal(dbl.mm->locked_vm, 4);
	/* The same page again is charged again. */
	assert_int_equal(map(o.c, p, 0x100000, PAGE_SIZE, RW), -ENOMEM);
	dbl.privileged = true;
	assert_int_equal(map(o.c, p, 0x100000, PAGE_SIZE, RW), 0);
	assert_int_equal(dbl.mm->locked_vm, 5);
	close_all(&o);
	assert_int_equal(dbl.mm->locked_vm, 0);
	dbl.memlock = ~0ULL;
	munmap(p, 8 * PAGE_SIZE);
}

static void type1_map_stops_at_hole_efault_and_undoes(void **state)
{
	struct opened o = open_device(EDU, VFIO_TYPE1v2_IOMMU);
	struct iommu_domain *domain = iommu_get_domain_for_dev(&device(EDU)->dev);
	u8 *p = pages(4);

	munmap(p + 2 * PAGE_SIZE, PAGE_SIZE);
	assert_int_equal(map(o.c, p, 0x10000, 4 * PAGE_SIZE, RW), -EFAULT);
	assert_int_equal(dbl.mm->locked_vm, 0);
	assert_int_equal(iommu_iova_to_phys(domain, 0x10000), 0);
	assert_int_equal(map(o.c, p, 0x10000, 2 * PAGE_SIZE, RW), 0);
	assert_int_not_equal(iommu_iova_to_phys(domain, 0x11000), 0);
	close_all(&o);
	munmap(p, 4 * PAGE_SIZE);
}

/* A BAR's own mapping is mapped as what it is, and not charged. */
static void type1_map_of_bar_reaches_peer(void **state)
{
	struct opened o = open_device(EDU, VFIO_TYPE1v2_IOMMU);
	struct iommu_domain *domain = iommu_get_domain_for_dev(&device(EDU)->dev);
	void *bar = double_mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
				o.d, PAGE_SIZE);

	assert_false(IS_ERR(bar));
	assert_int_equal(map(o.c, bar, 0x200000, 2 * PAGE_SIZE, RW), 0);
	assert_int_equal(iommu_iova_to_phys(domain, 0x201004),
			 pci_resource_start(device(EDU), 0) + 2 * PAGE_SIZE + 4);
	assert_int_equal(dbl.mm->locked_vm, 0);
	assert_int_equal(unmap(o.c, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL), 2 * PAGE_SIZE);
	close_all(&o);
	munmap(bar, 2 * PAGE_SIZE);
}

/* The successor of a program takes over its mappings, pages and charge included. */
static void type1_vaddr_of_successor_moves_mapping_and_charge(void **state)
{
	const u32 take = VFIO_DMA_UNMAP_FLAG_VADDR, give = VFIO_DMA_MAP_FLAG_VADDR;
	struct opened o = open_device(EDU, VFIO_TYPE1v2_IOMMU);
	struct iommu_domain *domain = iommu_get_domain_for_dev(&device(EDU)->dev);
	struct mm *old = dbl.mm, next = *old;
	u8 *p = pages(4), *q = pages(4);
	u32 word = 0;

	refcount_set(&next.ref, 2);
	next.locked_vm = 0;
	next.places = NULL;
	INIT_LIST_HEAD(&next.pins);
	assert_int_equal(hw_mm_alloc(&dbl.m->hw, old->pid, &next.index), 0);
	assert_int_equal(map(o.c, p, 0x10000, 4 * PAGE_SIZE, RW), 0);
	assert_int_equal(map(o.c, q, 0x10000, 4 * PAGE_SIZE, give), -EINVAL);
	assert_int_equal(unmap(o.c, 0x10000, 4 * PAGE_SIZE, take), 4 * PAGE_SIZE);
	assert_int_equal(unmap(o.c, 0x10000, 4 * PAGE_SIZE, take), -EINVAL);
	*(u32 *)(q + 0x1000) = 0x600df00d;
	dbl.mm = &next;
	assert_int_equal(map(o.c, q, 0x10000, 2 * PAGE_SIZE, give), -EINVAL);
	assert_int_equal(map(o.c, q, 0x10000, 4 * PAGE_SIZE, give), 0);
	assert_int_equal(old->locked_vm, 0);
	assert_int_equal(next.locked_vm, 4);
	assert_int_equal(
		phys_read(&dbl.m->hw, iommu_iova_to_phys(domain, 0x11000), &word, 4), 0);
	assert_int_equal(word, 0x600df00d);
	close_all(&o);
	assert_int_equal(next.locked_vm, 0);
	dbl.mm = old;
	munmap(p, 4 * PAGE_SIZE);
	munmap(q, 4 * PAGE_SIZE);
}

/* A bit in the program's words, one for each page; slow and obvious. */
struct model {
	u8 owner[512]; /* 0: unmapped; mapping's number */
	bool v2;
};

static long model_unmap(struct model *m, unsigned first, unsigned n)
{
	unsigned last = first + n - 1, end;
	long size = 0;

	if (m->v2 &&
	    ((first && m->owner[first] && m->owner[first - 1] == m->owner[first]) ||
	     (m->owner[last] && m->owner[last + 1] == m->owner[last])))
		return -EINVAL;
	/* v1: a mapping that begins before the range ends the matter. */
	if (!m->v2 && first && m->owner[first] && m->owner[first - 1] == m->owner[first])
		return 0;
	for (end = last; m->owner[end] && m->owner[end + 1] == m->owner[end]; end++)
		;
	for (unsigned i = first; i <= end; i++) {
		size += m->owner[i] ? (long)PAGE_SIZE : 0;
		m->owner[i] = 0;
	}
	return size;
}

static void random_against_model(bool v2)
{
	struct opened o = open_device(EDU, v2 ? VFIO_TYPE1v2_IOMMU : VFIO_TYPE1_IOMMU);
	struct iommu_domain *domain = iommu_get_domain_for_dev(&device(EDU)->dev);
	struct model m = {.v2 = v2};
	u8 *p = pages(512);
	unsigned next = 1;

	srandom(v2 ? 2 : 1);
	for (int turn = 0; turn < 4000; turn++) {
		unsigned first = (unsigned)random() % 500,
			 n = 1 + (unsigned)random() % 10;
		bool busy = false;

		for (unsigned i = first; i < first + n; i++)
			busy |= m.owner[i] != 0;
		if (random() % 2) {
			assert_int_equal(map(o.c, p, first * PAGE_SIZE, n * PAGE_SIZE,
					     RW),
					 busy ? -EEXIST : 0);
			for (unsigned i = first; !busy && i < first + n; i++)
				m.owner[i] = (u8)next;
			next = next % 255 + 1;
		} else {
			assert_int_equal(unmap(o.c, first * PAGE_SIZE, n * PAGE_SIZE, 0),
					 model_unmap(&m, first, n));
		}
		first = (unsigned)random() % 511;
		assert_int_equal(iommu_iova_to_phys(domain, first * PAGE_SIZE) != 0,
				 m.owner[first] != 0);
	}
	close_all(&o);
	munmap(p, 512 * PAGE_SIZE);
}

static void type1_random_ops_agree_with_model(void **state)
{
	random_against_model(false);
}

static void type1v2_random_ops_agree_with_model(void **state)
{
	random_against_model(true);
}

static void set_done(void *data)
{
	*(bool *)data = true;
}

static void device_unbind_while_open_waits_for_last_close(void **state)
{
	struct opened o = open_device(EDU, VFIO_TYPE1v2_IOMMU);
	struct device_driver *drv = driver_find(dbl.m->pci->bus, "vfio-pci");
	int efd = eventfd(0, 0), second;
	bool done = false;

	second = (int)double_ioctl(o.g, VFIO_GROUP_GET_DEVICE_FD, (uintptr_t)EDU);
	assert_true(second >= 0);
	assert_int_equal(set_irqs(o.d, VFIO_PCI_REQ_IRQ_INDEX,
				  VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
				  0, 1, &efd),
			 0);
	assert_int_equal(driver_unbind_store(drv, EDU, strlen(EDU), set_done, &done),
			 -EIOCBQUEUED);
	assert_int_equal(drain(efd), 1);
	assert_int_equal(double_ioctl(o.g, VFIO_GROUP_GET_DEVICE_FD, (uintptr_t)EDU),
			 -ENODEV);
	assert_int_equal(cfg_read(o.d, PCI_VENDOR_ID, 2), 0x1234);
	double_close(o.d);
	assert_false(done);
	double_close(second);
	assert_true(done);
	/* The group's only device has left. */
	assert_int_equal(double_ioctl(o.g, VFIO_GROUP_UNSET_CONTAINER, 0), -EINVAL);
	assert_int_equal(double_ioctl(o.g, VFIO_GROUP_SET_CONTAINER, (uintptr_t)&o.c),
			 -ENODEV);
	double_close(o.g);
	double_close(o.c);
	close(efd);
	assert_int_equal(driver_bind_store(drv, EDU, strlen(EDU)), strlen(EDU));
	o = open_device(EDU, VFIO_TYPE1v2_IOMMU);
	close_all(&o);
}

static void noiommu_group_works_without_mapping(void **state)
{
	int c, g, d;

	g = double_open("/dev/vfio/noiommu-0", O_RDWR);
	assert_true(g >= 0);
	c = double_open("/dev/vfio/vfio", O_RDWR);
	assert_int_equal(double_ioctl(c, VFIO_CHECK_EXTENSION, VFIO_NOIOMMU_IOMMU), 1);
	assert_int_equal(double_ioctl(g, VFIO_GROUP_SET_CONTAINER, (uintptr_t)&c), 0);
	assert_int_equal(double_ioctl(c, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), -ENODEV);
	dbl.privileged = false;
	assert_int_equal(double_ioctl(c, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU), -EPERM);
	dbl.privileged = true;
	assert_int_equal(double_ioctl(c, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU), 0);
	d = (int)double_ioctl(g, VFIO_GROUP_GET_DEVICE_FD, (uintptr_t)EDU);
	assert_true(d >= 0);
	assert_int_equal(map(c, NULL, 0, PAGE_SIZE, RW), -ENOTTY);
	double_close(d);
	double_close(g);
	double_close(c);
}

/* ---- every allocation fails once
 * ----------------------------------------------------------- */

/* A whole life; each step may fail, and the others go on. Return: all succeeded. */
static bool life(u8 *p, int *efds)
{
	struct vfio_bitmap bitmap = {PAGE_SIZE, 8};
	struct {
		u32 argsz, flags;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} dirty = {sizeof(dirty), VFIO_IOMMU_DIRTY_PAGES_FLAG_START, {0, 16 * PAGE_SIZE}};
	struct {
		u32 argsz, flags;
		u32 region_index, open_flags, buf_flags, nr_ranges;
		struct vfio_region_dma_range range;
	} dmabuf = {sizeof(dmabuf), VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF,
		    .nr_ranges = 1, .range = {0, PAGE_SIZE}};
	struct vfio_device_ioeventfd io = {sizeof(io), 4, 4, 1, efds[2]};
	const u32 on = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	const u32 off = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
	u64 words[4];
	u8 info[256];
	int c, g, h, d = -1, buf = -1;
	bool good;

	bitmap.data = (uintptr_t)words;
	dirty.get.bitmap = bitmap;
	c = double_open("/dev/vfio/vfio", O_RDWR);
	g = group_open(EDU);
	h = group_open(EDU2);
	good = c >= 0 && g >= 0 && h >= 0;
	if (!good)
		goto out;
	good &= !double_ioctl(g, VFIO_GROUP_SET_CONTAINER, (uintptr_t)&c);
	good &= !double_ioctl(c, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	good &= !map(c, p, 0, 4 * PAGE_SIZE, RW);
	good &= !double_ioctl(c, VFIO_IOMMU_DIRTY_PAGES, (uintptr_t)&dirty);
	good &= !map(c, p, 0x8000, 4 * PAGE_SIZE, RW);
	dirty.flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
	good &= !double_ioctl(c, VFIO_IOMMU_DIRTY_PAGES, (uintptr_t)&dirty);
	good &= !double_ioctl(h, VFIO_GROUP_SET_CONTAINER, (uintptr_t)&c);
	*(u32 *)info = sizeof(info);
	good &= !double_ioctl(c, VFIO_IOMMU_GET_INFO, (uintptr_t)info);
	d = (int)double_ioctl(g, VFIO_GROUP_GET_DEVICE_FD, (uintptr_t)EDU);
	good &= d >= 0;
	if (d >= 0) {
		good &= !set_irqs(d, VFIO_PCI_INTX_IRQ_INDEX, on, 0, 1, &efds[0]);
		good &= !set_irqs(d, VFIO_PCI_INTX_IRQ_INDEX,
				  VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK,
				  0, 1, &efds[1]);
		good &= !set_irqs(d, VFIO_PCI_INTX_IRQ_INDEX, off, 0, 0, NULL);
		good &= !set_irqs(d, VFIO_PCI_MSI_IRQ_INDEX, on, 0, 1, &efds[0]);
		good &= !set_irqs(d, VFIO_PCI_REQ_IRQ_INDEX, on, 0, 1, &efds[1]);
		good &= !double_ioctl(d, VFIO_DEVICE_IOEVENTFD, (uintptr_t)&io);
		buf = (int)double_ioctl(d, VFIO_DEVICE_FEATURE, (uintptr_t)&dmabuf);
		good &= buf >= 0;
	}
	good &= unmap(c, 0, 4 * PAGE_SIZE, 0) == 4 * (long)PAGE_SIZE;
out:
	if (buf >= 0)
		double_close(buf);
	if (d >= 0)
		double_close(d);
	if (h >= 0)
		double_close(h);
	if (g >= 0)
		double_close(g);
	if (c >= 0)
		double_close(c);
	return good;
}

static void life_with_nth_allocation_failing_leaks_nothing(void **state)
{
	int efds[3] = {eventfd(0, 0), eventfd(0, 0), eventfd(0, 0)};
	struct census before, after;
	u8 *p = pages(4);
	u64 nth;

	/* What is allocated once and kept (caches) comes with the first lives. */
	assert_true(life(p, efds));
	assert_true(life(p, efds));
	before = census();
	for (nth = 1;; nth++) {
		bool good, injected;

		fault_inject_arm(nth);
		good = life(p, efds);
		injected = fault_inject_disarm();
		if (!injected) {
			assert_true(good);
			break;
		}
		/* A good life leaves things as good ones did before, so nothing was lost.
		 */
		assert_true(life(p, efds));
		after = census();
		if (memcmp(&before, &after, sizeof(before))) {
			print_error("allocation %llu: blocks %+lld files %+lld mappings "
				    "%+lld "
				    "locked %+lld irqs %+lld\n",
				    (unsigned long long)nth,
				    (long long)(after.blocks - before.blocks),
				    (long long)(after.files - before.files),
				    (long long)(after.mappings - before.mappings),
				    (long long)(after.locked - before.locked),
				    (long long)(after.irqs - before.irqs));
			fail();
		}
	}
	assert_true(nth > 30);
	for (int i = 0; i < 3; i++)
		close(efds[i]);
	munmap(p, 4 * PAGE_SIZE);
}

static int noiommu_start(void **state)
{
	return double_start("golden-uapi",
			    "intel_iommu=off vfio.enable_unsafe_noiommu_mode=1");
}

#define GOLDEN(f) cmocka_unit_test_setup_teardown(f, golden_start, machine_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		GOLDEN(type1_map_beyond_entry_limit_enospc),
		GOLDEN(type1_map_over_memlock_limit_enomem_charges_nothing),
		GOLDEN(type1_map_stops_at_hole_efault_and_undoes),
		GOLDEN(type1_map_of_bar_reaches_peer),
		GOLDEN(type1_vaddr_of_successor_moves_mapping_and_charge),
		GOLDEN(type1_random_ops_agree_with_model),
		GOLDEN(type1v2_random_ops_agree_with_model),
		GOLDEN(device_unbind_while_open_waits_for_last_close),
		cmocka_unit_test_setup_teardown(noiommu_group_works_without_mapping,
						noiommu_start, machine_end),
		GOLDEN(life_with_nth_allocation_failing_leaks_nothing),
	};
	return cmocka_run_group_tests_name("vfio", tests, NULL, NULL);
}
