/* SPDX-License-Identifier: MIT */
/*
 * AMD-Vi: the unit, its registers, its driver.
 */
#ifndef MOAT_PUBLIC_AMD_H
#define MOAT_PUBLIC_AMD_H

#include "moat/cxx_begin.h"

#include "drivers/amd/amd.h"
#include "units/amd/amd_regs.h"
#include "units/amd/amd_unit.h"

#include "moat/cxx_end.h"

#endif
