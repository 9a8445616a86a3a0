// SPDX-License-Identifier: MIT
/*
 * First open and last close of a device: it is enabled and reset, its state is saved;
 * at the end everything the program set up is taken down and the saved state comes back,
 * after a reset of the function, or of the whole bus once nobody on it is open.
 *
 * Low power (DEVICE_FEATURE_LOW_POWER_*): a device that was asked to sleep does so when
 * no request is under way (pm_put) and wakes for the next one (pm_get).
 */
#define LOG_SUBSYSTEM "vfio"
#include "base/log.h"
#include "vfio/pci_priv.h"

bool vfio_pci_memory_enabled(const struct vfio_pci_core_device *vdev)
{
	return vdev->pdev->current_state < 3 &&
	       (vdev->pdev->is_virtfn ||
		vconfig_word(vdev, PCI_COMMAND) & PCI_COMMAND_MEMORY);
}

/* ---- power ----------------------------------------------------------------------------
 */

void vfio_pci_probe_power_state(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	u16 pmcsr;

	if (pdev->pm_cap &&
	    !pci_read_config_word(pdev, pdev->pm_cap + PCI_PM_CTRL, &pmcsr))
		vdev->needs_pm_restore = !(pmcsr & PCI_PM_CTRL_NO_SOFT_RESET);
}

/* A device that loses its registers on the way back from D3 gets them from here. */
int vfio_pci_set_power_state(struct vfio_pci_core_device *vdev, int state)
{
	struct pci_dev *pdev = vdev->pdev;
	bool needs_restore = false, needs_save = false;
	int ret;

	if (vdev->needs_pm_restore) {
		if (pdev->current_state < 3 && state >= 3) {
			pci_save_state(pdev);
			needs_save = true;
		}
		needs_restore = pdev->current_state >= 3 && state == 0;
	}
	ret = pci_set_power_state(pdev, state);
	if (ret)
		return ret;
	if (needs_save && pdev->current_state >= 3) {
		pci_free_saved_state(vdev->pm_save);
		vdev->pm_save = pci_store_saved_state(pdev);
	} else if (needs_restore) {
		if (!pci_load_and_free_saved_state(pdev, &vdev->pm_save))
			pci_restore_state(pdev);
	}
	return 0;
}

void vfio_pci_pm_get(struct vfio_device *core_vdev)
{
	struct vfio_pci_core_device *vdev = to_vfio_pci(core_vdev);

	if (!vdev->pm_suspended)
		return;
	vdev->pm_suspended = false;
	if (vdev->pm_wake_eventfd >= 0) {
		vfio_eventfd_signal(vdev->pm_wake_eventfd);
		vfio_eventfd_close(&vdev->pm_wake_eventfd);
		vdev->pm_runtime_engaged = false;
	}
	if (vdev->pm_intx_masked)
		vfio_pci_intx_unmask(vdev);
}

void vfio_pci_pm_put(struct vfio_device *core_vdev)
{
	struct vfio_pci_core_device *vdev = to_vfio_pci(core_vdev);

	if (!vdev->pm_runtime_engaged || vdev->pm_suspended)
		return;
	vfio_pci_set_power_state(vdev, 0);
	vdev->pm_intx_masked =
		vdev->irq_type == VFIO_PCI_INTX_IRQ_INDEX && vfio_pci_intx_mask(vdev);
	vdev->pm_suspended = true;
}

/* ---- open
 * -------------------------------------------------------------------------------- */

/* Intel's 40-gigabit Ethernet controllers: their INTx cannot be told apart. */
static bool intx_is_broken(const struct pci_dev *pdev)
{
	if (pdev->vendor != PCI_VENDOR_ID_INTEL)
		return false;
	switch (pdev->device) {
	case 0x1563:
	case 0x1572:
	case 0x1574:
	case 0x1580 ... 0x1581:
	case 0x1583 ... 0x158b:
	case 0x37d0 ... 0x37d2:
		return true;
	default:
		return false;
	}
}

