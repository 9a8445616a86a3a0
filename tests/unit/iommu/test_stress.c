// SPDX-License-Identifier: MIT
/*
 * Everything at once from several threads: devices come and go, drivers bind and
 * unbind, some unbinds wait for a user, groups are claimed, attached, mapped, listed, and
 * change their type. At the end nothing is left and each device is where its group is.
 * For a ThreadSanitizer build; MOAT_STEPS sets the length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/rand.h"
#include "iommu/trace.h"
#include "tests/unit/iommu/mock_iommu.h"

#define NR_KEYS	   3
#define NR_PLUGGED 6

static struct mock_machine mm;
static struct mock_iommu mock;
static struct mock_dev *anchors[NR_KEYS]; /* so that a claimed group is never empty */
static unsigned steps = 3000;
static int stop;
static u64 heard, claims, binds, held_unbinds, plugs, retypes;

static void count(u64 *what)
{
	__atomic_add_fetch(what, 1, __ATOMIC_RELAXED);
}

static void name_of(char *buf, size_t size, unsigned i)
{
	snprintf(buf, size, "p%u", i);
}

static void signal_done(void *data)
{
	__atomic_store_n((int *)data, 1, __ATOMIC_RELEASE);
}

/* Each slot is plugged by one thread only; two threads plug. */
static void *plugger(void *arg)
{
	unsigned first = (unsigned)(uintptr_t)arg * (NR_PLUGGED / 2);
	struct mock_dev *slot[NR_PLUGGED / 2] = {NULL};
	struct rnd r;

	rnd_seed(&r, first + 1);
	for (unsigned n = 0; n < steps; n++) {
		unsigned i = (unsigned)rnd_below(&r, NR_PLUGGED / 2);
		int done = 0;

		if (!slot[i]) {
			char name[16];

			name_of(name, sizeof(name), first + i);
			slot[i] = mock_dev_alloc(&mm, name);
			slot[i]->behind = &mock;
			slot[i]->group_key = (int)rnd_below(&r, NR_KEYS + 1);
			slot[i]->ids_match = rnd_one_in(&r, 2);
			slot[i]->held = rnd_one_in(&r, 3);
			assert_int_equal(device_add(&slot[i]->dev), 0);
			count(&plugs);
			continue;
		}
		if (!rnd_one_in(&r, 4)) {
			sched_yield();
			continue;
		}
		device_del_async(&slot[i]->dev, signal_done, &done);
		while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE))
			sched_yield();
		put_device(&slot[i]->dev);
		slot[i] = NULL;
	}
	for (unsigned i = 0; i < NR_PLUGGED / 2; i++) {
		int done = 0;

		if (!slot[i])
			continue;
		device_del_async(&slot[i]->dev, signal_done, &done);
		while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE))
			sched_yield();
		put_device(&slot[i]->dev);
	}
	return NULL;
}

static void free_done(void *data)
{
	count(&held_unbinds);
}

static void *binder(void *arg)
{
	static const char *const overrides[] = {"\n", "native", "generic"};
	struct rnd r;

	rnd_seed(&r, 100 + (uintptr_t)arg);
	for (unsigned n = 0; n < steps; n++) {
		struct device_driver *drv = rnd_one_in(&r, 2) ? &mm.native : &mm.generic;
		const char *word = overrides[rnd_below(&r, 3)];
		struct device *dev;
		char name[16];

		name_of(name, sizeof(name), (unsigned)rnd_below(&r, NR_PLUGGED));
		switch (rnd_below(&r, 5)) {
		case 0:
			if (driver_bind_store(drv, name, strlen(name)) > 0)
				count(&binds);
			break;
		case 1:
			(void)driver_unbind_store(drv, name, strlen(name), free_done,
						  NULL);
			break;
		case 2:
			(void)drivers_probe_store(mm.bus, name, strlen(name));
			break;
		case 3:
			dev = bus_find_device_by_name(mm.bus, name);
			if (dev)
				(void)driver_override_store(dev, word, strlen(word));
			put_device(dev);
			break;
		default:
			driver_deferred_probe_trigger(mm.m);
			break;
		}
	}
	return NULL;
}

