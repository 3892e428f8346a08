/* SPDX-License-Identifier: Apache-2.0
 * What rewrite.c appended to a product: y = act(y + residual), over any run of elements, in any layout. */
#ifndef ONNX_KERNELS_EPILOGUE_H
#define ONNX_KERNELS_EPILOGUE_H

#include "kernels/common.h"
#include "kernels/sgemm.h"

static inline bool ox_has_epilogue(const ox_node *n) {
    return n->epilogue.act != OX_ACT_LINEAR || n->n_in > OX_RESIDUAL;
}

/* y[i] = act(y[i] + residual[i]); residual may be NULL. */
void ox_epilogue_apply(ox_isa isa, const ox_epilogue *e, float *y, const float *residual, size_t n);
/* d[i] = g[i] * act'(.) from the result y; the rule of `mode` at and beyond kinks is that of Relu, LeakyRelu, Clip.
 * d may be g. */
void ox_epilogue_vjp(ox_isa isa, const ox_epilogue *e, assay_vjp_mode mode, const float *y, const float *g, float *d,
                     size_t n);
/* to[i] (+)= from[i] */
void ox_accumulate(ox_isa isa, float *to, const float *from, size_t n, bool fresh);
/* Zeroes what the node has to store, for paths that can only add. */
void ox_clear_fresh(const ox_node *n);

#endif
