/* SPDX-License-Identifier: Apache-2.0
 * Softmax. From opset 13 on along one axis (default the last); before, over all dimensions from `axis` (default 1)
 * on together. Computed in double and rounded once. */
#include <math.h>

#include "kernels/common.h"

/* x as (outer, len, inner): softmax runs over len. */
typedef struct layout {
    size_t outer, len, inner;
} layout;

static status get_layout(const ox_node *n, layout *l, error *err) {
    const ox_tensor *x = n->in[0];
    uint32_t axis = 0;
    *l = (layout){1, 1, 1};
    bool flat = n->opset < 13;
    TRY(ox_attr_axis(n, "axis", flat ? 1 : -1, x->n_dims, flat, &axis, err));
    if (axis == 0 && x->has_batch) {
        return error_set(err, STATUS_UNSUPPORTED, "the axis is the batch's: examples would depend on each other");
    }
    *l = flat ? (layout){ox_count(x, 0, axis), ox_count(x, axis, x->n_dims), 1}
              : (layout){ox_count(x, 0, axis), (size_t)x->shape[axis], ox_count(x, axis + 1, x->n_dims)};
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_float(n, 0, err));
    layout l;
    TRY(get_layout(n, &l, err));
    return ox_infer_same(n, err);
}

static status forward(ox_node *n, error *err) {
    const ox_tensor *x = n->in[0];
    layout l;
    TRY(get_layout(n, &l, err));
    for (size_t r = 0; r < l.outer * l.inner && l.len > 0; r++) {
        size_t at = r / l.inner * l.len * l.inner + r % l.inner;
        double max = -INFINITY, sum = 0;
        for (size_t k = 0; k < l.len; k++) {
            double v = ox_at(x, at + k * l.inner);
            max = v > max ? v : max;
        }
        for (size_t k = 0; k < l.len; k++) {
            sum += exp(ox_at(x, at + k * l.inner) - max);
        }
        for (size_t k = 0; k < l.len; k++) {
            ox_put(n->out[0], at + k * l.inner, exp(ox_at(x, at + k * l.inner) - max) / sum);
        }
    }
    return STATUS_OK;
}

/* dx = y (g - sum g y) */
static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    layout l;
    TRY(get_layout(n, &l, err));
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    for (size_t r = 0; g != NULL && dx != NULL && r < l.outer * l.inner; r++) {
        size_t at = r / l.inner * l.len * l.inner + r % l.inner;
        double dot = 0;
        for (size_t k = 0; k < l.len; k++) {
            dot += (double)g[at + k * l.inner] * ox_at(n->out[0], at + k * l.inner);
        }
        for (size_t k = 0; k < l.len; k++) {
            size_t i = at + k * l.inner;
            dx[i] += (float)(ox_at(n->out[0], i) * ((double)g[i] - dot));
        }
    }
    return STATUS_OK;
}

#define SOFTMAX(symbol, first, last)                                                                                   \
    const ox_kernel ox_kernel_##symbol = {.op = "Softmax",                                                             \
                                          .min_opset = (first),                                                        \
                                          .max_opset = (last),                                                         \
                                          .flags = OX_KEEPS_BATCH,                                                     \
                                          .min_in = 1,                                                                 \
                                          .max_in = 1,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = infer,                                                              \
                                          .forward = forward,                                                          \
                                          .vjp = vjp}
SOFTMAX(softmax, 13, 9999);
SOFTMAX(softmax_flat, 1, 12);
