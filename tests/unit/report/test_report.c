// SPDX-License-Identifier: MIT
/*
 * The report: where a faulting IOVA lies, what is told apart and what is counted
 * together, and that both formats say the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "server/report.h"

struct fixture {
	struct machine *m;
	struct report *r;
	struct device dev;
	struct call call;
	u64 frames[2];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(machine_create(&f->m, SZ_2M, 4, ""), 0);
	f->m->hw.functions[1].bdf = 0x20;
	assert_int_equal(report_attach(f->m, &f->r), 0);
	f->dev.hw_function = 1;
	f->call.machine = f->m;
	f->call.pid = (u32)getpid();
	f->frames[0] = (u64)(uintptr_t)setup + 4;
	f->call.frames = f->frames;
	f->call.nr_frames = 1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	report_free(f->r);
	machine_destroy(f->m);
	free(f);
	return 0;
}

static void map(struct fixture *f, iova_t iova, u64 len, unsigned prot)
{
	f->m->events->map(f->m, &f->call, 7, iova, iova + len - 1, 0x10000, prot);
}

static void fault(struct fixture *f, u8 class, u8 access, iova_t iova)
{
	struct dma_fault fault = {
		.function = 1,
		.sid = 0x20,
		.access = access,
		.class = class,
		.unit = 0xffff,
		.pasid = NO_PASID,
		.iova = iova,
		.len = 64,
	};

	f->m->events->fault(f->m, &fault, 4711, 1, f->frames);
}

static char *text(struct fixture *f)
{
	char *buf = NULL;
	size_t size;
	FILE *out = open_memstream(&buf, &size);

	report_print(f->r, out, REPORT_TEXT, NULL);
	fclose(out);
	return buf;
}

static json_t *json(struct fixture *f)
{
	char *buf = NULL;
	size_t size;
	FILE *out = open_memstream(&buf, &size);
	json_error_t error;
	json_t *root;

	report_print(f->r, out, REPORT_JSON, NULL);
	fclose(out);
	root = json_loads(buf, 0, &error);
	if (!root)
		fail_msg("%s in %s", error.text, buf);
	free(buf);
	return root;
}

static void expect(struct fixture *f, const char *title, const char *where)
{
	char *t = text(f);

	if (!strstr(t, title) || !strstr(t, where))
		fail_msg("\"%s\" and \"%s\" not in:\n%s", title, where, t);
	free(t);
}

static void report_nothing_happened_prints_nothing(void **state)
{
	struct fixture *f = *state;
	char *t = text(f);

	assert_string_equal(t, "");
	assert_true(report_is_empty(f->r));
	free(t);
}

static void report_fault_past_end_says_how_far(void **state)
{
	struct fixture *f = *state;

	f->m->events->attach(f->m, &f->dev, 7);
	map(f, 0x1000, 0x1000, DMA_MAP_READ | DMA_MAP_WRITE);
	fault(f, FAULT_NOT_PRESENT, DMA_WRITE, 0x2010);
	expect(f, "DMA past the end of a mapping",
	       "is 16 bytes past the end of the 4096-byte");
	assert_int_equal(report_errors(f->r), 1);
}

static void report_fault_after_unmap_names_both_traces(void **state)
{
	struct fixture *f = *state;

	f->m->events->attach(f->m, &f->dev, 7);
	map(f, 0x1000, 0x1000, DMA_MAP_READ);
	f->m->events->unmap(f->m, &f->call, 7, 0x1000, 0x1fff);
	fault(f, FAULT_NOT_PRESENT, DMA_READ, 0x1800);
	expect(f, "DMA after unmap", "which was unmapped");
	expect(f, "  mapped by process", "  unmapped by process");
	expect(f, "READ of 64 bytes at IOVA 0x1800 by 0000:00:04.0", "test-report");
}

static void report_write_to_readonly_mapping_is_named(void **state)
{
	struct fixture *f = *state;

	f->m->events->attach(f->m, &f->dev, 7);
	map(f, 0x1000, 0x1000, DMA_MAP_READ);
	fault(f, FAULT_WRITE, DMA_WRITE, 0x1008);
	expect(f, "DMA write to a read-only mapping", "is 8 bytes inside");
}

static void report_newest_of_dead_mappings_is_named(void **state)
{
	struct fixture *f = *state;

	f->m->events->attach(f->m, &f->dev, 7);
	map(f, 0x1000, 0x1000, DMA_MAP_READ);
	f->m->events->unmap(f->m, &f->call, 7, 0x1000, 0x1fff);
	map(f, 0x0, 0x4000, DMA_MAP_READ);
	f->m->events->unmap(f->m, &f->call, 7, 0, 0x3fff);
	fault(f, FAULT_NOT_PRESENT, DMA_READ, 0x1800);
	expect(f, "DMA after unmap", "16384-byte");
}

static void report_fault_far_from_everything_says_so(void **state)
{
	struct fixture *f = *state;

	f->m->events->attach(f->m, &f->dev, 7);
	map(f, 0x1000, 0x1000, DMA_MAP_READ);
	fault(f, FAULT_NOT_PRESENT, DMA_READ, ~0ULL - 63);
	expect(f, "DMA to an address that was never mapped",
	       "lies in no mapping, now or before");
}

static void report_repeated_fault_is_counted(void **state)
{
	struct fixture *f = *state;
	json_t *root, *records;

	for (int i = 0; i < 5; i++)
		fault(f, FAULT_BLOCKED, DMA_READ, 0x5000);
	fault(f, FAULT_BLOCKED, DMA_READ, 0x6000);
	expect(f, "attached to nothing (5 times)", "SUMMARY: Moat: 6 errors, 0 warnings");
	root = json(f);
	records = json_object_get(root, "records");
	assert_int_equal(json_array_size(records), 2);
	assert_int_equal(
		json_integer_value(json_object_get(json_array_get(records, 0), "count")),
		5);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(records, 0), "kind")),
		"blocked");
	json_decref(root);
}

static void report_many_different_faults_are_bounded(void **state)
{
	struct fixture *f = *state;
	json_t *root;

	for (u64 i = 0; i < 1000; i++)
		fault(f, FAULT_NOT_PRESENT, DMA_READ, i * PAGE_SIZE);
	root = json(f);
	assert_int_equal(json_array_size(json_object_get(root, "records")), 256);
	assert_int_equal(json_integer_value(json_object_get(root, "not_listed")), 744);
	assert_int_equal(json_integer_value(json_object_get(root, "errors")), 1000);
	json_decref(root);
}

static void report_fault_of_absurd_function_is_ignored(void **state)
{
	struct fixture *f = *state;
	struct dma_fault bad = {.function = 0xffffffff};

	f->m->events->fault(f->m, &bad, 1, 0, NULL);
	assert_true(report_is_empty(f->r));
}

static void report_mappings_left_are_a_warning(void **state)
{
	struct fixture *f = *state;

	map(f, 0x1000, 0x1000, DMA_MAP_READ);
	map(f, 0x3000, 0x1000, DMA_MAP_READ);
	f->m->events->space_gone(f->m, 7, 2);
	expect(f, "WARNING: Moat: mappings left",
	       "2 mappings, the first at IOVA [0x1000, 0x1fff]");
	assert_int_equal(report_errors(f->r), 0);
}

static void report_blocked_interrupt_shows_message(void **state)
{
	struct fixture *f = *state;
	struct dma_fault irq = {
		.function = 1,
		.class = FAULT_IRQ,
		.iova = 0xfee00000,
		.irq_data = 0x1234,
		.unit = 0xffff,
		.pasid = NO_PASID,
	};

	f->m->events->fault(f->m, &irq, 1, 0, NULL);
	expect(f, "interrupt blocked", "message 0x1234 written to 0xfee00000");
}

static void report_million_dead_mappings_keep_memory_bounded(void **state)
{
	struct fixture *f = *state;
	s64 live;

	for (u64 i = 0; i < 10000; i++)
		map(f, i * PAGE_SIZE, PAGE_SIZE, DMA_MAP_READ);
	f->m->events->unmap(f->m, &f->call, 7, 0, ~0ULL);
	live = alloc_live_count();
	for (u64 i = 0; i < 10000; i++) {
		map(f, i * PAGE_SIZE, PAGE_SIZE, DMA_MAP_READ);
		f->m->events->unmap(f->m, &f->call, 7, i * PAGE_SIZE, i * PAGE_SIZE + 1);
	}
	assert_int_equal(alloc_live_count(), live);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(report_nothing_happened_prints_nothing),
		TEST(report_fault_past_end_says_how_far),
		TEST(report_fault_after_unmap_names_both_traces),
		TEST(report_write_to_readonly_mapping_is_named),
		TEST(report_newest_of_dead_mappings_is_named),
		TEST(report_fault_far_from_everything_says_so),
		TEST(report_repeated_fault_is_counted),
		TEST(report_many_different_faults_are_bounded),
		TEST(report_fault_of_absurd_function_is_ignored),
		TEST(report_mappings_left_are_a_warning),
		TEST(report_blocked_interrupt_shows_message),
		TEST(report_million_dead_mappings_keep_memory_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
