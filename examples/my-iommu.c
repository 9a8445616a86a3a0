// SPDX-License-Identifier: MIT
/*
 * An IOMMU of one's own, whole: its hardware, its driver, a device behind it and that
 * device's driver. docs/libmoat.md walks through it.
 *
 * The hardware ("toy") has a register for each of 16 source ids, which holds the
 * physical address of that device's table, 0: nothing may pass. A table is 4096
 * entries of 8 bytes in machine RAM, one for each 4 KiB page of a 16 MiB aperture: the
 * page's physical address, bit 0: may be read, bit 1: may be written. A write to
 * register 16 invalidates, and is complete when no DMA uses what was.
 */
#include <stdio.h>
#include <string.h>

#include <moat/base.h>
#include <moat/dma-mapping.h>
#include <moat/iommu.h>
#include <moat/machine.h>
#include <moat/model.h>
#include <moat/unit.h>

#define TOY_KIND     (UNIT_NR_KINDS - 1) /* kinds from the end are free for embedders */
#define TOY_DEVICES  16
#define TOY_INVAL    (TOY_DEVICES * 8)
#define TOY_ENTRIES  4096
#define TOY_ORDER    3 /* pages of a table, as a power of two */
#define TOY_APERTURE (TOY_ENTRIES * PAGE_SIZE)

/* --- the hardware: state is flat and lies in machine memory ---------------------------
 */

struct toy_state {
	u64 table[TOY_DEVICES];
};

static void toy_write(struct hw *hw, struct hw_unit *unit, u64 off, u64 val,
		      unsigned size)
{
	struct toy_state *st = hw_state_ptr(hw, unit->state);

	if (off < TOY_INVAL && off % 8 == 0 && size == 8)
		st->table[off / 8] = val;
	translators_synchronize(hw);
}

static int toy_translate(struct hw *hw, struct hw_unit *unit, struct translator *x,
			 const struct dma_request *req, struct dma_translation *out,
			 struct dma_fault *fault)
{
	struct toy_state *st = hw_state_ptr(hw, unit->state);
	u64 phys = req->sid < TOY_DEVICES ? st->table[req->sid] : 0, entry;
	const u64 *table = ram_ptr(hw, phys, TOY_ENTRIES * sizeof(u64));

	(void)x; /* no TLB: each request looks at the table */
	fault->class = FAULT_BLOCKED;
	if (!phys || !table)
		return -EFAULT;
	fault->class = FAULT_ADDRESS_WIDTH;
	if (req->iova >= TOY_APERTURE)
		return -EFAULT;
	entry = table[req->iova / PAGE_SIZE];
	fault->class = !(entry & 3)		  ? FAULT_NOT_PRESENT
		       : req->access == DMA_WRITE ? FAULT_WRITE
						  : FAULT_READ;
	if ((entry & req->access) != req->access)
		return -EFAULT;
	out->phys = (entry & PAGE_MASK) | (req->iova & ~PAGE_MASK);
	out->len = PAGE_SIZE - (req->iova & ~PAGE_MASK);
	out->access = entry & 3;
	return 0;
}

static const struct unit_ops toy_unit_ops = {
	.name = "toy",
	.state_size = sizeof(struct toy_state),
	.mmio_write = toy_write,
	.translate = toy_translate,
};

static const struct unit_ops *const unit_table[UNIT_NR_KINDS] = {
	[TOY_KIND] = &toy_unit_ops,
};

/* --- its driver: the kernel's interface, tables in machine RAM ------------------------
 */

struct toy_domain {
	struct iommu_domain domain;
	struct machine *machine;
	phys_addr_t table;
};

#define to_toy(d) container_of(d, struct toy_domain, domain)

static struct iommu_device toy_iommu = {.name = "toy0"};

static u64 *toy_entry(struct toy_domain *toy, iova_t iova)
{
	u64 *table = ram_ptr(&toy->machine->hw, toy->table, TOY_ENTRIES * sizeof(u64));

	return table + iova / PAGE_SIZE;
}

static void toy_point_at(struct device *dev, phys_addr_t table)
{
	struct hw *hw = &dev->machine->hw;

	unit_mmio_write(hw, 0, hw->functions[dev->hw_function].requester_id * 8, table,
			8);
}

