// SPDX-License-Identifier: MIT
/*
 * Saving a device's configuration before something loses it, and putting it back: the
 * header from its end to its start, so that decoding comes on last, and of the
 * capabilities what software controls (drivers/pci/pci.c: pci_save_state(),
 * pci_restore_state()). Memory for it comes with the device: nothing here can fail
 * for want of it, except a copy that a driver asks for.
 */
#include <string.h>

#include "base/alloc.h"
#include "machine/machine.h"
#include "pci/bytes.h"
#include "pci/priv.h"

struct pci_saved_state {
	u16 size;
	u8 config[];
};

int pci_save_state(struct pci_dev *pdev)
{
	pci_read_config(pdev, 0, pdev->saved_config, pdev->cfg_size);
	pdev->state_saved = true;
	return 0;
}

static void restore_dword(struct pci_dev *pdev, int off, bool force)
{
	u32 val, want = get32(pdev->saved_config + off);

	pci_read_config_dword(pdev, off, &val);
	if (val != want || force)
		pci_write_config_dword(pdev, off, want);
}

static void restore_word(struct pci_dev *pdev, int off)
{
	pci_write_config_word(pdev, off, get16(pdev->saved_config + off));
}

static void restore_pcie(struct pci_dev *pdev)
{
	static const u8 regs[] = {PCI_EXP_DEVCTL, PCI_EXP_LNKCTL,  PCI_EXP_SLTCTL,
				  PCI_EXP_RTCTL,  PCI_EXP_DEVCTL2, PCI_EXP_LNKCTL2,
				  PCI_EXP_SLTCTL2};
	bool v2 = (pdev->pcie_flags_reg & PCI_EXP_FLAGS_VERS) > 1;
	unsigned i;

	for (i = 0; pdev->pcie_cap && i < ARRAY_SIZE(regs); i++) {
		if (regs[i] < 0x14 || v2)
			restore_word(pdev, pdev->pcie_cap + regs[i]);
	}
}

void pci_restore_state(struct pci_dev *pdev)
{
	u16 ltr = pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_LTR);
	int off;

	if (!pdev->state_saved)
		return;
	restore_pcie(pdev);
	if (ltr)
		restore_dword(pdev, ltr + 4, false);
	for (off = 0x3c; off >= 0; off -= 4)
		restore_dword(pdev, off,
			      off == PCI_PREF_MEMORY_BASE && pci_is_bridge(pdev));
	pci_restore_msi_state(pdev);
	if (pdev->host->acs_requested)
		pci_enable_acs(pdev);
	pdev->state_saved = false;
}

struct pci_saved_state *pci_store_saved_state(struct pci_dev *pdev)
{
	struct pci_saved_state *state;

	if (!pdev->state_saved)
		return NULL;
	state = kmalloc(sizeof(*state) + pdev->cfg_size);
	if (!state)
		return NULL;
	state->size = pdev->cfg_size;
	memcpy(state->config, pdev->saved_config, state->size);
	return state;
}

int pci_load_saved_state(struct pci_dev *pdev, const struct pci_saved_state *state)
{
	pdev->state_saved = false;
	if (!state)
		return 0;
	if (state->size != pdev->cfg_size)
		return -EINVAL;
	memcpy(pdev->saved_config, state->config, state->size);
	pdev->state_saved = true;
	return 0;
}

int pci_load_and_free_saved_state(struct pci_dev *pdev, struct pci_saved_state **state)
{
	int ret = pci_load_saved_state(pdev, *state);

	pci_free_saved_state(*state);
	*state = NULL;
	return ret;
}

void pci_free_saved_state(struct pci_saved_state *state)
{
	kfree(state);
}
