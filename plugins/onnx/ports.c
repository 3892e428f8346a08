/* SPDX-License-Identifier: Apache-2.0
 * What a model offers, from its graph and a plan at batch 1: output ports, layers, cost. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "model.h"

static const ox_op *producer_of(const ox_graph *g, int32_t value) {
    int32_t k = g->values[value].producer;
    return k >= 0 ? &g->ops[k] : NULL;
}

/* Before opset 13 Softmax flattens from `axis` (default 1) on; for a matrix axis 1 is the same in both. */
static bool softmax_over_rows(const ox_op *op) {
    if (op == NULL || strcmp(op->op, "Softmax") != 0) {
        return false;
    }
    for (size_t i = 0; i < op->n_attrs; i++) {
        if (strcmp(op->attrs[i].name, "axis") == 0) {
            return op->attrs[i].i == 1 || op->attrs[i].i == -1;
        }
    }
    return true;
}

/* An only_this_batch plan may drop the batch: its output is then one row. */
static status set_port(const assay_model *m, const ox_plan *p, int32_t value, uint32_t kind, ox_port *port,
                       error *err) {
    const ox_tensor *t = &p->tensors[value];
    if (t->dtype != ASSAY_F32 || t->n == 0) {
        return error_set(err, STATUS_UNSUPPORTED, "%s: output \"%s\" is not float32 or is empty", m->graph.file,
                         t->name);
    }
    *port = (ox_port){.value = value, .kind = kind, .name = t->name, .n = t->n, .n_dims = t->n_dims};
    if (t->n_dims > 0 && t->shape[0] == 1 && (t->n_dims > 1 || !m->one_by_one)) {
        memcpy(port->shape, t->shape, sizeof port->shape);
    } else {
        port->n_dims = 2;
        port->shape[1] = (int64_t)t->n;
    }
    port->shape[0] = -1;
    return STATUS_OK;
}

/* The plan that decides about a candidate: at any batch if that is possible, else at batch 1 alone. */
static status probe(assay_model *m, const int32_t *wanted, size_t n_wanted, ox_plan **p, error *err) {
    ox_plan_args a = {
        .batch = 1, .wanted = wanted, .n_wanted = n_wanted, .reference = m->reference, .as_written = true};
    error first = {0};
    m->one_by_one = false;
    if (ox_plan_make(&m->graph, &a, p, &first) == STATUS_OK) {
        return STATUS_OK;
    }
    m->one_by_one = a.only_this_batch = true;
    memcpy(m->reason, first.text, sizeof m->reason);
    return ox_plan_make(&m->graph, &a, p, err);
}

/* Ports of output `value`; *p is its plan. */
static status try_output(assay_model *m, int32_t value, ox_plan **p, error *err) {
    const ox_op *op = producer_of(&m->graph, value);
    bool pair = softmax_over_rows(op) && (m->output_kind == 0 || m->output_kind == ASSAY_PORT_LOGITS);
    int32_t wanted[2] = {pair ? op->in[0] : value, value};
    m->n_ports = 0;
    TRY(probe(m, pair ? wanted : &value, pair ? 2 : 1, p, err));
    pair = pair && (*p)->tensors[value].n_dims == 2;
    uint32_t kind = m->output_kind != 0 ? m->output_kind : ASSAY_PORT_LOGITS;
    if (m->output_kind == 0 && (*p)->tensors[value].n_dims != 2 && !m->one_by_one) {
        kind = ASSAY_PORT_OTHER;
    }
    if (pair) {
        TRY(set_port(m, *p, wanted[0], ASSAY_PORT_LOGITS, &m->ports[m->n_ports++], err));
        kind = ASSAY_PORT_PROBABILITIES;
    }
    return set_port(m, *p, value, kind, &m->ports[m->n_ports++], err);
}

