// SPDX-License-Identifier: MIT
/*
 * MSI and MSI-X from software's side: messages go into the registers, masked while
 * they change, INTx off while either is on (drivers/pci/msi/). What has been
 * programmed is remembered, so that it can be written again after a reset. PCI 3.0
 * section 6.8.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/bitmap.h"
#include "machine/endpoint.h"
#include "machine/irq.h"
#include "machine/machine.h"
#include "pci/bytes.h"
#include "pci/priv.h"

struct pci_msi_state {
	struct msi_msg msi;
	unsigned nvec;	     /* MSI: how many */
	unsigned nr_entries; /* MSI-X: size of the table */
	struct {
		struct msi_msg msg;
		bool used;
	} entry[];
};

unsigned pci_msi_vec_count(struct pci_dev *pdev)
{
	u16 flags;

	if (!pdev->msi_cap || pdev->no_msi)
		return 0;
	pci_read_config_word(pdev, pdev->msi_cap + PCI_MSI_FLAGS, &flags);
	return 1U << min((flags & PCI_MSI_FLAGS_QMASK) >> 1, 5);
}

unsigned pci_msix_vec_count(struct pci_dev *pdev)
{
	u16 flags;

	if (!pdev->msix_cap || pdev->no_msi)
		return 0;
	pci_read_config_word(pdev, pdev->msix_cap + PCI_MSIX_FLAGS, &flags);
	return (flags & PCI_MSIX_FLAGS_QSIZE) + 1U;
}

/* ---- MSI ---- */

static void msi_write_mask(struct pci_dev *pdev, u16 flags, u32 mask)
{
	if (flags & PCI_MSI_FLAGS_MASKBIT)
		pci_write_config_dword(pdev,
				       pdev->msi_cap + (flags & PCI_MSI_FLAGS_64BIT
								? PCI_MSI_MASK_64
								: PCI_MSI_MASK_32),
				       mask);
}

