// SPDX-License-Identifier: MIT
/*
 * Flush queues: a lazy domain does not invalidate at unmap. The range goes into a ring of
 * the CPU, with the number of flushes begun so far; it may be handed out again once a
 * flush that began later has ended. A full ring flushes, and so does a timer 10 ms after
 * the first entry. Until then a device may still reach the unmapped memory: that is the
 * price of DMA-FQ. Source: drivers/iommu/dma-iommu.c.
 *
 * One thread a machine runs the timers; it starts with the first of them.
 */
#include "dma/core.h"

#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"

#define FQ_SIZE	      256
#define FQ_TIMEOUT_NS 10000000ULL
#define FQ_MAX_CPUS   64

struct fq_entry {
	u64 pfn, pages, counter;
	struct iommu_pages_list freelist;
};

struct fq_ring {
	struct mutex lock;
	unsigned head, tail;
	struct fq_entry entries[FQ_SIZE];
} __aligned(64);

struct dma_fq {
	_Atomic u64 flush_start, flush_finish;
	unsigned nr; /* a power of two */
	struct fq_ring *rings;
};

static void ring_free_done(struct dma_cookie *cookie, struct dma_fq *fq,
			   struct fq_ring *ring)
{
	u64 finished = atomic_load(&fq->flush_finish);

	for (; ring->head != ring->tail; ring->head = (ring->head + 1) % FQ_SIZE) {
		struct fq_entry *e = &ring->entries[ring->head];

		if (e->counter >= finished)
			break;
		if (!iommu_pages_list_empty(&e->freelist))
			iommu_put_pages_list(cookie->core->machine, &e->freelist);
		free_iova_fast(&cookie->iovad, e->pfn, e->pages);
	}
}

static void fq_flush(struct dma_cookie *cookie, struct dma_fq *fq)
{
	atomic_fetch_add(&fq->flush_start, 1);
	iommu_flush_iotlb_all(cookie->domain);
	atomic_fetch_add(&fq->flush_finish, 1);
}

static void fq_timeout(struct dma_cookie *cookie)
{
	struct dma_fq *fq = cookie->fq;

	atomic_store(&cookie->timer_on, false);
	fq_flush(cookie, fq);
	for (unsigned i = 0; i < fq->nr; i++) {
		mutex_lock(&fq->rings[i].lock);
		ring_free_done(cookie, fq, &fq->rings[i]);
		mutex_unlock(&fq->rings[i].lock);
	}
}

/* --- the timer ---------------------------------------------------------------------- */

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000ULL + (u64)t.tv_nsec;
}

static void *timer_main(void *data)
{
	struct dma_core *core = data;

	mutex_lock(&core->timer_lock);
	while (!core->timer_stop) {
		struct dma_cookie *cookie;
		struct timespec until;

		if (list_empty(&core->timers)) {
			pthread_cond_wait(&core->timer_cond, &core->timer_lock.lock);
			mutex_note_owner(&core->timer_lock);
			continue;
		}
		cookie = list_first_entry(&core->timers, struct dma_cookie, timer_node);
		if (cookie->deadline > now_ns()) {
			until.tv_sec = (time_t)(cookie->deadline / 1000000000ULL);
			until.tv_nsec = (long)(cookie->deadline % 1000000000ULL);
			pthread_cond_timedwait(&core->timer_cond, &core->timer_lock.lock,
					       &until);
			mutex_note_owner(&core->timer_lock);
			continue;
		}
		list_del(&cookie->timer_node);
		INIT_LIST_HEAD(&cookie->timer_node);
		core->timer_running = cookie;
		mutex_unlock(&core->timer_lock);
		fq_timeout(cookie);
		mutex_lock(&core->timer_lock);
		core->timer_running = NULL;
		pthread_cond_broadcast(&core->timer_cond);
	}
	mutex_unlock(&core->timer_lock);
	return NULL;
}

static bool timer_thread_start(struct dma_core *core)
{
	sigset_t all, old;

	if (core->timer_started)
		return true;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	core->timer_started =
		!pthread_create(&core->timer_thread, NULL, timer_main, core);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return core->timer_started;
}

