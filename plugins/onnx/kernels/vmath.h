/* SPDX-License-Identifier: Apache-2.0
 * exp, tanh, erf and the logistic function of float32 arrays, softmax and sums of rows, vectorised. Plain additions,
 * multiplications and divisions in a fixed order without fused operations: an element's bits depend neither on its
 * place in the array nor on the vector width, so every CPU gives the same. Errors are below 2 units in the last place
 * (tests/onnx/test_vmath.c measures them); NaN stays NaN, infinities, zeros' signs and denormals are right. x and y
 * may be the same array. */
#ifndef ONNX_KERNELS_VMATH_H
#define ONNX_KERNELS_VMATH_H

#include <stddef.h>

#include "kernels/sgemm.h"

/* Of a row: the mean as a float and what that lacks, and 1 / sqrt(variance + epsilon). */
typedef struct ox_moments {
    float mean, lost, inv_sd;
} ox_moments;

typedef struct ox_vmath {
    void (*exp)(const float *x, float *y, size_t n);
    void (*tanh)(const float *x, float *y, size_t n);
    void (*erf)(const float *x, float *y, size_t n);
    void (*sigmoid)(const float *x, float *y, size_t n);
    void (*gelu)(const float *x, float *y, size_t n);
    /* dx = or += g times the slope of gelu at x. */
    void (*gelu_vjp)(const float *x, const float *g, float *dx, size_t n, bool store);
    /* One row: dx = or += y (g - dot). */
    void (*softmax_vjp)(const float *y, const float *g, float *dx, float dot, size_t n, bool store);
    /* One row: (x - mean) inv_sd scale + bias; bias may be NULL. */
    void (*normalise)(const float *x, float *y, size_t n, const ox_moments *m, const float *scale, const float *bias);
    /* dx = or += g (by[0] scale) + by[1] x + by[2] */
    void (*normalise_vjp)(const float *x, const float *g, const float *scale, float *dx, size_t n, const double by[3],
                          bool store);
    /* Each of the rows of len values that lie one after the other. */
    void (*softmax)(const float *x, float *y, size_t rows, size_t len);
    void (*log_softmax)(const float *x, float *y, size_t rows, size_t len);
    /* In double: sum of x, of (x - shift)^2, and of a b. */
    double (*sum)(const float *x, size_t n);
    double (*sum_squares)(const float *x, double shift, size_t n);
    double (*dot)(const float *a, const float *b, size_t n);
} ox_vmath;

/* The functions for an instruction set: ox_isa_best() once per call of a kernel, as it looks at the environment. */
const ox_vmath *ox_vmath_of(ox_isa isa);

/* The same for single calls on long arrays. */
void ox_v_exp(const float *x, float *y, size_t n);
void ox_v_tanh(const float *x, float *y, size_t n);
void ox_v_erf(const float *x, float *y, size_t n);
void ox_v_sigmoid(const float *x, float *y, size_t n);

#endif
