/* SPDX-License-Identifier: MIT */
/*
 * For models of devices: registers, DMA, interrupts. A model sees machine memory
 * (struct hw) and nothing of the machine's software.
 */
#ifndef MOAT_PUBLIC_MODEL_H
#define MOAT_PUBLIC_MODEL_H

#include "moat/cxx_begin.h"

#include "machine/dma.h"
#include "machine/endpoint.h"
#include "machine/hw.h"

#include "moat/cxx_end.h"

#endif
