// SPDX-License-Identifier: MIT
/*
 * The driver model: who binds to what, in which order things are told, and removal
 * that waits for user space. Expected values are those of Linux 7.0
 * (conformance/groups FACTS 13 to 16, 20, 43, 44; drivers/base/).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fault_inject.h"
#include "tests/unit/iommu/mock_iommu.h"

static struct mock_machine mm;
static s64 live_before;
static char events[2048];

static void note(const char *fmt, ...) __printf(1, 2);
static void note(const char *fmt, ...)
{
	size_t n = strlen(events);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(events + n, sizeof(events) - n, fmt, ap);
	va_end(ap);
}

static void on_event(struct device_notifier *nb, enum device_event event,
		     struct device *dev)
{
	static const char *const names[] = {"added", "removed", "bound", "unbinding",
					    "unbound"};

	note("%s:%s ", names[event], dev_name(dev));
}

static struct device_notifier nb = {.notify = on_event};

static void begin(void)
{
	live_before = alloc_live_count();
	assert_int_equal(mock_machine_create(&mm, ""), 0);
	device_register_notifier(mm.m, &nb);
	events[0] = '\0';
}

static void end(void)
{
	device_unregister_notifier(mm.m, &nb);
	mock_machine_destroy(&mm);
	assert_int_equal(alloc_live_count(), live_before);
}

static struct mock_dev *make(const char *name, bool ids_match)
{
	struct mock_dev *md = mock_dev_alloc(&mm, name);

	md->ids_match = ids_match;
	return md;
}

static struct mock_dev *add(const char *name, bool ids_match)
{
	struct mock_dev *md = make(name, ids_match);

	assert_int_equal(device_add(&md->dev), 0);
	return md;
}

static struct mock_dev *add_below(const char *name, struct mock_dev *parent)
{
	struct mock_dev *md = make(name, true);

	md->dev.parent = &parent->dev;
	assert_int_equal(device_add(&md->dev), 0);
	return md;
}

#define store(fn, obj, text) fn(obj, text, strlen(text))

/* FACT 13 */
static void bind_errnos(void **state)
{
	static const char *const bad[] = {"b", "a ", " a", "A", "a\n\n", "\n", "junk"};
	struct mock_dev *a, *other;
	unsigned i;

	begin();
	a = add("a", true);
	other = add("other", false);
	assert_int_equal(mock_register_drivers(&mm), 0);
	assert_ptr_equal(a->dev.driver, &mm.native);
	assert_int_equal(store(driver_bind_store, &mm.native, "a"), -EBUSY);
	assert_int_equal(store(driver_bind_store, &mm.generic, "a"), -ENODEV);
	assert_int_equal(store(driver_bind_store, &mm.native, "other"), -ENODEV);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(store(driver_bind_store, &mm.native, bad[i]), -ENODEV);
		assert_int_equal(driver_unbind_store(&mm.native, bad[i], strlen(bad[i]),
						     NULL, NULL),
				 -ENODEV);
		assert_int_equal(store(drivers_probe_store, mm.bus, bad[i]), -ENODEV);
	}
	assert_int_equal(driver_unbind_store(&mm.generic, "a", 1, NULL, NULL), -ENODEV);
	assert_int_equal(driver_unbind_store(&mm.native, "a\n", 2, NULL, NULL), 2);
	assert_null(a->dev.driver);
	assert_int_equal(driver_unbind_store(&mm.native, "a", 1, NULL, NULL), -ENODEV);
	assert_int_equal(store(driver_bind_store, &mm.native, "a\n"), 2);
	a->probe_result = -EPROBE_DEFER;
	device_release_driver(&a->dev);
	assert_int_equal(store(driver_bind_store, &mm.native, "a"), -EAGAIN);
	assert_true(list_empty(&a->dev.deferred_node)); /* bind does not queue */
	mock_dev_remove(a);
	mock_dev_remove(other);
	end();
}

