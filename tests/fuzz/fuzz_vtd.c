// SPDX-License-Identifier: MIT
/*
 * libFuzzer: hostile tables, registers and queues for a VT-d unit. The input says what
 * lies in the first pages of machine RAM and then which registers are accessed and
 * which DMA is done. Nothing may reach outside machine memory or fail to end.
 */
#include <stdlib.h>
#include <string.h>

#include "machine/dma.h"
#include "machine/machine.h"
#include "units/units.h"
#include "units/vtd/vtd_regs.h"
#include "units/vtd/vtd_unit.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define RAM_PAGES 64

struct step {
	u8 kind, wide;
	u16 off;
	u64 val;
} __packed;

static const struct hw_host_ops ops;

static void play(struct machine *m, const struct step *s)
{
	struct hw *hw = &m->hw;
	size_t done;
	u8 buf[64];
	bool dst;

	switch (s->kind % 8) {
	case 0:
	case 1:
		unit_mmio_write(hw, 0, s->off & 0x3ff, s->val, s->wide & 1 ? 8 : 4);
		break;
	case 2:
		(void)unit_mmio_read(hw, 0, s->off, 1U << (s->wide & 3));
		break;
	case 3:
		/* An entry somewhere in the tables, often with an address of RAM. */
		if (s->wide & 1)
			memcpy(hw->ram + (s->off & ~7U), &s->val, 8);
		else
			*(u64 *)(hw->ram + (s->off & ~7U)) =
				(s->val & 0x3ffff) | (s->wide & 0xfe);
		break;
	case 4:
		(void)dma_read(hw, 0, s->val, buf, 1 + (s->off & 63));
		break;
	case 5:
		memset(buf, s->off, sizeof(buf));
		(void)dma_write(hw, 0, s->val, buf, 1 + (s->off & 63));
		break;
	case 6:
		(void)dma_copy(hw, 0, s->val, s->val >> 20, s->off, &dst, &done);
		break;
	case 7:
		/* An interrupt. */
		memcpy(buf, &s->val, 4);
		(void)dma_write(hw, 0, 0xfee00000 | (s->val >> 32 & 0xffffc), buf, 4);
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct vtd_unit_config config = {.regs = 0xfed90000, .nr_fault_regs = 4};
	struct machine *m;
	struct step s;
	u64 root = 0x1000;

	if (size < 2)
		return 0;
	config.aw_bits = data[0] & 1 ? 57 : 48;
	config.caching_mode = data[0] & 2;
	config.eim = data[0] & 4;
	config.snoop_control = data[0] & 8;
	if (machine_create(&m, RAM_PAGES * PAGE_SIZE, 1, ""))
		abort();
	m->hw.ops = &ops;
	units_register(&m->hw);
	if (vtd_unit_setup(&m->hw, 0, &config))
		abort();
	hw_function_init(&m->hw, 0);
	m->hw.functions[0].unit = 0;
	m->hw.functions[0].requester_id = 0x10;
	m->hw.functions[0].config[4] = 6;
	if (data[0] & 16) {
		/* A start: a root and context entry, queue and translation on. */
		*(u64 *)(m->hw.ram + root) = 0x2001;
		((u64 *)(m->hw.ram + 0x2000))[0x20] = 0x3001;
		((u64 *)(m->hw.ram + 0x2000))[0x21] = 2;
		unit_mmio_write(&m->hw, 0, VTD_RTADDR, root, 8);
		unit_mmio_write(&m->hw, 0, VTD_GCMD, VTD_GCMD_SRTP, 4);
		unit_mmio_write(&m->hw, 0, VTD_IQA, 0x8000, 8);
		unit_mmio_write(&m->hw, 0, VTD_GCMD, VTD_GCMD_QIE, 4);
		unit_mmio_write(&m->hw, 0, VTD_IRTA, 0x9000 | 7, 8);
		unit_mmio_write(&m->hw, 0, VTD_GCMD, VTD_GCMD_QIE | VTD_GCMD_SIRTP, 4);
		unit_mmio_write(&m->hw, 0, VTD_GCMD,
				VTD_GCMD_QIE | VTD_GCMD_IRE | VTD_GCMD_TE, 4);
	}
	for (data++, size--; size >= sizeof(s); data += sizeof(s), size -= sizeof(s)) {
		memcpy(&s, data, sizeof(s));
		play(m, &s);
	}
	machine_destroy(m);
	return 0;
}
