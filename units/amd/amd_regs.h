/* SPDX-License-Identifier: MIT */
/*
 * AMD-Vi as both halves see it: register offsets, fields, and the layout of what lies in
 * memory (device table, v1 page tables, interrupt tables, commands, events).
 * Definitions only: the unit (units/amd) and the driver (drivers/amd) share this file
 * and nothing else.
 *
 * AMD I/O Virtualization Technology (IOMMU) Specification 48882: 2.2 (tables), 2.4
 * (commands), 2.5 (events), 3.3 (capability header), 3.4 (registers).
 */
#ifndef MOAT_UNITS_AMD_AMD_REGS_H
#define MOAT_UNITS_AMD_AMD_REGS_H

#include "base/types.h"

/* Register offsets (3.4). */
#define AMD_DEVTAB_BASE 0x0000
#define AMD_CMDBUF_BASE 0x0008
#define AMD_EVTLOG_BASE 0x0010
#define AMD_CONTROL	0x0018
#define AMD_EXCL_BASE	0x0020
#define AMD_EXCL_LIMIT	0x0028
#define AMD_EFR		0x0030
#define AMD_MSI_ADDR_LO 0x015c
#define AMD_EFR2	0x01a0
#define AMD_CMDBUF_HEAD 0x2000
#define AMD_CMDBUF_TAIL 0x2008
#define AMD_EVTLOG_HEAD 0x2010
#define AMD_EVTLOG_TAIL 0x2018
#define AMD_STATUS	0x2020
#define AMD_REGS_SIZE	0x4000

/* Device table base: address, and size in 4 KiB less one. */
#define AMD_DEVTAB_ADDR GENMASK_ULL(51, 12)
#define AMD_DEVTAB_SIZE 0x1ffULL
/* Command buffer and event log base: address, log2 of the 16-byte entries (8 to 15). */
#define AMD_RING_ADDR	    GENMASK_ULL(51, 12)
#define AMD_RING_LEN(n)	    ((u64)(n) << 56)
#define AMD_RING_GET_LEN(v) ((unsigned)((v) >> 56) & 0xf)
#define AMD_RING_MIN_LEN    8
/* Heads and tails: byte offsets. */
#define AMD_RING_PTR GENMASK_ULL(18, 4)

/* Control. */
#define AMD_CTRL_IOMMU_EN	BIT_ULL(0)
#define AMD_CTRL_HT_TUN_EN	BIT_ULL(1)
#define AMD_CTRL_EVT_LOG_EN	BIT_ULL(2)
#define AMD_CTRL_EVT_INT_EN	BIT_ULL(3)
#define AMD_CTRL_COMWAIT_INT_EN BIT_ULL(4)
#define AMD_CTRL_COHERENT	BIT_ULL(10)
#define AMD_CTRL_CMDBUF_EN	BIT_ULL(12)
#define AMD_CTRL_GA_EN		BIT_ULL(17)

/* Exclusion range. */
#define AMD_EXCL_EX_EN BIT_ULL(0)
#define AMD_EXCL_ALLOW BIT_ULL(1)
#define AMD_EXCL_ADDR  GENMASK_ULL(51, 12)

/* Extended features. */
#define AMD_EFR_PREF		 BIT_ULL(0)
#define AMD_EFR_PPR		 BIT_ULL(1)
#define AMD_EFR_XT		 BIT_ULL(2)
#define AMD_EFR_GT		 BIT_ULL(4)
#define AMD_EFR_IA		 BIT_ULL(6)
#define AMD_EFR_GA		 BIT_ULL(7)
#define AMD_EFR_HATS(n)		 ((u64)(n) << 10) /* 0, 1, 2: 4, 5, 6 levels */
#define AMD_EFR_GET_HATS(v)	 ((unsigned)((v) >> 10) & 3)
#define AMD_EFR_HD		 BIT_ULL(52)
#define AMD_EFR2_HT_RANGE_IGNORE BIT_ULL(11)

