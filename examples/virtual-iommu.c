// SPDX-License-Identifier: MIT
/*
 * A virtual IOMMU: the VT-d unit in front of a device model, as an emulator embeds them.
 * There is no driver here. What would be the guest programs the unit through its
 * registers and tables in guest memory (machine RAM), and the device through its own.
 *
 * The device copies: registers SRC, DST and LEN of 8 bytes; writing LEN starts it, and
 * reading LEN says 0: done, ~0: refused.
 */
#include <stdio.h>
#include <string.h>

#include <moat/base.h>
#include <moat/model.h>
#include <moat/unit.h>
#include <moat/vtd.h>

/* --- the device model ------------------------------------------------------------------
 */

enum { REG_SRC = 0, REG_DST = 8, REG_LEN = 16 };

struct copier {
	u64 src, dst, len;
};

static void copier_describe(const u64 *props, struct endpoint_pci_info *info)
{
	(void)props;
	info->vendor = 0x1234;
	info->device = 0x0c0b;
	info->bar[0].size = SZ_4K;
}

static u64 copier_read(struct hw *hw, u32 fn, unsigned bar, u64 off, unsigned size)
{
	const struct copier *c = endpoint_state(hw, fn);

	(void)bar;
	return size == 8 && off == REG_LEN ? c->len : ~0ULL;
}

static void copier_write(struct hw *hw, u32 fn, unsigned bar, u64 off, u64 val,
			 unsigned size)
{
	struct copier *c = endpoint_state(hw, fn);
	bool fault_dst;
	size_t done;

	(void)bar;
	if (size != 8)
		return;
	if (off == REG_SRC)
		c->src = val;
	else if (off == REG_DST)
		c->dst = val;
	else if (off == REG_LEN && val <= SZ_1M)
		c->len = dma_copy(hw, fn, c->dst, c->src, val, &fault_dst, &done) ? ~0ULL
										  : 0;
}

static bool copier_work(struct hw *hw, u32 fn, size_t budget)
{
	(void)hw, (void)fn, (void)budget;
	return false; /* all is done when the register is written */
}

static void copier_reset(struct hw *hw, u32 fn)
{
	memset(endpoint_state(hw, fn), 0, sizeof(struct copier));
}

static const struct endpoint_model copier_model = {
	.name = "copier",
	.state_size = sizeof(struct copier),
	.describe = copier_describe,
	.reset = copier_reset,
	.mmio_read = copier_read,
	.mmio_write = copier_write,
	.work = copier_work,
};

static const struct endpoint_model *const models[ENDPOINT_MAX_MODELS] = {
	[1] = &copier_model,
};

/* --- the emulator: wires them up ------------------------------------------------------
 */

#define SID 0x0028 /* 00:05.0 */

static unsigned faults;

static void on_fault(struct hw *hw, const struct dma_fault *fault)
{
	const char *reason = vtd_unit_ops.reason(fault->reason);

	(void)hw;
	faults++;
	printf("fault: %s at IOVA 0x%llx by 0x%04x, reason 0x%02x (%s)\n",
	       fault->access == DMA_WRITE ? "write" : "read",
	       (unsigned long long)fault->iova, fault->sid, fault->reason,
	       reason ? reason : "?");
}

static void on_unit_event(struct hw *hw, u32 unit)
{
	(void)hw, (void)unit; /* an emulator would inject the unit's fault event here */
}

static const struct hw_host_ops host_ops = {
	.fault = on_fault,
	.unit_event = on_unit_event,
};

static int build(struct hw *hw)
{
	struct vtd_unit_config vtd = {.regs = 0xfed90000};
	int ret = hw_create(hw, 16 * SZ_1M, 1);

	if (ret)
		return ret;
	hw->ops = &host_ops;
	hw->endpoint_models = models;
	units_register(hw);
	ret = vtd_unit_setup(hw, 0, &vtd);
	if (ret)
		return ret;
	hw_function_init(hw, 0);
	hw->functions[0].requester_id = SID;
	hw->functions[0].unit = 0;
	hw->functions[0].bar[0].size = SZ_4K;
	hw->functions[0].config[4] = 6; /* memory space, bus master */
	return endpoint_create(hw, 0, 1, NULL);
}

/* --- the guest ------------------------------------------------------------------------
 */

enum { ROOT = 0x1000, CONTEXT = 0x2000, TABLE4 = 0x3000, BUFFER = 0x10000 };

static void store(struct hw *hw, phys_addr_t at, u64 val)
{
	(void)!phys_write(hw, at, &val, 8);
}

/* One page at IOVA 0x40000000, four levels down; BUFFER may be read and written. */
static void guest_starts_iommu(struct hw *hw)
{
	u64 rw = VTD_SS_R | VTD_SS_W;

	store(hw, ROOT, CONTEXT | VTD_ROOT_P);
	store(hw, CONTEXT + (SID & 0xff) * 16 + 8, VTD_CTX_AW(2) | VTD_CTX_DID(1));
	store(hw, CONTEXT + (SID & 0xff) * 16, TABLE4 | VTD_CTX_TT(0) | VTD_CTX_P);
	store(hw, TABLE4, (TABLE4 + 0x1000) | rw);
	store(hw, TABLE4 + 0x1000 + 8, (TABLE4 + 0x2000) | rw);
	store(hw, TABLE4 + 0x2000, (TABLE4 + 0x3000) | rw);
	store(hw, TABLE4 + 0x3000, BUFFER | rw);
	unit_mmio_write(hw, 0, VTD_RTADDR, ROOT, 8);
	unit_mmio_write(hw, 0, VTD_GCMD, VTD_GCMD_SRTP, 4);
	unit_mmio_write(hw, 0, VTD_GCMD, VTD_GCMD_TE, 4);
}

static u64 guest_copies(struct hw *hw, iova_t dst, iova_t src, u64 len)
{
	if (endpoint_mmio_write(hw, 0, 0, REG_SRC, &src, 8) ||
	    endpoint_mmio_write(hw, 0, 0, REG_DST, &dst, 8) ||
	    endpoint_mmio_write(hw, 0, 0, REG_LEN, &len, 8) ||
	    endpoint_mmio_read(hw, 0, 0, REG_LEN, &len, 8))
		return ~0ULL;
	return len;
}

static int guest(struct hw *hw)
{
	char text[16] = "", secret[16] = "";

	guest_starts_iommu(hw);
	if (!(unit_mmio_read(hw, 0, VTD_GSTS, 4) & VTD_GSTS_TES))
		return -EIO;
	if (phys_write(hw, BUFFER, "through VT-d", 13))
		return -EIO;
	/* Inside the page that is mapped, by the device's addresses. */
	if (guest_copies(hw, 0x40000100, 0x40000000, 13))
		return -EIO;
	if (phys_read(hw, BUFFER + 0x100, text, 13) || strcmp(text, "through VT-d"))
		return -EIO;
	printf("copied: %s\n", text);
	/* Physical memory that is not mapped is out of reach. */
	if (guest_copies(hw, BUFFER + 0x200, 0x40000000, 13) != ~0ULL || faults != 1)
		return -EIO;
	if (phys_read(hw, BUFFER + 0x200, secret, 13) || secret[0])
		return -EIO;
	return unit_mmio_read(hw, 0, VTD_FSTS, 4) & VTD_FSTS_PPF ? 0 : -EIO;
}

int main(void)
{
	struct hw hw = {0};
	int ret = build(&hw);

	if (!ret)
		ret = guest(&hw);
	if (hw.base)
		hw_detach(&hw);
	printf("%s\n", ret ? strerror(-ret) : "ok");
	return ret ? 1 : 0;
}
