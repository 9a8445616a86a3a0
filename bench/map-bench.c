// SPDX-License-Identifier: MIT
/*
 * Map and unmap through the IOMMU core and the VT-d driver of the default machine, for
 * each page size, in a domain without devices (tables only) and in one that a device is
 * attached to (unmap invalidates, through the unit's queue). The reference is memset of
 * as many table entries as the operation writes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "iommu/iommu.h"
#include "machine/machine.h"
#include "server/start.h"

/* Many and short, so that some are not interrupted. */
#define ROUNDS 40
#define PROT   (IOMMU_READ | IOMMU_WRITE | IOMMU_CACHE)

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void die(const char *what, long ret)
{
	fprintf(stderr, "map-bench: %s: %ld\n", what, ret);
	exit(1);
}

struct result {
	double map, unmap;
};

static void once(struct iommu_domain *domain, iova_t iova, phys_addr_t phys, u64 size)
{
	int ret = iommu_map(domain, iova, phys, size, PROT);
	u64 done;

	if (ret)
		die("iommu_map", ret);
	done = iommu_unmap(domain, iova, size);
	if (done != size)
		die("iommu_unmap", done);
}

/* ns of a map and of an unmap, the least disturbed of several rounds. */
static struct result measure(struct iommu_domain *domain, u64 size, unsigned n)
{
	struct result best = {1e18, 1e18};
	const iova_t iova = SZ_1G * 64;
	const phys_addr_t phys = SZ_1G * 256;
	const u64 step = max(size, (u64)SZ_4K) * 2;
	double start, middle, end;
	unsigned round, i;
	int ret;

	/* Neighbours stay mapped, so that tables are not built and torn down each time.
	 */
	ret = iommu_map(domain, iova - SZ_4K, phys - SZ_4K, SZ_4K, PROT);
	if (ret)
		die("iommu_map", ret);
	once(domain, iova, phys, size);
	for (round = 0; round < ROUNDS; round++) {
		start = now_ns();
		for (i = 0; i < n; i++) {
			ret = iommu_map(domain, iova + i * step, phys + i * step, size,
					PROT);
			if (ret)
				die("iommu_map", ret);
		}
		middle = now_ns();
		for (i = 0; i < n; i++) {
			if (iommu_unmap(domain, iova + i * step, size) != size)
				die("iommu_unmap", 0);
		}
		end = now_ns();
		best.map = min(best.map, (middle - start) / n);
		best.unmap = min(best.unmap, (end - middle) / n);
	}
	iommu_unmap(domain, iova - SZ_4K, SZ_4K);
	return best;
}

/* Map and unmap of one address again and again, beside a mapping that stays. */
static double measure_pair(struct iommu_domain *domain, u64 size, unsigned n)
{
	const iova_t iova = SZ_1G * 64;
	const phys_addr_t phys = SZ_1G * 256;
	double best = 1e18, start;
	unsigned round, i;
	int ret = iommu_map(domain, iova + size, phys, SZ_4K, PROT);

	if (ret)
		die("iommu_map", ret);
	for (round = 0; round < ROUNDS; round++) {
		start = now_ns();
		for (i = 0; i < n; i++)
			once(domain, iova, phys, size);
		best = min(best, (now_ns() - start) / n);
	}
	iommu_unmap(domain, iova + size, SZ_4K);
	return best;
}

/* What writing the entries alone costs: 8 bytes each, set and cleared. */
static double reference(u64 entries)
{
	static u64 table[512];
	double best = 1e18, start;
	unsigned round, i;

	for (round = 0; round < ROUNDS; round++) {
		start = now_ns();
		for (i = 0; i < 20000; i++) {
			memset(table, i, entries * 8);
			__asm__ volatile("" : : "r"(table) : "memory");
			memset(table, 0, entries * 8);
			__asm__ volatile("" : : "r"(table) : "memory");
		}
		best = min(best, (now_ns() - start) / 20000);
	}
	return best;
}

static const struct {
	const char *name;
	u64 size, entries;
	unsigned n;
	double aim;
} sizes[] = {
	{"4 KiB", SZ_4K, 1, 5000, 120}, {"256 x 4 KiB", 256 * SZ_4K, 256, 500, 0},
	{"2 MiB", SZ_2M, 1, 2000, 0},	{"256 x 2 MiB", 256 * SZ_2M, 256, 30, 0},
	{"1 GiB", SZ_1G, 1, 20, 0},
};

static void bench(struct iommu_domain *domain, const char *kind)
{
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct result r = measure(domain, sizes[i].size, sizes[i].n);
		double pair = measure_pair(domain, sizes[i].size, sizes[i].n);
		double ref = reference(sizes[i].entries);

		printf("%-9s %-12s map %9.1f ns  unmap %9.1f ns  pair %9.1f ns   entries "
		       "alone "
		       "%8.1f ns   ratio %6.1f",
		       kind, sizes[i].name, r.map, r.unmap, pair, ref, pair / ref);
		if (sizes[i].aim)
			printf("  (aim: pair under %.0f ns)", sizes[i].aim);
		printf("\n");
	}
}

int main(void)
{
	struct start_config config = {0};
	struct iommu_domain *domain;
	struct iommu_group *group;
	struct device *dev;
	struct start s;
	char *error = NULL;
	struct bus *bus;
	int ret = machine_start(&config, &s, &error);

	if (ret) {
		fprintf(stderr, "%s", error ? error : "map-bench: no machine\n");
		return 1;
	}
	bus = bus_find(s.machine, "pci");
	dev = NULL;
	if (bus) {
		struct device *pos;

		list_for_each_entry(pos, &bus->devices, bus_node) {
			if (pos->driver && pos->driver->driver_managed_dma &&
			    dev_has_iommu(pos) && !strcmp(pos->driver->name, "vfio-pci"))
				dev = pos;
		}
	}
	if (!dev)
		die("no device behind an IOMMU", 0);
	domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(domain))
		die("iommu_paging_domain_alloc", PTR_ERR(domain));
	bench(domain, "detached");

	group = iommu_group_get(dev);
	ret = iommu_group_claim_dma_owner(group, &s);
	if (!ret)
		ret = iommu_attach_group(domain, group);
	if (ret)
		die("attach", ret);
	bench(domain, "attached");
	iommu_detach_group(domain, group);
	iommu_group_release_dma_owner(group);
	iommu_group_put(group);
	iommu_domain_free(domain);
	machine_stop(&s);
	return 0;
}
