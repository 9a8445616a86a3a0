/* SPDX-License-Identifier: MIT */
/*
 * The kernel's test interface of iommufd (IOMMU_TEST_CMD), for machines that want it.
 */
#ifndef MOAT_IOMMUFD_SELFTEST_SELFTEST_H
#define MOAT_IOMMUFD_SELFTEST_SELFTEST_H

struct machine;

/**
 * iommufd_selftest_enable - /dev/iommu of @m answers IOMMU_TEST_CMD from now on.
 *
 * After iommufd_core_create(), once; iommufd_core_destroy() takes it away. Registers a
 * bus and an IOMMU of its own.
 *
 * Return: 0, -EEXIST: it does already, -ENOMEM.
 */
int __attribute__((warn_unused_result)) iommufd_selftest_enable(struct machine *m);

#endif
