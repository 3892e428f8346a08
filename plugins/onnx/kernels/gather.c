/* SPDX-License-Identifier: Apache-2.0
 * Gather along one axis, any dtype; the indices are known when the plan is made. */
#include <inttypes.h>

#include "kernels/moves.h"

static status infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    TRY(ox_need_indices(n, 1, err));
    const ox_tensor *x = n->in[0], *at = n->in[1];
    uint32_t axis = 0;
    TRY(ox_attr_axis(n, "axis", 0, x->n_dims, false, &axis, err));
    if (axis == 0 && x->has_batch) {
        return error_set(err, STATUS_UNSUPPORTED, "the axis is the batch's");
    }
    for (size_t i = 0; i < at->n; i++) {
        int64_t v = ox_index_at(at, i);
        if (v < -x->shape[axis] || v >= x->shape[axis]) {
            return error_set(err, STATUS_MODEL, "index %" PRId64 " is outside %" PRId64 " elements", v, x->shape[axis]);
        }
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

static status prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    const ox_tensor *x = n->in[0];
    uint32_t axis = 0;
    TRY(ox_attr_axis(n, "axis", 0, x->n_dims, false, &axis, err));
    rows r = {.at = n->in[1], .dim = x->shape[axis], .inner = (int64_t)ox_count(x, axis + 1, x->n_dims)};
    int64_t shape[3] = {(int64_t)ox_count(x, 0, axis), (int64_t)r.at->n, r.inner};
    return ox_moves_prepare(n, shape, 3, source, &r, err);
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
                                    .release = ox_moves_release,
                                    .forward = ox_moves_forward,
                                    .vjp = ox_moves_vjp};
