/* SPDX-License-Identifier: Apache-2.0
 * Products of 8-bit integers with exact 32-bit sums (modulo 2^32, as the operators' definitions allow): C = A * B, and
 * the tile that integer convolutions are made of as well. Integers have no rounding, so every order of summation, every
 * instruction set and every batch gives the same bits.
 *
 * Inside, one factor is unsigned and the other signed, as the VNNI instructions want it: int8 activations and uint8
 * weights are shifted by 128 (one flipped bit), and the caller shifts their zero points with ox_shifted_zero. */
#ifndef ONNX_KERNELS_IGEMM_H
#define ONNX_KERNELS_IGEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OX_IGEMM_LANES 16u /* columns of a packed panel, 4 steps of k each */
#define OX_IGEMM_ROWS 12u  /* of the largest tile */

typedef enum ox_int8_isa {
    OX_INT8_PORTABLE,
    OX_INT8_AVX2,
    OX_INT8_AVX_VNNI,        /* 256 bits without AVX-512 */
    OX_INT8_AVX512_VNNI_256, /* the same code under the other encoding: for tests */
    OX_INT8_AVX512_VNNI
} ox_int8_isa;
/* What the CPU has, capped by ONEDNN_MAX_CPU_ISA as ox_isa_best is. */
ox_int8_isa ox_int8_best(void);
bool ox_int8_has(ox_int8_isa isa); /* this CPU and cap can run it */

/* How the 16 lanes of a vector operand lie in memory. */
typedef enum ox_int8_form {
    OX_INT8_WEIGHTS, /* int8, 16 x 4 bytes; the broadcast operand is uint8 */
    OX_INT8_QUADS,   /* uint8, 16 x 4 bytes; the broadcast operand is int8 */
    OX_INT8_WINDOWS  /* uint8, lane i is bytes i .. i + 3 (32 bytes are read); the broadcast operand is int8 */
} ox_int8_form;

/* c[r][j] = sum over steps s and i < 4 of broadcast[r][s][i] * vector[s][j][i], all lanes of all panels stored. */
typedef struct ox_int8_tile {
    ox_int8_form form;
    const uint8_t *v;     /* vector of step (o, i): v + offset[o] + i * inner_step, next panel at + panel */
    const size_t *offset; /* bytes */
    size_t n_offsets, inner, inner_step, panel;
    const uint8_t *b; /* 4 bytes of row r at step s: b + r * row + s * step */
    size_t row, step;
    int32_t *c; /* ldc in elements, panels follow one another */
    size_t ldc;
    const int32_t *start; /* by row: what the sums start from; NULL: 0 */
} ox_int8_tile;
/* rows <= OX_IGEMM_ROWS, any number of panels. */
void ox_int8_tile_run(ox_int8_isa isa, const ox_int8_tile *t, size_t rows, size_t panels);

/* Zero points as the packed operands have them. */
static inline int32_t ox_shifted_activation(int32_t zero, bool is_signed) {
    return is_signed ? zero + 128 : zero;
}
static inline int32_t ox_shifted_weight(int32_t zero, bool is_signed) {
    return is_signed ? zero : zero - 128;
}

/* Bytes of a packed (k, n) matrix; false on overflow. */
bool ox_igemm_packed(size_t k, size_t n, size_t *bytes);
/* B[i][j] = b[i * row + j * col]; sums[j] (n): the columns' sums of the shifted values. */
void ox_igemm_pack(const void *b, bool is_signed, size_t k, size_t n, size_t row, size_t col, uint8_t *packed,
                   int32_t *sums);
/* Takes a finished part of row `row`, columns col .. col + len - 1: sums of shifted products. */
typedef void (*ox_int8_sink)(void *ctx, size_t row, size_t col, const int32_t *acc, size_t len);
/* Bytes of work space that ox_igemm needs; false on overflow. */
bool ox_igemm_scratch(size_t k, size_t *bytes);
/* A[i][j] = a[i * row + j * col] (m, k). scratch: 64-byte alignment is not needed. */
void ox_igemm(ox_int8_isa isa, size_t m, size_t n, size_t k, const void *a, bool is_signed, size_t row, size_t col,
              const uint8_t *packed, void *scratch, ox_int8_sink sink, void *ctx);

/* y[i] = saturate(round(acc[i] * scale) + zero): the product in float32, rounded half to even, the sum exact. A NaN
 * (an infinite scale times 0) gives the lowest. lo, hi: the range of the output type. */
typedef struct ox_requant {
    float zero, lo, hi;
    ox_int8_isa isa; /* what computes it: the bits are the same */
} ox_requant;
/* One scale and one addend (modulo 2^32) for all: n rows of a channel of a convolution, `len` sums each, `pitch` apart;
 * y is dense. */
void ox_requantize_rows(ox_requant q, const int32_t *acc, size_t pitch, size_t len, size_t n, int32_t add, float scale,
                        uint8_t *y);
/* One scale per column; a row of a matrix product. */
void ox_requantize_columns(ox_requant q, const int32_t *acc, const float *scale, uint8_t *y, size_t len);
/* The same before saturation, zero included: for gradients. */
static inline float ox_requantize_open(ox_requant q, int32_t acc, float scale) {
    float v = (float)acc * scale;
    return __builtin_rintf(v) + q.zero;
}

#endif
