// SPDX-License-Identifier: MIT
/*
 * Message-signalled and pin interrupts of a function, as its hardware does them: the
 * capabilities in configuration space say what is enabled and masked, the MSI-X
 * table and pending bits lie in machine memory (hw_function.msix: the table, then
 * the PBA) and show through the function's BAR. PCI Local Bus 3.0, 6.8.
 *
 * Configuration space and the table are written by software meanwhile and may hold
 * anything; lists are walked a bounded number of steps.
 */
#include "machine/msi.h"

#include <errno.h>
#include <string.h>

#include "machine/backing.h"
#include "machine/dma.h"
#include "machine/endpoint.h"

#define PCI_COMMAND_REG	     0x04
#define PCI_COMMAND_INTX_OFF BIT(10)
#define PCI_STATUS_REG	     0x06
#define PCI_STATUS_CAPS	     BIT(4)
#define PCI_STATUS_INTX	     BIT(3)
#define PCI_CAP_PTR	     0x34
#define CAP_MSI		     0x05
#define CAP_MSIX	     0x11
#define MSI_CTRL_ENABLE	     BIT(0)
#define MSI_CTRL_MME(c)	     (((c) >> 4) & 7)
#define MSI_CTRL_64	     BIT(7)
#define MSI_CTRL_MASKABLE    BIT(8)
#define MSIX_CTRL_ENABLE     BIT(15)
#define MSIX_CTRL_MASKALL    BIT(14)
#define MSIX_ENTRY_MASKED    1

struct msix_entry_regs {
	u32 addr_lo, addr_hi, data, control;
};

static u16 config16(const struct hw_function *f, unsigned off)
{
	u16 v;

	memcpy(&v, &f->config[off & (HW_CONFIG_SIZE - 2)], 2);
	return v;
}

static u32 config32(const struct hw_function *f, unsigned off)
{
	u32 v;

	memcpy(&v, &f->config[off & (HW_CONFIG_SIZE - 4)], 4);
	return v;
}

/* Capabilities are aligned to double words, and so are their registers. */
static u32 *config_word(struct hw_function *f, unsigned off)
{
	return (u32 *)(void *)f->config + off / 4;
}

/* Offset of capability @id, with at least @size bytes behind it; 0: none. */
static unsigned find_cap(const struct hw_function *f, u8 id, unsigned size)
{
	unsigned pos, steps;

	if ((f->flags & HW_FN_PLATFORM) ||
	    !(config16(f, PCI_STATUS_REG) & PCI_STATUS_CAPS))
		return 0;
	pos = f->config[PCI_CAP_PTR] & ~3U;
	for (steps = 0; pos >= 0x40 && steps < 48; steps++) {
		if (f->config[pos] == id)
			return pos + size <= 256 ? pos : 0;
		pos = f->config[pos + 1] & ~3U;
	}
	return 0;
}

struct msi_cap {
	unsigned pos;
	u16 control;
	u64 addr;
	u16 data;
	u32 mask;
	unsigned pending_off; /* 0: not maskable */
};

static bool msi_read(const struct hw_function *f, struct msi_cap *cap)
{
	unsigned at;

	cap->pos = find_cap(f, CAP_MSI, 10);
	if (!cap->pos)
		return false;
	cap->control = config16(f, cap->pos + 2);
	cap->addr = config32(f, cap->pos + 4) & ~3U;
	at = cap->pos + 8;
	if (cap->control & MSI_CTRL_64) {
		cap->addr |= (u64)config32(f, at) << 32;
		at += 4;
	}
	cap->data = config16(f, at);
	cap->mask = 0;
	cap->pending_off = 0;
	if ((cap->control & MSI_CTRL_MASKABLE) && at + 12 <= 256) {
		cap->mask = config32(f, at + 4);
		cap->pending_off = at + 8;
	}
	return true;
}

/* A message is a write of 4 bytes like any other, wherever it goes. */
static void message(struct hw *hw, u32 fn, u64 addr, u32 data)
{
	if (addr >= MSI_WINDOW_BASE && addr <= MSI_WINDOW_LAST) {
		if (may_master(hw, fn))
			(void)irq_message(hw, fn, addr, data);
	} else {
		(void)dma_write(hw, fn, addr, &data, 4);
	}
}

