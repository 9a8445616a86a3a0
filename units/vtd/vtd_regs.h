/* SPDX-License-Identifier: MIT */
/*
 * Intel VT-d as both halves see it: register offsets, fields, and the layout of
 * what lies in memory (root, context, second-stage and interrupt-remapping
 * entries, queued-invalidation descriptors). Definitions only: the unit
 * (units/vtd) and the driver (drivers/vtd) share this file and nothing else.
 *
 * Intel Virtualization Technology for Directed I/O, Architecture Specification
 * 4.1: chapter 9 (entries), 6.5 (invalidation), 7 (faults), 11 (registers).
 * Names are the specification's. Legacy mode; what scalable mode adds has its
 * place at the end.
 */
#ifndef MOAT_UNITS_VTD_VTD_REGS_H
#define MOAT_UNITS_VTD_VTD_REGS_H

#include "base/types.h"

/* Register offsets (11.4). */
#define VTD_VER	     0x00
#define VTD_CAP	     0x08
#define VTD_ECAP     0x10
#define VTD_GCMD     0x18
#define VTD_GSTS     0x1c
#define VTD_RTADDR   0x20
#define VTD_CCMD     0x28
#define VTD_FSTS     0x34
#define VTD_FECTL    0x38
#define VTD_FEDATA   0x3c
#define VTD_FEADDR   0x40
#define VTD_FEUADDR  0x44
#define VTD_AFLOG    0x58
#define VTD_PMEN     0x64
#define VTD_PLMBASE  0x68
#define VTD_PLMLIMIT 0x6c
#define VTD_PHMBASE  0x70
#define VTD_PHMLIMIT 0x78
#define VTD_IQH	     0x80
#define VTD_IQT	     0x88
#define VTD_IQA	     0x90
#define VTD_ICS	     0x9c
#define VTD_IECTL    0xa0
#define VTD_IEDATA   0xa4
#define VTD_IEADDR   0xa8
#define VTD_IEUADDR  0xac
#define VTD_IQERCD   0xb0
#define VTD_IRTA     0xb8
#define VTD_PQH	     0xc0
#define VTD_PQT	     0xc8
#define VTD_PQA	     0xd0
#define VTD_PRS	     0xdc
#define VTD_PECTL    0xe0
#define VTD_PEDATA   0xe4
#define VTD_PEADDR   0xe8
#define VTD_PEUADDR  0xec

/* At CAP.FRO and ECAP.IRO; these are where the unit puts them. */
#define VTD_FRCD_BASE  0x220 /* one of 16 bytes a fault recording register */
#define VTD_IOTLB_BASE 0xf0  /* IVA, then IOTLB */
#define VTD_IVA_OFF    0x0
#define VTD_IOTLB_OFF  0x8
#define VTD_REGS_SIZE  0x1000

/* CAP: capability register (11.4.2). */
#define VTD_CAP_ND(x)	    ((u64)(x)&7) /* 2^(4 + 2 * ND) domains */
#define VTD_CAP_ND_MASK	    0x7ULL
#define VTD_CAP_RWBF	    BIT_ULL(4)
#define VTD_CAP_PLMR	    BIT_ULL(5)
#define VTD_CAP_PHMR	    BIT_ULL(6)
#define VTD_CAP_CM	    BIT_ULL(7)
#define VTD_CAP_SAGAW_SHIFT 8
#define VTD_CAP_SAGAW_39    BIT_ULL(9)	/* 3-level */
#define VTD_CAP_SAGAW_48    BIT_ULL(10) /* 4-level */
#define VTD_CAP_SAGAW_57    BIT_ULL(11) /* 5-level */
#define VTD_CAP_MGAW(w)	    ((u64)((w)-1) << 16)
#define VTD_CAP_GET_MGAW(c) ((unsigned)(((c) >> 16) & 0x3f) + 1)
#define VTD_CAP_ZLR	    BIT_ULL(22)
#define VTD_CAP_FRO(off)    ((u64)((off) / 16) << 24)
#define VTD_CAP_GET_FRO(c)  ((unsigned)(((c) >> 24) & 0x3ff) * 16)
#define VTD_CAP_SLLPS_2M    BIT_ULL(34)
#define VTD_CAP_SLLPS_1G    BIT_ULL(35)
#define VTD_CAP_PSI	    BIT_ULL(39)
#define VTD_CAP_NFR(n)	    ((u64)((n)-1) << 40)
#define VTD_CAP_GET_NFR(c)  ((unsigned)(((c) >> 40) & 0xff) + 1)
#define VTD_CAP_MAMV(m)	    ((u64)(m) << 48)
#define VTD_CAP_GET_MAMV(c) ((unsigned)((c) >> 48) & 0x3f)
#define VTD_CAP_DWD	    BIT_ULL(54)
#define VTD_CAP_DRD	    BIT_ULL(55)
#define VTD_CAP_FL1GP	    BIT_ULL(56)
#define VTD_CAP_PI	    BIT_ULL(59)
#define VTD_CAP_ESIRTPS	    BIT_ULL(62)
#define VTD_CAP_ESRTPS	    BIT_ULL(63)

