/* SPDX-License-Identifier: Apache-2.0
 * Compress (opset 9 on), any dtype: the slices along an axis, or the elements without one, where a constant condition
 * holds. A condition that is shorter than the axis drops the rest. */
#include "kernels/moves.h"

/* The input as (outer, dim, inner). */
static status read_axis(const ox_node *n, uint32_t *axis, int64_t shape[3], error *err) {
    const ox_tensor *x = n->in[0];
    if (ox_attr_find(n, "axis") == NULL) {
        *axis = 0;
        shape[0] = shape[2] = 1;
        shape[1] = (int64_t)x->n;
        return STATUS_OK;
    }
    TRY(ox_attr_axis(n, "axis", 0, x->n_dims, false, axis, err));
    shape[0] = (int64_t)ox_count(x, 0, *axis);
    shape[1] = x->shape[*axis];
    shape[2] = (int64_t)ox_count(x, *axis + 1, x->n_dims);
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    const ox_tensor *x = n->in[0], *condition = n->in[1];
    uint32_t axis = 0;
    int64_t parts[3] = {0}, shape[ASSAY_MAX_DIMS] = {0}, kept = 0;
    TRY(read_axis(n, &axis, parts, err));
    if (condition == NULL || condition->dtype != ASSAY_BOOL || condition->n_dims != 1 ||
        condition->n > (size_t)parts[1]) {
        return error_set(err, STATUS_MODEL, "the condition is no vector of at most %lld truth values",
                         (long long)parts[1]);
    }
    if (!condition->is_const) {
        return error_set(err, STATUS_UNSUPPORTED, "the condition is computed: the output's shape depends on it");
    }
    if (axis == 0 && x->has_batch) {
        return error_set(err, STATUS_UNSUPPORTED, "the axis is the batch's");
    }
    for (size_t i = 0; i < condition->n; i++) {
        kept += ((const uint8_t *)condition->data)[i] != 0 ? 1 : 0;
    }
    bool flat = ox_attr_find(n, "axis") == NULL;
    memcpy(shape, x->shape, x->n_dims * sizeof shape[0]);
    shape[axis] = kept;
    return ox_set_shape(n->out[0], x->dtype, shape, flat ? 1 : x->n_dims, err);
}

typedef struct chosen {
    const int64_t *parts, *at;
} chosen;

static int64_t source(const void *how, uint32_t d, size_t i) {
    const chosen *c = how;
    if (d == 1) {
        return c->at[i] * c->parts[2];
    }
    return d == 2 ? (int64_t)i : (int64_t)i * c->parts[1] * c->parts[2];
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    const ox_tensor *condition = n->in[1];
    uint32_t axis = 0;
    int64_t parts[3] = {0};
    TRY(read_axis(n, &axis, parts, err));
    int64_t *at = mem_try(condition->n, sizeof *at, "chosen places", err), kept = 0;
    if (at == NULL) {
        return STATUS_MEMORY;
    }
    for (size_t i = 0; i < condition->n; i++) {
        if (((const uint8_t *)condition->data)[i] != 0) {
            at[kept++] = (int64_t)i;
        }
    }
    chosen c = {.parts = parts, .at = at};
    int64_t shape[3] = {parts[0], kept, parts[2]};
    status s = ox_moves_prepare(n, shape, 3, source, &c, err);
    mem_free(at);
    return s;
}

const ox_kernel ox_kernel_compress = {.op = "Compress",
                                      .min_opset = 9,
                                      .max_opset = 9999,
                                      .flags = 0,
                                      .min_in = 2,
                                      .max_in = 2,
                                      .min_out = 1,
                                      .max_out = 1,
                                      .infer = infer,
                                      .prepare = prepare,
                                      .release = ox_moves_release,
                                      .forward = ox_moves_forward,
                                      .vjp = ox_moves_vjp};
