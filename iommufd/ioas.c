// SPDX-License-Identifier: MIT
/*
 * The ioctls on an IOAS and the options. Source: drivers/iommu/iommufd/ioas.c.
 */
#include "base/alloc.h"
#include "iommufd/iommufd.h"
#include "machine/events.h"

#define CAP_SYS_RESOURCE 24

void iommufd_ioas_destroy(struct iommufd_object *obj)
{
	struct iommufd_ioas *ioas = container_of(obj, struct iommufd_ioas, obj);
	struct machine *m = ioas->iopt.machine;
	u64 unmapped, left = ioas->iopt.nr_areas;

	/* Before the areas go, so that the report can say what was left. */
	machine_event(m, space_gone, ioas->iopt.space, left);
	WARN_ON(iopt_unmap_all(&ioas->iopt, NULL, &unmapped));
	iopt_destroy_table(&ioas->iopt);
}

struct iommufd_ioas *iommufd_ioas_alloc(struct iommufd_ctx *ictx)
{
	struct iommufd_ioas *ioas = iommufd_object_alloc(ictx, ioas, IOMMUFD_OBJ_IOAS);

	if (IS_ERR(ioas))
		return ioas;
	ioas->ictx = ictx;
	iopt_init_table(&ioas->iopt, ictx->machine, (u64)(uintptr_t)ioas);
	INIT_LIST_HEAD(&ioas->hwpt_list);
	return ioas;
}

int iommufd_ioas_alloc_ioctl(struct iommufd_ucmd *ucmd)
{
	struct iommu_ioas_alloc *cmd = ucmd->cmd;
	struct iommufd_ioas *ioas;

	if (cmd->flags)
		return -EOPNOTSUPP;
	ioas = iommufd_ioas_alloc(ucmd->ictx);
	if (IS_ERR(ioas))
		return (int)PTR_ERR(ioas);
	cmd->out_ioas_id = ioas->obj.id;
	return iommufd_ucmd_respond_new(ucmd, sizeof(*cmd), &ioas->obj);
}

int iommufd_ioas_iova_ranges(struct iommufd_ucmd *ucmd)
{
	struct iommu_ioas_iova_ranges *cmd = ucmd->cmd;
	struct interval_tree_span_iter span;
	struct iommufd_ioas *ioas;
	u32 max_iovas = cmd->num_iovas;
	int rc;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	ioas = iommufd_get_ioas(ucmd->ictx, cmd->ioas_id);
	if (IS_ERR(ioas))
		return (int)PTR_ERR(ioas);
	cmd->num_iovas = 0;
	cmd->out_iova_alignment = ioas->iopt.iova_alignment;
	interval_tree_for_each_span(&span, &ioas->iopt.reserved_itree, 0, ~0ULL)
	{
		struct iommu_iova_range range = {.start = span.start, .last = span.last};

		if (!span.is_hole)
			continue;
		if (cmd->num_iovas < max_iovas) {
			rc = copy_to_user(ucmd->call,
					  cmd->allowed_iovas +
						  cmd->num_iovas * sizeof(range),
					  &range, sizeof(range));
			if (rc)
				return rc;
		}
		cmd->num_iovas++;
	}
	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	if (rc)
		return rc;
	return cmd->num_iovas > max_iovas ? -EMSGSIZE : 0;
}

static int load_iovas(struct call *call, struct rb_root_cached *itree, u64 uptr, u32 num)
{
	for (u32 i = 0; i < num; i++) {
		struct iommu_iova_range range;
		struct iopt_allowed *allowed;
		int rc = copy_from_user(call, &range, uptr + i * sizeof(range),
					sizeof(range));

		if (rc)
			return rc;
		if (range.start >= range.last ||
		    interval_tree_iter_first(itree, range.start, range.last))
			return -EINVAL;
		allowed = kzalloc(sizeof(*allowed));
		if (!allowed)
			return -ENOMEM;
		allowed->node.start = range.start;
		allowed->node.last = range.last;
		interval_tree_insert(&allowed->node, itree);
	}
	return 0;
}

int iommufd_ioas_allow_iovas(struct iommufd_ucmd *ucmd)
{
	struct iommu_ioas_allow_iovas *cmd = ucmd->cmd;
	struct rb_root_cached allowed = RB_ROOT_CACHED;
	struct interval_tree_node *node;
	struct iommufd_ioas *ioas;
	int rc;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	ioas = iommufd_get_ioas(ucmd->ictx, cmd->ioas_id);
	if (IS_ERR(ioas))
		return (int)PTR_ERR(ioas);
	rc = load_iovas(ucmd->call, &allowed, cmd->allowed_iovas, cmd->num_iovas);
	if (!rc)
		rc = iopt_set_allow_iova(&ioas->iopt, &allowed);
	while ((node = interval_tree_iter_first(&allowed, 0, ~0ULL))) {
		interval_tree_remove(node, &allowed);
		kfree(container_of(node, struct iopt_allowed, node));
	}
	return rc;
}

