// SPDX-License-Identifier: MIT
/*
 * Mapping: the sizes that the core picks against a greedy reference, random maps and
 * unmaps against a flat array, exact unwinding, and what the gather hands to the IOTLB.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/bitmap.h"
#include "base/rand.h"
#include "iommu/trace.h"
#include "tests/unit/iommu/mock_iommu.h"

static struct mock_machine mm;
static struct mock_iommu mock;
static struct mock_dev *dev;
static struct iommu_domain *domain;
static struct mock_domain *d;

static int setup(void **state)
{
	memset(&mock, 0, sizeof(mock));
	assert_int_equal(mock_machine_create(&mm, ""), 0);
	assert_int_equal(mock_iommu_register(&mm, &mock, MOCK_FULL), 0);
	dev = mock_dev_alloc(&mm, "a");
	dev->behind = &mock;
	assert_int_equal(device_add(&dev->dev), 0);
	domain = iommu_paging_domain_alloc(&dev->dev);
	assert_false(IS_ERR(domain));
	d = to_mock_domain(domain);
	return 0;
}

static int teardown(void **state)
{
	iommu_domain_free(domain);
	mock_dev_remove(dev);
	iommu_device_unregister(&mock.iommu);
	mock_machine_destroy(&mm);
	return 0;
}

#define RW (IOMMU_READ | IOMMU_WRITE)

static void map_bad_arguments(void **state)
{
	struct iommu_domain_ops none = {0};
	struct iommu_domain empty = {.type = IOMMU_DOMAIN_UNMANAGED, .ops = &none};

	assert_int_equal(iommu_map(domain, 0x800, 0x1000, 0x1000, RW), -EINVAL);
	assert_int_equal(iommu_map(domain, 0x1000, 0x1800, 0x1000, RW), -EINVAL);
	assert_int_equal(iommu_map(domain, 0x1000, 0x1000, 0x1800, RW), -EINVAL);
	assert_int_equal(iommu_map(domain, -0x1000ULL, 0x1000, 0x2000, RW), -EOVERFLOW);
	assert_int_equal(iommu_map(domain, 0x1000, -0x1000ULL, 0x2000, RW), -EOVERFLOW);
	assert_int_equal(iommu_map(domain, 0x1000, 0x1000, 0, RW), 0);
	assert_int_equal(iommu_map(&mock_identity_domain, 0x1000, 0x1000, 0x1000, RW),
			 -EINVAL);
	assert_int_equal(iommu_map(&empty, 0x1000, 0x1000, 0x1000, RW), -ENODEV);
	assert_int_equal(d->nr_map, 0);
	assert_int_equal(iommu_unmap(domain, 0x800, 0x1000), 0);
	assert_int_equal(iommu_unmap(domain, 0x1000, 0x800), 0);
	assert_int_equal(iommu_unmap(domain, 0x1000, 0), 0);
	assert_int_equal(iommu_unmap(&mock_blocked_domain, 0x1000, 0x1000), 0);
	assert_int_equal(iommu_iova_to_phys(&mock_identity_domain, 0x1234), 0x1234);
	assert_int_equal(iommu_iova_to_phys(&mock_blocked_domain, 0x1234), 0);
}

/* The largest page that fits, at each step. */
static u64 greedy(iova_t iova, phys_addr_t paddr, u64 left)
{
	static const u64 sizes[] = {SZ_64K, 4 * SZ_4K, SZ_4K};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
		if (IS_ALIGNED(iova | paddr, sizes[i]) && sizes[i] <= left)
			return sizes[i];
	return 0;
}

static void map_picks_largest_pages(void **state)
{
	struct rnd r;

	rnd_seed(&r, 1);
	for (int n = 0; n < 20000; n++) {
		u64 size = rnd_range(&r, 1, 64) * SZ_4K;
		iova_t iova = rnd_below(&r, MOCK_APERTURE_PAGES - 64) * SZ_4K;
		phys_addr_t paddr = rnd_range(&r, 1, 1 << 20) * SZ_4K;
		u64 off;

		if (rnd_one_in(&r, 2)) /* congruent, so that large pages are possible */
			paddr = ALIGN_DOWN(paddr, SZ_64K) | (iova & (SZ_64K - 1));
		if (!paddr)
			paddr = SZ_64K;
		assert_int_equal(iommu_map(domain, iova, paddr, size, RW), 0);
		for (off = 0; off < size;) {
			u64 want = greedy(iova + off, paddr + off, size - off);
			u64 entry = d->pages[(iova + off) / SZ_4K];

			assert_int_equal(1ULL << (entry & 63), want);
			off += want;
		}
		assert_int_equal(iommu_unmap(domain, iova, size), size);
	}
	for (int i = 0; i < MOCK_APERTURE_PAGES; i++)
		assert_int_equal(d->pages[i], 0);
}

