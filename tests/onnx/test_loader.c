/* SPDX-License-Identifier: Apache-2.0
 * What the loader makes of a file beyond a plain graph: external data, types that are converted, If, Loop and functions
 * replaced by what they do; and what it refuses of them. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "input.h"
#include "plan.h"

static const int64_t two[] = {-1, 2};

/* Runs the first output of a model on x (2 rows of 2) and frees the model. */
static void run(pb *model, const float *x, float *y, size_t n) {
    ox_graph g;
    ox_plan *p = NULL;
    error err = {0};
    if (ox_graph_parse(model->data, model->n, "t.onnx", &g, &err) != STATUS_OK) {
        fail_msg("%s", err.text);
    }
    ox_plan_args a = {.batch = 2, .wanted = g.outputs, .n_wanted = 1};
    if (ox_plan_make(&g, &a, &p, &err) != STATUS_OK) {
        fail_msg("%s", err.text);
    }
    memcpy(p->tensors[g.input].data, x, 4 * sizeof *x);
    assert_int_equal(ox_plan_forward(p, &err), STATUS_OK);
    const ox_tensor *t = &p->tensors[g.outputs[0]];
    assert_int_equal(t->n, n);
    memcpy(y, t->data, n * sizeof *y);
    ox_plan_free(p);
    ox_graph_free(&g);
    pb_free(model);
}

static void expect(pb *model, status want, const char *part) {
    ox_graph g;
    error err = {0};
    status s = ox_graph_parse(model->data, model->n, "t.onnx", &g, &err);
    if (s != want || strstr(err.text, part) == NULL) {
        fail_msg("status %d \"%s\", expected %d with \"%s\"", s, err.text, want, part);
    }
    ox_graph_free(&g);
    pb_free(model);
}

static void expect_graph(pb *graph, status want, const char *part) {
    pb m = onnx_model(graph, 13, NULL);
    expect(&m, want, part);
}

static void attr_graph(pb *attrs, const char *name, pb *graph) {
    pb a = {0};
    pb_str(&a, 1, name);
    pb_msg(&a, 6, graph);
    pb_int(&a, 20, 5);
    pb_msg(attrs, 5, &a);
}

static void plain_name(pb *graph, unsigned field, const char *name) {
    pb info = {0};
    pb_str(&info, 1, name);
    pb_msg(graph, field, &info);
}

static void truth(pb *graph, const char *name, uint8_t v) {
    pb t = {0};
    pb_int(&t, 2, 9);
    pb_str(&t, 8, name);
    pb_bytes(&t, 9, &v, 1);
    pb_msg(graph, 5, &t);
}

static pb begin(void) {
    pb g = {0};
    onnx_input(&g, "x", two, 2);
    onnx_output(&g, "y");
    return g;
}

/* ---- If ----------------------------------------------------------------------------------------- */

static pb branch(const char *op) {
    pb g = {0};
    onnx_node(&g, op, "inside", "x", "b", NULL);
    plain_name(&g, 12, "b");
    return g;
}

static void add_if(pb *g, const char *condition, const char *otherwise) {
    pb attrs = {0}, then = branch("Abs"), not_then = branch(otherwise);
    attr_graph(&attrs, "then_branch", &then);
    attr_graph(&attrs, "else_branch", &not_then);
    onnx_node(g, "If", "choose", condition, "y", &attrs);
}

static void test_if(void **state) {
    (void)state;
    static const float x[] = {-1, 2, -3, 4}, absolute[] = {1, 2, 3, 4}, negative[] = {1, -2, 3, -4};
    for (uint8_t c = 0; c < 2; c++) {
        float y[4];
        pb g = begin();
        truth(&g, "c", c);
        add_if(&g, "c", "Neg");
        pb m = onnx_model(&g, 13, NULL);
        run(&m, x, y, 4);
        assert_memory_equal(y, c != 0 ? absolute : negative, sizeof y);
    }
    /* the branch that is not taken may hold anything */
    float y[4];
    pb g = begin();
    truth(&g, "c", 1);
    add_if(&g, "c", "Whatever");
    pb m = onnx_model(&g, 13, NULL);
    run(&m, x, y, 4);
    assert_memory_equal(y, absolute, sizeof y);
}

