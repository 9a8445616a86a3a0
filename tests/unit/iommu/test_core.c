// SPDX-License-Identifier: MIT
/*
 * The core's rules one by one: groups, default domains, `type`, attach and its
 * unwinding, reserved regions, PASIDs. Expected values are those of Linux 7.0
 * (conformance/groups FACTS, drivers/iommu/iommu.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fault_inject.h"
#include "iommu/trace.h"
#include "tests/unit/iommu/mock_iommu.h"

static struct mock_machine mm;
static struct mock_iommu mock;
static s64 live_before;

static void begin(const char *cmdline)
{
	live_before = alloc_live_count();
	memset(&mock, 0, sizeof(mock));
	assert_int_equal(mock_machine_create(&mm, cmdline), 0);
}

static void end(void)
{
	if (mock.iommu.ops)
		iommu_device_unregister(&mock.iommu);
	mock_machine_destroy(&mm);
	assert_int_equal(mock.nr_domains, 0);
	assert_int_equal(mock.nr_devices, 0);
	assert_int_equal(alloc_live_count(), live_before);
}

static void begin_with_iommu(const char *cmdline, enum mock_kind kind)
{
	begin(cmdline);
	assert_int_equal(mock_iommu_register(&mm, &mock, kind), 0);
}

static struct mock_dev *add(const char *name, int key)
{
	struct mock_dev *md = mock_dev_alloc(&mm, name);

	assert_non_null(md);
	md->behind = &mock;
	md->group_key = key;
	assert_int_equal(device_add(&md->dev), 0);
	return md;
}

static int id_of(struct mock_dev *md)
{
	struct iommu_group *group = iommu_group_get(&md->dev);
	int id = group ? iommu_group_id(group) : -1;

	iommu_group_put(group);
	return id;
}

static const char *type_of(struct mock_dev *md)
{
	static char buf[32];
	struct iommu_group *group = iommu_group_get(&md->dev);
	ssize_t n = iommu_group_show_type(group, buf, sizeof(buf));

	iommu_group_put(group);
	buf[n - 1] = '\0';
	return buf;
}

static ssize_t set_type(struct mock_dev *md, const char *word)
{
	struct iommu_group *group = iommu_group_get(&md->dev);
	ssize_t ret = iommu_group_store_type(group, word, strlen(word));

	iommu_group_put(group);
	return ret;
}

/* FACTS 3, 4 */
static void group_ids_smallest_free_first(void **state)
{
	struct mock_dev *a, *b, *c, *d;

	begin_with_iommu("", MOCK_FULL);
	a = add("a", -1);
	b = add("b", 7);
	c = add("c", 7);
	d = add("d", -1);
	assert_int_equal(id_of(a), 0);
	assert_int_equal(id_of(b), 1);
	assert_int_equal(id_of(c), 1);
	assert_int_equal(id_of(d), 2);
	mock_dev_remove(a);
	mock_dev_remove(b);
	assert_int_equal(id_of(c), 1); /* kept while a member is left */
	a = add("a", -1);
	assert_int_equal(id_of(a), 0);
	b = add("b", -1);
	assert_int_equal(id_of(b), 3);
	mock_dev_remove(c);
	c = add("c", -1);
	assert_int_equal(id_of(c), 1);
	mock_dev_remove(a);
	mock_dev_remove(b);
	mock_dev_remove(c);
	mock_dev_remove(d);
	end();
}

static void group_reference_keeps_id(void **state)
{
	struct iommu_group *group;
	struct mock_dev *a, *b;

	begin_with_iommu("", MOCK_FULL);
	a = add("a", -1);
	group = iommu_group_get(&a->dev);
	mock_dev_remove(a);
	assert_null(iommu_group_default_domain(group));
	b = add("b", -1);
	assert_int_equal(id_of(b), 1);
	assert_ptr_equal(iommu_group_get_by_id(mm.m, 0), group);
	iommu_group_put(group);
	iommu_group_put(group);
	assert_null(iommu_group_get_by_id(mm.m, 0));
	mock_dev_remove(b);
	end();
}

static void register_replays_existing_devices(void **state)
{
	struct mock_dev *a, *b, *no;

	begin("");
	a = add("a", 1);
	no = mock_dev_alloc(&mm, "no");
	assert_int_equal(device_add(&no->dev), 0);
	b = add("b", 1);
	b->def_type = IOMMU_DOMAIN_IDENTITY;
	assert_int_equal(id_of(a), -1);
	assert_int_equal(mock_iommu_register(&mm, &mock, MOCK_FULL), 0);
	assert_int_equal(id_of(a), 0);
	assert_int_equal(id_of(b), 0);
	assert_int_equal(id_of(no), -1);
	/* b had a say although a came first */
	assert_string_equal(type_of(a), "identity");
	assert_int_equal(a->nr_finalize, 1);
	assert_int_equal(b->nr_finalize, 1);
	assert_ptr_equal(a->attached, &mock_identity_domain);
	mock_dev_remove(a);
	mock_dev_remove(b);
	mock_dev_remove(no);
	end();
}

static void unregister_releases_devices(void **state)
{
	struct mock_dev *a;

	begin_with_iommu("", MOCK_FULL);
	a = add("a", -1);
	iommu_device_unregister(&mock.iommu);
	assert_int_equal(id_of(a), -1);
	assert_false(a->probed);
	assert_null(a->dev.iommu);
	assert_int_equal(mock_iommu_register(&mm, &mock, MOCK_FULL), 0);
	assert_int_equal(id_of(a), 0);
	mock_dev_remove(a);
	end();
}

