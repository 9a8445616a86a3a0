// SPDX-License-Identifier: MIT
/*
 * `--device MODEL[,addr=DDDD:BB:DD.F][,PROP=VALUE]...`: one more function in a machine
 * that has been read and not yet built. Without an address it takes the first free
 * slot of the first root bus. It is for a program to use, so vfio-pci has it unless
 * driver= names another.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "of/tree.h"

static void __printf(2, 3) tell(char **error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (error && vasprintf(error, fmt, ap) < 0)
		*error = NULL;
	va_end(ap);
}

/* The bus that firmware will give number @want, by the same walk. */
static struct of_bus *find_bus(struct of_bus *bus, unsigned *next, unsigned want)
{
	unsigned devfn;

	for (devfn = 0; devfn < 256; devfn++) {
		struct of_fn *fn = of_find_fn(bus, (u8)devfn);
		struct of_bus *found;
		unsigned number;

		if (!fn || !fn->below)
			continue;
		number = fn->desc.bus_first ? fn->desc.bus_first : *next;
		if (number == want)
			return fn->below;
		*next = number + 1;
		found = find_bus(fn->below, next, want);
		if (found)
			return found;
		if (fn->desc.bus_last)
			*next = fn->desc.bus_last + 1U;
	}
	return NULL;
}

static struct of_bus *bus_at(struct of_machine *om, unsigned segment, unsigned number)
{
	struct of_host *host;

	list_for_each_entry(host, &om->hosts, node) {
		unsigned next = host->first + 1U;

		if (host->segment != segment || number < host->first ||
		    number > host->last)
			continue;
		if (number == host->first)
			return &host->bus;
		return find_bus(&host->bus, &next, number);
	}
	return NULL;
}

static int free_slot(struct of_bus *bus)
{
	unsigned slot, fn;

	for (slot = 0; slot < 32; slot++) {
		for (fn = 0; fn < 8; fn++) {
			if (of_find_fn(bus, (u8)PCI_DEVFN(slot, fn)))
				break;
		}
		if (fn == 8)
			return (int)slot;
	}
	return -ENOSPC;
}

static int parse_addr(struct of_machine *om, const char *text, struct of_bus **bus,
		      u8 *devfn, char **error)
{
	unsigned seg = 0, number, slot, fn, n = 0;

	if (sscanf(text, "%4x:%2x:%2x.%1x%n", &seg, &number, &slot, &fn, (int *)&n) < 4 ||
	    text[n]) {
		seg = n = 0;
		if (sscanf(text, "%2x:%2x.%1x%n", &number, &slot, &fn, (int *)&n) < 3 ||
		    text[n])
			slot = 32;
	}
	if (slot > 31 || fn > 7) {
		tell(error, "addr=%s: not an address like 0000:00:05.0", text);
		return -EINVAL;
	}
	*bus = bus_at(om, seg, number);
	if (!*bus) {
		tell(error, "addr=%s: the machine has no bus %04x:%02x", text, seg,
		     number);
		return -EINVAL;
	}
	*devfn = (u8)PCI_DEVFN(slot, fn);
	if (of_find_fn(*bus, *devfn)) {
		tell(error, "addr=%s: %s is there", text, of_find_fn(*bus, *devfn)->path);
		return -EINVAL;
	}
	if ((*bus)->bridge && slot && (*bus)->bridge->desc.kind <= PCI_FN_DOWNSTREAM &&
	    (*bus)->bridge->desc.kind != PCI_FN_UPSTREAM) {
		tell(error, "addr=%s: below a port there is only device 0", text);
		return -EINVAL;
	}
	return 0;
}

/* on, off, yes, no, or a number in C notation. */
static int parse_value(const char *text, u64 max, u64 *out)
{
	char *end;

	if (!strcmp(text, "on") || !strcmp(text, "yes")) {
		*out = 1;
		return 0;
	}
	if (!strcmp(text, "off") || !strcmp(text, "no")) {
		*out = 0;
		return 0;
	}
	errno = 0;
	*out = strtoull(text, &end, 0);
	return !*text || *text == '-' || *end || errno || *out > max ? -EINVAL : 0;
}

static int set_switch(const char *name, const char *value, bool *out, char **error)
{
	u64 val;

	if (parse_value(value, 1, &val)) {
		tell(error, "%s=%s: wants on or off", name, value);
		return -EINVAL;
	}
	*out = val;
	return 0;
}

