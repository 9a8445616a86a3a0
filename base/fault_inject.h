/* SPDX-License-Identifier: MIT */
/*
 * Fault injection in the manner of the kernel's fail-nth: arm with n, and the n-th
 * call of should_fail() from then on returns true, once. A test arms 1, 2, 3, ...
 * around the same operation until a run ends with the fault not used up: then every
 * injection point on the path has failed once.
 */
#ifndef MOAT_BASE_FAULT_INJECT_H
#define MOAT_BASE_FAULT_INJECT_H

#include "base/types.h"

/* A step that can fail. @point names it in the log; 0 cost while nothing is armed. */
bool should_fail(const char *point);

/* Fail the @nth point that this thread passes, from 1; 0 disarms. */
void fault_inject_arm(u64 nth);
/* The same for whichever thread of this process gets there. */
void fault_inject_arm_process(u64 nth);
/* Disarm both. Return: true if a fault was injected since the last arming. */
bool fault_inject_disarm(void);

#endif
