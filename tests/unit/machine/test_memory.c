// SPDX-License-Identifier: MIT
/* Machine memory: creation, hostile headers; RAM pages against a bitmap; locks that
 * outlive. */
#include <setjmp.h>
#include <stdarg.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rand.h"
#include "machine/dma.h"
#include "machine/lock.h"
#include "machine/machine.h"

static void sizes_out_of_range_einval(void **state)
{
	struct hw hw;

	assert_int_equal(hw_create(&hw, 0, 1), -EINVAL);
	assert_int_equal(hw_create(&hw, 4097, 1), -EINVAL);
	assert_int_equal(hw_create(&hw, HW_MAX_RAM + 4096, 1), -EINVAL);
	assert_int_equal(hw_create(&hw, 4096, HW_MAX_FUNCTIONS + 1), -EINVAL);
	assert_int_equal(hw_create(&hw, HW_MAX_RAM, HW_MAX_FUNCTIONS), 0);
	hw_detach(&hw);
	hw_detach(&hw);
}

static void attach_sees_the_same_memory(void **state)
{
	struct hw a, b;

	assert_int_equal(hw_create(&a, 1 << 20, 8), 0);
	assert_int_equal(hw_attach(&b, dup(a.fd)), 0);
	a.ram[5000] = 42;
	assert_int_equal(b.ram[5000], 42);
	hw_function_init(&a, 7);
	assert_int_equal(b.functions[7].present, 1);
	assert_int_equal(b.functions[7].unit, -1);
	/* Nobody can shrink it under the others. */
	assert_int_equal(ftruncate(b.fd, 4096), -1);
	hw_detach(&b);
	hw_detach(&a);
}

static int copy_of(const struct hw *hw, const struct hw_header *hdr)
{
	int fd = memfd_create("test", MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(fd, hw->hdr->size), 0);
	assert_int_equal(pwrite(fd, hdr, sizeof(*hdr), 0), sizeof(*hdr));
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	return fd;
}

static void hostile_headers_einval(void **state)
{
	struct hw_header hdr;
	struct hw hw, other;
	unsigned accepted = 0;
	struct rnd r;
	int fd;

	rnd_seed(&r, 1);
	assert_int_equal(hw_create(&hw, 1 << 20, 8), 0);
	fd = copy_of(&hw, hw.hdr);
	assert_int_equal(hw_attach(&other, fd), 0);
	hw_detach(&other);
	for (unsigned i = 0; i < 3000; i++) {
		u32 *words = (u32 *)&hdr;

		hdr = *hw.hdr;
		words[rnd_below(&r, sizeof(hdr) / 4)] = rnd_u64(&r) >> rnd_below(&r, 64);
		fd = copy_of(&hw, &hdr);
		if (hw_attach(&other, fd)) {
			close(fd);
			continue;
		}
		/* Accepted: then all of it can be touched. */
		accepted++;
		for (u32 f = 0; f < other.hdr->nr_functions; f++)
			other.functions[f].present = 1;
		other.extents[other.hdr->nr_extents + other.hdr->nr_small - 1].flags = 1;
		if (other.hdr->ram_size)
			other.ram[other.hdr->ram_size - 1] = 1;
		*((u8 *)hw_state_ptr(&other, ~0ULL & ~63ULL) + HW_STATE_MAX - 1) = 1;
		*((u8 *)hw_state_ptr(&other, rnd_u64(&r)) + HW_STATE_MAX - 1) = 1;
		hw_detach(&other);
	}
	assert_true(accepted < 2500);
	/* A file that can shrink, and one that is no machine. */
	fd = memfd_create("test", MFD_ALLOW_SEALING);
	assert_int_equal(hw_attach(&other, fd), -EINVAL);
	assert_int_equal(ftruncate(fd, hw.hdr->size), 0);
	assert_int_equal(pwrite(fd, hw.hdr, sizeof(hdr), 0), sizeof(hdr));
	assert_int_equal(hw_attach(&other, fd), -EINVAL);
	close(fd);
	assert_int_equal(hw_attach(&other, -1), -EBADF);
	hw_detach(&hw);
}

static void overwritten_header_moves_no_bounds(void **state)
{
	struct hw hw;

	assert_int_equal(hw_create(&hw, 1 << 20, 8), 0);
	memset(hw.base, 0xff, sizeof(struct hw_header));
	assert_null(ram_ptr(&hw, (1 << 20) - 4, 8));
	assert_non_null(ram_ptr(&hw, (1 << 20) - 8, 8));
	assert_null(ram_ptr(&hw, ~0ULL, 8));
	assert_null(ram_ptr(&hw, 8, ~0ULL));
	hw_detach(&hw);
}

static void state_runs_out_at_the_end(void **state)
{
	u64 at, last = 0;
	struct hw hw;

	assert_int_equal(hw_create(&hw, 4096, 0), 0);
	assert_int_equal(hw_alloc_state(&hw, HW_STATE_MAX + 1), 0);
	while ((at = hw_alloc_state(&hw, 1000000))) {
		assert_true(at >= last + 1000000);
		assert_true(at % 64 == 0);
		assert_ptr_equal(hw_state_ptr(&hw, at), hw.base + at);
		last = at;
	}
	assert_true(last);
	hw_detach(&hw);
}

