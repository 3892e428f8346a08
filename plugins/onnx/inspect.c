/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/str.h"
#include "kernel.h"
#include "load.h"
#include "wire.h"

typedef struct inspector {
    const Onnx__ModelProto *model;
    void (*fact)(void *context, const char *key, const char *value);
    void *context;
    const char **ops; /* of every node, those of subgraphs and functions too; "Conv", "com.microsoft.QGemm" */
    size_t n_ops, cap_ops;
    arena names;
} inspector;

static void tell(const inspector *in, const char *key, strbuf *b) {
    char *text = b->data;
    if (text != NULL) {
        str_make_printable(text, "");
        in->fact(in->context, key, text);
    }
    strbuf_free(b);
}

/* ---- declared inputs and outputs ---------------------------------------------------------------- */

static const char *element_name(int type) {
    static const char *const names[] = {"?",      "float32", "uint8",     "int8",       "uint16",  "int16",
                                        "int32",  "int64",   "string",    "bool",       "float16", "double",
                                        "uint32", "uint64",  "complex64", "complex128", "bfloat16"};
    return type >= 0 && (size_t)type < sizeof names / sizeof names[0] ? names[type] : "?";
}

static void add_dimension(strbuf *b, const Onnx__TensorShapeProto__Dimension *d) {
    if (d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE) {
        strbuf_addf(b, "%" PRId64, d->dim_value);
    } else if (d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM) {
        strbuf_addf(b, "%.40s", d->dim_param);
    } else {
        strbuf_add(b, "?");
    }
}