static void random_maps_agree_with_array(void **state)
{
	static u64 ref[MOCK_APERTURE_PAGES];
	struct rnd r;

	memset(ref, 0, sizeof(ref));
	rnd_seed(&r, 2);
	for (int n = 0; n < 50000; n++) {
		u64 pages = rnd_range(&r, 1, 40), i;
		u64 first = rnd_below(&r, MOCK_APERTURE_PAGES);
		iova_t iova = first * SZ_4K;

		if (rnd_one_in(&r, 2)) {
			/* Pages of 4 KiB only, so that any part can be unmapped. */
			phys_addr_t paddr =
				(rnd_range(&r, 1, 1 << 20) * 4 + ((first + 1) & 3)) *
				SZ_4K;
			bool fits = first + pages <= MOCK_APERTURE_PAGES;
			int ret;

			for (i = 0; fits && i < pages; i++)
				fits = !ref[first + i];
			ret = iommu_map(domain, iova, paddr, pages * SZ_4K, RW);
			assert_int_equal(!ret, fits);
			for (i = 0; fits && i < pages; i++)
				ref[first + i] = paddr + i * SZ_4K;
		} else {
			u64 expect = 0;

			while (expect < pages && first + expect < MOCK_APERTURE_PAGES &&
			       ref[first + expect])
				ref[first + expect++] = 0;
			assert_int_equal(iommu_unmap(domain, iova, pages * SZ_4K),
					 expect * SZ_4K);
		}
		if (n % 64)
			continue;
		for (i = 0; i < MOCK_APERTURE_PAGES; i++)
			assert_int_equal(iommu_iova_to_phys(domain, i * SZ_4K), ref[i]);
	}
	iommu_unmap(domain, 0, MOCK_APERTURE);
	for (u64 i = 0; i < MOCK_APERTURE_PAGES; i++)
		iommu_unmap(domain, i * SZ_4K, SZ_4K);
}

static void map_failing_midway_unmaps(void **state)
{
	/* The last page is taken: 1 x 16K and 3 x 4K would have fitted. */
	assert_int_equal(iommu_map(domain, 0x7000, 0x107000, 0x1000, RW), 0);
	assert_int_equal(iommu_map(domain, 0x0, 0x100000, 0x8000, RW), -EADDRINUSE);
	for (iova_t iova = 0; iova < 0x7000; iova += SZ_4K)
		assert_int_equal(iommu_iova_to_phys(domain, iova), 0);
	assert_int_equal(iommu_iova_to_phys(domain, 0x7abc), 0x107abc);
	assert_int_equal(iommu_unmap(domain, 0x7000, 0x1000), 0x1000);
	/* and at the end of the aperture */
	assert_int_equal(iommu_map(domain, MOCK_APERTURE - SZ_4K, 0x101000, 2 * SZ_4K,
				   RW),
			 -ERANGE);
	assert_int_equal(iommu_iova_to_phys(domain, MOCK_APERTURE - SZ_4K), 0);
}

static void unmap_within_large_page_takes_all_of_it(void **state)
{
	assert_int_equal(iommu_map(domain, 0x10000, 0x110000, SZ_64K, RW), 0);
	assert_int_equal(iommu_unmap(domain, 0x10000, SZ_4K), SZ_64K);
	assert_int_equal(iommu_iova_to_phys(domain, 0x1f000), 0);
}

static void unmap_gathers_one_sync(void **state)
{
	unsigned before;

	assert_int_equal(iommu_map(domain, 0x1000, 0x101000, 0x1000, RW), 0);
	assert_int_equal(iommu_map(domain, 0x2000, 0x103000, 0x1000, RW), 0);
	assert_int_equal(iommu_map(domain, 0x3000, 0x105000, 0x1000, RW), 0);
	assert_int_equal(d->nr_sync_map, 3);
	before = d->nr_sync;
	assert_int_equal(iommu_unmap(domain, 0x1000, 0x3000), 0x3000);
	assert_int_equal(d->nr_sync, before + 1);
	assert_int_equal(d->synced_start, 0x1000);
	assert_int_equal(d->synced_end, 0x3fff);
}

static void gather_page_size_change_syncs(void **state)
{
	struct iommu_iotlb_gather g;
	unsigned before = d->nr_sync;

	iommu_iotlb_gather_init(&g);
	iommu_iotlb_sync(domain, &g); /* empty */
	assert_int_equal(d->nr_sync, before);
	iommu_iotlb_gather_add_page(domain, &g, 0x4000, SZ_4K);
	iommu_iotlb_gather_add_page(domain, &g, 0x5000, SZ_4K);
	iommu_iotlb_gather_add_page(domain, &g, 0x3000, SZ_4K);
	assert_int_equal(d->nr_sync, before);
	iommu_iotlb_gather_add_page(domain, &g, 0x10000, SZ_64K);
	assert_int_equal(d->nr_sync, before + 1);
	assert_int_equal(d->synced_start, 0x3000);
	assert_int_equal(d->synced_end, 0x5fff);
	iommu_iotlb_gather_add_page(domain, &g, 0x30000, SZ_64K); /* a gap */
	assert_int_equal(d->nr_sync, before + 2);
	/* the ends of the address space */
	iommu_iotlb_gather_init(&g);
	iommu_iotlb_gather_add_range(&g, -0x1000ULL, 0x1000);
	assert_false(iommu_iotlb_gather_is_disjoint(&g, -0x2000ULL, 0x1000));
	assert_true(iommu_iotlb_gather_is_disjoint(&g, 0, 0x1000));
	iommu_iotlb_gather_init(&g);
	iommu_iotlb_gather_add_range(&g, 0, 0x1000);
	assert_false(iommu_iotlb_gather_is_disjoint(&g, 0x1000, 0x1000));
	assert_true(iommu_iotlb_gather_is_disjoint(&g, -0x1000ULL, 0x1000));
}

