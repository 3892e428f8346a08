/* SPDX-License-Identifier: Apache-2.0
 * Transpose of any dtype; without perm the dimensions are reversed. Forward is the plain loop. */
#include <inttypes.h>

#include "kernels/common.h"

static status get_perm(const ox_node *n, uint32_t perm[ASSAY_MAX_DIMS], error *err) {
    uint32_t rank = n->in[0]->n_dims;
    bool seen[ASSAY_MAX_DIMS] = {false};
    const int64_t *v = NULL;
    TRY(ox_attr_ints(n, "perm", rank, &v, NULL, err));
    for (uint32_t i = 0; i < rank; i++) {
        int64_t p = v != NULL ? v[i] : (int64_t)(rank - 1 - i);
        if (p < 0 || p >= (int64_t)rank || seen[p]) {
            return error_set(err, STATUS_MODEL, "perm[%u] = %" PRId64 " makes no permutation of %u dimensions", i, p,
                             rank);
        }
        seen[p] = true;
        perm[i] = (uint32_t)p;
    }
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    if (n->in[0] == NULL || n->out[0] == NULL) {
        return error_set(err, STATUS_MODEL, "input 0 or output 0 is missing");
    }
    uint32_t perm[ASSAY_MAX_DIMS] = {0};
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    TRY(get_perm(n, perm, err));
    for (uint32_t i = 0; i < n->in[0]->n_dims; i++) {
        shape[i] = n->in[0]->shape[perm[i]];
    }
    return ox_set_shape(n->out[0], n->in[0]->dtype, shape, n->in[0]->n_dims, err);
}

/* Walks the output in order; `at` follows in the input. The innermost run has one stride. */
typedef struct walk {
    uint32_t rank;
    size_t shape[ASSAY_MAX_DIMS], stride[ASSAY_MAX_DIMS], idx[ASSAY_MAX_DIMS], at;
} walk;

static status walk_init(const ox_node *n, walk *w, error *err) {
    const ox_tensor *x = n->in[0];
    uint32_t perm[ASSAY_MAX_DIMS] = {0};
    TRY(get_perm(n, perm, err));
    *w = (walk){.rank = x->n_dims > 0 ? x->n_dims : 1};
    w->shape[0] = w->stride[0] = 1; /* a scalar */
    for (uint32_t i = 0; i < x->n_dims; i++) {
        w->shape[i] = (size_t)x->shape[perm[i]];
        w->stride[i] = ox_count(x, perm[i] + 1, x->n_dims);
    }
    return STATUS_OK;
}

static bool walk_next(walk *w) {
    for (uint32_t i = 1; i < w->rank; i++) {
        uint32_t d = w->rank - 1 - i;
        w->at += w->stride[d];
        if (++w->idx[d] < w->shape[d]) {
            return true;
        }
        w->at -= w->stride[d] * w->shape[d];
        w->idx[d] = 0;
    }
    return false;
}

#define COPY_RUN(type)                                                                                                 \
    for (size_t i = 0; i < len; i++) {                                                                                 \
        ((type *)n->out[0]->data)[o + i] = ((const type *)n->in[0]->data)[w.at + i * stride];                          \
    }                                                                                                                  \
    break

static status forward(ox_node *n, error *err) {
    walk w;
    TRY(walk_init(n, &w, err));
    size_t len = w.shape[w.rank - 1], stride = w.stride[w.rank - 1], o = 0;
    if (n->out[0]->n == 0) {
        return STATUS_OK;
    }
    do {
        switch (ox_dtype_bytes(n->out[0]->dtype)) {
        case 1: COPY_RUN(uint8_t);
        case 4: COPY_RUN(uint32_t);
        default: COPY_RUN(uint64_t);
        }
        o += len;
    } while (walk_next(&w));
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    walk w;
    TRY(walk_init(n, &w, err));
    size_t len = w.shape[w.rank - 1], stride = w.stride[w.rank - 1];
    if (g == NULL || dx == NULL || n->out[0]->n == 0) {
        return STATUS_OK;
    }
    do {
        for (size_t i = 0; i < len; i++) {
            dx[w.at + i * stride] += *g++;
        }
    } while (walk_next(&w));
    return STATUS_OK;
}

const ox_kernel ox_kernel_transpose = {.op = "Transpose",
                                       .min_opset = 1,
                                       .max_opset = 9999,
                                       .flags = 0,
                                       .min_in = 1,
                                       .max_in = 1,
                                       .min_out = 1,
                                       .max_out = 1,
                                       .infer = infer,
                                       .forward = forward,
                                       .vjp = vjp};
