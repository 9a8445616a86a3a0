// SPDX-License-Identifier: MIT
/*
 * Starting and stopping an IOMMU in the kernel's order: device table, command buffer,
 * event log, the unit itself with all DMA blocked, then registration with the core, which
 * puts each device into its default domain. Source: Linux's drivers/iommu/amd/init.c
 * (early_enable_iommu(), iommu_init_pci(), parse_amd_iommu_options()).
 */
#define LOG_SUBSYSTEM "amd"
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bitmap.h"
#include "drivers/amd/driver.h"

static struct mutex amd_instances_lock = MUTEX_INIT;
static LIST_HEAD(amd_instances);
static LIST_HEAD(amd_commons);

void amd_control(struct amd_iommu *amd, u64 set, u64 clear)
{
	guard(mutex)(&amd->control_lock);
	amd->control = (amd->control & ~clear) | set;
	amd_wr(amd, AMD_CONTROL, amd->control);
}

static bool is_kdump(const struct machine *m)
{
	const char *value;
	size_t len;

	return cmdline_get(m, "elfcorehdr", &value, &len);
}

/* --- what the IOMMUs of a machine share ------------------------------------------- */

/* All or nothing: one unit that did not translate, and no table is taken over. */
static bool tables_usable(struct machine *m)
{
	if (!is_kdump(m))
		return false;
	for (u32 unit = 0; unit < HW_MAX_UNITS; unit++) {
		if (m->hw.units[unit].kind == UNIT_AMD && !amd_devtab_usable(m, unit))
			return false;
	}
	return true;
}

/* Context: amd_instances_lock. Return: with a reference; NULL: no memory. */
static struct amd_common *common_of(struct machine *m)
{
	struct amd_common *common;
	u32 id;

	list_for_each_entry(common, &amd_commons, node) {
		if (common->m == m) {
			common->users++;
			return common;
		}
	}
	common = kzalloc(sizeof(*common));
	if (!common)
		return NULL;
	xa_init(&common->ids);
	if (xa_alloc(&common->ids, &id, NULL, XA_LIMIT(1, 65535))) {
		kfree(common);
		return NULL;
	}
	mutex_init(&common->lock);
	common->m = m;
	common->users = 1;
	common->identity_id = (u16)id;
	common->reuse = tables_usable(m);
	list_add_tail(&common->node, &amd_commons);
	return common;
}

void amd_common_get(struct amd_common *common)
{
	guard(mutex)(&amd_instances_lock);
	common->users++;
}

static void common_put_locked(struct amd_common *common)
{
	if (--common->users)
		return;
	list_del(&common->node);
	xa_destroy(&common->ids);
	mutex_destroy(&common->lock);
	kfree(common);
}

void amd_common_put(struct amd_common *common)
{
	guard(mutex)(&amd_instances_lock);
	common_put_locked(common);
}

int amd_id_alloc(struct amd_common *common, u16 *id)
{
	u32 found;
	int rc;

	mutex_lock(&common->lock);
	rc = xa_alloc(&common->ids, &found, NULL, XA_LIMIT(1, 65535));
	mutex_unlock(&common->lock);
	if (rc)
		return rc == -EBUSY ? -ENOSPC : rc;
	*id = (u16)found;
	return 0;
}

void amd_id_free(struct amd_common *common, u16 id)
{
	guard(mutex)(&common->lock);
	xa_erase(&common->ids, id);
}

/* --- command line --------------------------------------------------------------- */

struct amd_options {
	bool enabled, strict, intremap;
	u64 pgsizes;
};

static bool begins(const char *value, size_t len, const char *word)
{
	size_t n = strlen(word);

	return len >= n && !strncmp(value, word, n);
}

static void parse_options(const char *value, size_t len, struct amd_options *options)
{
	while (len) {
		size_t word = 0;

		while (word < len && value[word] != ',')
			word++;
		/* By prefix, in this order, as Linux compares them. */
		if (begins(value, word, "fullflush"))
			options->strict = true;
		else if (begins(value, word, "off"))
			options->enabled = false;
		else if (begins(value, word, "nohugepages"))
			options->pgsizes = SZ_4K;
		else if (begins(value, word, "v2_pgsizes_only"))
			options->pgsizes = SZ_4K | SZ_2M | SZ_1G;
		value += word;
		len -= word;
		while (len && *value == ',') {
			value++;
			len--;
		}
	}
}