/* ECAP: extended capability register (11.4.3). */
#define VTD_ECAP_C	     BIT_ULL(0) /* page walks are coherent */
#define VTD_ECAP_QI	     BIT_ULL(1)
#define VTD_ECAP_DT	     BIT_ULL(2)
#define VTD_ECAP_IR	     BIT_ULL(3)
#define VTD_ECAP_EIM	     BIT_ULL(4)
#define VTD_ECAP_PT	     BIT_ULL(6)
#define VTD_ECAP_SC	     BIT_ULL(7)
#define VTD_ECAP_IRO(off)    ((u64)((off) / 16) << 8)
#define VTD_ECAP_GET_IRO(e)  ((unsigned)(((e) >> 8) & 0x3ff) * 16)
#define VTD_ECAP_MHMV(m)     ((u64)(m) << 20)
#define VTD_ECAP_GET_MHMV(e) ((unsigned)((e) >> 20) & 0xf)
#define VTD_ECAP_SMTS	     BIT_ULL(43)

/* GCMD and GSTS (11.4.4): the same bit commands and reports. */
#define VTD_GCMD_TE    BIT(31)
#define VTD_GCMD_SRTP  BIT(30)
#define VTD_GCMD_SFL   BIT(29)
#define VTD_GCMD_EAFL  BIT(28)
#define VTD_GCMD_WBF   BIT(27)
#define VTD_GCMD_QIE   BIT(26)
#define VTD_GCMD_IRE   BIT(25)
#define VTD_GCMD_SIRTP BIT(24)
#define VTD_GCMD_CFI   BIT(23)
#define VTD_GSTS_TES   BIT(31)
#define VTD_GSTS_RTPS  BIT(30)
#define VTD_GSTS_WBFS  BIT(27)
#define VTD_GSTS_QIES  BIT(26)
#define VTD_GSTS_IRES  BIT(25)
#define VTD_GSTS_IRTPS BIT(24)
#define VTD_GSTS_CFIS  BIT(23)
/* Commands that act once and do not stay in GCMD's shadow when another bit is written. */
#define VTD_GCMD_ONE_SHOT (VTD_GCMD_SRTP | VTD_GCMD_SFL | VTD_GCMD_WBF | VTD_GCMD_SIRTP)

/* RTADDR: root table address (11.4.5). */
#define VTD_RTADDR_RTA		GENMASK_ULL(63, 12)
#define VTD_RTADDR_TTM		GENMASK_ULL(11, 10)
#define VTD_RTADDR_TTM_LEGACY	(0ULL << 10)
#define VTD_RTADDR_TTM_SCALABLE (1ULL << 10)
#define VTD_RTADDR_TTM_ABORT	(3ULL << 10)

