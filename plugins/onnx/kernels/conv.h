/* SPDX-License-Identifier: Apache-2.0
 * Inside of Conv: the geometry, and the fast path through oneDNN. */
#ifndef ONNX_KERNELS_CONV_H
#define ONNX_KERNELS_CONV_H

#include "kernels/window.h"

typedef struct ox_conv_shape {
    ox_window w;
    size_t batch, groups, c_in, c_out; /* channels of all groups together */
    uint32_t x_block, y_block;         /* 0: row-major, see ox_tensor.block */
    size_t x_step, y_step;             /* floats from one example to the next, in memory */
} ox_conv_shape;

/* One convolution of oneDNN for one example at a time. x (C, spatial), y (K, spatial) in the plan's layout. */
typedef struct ox_conv_dnnl ox_conv_dnnl;
/* weights (K, C / groups, spatial), bias (K) or NULL: read by ox_conv_dnnl_weights. */
status ox_conv_dnnl_create(const ox_conv_shape *s, bool bias, bool want_vjp, ox_conv_dnnl **out, error *err);
void ox_conv_dnnl_destroy(ox_conv_dnnl *c);
/* Reorders the weights; once where they are constant. The bias must stay where it is. */
status ox_conv_dnnl_weights(ox_conv_dnnl *c, const float *weights, const float *bias, error *err);
status ox_conv_dnnl_forward(ox_conv_dnnl *c, const float *x, float *y, error *err);
/* The blocks in which oneDNN would take x and give y; 0: none, or one that is not ours. */
void ox_conv_dnnl_blocks(const ox_conv_shape *s, uint32_t *in_block, uint32_t *out_block);
/* dx is overwritten. */
status ox_conv_dnnl_backward(ox_conv_dnnl *c, const float *dy, float *dx, error *err);

/* The gradient of the input where it has few channels (a first layer), for which oneDNN's backward pass leaves most
 * lanes empty: columns (C * taps, output plane) = W^T dy by ox_gemm, then summed into the image. */
typedef struct ox_conv_narrow ox_conv_narrow;
bool ox_conv_narrow_pays(const ox_conv_shape *s);
status ox_conv_narrow_create(const ox_conv_shape *s, ox_conv_narrow **out, error *err);
void ox_conv_narrow_destroy(ox_conv_narrow *c);
/* One example; ADDS to dx. */
void ox_conv_narrow_backward(ox_conv_narrow *c, const float *weights, const float *dy, float *dx);

#endif
