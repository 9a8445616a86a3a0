// SPDX-License-Identifier: MIT
/*
 * One machine's VFIO: parameters, the container's node, listeners. Parameters have the
 * kernel's names and defaults and come from the machine's command line
 * (MODULE.NAME=VALUE); an unsupported value is reported and ignored, as there.
 */
#define LOG_SUBSYSTEM "vfio"
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vfio/priv.h"

/* kernel: kstrtobool(), where a bare name means yes. */
static void param_bool(struct machine *m, const char *name, bool *out)
{
	const char *value;
	size_t len;

	if (!cmdline_get(m, name, &value, &len))
		return;
	if (!len || strchr("yYtT1", value[0]))
		*out = true;
	else if (strchr("nNfF0", value[0]))
		*out = false;
	else if (len > 1 && (value[0] == 'o' || value[0] == 'O') &&
		 strchr("nNfF", value[1]))
		*out = value[1] == 'n' || value[1] == 'N';
	else
		pr_warn("%s: `%.*s' is neither yes nor no", name, (int)len, value);
}

static void param_u32(struct machine *m, const char *name, u32 *out)
{
	const char *value;
	unsigned long long n;
	char buf[32], *end;
	size_t len;

	if (!cmdline_get(m, name, &value, &len))
		return;
	if (len && len < sizeof(buf) && value[0] >= '0' && value[0] <= '9') {
		memcpy(buf, value, len);
		buf[len] = '\0';
		n = strtoull(buf, &end, 0);
		if (!*end && n <= UINT32_MAX) {
			*out = (u32)n;
			return;
		}
	}
	pr_warn("%s: `%.*s' is not a number", name, (int)len, value);
}

static void params_init(struct machine *m, struct vfio_params *p)
{
	const char *value;
	size_t len;

	p->dma_entry_limit = UINT16_MAX;
	param_bool(m, "vfio.enable_unsafe_noiommu_mode", &p->enable_unsafe_noiommu_mode);
	param_bool(m, "vfio_iommu_type1.allow_unsafe_interrupts",
		   &p->allow_unsafe_interrupts);
	param_bool(m, "vfio_iommu_type1.disable_hugepages", &p->disable_hugepages);
	param_u32(m, "vfio_iommu_type1.dma_entry_limit", &p->dma_entry_limit);
	param_bool(m, "vfio_pci.nointxmask", &p->nointxmask);
	param_bool(m, "vfio_pci.disable_idle_d3", &p->disable_idle_d3);
	param_bool(m, "vfio_pci.enable_sriov", &p->enable_sriov);
	param_bool(m, "vfio_pci.disable_denylist", &p->disable_denylist);
	if (cmdline_get(m, "vfio_pci.ids", &value, &len) && len < sizeof(p->ids))
		memcpy(p->ids, value, len);
}

int vfio_core_create(struct machine *m)
{
	struct vfio_core *core = kzalloc(sizeof(*core));
	int ret;

	if (!core)
		return -ENOMEM;
	core->machine = m;
	INIT_LIST_HEAD(&core->groups);
	INIT_LIST_HEAD(&core->device_sets);
	INIT_LIST_HEAD(&core->listeners);
	INIT_LIST_HEAD(&core->sriov_pfs);
	xa_init(&core->group_minors);
	xa_init(&core->device_indices);
	params_init(m, &core->params);
	ret = vfio_container_init(core);
	if (ret) {
		kfree(core);
		return ret;
	}
	m->vfio = core;
	return 0;
}

void vfio_core_destroy(struct machine *m)
{
	struct vfio_core *core = m->vfio;

	if (!core)
		return;
	WARN_ON(!list_empty(&core->groups));
	WARN_ON(!list_empty(&core->device_sets));
	vfio_container_exit(core);
	xa_destroy(&core->group_minors);
	xa_destroy(&core->device_indices);
	m->vfio = NULL;
	kfree(core);
}

void vfio_set_iommufd_ops(struct machine *m, const struct vfio_iommufd_ops *ops)
{
	m->vfio->iommufd = ops;
}

void vfio_set_cdev_ops(struct machine *m, const struct vfio_cdev_ops *ops)
{
	m->vfio->cdev = ops;
}

void vfio_listener_register(struct machine *m, struct vfio_listener *l)
{
	struct vfio_core *core = m->vfio;
	struct vfio_group *group;
	struct vfio_device *vdev;
	u64 index;

	list_add_tail(&l->node, &core->listeners);
	list_for_each_entry_reverse(group, &core->groups, vfio_next) {
		if (l->group_added)
			l->group_added(l, group);
	}
	xa_for_each(&core->device_indices, index, vdev) {
		if (l->device_added && vdev->refcount && !vdev->unregistering)
			l->device_added(l, vdev);
	}
}

void vfio_listener_unregister(struct vfio_listener *l)
{
	list_del(&l->node);
}