#define MAP_FLAGS \
	(IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE)
#define MAP_ACCESS (IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE)

static int conv_iommu_prot(u32 map_flags)
{
	int prot = IOMMU_CACHE;

	if (map_flags & IOMMU_IOAS_MAP_WRITEABLE)
		prot |= IOMMU_WRITE;
	if (map_flags & IOMMU_IOAS_MAP_READABLE)
		prot |= IOMMU_READ;
	return prot;
}

static unsigned int conv_iopt_flags(u32 map_flags)
{
	return map_flags & IOMMU_IOAS_MAP_FIXED_IOVA ? 0 : IOPT_ALLOC_IOVA;
}

/* What MAP and MAP_FILE check alike before they look at the memory. */
static struct iommufd_ioas *map_prepare(struct iommufd_ucmd *ucmd, u32 flags, u64 iova,
					u64 length, u32 ioas_id)
{
	if (iova == ~0ULL || length == ~0ULL)
		return ERR_PTR(-EOVERFLOW);
	if (!(flags & MAP_ACCESS))
		return ERR_PTR(-EINVAL);
	return iommufd_get_ioas(ucmd->ictx, ioas_id);
}

int iommufd_ioas_map(struct iommufd_ucmd *ucmd)
{
	struct iommu_ioas_map *cmd = ucmd->cmd;
	struct iommufd_ioas *ioas;
	u64 iova = cmd->iova;
	int rc;

	if ((cmd->flags & ~MAP_FLAGS) || cmd->__reserved)
		return -EOPNOTSUPP;
	ioas = map_prepare(ucmd, cmd->flags, cmd->iova, cmd->length, cmd->ioas_id);
	if (IS_ERR(ioas))
		return (int)PTR_ERR(ioas);
	rc = iopt_map_user_pages(ucmd->ictx, &ioas->iopt, ucmd->call, &iova, cmd->user_va,
				 cmd->length, conv_iommu_prot(cmd->flags),
				 conv_iopt_flags(cmd->flags));
	cmd->iova = iova;
	return rc ? rc : iommufd_ucmd_respond(ucmd, sizeof(*cmd));
}

int iommufd_ioas_map_file(struct iommufd_ucmd *ucmd)
{
	struct iommu_ioas_map_file *cmd = ucmd->cmd;
	struct iommufd_ioas *ioas;
	u64 iova = cmd->iova;
	int rc;

	if (cmd->flags & ~MAP_FLAGS)
		return -EOPNOTSUPP;
	ioas = map_prepare(ucmd, cmd->flags, cmd->iova, cmd->length, cmd->ioas_id);
	if (IS_ERR(ioas))
		return (int)PTR_ERR(ioas);
	rc = iopt_map_file_pages(ucmd->ictx, &ioas->iopt, ucmd->call, &iova, cmd->fd,
				 cmd->start, cmd->length, conv_iommu_prot(cmd->flags),
				 conv_iopt_flags(cmd->flags));
	cmd->iova = iova;
	return rc ? rc : iommufd_ucmd_respond(ucmd, sizeof(*cmd));
}

int iommufd_ioas_copy(struct iommufd_ucmd *ucmd)
{
	struct iommu_ioas_copy *cmd = ucmd->cmd;
	struct iommufd_ioas *src, *dst;
	LIST_HEAD(pieces);
	u64 iova;
	int rc;

	if (cmd->flags & ~MAP_FLAGS)
		return -EOPNOTSUPP;
	if (cmd->length == ~0ULL || cmd->src_iova == ~0ULL || cmd->dst_iova == ~0ULL)
		return -EOVERFLOW;
	if (!(cmd->flags & MAP_ACCESS))
		return -EINVAL;
	src = iommufd_get_ioas(ucmd->ictx, cmd->src_ioas_id);
	if (IS_ERR(src))
		return (int)PTR_ERR(src);
	rc = iopt_get_pages(&src->iopt, cmd->src_iova, cmd->length, &pieces);
	if (rc)
		return rc;
	dst = iommufd_get_ioas(ucmd->ictx, cmd->dst_ioas_id);
	if (IS_ERR(dst)) {
		rc = (int)PTR_ERR(dst);
		goto out_pieces;
	}
	iova = cmd->dst_iova;
	rc = iopt_map_pages(&dst->iopt, ucmd->call, &pieces, cmd->length, &iova,
			    conv_iommu_prot(cmd->flags), conv_iopt_flags(cmd->flags));
	if (rc)
		goto out_pieces;
	cmd->dst_iova = iova;
	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
out_pieces:
	iopt_free_pages_list(&pieces);
	return rc;
}