/* Those whose users are asked to close them. */
struct holder {
	struct device_notifier nb;
	struct mutex lock;
	struct device *waiting[64];
	unsigned nr;
};
static struct holder holder;

static void on_event(struct device_notifier *nb, enum device_event event,
		     struct device *dev)
{
	if (event != DEVICE_UNBINDING ||
	    !__atomic_load_n(&to_mock_dev(dev)->held, __ATOMIC_ACQUIRE))
		return;
	mutex_lock(&holder.lock);
	/* Each device waits at most once. */
	if (!WARN_ON(holder.nr == ARRAY_SIZE(holder.waiting)))
		holder.waiting[holder.nr++] = get_device(dev);
	mutex_unlock(&holder.lock);
}

static bool let_one_go(void)
{
	struct device *dev = NULL;

	mutex_lock(&holder.lock);
	if (holder.nr)
		dev = holder.waiting[--holder.nr];
	mutex_unlock(&holder.lock);
	if (!dev)
		return false;
	__atomic_store_n(&to_mock_dev(dev)->held, false, __ATOMIC_RELEASE);
	device_release_driver_continue(dev);
	put_device(dev);
	return true;
}

static void *closer(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		usleep(300); /* so that others come to wait as well */
		while (let_one_go())
			;
	}
	return NULL;
}

static void *user(void *arg)
{
	struct iommu_domain *domains[NR_KEYS];
	struct rnd r;
	int me;

	rnd_seed(&r, 200 + (uintptr_t)arg);
	for (int k = 0; k < NR_KEYS; k++) {
		domains[k] = iommu_paging_domain_alloc(&anchors[k]->dev);
		assert_false(IS_ERR(domains[k]));
	}
	for (unsigned n = 0; n < steps; n++) {
		int k = (int)rnd_below(&r, NR_KEYS);
		struct iommu_group *group = iommu_group_get(&anchors[k]->dev);
		struct iommu_attach_handle handle;
		iova_t iova = rnd_below(&r, 64) * SZ_4K;

		if (!iommu_group_claim_dma_owner(group, &me)) {
			count(&claims);
			if (rnd_one_in(&r, 2)) {
				assert_int_equal(iommu_attach_group(domains[k], group),
						 0);
			} else {
				assert_int_equal(iommu_attach_group_handle(
							 domains[k], group, &handle),
						 0);
				assert_int_equal(iommu_replace_group_handle(
							 group, domains[k], &handle),
						 0);
			}
			assert_int_equal(
				iommu_map(domains[k], iova, 0x100000, (4 * SZ_4K), 3), 0);
			assert_ptr_equal(iommu_get_domain_for_dev(&anchors[k]->dev),
					 domains[k]);
			assert_int_equal(iommu_unmap(domains[k], iova, (4 * SZ_4K)),
					 (4 * SZ_4K));
			if (IS_ERR(iommu_attach_handle_get(group, 0, 0)))
				iommu_detach_group(domains[k], group);
			else
				iommu_detach_group_handle(domains[k], group);
			iommu_group_release_dma_owner(group);
		}
		iommu_group_put(group);
	}
	for (int k = 0; k < NR_KEYS; k++)
		iommu_domain_free(domains[k]);
	return NULL;
}

static int look(struct iommu_group *group, void *data)
{
	static const char *const words[] = {"identity", "DMA", "DMA-FQ", "auto"};
	struct rnd *r = data;
	const char *word = words[rnd_below(r, 4)];
	char buf[256];

	assert_true(iommu_group_show_type(group, buf, sizeof(buf)) > 0);
	assert_true(iommu_group_show_resv_regions(group, buf, sizeof(buf)) >= 0);
	(void)iommu_group_stable_name(group, buf, sizeof(buf));
	if (iommu_group_store_type(group, word, strlen(word)) > 0)
		count(&retypes);
	return 0;
}

static void on_membership(struct iommu_listener *l, struct iommu_group *group,
			  struct device *dev, const char *name)
{
	count(&heard);
}

static void *looker(void *arg)
{
	struct rnd r;

	rnd_seed(&r, 300);
	for (unsigned n = 0; n < steps / 4; n++) {
		struct iommu_listener l = {.add_device_to_group = on_membership};

		iommu_listener_register(&l);
		iommu_for_each_group(mm.m, look, &r);
		iommu_listener_unregister(&l);
	}
	return NULL;
}

