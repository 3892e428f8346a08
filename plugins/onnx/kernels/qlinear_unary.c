/* SPDX-License-Identifier: Apache-2.0
 * com.microsoft.QLinearSigmoid and QLinearLeakyRelu: X, X_scale, X_zero, Y_scale, Y_zero, per tensor. The result is
 * that of DequantizeLinear, the function rounded to float32, QuantizeLinear, to the last bit: of 256 values it is a
 * table. Exact and leaky gradients are zero; straight-through, per quantum, where no saturation was needed. */
#include "kernels/quantized.h"

enum { X, X_SCALE, X_ZERO, Y_SCALE, Y_ZERO };

typedef struct table {
    uint8_t y[256];
    float slope[256]; /* straight-through, per quantum */
} table;

static bool is_sigmoid(const ox_node *n) {
    return strcmp(n->kernel->op, "com.microsoft.QLinearSigmoid") == 0;
}

static status infer(ox_node *n, error *err) {
    uint32_t dtype = 0;
    TRY(ox_need_byte(n, X, err));
    TRY(ox_need_scale(n, X_SCALE, err));
    TRY(ox_need_zero(n, X_ZERO, X, err));
    TRY(ox_need_output(n, Y_SCALE, Y_ZERO, &dtype, err));
    TRY(ox_check_attr(n, "alpha", OX_FLOAT, err));
    if (n->out[0] == NULL) {
        return error_set(err, STATUS_MODEL, "the output is missing");
    }
    return ox_set_shape(n->out[0], dtype, n->in[X]->shape, n->in[X]->n_dims, err);
}

static void make_table(const ox_node *n, table *t) {
    float real[256], sx = ox_f32(n->in[X_SCALE])[0], sy = ox_f32(n->in[Y_SCALE])[0];
    double alpha = (double)ox_attr_float(n, "alpha", 0.01F);
    ox_requant q = ox_requant_of(n->out[0]->dtype, ox_zero_of(ox_input(n, Y_ZERO), 0));
    ox_dequantize_table(n->in[X]->dtype, sx, ox_zero_of(ox_input(n, X_ZERO), 0), real);
    for (size_t i = 0; i < 256; i++) {
        double x = (double)real[i], e = exp(-fabs(x)), s = (x >= 0 ? 1 : e) / (1 + e);
        double y = is_sigmoid(n) ? s : (x >= 0 ? x : alpha * x);
        double slope = is_sigmoid(n) ? s * (1 - s) : (x >= 0 ? 1 : alpha);
        float open = ox_quantum_open(q, (float)y, sy);
        t->y[i] = ox_quantum_saturate(q, open);
        t->slope[i] = ox_in_range(q, open) ? (float)(slope * (double)sx / (double)sy) : 0;
    }
}

static status forward(ox_node *n, error *err) {
    (void)err;
    table t;
    make_table(n, &t);
    const uint8_t *x = n->in[X]->data;
    uint8_t *y = n->out[0]->data;
    for (size_t i = 0; i < n->out[0]->n; i++) {
        y[i] = t.y[x[i]];
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)err;
    float *dx = ox_grad_in(n, X);
    const float *g = ox_grad_out(n, 0);
    const uint8_t *x = n->in[X]->data;
    if (mode != ASSAY_VJP_STRAIGHT_THROUGH || dx == NULL || g == NULL) {
        return STATUS_OK;
    }
    table t;
    make_table(n, &t);
    for (size_t i = 0; i < n->out[0]->n; i++) {
        dx[i] += g[i] * t.slope[x[i]];
    }
    return STATUS_OK;
}

#define QLINEAR_UNARY(symbol, name)                                                                                    \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = 1,                                                              \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH | OX_ZERO_GRADIENT,                                  \
                                          .min_in = 4,                                                                 \
                                          .max_in = 5,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = infer,                                                              \
                                          .forward = forward,                                                          \
                                          .vjp = vjp}
QLINEAR_UNARY(qlinear_sigmoid, "com.microsoft.QLinearSigmoid");
QLINEAR_UNARY(qlinear_leaky_relu, "com.microsoft.QLinearLeakyRelu");
