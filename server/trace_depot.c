// SPDX-License-Identifier: MIT
/*
 * A hash of traces by process and addresses, and for each process the table of its
 * executable mappings, read from /proc when an address is not covered by it.
 */
#include "server/trace_depot.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define NR_BUCKETS 1024

struct module {
	u64 start, last, offset;
	char *path; /* in depot->paths */
};

struct process {
	struct process *next;
	u32 pid;
	u32 image; /* counts programs that this process has executed */
	char comm[16];
	size_t nr, capacity;
	struct module *modules; /* ascending */
};

/* Paths live as long as the depot, since frames point at them. */
struct path {
	struct path *next;
	char name[];
};

struct trace_depot {
	struct trace *bucket[NR_BUCKETS];
	struct process *processes;
	struct path *paths;
};

struct trace_depot *trace_depot_create(void)
{
	return kzalloc(sizeof(struct trace_depot));
}

static void process_free(struct process *p)
{
	kfree(p->modules);
	kfree(p);
}

void trace_depot_free(struct trace_depot *depot)
{
	if (!depot)
		return;
	for (size_t i = 0; i < NR_BUCKETS; i++) {
		while (depot->bucket[i]) {
			struct trace *t = depot->bucket[i];

			depot->bucket[i] = t->next;
			kfree(t);
		}
	}
	while (depot->processes) {
		struct process *p = depot->processes;

		depot->processes = p->next;
		process_free(p);
	}
	while (depot->paths) {
		struct path *p = depot->paths;

		depot->paths = p->next;
		kfree(p);
	}
	kfree(depot);
}

static char *path_intern(struct trace_depot *depot, const char *name)
{
	struct path *p;

	for (p = depot->paths; p; p = p->next) {
		if (!strcmp(p->name, name))
			return p->name;
	}
	p = kzalloc(sizeof(*p) + strlen(name) + 1);
	if (!p)
		return NULL;
	strcpy(p->name, name);
	p->next = depot->paths;
	depot->paths = p;
	return p->name;
}

static void module_append(struct trace_depot *depot, struct process *p, u64 start,
			  u64 end, u64 offset, const char *path)
{
	if (p->nr == p->capacity) {
		size_t capacity = p->capacity ? 2 * p->capacity : 32;
		struct module *more = kcalloc(capacity, sizeof(*more));

		if (!more)
			return;
		if (p->nr)
			memcpy(more, p->modules, p->nr * sizeof(*more));
		kfree(p->modules);
		p->modules = more;
		p->capacity = capacity;
	}
	p->modules[p->nr++] = (struct module){
		.start = start,
		.last = end - 1,
		.offset = offset,
		.path = path_intern(depot, path),
	};
}

static void process_read_maps(struct trace_depot *depot, struct process *p)
{
	char name[64], line[4096 + 128];
	FILE *maps;

	snprintf(name, sizeof(name), "/proc/%u/maps", p->pid);
	maps = fopen(name, "re");
	if (!maps)
		return;
	p->nr = 0;
	while (fgets(line, sizeof(line), maps)) {
		u64 start, end, offset;
		char perms[5];
		int at = 0;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*s %*s %n",
			   &start, &end, perms, &offset, &at) < 4 ||
		    perms[2] != 'x' || !at || line[at] != '/')
			continue;
		line[strcspn(line, "\n")] = '\0';
		module_append(depot, p, start, end, offset, line + at);
	}
	fclose(maps);

	snprintf(name, sizeof(name), "/proc/%u/comm", p->pid);
	maps = fopen(name, "re");
	if (!maps)
		return;
	if (fgets(p->comm, sizeof(p->comm), maps))
		p->comm[strcspn(p->comm, "\n")] = '\0';
	fclose(maps);
}

static const struct module *module_find(const struct process *p, u64 pc)
{
	size_t low = 0, high = p->nr;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (pc < p->modules[mid].start)
			high = mid;
		else if (pc > p->modules[mid].last)
			low = mid + 1;
		else
			return &p->modules[mid];
	}
	return NULL;
}

static struct process *process_get(struct trace_depot *depot, u32 pid)
{
	struct process *p;

	for (p = depot->processes; p; p = p->next) {
		if (p->pid == pid)
			return p;
	}
	p = kzalloc(sizeof(*p));
	if (!p)
		return NULL;
	p->pid = pid;
	p->next = depot->processes;
	depot->processes = p;
	return p;
}

void trace_depot_exec(struct trace_depot *depot, u32 pid)
{
	struct process *p = process_get(depot, pid);

	if (!p)
		return;
	p->image++;
	p->nr = 0;
}

static u32 trace_hash(u32 pid, u32 nr, const u64 *frames)
{
	u64 h = pid * 0x9e3779b97f4a7c15ULL;

	for (u32 i = 0; i < nr; i++)
		h = (h ^ frames[i]) * 0x9e3779b97f4a7c15ULL;
	return (h >> 32) % NR_BUCKETS;
}

static bool trace_is(const struct trace *t, const struct process *p, u32 nr,
		     const u64 *frames)
{
	if (t->pid != p->pid || t->image != p->image || t->nr_frames != nr)
		return false;
	for (u32 i = 0; i < nr; i++) {
		if (t->frame[i].pc != frames[i])
			return false;
	}
	return true;
}

static struct trace *trace_create(struct trace_depot *depot, struct process *p, u32 nr,
				  const u64 *frames)
{
	struct trace *t = kzalloc(sizeof(*t) + nr * sizeof(t->frame[0]));
	bool fresh = false;

	if (!t)
		return NULL;
	t->pid = p->pid;
	t->image = p->image;
	t->nr_frames = nr;
	for (u32 i = 0; i < nr; i++) {
		const struct module *m = module_find(p, frames[i]);

		/* A library loaded since, or a new program after exec. */
		if (!m && !fresh) {
			process_read_maps(depot, p);
			fresh = true;
			m = module_find(p, frames[i]);
		}
		t->frame[i].pc = frames[i];
		if (m) {
			t->frame[i].path = m->path;
			t->frame[i].offset = frames[i] - m->start + m->offset;
		}
	}
	memcpy(t->comm, p->comm, sizeof(t->comm));
	return t;
}

const struct trace *trace_depot_get(struct trace_depot *depot, u32 pid, u32 nr_frames,
				    const u64 *frames)
{
	u32 nr = min_t(u32, nr_frames, TRACE_MAX_FRAMES);
	struct process *p = nr ? process_get(depot, pid) : NULL;
	struct trace **head, *t;

	if (!p)
		return NULL;
	head = &depot->bucket[trace_hash(pid, nr, frames)];
	for (t = *head; t; t = t->next) {
		if (trace_is(t, p, nr, frames))
			return t;
	}
	t = trace_create(depot, p, nr, frames);
	if (t) {
		t->next = *head;
		*head = t;
	}
	return t;
}
