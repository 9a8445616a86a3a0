/* SPDX-License-Identifier: MIT */
/*
 * A machine, its RAM, its buses, devices and drivers, its interrupts. Everything else
 * hangs on a machine; a process can have several.
 */
#ifndef MOAT_PUBLIC_MACHINE_H
#define MOAT_PUBLIC_MACHINE_H

#include "moat/cxx_begin.h"

#include "machine/device.h"
#include "machine/irq.h"
#include "machine/machine.h"

#include "moat/cxx_end.h"

#endif
