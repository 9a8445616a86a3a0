// SPDX-License-Identifier: MIT
/*
 * IOMMU_TEST_CMD: mock devices as objects of a context, and operations that look at what
 * iommufd did to the mock IOMMU, or do what hardware would. An operation that is not
 * here says -EOPNOTSUPP, as one that the kernel does not know. Source:
 * drivers/iommu/iommufd/selftest.c.
 */
#include "iommufd/selftest/selftest.h"

#include <fcntl.h>

#include "base/alloc.h"
#include "base/overflow.h"
#include "iommufd/selftest/mock.h"
#include "machine/machine.h"

/* A mock device, bound to the context and attached. */
struct selftest_obj {
	struct iommufd_object obj;
	struct iommufd_device *idev;
	struct mock_dev *mdev;
};

static struct selftest_obj *get_selftest_obj(struct iommufd_ucmd *ucmd, u32 id)
{
	struct iommufd_object *obj =
		iommufd_get_object(ucmd->ictx, id, IOMMUFD_OBJ_SELFTEST);

	return IS_ERR(obj) ? ERR_CAST(obj) : container_of(obj, struct selftest_obj, obj);
}

static struct iommufd_hw_pagetable *get_hwpt(struct iommufd_ucmd *ucmd, u32 id,
					     enum iommufd_object_type type)
{
	struct iommufd_object *obj = iommufd_get_object(ucmd->ictx, id, type);

	return IS_ERR(obj) ? ERR_CAST(obj)
			   : container_of(obj, struct iommufd_hw_pagetable, obj);
}

static struct mock_domain *get_mock_domain(struct iommufd_ucmd *ucmd, u32 id)
{
	struct iommufd_hw_pagetable *hwpt = get_hwpt(ucmd, id, IOMMUFD_OBJ_HWPT_PAGING);
	struct mock_domain *mock;

	if (IS_ERR(hwpt))
		return ERR_CAST(hwpt);
	mock = to_mock_domain(hwpt->domain);
	return mock ? mock : ERR_PTR(-EINVAL);
}

/* --- devices -------------------------------------------------------------------------
 */

static void selftest_destroy(struct iommufd_object *obj)
{
	struct selftest_obj *sobj = container_of(obj, struct selftest_obj, obj);
	struct iommufd_attach *attach;
	u64 pasid;

	xa_for_each(&sobj->idev->igroup->pasid_attach, pasid, attach)
		iommufd_device_detach(sobj->idev, (ioasid_t)pasid);
	iommufd_device_unbind(sobj->idev);
	mock_dev_destroy(sobj->mdev);
}

static int mock_domain(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct selftest_obj *sobj;
	u32 pt_id = cmd->id, flags = 0, idev_id;
	int rc;

	sobj = iommufd_object_alloc(ucmd->ictx, sobj, IOMMUFD_OBJ_SELFTEST);
	if (IS_ERR(sobj))
		return (int)PTR_ERR(sobj);
	if (cmd->op == IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS)
		flags = cmd->mock_domain.dev_flags;
	sobj->mdev = mock_dev_create(ucmd->ictx->machine, flags);
	if (IS_ERR(sobj->mdev)) {
		rc = (int)PTR_ERR(sobj->mdev);
		goto err_abort;
	}
	sobj->idev = iommufd_device_bind(ucmd->ictx, &sobj->mdev->dev, &idev_id);
	if (IS_ERR(sobj->idev)) {
		rc = (int)PTR_ERR(sobj->idev);
		goto err_mdev;
	}
	rc = iommufd_device_attach(sobj->idev, IOMMU_NO_PASID, &pt_id);
	if (rc)
		goto err_unbind;
	cmd->mock_domain.out_hwpt_id = pt_id;
	cmd->mock_domain.out_stdev_id = sobj->obj.id;
	cmd->mock_domain.out_idev_id = idev_id;
	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	if (rc)
		goto err_detach;
	iommufd_object_finalize(ucmd->ictx, &sobj->obj);
	return 0;

err_detach:
	iommufd_device_detach(sobj->idev, IOMMU_NO_PASID);
err_unbind:
	iommufd_device_unbind(sobj->idev);
err_mdev:
	mock_dev_destroy(sobj->mdev);
err_abort:
	iommufd_object_abort(ucmd->ictx, &sobj->obj);
	return rc;
}

static int mock_domain_replace(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct selftest_obj *sobj = get_selftest_obj(ucmd, cmd->id);
	u32 pt_id = cmd->mock_domain_replace.pt_id;
	int rc;

	if (IS_ERR(sobj))
		return (int)PTR_ERR(sobj);
	rc = iommufd_device_replace(sobj->idev, IOMMU_NO_PASID, &pt_id);
	if (rc)
		return rc;
	cmd->mock_domain_replace.pt_id = pt_id;
	return iommufd_ucmd_respond(ucmd, sizeof(*cmd));
}

