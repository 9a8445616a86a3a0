// SPDX-License-Identifier: MIT
/*
 * What a program may see and change in each capability: masks of virtual and of writable
 * bits, and the registers whose writes mean something to the kernel (power state,
 * function reset, MSI enable). Capabilities without masks are read from hardware,
 * with the virtual list of capabilities, and not written; vendor capabilities are
 * the program's own.
 */
#include <string.h>

#include "vfio/pci_priv.h"

#define PCI_X_CMD	       2
#define PCI_X_ECC_CSR	       8
#define PCI_VPD_ADDR	       2
#define PCI_VPD_DATA	       4
#define PCI_PWR_DATA	       8
#define PCI_EXP_DEVCTL_PHANTOM 0x0200

#define PCI_ERR_UNCOR_STATUS 0x04
#define PCI_ERR_UNCOR_MASK   0x08
#define PCI_ERR_UNCOR_SEVER  0x0c
#define PCI_ERR_COR_STATUS   0x10
#define PCI_ERR_COR_MASK     0x14
#define PCI_ERR_CAP	     0x18
#define ERR_UNC_BITS	     0x03fff031U /* all that PCI Express 2.1 defines, and "undefined" */
#define ERR_COR_BITS	     0x0000f1c1U
#define ERR_CAP_BITS	     0x00000140U /* ECRC generation and checking enabled */

#define CAP_MAX	 PCI_CAP_ID_EA
#define ECAP_MAX 0x31

#define ALL 0xffffffffU

int vfio_find_cap_start(struct vfio_pci_core_device *vdev, int pos)
{
	int base = pos >= PCI_CFG_SPACE_SIZE ? PCI_CFG_SPACE_SIZE : 64;
	u8 cap = vdev->pci_config_map[pos];

	if (cap == VFIO_CAP_BASIC)
		return 0;
	while (pos - 1 >= base && vdev->pci_config_map[pos - 1] == cap)
		pos--;
	return pos;
}

/* ---- ways to read and write ---------------------------------------------------------
 */

int vfio_default_config_read(struct vfio_pci_core_device *vdev, int pos, int count,
			     const struct perm_bits *perm, int offset, u32 *val)
{
	u32 virt = 0, phys = 0;
	int ret;

	*val = 0;
	memcpy(val, vdev->vconfig + pos, (size_t)count);
	memcpy(&virt, perm->virt + offset, (size_t)count);
	if (virt != ALL >> (32 - count * 8)) {
		ret = vfio_user_config_read(vdev, pos, &phys, count);
		if (ret)
			return ret;
		*val = (phys & ~virt) | (*val & virt);
	}
	return count;
}

int vfio_default_config_write(struct vfio_pci_core_device *vdev, int pos, int count,
			      const struct perm_bits *perm, int offset, u32 val)
{
	u32 virt = 0, write = 0, old = 0;
	int ret;

	memcpy(&write, perm->write + offset, (size_t)count);
	if (!write)
		return count;
	memcpy(&virt, perm->virt + offset, (size_t)count);
	if (write & virt) {
		memcpy(&old, vdev->vconfig + pos, (size_t)count);
		old = (old & ~(write & virt)) | (val & write & virt);
		memcpy(vdev->vconfig + pos, &old, (size_t)count);
	}
	if (write & ~virt) {
		ret = vfio_user_config_read(vdev, pos, &old, count);
		if (ret)
			return ret;
		old = (old & ~(write & ~virt)) | (val & write & ~virt);
		ret = vfio_user_config_write(vdev, pos, old, count);
		if (ret)
			return ret;
	}
	return count;
}

/* Hardware's registers behind the virtual list of capabilities. */
static int direct_config_read(struct vfio_pci_core_device *vdev, int pos, int count,
			      const struct perm_bits *perm, int offset, u32 *val)
{
	int ret = vfio_user_config_read(vdev, pos, val, count);
	const u8 *virt = vdev->vconfig + pos;

	if (ret)
		return ret;
	if (pos >= PCI_CFG_SPACE_SIZE) {
		if (offset < 4)
			memcpy(val, virt, (size_t)count);
	} else if (pos >= 64) {
		if (offset == PCI_CAP_LIST_ID && count > 1)
			memcpy(val, virt, 2);
		else if (offset == PCI_CAP_LIST_NEXT)
			memcpy(val, virt, 1);
	}
	return count;
}

static int raw_config_read(struct vfio_pci_core_device *vdev, int pos, int count,
			   const struct perm_bits *perm, int offset, u32 *val)
{
	int ret = vfio_user_config_read(vdev, pos, val, count);

	return ret ? ret : count;
}

