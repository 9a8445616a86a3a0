/* SPDX-License-Identifier: MIT */
/*
 * The server's private directory: made where files are memory, locked while its server
 * lives, removed with it. What a server that was killed left behind is removed by the
 * next one of the same user.
 */
#ifndef MOAT_SERVER_DIR_H
#define MOAT_SERVER_DIR_H

#include "base/types.h"

/* *@lock: a descriptor that holds the directory. Return: 0 or -errno. */
int __must_check dir_create(char **path, int *lock);
void dir_remove_tree(int parent, const char *name);

#endif
