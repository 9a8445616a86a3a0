// SPDX-License-Identifier: MIT
#include "server/sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "server/dir.h"
#include "server/sysfs_priv.h"

#define LOG_SUBSYSTEM "sysfs"
#include "base/log.h"

void sysfs_join(char *out, const char *dir, const char *name)
{
	snprintf(out, SYSFS_PATH_MAX, "%s/%s", dir, name);
}

void sysfs_device_path(const struct device *dev, char *out)
{
	char parent[SYSFS_PATH_MAX];

	if (!dev->parent) {
		sysfs_join(out, "sys/devices", dev_name(dev));
		return;
	}
	sysfs_device_path(dev->parent, parent);
	sysfs_join(out, parent, dev_name(dev));
}

static void make_parents(struct sysfs *fs, const char *path)
{
	char part[SYSFS_PATH_MAX];

	for (const char *p = strchr(path, '/'); p; p = strchr(p + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(p - path), path);
		mkdirat(fs->root, part, 0755);
	}
}

/* Modes are as they are given, whatever the user's umask, which programs inherit. */
static mode_t unmask(struct sysfs *fs)
{
	return fs->unmasked ? 0 : umask(0);
}

static void remask(struct sysfs *fs, mode_t mask)
{
	if (!fs->unmasked)
		umask(mask);
}

static int open_made(struct sysfs *fs, const char *path, u32 mode)
{
	mode_t mask = unmask(fs);
	int fd = openat(fs->root, path,
			O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);

	if (fd < 0 && errno == ENOENT) {
		make_parents(fs, path);
		fd = openat(fs->root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			    mode);
	} else if (fd < 0 && errno == EACCES) {
		/* Not even its owner may write a file of mode 0444. */
		fchmodat(fs->root, path, 0600, 0);
		fd = openat(fs->root, path, O_WRONLY | O_TRUNC | O_CLOEXEC);
		fchmodat(fs->root, path, mode, 0);
	}
	remask(fs, mask);
	if (fd < 0)
		pr_warn("%s: %s", path, strerror(errno));
	return fd;
}

void sysfs_mkdir(struct sysfs *fs, const char *path)
{
	mode_t mask = unmask(fs);

	if (mkdirat(fs->root, path, 0755) < 0 && errno == ENOENT) {
		make_parents(fs, path);
		mkdirat(fs->root, path, 0755);
	}
	remask(fs, mask);
}

void sysfs_put(struct sysfs *fs, const char *path, u32 mode, const void *data, size_t len)
{
	int fd = open_made(fs, path, mode);

	if (fd < 0)
		return;
	if (len && write(fd, data, len) != (ssize_t)len)
		pr_warn("%s: cannot be written", path);
	close(fd);
}

void sysfs_puts(struct sysfs *fs, const char *path, u32 mode, const char *text)
{
	sysfs_put(fs, path, mode, text, strlen(text));
}

void sysfs_printf(struct sysfs *fs, const char *dir, const char *name, u32 mode,
		  const char *fmt, ...)
{
	char path[SYSFS_PATH_MAX], text[4096];
	va_list ap;

	sysfs_join(path, dir, name);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sysfs_puts(fs, path, mode, text);
}

/*
 * Many files say the same ("0", the same vendor): each such content is one file with
 * many names, which is a third of the cost of another file.
 */
void sysfs_const(struct sysfs *fs, const char *dir, const char *name, const char *fmt,
		 ...)
{
	char path[SYSFS_PATH_MAX], text[4096];
	struct sysfs_same *same;
	u32 hash = 5381;
	va_list ap;

	sysfs_join(path, dir, name);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (const char *p = text; *p; p++)
		hash = hash * 33 + (u8)*p;
	same = &fs->same[hash % ARRAY_SIZE(fs->same)];
	if (same->text && !strcmp(same->text, text) &&
	    linkat(fs->root, same->path, fs->root, path, 0) == 0)
		return;
	sysfs_puts(fs, path, 0444, text);
	kfree(same->text);
	kfree(same->path);
	same->text = kstrdup(text);
	same->path = kstrdup(path);
	if (!same->path) {
		kfree(same->text);
		same->text = NULL;
	}
}

