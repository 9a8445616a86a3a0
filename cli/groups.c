// SPDX-License-Identifier: MIT
/*
 * moat groups: which IOMMU groups Linux forms on a machine, by the same code that forms
 * them here, and why. One machine, or many side by side (--list, --jobs): each is read,
 * shown and forgotten, so memory does not grow.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/cli.h"
#include "cli/groups.h"

enum kind { SYSFS, LSPCI, DMESG };
enum format { TEXT, TSV, JSON, NDJSON, DOT };

struct options {
	enum kind kind;
	const char *path, *log, *exclude, *diff, *list, *jobs;
	const char *explain[2], *passthrough;
	const char *what_if[16];
	unsigned nr_what_if;
	enum format format;
};

static char *read_all(FILE *f, size_t *len)
{
	char *buf = NULL, *more;
	size_t max = 0, n;

	*len = 0;
	do {
		if (max - *len < 65536) {
			max = max ? 2 * max : 1U << 17;
			more = max <= 1U << 29 ? krealloc(buf, max) : NULL;
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

static int read_text(struct pci_import *imp, enum kind kind, const char *path,
		     char **error)
{
	bool standard = !strcmp(path, "-");
	FILE *f = standard ? stdin : fopen(path, "re");
	size_t len = 0;
	char *text = f ? read_all(f, &len) : NULL;
	int ret;

	if (!text) {
		pci_import_tell(error, path, 0, "%s", strerror(errno));
		ret = -EINVAL;
	} else if (kind == DMESG) {
		ret = pci_import_dmesg(imp, standard ? "standard input" : path, text, len,
				       error);
	} else {
		ret = pci_import_lspci(imp, standard ? "standard input" : path, text, len,
				       error);
	}
	kfree(text);
	if (f && !standard)
		fclose(f);
	return ret;
}

/* What a boot log of the same machine adds to other sources: groups, VMD domains. */
static int add_log(struct pci_import *imp, const char *path, char **error)
{
	struct pci_import *log = pci_import_alloc();
	int ret = log ? read_text(log, DMESG, path, error) : -ENOMEM;

	if (!ret) {
		pci_import_sort(log);
		for (unsigned i = 0; i < imp->nr; i++) {
			struct pci_import_fn *fn = imp->fns[i],
					     *in = pci_import_find(log, fn->domain,
								   fn->bus, fn->devfn);

			if (in && fn->kernel_group < 0)
				fn->kernel_group = in->kernel_group;
		}
		if (!imp->nr_behind) {
			memcpy(imp->behind, log->behind, sizeof(imp->behind));
			imp->nr_behind = log->nr_behind;
		}
	}
	pci_import_free(log);
	return ret;
}

/* ---- --what-if ---- */

static void remove_function(struct pci_import *imp, struct pci_import_fn *fn)
{
	u8 sec = fn->config[PCI_SECONDARY_BUS], last = fn->config[PCI_SUBORDINATE_BUS];

	fn->removed = true;
	if (fn->virtfn || !(fn->config[PCI_HEADER_TYPE] & PCI_HEADER_TYPE_MASK) ||
	    sec <= fn->bus)
		return;
	for (unsigned i = 0; i < imp->nr; i++) {
		struct pci_import_fn *below = imp->fns[i];

		if (below->domain == fn->domain && below->bus >= sec &&
		    below->bus <= last)
			below->removed = true;
	}
}

static int what_if(struct pci_import *imp, const char *spec, char **error)
{
	size_t verb = strcspn(spec, " ");
	const char *p = spec + verb + strspn(spec + verb, " ");
	struct pci_import_fn *fn;
	u32 domain;
	u8 bus, devfn;

	if (verb == 8 && !strncmp(spec, "override", 8) && !*p) {
		for (unsigned i = 0; i < imp->nr; i++)
			imp->fns[i]->add_acs = true;
		return 0;
	}
	if (!pci_import_address(&p, &domain, &bus, &devfn) || *p ||
	    !((verb == 3 && !strncmp(spec, "acs", 3)) ||
	      (verb == 6 && !strncmp(spec, "remove", 6)))) {
		pci_import_tell(error, "--what-if", 0,
				"wants `acs DEVICE', `remove DEVICE' or `override', not "
				"'%.60s'",
				spec);
		return -EINVAL;
	}
	fn = pci_import_find(imp, domain, bus, devfn);
	if (!fn) {
		pci_import_tell(error, "--what-if", 0, "no such device in '%.60s'", spec);
		return -EINVAL;
	}
	if (verb == 3)
		fn->add_acs = true;
	else
		remove_function(imp, fn);
	return 0;
}

