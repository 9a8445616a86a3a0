// SPDX-License-Identifier: MIT
/*
 * What a PC's firmware does before the kernel starts: bus numbers depth first, BARs
 * and bridge windows, interrupt lines, decoding switched on. What the machine file
 * fixes stays where it is; the rest is laid out around it, larger things first.
 *
 * Bridge windows have a granularity of 4 KiB for I/O and 1 MiB for memory (PCI-to-PCI
 * Bridge 1.2, section 3.2.5). 64-bit prefetchable BARs behind a bridge go to its
 * prefetchable window, all other memory to the plain one. Interrupt pins rotate by
 * slot (section 9.1), and lines 10, 10, 11, 11 take turns, as on a PC chipset.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bitmap.h"
#include "machine/machine.h"
#include "pci/bytes.h"
#include "pci/hardware.h"
#include "pci/pci.h"

enum space { SPACE_IO, SPACE_MEM, SPACE_PREF, NR_SPACES };

/* A BAR or a window that wants a place. */
struct item {
	struct pci_function *fn;
	s8 bar; /* 0 to 6, or -1: the window of fn */
	u8 space;
	bool fixed;
	u64 size, align, addr;
};

struct layout {
	struct pci_host *host;
	struct item *items; /* by bus, in the order of discovery */
	unsigned nr, max;
	char **error;
};

static const char *const space_names[] = {"I/O ports", "memory", "prefetchable memory"};

static void __printf(2, 3) fail(char **error, const char *fmt, ...)
{
	va_list ap;

	if (!error || *error)
		return;
	va_start(ap, fmt);
	*error = kvasprintf(fmt, ap);
	va_end(ap);
}

static void name_fn(char name[24], const struct pci_function *fn)
{
	snprintf(name, 24, "%04x:%02x:%02x.%x", fn->bus->segment, fn->bus->number,
		 PCI_SLOT(fn->devfn), PCI_FUNC(fn->devfn));
}

/* ---- bus numbers ---- */

static int number_buses(struct pci_hw_bus *bus, unsigned limit, unsigned *next,
			char **error)
{
	struct pci_function *fn;
	char name[24];
	int ret;

	list_for_each_entry(fn, &bus->functions, node) {
		unsigned first = fn->desc.bus_first, last = fn->desc.bus_last;

		if (!fn->secondary)
			continue;
		name_fn(name, fn);
		if (first && (first < *next || last < first || last > limit)) {
			fail(error,
			     "bridge %s: bus numbers %u to %u are taken or out of range",
			     name, first, last);
			return -EINVAL;
		}
		if (!first)
			first = *next;
		if (first > limit) {
			fail(error, "bridge %s: no bus number left for it", name);
			return -ENOSPC;
		}
		fn->secondary->number = (u8)first;
		*next = first + 1;
		ret = number_buses(fn->secondary, last ? last : limit, next, error);
		if (ret)
			return ret;
		fn->secondary->last = (u8)(last ? last : *next - 1);
		*next = fn->secondary->last + 1U;
	}
	return 0;
}

/* ---- addresses ---- */

static enum space bar_space(const struct pci_function *fn, unsigned bar)
{
	u32 flags = fn->desc.bar[bar].flags;

	if (flags & HW_BAR_IO)
		return SPACE_IO;
	if (fn->bus->bridge && bar < HW_NR_BARS && (flags & HW_BAR_64) &&
	    (flags & HW_BAR_PREFETCH))
		return SPACE_PREF;
	return SPACE_MEM;
}

static int add_item(struct layout *l, const struct item *item)
{
	if (l->nr == l->max) {
		unsigned max = l->max ? 2 * l->max : 64;
		struct item *items = krealloc_array(l->items, max, sizeof(*items));

		if (!items)
			return -ENOMEM;
		l->items = items;
		l->max = max;
	}
	l->items[l->nr++] = *item;
	return 0;
}