/* FACTS 15, 16 */
static void driver_override_rules(void **state)
{
	char *big = calloc(1, PAGE_SIZE);
	struct mock_dev *a;

	begin();
	a = add("a", true);
	assert_int_equal(mock_register_drivers(&mm), 0);
	assert_int_equal(store(driver_override_store, &a->dev, "generic\n"), 8);
	assert_ptr_equal(a->dev.driver, &mm.native); /* neither unbinds nor probes */
	device_release_driver(&a->dev);
	assert_int_equal(store(driver_bind_store, &mm.native, "a"), -ENODEV);
	assert_int_equal(store(drivers_probe_store, mm.bus, "a"), 1);
	assert_ptr_equal(a->dev.driver, &mm.generic);
	assert_int_equal(store(driver_override_store, &a->dev, ""), 0);
	assert_string_equal(a->dev.driver_override, "generic");
	assert_int_equal(store(driver_override_store, &a->dev, "with blanks \nrest"), 17);
	assert_string_equal(a->dev.driver_override, "with blanks ");
	assert_int_equal(store(driver_override_store, &a->dev, "\n"), 1);
	assert_null(a->dev.driver_override);
	memset(big, 'x', PAGE_SIZE - 1);
	assert_int_equal(driver_override_store(&a->dev, big, PAGE_SIZE - 1), -EINVAL);
	assert_int_equal(driver_override_store(&a->dev, big, PAGE_SIZE - 2),
			 PAGE_SIZE - 2);
	fault_inject_arm(1);
	assert_int_equal(store(driver_override_store, &a->dev, "x"), -ENOMEM);
	fault_inject_disarm();
	assert_int_equal(strlen(a->dev.driver_override), PAGE_SIZE - 2);
	mock_dev_remove(a);
	end();
	free(big);
}

/* FACT 20 */
static void autoprobe_off_leaves_new_devices(void **state)
{
	struct mock_dev *a;

	begin();
	assert_int_equal(mock_register_drivers(&mm), 0);
	assert_int_equal(store(drivers_autoprobe_store, mm.bus, "0"), 1);
	a = add("a", true);
	assert_null(a->dev.driver);
	assert_int_equal(store(drivers_probe_store, mm.bus, "a"), 1);
	assert_non_null(a->dev.driver);
	device_release_driver(&a->dev);
	driver_attach(&mm.native); /* as new_id does */
	assert_non_null(a->dev.driver);
	assert_int_equal(store(drivers_autoprobe_store, mm.bus, "x"), 1);
	assert_true(mm.bus->autoprobe);
	assert_int_equal(store(drivers_autoprobe_store, mm.bus, "0"), 1);
	assert_int_equal(store(drivers_autoprobe_store, mm.bus, "\n"), 1);
	assert_true(mm.bus->autoprobe);
	mock_dev_remove(a);
	end();
}

static void drivers_are_tried_in_order(void **state)
{
	struct device_driver second;
	struct mock_dev *a;

	begin();
	assert_int_equal(mock_register_drivers(&mm), 0);
	assert_int_equal(driver_register(&mm.native, mm.bus), -EBUSY);
	second = mm.native;
	second.name = "second";
	assert_int_equal(driver_register(&second, mm.bus), 0);
	assert_ptr_equal(driver_find(mm.bus, "second"), &second);
	a = make("a", true);
	a->probe_result = -ENODEV;
	assert_int_equal(device_add(&a->dev), 0);
	assert_int_equal(a->nr_probe, 1); /* second does not match */
	assert_null(a->dev.driver);
	driver_unregister(&second);
	mock_dev_remove(a);
	end();
}

static void deferred_probe_runs_after_next_bind(void **state)
{
	struct mock_dev *a, *b;

	begin();
	assert_int_equal(mock_register_drivers(&mm), 0);
	a = make("a", true);
	a->probe_result = -EPROBE_DEFER;
	assert_int_equal(device_add(&a->dev), 0);
	assert_int_equal(a->nr_probe, 1);
	b = add("b", true); /* binds: a is tried again, in vain */
	assert_int_equal(a->nr_probe, 2);
	assert_null(a->dev.driver);
	a->probe_result = 0;
	driver_deferred_probe_trigger(mm.m);
	assert_ptr_equal(a->dev.driver, &mm.native);
	assert_int_equal(a->nr_probe, 3);
	driver_deferred_probe_trigger(mm.m);
	assert_int_equal(a->nr_probe, 3);
	mock_dev_remove(a);
	/* a deferred device may leave */
	a = make("a", true);
	a->probe_result = -EPROBE_DEFER;
	assert_int_equal(device_add(&a->dev), 0);
	mock_dev_remove(a);
	driver_deferred_probe_trigger(mm.m);
	mock_dev_remove(b);
	end();
}