static int raw_config_write(struct vfio_pci_core_device *vdev, int pos, int count,
			    const struct perm_bits *perm, int offset, u32 val)
{
	int ret = vfio_user_config_write(vdev, pos, val, count);

	return ret ? ret : count;
}

static int pm_config_write(struct vfio_pci_core_device *vdev, int pos, int count,
			   const struct perm_bits *perm, int offset, u32 val)
{
	int state = (int)(val & PCI_PM_CTRL_STATE_MASK);

	count = vfio_default_config_write(vdev, pos, count, perm, offset, val);
	if (count < 0 || offset != PCI_PM_CTRL)
		return count;
	if (state == 3)
		vfio_pci_dma_buf_move(vdev, true);
	vfio_pci_set_power_state(vdev, state);
	if (vfio_pci_memory_enabled(vdev))
		vfio_pci_dma_buf_move(vdev, false);
	return count;
}

static void function_reset(struct vfio_pci_core_device *vdev)
{
	vfio_pci_dma_buf_move(vdev, true);
	pci_try_reset_function(vdev->pdev);
	if (vfio_pci_memory_enabled(vdev))
		vfio_pci_dma_buf_move(vdev, false);
}

/* kernel: pcie_set_readrq() with at least the payload that is set. */
static void set_readrq(struct pci_dev *pdev, unsigned code)
{
	u16 ctl = 0, payload;

	pcie_capability_read_word(pdev, PCI_EXP_DEVCTL, &ctl);
	payload = (ctl & PCI_EXP_DEVCTL_PAYLOAD) >> 5;
	code = max_t(unsigned, code, payload);
	if (code <= 5)
		pcie_capability_clear_and_set_word(
			pdev, PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_READRQ, (u16)(code << 12));
}

static int exp_config_write(struct vfio_pci_core_device *vdev, int pos, int count,
			    const struct perm_bits *perm, int offset, u32 val)
{
	unsigned ctrl = (unsigned)(pos - offset + PCI_EXP_DEVCTL);
	u16 before = vconfig_word(vdev, ctrl), after;
	u32 cap;

	count = vfio_default_config_write(vdev, pos, count, perm, offset, val);
	if (count < 0)
		return count;
	after = vconfig_word(vdev, ctrl);
	if (after & PCI_EXP_DEVCTL_BCR_FLR) {
		after &= (u16)~PCI_EXP_DEVCTL_BCR_FLR;
		vconfig_set_word(vdev, ctrl, after);
		if (!pci_read_config_dword(vdev->pdev, pos - offset + PCI_EXP_DEVCAP,
					   &cap) &&
		    cap & PCI_EXP_DEVCAP_FLR)
			function_reset(vdev);
	}
	if ((before ^ after) & PCI_EXP_DEVCTL_READRQ)
		set_readrq(vdev->pdev, (after & PCI_EXP_DEVCTL_READRQ) >> 12);
	return count;
}

static int af_config_write(struct vfio_pci_core_device *vdev, int pos, int count,
			   const struct perm_bits *perm, int offset, u32 val)
{
	u8 *ctrl = vdev->vconfig + pos - offset + PCI_AF_CTRL;
	const u8 needed = PCI_AF_CAP_FLR | PCI_AF_CAP_TP;
	u8 cap;

	count = vfio_default_config_write(vdev, pos, count, perm, offset, val);
	if (count < 0 || !(*ctrl & PCI_AF_CTRL_FLR))
		return count;
	*ctrl &= (u8)~PCI_AF_CTRL_FLR;
	if (!pci_read_config_byte(vdev->pdev, pos - offset + PCI_AF_CAP, &cap) &&
	    (cap & needed) == needed)
		function_reset(vdev);
	return count;
}

/*
 * MSI is programmed by SET_IRQS alone; the program's enable bit reaches hardware only
 * while that has set up MSI, and no more vectors than it has.
 */
static int msi_config_write(struct vfio_pci_core_device *vdev, int pos, int count,
			    const struct perm_bits *perm, int offset, u32 val)
{
	unsigned at;
	u16 flags;
	int ret;

	count = vfio_default_config_write(vdev, pos, count, perm, offset, val);
	if (count < 0 || offset > PCI_MSI_FLAGS || offset + count < PCI_MSI_FLAGS)
		return count;
	at = (unsigned)vfio_find_cap_start(vdev, pos) + PCI_MSI_FLAGS;
	flags = vconfig_word(vdev, at);
	if (vdev->irq_type != VFIO_PCI_MSI_IRQ_INDEX)
		flags &= (u16)~PCI_MSI_FLAGS_ENABLE;
	if ((flags & PCI_MSI_FLAGS_QSIZE) >> 4 > vdev->msi_qmax) {
		flags &= (u16)~PCI_MSI_FLAGS_QSIZE;
		flags |= (u16)(vdev->msi_qmax << 4);
	}
	vconfig_set_word(vdev, at, flags);
	ret = pci_write_config_word(vdev->pdev, (int)at, flags);
	return ret ? ret : count;
}

