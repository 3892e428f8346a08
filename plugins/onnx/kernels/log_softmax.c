/* SPDX-License-Identifier: Apache-2.0
 * LogSoftmax and Hardmax (softmax.h says along what). LogSoftmax works in float32 along adjacent elements by vmath.h,
 * else in double and is rounded once. Hardmax is 1 at the first of the largest and flat: its gradient is zero in every
 * mode, as a slope of 1 through an argmax would mean nothing. */
#include <math.h>

#include "kernels/softmax.h"
#include "kernels/vmath.h"

#define CHUNK 256u

/* log sum exp of one row, and (stored) where its largest value is. */
static double row_of(const ox_tensor *x, const ox_axis *a, size_t at, size_t *first) {
    double max = -INFINITY, sum = 0;
    *first = 0;
    for (size_t k = 0; k < a->len; k++) {
        double v = ox_at(x, at + k * a->inner);
        if (v > max) {
            max = v;
            *first = k;
        }
    }
    for (size_t k = 0; k < a->len; k++) {
        sum += exp(ox_at(x, at + k * a->inner) - max);
    }
    return max + log(sum);
}

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    const ox_tensor *x = n->in[0];
    bool hard = n->op[0] == 'H';
    const ox_axis a = ox_softmax_axis_of(n);
    for (size_t r = 0; r < ox_axis_rows(&a) && a.len > 0; r++) {
        size_t at = ox_axis_row(&a, r), first = 0;
        double total = row_of(x, &a, at, &first);
        for (size_t k = 0; k < a.len; k++) {
            size_t i = at + k * a.inner;
            ox_put(n->out[0], i, hard ? k == first : ox_at(x, i) - total);
        }
    }
    return STATUS_OK;
}

static status log_forward(ox_node *n, error *err) {
    const ox_axis a = ox_softmax_axis_of(n);
    if (n->in[0]->dtype != ASSAY_F32 || a.inner != 1) {
        return forward_reference(n, err);
    }
    ox_vmath_of(ox_isa_best())->log_softmax(n->in[0]->data, n->out[0]->data, a.outer, a.len);
    return STATUS_OK;
}

/* dx = g - softmax(x) sum g */
static status log_vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const ox_axis a = ox_softmax_axis_of(n);
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    for (size_t r = 0; g != NULL && dx != NULL && r < ox_axis_rows(&a) && a.len > 0; r++) {
        size_t at = ox_axis_row(&a, r), first = 0;
        double sum = 0, total = row_of(n->in[0], &a, at, &first);
        for (size_t k = 0; k < a.len; k++) {
            sum += (double)g[at + k * a.inner];
        }
        for (size_t k = 0; k < a.len; k++) {
            size_t i = at + k * a.inner;
            dx[i] += (float)((double)g[i] - exp(ox_at(n->in[0], i) - total) * sum);
        }
    }
    return STATUS_OK;
}

/* The softmax is exp of the output. */
static status log_vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    const ox_axis a = ox_softmax_axis_of(n);
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0), p[CHUNK];
    if (g == NULL || dx == NULL || n->in[0]->dtype != ASSAY_F32 || a.inner != 1) {
        return log_vjp_reference(n, mode, err);
    }
    const ox_vmath *v = ox_vmath_of(ox_isa_best());
    const float *y = n->out[0]->data;
    for (size_t r = 0; r < a.outer; r++, g += a.len, y += a.len, dx += a.len) {
        float sum = (float)v->sum(g, a.len);
        for (size_t i = 0; i < a.len; i += CHUNK) {
            size_t len = a.len - i < CHUNK ? a.len - i : CHUNK;
            v->exp(y + i, p, len);
            for (size_t k = 0; k < len; k++) {
                dx[i + k] += g[i + k] - p[k] * sum;
            }
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

#define ALONG(symbol, op_name, more, fwd, fwd_ref, back, back_ref)                                                     \
    const ox_kernel ox_kernel_##symbol = {.op = (op_name),                                                             \
                                          .min_opset = 1,                                                              \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH | (more),                                            \
                                          .min_in = 1,                                                                 \
                                          .max_in = 1,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = ox_softmax_infer,                                                   \
                                          .forward = (fwd),                                                            \
                                          .forward_reference = (fwd_ref),                                              \
                                          .vjp = (back),                                                               \
                                          .vjp_reference = (back_ref)}
ALONG(log_softmax, "LogSoftmax", 0, log_forward, forward_reference, log_vjp, log_vjp_reference);
ALONG(hardmax, "Hardmax", OX_ZERO_GRADIENT, forward_reference, NULL, zero, NULL);