static int check_dev_cache(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommufd_device *idev = iommufd_get_device(ucmd, cmd->id);
	u32 slot = cmd->check_dev_cache.id;

	if (IS_ERR(idev))
		return (int)PTR_ERR(idev);
	if (!iommufd_is_test_device(idev->dev) || slot >= MOCK_DEV_CACHE_NUM ||
	    to_mock_dev(idev->dev)->cache[slot] != cmd->check_dev_cache.cache)
		return -EINVAL;
	return 0;
}

static int trigger_iopf(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommufd_device *idev = iommufd_get_device(ucmd, cmd->trigger_iopf.dev_id);
	struct iommufd_page_request req = {
		.pasid = cmd->trigger_iopf.pasid,
		.grpid = cmd->trigger_iopf.grpid,
		.perm = cmd->trigger_iopf.perm,
		.addr = cmd->trigger_iopf.addr,
	};

	if (IS_ERR(idev))
		return (int)PTR_ERR(idev);
	req.pasid_valid = req.pasid != IOMMU_NO_PASID;
	/* What nobody listens for is answered at once. */
	(void)iommufd_fault_report(idev, &req);
	return 0;
}

static int trigger_vevent(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommufd_device *idev =
		iommufd_get_device(ucmd, cmd->trigger_vevent.dev_id);
	struct iommu_viommu_event_selftest event;
	struct mock_dev *mdev;

	if (IS_ERR(idev))
		return (int)PTR_ERR(idev);
	if (!iommufd_is_test_device(idev->dev))
		return -ENOENT;
	mdev = to_mock_dev(idev->dev);
	if (!mdev->viommu || !mdev->vdev_id)
		return -ENOENT;
	event.virt_id = (u32)mdev->vdev_id;
	return iommufd_viommu_report_event(mdev->viommu, IOMMU_VEVENTQ_TYPE_SELFTEST,
					   &event, sizeof(event));
}

/* --- PASIDs --------------------------------------------------------------------------
 */

static int pasid_attach(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct selftest_obj *sobj = get_selftest_obj(ucmd, cmd->id);
	u32 pasid = cmd->pasid_attach.pasid;
	int rc;

	if (IS_ERR(sobj))
		return (int)PTR_ERR(sobj);
	if (cmd->op == IOMMU_TEST_OP_PASID_REPLACE) {
		rc = iommufd_device_replace(sobj->idev, pasid, &cmd->pasid_attach.pt_id);
		return rc ? rc : iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	}
	rc = iommufd_device_attach(sobj->idev, pasid, &cmd->pasid_attach.pt_id);
	if (rc)
		return rc;
	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	if (rc)
		iommufd_device_detach(sobj->idev, pasid);
	return rc;
}

/* The attachment that the device came with is not a test's to take. */
static int pasid_detach(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct selftest_obj *sobj = get_selftest_obj(ucmd, cmd->id);

	if (IS_ERR(sobj))
		return (int)PTR_ERR(sobj);
	iommufd_device_detach(sobj->idev, cmd->pasid_attach.pasid);
	return 0;
}

static int pasid_check_hwpt(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct selftest_obj *sobj = get_selftest_obj(ucmd, cmd->id);
	struct iommu_attach_handle *handle;
	struct iommufd_hw_pagetable *hwpt;
	struct iommu_domain *attached;

	if (IS_ERR(sobj))
		return (int)PTR_ERR(sobj);
	handle = iommu_attach_handle_get(sobj->mdev->dev.iommu_group,
					 cmd->pasid_check.pasid, 0);
	attached = IS_ERR_OR_NULL(handle) ? NULL : handle->domain;
	if (!cmd->pasid_check.hwpt_id)
		return attached ? -EINVAL : 0;
	hwpt = get_hwpt(ucmd, cmd->pasid_check.hwpt_id, IOMMUFD_OBJ_ANY);
	if (IS_ERR(hwpt))
		return (int)PTR_ERR(hwpt);
	if (hwpt->obj.type != IOMMUFD_OBJ_HWPT_PAGING &&
	    hwpt->obj.type != IOMMUFD_OBJ_HWPT_NESTED)
		return -EINVAL;
	return attached == hwpt->domain ? 0 : -EINVAL;
}

/* --- looking at the mock IOMMU -------------------------------------------------------
 */

static int add_reserved(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	u64 start = cmd->add_reserved.start, last;
	struct iommufd_ioas *ioas;

	if (!cmd->add_reserved.length)
		return -EINVAL;
	if (check_add_overflow(start, cmd->add_reserved.length - 1, &last))
		return -EOVERFLOW;
	ioas = iommufd_get_ioas(ucmd->ictx, cmd->id);
	return IS_ERR(ioas) ? (int)PTR_ERR(ioas)
			    : iopt_reserve_iova(&ioas->iopt, start, last, NULL);
}

