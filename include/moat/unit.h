/* SPDX-License-Identifier: MIT */
/*
 * For models of IOMMU hardware: what translates a device's requests, and the units that
 * are there already.
 */
#ifndef MOAT_PUBLIC_UNIT_H
#define MOAT_PUBLIC_UNIT_H

#include "moat/cxx_begin.h"

#include "machine/dma.h"
#include "machine/hw.h"
#include "machine/unit.h"
#include "units/units.h"

#include "moat/cxx_end.h"

#endif
