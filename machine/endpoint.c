// SPDX-License-Identifier: MIT
/*
 * The part of an endpoint that is the same for all models (endpoint.h): its lock,
 * widths, the MSI-X table, and when work runs.
 *
 * Lock order: a thread that holds a function's lock may come to want another's, by a
 * DMA to a peer's BAR. A function of higher index may be waited for; for a
 * lower one only PEER_WAIT_MS, and then the access is refused as one that no
 * device answered. A DMA to the function's own BAR runs under the lock held already.
 */
#include "machine/endpoint.h"

#include <errno.h>
#include <string.h>

#include "machine/backing.h"
#include "machine/dma.h"
#include "machine/msi.h"

#define PEER_WAIT_MS 20

/* NULL: a plain function, or nobody here can run its model. */
static const struct endpoint_model *model_of(const struct hw *hw, u32 fn)
{
	u16 model = hw->functions[fn].model;

	if (!model || model >= ENDPOINT_MAX_MODELS || !hw->endpoint_models)
		return NULL;
	return hw->endpoint_models[model];
}

static bool function_valid(const struct hw *hw, u32 fn)
{
	return fn < hw->hdr->nr_functions && hw->functions[fn].present;
}

static void reset_locked(struct hw *hw, u32 fn)
{
	const struct endpoint_model *model = model_of(hw, fn);

	if (model && model->reset)
		model->reset(hw, fn);
	msix_reset(hw, fn);
	hw_intx_set(hw, fn, false);
	atomic_fetch_add(&hw->functions[fn].epoch, 1);
}

bool endpoint_lock(struct hw *hw, u32 fn)
{
	int ret = hw_lock_acquire(&hw->functions[fn].lock);

	if (ret == -EDEADLK)
		return false;
	if (ret == -EOWNERDEAD)
		reset_locked(hw, fn);
	return true;
}

void endpoint_unlock(struct hw *hw, u32 fn, bool locked)
{
	if (locked)
		hw_lock_release(&hw->functions[fn].lock);
}

/* The width of the next access: the whole when it has one, else by alignment. */
static unsigned next_width(u64 off, unsigned len, bool whole)
{
	unsigned width;

	if (whole && (len == 1 || len == 2 || len == 4 || len == 8))
		return len;
	for (width = 8; width > 1; width /= 2)
		if (width <= len && IS_ALIGNED(off, width))
			break;
	return width;
}

/* Registers of the function, with its lock held. */
static void mmio_locked(struct hw *hw, u32 fn, unsigned bar, u64 off, void *buf,
			unsigned len, bool write)
{
	const struct endpoint_model *model = model_of(hw, fn);
	bool whole = true;
	u8 *p = buf;

	while (len) {
		unsigned n = next_width(off, len, whole);
		u64 val = 0;

		if (write) {
			memcpy(&val, p, n);
			if (!msix_mmio(hw, fn, bar, off, &val, n, true) && model)
				model->mmio_write(hw, fn, bar, off, val, n);
		} else {
			if (!msix_mmio(hw, fn, bar, off, &val, n, false))
				val = model ? model->mmio_read(hw, fn, bar, off, n)
					    : ~0ULL;
			memcpy(p, &val, n);
		}
		whole = false;
		off += n;
		p += n;
		len -= n;
	}
}

/* What the access set going. */
static bool run_work(struct hw *hw, u32 fn, size_t budget)
{
	const struct endpoint_model *model = model_of(hw, fn);

	return model && model->work && model->work(hw, fn, budget);
}

static bool inside_bar(const struct hw *hw, u32 fn, unsigned bar, u64 off, u64 len)
{
	u64 size;

	if (!function_valid(hw, fn) || bar >= HW_NR_BARS)
		return false;
	size = hw->functions[fn].bar[bar].size;
	return len && off < size && len <= size - off;
}

