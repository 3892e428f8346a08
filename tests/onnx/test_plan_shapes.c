/* SPDX-License-Identifier: Apache-2.0
 * Shape arithmetic of exporters with an open batch: it is computed while the plan is made, and what would make an
 * example's result depend on the batch's size is refused. */
#include <string.h>

#include "plan.h"
#include "support.h"

static const int64_t in_shape[] = {-1, 2, 3}, one[] = {1}, zero[] = {0}, minus[] = {-1}, row[] = {1, 2, 3};
static const float token[6] = {1, 2, 3, 4, 5, 6};

/* The input x (N, 2, 3) and constants; the nodes come from `add`. */
static void parse(ox_graph *g, void (*add)(pb *graph)) {
    pb graph = {0};
    onnx_input(&graph, "x", in_shape, 3);
    onnx_i64(&graph, "zero", one, 1, zero);
    onnx_i64(&graph, "scalar", NULL, 0, zero);
    onnx_i64(&graph, "minus", one, 1, minus);
    onnx_f32(&graph, "token", row, 3, token);
    add(&graph);
    onnx_output(&graph, "y");
    pb m = onnx_model(&graph, 13, NULL);
    error err = {0};
    if (ox_graph_parse(m.data, m.n, "test", g, &err) != STATUS_OK) {
        fail_msg("%s", err.text);
    }
    pb_free(&m);
}

static void attr_node(pb *graph, const char *op, const char *in, const char *out, const char *name, int64_t v) {
    pb attrs = {0};
    onnx_attr_int(&attrs, name, v);
    onnx_node(graph, op, out, in, out, &attrs);
}

static void flatten(pb *graph) { /* x.view(x.size(0), -1) */
    onnx_node(graph, "Shape", "s", "x", "s", NULL);
    onnx_node(graph, "Gather", "n", "s scalar", "n", NULL);
    onnx_node(graph, "Unsqueeze", "u", "n zero", "u", NULL);
    attr_node(graph, "Concat", "u minus", "to", "axis", 0);
    onnx_node(graph, "Reshape", "y", "x to", "y", NULL);
}

static void class_token(pb *graph) { /* the token for every example, in front of x along axis 1 */
    onnx_node(graph, "Shape", "s", "x", "s", NULL);
    onnx_node(graph, "Expand", "e", "token s", "e", NULL);
    attr_node(graph, "Concat", "e x", "y", "axis", 1);
}

static void times_batch(pb *graph) {
    onnx_node(graph, "Shape", "s", "x", "s", NULL);
    onnx_node(graph, "Gather", "n", "s scalar", "n", NULL);
    attr_node(graph, "Cast", "n", "f", "to", 1);
    onnx_node(graph, "Mul", "y", "x f", "y", NULL);
}

static void expect(void (*add)(pb *graph), int64_t batch, size_t per_example, bool works) {
    ox_graph g;
    parse(&g, add);
    error err = {0};
    ox_plan *p = NULL;
    ox_plan_args a = {.batch = batch, .wanted = g.outputs, .n_wanted = 1, .want_vjp = true};
    status s = ox_plan_make(&g, &a, &p, &err);
    if ((s == STATUS_OK) != works) {
        fail_msg("batch %d: %s", (int)batch, err.text);
    }
    if (!works) {
        assert_int_equal(s, STATUS_UNSUPPORTED);
        ox_graph_free(&g);
        return;
    }
    const ox_tensor *y = &p->tensors[g.outputs[0]], *x = &p->tensors[g.input];
    assert_true(y->has_batch && y->shape[0] == batch && y->n == per_example * (size_t)batch);
    for (size_t i = 0; i < x->n; i++) {
        ((float *)x->data)[i] = (float)i + 10;
    }
    assert_int_equal(ox_plan_forward(p, &err), STATUS_OK);
    ox_plan_zero_gradients(p);
    for (size_t i = 0; i < y->n; i++) {
        p->grads[g.outputs[0]][i] = (float)i;
    }
    assert_int_equal(ox_plan_backward(p, ASSAY_VJP_EXACT, &err), STATUS_OK);
    for (size_t b = 0; b < (size_t)batch; b++) {
        const float *out = (const float *)y->data + b * per_example;
        size_t own = per_example - 6;
        assert_true(own == 0 || memcmp(out, token, sizeof token) == 0);
        for (size_t i = 0; i < 6; i++) {
            assert_true(out[own + i] == (float)(b * 6 + i) + 10);
            assert_true(p->grads[g.input][b * 6 + i] == (float)(b * per_example + own + i));
        }
    }
    ox_plan_free(p);
    ox_graph_free(&g);
}

static void batches(void **state) {
    (void)state;
    for (int64_t batch = 1; batch < 6; batch++) {
        expect(flatten, batch, 6, true);
        expect(class_token, batch, 12, true);
        expect(times_batch, batch, 6, false);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(batches)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