/* ---- one machine ---- */

static int load(const struct options *o, const char *path, struct groups *g, char **error)
{
	const char *name = strcmp(path, "-") ? path : "standard input";
	struct pci_import *imp = pci_import_alloc();
	int ret;

	*g = (struct groups){0};
	if (!imp)
		return -ENOMEM;
	if (o->kind == SYSFS)
		ret = pci_import_sysfs(imp, path, error);
	else
		ret = read_text(imp, o->kind, path, error);
	if (!ret && o->log)
		ret = add_log(imp, o->log, error);
	if (!ret)
		ret = pci_import_finish(imp, name, error);
	for (unsigned i = 0; !ret && i < o->nr_what_if; i++)
		ret = what_if(imp, o->what_if[i], error);
	if (ret) {
		pci_import_free(imp);
		return ret;
	}
	ret = groups_analyse(imp, name, o->exclude, g);
	if (ret)
		groups_free(g);
	return ret;
}

static struct member *companion(const struct groups *g, const struct member *m)
{
	for (unsigned i = 0; i < g->nr; i++) {
		if (g->members[i].number == m->number)
			return &g->members[i];
	}
	return NULL;
}

/* By the first member of each group: numbers move when devices come and go. */
static int show_diff(FILE *f, struct groups *g, struct groups *other)
{
	unsigned n = 0;

	for (unsigned i = 0; i < g->nr; i++) {
		struct member *m = &g->members[i],
			      *in = groups_find(other, pci_name(m->fn->pdev));
		struct member *a, *b;

		if (!in) {
			fprintf(f, "%s  only in %s, group %d\n", pci_name(m->fn->pdev),
				g->source, m->number);
			n++;
			continue;
		}
		a = m->number < 0 ? NULL : companion(g, m);
		b = in->number < 0 ? NULL : companion(other, in);
		if (!a != !b ||
		    (a && strcmp(pci_name(a->fn->pdev), pci_name(b->fn->pdev)))) {
			fprintf(f, "%s  with %s; in %s with %s\n", pci_name(m->fn->pdev),
				a ? (a == m ? "none before it" : pci_name(a->fn->pdev))
				  : "no group",
				other->source,
				b ? (b == in ? "none before it" : pci_name(b->fn->pdev))
				  : "no group");
			n++;
		}
	}
	for (unsigned i = 0; i < other->nr; i++) {
		const struct member *m = &other->members[i];

		if (!groups_find(g, pci_name(m->fn->pdev))) {
			fprintf(f, "%s  only in %s, group %d\n", pci_name(m->fn->pdev),
				other->source, m->number);
			n++;
		}
	}
	if (!n)
		fprintf(f, "no difference\n");
	return n ? 1 : 0;
}

static int show(FILE *f, const struct options *o, struct groups *g, char **error)
{
	struct groups other;
	struct options plain = *o;
	int ret;

	if (o->explain[0])
		return groups_explain(f, g, o->explain[0], o->explain[1]);
	if (o->passthrough)
		return groups_passthrough(f, g, o->passthrough);
	if (o->diff) {
		plain.nr_what_if = 0;
		plain.log = NULL;
		ret = load(&plain, o->diff, &other, error);
		if (!ret) {
			ret = show_diff(f, g, &other);
			groups_free(&other);
		}
		return ret;
	}
	switch (o->format) {
	case TEXT:
		groups_text(f, g);
		break;
	case TSV:
		groups_tsv(f, g);
		break;
	case JSON:
	case NDJSON:
		groups_json(f, g, o->format == NDJSON);
		break;
	case DOT:
		groups_dot(f, g);
		break;
	}
	return 0;
}

static int one(FILE *f, const struct options *o, const char *path)
{
	char *error = NULL;
	struct groups g;
	int ret = load(o, path, &g, &error);

	if (!ret) {
		ret = show(f, o, &g, &error);
		groups_free(&g);
	}
	if (ret < 0)
		fputs(error ? error : "moat groups: out of memory\n", stderr);
	free(error);
	return ret ? 1 : 0;
}

/* ---- many machines ---- */

struct work {
	const struct options *o;
	pthread_mutex_t lock; /* of all below */
	FILE *list;
	int failed;
};