static bool has_word(const char *value, size_t len, const char *word)
{
	for (size_t i = 0; i < len; i++) {
		if ((!i || value[i - 1] == ',') && begins(value + i, len - i, word))
			return true;
	}
	return false;
}

static struct amd_options read_options(const struct machine *m)
{
	struct amd_options options = {.enabled = true, .intremap = true};
	const char *pos = m->cmdline;
	struct cmdline_arg arg;

	while (cmdline_next(&pos, &arg)) {
		if (cmdline_name_is(&arg, "amd_iommu"))
			parse_options(arg.value, arg.value_len, &options);
		else if (cmdline_name_is(&arg, "nointremap"))
			options.intremap = false;
		else if (cmdline_name_is(&arg, "intremap"))
			options.intremap = !has_word(arg.value, arg.value_len, "off");
	}
	if (iommu_disabled(m))
		options.enabled = false;
	return options;
}

/* --- /sys/class/iommu/ivhdN/amd-iommu ---------------------------------------------- */

static int cap_show(struct iommu_device *iommu, char *buf, size_t size)
{
	return snprintf(buf, size, "%x\n",
			container_of(iommu, struct amd_iommu, iommu)->cap);
}

static int features_show(struct iommu_device *iommu, char *buf, size_t size)
{
	struct amd_iommu *amd = container_of(iommu, struct amd_iommu, iommu);

	return snprintf(buf, size, "%llx:%llx\n", (unsigned long long)amd->efr2,
			(unsigned long long)amd->efr);
}

static const struct iommu_attribute amd_attrs[] = {
	{"cap", cap_show},
	{"features", features_show},
	{NULL, NULL},
};

/* --- start ---------------------------------------------------------------------- */

/* The instance on @unit of @m; NULL: none. */
static struct amd_iommu *find_instance(struct machine *m, u32 unit)
{
	struct amd_iommu *amd;

	lockdep_assert_held(&amd_instances_lock);
	list_for_each_entry(amd, &amd_instances, node) {
		if (amd->m == m && amd->unit == unit)
			return amd;
	}
	return NULL;
}

static struct amd_iommu *amd_create(struct machine *m, u32 unit,
				    const struct amd_driver_params *params)
{
	struct amd_iommu *amd, *other;
	unsigned seq = 0;

	if (unit >= HW_MAX_UNITS || m->hw.units[unit].kind != UNIT_AMD)
		return ERR_PTR(-EINVAL);
	amd = kzalloc(sizeof(*amd));
	if (!amd)
		return ERR_PTR(-ENOMEM);
	amd->m = m;
	amd->unit = unit;
	if (params)
		amd->params = *params;
	amd->cap = amd->params.capability ? amd->params.capability
					  : AMD_CAP_ID | AMD_CAP_TYPE | AMD_CAP_EFR;
	amd->efr = amd_rd(amd, AMD_EFR);
	amd->efr2 = amd_rd(amd, AMD_EFR2);
	/* All ones: nobody answers there. */
	if (amd->efr == UINT64_MAX || AMD_EFR_GET_HATS(amd->efr) == 3) {
		kfree(amd);
		return ERR_PTR(-EINVAL);
	}
	amd->control = amd_rd(amd, AMD_CONTROL);
	mutex_init(&amd->lock);
	mutex_init(&amd->control_lock);
	mutex_init(&amd->cmd_lock);
	mutex_init(&amd->evt_lock);
	xa_init(&amd->irq_tables);
	INIT_LIST_HEAD(&amd->devices);

	guard(mutex)(&amd_instances_lock);
	if (find_instance(m, unit)) {
		kfree(amd);
		return ERR_PTR(-EEXIST);
	}
	amd->common = common_of(m);
	if (!amd->common) {
		kfree(amd);
		return ERR_PTR(-ENOMEM);
	}
	list_for_each_entry(other, &amd_instances, node)
		seq += other->m == m;
	snprintf(amd->name, sizeof(amd->name), "ivhd%u", seq);
	list_add_tail(&amd->node, &amd_instances);
	return amd;
}

/* The device table: ours, with nothing in it, or what a crashed kernel left. */
static int make_devtab(struct amd_iommu *amd)
{
	int rc = ram_alloc_pages(amd->m, AMD_DEVTAB_ORDER, &amd->devtab);

	if (rc)
		return rc;
	if (amd->common->reuse) {
		pr_warn("%s: translation is already enabled, reusing the device table",
			amd->name);
		amd->pre_enabled = true;
		return amd_devtab_copy(amd);
	}
	if (amd->control & AMD_CTRL_IOMMU_EN) {
		pr_warn("Translation was enabled for %s but we are not in kdump mode",
			amd->name);
		amd_control(amd, 0, AMD_CTRL_IOMMU_EN);
	}
	amd_devtab_init(amd);
	return 0;
}