static void timer_arm(struct dma_cookie *cookie)
{
	struct dma_core *core = cookie->core;
	bool armed;

	mutex_lock(&core->timer_lock);
	armed = timer_thread_start(core);
	if (armed && list_empty(&cookie->timer_node)) {
		cookie->deadline = now_ns() + FQ_TIMEOUT_NS;
		list_add_tail(&cookie->timer_node, &core->timers);
		pthread_cond_broadcast(&core->timer_cond);
	}
	mutex_unlock(&core->timer_lock);
	if (!armed)
		fq_timeout(cookie); /* no thread to be had: as good as strict */
}

static void timer_cancel_sync(struct dma_cookie *cookie)
{
	struct dma_core *core = cookie->core;

	mutex_lock(&core->timer_lock);
	list_del(&cookie->timer_node);
	INIT_LIST_HEAD(&cookie->timer_node);
	while (core->timer_running == cookie) {
		pthread_cond_wait(&core->timer_cond, &core->timer_lock.lock);
		mutex_note_owner(&core->timer_lock);
	}
	mutex_unlock(&core->timer_lock);
}

int dma_timer_init(struct dma_core *core)
{
	pthread_condattr_t attr;

	mutex_init(&core->timer_lock);
	INIT_LIST_HEAD(&core->timers);
	if (pthread_condattr_init(&attr))
		return -ENOMEM;
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&core->timer_cond, &attr);
	pthread_condattr_destroy(&attr);
	return 0;
}

void dma_timer_exit(struct dma_core *core)
{
	mutex_lock(&core->timer_lock);
	core->timer_stop = true;
	pthread_cond_broadcast(&core->timer_cond);
	mutex_unlock(&core->timer_lock);
	if (core->timer_started)
		pthread_join(core->timer_thread, NULL);
	pthread_cond_destroy(&core->timer_cond);
	mutex_destroy(&core->timer_lock);
}

/* --- the queue -----------------------------------------------------------------------
 */

int dma_fq_create(struct dma_cookie *cookie)
{
	struct dma_fq *fq = kzalloc(sizeof(*fq));
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	if (!fq)
		return -ENOMEM;
	fq->nr = 1;
	while (fq->nr < FQ_MAX_CPUS && fq->nr < online)
		fq->nr *= 2;
	fq->rings = kcalloc(fq->nr, sizeof(*fq->rings));
	if (!fq->rings) {
		kfree(fq);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < fq->nr; i++)
		mutex_init(&fq->rings[i].lock);
	__atomic_store_n(&cookie->fq, fq, __ATOMIC_RELEASE);
	return 0;
}

/* The domain's tables go with it, so its hardware has forgotten them already. */
void dma_fq_destroy(struct dma_cookie *cookie)
{
	struct dma_fq *fq = cookie->fq;

	if (!fq)
		return;
	timer_cancel_sync(cookie);
	for (unsigned i = 0; i < fq->nr; i++) {
		struct fq_ring *ring = &fq->rings[i];

		for (; ring->head != ring->tail; ring->head = (ring->head + 1) % FQ_SIZE)
			iommu_put_pages_list(cookie->core->machine,
					     &ring->entries[ring->head].freelist);
		mutex_destroy(&ring->lock);
	}
	kfree(fq->rings);
	kfree(fq);
	cookie->fq = NULL;
}

void dma_fq_queue(struct dma_cookie *cookie, u64 pfn, u64 pages,
		  struct iommu_pages_list *freelist)
{
	struct dma_fq *fq = __atomic_load_n(&cookie->fq, __ATOMIC_ACQUIRE);
	struct fq_ring *ring = &fq->rings[(unsigned)sched_getcpu() & (fq->nr - 1)];
	struct fq_entry *e;

	/* The tables are written before the counter is read: a later flush sees them. */
	atomic_thread_fence(memory_order_seq_cst);
	mutex_lock(&ring->lock);
	ring_free_done(cookie, fq, ring);
	if ((ring->tail + 1) % FQ_SIZE == ring->head) {
		fq_flush(cookie, fq);
		ring_free_done(cookie, fq, ring);
	}
	e = &ring->entries[ring->tail];
	ring->tail = (ring->tail + 1) % FQ_SIZE;
	e->pfn = pfn;
	e->pages = pages;
	e->counter = atomic_load(&fq->flush_start);
	e->freelist = *freelist;
	*freelist = IOMMU_PAGES_LIST_INIT;
	mutex_unlock(&ring->lock);
	if (!atomic_load_explicit(&cookie->timer_on, memory_order_relaxed) &&
	    !atomic_exchange(&cookie->timer_on, true))
		timer_arm(cookie);
}