static void find_msix_table(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	u32 table = 0;
	u16 flags = 0;

	vdev->msix_bar = 0xff;
	if (!pdev->msix_cap ||
	    pci_read_config_word(pdev, pdev->msix_cap + PCI_MSIX_FLAGS, &flags) ||
	    pci_read_config_dword(pdev, pdev->msix_cap + PCI_MSIX_TABLE, &table))
		return;
	vdev->msix_bar = table & PCI_MSIX_BIR;
	vdev->msix_offset = table & PCI_MSIX_OFFSET;
	vdev->msix_size = ((flags & PCI_MSIX_FLAGS_QSIZE) + 1U) * PCI_MSIX_ENTRY_SIZE;
}

int vfio_pci_open_device(struct vfio_device *core_vdev)
{
	struct vfio_pci_core_device *vdev = to_vfio_pci(core_vdev);
	struct pci_dev *pdev = vdev->pdev;
	u16 cmd = 0;
	int ret;

	vfio_pci_set_power_state(vdev, 0);
	/* Nothing that a program left behind may do DMA. */
	pci_clear_master(pdev);
	ret = pci_enable_device(pdev);
	if (ret)
		return ret;
	ret = pci_try_reset_function(pdev);
	if (ret == -EAGAIN)
		goto err_disable;
	vdev->reset_works = !ret;
	ret = pci_save_state(pdev);
	if (ret)
		goto err_disable;
	vdev->pci_saved_state = pci_store_saved_state(pdev);
	if (!vdev->pci_saved_state)
		pr_debug("%s: Couldn't store saved state", pci_name(pdev));

	vdev->nointx = false;
	vdev->pci_2_3 = false;
	if (!core_vdev->core->params.nointxmask) {
		if (intx_is_broken(pdev)) {
			vdev->nointx = true;
			pci_intx(pdev, false);
		} else {
			vdev->pci_2_3 = pci_intx_mask_supported(pdev);
		}
	}
	pci_read_config_word(pdev, PCI_COMMAND, &cmd);
	if (vdev->pci_2_3 && cmd & PCI_COMMAND_INTX_DISABLE)
		pci_write_config_word(pdev, PCI_COMMAND,
				      cmd & (u16)~PCI_COMMAND_INTX_DISABLE);
	ret = vfio_config_init(vdev);
	if (ret)
		goto err_state;
	find_msix_table(vdev);
	vfio_pci_probe_mmaps(vdev);
	if (vdev->sriov_pf_core_dev)
		vdev->sriov_pf_core_dev->vf_token->users++;
	return 0;

err_state:
	pci_free_saved_state(vdev->pci_saved_state);
	vdev->pci_saved_state = NULL;
err_disable:
	pci_disable_device(pdev);
	return ret;
}

/* ---- close
 * ----------------------------------------------------------------------------------- */

void vfio_pci_close_device(struct vfio_device *core_vdev)
{
	struct vfio_pci_core_device *vdev = to_vfio_pci(core_vdev);
	struct pci_dev *pdev = vdev->pdev;

	if (vdev->sriov_pf_core_dev)
		vdev->sriov_pf_core_dev->vf_token->users--;
	vfio_pci_runtime_pm_exit(vdev);
	vdev->pm_suspended = false;
	vfio_pci_set_power_state(vdev, 0);
	/* First of all: no DMA any more. */
	pci_clear_master(pdev);
	vfio_pci_disable_irqs(vdev);
	vfio_pci_ioeventfd_remove_all(vdev);
	vdev->virq_disabled = false;
	vdev->extended_caps = false;
	vdev->msi_qmax = 0;
	vfio_config_free(vdev);
	vdev->needs_reset = true;

	if (pci_load_and_free_saved_state(pdev, &vdev->pci_saved_state)) {
		pr_info("%s: Couldn't reload saved state", pci_name(pdev));
		if (!vdev->reset_works)
			goto out;
		if (pci_save_state(pdev))
			goto out;
	}
	/* Quiet until the reset: no interrupt, no decoding, no DMA. */
	pci_write_config_word(pdev, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE);
	if (vdev->reset_works && mutex_trylock(&pdev->dev.lock)) {
		if (!__pci_reset_function_locked(pdev))
			vdev->needs_reset = false;
		mutex_unlock(&pdev->dev.lock);
	}
	pci_restore_state(pdev);
out:
	pci_disable_device(pdev);
	vfio_pci_dev_set_try_reset(core_vdev->dev_set);
	vfio_pci_dma_buf_cleanup(vdev);
	vfio_eventfd_close(&vdev->err_trigger);
	vfio_eventfd_close(&vdev->req_trigger);
}
