/* SPDX-License-Identifier: Apache-2.0
 * Reshape, Flatten, Identity: the same elements under another shape, of any dtype. */
#include <inttypes.h>

#include "kernels/common.h"

static status forward(ox_node *n, error *err) {
    (void)err;
    memcpy(n->out[0]->data, n->in[0]->data, n->out[0]->n * ox_dtype_bytes(n->out[0]->dtype));
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    float *dx = ox_grad_in(n, 0);
    const float *g = ox_grad_out(n, 0);
    for (size_t i = 0; dx != NULL && g != NULL && i < n->out[0]->n; i++) {
        dx[i] += g[i];
    }
    return STATUS_OK;
}

static status need_input(const ox_node *n, error *err) {
    if (n->in[0] == NULL || n->out[0] == NULL) {
        return error_set(err, STATUS_MODEL, "input 0 or output 0 is missing");
    }
    return STATUS_OK;
}

/* Copies the wanted shape, resolving 0 (the input's dimension, unless allowzero). Returns the place of the -1
 * (n_dims where there is none) and the product of all others. */
static status read_shape(const ox_node *n, int64_t *shape, uint32_t *wild, size_t *product, error *err) {
    const ox_tensor *x = n->in[0], *s = n->in[1];
    bool allowzero = ox_attr_int(n, "allowzero", 0) != 0;
    uint32_t n_dims = (uint32_t)s->n;
    *wild = n_dims;
    *product = 1;
    for (uint32_t i = 0; i < n_dims; i++) {
        int64_t v = ((const int64_t *)s->data)[i];
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
        shape[i] = v;
    }
    return STATUS_OK;
}

static status reshape_infer(ox_node *n, error *err) {
    TRY(need_input(n, err));
    TRY(ox_check_attr(n, "allowzero", OX_INT, err));
    const ox_tensor *x = n->in[0], *s = n->in[1];
    if (s == NULL || s->dtype != ASSAY_I64 || s->n_dims != 1 || s->n > ASSAY_MAX_DIMS) {
        return error_set(err, STATUS_MODEL, "the shape is not a vector of at most %d int64 values", ASSAY_MAX_DIMS);
    }
    if (!s->is_const) {
        return error_set(err, STATUS_UNSUPPORTED, "the shape is computed from the input");
    }
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    uint32_t wild = 0, n_dims = (uint32_t)s->n;
    size_t product = 1;
    TRY(read_shape(n, shape, &wild, &product, err));
    /* A file exported with batch 1 says [1, ...]: the 1 is the batch, which the plan has replaced. */
    if (x->has_batch && n_dims > 0 && shape[0] == 1 && ((const int64_t *)s->data)[0] == 1 && x->n_dims > 0 &&
        x->shape[0] > 1) {
        shape[0] = x->shape[0];
        if (!mem_mul(product, (size_t)shape[0], &product)) {
            return error_set(err, STATUS_MODEL, "the wanted shape's element count overflows");
        }
    }
    if (wild != n_dims) {
        if (product == 0 || x->n % product != 0) {
            return error_set(err, STATUS_MODEL, "%zu elements do not fit a shape with %zu per unknown row", x->n,
                             product);
        }
        shape[wild] = (int64_t)(x->n / product);
    } else if (product != x->n) {
        return error_set(err, STATUS_MODEL, "%zu elements do not fit a shape of %zu", x->n, product);
    }
    return ox_set_shape(n->out[0], x->dtype, shape, n_dims, err);
}

static status flatten_infer(ox_node *n, error *err) {
    TRY(need_input(n, err));
    const ox_tensor *x = n->in[0];
    uint32_t axis = 0;
    TRY(ox_attr_axis(n, "axis", 1, x->n_dims, true, &axis, err));
    if (axis == 0 && x->has_batch) {
        return error_set(err, STATUS_UNSUPPORTED, "axis 0 would join the examples of a batch");
    }
    int64_t shape[2] = {(int64_t)ox_count(x, 0, axis), (int64_t)ox_count(x, axis, x->n_dims)};
    return ox_set_shape(n->out[0], x->dtype, shape, 2, err);
}

#define SAME_ELEMENTS(symbol, name, first, n_in, flag, fn)                                                             \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = (first),                                                        \
                                          .max_opset = 9999,                                                           \
                                          .flags = (flag),                                                             \
                                          .min_in = (n_in),                                                            \
                                          .max_in = (n_in),                                                            \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = (fn),                                                               \
                                          .forward = forward,                                                          \
                                          .vjp = vjp}
SAME_ELEMENTS(reshape, "Reshape", 5, 2, OX_TAKES_SHAPE, reshape_infer);
SAME_ELEMENTS(flatten, "Flatten", 1, 1, 0, flatten_infer);
SAME_ELEMENTS(identity, "Identity", 1, 1, OX_KEEPS_BATCH, ox_infer_same);
