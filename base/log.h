/* SPDX-License-Identifier: MIT */
/*
 * Log lines with a level by subsystem. A file that logs defines LOG_SUBSYSTEM
 * before it includes this. MOAT_LOG="vfio=debug,all=warn" sets levels; by default
 * only errors are printed, on stderr. Never called in the program's process on the
 * data path.
 */
#ifndef MOAT_BASE_LOG_H
#define MOAT_BASE_LOG_H

#include "base/types.h"

enum log_level { LOG_ERR, LOG_WARN, LOG_INFO, LOG_DEBUG };

bool log_enabled(const char *subsystem, enum log_level level);
void log_line(const char *subsystem, enum log_level level, const char *fmt, ...)
	__printf(3, 4);
/* Default level for all subsystems (--verbose). */
void log_set_default(enum log_level level);
/* Where lines go instead of stderr (tests, the machine's kernel log); NULL: stderr. */
void log_set_sink(void (*sink)(void *data, enum log_level level, const char *line),
		  void *data);

#define log_at(level, ...)                                           \
	do {                                                         \
		if (log_enabled(LOG_SUBSYSTEM, level))               \
			log_line(LOG_SUBSYSTEM, level, __VA_ARGS__); \
	} while (0)
#define pr_err(...)   log_at(LOG_ERR, __VA_ARGS__)
#define pr_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define pr_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define pr_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

/* For our own bugs, never for input: says where, goes on, and evaluates to the condition.
 */
bool warn_on(bool cond, const char *expr, const char *file, int line);
#define WARN_ON(cond) warn_on(!!(cond), #cond, __FILE__, __LINE__)

#endif