/* As PyTorch exports squeeze: If(Cast(Gather(Shape(x), 1)) ...). A condition on the batch is not constant. */
static void test_if_on_shape(void **state) {
    (void)state;
    static const float x[] = {-1, 2, -3, 4}, absolute[] = {1, 2, 3, 4};
    for (int64_t axis = 0; axis < 2; axis++) {
        float y[4];
        pb g = begin(), to = {0};
        onnx_i64(&g, "one", NULL, 0, (int64_t[]){1});
        onnx_i64(&g, "axis", NULL, 0, &axis);
        onnx_node(&g, "Shape", "", "x", "s", NULL);
        onnx_node(&g, "Gather", "", "s axis", "d", NULL);
        onnx_node(&g, "Sub", "", "d one", "e", NULL); /* 1 where the dimension is 2; 0 or 1 for the batch */
        onnx_attr_int(&to, "to", 9);
        onnx_node(&g, "Cast", "", "e", "c", &to);
        add_if(&g, "c", "Neg");
        pb m = onnx_model(&g, 13, NULL);
        if (axis == 1) {
            run(&m, x, y, 4);
            assert_memory_equal(y, absolute, sizeof y);
        } else {
            expect(&m, STATUS_UNSUPPORTED, "operator If with a condition that is not constant (opset 13)");
        }
    }
}

static void test_if_errors(void **state) {
    (void)state;
    pb g = begin(), attrs = {0}, b = branch("Abs");
    onnx_node(&g, "If", "choose", "x", "y", NULL);
    expect_graph(&g, STATUS_MODEL, "node \"choose\" (If): attribute then_branch is missing");
    g = begin();
    add_if(&g, "x", "Neg");
    onnx_node(&g, "Strange", "other", "y", "z", NULL);
    expect_graph(&g, STATUS_UNSUPPORTED, "operator Strange (opset 13)");
    g = begin();
    truth(&g, "c", 1);
    attr_graph(&attrs, "then_branch", &b);
    b = branch("Abs");
    attr_graph(&attrs, "else_branch", &b);
    onnx_node(&g, "If", "choose", "c", "y more", &attrs);
    expect_graph(&g, STATUS_MODEL, "2 outputs, its body has 1");
}

/* ---- Loop --------------------------------------------------------------------------------------- */

/* v += x; scan output: v */
static pb loop_body(const char *condition) {
    pb g = {0};
    plain_name(&g, 11, "i");
    plain_name(&g, 11, "k");
    plain_name(&g, 11, "v");
    onnx_node(&g, "Identity", "", condition, "k_out", NULL);
    onnx_node(&g, "Add", "step", "v x", "w", NULL);
    onnx_node(&g, "Identity", "", "w", "row", NULL);
    plain_name(&g, 12, "k_out");
    plain_name(&g, 12, "w");
    plain_name(&g, 12, "row");
    return g;
}

static pb loop_graph(int64_t trips, const char *inputs, const char *outputs, const char *condition) {
    pb g = begin(), attrs = {0}, body = loop_body(condition);
    onnx_i64(&g, "m", NULL, 0, &trips);
    attr_graph(&attrs, "body", &body);
    onnx_node(&g, "Loop", "repeat", inputs, outputs, &attrs);
    return g;
}

static void test_loop(void **state) {
    (void)state;
    static const float x[] = {-1, 2, -3, 4};
    for (int64_t trips = 0; trips < 5; trips++) {
        float y[4];
        pb g = loop_graph(trips, "m - x", "y", "k");
        pb m = onnx_model(&g, 13, NULL);
        run(&m, x, y, 4);
        for (size_t i = 0; i < 4; i++) {
            assert_true(y[i] == (float)(trips + 1) * x[i]);
        }
    }
}

static void test_loop_scan(void **state) {
    (void)state;
    static const float x[] = {-1, 2, -3, 4}, want[] = {-2, 4, -3, 6, -6, 8, -9, 12};
    static const int64_t order[] = {1, 0, 2};
    for (int opset = 11; opset <= 13; opset += 2) { /* Unsqueeze's axes: attribute, input */
        float y[8];
        pb g = loop_graph(2, "m - x", "last scan", "k"), perm = {0}, list = {0};
        pb_str(&perm, 1, "perm");
        for (size_t i = 0; i < 3; i++) {
            pb_int(&perm, 8, (uint64_t)order[i]);
        }
        pb_int(&perm, 20, 7);
        pb_msg(&list, 5, &perm);
        onnx_node(&g, "Transpose", "", "scan", "y", &list); /* the batch in front again */
        pb m = onnx_model(&g, opset, NULL);
        run(&m, x, y, 8);
        assert_memory_equal(y, want, sizeof y);
    }
}

