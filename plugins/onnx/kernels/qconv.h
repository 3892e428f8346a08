/* SPDX-License-Identifier: Apache-2.0
 * The convolution inside ConvInteger and QLinearConv: sums of (x - zero) * (w - zero), one example at a time, and the
 * gradients per quantum. */
#ifndef ONNX_KERNELS_QCONV_H
#define ONNX_KERNELS_QCONV_H

#include "kernels/iconv.h"
#include "kernels/quantized.h"

/* Which inputs of the node are what; SIZE_MAX: none. */
typedef struct ox_qconv_inputs {
    size_t x, x_zero, w, w_zero;
} ox_qconv_inputs;

typedef struct ox_qconv {
    ox_qconv_inputs in;
    ox_conv_shape s;
    ox_iconv *fast;  /* NULL: the plain loops */
    bool fixed;      /* the weights are packed */
    int32_t *w_zero; /* by output channel, as the model has them */
    /* gradients */
    bool want_vjp, back_fixed;
    ox_conv_dnnl *back; /* NULL: the plain loops */
    float *g, *dx;      /* one example: the cotangent that passes, the input's gradient */
    float *w_real;      /* (w - zero) * factor */
} ox_qconv;

/* Checks types, shapes and zero points; sets out[0] with `dtype`. */
status ox_qconv_infer(ox_node *n, ox_qconv_inputs in, uint32_t dtype, ox_conv_shape *s, error *err);
/* Into a zeroed *q. */
status ox_qconv_prepare(ox_qconv *q, const ox_node *n, ox_qconv_inputs in, bool want_vjp, error *err);
void ox_qconv_release(ox_qconv *q);

/* Calls sink for every output of example `example`, after ox_qconv_begin. */
void ox_qconv_begin(ox_qconv *q, const ox_node *n);
void ox_qconv_example(ox_qconv *q, const ox_node *n, size_t example, bool plain, ox_iconv_sink sink, void *ctx);

/* factor: by output channel, what one step of a sum changes the output by; constant: it never changes. */
status ox_qconv_begin_vjp(ox_qconv *q, const ox_node *n, const float *factor, bool constant, error *err);
/* Adds the gradients of q->g, one example's cotangent, to those of input and weights. */
status ox_qconv_vjp(ox_qconv *q, const ox_node *n, size_t example, const float *factor, bool plain, error *err);
uint64_t ox_qconv_macs(const ox_node *n, size_t w);

#endif