/* CCMD: context command (11.4.6.2). */
#define VTD_CCMD_ICC	    BIT_ULL(63)
#define VTD_CCMD_CIRG_SHIFT 61
#define VTD_CCMD_CAIG_SHIFT 59
#define VTD_CCMD_FM_SHIFT   32
#define VTD_CCMD_SID_SHIFT  16
#define VTD_CCMD_DID_MASK   0xffffULL

/* Granularities, as requested (CIRG, IIRG, descriptor G) and as performed (CAIG, IAIG).
 */
#define VTD_GRAN_GLOBAL 1
#define VTD_GRAN_DOMAIN 2
#define VTD_GRAN_DEVICE 3 /* context cache: function mask FM applies to SID */
#define VTD_GRAN_PAGE	3 /* IOTLB: ADDR and AM */

/* IOTLB and IVA (11.4.6.1), at ECAP.IRO. */
#define VTD_IOTLB_IVT	     BIT_ULL(63)
#define VTD_IOTLB_IIRG_SHIFT 60
#define VTD_IOTLB_IAIG_SHIFT 57
#define VTD_IOTLB_DR	     BIT_ULL(49)
#define VTD_IOTLB_DW	     BIT_ULL(48)
#define VTD_IOTLB_DID_SHIFT  32
#define VTD_IVA_ADDR	     GENMASK_ULL(63, 12)
#define VTD_IVA_IH	     BIT_ULL(6)
#define VTD_IVA_AM	     0x3fULL

/* FSTS: fault status (11.4.7.1). All but PPF and FRI are cleared by writing 1. */
#define VTD_FSTS_PFO	   BIT(0)
#define VTD_FSTS_PPF	   BIT(1) /* follows the F bits of the recording registers */
#define VTD_FSTS_AFO	   BIT(2)
#define VTD_FSTS_APF	   BIT(3)
#define VTD_FSTS_IQE	   BIT(4)
#define VTD_FSTS_ICE	   BIT(5)
#define VTD_FSTS_ITE	   BIT(6)
#define VTD_FSTS_PRO	   BIT(7)
#define VTD_FSTS_FRI_SHIFT 8
#define VTD_FSTS_FRI_MASK  0xff00U

/* FECTL and IECTL (11.4.7.2, 11.4.9.6). */
#define VTD_ECTL_IM BIT(31)
#define VTD_ECTL_IP BIT(30)

/* A fault recording register: low FI, high the rest (11.4.7.6). */
#define VTD_FRCD_LO_FI \
	GENMASK_ULL(63, 12) /* DMA: page address; interrupt: index in 63:48 */
#define VTD_FRCD_HI_SID(s)     ((u64)(s)&0xffff)
#define VTD_FRCD_HI_GET_SID(h) ((u16)(h))
#define VTD_FRCD_HI_T2	       BIT_ULL(28)
#define VTD_FRCD_HI_PRIV       BIT_ULL(29)
#define VTD_FRCD_HI_EXE	       BIT_ULL(30)
#define VTD_FRCD_HI_PP	       BIT_ULL(31)
#define VTD_FRCD_HI_FR_SHIFT   32
#define VTD_FRCD_HI_GET_FR(h)  ((u8)((h) >> 32))
#define VTD_FRCD_HI_PV_SHIFT   40
#define VTD_FRCD_HI_T1	       BIT_ULL(62) /* 1: read, 0: write */
#define VTD_FRCD_HI_F	       BIT_ULL(63) /* cleared by writing 1 */

