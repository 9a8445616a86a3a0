// SPDX-License-Identifier: MIT
/*
 * The mapping engine against an obvious model: an array of pages of IOVA for each table,
 * that says what each page maps, what is reserved and which area it belongs to. Both get
 * the same random operations; after each one the answers, every page of every domain and
 * the pinned memory must agree. Then single rules, and failing allocations.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fault_inject.h"
#include "base/rand.h"
#include "iommufd/iommufd.h"

#define NR_PAGES   48 /* of IOVA, and of memory */
#define NR_TABLES  2
#define NR_DOMAINS 2
#define VA_BASE	   0x10000000ULL
#define HOLE_PAGE  30 /* this page of memory is not there */

/* --- a domain that is an array
 * ---------------------------------------------------------- */

struct flat_domain {
	struct iommu_domain domain;
	phys_addr_t phys[NR_PAGES];
	int prot[NR_PAGES];
	bool attached;
};

static int flat_map_range(struct iommu_domain *domain, iova_t iova, phys_addr_t paddr,
			  u64 size, int prot, u64 *mapped)
{
	struct flat_domain *d = container_of(domain, struct flat_domain, domain);

	for (u64 at = 0; at < size; at += PAGE_SIZE) {
		u64 page = (iova + at) / PAGE_SIZE;

		assert_true(page < NR_PAGES);
		assert_int_equal(d->phys[page], 0);
		if (should_fail("flat_map"))
			return -ENOMEM;
		d->phys[page] = paddr + at;
		d->prot[page] = prot;
		*mapped += PAGE_SIZE;
	}
	return 0;
}

static u64 flat_unmap_range(struct iommu_domain *domain, iova_t iova, u64 size,
			    struct iommu_iotlb_gather *gather)
{
	struct flat_domain *d = container_of(domain, struct flat_domain, domain);

	for (u64 at = 0; at < size; at += PAGE_SIZE) {
		assert_int_not_equal(d->phys[(iova + at) / PAGE_SIZE], 0);
		d->phys[(iova + at) / PAGE_SIZE] = 0;
	}
	return size;
}

static const struct iommu_domain_ops flat_ops = {
	.map_range = flat_map_range,
	.unmap_range = flat_unmap_range,
};

static void flat_init(struct flat_domain *d)
{
	memset(d, 0, sizeof(*d));
	d->domain.type = IOMMU_DOMAIN_UNMANAGED;
	d->domain.ops = &flat_ops;
	d->domain.pgsize_bitmap = PAGE_SIZE;
	d->domain.geometry.aperture_end = NR_PAGES * PAGE_SIZE - 1;
}

/* --- a program whose memory is a range with a hole
 * ---------------------------------------- */

static u64 test_accessible(struct mm *mm, u64 va, u64 len, bool write, bool *special,
			   phys_addr_t *phys)
{
	u64 hole = VA_BASE + HOLE_PAGE * PAGE_SIZE, end = VA_BASE + NR_PAGES * PAGE_SIZE;

	*special = false;
	if (va < VA_BASE || va >= end || (va >= hole && va < hole + PAGE_SIZE))
		return 0;
	if (va < hole)
		end = hole;
	return min(len, end - va);
}

static u64 test_memlock_limit(struct mm *mm)
{
	return ~0ULL;
}

static bool test_alive(struct mm *mm)
{
	return true;
}

static void test_release(struct mm *mm)
{
}

static const struct mm_ops test_mm_ops = {
	.accessible = test_accessible,
	.memlock_limit = test_memlock_limit,
	.alive = test_alive,
	.release = test_release,
};

static bool test_capable(struct call *call, int cap)
{
	return true;
}

static const struct call_ops test_call_ops = {
	.capable = test_capable,
};

struct fixture {
	struct machine *m;
	struct mm mm;
	struct call call;
	struct iommufd_ctx ictx;
	struct io_pagetable iopt[NR_TABLES];
	struct flat_domain domain[NR_TABLES][NR_DOMAINS];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(machine_create(&f->m, SZ_2M, 1, ""), 0);
	f->mm.ops = &test_mm_ops;
	f->mm.machine = f->m;
	f->mm.index = 1;
	INIT_LIST_HEAD(&f->mm.pins);
	refcount_set(&f->mm.ref, 1);
	f->call.ops = &test_call_ops;
	f->call.machine = f->m;
	f->call.mm = &f->mm;
	f->ictx.machine = f->m;
	for (int t = 0; t < NR_TABLES; t++) {
		iopt_init_table(&f->iopt[t], f->m, 1 + t);
		for (int d = 0; d < NR_DOMAINS; d++)
			flat_init(&f->domain[t][d]);
	}
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	u64 unmapped;

