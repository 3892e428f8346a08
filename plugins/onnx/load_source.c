/* SPDX-License-Identifier: Apache-2.0
 * protobuf-c -> source graphs. A first pass over all tensors adds up sizes and a second copies their data into one
 * block, so that a claim of the file is checked against its bytes before anything is allocated for it. */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>

#include "load.h"
#include "tensors.h"

static size_t aligned(size_t n) {
    return (n + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;
}

/* ---- tensors ------------------------------------------------------------------------------------ */

static status tensor_error(const loader *l, const char *where, const char *name) {
    return error_prefix(l->err, "%s: %s \"%s\": ", l->g->file, where, name);
}

/* The tensor with its data in raw_data, wherever they are. */
static status locate(loader *l, const Onnx__TensorProto *p, Onnx__TensorProto *out) {
    *out = *p;
    if (!ox_is_external(p)) {
        return STATUS_OK;
    }
    const uint8_t *data = NULL;
    size_t n = 0;
    TRY(ox_external_find(&l->external, p, &data, &n, l->err));
    out->raw_data.data = (uint8_t *)(uintptr_t)data; /* read only; protobuf-c's struct has no const */
    out->raw_data.len = n;
    out->n_external_data = 0;
    out->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT;
    return STATUS_OK;
}

static status count_tensor(loader *l, const Onnx__TensorProto *p, const char *where, const char *name, size_t *total) {
    ox_tensor t = {0};
    Onnx__TensorProto q;
    size_t bytes = 0, stored = 0;
    if (locate(l, p, &q) != STATUS_OK || ox_tensor_check(&q, &t, &bytes, &stored, l->err) != STATUS_OK) {
        return tensor_error(l, where, name);
    }
    if (!mem_add(*total, aligned(bytes), total)) {
        return error_set(l->err, STATUS_MODEL, "%s: the tensors' sizes overflow", l->g->file);
    }
    return STATUS_OK;
}

static status take_tensor(loader *l, const Onnx__TensorProto *p, const char *where, const char *name, ox_tensor **out,
                          size_t *stored) {
    ox_tensor *t = arena_alloc(&l->g->memory, sizeof *t);
    Onnx__TensorProto q;
    size_t bytes = 0;
    if (locate(l, p, &q) != STATUS_OK || ox_tensor_check(&q, t, &bytes, stored, l->err) != STATUS_OK) {
        return tensor_error(l, where, name);
    }
    t->name = arena_strdup(&l->g->memory, name);
    t->data = (uint8_t *)l->g->weights + l->weights_at;
    l->weights_at += aligned(bytes);
    *out = t;
    return ox_tensor_fill(&q, t, l->err) == STATUS_OK ? STATUS_OK : tensor_error(l, where, name);
}

static const char *node_name(const Onnx__NodeProto *p) {
    const char *name = text_of(p->name);
    return name[0] == '\0' && p->n_output > 0 ? text_of(p->output[0]) : name;
}

static status count_graph(loader *l, const Onnx__GraphProto *g, size_t *total);

static status count_nodes(loader *l, Onnx__NodeProto *const *nodes, size_t n, size_t *total) {
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < nodes[i]->n_attribute; j++) {
            const Onnx__AttributeProto *a = nodes[i]->attribute[j];
            if (a->t != NULL) {
                TRY(count_tensor(l, a->t, "tensor of node", node_name(nodes[i]), total));
            }
            if (a->g != NULL) {
                TRY(count_graph(l, a->g, total));
            }
        }
    }
    return STATUS_OK;
}

/* Recursion is as deep as the file's messages are nested: WIRE_MAX_DEPTH. */
static status count_graph(loader *l, const Onnx__GraphProto *g, size_t *total) {
    if (g->n_sparse_initializer > 0) {
        return error_set(l->err, STATUS_UNSUPPORTED, "%s: sparse initialisers are not supported", l->g->file);
    }
    for (size_t i = 0; i < g->n_initializer; i++) {
        const Onnx__TensorProto *p = g->initializer[i];
        TRY(count_tensor(l, p, "initialiser", text_of(p->name), total));
    }
    return count_nodes(l, g->node, g->n_node, total);
}

/* ---- attributes --------------------------------------------------------------------------------- */

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

