/* SPDX-License-Identifier: Apache-2.0
 * Not, IsNaN, IsInf: to bool, without gradients. */
#include <math.h>

#include "kernels/common.h"

static status infer_not(ox_node *n, error *err) {
    TRY(ox_need_dtype_of_first(n, 0, err));
    if (n->in[0]->dtype != ASSAY_BOOL) {
        return error_set(err, STATUS_MODEL, "Not of %s", ox_dtype_name(n->in[0]->dtype));
    }
    return ox_infer_same(n, err);
}

static status infer_float(ox_node *n, error *err) {
    TRY(ox_need_float(n, 0, err));
    TRY(ox_check_attr(n, "detect_negative", OX_INT, err));
    TRY(ox_check_attr(n, "detect_positive", OX_INT, err));
    TRY(ox_infer_same(n, err));
    return ox_set_shape(n->out[0], ASSAY_BOOL, n->in[0]->shape, n->in[0]->n_dims, err);
}

static status not_forward(ox_node *n, error *err) {
    (void)err;
    const uint8_t *x = n->in[0]->data;
    for (size_t i = 0; i < n->out[0]->n; i++) {
        ((uint8_t *)n->out[0]->data)[i] = x[i] == 0;
    }
    return STATUS_OK;
}

static status nan_forward(ox_node *n, error *err) {
    (void)err;
    for (size_t i = 0; i < n->out[0]->n; i++) {
        ((uint8_t *)n->out[0]->data)[i] = ox_at(n->in[0], i) != ox_at(n->in[0], i) ? 1 : 0;
    }
    return STATUS_OK;
}

static status inf_forward(ox_node *n, error *err) {
    (void)err;
    bool negative = ox_attr_int(n, "detect_negative", 1) != 0, positive = ox_attr_int(n, "detect_positive", 1) != 0;
    for (size_t i = 0; i < n->out[0]->n; i++) {
        double x = ox_at(n->in[0], i);
        ((uint8_t *)n->out[0]->data)[i] = isinf(x) && (x < 0 ? negative : positive) ? 1 : 0;
    }
    return STATUS_OK;
}

#define TRUTH(symbol, op_name, first, checks, run)                                                                     \
    const ox_kernel ox_kernel_##symbol = {.op = (op_name),                                                             \
                                          .min_opset = (first),                                                        \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH | OX_NO_GRADIENT,                                    \
                                          .min_in = 1,                                                                 \
                                          .max_in = 1,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = (checks),                                                           \
                                          .forward = (run)}
TRUTH(not, "Not", 1, infer_not, not_forward);
TRUTH(is_nan, "IsNaN", 9, infer_float, nan_forward);
TRUTH(is_inf, "IsInf", 10, infer_float, inf_forward);
