// SPDX-License-Identifier: MIT
/*
 * Invalidation against DMA under way: when the wait descriptor has completed, no byte
 * moves through the old mapping, whichever thread or process does the DMA, and a
 * translator that dies in the middle holds nobody up.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "machine/sys.h"
#include "machine/translate.h"
#include "tests/unit/vtd/vtd_fixture.h"
#include "units/units.h"

#define RW	(VTD_SS_R | VTD_SS_W)
#define THREADS 3
#define ROUNDS	1000
#define SECONDS 4 /* of them, where the machine is busy and the writers had a turn */
#define MOVES	10
#define SLICE	512

struct race {
	struct fx fx;
	_Atomic bool stop;
	_Atomic u64 moved;
};

static const u8 zeroes[4096];

static void *writer(void *arg)
{
	struct race *r = arg;
	u8 buf[SLICE];

	memset(buf, 0xff, sizeof(buf));
	while (!atomic_load(&r->stop)) {
		if (!dma_write(r->fx.hw, FX_FN, 0x1000 + 256, buf, sizeof(buf)))
			atomic_fetch_add(&r->moved, 1);
	}
	return NULL;
}

static void no_byte_moves_after_invalidation(void **state)
{
	struct race *r = calloc(1, sizeof(*r));
	pthread_t threads[THREADS];
	u64 table, page, *pte;
	time_t end;

	fx_init(&r->fx, NULL);
	table = fx_page(&r->fx);
	page = fx_page(&r->fx);
	pte = fx_pte(&r->fx, table, 4, 0x1000, 1);
	fx_enable(&r->fx, table | VTD_CTX_P | VTD_CTX_FPD,
		  VTD_CTX_AW(2) | VTD_CTX_DID(5));
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, writer, r), 0);
	end = time(NULL) + SECONDS;
	for (unsigned i = 0;
	     (i < ROUNDS && time(NULL) < end) || atomic_load(&r->moved) <= MOVES; i++) {
		u8 *mem = ram_ptr(r->fx.hw, page, 4096);

		__atomic_store_n(pte, page | RW, __ATOMIC_RELAXED);
		for (unsigned spin = 0; spin < 200 + i % 700; spin++)
			__asm__ volatile("pause");
		if (i % 64 == 0)
			usleep(200);
		__atomic_store_n(pte, 0, __ATOMIC_RELAXED);
		fx_submit(&r->fx,
			  VTD_QI_IOTLB | VTD_QI_GRAN(VTD_GRAN_PAGE) | VTD_QI_DID(5),
			  0x1000);
		assert_true(fx_wait(&r->fx));
		memset(mem, 0, 4096);
		for (unsigned look = 0; look < 3; look++) {
			assert_memory_equal(mem, zeroes, sizeof(zeroes));
			sched_yield();
		}
	}
	atomic_store(&r->stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	fx_exit(&r->fx);
	free(r);
}

/* The same with the DMA in another process, killed at some point each time. */
static void other_process_is_waited_for_and_its_death_survived(void **state)
{
	struct fx fx;
	u64 table, page, *pte;

	fx_init(&fx, NULL);
	table = fx_page(&fx);
	page = fx_page(&fx);
	pte = fx_pte(&fx, table, 4, 0x1000, 1);
	fx_enable(&fx, table | VTD_CTX_P | VTD_CTX_FPD, VTD_CTX_AW(2) | VTD_CTX_DID(5));
	for (unsigned round = 0; round < 8; round++) {
		volatile u8 *mem = ram_ptr(fx.hw, page, 4096);
		pid_t pid;
		int status;

		*pte = page | RW;
		pid = fork();
		if (!pid) {
			struct hw hw;
			u8 buf[SLICE];

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			memset(buf, 0xff, sizeof(buf));
			if (hw_attach(&hw, dup(fx.hw->fd)))
				_exit(1);
			units_register(&hw);
			for (;;)
				(void)dma_write(&hw, FX_FN, 0x1000, buf, sizeof(buf));
		}
		assert_true(pid > 0);
		while (!mem[0])
			sched_yield();
		for (unsigned i = 0; i < 30; i++) {
			__atomic_store_n(pte, page | RW, __ATOMIC_RELAXED);
			usleep(20);
			__atomic_store_n(pte, 0, __ATOMIC_RELAXED);
			fx_submit(&fx,
				  VTD_QI_IOTLB | VTD_QI_GRAN(VTD_GRAN_DOMAIN) |
					  VTD_QI_DID(5),
				  0);
			if (i == 15)
				kill(pid, SIGKILL);
			assert_true(fx_wait(&fx));
			memset((void *)mem, 0, 4096);
			sched_yield();
			for (unsigned b = 0; b < SLICE; b++)
				assert_int_equal(mem[b], 0);
		}
		/* Not waited for yet: a zombie must not count as alive. */
		assert_true(fx_wait(&fx));
		assert_int_equal(waitpid(pid, &status, 0), pid);
	}
	fx_exit(&fx);
}

