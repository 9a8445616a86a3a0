// SPDX-License-Identifier: MIT
/*
 * Ownership of a group's DMA against drivers that bind to its members. Expected values
 * are those of Linux 7.0 (conformance/groups FACTS 14, 22 to 28, 37).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fault_inject.h"
#include "tests/unit/iommu/mock_iommu.h"

static struct mock_machine mm;
static struct mock_iommu mock;
static s64 live_before;
static int owner_one, owner_two;

static struct mock_dev *add(const char *name, int key)
{
	struct mock_dev *md = mock_dev_alloc(&mm, name);

	assert_non_null(md);
	md->behind = &mock;
	md->group_key = key;
	assert_int_equal(device_add(&md->dev), 0);
	return md;
}

static void begin(enum mock_kind kind)
{
	live_before = alloc_live_count();
	memset(&mock, 0, sizeof(mock));
	assert_int_equal(mock_machine_create(&mm, ""), 0);
	assert_int_equal(mock_iommu_register(&mm, &mock, kind), 0);
	assert_int_equal(mock_register_drivers(&mm), 0);
}

static void end(void)
{
	iommu_device_unregister(&mock.iommu);
	mock_machine_destroy(&mm);
	assert_int_equal(mock.nr_domains, 0);
	assert_int_equal(alloc_live_count(), live_before);
}

static int bind(struct mock_dev *md, struct device_driver *drv)
{
	char name[80];

	snprintf(name, sizeof(name), "%s", dev_name(&md->dev));
	return driver_bind_store(drv, name, strlen(name));
}

static void claim_blocks_all_members(void **state)
{
	for (int kind = 0; kind < MOCK_NR_KINDS; kind++) {
		struct iommu_group *group;
		struct mock_dev *a, *b;

		begin(kind);
		a = add("a", 1);
		b = add("b", 1);
		group = iommu_group_get(&a->dev);
		assert_false(iommu_group_dma_owner_claimed(group));
		assert_int_equal(iommu_group_claim_dma_owner(group, &owner_one), 0);
		assert_true(iommu_group_dma_owner_claimed(group));
		assert_int_equal(mock_translate(a, 0x1000), 0);
		assert_ptr_not_equal(a->attached, iommu_group_default_domain(group));
		assert_ptr_equal(a->attached, b->attached);
		assert_int_equal(iommu_group_claim_dma_owner(group, &owner_one), -EPERM);
		assert_int_equal(iommu_group_claim_dma_owner(group, &owner_two), -EPERM);
		iommu_group_release_dma_owner(group);
		assert_false(iommu_group_dma_owner_claimed(group));
		assert_ptr_equal(a->attached, iommu_group_default_domain(group));
		assert_ptr_equal(b->attached, iommu_group_default_domain(group));
		iommu_group_put(group);
		mock_dev_remove(a);
		mock_dev_remove(b);
		end();
	}
}

/* The cookie of iommufd: members of one group by one owner, each counted. */
static void device_claim_same_owner_counts(void **state)
{
	struct mock_dev *a, *b;

	begin(MOCK_FULL);
	a = add("a", 1);
	b = add("b", 1);
	assert_int_equal(iommu_device_claim_dma_owner(&a->dev, &owner_one), 0);
	assert_int_equal(iommu_device_claim_dma_owner(&b->dev, &owner_one), 0);
	assert_int_equal(iommu_device_claim_dma_owner(&b->dev, &owner_two), -EPERM);
	iommu_device_release_dma_owner(&a->dev);
	assert_ptr_equal(a->attached, &mock_blocked_domain);
	assert_int_equal(iommu_device_claim_dma_owner(&a->dev, &owner_two), -EPERM);
	iommu_device_release_dma_owner(&b->dev);
	assert_ptr_not_equal(a->attached, &mock_blocked_domain);
	assert_int_equal(iommu_device_claim_dma_owner(&a->dev, &owner_two), 0);
	iommu_device_release_dma_owner(&a->dev);
	mock_dev_remove(a);
	mock_dev_remove(b);
	end();
}

/* FACTS 24, 27 */
static void host_driver_and_owner_exclude_each_other(void **state)
{
	struct iommu_group *group;
	struct mock_dev *a, *b;

	begin(MOCK_FULL);
	a = add("a", 1);
	b = add("b", 1);
	a->ids_match = b->ids_match = true;
	group = iommu_group_get(&a->dev);
	assert_int_equal(bind(a, &mm.native), 1);
	assert_int_equal(iommu_group_claim_dma_owner(group, &owner_one), -EPERM);
	assert_int_equal(iommu_device_claim_dma_owner(&b->dev, &owner_one), -EPERM);
	assert_int_equal(bind(b, &mm.native), 1);
	device_release_driver(&a->dev);
	assert_int_equal(iommu_group_claim_dma_owner(group, &owner_one), -EPERM);
	device_release_driver(&b->dev);
	assert_int_equal(iommu_group_claim_dma_owner(group, &owner_one), 0);

	/* refused before the driver is asked */
	a->nr_probe = 0;
	assert_int_equal(bind(a, &mm.native), -EBUSY);
	assert_int_equal(drivers_probe_store(mm.bus, "a\n", 2), -EINVAL); /* FACT 14 */
	assert_int_equal(a->nr_probe, 0);
	/* a driver that manages DMA itself is let in */
	assert_int_equal(driver_override_store(&a->dev, "generic\n", 8), 8);
	assert_int_equal(bind(a, &mm.generic), 1);
	assert_int_equal(bind(a, &mm.generic), -EBUSY);
	assert_int_equal(bind(a, &mm.native), -ENODEV);
	device_release_driver(&a->dev);
	iommu_group_release_dma_owner(group);
	assert_int_equal(bind(b, &mm.native), 1);
	device_release_driver(&b->dev);
	iommu_group_put(group);
	mock_dev_remove(a);
	mock_dev_remove(b);
	end();
}

