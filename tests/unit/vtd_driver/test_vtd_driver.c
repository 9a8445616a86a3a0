// SPDX-License-Identifier: MIT
/*
 * The VT-d driver against the VT-d unit, on a machine with a PCI bus: what the core asks
 * of the driver shows in what a device's DMA can reach.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fault_inject.h"
#include "base/rand.h"
#include "drivers/vtd/vtd.h"
#include "iommu/iommu.h"
#include "machine/dma.h"
#include "machine/irq.h"
#include "machine/machine.h"
#include "pci/function.h"
#include "pci/pci.h"
#include "units/units.h"
#include "units/vtd/vtd_regs.h"
#include "units/vtd/vtd_unit.h"

#define REGS	 0xfed90000ULL
#define NR_DEVS	 3
#define FIRST_FN 0x20 /* devfn of 00:04.0 */

struct fixture {
	struct machine *m;
	struct pci_host *host;
	struct pci_dev *dev[NR_DEVS]; /* 00:04.0, 00:05.0, and behind a bridge 01:00.0 */
	unsigned events, faults, irqs;
	u32 last_irq;
	struct dma_fault last;
	s64 live;
	u64 free_pages, pages; /* RAM at the start; taken by the test itself */
};

static struct fixture fx;

static void on_irq(struct hw *hw, u32 irq)
{
	fx.irqs++;
	fx.last_irq = irq;
}

static void on_fault(struct hw *hw, const struct dma_fault *fault)
{
	fx.faults++;
	fx.last = *fault;
}

static void on_unit_event(struct hw *hw, u32 unit)
{
	fx.events++;
}

static const struct hw_host_ops host_ops = {
	.irq = on_irq,
	.fault = on_fault,
	.unit_event = on_unit_event,
};

/* How many pages of RAM can be had. */
static u64 count_free(void)
{
	static phys_addr_t pages[64 << 8];
	u64 n = 0;

	while (n < ARRAY_SIZE(pages) && !ram_alloc_pages(fx.m, 0, &pages[n]))
		n++;
	for (u64 i = 0; i < n; i++)
		ram_free_zeroed(fx.m, pages[i], 0);
	return n;
}

static void add_function(struct pci_hw_bus *bus, u8 devfn, enum pci_function_kind kind,
			 struct pci_function **out)
{
	struct pci_function_desc desc = {
		.kind = kind,
		.info = {.vendor = 0x1234,
			 .device = 0x11e8,
			 .class = 0xff0000,
			 .pcie = true,
			 .msi_vectors = 4},
		.unit = 0,
	};

	if (kind != PCI_FN_ENDPOINT)
		desc.info = (struct endpoint_pci_info){0};
	assert_int_equal(pci_hw_add_function(fx.host, bus, devfn, &desc, out), 0);
}

/* A machine with everything but the driver. */
static void build(const char *cmdline, const struct vtd_unit_config *config)
{
	static const struct pci_iommu_hooks hooks = {iommu_dma_configure,
						     iommu_dma_cleanup};
	struct vtd_unit_config unit = {0};
	static const char *const names[NR_DEVS] = {"0000:00:04.0", "0000:00:05.0",
						   "0000:01:00.0"};
	struct pci_function *fn, *bridge;
	struct pci_hw_bus *bus;
	char *error = NULL;

	memset(&fx, 0, sizeof(fx));
	fx.live = alloc_live_count();
	if (config)
		unit = *config;
	unit.regs = REGS;
	assert_int_equal(machine_create(&fx.m, 64 << 20, 16, cmdline), 0);
	fx.free_pages = count_free();
	fx.m->hw.ops = &host_ops;
	units_register(&fx.m->hw);
	assert_int_equal(vtd_unit_setup(&fx.m->hw, 0, &unit), 0);
	assert_int_equal(iommu_core_create(fx.m), 0);
	assert_int_equal(pci_host_create(fx.m, &fx.host), 0);
	pci_host_set_iommu(fx.host, &hooks);
	assert_int_equal(pci_hw_add_root(fx.host, 0, 0, 255, &bus), 0);
	add_function(bus, FIRST_FN, PCI_FN_ENDPOINT, &fn);
	add_function(bus, FIRST_FN + 8, PCI_FN_ENDPOINT, &fn);
	add_function(bus, FIRST_FN + 16, PCI_FN_PCIE_TO_PCI, &bridge);
	add_function(bridge->secondary, 0, PCI_FN_ENDPOINT, &fn);
	assert_int_equal(pci_firmware_assign(fx.host, &error), 0);
	assert_int_equal(pci_host_scan(fx.host), 0);
	for (unsigned i = 0; i < NR_DEVS; i++) {
		struct device *dev = bus_find_device_by_name(fx.host->bus, names[i]);

		assert_non_null(dev);
		fx.dev[i] = to_pci_dev(dev);
		pci_set_master(fx.dev[i]);
	}
}

