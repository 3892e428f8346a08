/* SPDX-License-Identifier: Apache-2.0
 * Concat along one axis (1 where opset 1 does not say), any dtype. */
#include "kernels/moves.h"

static status infer(ox_node *n, error *err) {
    TRY(ox_need_dtype_of_first(n, 0, err));
    const ox_tensor *x = n->in[0];
    uint32_t axis = 0;
    if (ox_attr_find(n, "axis") == NULL && n->opset >= 4) {
        return error_set(err, STATUS_MODEL, "attribute axis is missing");
    }
    TRY(ox_attr_axis(n, "axis", 1, x->n_dims, false, &axis, err));
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    memcpy(shape, x->shape, x->n_dims * sizeof shape[0]);
    for (size_t i = 1; i < n->n_in; i++) {
        TRY(ox_need_dtype_of_first(n, i, err));
        const ox_tensor *t = n->in[i];
        bool same = t->n_dims == x->n_dims;
        for (uint32_t d = 0; same && d < x->n_dims; d++) {
            same = d == axis || t->shape[d] == x->shape[d];
        }
        if (!same || __builtin_add_overflow(shape[axis], t->shape[axis], &shape[axis])) {
            return error_set(err, STATUS_MODEL, "input %zu differs from input 0 in more than axis %u", i, axis);
        }
    }
    for (size_t i = 0; i < n->n_in; i++) {
        if (axis == 0 && n->in[i]->has_batch) {
            return error_set(err, STATUS_UNSUPPORTED, "the axis is the batch's");
        }
    }
    return ox_set_shape(n->out[0], x->dtype, shape, x->n_dims, err);
}

/* Elements of input i that lie together: its axis and all after it. */
static size_t run_of(const ox_tensor *t, uint32_t axis) {
    return ox_count(t, axis, t->n_dims);
}

static status forward(ox_node *n, error *err) {
    uint32_t axis = 0;
    TRY(ox_attr_axis(n, "axis", 1, n->in[0]->n_dims, false, &axis, err));
    size_t outer = ox_count(n->out[0], 0, axis), item = ox_dtype_bytes(n->out[0]->dtype);
    size_t all = run_of(n->out[0], axis) * item;
    char *to = n->out[0]->data;
    for (size_t i = 0; i < n->n_in; i++) {
        size_t bytes = run_of(n->in[i], axis) * item;
        for (size_t o = 0; o < outer && bytes > 0; o++) {
            memcpy(to + o * all, (const char *)n->in[i]->data + o * bytes, bytes);
        }
        to += bytes;
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    uint32_t axis = 0;
    TRY(ox_attr_axis(n, "axis", 1, n->in[0]->n_dims, false, &axis, err));
    const float *g = ox_grad_out(n, 0);
    size_t outer = ox_count(n->out[0], 0, axis), all = run_of(n->out[0], axis);
    for (size_t i = 0; g != NULL && i < n->n_in; i++) {
        size_t run = run_of(n->in[i], axis);
        float *dx = ox_grad_in(n, i);
        for (size_t o = 0; dx != NULL && o < outer; o++) {
            ox_add_run(dx + o * run, g + o * all, run);
        }
        g += run;
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_concat = {.op = "Concat",
                                    .min_opset = 1,
                                    .max_opset = 9999,
                                    .flags = OX_KEEPS_BATCH,
                                    .min_in = 1,
                                    .max_in = 65535,
                                    .min_out = 1,
                                    .max_out = 1,
                                    .infer = infer,
                                    .forward = forward,
                                    .vjp = vjp};
