/* SPDX-License-Identifier: MIT */
/*
 * PCI configuration space: offsets, fields and codes, named as Linux names them.
 * Sources: PCI Local Bus 3.0 chapter 6, PCI-to-PCI Bridge 1.2 chapter 3, PCI Power
 * Management 1.2 chapter 3, PCI Express Base 5.0 chapters 6 and 7.
 */
#ifndef MOAT_PCI_REGS_H
#define MOAT_PCI_REGS_H

#define PCI_CFG_SPACE_SIZE     256
#define PCI_CFG_SPACE_EXP_SIZE 4096

/* Both headers. */
#define PCI_VENDOR_ID		       0x00
#define PCI_DEVICE_ID		       0x02
#define PCI_COMMAND		       0x04
#define PCI_COMMAND_IO		       0x001
#define PCI_COMMAND_MEMORY	       0x002
#define PCI_COMMAND_MASTER	       0x004
#define PCI_COMMAND_SPECIAL	       0x008
#define PCI_COMMAND_INVALIDATE	       0x010
#define PCI_COMMAND_VGA_PALETTE	       0x020
#define PCI_COMMAND_PARITY	       0x040
#define PCI_COMMAND_WAIT	       0x080
#define PCI_COMMAND_SERR	       0x100
#define PCI_COMMAND_FAST_BACK	       0x200
#define PCI_COMMAND_INTX_DISABLE       0x400
#define PCI_STATUS		       0x06
#define PCI_STATUS_INTERRUPT	       0x0008
#define PCI_STATUS_CAP_LIST	       0x0010
#define PCI_STATUS_PARITY	       0x0100
#define PCI_STATUS_SIG_TARGET_ABORT    0x0800
#define PCI_STATUS_REC_TARGET_ABORT    0x1000
#define PCI_STATUS_REC_MASTER_ABORT    0x2000
#define PCI_STATUS_SIG_SYSTEM_ERROR    0x4000
#define PCI_STATUS_DETECTED_PARITY     0x8000
#define PCI_STATUS_ERROR_BITS	       0xf900 /* written with ones to clear */
#define PCI_CLASS_REVISION	       0x08
#define PCI_REVISION_ID		       0x08
#define PCI_CLASS_PROG		       0x09
#define PCI_CLASS_DEVICE	       0x0a
#define PCI_CACHE_LINE_SIZE	       0x0c
#define PCI_LATENCY_TIMER	       0x0d
#define PCI_HEADER_TYPE		       0x0e
#define PCI_HEADER_TYPE_MASK	       0x7f
#define PCI_HEADER_TYPE_NORMAL	       0
#define PCI_HEADER_TYPE_BRIDGE	       1
#define PCI_HEADER_TYPE_CARDBUS	       2
#define PCI_HEADER_TYPE_MFD	       0x80
#define PCI_BIST		       0x0f
#define PCI_BASE_ADDRESS_0	       0x10
#define PCI_BASE_ADDRESS_SPACE_IO      0x01
#define PCI_BASE_ADDRESS_MEM_TYPE_MASK 0x06
#define PCI_BASE_ADDRESS_MEM_TYPE_64   0x04
#define PCI_BASE_ADDRESS_MEM_PREFETCH  0x08
#define PCI_BASE_ADDRESS_MEM_MASK      (~0x0fULL)
#define PCI_BASE_ADDRESS_IO_MASK       (~0x03ULL)
#define PCI_CAPABILITY_LIST	       0x34
#define PCI_INTERRUPT_LINE	       0x3c
#define PCI_INTERRUPT_PIN	       0x3d

/* Type 0. */
#define PCI_CARDBUS_CIS		0x28
#define PCI_SUBSYSTEM_VENDOR_ID 0x2c
#define PCI_SUBSYSTEM_ID	0x2e
#define PCI_ROM_ADDRESS		0x30
#define PCI_ROM_ADDRESS_ENABLE	0x01
#define PCI_ROM_ADDRESS_MASK	(~0x7ffU)
#define PCI_MIN_GNT		0x3e
#define PCI_MAX_LAT		0x3f