static void register_failing_attach_unregisters(void **state)
{
	struct mock_dev *a, *b;

	begin("");
	a = add("a", -1);
	b = add("b", -1);
	mock.fail_attach_in = 2;
	assert_int_equal(mock_iommu_register(&mm, &mock, MOCK_FULL), -EINVAL);
	assert_int_equal(id_of(a), -1);
	assert_int_equal(id_of(b), -1);
	assert_int_equal(mock.nr_domains, 0);
	mock.iommu.ops = NULL;
	mock_dev_remove(a);
	mock_dev_remove(b);
	end();
}

/* FACTS 36, 40, 41; iommu.passthrough, iommu.strict, iommu=pt */
static void cmdline_chooses_default_type(void **state)
{
	static const struct {
		const char *cmdline, *type;
	} cases[] = {
		{"", "DMA-FQ"},
		{"iommu.strict=1", "DMA"},
		{"iommu.strict=0", "DMA-FQ"},
		{"iommu.strict=maybe", "DMA-FQ"},
		{"iommu.passthrough=1", "identity"},
		{"iommu.passthrough=on iommu.strict=1", "identity"},
		{"iommu=pt", "identity"},
		{"iommu=noforce,pt", "identity"},
		{"iommu=pt iommu=nopt", "DMA-FQ"},
		{"iommu=pt iommu.passthrough=0", "DMA-FQ"},
		{"iommu.passthrough=0 iommu=pt", "identity"},
		{"quiet iommu.strict=y iommu=nopt", "DMA"},
		{"xiommu=pt iommu.passthroughs=1", "DMA-FQ"},
		{"a=\"b iommu=pt\"", "DMA-FQ"},
		{"\"iommu=pt\"", "identity"},
	};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mock_dev *a;

		begin_with_iommu(cases[i].cmdline, MOCK_FULL);
		a = add("a", -1);
		assert_string_equal(type_of(a), cases[i].type);
		assert_false(iommu_disabled(mm.m));
		mock_dev_remove(a);
		end();
	}
	begin("iommu=soft,off");
	assert_true(iommu_disabled(mm.m));
	end();
}

static void driver_without_deferred_flush_is_strict(void **state)
{
	struct mock_dev *a = NULL;

	begin_with_iommu("", MOCK_FULL);
	a = mock_dev_alloc(&mm, "a");
	a->behind = &mock;
	a->no_deferred_flush = true;
	assert_int_equal(device_add(&a->dev), 0);
	assert_string_equal(type_of(a), "DMA");
	/* but it may be asked for by hand (FACT 41) */
	assert_int_equal(set_type(a, "DMA-FQ"), 6);
	assert_string_equal(type_of(a), "DMA-FQ");
	mock_dev_remove(a);
	end();
}

static void set_dma_strict_changes_default(void **state)
{
	struct mock_dev *a;

	begin_with_iommu("", MOCK_FULL);
	iommu_set_dma_strict(mm.m);
	a = add("a", -1);
	assert_string_equal(type_of(a), "DMA");
	mock_dev_remove(a);
	end();
}

static void untrusted_device_is_translated(void **state)
{
	struct mock_dev *a, *b;

	begin_with_iommu("iommu=pt", MOCK_FULL);
	a = mock_dev_alloc(&mm, "a");
	a->behind = &mock;
	a->dev.untrusted = true;
	assert_int_equal(device_add(&a->dev), 0);
	assert_string_equal(type_of(a), "DMA");
	assert_int_equal(set_type(a, "identity\n"), -EINVAL);
	b = mock_dev_alloc(&mm, "b");
	b->behind = &mock;
	b->dev.untrusted = true;
	b->def_type = IOMMU_DOMAIN_IDENTITY;
	assert_int_equal(device_add(&b->dev), 0);
	assert_int_equal(id_of(b), -1); /* refused */
	mock_dev_remove(a);
	mock_dev_remove(b);
	end();
}

/* FACTS 36, 37, 38 */
static void type_store_errnos(void **state)
{
	static const char *const bad[] = {"dma",     "DMA ",	  " DMA",    "DMA\n\n",
					  "identit", "identityx", "blocked", "unmanaged",
					  "\n",	     "auto2"};
	struct iommu_group *group;
	struct mock_dev *a, *b;
	int owner;
	unsigned i;

	begin_with_iommu("iommu.strict=1", MOCK_FULL);
	assert_int_equal(mock_register_drivers(&mm), 0);
	a = add("a", 1);
	b = add("b", 1);
	group = iommu_group_get(&a->dev);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(set_type(a, bad[i]), -EINVAL);
	assert_int_equal(set_type(a, ""), 0);
	assert_int_equal(set_type(a, "identity\n"), 9);
	assert_string_equal(type_of(a), "identity");
	assert_ptr_equal(a->attached, &mock_identity_domain);
	assert_ptr_equal(b->attached, &mock_identity_domain);
	assert_int_equal(set_type(a, "DMA"), 3);
	assert_int_equal(set_type(a, "DMA"), 3); /* the same again */
	assert_int_equal(set_type(a, "DMA-FQ\n"), 7);
	assert_int_equal(set_type(a, "auto"), 4);
	assert_string_equal(type_of(a), "DMA");

	/* a host driver on any member */
	a->ids_match = true;
	assert_int_equal(device_attach(&a->dev), 1);
	assert_int_equal(set_type(b, "identity"), -EPERM);
	assert_int_equal(set_type(b, "DMA"), -EPERM);
	assert_int_equal(set_type(b, "nonsense"), -EINVAL);
	assert_int_equal(set_type(b, "DMA-FQ"), 6); /* always */
	assert_int_equal(set_type(b, "DMA"), -EPERM);
	device_release_driver(&a->dev);
	assert_int_equal(set_type(b, "DMA"), 3);

	/* a driver that manages DMA itself is no obstacle */
	assert_int_equal(driver_override_store(&a->dev, "generic", 7), 7);
	assert_int_equal(device_attach(&a->dev), 1);
	assert_int_equal(set_type(b, "identity"), 8);
	assert_int_equal(set_type(b, "DMA"), 3);

	assert_int_equal(iommu_group_claim_dma_owner(group, &owner), 0);
	assert_int_equal(set_type(b, "identity"), -EPERM);
	assert_int_equal(set_type(b, "auto"), -EPERM);
	assert_int_equal(set_type(b, "DMA-FQ"), 6);
	assert_string_equal(type_of(b), "DMA-FQ");
	iommu_group_release_dma_owner(group);
	iommu_group_put(group);
	mock_dev_remove(a);
	mock_dev_remove(b);
	end();
}