static void events_in_kernel_order(void **state)
{
	struct mock_dev *a;

	begin();
	assert_int_equal(mock_register_drivers(&mm), 0);
	a = add("a", true);
	mock_dev_remove(a);
	assert_string_equal(events, "added:a bound:a unbinding:a unbound:a removed:a ");
	end();
}

static int nr_done;
static void count_done(void *data)
{
	nr_done++;
}

static int bind_result;
static void note_bind(void *data, int ret)
{
	bind_result = ret;
}

/* In the kernel the writer sleeps for the device's lock. */
static void bind_waits_for_unbind(void **state)
{
	struct mock_dev *a;

	begin();
	assert_int_equal(mock_register_drivers(&mm), 0);
	a = add("a", true);
	a->held = true;
	assert_int_equal(driver_unbind_store(&mm.native, "a", 1, count_done, NULL),
			 -EIOCBQUEUED);
	assert_int_equal(driver_bind_store_async(&mm.generic, "a", 1, note_bind, NULL),
			 -ENODEV);
	assert_int_equal(store(driver_override_store, &a->dev, "generic"), 7);
	fault_inject_arm(1);
	assert_int_equal(driver_bind_store_async(&mm.generic, "a", 1, note_bind, NULL),
			 -ENOMEM);
	fault_inject_disarm();
	bind_result = 1234;
	assert_int_equal(driver_bind_store_async(&mm.generic, "a\n", 2, note_bind, NULL),
			 -EIOCBQUEUED);
	a->held = false;
	assert_int_equal(bind_result, 1234);
	device_release_driver_continue(&a->dev);
	assert_int_equal(bind_result, 2);
	assert_ptr_equal(a->dev.driver, &mm.generic);

	/* the driver that was asked for is gone when the time comes */
	a->held = true;
	assert_int_equal(store(driver_override_store, &a->dev, "native"), 6);
	assert_int_equal(driver_unbind_store(&mm.generic, "a", 1, count_done, NULL),
			 -EIOCBQUEUED);
	assert_int_equal(driver_bind_store_async(&mm.native, "a", 1, note_bind, NULL),
			 -EIOCBQUEUED);
	driver_unregister(&mm.native);
	mm.native.bus = NULL;
	a->held = false;
	device_release_driver_continue(&a->dev);
	assert_int_equal(bind_result, -ENODEV);
	assert_null(a->dev.driver);

	/* or the device */
	assert_int_equal(store(driver_override_store, &a->dev, "generic"), 7);
	assert_int_equal(store(driver_bind_store, &mm.generic, "a"), 1);
	a->held = true;
	device_del_async(&a->dev, NULL, NULL);
	assert_int_equal(driver_bind_store_async(&mm.generic, "a", 1, note_bind, NULL),
			 -EIOCBQUEUED);
	device_release_driver_continue(&a->dev);
	assert_int_equal(bind_result, -ENODEV);
	put_device(&a->dev);
	end();
}

/* FACTS 43, 44 */
static void unbind_waits_for_user(void **state)
{
	struct mock_dev *a;

	begin();
	assert_int_equal(mock_register_drivers(&mm), 0);
	a = add("a", true);
	a->held = true;
	nr_done = 0;
	assert_int_equal(driver_unbind_store(&mm.native, "a", 1, count_done, NULL),
			 -EIOCBQUEUED);
	assert_true(a->dev.unbinding);
	assert_int_equal(a->nr_remove, 0);
	assert_string_equal(events, "added:a bound:a unbinding:a ");
	/* nobody takes it meanwhile */
	assert_int_equal(store(driver_bind_store, &mm.native, "a"), -EBUSY);
	assert_int_equal(store(drivers_probe_store, mm.bus, "a"), 1);
	assert_int_equal(a->nr_probe, 1);
	/* a second writer waits as well, and a third; memory for it may be short */
	assert_int_equal(driver_unbind_store(&mm.native, "a", 1, count_done, NULL),
			 -EIOCBQUEUED);
	fault_inject_arm(1);
	assert_int_equal(driver_unbind_store(&mm.native, "a", 1, count_done, NULL),
			 -ENOMEM);
	fault_inject_disarm();
	assert_int_equal(device_release_driver_async(&a->dev, count_done, NULL), 0);
	assert_int_equal(nr_done, 0);
	a->held = false;
	device_release_driver_continue(&a->dev);
	assert_int_equal(nr_done, 3);
	assert_int_equal(a->nr_remove, 1);
	assert_null(a->dev.driver);
	device_release_driver_continue(&a->dev); /* nothing left to do */
	assert_int_equal(store(driver_bind_store, &mm.native, "a"), 1);
	mock_dev_remove(a);
	end();
}

