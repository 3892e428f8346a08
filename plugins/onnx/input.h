/* SPDX-License-Identifier: Apache-2.0
 * A session's examples are float32; a graph's input may be of another type (token ids, uint8 images, truths). */
#ifndef ONNX_INPUT_H
#define ONNX_INPUT_H

#include "kernel.h"

/* Converts `n` values of `x` into a tensor of `dtype` at `to`. Into an integer or bool a value must be exactly one of
 * the type's: else STATUS_DATA, naming the input, the value and its place. Nothing is rounded, because a fraction here
 * means that the preprocessing does not fit the model. */
status ox_input_fill(const char *name, const float *x, size_t n, uint32_t dtype, void *to, error *err);

/* No gradient flows to such an input: there is none to give out. */
static inline bool ox_input_has_gradient(uint32_t dtype) {
    return dtype == ASSAY_F32 || dtype == ASSAY_F64;
}

#endif
