// SPDX-License-Identifier: MIT
/*
 * The address space: mappings of devices, and what happens to pinned memory. Calls that
 * make memory vanish look at the bounds of what is pinned first; nearly all end there.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "preload/bars.h"
#include "preload/hooks.h"
#include "preload/host.h"
#include "preload/trap.h"
#include "preload/vma.h"

/* [addr, addr + len) is about to hold something else. */
static void forget_range(u64 addr, u64 len)
{
	struct proc *p;

	if (likely(!proc_used()) || !len)
		return;
	vma_vanish(addr, len, false);
	if (unlikely(bars_overlap(addr, len))) {
		p = proc_get();
		if (p)
			bars_remove(p, addr, ALIGN(len, PAGE_SIZE));
	}
}

static void *bad_map(long err)
{
	errno = -err;
	return MAP_FAILED;
}

/* Pages that trap, where the program wants them. */
static void *reserve(void *addr, size_t len, int flags)
{
	int keep = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_32BIT);

	return sys_map(addr, len, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | keep, -1, 0);
}

static void *map_device(const struct pfile *f, void *addr, size_t len, int prot,
			int flags, int fd, u64 off)
{
	struct wire_request req = {.op = WIRE_MMAP,
				   .a = off,
				   .b = len,
				   .c = (u32)prot | (u64)(u32)flags << 32,
				   .d = flags & MAP_FIXED ? (u64)addr : 0};
	struct proc *p = proc_get();
	struct conn_answer ans;
	struct bar_map m = {0};
	void *at;
	long ret;

	if (!p)
		return bad_map(-ENODEV);
	if (!len || off & ~PAGE_MASK)
		return bad_map(-EINVAL);
	ret = conn_call(p, fd, f->cookie, &req, 0, 0, false, &ans);
	if (ret < 0)
		return bad_map(ret);
	len = ALIGN(len, PAGE_SIZE);
	if (flags & MAP_FIXED)
		forget_range((u64)addr, len);
	at = reserve(addr, len, flags);
	if ((u64)at >= (u64)-MAX_ERRNO)
		return bad_map((long)at);

	m.addr = (u64)at;
	m.len = len;
	m.offset = ans.reply.b;
	m.function = ans.reply.a >> 8;
	m.bar = ans.reply.a & 0xff;
	m.prot = prot & (PROT_READ | PROT_WRITE | PROT_EXEC);
	m.fd = fd_hide_dup(fd);
	if (m.function >= proc_hw.hdr->nr_functions || m.bar >= HW_NR_BARS || m.fd < 0) {
		ret = m.fd < 0 ? m.fd : -EIO;
		goto err_unmap;
	}
	trap_install();
	file_set_function(f->cookie, m.function);
	irq_file_function(f->cookie, m.function);
	ret = bars_add(p, &m);
	if (ret)
		goto err_fd;
	return at;

err_fd:
	fd_unhide_close(m.fd);
err_unmap:
	sys_unmap(at, len);
	return bad_map(ret);
}

HOOK void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	struct pfile f;
	void *at;

	if (likely(!proc_used()))
		return NEXT(mmap)(addr, len, prot, flags, fd, off);
	if (unlikely(!(flags & MAP_ANONYMOUS) && fd_hint(fd) == FD_OURS) &&
	    file_get(fd, &f))
		return map_device(&f, addr, len, prot, flags, fd, off);
	if (flags & MAP_FIXED && !(flags & MAP_FIXED_NOREPLACE & ~MAP_FIXED))
		forget_range((u64)addr, len);
	at = NEXT(mmap)(addr, len, prot, flags, fd, off);
	/* A socket cannot be mapped; was it one of ours under a number not seen yet? */
	if (unlikely(at == MAP_FAILED && errno == ENODEV) && file_get(fd, &f))
		return map_device(&f, addr, len, prot, flags, fd, off);
	return at;
}
HOOK_ALIAS(mmap64, mmap);

HOOK int munmap(void *addr, size_t len)
{
	if (!((u64)addr & ~PAGE_MASK))
		forget_range((u64)addr, len);
	return NEXT(munmap)(addr, len);
}

HOOK int mprotect(void *addr, size_t len, int prot)
{
	struct proc *p;

	if (likely(!proc_used()))
		return NEXT(mprotect)(addr, len, prot);
	if (unlikely(bars_overlap((u64)addr, len))) {
		p = proc_get();
		if (p && !((u64)addr & ~PAGE_MASK)) {
			bars_protect(p, (u64)addr, ALIGN(len, PAGE_SIZE), prot);
			return 0;
		}
	}
	if (!(prot & PROT_WRITE))
		vma_protected((u64)addr, len);
	return NEXT(mprotect)(addr, len, prot);
}

