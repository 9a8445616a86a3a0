// SPDX-License-Identifier: MIT
/*
 * Starting and stopping an IOMMU in the kernel's order: queue, interrupt remapping, root
 * table, registration with the core (which puts each device into its default domain),
 * and only then translation, so that no device is ever without its mappings. Source:
 * Linux's drivers/iommu/intel/iommu.c (intel_iommu_init(), init_dmars()).
 */
#define LOG_SUBSYSTEM "vtd"
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bitmap.h"
#include "drivers/vtd/driver.h"

static struct mutex vtd_instances_lock = MUTEX_INIT;
static LIST_HEAD(vtd_instances);

int vtd_command(struct vtd_iommu *vtd, u32 gcmd, u32 status, bool set)
{
	vtd->gcmd = gcmd & ~VTD_GCMD_ONE_SHOT;
	vtd_wr32(vtd, VTD_GCMD, gcmd);
	for (unsigned i = 0; i < VTD_POLL_LIMIT; i++) {
		if ((vtd_rd32(vtd, VTD_GSTS) & status) == (set ? status : 0))
			return 0;
	}
	pr_err("%s: GSTS bits %x do not %s", vtd->name, status, set ? "set" : "clear");
	return -ETIMEDOUT;
}

bool vtd_is_kdump(const struct machine *m)
{
	const char *value;
	size_t len;

	return cmdline_get(m, "elfcorehdr", &value, &len);
}

/* --- command line --------------------------------------------------------------- */

struct vtd_options {
	bool enabled, superpage, strict, intremap;
};