void sysfs_update(struct sysfs *fs, const char *path, u32 mode, const char *text)
{
	sysfs_puts(fs, path, mode, text);
}

static struct list_head *attr_bucket(struct sysfs *fs, u64 ino)
{
	return &fs->attrs[ino % SYSFS_HASH];
}

struct sysfs_attr *sysfs_attr(struct sysfs *fs, const char *dir, const char *name,
			      u32 mode, const char *text, sysfs_store_t store, void *obj)
{
	struct sysfs_attr *a = kzalloc(sizeof(*a));
	char path[SYSFS_PATH_MAX];
	struct stat st;
	int fd;

	sysfs_join(path, dir, name);
	fd = open_made(fs, path, mode);
	if (!a || fd < 0 || fstat(fd, &st) < 0)
		goto err;
	if (text && *text && write(fd, text, strlen(text)) < 0)
		goto err;
	a->path = kstrdup(path);
	if (!a->path)
		goto err;
	a->ino = st.st_ino;
	a->mode = mode;
	a->store = store;
	a->obj = obj;
	a->fs = fs;
	a->refs = 1;
	list_add_tail(&a->hash, attr_bucket(fs, a->ino));
	close(fd);
	return a;

err:
	if (fd >= 0)
		close(fd);
	kfree(a);
	return NULL;
}

void sysfs_attr_put(struct sysfs_attr *a)
{
	if (--a->refs)
		return;
	kfree(a->path);
	kfree(a);
}

static void drop_attrs(struct sysfs *fs, const char *path)
{
	struct sysfs_attr *a, *tmp;
	size_t n = strlen(path);

	for (unsigned i = 0; i < SYSFS_HASH; i++) {
		list_for_each_entry_safe(a, tmp, &fs->attrs[i], hash) {
			if (strncmp(a->path, path, n) ||
			    (a->path[n] && a->path[n] != '/'))
				continue;
			list_del(&a->hash);
			a->dead = true;
			sysfs_attr_put(a);
		}
	}
}

void sysfs_link(struct sysfs *fs, const char *path, const char *target)
{
	char text[SYSFS_PATH_MAX * 2] = "";
	size_t same = 0, n = 0;

	/* Strip what both have in common, up to a slash. */
	for (size_t i = 0; path[i] && path[i] == target[i]; i++) {
		if (path[i] == '/')
			same = i + 1;
	}
	for (const char *p = path + same; (p = strchr(p, '/')); p++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "../");
	snprintf(text + n, sizeof(text) - n, "%s", target + same);
	if (symlinkat(text, fs->root, path) == 0)
		return;
	if (errno == EEXIST)
		unlinkat(fs->root, path, 0);
	else
		make_parents(fs, path);
	if (symlinkat(text, fs->root, path) < 0)
		pr_warn("%s: %s", path, strerror(errno));
}

void sysfs_remove(struct sysfs *fs, const char *path)
{
	drop_attrs(fs, path);
	dir_remove_tree(fs->root, path);
}

/* ---- listening ---- */

static void on_device(struct device_notifier *nb, enum device_event event,
		      struct device *dev)
{
	struct sysfs *fs = container_of(nb, struct sysfs, devices);

	if (!dev_is_pci(dev))
		return;
	switch (event) {
	case DEVICE_ADDED:
		sysfs_pci_add(fs, to_pci_dev(dev));
		break;
	case DEVICE_REMOVED:
		sysfs_pci_remove(fs, to_pci_dev(dev));
		break;
	case DEVICE_BOUND:
		sysfs_bound(fs, dev);
		break;
	case DEVICE_UNBINDING:
	case DEVICE_UNBOUND:
		sysfs_unbound(fs, dev);
		break;
	}
}

