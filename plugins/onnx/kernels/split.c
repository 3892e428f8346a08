/* SPDX-License-Identifier: Apache-2.0
 * Split along one axis, any dtype: sizes from the attribute (before opset 13), from input 1 (in opset 1 either, the
 * input in the data's type; from opset 13 on), or equal parts, where from opset 18 on (num_outputs) the last may be
 * smaller. */
#include <inttypes.h>

#include "kernels/moves.h"

/* Size of part i without sizes being given. */
static int64_t equal_part(const ox_node *n, int64_t dim, size_t i) {
    int64_t parts = (int64_t)n->n_out, each = dim / parts + (dim % parts != 0), left = dim - each * (int64_t)i;
    return left < 0 ? 0 : left < each ? left : each;
}

/* Sizes that are given: *v or *t, else neither. */
static status given_sizes(const ox_node *n, const int64_t **v, const ox_tensor **t, error *err) {
    size_t count = n->n_out;
    *v = NULL;
    *t = NULL;
    if (n->opset < 13 && (n->opset > 1 || ox_input(n, 1) == NULL)) {
        return ox_attr_ints(n, "split", n->n_out, v, NULL, err);
    }
    if (ox_input(n, 1) != NULL) {
        if (n->opset > 1) {
            TRY(ox_need_indices(n, 1, err));
        } else if (!n->in[1]->is_const) {
            return error_set(err, STATUS_UNSUPPORTED, "the sizes are computed from the graph's input");
        }
        *t = n->in[1];
        count = (*t)->n_dims == 1 ? (*t)->n : SIZE_MAX;
    }
    TRY(ox_check_attr(n, "num_outputs", OX_INT, err));
    if (count != n->n_out || ox_attr_int(n, "num_outputs", (int64_t)n->n_out) != (int64_t)n->n_out) {
        return error_set(err, STATUS_MODEL, "another number of sizes than the %zu outputs", n->n_out);
    }
    return STATUS_OK;
}

static int64_t size_at(const ox_tensor *t, size_t i) {
    if (t->dtype == ASSAY_I64 || t->dtype == ASSAY_I32) {
        return ox_index_at(t, i);
    }
    double d = ox_at(t, i); /* opset 1 */
    return d >= 0 && d < 0x1p53 ? (int64_t)d : -1;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_dtype_of_first(n, 0, err));
    const ox_tensor *x = n->in[0], *t = NULL;
    const int64_t *v = NULL;
    uint32_t axis = 0;
    TRY(ox_attr_axis(n, "axis", 0, x->n_dims, false, &axis, err));
    TRY(given_sizes(n, &v, &t, err));
    int64_t left = x->shape[axis], shape[ASSAY_MAX_DIMS] = {0};
    if (v == NULL && t == NULL && n->opset < 18 && left % (int64_t)n->n_out != 0) {
        return error_set(err, STATUS_MODEL, "%" PRId64 " elements make no %zu equal parts", left, n->n_out);
    }
    if (axis == 0 && x->has_batch) {
        return error_set(err, STATUS_UNSUPPORTED, "the axis is the batch's");
    }
    memcpy(shape, x->shape, x->n_dims * sizeof shape[0]);
    for (size_t i = 0; i < n->n_out; i++) {
        int64_t part = v != NULL ? v[i] : t != NULL ? size_at(t, i) : equal_part(n, x->shape[axis], i);
        if (part < 0 || part > left) {
            return error_set(err, STATUS_MODEL, "part %zu has %" PRId64 " elements where %" PRId64 " are left", i, part,
                             left);
        }
        left -= part;
        shape[axis] = part;
        if (n->out[i] == NULL) {
            return error_set(err, STATUS_UNSUPPORTED, "output %zu is missing", i);
        }
        TRY(ox_set_shape(n->out[i], x->dtype, shape, x->n_dims, err));
    }
    return left == 0 ? STATUS_OK : error_set(err, STATUS_MODEL, "%" PRId64 " elements are left over", left);
}

static status forward(ox_node *n, error *err) {
    uint32_t axis = 0;
    TRY(ox_attr_axis(n, "axis", 0, n->in[0]->n_dims, false, &axis, err));
    size_t outer = ox_count(n->in[0], 0, axis), item = ox_dtype_bytes(n->in[0]->dtype);
    size_t all = ox_count(n->in[0], axis, n->in[0]->n_dims) * item;
    const char *from = n->in[0]->data;
    for (size_t i = 0; i < n->n_out; i++) {
        size_t bytes = ox_count(n->out[i], axis, n->out[i]->n_dims) * item;
        for (size_t o = 0; o < outer && bytes > 0; o++) {
            memcpy((char *)n->out[i]->data + o * bytes, from + o * all, bytes);
        }
        from += bytes;
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    uint32_t axis = 0;
    TRY(ox_attr_axis(n, "axis", 0, n->in[0]->n_dims, false, &axis, err));
    float *dx = ox_grad_in(n, 0);
    size_t outer = ox_count(n->in[0], 0, axis), all = ox_count(n->in[0], axis, n->in[0]->n_dims);
    for (size_t i = 0; dx != NULL && i < n->n_out; i++) {
        size_t run = ox_count(n->out[i], axis, n->out[i]->n_dims);
        const float *g = ox_grad_out(n, i);
        for (size_t o = 0; g != NULL && o < outer; o++) {
            ox_add_run(dx + o * all, g + o * run, run);
        }
        dx += run;
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_split = {.op = "Split",
                                   .min_opset = 1,
                                   .max_opset = 9999,
                                   .flags = OX_KEEPS_BATCH,
                                   .min_in = 1,
                                   .max_in = 2,
                                   .min_out = 1,
                                   .max_out = 65535,
                                   .infer = infer,
                                   .forward = forward,
                                   .vjp = vjp};
