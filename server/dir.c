// SPDX-License-Identifier: MIT
#include "server/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"

#define PREFIX	  "moat-"
#define SUFFIX	  "XXXXXX"
#define MIN_AGE_S 10 /* younger ones may not be locked yet */

static void remove_tree(int dir, const char *name, bool known_dir)
{
	struct dirent *e;
	DIR *d;
	int fd;

	if (!known_dir &&
	    (unlinkat(dir, name, 0) == 0 || (errno != EISDIR && errno != EPERM)))
		return;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			remove_tree(fd, e->d_name, e->d_type == DT_DIR);
	}
	closedir(d);
	unlinkat(dir, name, AT_REMOVEDIR);
}

void dir_remove_tree(int parent, const char *name)
{
	remove_tree(parent, name, false);
}

/* Ours, old enough, and nobody holds it: its server was killed. */
static bool is_stale(int parent, const char *name)
{
	struct stat st;
	bool stale;
	int fd;

	if (strlen(name) != strlen(PREFIX SUFFIX) ||
	    strncmp(name, PREFIX, strlen(PREFIX)) ||
	    fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode) ||
	    st.st_uid != geteuid() || (st.st_mode & 07777) != 0711 ||
	    st.st_mtime > time(NULL) - MIN_AGE_S)
		return false;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return false;
	stale = flock(fd, LOCK_EX | LOCK_NB) == 0;
	close(fd);
	return stale;
}

static void sweep(const char *where)
{
	DIR *d = opendir(where);
	struct dirent *e;

	if (!d)
		return;
	while ((e = readdir(d))) {
		if (is_stale(dirfd(d), e->d_name))
			remove_tree(dirfd(d), e->d_name, true);
	}
	closedir(d);
}

int dir_create(char **out, int *lock)
{
	const char *where[] = {getenv("XDG_RUNTIME_DIR"), "/dev/shm", getenv("TMPDIR"),
			       "/tmp"};
	int err = -ENOENT;

	for (size_t i = 0; i < ARRAY_SIZE(where); i++) {
		char *path;

		if (!where[i] || where[i][0] != '/')
			continue;
		path = kasprintf("%s/" PREFIX SUFFIX, where[i]);
		if (!path)
			return -ENOMEM;
		if (!mkdtemp(path)) {
			err = -errno;
			kfree(path);
			continue;
		}
		*lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		/* A child that changes its user must still reach the socket. */
		if (*lock < 0 || flock(*lock, LOCK_EX | LOCK_NB) < 0 ||
		    chmod(path, 0711) < 0) {
			err = -errno;
			if (*lock >= 0)
				close(*lock);
			*lock = -1;
			rmdir(path);
			kfree(path);
			return err;
		}
		*out = path;
		sweep(where[i]);
		return 0;
	}
	return err;
}
