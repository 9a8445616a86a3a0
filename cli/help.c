// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const struct {
	const char *command, *text;
} topics[] = {
	{"run",
	 "usage: moat run [OPTION]... [--] PROGRAM [ARG]...\n"
	 "\n"
	 "Run PROGRAM on a machine with an IOMMU. /sys and /dev show that machine's\n"
	 "devices; VFIO and iommufd drive them; what DMA did wrong is reported at the "
	 "end.\n"
	 "\n"
	 "  --machine FILE|NAME   the machine: a device tree (.dts, .dtb), or a built-in "
	 "one\n"
	 "                        (`moat machine list'); pc if not given\n"
	 "  --device MODEL[,addr=DDDD:BB:DD.F][,PROPERTY=VALUE]...\n"
	 "                        add a device; may be given more than once\n"
	 "  --iommu KIND          replace the machine's IOMMU: vtd, amd, or none\n"
	 "  --append ARGUMENTS    add kernel arguments, like intel_iommu=off\n"
	 "  --report FILE         write the report there instead of to stderr\n"
	 "  --format text|json    of the report\n"
	 "  --strict              exit with 99 if PROGRAM succeeded but the report has "
	 "errors\n"
	 "  --iommufd-test        /dev/iommu answers IOMMU_TEST_CMD, with mock devices\n"
	 "  --no-namespace        redirect paths instead of mounting over /sys and /dev\n"
	 "  --verbose             say more: addresses of added devices, warnings\n"
	 "\n"
	 "The exit status is PROGRAM's (128 + N if signal N killed it); 127: not found,\n"
	 "126: cannot be run, 125: the machine could not be made, 2: wrong usage.\n"},
	{"machine",
	 "usage: moat machine list\n"
	 "       moat machine show [FILE|NAME]\n"
	 "       moat machine check FILE...\n"
	 "\n"
	 "list: the built-in machines. show: the devices of a machine and their groups.\n"
	 "check: read machine files; each defect is a line FILE:LINE: WHAT, and the "
	 "exit\n"
	 "status is 1 if there is one.\n"},
	{"groups",
	 "usage: moat groups [SOURCE] [OPTION]...\n"
	 "\n"
	 "Say which IOMMU groups Linux forms on a machine, and why. The machine is this "
	 "one,\n"
	 "or what SOURCE tells of another (FILE `-': standard input):\n"
	 "\n"
	 "  --lspci FILE          what lspci printed there: -vvv, -nn, -x to -xxxx, -PP, "
	 "-D\n"
	 "  --dmesg FILE          its boot log; besides another source: what that lacks\n"
	 "  --sysfs DIR           a copy of its /sys\n"
	 "  --list FILE           many machines: a path a line; a SOURCE with `-' says "
	 "of\n"
	 "                        which kind they are, lspci if not given\n"
	 "  --jobs N              read N of them side by side\n"
	 "\n"
	 "  --explain A [B]       why A is with its companions; what ties A to B or "
	 "parts "
	 "them\n"
	 "  --passthrough DEVICE  what it takes to give DEVICE to a virtual machine\n"
	 "  --what-if CHANGE      first `acs DEVICE', `remove DEVICE' or `override' (as "
	 "with\n"
	 "                        pcie_acs_override); may be given more than once\n"
	 "  --diff OTHER          against another source of the same kind; 1: they "
	 "differ\n"
	 "  --exclude DEVICE,...  devices that no IOMMU translates for\n"
	 "  --format text|tsv|json|ndjson|dot\n"},
	{"help", "usage: moat help [COMMAND]\n"},
};

bool help_print(const char *command)
{
	for (size_t i = 0; command && i < ARRAY_SIZE(topics); i++) {
		if (!strcmp(command, topics[i].command)) {
			fputs(topics[i].text, stdout);
			return true;
		}
	}
	if (command)
		return false;
	fputs("usage: moat COMMAND [ARG]...\n"
	      "\n"
	      "The Linux IOMMU subsystem in user space.\n"
	      "\n"
	      "  run       run a VFIO or iommufd program on a machine that is not there\n"
	      "  machine   list, show and check machines\n"
	      "  groups    say which IOMMU groups a machine has\n"
	      "  help      say more about a command\n"
	      "\n"
	      "  --version, --help\n",
	      stdout);
	return true;
}

int cmd_help(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : NULL;

	if (argc > 2)
		return usage_error("help", "too many arguments");
	if (command && !strcmp(command, "--help"))
		command = "help";
	if (!help_print(command))
		return usage_error(NULL, "unknown command '%s'", command);
	return 0;
}
