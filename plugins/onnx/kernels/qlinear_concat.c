/* SPDX-License-Identifier: Apache-2.0
 * com.microsoft.QLinearConcat: Y_scale, Y_zero, then tensor, scale, zero point of each input, per tensor; attribute
 * axis. Every value is that of DequantizeLinear and QuantizeLinear, to the last bit. Exact and leaky gradients are
 * zero; straight-through, per quantum, where no saturation was needed. */
#include "kernels/quantized.h"

enum { Y_SCALE, Y_ZERO, FIRST };

static status infer(ox_node *n, error *err) {
    uint32_t dtype = 0, axis = 0;
    TRY(ox_need_output(n, Y_SCALE, Y_ZERO, &dtype, err));
    if ((n->n_in - FIRST) % 3 != 0 || ox_attr_find(n, "axis") == NULL || n->out[0] == NULL) {
        return error_set(err, STATUS_MODEL, "inputs that are not tensor, scale, zero point; or no axis or output");
    }
    TRY(ox_need_byte(n, FIRST, err));
    const ox_tensor *first = n->in[FIRST];
    TRY(ox_attr_axis(n, "axis", 0, first->n_dims, false, &axis, err));
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    memcpy(shape, first->shape, first->n_dims * sizeof shape[0]);
    shape[axis] = 0;
    for (size_t i = FIRST; i < n->n_in; i += 3) {
        TRY(ox_need_byte(n, i, err));
        TRY(ox_need_scale(n, i + 1, err));
        TRY(ox_need_zero(n, i + 2, i, err));
        const ox_tensor *t = n->in[i];
        if (t->has_batch && axis == 0) {
            return error_set(err, STATUS_UNSUPPORTED, "concatenation along the batch");
        }
        for (uint32_t d = 0; d < first->n_dims; d++) {
            if (t->n_dims != first->n_dims || (d != axis && t->shape[d] != first->shape[d])) {
                return error_set(err, STATUS_MODEL, "input %zu does not fit the first one", i);
            }
        }
        if (t->shape[axis] > INT64_MAX - shape[axis]) {
            return error_set(err, STATUS_MODEL, "the output's size overflows");
        }
        shape[axis] += t->shape[axis];
    }
    return ox_set_shape(n->out[0], dtype, shape, first->n_dims, err);
}

typedef struct table {
    uint8_t y[256];
    float slope[256];
} table;

static void make_table(const ox_node *n, size_t i, table *t) {
    float real[256], sx = ox_f32(n->in[i + 1])[0], sy = ox_f32(n->in[Y_SCALE])[0];
    ox_requant q = ox_requant_of(n->out[0]->dtype, ox_zero_of(ox_input(n, Y_ZERO), 0));
    ox_dequantize_table(n->in[i]->dtype, sx, ox_zero_of(ox_input(n, i + 2), 0), real);
    for (size_t k = 0; k < 256; k++) {
        float open = ox_quantum_open(q, real[k], sy);
        t->y[k] = ox_quantum_saturate(q, open);
        t->slope[k] = ox_in_range(q, open) ? sx / sy : 0;
    }
}

/* Runs of input i in the output: of `len` elements, `step` apart, the first at `at`. dx NULL: forward. */
static void one_input(ox_node *n, size_t i, size_t at, size_t step, size_t len, const float *g, float *dx) {
    table t;
    make_table(n, i, &t);
    const uint8_t *x = n->in[i]->data;
    uint8_t *y = n->out[0]->data;
    for (size_t done = 0; done < n->in[i]->n; done += len, at += step) {
        for (size_t k = 0; k < len && g == NULL; k++) {
            y[at + k] = t.y[x[done + k]];
        }
        for (size_t k = 0; k < len && g != NULL; k++) {
            dx[done + k] += g[at + k] * t.slope[x[done + k]];
        }
    }
}

static status each_input(ox_node *n, const float *g, error *err) {
    uint32_t axis = 0;
    const ox_tensor *first = n->in[FIRST], *y = n->out[0];
    TRY(ox_attr_axis(n, "axis", 0, first->n_dims, false, &axis, err));
    size_t at = 0, step = ox_count(y, axis, y->n_dims);
    for (size_t i = FIRST; i < n->n_in; i += 3) {
        size_t len = ox_count(n->in[i], axis, n->in[i]->n_dims);
        if (g == NULL || ox_grad_in(n, i) != NULL) {
            one_input(n, i, at, step, len, g, ox_grad_in(n, i));
        }
        at += len;
    }
    return STATUS_OK;
}

static status forward(ox_node *n, error *err) {
    return each_input(n, NULL, err);
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    const float *g = ox_grad_out(n, 0);
    return mode != ASSAY_VJP_STRAIGHT_THROUGH || g == NULL ? STATUS_OK : each_input(n, g, err);
}

const ox_kernel ox_kernel_qlinear_concat = {.op = "com.microsoft.QLinearConcat",
                                            .min_opset = 1,
                                            .max_opset = 9999,
                                            .flags = OX_KEEPS_BATCH | OX_ZERO_GRADIENT,
                                            .min_in = 5,
                                            .max_in = UINT32_MAX,
                                            .min_out = 1,
                                            .max_out = 1,
                                            .infer = infer,
                                            .forward = forward,
                                            .vjp = vjp};
