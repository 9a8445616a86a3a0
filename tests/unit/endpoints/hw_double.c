// SPDX-License-Identifier: MIT
/*
 * See hw_double.h. A transfer is cut at the first byte that refuses, as dma_copy()
 * promises; reads go on and deliver zeroes there, writes leave it out, both page by page.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "machine/dma.h"
#include "tests/unit/endpoints/hw_double.h"

static struct hw_double *double_of(struct hw *hw)
{
	return container_of(hw, struct hw_double, hw);
}

void double_init(struct hw_double *d, const struct endpoint_model *model,
		 const u64 *props)
{
	u64 values[8] = {0};
	unsigned i;

	memset(d, 0, sizeof(*d));
	for (i = 0; model->properties[i].name; i++)
		values[i] = model->properties[i].default_value;
	d->model = model;
	d->mem = calloc(1, DOUBLE_MEM);
	d->hw.base = calloc(1, 64 + model->state_size);
	assert(d->mem && d->hw.base);
	d->hdr.states_size = HW_STATE_MAX + SZ_64K;
	d->hw.hdr = &d->hdr;
	d->hw.functions = &d->fn;
	d->fn.state = 64;
	d->fn.state_size = model->state_size;
	d->refused_first = 1;
	d->bus_master = true;
	model->init(&d->hw, 0, props ? props : values);
}

void double_free(struct hw_double *d)
{
	free(d->mem);
	free(d->hw.base);
}

void double_refuse(struct hw_double *d, u64 first, u64 last)
{
	d->refused_first = first;
	d->refused_last = last;
}

u64 double_read(struct hw_double *d, u64 off, unsigned size)
{
	return d->model->mmio_read(&d->hw, 0, 0, off, size);
}

void double_store(struct hw_double *d, u64 off, u64 val, unsigned size)
{
	d->model->mmio_write(&d->hw, 0, 0, off, val, size);
}

bool double_work(struct hw_double *d, size_t budget)
{
	return d->model->work(&d->hw, 0, budget);
}

void double_write(struct hw_double *d, u64 off, u64 val, unsigned size)
{
	double_store(d, off, val, size);
	double_work(d, ENDPOINT_INLINE_BUDGET);
}

static u8 *byte_at(struct hw_double *d, u64 addr)
{
	if (!d->bus_master || addr >= DOUBLE_MEM ||
	    (addr >= d->refused_first && addr <= d->refused_last))
		return NULL;
	return d->mem + addr;
}

int dma_read(struct hw *hw, u32 fn, iova_t iova, void *buf, size_t len)
{
	struct hw_double *d = double_of(hw);
	int ret = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		u8 *p = byte_at(d, iova + i);

		((u8 *)buf)[i] = p ? *p : 0;
		if (!p)
			ret = -14;
	}
	return ret;
}

int dma_write(struct hw *hw, u32 fn, iova_t iova, const void *buf, size_t len)
{
	struct hw_double *d = double_of(hw);
	int ret = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		u8 *p = byte_at(d, iova + i);

		if (p)
			*p = ((const u8 *)buf)[i];
		else
			ret = -14;
	}
	return ret;
}

int dma_copy(struct hw *hw, u32 fn, iova_t dst, iova_t src, size_t len, bool *fault_dst,
	     size_t *done)
{
	struct hw_double *d = double_of(hw);

	d->largest = max(d->largest, len);
	for (*done = 0; *done < len; (*done)++) {
		u8 *from = byte_at(d, src + *done), *to = byte_at(d, dst + *done);

		*fault_dst = from;
		if (!from || !to)
			return -14;
		*to = *from;
	}
	return 0;
}

int dma_fill(struct hw *hw, u32 fn, iova_t dst, u64 pattern, size_t len, size_t *done)
{
	struct hw_double *d = double_of(hw);

	for (*done = 0; *done < len; (*done)++) {
		u8 *to = byte_at(d, dst + *done);

		if (!to)
			return -14;
		*to = pattern >> (*done % 8 * 8);
	}
	return 0;
}

void hw_msi_send(struct hw *hw, u32 fn, unsigned vec)
{
	struct hw_double *d = double_of(hw);

	d->nr_msi++;
	d->last_vector = vec;
}

bool hw_msi_enabled(const struct hw *hw, u32 fn)
{
	return double_of((struct hw *)hw)->msi;
}

bool hw_msix_enabled(const struct hw *hw, u32 fn)
{
	return double_of((struct hw *)hw)->msix;
}

void hw_intx_set(struct hw *hw, u32 fn, bool level)
{
	double_of(hw)->intx = level;
}
