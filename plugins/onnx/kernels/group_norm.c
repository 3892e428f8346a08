/* SPDX-License-Identifier: Apache-2.0
 * InstanceNormalization: every channel of every example by itself. GroupNormalization: num_groups groups of channels;
 * scale and bias per group in opset 18, per channel from 21 on. */
#include "kernels/normalise.h"

static ox_normalise geometry(const ox_node *n) {
    const ox_tensor *x = n->in[0];
    size_t channels = (size_t)x->shape[1], inner = ox_count(x, 2, x->n_dims), batch = (size_t)x->shape[0];
    ox_normalise g = {.rows = batch * channels,
                      .parts = 1,
                      .part = inner,
                      .period = channels,
                      .epsilon = (double)ox_attr_float(n, "epsilon", 1e-5F)};
    if (n->op[0] == 'G') {
        size_t groups = (size_t)ox_attr_int(n, "num_groups", 1), members = channels / groups;
        bool per_group = n->opset < 21;
        g.rows = batch * groups;
        g.parts = per_group ? 1 : members;
        g.part = per_group ? members * inner : inner;
        g.period = groups;
    }
    return g;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_float(n, 0, err));
    TRY(ox_check_attr(n, "epsilon", OX_FLOAT, err));
    TRY(ox_check_attr(n, "num_groups", OX_INT, err));
    TRY(ox_check_attr(n, "stash_type", OX_INT, err));
    const ox_tensor *x = n->in[0];
    if (x->n_dims < 3) {
        return error_set(err, STATUS_MODEL, "the input has %u dimensions; at least 3 are needed", x->n_dims);
    }
    int64_t parameters = x->shape[1];
    if (n->op[0] == 'G') {
        int64_t groups = ox_attr_int(n, "num_groups", 0);
        if (groups < 1 || x->shape[1] % groups != 0) {
            return error_set(err, STATUS_MODEL, "num_groups %lld for %lld channels", (long long)groups,
                             (long long)x->shape[1]);
        }
        parameters = n->opset < 21 ? groups : parameters;
    }
    TRY(ox_need_vector(n, 1, (size_t)parameters, err));
    TRY(ox_need_vector(n, 2, (size_t)parameters, err));
    return ox_infer_same(n, err);
}

static status forward(ox_node *n, error *err) {
    (void)err;
    ox_normalise g = geometry(n);
    ox_normalise_forward(n, &g, false);
    return STATUS_OK;
}

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    ox_normalise g = geometry(n);
    ox_normalise_forward(n, &g, true);
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    ox_normalise g = geometry(n);
    ox_normalise_vjp(n, &g, false);
    return STATUS_OK;
}

#define NORM(symbol, name, first)                                                                                      \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = (first),                                                        \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH | OX_STORES_GRADIENT,                                \
                                          .min_in = 3,                                                                 \
                                          .max_in = 3,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = infer,                                                              \
                                          .forward = forward,                                                          \
                                          .forward_reference = forward_reference,                                      \
                                          .vjp = vjp}
NORM(instance_norm, "InstanceNormalization", 1);
NORM(group_norm, "GroupNormalization", 18);
