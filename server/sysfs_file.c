// SPDX-License-Identifier: MIT
/*
 * Open files of the tree. A write goes to the store function whole, at most a page,
 * whatever the position (fs/kernfs/file.c); a write of nothing does nothing. Reading
 * gives what the file shows; configuration space is read from the device.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "server/sysfs_priv.h"

/* linux/openat2.h, not everywhere installed. */
struct open_how_abi {
	u64 flags, mode, resolve;
};
#define RESOLVE_IN_ROOT_ABI 0x10

struct sysfs_open_file {
	struct sysfs_attr *attr;
	u64 pos; /* for read and write without a position */
};

/* ---- writes that are answered later ---- */

struct sysfs_async {
	struct call *call;
	size_t len;
	bool queued, done;
};

struct sysfs_async *sysfs_async_begin(struct call *call, size_t len)
{
	struct sysfs_async *as = kzalloc(sizeof(*as));

	if (as) {
		as->call = call;
		as->len = len;
	}
	return as;
}

void sysfs_async_done(void *async)
{
	struct sysfs_async *as = async;

	as->done = true;
	if (!as->queued)
		return;
	call_complete(as->call, (long)as->len);
	kfree(as);
}

ssize_t sysfs_async_end(struct sysfs_async *as, ssize_t ret)
{
	if (ret == -EIOCBQUEUED && !as->done) {
		as->queued = true;
		return ret;
	}
	if (ret == -EIOCBQUEUED)
		ret = (ssize_t)as->len;
	kfree(as);
	return ret;
}

/* ---- file operations ---- */

static ssize_t read_shown(struct sysfs_attr *a, void *buf, size_t len, u64 pos)
{
	int fd = openat(a->fs->root, a->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;

	if (fd < 0)
		return -ENODEV;
	n = pread(fd, buf, len, (off_t)pos);
	if (n < 0)
		n = -errno;
	close(fd);
	return n;
}

static ssize_t sysfs_read(struct file *file, struct call *call, u64 ubuf, size_t len,
			  u64 pos)
{
	struct sysfs_open_file *of = file->private;
	struct sysfs_attr *a = of->attr;
	u64 at = pos == ~0ULL ? of->pos : pos;
	u8 buf[PAGE_SIZE];
	ssize_t n;
	int ret;

	if (a->dead)
		return -ENODEV;
	len = min_t(size_t, len, sizeof(buf));
	if (a->config) {
		struct pci_dev *pdev = a->obj;

		n = at >= pdev->cfg_size
			    ? 0
			    : (ssize_t)pci_read_config(pdev, (u32)at, buf, len);
	} else {
		n = read_shown(a, buf, len, at);
	}
	if (n <= 0)
		return n;
	ret = copy_to_user(call, ubuf, buf, (size_t)n);
	if (ret)
		return ret;
	if (pos == ~0ULL)
		of->pos += (u64)n;
	return n;
}

static ssize_t write_config(struct sysfs_attr *a, const u8 *buf, size_t len, u64 at)
{
	struct pci_dev *pdev = a->obj;

	if (at >= pdev->cfg_size)
		return at == pdev->cfg_size ? 0 : -EFBIG;
	len = min_t(size_t, len, pdev->cfg_size - at);
	return (ssize_t)pci_write_config(pdev, (u32)at, buf, len);
}

static ssize_t sysfs_write(struct file *file, struct call *call, u64 ubuf, size_t len,
			   u64 pos)
{
	struct sysfs_open_file *of = file->private;
	struct sysfs_attr *a = of->attr;
	u64 at = pos == ~0ULL ? of->pos : pos;
	char buf[PAGE_SIZE + 1];
	ssize_t ret;

	if (a->dead)
		return -ENODEV;
	if (!len)
		return 0;
	len = min_t(size_t, len, PAGE_SIZE);
	ret = copy_from_user(call, buf, ubuf, len);
	if (ret)
		return ret;
	buf[len] = 0;
	if (a->config)
		ret = write_config(a, (u8 *)buf, len, at);
	else
		ret = a->store(a, call, buf, len);
	a->fs->groups_changed = true;
	if (ret > 0 && pos == ~0ULL)
		of->pos += (u64)ret;
	return ret;
}

static void sysfs_release(struct file *file)
{
	struct sysfs_open_file *of = file->private;

	sysfs_attr_put(of->attr);
	kfree(of);
}

static const struct file_operations sysfs_fops = {
	.name = "sysfs",
	.read = sysfs_read,
	.write = sysfs_write,
	.release = sysfs_release,
};

/* A file of the tree by its path, links followed inside of it. */
static int resolve(struct sysfs *fs, const char *path, struct stat *st)
{
	struct open_how_abi how = {.flags = O_PATH | O_CLOEXEC,
				   .resolve = RESOLVE_IN_ROOT_ABI};
	int fd = (int)syscall(SYS_openat2, fs->root, path, &how, sizeof(how)), ret = 0;

	if (fd < 0 && errno == ENOSYS)
		fd = openat(fs->root, path + 1, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, st) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

static struct sysfs_attr *attr_find(struct sysfs *fs, u64 ino)
{
	struct sysfs_attr *a;

	list_for_each_entry(a, &fs->attrs[ino % SYSFS_HASH], hash) {
		if (a->ino == ino)
			return a;
	}
	return NULL;
}

/*
 * The kernel looks at the mode for the machine's root too (fs/kernfs/file.c): opening
 * for what a file has not is EACCES.
 */
static int may_open(struct call *call, u32 mode, int flags)
{
	int acc = flags & O_ACCMODE;
	u32 all = 0;

	if (acc != O_WRONLY)
		all |= 4;
	if (acc != O_RDONLY)
		all |= 2;
	if (!call_capable(call, 0))
		return (mode & all) == all ? 0 : -EACCES;
	mode |= mode >> 3 | mode >> 6;
	return (mode & all) == all ? 0 : -EACCES;
}

int sysfs_open(struct sysfs *fs, struct call *call, const char *path, int flags,
	       struct file **out)
{
	struct sysfs_open_file *of;
	struct sysfs_attr *a;
	struct file *file;
	struct stat st;
	int ret;

	ret = resolve(fs, path, &st);
	if (ret)
		return ret;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	ret = may_open(call, st.st_mode & 0777, flags);
	if (ret)
		return ret;
	a = attr_find(fs, st.st_ino);
	if (!a)
		return -EACCES;
	of = kzalloc(sizeof(*of));
	if (!of)
		return -ENOMEM;
	of->attr = a;
	file = file_alloc(fs->m, &sysfs_fops, of, flags);
	if (IS_ERR(file)) {
		kfree(of);
		return (int)PTR_ERR(file);
	}
	a->refs++;
	file->mode = S_IFREG | (st.st_mode & 07777);
	*out = file;
	return 0;
}