static int check_map(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	u64 iova = cmd->check_map.iova, uptr = cmd->check_map.uptr, end, page;
	struct mock_domain *mock = get_mock_domain(ucmd, cmd->id);
	int rc = 0;

	if (IS_ERR(mock))
		return (int)PTR_ERR(mock);
	page = mock->domain.pgsize_bitmap & -mock->domain.pgsize_bitmap;
	if ((iova | uptr | cmd->check_map.length) % page ||
	    check_add_overflow(uptr, cmd->check_map.length, &end))
		return -EINVAL;
	for (; uptr < end && !rc; iova += page, uptr += page)
		rc = selftest_check_phys(
			ucmd->call, mock->domain.ops->iova_to_phys(&mock->domain, iova),
			uptr, -EINVAL);
	return rc;
}

static int check_refs(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	u64 uptr = cmd->check_refs.uptr, length = cmd->check_refs.length, end;
	struct mm *mm = call_mm(ucmd->call);
	bool special;
	phys_addr_t phys;

	if ((uptr | length) % PAGE_SIZE || check_add_overflow(uptr, length, &end))
		return -EINVAL;
	for (; uptr < end; uptr += PAGE_SIZE) {
		if (!mm->ops->accessible(mm, uptr, PAGE_SIZE, false, &special, &phys))
			return -EFAULT;
		if (mm_pin_count(ucmd->ictx->machine, mm, uptr) != cmd->check_refs.refs)
			return -EIO;
	}
	return 0;
}

static int check_iotlb(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct iommufd_hw_pagetable *hwpt =
		get_hwpt(ucmd, cmd->id, IOMMUFD_OBJ_HWPT_NESTED);
	struct mock_nested *nested;

	if (IS_ERR(hwpt))
		return (int)PTR_ERR(hwpt);
	nested = to_mock_nested(hwpt->domain);
	if (!nested || cmd->check_iotlb.id >= MOCK_NESTED_DOMAIN_IOTLB_NUM ||
	    nested->iotlb[cmd->check_iotlb.id] != cmd->check_iotlb.iotlb)
		return -EINVAL;
	return 0;
}

static int set_dirty(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	u64 page_size = cmd->dirty.page_size, length = cmd->dirty.length, nbits, nr = 0;
	struct mock_domain *mock;
	u8 *bits;
	int rc;

	if (!page_size || !length || cmd->dirty.iova % page_size || length % page_size ||
	    !cmd->dirty.uptr)
		return -EINVAL;
	mock = get_mock_domain(ucmd, cmd->id);
	if (IS_ERR(mock))
		return (int)PTR_ERR(mock);
	if (!mock->track_dirty)
		return -EINVAL;
	nbits = length / page_size;
	/* As much as kvzalloc() gives there. */
	if (nbits / 8 > INT32_MAX)
		return -ENOMEM;
	bits = kzalloc(nbits / 8 + 1);
	if (!bits)
		return -ENOMEM;
	rc = copy_from_user(ucmd->call, bits, cmd->dirty.uptr, DIV_ROUND_UP(nbits, 8));
	for (u64 i = 0; i < nbits && !rc; i++) {
		if (!(bits[i / 8] & (1 << (i % 8))))
			continue;
		mock_domain_set_dirty(mock, cmd->dirty.iova + i * page_size);
		nr++;
	}
	kfree(bits);
	if (rc)
		return rc;
	cmd->dirty.out_nr_dirty = nr;
	return iommufd_ucmd_respond(ucmd, sizeof(*cmd));
}

/* --- dma-bufs ------------------------------------------------------------------------
 */

/* A dma-buf that cannot be mapped: ordinary programs cannot do more with it either. */
static const struct file_operations dmabuf_fops = {
	.name = "dmabuf",
};

static int dmabuf_get(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	u64 length = ALIGN((u64)cmd->dmabuf_get.length, PAGE_SIZE);
	struct file *file;
	long rc;

	if (!length || length > PAGE_SIZE * 512)
		return -EINVAL;
	file = file_alloc(ucmd->ictx->machine, &dmabuf_fops, NULL,
			  (int)cmd->dmabuf_get.open_flags & (O_ACCMODE | O_NONBLOCK));
	if (IS_ERR(file))
		return (int)PTR_ERR(file);
	rc = call_install_fd(ucmd->call, file, 0);
	if (rc < 0)
		fput(file);
	return (int)rc;
}

