// SPDX-License-Identifier: MIT
/*
 * Machine files: each kind of defect is told with file and line; what is right is
 * built as it says. The sources are written to a temporary directory and compiled as a
 * user's would be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fault_inject.h"
#include "machine/machine.h"
#include "of/machine.h"

static void describe(const u64 *props, struct endpoint_pci_info *info)
{
	*info = (struct endpoint_pci_info){.vendor = 0x1234,
					   .device = (u16)props[0],
					   .bar = {{SZ_1M, HW_BAR_MMAP}},
					   .pcie = true};
}

static void init(struct hw *hw, u32 fn, const u64 *props)
{
}

static const struct endpoint_property props[] = {
	{"device", "id", 0x11e8, 0xffff}, {"fast", "switch", 0, 1}, {0}};
static const struct endpoint_model model = {
	.name = "edu", .properties = props, .describe = describe, .init = init};
static const struct endpoint_model *const models[ENDPOINT_MAX_MODELS] = {NULL, &model};

static u64 unit_aw;
static unsigned started;

static int unit_create(struct machine *m, const struct of_unit_desc *desc)
{
	unit_aw = desc->props[0];
	return 0;
}

static int unit_start(struct machine *m, const struct of_unit_desc *desc)
{
	started++;
	return 0;
}

static const struct of_unit_property unit_props[] = {
	{"aw-bits", 48, 57}, {"caching-mode", 0, 1}, {0}};
static const struct of_unit_type unit_type = {.compatible = "intel,vtd",
					      .kind = "vtd",
					      .properties = unit_props,
					      .create = unit_create,
					      .start = unit_start};
static const struct of_unit_type *const unit_types[] = {&unit_type, NULL};

static struct of_machine_config config = {.unit_types = unit_types, .models = models};
static char dir[] = "/tmp/moat-machine-XXXXXX", path[64];

/* Line 1 is the version, line 2 the root, line 3 memory; %s starts on the line named. */
#define HEAD                                                                         \
	"/dts-v1/;\n"                                                                \
	"/ { #address-cells = <2>; #size-cells = <2>;\n"                             \
	"memory@0 { device_type = \"memory\"; reg = <0 0 0 0x4000000>; };\n"         \
	"u: iommu@fed90000 { compatible = \"intel,vtd\"; reg = <0 0xfed90000 0 "     \
	"0x1000>; };\n"                                                              \
	"pcie@0 { device_type = \"pci\"; #address-cells = <3>; #size-cells = <2>;\n" \
	"reg = <0 0xb0000000 0 0x10000000>; iommu-map = <0 &u 0 0x10000>;\n"
#define TAIL "}; };\n"
/* One function; @x is on line 8. */
#define FN(x) HEAD "edu@1 { reg = <0x800 0 0 0 0>;\n" x "\n};\n" TAIL

