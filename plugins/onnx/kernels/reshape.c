/* SPDX-License-Identifier: Apache-2.0
 * Reshape (the shape is an attribute before opset 5), Flatten, Identity: the same elements under another shape, of any
 * dtype. */
#include <inttypes.h>

#include "kernels/moves.h"

/* The shape as the model has it. */
static status read_list(const ox_node *n, ox_list *l, error *err) {
    const ox_tensor *s = ox_input(n, 1);
    bool attr = n->opset < 5;
    if (!attr && (s == NULL || s->dtype != ASSAY_I64 || s->n_dims != 1 || s->n > ASSAY_MAX_DIMS)) {
        return error_set(err, STATUS_MODEL, "the shape is not a vector of at most %d int64 values", ASSAY_MAX_DIMS);
    }
    TRY(ox_list_read(n, attr ? "shape" : NULL, attr ? SIZE_MAX : 1, l, err));
    if (!l->present || l->n > ASSAY_MAX_DIMS) {
        return error_set(err, STATUS_MODEL, "the shape is missing or has more than %d dimensions", ASSAY_MAX_DIMS);
    }
    return STATUS_OK;
}

/* Resolves 0 (the input's dimension, unless allowzero). Returns the place of the -1 (l->n where there is none) and the
 * product of all others. */
static status read_shape(const ox_node *n, ox_list *l, uint32_t *wild, size_t *product, error *err) {
    const ox_tensor *x = n->in[0];
    bool allowzero = ox_attr_int(n, "allowzero", 0) != 0;
    uint32_t n_dims = (uint32_t)l->n;
    *wild = n_dims;
    *product = 1;
    for (uint32_t i = 0; i < n_dims; i++) {
        int64_t v = l->v[i];
        if (v == 0 && !allowzero) {
            if (i >= x->n_dims) {
                return error_set(err, STATUS_MODEL, "shape[%u] is 0, but the input has %u dimensions", i, x->n_dims);
            }
            v = x->shape[i];
        }
        if (v < -1 || (v == -1 && *wild != n_dims)) {
            return error_set(err, STATUS_MODEL, "shape[%u] is %" PRId64, i, v);
        }
        if (v == -1) {
            *wild = i;
        } else if (!mem_mul(*product, (size_t)v, product)) {
            return error_set(err, STATUS_MODEL, "the wanted shape's element count overflows");
        }
        l->v[i] = v;
    }
    return STATUS_OK;
}

static status reshape_infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    TRY(ox_check_attr(n, "allowzero", OX_INT, err));
    const ox_tensor *x = n->in[0];
    ox_list l = {0};
    uint32_t wild = 0;
    size_t product = 1;
    TRY(read_list(n, &l, err));
    bool one = l.n > 0 && l.v[0] == 1;
    TRY(read_shape(n, &l, &wild, &product, err));
    /* A file exported with batch 1 says [1, ...]: the 1 is the batch, which the plan has replaced. */
    if (x->has_batch && one && x->n_dims > 0 && x->shape[0] > 1) {
        l.v[0] = x->shape[0];
        if (!mem_mul(product, (size_t)l.v[0], &product)) {
            return error_set(err, STATUS_MODEL, "the wanted shape's element count overflows");
        }
    }
    if (wild != l.n) {
        if (product == 0 || x->n % product != 0) {
            return error_set(err, STATUS_MODEL, "%zu elements do not fit a shape with %zu per unknown row", x->n,
                             product);
        }
        l.v[wild] = (int64_t)(x->n / product);
    } else if (product != x->n) {
        return error_set(err, STATUS_MODEL, "%zu elements do not fit a shape of %zu", x->n, product);
    }
    return ox_set_shape(n->out[0], x->dtype, l.v, (uint32_t)l.n, err);
}

static status flatten_infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    const ox_tensor *x = n->in[0];
    uint32_t axis = 0;
    TRY(ox_attr_axis(n, "axis", 1, x->n_dims, true, &axis, err));
    if (axis == 0 && x->has_batch) {
        return error_set(err, STATUS_UNSUPPORTED, "axis 0 would join the examples of a batch");
    }
    int64_t shape[2] = {(int64_t)ox_count(x, 0, axis), (int64_t)ox_count(x, axis, x->n_dims)};
    return ox_set_shape(n->out[0], x->dtype, shape, 2, err);
}

#define SAME_ELEMENTS(symbol, name, first, most_in, flag, fn)                                                          \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = (first),                                                        \
                                          .max_opset = 9999,                                                           \
                                          .flags = (flag) | OX_VIEW | OX_STORES_GRADIENT,                              \
                                          .min_in = 1,                                                                 \
                                          .max_in = (most_in),                                                         \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = (fn),                                                               \
                                          .forward = ox_same_forward,                                                  \
                                          .vjp = ox_same_vjp}
SAME_ELEMENTS(reshape, "Reshape", 1, 2, OX_TAKES_SHAPE, reshape_infer);
SAME_ELEMENTS(flatten, "Flatten", 1, 1, 0, flatten_infer);
SAME_ELEMENTS(identity, "Identity", 1, 1, OX_KEEPS_BATCH, ox_infer_same);
