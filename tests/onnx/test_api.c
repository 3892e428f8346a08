/* SPDX-License-Identifier: Apache-2.0
 * The plug-in's tables: argument checks, options and metadata, preprocessing, ports, files of batch 1. */
#include "support.h"

#include <math.h>
#include <string.h>

#include "session.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

/* logits = x W (2 -> 3), with a Softmax behind it if wanted */
static pb linear(int64_t batch, bool softmax, const char *const *meta) {
    static const float w[] = {1, 2, 3, 4, 5, 6};
    pb g = {0};
    onnx_input(&g, "x", (int64_t[]){batch, 2}, 2);
    onnx_f32(&g, "w", (int64_t[]){2, 3}, 2, w);
    onnx_node(&g, "MatMul", "fc", "x w", "scores", NULL);
    if (softmax) {
        onnx_node(&g, "Softmax", "sm", "scores", "p", NULL);
    }
    onnx_output(&g, softmax ? "p" : "scores");
    return onnx_model(&g, 13, meta);
}

/* y = x + 0 of an image (1, C, H, W) flattened by Reshape to [first, rest] */
static pb image(const int64_t *shape, int64_t first, int64_t rest, const char *const *meta) {
    pb g = {0};
    onnx_input(&g, "x", shape, 4);
    onnx_i64(&g, "to", (int64_t[]){2}, 1, (int64_t[]){first, rest});
    onnx_node(&g, "Reshape", "flat", "x to", "y", NULL);
    onnx_output(&g, "y");
    return onnx_model(&g, 13, meta);
}

static void open_ok(rig *r, pb model, const assay_option *o, size_t n) {
    if (rig_open_pb(r, &model, o, (uint32_t)n) != ASSAY_OK) {
        fail_msg("%s", r->text);
    }
}

static void open_fails(pb model, const assay_option *o, size_t n, assay_status want, const char *part) {
    rig r;
    assay_status s = rig_open_pb(&r, &model, o, (uint32_t)n);
    if (s != want || strstr(r.text, part) == NULL) {
        fail_msg("status %d \"%s\", expected %d with \"%s\"", s, r.text, want, part);
    }
}

/* ---- ports and options -------------------------------------------------------------------------- */

static void test_ports(void **state) {
    (void)state;
    rig r;
    open_ok(&r, linear(-1, true, NULL), NULL, 0);
    assert_int_equal(r.n_ports, 2);
    assert_int_equal(r.out[0].kind, ASSAY_PORT_LOGITS);
    assert_string_equal(r.out[0].name, "scores");
    assert_int_equal(r.out[1].kind, ASSAY_PORT_PROBABILITIES);
    assert_int_equal(r.in.shape[0], -1);
    assert_int_equal(r.in.shape[1], 2);
    assert_true(isinf(r.in.range_lo) && isinf(r.in.range_hi));
    assert_null(r.api->capability(r.model, "assay.none/1"));
    assert_null(r.api->capability(r.model, ASSAY_LABELS_1));
    assert_null(r.api->capability(r.model, ASSAY_TEXT_1));
    rig_close(&r);
    open_ok(&r, linear(-1, true, NULL), (assay_option[]){{"output.kind", "probabilities"}}, 1);
    assert_int_equal(r.n_ports, 1);
    assert_int_equal(r.out[0].kind, ASSAY_PORT_PROBABILITIES);
    rig_close(&r);
    open_ok(&r, linear(-1, false, NULL), (assay_option[]){{"output.kind", "regression"}, {"output", "scores"}}, 2);
    assert_int_equal(r.out[0].kind, ASSAY_PORT_REGRESSION);
    rig_close(&r);
}

