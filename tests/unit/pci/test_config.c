// SPDX-License-Identifier: MIT
/*
 * Configuration space as hardware: what is composed, what can be written, what resets
 * do; and what firmware and enumeration make of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "machine/dma.h"
#include "machine/machine.h"
#include "pci/function.h"
#include "pci/pci.h"

static unsigned resets;

static void model_describe(const u64 *props, struct endpoint_pci_info *info)
{
	*info = (struct endpoint_pci_info){
		.vendor = 0x1234,
		.device = 0x5678,
		.class = 0x088000,
		.revision = 3,
		.subsystem_vendor = 0x1af4,
		.subsystem = 0x1100,
		.intx_pin = 1,
		.bar = {[0] = {SZ_64K, HW_BAR_MMAP},
			[2] = {SZ_1M, HW_BAR_64 | HW_BAR_PREFETCH | HW_BAR_MMAP},
			[4] = {256, HW_BAR_IO}},
		.msi_vectors = 8,
		.msi_64 = true,
		.msi_maskable = true,
		.msix_vectors = 4,
		.msix_bar = 0,
		.msix_table = 0x8000,
		.msix_pba = 0x9000,
		.pcie = true,
		.flr = true,
		.pm = true,
	};
}

static void model_init(struct hw *hw, u32 fn, const u64 *props)
{
}

static void model_reset(struct hw *hw, u32 fn)
{
	resets++;
}

static u64 model_read(struct hw *hw, u32 fn, unsigned bar, u64 off, unsigned size)
{
	return 0;
}

static void model_write(struct hw *hw, u32 fn, unsigned bar, u64 off, u64 val,
			unsigned size)
{
}

static const struct endpoint_model model = {
	.name = "test",
	.state_size = 64,
	.describe = model_describe,
	.init = model_init,
	.reset = model_reset,
	.mmio_read = model_read,
	.mmio_write = model_write,
};
static const struct endpoint_model *const models[ENDPOINT_MAX_MODELS] = {NULL, &model};

struct fixture {
	struct machine *m;
	struct pci_host *host;
	struct pci_hw_bus *root;
	struct pci_function *port, *fn, *bridge, *behind;
};

static struct pci_function *add(struct fixture *f, struct pci_hw_bus *bus, u8 devfn,
				const struct pci_function_desc *desc)
{
	struct pci_function *fn = NULL;

	assert_int_equal(pci_hw_add_function(f->host, bus, devfn, desc, &fn), 0);
	return fn;
}

/* 00:01.0 port with ACS - 01:00.0 model; 00:02.0 PCIe-to-PCI bridge - 02:03.0 model */
static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct pci_function_desc port = {.kind = PCI_FN_ROOT_PORT,
					 .acs = true,
					 .unit = -1,
					 .hotplug = true,
					 .slot_number = 7};
	struct pci_function_desc end = {.model = 1, .unit = -1};
	struct pci_function_desc bridge = {.kind = PCI_FN_PCIE_TO_PCI, .unit = -1};
	char *error = NULL;

	assert_int_equal(machine_create(&f->m, SZ_2M, 16, ""), 0);
	f->m->hw.endpoint_models = models;
	assert_int_equal(pci_host_create(f->m, &f->host), 0);
	assert_int_equal(pci_hw_add_root(f->host, 0, 0, 0xff, &f->root), 0);
	f->root->io_base = 0x1000;
	f->root->io_last = 0xffff;
	f->root->mem_base = 0xe0000000;
	f->root->mem_last = 0xefffffff;
	f->root->mem64_base = 1;
	f->root->mem64_last = 0;
	f->port = add(f, f->root, PCI_DEVFN(1, 0), &port);
	f->fn = add(f, f->port->secondary, 0, &end);
	f->bridge = add(f, f->root, PCI_DEVFN(2, 0), &bridge);
	f->behind = add(f, f->bridge->secondary, PCI_DEVFN(3, 0), &end);
	assert_int_equal(pci_firmware_assign(f->host, &error), 0);
	resets = 0;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pci_host_destroy(f->host);
	machine_destroy(f->m);
	free(f);
	return 0;
}

static u32 rd(struct fixture *f, struct pci_function *fn, u16 off, u8 size)
{
	return pci_fn_config_read(f->host, fn, off, size);
}

static void wr(struct fixture *f, struct pci_function *fn, u16 off, u32 val, u8 size)
{
	pci_fn_config_write(f->host, fn, off, val, size);
}

