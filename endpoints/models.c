// SPDX-License-Identifier: MIT
/*
 * The table of endpoint models. New models go to the end: an index is what
 * machine memory holds. Unused entries are NULL, so any index below
 * ENDPOINT_MAX_MODELS may be looked up.
 */
#include <string.h>

#include "base/err.h"
#include "endpoints/models.h"

const struct endpoint_model *const endpoint_models[ENDPOINT_MAX_MODELS] = {
	[1] = &edu_model,
	[2] = &ioat_model,
};

int endpoint_model_find(const char *name)
{
	int i;

	for (i = 1; i < ENDPOINT_MAX_MODELS; i++) {
		if (endpoint_models[i] && !strcmp(endpoint_models[i]->name, name))
			return i;
	}
	return -ENOENT;
}

int endpoint_property_find(const struct endpoint_model *model, const char *name)
{
	int i;

	for (i = 0; model->properties[i].name; i++) {
		if (!strcmp(model->properties[i].name, name))
			return i;
	}
	return -ENOENT;
}
