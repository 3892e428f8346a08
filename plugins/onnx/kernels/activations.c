/* SPDX-License-Identifier: Apache-2.0
 * Softplus, Softsign, Mish; Elu, Selu, Celu; HardSigmoid, HardSwish, ThresholdedRelu, Shrink. A kink belongs to the
 * side that is flat, or to the left where neither is. Leaky mode passes 0.1 where ThresholdedRelu, HardSwish and
 * Shrink are dead (0 on an interval); the saturation of HardSigmoid is none of a rectifier and stays exact, as do
 * the others. Straight-through is exact. */
#include "kernels/map.h"

#define UNUSED2(p, q)                                                                                                  \
    do {                                                                                                               \
        (void)(p);                                                                                                     \
        (void)(q);                                                                                                     \
    } while (0)

static const ox_map_attrs softplus_attrs = {{NULL, NULL}, {0, 0}};
OX_INLINE double softplus(double x, double a, double b) {
    UNUSED2(a, b);
    return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
}
OX_INLINE double logistic(double x) {
    double e = exp(-fabs(x)); /* no overflow on either side */
    return (x >= 0 ? 1 : e) / (1 + e);
}
OX_INLINE double softplus_slope(double x, double a, double b, assay_vjp_mode mode) {
    UNUSED2(a, b);
    (void)mode;
    return logistic(x);
}
OX_MAP(softplus, "Softplus", 1, softplus, softplus_slope);

static const ox_map_attrs softsign_attrs = {{NULL, NULL}, {0, 0}};
OX_INLINE double softsign(double x, double a, double b) {
    UNUSED2(a, b);
    return x / (1 + fabs(x));
}
OX_INLINE double softsign_slope(double x, double a, double b, assay_vjp_mode mode) {
    UNUSED2(a, b);
    (void)mode;
    return 1 / ((1 + fabs(x)) * (1 + fabs(x)));
}
OX_MAP(softsign, "Softsign", 1, softsign, softsign_slope);

static const ox_map_attrs mish_attrs = {{NULL, NULL}, {0, 0}};
OX_INLINE double mish(double x, double a, double b) {
    return x * tanh(softplus(x, a, b));
}
OX_INLINE double mish_slope(double x, double a, double b, assay_vjp_mode mode) {
    (void)mode;
    double t = tanh(softplus(x, a, b));
    return t + x * logistic(x) * (1 - t) * (1 + t);
}
OX_MAP(mish, "Mish", 18, mish, mish_slope);

static const ox_map_attrs elu_attrs = {{"alpha", NULL}, {1, 0}};
OX_INLINE double elu(double x, double a, double b) {
    (void)b;
    return x < 0 ? a * expm1(x) : x;
}
OX_INLINE double elu_slope(double x, double a, double b, assay_vjp_mode mode) {
    UNUSED2(b, mode);
    return x > 0 ? 1 : a * exp(x);
}
OX_MAP(elu, "Elu", 1, elu, elu_slope);

/* alpha and gamma by default as the operator's definition gives them */
static const ox_map_attrs selu_attrs = {{"alpha", "gamma"}, {1.67326319217681884765625F, 1.05070102214813232421875F}};
OX_INLINE double selu(double x, double a, double b) {
    return b * (x < 0 ? a * expm1(x) : x);
}
OX_INLINE double selu_slope(double x, double a, double b, assay_vjp_mode mode) {
    (void)mode;
    return b * (x > 0 ? 1 : a * exp(x));
}
OX_MAP(selu, "Selu", 6, selu, selu_slope);

/* opset 1 gave the defaults to four digits */
static const ox_map_attrs selu_1_attrs = {{"alpha", "gamma"}, {1.6732F, 1.0507F}};
static status selu_1_infer(ox_node *n, error *err) {
    return ox_map_infer(n, &selu_1_attrs, err);
}
static status selu_1_forward(ox_node *n, error *err) {
    (void)err;
    return ox_map_forward(n, &selu_1_attrs, selu);
}
static status selu_1_vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)err;
    return ox_map_vjp(n, &selu_1_attrs, selu_slope, mode);
}
const ox_kernel ox_kernel_selu_1 = {.op = "Selu",
                                    .min_opset = 1,
                                    .max_opset = 5,
                                    .flags = OX_KEEPS_BATCH,
                                    .min_in = 1,
                                    .max_in = 1,
                                    .min_out = 1,
                                    .max_out = 1,
                                    .infer = selu_1_infer,
                                    .forward = selu_1_forward,
                                    .vjp = selu_1_vjp};

