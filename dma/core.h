/* SPDX-License-Identifier: MIT */
/*
 * What the files of dma/ share. A machine's DMA core holds the bounce buffers, the
 * checker and the timer of flush queues; a default domain holds a cookie, which costs
 * nothing until the first mapping makes its allocator.
 *
 * Locks, in order: dma_cookie.lock; a flush ring's; those of dma/iova.h. The timer's
 * lock, the bounce pool's and the checker's are leaves.
 */
#ifndef MOAT_DMA_CORE_H
#define MOAT_DMA_CORE_H

#include <stdatomic.h>

#include "base/mutex.h"
#include "dma/iova.h"
#include "dma/mapping.h"
#include "iommu/iommu.h"
#include "machine/dma.h"
#include "machine/machine.h"

struct dma_debug;
struct dma_fq;
struct swiotlb;

struct dma_core {
	struct machine *machine;
	struct swiotlb *swiotlb;
	struct dma_debug *debug; /* NULL: switched off */
	struct mutex timer_lock; /* the rest of this struct */
	pthread_cond_t timer_cond;
	pthread_t timer_thread;
	bool timer_started, timer_stop;
	struct list_head timers; /* dma_cookie.timer_node, by deadline */
	struct dma_cookie *timer_running;
};

struct msi_page {
	struct list_head list;
	dma_addr_t iova;
	phys_addr_t phys;
};

/* A default domain's, or that of a user's domain with message pages alone. */
struct dma_cookie {
	struct iommu_domain *domain;
	struct list_head msi_pages; /* group->mutex */
	dma_addr_t msi_iova;	    /* IOMMU_COOKIE_DMA_MSI: the next one */
	struct mutex lock;	    /* making what follows */
	bool ready;		    /* atomic: iovad may be used */
	struct iova_domain iovad;
	bool want_fq;
	struct dma_fq *fq; /* atomic; NULL: strict */
	struct dma_core *core;
	/* core->timer_lock: */
	struct list_head timer_node;
	u64 deadline; /* ns, CLOCK_MONOTONIC */
	_Atomic bool timer_on;
};

static inline struct dma_core *dma_core(const struct device *dev)
{
	return dev->machine->dma;
}

static inline bool use_dma_iommu(const struct device *dev)
{
	return dev->iommu && dev->iommu->dma_iommu;
}

static inline bool dma_coming_from_device(enum dma_data_direction dir)
{
	return dir == DMA_FROM_DEVICE || dir == DMA_BIDIRECTIONAL;
}

static inline unsigned dma_get_order(u64 size)
{
	unsigned order = 0;

	while (order < 40 && PAGE_SIZE << order < size)
		order++;
	return order;
}

/* The pointer's physical address; false unless all of it is machine RAM. */
bool dma_virt_to_phys(const struct device *dev, const void *ptr, u64 size,
		      phys_addr_t *phys);
int dma_prot(enum dma_data_direction dir, u32 attrs);

/* cookie.c */
/* The cookie of the domain that the DMA API of @dev uses, ready for use; NULL if not. */
struct dma_cookie *dma_cookie_of(struct device *dev, struct iommu_domain **domain);
/* 0: none. @limit: the highest address. */
dma_addr_t dma_alloc_iova(struct dma_cookie *cookie, u64 size, u64 limit,
			  struct device *dev);
void dma_free_iova(struct dma_cookie *cookie, dma_addr_t iova, u64 size);

/* flush_queue.c */
int __must_check dma_fq_create(struct dma_cookie *cookie);
void dma_fq_destroy(struct dma_cookie *cookie);
void dma_fq_queue(struct dma_cookie *cookie, u64 pfn, u64 pages,
		  struct iommu_pages_list *freelist);
int dma_timer_init(struct dma_core *core);
void dma_timer_exit(struct dma_core *core);

/* through_iommu.c, sg.c: the default domain's way */
dma_addr_t dma_iommu_map(struct device *dev, phys_addr_t phys, u64 size, int prot,
			 u64 mask);
void dma_iommu_unmap(struct device *dev, dma_addr_t addr, u64 size);
dma_addr_t dma_iommu_map_phys(struct device *dev, phys_addr_t phys, u64 size,
			      enum dma_data_direction dir, u32 attrs);
