/* SPDX-License-Identifier: Apache-2.0
 * Inside of Conv: the geometry, and the fast path through oneDNN. */
#ifndef ONNX_KERNELS_CONV_H
#define ONNX_KERNELS_CONV_H

#include "kernels/window.h"

typedef struct ox_conv_shape {
    ox_window w;
    size_t batch, groups, c_in, c_out; /* channels of all groups together */
} ox_conv_shape;

/* One convolution of oneDNN for one example at a time. x (C, spatial), y (K, spatial) in the model's layout. */
typedef struct ox_conv_dnnl ox_conv_dnnl;
/* weights (K, C / groups, spatial), bias (K) or NULL: read by ox_conv_dnnl_weights. */
status ox_conv_dnnl_create(const ox_conv_shape *s, bool bias, bool want_vjp, ox_conv_dnnl **out, error *err);
void ox_conv_dnnl_destroy(ox_conv_dnnl *c);
/* Reorders the weights; once where they are constant. The bias must stay where it is. */
status ox_conv_dnnl_weights(ox_conv_dnnl *c, const float *weights, const float *bias, error *err);
status ox_conv_dnnl_forward(ox_conv_dnnl *c, const float *x, float *y, error *err);
/* dx is overwritten. */
status ox_conv_dnnl_backward(ox_conv_dnnl *c, const float *dy, float *dx, error *err);

#endif
