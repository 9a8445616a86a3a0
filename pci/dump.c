// SPDX-License-Identifier: MIT
/*
 * Reading back what lspci -xxxx printed. A function is a line that starts with its
 * address (with or without a domain), and lines of 16 bytes in hexadecimal below it;
 * verbose text between them is skipped. Buses come from the bridges' bus numbers. A
 * virtual function's registers read vendor ffff, and its bus may belong to no bridge:
 * such a bus hangs from that of the port above, as the kernel makes it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "pci/bytes.h"
#include "pci/dump.h"
#include "pci/priv.h"

struct dump_fn {
	u16 domain;
	u8 bus, devfn;
	u16 len;
	u32 order;
	u32 line;
	u8 config[PCI_CFG_SPACE_EXP_SIZE];
};

struct dump {
	struct dump_fn **fns; /* sorted by address once read */
	unsigned nr, max;
};

static u32 address(const struct dump_fn *fn)
{
	return (u32)fn->domain << 16 | (u32)fn->bus << 8 | fn->devfn;
}

static struct dump_fn *find_fn(const struct dump *d, u32 addr)
{
	unsigned lo = 0, hi = d->nr;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (address(d->fns[mid]) < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < d->nr && address(d->fns[lo]) == addr ? d->fns[lo] : NULL;
}

static u32 dump_read(struct pci_host *host, u16 segment, u8 bus, u8 devfn, u16 where,
		     u8 size)
{
	const struct dump_fn *fn =
		find_fn(host->ops_data, (u32)segment << 16 | (u32)bus << 8 | devfn);

	if (!fn || where + size > fn->len)
		return size == 4 ? ~0U : (1U << 8 * size) - 1;
	return get_size(fn->config + where, size);
}

static const struct pci_ops dump_ops = {.read = dump_read};

/* ---- text ---- */

static void __printf(4, 5)
	tell(char **error, const char *name, u32 line, const char *fmt, ...)
{
	char what[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (error && (line ? asprintf(error, "%s:%u: %s\n", name, line, what)
			   : asprintf(error, "%s: %s\n", name, what)) < 0)
		*error = NULL;
}

/* Exactly @digits hexadecimal digits. */
static bool take_hex(const char **p, unsigned digits, unsigned *out)
{
	unsigned i;

	*out = 0;
	for (i = 0; i < digits; i++) {
		char c = (*p)[i];

		if (c >= '0' && c <= '9')
			c = (char)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			c = (char)((c | 0x20) - 'a' + 10);
		else
			return false;
		*out = *out << 4 | (unsigned)c;
	}
	*p += digits;
	return true;
}

/* "DDDD:BB:DD.F" or "BB:DD.F", followed by a blank or the end. */
static bool take_address(const char *p, struct dump_fn *fn)
{
	unsigned domain = 0, bus, slot, func;
	const char *start = p;

	if (!take_hex(&p, 4, &domain) || *p != ':') {
		p = start;
		domain = 0;
	} else {
		p++;
	}
	if (!take_hex(&p, 2, &bus) || *p++ != ':' || !take_hex(&p, 2, &slot) ||
	    *p++ != '.' || !take_hex(&p, 1, &func) || (*p && *p != ' ') || slot > 31 ||
	    func > 7)
		return false;
	fn->domain = (u16)domain;
	fn->bus = (u8)bus;
	fn->devfn = (u8)PCI_DEVFN(slot, func);
	return true;
}

/* "OFF: xx xx ...". 0: taken, -ENOENT: another kind of line, -EINVAL: malformed. */
static int take_bytes(const char *p, struct dump_fn *fn)
{
	unsigned off, byte, i, digits = (unsigned)strcspn(p, ":");

	if (digits < 2 || digits > 3 || !take_hex(&p, digits, &off) || *p++ != ':' ||
	    *p != ' ')
		return -ENOENT;
	if (off % 16 || off >= PCI_CFG_SPACE_EXP_SIZE || off != fn->len)
		return -EINVAL;
	for (i = 0; *p == ' ' && i < 16; i++) {
		p++;
		if (!*p)
			break;
		if (!take_hex(&p, 2, &byte))
			return -EINVAL;
		fn->config[off + i] = (u8)byte;
	}
	while (*p == ' ')
		p++;
	if (*p || i != 16)
		return -EINVAL;
	fn->len = (u16)(off + 16);
	return 0;
}

static struct dump_fn *new_fn(struct dump *d)
{
	struct dump_fn *fn;

	if (d->nr == d->max) {
		unsigned max = d->max ? 2 * d->max : 64;
		struct dump_fn **fns = krealloc_array(d->fns, max, sizeof(*fns));

		if (!fns)
			return NULL;
		d->fns = fns;
		d->max = max;
	}
	fn = kzalloc(sizeof(*fn));
	if (fn) {
		fn->order = d->nr;
		d->fns[d->nr++] = fn;
	}
	return fn;
}

static int read_text(struct dump *d, const char *name, const char *text, size_t len,
		     char **error)
{
	const char *p = text, *end = text + len;
	struct dump_fn *fn = NULL, at;
	u32 line;

	for (line = 1; p < end; line++) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl ? nl : end) - p);
		char buf[256];
		int ret;