static void demolish(void)
{
	vtd_driver_unregister(fx.m, 0);
	for (unsigned i = 0; i < NR_DEVS; i++)
		put_device(&fx.dev[i]->dev);
	pci_host_destroy(fx.host);
	iommu_core_destroy(fx.m);
	assert_int_equal(count_free() + fx.pages, fx.free_pages);
	machine_destroy(fx.m);
	assert_int_equal(alloc_live_count(), fx.live);
}

static void start(const char *cmdline, const struct vtd_unit_config *config)
{
	build(cmdline, config);
	assert_int_equal(vtd_driver_register(fx.m, 0, NULL), 0);
	pci_bus_add_devices(fx.host);
}

static phys_addr_t page(void)
{
	phys_addr_t phys;

	assert_int_equal(ram_alloc_pages(fx.m, 0, &phys), 0);
	fx.pages++;
	return phys;
}

static void unpage(phys_addr_t phys)
{
	ram_free_pages(fx.m, phys, 0);
	fx.pages--;
}

static int dma_in(unsigned i, iova_t iova, u64 *value)
{
	return dma_read(&fx.m->hw, (u32)fx.dev[i]->dev.hw_function, iova, value, 8);
}

static int dma_out(unsigned i, iova_t iova, u64 value)
{
	return dma_write(&fx.m->hw, (u32)fx.dev[i]->dev.hw_function, iova, &value, 8);
}

static u64 *ram(phys_addr_t phys)
{
	return ram_ptr(&fx.m->hw, phys, PAGE_SIZE);
}

/* Takes device @i from the kernel and gives it a domain of its own. */
static struct iommu_domain *own(unsigned i)
{
	struct iommu_group *group = iommu_group_get(&fx.dev[i]->dev);
	struct iommu_domain *domain;

	assert_non_null(group);
	assert_int_equal(iommu_group_claim_dma_owner(group, &fx), 0);
	domain = iommu_paging_domain_alloc(&fx.dev[i]->dev);
	assert_false(IS_ERR(domain));
	assert_int_equal(iommu_attach_group(domain, group), 0);
	iommu_group_put(group);
	return domain;
}

static void disown(unsigned i, struct iommu_domain *domain)
{
	struct iommu_group *group = iommu_group_get(&fx.dev[i]->dev);

	iommu_detach_group(domain, group);
	iommu_domain_free(domain);
	iommu_group_release_dma_owner(group);
	iommu_group_put(group);
}

/* --- tests ------------------------------------------------------------------------ */

static void vtd_map_device_reaches_memory(void **state)
{
	struct iommu_domain *domain;
	phys_addr_t phys;
	u64 value = 0;

	start("", NULL);
	domain = own(0);
	phys = page();
	ram(phys)[1] = 0x1122334455667788;
	assert_int_equal(dma_in(0, 0x10008, &value), -EFAULT);
	assert_int_equal(
		iommu_map(domain, 0x10000, phys, SZ_4K, IOMMU_READ | IOMMU_WRITE), 0);
	assert_int_equal(dma_in(0, 0x10008, &value), 0);
	assert_int_equal(value, 0x1122334455667788);
	assert_int_equal(dma_out(0, 0x10010, 42), 0);
	assert_int_equal(ram(phys)[2], 42);
	assert_int_equal(iommu_iova_to_phys(domain, 0x10123), phys + 0x123);
	/* The other device has its own domain. */
	assert_int_equal(dma_in(1, 0x10008, &value), -EFAULT);
	assert_int_equal(iommu_unmap(domain, 0x10000, SZ_4K), SZ_4K);
	assert_int_equal(dma_in(0, 0x10008, &value), -EFAULT);
	assert_int_equal(fx.last.class, FAULT_NOT_PRESENT);
	disown(0, domain);
	unpage(phys);
	demolish();
}

static void vtd_read_only_map_refuses_writes(void **state)
{
	struct iommu_domain *domain;
	phys_addr_t phys;
	u64 value;

	start("", NULL);
	domain = own(0);
	phys = page();
	assert_int_equal(iommu_map(domain, 0x10000, phys, SZ_4K, IOMMU_READ), 0);
	assert_int_equal(dma_in(0, 0x10000, &value), 0);
	assert_int_equal(dma_out(0, 0x10000, 1), -EFAULT);
	assert_int_equal(fx.last.class, FAULT_WRITE);
	assert_int_equal(fx.last.reason, VTD_FR_WRITE);
	assert_int_equal(ram(phys)[0], 0);
	disown(0, domain);
	unpage(phys);
	demolish();
}