static void slot_of_a_dead_translator_is_taken_back(void **state)
{
	struct fx fx;
	pid_t pid;

	fx_init(&fx, NULL);
	pid = fork();
	if (!pid) {
		struct hw hw;

		if (hw_attach(&hw, dup(fx.hw->fd)))
			_exit(1);
		(void)translator_enter(&hw);
		raise(SIGKILL); /* inside */
	}
	usleep(20000);
	translators_synchronize(fx.hw); /* the child is a zombie now */
	waitpid(pid, NULL, 0);
	translators_reclaim(fx.hw, 0);
	for (unsigned i = 0; i < HW_MAX_SLOTS; i++)
		assert_true(atomic_load(&fx.hw->slots[i].pid) != (u32)pid);
	fx_exit(&fx);
}

static u64 cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void *burn(void *unused)
{
	for (;;)
		cpu_relax();
	return NULL;
}

/* However long it takes on the clock until it gets to the CPU. */
static void starved_translator_is_waited_for(void **state)
{
	struct sched_param none = {0};
	volatile u8 *mem;
	struct fx fx;
	int cpu = sched_getcpu();
	pid_t pid;

	fx_init(&fx, NULL);
	mem = ram_ptr(fx.hw, fx_page(&fx), 4096);
	mem[0] = mem[1] = 0;
	pid = fork();
	if (!pid) {
		struct translator *x;
		pthread_t t;
		cpu_set_t set;
		struct hw hw;
		u64 start;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		sched_setaffinity(0, sizeof(set), &set);
		if (hw_attach(&hw, dup(fx.hw->fd)) ||
		    pthread_create(&t, NULL, burn, NULL) ||
		    sched_setscheduler(0, SCHED_IDLE, &none))
			_exit(1);
		x = translator_enter(&hw);
		start = cpu_ns();
		mem[0] = 1;
		while (cpu_ns() - start < 20000000)
			cpu_relax();
		mem[1] = 1;
		translator_leave(x);
		_exit(0);
	}
	while (!mem[0])
		usleep(1000);
	translators_synchronize(fx.hw);
	assert_int_equal(mem[1], 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	fx_exit(&fx);
}

static void own_slot_is_not_waited_for(void **state)
{
	struct translator *x;
	struct fx fx;

	fx_init(&fx, NULL);
	x = translator_enter(fx.hw);
	assert_ptr_equal(translator_enter(fx.hw), x); /* nests */
	translator_leave(x);
	assert_true(atomic_load(&x->slot->active) != 0);
	translators_synchronize(fx.hw);
	translator_leave(x);
	assert_true(atomic_load(&x->slot->active) == 0);
	fx_exit(&fx);
}

static void forked_child_takes_a_slot_of_its_own(void **state)
{
	struct translator *x;
	struct hw_slot *slot;
	struct fx fx;
	int status;
	pid_t pid;

	fx_init(&fx, NULL);
	x = translator_enter(fx.hw);
	slot = x->slot;
	translator_leave(x);
	pid = fork();
	if (!pid) {
		struct translator *y = translator_enter(fx.hw);
		bool ok = y && y->slot != slot &&
			  atomic_load(&y->slot->pid) == (u32)getpid();

		translator_leave(y);
		_exit(!ok);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	x = translator_enter(fx.hw);
	assert_int_equal(atomic_load(&x->slot->pid), getpid());
	translator_leave(x);
	fx_exit(&fx);
}

static void *enter_once(void *arg)
{
	struct translator *x = translator_enter(arg);

	if (x)
		translator_leave(x);
	return x;
}

static void slots_come_back_when_threads_end(void **state)
{
	struct fx fx;
	unsigned used = 0;

	fx_init(&fx, NULL);
	for (unsigned i = 0; i < HW_MAX_SLOTS + 50; i++) {
		pthread_t t;
		void *ret;

		assert_int_equal(pthread_create(&t, NULL, enter_once, fx.hw), 0);
		pthread_join(t, &ret);
		assert_non_null(ret);
	}
	for (unsigned i = 0; i < HW_MAX_SLOTS; i++)
		used += atomic_load(&fx.hw->slots[i].pid) != 0;
	assert_true(used <= 1);
	fx_exit(&fx);
}

/* A program that keeps a slot active for good, or writes nonsense into it. */
static void hostile_slot_does_not_stop_the_server(void **state)
{
	struct hw_slot *slot;
	struct fx fx;

	fx_init(&fx, NULL);
	atomic_store(&fx.hw->shared->slots_high, ~0U);
	slot = &fx.hw->slots[900];
	atomic_store(&slot->pid, 0x7fffffff);
	atomic_store(&slot->tid, 0x7fffffff);
	atomic_store(&slot->active, 1);
	translators_synchronize(fx.hw);
	atomic_store(&slot->pid, 1);
	atomic_store(&slot->tid, 0);
	atomic_store(&slot->active, 7);
	translators_synchronize(fx.hw); /* init lives: the limit is what ends this */
	assert_int_equal(atomic_load(&slot->pid), 0);
	fx_exit(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_byte_moves_after_invalidation),
		cmocka_unit_test(other_process_is_waited_for_and_its_death_survived),
		cmocka_unit_test(slot_of_a_dead_translator_is_taken_back),
		cmocka_unit_test(starved_translator_is_waited_for),
		cmocka_unit_test(own_slot_is_not_waited_for),
		cmocka_unit_test(forked_child_takes_a_slot_of_its_own),
		cmocka_unit_test(slots_come_back_when_threads_end),
		cmocka_unit_test(hostile_slot_does_not_stop_the_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
