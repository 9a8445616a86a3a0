// SPDX-License-Identifier: MIT
/*
 * Invalidation of what the unit caches: through the queue, each submission followed by
 * a wait descriptor that writes a status word, or through the registers of units that
 * have no queue. VT-d specification 6.5.
 *
 * A submission returns when the unit has completed it, so the queue is empty between
 * submissions. A unit that answers with an error, or not at all, costs a bounded time.
 */
#define LOG_SUBSYSTEM "vtd"
#include <sched.h>

#include "base/bitmap.h"
#include "drivers/vtd/driver.h"

#define QI_STATUS_BUSY 1
#define QI_STATUS_DONE 2

static u32 *status_word(struct vtd_iommu *vtd, u32 index)
{
	return (u32 *)ram_ptr(&vtd->m->hw, vtd->qi_status, PAGE_SIZE) + index;
}

static struct vtd_qi_desc *ring_desc(struct vtd_iommu *vtd, u32 index)
{
	return (struct vtd_qi_desc *)ram_ptr(&vtd->m->hw, vtd->qi_ring, PAGE_SIZE) +
	       index;
}

/* The unit stopped at a descriptor: put a harmless one in its place and go on. */
static int qi_check_fault(struct vtd_iommu *vtd, const struct vtd_qi_desc *wait)
{
	u32 fsts = vtd_rd32(vtd, VTD_FSTS);

	if (fsts & VTD_FSTS_IQE) {
		u32 head =
			(u32)(vtd_rd64(vtd, VTD_IQH) & VTD_IQ_OFF_MASK) / sizeof(*wait);

		pr_err("%s: invalidation queue error %llu at descriptor %u", vtd->name,
		       (unsigned long long)(vtd_rd64(vtd, VTD_IQERCD) &
					    VTD_IQERCD_IQEI_MASK),
		       head);
		if (head < VTD_QI_LENGTH)
			*ring_desc(vtd, head) = *wait;
		vtd_wr32(vtd, VTD_FSTS, VTD_FSTS_IQE);
		return -EINVAL;
	}
	if (fsts & (VTD_FSTS_ITE | VTD_FSTS_ICE)) {
		vtd_wr32(vtd, VTD_FSTS, fsts & (VTD_FSTS_ITE | VTD_FSTS_ICE));
		return -ETIMEDOUT;
	}
	return 0;
}

static int qi_submit(struct vtd_iommu *vtd, u64 lo, u64 hi)
{
	struct vtd_qi_desc wait;
	u32 wait_index;
	int rc = 0;

	guard(mutex)(&vtd->qi_lock);
	wait_index = (vtd->qi_tail + 1) % VTD_QI_LENGTH;
	wait.lo = VTD_QI_WAIT | VTD_QI_WAIT_SW | VTD_QI_WAIT_DATA(QI_STATUS_DONE);
	wait.hi = vtd->qi_status + wait_index * sizeof(u32);
	*ring_desc(vtd, vtd->qi_tail) = (struct vtd_qi_desc){lo, hi};
	*ring_desc(vtd, wait_index) = wait;
	__atomic_store_n(status_word(vtd, wait_index), QI_STATUS_BUSY, __ATOMIC_RELEASE);
	vtd->qi_tail = (wait_index + 1) % VTD_QI_LENGTH;
	vtd_wr64(vtd, VTD_IQT, vtd->qi_tail * sizeof(wait));
	for (unsigned i = 0; i < VTD_POLL_LIMIT; i++) {
		int fault;

		if (__atomic_load_n(status_word(vtd, wait_index), __ATOMIC_ACQUIRE) ==
		    QI_STATUS_DONE)
			return rc;
		fault = qi_check_fault(vtd, &wait);
		rc = rc ? rc : fault;
		if (i > 100)
			sched_yield();
	}
	pr_err("%s: an invalidation does not complete", vtd->name);
	return -ETIMEDOUT;
}