/* A page-table code that takes whole ranges, and fails after the first page. */
static u64 range_calls, range_unmapped;
static int range_map(struct iommu_domain *dom, iova_t iova, phys_addr_t paddr, u64 size,
		     int prot, u64 *mapped)
{
	range_calls++;
	if (size > SZ_64K) {
		*mapped = SZ_4K;
		return -ENOMEM;
	}
	*mapped = size;
	return 0;
}

static u64 range_unmap(struct iommu_domain *dom, iova_t iova, u64 size,
		       struct iommu_iotlb_gather *gather)
{
	range_unmapped += size;
	return size;
}

static int range_sync_map(struct iommu_domain *dom, iova_t iova, u64 size)
{
	return iova == 0x5000 ? -EIO : 0;
}

static void range_ops_get_whole_ranges(void **state)
{
	static const struct iommu_domain_ops ops = {
		.map_range = range_map,
		.unmap_range = range_unmap,
		.iotlb_sync_map = range_sync_map,
	};
	struct iommu_domain dom = {.type = IOMMU_DOMAIN_UNMANAGED, .ops = &ops};

	assert_int_equal(iommu_map(&dom, 0x1000, 0x3000, SZ_64K, RW), 0);
	assert_int_equal(range_calls, 1);
	assert_int_equal(iommu_unmap(&dom, 0x1000, SZ_64K), SZ_64K);
	range_unmapped = 0;
	assert_int_equal(iommu_map(&dom, 0x1000, 0x3000, SZ_1M, RW), -ENOMEM);
	assert_int_equal(range_unmapped, SZ_4K);
	assert_int_equal(iommu_map(&dom, 0x5000, 0x3000, SZ_4K, RW), -EIO);
	assert_int_equal(range_unmapped, 2 * SZ_4K);
}

static u64 traced_maps, traced_unmaps, traced_faults;
static void on_map(struct iommu_listener *l, struct iommu_domain *dom, u64 iova,
		   u64 paddr, u64 size, int prot)
{
	traced_maps += size;
}

static void on_unmap(struct iommu_listener *l, struct iommu_domain *dom, u64 iova,
		     u64 size, u64 unmapped)
{
	traced_unmaps += unmapped;
}

static void on_fault(struct iommu_listener *l, struct device *fdev, u64 iova, int flags)
{
	traced_faults++;
}

static int fault_handler(struct iommu_domain *dom, struct device *fdev, iova_t iova,
			 int flags, void *token)
{
	return token == &mock && iova == 0x1234 && flags == IOMMU_FAULT_WRITE ? 5 : 6;
}

static void listener_hears_maps_and_faults(void **state)
{
	struct iommu_listener l = {
		.map = on_map, .unmap = on_unmap, .io_page_fault = on_fault};

	iommu_listener_register(&l);
	assert_int_equal(iommu_map(domain, 0x1000, 0x1000, 0x3000, RW), 0);
	assert_int_equal(iommu_map(domain, 0x1000, 0x1000, 0x3000, RW), -EADDRINUSE);
	assert_int_equal(iommu_unmap(domain, 0x1000, 0x3000), 0x3000);
	assert_int_equal(report_iommu_fault(domain, &dev->dev, 0x1234, 1), -ENOSYS);
	iommu_set_fault_handler(domain, fault_handler, &mock);
	assert_int_equal(report_iommu_fault(domain, &dev->dev, 0x1234, 1), 5);
	iommu_listener_unregister(&l);
	assert_int_equal(traced_maps, 0x3000);
	assert_int_equal(traced_unmaps, 0x3000);
	assert_int_equal(traced_faults, 2);
}

int main(void)
{
#define t(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		t(map_bad_arguments),
		t(map_picks_largest_pages),
		t(random_maps_agree_with_array),
		t(map_failing_midway_unmaps),
		t(unmap_within_large_page_takes_all_of_it),
		t(unmap_gathers_one_sync),
		t(gather_page_size_change_syncs),
		t(range_ops_get_whole_ranges),
		t(listener_hears_maps_and_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
