// SPDX-License-Identifier: MIT
/*
 * /sys/class/vfio, vfio-dev, and the placeholders of device nodes under dev/: plain files
 * whose opens and stats the preload library sends to the server.
 */
#include <stdio.h>
#include <string.h>

#include "server/sysfs_priv.h"

static struct sysfs *listener_fs(struct vfio_listener *l)
{
	return container_of(l, struct sysfs, vfio);
}

static void put_class(struct sysfs *fs, const char *dir, const char *class,
		      const char *name)
{
	char path[SYSFS_PATH_MAX], target[SYSFS_PATH_MAX];

	sysfs_join(target, "sys/class", class);
	sysfs_join(path, dir, "subsystem");
	sysfs_link(fs, path, target);
	sysfs_join(path, target, name);
	sysfs_link(fs, path, dir);
}

static void device_dir(const struct vfio_device *vdev, char *out)
{
	char path[SYSFS_PATH_MAX];

	sysfs_device_path(vdev->dev, path);
	sysfs_join(out, path, "vfio-dev");
}

static void on_device_added(struct vfio_listener *l, struct vfio_device *vdev)
{
	struct sysfs *fs = listener_fs(l);
	char base[SYSFS_PATH_MAX], dir[SYSFS_PATH_MAX], path[SYSFS_PATH_MAX], node[64];
	const struct devnode *dn;

	device_dir(vdev, base);
	sysfs_join(dir, base, vdev->name);
	sysfs_mkdir(fs, dir);
	snprintf(node, sizeof(node), "/dev/vfio/devices/%s", vdev->name);
	dn = devnode_find(fs->m, node);
	if (dn) {
		sysfs_printf(fs, dir, "dev", 0444, "%u:%u\n", dn->major, dn->minor);
		sysfs_printf(fs, dir, "uevent", 0644,
			     "MAJOR=%u\nMINOR=%u\nDEVNAME=vfio/devices/%s\n", dn->major,
			     dn->minor, vdev->name);
	} else {
		sysfs_printf(fs, dir, "uevent", 0644, "%s", "");
	}
	sysfs_device_path(vdev->dev, path);
	sysfs_join(base, dir, "device");
	sysfs_link(fs, base, path);
	put_class(fs, dir, "vfio-dev", vdev->name);
}

static void on_device_removed(struct vfio_listener *l, struct vfio_device *vdev)
{
	struct sysfs *fs = listener_fs(l);
	char path[SYSFS_PATH_MAX];

	sysfs_join(path, "sys/class/vfio-dev", vdev->name);
	sysfs_remove(fs, path);
	device_dir(vdev, path);
	sysfs_remove(fs, path);
}

static void on_group_added(struct vfio_listener *l, struct vfio_group *group)
{
	struct sysfs *fs = listener_fs(l);
	const char *name = vfio_group_name(group);
	char dir[SYSFS_PATH_MAX];

	sysfs_join(dir, "sys/devices/virtual/vfio", name);
	sysfs_mkdir(fs, dir);
	sysfs_printf(fs, dir, "dev", 0444, "%u:%u\n", VFIO_GROUP_MAJOR,
		     vfio_group_minor(group));
	sysfs_printf(fs, dir, "uevent", 0644, "MAJOR=%u\nMINOR=%u\nDEVNAME=vfio/%s\n",
		     VFIO_GROUP_MAJOR, vfio_group_minor(group), name);
	put_class(fs, dir, "vfio", name);
}

static void on_group_removed(struct vfio_listener *l, struct vfio_group *group)
{
	struct sysfs *fs = listener_fs(l);
	const char *name = vfio_group_name(group);
	char path[SYSFS_PATH_MAX];

	sysfs_join(path, "sys/class/vfio", name);
	sysfs_remove(fs, path);
	sysfs_join(path, "sys/devices/virtual/vfio", name);
	sysfs_remove(fs, path);
}

static void on_devnode(void *data, struct devnode *node, bool added)
{
	struct sysfs *fs = data;

	if (added)
		sysfs_put(fs, node->path + 1, node->mode & 0777, NULL, 0);
	else
		sysfs_remove(fs, node->path + 1);
}

static int show_devnode(struct devnode *node, void *data)
{
	on_devnode(data, node, true);
	return 0;
}

void sysfs_nodes_create(struct sysfs *fs)
{
	devnode_for_each(fs->m, show_devnode, fs);
	devnode_listen(fs->m, on_devnode, fs);
}

void sysfs_nodes_destroy(struct sysfs *fs)
{
	devnode_listen(fs->m, NULL, NULL);
}

void sysfs_vfio_create(struct sysfs *fs)
{
	if (!fs->m->vfio)
		return;
	fs->vfio = (struct vfio_listener){
		.device_added = on_device_added,
		.device_removed = on_device_removed,
		.group_added = on_group_added,
		.group_removed = on_group_removed,
	};
	vfio_listener_register(fs->m, &fs->vfio);
}

void sysfs_vfio_destroy(struct sysfs *fs)
{
	if (fs->m->vfio)
		vfio_listener_unregister(&fs->vfio);
}
