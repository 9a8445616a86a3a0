// SPDX-License-Identifier: MIT
/*
 * What hardware asks of the server's process: deliver an interrupt, tell of a fault, run
 * an engine, reach a program's memory. Hardware calls with an endpoint's lock held, so
 * everything but memory is only noted here and done when the handler has returned,
 * in the order of irq, function and unit numbers (DESIGN.md, D9).
 */
#include <errno.h>
#include <sys/uio.h>

#include "machine/endpoint.h"
#include "machine/events.h"
#include "machine/irq.h"
#include "server/server_priv.h"

#define ENGINE_BUDGET (1024 * 1024)

static void set_bit(u64 *map, u32 bit)
{
	map[bit / 64] |= 1ULL << (bit % 64);
}

/* Takes the lowest bit out of @map; -1: empty. */
static int take_bit(u64 *map, unsigned words)
{
	for (unsigned i = 0; i < words; i++) {
		if (map[i]) {
			int bit = __builtin_ctzll(map[i]);

			map[i] &= map[i] - 1;
			return (int)(i * 64) + bit;
		}
	}
	return -1;
}

void host_irq(struct server *s, u32 irq)
{
	set_bit(s->irqs, irq);
	loop_queue(s->loop, &s->irq_work);
}

void host_intx(struct server *s, u32 function)
{
	set_bit(s->intx, function);
	loop_queue(s->loop, &s->intx_work);
}

void host_unit(struct server *s, u32 unit)
{
	s->units |= 1ULL << unit;
	loop_queue(s->loop, &s->unit_work);
}

static void run_irqs(struct loop_work *work)
{
	struct server *s = container_of(work, struct server, irq_work);
	int irq;

	while ((irq = take_bit(s->irqs, ARRAY_SIZE(s->irqs))) >= 0)
		irq_deliver(s->m, (u32)irq);
}

/* The irq that a driver has for INTx of @fn, 0: none. Remembered, and checked, per
 * function. */
static u32 intx_irq(struct server *s, u32 fn)
{
	const struct hw_irq *irqs = s->m->hw.irqs;
	u32 irq = s->intx_irq[fn];

	if (irq && irqs[irq].kind == HW_IRQ_INTX && irqs[irq].function == fn)
		return irq;
	for (irq = 1; irq < HW_MAX_IRQS; irq++) {
		if (irqs[irq].kind == HW_IRQ_INTX && irqs[irq].function == fn) {
			s->intx_irq[fn] = (u16)irq;
			return irq;
		}
	}
	return 0;
}

static bool intx_asserted(const struct hw_function *f)
{
	u16 command = (u16)(f->config[4] | f->config[5] << 8);

	return atomic_load(&f->intx_level) &&
	       (f->flags & HW_FN_PLATFORM || !(command & 0x400)); /* INTx disable */
}

static void run_intx(struct loop_work *work)
{
	struct server *s = container_of(work, struct server, intx_work);
	int fn;

	while ((fn = take_bit(s->intx, ARRAY_SIZE(s->intx))) >= 0) {
		u32 irq =
			intx_asserted(&s->m->hw.functions[fn]) ? intx_irq(s, (u32)fn) : 0;

		if (irq)
			irq_deliver(s->m, irq);
	}
}

static void run_units(struct loop_work *work)
{
	struct server *s = container_of(work, struct server, unit_work);
	int unit;

	while ((unit = take_bit(&s->units, 1)) >= 0) {
		if (s->unit_event)
			s->unit_event(s->m, (u32)unit);
	}
}

/* One turn for each function that has work; it is queued again while there is more. */
static void run_engines(struct loop_work *work)
{
	struct server *s = container_of(work, struct server, engine_work);
	u64 now[ARRAY_SIZE(s->engine)];
	int fn;

	for (unsigned i = 0; i < ARRAY_SIZE(now); i++) {
		now[i] = s->engine[i];
		s->engine[i] = 0;
	}
	while ((fn = take_bit(now, ARRAY_SIZE(now))) >= 0) {
		if (endpoint_run(&s->m->hw, (u32)fn, ENGINE_BUDGET)) {
			set_bit(s->engine, (u32)fn);
			loop_queue(s->loop, &s->engine_work);
		}
	}
}

static void op_irq(struct hw *hw, u32 irq)
{
	if (irq < HW_MAX_IRQS)
		host_irq(hw->host, irq);
}

static void op_intx(struct hw *hw, u32 function, bool level)
{
	host_intx(hw->host, function);
}

static void op_fault(struct hw *hw, const struct dma_fault *fault)
{
	struct server *s = hw->host;

	machine_event(s->m, fault, fault, 0, 0, NULL);
}

static void op_unit_event(struct hw *hw, u32 unit)
{
	if (unit < HW_MAX_UNITS)
		host_unit(hw->host, unit);
}

static void op_kick(struct hw *hw, u32 function)
{
	struct server *s = hw->host;

	if (function >= HW_MAX_FUNCTIONS)
		return;
	set_bit(s->engine, function);
	loop_queue(s->loop, &s->engine_work);
}

static int mm_access(struct hw *hw, u32 mm, u64 vaddr, void *buf, size_t len, bool write)
{
	struct iovec local = {buf, len}, remote = {(void *)(uintptr_t)vaddr, len};
	u32 pid = mm < HW_MAX_MMS ? atomic_load(&hw->mms[mm].pid) : 0;
	ssize_t n;

	if (!pid)
		return -ESRCH;
	n = write ? process_vm_writev((pid_t)pid, &local, 1, &remote, 1, 0)
		  : process_vm_readv((pid_t)pid, &local, 1, &remote, 1, 0);
	if (n == (ssize_t)len)
		return 0;
	return n < 0 && errno == ESRCH ? -ESRCH : -EFAULT;
}

static int op_mm_read(struct hw *hw, u32 mm, u64 vaddr, void *buf, size_t len)
{
	return mm_access(hw, mm, vaddr, buf, len, false);
}

static int op_mm_write(struct hw *hw, u32 mm, u64 vaddr, const void *buf, size_t len)
{
	return mm_access(hw, mm, vaddr, (void *)buf, len, true);
}

static const struct hw_host_ops server_host_ops = {
	.irq = op_irq,
	.intx = op_intx,
	.fault = op_fault,
	.unit_event = op_unit_event,
	.kick = op_kick,
	.mm_read = op_mm_read,
	.mm_write = op_mm_write,
};

void host_init(struct server *s)
{
	loop_work_init(&s->irq_work, run_irqs);
	loop_work_init(&s->intx_work, run_intx);
	loop_work_init(&s->unit_work, run_units);
	loop_work_init(&s->engine_work, run_engines);
	s->m->hw.host = s;
	s->m->hw.self_mm = ~0U;
	s->m->hw.ops = &server_host_ops;
}

void host_exit(struct server *s)
{
	s->m->hw.ops = NULL;
	s->m->hw.host = NULL;
}
