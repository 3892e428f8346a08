/* SPDX-License-Identifier: Apache-2.0
 * The loaded graph: immutable after ox_graph_load and shared by all sessions of a model. */
#ifndef ONNX_GRAPH_H
#define ONNX_GRAPH_H

#include "kernel.h"

#define OX_MIN_OPSET 1
#define OX_MAX_OPSET 21
#ifndef OX_LIMIT_SHIFT
#define OX_LIMIT_SHIFT 0 /* the fuzzer's build has smaller limits on memory and work */
#endif
#define OX_MAX_NODES ((size_t)1 << 17)
#define OX_MAX_ATTRS 256u

#define OX_FROM_INPUT (-1)
#define OX_FROM_FILE (-2)
#define OX_ABSENT (-1)

typedef struct ox_value {
    const char *name;
    int32_t producer;    /* index of a node, OX_FROM_INPUT or OX_FROM_FILE */
    ox_tensor *constant; /* initialisers, else NULL */
    size_t stored_bytes; /* of an initialiser in the file: float16 has 2 per element although data is float32 */
} ox_value;

/* A node as the file has it; a plan makes ox_nodes from these. */
typedef struct ox_op {
    const char *name, *op;
    int opset;
    const ox_attr *attrs;
    size_t n_attrs;
    size_t n_in, n_out;
    const int32_t *in, *out; /* indexes of values, OX_ABSENT for optional ones */
    const ox_kernel *kernel;
} ox_op;

typedef struct ox_meta {
    const char *key, *value;
} ox_meta;

typedef struct ox_graph {
    arena memory;
    void *weights; /* the data of all tensors of the file, one block */
    const char *file;
    int opset;
    ox_value *values;
    size_t n_values;
    ox_op *ops; /* sorted: a node reads only what nodes before it wrote */
    size_t n_ops;
    int32_t input;        /* the one input that is no initialiser */
    uint32_t input_dtype; /* float32 for all floating-point types; ox_dtype_of_onnx */
    uint32_t input_n_dims;
    int64_t input_shape[ASSAY_MAX_DIMS]; /* as declared, -1 where open */
    int32_t *outputs;
    size_t n_outputs;
    ox_meta *meta;
    size_t n_meta;
    const char **files; /* external data, as paths below the model file's folder: part of what the model is */
    size_t n_files;
} ox_graph;

/* [main] Maps, pre-scans, unpacks and converts. Nothing of the file stays mapped. On error *g is zero. */
status ox_graph_load(const char *path, ox_graph *g, error *err);
/* The same from memory (tests and fuzzing), without external data; `file` is for error texts. */
status ox_graph_parse(const uint8_t *data, size_t n, const char *file, ox_graph *g, error *err);
void ox_graph_free(ox_graph *g);

const char *ox_graph_meta(const ox_graph *g, const char *key); /* NULL if absent */
int32_t ox_graph_find(const ox_graph *g, const char *value);   /* index or -1; a linear search */

#endif
