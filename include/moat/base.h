/* SPDX-License-Identifier: MIT */
/*
 * What the other headers stand on, for those who write drivers and models: types,
 * errors, allocation, lists, locks, logging. Names and meanings are the kernel's.
 */
#ifndef MOAT_PUBLIC_BASE_H
#define MOAT_PUBLIC_BASE_H

#include "moat/cxx_begin.h"

#include "base/alloc.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/overflow.h"
#include "base/refcount.h"
#include "base/types.h"

#include "moat/cxx_end.h"

#endif