void dma_iommu_unmap_phys(struct device *dev, dma_addr_t addr, u64 size,
			  enum dma_data_direction dir, u32 attrs);
int dma_iommu_map_sg(struct device *dev, struct scatterlist *sg, unsigned nents,
		     enum dma_data_direction dir, u32 attrs);
void dma_iommu_unmap_sg(struct device *dev, struct scatterlist *sg, unsigned nents,
			enum dma_data_direction dir, u32 attrs);
/* Unmaps nothing by itself when it fails. */
int dma_iommu_map_list(struct iommu_domain *domain, iova_t iova,
		       const struct scatterlist *sg, unsigned nents, int prot);

/* direct.c: no translation that the API knows of */
dma_addr_t dma_direct_map_phys(struct device *dev, phys_addr_t phys, u64 size,
			       enum dma_data_direction dir, u32 attrs);
void dma_direct_unmap_phys(struct device *dev, dma_addr_t addr, u64 size,
			   enum dma_data_direction dir, u32 attrs);
bool dma_direct_supported(const struct device *dev, u64 mask);
bool dma_capable(const struct device *dev, dma_addr_t addr, u64 size, u64 mask);

/* arm.c */
dma_addr_t dma_arm_map(struct device *dev, phys_addr_t phys, u64 size, int prot);
void dma_arm_unmap(struct device *dev, dma_addr_t addr, u64 size);
phys_addr_t dma_arm_iova_to_phys(struct device *dev, dma_addr_t addr);

/* mapping.c: whichever way, unchecked */
dma_addr_t dma_do_map(struct device *dev, phys_addr_t phys, u64 size,
		      enum dma_data_direction dir, u32 attrs);
void dma_do_unmap(struct device *dev, dma_addr_t addr, u64 size,
		  enum dma_data_direction dir, u32 attrs);

/* swiotlb.c */
int __must_check swiotlb_create(struct dma_core *core);
void swiotlb_destroy(struct dma_core *core);
/* The largest mapping that can be bounced. */
#define SWIOTLB_MAX_SIZE (256 * 1024ULL)
/*
 * A copy of [@phys, @phys + @size) at the same offset in a page of its own; what lies
 * around it there is zero. @limit: the highest address that will do.
 * Return: 0; -EINVAL: too large, or not RAM; -ENOMEM.
 */
int __must_check swiotlb_map(struct dma_core *core, phys_addr_t phys, u64 size, u64 limit,
			     phys_addr_t *out);
bool swiotlb_holds(struct dma_core *core, phys_addr_t phys);
/* Nothing where @phys is no copy. */
void swiotlb_unmap(struct dma_core *core, phys_addr_t phys, enum dma_data_direction dir,
		   u32 attrs);
void swiotlb_sync(struct dma_core *core, phys_addr_t phys, u64 size, bool to_cpu);

/* debug.c */
enum dma_debug_type {
	DMA_DEBUG_SINGLE,
	DMA_DEBUG_SG,
	DMA_DEBUG_COHERENT,
	DMA_DEBUG_NONCOHERENT,
	DMA_DEBUG_RESOURCE
};
struct dma_debug_ref {
	struct device *dev;
	enum dma_debug_type type;
	enum dma_data_direction dir;
	dma_addr_t addr;
	u64 size;
	phys_addr_t phys;
	unsigned sg_nents; /* as given; 0: no list */
};
int __must_check dma_debug_create(struct dma_core *core);
void dma_debug_destroy(struct dma_core *core);
void dma_debug_map(struct dma_debug *debug, const struct dma_debug_ref *ref);
void dma_debug_unmap(struct dma_debug *debug, const struct dma_debug_ref *ref);
void dma_debug_sync(struct dma_debug *debug, const struct dma_debug_ref *ref,
		    bool to_cpu);
void dma_debug_error_checked(struct dma_debug *debug, struct device *dev,
			     dma_addr_t addr);
/* Complaints that need no mapping ("..."), printf-like. */
void dma_debug_say(struct dma_debug *debug, struct device *dev, const char *fmt, ...)
	__printf(3, 4);

#endif