/* FACT 40 */
static void rejoining_device_takes_over_type(void **state)
{
	struct mock_dev *a, *b;

	begin_with_iommu("", MOCK_FULL);
	a = add("a", 1);
	b = add("b", 1);
	assert_int_equal(set_type(a, "identity"), 8);
	mock_dev_remove(b);
	b = add("b", 1);
	assert_string_equal(type_of(b), "identity");
	assert_ptr_equal(b->attached, &mock_identity_domain);
	mock_dev_remove(a);
	mock_dev_remove(b);
	a = add("a", 1);
	assert_string_equal(type_of(a), "DMA-FQ");
	mock_dev_remove(a);
	end();
}

static void type_store_failing_attach_changes_nothing(void **state)
{
	struct mock_dev *d[3];
	struct iommu_domain *old;
	unsigned nth, i;

	begin_with_iommu("iommu.strict=1", MOCK_FULL);
	for (i = 0; i < 3; i++)
		d[i] = add((const char *[]){"a", "b", "c"}[i], 1);
	old = d[0]->attached;
	for (nth = 1; nth <= 3; nth++) {
		mock.fail_attach_in = nth;
		mock.fail_errno = -ENOSPC;
		assert_int_equal(set_type(d[0], "identity"), -ENOSPC);
		for (i = 0; i < 3; i++)
			assert_ptr_equal(d[i]->attached, old);
		assert_string_equal(type_of(d[0]), "DMA");
	}
	assert_int_equal(mock.nr_domains, 1);
	for (i = 0; i < 3; i++)
		mock_dev_remove(d[i]);
	end();
}

static struct iommu_domain *new_domain(struct mock_dev *md)
{
	struct iommu_domain *domain = iommu_paging_domain_alloc(&md->dev);

	assert_false(IS_ERR(domain));
	return domain;
}

/* Whichever member fails, all are where they were; and the same for a replacement. */
static void attach_group_failing_member_reverts_all(void **state)
{
	struct iommu_attach_handle h1, h2;
	struct iommu_domain *one, *two, *old;
	struct iommu_group *group;
	struct mock_dev *d[4];
	unsigned nth, i;

	for (int kind = 0; kind < MOCK_NR_KINDS; kind++) {
		begin_with_iommu("", kind);
		for (i = 0; i < 4; i++)
			d[i] = add((const char *[]){"a", "b", "c", "d"}[i], 1);
		group = iommu_group_get(&d[0]->dev);
		one = new_domain(d[0]);
		two = new_domain(d[0]);
		old = d[0]->attached;
		for (nth = 1; nth <= 4; nth++) {
			mock.fail_attach_in = nth;
			assert_int_equal(iommu_attach_group(one, group), -EINVAL);
			for (i = 0; i < 4; i++)
				assert_ptr_equal(d[i]->attached, old);
			assert_ptr_equal(iommu_get_domain_for_dev(&d[0]->dev), old);
		}
		assert_int_equal(iommu_attach_group_handle(one, group, &h1), 0);
		assert_int_equal(iommu_attach_group(two, group), -EBUSY);
		assert_int_equal(iommu_attach_group_handle(two, group, &h2), -EBUSY);
		for (nth = 1; nth <= 4; nth++) {
			mock.fail_attach_in = nth;
			assert_int_equal(iommu_replace_group_handle(group, two, &h2),
					 -EINVAL);
			for (i = 0; i < 4; i++)
				assert_ptr_equal(d[i]->attached, one);
			assert_ptr_equal(iommu_attach_handle_get(group, 0, 0), &h1);
		}
		assert_int_equal(iommu_replace_group_handle(group, two, &h2), 0);
		assert_ptr_equal(
			iommu_attach_handle_get(group, 0, IOMMU_DOMAIN_UNMANAGED), &h2);
		assert_int_equal(
			PTR_ERR(iommu_attach_handle_get(group, 0, IOMMU_DOMAIN_SVA)),
			-EBUSY);
		assert_int_equal(PTR_ERR(iommu_attach_handle_get(group, 1, 0)), -ENOENT);
		iommu_detach_group_handle(two, group);
		assert_int_equal(PTR_ERR(iommu_attach_handle_get(group, 0, 0)), -ENOENT);
		for (i = 0; i < 4; i++)
			assert_ptr_equal(d[i]->attached, old);
		iommu_domain_free(one);
		iommu_domain_free(two);
		iommu_group_put(group);
		for (i = 0; i < 4; i++)
			mock_dev_remove(d[i]);
		end();
	}
}

