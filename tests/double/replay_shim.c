// SPDX-License-Identifier: MIT
/*
 * uapi-replay in one process with its machine: replay-double [MACHINE] SCRIPT. With
 * DOUBLE_RESTART in the environment every access to the program comes late once.
 */
#define SHIM_ITSELF
#include "tests/double/replay_shim.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "iommu/iommu.h"
#include "machine/machine.h"
#include "pci/pci.h"
#include "tests/double/double.h"
#include "vfio/vfio.h"

static long result(long ret)
{
	if (ret >= 0)
		return ret;
	errno = (int)-ret;
	return -1;
}

int shim_open(const char *path, int flags, ...)
{
	if (!strncmp(path, "/dev/vfio", 9) || !strcmp(path, "/dev/iommu"))
		return (int)result(double_open(path, flags));
	return open(path, flags, 0600);
}

int shim_ioctl(int fd, unsigned long cmd, ...)
{
	va_list ap;
	u64 arg;

	va_start(ap, cmd);
	arg = va_arg(ap, u64);
	va_end(ap);
	if (double_file(fd))
		return (int)result(double_ioctl(fd, (unsigned)cmd, arg));
	return ioctl(fd, cmd, arg);
}

ssize_t shim_pread(int fd, void *buf, size_t len, off_t pos)
{
	return double_file(fd) ? result(double_pread(fd, buf, len, (u64)pos))
			       : pread(fd, buf, len, pos);
}

ssize_t shim_pwrite(int fd, const void *buf, size_t len, off_t pos)
{
	return double_file(fd) ? result(double_pwrite(fd, buf, len, (u64)pos))
			       : pwrite(fd, buf, len, pos);
}

ssize_t shim_read(int fd, void *buf, size_t len)
{
	ssize_t ret = double_file(fd) ? result(double_pread(fd, buf, len, ~0ULL))
				      : read(fd, buf, len);

	return ret;
}

ssize_t shim_write(int fd, const void *buf, size_t len)
{
	ssize_t ret = double_file(fd) ? result(double_pwrite(fd, buf, len, ~0ULL))
				      : write(fd, buf, len);

	double_pump();
	return ret;
}

void *shim_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	void *p;

	if (!double_file(fd))
		return mmap(addr, len, prot, flags, fd, off);
	p = double_mmap(addr, len, prot, flags, fd, (u64)off);
	if (!IS_ERR(p))
		return p;
	errno = (int)-PTR_ERR(p);
	return MAP_FAILED;
}

int shim_close(int fd)
{
	return double_close(fd) ? 0 : close(fd);
}

int shim_dup(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (copy >= 0 && double_file(fd))
		double_dup(fd, copy);
	return copy;
}

/* What a script looks up in /sys: who is in which group, and the names of cdevs. */
static bool make_sys(const char *dir)
{
	struct pci_dev *pdev;
	struct vfio_device *vdev;
	char cmd[1024];
	u64 index;
	int bad = 0;

	for_each_pci_dev(dbl.m->pci, pdev)
	{
		struct iommu_group *group = iommu_group_get(&pdev->dev);

		if (!group)
			continue;
		snprintf(cmd, sizeof(cmd),
			 "d=%s/sys/bus/pci/devices/%s; g=%s/sys/kernel/iommu_groups/%d; "
			 "mkdir -p $d $g/devices/%s; ln -s $g $d/iommu_group",
			 dir, pci_name(pdev), dir, iommu_group_id(group), pci_name(pdev));
		bad |= system(cmd);
		iommu_group_put(group);
	}
	xa_for_each(&dbl.m->vfio->device_indices, index, vdev) {
		snprintf(cmd, sizeof(cmd),
			 "mkdir -p %s/sys/bus/pci/devices/%s/vfio-dev/%s", dir,
			 dev_name(vdev->dev), vdev->name);
		bad |= system(cmd);
	}
	return !bad;
}

int main(int argc, char **argv)
{
	char dir[] = "/dev/shm/moat-double-XXXXXX", sys[64], cmd[64];
	char *replay_argv[] = {argv[0], argv[argc - 1], NULL};
	int ret;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: %s [MACHINE] SCRIPT\n", argv[0]);
		return 2;
	}
	if (!mkdtemp(dir) || double_start(argc == 3 ? argv[1] : "golden-uapi", NULL) ||
	    !make_sys(dir))
		return 2;
	snprintf(sys, sizeof(sys), "%s/sys", dir);
	setenv("UAPI_SYSFS", sys, 1);
	dbl.restart = getenv("DOUBLE_RESTART") != NULL;
	ret = replay_main(2, replay_argv);
	fflush(stdout);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd))
		ret = 2;
	_exit(ret);
}
