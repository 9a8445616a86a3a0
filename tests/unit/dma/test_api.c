// SPDX-License-Identifier: MIT
/*
 * The DMA API of the default machine, through VT-d: what is mapped the device reaches, at
 * the bytes that the API says, and nothing else. A device's DMA goes through the unit.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fault_inject.h"
#include "base/rand.h"
#include "dma/core.h"
#include "machine/events.h"
#include "pci/function.h"
#include "pci/pci.h"
#include "tests/double/double.h"

static struct pci_dev *pdev;
static struct device *dev;
static char said[64][160];
static unsigned nr_said;

static void on_dma_api(struct machine *m, struct device *d, const char *what,
		       u32 nr_frames, const u64 *frames, u32 nr_mapped, const u64 *mapped)
{
	if (nr_said < 64)
		snprintf(said[nr_said], sizeof(said[0]), "%s", what);
	nr_said++;
}

static const struct machine_events events = {.dma_api = on_dma_api};

static int pick(struct device *d, void *data)
{
	struct pci_dev *p = to_pci_dev(d);

	if (!d->iommu || d->hw_function < 0 || d->iommu->dma_iommu != *(bool *)data ||
	    !d->iommu_group)
		return 0;
	/* Not a bridge. */
	if (p->hdr_type)
		return 0;
	pdev = p;
	dev = d;
	return 1;
}

static int start(const char *append, bool translated)
{
	int ret = double_start("pc", append);

	if (ret)
		return ret;
	dev = NULL;
	bus_for_each_dev(dbl.m->pci->bus, pick, &translated);
	if (!dev)
		return -1;
	device_release_driver(dev);
	if (pci_enable_device(pdev))
		return -1;
	pci_set_master(pdev);
	dev->dma_mask = dev->coherent_dma_mask = ~0ULL;
	dbl.m->events = &events;
	nr_said = 0;
	return 0;
}

static int setup_strict(void **state)
{
	return start("iommu.strict=1", true);
}

static int setup_lazy(void **state)
{
	return start("iommu.strict=0", true);
}

static int setup_passthrough(void **state)
{
	return start("iommu.passthrough=1", false);
}

static int teardown(void **state)
{
	dbl.m->events = NULL;
	double_stop();
	return 0;
}

static u8 *page(unsigned order, phys_addr_t *phys)
{
	assert_int_equal(ram_alloc_pages(dbl.m, order, phys), 0);
	return ram_ptr(&dbl.m->hw, *phys, PAGE_SIZE << order);
}

static int dev_read(dma_addr_t at, void *buf, size_t n)
{
	return dma_read(&dbl.m->hw, (u32)dev->hw_function, at, buf, n);
}

static int dev_write(dma_addr_t at, const void *buf, size_t n)
{
	return dma_write(&dbl.m->hw, (u32)dev->hw_function, at, buf, n);
}

static void assert_said(const char *text)
{
	for (unsigned i = 0; i < min(nr_said, 64U); i++) {
		if (strstr(said[i], text))
			return;
	}
	fail_msg("never said: %s (%u others, first %s)", text, nr_said, said[0]);
}

static void api_map_device_reaches_it_until_unmap(void **state)
{
	phys_addr_t phys;
	u8 *mem = page(0, &phys), buf[8];
	dma_addr_t at;

	memcpy(mem + 100, "to device", 9);
	at = dma_map_single(dev, mem + 100, 64, DMA_TO_DEVICE);
	assert_int_equal(dma_mapping_error(dev, at), 0);
	assert_true(at < 1ULL << 32);
	assert_int_equal(at % PAGE_SIZE, 100);
	assert_int_equal(dev_read(at, buf, 8), 0);
	assert_memory_equal(buf, "to devic", 8);
	assert_int_equal(dev_write(at, buf, 8), -EFAULT);
	dma_unmap_single(dev, at, 64, DMA_TO_DEVICE);
	assert_int_equal(dev_read(at, buf, 8), -EFAULT);
	assert_int_equal(nr_said, 0);
	ram_free_pages(dbl.m, phys, 0);
}

