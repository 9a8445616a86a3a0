/* SPDX-License-Identifier: MIT */
/*
 * The VFIO user ABI of Linux: request numbers, flags and structures, declared from
 * its documentation and checked below, size and offset, against what programs are
 * compiled with. Every request is _IO(';', 100 + n): its number says nothing of
 * sizes, each structure carries its own in argsz. Numbers of the container's and the
 * device's requests overlap; which one is meant is a matter of the file.
 */
#ifndef MOAT_UAPI_VFIO_H
#define MOAT_UAPI_VFIO_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define VFIO_API_VERSION 0
#define VFIO_REQUEST(n)	 (';' << 8 | (100 + (n)))

/* CHECK_EXTENSION and SET_IOMMU */
#define VFIO_TYPE1_IOMMU	 1
#define VFIO_SPAPR_TCE_IOMMU	 2
#define VFIO_TYPE1v2_IOMMU	 3
#define VFIO_DMA_CC_IOMMU	 4
#define VFIO_EEH		 5
#define VFIO_TYPE1_NESTING_IOMMU 6 /* reserved: was never of use */
#define VFIO_SPAPR_TCE_v2_IOMMU	 7
#define VFIO_NOIOMMU_IOMMU	 8
#define VFIO_UNMAP_ALL		 9
#define VFIO_UPDATE_VADDR	 10

/* An element of a chain; next is the offset from the start of the structure, 0 ends. */
struct vfio_info_cap_header {
	uint16_t id;
	uint16_t version;
	uint32_t next;
};

/* ---- container ------------------------------------------------------------------ */

#define VFIO_GET_API_VERSION VFIO_REQUEST(0)
#define VFIO_CHECK_EXTENSION VFIO_REQUEST(1)
#define VFIO_SET_IOMMU	     VFIO_REQUEST(2)

#define VFIO_IOMMU_GET_INFO VFIO_REQUEST(12)
struct vfio_iommu_type1_info {
	uint32_t argsz;
	uint32_t flags;
	uint64_t iova_pgsizes; /* bitmap of page sizes */
	uint32_t cap_offset;
	uint32_t pad;
};
#define VFIO_IOMMU_INFO_PGSIZES (1U << 0)
#define VFIO_IOMMU_INFO_CAPS	(1U << 1)

#define VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE 1
struct vfio_iova_range {
	uint64_t start;
	uint64_t end; /* inclusive */
};
struct vfio_iommu_type1_info_cap_iova_range {
	struct vfio_info_cap_header header;
	uint32_t nr_iovas;
	uint32_t reserved;
	struct vfio_iova_range iova_ranges[];
};

#define VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION 2
struct vfio_iommu_type1_info_cap_migration {
	struct vfio_info_cap_header header;
	uint32_t flags;
	uint64_t pgsize_bitmap;
	uint64_t max_dirty_bitmap_size; /* bytes */
};

#define VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL 3
struct vfio_iommu_type1_info_dma_avail {
	struct vfio_info_cap_header header;
	uint32_t avail;
};

#define VFIO_IOMMU_MAP_DMA VFIO_REQUEST(13)
struct vfio_iommu_type1_dma_map {
	uint32_t argsz;
	uint32_t flags;
	uint64_t vaddr;
	uint64_t iova;
	uint64_t size; /* bytes */
};
#define VFIO_DMA_MAP_FLAG_READ	(1U << 0) /* the device may read */
#define VFIO_DMA_MAP_FLAG_WRITE (1U << 1)
#define VFIO_DMA_MAP_FLAG_VADDR (1U << 2)

#define VFIO_IOMMU_UNMAP_DMA VFIO_REQUEST(14)
struct vfio_bitmap {
	uint64_t pgsize; /* bytes a bit stands for */
	uint64_t size;	 /* bytes of the bitmap */
	uint64_t data;	 /* its address */
};
struct vfio_iommu_type1_dma_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t iova;
	uint64_t size;
	uint8_t data[]; /* struct vfio_bitmap */
};
#define VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP (1U << 0)
#define VFIO_DMA_UNMAP_FLAG_ALL		     (1U << 1)
#define VFIO_DMA_UNMAP_FLAG_VADDR	     (1U << 2)

#define VFIO_IOMMU_ENABLE  VFIO_REQUEST(15)
#define VFIO_IOMMU_DISABLE VFIO_REQUEST(16)