static void removal_waits_for_user_below(void **state)
{
	struct mock_dev *bridge, *x, *y;

	begin();
	assert_int_equal(mock_register_drivers(&mm), 0);
	bridge = add("bridge", true);
	x = add_below("x", bridge);
	y = add_below("y", bridge);
	get_device(&x->dev);
	get_device(&y->dev);
	x->held = true;
	events[0] = '\0';
	nr_done = 0;
	device_del_async(&bridge->dev, count_done, NULL);
	/* the last to come was unbound; x is in use; all are still there */
	assert_string_equal(events, "unbinding:y unbound:y unbinding:x ");
	assert_ptr_equal(bus_find_device_by_name(mm.bus, "y"), &y->dev);
	put_device(&y->dev);
	assert_int_equal(nr_done, 0);
	/* somebody binds y again: it is unbound once more when it goes */
	assert_int_equal(store(driver_bind_store, &mm.native, "y"), 1);
	x->held = false;
	device_release_driver_continue(&x->dev);
	assert_int_equal(nr_done, 1);
	assert_string_equal(events, "unbinding:y unbound:y unbinding:x bound:y unbound:x "
				    "unbinding:bridge unbound:bridge "
				    "unbinding:y unbound:y removed:y removed:x "
				    "removed:bridge ");
	assert_null(bus_find_device_by_name(mm.bus, "x"));
	assert_int_equal(store(driver_bind_store, &mm.native, "x"), -ENODEV);
	assert_int_equal(device_attach(&x->dev), 0); /* dead */
	assert_int_equal(device_driver_attach(&mm.native, &x->dev), -ENODEV);
	for (int i = 0; i < 2; i++) { /* ours, and the creator's */
		put_device(&x->dev);
		put_device(&y->dev);
	}
	put_device(&bridge->dev);
	end();
}

/* A device is being removed on its own when its bridge goes. */
static void removal_of_parent_joins_removal_of_child(void **state)
{
	struct mock_dev *bridge, *x;

	begin();
	assert_int_equal(mock_register_drivers(&mm), 0);
	bridge = add("bridge", true);
	x = add_below("x", bridge);
	x->held = true;
	nr_done = 0;
	device_del_async(&x->dev, count_done, NULL);
	device_del_async(&bridge->dev, count_done, NULL);
	assert_int_equal(nr_done, 0);
	device_release_driver_continue(&x->dev);
	assert_int_equal(nr_done, 2);
	put_device(&x->dev);
	put_device(&bridge->dev);
	end();
}

static void device_outlives_its_removal(void **state)
{
	struct mock_dev *bridge, *x;

	begin();
	bridge = add("bridge", false);
	x = add_below("x", bridge);
	get_device(&x->dev);
	device_del(&x->dev);
	put_device(&x->dev);
	mock_dev_remove(bridge);
	assert_string_equal(dev_name(x->dev.parent), "bridge"); /* held by its child */
	put_device(&x->dev);
	end();
}

static void add_below_dead_parent_enodev(void **state)
{
	struct mock_dev *bridge, *x;

	begin();
	bridge = add("bridge", false);
	device_del(&bridge->dev);
	x = make("x", true);
	x->dev.parent = &bridge->dev;
	assert_int_equal(device_add(&x->dev), -ENODEV);
	put_device(&x->dev);
	put_device(&bridge->dev);
	x = make("", true);
	assert_int_equal(device_add(&x->dev), -EINVAL);
	put_device(&x->dev);
	end();
}

static int remove_next(struct device *dev, void *data)
{
	int *seen = data;

	(*seen)++;
	mock_dev_remove(to_mock_dev(dev));
	return 0;
}

