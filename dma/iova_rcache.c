// SPDX-License-Identifier: MIT
/*
 * Magazines of freed ranges (Bonwick and Adams, "Magazines and Vmem", USENIX 2001): a CPU
 * pushes to and pops from its loaded magazine; when that is full or empty it is swapped
 * with the previous one, and only then with the depot. The tree is not touched: a cached
 * range stays allocated in it.
 */
#include "dma/iova.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bitmap.h"

#define MAG_SIZE 127
#define MAX_CPUS 64
/* Full magazines that the depot keeps for each CPU. */
#define DEPOT_PER_CPU 2

struct magazine {
	struct magazine *next; /* in the depot */
	unsigned int size;
	u64 pfns[MAG_SIZE];
};

/* A thread may move to another CPU in the middle, so its cache has a lock all the same.
 */
struct cpu_rcache {
	_Atomic int lock;
	struct magazine *loaded, *prev;
} __aligned(64);

struct iova_rcache {
	struct mutex lock; /* depot */
	struct magazine *depot;
	unsigned int depot_size, depot_max;
	struct cpu_rcache *cpus; /* nr_cpus of them, a power of two */
	unsigned int nr_cpus;
};

static void cpu_lock(struct cpu_rcache *cpu)
{
	int spins = 0;

	while (atomic_exchange_explicit(&cpu->lock, 1, memory_order_acquire)) {
		while (atomic_load_explicit(&cpu->lock, memory_order_relaxed)) {
			if (++spins % 64 == 0)
				sched_yield();
		}
	}
}

static void cpu_unlock(struct cpu_rcache *cpu)
{
	atomic_store_explicit(&cpu->lock, 0, memory_order_release);
}

static struct cpu_rcache *this_cpu(struct iova_rcache *rcache)
{
	return &rcache->cpus[(unsigned)sched_getcpu() & (rcache->nr_cpus - 1)];
}

static struct iova_rcache *rcache_of(struct iova_domain *iovad, u64 size)
{
	unsigned int order = fls64(size - 1);

	return iovad->rcaches && order < IOVA_RANGE_CACHE_MAX_SIZE
		       ? &iovad->rcaches[order]
		       : NULL;
}

static void magazine_swap(struct cpu_rcache *cpu)
{
	struct magazine *mag = cpu->loaded;

	cpu->loaded = cpu->prev;
	cpu->prev = mag;
}

static void magazine_free_pfns(struct iova_domain *iovad, struct magazine *mag)
{
	for (unsigned int i = 0; i < mag->size; i++)
		free_iova(iovad, mag->pfns[i]);
	mag->size = 0;
}

/* 0 if none lies at or below the limit. */
static u64 magazine_pop(struct magazine *mag, u64 limit_pfn)
{
	for (unsigned int i = mag->size; i--;) {
		u64 pfn = mag->pfns[i];

		if (pfn <= limit_pfn) {
			mag->pfns[i] = mag->pfns[--mag->size];
			return pfn;
		}
	}
	return 0;
}

u64 iova_rcache_get(struct iova_domain *iovad, u64 size, u64 limit_pfn)
{
	struct iova_rcache *rcache = rcache_of(iovad, size);
	struct cpu_rcache *cpu;
	u64 pfn, highest;

	if (!rcache || limit_pfn < size)
		return 0;
	highest = limit_pfn - size + 1;
	cpu = this_cpu(rcache);
	cpu_lock(cpu);
	if (!cpu->loaded->size) {
		if (cpu->prev->size) {
			magazine_swap(cpu);
		} else {
			mutex_lock(&rcache->lock);
			if (rcache->depot) {
				struct magazine *mag = rcache->depot;

				rcache->depot = mag->next;
				rcache->depot_size--;
				kfree(cpu->loaded);
				cpu->loaded = mag;
			}
			mutex_unlock(&rcache->lock);
		}
	}
	pfn = magazine_pop(cpu->loaded, highest);
	cpu_unlock(cpu);
	return pfn;
}

/* Room in the loaded magazine; false if there is no memory for one. */
static bool make_room(struct iova_domain *iovad, struct iova_rcache *rcache,
		      struct cpu_rcache *cpu)
{
	struct magazine *fresh;
	bool to_depot;

