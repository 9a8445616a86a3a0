/* SPDX-License-Identifier: MIT */
/*
 * The device models that come with the library.
 */
#ifndef MOAT_PUBLIC_ENDPOINTS_H
#define MOAT_PUBLIC_ENDPOINTS_H

#include "moat/cxx_begin.h"

#include "endpoints/models.h"

#include "moat/cxx_end.h"

#endif
