// SPDX-License-Identifier: MIT
/*
 * Each module that appears in a frame is reported to libdwfl once, at whatever base it
 * chooses; a frame's file offset is turned into the module's own address through the
 * program headers. Debug information is looked for where elfutils looks for it, but
 * nothing is downloaded.
 */
#include "cli/symbolize.h"

#include <elfutils/libdwfl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/list.h"

struct module {
	struct list_head node;
	Dwfl_Module *dwfl; /* NULL: cannot be read */
	char path[];
};

struct symbolizer {
	struct report_symbolizer base;
	Dwfl *dwfl;
	struct list_head modules;
};

static char *debuginfo_path;
static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.section_address = dwfl_offline_section_address,
	.debuginfo_path = &debuginfo_path,
};

static struct module *module_get(struct symbolizer *s, const char *path)
{
	struct module *m;

	list_for_each_entry(m, &s->modules, node) {
		if (!strcmp(m->path, path))
			return m;
	}
	m = kzalloc(sizeof(*m) + strlen(path) + 1);
	if (!m)
		return NULL;
	strcpy(m->path, path);
	dwfl_report_begin_add(s->dwfl);
	m->dwfl = dwfl_report_offline(s->dwfl, path, path, -1);
	dwfl_report_end(s->dwfl, NULL, NULL);
	list_add(&m->node, &s->modules);
	return m;
}

/* The address in dwfl's numbering of a byte of the file that is mapped executable. */
static bool module_address(struct module *m, u64 offset, GElf_Addr *out)
{
	GElf_Addr bias;
	Elf *elf = dwfl_module_getelf(m->dwfl, &bias);
	size_t nr;

	if (!elf || elf_getphdrnum(elf, &nr))
		return false;
	for (size_t i = 0; i < nr; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(elf, (int)i, &ph) || ph.p_type != PT_LOAD)
			continue;
		if (offset < ph.p_offset || offset - ph.p_offset >= ph.p_filesz)
			continue;
		*out = offset - ph.p_offset + ph.p_vaddr + bias;
		return true;
	}
	return false;
}

static bool symbolizer_resolve(struct report_symbolizer *base,
			       const struct report_frame *frame, char *buf, size_t size)
{
	struct symbolizer *s = container_of(base, struct symbolizer, base);
	struct module *m = frame->path ? module_get(s, frame->path) : NULL;
	const char *name, *file = NULL, *slash;
	int line = 0, column;
	Dwfl_Line *dl;
	GElf_Addr addr;

	/* The address is where the call returns to: the call itself lies before it. */
	if (!m || !m->dwfl || !frame->offset ||
	    !module_address(m, frame->offset - 1, &addr))
		return false;
	name = dwfl_module_addrname(m->dwfl, addr);
	dl = dwfl_module_getsrc(m->dwfl, addr);
	if (dl)
		file = dwfl_lineinfo(dl, NULL, &line, &column, NULL, NULL);
	if (!name && !file)
		return false;
	if (file) {
		snprintf(buf, size, "in %s %s:%d", name ? name : "??", file, line);
	} else {
		slash = strrchr(frame->path, '/');
		snprintf(buf, size, "in %s (%s+0x%llx)", name,
			 slash ? slash + 1 : frame->path,
			 (unsigned long long)frame->offset);
	}
	return true;
}

struct report_symbolizer *symbolizer_create(void)
{
	struct symbolizer *s = kzalloc(sizeof(*s));

	if (!s)
		return NULL;
	/* Never ask a debuginfod server: a report must not go to the network. */
	unsetenv("DEBUGINFOD_URLS");
	s->base.resolve = symbolizer_resolve;
	INIT_LIST_HEAD(&s->modules);
	s->dwfl = dwfl_begin(&callbacks);
	if (!s->dwfl) {
		kfree(s);
		return NULL;
	}
	return &s->base;
}

void symbolizer_free(struct report_symbolizer *base)
{
	struct symbolizer *s;
	struct module *m, *next;

	if (!base)
		return;
	s = container_of(base, struct symbolizer, base);
	dwfl_end(s->dwfl);
	list_for_each_entry_safe(m, next, &s->modules, node)
		kfree(m);
	kfree(s);
}
