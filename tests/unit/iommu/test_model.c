// SPDX-License-Identifier: MIT
/*
 * The core against a reference model: random arrivals, removals, binds, claims,
 * attaches, replacements and changes of type, with attaches that fail. The model says
 * what must come out, not how: a change of domain either reaches every member or, for
 * what may fail, none; for what may not, the member that failed is blocked. After each
 * operation everything visible is compared: return values, group ids, types, owners,
 * drivers, and above all where each device's DMA really goes.
 *
 * MOAT_SEED replays one run and tells each step, MOAT_STEPS sets its length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/rand.h"
#include "iommu/core.h"
#include "tests/unit/iommu/mock_iommu.h"

#define NR_DEVS 10
#define NR_KEYS 4
#define NR_USER 3

/* Where DMA goes, by role. */
enum place { P_NONE, P_DEFAULT, P_BLOCKED, P_USER };

struct ref_dev {
	struct mock_dev *md; /* NULL: not there */
	int key;
	bool grouped;
	enum place at;
	int user; /* P_USER */
	bool deferred, direct, ids_match;
	u32 def_type;
	int driver;   /* 0 none, 1 native, 2 generic */
	int override; /* the same; 0 none */
	u64 order;
};

struct ref_group {
	bool there, blocking;
	int id;
	u32 type; /* of the default domain */
	enum place domain;
	int user;
	int owner, owner_cnt;
	bool handle;
};

static struct mock_machine mm;
static struct mock_iommu mock;
static enum mock_kind kind;
static struct rnd rng;
static struct ref_dev devs[NR_DEVS];
static struct ref_group groups[NR_KEYS];
static struct iommu_domain *users[NR_USER];
static struct iommu_attach_handle handles[NR_KEYS];
static int owners[3];
static unsigned fail_in; /* the model's copy of mock.fail_attach_in */
static u64 arrivals;

/* --- the model --- */

static bool attempt_fails(void)
{
	return fail_in && --fail_in == 0;
}

/* Members of a group in order of arrival; false: no more. */
static bool next_member(int key, struct ref_dev **pos)
{
	struct ref_dev *best = NULL;
	u64 after = *pos ? (*pos)->order : 0;

	for (int i = 0; i < NR_DEVS; i++) {
		struct ref_dev *r = &devs[i];

		if (r->md && r->grouped && r->key == key && r->order > after &&
		    (!best || r->order < best->order))
			best = r;
	}
	*pos = best;
	return best;
}

static int nr_members(int key)
{
	struct ref_dev *r = NULL;
	int n = 0;

	while (next_member(key, &r))
		n++;
	return n;
}

static bool same_place(enum place a, int ua, enum place b, int ub)
{
	return a == b && (a != P_USER || ua == ub);
}

/*
 * What the group's type change does: @old_is_default is false while the default domain
 * is being replaced, so that P_DEFAULT names the new one.
 */
static int ref_set(int key, enum place to, int user, bool must, bool replacing_default)
{
	struct ref_group *g = &groups[key];
	struct ref_dev *r = NULL;
	int result = 0;

	if (!replacing_default && same_place(g->domain, g->user, to, user))
		return 0;
	while (next_member(key, &r)) {
		bool failed = false;

		if (r->direct && to == P_BLOCKED && !must) {
			failed = true;
		} else {
			if (r->deferred && to == P_DEFAULT)
				continue;
			r->deferred = false;
			failed = attempt_fails();
			if (failed && must && g->blocking && to != P_BLOCKED)
				r->at = P_BLOCKED;
			if (!failed) {
				r->at = to;
				r->user = user;
			}
		}
		if (!failed)
			continue;
		result = -EINVAL;
		if (must)
			continue;
		/*
		 * All back, for which the rule of what may not fail holds. One that
		 * was deferred is attached for good by that.
		 */
		for (struct ref_dev *e = NULL; next_member(key, &e) && e != r;) {
			e->deferred = false;
			if (!attempt_fails()) {
				e->at = g->domain;
				e->user = g->user;
			} else if (g->blocking && g->domain != P_BLOCKED) {
				e->at = P_BLOCKED;
			}
		}
		return result;
	}
	g->domain = to;
	g->user = user;
	return result;
}

