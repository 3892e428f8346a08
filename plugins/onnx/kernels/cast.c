/* SPDX-License-Identifier: Apache-2.0
 * Cast and CastLike between float32, float64, int8, uint8, int32, int64, bool; to float16 and bfloat16, which live in
 * float32 here, the value becomes one that they hold: rounded half to even, infinity beyond (ONNX Runtime's
 * rule; the cases of ONNX 1.12 cut bfloat16 off). A float to an integer truncates towards zero and saturates,
 * NaN is 0 (kernels/saturate.h). Integers to narrower integers wrap. To a float the gradient is the identity (from an
 * integer too: gradients of integers are per quantum, kernel.h). To an integer it is exactly zero, but in
 * straight-through mode, which passes it where the value lies inside the target's range. To bool it is zero. */
#include "kernels/saturate.h"

typedef struct target {
    int64_t onnx;     /* onnx.TensorProto.DataType */
    const char *name; /* before opset 6 */
    uint32_t dtype;
    int bits, least, most; /* of a narrow float: digits, exponents of the smallest step and of the first overflow */
} target;

static const target targets[] = {
    {1, "FLOAT", ASSAY_F32, 0, 0, 0},
    {2, "UINT8", ASSAY_U8, 0, 0, 0},
    {3, "INT8", ASSAY_I8, 0, 0, 0},
    {6, "INT32", ASSAY_I32, 0, 0, 0},
    {7, "INT64", ASSAY_I64, 0, 0, 0},
    {9, "BOOL", ASSAY_BOOL, 0, 0, 0},
    {11, "DOUBLE", ASSAY_F64, 0, 0, 0},
    {10, "FLOAT16", ASSAY_F32, 11, -24, 16},
    {16, "BFLOAT16", ASSAY_F32, 8, -133, 128},
};

/* NULL where there is none (CastLike), or it is not known. */
static const target *target_of(const ox_node *n) {
    const ox_attr *to = ox_attr_find(n, "to");
    for (size_t i = 0; to != NULL && i < sizeof targets / sizeof targets[0]; i++) {
        if (to->kind == OX_STRING ? strcmp(to->s, targets[i].name) == 0 : to->i == targets[i].onnx) {
            return &targets[i];
        }
    }
    return NULL;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_dtype_of_first(n, 0, err));
    const ox_attr *to = ox_attr_find(n, "to");
    if (to == NULL || to->kind != (n->opset < 6 ? OX_STRING : OX_INT) || n->out[0] == NULL) {
        return error_set(err, STATUS_MODEL, "attribute to is missing or has the wrong type, or there is no output");
    }
    const target *t = target_of(n);
    if (t == NULL && to->kind == OX_STRING) {
        return error_set(err, STATUS_UNSUPPORTED, "a cast to ONNX data type %.40s", to->s);
    }
    if (t == NULL) {
        return error_set(err, STATUS_UNSUPPORTED, "a cast to ONNX data type %lld", (long long)to->i);
    }
    return ox_set_shape(n->out[0], t->dtype, n->in[0]->shape, n->in[0]->n_dims, err);
}

static status infer_like(ox_node *n, error *err) {
    if (ox_input(n, 0) == NULL || ox_input(n, 1) == NULL || ox_output(n, 0) == NULL) {
        return error_set(err, STATUS_MODEL, "an input or the output is missing");
    }
    return ox_set_shape(n->out[0], n->in[1]->dtype, n->in[0]->shape, n->in[0]->n_dims, err);
}

/* NOLINTBEGIN(bugprone-macro-parentheses): arguments that are types */
#define FROM(t, expr)                                                                                                  \
    for (size_t i = 0; i < len; i++) {                                                                                 \
        t v = ((const t *)x->data)[i];                                                                                 \
        y[i] = (expr);                                                                                                 \
    }                                                                                                                  \
    break
