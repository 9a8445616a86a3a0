/* SPDX-License-Identifier: MIT */
/*
 * The mock IOMMU and the devices behind it: no hardware and no DMA, only what iommufd has
 * done to it, for tests to look at. A device belongs to the context that made it.
 */
#ifndef MOAT_IOMMUFD_SELFTEST_MOCK_H
#define MOAT_IOMMUFD_SELFTEST_MOCK_H

#include "iommufd/iommufd.h"
#include "iommufd/viommu.h"
#include "iommufd/selftest/abi.h"

/* What a machine has of it; m->iommufd->test. */
struct mock_iommu {
	struct iommufd_test test;
	struct iommu_device iommu;
	struct xarray dev_ids; /* struct mock_dev */
};

static inline struct mock_iommu *machine_mock_iommu(struct machine *m)
{
	return container_of(m->iommufd->test, struct mock_iommu, test);
}

struct mock_dev {
	struct device dev;
	u32 id;
	u32 flags; /* MOCK_FLAGS_DEVICE_* */
	u32 cache[MOCK_DEV_CACHE_NUM];
	struct iommufd_viommu *viommu; /* of the nested domain it is attached to */
	u64 vdev_id;
	bool pasid_fails; /* the next attach of MOCK_PASID_FAILS_TWICE */
};

static inline struct mock_dev *to_mock_dev(struct device *dev)
{
	return container_of(dev, struct mock_dev, dev);
}

struct mock_domain {
	struct iommu_domain domain;
	struct xarray pages; /* by iova / MOCK_PAGE_SIZE; see mock.c */
	bool track_dirty;
};

struct mock_nested {
	struct iommu_domain domain;
	struct iommufd_viommu *viommu; /* NULL: stands on its parent alone */
	u32 iotlb[MOCK_NESTED_DOMAIN_IOTLB_NUM];
};

extern const struct iommu_ops mock_iommu_ops;
extern const struct iommufd_viommu_ops mock_viommu_ops;

/* -EINVAL: unknown flags. */
struct mock_dev *mock_dev_create(struct machine *m, u32 flags);
void mock_dev_destroy(struct mock_dev *mdev);
/* As if the hardware had written there; nothing where nothing is mapped. */
void mock_domain_set_dirty(struct mock_domain *mock, iova_t iova);

/* NULL: not of the mock IOMMU. */
struct mock_domain *to_mock_domain(struct iommu_domain *domain);
struct mock_nested *to_mock_nested(struct iommu_domain *domain);

/* selftest_access.c */
int selftest_create_access(struct iommufd_ucmd *ucmd);
int selftest_access_replace_ioas(struct iommufd_ucmd *ucmd);
int selftest_access_pages(struct iommufd_ucmd *ucmd);
int selftest_destroy_access_pages(struct iommufd_ucmd *ucmd);
int selftest_access_rw(struct iommufd_ucmd *ucmd);

/* The byte at @phys is the caller's at @uptr: 0, -EFAULT: no memory, @differs. */
int selftest_check_phys(struct call *call, phys_addr_t phys, u64 uptr, int differs);

#endif
