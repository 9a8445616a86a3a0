// SPDX-License-Identifier: MIT
/*
 * The program's view of /sys and /dev. Real entries that the machine does not replace
 * stay as they are: where the host has a directory of the same name ours is mounted
 * on it; where a name is missing, the directory around it is built anew on a tmpfs
 * from bind mounts of what is there, because nothing can be created in sysfs.
 *
 * This process gets one namespace, where only its private directory is mounted; the
 * program gets a copy of it, with the view laid over /sys and /dev.
 *
 * An ordinary user gets a user namespace with an identity map, so that ids, and with
 * them the owners of files, are what they were.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "cli/cli.h"

#define PATH_LEN 1024

/* Directories that hold both the host's entries and ours; all else of ours is whole. */
static const char *const shared[] = {"/sys",
				     "/sys/bus",
				     "/sys/class",
				     "/sys/devices",
				     "/sys/devices/virtual",
				     "/sys/kernel",
				     "/sys/module",
				     "/dev"};

struct view {
	const char *root;     /* of our tree */
	char stage[PATH_LEN]; /* a tmpfs of this namespace, where directories are built */
	unsigned next;
};

static bool is_shared(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(shared); i++) {
		if (!strcmp(shared[i], path))
			return true;
	}
	return false;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

static int identity_map(uid_t uid, gid_t gid)
{
	char text[64];
	int err = write_file("/proc/self/setgroups", "deny");

	if (err && err != -ENOENT)
		return err;
	snprintf(text, sizeof(text), "%u %u 1\n", uid, uid);
	err = write_file("/proc/self/uid_map", text);
	if (err)
		return err;
	snprintf(text, sizeof(text), "%u %u 1\n", gid, gid);
	return write_file("/proc/self/gid_map", text);
}

static int bind(const char *from, const char *to)
{
	return mount(from, to, NULL, MS_BIND | MS_REC, NULL) < 0 ? -errno : 0;
}

/* A place of the same kind for something to be mounted on. */
static int make_place(const char *path, mode_t mode)
{
	int fd;

	if (S_ISDIR(mode))
		return mkdir(path, 0755) < 0 ? -errno : 0;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* The host's entry @from appears at @to, which does not exist yet. */
static int carry_over(const char *from, const char *to)
{
	char target[PATH_LEN];
	struct stat st;
	ssize_t n;
	int err;

	if (lstat(from, &st) < 0)
		return 0; /* it went away */
	if (S_ISLNK(st.st_mode)) {
		n = readlink(from, target, sizeof(target) - 1);
		if (n < 0)
			return 0;
		target[n] = 0;
		return symlink(target, to) < 0 ? -errno : 0;
	}
	err = make_place(to, st.st_mode);
	if (err)
		return err;
	/* What may not be bound (an entry of a file system that forbids it) stays empty.
	 */
	bind(from, to);
	return 0;
}

static int overlay(struct view *v, const char *path, const char *at, bool fresh);

/* Ours at @root@path goes to @at, where @path's entry is or (@fresh) shall be. */
static int place_ours(struct view *v, const char *path, const char *at, bool fresh)
{
	char ours[PATH_LEN];
	struct stat st;
	int err;

	snprintf(ours, sizeof(ours), "%s%s", v->root, path);
	if (stat(ours, &st) < 0)
		return -errno;
	if (fresh) {
		err = make_place(at, st.st_mode);
		if (err)
			return err;
	}
	if (is_shared(path))
		return overlay(v, path, at, fresh);
	return bind(ours, at);
}

/* "@dir/@name" into @out, of PATH_LEN bytes. Return: 0, -ENAMETOOLONG. */
static int join(char *out, const char *dir, const char *name)
{
	int len = snprintf(out, PATH_LEN, "%s/%s", dir, name);

	return len < 0 || len >= PATH_LEN ? -ENAMETOOLONG : 0;
}

/* All entries of the host's @path that we do not have, into @to. */
static int carry_over_dir(struct view *v, const char *path, const char *to)
{
	char from[PATH_LEN], ours[PATH_LEN], place[PATH_LEN];
	struct dirent *e;
	struct stat st;
	int err = 0;
	DIR *d;

	d = opendir(path);
	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while (!err && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		/* The host's own PCI buses are not part of the machine. */
		if (!strcmp(path, "/sys/devices") && !strncmp(e->d_name, "pci", 3))
			continue;
		err = join(from, path, e->d_name);
		if (!err)
			err = join(ours, v->root, from + 1);
		if (!err && lstat(ours, &st) == 0)
			continue;
		if (!err)
			err = join(place, to, e->d_name);
		if (!err)
			err = carry_over(from, place);
	}
	closedir(d);
	return err;
}

static int for_each_ours(struct view *v, const char *path,
			 int (*fn)(struct view *v, const char *path, const char *at,
				   bool fresh),
			 const char *at, bool fresh)
{
	char dir[PATH_LEN], sub[PATH_LEN], place[PATH_LEN];
	struct dirent *e;
	int err = 0;
	DIR *d;

	err = join(dir, v->root, path + 1);
	if (err)
		return err;
	d = opendir(dir);
	if (!d)
		return -errno;
	while (!err && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		err = join(sub, path, e->d_name);
		if (!err)
			err = join(place, at, e->d_name);
		if (!err)
			err = fn(v, sub, place, fresh);
	}
	closedir(d);
	return err;
}

static int is_there(struct view *v, const char *path, const char *at, bool fresh)
{
	struct stat st;

	return lstat(path, &st) < 0 ? -ENOENT : 0;
}

/*
 * Make @at show the host's @path with our entries. @fresh: @at is an empty directory of
 * the stage; else it is @path itself.
 */
static int overlay(struct view *v, const char *path, const char *at, bool fresh)
{
	char stage[PATH_LEN];
	int err;

	if (fresh) {
		err = carry_over_dir(v, path, at);
		return err ? err : for_each_ours(v, path, place_ours, at, true);
	}
	/* Is there a place for all of ours? Then nothing has to be rebuilt. */
	if (!for_each_ours(v, path, is_there, at, false))
		return for_each_ours(v, path, place_ours, at, false);
	if (snprintf(stage, sizeof(stage), "%s/%u", v->stage, v->next++) >=
	    (int)sizeof(stage))
		return -ENAMETOOLONG;
	if (mkdir(stage, 0755) < 0 || mount("moat", stage, "tmpfs", 0, "mode=0755") < 0)
		return -errno;
	err = carry_over_dir(v, path, stage);
	if (!err)
		err = for_each_ours(v, path, place_ours, stage, true);
	if (!err && mount(stage, at, NULL, MS_MOVE, NULL) < 0)
		err = -errno;
	return err;
}

int namespace_create(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int err;

	if (uid || unshare(CLONE_NEWNS) < 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
			return -errno;
		err = identity_map(uid, gid);
		if (err)
			return err;
	}
	/* What the host mounts later is seen, what we mount is not. */
	return mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ? -errno : 0;
}

int namespace_overlay(const char *root)
{
	struct view v = {.root = root};
	int err;

	if (unshare(CLONE_NEWNS) < 0)
		return -errno;
	snprintf(v.stage, sizeof(v.stage), "%s/view", root);
	if (mount("moat", v.stage, "tmpfs", 0, "mode=0755") < 0)
		return -errno;
	err = overlay(&v, "/dev", "/dev", false);
	return err ? err : overlay(&v, "/sys", "/sys", false);
}