static void api_coherent_is_zeroed_and_shared(void **state)
{
	dma_addr_t at;
	u32 value = 0x12345678;
	u8 *mem = dma_alloc_coherent(dev, 3 * PAGE_SIZE, &at);

	assert_non_null(mem);
	for (unsigned i = 0; i < 3 * PAGE_SIZE; i++)
		assert_int_equal(mem[i], 0);
	assert_int_equal(dev_write(at + 2 * PAGE_SIZE, &value, 4), 0);
	assert_memory_equal(mem + 2 * PAGE_SIZE, &value, 4);
	dma_free_coherent(dev, 3 * PAGE_SIZE, mem, at);
	assert_int_equal(dev_write(at, &value, 4), -EFAULT);
	assert_int_equal(nr_said, 0);
}

static void api_noncontiguous_is_one_range(void **state)
{
	u64 size = 5 * SZ_1M + PAGE_SIZE;
	struct sg_table *sgt = dma_alloc_noncontiguous(dev, size, DMA_BIDIRECTIONAL, 0);
	u64 at = 0, value;

	assert_non_null(sgt);
	assert_int_equal(sgt->nents, 1);
	for (unsigned i = 0; i < sgt->orig_nents; i++) {
		value = i + 1;
		assert_int_equal(dev_write(sgt->sgl[0].dma_address + at, &value, 8), 0);
		assert_memory_equal(ram_ptr(&dbl.m->hw, sgt->sgl[i].phys, 8), &value, 8);
		at += sgt->sgl[i].length;
	}
	assert_int_equal(at, size);
	dma_free_noncontiguous(dev, size, sgt, DMA_BIDIRECTIONAL);
	assert_int_equal(nr_said, 0);
}

static void api_sg_merges_within_the_limits(void **state)
{
	struct scatterlist sg[4];
	phys_addr_t phys[4];
	u8 *mem[4], buf[4];
	unsigned n;

	for (int i = 0; i < 4; i++) {
		mem[i] = page(0, &phys[i]);
		mem[i][0] = (u8)(0x50 + i);
	}
	sg_init_table(sg, 4);
	for (int i = 0; i < 4; i++)
		sg_set_phys(&sg[i], phys[i], PAGE_SIZE);
	sg_set_phys(&sg[3], phys[3], 100);
	n = dma_map_sg(dev, sg, 4, DMA_TO_DEVICE);
	assert_int_equal(n, 1);
	assert_int_equal(sg_dma_len(&sg[0]), 3 * PAGE_SIZE + 100);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(dev_read(sg[0].dma_address + i * PAGE_SIZE, buf, 1), 0);
		assert_int_equal(buf[0], 0x50 + i);
	}
	dma_unmap_sg(dev, sg, 4, DMA_TO_DEVICE);

	dma_set_max_seg_size(dev, 2 * PAGE_SIZE);
	n = dma_map_sg(dev, sg, 4, DMA_TO_DEVICE);
	assert_int_equal(n, 2);
	dma_unmap_sg(dev, sg, 4, DMA_TO_DEVICE);
	dma_set_max_seg_size(dev, 0);

	/* A segment that begins within a page does not follow on. */
	sg_set_phys(&sg[2], phys[2] + 16, 100);
	n = dma_map_sg(dev, sg, 4, DMA_TO_DEVICE);
	assert_int_equal(n, 3);
	assert_int_equal(dev_read(sg[1].dma_address - 16, buf, 1), 0);
	assert_int_equal(buf[0], 0x52);
	dma_unmap_sg(dev, sg, 4, DMA_TO_DEVICE);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(sg[i].phys, phys[i] + (i == 2 ? 16 : 0));
		ram_free_pages(dbl.m, phys[i], 0);
	}
	assert_int_equal(nr_said, 0);
}

