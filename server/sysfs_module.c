// SPDX-License-Identifier: MIT
/*
 * /sys/module/{vfio,vfio_pci,vfio_iommu_type1,iommufd}/parameters. A write is parsed as
 * the kernel parses that kind of parameter (kernel/params.c, lib/kstrtox.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/sysfs_priv.h"

enum param_kind { PARAM_BOOL, PARAM_UINT };

struct param {
	const char *module, *name;
	enum param_kind kind;
	u32 mode;
	size_t offset; /* in struct vfio_params */
};

#define PARAM(module, name, kind, mode)                                       \
	{                                                                     \
		module, #name, kind, mode, offsetof(struct vfio_params, name) \
	}

static const struct param params[] = {
	PARAM("vfio", enable_unsafe_noiommu_mode, PARAM_BOOL, 0644),
	PARAM("vfio_iommu_type1", allow_unsafe_interrupts, PARAM_BOOL, 0644),
	PARAM("vfio_iommu_type1", disable_hugepages, PARAM_BOOL, 0644),
	PARAM("vfio_iommu_type1", dma_entry_limit, PARAM_UINT, 0644),
	PARAM("vfio_pci", nointxmask, PARAM_BOOL, 0444),
	PARAM("vfio_pci", disable_idle_d3, PARAM_BOOL, 0444),
	PARAM("vfio_pci", enable_sriov, PARAM_BOOL, 0644),
	PARAM("vfio_pci", disable_denylist, PARAM_BOOL, 0444),
};

static void *param_ptr(struct sysfs *fs, const struct param *p)
{
	return (char *)&fs->m->vfio->params + p->offset;
}

static void param_text(struct sysfs *fs, const struct param *p, char *out, size_t size)
{
	if (p->kind == PARAM_BOOL)
		snprintf(out, size, "%c\n", *(bool *)param_ptr(fs, p) ? 'Y' : 'N');
	else
		snprintf(out, size, "%u\n", *(u32 *)param_ptr(fs, p));
}

static int parse_bool(const char *s, bool *out)
{
	switch (s[0]) {
	case 'y':
	case 'Y':
	case 't':
	case 'T':
	case '1':
		*out = true;
		return 0;
	case 'n':
	case 'N':
	case 'f':
	case 'F':
	case '0':
		*out = false;
		return 0;
	case 'o':
	case 'O':
		if (s[1] == 'n' || s[1] == 'N')
			*out = true;
		else if (s[1] == 'f' || s[1] == 'F')
			*out = false;
		else
			return -EINVAL;
		return 0;
	default:
		return -EINVAL;
	}
}

static int parse_uint(const char *s, u32 *out)
{
	unsigned long long v;
	char *end;

	if (s[0] == '+')
		s++;
	if (s[0] < '0' || s[0] > '9')
		return -EINVAL;
	errno = 0;
	v = strtoull(s, &end, 0);
	if (*end == '\n')
		end++;
	if (*end)
		return -EINVAL;
	if (v > UINT32_MAX)
		return -ERANGE;
	*out = (u32)v;
	return 0;
}

static ssize_t param_store(struct sysfs_attr *a, struct call *call, const char *buf,
			   size_t len)
{
	const struct param *p = a->obj;
	char text[32];
	int ret = p->kind == PARAM_BOOL ? parse_bool(buf, param_ptr(a->fs, p))
					: parse_uint(buf, param_ptr(a->fs, p));

	if (ret)
		return ret;
	param_text(a->fs, p, text, sizeof(text));
	sysfs_update(a->fs, a->path, a->mode, text);
	return (ssize_t)len;
}

void sysfs_modules_create(struct sysfs *fs)
{
	char dir[SYSFS_PATH_MAX], text[32];

	if (!fs->m->vfio)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(params); i++) {
		const struct param *p = &params[i];

		snprintf(dir, sizeof(dir), "sys/module/%s/parameters", p->module);
		param_text(fs, p, text, sizeof(text));
		sysfs_attr(fs, dir, p->name, p->mode, text, param_store, (void *)p);
	}
}
