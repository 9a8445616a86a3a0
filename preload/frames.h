/* SPDX-License-Identifier: MIT */
/* Return addresses of the program, innermost first, for the report. */
#ifndef MOAT_PRELOAD_FRAMES_H
#define MOAT_PRELOAD_FRAMES_H

#include "base/types.h"

/*
 * frames_here - the frames of the program that led here, through a hook or through the
 * signal handler; the library's own are left out. Returns how many, at most @max (16).
 * A call from the same place as the last time on this thread costs a few loads.
 */
unsigned frames_here(u64 *out, unsigned max);

#endif
