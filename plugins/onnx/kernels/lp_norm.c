/* SPDX-License-Identifier: Apache-2.0
 * LpNormalization: x divided by the 1- or 2-norm along one axis; zero where the norm is, and flat there. */
#include <math.h>

#include "kernels/axis.h"

static status read(const ox_node *n, ox_axis *a, error *err) {
    uint32_t axis = 0;
    TRY(ox_attr_axis(n, "axis", -1, n->in[0]->n_dims, false, &axis, err));
    if (axis == 0 && n->in[0]->has_batch) {
        return error_set(err, STATUS_UNSUPPORTED, "the axis is the batch's: examples would depend on each other");
    }
    *a = ox_axis_of(n->in[0], axis);
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    ox_axis a = {0};
    TRY(ox_need_float(n, 0, err));
    TRY(read(n, &a, err));
    TRY(ox_check_attr(n, "p", OX_INT, err));
    int64_t p = ox_attr_int(n, "p", 2);
    if (p != 1 && p != 2) {
        return error_set(err, STATUS_MODEL, "p is %lld, not 1 or 2", (long long)p);
    }
    return ox_infer_same(n, err);
}

static double norm_of(const ox_tensor *x, const ox_axis *a, size_t at, bool one) {
    double sum = 0;
    for (size_t k = 0; k < a->len; k++) {
        double v = ox_at(x, at + k * a->inner);
        sum += one ? fabs(v) : v * v;
    }
    return one ? sum : sqrt(sum);
}

static status forward(ox_node *n, error *err) {
    ox_axis a = {0};
    bool one = ox_attr_int(n, "p", 2) == 1;
    TRY(read(n, &a, err));
    for (size_t r = 0; r < ox_axis_rows(&a); r++) {
        size_t at = ox_axis_row(&a, r);
        double norm = norm_of(n->in[0], &a, at, one);
        for (size_t k = at; k < at + a.len * a.inner; k += a.inner) {
            ox_put(n->out[0], k, norm == 0 ? 0 : ox_at(n->in[0], k) / norm);
        }
    }
    return STATUS_OK;
}

/* dx = g / norm - (sum g x) / norm^2 d norm, with d norm = sign x or x / norm. */
static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    ox_axis a = {0};
    bool one = ox_attr_int(n, "p", 2) == 1;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    TRY(read(n, &a, err));
    for (size_t r = 0; g != NULL && dx != NULL && r < ox_axis_rows(&a); r++) {
        size_t at = ox_axis_row(&a, r), end = at + a.len * a.inner;
        double norm = norm_of(n->in[0], &a, at, one), dot = 0;
        for (size_t k = at; k < end; k += a.inner) {
            dot += (double)g[k] * ox_at(n->in[0], k);
        }
        for (size_t k = at; k < end && norm != 0; k += a.inner) {
            double x = ox_at(n->in[0], k), slope = one ? (double)((x > 0) - (x < 0)) : x / norm;
            dx[k] += (float)((double)g[k] / norm - dot / (norm * norm) * slope);
        }
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_lp_norm = {.op = "LpNormalization",
                                     .min_opset = 1,
                                     .max_opset = 9999,
                                     .flags = OX_KEEPS_BATCH,
                                     .min_in = 1,
                                     .max_in = 1,
                                     .min_out = 1,
                                     .max_out = 1,
                                     .infer = infer,
                                     .forward = forward,
                                     .vjp = vjp};
