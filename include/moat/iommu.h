/* SPDX-License-Identifier: MIT */
/*
 * The IOMMU core: groups, domains, attach, map, ownership, and struct iommu_ops, which an
 * IOMMU driver fills in.
 */
#ifndef MOAT_PUBLIC_IOMMU_H
#define MOAT_PUBLIC_IOMMU_H

#include "moat/cxx_begin.h"

#include "iommu/iommu.h"

#include "moat/cxx_end.h"

#endif
