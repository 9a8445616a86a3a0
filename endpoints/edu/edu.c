// SPDX-License-Identifier: MIT
/*
 * QEMU's educational PCI device (docs/specs/edu.txt there), as QEMU 7.2 shows
 * it to a guest: identification, liveness, factorial, interrupts by MSI or INTA#,
 * and a DMA engine with a buffer of 4 KiB inside the device.
 *
 * Where that device takes its time (a thread for the factorial, 100 ms for a
 * DMA) this one is done before the next register access, unless the function is
 * asynchronous. A reset of the bus does not touch its registers; QEMU's has no
 * reset handler. A DMA that leaves the buffer, for which QEMU stops the machine,
 * moves nothing and ends.
 *
 * All state lies in machine memory, where a program can overwrite it: whatever
 * selects memory is copied out before it is checked.
 */
#include <string.h>

#include "endpoints/models.h"
#include "machine/dma.h"

#define EDU_BAR_SIZE SZ_1M

#define EDU_ID	       0x00
#define EDU_LIVENESS   0x04
#define EDU_FACTORIAL  0x08
#define EDU_STATUS     0x20
#define EDU_IRQ_STATUS 0x24
#define EDU_IRQ_RAISE  0x60
#define EDU_IRQ_ACK    0x64
#define EDU_DMA_SRC    0x80
#define EDU_DMA_DST    0x88
#define EDU_DMA_COUNT  0x90
#define EDU_DMA_CMD    0x98

#define EDU_ID_VALUE 0x010000edU

#define STATUS_COMPUTING BIT(0)
#define STATUS_IRQFACT	 BIT(7)

#define CMD_RUN	   BIT_ULL(0)
#define CMD_TO_PCI BIT_ULL(1)
#define CMD_IRQ	   BIT_ULL(2)

#define IRQ_FACTORIAL 0x001
#define IRQ_DMA	      0x100

#define EDU_BUF_START 0x40000
#define EDU_BUF_SIZE  4096

struct edu_state {
	u64 dma_mask;
	u32 liveness;
	u32 factorial;
	u32 status;
	u32 irq_status;
	u64 dma_src, dma_dst, dma_count, dma_cmd;
	u8 buf[EDU_BUF_SIZE];
};

static const struct endpoint_property edu_properties[] = {
	{"dma-mask", "addresses that the DMA engine can put on the bus", 0x0fffffff,
	 ~0ULL},
	{NULL},
};

static void edu_describe(const u64 *props, struct endpoint_pci_info *info)
{
	*info = (struct endpoint_pci_info){
		.vendor = 0x1234,
		.device = 0x11e8,
		.subsystem_vendor = 0x1af4,
		.subsystem = 0x1100,
		.class = 0x00ff00,
		.revision = 0x10,
		.intx_pin = 1,
		.bar[0] = {.size = EDU_BAR_SIZE, .flags = HW_BAR_MMAP},
		.msi_vectors = 1,
		.msi_64 = true,
	};
}

static void edu_init(struct hw *hw, u32 fn, const u64 *props)
{
	struct edu_state *edu = endpoint_state(hw, fn);

	edu->dma_mask = props[0];
}

/* The registers and the buffer survive; a transfer that has not begun does not. */
static void edu_reset(struct hw *hw, u32 fn)
{
	struct edu_state *edu = endpoint_state(hw, fn);

	edu->dma_cmd &= ~CMD_RUN;
	edu->status &= ~STATUS_COMPUTING;
	hw_intx_set(hw, fn, false);
}

static void edu_raise(struct hw *hw, u32 fn, u32 val)
{
	struct edu_state *edu = endpoint_state(hw, fn);

	edu->irq_status |= val;
	if (!edu->irq_status)
		return;
	if (hw_msi_enabled(hw, fn))
		hw_msi_send(hw, fn, 0);
	else
		hw_intx_set(hw, fn, true);
}

static void edu_lower(struct hw *hw, u32 fn, u32 val)
{
	struct edu_state *edu = endpoint_state(hw, fn);

	edu->irq_status &= ~val;
	if (!edu->irq_status && !hw_msi_enabled(hw, fn))
		hw_intx_set(hw, fn, false);
}

/* n! modulo 2^32; from 34! on it has 32 factors of two. */
static u32 factorial(u32 n)
{
	u32 result = 1;

	if (n >= 34)
		return 0;
	while (n > 1)
		result *= n--;
	return result;
}

static void edu_dma(struct hw *hw, u32 fn, u64 cmd)
{
	struct edu_state *edu = endpoint_state(hw, fn);
	u64 count = edu->dma_count;
	u64 inside = cmd & CMD_TO_PCI ? edu->dma_src : edu->dma_dst;
	u64 outside = cmd & CMD_TO_PCI ? edu->dma_dst : edu->dma_src;

	outside &= edu->dma_mask;
	if (inside < EDU_BUF_START || count > EDU_BUF_SIZE ||
	    inside - EDU_BUF_START > EDU_BUF_SIZE - count || !count)
		return;
	inside -= EDU_BUF_START;
	/* The device does not look at the outcome; who refuses, reports. */
	if (cmd & CMD_TO_PCI)
		(void)dma_write(hw, fn, outside, edu->buf + inside, count);
	else
		(void)dma_read(hw, fn, outside, edu->buf + inside, count);
}