static void api_untrusted_never_shows_neighbouring_bytes(void **state)
{
	phys_addr_t phys;
	u8 *mem = page(1, &phys), buf[2 * PAGE_SIZE], want[2 * PAGE_SIZE];
	static const struct {
		u64 offset, size;
	} cases[] = {{0, 1}, {1, 4094}, {4095, 2}, {100, 4096}, {4096, 10}, {1, 8190}};

	dev->untrusted = true;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 offset = cases[i].offset, size = cases[i].size;
		u64 head = offset % PAGE_SIZE, whole;
		dma_addr_t at;

		memset(mem, 0xaa, 2 * PAGE_SIZE);
		memset(mem + offset, 0x55, size);
		at = dma_map_single(dev, mem + offset, size, DMA_BIDIRECTIONAL);
		assert_int_equal(dma_mapping_error(dev, at), 0);
		assert_true(dma_need_sync(dev, at));
		whole = ALIGN(head + size, PAGE_SIZE);
		assert_int_equal(dev_read(at - head, buf, whole), 0);
		memset(want, 0, sizeof(want));
		memset(want + head, 0x55, size);
		assert_memory_equal(buf, want, whole);
		/* What it writes around the buffer reaches nobody. */
		memset(buf, 0x77, whole);
		assert_int_equal(dev_write(at - head, buf, whole), 0);
		assert_int_equal(mem[offset], 0x55);
		dma_sync_single_for_cpu(dev, at, 1, DMA_BIDIRECTIONAL);
		assert_int_equal(mem[offset], 0x77);
		if (size > 1)
			assert_int_equal(mem[offset + 1], 0x55);
		dma_unmap_single(dev, at, size, DMA_BIDIRECTIONAL);
		for (u64 b = 0; b < 2 * PAGE_SIZE; b++)
			assert_int_equal(mem[b],
					 b >= offset && b < offset + size ? 0x77 : 0xaa);
		assert_int_equal(dev_read(at, buf, 1), -EFAULT);
	}
	/* Whole pages have no neighbours. */
	dma_addr_t at = dma_map_single(dev, mem, PAGE_SIZE, DMA_TO_DEVICE);

	assert_int_equal(dma_mapping_error(dev, at), 0);
	assert_false(dma_need_sync(dev, at));
	dma_unmap_single(dev, at, PAGE_SIZE, DMA_TO_DEVICE);
	dev->untrusted = false;
	ram_free_pages(dbl.m, phys, 1);
	assert_int_equal(nr_said, 0);
}

static void api_reserved_and_windows_are_never_given_out(void **state)
{
	struct iommu_domain *domain;
	struct dma_cookie *cookie = dma_cookie_of(dev, &domain);
	struct pci_hw_bus *root;

	assert_non_null(cookie);
	assert_non_null(find_iova(&cookie->iovad, MSI_WINDOW_BASE >> PAGE_SHIFT));
	list_for_each_entry(root, &dbl.m->pci->hardware->roots, node) {
		if (root->number > pdev->bus->number || root->last < pdev->bus->number)
			continue;
		assert_non_null(find_iova(&cookie->iovad, root->mem_base >> PAGE_SHIFT));
		assert_non_null(find_iova(&cookie->iovad, root->mem_last >> PAGE_SHIFT));
	}
}

static void api_full_low_addresses_go_high(void **state)
{
	struct iommu_domain *domain;
	struct dma_cookie *cookie = dma_cookie_of(dev, &domain);
	phys_addr_t phys;
	u8 *mem = page(0, &phys);
	dma_addr_t at;

	assert_non_null(reserve_iova(&cookie->iovad, 1, 0xfffff));
	at = dma_map_single(dev, mem, 16, DMA_TO_DEVICE);
	assert_int_equal(dma_mapping_error(dev, at), 0);
	assert_true(at >= 1ULL << 32);
	assert_false(dev->iommu->pci_32bit_workaround);
	dma_unmap_single(dev, at, 16, DMA_TO_DEVICE);
	dev->dma_mask = DMA_BIT_MASK(32);
	assert_true(dma_map_single(dev, mem, 16, DMA_TO_DEVICE) == DMA_MAPPING_ERROR);
	ram_free_pages(dbl.m, phys, 0);
}

static void api_bad_arguments_are_refused(void **state)
{
	phys_addr_t phys;
	u8 *mem = page(0, &phys);
	int on_stack;

	assert_true(dma_map_single(dev, mem, 0, DMA_TO_DEVICE) == DMA_MAPPING_ERROR);
	assert_true(dma_map_single(dev, mem, 1, DMA_NONE) == DMA_MAPPING_ERROR);
	assert_true(dma_map_phys(dev, ~0ULL, 2, DMA_TO_DEVICE, 0) == DMA_MAPPING_ERROR);
	assert_true(dma_map_phys(dev, phys, ~0ULL, DMA_TO_DEVICE, 0) ==
		    DMA_MAPPING_ERROR);
	assert_true(dma_map_resource(dev, phys, 16, DMA_TO_DEVICE, 0) ==
		    DMA_MAPPING_ERROR);
	assert_null(dma_alloc_coherent(dev, 0, &(dma_addr_t){0}));
	assert_null(dma_alloc_coherent(dev, ~0ULL, &(dma_addr_t){0}));
	assert_int_equal(dma_set_mask(dev, 0), -EIO);
	assert_true(dma_map_single(dev, &on_stack, 4, DMA_TO_DEVICE) ==
		    DMA_MAPPING_ERROR);
	assert_said("no RAM of the machine");
	ram_free_pages(dbl.m, phys, 0);
}

