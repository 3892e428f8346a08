/* SPDX-License-Identifier: Apache-2.0
 * Bytes that nobody should write: nested graphs, lengths that lie, truncation at every byte, every byte changed. Each
 * ends in one error that names the place, or in a clean success; never in a crash (run under ASan as well). */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "graph.h"
#include "onnx.pb-c.h"
#include "session.h"
#include "wire.h"

static status parse(const pb *b, error *err) {
    ox_graph g;
    *err = (error){0};
    status s = ox_graph_parse(b->data, b->n, "t.onnx", &g, err);
    ox_graph_free(&g);
    return s;
}

static void expect(const pb *b, status want, const char *part) {
    error err;
    status s = parse(b, &err);
    if (s != want || strstr(err.text, part) == NULL) {
        fail_msg("status %d \"%s\", expected %d with \"%s\"", s, err.text, want, part);
    }
}

static void expect_model(pb *graph, status want, const char *part) {
    pb m = onnx_model(graph, 13, NULL);
    expect(&m, want, part);
    pb_free(&m);
}

/* y = x W + b of two features, through a Relu */
static pb small_graph(void) {
    static const float w[] = {1, 2, 3, 4}, b[] = {0.5f, -0.5f};
    pb g = {0};
    onnx_input(&g, "x", (int64_t[]){-1, 2}, 2);
    onnx_output(&g, "y");
    onnx_f32(&g, "w", (int64_t[]){2, 2}, 2, w);
    onnx_f32(&g, "b", (int64_t[]){2}, 1, b);
    onnx_node(&g, "Gemm", "fc", "x w b", "h", NULL);
    onnx_node(&g, "Relu", "act", "h", "y", NULL);
    return g;
}

/* ---- the wire format ---------------------------------------------------------------------------- */

static void test_nested_graphs(void **state) {
    (void)state;
    pb inner = {0};
    for (int depth = 0; depth < 3000; depth++) {
        pb attr = {0}, node = {0}, graph = {0};
        pb_msg(&attr, 6, &inner);
        pb_msg(&node, 5, &attr);
        pb_msg(&graph, 1, &node);
        inner = graph;
    }
    pb m = {0};
    pb_msg(&m, 7, &inner);
    expect(&m, STATUS_MODEL, "nested deeper than 64");
    pb_free(&m);
}

static void test_nested_types(void **state) {
    (void)state;
    pb type = {0};
    for (int depth = 0; depth < 3000; depth++) {
        pb sequence = {0}, outer = {0};
        pb_msg(&sequence, 1, &type);
        pb_msg(&outer, 4, &sequence);
        type = outer;
    }
    pb info = {0}, graph = {0}, m = {0};
    pb_msg(&info, 2, &type);
    pb_msg(&graph, 11, &info);
    pb_msg(&m, 7, &graph);
    expect(&m, STATUS_MODEL, "nested deeper than 64");
    pb_free(&m);
}

static void expect_bytes(const void *bytes, size_t n, const char *part) {
    pb b = {0};
    pb_raw(&b, bytes, n);
    expect(&b, STATUS_MODEL, part);
    pb_free(&b);
}

