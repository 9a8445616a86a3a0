// SPDX-License-Identifier: MIT
/*
 * The host drivers that do DMA, on the default machine: their self-tests go through the
 * DMA API, the unit and the device's model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fault_inject.h"
#include "dma/core.h"
#include "machine/events.h"
#include "pci/pci.h"
#include "tests/double/double.h"

static unsigned nr_said, nr_faults;

static void on_dma_api(struct machine *m, struct device *d, const char *what,
		       u32 nr_frames, const u64 *frames, u32 nr_mapped, const u64 *mapped)
{
	print_message("%s\n", what);
	nr_said++;
}

static void on_fault(struct machine *m, const struct dma_fault *fault, u32 pid,
		     u32 nr_frames, const u64 *frames)
{
	nr_faults++;
}

static const struct machine_events events = {.dma_api = on_dma_api, .fault = on_fault};

static int find(struct device *d, void *data)
{
	struct pci_dev *pdev = to_pci_dev(d);
	struct {
		u16 vendor;
		struct device *dev;
	} *want = data;

	if (pdev->vendor != want->vendor || d->hw_function < 0 || !d->driver ||
	    strcmp(d->driver->name, "vfio-pci"))
		return 0;
	want->dev = d;
	return 1;
}

static struct device *with(u16 vendor)
{
	struct {
		u16 vendor;
		struct device *dev;
	} want = {vendor, NULL};

	bus_for_each_dev(dbl.m->pci->bus, find, &want);
	assert_non_null(want.dev);
	return want.dev;
}

static int bind_to(struct device *dev, const char *name)
{
	struct device_driver *drv = driver_find(dev->bus, name);
	/* ioatdma knows its devices. */
	const char *override = strcmp(name, "ioatdma") ? name : "\n";
	char line[80];

	assert_non_null(drv);
	if (dev->driver)
		device_release_driver(dev);
	assert_true(driver_override_store(dev, override, strlen(override)) >= 0);
	snprintf(line, sizeof(line), "%s\n", dev_name(dev));
	return driver_bind_store(drv, line, strlen(line));
}

static int start_with(const char *append)
{
	int ret = double_start("pc", append);

	nr_said = nr_faults = 0;
	if (!ret)
		dbl.m->events = &events;
	return ret;
}

static int start_strict(void **state)
{
	return start_with("iommu.strict=1");
}
static int start_lazy(void **state)
{
	return start_with("iommu.strict=0");
}
static int start_passthrough(void **state)
{
	return start_with("iommu.passthrough=1");
}
static int stop(void **state)
{
	dbl.m->events = NULL;
	double_stop();
	return 0;
}

static void edu_bind_tests_its_dma(void **state)
{
	struct device *dev = with(0x1234);

	assert_true(bind_to(dev, "edu") > 0);
	assert_string_equal(dev->driver->name, "edu");
	device_release_driver(dev);
	assert_int_equal(nr_said, 0);
	assert_int_equal(nr_faults, 0);
}

static void edu_unnamed_is_left_alone(void **state)
{
	struct device *dev = with(0x1234);

	device_release_driver(dev);
	assert_true(driver_override_store(dev, "\n", 1) >= 0);
	assert_int_equal(device_attach(dev), 0);
	assert_null(dev->driver);
}

static void ioat_bind_tests_its_dma(void **state)
{
	struct device *dev = with(0x8086);

	assert_true(bind_to(dev, "ioatdma") > 0);
	assert_string_equal(dev->driver->name, "ioatdma");
	device_release_driver(dev);
	assert_int_equal(nr_said, 0);
	assert_int_equal(nr_faults, 0);
}

static void bind_owned_group_ebusy(void **state)
{
	struct device *dev = with(0x8086);

	device_release_driver(dev);
	assert_int_equal(iommu_group_claim_dma_owner(dev->iommu_group, dev), 0);
	assert_int_equal(bind_to(dev, "ioatdma"), -EBUSY);
	iommu_group_release_dma_owner(dev->iommu_group);
	assert_true(bind_to(dev, "ioatdma") > 0);
	assert_int_equal(iommu_group_claim_dma_owner(dev->iommu_group, dev), -EPERM);
	device_release_driver(dev);
	assert_int_equal(nr_said, 0);
}

static void bind_each_allocation_failing_leaves_nothing(void **state)
{
	struct device *dev = with(0x8086);
	s64 live;

	assert_true(bind_to(dev, "ioatdma") > 0);
	device_release_driver(dev);
	live = alloc_live_count();
	for (u64 nth = 1; nth < 1000; nth++) {
		int ret;
		bool hit;

		fault_inject_arm(nth);
		ret = bind_to(dev, "ioatdma");
		if (ret > 0)
			device_release_driver(dev);
		hit = fault_inject_disarm();
		assert_null(dev->driver);
		/* The checker switches itself off; nothing else outlives the attempt. */
		assert_true(alloc_live_count() <= live);
		if (!hit)
			return;
	}
	fail_msg("no end of allocations");
}

#define WITH(t, s) cmocka_unit_test_setup_teardown(t, start_##s, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(edu_bind_tests_its_dma, strict),
		WITH(edu_bind_tests_its_dma, lazy),
		WITH(edu_bind_tests_its_dma, passthrough),
		WITH(edu_unnamed_is_left_alone, strict),
		WITH(ioat_bind_tests_its_dma, strict),
		WITH(ioat_bind_tests_its_dma, lazy),
		WITH(ioat_bind_tests_its_dma, passthrough),
		WITH(bind_owned_group_ebusy, strict),
		WITH(bind_each_allocation_failing_leaves_nothing, strict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
