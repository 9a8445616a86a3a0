// SPDX-License-Identifier: MIT
/*
 * The event log: read what the unit wrote, log it in the kernel's words, and tell the
 * handler of the domain that the device is attached to. Specification 2.5.
 */
#define LOG_SUBSYSTEM "amd"
#include <string.h>

#include "drivers/amd/driver.h"
#include "pci/pci.h"

/* Return: 0, -ENOMEM. */
int amd_events_enable(struct amd_iommu *amd)
{
	int rc = ram_alloc_pages(amd->m, AMD_RING_ORDER, &amd->evt_ring);

	if (rc)
		return rc;
	amd_control(amd, 0, AMD_CTRL_EVT_LOG_EN | AMD_CTRL_EVT_INT_EN);
	amd_wr(amd, AMD_EVTLOG_BASE, amd->evt_ring | AMD_RING_LEN(AMD_RING_LG2));
	amd_wr(amd, AMD_STATUS, AMD_STATUS_EVT_INT | AMD_STATUS_EVT_OVERFLOW);
	amd_control(amd, AMD_CTRL_EVT_LOG_EN | AMD_CTRL_EVT_INT_EN, 0);
	return 0;
}

static void page_fault(struct amd_iommu *amd, u16 devid, u16 domain_id, u64 address,
		       unsigned flags)
{
	struct iommu_domain *domain = NULL;
	struct iommu_group *group;
	struct amd_device *info;
	struct device *dev = NULL;
	int rc = -ENOSYS;

	mutex_lock(&amd->lock);
	list_for_each_entry(info, &amd->devices, node) {
		if (info->devid == devid) {
			dev = get_device(info->dev);
			break;
		}
	}
	mutex_unlock(&amd->lock);
	if (dev && !(flags & AMD_EVF_I)) {
		group = iommu_group_get(dev);
		if (group)
			domain = iommu_get_domain_for_dev(dev);
		if (domain && domain->cookie_type == IOMMU_COOKIE_FAULT_HANDLER)
			rc = report_iommu_fault(domain, dev, address,
						flags & AMD_EVF_RW ? IOMMU_FAULT_WRITE
								   : IOMMU_FAULT_READ);
		iommu_group_put(group);
	}
	if (dev)
		put_device(dev);
	if (rc)
		pr_warn("AMD-Vi: Event logged [IO_PAGE_FAULT device=%02x:%02x.%x "
			"domain=0x%04x "
			"address=0x%llx flags=0x%04x]",
			devid >> 8, PCI_SLOT(devid & 0xff), PCI_FUNC(devid & 0xff),
			domain_id, (unsigned long long)address, flags);
}

static void handle_one(struct amd_iommu *amd, const u32 *event)
{
	static const char *const names[16] = {
		[AMD_EVENT_ILLEGAL_DTE] = "ILLEGAL_DEV_TABLE_ENTRY",
		[AMD_EVENT_DEVTAB_ERROR] = "DEV_TAB_HARDWARE_ERROR",
		[AMD_EVENT_PAGETAB_ERROR] = "PAGE_TAB_HARDWARE_ERROR",
		[AMD_EVENT_ILLEGAL_CMD] = "ILLEGAL_COMMAND_ERROR",
		[AMD_EVENT_CMD_ERROR] = "COMMAND_HARDWARE_ERROR",
		[AMD_EVENT_IOTLB_TIMEOUT] = "IOTLB_INV_TIMEOUT",
		[AMD_EVENT_INVALID_REQ] = "INVALID_DEVICE_REQUEST",
	};
	unsigned code = event[1] >> 28, flags = event[1] >> 16 & 0xfff;
	u64 address = (u64)event[3] << 32 | event[2];
	u16 devid = (u16)event[0];

	if (code == AMD_EVENT_IO_PAGE_FAULT) {
		page_fault(amd, devid, (u16)event[1], address, flags);
		return;
	}
	if (!names[code]) {
		pr_warn("AMD-Vi: Event logged [UNKNOWN event[0]=0x%08x event[1]=0x%08x "
			"event[2]=0x%08x event[3]=0x%08x]",
			event[0], event[1], event[2], event[3]);
		return;
	}
	pr_warn("AMD-Vi: Event logged [%s device=%02x:%02x.%x address=0x%llx "
		"flags=0x%04x]",
		names[code], devid >> 8, PCI_SLOT(devid & 0xff), PCI_FUNC(devid & 0xff),
		(unsigned long long)address, flags);
}

void amd_events_handle(struct amd_iommu *amd)
{
	u64 status = amd_rd(amd, AMD_STATUS), head, tail;
	u32 *ring = ram_ptr(&amd->m->hw, amd->evt_ring, AMD_RING_BYTES);

	if (!amd->evt_ring || !ring)
		return;
	guard(mutex)(&amd->evt_lock);
	/* New events may arrive meanwhile; they raise another. */
	amd_wr(amd, AMD_STATUS, status & (AMD_STATUS_EVT_INT | AMD_STATUS_EVT_OVERFLOW));
	head = amd_rd(amd, AMD_EVTLOG_HEAD) % AMD_RING_BYTES & AMD_RING_PTR;
	tail = amd_rd(amd, AMD_EVTLOG_TAIL) % AMD_RING_BYTES & AMD_RING_PTR;
	while (head != tail) {
		u32 event[4];

		memcpy(event, ring + head / 4, sizeof(event));
		memset(ring + head / 4, 0, sizeof(event));
		handle_one(amd, event);
		head = (head + sizeof(event)) % AMD_RING_BYTES;
		amd_wr(amd, AMD_EVTLOG_HEAD, head);
	}
	if (status & AMD_STATUS_EVT_OVERFLOW) {
		pr_warn("%s: event log has overflowed, restarting it", amd->name);
		amd_control(amd, 0, AMD_CTRL_EVT_LOG_EN);
		amd_control(amd, AMD_CTRL_EVT_LOG_EN, 0);
	}
}
