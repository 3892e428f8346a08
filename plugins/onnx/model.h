/* SPDX-License-Identifier: Apache-2.0
 * A model: graph, preprocessing, ports, layers, facts. Immutable once open; sessions share it. */
#ifndef ONNX_MODEL_H
#define ONNX_MODEL_H

#include "plan.h"
#include "preprocess.h"

#define OX_VERSION "0.1.0"

typedef struct ox_port {
    int32_t value;
    uint32_t kind; /* assay_port_kind */
    const char *name;
    uint32_t n_dims;
    int64_t shape[ASSAY_MAX_DIMS]; /* shape[0] = -1 */
    size_t n;                      /* values per example */
} ox_port;

typedef struct ox_layer {
    const char *name; /* of the value, or "penultimate" */
    int32_t value;
    size_t n; /* values per example */
} ox_layer;

struct assay_model {
    ox_graph graph;
    ox_preprocess pre;
    bool reference;
    uint32_t chunk;          /* examples of one execution, at most the session's tile */
    bool one_by_one;         /* runs only at batch 1: sessions loop over examples */
    char reason[2000];       /* why, where one_by_one */
    uint32_t output_kind;    /* option output.kind; 0: by default */
    const char *output_name; /* option output; NULL: the first that fits */
    ox_port ports[2];
    uint32_t n_ports;
    ox_layer *layers;
    size_t n_layers;
    const char **labels, **columns;
    uint32_t n_labels, n_columns;
    assay_cost_info cost;
    assay_layer_info *costs; /* of each node, in the order of execution */
    size_t n_costs;
    arena memory;
};

/* [main] Options as in assay/plugin.h; see options.c for the keys. */
status ox_model_open(const assay_open_args *args, assay_model **out, error *err);
void ox_model_close(assay_model *m);
const ox_layer *ox_model_layer(const assay_model *m, const char *name); /* NULL if there is none */
/* Values that forward has to leave readable for the ports. */
size_t ox_model_wanted(const assay_model *m, int32_t wanted[2]);

/* The raw examples into the plan's input, the last of them also into the places up to the plan's batch: no value that
 * is not in the data anyway. STATUS_DATA where the graph takes integers and a value is none. */
status ox_model_load_examples(const assay_model *m, ox_plan *p, const float *raw, size_t n, error *err);

/* options.c: reads options and metadata into pre, output_*, labels, columns. The graph is loaded. */
status ox_options_read(assay_model *m, const assay_open_args *args, error *err);
/* ports.c: what follows from a plan at batch 1. */
status ox_ports_find(assay_model *m, error *err);
uint32_t ox_chunk_of(const ox_plan *p);
void ox_layers_find(assay_model *m, const ox_plan *p);
/* cost.c: likewise. */
void ox_cost_find(assay_model *m, const ox_plan *p);

#endif
