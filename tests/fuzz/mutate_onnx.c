/* SPDX-License-Identifier: Apache-2.0
 * Mutations of a model as such. Flipped bytes mostly end in the wire scan; a swapped operator, a changed dimension or a
 * constant of another type reaches the kernels. What comes out need not be a good model: only the protobuf is one. */
#include <stdlib.h>
#include <string.h>

#include "fuzz_onnx.h"
#include "kernel.h"
#include "onnx.pb-c.h"
#include "wire.h"

typedef struct dice {
    uint64_t state;
} dice;

/* 0..n-1; n > 0. splitmix64 */
static size_t roll(dice *d, size_t n) {
    uint64_t z = d->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (size_t)((z ^ (z >> 31)) % n);
}

#define LENGTH(list) (sizeof(list) / sizeof(list)[0])
#define PICK(d, list) (list)[roll(d, LENGTH(list))]

static int64_t any_int(dice *d) {
    static const int64_t odd[] = {-1,
                                  -2,
                                  -3,
                                  1000,
                                  4096,
                                  65535,
                                  65536,
                                  INT32_MAX,
                                  INT32_MIN,
                                  INT64_MAX,
                                  1000000,
                                  INT64_MIN,
                                  INT64_MIN + 1,
                                  (int64_t)1 << 32,
                                  (int64_t)1 << 40,
                                  (int64_t)1 << 62,
                                  UINT32_MAX};
    return roll(d, 3) > 0 ? (int64_t)roll(d, 9) : PICK(d, odd);
}

static float any_float(dice *d) {
    static const float odd[] = {0,
                                -1,
                                1,
                                0.5F,
                                2,
                                1e-30F,
                                1e30F,
                                -1e30F,
                                255,
                                1e9F,
                                -0.0F,
                                1e-6F,
                                0.1F,
                                -0.5F,
                                1000,
                                __builtin_inff(),
                                -__builtin_inff(),
                                __builtin_nanf("")};
    return PICK(d, odd);
}

/* ---- protobuf-c's memory ------------------------------------------------------------------------ */

static char *copy(const char *s) {
    char *p = strdup(s);
    if (p == NULL) {
        abort();
    }
    return p;
}

static void set_text(char **at, const char *s) {
    char *old = *at;
    *at = copy(s);
    if (old != protobuf_c_empty_string) {
        free(old);
    }
}

/* Room for one more item in a repeated field. */
static void *grow(void *list, size_t n, size_t item) {
    void *p = realloc(list, (n + 1) * item);
    if (p == NULL) {
        abort();
    }
    return p;
}

#define APPEND(list, n, value)                                                                                         \
    do {                                                                                                               \
        (list) = grow(list, n, sizeof *(list));                                                                        \
        (list)[(n)++] = (value);                                                                                       \
    } while (0)

static void *clone(const ProtobufCMessage *m) {
    size_t n = protobuf_c_message_get_packed_size(m);
    uint8_t *bytes = grow(NULL, n, 1);
    (void)protobuf_c_message_pack(m, bytes);
    void *p = protobuf_c_message_unpack(m->descriptor, NULL, n, bytes);
    free(bytes);
    if (p == NULL) {
        abort();
    }
    return p;
}

static void *new_message(size_t bytes, void (*init)(void *)) {
    void *p = calloc(1, bytes);
    if (p == NULL) {
        abort();
    }
    init(p);
    return p;
}

static void init_node(void *p) {
    onnx__node_proto__init(p);
}
static void init_attr(void *p) {
    onnx__attribute_proto__init(p);
}
static void init_tensor(void *p) {
    onnx__tensor_proto__init(p);
}
static void init_dim(void *p) {
    onnx__tensor_shape_proto__dimension__init(p);
}

/* ---- names -------------------------------------------------------------------------------------- */

/* A value of the graph; NULL if it has none. */
static const char *any_value(const Onnx__GraphProto *g, dice *d) {
    size_t n = g->n_input + g->n_initializer + g->n_node;
    for (size_t tries = 0; tries < 8 && n > 0; tries++) {
        size_t i = roll(d, n);
        const char *name = NULL;
        if (i < g->n_input) {
            name = g->input[i]->name;
        } else if (i - g->n_input < g->n_initializer) {
            name = g->initializer[i - g->n_input]->name;
        } else {
            const Onnx__NodeProto *p = g->node[i - g->n_input - g->n_initializer];
            name = p->n_output > 0 ? p->output[roll(d, p->n_output)] : NULL;
        }
        if (name != NULL && name[0] != '\0') {
            return name;
        }
    }
    return NULL;
}