/* Items of one bus in order of falling alignment, fixed ones first. */
static int item_before(const struct item *a, const struct item *b)
{
	if (a->fixed != b->fixed)
		return a->fixed;
	return a->align > b->align;
}

static void sort_items(struct item *items, unsigned nr)
{
	unsigned i, j;

	for (i = 1; i < nr; i++) {
		struct item item = items[i];

		for (j = i; j && item_before(&item, &items[j - 1]); j--)
			items[j] = items[j - 1];
		items[j] = item;
	}
}

static bool collides(const struct item *items, unsigned nr, const struct item *item,
		     u64 addr, u64 *next)
{
	bool io = item->space == SPACE_IO;
	unsigned i;

	for (i = 0; i < nr; i++) {
		const struct item *other = &items[i];

		if ((other->space == SPACE_IO) != io || !other->size)
			continue;
		if (addr < other->addr + other->size && other->addr < addr + item->size) {
			*next = other->addr + other->size;
			return true;
		}
	}
	return false;
}

/* Lowest place in [base, last] that is free of the @nr items placed already. */
static bool place(const struct item *items, unsigned nr, struct item *item, u64 base,
		  u64 last)
{
	u64 addr = ALIGN(base, item->align), next;

	while (addr >= base && addr <= last && item->size - 1 <= last - addr) {
		if (!collides(items, nr, item, addr, &next)) {
			item->addr = addr;
			return true;
		}
		addr = ALIGN(next, item->align);
	}
	return false;
}

static int collect_bus(struct layout *l, struct pci_hw_bus *bus);

static u64 window_granularity(enum space space)
{
	return space == SPACE_IO ? SZ_4K : SZ_1M;
}

/* Lay the items of one space of a bus out from 0; the size that a window needs. */
static void window_size(struct layout *l, unsigned first, struct item *window)
{
	u64 granularity = window_granularity(window->space), at = 0, align = granularity;
	unsigned i;

	for (i = first; i < l->nr; i++) {
		struct item *item = &l->items[i];

		if (item->space != window->space || item->fixed)
			continue;
		at = ALIGN(at, item->align) + item->size;
		align = max(align, item->align);
	}
	window->size = ALIGN(at, granularity);
	window->align = align;
}

/*
 * The windows of a bridge. Items behind it stay in the list: they are placed within
 * the window once that has its address, found through fn->bus.
 */
static int collect_windows(struct layout *l, struct pci_function *fn)
{
	struct item windows[NR_SPACES];
	unsigned first = l->nr, s;
	int ret;

	ret = collect_bus(l, fn->secondary);
	if (ret)
		return ret;
	for (s = 0; s < NR_SPACES; s++) {
		const struct pci_window_desc *w = &fn->desc.window[s];
		struct item *behind = l->items + first;
		unsigned nr = l->nr - first, i, n = 0;
		struct item *direct;

		windows[s] = (struct item){.fn = fn, .bar = -1, .space = (u8)s};
		if (fn->desc.has_windows && w->fixed) {
			windows[s].fixed = true;
			windows[s].addr = w->base;
			windows[s].size = w->last >= w->base ? w->last - w->base + 1 : 0;
			windows[s].align = window_granularity(s);
			continue;
		}
		/* Only what sits on the bus itself: deeper things are in those windows.
		 */
		direct = kcalloc(nr + 1, sizeof(*direct));
		if (!direct)
			return -ENOMEM;
		for (i = 0; i < nr; i++) {
			if (behind[i].fn->bus == fn->secondary && behind[i].space == s)
				direct[n++] = behind[i];
		}
		sort_items(direct, n);
		window_size(&(struct layout){.items = direct, .nr = n}, 0, &windows[s]);
		kfree(direct);
		if (fn->desc.hotplug && s != SPACE_IO && windows[s].size < SZ_2M) {
			windows[s].size = SZ_2M;
			windows[s].align = max(windows[s].align, SZ_2M);
		}
	}
	for (s = 0; s < NR_SPACES; s++) {
		ret = add_item(l, &windows[s]);
		if (ret)
			return ret;
	}
	return 0;
}

