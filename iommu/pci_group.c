// SPDX-License-Identifier: MIT
/*
 * pci_device_group(): the rules by which PCI devices share a group. Upwards first: as
 * far as requests carry the id of a bridge, and on from there as far as the path to the
 * root does not isolate. Then sideways, at that point: devices that use each other's
 * ids, and functions of one slot that are not isolated. The first group met on the way
 * is the answer, so it depends on who is there already (drivers/iommu/iommu.c).
 */
#include "base/bitmap.h"
#include "iommu/iommu.h"
#include "iommu/pci_group.h"
#include "machine/machine.h"

struct search {
	void *(*get)(struct pci_dev *pdev, void *data);
	void *data;
	struct pci_dev *last; /* of the walk over aliases */
	void *group;
	struct pci_group_result *why;
	/* Functions of the bus that have been looked at: aliases may form a ring. */
	DECLARE_BITMAP(seen, 256);
};

static void *found(struct search *s, struct pci_dev *with, enum pci_group_reason reason,
		   void *group)
{
	if (s->why) {
		s->why->reason = reason;
		s->why->with = with;
	}
	return group;
}

static int look_at_alias(struct pci_dev *pdev, u16 alias, void *data)
{
	struct search *s = data;

	s->last = pdev;
	s->group = s->get(pdev, s->data);
	return s->group != NULL;
}

static void *function_group(struct search *s, struct pci_dev *pdev);

/*
 * The next device of @pdev's bus, after @from, that shares ids with it (@slot: that is
 * in its slot); holds a reference and drops that on @from.
 */
static struct pci_dev *next_near(struct pci_dev *pdev, struct pci_dev *from, bool slot)
{
	struct pci_dev *near = NULL, *other;
	struct list_head *pos;

	mutex_lock(&pdev->host->lock);
	/* One that has been taken off meanwhile ends the walk. */
	pos = from ? from->bus_list.next : pdev->bus->devices.next;
	for (; pos != &pdev->bus->devices && !(from && pos == &from->bus_list);
	     pos = pos->next) {
		other = list_entry(pos, struct pci_dev, bus_list);
		if (other != pdev &&
		    (slot ? PCI_SLOT(other->devfn) == PCI_SLOT(pdev->devfn)
			  : pci_devs_are_dma_aliases(pdev, other))) {
			get_device(&other->dev);
			near = other;
			break;
		}
	}
	mutex_unlock(&pdev->host->lock);
	if (from)
		put_device(&from->dev);
	return near;
}

/* The group of @pdev, or of those it shares requester ids with on its bus. */
static void *alias_group(struct search *s, struct pci_dev *pdev,
			 enum pci_group_reason reason)
{
	struct pci_dev *other = NULL;
	void *group;

	if (__test_and_set_bit(pdev->devfn, s->seen))
		return NULL;
	group = s->get(pdev, s->data);
	if (group)
		return found(s, pdev, reason, group);
	while ((other = next_near(pdev, other, false))) {
		group = alias_group(s, other, PCI_GROUP_DMA_ALIAS);
		if (!group)
			group = function_group(s, other);
		if (group) {
			put_device(&other->dev);
			return group;
		}
	}
	return NULL;
}

/* The group of another function of the slot that is not isolated either. */
static void *function_group(struct search *s, struct pci_dev *pdev)
{
	struct pci_dev *other = NULL;
	void *group;

	if (!pdev->multifunction || pci_acs_enabled(pdev, PCI_GROUP_ACS_FLAGS))
		return NULL;
	while ((other = next_near(pdev, other, true))) {
		if (pci_acs_enabled(other, PCI_GROUP_ACS_FLAGS))
			continue;
		group = alias_group(s, other, PCI_GROUP_MULTIFUNCTION);
		if (group) {
			put_device(&other->dev);
			return group;
		}
	}
	return NULL;
}

void *pci_find_group(struct pci_dev *pdev, void *(*get)(struct pci_dev *pdev, void *data),
		     void *data, struct pci_group_result *why)
{
	struct search s = {.get = get, .data = data, .why = why};
	struct pci_bus *bus;
	void *group;

	if (why)
		*why = (struct pci_group_result){.reason = PCI_GROUP_OWN};
	if (pci_for_each_dma_alias(pdev, look_at_alias, &s)) {
		if (why)
			why->top = s.last;
		return found(&s, s.last, PCI_GROUP_ALIAS, s.group);
	}
	if (why && s.last != pdev) {
		why->reason = PCI_GROUP_ALIAS;
		why->top = s.last;
	}
	pdev = s.last;
	for (bus = pdev->bus; !pci_is_root_bus(bus); bus = bus->parent) {
		if (!bus->self)
			continue;
		if (pci_acs_path_enabled(bus->self, NULL, PCI_GROUP_ACS_FLAGS))
			break;
		pdev = bus->self;
		if (why) {
			why->reason = PCI_GROUP_NO_ACS;
			why->top = pdev;
		}
		group = s.get(pdev, s.data);
		if (group)
			return found(&s, pdev, PCI_GROUP_NO_ACS, group);
	}
	group = alias_group(&s, pdev, PCI_GROUP_DMA_ALIAS);
	if (!group)
		group = function_group(&s, pdev);
	return group;
}

static void *get_iommu_group(struct pci_dev *pdev, void *data)
{
	return iommu_group_get(&pdev->dev);
}

struct iommu_group *pci_device_group(struct device *dev)
{
	struct iommu_group *group;

	if (WARN_ON(!dev_is_pci(dev)))
		return ERR_PTR(-EINVAL);
	group = pci_find_group(to_pci_dev(dev), get_iommu_group, NULL, NULL);
	return group ? group : iommu_group_alloc(dev->machine);
}
