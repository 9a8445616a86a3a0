// SPDX-License-Identifier: MIT
/*
 * What the DMA API keeps for a domain: an allocator of addresses, with everything taken
 * out of it that a device must not be given (reserved regions, windows of PCI bridges),
 * the flush queue, and the pages where devices reach message doorbells. It is made at the
 * first mapping, so a machine with thousands of groups pays only for those that do DMA.
 * Source: drivers/iommu/dma-iommu.c.
 */
#define LOG_SUBSYSTEM "dma"
#include "dma/core.h"

#include "base/alloc.h"
#include "base/bitmap.h"
#include "base/log.h"
#include "pci/function.h"
#include "pci/pci.h"

static struct dma_cookie *cookie_alloc(struct iommu_domain *domain)
{
	struct dma_cookie *cookie = kzalloc(sizeof(*cookie));

	if (!cookie)
		return NULL;
	cookie->domain = domain;
	mutex_init(&cookie->lock);
	INIT_LIST_HEAD(&cookie->msi_pages);
	INIT_LIST_HEAD(&cookie->timer_node);
	return cookie;
}

static int get_cookie(struct iommu_domain *domain)
{
	struct dma_cookie *cookie;

	if (domain->cookie_type != IOMMU_COOKIE_NONE)
		return -EEXIST;
	cookie = cookie_alloc(domain);
	if (!cookie)
		return -ENOMEM;
	domain->cookie = cookie;
	domain->cookie_type = IOMMU_COOKIE_DMA_IOVA;
	return 0;
}

static void put_cookie(struct iommu_domain *domain)
{
	struct dma_cookie *cookie = domain->cookie;
	struct msi_page *page, *tmp;

	if (cookie->ready) {
		dma_fq_destroy(cookie);
		put_iova_domain(&cookie->iovad);
	}
	list_for_each_entry_safe(page, tmp, &cookie->msi_pages, list) {
		list_del(&page->list);
		kfree(page);
	}
	mutex_destroy(&cookie->lock);
	kfree(cookie);
	domain->cookie = NULL;
	domain->cookie_type = IOMMU_COOKIE_NONE;
}

/* A default domain becomes the one of @dev. */
static int init_domain(struct iommu_domain *domain, struct device *dev)
{
	const char *value;
	bool forcedac;
	size_t len;

	if (domain->cookie_type != IOMMU_COOKIE_DMA_IOVA)
		return -EINVAL;
	if (!cmdline_get(dev->machine, "iommu.forcedac", &value, &len) ||
	    !cmdline_bool(value, len, &forcedac))
		forcedac = false;
	dev->iommu->pci_32bit_workaround = dev_is_pci(dev) && !forcedac;
	return 0;
}

/* With group->mutex held. A domain in use turns lazy at once, others when first used. */
static int init_fq(struct iommu_domain *domain)
{
	struct dma_cookie *cookie = domain->cookie;
	int ret = 0;

	if (domain->cookie_type != IOMMU_COOKIE_DMA_IOVA || !domain->ops->flush_iotlb_all)
		return -EINVAL;
	mutex_lock(&cookie->lock);
	if (cookie->ready && !cookie->fq)
		ret = dma_fq_create(cookie);
	if (!ret)
		cookie->want_fq = true;
	mutex_unlock(&cookie->lock);
	return ret;
}

static const struct iommu_dma_hooks hooks = {
	.get_cookie = get_cookie,
	.put_cookie = put_cookie,
	.init_domain = init_domain,
	.init_fq = init_fq,
};

/* --- what no device is given -------------------------------------------------------- */

static int reserve(struct iova_domain *iovad, u64 start, u64 last)
{
	unsigned shift = (unsigned)__ffs64(iovad->granule);

	if (last < start)
		return 0;
	return reserve_iova(iovad, start >> shift, last >> shift) ? 0 : -ENOMEM;
}

/* DMA into a bridge's window would reach a BAR, never memory. */
static int reserve_windows(struct iova_domain *iovad, struct pci_dev *pdev)
{
	struct pci_host *host = pdev->dev.machine->pci;
	u16 segment = (u16)pdev->bus->domain;
	struct pci_hw_bus *root;
	int ret = 0;

	if (!host || !host->hardware)
		return 0;
	list_for_each_entry(root, &host->hardware->roots, node) {
		if (root->segment != segment || pdev->bus->number < root->number ||
		    pdev->bus->number > root->last)
			continue;
		if (root->mem_last > root->mem_base)
			ret = reserve(iovad, root->mem_base, root->mem_last);
		if (!ret && root->mem64_last > root->mem64_base)
			ret = reserve(iovad, root->mem64_base, root->mem64_last);
	}
	return ret;
}

