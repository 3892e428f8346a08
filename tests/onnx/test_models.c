/* SPDX-License-Identifier: Apache-2.0
 * The example models through the plug-in's tables: padded execution gives the same bits for every split of a batch,
 * position and neighbours; vjp is the derivative; the golden files of tests/golden/models agree. */
#include "support.h"

#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"

#define N_EXAMPLES 70

/* Real images where they are installed, else numbers in the range of the model. */
static float *examples(const rig *r, size_t n) {
    if (r->n_features == 784) {
        float *x = fashion_images(0, n);
        if (x != NULL) {
            return x;
        }
    }
    float *x = mem_zalloc(n * r->n_features * sizeof *x);
    rng g = rng_at(7, "onnx-test@1", 0, 0, 0);
    for (size_t i = 0; i < n * r->n_features; i++) {
        x[i] = (float)rng_unit(&g);
    }
    return x;
}

/* Runs fn for every example model. */
static void each_model(void (*fn)(rig *r, const char *path)) {
    char pattern[512];
    glob_t found = {0};
    assert_int_equal(glob(source_path(pattern, "examples/models/*.onnx"), 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        rig r;
        if (rig_open(&r, found.gl_pathv[i], NULL, 0) != ASSAY_OK) {
            fail_msg("%s: %s", found.gl_pathv[i], r.text);
        }
        fn(&r, found.gl_pathv[i]);
        rig_close(&r);
    }
    globfree(&found);
}

static void same_bits(const char *path, const char *what, const float *a, const float *b, size_t n) {
    if (memcmp(a, b, n * sizeof *a) != 0) {
        fail_msg("%s: %s: bits differ", path, what);
    }
}

static void predict_in_steps(rig *r, uint32_t tile, const float *x, size_t n, size_t step, float *out) {
    assay_session *s = rig_session(r, tile, 0);
    for (size_t at = 0; at < n; at += step) {
        size_t k = n - at < step ? n - at : step;
        rig_predict(r, s, x + at * r->n_features, k, out + at * r->n_outputs);
    }
    r->api->session_close(s);
}

static void vjp_in_steps(rig *r, uint32_t tile, const float *x, size_t n, size_t step, const float *c, uint32_t mode,
                         float *g) {
    assay_session *s = rig_session(r, tile, 0);
    for (size_t at = 0; at < n; at += step) {
        size_t k = n - at < step ? n - at : step;
        rig_vjp(r, s, x + at * r->n_features, k, c + at * r->n_outputs, mode, NULL, g + at * r->n_features);
    }
    r->api->session_close(s);
}

static void check_splits(rig *r, const char *path) {
    static const uint32_t tiles[] = {1, 8, 32};
    static const size_t steps[] = {1, 7, 32, 128};
    size_t n = N_EXAMPLES, n_out = n * r->n_outputs, n_in = n * r->n_features;
    float *x = examples(r, n), *a = mem_zalloc(n_out * 4), *b = mem_zalloc(n_out * 4), *c = mem_zalloc(n_out * 4);
    float *ga = mem_zalloc(n_in * 4), *gb = mem_zalloc(n_in * 4);
    for (size_t i = 0; i < n_out; i++) {
        c[i] = (float)(i % 7) - 3;
    }
    for (size_t t = 0; t < 3; t++) {
        predict_in_steps(r, tiles[t], x, n, n, a);
        vjp_in_steps(r, tiles[t], x, n, n, c, 0, ga);
        for (size_t k = 0; k < 4; k++) {
            predict_in_steps(r, tiles[t], x, n, steps[k], b);
            same_bits(path, "predict split", a, b, n_out);
            vjp_in_steps(r, tiles[t], x, n, steps[k], c, 0, gb);
            same_bits(path, "vjp split", ga, gb, n_in);
        }
    }
    float *all[] = {x, a, b, c, ga, gb};
    for (size_t i = 0; i < 6; i++) {
        mem_free(all[i]);
    }
}

static void test_splits(void **state) {
    (void)state;
    each_model(check_splits);
}

/* One example at every position of a tile, among neighbours that change. */
static void check_positions(rig *r, const char *path) {
    const size_t TILE = 8;
    size_t f = r->n_features, k = r->n_outputs;
    float *x = examples(r, 3 * TILE), *tile = mem_zalloc(TILE * f * 4), *c = mem_zalloc(TILE * k * 4);
    float *out = mem_zalloc(TILE * k * 4), *g = mem_zalloc(TILE * f * 4);
    float *first = mem_zalloc(k * 4), *first_g = mem_zalloc(f * 4);
    assay_session *s = rig_session(r, (uint32_t)TILE, 0);
    for (size_t pos = 0; pos < TILE; pos++) {
        memcpy(tile, x + (TILE + pos) * f, TILE * f * 4);
        memcpy(tile + pos * f, x, f * 4);
        memset(c, 0, TILE * k * 4);
        for (size_t i = 0; i < TILE * k; i++) {
            c[i] = (float)((i + pos) % 5);
        }
        for (size_t i = 0; i < k; i++) {
            c[pos * k + i] = i % 2 == 0 ? 1 : -0.5f;
        }
        rig_predict(r, s, tile, TILE, out);
        rig_vjp(r, s, tile, TILE, c, 0, NULL, g);
        if (pos == 0) {
            memcpy(first, out, k * 4);
            memcpy(first_g, g, f * 4);
        }
        same_bits(path, "predict position", first, out + pos * k, k);
        same_bits(path, "vjp position", first_g, g + pos * f, f);
    }
    r->api->session_close(s);
    float *all[] = {x, tile, c, out, g, first, first_g};
    for (size_t i = 0; i < 7; i++) {
        mem_free(all[i]);
    }
}

static void test_positions(void **state) {
    (void)state;
    each_model(check_positions);
}

/* Padded, unpadded and any tile agree up to rounding; vjp returns the forward values. */
static void check_unpadded(rig *r, const char *path) {
    size_t n = 13, n_out = n * r->n_outputs;
    float *x = examples(r, n), *a = mem_zalloc(n_out * 4), *b = mem_zalloc(n_out * 4);
    float *g = mem_zalloc(n * r->n_features * 4), *c = mem_zalloc(n_out * 4);
    assay_session *s = rig_session(r, 32, ASSAY_SESSION_UNPADDED);
    rig_predict(r, s, x, n, a);
    predict_in_steps(r, 8, x, n, n, b);
    for (size_t i = 0; i < n_out; i++) {
        if (!(fabsf(a[i] - b[i]) <= 1e-4f * (1 + fabsf(a[i])))) {
            fail_msg("%s: unpadded %g, padded %g", path, (double)a[i], (double)b[i]);
        }
    }
    rig_vjp(r, s, x, n, c, 0, b, g);
    for (size_t i = 0; i < n_out; i++) {
        assert_true(fabsf(a[i] - b[i]) <= 1e-4f * (1 + fabsf(a[i])));
    }
    for (size_t i = 0; i < n * r->n_features; i++) {
        assert_true(g[i] == 0); /* the cotangent is zero */
    }
    r->api->session_close(s);
    float *all[] = {x, a, b, g, c};
    for (size_t i = 0; i < 5; i++) {
        mem_free(all[i]);
    }
}

static void test_unpadded(void **state) {
    (void)state;
    each_model(check_unpadded);
}

/* Bits of a session do not depend on what it ran before, nor on unwanted outputs. */
static void check_facts(rig *r, const char *path) {
    const assay_cost *cost = r->api->capability(r->model, ASSAY_COST_1);
    const assay_embed *e = r->api->capability(r->model, ASSAY_EMBED_1);
    const assay_labels *l = r->api->capability(r->model, ASSAY_LABELS_1);
    assay_cost_info info = {.struct_size = sizeof info};
    assert_int_equal(cost->cost(r->model, &info, NULL), ASSAY_OK);
    assert_true(info.n_params > 0 && info.n_macs > 0 && info.n_macs <= 2000000 && info.peak_bytes > 0);
    assert_true(info.weight_bits >= 8 && info.weight_bits <= 32 && info.n_params_zero <= info.n_params);
    assert_non_null(e);
    assert_string_equal(e->layer_name(r->model, 0), "penultimate");
    size_t n = (size_t)e->layer_size(r->model, "penultimate");
    assert_true(n > 0);
    assert_non_null(l);
    assert_int_equal(l->n_labels(r->model), r->n_outputs);
    float *x = examples(r, 3), *v = mem_zalloc(3 * n * 4);
    assay_session *s = rig_session(r, 8, 0);
    assay_port layer = {.n_dims = 2, .shape = {-1, (int64_t)n}};
    assay_tensor in = rig_tensor(&r->in, x, 3), out = rig_tensor(&layer, v, 3);
    assert_int_equal(e->embed(s, &in, 1, "penultimate", &out, &r->err), ASSAY_OK);
    r->api->session_close(s);
    mem_free(x);
    mem_free(v);
    print_message(
        "%s: %s %zu -> %zu, %u ports, penultimate %zu, params %zu (%zu zero), %zu MACs, %zu bytes, %.1f bits, "
        "peak %zu\n",
        strrchr(path, '/') + 1, r->in.name, r->n_features, r->n_outputs, r->n_ports, n, (size_t)info.n_params,
        (size_t)info.n_params_zero, (size_t)info.n_macs, (size_t)info.weight_bytes, info.weight_bits,
        (size_t)info.peak_bytes);
}

static void test_facts(void **state) {
    (void)state;
    each_model(check_facts);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_facts), cmocka_unit_test(test_splits),
                                       cmocka_unit_test(test_positions), cmocka_unit_test(test_unpadded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
