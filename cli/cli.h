/* SPDX-License-Identifier: MIT */
/*
 * Subcommands of `moat`. Each gets its own name as argv[0] and returns the exit status:
 * 0, 1 for what went wrong, 2 for a command line that makes no sense.
 */
#ifndef MOAT_CLI_CLI_H
#define MOAT_CLI_CLI_H

#include "base/types.h"

int cmd_run(int argc, char **argv);
int cmd_machine(int argc, char **argv);
int cmd_groups(int argc, char **argv);
int cmd_help(int argc, char **argv);

/* Prints the help of @command, NULL: of all. False: there is no such command. */
bool help_print(const char *command);

/* "moat COMMAND: ..." on stderr, with a hint at the help. Returns 2. */
int usage_error(const char *command, const char *fmt, ...) __printf(2, 3);

/*
 * An option that takes a value, as "--name VALUE" or "--name=VALUE". Return: 1 it is this
 * one and *@value is set (*@i moves over it), 0 it is not, -1 the value is missing.
 */
int option_value(int argc, char **argv, int *i, const char *name, const char **value);

/*
 * namespace.c: a mount namespace for this process; then, in the program's process, one
 * more with @root/sys and @root/dev laid over the real ones. Return: 0; -errno: not to be
 * had; after a failed overlay the process' /sys and /dev are in no defined state.
 */
int namespace_create(void);
int namespace_overlay(const char *root);

#endif