/* The hardware's own message window needs no page: addresses in it are not translated. */
static int note_hw_msi(struct dma_cookie *cookie, u64 start, u64 length)
{
	u64 granule = cookie->iovad.granule;

	for (u64 at = ALIGN_DOWN(start, granule); at < start + length; at += granule) {
		struct msi_page *page = kzalloc(sizeof(*page));

		if (!page)
			return -ENOMEM;
		page->phys = page->iova = at;
		list_add(&page->list, &cookie->msi_pages);
	}
	return 0;
}

static int reserve_regions(struct dma_cookie *cookie, struct device *dev)
{
	struct iommu_resv_region *region;
	LIST_HEAD(regions);
	int ret = 0;

	if (dev_is_pci(dev))
		ret = reserve_windows(&cookie->iovad, to_pci_dev(dev));
	if (ret)
		return ret;
	iommu_get_resv_regions(dev, &regions);
	list_for_each_entry(region, &regions, list) {
		/* Those that software maps are placed by this allocator. */
		if (region->type == IOMMU_RESV_SW_MSI || !region->length)
			continue;
		ret = reserve(&cookie->iovad, region->start,
			      region->start + region->length - 1);
		if (!ret && region->type == IOMMU_RESV_MSI && !cookie->msi_iova)
			ret = note_hw_msi(cookie, region->start, region->length);
		if (ret)
			break;
	}
	iommu_put_resv_regions(dev, &regions);
	return ret;
}

static void forget_msi(struct dma_cookie *cookie)
{
	struct msi_page *page, *tmp;

	list_for_each_entry_safe(page, tmp, &cookie->msi_pages, list) {
		list_del(&page->list);
		kfree(page);
	}
}

static int start_locked(struct dma_cookie *cookie, struct device *dev)
{
	struct iommu_domain *domain = cookie->domain;
	u64 granule;
	int ret;

	if (cookie->ready)
		return 0;
	if (!dma_core(dev) || !domain->pgsize_bitmap)
		return -ENODEV;
	cookie->core = dma_core(dev);
	granule = domain->pgsize_bitmap & -domain->pgsize_bitmap;
	/* Page 0 is nobody's: an address of 0 reads as none. */
	init_iova_domain(&cookie->iovad, granule,
			 max(1ULL, domain->geometry.aperture_start / granule));
	ret = iova_domain_init_rcaches(&cookie->iovad);
	if (!ret)
		ret = reserve_regions(cookie, dev);
	if (!ret && cookie->want_fq)
		ret = dma_fq_create(cookie);
	if (ret) {
		forget_msi(cookie);
		put_iova_domain(&cookie->iovad);
		return ret;
	}
	__atomic_store_n(&cookie->ready, true, __ATOMIC_RELEASE);
	return 0;
}

struct dma_cookie *dma_cookie_of(struct device *dev, struct iommu_domain **domain)
{
	struct iommu_domain *d = iommu_get_dma_domain(dev);
	struct dma_cookie *cookie;
	int ret;

	if (unlikely(!d || d->cookie_type != IOMMU_COOKIE_DMA_IOVA))
		return NULL;
	cookie = d->cookie;
	*domain = d;
	if (likely(__atomic_load_n(&cookie->ready, __ATOMIC_ACQUIRE)))
		return cookie;
	mutex_lock(&cookie->lock);
	ret = start_locked(cookie, dev);
	mutex_unlock(&cookie->lock);
	return ret ? NULL : cookie;
}

/* --- addresses ------------------------------------------------------------------------
 */

dma_addr_t dma_alloc_iova(struct dma_cookie *cookie, u64 size, u64 limit,
			  struct device *dev)
{
	struct iommu_domain *domain = cookie->domain;
	unsigned shift = (unsigned)__ffs64(cookie->iovad.granule);
	u64 pfn, pages = size >> shift;

