/* SPDX-License-Identifier: Apache-2.0
 * DynamicQuantizeLinear (opset 11): x to uint8 with scale = (max(x, 0) - min(x, 0)) / 255 and zero point
 * saturate(round(0 - min / scale)); outputs y, y_scale, y_zero_point. All of x being 0 gives scale 1 (no division by
 * 0; ONNX Runtime does the same). Minimum and maximum are those of the whole tensor, so an example's result depends on
 * its neighbours: a plan for any batch refuses it, and such a model runs one example at a time.
 *
 * Gradients: y is flat almost everywhere: zero in exact and leaky mode, g / scale straight-through, where nothing
 * saturates. y_scale depends on the first largest and the first smallest element, and passes its gradient to them in
 * exact and leaky mode; straight-through takes scale and zero point as constants, as PyTorch's fake quantisation does,
 * so that quantising and dequantising has slope 1. */
#include "kernels/quantized.h"

typedef struct range {
    float lo, hi; /* with 0 */
    size_t at_lo, at_hi;
    float scale, zero;
} range;

static status infer(ox_node *n, error *err) {
    const ox_tensor *x = ox_input(n, 0);
    if (x == NULL || n->out[0] == NULL) {
        return error_set(err, STATUS_MODEL, "input or output is missing");
    }
    TRY(ox_need_float(n, 0, err));
    if (x->has_batch) {
        return error_set(err, STATUS_UNSUPPORTED, "one scale for the whole batch: examples would depend on each other");
    }
    if (ox_output(n, 1) != NULL) {
        TRY(ox_set_shape(n->out[1], ASSAY_F32, NULL, 0, err));
    }
    if (ox_output(n, 2) != NULL) {
        TRY(ox_set_shape(n->out[2], ASSAY_U8, NULL, 0, err));
    }
    return ox_set_shape(n->out[0], ASSAY_U8, x->shape, x->n_dims, err);
}

static range range_of(const ox_tensor *x) {
    range r = {.lo = 0, .hi = 0, .at_lo = SIZE_MAX, .at_hi = SIZE_MAX};
    for (size_t i = 0; i < x->n; i++) {
        float v = (float)ox_at(x, i);
        if (v < r.lo) {
            r.lo = v;
            r.at_lo = i;
        }
        if (v > r.hi) {
            r.hi = v;
            r.at_hi = i;
        }
    }
    r.scale = r.lo == r.hi ? 1.0F : (r.hi - r.lo) / 255.0F;
    float zero = (0 - r.lo) / r.scale;
    r.zero = rintf(zero > 255 ? 255 : (zero >= 0 ? zero : 0));
    return r;
}

static status forward(ox_node *n, error *err) {
    (void)err;
    range r = range_of(n->in[0]);
    ox_requant q = ox_requant_of(ASSAY_U8, (int32_t)r.zero);
    uint8_t *y = n->out[0]->data;
    for (size_t i = 0; i < n->out[0]->n; i++) {
        y[i] = ox_quantum_saturate(q, ox_quantum_open(q, (float)ox_at(n->in[0], i), r.scale));
    }
    if (ox_output(n, 1) != NULL) {
        *(float *)n->out[1]->data = r.scale;
    }
    if (ox_output(n, 2) != NULL) {
        *(uint8_t *)n->out[2]->data = (uint8_t)r.zero;
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)err;
    float *dx = ox_grad_in(n, 0);
    const float *g = ox_grad_out(n, 0), *gs = ox_grad_out(n, 1);
    if (dx == NULL) {
        return STATUS_OK;
    }
    range r = range_of(n->in[0]);
    ox_requant q = ox_requant_of(ASSAY_U8, (int32_t)r.zero);
    for (size_t i = 0; mode == ASSAY_VJP_STRAIGHT_THROUGH && g != NULL && i < n->in[0]->n; i++) {
        dx[i] += ox_in_range(q, ox_quantum_open(q, (float)ox_at(n->in[0], i), r.scale)) ? g[i] / r.scale : 0;
    }
    if (mode != ASSAY_VJP_STRAIGHT_THROUGH && gs != NULL) {
        if (r.at_hi != SIZE_MAX) {
            dx[r.at_hi] += *gs / 255.0F;
        }
        if (r.at_lo != SIZE_MAX) {
            dx[r.at_lo] -= *gs / 255.0F;
        }
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_dynamic_quantize = {.op = "DynamicQuantizeLinear",
                                              .min_opset = 11,
                                              .max_opset = 9999,
                                              .min_in = 1,
                                              .max_in = 1,
                                              .min_out = 1,
                                              .max_out = 3,
                                              .infer = infer,
                                              .forward = forward,
                                              .vjp = vjp};
