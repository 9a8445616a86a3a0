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

/* What read gives, and write takes (the names of the ABI have iommu_hwpt_ in front). */
struct pgfault {
	u32 flags, dev_id, pasid, grpid, perm, reserved;
	u64 addr;
	u32 length, cookie;
};
struct page_response {
	u32 cookie, code;
};
static_assert(sizeof(struct pgfault) == 40, "ABI");
static_assert(sizeof(struct page_response) == 8, "ABI");

#define PGFAULT_FLAGS_PASID_VALID BIT(0)
#define PGFAULT_FLAGS_LAST_PAGE	  BIT(1)
#define PAGE_RESP_INVALID	  1 /* the largest known; 0: success */

struct iommufd_fault {
	struct iommufd_object obj;
	struct iommufd_ctx *ictx;
	struct file *file; /* holds a user of the object and a reference on the context;
			      NULL once it is closed */
	struct list_head deliver; /* struct fault_event, not read yet */
	struct xarray response;	  /* struct fault_event by cookie: read, not answered */
};

struct fault_event {
	struct list_head node;
	struct iommufd_attach_handle *handle;
	struct pgfault msg;
};

void iommufd_fault_destroy(struct iommufd_object *obj)
{
	struct iommufd_fault *fault = container_of(obj, struct iommufd_fault, obj);
	struct fault_event *event, *next;
	u64 cookie;

	list_for_each_entry_safe(event, next, &fault->deliver, node)
		kfree(event);
	xa_for_each(&fault->response, cookie, event)
		kfree(event);
	xa_destroy(&fault->response);
}

/* Where a request goes: the PASID's attachment, or the RID's for a guest's own PASIDs. */
static struct iommufd_attach_handle *
request_handle(struct iommufd_device *idev, const struct iommufd_page_request *req)
{
	struct iommu_group *group = idev->igroup->group;
	struct iommu_attach_handle *handle = iommu_attach_handle_get(
		group, req->pasid_valid ? req->pasid : IOMMU_NO_PASID, 0);

	if (IS_ERR_OR_NULL(handle) && req->pasid_valid &&
	    dev_iommu_ops(idev->dev)->user_pasid_table)
		handle = iommu_attach_handle_get(group, IOMMU_NO_PASID,
						 IOMMU_DOMAIN_NESTED);
	return IS_ERR_OR_NULL(handle)
		       ? NULL
		       : container_of(handle, struct iommufd_attach_handle, handle);
}

int iommufd_fault_report(struct iommufd_device *idev,
			 const struct iommufd_page_request *req)
{
	struct iommufd_attach_handle *handle = request_handle(idev, req);
	struct iommufd_hw_pagetable *hwpt;
	struct fault_event *event;

	if (!handle || handle->handle.domain->cookie_type != IOMMU_COOKIE_IOMMUFD)
		return -ENOENT;
	hwpt = handle->handle.domain->cookie;
	if (!hwpt->fault)
		return -ENOENT;
	event = kzalloc(sizeof(*event));
	if (!event)
		return -ENOMEM;
	event->handle = handle;
	event->msg = (struct pgfault){
		.flags = PGFAULT_FLAGS_LAST_PAGE |
			 (req->pasid_valid ? PGFAULT_FLAGS_PASID_VALID : 0),
		.dev_id = handle->idev->obj.id,
		.pasid = req->pasid,
		.grpid = req->grpid,
		.perm = req->perm,
		.addr = req->addr,
	};
	list_add_tail(&event->node, &hwpt->fault->deliver);
	if (hwpt->fault->file)
		file_notify(hwpt->fault->file);
	return 0;
}

void iommufd_auto_response_faults(struct iommufd_hw_pagetable *hwpt,
				  struct iommufd_attach_handle *handle)
{
	struct iommufd_fault *fault = hwpt->fault;
	struct fault_event *event, *next;
	u64 cookie;

	if (!fault || !handle)
		return;
	list_for_each_entry_safe(event, next, &fault->deliver, node) {
		if (event->handle != handle)
			continue;
		list_del(&event->node);
		kfree(event);
	}
	xa_for_each(&fault->response, cookie, event) {
		if (event->handle != handle)
			continue;
		xa_erase(&fault->response, cookie);
		kfree(event);
	}
	if (fault->file)
		file_notify(fault->file);
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

static ssize_t fault_read(struct file *file, struct call *call, u64 ubuf, size_t len,
			  u64 pos)
{
	struct iommufd_fault *fault = file->private;
	struct fault_event *event, *next;
	size_t done = 0;
	int rc;

	if (len % sizeof(struct pgfault))
		return -ESPIPE;
	list_for_each_entry_safe(event, next, &fault->deliver, node) {
		if (done == len)
			break;
		rc = xa_alloc(&fault->response, &event->msg.cookie, event,
			      XA_LIMIT(1, UINT32_MAX));
		if (rc)
			return done ? (ssize_t)done : rc;
		rc = copy_to_user(call, ubuf + done, &event->msg, sizeof(event->msg));
		if (rc) {
			xa_erase(&fault->response, event->msg.cookie);
			return done ? (ssize_t)done : rc;
		}
		list_del(&event->node);
		done += sizeof(event->msg);
	}
	return (ssize_t)done;
}

/* One call changes nothing before all that it says has been read. */
static ssize_t fault_write(struct file *file, struct call *call, u64 ubuf, size_t len,
			   u64 pos)
{
	struct iommufd_fault *fault = file->private;
	struct page_response response;
	struct fault_event *event;
	size_t at, can = len;
	int rc = 0;

	if (len % sizeof(response))
		return -ESPIPE;
	for (at = 0; at < len; at += sizeof(response)) {
		rc = copy_from_user(call, &response, ubuf + at, sizeof(response));
		if (rc == -ERESTARTNOINTR)
			return rc;
		if (rc) {
			can = at;
			break;
		}
	}
	for (at = 0; at < can; at += sizeof(response)) {
		if (copy_from_user(call, &response, ubuf + at, sizeof(response)))
			return at ? (ssize_t)at : -EFAULT;
		event = response.code <= PAGE_RESP_INVALID
				? xa_erase(&fault->response, response.cookie)
				: NULL;
		if (!event)
			return at ? (ssize_t)at : -EINVAL;
		kfree(event);
	}
	return at ? (ssize_t)at : rc;
}

static u32 fault_poll(struct file *file)
{
	struct iommufd_fault *fault = file->private;

	return EPOLLOUT | (list_empty(&fault->deliver) ? 0 : EPOLLIN);
}

static void fault_release(struct file *file)
{
	struct iommufd_fault *fault = file->private;
	struct iommufd_ctx *ictx = fault->ictx;

	fault->file = NULL;
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
	INIT_LIST_HEAD(&fault->deliver);
	xa_init(&fault->response);
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
