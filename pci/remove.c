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

/* Everything below @pdev and then itself, unless it is going already. */
static void collect(struct pci_dev *pdev, struct pci_removal *r)
{
	struct pci_dev *child;

	if (pdev->subordinate) {
		list_for_each_entry_reverse(child, &pdev->subordinate->devices, bus_list)
			collect(child, r);
	}
	if (pdev->removing)
		return;
	pdev->removing = true;
	get_device(&pdev->dev);
	list_add_tail(&pdev->remove_node, &r->devs);
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

static void start_next(struct pci_host *host);

/* All drivers are gone: delete, deepest first. The topmost, which holds @r, is last. */
static void delete_all(struct pci_removal *r)
{
	struct pci_host *host =
		list_first_entry(&r->devs, struct pci_dev, remove_node)->host;
	void (*done)(void *data) = r->done;
	void *data = r->data;
	bool last;

	do {
		struct pci_dev *pdev =
			list_first_entry(&r->devs, struct pci_dev, remove_node);

		list_del_init(&pdev->remove_node);
		last = list_empty(&r->devs);
		if (pdev->dev.added)
			device_del(&pdev->dev);
		unlink_dev(pdev);
		put_device(&pdev->dev); /* the list's */
		put_device(&pdev->dev); /* the tree's */
	} while (!last);
	if (done)
		done(data);
	start_next(host);
}

static void step_done(void *data);

static void step(struct pci_removal *r)
{
	r->stepping = true;
	do {
		r->again = false;
		if (!r->next) {
			delete_all(r);
			return;
		}
		r->next->match_driver = false;
		device_release_driver_async(&r->next->dev, step_done, r);
	} while (r->again);
	r->stepping = false;
}

static void step_done(void *data)
{
	struct pci_removal *r = data;

	r->next = r->next->remove_node.next == &r->devs
			  ? NULL
			  : list_next_entry(r->next, remove_node);
	if (r->stepping)
		r->again = true;
	else
		step(r);
}

/* False: it went with something else that was taken off before. */
static bool start(struct pci_dev *pdev)
{
	struct pci_removal *r = &pdev->removal;

	mutex_lock(&pdev->host->rescan_lock);
	INIT_LIST_HEAD(&r->devs);
	collect(pdev, r);
	mutex_unlock(&pdev->host->rescan_lock);
	if (list_empty(&r->devs))
		return false;
	r->next = list_first_entry(&r->devs, struct pci_dev, remove_node);
	step(r);
	return true;
}

/* The one under way is through: the next that waits, or none. */
static void start_next(struct pci_host *host)
{
	struct pci_dev *pdev;
	bool started;

	do {
		mutex_lock(&host->lock);
		pdev = list_first_entry_or_null(&host->removals, struct pci_dev,
						removal.wait_node);
		if (pdev)
			list_del_init(&pdev->removal.wait_node);
		else
			host->removal_active = false;
		mutex_unlock(&host->lock);
		if (!pdev)
			return;
		started = start(pdev);
		if (!started && pdev->removal.done)
			pdev->removal.done(pdev->removal.data);
		put_device(&pdev->dev);
	} while (!started);
}

/* One at a time, like the kernel under pci_rescan_remove_lock. */
void pci_remove_async(struct pci_dev *pdev, void (*done)(void *data), void *data)
{
	struct pci_host *host = pdev->host;
	bool going, wait;

	mutex_lock(&host->lock);
	going = pdev->removing || pdev->removal.asked;
	wait = !going && host->removal_active;
	if (!going) {
		pdev->removal.asked = true;
		pdev->removal.done = done;
		pdev->removal.data = data;
		host->removal_active = true;
	}
	if (wait) {
		get_device(&pdev->dev);
		list_add_tail(&pdev->removal.wait_node, &host->removals);
	}
	mutex_unlock(&host->lock);
	if (going && done)
		done(data);
	else if (!going && !wait)
		start(pdev);
}

void pci_stop_and_remove_bus_device(struct pci_dev *pdev)
{
	pci_remove_async(pdev, NULL, NULL);
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

int pci_rescan_store(struct pci_host *host, struct pci_bus *bus, const char *buf,
		     size_t len)
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

	if (pci_parse_ulong(buf, len, &val))
		return -EINVAL;
	if (!val || pdev->removing || pdev->removal.asked)
		return (int)len;
	req = kzalloc(sizeof(*req));
	if (!req)
		return -ENOMEM;
	req->done = done;
	req->data = data;
	pci_remove_async(pdev, remove_finished, req);
	if (!req->finished) {
		req->async = true;
		return -EIOCBQUEUED;
	}
	kfree(req);
	return (int)len;
}
