/* SPDX-License-Identifier: Apache-2.0
 * LayerNormalization over the dimensions from `axis` on. Scale and bias have the shape of trailing dimensions of the
 * input, all of those normalised at least. The optional outputs Mean and InvStdDev have stash_type's dtype; moments
 * are computed in double whatever it is. */
#include "kernels/normalise.h"

#define STASH_FLOAT 1
#define STASH_DOUBLE 11

static status check_parameter(const ox_node *n, size_t i, size_t len, error *err) {
    const ox_tensor *x = n->in[0], *t = ox_input(n, i);
    TRY(ox_need_dtype_of_first(n, i, err));
    uint32_t skip = 0; /* leading dimensions of 1 mean nothing */
    while (skip < t->n_dims && t->shape[skip] == 1 && t->n_dims - skip > 1) {
        skip++;
    }
    uint32_t rank = t->n_dims - skip;
    bool trailing = rank <= x->n_dims && !t->has_batch;
    for (uint32_t d = 0; d < rank && trailing; d++) {
        trailing = t->shape[skip + d] == x->shape[x->n_dims - rank + d];
    }
    if (!trailing || t->n < len || (len > 0 && t->n % len != 0)) {
        return error_set(err, STATUS_UNSUPPORTED, "input %zu does not have the shape of the input's last dimensions",
                         i);
    }
    return STATUS_OK;
}

static ox_normalise geometry(const ox_node *n, uint32_t axis) {
    const ox_tensor *x = n->in[0];
    size_t len = ox_count(x, axis, x->n_dims);
    return (ox_normalise){.rows = ox_count(x, 0, axis),
                          .parts = len,
                          .part = 1,
                          .period = len == 0 ? 1 : n->in[1]->n / len,
                          .epsilon = (double)ox_attr_float(n, "epsilon", 1e-5F),
                          .mean = ox_output(n, 1),
                          .inv_sd = ox_output(n, 2),
                          .i_mean = 1,
                          .i_inv_sd = 2};
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_float(n, 0, err));
    TRY(ox_check_attr(n, "epsilon", OX_FLOAT, err));
    TRY(ox_check_attr(n, "stash_type", OX_INT, err));
    const ox_tensor *x = n->in[0];
    uint32_t axis = 0;
    int64_t shape[ASSAY_MAX_DIMS] = {0}, stash = ox_attr_int(n, "stash_type", STASH_FLOAT);
    TRY(ox_attr_axis(n, "axis", -1, x->n_dims, false, &axis, err));
    size_t len = ox_count(x, axis, x->n_dims);
    TRY(check_parameter(n, 1, len, err));
    if (ox_input(n, 2) != NULL) {
        TRY(check_parameter(n, 2, len, err));
        if (n->in[2]->n != n->in[1]->n) {
            return error_set(err, STATUS_UNSUPPORTED, "scale and bias of different shapes");
        }
    }
    if (axis == 0 && x->has_batch) {
        return error_set(err, STATUS_UNSUPPORTED, "the axis is the batch's: examples would depend on each other");
    }
    if (stash != STASH_FLOAT && stash != STASH_DOUBLE) {
        return error_set(err, STATUS_UNSUPPORTED, "stash_type %lld; 1 (float) and 11 (double) are supported",
                         (long long)stash);
    }
    for (uint32_t d = 0; d < x->n_dims; d++) {
        shape[d] = d < axis ? x->shape[d] : 1;
    }
    for (size_t i = 1; i < 3; i++) {
        if (ox_output(n, i) != NULL) {
            TRY(ox_set_shape(n->out[i], stash == STASH_FLOAT ? ASSAY_F32 : ASSAY_F64, shape, x->n_dims, err));
        }
    }
    return ox_infer_same(n, err);
}

static ox_normalise geometry_of(const ox_node *n, error *err) {
    uint32_t axis = 0;
    (void)ox_attr_axis(n, "axis", -1, n->in[0]->n_dims, false, &axis, err);
    return geometry(n, axis);
}

static status forward(ox_node *n, error *err) {
    ox_normalise g = geometry_of(n, err);
    ox_normalise_forward(n, &g, false);
    return STATUS_OK;
}

static status forward_reference(ox_node *n, error *err) {
    ox_normalise g = geometry_of(n, err);
    ox_normalise_forward(n, &g, true);
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    ox_normalise g = geometry_of(n, err);
    ox_normalise_vjp(n, &g, false);
    return STATUS_OK;
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    ox_normalise g = geometry_of(n, err);
    ox_normalise_vjp(n, &g, true);
    return STATUS_OK;
}

const ox_kernel ox_kernel_layer_norm = {.op = "LayerNormalization",
                                        .min_opset = 17,
                                        .max_opset = 9999,
                                        .flags = OX_KEEPS_BATCH | OX_STORES_GRADIENT,
                                        .min_in = 2,
                                        .max_in = 3,
                                        .min_out = 1,
                                        .max_out = 3,
                                        .infer = infer,
                                        .forward = forward,
                                        .forward_reference = forward_reference,
                                        .vjp = vjp,
                                        .vjp_reference = vjp_reference};
