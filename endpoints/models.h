/* SPDX-License-Identifier: MIT */
/*
 * The endpoint models that this build knows. A hw_function names its model by
 * its index in endpoint_models[]; index 0 is a plain function without registers
 * of its own. Indices are the same in every process of one build.
 */
#ifndef MOAT_ENDPOINTS_MODELS_H
#define MOAT_ENDPOINTS_MODELS_H

#include "machine/endpoint.h"

extern const struct endpoint_model *const endpoint_models[ENDPOINT_MAX_MODELS];

extern const struct endpoint_model edu_model;
extern const struct endpoint_model ioat_model;

/**
 * endpoint_model_find - the index of the model called @name.
 *
 * Context: any. Return: > 0, or -ENOENT.
 */
int endpoint_model_find(const char *name);

/**
 * endpoint_property_find - the position of a property in a model's list.
 *
 * Context: any. Return: >= 0, or -ENOENT.
 */
int endpoint_property_find(const struct endpoint_model *model, const char *name);

#endif
