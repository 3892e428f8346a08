/* SPDX-License-Identifier: Apache-2.0
 * Data movement that goes dimension by dimension: out[i0, i1, ...] = in[at0(i0) + at1(i1) + ...]. Slice, Gather,
 * Expand, Tile, Pad, DepthToSpace and SpaceToDepth differ in the tables of offsets alone; forward copies along them,
 * vjp adds back along them. Also lists of integers that are an attribute in old opsets and an input in new ones. */
#ifndef ONNX_KERNELS_MOVES_H
#define ONNX_KERNELS_MOVES_H

#include "kernels/common.h"

#define OX_FILL (-1) /* no element of the input: the fill value */

typedef struct ox_moves {
    uint32_t n_dims; /* of the walk, at least 1 */
    size_t shape[ASSAY_MAX_DIMS];
    size_t run;                  /* elements that lie together for each step of the last dimension */
    size_t base;                 /* of the dimensions that went into run */
    int64_t *at[ASSAY_MAX_DIMS]; /* shape[d] offsets in elements, or OX_FILL */
    int64_t *tables;             /* the memory of at */
} ox_moves;

/* Offset in elements of step i of dimension d, or OX_FILL. */
typedef int64_t (*ox_source)(const void *how, uint32_t d, size_t i);

/* For a kernel's prepare: sets n->state. The memory is bounded by the number of output elements. */
status ox_moves_prepare(ox_node *n, const int64_t *shape, uint32_t n_dims, ox_source source, const void *how,
                        error *err);
void ox_moves_release(ox_node *n);
/* in[0] to out[0]; zero for OX_FILL. */
status ox_moves_forward(ox_node *n, error *err);
status ox_moves_vjp(ox_node *n, assay_vjp_mode mode, error *err);
/* The same with a fill value of one item (NULL: zero), and the sum of the cotangents at it. */
void ox_moves_copy(const ox_moves *m, const void *x, void *y, size_t item, const void *fill);
void ox_moves_add(const ox_moves *m, const float *g, float *dx, double *at_fill);

typedef struct ox_list {
    bool present;
    size_t n;
    int64_t v[2 * ASSAY_MAX_DIMS];
} ox_list;

/* Attribute `attr` (NULL: none) or else input `input` (SIZE_MAX: none): a vector of int64 or int32 that is known when
 * the plan is made (STATUS_UNSUPPORTED otherwise). */
status ox_list_read(const ox_node *n, const char *attr, size_t input, ox_list *l, error *err);
/* The list as axes of `rank` dimensions: non-negative afterwards, each at most once. */
status ox_list_axes(ox_list *l, uint32_t rank, error *err);
/* Input i is there, is int64 or int32, and is constant. */
status ox_need_indices(const ox_node *n, size_t i, error *err);
int64_t ox_index_at(const ox_tensor *t, size_t i);
/* dx += g */
static inline void ox_add_run(float *restrict dx, const float *restrict g, size_t n) {
    for (size_t i = 0; i < n; i++) {
        dx[i] += g[i];
    }
}
/* The whole of input 0 to output 0, and back: another shape of the same elements. */
status ox_same_forward(ox_node *n, error *err);
status ox_same_vjp(ox_node *n, assay_vjp_mode mode, error *err);
/* Input 0 and output 0 are there. */
status ox_need_in_out(const ox_node *n, error *err);

#endif
