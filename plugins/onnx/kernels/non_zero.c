/* SPDX-License-Identifier: Apache-2.0
 * NonZero (opset 9 on) of a constant: the coordinates of all values but 0, in row-major order, (rank, count). As numpy
 * has it, a scalar counts as a vector of one. */
#include "kernels/moves.h"

static bool nonzero(const ox_tensor *x, size_t i) {
    return x->dtype == ASSAY_I64 ? ((const int64_t *)x->data)[i] != 0 : ox_at(x, i) != 0;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    const ox_tensor *x = n->in[0];
    if (!x->is_const) {
        return error_set(err, STATUS_UNSUPPORTED, "the input is computed: the output's shape depends on it");
    }
    int64_t shape[2] = {x->n_dims == 0 ? 1 : (int64_t)x->n_dims, 0};
    for (size_t i = 0; i < x->n; i++) {
        shape[1] += nonzero(x, i) ? 1 : 0;
    }
    return ox_set_shape(n->out[0], ASSAY_I64, shape, 2, err);
}

static status forward(ox_node *n, error *err) {
    (void)err;
    const ox_tensor *x = n->in[0];
    size_t count = (size_t)n->out[0]->shape[1], at = 0;
    int64_t *y = n->out[0]->data, c[ASSAY_MAX_DIMS + 1] = {0};
    for (size_t i = 0; i < x->n; i++) {
        if (nonzero(x, i)) {
            for (size_t d = 0; d < (size_t)n->out[0]->shape[0]; d++) {
                y[d * count + at] = c[d];
            }
            at++;
        }
        for (uint32_t d = x->n_dims; d-- > 0 && ++c[d] == x->shape[d];) {
            c[d] = 0;
        }
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_non_zero = {.op = "NonZero",
                                      .min_opset = 9,
                                      .max_opset = 9999,
                                      .flags = OX_NO_GRADIENT,
                                      .min_in = 1,
                                      .max_in = 1,
                                      .min_out = 1,
                                      .max_out = 1,
                                      .infer = infer,
                                      .forward = forward};