static char *fresh_name(const char *kind, dice *d) {
    char name[40];
    (void)snprintf(name, sizeof name, "%s%zu", kind, roll(d, 100000));
    return copy(name);
}

/* ---- nodes -------------------------------------------------------------------------------------- */

static const char *const attr_names[] = {"activation",
                                         "activation_alpha",
                                         "activation_beta",
                                         "activation_params",
                                         "activations",
                                         "align_corners",
                                         "allowzero",
                                         "alpha",
                                         "approximate",
                                         "auto_pad",
                                         "axes",
                                         "axis",
                                         "batch_axis",
                                         "batch_dims",
                                         "beta",
                                         "bias",
                                         "block_size",
                                         "blocksize",
                                         "broadcast",
                                         "ceil_mode",
                                         "center_point_box",
                                         "channels_last",
                                         "clip",
                                         "coordinate_transformation_mode",
                                         "count_include_pad",
                                         "cubic_coeff_a",
                                         "detect_negative",
                                         "detect_positive",
                                         "dilations",
                                         "direction",
                                         "dtype",
                                         "end",
                                         "ends",
                                         "epsilon",
                                         "equation",
                                         "exclude_outside",
                                         "exclusive",
                                         "extrapolation_value",
                                         "fmod",
                                         "gamma",
                                         "group",
                                         "hidden_size",
                                         "high",
                                         "ignore_index",
                                         "input_forget",
                                         "is_test",
                                         "k",
                                         "keepdims",
                                         "kernel_shape",
                                         "lambd",
                                         "largest",
                                         "layout",
                                         "linear_before_reset",
                                         "low",
                                         "max",
                                         "min",
                                         "mode",
                                         "nearest_mode",
                                         "noop_with_empty_axes",
                                         "num_groups",
                                         "num_outputs",
                                         "opset",
                                         "output_dtype",
                                         "output_height",
                                         "output_padding",
                                         "output_shape",
                                         "output_width",
                                         "p",
                                         "padding_mode",
                                         "pads",
                                         "perm",
                                         "reduction",
                                         "reverse",
                                         "sampling_ratio",
                                         "scales",
                                         "select_last_index",
                                         "shape",
                                         "size",
                                         "sorted",
                                         "spatial",
                                         "spatial_scale",
                                         "split",
                                         "start",
                                         "starts",
                                         "stash_type",
                                         "storage_order",
                                         "strides",
                                         "time_axis",
                                         "to",
                                         "training_mode",
                                         "transA",
                                         "transB",
                                         "upper",
                                         "value",
                                         "value_float",
                                         "value_floats",
                                         "value_int",
                                         "value_ints"};
static const char *const attr_texts[] = {"SAME_UPPER",
                                         "SAME_LOWER",
                                         "VALID",
                                         "NOTSET",
                                         "nearest",
                                         "linear",
                                         "cubic",
                                         "bilinear",
                                         "bicubic",
                                         "reflect",
                                         "edge",
                                         "wrap",
                                         "constant",
                                         "asymmetric",
                                         "half_pixel",
                                         "half_pixel_symmetric",
                                         "align_corners",
                                         "pytorch_half_pixel",
                                         "tf_crop_and_resize",
                                         "output_half_pixel",
                                         "floor",
                                         "ceil",
                                         "round_prefer_floor",
                                         "round_prefer_ceil",
                                         "add",
                                         "mul",
                                         "max",
                                         "min",
                                         "avg",
                                         "sum",
                                         "mean",
                                         "none",
                                         "forward",
                                         "reverse",
                                         "bidirectional",
                                         "zeros",
                                         "border",
                                         "reflection",
                                         "DCR",
                                         "CRD",
                                         "tanh",
                                         "LEFT",
                                         "RIGHT",
                                         "Relu",
                                         "Sigmoid",
                                         "Tanh",
                                         "ij,jk->ik",
                                         "bij,bjk->bik",
                                         "ii->i",
                                         "...ij->...ji",
                                         "ij,ij->",
                                         "i,j->ij",
                                         "bhid,bhjd->bhij",
                                         "",
                                         "not_larger"};

