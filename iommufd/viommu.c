// SPDX-License-Identifier: MIT
/*
 * vIOMMUs and what hangs off them. They need an IOMMU driver that can hand out slices of
 * its hardware; none of the machine's drivers does, so the checks run in Linux's order
 * and end where Linux's do for such hardware. Source: drivers/iommu/iommufd/viommu.c,
 * eventq.c.
 */
#include "base/overflow.h"
#include "iommufd/iommufd.h"

int iommufd_viommu_alloc(struct iommufd_ucmd *ucmd)
{
	struct iommu_viommu_alloc *cmd = ucmd->cmd;
	struct iommufd_device *idev;

	if (cmd->flags || cmd->type == 0)
		return -EOPNOTSUPP;
	idev = iommufd_get_device(ucmd, cmd->dev_id);
	if (IS_ERR(idev))
		return (int)PTR_ERR(idev);
	return -EOPNOTSUPP;
}

/* The ids below name vIOMMUs, of which there are none. */
int iommufd_vdevice_alloc(struct iommufd_ucmd *ucmd)
{
	return -ENOENT;
}

int iommufd_veventq_alloc(struct iommufd_ucmd *ucmd)
{
	struct iommu_veventq_alloc *cmd = ucmd->cmd;

	if (cmd->flags || cmd->__reserved || cmd->type == 0)
		return -EOPNOTSUPP;
	if (!cmd->veventq_depth)
		return -EINVAL;
	return -ENOENT;
}

int iommufd_hw_queue_alloc(struct iommufd_ucmd *ucmd)
{
	struct iommu_hw_queue_alloc *cmd = ucmd->cmd;
	u64 last;

	if (cmd->flags || cmd->type == 0)
		return -EOPNOTSUPP;
	if (!cmd->length)
		return -EINVAL;
	if (check_add_overflow(cmd->nesting_parent_iova, cmd->length - 1, &last))
		return -EOVERFLOW;
	return -ENOENT;
}
