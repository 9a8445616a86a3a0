/* SPDX-License-Identifier: MIT */
/*
 * The ioctl by which the kernel's test programs drive its mock IOMMU: layout and numbers
 * of drivers/iommu/iommufd/iommufd_test.h. A test interface of one kernel version, not
 * a stable one.
 */
#ifndef MOAT_IOMMUFD_SELFTEST_ABI_H
#define MOAT_IOMMUFD_SELFTEST_ABI_H

#include "base/types.h"
#include "moat/uapi/iommufd.h"

#define IOMMU_TEST_CMD _IO(IOMMUFD_TYPE, IOMMUFD_CMD_BASE + 32)

enum iommu_test_op {
	IOMMU_TEST_OP_ADD_RESERVED = 1,
	IOMMU_TEST_OP_MOCK_DOMAIN = 2,
	IOMMU_TEST_OP_MD_CHECK_MAP = 3,
	IOMMU_TEST_OP_MD_CHECK_REFS = 4,
	IOMMU_TEST_OP_CREATE_ACCESS = 5,
	IOMMU_TEST_OP_DESTROY_ACCESS_PAGES = 6,
	IOMMU_TEST_OP_ACCESS_PAGES = 7,
	IOMMU_TEST_OP_ACCESS_RW = 8,
	IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT = 9,
	IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE = 10,
	IOMMU_TEST_OP_ACCESS_REPLACE_IOAS = 11,
	IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS = 12,
	IOMMU_TEST_OP_DIRTY = 13,
	IOMMU_TEST_OP_MD_CHECK_IOTLB = 14,
	IOMMU_TEST_OP_TRIGGER_IOPF = 15,
	IOMMU_TEST_OP_DEV_CHECK_CACHE = 16,
	IOMMU_TEST_OP_TRIGGER_VEVENT = 17,
	IOMMU_TEST_OP_PASID_ATTACH = 18,
	IOMMU_TEST_OP_PASID_REPLACE = 19,
	IOMMU_TEST_OP_PASID_DETACH = 20,
	IOMMU_TEST_OP_PASID_CHECK_HWPT = 21,
	IOMMU_TEST_OP_DMABUF_GET = 22,
	IOMMU_TEST_OP_DMABUF_REVOKE = 23,
};

#define MOCK_APERTURE_START 0x1000000ULL
#define MOCK_APERTURE_LAST  0x7fffffffULL
#define MOCK_PAGE_SIZE	    2048
#define MOCK_HUGE_PAGE_SIZE (512 * MOCK_PAGE_SIZE)
#define MOCK_PASID_WIDTH    20

/* access_pages.flags, access_rw.flags */
#define MOCK_FLAGS_ACCESS_WRITE	 BIT(0)
#define MOCK_ACCESS_RW_SLOW_PATH BIT(2)
#define MOCK_FLAGS_ACCESS_SYZ	 BIT(16) /* iova: number of an area, offset in it */
/* create_access.flags */
#define MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES BIT(0)
/* mock_domain.dev_flags */
#define MOCK_FLAGS_DEVICE_NO_DIRTY BIT(0)
#define MOCK_FLAGS_DEVICE_PASID	   BIT(2)

#define MOCK_NESTED_DOMAIN_IOTLB_NUM 4
#define MOCK_DEV_CACHE_NUM	     4
#define MOCK_PASID_FAILS_TWICE	     1024 /* every second attach of it fails */

struct iommu_test_cmd {
	__u32 size;
	__u32 op;
	__u32 id; /* for operations on accesses: their descriptor */
	__u32 __reserved;
	union {
		struct {
			__aligned_u64 start, length;
		} add_reserved;
		struct {
			__u32 out_stdev_id, out_hwpt_id, out_idev_id;
			__u32 dev_flags; /* MOCK_DOMAIN_FLAGS only */
		} mock_domain;
		struct {
			__u32 pt_id;
		} mock_domain_replace;
		struct {
			__aligned_u64 iova, length, uptr;
		} check_map;
		struct {
			__aligned_u64 length, uptr;
			__u32 refs;
		} check_refs;
		struct {
			__u32 out_access_fd;
			__u32 flags;
		} create_access;
		struct {
			__u32 access_pages_id;
		} destroy_access_pages;
		struct {
			__u32 flags;
			__u32 out_access_pages_id;
			__aligned_u64 iova, length, uptr;
		} access_pages;
		struct {
			__aligned_u64 iova, length, uptr;
			__u32 flags;
		} access_rw;
		struct {
			__u32 limit;
		} memory_limit;
		struct {
			__u32 ioas_id;
		} access_replace_ioas;
		struct {
			__u32 flags;
			__aligned_u64 iova, length, page_size, uptr, out_nr_dirty;
		} dirty;
		struct {
			__u32 id, iotlb;
		} check_iotlb;
		struct {
			__u32 dev_id, pasid, grpid, perm;
			__u64 addr;
		} trigger_iopf;
		struct {
			__u32 id, cache;
		} check_dev_cache;
		struct {
			__u32 dev_id;
		} trigger_vevent;
		struct {
			__u32 pasid, pt_id;
		} pasid_attach; /* PASID_REPLACE and PASID_DETACH too */
		struct {
			__u32 pasid, hwpt_id;
		} pasid_check;
		struct {
			__u32 length, open_flags;
		} dmabuf_get;
		struct {
			__s32 dmabuf_fd;
			__u32 revoked;
		} dmabuf_revoke;
	};
	__u32 last;
};
static_assert(sizeof(struct iommu_test_cmd) == 72, "ABI");
static_assert(offsetof(struct iommu_test_cmd, last) == 64, "ABI");

#define IOMMU_HW_INFO_TYPE_SELFTEST   0xfeedbeef
#define IOMMU_HW_INFO_SELFTEST_REGVAL 0xdeadbeef
struct iommu_test_hw_info {
	__u32 flags;
	__u32 test_reg;
};

#define IOMMU_HWPT_DATA_SELFTEST     0xdead
#define IOMMU_TEST_DEV_CACHE_DEFAULT 0xbaddad
enum mock_pagetable_type { MOCK_IOMMUPT_DEFAULT, MOCK_IOMMUPT_HUGE };
struct iommu_hwpt_selftest {
	__u32 iotlb; /* what every entry of the mock IOTLB holds at first */
	__u32 pagetable_type;
};

#define IOMMU_VIOMMU_TYPE_SELFTEST	      0xdeadbeef
#define IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST 0xdeadbeef
#define IOMMU_VEVENTQ_TYPE_SELFTEST	      0xbeefbeef
#define IOMMU_HW_QUEUE_TYPE_SELFTEST	      0xdeadbeef
#define IOMMU_TEST_HW_QUEUE_MAX		      2
struct iommu_viommu_invalidate_selftest {
	__u32 flags; /* IOMMU_TEST_INVALIDATE_FLAG_ALL */
	__u32 vdev_id;
	__u32 cache_id;
};
struct iommu_viommu_event_selftest {
	__u32 virt_id;
};

#define IOMMU_HWPT_INVALIDATE_DATA_SELFTEST 0xdeadbeef
#define IOMMU_TEST_INVALIDATE_FLAG_ALL	    BIT(0) /* iotlb_id is ignored */
struct iommu_hwpt_invalidate_selftest {
	__u32 flags;
	__u32 iotlb_id;
};

#endif