static int set_property(struct of_machine *om, struct of_fn *fn, const char *name,
			const char *value, char **error)
{
	const struct endpoint_property *p = om->config.models[fn->desc.model]->properties;
	bool on;
	int ret;

	if (!strcmp(name, "async"))
		return set_switch(name, value, &fn->desc.async, error);
	if (!strcmp(name, "mmap")) {
		ret = set_switch(name, value, &on, error);
		fn->desc.no_mmap = !ret && !on;
		return ret;
	}
	if (!strcmp(name, "driver")) {
		kfree(fn->driver);
		fn->driver = !*value || !strcmp(value, "none") ? NULL : kstrdup(value);
		fn->desc.driver = fn->driver;
		return 0;
	}
	for (unsigned i = 0; p && p[i].name; i++) {
		if (strcmp(p[i].name, name))
			continue;
		if (parse_value(value, p[i].max, &fn->props[i])) {
			tell(error, "%s=%s: wants %s up to 0x%llx", name, value,
			     p[i].max == 1 ? "on, off, or a number" : "a number",
			     (unsigned long long)p[i].max);
			return -EINVAL;
		}
		return 0;
	}
	tell(error, "%s: the model %s has no such property", name,
	     om->config.models[fn->desc.model]->name);
	return -EINVAL;
}

static void list_models(struct of_machine *om, const char *name, char **error)
{
	char known[256] = "";
	unsigned i;

	for (i = 1; om->config.models && i < ENDPOINT_MAX_MODELS; i++) {
		size_t n = strlen(known);

		if (om->config.models[i])
			snprintf(known + n, sizeof(known) - n, "%s%s", n ? ", " : "",
				 om->config.models[i]->name);
	}
	tell(error, "%s: no such model; there are %s", name, known);
}

static int add_device(struct of_machine *om, char *text, char **error)
{
	char *name, *word, *save = NULL, path[64];
	struct of_bus *bus;
	struct of_fn *fn;
	u8 devfn = 0;
	u16 model;
	int ret, slot;

	name = strtok_r(text, ",", &save);
	model = name ? of_find_model(om, name) : 0;
	if (!model) {
		list_models(om, name ? name : "", error);
		return -EINVAL;
	}
	bus = &list_first_entry(&om->hosts, struct of_host, node)->bus;
	snprintf(path, sizeof(path), "--device %s", name);
	fn = of_new_fn(om, bus, path, 0xff);
	if (!fn)
		return -ENOMEM;
	list_del(&fn->node); /* it has no place yet */
	fn->arg = (int)om->nr_args;
	ret = of_set_model(om, fn, model);
	fn->driver = kstrdup("vfio-pci");
	fn->desc.driver = fn->driver;
	if (!fn->driver)
		ret = -ENOMEM;
	slot = free_slot(bus);
	devfn = slot < 0 ? 0 : (u8)PCI_DEVFN(slot, 0);
	while (!ret && (word = strtok_r(NULL, ",", &save))) {
		char *value = strchr(word, '=');

		if (!value) {
			tell(error, "%s: wants NAME=VALUE", word);
			ret = -EINVAL;
			break;
		}
		*value++ = 0;
		if (!strcmp(word, "addr")) {
			slot = 0;
			ret = parse_addr(om, value, &bus, &devfn, error);
		} else {
			ret = set_property(om, fn, word, value, error);
		}
	}
	if (!ret && slot < 0) {
		tell(error, "%s: the first root bus has no free slot", name);
		ret = -EINVAL;
	}
	if (!ret && om->nr_functions > HW_MAX_FUNCTIONS) {
		tell(error, "%s: the machine is full", name);
		ret = -EINVAL;
	}
	if (ret) {
		om->nr_functions--;
		of_free_fn(fn);
		return ret;
	}
	fn->devfn = devfn;
	list_add_tail(&fn->node, &bus->fns);
	om->nr_args++;
	return 0;
}

int of_machine_add_device(struct of_machine *om, const char *arg, char **error)
{
	char *text = kstrdup(arg), (*addresses)[16];
	int ret;

	if (error)
		*error = NULL;
	if (!text)
		return -ENOMEM;
	addresses = krealloc_array(om->addresses, om->nr_args + 1, sizeof(*addresses));
	if (!addresses) {
		kfree(text);
		return -ENOMEM;
	}
	om->addresses = addresses;
	addresses[om->nr_args][0] = 0;
	ret = add_device(om, text, error);
	kfree(text);
	return ret;
}
