// SPDX-License-Identifier: MIT
/*
 * GET_DEVICE_FD's string, "ADDRESS [vf_token=UUID]", and the token: while a physical
 * function is bound to vfio-pci, its virtual functions are opened only by who knows
 * the UUID that its user set, and it itself only so while they are in use.
 */
#define LOG_SUBSYSTEM "vfio"
#include <string.h>

#include "base/log.h"
#include "vfio/pci_priv.h"

#define VF_TOKEN_ARG	"vf_token="
#define UUID_STRING_LEN 36

static void vf_notify(struct device_notifier *nb, enum device_event event,
		      struct device *dev)
{
	struct vfio_pci_core_device *vdev =
		container_of(nb, struct vfio_pci_core_device, nb);
	struct pci_dev *pdev;

	if (event != DEVICE_ADDED || !dev_is_pci(dev))
		return;
	pdev = to_pci_dev(dev);
	if (!pdev->is_virtfn || pdev->physfn != vdev->pdev)
		return;
	/* Virtual functions go where their physical one is, unless somebody says
	 * otherwise. */
	pr_info("%s: Captured SR-IOV VF %s driver_override", pci_name(vdev->pdev),
		pci_name(pdev));
	if (!dev->driver_override)
		dev->driver_override = kstrdup(vdev->vdev.ops->name);
}

int vfio_pci_vf_init(struct vfio_pci_core_device *vdev)
{
	struct vfio_core *core = vdev->vdev.core;
	struct vfio_pci_core_device *cur;

	if (vdev->pdev->is_virtfn) {
		list_for_each_entry(cur, &core->sriov_pfs, sriov_pfs_item) {
			if (cur->pdev == pci_physfn(vdev->pdev))
				vdev->sriov_pf_core_dev = cur;
		}
		return 0;
	}
	if (!vdev->pdev->is_physfn)
		return 0;
	vdev->vf_token = kzalloc(sizeof(*vdev->vf_token));
	if (!vdev->vf_token)
		return -ENOMEM;
	/* Linux draws a random one; nobody is meant to know it before it is set. */
	memcpy(vdev->vf_token->uuid, "moat vf token \x7f\x01", 16);
	vdev->nb.notify = vf_notify;
	device_register_notifier(core->machine, &vdev->nb);
	list_add_tail(&vdev->sriov_pfs_item, &core->sriov_pfs);
	return 0;
}

void vfio_pci_vf_uninit(struct vfio_pci_core_device *vdev)
{
	if (!vdev->vf_token)
		return;
	list_del(&vdev->sriov_pfs_item);
	device_unregister_notifier(vdev->vdev.core->machine, &vdev->nb);
	WARN_ON(vdev->vf_token->users);
	kfree(vdev->vf_token);
	vdev->vf_token = NULL;
}

int vfio_pci_match_token_uuid(struct vfio_device *core_vdev, const u8 *uuid)
{
	struct vfio_pci_core_device *vdev = to_vfio_pci(core_vdev);
	struct vfio_pci_vf_token *token;

	if (vdev->pdev->is_virtfn) {
		if (!vdev->sriov_pf_core_dev)
			return uuid ? -EINVAL : 0;
		token = vdev->sriov_pf_core_dev->vf_token;
		return uuid && !memcmp(uuid, token->uuid, 16) ? 0 : -EACCES;
	}
	token = vdev->vf_token;
	if (!token)
		return uuid ? -EINVAL : 0;
	if (token->users)
		return uuid && !memcmp(uuid, token->uuid, 16) ? 0 : -EACCES;
	if (uuid)
		memcpy(token->uuid, uuid, 16);
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" at the start of @s: 0, -EINVAL. */
static int parse_uuid(const char *s, u8 *uuid)
{
	static const u8 at[16] = {0,  2,  4,  6,  9,  11, 14, 16,
				  19, 21, 24, 26, 28, 30, 32, 34};

	if (s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-')
		return -EINVAL;
	for (unsigned i = 0; i < 16; i++) {
		int high = hex_digit(s[at[i]]), low = hex_digit(s[at[i] + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		uuid[i] = (u8)(high << 4 | low);
	}
	return 0;
}

int vfio_pci_match(struct vfio_device *core_vdev, const char *buf)
{
	const char *name = dev_name(core_vdev->dev);
	size_t len = strlen(name);
	bool given = false;
	u8 uuid[16];
	int ret;

	if (strncmp(name, buf, len))
		return 0;
	buf += len;
	if (*buf && *buf != ' ')
		return 0;
	while (*buf) {
		if (*buf == ' ') {
			buf++;
			continue;
		}
		if (given || strncmp(buf, VF_TOKEN_ARG, strlen(VF_TOKEN_ARG)))
			return -EINVAL;
		buf += strlen(VF_TOKEN_ARG);
		if (strlen(buf) < UUID_STRING_LEN)
			return -EINVAL;
		ret = parse_uuid(buf, uuid);
		if (ret)
			return ret;
		given = true;
		buf += UUID_STRING_LEN;
	}
	ret = core_vdev->ops->match_token_uuid(core_vdev, given ? uuid : NULL);
	return ret ? ret : 1;
}

long vfio_pci_feature_token(struct vfio_pci_core_device *vdev, struct call *call,
			    u32 flags, u64 arg, size_t argsz)
{
	u8 uuid[16];
	int ret;

	if (!vdev->vf_token)
		return -ENOTTY;
	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET, sizeof(uuid));
	if (ret != 1)
		return ret;
	ret = copy_from_user(call, uuid, arg, sizeof(uuid));
	if (ret)
		return ret;
	memcpy(vdev->vf_token->uuid, uuid, sizeof(uuid));
	return 0;
}
