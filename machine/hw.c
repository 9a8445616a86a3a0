// SPDX-License-Identifier: MIT
/*
 * Machine memory: making it, mapping it, and checking what a header says (hw.h).
 *
 * The file is sparse and sealed against shrinking, so that no access to the mapping
 * can fail; nothing is touched at creation but the header. The layout is computed
 * in one place, and a header that another process wrote must be one that this code
 * could have written: every array inside the file, aligned, no two overlapping.
 */
#include "machine/hw.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>

#include "base/err.h"
#include "base/overflow.h"
#include "machine/sys.h"
#include "machine/translate.h"
#include "machine/unit.h"

#define PROG_SHIFT  30
#define PROG_BASE   (1ULL << 46)
#define PROG_SLOTS  65536U
#define SMALL_SHIFT 21
#define SMALL_BASE  (1ULL << 45)
#define SMALL_SLOTS (1U << 21)
#define NR_PIECES   (1U << 21)
#define STATES_SIZE (256ULL << 20)

/* Places an array of @n elements of @size bytes at the end of what is laid out so far. */
static u64 place(u64 *end, u64 n, u64 size)
{
	u64 at = ALIGN(*end, PAGE_SIZE);

	*end = at + n * size;
	return at;
}

static void lay_out(struct hw_header *hdr, u64 ram_size, u32 nr_functions)
{
	u64 end = sizeof(*hdr);

	memset(hdr, 0, sizeof(*hdr));
	hdr->magic = HW_MAGIC;
	hdr->version = HW_VERSION;
	hdr->nr_functions = nr_functions;
	hdr->ram_size = ram_size;
	hdr->prog_shift = PROG_SHIFT;
	hdr->prog_base = PROG_BASE;
	hdr->nr_extents = PROG_SLOTS;
	hdr->small_shift = SMALL_SHIFT;
	hdr->small_base = SMALL_BASE;
	hdr->nr_small = SMALL_SLOTS;
	hdr->nr_pieces = NR_PIECES;
	hdr->states_size = STATES_SIZE;
	hdr->shared = place(&end, 1, sizeof(struct hw_shared));
	hdr->slots = place(&end, HW_MAX_SLOTS, sizeof(struct hw_slot));
	hdr->mms = place(&end, HW_MAX_MMS, sizeof(struct hw_mm));
	hdr->units = place(&end, HW_MAX_UNITS, sizeof(struct hw_unit));
	hdr->irqs = place(&end, HW_MAX_IRQS, sizeof(struct hw_irq));
	hdr->conn_locks = place(&end, HW_MAX_CONN_LOCKS, sizeof(struct hw_lock));
	hdr->functions = place(&end, nr_functions, sizeof(struct hw_function));
	hdr->extents =
		place(&end, (u64)PROG_SLOTS + SMALL_SLOTS, sizeof(struct hw_extent));
	hdr->pieces = place(&end, NR_PIECES, sizeof(struct hw_piece));
	hdr->states = place(&end, 1, STATES_SIZE);
	/* Huge pages need RAM to be aligned as its physical addresses are. */
	end = ALIGN(end, SZ_2M);
	hdr->ram = place(&end, 1, ram_size);
	hdr->size = ALIGN(end, PAGE_SIZE);
}

static void hw_set_pointers(struct hw *hw)
{
	const struct hw_header *hdr = hw->hdr;

	hw->ram = hw->base + hdr->ram;
	hw->extents = (void *)(hw->base + hdr->extents);
	hw->pieces = (void *)(hw->base + hdr->pieces);
	hw->functions = (void *)(hw->base + hdr->functions);
	hw->units = (void *)(hw->base + hdr->units);
	hw->slots = (void *)(hw->base + hdr->slots);
	hw->mms = (void *)(hw->base + hdr->mms);
	hw->irqs = (void *)(hw->base + hdr->irqs);
	hw->conn_locks = (void *)(hw->base + hdr->conn_locks);
	hw->shared = (void *)(hw->base + hdr->shared);
	hw->states_next = hdr->states + HW_STATE_MAX;
	hw->self_mm = ~0U;
}