		snprintf(buf, sizeof(buf), "%.*s", (int)min_t(size_t, n, 255), p);
		p += n + 1;
		buf[strcspn(buf, "\r")] = 0;
		if (take_address(buf, &at)) {
			fn = new_fn(d);
			if (!fn)
				return -ENOMEM;
			fn->domain = at.domain;
			fn->bus = at.bus;
			fn->devfn = at.devfn;
			fn->line = line;
			continue;
		}
		if (!fn)
			continue;
		ret = take_bytes(buf, fn);
		if (ret == -EINVAL) {
			tell(error, name, line,
			     "not 16 bytes of registers in their order");
			return -EINVAL;
		}
	}
	return 0;
}

static int by_address(const void *a, const void *b)
{
	u32 x = address(*(struct dump_fn *const *)a),
	    y = address(*(struct dump_fn *const *)b);

	return x < y ? -1 : x > y;
}

static int check(struct dump *d, const char *name, char **error)
{
	unsigned i;

	if (!d->nr) {
		tell(error, name, 0,
		     "no PCI function in it; wanted is what `lspci -n -xxxx -D' prints");
		return -EINVAL;
	}
	qsort(d->fns, d->nr, sizeof(*d->fns), by_address);
	for (i = 0; i < d->nr; i++) {
		if (d->fns[i]->len < 64) {
			tell(error, name, d->fns[i]->line,
			     "the registers of this function are missing (lspci -xxxx, "
			     "as root)");
			return -EINVAL;
		}
		if (i && address(d->fns[i]) == address(d->fns[i - 1])) {
			tell(error, name, d->fns[i]->line,
			     "this function was on line %u already", d->fns[i - 1]->line);
			return -EINVAL;
		}
	}
	return 0;
}

/* ---- the tree ---- */

static bool is_bridge(const struct dump_fn *fn)
{
	u8 type = fn->config[PCI_HEADER_TYPE] & PCI_HEADER_TYPE_MASK;

	return type == PCI_HEADER_TYPE_BRIDGE || type == PCI_HEADER_TYPE_CARDBUS;
}

/* The bridge whose secondary bus is @bus; or the innermost one above it. */
static const struct dump_fn *bridge_above(const struct dump *d, u16 domain, u8 bus,
					  bool exact)
{
	const struct dump_fn *best = NULL;
	unsigned i;

	for (i = 0; i < d->nr; i++) {
		const struct dump_fn *fn = d->fns[i];
		u8 sec = fn->config[PCI_SECONDARY_BUS],
		   last = fn->config[PCI_SUBORDINATE_BUS];

		if (fn->domain != domain || !is_bridge(fn) || !sec || sec <= fn->bus)
			continue;
		if (exact ? sec == bus : sec < bus && bus <= last) {
			if (!best || sec > best->config[PCI_SECONDARY_BUS])
				best = fn;
		}
	}
	return best;
}

static struct pci_dev *make_device(struct pci_host *host, struct dump_fn *fn);

/* The bus, and all above it, made on the way. Bridges lead down only: no cycles. */
static struct pci_bus *get_bus(struct pci_host *host, u16 domain, u8 number)
{
	struct pci_bus *bus = pci_find_bus(host, domain, number), *parent = NULL;
	const struct dump_fn *above;
	struct pci_dev *self = NULL;

	if (bus)
		return bus;
	above = bridge_above(host->ops_data, domain, number, true);
	if (above) {
		self = make_device(host, (struct dump_fn *)above);
		if (!self)
			return NULL;
		parent = self->bus;
	} else {
		above = bridge_above(host->ops_data, domain, number, false);
		if (above) {
			/* Virtual functions beyond their port's bus. */
			parent = get_bus(host, domain, above->config[PCI_SECONDARY_BUS]);
			if (!parent)
				return NULL;
		}
	}
	bus = pci_alloc_bus(host, parent, self, number,
			    self ? above->config[PCI_SUBORDINATE_BUS] : 0xff);
	if (!bus)
		return NULL;
	bus->domain = domain;
	if (self && !self->subordinate)
		self->subordinate = bus;
	pci_link_bus(bus);
	return bus;
}

