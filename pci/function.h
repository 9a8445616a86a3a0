/* SPDX-License-Identifier: MIT */
/*
 * PCI hardware: functions that answer configuration accesses, and the buses that
 * they sit on. A function's registers are its hw_function's config[] in machine
 * memory; which bits can be written, and how, is kept here, in the server, which is
 * the only one to write configuration space. Nothing here knows the kernel's side
 * (pci/pci.h); firmware.c does what a PC's firmware does before the kernel starts.
 *
 * Locks: all of it is built before pci_host_scan(). Afterwards pci_hardware.lock
 * makes a write of registers one step; it is not held while the write takes effect
 * (decoding, resets, messages), since that may call into drivers.
 */
#ifndef MOAT_PCI_FUNCTION_H
#define MOAT_PCI_FUNCTION_H

#include "base/list.h"
#include "base/mutex.h"
#include "machine/endpoint.h"
#include "machine/hw.h"
#include "pci/regs.h"

struct machine;
struct pci_host;
struct pci_hw_bus;

enum pci_function_kind {
	PCI_FN_ENDPOINT, /* a model, or a plain function */
	PCI_FN_ROOT_PORT,
	PCI_FN_UPSTREAM, /* of a switch */
	PCI_FN_DOWNSTREAM,
	PCI_FN_PCIE_TO_PCI,
	PCI_FN_PCI_BRIDGE, /* conventional on both sides */
};

/* A BAR as the machine wants it; size 0: none. */
struct pci_bar_desc {
	u64 size;  /* bytes, a power of two */
	u64 addr;  /* with fixed: where */
	u32 flags; /* HW_BAR_* */
	bool fixed;
};

/* A bridge's window; [base, last] with last < base: closed. */
struct pci_window_desc {
	u64 base, last;
	bool fixed;
};

/* What to build. Zero fields: the model's or the kind's own. */
struct pci_function_desc {
	enum pci_function_kind kind;
	u16 model;		       /* index into the endpoint models, 0: plain */
	const u64 *props;	       /* the model's property values */
	struct endpoint_pci_info info; /* plain functions, and ids of bridges */
	const u8 *image; /* registers as they shall be, of image_len (64 to 4096) bytes */
	size_t image_len;
	struct pci_bar_desc bar[HW_NR_BARS + 1]; /* [6]: ROM. Image: sizes */
	struct pci_window_desc window[3];	 /* bridges: I/O, memory, prefetchable */
	bool has_windows;			 /* window[] is meant */
	bool acs;	    /* ports and multi-function endpoints: ACS capability */
	u16 acs_caps;	    /* 0 with acs: SV TB RR CR UF DT */
	bool multifunction; /* function 0: header bit 7 */
	bool ari;
	bool hotplug;	     /* root and downstream ports: slot is hot-pluggable */
	bool integrated;     /* PCI Express: root complex integrated endpoint */
	bool no_mmap, async; /* HW_FN_* */
	bool scratch;	 /* registers from 0x40 on that no capability has keep writes */
	bool absent;	 /* the slot is empty until pci_hw_plug() */
	u16 slot_number; /* ports: physical slot number, 0: none */
	u8 bus_first,
		bus_last;   /* bridges: fixed secondary and subordinate; 0: assigned */
	s16 unit;	    /* index of the unit that translates for it, -1: none */
	void *of_node;	    /* where it was described; handed to the device */
	const char *driver; /* driver_override of the device; NULL: none */
	bool untrusted;	    /* ports: external-facing */
};

struct pci_function {
	u32 index; /* of the hw_function */
	enum pci_function_kind kind;
	u8 devfn;
	bool present;
	struct pci_hw_bus *bus;	       /* where it sits */
	struct pci_hw_bus *secondary;  /* bridges */
	struct list_head node;	       /* pci_hw_bus.functions, by devfn */
	struct pci_function_desc desc; /* image, props and driver are copies */
	u16 pcie_cap, pm_cap, msi_cap, msix_cap, af_cap;
	u8 *reset;    /* registers after a reset (cfg_size bytes), then masks: */
	u8 *wmask;    /* bits that software can write */
	u8 *w1c;      /* bits that a one clears */
	u8 *sticky;   /* bits that a function-level reset leaves alone */
	char *driver; /* desc.driver, copied */
	u16 cfg_size;
};

struct pci_hw_bus {
	struct pci_function *bridge; /* NULL: root */
	struct list_head functions;
	struct list_head node; /* root buses: pci_hardware.roots */
	u16 segment;
	u8 number, last;   /* secondary, subordinate; roots: the whole range */
	bool conventional; /* PCI, not PCI Express */
	s16 unit;	   /* default for its functions */
	void *of_node;
	/* Root buses: what BARs are assigned from; last < base: none. */
	u64 io_base, io_last, mem_base, mem_last, mem64_base, mem64_last;
};

struct pci_hardware {
	struct machine *machine;
	struct mutex lock;
	struct list_head roots;		/* pci_hw_bus.node */
	struct pci_function **by_index; /* nr_functions entries, by hw_function */
	u32 nr_functions;		/* used */
	u32 max_functions;
};

/* Who describes a machine calls these, in this order, and pci_firmware_assign() last. */
int __must_check pci_hw_add_root(struct pci_host *host, u16 segment, u8 first, u8 last,
				 struct pci_hw_bus **out);
/**
 * pci_hw_add_function - a function comes to sit on a bus.
 *
 * Everything that @desc points to is copied. The hw_function is ready, with
 * registers as after power-on.
 *
 * Return: 0; -EEXIST: @devfn is taken; -EINVAL: a description that no hardware has
 * (BARs overlap, size no power of two, capabilities do not fit, image too short);
 * -ENOSPC: no hw_function left; -ENOMEM.
 */
int __must_check pci_hw_add_function(struct pci_host *host, struct pci_hw_bus *bus,
				     u8 devfn, const struct pci_function_desc *desc,
				     struct pci_function **out);
/**
 * pci_firmware_assign - what a PC's firmware does: bus numbers depth first, BARs and
 * bridge windows (fixed ones first), interrupt lines, requester ids.
 *
 * @error: on failure says in words what could not be done (free() it)
 *
 * Return: 0; -ENOSPC: buses or addresses do not suffice; -EINVAL: fixed addresses
 * collide.
 */
int __must_check pci_firmware_assign(struct pci_host *host, char **error);

/* Hot plug: the card is put in, or pulled out. Presence bits of the port follow. */
void pci_hw_plug(struct pci_host *host, struct pci_function *fn);
void pci_hw_unplug(struct pci_host *host, struct pci_function *fn);

struct pci_function *pci_hw_find(struct pci_host *host, u16 segment, u8 bus, u8 devfn);
struct pci_function *pci_hw_by_index(struct pci_host *host, u32 index);
/* A slot (function 0) of @bus with nothing in it, from @first up; -ENOSPC. */
int pci_hw_free_slot(struct pci_hw_bus *bus, unsigned first);

/* Registers. size: 1, 2 or 4; off is a multiple of it. */
u32 pci_fn_config_read(struct pci_host *host, struct pci_function *fn, u16 off, u8 size);
void pci_fn_config_write(struct pci_host *host, struct pci_function *fn, u16 off, u32 val,
			 u8 size);
/* Conventional reset (bus, power), or function level: registers and the endpoint. */
void pci_fn_reset(struct pci_host *host, struct pci_function *fn, bool function_level);

#endif