static void tell_value(const inspector *in, const char *key, const Onnx__ValueInfoProto *v) {
    strbuf b = {0};
    strbuf_addf(&b, "%.200s: ", text_of(v->name));
    if (v->type == NULL || v->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || v->type->tensor_type == NULL) {
        strbuf_add(&b, "not a tensor");
    } else {
        const Onnx__TypeProto__Tensor *t = v->type->tensor_type;
        strbuf_addf(&b, "%s (", element_name((int)t->elem_type));
        for (size_t i = 0; t->shape != NULL && i < t->shape->n_dim; i++) {
            strbuf_add(&b, i > 0 ? ", " : "");
            add_dimension(&b, t->shape->dim[i]);
        }
        strbuf_add(&b, t->shape == NULL ? "any shape)" : ")");
    }
    tell(in, key, &b);
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* IR 3 lists every initialiser among the inputs: those are no inputs here. */
static void tell_values(const inspector *in) {
    const Onnx__GraphProto *g = in->model->graph;
    const char **inits = mem_zalloc((g->n_initializer + 1) * sizeof *inits);
    for (size_t i = 0; i < g->n_initializer; i++) {
        inits[i] = text_of(g->initializer[i]->name);
    }
    qsort(inits, g->n_initializer, sizeof *inits, by_text);
    for (size_t i = 0; i < g->n_input; i++) {
        const char *name = text_of(g->input[i]->name);
        if (bsearch(&name, inits, g->n_initializer, sizeof *inits, by_text) == NULL) {
            tell_value(in, "input", g->input[i]);
        }
    }
    for (size_t i = 0; i < g->n_output; i++) {
        tell_value(in, "output", g->output[i]);
    }
    mem_free(inits);
}

/* ---- operators ---------------------------------------------------------------------------------- */

static int version_of(Onnx__OperatorSetIdProto *const *imports, size_t n, const char *domain) {
    int64_t version = 1;
    for (size_t i = 0; i < n; i++) {
        const char *d = text_of(imports[i]->domain);
        if (strcmp(d, domain) == 0 || (is_default_domain(d) && is_default_domain(domain))) {
            version = imports[i]->version;
        }
    }
    return version < 0 ? 0 : version > INT_MAX ? INT_MAX : (int)version;
}

static bool is_function(const Onnx__ModelProto *m, const Onnx__NodeProto *p) {
    for (size_t i = 0; i < m->n_functions; i++) {
        if (strcmp(text_of(m->functions[i]->name), text_of(p->op_type)) == 0 &&
            strcmp(text_of(m->functions[i]->domain), text_of(p->domain)) == 0) {
            return true;
        }
    }
    return false;
}

/* If and Loop are written out by the loader; whether their conditions are constant is for open to say. */
static bool is_supported(const inspector *in, const Onnx__NodeProto *p, const char *op, int opset) {
    return strcmp(op, "If") == 0 || strcmp(op, "Loop") == 0 || ox_kernel_find(op, opset) != NULL ||
           is_function(in->model, p);
}

/* Recursion is as deep as the file's messages are nested: WIRE_MAX_DEPTH. */
static void walk(inspector *in, Onnx__NodeProto *const *nodes, size_t n, Onnx__OperatorSetIdProto *const *imports,
                 size_t n_imports) {
    for (size_t i = 0; i < n; i++) {
        const Onnx__NodeProto *p = nodes[i];
        const char *domain = text_of(p->domain), *type = text_of(p->op_type);
        const char *op = is_default_domain(domain) ? type : arena_printf(&in->names, "%s.%s", domain, type);
        int opset = version_of(imports, n_imports, domain);
        in->ops = mem_grow(in->ops, &in->cap_ops, in->n_ops + 1, sizeof *in->ops);
        in->ops[in->n_ops++] = op;
        if (!is_supported(in, p, op, opset)) {
            strbuf b = {0};
            const char *name = text_of(p->name);
            name = name[0] == '\0' && p->n_output > 0 ? text_of(p->output[0]) : name;
            strbuf_addf(&b, "node \"%.200s\": %.200s (opset %d)", name, op, opset);
            tell(in, "unsupported", &b);
        }
        for (size_t j = 0; j < p->n_attribute; j++) {
            const Onnx__GraphProto *g = p->attribute[j]->g;
            if (g != NULL) {
                walk(in, g->node, g->n_node, imports, n_imports);
            }
        }
    }
}

static void tell_operators(inspector *in) {
    const Onnx__ModelProto *m = in->model;
    walk(in, m->graph->node, m->graph->n_node, m->opset_import, m->n_opset_import);
    for (size_t i = 0; i < m->n_functions; i++) {
        const Onnx__FunctionProto *f = m->functions[i];
        walk(in, f->node, f->n_node, f->opset_import, f->n_opset_import);
    }
    if (in->n_ops > 0) {
        qsort(in->ops, in->n_ops, sizeof *in->ops, by_text);
    }
    for (size_t i = 0; i < in->n_ops;) {
        size_t n = 1;
        while (i + n < in->n_ops && strcmp(in->ops[i], in->ops[i + n]) == 0) {
            n++;
        }
        strbuf b = {0};
        strbuf_addf(&b, "%.200s %zu", in->ops[i], n);
        tell(in, "operator", &b);
        i += n;
    }
}

/* ---- the file ----------------------------------------------------------------------------------- */

static void tell_all(inspector *in) {
    const Onnx__ModelProto *m = in->model;
    strbuf b = {0};
    strbuf_addf(&b, "ONNX, IR version %" PRId64, m->ir_version);
    tell(in, "format", &b);
    if (text_of(m->producer_name)[0] != '\0') {
        strbuf_addf(&b, "%.200s %.100s", m->producer_name, text_of(m->producer_version));
        while (b.len > 0 && b.data[b.len - 1] == ' ') {
            b.data[--b.len] = '\0';
        }
        tell(in, "producer", &b);
    }
    for (size_t i = 0; i < m->n_opset_import; i++) {
        const char *domain = text_of(m->opset_import[i]->domain);
        strbuf_addf(&b, "%.200s %" PRId64, is_default_domain(domain) ? "ai.onnx" : domain, m->opset_import[i]->version);
        tell(in, "opset", &b);
    }
    if (m->graph != NULL) {
        tell_values(in);
        tell_operators(in);
    }
}

status ox_inspect(const char *path, void (*fact)(void *context, const char *key, const char *value), void *context,
                  error *err) {
    io_map map = {0};
    TRY(io_map_file(path, &map, err));
    status s = map.n == 0 ? error_set(err, STATUS_MODEL, "%s: the file is empty", path)
                          : wire_scan(map.data, map.n, &onnx__model_proto__descriptor, path, err);
    Onnx__ModelProto *m = s == STATUS_OK ? onnx__model_proto__unpack(NULL, map.n, map.data) : NULL;
    io_unmap(&map);
    if (s == STATUS_OK && m == NULL) {
        s = error_set(err, STATUS_MODEL, "%s: is not an ONNX model (protobuf-c refused it)", path);
    }
    if (m != NULL) {
        inspector in = {.model = m, .fact = fact, .context = context};
        tell_all(&in);
        mem_free(in.ops);
        arena_free(&in.names);
        onnx__model_proto__free_unpacked(m, NULL);
    }
    return s;
}