/* Fault reasons (7.1.3, table of legacy mode). */
enum vtd_fault_reason {
	VTD_FR_ROOT_NOT_PRESENT = 0x1,
	VTD_FR_CONTEXT_NOT_PRESENT = 0x2,
	VTD_FR_CONTEXT_INVALID = 0x3,
	VTD_FR_ADDRESS_WIDTH = 0x4,
	VTD_FR_WRITE = 0x5,
	VTD_FR_READ = 0x6,
	VTD_FR_TABLE_ACCESS = 0x7,
	VTD_FR_ROOT_ACCESS = 0x8,
	VTD_FR_CONTEXT_ACCESS = 0x9,
	VTD_FR_ROOT_RESERVED = 0xa,
	VTD_FR_CONTEXT_RESERVED = 0xb,
	VTD_FR_PTE_RESERVED = 0xc,
	VTD_FR_TT_BLOCKED = 0xd, /* translation or translated request refused by TT */
	VTD_FR_INTERRUPT_RANGE =
		0xe, /* translated or translation request to the MSI window */
	VTD_FR_IR_REQUEST_RESERVED = 0x20,
	VTD_FR_IR_INDEX = 0x21,
	VTD_FR_IR_NOT_PRESENT = 0x22,
	VTD_FR_IR_ACCESS = 0x23,
	VTD_FR_IR_ENTRY_RESERVED = 0x24,
	VTD_FR_IR_COMPAT_BLOCKED = 0x25,
	VTD_FR_IR_SID = 0x26,
	VTD_FR_RTA_ABORT = 0x30, /* RTADDR.TTM is abort-dma or reserved: blocked */
	VTD_FR_TTM_PASID = 0x31, /* a request with PASID in legacy mode */
};

/* IQT, IQH, IQA (11.4.9). Offsets in bytes; a legacy descriptor has 16. */
#define VTD_IQ_OFF_MASK GENMASK_ULL(18, 4)
#define VTD_IQA_QS	0x7ULL /* 2^(QS + 8) descriptors of 16 bytes */
#define VTD_IQA_DW	BIT_ULL(11)
#define VTD_IQA_ADDR	GENMASK_ULL(63, 12)
#define VTD_ICS_IWC	BIT(0)

/* IQERCD: what went wrong (11.4.9.9). */
#define VTD_IQERCD_IQEI_MASK	0xfULL
#define VTD_IQEI_TAIL		1
#define VTD_IQEI_FETCH		2
#define VTD_IQEI_TYPE		3
#define VTD_IQEI_RESERVED	4
#define VTD_IQEI_WIDTH		5
#define VTD_IQERCD_ITESID_SHIFT 32
#define VTD_IQERCD_ICESID_SHIFT 48

/* Queued-invalidation descriptors (6.5.2): two quad-words in legacy mode. */
struct vtd_qi_desc {
	u64 lo, hi;
};
#define VTD_QI_TYPE(lo)	  ((unsigned)(((lo)&0xf) | (((lo) >> 9 & 7) << 4)))
#define VTD_QI_CONTEXT	  1
#define VTD_QI_IOTLB	  2
#define VTD_QI_DEV_IOTLB  3
#define VTD_QI_IEC	  4
#define VTD_QI_WAIT	  5
#define VTD_QI_PIOTLB	  6
#define VTD_QI_PC	  7
#define VTD_QI_DEV_PIOTLB 8

