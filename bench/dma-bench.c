// SPDX-License-Identifier: MIT
/*
 * The DMA API on the default machine through VT-d, and its allocator of addresses: alloc
 * and free from the caches, by one thread and two, from the tree and from one that holds
 * a million ranges; map and unmap of a page, strict and queued; a list of 256 pages.
 * The checker is off, as in a kernel that is built for speed.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dma/iova.h"
#include "dma/mapping.h"
#include "iommu/iommu.h"
#include "machine/dma.h"
#include "machine/machine.h"
#include "pci/pci.h"
#include "server/start.h"

/* Many and short, so that some are not interrupted. */
#define ROUNDS 40

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static __attribute__((noreturn)) void die(const char *what)
{
	fprintf(stderr, "dma-bench: %s\n", what);
	exit(1);
}

static void show(const char *what, double ns)
{
	printf("%-44s %10.1f ns\n", what, ns);
}

/* --- addresses -------------------------------------------------------------------- */

static double cached_round(struct iova_domain *iovad)
{
	const unsigned n = 20000;
	double start = now_ns();

	for (unsigned i = 0; i < n; i++) {
		u64 pfn = alloc_iova_fast(iovad, 1, (1ULL << 36) - 1, true);

		if (!pfn)
			die("alloc_iova_fast");
		free_iova_fast(iovad, pfn, 1);
	}
	return (now_ns() - start) / n;
}

static void *cached_worker(void *arg)
{
	double *best = malloc(sizeof(*best));

	*best = 1e18;
	for (int r = 0; r < ROUNDS; r++) {
		double ns = cached_round(arg);

		if (ns < *best)
			*best = ns;
	}
	return best;
}

static double tree_round(struct iova_domain *iovad)
{
	const unsigned n = 2000;
	double start = now_ns();

	for (unsigned i = 0; i < n; i++) {
		struct iova *iova = alloc_iova(iovad, 2, (1ULL << 36) - 1, true);

		if (!iova)
			die("alloc_iova");
		__free_iova(iovad, iova);
	}
	return (now_ns() - start) / n;
}

static double best_of(double (*round)(struct iova_domain *), struct iova_domain *iovad)
{
	double best = 1e18, ns;

	for (int r = 0; r < ROUNDS; r++) {
		ns = round(iovad);
		if (ns < best)
			best = ns;
	}
	return best;
}

static void bench_iova(void)
{
	static struct iova_domain iovad;
	pthread_t thread[2];
	struct iova *live;
	double *ns[2];
	void *ret;

	init_iova_domain(&iovad, SZ_4K, 1);
	if (iova_domain_init_rcaches(&iovad))
		die("rcaches");
	show("iova alloc+free, cached", *(double *)(ret = cached_worker(&iovad)));
	free(ret);
	for (int i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, cached_worker, &iovad);
	for (int i = 0; i < 2; i++) {
		pthread_join(thread[i], &ret);
		ns[i] = ret;
	}
	show("iova alloc+free, cached, each of 2 threads",
	     *ns[0] > *ns[1] ? *ns[0] : *ns[1]);
	show("iova alloc+free, tree, empty", best_of(tree_round, &iovad));
	/* Every second page of 8 GiB: a pair fits nowhere among them. */
	for (unsigned i = 0; i < 1000000; i++) {
		live = reserve_iova(&iovad, (1ULL << 36) - 1 - 2 * i,
				    (1ULL << 36) - 1 - 2 * i);
		if (!live)
			die("reserve_iova");
	}
	show("iova alloc+free, tree, 1,000,000 ranges", best_of(tree_round, &iovad));
	put_iova_domain(&iovad);
	free(ns[0]);
	free(ns[1]);
}

/* --- mappings --------------------------------------------------------------------- */

static struct device *found;

static int pick(struct device *dev, void *data)
{
	if (!dev->iommu || !dev->iommu->dma_iommu || to_pci_dev(dev)->hdr_type)
		return 0;
	found = dev;
	return 1;
}

static double map_page_round(struct device *dev, phys_addr_t phys)
{
	const unsigned n = 5000;
	double start = now_ns();

	for (unsigned i = 0; i < n; i++) {
		dma_addr_t at = dma_map_page(dev, phys, 0, PAGE_SIZE, DMA_TO_DEVICE);

		if (dma_mapping_error(dev, at))
			die("dma_map_page");
		dma_unmap_page(dev, at, PAGE_SIZE, DMA_TO_DEVICE);
	}
	return (now_ns() - start) / n;
}

static double map_sg_round(struct device *dev, phys_addr_t phys)
{
	static struct scatterlist sg[256];
	const unsigned n = 100;
	double start;

	sg_init_table(sg, 256);
	/* Backwards, so that no two lie next to each other. */
	for (unsigned i = 0; i < 256; i++)
		sg_set_phys(&sg[i], phys + (255 - i) * PAGE_SIZE, PAGE_SIZE);
	start = now_ns();
	for (unsigned i = 0; i < n; i++) {
		if (!dma_map_sg(dev, sg, 256, DMA_TO_DEVICE))
			die("dma_map_sg");
		dma_unmap_sg(dev, sg, 256, DMA_TO_DEVICE);
	}
	return (now_ns() - start) / n;
}

static double best_map(double (*round)(struct device *, phys_addr_t), struct device *dev,
		       phys_addr_t phys)
{
	double best = 1e18, ns;

	for (int r = 0; r < ROUNDS; r++) {
		ns = round(dev, phys);
		if (ns < best)
			best = ns;
	}
	return best;
}

static void bench_map(const char *mode, const char *append)
{
	struct start_config config = {.append = append};
	struct start s;
	phys_addr_t phys, neighbour;
	dma_addr_t keep;
	char name[64];

	if (machine_start(&config, &s, NULL))
		die("machine_start");
	found = NULL;
	bus_for_each_dev(s.machine->pci->bus, pick, NULL);
	if (!found)
		die("no device");
	device_release_driver(found);
	found->dma_mask = ~0ULL;
	if (ram_alloc_pages(s.machine, 8, &phys) ||
	    ram_alloc_pages(s.machine, 0, &neighbour))
		die("ram");
	/* A neighbour stays mapped, so that tables are not built each time. */
	keep = dma_map_page(found, neighbour, 0, PAGE_SIZE, DMA_TO_DEVICE);
	if (dma_mapping_error(found, keep))
		die("dma_map_page");
	snprintf(name, sizeof(name), "dma_map_page+unmap, %s", mode);
	show(name, best_map(map_page_round, found, phys));
	snprintf(name, sizeof(name), "dma_map_sg+unmap of 256 pages, %s", mode);
	show(name, best_map(map_sg_round, found, phys));
	dma_unmap_page(found, keep, PAGE_SIZE, DMA_TO_DEVICE);
	machine_stop(&s);
}

int main(void)
{
	bench_iova();
	bench_map("strict", "iommu.strict=1 dma_debug=off");
	bench_map("queued", "iommu.strict=0 dma_debug=off");
	return 0;
}