static void test_wire(void **state) {
    (void)state;
    expect_bytes("", 0, "empty");
    expect_bytes("\x00\x01", 2, "byte 0: a field number is out of range");
    expect_bytes("\x08", 1, "byte 1: the file or message ends inside a number");
    expect_bytes("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, "longer than its type allows");
    expect_bytes("\x3a\x05\x0a", 3, "a length reaches beyond its message or the file");
    expect_bytes("\x3a\x04\x0a\x7f\x00\x00", 6, "byte 3: a length reaches beyond");
    expect_bytes("\x3a\xff\xff\xff\xff\x0f", 6, "a length reaches beyond");
    expect_bytes("\x3b\x08\x01\x3c", 4, "wire type 3"); /* a group */
    expect_bytes("\xc3\x3e\xc4\x3e", 4, "an unknown wire type");
    expect_bytes("\x3d\x00\x00\x00\x00", 5, "field graph of ModelProto has wire type 5");
    expect_bytes("\x3a\x00\x3a\x00", 4, "byte 3: a field that may be there once is there twice");
    expect_bytes("\x12\x02\xc3\x28", 4, "a string is not UTF-8");
    expect_bytes("\x12\x02\x41\x00", 4, "a string holds a NUL");
    expect_bytes("\x3a\x07\x2a\x05\x22\x03\x00\x00\x00", 9, "a packed list ends inside an item");
    expect_bytes("\x3a\x05\x2a\x03\x2a\x01\x80", 7, "ends inside a number");
}

/* 2^20 empty nodes in 2 MB: refused by count, not by an allocation of gigabytes. */
static void test_counts(void **state) {
    (void)state;
    size_t n = ((size_t)1 << 20) + 10;
    pb graph = {0}, m = {0};
    for (size_t i = 0; i < n; i++) {
        pb_raw(&graph, "\x0a\x00", 2);
    }
    pb_msg(&m, 7, &graph);
    expect(&m, STATUS_MODEL, "more messages than the limit");
    pb_free(&m);
    pb node = {0};
    for (size_t i = 0; i < ((size_t)1 << 22) + 10; i++) {
        pb_raw(&node, "\x0a\x00", 2); /* empty input names */
    }
    pb_msg(&graph, 1, &node);
    pb_msg(&m, 7, &graph);
    expect(&m, STATUS_MODEL, "more fields than the limit");
    pb_free(&m);
}

/* ---- graphs ------------------------------------------------------------------------------------- */

static void test_good(void **state) {
    (void)state;
    pb g = small_graph();
    expect_model(&g, STATUS_OK, "");
}

static void test_graph_errors(void **state) {
    (void)state;
    pb g = small_graph();
    onnx_node(&g, "Relu", "loop", "q", "p", NULL);
    onnx_node(&g, "Relu", "back", "p", "q", NULL);
    expect_model(&g, STATUS_MODEL, "node \"loop\" (Relu): its input \"q\" is only computed later");
    g = small_graph();
    onnx_node(&g, "Relu", "self", "s", "s", NULL);
    expect_model(&g, STATUS_MODEL, "node \"self\" (Relu): its input \"s\" is only computed later");
    g = small_graph();
    onnx_node(&g, "Relu", "lost", "nowhere", "z", NULL);
    expect_model(&g, STATUS_MODEL, "node \"lost\" (Relu): its input \"nowhere\" is not defined");
    g = small_graph();
    onnx_node(&g, "Relu", "again", "x", "h", NULL);
    expect_model(&g, STATUS_MODEL, "\"h\" is defined twice");
    g = small_graph();
    onnx_output(&g, "missing");
    expect_model(&g, STATUS_MODEL, "output \"missing\"");
    g = small_graph();
    onnx_input(&g, "x2", (int64_t[]){1, 2}, 2);
    expect_model(&g, STATUS_UNSUPPORTED, "more than one input");
    g = small_graph();
    onnx_node(&g, "Relu", "greedy", "x w", "z", NULL);
    expect_model(&g, STATUS_MODEL, "2 inputs and 1 outputs");
    g = small_graph();
    onnx_node(&g, "Add", "half", "- x", "z", NULL);
    expect_model(&g, STATUS_MODEL, "input or output 0 is missing");
}

static void test_unsupported(void **state) {
    (void)state;
    pb g = small_graph();
    onnx_node(&g, "Foo", "one", "x", "f1", NULL);
    onnx_node(&g, "Foo", "two", "x", "f2", NULL);
    onnx_node(&g, "Bar", "three", "x", "f3", NULL);
    pb m = onnx_model(&g, 13, NULL);
    error err;
    assert_int_equal(parse(&m, &err), STATUS_UNSUPPORTED);
    assert_string_equal(err.text, "t.onnx: node \"one\": operator Foo (opset 13) is not supported\n"
                                  "t.onnx: node \"three\": operator Bar (opset 13) is not supported");
    pb_free(&m);
    g = small_graph();
    m = onnx_model(&g, 99, NULL);
    expect(&m, STATUS_UNSUPPORTED, "opset 99");
    pb_free(&m);
    g = small_graph();
    pb domain = {0};
    pb_str(&domain, 7, "com.example");
    onnx_node(&g, "Relu", "foreign", "x", "z", &domain);
    expect_model(&g, STATUS_UNSUPPORTED, "node \"foreign\": operator com.example.Relu (opset 1) is not supported");
}

/* ---- tensors ------------------------------------------------------------------------------------ */

typedef struct tensor_case {
    uint64_t type;
    int64_t dim;
    uint64_t field; /* of the data */
    const void *data;
    size_t n;
    uint64_t want; /* status */
    const char *part;
} tensor_case;

static void check_tensor(const tensor_case *c) {
    pb g = small_graph(), t = {0};
    pb_int(&t, 1, (uint64_t)c->dim);
    pb_int(&t, 2, c->type);
    pb_str(&t, 8, "tensor");
    if (c->field != 0) {
        pb_bytes(&t, (unsigned)c->field, c->data, c->n);
    }
    pb_msg(&g, 5, &t);
    expect_model(&g, (status)c->want, c->part);
}

static void test_tensors(void **state) {
    (void)state;
    static const tensor_case cases[] = {
        {1, 2, 9, "12345678", 8, STATUS_OK, ""},
        {1, 2, 9, "1234567", 7, STATUS_MODEL, "\"tensor\": its shape needs 2 elements, its data are 7 bytes"},
        {1, 2, 9, "123456789", 9, STATUS_MODEL, "9 bytes"},
        {1, 2, 0, "", 0, STATUS_MODEL, "0 bytes"},
        {1, 0, 0, "", 0, STATUS_OK, ""},
        {1, -1, 9, "1234", 4, STATUS_MODEL, "dimension 0 is -1"},
        {1, INT64_MAX, 9, "1234", 4, STATUS_MODEL, "its shape needs"},
        {1, INT64_C(1) << 62, 9, "", 0, STATUS_MODEL, "its shape needs"},
        {1, 2, 4, "12345678", 8, STATUS_OK, ""}, /* float_data */
        {1, 3, 4, "12345678", 8, STATUS_MODEL, "2 elements"},
        {1, 1, 5, "\x01", 1, STATUS_MODEL, "does not go with its type"}, /* int32_data */
        {3, 2, 5, "\x01\x02", 2, STATUS_OK, ""},
        {3, 1, 5, "\xff\x7f", 2, STATUS_MODEL, "element 0 is 16383"},
        {10, 1, 9, "\x00\x3c", 2, STATUS_OK, ""}, /* float16 */
        {10, 1, 9, "\x00", 1, STATUS_MODEL, "1 bytes"},
        {7, 1, 7, "\x05", 1, STATUS_OK, ""},
        {8, 1, 6, "abc", 3, STATUS_UNSUPPORTED, "data type 8"},
        {0, 1, 9, "1", 1, STATUS_UNSUPPORTED, "data type 0"},
        {1, 2, 14, "", 0, STATUS_MODEL, "wire type"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_tensor(&cases[i]);
    }
}

static void test_external(void **state) {
    (void)state;
    pb g = small_graph(), t = {0};
    pb_int(&t, 1, 2);
    pb_int(&t, 2, 1);
    pb_str(&t, 8, "far");
    pb_int(&t, 14, 1);
    pb_msg(&g, 5, &t);
    expect_model(&g, STATUS_UNSUPPORTED, "\"far\": its data are in another file");
}

static void test_half_precision(void **state) {
    (void)state;
    /* 1, -2, smallest subnormal, infinity, 65504 */
    static const uint8_t half[] = {0, 0x3c, 0, 0xc0, 1, 0, 0, 0x7c, 0xff, 0x7b};
    static const float want[] = {1, -2, 5.9604645e-8f, __builtin_inff(), 65504};
    pb g = small_graph(), t = {0};
    pb_int(&t, 1, 5);
    pb_int(&t, 2, 10);
    pb_str(&t, 8, "half");
    pb_bytes(&t, 9, half, sizeof half);
    pb_msg(&g, 5, &t);
    pb m = onnx_model(&g, 13, NULL);
    ox_graph graph;
    assert_int_equal(ox_graph_parse(m.data, m.n, "t", &graph, NULL), STATUS_OK);
    const ox_value *v = &graph.values[ox_graph_find(&graph, "half")];
    assert_memory_equal(v->constant->data, want, sizeof want);
    assert_int_equal(v->stored_bytes, 10);
    ox_graph_free(&graph);
    pb_free(&m);
}

/* ---- every cut and every byte ------------------------------------------------------------------- */

/* Loads, and where that works runs one example forward and back. */
static void try_bytes(const uint8_t *data, size_t n, size_t *n_loaded) {
    ox_graph g;
    error err = {0};
    if (ox_graph_parse(data, n, "t", &g, &err) != STATUS_OK) {
        assert_true(err.text[0] != '\0');
        return;
    }
    ox_plan *p = NULL;
    ox_plan_args a = {.batch = 2, .wanted = g.outputs, .n_wanted = 1, .want_vjp = true};
    if (g.input_n_dims < 3 && ox_plan_make(&g, &a, &p, &err) == STATUS_OK) {
        if (ox_plan_forward(p, &err) == STATUS_OK) {
            ox_plan_zero_gradients(p);
            (void)ox_plan_backward(p, ASSAY_VJP_EXACT, &err);
        }
        ox_plan_free(p);
        (*n_loaded)++;
    }
    ox_graph_free(&g);
}

static void cut_and_flip(const uint8_t *data, size_t n) {
    size_t n_loaded = 0;
    for (size_t cut = 0; cut < n; cut++) {
        uint8_t *exact = mem_zalloc(cut + 1); /* ASan sees one byte too many */
        uint8_t *at_end = exact + 1;
        memcpy(at_end, data, cut);
        try_bytes(at_end, cut, &n_loaded);
        mem_free(exact);
    }
    uint8_t *copy = mem_zalloc(n);
    memcpy(copy, data, n);
    static const uint8_t masks[] = {0x01, 0x80, 0xff, 0x08};
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < sizeof masks; k++) {
            copy[i] = data[i] ^ masks[k];
            try_bytes(copy, n, &n_loaded);
        }
        copy[i] = data[i];
    }
    mem_free(copy);
    print_message("%zu bytes, %zu variants still ran\n", n, n_loaded);
}