static void set_operator(Onnx__NodeProto *n, dice *d) {
    size_t n_kernels = 0;
    const ox_kernel *const *all = ox_kernel_all(&n_kernels);
    char name[128];
    (void)snprintf(name, sizeof name, "%s",
                   roll(d, 40) == 0 ? (roll(d, 2) == 0 ? "If" : "Loop") : all[roll(d, n_kernels)]->op);
    char *dot = strrchr(name, '.'); /* "com.microsoft.QGemm" */
    set_text(&n->op_type, dot != NULL ? dot + 1 : name);
    if (dot != NULL) {
        *dot = '\0';
    }
    set_text(&n->domain, dot != NULL ? name : "");
}

static void change_input(const Onnx__GraphProto *g, Onnx__NodeProto *n, dice *d) {
    const char *name = roll(d, 10) == 0 ? "" : any_value(g, d);
    if (name == NULL) {
        return;
    }
    if (n->n_input == 0 || roll(d, 3) == 0) {
        APPEND(n->input, n->n_input, copy(name));
    } else if (roll(d, 5) == 0) {
        set_text(&n->input[--n->n_input], "");
        free(n->input[n->n_input]);
    } else {
        char *own = copy(name); /* it may be the one that is replaced */
        set_text(&n->input[roll(d, n->n_input)], own);
        free(own);
    }
}

static void change_outputs(Onnx__NodeProto *n, dice *d) {
    if (n->n_output > 1 && roll(d, 2) == 0) {
        set_text(&n->output[--n->n_output], "");
        free(n->output[n->n_output]);
    } else {
        APPEND(n->output, n->n_output, fresh_name("o", d));
    }
}

static void change_ints(Onnx__AttributeProto *a, dice *d) {
    size_t what = roll(d, 4);
    if (a->n_ints == 0 || what == 0) {
        APPEND(a->ints, a->n_ints, any_int(d));
    } else if (what == 1) {
        a->n_ints--;
    } else {
        int64_t *v = &a->ints[roll(d, a->n_ints)];
        *v = what == 2 ? any_int(d) : (int64_t)((uint64_t)*v + (uint64_t)roll(d, 5) - 2u);
    }
}

static void set_bytes(ProtobufCBinaryData *b, const char *text) {
    free(b->data);
    b->data = (uint8_t *)copy(text);
    b->len = strlen(text);
}

static void change_attribute(Onnx__AttributeProto *a, dice *d) {
    a->has_type = true;
    switch (roll(d, 5)) {
    case 0:
        a->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
        a->has_f = true;
        a->f = any_float(d);
        break;
    case 1:
        a->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
        a->has_s = true;
        set_bytes(&a->s, PICK(d, attr_texts));
        break;
    case 2:
        a->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
        change_ints(a, d);
        break;
    default:
        a->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
        a->has_i = true;
        a->i = any_int(d);
        break;
    }
}

/* A value of the kind that is there. */
static void change_in_kind(Onnx__AttributeProto *a, dice *d) {
    switch (a->type) {
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT: a->f = any_float(d); break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT: a->i = any_int(d); break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING: set_bytes(&a->s, PICK(d, attr_texts)); break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS: change_ints(a, d); break;
    default: change_attribute(a, d); break;
    }
}

static void change_attributes(Onnx__NodeProto *n, dice *d) {
    if (n->n_attribute > 0 && roll(d, 4) > 0) {
        size_t i = roll(d, n->n_attribute);
        if (roll(d, 6) == 0) {
            onnx__attribute_proto__free_unpacked(n->attribute[i], NULL);
            n->attribute[i] = n->attribute[--n->n_attribute];
        } else {
            change_in_kind(n->attribute[i], d);
        }
        return;
    }
    Onnx__AttributeProto *a = new_message(sizeof *a, init_attr);
    a->name = copy(PICK(d, attr_names));
    change_attribute(a, d);
    APPEND(n->attribute, n->n_attribute, a);
}

/* ---- constants ---------------------------------------------------------------------------------- */

static const struct {
    int32_t type;
    size_t bytes;
} types[] = {{ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, 4},   {ONNX__TENSOR_PROTO__DATA_TYPE__UINT8, 1},
             {ONNX__TENSOR_PROTO__DATA_TYPE__INT8, 1},    {ONNX__TENSOR_PROTO__DATA_TYPE__INT32, 4},
             {ONNX__TENSOR_PROTO__DATA_TYPE__INT64, 8},   {ONNX__TENSOR_PROTO__DATA_TYPE__BOOL, 1},
             {ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16, 2}, {ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE, 8},
             {ONNX__TENSOR_PROTO__DATA_TYPE__UINT32, 4},  {ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16, 2}};