static void adopt(struct pci_dev *pdev, const struct dump_fn *fn)
{
	u16 vendor = get16(fn->config);

	/* The hardware answers ffff; only enumeration by the PF tells there is one. */
	pdev->is_virtfn = vendor == 0xffff;
	if (!pdev->is_virtfn && PCI_FUNC(pdev->devfn))
		pdev->multifunction = true;
}

static struct pci_dev *make_device(struct pci_host *host, struct dump_fn *fn)
{
	struct pci_dev *pdev =
		pci_get_domain_bus_and_slot(host, fn->domain, fn->bus, fn->devfn);
	struct pci_bus *bus;

	if (pdev) {
		put_device(&pdev->dev);
		return pdev;
	}
	bus = get_bus(host, fn->domain, fn->bus);
	if (!bus)
		return NULL;
	pdev = pci_alloc_dev(bus, fn->devfn);
	if (!pdev)
		return NULL;
	if (pci_setup_device(pdev))
		pdev->hdr_type =
			PCI_HEADER_TYPE_NORMAL; /* listed, so the kernel has it */
	pci_init_capabilities(pdev);
	pci_fixup_header(pdev);
	adopt(pdev, fn);
	if (pdev->class >> 8 == PCI_CLASS_SYSTEM_IOMMU &&
	    pdev->vendor == PCI_VENDOR_ID_AMD)
		host->amd_iommu = true;
	pci_link_dev(pdev);
	return pdev;
}

static int by_order(const void *a, const void *b)
{
	const struct dump_fn *x = *(struct dump_fn *const *)a,
			     *y = *(struct dump_fn *const *)b;

	return x->order < y->order ? -1 : x->order > y->order;
}

/* Devices arrive in the order of the text, whatever order the tree was made in. */
static int make_tree(struct pci_host *host, struct dump *d)
{
	struct dump_fn **ordered;
	struct pci_dev *pdev;
	unsigned i;
	int ret = 0;

	ordered = kmemdup(d->fns, d->nr * sizeof(*ordered));
	if (!ordered)
		return -ENOMEM;
	qsort(ordered, d->nr, sizeof(*ordered), by_order);
	for (i = 0; i < d->nr && !ret; i++)
		ret = make_device(host, ordered[i]) ? 0 : -ENOMEM;
	for (i = 0; i < d->nr && !ret; i++) {
		pdev = pci_get_domain_bus_and_slot(host, ordered[i]->domain,
						   ordered[i]->bus, ordered[i]->devfn);
		list_move_tail(&pdev->host_node, &host->devices);
		put_device(&pdev->dev);
	}
	kfree(ordered);
	return ret;
}

int pci_dump_parse(const char *name, const char *text, size_t len, struct pci_host **out,
		   char **error)
{
	struct pci_host *host = kzalloc(sizeof(*host));
	struct dump *d = kzalloc(sizeof(*d));
	int ret;

	if (error)
		*error = NULL;
	if (!host || !d) {
		kfree(host);
		kfree(d);
		return -ENOMEM;
	}
	host->ops = &dump_ops;
	host->ops_data = d;
	host->acs_requested = true;
	mutex_init(&host->rescan_lock);
	mutex_init(&host->lock);
	INIT_LIST_HEAD(&host->root_buses);
	INIT_LIST_HEAD(&host->devices);
	INIT_LIST_HEAD(&host->removals);
	ret = read_text(d, name, text, len, error);
	if (!ret)
		ret = check(d, name, error);
	if (!ret)
		ret = make_tree(host, d);
	if (ret) {
		pci_dump_free(host);
		return ret;
	}
	*out = host;
	return 0;
}

static void free_bus(struct pci_bus *bus)
{
	struct pci_bus *child, *tmp;
	struct pci_dev *pdev, *ptmp;

	list_for_each_entry_safe(child, tmp, &bus->children, node)
		free_bus(child);
	list_for_each_entry_safe(pdev, ptmp, &bus->devices, bus_list) {
		list_del(&pdev->bus_list);
		list_del(&pdev->host_node);
		put_device(&pdev->dev);
	}
	list_del(&bus->node);
	pci_bus_put(bus);
}

void pci_dump_free(struct pci_host *host)
{
	struct dump *d = host->ops_data;
	struct pci_bus *bus, *tmp;
	unsigned i;

	list_for_each_entry_safe(bus, tmp, &host->root_buses, node)
		free_bus(bus);
	for (i = 0; i < d->nr; i++)
		kfree(d->fns[i]);
	kfree(d->fns);
	kfree(d);
	mutex_destroy(&host->rescan_lock);
	mutex_destroy(&host->lock);
	kfree(host);
}
