/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include "input.h"

#include <stdlib.h>
#include <string.h>

static bool reference_wanted(void) {
    const char *v = getenv("ASSAY_ONNX_REFERENCE");
    return v != NULL && strcmp(v, "1") == 0;
}

status ox_model_open(const assay_open_args *args, assay_model **out, error *err) {
    *out = NULL;
    error local = {0};
    err = err != NULL ? err : &local;
    assay_model *m = mem_zalloc(sizeof *m);
    m->reference = reference_wanted();
    status s = ox_graph_load(args->path, &m->graph, err);
    if (s == STATUS_OK) {
        s = ox_options_read(m, args, err);
    }
    if (s == STATUS_OK) {
        s = ox_ports_find(m, err);
    }
    if (s != STATUS_OK) {
        ox_model_close(m);
        return s;
    }
    *out = m;
    return STATUS_OK;
}

void ox_model_close(assay_model *m) {
    if (m != NULL) {
        ox_graph_free(&m->graph);
        arena_free(&m->memory);
        mem_free(m);
    }
}

const ox_layer *ox_model_layer(const assay_model *m, const char *name) {
    for (size_t i = 0; i < m->n_layers; i++) {
        if (strcmp(m->layers[i].name, name) == 0) {
            return &m->layers[i];
        }
    }
    return NULL;
}

size_t ox_model_wanted(const assay_model *m, int32_t wanted[2]) {
    for (uint32_t i = 0; i < m->n_ports; i++) {
        wanted[i] = m->ports[i].value;
    }
    return m->n_ports;
}

status ox_model_load_examples(const assay_model *m, ox_plan *p, const float *raw, size_t n, error *err) {
    const ox_preprocess *pre = &m->pre;
    const ox_tensor *in = &p->tensors[m->graph.input];
    float *x = p->input_floats != NULL ? p->input_floats : in->data;
    ox_preprocess_forward(pre, raw, n, x);
    for (size_t i = n; i < (size_t)p->batch; i++) {
        memcpy(x + i * pre->n_features, x + (n - 1) * pre->n_features, pre->n_features * sizeof *x);
    }
    if (p->input_floats == NULL) {
        return STATUS_OK;
    }
    return ox_input_fill(in->name, x, (size_t)p->batch * pre->n_features, in->dtype, in->data, err);
}
