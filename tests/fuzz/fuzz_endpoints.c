// SPDX-License-Identifier: MIT
/*
 * libFuzzer: a program's accesses to the registers of each endpoint model, and what
 * it leaves in memory for the device to read. Work must end, and stay inside the state.
 */
#include <stdlib.h>
#include <string.h>

#include "endpoints/models.h"
#include "tests/unit/endpoints/hw_double.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

/* One step: what, where, how wide, a value; 12 bytes of input. */
struct step {
	u8 kind, width;
	u16 off;
	u64 val;
} __packed;

static void play(struct hw_double *d, const struct step *s)
{
	unsigned width = 1U << (s->width & 3);
	unsigned turns = 0;
	/* Often a register, sometimes anywhere. */
	u64 off = s->width & 0x80 ? s->off : s->off & 0xff;

	switch (s->kind % 6) {
	case 0:
	case 1:
		double_write(d, off, s->val, width);
		break;
	case 2:
		double_store(d, off, s->val, width);
		break;
	case 3:
		double_read(d, off, width);
		break;
	case 4:
		while (double_work(d, 64 * 1024) && turns++ < 256)
			;
		break;
	case 5:
		memcpy(d->mem + (s->off & ~7U), &s->val, sizeof(s->val));
		break;
	}
	if (s->kind == 0xff)
		d->model->reset(&d->hw, 0);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct hw_double d;
	struct step s;
	unsigned model;

	if (!size)
		return 0;
	model = 1 + (data[0] & 1);
	double_init(&d, endpoint_models[model], NULL);
	d.msi = data[0] & 2;
	d.msix = data[0] & 4;
	for (data++, size--; size >= sizeof(s); data += sizeof(s), size -= sizeof(s)) {
		memcpy(&s, data, sizeof(s));
		play(&d, &s);
	}
	double_free(&d);
	return 0;
}