static void test_options(void **state) {
    (void)state;
    static const struct {
        assay_option o;
        const char *part;
    } bad[] = {
        {{"nonsense", "1"}, "unknown option \"nonsense\"; known: output"},
        {{"output", "none"}, "no output \"none\""},
        {{"output.kind", "logit"}, "must be logits"},
        {{"preprocess.mean", "1\n2\n3"}, "preprocess.mean: 3 values where 1 or 2"},
        {{"preprocess.mean", "nan"}, "line 1 is not a finite number"},
        {{"preprocess.mean", ""}, "preprocess.mean: 0 values"},
        {{"preprocess.std", "0"}, "value 1 is not positive"},
        {{"preprocess.std", "1\n-1"}, "value 2 is not positive"},
        {{"preprocess.scale", "1e39"}, "line 1 is not a finite number"},
        {{"preprocess.layout", "NHWC"}, "four dimensions"},
        {{"preprocess.layout", "HWC"}, "must be NCHW or NHWC"},
        {{"preprocess.channels", "BGR"}, "three channels"},
        {{"preprocess.range", "1\n0"}, "low < high"},
        {{"range", "1"}, "low and high"},
    };
    for (size_t i = 0; i < LEN(bad); i++) {
        open_fails(linear(-1, false, NULL), &bad[i].o, 1, ASSAY_ERR_ARGUMENT, bad[i].part);
    }
    open_fails(linear(-1, false, (const char *[]){"assay.std", "0", NULL}), NULL, 0, ASSAY_ERR_MODEL, "assay.std");
    open_fails(linear(-1, false, (const char *[]){"assay.labels", "a\nb", NULL}), NULL, 0, ASSAY_ERR_MODEL,
               "assay.labels has 2 names, the output 3");
    open_fails(linear(-1, false, (const char *[]){"assay.columns", "a", NULL}), NULL, 0, ASSAY_ERR_MODEL,
               "assay.columns has 1 names, the input 2");
    rig r;
    assert_int_equal(rig_open(&r, "/nonexistent/model.onnx", NULL, 0), ASSAY_ERR_IO);
}

/* ---- preprocessing ------------------------------------------------------------------------------ */

static void test_preprocess_vector(void **state) {
    (void)state;
    rig r;
    const char *meta[] = {"assay.mean", "1\n2",         "assay.std", "2\n4",          "assay.scale", "3", "assay.range",
                          "0\n1",       "assay.labels", "a\nb\nc",   "assay.columns", "u\nv",        NULL};
    float x[] = {0.5f, 0.25f}, y[3], g[2], c[] = {1, 0, -1};
    open_ok(&r, linear(-1, false, meta), NULL, 0);
    assert_true(r.in.range_lo == 0 && r.in.range_hi == 1);
    const assay_labels *l = r.api->capability(r.model, ASSAY_LABELS_1);
    assert_string_equal(l->label(r.model, 2), "c");
    assert_null(l->label(r.model, 3));
    assert_string_equal(l->column(r.model, 1), "v");
    assay_session *s = rig_session(&r, 8, 0);
    rig_vjp(&r, s, x, 1, c, 0, y, g);
    float a = (0.5f * 3 - 1) / 2, b = (0.25f * 3 - 2) / 4;
    for (int k = 0; k < 3; k++) {
        assert_true(fabsf(y[k] - (a * (float)(k + 1) + b * (float)(k + 4))) < 1e-6f);
    }
    assert_true(fabsf(g[0] - (1.0f - 3.0f) / 2 * 3) < 1e-6f && fabsf(g[1] - (4.0f - 6.0f) / 4 * 3) < 1e-6f);
    r.api->session_close(s);
    rig_close(&r);
    /* options win over metadata */
    open_ok(&r, linear(-1, false, meta), (assay_option[]){{"preprocess.mean", "0"}, {"preprocess.range", "-1\n7"}}, 2);
    assert_true(r.in.range_lo == -1 && r.in.range_hi == 7);
    s = rig_session(&r, 1, 0);
    rig_predict(&r, s, x, 1, y);
    assert_true(fabsf(y[0] - (0.75f + 4 * 0.1875f)) < 1e-6f);
    r.api->session_close(s);
    rig_close(&r);
}

/* The graph flattens what it gets, so its output shows the order of the channels. */
static void test_preprocess_image(void **state) {
    (void)state;
    enum { C = 3, H = 2, W = 2, N = C * H * W };
    assay_option o[] = {{"preprocess.layout", "NHWC"}, {"preprocess.channels", "BGR"}, {"preprocess.mean", "1\n2\n3"}};
    rig r;
    open_ok(&r, image((int64_t[]){-1, H, W, C}, -1, N, NULL), o, 3);
    assert_int_equal(r.in.shape[1], C);
    assert_int_equal(r.in.shape[3], W);
    float x[N], y[N], c[N], g[N];
    for (int i = 0; i < N; i++) {
        x[i] = (float)(10 * i);
        c[i] = (float)(i + 1);
    }
    assay_session *s = rig_session(&r, 8, 0);
    rig_vjp(&r, s, x, 1, c, 0, y, g);
    for (int p = 0; p < H * W; p++) {
        for (int k = 0; k < C; k++) {
            int host = (C - 1 - k) * H * W + p;
            assert_true(y[p * C + k] == x[host] - (float)(k + 1));
            assert_true(g[host] == c[p * C + k]);
        }
    }
    r.api->session_close(s);
    rig_close(&r);
}

