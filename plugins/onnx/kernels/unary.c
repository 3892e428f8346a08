/* SPDX-License-Identifier: Apache-2.0
 * Relu, LeakyRelu. */
#include "kernels/common.h"
#include "kernels/simd.h"

#define LEAKY_SLOPE 0.1f /* what a dead rectifier passes in ASSAY_VJP_LEAKY (assay/plugin.h) */

static status infer(ox_node *n, error *err) {
    TRY(ox_need_float(n, 0, err));
    TRY(ox_check_attr(n, "alpha", OX_FLOAT, err));
    return ox_infer_same(n, err);
}

static status relu_reference(ox_node *n, error *err) {
    (void)err;
    for (size_t i = 0; i < n->out[0]->n; i++) {
        double x = ox_at(n->in[0], i);
        ox_put(n->out[0], i, x < 0 ? 0 : x); /* a NaN stays one */
    }
    return STATUS_OK;
}

static status relu_forward(ox_node *n, error *err) {
    if (n->out[0]->dtype != ASSAY_F32) {
        return relu_reference(n, err);
    }
    const float *x = n->in[0]->data;
    float *y = n->out[0]->data;
    size_t i = 0, len = n->out[0]->n;
    for (; i + OX_LANES <= len; i += OX_LANES) {
        ox_vf v = ox_v_load(x + i);
        ox_v_store(y + i, ox_v_select(v < 0, ox_v_set(0), v));
    }
    for (; i < len; i++) {
        y[i] = x[i] < 0 ? 0 : x[i];
    }
    return STATUS_OK;
}

static status relu_vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)err;
    float *dx = ox_grad_in(n, 0);
    const float *g = ox_grad_out(n, 0);
    for (size_t i = 0; dx != NULL && g != NULL && i < n->out[0]->n; i++) {
        if (ox_at(n->in[0], i) > 0) {
            dx[i] += g[i];
        } else if (mode == ASSAY_VJP_LEAKY) {
            dx[i] += LEAKY_SLOPE * g[i];
        }
    }
    return STATUS_OK;
}

static status relu_vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    float *restrict dx = ox_grad_in(n, 0);
    const float *restrict g = ox_grad_out(n, 0);
    if (dx == NULL || g == NULL || n->in[0]->dtype != ASSAY_F32) {
        return relu_vjp_reference(n, mode, err);
    }
    const float *restrict x = n->in[0]->data;
    const float slope = mode == ASSAY_VJP_LEAKY ? LEAKY_SLOPE : 0;
    const ox_vi pass = slope > 0 ? (ox_vi){-1, -1, -1, -1} : (ox_vi){0, 0, 0, 0};
    size_t i = 0, len = n->out[0]->n;
    for (; i + OX_LANES <= len; i += OX_LANES) {
        ox_vf v = ox_v_load(g + i), dead = (ox_vf)((ox_vi)(v * slope) & pass); /* never NaN * 0 */
        ox_v_store(dx + i, ox_v_load(dx + i) + ox_v_select(ox_v_load(x + i) > 0, v, dead));
    }
    for (; i < len; i++) {
        float dead = slope > 0 ? slope * g[i] : 0;
        dx[i] += x[i] > 0 ? g[i] : dead;
    }
    return STATUS_OK;
}

static status leaky_forward(ox_node *n, error *err) {
    (void)err;
    float alpha = ox_attr_float(n, "alpha", 0.01f);
    size_t len = n->out[0]->n;
    if (n->out[0]->dtype == ASSAY_F32) {
        const float *x = n->in[0]->data;
        float *y = n->out[0]->data;
        for (size_t i = 0; i < len; i++) {
            y[i] = x[i] < 0 ? alpha * x[i] : x[i];
        }
    } else {
        for (size_t i = 0; i < len; i++) {
            double x = ox_at(n->in[0], i);
            ox_put(n->out[0], i, x < 0 ? (double)alpha * x : x);
        }
    }
    return STATUS_OK;
}

/* The kink belongs to the side of the 0 (the alpha side), as Relu's does. */
static status leaky_vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    float alpha = ox_attr_float(n, "alpha", 0.01f);
    float *dx = ox_grad_in(n, 0);
    const float *g = ox_grad_out(n, 0);
    for (size_t i = 0; dx != NULL && g != NULL && i < n->out[0]->n; i++) {
        dx[i] += ox_at(n->in[0], i) > 0 ? g[i] : alpha * g[i];
    }
    return STATUS_OK;
}

#define UNARY(symbol, name, fwd, fwd_ref, back, back_ref)                                                              \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = 1,                                                              \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH | OX_POINTWISE,                                      \
                                          .min_in = 1,                                                                 \
                                          .max_in = 1,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = infer,                                                              \
                                          .forward = (fwd),                                                            \
                                          .forward_reference = (fwd_ref),                                              \
                                          .vjp = (back),                                                               \
                                          .vjp_reference = (back_ref)}
UNARY(relu, "Relu", relu_forward, relu_reference, relu_vjp, relu_vjp_reference);
UNARY(leaky_relu, "LeakyRelu", leaky_forward, NULL, leaky_vjp, NULL);
