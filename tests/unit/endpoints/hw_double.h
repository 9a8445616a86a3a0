/* SPDX-License-Identifier: MIT */
/*
 * A machine for one endpoint model: flat memory from address 0, pages of which can
 * be made to refuse, and interrupts that are counted. Stands in for machine/dma.c.
 */
#ifndef MOAT_TESTS_HW_DOUBLE_H
#define MOAT_TESTS_HW_DOUBLE_H

#include "machine/endpoint.h"

#define DOUBLE_MEM (4 * SZ_1M)

struct hw_double {
	struct hw hw;
	struct hw_header hdr;
	struct hw_function fn;
	const struct endpoint_model *model;
	u8 *mem;
	u64 refused_first, refused_last; /* addresses that refuse; first > last: none */
	bool bus_master, msi, msix, intx;
	unsigned nr_msi, last_vector;
	size_t largest; /* access */
};

void double_init(struct hw_double *d, const struct endpoint_model *model,
		 const u64 *props);
void double_free(struct hw_double *d);
void double_refuse(struct hw_double *d, u64 first, u64 last);

u64 double_read(struct hw_double *d, u64 off, unsigned size);
/* As endpoint_mmio_write(): the store, then work up to the inline budget. */
void double_write(struct hw_double *d, u64 off, u64 val, unsigned size);
/* The store alone, as to an asynchronous function. */
void double_store(struct hw_double *d, u64 off, u64 val, unsigned size);
bool double_work(struct hw_double *d, size_t budget);

#endif