static void test_cut_and_flip_small(void **state) {
    (void)state;
    pb g = small_graph();
    pb m = onnx_model(&g, 13, (const char *[]){"assay.labels", "a\nb", NULL});
    cut_and_flip(m.data, m.n);
    pb_free(&m);
}

static void test_cut_and_flip_real(void **state) {
    (void)state;
    char path[512];
    size_t n = 0;
    uint8_t *data = read_whole(source_path(path, "examples/models/hmda-logreg.onnx"), &n);
    assert_non_null(data);
    cut_and_flip(data, n);
    mem_free(data);
}

/* A convolutional model with quantisation: cuts everywhere (the larger part is weights, so in steps there). */
static void test_cut_large(void **state) {
    (void)state;
    char path[512];
    size_t n = 0, n_loaded = 0;
    uint8_t *data = read_whole(source_path(path, "examples/models/fashion-cnn-int8.onnx"), &n);
    if (data == NULL) {
        skip();
        return;
    }
    for (size_t cut = 0; cut<n; cut += n> 4000 ? 1 + n / 4000 : 1) {
        try_bytes(data, cut, &n_loaded);
    }
    for (size_t i = 0; i < n; i += 1 + n / 2000) {
        data[i] ^= 0xff;
        try_bytes(data, n, &n_loaded);
        data[i] ^= 0xff;
    }
    mem_free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nested_graphs),
        cmocka_unit_test(test_nested_types),
        cmocka_unit_test(test_wire),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_graph_errors),
        cmocka_unit_test(test_unsupported),
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_external),
        cmocka_unit_test(test_half_precision),
        cmocka_unit_test(test_cut_and_flip_small),
        cmocka_unit_test(test_cut_and_flip_real),
        cmocka_unit_test(test_cut_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
