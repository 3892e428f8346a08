/* SPDX-License-Identifier: Apache-2.0
 * ScatterElements (opset 11 on; reductions from 16 and 18 on) and Scatter, its name in opsets 9 and 10. Any dtype; the
 * indices may be computed. */
#include "kernels/lookup.h"

static status infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    TRY(ox_need_integers(n, 1, err));
    TRY(ox_need_dtype_of_first(n, 2, err));
    const ox_tensor *x = n->in[0], *indices = n->in[1], *updates = n->in[2];
    uint32_t axis = 0, rank = x->n_dims;
    ox_reduction r = OX_REDUCE_NONE;
    bool batch = false;
    int64_t examples = 1, shape[ASSAY_MAX_DIMS] = {0}, slots[ASSAY_MAX_DIMS] = {0};
    TRY(ox_scatter_reduction(n, &r, err));
    TRY(ox_attr_axis(n, "axis", 0, rank, false, &axis, err));
    if (indices->n_dims != rank || updates->n_dims != rank) {
        return error_set(err, STATUS_MODEL, "data of %u dimensions, indices of %u, updates of %u", rank,
                         indices->n_dims, updates->n_dims);
    }
    TRY(ox_lookup_batch(n, 3, &batch, &examples, err));
    if (batch && axis == 0) {
        return error_set(err, STATUS_UNSUPPORTED, "the axis is the batch's");
    }
    for (uint32_t d = 0; d < rank; d++) {
        bool own = batch && d == 0;
        shape[d] = own ? examples : x->shape[d];
        slots[d] = own ? examples : indices->shape[d];
        if (!own && (updates->shape[d] != slots[d] || (d != axis && slots[d] > shape[d]))) {
            return error_set(err, STATUS_MODEL, "dimension %u: %lld elements, %lld indices, %lld updates", d,
                             (long long)shape[d], (long long)slots[d], (long long)updates->shape[d]);
        }
    }
    TRY(ox_set_shape(n->out[0], x->dtype, shape, rank, err));
    return indices->is_const ? ox_lookup_elements(n->out[0], indices, slots, axis, NULL, err) : STATUS_OK;
}

/* The indices' shape for every example. */
static size_t slots_of(const ox_node *n, int64_t shape[ASSAY_MAX_DIMS]) {
    const ox_tensor *indices = n->in[1], *updates = n->in[2], *x = n->in[0];
    bool batch = indices->has_batch || updates->has_batch || x->has_batch;
    size_t total = 1;
    for (uint32_t d = 0; d < indices->n_dims; d++) {
        shape[d] = batch && d == 0 ? n->out[0]->shape[0] : indices->shape[d];
        total *= (size_t)shape[d]; /* no overflow: at most the output's elements, or the indices' times the batch */
    }
    return total;
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    return ox_scatter_make(n, slots_of(n, shape), 1, want_vjp, err);
}

static status forward(ox_node *n, error *err) {
    const ox_lookup *l = n->state;
    uint32_t axis = 0;
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    TRY(ox_attr_axis(n, "axis", 0, n->in[0]->n_dims, false, &axis, err));
    (void)slots_of(n, shape);
    TRY(ox_lookup_elements(n->out[0], n->in[1], shape, axis, l->at, err));
    return ox_scatter_forward(n, err);
}

#define SCATTER_ELEMENTS(symbol, name, first, last)                                                                    \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = (first),                                                        \
                                          .max_opset = (last),                                                         \
                                          .flags = 0,                                                                  \
                                          .min_in = 3,                                                                 \
                                          .max_in = 3,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = infer,                                                              \
                                          .prepare = prepare,                                                          \
                                          .release = ox_lookup_release,                                                \
                                          .forward = forward,                                                          \
                                          .vjp = ox_scatter_vjp}
SCATTER_ELEMENTS(scatter_elements, "ScatterElements", 11, 9999);
SCATTER_ELEMENTS(scatter, "Scatter", 9, 10);
