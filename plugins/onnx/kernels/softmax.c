/* SPDX-License-Identifier: Apache-2.0
 * Softmax, in float32 along adjacent elements by vmath.h, else in double and rounded once. */
#include "kernels/softmax.h"

#include <math.h>

#include "kernels/epilogue.h"
#include "kernels/vmath.h"

status ox_softmax_axis(const ox_node *n, ox_axis *a, error *err) {
    const ox_tensor *x = n->in[0];
    uint32_t axis = 0;
    bool flat = n->opset < 13;
    *a = (ox_axis){1, 1, 1};
    TRY(ox_attr_axis(n, "axis", flat ? 1 : -1, x->n_dims, flat, &axis, err));
    if (axis == 0 && x->has_batch) {
        return error_set(err, STATUS_UNSUPPORTED, "the axis is the batch's: examples would depend on each other");
    }
    *a = flat ? (ox_axis){ox_count(x, 0, axis), ox_count(x, axis, x->n_dims), 1} : ox_axis_of(x, axis);
    return STATUS_OK;
}

ox_axis ox_softmax_axis_of(const ox_node *n) {
    ox_axis a = {0};
    error unused;
    return ox_softmax_axis(n, &a, &unused) == STATUS_OK ? a : (ox_axis){0, 0, 1};
}

status ox_softmax_infer(ox_node *n, error *err) {
    TRY(ox_need_float(n, 0, err));
    ox_axis a = {0};
    TRY(ox_softmax_axis(n, &a, err));
    return ox_infer_same(n, err);
}

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    const ox_tensor *x = n->in[0];
    const ox_axis a = ox_softmax_axis_of(n);
    for (size_t r = 0; r < ox_axis_rows(&a) && a.len > 0; r++) {
        size_t at = ox_axis_row(&a, r);
        double max = -INFINITY, sum = 0;
        for (size_t k = 0; k < a.len; k++) {
            double v = ox_at(x, at + k * a.inner);
            max = v > max ? v : max;
        }
        for (size_t k = 0; k < a.len; k++) {
            sum += exp(ox_at(x, at + k * a.inner) - max);
        }
        for (size_t k = 0; k < a.len; k++) {
            ox_put(n->out[0], at + k * a.inner, exp(ox_at(x, at + k * a.inner) - max) / sum);
        }
    }
    return STATUS_OK;
}

static status forward(ox_node *n, error *err) {
    const ox_axis a = ox_softmax_axis_of(n);
    if (n->in[0]->dtype != ASSAY_F32 || a.inner != 1) {
        return forward_reference(n, err);
    }
    ox_vmath_of(ox_isa_best())->softmax(n->in[0]->data, n->out[0]->data, a.outer, a.len);
    return STATUS_OK;
}

/* dx = y (g - sum g y) */
static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const ox_axis a = ox_softmax_axis_of(n);
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    for (size_t r = 0; g != NULL && dx != NULL && r < ox_axis_rows(&a); r++) {
        size_t at = ox_axis_row(&a, r);
        double dot = 0;
        for (size_t k = 0; k < a.len; k++) {
            dot += (double)g[at + k * a.inner] * ox_at(n->out[0], at + k * a.inner);
        }
        for (size_t k = 0; k < a.len; k++) {
            size_t i = at + k * a.inner;
            dx[i] += (float)(ox_at(n->out[0], i) * ((double)g[i] - dot));
        }
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    const ox_axis a = ox_softmax_axis_of(n);
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    if (g == NULL || dx == NULL || n->in[0]->dtype != ASSAY_F32 || a.inner != 1) {
        ox_clear_fresh(n);
        return vjp_reference(n, mode, err);
    }
    const ox_vmath *v = ox_vmath_of(ox_isa_best());
    const float *y = n->out[0]->data;
    for (size_t r = 0; r < a.outer; r++, g += a.len, y += a.len, dx += a.len) {
        v->softmax_vjp(y, g, dx, (float)v->dot(g, y, a.len), a.len, ox_is_fresh(n, 0));
    }
    return STATUS_OK;
}

#define SOFTMAX(symbol, first, last)                                                                                   \
    const ox_kernel ox_kernel_##symbol = {.op = "Softmax",                                                             \
                                          .min_opset = (first),                                                        \
                                          .max_opset = (last),                                                         \
                                          .flags = OX_KEEPS_BATCH | OX_STORES_GRADIENT,                                \
                                          .min_in = 1,                                                                 \
                                          .max_in = 1,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = ox_softmax_infer,                                                   \
                                          .forward = forward,                                                          \
                                          .forward_reference = forward_reference,                                      \
                                          .vjp = vjp,                                                                  \
                                          .vjp_reference = vjp_reference}
SOFTMAX(softmax, 13, 9999);
SOFTMAX(softmax_flat, 1, 12);