static void ram_random_agrees_with_bitmap(void **state)
{
	struct {
		phys_addr_t phys;
		unsigned order;
	} blocks[256];
	static u8 used[8192];
	unsigned n = 0, full = 0;
	struct machine *m;
	struct rnd r;

	rnd_seed(&r, 9);
	assert_int_equal(machine_create(&m, 8192 * PAGE_SIZE, 0, ""), 0);
	for (unsigned op = 0; op < 100000; op++) {
		if (n < 256 && rnd_below(&r, 5) < 3) {
			unsigned order = rnd_one_in(&r, 3) ? rnd_below(&r, 10) : 0;
			phys_addr_t phys;

			if (ram_alloc_pages(m, order, &phys)) {
				full++;
				continue;
			}
			assert_true(phys && IS_ALIGNED(phys, PAGE_SIZE << order));
			for (u64 i = 0; i < 1ULL << order; i++) {
				u64 *p = ram_ptr(&m->hw, phys + i * PAGE_SIZE, PAGE_SIZE);

				assert_false(used[(phys >> PAGE_SHIFT) + i]);
				used[(phys >> PAGE_SHIFT) + i] = 1;
				assert_int_equal(p[0] | p[100] | p[511], 0);
			}
			blocks[n].order = order;
			blocks[n++].phys = phys;
		} else if (n) {
			unsigned k = rnd_below(&r, n);
			u64 pages = 1ULL << blocks[k].order;

			memset(&used[blocks[k].phys >> PAGE_SHIFT], 0, pages);
			if (rnd_one_in(&r, 2)) {
				for (u64 i = 0; i < pages; i++)
					memset(m->hw.ram + blocks[k].phys + i * PAGE_SIZE,
					       0xee, PAGE_SIZE);
				ram_free_pages(m, blocks[k].phys, blocks[k].order);
			} else {
				ram_free_zeroed(m, blocks[k].phys, blocks[k].order);
			}
			blocks[k] = blocks[--n];
		}
	}
	assert_true(full > 0);
	while (n--)
		ram_free_pages(m, blocks[n].phys, blocks[n].order);
	/* All of it can be had again in the largest blocks. */
	for (unsigned order = 12; order; order--) {
		phys_addr_t phys;

		assert_int_equal(ram_alloc_pages(m, order, &phys), 0);
	}
	machine_destroy(m);
}

static void lock_recursion_is_edeadlk(void **state)
{
	struct hw_lock l = {0};

	assert_int_equal(hw_lock_acquire(&l), 0);
	assert_true(hw_lock_mine(&l));
	assert_int_equal(hw_lock_acquire(&l), -EDEADLK);
	hw_lock_release(&l);
	assert_false(hw_lock_mine(&l));
	assert_int_equal(atomic_load(&l.word), 0);
}

static void lock_of_the_dead_is_eownerdead(void **state)
{
	struct hw_lock *l = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = fork();

	if (!pid) {
		(void)hw_lock_acquire(l);
		raise(SIGKILL);
	}
	while (!atomic_load(&l->word))
		usleep(100);
	usleep(20000);
	/* Not waited for: a zombie. */
	assert_int_equal(hw_lock_acquire(l), -EOWNERDEAD);
	hw_lock_release(l);
	waitpid(pid, NULL, 0);
	atomic_store(&l->word, pid | HW_LOCK_WAITERS);
	assert_int_equal(hw_lock_acquire(l), -EOWNERDEAD);
	hw_lock_release(l);
	atomic_store(&l->word, 0x7fffffff);
	assert_int_equal(hw_lock_acquire(l), -EOWNERDEAD);
	hw_lock_release(l);
	atomic_store(&l->word, HW_LOCK_WAITERS);
	assert_int_equal(hw_lock_acquire(l), 0);
	hw_lock_release(l);
	atomic_store(&l->word, 1);
	assert_int_equal(hw_lock_acquire_timeout(l, 10), -EBUSY);
	munmap(l, 4096);
}

static struct {
	struct hw_lock lock;
	u64 count;
} shared;

static void *count(void *unused)
{
	for (unsigned i = 0; i < 50000; i++) {
		int ret = hw_lock_acquire(&shared.lock);

		shared.count++;
		hw_lock_release(&shared.lock);
		if (ret)
			return (void *)1;
	}
	return NULL;
}

static void lock_excludes(void **state)
{
	pthread_t t[4];
	void *bad;

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, count, NULL), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &bad);
		assert_null(bad);
	}
	assert_int_equal(shared.count, 200000);
}

static void ids_are_right_after_fork(void **state)
{
	int status;
	pid_t pid;

	assert_int_equal(self_pid(), getpid());
	assert_int_equal(self_tid(), gettid());
	pid = fork();
	if (!pid)
		_exit(self_pid() != (u32)getpid() || self_tid() != (u32)gettid());
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(self_pid(), getpid());
	assert_false(thread_is_dead(self_tid()));
	assert_true(thread_is_dead(pid));
	assert_true(thread_is_dead(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_out_of_range_einval),
		cmocka_unit_test(attach_sees_the_same_memory),
		cmocka_unit_test(hostile_headers_einval),
		cmocka_unit_test(overwritten_header_moves_no_bounds),
		cmocka_unit_test(state_runs_out_at_the_end),
		cmocka_unit_test(ram_random_agrees_with_bitmap),
		cmocka_unit_test(lock_recursion_is_edeadlk),
		cmocka_unit_test(lock_of_the_dead_is_eownerdead),
		cmocka_unit_test(lock_excludes),
		cmocka_unit_test(ids_are_right_after_fork),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
