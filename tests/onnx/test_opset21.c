/* SPDX-License-Identifier: Apache-2.0
 * Operators as opsets 18 to 21 changed them, against ONNX Runtime: tests/golden/onnx/opset21.bin, written by
 * make_opset21.py there (which describes it). Each model runs fast, by the plain loops and unpadded. What is
 * refused as unsupported is named. */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"
#include "tensors.h"

#define MAX_OUTPUTS 4
#define RTOL 2e-4
#define ATOL 2e-5

typedef struct bytes {
    const uint8_t *at;
    size_t n;
} bytes;

typedef struct golden {
    char name[100];
    bytes model;
    Onnx__TensorProto *x, *out[MAX_OUTPUTS];
    size_t n_out;
} golden;

static size_t take_number(bytes *b) {
    uint32_t v = 0;
    assert_true(b->n >= sizeof v);
    memcpy(&v, b->at, sizeof v);
    b->at += sizeof v;
    b->n -= sizeof v;
    return v;
}

static bytes take(bytes *b) {
    size_t n = take_number(b);
    assert_true(n <= b->n);
    bytes part = {b->at, n};
    b->at += n;
    b->n -= n;
    return part;
}

static Onnx__TensorProto *take_tensor(bytes *b) {
    bytes part = take(b);
    Onnx__TensorProto *t = onnx__tensor_proto__unpack(NULL, part.n, part.at);
    assert_non_null(t);
    return t;
}

static void read_case(bytes *b, golden *g) {
    bytes name = take(b);
    *g = (golden){0};
    assert_true(name.n < sizeof g->name);
    memcpy(g->name, name.at, name.n);
    g->model = take(b);
    g->x = take_tensor(b);
    g->n_out = take_number(b);
    assert_true(g->n_out <= MAX_OUTPUTS);
    for (size_t i = 0; i < g->n_out; i++) {
        g->out[i] = take_tensor(b);
    }
}

static void free_case(golden *g) {
    onnx__tensor_proto__free_unpacked(g->x, NULL);
    for (size_t i = 0; i < g->n_out; i++) {
        onnx__tensor_proto__free_unpacked(g->out[i], NULL);
    }
}

static ox_tensor unpack(const Onnx__TensorProto *p) {
    ox_tensor t = {0};
    size_t n = 0, stored = 0;
    error err = {0};
    assert_int_equal(ox_tensor_check(p, &t, &n, &stored, &err), STATUS_OK);
    t.data = mem_zalloc(n);
    assert_int_equal(ox_tensor_fill(p, &t, &err), STATUS_OK);
    return t;
}

static double value_at(const ox_tensor *t, size_t i) {
    switch (t->dtype) {
    case ASSAY_F32: return (double)((const float *)t->data)[i];
    case ASSAY_F64: return ((const double *)t->data)[i];
    case ASSAY_I8: return ((const int8_t *)t->data)[i];
    case ASSAY_I32: return ((const int32_t *)t->data)[i];
    case ASSAY_I64: return (double)((const int64_t *)t->data)[i];
    default: return ((const uint8_t *)t->data)[i];
    }
}

/* The number of values that differ; the first one is printed. */
static size_t compare(const golden *g, size_t k, const ox_tensor *got, const char *way) {
    ox_tensor want = unpack(g->out[k]);
    size_t n_wrong = 0;
    bool floats = got->dtype == ASSAY_F32 || got->dtype == ASSAY_F64;
    bool want_floats = want.dtype == ASSAY_F32 || want.dtype == ASSAY_F64;
    if (!ox_same_shape(got, &want) || floats != want_floats || (!floats && got->dtype != want.dtype)) {
        print_message("WRONG %s (%s): output %zu: rank %u, %zu values of dtype %u; expected %u, %zu, %u\n", g->name,
                      way, k, got->n_dims, got->n, got->dtype, want.n_dims, want.n, want.dtype);
        n_wrong = 1;
    }
    for (size_t i = 0; n_wrong == 0 && i < want.n; i++) {
        double a = value_at(got, i), b = value_at(&want, i);
        bool near = a == b || (isnan(a) && isnan(b)) || (floats && isfinite(b) && fabs(a - b) <= ATOL + RTOL * fabs(b));
        if (!near) {
            print_message("WRONG %s (%s): output %zu, element %zu is %.9g, expected %.9g\n", g->name, way, k, i, a, b);
            n_wrong = 1;
        }
    }
    mem_free(want.data);
    return n_wrong;
}

