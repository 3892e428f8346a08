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

typedef struct ox_vmath {
    void (*exp)(const float *x, float *y, size_t n);
    void (*tanh)(const float *x, float *y, size_t n);
    void (*erf)(const float *x, float *y, size_t n);
    void (*sigmoid)(const float *x, float *y, size_t n);
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