static void *map(int fd, size_t size, int prot)
{
	long ret = sys_call(
		SYS_mmap, 0, size, prot,
		fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED | MAP_NORESERVE, fd, 0);

	return ret < 0 ? ERR_PTR(ret) : (void *)ret;
}

static void unmap(const void *p, size_t size)
{
	sys_call(SYS_munmap, (long)p, size, 0, 0, 0, 0);
}

/* Maps @fd and takes a private copy of @want, its header. */
static int hw_map(struct hw *hw, int fd, const struct hw_header *want)
{
	struct hw_header *hdr;
	int ret;

	hdr = map(-1, sizeof(*hdr), PROT_READ | PROT_WRITE);
	if (IS_ERR(hdr))
		return PTR_ERR(hdr);
	*hdr = *want;
	hw->hdr = hdr;
	hw->fd = fd;
	hw->size = hdr->size;
	hw->base = map(fd, hw->size, PROT_READ | PROT_WRITE);
	if (IS_ERR(hw->base)) {
		ret = PTR_ERR(hw->base);
		goto err_hdr;
	}
	hw_set_pointers(hw);
	return 0;

err_hdr:
	unmap(hdr, sizeof(*hdr));
	memset(hw, 0, sizeof(*hw));
	hw->fd = -1;
	return ret;
}

int hw_create(struct hw *hw, u64 ram_size, u32 nr_functions)
{
	struct hw_header hdr;
	long fd, ret;

	memset(hw, 0, sizeof(*hw));
	hw->fd = -1;
	if (!ram_size || !IS_ALIGNED(ram_size, PAGE_SIZE) || ram_size > HW_MAX_RAM ||
	    nr_functions > HW_MAX_FUNCTIONS)
		return -EINVAL;
	lay_out(&hdr, ram_size, nr_functions);

	fd = sys_call(SYS_memfd_create, (long)"moat", MFD_CLOEXEC | MFD_ALLOW_SEALING, 0,
		      0, 0, 0);
	if (fd < 0)
		return fd;
	ret = sys_call(SYS_ftruncate, fd, hdr.size, 0, 0, 0, 0);
	if (ret < 0)
		goto err_close;
	ret = sys_call(SYS_fcntl, fd, F_ADD_SEALS,
		       F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, 0, 0, 0);
	if (ret < 0)
		goto err_close;
	ret = hw_map(hw, fd, &hdr);
	if (ret)
		goto err_close;
	*(struct hw_header *)hw->base = hdr;
	hw->shared->membarrier = membarrier_usable();
	translators_register(hw);
	return 0;

err_close:
	sys_call(SYS_close, fd, 0, 0, 0, 0, 0);
	return ret;
}

/* Is [@at, @at + @n * @size) inside the file, aligned, and not over the header? */
static bool array_fits(const struct hw_header *hdr, u64 at, u64 n, u64 size, u64 align)
{
	u64 bytes, end;

	if (check_mul_overflow(n, size, &bytes) || check_add_overflow(at, bytes, &end))
		return false;
	return IS_ALIGNED(at, align) && at >= sizeof(*hdr) && end <= hdr->size;
}

