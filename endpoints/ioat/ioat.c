// SPDX-License-Identifier: MIT
/*
 * Intel I/OAT (CBDMA), one channel a function, as Xeon Scalable processors have
 * it: 8086:2021 is version 3.3, 8086:0b00 version 3.4 (drivers trust its error
 * reports only from there on). This file is the register file, interrupts and the
 * function's looks; channel.c is the engine.
 *
 * Registers are reached as PCIe reaches them, by any naturally or not naturally
 * aligned group of bytes. What is not listed in regs.h reads as zero and ignores
 * stores; no optional capability that would use it is announced.
 */
#include <string.h>

#include "endpoints/ioat/ioat.h"
#include "endpoints/models.h"
#include "machine/dma.h"

#define IOAT_BAR_SIZE	 (16 * 1024)
#define IOAT_MSIX_TABLE	 0x2000
#define IOAT_MSIX_PBA	 0x3000
#define IOAT_XFERCAP_MIN 12
#define IOAT_XFERCAP_MAX 31

/* As a value of start-latency: what the device id has. */
#define LATENCY_BY_DEVICE 1000000
#define LATENCY_V34	  10000

enum { PROP_DEVICE, PROP_VERSION, PROP_XFERCAP, PROP_START_LATENCY };

static const struct endpoint_property ioat_properties[] = {
	[PROP_DEVICE] = {"device", "PCI device id: 0x2021 (v3.3) or 0x0b00 (v3.4)",
			 0x2021, 0xffff},
	[PROP_VERSION] = {"version", "CBVER; 0: what the device id has", 0, 0xff},
	[PROP_XFERCAP] = {"xfercap", "log2 of the largest transfer, 12 to 31", 20,
			  IOAT_XFERCAP_MAX},
	[PROP_START_LATENCY] =
		{"start-latency",
		 "microseconds that an armed channel takes to start, up to "
		 "100000; default: 10000 for 0x0b00, else 0",
		 LATENCY_BY_DEVICE, LATENCY_BY_DEVICE},
	{NULL},
};

static void ioat_describe(const u64 *props, struct endpoint_pci_info *info)
{
	*info = (struct endpoint_pci_info){
		.vendor = 0x8086,
		.device = props[PROP_DEVICE],
		.subsystem_vendor = 0x8086,
		.subsystem = props[PROP_DEVICE],
		.class = 0x088000,
		.revision = 0x04,
		.intx_pin = 1,
		.bar[0] = {.size = IOAT_BAR_SIZE, .flags = HW_BAR_MMAP | HW_BAR_64},
		.msix_vectors = 1,
		.msix_bar = 0,
		.msix_table = IOAT_MSIX_TABLE,
		.msix_pba = IOAT_MSIX_PBA,
		.pcie = true,
		.flr = true,
		.pm = true,
		.no_soft_reset = true,
	};
}

static void ioat_reset(struct hw *hw, u32 fn)
{
	struct ioat_state *ioat = endpoint_state(hw, fn);

	ioat->genctrl = 0;
	ioat->intrctrl = 0;
	ioat->attnstatus = 0;
	ioat->intrdelay = 0;
	ioat->chanctrl = 0;
	ioat->chancmp = 0;
	ioat->chanerrmask = 0;
	ioat_chan_init(ioat);
	ioat_update_intx(hw, fn);
}

static void ioat_init(struct hw *hw, u32 fn, const u64 *props)
{
	struct ioat_state *ioat = endpoint_state(hw, fn);
	u64 xfercap = max_t(u64, props[PROP_XFERCAP], IOAT_XFERCAP_MIN);

	ioat->version = props[PROP_VERSION];
	if (!ioat->version)
		ioat->version = props[PROP_DEVICE] == 0x0b00 ? 0x34 : 0x33;
	ioat->xfercap = min_t(u64, xfercap, IOAT_XFERCAP_MAX);
	ioat->start_latency =
		min_t(u64, props[PROP_START_LATENCY], IOAT_MAX_START_LATENCY);
	if (props[PROP_START_LATENCY] == LATENCY_BY_DEVICE)
		ioat->start_latency = props[PROP_DEVICE] == 0x0b00 ? LATENCY_V34 : 0;
	ioat_chan_init(ioat);
}

