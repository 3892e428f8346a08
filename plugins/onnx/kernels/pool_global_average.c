/* SPDX-License-Identifier: Apache-2.0
 * GlobalAveragePool. Sums in double: the fast path in LANES of them, lane by lane in the end. */
#include "kernels/blocked.h"
#include "kernels/common.h"

#define LANES 8u

static status infer(ox_node *n, error *err) {
    TRY(ox_need_float(n, 0, err));
    const ox_tensor *x = n->in[0];
    if (x->n_dims < 3) {
        return error_set(err, STATUS_MODEL, "the input has %u dimensions; at least 3 are needed", x->n_dims);
    }
    int64_t shape[ASSAY_MAX_DIMS] = {x->shape[0], x->shape[1], 1, 1, 1, 1, 1, 1};
    if (ox_count(x, 2, x->n_dims) == 0) {
        return error_set(err, STATUS_MODEL, "the mean of no elements");
    }
    return ox_set_shape(n->out[0], x->dtype, shape, x->n_dims, err);
}

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    const ox_tensor *x = n->in[0];
    size_t inner = ox_count(x, 2, x->n_dims);
    for (size_t p = 0; p < n->out[0]->n; p++) {
        double sum = 0;
        for (size_t i = 0; i < inner; i++) {
            sum += ox_at(x, p * inner + i);
        }
        ox_put(n->out[0], p, sum / (double)inner);
    }
    return STATUS_OK;
}

static double sum_of(const float *x, size_t n) {
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t k = 0; k < LANES; k++) {
            lane[k] += (double)x[i + k];
        }
    }
    for (; i < n; i++) {
        sum += (double)x[i];
    }
    for (size_t k = 0; k < LANES; k++) {
        sum += lane[k];
    }
    return sum;
}

static status forward(ox_node *n, error *err) {
    const ox_tensor *x = n->in[0];
    if (x->dtype != ASSAY_F32) {
        return forward_reference(n, err);
    }
    size_t inner = ox_count(x, 2, x->n_dims);
    for (size_t p = 0; p < n->out[0]->n; p++) {
        ((float *)n->out[0]->data)[p] = (float)(sum_of(ox_f32(x) + p * inner, inner) / (double)inner);
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const ox_tensor *x = n->in[0];
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    size_t inner = ox_count(x, 2, x->n_dims);
    for (size_t p = 0; g != NULL && dx != NULL && p < n->out[0]->n; p++) {
        float share = (float)((double)g[p] / (double)inner), *to = dx + p * inner;
        for (size_t i = 0; i < inner; i++) {
            to[i] += share;
        }
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_global_average_pool = {.op = "GlobalAveragePool",
                                                 .min_opset = 1,
                                                 .max_opset = 9999,
                                                 .flags = OX_KEEPS_BATCH,
                                                 .min_in = 1,
                                                 .max_in = 1,
                                                 .min_out = 1,
                                                 .max_out = 1,
                                                 .infer = infer,
                                                 .forward = forward,
                                                 .forward_reference = forward_reference,
                                                 .vjp = vjp,
                                                 .blocked = &ox_kernel_global_average_pool_blocked};