static int toy_attach(struct iommu_domain *domain, struct device *dev,
		      struct iommu_domain *old)
{
	(void)old;
	toy_point_at(dev, to_toy(domain)->table);
	return 0;
}

static int toy_block(struct iommu_domain *domain, struct device *dev,
		     struct iommu_domain *old)
{
	(void)domain, (void)old;
	toy_point_at(dev, 0);
	return 0;
}

static int toy_map(struct iommu_domain *domain, iova_t iova, phys_addr_t paddr,
		   u64 pgsize, u64 pgcount, int prot, u64 *mapped)
{
	u64 bits = (prot & IOMMU_READ ? 1 : 0) | (prot & IOMMU_WRITE ? 2 : 0);

	for (; pgcount--; iova += pgsize, paddr += pgsize, *mapped += pgsize) {
		u64 *entry = toy_entry(to_toy(domain), iova);

		if (*entry)
			return -EADDRINUSE;
		*entry = paddr | bits;
	}
	return 0;
}

static u64 toy_unmap(struct iommu_domain *domain, iova_t iova, u64 pgsize, u64 pgcount,
		     struct iommu_iotlb_gather *gather)
{
	u64 done = 0;

	for (; pgcount-- && *toy_entry(to_toy(domain), iova + done); done += pgsize) {
		*toy_entry(to_toy(domain), iova + done) = 0;
		iommu_iotlb_gather_add_page(domain, gather, iova + done, pgsize);
	}
	return done;
}

static void toy_flush(struct iommu_domain *domain)
{
	unit_mmio_write(&to_toy(domain)->machine->hw, 0, TOY_INVAL, 1, 8);
}

static void toy_sync(struct iommu_domain *domain, struct iommu_iotlb_gather *gather)
{
	(void)gather;
	toy_flush(domain);
}

static phys_addr_t toy_iova_to_phys(struct iommu_domain *domain, iova_t iova)
{
	u64 entry = iova < TOY_APERTURE ? *toy_entry(to_toy(domain), iova) : 0;

	return entry ? (entry & PAGE_MASK) | (iova & ~PAGE_MASK) : 0;
}

static void toy_free(struct iommu_domain *domain)
{
	ram_free_pages(to_toy(domain)->machine, to_toy(domain)->table, TOY_ORDER);
	kfree(to_toy(domain));
}

static const struct iommu_domain_ops toy_domain_ops = {
	.attach_dev = toy_attach,
	.map_pages = toy_map,
	.unmap_pages = toy_unmap,
	.flush_iotlb_all = toy_flush,
	.iotlb_sync = toy_sync,
	.iova_to_phys = toy_iova_to_phys,
	.free = toy_free,
};

static struct iommu_domain toy_blocked = {
	.type = IOMMU_DOMAIN_BLOCKED,
	.ops = &(const struct iommu_domain_ops){.attach_dev = toy_block},
};

static struct iommu_domain *toy_alloc(struct device *dev)
{
	struct toy_domain *toy = kzalloc(sizeof(*toy));

	if (!toy)
		return NULL;
	if (ram_alloc_pages(dev->machine, TOY_ORDER, &toy->table)) {
		kfree(toy);
		return NULL;
	}
	toy->machine = dev->machine;
	toy->domain.pgsize_bitmap = SZ_4K;
	toy->domain.geometry.aperture_end = TOY_APERTURE - 1;
	toy->domain.geometry.force_aperture = true;
	return &toy->domain;
}

static struct iommu_device *toy_probe_device(struct device *dev)
{
	struct hw *hw = &dev->machine->hw;

	if (dev->hw_function < 0 || hw->functions[dev->hw_function].unit != 0 ||
	    hw->functions[dev->hw_function].requester_id >= TOY_DEVICES)
		return ERR_PTR(-ENODEV);
	return &toy_iommu;
}

static const struct iommu_ops toy_ops = {
	.name = "toy",
	.domain_alloc_paging = toy_alloc,
	.probe_device = toy_probe_device,
	.device_group = generic_device_group,
	.blocked_domain = &toy_blocked,
	.release_domain = &toy_blocked,
	.default_domain_ops = &toy_domain_ops,
};

/* --- a device and its driver ----------------------------------------------------------
 */

static unsigned faults;

static void on_fault(struct hw *hw, const struct dma_fault *fault)
{
	(void)hw;
	faults++;
	printf("fault: %s at IOVA 0x%llx, class %u\n",
	       fault->access == DMA_WRITE ? "write" : "read",
	       (unsigned long long)fault->iova, fault->class);
}

