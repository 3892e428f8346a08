/* SPDX-License-Identifier: Apache-2.0
 * Sign, Round (half to even), Floor, Ceil: exactly zero gradients but in straight-through mode, which passes them. Abs
 * and Neg, whose slope of Abs at 0 is 0. Sign, Abs and Neg take signed integers too (the smallest wraps). */
#include "kernels/integer.h"
#include "kernels/map.h"

static status infer_float(ox_node *n, error *err) {
    TRY(ox_need_float(n, 0, err));
    return ox_infer_same(n, err);
}

static status infer_number(ox_node *n, error *err) {
    TRY(ox_need_dtype_of_first(n, 0, err));
    uint32_t dtype = n->in[0]->dtype;
    if (!ox_is_float(dtype) && (!ox_is_integer(dtype) || (dtype == ASSAY_U8 && strcmp(n->op, "Neg") == 0))) {
        return error_set(err, STATUS_UNSUPPORTED, "%s of %s is not supported", n->op, ox_dtype_name(dtype));
    }
    return ox_infer_same(n, err);
}

typedef enum step_op { SIGN, ROUND, FLOOR, CEIL, ABS, NEG } step_op;

OX_INLINE double value(double x, step_op op) {
    switch (op) {
    case SIGN: return x > 0 ? 1 : (x < 0 ? -1 : x); /* 0 and NaN stay */
    case ROUND: return nearbyint(x);                /* the default rounding: half to even */
    case FLOOR: return floor(x);
    case CEIL: return ceil(x);
    case ABS: return fabs(x);
    default: return -x;
    }
}

static int64_t integer(int64_t x, step_op op) {
    switch (op) {
    case SIGN: return (x > 0) - (x < 0);
    case ABS: return x < 0 ? (int64_t)(0 - (uint64_t)x) : x;
    default: return (int64_t)(0 - (uint64_t)x);
    }
}

OX_INLINE status step_forward(ox_node *n, step_op op) {
    const ox_tensor *x = n->in[0];
    ox_tensor *y = n->out[0];
    for (size_t i = 0; i < y->n; i++) {
        if (y->dtype == ASSAY_F32) {
            ((float *)y->data)[i] = (float)value((double)((const float *)x->data)[i], op);
        } else if (y->dtype == ASSAY_F64) {
            ((double *)y->data)[i] = value(((const double *)x->data)[i], op);
        } else {
            ox_int_put(y, i, integer(ox_int_at(x, i), op));
        }
    }
    return STATUS_OK;
}

OX_INLINE status step_vjp(ox_node *n, step_op op, assay_vjp_mode mode) {
    float *dx = ox_grad_in(n, 0);
    const float *g = ox_grad_out(n, 0);
    bool passes = op == ABS || op == NEG || mode == ASSAY_VJP_STRAIGHT_THROUGH;
    for (size_t i = 0; dx != NULL && g != NULL && passes && i < n->out[0]->n; i++) {
        if (op == ABS) {
            double x = ox_at(n->in[0], i);
            dx[i] += x > 0 ? g[i] : (x < 0 ? -g[i] : 0);
        } else {
            dx[i] += op == NEG ? -g[i] : g[i];
        }
    }
    return STATUS_OK;
}

#define STEP(symbol, op_name, first, more, op_enum, checks)                                                            \
    static status symbol##_forward(ox_node *n, error *err) {                                                           \
        (void)err;                                                                                                     \
        return step_forward(n, op_enum);                                                                               \
    }                                                                                                                  \
    static status symbol##_vjp(ox_node *n, assay_vjp_mode mode, error *err) {                                          \
        (void)err;                                                                                                     \
        return step_vjp(n, op_enum, mode);                                                                             \
    }                                                                                                                  \
    const ox_kernel ox_kernel_##symbol = {.op = (op_name),                                                             \
                                          .min_opset = (first),                                                        \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH | OX_POINTWISE | (more),                             \
                                          .min_in = 1,                                                                 \
                                          .max_in = 1,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = (checks),                                                           \
                                          .forward = symbol##_forward,                                                 \
                                          .vjp = symbol##_vjp}
STEP(sign, "Sign", 9, OX_ZERO_GRADIENT, SIGN, infer_number);
STEP(round, "Round", 11, OX_ZERO_GRADIENT, ROUND, infer_float);
STEP(floor, "Floor", 1, OX_ZERO_GRADIENT, FLOOR, infer_float);
STEP(ceil, "Ceil", 1, OX_ZERO_GRADIENT, CEIL, infer_float);
STEP(abs, "Abs", 1, 0, ABS, infer_number);
STEP(neg, "Neg", 1, 0, NEG, infer_number);