static void debug_each_misuse_is_told(void **state)
{
	phys_addr_t phys;
	u8 *mem = page(0, &phys);
	dma_addr_t at, other;

	at = dma_map_single(dev, mem, 64, DMA_TO_DEVICE);
	dma_unmap_single(dev, at, 32, DMA_TO_DEVICE);
	assert_said("with different size");
	assert_said("failed to check map error");
	dma_unmap_single(dev, at, 64, DMA_TO_DEVICE);
	assert_said("it has not allocated");
	at = dma_map_single(dev, mem, 64, DMA_FROM_DEVICE);
	assert_int_equal(dma_mapping_error(dev, at), 0);
	dma_sync_single_for_cpu(dev, at + 32, 64, DMA_FROM_DEVICE);
	assert_said("outside allocated range");
	dma_sync_single_for_cpu(dev, at, 64, DMA_TO_DEVICE);
	assert_said("syncs DMA memory with different direction");
	other = dma_map_single(dev, mem + 32, 64, DMA_FROM_DEVICE);
	assert_int_equal(dma_mapping_error(dev, other), 0);
	assert_said("cacheline tracking EEXIST");
	dma_unmap_single(dev, other, 64, DMA_FROM_DEVICE);
	dma_unmap_single(dev, at, 64, DMA_BIDIRECTIONAL);
	assert_said("frees DMA memory with different direction");
	mem = dma_alloc_coherent(dev, 64, &at);
	dma_unmap_single(dev, at, 64, DMA_BIDIRECTIONAL);
	assert_said("with wrong function");
	ram_free_pages(dbl.m, (phys_addr_t)(mem - dbl.m->hw.ram), 0);
	ram_free_pages(dbl.m, phys, 0);
}

static void lazy_unmap_is_reached_until_flushed(void **state)
{
	phys_addr_t phys;
	u8 *mem = page(0, &phys), buf[4];
	struct iommu_domain *domain;
	struct dma_cookie *cookie;
	dma_addr_t at = dma_map_single(dev, mem, 64, DMA_TO_DEVICE);

	assert_int_equal(dma_mapping_error(dev, at), 0);
	cookie = dma_cookie_of(dev, &domain);
	assert_int_equal(domain->type, IOMMU_DOMAIN_DMA_FQ);
	assert_non_null(cookie->fq);
	assert_int_equal(dev_read(at, buf, 4), 0);
	/* Far more than the ring holds: it flushes by itself. */
	for (int i = 0; i < 1000; i++) {
		dma_addr_t a = dma_map_single(dev, mem, 64, DMA_TO_DEVICE);

		assert_int_equal(dma_mapping_error(dev, a), 0);
		assert_true(a != at);
		dma_unmap_single(dev, a, 64, DMA_TO_DEVICE);
	}
	dma_unmap_single(dev, at, 64, DMA_TO_DEVICE);
	for (int i = 0; i < 600; i++) {
		dma_addr_t a = dma_map_single(dev, mem, 64, DMA_TO_DEVICE);

		assert_int_equal(dma_mapping_error(dev, a), 0);
		dma_unmap_single(dev, a, 64, DMA_TO_DEVICE);
	}
	assert_int_equal(nr_said, 0);
	ram_free_pages(dbl.m, phys, 0);
}

/* Threads map, read through the device and unmap, while rings fill and timers run. */
static void *lazy_worker(void *arg)
{
	struct rnd *r = arg;
	phys_addr_t phys;
	u8 *mem = page(2, &phys);

	for (int i = 0; i < 1500; i++) {
		u64 offset = rnd_below(r, 8000), size = 1 + rnd_below(r, 8000);
		u8 mark = (u8)i, got = 0;
		dma_addr_t at;

		mem[offset] = mark;
		at = dma_map_single(dev, mem + offset, size, DMA_TO_DEVICE);
		if (at == DMA_MAPPING_ERROR)
			return (void *)1;
		dma_mapping_error(dev, at);
		if (dev_read(at, &got, 1) || got != mark)
			return (void *)2;
		dma_unmap_single(dev, at, size, DMA_TO_DEVICE);
	}
	ram_free_pages(dbl.m, phys, 2);
	return NULL;
}

