/* SPDX-License-Identifier: Apache-2.0
 * Shape (start and end from opset 15 on) and Size. The plan computes them while it is made. */
#include "kernels/moves.h"

/* first..last of the dimensions; empty where they cross. */
static status range(const ox_node *n, uint32_t *first, uint32_t *last, error *err) {
    TRY(ox_check_attr(n, "start", OX_INT, err));
    TRY(ox_check_attr(n, "end", OX_INT, err));
    int64_t rank = (int64_t)n->in[0]->n_dims;
    int64_t at[2] = {ox_attr_int(n, "start", 0), ox_attr_int(n, "end", rank)};
    for (unsigned i = 0; i < 2; i++) {
        at[i] += at[i] < 0 ? rank : 0;
        at[i] = at[i] < 0 ? 0 : at[i] > rank ? rank : at[i];
    }
    *first = (uint32_t)at[0];
    *last = (uint32_t)(at[1] < at[0] ? at[0] : at[1]);
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    uint32_t first = 0, last = 0;
    TRY(range(n, &first, &last, err));
    int64_t shape[1] = {(int64_t)(last - first)};
    return ox_set_shape(n->out[0], ASSAY_I64, shape, 1, err);
}

static status forward(ox_node *n, error *err) {
    uint32_t first = 0, last = 0;
    TRY(range(n, &first, &last, err));
    for (uint32_t d = first; d < last; d++) {
        ((int64_t *)n->out[0]->data)[d - first] = n->in[0]->shape[d];
    }
    return STATUS_OK;
}

static status size_infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    return ox_set_shape(n->out[0], ASSAY_I64, NULL, 0, err);
}

static status size_forward(ox_node *n, error *err) {
    (void)err;
    *(int64_t *)n->out[0]->data = (int64_t)n->in[0]->n;
    return STATUS_OK;
}

#define OF_SHAPE(symbol, name, infer_fn, forward_fn)                                                                   \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = 1,                                                              \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_NO_GRADIENT | OX_READS_SHAPE,                                    \
                                          .min_in = 1,                                                                 \
                                          .max_in = 1,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = (infer_fn),                                                         \
                                          .forward = (forward_fn)}
OF_SHAPE(shape, "Shape", infer, forward);
OF_SHAPE(size, "Size", size_infer, size_forward);
