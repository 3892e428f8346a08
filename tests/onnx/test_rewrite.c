/* SPDX-License-Identifier: Apache-2.0
 * A rewritten plan (fusion, views, blocked layouts) against the same graph node by node as written: results and
 * gradients in all modes, at two batch sizes; that the rewriting took place at all; that an example's bits do not
 * depend on its batch; and that a NaN comes out where it would have. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"
#include "support.h"

#define TOLERANCE 2e-5 /* of the largest value */
#define MAX_OUT 3
#define BATCH 3

/* Lines "y = Op in in ... | attr=1 attr=1,2 attr=0.5", separated by ';'. #3x4 is a constant of that shape with random
 * values, #=0.5 a scalar, #+8 a positive vector, #1,2 an int64 vector. Input x, outputs y and, where named, y2, y3. */
typedef struct graph_case {
    const char *what;
    int64_t shape[4]; /* of x; shape[0] is the batch */
    size_t n_dims;
    const char *lines;
    size_t at_most; /* nodes after rewriting */
    int opset;      /* 0: 13 */
} graph_case;

static uint64_t seed;

static float random_value(void) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(seed >> 40) / (1 << 24) * 2 - 1);
}

static void add_constant(pb *g, const char *name, const char *spec) {
    int64_t shape[8];
    size_t n_dims = 0, n = 1;
    if (*spec == '=') {
        float v = strtof(spec + 1, NULL);
        onnx_f32(g, name, NULL, 0, &v);
        return;
    }
    if (strchr(spec, ',') != NULL) {
        char *end = NULL;
        int64_t values[8];
        for (const char *s = spec; *s != '\0'; s = *end == ',' ? end + 1 : end) {
            values[n_dims++] = strtoll(s, &end, 10);
        }
        int64_t len[1] = {(int64_t)n_dims};
        onnx_i64(g, name, len, 1, values);
        return;
    }
    bool positive = *spec == '+';
    char *end = NULL;
    for (const char *s = spec + positive; *s != '\0'; s = *end == 'x' ? end + 1 : end) {
        shape[n_dims] = strtoll(s, &end, 10);
        n *= (size_t)shape[n_dims++];
    }
    float *data = mem_zalloc(n * sizeof *data);
    for (size_t i = 0; i < n; i++) {
        data[i] = positive ? 0.6F + 0.4F * random_value() : 0.5F * random_value();
    }
    onnx_f32(g, name, shape, n_dims, data);
    mem_free(data);
}

static void add_attr(pb *attrs, char *token) {
    pb a = {0};
    char *v = strchr(token, '=');
    *v++ = '\0';
    pb_str(&a, 1, token);
    if (strchr(v, ',') != NULL) {
        char *end = NULL;
        for (char *s = v; *s != '\0'; s = *end == ',' ? end + 1 : end) {
            pb_int(&a, 8, (uint64_t)strtoll(s, &end, 10));
        }
        pb_int(&a, 20, 7);
    } else if (isalpha((unsigned char)*v)) {
        pb_str(&a, 4, v);
        pb_int(&a, 20, 3);
    } else if (strchr(v, '.') != NULL) {
        pb_float(&a, 2, strtof(v, NULL));
        pb_int(&a, 20, 1);
    } else {
        pb_int(&a, 3, (uint64_t)strtoll(v, NULL, 10));
        pb_int(&a, 20, 2);
    }
    pb_msg(attrs, 5, &a);
}

static void add_line(pb *g, char *line, size_t *n_constants) {
    char *rest = NULL, *out = strtok_r(line, " \n", &rest), in[300] = "", name[32];
    (void)strtok_r(NULL, " \n", &rest); /* = */
    char *op = strtok_r(NULL, " \n", &rest);
    pb attrs = {0};
    bool after = false;
    for (char *t = strtok_r(NULL, " \n", &rest); t != NULL; t = strtok_r(NULL, " \n", &rest)) {
        if (*t == '|') {
            after = true;
        } else if (after) {
            add_attr(&attrs, t);
        } else {
            if (*t == '#') {
                (void)snprintf(name, sizeof name, "constant%zu", (*n_constants)++);
                add_constant(g, name, t + 1);
                t = name;
            }
            (void)snprintf(in + strlen(in), sizeof in - strlen(in), "%s%s", in[0] != '\0' ? " " : "", t);
        }
    }
    char outs[64];
    (void)snprintf(outs, sizeof outs, "%s", out);
    for (char *c = outs; *c != '\0'; c++) {
        *c = *c == ',' ? ' ' : *c;
    }
    onnx_node(g, op, out, in, outs, &attrs);
}