static void lazy_threads_never_share_an_address(void **state)
{
	struct rnd rnd[4];
	pthread_t thread[4];
	void *ret;

	for (int i = 0; i < 4; i++) {
		rnd_seed(&rnd[i], (u64)i + 1);
		assert_int_equal(pthread_create(&thread[i], NULL, lazy_worker, &rnd[i]),
				 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], &ret);
		assert_null(ret);
	}
	assert_int_equal(nr_said, 0);
}

static void direct_addresses_are_physical(void **state)
{
	phys_addr_t phys;
	u8 *mem = page(0, &phys), buf[4];
	dma_addr_t at = dma_map_single(dev, mem + 8, 4, DMA_TO_DEVICE);

	assert_int_equal(at, phys + 8);
	assert_int_equal(dma_mapping_error(dev, at), 0);
	memcpy(mem + 8, "abcd", 4);
	assert_int_equal(dev_read(at, buf, 4), 0);
	assert_memory_equal(buf, "abcd", 4);
	dma_unmap_single(dev, at, 4, DMA_TO_DEVICE);
	assert_int_equal(dma_set_mask(dev, DMA_BIT_MASK(20)), -EIO);
	assert_int_equal(dma_set_mask(dev, DMA_BIT_MASK(24)), 0);
	dev->bus_dma_limit = 1; /* nothing can be reached, by a copy neither */
	assert_true(dma_map_single(dev, mem, 4, DMA_TO_DEVICE) == DMA_MAPPING_ERROR);
	dev->bus_dma_limit = 0;
	ram_free_pages(dbl.m, phys, 0);
	assert_int_equal(nr_said, 0);
}

static void direct_out_of_reach_is_bounced(void **state)
{
	phys_addr_t phys, first = 0;
	u8 *mem, got[4];
	dma_addr_t at;

	mem = page(0, &phys);
	/* Any page above one where a copy can lie. */
	assert_int_equal(swiotlb_map(dbl.m->dma, phys, 16, ~0ULL, &first), 0);
	swiotlb_unmap(dbl.m->dma, first, DMA_NONE, 0);
	if (first > phys) {
		ram_free_pages(dbl.m, phys, 0);
		for (int i = 0; i < 300000 && phys < first + SZ_1M; i++)
			mem = page(0, &phys);
	}
	if (phys < first + SZ_1M)
		skip();
	dev->dma_mask = (first & ~(SWIOTLB_MAX_SIZE - 1)) + SWIOTLB_MAX_SIZE - 1;
	memcpy(mem, "wxyz", 4);
	at = dma_map_single(dev, mem, 4, DMA_BIDIRECTIONAL);
	assert_int_equal(dma_mapping_error(dev, at), 0);
	assert_true(at <= dev->dma_mask);
	assert_int_equal(dev_read(at, got, 4), 0);
	assert_memory_equal(got, "wxyz", 4);
	assert_int_equal(dev_write(at, "WXYZ", 4), 0);
	dma_unmap_single(dev, at, 4, DMA_BIDIRECTIONAL);
	assert_memory_equal(mem, "WXYZ", 4);
}

