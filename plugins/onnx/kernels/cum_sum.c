/* SPDX-License-Identifier: Apache-2.0
 * CumSum along an axis that is a constant input. Floats are added in double, integers wrap. */
#include "kernels/axis.h"
#include "kernels/integer.h"
#include "kernels/moves.h"

static status read(const ox_node *n, ox_axis *a, error *err) {
    const ox_tensor *axis = ox_input(n, 1);
    TRY(ox_need_indices(n, 1, err));
    int64_t rank = (int64_t)n->in[0]->n_dims, v = axis->n == 1 ? ox_index_at(axis, 0) : rank;
    if (axis->n_dims > 1 || v < -rank || v >= rank) {
        return error_set(err, STATUS_MODEL, "input 1 is not an axis of %lld dimensions", (long long)rank);
    }
    uint32_t d = (uint32_t)(v < 0 ? v + rank : v);
    if (d == 0 && n->in[0]->has_batch) {
        return error_set(err, STATUS_UNSUPPORTED, "the axis is the batch's: examples would depend on each other");
    }
    *a = ox_axis_of(n->in[0], d);
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    ox_axis a = {0};
    TRY(ox_need_in_out(n, err));
    uint32_t t = n->in[0]->dtype;
    if (!ox_is_float(t) && t != ASSAY_I32 && t != ASSAY_I64) {
        return error_set(err, STATUS_UNSUPPORTED, "input 0 is %s", ox_dtype_name(t));
    }
    TRY(ox_check_attr(n, "exclusive", OX_INT, err));
    TRY(ox_check_attr(n, "reverse", OX_INT, err));
    TRY(read(n, &a, err));
    return ox_infer_same(n, err);
}

/* Offset of the k-th element that is added. */
static size_t place(const ox_axis *a, size_t at, size_t k, bool reverse) {
    return at + (reverse ? a->len - 1 - k : k) * a->inner;
}

static status forward(ox_node *n, error *err) {
    ox_axis a = {0};
    bool exclusive = ox_attr_int(n, "exclusive", 0) != 0, reverse = ox_attr_int(n, "reverse", 0) != 0;
    bool whole = ox_is_integer(n->in[0]->dtype);
    TRY(read(n, &a, err));
    for (size_t r = 0; r < ox_axis_rows(&a); r++) {
        double sum = 0;
        uint64_t integer = 0;
        for (size_t k = 0; k < a.len; k++) {
            size_t i = place(&a, ox_axis_row(&a, r), k, reverse);
            double before = sum;
            uint64_t integer_before = integer;
            if (whole) {
                integer += (uint64_t)ox_int_at(n->in[0], i);
                ox_int_put(n->out[0], i, (int64_t)(exclusive ? integer_before : integer));
            } else {
                sum += ox_at(n->in[0], i);
                ox_put(n->out[0], i, exclusive ? before : sum);
            }
        }
    }
    return STATUS_OK;
}

/* The same sum from the other end. */
static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    ox_axis a = {0};
    bool exclusive = ox_attr_int(n, "exclusive", 0) != 0, reverse = ox_attr_int(n, "reverse", 0) != 0;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    TRY(read(n, &a, err));
    for (size_t r = 0; g != NULL && dx != NULL && r < ox_axis_rows(&a); r++) {
        double sum = 0;
        for (size_t k = 0; k < a.len; k++) {
            size_t i = place(&a, ox_axis_row(&a, r), k, !reverse);
            double before = sum;
            sum += (double)g[i];
            dx[i] += (float)(exclusive ? before : sum);
        }
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_cum_sum = {.op = "CumSum",
                                     .min_opset = 11,
                                     .max_opset = 9999,
                                     .flags = OX_KEEPS_BATCH,
                                     .min_in = 2,
                                     .max_in = 2,
                                     .min_out = 1,
                                     .max_out = 1,
                                     .infer = infer,
                                     .forward = forward,
                                     .vjp = vjp};
