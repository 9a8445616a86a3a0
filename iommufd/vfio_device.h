/* SPDX-License-Identifier: MIT */
/*
 * Joins iommufd and VFIO in a machine.
 */
#ifndef MOAT_IOMMUFD_VFIO_DEVICE_H
#define MOAT_IOMMUFD_VFIO_DEVICE_H

struct machine;

/*
 * VFIO devices get character devices and may be bound to an iommufd from now on. After
 * vfio_core_create() and iommufd_core_create(), before the first device is registered.
 */
void iommufd_vfio_init(struct machine *m);

#endif
