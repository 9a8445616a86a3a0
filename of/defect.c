// SPDX-License-Identifier: MIT
/*
 * Telling what is wrong with a machine file. Lines are looked up only when there is
 * something to tell: dtc prints the tree again, with the source position behind each
 * node and property.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "of/defect.h"

static void append(struct of_defects *d, char *line)
{
	char *all;

	if (!line) {
		d->failed = true;
		return;
	}
	all = kasprintf("%s%s\n", d->text ? d->text : "", line);
	kfree(line);
	if (!all) {
		d->failed = true;
		return;
	}
	kfree(d->text);
	d->text = all;
}

void of_defect_line(struct of_defects *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	append(d, kvasprintf(fmt, ap));
	va_end(ap);
}

static const struct of_line *find_line(const struct of_defects *d, const char *node,
				       const char *prop)
{
	const struct of_line *of_node = NULL;
	unsigned i;

	if (!strcmp(node, "/"))
		node = "";
	for (i = 0; i < d->nr_lines; i++) {
		if (strcmp(d->lines[i].node, node))
			continue;
		if (!d->lines[i].prop)
			of_node = &d->lines[i];
		else if (prop && !strcmp(d->lines[i].prop, prop))
			return &d->lines[i];
	}
	return of_node;
}

void of_defect(struct of_defects *d, const char *node, const char *prop, const char *fmt,
	       ...)
{
	const struct of_line *line;
	char *what;
	va_list ap;

	va_start(ap, fmt);
	what = kvasprintf(fmt, ap);
	va_end(ap);
	if (!what) {
		d->failed = true;
		return;
	}
	if (d->source && !d->located)
		of_locate(d);
	line = find_line(d, node, prop);
	if (line)
		of_defect_line(d, "%s:%u: %s", line->file, line->line, what);
	else if (prop)
		of_defect_line(d, "%s: %s: %s: %s", d->path, node, prop, what);
	else
		of_defect_line(d, "%s: %s: %s", d->path, node, what);
	kfree(what);
}

void of_defects_free(struct of_defects *d)
{
	unsigned i;

	for (i = 0; i < d->nr_lines; i++) {
		kfree(d->lines[i].node);
		kfree(d->lines[i].prop);
		kfree(d->lines[i].file);
	}
	kfree(d->lines);
	kfree(d->text);
	d->lines = NULL;
	d->text = NULL;
	d->nr_lines = d->max_lines = 0;
}