#define VTD_QI_GRAN(g)		 ((u64)(g) << 4) /* context, IOTLB */
#define VTD_QI_GET_GRAN(lo)	 ((unsigned)((lo) >> 4) & 3)
#define VTD_QI_DID(d)		 ((u64)(d) << 16) /* context, IOTLB */
#define VTD_QI_GET_DID(lo)	 ((u16)((lo) >> 16))
#define VTD_QI_CC_SID(s)	 ((u64)(s) << 32)
#define VTD_QI_CC_GET_SID(lo)	 ((u16)((lo) >> 32))
#define VTD_QI_CC_FM(m)		 ((u64)(m) << 48)
#define VTD_QI_CC_GET_FM(lo)	 ((unsigned)((lo) >> 48) & 3)
#define VTD_QI_CC_RSVD_LO	 (GENMASK_ULL(63, 50) | GENMASK_ULL(15, 12) | GENMASK_ULL(8, 6))
#define VTD_QI_IOTLB_DW		 BIT_ULL(6)
#define VTD_QI_IOTLB_DR		 BIT_ULL(7)
#define VTD_QI_IOTLB_RSVD_LO	 (GENMASK_ULL(63, 32) | GENMASK_ULL(15, 12) | BIT_ULL(8))
#define VTD_QI_IOTLB_ADDR	 GENMASK_ULL(63, 12) /* hi */
#define VTD_QI_IOTLB_IH		 BIT_ULL(6)
#define VTD_QI_IOTLB_AM		 0x3fULL
#define VTD_QI_IOTLB_RSVD_HI	 GENMASK_ULL(11, 7)
#define VTD_QI_DEV_GET_SID(lo)	 ((u16)((lo) >> 32))
#define VTD_QI_IEC_G		 BIT_ULL(4) /* 1: index-selective */
#define VTD_QI_IEC_IM(m)	 ((u64)(m) << 27)
#define VTD_QI_IEC_GET_IM(lo)	 ((unsigned)((lo) >> 27) & 0x1f)
#define VTD_QI_IEC_IIDX(i)	 ((u64)(i) << 32)
#define VTD_QI_IEC_GET_IIDX(lo)	 ((u16)((lo) >> 32))
#define VTD_QI_IEC_RSVD_LO	 (GENMASK_ULL(63, 48) | GENMASK_ULL(26, 12) | GENMASK_ULL(8, 5))
#define VTD_QI_WAIT_IF		 BIT_ULL(4)
#define VTD_QI_WAIT_SW		 BIT_ULL(5)
#define VTD_QI_WAIT_FN		 BIT_ULL(6)
#define VTD_QI_WAIT_PD		 BIT_ULL(7)
#define VTD_QI_WAIT_DATA(d)	 ((u64)(u32)(d) << 32)
#define VTD_QI_WAIT_GET_DATA(lo) ((u32)((lo) >> 32))
#define VTD_QI_WAIT_RSVD_LO	 (GENMASK_ULL(31, 12) | BIT_ULL(8) | BIT_ULL(7))
#define VTD_QI_WAIT_ADDR	 GENMASK_ULL(63, 2) /* hi: status address */

/* Root entry (9.1): 256 of them, by bus. */
struct vtd_root_entry {
	u64 lo, hi;
};
#define VTD_ROOT_P   BIT_ULL(0)
#define VTD_ROOT_CTP GENMASK_ULL(63, 12)
#define VTD_ROOT_RSVD_LO \
	GENMASK_ULL(11, 1) /* and all of hi, and address bits beyond HAW */

/* Context entry (9.3): 256 of them, by devfn. */
struct vtd_context_entry {
	u64 lo, hi;
};
#define VTD_CTX_P	    BIT_ULL(0)
#define VTD_CTX_FPD	    BIT_ULL(1)
#define VTD_CTX_TT_SHIFT    2
#define VTD_CTX_TT(t)	    ((u64)(t) << 2)
#define VTD_CTX_GET_TT(lo)  ((unsigned)((lo) >> 2) & 3)
#define VTD_TT_UNTRANSLATED 0 /* second stage; translated requests are blocked */
#define VTD_TT_ALL	    1 /* needs ECAP.DT */
#define VTD_TT_PASS_THROUGH 2 /* needs ECAP.PT */
#define VTD_CTX_RSVD_LO	    GENMASK_ULL(11, 4)
#define VTD_CTX_SSPTPTR	    GENMASK_ULL(63, 12)
#define VTD_CTX_AW(a)	    ((u64)(a)&7) /* hi: levels - 2; 1: 39, 2: 48, 3: 57 bits */
#define VTD_CTX_GET_AW(hi)  ((unsigned)(hi)&7)
#define VTD_CTX_DID(d)	    ((u64)(d) << 8)
#define VTD_CTX_GET_DID(hi) ((u16)((hi) >> 8))
#define VTD_CTX_RSVD_HI	    (GENMASK_ULL(63, 24) | BIT_ULL(7)) /* 6:3 are ignored */

