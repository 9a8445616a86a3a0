// SPDX-License-Identifier: MIT
/*
 * The pci.ids file, read whole and cut into strings in place: vendors at column 0,
 * devices one tab in, subsystems two; then classes, "C xx" and subclasses one tab in.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "pci/ids.h"

struct entry {
	u32 id; /* vendor << 16 | device; of a vendor: its id << 16 | ffff, first */
	const char *name;
};

static struct {
	char *text;
	struct entry *vendors, *devices, *classes;
	unsigned nr_vendors, nr_devices, nr_classes;
	unsigned max_vendors, max_devices, max_classes;
	/* Vendors by the first character of their name: 1 + index, chained. */
	unsigned first[256], *next;
} ids;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool add(struct entry **list, unsigned *nr, unsigned *max, u32 id,
		const char *name)
{
	if (*nr == *max) {
		unsigned m = *max ? 2 * *max : 4096;
		struct entry *more = realloc(*list, m * sizeof(*more));

		if (!more)
			return false;
		*list = more;
		*max = m;
	}
	(*list)[(*nr)++] = (struct entry){id, name};
	return true;
}

static int by_id(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static void parse(char *p)
{
	u32 vendor = 0, base = 0;
	bool classes = false, other = false, ok = true;
	char *line;

	while (ok && (line = strsep(&p, "\n"))) {
		char *end;
		unsigned long id;

		if (!*line || *line == '#' || (line[0] == '\t' && line[1] == '\t'))
			continue;
		if (*line == '\t') {
			id = strtoul(line + 1, &end, 16);
			end += strspn(end, " ");
			if (other || !*end)
				continue;
			ok = classes ? add(&ids.classes, &ids.nr_classes,
					   &ids.max_classes, base << 8 | (u32)(id & 0xff),
					   end)
				     : add(&ids.devices, &ids.nr_devices,
					   &ids.max_devices,
					   vendor << 16 | (u32)(id & 0xffff), end);
			continue;
		}
		if (line[0] == 'C' && line[1] == ' ') {
			classes = true;
			base = (u32)strtoul(line + 2, NULL, 16) & 0xff;
			continue;
		}
		id = strtoul(line, &end, 16);
		other = classes || end != line + 4;
		end += strspn(end, " ");
		if (other || !*end)
			continue;
		vendor = (u32)id;
		ok = add(&ids.vendors, &ids.nr_vendors, &ids.max_vendors, vendor, end);
	}
	qsort(ids.vendors, ids.nr_vendors, sizeof(struct entry), by_id);
	qsort(ids.devices, ids.nr_devices, sizeof(struct entry), by_id);
	qsort(ids.classes, ids.nr_classes, sizeof(struct entry), by_id);
	ids.next = calloc(ids.nr_vendors + 1, sizeof(*ids.next));
	for (unsigned i = 0; ids.next && i < ids.nr_vendors; i++) {
		unsigned char c = (unsigned char)ids.vendors[i].name[0];

		ids.next[i] = ids.first[c];
		ids.first[c] = i + 1;
	}
}

static void load(void)
{
	static const char *const paths[] = {
		"/usr/share/misc/pci.ids",
		"/usr/share/hwdata/pci.ids",
		"/usr/share/pci.ids",
	};
	size_t size = 0;
	FILE *f = NULL;
	ssize_t n;

	for (unsigned i = 0; i < ARRAY_SIZE(paths) && !f; i++)
		f = fopen(paths[i], "re");
	if (!f)
		return;
	n = getdelim(&ids.text, &size, '\0', f);
	fclose(f);
	if (n > 0)
		parse(ids.text);
}

static const char *find(const struct entry *list, unsigned nr, u32 id)
{
	struct entry want = {.id = id}, *e;

	e = nr ? bsearch(&want, list, nr, sizeof(want), by_id) : NULL;
	return e ? e->name : NULL;
}

const char *pci_ids_vendor(u16 vendor)
{
	pthread_once(&once, load);
	return find(ids.vendors, ids.nr_vendors, vendor);
}

const char *pci_ids_device(u16 vendor, u16 device)
{
	pthread_once(&once, load);
	return find(ids.devices, ids.nr_devices, (u32)vendor << 16 | device);
}

const char *pci_ids_class(u16 class)
{
	pthread_once(&once, load);
	return find(ids.classes, ids.nr_classes, class);
}

bool pci_ids_find_vendor(const char *text, u16 *vendor, const char **rest)
{
	size_t best = 0;

	pthread_once(&once, load);
	for (unsigned i = ids.next ? ids.first[(unsigned char)*text] : 0; i;
	     i = ids.next[i - 1]) {
		const char *name = ids.vendors[i - 1].name;
		size_t n = strlen(name);

		if (n > best && !strncmp(text, name, n) && (!text[n] || text[n] == ' ')) {
			best = n;
			*vendor = (u16)ids.vendors[i - 1].id;
		}
	}
	if (best)
		*rest = text + best + (text[best] == ' ');
	return best;
}

bool pci_ids_find_device(u16 vendor, const char *name, size_t len, u16 *device)
{
	unsigned lo = 0, hi = ids.nr_devices;

	pthread_once(&once, load);
	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (ids.devices[mid].id < (u32)vendor << 16)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < ids.nr_devices && ids.devices[lo].id >> 16 == vendor; lo++) {
		if (strlen(ids.devices[lo].name) == len &&
		    !strncmp(ids.devices[lo].name, name, len)) {
			*device = (u16)ids.devices[lo].id;
			return true;
		}
	}
	return false;
}

bool pci_ids_find_class(const char *name, size_t len, u16 *class)
{
	pthread_once(&once, load);
	for (unsigned i = 0; i < ids.nr_classes; i++) {
		if (strlen(ids.classes[i].name) == len &&
		    !strncmp(ids.classes[i].name, name, len)) {
			*class = (u16)ids.classes[i].id;
			return true;
		}
	}
	return false;
}
