// SPDX-License-Identifier: MIT
/*
 * Capability chains behind INFO structures, and the checks that SET_IRQS and
 * DEVICE_FEATURE have in common (source of behaviour: drivers/vfio/vfio_main.c,
 * include/linux/vfio.h).
 *
 * A chain is built with offsets from its own start; the first element is at 0, so an
 * offset of 0 ends the chain both before and after it is shifted to its place.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/overflow.h"
#include "vfio/vfio.h"

struct vfio_info_cap_header *vfio_info_cap_add(struct vfio_info_cap *caps, size_t size,
					       u16 id, u16 version)
{
	struct vfio_info_cap_header *header, *last;
	void *buf;

	size = ALIGN(size, sizeof(u64));
	buf = krealloc(caps->buf, size_add(caps->size, size));
	if (!buf) {
		kfree(caps->buf);
		caps->buf = NULL;
		caps->size = 0;
		return ERR_PTR(-ENOMEM);
	}
	caps->buf = buf;
	header = (void *)((u8 *)buf + caps->size);
	memset(header, 0, size);
	header->id = id;
	header->version = version;
	for (last = buf; last->next; last = (void *)((u8 *)buf + last->next))
		;
	last->next = (u32)caps->size;
	caps->size += size;
	return header;
}

int vfio_info_add_capability(struct vfio_info_cap *caps,
			     const struct vfio_info_cap_header *cap, size_t size)
{
	struct vfio_info_cap_header *header =
		vfio_info_cap_add(caps, size, cap->id, cap->version);

	if (IS_ERR(header))
		return (int)PTR_ERR(header);
	memcpy(header + 1, cap + 1, size - sizeof(*cap));
	return 0;
}

void vfio_info_cap_shift(struct vfio_info_cap *caps, size_t offset)
{
	struct vfio_info_cap_header *cap = caps->buf;

	while (cap && cap->next) {
		u32 next = cap->next;

		cap->next += (u32)offset;
		cap = (void *)((u8 *)caps->buf + next);
	}
}

int vfio_check_feature(u32 flags, size_t argsz, u32 supported_ops, size_t minsz)
{
	u32 ops = flags & (VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET);

	if (ops & ~supported_ops)
		return -EINVAL;
	if (flags & VFIO_DEVICE_FEATURE_PROBE)
		return 0;
	if (!ops || argsz < minsz)
		return -EINVAL;
	return 1;
}

int vfio_set_irqs_validate_and_prepare(const struct vfio_irq_set *hdr, u32 num_irqs,
				       u32 max_irq_type, size_t *data_size)
{
	const size_t minsz = offsetofend(struct vfio_irq_set, count);
	size_t each;

	*data_size = 0;
	if (hdr->argsz < minsz || hdr->index >= max_irq_type ||
	    hdr->count >= UINT32_MAX - hdr->start ||
	    hdr->flags & ~(VFIO_IRQ_SET_DATA_TYPE_MASK | VFIO_IRQ_SET_ACTION_TYPE_MASK))
		return -EINVAL;
	if (hdr->start >= num_irqs || hdr->start + hdr->count > num_irqs)
		return -EINVAL;
	switch (hdr->flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
	case VFIO_IRQ_SET_DATA_NONE:
		return 0;
	case VFIO_IRQ_SET_DATA_BOOL:
		each = sizeof(u8);
		break;
	case VFIO_IRQ_SET_DATA_EVENTFD:
		each = sizeof(s32);
		break;
	default:
		return -EINVAL;
	}
	if (hdr->argsz - minsz < hdr->count * each)
		return -EINVAL;
	*data_size = hdr->count * each;
	return 0;
}