	for (int t = 0; t < NR_TABLES; t++) {
		assert_int_equal(iopt_unmap_all(&f->iopt[t], NULL, &unmapped), 0);
		for (int d = 0; d < NR_DOMAINS; d++)
			if (f->domain[t][d].attached)
				iopt_table_remove_domain(&f->iopt[t],
							 &f->domain[t][d].domain);
		iopt_remove_reserved_iova(&f->iopt[t], f);
		iopt_destroy_table(&f->iopt[t]);
	}
	assert_true(list_empty(&f->mm.pins));
	assert_int_equal(refcount_read(&f->mm.ref), 1);
	machine_destroy(f->m);
	free(f);
	return 0;
}

/* --- the model
 * ------------------------------------------------------------------------------- */

struct model_table {
	int mem[NR_PAGES];  /* page of memory that is mapped, -1: none */
	int area[NR_PAGES]; /* pages of one area have one number */
	bool writable[NR_PAGES];
	bool source_writable[NR_PAGES];
	bool reserved[NR_PAGES];
	int nr_domains;
};

struct model {
	struct model_table table[NR_TABLES];
	int next_area;
};

static void model_init(struct model *model)
{
	memset(model, 0, sizeof(*model));
	for (int t = 0; t < NR_TABLES; t++)
		memset(model->table[t].mem, 0xff, sizeof(model->table[t].mem));
}

static bool memory_there(int first, int n)
{
	return first >= 0 && first + n <= NR_PAGES &&
	       !(first <= HOLE_PAGE && first + n > HOLE_PAGE);
}

static int model_map(struct model *model, int t, int iova, int mem, int n, bool write)
{
	struct model_table *tab = &model->table[t];

	for (int i = 0; i < n; i++)
		if (iova + i >= NR_PAGES || tab->reserved[iova + i])
			return -EINVAL;
	for (int i = 0; i < n; i++)
		if (tab->mem[iova + i] >= 0)
			return -EEXIST;
	if (tab->nr_domains && !memory_there(mem, n))
		return -EFAULT;
	for (int i = 0; i < n; i++) {
		tab->mem[iova + i] = mem + i;
		tab->area[iova + i] = model->next_area;
		tab->writable[iova + i] = write;
		tab->source_writable[iova + i] = write;
	}
	model->next_area++;
	return 0;
}

static int model_unmap(struct model *model, int t, int iova, int n, int *unmapped)
{
	struct model_table *tab = &model->table[t];

	*unmapped = 0;
	for (int i = iova; i < iova + n && i < NR_PAGES;) {
		int first = i, last = i;

		if (tab->mem[i] < 0) {
			i++;
			continue;
		}
		while (first > 0 && tab->mem[first - 1] >= 0 &&
		       tab->area[first - 1] == tab->area[i])
			first--;
		while (last + 1 < NR_PAGES && tab->mem[last + 1] >= 0 &&
		       tab->area[last + 1] == tab->area[i])
			last++;
		if (first < iova || last >= iova + n)
			return -ENOENT;
		for (int k = first; k <= last; k++)
			tab->mem[k] = -1;
		*unmapped += last - first + 1;
		i = last + 1;
	}
	return 0;
}

static int model_copy(struct model *model, int dst, int dst_iova, int src, int src_iova,
		      int n, bool write)
{
	struct model_table *from = &model->table[src], *to = &model->table[dst];
	int mem[NR_PAGES], area[NR_PAGES], last_area = -1;
	bool source_writable[NR_PAGES];

	for (int i = 0; i < n; i++) {
		if (src_iova + i >= NR_PAGES || from->mem[src_iova + i] < 0)
			return -ENOENT;
		mem[i] = from->mem[src_iova + i];
		area[i] = from->area[src_iova + i];
		source_writable[i] = from->source_writable[src_iova + i];
	}
	for (int i = 0; i < n; i++)
		if (dst_iova + i >= NR_PAGES || to->reserved[dst_iova + i])
			return -EINVAL;
	for (int i = 0; i < n; i++)
		if (to->mem[dst_iova + i] >= 0)
			return -EEXIST;
	for (int i = 0; i < n; i++)
		if (write && !source_writable[i])
			return -EPERM;
	for (int i = 0; i < n; i++)
		if (to->nr_domains && !memory_there(mem[i], 1))
			return -EFAULT;
	for (int i = 0; i < n; i++) {
		if (area[i] != last_area) {
			last_area = area[i];
			model->next_area++;
		}
		to->mem[dst_iova + i] = mem[i];
		to->area[dst_iova + i] = model->next_area;
		to->writable[dst_iova + i] = write;
		to->source_writable[dst_iova + i] = source_writable[i];
	}
	model->next_area++;
	return 0;
}

