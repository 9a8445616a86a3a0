/* SPDX-License-Identifier: MIT */
/*
 * Inside of/: a machine file as it has been understood, before anything is built.
 */
#ifndef MOAT_OF_TREE_H
#define MOAT_OF_TREE_H

#include "base/list.h"
#include "of/defect.h"
#include "of/machine.h"
#include "pci/function.h"

#define OF_MAX_PROPS 32

struct of_bus;

struct of_fn {
	struct list_head node; /* of_bus.fns */
	char *path;
	u8 devfn;
	struct pci_function_desc desc; /* image and driver point into here */
	u64 props[OF_MAX_PROPS];
	u8 *image;
	char *driver;
	struct of_bus *below; /* bridges */
	bool bypass;	      /* not behind any IOMMU, nor what is below */
	int arg;	      /* which --device made it, -1: the file */
	struct pci_function *hw;
};

struct of_bus {
	struct list_head fns;
	struct of_fn *bridge; /* NULL: a host's */
	unsigned depth;
};

/* iommu-map: requester ids [rid, rid + length) go through unit @unit. */
struct of_iommu_map {
	u32 rid, length;
	int unit;
};

struct of_host {
	struct list_head node;
	char *path;
	u16 segment;
	u8 first, last;
	u64 io_base, io_last, mem_base, mem_last, mem64_base, mem64_last;
	struct of_iommu_map *map;
	unsigned nr_map;
	struct of_bus bus;
	struct pci_hw_bus *hw;
};

struct of_unit {
	const struct of_unit_type *type;
	struct of_unit_desc desc;
	u64 props[OF_MAX_PROPS];
	char *path;
	u32 phandle;
	bool started;
};

struct of_machine {
	struct of_machine_config config;
	struct of_defects defects;
	char *path, *name, *cmdline;
	void *blob;
	size_t len;
	u64 ram_size;
	struct of_unit *units;
	unsigned nr_units;
	struct list_head hosts;
	u32 nr_functions;
	unsigned nr_args;
	char (*addresses)[16]; /* of what --device added */
};

int __must_check of_parse(struct of_machine *om);
struct of_fn *of_new_fn(struct of_machine *om, struct of_bus *bus, const char *path,
			u8 devfn);
void of_free_fn(struct of_fn *fn);
/* The model by its name in om->config: > 0, or 0. */
u16 of_find_model(const struct of_machine *om, const char *name);
/* Give @fn model @model with the defaults of its properties. */
int __must_check of_set_model(struct of_machine *om, struct of_fn *fn, u16 model);
struct of_fn *of_find_fn(struct of_bus *bus, u8 devfn);

#endif