/* FACTS 27, 28 */
static void device_joining_owned_group_is_owned(void **state)
{
	struct iommu_group *group;
	struct mock_dev *a, *b;

	begin(MOCK_FULL);
	a = add("a", 1);
	group = iommu_group_get(&a->dev);
	assert_int_equal(iommu_group_claim_dma_owner(group, &owner_one), 0);
	b = mock_dev_alloc(&mm, "b");
	b->behind = &mock;
	b->group_key = 1;
	b->ids_match = true;
	assert_int_equal(device_add(&b->dev), 0);
	assert_null(b->dev.driver); /* stays unbound */
	assert_int_equal(b->nr_probe, 0);
	assert_ptr_equal(b->attached, &mock_blocked_domain);
	assert_int_equal(iommu_group_store_type(group, "identity", 8), -EPERM);
	iommu_group_release_dma_owner(group);
	assert_int_equal(drivers_probe_store(mm.bus, "b", 1), 1);
	assert_ptr_equal(b->dev.driver, &mm.native);
	iommu_group_put(group);
	mock_dev_remove(a);
	mock_dev_remove(b);
	end();
}

static void failing_probe_gives_default_domain_back(void **state)
{
	struct iommu_group *group;
	struct mock_dev *a;

	begin(MOCK_FULL);
	a = add("a", 1);
	a->ids_match = true;
	a->probe_result = -EIO;
	group = iommu_group_get(&a->dev);
	assert_int_equal(bind(a, &mm.native), -EIO);
	assert_int_equal(drivers_probe_store(mm.bus, "a", 1), 1); /* FACT 14 */
	assert_int_equal(a->nr_probe, 2);
	assert_int_equal(iommu_group_claim_dma_owner(group, &owner_one), 0);
	iommu_group_release_dma_owner(group);
	iommu_group_put(group);
	mock_dev_remove(a);
	end();
}

static void claim_without_group_enodev(void **state)
{
	struct mock_dev *no;

	begin(MOCK_FULL);
	no = mock_dev_alloc(&mm, "no");
	no->ids_match = true;
	assert_int_equal(device_add(&no->dev), 0);
	assert_ptr_equal(no->dev.driver, &mm.native); /* no IOMMU is no obstacle */
	assert_int_equal(iommu_device_claim_dma_owner(&no->dev, &owner_one), -ENODEV);
	mock_dev_remove(no);
	end();
}

static void claim_attached_elsewhere_ebusy(void **state)
{
	struct iommu_domain *domain;
	struct mock_dev *a;

	begin(MOCK_FULL);
	a = add("a", 1);
	domain = iommu_paging_domain_alloc(&a->dev);
	assert_int_equal(iommu_attach_device(domain, &a->dev), 0);
	assert_int_equal(iommu_device_claim_dma_owner(&a->dev, &owner_one), -EBUSY);
	/* and no driver that relies on the default domain gets in beside another */
	iommu_detach_device(domain, &a->dev);
	assert_int_equal(iommu_device_use_default_domain(&a->dev), 0);
	assert_int_equal(iommu_attach_device(domain, &a->dev), 0);
	assert_int_equal(iommu_device_use_default_domain(&a->dev), -EBUSY);
	iommu_detach_device(domain, &a->dev);
	assert_int_equal(iommu_device_use_default_domain(&a->dev), 0);
	iommu_device_unuse_default_domain(&a->dev);
	iommu_device_unuse_default_domain(&a->dev);
	iommu_domain_free(domain);
	mock_dev_remove(a);
	end();
}

/* A claim that fails half way: nobody owns, everybody is at the default domain. */
static void claim_failing_attach_or_alloc_unwinds(void **state)
{
	for (int kind = 0; kind < MOCK_NR_KINDS; kind++) {
		struct iommu_domain *def;
		struct iommu_group *group;
		struct mock_dev *d[3];
		unsigned nth, i;

		begin(kind);
		for (i = 0; i < 3; i++)
			d[i] = add((const char *[]){"a", "b", "c"}[i], 1);
		group = iommu_group_get(&d[0]->dev);
		def = iommu_group_default_domain(group);
		if (kind == MOCK_PLAIN) {
			fault_inject_arm(1);
			assert_int_equal(iommu_group_claim_dma_owner(group, &owner_one),
					 -ENOMEM);
			assert_true(fault_inject_disarm());
		}
		for (nth = 1; nth <= 3; nth++) {
			mock.fail_attach_in = nth;
			assert_int_equal(iommu_group_claim_dma_owner(group, &owner_one),
					 -EINVAL);
			assert_false(iommu_group_dma_owner_claimed(group));
			for (i = 0; i < 3; i++)
				assert_ptr_equal(d[i]->attached, def);
		}
		assert_int_equal(iommu_group_claim_dma_owner(group, &owner_one), 0);
		iommu_group_release_dma_owner(group);
		iommu_group_put(group);
		for (i = 0; i < 3; i++)
			mock_dev_remove(d[i]);
		end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(claim_blocks_all_members),
		cmocka_unit_test(device_claim_same_owner_counts),
		cmocka_unit_test(host_driver_and_owner_exclude_each_other),
		cmocka_unit_test(device_joining_owned_group_is_owned),
		cmocka_unit_test(failing_probe_gives_default_domain_back),
		cmocka_unit_test(claim_without_group_enodev),
		cmocka_unit_test(claim_attached_elsewhere_ebusy),
		cmocka_unit_test(claim_failing_attach_or_alloc_unwinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