static void test_loop_limits(void **state) {
    (void)state;
    pb g = loop_graph(5000, "m - x", "y", "k");
    expect_graph(&g, STATUS_UNSUPPORTED, "operator Loop of more than 4096 iterations");
    g = loop_graph(1, "- - x", "y", "k"); /* for ever */
    expect_graph(&g, STATUS_UNSUPPORTED, "operator Loop of more than 4096 iterations");
    g = loop_graph(0, "m - x", "y scan", "k");
    expect_graph(&g, STATUS_UNSUPPORTED, "operator Loop with scan outputs of no iteration");
    g = loop_graph(2, "x - x", "y", "k");
    expect_graph(&g, STATUS_UNSUPPORTED, "operator Loop with a trip count that is not constant");
    g = loop_graph(2, "m - x", "y", "x");
    expect_graph(&g, STATUS_UNSUPPORTED, "operator Loop with a condition that is not constant");
    g = loop_graph(2, "m - x x", "y", "k");
    expect_graph(&g, STATUS_MODEL, "do not go with its body's");
}

/* Six loops of 4096 iterations inside one another: refused by cost, in no time. */
static void test_nested_loops(void **state) {
    (void)state;
    pb body = loop_body("k");
    for (int depth = 0; depth < 6; depth++) {
        pb outer = loop_body("k"), attrs = {0};
        onnx_i64(&outer, "n", NULL, 0, (int64_t[]){4096});
        attr_graph(&attrs, "body", &body);
        onnx_node(&outer, "Loop", "inner", "n - v", "u", &attrs);
        body = outer;
    }
    pb g = begin(), attrs = {0};
    onnx_i64(&g, "m", NULL, 0, (int64_t[]){4096});
    attr_graph(&attrs, "body", &body);
    onnx_node(&g, "Loop", "repeat", "m - x", "y", &attrs);
    expect_graph(&g, STATUS_UNSUPPORTED, "t.onnx: ");
}

/* ---- functions ---------------------------------------------------------------------------------- */

static void import_opset(pb *to, unsigned field, const char *domain, uint64_t version) {
    pb o = {0};
    pb_str(&o, 1, domain);
    pb_int(&o, 2, version);
    pb_msg(to, field, &o);
}

/* A function's nodes are field 7, a graph's field 1. */
static void function_node(pb *f, const char *op, const char *in, const char *out, pb *attrs) {
    pb node = {0};
    onnx_node(&node, op, "", in, out, attrs);
    node.data[0] = 7 << 3 | 2;
    pb_raw(f, node.data, node.n);
    pb_free(&node);
}

/* my.domain.<name>(a): LeakyRelu with alpha = the call's attribute "slope", then op (a node of my.domain or ""). */
static void add_function(pb *model, const char *name, const char *op, const char *domain) {
    pb f = {0}, attrs = {0}, a = {0};
    pb_str(&f, 1, name);
    pb_str(&f, 4, "a");
    pb_str(&f, 5, "c");
    pb_str(&f, 6, "slope");
    pb_str(&a, 1, "alpha");
    pb_int(&a, 20, 1);
    pb_str(&a, 21, "slope");
    pb_msg(&attrs, 5, &a);
    function_node(&f, "LeakyRelu", "a", "b", &attrs);
    pb in_domain = {0};
    pb_str(&in_domain, 7, domain);
    function_node(&f, op, "b", "c", &in_domain);
    import_opset(&f, 9, "", 16);
    import_opset(&f, 9, "my.domain", 1);
    pb_str(&f, 10, "my.domain");
    pb_msg(model, 25, &f);
}

static void call_function(pb *g, const char *name, const char *in, const char *out) {
    pb attrs = {0}, a = {0};
    pb_str(&a, 1, "slope");
    pb_float(&a, 2, 0.5F);
    pb_int(&a, 20, 1);
    pb_msg(&attrs, 5, &a);
    pb_str(&attrs, 7, "my.domain");
    onnx_node(g, name, name, in, out, &attrs);
}