/* Type 1. */
#define PCI_PRIMARY_BUS		    0x18
#define PCI_SECONDARY_BUS	    0x19
#define PCI_SUBORDINATE_BUS	    0x1a
#define PCI_SEC_LATENCY_TIMER	    0x1b
#define PCI_IO_BASE		    0x1c
#define PCI_IO_LIMIT		    0x1d
#define PCI_IO_RANGE_TYPE_MASK	    0x0f
#define PCI_IO_RANGE_TYPE_32	    0x01
#define PCI_SEC_STATUS		    0x1e
#define PCI_MEMORY_BASE		    0x20
#define PCI_MEMORY_LIMIT	    0x22
#define PCI_PREF_MEMORY_BASE	    0x24
#define PCI_PREF_MEMORY_LIMIT	    0x26
#define PCI_PREF_RANGE_TYPE_64	    0x01
#define PCI_PREF_BASE_UPPER32	    0x28
#define PCI_PREF_LIMIT_UPPER32	    0x2c
#define PCI_IO_BASE_UPPER16	    0x30
#define PCI_IO_LIMIT_UPPER16	    0x32
#define PCI_ROM_ADDRESS1	    0x38
#define PCI_BRIDGE_CONTROL	    0x3e
#define PCI_BRIDGE_CTL_PARITY	    0x001
#define PCI_BRIDGE_CTL_SERR	    0x002
#define PCI_BRIDGE_CTL_ISA	    0x004
#define PCI_BRIDGE_CTL_VGA	    0x008
#define PCI_BRIDGE_CTL_MASTER_ABORT 0x020
#define PCI_BRIDGE_CTL_BUS_RESET    0x040

/* Capabilities: id, next, then the capability's own registers. */
#define PCI_CAP_LIST_ID	  0
#define PCI_CAP_LIST_NEXT 1
#define PCI_CAP_SIZEOF	  4
#define PCI_CAP_ID_PM	  0x01
#define PCI_CAP_ID_AGP	  0x02
#define PCI_CAP_ID_VPD	  0x03
#define PCI_CAP_ID_SLOTID 0x04
#define PCI_CAP_ID_MSI	  0x05
#define PCI_CAP_ID_PCIX	  0x07
#define PCI_CAP_ID_HT	  0x08
#define PCI_CAP_ID_VNDR	  0x09
#define PCI_CAP_ID_SHPC	  0x0c
#define PCI_CAP_ID_SSVID  0x0d
#define PCI_CAP_ID_SECDEV 0x0f /* AMD IOMMU */
#define PCI_CAP_ID_EXP	  0x10
#define PCI_CAP_ID_MSIX	  0x11
#define PCI_CAP_ID_SATA	  0x12
#define PCI_CAP_ID_AF	  0x13
#define PCI_CAP_ID_EA	  0x14

/* Power management. */
#define PCI_PM_PMC		  2
#define PCI_PM_CAP_PME_MASK	  0xf800
#define PCI_PM_CTRL		  4
#define PCI_PM_CTRL_STATE_MASK	  0x0003
#define PCI_PM_CTRL_NO_SOFT_RESET 0x0008
#define PCI_PM_CTRL_PME_ENABLE	  0x0100
#define PCI_PM_CTRL_DATA_SEL_MASK 0x1e00
#define PCI_PM_CTRL_PME_STATUS	  0x8000
#define PCI_PM_SIZEOF		  8

/* MSI. */
#define PCI_MSI_FLAGS	      2
#define PCI_MSI_FLAGS_ENABLE  0x0001
#define PCI_MSI_FLAGS_QMASK   0x000e
#define PCI_MSI_FLAGS_QSIZE   0x0070
#define PCI_MSI_FLAGS_64BIT   0x0080
#define PCI_MSI_FLAGS_MASKBIT 0x0100
#define PCI_MSI_ADDRESS_LO    4
#define PCI_MSI_ADDRESS_HI    8
#define PCI_MSI_DATA_32	      8
#define PCI_MSI_MASK_32	      12
#define PCI_MSI_PENDING_32    16
#define PCI_MSI_DATA_64	      12
#define PCI_MSI_MASK_64	      16
#define PCI_MSI_PENDING_64    20

