/* SPDX-License-Identifier: MIT */
/*
 * Intel VT-d: the unit, its registers, its driver.
 */
#ifndef MOAT_PUBLIC_VTD_H
#define MOAT_PUBLIC_VTD_H

#include "moat/cxx_begin.h"

#include "drivers/vtd/vtd.h"
#include "units/vtd/vtd_regs.h"
#include "units/vtd/vtd_unit.h"

#include "moat/cxx_end.h"

#endif
