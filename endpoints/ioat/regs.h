/* SPDX-License-Identifier: MIT */
/*
 * Intel I/OAT (CBDMA) versions 3.3 and 3.4: registers and descriptors of a
 * function with one channel. Names as in the "Intel QuickData Technology"
 * chapters of the Xeon E5 datasheets (volume 2); the channel's registers follow
 * those of the function at 0x80.
 */
#ifndef MOAT_ENDPOINTS_IOAT_REGS_H
#define MOAT_ENDPOINTS_IOAT_REGS_H

#include "base/types.h"

#define IOAT_CHANCNT	   0x00 /* 8 bits */
#define IOAT_XFERCAP	   0x01 /* 8 */
#define IOAT_GENCTRL	   0x02 /* 8 */
#define IOAT_INTRCTRL	   0x03 /* 8 */
#define IOAT_ATTNSTATUS	   0x04 /* 32 */
#define IOAT_CBVER	   0x08 /* 8 */
#define IOAT_INTRDELAY	   0x0c /* 16 */
#define IOAT_CS_STATUS	   0x0e /* 16 */
#define IOAT_DMACAPABILITY 0x10 /* 32 */

#define IOAT_CHANCTRL	 0x80 /* 16 */
#define IOAT_DMA_COMP	 0x82 /* 16 */
#define IOAT_CHANCMD	 0x84 /* 8 */
#define IOAT_DMACOUNT	 0x86 /* 16 */
#define IOAT_CHANSTS	 0x88 /* 64 */
#define IOAT_CHAINADDR	 0x90 /* 64 */
#define IOAT_CHANCMP	 0x98 /* 64 */
#define IOAT_CDAR	 0xa0 /* 64 */
#define IOAT_CHANERR	 0xa8 /* 32 */
#define IOAT_CHANERRMASK 0xac /* 32 */
#define IOAT_REGS_END	 0xb0

#define GENCTRL_DEBUG_EN BIT(0)

#define INTRCTRL_MASTER_INT_EN BIT(0) /* reading the register clears it */
#define INTRCTRL_INT_STATUS    BIT(1) /* a bit of ATTNSTATUS is set */
#define INTRCTRL_INT	       BIT(2) /* both of the above */
#define INTRCTRL_MSIX_CONTROL  BIT(3) /* each channel has a vector of its own */

#define INTRDELAY_MASK 0x3fff

#define DMACAP_BFILL BIT(6)

#define CHANCTRL_INT_DISABLE	   BIT(0) /* set with each interrupt; write 1 to clear */
#define CHANCTRL_ERR_COMPLETION_EN BIT(2)
#define CHANCTRL_ANY_ERR_ABORT_EN  BIT(3)
#define CHANCTRL_ERR_INT_EN	   BIT(4)
#define CHANCTRL_WRITABLE	   0xf33c

#define DMA_COMP_V2 BIT(1)

#define CHANCMD_SUSPEND BIT(2)
#define CHANCMD_ABORT	BIT(3)
#define CHANCMD_RESUME	BIT(4)
#define CHANCMD_RESET	BIT(5)

/* CHANSTS: the address of the last completed descriptor, and in bits 2:0 the state. */
#define CHANSTS_STATE_MASK 0x7ULL
#define CHANSTS_ADDR_MASK  (~0x3fULL)

enum ioat_chan_state {
	IOAT_ACTIVE = 0,
	IOAT_IDLE = 1,
	IOAT_SUSPENDED = 2,
	IOAT_HALTED = 3,
	IOAT_ARMED = 4,
};

#define CHANERR_SRC_ADDR	BIT(0)
#define CHANERR_DEST_ADDR	BIT(1)
#define CHANERR_NEXT_DESC_ADDR	BIT(2)
#define CHANERR_DESC		BIT(3) /* the address of a descriptor is not aligned */
#define CHANERR_CHAINADDR_VALUE BIT(4)
#define CHANERR_CHANCMD		BIT(5)
#define CHANERR_READ_DATA	BIT(8) /* drivers take it for a descriptor read error, too */
#define CHANERR_DESC_CONTROL	BIT(10)
#define CHANERR_DESC_LENGTH	BIT(11)
#define CHANERR_COMPLETION_ADDR BIT(12)
#define CHANERR_ALL		0x0007ffff

#define IOAT_DESC_SIZE 64

struct ioat_descriptor {
	u32 size;
	u32 control;
	u64 src; /* block fill: the pattern */
	u64 dst;
	u64 next;
	u64 reserved[2];
	u64 user[2];
};
_Static_assert(sizeof(struct ioat_descriptor) == IOAT_DESC_SIZE, "descriptor layout");

#define DESC_INT_EN	       BIT(0)
#define DESC_COMPLETION_UPDATE BIT(3)
#define DESC_FENCE	       BIT(4)
#define DESC_NULL	       BIT(5)
#define DESC_OP(control)       ((control) >> 24)
#define DESC_OP_COPY	       0x00
#define DESC_OP_FILL	       0x01

#endif