static int collect_bus(struct layout *l, struct pci_hw_bus *bus)
{
	struct pci_function *fn;
	unsigned i;
	int ret;

	list_for_each_entry(fn, &bus->functions, node) {
		for (i = 0; i <= HW_NR_BARS; i++) {
			const struct pci_bar_desc *bar = &fn->desc.bar[i];
			struct item item = {
				.fn = fn,
				.bar = (s8)i,
				.space = (u8)bar_space(fn, i),
				.fixed = bar->fixed,
				.size = bar->size,
				.align = bar->size,
				.addr = bar->addr,
			};

			if (!bar->size)
				continue;
			if (item.space != SPACE_IO && item.align < SZ_4K)
				item.align =
					SZ_4K; /* a page of its own, as for user space */
			ret = add_item(l, &item);
			if (ret)
				return ret;
		}
		if (!fn->secondary)
			continue;
		ret = collect_windows(l, fn);
		if (ret)
			return ret;
	}
	return 0;
}

static void store_item(const struct item *item)
{
	if (item->bar < 0) {
		struct pci_window_desc *w = &item->fn->desc.window[item->space];

		w->base = item->size ? item->addr : 1;
		w->last = item->size ? item->addr + item->size - 1 : 0;
	} else {
		item->fn->desc.bar[item->bar].addr = item->addr;
	}
}

static bool in_range(const struct item *item, u64 base, u64 last)
{
	return item->addr >= base && item->addr <= last &&
	       item->size - 1 <= last - item->addr;
}

static int place_item(struct layout *l, struct pci_hw_bus *bus, struct item *placed,
		      unsigned nr, struct item *item)
{
	struct pci_function *bridge = bus->bridge;
	char name[24];
	u64 next;

	name_fn(name, item->fn);
	if (!item->size)
		return 0;
	if (item->fixed) {
		if (collides(placed, nr, item, item->addr, &next)) {
			fail(l->error, "%s: %s at 0x%llx collides with something else",
			     name, space_names[item->space],
			     (unsigned long long)item->addr);
			return -EINVAL;
		}
		if (bridge &&
		    !in_range(item, bridge->desc.window[item->space].base,
			      bridge->desc.window[item->space].last) &&
		    !(item->space == SPACE_PREF &&
		      in_range(item, bridge->desc.window[SPACE_MEM].base,
			       bridge->desc.window[SPACE_MEM].last))) {
			fail(l->error,
			     "%s: %s at 0x%llx is outside the window of the bridge above",
			     name, space_names[item->space],
			     (unsigned long long)item->addr);
			return -EINVAL;
		}
		return 0;
	}
	if (bridge) {
		const struct pci_window_desc *w = &bridge->desc.window[item->space];

		if (w->last >= w->base && place(placed, nr, item, w->base, w->last))
			return 0;
	} else if (item->space == SPACE_IO) {
		if (bus->io_last >= bus->io_base &&
		    place(placed, nr, item, bus->io_base, bus->io_last))
			return 0;
	} else {
		bool wide = item->space == SPACE_PREF ||
			    (item->bar >= 0 && item->bar < HW_NR_BARS &&
			     item->fn->desc.bar[item->bar].flags & HW_BAR_64);

		if (bus->mem_last >= bus->mem_base &&
		    place(placed, nr, item, bus->mem_base, bus->mem_last))
			return 0;
		if (wide && bus->mem64_last >= bus->mem64_base &&
		    place(placed, nr, item, bus->mem64_base, bus->mem64_last))
			return 0;
	}
	fail(l->error, "%s: no room for 0x%llx bytes of %s", name,
	     (unsigned long long)item->size, space_names[item->space]);
	return -ENOSPC;
}