static int model_add_domain(struct model *model, int t)
{
	struct model_table *tab = &model->table[t];

	for (int i = 0; i < NR_PAGES; i++)
		if (tab->mem[i] >= 0 && !memory_there(tab->mem[i], 1))
			return -EFAULT;
	tab->nr_domains++;
	return 0;
}

static int model_reserve(struct model *model, int t, int iova, int n)
{
	struct model_table *tab = &model->table[t];

	for (int i = iova; i < iova + n && i < NR_PAGES; i++)
		if (tab->mem[i] >= 0)
			return -EADDRINUSE;
	for (int i = iova; i < iova + n && i < NR_PAGES; i++)
		tab->reserved[i] = true;
	return 0;
}

/* The program's address that is pinned at a physical address, 0: none. */
static u64 pinned_va(struct fixture *f, phys_addr_t phys)
{
	struct pin *pin;

	list_for_each_entry(pin, &f->mm.pins, node) {
		if (phys >= pin->phys && phys < pin->phys + pin->len)
			return pin->va + (phys - pin->phys);
	}
	return 0;
}

static u64 page_va(int page)
{
	return VA_BASE + (u64)page * PAGE_SIZE;
}

static void compare(struct fixture *f, const struct model *model)
{
	for (int t = 0; t < NR_TABLES; t++) {
		const struct model_table *tab = &model->table[t];

		for (int d = 0; d < NR_DOMAINS; d++) {
			struct flat_domain *dom = &f->domain[t][d];

			for (int i = 0; i < NR_PAGES; i++) {
				bool want = dom->attached && tab->mem[i] >= 0;

				assert_int_equal(dom->phys[i] != 0, want);
				if (!want)
					continue;
				assert_int_equal(pinned_va(f, dom->phys[i]),
						 page_va(tab->mem[i]));
				assert_int_equal(!!(dom->prot[i] & IOMMU_WRITE),
						 tab->writable[i]);
			}
		}
		if (!f->domain[t][0].attached && !f->domain[t][1].attached)
			assert_int_equal(f->iopt[t].nr_domains, 0);
	}
	if (!f->iopt[0].nr_domains && !f->iopt[1].nr_domains)
		assert_true(list_empty(&f->mm.pins));
}

static int do_map(struct fixture *f, int t, int iova, int mem, int n, bool write)
{
	u64 at = iova * PAGE_SIZE;

	return iopt_map_user_pages(&f->ictx, &f->iopt[t], &f->call, &at, page_va(mem),
				   n * PAGE_SIZE, IOMMU_READ | (write ? IOMMU_WRITE : 0),
				   0);
}

static int do_copy(struct fixture *f, int dst, int dst_iova, int src, int src_iova, int n,
		   bool write)
{
	LIST_HEAD(pieces);
	u64 at = dst_iova * PAGE_SIZE;
	int rc = iopt_get_pages(&f->iopt[src], src_iova * PAGE_SIZE, n * PAGE_SIZE,
				&pieces);

	if (rc)
		return rc;
	rc = iopt_map_pages(&f->iopt[dst], &f->call, &pieces, n * PAGE_SIZE, &at,
			    IOMMU_READ | (write ? IOMMU_WRITE : 0), 0);
	iopt_free_pages_list(&pieces);
	return rc;
}

static int toggle_domain(struct fixture *f, struct model *model, int t, int d)
{
	struct flat_domain *dom = &f->domain[t][d];
	int rc, want;

	if (dom->attached) {
		iopt_table_remove_domain(&f->iopt[t], &dom->domain);
		dom->attached = false;
		model->table[t].nr_domains--;
		return 0;
	}
	want = model_add_domain(model, t);
	rc = iopt_table_add_domain(&f->iopt[t], &dom->domain);
	dom->attached = !rc;
	assert_int_equal(rc, want);
	return rc;
}