/* 0: any; -1 if @target cannot be. */
static int ref_type(int key, u32 target)
{
	struct ref_dev *r = NULL;
	u32 want = 0;

	while (next_member(key, &r)) {
		if (!r->def_type || r->def_type == want)
			continue;
		if (!want || r->def_type == IOMMU_DOMAIN_IDENTITY)
			want = r->def_type;
	}
	if (target && want && want != target)
		return -1;
	return (int)(target ? target : want);
}

static int ref_setup_default(int key, u32 target, bool first)
{
	struct ref_group *g = &groups[key];
	int type = ref_type(key, target), ret;

	if (type < 0)
		return -EINVAL;
	if (!type)
		type = IOMMU_DOMAIN_DMA_FQ;
	if (!first && g->type == (u32)type)
		return 0;
	if (kind == MOCK_PLAIN && type == IOMMU_DOMAIN_IDENTITY)
		return -EOPNOTSUPP;
	ret = ref_set(key, P_DEFAULT, 0, first, true);
	if (!ret)
		g->type = (u32)type;
	return ret;
}

static int smallest_free_id(void)
{
	for (int id = 0;; id++) {
		bool used = false;

		for (int k = 0; k < NR_KEYS; k++)
			used |= groups[k].there && groups[k].id == id;
		if (!used)
			return id;
	}
}

static void ref_add_to_group(struct ref_dev *r)
{
	struct ref_group *g = &groups[r->key];
	bool is_new = !g->there;

	r->order = ++arrivals;
	r->grouped = true;
	if (is_new) {
		memset(g, 0, sizeof(*g));
		g->id = smallest_free_id();
		g->there = true;
		if (ref_setup_default(r->key, 0, true)) {
			g->there = false;
			r->grouped = false;
		} else {
			g->domain = P_DEFAULT;
		}
		return;
	}
	if (r->direct && g->domain == P_BLOCKED) {
		r->grouped = false;
		return;
	}
	if (r->deferred && g->domain == P_DEFAULT)
		return;
	r->deferred = false;
	if (attempt_fails()) {
		r->grouped = false;
		return;
	}
	r->at = g->domain;
	r->user = g->user;
}

static int ref_use_default(struct ref_dev *r)
{
	struct ref_group *g = &groups[r->key];

	if (!r->grouped)
		return 0;
	if (g->owner_cnt && (g->domain != P_DEFAULT || g->owner || g->handle))
		return -EBUSY;
	g->owner_cnt++;
	return 0;
}

static bool ref_matches(const struct ref_dev *r, int driver)
{
	return r->override ? r->override == driver : driver == 1 && r->ids_match;
}

static int ref_bind(struct ref_dev *r, int driver)
{
	int ret;

	if (!ref_matches(r, driver))
		return -ENODEV;
	if (r->driver)
		return -EBUSY;
	ret = driver == 1 ? ref_use_default(r) : 0;
	if (!ret)
		r->driver = driver;
	return ret;
}

static void ref_unbind(struct ref_dev *r)
{
	if (r->driver == 1 && r->grouped)
		groups[r->key].owner_cnt--;
	r->driver = 0;
}

static int ref_take(int key, int owner)
{
	struct ref_group *g = &groups[key];
	int ret;

	if (g->domain != P_DEFAULT || g->handle)
		return -EBUSY;
	g->blocking = true;
	ret = ref_set(key, P_BLOCKED, 0, false, false);
	if (!ret) {
		g->owner = owner;
		g->owner_cnt++;
	}
	return ret;
}

static int ref_attach(int key, int user)
{
	if (groups[key].domain == P_USER)
		return -EBUSY;
	return ref_set(key, P_USER, user, false, false);
}

static void ref_core_domain(int key)
{
	ref_set(key, groups[key].owner ? P_BLOCKED : P_DEFAULT, 0, true, false);
}

