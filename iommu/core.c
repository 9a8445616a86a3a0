// SPDX-License-Identifier: MIT
/*
 * One machine's IOMMU core: the defaults of the command line, the IOMMUs that are
 * there, and what it hears of devices coming and going. Source:
 * drivers/iommu/iommu.c (iommu_subsys_init, iommu_device_register),
 * arch/x86/kernel/pci-dma.c (iommu=).
 */
#define LOG_SUBSYSTEM "iommu"
#include "iommu/core.h"

#include <string.h>

#include "base/alloc.h"

void iommu_set_default_passthrough(struct machine *m, bool cmd_line)
{
	guard(mutex)(&m->iommu->lock);
	if (cmd_line)
		m->iommu->cmd_line |= IOMMU_CMD_LINE_DMA_API;
	m->iommu->def_domain_type = IOMMU_DOMAIN_IDENTITY;
}

void iommu_set_default_translated(struct machine *m, bool cmd_line)
{
	guard(mutex)(&m->iommu->lock);
	if (cmd_line)
		m->iommu->cmd_line |= IOMMU_CMD_LINE_DMA_API;
	m->iommu->def_domain_type = IOMMU_DOMAIN_DMA;
}

bool iommu_default_passthrough(const struct machine *m)
{
	guard(mutex)(&m->iommu->lock);
	return m->iommu->def_domain_type == IOMMU_DOMAIN_IDENTITY;
}

void iommu_set_dma_strict(struct machine *m)
{
	guard(mutex)(&m->iommu->lock);
	m->iommu->dma_strict = true;
	if (m->iommu->def_domain_type == IOMMU_DOMAIN_DMA_FQ)
		m->iommu->def_domain_type = IOMMU_DOMAIN_DMA;
}

bool iommu_disabled(const struct machine *m)
{
	return m->iommu->disabled;
}

static bool word_is(const char *word, size_t len, const char *what)
{
	return len == strlen(what) && !memcmp(word, what, len);
}

/* iommu=WORD[,WORD...]; words that name other things are passed over. */
static void parse_iommu(struct iommu_core *core, const char *value, size_t len)
{
	size_t i, n;

	for (i = 0; i < len; i += n + 1) {
		const char *comma = memchr(value + i, ',', len - i);

		n = comma ? (size_t)(comma - (value + i)) : len - i;
		if (word_is(value + i, n, "off"))
			core->disabled = true;
		else if (word_is(value + i, n, "pt"))
			iommu_set_default_passthrough(core->machine, true);
		else if (word_is(value + i, n, "nopt"))
			iommu_set_default_translated(core->machine, true);
	}
}

static void parse_cmdline(struct iommu_core *core)
{
	const char *pos = core->machine->cmdline;
	struct cmdline_arg arg;
	bool on;

	while (cmdline_next(&pos, &arg)) {
		if (cmdline_name_is(&arg, "iommu")) {
			parse_iommu(core, arg.value, arg.value_len);
		} else if (cmdline_name_is(&arg, "iommu.passthrough")) {
			if (!cmdline_bool(arg.value, arg.value_len, &on))
				pr_warn("malformed early option 'iommu.passthrough'");
			else if (on)
				iommu_set_default_passthrough(core->machine, true);
			else
				iommu_set_default_translated(core->machine, true);
		} else if (cmdline_name_is(&arg, "iommu.strict")) {
			if (!cmdline_bool(arg.value, arg.value_len, &core->dma_strict))
				pr_warn("malformed early option 'iommu.strict'");
			else
				core->cmd_line |= IOMMU_CMD_LINE_STRICT;
		}
	}
	if (!(core->cmd_line & IOMMU_CMD_LINE_DMA_API))
		iommu_set_default_translated(core->machine, false);
	if (core->def_domain_type != IOMMU_DOMAIN_IDENTITY && !core->dma_strict)
		core->def_domain_type = IOMMU_DOMAIN_DMA_FQ;
	pr_info("Default domain type: %s%s", iommu_domain_type_str(core->def_domain_type),
		core->cmd_line & IOMMU_CMD_LINE_DMA_API ? " (set via kernel command line)"
							: "");
	if (core->def_domain_type != IOMMU_DOMAIN_IDENTITY)
		pr_info("DMA domain TLB invalidation policy: %s mode%s",
			core->dma_strict ? "strict" : "lazy",
			core->cmd_line & IOMMU_CMD_LINE_STRICT
				? " (set via kernel command line)"
				: "");
}