#define VFIO_IOMMU_DIRTY_PAGES VFIO_REQUEST(17)
struct vfio_iommu_type1_dirty_bitmap {
	uint32_t argsz;
	uint32_t flags;
	uint8_t data[]; /* struct vfio_iommu_type1_dirty_bitmap_get */
};
#define VFIO_IOMMU_DIRTY_PAGES_FLAG_START      (1U << 0)
#define VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP       (1U << 1)
#define VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP (1U << 2)
struct vfio_iommu_type1_dirty_bitmap_get {
	uint64_t iova;
	uint64_t size;
	struct vfio_bitmap bitmap;
};

/* ---- group ---------------------------------------------------------------------- */

#define VFIO_GROUP_GET_STATUS	   VFIO_REQUEST(3)
#define VFIO_GROUP_SET_CONTAINER   VFIO_REQUEST(4)
#define VFIO_GROUP_UNSET_CONTAINER VFIO_REQUEST(5)
#define VFIO_GROUP_GET_DEVICE_FD   VFIO_REQUEST(6)
struct vfio_group_status {
	uint32_t argsz;
	uint32_t flags;
};
#define VFIO_GROUP_FLAGS_VIABLE	       (1U << 0)
#define VFIO_GROUP_FLAGS_CONTAINER_SET (1U << 1)

/* ---- device --------------------------------------------------------------------- */

#define VFIO_DEVICE_GET_INFO VFIO_REQUEST(7)
struct vfio_device_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t num_regions;
	uint32_t num_irqs;
	uint32_t cap_offset;
	uint32_t pad;
};
#define VFIO_DEVICE_FLAGS_RESET	   (1U << 0)
#define VFIO_DEVICE_FLAGS_PCI	   (1U << 1)
#define VFIO_DEVICE_FLAGS_PLATFORM (1U << 2)
#define VFIO_DEVICE_FLAGS_CAPS	   (1U << 7)

#define VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP 5
struct vfio_device_info_cap_pci_atomic_comp {
	struct vfio_info_cap_header header;
	uint32_t flags;
	uint32_t reserved;
};
#define VFIO_PCI_ATOMIC_COMP32	(1U << 0)
#define VFIO_PCI_ATOMIC_COMP64	(1U << 1)
#define VFIO_PCI_ATOMIC_COMP128 (1U << 2)

#define VFIO_DEVICE_GET_REGION_INFO VFIO_REQUEST(8)
struct vfio_region_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t cap_offset;
	uint64_t size;
	uint64_t offset; /* in the device's file */
};
#define VFIO_REGION_INFO_FLAG_READ  (1U << 0)
#define VFIO_REGION_INFO_FLAG_WRITE (1U << 1)
#define VFIO_REGION_INFO_FLAG_MMAP  (1U << 2)
#define VFIO_REGION_INFO_FLAG_CAPS  (1U << 3)

#define VFIO_REGION_INFO_CAP_SPARSE_MMAP   1
#define VFIO_REGION_INFO_CAP_TYPE	   2
#define VFIO_REGION_INFO_CAP_MSIX_MAPPABLE 3
struct vfio_region_sparse_mmap_area {
	uint64_t offset;
	uint64_t size;
};
struct vfio_region_info_cap_sparse_mmap {
	struct vfio_info_cap_header header;
	uint32_t nr_areas;
	uint32_t reserved;
	struct vfio_region_sparse_mmap_area areas[];
};

#define VFIO_DEVICE_GET_IRQ_INFO VFIO_REQUEST(9)
struct vfio_irq_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t count;
};
#define VFIO_IRQ_INFO_EVENTFD	 (1U << 0)
#define VFIO_IRQ_INFO_MASKABLE	 (1U << 1)
#define VFIO_IRQ_INFO_AUTOMASKED (1U << 2)
#define VFIO_IRQ_INFO_NORESIZE	 (1U << 3)

#define VFIO_DEVICE_SET_IRQS VFIO_REQUEST(10)
struct vfio_irq_set {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t start;
	uint32_t count;
	uint8_t data[]; /* a byte or an int32_t for each vector */
};
#define VFIO_IRQ_SET_DATA_NONE	      (1U << 0)
#define VFIO_IRQ_SET_DATA_BOOL	      (1U << 1)
#define VFIO_IRQ_SET_DATA_EVENTFD     (1U << 2)
#define VFIO_IRQ_SET_ACTION_MASK      (1U << 3)
#define VFIO_IRQ_SET_ACTION_UNMASK    (1U << 4)
#define VFIO_IRQ_SET_ACTION_TRIGGER   (1U << 5)
#define VFIO_IRQ_SET_DATA_TYPE_MASK   0x07U
#define VFIO_IRQ_SET_ACTION_TYPE_MASK 0x38U