/* --- the real one beside it --- */

static struct ref_dev *some_dev(bool there)
{
	for (int tries = 0; tries < 40; tries++) {
		struct ref_dev *r = &devs[rnd_below(&rng, NR_DEVS)];

		if (!!r->md == there)
			return r;
	}
	return NULL;
}

static struct iommu_group *group_of(int key)
{
	struct ref_dev *r = NULL;

	return next_member(key, &r) ? iommu_group_get(&r->md->dev) : NULL;
}

static void op_add(void)
{
	struct ref_dev *r = some_dev(false);
	struct mock_dev *md;
	char name[16];

	if (!r)
		return;
	memset(r, 0, sizeof(*r));
	snprintf(name, sizeof(name), "d%d", (int)(r - devs));
	md = r->md = mock_dev_alloc(&mm, name);
	r->key = (int)rnd_below(&rng, NR_KEYS);
	r->deferred = rnd_one_in(&rng, 4);
	r->direct = rnd_one_in(&rng, 8);
	r->ids_match = rnd_one_in(&rng, 3);
	if (rnd_one_in(&rng, 5))
		r->def_type =
			rnd_one_in(&rng, 2) ? IOMMU_DOMAIN_IDENTITY : IOMMU_DOMAIN_DMA;
	md->behind = &mock;
	md->group_key = r->key;
	md->deferred = r->deferred;
	md->def_type = (int)r->def_type;
	md->ids_match = r->ids_match;
	if (r->direct) {
		md->resv[0] = (struct mock_resv){0x10000, 0x2000, IOMMU_RESV_DIRECT};
		md->nr_resv = 1;
	}
	assert_int_equal(device_add(&md->dev), 0);
	ref_add_to_group(r);
	if (ref_matches(r, 1))
		(void)ref_bind(r, 1);
}

static void op_remove(void)
{
	struct ref_dev *r = some_dev(true);
	struct ref_group *g;

	if (!r)
		return;
	g = &groups[r->key];
	/* The last member of a group in use stays: its user holds it. */
	if (r->grouped && nr_members(r->key) == 1 &&
	    (g->owner || g->domain != P_DEFAULT || g->owner_cnt > (r->driver == 1)))
		return;
	mock_dev_remove(r->md);
	ref_unbind(r);
	r->md = NULL;
	if (r->grouped && !nr_members(r->key))
		g->there = false;
}

static void op_bind(void)
{
	struct ref_dev *r = some_dev(true);
	int driver = 1 + (int)rnd_below(&rng, 2);
	struct device_driver *drv = driver == 1 ? &mm.native : &mm.generic;
	int expect, ret;

	if (!r)
		return;
	expect = ref_bind(r, driver);
	ret = driver_bind_store(drv, dev_name(&r->md->dev),
				strlen(dev_name(&r->md->dev)));
	assert_int_equal(ret, expect ? expect : (int)strlen(dev_name(&r->md->dev)));
}

static void op_drivers_probe(void)
{
	struct ref_dev *r = some_dev(true);
	int expect = 0, ret;

	if (!r)
		return;
	if (!r->driver && ref_matches(r, 1))
		expect = ref_bind(r, 1);
	else if (!r->driver && ref_matches(r, 2))
		expect = ref_bind(r, 2);
	ret = drivers_probe_store(mm.bus, dev_name(&r->md->dev),
				  strlen(dev_name(&r->md->dev)));
	assert_int_equal(ret, expect ? -EINVAL : (int)strlen(dev_name(&r->md->dev)));
}

static void op_unbind(void)
{
	struct ref_dev *r = some_dev(true);

	if (!r)
		return;
	/* A host driver beside an attach handle would be a bug of its user. */
	if (r->driver == 1 && r->grouped && groups[r->key].handle)
		return;
	ref_unbind(r);
	device_release_driver(&r->md->dev);
}