/* Status: the first three are cleared by writing 1. */
#define AMD_STATUS_EVT_OVERFLOW BIT_ULL(0)
#define AMD_STATUS_EVT_INT	BIT_ULL(1)
#define AMD_STATUS_COMWAIT_INT	BIT_ULL(2)
#define AMD_STATUS_EVT_RUN	BIT_ULL(3)
#define AMD_STATUS_CMD_RUN	BIT_ULL(4)

/* The capability header in the configuration space of the IOMMU's function (3.3.1). */
#define AMD_CAP_ID	  0x0fU
#define AMD_CAP_TYPE	  (3U << 16)
#define AMD_CAP_REV	  (1U << 19)
#define AMD_CAP_IOTLB	  BIT(24)
#define AMD_CAP_HT_TUNNEL BIT(25)
#define AMD_CAP_NP_CACHE  BIT(26)
#define AMD_CAP_EFR	  BIT(27)
#define AMD_CAP_EXT	  BIT(28)

/* What a HyperTransport link uses for interrupts and the like (2.1.2). */
#define AMD_HT_RANGE_BASE 0xfd00000000ULL
#define AMD_HT_RANGE_LAST 0xffffffffffULL

/* Device table entry (2.2.2.1): 32 bytes by device id. */
struct amd_dte {
	u64 data[4];
};
#define AMD_DTE0_V	     BIT_ULL(0)
#define AMD_DTE0_TV	     BIT_ULL(1)
#define AMD_DTE0_RSVD	     (GENMASK_ULL(6, 2) | BIT_ULL(63))
#define AMD_DTE0_HAD	     (3ULL << 7)
#define AMD_DTE0_MODE(l)     ((u64)(l) << 9)
#define AMD_DTE0_GET_MODE(v) ((unsigned)((v) >> 9) & 7)
#define AMD_DTE0_ROOT	     GENMASK_ULL(51, 12)
#define AMD_DTE0_GUEST	     GENMASK_ULL(55, 54) /* GIoV, GV: need GTSup */
#define AMD_DTE0_IR	     BIT_ULL(61)
#define AMD_DTE0_IW	     BIT_ULL(62)
#define AMD_DTE1_DOMAIN	     0xffffULL
#define AMD_DTE1_IOTLB	     BIT_ULL(32)
#define AMD_DTE1_SE	     BIT_ULL(33) /* suppress page faults after the first */
#define AMD_DTE1_SA	     BIT_ULL(34) /* suppress all page faults */
#define AMD_DTE1_EX	     BIT_ULL(39) /* may use the exclusion range */
#define AMD_DTE2_IV	     BIT_ULL(0)
#define AMD_DTE2_LEN(n)	     ((u64)(n) << 1) /* log2 of the entries, up to 11 */
#define AMD_DTE2_GET_LEN(v)  ((unsigned)((v) >> 1) & 0xf)
#define AMD_DTE2_IG	     BIT_ULL(5) /* ignore unmapped interrupts: log nothing */
#define AMD_DTE2_TABLE	     GENMASK_ULL(51, 6)
#define AMD_DTE2_INIT	     BIT_ULL(56)
#define AMD_DTE2_EINT	     BIT_ULL(57)
#define AMD_DTE2_NMI	     BIT_ULL(58)
#define AMD_DTE2_CTL(c)	     ((u64)(c) << 60)
#define AMD_DTE2_GET_CTL(v)  ((unsigned)((v) >> 60) & 3)
#define AMD_INTCTL_ABORT     0
#define AMD_INTCTL_FORWARD   1
#define AMD_INTCTL_REMAP     2

