/* SPDX-License-Identifier: Apache-2.0
 * GatherElements (opset 11 on), any dtype; the indices may be computed. */
#include "kernels/lookup.h"

/* The batch rule of lookup.h is not needed where a table without a batch is read along its first axis. */
static bool table(const ox_node *n, uint32_t axis) {
    return axis == 0 && !n->in[0]->has_batch;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    TRY(ox_need_integers(n, 1, err));
    const ox_tensor *x = n->in[0], *indices = n->in[1];
    uint32_t axis = 0;
    TRY(ox_attr_axis(n, "axis", 0, x->n_dims, false, &axis, err));
    if (axis == 0 && x->has_batch) {
        return error_set(err, STATUS_UNSUPPORTED, "the axis is the batch's");
    }
    if (indices->n_dims != x->n_dims) {
        return error_set(err, STATUS_MODEL, "indices of %u dimensions for data of %u", indices->n_dims, x->n_dims);
    }
    bool batch = false;
    int64_t examples = 1, shape[ASSAY_MAX_DIMS] = {0};
    if (!table(n, axis)) {
        TRY(ox_lookup_batch(n, 2, &batch, &examples, err));
    }
    for (uint32_t d = 0; d < x->n_dims; d++) {
        shape[d] = batch && d == 0 ? examples : indices->shape[d];
        if (d != axis && shape[d] > x->shape[d] && !(batch && d == 0)) {
            return error_set(err, STATUS_MODEL, "dimension %u: %lld indices for %lld elements", d, (long long)shape[d],
                             (long long)x->shape[d]);
        }
    }
    TRY(ox_set_shape(n->out[0], x->dtype, shape, x->n_dims, err));
    return indices->is_const ? ox_lookup_elements(x, indices, shape, axis, NULL, err) : STATUS_OK;
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    return ox_lookup_make(n, n->out[0]->n, 1, err);
}

static status forward(ox_node *n, error *err) {
    const ox_lookup *l = n->state;
    uint32_t axis = 0;
    TRY(ox_attr_axis(n, "axis", 0, n->in[0]->n_dims, false, &axis, err));
    TRY(ox_lookup_elements(n->in[0], n->in[1], n->out[0]->shape, axis, l->at, err));
    ox_gather_forward(n);
    return STATUS_OK;
}

const ox_kernel ox_kernel_gather_elements = {.op = "GatherElements",
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