static status choose_output(assay_model *m, ox_plan **p, error *err) {
    const ox_graph *g = &m->graph;
    bool found = m->output_name == NULL;
    status s = STATUS_MODEL;
    /* rank 2 first; then whatever is float */
    for (int any_rank = m->output_name != NULL; any_rank < 2; any_rank++) {
        for (size_t i = 0; i < g->n_outputs; i++) {
            if (m->output_name != NULL && strcmp(m->output_name, g->values[g->outputs[i]].name) != 0) {
                continue;
            }
            found = true;
            s = try_output(m, g->outputs[i], p, err);
            if (s == STATUS_OK && (any_rank == 1 || m->ports[0].n_dims == 2)) {
                return STATUS_OK;
            }
            ox_plan_free(*p);
            *p = NULL;
        }
    }
    if (!found) {
        return error_set(err, STATUS_USAGE, "option output: %s has no output \"%.80s\"", g->file, m->output_name);
    }
    return s;
}

/* ---- layers ------------------------------------------------------------------------------------- */

static bool is_layer(const assay_model *m, const ox_plan *p, size_t v) {
    const ox_tensor *t = &p->tensors[v];
    return p->in_plan[v] && !t->is_const && t->dtype == ASSAY_F32 && (t->has_batch || m->one_by_one) && t->n > 0 &&
           (int32_t)v != m->graph.input;
}

/* The input of the last linear layer with constant weights; -1 if there is none. */
static int32_t penultimate(const assay_model *m, const ox_plan *p) {
    for (size_t k = p->n_nodes; k-- > 0;) {
        const ox_node *n = &p->nodes[k];
        bool linear = strcmp(n->op, "Gemm") == 0 || strcmp(n->op, "MatMul") == 0;
        if (linear && n->in[1]->is_const && !n->in[0]->is_const) {
            size_t v = (size_t)(n->in[0] - p->tensors);
            bool usable = is_layer(m, p, v) || (int32_t)v == m->graph.input;
            return usable ? (int32_t)v : -1;
        }
    }
    return -1;
}

void ox_layers_find(assay_model *m, const ox_plan *p) {
    size_t n = 1;
    for (size_t v = 0; v < m->graph.n_values; v++) {
        n += is_layer(m, p, v);
    }
    m->layers = arena_alloc(&m->memory, n * sizeof *m->layers);
    int32_t last = penultimate(m, p);
    if (last >= 0) {
        m->layers[m->n_layers++] = (ox_layer){"penultimate", last, p->tensors[last].n};
    }
    for (size_t v = 0; v < m->graph.n_values; v++) {
        if (is_layer(m, p, v)) {
            m->layers[m->n_layers++] = (ox_layer){p->tensors[v].name, (int32_t)v, p->tensors[v].n};
        }
    }
}

/* ---- examples of one execution ------------------------------------------------------------------ */

/* Few enough examples that what one node wrote is still in the cache when the next one reads it; but weights that are
 * used once for each example, as those of a first linear layer, must be fetched for many at once. No bit depends on
 * it: every kernel treats examples one by one. */
#define CHUNK 8u
#define LARGE_CHUNK 32u
#define LARGE_WEIGHTS ((size_t)1 << 18) /* floats */

uint32_t ox_chunk_of(const ox_plan *p) {
    size_t weights = 0;
    for (size_t k = 0; k < p->n_nodes; k++) {
        const ox_node *n = &p->nodes[k];
        bool product = strcmp(n->op, "Gemm") == 0 || strcmp(n->op, "MatMul") == 0;
        if (product && n->in[1]->is_const && n->in[0]->n_dims == 2) {
            weights += n->in[1]->n;
        }
    }
    return weights > LARGE_WEIGHTS ? LARGE_CHUNK : CHUNK;
}

/* ---- do examples of one batch influence each other? ---------------------------------------------- */

static void random_example(const assay_model *m, float *raw, uint64_t which) {
    const ox_preprocess *pre = &m->pre;
    bool bounded = pre->range_lo > -1e6 && pre->range_hi < 1e6;
    double lo = bounded ? pre->range_lo : -2, hi = bounded ? pre->range_hi : 2;
    bool whole = m->graph.input_dtype != ASSAY_F32; /* 0 and 1 are values of every type, and usual token ids */
    lo = whole && !bounded ? 0 : lo;
    rng r = rng_at(1, "onnx-neighbours@1", which, 0, 0);
    for (size_t i = 0; i < pre->n_features; i++) {
        double v = lo + (hi - lo) * rng_unit(&r);
        raw[i] = (float)(whole ? floor(v) : v);
    }
}