static const struct {
	const char *what, *text, *line, *message;
} defects[] = {
	{"syntax", "/dts-v1/;\n/ { a = <1> b; };\n", ":2:", "syntax error"},
	{"label", "/dts-v1/;\n/ {\n a = <&nothing>; };\n", ":3:", "nothing"},
	{"no host", "/dts-v1/;\n/ { };\n", ":2:", "no PCI host"},
	{"memory size",
	 "/dts-v1/;\n/ {\n#address-cells = <2>; #size-cells = <2>;\nmemory@0 { "
	 "device_type = \"memory\";\nreg = <0 0 0 0x123>; };\npcie { device_type = "
	 "\"pci\"; }; };\n",
	 ":5:", "memory:"},
	{"memory without reg",
	 "/dts-v1/;\n/ {\nmemory { device_type = \"memory\"; };\npcie { device_type = "
	 "\"pci\"; }; };\n",
	 ":3:", "no reg"},
	{"memory reg shape",
	 "/dts-v1/;\n/ {\n#address-cells = <2>; #size-cells = <2>;\nmemory { device_type "
	 "= \"memory\";\nreg = <1 2 3>; }; };\n",
	 ":5:", "2 address"},
	{"bootargs", "/dts-v1/;\n/ { chosen {\nbootargs = <1>; }; };\n",
	 ":3:", "bootargs"},
	{"model", FN("moat,model = \"toaster\";"),
	 ":8:", "no model is called \"toaster\""},
	{"model type", FN("moat,model = <1>;"), ":8:", "no model"},
	{"nothing said", HEAD "\nedu@1 { reg = <0x800 0 0 0 0>; };\n" TAIL,
	 ":8:", "what is this"},
	{"two at once",
	 HEAD "\nedu@1 { reg = <0x800 0 0 0 0>; vendor-id = <1>;\nmoat,model = \"edu\"; "
	      "};\n" TAIL,
	 ":8:", "exclude"},
	{"model property range", FN("moat,model = \"edu\"; moat,device = <0x10000>;"),
	 ":8:", "up to 0xffff"},
	{"unknown property", FN("moat,model = \"edu\"; moat,colour = <1>;"),
	 ":8:", "moat,colour: no such property"},
	{"driver", FN("moat,model = \"edu\"; moat,driver = <1>;"), ":8:", "moat,driver"},
	{"flag value", FN("moat,model = \"edu\"; moat,async = <2>;"),
	 ":8:", "moat,async"},
	{"port kind", FN("moat,port = \"sea\";"), ":8:", "moat,port: wants"},
	{"image short", FN("moat,config-image = [00 01];"), ":8:", "2 bytes"},
	{"bar size",
	 HEAD "edu@1 { vendor-id = <1>;\nreg = <0x800 0 0 0 0>, <0x02000810 0 0 0 "
	      "0x3000>; };\n" TAIL,
	 ":8:", "power of two"},
	{"bar register",
	 HEAD "edu@1 { vendor-id = <1>;\nreg = <0x800 0 0 0 0>, <0x02000811 0 0 0 "
	      "0x1000>; };\n" TAIL,
	 ":8:", "no base address register"},
	{"bar aligned",
	 HEAD "edu@1 { vendor-id = <1>; reg = <0x800 0 0 0 0>;\nassigned-addresses = "
	      "<0x82000810 0 0xe0000800 0 0x1000>; };\n" TAIL,
	 ":8:", "not aligned"},
	{"reg missing", HEAD "\nedu { moat,model = \"edu\"; };\n" TAIL, ":8:", "reg:"},
	{"reg short", HEAD "edu {\nreg = <1>; };\n" TAIL, ":8:", "reg:"},
	{"slot taken",
	 HEAD "a@1 { reg = <0x800 0 0 0 0>; moat,model = \"edu\"; }; b@1 {\nreg = <0x800 "
	      "0 0 0 0>; };\n" TAIL,
	 ":8:", "already"},
	{"child of a function",
	 HEAD "a@1 { reg = <0x800 0 0 0 0>; moat,model = \"edu\";\nb { }; };\n" TAIL,
	 ":8:", "no bridge"},
	{"below a port",
	 HEAD "p@1 { reg = <0x800 0 0 0 0>; moat,port = \"root-port\"; a@3 {\nreg = "
	      "<0x1800 0 0 0 0>; moat,model = \"edu\"; }; };\n" TAIL,
	 ":8:", "only device 0"},
	{"port below a port",
	 HEAD "p@1 { reg = <0x800 0 0 0 0>; moat,port = \"root-port\"; a@0 { reg = <0 0 "
	      "0 0 0>;\nmoat,port = \"root-port\"; }; };\n" TAIL,
	 ":8:", "root bus"},
	{"downstream alone", FN("moat,port = \"downstream\";"), ":8:", "upstream port"},
	{"window",
	 HEAD "p@1 { reg = <0x800 0 0 0 0>; moat,port = \"root-port\";\nranges = "
	      "<0x02000000 0 0xe0000000 0x02000000 0 0xe0000000 0 0x1234>; };\n" TAIL,
	 ":8:", "window"},
	{"bridge buses",
	 HEAD "p@1 { reg = <0x800 0 0 0 0>; moat,port = \"root-port\";\nbus-range = <9 "
	      "5>; };\n" TAIL,
	 ":8:", "bus-range"},
	{"msi",
	 HEAD "a@1 { reg = <0x800 0 0 0 0>; vendor-id = <1>;\nmoat,msi = <3>; };\n" TAIL,
	 ":8:", "moat,msi"},
	{"msix",
	 HEAD
	 "a@1 { reg = <0x800 0 0 0 0>; vendor-id = <1>;\nmoat,msix = <300>; };\n" TAIL,
	 ":8:", "moat,msix"},
	{"unit property",
	 "/dts-v1/;\n/ {\niommu { compatible = \"intel,vtd\";\naw-bit = <39>; }; };\n",
	 ":4:", "aw-bit: no such property"},
	{"unit value",
	 "/dts-v1/;\n/ {\niommu { compatible = \"intel,vtd\";\naw-bits = <99>; }; };\n",
	 ":4:", "up to 0x39"},
	{"unit reg", "/dts-v1/;\n/ {\n\niommu { compatible = \"intel,vtd\"; }; };\n",
	 ":4:", "has no reg"},
	{"unit in memory",
	 "/dts-v1/;\n/ {\n#address-cells = <1>; #size-cells = <1>;\niommu { compatible = "
	 "\"intel,vtd\"; reg = <0x1000 0x1000>; }; };\n",
	 ":4:", "in memory"},
	{"iommu-map shape",
	 "/dts-v1/;\n/ {\npcie { device_type = \"pci\";\niommu-map = <1 2>; }; };\n",
	 ":4:", "iommu-map"},
	{"iommu-map target",
	 "/dts-v1/;\n/ {\nx: pcie { device_type = \"pci\";\niommu-map = <0 &x 0 1>; }; "
	 "};\n",
	 ":4:", "no IOMMU"},
	{"iommu-map range",
	 HEAD "}; pcie@1 { device_type = \"pci\"; linux,pci-domain = <1>;\niommu-map = "
	      "<0xfff0 &u 0 0x100>;" TAIL,
	 ":8:", "out of range"},
	{"bus-range",
	 "/dts-v1/;\n/ {\npcie { device_type = \"pci\";\nbus-range = <1 0>; }; };\n",
	 ":4:", "bus-range"},
	{"hosts overlap",
	 HEAD "};\npcie@1 { device_type = \"pci\"; linux,pci-domain = <0>;" TAIL,
	 ":8:", "belong to"},
	{"ranges",
	 "/dts-v1/;\n/ {\npcie { device_type = \"pci\";\nranges = <1 2>; }; };\n",
	 ":4:", "ranges"},
	{"ranges moved",
	 "/dts-v1/;\n/ { #address-cells = <2>; #size-cells = <2>;\npcie { device_type = "
	 "\"pci\";\nranges = <0x02000000 0 0xe0000000 0 0xd0000000 0 0x100000>; }; };\n",
	 ":4:", "the same"},
	{"ranges in memory",
	 "/dts-v1/;\n/ { #address-cells = <2>; #size-cells = <2>;\npcie { device_type = "
	 "\"pci\";\nranges = <0x02000000 0 0x1000000 0 0x1000000 0 0x100000>; }; };\n",
	 ":4:", "lies in memory"},
};

