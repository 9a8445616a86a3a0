/* SPDX-License-Identifier: MIT */
/*
 * The DMA API for drivers of devices: dma_map_single() and its relatives.
 */
#ifndef MOAT_PUBLIC_DMA_MAPPING_H
#define MOAT_PUBLIC_DMA_MAPPING_H

#include "moat/cxx_begin.h"

#include "dma/mapping.h"
#include "dma/scatterlist.h"

#include "moat/cxx_end.h"

#endif
