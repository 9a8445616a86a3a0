// SPDX-License-Identifier: MIT
/*
 * Fault queues: an object and a descriptor from which page requests are read and to which
 * responses are written. Records have fixed sizes and move as a whole; the descriptor
 * keeps the object. Source: drivers/iommu/iommufd/eventq.c.
 */
#include <fcntl.h>
#include <sys/epoll.h>

#include "base/alloc.h"
#include "iommufd/iommufd.h"

/* struct iommu_hwpt_pgfault and struct iommu_hwpt_page_response of the ABI. */
#define PGFAULT_SIZE  40
#define RESPONSE_SIZE 8

struct iommufd_fault {
	struct iommufd_object obj;
	struct iommufd_ctx *ictx;
	struct file *file; /* holds a user of the object and a reference on the context */
};

void iommufd_fault_destroy(struct iommufd_object *obj)
{
	/* Nothing left: the descriptor was closed, no HWPT uses it. */
}

struct iommufd_fault *iommufd_get_fault(struct iommufd_ucmd *ucmd, u32 id)
{
	struct iommufd_object *obj =
		iommufd_get_object(ucmd->ictx, id, IOMMUFD_OBJ_FAULT);

	return IS_ERR(obj) ? ERR_CAST(obj) : container_of(obj, struct iommufd_fault, obj);
}

void iommufd_fault_use(struct iommufd_fault *fault, bool use)
{
	if (use)
		fault->obj.users++;
	else
		fault->obj.users--;
}

/* No unit of the machine raises page requests, so the queue is always empty. */
static ssize_t fault_read(struct file *file, struct call *call, u64 ubuf, size_t len,
			  u64 pos)
{
	return len % PGFAULT_SIZE ? -ESPIPE : 0;
}

static ssize_t fault_write(struct file *file, struct call *call, u64 ubuf, size_t len,
			   u64 pos)
{
	u8 response[RESPONSE_SIZE];
	int rc;

	if (len % RESPONSE_SIZE)
		return -ESPIPE;
	if (!len)
		return 0;
	rc = copy_from_user(call, response, ubuf, sizeof(response));
	if (rc)
		return rc;
	/* No request is outstanding, so no cookie is known. */
	return -EINVAL;
}

static u32 fault_poll(struct file *file)
{
	return EPOLLOUT;
}

static void fault_release(struct file *file)
{
	struct iommufd_fault *fault = file->private;
	struct iommufd_ctx *ictx = fault->ictx;

	fault->obj.users--;
	iommufd_ctx_put(ictx);
}

static const struct file_operations fault_fops = {
	.name = "iommufd-pgfault",
	.read = fault_read,
	.write = fault_write,
	.poll = fault_poll,
	.release = fault_release,
};

int iommufd_fault_alloc(struct iommufd_ucmd *ucmd)
{
	struct iommu_fault_alloc *cmd = ucmd->cmd;
	struct iommufd_fault *fault;
	long rc;

	if (cmd->flags)
		return -EOPNOTSUPP;
	fault = iommufd_object_alloc(ucmd->ictx, fault, IOMMUFD_OBJ_FAULT);
	if (IS_ERR(fault))
		return (int)PTR_ERR(fault);
	fault->ictx = ucmd->ictx;
	fault->file = file_alloc(ucmd->ictx->machine, &fault_fops, fault, O_RDWR);
	if (IS_ERR(fault->file)) {
		rc = PTR_ERR(fault->file);
		iommufd_object_abort(ucmd->ictx, &fault->obj);
		return (int)rc;
	}
	fault->obj.users++;
	iommufd_ctx_get(ucmd->ictx);
	cmd->out_fault_id = fault->obj.id;
	cmd->out_fault_fd = 0;
	/* The struct first: the number of the descriptor goes over it. */
	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	if (!rc)
		rc = call_install_fd(ucmd->call, fault->file,
				     ucmd->ubuffer + offsetof(struct iommu_fault_alloc,
							      out_fault_fd));
	if (rc < 0) {
		fput(fault->file);
		iommufd_object_abort(ucmd->ictx, &fault->obj);
		return (int)rc;
	}
	iommufd_object_finalize(ucmd->ictx, &fault->obj);
	return 0;
}
