// SPDX-License-Identifier: MIT
/*
 * Running dtc, the device-tree compiler, on a machine file: once for the blob, and
 * once more, with -T -T, for the position of each node and property when something
 * about them is to be told. Its messages become "file:line: what".
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "of/defect.h"

#define OUTPUT_MAX (64U << 20)

extern char **environ;

struct output {
	char *data;
	size_t len, max;
	int fd;
};

/* Return: bytes read, 0 at the end, -errno. */
static ssize_t drain(struct output *o)
{
	ssize_t n;

	if (o->max - o->len < 4096) {
		size_t max = o->max ? 2 * o->max : 65536;
		char *data;

		if (max > OUTPUT_MAX)
			return -EFBIG;
		data = krealloc(o->data, max);
		if (!data)
			return -ENOMEM;
		o->data = data;
		o->max = max;
	}
	do
		n = read(o->fd, o->data + o->len, o->max - o->len - 1);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	o->len += (size_t)n;
	o->data[o->len] = 0;
	return n;
}

static int drain_both(struct output *out, struct output *err)
{
	struct pollfd p[2] = {{out->fd, POLLIN, 0}, {err->fd, POLLIN, 0}};
	struct output *o[2] = {out, err};
	int i, open_ends = 2;

	while (open_ends) {
		if (poll(p, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		for (i = 0; i < 2; i++) {
			ssize_t n;

			if (p[i].fd < 0 || !p[i].revents)
				continue;
			n = drain(o[i]);
			if (n < 0)
				return (int)n;
			if (!n) {
				p[i].fd = -1;
				open_ends--;
			}
		}
	}
	return 0;
}

/* Return: dtc's exit status, or -errno (-ENOENT: there is no dtc). */
static int run_dtc(char *const argv[], struct output *out, struct output *err)
{
	int out_pipe[2], err_pipe[2], status, ret;
	posix_spawn_file_actions_t actions;
	pid_t pid;

	if (pipe2(out_pipe, O_CLOEXEC))
		return -errno;
	if (pipe2(err_pipe, O_CLOEXEC)) {
		ret = -errno;
		close(out_pipe[0]);
		close(out_pipe[1]);
		return ret;
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out_pipe[1], 1);
	posix_spawn_file_actions_adddup2(&actions, err_pipe[1], 2);
	ret = -posix_spawnp(&pid, "dtc", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(out_pipe[1]);
	close(err_pipe[1]);
	if (!ret) {
		out->fd = out_pipe[0];
		err->fd = err_pipe[0];
		ret = drain_both(out, err);
	} else {
		pid = -1;
	}
	close(out_pipe[0]);
	close(err_pipe[0]);
	if (pid < 0)
		return ret;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (ret)
		return ret;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

/* A name that dtc does not take for an option. */
static char *plain_path(const char *path)
{
	return path[0] == '-' ? kasprintf("./%s", path) : kstrdup(path);
}

/* For a reference to nothing dtc names the node's line: the first line with &LABEL. */
static unsigned long line_of_reference(const char *file, const char *what,
				       unsigned long no)
{
	const char *label = strstr(what, "label \""), *end;
	char ref[64], line[1024];
	unsigned long at = 0, found = 0;
	FILE *f;

	if (!label || !(end = strchr(label + 7, '"')) || end - label - 7 > 60)
		return no;
	snprintf(ref, sizeof(ref), "&%.*s", (int)(end - label - 7), label + 7);
	f = fopen(file, "re");
	while (f && !found && fgets(line, sizeof(line), f)) {
		const char *hit = strstr(line, ref);

		at++;
		if (hit && !isalnum((unsigned char)hit[strlen(ref)]) &&
		    hit[strlen(ref)] != '_')
			found = at;
	}
	if (f)
		fclose(f);
	return found ? found : no;
}

/*
 * "Error: FILE:L.C-C what" and "FILE:L.C-C: ERROR (check): what" to "FILE:L: what";
 * -ENOENT for a line that names no position.
 */
static int tell_message(struct of_defects *d, char *line)
{
	char *p = line, *file, *dot;
	unsigned long no;

	if (!strncmp(p, "Error: ", 7))
		p += 7;
	file = p;
	for (p = strchr(p, ':'); p; p = strchr(p + 1, ':')) {
		no = strtoul(p + 1, &dot, 10);
		if (dot > p + 1 && *dot == '.')
			break;
	}
	if (!p)
		return -ENOENT;
	*p = 0;
	p = dot;
	while (*p && *p != ' ' && *p != ':')
		p++;
	while (*p == ' ' || *p == ':')
		p++;
	if (!strncmp(p, "Warning", 7))
		return 0;
	if (!strncmp(p, "ERROR (", 7) && strstr(p, "): "))
		p = strstr(p, "): ") + 3;
	of_defect_line(d, "%s:%lu: %s", file, line_of_reference(file, p, no), p);
	return 0;
}

static void tell_messages(struct of_defects *d, char *text)
{
	char *line, *save = NULL;

	for (line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *copy;

		if (!strstr(line, "rror") && !strstr(line, "ERROR"))
			continue;
		copy = kstrdup(line);
		if (copy && tell_message(d, line) && !d->text &&
		    strncmp(copy, "FATAL", 5))
			of_defect_line(d, "%s: %s", d->path, copy);
		kfree(copy);
	}
	if (!d->text && !d->failed)
		of_defect_line(d, "%s: not a device tree that dtc can compile", d->path);
}

int of_compile(struct of_defects *d, const char *path, void **blob, size_t *len)
{
	struct output out = {0}, err = {0};
	char *name = plain_path(path);
	char *argv[] = {"dtc", "-q", "-I", "dts", "-O", "dtb", "-o", "-", name, NULL};
	int ret;

	if (!name)
		return -ENOMEM;
	ret = run_dtc(argv, &out, &err);
	kfree(name);
	if (!ret && out.len) {
		*blob = out.data;
		*len = out.len;
		out.data = NULL;
	} else if (ret >= 0) {
		tell_messages(d, err.data);
		ret = -EINVAL;
	} else if (ret == -ENOENT) {
		of_defect_line(d, "%s: dtc, which compiles .dts files, is not installed",
			       path);
		ret = -EINVAL;
	}
	kfree(out.data);
	kfree(err.data);
	return ret;
}

/* ---- positions ---- */

static int add_line(struct of_defects *d, const char *node, const char *prop,
		    const char *file, unsigned no)
{
	struct of_line *l;

	if (d->nr_lines == d->max_lines) {
		unsigned max = d->max_lines ? 2 * d->max_lines : 256;

		l = krealloc_array(d->lines, max, sizeof(*l));
		if (!l)
			return -ENOMEM;
		d->lines = l;
		d->max_lines = max;
	}
	l = &d->lines[d->nr_lines++];
	l->node = kstrdup(node);
	l->prop = kstrdup(prop);
	l->file = kstrdup(file);
	l->line = no;
	return l->node && l->file && (!prop || l->prop) ? 0 : -ENOMEM;
}

/* The position in the comment that ends @line, "/ * FILE:L:C-L:C * /"; cuts it off. */
static bool take_position(char *line, char **file, unsigned *no)
{
	char *p = NULL, *q = line, *colon;

	while ((q = strstr(q, "/* "))) {
		p = q;
		q += 3;
	}
	if (!p)
		return false;
	*p = 0;
	*file = p + 3;
	/* FILE may hold colons: the line is the first number behind one. */
	for (colon = strchr(*file, ':'); colon; colon = strchr(colon + 1, ':')) {
		if (isdigit((unsigned char)colon[1])) {
			*colon = 0;
			*no = (unsigned)strtoul(colon + 1, NULL, 10);
			return true;
		}
	}
	return false;
}

static char *trim(char *s)
{
	size_t n;

	while (*s == ' ' || *s == '\t')
		s++;
	for (n = strlen(s); n && (s[n - 1] == ' ' || s[n - 1] == '\t'); n--)
		s[n - 1] = 0;
	return s;
}

/* "label: label2: name" to "name". */
static char *skip_labels(char *s)
{
	char *colon;

	while ((colon = strstr(s, ": ")))
		s = colon + 2;
	return s;
}

static int locate_line(struct of_defects *d, char *text, char *node, size_t size)
{
	char *file = NULL, *name;
	unsigned no = 0;
	bool known = take_position(text, &file, &no);
	size_t n;

	text = trim(text);
	n = strlen(text);
	if (n >= 2 && !strcmp(text, "};")) {
		char *slash = strrchr(node, '/');

		if (slash)
			*slash = 0;
		return 0;
	}
	if (n >= 2 && text[n - 1] == '{') {
		text[n - 1] = 0;
		name = skip_labels(trim(text));
		n = strlen(node);
		if (strcmp(name, "/"))
			snprintf(node + n, size - n, "/%s", name);
		return known ? add_line(d, node, NULL, file, no) : 0;
	}
	if (!known || !n)
		return 0;
	n = strcspn(text, " =;");
	text[n] = 0;
	return add_line(d, node, text, file, no);
}

void of_locate(struct of_defects *d)
{
	struct output out = {0}, err = {0};
	char *name = plain_path(d->path), *line, *save = NULL, node[4096] = "";
	char *argv[] = {"dtc", "-q", "-I", "dts", "-O", "dts", "-T", "-T", name, NULL};

	d->located = true;
	if (name && !run_dtc(argv, &out, &err) && out.data) {
		for (line = strtok_r(out.data, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save)) {
			if (locate_line(d, line, node, sizeof(node)))
				break;
		}
	}
	kfree(name);
	kfree(out.data);
	kfree(err.data);
}
