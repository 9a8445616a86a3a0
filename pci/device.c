// SPDX-License-Identifier: MIT
/*
 * What a driver does with its device: enabling, bus mastering, INTx masking, power
 * state (drivers/pci/pci.c). The caller's own exclusion (device lock, open count)
 * protects the fields changed here.
 */
#include "machine/machine.h"
#include "pci/priv.h"

static void set_command(struct pci_dev *pdev, u16 clear, u16 set)
{
	u16 old, cmd;

	pci_read_config_word(pdev, PCI_COMMAND, &old);
	cmd = (u16)((old & ~clear) | set);
	if (cmd != old)
		pci_write_config_word(pdev, PCI_COMMAND, cmd);
}

/* All bridges on the way up decode and forward. */
static void enable_bridge(struct pci_dev *bridge)
{
	if (!bridge)
		return;
	enable_bridge(pci_upstream_bridge(bridge));
	if (!pci_is_enabled(bridge) && pci_enable_device(bridge))
		return;
	if (!bridge->is_busmaster)
		pci_set_master(bridge);
}

int pci_enable_device(struct pci_dev *pdev)
{
	u16 decode = 0;
	unsigned i;
	int ret;

	if (pdev->enable_cnt++ > 0)
		return 0;
	enable_bridge(pci_upstream_bridge(pdev));
	ret = pci_set_power_state(pdev, 0);
	if (ret && ret != -EIO) {
		pdev->enable_cnt--;
		return ret;
	}
	for (i = 0; i < PCI_NUM_RESOURCES; i++) {
		if (i >= PCI_ROM_RESOURCE && i < PCI_BRIDGE_RESOURCES)
			continue;
		if (!pci_resource_len(pdev, i))
			continue;
		decode |= pdev->resource[i].flags & IORESOURCE_IO ? PCI_COMMAND_IO
								  : PCI_COMMAND_MEMORY;
	}
	set_command(pdev, 0, decode);
	if (pdev->pin && !pdev->msi_enabled && !pdev->msix_enabled)
		set_command(pdev, PCI_COMMAND_INTX_DISABLE, 0);
	return 0;
}

void pci_disable_device(struct pci_dev *pdev)
{
	if (pdev->enable_cnt <= 0 || --pdev->enable_cnt)
		return;
	set_command(pdev, PCI_COMMAND_MASTER, 0);
	pdev->is_busmaster = false;
}

void pci_set_master(struct pci_dev *pdev)
{
	set_command(pdev, 0, PCI_COMMAND_MASTER);
	pdev->is_busmaster = true;
}

void pci_clear_master(struct pci_dev *pdev)
{
	set_command(pdev, PCI_COMMAND_MASTER, 0);
	pdev->is_busmaster = false;
}

void pci_intx(struct pci_dev *pdev, bool enable)
{
	set_command(pdev, enable ? PCI_COMMAND_INTX_DISABLE : 0,
		    enable ? 0 : PCI_COMMAND_INTX_DISABLE);
}

bool pci_intx_mask_supported(struct pci_dev *pdev)
{
	return pdev->pin && !pdev->broken_intx_masking;
}

/* Command and status in one read, so that both belong together. */
static bool check_and_set_mask(struct pci_dev *pdev, bool mask)
{
	u32 both;
	u16 cmd;

	pci_read_config_dword(pdev, PCI_COMMAND, &both);
	if (mask != !!(both >> 16 & PCI_STATUS_INTERRUPT))
		return false;
	cmd = (u16)((both & 0xffff & ~PCI_COMMAND_INTX_DISABLE) |
		    (mask ? PCI_COMMAND_INTX_DISABLE : 0));
	if (cmd != (u16)both)
		pci_write_config_word(pdev, PCI_COMMAND, cmd);
	return true;
}

bool pci_check_and_mask_intx(struct pci_dev *pdev)
{
	return check_and_set_mask(pdev, true);
}

bool pci_check_and_unmask_intx(struct pci_dev *pdev)
{
	return check_and_set_mask(pdev, false);
}

/* BARs as the kernel knows them, after a transition that lost them. */
static void restore_bars(struct pci_dev *pdev)
{
	unsigned nr = pci_is_bridge(pdev) ? 2 : 6, i;

	for (i = 0; i < nr; i++) {
		const struct pci_resource *res = &pdev->resource[i];
		int reg = PCI_BASE_ADDRESS_0 + 4 * (int)i;

		if (!pci_resource_len(pdev, i))
			continue;
		pci_write_config_dword(pdev, reg, (u32)res->start);
		if (res->flags & IORESOURCE_MEM_64)
			pci_write_config_dword(pdev, reg + 4, (u32)(res->start >> 32));
	}
}

/* Return: 0, -EINVAL for no such state, -EIO where the device cannot go there. */
int pci_set_power_state(struct pci_dev *pdev, int state)
{
	u16 pmc, csr;

	if (state < 0 || state > 3)
		return -EINVAL;
	if (!pdev->pm_cap)
		return state ? -EIO : 0;
	if (pdev->current_state == state)
		return 0;
	pci_read_config_word(pdev, pdev->pm_cap + PCI_PM_PMC, &pmc);
	if ((state == 1 && !(pmc & 0x0200)) || (state == 2 && !(pmc & 0x0400)))
		return -EIO;
	if (state && pdev->current_state > state)
		return -EINVAL; /* only towards sleep, or to D0 */
	pci_read_config_word(pdev, pdev->pm_cap + PCI_PM_CTRL, &csr);
	if ((csr & PCI_PM_CTRL_STATE_MASK) != state)
		pci_write_config_word(pdev, pdev->pm_cap + PCI_PM_CTRL,
				      (u16)((csr & ~PCI_PM_CTRL_STATE_MASK) | state));
	if (!state && pdev->current_state == 3 && !(csr & PCI_PM_CTRL_NO_SOFT_RESET))
		restore_bars(pdev);
	pdev->current_state = (u8)state;
	return 0;
}
