// SPDX-License-Identifier: MIT
/*
 * /sys/kernel/iommu_groups and /sys/class/iommu. The core tells of members with the
 * group's mutex held, so contents that need it are shown after the request.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "server/sysfs_priv.h"

#define GROUPS	"sys/kernel/iommu_groups"
#define VIRTUAL "sys/devices/virtual/iommu"

static struct sysfs *listener_fs(struct iommu_listener *l)
{
	return container_of(l, struct sysfs, groups);
}

static void group_dir(const struct iommu_group *group, char *out)
{
	char name[16];

	snprintf(name, sizeof(name), "%d", iommu_group_id(group));
	sysfs_join(out, GROUPS, name);
}

static struct iommu_group *attr_group(struct sysfs_attr *a)
{
	return iommu_group_get_by_id(a->fs->m, (int)(long)a->obj);
}

static ssize_t type_store(struct sysfs_attr *a, struct call *call, const char *buf,
			  size_t len)
{
	struct iommu_group *group = attr_group(a);
	ssize_t ret;

	if (!group)
		return -ENODEV;
	ret = iommu_group_store_type(group, buf, len);
	iommu_group_put(group);
	return ret;
}

static void on_group_added(struct iommu_listener *l, struct iommu_group *group)
{
	struct sysfs *fs = listener_fs(l);
	char dir[SYSFS_PATH_MAX], path[SYSFS_PATH_MAX];

	group_dir(group, dir);
	sysfs_remove(fs, dir);
	sysfs_mkdir(fs, dir);
	sysfs_join(path, dir, "devices");
	sysfs_mkdir(fs, path);
	sysfs_printf(fs, dir, "reserved_regions", 0444, "%s", "");
	sysfs_attr(fs, dir, "type", 0644, NULL, type_store,
		   (void *)(long)iommu_group_id(group));
	fs->groups_changed = true;
}

static void on_group_removed(struct iommu_listener *l, struct iommu_group *group)
{
	char dir[SYSFS_PATH_MAX];

	group_dir(group, dir);
	sysfs_remove(listener_fs(l), dir);
}

static void on_device_joined(struct iommu_listener *l, struct iommu_group *group,
			     struct device *dev, const char *name)
{
	struct sysfs *fs = listener_fs(l);
	char dir[SYSFS_PATH_MAX], link[SYSFS_PATH_MAX * 2], path[SYSFS_PATH_MAX];

	group_dir(group, dir);
	sysfs_device_path(dev, path);
	snprintf(link, sizeof(link), "%s/devices/%s", dir, name);
	sysfs_link(fs, link, path);
	snprintf(link, sizeof(link), "%s/iommu_group", path);
	sysfs_link(fs, link, dir);
	fs->groups_changed = true;
}

static void on_device_left(struct iommu_listener *l, struct iommu_group *group,
			   struct device *dev, const char *name)
{
	struct sysfs *fs = listener_fs(l);
	char dir[SYSFS_PATH_MAX], link[SYSFS_PATH_MAX * 2], path[SYSFS_PATH_MAX];

	group_dir(group, dir);
	sysfs_device_path(dev, path);
	snprintf(link, sizeof(link), "%s/devices/%s", dir, name);
	sysfs_remove(fs, link);
	snprintf(link, sizeof(link), "%s/iommu_group", path);
	sysfs_remove(fs, link);
	fs->groups_changed = true;
}

static void on_group_renamed(struct iommu_listener *l, struct iommu_group *group)
{
	listener_fs(l)->groups_changed = true;
}

/* ---- /sys/class/iommu ---- */

static void show_iommu(struct sysfs *fs, struct sysfs_iommu *si)
{
	const struct iommu_attribute *at = si->iommu->attrs;
	char dir[SYSFS_PATH_MAX], path[SYSFS_PATH_MAX], text[4096];

	if (!si->iommu->attr_group || !at)
		return;
	sysfs_join(dir, si->path, si->iommu->attr_group);
	for (unsigned i = 0; at[i].name && i < ARRAY_SIZE(si->shown); i++) {
		if (at[i].show(si->iommu, text, sizeof(text)) < 0)
			text[0] = 0;
		if (si->shown[i] && !strcmp(si->shown[i], text))
			continue;
		kfree(si->shown[i]);
		si->shown[i] = kstrdup(text);
		sysfs_join(path, dir, at[i].name);
		sysfs_update(fs, path, 0444, text);
	}
}

static void on_iommu_added(struct iommu_listener *l, struct iommu_device *iommu)
{
	struct sysfs *fs = listener_fs(l);
	char path[SYSFS_PATH_MAX];
	struct sysfs_iommu *si;

	list_for_each_entry(si, &fs->iommus, node) {
		if (si->iommu == iommu)
			return;
	}
	si = kzalloc(sizeof(*si));
	if (!si)
		return;
	si->iommu = iommu;
	sysfs_join(si->path, VIRTUAL, iommu->name);
	list_add_tail(&si->node, &fs->iommus);
	sysfs_join(path, si->path, "devices");
	sysfs_mkdir(fs, path);
	sysfs_printf(fs, si->path, "uevent", 0644, "%s", "");
	sysfs_join(path, si->path, "subsystem");
	sysfs_link(fs, path, "sys/class/iommu");
	sysfs_join(path, "sys/class/iommu", iommu->name);
	sysfs_link(fs, path, si->path);
	show_iommu(fs, si);
}

