/* SPDX-License-Identifier: MIT */
/*
 * DMA as an endpoint issues it: through the unit in front of the function, then
 * to whatever backs the physical address (machine RAM, a program's memory, a
 * peer's BAR, the MSI window). Runs in the process that drives the device.
 *
 * Nothing moves while bus mastering is off: a write changes nothing, a read
 * delivers zeroes. The same holds for the part of an access that is refused.
 */
#ifndef MOAT_MACHINE_DMA_H
#define MOAT_MACHINE_DMA_H

#include "machine/hw.h"
#include "machine/unit.h"

/**
 * dma_read - the device reads memory.
 * @fn: index of the function
 * @iova: where, any alignment
 * @buf: filled with what was read, zeroes for bytes that could not be
 * @len: bytes
 *
 * Return: 0, -EFAULT if any byte was refused (a fault has been recorded).
 */
int dma_read(struct hw *hw, u32 fn, iova_t iova, void *buf, size_t len);

/* dma_write - the device writes memory. A 4-byte write to the MSI window is an interrupt.
 */
int dma_write(struct hw *hw, u32 fn, iova_t iova, const void *buf, size_t len);

/**
 * dma_copy - memory to memory, without a bounce where both ends are reachable.
 *
 * Return: 0; -EFAULT with *@fault_dst saying which end and *@done how many bytes
 * arrived before it.
 */
int dma_copy(struct hw *hw, u32 fn, iova_t dst, iova_t src, size_t len, bool *fault_dst,
	     size_t *done);

/* dma_fill - store @len bytes of the 8-byte pattern, which starts at @dst. */
int dma_fill(struct hw *hw, u32 fn, iova_t dst, u64 pattern, size_t len, size_t *done);

/*
 * Interrupts. hw_msi_send() looks up vector @vec in the function's MSI or MSI-X
 * capability (whichever is enabled; masked vectors become pending) and sends the
 * message as a DMA write. hw_intx_set() drives the level.
 */
void hw_msi_send(struct hw *hw, u32 fn, unsigned vec);
bool hw_msi_enabled(const struct hw *hw, u32 fn);
bool hw_msix_enabled(const struct hw *hw, u32 fn);
void hw_intx_set(struct hw *hw, u32 fn, bool level);
/*
 * Send what is pending and no longer masked; to be called after a configuration write
 * that may have unmasked or enabled MSI or MSI-X (the table is watched already).
 */
void hw_msi_flush(struct hw *hw, u32 fn);
/* The same for INTx: tell the level again after a write to the command register. */
void hw_intx_update(struct hw *hw, u32 fn);

/*
 * Access to a physical address by the machine's own software (drivers, the
 * server) or by a peer: RAM, program window, BARs, unit registers.
 * Return: 0 or -EFAULT.
 */
int phys_read(struct hw *hw, phys_addr_t phys, void *buf, size_t len);
int phys_write(struct hw *hw, phys_addr_t phys, const void *buf, size_t len);

/* Machine RAM by physical address; NULL unless [phys, phys + len) lies in RAM. */
static inline void *ram_ptr(const struct hw *hw, phys_addr_t phys, u64 len)
{
	if (unlikely(phys >= hw->hdr->ram_size || len > hw->hdr->ram_size - phys))
		return NULL;
	return hw->ram + phys;
}

#endif
