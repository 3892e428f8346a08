/* SPDX-License-Identifier: Apache-2.0
 * ScatterND (opset 11 on; reductions from 16 and 18 on), any dtype; the indices may be computed. */
#include "kernels/lookup.h"

/* Shapes of the output and of the slots; checks batch and ranks. */
static status read_tuples(const ox_node *n, ox_tuples *t, int64_t *shape, int64_t *slots, error *err) {
    const ox_tensor *x = n->in[0], *indices = n->in[1], *updates = n->in[2];
    uint32_t q = indices->n_dims, r = x->n_dims;
    if (q < 1 || r < 1 || indices->shape[q - 1] < 1 || indices->shape[q - 1] > (int64_t)r) {
        return error_set(err, STATUS_MODEL, "data of %u and indices of %u dimensions", r, q);
    }
    uint32_t k = (uint32_t)indices->shape[q - 1];
    int64_t examples = 1;
    *t = (ox_tuples){.indices = indices, .shape = slots};
    TRY(ox_lookup_batch(n, 3, &t->batch, &examples, err));
    if (t->batch && !ox_lookup_first_example(indices)) {
        return error_set(err, STATUS_UNSUPPORTED, "the index vectors choose examples of the batch");
    }
    bool same = updates->n_dims == q - 1 + r - k;
    for (uint32_t d = 0; d < r; d++) {
        shape[d] = t->batch && d == 0 ? examples : x->shape[d];
        same = same && (d < k || updates->shape[q - 1 + d - k] == x->shape[d]);
    }
    for (uint32_t d = 0; d + 1 < q; d++) {
        slots[d] = t->batch && d == 0 ? examples : indices->shape[d];
        same = same && ((t->batch && d == 0) || updates->shape[d] == slots[d]);
    }
    return same ? STATUS_OK : error_set(err, STATUS_MODEL, "the updates' shape does not fit data and indices");
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    TRY(ox_need_integers(n, 1, err));
    TRY(ox_need_dtype_of_first(n, 2, err));
    ox_tuples t = {0};
    ox_reduction r = OX_REDUCE_NONE;
    int64_t shape[ASSAY_MAX_DIMS] = {0}, slots[ASSAY_MAX_DIMS] = {0};
    TRY(ox_scatter_reduction(n, &r, err));
    TRY(read_tuples(n, &t, shape, slots, err));
    TRY(ox_set_shape(n->out[0], n->in[0]->dtype, shape, n->in[0]->n_dims, err));
    t.x = n->out[0];
    return n->in[1]->is_const ? ox_lookup_tuples(&t, NULL, err) : STATUS_OK;
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    ox_tuples t = {0};
    int64_t shape[ASSAY_MAX_DIMS] = {0}, slots[ASSAY_MAX_DIMS] = {0};
    TRY(read_tuples(n, &t, shape, slots, err));
    uint32_t q = n->in[1]->n_dims;
    size_t n_slots = 1;
    for (uint32_t d = 0; d + 1 < q; d++) {
        n_slots *= (size_t)slots[d]; /* no overflow: the updates' or the indices' times the batch */
    }
    size_t run = ox_count(n->out[0], (uint32_t)n->in[1]->shape[q - 1], n->out[0]->n_dims);
    return ox_scatter_make(n, n_slots, run, want_vjp, err);
}

static status forward(ox_node *n, error *err) {
    const ox_lookup *l = n->state;
    ox_tuples t = {0};
    int64_t shape[ASSAY_MAX_DIMS] = {0}, slots[ASSAY_MAX_DIMS] = {0};
    TRY(read_tuples(n, &t, shape, slots, err));
    t.x = n->out[0];
    TRY(ox_lookup_tuples(&t, l->at, err));
    return ox_scatter_forward(n, err);
}

const ox_kernel ox_kernel_scatter_nd = {.op = "ScatterND",
                                        .min_opset = 11,
                                        .max_opset = 9999,
                                        .flags = 0,
                                        .min_in = 3,
                                        .max_in = 3,
                                        .min_out = 1,
                                        .max_out = 1,
                                        .infer = infer,
                                        .prepare = prepare,
                                        .release = ox_lookup_release,
                                        .forward = forward,
                                        .vjp = ox_scatter_vjp};