/* The strings of a list, one after the other, each with its NUL. */
static const char *join_strings(arena *a, const ProtobufCBinaryData *list, size_t n) {
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) { /* no overflow: they lie in the file */
        bytes += list[i].len + 1;
    }
    char *p = arena_alloc(a, bytes), *at = p;
    for (size_t i = 0; i < n; i++) {
        if (list[i].len > 0) {
            memcpy(at, list[i].data, list[i].len);
        }
        at += list[i].len + 1;
    }
    return p;
}

static status take_attr(loader *l, const Onnx__AttributeProto *p, const char *node, ox_attr *a) {
    arena *m = &l->g->memory;
    *a = (ox_attr){.name = arena_strdup(m, text_of(p->name)), .kind = attr_kind(p), .i = p->i, .f = p->f};
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
    default: /* OX_OTHER: of what it may be, lists of strings are kept */
        a->n = p->n_strings;
        a->s = p->n_strings > 0 ? join_strings(m, p->strings, p->n_strings) : NULL;
        break;
    }
    return STATUS_OK;
}

/* ---- graphs ------------------------------------------------------------------------------------- */

/* What a graph's nodes bind to: the model's or the function's imports. */
typedef struct imports {
    Onnx__OperatorSetIdProto **list;
    size_t n;
    bool in_function;
} imports;

static status take_graph(loader *l, const Onnx__GraphProto *p, const imports *in, src_graph *g);

/* Version of a domain; what is not imported is version 1 (IR 1 and 2 had no imports at all). */
static int domain_version(const imports *in, const char *domain) {
    int64_t version = 1;
    for (size_t i = 0; i < in->n; i++) {
        const char *d = text_of(in->list[i]->domain);
        if (strcmp(d, domain) == 0 || (is_default_domain(d) && is_default_domain(domain))) {
            version = in->list[i]->version;
        }
    }
    return version < 0 ? 0 : version > INT_MAX ? INT_MAX : (int)version;
}

static status check_opset(const loader *l, const imports *in) {
    int version = domain_version(in, "");
    if (version < OX_MIN_OPSET || version > OX_MAX_OPSET) {
        return error_set(l->err, STATUS_UNSUPPORTED, "%s: opset %d of ai.onnx; %d to %d are supported", l->g->file,
                         version, OX_MIN_OPSET, OX_MAX_OPSET);
    }
    return STATUS_OK;
}