static size_t bytes_of_type(int32_t type) {
    for (size_t i = 0; i < LENGTH(types); i++) {
        if (types[i].type == type) {
            return types[i].bytes;
        }
    }
    return 4;
}

static void put_element(uint8_t *at, int32_t type, dice *d) {
    float f = any_float(d);
    double wide = (double)f;
    int64_t i = any_int(d);
    bool f32 = type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, f64 = type == ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE;
    memcpy(at, f32 ? (void *)&f : f64 ? (void *)&wide : (void *)&i, bytes_of_type(type)); /* little-endian */
}

/* The data in raw_data, as many as the dimensions say (up to a limit), the old ones first. */
static void fit_data(Onnx__TensorProto *t, dice *d) {
    size_t n = 1, item = bytes_of_type(t->data_type);
    for (size_t i = 0; i < t->n_dims; i++) {
        n = t->dims[i] < 0 || t->dims[i] > 4096 || n > 4096 ? 0 : n * (size_t)t->dims[i];
    }
    n = n > 4096 ? 0 : n;
    uint8_t *data = grow(NULL, n * item, 1);
    for (size_t i = 0; i < n; i++) {
        if ((i + 1) * item <= t->raw_data.len) {
            memcpy(data + i * item, t->raw_data.data + i * item, item);
        } else {
            put_element(data + i * item, t->data_type, d);
        }
    }
    free(t->raw_data.data);
    t->raw_data = (ProtobufCBinaryData){n * item, data};
    t->has_raw_data = true;
    t->n_float_data = t->n_int32_data = t->n_int64_data = t->n_double_data = t->n_uint64_data = 0;
}

static void change_dims(Onnx__TensorProto *t, dice *d) {
    size_t what = roll(d, 4);
    if (t->n_dims == 0 || what == 0) {
        APPEND(t->dims, t->n_dims, (int64_t)roll(d, 4));
    } else if (what == 1) {
        t->n_dims--;
    } else {
        t->dims[roll(d, t->n_dims)] = roll(d, 20) == 0 ? any_int(d) : (int64_t)roll(d, 9);
    }
}

static void change_tensor(Onnx__TensorProto *t, dice *d) {
    size_t what = roll(d, 8);
    if (what < 3) {
        change_dims(t, d);
    } else if (what == 3) {
        t->has_data_type = true;
        t->data_type = PICK(d, types).type;
    }
    if (roll(d, 20) > 0) {
        fit_data(t, d);
    }
    size_t item = bytes_of_type(t->data_type), n = t->raw_data.len / item;
    for (size_t i = 0; what > 3 && i < 3 && n > 0; i++) {
        put_element(t->raw_data.data + roll(d, n) * item, t->data_type, d);
    }
}

static Onnx__TensorProto *new_tensor(dice *d) {
    Onnx__TensorProto *t = new_message(sizeof *t, init_tensor);
    t->has_data_type = true;
    t->data_type = PICK(d, types).type;
    t->name = fresh_name("c", d);
    for (size_t i = roll(d, 5); i > 0; i--) {
        change_dims(t, d);
    }
    fit_data(t, d);
    return t;
}

/* ---- graphs ------------------------------------------------------------------------------------- */

static void add_node(Onnx__GraphProto *g, dice *d) {
    Onnx__NodeProto *n = new_message(sizeof *n, init_node);
    n->op_type = copy("");
    set_operator(n, d);
    for (size_t i = 1 + roll(d, 3); i > 0; i--) {
        const char *last =
            g->n_node > 0 && g->node[g->n_node - 1]->n_output > 0 ? g->node[g->n_node - 1]->output[0] : NULL;
        const char *name = n->n_input == 0 && last != NULL ? last : any_value(g, d);
        if (name != NULL) {
            APPEND(n->input, n->n_input, copy(name));
        }
    }
    APPEND(n->output, n->n_output, fresh_name("o", d));
    if (roll(d, 2) == 0) {
        change_attributes(n, d);
    }
    APPEND(g->node, g->n_node, n);
    if (g->n_output > 0 && roll(d, 4) > 0) {
        set_text(&g->output[0]->name, n->output[0]);
    }
}