/* Page table entry (2.2.3). */
#define AMD_PTE_PR	  BIT_ULL(0)
#define AMD_PTE_A	  BIT_ULL(5)
#define AMD_PTE_D	  BIT_ULL(6)
#define AMD_PTE_NL(n)	  ((u64)(n) << 9) /* 0: page, 7: page of encoded size, else table */
#define AMD_PTE_GET_NL(v) ((unsigned)((v) >> 9) & 7)
#define AMD_PTE_ADDR	  GENMASK_ULL(51, 12)
#define AMD_PTE_RSVD	  GENMASK_ULL(58, 52)
#define AMD_PTE_FC	  BIT_ULL(60)
#define AMD_PTE_IR	  BIT_ULL(61)
#define AMD_PTE_IW	  BIT_ULL(62)
#define AMD_MAX_LEVELS	  6

/* Interrupt remapping table entries (2.2.5): 4 bytes, or 16 with GAEn. */
#define AMD_IRTE_EN	       BIT(0)
#define AMD_IRTE_TYPE	       (7U << 2)
#define AMD_IRTE_GUEST	       BIT(7)
#define AMD_IRTE_DEST(d)       (((u32)(d)&0xff) << 8)
#define AMD_IRTE_GET_DEST(v)   ((u8)((v) >> 8))
#define AMD_IRTE_VECTOR(v)     (((u32)(v)&0xff) << 16)
#define AMD_IRTE_GET_VECTOR(v) ((u8)((v) >> 16))
#define AMD_IRTE_RSVD	       (BIT(7) | GENMASK(31, 24))
struct amd_irte_ga {
	u64 lo, hi; /* lo: as above up to the destination; hi: the vector in 7:0 */
};

/* A command: four words, the operation in the top bits of the second (2.4). */
struct amd_command {
	u32 data[4];
};
#define AMD_CMD(op)		     ((u32)(op) << 28)
#define AMD_CMD_GET(d1)		     ((d1) >> 28)
#define AMD_CMD_COMPLETION_WAIT	     1
#define AMD_CMD_INVALIDATE_DEVTAB    2
#define AMD_CMD_INVALIDATE_PAGES     3
#define AMD_CMD_INVALIDATE_IOTLB     4
#define AMD_CMD_INVALIDATE_INTERRUPT 5
#define AMD_CMD_PREFETCH	     6
#define AMD_CMD_COMPLETE_PPR	     7
#define AMD_CMD_INVALIDATE_ALL	     8
#define AMD_WAIT_STORE		     BIT(0)
#define AMD_WAIT_INT		     BIT(1)
#define AMD_WAIT_FLUSH		     BIT(2)
#define AMD_INV_SIZE		     BIT(0)
#define AMD_INV_PDE		     BIT(1)
#define AMD_INV_GN		     BIT(2)
#define AMD_INV_ALL_PAGES	     0x7ffffffffffff000ULL

/* An event: four words, code and flags in the upper half of the second (2.5). */
struct amd_event {
	u32 data[4];
};
#define AMD_EVENT_ILLEGAL_DTE	0x1
#define AMD_EVENT_IO_PAGE_FAULT 0x2
#define AMD_EVENT_DEVTAB_ERROR	0x3
#define AMD_EVENT_PAGETAB_ERROR 0x4
#define AMD_EVENT_ILLEGAL_CMD	0x5
#define AMD_EVENT_CMD_ERROR	0x6
#define AMD_EVENT_IOTLB_TIMEOUT 0x7
#define AMD_EVENT_INVALID_REQ	0x8
#define AMD_EVF_GN		0x001
#define AMD_EVF_NX		0x002
#define AMD_EVF_US		0x004
#define AMD_EVF_I		0x008 /* an interrupt */
#define AMD_EVF_PR		0x010 /* the page was present, or the interrupt entry enabled */
#define AMD_EVF_RW		0x020 /* a write */
#define AMD_EVF_PE		0x040 /* no permission */
#define AMD_EVF_RZ		0x080 /* reserved bit, or an illegal level */
#define AMD_EVF_TR		0x100 /* a translation request */
/* Code and flags as they stand together, which is also the reason of a dma_fault. */
#define AMD_REASON(code, flags) ((u16)((code) << 12 | (flags)))

#endif
