/* SPDX-License-Identifier: MIT */
/*
 * Little-endian fields of registers kept as bytes.
 */
#ifndef MOAT_PCI_BYTES_H
#define MOAT_PCI_BYTES_H

#include "base/types.h"

static inline u16 get16(const u8 *p)
{
	return (u16)(p[0] | p[1] << 8);
}

static inline u32 get32(const u8 *p)
{
	return get16(p) | (u32)get16(p + 2) << 16;
}

static inline u64 get64(const u8 *p)
{
	return get32(p) | (u64)get32(p + 4) << 32;
}

static inline void put16(u8 *p, u16 val)
{
	p[0] = (u8)val;
	p[1] = (u8)(val >> 8);
}

static inline void put32(u8 *p, u32 val)
{
	put16(p, (u16)val);
	put16(p + 2, (u16)(val >> 16));
}

static inline void put64(u8 *p, u64 val)
{
	put32(p, (u32)val);
	put32(p + 4, (u32)(val >> 32));
}

static inline u32 get_size(const u8 *p, unsigned size)
{
	return size == 1 ? *p : size == 2 ? get16(p) : get32(p);
}

#endif