typedef enum verdict { RIGHT, WRONG, SKIPPED, N_VERDICTS } verdict;

/* What is refused as unsupported is listed; every other error is a mistake of ours. */
static verdict refuse(const golden *g, status s, const error *err) {
    print_message("%s %s: %s\n", s == STATUS_UNSUPPORTED ? "SKIPPED" : "WRONG", g->name, err->text);
    return s == STATUS_UNSUPPORTED ? SKIPPED : WRONG;
}

static verdict run_way(const golden *g, const ox_graph *graph, ox_plan_args a, const char *way) {
    size_t n_wrong = 0;
    error err = {0};
    ox_plan *p = NULL;
    ox_tensor x = unpack(g->x);
    status s = ox_plan_make(graph, &a, &p, &err);
    if (s == STATUS_OK) {
        memcpy(p->tensors[graph->input].data, x.data, x.n * sizeof(float));
        s = ox_plan_forward(p, &err);
    }
    for (size_t i = 0; s == STATUS_OK && i < g->n_out; i++) {
        n_wrong += compare(g, i, &p->tensors[graph->outputs[i]], way);
    }
    ox_plan_free(p);
    mem_free(x.data);
    return s != STATUS_OK ? refuse(g, s, &err) : n_wrong > 0 ? WRONG : RIGHT;
}

static verdict run_case(const golden *g) {
    ox_graph graph;
    error err = {0};
    status s = ox_graph_parse(g->model.at, g->model.n, g->name, &graph, &err);
    if (s != STATUS_OK) {
        return refuse(g, s, &err);
    }
    assert_int_equal(graph.n_outputs, g->n_out);
    ox_plan_args a = {.batch = g->x->dims[0], .wanted = graph.outputs, .n_wanted = g->n_out, .only_this_batch = true};
    verdict v = run_way(g, &graph, a, "fast");
    a.reference = true;
    v = v == RIGHT ? run_way(g, &graph, a, "reference") : v;
    a.reference = false;
    a.unpadded = true;
    v = v == RIGHT ? run_way(g, &graph, a, "unpadded") : v;
    ox_graph_free(&graph);
    return v;
}

static void test_golden(void **state) {
    (void)state;
    char path[512];
    size_t n = 0, n_cases = 0, count[N_VERDICTS] = {0};
    uint8_t *file = read_whole(source_path(path, "tests/golden/onnx/opset21.bin"), &n);
    assert_non_null(file);
    bytes b = {file, n};
    while (b.n > 0) {
        golden g;
        read_case(&b, &g);
        count[run_case(&g)]++;
        n_cases++;
        free_case(&g);
    }
    mem_free(file);
    print_message("%zu cases: %zu right, %zu wrong, %zu skipped as unsupported\n", n_cases, count[RIGHT], count[WRONG],
                  count[SKIPPED]);
    assert_true(n_cases >= 200);
    assert_int_equal(count[WRONG], 0);
}

/* ---- every version of what is registered --------------------------------------------------------- */

/* One line of opset21_versions.txt: a name and opsets, "-N" where N deprecated it. False if the operator is registered,
 * but not for one of its versions. */
static bool check_versions(char *line) {
    char *rest = NULL;
    const char *op = strtok_r(line, " ", &rest);
    bool registered = false, complete = true;
    for (int v = OX_MIN_OPSET; v <= OX_MAX_OPSET; v++) {
        registered = registered || ox_kernel_find(op, v) != NULL;
    }
    for (const char *word = strtok_r(NULL, " ", &rest); registered && word != NULL; word = strtok_r(NULL, " ", &rest)) {
        int v = (int)strtol(word, NULL, 10);
        if (v > 0 && ox_kernel_find(op, v) == NULL) {
            print_message("%s is registered, but not for opset %d\n", op, v);
            complete = false;
        }
    }
    return complete;
}

static void test_versions(void **state) {
    (void)state;
    char path[512];
    size_t n = 0, n_incomplete = 0, n_lines = 0;
    char *file = (char *)read_whole(source_path(path, "tests/golden/onnx/opset21_versions.txt"), &n), *rest = NULL;
    assert_non_null(file);
    for (char *line = strtok_r(file, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        n_incomplete += !check_versions(line);
        n_lines++;
    }
    mem_free(file);
    assert_true(n_lines > 150);
    print_message("%zu operators lack a version\n", n_incomplete);
    assert_int_equal(n_incomplete, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_versions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