static size_t parse(const graph_case *c, ox_graph *g) {
    pb graph = {0};
    char text[2000], *rest = NULL;
    size_t n_constants = 0, n_out = 0;
    int64_t shape[4];
    memcpy(shape, c->shape, sizeof shape);
    shape[0] = -1;
    seed = 7;
    onnx_input(&graph, "x", shape, c->n_dims);
    (void)snprintf(text, sizeof text, "%s", c->lines);
    for (char *line = strtok_r(text, ";", &rest); line != NULL; line = strtok_r(NULL, ";", &rest)) {
        add_line(&graph, line, &n_constants);
    }
    static const char *const names[MAX_OUT] = {"y", "y2", "y3"};
    for (size_t i = 0; i < MAX_OUT; i++) {
        char find[8];
        (void)snprintf(find, sizeof find, "%s =", names[i]);
        if (strstr(c->lines, find) != NULL) {
            onnx_output(&graph, names[i]);
            n_out++;
        }
    }
    pb m = onnx_model(&graph, c->opset != 0 ? c->opset : 13, NULL);
    error err = {0};
    if (ox_graph_parse(m.data, m.n, c->what, g, &err) != STATUS_OK) {
        fail_msg("%s", err.text);
    }
    pb_free(&m);
    return n_out;
}

static ox_plan *make(const graph_case *c, const ox_graph *g, size_t n_out, int64_t batch, bool as_written, bool vjp) {
    error err = {0};
    ox_plan *p = NULL;
    ox_plan_args a = {
        .batch = batch, .wanted = g->outputs, .n_wanted = n_out, .want_vjp = vjp, .as_written = as_written};
    if (ox_plan_make(g, &a, &p, &err) != STATUS_OK) {
        fail_msg("%s: %s", c->what, err.text);
    }
    return p;
}

/* Fills the input and runs; `nan`: index of an element to make NaN, or SIZE_MAX. */
static void forward(const graph_case *c, ox_plan *p, size_t nan) {
    error err = {0};
    ox_tensor *x = &p->tensors[p->graph->input];
    seed = 11;
    for (size_t i = 0; i < x->n; i++) {
        ((float *)x->data)[i] = i == nan ? NAN : random_value();
    }
    if (ox_plan_forward(p, &err) != STATUS_OK) {
        fail_msg("%s: %s", c->what, err.text);
    }
}

static void backward(const graph_case *c, ox_plan *p, size_t n_out, assay_vjp_mode mode) {
    error err = {0};
    seed = 13;
    ox_plan_zero_gradients(p);
    for (size_t o = 0; o < n_out; o++) {
        int32_t v = p->graph->outputs[o];
        for (size_t i = 0; i < p->tensors[v].n; i++) {
            p->grads[v][i] += random_value();
        }
    }
    if (ox_plan_backward(p, mode, &err) != STATUS_OK) {
        fail_msg("%s: %s", c->what, err.text);
    }
}

static void compare(const graph_case *c, const char *what, const float *got, const float *want, size_t n) {
    double scale = 1e-3;
    for (size_t i = 0; i < n; i++) {
        scale = fabs((double)want[i]) > scale ? fabs((double)want[i]) : scale;
    }
    for (size_t i = 0; i < n; i++) {
        bool same = (isnan(got[i]) && isnan(want[i])) || fabs((double)got[i] - (double)want[i]) <= TOLERANCE * scale;
        if (!same) {
            fail_msg("%s: %s [%zu] is %.9g, as written %.9g (of %.3g)", c->what, what, i, (double)got[i],
                     (double)want[i], scale);
        }
    }
}

static void compare_outputs(const graph_case *c, const char *what, const ox_plan *a, const ox_plan *b, size_t n_out) {
    for (size_t o = 0; o < n_out; o++) {
        int32_t v = a->graph->outputs[o];
        compare(c, what, a->tensors[v].data, b->tensors[v].data, a->tensors[v].n);
    }
}

