// SPDX-License-Identifier: MIT
/*
 * The running machine's /sys, or a copy: bus/pci/devices with what each directory there
 * tells. Without root the first 64 bytes of the registers are all there is to read, so
 * whether a device is PCI Express is seen from its link's files.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "pci/bytes.h"
#include "pci/import.h"

static bool read_hex(int dir, const char *file, u32 *out)
{
	char buf[32];
	int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return false;
	buf[n] = 0;
	*out = (u32)strtoul(buf, NULL, 16);
	return true;
}

/* The last part of where a link leads. */
static bool link_name(int dir, const char *file, char *out, size_t size)
{
	char buf[PATH_MAX];
	ssize_t n = readlinkat(dir, file, buf, sizeof(buf) - 1);
	const char *last;

	if (n <= 0)
		return false;
	buf[n] = 0;
	last = strrchr(buf, '/');
	last = last ? last + 1 : buf;
	if (strlen(last) >= size)
		return false;
	memcpy(out, last, strlen(last) + 1);
	return true;
}

/* In ".../0000:00:0e.0/pci10000:e0/10000:e0:06.0" the domain's owner stands before it. */
static void find_owner(struct pci_import *imp, int devices, const char *name, u32 domain)
{
	char buf[PATH_MAX], *root, *p;
	ssize_t n = readlinkat(devices, name, buf, sizeof(buf) - 1);
	const char *at;
	u32 owner;
	u8 bus, devfn;

	for (unsigned i = 0; i < imp->nr_behind; i++) {
		if (imp->behind[i].domain == domain)
			return;
	}
	if (n <= 0 || imp->nr_behind == ARRAY_SIZE(imp->behind))
		return;
	buf[n] = 0;
	root = strstr(buf, "/pci");
	while (root && (p = strstr(root + 1, "/pci")))
		root = p;
	if (!root)
		return;
	*root = 0;
	at = strrchr(buf, '/');
	at = at ? at + 1 : buf;
	if (!pci_import_address(&at, &owner, &bus, &devfn) || *at)
		return;
	imp->behind[imp->nr_behind].domain = domain;
	imp->behind[imp->nr_behind].owner_domain = owner;
	imp->behind[imp->nr_behind].bus = bus;
	imp->behind[imp->nr_behind++].devfn = devfn;
}

static void facts_of(int dir, struct pci_import_facts *f, u16 len, const u8 *config,
		     bool root_bus, u8 *unknown)
{
	u32 val;
	bool bridge;

	f->express = -1;
	if (read_hex(dir, "vendor", &val))
		f->vendor = (u16)val;
	if (read_hex(dir, "device", &val))
		f->device = (u16)val;
	if (read_hex(dir, "class", &val))
		f->class = val & 0xffffff;
	if (read_hex(dir, "secondary_bus_number", &val) && !len) {
		f->hdr_type = PCI_HEADER_TYPE_BRIDGE;
		/* The file is decimal. */
		f->secondary =
			(u8)((val >> 4 & 15) * 10 + (val & 15) + (val >> 8 & 15) * 100);
		f->subordinate = f->secondary;
	}
	if (len >= 256)
		return;
	bridge = f->class >> 8 == PCI_CLASS_BRIDGE_PCI;
	if (len && !(config[PCI_STATUS] & 0x10))
		return; /* no capabilities at all */
	*unknown = PCI_UNKNOWN_TYPE | PCI_UNKNOWN_ACS;
	if (faccessat(dir, "max_link_speed", F_OK, 0))
		return;
	if (!bridge || root_bus) {
		f->express = bridge ? PCI_EXP_TYPE_ROOT_PORT : PCI_EXP_TYPE_ENDPOINT;
		*unknown = PCI_UNKNOWN_ACS;
	}
}

static int read_device(struct pci_import *imp, int devices, const char *name)
{
	struct pci_import_facts f = {0};
	struct pci_import_fn *fn;
	u8 config[PCI_CFG_SPACE_EXP_SIZE];
	const char *p = name;
	char text[64];
	u32 domain;
	u8 bus, devfn;
	ssize_t n, len = 0;
	int fd, dir, ret = 0;

	if (!pci_import_address(&p, &domain, &bus, &devfn) || *p)
		return 0;
	dir = openat(devices, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return 0;
	fn = pci_import_add(imp, domain, bus, devfn);
	if (!fn) {
		close(dir);
		return -ENOMEM;
	}
	fd = openat(dir, "config", O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && len < (ssize_t)sizeof(config) &&
	       (n = read(fd, config + len, sizeof(config) - (size_t)len)) > 0)
		len += n;
	if (fd >= 0)
		close(fd);
	len = len >= 4096 ? 4096 : len >= 256 ? 256 : len >= 64 ? 64 : 0;
	facts_of(dir, &f, (u16)len, config, bus == 0, &fn->unknown);
	if (len) {
		fn->multifunction_known = true;
		ret = pci_import_config(fn, config, (u16)len);
	}
	if (!ret)
		ret = pci_import_set(fn, &f);
	/* PCI Express with the first 256 bytes: the list of ACS is beyond them. */
	if (len == 256 && !faccessat(dir, "max_link_speed", F_OK, 0))
		fn->unknown |= PCI_UNKNOWN_ACS;
	fn->virtfn = !faccessat(dir, "physfn", F_OK, AT_SYMLINK_NOFOLLOW);
	if (link_name(dir, "iommu_group", text, sizeof(text)))
		fn->kernel_group = (int)(strtoul(text, NULL, 10) & 0x7fffffff);
	if (link_name(dir, "driver", text, sizeof(text)))
		fn->driver = kstrdup(text);
	close(dir);
	if (domain > 0xffff)
		find_owner(imp, devices, name, domain);
	return ret;
}

int pci_import_sysfs(struct pci_import *imp, const char *dir, char **error)
{
	static const char *const below[] = {"bus/pci/devices", "sys/bus/pci/devices"};
	struct dirent **names = NULL;
	char path[PATH_MAX];
	int fd = -1, nr, ret = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(below) && fd < 0; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, below[i]);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	nr = fd >= 0 ? scandir(path, &names, NULL, alphasort) : -1;
	if (nr < 0) {
		if (fd >= 0)
			close(fd);
		pci_import_tell(error, dir, 0, "no bus/pci/devices in it");
		return -EINVAL;
	}
	for (int i = 0; i < nr; i++) {
		if (!ret)
			ret = read_device(imp, fd, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	close(fd);
	imp->tells_groups = true;
	if (!ret && !imp->nr) {
		pci_import_tell(error, dir, 0, "no PCI device in it");
		ret = -EINVAL;
	}
	return ret;
}
