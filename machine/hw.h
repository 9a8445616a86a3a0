/* SPDX-License-Identifier: MIT */
/*
 * Machine memory: what hardware holds, in one memfd that the server and every
 * program map (each at its own address). It holds no pointers and no locks that
 * the control plane takes; everything in it may be read, and overwritten, by a
 * program, so whoever reads it checks what it reads.
 *
 * The physical address space of a machine:
 *
 *	[0, ram_size)			machine RAM: page tables, queues, local buffers
 *	unit registers, BARs, MSI	below 4 GiB (or where the machine file says)
 *	[prog_base, ...)		the program window: pinned memory of programs
 *
 * The program window is an array of slots of 2^prog_shift bytes (1 GiB), and one
 * of small slots of 2^small_shift (2 MiB) for runs that are no larger. One
 * pinned run of memory takes consecutive slots and lies in them at the offset
 * (modulo the slot size) that its pinner asks for, so an IOVA and its physical
 * address agree in all low bits and huge pages stay huge; and finding what backs
 * a physical address is one array access.
 */
#ifndef MOAT_MACHINE_HW_H
#define MOAT_MACHINE_HW_H

#include <stdatomic.h>

#include "base/types.h"
#include "machine/lock.h"

#define HW_MAGIC	  0x3174616f4dULL /* "Moat1" */
#define HW_VERSION	  1
#define HW_MAX_FUNCTIONS  4096
#define HW_MAX_UNITS	  64
#define HW_MAX_SLOTS	  1024
#define HW_MAX_MMS	  1024
#define HW_MAX_IRQS	  65536
#define HW_MAX_RAM	  0xc0000000ULL /* the rest below 4 GiB is for registers and BARs */
#define HW_MAX_CONN_LOCKS 1024
#define HW_NR_BARS	  6
#define HW_CONFIG_SIZE	  4096

#define MSI_WINDOW_BASE 0xfee00000ULL
#define MSI_WINDOW_LAST 0xfeefffffULL

/* What backs one slot of the program window. */
enum hw_backing {
	HW_BACKING_NONE = 0,
	HW_BACKING_PROGRAM, /* memory of the program mm at vaddr */
	HW_BACKING_LOCAL,   /* machine RAM: vaddr is a physical address below ram_size */
	HW_BACKING_SPLIT,   /* several struct hw_piece */
};

/*
 * One slot: bytes [first, last] of it (offsets in the slot, inclusive) are
 * backed; offset first lies at vaddr. Written by the server only, with seq odd
 * meanwhile; read under the sequence count.
 */
struct hw_extent {
	_Atomic u32 seq;
	u16 backing; /* enum hw_backing */
	u16 mm;	     /* index into mms, for HW_BACKING_PROGRAM */
	u32 first, last;
	u64 vaddr;
	u32 flags;     /* HW_EXTENT_* */
	u32 nr_pieces; /* HW_BACKING_SPLIT: how many, from pieces[vaddr] on */
};
#define HW_EXTENT_WRITABLE 1

/*
 * Part of a slot whose memory did not stay in one piece (HW_BACKING_SPLIT): the
 * pieces of a slot are sorted and do not overlap; what is between them is not
 * backed. They are read under the sequence count of their slot, and a new
 * array is written before the slot points to it.
 */
struct hw_piece {
	u32 first, last; /* offsets in the slot, inclusive */
	u64 vaddr;
	u16 backing, mm;
	u32 reserved;
};

/*
 * An address space of a program, in the order of their first call. Never
 * reused while an extent names it. The bounds (inclusive, 0 and 0: nothing
 * pinned) let a program's munmap decide without asking that it moves nothing
 * which a device can reach.
 */
struct hw_mm {
	_Atomic u32 pid; /* 0: free or dead */
	u32 generation;
	_Atomic u64 pinned_first, pinned_last;
};

/*
 * A translator announces itself here. active is 0 when idle, else odd and
 * different at each use; an invalidation waits until each slot that was active
 * has changed. The server takes back slots of dead threads.
 */
struct hw_slot {
	_Atomic u64 active;
	_Atomic u32 pid; /* 0: free */
	_Atomic u32 tid;
} __attribute__((aligned(64)));

enum hw_irq_kind { HW_IRQ_NONE = 0, HW_IRQ_MSI, HW_IRQ_INTX };

