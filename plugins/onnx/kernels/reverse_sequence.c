/* SPDX-License-Identifier: Apache-2.0
 * ReverseSequence (opset 10 on), any dtype: the first sequence_lens[b] steps of the time axis backwards, the others as
 * they are. The lengths may be computed; one length of a file exported with batch 1 holds for every example. */
#include "kernels/lookup.h"

/* Axes 0 and 1 of the input in their roles. */
static status read_axes(const ox_node *n, bool *batch_first, error *err) {
    TRY(ox_check_attr(n, "batch_axis", OX_INT, err));
    TRY(ox_check_attr(n, "time_axis", OX_INT, err));
    int64_t b = ox_attr_int(n, "batch_axis", 1), t = ox_attr_int(n, "time_axis", 0);
    if (b < 0 || b > 1 || t < 0 || t > 1 || b == t) {
        return error_set(err, STATUS_MODEL, "batch_axis %lld and time_axis %lld", (long long)b, (long long)t);
    }
    *batch_first = b == 0;
    return STATUS_OK;
}

static status length_of(const ox_node *n, size_t b, size_t steps, size_t *len, error *err) {
    const ox_tensor *lens = n->in[1];
    size_t i = lens->n == 1 ? 0 : b;
    int64_t v = ox_index_at(lens, i);
    if (v < 0 || v > (int64_t)steps) {
        return error_set(err, STATUS_MODEL, "sequence_lens[%zu] is %lld of %zu steps", i, (long long)v, steps);
    }
    *len = (size_t)v;
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    TRY(ox_need_integers(n, 1, err));
    const ox_tensor *x = n->in[0], *lens = n->in[1];
    bool batch_first = false;
    TRY(read_axes(n, &batch_first, err));
    if (x->n_dims < 2 || lens->n_dims != 1) {
        return error_set(err, STATUS_MODEL, "input of %u dimensions, lengths of %u", x->n_dims, lens->n_dims);
    }
    if ((x->has_batch && !batch_first) || (lens->has_batch && !x->has_batch)) {
        return error_set(err, STATUS_UNSUPPORTED, "time is the batch's axis");
    }
    size_t count = (size_t)x->shape[batch_first ? 0 : 1], steps = (size_t)x->shape[batch_first ? 1 : 0];
    bool shared = x->has_batch && !lens->has_batch && lens->n == 1;
    if (lens->n != count && !shared) {
        return error_set(err, STATUS_MODEL, "%zu lengths for %zu sequences", lens->n, count);
    }
    if (x->has_batch && !lens->has_batch && !shared) {
        return error_set(err, STATUS_UNSUPPORTED, "the lengths belong to fixed places in the batch");
    }
    for (size_t b = 0; lens->is_const && b < lens->n; b++) {
        size_t len = 0;
        TRY(length_of(n, b, steps, &len, err));
    }
    return ox_infer_same(n, err);
}

/* Calls `body` for each step: elements at `to` of the output are those at `from` of the input. */
#define EACH_STEP(body)                                                                                                \
    const ox_tensor *x = n->in[0];                                                                                     \
    bool batch_first = false;                                                                                          \
    TRY(read_axes(n, &batch_first, err));                                                                              \
    size_t count = (size_t)x->shape[batch_first ? 0 : 1], steps = (size_t)x->shape[batch_first ? 1 : 0];               \
    size_t run = ox_count(x, 2, x->n_dims), per_b = batch_first ? steps * run : run;                                   \
    size_t per_t = batch_first ? run : count * run;                                                                    \
    for (size_t b = 0; b < count; b++) {                                                                               \
        size_t len = 0;                                                                                                \
        TRY(length_of(n, b, steps, &len, err));                                                                        \
        for (size_t t = 0; t < steps; t++) {                                                                           \
            size_t to = b * per_b + t * per_t, from = b * per_b + (t < len ? len - 1 - t : t) * per_t;                 \
            body;                                                                                                      \
        }                                                                                                              \
    }

static status forward(ox_node *n, error *err) {
    size_t item = ox_dtype_bytes(n->out[0]->dtype);
    if (n->out[0]->n == 0) {
        return STATUS_OK;
    }
    EACH_STEP(memcpy((char *)n->out[0]->data + to * item, (const char *)x->data + from * item, run * item))
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    if (g == NULL || dx == NULL || n->out[0]->n == 0) {
        return STATUS_OK;
    }
    EACH_STEP(for (size_t k = 0; k < run; k++) { dx[from + k] += g[to + k]; })
    return STATUS_OK;
}

const ox_kernel ox_kernel_reverse_sequence = {.op = "ReverseSequence",
                                              .min_opset = 10,
                                              .max_opset = 9999,
                                              .flags = 0,
                                              .min_in = 2,
                                              .max_in = 2,
                                              .min_out = 1,
                                              .max_out = 1,
                                              .infer = infer,
                                              .forward = forward,
                                              .vjp = vjp};
