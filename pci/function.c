// SPDX-License-Identifier: MIT
/*
 * PCI functions as hardware: they come to sit on a bus, answer configuration
 * accesses, decode their BARs, and are reset. What a function holds lies in machine
 * memory, where a program may overwrite it; offsets and sizes that guide us are
 * therefore those noted here when the function was made, never re-read.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/bitmap.h"
#include "machine/dma.h"
#include "machine/machine.h"
#include "pci/bytes.h"
#include "pci/compose.h"
#include "pci/hardware.h"
#include "pci/pci.h"

static struct hw *fn_hw(struct pci_host *host)
{
	return &host->machine->hw;
}

int pci_hw_add_root(struct pci_host *host, u16 segment, u8 first, u8 last,
		    struct pci_hw_bus **out)
{
	struct pci_hw_bus *bus, *other;

	if (last < first)
		return -EINVAL;
	list_for_each_entry(other, &host->hardware->roots, node) {
		if (other->segment == segment && first <= other->last &&
		    other->number <= last)
			return -EEXIST;
	}
	bus = kzalloc(sizeof(*bus));
	if (!bus)
		return -ENOMEM;
	INIT_LIST_HEAD(&bus->functions);
	bus->segment = segment;
	bus->number = first;
	bus->last = last;
	bus->unit = -1;
	bus->io_base = bus->mem_base = bus->mem64_base = 1;
	list_add_tail(&bus->node, &host->hardware->roots);
	*out = bus;
	return 0;
}

/* ---- making a function ---- */

static void free_function(struct pci_function *fn)
{
	if (!fn)
		return;
	kfree(fn->driver);
	kfree((void *)fn->desc.image);
	kfree(fn->reset);
	kfree(fn->secondary);
	kfree(fn);
}

static struct pci_function *alloc_function(const struct pci_function_desc *desc)
{
	struct pci_function *fn = kzalloc(sizeof(*fn));

	if (!fn)
		return NULL;
	INIT_LIST_HEAD(&fn->node);
	fn->desc = *desc;
	fn->desc.image = NULL;
	fn->kind = desc->kind;
	fn->reset = kzalloc(4 * HW_CONFIG_SIZE);
	fn->driver = kstrdup(desc->driver);
	if (desc->image)
		fn->desc.image = kmemdup(desc->image, desc->image_len);
	if (desc->kind != PCI_FN_ENDPOINT)
		fn->secondary = kzalloc(sizeof(*fn->secondary));
	fn->desc.driver = fn->driver;
	fn->desc.props = NULL;
	if (!fn->reset || (desc->driver && !fn->driver) ||
	    (desc->image && !fn->desc.image) ||
	    (desc->kind != PCI_FN_ENDPOINT && !fn->secondary)) {
		free_function(fn);
		return NULL;
	}
	fn->wmask = fn->reset + HW_CONFIG_SIZE;
	fn->w1c = fn->wmask + HW_CONFIG_SIZE;
	fn->sticky = fn->w1c + HW_CONFIG_SIZE;
	return fn;
}