/* The fallback of what must not fail: blocked, never left at the owner's domain. */
static void detach_failing_attach_blocks_member(void **state)
{
	struct iommu_domain *domain;
	struct iommu_group *group;
	struct mock_dev *a, *b;
	int owner;

	begin_with_iommu("", MOCK_FULL);
	a = add("a", 1);
	b = add("b", 1);
	group = iommu_group_get(&a->dev);
	assert_int_equal(iommu_group_claim_dma_owner(group, &owner), 0);
	assert_ptr_equal(a->attached, &mock_blocked_domain);
	domain = new_domain(a);
	assert_int_equal(iommu_attach_group(domain, group), 0);
	iommu_detach_group(domain, group);
	assert_ptr_equal(a->attached, &mock_blocked_domain);
	assert_int_equal(iommu_attach_group(domain, group), 0);
	iommu_detach_group(domain, group);

	/* release: the default domain cannot be attached any more */
	mock.fail_attach_always = true;
	iommu_group_release_dma_owner(group);
	assert_ptr_equal(a->attached, &mock_blocked_domain);
	assert_ptr_equal(b->attached, &mock_blocked_domain);
	mock.fail_attach_always = false;
	assert_false(iommu_group_dma_owner_claimed(group));
	iommu_domain_free(domain);
	iommu_group_put(group);
	mock_dev_remove(a);
	mock_dev_remove(b);
	end();
}

static void attach_device_shared_group_einval(void **state)
{
	struct iommu_domain *domain, *foreign;
	struct mock_dev *a, *b, *no;
	struct mock_iommu other;

	memset(&other, 0, sizeof(other));
	begin_with_iommu("", MOCK_FULL);
	assert_int_equal(mock_iommu_register(&mm, &other, MOCK_PLAIN), 0);
	a = add("a", 1);
	domain = new_domain(a);
	assert_int_equal(iommu_attach_device(domain, &a->dev), 0);
	assert_int_equal(iommu_attach_device(domain, &a->dev), -EBUSY);
	iommu_detach_device(domain, &a->dev);
	b = add("b", 1);
	assert_int_equal(iommu_attach_device(domain, &a->dev), -EINVAL);
	no = mock_dev_alloc(&mm, "no");
	assert_int_equal(device_add(&no->dev), 0);
	assert_int_equal(iommu_attach_device(domain, &no->dev), -ENODEV);
	assert_int_equal(PTR_ERR(iommu_paging_domain_alloc(&no->dev)), -ENODEV);
	assert_int_equal(PTR_ERR(iommu_paging_domain_alloc_flags(
				 &a->dev, IOMMU_ALLOC_NEST_PARENT)),
			 -EOPNOTSUPP);
	mock_dev_remove(no);
	/* a domain of another driver */
	no = mock_dev_alloc(&mm, "other");
	no->behind = &other;
	assert_int_equal(device_add(&no->dev), 0);
	foreign = new_domain(no);
	mock_dev_remove(b);
	assert_int_equal(iommu_attach_device(foreign, &a->dev), -EINVAL);
	iommu_domain_free(foreign);
	iommu_domain_free(domain);
	mock_dev_remove(no);
	mock_dev_remove(a);
	iommu_device_unregister(&other.iommu);
	end();
}

/* A device that joins an attached group is attached with it, or does not join. */
static void joining_device_gets_current_domain(void **state)
{
	struct iommu_domain *domain;
	struct mock_dev *a, *b;

	begin_with_iommu("", MOCK_FULL);
	a = add("a", 1);
	domain = new_domain(a);
	assert_int_equal(iommu_attach_device(domain, &a->dev), 0);
	b = add("b", 1);
	assert_ptr_equal(b->attached, domain);
	mock_dev_remove(b);
	mock.fail_attach_in = 1;
	b = add("b", 1);
	assert_int_equal(id_of(b), -1);
	assert_false(b->probed);
	assert_ptr_equal(a->attached, domain);
	mock_dev_remove(b);
	iommu_detach_device(domain, &a->dev);
	iommu_domain_free(domain);
	mock_dev_remove(a);
	end();
}

/* conformance/groups/kdump/FACTS.md */
static struct mock_dev *add_deferred(const char *name, int key)
{
	struct mock_dev *md = mock_dev_alloc(&mm, name);

	md->behind = &mock;
	md->group_key = key;
	md->deferred = true;
	assert_int_equal(device_add(&md->dev), 0);
	return md;
}

static void deferred_attach_waits_for_first_mapping(void **state)
{
	struct iommu_domain *dom;
	struct mock_dev *a, *b;

	begin_with_iommu("", MOCK_FULL);
	a = add_deferred("a", 1);
	b = add_deferred("b", 1);
	assert_null(a->attached);
	assert_string_equal(type_of(a), "DMA-FQ");
	dom = iommu_get_domain_for_dev(&a->dev);
	assert_non_null(dom);
	mock.fail_attach_in = 1;
	assert_int_equal(iommu_deferred_attach(&a->dev, dom), -EINVAL);
	assert_null(a->attached);
	assert_int_equal(iommu_deferred_attach(&a->dev, dom), 0);
	assert_ptr_equal(a->attached, dom);
	assert_null(b->attached); /* only that member */
	assert_int_equal(iommu_deferred_attach(&a->dev, dom), 0);
	assert_int_equal(a->nr_attach, 1);
	mock_dev_remove(a);
	/* released while deferred: left as the old kernel had it */
	get_device(&b->dev);
	mock_dev_remove(b);
	assert_int_equal(b->nr_attach, 0);
	put_device(&b->dev);
	end();
}

static void deferred_attach_ends_with_claim(void **state)
{
	struct iommu_group *group;
	struct mock_dev *a;
	int owner;

	begin_with_iommu("", MOCK_FULL);
	a = add_deferred("a", 1);
	group = iommu_group_get(&a->dev);
	assert_int_equal(iommu_group_claim_dma_owner(group, &owner), 0);
	assert_ptr_equal(a->attached, &mock_blocked_domain);
	iommu_group_release_dma_owner(group);
	assert_ptr_equal(a->attached, iommu_group_default_domain(group));
	iommu_group_put(group);
	mock_dev_remove(a);
	end();
}