	if (cpu->loaded->size < MAG_SIZE)
		return true;
	if (cpu->prev->size < MAG_SIZE) {
		magazine_swap(cpu);
		return true;
	}
	fresh = kmalloc(sizeof(*fresh));
	if (!fresh)
		return false;
	fresh->size = 0;
	mutex_lock(&rcache->lock);
	to_depot = rcache->depot_size < rcache->depot_max;
	if (to_depot) {
		cpu->loaded->next = rcache->depot;
		rcache->depot = cpu->loaded;
		rcache->depot_size++;
	}
	mutex_unlock(&rcache->lock);
	if (!to_depot) {
		magazine_free_pfns(iovad, cpu->loaded);
		kfree(cpu->loaded);
	}
	cpu->loaded = fresh;
	return true;
}

bool iova_rcache_insert(struct iova_domain *iovad, u64 pfn, u64 size)
{
	struct iova_rcache *rcache = rcache_of(iovad, size);
	struct cpu_rcache *cpu;
	bool room;

	if (!rcache)
		return false;
	cpu = this_cpu(rcache);
	cpu_lock(cpu);
	room = make_room(iovad, rcache, cpu);
	if (room)
		cpu->loaded->pfns[cpu->loaded->size++] = pfn;
	cpu_unlock(cpu);
	return room;
}

void iova_rcache_flush(struct iova_domain *iovad)
{
	if (!iovad->rcaches)
		return;
	for (int order = 0; order < IOVA_RANGE_CACHE_MAX_SIZE; order++) {
		struct iova_rcache *rcache = &iovad->rcaches[order];
		struct magazine *depot;

		for (unsigned int i = 0; i < rcache->nr_cpus; i++) {
			struct cpu_rcache *cpu = &rcache->cpus[i];

			cpu_lock(cpu);
			magazine_free_pfns(iovad, cpu->loaded);
			magazine_free_pfns(iovad, cpu->prev);
			cpu_unlock(cpu);
		}
		mutex_lock(&rcache->lock);
		depot = rcache->depot;
		rcache->depot = NULL;
		rcache->depot_size = 0;
		mutex_unlock(&rcache->lock);
		while (depot) {
			struct magazine *mag = depot;

			depot = mag->next;
			magazine_free_pfns(iovad, mag);
			kfree(mag);
		}
	}
}

static int rcache_init(struct iova_rcache *rcache, unsigned int nr_cpus)
{
	mutex_init(&rcache->lock);
	rcache->depot_max = DEPOT_PER_CPU * nr_cpus;
	rcache->cpus = kcalloc(nr_cpus, sizeof(*rcache->cpus));
	if (!rcache->cpus)
		return -ENOMEM;
	rcache->nr_cpus = nr_cpus;
	for (unsigned int i = 0; i < nr_cpus; i++) {
		rcache->cpus[i].loaded = kzalloc(sizeof(struct magazine));
		rcache->cpus[i].prev = kzalloc(sizeof(struct magazine));
		if (!rcache->cpus[i].loaded || !rcache->cpus[i].prev)
			return -ENOMEM;
	}
	return 0;
}

int iova_domain_init_rcaches(struct iova_domain *iovad)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int nr_cpus = 1;

	while (nr_cpus < MAX_CPUS && nr_cpus < online)
		nr_cpus *= 2;
	iovad->rcaches = kcalloc(IOVA_RANGE_CACHE_MAX_SIZE, sizeof(*iovad->rcaches));
	if (!iovad->rcaches)
		return -ENOMEM;
	for (int order = 0; order < IOVA_RANGE_CACHE_MAX_SIZE; order++) {
		if (rcache_init(&iovad->rcaches[order], nr_cpus)) {
			iova_domain_free_rcaches(iovad);
			return -ENOMEM;
		}
	}
	return 0;
}

/* Also of caches that were made in part. What they hold stays allocated in the tree. */
void iova_domain_free_rcaches(struct iova_domain *iovad)
{
	if (!iovad->rcaches)
		return;
	for (int order = 0; order < IOVA_RANGE_CACHE_MAX_SIZE; order++) {
		struct iova_rcache *rcache = &iovad->rcaches[order];

		for (unsigned int i = 0; i < rcache->nr_cpus; i++) {
			kfree(rcache->cpus[i].loaded);
			kfree(rcache->cpus[i].prev);
		}
		kfree(rcache->cpus);
		while (rcache->depot) {
			struct magazine *mag = rcache->depot;

			rcache->depot = mag->next;
			kfree(mag);
		}
	}
	kfree(iovad->rcaches);
	iovad->rcaches = NULL;
}
