// SPDX-License-Identifier: MIT
/*
 * moat groups: which IOMMU groups Linux forms on a machine, by the same code that forms
 * them here, and why.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/cli.h"
#include "iommu/pci_group.h"
#include "pci/dump.h"

/* A group, or the lack of one, by the device's place in the list. */
struct member {
	struct pci_dev *pdev;
	struct pci_group_result why;
	int id;	    /* in order of arrival; -1: no group */
	int number; /* by the smallest address in it */
};

struct analysis {
	struct member *members; /* in order of arrival */
	unsigned nr;
	int nr_groups;
};

static struct member *member_of(struct analysis *a, const struct pci_dev *pdev)
{
	for (unsigned i = 0; i < a->nr; i++) {
		if (a->members[i].pdev == pdev)
			return &a->members[i];
	}
	return NULL;
}

/* A group is known by its first member. */
static void *get_group(struct pci_dev *pdev, void *data)
{
	struct analysis *a = data;
	struct member *m = member_of(a, pdev);

	if (!m || m->id < 0)
		return NULL;
	for (unsigned i = 0; i < a->nr; i++) {
		if (a->members[i].id == m->id)
			return &a->members[i];
	}
	return NULL;
}

/* In a comma-separated list of addresses, with or without a domain. */
static bool listed(const char *list, const struct pci_dev *pdev)
{
	const char *name = pci_name(pdev);

	for (const char *p = list; p && *p;) {
		size_t n = strcspn(p, ",");

		if ((n == 12 && !strncmp(p, name, n)) ||
		    (n == 7 && !pdev->bus->domain && !strncmp(p, name + 5, n)))
			return true;
		p += n + (p[n] == ',');
	}
	return false;
}

static bool has_no_group(const struct pci_dev *pdev, const char *exclude)
{
	/* An AMD IOMMU does not translate for itself. */
	return listed(exclude, pdev) || (pdev->class >> 8 == PCI_CLASS_SYSTEM_IOMMU &&
					 pdev->vendor == PCI_VENDOR_ID_AMD);
}

static int by_address(const void *x, const void *y)
{
	return strcmp(pci_name((*(struct member *const *)x)->pdev),
		      pci_name((*(struct member *const *)y)->pdev));
}

/* Members sorted by address; groups numbered in that order. */
static struct member **sorted(struct analysis *a)
{
	struct member **s = kcalloc(a->nr + 1, sizeof(*s));
	int next = 0;

	if (!s)
		return NULL;
	for (unsigned i = 0; i < a->nr; i++)
		s[i] = &a->members[i];
	qsort(s, a->nr, sizeof(*s), by_address);
	for (unsigned i = 0; i < a->nr; i++) {
		s[i]->number = -1;
		if (s[i]->id < 0)
			continue;
		for (unsigned j = 0; j < i; j++) {
			if (s[j]->id == s[i]->id)
				s[i]->number = s[j]->number;
		}
		if (s[i]->number < 0)
			s[i]->number = next++;
	}
	return s;
}

static int analyse(struct pci_host *host, const char *exclude, struct analysis *a)
{
	struct pci_dev *pdev;
	unsigned n = 0;

	list_for_each_entry(pdev, &host->devices, host_node)
		n++;
	a->members = kcalloc(n + 1, sizeof(*a->members));
	if (!a->members)
		return -ENOMEM;
	list_for_each_entry(pdev, &host->devices, host_node)
		a->members[a->nr++] = (struct member){.pdev = pdev, .id = -1};
	for (unsigned i = 0; i < a->nr; i++) {
		struct member *m = &a->members[i], *with;

		if (has_no_group(m->pdev, exclude))
			continue;
		with = pci_find_group(m->pdev, get_group, a, &m->why);
		m->id = with ? with->id : a->nr_groups++;
	}
	return 0;
}

