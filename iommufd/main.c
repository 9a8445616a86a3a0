// SPDX-License-Identifier: MIT
/*
 * /dev/iommu: opening and closing it, its objects, and the one table of its ioctls. A
 * request's number finds its struct size, the smallest size that a program may give, and
 * its handler; the copying rules of extensible structs are applied here for all of them.
 * Source: drivers/iommu/iommufd/main.c.
 */
#include <sys/mman.h>

#include "base/alloc.h"
#include "iommufd/iommufd.h"
#include "iommufd/selftest/abi.h"
#include "machine/uaccess.h"

#define IOMMU_MAJOR 10
#define IOMMU_MINOR 258

static void (*const object_destroy[IOMMUFD_OBJ_NR_TYPES])(struct iommufd_object *obj) = {
	[IOMMUFD_OBJ_DEVICE] = iommufd_device_destroy,
	[IOMMUFD_OBJ_HWPT_PAGING] = iommufd_hwpt_paging_destroy,
	[IOMMUFD_OBJ_HWPT_NESTED] = iommufd_hwpt_nested_destroy,
	[IOMMUFD_OBJ_IOAS] = iommufd_ioas_destroy,
	[IOMMUFD_OBJ_FAULT] = iommufd_fault_destroy,
	[IOMMUFD_OBJ_ACCESS] = iommufd_access_destroy_object,
	[IOMMUFD_OBJ_VIOMMU] = iommufd_viommu_destroy,
	[IOMMUFD_OBJ_VDEVICE] = iommufd_vdevice_destroy,
	[IOMMUFD_OBJ_VEVENTQ] = iommufd_veventq_destroy,
	[IOMMUFD_OBJ_HW_QUEUE] = iommufd_hw_queue_destroy,
};

static void destroy_object(struct iommufd_ctx *ictx, struct iommufd_object *obj)
{
	if (obj->type == IOMMUFD_OBJ_SELFTEST)
		ictx->machine->iommufd->test->destroy_object(obj);
	else
		object_destroy[obj->type](obj);
}

/* --- objects
 * ------------------------------------------------------------------------------ */

void *iommufd_object_alloc_size(struct iommufd_ctx *ictx, size_t size,
				enum iommufd_object_type type)
{
	struct iommufd_object *obj = kzalloc(size);
	int rc;

	if (!obj)
		return ERR_PTR(-ENOMEM);
	obj->type = type;
	obj->users = 1;
	rc = xa_alloc(&ictx->objects, &obj->id, NULL, XA_LIMIT(1, INT32_MAX));
	if (rc) {
		kfree(obj);
		return ERR_PTR(rc);
	}
	return obj;
}

void iommufd_object_finalize(struct iommufd_ctx *ictx, struct iommufd_object *obj)
{
	/* The id is reserved, so there is a place for it. */
	WARN_ON(xa_store(&ictx->objects, obj->id, obj));
	obj->visible = true;
}

void iommufd_object_abort(struct iommufd_ctx *ictx, struct iommufd_object *obj)
{
	xa_erase(&ictx->objects, obj->id);
	WARN_ON(obj->users != 1);
	kfree(obj);
}

void iommufd_object_abort_and_destroy(struct iommufd_ctx *ictx,
				      struct iommufd_object *obj)
{
	destroy_object(ictx, obj);
	iommufd_object_abort(ictx, obj);
}

struct iommufd_object *iommufd_get_object(struct iommufd_ctx *ictx, u32 id,
					  enum iommufd_object_type type)
{
	struct iommufd_object *obj = xa_load(&ictx->objects, id);

	if (!obj || (type != IOMMUFD_OBJ_ANY && obj->type != type))
		return ERR_PTR(-ENOENT);
	return obj;
}

int iommufd_object_remove(struct iommufd_ctx *ictx, struct iommufd_object *expect, u32 id)
{
	struct iommufd_object *obj = xa_load(&ictx->objects, id);

	if (expect) {
		expect->users--;
		if (WARN_ON(obj != expect))
			return -ENOENT;
	} else if (!obj) {
		return -ENOENT;
	}
	if (obj->users != 1)
		return -EBUSY;
	xa_erase(&ictx->objects, id);
	if (ictx->vfio_ioas && &ictx->vfio_ioas->obj == obj)
		ictx->vfio_ioas = NULL;
	destroy_object(ictx, obj);
	kfree(obj);
	return 0;
}