static void msi_fire(struct hw *hw, u32 fn, const struct msi_cap *cap, unsigned vec)
{
	u32 count = 1U << min(MSI_CTRL_MME(cap->control), 5);

	vec &= count - 1;
	if (cap->pending_off && (cap->mask >> vec & 1)) {
		__atomic_fetch_or(config_word(&hw->functions[fn], cap->pending_off),
				  1U << vec, __ATOMIC_RELAXED);
		return;
	}
	message(hw, fn, cap->addr, (cap->data & ~(count - 1)) | vec);
}

/* The MSI-X structures of a function; false: it has none. */
struct msix {
	struct msix_entry_regs *table;
	_Atomic u64 *pba;
	u32 vectors;
	u16 control;
	u8 table_bar, pba_bar;
	u32 table_off, pba_off;
};

static bool msix_read(const struct hw *hw, u32 fn, struct msix *m)
{
	const struct hw_function *f = &hw->functions[fn];
	unsigned pos;
	u32 word;

	m->vectors = min_t(u32, f->msix_vectors, MSIX_MAX_VECTORS);
	if (!f->msix || !m->vectors)
		return false;
	pos = find_cap(f, CAP_MSIX, 12);
	if (!pos)
		return false;
	m->table = hw_state_ptr(hw, f->msix);
	m->pba = (_Atomic u64 *)(m->table + m->vectors);
	m->control = config16(f, pos + 2);
	word = config32(f, pos + 4);
	m->table_bar = word & 7;
	m->table_off = word & ~7U;
	word = config32(f, pos + 8);
	m->pba_bar = word & 7;
	m->pba_off = word & ~7U;
	return true;
}

static bool msix_masked(const struct msix *m, unsigned vec)
{
	return (m->control & MSIX_CTRL_MASKALL) ||
	       (m->table[vec].control & MSIX_ENTRY_MASKED);
}

static void msix_fire(struct hw *hw, u32 fn, const struct msix *m, unsigned vec)
{
	const struct msix_entry_regs *e = &m->table[vec];

	if (msix_masked(m, vec)) {
		atomic_fetch_or(&m->pba[vec / 64], BIT_ULL(vec % 64));
		return;
	}
	message(hw, fn, (u64)e->addr_hi << 32 | (e->addr_lo & ~3U), e->data);
}

/* Send what is pending among vectors [@first, @last] and not masked any more. */
static void msix_flush(struct hw *hw, u32 fn, const struct msix *m, unsigned first,
		       unsigned last)
{
	if (!(m->control & MSIX_CTRL_ENABLE) || (m->control & MSIX_CTRL_MASKALL))
		return;
	for (unsigned vec = first; vec <= last && vec < m->vectors; vec++) {
		u64 bit = BIT_ULL(vec % 64);

		if (!(atomic_load(&m->pba[vec / 64]) & bit) || msix_masked(m, vec))
			continue;
		atomic_fetch_and(&m->pba[vec / 64], ~bit);
		msix_fire(hw, fn, m, vec);
	}
}

static void msi_flush(struct hw *hw, u32 fn)
{
	struct hw_function *f = &hw->functions[fn];
	struct msi_cap cap;
	u32 *pending, ready;

	if (!msi_read(f, &cap) || !(cap.control & MSI_CTRL_ENABLE) || !cap.pending_off)
		return;
	pending = config_word(f, cap.pending_off);
	ready = __atomic_load_n(pending, __ATOMIC_RELAXED) & ~cap.mask;
	for (unsigned vec = 0; ready; vec++, ready >>= 1) {
		if (!(ready & 1))
			continue;
		__atomic_fetch_and(pending, ~(1U << vec), __ATOMIC_RELAXED);
		msi_fire(hw, fn, &cap, vec);
	}
}

void hw_msi_flush(struct hw *hw, u32 fn)
{
	struct msix m;
	bool locked;

	if (fn >= hw->hdr->nr_functions)
		return;
	locked = endpoint_lock(hw, fn);
	msi_flush(hw, fn);
	if (msix_read(hw, fn, &m))
		msix_flush(hw, fn, &m, 0, m.vectors - 1);
	endpoint_unlock(hw, fn, locked);
}

bool hw_msi_enabled(const struct hw *hw, u32 fn)
{
	unsigned pos = find_cap(&hw->functions[fn], CAP_MSI, 10);

	return pos && (config16(&hw->functions[fn], pos + 2) & MSI_CTRL_ENABLE);
}