/* Shapes alone do not tell a Softmax over the batch from one over classes. So one example is run beside two different
 * neighbours, at the same place and shape: its bits must not change. */
static status check_neighbours(assay_model *m, ox_plan *p, float *raw, float *before, bool *equal, error *err) {
    const ox_preprocess *pre = &m->pre;
    *equal = true;
    random_example(m, raw, 0);
    for (uint64_t neighbour = 1; neighbour <= 2; neighbour++) {
        random_example(m, raw + pre->n_features, neighbour);
        TRY(ox_model_load_examples(m, p, raw, 2, err));
        TRY(ox_plan_forward(p, err));
        float *kept = before;
        for (uint32_t i = 0; i < m->n_ports; i++) {
            const ox_port *port = &m->ports[i];
            const void *now = p->tensors[port->value].data;
            if (neighbour == 1) {
                memcpy(kept, now, port->n * sizeof *kept);
            } else if (memcmp(kept, now, port->n * sizeof *kept) != 0) {
                *equal = false;
            }
            kept += port->n;
        }
    }
    return STATUS_OK;
}

static status decide_batching(assay_model *m, error *err) {
    int32_t wanted[2];
    ox_plan_args a = {.batch = 2, .wanted = wanted, .reference = m->reference};
    a.n_wanted = ox_model_wanted(m, wanted);
    ox_plan *p = NULL;
    error why = {0};
    if (ox_plan_make(&m->graph, &a, &p, &why) != STATUS_OK) {
        m->one_by_one = true;
        memcpy(m->reason, why.text, sizeof m->reason);
        return STATUS_OK;
    }
    float *raw = mem_try(2 * m->pre.n_features, sizeof *raw, "two examples", err);
    float *before = mem_try(m->ports[0].n + m->ports[1].n, sizeof *before, "outputs", err);
    bool equal = true;
    status s = raw != NULL && before != NULL ? check_neighbours(m, p, raw, before, &equal, err) : STATUS_MEMORY;
    if (s == STATUS_OK && !equal) {
        m->one_by_one = true;
        (void)snprintf(m->reason, sizeof m->reason, "examples of one batch influence each other");
    }
    mem_free(raw);
    mem_free(before);
    ox_plan_free(p);
    return s;
}

static status check_names(const assay_model *m, error *err) {
    if (m->n_labels > 0 && m->n_labels != m->ports[0].n) {
        return error_set(err, STATUS_MODEL, "%s: metadata assay.labels has %u names, the output %zu values",
                         m->graph.file, m->n_labels, m->ports[0].n);
    }
    if (m->n_columns > 0 && m->n_columns != m->pre.n_features) {
        return error_set(err, STATUS_MODEL, "%s: metadata assay.columns has %u names, the input %zu features",
                         m->graph.file, m->n_columns, m->pre.n_features);
    }
    return STATUS_OK;
}

status ox_ports_find(assay_model *m, error *err) {
    ox_plan *p = NULL;
    int64_t exported = m->graph.input_shape[0];
    status s = choose_output(m, &p, err);
    if (s != STATUS_OK && s != STATUS_USAGE && exported > 1) {
        (void)error_prefix(err, "(the file was exported with a fixed batch of %d) ", (int)exported);
    }
    if (s != STATUS_OK || p == NULL) {
        return s != STATUS_OK ? s : STATUS_INTERNAL;
    }
    ox_layers_find(m, p);
    ox_cost_find(m, p);
    m->chunk = ox_chunk_of(p);
    ox_plan_free(p);
    TRY(check_names(m, err));
    return m->one_by_one ? STATUS_OK : decide_batching(m, err);
}