/* ---- batch -------------------------------------------------------------------------------------- */

/* Exported with batch 1 and a constant [1, 6]: runs at any batch. */
static void test_batch_one_reshape(void **state) {
    (void)state;
    static const int64_t firsts[] = {1, -1, 0};
    for (size_t k = 0; k < LEN(firsts); k++) {
        rig r;
        float x[5 * 6], y[5 * 6];
        open_ok(&r, image((int64_t[]){1, 1, 2, 3}, firsts[k], 6, NULL), NULL, 0);
        assert_false(r.model->one_by_one);
        for (int i = 0; i < 30; i++) {
            x[i] = (float)i;
        }
        assay_session *s = rig_session(&r, 8, 0);
        rig_predict(&r, s, x, 5, y);
        assert_memory_equal(x, y, sizeof x);
        r.api->session_close(s);
        s = rig_session(&r, 8, ASSAY_SESSION_UNPADDED);
        rig_predict(&r, s, x, 5, y);
        assert_memory_equal(x, y, sizeof x);
        r.api->session_close(s);
        rig_close(&r);
    }
}

/* The batch of 1 disappears in the graph, or examples would mix: looped over one by one, with the same results. */
static void run_one_by_one(pb model, const float *want, size_t n_in, size_t n_out) {
    rig r;
    float x[12], y[36], g[12], c[36] = {1};
    open_ok(&r, model, NULL, 0);
    assert_true(r.model->one_by_one);
    assert_true(r.model->reason[0] != '\0');
    assert_int_equal(r.n_features, n_in);
    assert_int_equal(r.n_outputs, n_out);
    for (size_t i = 0; i < 2 * n_in; i++) {
        x[i] = (float)i;
    }
    assay_session *s = rig_session(&r, 8, 0);
    rig_predict(&r, s, x, 2, y);
    rig_vjp(&r, s, x, 2, c, 0, NULL, g);
    for (size_t i = 0; i < 2 * n_out; i++) {
        assert_true(fabsf(y[i] - want[i]) < 1e-6f);
    }
    r.api->session_close(s);
    rig_close(&r);
}

static void test_one_by_one(void **state) {
    (void)state;
    pb g = {0}, attrs = {0};
    onnx_input(&g, "x", (int64_t[]){1, 4}, 2);
    onnx_i64(&g, "to", (int64_t[]){2}, 1, (int64_t[]){2, 2});
    onnx_node(&g, "Reshape", "split", "x to", "h", NULL);
    onnx_attr_int(&attrs, "axis", 0);
    onnx_node(&g, "Flatten", "join", "h", "y", &attrs);
    onnx_output(&g, "y");
    run_one_by_one(onnx_model(&g, 13, NULL), (const float[]){0, 1, 2, 3, 4, 5, 6, 7}, 4, 4);
    /* a softmax over the batch: all ones at batch 1 */
    g = (pb){0};
    attrs = (pb){0};
    onnx_input(&g, "x", (int64_t[]){1, 2}, 2);
    onnx_attr_int(&attrs, "axis", 0);
    onnx_node(&g, "Softmax", "mix", "x", "y", &attrs);
    onnx_output(&g, "y");
    run_one_by_one(onnx_model(&g, 13, NULL), (const float[]){1, 1, 1, 1}, 2, 2);
}

/* The file says batch N, but the transposes put the batch elsewhere and a Softmax mixes examples there: shapes do not
 * show it, the check with two neighbours does. */
static void test_mixing(void **state) {
    (void)state;
    pb g = {0}, perm = {0}, perm2 = {0}, ints = {0};
    pb_str(&ints, 1, "perm");
    pb_int(&ints, 8, 1);
    pb_int(&ints, 8, 0);
    pb_int(&ints, 20, 7);
    pb_raw(&perm, ints.data, 0);
    pb_bytes(&perm, 5, ints.data, ints.n);
    pb_bytes(&perm2, 5, ints.data, ints.n);
    pb_free(&ints);
    onnx_input(&g, "x", (int64_t[]){-1, 2}, 2);
    onnx_node(&g, "Transpose", "t1", "x", "a", &perm);
    onnx_node(&g, "Softmax", "mix", "a", "b", NULL);
    onnx_node(&g, "Transpose", "t2", "b", "y", &perm2);
    onnx_output(&g, "y");
    run_one_by_one(onnx_model(&g, 13, NULL), (const float[]){1, 1, 1, 1}, 2, 2);
}

