// SPDX-License-Identifier: MIT
/*
 * libFuzzer: hostile tables, registers and commands for an AMD-Vi unit. The input says
 * what lies in the first pages of machine RAM and then which registers are accessed and
 * which DMA is done. Nothing may reach outside machine memory or fail to end.
 */
#include <stdlib.h>
#include <string.h>

#include "machine/dma.h"
#include "machine/machine.h"
#include "units/amd/amd_regs.h"
#include "units/amd/amd_unit.h"
#include "units/units.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define RAM_PAGES 64
#define SID	  0x10

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
		unit_mmio_write(hw, 0, s->off & 0x3f, s->val, s->wide & 1 ? 8 : 4);
		break;
	case 1:
		unit_mmio_write(hw, 0, 0x2000 | (s->off & 0x3f), s->val,
				s->wide & 1 ? 8 : 4);
		break;
	case 2:
		(void)unit_mmio_read(hw, 0, s->off, 1U << (s->wide & 3));
		break;
	case 3:
		/* An entry somewhere in the tables, often with an address of RAM. */
		if (s->wide & 1)
			memcpy(hw->ram + (s->off & ~7U), &s->val, 8);
		else
			*(u64 *)(hw->ram + (s->off & ~7U)) = (s->val & 0x3ffff) |
							     (u64)(s->wide >> 1) << 56 |
							     AMD_PTE_PR;
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
	struct amd_unit_config config = {.regs = 0xfed80000};
	struct machine *m;
	struct step s;
	u64 *dte;

	if (size < 2)
		return 0;
	config.levels = 4 + data[0] % 3;
	config.np_cache = data[0] & 4;
	config.guest_apic = data[0] & 8;
	config.dirty = data[0] & 16;
	config.no_ht_range = data[0] & 64;
	if (machine_create(&m, RAM_PAGES * PAGE_SIZE, 1, ""))
		abort();
	m->hw.ops = &ops;
	units_register(&m->hw);
	if (amd_unit_setup(&m->hw, 0, &config))
		abort();
	hw_function_init(&m->hw, 0);
	m->hw.functions[0].unit = 0;
	m->hw.functions[0].requester_id = SID;
	m->hw.functions[0].config[4] = 6;
	if (data[0] & 32) {
		/* A start: an entry with tables, commands, events and translation on. */
		dte = (u64 *)(m->hw.ram + 0x1000 + SID * sizeof(struct amd_dte));
		dte[0] = AMD_DTE0_V | AMD_DTE0_TV | AMD_DTE0_IR | AMD_DTE0_IW |
			 AMD_DTE0_HAD | AMD_DTE0_MODE(1 + data[1] % 6) | 0x3000;
		dte[1] = 5;
		dte[2] = AMD_DTE2_IV | AMD_DTE2_CTL(AMD_INTCTL_REMAP) | AMD_DTE2_LEN(9) |
			 0x4000;
		unit_mmio_write(&m->hw, 0, AMD_DEVTAB_BASE, 0x1000, 8);
		unit_mmio_write(&m->hw, 0, AMD_CMDBUF_BASE, 0x8000 | AMD_RING_LEN(8), 8);
		unit_mmio_write(&m->hw, 0, AMD_EVTLOG_BASE, 0x9000 | AMD_RING_LEN(8), 8);
		unit_mmio_write(&m->hw, 0, AMD_CONTROL,
				AMD_CTRL_IOMMU_EN | AMD_CTRL_CMDBUF_EN |
					AMD_CTRL_EVT_LOG_EN | AMD_CTRL_EVT_INT_EN |
					AMD_CTRL_GA_EN,
				8);
	}
	for (data++, size--; size >= sizeof(s); data += sizeof(s), size -= sizeof(s)) {
		memcpy(&s, data, sizeof(s));
		play(m, &s);
	}
	machine_destroy(m);
	return 0;
}