static struct mock_dev *add_resv(const char *name, int key, const struct mock_resv *resv,
				 unsigned n)
{
	struct mock_dev *md = mock_dev_alloc(&mm, name);

	md->behind = &mock;
	md->group_key = key;
	memcpy(md->resv, resv, n * sizeof(*resv));
	md->nr_resv = n;
	assert_int_equal(device_add(&md->dev), 0);
	return md;
}

static void direct_regions_are_mapped_one_to_one(void **state)
{
	static const struct mock_resv direct[] = {
		{0x10000, 0x3000, IOMMU_RESV_DIRECT},
		{0x40000, 0x800, IOMMU_RESV_DIRECT_RELAXABLE},
		{0x80000, 0x1000, IOMMU_RESV_RESERVED},
	};
	struct iommu_group *group;
	struct mock_dev *a;
	int owner;

	begin_with_iommu("", MOCK_FULL);
	a = add_resv("a", 1, direct, 3);
	assert_int_equal(mock_translate(a, 0x10000), 0x10000);
	assert_int_equal(mock_translate(a, 0x12fff), 0x12fff);
	assert_int_equal(mock_translate(a, 0x13000), 0);
	assert_int_equal(mock_translate(a, 0x40000), 0x40000);
	assert_int_equal(mock_translate(a, 0x80000), 0);
	/* and the device can never be blocked, so never be owned */
	group = iommu_group_get(&a->dev);
	assert_int_equal(iommu_group_claim_dma_owner(group, &owner), -EINVAL);
	assert_int_equal(mock_translate(a, 0x10000), 0x10000);
	assert_false(iommu_group_dma_owner_claimed(group));
	iommu_group_put(group);
	mock_dev_remove(a);
	end();
}

static void relaxable_region_does_not_bar_owner(void **state)
{
	static const struct mock_resv direct = {0x10000, 0x3000,
						IOMMU_RESV_DIRECT_RELAXABLE};
	struct mock_dev *a;
	int owner;

	begin_with_iommu("", MOCK_FULL);
	a = add_resv("a", 1, &direct, 1);
	assert_int_equal(iommu_device_claim_dma_owner(&a->dev, &owner), 0);
	assert_int_equal(mock_translate(a, 0x10000), 0);
	iommu_device_release_dma_owner(&a->dev);
	assert_int_equal(mock_translate(a, 0x10000), 0x10000);
	mock_dev_remove(a);
	end();
}

static void direct_region_survives_type_change(void **state)
{
	static const struct mock_resv direct = {0x10000, 0x3000, IOMMU_RESV_DIRECT};
	struct mock_dev *a;

	begin_with_iommu("", MOCK_FULL);
	a = add_resv("a", 1, &direct, 1);
	assert_int_equal(set_type(a, "identity"), 8);
	assert_int_equal(set_type(a, "DMA"), 3);
	assert_int_equal(mock_translate(a, 0x11000), 0x11000);
	/* where the 1:1 mapping cannot be made, nothing changes */
	assert_int_equal(set_type(a, "identity"), 8);
	mock.fail_map = true;
	assert_int_equal(set_type(a, "DMA"), -ENOMEM);
	assert_string_equal(type_of(a), "identity");
	assert_ptr_equal(a->attached, &mock_identity_domain);
	mock.fail_map = false;
	mock_dev_remove(a);
	end();
}

static void resv_regions_merge_by_type(void **state)
{
	static const struct mock_resv ra[] = {
		{0xfee00000, 0x100000, IOMMU_RESV_MSI},
		{0x1000, 0x1000, IOMMU_RESV_RESERVED},
		{0x8000, 0x1000, IOMMU_RESV_RESERVED},
	};
	static const struct mock_resv rb[] = {
		{0x2000, 0x1000, IOMMU_RESV_RESERVED},	       /* touches */
		{0x1800, 0x4000, IOMMU_RESV_DIRECT_RELAXABLE}, /* another type */
		{0xfee00000, 0x100000, IOMMU_RESV_MSI},
		{0x2800, 0x6000, IOMMU_RESV_RESERVED}, /* joins all three */
	};
	static const char expected[] =
		"0x0000000000001000 0x0000000000008fff reserved\n"
		"0x0000000000001800 0x00000000000057ff direct-relaxable\n"
		"0x00000000fee00000 0x00000000feefffff msi\n";
	static const struct mock_resv top = {0xfffffffffffff000, 0x1000,
					     IOMMU_RESV_RESERVED};
	struct iommu_group *group;
	struct mock_dev *a, *b, *c;
	char buf[512];

	begin_with_iommu("", MOCK_FULL);
	a = add_resv("a", 1, ra, 3);
	b = add_resv("b", 1, rb, 4);
	group = iommu_group_get(&a->dev);
	assert_int_equal(iommu_group_show_resv_regions(group, buf, sizeof(buf)),
			 strlen(expected));
	assert_string_equal(buf, expected);
	iommu_group_put(group);
	c = add_resv("c", 2, &top, 1);
	group = iommu_group_get(&c->dev);
	iommu_group_show_resv_regions(group, buf, sizeof(buf));
	assert_string_equal(buf, "0xfffffffffffff000 0xffffffffffffffff reserved\n");
	iommu_group_put(group);
	mock_dev_remove(a);
	mock_dev_remove(b);
	mock_dev_remove(c);
	end();
}

/* What leaves is blocked, or at identity where firmware wants 1:1. */
static struct iommu_domain *attached_at_release;
static void note_release(struct iommu_listener *l, struct iommu_device *iommu,
			 struct device *dev)
{
	attached_at_release = to_mock_dev(dev)->attached;
}