static void copy_node(Onnx__GraphProto *g, dice *d) {
    Onnx__NodeProto *n = clone(&g->node[roll(d, g->n_node)]->base);
    for (size_t i = 0; i < n->n_output; i++) {
        char *name = fresh_name("o", d);
        set_text(&n->output[i], name);
        free(name);
    }
    change_input(g, n, d);
    APPEND(g->node, g->n_node, n);
    if (g->n_output > 0 && n->n_output > 0) {
        set_text(&g->output[0]->name, n->output[0]);
    }
}

static void drop_node(Onnx__GraphProto *g, dice *d) {
    size_t i = roll(d, g->n_node);
    onnx__node_proto__free_unpacked(g->node[i], NULL);
    memmove(&g->node[i], &g->node[i + 1], (--g->n_node - i) * sizeof *g->node);
}

static void change_graph_input(Onnx__GraphProto *g, dice *d) {
    Onnx__ValueInfoProto *v = g->input[roll(d, g->n_input)];
    if (v->type == NULL || v->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || v->type->tensor_type == NULL) {
        return;
    }
    Onnx__TypeProto__Tensor *t = v->type->tensor_type;
    Onnx__TensorShapeProto *s = t->shape;
    size_t what = roll(d, 6);
    if (what == 0 || s == NULL) {
        t->has_elem_type = true;
        t->elem_type = PICK(d, types).type;
    } else if (what == 1 || s->n_dim == 0) {
        Onnx__TensorShapeProto__Dimension *dim = new_message(sizeof *dim, init_dim);
        dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        dim->dim_value = (int64_t)roll(d, 6);
        APPEND(s->dim, s->n_dim, dim);
    } else if (what == 2) {
        protobuf_c_message_free_unpacked(&(s->dim[--s->n_dim])->base, NULL);
    } else {
        Onnx__TensorShapeProto__Dimension *dim = s->dim[roll(d, s->n_dim)];
        if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE) {
            dim->dim_value = roll(d, 20) == 0 ? any_int(d) : (int64_t)roll(d, 12);
        }
    }
}

static void change_constants(Onnx__GraphProto *g, dice *d) {
    if (g->n_initializer > 0 && roll(d, 5) > 0) {
        change_tensor(g->initializer[roll(d, g->n_initializer)], d);
    } else {
        APPEND(g->initializer, g->n_initializer, new_tensor(d));
    }
}

static void change_node(Onnx__GraphProto *g, Onnx__NodeProto *n, dice *d) {
    for (size_t i = 0; i < n->n_attribute; i++) { /* a tensor or a subgraph inside */
        if (n->attribute[i]->t != NULL && roll(d, 3) == 0) {
            change_tensor(n->attribute[i]->t, d);
            return;
        }
    }
    switch (roll(d, 8)) {
    case 0:
    case 1: set_operator(n, d); break;
    case 2:
    case 3: change_input(g, n, d); break;
    case 4: change_outputs(n, d); break;
    default: change_attributes(n, d); break;
    }
}

/* A subgraph now and then, however deep. */
static Onnx__GraphProto *any_graph(Onnx__GraphProto *g, dice *d) {
    for (size_t k = 0; k < g->n_node; k++) {
        const Onnx__NodeProto *n = g->node[k];
        for (size_t i = 0; i < n->n_attribute; i++) {
            if (n->attribute[i]->g != NULL && roll(d, 2) == 0) {
                return any_graph(n->attribute[i]->g, d);
            }
        }
    }
    return g;
}

static void change_model(Onnx__ModelProto *m, dice *d) {
    Onnx__GraphProto *g = any_graph(m->graph, d);
    size_t what = roll(d, 16);
    if (what == 0 && m->n_opset_import > 0) {
        m->opset_import[roll(d, m->n_opset_import)]->version = 1 + (int64_t)roll(d, 21);
    } else if (what == 1) {
        add_node(g, d);
    } else if (what == 2 && g->n_input > 0) {
        change_graph_input(g, d);
    } else if (what == 3 && g->n_output > 0 && any_value(g, d) != NULL) {
        const char *name = any_value(g, d);
        set_text(&g->output[roll(d, g->n_output)]->name, name == NULL ? "" : name);
    } else if (what < 7) {
        change_constants(g, d);
    } else if (what == 7 && g->n_node > 0) {
        copy_node(g, d);
    } else if (what == 8 && g->n_node > 1) {
        drop_node(g, d);
    } else if (g->n_node > 0) {
        change_node(g, g->node[roll(d, g->n_node)], d);
    }
}

