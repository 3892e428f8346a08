/* SPDX-License-Identifier: Apache-2.0
 * Gather along one axis, any dtype. Constant indices become tables of moves when the plan is made; computed ones (token
 * ids cast from the input, an ArgMax) are checked and looked up in forward. */
#include "kernels/lookup.h"

static status infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    TRY(ox_need_integers(n, 1, err));
    const ox_tensor *x = n->in[0], *at = n->in[1];
    uint32_t axis = 0;
    TRY(ox_attr_axis(n, "axis", 0, x->n_dims, false, &axis, err));
    if (axis == 0 && x->has_batch) {
        return error_set(err, STATUS_UNSUPPORTED, "the axis is the batch's");
    }
    if (x->has_batch && at->has_batch) {
        return error_set(err, STATUS_UNSUPPORTED, "every example would read all others' indices");
    }
    for (size_t i = 0; at->is_const && i < at->n; i++) {
        int64_t v = 0;
        TRY(ox_index_read(at, i, x->shape[axis], &v, err));
    }
    int64_t shape[2 * ASSAY_MAX_DIMS] = {0};
    uint32_t rank = 0;
    for (uint32_t d = 0; d < axis; d++) {
        shape[rank++] = x->shape[d];
    }
    for (uint32_t d = 0; d < at->n_dims; d++) {
        shape[rank++] = at->shape[d];
    }
    for (uint32_t d = axis + 1; d < x->n_dims; d++) {
        shape[rank++] = x->shape[d];
    }
    return ox_set_shape(n->out[0], x->dtype, shape, rank, err);
}

typedef struct rows {
    const ox_tensor *at;
    int64_t dim, inner;
} rows;

/* The output as (outer, index, inner). */
static int64_t source(const void *how, uint32_t d, size_t i) {
    const rows *r = how;
    if (d != 1) {
        return d == 2 ? (int64_t)i : (int64_t)i * r->dim * r->inner;
    }
    int64_t v = ox_index_at(r->at, i);
    return (v < 0 ? v + r->dim : v) * r->inner;
}

static bool constant(const ox_node *n) {
    return n->in[1]->is_const;
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    const ox_tensor *x = n->in[0];
    uint32_t axis = 0;
    TRY(ox_attr_axis(n, "axis", 0, x->n_dims, false, &axis, err));
    rows r = {.at = n->in[1], .dim = x->shape[axis], .inner = (int64_t)ox_count(x, axis + 1, x->n_dims)};
    int64_t shape[3] = {(int64_t)ox_count(x, 0, axis), (int64_t)r.at->n, r.inner};
    if (constant(n)) {
        return ox_moves_prepare(n, shape, 3, source, &r, err);
    }
    TRY(ox_lookup_make(n, r.at->n, (size_t)r.inner, err));
    ox_lookup *l = n->state;
    l->outer = (size_t)shape[0];
    l->step = ox_count(x, axis, x->n_dims);
    return STATUS_OK;
}

static void release(ox_node *n) {
    if (constant(n)) {
        ox_moves_release(n);
    } else {
        ox_lookup_release(n);
    }
}

static status forward(ox_node *n, error *err) {
    if (constant(n)) {
        return ox_moves_forward(n, err);
    }
    const ox_lookup *l = n->state;
    const ox_tensor *x = n->in[0], *indices = n->in[1];
    uint32_t axis = 0;
    TRY(ox_attr_axis(n, "axis", 0, x->n_dims, false, &axis, err));
    for (size_t i = 0; i < l->n; i++) {
        int64_t v = 0;
        TRY(ox_index_read(indices, i, x->shape[axis], &v, err));
        l->at[i] = v * (int64_t)l->run;
    }
    ox_gather_forward(n);
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    return constant(n) ? ox_moves_vjp(n, mode, err) : ox_gather_vjp(n, mode, err);
}

const ox_kernel ox_kernel_gather = {.op = "Gather",
                                    .min_opset = 1,
                                    .max_opset = 9999,
                                    .flags = 0,
                                    .min_in = 2,
                                    .max_in = 2,
                                    .min_out = 1,
                                    .max_out = 1,
                                    .infer = infer,
                                    .prepare = prepare,
                                    .release = release,
                                    .forward = forward,
                                    .vjp = vjp};