int vtd_qi_enable(struct vtd_iommu *vtd)
{
	int rc;

	if (!(vtd->ecap & VTD_ECAP_QI))
		return -ENOENT;
	rc = ram_alloc_pages(vtd->m, 0, &vtd->qi_ring);
	if (rc)
		return rc;
	rc = ram_alloc_pages(vtd->m, 0, &vtd->qi_status);
	if (rc)
		goto err_ring;
	if (vtd_rd32(vtd, VTD_GSTS) & VTD_GSTS_QIES) {
		rc = vtd_command(vtd, vtd->gcmd & ~VTD_GCMD_QIE, VTD_GSTS_QIES, false);
		if (rc)
			goto err_status;
	}
	vtd->qi_tail = 0;
	vtd_wr64(vtd, VTD_IQT, 0);
	vtd_wr64(vtd, VTD_IQA, vtd->qi_ring); /* QS 0: 256 descriptors of 16 bytes */
	rc = vtd_command(vtd, vtd->gcmd | VTD_GCMD_QIE, VTD_GSTS_QIES, true);
	if (rc)
		goto err_status;
	vtd->qi = true;
	return 0;

err_status:
	ram_free_pages(vtd->m, vtd->qi_status, 0);
err_ring:
	ram_free_pages(vtd->m, vtd->qi_ring, 0);
	return rc;
}

void vtd_qi_disable(struct vtd_iommu *vtd)
{
	if (!vtd->qi)
		return;
	if (vtd_command(vtd, vtd->gcmd & ~VTD_GCMD_QIE, VTD_GSTS_QIES, false))
		pr_warn("%s: queued invalidation stays on", vtd->name);
	vtd->qi = false;
	ram_free_pages(vtd->m, vtd->qi_status, 0);
	ram_free_pages(vtd->m, vtd->qi_ring, 0);
}

/* Write a command register and wait until the unit clears its top bit. */
static int register_submit(struct vtd_iommu *vtd, u64 off, u64 val)
{
	vtd_wr64(vtd, off, val);
	for (unsigned i = 0; i < VTD_POLL_LIMIT; i++) {
		if (!(vtd_rd64(vtd, off) & BIT_ULL(63)))
			return 0;
	}
	return -ETIMEDOUT;
}

int vtd_flush_context(struct vtd_iommu *vtd, u16 did, u16 sid, unsigned granularity)
{
	if (vtd->qi)
		return qi_submit(vtd,
				 VTD_QI_CONTEXT | VTD_QI_GRAN(granularity) |
					 VTD_QI_DID(did) | VTD_QI_CC_SID(sid),
				 0);
	return register_submit(vtd, VTD_CCMD,
			       VTD_CCMD_ICC | (u64)granularity << VTD_CCMD_CIRG_SHIFT |
				       (u64)sid << VTD_CCMD_SID_SHIFT | did);
}

int vtd_flush_iotlb(struct vtd_iommu *vtd, u16 did, iova_t addr, unsigned am, bool ih,
		    unsigned granularity)
{
	bool drain_write = vtd->cap & VTD_CAP_DWD, drain_read = vtd->cap & VTD_CAP_DRD;
	u64 hi = 0, base;

	if (granularity == VTD_GRAN_PAGE &&
	    (!(vtd->cap & VTD_CAP_PSI) || am > VTD_CAP_GET_MAMV(vtd->cap)))
		granularity = VTD_GRAN_DOMAIN;
	if (granularity == VTD_GRAN_PAGE)
		hi = (addr & VTD_QI_IOTLB_ADDR) | (ih ? VTD_QI_IOTLB_IH : 0) | am;
	if (vtd->qi)
		return qi_submit(vtd,
				 VTD_QI_IOTLB | VTD_QI_GRAN(granularity) |
					 VTD_QI_DID(did) |
					 (drain_write ? VTD_QI_IOTLB_DW : 0) |
					 (drain_read ? VTD_QI_IOTLB_DR : 0),
				 hi);
	base = VTD_ECAP_GET_IRO(vtd->ecap);
	if (granularity == VTD_GRAN_PAGE)
		vtd_wr64(vtd, base + VTD_IVA_OFF, hi);
	return register_submit(vtd, base + VTD_IOTLB_OFF,
			       VTD_IOTLB_IVT | (u64)granularity << VTD_IOTLB_IIRG_SHIFT |
				       (u64)did << VTD_IOTLB_DID_SHIFT |
				       (drain_write ? VTD_IOTLB_DW : 0) |
				       (drain_read ? VTD_IOTLB_DR : 0));
}

int vtd_flush_iec(struct vtd_iommu *vtd, int index)
{
	if (index < 0)
		return qi_submit(vtd, VTD_QI_IEC, 0);
	return qi_submit(vtd, VTD_QI_IEC | VTD_QI_IEC_G | VTD_QI_IEC_IIDX(index), 0);
}

void vtd_flush_write_buffer(struct vtd_iommu *vtd)
{
	if (vtd->cap & VTD_CAP_RWBF)
		vtd_command(vtd, vtd->gcmd | VTD_GCMD_WBF, VTD_GSTS_WBFS, false);
}
