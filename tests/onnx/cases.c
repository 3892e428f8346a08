/* SPDX-License-Identifier: Apache-2.0 */
#include "cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "assay/plugin.h"
#include "base/io.h"
#include "base/mem.h"

#define MAX_INITS 64u

uint8_t *onnx_case_file(const char *path, size_t *n) {
    char *text = NULL;
    return io_read_file(path, (size_t)1 << 30, &text, n, NULL) == STATUS_OK ? (uint8_t *)text : NULL;
}

bool onnx_case_open(onnx_case *c, const char *model_path) {
    size_t n = 0;
    uint8_t *data = onnx_case_file(model_path, &n);
    *c = (onnx_case){0};
    c->model = data == NULL ? NULL : onnx__model_proto__unpack(NULL, n, data);
    mem_free(data);
    return c->model != NULL;
}

void onnx_case_close(onnx_case *c) {
    onnx_case_free_tensors(c);
    onnx__model_proto__free_unpacked(c->model, NULL);
    *c = (onnx_case){0};
}

/* The package stores bfloat16 data as uint16: the graph says what they are. */
static Onnx__TensorProto *read_tensor(const char *folder, const char *kind, size_t i, const Onnx__ValueInfoProto *v) {
    char path[700];
    size_t n = 0;
    (void)snprintf(path, sizeof path, "%s/%s_%zu.pb", folder, kind, i);
    uint8_t *data = onnx_case_file(path, &n);
    Onnx__TensorProto *t = data == NULL ? NULL : onnx__tensor_proto__unpack(NULL, n, data);
    mem_free(data);
    if (t != NULL) {
        if (t->name != protobuf_c_empty_string) {
            free(t->name);
        }
        t->name = strdup(v->name);
        if (v->type->tensor_type->elem_type == ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16) {
            t->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16;
        }
    }
    return t;
}

static bool is_initialiser(const Onnx__GraphProto *g, const char *name) {
    for (size_t i = 0; i < g->n_initializer; i++) {
        if (strcmp(g->initializer[i]->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_tensor(const Onnx__ValueInfoProto *v) {
    return v->type != NULL && v->type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
}

bool onnx_case_read(onnx_case *c, const char *folder) {
    const Onnx__GraphProto *g = c->model->graph;
    c->n_in = c->n_out = 0;
    for (size_t i = 0; i < g->n_input && c->n_in < ONNX_CASE_IO; i++) {
        if (!is_initialiser(g, g->input[i]->name)) {
            if (!is_tensor(g->input[i])) {
                return false;
            }
            c->in[c->n_in] = read_tensor(folder, "input", c->n_in, g->input[i]);
            if (c->in[c->n_in++] == NULL) {
                return false;
            }
        }
    }
    for (size_t i = 0; i < g->n_output && c->n_out < ONNX_CASE_IO; i++) {
        if (!is_tensor(g->output[i])) {
            return false;
        }
        c->out[i] = read_tensor(folder, "output", i, g->output[i]);
        c->n_out++;
        if (c->out[i] == NULL) {
            return false;
        }
    }
    return true;
}

void onnx_case_free_tensors(onnx_case *c) {
    for (size_t i = 0; i < ONNX_CASE_IO; i++) {
        onnx__tensor_proto__free_unpacked(c->in[i], NULL);
        onnx__tensor_proto__free_unpacked(c->out[i], NULL);
        c->in[i] = c->out[i] = NULL;
    }
}

uint8_t *onnx_case_pack(const onnx_case *c, size_t var, size_t *n_bytes) {
    const Onnx__GraphProto *from = c->model->graph;
    Onnx__ModelProto m = *c->model;
    Onnx__GraphProto graph = *from;
    Onnx__TensorProto *inits[MAX_INITS];
    size_t n = 0;
    if (from->n_initializer + c->n_in > MAX_INITS) {
        return NULL;
    }
    for (size_t i = 0; i < from->n_initializer; i++) {
        inits[n++] = from->initializer[i];
    }
    for (size_t i = 0; i < c->n_in; i++) {
        if (i != var) {
            inits[n++] = c->in[i];
        }
    }
    Onnx__TensorShapeProto__Dimension dim = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT, *dims[ASSAY_MAX_DIMS];
    Onnx__TensorShapeProto__Dimension each[ASSAY_MAX_DIMS];
    const Onnx__TensorProto *x = var < c->n_in ? c->in[var] : NULL;
    size_t n_dims = x != NULL ? x->n_dims : 1;
    for (size_t i = 0; i < n_dims; i++) {
        each[i] = dim;
        each[i].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        each[i].dim_value = x != NULL ? x->dims[i] : 1;
        dims[i] = &each[i];
    }
    Onnx__TensorShapeProto shape = ONNX__TENSOR_SHAPE_PROTO__INIT;
    shape.n_dim = n_dims;
    shape.dim = dims;
    Onnx__TypeProto__Tensor tt = ONNX__TYPE_PROTO__TENSOR__INIT;
    tt.has_elem_type = true;
    tt.elem_type = x != NULL ? x->data_type : ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    tt.shape = &shape;
    Onnx__TypeProto type = ONNX__TYPE_PROTO__INIT;
    type.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type.tensor_type = &tt;
    Onnx__ValueInfoProto info = ONNX__VALUE_INFO_PROTO__INIT, *infos[] = {&info};
    char unread[] = "not read by anything";
    info.name = x != NULL ? x->name : unread;
    info.type = &type;
    graph.n_input = 1;
    graph.input = infos;
    graph.n_initializer = n;
    graph.initializer = inits;
    m.graph = &graph;
    *n_bytes = onnx__model_proto__get_packed_size(&m);
    uint8_t *data = mem_zalloc(*n_bytes);
    (void)onnx__model_proto__pack(&m, data);
    return data;
}