static void test_functions(void **state) {
    (void)state;
    static const float x[] = {-1, 2, -3, 4}, want[] = {0.25F, -2, 0.75F, -4};
    float y[4];
    pb g = begin();
    call_function(&g, "Inner", "x", "h");
    call_function(&g, "Inner", "x", "unused");
    onnx_node(&g, "Neg", "", "h", "n", NULL);
    call_function(&g, "Inner", "n", "y");
    pb m = onnx_model(&g, 13, NULL);
    add_function(&m, "Inner", "Neg", "");
    run(&m, x, y, 4); /* Inner: -leaky(x); y = -leaky(leaky(x)) */
    assert_memory_equal(y, want, sizeof y);
}

static void test_function_errors(void **state) {
    (void)state;
    pb g = begin();
    call_function(&g, "Again", "x", "y");
    pb m = onnx_model(&g, 13, NULL);
    add_function(&m, "Again", "Again", "my.domain");
    expect(&m, STATUS_MODEL, "nested deeper than 64");
    g = begin();
    call_function(&g, "Twice", "x", "y");
    m = onnx_model(&g, 13, NULL);
    add_function(&m, "Twice", "Neg", "");
    add_function(&m, "Twice", "Neg", "");
    expect(&m, STATUS_MODEL, "function \"my.domain.Twice\" is defined twice");
    g = begin();
    call_function(&g, "One", "x x", "y");
    m = onnx_model(&g, 13, NULL);
    add_function(&m, "One", "Neg", "");
    expect(&m, STATUS_MODEL, "2 inputs, its body has 1");
    g = begin();
    call_function(&g, "Unknown", "x", "y");
    m = onnx_model(&g, 13, NULL);
    add_function(&m, "One", "Neg", "");
    expect(&m, STATUS_UNSUPPORTED, "operator my.domain.Unknown (opset 1) is not supported");
}

static void test_function_defaults(void **state) {
    (void)state;
    pb g = begin(), f = {0};
    onnx_node(&g, "Neg", "", "x", "y", NULL);
    pb m = onnx_model(&g, 13, NULL);
    pb_str(&f, 1, "F");
    pb_str(&f, 10, "my.domain");
    import_opset(&f, 9, "", 16);
    pb_str(&f, 11, "");
    pb_msg(&m, 25, &f);
    expect(&m, STATUS_UNSUPPORTED, "function \"my.domain.F\" has attributes with default values");
}

/* ---- types -------------------------------------------------------------------------------------- */

typedef struct type_case {
    uint64_t type;
    const char *data;
    size_t n;
    int64_t want[2];
    unsigned field;
    uint32_t dtype;
} type_case;

static void check_type(const type_case *c) {
    pb g = begin(), t = {0};
    onnx_node(&g, "Abs", "", "x", "y", NULL);
    pb_int(&t, 1, 2);
    pb_int(&t, 2, c->type);
    pb_str(&t, 8, "t");
    pb_bytes(&t, c->field, c->data, c->n);
    pb_msg(&g, 5, &t);
    pb m = onnx_model(&g, 13, NULL);
    ox_graph graph;
    error err = {0};
    if (ox_graph_parse(m.data, m.n, "t", &graph, &err) != STATUS_OK) {
        fail_msg("type %d: %s", (int)c->type, err.text);
    }
    const ox_tensor *v = graph.values[ox_graph_find(&graph, "t")].constant;
    assert_int_equal(v->dtype, c->dtype);
    for (size_t i = 0; i < 2; i++) {
        int64_t got = v->dtype == ASSAY_I64   ? ((const int64_t *)v->data)[i]
                      : v->dtype == ASSAY_I32 ? ((const int32_t *)v->data)[i]
                      : v->dtype == ASSAY_I8  ? ((const int8_t *)v->data)[i]
                      : v->dtype == ASSAY_F32 ? (int64_t)((const float *)v->data)[i]
                                              : ((const uint8_t *)v->data)[i];
        assert_int_equal(got, c->want[i]);
    }
    ox_graph_free(&graph);
    pb_free(&m);
}