HOOK void *mremap(void *addr, size_t old_len, size_t new_len, int flags, ...)
{
	bool dontunmap = flags & MREMAP_DONTUNMAP;
	void *to = NULL, *ret;
	struct proc *p;
	va_list ap;

	va_start(ap, flags);
	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP))
		to = va_arg(ap, void *);
	va_end(ap);
	if (likely(!proc_used()))
		return NEXT(mremap)(addr, old_len, new_len, flags, to);

	if (bars_overlap((u64)addr, old_len)) {
		/* A mapping of device memory does not grow. */
		if (new_len > old_len)
			return bad_map(-EFAULT);
		ret = NEXT(mremap)(addr, old_len, new_len, flags, to);
		p = proc_get();
		if (ret == MAP_FAILED || !p)
			return ret;
		if (new_len < old_len)
			bars_remove(p, (u64)addr + new_len, old_len - new_len);
		if (ret != addr)
			bars_move(p, (u64)addr, new_len, (u64)ret);
		return ret;
	}
	if (flags & MREMAP_FIXED)
		forget_range((u64)to, new_len);
	if (new_len < old_len)
		forget_range((u64)addr + ALIGN(new_len, PAGE_SIZE),
			     old_len - min(old_len, ALIGN(new_len, PAGE_SIZE)));
	if (dontunmap || !vma_pinned((u64)addr, old_len))
		return NEXT(mremap)(addr, old_len, new_len, flags, to);

	ret = NEXT(mremap)(addr, old_len, new_len, flags, to);
	if (ret != MAP_FAILED && ret != addr) {
		host_moved((u64)addr, min(old_len, new_len), (u64)ret);
		vma_moved((u64)addr, min(old_len, new_len), (u64)ret);
	}
	return ret;
}

static bool drops_pages(int advice, u64 addr)
{
	switch (advice) {
	case MADV_DONTNEED:
	case MADV_FREE:
		/* What is shared has its pages from the file. */
		return vma_private(addr);
	default:
		return false;
	}
}

HOOK int madvise(void *addr, size_t len, int advice)
{
	if (likely(!proc_used()) || !len)
		return NEXT(madvise)(addr, len, advice);
	if (unlikely(bars_overlap((u64)addr, len)) &&
	    (advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_REMOVE))
		return libc_ret(-EINVAL);
	if (unlikely(vma_pinned((u64)addr, len))) {
		if (drops_pages(advice, (u64)addr))
			vma_vanish((u64)addr, len, true);
		else if (advice == MADV_REMOVE)
			vma_vanish((u64)addr, len, true);
	}
	return NEXT(madvise)(addr, len, advice);
}

/* ---- the heap's end ---- */

HOOK int brk(void *end)
{
	if (proc_used()) {
		u64 now = sc1(SYS_brk, 0);

		if ((u64)end && (u64)end < now)
			forget_range(ALIGN((u64)end, PAGE_SIZE), now - (u64)end);
	}
	return NEXT(brk)(end);
}

HOOK void *sbrk(intptr_t by)
{
	if (proc_used() && by < 0) {
		u64 now = sc1(SYS_brk, 0);

		forget_range(ALIGN(now + by, PAGE_SIZE), -by);
	}
	return NEXT(sbrk)(by);
}

/* ---- files under pinned memory ---- */

HOOK int ftruncate(int fd, off_t len)
{
	if (unlikely(proc_used()) && len >= 0)
		vma_file_cut(fd, len, 1ULL << 62);
	return NEXT(ftruncate)(fd, len);
}
HOOK_ALIAS(ftruncate64, ftruncate);

HOOK int fallocate(int fd, int mode, off_t off, off_t len)
{
	if (unlikely(proc_used()) && mode & FALLOC_FL_PUNCH_HOLE && off >= 0 && len > 0)
		vma_file_cut(fd, off, off + len);
	return NEXT(fallocate)(fd, mode, off, len);
}
HOOK_ALIAS(fallocate64, fallocate);

/* ---- the end, without destructors ---- */

HOOK void _exit(int status)
{
	vma_leave();
	for (;;)
		sc1(SYS_exit_group, status);
}
HOOK_ALIAS(_Exit, _exit);
