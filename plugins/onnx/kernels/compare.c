/* SPDX-License-Identifier: Apache-2.0
 * Equal, Greater, GreaterOrEqual, Less, LessOrEqual: to bool, without gradients. All numbers in their own type (an
 * int64 exactly); Equal takes bools too. Nothing compares with a NaN. Greater is Less with its operands exchanged. */
#include "kernels/pairs.h"

typedef enum relation { EQUAL, LESS, LESS_OR_EQUAL } relation;

static status infer(ox_node *n, error *err) {
    TRY(ox_need_dtype_of_first(n, 1, err));
    uint32_t dtype = n->in[0]->dtype;
    if (!ox_is_float(dtype) && !ox_is_integer(dtype) && (dtype != ASSAY_BOOL || strcmp(n->op, "Equal") != 0)) {
        return error_set(err, STATUS_UNSUPPORTED, "%s of %s is not supported", n->op, ox_dtype_name(dtype));
    }
    return ox_pair_infer(n, ASSAY_BOOL, err);
}

/* Over the pair of a node, whose operands may have been exchanged. */
#define COMPARE(t)                                                                                                     \
    switch (how) {                                                                                                     \
    case EQUAL: OX_PAIR_EACH(p, t, a, t, b, uint8_t, o, x == y); break;                                                \
    case LESS: OX_PAIR_EACH(p, t, a, t, b, uint8_t, o, x < y); break;                                                  \
    default: OX_PAIR_EACH(p, t, a, t, b, uint8_t, o, x <= y);                                                          \
    }                                                                                                                  \
    break

static void compare_floats(relation how, ox_pair *p, const void *a, const void *b, uint32_t dtype, uint8_t *o) {
    switch (dtype) {
    case ASSAY_F32: COMPARE(float);
    default: COMPARE(double);
    }
}

static void compare_integers(relation how, ox_pair *p, const void *a, const void *b, uint32_t dtype, uint8_t *o) {
    switch (dtype) {
    case ASSAY_U8: COMPARE(uint8_t);
    case ASSAY_I8: COMPARE(int8_t);
    case ASSAY_I32: COMPARE(int32_t);
    case ASSAY_BOOL: OX_PAIR_EACH(p, uint8_t, a, uint8_t, b, uint8_t, o, (x != 0) == (y != 0)); break;
    default: COMPARE(int64_t);
    }
}

static status compare(ox_node *n, relation how, bool exchanged) {
    ox_pair p;
    ox_pair_of(&p, n);
    const void *a = n->in[0]->data, *b = n->in[1]->data;
    if (exchanged) {
        ox_pair_exchange(&p);
        a = n->in[1]->data;
        b = n->in[0]->data;
    }
    uint32_t dtype = n->in[0]->dtype;
    (ox_is_float(dtype) ? compare_floats : compare_integers)(how, &p, a, b, dtype, n->out[0]->data);
    return STATUS_OK;
}

#define RELATION(symbol, op_name, first, how, exchanged)                                                               \
    static status symbol##_forward(ox_node *n, error *err) {                                                           \
        (void)err;                                                                                                     \
        return compare(n, how, exchanged);                                                                             \
    }                                                                                                                  \
    const ox_kernel ox_kernel_##symbol = {.op = (op_name),                                                             \
                                          .min_opset = (first),                                                        \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH | OX_NO_GRADIENT,                                    \
                                          .min_in = 2,                                                                 \
                                          .max_in = 2,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = infer,                                                              \
                                          .forward = symbol##_forward}
RELATION(equal, "Equal", 1, EQUAL, false);
RELATION(greater, "Greater", 1, LESS, true);
RELATION(greater_or_equal, "GreaterOrEqual", 12, LESS_OR_EQUAL, true);
RELATION(less, "Less", 1, LESS, false);
RELATION(less_or_equal, "LessOrEqual", 12, LESS_OR_EQUAL, false);
