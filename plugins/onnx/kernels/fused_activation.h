/* SPDX-License-Identifier: Apache-2.0
 * The activation at the end of FusedConv and FusedGemm: in place, and its gradient from the result alone. Kinks belong
 * to the flat side. Leaky mode passes 0.1 where Relu is dead and beyond the bounds of Clip; straight-through passes
 * everything through Clip: the rules of the operators by themselves. */
#ifndef ONNX_KERNELS_FUSED_ACTIVATION_H
#define ONNX_KERNELS_FUSED_ACTIVATION_H

#include "kernels/common.h"

typedef enum ox_fused_kind {
    OX_FUSED_NONE,
    OX_FUSED_RELU,
    OX_FUSED_LEAKY_RELU,
    OX_FUSED_CLIP,
    OX_FUSED_SIGMOID,
    OX_FUSED_TANH,
    OX_FUSED_HARD_SIGMOID
} ox_fused_kind;

typedef struct ox_fused {
    ox_fused_kind kind;
    double a, b; /* slope; lowest and highest; alpha and beta */
} ox_fused;

/* Attribute activation; parameters from activation_params (FusedConv), else activation_alpha and _beta. */
status ox_fused_read(const ox_node *n, ox_fused *f, error *err);
void ox_fused_apply(const ox_fused *f, ox_tensor *y);
/* to[i] = g[i] times the slope at the element whose result is y[i]. */
void ox_fused_vjp(const ox_fused *f, assay_vjp_mode mode, const ox_tensor *y, const float *g, float *to);

#endif