bool hw_msix_enabled(const struct hw *hw, u32 fn)
{
	unsigned pos = find_cap(&hw->functions[fn], CAP_MSIX, 12);

	return pos && (config16(&hw->functions[fn], pos + 2) & MSIX_CTRL_ENABLE);
}

void hw_msi_send(struct hw *hw, u32 fn, unsigned vec)
{
	struct msi_cap cap;
	struct msix m;

	if (msix_read(hw, fn, &m) && (m.control & MSIX_CTRL_ENABLE)) {
		if (vec < m.vectors)
			msix_fire(hw, fn, &m, vec);
		return;
	}
	if (msi_read(&hw->functions[fn], &cap) && (cap.control & MSI_CTRL_ENABLE))
		msi_fire(hw, fn, &cap, vec);
}

void hw_intx_update(struct hw *hw, u32 fn)
{
	struct hw_function *f = &hw->functions[fn];
	bool level = atomic_load(&f->intx_level);

	if (!(f->flags & HW_FN_PLATFORM) &&
	    (config16(f, PCI_COMMAND_REG) & PCI_COMMAND_INTX_OFF))
		level = false;
	if (hw->ops && hw->ops->intx)
		hw->ops->intx(hw, fn, level);
}

void hw_intx_set(struct hw *hw, u32 fn, bool level)
{
	struct hw_function *f = &hw->functions[fn];
	u8 *status = &f->config[PCI_STATUS_REG];

	if (atomic_exchange(&f->intx_level, level) == level)
		return;
	if (!(f->flags & HW_FN_PLATFORM)) {
		if (level)
			__atomic_fetch_or(status, PCI_STATUS_INTX, __ATOMIC_RELAXED);
		else
			__atomic_fetch_and(status, (u8)~PCI_STATUS_INTX,
					   __ATOMIC_RELAXED);
		if (config16(f, PCI_COMMAND_REG) & PCI_COMMAND_INTX_OFF)
			return;
	}
	if (hw->ops && hw->ops->intx)
		hw->ops->intx(hw, fn, level);
}

static u32 pba_bytes(u32 vectors)
{
	return DIV_ROUND_UP(vectors, 64) * 8;
}

u64 msix_state_size(u32 vectors)
{
	return (u64)vectors * sizeof(struct msix_entry_regs) + pba_bytes(vectors);
}

void msix_reset(struct hw *hw, u32 fn)
{
	struct hw_function *f = &hw->functions[fn];
	u32 vectors = min_t(u32, f->msix_vectors, MSIX_MAX_VECTORS);
	struct msix_entry_regs *table;

	if (!f->msix || !vectors)
		return;
	table = hw_state_ptr(hw, f->msix);
	memset(table, 0, msix_state_size(vectors));
	for (u32 i = 0; i < vectors; i++)
		table[i].control = MSIX_ENTRY_MASKED;
}

static bool inside(u64 off, unsigned size, u64 start, u64 len)
{
	return off >= start && size <= len && off - start <= len - size;
}

bool msix_mmio(struct hw *hw, u32 fn, unsigned bar, u64 off, u64 *val, unsigned size,
	       bool write)
{
	struct msix m;
	u64 table_len, pba_len, at;
	u8 *p;

	if (!hw->functions[fn].msix || !msix_read(hw, fn, &m))
		return false;
	table_len = (u64)m.vectors * sizeof(*m.table);
	pba_len = pba_bytes(m.vectors);
	if (bar == m.pba_bar && inside(off, size, m.pba_off, pba_len)) {
		if (!write) {
			*val = 0;
			memcpy(val, (u8 *)m.pba + (off - m.pba_off), size);
		}
		return true;
	}
	if (bar != m.table_bar || !inside(off, size, m.table_off, table_len))
		return false;
	at = off - m.table_off;
	p = (u8 *)m.table + at;
	/* 6.8.2: software accesses the table by aligned double words or quad words. */
	if ((size != 4 && size != 8) || !IS_ALIGNED(at, size)) {
		if (!write)
			*val = ~0ULL;
		return true;
	}
	if (!write) {
		*val = 0;
		memcpy(val, p, size);
		return true;
	}
	memcpy(p, val, size);
	/* All but the mask bit of the vector control word is reserved. */
	m.table[at / 16].control &= MSIX_ENTRY_MASKED;
	msix_flush(hw, fn, &m, at / 16, at / 16);
	return true;
}