static void test_types(void **state) {
    (void)state;
    static const type_case cases[] = {
        {4, "\xff\xff\x01\x00", 4, {65535, 1}, 9, ASSAY_I32},
        {4, "\xff\xff\x03\x01", 4, {65535, 1}, 5, ASSAY_I32},
        {5, "\xff\xff\x01\x00", 4, {-1, 1}, 9, ASSAY_I32},
        {12, "\xff\xff\xff\xff\x01\0\0\0", 8, {4294967295, 1}, 9, ASSAY_I64},
        {12, "\xff\xff\xff\xff\x0f\x01", 6, {4294967295, 1}, 11, ASSAY_I64},
        {13, "\x05\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f", 16, {5, INT64_MAX}, 9, ASSAY_I64},
        {13, "\x05\x06", 2, {5, 6}, 11, ASSAY_I64},
        {11, "\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\x00\xc0", 16, {1, -2}, 9, ASSAY_F32},
        {16, "\x80\x3f\x00\xc0", 4, {1, -2}, 9, ASSAY_F32},
        {10, "\x00\x3c\x00\xc0", 4, {1, -2}, 9, ASSAY_F32},
        {21, "\xf1", 1, {1, 15}, 9, ASSAY_U8},
        {22, "\xf7", 1, {7, -1}, 9, ASSAY_I8},
        {22, "\x78", 1, {-8, 7}, 5, ASSAY_I8},
        {9, "\x00\x07", 2, {0, 1}, 9, ASSAY_BOOL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_type(&cases[i]);
    }
}

static pb typed_input(uint64_t type) {
    pb g = {0}, dims = {0}, tensor = {0}, t = {0}, info = {0};
    for (size_t i = 0; i < 2; i++) {
        pb dim = {0};
        pb_int(&dim, 1, 2);
        pb_msg(&dims, 1, &dim);
    }
    pb_int(&tensor, 1, type);
    pb_msg(&tensor, 2, &dims);
    pb_msg(&t, 1, &tensor);
    pb_str(&info, 1, "x");
    pb_msg(&info, 2, &t);
    pb_msg(&g, 11, &info);
    onnx_output(&g, "y");
    onnx_node(&g, "Identity", "", "x", "y", NULL);
    return g;
}

static void test_input_types(void **state) {
    (void)state;
    static const struct {
        uint64_t type;
        uint32_t dtype;
    } cases[] = {{1, ASSAY_F32}, {2, ASSAY_U8},   {3, ASSAY_I8},   {4, ASSAY_I32},  {6, ASSAY_I32},
                 {7, ASSAY_I64}, {9, ASSAY_BOOL}, {10, ASSAY_F32}, {11, ASSAY_F32}, {16, ASSAY_F32}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pb g = typed_input(cases[i].type);
        pb m = onnx_model(&g, 13, NULL);
        ox_graph graph;
        assert_int_equal(ox_graph_parse(m.data, m.n, "t", &graph, NULL), STATUS_OK);
        assert_int_equal(graph.input_dtype, cases[i].dtype);
        ox_graph_free(&graph);
        pb_free(&m);
    }
    pb g = typed_input(8);
    expect_graph(&g, STATUS_UNSUPPORTED, "input \"x\" has element type 8, which is not supported");
}

static void test_input_fill(void **state) {
    (void)state;
    error err = {0};
    int64_t l[3];
    uint8_t u[3];
    assert_int_equal(ox_input_fill("ids", (float[]){0, -7, 30521}, 3, ASSAY_I64, l, &err), STATUS_OK);
    assert_true(l[0] == 0 && l[1] == -7 && l[2] == 30521);
    assert_int_equal(ox_input_fill("px", (float[]){0, 255, 7}, 3, ASSAY_U8, u, &err), STATUS_OK);
    assert_true(u[0] == 0 && u[1] == 255 && u[2] == 7);
    assert_int_equal(ox_input_fill("px", (float[]){0, 256, 7}, 3, ASSAY_U8, u, &err), STATUS_DATA);
    assert_string_equal(err.text, "input \"px\": value 1 is 256, which its integer type does not hold");
    assert_int_equal(ox_input_fill("px", (float[]){0, 1, 0.5F}, 3, ASSAY_U8, u, &err), STATUS_DATA);
    assert_int_equal(ox_input_fill("px", (float[]){0, -1, 1}, 3, ASSAY_U8, u, &err), STATUS_DATA);
    assert_int_equal(ox_input_fill("b", (float[]){0, 1, 2}, 3, ASSAY_BOOL, u, &err), STATUS_DATA);
    assert_int_equal(ox_input_fill("i", (float[]){0, 1, 3e38F * 10}, 3, ASSAY_I64, l, &err), STATUS_DATA);
    assert_int_equal(ox_input_fill("i", (float[]){0x1p63F}, 1, ASSAY_I64, l, &err), STATUS_DATA);
    assert_int_equal(ox_input_fill("i", (float[]){__builtin_nanf("")}, 1, ASSAY_I64, l, &err), STATUS_DATA);
}

/* ---- every byte changed ------------------------------------------------------------------------- */

static void try_bytes(const uint8_t *data, size_t n, size_t *n_loaded) {
    ox_graph g;
    error err = {0};
    if (ox_graph_parse(data, n, "t", &g, &err) == STATUS_OK) {
        (*n_loaded)++;
        ox_graph_free(&g);
    } else {
        assert_true(err.text[0] != '\0');
    }
}

/* A loop, a branch and a function in one model, cut and changed at every byte: an error or a graph, never a crash. */
static void test_mutations(void **state) {
    (void)state;
    static const uint8_t masks[] = {0x01, 0x02, 0x08, 0x80, 0xff};
    pb g = loop_graph(3, "m - x", "last scan", "k"), attrs = {0};
    pb then = branch("Abs"), otherwise = branch("Neg");
    truth(&g, "c", 1);
    attr_graph(&attrs, "then_branch", &then);
    attr_graph(&attrs, "else_branch", &otherwise);
    onnx_node(&g, "If", "choose", "c", "h", &attrs);
    call_function(&g, "F", "h", "y");
    pb m = onnx_model(&g, 13, NULL);
    add_function(&m, "F", "Neg", "");
    size_t n_loaded = 0;
    for (size_t cut = 0; cut < m.n; cut++) {
        uint8_t *exact = mem_zalloc(cut + 1); /* ASan sees one byte too many */
        memcpy(exact + 1, m.data, cut);
        try_bytes(exact + 1, cut, &n_loaded);
        mem_free(exact);
    }
    for (size_t i = 0; i < m.n; i++) {
        for (size_t k = 0; k < sizeof masks; k++) {
            m.data[i] ^= masks[k];
            try_bytes(m.data, m.n, &n_loaded);
            m.data[i] ^= masks[k];
        }
    }
    print_message("%zu bytes, %zu variants still loaded\n", m.n, n_loaded);
    pb_free(&m);
}

/* ---- external data ------------------------------------------------------------------------------ */

typedef struct folder {
    char path[64], file[128];
} folder;

static void write_file(const char *path, const void *data, size_t n) {
    assert_int_equal(io_write_atomic(path, data, n, NULL), STATUS_OK);
}

static void make_folder(folder *f) {
    static const float data[] = {9, 9, 1, 2, 3, 4};
    char path[200];
    (void)snprintf(f->path, sizeof f->path, "/tmp/assay-external-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    (void)snprintf(f->file, sizeof f->file, "%s/model.onnx", f->path);
    (void)snprintf(path, sizeof path, "%s/sub", f->path);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/sub/w.bin", f->path);
    write_file(path, data, sizeof data);
    (void)snprintf(path, sizeof path, "%s/link.bin", f->path);
    assert_int_equal(symlink("sub/w.bin", path), 0);
    (void)snprintf(path, sizeof path, "%s/way", f->path);
    assert_int_equal(symlink("sub", path), 0);
}

static void remove_folder(const folder *f) {
    static const char *const names[] = {"sub/w.bin", "link.bin", "way", "model.onnx"};
    char path[200];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", f->path, names[i]);
        (void)unlink(path);
    }
    (void)snprintf(path, sizeof path, "%s/sub", f->path);
    (void)rmdir(path);
    assert_int_equal(rmdir(f->path), 0);
}

static void entry(pb *t, const char *key, const char *value) {
    pb e = {0};
    if (value != NULL) {
        pb_str(&e, 1, key);
        pb_str(&e, 2, value);
        pb_msg(t, 13, &e);
    }
}

static pb external_model(const char *location, const char *offset, const char *length) {
    pb g = begin(), t = {0};
    pb_int(&t, 1, 2);
    pb_int(&t, 1, 2);
    pb_int(&t, 2, 1);
    pb_str(&t, 8, "w");
    entry(&t, "location", location);
    entry(&t, "offset", offset);
    entry(&t, "length", length);
    pb_int(&t, 14, 1);
    pb_msg(&g, 5, &t);
    onnx_node(&g, "MatMul", "", "x w", "y", NULL);
    return onnx_model(&g, 13, NULL);
}

static void expect_external(const folder *f, const char *const place[3], status want, const char *part) {
    static const float data[] = {1, 2, 3, 4};
    pb m = external_model(place[0], place[1], place[2]);
    write_file(f->file, m.data, m.n);
    pb_free(&m);
    ox_graph g;
    error err = {0};
    status s = ox_graph_load(f->file, &g, &err);
    if (s != want || strstr(err.text, part) == NULL) {
        fail_msg("status %d \"%s\", expected %d with \"%s\"", s, err.text, want, part);
    }
    if (s == STATUS_OK) {
        const ox_value *v = &g.values[ox_graph_find(&g, "w")];
        assert_memory_equal(v->constant->data, data, sizeof data);
        assert_int_equal(v->stored_bytes, sizeof data);
        assert_int_equal(g.n_files, 1);
        assert_string_equal(g.files[0], place[0]);
    }
    ox_graph_free(&g);
}

static void test_external(void **state) {
    (void)state;
    static const struct {
        const char *place[3];
        status want;
        const char *part;
    } cases[] = {
        {{"sub/w.bin", "8", "16"}, STATUS_OK, ""},
        {{"./sub//w.bin", "8", NULL}, STATUS_OK, ""},
        {{"sub/w.bin", "8", "12"},
         STATUS_MODEL,
         "initialiser \"w\": its shape needs 4 elements, its data are 12 bytes"},
        {{"sub/w.bin", NULL, NULL}, STATUS_MODEL, "24 bytes"},
        {{"sub/w.bin", "16", "16"}, STATUS_MODEL, "reach beyond the 24 bytes of \"sub/w.bin\""},
        {{"sub/w.bin", "25", NULL}, STATUS_MODEL, "reach beyond"},
        {{"sub/w.bin", "8", "18446744073709551615"}, STATUS_MODEL, "reach beyond"},
        {{"sub/w.bin", "-8", "16"}, STATUS_MODEL, "offset is \"-8\""},
        {{"sub/w.bin", "8x", "16"}, STATUS_MODEL, "offset is \"8x\""},
        {{"sub/w.bin", "99999999999999999999", "16"}, STATUS_MODEL, "offset is"},
        {{"sub/none.bin", "8", "16"}, STATUS_IO, "\"sub/none.bin\": No such file"},
        {{"../w.bin", "8", "16"}, STATUS_MODEL, "leaves the model's folder"},
        {{"sub/../sub/w.bin", "8", "16"}, STATUS_MODEL, "leaves the model's folder"},
        {{"/etc/passwd", "0", "16"}, STATUS_MODEL, "is an absolute path"},
        {{"link.bin", "8", "16"}, STATUS_MODEL, "symbolic link"},
        {{"way/w.bin", "8", "16"}, STATUS_MODEL, "symbolic link"},
        {{"sub", "8", "16"}, STATUS_IO, "is not a regular file"},
        {{"", "8", "16"}, STATUS_MODEL, "no location is given"},
        {{NULL, "8", "16"}, STATUS_MODEL, "no location is given"},
    };
    folder f;
    make_folder(&f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_external(&f, cases[i].place, cases[i].want, cases[i].part);
    }
    remove_folder(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_if),
        cmocka_unit_test(test_if_on_shape),
        cmocka_unit_test(test_if_errors),
        cmocka_unit_test(test_loop),
        cmocka_unit_test(test_loop_scan),
        cmocka_unit_test(test_loop_limits),
        cmocka_unit_test(test_nested_loops),
        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_function_errors),
        cmocka_unit_test(test_function_defaults),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_input_types),
        cmocka_unit_test(test_input_fill),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_external),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
