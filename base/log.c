// SPDX-License-Identifier: MIT
/*
 * Log lines with a level by subsystem. MOAT_LOG is parsed once, at the first line;
 * after that levels only change through log_set_default().
 */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const level_names[] = {"err", "warn", "info", "debug"};

static _Atomic int default_level = LOG_ERR;
static void (*log_sink)(void *data, enum log_level level, const char *line);
static void *log_sink_data;

static char *spec;
static pthread_once_t spec_once = PTHREAD_ONCE_INIT;

static int level_from_name(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(level_names); i++) {
		if (strlen(level_names[i]) == len && !strncmp(name, level_names[i], len))
			return (int)i;
	}
	return -1;
}

static void spec_parse(void)
{
	const char *env = getenv("MOAT_LOG");

	if (env)
		spec = strdup(env);
}

/* The level that MOAT_LOG gives @subsystem, -1 if it names neither it nor "all". */
static int spec_level(const char *subsystem)
{
	const char *item = spec;
	int all = -1;

	while (item && *item) {
		size_t len = strcspn(item, ",");
		size_t key = strcspn(item, "=,");

		if (key < len) {
			int level = level_from_name(item + key + 1, len - key - 1);

			if (key == strlen(subsystem) && !strncmp(item, subsystem, key))
				return level;
			if (key == 3 && !strncmp(item, "all", 3))
				all = level;
		}
		item += len;
		item += *item == ',';
	}
	return all;
}

bool log_enabled(const char *subsystem, enum log_level level)
{
	int limit;

	pthread_once(&spec_once, spec_parse);
	limit = spec_level(subsystem);
	if (limit < 0)
		limit = atomic_load_explicit(&default_level, memory_order_relaxed);
	return (int)level <= limit;
}

void log_set_default(enum log_level level)
{
	atomic_store_explicit(&default_level, level, memory_order_relaxed);
}

void log_set_sink(void (*sink)(void *data, enum log_level level, const char *line),
		  void *data)
{
	log_sink = sink;
	log_sink_data = data;
}

void log_line(const char *subsystem, enum log_level level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	n = snprintf(line, sizeof(line), "%s: ", subsystem);
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(line) - n, fmt, ap);
	va_end(ap);
	if (log_sink)
		log_sink(log_sink_data, level, line);
	else
		fprintf(stderr, "moat: %s\n", line);
}

bool warn_on(bool cond, const char *expr, const char *file, int line)
{
	if (unlikely(cond))
		fprintf(stderr, "moat: BUG: %s at %s:%d\n", expr, file, line);
	return cond;
}
