/* SPDX-License-Identifier: Apache-2.0
 * Expand (opset 8 on) and Tile, any dtype: dimensions that are walked more than once. Before opset 6, Tile repeats one
 * axis, which are two values of the data's type. */
#include <inttypes.h>

#include "kernels/moves.h"

typedef struct repeat {
    uint32_t lead;               /* output dimensions before the input's first */
    int64_t dim[ASSAY_MAX_DIMS]; /* of the input, by dimension of the output */
    int64_t stride[ASSAY_MAX_DIMS];
} repeat;

static int64_t source(const void *how, uint32_t d, size_t i) {
    const repeat *r = how;
    return d < r->lead ? 0 : (int64_t)i % r->dim[d] * r->stride[d];
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    const ox_tensor *x = n->in[0], *y = n->out[0];
    repeat r = {.lead = y->n_dims - x->n_dims};
    for (uint32_t d = 0; d < x->n_dims; d++) {
        r.dim[r.lead + d] = x->shape[d];
        r.stride[r.lead + d] = (int64_t)ox_count(x, d + 1, x->n_dims);
    }
    return ox_moves_prepare(n, y->shape, y->n_dims, source, &r, err);
}

static status expand_infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    ox_list to;
    TRY(ox_list_read(n, NULL, 1, &to, err));
    if (!to.present || to.n > ASSAY_MAX_DIMS) {
        return error_set(err, STATUS_MODEL, "the shape is missing or has more than %d dimensions", ASSAY_MAX_DIMS);
    }
    ox_tensor want = {.n_dims = (uint32_t)to.n};
    for (uint32_t d = 0; d < want.n_dims; d++) {
        if (to.v[d] < 0) {
            return error_set(err, STATUS_MODEL, "shape[%u] is %" PRId64, d, to.v[d]);
        }
        want.shape[d] = to.v[d];
    }
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    uint32_t n_dims = 0;
    TRY(ox_broadcast(n->in[0], &want, shape, &n_dims, err));
    return ox_set_shape(n->out[0], n->in[0]->dtype, shape, n_dims, err);
}

/* Opset 1: input i, one constant of any type. */
static status read_value(const ox_node *n, size_t i, int64_t *v, error *err) {
    const ox_tensor *t = ox_input(n, i);
    if (t == NULL || t->n != 1 || t->n_dims > 1) {
        return error_set(err, STATUS_MODEL, "input %zu is not one value", i);
    }
    if (!t->is_const) {
        return error_set(err, STATUS_UNSUPPORTED, "input %zu is computed from the graph's input", i);
    }
    double d = ox_at(t, 0);
    if (!(d >= 0 && d <= 0x1p40)) {
        return error_set(err, STATUS_MODEL, "input %zu is %g", i, d);
    }
    *v = (int64_t)d;
    return STATUS_OK;
}

static status read_repeats(const ox_node *n, ox_list *repeats, error *err) {
    if (n->opset >= 6) {
        return n->n_in > 2 ? error_set(err, STATUS_MODEL, "%zu inputs", n->n_in)
                           : ox_list_read(n, NULL, 1, repeats, err);
    }
    int64_t tiles = 0, axis = 0;
    *repeats = (ox_list){.present = true, .n = n->in[0]->n_dims};
    TRY(read_value(n, 1, &tiles, err));
    TRY(read_value(n, 2, &axis, err));
    if (axis >= (int64_t)n->in[0]->n_dims) {
        return error_set(err, STATUS_MODEL, "axis %" PRId64 " is outside %u dimensions", axis, n->in[0]->n_dims);
    }
    for (size_t d = 0; d < repeats->n; d++) {
        repeats->v[d] = d == (size_t)axis ? tiles : 1;
    }
    return STATUS_OK;
}

static status tile_infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    const ox_tensor *x = n->in[0];
    ox_list repeats = {0};
    TRY(read_repeats(n, &repeats, err));
    if (!repeats.present || repeats.n != x->n_dims) {
        return error_set(err, STATUS_MODEL, "%zu repeats for %u dimensions", repeats.n, x->n_dims);
    }
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    for (uint32_t d = 0; d < x->n_dims; d++) {
        if (repeats.v[d] < 0 || __builtin_mul_overflow(x->shape[d], repeats.v[d], &shape[d])) {
            return error_set(err, STATUS_MODEL, "repeats[%u] is %" PRId64, d, repeats.v[d]);
        }
    }
    if (x->has_batch && repeats.v[0] != 1) {
        return error_set(err, STATUS_UNSUPPORTED, "the axis is the batch's");
    }
    return ox_set_shape(n->out[0], x->dtype, shape, x->n_dims, err);
}

#define REPEAT(symbol, name, first, inputs, fn)                                                                        \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = (first),                                                        \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_TAKES_SHAPE,                                                     \
                                          .min_in = 2,                                                                 \
                                          .max_in = (inputs),                                                          \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = (fn),                                                               \
                                          .prepare = prepare,                                                          \
                                          .release = ox_moves_release,                                                 \
                                          .forward = ox_moves_forward,                                                 \
                                          .vjp = ox_moves_vjp}
REPEAT(expand, "Expand", 8, 2, expand_infer);
REPEAT(tile, "Tile", 1, 3, tile_infer);