static void *worker(void *data)
{
	struct work *w = data;
	char *line = NULL, *out = NULL;
	size_t size = 0, len = 0;

	for (;;) {
		ssize_t n;
		FILE *f;
		int ret;

		pthread_mutex_lock(&w->lock);
		n = getline(&line, &size, w->list);
		pthread_mutex_unlock(&w->lock);
		if (n <= 0)
			break;
		line[strcspn(line, "\n")] = 0;
		if (!*line)
			continue;
		f = open_memstream(&out, &len);
		ret = f ? one(f, w->o, line) : 1;
		if (f)
			fclose(f);
		pthread_mutex_lock(&w->lock);
		w->failed |= ret;
		if (f && w->o->format != NDJSON && w->o->format != JSON && len)
			printf("== %s\n", line);
		if (f)
			fwrite(out, 1, len, stdout);
		pthread_mutex_unlock(&w->lock);
		free(out);
		out = NULL;
	}
	free(line);
	return NULL;
}

static int many(const struct options *o)
{
	struct work w = {.o = o, .lock = PTHREAD_MUTEX_INITIALIZER};
	unsigned long jobs = o->jobs ? strtoul(o->jobs, NULL, 10) : 1, started = 0;
	pthread_t threads[64];

	if (!jobs || jobs > ARRAY_SIZE(threads))
		return usage_error("groups", "--jobs wants a number from 1 to 64");
	w.list = strcmp(o->list, "-") ? fopen(o->list, "re") : stdin;
	if (!w.list) {
		fprintf(stderr, "moat groups: %s: %s\n", o->list, strerror(errno));
		return 1;
	}
	while (started + 1 < jobs && !pthread_create(&threads[started], NULL, worker, &w))
		started++;
	worker(&w);
	while (started)
		pthread_join(threads[--started], NULL);
	if (w.list != stdin)
		fclose(w.list);
	return w.failed;
}

/* ---- the command line ---- */

static int set_format(struct options *o, const char *name)
{
	static const char *const names[] = {"text", "tsv", "json", "ndjson", "dot"};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(name, names[i])) {
			o->format = (enum format)i;
			return 0;
		}
	}
	return usage_error("groups",
			   "--format wants text, tsv, json, ndjson or dot, not '%s'",
			   name);
}

static int set_source(struct options *o, enum kind kind, const char *value)
{
	/* A log besides another source only adds to it. */
	if (kind == DMESG && o->path && o->kind != DMESG) {
		o->log = value;
		return 0;
	}
	if (o->path && o->kind == DMESG && kind != DMESG && !o->log)
		o->log = o->path;
	else if (o->path)
		return usage_error("groups", "more than one machine: use --list");
	o->kind = kind;
	o->path = value;
	return 0;
}

static int parse(int argc, char **argv, struct options *o)
{
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i], *value = NULL;
		int ret = 0;

#define OPTION(name) (!ret && (ret = option_value(argc, argv, &i, name, &value)) > 0)
		if (OPTION("--lspci"))
			ret = set_source(o, LSPCI, value) ?: 1;
		else if (OPTION("--dmesg"))
			ret = set_source(o, DMESG, value) ?: 1;
		else if (OPTION("--sysfs"))
			ret = set_source(o, SYSFS, value) ?: 1;
		else if (OPTION("--format"))
			ret = set_format(o, value) ?: 1;
		else if (OPTION("--exclude"))
			o->exclude = value;
		else if (OPTION("--diff"))
			o->diff = value;
		else if (OPTION("--list"))
			o->list = value;
		else if (OPTION("--jobs"))
			o->jobs = value;
		else if (OPTION("--passthrough"))
			o->passthrough = value;
		else if (OPTION("--explain")) {
			o->explain[0] = value;
			if (i + 1 < argc && argv[i + 1][0] != '-')
				o->explain[1] = argv[++i];
		} else if (OPTION("--what-if")) {
			if (o->nr_what_if == ARRAY_SIZE(o->what_if))
				return usage_error("groups", "too many --what-if");
			o->what_if[o->nr_what_if++] = value;
		}
#undef OPTION
		if (ret < 0)
			return usage_error("groups", "option '%s' wants a value", arg);
		if (!ret)
			return usage_error("groups", "unknown argument '%s'", arg);
		if (ret == 2)
			return 2;
	}
	return 0;
}

int cmd_groups(int argc, char **argv)
{
	struct options o = {0};
	int ret = parse(argc, argv, &o);

	if (ret)
		return ret;
	if (!o.list && o.jobs)
		return usage_error("groups", "--jobs is for --list");
	if (o.list) {
		/* The kind's option says what the files are: its own value is one more.
		 */
		if (o.path && strcmp(o.path, "-"))
			return usage_error("groups",
					   "with --list the source is `-': the kind of "
					   "the files listed");
		if (!o.path)
			o.kind = LSPCI;
		return many(&o);
	}
	return one(stdout, &o, o.path ? o.path : "/sys");
}