static void vtd_owner_claimed_blocks_dma(void **state)
{
	struct iommu_group *group;
	u64 value;

	start("iommu.passthrough=1", NULL);
	group = iommu_group_get(&fx.dev[0]->dev);
	/* The default domain is identity: the device sees RAM as it is. */
	assert_int_equal(dma_in(0, 0x1000, &value), 0);
	assert_int_equal(iommu_group_claim_dma_owner(group, &fx), 0);
	assert_int_equal(dma_in(0, 0x1000, &value), -EFAULT);
	assert_int_equal(fx.last.class, FAULT_BLOCKED);
	iommu_group_release_dma_owner(group);
	assert_int_equal(dma_in(0, 0x1000, &value), 0);
	iommu_group_put(group);
	demolish();
}

static void vtd_aliased_device_uses_its_bridges_entry(void **state)
{
	struct iommu_domain *domain;
	phys_addr_t phys;
	u64 value;

	start("", NULL);
	domain = own(2);
	phys = page();
	assert_int_equal(iommu_map(domain, 0x10000, phys, SZ_4K, IOMMU_READ), 0);
	assert_int_equal(dma_in(2, 0x10000, &value), 0);
	assert_int_equal(iommu_unmap(domain, 0x10000, SZ_4K), SZ_4K);
	assert_int_equal(dma_in(2, 0x10000, &value), -EFAULT);
	disown(2, domain);
	unpage(phys);
	demolish();
}

static void vtd_two_domains_share_nothing(void **state)
{
	struct iommu_domain *a, *b;
	phys_addr_t pa, pb;
	u64 value;

	start("", NULL);
	a = own(0);
	b = own(1);
	pa = page();
	pb = page();
	ram(pa)[0] = 1;
	ram(pb)[0] = 2;
	assert_int_equal(iommu_map(a, 0, pa, SZ_4K, IOMMU_READ), 0);
	assert_int_equal(iommu_map(b, 0, pb, SZ_4K, IOMMU_READ), 0);
	assert_int_equal(dma_in(0, 0, &value), 0);
	assert_int_equal(value, 1);
	assert_int_equal(dma_in(1, 0, &value), 0);
	assert_int_equal(value, 2);
	/* Invalidating one leaves the other. */
	assert_int_equal(iommu_unmap(a, 0, SZ_4K), SZ_4K);
	assert_int_equal(dma_in(0, 0, &value), -EFAULT);
	assert_int_equal(dma_in(1, 0, &value), 0);
	disown(0, a);
	disown(1, b);
	unpage(pa);
	unpage(pb);
	demolish();
}

/* Random maps and unmaps; after each the device reaches exactly what is mapped. */
static void random_against_flat(const struct vtd_unit_config *config)
{
	enum { PAGES = 2048, FRAMES = 1024 };
	static u16 flat[PAGES]; /* frame + 1 */
	struct iommu_domain *domain;
	phys_addr_t base;
	struct rnd r;

	memset(flat, 0, sizeof(flat));
	rnd_seed(&r, 11);
	start("", config);
	domain = own(0);
	assert_int_equal(ram_alloc_pages(fx.m, 10, &base), 0);
	for (unsigned i = 0; i < FRAMES; i++)
		ram(base + i * PAGE_SIZE)[0] = i + 1;
	for (unsigned step = 0; step < 4000; step++) {
		u64 first = rnd_below(&r, PAGES), frame = rnd_below(&r, FRAMES);
		u64 n = rnd_one_in(&r, 8) ? 512 : 1 + rnd_below(&r, 16), count = 0;
		bool taken = false;

		if (rnd_one_in(&r, 3)) {
			first &= ~511ULL;
			frame &= ~511ULL;
		}
		n = min(n, min(PAGES - first, FRAMES - frame));
		for (u64 i = first; i < first + n; i++)
			taken |= flat[i];
		if (rnd_one_in(&r, 2)) {
			int rc = iommu_map(domain, first * PAGE_SIZE,
					   base + frame * PAGE_SIZE, n * PAGE_SIZE,
					   IOMMU_READ | IOMMU_WRITE);

			assert_int_equal(rc, taken ? -EADDRINUSE : 0);
			for (u64 i = 0; !rc && i < n; i++)
				flat[first + i] = (u16)(frame + i + 1);
		} else {
			count = iommu_unmap(domain, first * PAGE_SIZE, n * PAGE_SIZE) /
				PAGE_SIZE;
			memset(flat + first, 0, count * sizeof(flat[0]));
		}
		for (unsigned i = 0; i < 8; i++) {
			u64 at = i < 4 ? rnd_below(&r, PAGES)
				       : min(first + i - 4, PAGES - 1ULL);
			u64 value = 0;
			int rc = dma_in(0, at * PAGE_SIZE, &value);

			assert_int_equal(rc, flat[at] ? 0 : -EFAULT);
			assert_int_equal(value, flat[at]);
		}
	}
	disown(0, domain);
	ram_free_pages(fx.m, base, 10);
	demolish();
}

static void vtd_random_maps_equal_what_dma_sees(void **state)
{
	random_against_flat(NULL);
}

