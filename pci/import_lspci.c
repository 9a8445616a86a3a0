// SPDX-License-Identifier: MIT
/*
 * What lspci prints, as people post it: registers in hexadecimal where there are any
 * (-x to -xxxx), and the words of -v to -vvv where there are not. Names stand for
 * numbers when -n or -nn was not given. With -PP an address has the path of bridges
 * before it. Mail breaks lines, so the words of the ACS registers may go on in the
 * next one. What was not printed is marked as unknown.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "pci/ids.h"
#include "pci/import.h"

struct reader {
	struct pci_import *imp;
	const char *name;
	char **error;
	struct pci_import_fn *fn;
	struct pci_import_facts f;
	u8 config[PCI_CFG_SPACE_EXP_SIZE];
	u16 len;
	unsigned part;	    /* bytes of a line that a message tore apart; 0: none */
	u16 *acs;	    /* the register whose words are being read */
	char pending[1024]; /* a line that may go on in the next one */
	u32 pending_line;
	bool verbose, denied, caps, acs_details, acs_named, have_id, in_sriov;
	struct link {
		struct pci_import_fn *fn;
		u32 domain;
		u8 bus, devfn;
	} * links;
	unsigned nr_links, max_links;
};

#define HEX_DIGITS "0123456789abcdefABCDEF"

/* " xx xx ..." from byte @from of a line on; *@rest: what is not that. Return: bytes. */
static unsigned take_hex(struct reader *r, const char *p, unsigned from,
			 const char **rest)
{
	unsigned i = from;
	char *end;

	for (; i < 16 && *p == ' ' && strspn(p + 1, HEX_DIGITS) == 2; i++) {
		r->config[r->len + i] = (u8)strtoul(p + 1, &end, 16);
		p = end;
	}
	*rest = p + strspn(p, " ");
	return i;
}

static bool is_message(const char *s)
{
	return !strncmp(s, "pcilib:", 7) || !strncmp(s, "lspci:", 6);
}

/* "OFF: xx xx ...". 0: taken, -ENOENT: another kind of line, -EINVAL: malformed. */
static int take_bytes(struct reader *r, const char *p)
{
	size_t digits = strcspn(p, ":");
	unsigned long off;

	if (digits < 2 || digits > 3 || strspn(p, HEX_DIGITS) != digits ||
	    p[digits + 1] != ' ')
		return -ENOENT;
	off = strtoul(p, NULL, 16);
	if (off % 16 || off != r->len || off + 16 > sizeof(r->config))
		return -EINVAL;
	r->part = take_hex(r, p + digits + 1, 0, &p);
	if (r->part && r->part < 16 && is_message(p))
		return 0; /* on stderr, in the middle of it */
	if (*p || r->part != 16)
		return -EINVAL;
	r->part = 0;
	r->len = (u16)(off + 16);
	return 0;
}

/* The rest of a torn line: "xx xx ...", perhaps after more messages. */
static int take_rest(struct reader *r, char *p)
{
	const char *rest;
	char buf[64];

	if (is_message(p))
		return 0;
	snprintf(buf, sizeof(buf), " %.50s", p + strspn(p, " "));
	if (take_hex(r, buf, r->part, &rest) != 16 || *rest)
		return -EINVAL;
	r->part = 0;
	r->len = (u16)(r->len + 16);
	return 0;
}

/* ---- the first line ---- */

/* "[vvvv:dddd]": the last one in the line that is four and four digits. */
static bool bracketed_ids(const char *s, u16 *vendor, u16 *device)
{
	bool found = false;
	unsigned v, d;
	int n;

	for (; (s = strchr(s, '[')); s++) {
		n = 0;
		if (sscanf(s, "[%4x:%4x]%n", &v, &d, &n) == 2 && n == 11) {
			*vendor = (u16)v;
			*device = (u16)d;
			found = true;
		}
	}
	return found;
}

static bool named_ids(const char *s, u16 *vendor, u16 *device)
{
	const char *rest;
	size_t len;
	unsigned d;
	int n = 0;

	if (!pci_ids_find_vendor(s, vendor, &rest))
		return false;
	if (sscanf(rest, "Device %4x%n", &d, &n) == 1 && n == 11) {
		*device = (u16)d;
		return true;
	}
	for (len = strlen(rest); len; len--) {
		if ((!rest[len] || !strncmp(rest + len, " (rev ", 6) ||
		     !strncmp(rest + len, " (prog-if ", 10)) &&
		    pci_ids_find_device(*vendor, rest, len, device))
			return true;
	}
	return false;
}

