/* SPDX-License-Identifier: MIT */
/*
 * A device that does DMA. An endpoint model is flat state in machine memory plus
 * these functions; they run under the function's lock in the process that
 * touches a register, so they take no other lock and never allocate.
 */
#ifndef MOAT_MACHINE_ENDPOINT_H
#define MOAT_MACHINE_ENDPOINT_H

#include "machine/hw.h"

/* Entries of hw.endpoint_models (NULL where there is no such model). */
#define ENDPOINT_MAX_MODELS 16

/* A property of a model: a word of the machine file or of --device. */
struct endpoint_property {
	const char *name;
	const char *help;
	u64 default_value;
	u64 max; /* 1: a switch (on/off) */
};

struct endpoint_bar {
	u64 size;
	u32 flags; /* HW_BAR_* */
};

/* What the model's function looks like to the bus; pci/ builds config space from it. */
struct endpoint_pci_info {
	u16 vendor, device, subsystem_vendor, subsystem;
	u32 class; /* 24 bits */
	u8 revision;
	u8 intx_pin; /* 0: none, 1: INTA# */
	struct endpoint_bar bar[HW_NR_BARS];
	u8 msi_vectors; /* 0: no MSI capability; else 1, 2, 4, ... 32 */
	bool msi_64, msi_maskable;
	u16 msix_vectors; /* 0: no MSI-X */
	u8 msix_bar;	  /* table and PBA in this BAR */
	u32 msix_table, msix_pba;
	bool pcie; /* PCI Express endpoint capability */
	bool flr;
	bool pm; /* power management capability */
	bool no_soft_reset;
};

struct endpoint_model {
	const char *name;
	u64 state_size;
	const struct endpoint_property *properties; /* ended by a NULL name */
	/* Fill in @info from property values (in the order of ->properties). */
	void (*describe)(const u64 *props, struct endpoint_pci_info *info);
	/* Power-on: state is zeroed; keep what is needed of the properties in it. */
	void (*init)(struct hw *hw, u32 fn, const u64 *props);
	/* FLR, bus reset, or the owner of the lock died. */
	void (*reset)(struct hw *hw, u32 fn);
	/*
	 * Whether the device answers a load or store of this width there; for the
	 * report of a program's direct accesses. NULL: any.
	 */
	bool (*takes)(unsigned bar, u64 off, unsigned size);
	/*
	 * A register access of 1, 2, 4 or 8 bytes, naturally aligned or not, inside
	 * the BAR. Accesses of a width the device does not take return all ones
	 * and change nothing.
	 */
	u64 (*mmio_read)(struct hw *hw, u32 fn, unsigned bar, u64 off, unsigned size);
	void (*mmio_write)(struct hw *hw, u32 fn, unsigned bar, u64 off, u64 val,
			   unsigned size);
	/*
	 * Do up to @budget bytes of pending work, none if it is 0. Return: true if more
	 * is pending.
	 * Called with the lock held from the access that started it, then from
	 * the engine thread.
	 */
	bool (*work)(struct hw *hw, u32 fn, size_t budget);
};

static inline void *endpoint_state(const struct hw *hw, u32 fn)
{
	return hw_state_ptr(hw, hw->functions[fn].state);
}

/**
 * endpoint_create - give a present function its model.
 * @model: index into hw->endpoint_models, not 0
 * @props: values of the model's properties, in their order
 *
 * Sets aside the model's state (and what MSI-X needs) and calls init. Server only.
 *
 * Return: 0; -EINVAL: no such model; -ENOMEM: no room for its state.
 */
int __must_check endpoint_create(struct hw *hw, u32 fn, u16 model, const u64 *props);
/*
 * endpoint_msix_alloc - room for an MSI-X table of @vectors entries, for functions
 * without a model; endpoint_create() does it for the others. Return: 0, -ENOMEM.
 */
int __must_check endpoint_msix_alloc(struct hw *hw, u32 fn, u32 vectors);

/*
 * Register access from outside (trap, pread/pwrite, peer-to-peer): takes the lock,
 * splits what crosses a width, intercepts the MSI-X table and PBA, runs work up to
 * the budget and kicks the engine for the rest. len is 1 to 64 bytes. Memory
 * decoding is not checked here. Return: 0, -EINVAL outside the BAR.
 */
int endpoint_mmio_read(struct hw *hw, u32 fn, unsigned bar, u64 off, void *buf,
		       unsigned len);
int endpoint_mmio_write(struct hw *hw, u32 fn, unsigned bar, u64 off, const void *buf,
			unsigned len);
/* One turn of the engine thread: takes the lock. Return: true if more is pending. */
bool endpoint_run(struct hw *hw, u32 fn, size_t budget);
/*
 * endpoint_reset - the model's reset, MSI-X entries masked, INTx low, a new epoch. Waits
 * for whoever is inside. Configuration space is the caller's (pci/).
 */
void endpoint_reset(struct hw *hw, u32 fn);

/*
 * Bytes that an access may move before it returns, some hundred microseconds' worth: a
 * hand-over costs as much as a copy of 1 MiB. A turn of the engine is shorter, since a
 * program's access waits for it.
 */
#define ENDPOINT_INLINE_BUDGET (8 * SZ_1M)
#define ENDPOINT_ENGINE_BUDGET (256 * 1024)

#endif