/* MSI-X. */
#define PCI_MSIX_FLAGS		    2
#define PCI_MSIX_FLAGS_QSIZE	    0x07ff
#define PCI_MSIX_FLAGS_MASKALL	    0x4000
#define PCI_MSIX_FLAGS_ENABLE	    0x8000
#define PCI_MSIX_TABLE		    4
#define PCI_MSIX_PBA		    8
#define PCI_MSIX_BIR		    0x7
#define PCI_MSIX_OFFSET		    0xfffffff8U
#define PCI_MSIX_SIZEOF		    12
#define PCI_MSIX_ENTRY_SIZE	    16
#define PCI_MSIX_ENTRY_LOWER_ADDR   0
#define PCI_MSIX_ENTRY_UPPER_ADDR   4
#define PCI_MSIX_ENTRY_DATA	    8
#define PCI_MSIX_ENTRY_VECTOR_CTRL  12
#define PCI_MSIX_ENTRY_CTRL_MASKBIT 1

/* Advanced features (function reset for conventional PCI). */
#define PCI_AF_CAP	3
#define PCI_AF_CAP_TP	1
#define PCI_AF_CAP_FLR	2
#define PCI_AF_CTRL	4
#define PCI_AF_CTRL_FLR 1
#define PCI_AF_STATUS	5

/* PCI Express. */
#define PCI_EXP_FLAGS		   0x02
#define PCI_EXP_FLAGS_VERS	   0x000f
#define PCI_EXP_FLAGS_TYPE	   0x00f0
#define PCI_EXP_FLAGS_SLOT	   0x0100
#define PCI_EXP_TYPE_ENDPOINT	   0x0
#define PCI_EXP_TYPE_LEG_END	   0x1
#define PCI_EXP_TYPE_ROOT_PORT	   0x4
#define PCI_EXP_TYPE_UPSTREAM	   0x5
#define PCI_EXP_TYPE_DOWNSTREAM	   0x6
#define PCI_EXP_TYPE_PCI_BRIDGE	   0x7 /* PCIe to PCI/PCI-X */
#define PCI_EXP_TYPE_PCIE_BRIDGE   0x8 /* PCI/PCI-X to PCIe */
#define PCI_EXP_TYPE_RC_END	   0x9
#define PCI_EXP_TYPE_RC_EC	   0xa
#define PCI_EXP_DEVCAP		   0x04
#define PCI_EXP_DEVCAP_PAYLOAD	   0x00000007
#define PCI_EXP_DEVCAP_RBER	   0x00008000
#define PCI_EXP_DEVCAP_FLR	   0x10000000
#define PCI_EXP_DEVCTL		   0x08
#define PCI_EXP_DEVCTL_RELAX_EN	   0x0010
#define PCI_EXP_DEVCTL_PAYLOAD	   0x00e0
#define PCI_EXP_DEVCTL_NOSNOOP_EN  0x0800
#define PCI_EXP_DEVCTL_READRQ	   0x7000
#define PCI_EXP_DEVCTL_READRQ_512B 0x2000
#define PCI_EXP_DEVCTL_BCR_FLR	   0x8000
#define PCI_EXP_DEVSTA		   0x0a
#define PCI_EXP_DEVSTA_TRPND	   0x0020
#define PCI_EXP_LNKCAP		   0x0c
#define PCI_EXP_LNKCAP_DLLLARC	   0x00100000
#define PCI_EXP_LNKCTL		   0x10
#define PCI_EXP_LNKSTA		   0x12
#define PCI_EXP_LNKSTA_DLLLA	   0x2000
#define PCI_EXP_SLTCAP		   0x14
#define PCI_EXP_SLTCAP_ABP	   0x00000001
#define PCI_EXP_SLTCAP_PCP	   0x00000002
#define PCI_EXP_SLTCAP_HPS	   0x00000020
#define PCI_EXP_SLTCAP_HPC	   0x00000040
#define PCI_EXP_SLTCAP_PSN	   0xfff80000
#define PCI_EXP_SLTCTL		   0x18
#define PCI_EXP_SLTCTL_PCC	   0x0400
#define PCI_EXP_SLTSTA		   0x1a
#define PCI_EXP_SLTSTA_PDC	   0x0008
#define PCI_EXP_SLTSTA_PDS	   0x0040
#define PCI_EXP_RTCTL		   0x1c
#define PCI_EXP_RTCAP		   0x1e
#define PCI_EXP_RTSTA		   0x20
#define PCI_EXP_DEVCAP2		   0x24
#define PCI_EXP_DEVCTL2		   0x28
#define PCI_EXP_DEVCTL2_ARI	   0x0020
#define PCI_EXP_LNKCAP2		   0x2c
#define PCI_EXP_LNKCTL2		   0x30
#define PCI_EXP_LNKSTA2		   0x32
#define PCI_EXP_SLTCAP2		   0x34
#define PCI_EXP_SLTCTL2		   0x38
#define PCI_EXP_DEVCAP2_ARI	   0x00000020
#define PCI_EXP_SIZEOF_V2	   0x3c