static void write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void each_defect_names_its_line(void **state)
{
	s64 live = alloc_live_count();
	char want[160];

	for (unsigned i = 0; i < ARRAY_SIZE(defects); i++) {
		struct of_machine *om;
		char *error = NULL;
		int ret;

		write_file(defects[i].text);
		ret = of_machine_open(path, NULL, 0, &config, &om, &error);
		snprintf(want, sizeof(want), "%s%s ", path, defects[i].line);
		if (ret != -EINVAL || !error || !strstr(error, want) ||
		    !strstr(strstr(error, want), defects[i].message))
			print_message("%s: ret %d, wanted %s%s\ngot: %s", defects[i].what,
				      ret, want, defects[i].message,
				      error ? error : "nothing\n");
		assert_int_equal(ret, -EINVAL);
		assert_non_null(error);
		assert_non_null(strstr(error, want));
		assert_non_null(strstr(strstr(error, want), defects[i].message));
		free(error);
	}
	assert_int_equal(alloc_live_count(), live);
}

static void several_defects_are_all_told(void **state)
{
	struct of_machine *om;
	char *error = NULL;

	write_file(HEAD "a@1 { reg = <0x800 0 0 0 0>;\nmoat,model = \"x\"; };\nb@2 { reg "
			"= <0x1000 0 0 0 0>;\nmoat,model = \"y\"; };\n" TAIL);
	assert_int_equal(of_machine_open(path, NULL, 0, &config, &om, &error), -EINVAL);
	assert_non_null(strstr(error, ":8: "));
	assert_non_null(strstr(error, ":10: "));
	free(error);
}