static int iommufd_destroy(struct iommufd_ucmd *ucmd)
{
	struct iommu_destroy *cmd = ucmd->cmd;

	return iommufd_object_remove(ucmd->ictx, NULL, cmd->id);
}

/* --- answers
 * ------------------------------------------------------------------------------ */

int iommufd_ucmd_respond(struct iommufd_ucmd *ucmd, size_t cmd_len)
{
	return copy_to_user(ucmd->call, ucmd->ubuffer, ucmd->cmd,
			    min_t(size_t, ucmd->user_size, cmd_len));
}

/* The program never learnt the id. */
static void object_undo(void *data)
{
	struct iommufd_object *obj = data;
	struct iommufd_ctx *ictx = NULL;

	switch (obj->type) {
	case IOMMUFD_OBJ_IOAS:
		ictx = container_of(obj, struct iommufd_ioas, obj)->ictx;
		break;
	case IOMMUFD_OBJ_HWPT_PAGING:
		ictx = container_of(obj, struct iommufd_hwpt_paging, common.obj)
			       ->ioas->ictx;
		break;
	default:
		return;
	}
	iommufd_object_remove(ictx, NULL, obj->id);
}

int iommufd_ucmd_respond_new(struct iommufd_ucmd *ucmd, size_t cmd_len,
			     struct iommufd_object *obj)
{
	int rc = iommufd_ucmd_respond(ucmd, cmd_len);

	if (rc) {
		iommufd_object_abort_and_destroy(ucmd->ictx, obj);
		return rc;
	}
	iommufd_object_finalize(ucmd->ictx, obj);
	call_on_fault(ucmd->call, object_undo, obj);
	return 0;
}

/* --- the ioctls
 * --------------------------------------------------------------------------- */

union ucmd_buffer {
	struct iommu_destroy destroy;
	struct iommu_fault_alloc fault;
	struct iommu_hw_info info;
	struct iommu_hw_queue_alloc hw_queue;
	struct iommu_hwpt_alloc hwpt;
	struct iommu_hwpt_get_dirty_bitmap get_dirty_bitmap;
	struct iommu_hwpt_invalidate cache;
	struct iommu_hwpt_set_dirty_tracking set_dirty_tracking;
	struct iommu_ioas_alloc alloc;
	struct iommu_ioas_allow_iovas allow_iovas;
	struct iommu_ioas_copy ioas_copy;
	struct iommu_ioas_iova_ranges iova_ranges;
	struct iommu_ioas_map map;
	struct iommu_ioas_map_file map_file;
	struct iommu_ioas_unmap unmap;
	struct iommu_option option;
	struct iommu_vdevice_alloc vdev;
	struct iommu_veventq_alloc veventq;
	struct iommu_vfio_ioas vfio_ioas;
	struct iommu_viommu_alloc viommu;
	struct iommu_test_cmd test;
};

struct iommufd_ioctl_op {
	unsigned int size, min_size;
	int (*execute)(struct iommufd_ucmd *ucmd);
};

#define END_OF(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))
#define IOCTL_OP(name, fn, type, last)          \
	[name - IOMMUFD_CMD_BASE] = {           \
		.size = sizeof(type),           \
		.min_size = END_OF(type, last), \
		.execute = fn,                  \
	}

/* The number that the kernel's selftest uses ends its table, so holes reach up to it. */
#define IOMMUFD_CMD_LAST _IOC_NR(IOMMU_TEST_CMD)