static void access_bar(struct hw *hw, u32 fn, unsigned bar, u64 off, void *buf,
		       unsigned len, bool write, bool locked)
{
	bool more = false;

	mmio_locked(hw, fn, bar, off, buf, len, write);
	/* Inside an access already, whoever is outermost runs what is left to do. */
	if (locked) {
		bool async = hw->functions[fn].flags & HW_FN_ASYNC;

		more = run_work(hw, fn, async ? 0 : ENDPOINT_INLINE_BUDGET);
	}
	endpoint_unlock(hw, fn, locked);
	if (more && hw->ops && hw->ops->kick)
		hw->ops->kick(hw, fn);
}

int endpoint_mmio_read(struct hw *hw, u32 fn, unsigned bar, u64 off, void *buf,
		       unsigned len)
{
	if (!inside_bar(hw, fn, bar, off, len))
		return -EINVAL;
	access_bar(hw, fn, bar, off, buf, len, false, endpoint_lock(hw, fn));
	return 0;
}

int endpoint_mmio_write(struct hw *hw, u32 fn, unsigned bar, u64 off, const void *buf,
			unsigned len)
{
	if (!inside_bar(hw, fn, bar, off, len))
		return -EINVAL;
	access_bar(hw, fn, bar, off, (void *)buf, len, true, endpoint_lock(hw, fn));
	return 0;
}

int endpoint_peer_access(struct hw *hw, u32 from, const struct backing *b, void *buf,
			 u64 len, bool write)
{
	u32 fn = b->function;
	int ret;

	if (!inside_bar(hw, fn, b->bar, b->vaddr, len))
		return -EFAULT;
	if (from == ~0U || fn > from)
		ret = hw_lock_acquire(&hw->functions[fn].lock);
	else
		ret = hw_lock_acquire_timeout(&hw->functions[fn].lock, PEER_WAIT_MS);
	if (ret == -EBUSY)
		return -EFAULT;
	if (ret == -EOWNERDEAD)
		reset_locked(hw, fn);
	access_bar(hw, fn, b->bar, b->vaddr, buf, len, write, ret != -EDEADLK);
	return 0;
}

bool endpoint_run(struct hw *hw, u32 fn, size_t budget)
{
	bool locked, more;

	if (!function_valid(hw, fn))
		return false;
	locked = endpoint_lock(hw, fn);
	more = locked && run_work(hw, fn, budget);
	endpoint_unlock(hw, fn, locked);
	return more;
}

void endpoint_reset(struct hw *hw, u32 fn)
{
	bool locked;

	if (fn >= hw->hdr->nr_functions)
		return;
	locked = endpoint_lock(hw, fn);
	reset_locked(hw, fn);
	endpoint_unlock(hw, fn, locked);
}

int endpoint_msix_alloc(struct hw *hw, u32 fn, u32 vectors)
{
	struct hw_function *f = &hw->functions[fn];
	u64 at;

	vectors = min_t(u32, vectors, MSIX_MAX_VECTORS);
	if (!vectors)
		return 0;
	at = hw_alloc_state(hw, msix_state_size(vectors));
	if (!at)
		return -ENOMEM;
	f->msix_vectors = vectors;
	f->msix = at;
	msix_reset(hw, fn);
	return 0;
}

int endpoint_create(struct hw *hw, u32 fn, u16 model, const u64 *props)
{
	struct hw_function *f = &hw->functions[fn];
	struct endpoint_pci_info info = {0};
	const struct endpoint_model *ops;
	int ret;

	if (!model || model >= ENDPOINT_MAX_MODELS || !hw->endpoint_models)
		return -EINVAL;
	ops = hw->endpoint_models[model];
	if (!ops)
		return -EINVAL;
	if (ops->describe)
		ops->describe(props, &info);
	f->state_size = max_t(u64, ops->state_size, 64);
	f->state = hw_alloc_state(hw, f->state_size);
	if (!f->state)
		return -ENOMEM;
	if (info.msix_vectors && !f->msix) {
		ret = endpoint_msix_alloc(hw, fn, info.msix_vectors);
		if (ret)
			return ret;
	}
	f->model = model;
	if (ops->init)
		ops->init(hw, fn, props);
	return 0;
}
