// SPDX-License-Identifier: MIT
/*
 * Taking devices off: what is behind a bridge first, last found first, drivers before
 * anything is deleted (drivers/pci/remove.c: pci_stop_and_remove_bus_device()). A
 * driver whose device is in use lets go later; the removal then goes on from where it
 * stopped. Store functions of the sysfs files `remove` and `rescan`.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "machine/machine.h"
#include "pci/priv.h"

/* One removal under way: pdevs in the order in which drivers let go. */
struct removal {
	struct pci_dev **devs; /* a reference each */
	unsigned nr, next;
	bool stepping, again; /* a step that completes at once must not recurse */
	void (*done)(void *data);
	void *data;
};

static void collect(struct pci_dev *pdev, struct removal *r, unsigned max)
{
	struct pci_dev *child;

	if (pdev->subordinate) {
		list_for_each_entry_reverse(child, &pdev->subordinate->devices, bus_list)
			collect(child, r, max);
	}
	if (r->nr < max && !pdev->removing) {
		pdev->removing = true;
		get_device(&pdev->dev);
		r->devs[r->nr++] = pdev;
	}
}

static unsigned count(struct pci_dev *pdev)
{
	struct pci_dev *child;
	unsigned n = 1;

	if (pdev->subordinate) {
		list_for_each_entry(child, &pdev->subordinate->devices, bus_list)
			n += count(child);
	}
	return n;
}

static void unlink_dev(struct pci_dev *pdev)
{
	struct pci_bus *sub = pdev->subordinate;

	mutex_lock(&pdev->host->lock);
	list_del_init(&pdev->bus_list);
	list_del_init(&pdev->host_node);
	if (sub)
		list_del_init(&sub->node);
	pdev->subordinate = NULL;
	mutex_unlock(&pdev->host->lock);
	if (sub) {
		sub->self = NULL;
		pci_bus_put(sub);
	}
}

/* All drivers are gone: delete, deepest first. */
static void delete_all(struct removal *r)
{
	unsigned i;

	for (i = 0; i < r->nr; i++) {
		struct pci_dev *pdev = r->devs[i];

		if (pdev->dev.added)
			device_del(&pdev->dev);
		unlink_dev(pdev);
		put_device(&pdev->dev); /* the list's */
		put_device(&pdev->dev); /* the tree's */
	}
	if (r->done)
		r->done(r->data);
	kfree(r->devs);
	kfree(r);
}

static void step_done(void *data);

static void step(struct removal *r)
{
	r->stepping = true;
	do {
		r->again = false;
		if (r->next == r->nr) {
			delete_all(r);
			return;
		}
		r->devs[r->next]->match_driver = false;
		device_release_driver_async(&r->devs[r->next]->dev, step_done, r);
	} while (r->again);
	r->stepping = false;
}

static void step_done(void *data)
{
	struct removal *r = data;

	r->next++;
	if (r->stepping)
		r->again = true;
	else
		step(r);
}

int pci_remove_async(struct pci_dev *pdev, void (*done)(void *data), void *data)
{
	struct removal *r;
	unsigned max;

	mutex_lock(&pdev->host->rescan_lock);
	max = count(pdev);
	r = kzalloc(sizeof(*r));
	if (r)
		r->devs = kcalloc(max, sizeof(struct pci_dev *));
	if (!r || !r->devs) {
		mutex_unlock(&pdev->host->rescan_lock);
		kfree(r);
		return -ENOMEM;
	}
	r->done = done;
	r->data = data;
	collect(pdev, r, max);
	mutex_unlock(&pdev->host->rescan_lock);
	step(r);
	return 0;
}

void pci_stop_and_remove_bus_device(struct pci_dev *pdev)
{
	if (pci_remove_async(pdev, NULL, NULL))
		WARN_ON(true);
}

/* kstrtoul(): a number in C notation, perhaps a newline, nothing else. */
int pci_parse_ulong(const char *buf, size_t len, unsigned long *val)
{
	char text[32], *end;

	if (len && buf[len - 1] == '\n')
		len--;
	if (!len || len >= sizeof(text))
		return -EINVAL;
	memcpy(text, buf, len);
	text[len] = 0;
	if (text[0] == '-' || text[0] == ' ' || text[0] == '\t')
		return -EINVAL;
	errno = 0;
	*val = strtoul(text, &end, 0);
	return *end || end == text ? -EINVAL : 0;
}

int pci_rescan_store(struct pci_host *host, struct pci_bus *bus, const char *buf, size_t len)
{
	unsigned long val;

	if (pci_parse_ulong(buf, len, &val))
		return -EINVAL;
	if (val)
		pci_rescan(host, bus);
	return (int)len;
}

int pci_dev_rescan_store(struct pci_dev *pdev, const char *buf, size_t len)
{
	return pci_rescan_store(pdev->host, pdev->bus, buf, len);
}

/* Between the request and an answer that may come at once. */
struct remove_request {
	void (*done)(void *data);
	void *data;
	bool finished, async;
};

static void remove_finished(void *data)
{
	struct remove_request *req = data;

	if (req->async) {
		req->done(req->data);
		kfree(req);
	} else {
		req->finished = true;
	}
}

int pci_remove_store(struct pci_dev *pdev, const char *buf, size_t len,
		     void (*done)(void *data), void *data)
{
	struct remove_request *req;
	unsigned long val;
	int ret;

	if (pci_parse_ulong(buf, len, &val))
		return -EINVAL;
	if (!val || pdev->removing)
		return (int)len;
	req = kzalloc(sizeof(*req));
	if (!req)
		return -ENOMEM;
	req->done = done;
	req->data = data;
	ret = pci_remove_async(pdev, remove_finished, req);
	if (ret) {
		kfree(req);
		return ret;
	}
	if (!req->finished) {
		req->async = true;
		return -EIOCBQUEUED;
	}
	kfree(req);
	return (int)len;
}
