/* SPDX-License-Identifier: MIT */
/* The handler of SIGSEGV, SIGBUS and SIGILL: register accesses, guarded copies, the rest.
 */
#ifndef MOAT_PRELOAD_TRAP_H
#define MOAT_PRELOAD_TRAP_H

/* In place from here on; safe to call again, and takes the signals back if need be. */
void trap_install(void);

#endif
