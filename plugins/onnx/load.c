/* SPDX-License-Identifier: Apache-2.0
 * File -> pre-scan -> protobuf-c -> our own graph (load.h says in which steps). */
#include "load.h"

#include "tensors.h"
#include "wire.h"

static status read_input_shape(loader *l, const Onnx__ValueInfoProto *v) {
    const Onnx__TypeProto *t = v->type;
    if (t == NULL || t->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || t->tensor_type == NULL) {
        return error_set(l->err, STATUS_UNSUPPORTED, "%s: input \"%s\" is not a tensor", l->g->file, text_of(v->name));
    }
    const Onnx__TypeProto__Tensor *tt = t->tensor_type;
    l->g->input_dtype = ox_dtype_of_onnx(tt->elem_type);
    if (l->g->input_dtype == 0) {
        return error_set(l->err, STATUS_UNSUPPORTED, "%s: input \"%s\" has element type %d, which is not supported",
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

/* The one input that is no initialiser. */
static status read_input(loader *l) {
    const src_graph *root = &l->root;
    if (root->n_inputs == 0) {
        return error_set(l->err, STATUS_MODEL, "%s: the graph has no input", l->g->file);
    }
    if (root->n_inputs > 1) {
        return error_set(l->err, STATUS_UNSUPPORTED,
                         "%s: more than one input (\"%s\" and \"%s\"); all but one need an initialiser", l->g->file,
                         root->inputs[0], root->inputs[1]);
    }
    const Onnx__GraphProto *graph = l->model->graph;
    for (size_t i = 0; i < graph->n_input; i++) {
        if (strcmp(text_of(graph->input[i]->name), root->inputs[0]) == 0) {
            return read_input_shape(l, graph->input[i]);
        }
    }
    return STATUS_OK;
}

static void copy_files(loader *l) {
    ox_graph *g = l->g;
    g->n_files = l->external.n_files;
    g->files = arena_alloc(&g->memory, g->n_files * sizeof *g->files);
    for (size_t i = 0; i < g->n_files; i++) {
        g->files[i] = arena_strdup(&g->memory, l->external.files[i].location);
    }
}

static status convert(loader *l) {
    if (l->model->graph == NULL) {
        return error_set(l->err, STATUS_MODEL, "%s: there is no graph in it", l->g->file);
    }
    copy_metadata(l);
    TRY(load_sources(l));
    copy_files(l);
    TRY(read_input(l));
    return load_expand(l);
}

static void free_loader(loader *l) {
    for (size_t i = 0; i < l->n_computed; i++) {
        mem_free(l->computed[i]);
    }
    mem_free(l->computed);
    mem_free(l->values);
    mem_free(l->notes);
    mem_free(l->ops);
    mem_free(l->op_done);
    ox_external_close(&l->external);
    arena_free(&l->scratch);
}

/* `path`: of the model file, where external data are beside it; NULL for a model in memory. */
static status parse(const uint8_t *data, size_t n, const char *file, const char *path, ox_graph *g, error *err) {
    error local = {0};
    err = err != NULL ? err : &local;
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
    loader l = {.model = m, .g = g, .external = {.model = path}, .err = err};
    status s = convert(&l);
    free_loader(&l);
    onnx__model_proto__free_unpacked(m, NULL);
    if (s != STATUS_OK) {
        ox_graph_free(g);
    }
    return s;
}

status ox_graph_parse(const uint8_t *data, size_t n, const char *file, ox_graph *g, error *err) {
    return parse(data, n, file, NULL, g, err);
}

status ox_graph_load(const char *path, ox_graph *g, error *err) {
    *g = (ox_graph){0};
    io_map map = {0};
    TRY(io_map_file(path, &map, err));
    status s = parse(map.data, map.n, path, path, g, err);
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