void ioat_update_intx(struct hw *hw, u32 fn)
{
	const struct ioat_state *ioat = endpoint_state(hw, fn);

	hw_intx_set(hw, fn,
		    ioat->attnstatus && (ioat->intrctrl & INTRCTRL_MASTER_INT_EN) &&
			    !hw_msix_enabled(hw, fn));
}

void ioat_interrupt(struct hw *hw, u32 fn)
{
	struct ioat_state *ioat = endpoint_state(hw, fn);

	ioat->attnstatus |= BIT(0);
	if (ioat->chanctrl & CHANCTRL_INT_DISABLE)
		return;
	if (!hw_msix_enabled(hw, fn)) {
		ioat->chanctrl |= CHANCTRL_INT_DISABLE;
		ioat_update_intx(hw, fn);
	} else if (ioat->intrctrl & (INTRCTRL_MSIX_CONTROL | INTRCTRL_MASTER_INT_EN)) {
		ioat->chanctrl |= CHANCTRL_INT_DISABLE;
		hw_msi_send(hw, fn, 0);
	}
}

static u8 intrctrl_value(const struct ioat_state *ioat)
{
	u8 val = ioat->intrctrl;

	if (ioat->attnstatus) {
		val |= INTRCTRL_INT_STATUS;
		if (val & INTRCTRL_MASTER_INT_EN)
			val |= INTRCTRL_INT;
	}
	return val;
}

/* All registers as bytes: what a read of any group of them picks from. */
static void snapshot(const struct ioat_state *ioat, u8 *image)
{
	u64 chansts = (ioat->completed & CHANSTS_ADDR_MASK) |
		      (ioat->state & CHANSTS_STATE_MASK);
	u32 cap = DMACAP_BFILL;
	u16 comp = DMA_COMP_V2;

	memset(image, 0, IOAT_REGS_END);
	image[IOAT_CHANCNT] = 1;
	image[IOAT_XFERCAP] = ioat->xfercap;
	image[IOAT_GENCTRL] = ioat->genctrl;
	image[IOAT_INTRCTRL] = intrctrl_value(ioat);
	memcpy(image + IOAT_ATTNSTATUS, &ioat->attnstatus, 4);
	image[IOAT_CBVER] = ioat->version;
	memcpy(image + IOAT_INTRDELAY, &ioat->intrdelay, 2);
	memcpy(image + IOAT_DMACAPABILITY, &cap, 4);
	memcpy(image + IOAT_CHANCTRL, &ioat->chanctrl, 2);
	memcpy(image + IOAT_DMA_COMP, &comp, 2);
	memcpy(image + IOAT_DMACOUNT, &ioat->dmacount, 2);
	memcpy(image + IOAT_CHANSTS, &chansts, 8);
	memcpy(image + IOAT_CHAINADDR, &ioat->chainaddr, 8);
	memcpy(image + IOAT_CHANCMP, &ioat->chancmp, 8);
	memcpy(image + IOAT_CDAR, &ioat->cdar, 8);
	memcpy(image + IOAT_CHANERR, &ioat->chanerr, 4);
	memcpy(image + IOAT_CHANERRMASK, &ioat->chanerrmask, 4);
}

static bool overlaps(u64 off, unsigned size, unsigned reg, unsigned reg_size)
{
	return off < reg + reg_size && reg < off + size;
}

static u64 ioat_mmio_read(struct hw *hw, u32 fn, unsigned bar, u64 off, unsigned size)
{
	struct ioat_state *ioat = endpoint_state(hw, fn);
	u8 image[IOAT_REGS_END + 8];
	u64 val = 0;

	if (bar != 0 || off >= IOAT_REGS_END)
		return 0;
	snapshot(ioat, image);
	memset(image + IOAT_REGS_END, 0, 8);
	memcpy(&val, image + off, min(size, 8U));

	if (overlaps(off, size, IOAT_INTRCTRL, 1) ||
	    overlaps(off, size, IOAT_ATTNSTATUS, 4)) {
		if (overlaps(off, size, IOAT_INTRCTRL, 1))
			ioat->intrctrl &= ~INTRCTRL_MASTER_INT_EN;
		if (overlaps(off, size, IOAT_ATTNSTATUS, 4))
			ioat->attnstatus = 0;
		ioat_update_intx(hw, fn);
	}
	return val;
}