/* Only the one in the middle: the walk goes on behind it, and not from the start. */
static int remove_b(struct device *dev, void *data)
{
	int *seen = data;

	if (++*seen > 5)
		return -1;
	if (!strcmp(dev_name(dev), "b"))
		mock_dev_remove(to_mock_dev(dev));
	return 0;
}

static int stop_at_two(struct device *dev, void *data)
{
	return ++*(int *)data == 2 ? 7 : 0;
}

static void bus_walk_survives_removal(void **state)
{
	int seen = 0;

	begin();
	add("a", false);
	add("b", false);
	add("c", false);
	assert_int_equal(bus_for_each_dev(mm.bus, stop_at_two, &seen), 7);
	seen = 0;
	assert_int_equal(bus_for_each_dev(mm.bus, remove_b, &seen), 0);
	assert_int_equal(seen, 3);
	seen = 0;
	assert_int_equal(bus_for_each_dev(mm.bus, remove_next, &seen), 0);
	assert_int_equal(seen, 2);
	end();
}

static void driver_unregister_unbinds_last_first(void **state)
{
	struct mock_dev *a, *b;

	begin();
	assert_int_equal(mock_register_drivers(&mm), 0);
	a = add("a", true);
	b = add("b", true);
	events[0] = '\0';
	driver_unregister(&mm.native);
	mm.native.bus = NULL;
	assert_string_equal(events, "unbinding:b unbound:b unbinding:a unbound:a ");
	mock_dev_remove(a);
	mock_dev_remove(b);
	end();
}

static void cmdline_get_last_setting(void **state)
{
	struct machine *m;
	const char *v;
	size_t n;

	live_before = alloc_live_count();
	assert_int_equal(
		machine_create(&m, SZ_1M, 1,
			       "quiet a=1 b=\"x y\" a=2  \"c=d e\" a-b=3 a=\"\""),
		0);
	assert_true(cmdline_get(m, "quiet", &v, &n));
	assert_int_equal(n, 0);
	assert_true(cmdline_get(m, "a", &v, &n));
	assert_int_equal(n, 0);
	assert_true(cmdline_get(m, "b", &v, &n));
	assert_int_equal(n, 3);
	assert_memory_equal(v, "x y", 3);
	assert_true(cmdline_get(m, "c", &v, &n));
	assert_int_equal(n, 3);
	assert_true(cmdline_get(m, "a_b", &v, &n));
	assert_int_equal(v[0], '3');
	assert_false(cmdline_get(m, "qui", &v, &n));
	assert_false(cmdline_get(m, "", &v, &n));
	machine_destroy(m);
	assert_int_equal(alloc_live_count(), live_before);
}

static void machine_create_each_allocation_failing(void **state)
{
	struct machine *m;
	u64 nth;

	for (nth = 1; nth < 50; nth++) {
		s64 live = alloc_live_count();
		int ret;

		fault_inject_arm(nth);
		ret = machine_create(&m, SZ_1M, 1, "x");
		if (!fault_inject_disarm()) {
			assert_int_equal(ret, 0);
			machine_destroy(m);
			break;
		}
		assert_int_equal(ret, -ENOMEM);
		assert_int_equal(alloc_live_count(), live);
	}
	assert_true(nth > 3 && nth < 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bind_errnos),
		cmocka_unit_test(driver_override_rules),
		cmocka_unit_test(autoprobe_off_leaves_new_devices),
		cmocka_unit_test(drivers_are_tried_in_order),
		cmocka_unit_test(deferred_probe_runs_after_next_bind),
		cmocka_unit_test(events_in_kernel_order),
		cmocka_unit_test(unbind_waits_for_user),
		cmocka_unit_test(bind_waits_for_unbind),
		cmocka_unit_test(removal_waits_for_user_below),
		cmocka_unit_test(removal_of_parent_joins_removal_of_child),
		cmocka_unit_test(device_outlives_its_removal),
		cmocka_unit_test(add_below_dead_parent_enodev),
		cmocka_unit_test(bus_walk_survives_removal),
		cmocka_unit_test(driver_unregister_unbinds_last_first),
		cmocka_unit_test(cmdline_get_last_setting),
		cmocka_unit_test(machine_create_each_allocation_failing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
