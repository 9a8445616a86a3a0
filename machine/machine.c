// SPDX-License-Identifier: MIT
/*
 * Making and unmaking a machine, and its kernel command line. The line is split as
 * the kernel does it: blanks separate, double quotes keep blanks together and do not
 * belong to the value; the last of several settings of a name counts.
 */
#include "machine/machine.h"

#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "machine/irq.h"
#include "machine/mm.h"

int machine_create(struct machine **out, u64 ram_size, u32 nr_functions,
		   const char *cmdline)
{
	struct machine *m;
	int ret;

	m = kzalloc(sizeof(*m));
	if (!m)
		return -ENOMEM;
	mutex_init(&m->lock);
	INIT_LIST_HEAD(&m->buses);
	INIT_LIST_HEAD(&m->notifiers);
	INIT_LIST_HEAD(&m->deferred);
	xa_init(&m->files);
	m->cmdline = kstrdup(cmdline ? cmdline : "");
	if (!m->cmdline) {
		ret = -ENOMEM;
		goto err_free;
	}
	ret = hw_create(&m->hw, ram_size, nr_functions);
	if (ret)
		goto err_cmdline;
	ret = ram_alloc_create(m);
	if (ret)
		goto err_hw;
	ret = prog_alloc_create(m);
	if (ret)
		goto err_ram;
	ret = irq_core_create(m);
	if (ret)
		goto err_prog;
	*out = m;
	return 0;

err_prog:
	prog_alloc_destroy(m);
err_ram:
	ram_alloc_destroy(m);
err_hw:
	hw_detach(&m->hw);
err_cmdline:
	kfree(m->cmdline);
err_free:
	mutex_destroy(&m->lock);
	kfree(m);
	return ret;
}

void machine_destroy(struct machine *m)
{
	if (!m)
		return;
	WARN_ON(!list_empty(&m->buses));
	WARN_ON(!list_empty(&m->notifiers));
	WARN_ON(!list_empty(&m->deferred));
	WARN_ON(!xa_empty(&m->files));
	xa_destroy(&m->files);
	irq_core_destroy(m);
	prog_alloc_destroy(m);
	ram_alloc_destroy(m);
	hw_detach(&m->hw);
	kfree(m->cmdline);
	mutex_destroy(&m->lock);
	kfree(m);
}

bool cmdline_next(const char **pos, struct cmdline_arg *arg)
{
	const char *p = *pos, *start, *end;
	bool quoted = false;

	while (*p == ' ' || *p == '\t' || *p == '\n')
		p++;
	if (!*p)
		return false;
	start = p;
	for (; *p && (quoted || (*p != ' ' && *p != '\t' && *p != '\n')); p++)
		if (*p == '"')
			quoted = !quoted;
	*pos = end = p;
	/* "name=a b" as a whole, or name="a b" */
	if (*start == '"') {
		start++;
		if (end > start && end[-1] == '"')
			end--;
	}
	arg->name = start;
	arg->value = memchr(start, '=', end - start);
	if (!arg->value) {
		arg->name_len = end - start;
		arg->value = "";
		arg->value_len = 0;
		return true;
	}
	arg->name_len = arg->value - start;
	arg->value++;
	if (*arg->value == '"' && arg->value < end) {
		arg->value++;
		if (end > arg->value && end[-1] == '"')
			end--;
	}
	arg->value_len = end - arg->value;
	return true;
}

/* In names - and _ are the same. */
bool cmdline_name_is(const struct cmdline_arg *arg, const char *name)
{
	size_t i;

	for (i = 0; i < arg->name_len && name[i]; i++) {
		char a = arg->name[i] == '-' ? '_' : arg->name[i];
		char b = name[i] == '-' ? '_' : name[i];

		if (a != b)
			return false;
	}
	return i == arg->name_len && !name[i];
}

bool cmdline_get(const struct machine *m, const char *name, const char **value,
		 size_t *len)
{
	const char *pos = m->cmdline;
	struct cmdline_arg arg;
	bool found = false;

	while (cmdline_next(&pos, &arg)) {
		if (cmdline_name_is(&arg, name)) {
			*value = arg.value;
			*len = arg.value_len;
			found = true;
		}
	}
	return found;
}

/* kstrtobool(): 1, y, t, on; 0, n, f, off; by the first letters. */
bool cmdline_bool(const char *value, size_t len, bool *out)
{
	char c = len ? value[0] : 0;
	char d = len > 1 ? value[1] : 0;

	switch (c) {
	case 'y':
	case 'Y':
	case 't':
	case 'T':
	case '1':
		*out = true;
		return true;
	case 'n':
	case 'N':
	case 'f':
	case 'F':
	case '0':
		*out = false;
		return true;
	case 'o':
	case 'O':
		if (d == 'n' || d == 'N')
			*out = true;
		else if (d == 'f' || d == 'F')
			*out = false;
		else
			return false;
		return true;
	default:
		return false;
	}
}