static void op_override(void)
{
	struct ref_dev *r = some_dev(true);
	const char *words[] = {"\n", "native", "generic"};

	if (!r)
		return;
	r->override = (int)rnd_below(&rng, 3);
	assert_true(driver_override_store(&r->md->dev, words[r->override],
					  strlen(words[r->override])) > 0);
}

static void op_claim(struct iommu_group *group, int key)
{
	struct ref_group *g = &groups[key];
	int owner = 1 + (int)rnd_below(&rng, 2), expect, ret;

	expect = g->owner_cnt ? -EPERM : ref_take(key, owner);
	ret = iommu_group_claim_dma_owner(group, &owners[owner]);
	assert_int_equal(ret, expect);
}

static void op_device_claim(struct iommu_group *group, int key)
{
	struct ref_group *g = &groups[key];
	int owner = 1 + (int)rnd_below(&rng, 2), expect;
	struct ref_dev *r = NULL;

	next_member(key, &r);
	if (!g->owner_cnt)
		expect = ref_take(key, owner);
	else if (g->owner != owner)
		expect = -EPERM;
	else
		expect = 0, g->owner_cnt++;
	assert_int_equal(iommu_device_claim_dma_owner(&r->md->dev, &owners[owner]),
			 expect);
}

static void op_release(struct iommu_group *group, int key)
{
	struct ref_group *g = &groups[key];
	struct ref_dev *r = NULL;

	if (!g->owner || g->handle)
		return;
	if (rnd_one_in(&rng, 2)) {
		iommu_group_release_dma_owner(group);
	} else {
		next_member(key, &r);
		iommu_device_release_dma_owner(&r->md->dev);
		if (g->owner_cnt > 1) {
			g->owner_cnt--;
			return;
		}
	}
	g->owner = g->owner_cnt = 0;
	ref_set(key, P_DEFAULT, 0, true, false);
}

static void op_attach(struct iommu_group *group, int key)
{
	struct ref_group *g = &groups[key];
	int user = (int)rnd_below(&rng, NR_USER), expect;

	if (g->handle)
		return;
	if (rnd_one_in(&rng, 3) && g->owner) {
		expect = ref_attach(key, user);
		assert_int_equal(iommu_attach_group_handle(users[user], group,
							   &handles[key]),
				 expect);
		g->handle = !expect;
		return;
	}
	expect = ref_attach(key, user);
	assert_int_equal(iommu_attach_group(users[user], group), expect);
}

static void op_replace(struct iommu_group *group, int key)
{
	struct ref_group *g = &groups[key];
	int user = (int)rnd_below(&rng, NR_USER), expect;

	if (!g->owner)
		return;
	expect = ref_set(key, P_USER, user, false, false);
	assert_int_equal(iommu_replace_group_handle(group, users[user], &handles[key]),
			 expect);
	if (!expect)
		g->handle = true;
}

static void op_detach(struct iommu_group *group, int key)
{
	struct ref_group *g = &groups[key];

	if (g->domain != P_USER)
		return;
	if (g->handle)
		iommu_detach_group_handle(users[g->user], group);
	else
		iommu_detach_group(users[g->user], group);
	ref_core_domain(key);
	g->handle = false;
}

static void op_type(struct iommu_group *group, int key)
{
	static const struct {
		const char *word;
		u32 type;
	} words[] = {{"identity", IOMMU_DOMAIN_IDENTITY},
		     {"DMA", IOMMU_DOMAIN_DMA},
		     {"DMA-FQ\n", IOMMU_DOMAIN_DMA_FQ},
		     {"auto", 0},
		     {"other", ~0U}};
	struct ref_group *g = &groups[key];
	unsigned i = (unsigned)rnd_below(&rng, ARRAY_SIZE(words));
	ssize_t expect;

	if (words[i].type == ~0U) {
		expect = -EINVAL;
	} else if (words[i].type == IOMMU_DOMAIN_DMA_FQ && g->type == IOMMU_DOMAIN_DMA) {
		g->type = IOMMU_DOMAIN_DMA_FQ;
		expect = 0;
	} else if (g->owner_cnt) {
		expect = -EPERM;
	} else if (g->domain == P_USER) {
		return; /* attached without a claim: nobody does that */
	} else {
		expect = ref_setup_default(key, words[i].type, false);
	}
	if (!expect)
		expect = (ssize_t)strlen(words[i].word);
	assert_int_equal(iommu_group_store_type(group, words[i].word,
						strlen(words[i].word)),
			 expect);
}