#define TO_FLOAT(symbol, to)                                                                                           \
    static void symbol(const ox_tensor *x, to *y, size_t len) {                                                        \
        switch (x->dtype) {                                                                                            \
        case ASSAY_F32: FROM(float, (to)v);                                                                            \
        case ASSAY_F64: FROM(double, (to)v);                                                                           \
        case ASSAY_U8: FROM(uint8_t, (to)v);                                                                           \
        case ASSAY_I8: FROM(int8_t, (to)v);                                                                            \
        case ASSAY_I32: FROM(int32_t, (to)v);                                                                          \
        case ASSAY_I64: FROM(int64_t, (to)v);                                                                          \
        default: FROM(uint8_t, v != 0 ? 1 : 0);                                                                        \
        }                                                                                                              \
    }
/* NOLINTEND(bugprone-macro-parentheses) */
TO_FLOAT(to_f32, float)
TO_FLOAT(to_f64, double)

/* v as a float of so many bits. */
static float narrowed(double v, const target *t) {
    if (!isfinite(v) || v == 0) {
        return (float)v;
    }
    int exponent = 0;
    (void)frexp(v, &exponent); /* |v| < 2^exponent */
    int step = exponent - t->bits < t->least ? t->least : exponent - t->bits;
    v = ldexp(v, -step);
    v = ldexp(nearbyint(v), step);
    return fabs(v) >= ldexp(1, t->most) ? (float)copysign(INFINITY, v) : (float)v;
}

static status forward(ox_node *n, error *err) {
    (void)err;
    const ox_tensor *x = n->in[0];
    ox_tensor *y = n->out[0];
    const target *t = target_of(n);
    if (t != NULL && t->bits != 0) {
        for (size_t i = 0; i < y->n; i++) {
            ((float *)y->data)[i] = narrowed(ox_at(x, i), t);
        }
    } else if (y->dtype == ASSAY_F32) {
        to_f32(x, y->data, y->n);
    } else if (y->dtype == ASSAY_F64) {
        to_f64(x, y->data, y->n);
    } else if (ox_is_float(x->dtype)) {
        for (size_t i = 0; i < y->n; i++) {
            double v = ox_at(x, i);
            ox_int_put(y, i, y->dtype == ASSAY_BOOL ? v != 0 : ox_saturate(v, y->dtype)); /* NaN is true */
        }
    } else {
        for (size_t i = 0; i < y->n; i++) {
            ox_int_put(y, i, ox_int_at(x, i));
        }
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)err;
    const ox_tensor *x = n->in[0], *y = n->out[0];
    float *restrict dx = ox_grad_in(n, 0);
    const float *restrict g = ox_grad_out(n, 0);
    bool smooth = ox_is_float(y->dtype);
    if (dx == NULL || g == NULL || y->dtype == ASSAY_BOOL || (!smooth && mode != ASSAY_VJP_STRAIGHT_THROUGH)) {
        return STATUS_OK;
    }
    for (size_t i = 0; smooth && i < y->n; i++) {
        dx[i] += g[i];
    }
    double lo = 0, hi = 0;
    ox_integer_range(y->dtype, &lo, &hi);
    for (size_t i = 0; !smooth && i < y->n; i++) {
        double v = trunc(ox_at(x, i));
        if (v >= lo && v < hi) {
            dx[i] += g[i];
        }
    }
    return STATUS_OK;
}

#define CAST(symbol, op_name, first, arity, checks)                                                                    \
    const ox_kernel ox_kernel_##symbol = {.op = (op_name),                                                             \
                                          .min_opset = (first),                                                        \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH,                                                     \
                                          .min_in = (arity),                                                           \
                                          .max_in = (arity),                                                           \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = (checks),                                                           \
                                          .forward = forward,                                                          \
                                          .vjp = vjp}
CAST(cast, "Cast", 1, 1, infer);
CAST(cast_like, "CastLike", 15, 2, infer_like);