static const struct hw_host_ops host_ops = {.fault = on_fault};

/* What the device does: reads a number at @iova, and writes it back plus one. */
static int device_increments(struct device *dev, iova_t iova)
{
	struct hw *hw = &dev->machine->hw;
	u64 n;

	return dma_read(hw, dev->hw_function, iova, &n, 8) ||
			       (n++, dma_write(hw, dev->hw_function, iova, &n, 8))
		       ? -EFAULT
		       : 0;
}

static int counter_probe(struct device *dev)
{
	phys_addr_t page;
	dma_addr_t addr;
	u64 *cpu;
	int ret;

	ret = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(32));
	if (!ret)
		ret = ram_alloc_pages(dev->machine, 0, &page);
	if (ret)
		return ret;
	cpu = ram_ptr(&dev->machine->hw, page, PAGE_SIZE);
	*cpu = 41;
	addr = dma_map_single(dev, cpu, 8, DMA_BIDIRECTIONAL);
	if (dma_mapping_error(dev, addr)) {
		ret = -ENOMEM;
		goto out;
	}
	ret = device_increments(dev, addr);
	printf("mapped: %s, the number is %llu\n", ret ? "refused" : "done",
	       (unsigned long long)*cpu);
	dma_unmap_single(dev, addr, 8, DMA_BIDIRECTIONAL);
	if (!ret && (*cpu != 42 || device_increments(dev, addr) != -EFAULT || *cpu != 42))
		ret = -EIO;
out:
	ram_free_pages(dev->machine, page, 0);
	return ret;
}

static bool counter_match(struct device *dev, const struct device_driver *drv)
{
	return !strcmp(dev_name(dev), drv->name);
}

static const struct bus_type soc_bus = {
	.name = "soc",
	.match = counter_match,
	.dma_configure = device_dma_configure,
	.dma_cleanup = device_dma_cleanup,
};

static struct device_driver counter_driver = {.name = "counter", .probe = counter_probe};

static int build_hardware(struct hw *hw)
{
	hw->ops = &host_ops;
	hw->unit_ops = unit_table;
	hw->units[0].state_size = sizeof(struct toy_state);
	hw->units[0].state = hw_alloc_state(hw, sizeof(struct toy_state));
	if (!hw->units[0].state)
		return -ENOMEM;
	hw->units[0].kind = TOY_KIND;
	hw_function_init(hw, 0);
	hw->functions[0].flags = HW_FN_PLATFORM;
	hw->functions[0].requester_id = 5;
	hw->functions[0].unit = 0;
	return 0;
}

static int run(struct machine *m)
{
	struct device counter = {0};
	struct bus *bus;
	int ret = build_hardware(&m->hw);

	if (ret)
		return ret;
	ret = bus_register(m, &soc_bus, &bus);
	if (ret)
		return ret;
	ret = iommu_device_register(m, &toy_iommu, &toy_ops);
	if (ret)
		goto err_bus;
	device_initialize(&counter, m, NULL);
	strcpy(counter.name, "counter");
	counter.bus = bus;
	counter.hw_function = 0;
	ret = device_add(&counter);
	if (ret)
		goto err_iommu;
	ret = driver_register(&counter_driver, bus);
	if (!ret) {
		printf("group %d, driver %s\n", iommu_group_id(counter.iommu_group),
		       counter.driver ? "bound" : "not bound");
		ret = counter.driver && faults == 1 ? 0 : -EIO;
		driver_unregister(&counter_driver);
	}
	device_del(&counter);
err_iommu:
	iommu_device_unregister(&toy_iommu);
err_bus:
	bus_unregister(bus);
	return ret;
}

int main(void)
{
	struct machine *m;
	int ret = machine_create(&m, 64 * SZ_1M, 1, "iommu.strict=1");

	if (ret)
		return 1;
	ret = iommu_core_create(m);
	if (!ret) {
		ret = dma_core_create(m);
		if (!ret) {
			ret = run(m);
			dma_core_destroy(m);
		}
		iommu_core_destroy(m);
	}
	machine_destroy(m);
	if (alloc_live_count())
		ret = -ENOMEM;
	printf("%s\n", ret ? strerror(-ret) : "ok");
	return ret ? 1 : 0;
}