static const struct iommufd_ioctl_op iommufd_ioctl_ops[IOMMUFD_CMD_LAST -
						       IOMMUFD_CMD_BASE + 1] = {
	IOCTL_OP(IOMMUFD_CMD_DESTROY, iommufd_destroy, struct iommu_destroy, id),
	IOCTL_OP(IOMMUFD_CMD_FAULT_QUEUE_ALLOC, iommufd_fault_alloc,
		 struct iommu_fault_alloc, out_fault_fd),
	IOCTL_OP(IOMMUFD_CMD_GET_HW_INFO, iommufd_get_hw_info, struct iommu_hw_info,
		 __reserved),
	IOCTL_OP(IOMMUFD_CMD_HW_QUEUE_ALLOC, iommufd_hw_queue_alloc,
		 struct iommu_hw_queue_alloc, length),
	IOCTL_OP(IOMMUFD_CMD_HWPT_ALLOC, iommufd_hwpt_alloc, struct iommu_hwpt_alloc,
		 __reserved),
	IOCTL_OP(IOMMUFD_CMD_HWPT_GET_DIRTY_BITMAP, iommufd_hwpt_get_dirty_bitmap,
		 struct iommu_hwpt_get_dirty_bitmap, data),
	IOCTL_OP(IOMMUFD_CMD_HWPT_INVALIDATE, iommufd_hwpt_invalidate,
		 struct iommu_hwpt_invalidate, __reserved),
	IOCTL_OP(IOMMUFD_CMD_HWPT_SET_DIRTY_TRACKING, iommufd_hwpt_set_dirty_tracking,
		 struct iommu_hwpt_set_dirty_tracking, __reserved),
	IOCTL_OP(IOMMUFD_CMD_IOAS_ALLOC, iommufd_ioas_alloc_ioctl,
		 struct iommu_ioas_alloc, out_ioas_id),
	IOCTL_OP(IOMMUFD_CMD_IOAS_ALLOW_IOVAS, iommufd_ioas_allow_iovas,
		 struct iommu_ioas_allow_iovas, allowed_iovas),
	IOCTL_OP(IOMMUFD_CMD_IOAS_CHANGE_PROCESS, iommufd_ioas_change_process,
		 struct iommu_ioas_change_process, __reserved),
	IOCTL_OP(IOMMUFD_CMD_IOAS_COPY, iommufd_ioas_copy, struct iommu_ioas_copy,
		 src_iova),
	IOCTL_OP(IOMMUFD_CMD_IOAS_IOVA_RANGES, iommufd_ioas_iova_ranges,
		 struct iommu_ioas_iova_ranges, out_iova_alignment),
	IOCTL_OP(IOMMUFD_CMD_IOAS_MAP, iommufd_ioas_map, struct iommu_ioas_map, iova),
	IOCTL_OP(IOMMUFD_CMD_IOAS_MAP_FILE, iommufd_ioas_map_file,
		 struct iommu_ioas_map_file, iova),
	IOCTL_OP(IOMMUFD_CMD_IOAS_UNMAP, iommufd_ioas_unmap, struct iommu_ioas_unmap,
		 length),
	IOCTL_OP(IOMMUFD_CMD_OPTION, iommufd_option, struct iommu_option, val64),
	IOCTL_OP(IOMMUFD_CMD_VDEVICE_ALLOC, iommufd_vdevice_alloc,
		 struct iommu_vdevice_alloc, virt_id),
	IOCTL_OP(IOMMUFD_CMD_VEVENTQ_ALLOC, iommufd_veventq_alloc,
		 struct iommu_veventq_alloc, out_veventq_fd),
	IOCTL_OP(IOMMUFD_CMD_VFIO_IOAS, iommufd_vfio_ioas, struct iommu_vfio_ioas,
		 __reserved),
	IOCTL_OP(IOMMUFD_CMD_VIOMMU_ALLOC, iommufd_viommu_alloc,
		 struct iommu_viommu_alloc, out_viommu_id),
};

static long iommufd_fops_ioctl(struct file *file, struct call *call, unsigned cmd,
			       u64 arg)
{
	unsigned int nr = _IOC_NR(cmd);
	const struct iommufd_ioctl_op *op;
	struct iommufd_ucmd ucmd = {
		.ictx = file->private,
		.call = call,
		.ubuffer = arg,
	};
	struct iommufd_ioctl_op test_op = {
		.size = sizeof(struct iommu_test_cmd),
		.min_size = END_OF(struct iommu_test_cmd, last),
	};
	union ucmd_buffer buf;
	int rc;

	if (nr < IOMMUFD_CMD_BASE || nr > IOMMUFD_CMD_LAST)
		return iommufd_vfio_ioctl(ucmd.ictx, call, cmd, arg);
	rc = get_user_u32(call, &ucmd.user_size, arg);
	if (rc)
		return rc;
	op = &iommufd_ioctl_ops[nr - IOMMUFD_CMD_BASE];
	if (nr == IOMMUFD_CMD_LAST && ucmd.ictx->machine->iommufd->test) {
		test_op.execute = ucmd.ictx->machine->iommufd->test->ioctl;
		op = &test_op;
	}
	if (!op->execute || cmd != _IO(IOMMUFD_TYPE, nr))
		return -ENOTTY;
	if (ucmd.user_size < op->min_size)
		return -EINVAL;
	ucmd.cmd = &buf;
	rc = copy_struct_from_user(call, &buf, op->size, arg, ucmd.user_size);
	if (rc)
		return rc;
	return op->execute(&ucmd);
}

