/* SPDX-License-Identifier: Apache-2.0
 * Inside the loader. File -> wire_scan -> protobuf-c -> source graphs (load_source.c: the graph, its subgraphs and the
 * model's functions, each with a sorted table of the names that it defines) -> one flat ox_graph (load_expand.c:
 * functions, If and Loop are replaced by what they do; load_constant.c computes their conditions). */
#ifndef ONNX_LOAD_H
#define ONNX_LOAD_H

#include <string.h>

#include "external.h"
#include "graph.h"
#include "onnx.pb-c.h"

typedef struct src_graph src_graph;
typedef struct src_function src_function;

typedef struct src_body {
    const char *name; /* of the attribute: then_branch, else_branch, body */
    src_graph *graph;
} src_body;

typedef struct src_node {
    const Onnx__NodeProto *proto;
    const char *name; /* its own, or its first output's where it has none; in the protobuf */
    const char *op;   /* qualified with the domain where that is another than ai.onnx */
    int opset;
    size_t n_attrs, n_bodies;
    const ox_attr *attrs;
    const char *const *refs; /* by attribute: the attribute of the function that it stands for, or NULL; NULL: none */
    const src_body *bodies;
    const src_function *function; /* the model's, that it calls; or NULL */
} src_node;

/* A name that a graph defines. `slot` counts initialisers, then inputs, then outputs of nodes, in the file's order. */
typedef struct src_name {
    const char *name;
    size_t slot;
    int32_t node; /* that writes it, or -1 */
} src_name;

typedef struct src_init {
    const char *name;
    ox_tensor *t;
    size_t stored; /* bytes in the file */
    int32_t value; /* -1 until the graph is expanded for the first time */
} src_init;

struct src_graph {
    size_t n_inits, n_inputs, n_nodes, n_outputs, n_names, n_slots;
    src_init *inits;
    const char **inputs; /* those that are no initialisers */
    const char **outputs;
    src_node *nodes;
    src_name *names; /* sorted */
};

struct src_function {
    char *name; /* "domain.name" */
    const Onnx__FunctionProto *proto;
    src_graph graph;
};

/* What the evaluator knows of a value: its tensor at two batch sizes, NULL where it could not be inferred. */
typedef struct value_note {
    ox_tensor *at[2];
    size_t expansion; /* the last one that gave this value its output's name */
} value_note;

typedef struct loader {
    const Onnx__ModelProto *model;
    ox_graph *g;
    ox_external external;
    arena scratch; /* freed when the graph is ready */
    src_graph root;
    src_function *functions; /* sorted by name */
    size_t n_functions;
    size_t weights_at; /* bytes of g->weights handed out */
    ox_value *values;
    size_t n_values, cap_values;
    value_note *notes; /* by value */
    size_t cap_notes;
    ox_op *ops;
    size_t n_ops, cap_ops;
    uint8_t *op_done; /* by op: the evaluator has been here */
    size_t cap_op_done;
    void **computed; /* data of what the evaluator computed */
    size_t n_computed, cap_computed, n_computed_bytes;
    size_t n_expansions, n_spent; /* bytes spent on copies of subgraphs and functions */
    error *err;
} loader;

static inline const char *text_of(const char *s) {
    return s == NULL ? "" : s;
}

static inline bool is_default_domain(const char *domain) {
    return domain[0] == '\0' || strcmp(domain, "ai.onnx") == 0;
}

/* load_source.c: fills l->root, l->functions and the weights. */
status load_sources(loader *l);
/* The slot of a name, NULL if this graph does not define it. */
const src_name *src_find(const src_graph *g, const char *name);

/* load_expand.c: fills l->values, l->ops, l->g->input (described by read_input) and outputs. */
status load_expand(loader *l);

/* load_constant.c: the value as a constant tensor, the same at any batch; NULL where it is none (or cannot be computed
 * here). */
const ox_tensor *load_constant(loader *l, int32_t value);

#endif
