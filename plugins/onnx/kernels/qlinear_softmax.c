/* SPDX-License-Identifier: Apache-2.0
 * com.microsoft.QLinearSoftmax: X, X_scale, X_zero, Y_scale, Y_zero, per tensor; attributes axis and opset: before 13
 * all dimensions from axis on are one row, from 13 on only the axis is. Probabilities are computed in double from a
 * table of exp, rounded to float32 and quantised. Exact and leaky gradients are zero; straight-through, per quantum, is
 * Softmax's, of the outputs that needed no saturation. */
#include "kernels/quantized.h"

enum { X, X_SCALE, X_ZERO, Y_SCALE, Y_ZERO };

typedef struct job {
    size_t outer, len, inner; /* rows of `len` elements, `inner` apart */
    double e[256];            /* exp(-d * scale) */
    ox_requant q;
    float sx, sy;
    bool is_signed;
} job;

static status get_rows(const ox_node *n, job *j, error *err) {
    const ox_tensor *x = n->in[X];
    uint32_t axis = 0;
    TRY(ox_check_attr(n, "opset", OX_INT, err));
    bool flat = ox_attr_int(n, "opset", 1) < 13;
    TRY(ox_attr_axis(n, "axis", flat ? 1 : -1, x->n_dims, false, &axis, err));
    if (x->has_batch && axis == 0) {
        return error_set(err, STATUS_UNSUPPORTED, "a Softmax over the batch: examples would depend on each other");
    }
    j->outer = ox_count(x, 0, axis);
    j->len = flat ? ox_count(x, axis, x->n_dims) : (size_t)x->shape[axis];
    j->inner = flat ? 1 : ox_count(x, axis + 1, x->n_dims);
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    uint32_t dtype = 0;
    job j;
    TRY(ox_need_byte(n, X, err));
    TRY(ox_need_scale(n, X_SCALE, err));
    TRY(ox_need_zero(n, X_ZERO, X, err));
    TRY(ox_need_output(n, Y_SCALE, Y_ZERO, &dtype, err));
    TRY(get_rows(n, &j, err));
    if (n->out[0] == NULL) {
        return error_set(err, STATUS_MODEL, "the output is missing");
    }
    return ox_set_shape(n->out[0], dtype, n->in[X]->shape, n->in[X]->n_dims, err);
}

static status open_job(const ox_node *n, job *j, error *err) {
    TRY(get_rows(n, j, err));
    j->sx = ox_f32(n->in[X_SCALE])[0];
    j->sy = ox_f32(n->in[Y_SCALE])[0];
    j->q = ox_requant_of(n->out[0]->dtype, ox_zero_of(ox_input(n, Y_ZERO), 0));
    j->is_signed = n->in[X]->dtype == ASSAY_I8;
    for (int d = 0; d < 256; d++) {
        j->e[d] = exp(-d * (double)j->sx);
    }
    return STATUS_OK;
}

/* The largest quantum of a row, and the sum of its exponentials relative to that. */
static int largest(const job *j, const uint8_t *x, double *sum) {
    const int flip = j->is_signed ? 128 : 0; /* order of unsigned bytes */
    int max = 0;
    for (size_t i = 0; i < j->len; i++) {
        int v = x[i * j->inner] ^ flip;
        max = v > max ? v : max;
    }
    *sum = 0;
    for (size_t i = 0; i < j->len; i++) {
        *sum += j->e[max - (x[i * j->inner] ^ flip)];
    }
    return max;
}

static float probability(const job *j, uint8_t x, int max, double sum) {
    return (float)(j->e[max - (x ^ (j->is_signed ? 128 : 0))] / sum);
}

static status forward(ox_node *n, error *err) {
    job j;
    TRY(open_job(n, &j, err));
    for (size_t r = 0; r < j.outer * j.inner && j.len > 0; r++) {
        size_t at = r / j.inner * j.len * j.inner + r % j.inner;
        const uint8_t *x = (const uint8_t *)n->in[X]->data + at;
        uint8_t *y = (uint8_t *)n->out[0]->data + at;
        double sum = 0;
        int max = largest(&j, x, &sum);
        for (size_t i = 0; i < j.len; i++) {
            float p = probability(&j, x[i * j.inner], max, sum);
            y[i * j.inner] = ox_quantum_saturate(j.q, ox_quantum_open(j.q, p, j.sy));
        }
    }
    return STATUS_OK;
}

static double passing(const job *j, float p, float g) {
    return ox_in_range(j->q, ox_quantum_open(j->q, p, j->sy)) ? (double)g : 0;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    float *dx = ox_grad_in(n, X);
    const float *g = ox_grad_out(n, 0);
    if (mode != ASSAY_VJP_STRAIGHT_THROUGH || dx == NULL || g == NULL) {
        return STATUS_OK;
    }
    job j;
    TRY(open_job(n, &j, err));
    double factor = (double)j.sx / (double)j.sy;
    for (size_t r = 0; r < j.outer * j.inner && j.len > 0; r++) {
        size_t at = r / j.inner * j.len * j.inner + r % j.inner;
        const uint8_t *x = (const uint8_t *)n->in[X]->data + at;
        double sum = 0, dot = 0;
        int max = largest(&j, x, &sum);
        for (size_t i = 0; i < j.len; i++) {
            float p = probability(&j, x[i * j.inner], max, sum);
            dot += (double)p * passing(&j, p, g[at + i * j.inner]);
        }
        for (size_t i = 0; i < j.len; i++) {
            float p = probability(&j, x[i * j.inner], max, sum);
            dx[at + i * j.inner] += (float)(factor * (double)p * (passing(&j, p, g[at + i * j.inner]) - dot));
        }
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_qlinear_softmax = {.op = "com.microsoft.QLinearSoftmax",
                                             .min_opset = 1,
                                             .max_opset = 9999,
                                             .flags = OX_KEEPS_BATCH | OX_ZERO_GRADIENT,
                                             .min_in = 5,
                                             .max_in = 5,
                                             .min_out = 1,
                                             .max_out = 1,
                                             .infer = infer,
                                             .forward = forward,
                                             .vjp = vjp};
