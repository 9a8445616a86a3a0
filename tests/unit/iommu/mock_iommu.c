// SPDX-License-Identifier: MIT
/* See mock_iommu.h. */
#include "tests/unit/iommu/mock_iommu.h"

#include <string.h>

#include "base/alloc.h"
#include "base/bitmap.h"

static struct mock_iommu *dev_mock(struct device *dev)
{
	return to_mock_dev(dev)->behind;
}

/* --- domains --- */

static bool attach_fails(struct mock_iommu *mock, struct iommu_domain *domain)
{
	if (mock->fail_attach_always && domain != &mock_blocked_domain)
		return true;
	return mock->fail_attach_in && --mock->fail_attach_in == 0;
}

static void count_attach(struct iommu_domain *domain, int by)
{
	if (domain && domain != &mock_identity_domain && domain != &mock_blocked_domain)
		to_mock_domain(domain)->nr_attached += (unsigned)by;
}

static int mock_attach_dev(struct iommu_domain *domain, struct device *dev,
			   struct iommu_domain *old)
{
	struct mock_dev *md = to_mock_dev(dev);
	struct mock_iommu *mock = dev_mock(dev);

	if (attach_fails(mock, domain))
		return mock->fail_errno ? mock->fail_errno : -EINVAL;
	count_attach(md->attached, -1);
	count_attach(domain, 1);
	md->attached = domain;
	md->nr_attach++;
	return 0;
}

static int mock_set_dev_pasid(struct iommu_domain *domain, struct device *dev,
			      ioasid_t pasid, struct iommu_domain *old)
{
	struct mock_dev *md = to_mock_dev(dev);

	if (pasid >= MOCK_MAX_PASIDS)
		return -EINVAL;
	if (domain != &mock_blocked_domain && attach_fails(dev_mock(dev), domain))
		return -EINVAL;
	if (md->pasids[pasid] != (old == &mock_blocked_domain ? NULL : old))
		return -EIO; /* the core told a different story */
	count_attach(md->pasids[pasid], -1);
	md->pasids[pasid] = domain == &mock_blocked_domain ? NULL : domain;
	count_attach(md->pasids[pasid], 1);
	return 0;
}

static int mock_map_pages(struct iommu_domain *domain, iova_t iova, phys_addr_t paddr,
			  u64 pgsize, u64 pgcount, int prot, u64 *mapped)
{
	struct mock_domain *d = to_mock_domain(domain);
	u64 i, j, n = pgsize / PAGE_SIZE;

	d->nr_map++;
	if (d->mock->fail_map)
		return -ENOMEM;
	for (i = 0; i < pgcount; i++, iova += pgsize, paddr += pgsize) {
		u64 first = iova / PAGE_SIZE;

		if (first + n > MOCK_APERTURE_PAGES)
			return -ERANGE;
		for (j = 0; j < n; j++)
			if (d->pages[first + j])
				return -EADDRINUSE;
		for (j = 0; j < n; j++)
			d->pages[first + j] = (paddr + j * PAGE_SIZE) | ilog2(pgsize);
		*mapped += pgsize;
	}
	return 0;
}

static u64 mock_unmap_pages(struct iommu_domain *domain, iova_t iova, u64 pgsize,
			    u64 pgcount, struct iommu_iotlb_gather *gather)
{
	struct mock_domain *d = to_mock_domain(domain);
	u64 done = 0, last = iova + pgsize * pgcount;

	d->nr_unmap++;
	while (iova + done < last) {
		u64 first = (iova + done) / PAGE_SIZE, size, j;

		if (first >= MOCK_APERTURE_PAGES || !d->pages[first])
			break;
		size = 1ULL << (d->pages[first] & 63);
		first = ALIGN_DOWN(iova + done, size) / PAGE_SIZE;
		for (j = 0; j < size / PAGE_SIZE; j++)
			d->pages[first + j] = 0;
		iommu_iotlb_gather_add_page(domain, gather, first * PAGE_SIZE, size);
		done = (first * PAGE_SIZE + size) - iova;
	}
	return done;
}

static phys_addr_t mock_iova_to_phys(struct iommu_domain *domain, iova_t iova)
{
	struct mock_domain *d = to_mock_domain(domain);
	u64 page = iova / PAGE_SIZE;

	if (page >= MOCK_APERTURE_PAGES || !d->pages[page])
		return 0;
	return (d->pages[page] & PAGE_MASK) | (iova & ~PAGE_MASK);
}

static void mock_iotlb_sync(struct iommu_domain *domain,
			    struct iommu_iotlb_gather *gather)
{
	struct mock_domain *d = to_mock_domain(domain);

	d->nr_sync++;
	d->synced_start = gather->start;
	d->synced_end = gather->end;
}

static int mock_iotlb_sync_map(struct iommu_domain *domain, iova_t iova, u64 size)
{
	to_mock_domain(domain)->nr_sync_map++;
	return 0;
}

static bool mock_enforce_cache_coherency(struct iommu_domain *domain)
{
	to_mock_domain(domain)->coherent = true;
	return true;
}