static void blob_defects_name_the_node(void **state)
{
	/* Header; an empty reservation list; root with one property; its name. */
	static const u8 old_format[] = {
		0xd0, 0x0d, 0xfe, 0xed, 0,   0, 0, 0x6c, 0, 0, 0, 0x38, 0, 0, 0, 0x64,
		0,    0,    0,	  0x28, 0,   0, 0, 3,	 0, 0, 0, 1,	0, 0, 0, 0,
		0,    0,    0,	  8,	0,   0, 0, 0x2c, 0, 0, 0, 0,	0, 0, 0, 0,
		0,    0,    0,	  0,	0,   0, 0, 0,	 0, 0, 0, 1,	0, 0, 0, 0,
		0,    0,    0,	  3,	0,   0, 0, 4,	 0, 0, 0, 0,	0, 0, 0, 1,
		0,    0,    0,	  2,	0,   0, 0, 9,	 0, 0, 0, 9,	0, 0, 0, 9,
		0,    0,    0,	  9,	'a', 0, 0, 0,	 0, 0, 0, 0,
	};
	struct of_machine *om;
	char *error = NULL;

	assert_int_equal(of_machine_open("x.dtb", "garbage", 7, &config, &om, &error),
			 -EINVAL);
	assert_string_equal(error, "x.dtb: not a device tree blob, or a damaged one\n");
	free(error);
	/* Version 3: libfdt would fall over it. */
	assert_int_equal(of_machine_open("x.dtb", old_format, sizeof(old_format), &config,
					 &om, &error),
			 -EINVAL);
	free(error);
	assert_int_equal(of_machine_open("/nowhere/x.dtb", NULL, 0, &config, &om, &error),
			 -ENOENT);
	free(error);
}

static void device_arguments_take_the_first_free_slot(void **state)
{
	static const struct {
		const char *arg, *error;
	} bad[] = {
		{"toaster", "no such model; there are edu"},
		{"edu,addr=0000:00:01.0", "is there"},
		{"edu,addr=0000:00:40.0", "not an address"},
		{"edu,addr=7:7", "not an address"},
		{"edu,addr=0000:77:00.0", "no bus"},
		{"edu,colour=1", "no such property"},
		{"edu,device=0x10000", "up to 0xffff"},
		{"edu,fast=maybe", "on, off"},
		{"edu,fast", "NAME=VALUE"},
		{"edu,async=2", "on or off"},
		{"", "no such model"},
	};
	struct of_machine *om;
	struct machine *m;
	struct pci_host *host;
	struct pci_dev *pdev;
	char *error = NULL;
	s64 live = alloc_live_count();

	write_file(HEAD
		   "a@0 { reg = <0 0 0 0 0>; moat,model = \"edu\"; };\n"
		   "p@1 { reg = <0x800 0 0 0 0>; moat,port = \"root-port\"; };\n" TAIL);
	assert_int_equal(of_machine_open(path, NULL, 0, &config, &om, &error), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(of_machine_add_device(om, bad[i].arg, &error), -EINVAL);
		if (!strstr(error, bad[i].error))
			print_message("%s: %s\n", bad[i].arg, error);
		assert_non_null(strstr(error, bad[i].error));
		free(error);
	}
	assert_int_equal(of_machine_add_device(om, "edu,device=0x4321,mmap=off,fast=on",
					       &error),
			 0);
	assert_int_equal(
		of_machine_add_device(om, "edu,addr=01:00.0,driver=none", &error), 0);
	assert_int_equal(of_machine_add_device(om, "edu,addr=0000:00:00.3", &error), 0);
	assert_int_equal(of_machine_nr_functions(om), 6); /* one for the unit */
	assert_int_equal(of_machine_ram_size(om), 0x4000000);
	assert_int_equal(machine_create(&m, of_machine_ram_size(om),
					of_machine_nr_functions(om), ""),
			 0);
	m->hw.endpoint_models = models;
	assert_int_equal(pci_host_create(m, &host), 0);
	assert_int_equal(of_machine_build(om, m, &error), 0);
	assert_int_equal(unit_aw, 48);
	assert_string_equal(of_machine_device_address(om, 0), "0000:00:02.0");
	assert_string_equal(of_machine_device_address(om, 1), "0000:01:00.0");
	assert_string_equal(of_machine_device_address(om, 2), "0000:00:00.3");
	assert_int_equal(pci_host_scan(host), 0);
	assert_int_equal(of_machine_start_iommus(om, m), 0);
	assert_int_equal(started, 1);
	pdev = pci_get_domain_bus_and_slot(host, 0, 0, PCI_DEVFN(2, 0));
	assert_non_null(pdev);
	assert_int_equal(pdev->device, 0x4321);
	assert_string_equal(pdev->dev.driver_override, "vfio-pci");
	assert_int_equal(m->hw.functions[pdev->dev.hw_function].unit, 0);
	assert_int_equal(m->hw.functions[pdev->dev.hw_function].flags & HW_FN_NO_MMAP,
			 HW_FN_NO_MMAP);
	put_device(&pdev->dev);
	pdev = pci_get_domain_bus_and_slot(host, 0, 1, 0);
	assert_null(pdev->dev.driver_override);
	put_device(&pdev->dev);
	pdev = pci_get_domain_bus_and_slot(host, 0, 0, 3);
	assert_non_null(pdev); /* function 0 says that there are more */
	put_device(&pdev->dev);
	pci_host_destroy(host);
	machine_destroy(m);
	of_machine_close(om);
	assert_int_equal(alloc_live_count(), live);
}