static void msi_program(struct pci_dev *pdev, const struct msi_msg *msg, unsigned nvec)
{
	int pos = pdev->msi_cap;
	u16 flags;

	pci_read_config_word(pdev, pos + PCI_MSI_FLAGS, &flags);
	flags &= (u16) ~(PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
	pci_write_config_word(pdev, pos + PCI_MSI_FLAGS, flags);
	msi_write_mask(pdev, flags, ~0U);
	flags |= (u16)(order_base_2(nvec) << 4);
	pci_write_config_word(pdev, pos + PCI_MSI_FLAGS, flags);
	pci_write_config_dword(pdev, pos + PCI_MSI_ADDRESS_LO, (u32)msg->address);
	if (flags & PCI_MSI_FLAGS_64BIT) {
		pci_write_config_dword(pdev, pos + PCI_MSI_ADDRESS_HI,
				       (u32)(msg->address >> 32));
		pci_write_config_word(pdev, pos + PCI_MSI_DATA_64, (u16)msg->data);
	} else {
		pci_write_config_word(pdev, pos + PCI_MSI_DATA_32, (u16)msg->data);
	}
	pci_intx(pdev, false);
	pci_write_config_word(pdev, pos + PCI_MSI_FLAGS, flags | PCI_MSI_FLAGS_ENABLE);
	msi_write_mask(pdev, flags, ~(u32)GENMASK_ULL(nvec - 1, 0));
}

/* The function adds the vector's number to the low bits of the data. */
static int msi_compose(struct pci_dev *pdev, unsigned nvec, const u32 *irqs,
		       struct msi_msg *out)
{
	struct msi_msg msg;
	unsigned i;
	int ret;

	ret = irq_msi_message(&pdev->dev, irqs[0], out);
	for (i = 1; !ret && i < nvec; i++) {
		ret = irq_msi_message(&pdev->dev, irqs[i], &msg);
		if (!ret && (msg.address != out->address || msg.data != (out->data | i) ||
			     out->data & (roundup_pow_of_two(nvec) - 1)))
			ret = -ENOSPC;
	}
	return ret;
}

int pci_msi_enable(struct pci_dev *pdev, unsigned nvec, const u32 *irqs)
{
	struct pci_msi_state *state;
	int ret;

	if (!nvec || nvec > pci_msi_vec_count(pdev) || pdev->msi_enabled ||
	    pdev->msix_enabled)
		return -EINVAL;
	state = kzalloc(sizeof(*state));
	if (!state)
		return -ENOMEM;
	ret = msi_compose(pdev, nvec, irqs, &state->msi);
	if (ret) {
		kfree(state);
		return ret;
	}
	state->nvec = nvec;
	pdev->msi = state;
	pdev->msi_enabled = true;
	msi_program(pdev, &state->msi, nvec);
	return 0;
}

static void free_state(struct pci_dev *pdev)
{
	kfree(pdev->msi);
	pdev->msi = NULL;
}

void pci_msi_disable(struct pci_dev *pdev)
{
	u16 flags;

	if (!pdev->msi_enabled)
		return;
	pci_read_config_word(pdev, pdev->msi_cap + PCI_MSI_FLAGS, &flags);
	pci_write_config_word(pdev, pdev->msi_cap + PCI_MSI_FLAGS,
			      flags & ~PCI_MSI_FLAGS_ENABLE);
	pci_intx(pdev, true);
	msi_write_mask(pdev, flags, 0); /* as it was found */
	pdev->msi_enabled = false;
	free_state(pdev);
}

/* ---- MSI-X ---- */

static void msix_control(struct pci_dev *pdev, u16 clear, u16 set)
{
	u16 flags;

	pci_read_config_word(pdev, pdev->msix_cap + PCI_MSIX_FLAGS, &flags);
	pci_write_config_word(pdev, pdev->msix_cap + PCI_MSIX_FLAGS,
			      (u16)((flags & ~clear) | set));
}

static void msix_write_entry(struct pci_dev *pdev, unsigned entry,
			     const struct msi_msg *msg, bool masked)
{
	struct hw *hw = &pdev->host->machine->hw;
	u32 table, val;
	u64 off;
	u8 bytes[12];
	unsigned bar;

	pci_read_config_dword(pdev, pdev->msix_cap + PCI_MSIX_TABLE, &table);
	bar = table & PCI_MSIX_BIR;
	off = (table & PCI_MSIX_OFFSET) + (u64)entry * PCI_MSIX_ENTRY_SIZE;
	if (bar >= HW_NR_BARS || pdev->dev.hw_function < 0)
		return;
	if (msg) {
		put64(bytes, msg->address);
		put32(bytes + 8, msg->data);
		if (endpoint_mmio_write(hw, (u32)pdev->dev.hw_function, bar, off, bytes,
					12))
			return;
	}
	val = masked ? PCI_MSIX_ENTRY_CTRL_MASKBIT : 0;
	if (endpoint_mmio_write(hw, (u32)pdev->dev.hw_function, bar,
				off + PCI_MSIX_ENTRY_VECTOR_CTRL, &val, 4))
		return;
}

static void msix_program(struct pci_dev *pdev)
{
	static const struct msi_msg none;
	struct pci_msi_state *s = pdev->msi;
	unsigned i;

	msix_control(pdev, 0, PCI_MSIX_FLAGS_MASKALL | PCI_MSIX_FLAGS_ENABLE);
	for (i = 0; i < s->nr_entries; i++)
		msix_write_entry(pdev, i, s->entry[i].used ? &s->entry[i].msg : &none,
				 true);
	pci_intx(pdev, false);
	for (i = 0; i < s->nr_entries; i++) {
		if (s->entry[i].used)
			msix_write_entry(pdev, i, NULL, false);
	}
	msix_control(pdev, PCI_MSIX_FLAGS_MASKALL, 0);
}

int pci_msix_enable(struct pci_dev *pdev, const struct msix_entry *entries, unsigned nvec)
{
	unsigned count = pci_msix_vec_count(pdev), i;
	struct pci_msi_state *s;
	int ret = 0;

	if (!count || nvec > count || pdev->msi_enabled || pdev->msix_enabled)
		return -EINVAL;
	s = kzalloc(sizeof(*s) + count * sizeof(s->entry[0]));
	if (!s)
		return -ENOMEM;
	s->nr_entries = count;
	for (i = 0; i < nvec && !ret; i++) {
		if (entries[i].entry >= count || s->entry[entries[i].entry].used)
			ret = -EINVAL;
		else
			ret = irq_msi_message(&pdev->dev, entries[i].irq,
					      &s->entry[entries[i].entry].msg);
		if (!ret)
			s->entry[entries[i].entry].used = true;
	}
	if (ret) {
		kfree(s);
		return ret;
	}
	pdev->msi = s;
	pdev->msix_enabled = true;
	msix_program(pdev);
	return 0;
}

int pci_msix_set(struct pci_dev *pdev, u16 entry, u32 irq)
{
	struct pci_msi_state *s = pdev->msi;
	struct msi_msg msg;
	int ret;

	if (!pdev->msix_enabled || entry >= s->nr_entries)
		return -EINVAL;
	ret = irq_msi_message(&pdev->dev, irq, &msg);
	if (ret)
		return ret;
	msix_write_entry(pdev, entry, NULL, true);
	s->entry[entry].msg = msg;
	s->entry[entry].used = true;
	msix_write_entry(pdev, entry, &msg, false);
	return 0;
}

void pci_msix_clear(struct pci_dev *pdev, u16 entry)
{
	struct pci_msi_state *s = pdev->msi;

	if (!pdev->msix_enabled || entry >= s->nr_entries)
		return;
	s->entry[entry].used = false;
	msix_write_entry(pdev, entry, NULL, true);
}

void pci_msix_disable(struct pci_dev *pdev)
{
	unsigned i;

	if (!pdev->msix_enabled)
		return;
	for (i = 0; i < pdev->msi->nr_entries; i++) {
		if (pdev->msi->entry[i].used)
			msix_write_entry(pdev, i, NULL, true);
	}
	msix_control(pdev, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 0);
	pci_intx(pdev, true);
	pdev->msix_enabled = false;
	free_state(pdev);
}

void pci_restore_msi_state(struct pci_dev *pdev)
{
	if (pdev->msi_enabled)
		msi_program(pdev, &pdev->msi->msi, pdev->msi->nvec);
	if (pdev->msix_enabled)
		msix_program(pdev);
}