static void mock_domain_free(struct iommu_domain *domain)
{
	struct mock_domain *d = to_mock_domain(domain);

	WARN_ON(d->nr_attached);
	__atomic_sub_fetch(&d->mock->nr_domains, 1, __ATOMIC_RELAXED);
	kfree(d);
}

static const struct iommu_domain_ops mock_paging_ops = {
	.attach_dev = mock_attach_dev,
	.set_dev_pasid = mock_set_dev_pasid,
	.map_pages = mock_map_pages,
	.unmap_pages = mock_unmap_pages,
	.iotlb_sync = mock_iotlb_sync,
	.iotlb_sync_map = mock_iotlb_sync_map,
	.iova_to_phys = mock_iova_to_phys,
	.enforce_cache_coherency = mock_enforce_cache_coherency,
	.free = mock_domain_free,
};

static const struct iommu_domain_ops mock_static_ops = {
	.attach_dev = mock_attach_dev,
	.set_dev_pasid = mock_set_dev_pasid,
};

struct iommu_domain mock_identity_domain = {
	.type = IOMMU_DOMAIN_IDENTITY,
	.ops = &mock_static_ops,
};

struct iommu_domain mock_blocked_domain = {
	.type = IOMMU_DOMAIN_BLOCKED,
	.ops = &mock_static_ops,
};

static struct iommu_domain *mock_domain_alloc(struct device *dev, u32 flags,
					      const struct iommu_user_data *data)
{
	struct mock_domain *d;

	if (flags & ~(u32)IOMMU_ALLOC_PASID)
		return ERR_PTR(-EOPNOTSUPP);
	d = kzalloc(sizeof(*d));
	if (!d)
		return ERR_PTR(-ENOMEM);
	d->mock = dev_mock(dev);
	d->domain.pgsize_bitmap = SZ_4K | 4 * SZ_4K | SZ_64K;
	d->domain.geometry.aperture_end = MOCK_APERTURE - 1;
	d->domain.geometry.force_aperture = true;
	d->domain.ops = &mock_paging_ops;
	__atomic_add_fetch(&d->mock->nr_domains, 1, __ATOMIC_RELAXED);
	return &d->domain;
}

/* --- devices --- */

static struct iommu_device *mock_probe_device(struct device *dev)
{
	struct mock_dev *md = to_mock_dev(dev);

	if (!md->behind || !md->behind->iommu.ops)
		return ERR_PTR(-ENODEV);
	dev_iommu_priv_set(dev, md);
	md->probed = true;
	md->behind->nr_devices++;
	return &md->behind->iommu;
}

static void mock_release_device(struct device *dev)
{
	struct mock_dev *md = to_mock_dev(dev);

	count_attach(md->attached, -1);
	md->attached = NULL;
	md->probed = false;
	md->behind->nr_devices--;
}

static void mock_probe_finalize(struct device *dev)
{
	to_mock_dev(dev)->nr_finalize++;
}

static struct iommu_group *mock_device_group(struct device *dev)
{
	struct mock_dev *md = to_mock_dev(dev);
	struct iommu_group *group = NULL;
	struct device *other;

	if (md->group_key < 0)
		return generic_device_group(dev);
	/* Walks the bus as pci_device_group() does. */
	mutex_lock(&dev->machine->lock);
	list_for_each_entry(other, &dev->bus->devices, bus_node) {
		if (other == dev || to_mock_dev(other)->group_key != md->group_key)
			continue;
		get_device(other);
		mutex_unlock(&dev->machine->lock);
		group = iommu_group_get(other);
		put_device(other);
		mutex_lock(&dev->machine->lock);
		if (group || list_empty(&other->bus_node))
			break;
	}
	mutex_unlock(&dev->machine->lock);
	return group ? group : iommu_group_alloc(dev->machine);
}

static void mock_get_resv_regions(struct device *dev, struct list_head *list)
{
	struct mock_dev *md = to_mock_dev(dev);
	unsigned i;

	for (i = 0; i < md->nr_resv; i++) {
		struct iommu_resv_region *r =
			iommu_alloc_resv_region(md->resv[i].start, md->resv[i].length,
						IOMMU_READ | IOMMU_WRITE,
						md->resv[i].type);

		if (!r)
			return;
		list_add_tail(&r->list, list);
	}
}

static bool mock_is_attach_deferred(struct device *dev)
{
	return to_mock_dev(dev)->deferred;
}

static int mock_def_domain_type(struct device *dev)
{
	return to_mock_dev(dev)->def_type;
}

static bool mock_capable(struct device *dev, enum iommu_cap cap)
{
	if (cap == IOMMU_CAP_DEFERRED_FLUSH)
		return !to_mock_dev(dev)->no_deferred_flush;
	return cap == IOMMU_CAP_CACHE_COHERENCY;
}

