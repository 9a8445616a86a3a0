// SPDX-License-Identifier: MIT
/*
 * IOMMU_GET_HW_INFO: what the hardware in front of a device is, in its own registers, and
 * in terms that hold for all. The caller's buffer is filled as far as it goes and zeroed
 * beyond the data. Source: drivers/iommu/iommufd/device.c, iommufd_get_hw_info().
 */
#include "base/alloc.h"
#include "base/bitmap.h"
#include "iommufd/iommufd.h"

static int clear_user(struct call *call, u64 to, u64 len)
{
	static const u8 zeroes[4096];

	for (u64 at = 0; at < len; at += sizeof(zeroes)) {
		int rc = copy_to_user(call, to + at, zeroes,
				      min_t(u64, sizeof(zeroes), len - at));

		if (rc)
			return rc;
	}
	return 0;
}

int iommufd_get_hw_info(struct iommufd_ucmd *ucmd)
{
	struct iommu_hw_info *cmd = ucmd->cmd;
	const struct iommu_ops *ops;
	struct iommufd_device *idev;
	u32 data_len = 0, copy_len;
	void *data = NULL;
	u32 type;
	int rc;

	if (cmd->flags & ~IOMMU_HW_INFO_FLAG_INPUT_TYPE)
		return -EOPNOTSUPP;
	if (cmd->__reserved[0] || cmd->__reserved[1] || cmd->__reserved[2])
		return -EOPNOTSUPP;
	if (!(cmd->flags & IOMMU_HW_INFO_FLAG_INPUT_TYPE))
		cmd->in_data_type = IOMMU_HW_INFO_TYPE_DEFAULT;
	idev = iommufd_get_device(ucmd, cmd->dev_id);
	if (IS_ERR(idev))
		return (int)PTR_ERR(idev);
	ops = dev_iommu_ops(idev->dev);
	type = cmd->in_data_type;
	if (ops->hw_info) {
		data = ops->hw_info(idev->dev, &data_len, &type);
		if (IS_ERR(data))
			return (int)PTR_ERR(data);
	} else {
		type = IOMMU_HW_INFO_TYPE_NONE;
	}
	cmd->out_data_type = type;
	copy_len = min(cmd->data_len, data_len);
	/* A buffer that is too large to be there is a fault, not a reason to fill memory.
	 */
	rc = cmd->data_len > copy_len
		     ? user_writable(ucmd->call, cmd->data_uptr, cmd->data_len)
		     : 0;
	if (!rc && copy_len)
		rc = copy_to_user(ucmd->call, cmd->data_uptr, data, copy_len);
	if (!rc)
		rc = clear_user(ucmd->call, cmd->data_uptr + copy_len,
				cmd->data_len - copy_len);
	kfree(data);
	if (rc)
		return rc;
	cmd->data_len = data_len;
	cmd->out_capabilities = 0;
	if (device_iommu_capable(idev->dev, IOMMU_CAP_DIRTY_TRACKING))
		cmd->out_capabilities |= IOMMU_HW_CAP_DIRTY_TRACKING;
	if (!device_iommu_capable(idev->dev, IOMMU_CAP_PCI_ATS_SUPPORTED))
		cmd->out_capabilities |= IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED;
	cmd->out_max_pasid_log2 = idev->dev->iommu->max_pasids
					  ? (u8)ilog2(idev->dev->iommu->max_pasids)
					  : 0;
	return iommufd_ucmd_respond(ucmd, sizeof(*cmd));
}
