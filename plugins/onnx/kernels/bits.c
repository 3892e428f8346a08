/* SPDX-License-Identifier: Apache-2.0
 * BitShift, which is of unsigned integers: uint8, uint16 (which lives in int32 here), uint32 and uint64 (in int64).
 * What is shifted out of 8 or 16 bits is lost, also by more than there are; a result beyond 32 bits is refused, as it
 * is not known whether the model means 32 or 64. BitwiseAnd, BitwiseOr, BitwiseXor, BitwiseNot of all integers. No
 * gradients. */
#include "kernels/pairs.h"

static status need_integers(const ox_node *n, error *err) {
    TRY(ox_need_dtype_of_first(n, 0, err));
    if (!ox_is_integer(n->in[0]->dtype)) {
        return error_set(err, STATUS_MODEL, "%s of %s", n->op, ox_dtype_name(n->in[0]->dtype));
    }
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    TRY(need_integers(n, err));
    TRY(ox_need_dtype_of_first(n, 1, err));
    return ox_pair_infer(n, n->in[0]->dtype, err);
}

static status infer_not(ox_node *n, error *err) {
    TRY(need_integers(n, err));
    return ox_infer_same(n, err);
}

static status infer_shift(ox_node *n, error *err) {
    const ox_attr *a = ox_attr_find(n, "direction");
    if (a == NULL || a->kind != OX_STRING || (strcmp(a->s, "LEFT") != 0 && strcmp(a->s, "RIGHT") != 0)) {
        return error_set(err, STATUS_MODEL, "attribute direction is neither LEFT nor RIGHT");
    }
    TRY(infer(n, err));
    if (n->in[0]->dtype == ASSAY_I8) {
        return error_set(err, STATUS_MODEL, "BitShift of int8, which is signed");
    }
    return STATUS_OK;
}

static int64_t right(int64_t x, int64_t y) {
    return (int64_t)(y >= 0 && y < 64 ? (uint64_t)x >> y : 0);
}

/* Of uint8, and of uint16 in an int32. */
static int64_t left(int64_t x, int64_t y) {
    return (int64_t)(y >= 0 && y < 16 ? ((uint64_t)x << y) & UINT16_MAX : 0);
}

static status left_of_64(const ox_node *n, error *err) {
    bool fits = true;
    ox_pair p;
    ox_pair_of(&p, n);
    OX_PAIR_INDICES(&p, {
        int64_t x = ox_int_at(n->in[0], ia);
        int64_t y = ox_int_at(n->in[1], ib);
        bool whole = x == 0 || (x > 0 && y >= 0 && y < 32 && x <= (int64_t)UINT32_MAX >> y);
        fits = fits && whole;
        ox_int_put(n->out[0], io, whole ? (int64_t)((uint64_t)x << (x == 0 ? 0 : y)) : 0);
    });
    return fits ? STATUS_OK : error_set(err, STATUS_UNSUPPORTED, "BitShift to more than 32 bits is not supported");
}

static status shift_forward(ox_node *n, error *err) {
    bool to_left = ox_attr_find(n, "direction")->s[0] == 'L';
    if (to_left && n->in[0]->dtype == ASSAY_I64) {
        return left_of_64(n, err);
    }
    if (to_left) {
        ox_pair_integers(n, left);
    } else {
        ox_pair_integers(n, right);
    }
    return STATUS_OK;
}

static status not_forward(ox_node *n, error *err) {
    (void)err;
    const uint8_t *x = n->in[0]->data;
    uint8_t *y = n->out[0]->data;
    for (size_t i = 0; i < n->out[0]->n * ox_dtype_bytes(n->out[0]->dtype); i++) {
        y[i] = (uint8_t)~x[i];
    }
    return STATUS_OK;
}

#define BITS(symbol, op_name, first, arity, checks, run)                                                               \
    const ox_kernel ox_kernel_##symbol = {.op = (op_name),                                                             \
                                          .min_opset = (first),                                                        \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH | OX_NO_GRADIENT,                                    \
                                          .min_in = (arity),                                                           \
                                          .max_in = (arity),                                                           \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = (checks),                                                           \
                                          .forward = (run)}
#define BITWISE(symbol, op_name, expr)                                                                                 \
    static int64_t symbol(int64_t x, int64_t y) {                                                                      \
        return (int64_t)(expr);                                                                                        \
    }                                                                                                                  \
    static status symbol##_forward(ox_node *n, error *err) {                                                           \
        (void)err;                                                                                                     \
        ox_pair_integers(n, symbol);                                                                                   \
        return STATUS_OK;                                                                                              \
    }                                                                                                                  \
    BITS(symbol, op_name, 18, 2, infer, symbol##_forward)
BITS(bit_shift, "BitShift", 11, 2, infer_shift, shift_forward);
BITS(bitwise_not, "BitwiseNot", 18, 1, infer_not, not_forward);
BITWISE(bitwise_and, "BitwiseAnd", (uint64_t)x &(uint64_t)y);
BITWISE(bitwise_or, "BitwiseOr", (uint64_t)x | (uint64_t)y);
BITWISE(bitwise_xor, "BitwiseXor", (uint64_t)x ^ (uint64_t)y);