void sysfs_refresh(struct sysfs *fs)
{
	sysfs_pci_refresh(fs);
	sysfs_iommu_refresh(fs);
}

/* Directories that stand between the host's entries and ours, for the mount namespace. */
static void make_skeleton(struct sysfs *fs)
{
	static const char *const dirs[] = {
		"sys/bus/pci",
		"sys/class/iommu",
		"sys/class/vfio",
		"sys/class/vfio-dev",
		"sys/devices/virtual/iommu",
		"sys/devices/virtual/vfio",
		"sys/kernel/iommu_groups",
		"dev/vfio",
	};
	struct pci_bus *bus;

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		sysfs_mkdir(fs, dirs[i]);
	if (fs->m->pci) {
		list_for_each_entry(bus, &fs->m->pci->root_buses, node) {
			char path[SYSFS_PATH_MAX];

			sysfs_device_path(bus->bridge, path);
			sysfs_mkdir(fs, path);
		}
	}
	sysfs_modules_create(fs);
	sysfs_nodes_create(fs);
}

int sysfs_create(struct machine *m, const char *dir, struct sysfs **out)
{
	struct sysfs *fs = kzalloc(sizeof(*fs));
	mode_t mask;

	if (!fs)
		return -ENOMEM;
	fs->m = m;
	for (unsigned i = 0; i < SYSFS_HASH; i++)
		INIT_LIST_HEAD(&fs->attrs[i]);
	INIT_LIST_HEAD(&fs->pci);
	INIT_LIST_HEAD(&fs->iommus);
	fs->root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fs->root < 0) {
		int err = -errno;

		kfree(fs);
		return err;
	}
	mask = umask(0);
	fs->unmasked = true;
	make_skeleton(fs);
	fs->unmasked = false;
	umask(mask);
	*out = fs;
	return 0;
}

void sysfs_populate(struct sysfs *fs)
{
	struct machine *m = fs->m;
	struct pci_dev *pdev;
	mode_t mask;

	mask = umask(0);
	fs->unmasked = true;
	sysfs_bus_create(fs);
	if (m->pci) {
		for_each_pci_dev(m->pci, pdev)
		{
			sysfs_pci_add(fs, pdev);
			if (pdev->dev.driver)
				sysfs_bound(fs, &pdev->dev);
		}
	}
	sysfs_iommu_create(fs);
	sysfs_vfio_create(fs);
	fs->devices.notify = on_device;
	device_register_notifier(m, &fs->devices);
	fs->listening = true;
	fs->unmasked = false;
	umask(mask);
}

static void drop_all(struct sysfs *fs)
{
	struct sysfs_attr *a, *tmp;

	for (unsigned i = 0; i < SYSFS_HASH; i++) {
		list_for_each_entry_safe(a, tmp, &fs->attrs[i], hash) {
			list_del(&a->hash);
			a->dead = true;
			sysfs_attr_put(a);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(fs->same); i++) {
		kfree(fs->same[i].text);
		kfree(fs->same[i].path);
	}
}

void sysfs_destroy(struct sysfs *fs, bool keep_files)
{
	struct sysfs_pci *p, *tmp;

	if (!fs)
		return;
	if (fs->listening) {
		device_unregister_notifier(fs->m, &fs->devices);
		sysfs_vfio_destroy(fs);
		sysfs_iommu_destroy(fs);
	}
	list_for_each_entry_safe(p, tmp, &fs->pci, node) {
		p->pdev->sysfs = NULL;
		list_del(&p->node);
		kfree(p);
	}
	sysfs_nodes_destroy(fs);
	drop_all(fs);
	if (!keep_files) {
		dir_remove_tree(fs->root, "sys");
		dir_remove_tree(fs->root, "dev");
	}
	close(fs->root);
	kfree(fs);
}