static void against_as_written(const graph_case *c, const ox_graph *g, size_t n_out, int64_t batch) {
    ox_plan *fused = make(c, g, n_out, batch, false, true), *plain = make(c, g, n_out, batch, true, true);
    ox_plan *predict = make(c, g, n_out, batch, false, false);
    if (fused->n_nodes > c->at_most) {
        fail_msg("%s: %zu nodes, %zu as written; %zu expected", c->what, fused->n_nodes, plain->n_nodes, c->at_most);
    }
    forward(c, fused, SIZE_MAX);
    forward(c, plain, SIZE_MAX);
    forward(c, predict, SIZE_MAX);
    compare_outputs(c, "result", fused, plain, n_out);
    for (size_t o = 0; o < n_out; o++) { /* a plan for gradients computes what one for predictions does */
        const ox_tensor *t = &fused->tensors[g->outputs[o]];
        assert_memory_equal(t->data, predict->tensors[g->outputs[o]].data, t->n * sizeof(float));
    }
    for (int mode = ASSAY_VJP_EXACT; mode <= ASSAY_VJP_STRAIGHT_THROUGH; mode++) {
        char what[32];
        (void)snprintf(what, sizeof what, "gradient, mode %d", mode);
        memset(fused->gradients, 0xff, fused->n_gradient_bytes); /* NaN: nothing may be left from before */
        backward(c, fused, n_out, (assay_vjp_mode)mode);
        backward(c, plain, n_out, (assay_vjp_mode)mode);
        compare(c, what, fused->grads[g->input], plain->grads[g->input], fused->tensors[g->input].n);
    }
    forward(c, fused, 5);
    forward(c, plain, 5);
    compare_outputs(c, "result with a NaN", fused, plain, n_out);
    ox_plan_free(fused);
    ox_plan_free(plain);
    ox_plan_free(predict);
}

/* The first example of a batch, alone. */
static void same_bits(const graph_case *c, const ox_graph *g, size_t n_out) {
    ox_plan *one = make(c, g, n_out, 1, false, true), *many = make(c, g, n_out, BATCH, false, true);
    forward(c, one, SIZE_MAX);
    forward(c, many, SIZE_MAX);
    for (size_t o = 0; o < n_out; o++) {
        int32_t v = g->outputs[o];
        assert_memory_equal(one->tensors[v].data, many->tensors[v].data, one->tensors[v].n * sizeof(float));
    }
    if (n_out == 1) { /* else the cotangents of the second output would differ */
        backward(c, one, n_out, ASSAY_VJP_LEAKY);
        backward(c, many, n_out, ASSAY_VJP_LEAKY);
        assert_memory_equal(one->grads[g->input], many->grads[g->input], one->tensors[g->input].n * sizeof(float));
    }
    ox_plan_free(one);
    ox_plan_free(many);
}