	if (dev->bus_dma_limit)
		limit = min(limit, dev->bus_dma_limit);
	if (domain->geometry.force_aperture)
		limit = min(limit, domain->geometry.aperture_end);
	/*
	 * Old PCI devices are known to lose the upper half of an address, so it is used
	 * only when the lower is full; then for good, since it will be full again.
	 */
	if (limit > DMA_BIT_MASK(32) &&
	    __atomic_load_n(&dev->iommu->pci_32bit_workaround, __ATOMIC_RELAXED)) {
		pfn = alloc_iova_fast(&cookie->iovad, pages, DMA_BIT_MASK(32) >> shift,
				      false);
		if (pfn)
			return pfn << shift;
		__atomic_store_n(&dev->iommu->pci_32bit_workaround, false,
				 __ATOMIC_RELAXED);
		pr_info("%s: Using %d-bit DMA addresses", dev_name(dev), fls64(limit));
	}
	return alloc_iova_fast(&cookie->iovad, pages, limit >> shift, true) << shift;
}

void dma_free_iova(struct dma_cookie *cookie, dma_addr_t iova, u64 size)
{
	unsigned shift = (unsigned)__ffs64(cookie->iovad.granule);

	free_iova_fast(&cookie->iovad, iova >> shift, size >> shift);
}

/* --- messages
 * --------------------------------------------------------------------------- */

int iommu_get_msi_cookie(struct iommu_domain *domain, dma_addr_t base)
{
	struct dma_cookie *cookie;

	if (domain->type != IOMMU_DOMAIN_UNMANAGED)
		return -EINVAL;
	if (domain->cookie_type != IOMMU_COOKIE_NONE)
		return -EBUSY;
	cookie = cookie_alloc(domain);
	if (!cookie)
		return -ENOMEM;
	iommu_set_dma_hooks(&hooks);
	cookie->msi_iova = base;
	domain->cookie = cookie;
	domain->cookie_type = IOMMU_COOKIE_DMA_MSI;
	return 0;
}

int iommu_dma_sw_msi(struct iommu_domain *domain, struct device *dev,
		     phys_addr_t msi_addr, dma_addr_t *iova)
{
	bool own = domain->cookie_type == IOMMU_COOKIE_DMA_MSI;
	struct dma_cookie *cookie = domain->cookie;
	phys_addr_t phys;
	struct msi_page *page;
	u64 size;

	*iova = msi_addr;
	if (!own && domain->cookie_type != IOMMU_COOKIE_DMA_IOVA)
		return 0;
	if (!own) {
		int ret;

		mutex_lock(&cookie->lock);
		ret = start_locked(cookie, dev);
		mutex_unlock(&cookie->lock);
		if (ret)
			return -ENOMEM;
	}
	size = own ? PAGE_SIZE : cookie->iovad.granule;
	phys = msi_addr & ~(size - 1);
	list_for_each_entry(page, &cookie->msi_pages, list) {
		if (page->phys == phys)
			goto found;
	}
	page = kzalloc(sizeof(*page));
	if (!page)
		return -ENOMEM;
	page->phys = phys;
	page->iova = own ? cookie->msi_iova
			 : dma_alloc_iova(cookie, size, dma_get_mask(dev), dev);
	if (!page->iova)
		goto err_free_page;
	if (iommu_map(domain, page->iova, phys, size,
		      IOMMU_WRITE | IOMMU_NOEXEC | IOMMU_MMIO))
		goto err_free_iova;
	if (own)
		cookie->msi_iova += size;
	list_add(&page->list, &cookie->msi_pages);
found:
	*iova = page->iova + (msi_addr & (size - 1));
	return 0;

err_free_iova:
	if (!own)
		dma_free_iova(cookie, page->iova, size);
err_free_page:
	kfree(page);
	return -ENOMEM;
}

/* --- a machine's core --------------------------------------------------------------- */

int dma_core_create(struct machine *m)
{
	struct dma_core *core = kzalloc(sizeof(*core));
	int ret;

	if (!core)
		return -ENOMEM;
	core->machine = m;
	ret = dma_timer_init(core);
	if (ret)
		goto err_free;
	ret = swiotlb_create(core);
	if (ret)
		goto err_timer;
	ret = dma_debug_create(core);
	if (ret)
		goto err_swiotlb;
	iommu_set_dma_hooks(&hooks);
	m->dma = core;
	return 0;

err_swiotlb:
	swiotlb_destroy(core);
err_timer:
	dma_timer_exit(core);
err_free:
	kfree(core);
	return ret;
}

void dma_core_destroy(struct machine *m)
{
	struct dma_core *core = m->dma;

	if (!core)
		return;
	m->dma = NULL;
	dma_debug_destroy(core);
	dma_timer_exit(core);
	swiotlb_destroy(core);
	kfree(core);
}
