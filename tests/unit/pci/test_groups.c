// SPDX-License-Identifier: MIT
/*
 * Groups from dumps: every recorded topology gives the partition that Linux 7.0 formed.
 * topologies.txt is what pack-topologies.py makes of the recordings; one state after a
 * hot-plug is known to need the order of arrival, which a dump does not tell.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "iommu/pci_group.h"
#include "pci/dump.h"

#define MAX_DEVICES 256
#define NEEDS_ORDER "085-remove-rescan-mf-rp-nobit/state2"

static char *lines[4096], *fns[4096];
static const char *topologies_path;

struct device_line {
	char bdf[16];
	int expected; /* group, -1: none */
	int group;
	struct pci_dev *pdev;
};

static struct {
	char name[128];
	struct device_line dev[MAX_DEVICES];
	unsigned nr;
	char *text;
	size_t len;
	unsigned checked, wrong;
} topo;

/* The text that lspci printed, from a packed function. */
static void unpack(FILE *out, const char *bdf, const char *fn)
{
	unsigned len, at, off, line, n;
	const char *p = fn;
	static const char zeroes[] = "00000000000000000000000000000000";

	assert_int_equal(sscanf(p, "%u%n", &len, &n), 1);
	p += n;
	fprintf(out, "%s 0000: 0000:0000\n", bdf);
	for (at = 0; at < len; at += 16) {
		const char *hex = zeroes;

		if (sscanf(p, " %x:L%u%n", &off, &line, &n) == 2 && off == at) {
			hex = lines[line];
			p += n;
		}
		fprintf(out, "%02x:", at);
		for (unsigned i = 0; i < 16; i++)
			fprintf(out, " %.2s", hex + 2 * i);
		fputc('\n', out);
	}
	fputc('\n', out);
}

static void *get_group(struct pci_dev *pdev, void *data)
{
	for (unsigned i = 0; i < topo.nr; i++) {
		if (topo.dev[i].pdev == pdev && topo.dev[i].group >= 0)
			return (void *)(uintptr_t)(topo.dev[i].group + 1);
	}
	return NULL;
}

static bool same_partition(void)
{
	for (unsigned i = 0; i < topo.nr; i++) {
		for (unsigned j = 0; j < i; j++) {
			if (topo.dev[i].expected < 0 || topo.dev[j].expected < 0)
				continue;
			if ((topo.dev[i].expected == topo.dev[j].expected) !=
			    (topo.dev[i].group == topo.dev[j].group)) {
				print_message("%s: %s and %s\n", topo.name,
					      topo.dev[j].bdf, topo.dev[i].bdf);
				return false;
			}
		}
	}
	return true;
}

static void check_topology(void)
{
	struct pci_host *host;
	char *error = NULL;
	int next = 0, ret;

	if (!topo.nr)
		return;
	ret = pci_dump_parse(topo.name, topo.text, topo.len, &host, &error);
	if (ret)
		print_message("%s", error ? error : "?");
	assert_int_equal(ret, 0);
	for (unsigned i = 0; i < topo.nr; i++) {
		unsigned seg, bus, slot, fn;

		sscanf(topo.dev[i].bdf, "%x:%x:%x.%x", &seg, &bus, &slot, &fn);
		topo.dev[i].pdev = pci_get_domain_bus_and_slot(host, (u16)seg, (u8)bus,
							       (u8)PCI_DEVFN(slot, fn));
		assert_non_null(topo.dev[i].pdev);
		put_device(&topo.dev[i].pdev->dev);
	}
	for (unsigned i = 0; i < topo.nr; i++) {
		void *with;

		if (topo.dev[i].expected < 0)
			continue;
		with = pci_find_group(topo.dev[i].pdev, get_group, NULL, NULL);
		topo.dev[i].group = with ? (int)(uintptr_t)with - 1 : next++;
	}
	topo.checked++;
	if (!strcmp(topo.name, NEEDS_ORDER))
		assert_false(same_partition());
	else
		topo.wrong += !same_partition();
	pci_dump_free(host);
}

