/* SPDX-License-Identifier: Apache-2.0
 * Slots of `run` elements at offsets that follow from an index tensor, which may be computed: Gather, GatherElements,
 * GatherND read them, ScatterElements and ScatterND write them. Forward turns indices into offsets, checking each.
 *
 * The batch. Where an operand carries it, dimension 0 of every operand is the batch, or is 1 and is shared by all
 * examples: so a file exported with batch 1, whose constant indices have a leading 1, means the same at any batch.
 * What mixes examples is refused. */
#ifndef ONNX_KERNELS_LOOKUP_H
#define ONNX_KERNELS_LOOKUP_H

#include "kernels/moves.h"

typedef struct ox_lookup {
    size_t n, run;      /* slots, elements of each */
    size_t outer, step; /* Gather alone: the slots are walked `outer` times, `step` elements apart in the data */
    int64_t *at;        /* n offsets in elements, from forward */
    /* ox_scatter_vjp: by output element its update or -1; its product so far; by update the product before it. */
    int64_t *winner;
    double *product, *before;
} ox_lookup;

/* A kernel's state; the memory is bounded by the index tensor's elements times the batch. */
status ox_lookup_make(ox_node *n, size_t n_slots, size_t run, error *err);
void ox_lookup_release(ox_node *n);

/* Index tensors: int64 or int32. */
status ox_need_integers(const ox_node *n, size_t i, error *err);
/* Element i of t as an index into dim elements, negative ones from the end: STATUS_MODEL names it if it is outside. */
status ox_index_read(const ox_tensor *t, size_t i, int64_t dim, int64_t *v, error *err);

/* Does one of n's inputs (the first `count`) carry the batch? *examples is then its size, and every input has it or a
 * leading 1 (STATUS_UNSUPPORTED otherwise); 1 where none does. */
status ox_lookup_batch(const ox_node *n, size_t count, bool *batch, int64_t *examples, error *err);
/* All index vectors (last dimension) of constant t, of shape (1, ...), start with 0: the one example of a file exported
 * with batch 1. */
bool ox_lookup_first_example(const ox_tensor *t);

/* GatherElements and ScatterElements: offsets in `x` of the slots of `shape`, rank of both; at == NULL: only checks. */
status ox_lookup_elements(const ox_tensor *x, const ox_tensor *indices, const int64_t *shape, uint32_t axis,
                          int64_t *at, error *err);
/* GatherND and ScatterND: `shape` are the slots (the indices' without the last dimension), the first batch_dims
 * coordinates are the slot's own; `batch`: so is dimension 0 even where the index vectors name it. */
typedef struct ox_tuples {
    const ox_tensor *x, *indices;
    const int64_t *shape;
    uint32_t batch_dims;
    bool batch;
} ox_tuples;
status ox_lookup_tuples(const ox_tuples *t, int64_t *at, error *err);

/* in[0] to out[0] at the offsets, and cotangents back. */
void ox_gather_forward(ox_node *n);
status ox_gather_vjp(ox_node *n, assay_vjp_mode mode, error *err);

/* Scatter: in[0] with in[2] put at the offsets in out[0]. Updates are applied in their order: without a reduction the
 * last of several at one place stays. Of equal maxima or minima the first wins, the data before the updates; NaN wins
 * over everything. */
typedef enum ox_reduction { OX_REDUCE_NONE, OX_REDUCE_ADD, OX_REDUCE_MUL, OX_REDUCE_MAX, OX_REDUCE_MIN } ox_reduction;
status ox_scatter_reduction(const ox_node *n, ox_reduction *r, error *err);
status ox_scatter_make(ox_node *n, size_t n_slots, size_t run, bool want_vjp, error *err);
status ox_scatter_forward(ox_node *n, error *err);
status ox_scatter_vjp(ox_node *n, assay_vjp_mode mode, error *err);

#endif