static int by_function(const void *a, const void *b) {
    const src_function *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* Kernels and functions of other domains have a qualified name: "com.microsoft.QGemm". */
static void name_operator(loader *l, const imports *in, src_node *n) {
    const char *domain = text_of(n->proto->domain), *type = text_of(n->proto->op_type);
    bool plain = is_default_domain(domain);
    n->op = plain ? arena_strdup(&l->g->memory, type) : arena_printf(&l->g->memory, "%s.%s", domain, type);
    n->opset = domain_version(in, domain);
    src_function key = {.name = (char *)(uintptr_t)n->op};
    n->function =
        l->n_functions == 0 ? NULL : bsearch(&key, l->functions, l->n_functions, sizeof *l->functions, by_function);
}

static status take_attrs(loader *l, const imports *in, src_node *n) {
    const Onnx__NodeProto *p = n->proto;
    if (p->n_attribute > OX_MAX_ATTRS) {
        return error_set(l->err, STATUS_MODEL, "%s: node \"%s\" has %zu attributes", l->g->file, n->name,
                         p->n_attribute);
    }
    ox_attr *attrs = arena_alloc(&l->g->memory, p->n_attribute * sizeof *attrs);
    const char **refs = arena_alloc(&l->scratch, in->in_function ? p->n_attribute * sizeof *refs : 0);
    src_body *bodies = arena_alloc(&l->scratch, p->n_attribute * sizeof *bodies);
    for (size_t i = 0; i < p->n_attribute; i++) {
        const Onnx__AttributeProto *a = p->attribute[i];
        TRY(take_attr(l, a, n->name, &attrs[i]));
        for (size_t j = 0; j < i; j++) {
            if (strcmp(attrs[j].name, attrs[i].name) == 0) {
                return error_set(l->err, STATUS_MODEL, "%s: node \"%s\" has attribute \"%s\" twice", l->g->file,
                                 n->name, attrs[i].name);
            }
        }
        if (text_of(a->ref_attr_name)[0] != '\0') {
            if (!in->in_function) {
                return error_set(l->err, STATUS_MODEL,
                                 "%s: node \"%s\": attribute \"%s\" refers to a function's attribute", l->g->file,
                                 n->name, attrs[i].name);
            }
            refs[i] = a->ref_attr_name;
            n->refs = refs;
        }
        if (a->g != NULL) {
            src_body *body = &bodies[n->n_bodies++];
            *body = (src_body){attrs[i].name, arena_alloc(&l->scratch, sizeof *body->graph)};
            TRY(take_graph(l, a->g, in, body->graph));
        }
    }
    n->attrs = attrs;
    n->n_attrs = p->n_attribute;
    n->bodies = bodies;
    return STATUS_OK;
}

static status take_nodes(loader *l, Onnx__NodeProto *const *nodes, size_t n, const imports *in, src_graph *g) {
    g->nodes = arena_alloc(&l->scratch, n * sizeof *g->nodes);
    g->n_nodes = n;
    for (size_t i = 0; i < n; i++) {
        g->nodes[i].proto = nodes[i];
        g->nodes[i].name = node_name(nodes[i]);
        name_operator(l, in, &g->nodes[i]);
        TRY(take_attrs(l, in, &g->nodes[i]));
    }
    return STATUS_OK;
}

static int by_name(const void *a, const void *b) {
    const src_name *x = a, *y = b;
    int c = strcmp(x->name, y->name);
    return c != 0 ? c : (x->slot > y->slot) - (x->slot < y->slot);
}

const src_name *src_find(const src_graph *g, const char *name) {
    size_t lo = 0, hi = g->n_names;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(g->names[mid].name, name) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < g->n_names && strcmp(g->names[lo].name, name) == 0 ? &g->names[lo] : NULL;
}

static void sort_names(src_graph *g) {
    if (g->n_names > 0) {
        qsort(g->names, g->n_names, sizeof *g->names, by_name);
    }
}

/* The table of names: sorted for look-ups without a hash that a file could attack. */
static status add_name(const loader *l, src_graph *g, const char *name, int32_t node, const char *what) {
    if (name[0] == '\0') {
        return error_set(l->err, STATUS_MODEL, "%s: an %s has no name", l->g->file, what);
    }
    g->names[g->n_names++] = (src_name){name, g->n_slots++, node};
    return STATUS_OK;
}

static status name_outputs(loader *l, src_graph *g) {
    for (size_t i = 0; i < g->n_nodes; i++) {
        const Onnx__NodeProto *p = g->nodes[i].proto;
        for (size_t j = 0; j < p->n_output; j++) {
            if (text_of(p->output[j])[0] != '\0') {
                TRY(add_name(l, g, p->output[j], (int32_t)i, "output"));
            }
        }
    }
    sort_names(g);
    for (size_t i = 1; i < g->n_names; i++) {
        if (strcmp(g->names[i - 1].name, g->names[i].name) == 0) {
            return error_set(l->err, STATUS_MODEL, "%s: the value \"%s\" is defined twice", l->g->file,
                             g->names[i].name);
        }
    }
    return STATUS_OK;
}

static size_t count_names(const src_graph *g, size_t n_inputs) {
    size_t n = g->n_inits + n_inputs;
    for (size_t i = 0; i < g->n_nodes; i++) {
        n += g->nodes[i].proto->n_output;
    }
    return n;
}

/* IR 3 lists every initialiser among the inputs: those are no inputs here. */
static status name_inputs(loader *l, const Onnx__GraphProto *p, src_graph *g) {
    sort_names(g);
    src_graph inits = *g;
    g->inputs = arena_alloc(&l->scratch, p->n_input * sizeof *g->inputs);
    for (size_t i = 0; i < p->n_input; i++) {
        const char *name = text_of(p->input[i]->name);
        if (src_find(&inits, name) == NULL) {
            TRY(add_name(l, g, name, -1, "input"));
            g->inputs[g->n_inputs++] = name;
        }
    }
    return STATUS_OK;
}

static status take_graph(loader *l, const Onnx__GraphProto *p, const imports *in, src_graph *g) {
    TRY(take_nodes(l, p->node, p->n_node, in, g));
    g->n_inits = p->n_initializer;
    g->inits = arena_alloc(&l->scratch, g->n_inits * sizeof *g->inits);
    g->names = arena_alloc(&l->scratch, count_names(g, p->n_input) * sizeof *g->names);
    for (size_t i = 0; i < g->n_inits; i++) {
        src_init *init = &g->inits[i];
        init->name = text_of(p->initializer[i]->name);
        init->value = -1;
        TRY(add_name(l, g, init->name, -1, "initialiser"));
        TRY(take_tensor(l, p->initializer[i], "initialiser", init->name, &init->t, &init->stored));
    }
    TRY(name_inputs(l, p, g));
    g->n_outputs = p->n_output;
    g->outputs = arena_alloc(&l->scratch, g->n_outputs * sizeof *g->outputs);
    for (size_t i = 0; i < g->n_outputs; i++) {
        g->outputs[i] = text_of(p->output[i]->name);
    }
    return name_outputs(l, g);
}

/* ---- functions ---------------------------------------------------------------------------------- */

#define ATTRIBUTE_PROTO 11 /* FunctionProto.attribute_proto, later than this onnx.proto: attributes with defaults */

static status check_function(const loader *l, const src_function *f) {
    const ProtobufCMessage *m = &f->proto->base;
    for (unsigned i = 0; i < m->n_unknown_fields; i++) {
        if (m->unknown_fields[i].tag == ATTRIBUTE_PROTO) {
            return error_set(l->err, STATUS_UNSUPPORTED,
                             "%s: function \"%s\" has attributes with default values, which is not supported",
                             l->g->file, f->name);
        }
    }
    return STATUS_OK;
}

static status take_function(loader *l, src_function *f) {
    const Onnx__FunctionProto *p = f->proto;
    TRY(check_function(l, f));
    imports in = {p->opset_import, p->n_opset_import, true};
    src_graph *g = &f->graph;
    if (check_opset(l, &in) != STATUS_OK || take_nodes(l, p->node, p->n_node, &in, g) != STATUS_OK) {
        return error_prefix(l->err, "function \"%s\": ", f->name);
    }
    g->names = arena_alloc(&l->scratch, count_names(g, p->n_input) * sizeof *g->names);
    g->inputs = arena_alloc(&l->scratch, p->n_input * sizeof *g->inputs);
    g->outputs = arena_alloc(&l->scratch, p->n_output * sizeof *g->outputs);
    g->n_inputs = p->n_input;
    g->n_outputs = p->n_output;
    for (size_t i = 0; i < p->n_input; i++) {
        g->inputs[i] = text_of(p->input[i]);
        TRY(add_name(l, g, g->inputs[i], -1, "input"));
    }
    for (size_t i = 0; i < p->n_output; i++) {
        g->outputs[i] = text_of(p->output[i]);
    }
    return name_outputs(l, g);
}

static status take_functions(loader *l) {
    for (size_t i = 0; i < l->n_functions; i++) {
        if (i > 0 && strcmp(l->functions[i - 1].name, l->functions[i].name) == 0) {
            return error_set(l->err, STATUS_MODEL, "%s: the function \"%s\" is defined twice", l->g->file,
                             l->functions[i].name);
        }
        TRY(take_function(l, &l->functions[i]));
    }
    return STATUS_OK;
}

static void name_functions(loader *l) {
    l->n_functions = l->model->n_functions;
    l->functions = arena_alloc(&l->scratch, l->n_functions * sizeof *l->functions);
    for (size_t i = 0; i < l->n_functions; i++) {
        const Onnx__FunctionProto *p = l->model->functions[i];
        const char *domain = text_of(p->domain), *name = text_of(p->name);
        l->functions[i] = (src_function){.proto = p};
        l->functions[i].name = is_default_domain(domain) ? arena_strdup(&l->scratch, name)
                                                         : arena_printf(&l->scratch, "%s.%s", domain, name);
    }
    if (l->n_functions > 0) {
        qsort(l->functions, l->n_functions, sizeof *l->functions, by_function);
    }
}

/* All tensors of initialisers and attributes: checked, and one block allocated for their data. */
static status allocate_weights(loader *l) {
    size_t total = 0;
    TRY(count_graph(l, l->model->graph, &total));
    for (size_t i = 0; i < l->model->n_functions; i++) {
        TRY(count_nodes(l, l->model->functions[i]->node, l->model->functions[i]->n_node, &total));
    }
    l->g->weights = mem_try(total, 1, "weights", l->err);
    return l->g->weights == NULL ? STATUS_MEMORY : STATUS_OK;
}

status load_sources(loader *l) {
    imports in = {l->model->opset_import, l->model->n_opset_import, false};
    TRY(check_opset(l, &in));
    l->g->opset = domain_version(&in, "");
    TRY(allocate_weights(l));
    name_functions(l);
    TRY(take_functions(l));
    return take_graph(l, l->model->graph, &in, &l->root);
}