static void header_composed_reads_back(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rd(f, f->fn, PCI_VENDOR_ID, 4), 0x56781234);
	assert_int_equal(rd(f, f->fn, PCI_CLASS_REVISION, 4), 0x08800003);
	assert_int_equal(rd(f, f->fn, PCI_SUBSYSTEM_VENDOR_ID, 4), 0x11001af4);
	assert_int_equal(rd(f, f->fn, PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
	assert_int_equal(rd(f, f->port, PCI_HEADER_TYPE, 1), PCI_HEADER_TYPE_BRIDGE);
	assert_int_equal(rd(f, f->fn, 0x3ff0, 4), ~0U);
}

static void bar_sizing_gives_size_and_type(void **state)
{
	struct fixture *f = *state;

	wr(f, f->fn, 0x10, ~0U, 4);
	assert_int_equal(rd(f, f->fn, 0x10, 4), 0xffff0000);
	wr(f, f->fn, 0x18, ~0U, 4);
	wr(f, f->fn, 0x1c, ~0U, 4);
	assert_int_equal(rd(f, f->fn, 0x18, 4), 0xfff0000c);
	assert_int_equal(rd(f, f->fn, 0x1c, 4), 0xffffffff);
	wr(f, f->fn, 0x20, ~0U, 4);
	assert_int_equal(rd(f, f->fn, 0x20, 4), 0xffffff01);
	wr(f, f->fn, 0x14, ~0U, 4);
	assert_int_equal(rd(f, f->fn, 0x14, 4), 0);
}

static void bar_write_by_bytes_moves_decoding(void **state)
{
	struct fixture *f = *state;
	struct hw_bar *bar = f->m->hw.functions[f->fn->index].bar;
	unsigned i;

	for (i = 0; i < 4; i++)
		wr(f, f->fn, 0x10 + i, 0xe1230000U >> 8 * i & 0xff, 1);
	assert_int_equal(bar[0].phys, 0xe1230000);
	wr(f, f->fn, PCI_COMMAND, PCI_COMMAND_IO, 2);
	assert_int_equal(bar[0].phys, 0);
	assert_int_not_equal(bar[4].phys, 0);
	wr(f, f->fn, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	assert_int_equal(bar[0].phys, 0xe1230000);
	assert_int_equal(bar[4].phys, 0);
}

static void read_only_bits_stay(void **state)
{
	struct fixture *f = *state;
	u8 before[4096], after[4096];
	unsigned i;

	for (i = 0; i < 4096; i++)
		before[i] = (u8)rd(f, f->fn, i, 1);
	for (i = 0; i < 4096; i++) {
		/* Not what sets something going. */
		if (i == f->fn->pcie_cap + PCI_EXP_DEVCTL + 1U)
			continue;
		wr(f, f->fn, i, (u8)~before[i], 1);
	}
	for (i = 0; i < 4096; i++)
		after[i] = (u8)rd(f, f->fn, i, 1);
	for (i = 0; i < 4096; i++) {
		u8 fixed = (u8) ~(f->fn->wmask[i] | f->fn->w1c[i]);

		assert_int_equal(before[i] & fixed, after[i] & fixed);
	}
	assert_int_equal(rd(f, f->fn, PCI_VENDOR_ID, 4), 0x56781234);
}

static void command_takes_defined_bits_only(void **state)
{
	struct fixture *f = *state;

	wr(f, f->fn, PCI_COMMAND, 0xffff, 2);
	assert_int_equal(rd(f, f->fn, PCI_COMMAND, 2),
			 PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
				 PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
}

static void status_bits_clear_on_one(void **state)
{
	struct fixture *f = *state;
	u8 *cfg = f->m->hw.functions[f->fn->index].config;

	cfg[PCI_STATUS + 1] |= 0x20; /* received master abort */
	wr(f, f->fn, PCI_STATUS, 0, 2);
	assert_int_equal(rd(f, f->fn, PCI_STATUS, 2) & 0x2000, 0x2000);
	wr(f, f->fn, PCI_STATUS, 0x2000, 2);
	assert_int_equal(rd(f, f->fn, PCI_STATUS, 2) & 0x2000, 0);
}

static void intx_level_shows_in_status(void **state)
{
	struct fixture *f = *state;

	atomic_store(&f->m->hw.functions[f->fn->index].intx_level, 1);
	assert_int_equal(rd(f, f->fn, PCI_COMMAND, 4) >> 16 & PCI_STATUS_INTERRUPT,
			 PCI_STATUS_INTERRUPT);
	atomic_store(&f->m->hw.functions[f->fn->index].intx_level, 0);
	assert_int_equal(rd(f, f->fn, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, 0);
}

static void flr_resets_registers_and_model(void **state)
{
	struct fixture *f = *state;
	u16 devctl = f->fn->pcie_cap + PCI_EXP_DEVCTL;

	wr(f, f->fn, PCI_COMMAND, 7, 2);
	wr(f, f->fn, devctl, rd(f, f->fn, devctl, 2) | PCI_EXP_DEVCTL_BCR_FLR, 2);
	assert_int_equal(resets, 1);
	assert_int_equal(rd(f, f->fn, PCI_COMMAND, 2), 0);
	assert_int_equal(rd(f, f->fn, 0x10, 4), 0);
	assert_int_equal(rd(f, f->fn, devctl, 2) & PCI_EXP_DEVCTL_BCR_FLR, 0);
	assert_int_equal(f->m->hw.functions[f->fn->index].bar[0].phys, 0);
}

static void d3_ends_decoding_and_d0_resets(void **state)
{
	struct fixture *f = *state;
	u16 csr = f->fn->pm_cap + PCI_PM_CTRL;

	assert_int_not_equal(f->m->hw.functions[f->fn->index].bar[0].phys, 0);
	wr(f, f->fn, csr, 3, 2);
	assert_int_equal(f->m->hw.functions[f->fn->index].bar[0].phys, 0);
	assert_int_equal(resets, 0);
	wr(f, f->fn, csr, 1, 2); /* there is no D1: nothing happens */
	assert_int_equal(rd(f, f->fn, csr, 2) & 3, 3);
	wr(f, f->fn, csr, 0, 2);
	assert_int_equal(resets, 1);
	assert_int_equal(rd(f, f->fn, PCI_COMMAND, 2), 0);
}

static void secondary_bus_reset_reaches_all_below(void **state)
{
	struct fixture *f = *state;

	wr(f, f->port, PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_BUS_RESET, 2);
	assert_int_equal(resets, 1);
	assert_int_equal(rd(f, f->fn, PCI_COMMAND, 2), 0);
	wr(f, f->port, PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_BUS_RESET, 2);
	assert_int_equal(resets, 1); /* still held */
	wr(f, f->port, PCI_BRIDGE_CONTROL, 0, 2);
	assert_int_not_equal(rd(f, f->behind, PCI_COMMAND, 2), 0);
}

static void msi_registers_have_their_masks(void **state)
{
	struct fixture *f = *state;
	u16 msi = f->fn->msi_cap;

	wr(f, f->fn, msi + PCI_MSI_FLAGS, 0xffff & ~PCI_MSI_FLAGS_ENABLE, 2);
	assert_int_equal(rd(f, f->fn, msi + PCI_MSI_FLAGS, 2),
			 PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT |
				 PCI_MSI_FLAGS_QSIZE | 3 << 1);
	wr(f, f->fn, msi + PCI_MSI_ADDRESS_LO, ~0U, 4);
	assert_int_equal(rd(f, f->fn, msi + PCI_MSI_ADDRESS_LO, 4), 0xfffffffc);
	wr(f, f->fn, msi + PCI_MSI_MASK_64, ~0U, 4);
	assert_int_equal(rd(f, f->fn, msi + PCI_MSI_MASK_64, 4), 0xff);
	wr(f, f->fn, msi + PCI_MSI_PENDING_64, ~0U, 4);
	assert_int_equal(rd(f, f->fn, msi + PCI_MSI_PENDING_64, 4), 0);
	wr(f, f->fn, f->fn->msix_cap + PCI_MSIX_FLAGS, 0xffff, 2);
	assert_int_equal(rd(f, f->fn, f->fn->msix_cap + PCI_MSIX_FLAGS, 2), 0xc003);
}

static void msix_enabled_or_unmasked_sends_what_is_pending(void **state)
{
	struct fixture *f = *state;
	struct hw *hw = &f->m->hw;
	u16 flags = f->fn->msix_cap + PCI_MSIX_FLAGS;
	u32 *target, entry[4] = {0, 0, 77, 0};
	phys_addr_t phys;

	assert_int_equal(ram_alloc_pages(f->m, 0, &phys), 0);
	target = ram_ptr(hw, phys, PAGE_SIZE);
	entry[0] = (u32)phys;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(endpoint_mmio_write(hw, f->fn->index, 0,
						     0x8000 + 16 + 4 * i, &entry[i], 4),
				 0);
	wr(f, f->fn, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	/* The function's mask. */
	wr(f, f->fn, flags, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 2);
	hw_msi_send(hw, f->fn->index, 1);
	assert_int_equal(*target, 0);
	wr(f, f->fn, flags, PCI_MSIX_FLAGS_ENABLE, 2);
	assert_int_equal(*target, 77);
	/* Switched off while it pends; by its upper byte alone. */
	*target = 0;
	wr(f, f->fn, flags, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 2);
	hw_msi_send(hw, f->fn->index, 1);
	wr(f, f->fn, flags, 0, 2);
	assert_int_equal(*target, 0);
	wr(f, f->fn, flags + 1, PCI_MSIX_FLAGS_ENABLE >> 8, 1);
	assert_int_equal(*target, 77);
	ram_free_pages(f->m, phys, 0);
}

static void msi_unmasked_sends_what_is_pending(void **state)
{
	struct fixture *f = *state;
	struct hw *hw = &f->m->hw;
	u16 msi = f->fn->msi_cap;
	phys_addr_t phys;
	u32 *target;

	assert_int_equal(ram_alloc_pages(f->m, 0, &phys), 0);
	target = ram_ptr(hw, phys, PAGE_SIZE);
	wr(f, f->fn, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	wr(f, f->fn, msi + PCI_MSI_ADDRESS_LO, (u32)phys, 4);
	wr(f, f->fn, msi + PCI_MSI_DATA_64, 0x40, 2);
	wr(f, f->fn, msi + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE, 2);
	wr(f, f->fn, msi + PCI_MSI_MASK_64, 1, 4);
	hw_msi_send(hw, f->fn->index, 0);
	assert_int_equal(*target, 0);
	assert_int_equal(rd(f, f->fn, msi + PCI_MSI_PENDING_64, 4), 1);
	wr(f, f->fn, msi + PCI_MSI_MASK_64, 0, 4);
	assert_int_equal(*target, 0x40);
	assert_int_equal(rd(f, f->fn, msi + PCI_MSI_PENDING_64, 4), 0);
	ram_free_pages(f->m, phys, 0);
}

static bool line;

static void on_intx(struct hw *hw, u32 fn, bool level)
{
	line = level;
}

static void intx_disable_takes_the_line_away_and_back(void **state)
{
	static const struct hw_host_ops ops = {.intx = on_intx};
	struct fixture *f = *state;

	f->m->hw.ops = &ops;
	hw_intx_set(&f->m->hw, f->fn->index, true);
	assert_true(line);
	wr(f, f->fn, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, 2);
	assert_false(line);
	wr(f, f->fn, PCI_COMMAND + 1, 0, 1);
	assert_true(line);
	hw_intx_set(&f->m->hw, f->fn->index, false);
	assert_false(line);
}

static void firmware_places_bars_inside_windows(void **state)
{
	struct fixture *f = *state;
	u64 base = (u64)(rd(f, f->port, PCI_MEMORY_BASE, 2) & 0xfff0) << 16;
	u64 last = (u64)(rd(f, f->port, PCI_MEMORY_LIMIT, 2) & 0xfff0) << 16 | 0xfffff;
	u64 bar0 = rd(f, f->fn, 0x10, 4) & ~0xfU, bar2 = rd(f, f->fn, 0x18, 4) & ~0xfU;
	u64 pbase = (u64)(rd(f, f->port, PCI_PREF_MEMORY_BASE, 2) & 0xfff0) << 16;
	u64 plast =
		(u64)(rd(f, f->port, PCI_PREF_MEMORY_LIMIT, 2) & 0xfff0) << 16 | 0xfffff;

	assert_true(bar0 >= base && bar0 + SZ_64K - 1 <= last && !(bar0 & 0xffff));
	assert_true(bar2 >= pbase && bar2 + SZ_1M - 1 <= plast && !(bar2 & 0xfffff));
	assert_true(last < pbase || plast < base);
	assert_int_equal(rd(f, f->port, PCI_PRIMARY_BUS, 4) & 0xffffff, 0x010100);
	assert_int_equal(rd(f, f->bridge, PCI_PRIMARY_BUS, 4) & 0xffffff, 0x020200);
}

static void requester_id_behind_bridge_is_the_bridges(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->m->hw.functions[f->fn->index].requester_id, 0x0100);
	assert_int_equal(f->m->hw.functions[f->behind->index].bdf, 0x0218);
	assert_int_equal(f->m->hw.functions[f->behind->index].requester_id, 0x0200);
}

static void scan_finds_devices_and_resources(void **state)
{
	struct fixture *f = *state;
	struct pci_dev *pdev;
	unsigned n = 0;
	char buf[64];

	assert_int_equal(pci_host_scan(f->host), 0);
	for_each_pci_dev(f->host, pdev) n++;
	assert_int_equal(n, 4);
	pdev = pci_get_domain_bus_and_slot(f->host, 0, 1, 0);
	assert_non_null(pdev);
	assert_int_equal(pci_resource_len(pdev, 0), SZ_64K);
	assert_int_equal(pdev->resource[0].flags, 0x40200);
	assert_int_equal(pdev->resource[2].flags, 0x14220c);
	assert_int_equal(pdev->resource[4].flags, 0x40101);
	assert_int_equal(pdev->cfg_size, 4096);
	assert_int_equal(pci_reset_method_show(pdev, buf, sizeof(buf)), 11);
	assert_string_equal(buf, "flr pm bus\n");
	assert_int_equal(pci_reset_method_store(pdev, "pm flr", 6), 6);
	assert_int_equal(pci_reset_method_store(pdev, "acpi", 4), -EINVAL);
	pci_reset_method_show(pdev, buf, sizeof(buf));
	assert_string_equal(buf, "pm flr\n");
	assert_int_equal(pci_requester_id(pdev), 0x0100);
	/* A reset leaves the configuration as it was. */
	resets = 0;
	wr(f, f->fn, PCI_COMMAND, 6, 2);
	assert_int_equal(pci_reset_function(pdev), 0);
	assert_true(resets >= 1);
	assert_int_equal(rd(f, f->fn, PCI_COMMAND, 2), 6);
	assert_int_equal(rd(f, f->fn, 0x10, 4), (u32)pdev->resource[0].start);
	put_device(&pdev->dev);
	pdev = pci_get_domain_bus_and_slot(f->host, 0, 2, PCI_DEVFN(3, 0));
	assert_int_equal(pci_requester_id(pdev), 0x0200);
	put_device(&pdev->dev);
}

static void remove_then_rescan_finds_it_again(void **state)
{
	struct fixture *f = *state;
	struct pci_dev *port;

	assert_int_equal(pci_host_scan(f->host), 0);
	pci_bus_add_devices(f->host);
	port = pci_get_domain_bus_and_slot(f->host, 0, 0, PCI_DEVFN(1, 0));
	assert_int_equal(pci_remove_store(port, "0\n", 2, NULL, NULL), 2);
	assert_int_equal(pci_remove_store(port, "x\n", 2, NULL, NULL), -EINVAL);
	assert_int_equal(pci_remove_store(port, "1\n", 2, NULL, NULL), 2);
	put_device(&port->dev);
	assert_null(pci_get_domain_bus_and_slot(f->host, 0, 1, 0));
	assert_int_equal(pci_rescan_store(f->host, NULL, "1", 1), 1);
	port = pci_get_domain_bus_and_slot(f->host, 0, 1, 0);
	assert_non_null(port);
	put_device(&port->dev);
}

static bool held;

static int holding_begin(struct device *dev)
{
	return held ? -EIOCBQUEUED : 0;
}

static int holding_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	return 0;
}

static void count_done(void *data)
{
	++*(unsigned *)data;
}

/* The device is in use; its port is removed meanwhile: both go once it is free. */
static void removal_above_waits_for_the_one_below(void **state)
{
	static const struct pci_device_id all[] = {
		{0x1234, 0x5678, PCI_ANY_ID, PCI_ANY_ID, 0, 0, 0, 0},
		{0},
	};
	struct pci_driver drv = {.driver = {.name = "holder",
					    .remove_begin = holding_begin},
				 .id_table = all,
				 .probe = holding_probe};
	struct fixture *f = *state;
	struct pci_dev *port, *pdev;
	unsigned done = 0;

	assert_int_equal(pci_host_scan(f->host), 0);
	assert_int_equal(pci_register_driver(f->host, &drv), 0);
	pci_bus_add_devices(f->host);
	port = pci_get_domain_bus_and_slot(f->host, 0, 0, PCI_DEVFN(1, 0));
	pdev = pci_get_domain_bus_and_slot(f->host, 0, 1, 0);
	assert_ptr_equal(pdev->driver, &drv);
	held = true;
	assert_int_equal(pci_remove_store(pdev, "1", 1, count_done, &done), -EIOCBQUEUED);
	assert_int_equal(pci_remove_store(port, "1", 1, count_done, &done), -EIOCBQUEUED);
	assert_int_equal(done, 0);
	assert_true(port->dev.added);
	held = false;
	device_release_driver_continue(&pdev->dev);
	assert_int_equal(done, 2);
	assert_false(port->dev.added);
	assert_false(pdev->dev.added);
	put_device(&pdev->dev);
	put_device(&port->dev);
	pci_unregister_driver(&drv);
}

static void slot_power_off_takes_the_card_out(void **state)
{
	struct fixture *f = *state;
	struct pci_dev *port;

	assert_int_equal(pci_host_scan(f->host), 0);
	pci_bus_add_devices(f->host);
	port = pci_find_slot(f->host, 7);
	assert_non_null(port);
	assert_int_equal(pci_slot_power_store(port, "0\n", 2, NULL, NULL), 2);
	assert_null(pci_get_domain_bus_and_slot(f->host, 0, 1, 0));
	assert_int_equal(pci_slot_power_store(port, "1\n", 2, NULL, NULL), -ENODEV);
	pci_rescan(f->host, NULL);
	assert_null(pci_get_domain_bus_and_slot(f->host, 0, 1, 0));
	pci_hw_plug(f->host, f->fn);
	pci_rescan(f->host, NULL);
	put_device(&port->dev);
	port = pci_get_domain_bus_and_slot(f->host, 0, 1, 0);
	assert_non_null(port);
	put_device(&port->dev);
}

static void acs_is_on_only_when_asked_for(void **state)
{
	struct fixture *f = *state;
	struct pci_dev *port;

	assert_int_equal(pci_host_scan(f->host), 0);
	port = pci_get_domain_bus_and_slot(f->host, 0, 0, PCI_DEVFN(1, 0));
	assert_false(pci_acs_path_enabled(port, NULL, PCI_ACS_SV | PCI_ACS_RR));
	pci_request_acs(f->host, true);
	assert_true(pci_acs_path_enabled(
		port, NULL, PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF));
	pci_request_acs(f->host, false);
	assert_false(pci_acs_enabled(port, PCI_ACS_SV));
	put_device(&port->dev);
}

/* A service that the port does not have need not be on. */
static void acs_judges_offered_services_only(void **state)
{
	struct fixture *f = *state;
	struct pci_function_desc port = {.kind = PCI_FN_ROOT_PORT,
					 .acs = true,
					 .unit = -1,
					 .acs_caps = PCI_ACS_SV | PCI_ACS_RR};
	struct pci_dev *pdev;
	char *error = NULL;

	add(f, f->root, PCI_DEVFN(4, 0), &port);
	assert_int_equal(pci_firmware_assign(f->host, &error), 0);
	assert_int_equal(pci_host_scan(f->host), 0);
	pci_request_acs(f->host, true);
	pdev = pci_get_domain_bus_and_slot(f->host, 0, 0, PCI_DEVFN(4, 0));
	assert_int_equal(pdev->acs_capabilities, PCI_ACS_SV | PCI_ACS_RR);
	assert_true(
		pci_acs_enabled(pdev, PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF));
	assert_false(pci_acs_enabled(pdev, PCI_ACS_SV | PCI_ACS_EC));
	pci_write_config_word(pdev, pdev->acs_cap + PCI_ACS_CTRL, PCI_ACS_SV);
	assert_false(pci_acs_enabled(pdev, PCI_ACS_SV | PCI_ACS_RR));
	put_device(&pdev->dev);
}

static int nothing_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	return 0;
}

static const struct pci_device_id ids[] = {
	{0x8086, 0x1234, PCI_ANY_ID, PCI_ANY_ID, 0, 0, 5, 0},
	{0},
};

/* Errnos: conformance FACTS 17, 18. */
static void dynamic_ids_follow_the_kernel(void **state)
{
	struct fixture *f = *state;
	struct pci_driver drv = {.driver = {.name = "d"}, .probe = nothing_probe};
	struct pci_driver with = {
		.driver = {.name = "w"}, .probe = nothing_probe, .id_table = ids};
	struct pci_dev *pdev;

	assert_int_equal(pci_host_scan(f->host), 0);
	pci_bus_add_devices(f->host);
	assert_int_equal(pci_register_driver(f->host, &drv), 0);
	assert_int_equal(pci_register_driver(f->host, &with), 0);
	pdev = pci_get_domain_bus_and_slot(f->host, 0, 1, 0);
	assert_null(pdev->dev.driver);
	assert_int_equal(pci_new_id_store(&drv, "1234\n", 5), -EINVAL);
	assert_int_equal(pci_new_id_store(&drv, "12345678a 1", 11), 11);
	assert_int_equal(pci_new_id_store(&drv, "1234 5678\n", 10), 10);
	assert_ptr_equal(pdev->dev.driver, &drv.driver);
	assert_int_equal(pci_new_id_store(&drv, "1234 5678\n", 10), -EEXIST);
	assert_int_equal(pci_new_id_store(&with, "8086 1234", 9), -EEXIST);
	assert_int_equal(pci_new_id_store(&with, "8086 1235", 9), -EINVAL);
	assert_int_equal(pci_new_id_store(&with, "8086 1235 ffffffff ffffffff 0 0 5", 33),
			 33);
	assert_int_equal(pci_remove_id_store(&drv, "1234 5679", 9), -ENODEV);
	assert_int_equal(pci_remove_id_store(&drv, "1234 5678", 9), 9);
	assert_ptr_equal(pdev->dev.driver, &drv.driver);
	assert_int_equal(pci_remove_id_store(&drv, "1234", 4), -EINVAL);
	put_device(&pdev->dev);
	pci_unregister_driver(&with);
	pci_unregister_driver(&drv);
}

static void refused_descriptions_leave_nothing(void **state)
{
	struct fixture *f = *state;
	struct pci_function_desc good = {.info = {.vendor = 1, .device = 2}, .unit = -1};
	struct pci_function_desc bad;
	s64 live = alloc_live_count();

	bad = good;
	bad.bar[0] = (struct pci_bar_desc){.size = 3000};
	assert_int_equal(pci_hw_add_function(f->host, f->root, 0x80, &bad, NULL),
			 -EINVAL);
	bad = good;
	bad.bar[5] = (struct pci_bar_desc){.size = SZ_1M, .flags = HW_BAR_64};
	assert_int_equal(pci_hw_add_function(f->host, f->root, 0x80, &bad, NULL),
			 -EINVAL);
	bad = good;
	bad.acs = true; /* conventional */
	assert_int_equal(pci_hw_add_function(f->host, f->root, 0x80, &bad, NULL),
			 -EINVAL);
	bad = good;
	bad.info.msi_vectors = 3;
	assert_int_equal(pci_hw_add_function(f->host, f->root, 0x80, &bad, NULL),
			 -EINVAL);
	bad = good;
	bad.model = 9;
	assert_int_equal(pci_hw_add_function(f->host, f->root, 0x80, &bad, NULL),
			 -EINVAL);
	assert_int_equal(pci_hw_add_function(f->host, f->root, PCI_DEVFN(1, 0), &good,
					     NULL),
			 -EEXIST);
	assert_int_equal(alloc_live_count(), live);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(header_composed_reads_back),
		T(bar_sizing_gives_size_and_type),
		T(bar_write_by_bytes_moves_decoding),
		T(read_only_bits_stay),
		T(command_takes_defined_bits_only),
		T(status_bits_clear_on_one),
		T(intx_level_shows_in_status),
		T(flr_resets_registers_and_model),
		T(d3_ends_decoding_and_d0_resets),
		T(secondary_bus_reset_reaches_all_below),
		T(msi_registers_have_their_masks),
		T(msix_enabled_or_unmasked_sends_what_is_pending),
		T(msi_unmasked_sends_what_is_pending),
		T(intx_disable_takes_the_line_away_and_back),
		T(firmware_places_bars_inside_windows),
		T(requester_id_behind_bridge_is_the_bridges),
		T(scan_finds_devices_and_resources),
		T(remove_then_rescan_finds_it_again),
		T(removal_above_waits_for_the_one_below),
		T(slot_power_off_takes_the_card_out),
		T(acs_is_on_only_when_asked_for),
		T(acs_judges_offered_services_only),
		T(dynamic_ids_follow_the_kernel),
		T(refused_descriptions_leave_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
