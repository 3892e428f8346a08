/* SPDX-License-Identifier: Apache-2.0
 * GatherND (opset 11 on; batch_dims from 12 on), any dtype; the indices may be computed. */
#include "kernels/lookup.h"

/* How the operands line up; checks batch and ranks. */
static status read_tuples(const ox_node *n, ox_tuples *t, int64_t *examples, error *err) {
    const ox_tensor *x = n->in[0], *indices = n->in[1];
    TRY(ox_check_attr(n, "batch_dims", OX_INT, err));
    int64_t b = ox_attr_int(n, "batch_dims", 0), q = (int64_t)indices->n_dims, r = (int64_t)x->n_dims;
    if (b < 0 || q < 1 || r < 1 || b >= q || b >= r || indices->shape[q - 1] < 1 || indices->shape[q - 1] > r - b) {
        return error_set(err, STATUS_MODEL, "batch_dims = %lld with data of %lld and indices of %lld dimensions",
                         (long long)b, (long long)r, (long long)q);
    }
    *t = (ox_tuples){.x = x, .indices = indices, .batch_dims = (uint32_t)b};
    *examples = 1;
    if (b > 0 || x->has_batch) {
        TRY(ox_lookup_batch(n, 2, &t->batch, examples, err));
    }
    if (t->batch && b == 0 && !ox_lookup_first_example(indices)) {
        return error_set(err, STATUS_UNSUPPORTED, "the index vectors choose examples of the batch");
    }
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    TRY(ox_need_integers(n, 1, err));
    const ox_tensor *x = n->in[0], *indices = n->in[1];
    ox_tuples t = {0};
    int64_t examples = 1, shape[2 * ASSAY_MAX_DIMS] = {0};
    TRY(read_tuples(n, &t, &examples, err));
    uint32_t rank = 0;
    for (uint32_t d = 0; d + 1 < indices->n_dims; d++) {
        shape[rank++] = t.batch && d == 0 ? examples : indices->shape[d];
        if (d < t.batch_dims && shape[d] != x->shape[d] && !(t.batch && d == 0)) {
            return error_set(err, STATUS_MODEL, "batch dimension %u has %lld indices for %lld elements", d,
                             (long long)shape[d], (long long)x->shape[d]);
        }
    }
    for (uint32_t d = t.batch_dims + (uint32_t)indices->shape[indices->n_dims - 1]; d < x->n_dims; d++) {
        shape[rank++] = x->shape[d];
    }
    TRY(ox_set_shape(n->out[0], x->dtype, shape, rank, err));
    t.shape = n->out[0]->shape;
    return indices->is_const ? ox_lookup_tuples(&t, NULL, err) : STATUS_OK;
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    uint32_t slots = n->in[1]->n_dims - 1;
    return ox_lookup_make(n, ox_count(n->out[0], 0, slots), ox_count(n->out[0], slots, n->out[0]->n_dims), err);
}

static status forward(ox_node *n, error *err) {
    const ox_lookup *l = n->state;
    ox_tuples t = {0};
    int64_t examples = 1;
    TRY(read_tuples(n, &t, &examples, err));
    t.shape = n->out[0]->shape;
    TRY(ox_lookup_tuples(&t, l->at, err));
    ox_gather_forward(n);
    return STATUS_OK;
}

const ox_kernel ox_kernel_gather_nd = {.op = "GatherND",
                                       .min_opset = 11,
                                       .max_opset = 9999,
                                       .flags = 0,
                                       .min_in = 2,
                                       .max_in = 2,
                                       .min_out = 1,
                                       .max_out = 1,
                                       .infer = infer,
                                       .prepare = prepare,
                                       .release = ox_lookup_release,
                                       .forward = forward,
                                       .vjp = ox_gather_vjp};
