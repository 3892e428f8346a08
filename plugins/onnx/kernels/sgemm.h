/* SPDX-License-Identifier: Apache-2.0
 * C = A * B in float32 with a summation order that depends on K alone: one chain of fused multiply-adds over k for
 * each block of OX_GEMM_KC, block sums added in order. So a row's bits depend neither on its place among the rows,
 * nor on how many there are, nor on the vector width of the CPU: batch invariance by construction, which OpenBLAS
 * gives on some cores only (docs/ARCHITECTURE.md, section 4). */
#ifndef ONNX_KERNELS_SGEMM_H
#define ONNX_KERNELS_SGEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "kernel.h"

#define OX_GEMM_NR 16u  /* columns of a packed panel */
#define OX_GEMM_KC 256u /* k of one chain */

typedef enum ox_isa { OX_ISA_PORTABLE, OX_ISA_AVX2, OX_ISA_AVX512 } ox_isa;
/* What the CPU has, capped by ONEDNN_MAX_CPU_ISA (the supervisor sets it from --max-isa). */
ox_isa ox_isa_best(void);

/* Floats of a packed (k, n) matrix; false on overflow. */
bool ox_gemm_packed(size_t k, size_t n, size_t *floats);
/* B[i][j] = b[i * row + j * col]; panels of NR columns, zero-filled: (ceil(n / NR), k, NR). */
void ox_gemm_pack(const float *b, size_t k, size_t n, size_t row, size_t col, float *packed);
/* A[i][j] = a[i * row + j * col] (m, k); C (m, n) with leading dimension ldc is overwritten. Needs no scratch. */
void ox_gemm(ox_isa isa, size_t m, size_t n, size_t k, const float *a, size_t row, size_t col, const float *packed,
             float *c, size_t ldc);

/* What is done to each element of C before it is stored: act(scale * c + bias[j] + residual[i * ldr + j]). */
typedef struct ox_gemm_tail {
    float scale;
    const float *bias, *residual; /* NULL: none */
    size_t ldr;
    ox_epilogue act; /* its scale is not looked at */
} ox_gemm_tail;
/* tail: NULL as above. */
void ox_gemm_then(ox_isa isa, size_t m, size_t n, size_t k, const float *a, size_t row, size_t col, const float *packed,
                  float *c, size_t ldc, const ox_gemm_tail *tail);

/* The same through OpenBLAS, from unpacked operands: B[i][j] = b[i * b_row + j * b_col]; of each operand one stride
 * is 1. C (m, n) dense. Bits depend on shapes and the core: for unpadded sessions only. False if a size does not fit
 * OpenBLAS's int: nothing is done. */
bool ox_gemm_blas(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col, const float *b,
                  size_t b_row, size_t b_col, float *c);

#endif