/* ---- arguments ---------------------------------------------------------------------------------- */

static void test_predict_arguments(void **state) {
    (void)state;
    rig r;
    open_ok(&r, linear(-1, true, NULL), NULL, 0);
    const assay_predict *p = r.api->capability(r.model, ASSAY_PREDICT_1);
    assay_session *s = rig_session(&r, 8, 0);
    float x[4] = {1, 2, 3, 4}, y[6] = {0}, q[6] = {0};
    for (int k = 0; k < 12; k++) {
        assay_tensor in = rig_tensor(&r.in, x, 2), out[2] = {rig_tensor(&r.out[0], y, 2), rig_tensor(&r.out[1], q, 2)};
        uint32_t n_in = 1, n_out = 2;
        switch (k) {
        case 0: in.data = NULL; break;
        case 1: in.dtype = ASSAY_F64; break;
        case 2: in.n_dims = 1; break;
        case 3: in.shape[1] = 3; break;
        case 4: in.size_bytes--; break;
        case 5: in.shape[0] = 0; break;
        case 6: in.struct_size = 8; break;
        case 7: out[1].shape[0] = 1; break;
        case 8: out[0].size_bytes += 4; break;
        case 9: n_out = 1; break;
        case 10: n_in = 2; break;
        default: in.shape[0] = INT64_MAX; break;
        }
        assert_int_equal(p->predict(s, &in, n_in, out, n_out, &r.err), ASSAY_ERR_ARGUMENT);
    }
    assay_tensor in = rig_tensor(&r.in, x, 2), out[2] = {rig_tensor(&r.out[0], y, 2), rig_tensor(&r.out[1], q, 2)};
    assert_int_equal(p->predict(NULL, &in, 1, out, 2, &r.err), ASSAY_ERR_ARGUMENT);
    assert_int_equal(p->predict(s, NULL, 1, out, 2, &r.err), ASSAY_ERR_ARGUMENT);
    assert_int_equal(p->predict(s, &in, 1, NULL, 2, NULL), ASSAY_ERR_ARGUMENT);
    assert_int_equal(p->predict(s, &in, 1, out, 2, &r.err), ASSAY_OK);
    assert_true(fabsf(q[0] + q[1] + q[2] - 1) < 1e-6f && y[0] == 9 && y[5] == 33);
    out[0].data = NULL; /* a subset of outputs */
    assert_int_equal(p->predict(s, &in, 1, out, 2, &r.err), ASSAY_OK);
    r.api->session_close(s);
    rig_close(&r);
}

static void test_vjp_arguments(void **state) {
    (void)state;
    rig r;
    open_ok(&r, linear(-1, true, NULL), NULL, 0);
    const assay_vjp *v = r.api->capability(r.model, ASSAY_VJP_1);
    assay_session *s = rig_session(&r, 8, 0);
    float x[2] = {1, 2}, c[3] = {1, 0, 0}, g[2] = {0}, g2[2] = {0};
    assay_tensor in = rig_tensor(&r.in, x, 1), gr = rig_tensor(&r.in, g, 1);
    assay_tensor ct[2] = {rig_tensor(&r.out[0], c, 1), rig_tensor(&r.out[1], NULL, 1)};
    assert_int_equal(v->vjp(s, &in, 1, ct, 2, NULL, NULL, 0, &r.err), ASSAY_ERR_ARGUMENT);
    assert_int_equal(v->vjp(s, &in, 1, NULL, 2, NULL, &gr, 0, &r.err), ASSAY_ERR_ARGUMENT);
    assert_int_equal(v->vjp(s, &in, 1, ct, 2, NULL, &gr, 3, &r.err), ASSAY_ERR_ARGUMENT);
    assert_int_equal(v->vjp(NULL, &in, 1, ct, 2, NULL, &gr, 0, &r.err), ASSAY_ERR_ARGUMENT);
    assert_int_equal(v->vjp(s, &in, 1, ct, 2, NULL, &gr, 0, &r.err), ASSAY_OK);
    assert_true(g[0] == 1 && g[1] == 4);
    /* cotangents of both ports add up */
    ct[1].data = c;
    gr.data = g2;
    assert_int_equal(v->vjp(s, &in, 1, ct, 2, NULL, &gr, 0, &r.err), ASSAY_OK);
    ct[0].data = NULL;
    float g3[2] = {0};
    gr.data = g3;
    assert_int_equal(v->vjp(s, &in, 1, ct, 2, NULL, &gr, 0, &r.err), ASSAY_OK);
    assert_true(fabsf(g2[0] - g[0] - g3[0]) < 1e-6f && fabsf(g2[1] - g[1] - g3[1]) < 1e-6f);
    r.api->session_close(s);
    rig_close(&r);
}