/* Where an interrupt that passed remapping goes. Index: the irq number. */
struct hw_irq {
	u16 kind;	 /* enum hw_irq_kind */
	u16 function;	 /* index of the hw_function that owns it */
	u16 vfio_index;	 /* VFIO_PCI_*_IRQ_INDEX */
	u16 vector;	 /* sub-index */
	_Atomic u32 gen; /* changes whenever the consumer does */
};

struct hw_bar {
	phys_addr_t
		phys; /* 0: not assigned (copied from config space when decoding is on) */
	u64 size;     /* bytes, a power of two; 0: no such BAR */
	u32 flags;    /* HW_BAR_* */
	u32 reserved;
};
#define HW_BAR_IO	1
#define HW_BAR_64	2
#define HW_BAR_PREFETCH 4
#define HW_BAR_MMAP	8 /* a program may mmap it */
#define HW_BAR_ROM	16

/*
 * A PCI function's (or platform device's) hardware state. lock is held while a
 * register is accessed or work runs; the death of its owner resets the
 * endpoint. config is the physical configuration space.
 */
struct hw_function {
	u32 present;
	u32 segment;
	u16 bdf;	  /* bus << 8 | devfn */
	u16 requester_id; /* what its DMA carries when it reaches the unit */
	s16 unit;	  /* index of the unit that translates for it, -1: none */
	u16 model;	  /* index into the endpoint models; 0: a plain function */
	u32 flags;	  /* HW_FN_* */
	u32 max_payload;
	struct hw_bar bar[HW_NR_BARS + 1]; /* [6] is the expansion ROM */
	u64 state; /* offset in machine memory of the model's state */
	u64 state_size;
	_Atomic u32 intx_level; /* the level the endpoint drives */
	_Atomic u32 epoch;	/* bumped at each reset */
	struct hw_lock lock;	/* survives the death of its owner */
	u64 msix; /* offset of the MSI-X table and PBA, 0: none (endpoint_msix_alloc()) */
	u32 msix_vectors;
	u32 reserved;
	u8 config[HW_CONFIG_SIZE] __aligned(8);
};
#define HW_FN_ASYNC    BIT(0) /* work always runs on an engine thread */
#define HW_FN_NO_MMAP  BIT(1)
#define HW_FN_PLATFORM BIT(2)

struct hw_unit {
	u32 kind; /* enum unit_kind, 0: none */
	u32 segment;
	phys_addr_t regs;
	u64 regs_size;
	u64 state; /* offset in machine memory of the unit's state */
	u64 state_size;
};

struct hw_header {
	u64 magic;
	u32 version;
	u32 nr_functions;
	u64 size; /* of the memfd, bytes */
	u64 ram, ram_size;
	u64 extents; /* struct hw_extent[nr_extents] */
	u32 nr_extents;
	u32 prog_shift;
	phys_addr_t prog_base;
	u64 functions; /* struct hw_function[nr_functions] */
	u64 units;     /* struct hw_unit[HW_MAX_UNITS] */
	u64 slots;     /* struct hw_slot[HW_MAX_SLOTS] */
	u64 mms;       /* struct hw_mm[HW_MAX_MMS] */
	u64 irqs;      /* struct hw_irq[HW_MAX_IRQS] */
	u64 states;    /* start of the area for unit and endpoint state */
	u64 states_size;
	phys_addr_t small_base; /* small slots; extents[nr_extents + i] is small slot i */
	u32 small_shift;
	u32 nr_small;
	u64 pieces; /* struct hw_piece[nr_pieces] */
	u32 nr_pieces;
	u32 reserved;
	u64 conn_locks; /* struct hw_lock[HW_MAX_CONN_LOCKS], by hash of a file's cookie
			 */
	u64 shared;	/* struct hw_shared */
};

/* The few words of the machine's own that change and belong to nobody. */
struct hw_shared {
	_Atomic u32 slots_high; /* slots from here on have never been used */
	u32 membarrier;		/* whoever invalidates can call membarrier(2) */
};

struct hw;
struct dma_fault;

/*
 * What a process that holds machine memory does for it. All may be called with
 * a function's lock held, in a signal handler: no allocation, no blocking.
 */
