/* SPDX-License-Identifier: Apache-2.0
 * Exp, Log, Sqrt, Reciprocal, Erf, Sigmoid, the trigonometric and hyperbolic functions and their inverses: smooth, so
 * that the three modes of vjp are one. Where a slope is infinite (Log and Sqrt at 0, Asin at 1) the gradient is; where
 * the function is undefined it is NaN. Exp, Erf, Sigmoid and Tanh in float32 are those of vmath.h, all others are
 * computed in double and rounded once. */
#include "kernels/map.h"
#include "kernels/vmath.h"

#define TWO_BY_ROOT_PI 1.12837916709551257390 /* 2 / sqrt(pi) */

#define CHUNK 256u

/* The same parameters for all (map.h), which these functions have no use for. */
#define DOUBLES(symbol, f, df)                                                                                         \
    OX_INLINE double symbol##_value(double x, double a, double b) {                                                    \
        (void)a;                                                                                                       \
        (void)b;                                                                                                       \
        return f;                                                                                                      \
    }                                                                                                                  \
    OX_INLINE double symbol##_slope(double x, double a, double b, assay_vjp_mode mode) {                               \
        (void)a;                                                                                                       \
        (void)b;                                                                                                       \
        (void)mode;                                                                                                    \
        return df;                                                                                                     \
    }                                                                                                                  \
    static const ox_map_attrs symbol##_attrs = {{NULL, NULL}, {0, 0}};

#define SMOOTH(symbol, op_name, first, f, df)                                                                          \
    DOUBLES(symbol, f, df)                                                                                             \
    OX_MAP(symbol, op_name, first, symbol##_value, symbol##_slope)

/* A function whose slope is `slope` of e = exp(exponent of x): both in float32, through vmath.h. */
#define FAST(symbol, op_name, first, f, df, exponent, slope)                                                           \
    DOUBLES(symbol, f, df)                                                                                             \
    static status symbol##_infer(ox_node *n, error *err) {                                                             \
        return ox_map_infer(n, &symbol##_attrs, err);                                                                  \
    }                                                                                                                  \
    static status symbol##_forward_reference(ox_node *n, error *err) {                                                 \
        (void)err;                                                                                                     \
        return ox_map_forward(n, &symbol##_attrs, symbol##_value);                                                     \
    }                                                                                                                  \
    static status symbol##_forward(ox_node *n, error *err) {                                                           \
        if (n->in[0]->dtype != ASSAY_F32) {                                                                            \
            return symbol##_forward_reference(n, err);                                                                 \
        }                                                                                                              \
        ox_vmath_of(ox_isa_best())->symbol(n->in[0]->data, n->out[0]->data, n->out[0]->n);                             \
        return STATUS_OK;                                                                                              \
    }                                                                                                                  \
    static status symbol##_vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {                                \
        (void)err;                                                                                                     \
        return ox_map_vjp(n, &symbol##_attrs, symbol##_slope, mode);                                                   \
    }                                                                                                                  \
    static status symbol##_vjp(ox_node *n, assay_vjp_mode mode, error *err) {                                          \
        const float *g = ox_grad_out(n, 0), *xs = n->in[0]->data;                                                      \
        float *dx = ox_grad_in(n, 0), es[CHUNK];                                                                       \
        if (dx == NULL || g == NULL || n->in[0]->dtype != ASSAY_F32) {                                                 \
            return symbol##_vjp_reference(n, mode, err);                                                               \
        }                                                                                                              \
        const ox_vmath *v = ox_vmath_of(ox_isa_best());                                                                \
        for (size_t i = 0; i < n->out[0]->n; i += CHUNK) {                                                             \
            size_t len = n->out[0]->n - i < CHUNK ? n->out[0]->n - i : CHUNK;                                          \
            for (size_t k = 0; k < len; k++) {                                                                         \
                float x = xs[i + k];                                                                                   \
                es[k] = (exponent);                                                                                    \
            }                                                                                                          \
            v->exp(es, es, len);                                                                                       \
            for (size_t k = 0; k < len; k++) {                                                                         \
                float e = es[k];                                                                                       \
                dx[i + k] += g[i + k] == 0 ? 0 : g[i + k] * (slope); /* 0 times an infinite slope is 0 */              \
            }                                                                                                          \
        }                                                                                                              \
        return STATUS_OK;                                                                                              \
    }                                                                                                                  \
    const ox_kernel ox_kernel_##symbol = {.op = (op_name),                                                             \
                                          .min_opset = (first),                                                        \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH | OX_POINTWISE,                                      \
                                          .min_in = 1,                                                                 \
                                          .max_in = 1,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = symbol##_infer,                                                     \
                                          .forward = symbol##_forward,                                                 \
                                          .forward_reference = symbol##_forward_reference,                             \
                                          .vjp = symbol##_vjp,                                                         \
                                          .vjp_reference = symbol##_vjp_reference}

/* No overflow on either side. */
static inline double logistic(double x) {
    double e = exp(-fabs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

/* e / (1 + e)^2 with e = exp(-|x|), from the input and not from the rounded output y: 1 - y has no digits left where y
 * is near 1. */
static inline double bell(double x) {
    double e = exp(-fabs(x));
    return e / ((1 + e) * (1 + e));
}

FAST(exp, "Exp", 1, exp(x), exp(x), x, e);
SMOOTH(log, "Log", 1, log(x), 1 / x);
SMOOTH(sqrt, "Sqrt", 1, sqrt(x), 0.5 / sqrt(x));
SMOOTH(reciprocal, "Reciprocal", 1, 1 / x, -1 / (x * x));
FAST(erf, "Erf", 9, erf(x), TWO_BY_ROOT_PI *exp(-x *x), -x *x, (float)TWO_BY_ROOT_PI *e);
FAST(sigmoid, "Sigmoid", 1, logistic(x), bell(x), -fabsf(x), e / ((1 + e) * (1 + e)));
FAST(tanh, "Tanh", 1, tanh(x), 4 * bell(2 * x), -2 * fabsf(x), 4 * e / ((1 + e) * (1 + e))); /* 1 - tanh^2 */
SMOOTH(sin, "Sin", 7, sin(x), cos(x));
SMOOTH(cos, "Cos", 7, cos(x), -sin(x));
SMOOTH(tan, "Tan", 7, tan(x), 1 / (cos(x) * cos(x)));
SMOOTH(asin, "Asin", 7, asin(x), 1 / sqrt((1 - x) * (1 + x)));
SMOOTH(acos, "Acos", 7, acos(x), -1 / sqrt((1 - x) * (1 + x)));
SMOOTH(atan, "Atan", 7, atan(x), 1 / (1 + x * x));
SMOOTH(sinh, "Sinh", 9, sinh(x), cosh(x));
SMOOTH(cosh, "Cosh", 9, cosh(x), sinh(x));
SMOOTH(asinh, "Asinh", 9, asinh(x), 1 / sqrt(x * x + 1));
SMOOTH(acosh, "Acosh", 9, acosh(x), 1 / sqrt((x - 1) * (x + 1)));
SMOOTH(atanh, "Atanh", 9, atanh(x), 1 / ((1 - x) * (1 + x)));
