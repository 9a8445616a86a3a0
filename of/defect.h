/* SPDX-License-Identifier: MIT */
/*
 * What is wrong with a machine file: collected by node and property, told by file and
 * line. A blob has no lines; there the node's path stands for them.
 */
#ifndef MOAT_OF_DEFECT_H
#define MOAT_OF_DEFECT_H

#include "base/types.h"

struct of_line {
	char *node; /* path, "" for the root */
	char *prop; /* NULL: the node itself */
	char *file;
	unsigned line;
};

struct of_defects {
	const char *path; /* of the machine file */
	bool source;	  /* it is a .dts: lines can be had */
	char *text;	  /* the defects so far, a line each; NULL: none */
	bool failed;	  /* out of memory while telling */
	struct of_line *lines;
	unsigned nr_lines, max_lines;
	bool located; /* lines are loaded */
};

/* @prop NULL, or not there: the node's line. */
void of_defect(struct of_defects *d, const char *node, const char *prop, const char *fmt,
	       ...) __printf(4, 5);
/* A line as it is. */
void of_defect_line(struct of_defects *d, const char *fmt, ...) __printf(2, 3);
void of_defects_free(struct of_defects *d);

/*
 * of_compile - a .dts to a blob, with dtc. What dtc rejects goes to @d.
 * Return: 0 with *@blob (kfree) and *@len; -EINVAL: it is in @d; -ENOENT: no dtc; ...
 */
int __must_check of_compile(struct of_defects *d, const char *path, void **blob,
			    size_t *len);
/* Fills in d->lines from dtc's annotated output. Without dtc there are none. */
void of_locate(struct of_defects *d);

#endif
