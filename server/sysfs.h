/* SPDX-License-Identifier: MIT */
/*
 * The machine as files: ROOT/sys and ROOT/dev, a real directory tree that is kept up to
 * date with the machine, so that any program can read it. Files that do something when
 * they are written are opened through the server (sysfs_open()).
 *
 * An attribute is a file whose contents are written here when it is created and when
 * they change, and optionally a store function, found by the file's inode number.
 */
#ifndef MOAT_SERVER_SYSFS_H
#define MOAT_SERVER_SYSFS_H

#include "machine/file.h"

struct machine;
struct server;
struct sysfs;

/*
 * Makes the directories below @dir that the program's view is built from; everything
 * else, and listening to the machine, comes with sysfs_populate().
 */
int __must_check sysfs_create(struct machine *m, const char *dir, struct sysfs **out);
void sysfs_populate(struct sysfs *fs);
/* @keep_files: the file system goes away as a whole. */
void sysfs_destroy(struct sysfs *fs, bool keep_files);
/* Open a file of the tree for writing (or `config` for reading). @path: "/sys/...". */
int sysfs_open(struct sysfs *fs, struct call *call, const char *path, int flags,
	       struct file **out);
/* Show what a request may have changed: config space, enable counts. */
void sysfs_refresh(struct sysfs *fs);

#endif