static void parse_options(const char *value, size_t len, struct vtd_options *options)
{
	while (len) {
		size_t word = 0;

		while (word < len && value[word] != ',')
			word++;
		/* By prefix, in this order, as Linux compares them. */
		if (word >= 2 && !strncmp(value, "on", 2))
			options->enabled = true;
		else if (word >= 3 && !strncmp(value, "off", 3))
			options->enabled = false;
		else if (word >= 6 && !strncmp(value, "strict", 6))
			options->strict = true;
		else if (word >= 6 && !strncmp(value, "sp_off", 6))
			options->superpage = false;
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
	size_t size = strlen(word);

	for (size_t i = 0; i + size <= len; i++) {
		if ((!i || value[i - 1] == ',') && !strncmp(value + i, word, size))
			return true;
	}
	return false;
}

static struct vtd_options read_options(const struct machine *m)
{
	struct vtd_options options = {
		.enabled = true, .superpage = true, .intremap = true};
	const char *pos = m->cmdline;
	struct cmdline_arg arg;

	while (cmdline_next(&pos, &arg)) {
		if (cmdline_name_is(&arg, "intel_iommu"))
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

/* --- /sys/class/iommu/dmarN/intel-iommu ------------------------------------------- */

static struct vtd_iommu *to_vtd(struct iommu_device *iommu)
{
	return container_of(iommu, struct vtd_iommu, iommu);
}

static int version_show(struct iommu_device *iommu, char *buf, size_t size)
{
	u32 version = vtd_rd32(to_vtd(iommu), VTD_VER);

	return snprintf(buf, size, "%u:%u\n", (version >> 4) & 0xf, version & 0xf);
}

static int address_show(struct iommu_device *iommu, char *buf, size_t size)
{
	struct vtd_iommu *vtd = to_vtd(iommu);

	return snprintf(buf, size, "%llx\n",
			(unsigned long long)vtd->m->hw.units[vtd->unit].regs);
}

static int cap_show(struct iommu_device *iommu, char *buf, size_t size)
{
	return snprintf(buf, size, "%llx\n", (unsigned long long)to_vtd(iommu)->cap);
}

static int ecap_show(struct iommu_device *iommu, char *buf, size_t size)
{
	return snprintf(buf, size, "%llx\n", (unsigned long long)to_vtd(iommu)->ecap);
}

static int domains_supported_show(struct iommu_device *iommu, char *buf, size_t size)
{
	return snprintf(buf, size, "%u\n", vtd_ndoms(to_vtd(iommu)));
}

static int domains_used_show(struct iommu_device *iommu, char *buf, size_t size)
{
	struct vtd_iommu *vtd = to_vtd(iommu);
	u64 used;

	mutex_lock(&vtd->lock);
	used = vtd->domain_ids.count;
	mutex_unlock(&vtd->lock);
	return snprintf(buf, size, "%llu\n", (unsigned long long)used);
}

static const struct iommu_attribute vtd_attrs[] = {
	{"version", version_show},
	{"address", address_show},
	{"cap", cap_show},
	{"ecap", ecap_show},
	{"domains_supported", domains_supported_show},
	{"domains_used", domains_used_show},
	{NULL, NULL},
};

/* --- start ---------------------------------------------------------------------- */

/* The instance on @unit of @m; NULL: none. */
static struct vtd_iommu *find_instance(struct machine *m, u32 unit)
{
	struct vtd_iommu *vtd;

	lockdep_assert_held(&vtd_instances_lock);
	list_for_each_entry(vtd, &vtd_instances, node) {
		if (vtd->m == m && vtd->unit == unit)
			return vtd;
	}
	return NULL;
}

/* Largest AGAW that the hardware supports, as the AW field has it; -1: none. */
static int max_agaw(const struct vtd_iommu *vtd)
{
	int agaw = fls(vtd_sagaw(vtd)) - 1;

	return agaw >= 1 && agaw <= 3 ? agaw : -1;
}

static struct vtd_iommu *vtd_create(struct machine *m, u32 unit,
				    const struct vtd_driver_params *params)
{
	struct vtd_iommu *vtd, *other;
	unsigned seq = 0;
	u32 gsts;

	if (unit >= HW_MAX_UNITS || m->hw.units[unit].kind != UNIT_VTD)
		return ERR_PTR(-EINVAL);
	vtd = kzalloc(sizeof(*vtd));
	if (!vtd)
		return ERR_PTR(-ENOMEM);
	vtd->m = m;
	vtd->unit = unit;
	if (params)
		vtd->params = *params;
	vtd->cap = vtd_rd64(vtd, VTD_CAP);
	vtd->ecap = vtd_rd64(vtd, VTD_ECAP);
	/* All ones: nobody answers there. */
	if (vtd->cap == UINT64_MAX || vtd->ecap == UINT64_MAX || max_agaw(vtd) < 0) {
		kfree(vtd);
		return ERR_PTR(-EINVAL);
	}
	vtd->msagaw = (u8)max_agaw(vtd);
	/* What is on must stay on while we write other bits. */
	gsts = vtd_rd32(vtd, VTD_GSTS);
	vtd->gcmd = gsts & (VTD_GSTS_TES | VTD_GSTS_QIES | VTD_GSTS_IRES | VTD_GSTS_CFIS);
	mutex_init(&vtd->lock);
	mutex_init(&vtd->qi_lock);
	xa_init(&vtd->domain_ids);
	INIT_LIST_HEAD(&vtd->devices);
	INIT_LIST_HEAD(&vtd->uses);

	mutex_lock(&vtd_instances_lock);
	if (find_instance(m, unit)) {
		mutex_unlock(&vtd_instances_lock);
		kfree(vtd);
		return ERR_PTR(-EEXIST);
	}
	list_for_each_entry(other, &vtd_instances, node)
		seq += other->m == m;
	snprintf(vtd->name, sizeof(vtd->name), "dmar%u", seq);
	list_add_tail(&vtd->node, &vtd_instances);
	mutex_unlock(&vtd_instances_lock);
	return vtd;
}

static void disable_protected_memory(struct vtd_iommu *vtd)
{
	if (vtd->cap & (VTD_CAP_PLMR | VTD_CAP_PHMR))
		vtd_wr32(vtd, VTD_PMEN, 0);
}

/* kdump: keep the old tables alive, or switch translation off before we build ours. */
static int take_over(struct vtd_iommu *vtd)
{
	if (!(vtd->gcmd & VTD_GCMD_TE))
		return 0;
	if (vtd_is_kdump(vtd->m)) {
		if (!vtd_context_copy_tables(vtd)) {
			vtd->pre_enabled = true;
			return 0;
		}
		pr_err("%s: failed to copy translation tables from previous kernel",
		       vtd->name);
	} else {
		pr_warn("Translation was enabled for %s but we are not in kdump mode",
			vtd->name);
	}
	return vtd_command(vtd, vtd->gcmd & ~VTD_GCMD_TE, VTD_GSTS_TES, false);
}

static int set_root(struct vtd_iommu *vtd)
{
	int rc;

	vtd_flush_write_buffer(vtd);
	vtd_wr64(vtd, VTD_RTADDR, vtd->root | VTD_RTADDR_TTM_LEGACY);
	rc = vtd_command(vtd, vtd->gcmd | VTD_GCMD_SRTP, VTD_GSTS_RTPS, true);
	if (rc || (vtd->cap & VTD_CAP_ESRTPS))
		return rc;
	rc = vtd_flush_context(vtd, 0, 0, VTD_GRAN_GLOBAL);
	return rc ? rc : vtd_flush_iotlb(vtd, 0, 0, 0, false, VTD_GRAN_GLOBAL);
}

/* Everything up to where devices can be attached. */
static int start_translation(struct vtd_iommu *vtd)
{
	int rc = ram_alloc_pages(vtd->m, 0, &vtd->root);

	if (!rc)
		rc = take_over(vtd);
	if (!rc)
		rc = set_root(vtd);
	if (rc)
		return rc;
	/* Fault events reach us through hw_host_ops.unit_event, whatever the message
	 * says. */
	vtd_wr32(vtd, VTD_FEDATA, 0);
	vtd_wr32(vtd, VTD_FEADDR, (u32)MSI_WINDOW_BASE);
	vtd_wr32(vtd, VTD_FEUADDR, 0);
	vtd_wr32(vtd, VTD_FECTL, 0);
	/* Each unmap has to reach hardware that shadows the tables, so nothing is won. */
	if (vtd->cap & VTD_CAP_CM)
		iommu_set_dma_strict(vtd->m);
	vtd->iommu.name = vtd->name;
	vtd->iommu.fwnode = vtd->params.fwnode;
	vtd->iommu.attr_group = "intel-iommu";
	vtd->iommu.attrs = vtd_attrs;
	rc = iommu_device_register(vtd->m, &vtd->iommu, &vtd_iommu_ops);
	if (rc)
		return rc;
	vtd->registered = true;
	if (!vtd->pre_enabled)
		rc = vtd_command(vtd, vtd->gcmd | VTD_GCMD_TE, VTD_GSTS_TES, true);
	disable_protected_memory(vtd);
	return rc;
}

static void stop_translation(struct vtd_iommu *vtd)
{
	if (vtd->registered)
		iommu_device_unregister(&vtd->iommu);
	vtd->registered = false;
	vtd_forget_domains(vtd);
	vtd_wr32(vtd, VTD_FECTL, VTD_ECTL_IM);
	if (vtd->gcmd & VTD_GCMD_TE)
		vtd_command(vtd, vtd->gcmd & ~VTD_GCMD_TE, VTD_GSTS_TES, false);
	vtd_context_free_tables(vtd);
	if (vtd->root)
		ram_free_pages(vtd->m, vtd->root, 0);
	vtd->root = 0;
}

static void vtd_destroy(struct vtd_iommu *vtd)
{
	mutex_lock(&vtd_instances_lock);
	list_del(&vtd->node);
	mutex_unlock(&vtd_instances_lock);
	stop_translation(vtd);
	vtd_irq_remap_disable(vtd);
	vtd_qi_disable(vtd);
	xa_destroy(&vtd->domain_ids);
	mutex_destroy(&vtd->qi_lock);
	mutex_destroy(&vtd->lock);
	kfree(vtd);
}

int vtd_driver_register(struct machine *m, u32 unit,
			const struct vtd_driver_params *params)
{
	struct vtd_options options = read_options(m);
	struct vtd_iommu *vtd = vtd_create(m, unit, params);
	int rc;

	if (IS_ERR(vtd))
		return (int)PTR_ERR(vtd);
	vtd->superpage = options.superpage;
	if (options.strict)
		iommu_set_dma_strict(m);
	vtd_fault_clear(vtd);
	rc = vtd_qi_enable(vtd);
	if (rc && rc != -ENOENT)
		goto err_destroy;
	if (options.intremap) {
		rc = vtd_irq_remap_enable(vtd);
		if (rc && rc != -ENODEV)
			goto err_destroy;
	}
	if (!options.enabled) {
		if (vtd->gcmd & VTD_GCMD_TE)
			vtd_command(vtd, vtd->gcmd & ~VTD_GCMD_TE, VTD_GSTS_TES, false);
		rc = -ENODEV;
		/* The instance stays for interrupt remapping alone. */
		if (vtd->irta)
			return rc;
		goto err_destroy;
	}
	rc = start_translation(vtd);
	if (rc)
		goto err_destroy;
	pr_info("%s: cap %llx ecap %llx", vtd->name, (unsigned long long)vtd->cap,
		(unsigned long long)vtd->ecap);
	return 0;

err_destroy:
	vtd_destroy(vtd);
	return rc;
}

void vtd_driver_unregister(struct machine *m, u32 unit)
{
	struct vtd_iommu *vtd;

	mutex_lock(&vtd_instances_lock);
	vtd = find_instance(m, unit);
	mutex_unlock(&vtd_instances_lock);
	if (vtd)
		vtd_destroy(vtd);
}

void vtd_driver_event(struct machine *m, u32 unit)
{
	struct vtd_iommu *vtd;

	mutex_lock(&vtd_instances_lock);
	vtd = find_instance(m, unit);
	mutex_unlock(&vtd_instances_lock);
	if (vtd)
		vtd_fault_handle(vtd);
}
