// SPDX-License-Identifier: MIT
/*
 * The AMD-Vi driver against the AMD-Vi unit, on a machine with a PCI bus: what the core
 * asks of the driver shows in what a device's DMA can reach.
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
#include "drivers/amd/amd.h"
#include "iommu/iommu.h"
#include "machine/dma.h"
#include "machine/irq.h"
#include "machine/machine.h"
#include "moat/uapi/iommufd.h"
#include "pci/function.h"
#include "pci/pci.h"
#include "units/amd/amd_regs.h"
#include "units/amd/amd_unit.h"
#include "units/units.h"

#define REGS	 0xfed80000ULL
#define NR_DEVS	 4
#define FIRST_FN 0x20 /* devfn of 00:04.0 */

struct fixture {
	struct machine *m;
	struct pci_host *host;
	struct pci_dev *
		dev[NR_DEVS]; /* 00:04.0, 00:05.0, and behind a bridge 01:00.0, 01:01.0 */
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
static void build(const char *cmdline, const struct amd_unit_config *config)
{
	static const struct pci_iommu_hooks hooks = {iommu_dma_configure,
						     iommu_dma_cleanup};
	struct amd_unit_config unit = {0};
	static const char *const names[NR_DEVS] = {"0000:00:04.0", "0000:00:05.0",
						   "0000:01:00.0", "0000:01:01.0"};
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
	assert_int_equal(amd_unit_setup(&fx.m->hw, 0, &unit), 0);
	assert_int_equal(iommu_core_create(fx.m), 0);
	assert_int_equal(pci_host_create(fx.m, &fx.host), 0);
	pci_host_set_iommu(fx.host, &hooks);
	assert_int_equal(pci_hw_add_root(fx.host, 0, 0, 255, &bus), 0);
	add_function(bus, FIRST_FN, PCI_FN_ENDPOINT, &fn);
	add_function(bus, FIRST_FN + 8, PCI_FN_ENDPOINT, &fn);
	add_function(bus, FIRST_FN + 16, PCI_FN_PCIE_TO_PCI, &bridge);
	add_function(bridge->secondary, 0, PCI_FN_ENDPOINT, &fn);
	add_function(bridge->secondary, 8, PCI_FN_ENDPOINT, &fn);
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
	amd_driver_unregister(fx.m, 0);
	for (unsigned i = 0; i < NR_DEVS; i++)
		put_device(&fx.dev[i]->dev);
	pci_host_destroy(fx.host);
	iommu_core_destroy(fx.m);
	assert_int_equal(count_free() + fx.pages, fx.free_pages);
	machine_destroy(fx.m);
	assert_int_equal(alloc_live_count(), fx.live);
}

static void start(const char *cmdline, const struct amd_unit_config *config)
{
	static const struct amd_driver_params np = {
		.capability = AMD_CAP_ID | AMD_CAP_TYPE | AMD_CAP_EFR | AMD_CAP_NP_CACHE};

	build(cmdline, config);
	assert_int_equal(
		amd_driver_register(fx.m, 0, config && config->np_cache ? &np : NULL), 0);
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

/* Random maps and unmaps; after each the device reaches exactly what is mapped. */
static void random_against_flat(const struct amd_unit_config *config)
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

static void amd_map_device_reaches_memory(void **state)
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
	assert_int_equal(iommu_map(domain, 0x10000, phys, SZ_4K, IOMMU_READ), 0);
	assert_int_equal(dma_out(0, 0x10010, 43), -EFAULT);
	assert_int_equal(fx.last.class, FAULT_WRITE);
	disown(0, domain);
	unpage(phys);
	demolish();
}

static void amd_owner_claimed_blocks_dma(void **state)
{
	struct iommu_group *group;
	u64 value;

	start("iommu.passthrough=1", NULL);
	for (unsigned i = 0; i < NR_DEVS; i += 2) {
		group = iommu_group_get(&fx.dev[i]->dev);
		/* The default domain is identity: the device sees RAM as it is. */
		assert_int_equal(dma_in(i, 0x1000, &value), 0);
		assert_int_equal(iommu_group_claim_dma_owner(group, &fx), 0);
		assert_int_equal(dma_in(i, 0x1000, &value), -EFAULT);
		assert_int_equal(fx.last.class, FAULT_BLOCKED);
		iommu_group_release_dma_owner(group);
		assert_int_equal(dma_in(i, 0x1000, &value), 0);
		iommu_group_put(group);
	}
	demolish();
}

static void amd_aliased_device_uses_its_bridges_entry(void **state)
{
	struct iommu_domain *domain;
	phys_addr_t phys;
	u64 value;

	start("", NULL);
	domain = own(2);
	phys = page();
	assert_int_equal(iommu_map(domain, 0x10000, phys, SZ_4K, IOMMU_READ), 0);
	assert_int_equal(dma_in(2, 0x10000, &value), 0);
	/* The tables grow a level: the alias' entry follows. */
	assert_int_equal(iommu_map(domain, 1ULL << 40, phys, SZ_4K, IOMMU_READ), 0);
	assert_int_equal(dma_in(2, 0x10000, &value), 0);
	assert_int_equal(dma_in(2, 1ULL << 40, &value), 0);
	assert_int_equal(iommu_unmap(domain, 0x10000, SZ_4K), SZ_4K);
	assert_int_equal(dma_in(2, 0x10000, &value), -EFAULT);
	disown(2, domain);
	unpage(phys);
	demolish();
}

/* Both devices behind the bridge send 01:00.0 as their id. */
static void amd_member_leaves_the_others_dma_goes_on(void **state)
{
	struct iommu_domain *domain;
	phys_addr_t phys;
	u64 value;

	start("", NULL);
	domain = own(2);
	phys = page();
	assert_int_equal(iommu_map(domain, 0x10000, phys, SZ_4K, IOMMU_READ), 0);
	assert_int_equal(dma_in(3, 0x10000, &value), 0);
	pci_stop_and_remove_bus_device(fx.dev[2]);
	assert_int_equal(dma_in(3, 0x10000, &value), 0);
	disown(3, domain);
	assert_int_equal(dma_in(3, 0x10000, &value), -EFAULT);
	unpage(phys);
	demolish();
}

static void amd_two_domains_share_nothing(void **state)
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

static void amd_random_maps_equal_what_dma_sees(void **state)
{
	struct amd_unit_config np = {.np_cache = true},
			       six = {.levels = 6, .dirty = true};

	random_against_flat(NULL);
	random_against_flat(&np);
	random_against_flat(&six);
}

static void amd_geometry_follows_the_levels(void **state)
{
	static const u64 ends[] = {(1ULL << 48) - 1, (1ULL << 57) - 1, UINT64_MAX};

	for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
		struct amd_unit_config config = {.levels = (u8)(4 + i)};
		struct iommu_domain *domain;
		phys_addr_t phys;
		u64 value;

		start("", &config);
		domain = own(0);
		phys = page();
		assert_int_equal(domain->geometry.aperture_start, 0);
		assert_int_equal(domain->geometry.aperture_end, ends[i]);
		assert_int_equal(iommu_map(domain, 0x1000, phys, SZ_4K, IOMMU_READ), 0);
		assert_int_equal(
			iommu_map(domain, ends[i] - 0xfff, phys, SZ_4K, IOMMU_READ), 0);
		assert_int_equal(dma_in(0, ends[i] - 7, &value), 0);
		assert_int_equal(dma_in(0, 0x1000, &value), 0);
		assert_int_equal(dma_in(0, ends[i] - 0x1007, &value), -EFAULT);
		if (i < 2)
			assert_int_equal(iommu_map(domain, ends[i] + 1, phys, SZ_4K,
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

static void amd_fault_event_reaches_the_domains_handler(void **state)
{
	struct iommu_domain *domain;
	u64 value;

	start("", NULL);
	domain = own(0);
	iommu_set_fault_handler(domain, on_domain_fault, &fx);
	seen_faults = 0;
	assert_int_equal(dma_out(0, 0x123456, 1), -EFAULT);
	assert_int_equal(fx.events, 1);
	amd_driver_event(fx.m, 0);
	assert_int_equal(seen_faults, 1);
	assert_int_equal(seen_iova, 0x123456);
	assert_int_equal(seen_flags, IOMMU_FAULT_WRITE);
	/* More than the log holds: it is restarted, and the next one is seen. */
	for (unsigned i = 0; i < 600; i++)
		assert_int_equal(dma_in(0, 0x7000, &value), -EFAULT);
	assert_int_equal(fx.events, 2);
	amd_driver_event(fx.m, 0);
	assert_int_equal(seen_faults, 1 + 511);
	assert_int_equal(dma_in(0, 0x7000, &value), -EFAULT);
	assert_int_equal(fx.events, 3);
	amd_driver_event(fx.m, 0);
	assert_int_equal(seen_faults, 513);
	assert_int_equal(seen_flags, IOMMU_FAULT_READ);
	disown(0, domain);
	demolish();
}

static void send(unsigned dev, const struct msi_msg *msg)
{
	u32 data = msg->data;

	(void)dma_write(&fx.m->hw, (u32)fx.dev[dev]->dev.hw_function, msg->address, &data,
			4);
}

static void amd_msi_is_delivered_by_the_devices_own_table(void **state)
{
	for (unsigned ga = 0; ga < 2; ga++) {
		struct amd_unit_config config = {.guest_apic = ga};

		for (unsigned i = 0; i < NR_DEVS; i += 2) {
			struct msi_msg msg;
			int irq;

			start("", &config);
			assert_true(irq_remap_present(&fx.dev[i]->dev));
			irq = irq_alloc(&fx.dev[i]->dev, HW_IRQ_MSI, 1, 0, NULL, NULL);
			assert_true(irq > 0);
			assert_int_equal(irq_msi_message(&fx.dev[i]->dev, (u32)irq, &msg),
					 0);
			send(i, &msg);
			assert_int_equal(fx.irqs, 1);
			assert_int_equal(fx.last_irq, irq);
			/* Another device sends the same message. */
			send(1, &msg);
			assert_int_equal(fx.irqs, 1);
			assert_int_equal(fx.last.class, FAULT_IRQ);
			irq_free(&fx.dev[i]->dev, (u32)irq);
			send(i, &msg);
			assert_int_equal(fx.irqs, 1);
			demolish();
		}
	}
	start("intremap=off", NULL);
	assert_false(irq_remap_present(&fx.dev[0]->dev));
	demolish();
}

static void amd_four_msi_vectors_share_one_message(void **state)
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

static void amd_reserved_regions_hold_msi_ht_range_and_ivmds(void **state)
{
	static const struct amd_ivmd ivmd[] = {
		{.base = 0x800000,
		 .last = 0x80ffff,
		 .first = 0x28,
		 .last_id = 0x28,
		 .read = true,
		 .write = true},
		{.base = 0x900000,
		 .last = 0x90ffff,
		 .first = 0x28,
		 .last_id = 0x28,
		 .exclusion = true},
	};
	static const struct amd_driver_params params = {.ivmd = ivmd, .nr_ivmd = 2};

	build("", NULL);
	assert_int_equal(amd_driver_register(fx.m, 0, &params), 0);
	for (unsigned i = 0; i < NR_DEVS; i++) {
		struct iommu_group *group = iommu_group_get(&fx.dev[i]->dev);
		char buf[512], *expect =
				       "0x00000000fee00000 0x00000000feefffff msi\n"
				       "0x000000fd00000000 0x000000ffffffffff reserved\n";

		if (i == 1)
			expect = "0x0000000000800000 0x000000000080ffff direct\n"
				 "0x0000000000900000 0x000000000090ffff reserved\n"
				 "0x00000000fee00000 0x00000000feefffff msi\n"
				 "0x000000fd00000000 0x000000ffffffffff reserved\n";
		assert_int_equal(iommu_group_show_resv_regions(group, buf, sizeof(buf)),
				 strlen(expect));
		assert_memory_equal(buf, expect, strlen(expect));
		iommu_group_put(group);
	}
	demolish();
}

static void amd_off_by_command_line_enodev(void **state)
{
	static const char *const lines[] = {"amd_iommu=off", "iommu=off",
					    "amd_iommu=fullflush,off"};

	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
		u64 value;

		build(lines[i], NULL);
		assert_int_equal(amd_driver_register(fx.m, 0, NULL), -ENODEV);
		assert_int_equal(dma_in(0, 0x1000, &value), 0);
		assert_int_equal(unit_mmio_read(&fx.m->hw, 0, AMD_CONTROL, 8), 0);
		demolish();
	}
}

static void expect_type(const char *type)
{
	struct iommu_group *group = iommu_group_get(&fx.dev[0]->dev);
	char buf[64] = "";

	assert_int_equal(iommu_group_show_type(group, buf, sizeof(buf)), strlen(type));
	assert_memory_equal(buf, type, strlen(type));
	iommu_group_put(group);
}

static void amd_command_line_sets_page_sizes_and_strictness(void **state)
{
	static const struct amd_driver_params np = {
		.capability = AMD_CAP_ID | AMD_CAP_TYPE | AMD_CAP_EFR | AMD_CAP_NP_CACHE};
	struct iommu_domain *domain;

	start("amd_iommu=nohugepages,fullflush", NULL);
	domain = own(0);
	assert_int_equal(domain->pgsize_bitmap, SZ_4K);
	disown(0, domain);
	expect_type("DMA\n");
	demolish();

	start("amd_iommu=v2_pgsizes_only", NULL);
	domain = own(0);
	assert_int_equal(domain->pgsize_bitmap, SZ_4K | SZ_2M | SZ_1G);
	disown(0, domain);
	expect_type("DMA-FQ\n");
	demolish();

	/* Entries that are not present are cached: strict. */
	build("", NULL);
	assert_int_equal(amd_driver_register(fx.m, 0, &np), 0);
	expect_type("DMA\n");
	demolish();
}

static void count_dirty(void *data, iova_t iova, u64 length)
{
	*(u64 *)data += length;
}

static void amd_dirty_pages_are_told_once(void **state)
{
	struct amd_unit_config config = {.dirty = true};
	struct iommu_group *group;
	struct iommu_domain *domain;
	struct iommu_iotlb_gather gather;
	u64 count = 0;
	struct iommu_dirty_bitmap dirty = {count_dirty, &count, &gather};
	phys_addr_t phys;

	start("", NULL);
	domain = iommu_paging_domain_alloc_flags(&fx.dev[0]->dev,
						 IOMMU_ALLOC_DIRTY_TRACKING);
	assert_int_equal(PTR_ERR(domain), -EOPNOTSUPP);
	demolish();

	start("", &config);
	group = iommu_group_get(&fx.dev[0]->dev);
	assert_true(device_iommu_capable(&fx.dev[0]->dev, IOMMU_CAP_DIRTY_TRACKING));
	assert_int_equal(iommu_group_claim_dma_owner(group, &fx), 0);
	domain = iommu_paging_domain_alloc_flags(&fx.dev[0]->dev,
						 IOMMU_ALLOC_DIRTY_TRACKING);
	assert_false(IS_ERR(domain));
	assert_int_equal(iommu_attach_group(domain, group), 0);
	phys = page();
	assert_int_equal(iommu_map(domain, 0, phys, SZ_4K, IOMMU_READ | IOMMU_WRITE), 0);
	assert_int_equal(dma_out(0, 0, 1), 0);
	assert_int_equal(domain->dirty_ops->set_dirty_tracking(domain, true), 0);
	for (unsigned round = 0; round < 3; round++) {
		count = 0;
		iommu_iotlb_gather_init(&gather);
		assert_int_equal(domain->dirty_ops->read_and_clear_dirty(domain, 0, SZ_4K,
									 0, &dirty),
				 0);
		iommu_iotlb_sync(domain, &gather);
		assert_int_equal(count, round == 1 ? SZ_4K : 0);
		if (!round)
			assert_int_equal(dma_out(0, 8, 1), 0);
	}
	assert_int_equal(domain->dirty_ops->set_dirty_tracking(domain, false), 0);
	iommu_group_put(group);
	disown(0, domain);
	unpage(phys);
	demolish();
}

static phys_addr_t old_table;

/* A crashed kernel's tables: 00:04.0 has one page mapped at 0x5000 in domain 9. */
static void old_tables(phys_addr_t *leaf_page)
{
	phys_addr_t top = page();
	u64 *dte;

	assert_int_equal(ram_alloc_pages(fx.m, 9, &old_table), 0);
	fx.pages += 512;
	*leaf_page = page();
	ram(*leaf_page)[0] = 0xdead;
	for (unsigned i = 0; i < 65536; i++)
		*(u64 *)ram_ptr(&fx.m->hw, old_table + i * 32, 8) = AMD_DTE0_V;
	dte = ram_ptr(&fx.m->hw, old_table + FIRST_FN * 32, 32);
	dte[0] = AMD_DTE0_V | AMD_DTE0_TV | AMD_DTE0_IR | AMD_DTE0_IW | AMD_DTE0_MODE(1) |
		 top;
	dte[1] = 9;
	ram(top)[5] = *leaf_page | AMD_PTE_PR | AMD_PTE_IR | AMD_PTE_IW;
	unit_mmio_write(&fx.m->hw, 0, AMD_DEVTAB_BASE, old_table | 0x1ff, 8);
	unit_mmio_write(&fx.m->hw, 0, AMD_CONTROL, AMD_CTRL_IOMMU_EN, 8);
}

static void amd_kdump_devices_stay_on_old_tables_until_attached(void **state)
{
	struct iommu_domain *domain;
	phys_addr_t leaf, phys;
	u64 value = 0;

	build("elfcorehdr=0x1000", NULL);
	old_tables(&leaf);
	assert_int_equal(dma_in(0, 0x5000, &value), 0);
	assert_int_equal(value, 0xdead);
	assert_int_equal(amd_driver_register(fx.m, 0, NULL), 0);
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

static void amd_kdump_first_mapping_attaches_the_default_domain(void **state)
{
	struct iommu_domain *domain;
	struct iommu_group *group;
	phys_addr_t leaf;
	u64 value;

	build("elfcorehdr=0x1000", NULL);
	old_tables(&leaf);
	assert_int_equal(amd_driver_register(fx.m, 0, NULL), 0);
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

static void amd_translation_left_on_is_replaced(void **state)
{
	static const char *const lines[] = {"", "elfcorehdr=0x1000"};

	for (unsigned i = 0; i < 2; i++) {
		phys_addr_t leaf;
		u64 value;

		build(lines[i], NULL);
		old_tables(&leaf);
		/* A table of another size is not trusted. */
		if (i)
			unit_mmio_write(&fx.m->hw, 0, AMD_DEVTAB_BASE, old_table | 0xff,
					8);
		assert_int_equal(amd_driver_register(fx.m, 0, NULL), 0);
		assert_false(fx.dev[0]->dev.iommu->attach_deferred);
		assert_int_equal(dma_in(0, 0x5000, &value), -EFAULT);
		demolish();
	}
}

static void amd_overwritten_command_buffer_recovers(void **state)
{
	struct iommu_domain *domain;
	phys_addr_t phys, ring;
	u64 value;

	start("", NULL);
	domain = own(0);
	phys = page();
	assert_int_equal(iommu_map(domain, 0, phys, SZ_4K, IOMMU_READ), 0);
	assert_int_equal(dma_in(0, 0, &value), 0);
	/* The unit stops at garbage that somebody had it fetch. */
	ring = unit_mmio_read(&fx.m->hw, 0, AMD_CMDBUF_BASE, 8) & AMD_RING_ADDR;
	ram(ring)[511] = 0;
	unit_mmio_write(&fx.m->hw, 0, AMD_CMDBUF_HEAD, 4080, 8);
	memset(ram(ring + 4080), 0, 16);
	unit_mmio_write(&fx.m->hw, 0, AMD_CMDBUF_TAIL, 4096, 8);
	assert_int_equal(iommu_unmap(domain, 0, SZ_4K), SZ_4K);
	assert_int_equal(dma_in(0, 0, &value), -EFAULT);
	assert_int_equal(iommu_map(domain, 0, phys, SZ_4K, IOMMU_READ), 0);
	assert_int_equal(dma_in(0, 0, &value), 0);
	disown(0, domain);
	unpage(phys);
	demolish();
}

static void amd_start_without_memory_leaves_nothing(void **state)
{
	for (u64 nth = 1;; nth++) {
		s64 live;
		int rc;

		build("", NULL);
		live = alloc_live_count();
		fault_inject_arm(nth);
		rc = amd_driver_register(fx.m, 0, NULL);
		if (!fault_inject_disarm()) {
			assert_int_equal(rc, 0);
			demolish();
			break;
		}
		if (rc) {
			assert_int_equal(alloc_live_count(), live);
			assert_false(unit_mmio_read(&fx.m->hw, 0, AMD_CONTROL, 8) &
				     AMD_CTRL_IOMMU_EN);
		}
		demolish();
	}
}

static void amd_domain_without_memory_leaves_nothing(void **state)
{
	struct iommu_domain *domain;

	start("", NULL);
	for (u64 nth = 1;; nth++) {
		s64 live = alloc_live_count();

		fault_inject_arm(nth);
		domain = iommu_paging_domain_alloc(&fx.dev[0]->dev);
		if (!fault_inject_disarm())
			break;
		assert_int_equal(PTR_ERR(domain), -ENOMEM);
		assert_int_equal(alloc_live_count(), live);
	}
	assert_false(IS_ERR(domain));
	iommu_domain_free(domain);
	demolish();
}

static struct iommu_hw_info_amd *amd_iommu_info(u32 *type)
{
	u32 length;

	return dev_iommu_ops(&fx.dev[0]->dev)->hw_info(&fx.dev[0]->dev, &length, type);
}

static void amd_capabilities_and_sysfs_are_the_kernels(void **state)
{
	u32 type = IOMMU_HW_INFO_TYPE_DEFAULT;
	struct iommu_hw_info_amd *hw;
	struct iommu_device *iommu;
	char buf[64];

	start("", NULL);
	assert_true(device_iommu_capable(&fx.dev[0]->dev, IOMMU_CAP_CACHE_COHERENCY));
	assert_true(
		device_iommu_capable(&fx.dev[0]->dev, IOMMU_CAP_ENFORCE_CACHE_COHERENCY));
	assert_false(device_iommu_capable(&fx.dev[0]->dev, IOMMU_CAP_DIRTY_TRACKING));
	hw = amd_iommu_info(&type);
	assert_int_equal(type, IOMMU_HW_INFO_TYPE_AMD);
	assert_int_equal(hw->efr, 0x41);
	kfree(hw);
	type = IOMMU_HW_INFO_TYPE_INTEL_VTD;
	assert_int_equal(PTR_ERR(amd_iommu_info(&type)), -EOPNOTSUPP);
	iommu = fx.dev[0]->dev.iommu->iommu_dev;
	assert_string_equal(iommu->name, "ivhd0");
	assert_string_equal(iommu->attr_group, "amd-iommu");
	assert_string_equal(iommu->attrs[0].name, "cap");
	assert_true(iommu->attrs[0].show(iommu, buf, sizeof(buf)) > 0);
	assert_string_equal(buf, "803000f\n");
	assert_string_equal(iommu->attrs[1].name, "features");
	assert_true(iommu->attrs[1].show(iommu, buf, sizeof(buf)) > 0);
	assert_string_equal(buf, "0:41\n");
	assert_null(iommu->attrs[2].name);
	demolish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(amd_map_device_reaches_memory),
		cmocka_unit_test(amd_owner_claimed_blocks_dma),
		cmocka_unit_test(amd_aliased_device_uses_its_bridges_entry),
		cmocka_unit_test(amd_member_leaves_the_others_dma_goes_on),
		cmocka_unit_test(amd_two_domains_share_nothing),
		cmocka_unit_test(amd_random_maps_equal_what_dma_sees),
		cmocka_unit_test(amd_geometry_follows_the_levels),
		cmocka_unit_test(amd_fault_event_reaches_the_domains_handler),
		cmocka_unit_test(amd_msi_is_delivered_by_the_devices_own_table),
		cmocka_unit_test(amd_four_msi_vectors_share_one_message),
		cmocka_unit_test(amd_reserved_regions_hold_msi_ht_range_and_ivmds),
		cmocka_unit_test(amd_off_by_command_line_enodev),
		cmocka_unit_test(amd_command_line_sets_page_sizes_and_strictness),
		cmocka_unit_test(amd_dirty_pages_are_told_once),
		cmocka_unit_test(amd_kdump_devices_stay_on_old_tables_until_attached),
		cmocka_unit_test(amd_kdump_first_mapping_attaches_the_default_domain),
		cmocka_unit_test(amd_translation_left_on_is_replaced),
		cmocka_unit_test(amd_overwritten_command_buffer_recovers),
		cmocka_unit_test(amd_start_without_memory_leaves_nothing),
		cmocka_unit_test(amd_domain_without_memory_leaves_nothing),
		cmocka_unit_test(amd_capabilities_and_sysfs_are_the_kernels),
	};

	return cmocka_run_group_tests_name("amd-driver", tests, NULL, NULL);
}
