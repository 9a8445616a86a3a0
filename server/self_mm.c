// SPDX-License-Identifier: MIT
/*
 * The server's own memory as an address space that devices reach: where files are mapped
 * that a program gives to devices (iommufd's MAP_FILE). Whoever pins in it has mapped
 * what it pins and keeps it mapped.
 */
#include <sys/prctl.h>
#include <unistd.h>

#include "server/server_priv.h"

static u64 self_accessible(struct mm *mm, u64 va, u64 len, bool write, bool *special,
			   phys_addr_t *phys)
{
	*special = false;
	return len;
}

static u64 self_memlock_limit(struct mm *mm)
{
	return ~0ULL;
}

static bool self_alive(struct mm *mm)
{
	return true;
}

static const struct mm_ops self_mm_ops = {
	.accessible = self_accessible,
	.memlock_limit = self_memlock_limit,
	.alive = self_alive,
};

void self_mm_init(struct server *s)
{
	struct mm *mm = &s->self_mm;

	mm->ops = &self_mm_ops;
	mm->machine = s->m;
	mm->index = SELF_MM_INDEX;
	mm->pid = (u32)getpid();
	refcount_set(&mm->ref, 1);
	INIT_LIST_HEAD(&mm->pins);
	atomic_store(&s->m->hw.mms[SELF_MM_INDEX].pid, mm->pid);
	s->m->self_mm = mm;
	/* Programs copy to and from here with process_vm_writev(), whatever Yama says. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
}

void self_mm_exit(struct server *s)
{
	WARN_ON(!list_empty(&s->self_mm.pins));
	s->m->self_mm = NULL;
	atomic_store(&s->m->hw.mms[SELF_MM_INDEX].pid, 0);
}
