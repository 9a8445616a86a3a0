// SPDX-License-Identifier: MIT
/*
 * moat machine: what machines there are, what one looks like once it has booted, and
 * whether a file is well formed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "endpoints/models.h"
#include "iommu/iommu.h"
#include "machine/machine.h"
#include "of/machine.h"
#include "pci/pci.h"
#include "server/start.h"

static void print_error(const char *what, char *error, int err)
{
	if (error)
		fputs(error, stderr);
	else
		fprintf(stderr, "moat machine: %s: %s\n", what, strerror(-err));
	free(error);
}

static int list(int argc, char **argv)
{
	if (argc > 1)
		return usage_error("machine", "'list' takes no argument");
	for (const struct of_builtin_machine *b = of_builtin_machines; b->name; b++) {
		struct start_config config = {.machine = b->name};
		struct of_machine *om;
		char *error = NULL;
		int err = machine_open(&config, &om, &error);

		if (err) {
			print_error(b->name, error, err);
			return 1;
		}
		printf("%-20s %s\n", b->name, of_machine_name(om));
		of_machine_close(om);
	}
	return 0;
}

static void show_device(const struct machine *m, struct pci_dev *p)
{
	struct iommu_group *group = iommu_group_get(&p->dev);
	const char *model = "-";
	char id[16] = "-";

	if (p->dev.hw_function >= 0) {
		u16 i = m->hw.functions[p->dev.hw_function].model;

		if (i && i < ENDPOINT_MAX_MODELS && endpoint_models[i])
			model = endpoint_models[i]->name;
	}
	if (group) {
		snprintf(id, sizeof(id), "%d", iommu_group_id(group));
		iommu_group_put(group);
	}
	printf("%s  %04x:%04x  %06x  %-8s  %-10s  %s\n", pci_name(p), p->vendor,
	       p->device, p->class, model, p->dev.driver ? p->dev.driver->name : "-", id);
}

static int show(int argc, char **argv)
{
	struct start_config config = {.machine = argc > 1 ? argv[1] : NULL};
	struct pci_dev *pdev;
	struct start s;
	char *error = NULL;
	int err;

	if (argc > 2)
		return usage_error("machine", "'show' takes one machine");
	err = machine_start(&config, &s, &error);
	if (err) {
		print_error(config.machine ? config.machine : "pc", error, err);
		return 1;
	}
	printf("machine: %s\nkernel arguments: %s\n\n", of_machine_name(s.of), s.cmdline);
	printf("%-12s  %-9s  %-6s  %-8s  %-10s  %s\n", "device", "id", "class", "model",
	       "driver", "group");
	for_each_pci_dev(s.machine->pci, pdev) show_device(s.machine, pdev);
	machine_stop(&s);
	return 0;
}

static int check(int argc, char **argv)
{
	int ret = 0;

	if (argc < 2)
		return usage_error("machine", "'check' needs a file");
	for (int i = 1; i < argc; i++) {
		struct start_config config = {.machine = argv[i]};
		struct of_machine *om;
		char *error = NULL;
		int err = machine_open(&config, &om, &error);

		if (err) {
			print_error(argv[i], error, err);
			ret = 1;
			continue;
		}
		of_machine_close(om);
	}
	return ret;
}

int cmd_machine(int argc, char **argv)
{
	if (argc < 2)
		return usage_error("machine", "list, show or check?");
	if (!strcmp(argv[1], "--help"))
		return help_print("machine") ? 0 : 1;
	if (argv[1][0] == '-')
		return usage_error("machine", "unknown option '%s'", argv[1]);
	if (!strcmp(argv[1], "list"))
		return list(argc - 1, argv + 1);
	if (!strcmp(argv[1], "show"))
		return show(argc - 1, argv + 1);
	if (!strcmp(argv[1], "check"))
		return check(argc - 1, argv + 1);
	return usage_error("machine", "unknown command '%s'", argv[1]);
}
