/* SPDX-License-Identifier: Apache-2.0
 * LogSoftmax and Hardmax. From opset 13 on along one axis (default the last); before, over all dimensions from `axis`
 * (default 1) on together. LogSoftmax is computed in double and rounded once. Hardmax is 1 at the first of the largest
 * and flat: its gradient is zero in every mode, as a slope of 1 through an argmax would mean nothing. */
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

/* log sum exp of one row, and (stored) where its largest value is. */
static double row_of(const ox_tensor *x, const layout *l, size_t at, size_t *first) {
    double max = -INFINITY, sum = 0;
    *first = 0;
    for (size_t k = 0; k < l->len; k++) {
        double v = ox_at(x, at + k * l->inner);
        if (v > max) {
            max = v;
            *first = k;
        }
    }
    for (size_t k = 0; k < l->len; k++) {
        sum += exp(ox_at(x, at + k * l->inner) - max);
    }
    return max + log(sum);
}

static status forward(ox_node *n, error *err) {
    const ox_tensor *x = n->in[0];
    bool hard = n->op[0] == 'H';
    layout l;
    TRY(get_layout(n, &l, err));
    for (size_t r = 0; r < l.outer * l.inner && l.len > 0; r++) {
        size_t at = r / l.inner * l.len * l.inner + r % l.inner, first = 0;
        double total = row_of(x, &l, at, &first);
        for (size_t k = 0; k < l.len; k++) {
            size_t i = at + k * l.inner;
            ox_put(n->out[0], i, hard ? k == first : ox_at(x, i) - total);
        }
    }
    return STATUS_OK;
}

/* dx = g - softmax(x) sum g */
static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    layout l;
    TRY(get_layout(n, &l, err));
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    for (size_t r = 0; g != NULL && dx != NULL && r < l.outer * l.inner && l.len > 0; r++) {
        size_t at = r / l.inner * l.len * l.inner + r % l.inner, first = 0;
        double sum = 0, total = row_of(n->in[0], &l, at, &first);
        for (size_t k = 0; k < l.len; k++) {
            sum += (double)g[at + k * l.inner];
        }
        for (size_t k = 0; k < l.len; k++) {
            size_t i = at + k * l.inner;
            dx[i] += (float)((double)g[i] - exp(ox_at(n->in[0], i) - total) * sum);
        }
    }
    return STATUS_OK;
}

static status zero(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)n;
    (void)mode;
    (void)err;
    return STATUS_OK;
}

#define ALONG(symbol, op_name, more, back)                                                                             \
    const ox_kernel ox_kernel_##symbol = {.op = (op_name),                                                             \
                                          .min_opset = 1,                                                              \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH | (more),                                            \
                                          .min_in = 1,                                                                 \
                                          .max_in = 1,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = infer,                                                              \
                                          .forward = forward,                                                          \
                                          .vjp = (back)}
ALONG(log_softmax, "LogSoftmax", 0, vjp);
ALONG(hardmax, "Hardmax", OX_ZERO_GRADIENT, zero);
