/* SPDX-License-Identifier: Apache-2.0
 * Clip to [min, max]: attributes before opset 11, inputs (scalars, either may be absent) from there on. Where min > max
 * everything is max; a NaN stays one. Exact: a value at or beyond a bound passes nothing, and the gradient goes to the
 * bound if it is computed. Leaky: 0.1 at and beyond the bounds (ReLU6 is a Clip). Straight-through: everything. */
#include "kernels/integer.h"
#include "kernels/map.h"

static status bound_ok(const ox_node *n, size_t i, error *err) {
    if (ox_input(n, i) == NULL) {
        return STATUS_OK;
    }
    if (n->opset < 11) {
        return error_set(err, STATUS_MODEL, "input %zu is of opset 11 on", i);
    }
    TRY(ox_need_dtype_of_first(n, i, err));
    if (n->in[i]->n != 1 || n->in[i]->n_dims > 1) {
        return error_set(err, STATUS_MODEL, "input %zu is not a scalar", i);
    }
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_dtype_of_first(n, 0, err));
    if (!ox_is_float(n->in[0]->dtype) && !ox_is_integer(n->in[0]->dtype)) {
        return error_set(err, STATUS_UNSUPPORTED, "Clip of %s is not supported", ox_dtype_name(n->in[0]->dtype));
    }
    TRY(ox_check_attr(n, "min", OX_FLOAT, err));
    TRY(ox_check_attr(n, "max", OX_FLOAT, err));
    TRY(bound_ok(n, 1, err));
    TRY(bound_ok(n, 2, err));
    return ox_infer_same(n, err);
}

static double bound(const ox_node *n, size_t i, const char *name, float def) {
    if (n->opset < 11) {
        return (double)ox_attr_float(n, name, def);
    }
    return ox_input(n, i) == NULL ? (double)def : ox_at(n->in[i], 0);
}

static void clip_integers(ox_node *n) {
    const ox_tensor *min = ox_input(n, 1), *max = ox_input(n, 2);
    int64_t lo = min == NULL ? INT64_MIN : ox_int_at(min, 0), hi = max == NULL ? INT64_MAX : ox_int_at(max, 0);
    for (size_t i = 0; i < n->out[0]->n; i++) {
        int64_t v = ox_int_at(n->in[0], i);
        v = v < lo ? lo : v;
        ox_int_put(n->out[0], i, v > hi ? hi : v);
    }
}

static status forward(ox_node *n, error *err) {
    (void)err;
    if (!ox_is_float(n->out[0]->dtype)) {
        clip_integers(n);
        return STATUS_OK;
    }
    double lo = bound(n, 1, "min", -INFINITY), hi = bound(n, 2, "max", INFINITY);
    size_t len = n->out[0]->n;
    if (n->out[0]->dtype == ASSAY_F32) {
        const float *x = n->in[0]->data;
        float *y = n->out[0]->data, l = (float)lo, h = (float)hi;
        for (size_t i = 0; i < len; i++) {
            float v = x[i] < l ? l : x[i];
            y[i] = v > h ? h : v;
        }
        return STATUS_OK;
    }
    for (size_t i = 0; i < len; i++) {
        double v = ox_at(n->in[0], i);
        v = v < lo ? lo : v;
        ox_put(n->out[0], i, v > hi ? hi : v);
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)err;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    double lo = bound(n, 1, "min", -INFINITY), hi = bound(n, 2, "max", INFINITY), below = 0, above = 0;
    float outside = mode == ASSAY_VJP_STRAIGHT_THROUGH ? 1 : (mode == ASSAY_VJP_LEAKY ? (float)OX_LEAKY_SLOPE : 0);
    for (size_t i = 0; g != NULL && i < n->out[0]->n; i++) {
        double x = ox_at(n->in[0], i);
        bool inside = x > lo && x < hi, high = x >= hi || lo >= hi;
        if (dx != NULL && (inside || outside > 0)) {
            dx[i] += inside ? g[i] : outside * g[i];
        }
        *(high ? &above : &below) += inside ? 0 : (double)g[i];
    }
    if (ox_grad_in(n, 1) != NULL) {
        *n->grad_in[1] += (float)below;
    }
    if (ox_grad_in(n, 2) != NULL) {
        *n->grad_in[2] += (float)above;
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_clip = {.op = "Clip",
                                  .min_opset = 1,
                                  .max_opset = 9999,
                                  .flags = OX_KEEPS_BATCH | OX_POINTWISE,
                                  .min_in = 1,
                                  .max_in = 3,
                                  .min_out = 1,
                                  .max_out = 1,
                                  .infer = infer,
                                  .forward = forward,
                                  .vjp = vjp};
