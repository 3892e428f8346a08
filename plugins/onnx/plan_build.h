/* SPDX-License-Identifier: Apache-2.0
 * How a plan comes about, in the order of the functions below; each has its file. Private to plan*.c, rewrite.c and
 * blocked.c. */
#ifndef ONNX_PLAN_BUILD_H
#define ONNX_PLAN_BUILD_H

#include "plan.h"

typedef struct ox_builder {
    ox_plan *p;
    const ox_graph *g;
    const ox_plan_args *args;
    error *err;
    bool *needed;      /* by node of the graph: an ancestor of what is wanted */
    bool *wanted;      /* by tensor: must be readable after forward */
    ox_tensor *shadow; /* by value: the same graph at batch `other` */
    int64_t other;
} ox_builder;

/* Shapes at both batch sizes, folded constants; p->nodes is what is left (plan_infer.c). */
status ox_build_shapes(ox_builder *b);
/* Fusion and views (rewrite.c). Shapes and batch flags of what remains stay as they are. */
status ox_build_rewrite(ox_builder *b);
/* Which values stand in blocks of channels, and the reorders between (blocked.c). */
status ox_build_layouts(ox_builder *b);
/* Places for activations and gradients (plan_memory.c). */
status ox_build_memory(ox_builder *b);

/* A tensor that the graph does not have: zero, but for its name. At most OX_MORE_TENSORS for each node. */
#define OX_MORE_TENSORS 4u
ox_tensor *ox_build_tensor(ox_builder *b, const char *name);
/* Data of the plan's own for a constant, owned by the plan. The shape has been set. */
status ox_build_constant(ox_builder *b, ox_tensor *t);
/* Room for `n_in` inputs and `n_out` outputs, all NULL. */
void ox_build_ports(ox_builder *b, ox_node *n, size_t n_in, size_t n_out);
status ox_node_forward(ox_node *n, error *err);
void ox_node_release(ox_node *n);
status ox_node_error(const ox_graph *g, const char *name, const char *op, error *err);

#endif