static bool header_valid(const struct hw_header *hdr, u64 file_size)
{
	u64 prog_size, small_size;

	if (hdr->magic != HW_MAGIC || hdr->version != HW_VERSION ||
	    hdr->size != file_size)
		return false;
	if (hdr->nr_functions > HW_MAX_FUNCTIONS || hdr->ram_size > HW_MAX_RAM ||
	    !IS_ALIGNED(hdr->ram_size, PAGE_SIZE) || hdr->states_size < 2 * HW_STATE_MAX)
		return false;
	if (hdr->prog_shift < PAGE_SHIFT || hdr->prog_shift > 32 ||
	    hdr->small_shift < PAGE_SHIFT || hdr->small_shift > 32 ||
	    hdr->nr_extents > BIT(24) || hdr->nr_small > BIT(24))
		return false;
	prog_size = (u64)hdr->nr_extents << hdr->prog_shift;
	small_size = (u64)hdr->nr_small << hdr->small_shift;
	if (hdr->prog_base > ~0ULL - prog_size || hdr->small_base > ~0ULL - small_size)
		return false;
	return array_fits(hdr, hdr->ram, 1, hdr->ram_size, PAGE_SIZE) &&
	       array_fits(hdr, hdr->states, 1, hdr->states_size, 64) &&
	       array_fits(hdr, hdr->shared, 1, sizeof(struct hw_shared), 64) &&
	       array_fits(hdr, hdr->slots, HW_MAX_SLOTS, sizeof(struct hw_slot), 64) &&
	       array_fits(hdr, hdr->mms, HW_MAX_MMS, sizeof(struct hw_mm), 8) &&
	       array_fits(hdr, hdr->units, HW_MAX_UNITS, sizeof(struct hw_unit), 8) &&
	       array_fits(hdr, hdr->irqs, HW_MAX_IRQS, sizeof(struct hw_irq), 8) &&
	       array_fits(hdr, hdr->conn_locks, HW_MAX_CONN_LOCKS, sizeof(struct hw_lock),
			  8) &&
	       array_fits(hdr, hdr->functions, hdr->nr_functions,
			  sizeof(struct hw_function), 8) &&
	       array_fits(hdr, hdr->extents, (u64)hdr->nr_extents + hdr->nr_small,
			  sizeof(struct hw_extent), 8) &&
	       array_fits(hdr, hdr->pieces, hdr->nr_pieces, sizeof(struct hw_piece), 8);
}

int hw_attach(struct hw *hw, int fd)
{
	struct hw_header hdr;
	long len, size, seals;

	memset(hw, 0, sizeof(*hw));
	hw->fd = -1;
	len = sys_call(SYS_pread64, fd, (long)&hdr, sizeof(hdr), 0, 0, 0);
	if (len < 0)
		return len;
	size = sys_call(SYS_lseek, fd, 0, SEEK_END, 0, 0, 0);
	if (size < 0)
		return size;
	seals = sys_call(SYS_fcntl, fd, F_GET_SEALS, 0, 0, 0, 0);
	if (len != sizeof(hdr) || seals < 0 || !(seals & F_SEAL_SHRINK) ||
	    !header_valid(&hdr, size))
		return -EINVAL;
	len = hw_map(hw, fd, &hdr);
	if (!len)
		translators_register(hw);
	return len;
}

void hw_detach(struct hw *hw)
{
	if (!hw->base)
		return;
	translators_forget(hw);
	unmap(hw->base, hw->size);
	unmap(hw->hdr, sizeof(*hw->hdr));
	sys_call(SYS_close, hw->fd, 0, 0, 0, 0, 0);
	memset(hw, 0, sizeof(*hw));
	hw->fd = -1;
}

u64 hw_alloc_state(struct hw *hw, u64 size)
{
	u64 end = hw->hdr->states + hw->hdr->states_size - HW_STATE_MAX,
	    at = hw->states_next;

	if (size > HW_STATE_MAX || at > end)
		return 0;
	hw->states_next = at + ALIGN(size, 64);
	return at;
}

void hw_function_init(struct hw *hw, u32 fn)
{
	struct hw_function *f = &hw->functions[fn];

	memset(f, 0, sizeof(*f));
	f->present = 1;
	f->unit = -1;
}

int hw_mm_alloc(struct hw *hw, u32 pid, u32 *out)
{
	u32 i;

	for (i = 0; i < HW_MAX_MMS; i++) {
		struct hw_mm *mm = &hw->mms[i];

		if (atomic_load(&mm->pid) || atomic_load(&mm->pinned_last))
			continue;
		mm->generation++;
		atomic_store(&mm->pid, pid);
		*out = i;
		return 0;
	}
	return -ENOSPC;
}