#define VFIO_DEVICE_RESET VFIO_REQUEST(11)

enum vfio_pci_region {
	VFIO_PCI_BAR0_REGION_INDEX,
	VFIO_PCI_BAR5_REGION_INDEX = 5,
	VFIO_PCI_ROM_REGION_INDEX,
	VFIO_PCI_CONFIG_REGION_INDEX,
	VFIO_PCI_VGA_REGION_INDEX,
	VFIO_PCI_NUM_REGIONS,
};
/* Not ABI in name, but what every kernel does: a region's offset is its index << 40. */
#define VFIO_PCI_OFFSET_SHIFT 40
#define VFIO_PCI_OFFSET_MASK  ((1ULL << VFIO_PCI_OFFSET_SHIFT) - 1)

enum vfio_pci_irq {
	VFIO_PCI_INTX_IRQ_INDEX,
	VFIO_PCI_MSI_IRQ_INDEX,
	VFIO_PCI_MSIX_IRQ_INDEX,
	VFIO_PCI_ERR_IRQ_INDEX,
	VFIO_PCI_REQ_IRQ_INDEX,
	VFIO_PCI_NUM_IRQS,
};

#define VFIO_DEVICE_GET_PCI_HOT_RESET_INFO VFIO_REQUEST(12)
struct vfio_pci_dependent_device {
	union {
		uint32_t group_id;
		uint32_t devid;
	};
	uint16_t segment;
	uint8_t bus;
	uint8_t devfn;
};
#define VFIO_PCI_DEVID_OWNED	 0
#define VFIO_PCI_DEVID_NOT_OWNED (-1)
struct vfio_pci_hot_reset_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t count;
	struct vfio_pci_dependent_device devices[];
};
#define VFIO_PCI_HOT_RESET_FLAG_DEV_ID	     (1U << 0)
#define VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED (1U << 1)

#define VFIO_DEVICE_PCI_HOT_RESET VFIO_REQUEST(13)
struct vfio_pci_hot_reset {
	uint32_t argsz;
	uint32_t flags;
	uint32_t count;
	int32_t group_fds[];
};

#define VFIO_DEVICE_IOEVENTFD VFIO_REQUEST(16)
struct vfio_device_ioeventfd {
	uint32_t argsz;
	uint32_t flags; /* how many bytes are written */
	uint64_t offset;
	uint64_t data;
	int32_t fd; /* -1: remove */
	uint32_t reserved;
};
#define VFIO_DEVICE_IOEVENTFD_SIZE_MASK 0xfU

#define VFIO_DEVICE_FEATURE VFIO_REQUEST(17)
struct vfio_device_feature {
	uint32_t argsz;
	uint32_t flags; /* a feature's number | GET, SET or PROBE */
	uint8_t data[];
};
#define VFIO_DEVICE_FEATURE_MASK  0xffffU
#define VFIO_DEVICE_FEATURE_GET	  (1U << 16)
#define VFIO_DEVICE_FEATURE_SET	  (1U << 17)
#define VFIO_DEVICE_FEATURE_PROBE (1U << 18)

enum vfio_device_feature_id {
	VFIO_DEVICE_FEATURE_PCI_VF_TOKEN,
	VFIO_DEVICE_FEATURE_MIGRATION,
	VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
	VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
	VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
	VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
	VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
	VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
	VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
	VFIO_DEVICE_FEATURE_MIG_DATA_SIZE,
	VFIO_DEVICE_FEATURE_BUS_MASTER,
	VFIO_DEVICE_FEATURE_DMA_BUF,
	VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2,
};

struct vfio_device_low_power_entry_with_wakeup {
	int32_t wakeup_eventfd;
	uint32_t reserved;
};
struct vfio_region_dma_range {
	uint64_t offset;
	uint64_t length;
};
struct vfio_device_feature_dma_buf {
	uint32_t region_index;
	uint32_t open_flags;
	uint32_t flags;
	uint32_t nr_ranges;
	struct vfio_region_dma_range dma_ranges[];
};

/* Only through /dev/vfio/devices/vfioN. */
#define VFIO_DEVICE_BIND_IOMMUFD VFIO_REQUEST(18)
struct vfio_device_bind_iommufd {
	uint32_t argsz;
	uint32_t flags;
	int32_t iommufd;
	uint32_t out_devid;
	uint64_t token_uuid_ptr;
};
#define VFIO_DEVICE_BIND_FLAG_TOKEN (1U << 0)