static void groups_of_recorded_topologies_match(void **state)
{
	FILE *f = fopen(topologies_path, "r"), *text = NULL;
	static char buf[65536];
	s64 live = alloc_live_count();

	assert_non_null(f);
	while (fgets(buf, sizeof(buf), f)) {
		unsigned id, n;
		char fn[16], group[16];

		buf[strcspn(buf, "\n")] = 0;
		if (sscanf(buf, "L%u %n", &id, (int *)&n) == 1) {
			assert_true(id < 4096);
			lines[id] = strdup(buf + n);
		} else if (sscanf(buf, "F%u %n", &id, (int *)&n) == 1) {
			assert_true(id < 4096);
			fns[id] = strdup(buf + n);
		} else if (buf[0] == 'T') {
			if (text) {
				fclose(text);
				check_topology();
				free(topo.text);
			}
			snprintf(topo.name, sizeof(topo.name), "%.100s", buf + 2);
			topo.nr = 0;
			text = open_memstream(&topo.text, &topo.len);
		} else {
			struct device_line *d = &topo.dev[topo.nr++];

			assert_true(topo.nr <= MAX_DEVICES);
			assert_int_equal(
				sscanf(buf, "D %15s F%15s %15s", d->bdf, fn, group), 3);
			d->expected = group[0] == '-' ? -1 : atoi(group);
			d->group = -1;
			unpack(text, d->bdf, fns[atoi(fn)]);
		}
	}
	fclose(text);
	check_topology();
	free(topo.text);
	fclose(f);
	for (unsigned i = 0; i < 4096; i++) {
		free(lines[i]);
		free(fns[i]);
	}
	print_message("%u topologies\n", topo.checked);
	assert_int_equal(topo.wrong, 0);
	assert_true(topo.checked >= 92);
	assert_int_equal(alloc_live_count(), live);
}

static void expect_error(const char *text, const char *want)
{
	struct pci_host *host;
	char *error = NULL;

	assert_int_equal(pci_dump_parse("d", text, strlen(text), &host, &error), -EINVAL);
	assert_non_null(error);
	if (strncmp(error, want, strlen(want)))
		print_message("got: %s", error);
	assert_int_equal(strncmp(error, want, strlen(want)), 0);
	free(error);
}

static void dump_defects_tell_the_line(void **state)
{
	expect_error("", "d: no PCI function");
	expect_error("hello\nworld\n", "d: no PCI function");
	expect_error("00:00.0 Host\n00: 86 80\n", "d:2: not 16 bytes");
	expect_error(
		"00:00.0 Host\n10: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n",
		"d:2: not 16 bytes");
	expect_error("00:00.0 Host\nControl: x\n", "d:1: the registers of this function");
}

/* A bridge whose secondary bus is its own, and two that claim the same one. */
static void dump_with_odd_bridges_ends(void **state)
{
	static const char line[] =
		"%s 0604: 0000:0000\n"
		"00: 36 1b 0c 00 00 00 00 00 00 00 04 06 00 00 01 00\n"
		"10: 00 00 00 00 00 00 00 00 %s 00 00 00 00 00\n"
		"20: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n"
		"30: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n";
	static const char *const cases[][4] = {
		{"0000:00:01.0", "00 00 ff", "0000:01:00.0", "01 01 ff"},
		{"0000:00:01.0", "00 01 ff", "0000:00:02.0", "00 01 02"},
		{"0000:05:01.0", "00 03 ff", "0000:03:02.0", "00 05 05"},
	};
	struct pci_host *host;
	char text[2048], *error;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		int n = snprintf(text, sizeof(text), line, cases[i][0], cases[i][1]);

		n += snprintf(text + n, sizeof(text) - n, line, cases[i][2], cases[i][3]);
		assert_int_equal(pci_dump_parse("d", text, n, &host, &error), 0);
		pci_dump_free(host);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_of_recorded_topologies_match),
		cmocka_unit_test(dump_defects_tell_the_line),
		cmocka_unit_test(dump_with_odd_bridges_ends),
	};

	topologies_path = argc > 1 ? argv[1] : "topologies.txt";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
