/* SPDX-License-Identifier: Apache-2.0
 * File -> pre-scan -> protobuf-c -> our own graph. The first two passes over the tensors add up sizes and copy data
 * into one block, so that a claim of the file is checked against its bytes before anything is allocated for it. */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/str.h"
#include "graph.h"
#include "onnx.pb-c.h"
#include "tensors.h"
#include "wire.h"

/* A definition of a name: sorted by name for look-ups without a hash that a file could attack. */
typedef struct definition {
    const char *name;
    int32_t value;
} definition;

typedef struct loader {
    const Onnx__ModelProto *model;
    const Onnx__GraphProto *graph;
    ox_graph *g;
    definition *defs;
    size_t n_defs;
    size_t weights_at; /* bytes of g->weights handed out */
    error *err;
} loader;

static const char *text_of(const char *s) {
    return s == NULL ? "" : s;
}

static size_t aligned(size_t n) {
    return (n + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;
}

static int by_name(const void *a, const void *b) {
    const definition *x = a, *y = b;
    int c = strcmp(x->name, y->name);
    return c != 0 ? c : (x->value > y->value) - (x->value < y->value);
}

static int32_t find_value(const loader *l, const char *name) {
    definition key = {.name = name, .value = INT32_MAX};
    size_t lo = 0, hi = l->n_defs;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (by_name(&l->defs[mid], &key) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo > 0 && strcmp(l->defs[lo - 1].name, name) == 0 ? l->defs[lo - 1].value : -1;
}

/* ---- tensors ------------------------------------------------------------------------------------ */

static status tensor_error(const loader *l, const char *where, const char *name) {
    return error_prefix(l->err, "%s: %s \"%s\": ", l->g->file, where, name);
}

static status count_tensor(loader *l, const Onnx__TensorProto *p, const char *where, const char *name, size_t *total) {
    ox_tensor t = {0};
    size_t bytes = 0, stored = 0;
    if (ox_tensor_check(p, &t, &bytes, &stored, l->err) != STATUS_OK) {
        return tensor_error(l, where, name);
    }
    if (!mem_add(*total, aligned(bytes), total)) {
        return error_set(l->err, STATUS_MODEL, "%s: the tensors' sizes overflow", l->g->file);
    }
    return STATUS_OK;
}

/* All tensors of initialisers and attributes: checked, and one block allocated for their data. */
static status allocate_weights(loader *l) {
    size_t total = 0;
    for (size_t i = 0; i < l->graph->n_initializer; i++) {
        const Onnx__TensorProto *p = l->graph->initializer[i];
        TRY(count_tensor(l, p, "initialiser", text_of(p->name), &total));
    }
    for (size_t i = 0; i < l->graph->n_node; i++) {
        const Onnx__NodeProto *n = l->graph->node[i];
        for (size_t j = 0; j < n->n_attribute; j++) {
            if (n->attribute[j]->t != NULL) {
                TRY(count_tensor(l, n->attribute[j]->t, "tensor of node", text_of(n->name), &total));
            }
        }
    }
    l->g->weights = mem_try(total, 1, "weights", l->err);
    return l->g->weights == NULL ? STATUS_MEMORY : STATUS_OK;
}

static status take_tensor(loader *l, const Onnx__TensorProto *p, const char *where, const char *name, ox_tensor **out,
                          size_t *stored) {
    ox_tensor *t = arena_alloc(&l->g->memory, sizeof *t);
    size_t bytes = 0;
    if (ox_tensor_check(p, t, &bytes, stored, l->err) != STATUS_OK) {
        return tensor_error(l, where, name);
    }
    t->name = name;
    t->data = (uint8_t *)l->g->weights + l->weights_at;
    l->weights_at += aligned(bytes);
    *out = t;
    return ox_tensor_fill(p, t, l->err) == STATUS_OK ? STATUS_OK : tensor_error(l, where, name);
}

/* ---- values ------------------------------------------------------------------------------------- */

static int32_t add_value(loader *l, const char *name, int32_t producer) {
    int32_t i = (int32_t)l->g->n_values++;
    l->g->values[i] = (ox_value){.name = arena_strdup(&l->g->memory, name), .producer = producer};
    l->defs[i] = (definition){l->g->values[i].name, i};
    return i;
}

static status read_input_shape(loader *l, const Onnx__ValueInfoProto *v) {
    const Onnx__TypeProto *t = v->type;
    if (t == NULL || t->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || t->tensor_type == NULL) {
        return error_set(l->err, STATUS_UNSUPPORTED, "%s: input \"%s\" is not a tensor", l->g->file, text_of(v->name));
    }
    const Onnx__TypeProto__Tensor *tt = t->tensor_type;
    if (tt->elem_type != ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT &&
        tt->elem_type != ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE) {
        return error_set(l->err, STATUS_UNSUPPORTED, "%s: input \"%s\" has element type %d; float (1) is supported",
                         l->g->file, text_of(v->name), (int)tt->elem_type);
    }
    const Onnx__TensorShapeProto *s = tt->shape;
    if (s == NULL || s->n_dim == 0 || s->n_dim > ASSAY_MAX_DIMS) {
        return error_set(l->err, STATUS_UNSUPPORTED, "%s: input \"%s\" has no shape of 1 to %d dimensions", l->g->file,
                         text_of(v->name), ASSAY_MAX_DIMS);
    }
    l->g->input_n_dims = (uint32_t)s->n_dim;
    for (size_t i = 0; i < s->n_dim; i++) {
        bool given = s->dim[i]->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        l->g->input_shape[i] = given && s->dim[i]->dim_value > 0 ? s->dim[i]->dim_value : -1;
    }
    return STATUS_OK;
}

static status add_inputs(loader *l, size_t n_init) {
    const Onnx__GraphProto *graph = l->graph;
    qsort(l->defs, n_init, sizeof *l->defs, by_name);
    l->n_defs = n_init;
    l->g->input = -1;
    for (size_t i = 0; i < graph->n_input; i++) {
        const char *name = text_of(graph->input[i]->name);
        if (find_value(l, name) >= 0) {
            continue; /* IR 3 lists every initialiser among the inputs */
        }
        if (l->g->input >= 0) {
            return error_set(l->err, STATUS_UNSUPPORTED, "%s: more than one input (\"%s\" and \"%s\")", l->g->file,
                             l->g->values[l->g->input].name, name);
        }
        if (name[0] == 0) {
            return error_set(l->err, STATUS_MODEL, "%s: an input has no name", l->g->file);
        }
        TRY(read_input_shape(l, graph->input[i]));
        l->g->input = add_value(l, name, OX_FROM_INPUT);
    }
    return l->g->input >= 0 ? STATUS_OK : error_set(l->err, STATUS_MODEL, "%s: the graph has no input", l->g->file);
}

static status check_duplicates(loader *l) {
    for (size_t i = 1; i < l->n_defs; i++) {
        if (strcmp(l->defs[i - 1].name, l->defs[i].name) == 0) {
            return error_set(l->err, STATUS_MODEL, "%s: the value \"%s\" is defined twice", l->g->file,
                             l->defs[i].name);
        }
    }
    return STATUS_OK;
}

/* Initialisers, input, and what nodes write. */
static status add_values(loader *l) {
    const Onnx__GraphProto *graph = l->graph;
    size_t n = graph->n_initializer + graph->n_input;
    for (size_t i = 0; i < graph->n_node; i++) {
        n += graph->node[i]->n_output;
    }
    l->g->values = arena_alloc(&l->g->memory, n * sizeof *l->g->values);
    l->defs = mem_try(n, sizeof *l->defs, "names", l->err);
    if (l->defs == NULL) {
        return STATUS_MEMORY;
    }
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const Onnx__TensorProto *p = graph->initializer[i];
        int32_t v = add_value(l, text_of(p->name), OX_FROM_FILE);
        ox_value *value = &l->g->values[v];
        if (value->name[0] == 0) {
            return error_set(l->err, STATUS_MODEL, "%s: an initialiser has no name", l->g->file);
        }
        TRY(take_tensor(l, p, "initialiser", value->name, &value->constant, &value->stored_bytes));
    }
    TRY(add_inputs(l, graph->n_initializer));
    for (size_t i = 0; i < graph->n_node; i++) {
        for (size_t j = 0; j < graph->node[i]->n_output; j++) {
            if (text_of(graph->node[i]->output[j])[0] != 0) {
                (void)add_value(l, graph->node[i]->output[j], (int32_t)i);
            }
        }
    }
    l->n_defs = l->g->n_values;
    qsort(l->defs, l->n_defs, sizeof *l->defs, by_name);
    return check_duplicates(l);
}

/* ---- nodes -------------------------------------------------------------------------------------- */

static ox_attr_kind attr_kind(const Onnx__AttributeProto *p) {
    switch (p->type) {
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT: return OX_FLOAT;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT: return OX_INT;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING: return OX_STRING;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR: return p->t != NULL ? OX_TENSOR : OX_OTHER;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS: return OX_FLOATS;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS: return OX_INTS;
    default: break;
    }
    if (p->has_type && p->type != ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED) {
        return OX_OTHER;
    }
    /* IR 1 had no type: what is there tells */
    if (p->has_f || p->has_i || p->has_s) {
        return p->has_f ? OX_FLOAT : p->has_i ? OX_INT : OX_STRING;
    }
    if (p->t != NULL || p->n_floats > 0) {
        return p->t != NULL ? OX_TENSOR : OX_FLOATS;
    }
    return p->n_ints > 0 ? OX_INTS : OX_OTHER;
}

static const void *copy_list(arena *a, const void *list, size_t n, size_t item) {
    void *p = arena_alloc(a, n * item);
    if (n > 0) {
        memcpy(p, list, n * item);
    }
    return p;
}

static status take_attr(loader *l, const Onnx__AttributeProto *p, const char *node, ox_attr *a) {
    arena *m = &l->g->memory;
    *a = (ox_attr){.name = arena_strdup(m, text_of(p->name)), .kind = attr_kind(p), .i = p->i, .f = p->f};
    if (text_of(p->ref_attr_name)[0] != 0) {
        return error_set(l->err, STATUS_MODEL, "%s: node \"%s\": attribute \"%s\" refers to a function's attribute",
                         l->g->file, node, a->name);
    }
    size_t stored = 0;
    ox_tensor *t = NULL;
    switch (a->kind) {
    case OX_STRING: a->s = arena_strndup(m, p->s.len > 0 ? (const char *)p->s.data : "", p->s.len); break;
    case OX_INTS:
        a->n = p->n_ints;
        a->ints = copy_list(m, p->ints, p->n_ints, sizeof *p->ints);
        break;
    case OX_FLOATS:
        a->n = p->n_floats;
        a->floats = copy_list(m, p->floats, p->n_floats, sizeof *p->floats);
        break;
    case OX_TENSOR:
        TRY(take_tensor(l, p->t, "tensor of node", node, &t, &stored));
        a->t = t;
        break;
    default: break;
    }
    return STATUS_OK;
}

static status take_attrs(loader *l, const Onnx__NodeProto *p, ox_op *op) {
    if (p->n_attribute > OX_MAX_ATTRS) {
        return error_set(l->err, STATUS_MODEL, "%s: node \"%s\" has %zu attributes", l->g->file, op->name,
                         p->n_attribute);
    }
    ox_attr *attrs = arena_alloc(&l->g->memory, p->n_attribute * sizeof *attrs);
    for (size_t i = 0; i < p->n_attribute; i++) {
        TRY(take_attr(l, p->attribute[i], op->name, &attrs[i]));
        for (size_t j = 0; j < i; j++) {
            if (strcmp(attrs[j].name, attrs[i].name) == 0) {
                return error_set(l->err, STATUS_MODEL, "%s: node \"%s\" has attribute \"%s\" twice", l->g->file,
                                 op->name, attrs[i].name);
            }
        }
    }
    op->attrs = attrs;
    op->n_attrs = p->n_attribute;
    return STATUS_OK;
}

/* An input must have been written before node `at`: ONNX requires sorted nodes, so a cycle shows up here too. */
static status link_input(loader *l, size_t at, const ox_op *op, const char *name, int32_t *out) {
    *out = OX_ABSENT;
    if (name[0] == 0) {
        return STATUS_OK;
    }
    int32_t v = find_value(l, name);
    if (v < 0) {
        return error_set(l->err, STATUS_MODEL, "%s: node \"%s\" (%s): its input \"%s\" is not defined anywhere",
                         l->g->file, op->name, op->op, name);
    }
    if (l->g->values[v].producer >= (int32_t)at) {
        return error_set(l->err, STATUS_MODEL,
                         "%s: node \"%s\" (%s): its input \"%s\" is only computed later, by node %d: the graph is not "
                         "sorted or has a cycle",
                         l->g->file, op->name, op->op, name, (int)l->g->values[v].producer);
    }
    *out = v;
    return STATUS_OK;
}

/* Number of names without the empty ones at the end. */
static size_t trimmed(char **names, size_t n) {
    while (n > 0 && text_of(names[n - 1])[0] == 0) {
        n--;
    }
    return n;
}

static status check_arity(const loader *l, const ox_op *op) {
    const ox_kernel *k = op->kernel;
    if (op->n_in < k->min_in || op->n_in > k->max_in || op->n_out < k->min_out || op->n_out > k->max_out) {
        return error_set(l->err, STATUS_MODEL,
                         "%s: node \"%s\" (%s): %zu inputs and %zu outputs; %u to %u and %u to %u are possible",
                         l->g->file, op->name, op->op, op->n_in, op->n_out, k->min_in, k->max_in, k->min_out,
                         k->max_out);
    }
    for (size_t i = 0; i < k->min_in || i < k->min_out; i++) {
        if ((i < k->min_in && op->in[i] == OX_ABSENT) || (i < k->min_out && op->out[i] == OX_ABSENT)) {
            return error_set(l->err, STATUS_MODEL, "%s: node \"%s\" (%s): input or output %zu is missing", l->g->file,
                             op->name, op->op, i);
        }
    }
    return STATUS_OK;
}

static bool is_default_domain(const char *domain) {
    return domain[0] == 0 || strcmp(domain, "ai.onnx") == 0;
}

/* Version of a domain other than ai.onnx; what is not imported is version 1. */
static int domain_version(const loader *l, const char *domain) {
    int64_t version = 1;
    for (size_t i = 0; i < l->model->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *o = l->model->opset_import[i];
        if (strcmp(text_of(o->domain), domain) == 0) {
            version = o->version;
        }
    }
    return version < 1 || version > INT_MAX ? 1 : (int)version;
}

/* Kernels of other domains are registered under a qualified name: "com.microsoft.QGemm". */
static void name_operator(const loader *l, const Onnx__NodeProto *p, ox_op *op) {
    const char *domain = text_of(p->domain), *type = text_of(p->op_type);
    if (is_default_domain(domain)) {
        op->op = arena_strdup(&l->g->memory, type);
        op->opset = l->g->opset;
    } else {
        op->op = arena_printf(&l->g->memory, "%s.%s", domain, type);
        op->opset = domain_version(l, domain);
    }
}

static status take_node(loader *l, size_t at) {
    const Onnx__NodeProto *p = l->graph->node[at];
    arena *m = &l->g->memory;
    ox_op *op = &l->g->ops[at];
    const char *name = text_of(p->name);
    if (name[0] == 0) {
        name = p->n_output > 0 ? text_of(p->output[0]) : "";
    }
    op->name = arena_strdup(m, name);
    name_operator(l, p, op);
    op->kernel = ox_kernel_find(op->op, op->opset);
    op->n_in = trimmed(p->input, p->n_input);
    op->n_out = trimmed(p->output, p->n_output);
    int32_t *in = arena_alloc(m, op->n_in * sizeof *in), *out = arena_alloc(m, op->n_out * sizeof *out);
    op->in = in;
    op->out = out;
    for (size_t i = 0; i < op->n_in; i++) {
        TRY(link_input(l, at, op, text_of(p->input[i]), &in[i]));
    }
    for (size_t i = 0; i < op->n_out; i++) {
        const char *o = text_of(p->output[i]);
        out[i] = o[0] == 0 ? OX_ABSENT : find_value(l, o);
    }
    TRY(take_attrs(l, p, op));
    return op->kernel != NULL ? check_arity(l, op) : STATUS_OK;
}

#define MAX_LISTED 12

/* All operators without a kernel in one error, each with the first node that uses it. */
static status check_supported(const loader *l) {
    const ox_op *listed[MAX_LISTED] = {0};
    size_t n = 0;
    bool more = false;
    for (size_t i = 0; i < l->g->n_ops; i++) {
        const ox_op *op = &l->g->ops[i];
        bool seen = op->kernel != NULL;
        for (size_t j = 0; j < n && !seen; j++) {
            seen = strcmp(listed[j]->op, op->op) == 0;
        }
        if (!seen && n < MAX_LISTED) {
            listed[n++] = op;
        } else if (!seen) {
            more = true;
        }
    }
    if (n == 0) {
        return STATUS_OK;
    }
    strbuf b = {0};
    for (size_t i = 0; i < n; i++) {
        strbuf_addf(&b, "%s%s: node \"%.80s\": operator %.60s (opset %d) is not supported", i > 0 ? "\n" : "",
                    l->g->file, listed[i]->name, listed[i]->op, listed[i]->opset);
    }
    strbuf_add(&b, more ? "\n(and further operators)" : "");
    status s = error_set(l->err, STATUS_UNSUPPORTED, "%s", strbuf_str(&b));
    strbuf_free(&b);
    return s;
}

static status add_nodes(loader *l) {
    const Onnx__GraphProto *graph = l->graph;
    if (graph->n_node > OX_MAX_NODES) {
        return error_set(l->err, STATUS_UNSUPPORTED, "%s: %zu nodes, more than %zu", l->g->file, graph->n_node,
                         OX_MAX_NODES);
    }
    l->g->ops = arena_alloc(&l->g->memory, graph->n_node * sizeof *l->g->ops);
    l->g->n_ops = graph->n_node;
    for (size_t i = 0; i < graph->n_node; i++) {
        TRY(take_node(l, i));
    }
    return check_supported(l);
}

/* ---- the rest of the model ---------------------------------------------------------------------- */

static status read_opset(loader *l) {
    int64_t version = l->model->n_opset_import == 0 ? 1 : 0; /* IR 1 and 2 had no import: version 1 */
    for (size_t i = 0; i < l->model->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *o = l->model->opset_import[i];
        if (is_default_domain(text_of(o->domain))) {
            version = o->version;
        }
    }
    if (version < OX_MIN_OPSET || version > OX_MAX_OPSET) {
        return error_set(l->err, STATUS_UNSUPPORTED, "%s: opset %" PRId64 " of ai.onnx; %d to %d are supported",
                         l->g->file, version, OX_MIN_OPSET, OX_MAX_OPSET);
    }
    l->g->opset = (int)version;
    return STATUS_OK;
}

static void copy_metadata(loader *l) {
    ox_graph *g = l->g;
    g->n_meta = l->model->n_metadata_props;
    g->meta = arena_alloc(&g->memory, g->n_meta * sizeof *g->meta);
    for (size_t i = 0; i < g->n_meta; i++) {
        const Onnx__StringStringEntryProto *e = l->model->metadata_props[i];
        g->meta[i].key = arena_strdup(&g->memory, text_of(e->key));
        g->meta[i].value = arena_strdup(&g->memory, text_of(e->value));
    }
}

static status add_outputs(loader *l) {
    ox_graph *g = l->g;
    g->n_outputs = l->graph->n_output;
    g->outputs = arena_alloc(&g->memory, g->n_outputs * sizeof *g->outputs);
    for (size_t i = 0; i < g->n_outputs; i++) {
        const char *name = text_of(l->graph->output[i]->name);
        g->outputs[i] = find_value(l, name);
        if (g->outputs[i] < 0) {
            return error_set(l->err, STATUS_MODEL, "%s: the output \"%s\" is not defined anywhere", g->file, name);
        }
    }
    return g->n_outputs > 0 ? STATUS_OK : error_set(l->err, STATUS_MODEL, "%s: the graph has no output", g->file);
}

static status convert(loader *l) {
    if (l->model->graph == NULL) {
        return error_set(l->err, STATUS_MODEL, "%s: there is no graph in it", l->g->file);
    }
    l->graph = l->model->graph;
    if (l->graph->n_sparse_initializer > 0) {
        return error_set(l->err, STATUS_UNSUPPORTED, "%s: sparse initialisers are not supported", l->g->file);
    }
    TRY(read_opset(l));
    copy_metadata(l);
    TRY(allocate_weights(l));
    TRY(add_values(l));
    TRY(add_nodes(l));
    return add_outputs(l);
}

status ox_graph_parse(const uint8_t *data, size_t n, const char *file, ox_graph *g, error *err) {
    *g = (ox_graph){0};
    if (n == 0) {
        return error_set(err, STATUS_MODEL, "%s: the file is empty", file);
    }
    TRY(wire_scan(data, n, &onnx__model_proto__descriptor, file, err));
    Onnx__ModelProto *m = onnx__model_proto__unpack(NULL, n, data);
    if (m == NULL) {
        return error_set(err, STATUS_MODEL, "%s: is not an ONNX model (protobuf-c refused it)", file);
    }
    g->file = arena_strdup(&g->memory, file);
    loader l = {.model = m, .g = g, .err = err};
    status s = convert(&l);
    mem_free(l.defs);
    onnx__model_proto__free_unpacked(m, NULL);
    if (s != STATUS_OK) {
        ox_graph_free(g);
    }
    return s;
}

status ox_graph_load(const char *path, ox_graph *g, error *err) {
    *g = (ox_graph){0};
    io_map map = {0};
    TRY(io_map_file(path, &map, err));
    status s = ox_graph_parse(map.data, map.n, path, g, err);
    io_unmap(&map);
    return s;
}

void ox_graph_free(ox_graph *g) {
    mem_free(g->weights);
    arena_free(&g->memory);
    *g = (ox_graph){0};
}

const char *ox_graph_meta(const ox_graph *g, const char *key) {
    for (size_t i = 0; i < g->n_meta; i++) {
        if (strcmp(g->meta[i].key, key) == 0) {
            return g->meta[i].value;
        }
    }
    return NULL;
}

int32_t ox_graph_find(const ox_graph *g, const char *value) {
    for (size_t i = 0; i < g->n_values; i++) {
        if (strcmp(g->values[i].name, value) == 0) {
            return (int32_t)i;
        }
    }
    return -1;
}
