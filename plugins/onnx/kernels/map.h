/* SPDX-License-Identifier: Apache-2.0
 * One output for each input: the loops of functions of one variable. A kernel is a value and a slope, which the
 * compiler inlines into the loops; both work in double and are rounded once. */
#ifndef ONNX_KERNELS_MAP_H
#define ONNX_KERNELS_MAP_H

#include <math.h>

#include "kernels/common.h"

#define OX_LEAKY_SLOPE 0.1 /* what a dead rectifier passes in ASSAY_VJP_LEAKY (assay/plugin.h) */
#define OX_INLINE static inline __attribute__((always_inline))

/* Up to two float attributes: their names (NULL: none) and defaults, then their values. */
typedef struct ox_map_attrs {
    const char *name[2];
    float def[2];
} ox_map_attrs;

typedef double ox_map_value(double x, double a, double b);
/* The derivative at x by the rule of `mode`. */
typedef double ox_map_slope(double x, double a, double b, assay_vjp_mode mode);

OX_INLINE status ox_map_infer(ox_node *n, const ox_map_attrs *at, error *err) {
    TRY(ox_need_float(n, 0, err));
    for (size_t i = 0; i < 2 && at->name[i] != NULL; i++) {
        TRY(ox_check_attr(n, at->name[i], OX_FLOAT, err));
    }
    return ox_infer_same(n, err);
}

OX_INLINE double ox_map_attr(const ox_node *n, const ox_map_attrs *at, size_t i) {
    return at->name[i] == NULL ? 0 : (double)ox_attr_float(n, at->name[i], at->def[i]);
}

OX_INLINE status ox_map_forward(ox_node *n, const ox_map_attrs *at, ox_map_value *f) {
    double a = ox_map_attr(n, at, 0), b = ox_map_attr(n, at, 1);
    size_t len = n->out[0]->n;
    if (n->out[0]->dtype == ASSAY_F32) {
        const float *x = n->in[0]->data;
        float *y = n->out[0]->data;
        for (size_t i = 0; i < len; i++) {
            y[i] = (float)f((double)x[i], a, b);
        }
    } else {
        for (size_t i = 0; i < len; i++) {
            ox_put(n->out[0], i, f(ox_at(n->in[0], i), a, b));
        }
    }
    return STATUS_OK;
}

/* Nothing is added where the cotangent or the slope is zero: 0 times an infinite slope (Sqrt at 0) is no NaN. */
OX_INLINE status ox_map_vjp(ox_node *n, const ox_map_attrs *at, ox_map_slope *df, assay_vjp_mode mode) {
    double a = ox_map_attr(n, at, 0), b = ox_map_attr(n, at, 1);
    float *dx = ox_grad_in(n, 0);
    const float *g = ox_grad_out(n, 0);
    for (size_t i = 0; dx != NULL && g != NULL && i < n->out[0]->n; i++) {
        double slope = df(ox_at(n->in[0], i), a, b, mode);
        if (slope != 0 && g[i] != 0) {
            dx[i] += (float)((double)g[i] * slope);
        }
    }
    return STATUS_OK;
}

/* Kernel `symbol` of operator `op` from opset `first` on, made of f and df; OX_MAP_FLAGGED adds flags, and takes the
 * name of another infer. */
#define OX_MAP_FLAGGED(symbol, op_name, first, more, checks, f, df)                                                    \
    static status symbol##_forward(ox_node *n, error *err) {                                                           \
        (void)err;                                                                                                     \
        return ox_map_forward(n, &symbol##_attrs, f);                                                                  \
    }                                                                                                                  \
    static status symbol##_vjp(ox_node *n, assay_vjp_mode mode, error *err) {                                          \
        (void)err;                                                                                                     \
        return ox_map_vjp(n, &symbol##_attrs, df, mode);                                                               \
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
#define OX_MAP(symbol, op_name, first, f, df)                                                                          \
    static status symbol##_infer(ox_node *n, error *err) {                                                             \
        return ox_map_infer(n, &symbol##_attrs, err);                                                                  \
    }                                                                                                                  \
    OX_MAP_FLAGGED(symbol, op_name, first, 0, symbol##_infer, f, df)

#endif