static void released_device_goes_to_release_domain(void **state)
{
	static const struct mock_resv direct = {0x10000, 0x1000, IOMMU_RESV_DIRECT};
	struct iommu_listener l = {.device_unlinked = note_release};
	struct mock_dev *a;
	unsigned before;

	begin_with_iommu("", MOCK_FULL);
	iommu_listener_register(&l);
	a = add("a", 1);
	before = a->nr_attach;
	get_device(&a->dev);
	mock_dev_remove(a);
	assert_int_equal(a->nr_attach, before + 1);
	put_device(&a->dev);
	a = add_resv("b", 1, &direct, 1);
	get_device(&a->dev);
	mock_dev_remove(a);
	assert_int_equal(a->nr_attach, 2);
	put_device(&a->dev);
	iommu_listener_unregister(&l);
	end();
}

static void pasid_attach_replace_detach(void **state)
{
	struct iommu_attach_handle h1, h2;
	struct iommu_domain *one, *two;
	struct iommu_group *group;
	struct mock_dev *a, *b;
	int owner;

	begin_with_iommu("", MOCK_FULL);
	a = add("a", 1);
	b = add("b", 1);
	group = iommu_group_get(&a->dev);
	one = new_domain(a);
	two = new_domain(a);
	assert_int_equal(iommu_attach_device_pasid(one, &a->dev, 0, &h1), -EINVAL);
	assert_int_equal(iommu_attach_device_pasid(one, &a->dev, MOCK_MAX_PASIDS, &h1),
			 -EINVAL);
	assert_int_equal(iommu_replace_device_pasid(one, &a->dev, 3, &h1), -EINVAL);
	mock.fail_attach_in = 2; /* the second member */
	assert_int_equal(iommu_attach_device_pasid(one, &a->dev, 3, &h1), -EINVAL);
	assert_null(a->pasids[3]);
	assert_int_equal(iommu_attach_device_pasid(one, &a->dev, 3, &h1), 0);
	assert_ptr_equal(b->pasids[3], one);
	assert_int_equal(iommu_attach_device_pasid(two, &a->dev, 3, &h2), -EBUSY);
	mock.fail_attach_in = 2;
	assert_int_equal(iommu_replace_device_pasid(two, &a->dev, 3, &h2), -EINVAL);
	assert_ptr_equal(a->pasids[3], one);
	assert_ptr_equal(iommu_attach_handle_get(group, 3, 0), &h1);
	assert_int_equal(iommu_replace_device_pasid(two, &a->dev, 3, &h2), 0);
	assert_ptr_equal(a->pasids[3], two);
	assert_ptr_equal(iommu_attach_handle_get(group, 3, 0), &h2);
	/* a PASID in use is in the way of an owner and of a host driver */
	assert_int_equal(iommu_group_claim_dma_owner(group, &owner), -EBUSY);

	/* a reset blocks everything and brings it back */
	assert_int_equal(iommu_dev_reset_prepare(&a->dev), 0);
	assert_ptr_equal(a->attached, &mock_blocked_domain);
	assert_null(a->pasids[3]);
	assert_ptr_equal(b->pasids[3], two);
	assert_int_equal(iommu_attach_group(one, group), -EBUSY);
	assert_int_equal(iommu_attach_device_pasid(one, &a->dev, 4, NULL), -EBUSY);
	iommu_dev_reset_done(&a->dev);
	assert_ptr_equal(a->attached, iommu_group_default_domain(group));
	assert_ptr_equal(a->pasids[3], two);

	iommu_detach_device_pasid(two, &a->dev, 3);
	assert_null(a->pasids[3]);
	assert_null(b->pasids[3]);
	assert_int_equal(iommu_group_claim_dma_owner(group, &owner), 0);
	iommu_group_release_dma_owner(group);
	assert_int_equal(iommu_alloc_global_pasid(&a->dev), 1);
	assert_int_equal(iommu_alloc_global_pasid(&b->dev), 2);
	iommu_free_global_pasid(&a->dev, 1);
	assert_int_equal(iommu_alloc_global_pasid(&b->dev), 1);
	iommu_free_global_pasid(&a->dev, 1);
	iommu_free_global_pasid(&a->dev, 2);
	iommu_domain_free(one);
	iommu_domain_free(two);
	iommu_group_put(group);
	mock_dev_remove(a);
	mock_dev_remove(b);
	end();
}

static char events[1024];
static void note(const char *fmt, ...) __printf(1, 2);
static void note(const char *fmt, ...)
{
	size_t n = strlen(events);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(events + n, sizeof(events) - n, fmt, ap);
	va_end(ap);
}

static void on_group_added(struct iommu_listener *l, struct iommu_group *g)
{
	note("+g%d ", iommu_group_id(g));
}

static void on_group_removed(struct iommu_listener *l, struct iommu_group *g)
{
	note("-g%d ", iommu_group_id(g));
}

static void on_add(struct iommu_listener *l, struct iommu_group *g, struct device *dev,
		   const char *name)
{
	note("+%s ", name);
}

static void on_remove(struct iommu_listener *l, struct iommu_group *g, struct device *dev,
		      const char *name)
{
	note("-%s ", name);
}

static void on_attach(struct iommu_listener *l, struct device *dev,
		      struct iommu_domain *d)
{
	note("attach:%s ", dev_name(dev));
}