/* Nothing can be mapped from one, so there is nothing to take away. */
static int dmabuf_revoke(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;
	struct file *file = call_fget(ucmd->call, cmd->dmabuf_revoke.dmabuf_fd);
	bool ours;

	if (IS_ERR(file))
		return PTR_ERR(file) == -ENOTTY ? -EINVAL : (int)PTR_ERR(file);
	ours = file->ops == &dmabuf_fops;
	fput(file);
	return ours ? 0 : -EINVAL;
}

/* --- the ioctl -----------------------------------------------------------------------
 */

static int selftest_ioctl(struct iommufd_ucmd *ucmd)
{
	struct iommu_test_cmd *cmd = ucmd->cmd;

	switch (cmd->op) {
	case IOMMU_TEST_OP_ADD_RESERVED:
		return add_reserved(ucmd);
	case IOMMU_TEST_OP_MOCK_DOMAIN:
	case IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS:
		return mock_domain(ucmd);
	case IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE:
		return mock_domain_replace(ucmd);
	case IOMMU_TEST_OP_MD_CHECK_MAP:
		return check_map(ucmd);
	case IOMMU_TEST_OP_MD_CHECK_REFS:
		return check_refs(ucmd);
	case IOMMU_TEST_OP_MD_CHECK_IOTLB:
		return check_iotlb(ucmd);
	case IOMMU_TEST_OP_DEV_CHECK_CACHE:
		return check_dev_cache(ucmd);
	case IOMMU_TEST_OP_CREATE_ACCESS:
		return selftest_create_access(ucmd);
	case IOMMU_TEST_OP_ACCESS_REPLACE_IOAS:
		return selftest_access_replace_ioas(ucmd);
	case IOMMU_TEST_OP_ACCESS_PAGES:
		return selftest_access_pages(ucmd);
	case IOMMU_TEST_OP_DESTROY_ACCESS_PAGES:
		return selftest_destroy_access_pages(ucmd);
	case IOMMU_TEST_OP_ACCESS_RW:
		return selftest_access_rw(ucmd);
	case IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT:
		/* Limits batches of the kernel's engine, of which there are none here. */
		return cmd->memory_limit.limit < sizeof(u64) + sizeof(u32) ? -EINVAL : 0;
	case IOMMU_TEST_OP_DIRTY:
		return set_dirty(ucmd);
	case IOMMU_TEST_OP_TRIGGER_IOPF:
		return trigger_iopf(ucmd);
	case IOMMU_TEST_OP_TRIGGER_VEVENT:
		return trigger_vevent(ucmd);
	case IOMMU_TEST_OP_PASID_ATTACH:
	case IOMMU_TEST_OP_PASID_REPLACE:
		return pasid_attach(ucmd);
	case IOMMU_TEST_OP_PASID_DETACH:
		return pasid_detach(ucmd);
	case IOMMU_TEST_OP_PASID_CHECK_HWPT:
		return pasid_check_hwpt(ucmd);
	case IOMMU_TEST_OP_DMABUF_GET:
		return dmabuf_get(ucmd);
	case IOMMU_TEST_OP_DMABUF_REVOKE:
		return dmabuf_revoke(ucmd);
	default:
		return -EOPNOTSUPP;
	}
}

/* --- in a machine --------------------------------------------------------------------
 */

static const struct bus_type mock_bus_type = {
	.name = "iommufd_mock",
};

static void selftest_free(struct machine *m)
{
	struct mock_iommu *mock = machine_mock_iommu(m);

	m->iommufd->test = NULL;
	iommu_device_unregister(&mock->iommu);
	bus_unregister(mock->test.bus);
	WARN_ON(!xa_empty(&mock->dev_ids));
	xa_destroy(&mock->dev_ids);
	kfree(mock);
}

int iommufd_selftest_enable(struct machine *m)
{
	struct mock_iommu *mock;
	int rc;

	if (m->iommufd->test)
		return -EEXIST;
	mock = kzalloc(sizeof(*mock));
	if (!mock)
		return -ENOMEM;
	xa_init(&mock->dev_ids);
	mock->test.ioctl = selftest_ioctl;
	mock->test.viommu_ops = &mock_viommu_ops;
	mock->test.destroy_object = selftest_destroy;
	mock->test.free = selftest_free;
	mock->iommu.name = "selftest_iommu_dev.0";
	mock->iommu.fwnode = mock;
	mock->iommu.max_pasids = 1U << MOCK_PASID_WIDTH;
	rc = bus_register(m, &mock_bus_type, &mock->test.bus);
	if (rc)
		goto err_free;
	m->iommufd->test = &mock->test;
	rc = iommu_device_register(m, &mock->iommu, &mock_iommu_ops);
	if (rc)
		goto err_bus;
	return 0;

err_bus:
	m->iommufd->test = NULL;
	bus_unregister(mock->test.bus);
err_free:
	kfree(mock);
	return rc;
}