/* Place what sits on @bus; its bridge's windows have their addresses. */
static int place_bus(struct layout *l, struct pci_hw_bus *bus)
{
	struct pci_function *fn;
	struct item *items;
	unsigned i, nr = 0;
	int ret = 0;

	items = kcalloc(l->nr + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	for (i = 0; i < l->nr; i++) {
		if (l->items[i].fn->bus == bus)
			items[nr++] = l->items[i];
	}
	sort_items(items, nr);
	for (i = 0; i < nr && !ret; i++) {
		ret = place_item(l, bus, items, i, &items[i]);
		if (!ret)
			store_item(&items[i]);
	}
	kfree(items);
	list_for_each_entry(fn, &bus->functions, node) {
		if (ret)
			break;
		if (fn->secondary)
			ret = place_bus(l, fn->secondary);
	}
	return ret;
}

/* ---- registers ---- */

static u8 interrupt_line(const struct pci_function *fn, unsigned pin)
{
	static const u8 lines[] = {10, 10, 11, 11};
	const struct pci_hw_bus *bus = fn->bus;
	unsigned slot = PCI_SLOT(fn->devfn), swizzle = pin - 1;

	for (; bus->bridge; bus = bus->bridge->bus) {
		swizzle += slot;
		slot = PCI_SLOT(bus->bridge->devfn);
	}
	return lines[(slot <= 24 ? slot + swizzle : swizzle) & 3];
}

static void write_bars(struct pci_function *fn, u8 *cfg)
{
	unsigned i, rom = fn->secondary ? PCI_ROM_ADDRESS1 : PCI_ROM_ADDRESS;

	for (i = 0; i < HW_NR_BARS; i++) {
		const struct pci_bar_desc *bar = &fn->desc.bar[i];
		u8 *reg = cfg + PCI_BASE_ADDRESS_0 + 4 * i;
		u32 low = get32(fn->reset + PCI_BASE_ADDRESS_0 + 4 * i);

		if (!bar->size)
			continue;
		put32(reg, (u32)bar->addr | low);
		if (bar->flags & HW_BAR_64)
			put32(reg + 4, (u32)(bar->addr >> 32));
	}
	if (fn->desc.bar[HW_NR_BARS].size)
		put32(cfg + rom, (u32)fn->desc.bar[HW_NR_BARS].addr);
}

static void write_windows(struct pci_function *fn, u8 *cfg)
{
	const struct pci_window_desc *w = fn->desc.window;

	cfg[PCI_PRIMARY_BUS] = fn->bus->number;
	cfg[PCI_SECONDARY_BUS] = fn->secondary->number;
	cfg[PCI_SUBORDINATE_BUS] = fn->secondary->last;
	/* A closed window has its base above its limit. */
	cfg[PCI_IO_BASE] = (u8)((cfg[PCI_IO_BASE] & 0xf) |
				(w[0].last < w[0].base ? 0xf0 : w[0].base >> 8 & 0xf0));
	cfg[PCI_IO_LIMIT] = (u8)((cfg[PCI_IO_LIMIT] & 0xf) |
				 (w[0].last < w[0].base ? 0 : w[0].last >> 8 & 0xf0));
	if ((cfg[PCI_IO_BASE] & 0xf) == PCI_IO_RANGE_TYPE_32) {
		put16(cfg + PCI_IO_BASE_UPPER16,
		      (u16)(w[0].last < w[0].base ? 0 : w[0].base >> 16));
		put16(cfg + PCI_IO_LIMIT_UPPER16,
		      (u16)(w[0].last < w[0].base ? 0 : w[0].last >> 16));
	}
	put16(cfg + PCI_MEMORY_BASE,
	      (u16)(w[1].last < w[1].base ? 0xfff0 : w[1].base >> 16 & 0xfff0));
	put16(cfg + PCI_MEMORY_LIMIT,
	      (u16)(w[1].last < w[1].base ? 0 : w[1].last >> 16 & 0xfff0));
	put16(cfg + PCI_PREF_MEMORY_BASE,
	      (u16)((cfg[PCI_PREF_MEMORY_BASE] & 0xf) |
		    (w[2].last < w[2].base ? 0xfff0 : w[2].base >> 16 & 0xfff0)));
	put16(cfg + PCI_PREF_MEMORY_LIMIT,
	      (u16)((cfg[PCI_PREF_MEMORY_LIMIT] & 0xf) |
		    (w[2].last < w[2].base ? 0 : w[2].last >> 16 & 0xfff0)));
	if ((cfg[PCI_PREF_MEMORY_BASE] & 0xf) == PCI_PREF_RANGE_TYPE_64) {
		bool open = w[2].last >= w[2].base;

		put32(cfg + PCI_PREF_BASE_UPPER32, (u32)(open ? w[2].base >> 32 : 0));
		put32(cfg + PCI_PREF_LIMIT_UPPER32, (u32)(open ? w[2].last >> 32 : 0));
	}
}

/* Which id a request carries at the root: bridges to conventional buses put in theirs. */
static u16 requester_id(const struct pci_function *fn)
{
	const struct pci_hw_bus *bus = fn->bus;
	u16 rid = PCI_DEVID(bus->number, fn->devfn);

	for (; bus->bridge; bus = bus->bridge->bus) {
		if (bus->bridge->kind == PCI_FN_PCIE_TO_PCI)
			rid = PCI_DEVID(bus->number, 0);
		else if (bus->bridge->kind == PCI_FN_PCI_BRIDGE)
			rid = PCI_DEVID(bus->bridge->bus->number, bus->bridge->devfn);
	}
	return rid;
}

static void start_function(struct pci_host *host, struct pci_function *fn)
{
	struct hw_function *hf = &host->machine->hw.functions[fn->index];
	u8 *cfg = hf->config;

	hf->bdf = PCI_DEVID(fn->bus->number, fn->devfn);
	hf->requester_id = requester_id(fn);
	hf->present = fn->present;
	if (fn->desc.image) {
		memcpy(cfg, fn->desc.image, fn->desc.image_len);
	} else {
		put16(cfg + PCI_COMMAND,
		      PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_SERR |
			      (fn->secondary ? PCI_COMMAND_MASTER : 0));
		if (cfg[PCI_INTERRUPT_PIN] >= 1 && cfg[PCI_INTERRUPT_PIN] <= 4)
			cfg[PCI_INTERRUPT_LINE] =
				interrupt_line(fn, cfg[PCI_INTERRUPT_PIN]);
	}
	if (fn->desc.multifunction)
		cfg[PCI_HEADER_TYPE] |= PCI_HEADER_TYPE_MFD;
	write_bars(fn, cfg);
	if (fn->secondary)
		write_windows(fn, cfg);
	pci_fn_update_decode(host, fn);
}

static void start_bus(struct pci_host *host, struct pci_hw_bus *bus)
{
	struct pci_function *fn;

	list_for_each_entry(fn, &bus->functions, node) {
		start_function(host, fn);
		if (fn->secondary)
			start_bus(host, fn->secondary);
	}
	/* An image says itself what its port saw. */
	if (bus->bridge && !bus->bridge->desc.image)
		pci_hw_set_presence_bits(host, bus);
}

int pci_firmware_assign(struct pci_host *host, char **error)
{
	struct pci_hardware *hardware = host->hardware;
	struct pci_hw_bus *root;
	int ret;

	if (error)
		*error = NULL;
	list_for_each_entry(root, &hardware->roots, node) {
		struct layout l = {.host = host, .error = error};
		unsigned next = root->number + 1U;

		ret = number_buses(root, root->last, &next, error);
		if (ret)
			return ret;
		ret = collect_bus(&l, root);
		if (!ret)
			ret = place_bus(&l, root);
		kfree(l.items);
		if (ret)
			return ret;
		start_bus(host, root);
	}
	return 0;
}
