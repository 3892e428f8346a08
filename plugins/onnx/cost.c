/* SPDX-License-Identifier: Apache-2.0
 * What a model costs, from a plan at batch 1 that is as the file has it: weights and multiply-accumulates, of the whole
 * and of each node. */
#include <string.h>

#include "model.h"

/* What quantisation says about constants: scales and zero points are not weights, and the weight that stands for
 * zero is the zero point. */
typedef struct quant_role {
    bool is_parameter;
    double zero;
} quant_role;

static double first_element(const ox_tensor *t) {
    return t->dtype == ASSAY_U8   ? ((const uint8_t *)t->data)[0]
           : t->dtype == ASSAY_I8 ? ((const int8_t *)t->data)[0]
                                  : 0;
}

static quant_role *find_roles(const ox_graph *g, const ox_plan *p) {
    quant_role *roles = mem_zalloc(g->n_values * sizeof *roles);
    for (size_t k = 0; k < g->n_ops; k++) {
        const ox_op *op = &g->ops[k];
        if (strcmp(op->op, "QuantizeLinear") != 0 && strcmp(op->op, "DequantizeLinear") != 0) {
            continue;
        }
        for (size_t i = 1; i < op->n_in; i++) {
            if (op->in[i] != OX_ABSENT) {
                roles[op->in[i]].is_parameter = true;
            }
        }
        if (op->n_in > 2 && op->in[0] != OX_ABSENT && op->in[2] != OX_ABSENT) {
            const ox_tensor *z = &p->tensors[op->in[2]];
            roles[op->in[0]].zero = z->is_const && z->data != NULL && z->n == 1 ? first_element(z) : 0;
        }
    }
    return roles;
}

/* int64 and bool constants are shapes, axes and masks. */
static bool is_weight_dtype(uint32_t dtype) {
    return dtype == ASSAY_F32 || dtype == ASSAY_I8 || dtype == ASSAY_U8 || dtype == ASSAY_I32;
}

static void count_weights(assay_layer_info *c, const ox_tensor *t, size_t stored_bytes, double zero) {
    c->n_params += t->n;
    c->weight_bytes += stored_bytes;
    for (size_t i = 0; i < t->n; i++) {
        switch (t->dtype) {
        case ASSAY_F32: c->n_params_zero += ((const float *)t->data)[i] == 0; break;
        case ASSAY_I32: c->n_params_zero += ((const int32_t *)t->data)[i] == 0; break;
        case ASSAY_U8: c->n_params_zero += (double)((const uint8_t *)t->data)[i] == zero; break;
        default: c->n_params_zero += (double)((const int8_t *)t->data)[i] == zero; break;
        }
    }
}

static double bits_per_weight(uint64_t bytes, uint64_t n) {
    return n > 0 ? 8.0 * (double)bytes / (double)n : 0;
}

/* ---- nodes -------------------------------------------------------------------------------------- */

static const ox_tensor *first_output(const ox_node *n) {
    size_t i = 0;
    while (i + 1 < n->n_out && n->out[i] == NULL) {
        i++;
    }
    return n->out[i];
}

static assay_layer_info describe(const ox_node *n) {
    const ox_tensor *t = first_output(n);
    assay_layer_info c = {.struct_size = sizeof c, .dtype = t->dtype, .name = n->name, .op = n->op};
    c.n_dims = t->n_dims;
    memcpy(c.shape, t->shape, t->n_dims * sizeof c.shape[0]);
    c.n_macs = n->kernel->macs != NULL ? n->kernel->macs(n) : 0;
    return c;
}

/* By value: the first node of the plan that reads it, also through operators that are folded away (a Cast of float16
 * weights, a Transpose); -1: none does. */
static int32_t *find_readers(const ox_graph *g, const ox_plan *p) {
    int32_t *node_of = mem_zalloc((g->n_ops + 1) * sizeof *node_of); /* by operator of the graph; 0: folded or unused */
    int32_t *reader = mem_zalloc((g->n_values + 1) * sizeof *reader);
    for (size_t k = 0; k < p->n_nodes; k++) {
        node_of[g->values[first_output(&p->nodes[k]) - p->tensors].producer] = (int32_t)k + 1;
    }
    for (size_t v = 0; v < g->n_values; v++) {
        reader[v] = -1;
    }
    for (size_t k = g->n_ops; k-- > 0;) {
        const ox_op *op = &g->ops[k];
        int32_t by = node_of[k] - 1;
        for (size_t i = 0; i < op->n_out && by < 0; i++) {
            by = op->out[i] == OX_ABSENT ? -1 : reader[op->out[i]];
        }
        for (size_t i = 0; i < op->n_in && by >= 0; i++) {
            int32_t v = op->in[i];
            if (v != OX_ABSENT && (reader[v] < 0 || reader[v] > by)) {
                reader[v] = by;
            }
        }
    }
    mem_free(node_of);
    return reader;
}

/* The constant's data and its bytes in the file; NULL where the value is none. */
static const ox_tensor *constant_of(const ox_graph *g, const ox_plan *p, size_t v, size_t *stored) {
    int32_t k = g->values[v].producer;
    *stored = g->values[v].stored_bytes;
    if (k >= 0 && strcmp(g->ops[k].op, "Constant") == 0 && p->tensors[v].is_const) {
        *stored = p->tensors[v].n * ox_dtype_bytes(p->tensors[v].dtype);
        return &p->tensors[v];
    }
    return g->values[v].constant;
}

static void sum_up(assay_model *m, const ox_plan *p) {
    assay_cost_info *c = &m->cost;
    *c = (assay_cost_info){.struct_size = sizeof *c, .n_macs = ox_plan_macs(p), .peak_bytes = p->n_activation_bytes};
    for (size_t k = 0; k < m->n_costs; k++) {
        assay_layer_info *l = &m->costs[k];
        l->weight_bits = bits_per_weight(l->weight_bytes, l->n_params);
        c->n_params += l->n_params;
        c->n_params_zero += l->n_params_zero;
        c->weight_bytes += l->weight_bytes;
    }
    c->weight_bits = bits_per_weight(c->weight_bytes, c->n_params);
}

void ox_cost_find(assay_model *m, const ox_plan *p) {
    const ox_graph *g = &m->graph;
    quant_role *roles = find_roles(g, p);
    int32_t *reader = find_readers(g, p);
    m->n_costs = p->n_nodes;
    m->costs = arena_alloc(&m->memory, p->n_nodes * sizeof *m->costs);
    for (size_t k = 0; k < p->n_nodes; k++) {
        m->costs[k] = describe(&p->nodes[k]);
    }
    for (size_t v = 0; v < g->n_values; v++) {
        size_t stored = 0;
        const ox_tensor *t = constant_of(g, p, v, &stored);
        if (t != NULL && p->in_plan[v] && reader[v] >= 0 && is_weight_dtype(t->dtype) && !roles[v].is_parameter) {
            count_weights(&m->costs[reader[v]], t, stored, roles[v].zero);
        }
    }
    mem_free(roles);
    mem_free(reader);
    sum_up(m, p);
}