#define CONV3 "| kernel_shape=3,3 pads=1,1,1,1"
#define CONV1 "| kernel_shape=1,1"
static const graph_case cases[] = {
    {"residual block",
     {0, 16, 7, 6},
     4, /* conv (bn, relu), conv (bn, add, relu): a reorder before, one behind */
     "a = Conv x #16x16x3x3 " CONV3 "; b = BatchNormalization a #16 #16 #16 #+16; c = Relu b;"
     "d = Conv c #16x16x3x3 #16 " CONV3 "; e = BatchNormalization d #16 #16 #16 #+16; f = Add e x; y = Relu f",
     4,
     0},
    {"residual with a projection, stride 2",
     {0, 16, 8, 8},
     4,
     "a = Conv x #32x16x3x3 #32 | kernel_shape=3,3 strides=2,2 pads=1,1,1,1; r = Relu a;"
     "b = Conv r #32x32x3x3 " CONV3 "; s = Conv x #32x16x1x1 | kernel_shape=1,1 strides=2,2; t = Add b s; y = Relu t;",
     5,
     0},
    {"inverted residual with 24 channels",
     {0, 24, 6, 6},
     4,
     "a = Conv x #48x24x1x1 #48 " CONV1 "; b = Clip a #=0 #=0.6; c = Conv b #48x1x3x3 #48 " CONV3 " group=48;"
     "d = Clip c #=0 #=0.6; e = Conv d #24x48x1x1 #24 " CONV1 "; y = Add x e",
     5,
     0},
    {"pools",
     {0, 3, 15, 13},
     4,
     "a = Conv x #20x3x3x3 #20 " CONV3 "; b = Relu a; c = MaxPool b | kernel_shape=3,3 strides=2,2 pads=1,1,1,1;"
     "d = AveragePool c | kernel_shape=3,3 strides=2,1 pads=1,0,1,1 count_include_pad=1;"
     "e = AveragePool d | kernel_shape=2,3 pads=0,1,1,1; f = MaxPool e | kernel_shape=2,2 dilations=1,2;"
     "h = Conv f #20x20x1x1 " CONV1 "; g = GlobalAveragePool h; k = Flatten g; y = Gemm k #4x20 #4 | transB=1",
     8,
     0},
    {"pool before a view",
     {0, 1, 10, 10},
     4,
     "a = Conv x #16x1x3x3 #16 | kernel_shape=3,3; b = Relu a; c = MaxPool b | kernel_shape=2,2 strides=2,2;"
     "d = Flatten c; e = Gemm d #256x5 #5; y = Relu e",
     4,
     0},
    {"leaky, two readers, concat",
     {0, 16, 5, 5},
     4,
     "a = Conv x #16x16x3x3 #16 " CONV3 "; b = LeakyRelu a | alpha=0.2; c = Sigmoid b; d = Mul b c;"
     "e = Conv d #16x16x1x1 #16 " CONV1 "; f = Concat d e | axis=1; g = Conv f #8x32x1x1 " CONV1 "; y = Tanh g",
     12,
     0},
    {"wanted values stay as written",
     {0, 16, 5, 5},
     4,
     "y2 = Conv x #16x16x3x3 #16 " CONV3 "; b = BatchNormalization y2 #16 #16 #16 #+16; y3 = Relu b;"
     "c = Conv y3 #16x16x3x3 " CONV3 "; y = Relu c",
     6,
     0},
    {"linear layers",
     {0, 12},
     2,
     "a = Gemm x #12x9 #9; b = Relu a; c = MatMul b #9x12; d = Add c #12; e = Add x d; f = LeakyRelu e | alpha=0.3;"
     "g = MatMul f #12x5; h = Div g #=2.5; i = Add #5 h; y = Clip i #=-0.5 #=0.5",
     3,
     0},
    {"gemm with alpha and a residual",
     {0, 6},
     2,
     "a = Gemm x #6x6 #6 | alpha=0.5 beta=2.0; b = Add a x; c = Relu b; y = Gemm c #3x6 | transB=1",
     2,
     0},
    {"batch-free bias is no residual", {0, 4, 6}, 3, "a = MatMul x #6x6; y = Add a #4x6", 2, 0},
    {"attention by slices",
     {0, 5, 8},
     3,
     "p = MatMul x #8x24; q0 = Slice p #0, #8, #2,; k0 = Slice p #8, #16, #2,; v0 = Slice p #16, #24, #-1,;"
     "q1 = Reshape q0 #0,5,2,4; q = Transpose q1 | perm=0,2,1,3; k1 = Reshape k0 #0,5,2,4;"
     "k = Transpose k1 | perm=0,2,3,1; v1 = Reshape v0 #0,5,2,4; v = Transpose v1 | perm=0,2,1,3;"
     "s = MatMul q k; t = Mul s #=0.5; a = Softmax t | axis=-1; o = MatMul a v; o1 = Transpose o | perm=0,2,1,3;"
     "o2 = Reshape o1 #0,5,8; w = MatMul o2 #8x8; u = Add w #8; y = Add x u",
     5,
     0},
    {"attention by split",
     {0, 5, 8},
     3,
     "p = MatMul x #8x24; q0,k0,v0 = Split p #8,8,8 | axis=2; k = Transpose k0 | perm=0,2,1; s = MatMul q0 k;"
     "a = Softmax s | axis=2; y = MatMul a v0",
     4,
     0},
    {"one query for all rows",
     {0, 5, 8},
     3,
     "k = Transpose x | perm=0,2,1; s = MatMul #1x3x8 k; a = Softmax s | axis=2; y = MatMul a x",
     3,
     0},
    {"layer normalisation and gelu",
     {0, 5, 8},
     3,
     "m = ReduceMean x | axes=-1, keepdims=1; d = Sub x m; p = Pow d #=2; v = ReduceMean p | axes=-1, keepdims=1;"
     "e = Add v #=0.00001; s = Sqrt e; n = Div d s; n1 = Mul n #8; n2 = Add n1 #8; a = MatMul n2 #8x6;"
     "b = Div a #=1.4142135; c = Erf b; f = Add c #=1; h = Mul a f; i = Mul h #=0.5; j = Mul i #=0.5;"
     "k = Mul i #=0.70710678; l = Erf k; o = Add #=1 l; y = Mul j o",
     4,
     0},
    {"layer normalisation without a scale",
     {0, 7},
     2,
     "m = ReduceMean x | axes=1, keepdims=1; d = Sub x m; p = Mul d d; v = ReduceMean p | axes=1, keepdims=1;"
     "e = Add #=0.001 v; s = Sqrt e; y = Div d s",
     1,
     0},
    {"no layer normalisation: another mean",
     {0, 7},
     2,
     "m = ReduceMean x | axes=1, keepdims=1; d = Sub x m; p = Mul d x; v = ReduceMean p | axes=1, keepdims=1;"
     "e = Add #=3 v; s = Sqrt e; y = Div d s",
     7,
     0},
    {"one value read twice",
     {0, 16, 4, 4},
     4,
     "a = Conv x #16x16x1x1 " CONV1 "; b = Add a a; c = Mul b a; y = Relu c",
     6,
     0},
};

static void rewritten_as_written(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ox_graph g;
        size_t n_out = parse(&cases[i], &g);
        against_as_written(&cases[i], &g, n_out, 1);
        against_as_written(&cases[i], &g, n_out, BATCH);
        same_bits(&cases[i], &g, n_out);
        ox_graph_free(&g);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(rewritten_as_written)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