static void op_deferred_attach(void)
{
	struct ref_dev *r = some_dev(true);
	int expect = 0;

	/* Only drivers that use the DMA API map anything. */
	if (!r || !r->grouped || groups[r->key].domain != P_DEFAULT)
		return;
	if (r->deferred) {
		if (attempt_fails()) {
			expect = -EINVAL;
		} else {
			r->deferred = false;
			r->at = P_DEFAULT;
		}
	}
	assert_int_equal(iommu_deferred_attach(&r->md->dev,
					       iommu_get_dma_domain(&r->md->dev)),
			 expect);
}

static struct iommu_domain *real_domain(struct iommu_group *group, enum place at,
					int user)
{
	switch (at) {
	case P_DEFAULT:
		return group->default_domain;
	case P_BLOCKED:
		return group->blocking_domain;
	case P_USER:
		return users[user];
	default:
		return NULL;
	}
}

static void check_dev(struct ref_dev *r)
{
	struct device_driver *drv[] = {NULL, &mm.native, &mm.generic};
	struct iommu_group *group = iommu_group_get(&r->md->dev);
	struct ref_group *g = &groups[r->key];
	char buf[32];

	assert_ptr_equal(r->md->dev.driver, drv[r->driver]);
	assert_int_equal(!!group, r->grouped);
	if (!group)
		return;
	assert_int_equal(iommu_group_id(group), g->id);
	assert_int_equal(r->md->dev.iommu->attach_deferred, r->deferred);
	assert_ptr_equal(r->md->attached, real_domain(group, r->at, r->user));
	assert_ptr_equal(iommu_get_domain_for_dev(&r->md->dev),
			 real_domain(group, g->domain, g->user));
	assert_int_equal(iommu_group_dma_owner_claimed(group), g->owner_cnt != 0);
	assert_int_equal(group->owner_cnt, g->owner_cnt);
	assert_int_equal(group->default_domain->type, g->type);
	assert_int_equal(IS_ERR(iommu_attach_handle_get(group, 0, 0)), !g->handle);
	assert_true(iommu_group_show_type(group, buf, sizeof(buf)) > 0);
	iommu_group_put(group);
}

static bool tracing;
static void trace(const char *name, int key)
{
	if (!tracing)
		return;
	fprintf(stderr, "%s", name);
	if (key >= 0)
		fprintf(stderr, " key %d: id %d at %d/%d owner %d x %d type %u", key,
			groups[key].id, groups[key].domain, groups[key].user,
			groups[key].owner, groups[key].owner_cnt, groups[key].type);
	fprintf(stderr, ", fail in %u\n", fail_in);
	for (int i = 0; i < NR_DEVS; i++)
		if (devs[i].md)
			fprintf(stderr, "  d%d key %d%s at %d/%d%s%s driver %d\n", i,
				devs[i].key, devs[i].grouped ? "" : " alone", devs[i].at,
				devs[i].user, devs[i].deferred ? " deferred" : "",
				devs[i].direct ? " direct" : "", devs[i].driver);
}