/* A second IOMMU comes and goes, with the devices behind it in place. */
static struct mock_iommu second;
static void *registrar(void *arg)
{
	for (unsigned n = 0; n < steps / 20; n++) {
		assert_int_equal(mock_iommu_register(&mm, &second, MOCK_PLAIN), 0);
		sched_yield();
		iommu_device_unregister(&second.iommu);
	}
	return NULL;
}

static void everything_at_once(void **state)
{
	struct mock_dev *behind_second[3];
	static void *(*const body[])(void *) = {plugger, plugger, binder, binder,
						user,	 user,	  looker, registrar};
	struct iommu_listener always = {.add_device_to_group = on_membership};
	pthread_t threads[ARRAY_SIZE(body)], closing;
	s64 live = alloc_live_count();
	unsigned i;

	if (getenv("MOAT_STEPS"))
		steps = (unsigned)atoi(getenv("MOAT_STEPS"));
	assert_int_equal(mock_machine_create(&mm, ""), 0);
	assert_int_equal(mock_iommu_register(&mm, &mock, MOCK_FULL), 0);
	assert_int_equal(mock_register_drivers(&mm), 0);
	mutex_init(&holder.lock);
	holder.nb.notify = on_event;
	device_register_notifier(mm.m, &holder.nb);
	iommu_listener_register(&always);
	for (i = 0; i < NR_KEYS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "anchor%u", i);
		anchors[i] = mock_dev_alloc(&mm, name);
		anchors[i]->behind = &mock;
		anchors[i]->group_key = (int)i;
		assert_int_equal(device_add(&anchors[i]->dev), 0);
	}
	for (i = 0; i < ARRAY_SIZE(behind_second); i++) {
		behind_second[i] =
			mock_dev_alloc(&mm, (const char *[]){"s0", "s1", "s2"}[i]);
		behind_second[i]->behind = &second;
		behind_second[i]->group_key = 100 + (int)i / 2;
		assert_int_equal(device_add(&behind_second[i]->dev), 0);
	}
	for (i = 0; i < ARRAY_SIZE(body); i++)
		pthread_create(&threads[i], NULL, body[i], (void *)(uintptr_t)(i % 2));
	pthread_create(&closing, NULL, closer, NULL);
	for (i = 0; i < ARRAY_SIZE(body); i++)
		pthread_join(threads[i], NULL);
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	pthread_join(closing, NULL);
	while (let_one_go())
		;

	for (i = 0; i < NR_KEYS; i++) {
		assert_ptr_equal(anchors[i]->attached,
				 iommu_get_domain_for_dev(&anchors[i]->dev));
		mock_dev_remove(anchors[i]);
	}
	for (i = 0; i < ARRAY_SIZE(behind_second); i++)
		mock_dev_remove(behind_second[i]);
	assert_int_equal(second.nr_domains, 0);
	iommu_listener_unregister(&always);
	device_unregister_notifier(mm.m, &holder.nb);
	iommu_device_unregister(&mock.iommu);
	mock_machine_destroy(&mm);
	assert_int_equal(mock.nr_domains, 0);
	assert_int_equal(mock.nr_devices, 0);
	assert_int_equal(alloc_live_count(), live);
	fprintf(stderr,
		"# %llu plugs, %llu binds, %llu held unbinds, %llu claims, %llu types\n",
		(unsigned long long)plugs, (unsigned long long)binds,
		(unsigned long long)held_unbinds, (unsigned long long)claims,
		(unsigned long long)retypes);
	/* How much of the rest comes about is up to the scheduler. */
	assert_true(plugs && heard);
}

static bool warned;
static void sink(void *data, enum log_level level, const char *line)
{
	if (level == LOG_ERR) {
		fprintf(stderr, "# %s\n", line);
		__atomic_store_n(&warned, true, __ATOMIC_RELAXED);
	}
}

static void nothing_was_reported(void **state)
{
	assert_false(warned);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_at_once),
		cmocka_unit_test(nothing_was_reported),
	};

	log_set_sink(sink, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