static void iommu_free(struct sysfs_iommu *si)
{
	for (unsigned i = 0; i < ARRAY_SIZE(si->shown); i++)
		kfree(si->shown[i]);
	list_del(&si->node);
	kfree(si);
}

static void on_iommu_removed(struct iommu_listener *l, struct iommu_device *iommu)
{
	struct sysfs *fs = listener_fs(l);
	char path[SYSFS_PATH_MAX];
	struct sysfs_iommu *si, *tmp;

	list_for_each_entry_safe(si, tmp, &fs->iommus, node) {
		if (si->iommu != iommu)
			continue;
		sysfs_join(path, "sys/class/iommu", iommu->name);
		sysfs_remove(fs, path);
		sysfs_remove(fs, si->path);
		iommu_free(si);
	}
}

static void device_links(const struct iommu_device *iommu, const struct device *dev,
			 char *of_iommu, char *of_device)
{
	char path[SYSFS_PATH_MAX];

	snprintf(of_iommu, SYSFS_PATH_MAX, VIRTUAL "/%s/devices/%s", iommu->name,
		 dev_name(dev));
	sysfs_device_path(dev, path);
	sysfs_join(of_device, path, "iommu");
}

static void on_device_linked(struct iommu_listener *l, struct iommu_device *iommu,
			     struct device *dev)
{
	char a[SYSFS_PATH_MAX], b[SYSFS_PATH_MAX], target[SYSFS_PATH_MAX];
	struct sysfs *fs = listener_fs(l);

	device_links(iommu, dev, a, b);
	sysfs_device_path(dev, target);
	sysfs_link(fs, a, target);
	sysfs_join(target, VIRTUAL, iommu->name);
	sysfs_link(fs, b, target);
}

static void on_device_unlinked(struct iommu_listener *l, struct iommu_device *iommu,
			       struct device *dev)
{
	char a[SYSFS_PATH_MAX], b[SYSFS_PATH_MAX];

	device_links(iommu, dev, a, b);
	sysfs_remove(listener_fs(l), a);
	sysfs_remove(listener_fs(l), b);
}

/* ---- begin, refresh, end ---- */

struct walk {
	struct sysfs *fs;
	struct iommu_group *group;
};

static int walk_device(struct device *dev, void *data)
{
	struct walk *w = data;

	on_device_joined(&w->fs->groups, w->group, dev, dev_name(dev));
	if (dev_has_iommu(dev))
		on_device_linked(&w->fs->groups, dev->iommu->iommu_dev, dev);
	return 0;
}

static int walk_group(struct iommu_group *group, void *data)
{
	struct walk w = {.fs = data, .group = group};

	on_group_added(&w.fs->groups, group);
	return iommu_group_for_each_dev(group, &w, walk_device);
}

static int walk_iommu(struct iommu_device *iommu, void *data)
{
	struct sysfs *fs = data;

	on_iommu_added(&fs->groups, iommu);
	return 0;
}

static int show_group(struct iommu_group *group, void *data)
{
	struct sysfs *fs = data;
	char dir[SYSFS_PATH_MAX], path[SYSFS_PATH_MAX], text[4096];
	ssize_t n;

	group_dir(group, dir);
	n = iommu_group_show_type(group, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	sysfs_join(path, dir, "type");
	sysfs_update(fs, path, 0644, text);
	n = iommu_group_show_resv_regions(group, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	sysfs_join(path, dir, "reserved_regions");
	sysfs_update(fs, path, 0444, text);
	sysfs_join(path, dir, "name");
	if (iommu_group_get_name(group, text, sizeof(text))) {
		n = iommu_group_show_name(group, text, sizeof(text) - 1);
		text[n > 0 ? n : 0] = 0;
		sysfs_update(fs, path, 0444, text);
	} else {
		sysfs_remove(fs, path);
	}
	return 0;
}

void sysfs_iommu_refresh(struct sysfs *fs)
{
	struct sysfs_iommu *si;

	list_for_each_entry(si, &fs->iommus, node)
		show_iommu(fs, si);
	if (!fs->groups_changed || !fs->m->iommu)
		return;
	fs->groups_changed = false;
	iommu_for_each_group(fs->m, show_group, fs);
}

void sysfs_iommu_create(struct sysfs *fs)
{
	if (!fs->m->iommu)
		return;
	fs->groups = (struct iommu_listener){
		.machine = fs->m,
		.group_added = on_group_added,
		.group_removed = on_group_removed,
		.add_device_to_group = on_device_joined,
		.remove_device_from_group = on_device_left,
		.group_renamed = on_group_renamed,
		.iommu_added = on_iommu_added,
		.iommu_removed = on_iommu_removed,
		.device_linked = on_device_linked,
		.device_unlinked = on_device_unlinked,
	};
	iommu_for_each_iommu_device(fs->m, walk_iommu, fs);
	iommu_for_each_group(fs->m, walk_group, fs);
	sysfs_iommu_refresh(fs);
	iommu_listener_register(&fs->groups);
}

void sysfs_iommu_destroy(struct sysfs *fs)
{
	struct sysfs_iommu *si, *tmp;

	if (fs->m->iommu)
		iommu_listener_unregister(&fs->groups);
	list_for_each_entry_safe(si, tmp, &fs->iommus, node)
		iommu_free(si);
}