/* ---- the tables
 * -------------------------------------------------------------------------- */

static struct perm_bits cap_perms[CAP_MAX + 1], ecap_perms[ECAP_MAX + 1];
static const struct perm_bits direct_ro_perms = {.readfn = direct_config_read};
static const struct perm_bits unassigned_perms = {
	.readfn = raw_config_read,
	.writefn = raw_config_write,
};

static void p_setb(struct perm_bits *p, unsigned at, u8 virt, u8 write)
{
	p->virt[at] = virt;
	p->write[at] = write;
}

static void p_setw(struct perm_bits *p, unsigned at, u32 virt, u32 write)
{
	memcpy(p->virt + at, &virt, 2);
	memcpy(p->write + at, &write, 2);
}

static void p_setd(struct perm_bits *p, unsigned at, u32 virt, u32 write)
{
	memcpy(p->virt + at, &virt, 4);
	memcpy(p->write + at, &write, 4);
}

static struct perm_bits *masked(struct perm_bits *p)
{
	p->readfn = vfio_default_config_read;
	p->writefn = vfio_default_config_write;
	return p;
}

static void init_basic(struct perm_bits *p)
{
	masked(p);
	p->readfn = vfio_basic_config_read;
	p->writefn = vfio_basic_config_write;
	/* Virtual functions do not answer the ids. */
	p_setw(p, PCI_VENDOR_ID, ALL, 0);
	p_setw(p, PCI_DEVICE_ID, ALL, 0);
	p_setw(p, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, ALL);
	p_setw(p, PCI_STATUS, PCI_STATUS_CAP_LIST, 0);
	p_setb(p, PCI_CACHE_LINE_SIZE, 0, 0xff);
	p_setb(p, PCI_LATENCY_TIMER, 0, 0xff);
	p_setb(p, PCI_BIST, 0, 0xff);
	for (unsigned i = 0; i < 6; i++)
		p_setd(p, PCI_BASE_ADDRESS_0 + 4 * i, ALL, ALL);
	p_setd(p, PCI_ROM_ADDRESS, ALL, ALL);
	p_setb(p, PCI_CAPABILITY_LIST, 0xff, 0);
	p_setb(p, PCI_INTERRUPT_LINE, 0xff, 0xff);
	p_setb(p, PCI_INTERRUPT_PIN, 0xff, 0);
}

static void init_pm(struct perm_bits *p)
{
	const u32 pme = PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS;

	masked(p)->writefn = pm_config_write;
	p_setb(p, PCI_CAP_LIST_NEXT, 0xff, 0);
	p_setw(p, PCI_PM_PMC, PCI_PM_CAP_PME_MASK, 0);
	/* The state is set through the kernel; PME is not for programs. */
	p_setd(p, PCI_PM_CTRL, pme, ~(pme | PCI_PM_CTRL_STATE_MASK));
}

static void init_exp(struct perm_bits *p)
{
	masked(p)->writefn = exp_config_write;
	p_setb(p, PCI_CAP_LIST_NEXT, 0xff, 0);
	p_setw(p, PCI_EXP_DEVCTL,
	       PCI_EXP_DEVCTL_BCR_FLR | PCI_EXP_DEVCTL_PAYLOAD | PCI_EXP_DEVCTL_READRQ,
	       (u16)~PCI_EXP_DEVCTL_PHANTOM);
	p_setw(p, PCI_EXP_DEVCTL2, 0, (u16)~PCI_EXP_DEVCTL2_ARI);
}

static void init_err(struct perm_bits *p)
{
	masked(p);
	p_setd(p, 0, ALL, 0);
	p_setd(p, PCI_ERR_UNCOR_STATUS, 0, ERR_UNC_BITS);
	p_setd(p, PCI_ERR_UNCOR_MASK, 0, ERR_UNC_BITS);
	p_setd(p, PCI_ERR_UNCOR_SEVER, 0, ERR_UNC_BITS);
	p_setd(p, PCI_ERR_COR_STATUS, 0, ERR_COR_BITS);
	p_setd(p, PCI_ERR_COR_MASK, 0, ERR_COR_BITS);
	p_setd(p, PCI_ERR_CAP, 0, ERR_CAP_BITS);
}

