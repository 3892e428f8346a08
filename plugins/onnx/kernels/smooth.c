/* SPDX-License-Identifier: Apache-2.0
 * Exp, Log, Sqrt, Reciprocal, Erf, the trigonometric and hyperbolic functions and their inverses: smooth, so that the
 * three modes of vjp are one. Where a slope is infinite (Log and Sqrt at 0, Asin at 1) the gradient is; where the
 * function is undefined it is NaN. */
#include "kernels/map.h"

#define TWO_BY_ROOT_PI 1.12837916709551257390 /* 2 / sqrt(pi) */

/* The same parameters for all (map.h), which these functions have no use for. */
#define SMOOTH(symbol, op_name, first, f, df)                                                                          \
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
    static const ox_map_attrs symbol##_attrs = {{NULL, NULL}, {0, 0}};                                                 \
    OX_MAP(symbol, op_name, first, symbol##_value, symbol##_slope)

SMOOTH(exp, "Exp", 6, exp(x), exp(x));
SMOOTH(log, "Log", 6, log(x), 1 / x);
SMOOTH(sqrt, "Sqrt", 6, sqrt(x), 0.5 / sqrt(x));
SMOOTH(reciprocal, "Reciprocal", 6, 1 / x, -1 / (x * x));
SMOOTH(erf, "Erf", 9, erf(x), TWO_BY_ROOT_PI *exp(-x *x));
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