static void vtd_caching_mode_random_maps_equal_what_dma_sees(void **state)
{
	struct vtd_unit_config config = {.caching_mode = true};

	random_against_flat(&config);
}

static void vtd_register_invalidation_random_maps_equal_what_dma_sees(void **state)
{
	struct vtd_unit_config config = {.no_queued_invalidation = true,
					 .no_intremap = true};

	random_against_flat(&config);
}

static void vtd_39_bits_random_maps_equal_what_dma_sees(void **state)
{
	struct vtd_unit_config config = {.aw_bits = 39};

	random_against_flat(&config);
}

static void vtd_57_bits_random_maps_equal_what_dma_sees(void **state)
{
	struct vtd_unit_config config = {.aw_bits = 57, .host_bits = 52};

	random_against_flat(&config);
}

static void vtd_geometry_follows_the_address_width(void **state)
{
	static const struct {
		u8 bits;
		u64 end;
	} cases[] = {
		{39, (1ULL << 39) - 1}, {48, (1ULL << 48) - 1}, {57, (1ULL << 57) - 1}};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vtd_unit_config config = {.aw_bits = cases[i].bits};
		struct iommu_domain *domain;
		phys_addr_t phys;
		u64 value;

		start("", &config);
		domain = own(0);
		phys = page();
		assert_int_equal(domain->geometry.aperture_start, 0);
		assert_int_equal(domain->geometry.aperture_end, cases[i].end);
		assert_true(domain->geometry.force_aperture);
		assert_int_equal(domain->pgsize_bitmap, SZ_4K | SZ_2M | SZ_1G);
		assert_int_equal(iommu_map(domain, cases[i].end - 0xfff, phys, SZ_4K,
					   IOMMU_READ),
				 0);
		assert_int_equal(dma_in(0, cases[i].end - 7, &value), 0);
		assert_int_equal(iommu_map(domain, cases[i].end + 1, phys, SZ_4K,
					   IOMMU_READ),
				 -ERANGE);
		disown(0, domain);
		unpage(phys);
		demolish();
	}
}

static int seen_faults;
static iova_t seen_iova;
static int seen_flags;

static int on_domain_fault(struct iommu_domain *domain, struct device *dev, iova_t iova,
			   int flags, void *token)
{
	seen_faults++;
	seen_iova = iova;
	seen_flags = flags;
	assert_ptr_equal(token, &fx);
	assert_ptr_equal(dev, &fx.dev[0]->dev);
	return 0;
}

static void vtd_fault_event_reaches_the_domains_handler(void **state)
{
	struct iommu_domain *domain;
	u64 value;

	start("", NULL);
	domain = own(0);
	iommu_set_fault_handler(domain, on_domain_fault, &fx);
	seen_faults = 0;
	assert_int_equal(dma_out(0, 0x123456, 1), -EFAULT);
	assert_int_equal(fx.events, 1);
	vtd_driver_event(fx.m, 0);
	assert_int_equal(seen_faults, 1);
	assert_int_equal(seen_iova, 0x123000);
	assert_int_equal(seen_flags, IOMMU_FAULT_WRITE);
	/* Registers are free again: the next fault is recorded and raises an event. */
	assert_int_equal(dma_in(0, 0x7000, &value), -EFAULT);
	assert_int_equal(fx.events, 2);
	vtd_driver_event(fx.m, 0);
	assert_int_equal(seen_faults, 2);
	assert_int_equal(seen_flags, IOMMU_FAULT_READ);
	assert_int_equal(unit_mmio_read(&fx.m->hw, 0, VTD_FSTS, 4) & 0xff, 0);
	disown(0, domain);
	demolish();
}

static void vtd_msi_is_delivered_and_source_checked(void **state)
{
	struct msi_msg msg;
	int irq;
	u32 data;

	start("", NULL);
	assert_true(irq_remap_present(&fx.dev[0]->dev));
	irq = irq_alloc(&fx.dev[0]->dev, HW_IRQ_MSI, 1, 0, NULL, NULL);
	assert_true(irq > 0);
	assert_int_equal(irq_msi_message(&fx.dev[0]->dev, (u32)irq, &msg), 0);
	assert_true(msg.address & VTD_MSI_ADDR_FORMAT);
	data = msg.data;
	assert_int_equal(dma_write(&fx.m->hw, (u32)fx.dev[0]->dev.hw_function,
				   msg.address, &data, 4),
			 0);
	assert_int_equal(fx.irqs, 1);
	assert_int_equal(fx.last_irq, irq);
	/* Another device sends the same message. */
	dma_write(&fx.m->hw, (u32)fx.dev[1]->dev.hw_function, msg.address, &data, 4);
	assert_int_equal(fx.irqs, 1);
	assert_int_equal(fx.last.class, FAULT_IRQ);
	assert_int_equal(fx.last.reason, VTD_FR_IR_SID);
	vtd_driver_event(fx.m, 0);
	/* A message in the old format. */
	data = 0x31;
	dma_write(&fx.m->hw, (u32)fx.dev[0]->dev.hw_function, MSI_WINDOW_BASE, &data, 4);
	assert_int_equal(fx.irqs, 1);
	assert_int_equal(fx.last.reason, VTD_FR_IR_COMPAT_BLOCKED);
	irq_free(&fx.dev[0]->dev, (u32)irq);
	data = msg.data;
	dma_write(&fx.m->hw, (u32)fx.dev[0]->dev.hw_function, msg.address, &data, 4);
	assert_int_equal(fx.irqs, 1);
	assert_int_equal(fx.last.reason, VTD_FR_IR_NOT_PRESENT);
	demolish();
}