/* ---- files -------------------------------------------------------------------------------------- */

/* NULL unless protobuf-c may see it and there is a graph. */
static Onnx__ModelProto *read_model(const uint8_t *data, size_t n) {
    error err = {0};
    if (n == 0 || wire_scan(data, n, &onnx__model_proto__descriptor, "fuzz", &err) != STATUS_OK) {
        return NULL;
    }
    Onnx__ModelProto *m = onnx__model_proto__unpack(NULL, n, data);
    if (m != NULL && m->graph == NULL) {
        onnx__model_proto__free_unpacked(m, NULL);
        return NULL;
    }
    return m;
}

/* 0 if it does not fit. Frees m. */
static size_t write_model(Onnx__ModelProto *m, uint8_t *out, size_t max) {
    size_t n = onnx__model_proto__get_packed_size(m);
    n = n <= max ? onnx__model_proto__pack(m, out) : 0;
    onnx__model_proto__free_unpacked(m, NULL);
    return n;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t max, unsigned seed) {
    dice d = {seed};
    Onnx__ModelProto *m = roll(&d, 8) == 0 ? NULL : read_model(data, n);
    if (m == NULL) {
        return LLVMFuzzerMutate(data, n, max);
    }
    for (size_t i = 1 + roll(&d, 3); i > 0; i--) {
        change_model(m, &d);
    }
    size_t written = write_model(m, data, max);
    return written > 0 ? written : LLVMFuzzerMutate(data, n, max);
}

/* All names of the graph's own get a prefix, but its input becomes `input`. */
static void rename_values(Onnx__GraphProto *g, const char *input) {
    const char *own = g->n_input > 0 && g->input[0]->name != NULL ? g->input[0]->name : "";
    for (size_t k = 0; k < g->n_node + g->n_initializer; k++) {
        Onnx__NodeProto *n = k < g->n_node ? g->node[k] : NULL;
        size_t n_in = n == NULL ? 0 : n->n_input, n_names = n == NULL ? 1 : n_in + n->n_output;
        for (size_t i = 0; i < n_names; i++) {
            char **at = n == NULL  ? &g->initializer[k - g->n_node]->name
                        : i < n_in ? &n->input[i]
                                   : &n->output[i - n_in];
            if (*at == NULL || (*at)[0] == '\0') {
                continue;
            }
            char name[200];
            bool bound = strcmp(*at, own) == 0;
            (void)snprintf(name, sizeof name, "%s%.150s", bound ? "" : "b.", bound ? input : *at);
            set_text(at, name);
        }
    }
}

/* Moves b's nodes and constants to the end of a's. */
static void join_graphs(Onnx__GraphProto *a, Onnx__GraphProto *b, dice *d) {
    const char *last = a->n_output > 0 && roll(d, 2) == 0 ? a->output[0]->name : any_value(a, d);
    char *bound = copy(last == NULL ? "x" : last);
    rename_values(b, bound);
    free(bound);
    for (size_t i = 0; i < b->n_node; i++) {
        APPEND(a->node, a->n_node, b->node[i]);
    }
    for (size_t i = 0; i < b->n_initializer; i++) {
        APPEND(a->initializer, a->n_initializer, b->initializer[i]);
    }
    const Onnx__NodeProto *end = b->n_node > 0 ? b->node[b->n_node - 1] : NULL;
    if (a->n_output > 0 && end != NULL && end->n_output > 0) {
        set_text(&a->output[0]->name, end->output[0]);
    }
    b->n_node = b->n_initializer = 0;
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t n_a, const uint8_t *b, size_t n_b, uint8_t *out, size_t max,
                                 unsigned seed) {
    dice d = {seed};
    Onnx__ModelProto *x = read_model(a, n_a), *y = x == NULL ? NULL : read_model(b, n_b);
    if (y == NULL) {
        onnx__model_proto__free_unpacked(x, NULL);
        return 0;
    }
    join_graphs(x->graph, y->graph, &d);
    onnx__model_proto__free_unpacked(y, NULL);
    return write_model(x, out, max);
}