/* Everything up to where devices can be attached. */
static int start(struct amd_iommu *amd, bool intremap)
{
	int rc = make_devtab(amd);

	if (!rc)
		rc = amd_commands_enable(amd);
	if (!rc)
		rc = amd_events_enable(amd);
	if (rc)
		return rc;
	amd->ga = amd->efr & AMD_EFR_GA;
	if (amd->ga)
		amd_control(amd, AMD_CTRL_GA_EN, 0);
	if (intremap)
		amd_irq_remap_enable(amd);
	amd_wr(amd, AMD_DEVTAB_BASE, amd->devtab | (AMD_DEVTAB_BYTES / PAGE_SIZE - 1));
	amd_control(amd, AMD_CTRL_COHERENT | AMD_CTRL_IOMMU_EN, 0);
	rc = amd_flush_everything(amd);
	if (rc)
		return rc;
	/* Each unmap has to reach who shadows the tables, so nothing is won by waiting.
	 */
	if (amd->cap & AMD_CAP_NP_CACHE) {
		pr_info("Using strict mode due to virtualization");
		iommu_set_dma_strict(amd->m);
	}
	amd->iommu.name = amd->name;
	amd->iommu.attr_group = "amd-iommu";
	amd->iommu.attrs = amd_attrs;
	rc = iommu_device_register(amd->m, &amd->iommu, &amd_iommu_ops);
	amd->registered = !rc;
	return rc;
}

static void free_pages(struct amd_iommu *amd, phys_addr_t *pages, unsigned order)
{
	if (*pages)
		ram_free_pages(amd->m, *pages, order);
	*pages = 0;
}

static void amd_destroy(struct amd_iommu *amd)
{
	if (amd->registered)
		iommu_device_unregister(&amd->iommu);
	amd_irq_remap_disable(amd);
	mutex_lock(&amd_instances_lock);
	list_del(&amd->node);
	mutex_unlock(&amd_instances_lock);
	amd_control(amd, 0,
		    AMD_CTRL_IOMMU_EN | AMD_CTRL_CMDBUF_EN | AMD_CTRL_EVT_LOG_EN |
			    AMD_CTRL_EVT_INT_EN | AMD_CTRL_GA_EN);
	free_pages(amd, &amd->evt_ring, AMD_RING_ORDER);
	free_pages(amd, &amd->sem, 0);
	free_pages(amd, &amd->cmd_ring, AMD_RING_ORDER);
	free_pages(amd, &amd->devtab, AMD_DEVTAB_ORDER);
	kfree(amd->deferred);
	mutex_destroy(&amd->evt_lock);
	mutex_destroy(&amd->cmd_lock);
	mutex_destroy(&amd->control_lock);
	mutex_destroy(&amd->lock);
	amd_common_put(amd->common);
	kfree(amd);
}

int amd_driver_register(struct machine *m, u32 unit,
			const struct amd_driver_params *params)
{
	struct amd_options options = read_options(m);
	struct amd_iommu *amd = amd_create(m, unit, params);
	int rc;

	if (IS_ERR(amd))
		return (int)PTR_ERR(amd);
	amd->pgsizes = options.pgsizes;
	if (options.strict)
		iommu_set_dma_strict(m);
	rc = options.enabled ? start(amd, options.intremap && !amd->params.no_intremap)
			     : -ENODEV;
	if (rc) {
		amd_destroy(amd);
		return rc;
	}
	pr_info("%s: features %llx:%llx", amd->name, (unsigned long long)amd->efr2,
		(unsigned long long)amd->efr);
	return 0;
}

void amd_driver_unregister(struct machine *m, u32 unit)
{
	struct amd_iommu *amd;

	mutex_lock(&amd_instances_lock);
	amd = find_instance(m, unit);
	mutex_unlock(&amd_instances_lock);
	if (amd)
		amd_destroy(amd);
}

void amd_driver_event(struct machine *m, u32 unit)
{
	struct amd_iommu *amd;

	mutex_lock(&amd_instances_lock);
	amd = find_instance(m, unit);
	mutex_unlock(&amd_instances_lock);
	if (amd)
		amd_events_handle(amd);
}
