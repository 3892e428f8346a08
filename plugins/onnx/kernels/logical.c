/* SPDX-License-Identifier: Apache-2.0
 * And, Or, Xor of bools, without gradients. */
#include "kernels/pairs.h"

static status infer(ox_node *n, error *err) {
    TRY(ox_need_dtype_of_first(n, 1, err));
    if (n->in[0]->dtype != ASSAY_BOOL) {
        return error_set(err, STATUS_MODEL, "%s of %s", n->op, ox_dtype_name(n->in[0]->dtype));
    }
    return ox_pair_infer(n, ASSAY_BOOL, err);
}

#define LOGICAL(symbol, op_name, expr)                                                                                 \
    static status symbol##_forward(ox_node *n, error *err) {                                                           \
        (void)err;                                                                                                     \
        OX_PAIR_MAP(n, uint8_t, uint8_t, expr);                                                                        \
        return STATUS_OK;                                                                                              \
    }                                                                                                                  \
    const ox_kernel ox_kernel_##symbol = {.op = (op_name),                                                             \
                                          .min_opset = 1,                                                              \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH | OX_NO_GRADIENT,                                    \
                                          .min_in = 2,                                                                 \
                                          .max_in = 2,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = infer,                                                              \
                                          .forward = symbol##_forward}
LOGICAL(and, "And", (x != 0) & (y != 0));
LOGICAL(or, "Or", (x != 0) | (y != 0));
LOGICAL(xor, "Xor", (x != 0) ^ (y != 0));
