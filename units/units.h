/* SPDX-License-Identifier: MIT */
/* All units, by kind. */
#ifndef MOAT_UNITS_UNITS_H
#define MOAT_UNITS_UNITS_H

#include "machine/hw.h"

/* This process can run every kind of unit on @hw from now on. */
void units_register(struct hw *hw);

#endif