static void listener_hears_events_in_order(void **state)
{
	struct iommu_listener l = {
		.group_added = on_group_added,
		.group_removed = on_group_removed,
		.add_device_to_group = on_add,
		.remove_device_from_group = on_remove,
		.attach_device_to_domain = on_attach,
	};
	struct mock_dev *a, *b;
	char name[64];
	struct iommu_group *group;

	begin_with_iommu("", MOCK_FULL);
	l.machine = mm.m;
	events[0] = '\0';
	iommu_listener_register(&l);
	a = add("x", 1);
	b = add("x", 1); /* the same name on another bus gets a number */
	group = iommu_group_get(&a->dev);
	assert_true(iommu_group_stable_name(group, name, sizeof(name)) > 0);
	assert_string_equal(name, "mock:x");
	iommu_group_put(group);
	mock_dev_remove(a);
	mock_dev_remove(b);
	iommu_listener_unregister(&l);
	assert_string_equal(events, "+g0 +x attach:x +x.0 attach:x -x -x.0 -g0 ");
	end();
}

static void group_name_set_and_cleared(void **state)
{
	struct iommu_group *group;
	char buf[32];

	begin("");
	group = iommu_group_alloc(mm.m);
	assert_int_equal(iommu_group_show_name(group, buf, sizeof(buf)), -ENOENT);
	assert_int_equal(iommu_group_set_name(group, "vfio-noiommu"), 0);
	assert_int_equal(iommu_group_show_name(group, buf, sizeof(buf)), 13);
	assert_string_equal(buf, "vfio-noiommu\n");
	assert_int_equal(iommu_group_show_type(group, buf, sizeof(buf)), 8);
	assert_string_equal(buf, "unknown\n");
	assert_int_equal(iommu_group_store_type(group, "DMA", 3), -EINVAL); /* FACT 47 */
	assert_int_equal(iommu_group_set_name(group, NULL), 0);
	assert_false(iommu_group_get_name(group, buf, sizeof(buf)));
	iommu_group_put(group);
	end();
}

/* noiommu: members added by hand */
static void group_without_iommu_holds_devices(void **state)
{
	struct iommu_group *group;
	struct mock_dev *a;
	char buf[64];
	int owner;

	begin("");
	a = mock_dev_alloc(&mm, "a");
	assert_int_equal(device_add(&a->dev), 0);
	group = iommu_group_alloc(mm.m);
	assert_int_equal(iommu_group_add_device(group, &a->dev), 0);
	iommu_group_put(group);
	assert_int_equal(id_of(a), 0);
	assert_int_equal(iommu_group_show_resv_regions(group, buf, sizeof(buf)), 0);
	assert_int_equal(iommu_group_claim_dma_owner(group, &owner), -ENODEV);
	iommu_group_remove_device(&a->dev);
	assert_int_equal(id_of(a), -1);
	mock_dev_remove(a);
	end();
}

static void fwspec_device_waits_for_its_iommu(void **state)
{
	static const u32 ids[] = {3, 4, 5};
	struct mock_dev *a;
	int node, other_node;

	begin("");
	assert_int_equal(mock_register_drivers(&mm), 0);
	a = mock_dev_alloc(&mm, "a");
	a->behind = &mock;
	a->ids_match = true;
	assert_int_equal(iommu_fwspec_add_ids(&a->dev, ids, 1), -EINVAL);
	assert_int_equal(iommu_fwspec_init(&a->dev, &node), 0);
	assert_int_equal(iommu_fwspec_init(&a->dev, &node), 0);
	assert_int_equal(iommu_fwspec_init(&a->dev, &other_node), -EINVAL);
	assert_int_equal(iommu_fwspec_add_ids(&a->dev, ids, 1), 0);
	assert_int_equal(iommu_fwspec_add_ids(&a->dev, ids + 1, 2), 0);
	assert_int_equal(dev_iommu_fwspec_get(&a->dev)->num_ids, 3);
	assert_int_equal(dev_iommu_fwspec_get(&a->dev)->ids[2], 5);
	assert_int_equal(device_add(&a->dev), 0);
	assert_null(a->dev.driver); /* deferred */
	assert_int_equal(a->nr_probe, 0);
	assert_int_equal(device_attach(&a->dev), -EPROBE_DEFER);
	assert_int_equal(drivers_probe_store(mm.bus, "a", 1), -EINVAL);
	mock.iommu.fwnode = &node;
	assert_int_equal(mock_iommu_register(&mm, &mock, MOCK_FULL), 0);
	assert_ptr_equal(a->dev.driver, &mm.native);
	assert_int_equal(id_of(a), 0);
	mock_dev_remove(a);
	end();
}

/* Every allocation on the way in fails once; nothing stays. */
static void probe_each_allocation_failing_unwinds(void **state)
{
	static const struct mock_resv direct = {0x10000, 0x3000, IOMMU_RESV_DIRECT};
	struct mock_dev *a, *b;
	s64 live;
	u64 nth;

	begin_with_iommu("", MOCK_FULL);
	b = add("b", 1);
	for (nth = 1; nth < 100; nth++) {
		bool failed;

		a = mock_dev_alloc(&mm, "a");
		a->behind = &mock;
		a->group_key = nth & 1 ? 1 : 2;
		a->resv[0] = direct;
		a->nr_resv = 1;
		live = alloc_live_count();
		fault_inject_arm((nth + 1) / 2);
		assert_int_equal(device_add(&a->dev), 0);
		failed = fault_inject_disarm();
		if (!failed) {
			assert_true(id_of(a) >= 0);
			if (!(nth & 1)) {
				mock_dev_remove(a);
				break;
			}
		} else if (id_of(a) < 0) {
			assert_int_equal(alloc_live_count(), live);
			assert_int_equal(mock.nr_devices, 1);
		}
		mock_dev_remove(a);
	}
	assert_true(nth > 6 && nth < 100);
	mock_dev_remove(b);
	end();
}

