/* SPDX-License-Identifier: Apache-2.0
 * Add, Sub, Mul, Div. float32 and float64; uint8, int8, int32 and int64 (shape arithmetic of exported graphs), which
 * wrap around as two's complement, truncate in Div and refuse a divisor of zero. Integers have gradients per quantum
 * (kernel.h), as if Div did not truncate. Forward is the plain loop. */
#include "kernels/pairs.h"

typedef enum binary_op { ADD, SUB, MUL, DIV } binary_op;

static binary_op op_of(const ox_node *n) {
    switch (n->op[0]) {
    case 'A': return ADD;
    case 'S': return SUB;
    case 'M': return MUL;
    default: return DIV;
    }
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_dtype_of_first(n, 1, err));
    uint32_t dtype = n->in[0]->dtype;
    if (!ox_is_float(dtype) && !ox_is_integer(dtype)) {
        return error_set(err, STATUS_UNSUPPORTED, "%s of %s is not supported", n->op, ox_dtype_name(dtype));
    }
    return ox_pair_infer(n, dtype, err);
}

static int64_t add_integers(int64_t x, int64_t y) {
    return (int64_t)((uint64_t)x + (uint64_t)y);
}
static int64_t sub_integers(int64_t x, int64_t y) {
    return (int64_t)((uint64_t)x - (uint64_t)y);
}
static int64_t mul_integers(int64_t x, int64_t y) {
    return (int64_t)((uint64_t)x * (uint64_t)y);
}
static int64_t div_integers(int64_t x, int64_t y) {
    return y == -1 ? (int64_t)(0 - (uint64_t)x) : x / y; /* -1: the smallest integer has no negative */
}

static status forward_integers(ox_node *n, binary_op op, error *err) {
    switch (op) {
    case ADD: ox_pair_integers(n, add_integers); break;
    case SUB: ox_pair_integers(n, sub_integers); break;
    case MUL: ox_pair_integers(n, mul_integers); break;
    default: TRY(ox_pair_divisor(n, err)); ox_pair_integers(n, div_integers);
    }
    return STATUS_OK;
}

static void forward_f32(ox_node *n, binary_op op) {
    switch (op) {
    case ADD: OX_PAIR_MAP(n, float, float, x + y); break;
    case SUB: OX_PAIR_MAP(n, float, float, x - y); break;
    case MUL: OX_PAIR_MAP(n, float, float, x *y); break;
    default: OX_PAIR_MAP(n, float, float, x / y);
    }
}

static void forward_f64(ox_node *n, binary_op op) {
    switch (op) {
    case ADD: OX_PAIR_MAP(n, double, double, x + y); break;
    case SUB: OX_PAIR_MAP(n, double, double, x - y); break;
    case MUL: OX_PAIR_MAP(n, double, double, x *y); break;
    default: OX_PAIR_MAP(n, double, double, x / y);
    }
}

static status forward(ox_node *n, error *err) {
    if (n->out[0]->dtype == ASSAY_F32) {
        forward_f32(n, op_of(n));
    } else if (n->out[0]->dtype == ASSAY_F64) {
        forward_f64(n, op_of(n));
    } else {
        return forward_integers(n, op_of(n), err);
    }
    return STATUS_OK;
}

#define TERM(name, expr)                                                                                               \
    static double name(double x, double y, double g, assay_vjp_mode mode) {                                            \
        (void)x, (void)y, (void)mode;                                                                                  \
        return (expr);                                                                                                 \
    }
TERM(pass, g)
TERM(negated, -g)
TERM(times_x, g *x)
TERM(times_y, g *y)
TERM(over_y, g / y)
TERM(quotient, -g *x / y / y)

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)err;
    switch (op_of(n)) {
    case ADD:
        ox_pair_gradient(n, 0, pass, mode);
        ox_pair_gradient(n, 1, pass, mode);
        break;
    case SUB:
        ox_pair_gradient(n, 0, pass, mode);
        ox_pair_gradient(n, 1, negated, mode);
        break;
    case MUL:
        ox_pair_gradient(n, 0, times_y, mode);
        ox_pair_gradient(n, 1, times_x, mode);
        break;
    default: ox_pair_gradient(n, 0, over_y, mode); ox_pair_gradient(n, 1, quotient, mode);
    }
    return STATUS_OK;
}

/* A product or quotient of two floats, rounded once: what the plain loop makes of it through double. */
static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    if (!ox_pair_f32(n)) {
        return vjp_reference(n, mode, err);
    }
    binary_op op = op_of(n);
    if (ox_grad_out(n, 0) != NULL && ox_grad_in(n, 0) != NULL) {
        switch (op) {
        case ADD:
        case SUB: OX_PAIR_GRADIENT_F32(n, 0, g); break;
        case MUL: OX_PAIR_GRADIENT_F32(n, 0, g * y); break;
        default: OX_PAIR_GRADIENT_F32(n, 0, g / y);
        }
    }
    if (ox_grad_out(n, 0) != NULL && ox_grad_in(n, 1) != NULL) {
        switch (op) {
        case ADD: OX_PAIR_GRADIENT_F32(n, 1, g); break;
        case SUB: OX_PAIR_GRADIENT_F32(n, 1, -g); break;
        case MUL: OX_PAIR_GRADIENT_F32(n, 1, g * x); break;
        default: OX_PAIR_GRADIENT_F32(n, 1, -(double)g * (double)x / ((double)y * (double)y));
        }
    }
    return STATUS_OK;
}

#define BINARY(symbol, name)                                                                                           \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = 1,                                                              \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH | OX_POINTWISE,                                      \
                                          .min_in = 2,                                                                 \
                                          .max_in = 2,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = infer,                                                              \
                                          .forward = forward,                                                          \
                                          .vjp = vjp,                                                                  \
                                          .vjp_reference = vjp_reference}
BINARY(add, "Add");
BINARY(sub, "Sub");
BINARY(mul, "Mul");
BINARY(div, "Div");
