// SPDX-License-Identifier: MIT
/*
 * What the data plane costs: translation on a TLB hit and miss, DMA of 4 KiB and
 * 1 MiB against memcpy, pinning, pages of machine RAM, synchronizing. Each line:
 * nanoseconds an operation, and the ratio to a reference measured in the same run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "machine/dma.h"
#include "machine/machine.h"
#include "machine/mm.h"
#include "machine/translate.h"
#include "units/units.h"
#include "units/vtd/vtd_regs.h"
#include "units/vtd/vtd_unit.h"

#define SID 0x28
#define RW  (VTD_SS_R | VTD_SS_W)

static u64 now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* Best of several runs of @n operations, in ns an operation. */
#define MEASURE(n, body)                                     \
	({                                                   \
		double _best = 1e18;                         \
		for (int _run = 0; _run < 7; _run++) {       \
			u64 _t = now();                      \
			for (u64 i = 0; i < (u64)(n); i++) { \
				body;                        \
			}                                    \
			_t = now() - _t;                     \
			if ((double)_t / (n) < _best)        \
				_best = (double)_t / (n);    \
		}                                            \
		_best;                                       \
	})

static u64 *pte(struct machine *m, u64 root, u64 iova, unsigned level)
{
	u64 table = root;

	for (unsigned l = 4;; l--) {
		u64 *p = (u64 *)(m->hw.ram + table) + (iova >> (12 + 9 * (l - 1)) & 511);

		if (l == level)
			return p;
		if (!*p) {
			phys_addr_t page;

			if (ram_alloc_pages(m, 0, &page))
				exit(1);
			*p = page | RW;
		}
		table = *p & VTD_SS_ADDR;
	}
}

static u64 page(struct machine *m)
{
	phys_addr_t phys;

	if (ram_alloc_pages(m, 0, &phys))
		exit(1);
	return phys;
}

static u64 accessible(struct mm *mm, u64 va, u64 len, bool write, bool *special,
		      phys_addr_t *phys)
{
	return len;
}

static int copy(void *to, const void *from, size_t len)
{
	memcpy(to, from, len);
	return 0;
}

int main(void)
{
	static const struct mm_ops mm_ops = {.accessible = accessible};
	struct vtd_unit_config config = {.regs = 0xfed90000};
	struct mm mm = {.ops = &mm_ops};
	size_t big = 8ULL << 30, size = 64 << 20, done;
	struct dma_request req = {.sid = SID, .access = DMA_READ, .pasid = NO_PASID};
	struct dma_translation t;
	struct dma_fault f;
	struct translator *x;
	struct machine *m;
	u64 root, ctx, table, sum = 0;
	double ref, ns;
	struct pin pin;
	bool dst;
	u8 *mem, *other;

	ns = MEASURE(20, if (machine_create(&m, 256 << 20, 64, "")) return 1;
		     machine_destroy(m));
	printf("machine create + destroy      %10.0f ns\n", ns);
	if (machine_create(&m, 256 << 20, 64, ""))
		return 1;
	units_register(&m->hw);
	if (vtd_unit_setup(&m->hw, 0, &config))
		return 1;
	hw_function_init(&m->hw, 0);
	m->hw.functions[0].requester_id = SID;
	m->hw.functions[0].unit = 0;
	m->hw.functions[0].config[4] = 6;
	m->hw.self_mm = 0;
	m->hw.copy = copy;
	root = page(m);
	ctx = page(m);
	table = page(m);
	*(u64 *)(m->hw.ram + root) = ctx | VTD_ROOT_P;
	((u64 *)(m->hw.ram + ctx + SID * 16))[1] = VTD_CTX_AW(2) | VTD_CTX_DID(7);
	((u64 *)(m->hw.ram + ctx + SID * 16))[0] = table | VTD_CTX_P;
	unit_mmio_write(&m->hw, 0, VTD_RTADDR, root, 8);
	unit_mmio_write(&m->hw, 0, VTD_GCMD, VTD_GCMD_SRTP, 4);
	unit_mmio_write(&m->hw, 0, VTD_GCMD, VTD_GCMD_TE, 4);

	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		   0);
	other = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0);
	memset(mem, 1, size);
	memset(other, 2, size);
	INIT_LIST_HEAD(&mm.pins);
	refcount_set(&mm.ref, 1);
	if (pin_user(m, &mm, (u64)mem, size, 0, true, &pin))
		return 1;
	for (u64 at = 0; at < size; at += SZ_4K)
		*pte(m, table, at, 1) = (pin.phys + at) | RW;
	for (u64 at = 0; at < size; at += SZ_2M)
		*pte(m, table, SZ_1G + at, 2) = (pin.phys + at) | RW | VTD_SS_PS;