static bool edu_work(struct hw *hw, u32 fn, size_t budget)
{
	struct edu_state *edu = endpoint_state(hw, fn);
	u64 cmd = edu->dma_cmd;

	if (!budget)
		return (edu->status & STATUS_COMPUTING) || (cmd & CMD_RUN);
	if (edu->status & STATUS_COMPUTING) {
		edu->factorial = factorial(edu->factorial);
		edu->status &= ~STATUS_COMPUTING;
		if (edu->status & STATUS_IRQFACT)
			edu_raise(hw, fn, IRQ_FACTORIAL);
	}
	if (cmd & CMD_RUN) {
		edu_dma(hw, fn, cmd);
		edu->dma_cmd = cmd & ~CMD_RUN;
		if (cmd & CMD_IRQ)
			edu_raise(hw, fn, IRQ_DMA);
	}
	return false;
}

/*
 * What QEMU's memory core lets through to the device: 4 and 8 bytes, naturally
 * aligned. Anything else reads as zeroes and writes nothing.
 */
static bool reaches_device(u64 off, unsigned size)
{
	return (size == 4 || size == 8) && IS_ALIGNED(off, size);
}

/* Only 4 bytes below 0x80; the device answers a wrong width with all ones. */
static bool width_taken(u64 off, unsigned size)
{
	return size == 4 || off >= EDU_DMA_SRC;
}

static bool edu_takes(unsigned bar, u64 off, unsigned size)
{
	return bar != 0 || (reaches_device(off, size) && width_taken(off, size));
}

static u64 edu_read(struct hw *hw, u32 fn, unsigned bar, u64 off, unsigned size)
{
	const struct edu_state *edu = endpoint_state(hw, fn);
	u64 val = ~0ULL;

	if (bar != 0 || !reaches_device(off, size))
		return 0;
	if (!width_taken(off, size))
		return val;

	switch (off) {
	case EDU_ID:
		val = EDU_ID_VALUE;
		break;
	case EDU_LIVENESS:
		val = edu->liveness;
		break;
	case EDU_FACTORIAL:
		val = edu->factorial;
		break;
	case EDU_STATUS:
		val = edu->status;
		break;
	case EDU_IRQ_STATUS:
		val = edu->irq_status;
		break;
	case EDU_DMA_SRC:
		val = edu->dma_src;
		break;
	case EDU_DMA_DST:
		val = edu->dma_dst;
		break;
	case EDU_DMA_COUNT:
		val = edu->dma_count;
		break;
	case EDU_DMA_CMD:
		val = edu->dma_cmd;
		break;
	}
	return size == 4 ? (u32)val : val;
}

static void edu_write(struct hw *hw, u32 fn, unsigned bar, u64 off, u64 val,
		      unsigned size)
{
	struct edu_state *edu = endpoint_state(hw, fn);
	bool running = edu->dma_cmd & CMD_RUN;

	if (bar != 0 || !reaches_device(off, size) || !width_taken(off, size))
		return;
	if (size == 4)
		val = (u32)val;

	switch (off) {
	case EDU_LIVENESS:
		edu->liveness = ~val;
		break;
	case EDU_FACTORIAL:
		if (edu->status & STATUS_COMPUTING)
			break;
		edu->factorial = val;
		edu->status |= STATUS_COMPUTING;
		break;
	case EDU_STATUS:
		if (val & STATUS_IRQFACT)
			edu->status |= STATUS_IRQFACT;
		else
			edu->status &= ~STATUS_IRQFACT;
		break;
	case EDU_IRQ_RAISE:
		edu_raise(hw, fn, val);
		break;
	case EDU_IRQ_ACK:
		edu_lower(hw, fn, val);
		break;
	/* The engine's registers are locked while it runs. */
	case EDU_DMA_SRC:
		if (!running)
			edu->dma_src = val;
		break;
	case EDU_DMA_DST:
		if (!running)
			edu->dma_dst = val;
		break;
	case EDU_DMA_COUNT:
		if (!running)
			edu->dma_count = val;
		break;
	case EDU_DMA_CMD:
		if (!running && (val & CMD_RUN))
			edu->dma_cmd = val;
		break;
	}
}

const struct endpoint_model edu_model = {
	.name = "edu",
	.state_size = sizeof(struct edu_state),
	.properties = edu_properties,
	.describe = edu_describe,
	.init = edu_init,
	.reset = edu_reset,
	.takes = edu_takes,
	.mmio_read = edu_read,
	.mmio_write = edu_write,
	.work = edu_work,
};