static void register_each_allocation_failing_unwinds(void **state)
{
	struct mock_dev *d[3];
	u64 nth;
	int ret, i;

	begin("");
	for (i = 0; i < 3; i++)
		d[i] = add((const char *[]){"a", "b", "c"}[i], i / 2);
	for (nth = 1; nth < 100; nth++) {
		s64 live = alloc_live_count();
		bool failed;

		fault_inject_arm(nth);
		ret = mock_iommu_register(&mm, &mock, MOCK_FULL);
		failed = fault_inject_disarm();
		if (!failed)
			break;
		if (!ret) { /* no memory for a lazy domain, but for a strict one */
			assert_true(!strcmp(type_of(d[0]), "DMA") !=
				    !strcmp(type_of(d[2]), "DMA"));
			iommu_device_unregister(&mock.iommu);
		} else {
			assert_int_equal(ret, -ENOMEM);
		}
		assert_int_equal(alloc_live_count(), live);
		assert_int_equal(mock.nr_domains, 0);
		for (i = 0; i < 3; i++)
			assert_int_equal(id_of(d[i]), -1);
	}
	assert_int_equal(ret, 0);
	assert_true(nth > 5);
	for (i = 0; i < 3; i++)
		mock_dev_remove(d[i]);
	end();
}

static void attach_each_allocation_failing_changes_nothing(void **state)
{
	struct iommu_attach_handle handle;
	struct iommu_domain *domain, *old;
	struct iommu_group *group;
	struct mock_dev *a;
	int failures = 0, ret;
	u64 nth;

	begin_with_iommu("", MOCK_FULL);
	a = add("a", 1);
	group = iommu_group_get(&a->dev);
	domain = new_domain(a);
	old = a->attached;
	for (int what = 0; what < 3; what++) {
		for (nth = 1;; nth++) {
			s64 live = alloc_live_count();

			fault_inject_arm(nth);
			if (what == 0)
				ret = iommu_attach_group_handle(domain, group, &handle);
			else if (what == 1)
				ret = iommu_attach_device_pasid(domain, &a->dev, 5, NULL);
			else
				ret = iommu_replace_group_handle(group, domain, &handle);
			if (!fault_inject_disarm()) {
				assert_int_equal(ret, 0);
				break;
			}
			failures++;
			assert_int_equal(ret, -ENOMEM);
			assert_int_equal(alloc_live_count(), live);
			assert_ptr_equal(a->attached, old);
			assert_null(a->pasids[5]);
		}
		if (what == 1)
			iommu_detach_device_pasid(domain, &a->dev, 5);
		else
			iommu_detach_group_handle(domain, group);
	}
	assert_true(failures >= 3);
	iommu_domain_free(domain);
	iommu_group_put(group);
	mock_dev_remove(a);
	end();
}

static void type_store_each_allocation_failing_changes_nothing(void **state)
{
	static const struct mock_resv direct = {0x10000, 0x3000,
						IOMMU_RESV_DIRECT_RELAXABLE};
	struct mock_dev *a;
	u64 nth;

	begin_with_iommu("", MOCK_FULL);
	a = add_resv("a", 1, &direct, 1);
	assert_int_equal(set_type(a, "identity"), 8);
	for (nth = 1; nth < 50; nth++) {
		s64 live = alloc_live_count();
		ssize_t ret;

		fault_inject_arm(nth);
		ret = set_type(a, "DMA");
		if (!fault_inject_disarm()) {
			assert_int_equal(ret, 3);
			break;
		}
		if (ret == 3) { /* the list of regions came up empty */
			assert_int_equal(set_type(a, "identity"), 8);
			continue;
		}
		assert_int_equal(ret, -ENOMEM);
		assert_int_equal(alloc_live_count(), live);
		assert_string_equal(type_of(a), "identity");
		assert_ptr_equal(a->attached, &mock_identity_domain);
	}
	assert_true(nth > 1 && nth < 50);
	mock_dev_remove(a);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(group_ids_smallest_free_first),
		cmocka_unit_test(group_reference_keeps_id),
		cmocka_unit_test(register_replays_existing_devices),
		cmocka_unit_test(unregister_releases_devices),
		cmocka_unit_test(register_failing_attach_unregisters),
		cmocka_unit_test(cmdline_chooses_default_type),
		cmocka_unit_test(driver_without_deferred_flush_is_strict),
		cmocka_unit_test(set_dma_strict_changes_default),
		cmocka_unit_test(untrusted_device_is_translated),
		cmocka_unit_test(type_store_errnos),
		cmocka_unit_test(rejoining_device_takes_over_type),
		cmocka_unit_test(type_store_failing_attach_changes_nothing),
		cmocka_unit_test(attach_group_failing_member_reverts_all),
		cmocka_unit_test(detach_failing_attach_blocks_member),
		cmocka_unit_test(attach_device_shared_group_einval),
		cmocka_unit_test(joining_device_gets_current_domain),
		cmocka_unit_test(deferred_attach_waits_for_first_mapping),
		cmocka_unit_test(deferred_attach_ends_with_claim),
		cmocka_unit_test(direct_regions_are_mapped_one_to_one),
		cmocka_unit_test(relaxable_region_does_not_bar_owner),
		cmocka_unit_test(direct_region_survives_type_change),
		cmocka_unit_test(resv_regions_merge_by_type),
		cmocka_unit_test(released_device_goes_to_release_domain),
		cmocka_unit_test(pasid_attach_replace_detach),
		cmocka_unit_test(listener_hears_events_in_order),
		cmocka_unit_test(group_name_set_and_cleared),
		cmocka_unit_test(group_without_iommu_holds_devices),
		cmocka_unit_test(fwspec_device_waits_for_its_iommu),
		cmocka_unit_test(probe_each_allocation_failing_unwinds),
		cmocka_unit_test(register_each_allocation_failing_unwinds),
		cmocka_unit_test(attach_each_allocation_failing_changes_nothing),
		cmocka_unit_test(type_store_each_allocation_failing_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