static void first_line(struct reader *r, const char *s)
{
	struct pci_import_facts *f = &r->f;
	const char *colon, *p;
	unsigned class, v, d;
	u16 c;
	int n = 0;

	s += strspn(s, " ");
	p = strstr(s, "(rev ");
	if (p)
		f->revision = (u8)strtoul(p + 5, NULL, 16);
	p = strstr(s, "(prog-if ");
	if (p)
		f->class = (u32)strtoul(p + 9, NULL, 16) & 0xff;
	if (sscanf(s, "%4x: %4x:%4x%n", &class, &v, &d, &n) == 3 && n >= 15) {
		f->class |= class << 8;
		f->vendor = (u16)v;
		f->device = (u16)d;
		r->have_id = true;
		return;
	}
	colon = strstr(s, ": ");
	if (!colon)
		return;
	n = 0;
	if (colon - s > 7 && sscanf(colon - 6, "[%4x]:%n", &class, &n) == 1 && n == 7)
		f->class |= class << 8;
	else if (pci_ids_find_class(s, (size_t)(colon - s), &c))
		f->class |= (u32)c << 8;
	r->have_id = bracketed_ids(colon, &f->vendor, &f->device) ||
		     named_ids(colon + 2, &f->vendor, &f->device);
}

/* ---- the words below ---- */

static bool on(const char *s, const char *flag)
{
	const char *p = strstr(s, flag);

	return p && p[strlen(flag)] == '+';
}

static void acs_words(const char *s, u16 *reg)
{
	static const struct {
		const char *word;
		u16 bit;
	} words[] = {
		{"SrcValid", PCI_ACS_SV},    {"TransBlk", PCI_ACS_TB},
		{"ReqRedir", PCI_ACS_RR},    {"CmpltRedir", PCI_ACS_CR},
		{"UpstreamFwd", PCI_ACS_UF}, {"EgressCtrl", PCI_ACS_EC},
		{"DirectTrans", PCI_ACS_DT},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		if (on(s, words[i].word))
			*reg |= words[i].bit;
	}
}

static const struct {
	const char *text;
	int type;
} express_types[] = {
	{"Root Complex Integrated Endpoint", PCI_EXP_TYPE_RC_END},
	{"Root Complex Event Collector", PCI_EXP_TYPE_RC_EC},
	{"Legacy Endpoint", PCI_EXP_TYPE_LEG_END},
	{"Endpoint", PCI_EXP_TYPE_ENDPOINT},
	{"Root Port", PCI_EXP_TYPE_ROOT_PORT},
	{"Upstream Port", PCI_EXP_TYPE_UPSTREAM},
	{"Downstream Port", PCI_EXP_TYPE_DOWNSTREAM},
	{"PCI-Express to PCI/PCI-X Bridge", PCI_EXP_TYPE_PCI_BRIDGE},
	{"PCI/PCI-X to PCI-Express Bridge", PCI_EXP_TYPE_PCIE_BRIDGE},
};

static void capability(struct reader *r, const char *s)
{
	struct pci_import_facts *f = &r->f;
	const char *p;

	r->in_sriov = false;
	if (strstr(s, "<access denied>")) {
		r->denied = true;
		return;
	}
	r->caps = true;
	p = strstr(s, "] Express");
	if (p) {
		f->express = PCI_EXP_TYPE_ENDPOINT;
		for (unsigned i = 0; i < ARRAY_SIZE(express_types); i++) {
			if (strstr(p, express_types[i].text)) {
				f->express = express_types[i].type;
				break;
			}
		}
		return;
	}
	f->pm |= strstr(s, "] Power Management") != NULL;
	f->sriov |= r->in_sriov = strstr(s, "Single Root I/O") != NULL;
	f->ari |= strstr(s, "Alternative Routing-ID") != NULL;
	if (strstr(s, "Access Control Services"))
		f->acs = r->acs_named = true;
}