#define TRANSLATE(addr)                                                       \
	x = translator_enter(&m->hw);                                         \
	req.iova = (addr);                                                    \
	if (vtd_unit_ops.translate(&m->hw, &m->hw.units[0], x, &req, &t, &f)) \
		return 1;                                                     \
	sum += t.phys;                                                        \
	translator_leave(x)

	ns = MEASURE(10000000, x = translator_enter(&m->hw); translator_leave(x));
	printf("enter + leave                 %10.2f ns\n", ns);
	ns = MEASURE(10000000, TRANSLATE((i & 7) << 12));
	printf("translate, hit                %10.2f ns\n", ns);
	ns = MEASURE(10000000, TRANSLATE(i * SZ_4K % SZ_1M));
	printf("translate, hit, 256 pages     %10.2f ns\n", ns);
	ns = MEASURE(10000000, TRANSLATE(SZ_1G + i * SZ_4K % size));
	printf("translate, hit, 2M pages      %10.2f ns\n", ns);
	ns = MEASURE(10000000, TRANSLATE(i * SZ_4K % size));
	printf("translate, miss, 4 levels     %10.2f ns\n", ns);
	ns = MEASURE(10000000, TRANSLATE((i * 0x9e3779b1 << 12) % size));
	printf("translate, miss, scattered    %10.2f ns\n", ns);

	ref = MEASURE(200000,
		      memcpy(other + (i & 255) * 4096, mem + (i & 255) * 4096, 4096));
	printf("memcpy 4 KiB                  %10.2f ns\n", ref);
	ns = MEASURE(200000, dma_read(&m->hw, 0, (i & 255) * 4096,
				      other + (i & 255) * 4096, 4096));
	printf("dma_read 4 KiB                %10.2f ns  %5.2f of memcpy\n", ns,
	       ref / ns);
	ns = MEASURE(200000, dma_copy(&m->hw, 0, SZ_1M * 4 + (i & 255) * 4096,
				      (i & 255) * 4096, 4096, &dst, &done));
	printf("dma_copy 4 KiB                %10.2f ns  %5.2f of memcpy\n", ns,
	       ref / ns);
	ref = MEASURE(300, memcpy(mem + (i & 7) * SZ_1M * 2,
				  mem + ((i & 7) * 2 + 1) * SZ_1M, SZ_1M));
	printf("memcpy 1 MiB                  %10.0f ns\n", ref);
	ns = MEASURE(300, dma_copy(&m->hw, 0, (i & 7) * SZ_1M * 2,
				   ((i & 7) * 2 + 1) * SZ_1M, SZ_1M, &dst, &done));
	printf("dma_copy 1 MiB, 4K pages      %10.0f ns  %5.2f of memcpy\n", ns,
	       ref / ns);
	ns = MEASURE(300,
		     dma_copy(&m->hw, 0, SZ_1G + (i & 7) * SZ_1M * 2,
			      SZ_1G + ((i & 7) * 2 + 1) * SZ_1M, SZ_1M, &dst, &done));
	printf("dma_copy 1 MiB, 2M pages      %10.0f ns  %5.2f of memcpy\n", ns,
	       ref / ns);
	ref = MEASURE(200000, memcpy(other, mem + (i & 255) * 4096, 64));
	ns = MEASURE(1000000, dma_read(&m->hw, 0, (i & 255) * 4096, other, 64));
	printf("dma_read 64 bytes             %10.2f ns\n", ns);

	ns = MEASURE(1000000, struct pin p; if (pin_user(m, &mm, 0x100000000ULL, 4096,
							 i << 12, true, &p)) return 1;
		     unpin_user(m, &p));
	printf("pin + unpin 4 KiB             %10.2f ns\n", ns);
	ns = MEASURE(100000, struct pin p; if (pin_user(m, &mm, 0x100000000ULL, big,
							i << 12, true, &p)) return 1;
		     unpin_user(m, &p));
	printf("pin + unpin 8 GiB             %10.2f ns\n", ns);
	ns = MEASURE(10000000, phys_addr_t p; if (ram_alloc_pages(m, 0, &p)) return 1;
		     ram_free_zeroed(m, p, 0));
	printf("RAM page alloc + free         %10.2f ns\n", ns);
	ns = MEASURE(1000000, translators_synchronize(&m->hw));
	printf("synchronize, nobody else      %10.2f ns\n", ns);
	ns = MEASURE(1000000,
		     unit_mmio_write(&m->hw, 0, VTD_IOTLB_BASE + VTD_IOTLB_OFF,
				     VTD_IOTLB_IVT | 2ULL << VTD_IOTLB_IIRG_SHIFT, 8));
	printf("IOTLB invalidation            %10.2f ns\n", ns);
	unpin_user(m, &pin);
	machine_destroy(m);
	return sum == 1;
}
