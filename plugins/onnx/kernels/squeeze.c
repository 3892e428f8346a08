/* SPDX-License-Identifier: Apache-2.0
 * Squeeze and Unsqueeze of any dtype. The axes are an attribute before opset 13 and an input from then on. */
#include "kernels/moves.h"

static status read_axes(const ox_node *n, uint32_t rank, ox_list *axes, error *err) {
    TRY(ox_list_read(n, n->opset < 13 ? "axes" : NULL, n->opset < 13 ? SIZE_MAX : 1, axes, err));
    return ox_list_axes(axes, rank, err);
}

static bool contains(const ox_list *l, uint32_t d) {
    for (size_t i = 0; i < l->n; i++) {
        if (l->v[i] == (int64_t)d) {
            return true;
        }
    }
    return false;
}

static status squeeze_infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    const ox_tensor *x = n->in[0];
    ox_list axes;
    TRY(read_axes(n, x->n_dims, &axes, err));
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    uint32_t rank = 0;
    for (uint32_t d = 0; d < x->n_dims; d++) {
        bool gone = axes.present ? contains(&axes, d) : x->shape[d] == 1;
        if (gone && x->shape[d] != 1 && !(d == 0 && x->has_batch)) {
            return error_set(err, STATUS_MODEL, "dimension %u has %lld elements, not 1", d, (long long)x->shape[d]);
        }
        if (gone && d == 0 && x->has_batch) {
            return error_set(err, STATUS_UNSUPPORTED, "the axis is the batch's");
        }
        if (!gone) {
            shape[rank++] = x->shape[d];
        }
    }
    return ox_set_shape(n->out[0], x->dtype, shape, rank, err);
}

static status unsqueeze_infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    const ox_tensor *x = n->in[0];
    ox_list axes;
    TRY(ox_list_read(n, n->opset < 13 ? "axes" : NULL, n->opset < 13 ? SIZE_MAX : 1, &axes, err));
    if (!axes.present || axes.n + x->n_dims > ASSAY_MAX_DIMS) {
        return error_set(err, axes.present ? STATUS_UNSUPPORTED : STATUS_MODEL,
                         "%zu axes for a tensor of %u dimensions", axes.n, x->n_dims);
    }
    uint32_t rank = (uint32_t)axes.n + x->n_dims;
    TRY(ox_list_axes(&axes, rank, err));
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    for (uint32_t d = 0, from = 0; d < rank; d++) {
        shape[d] = contains(&axes, d) ? 1 : x->shape[from++];
    }
    return ox_set_shape(n->out[0], x->dtype, shape, rank, err);
}

#define SAME_ELEMENTS(symbol, name, fn)                                                                                \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = 1,                                                              \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_VIEW | OX_STORES_GRADIENT,                                       \
                                          .min_in = 1,                                                                 \
                                          .max_in = 2,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = (fn),                                                               \
                                          .forward = ox_same_forward,                                                  \
                                          .vjp = ox_same_vjp}
SAME_ELEMENTS(squeeze, "Squeeze", squeeze_infer);
SAME_ELEMENTS(unsqueeze, "Unsqueeze", unsqueeze_infer);
