/* SPDX-License-Identifier: MIT */
/*
 * Names for the report's frames, from ELF symbols and DWARF lines (elfutils).
 */
#ifndef MOAT_CLI_SYMBOLIZE_H
#define MOAT_CLI_SYMBOLIZE_H

#include "server/report.h"

/* NULL when memory is short; the report then prints files and offsets. */
struct report_symbolizer *symbolizer_create(void);
void symbolizer_free(struct report_symbolizer *s);

#endif
