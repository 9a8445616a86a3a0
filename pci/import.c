// SPDX-License-Identifier: MIT
/*
 * From a list of functions to the tree of buses and devices. Buses come from the
 * bridges' bus numbers; a bus that belongs to no bridge (virtual functions beyond
 * their port's) hangs from the innermost bus around it, as the kernel makes it.
 * Bridges lead to higher numbers only, so there are no cycles. A segment behind a VMD
 * does not fit 16 bits and stands under a number that nobody else has.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "pci/bytes.h"
#include "pci/import.h"
#include "pci/priv.h"

/* Matching VFs to PFs is linear in what is there; absurd input ends here. */
#define VF_STEPS_MAX (4U << 20)

static u64 key(const struct pci_import_fn *fn)
{
	return (u64)fn->domain << 16 | (u64)fn->bus << 8 | fn->devfn;
}

void pci_import_tell(char **error, const char *name, u32 line, const char *fmt, ...)
{
	char what[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (error && (line ? asprintf(error, "%s:%u: %s\n", name, line, what)
			   : asprintf(error, "%s: %s\n", name, what)) < 0)
		*error = NULL;
}

struct pci_import *pci_import_alloc(void)
{
	return kzalloc(sizeof(struct pci_import));
}

void pci_import_free(struct pci_import *imp)
{
	if (!imp)
		return;
	for (unsigned i = 0; i < imp->nr; i++) {
		kfree(imp->fns[i]->config);
		kfree(imp->fns[i]->live);
		kfree(imp->fns[i]->driver);
		kfree(imp->fns[i]);
	}
	kfree(imp->fns);
	kfree(imp->domains);
	kfree(imp);
}

struct pci_import_fn *pci_import_add(struct pci_import *imp, u32 domain, u8 bus, u8 devfn)
{
	struct pci_import_fn *fn;

	if (imp->nr == imp->max) {
		unsigned max = imp->max ? 2 * imp->max : 64;
		struct pci_import_fn **fns = krealloc_array(imp->fns, max, sizeof(*fns));

		if (!fns)
			return NULL;
		imp->fns = fns;
		imp->max = max;
	}
	fn = kzalloc(sizeof(*fn));
	if (!fn)
		return NULL;
	fn->domain = domain;
	fn->bus = bus;
	fn->devfn = devfn;
	fn->order = imp->nr;
	fn->kernel_group = -1;
	imp->fns[imp->nr++] = fn;
	return fn;
}

static unsigned lower_bound(const struct pci_import *imp, u64 at)
{
	unsigned lo = 0, hi = imp->nr;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (key(imp->fns[mid]) < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct pci_import_fn *pci_import_find(const struct pci_import *imp, u32 domain, u8 bus,
				      u8 devfn)
{
	u64 at = (u64)domain << 16 | (u64)bus << 8 | devfn;
	unsigned i = lower_bound(imp, at);

	return i < imp->nr && key(imp->fns[i]) == at ? imp->fns[i] : NULL;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static unsigned take_number(const char **p, unsigned max_digits, u32 *out)
{
	unsigned n = 0;

	for (*out = 0; n < max_digits && hex_digit((*p)[n]) >= 0; n++)
		*out = *out << 4 | (u32)hex_digit((*p)[n]);
	*p += n;
	return n;
}

bool pci_import_address(const char **p, u32 *domain, u8 *bus, u8 *devfn)
{
	const char *q = *p;
	u32 dom, b, slot, func;
	unsigned n = take_number(&q, 8, &dom);

	if (n == 2) {
		b = dom;
		dom = 0;
	} else if (n < 4 || *q++ != ':' || take_number(&q, 2, &b) != 2) {
		return false;
	}
	if (*q++ != ':' || take_number(&q, 2, &slot) != 2 || *q++ != '.' ||
	    take_number(&q, 1, &func) != 1 || slot > 31 || func > 7 || hex_digit(*q) >= 0)
		return false;
	*domain = dom;
	*bus = (u8)b;
	*devfn = (u8)PCI_DEVFN(slot, func);
	*p = q;
	return true;
}

int pci_import_config(struct pci_import_fn *fn, const u8 *config, u16 len)
{
	u8 *copy = kmemdup(config, len);

	if (!copy)
		return -ENOMEM;
	kfree(fn->config);
	fn->config = copy;
	fn->len = len;
	return 0;
}

/* ---- what the whole list tells ---- */

static int by_address(const void *a, const void *b)
{
	const struct pci_import_fn *x = *(struct pci_import_fn *const *)a,
				   *y = *(struct pci_import_fn *const *)b;

	if (key(x) != key(y))
		return key(x) < key(y) ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

void pci_import_sort(struct pci_import *imp)
{
	qsort(imp->fns, imp->nr, sizeof(struct pci_import_fn *), by_address);
}

static bool is_bridge(const struct pci_import_fn *fn)
{
	u8 type = fn->config[PCI_HEADER_TYPE] & PCI_HEADER_TYPE_MASK;

	return !fn->virtfn &&
	       (type == PCI_HEADER_TYPE_BRIDGE || type == PCI_HEADER_TYPE_CARDBUS);
}

static bool looks_like_vmd(const struct pci_import_fn *fn)
{
	static const u16 ids[] = {0x201d, 0x28c0, 0x467f, 0x4c3d, 0xa77f, 0x7d0b,
				  0xad0b, 0x9a0b, 0xb60b, 0xb06f, 0xfc0b};

	if (fn->driver && !strcmp(fn->driver, "vmd"))
		return true;
	if (get16(fn->config) != PCI_VENDOR_ID_INTEL)
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(ids); i++) {
		if (get16(fn->config + PCI_DEVICE_ID) == ids[i])
			return true;
	}
	return false;
}

static bool number_is_taken(const struct pci_import *imp, unsigned number)
{
	for (unsigned i = 0; i < imp->nr_domains; i++) {
		if (imp->domains[i].domain == number)
			return true;
	}
	return false;
}

static int find_domains(struct pci_import *imp)
{
	unsigned n = 0, next = 0xffff, vmd = 0;

	for (unsigned i = 0; i < imp->nr; i++)
		n += !i || imp->fns[i]->domain != imp->fns[i - 1]->domain;
	imp->domains = kcalloc(n + 1, sizeof(*imp->domains));
	if (!imp->domains)
		return -ENOMEM;
	for (unsigned i = 0; i < imp->nr; i++) {
		if (!i || imp->fns[i]->domain != imp->fns[i - 1]->domain)
			imp->domains[imp->nr_domains++].domain = imp->fns[i]->domain;
		imp->fns[i]->dom = &imp->domains[imp->nr_domains - 1];
	}
	for (unsigned i = 0; i < imp->nr_domains; i++) {
		struct pci_import_domain *dom = &imp->domains[i];

		dom->internal = (u16)dom->domain;
		if (dom->domain <= 0xffff)
			continue;
		while (next && number_is_taken(imp, next))
			next--;
		if (!next)
			return -EINVAL;
		dom->internal = (u16)next--;
		for (unsigned k = 0; k < imp->nr_behind; k++) {
			if (imp->behind[k].domain == dom->domain)
				dom->behind =
					pci_import_find(imp, imp->behind[k].owner_domain,
							imp->behind[k].bus,
							imp->behind[k].devfn);
		}
		/* Domains are given out in the order in which VMDs are found. */
		while (!dom->behind && vmd < imp->nr) {
			if (looks_like_vmd(imp->fns[vmd]))
				dom->behind = imp->fns[vmd];
			vmd++;
		}
	}
	return 0;
}

static u16 ext_cap(const struct pci_import_fn *fn, u16 id)
{
	u16 pos = PCI_CFG_SPACE_SIZE;

	for (unsigned ttl = 0; ttl < 480 && pos >= 256 && pos + 4 <= fn->len; ttl++) {
		u32 header = get32(fn->config + pos);

		if (!header || header == ~0U)
			break;
		if ((header & 0xffff) == id)
			return pos;
		pos = (u16)(header >> 20 & 0xffc);
	}
	return 0;
}

/* Firmware leaves ACS off; with an IOMMU there are groups, and redirection is on. */
static bool iommu_was_on(const struct pci_import *imp)
{
	for (unsigned i = 0; i < imp->nr; i++) {
		const struct pci_import_fn *fn = imp->fns[i];
		u16 pos = ext_cap(fn, PCI_EXT_CAP_ID_ACS);

		if (fn->kernel_group >= 0)
			return true;
		if (pos && pos + 8 <= fn->len &&
		    get16(fn->config + pos + PCI_ACS_CTRL) & (PCI_ACS_SV | PCI_ACS_RR))
			return true;
	}
	return false;
}

static void find_virtual_functions(struct pci_import *imp)
{
	unsigned steps = 0;

	for (unsigned i = 0; i < imp->nr; i++) {
		struct pci_import_fn *pf = imp->fns[i];
		u16 pos = ext_cap(pf, PCI_EXT_CAP_ID_SRIOV), nr, offset, stride;
		u64 first, last;

		if (!pos || pos + 0x18 > pf->len || !(pf->config[pos + 8] & 1))
			continue;
		nr = get16(pf->config + pos + 0x10);
		offset = get16(pf->config + pos + 0x14);
		stride = get16(pf->config + pos + 0x16);
		if (!nr || !offset || (!stride && nr > 1))
			continue;
		first = key(pf) + offset;
		last = first + (u64)(nr - 1) * stride;
		for (unsigned k = lower_bound(imp, first);
		     k < imp->nr && key(imp->fns[k]) <= last; k++) {
			if (++steps > VF_STEPS_MAX)
				return;
			if (imp->fns[k]->domain == pf->domain &&
			    !((key(imp->fns[k]) - first) % (stride ?: 1)))
				imp->fns[k]->virtfn = true;
		}
	}
}

/* Function 0 must say that there are others, or nobody would have found them. */
static void find_multifunction(struct pci_import *imp)
{
	struct pci_import_fn *fn0 = NULL;

	for (unsigned i = 0; i < imp->nr; i++) {
		struct pci_import_fn *fn = imp->fns[i];

		if (!PCI_FUNC(fn->devfn))
			fn0 = fn;
		else if (fn0 && !fn->virtfn && key(fn0) >> 3 == key(fn) >> 3 &&
			 !fn0->multifunction_known)
			fn0->config[PCI_HEADER_TYPE] |= PCI_HEADER_TYPE_MFD;
	}
}

/* Paths tell what leads where when the bridges' own numbers are missing. */
static void take_paths(struct pci_import *imp)
{
	for (unsigned i = 0; i < imp->nr; i++) {
		struct pci_import_fn *fn = imp->fns[i], *up = fn->above;

		for (unsigned n = 0; up && n < 256; n++, up = up->above) {
			if (!is_bridge(up) || up->bus >= fn->bus)
				break;
			if (!up->config[PCI_SECONDARY_BUS] && !n)
				up->config[PCI_SECONDARY_BUS] = fn->bus;
			if (up->config[PCI_SUBORDINATE_BUS] < fn->bus)
				up->config[PCI_SUBORDINATE_BUS] = fn->bus;
		}
	}
}

static void find_bridges(struct pci_import *imp)
{
	for (unsigned i = 0; i < imp->nr; i++) {
		struct pci_import_fn *fn = imp->fns[i];
		u8 sec = fn->config[PCI_SECONDARY_BUS];

		if (is_bridge(fn) && sec > fn->bus && !fn->dom->bridge[sec])
			fn->dom->bridge[sec] = fn;
	}
}

/* A bus without a bridge, where a bridge does not tell its bus, may be anywhere. */
static void find_lost(struct pci_import *imp)
{
	for (unsigned i = 0, end; i < imp->nr; i = end) {
		const struct pci_import_domain *dom = imp->fns[i]->dom;
		bool blind = false;

		for (end = i; end < imp->nr && imp->fns[end]->dom == dom; end++)
			blind |= is_bridge(imp->fns[end]) &&
				 !imp->fns[end]->config[PCI_SECONDARY_BUS] &&
				 imp->fns[end]->unknown;
		for (unsigned k = i; blind && k < end; k++) {
			u8 bus = imp->fns[k]->bus;

			if (bus && !dom->bridge[bus] && !imp->fns[k]->virtfn)
				imp->fns[k]->unknown |= PCI_UNKNOWN_PLACE;
		}
	}
}

/* Those of which nothing is known but that they are there. */
static void drop_empty(struct pci_import *imp)
{
	unsigned n = 0;

	for (unsigned i = 0; i < imp->nr; i++) {
		if (imp->fns[i]->len) {
			imp->fns[n++] = imp->fns[i];
			continue;
		}
		kfree(imp->fns[i]->driver);
		kfree(imp->fns[i]);
	}
	imp->nr = n;
}

int pci_import_finish(struct pci_import *imp, const char *name, char **error)
{
	drop_empty(imp);
	if (!imp->nr) {
		pci_import_tell(error, name, 0, "no PCI function in it");
		return -EINVAL;
	}
	pci_import_sort(imp);
	for (unsigned i = 0; i < imp->nr; i++) {
		if (i && key(imp->fns[i]) == key(imp->fns[i - 1])) {
			pci_import_tell(error, name, imp->fns[i]->line,
					"this function was on line %u already",
					imp->fns[i - 1]->line);
			return -EINVAL;
		}
		if (imp->fns[i]->len < 64) {
			pci_import_tell(error, name, imp->fns[i]->line,
					"nothing is known of this function");
			return -EINVAL;
		}
		if (get16(imp->fns[i]->config) == 0xffff)
			imp->fns[i]->virtfn = true;
	}
	switch (find_domains(imp)) {
	case 0:
		break;
	case -ENOMEM:
		return -ENOMEM;
	default:
		pci_import_tell(error, name, 0, "too many domains");
		return -EINVAL;
	}
	imp->acs_as_found = !imp->tells_groups || iommu_was_on(imp);
	find_virtual_functions(imp);
	find_multifunction(imp);
	take_paths(imp);
	find_bridges(imp);
	find_lost(imp);
	return 0;
}
