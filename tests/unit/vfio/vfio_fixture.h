/* SPDX-License-Identifier: MIT */
/* What the tests of vfio/ share: short names for a program's calls, on a machine. */
#ifndef MOAT_TESTS_VFIO_FIXTURE_H
#define MOAT_TESTS_VFIO_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "machine/machine.h"
#include "pci/pci.h"
#include "tests/double/double.h"
#include "vfio/vfio.h"

#define EDU  "0000:00:04.0" /* golden-uapi: alone in its group */
#define EDU2 "0000:00:05.0"

int golden_start(void **state);
int pc_start(void **state);
int machine_end(void **state);

struct pci_dev *device(const char *address);
/* The group's file for a device, -errno. */
int group_open(const char *address);
int map(int c, const void *p, u64 iova, u64 size, u32 flags);
long unmap(int c, u64 iova, u64 size, u32 flags); /* bytes, -errno */
int set_irqs(int d, u32 index, u32 flags, u32 start, u32 count, const void *data);
/* Container with one group in it and an open device; asserts. */
struct opened {
	int c, g, d;
} open_device(const char *address, u64 type);
void close_all(struct opened *o);
u64 drain(int efd); /* its count */
u32 cfg_read(int d, unsigned at, unsigned len);
void cfg_write(int d, unsigned at, unsigned len, u32 val);

/* What is left in the machine and in memory. */
struct census {
	s64 blocks;
	u64 files, mappings, locked, irqs;
};
struct census census(void);

#endif
