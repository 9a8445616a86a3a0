// SPDX-License-Identifier: MIT
/*
 * vfio-pci where the recorded device (edu, conventional, MSI only) does not reach: MSI-X,
 * PCI Express, function reset, power states, on the I/OAT of the machine "pc".
 */
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "machine/endpoint.h"
#include "machine/dma.h"
#include "tests/unit/vfio/vfio_fixture.h"

#define TRIGGER (VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER)
#define OFF	(VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER)

/* The first device with MSI-X that is bound to vfio-pci. */
static const char *msix_device(void)
{
	struct pci_dev *pdev;

	for_each_pci_dev(dbl.m->pci, pdev)
	{
		if (pdev->msix_cap && pdev->dev.driver &&
		    !strcmp(pdev->dev.driver->name, "vfio-pci")) {
			put_device(&pdev->dev);
			return pci_name(pdev);
		}
	}
	fail_msg("no device with MSI-X");
	return NULL;
}

static struct vfio_region_info region(int d, u32 index, void *caps, size_t size)
{
	struct {
		struct vfio_region_info info;
		u8 caps[64];
	} req = {{.argsz = sizeof(req), .index = index}};

	assert_int_equal(double_ioctl(d, VFIO_DEVICE_GET_REGION_INFO, (uintptr_t)&req),
			 0);
	if (caps)
		memcpy(caps, req.caps, size);
	return req.info;
}