static void iommu_none_leaves_functions_alone(void **state)
{
	struct of_machine_config none = config;
	struct of_machine *om;
	struct machine *m;
	struct pci_host *host;
	char *error = NULL;

	none.iommu = "none";
	write_file(FN("moat,model = \"edu\";"));
	assert_int_equal(of_machine_open(path, NULL, 0, &none, &om, &error), 0);
	assert_int_equal(machine_create(&m, SZ_2M, 4, ""), 0);
	m->hw.endpoint_models = models;
	assert_int_equal(pci_host_create(m, &host), 0);
	assert_int_equal(of_machine_build(om, m, &error), 0);
	assert_int_equal(m->hw.functions[0].unit, -1);
	pci_host_destroy(host);
	machine_destroy(m);
	of_machine_close(om);
}

/* Two hosts without a segment, a port that only device_type names, ids in compatible. */
static void boards_of_few_words_are_understood(void **state)
{
	struct of_machine *om;
	struct machine *m;
	struct pci_host *host;
	struct pci_dev *pdev;
	char *error = NULL;

	write_file(
		HEAD
		"}; pcie@1 { device_type = \"pci\"; #address-cells = <3>;\n"
		"#size-cells = <2>; pcie@0 { device_type = \"pci\"; reg = <0 0 0 0 0>;\n"
		"wifi@0 { compatible = \"pci168c,0040\", \"qcom,x\"; reg = <0 0 0 0 0>;\n"
		"interrupts = <0 1 4>; }; };\n" TAIL);
	assert_int_equal(of_machine_open(path, NULL, 0, &config, &om, &error), 0);
	assert_int_equal(machine_create(&m, SZ_2M, 4, ""), 0);
	m->hw.endpoint_models = models;
	assert_int_equal(pci_host_create(m, &host), 0);
	assert_int_equal(of_machine_build(om, m, &error), 0);
	assert_int_equal(pci_host_scan(host), 0);
	pdev = pci_get_domain_bus_and_slot(host, 1, 1, 0);
	assert_non_null(pdev);
	assert_int_equal(pdev->vendor, 0x168c);
	assert_int_equal(pdev->device, 0x0040);
	assert_int_equal(pci_pcie_type(pdev->bus->self), PCI_EXP_TYPE_ROOT_PORT);
	put_device(&pdev->dev);
	pci_host_destroy(host);
	machine_destroy(m);
	of_machine_close(om);
}