static const ox_map_attrs celu_attrs = {{"alpha", NULL}, {1, 0}};
static status celu_infer(ox_node *n, error *err) {
    if (ox_attr_float(n, "alpha", 1) == 0) {
        return error_set(err, STATUS_MODEL, "attribute alpha is 0, by which Celu divides");
    }
    return ox_map_infer(n, &celu_attrs, err);
}
/* max(0, x) + min(0, alpha (exp(x / alpha) - 1)), also where alpha is negative */
OX_INLINE double celu(double x, double a, double b) {
    (void)b;
    double e = a * expm1(x / a);
    return (x < 0 ? 0 : x) + (e > 0 ? 0 : e);
}
OX_INLINE double celu_slope(double x, double a, double b, assay_vjp_mode mode) {
    UNUSED2(b, mode);
    return x > 0 ? 1 : exp(x / a);
}
OX_MAP_FLAGGED(celu, "Celu", 12, 0, celu_infer, celu, celu_slope);

static const ox_map_attrs hard_sigmoid_attrs = {{"alpha", "beta"}, {0.2F, 0.5F}};
OX_INLINE double hard_sigmoid(double x, double a, double b) {
    double y = a * x + b;
    return y < 0 ? 0 : (y > 1 ? 1 : y);
}
OX_INLINE double hard_sigmoid_slope(double x, double a, double b, assay_vjp_mode mode) {
    (void)mode;
    double y = a * x + b;
    return y > 0 && y < 1 ? a : 0;
}
OX_MAP(hard_sigmoid, "HardSigmoid", 1, hard_sigmoid, hard_sigmoid_slope);

static const ox_map_attrs hard_swish_attrs = {{NULL, NULL}, {0, 0}};
OX_INLINE double hard_swish(double x, double a, double b) {
    UNUSED2(a, b);
    double y = x / 6 + 0.5;
    return x * (y < 0 ? 0 : (y > 1 ? 1 : y));
}
OX_INLINE double hard_swish_slope(double x, double a, double b, assay_vjp_mode mode) {
    UNUSED2(a, b);
    if (x <= -3) {
        return mode == ASSAY_VJP_LEAKY ? OX_LEAKY_SLOPE : 0;
    }
    return x >= 3 ? 1 : x / 3 + 0.5;
}
OX_MAP(hard_swish, "HardSwish", 14, hard_swish, hard_swish_slope);

static const ox_map_attrs thresholded_relu_attrs = {{"alpha", NULL}, {1, 0}};
OX_INLINE double thresholded_relu(double x, double a, double b) {
    (void)b;
    return x <= a ? 0 : x; /* a NaN stays one */
}
OX_INLINE double thresholded_relu_slope(double x, double a, double b, assay_vjp_mode mode) {
    (void)b;
    return x > a ? 1 : (mode == ASSAY_VJP_LEAKY ? OX_LEAKY_SLOPE : 0);
}
OX_MAP(thresholded_relu, "ThresholdedRelu", 10, thresholded_relu, thresholded_relu_slope);

static const ox_map_attrs shrink_attrs = {{"lambd", "bias"}, {0.5F, 0}};
OX_INLINE double shrink(double x, double a, double b) {
    if (x < -a) {
        return x + b;
    }
    return x > a ? x - b : (x != x ? x : 0);
}
OX_INLINE double shrink_slope(double x, double a, double b, assay_vjp_mode mode) {
    (void)b;
    return x < -a || x > a ? 1 : (mode == ASSAY_VJP_LEAKY ? OX_LEAKY_SLOPE : 0);
}
OX_MAP(shrink, "Shrink", 9, shrink, shrink_slope);