static void step(void)
{
	static const struct {
		const char *name;
		void (*fn)(struct iommu_group *, int);
	} on_group[] = {
		{"claim", op_claim},	 {"device claim", op_device_claim},
		{"release", op_release}, {"release", op_release},
		{"attach", op_attach},	 {"attach", op_attach},
		{"replace", op_replace}, {"detach", op_detach},
		{"type", op_type},	 {"type", op_type},
	};
	static const struct {
		const char *name;
		void (*fn)(void);
	} on_dev[] = {
		{"add", op_add},
		{"add", op_add},
		{"remove", op_remove},
		{"bind", op_bind},
		{"drivers_probe", op_drivers_probe},
		{"unbind", op_unbind},
		{"override", op_override},
		{"deferred attach", op_deferred_attach},
	};
	unsigned op;

	fail_in = mock.fail_attach_in =
		rnd_one_in(&rng, 3) ? 1 + (unsigned)rnd_below(&rng, 4) : 0;
	if (rnd_one_in(&rng, 2)) {
		op = (unsigned)rnd_below(&rng, ARRAY_SIZE(on_dev));
		trace(on_dev[op].name, -1);
		on_dev[op].fn();
	} else {
		int key = (int)rnd_below(&rng, NR_KEYS);
		struct iommu_group *group = group_of(key);

		op = (unsigned)rnd_below(&rng, ARRAY_SIZE(on_group));
		if (group) {
			trace(on_group[op].name, key);
			on_group[op].fn(group, key);
		}
		iommu_group_put(group);
	}
	mock.fail_attach_in = 0;
	for (int i = 0; i < NR_DEVS; i++)
		if (devs[i].md)
			check_dev(&devs[i]);
}

static void run(u64 seed, unsigned steps)
{
	s64 live = alloc_live_count();
	struct mock_dev *anchor;
	int i;

	rnd_seed(&rng, seed);
	memset(devs, 0, sizeof(devs));
	memset(groups, 0, sizeof(groups));
	memset(&mock, 0, sizeof(mock));
	arrivals = 0;
	assert_int_equal(mock_machine_create(&mm, ""), 0);
	assert_int_equal(mock_iommu_register(&mm, &mock, kind), 0);
	assert_int_equal(mock_register_drivers(&mm), 0);
	/* The users' domains are made through a device that comes and goes. */
	anchor = mock_dev_alloc(&mm, "anchor");
	anchor->behind = &mock;
	anchor->group_key = NR_KEYS;
	assert_int_equal(device_add(&anchor->dev), 0);
	for (i = 0; i < NR_USER; i++)
		users[i] = iommu_paging_domain_alloc(&anchor->dev);
	mock_dev_remove(anchor);

	while (steps--)
		step();

	fail_in = 0;
	for (i = 0; i < NR_KEYS; i++) {
		struct iommu_group *group = group_of(i);

		if (!group)
			continue;
		op_detach(group, i);
		if (groups[i].handle) { /* replaced while at the blocking domain */
			iommu_detach_group_handle(NULL, group);
			groups[i].handle = false;
		}
		if (groups[i].owner)
			iommu_group_release_dma_owner(group);
		iommu_group_put(group);
	}
	for (i = 0; i < NR_DEVS; i++)
		if (devs[i].md)
			mock_dev_remove(devs[i].md);
	for (i = 0; i < NR_USER; i++)
		iommu_domain_free(users[i]);
	iommu_device_unregister(&mock.iommu);
	mock_machine_destroy(&mm);
	assert_int_equal(mock.nr_domains, 0);
	assert_int_equal(alloc_live_count(), live);
}

static void core_agrees_with_model(void **state)
{
	const char *seed = getenv("MOAT_SEED"), *steps = getenv("MOAT_STEPS");
	unsigned n = steps ? (unsigned)atoi(steps) : 2000;

	kind = (enum mock_kind)(uintptr_t)*state;
	if (seed) {
		tracing = true;
		run(strtoull(seed, NULL, 0), n);
		return;
	}
	for (u64 s = 1; s <= 60; s++) {
		fprintf(stderr, "# kind %d seed %llu\n", kind, (unsigned long long)s);
		run(s, n);
	}
}

static void quiet(void *data, enum log_level level, const char *line)
{
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{"core_agrees_with_model_static_domains", core_agrees_with_model, NULL,
		 NULL, (void *)MOCK_FULL},
		{"core_agrees_with_model_paging_only", core_agrees_with_model, NULL, NULL,
		 (void *)MOCK_PLAIN},
	};

	/* Members that cannot be attached are reported; here they are the point. */
	log_set_sink(quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