static void words(struct reader *r, const char *s)
{
	struct pci_import_facts *f = &r->f;
	unsigned a, b, c;
	const char *p;
	char driver[64];

	s += strspn(s, " \t");
	if (!*s)
		return;
	if (r->acs && !strchr(s, ':')) {
		acs_words(s, r->acs);
		return;
	}
	r->acs = NULL;
	if (!strncmp(s, "Control:", 8) || !strncmp(s, "Flags: ", 7))
		r->verbose = true;
	if (sscanf(s, "Bus: primary=%2x, secondary=%2x, subordinate=%2x", &a, &b, &c) ==
	    3) {
		f->hdr_type = f->class >> 8 == 0x0607 ? PCI_HEADER_TYPE_CARDBUS
						      : PCI_HEADER_TYPE_BRIDGE;
		f->primary = (u8)a;
		f->secondary = (u8)b;
		f->subordinate = (u8)c;
	} else if (!strncmp(s, "Capabilities:", 13)) {
		capability(r, s);
	} else if (!strncmp(s, "ACSCap:", 7)) {
		f->acs = r->acs_details = true;
		r->acs = &f->acs_cap;
		acs_words(s, r->acs);
	} else if (!strncmp(s, "ACSCtl:", 7)) {
		r->acs = &f->acs_ctrl;
		acs_words(s, r->acs);
	} else if (!strncmp(s, "IOVCtl:", 7)) {
		f->vf_enable = on(s, "Enable");
	} else if (r->in_sriov && (p = strstr(s, "Number of VFs: "))) {
		f->nr_vfs = (u16)strtoul(p + 15, NULL, 10);
	} else if (sscanf(s, "VF offset: %u, stride: %u", &a, &b) == 2) {
		f->vf_offset = (u16)a;
		f->vf_stride = (u16)b;
	} else if (!strncmp(s, "AFCap:", 6)) {
		f->af_flr = on(s, "FLR");
	} else if (!strncmp(s, "IOMMU group: ", 13) || !strncmp(s, "IOMMU Group: ", 13)) {
		r->fn->kernel_group = (int)(strtoul(s + 13, NULL, 10) & 0x7fffffff);
	} else if (!strncmp(s, "Kernel driver in use: ", 22)) {
		snprintf(driver, sizeof(driver), "%.*s", (int)strcspn(s + 22, " "),
			 s + 22);
		kfree(r->fn->driver);
		r->fn->driver = kstrdup(driver);
	} else if (!strncmp(s, "SltCap:", 7)) {
		f->hotplug = on(s, "HotPlug");
	} else if (!strncmp(s, "Subsystem: ", 11)) {
		bracketed_ids(s, &f->subvendor, &f->subdevice);
	} else if (!strncmp(s, "Status: D", 9)) {
		f->no_soft_reset = on(s, "NoSoftRst");
	} else if (!strncmp(s, "ExtTag", 6) && strstr(s, "RBE")) {
		f->flr = on(s, "FLReset");
	}
}

/* ---- a function is complete ---- */

static int end_function(struct reader *r)
{
	struct pci_import_fn *fn = r->fn;
	struct pci_import_facts *f = &r->f;
	int ret;

	if (!fn)
		return 0;
	r->imp->tells_groups |= r->verbose;
	if (r->len && r->len < 64) {
		pci_import_tell(r->error, r->name, fn->line,
				"the registers of this function are missing (lspci "
				"-xxxx, as root)");
		return -EINVAL;
	}
	if (r->len) {
		ret = pci_import_config(fn, r->config, r->len);
		if (ret)
			return ret;
		fn->multifunction_known = true;
		f->class = r->config[PCI_CLASS_REVISION + 1] |
			   (u32)r->config[PCI_CLASS_REVISION + 2] << 8 |
			   (u32)r->config[PCI_CLASS_REVISION + 3] << 16;
		f->vendor = (u16)(r->config[0] | r->config[1] << 8);
		r->have_id = true;
	} else if (f->class >> 8 == PCI_CLASS_BRIDGE_PCI) {
		f->hdr_type = PCI_HEADER_TYPE_BRIDGE;
	}
	if (!r->have_id)
		fn->unknown |= PCI_UNKNOWN_ID;
	if (r->len < 256) {
		if (r->denied || (!r->caps && !r->verbose))
			fn->unknown |= PCI_UNKNOWN_TYPE;
		/* A device without the list bit has no capabilities to know. */
		if (r->len && !(r->config[PCI_STATUS] & 0x10))
			fn->unknown &= (u8)~PCI_UNKNOWN_TYPE;
	}
	if (r->len <= 256 && ((r->acs_named && !r->acs_details) || r->denied || !r->caps))
		fn->unknown |= PCI_UNKNOWN_ACS;
	if (r->len <= 256 && !r->caps && r->verbose && !r->denied)
		fn->unknown &= (u8)~PCI_UNKNOWN_ACS;
	return pci_import_set(fn, f);
}

static int add_link(struct reader *r, struct pci_import_fn *fn, u32 domain, u8 bus,
		    u8 devfn)
{
	if (r->nr_links == r->max_links) {
		unsigned max = r->max_links ? 2 * r->max_links : 64;
		struct link *more = krealloc_array(r->links, max, sizeof(*more));

		if (!more)
			return -ENOMEM;
		r->links = more;
		r->max_links = max;
	}
	r->links[r->nr_links++] = (struct link){fn, domain, bus, devfn};
	return 0;
}