static void test_other_arguments(void **state) {
    (void)state;
    rig r;
    open_ok(&r, linear(-1, false, NULL), NULL, 0);
    assay_session *s = NULL;
    assay_session_args a = {.struct_size = sizeof a, .tile = 0, .n_threads = 1};
    assert_int_equal(r.api->session_open(r.model, &a, &s, &r.err), ASSAY_ERR_ARGUMENT);
    a.tile = 1;
    a.flags = 2;
    assert_int_equal(r.api->session_open(r.model, &a, &s, &r.err), ASSAY_ERR_ARGUMENT);
    assert_int_equal(r.api->session_open(NULL, &a, &s, &r.err), ASSAY_ERR_ARGUMENT);
    assay_model *m = r.model;
    assert_int_equal(r.api->open(NULL, &m, &r.err), ASSAY_ERR_ARGUMENT);
    assert_null(m);
    assert_int_equal(r.api->open(NULL, NULL, NULL), ASSAY_ERR_ARGUMENT);
    r.api->close(NULL);
    r.api->session_close(NULL);
    const assay_io *io = r.api->capability(r.model, ASSAY_IO_1);
    assay_port port = {.struct_size = 8, .n_dims = 77}; /* an old host: only `kind` fits */
    assert_int_equal(io->port(r.model, ASSAY_DIRECTION_INPUT, 0, &port, &r.err), ASSAY_OK);
    assert_int_equal(port.kind, ASSAY_PORT_FEATURES);
    assert_int_equal(port.n_dims, 77);
    assert_int_equal(io->port(r.model, ASSAY_DIRECTION_INPUT, 1, &port, &r.err), ASSAY_ERR_ARGUMENT);
    assert_int_equal(io->port(r.model, 7, 0, &port, &r.err), ASSAY_ERR_ARGUMENT);
    assert_null(r.api->capability(r.model, NULL));
    assert_null(r.api->capability(NULL, ASSAY_IO_1));
    assert_null(ox_api_get("assay.none/1"));
    assert_null(ox_api_get(NULL));
    rig_close(&r);
    char text[200], small[5];
    size_t n = ox_environment_describe(text, sizeof text);
    assert_int_equal(n, strlen(text));
    assert_true(strstr(text, "onnx=") == text && strstr(text, " openblas=") != NULL && strstr(text, " core=") != NULL &&
                strstr(text, " onednn=") != NULL && strstr(text, " isa=") != NULL);
    assert_int_equal(ox_environment_describe(small, sizeof small), 4);
    print_message("%s\n", text);
}

static void test_embed(void **state) {
    (void)state;
    rig r;
    open_ok(&r, linear(-1, true, NULL), NULL, 0);
    const assay_embed *e = r.api->capability(r.model, ASSAY_EMBED_1);
    assert_int_equal(e->n_layers(r.model), 3);
    assert_int_equal(e->layer_size(r.model, "scores"), 3);
    assert_int_equal(e->layer_size(r.model, "penultimate"), 2);
    assert_int_equal(e->layer_size(r.model, "none"), 0);
    assert_null(e->layer_name(r.model, 3));
    assay_session *s = rig_session(&r, 8, 0);
    float x[4] = {1, 2, 3, 4}, y[6] = {0};
    assay_port layer = {.n_dims = 2, .shape = {-1, 3}};
    assay_tensor in = rig_tensor(&r.in, x, 2), out = rig_tensor(&layer, y, 2);
    assert_int_equal(e->embed(s, &in, 1, "scores", &out, &r.err), ASSAY_OK);
    assert_true(y[0] == 9 && y[5] == 33);
    assert_int_equal(e->embed(s, &in, 1, "none", &out, &r.err), ASSAY_ERR_ARGUMENT);
    assert_int_equal(e->embed(s, &in, 1, "penultimate", &out, &r.err), ASSAY_ERR_ARGUMENT);
    r.api->session_close(s);
    rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_preprocess_vector),
        cmocka_unit_test(test_preprocess_image),
        cmocka_unit_test(test_batch_one_reshape),
        cmocka_unit_test(test_one_by_one),
        cmocka_unit_test(test_mixing),
        cmocka_unit_test(test_predict_arguments),
        cmocka_unit_test(test_vjp_arguments),
        cmocka_unit_test(test_other_arguments),
        cmocka_unit_test(test_embed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