static void addresses_that_do_not_fit_are_told(void **state)
{
	static const char *const texts[] = {
		HEAD "a@1 { vendor-id = <1>; reg = <0x800 0 0 0 0>, <0x02000810 0 0 0 "
		     "0x80000000>; };\n" TAIL,
		HEAD "a@1 { vendor-id = <1>; reg = <0x800 0 0 0 0>; assigned-addresses = "
		     "<0x82000810 0 0xe0000000 0 0x1000>; };\n"
		     "b@2 { vendor-id = <1>; reg = <0x1000 0 0 0 0>; assigned-addresses "
		     "= <0x82001010 0 0xe0000000 0 0x1000>; };\n" TAIL,
	};
	static const char *const wants[] = {"no room for 0x80000000 bytes of memory",
					    "collides with something else"};

	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++) {
		struct of_machine *om;
		struct machine *m;
		struct pci_host *host;
		char *error = NULL;

		write_file(texts[i]);
		assert_int_equal(of_machine_open(path, NULL, 0, &config, &om, &error), 0);
		assert_int_equal(machine_create(&m, SZ_2M, 4, ""), 0);
		m->hw.endpoint_models = models;
		assert_int_equal(pci_host_create(m, &host), 0);
		assert_int_not_equal(of_machine_build(om, m, &error), 0);
		assert_non_null(error);
		assert_non_null(strstr(error, wants[i]));
		free(error);
		pci_host_destroy(host);
		machine_destroy(m);
		of_machine_close(om);
	}
}

/* From the file to devices on the bus, with the @nth allocation failing. */
static void start_with_fault(u64 nth)
{
	struct of_machine *om = NULL;
	struct machine *m = NULL;
	struct pci_host *host = NULL;
	char *error = NULL;
	int ret;

	fault_inject_arm(nth);
	ret = of_machine_open(path, NULL, 0, &config, &om, &error);
	if (!ret) {
		ret = of_machine_add_device(om, "edu,device=0x1111", &error);
		if (!ret)
			ret = machine_create(&m, SZ_2M, of_machine_nr_functions(om), "");
		if (ret)
			m = NULL;
	}
	free(error);
	error = NULL;
	if (m) {
		m->hw.endpoint_models = models;
		if (!pci_host_create(m, &host)) {
			if (!of_machine_build(om, m, &error) && !pci_host_scan(host))
				pci_bus_add_devices(host);
			pci_host_destroy(host);
		}
		machine_destroy(m);
	}
	if (om && !IS_ERR(om))
		of_machine_close(om);
	free(error);
}

static void each_failed_allocation_leaves_nothing(void **state)
{
	s64 live = alloc_live_count();
	u64 nth;

	write_file(
		HEAD
		"a@0 { reg = <0 0 0 0 0>; moat,model = \"edu\"; moat,driver = \"x\"; };\n"
		"p@1 { reg = <0x800 0 0 0 0>; moat,port = \"root-port\"; moat,acs;\n"
		"b@0 { reg = <0 0 0 0 0>; moat,model = \"edu\"; }; };\n" TAIL);
	for (nth = 1;; nth++) {
		bool injected;

		start_with_fault(nth);
		injected = fault_inject_disarm();
		if (alloc_live_count() != live)
			print_message("allocation %llu\n", (unsigned long long)nth);
		assert_int_equal(alloc_live_count(), live);
		if (!injected)
			break;
	}
	assert_true(nth > 50);
}

static int make_dir(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/m.dts", dir);
	return 0;
}

static int remove_dir(void **state)
{
	unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_defect_names_its_line),
		cmocka_unit_test(several_defects_are_all_told),
		cmocka_unit_test(blob_defects_name_the_node),
		cmocka_unit_test(device_arguments_take_the_first_free_slot),
		cmocka_unit_test(iommu_none_leaves_functions_alone),
		cmocka_unit_test(boards_of_few_words_are_understood),
		cmocka_unit_test(addresses_that_do_not_fit_are_told),
		cmocka_unit_test(each_failed_allocation_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