/* An address, or a path of them ("0000:00:1c.0/02:00.0"), then a blank or the end. */
static int start_function(struct reader *r, const char *s, u32 line)
{
	u32 domain, up_domain = 0, first;
	u8 bus, devfn, up_bus = 0, up_devfn = 0;
	bool up = false;
	int ret;

	if (!pci_import_address(&s, &domain, &bus, &devfn))
		return -ENOENT;
	first = domain;
	while (*s == '/') {
		const char *p = s + 1;

		up = true;
		up_domain = domain;
		up_bus = bus;
		up_devfn = devfn;
		if (!pci_import_address(&p, &domain, &bus, &devfn))
			return -ENOENT;
		domain = domain ? domain : first;
		s = p;
	}
	if (*s && *s != ' ')
		return -ENOENT;
	ret = end_function(r);
	if (ret)
		return ret;
	r->fn = pci_import_add(r->imp, domain, bus, devfn);
	if (!r->fn)
		return -ENOMEM;
	r->fn->line = line;
	memset(&r->f, 0, sizeof(r->f));
	r->f.express = -1;
	r->len = 0;
	r->acs = NULL;
	r->verbose = r->denied = r->caps = r->acs_details = r->acs_named = r->have_id =
		r->in_sriov = false;
	first_line(r, s);
	return up ? add_link(r, r->fn, up_domain, up_bus, up_devfn) : 0;
}

/* The pending line is whole. */
static int flush(struct reader *r)
{
	int ret;

	if (!*r->pending)
		return 0;
	ret = start_function(r, r->pending, r->pending_line);
	if (ret == -ENOENT) {
		ret = 0;
		if (r->fn)
			words(r, r->pending);
	}
	*r->pending = 0;
	return ret;
}

/* No-break spaces of mail and the end of the line's CR become what they stand for. */
static void clean(char *s)
{
	char *out = s, *start = s;

	for (; *s && *s != '\r'; s++) {
		if ((unsigned char)s[0] == 0xc2 && (unsigned char)s[1] == 0xa0) {
			*out++ = ' ';
			s++;
		} else if ((unsigned char)*s == 0xa0) {
			*out++ = ' ';
		} else {
			*out++ = *s;
		}
	}
	while (out > start && out[-1] == ' ')
		out--;
	*out = 0;
}

static bool starts_function(const char *s)
{
	u32 domain;
	u8 bus, devfn;

	return pci_import_address(&s, &domain, &bus, &devfn) &&
	       (!*s || *s == ' ' || *s == '/');
}

static int take_line(struct reader *r, char *s, u32 line)
{
	size_t n = strlen(r->pending);
	int ret;

	if (r->part)
		return take_rest(r, s);
	if (*s && !strchr(" \t", *s) && !starts_function(s)) {
		if (r->fn || n) {
			/* Registers belong to a function: that line must be read first.
			 */
			if (strspn(s, HEX_DIGITS) >= 2) {
				ret = flush(r);
				n = 0;
				if (!ret && r->fn)
					ret = take_bytes(r, s);
				if (ret != -ENOENT)
					return ret;
			}
		}
		/* Broken by mail: it goes on here. */
		if (n)
			snprintf(r->pending + n, sizeof(r->pending) - n, " %s", s);
		return 0;
	}
	ret = flush(r);
	snprintf(r->pending, sizeof(r->pending), "%s", s);
	r->pending_line = line;
	return ret;
}

static int read_lines(struct reader *r, const char *text, size_t len)
{
	const char *p = text, *end = text + len;
	int ret = 0;

	for (u32 line = 1; p < end && !ret; line++) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl ? nl : end) - p);
		char buf[512];

		n = min_t(size_t, n, sizeof(buf) - 1);
		memcpy(buf, p, n);
		buf[n] = 0;
		clean(buf);
		p = nl ? nl + 1 : end;
		ret = take_line(r, buf, line);
		if (ret == -EINVAL && !*r->error)
			pci_import_tell(r->error, r->name, line,
					"not 16 bytes of registers in their order");
	}
	ret = ret ? ret : flush(r);
	return ret ? ret : end_function(r);
}

int pci_import_lspci(struct pci_import *imp, const char *name, const char *text,
		     size_t len, char **error)
{
	struct reader *r = kzalloc(sizeof(*r));
	char *ignored = NULL;
	int ret;

	if (!r)
		return -ENOMEM;
	r->imp = imp;
	r->name = name;
	r->error = error ? error : &ignored;
	*r->error = NULL;
	ret = read_lines(r, text, len);
	if (!ret && !imp->nr) {
		pci_import_tell(error, name, 0,
				"no PCI function in it; wanted is what `lspci -nnvvv' "
				"or `lspci -n -xxxx -D' prints");
		ret = -EINVAL;
	}
	if (!ret && r->nr_links) {
		pci_import_sort(imp);
		for (unsigned i = 0; i < r->nr_links; i++)
			r->links[i].fn->above =
				pci_import_find(imp, r->links[i].domain, r->links[i].bus,
						r->links[i].devfn);
	}
	free(ignored);
	kfree(r->links);
	kfree(r);
	return ret;
}
