/* SPDX-License-Identifier: Apache-2.0
 * A plan: the graph made ready to run at one batch size. It belongs to one session.
 *
 * Batch. The graph's shapes are inferred twice in lockstep, node by node: at the plan's batch B and at another one (1,
 * or 2 where B is 1). A value carries the batch exactly if its two shapes are (B, rest) and (other, rest); a value that
 * depends on the input and whose element count does not scale with the batch ends the attempt with
 * STATUS_UNSUPPORTED. So nothing is concluded from a dimension that happens to equal B. A file that was exported with a
 * fixed batch of 1 runs at any B by this rule, because the declared leading dimension is replaced and Reshape reads a
 * constant leading 1 as the batch when its input carries one (the elements are row-major with the batch in front on
 * both sides, so the leading 1 is the batch). Where it does not work, `only_this_batch` infers at B alone and marks
 * no value as carrying a batch: the caller then runs examples one by one at batch 1. */
#ifndef ONNX_PLAN_H
#define ONNX_PLAN_H

#include "graph.h"

#define OX_MAX_PLAN_BYTES ((size_t)16 << 30 >> OX_LIMIT_SHIFT)
/* Activations of one example: a small file cannot ask for all memory. */
#define OX_MAX_EXAMPLE_BYTES ((size_t)2 << 30 >> OX_LIMIT_SHIFT)
#define OX_MAX_FOLDED_BYTES ((size_t)2 << 30 >> OX_LIMIT_SHIFT)

typedef struct ox_plan_args {
    int64_t batch;
    const int32_t *wanted; /* values that forward leaves readable; each carries the batch */
    size_t n_wanted;
    bool want_vjp;
    bool reference;
    bool unpadded;
    bool only_this_batch;
    bool as_written; /* node by node as the file has it: no fusion, no blocked layouts (so is reference, unpadded) */
} ox_plan_args;

typedef struct ox_span {
    float *data;
    size_t n;
} ox_span;

typedef struct ox_plan {
    const ox_graph *graph;
    int64_t batch;
    bool want_vjp;
    ox_tensor *tensors; /* by value, then those of the plan alone; n_dims, shape, data valid for values of the plan */
    size_t n_tensors, cap_tensors;
    bool *in_plan;  /* by value: an ancestor of what is wanted */
    float **grads;  /* by tensor, float32 of its shape; NULL where no gradient flows */
    size_t *root;   /* by tensor: itself, or the tensor of which it is a view */
    ox_node *nodes; /* what forward runs, in order; constants are folded away */
    size_t n_nodes;
    size_t n_prepared; /* nodes whose prepare has been called */
    void *activations; /* one block with reuse; every value its own place when want_vjp */
    size_t n_activation_bytes;
    float *input_floats; /* the input before it is converted; NULL where the graph takes float32 */
    float *gradients;    /* one block */
    size_t n_gradient_bytes;
    ox_span *zeroed; /* gradients that nobody stores: zero before backward */
    size_t n_zeroed;
    void **folded; /* data of folded constants */
    size_t n_folded, cap_folded, n_folded_bytes;
    arena memory;
} ox_plan;

/* [session] */
status ox_plan_make(const ox_graph *g, const ox_plan_args *args, ox_plan **out, error *err);
void ox_plan_free(ox_plan *p); /* NULL is allowed */

/* The input's values are in tensors[graph->input].data. */
status ox_plan_forward(ox_plan *p, error *err);
/* After forward: zeroes all gradients, then the caller adds cotangents to grads[wanted], then backward. */
void ox_plan_zero_gradients(ox_plan *p);
status ox_plan_backward(ox_plan *p, assay_vjp_mode mode, error *err);
uint64_t ox_plan_macs(const ox_plan *p);

#endif
