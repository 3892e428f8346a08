/* SPDX-License-Identifier: Apache-2.0
 * A sum of products over labelled dimensions: target[outer] = sum over inner of factor_0[..] factor_1[..] ...
 * Einsum is one of these, and so is the gradient of each of its operands. */
#ifndef ONNX_KERNELS_EINSUM_CONTRACT_H
#define ONNX_KERNELS_EINSUM_CONTRACT_H

#include "kernels/common.h"
#include "kernels/sgemm.h"

#define OX_EINSUM_LETTERS 52u
#define OX_EINSUM_LABELS (OX_EINSUM_LETTERS + ASSAY_MAX_DIMS) /* a-z, A-Z, the dimensions of an ellipsis */
#define OX_EINSUM_OPERANDS 16u

/* Which labels the dimensions of a tensor have; a dimension of 1 that is broadcast has none (OX_EINSUM_LABELS). */
typedef struct ox_labels {
    uint32_t n;
    uint8_t of[ASSAY_MAX_DIMS];
    int64_t shape[ASSAY_MAX_DIMS];
} ox_labels;

/* Offsets of the steps of a class of labels in the two tensors that have it; stride where they are multiples of it. */
typedef struct ox_offsets {
    size_t n, *at[2];
    bool even[2];
    size_t stride[2];
} ox_offsets;

/* Two factors P, Q as matrix products: labels in P, Q and the target; in P and the target; in Q and the target; in P
 * and Q. */
typedef struct ox_matrices {
    bool possible;
    ox_offsets batch, m, n, k; /* at: P, Q; P, target; Q, target; P, Q */
    size_t *batch_target;
    float *a, *b, *packed, *product;
    ox_isa isa;
} ox_matrices;

typedef struct ox_contraction {
    size_t n_factors, n_outer, n_loops; /* loops n_outer..n_loops are summed over */
    size_t size[OX_EINSUM_LABELS];
    size_t stride[OX_EINSUM_OPERANDS + 1][OX_EINSUM_LABELS]; /* by factor, the target last; in elements */
    ox_matrices fast;
} ox_contraction;

/* What a factor is read from: a tensor, or a gradient. */
typedef struct ox_factor {
    const ox_tensor *t;
    const float *g;
} ox_factor;

/* factors[n] is the target. Labels of the target that no factor has repeat the value. */
status ox_contraction_make(ox_contraction *c, const ox_labels *labels, size_t n, const int64_t *sizes, bool fast,
                           error *err);
void ox_contraction_free(ox_contraction *c);
/* To the elements of `out` (any dtype), or added to `grad` where that is not NULL. */
void ox_contraction_run(const ox_contraction *c, const ox_factor *factors, ox_tensor *out, float *grad);
/* The same by ox_gemm, where c->fast.possible: float32 factors, to out or added to grad. */
void ox_contraction_run_fast(const ox_contraction *c, const ox_factor *factors, float *out, float *grad);

#endif