static void print_reason(const struct member *m)
{
	const struct pci_group_result *why = &m->why;
	const char *with = why->with ? pci_name(why->with) : NULL;
	const char *top = why->top ? pci_name(why->top) : NULL;

	switch (why->reason) {
	case PCI_GROUP_OWN:
		printf("isolated from what is there before it");
		break;
	case PCI_GROUP_ALIAS:
		printf("its DMA carries the requester id of the bridge %s", top);
		break;
	case PCI_GROUP_NO_ACS:
		printf("the path through %s lacks ACS: peers can be reached below the "
		       "IOMMU",
		       top);
		break;
	case PCI_GROUP_DMA_ALIAS:
		printf("shares a requester id with %s", with ? with : "another device");
		break;
	case PCI_GROUP_MULTIFUNCTION:
		printf("function of one slot with %s, and neither isolates itself (ACS)",
		       with ? with : "another");
		break;
	}
}

static void print_text(struct member **s, unsigned nr, int nr_groups)
{
	for (int g = 0; g < nr_groups; g++) {
		printf("group %d\n", g);
		for (unsigned i = 0; i < nr; i++) {
			if (s[i]->number != g)
				continue;
			printf("  %s %04x:%04x  ", pci_name(s[i]->pdev),
			       s[i]->pdev->vendor, s[i]->pdev->device);
			print_reason(s[i]);
			putchar('\n');
		}
	}
	for (unsigned i = 0; i < nr; i++) {
		if (s[i]->id < 0)
			printf("no group: %s\n", pci_name(s[i]->pdev));
	}
}

static void print_tsv(struct member **s, unsigned nr, int nr_groups)
{
	for (int g = 0; g < nr_groups; g++) {
		for (unsigned i = 0; i < nr; i++) {
			if (s[i]->number == g)
				printf("%d\t%s\n", g, pci_name(s[i]->pdev));
		}
	}
}

static char *read_all(FILE *f, size_t *len)
{
	char *buf = NULL, *more;
	size_t max = 0, n;

	*len = 0;
	do {
		if (max - *len < 65536) {
			max = max ? 2 * max : 1U << 17;
			more = max <= 1U << 28 ? krealloc(buf, max) : NULL;
			if (!more) {
				kfree(buf);
				errno = ENOMEM;
				return NULL;
			}
			buf = more;
		}
		n = fread(buf + *len, 1, max - *len, f);
		*len += n;
	} while (n);
	if (ferror(f)) {
		kfree(buf);
		return NULL;
	}
	return buf;
}

static int load(const char *path, struct pci_host **host)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "re") : stdin;
	size_t len = 0;
	char *text = f ? read_all(f, &len) : NULL, *error = NULL;
	int ret;

	if (!text) {
		fprintf(stderr, "moat groups: %s: %s\n", path, strerror(errno));
		if (f && f != stdin)
			fclose(f);
		return 1;
	}
	if (f != stdin)
		fclose(f);
	ret = pci_dump_parse(strcmp(path, "-") ? path : "standard input", text, len, host,
			     &error);
	kfree(text);
	if (ret)
		fputs(error ? error : "moat groups: out of memory\n", stderr);
	free(error);
	return ret ? 1 : 0;
}

int cmd_groups(int argc, char **argv)
{
	const char *lspci = NULL, *format = "text", *exclude = NULL;
	struct analysis a = {0};
	struct pci_host *host;
	struct member **s;
	int ret;

	for (int i = 1; i < argc; i++) {
		const char *missing = argv[i];

		ret = option_value(argc, argv, &i, "--lspci", &lspci);
		if (!ret)
			ret = option_value(argc, argv, &i, "--format", &format);
		if (!ret)
			ret = option_value(argc, argv, &i, "--exclude", &exclude);
		if (ret < 0)
			return usage_error("groups", "option '%s' wants a value",
					   missing);
		if (!ret)
			return usage_error("groups", "unknown argument '%s'", argv[i]);
	}
	if (!lspci)
		return usage_error("groups", "which machine? --lspci FILE is missing");
	if (strcmp(format, "text") && strcmp(format, "tsv"))
		return usage_error("groups", "--format wants text or tsv, not '%s'",
				   format);
	ret = load(lspci, &host);
	if (ret)
		return ret;
	s = analyse(host, exclude, &a) ? NULL : sorted(&a);
	if (s)
		(strcmp(format, "tsv") ? print_text : print_tsv)(s, a.nr, a.nr_groups);
	else
		fprintf(stderr, "moat groups: out of memory\n");
	ret = !s;
	kfree(s);
	kfree(a.members);
	pci_dump_free(host);
	return ret;
}
