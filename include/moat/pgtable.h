/* SPDX-License-Identifier: MIT */
/*
 * Page tables in machine RAM in the formats of real IOMMUs, for IOMMU drivers.
 */
#ifndef MOAT_PUBLIC_PGTABLE_H
#define MOAT_PUBLIC_PGTABLE_H

#include "moat/cxx_begin.h"

#include "pgtable/iommu_pages.h"
#include "pgtable/pgtable.h"

#include "moat/cxx_end.h"

#endif