static void random_step(struct fixture *f, struct model *model, struct rnd *rnd)
{
	int t = rnd_below(rnd, NR_TABLES);
	int iova = rnd_below(rnd, NR_PAGES), n = 1 + rnd_below(rnd, 6);
	int unmapped = 0;
	u64 bytes = 0;

	switch (rnd_below(rnd, 12)) {
	case 0 ... 3: {
		int mem = rnd_below(rnd, NR_PAGES);
		bool write = rnd_below(rnd, 4);
		int want = model_map(model, t, iova, mem, n, write);
		int rc;

		/* Past the aperture there is no array to compare with. */
		if (iova + n > NR_PAGES)
			return;
		rc = do_map(f, t, iova, mem, n, write);
		assert_int_equal(rc, want);
		break;
	}
	case 4 ... 7: {
		int want = model_unmap(model, t, iova, n, &unmapped);
		int rc = iopt_unmap_iova(&f->iopt[t], &f->call, iova * PAGE_SIZE,
					 n * PAGE_SIZE, &bytes);

		assert_int_equal(rc, want);
		assert_int_equal(bytes, unmapped * PAGE_SIZE);
		break;
	}
	case 8 ... 9: {
		int src = rnd_below(rnd, NR_TABLES), src_iova = rnd_below(rnd, NR_PAGES);
		bool write = rnd_below(rnd, 2);

		if (iova + n > NR_PAGES)
			return;
		assert_int_equal(do_copy(f, t, iova, src, src_iova, n, write),
				 model_copy(model, t, iova, src, src_iova, n, write));
		break;
	}
	case 10:
		toggle_domain(f, model, t, rnd_below(rnd, NR_DOMAINS));
		break;
	case 11:
		if (rnd_below(rnd, 20))
			return;
		if (rnd_below(rnd, 2)) {
			assert_int_equal(iopt_reserve_iova(&f->iopt[t], iova * PAGE_SIZE,
							   (iova + n) * PAGE_SIZE - 1, f),
					 model_reserve(model, t, iova, n));
		} else {
			iopt_remove_reserved_iova(&f->iopt[t], f);
			memset(model->table[t].reserved, 0,
			       sizeof(model->table[t].reserved));
		}
		break;
	}
}

static void iopt_random_operations_agree_with_model(void **state)
{
	struct fixture *f = *state;
	struct rnd rnd;
	struct model model;
	const char *env = getenv("MOAT_TEST_STEPS");
	u64 steps = env ? strtoull(env, NULL, 0) : 300000;

	rnd_seed(&rnd, 4711);
	model_init(&model);
	for (u64 i = 0; i < steps; i++) {
		random_step(f, &model, &rnd);
		if (i % 16 == 0)
			compare(f, &model);
	}
	compare(f, &model);
}

/* --- single rules
 * -------------------------------------------------------------------------------- */

static void iopt_map_last_byte_of_address_space_works(void **state)
{
	struct fixture *f = *state;
	u64 iova = ~0ULL - PAGE_SIZE + 1, unmapped;

	assert_int_equal(iopt_map_user_pages(&f->ictx, &f->iopt[0], &f->call, &iova,
					     VA_BASE, PAGE_SIZE, IOMMU_READ, 0),
			 0);
	iova = ~0ULL - PAGE_SIZE + 1;
	assert_int_equal(iopt_map_user_pages(&f->ictx, &f->iopt[0], &f->call, &iova,
					     VA_BASE, 2 * PAGE_SIZE, IOMMU_READ, 0),
			 -EOVERFLOW);
	assert_int_equal(iopt_unmap_iova(&f->iopt[0], NULL, ~0ULL - PAGE_SIZE + 1,
					 PAGE_SIZE, &unmapped),
			 0);
	assert_int_equal(unmapped, PAGE_SIZE);
}

static void iopt_map_writable_from_readonly_pages_eperm(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(do_map(f, 0, 0, 0, 4, false), 0);
	assert_int_equal(do_copy(f, 1, 0, 0, 0, 4, true), -EPERM);
	assert_int_equal(do_copy(f, 1, 0, 0, 0, 4, false), 0);
}

