/* SPDX-License-Identifier: Apache-2.0
 * Rows of neighbouring elements made zero mean and unit variance, then scaled and shifted: LayerNormalization,
 * InstanceNormalization and GroupNormalization differ in what a row is and which scale belongs to an element. A row
 * has `parts` runs of `part` elements; run p of row r takes scale and bias (r % period) * parts + p. */
#ifndef ONNX_KERNELS_NORMALISE_H
#define ONNX_KERNELS_NORMALISE_H

#include "kernels/common.h"

typedef struct ox_normalise {
    size_t rows, parts, part, period;
    double epsilon;
    ox_tensor *mean, *inv_sd; /* (rows) outputs, or NULL */
    size_t i_mean, i_inv_sd;  /* their indices among the outputs */
} ox_normalise;

/* y = (x - mean) / sqrt(var + epsilon) * in[1] + in[2]; in[2] may be absent. */
void ox_normalise_forward(const ox_node *n, const ox_normalise *g, bool reference);
/* Gradients of in[0], in[1], in[2] from those of out[0] and of mean and inv_sd. */
void ox_normalise_vjp(const ox_node *n, const ox_normalise *g, bool reference);

#endif