static void vtd_msi_behind_bridge_is_checked_by_bus(void **state)
{
	struct msi_msg msg;
	int irq;
	u32 data;

	start("", NULL);
	irq = irq_alloc(&fx.dev[2]->dev, HW_IRQ_MSI, 1, 0, NULL, NULL);
	assert_true(irq > 0);
	assert_int_equal(irq_msi_message(&fx.dev[2]->dev, (u32)irq, &msg), 0);
	data = msg.data;
	assert_int_equal(dma_write(&fx.m->hw, (u32)fx.dev[2]->dev.hw_function,
				   msg.address, &data, 4),
			 0);
	assert_int_equal(fx.irqs, 1);
	assert_int_equal(fx.last_irq, irq);
	irq_free(&fx.dev[2]->dev, (u32)irq);
	demolish();
}

static void vtd_four_msi_vectors_share_one_message_address(void **state)
{
	u32 fn, irqs[4];

	start("", NULL);
	fn = (u32)fx.dev[0]->dev.hw_function;
	for (unsigned i = 0; i < 4; i++) {
		int irq = irq_alloc(&fx.dev[0]->dev, HW_IRQ_MSI, 1, (u16)i, NULL, NULL);

		assert_true(irq > 0);
		irqs[i] = (u32)irq;
	}
	assert_int_equal(pci_msi_enable(fx.dev[0], 4, irqs), 0);
	for (unsigned i = 0; i < 4; i++) {
		hw_msi_send(&fx.m->hw, fn, i);
		assert_int_equal(fx.irqs, i + 1);
		assert_int_equal(fx.last_irq, irqs[i]);
	}
	assert_int_equal(fx.faults, 0);
	pci_msi_disable(fx.dev[0]);
	for (unsigned i = 0; i < 4; i++)
		irq_free(&fx.dev[0]->dev, irqs[i]);
	demolish();
}

static void vtd_enforce_coherency_needs_snoop_control(void **state)
{
	struct vtd_unit_config config = {.snoop_control = true};
	struct iommu_domain *domain;
	phys_addr_t phys;
	u64 value;

	start("", NULL);
	assert_false(
		device_iommu_capable(&fx.dev[0]->dev, IOMMU_CAP_ENFORCE_CACHE_COHERENCY));
	domain = own(0);
	assert_false(domain->ops->enforce_cache_coherency(domain));
	disown(0, domain);
	demolish();

	start("", &config);
	assert_true(
		device_iommu_capable(&fx.dev[0]->dev, IOMMU_CAP_ENFORCE_CACHE_COHERENCY));
	domain = own(0);
	assert_true(domain->ops->enforce_cache_coherency(domain));
	phys = page();
	assert_int_equal(iommu_map(domain, 0, phys, SZ_4K, IOMMU_READ), 0);
	assert_int_equal(dma_in(0, 0, &value), 0);
	disown(0, domain);
	unpage(phys);
	demolish();
}

static void vtd_reserved_regions_hold_the_msi_window_and_rmrrs(void **state)
{
	static const struct vtd_rmrr rmrr[] = {{0x800000, 0x80ffff, "0000:00:06.0"}};
	static const struct vtd_driver_params params = {.rmrr = rmrr, .nr_rmrr = 1};

	build("", NULL);
	assert_int_equal(vtd_driver_register(fx.m, 0, &params), 0);
	for (unsigned i = 0; i < NR_DEVS; i++) {
		struct iommu_group *group = iommu_group_get(&fx.dev[i]->dev);
		char buf[512], *expect = "0x00000000fee00000 0x00000000feefffff msi\n";

		/* The third is below the bridge that the RMRR names. */
		if (i == 2)
			expect = "0x0000000000800000 0x000000000080ffff direct\n"
				 "0x00000000fee00000 0x00000000feefffff msi\n";
		assert_int_equal(iommu_group_show_resv_regions(group, buf, sizeof(buf)),
				 strlen(expect));
		assert_memory_equal(buf, expect, strlen(expect));
		iommu_group_put(group);
	}
	demolish();
}