/* Second-stage paging entry (9.8). */
#define VTD_SS_R    BIT_ULL(0)
#define VTD_SS_W    BIT_ULL(1)
#define VTD_SS_X    BIT_ULL(2) /* ignored in legacy mode */
#define VTD_SS_EMT  GENMASK_ULL(5, 3)
#define VTD_SS_IPAT BIT_ULL(6)
#define VTD_SS_PS   BIT_ULL(7) /* a page at level 2 (2M) or 3 (1G) */
#define VTD_SS_A    BIT_ULL(8)
#define VTD_SS_D    BIT_ULL(9)
#define VTD_SS_SNP  BIT_ULL(11) /* reserved without ECAP.SC, and in table entries */
#define VTD_SS_TM   BIT_ULL(62) /* reserved without ECAP.DT */
#define VTD_SS_ADDR GENMASK_ULL(51, 12)

/* Interrupt remapping: IRTA (11.4.10.1), the message (5.1.2.2), the entry (9.9). */
#define VTD_IRTA_S    0xfULL /* 2^(S + 1) entries */
#define VTD_IRTA_EIME BIT_ULL(11)
#define VTD_IRTA_ADDR GENMASK_ULL(63, 12)

#define VTD_MSI_ADDR_FORMAT    BIT(4) /* 1: remappable */
#define VTD_MSI_ADDR_SHV       BIT(3) /* data 15:0 is a subhandle */
#define VTD_MSI_ADDR_HANDLE(h) ((((u32)(h)&0x7fff) << 5) | (((u32)(h) >> 15 & 1) << 2))
#define VTD_MSI_ADDR_GET_HANDLE(a) \
	(((u32)(a) >> 5 & 0x7fff) | (((u32)(a) >> 2 & 1) << 15))
#define VTD_MSI_ADDR_RSVD 0x3U
#define VTD_MSI_DATA_RSVD \
	0xffff0000U /* with SHV; without it data is ignored but for these */

struct vtd_irte {
	u64 lo, hi;
};
#define VTD_IRTE_P	   BIT_ULL(0)
#define VTD_IRTE_FPD	   BIT_ULL(1)
#define VTD_IRTE_DM	   BIT_ULL(2)
#define VTD_IRTE_RH	   BIT_ULL(3)
#define VTD_IRTE_TM	   BIT_ULL(4)
#define VTD_IRTE_DLM_SHIFT 5
#define VTD_IRTE_DLM_MASK  GENMASK_ULL(7, 5)
#define VTD_IRTE_AVAIL	   GENMASK_ULL(11, 8)
#define VTD_IRTE_IM	   BIT_ULL(15) /* posted; reserved without CAP.PI */
#define VTD_IRTE_RSVD_LO   (GENMASK_ULL(31, 24) | GENMASK_ULL(14, 12))
#define VTD_IRTE_V(v)	   (((u64)(v)&0xff) << 16)
#define VTD_IRTE_GET_V(lo) ((u8)((lo) >> 16))
/* Destination: xAPIC in 47:40 (the rest of 63:32 reserved), x2APIC (EIME) in 63:32. */
#define VTD_IRTE_DST_XAPIC(d)	(((u64)(d)&0xff) << 40)
#define VTD_IRTE_DST_X2APIC(d)	((u64)(u32)(d) << 32)
#define VTD_IRTE_DST_XAPIC_RSVD (GENMASK_ULL(63, 48) | GENMASK_ULL(39, 32))
#define VTD_IRTE_SID(s)		((u64)(s)&0xffff) /* hi */
#define VTD_IRTE_SQ(q)		((u64)(q) << 16)
#define VTD_IRTE_GET_SQ(hi)	((unsigned)((hi) >> 16) & 3)
#define VTD_IRTE_SVT(t)		((u64)(t) << 18)
#define VTD_IRTE_GET_SVT(hi)	((unsigned)((hi) >> 18) & 3)
#define VTD_SVT_NONE		0
#define VTD_SVT_SID		1 /* compare SID under SQ's mask of function bits */
#define VTD_SVT_BUS		2 /* SID is first bus << 8 | last bus */
#define VTD_IRTE_RSVD_HI	GENMASK_ULL(63, 20)

#endif