#define VFIO_DEVICE_ATTACH_IOMMUFD_PT VFIO_REQUEST(19)
struct vfio_device_attach_iommufd_pt {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pt_id;
	uint32_t pasid;
};
#define VFIO_DEVICE_ATTACH_PASID (1U << 0)

#define VFIO_DEVICE_DETACH_IOMMUFD_PT VFIO_REQUEST(20)
struct vfio_device_detach_iommufd_pt {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pasid;
};
#define VFIO_DEVICE_DETACH_PASID (1U << 0)

/* ---- the layout programs are compiled with --------------------------------------- */

#define VFIO_CHECK_SIZE(type, size) \
	static_assert(sizeof(struct type) == (size), "size of struct " #type)
#define VFIO_CHECK_AT(type, member, at) \
	static_assert(offsetof(struct type, member) == (at), #type "." #member)

VFIO_CHECK_SIZE(vfio_info_cap_header, 8);
VFIO_CHECK_AT(vfio_info_cap_header, version, 2);
VFIO_CHECK_AT(vfio_info_cap_header, next, 4);
VFIO_CHECK_SIZE(vfio_iommu_type1_info, 24);
VFIO_CHECK_AT(vfio_iommu_type1_info, flags, 4);
VFIO_CHECK_AT(vfio_iommu_type1_info, iova_pgsizes, 8);
VFIO_CHECK_AT(vfio_iommu_type1_info, cap_offset, 16);
VFIO_CHECK_SIZE(vfio_iova_range, 16);
VFIO_CHECK_AT(vfio_iova_range, end, 8);
VFIO_CHECK_SIZE(vfio_iommu_type1_info_cap_iova_range, 16);
VFIO_CHECK_AT(vfio_iommu_type1_info_cap_iova_range, nr_iovas, 8);
VFIO_CHECK_AT(vfio_iommu_type1_info_cap_iova_range, iova_ranges, 16);
VFIO_CHECK_SIZE(vfio_iommu_type1_info_cap_migration, 32);
VFIO_CHECK_AT(vfio_iommu_type1_info_cap_migration, flags, 8);
VFIO_CHECK_AT(vfio_iommu_type1_info_cap_migration, pgsize_bitmap, 16);
VFIO_CHECK_AT(vfio_iommu_type1_info_cap_migration, max_dirty_bitmap_size, 24);
VFIO_CHECK_SIZE(vfio_iommu_type1_info_dma_avail, 12);
VFIO_CHECK_AT(vfio_iommu_type1_info_dma_avail, avail, 8);
VFIO_CHECK_SIZE(vfio_iommu_type1_dma_map, 32);
VFIO_CHECK_AT(vfio_iommu_type1_dma_map, vaddr, 8);
VFIO_CHECK_AT(vfio_iommu_type1_dma_map, iova, 16);
VFIO_CHECK_AT(vfio_iommu_type1_dma_map, size, 24);
VFIO_CHECK_SIZE(vfio_bitmap, 24);
VFIO_CHECK_AT(vfio_bitmap, size, 8);
VFIO_CHECK_AT(vfio_bitmap, data, 16);
VFIO_CHECK_SIZE(vfio_iommu_type1_dma_unmap, 24);
VFIO_CHECK_AT(vfio_iommu_type1_dma_unmap, iova, 8);
VFIO_CHECK_AT(vfio_iommu_type1_dma_unmap, size, 16);
VFIO_CHECK_AT(vfio_iommu_type1_dma_unmap, data, 24);
VFIO_CHECK_SIZE(vfio_iommu_type1_dirty_bitmap, 8);
VFIO_CHECK_AT(vfio_iommu_type1_dirty_bitmap, data, 8);
VFIO_CHECK_SIZE(vfio_iommu_type1_dirty_bitmap_get, 40);
VFIO_CHECK_AT(vfio_iommu_type1_dirty_bitmap_get, size, 8);
VFIO_CHECK_AT(vfio_iommu_type1_dirty_bitmap_get, bitmap, 16);
VFIO_CHECK_SIZE(vfio_group_status, 8);
VFIO_CHECK_AT(vfio_group_status, flags, 4);
VFIO_CHECK_SIZE(vfio_device_info, 24);
VFIO_CHECK_AT(vfio_device_info, num_regions, 8);
VFIO_CHECK_AT(vfio_device_info, num_irqs, 12);
VFIO_CHECK_AT(vfio_device_info, cap_offset, 16);
VFIO_CHECK_SIZE(vfio_device_info_cap_pci_atomic_comp, 16);
VFIO_CHECK_AT(vfio_device_info_cap_pci_atomic_comp, flags, 8);
VFIO_CHECK_SIZE(vfio_region_info, 32);
VFIO_CHECK_AT(vfio_region_info, index, 8);
VFIO_CHECK_AT(vfio_region_info, cap_offset, 12);
VFIO_CHECK_AT(vfio_region_info, size, 16);
VFIO_CHECK_AT(vfio_region_info, offset, 24);
VFIO_CHECK_SIZE(vfio_region_info_cap_sparse_mmap, 16);
VFIO_CHECK_AT(vfio_region_info_cap_sparse_mmap, areas, 16);
VFIO_CHECK_SIZE(vfio_irq_info, 16);
VFIO_CHECK_AT(vfio_irq_info, index, 8);
VFIO_CHECK_AT(vfio_irq_info, count, 12);
VFIO_CHECK_SIZE(vfio_irq_set, 20);
VFIO_CHECK_AT(vfio_irq_set, index, 8);
VFIO_CHECK_AT(vfio_irq_set, start, 12);
VFIO_CHECK_AT(vfio_irq_set, count, 16);
VFIO_CHECK_AT(vfio_irq_set, data, 20);
VFIO_CHECK_SIZE(vfio_pci_dependent_device, 8);
VFIO_CHECK_AT(vfio_pci_dependent_device, segment, 4);
VFIO_CHECK_AT(vfio_pci_dependent_device, bus, 6);
VFIO_CHECK_AT(vfio_pci_dependent_device, devfn, 7);
VFIO_CHECK_SIZE(vfio_pci_hot_reset_info, 12);
VFIO_CHECK_AT(vfio_pci_hot_reset_info, devices, 12);
VFIO_CHECK_SIZE(vfio_pci_hot_reset, 12);
VFIO_CHECK_AT(vfio_pci_hot_reset, group_fds, 12);
VFIO_CHECK_SIZE(vfio_device_ioeventfd, 32);
VFIO_CHECK_AT(vfio_device_ioeventfd, offset, 8);
VFIO_CHECK_AT(vfio_device_ioeventfd, data, 16);
VFIO_CHECK_AT(vfio_device_ioeventfd, fd, 24);
VFIO_CHECK_SIZE(vfio_device_feature, 8);
VFIO_CHECK_AT(vfio_device_feature, data, 8);
VFIO_CHECK_SIZE(vfio_device_low_power_entry_with_wakeup, 8);
VFIO_CHECK_SIZE(vfio_region_dma_range, 16);
VFIO_CHECK_SIZE(vfio_device_feature_dma_buf, 16);
VFIO_CHECK_AT(vfio_device_feature_dma_buf, nr_ranges, 12);
VFIO_CHECK_AT(vfio_device_feature_dma_buf, dma_ranges, 16);
VFIO_CHECK_SIZE(vfio_device_bind_iommufd, 24);
VFIO_CHECK_AT(vfio_device_bind_iommufd, iommufd, 8);
VFIO_CHECK_AT(vfio_device_bind_iommufd, out_devid, 12);
VFIO_CHECK_AT(vfio_device_bind_iommufd, token_uuid_ptr, 16);
VFIO_CHECK_SIZE(vfio_device_attach_iommufd_pt, 16);
VFIO_CHECK_AT(vfio_device_attach_iommufd_pt, pt_id, 8);
VFIO_CHECK_AT(vfio_device_attach_iommufd_pt, pasid, 12);
VFIO_CHECK_SIZE(vfio_device_detach_iommufd_pt, 12);
VFIO_CHECK_AT(vfio_device_detach_iommufd_pt, pasid, 8);
static_assert(VFIO_PCI_VGA_REGION_INDEX == 8 && VFIO_PCI_NUM_REGIONS == 9, "regions");
static_assert(VFIO_PCI_REQ_IRQ_INDEX == 4 && VFIO_PCI_NUM_IRQS == 5, "interrupts");
static_assert(VFIO_DEVICE_FEATURE_DMA_BUF == 11, "features");
static_assert(VFIO_GET_API_VERSION == 0x3b64 && VFIO_DEVICE_DETACH_IOMMUFD_PT == 0x3b78,
	      "requests");

#endif