/* Registers that take stores, in the order in which one store reaches them. */
static const struct {
	u16 off;
	u8 size;
	bool w1c; /* bytes that a store leaves out count as zeroes */
} writable[] = {
	{IOAT_GENCTRL, 1},     {IOAT_INTRCTRL, 1}, {IOAT_INTRDELAY, 2},
	{IOAT_CHANCTRL, 2},    {IOAT_CHANCMD, 1},  {IOAT_DMACOUNT, 2},
	{IOAT_CHAINADDR, 8},   {IOAT_CHANCMP, 8},  {IOAT_CHANERR, 4, true},
	{IOAT_CHANERRMASK, 4},
};

static void write_register(struct hw *hw, u32 fn, unsigned reg, u64 val, u64 mask)
{
	struct ioat_state *ioat = endpoint_state(hw, fn);

	switch (reg) {
	case IOAT_GENCTRL:
		ioat->genctrl = val & GENCTRL_DEBUG_EN;
		break;
	case IOAT_INTRCTRL:
		ioat->intrctrl = val & (INTRCTRL_MASTER_INT_EN | INTRCTRL_MSIX_CONTROL);
		ioat_update_intx(hw, fn);
		break;
	case IOAT_INTRDELAY:
		ioat->intrdelay = val & INTRDELAY_MASK;
		break;
	case IOAT_CHANCTRL:
		/* INT_DISABLE: a stored 1 clears it, so that the channel may interrupt
		 * again. */
		if (mask & val & CHANCTRL_INT_DISABLE)
			ioat->chanctrl &= ~CHANCTRL_INT_DISABLE;
		ioat->chanctrl = (ioat->chanctrl & CHANCTRL_INT_DISABLE) |
				 (val & CHANCTRL_WRITABLE);
		break;
	case IOAT_CHANCMD:
		ioat_chan_command(hw, fn, val);
		break;
	case IOAT_DMACOUNT:
		ioat_chan_doorbell(hw, fn, val);
		break;
	case IOAT_CHAINADDR:
		ioat_chan_set_chainaddr(hw, fn, val);
		break;
	case IOAT_CHANCMP:
		ioat->chancmp = val & ~7ULL;
		break;
	case IOAT_CHANERR:
		ioat->chanerr &= ~val;
		break;
	case IOAT_CHANERRMASK:
		ioat->chanerrmask = val & CHANERR_ALL;
		break;
	}
}

static void ioat_mmio_write(struct hw *hw, u32 fn, unsigned bar, u64 off, u64 val,
			    unsigned size)
{
	const struct ioat_state *ioat = endpoint_state(hw, fn);
	u8 image[IOAT_REGS_END];
	unsigned i, j;

	if (bar != 0 || off >= IOAT_REGS_END)
		return;
	for (i = 0; i < ARRAY_SIZE(writable); i++) {
		unsigned reg = writable[i].off, reg_size = writable[i].size;
		u64 now = 0, mask = 0;

		if (!overlaps(off, size, reg, reg_size))
			continue;
		if (!writable[i].w1c) {
			snapshot(ioat, image);
			memcpy(&now, image + reg, reg_size);
		}
		for (j = 0; j < reg_size; j++) {
			if (reg + j < off || reg + j >= off + size)
				continue;
			mask |= 0xffULL << (j * 8);
			now &= ~(0xffULL << (j * 8));
			now |= (val >> ((reg + j - off) * 8) & 0xff) << (j * 8);
		}
		write_register(hw, fn, reg, now, mask);
	}
}

const struct endpoint_model ioat_model = {
	.name = "ioat",
	.state_size = sizeof(struct ioat_state),
	.properties = ioat_properties,
	.describe = ioat_describe,
	.init = ioat_init,
	.reset = ioat_reset,
	.mmio_read = ioat_mmio_read,
	.mmio_write = ioat_mmio_write,
	.work = ioat_chan_work,
};