static void iopt_auto_iova_follows_low_bits_of_memory(void **state)
{
	struct fixture *f = *state;
	u64 iova = 0;

	assert_int_equal(iopt_map_user_pages(&f->ictx, &f->iopt[0], &f->call, &iova,
					     VA_BASE + 0x123, 0x100, IOMMU_READ,
					     IOPT_ALLOC_IOVA),
			 0);
	assert_int_equal(iova & 0xfff, 0x123);
}

static void iopt_copy_shares_pins_with_source(void **state)
{
	struct fixture *f = *state;
	struct model model;

	model_init(&model);
	assert_int_equal(do_map(f, 0, 0, 0, 8, true), 0);
	assert_int_equal(do_copy(f, 1, 16, 0, 2, 4, true), 0);
	toggle_domain(f, &model, 0, 0);
	toggle_domain(f, &model, 1, 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(f->domain[0][0].phys[2 + i],
				 f->domain[1][0].phys[16 + i]);
	assert_true(list_is_singular(&f->mm.pins));
}

static void iopt_cut_then_unmap_part_of_v1_table_works(void **state)
{
	struct fixture *f = *state;
	const u64 cuts[] = {4 * PAGE_SIZE - 1, 2 * PAGE_SIZE - 1};
	u64 unmapped;

	assert_int_equal(iopt_disable_large_pages(&f->iopt[0]), 0);
	assert_int_equal(iopt_table_add_domain(&f->iopt[0], &f->domain[0][0].domain), 0);
	f->domain[0][0].attached = true;
	assert_int_equal(do_map(f, 0, 0, 0, 8, true), 0);
	assert_int_equal(iopt_cut_iova(&f->iopt[0], cuts, 2), 0);
	assert_int_equal(iopt_unmap_iova(&f->iopt[0], NULL, 2 * PAGE_SIZE, 2 * PAGE_SIZE,
					 &unmapped),
			 0);
	assert_int_equal(unmapped, 2 * PAGE_SIZE);
	for (int i = 0; i < 8; i++)
		assert_int_equal(f->domain[0][0].phys[i] != 0, i < 2 || i >= 4);
}

static void iopt_map_failed_allocation_leaves_table_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct model model;

	model_init(&model);
	assert_int_equal(do_map(f, 0, 0, 0, 4, true), 0);
	toggle_domain(f, &model, 0, 0);
	toggle_domain(f, &model, 0, 1);
	for (u64 n = 1;; n++) {
		s64 live = alloc_live_count();
		int rc;

		fault_inject_arm(n);
		rc = do_map(f, 0, 8, 8, 6, true);
		if (!fault_inject_disarm()) {
			assert_int_equal(rc, 0);
			break;
		}
		assert_int_equal(rc, -ENOMEM);
		assert_int_equal(alloc_live_count(), live);
		for (int i = 8; i < 14; i++) {
			assert_int_equal(f->domain[0][0].phys[i], 0);
			assert_int_equal(f->domain[0][1].phys[i], 0);
		}
	}
}

static void iopt_add_domain_failed_allocation_leaves_table_as_it_was(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(do_map(f, 0, 0, 0, 4, true), 0);
	assert_int_equal(do_map(f, 0, 8, 8, 4, true), 0);
	for (u64 n = 1;; n++) {
		s64 live = alloc_live_count();
		int rc;

		fault_inject_arm(n);
		rc = iopt_table_add_domain(&f->iopt[0], &f->domain[0][0].domain);
		if (!fault_inject_disarm()) {
			assert_int_equal(rc, 0);
			f->domain[0][0].attached = true;
			break;
		}
		assert_int_equal(rc, -ENOMEM);
		assert_true(alloc_live_count() <=
			    live + 1); /* room for domains may stay */
		assert_true(list_empty(&f->mm.pins));
		for (int i = 0; i < NR_PAGES; i++)
			assert_int_equal(f->domain[0][0].phys[i], 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(iopt_random_operations_agree_with_model),
		TEST(iopt_map_last_byte_of_address_space_works),
		TEST(iopt_map_writable_from_readonly_pages_eperm),
		TEST(iopt_auto_iova_follows_low_bits_of_memory),
		TEST(iopt_copy_shares_pins_with_source),
		TEST(iopt_cut_then_unmap_part_of_v1_table_works),
		TEST(iopt_map_failed_allocation_leaves_table_as_it_was),
		TEST(iopt_add_domain_failed_allocation_leaves_table_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