/* The type of an image's BAR is what its low bits say. */
static u32 image_bar_flags(const u8 *image, unsigned bar)
{
	u32 reg = get32(image + PCI_BASE_ADDRESS_0 + 4 * bar);

	if (reg & PCI_BASE_ADDRESS_SPACE_IO)
		return HW_BAR_IO;
	return ((reg & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64
			? HW_BAR_64
			: 0) |
	       (reg & PCI_BASE_ADDRESS_MEM_PREFETCH ? HW_BAR_PREFETCH : 0) | HW_BAR_MMAP;
}

/* BARs from the model or the image, checked. */
static int settle_bars(struct pci_function *fn, const struct endpoint_pci_info *info)
{
	bool bridge = fn->kind != PCI_FN_ENDPOINT;
	struct pci_bar_desc *bar = fn->desc.bar;
	unsigned i;

	for (i = 0; i < HW_NR_BARS; i++) {
		if (fn->desc.model) {
			bar[i].size = info->bar[i].size;
			bar[i].flags = info->bar[i].flags;
		}
		if (fn->desc.image && bar[i].size)
			bar[i].flags = image_bar_flags(fn->desc.image, i);
		if (fn->desc.image && bar[i].size && !bar[i].fixed) {
			u64 reg = get32(fn->desc.image + PCI_BASE_ADDRESS_0 + 4 * i);

			if (bar[i].flags & HW_BAR_64 && i + 1 < (bridge ? 2 : HW_NR_BARS))
				reg |= (u64)get32(fn->desc.image + PCI_BASE_ADDRESS_0 +
						  4 * i + 4)
				       << 32;
			bar[i].addr = reg & (bar[i].flags & HW_BAR_IO
						     ? PCI_BASE_ADDRESS_IO_MASK
						     : PCI_BASE_ADDRESS_MEM_MASK);
			bar[i].fixed = bar[i].addr != 0;
		}
		if (bar[i].size && (!is_power_of_2(bar[i].size) ||
				    (bar[i].fixed && bar[i].addr & (bar[i].size - 1))))
			return -EINVAL;
	}
	return 0;
}

static void settle_windows(struct pci_function *fn)
{
	const u8 *r = fn->desc.image;
	struct pci_window_desc *w = fn->desc.window;
	u64 base, limit;

	if (!r || fn->kind == PCI_FN_ENDPOINT)
		return;
	if (!fn->desc.bus_first && r[PCI_SECONDARY_BUS]) {
		fn->desc.bus_first = r[PCI_SECONDARY_BUS];
		fn->desc.bus_last = r[PCI_SUBORDINATE_BUS];
	}
	if (fn->desc.has_windows)
		return;
	fn->desc.has_windows = true;
	base = (r[PCI_IO_BASE] & 0xf0) << 8;
	limit = (r[PCI_IO_LIMIT] & 0xf0) << 8 | 0xfff;
	if ((r[PCI_IO_BASE] & 0xf) == PCI_IO_RANGE_TYPE_32) {
		base |= (u64)get16(r + PCI_IO_BASE_UPPER16) << 16;
		limit |= (u64)get16(r + PCI_IO_LIMIT_UPPER16) << 16;
	}
	w[0] = (struct pci_window_desc){base, limit, true};
	base = (u64)(get16(r + PCI_MEMORY_BASE) & 0xfff0) << 16;
	limit = (u64)(get16(r + PCI_MEMORY_LIMIT) & 0xfff0) << 16 | 0xfffff;
	w[1] = (struct pci_window_desc){base, limit, true};
	base = (u64)(get16(r + PCI_PREF_MEMORY_BASE) & 0xfff0) << 16 |
	       (u64)get32(r + PCI_PREF_BASE_UPPER32) << 32;
	limit = (u64)(get16(r + PCI_PREF_MEMORY_LIMIT) & 0xfff0) << 16 | 0xfffff |
		(u64)get32(r + PCI_PREF_LIMIT_UPPER32) << 32;
	w[2] = (struct pci_window_desc){base, limit, true};
	for (unsigned i = 0; i < 3; i++) {
		if (!w[i].base)
			w[i] = (struct pci_window_desc){1, 0, true};
	}
}

static void init_hw_function(struct pci_host *host, struct pci_function *fn,
			     const struct endpoint_pci_info *info)
{
	struct hw_function *hf = &fn_hw(host)->functions[fn->index];
	unsigned i;

	hf->segment = fn->bus->segment;
	hf->unit = fn->desc.unit;
	hf->max_payload = 128;
	hf->flags = (fn->desc.async ? HW_FN_ASYNC : 0) |
		    (fn->desc.no_mmap ? HW_FN_NO_MMAP : 0);
	for (i = 0; i <= HW_NR_BARS; i++) {
		hf->bar[i].phys = 0;
		hf->bar[i].size = fn->desc.bar[i].size;
		hf->bar[i].flags = fn->desc.bar[i].flags;
		if (fn->desc.no_mmap)
			hf->bar[i].flags &= ~HW_BAR_MMAP;
	}
	if (hf->bar[HW_NR_BARS].size)
		hf->bar[HW_NR_BARS].flags |= HW_BAR_ROM;
}

/* Registers behind the BARs: the model, or an MSI-X table alone. */
static int init_endpoint(struct pci_host *host, struct pci_function *fn, const u64 *props)
{
	struct hw *hw = fn_hw(host);

	hw->functions[fn->index].present = 1;
	if (fn->desc.model)
		return endpoint_create(hw, fn->index, fn->desc.model, props);
	if (fn->msix_cap)
		return endpoint_msix_alloc(
			hw, fn->index,
			(get16(fn->reset + fn->msix_cap + PCI_MSIX_FLAGS) &
			 PCI_MSIX_FLAGS_QSIZE) +
				1);
	return 0;
}

static int insert_function(struct pci_hw_bus *bus, struct pci_function *fn)
{
	struct pci_function *other;

	list_for_each_entry(other, &bus->functions, node) {
		if (other->devfn == fn->devfn)
			return -EEXIST;
		if (other->devfn > fn->devfn)
			break;
	}
	list_insert_between(&fn->node, other->node.prev, &other->node);
	return 0;
}

int pci_hw_add_function(struct pci_host *host, struct pci_hw_bus *bus, u8 devfn,
			const struct pci_function_desc *desc, struct pci_function **out)
{
	struct pci_hardware *hardware = host->hardware;
	const struct endpoint_model *model = NULL;
	struct endpoint_pci_info info = desc->info;
	struct pci_function *fn;
	int ret;

	if (desc->model) {
		if (desc->model >= ENDPOINT_MAX_MODELS || !fn_hw(host)->endpoint_models)
			return -EINVAL;
		model = fn_hw(host)->endpoint_models[desc->model];
		if (!model || desc->kind != PCI_FN_ENDPOINT)
			return -EINVAL;
		memset(&info, 0, sizeof(info));
		model->describe(desc->props, &info);
	}
	if (hardware->nr_functions >= hardware->max_functions)
		return -ENOSPC;
	fn = alloc_function(desc);
	if (!fn)
		return -ENOMEM;
	fn->devfn = devfn;
	fn->bus = bus;
	fn->index = hardware->nr_functions;
	if (fn->desc.unit < 0)
		fn->desc.unit = bus->unit;
	ret = settle_bars(fn, &info);
	if (ret)
		goto err_free;
	settle_windows(fn);
	ret = pci_compose(fn, &info);
	if (ret)
		goto err_free;
	init_hw_function(host, fn, &info);
	pci_derive_masks(fn, fn_hw(host)->functions[fn->index].bar);
	ret = insert_function(bus, fn);
	if (ret)
		goto err_free;
	if (fn->secondary) {
		INIT_LIST_HEAD(&fn->secondary->functions);
		INIT_LIST_HEAD(&fn->secondary->node);
		fn->secondary->bridge = fn;
		fn->secondary->segment = bus->segment;
		fn->secondary->unit = fn->desc.unit;
		fn->secondary->conventional = desc->kind == PCI_FN_PCIE_TO_PCI ||
					      desc->kind == PCI_FN_PCI_BRIDGE;
	}
	memcpy(fn_hw(host)->functions[fn->index].config, fn->reset, HW_CONFIG_SIZE);
	ret = init_endpoint(host, fn, desc->props);
	if (ret)
		goto err_remove;
	fn->present = !desc->absent;
	hardware->by_index[fn->index] = fn;
	hardware->nr_functions++;
	if (out)
		*out = fn;
	return 0;

err_remove:
	list_del(&fn->node);
err_free:
	fn_hw(host)->functions[fn->index].present = 0;
	free_function(fn);
	return ret;
}

static void free_bus_functions(struct pci_hw_bus *bus)
{
	struct pci_function *fn, *tmp;

	list_for_each_entry_safe(fn, tmp, &bus->functions, node) {
		if (fn->secondary)
			free_bus_functions(fn->secondary);
		list_del(&fn->node);
		free_function(fn);
	}
}

int pci_hardware_create(struct pci_host *host, u32 max_functions)
{
	struct pci_hardware *hardware = kzalloc(sizeof(*hardware));

	if (!hardware)
		return -ENOMEM;
	hardware->machine = host->machine;
	hardware->max_functions = max_functions;
	hardware->by_index = kcalloc(max_functions, sizeof(*hardware->by_index));
	if (!hardware->by_index) {
		kfree(hardware);
		return -ENOMEM;
	}
	mutex_init(&hardware->lock);
	INIT_LIST_HEAD(&hardware->roots);
	host->hardware = hardware;
	return 0;
}

void pci_hardware_destroy(struct pci_host *host)
{
	struct pci_hardware *hardware = host->hardware;
	struct pci_hw_bus *bus, *tmp;

	if (!hardware)
		return;
	list_for_each_entry_safe(bus, tmp, &hardware->roots, node) {
		free_bus_functions(bus);
		list_del(&bus->node);
		kfree(bus);
	}
	mutex_destroy(&hardware->lock);
	kfree(hardware->by_index);
	kfree(hardware);
	host->hardware = NULL;
}

/* ---- finding ---- */

static struct pci_hw_bus *find_bus(struct pci_hw_bus *bus, u8 number)
{
	struct pci_function *fn;

	if (bus->number == number)
		return bus;
	list_for_each_entry(fn, &bus->functions, node) {
		if (fn->secondary && fn->present && fn->secondary->number <= number &&
		    number <= fn->secondary->last && fn->secondary->number)
			return find_bus(fn->secondary, number);
	}
	return NULL;
}

struct pci_function *pci_hw_find(struct pci_host *host, u16 segment, u8 number, u8 devfn)
{
	struct pci_hw_bus *root, *bus;
	struct pci_function *fn;

	list_for_each_entry(root, &host->hardware->roots, node) {
		if (root->segment != segment || number < root->number ||
		    number > root->last)
			continue;
		bus = find_bus(root, number);
		if (!bus)
			return NULL;
		list_for_each_entry(fn, &bus->functions, node) {
			if (fn->devfn == devfn)
				return fn->present ? fn : NULL;
		}
	}
	return NULL;
}

struct pci_function *pci_hw_by_index(struct pci_host *host, u32 index)
{
	return index < host->hardware->nr_functions ? host->hardware->by_index[index]
						    : NULL;
}

int pci_hw_free_slot(struct pci_hw_bus *bus, unsigned first)
{
	unsigned slot, last = bus->bridge && !bus->conventional ? 0 : 31;
	struct pci_function *fn;
	u32 used = 0;

	list_for_each_entry(fn, &bus->functions, node)
		used |= BIT(PCI_SLOT(fn->devfn));
	for (slot = first; slot <= last; slot++) {
		if (!(used & BIT(slot)))
			return (int)slot;
	}
	return -ENOSPC;
}

/* ---- registers ---- */

/* Where BARs decode follows the command register and the power state. */
void pci_fn_update_decode(struct pci_host *host, struct pci_function *fn)
{
	struct hw_function *hf = &fn_hw(host)->functions[fn->index];
	u16 command = get16(hf->config + PCI_COMMAND);
	unsigned rom_reg =
			 fn->kind == PCI_FN_ENDPOINT ? PCI_ROM_ADDRESS : PCI_ROM_ADDRESS1,
		 i;
	bool d0 = !fn->pm_cap || !(get16(hf->config + fn->pm_cap + PCI_PM_CTRL) &
				   PCI_PM_CTRL_STATE_MASK);

	for (i = 0; i < HW_NR_BARS; i++) {
		const struct pci_bar_desc *bar = &fn->desc.bar[i];
		const u8 *reg = hf->config + PCI_BASE_ADDRESS_0 + 4 * i;
		phys_addr_t phys = 0;

		if (!bar->size)
			continue;
		if (d0 && fn->present && bar->flags & HW_BAR_IO &&
		    command & PCI_COMMAND_IO)
			phys = get32(reg) & PCI_BASE_ADDRESS_IO_MASK;
		if (d0 && fn->present && !(bar->flags & HW_BAR_IO) &&
		    command & PCI_COMMAND_MEMORY)
			phys = (bar->flags & HW_BAR_64 ? get64(reg) : get32(reg)) &
			       PCI_BASE_ADDRESS_MEM_MASK;
		__atomic_store_n(&hf->bar[i].phys, phys, __ATOMIC_RELEASE);
	}
	if (fn->desc.bar[HW_NR_BARS].size) {
		u32 rom = get32(hf->config + rom_reg);
		bool on = d0 && fn->present && rom & PCI_ROM_ADDRESS_ENABLE &&
			  command & PCI_COMMAND_MEMORY;

		__atomic_store_n(&hf->bar[HW_NR_BARS].phys,
				 on ? rom & PCI_ROM_ADDRESS_MASK : 0, __ATOMIC_RELEASE);
	}
}

u32 pci_fn_config_read(struct pci_host *host, struct pci_function *fn, u16 off, u8 size)
{
	struct hw_function *hf = &fn_hw(host)->functions[fn->index];
	u8 buf[4];

	if (off >= HW_CONFIG_SIZE || (size != 1 && size != 2 && size != 4) || off % size)
		return ~0U;
	if (off >= fn->cfg_size) /* conventional: no such registers */
		return ~0U;
	memcpy(buf, hf->config + off, size);
	if (off <= PCI_STATUS && off + size > PCI_STATUS &&
	    atomic_load_explicit(&hf->intx_level, memory_order_relaxed))
		buf[PCI_STATUS - off] |= PCI_STATUS_INTERRUPT;
	return get_size(buf, size);
}

static void secondary_reset(struct pci_host *host, struct pci_hw_bus *bus)
{
	struct pci_function *fn;

	list_for_each_entry(fn, &bus->functions, node) {
		if (!fn->present)
			continue;
		pci_fn_reset(host, fn, false);
		if (fn->secondary)
			secondary_reset(host, fn->secondary);
	}
}

void pci_fn_reset(struct pci_host *host, struct pci_function *fn, bool function_level)
{
	struct hw_function *hf = &fn_hw(host)->functions[fn->index];
	unsigned i;

	for (i = 0; i < fn->cfg_size; i++) {
		u8 keep = function_level ? fn->sticky[i] : 0;

		hf->config[i] = (u8)((hf->config[i] & keep) | (fn->reset[i] & ~keep));
	}
	pci_fn_update_decode(host, fn);
	endpoint_reset(fn_hw(host), fn->index);
}

struct side_effects {
	bool decode, flr, soft_reset, bus_reset, msi, intx;
};

static bool overlaps(u16 off, u8 size, unsigned start, unsigned len)
{
	return off < start + len && start < off + (unsigned)size;
}

/* What a write sets going besides the bits it changes. */
static void decode_effects(struct pci_function *fn, const u8 *old, const u8 *now, u16 off,
			   u8 size, const u8 *written, struct side_effects *fx)
{
	bool bridge = fn->kind != PCI_FN_ENDPOINT;

	fx->decode = overlaps(off, size, PCI_COMMAND, 2) ||
		     overlaps(off, size, PCI_BASE_ADDRESS_0, bridge ? 8 : 24) ||
		     overlaps(off, size, bridge ? PCI_ROM_ADDRESS1 : PCI_ROM_ADDRESS, 4);
	if (bridge && overlaps(off, size, PCI_BRIDGE_CONTROL, 1))
		fx->bus_reset = now[PCI_BRIDGE_CONTROL] & ~old[PCI_BRIDGE_CONTROL] &
				PCI_BRIDGE_CTL_BUS_RESET;
	if (fn->pm_cap && overlaps(off, size, fn->pm_cap + PCI_PM_CTRL, 1)) {
		u8 was = old[fn->pm_cap + PCI_PM_CTRL],
		   is = now[fn->pm_cap + PCI_PM_CTRL];

		fx->decode = true;
		fx->soft_reset = (was & PCI_PM_CTRL_STATE_MASK) == 3 &&
				 !(is & PCI_PM_CTRL_STATE_MASK) &&
				 !(is & PCI_PM_CTRL_NO_SOFT_RESET);
	}
	if (fn->pcie_cap && overlaps(off, size, fn->pcie_cap + PCI_EXP_DEVCTL + 1, 1) &&
	    get32(fn->reset + fn->pcie_cap + PCI_EXP_DEVCAP) & PCI_EXP_DEVCAP_FLR)
		fx->flr = written[fn->pcie_cap + PCI_EXP_DEVCTL + 1 - off] &
			  (PCI_EXP_DEVCTL_BCR_FLR >> 8);
	if (fn->af_cap && overlaps(off, size, fn->af_cap + PCI_AF_CTRL, 1) &&
	    fn->reset[fn->af_cap + PCI_AF_CAP] & PCI_AF_CAP_FLR)
		fx->flr = written[fn->af_cap + PCI_AF_CTRL - off] & PCI_AF_CTRL_FLR;
	/* What became pending while it was masked goes out when the mask goes. */
	fx->msi = (fn->msi_cap && overlaps(off, size, fn->msi_cap, 24)) ||
		  (fn->msix_cap && overlaps(off, size, fn->msix_cap + PCI_MSIX_FLAGS, 2));
	fx->intx = overlaps(off, size, PCI_COMMAND, 2) &&
		   (get16(old + PCI_COMMAND) ^ get16(now + PCI_COMMAND)) &
			   PCI_COMMAND_INTX_DISABLE;
}

/* D1 and D2 exist only where the capability says so; a write of them is ignored. */
static void fix_power_state(struct pci_function *fn, const u8 *old, u8 *cfg)
{
	u16 pmc = get16(fn->reset + fn->pm_cap + PCI_PM_PMC);
	u8 *reg = cfg + fn->pm_cap + PCI_PM_CTRL;
	u8 state = *reg & PCI_PM_CTRL_STATE_MASK;

	if ((state == 1 && !(pmc & 0x0200)) || (state == 2 && !(pmc & 0x0400)))
		*reg = (u8)((*reg & ~PCI_PM_CTRL_STATE_MASK) |
			    (old[fn->pm_cap + PCI_PM_CTRL] & PCI_PM_CTRL_STATE_MASK));
}

void pci_fn_config_write(struct pci_host *host, struct pci_function *fn, u16 off, u32 val,
			 u8 size)
{
	struct hw_function *hf = &fn_hw(host)->functions[fn->index];
	struct side_effects fx = {0};
	u8 old[256], written[4];
	unsigned i;

	if ((size != 1 && size != 2 && size != 4) || off % size || off >= fn->cfg_size)
		return;
	put32(written, val);
	mutex_lock(&host->hardware->lock);
	memcpy(old, hf->config, sizeof(old));
	for (i = 0; i < size; i++) {
		u8 *byte = &hf->config[off + i], w = fn->wmask[off + i];

		*byte = (u8)(((*byte & ~w) | (written[i] & w)) &
			     ~(written[i] & fn->w1c[off + i]));
	}
	if (fn->pm_cap && overlaps(off, size, fn->pm_cap + PCI_PM_CTRL, 1))
		fix_power_state(fn, old, hf->config);
	decode_effects(fn, old, hf->config, off, size, written, &fx);
	mutex_unlock(&host->hardware->lock);
	/* An interrupt that the rest brings about may come back here: no lock is held. */
	if (fx.flr)
		pci_fn_reset(host, fn, true);
	else if (fx.soft_reset)
		pci_fn_reset(host, fn, true);
	else if (fx.decode)
		pci_fn_update_decode(host, fn);
	if (fx.bus_reset && fn->secondary)
		secondary_reset(host, fn->secondary);
	if (fx.msi)
		hw_msi_flush(fn_hw(host), fn->index);
	if (fx.intx)
		hw_intx_update(fn_hw(host), fn->index);
}

/* ---- hot plug ---- */

void pci_hw_set_presence_bits(struct pci_host *host, struct pci_hw_bus *bus)
{
	struct pci_function *port = bus->bridge, *fn;
	bool here = false;
	u8 *exp;

	if (!port || !port->pcie_cap ||
	    !(get16(port->reset + port->pcie_cap + PCI_EXP_FLAGS) & PCI_EXP_FLAGS_SLOT))
		return;
	list_for_each_entry(fn, &bus->functions, node)
		here |= fn->present;
	exp = fn_hw(host)->functions[port->index].config + port->pcie_cap;
	put16(exp + PCI_EXP_SLTSTA,
	      (u16)((get16(exp + PCI_EXP_SLTSTA) & ~PCI_EXP_SLTSTA_PDS) |
		    (here ? PCI_EXP_SLTSTA_PDS : 0)));
	put16(exp + PCI_EXP_LNKSTA,
	      (u16)((get16(exp + PCI_EXP_LNKSTA) & ~PCI_EXP_LNKSTA_DLLLA) |
		    (here ? PCI_EXP_LNKSTA_DLLLA : 0)));
}

void pci_hw_set_presence(struct pci_host *host, struct pci_function *fn, bool present)
{
	struct hw_function *hf = &fn_hw(host)->functions[fn->index];

	fn->present = present;
	hf->present = present;
	pci_fn_reset(host, fn, false);
	pci_hw_set_presence_bits(host, fn->bus);
}

void pci_hw_plug(struct pci_host *host, struct pci_function *fn)
{
	pci_hw_set_presence(host, fn, true);
}

void pci_hw_unplug(struct pci_host *host, struct pci_function *fn)
{
	pci_hw_set_presence(host, fn, false);
}
