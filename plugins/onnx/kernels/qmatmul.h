/* SPDX-License-Identifier: Apache-2.0
 * The product inside MatMulInteger, QLinearMatMul and QGemm: sums of (a - a_zero) * (b - b_zero) over matrices with
 * broadcast leading dimensions (numpy.matmul), zero points per tensor, per row of A and per column of B, and the
 * gradients per quantum. */
#ifndef ONNX_KERNELS_QMATMUL_H
#define ONNX_KERNELS_QMATMUL_H

#include "kernels/quantized.h"
#include "kernels/sgemm.h"

/* Which inputs of the node are what; SIZE_MAX: none. transA, transB of matrices. */
typedef struct ox_qmatmul_inputs {
    size_t a, a_zero, b, b_zero;
    bool trans_a, trans_b;
} ox_qmatmul_inputs;

/* Where a part of an output row lies. */
typedef struct ox_qmatmul_part {
    size_t row;      /* of all matrices of the output */
    size_t a_row;    /* of all matrices of A */
    size_t b_matrix; /* of B */
    size_t col;
} ox_qmatmul_part;
typedef void (*ox_qmatmul_sink)(void *ctx, const ox_qmatmul_part *p, const int32_t *acc, size_t len);

typedef struct ox_qmatmul {
    ox_qmatmul_inputs in;
    size_t m, n, k, pairs, n_b; /* of one pair; pairs of matrices; matrices of B */
    size_t a_row, a_col, b_row, b_col;
    size_t rows_of_a; /* of one matrix, as the model has it (m may join several) */
    ox_walk w;        /* over the leading dimensions; strides count matrices */
    bool fixed;       /* B is packed */
    ox_int8_isa isa;
    uint8_t *packed;
    size_t packed_bytes;      /* of one matrix */
    int32_t *b_sums, *b_zero; /* by column of all matrices of B, shifted */
    void *scratch;
    /* gradients */
    bool want_vjp;
    ox_isa float_isa;
    float *g;                     /* the cotangent that passes, as the output */
    float *b_real, *bt, *gs, *da; /* (b - zero) * factor; its transposed packed form; rows of g, and of A's gradient */
} ox_qmatmul;

/* Checks types, shapes and zero points; sets out[0] with `dtype`. */
status ox_qmatmul_infer(ox_node *n, ox_qmatmul_inputs in, uint32_t dtype, error *err);
/* Values per row of A or per column of B: one, a vector, or the operand's shape with a 1 in place of the other. */
status ox_qmatmul_need_rows(const ox_node *n, size_t i, const ox_qmatmul_inputs *in, error *err);
status ox_qmatmul_need_columns(const ox_node *n, size_t i, const ox_qmatmul_inputs *in, error *err);
/* Index into such values. */
size_t ox_qmatmul_row(const ox_qmatmul *q, const ox_tensor *t, size_t a_row);
size_t ox_qmatmul_column(const ox_qmatmul *q, const ox_tensor *t, size_t b_matrix, size_t col);

/* Into a zeroed *q. */
status ox_qmatmul_prepare(ox_qmatmul *q, const ox_node *n, ox_qmatmul_inputs in, bool want_vjp, error *err);
void ox_qmatmul_release(ox_qmatmul *q);
/* At most 256 columns for each call of sink. */
void ox_qmatmul_run(ox_qmatmul *q, const ox_node *n, bool plain, ox_qmatmul_sink sink, void *ctx);
/* Adds the gradients of q->g. The output changes by a_factor[a_row] * b_factor[b_matrix * n + col] with one step of a
 * sum. */
void ox_qmatmul_vjp(ox_qmatmul *q, const ox_node *n, const float *a_factor, const float *b_factor, bool plain);
uint64_t ox_qmatmul_macs(const ox_node *n, ox_qmatmul_inputs in);

#endif