static void msix_region_says_mappable_and_hides_table(void **state)
{
	const char *name = msix_device();
	struct opened o = open_device(name, VFIO_TYPE1v2_IOMMU);
	struct vfio_info_cap_header cap;
	struct vfio_region_info info;
	u32 table = 0, val = 0;
	u8 around[32];
	u64 at;

	assert_int_equal(pci_read_config_dword(device(name), device(name)->msix_cap + 4,
					       &table),
			 0);
	info = region(o.d, table & 7, &cap, sizeof(cap));
	assert_true(info.flags & VFIO_REGION_INFO_FLAG_CAPS);
	assert_int_equal(info.cap_offset, sizeof(info));
	assert_int_equal(cap.id, VFIO_REGION_INFO_CAP_MSIX_MAPPABLE);
	assert_int_equal(cap.next, 0);
	at = info.offset + (table & ~7U);
	assert_int_equal(double_pread(o.d, &val, 4, at), 4);
	assert_int_equal(val, 0xffffffff);
	assert_int_equal(double_pwrite(o.d, &val, 4, at), 4);
	/* Half of it before the table: that half is the device's. */
	if (table & ~7U) {
		assert_int_equal(double_pread(o.d, around, 32, at - 16), 32);
		assert_memory_equal(around + 16, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
	}
	close_all(&o);
}

static void msix_vectors_come_and_go_while_others_work(void **state)
{
	const char *name = msix_device();
	struct opened o = open_device(name, VFIO_TYPE1v2_IOMMU);
	struct vfio_irq_info info = {.argsz = sizeof(info),
				     .index = VFIO_PCI_MSIX_IRQ_INDEX};
	struct hw *hw = &dbl.m->hw;
	u32 fn = (u32)device(name)->dev.hw_function;
	int e[2] = {eventfd(0, 0), eventfd(0, 0)}, none = -1;

	assert_int_equal(double_ioctl(o.d, VFIO_DEVICE_GET_IRQ_INFO, (uintptr_t)&info),
			 0);
	assert_int_equal(info.flags, VFIO_IRQ_INFO_EVENTFD);
	cfg_write(o.d, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(set_irqs(o.d, VFIO_PCI_MSIX_IRQ_INDEX, TRIGGER, 0, 1, e), 0);
	hw_msi_send(hw, fn, 0);
	assert_int_equal(drain(e[0]), 1);
	if (info.count > 1) {
		/* Nobody listens to 1: it is masked and pends until somebody does. */
		hw_msi_send(hw, fn, 1);
		assert_int_equal(drain(e[1]), 0);
		assert_int_equal(
			set_irqs(o.d, VFIO_PCI_MSIX_IRQ_INDEX, TRIGGER, 1, 1, e + 1), 0);
		assert_int_equal(drain(e[1]), 1);
		hw_msi_send(hw, fn, 1);
		assert_int_equal(drain(e[1]), 1);
	}
	assert_int_equal(set_irqs(o.d, VFIO_PCI_MSIX_IRQ_INDEX, TRIGGER, 0, 1, &none), 0);
	hw_msi_send(hw, fn, 0);
	assert_int_equal(drain(e[0]), 0);
	assert_int_equal(set_irqs(o.d, VFIO_PCI_MSI_IRQ_INDEX, TRIGGER, 0, 1, e),
			 -EINVAL);
	assert_int_equal(set_irqs(o.d, VFIO_PCI_MSIX_IRQ_INDEX, OFF, 0, 0, NULL), 0);
	assert_int_equal(census().irqs, 0);
	close_all(&o);
	close(e[0]);
	close(e[1]);
}

static void config_bars_are_virtual_and_sized(void **state)
{
	struct opened o = open_device(msix_device(), VFIO_TYPE1v2_IOMMU);
	struct pci_dev *pdev = device(msix_device());
	u32 bar = cfg_read(o.d, PCI_BASE_ADDRESS_0, 4), phys = 0;

	cfg_write(o.d, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
	assert_int_equal(cfg_read(o.d, PCI_BASE_ADDRESS_0, 4) & ~0xfU,
			 (u32) ~(pci_resource_len(pdev, 0) - 1) & ~0xfU);
	assert_int_equal(pci_read_config_dword(pdev, PCI_BASE_ADDRESS_0, &phys), 0);
	assert_int_equal(phys, bar);
	cfg_write(o.d, PCI_BASE_ADDRESS_0, 4, bar);
	assert_int_equal(cfg_read(o.d, PCI_BASE_ADDRESS_0, 4), bar);
	close_all(&o);
}

static void config_d3_takes_registers_away(void **state)
{
	struct opened o = open_device(msix_device(), VFIO_TYPE1v2_IOMMU);
	u8 pm = device(msix_device())->pm_cap;
	u32 val;

	if (!pm) {
		close_all(&o);
		skip();
	}
	cfg_write(o.d, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(double_pread(o.d, &val, 4, 0), 4);
	cfg_write(o.d, pm + PCI_PM_CTRL, 2, 3);
	assert_int_equal(cfg_read(o.d, pm + PCI_PM_CTRL, 2) & 3, 3);
	assert_int_equal(double_pread(o.d, &val, 4, 0), -EIO);
	cfg_write(o.d, pm + PCI_PM_CTRL, 2, 0);
	assert_int_equal(double_pread(o.d, &val, 4, 0), 4);
	close_all(&o);
}

static void config_function_reset_bit_resets_and_reads_zero(void **state)
{
	struct opened o = open_device(msix_device(), VFIO_TYPE1v2_IOMMU);
	struct pci_dev *pdev = device(msix_device());
	unsigned ctl = pdev->pcie_cap + PCI_EXP_DEVCTL;
	struct vfio_device_info info = {.argsz = sizeof(info)};
	u32 cap = 0, epoch;

	pcie_capability_read_dword(pdev, PCI_EXP_DEVCAP, &cap);
	if (!(cap & PCI_EXP_DEVCAP_FLR)) {
		close_all(&o);
		skip();
	}
	assert_int_equal(double_ioctl(o.d, VFIO_DEVICE_GET_INFO, (uintptr_t)&info), 0);
	assert_true(info.flags & VFIO_DEVICE_FLAGS_RESET);
	epoch = atomic_load(&dbl.m->hw.functions[pdev->dev.hw_function].epoch);
	cfg_write(o.d, ctl, 2, cfg_read(o.d, ctl, 2) | PCI_EXP_DEVCTL_BCR_FLR);
	assert_int_equal(cfg_read(o.d, ctl, 2) & PCI_EXP_DEVCTL_BCR_FLR, 0);
	assert_true(atomic_load(&dbl.m->hw.functions[pdev->dev.hw_function].epoch) !=
		    epoch);
	assert_int_equal(double_ioctl(o.d, VFIO_DEVICE_RESET, 0), 0);
	close_all(&o);
}

static void config_hostile_writes_harm_nobody(void **state)
{
	struct opened o = open_device(msix_device(), VFIO_TYPE1v2_IOMMU);
	u64 pos = (u64)VFIO_PCI_CONFIG_REGION_INDEX << VFIO_PCI_OFFSET_SHIFT;
	u32 seed = 1;

	for (int i = 0; i < 20000; i++) {
		u8 buf[8];
		size_t len;

		seed = seed * 1664525 + 1013904223;
		memcpy(buf, &seed, 4);
		memcpy(buf + 4, &i, 4);
		len = 1 + (seed >> 9) % 8;
		double_pwrite(o.d, buf, len, pos + (seed >> 12) % 4096);
		double_pread(o.d, buf, len, pos + (seed >> 16) % 4096);
	}
	close_all(&o);
	/* And it comes back as it was. */
	o = open_device(msix_device(), VFIO_TYPE1v2_IOMMU);
	assert_int_equal(cfg_read(o.d, PCI_VENDOR_ID, 2), device(msix_device())->vendor);
	assert_int_equal(cfg_read(o.d, PCI_COMMAND, 2) & PCI_COMMAND_MASTER, 0);
	close_all(&o);
}

static void low_power_wakes_with_next_request(void **state)
{
	struct opened o = open_device(msix_device(), VFIO_TYPE1v2_IOMMU);
	struct {
		u32 argsz, flags;
		struct vfio_device_low_power_entry_with_wakeup entry;
	} req = {sizeof(req),
		 VFIO_DEVICE_FEATURE_SET |
			 VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
		 {eventfd(0, 0), 0}};
	struct vfio_device_feature plain = {sizeof(plain),
					    VFIO_DEVICE_FEATURE_SET |
						    VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY};
	int e = req.entry.wakeup_eventfd;

	assert_int_equal(double_ioctl(o.d, VFIO_DEVICE_FEATURE, (uintptr_t)&req), 0);
	assert_int_equal(drain(e), 0);
	cfg_read(o.d, 0, 4);
	assert_int_equal(drain(e), 1);
	cfg_read(o.d, 0, 4);
	assert_int_equal(drain(e), 0);
	/* Without a wake-up it stays asked for until it is told otherwise. */
	assert_int_equal(double_ioctl(o.d, VFIO_DEVICE_FEATURE, (uintptr_t)&plain), 0);
	assert_int_equal(double_ioctl(o.d, VFIO_DEVICE_FEATURE, (uintptr_t)&plain),
			 -EINVAL);
	plain.flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_EXIT;
	assert_int_equal(double_ioctl(o.d, VFIO_DEVICE_FEATURE, (uintptr_t)&plain), 0);
	close_all(&o);
	close(e);
}

#define PC(f) cmocka_unit_test_setup_teardown(f, pc_start, machine_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PC(msix_region_says_mappable_and_hides_table),
		PC(msix_vectors_come_and_go_while_others_work),
		PC(config_bars_are_virtual_and_sized),
		PC(config_d3_takes_registers_away),
		PC(config_function_reset_bit_resets_and_reads_zero),
		PC(config_hostile_writes_harm_nobody),
		PC(low_power_wakes_with_next_request),
	};

	return cmocka_run_group_tests_name("vfio-pci", tests, NULL, NULL);
}
