// SPDX-License-Identifier: MIT
/*
 * Virtual event queues: what a vIOMMU has to tell its guest, read from a descriptor. Each
 * event has a sequence number; when the queue is full, a header alone, always last, says
 * that some are lost. Source: drivers/iommu/iommufd/eventq.c, driver.c.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/alloc.h"
#include "iommufd/viommu.h"

struct vevent_header {
	u32 flags, sequence;
};
#define VEVENTQ_FLAG_LOST_EVENTS BIT(0)

struct vevent {
	struct list_head node;
	struct vevent_header header;
	size_t len;
	u8 data[];
};

struct iommufd_veventq {
	struct iommufd_object obj;
	struct iommufd_viommu *viommu;
	struct list_head node; /* viommu->veventqs */
	struct list_head deliver;
	struct file *file; /* as a fault queue's */
	u32 type, depth, num_events, sequence;
	bool lost; /* after the last of deliver */
	struct vevent_header lost_header;
};

static struct iommufd_veventq *find_veventq(struct iommufd_viommu *viommu, u32 type)
{
	struct iommufd_veventq *q;

	list_for_each_entry(q, &viommu->veventqs, node) {
		if (q->type == type)
			return q;
	}
	return NULL;
}

int iommufd_viommu_report_event(struct iommufd_viommu *viommu, u32 type, const void *data,
				size_t len)
{
	struct iommufd_veventq *q = find_veventq(viommu, type);
	struct vevent *event;
	int rc = 0;

	if (!q)
		return -EOPNOTSUPP;
	event = q->num_events < q->depth ? kzalloc(sizeof(*event) + len) : NULL;
	if (event) {
		memcpy(event->data, data, len);
		event->len = len;
		event->header.sequence = q->sequence;
		list_add_tail(&event->node, &q->deliver);
		q->num_events++;
		q->lost = false;
	} else {
		rc = q->num_events < q->depth ? -ENOMEM : 0;
		q->lost = true;
		q->lost_header.flags = VEVENTQ_FLAG_LOST_EVENTS;
		q->lost_header.sequence = q->sequence;
	}
	q->sequence = (q->sequence + 1) & INT32_MAX;
	if (q->file)
		file_notify(q->file);
	return rc;
}

static ssize_t veventq_read(struct file *file, struct call *call, u64 ubuf, size_t len,
			    u64 pos)
{
	struct iommufd_veventq *q = file->private;
	struct vevent *event, *next;
	size_t done = 0;
	int rc = 0;

	list_for_each_entry_safe(event, next, &q->deliver, node) {
		if (sizeof(event->header) + event->len > len - done)
			return (ssize_t)done;
		rc = copy_to_user(call, ubuf + done, &event->header,
				  sizeof(event->header));
		if (!rc)
			rc = copy_to_user(call, ubuf + done + sizeof(event->header),
					  event->data, event->len);
		if (rc)
			return done ? (ssize_t)done : rc;
		done += sizeof(event->header) + event->len;
		list_del(&event->node);
		kfree(event);
		q->num_events--;
	}
	if (q->lost && sizeof(q->lost_header) <= len - done) {
		rc = copy_to_user(call, ubuf + done, &q->lost_header,
				  sizeof(q->lost_header));
		if (rc)
			return done ? (ssize_t)done : rc;
		done += sizeof(q->lost_header);
		q->lost = false;
	}
	return (ssize_t)done;
}

static u32 veventq_poll(struct file *file)
{
	struct iommufd_veventq *q = file->private;

	return q->lost || !list_empty(&q->deliver) ? EPOLLIN | EPOLLRDNORM : 0;
}

static void veventq_release(struct file *file)
{
	struct iommufd_veventq *q = file->private;
	struct iommufd_ctx *ictx = q->viommu->ictx;

	q->file = NULL;
	q->obj.users--;
	iommufd_ctx_put(ictx);
}

static const struct file_operations veventq_fops = {
	.name = "[iommufd-viommu-event]",
	.read = veventq_read,
	.poll = veventq_poll,
	.release = veventq_release,
};

void iommufd_veventq_destroy(struct iommufd_object *obj)
{
	struct iommufd_veventq *q = container_of(obj, struct iommufd_veventq, obj);
	struct vevent *event, *next;

	list_for_each_entry_safe(event, next, &q->deliver, node)
		kfree(event);
	list_del(&q->node);
	q->viommu->obj.users--;
}

int iommufd_veventq_alloc(struct iommufd_ucmd *ucmd)
{
	struct iommu_veventq_alloc *cmd = ucmd->cmd;
	struct iommufd_viommu *viommu;
	struct iommufd_veventq *q;
	long rc;

	if (cmd->flags || cmd->__reserved || cmd->type == 0)
		return -EOPNOTSUPP;
	if (!cmd->veventq_depth)
		return -EINVAL;
	viommu = iommufd_get_viommu(ucmd, cmd->viommu_id);
	if (IS_ERR(viommu))
		return (int)PTR_ERR(viommu);
	if (find_veventq(viommu, cmd->type))
		return -EEXIST;
	q = iommufd_object_alloc(ucmd->ictx, q, IOMMUFD_OBJ_VEVENTQ);
	if (IS_ERR(q))
		return (int)PTR_ERR(q);
	q->viommu = viommu;
	viommu->obj.users++;
	q->type = cmd->type;
	q->depth = cmd->veventq_depth;
	INIT_LIST_HEAD(&q->deliver);
	list_add_tail(&q->node, &viommu->veventqs);
	q->file = file_alloc(ucmd->ictx->machine, &veventq_fops, q, O_RDWR);
	if (IS_ERR(q->file)) {
		rc = PTR_ERR(q->file);
		goto err_abort;
	}
	q->obj.users++;
	iommufd_ctx_get(ucmd->ictx);
	cmd->out_veventq_id = q->obj.id;
	cmd->out_veventq_fd = 0;
	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	if (!rc)
		rc = call_install_fd(ucmd->call, q->file,
				     ucmd->ubuffer + offsetof(struct iommu_veventq_alloc,
							      out_veventq_fd));
	if (rc < 0) {
		fput(q->file);
		goto err_abort;
	}
	iommufd_object_finalize(ucmd->ictx, &q->obj);
	return 0;

err_abort:
	iommufd_object_abort_and_destroy(ucmd->ictx, &q->obj);
	return (int)rc;
}
