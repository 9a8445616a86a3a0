// SPDX-License-Identifier: MIT
/*
 * Reserved regions: IOVAs that a device cannot, or must not, have remapped. Those of a
 * group are the union over its members: regions of one type that overlap or touch
 * become one, regions of different types never merge. Source:
 * drivers/iommu/iommu.c (iommu_insert_resv_region),
 * Documentation/ABI/testing/sysfs-kernel-iommu_groups.
 */
#define LOG_SUBSYSTEM "iommu"
#include "iommu/core.h"

#include <stdio.h>

#include "base/alloc.h"

const char *iommu_resv_type_name(enum iommu_resv_type type)
{
	static const char *const names[] = {
		[IOMMU_RESV_DIRECT] = "direct",
		[IOMMU_RESV_DIRECT_RELAXABLE] = "direct-relaxable",
		[IOMMU_RESV_RESERVED] = "reserved",
		[IOMMU_RESV_MSI] = "msi",
		[IOMMU_RESV_SW_MSI] = "msi",
	};

	return names[type];
}

struct iommu_resv_region *iommu_alloc_resv_region(phys_addr_t start, u64 length, int prot,
						  enum iommu_resv_type type)
{
	struct iommu_resv_region *region = kzalloc(sizeof(*region));

	if (!region)
		return NULL;
	INIT_LIST_HEAD(&region->list);
	region->start = start;
	region->length = length;
	region->prot = prot;
	region->type = type;
	return region;
}

void iommu_get_resv_regions(struct device *dev, struct list_head *list)
{
	const struct iommu_ops *ops = dev_iommu_ops(dev);

	if (ops->get_resv_regions)
		ops->get_resv_regions(dev, list);
}

void iommu_put_resv_regions(struct device *dev, struct list_head *list)
{
	struct iommu_resv_region *entry, *next;

	list_for_each_entry_safe(entry, next, list, list) {
		list_del(&entry->list);
		if (entry->free)
			entry->free(dev, entry);
		else
			kfree(entry);
	}
}

static u64 region_last(const struct iommu_resv_region *r)
{
	return r->start + r->length - 1;
}

/* Whether @r begins at or before the byte after @prev's last. */
static bool touches(const struct iommu_resv_region *prev,
		    const struct iommu_resv_region *r)
{
	u64 last = region_last(prev);

	return last == ~0ULL || r->start <= last + 1;
}

/* @regions is ascending by start, then type; regions of one type are disjoint. */
static int insert_region(const struct iommu_resv_region *new, struct list_head *regions)
{
	struct iommu_resv_region *nr, *iter, *next, *last = NULL;

	nr = iommu_alloc_resv_region(new->start, new->length, new->prot, new->type);
	if (!nr)
		return -ENOMEM;
	list_for_each_entry(iter, regions, list) {
		if (nr->start < iter->start ||
		    (nr->start == iter->start && nr->type <= iter->type))
			break;
	}
	list_add_tail(&nr->list, &iter->list);

	/* Merge along the regions of this type; the first of a run takes the rest in. */
	list_for_each_entry_safe(iter, next, regions, list) {
		if (iter->type != new->type)
			continue;
		if (!last || !touches(last, iter)) {
			last = iter;
			continue;
		}
		last->length =
			max(region_last(last), region_last(iter)) - last->start + 1;
		list_del(&iter->list);
		kfree(iter);
	}
	return 0;
}

int iommu_get_group_resv_regions(struct iommu_group *group, struct list_head *list)
{
	struct iommu_resv_region *region;
	struct group_device *gdev;
	int ret = 0;

	guard(mutex)(&group->mutex);
	for_each_group_device(group, gdev) {
		LIST_HEAD(of_device);

		/* Non-API groups have none at all. */
		if (!dev_has_iommu(gdev->dev))
			break;
		iommu_get_resv_regions(gdev->dev, &of_device);
		list_for_each_entry(region, &of_device, list) {
			ret = insert_region(region, list);
			if (ret)
				break;
		}
		iommu_put_resv_regions(gdev->dev, &of_device);
		if (ret)
			break;
	}
	return ret;
}

ssize_t iommu_group_show_resv_regions(struct iommu_group *group, char *buf, size_t size)
{
	struct iommu_resv_region *region;
	size_t offset = 0;
	LIST_HEAD(regions);

	/* What there was memory for is shown, as in the kernel. */
	if (iommu_get_group_resv_regions(group, &regions))
		pr_warn("group %d: reserved regions are incomplete", group->id);
	list_for_each_entry(region, &regions, list) {
		int n = snprintf(buf + offset, size - offset, "0x%016llx 0x%016llx %s\n",
				 (unsigned long long)region->start,
				 (unsigned long long)region_last(region),
				 iommu_resv_type_name(region->type));

		if (n < 0 || (size_t)n >= size - offset)
			break;
		offset += (size_t)n;
	}
	if (!offset && size)
		buf[0] = '\0';
	iommu_put_resv_regions(NULL, &regions);
	return (ssize_t)offset;
}
