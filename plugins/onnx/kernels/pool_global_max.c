/* SPDX-License-Identifier: Apache-2.0
 * GlobalMaxPool. The gradient goes to the first maximum, as MaxPool's does; the first NaN wins. */
#include "kernels/common.h"
#include "kernels/simd.h"

static status infer(ox_node *n, error *err) {
    TRY(ox_need_float(n, 0, err));
    const ox_tensor *x = n->in[0];
    if (x->n_dims < 3) {
        return error_set(err, STATUS_MODEL, "the input has %u dimensions; at least 3 are needed", x->n_dims);
    }
    if (ox_count(x, 2, x->n_dims) == 0) {
        return error_set(err, STATUS_MODEL, "the maximum of no elements");
    }
    int64_t shape[ASSAY_MAX_DIMS] = {x->shape[0], x->shape[1], 1, 1, 1, 1, 1, 1};
    return ox_set_shape(n->out[0], x->dtype, shape, x->n_dims, err);
}

static size_t argmax(const ox_tensor *x, size_t base, size_t count) {
    size_t best = base;
    for (size_t i = base + 1; i < base + count; i++) {
        double v = ox_at(x, i), b = ox_at(x, best);
        if (v > b || (v != v && b == b)) {
            best = i;
        }
    }
    return best;
}

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    size_t inner = ox_count(n->in[0], 2, n->in[0]->n_dims);
    for (size_t p = 0; p < n->out[0]->n; p++) {
        ox_put(n->out[0], p, ox_at(n->in[0], argmax(n->in[0], p * inner, inner)));
    }
    return STATUS_OK;
}

/* NaN where there is one. */
static float max_of(const float *x, size_t n) {
    ox_vf best = ox_v_set(x[0]);
    size_t i = 0;
    for (; i + OX_LANES <= n; i += OX_LANES) {
        ox_vf v = ox_v_load(x + i);
        best = ox_v_select((v > best) | (v != v), v, best); /* against a NaN nothing is greater: it stays */
    }
    float m = best[0];
    for (size_t k = 1; k < OX_LANES; k++) {
        m = best[k] > m || best[k] != best[k] ? best[k] : m;
    }
    for (; i < n; i++) {
        m = x[i] > m || x[i] != x[i] ? x[i] : m;
    }
    return m;
}

static status forward(ox_node *n, error *err) {
    if (n->in[0]->dtype != ASSAY_F32) {
        return forward_reference(n, err);
    }
    size_t inner = ox_count(n->in[0], 2, n->in[0]->n_dims);
    for (size_t p = 0; p < n->out[0]->n; p++) {
        ((float *)n->out[0]->data)[p] = max_of(ox_f32(n->in[0]) + p * inner, inner);
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    size_t inner = ox_count(n->in[0], 2, n->in[0]->n_dims);
    for (size_t p = 0; g != NULL && dx != NULL && p < n->out[0]->n; p++) {
        dx[argmax(n->in[0], p * inner, inner)] += g[p];
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_global_max_pool = {.op = "GlobalMaxPool",
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
                                             .vjp = vjp};