static void core_notify(struct device_notifier *nb, enum device_event event,
			struct device *dev)
{
	if (event == DEVICE_ADDED)
		iommu_probe_device(dev);
	else if (event == DEVICE_REMOVED)
		iommu_release_device(dev);
}

int iommu_core_create(struct machine *m)
{
	struct iommu_core *core = kzalloc(sizeof(*core));

	if (!core)
		return -ENOMEM;
	core->machine = m;
	mutex_init(&core->probe_lock);
	mutex_init(&core->lock);
	INIT_LIST_HEAD(&core->devices);
	xa_init(&core->groups);
	xa_init(&core->global_pasids);
	m->iommu = core;
	parse_cmdline(core);
	m->dma_configure = iommu_dma_configure;
	m->dma_cleanup = iommu_dma_cleanup;
	core->nb.notify = core_notify;
	device_register_notifier(m, &core->nb);
	return 0;
}

void iommu_core_destroy(struct machine *m)
{
	struct iommu_core *core = m->iommu;

	if (!core)
		return;
	device_unregister_notifier(m, &core->nb);
	WARN_ON(!list_empty(&core->devices));
	WARN_ON(!xa_empty(&core->groups));
	WARN_ON(!xa_empty(&core->global_pasids));
	m->dma_configure = NULL;
	m->dma_cleanup = NULL;
	m->iommu = NULL;
	xa_destroy(&core->groups);
	xa_destroy(&core->global_pasids);
	mutex_destroy(&core->lock);
	mutex_destroy(&core->probe_lock);
	kfree(core);
}

int iommu_device_register(struct machine *m, struct iommu_device *iommu,
			  const struct iommu_ops *ops)
{
	struct iommu_core *core = m->iommu;
	int ret;

	iommu->ops = ops;
	iommu->machine = m;
	iommu->singleton_group = NULL;
	iommu->ready = false;
	mutex_lock(&core->lock);
	list_add_tail(&iommu->list, &core->devices);
	mutex_unlock(&core->lock);
	iommu_trace(iommu_added, iommu);

	ret = iommu_probe_existing(core);
	if (ret) {
		iommu_device_unregister(iommu);
		return ret;
	}
	mutex_lock(&core->lock);
	iommu->ready = true;
	mutex_unlock(&core->lock);
	driver_deferred_probe_trigger(m);
	return 0;
}

void iommu_device_unregister(struct iommu_device *iommu)
{
	struct iommu_core *core = iommu->machine->iommu;

	iommu_release_existing(iommu);
	mutex_lock(&core->lock);
	list_del_init(&iommu->list);
	iommu->ready = false;
	mutex_unlock(&core->lock);
	iommu_group_put(iommu->singleton_group);
	iommu->singleton_group = NULL;
	iommu_trace(iommu_removed, iommu);
}

int iommu_for_each_iommu_device(struct machine *m,
				int (*fn)(struct iommu_device *, void *), void *data)
{
	struct iommu_core *core = m->iommu;
	struct iommu_device *iommu;
	int ret = 0;

	if (!core)
		return 0;
	guard(mutex)(&core->lock);
	list_for_each_entry(iommu, &core->devices, list) {
		ret = fn(iommu, data);
		if (ret)
			break;
	}
	return ret;
}

bool device_iommu_capable(struct device *dev, enum iommu_cap cap)
{
	const struct iommu_ops *ops;

	if (!dev_has_iommu(dev))
		return false;
	ops = dev_iommu_ops(dev);
	return ops->capable && ops->capable(dev, cap);
}