/* --- the file
 * ----------------------------------------------------------------------------- */

/* Bound devices hold the file, so what is left depends on other objects only. */
static void iommufd_fops_release(struct file *file)
{
	struct iommufd_ctx *ictx = file->private;
	struct iommufd_object *obj;
	bool destroyed;
	u64 index;

	do {
		destroyed = false;
		xa_for_each(&ictx->objects, index, obj) {
			if (obj->users != 1)
				continue;
			destroyed = true;
			xa_erase(&ictx->objects, index);
			destroy_object(ictx, obj);
			kfree(obj);
		}
	} while (destroyed);
	WARN_ON(!xa_empty(&ictx->objects));
	WARN_ON(!xa_empty(&ictx->groups));
	xa_destroy(&ictx->objects);
	xa_destroy(&ictx->groups);
	kfree(ictx);
}

/* Only hardware queues of vIOMMUs can be mapped, and no driver has them. */
static int iommufd_fops_mmap(struct file *file, struct call *call,
			     struct mmap_request *req)
{
	if (req->len & ~PAGE_MASK || (req->flags & MAP_TYPE) == MAP_PRIVATE)
		return -EINVAL;
	if (req->prot & PROT_EXEC)
		return -EPERM;
	return -ENXIO;
}

static const struct file_operations iommufd_fops = {
	.name = "iommufd",
	.unseen = true,
	.ioctl = iommufd_fops_ioctl,
	.mmap = iommufd_fops_mmap,
	.release = iommufd_fops_release,
};

static int iommufd_fops_open(struct machine *m, void *data, struct call *call, int flags,
			     struct file **out)
{
	struct iommufd_ctx *ictx = kzalloc(sizeof(*ictx));

	if (!ictx)
		return -ENOMEM;
	ictx->machine = m;
	ictx->account_mode = IOPT_PAGES_ACCOUNT_USER;
	xa_init(&ictx->objects);
	xa_init(&ictx->groups);
	ictx->file = file_alloc(m, &iommufd_fops, ictx, flags);
	if (IS_ERR(ictx->file)) {
		int rc = (int)PTR_ERR(ictx->file);

		kfree(ictx);
		return rc;
	}
	*out = ictx->file;
	return 0;
}

static const struct device_node_ops iommufd_node_ops = {
	.open = iommufd_fops_open,
};

int iommufd_core_create(struct machine *m)
{
	int rc;

	m->iommufd = kzalloc(sizeof(*m->iommufd));
	if (!m->iommufd)
		return -ENOMEM;
	INIT_LIST_HEAD(&m->iommufd->file_pages);
	rc = devnode_register(m, "/dev/iommu", 0660, IOMMU_MAJOR, IOMMU_MINOR,
			      &iommufd_node_ops, NULL);
	if (rc) {
		kfree(m->iommufd);
		m->iommufd = NULL;
	}
	return rc;
}

void iommufd_core_destroy(struct machine *m)
{
	if (!m->iommufd)
		return;
	devnode_unregister(m, "/dev/iommu");
	if (m->iommufd->test)
		m->iommufd->test->free(m);
	kfree(m->iommufd);
	m->iommufd = NULL;
}

struct iommufd_ctx *iommufd_ctx_from_file(struct file *file)
{
	if (file->ops != &iommufd_fops)
		return ERR_PTR(-EBADFD);
	get_file(file);
	return file->private;
}

struct iommufd_ctx *iommufd_ctx_from_fd(struct call *call, int fd)
{
	struct file *file = call_fget(call, fd);

	/* Open, but no file of the machine: no iommufd either. */
	if (IS_ERR(file))
		return PTR_ERR(file) == -ENOTTY ? ERR_PTR(-EBADFD) : ERR_CAST(file);
	if (file->ops != &iommufd_fops) {
		fput(file);
		return ERR_PTR(-EBADFD);
	}
	return file->private;
}

void iommufd_ctx_get(struct iommufd_ctx *ictx)
{
	get_file(ictx->file);
}

void iommufd_ctx_put(struct iommufd_ctx *ictx)
{
	fput(ictx->file);
}