/* Extended capabilities. */
#define PCI_EXT_CAP_ID(header)	 ((header)&0xffff)
#define PCI_EXT_CAP_NEXT(header) (((header) >> 20) & 0xffc)
#define PCI_EXT_CAP_ID_ERR	 0x0001
#define PCI_EXT_CAP_ID_VC	 0x0002
#define PCI_EXT_CAP_ID_DSN	 0x0003
#define PCI_EXT_CAP_ID_VNDR	 0x000b
#define PCI_EXT_CAP_ID_ACS	 0x000d
#define PCI_EXT_CAP_ID_ARI	 0x000e
#define PCI_EXT_CAP_ID_ATS	 0x000f
#define PCI_EXT_CAP_ID_SRIOV	 0x0010
#define PCI_EXT_CAP_ID_PRI	 0x0013
#define PCI_EXT_CAP_ID_REBAR	 0x0015
#define PCI_EXT_CAP_ID_LTR	 0x0018
#define PCI_EXT_CAP_ID_PASID	 0x001b
#define PCI_EXT_CAP_ID_DVSEC	 0x0023

/* ACS. */
#define PCI_ACS_CAP  0x04
#define PCI_ACS_SV   0x0001
#define PCI_ACS_TB   0x0002
#define PCI_ACS_RR   0x0004
#define PCI_ACS_CR   0x0008
#define PCI_ACS_UF   0x0010
#define PCI_ACS_EC   0x0020
#define PCI_ACS_DT   0x0040
#define PCI_ACS_CTRL 0x06

/* ARI. */
#define PCI_ARI_CAP	     0x04
#define PCI_ARI_CAP_NFN(cap) (((cap) >> 8) & 0xff)
#define PCI_ARI_CTRL	     0x06

/* SR-IOV. */
#define PCI_SRIOV_CAP	     0x04
#define PCI_SRIOV_CTRL	     0x08
#define PCI_SRIOV_CTRL_VFE   0x0001
#define PCI_SRIOV_CTRL_MSE   0x0008
#define PCI_SRIOV_CTRL_ARI   0x0010
#define PCI_SRIOV_INITIAL_VF 0x0c
#define PCI_SRIOV_TOTAL_VF   0x0e
#define PCI_SRIOV_NUM_VF     0x10
#define PCI_SRIOV_VF_OFFSET  0x14
#define PCI_SRIOV_VF_STRIDE  0x16
#define PCI_SRIOV_VF_DID     0x1a
#define PCI_SRIOV_BAR	     0x24

/* Classes. */
#define PCI_CLASS_BRIDGE_HOST  0x0600
#define PCI_CLASS_BRIDGE_ISA   0x0601
#define PCI_CLASS_BRIDGE_PCI   0x0604
#define PCI_CLASS_NETWORK      0x0200
#define PCI_CLASS_SYSTEM_IOMMU 0x0806
#define PCI_BASE_CLASS_DISPLAY 0x03

/* Vendors that rules and machine files name. */
#define PCI_VENDOR_ID_AMD      0x1022
#define PCI_VENDOR_ID_REDHAT   0x1b36
#define PCI_VENDOR_ID_QUMRANET 0x1af4
#define PCI_VENDOR_ID_INTEL    0x8086

#endif
