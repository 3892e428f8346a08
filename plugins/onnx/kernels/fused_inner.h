/* SPDX-License-Identifier: Apache-2.0
 * A node inside of a node: fused operators of com.microsoft run the kernel of the operator that they contain on a node
 * of their own, so that its fast paths serve them as well. */
#ifndef ONNX_KERNELS_FUSED_INNER_H
#define ONNX_KERNELS_FUSED_INNER_H

#include "kernels/common.h"

#define OX_INNER_MAX 5 /* inputs, and outputs */

typedef struct ox_inner {
    ox_node n;
    ox_tensor *in[OX_INNER_MAX], *out[OX_INNER_MAX];
    float *grad_in[OX_INNER_MAX], *grad_out[OX_INNER_MAX];
} ox_inner;

/* The outer node's attributes and settings; inputs and outputs are the caller's to fill in. */
static inline void ox_inner_open(ox_inner *i, const ox_node *outer, const ox_kernel *kernel, size_t n_in,
                                 size_t n_out) {
    *i = (ox_inner){.n = {.name = outer->name,
                          .op = kernel->op,
                          .opset = kernel->min_opset,
                          .attrs = outer->attrs,
                          .n_attrs = outer->n_attrs,
                          .n_in = n_in,
                          .n_out = n_out,
                          .kernel = kernel,
                          .reference = outer->reference,
                          .unpadded = outer->unpadded}};
    i->n.in = i->in;
    i->n.out = i->out;
    i->n.grad_in = i->grad_in;
    i->n.grad_out = i->grad_out;
}

static inline status ox_inner_prepare(ox_inner *i, bool want_vjp, error *err) {
    return i->n.kernel->prepare == NULL ? STATUS_OK : i->n.kernel->prepare(&i->n, want_vjp, err);
}

static inline void ox_inner_release(ox_inner *i) {
    if (i->n.kernel != NULL && i->n.kernel->release != NULL) {
        i->n.kernel->release(&i->n);
    }
}

static inline status ox_inner_forward(ox_inner *i, bool plain, error *err) {
    const ox_kernel *k = i->n.kernel;
    return (plain && k->forward_reference != NULL ? k->forward_reference : k->forward)(&i->n, err);
}

static inline status ox_inner_vjp(ox_inner *i, assay_vjp_mode mode, bool plain, error *err) {
    const ox_kernel *k = i->n.kernel;
    return (plain && k->vjp_reference != NULL ? k->vjp_reference : k->vjp)(&i->n, mode, err);
}

#endif