struct hw_host_ops {
	/* An interrupt passed remapping: wake its consumer. */
	void (*irq)(struct hw *hw, u32 irq);
	/* The level of a function's INTx changed. */
	void (*intx)(struct hw *hw, u32 function, bool level);
	/* A DMA or an interrupt was refused: tell the report and raise the fault event.
	 */
	void (*fault)(struct hw *hw, const struct dma_fault *fault);
	/* A unit wants its driver to look at its registers (fault or queue event). */
	void (*unit_event)(struct hw *hw, u32 unit);
	/* An engine thread is wanted for a function (HW_FN_ASYNC or over budget). */
	void (*kick)(struct hw *hw, u32 function);
	/*
	 * Touch memory of a program. Return 0 or -EFAULT; -ESRCH where that
	 * program is gone.
	 */
	int (*mm_read)(struct hw *hw, u32 mm, u64 vaddr, void *buf, size_t len);
	int (*mm_write)(struct hw *hw, u32 mm, u64 vaddr, const void *buf, size_t len);
};

struct unit_ops;
struct endpoint_model;

/* One process's view of a machine's memory. */
struct hw {
	int fd;
	u8 *base;
	size_t size;
	/*
	 * This process's own copy, checked: what a program does to the original
	 * moves nobody else's bounds.
	 */
	const struct hw_header *hdr;
	u8 *ram;
	struct hw_extent *extents;
	struct hw_piece *pieces;
	struct hw_function *functions;
	struct hw_unit *units;
	struct hw_slot *slots;
	struct hw_mm *mms;
	struct hw_irq *irqs;
	struct hw_lock *conn_locks;
	struct hw_shared *shared;
	u64 states_next; /* hw_alloc_state(): first free byte */
	/*
	 * The program memory that this process can touch with plain loads and
	 * stores (through copy, which survives a fault); ~0 in the server.
	 */
	u32 self_mm;
	/* memcpy that returns -EFAULT instead of a signal; NULL: use ops->mm_*. */
	int (*copy)(void *to, const void *from, size_t len);
	const struct hw_host_ops *ops;
	void *host;					     /* for ops */
	const struct unit_ops *const *unit_ops;		     /* by enum unit_kind */
	const struct endpoint_model *const *endpoint_models; /* by hw_function.model */
};

/*
 * State at @offset of machine memory, as found in it: whatever a program wrote there,
 * the result and HW_STATE_MAX bytes behind it lie inside the area for state. The area
 * starts with as many bytes that nothing depends on; a bad offset leads there.
 */
#define HW_STATE_MAX (16ULL << 20)
static inline void *hw_state_ptr(const struct hw *hw, u64 offset)
{
	const struct hw_header *hdr = hw->hdr;

	if (unlikely(offset < hdr->states || offset & 63 ||
		     offset - hdr->states > hdr->states_size - HW_STATE_MAX))
		offset = hdr->states;
	return hw->base + offset;
}

/**
 * hw_create - make machine memory and map it.
 * @hw: filled in; @hw->ops, unit_ops and endpoint_models are the caller's to set
 * @ram_size: bytes of machine RAM, a multiple of the page size
 * @nr_functions: how many functions it can hold, at most HW_MAX_FUNCTIONS
 *
 * Return: 0, -EINVAL for a size out of range, -ENOMEM, or what memfd_create gave.
 */
int __must_check hw_create(struct hw *hw, u64 ram_size, u32 nr_functions);

/**
 * hw_attach - map machine memory that another process made.
 * @fd: its memfd; on success @hw owns it
 *
 * Every field of the header is checked against the size of the file.
 *
 * Return: 0, -EINVAL for a header that does not fit, or what mmap gave.
 */
int __must_check hw_attach(struct hw *hw, int fd);
void hw_detach(struct hw *hw);

/*
 * hw_alloc_state - set aside @size bytes (64-byte aligned, zeroed) for a unit's or
 * an endpoint's state. Server only. Return: the offset, or 0 when full.
 */
u64 hw_alloc_state(struct hw *hw, u64 size);

/*
 * hw_function_init - zero function @fn and mark it present. Server only, before
 * anybody uses it.
 */
void hw_function_init(struct hw *hw, u32 fn);

/*
 * hw_mm_alloc - an index for a program's address space; server only. An index is
 * not given out again while memory of it is pinned. Return: 0, -ENOSPC.
 */
int __must_check hw_mm_alloc(struct hw *hw, u32 pid, u32 *out);

#endif