int iommufd_ioas_unmap(struct iommufd_ucmd *ucmd)
{
	struct iommu_ioas_unmap *cmd = ucmd->cmd;
	struct iommufd_ioas *ioas;
	u64 unmapped;
	int rc;

	ioas = iommufd_get_ioas(ucmd->ictx, cmd->ioas_id);
	if (IS_ERR(ioas))
		return (int)PTR_ERR(ioas);
	if (cmd->iova == 0 && cmd->length == ~0ULL) {
		rc = iopt_unmap_all(&ioas->iopt, ucmd->call, &unmapped);
	} else {
		if (cmd->iova == ~0ULL || cmd->length == ~0ULL)
			return -EOVERFLOW;
		rc = iopt_unmap_iova(&ioas->iopt, ucmd->call, cmd->iova, cmd->length,
				     &unmapped);
		if (!rc && !unmapped)
			rc = -ENOENT;
	}
	if (rc)
		return rc;
	cmd->length = unmapped;
	return iommufd_ucmd_respond(ucmd, sizeof(*cmd));
}

/* --- change of process
 * ---------------------------------------------------------------------- */

#define for_each_area_of(ictx, index, obj, area)                                         \
	xa_for_each(&(ictx)->objects, index, obj)                                        \
		if ((obj)->type == IOMMUFD_OBJ_IOAS)                                     \
			for ((area) = iopt_area_iter_first(                              \
				     &container_of(obj, struct iommufd_ioas, obj)->iopt, \
				     0, ~0ULL);                                          \
			     (area); (area) = iopt_area_iter_next(area, 0, ~0ULL))

int iommufd_ioas_change_process(struct iommufd_ucmd *ucmd)
{
	struct iommu_ioas_change_process *cmd = ucmd->cmd;
	struct iommufd_ctx *ictx = ucmd->ictx;
	struct mm *mm = call_mm(ucmd->call);
	struct iommufd_object *obj;
	struct iopt_area *area;
	u64 index;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	/* A program's own memory cannot move to another process; a file's can. */
	for_each_area_of(ictx, index, obj, area)
	{
		if (area->pages->type != IOPT_ADDRESS_FILE)
			return -EINVAL;
	}
	for_each_area_of(ictx, index, obj, area)
	{
		int rc = iopt_pages_change_mm(area->pages, mm);

		if (rc) {
			/* Those that moved go back; their old owner was charged before.
			 */
			for_each_area_of(ictx, index, obj, area)
				iopt_pages_change_mm_undo(area->pages, mm);
			return rc;
		}
	}
	for_each_area_of(ictx, index, obj, area) iopt_pages_change_mm_done(area->pages);
	return 0;
}

/* --- options
 * ------------------------------------------------------------------------------------ */

static int option_rlimit_mode(struct iommufd_ucmd *ucmd, struct iommu_option *cmd)
{
	struct iommufd_ctx *ictx = ucmd->ictx;

	if (cmd->object_id)
		return -EOPNOTSUPP;
	switch (cmd->op) {
	case IOMMU_OPTION_OP_GET:
		cmd->val64 = ictx->account_mode == IOPT_PAGES_ACCOUNT_MM;
		return 0;
	case IOMMU_OPTION_OP_SET:
		if (!call_capable(ucmd->call, CAP_SYS_RESOURCE))
			return -EPERM;
		if (!xa_empty(&ictx->objects))
			return -EBUSY;
		if (cmd->val64 > 1)
			return -EINVAL;
		ictx->account_mode =
			cmd->val64 ? IOPT_PAGES_ACCOUNT_MM : IOPT_PAGES_ACCOUNT_USER;
		return 0;
	}
	return -EOPNOTSUPP;
}

static int option_huge_pages(struct iommufd_ucmd *ucmd, struct iommu_option *cmd)
{
	struct iommufd_ioas *ioas = iommufd_get_ioas(ucmd->ictx, cmd->object_id);

	if (IS_ERR(ioas))
		return (int)PTR_ERR(ioas);
	switch (cmd->op) {
	case IOMMU_OPTION_OP_GET:
		cmd->val64 = !ioas->iopt.disable_large_pages;
		return 0;
	case IOMMU_OPTION_OP_SET:
		if (cmd->val64 == 0)
			return iopt_disable_large_pages(&ioas->iopt);
		if (cmd->val64 > 1)
			return -EINVAL;
		iopt_enable_large_pages(&ioas->iopt);
		return 0;
	}
	return -EOPNOTSUPP;
}

int iommufd_option(struct iommufd_ucmd *ucmd)
{
	struct iommu_option *cmd = ucmd->cmd;
	int rc;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	switch (cmd->option_id) {
	case IOMMU_OPTION_RLIMIT_MODE:
		rc = option_rlimit_mode(ucmd, cmd);
		break;
	case IOMMU_OPTION_HUGE_PAGES:
		rc = option_huge_pages(ucmd, cmd);
		break;
	default:
		return -EOPNOTSUPP;
	}
	if (rc)
		return rc;
	return copy_to_user(ucmd->call,
			    ucmd->ubuffer + offsetof(struct iommu_option, val64),
			    &cmd->val64, sizeof(cmd->val64));
}
