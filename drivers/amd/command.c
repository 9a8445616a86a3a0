// SPDX-License-Identifier: MIT
/*
 * The command buffer: commands go in together with a COMPLETION_WAIT that stores a
 * sequence number. A submission returns when the unit has completed it, so the buffer is
 * empty between submissions. Specification 2.4; what a wait's failure means as in
 * Linux's drivers/iommu/amd/iommu.c.
 *
 * A unit that stops at a command (a program may have overwritten the buffer) is started
 * again behind it, and what is invalidated then is everything.
 */
#define LOG_SUBSYSTEM "amd"
#include <sched.h>
#include <string.h>

#include "base/bitmap.h"
#include "drivers/amd/driver.h"

static struct amd_command invalidate_devtab(u16 devid)
{
	return (struct amd_command){{devid, AMD_CMD(AMD_CMD_INVALIDATE_DEVTAB), 0, 0}};
}

static struct amd_command invalidate_pages(u16 domain, u64 address)
{
	/* Tables, and not only their last entries. */
	return (struct amd_command){{0, AMD_CMD(AMD_CMD_INVALIDATE_PAGES) | domain,
				     (u32)address | AMD_INV_PDE, (u32)(address >> 32)}};
}

static struct amd_command invalidate_interrupt(u16 devid)
{
	return (struct amd_command){{devid, AMD_CMD(AMD_CMD_INVALIDATE_INTERRUPT), 0, 0}};
}

static void put(struct amd_iommu *amd, const struct amd_command *command)
{
	u8 *ring = ram_ptr(&amd->m->hw, amd->cmd_ring, AMD_RING_BYTES);

	memcpy(ring + amd->cmd_tail, command, sizeof(*command));
	amd->cmd_tail = (amd->cmd_tail + sizeof(*command)) % AMD_RING_BYTES;
}

/* Empty the buffer and let the unit begin anew. */
static void restart(struct amd_iommu *amd)
{
	amd_control(amd, 0, AMD_CTRL_CMDBUF_EN);
	amd_wr(amd, AMD_CMDBUF_BASE, amd->cmd_ring | AMD_RING_LEN(AMD_RING_LG2));
	amd->cmd_tail = 0;
	amd_control(amd, AMD_CTRL_CMDBUF_EN, 0);
}

static int submit_locked(struct amd_iommu *amd, const struct amd_command *commands,
			 unsigned nr)
{
	u64 *sem = ram_ptr(&amd->m->hw, amd->sem, PAGE_SIZE);
	u64 sequence = ++amd->sequence;
	const struct amd_command wait = {
		{(u32)amd->sem | AMD_WAIT_STORE,
		 AMD_CMD(AMD_CMD_COMPLETION_WAIT) | (u32)(amd->sem >> 32), (u32)sequence,
		 (u32)(sequence >> 32)}};

	lockdep_assert_held(&amd->cmd_lock);
	for (unsigned i = 0; i < nr; i++)
		put(amd, &commands[i]);
	put(amd, &wait);
	amd_wr(amd, AMD_CMDBUF_TAIL, amd->cmd_tail);
	for (unsigned i = 0; i < AMD_POLL_LIMIT; i++) {
		if (__atomic_load_n(sem, __ATOMIC_ACQUIRE) == sequence)
			return 0;
		if (!(amd_rd(amd, AMD_STATUS) & AMD_STATUS_CMD_RUN))
			break;
		if (i > 100)
			sched_yield();
	}
	return -EIO;
}

int amd_submit(struct amd_iommu *amd, const struct amd_command *commands, unsigned nr)
{
	static const struct amd_command all = {
		{0, AMD_CMD(AMD_CMD_INVALIDATE_ALL), 0, 0}};
	int rc;

	if (WARN_ON(nr > AMD_MAX_BATCH))
		return -EINVAL;
	guard(mutex)(&amd->cmd_lock);
	rc = submit_locked(amd, commands, nr);
	if (!rc)
		return 0;
	pr_err("%s: Completion-Wait loop timed out", amd->name);
	restart(amd);
	if (amd->efr & AMD_EFR_IA)
		commands = &all, nr = 1;
	return submit_locked(amd, commands, nr);
}

int amd_flush_dte(struct amd_iommu *amd, u16 devid)
{
	const struct amd_command command = invalidate_devtab(devid);

	return amd_submit(amd, &command, 1);
}

int amd_flush_pages(struct amd_iommu *amd, u16 domain, iova_t start, iova_t last)
{
	struct amd_command command;
	u64 address = start & PAGE_MASK, differ = (start ^ last) & PAGE_MASK;

	if (differ) {
		unsigned top = (unsigned)fls64(differ) - 1;

		/* One zero above a run of ones says how much; all ones: everything. */
		address = top > 51 ? AMD_INV_ALL_PAGES
				   : (start & ~((2ULL << top) - 1)) | ((1ULL << top) - 1);
		address = (address & PAGE_MASK) | AMD_INV_SIZE;
	}
	command = invalidate_pages(domain, address);
	return amd_submit(amd, &command, 1);
}

int amd_flush_domain(struct amd_iommu *amd, u16 domain)
{
	return amd_flush_pages(amd, domain, 0, UINT64_MAX);
}

int amd_flush_irt(struct amd_iommu *amd, u16 devid)
{
	const struct amd_command command = invalidate_interrupt(devid);

	return amd_submit(amd, &command, 1);
}

/* Return: 0, -EIO. */
int amd_flush_everything(struct amd_iommu *amd)
{
	static const struct amd_command all = {
		{0, AMD_CMD(AMD_CMD_INVALIDATE_ALL), 0, 0}};
	struct amd_command batch[3 * 16];
	unsigned nr = 0;
	int rc = 0;

	if (amd->efr & AMD_EFR_IA)
		return amd_submit(amd, &all, 1);
	for (u32 id = 0; id < 65536 && !rc; id++) {
		batch[nr++] = invalidate_devtab((u16)id);
		batch[nr++] = invalidate_interrupt((u16)id);
		batch[nr++] = invalidate_pages((u16)id, AMD_INV_ALL_PAGES | AMD_INV_SIZE);
		if (nr == ARRAY_SIZE(batch)) {
			rc = amd_submit(amd, batch, nr);
			nr = 0;
		}
	}
	return rc;
}

/* Return: 0, -ENOMEM. The unit carries commands out once it is enabled itself. */
int amd_commands_enable(struct amd_iommu *amd)
{
	int rc = ram_alloc_pages(amd->m, AMD_RING_ORDER, &amd->cmd_ring);

	if (rc)
		return rc;
	rc = ram_alloc_pages(amd->m, 0, &amd->sem);
	if (rc)
		return rc;
	mutex_lock(&amd->cmd_lock);
	restart(amd);
	mutex_unlock(&amd->cmd_lock);
	return 0;
}