void vfio_init_perm_bits(void)
{
	struct perm_bits *p;

	memset(cap_perms, 0, sizeof(cap_perms));
	memset(ecap_perms, 0, sizeof(ecap_perms));
	for (unsigned i = 0; i <= CAP_MAX; i++)
		cap_perms[i].readfn = direct_config_read;
	for (unsigned i = 0; i <= ECAP_MAX; i++)
		ecap_perms[i].readfn = direct_config_read;
	init_basic(&cap_perms[VFIO_CAP_BASIC]);
	init_pm(&cap_perms[PCI_CAP_ID_PM]);
	p = masked(&cap_perms[PCI_CAP_ID_VPD]);
	p_setb(p, PCI_CAP_LIST_NEXT, 0xff, 0);
	p_setw(p, PCI_VPD_ADDR, ALL, ALL);
	p_setd(p, PCI_VPD_DATA, ALL, ALL);
	p = masked(&cap_perms[PCI_CAP_ID_PCIX]);
	p_setb(p, PCI_CAP_LIST_NEXT, 0xff, 0);
	p_setw(p, PCI_X_CMD, 0, ALL);
	p_setd(p, PCI_X_ECC_CSR, 0, ALL);
	cap_perms[PCI_CAP_ID_VNDR].writefn = raw_config_write;
	init_exp(&cap_perms[PCI_CAP_ID_EXP]);
	p = masked(&cap_perms[PCI_CAP_ID_AF]);
	p->writefn = af_config_write;
	p_setb(p, PCI_CAP_LIST_NEXT, 0xff, 0);
	p_setb(p, PCI_AF_CTRL, PCI_AF_CTRL_FLR, PCI_AF_CTRL_FLR);
	init_err(&ecap_perms[PCI_EXT_CAP_ID_ERR]);
	p = masked(&ecap_perms[0x04]); /* power budgeting */
	p_setd(p, 0, ALL, 0);
	p_setb(p, PCI_PWR_DATA, 0, 0xff);
	ecap_perms[PCI_EXT_CAP_ID_VNDR].writefn = raw_config_write;
	ecap_perms[PCI_EXT_CAP_ID_DVSEC].writefn = raw_config_write;
}

int vfio_msi_perm_init(struct vfio_pci_core_device *vdev, u16 flags)
{
	struct perm_bits *p;

	if (vdev->msi_perm)
		return 0;
	p = kzalloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	masked(p)->writefn = msi_config_write;
	p_setb(p, PCI_CAP_LIST_NEXT, 0xff, 0);
	p_setb(p, PCI_MSI_FLAGS, 0xff, 0xff);
	p_setd(p, PCI_MSI_ADDRESS_LO, ALL, ALL);
	if (flags & PCI_MSI_FLAGS_64BIT) {
		p_setd(p, PCI_MSI_ADDRESS_HI, ALL, ALL);
		p_setw(p, PCI_MSI_DATA_64, ALL, ALL);
		if (flags & PCI_MSI_FLAGS_MASKBIT) {
			p_setd(p, PCI_MSI_MASK_64, 0, ALL);
			p_setd(p, PCI_MSI_PENDING_64, 0, ALL);
		}
	} else {
		p_setw(p, PCI_MSI_DATA_32, ALL, ALL);
		if (flags & PCI_MSI_FLAGS_MASKBIT) {
			p_setd(p, PCI_MSI_MASK_32, 0, ALL);
			p_setd(p, PCI_MSI_PENDING_32, 0, ALL);
		}
	}
	vdev->msi_perm = p;
	return 0;
}

const struct perm_bits *vfio_perms_of(struct vfio_pci_core_device *vdev, unsigned pos)
{
	u8 cap = vdev->pci_config_map[pos];
	const struct perm_bits *perm;

	if (cap == VFIO_CAP_INVALID)
		return &unassigned_perms;
	if (pos >= PCI_CFG_SPACE_SIZE)
		perm = cap > ECAP_MAX ? &direct_ro_perms : &ecap_perms[cap];
	else if (cap == PCI_CAP_ID_MSI && vdev->msi_perm)
		perm = vdev->msi_perm;
	else
		perm = &cap_perms[cap];
	/* Two capabilities of a kind, one after the other, outgrow the masks. */
	if (pos - (unsigned)vfio_find_cap_start(vdev, (int)pos) + 4 > VFIO_PERM_BYTES &&
	    perm->readfn != direct_config_read)
		return &direct_ro_perms;
	return perm;
}
