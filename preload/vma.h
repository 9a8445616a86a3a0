/* SPDX-License-Identifier: MIT */
/*
 * The program's address space and DMA: memory that is pinned stays with the device
 * whatever the program does to the addresses where it lay.
 */
#ifndef MOAT_PRELOAD_VMA_H
#define MOAT_PRELOAD_VMA_H

#include "preload/proc.h"

/* May something in [@addr, @addr + @len) be pinned? A comparison or two. */
bool vma_pinned(u64 addr, u64 len);

/*
 * [@addr, @addr + @len) is about to be unmapped or replaced: move what is pinned in it to
 * a hidden place. @keep_mapping: the range stays mapped, without its pages
 * (MADV_DONTNEED).
 */
void vma_vanish(u64 addr, u64 len, bool keep_mapping);
/* The program's own mremap: [@from, @from + @len) is now at @to. */
void vma_moved(u64 from, u64 len, u64 to);
/* mprotect took away what a device may use. */
void vma_protected(u64 addr, u64 len);
/* A file shrinks or gets a hole at [@start, @end): keep what is pinned of it. */
void vma_file_cut(int fd, u64 start, u64 end);
/* The machine holds files of the program by themselves (MAP_FILE). */
void vma_files_given(void);
/* Is the range a private mapping or anonymous memory (so that dropping pages loses them)?
 */
bool vma_private(u64 addr);

/*
 * This process has been forked, or has forked: others may hold its files when it ends.
 * vma_leave(): it ends now, so what is still pinned of it is copied.
 */
void vma_shared_with_others(void);
void vma_leave(void);

/* libc gives memory back behind our back: once, when a device is first opened. */
void vma_tame_malloc(void);

#endif