static const struct iommu_ops mock_all_ops[MOCK_NR_KINDS] = {
	[MOCK_FULL] =
		{
			.name = "mock",
			.capable = mock_capable,
			.domain_alloc_paging_flags = mock_domain_alloc,
			.probe_device = mock_probe_device,
			.release_device = mock_release_device,
			.probe_finalize = mock_probe_finalize,
			.device_group = mock_device_group,
			.get_resv_regions = mock_get_resv_regions,
			.is_attach_deferred = mock_is_attach_deferred,
			.def_domain_type = mock_def_domain_type,
			.identity_domain = &mock_identity_domain,
			.blocked_domain = &mock_blocked_domain,
			.release_domain = &mock_blocked_domain,
		},
	[MOCK_PLAIN] =
		{
			.name = "mock-plain",
			.capable = mock_capable,
			.domain_alloc_paging_flags = mock_domain_alloc,
			.probe_device = mock_probe_device,
			.release_device = mock_release_device,
			.device_group = mock_device_group,
			.get_resv_regions = mock_get_resv_regions,
			.is_attach_deferred = mock_is_attach_deferred,
			.def_domain_type = mock_def_domain_type,
		},
};

const struct iommu_ops *mock_ops(enum mock_kind kind)
{
	return &mock_all_ops[kind];
}

int mock_iommu_register(struct mock_machine *mm, struct mock_iommu *mock,
			enum mock_kind kind)
{
	mock->ops = mock_ops(kind);
	mock->iommu.name = "mock0";
	mock->iommu.max_pasids = MOCK_MAX_PASIDS;
	return iommu_device_register(mm->m, &mock->iommu, mock->ops);
}

phys_addr_t mock_translate(const struct mock_dev *md, iova_t iova)
{
	if (!md->attached || md->attached == &mock_blocked_domain)
		return 0;
	if (md->attached == &mock_identity_domain)
		return iova;
	return mock_iova_to_phys(md->attached, iova);
}

/* --- bus and drivers --- */

static bool mock_match(struct device *dev, const struct device_driver *drv)
{
	if (dev->driver_override)
		return !strcmp(dev->driver_override, drv->name);
	return !strcmp(drv->name, "native") && to_mock_dev(dev)->ids_match;
}

const struct bus_type mock_bus_type = {
	.name = "mock",
	.match = mock_match,
	.dma_configure = device_dma_configure,
	.dma_cleanup = device_dma_cleanup,
};

static int mock_drv_probe(struct device *dev)
{
	struct mock_dev *md = to_mock_dev(dev);

	md->nr_probe++;
	return md->probe_result;
}

static void mock_drv_remove(struct device *dev)
{
	to_mock_dev(dev)->nr_remove++;
}

static int mock_drv_remove_begin(struct device *dev)
{
	return __atomic_load_n(&to_mock_dev(dev)->held, __ATOMIC_ACQUIRE) ? -EIOCBQUEUED
									  : 0;
}

int mock_machine_create(struct mock_machine *mm, const char *cmdline)
{
	int ret;

	memset(mm, 0, sizeof(*mm));
	ret = machine_create(&mm->m, SZ_1M, 1, cmdline);
	if (ret)
		return ret;
	ret = iommu_core_create(mm->m);
	if (ret)
		goto err_machine;
	ret = bus_register(mm->m, &mock_bus_type, &mm->bus);
	if (ret)
		goto err_core;
	mm->native = (struct device_driver){
		.name = "native",
		.probe = mock_drv_probe,
		.remove = mock_drv_remove,
		.remove_begin = mock_drv_remove_begin,
	};
	mm->generic = (struct device_driver){
		.name = "generic",
		.driver_managed_dma = true,
		.probe = mock_drv_probe,
		.remove = mock_drv_remove,
		.remove_begin = mock_drv_remove_begin,
	};
	return 0;

err_core:
	iommu_core_destroy(mm->m);
err_machine:
	machine_destroy(mm->m);
	return ret;
}

int mock_register_drivers(struct mock_machine *mm)
{
	int ret = driver_register(&mm->native, mm->bus);

	return ret ? ret : driver_register(&mm->generic, mm->bus);
}

void mock_machine_destroy(struct mock_machine *mm)
{
	if (mm->generic.bus)
		driver_unregister(&mm->generic);
	if (mm->native.bus)
		driver_unregister(&mm->native);
	bus_unregister(mm->bus);
	iommu_core_destroy(mm->m);
	machine_destroy(mm->m);
}

static void mock_dev_release(struct device *dev)
{
	kfree(to_mock_dev(dev));
}

struct mock_dev *mock_dev_alloc(struct mock_machine *mm, const char *name)
{
	struct mock_dev *md = kzalloc(sizeof(*md));

	if (!md)
		return NULL;
	device_initialize(&md->dev, mm->m, mock_dev_release);
	strncpy(md->dev.name, name, sizeof(md->dev.name) - 1);
	md->dev.bus = mm->bus;
	md->group_key = -1;
	md->dev.max_pasids = MOCK_MAX_PASIDS;
	return md;
}

void mock_dev_remove(struct mock_dev *md)
{
	device_del(&md->dev);
	put_device(&md->dev);
}