static void arm_mapping_is_the_devices_own(void **state)
{
	struct dma_iommu_mapping *mapping;
	phys_addr_t phys;
	u8 *mem = page(0, &phys), buf[4];
	dma_addr_t at, second;

	assert_int_equal(PTR_ERR(arm_iommu_create_mapping(dev, 0, 1ULL << 33)), -ERANGE);
	assert_int_equal(PTR_ERR(arm_iommu_create_mapping(dev, 0, 0)), -EINVAL);
	mapping = arm_iommu_create_mapping(dev, 0x80000000, 2 * PAGE_SIZE);
	assert_false(IS_ERR(mapping));
	assert_int_equal(arm_iommu_attach_device(dev, mapping), 0);
	memcpy(mem, "legs", 4);
	at = dma_map_single(dev, mem, 4, DMA_TO_DEVICE);
	assert_int_equal(at, 0x80000000);
	assert_int_equal(dma_mapping_error(dev, at), 0);
	second = dma_map_single(dev, mem, 4, DMA_TO_DEVICE);
	assert_int_equal(second, 0x80001000);
	assert_int_equal(dma_mapping_error(dev, second), 0);
	assert_true(dma_map_single(dev, mem, 4, DMA_TO_DEVICE) == DMA_MAPPING_ERROR);
	assert_int_equal(dev_read(at, buf, 4), 0);
	assert_memory_equal(buf, "legs", 4);
	dma_unmap_single(dev, at, 4, DMA_TO_DEVICE);
	assert_int_equal(dev_read(at, buf, 4), -EFAULT);
	dma_unmap_single(dev, second, 4, DMA_TO_DEVICE);
	arm_iommu_detach_device(dev);
	arm_iommu_release_mapping(mapping);
	ram_free_pages(dbl.m, phys, 0);
	assert_int_equal(nr_said, 0);
}

static void msi_page_is_mapped_once(void **state)
{
	struct iommu_domain *domain = iommu_paging_domain_alloc(dev);
	dma_addr_t a, b;

	assert_false(IS_ERR(domain));
	assert_int_equal(iommu_get_msi_cookie(domain, 0x8000000), 0);
	assert_int_equal(iommu_get_msi_cookie(domain, 0x8000000), -EBUSY);
	assert_int_equal(iommu_dma_sw_msi(domain, dev, 0x12340040, &a), 0);
	assert_int_equal(a, 0x8000040);
	assert_int_equal(iommu_dma_sw_msi(domain, dev, 0x12340080, &b), 0);
	assert_int_equal(b, 0x8000080);
	assert_int_equal(iommu_iova_to_phys(domain, a), 0x12340040);
	iommu_domain_free(domain);
	domain = iommu_get_dma_domain(dev);
	/* The hardware's own window is itself. */
	assert_int_equal(iommu_dma_sw_msi(domain, dev, 0xfee00000, &a), 0);
	assert_int_equal(a, 0xfee00000);
}

/* --- against a model -----------------------------------------------------------------
 */

#define NR_PAGES 64
#define NR_MAPS	 48

static void model_random_operations_agree(void **state)
{
	struct {
		u64 offset, size;
		dma_addr_t at;
		enum dma_data_direction dir;
	} maps[NR_MAPS] = {0};
	struct rnd r;
	phys_addr_t phys;
	u8 *mem = page(6, &phys);
	u8 buf[256];

	rnd_seed(&r, 42);
	for (u64 i = 0; i < NR_PAGES * PAGE_SIZE; i++)
		mem[i] = (u8)(i * 31 + (i >> 8));
	for (int step = 0; step < 20000; step++) {
		unsigned i = (unsigned)rnd_below(&r, NR_MAPS);

		if (!maps[i].size) {
			maps[i].offset = rnd_below(&r, (NR_PAGES - 8) * PAGE_SIZE);
			maps[i].size = 1 + rnd_below(&r, 8 * PAGE_SIZE - 1);
			/* Written ones would overlap each other. */
			maps[i].dir = DMA_TO_DEVICE;
			dev->untrusted = rnd_below(&r, 4) == 0;
			maps[i].at = dma_map_single(dev, mem + maps[i].offset,
						    maps[i].size, maps[i].dir);
			assert_int_equal(dma_mapping_error(dev, maps[i].at), 0);
			for (unsigned o = 0; o < NR_MAPS; o++)
				assert_true(o == i || !maps[o].size ||
					    maps[o].at / PAGE_SIZE >
						    (maps[i].at + maps[i].size - 1) /
							    PAGE_SIZE ||
					    maps[i].at / PAGE_SIZE >
						    (maps[o].at + maps[o].size - 1) /
							    PAGE_SIZE);
		} else if (rnd_below(&r, 3)) {
			u64 from = rnd_below(&r, maps[i].size);
			u64 n = min(maps[i].size - from, sizeof(buf));

			assert_int_equal(dev_read(maps[i].at + from, buf, n), 0);
			assert_memory_equal(buf, mem + maps[i].offset + from, n);
			assert_int_equal(dev_write(maps[i].at + from, buf, 1), -EFAULT);
		} else {
			dev->untrusted = true; /* it may have been bounced */
			dma_unmap_single(dev, maps[i].at, maps[i].size, maps[i].dir);
			assert_int_equal(dev_read(maps[i].at, buf, 1), -EFAULT);
			maps[i].size = 0;
		}
	}
	dev->untrusted = true;
	for (unsigned i = 0; i < NR_MAPS; i++) {
		if (maps[i].size)
			dma_unmap_single(dev, maps[i].at, maps[i].size, maps[i].dir);
	}
	dev->untrusted = false;
	assert_int_equal(nr_said, 0);
	ram_free_pages(dbl.m, phys, 6);
}

