/* SPDX-License-Identifier: MIT */
/*
 * Inside of/: reading a flattened tree that libfdt has found to be well-formed.
 */
#ifndef MOAT_OF_READ_H
#define MOAT_OF_READ_H

#include <libfdt.h>
#include <string.h>

#include "of/tree.h"

static inline bool of_has(const struct of_machine *om, int node, const char *name)
{
	return fdt_getprop(om->blob, node, name, NULL) != NULL;
}

/* Big-endian cells of a property; NULL with *nr 0 where there is none. */
static inline const fdt32_t *of_cells(const struct of_machine *om, int node,
				      const char *name, unsigned *nr)
{
	int len;
	const fdt32_t *cells = fdt_getprop(om->blob, node, name, &len);

	*nr = cells ? (unsigned)len / 4 : 0;
	return cells;
}

static inline u32 of_cell(const fdt32_t *cells, unsigned i)
{
	u32 raw;

	memcpy(&raw, cells + i, 4);
	return fdt32_to_cpu(raw);
}

/* @n cells (0 to 2) as one number. */
static inline u64 of_number(const fdt32_t *cells, unsigned n)
{
	u64 val = 0;
	unsigned i;

	for (i = 0; i < n; i++)
		val = val << 32 | of_cell(cells, i);
	return val;
}

/* A property that is one terminated string; NULL: not there, or not that. */
static inline const char *of_string(const struct of_machine *om, int node,
				    const char *name)
{
	int len;
	const char *s = fdt_getprop(om->blob, node, name, &len);

	return s && len > 0 && !s[len - 1] && strlen(s) + 1 == (size_t)len ? s : NULL;
}

void of_node_path(const struct of_machine *om, int node, char *buf, size_t size);
/* A defect of a node, or of its property. */
void of_node_defect(struct of_machine *om, int node, const char *prop, const char *fmt,
		    ...) __printf(4, 5);
/*
 * The value of a number property: one or two cells. 0: *out is set (a property
 * without a value is 1); -ENOENT: not there; -EINVAL: told.
 */
int of_value(struct of_machine *om, int node, const char *prop, u64 max, u64 *out);
bool of_disabled(const struct of_machine *om, int node);
/* parse_pci.c: the functions below a host or a bridge. */
int __must_check of_parse_functions(struct of_machine *om, int node, struct of_bus *bus);

#endif