static void vtd_off_by_command_line_enodev(void **state)
{
	static const char *const lines[] = {"intel_iommu=off", "iommu=off",
					    "intel_iommu=on,off intremap=off"};

	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
		u32 gsts;
		u64 value;

		build(lines[i], NULL);
		assert_int_equal(vtd_driver_register(fx.m, 0, NULL), -ENODEV);
		assert_int_equal(dma_in(0, 0x1000, &value), 0);
		gsts = (u32)unit_mmio_read(&fx.m->hw, 0, VTD_GSTS, 4);
		assert_false(gsts & VTD_GSTS_TES);
		assert_int_equal(!!(gsts & VTD_GSTS_IRES), i < 2);
		demolish();
	}
}

static void vtd_command_line_sets_page_sizes_and_strictness(void **state)
{
	struct vtd_unit_config caching = {.caching_mode = true};
	struct iommu_domain *domain;
	struct iommu_group *group;
	char buf[64];

	start("intel_iommu=sp_off,strict", NULL);
	domain = own(0);
	assert_int_equal(domain->pgsize_bitmap, SZ_4K);
	disown(0, domain);
	group = iommu_group_get(&fx.dev[0]->dev);
	assert_int_equal(iommu_group_show_type(group, buf, sizeof(buf)), 4);
	assert_memory_equal(buf, "DMA\n", 4);
	iommu_group_put(group);
	demolish();

	start("", &caching);
	group = iommu_group_get(&fx.dev[0]->dev);
	assert_int_equal(iommu_group_show_type(group, buf, sizeof(buf)), 4);
	iommu_group_put(group);
	demolish();

	start("", NULL);
	group = iommu_group_get(&fx.dev[0]->dev);
	assert_int_equal(iommu_group_show_type(group, buf, sizeof(buf)), 7);
	assert_memory_equal(buf, "DMA-FQ\n", 7);
	iommu_group_put(group);
	demolish();
}

/* A crashed kernel's tables: 00:04.0 has one page mapped at 0x5000 in domain 9. */
static phys_addr_t old_tables(phys_addr_t *leaf_page)
{
	phys_addr_t root = page(), context = page(), table = page(), child = table;
	struct hw *hw = &fx.m->hw;

	*leaf_page = page();
	ram(*leaf_page)[0] = 0xdead;
	ram(root)[0] = context | 1;
	ram(context)[FIRST_FN * 2] = table | 1;
	ram(context)[FIRST_FN * 2 + 1] = 2 | 9 << 8;
	for (unsigned level = 3; level; level--) {
		phys_addr_t next = page();

		ram(child)[0] = next | 3;
		child = next;
	}
	ram(child)[5] = *leaf_page | 3;
	unit_mmio_write(hw, 0, VTD_RTADDR, root, 8);
	unit_mmio_write(hw, 0, VTD_GCMD, VTD_GCMD_SRTP, 4);
	unit_mmio_write(hw, 0, VTD_GCMD, VTD_GCMD_TE, 4);
	return root;
}

static void vtd_kdump_devices_stay_on_old_tables_until_attached(void **state)
{
	struct iommu_domain *domain;
	phys_addr_t leaf, phys;
	u64 value = 0;

	build("elfcorehdr=0x1000", NULL);
	old_tables(&leaf);
	assert_int_equal(dma_in(0, 0x5000, &value), 0);
	assert_int_equal(value, 0xdead);
	assert_int_equal(vtd_driver_register(fx.m, 0, NULL), 0);
	assert_true(fx.dev[0]->dev.iommu->attach_deferred);
	value = 0;
	assert_int_equal(dma_in(0, 0x5000, &value), 0);
	assert_int_equal(value, 0xdead);
	/* The other device never had an entry. */
	assert_int_equal(dma_in(1, 0x5000, &value), -EFAULT);
	/* A user takes the device: the old mapping is gone. */
	domain = own(0);
	assert_int_equal(dma_in(0, 0x5000, &value), -EFAULT);
	phys = page();
	ram(phys)[0] = 7;
	assert_int_equal(iommu_map(domain, 0x5000, phys, SZ_4K, IOMMU_READ), 0);
	assert_int_equal(dma_in(0, 0x5000, &value), 0);
	assert_int_equal(value, 7);
	disown(0, domain);
	demolish();
}

static void vtd_kdump_first_mapping_attaches_the_default_domain(void **state)
{
	struct iommu_domain *domain;
	struct iommu_group *group;
	phys_addr_t leaf;
	u64 value;

	build("elfcorehdr=0x1000", NULL);
	old_tables(&leaf);
	assert_int_equal(vtd_driver_register(fx.m, 0, NULL), 0);
	assert_int_equal(dma_in(0, 0x5000, &value), 0);
	group = iommu_group_get(&fx.dev[0]->dev);
	domain = iommu_group_default_domain(group);
	/* The DMA API maps: from now on it is the new kernel's tables. */
	assert_int_equal(iommu_deferred_attach(&fx.dev[0]->dev, domain), 0);
	assert_int_equal(dma_in(0, 0x5000, &value), -EFAULT);
	assert_int_equal(iommu_map(domain, 0x5000, leaf, SZ_4K, IOMMU_READ), 0);
	assert_int_equal(dma_in(0, 0x5000, &value), 0);
	assert_int_equal(iommu_unmap(domain, 0x5000, SZ_4K), SZ_4K);
	iommu_group_put(group);
	demolish();
}