static void fail_each_allocation_leaves_nothing(void **state)
{
	phys_addr_t phys;
	u8 *mem = page(1, &phys);
	s64 live = 0;

	for (u64 nth = 1; nth < 1000; nth++) {
		struct scatterlist sg[3];
		struct sg_table *sgt;
		dma_addr_t at, co;
		bool hit;
		void *p;

		/* From an unused domain on: what the first mapping makes fails, too. */
		if (nth > 1)
			assert_int_equal(setup_lazy(NULL), 0);
		mem = page(1, &phys);
		sg_init_table(sg, 3);
		for (int i = 0; i < 3; i++)
			sg_set_phys(&sg[i], phys + (u64)i * 100, 100);
		fault_inject_arm(nth);
		at = dma_map_single(dev, mem, 100, DMA_TO_DEVICE);
		if (at != DMA_MAPPING_ERROR) {
			dma_mapping_error(dev, at);
			dma_unmap_single(dev, at, 100, DMA_TO_DEVICE);
		}
		dev->untrusted = true;
		at = dma_map_single(dev, mem + 4000, 100, DMA_BIDIRECTIONAL);
		if (at != DMA_MAPPING_ERROR) {
			dma_mapping_error(dev, at);
			dma_unmap_single(dev, at, 100, DMA_BIDIRECTIONAL);
		}
		dev->untrusted = false;
		if (dma_map_sg(dev, sg, 3, DMA_TO_DEVICE))
			dma_unmap_sg(dev, sg, 3, DMA_TO_DEVICE);
		p = dma_alloc_coherent(dev, 5000, &co);
		if (p)
			dma_free_coherent(dev, 5000, p, co);
		sgt = dma_alloc_noncontiguous(dev, SZ_1M, DMA_TO_DEVICE, 0);
		if (sgt)
			dma_free_noncontiguous(dev, SZ_1M, sgt, DMA_TO_DEVICE);
		hit = fault_inject_disarm();
		/* And it works when there is memory. */
		at = dma_map_single(dev, mem, 100, DMA_TO_DEVICE);
		assert_int_equal(dma_mapping_error(dev, at), 0);
		dma_unmap_single(dev, at, 100, DMA_TO_DEVICE);
		teardown(NULL);
		if (live)
			assert_int_equal(alloc_live_count(), live);
		live = alloc_live_count();
		if (!hit) {
			assert_true(nth > 20);
			assert_int_equal(setup_lazy(NULL), 0);
			return;
		}
	}
	fail_msg("no end of allocations");
}

#define STRICT(t) cmocka_unit_test_setup_teardown(t, setup_strict, teardown)
#define LAZY(t)	  cmocka_unit_test_setup_teardown(t, setup_lazy, teardown)
#define DIRECT(t) cmocka_unit_test_setup_teardown(t, setup_passthrough, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STRICT(api_map_device_reaches_it_until_unmap),
		STRICT(api_coherent_is_zeroed_and_shared),
		STRICT(api_noncontiguous_is_one_range),
		STRICT(api_sg_merges_within_the_limits),
		STRICT(api_untrusted_never_shows_neighbouring_bytes),
		STRICT(api_reserved_and_windows_are_never_given_out),
		STRICT(api_full_low_addresses_go_high),
		STRICT(api_bad_arguments_are_refused),
		STRICT(debug_each_misuse_is_told),
		LAZY(lazy_unmap_is_reached_until_flushed),
		LAZY(lazy_threads_never_share_an_address),
		DIRECT(direct_addresses_are_physical),
		DIRECT(direct_out_of_reach_is_bounced),
		STRICT(arm_mapping_is_the_devices_own),
		STRICT(msi_page_is_mapped_once),
		STRICT(model_random_operations_agree),
		LAZY(fail_each_allocation_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