static void vtd_caching_mode_absent_entries_are_invalidated(void **state)
{
	struct vtd_unit_config config = {.caching_mode = true};
	struct iommu_group *group;
	struct iommu_domain *domain;
	phys_addr_t phys;
	u64 value;

	start("", &config);
	group = iommu_group_get(&fx.dev[0]->dev);
	assert_int_equal(iommu_group_claim_dma_owner(group, &fx), 0);
	assert_int_equal(dma_in(0, 0, &value), -EFAULT);
	domain = iommu_paging_domain_alloc(&fx.dev[0]->dev);
	assert_false(IS_ERR(domain));
	assert_int_equal(iommu_attach_group(domain, group), 0);
	assert_int_equal(dma_in(0, 0, &value), -EFAULT);
	phys = page();
	assert_int_equal(iommu_map(domain, 0, phys, SZ_4K, IOMMU_READ), 0);
	assert_int_equal(dma_in(0, 0, &value), 0);
	iommu_group_put(group);
	disown(0, domain);
	unpage(phys);
	demolish();
}

static void vtd_translation_left_on_without_kdump_is_replaced(void **state)
{
	phys_addr_t leaf;
	u64 value;

	build("", NULL);
	old_tables(&leaf);
	assert_int_equal(vtd_driver_register(fx.m, 0, NULL), 0);
	assert_false(fx.dev[0]->dev.iommu->attach_deferred);
	assert_int_equal(dma_in(0, 0x5000, &value), -EFAULT);
	demolish();
}

static void vtd_start_without_memory_leaves_nothing(void **state)
{
	for (u64 nth = 1;; nth++) {
		s64 live;
		int rc;

		build("", NULL);
		live = alloc_live_count();
		fault_inject_arm(nth);
		rc = vtd_driver_register(fx.m, 0, NULL);
		if (!fault_inject_disarm()) {
			assert_int_equal(rc, 0);
			demolish();
			break;
		}
		if (rc) {
			assert_int_equal(alloc_live_count(), live);
			assert_false(unit_mmio_read(&fx.m->hw, 0, VTD_GSTS, 4) &
				     VTD_GSTS_TES);
		}
		demolish();
	}
}

static void vtd_attach_without_memory_keeps_the_old_domain(void **state)
{
	for (u64 nth = 1;; nth++) {
		struct iommu_domain *old, *new;
		phys_addr_t phys;
		u64 value;
		int rc;

		start("", NULL);
		old = own(0);
		phys = page();
		assert_int_equal(iommu_map(old, 0, phys, SZ_4K, IOMMU_READ), 0);
		new = iommu_paging_domain_alloc(&fx.dev[0]->dev);
		assert_false(IS_ERR(new));
		fault_inject_arm(nth);
		rc = new->ops->attach_dev(new, &fx.dev[0]->dev, old);
		if (!fault_inject_disarm()) {
			assert_int_equal(rc, 0);
			assert_int_equal(dma_in(0, 0, &value), -EFAULT);
			assert_int_equal(old->ops->attach_dev(old, &fx.dev[0]->dev, new),
					 0);
			nth = 0;
		} else {
			assert_int_equal(rc, -ENOMEM);
		}
		assert_int_equal(dma_in(0, 0, &value), 0);
		iommu_domain_free(new);
		disown(0, old);
		unpage(phys);
		demolish();
		if (!nth)
			break;
	}
}

/* Nothing is to be had while the device goes back: it gets there all the same. */
static void go_back_without_memory(unsigned i, struct iommu_domain *domain, bool owned)
{
	struct iommu_group *group = iommu_group_get(&fx.dev[i]->dev);
	struct iommu_domain *home = iommu_group_default_domain(group);
	phys_addr_t phys = page();
	u64 value = 0;

	ram(phys)[0] = 11;
	assert_int_equal(iommu_map(home, 0x7000, phys, SZ_4K, IOMMU_READ), 0);
	assert_int_equal(dma_in(i, 0x7000, &value), -EFAULT);
	fault_inject_arm(1);
	if (domain)
		iommu_detach_group(domain, group);
	if (owned)
		iommu_group_release_dma_owner(group);
	assert_false(fault_inject_disarm());
	assert_int_equal(dma_in(i, 0x7000, &value), 0);
	assert_int_equal(value, 11);
	assert_int_equal(iommu_unmap(home, 0x7000, SZ_4K), SZ_4K);
	assert_int_equal(dma_in(i, 0x7000, &value), -EFAULT);
	if (domain)
		iommu_domain_free(domain);
	iommu_group_put(group);
	unpage(phys);
}

static void vtd_detach_without_memory_reaches_the_default_domain(void **state)
{
	struct iommu_domain *domain;
	struct iommu_group *group;

	start("", NULL);
	for (unsigned i = 0; i < NR_DEVS; i++)
		go_back_without_memory(i, own(i), true);
	group = iommu_group_get(&fx.dev[0]->dev);
	domain = iommu_paging_domain_alloc(&fx.dev[0]->dev);
	assert_false(IS_ERR(domain));
	assert_int_equal(iommu_attach_group(domain, group), 0);
	go_back_without_memory(0, domain, false);
	iommu_group_put(group);
	demolish();
}

/* Given to a user before it was ever at its default domain. */
static void vtd_kdump_detach_without_memory_reaches_the_default_domain(void **state)
{
	struct iommu_group *group;
	phys_addr_t leaf;

	build("elfcorehdr=0x1000", NULL);
	old_tables(&leaf);
	assert_int_equal(vtd_driver_register(fx.m, 0, NULL), 0);
	go_back_without_memory(0, own(0), true);
	group = iommu_group_get(&fx.dev[1]->dev);
	assert_int_equal(iommu_group_claim_dma_owner(group, &fx), 0);
	go_back_without_memory(1, NULL, true);
	iommu_group_put(group);
	demolish();
}

static void vtd_sysfs_shows_what_a_real_one_shows(void **state)
{
	static const char *const names[] = {
		"version", "address", "cap", "ecap", "domains_supported", "domains_used"};
	struct iommu_device *iommu;
	char buf[64];

	start("", NULL);
	iommu = fx.dev[0]->dev.iommu->iommu_dev;
	assert_string_equal(iommu->name, "dmar0");
	assert_string_equal(iommu->attr_group, "intel-iommu");
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		assert_string_equal(iommu->attrs[i].name, names[i]);
		assert_true(iommu->attrs[i].show(iommu, buf, sizeof(buf)) > 0);
		if (i == 1)
			assert_string_equal(buf, "fed90000\n");
		if (i == 4)
			assert_string_equal(buf, "65536\n");
		/* Two devices; the bridge and what is behind it are one group. */
		if (i == 5)
			assert_string_equal(buf, "3\n");
	}
	assert_null(iommu->attrs[ARRAY_SIZE(names)].name);
	demolish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vtd_map_device_reaches_memory),
		cmocka_unit_test(vtd_read_only_map_refuses_writes),
		cmocka_unit_test(vtd_owner_claimed_blocks_dma),
		cmocka_unit_test(vtd_aliased_device_uses_its_bridges_entry),
		cmocka_unit_test(vtd_two_domains_share_nothing),
		cmocka_unit_test(vtd_random_maps_equal_what_dma_sees),
		cmocka_unit_test(vtd_caching_mode_random_maps_equal_what_dma_sees),
		cmocka_unit_test(
			vtd_register_invalidation_random_maps_equal_what_dma_sees),
		cmocka_unit_test(vtd_39_bits_random_maps_equal_what_dma_sees),
		cmocka_unit_test(vtd_57_bits_random_maps_equal_what_dma_sees),
		cmocka_unit_test(vtd_geometry_follows_the_address_width),
		cmocka_unit_test(vtd_fault_event_reaches_the_domains_handler),
		cmocka_unit_test(vtd_msi_is_delivered_and_source_checked),
		cmocka_unit_test(vtd_msi_behind_bridge_is_checked_by_bus),
		cmocka_unit_test(vtd_four_msi_vectors_share_one_message_address),
		cmocka_unit_test(vtd_enforce_coherency_needs_snoop_control),
		cmocka_unit_test(vtd_reserved_regions_hold_the_msi_window_and_rmrrs),
		cmocka_unit_test(vtd_off_by_command_line_enodev),
		cmocka_unit_test(vtd_command_line_sets_page_sizes_and_strictness),
		cmocka_unit_test(vtd_kdump_devices_stay_on_old_tables_until_attached),
		cmocka_unit_test(vtd_kdump_first_mapping_attaches_the_default_domain),
		cmocka_unit_test(vtd_caching_mode_absent_entries_are_invalidated),
		cmocka_unit_test(vtd_translation_left_on_without_kdump_is_replaced),
		cmocka_unit_test(vtd_start_without_memory_leaves_nothing),
		cmocka_unit_test(vtd_attach_without_memory_keeps_the_old_domain),
		cmocka_unit_test(vtd_detach_without_memory_reaches_the_default_domain),
		cmocka_unit_test(
			vtd_kdump_detach_without_memory_reaches_the_default_domain),
		cmocka_unit_test(vtd_sysfs_shows_what_a_real_one_shows),
	};

	return cmocka_run_group_tests_name("vtd-driver", tests, NULL, NULL);
}
