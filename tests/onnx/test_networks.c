/* SPDX-License-Identifier: Apache-2.0
 * Whole networks through the session API against PyTorch in float64 (tests/golden/networks): logits and exact
 * gradients, on the fast and on the reference path, and the same bits at every batch size. */
#include "support.h"

#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

/* |value - golden| relative to the largest golden value of the tensor. float32 leaves 1e-7 in each of some dozens of
 * operations; a wrong rule shows in the first digits. */
#define TOLERANCE 1e-5

#define MAX_NETWORKS 32

typedef struct network {
    char name[64];
    rig r;
    npy input, logits, cotangent, gradient;
    size_t n; /* examples */
} network;

static void read_golden(const char *name, const char *kind, npy *out) {
    char relative[160], path[512];
    (void)snprintf(relative, sizeof relative, "tests/golden/networks/%s.%s.npy", name, kind);
    if (!npy_read(source_path(path, relative), out)) {
        fail_msg("%s is missing", path);
    }
}

static void open_network(network *w, bool reference) {
    char relative[160], path[512];
    assert_int_equal(reference ? setenv("ASSAY_ONNX_REFERENCE", "1", 1) : unsetenv("ASSAY_ONNX_REFERENCE"), 0);
    (void)snprintf(relative, sizeof relative, "tests/golden/networks/%s.onnx", w->name);
    if (rig_open(&w->r, source_path(path, relative), NULL, 0) != ASSAY_OK) {
        fail_msg("%s", w->r.text);
    }
    (void)unsetenv("ASSAY_ONNX_REFERENCE");
    read_golden(w->name, "input", &w->input);
    read_golden(w->name, "logits", &w->logits);
    read_golden(w->name, "cotangent", &w->cotangent);
    read_golden(w->name, "gradient", &w->gradient);
    w->n = (size_t)w->logits.shape[0];
    assert_int_equal(w->input.n, w->n * w->r.n_features);
    assert_int_equal(w->logits.n, w->n * w->r.n_outputs);
    assert_int_equal(w->gradient.n, w->input.n);
    assert_int_equal(w->cotangent.n, w->logits.n);
}

static void close_network(network *w) {
    rig_close(&w->r);
    npy_free(&w->input);
    npy_free(&w->logits);
    npy_free(&w->cotangent);
    npy_free(&w->gradient);
}

/* All examples in calls of `batch`: logits, then gradients, one after the other in `out`. */
static float *run(network *w, uint32_t tile, size_t batch) {
    float *out = mem_zalloc((w->logits.n + w->input.n) * sizeof *out), *gradient = out + w->logits.n;
    size_t in = w->r.n_features, k = w->r.n_outputs;
    assay_session *s = rig_session(&w->r, tile, 0);
    for (size_t at = 0; at < w->n; at += batch) {
        size_t n = w->n - at < batch ? w->n - at : batch;
        rig_predict(&w->r, s, w->input.data + at * in, n, out + at * k);
        rig_vjp(&w->r, s, w->input.data + at * in, n, w->cotangent.data + at * k, ASSAY_VJP_EXACT, NULL,
                gradient + at * in);
    }
    w->r.api->session_close(s);
    return out;
}

static double residual(const float *got, const npy *want) {
    double worst = 0, scale = 0;
    for (size_t i = 0; i < want->n; i++) {
        double d = fabs((double)got[i] - (double)want->data[i]);
        scale = fmax(scale, fabs((double)want->data[i]));
        worst = d <= worst ? worst : d; /* NaN sticks */
    }
    return worst / scale;
}

static void check_network(const char *name, bool reference) {
    static const struct {
        uint32_t tile;
        size_t batch;
    } others[] = {{1, 1}, {3, 3}, {8, 1}, {8, 3}};
    network w = {0};
    (void)snprintf(w.name, sizeof w.name, "%s", name);
    open_network(&w, reference);
    float *base = run(&w, 8, w.n);
    double logits = residual(base, &w.logits), gradient = residual(base + w.logits.n, &w.gradient);
    print_message("%-10s %s: logits %.1e, gradient %.1e%s%s\n", name, reference ? "reference" : "fast", logits,
                  gradient, w.r.model->one_by_one ? "; one by one: " : "",
                  w.r.model->one_by_one ? w.r.model->reason : "");
    if (!(logits <= TOLERANCE && gradient <= TOLERANCE)) {
        fail_msg("%s: residual above %g", name, TOLERANCE);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        float *other = run(&w, others[i].tile, others[i].batch);
        if (memcmp(base, other, (w.logits.n + w.input.n) * sizeof *base) != 0) {
            fail_msg("%s: other bits at tile %u, batch %zu", name, others[i].tile, others[i].batch);
        }
        mem_free(other);
    }
    mem_free(base);
    close_network(&w);
}

static void each_network(bool reference) {
    char pattern[512];
    glob_t found = {0};
    assert_int_equal(glob(source_path(pattern, "tests/golden/networks/*.onnx"), 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 10 && found.gl_pathc <= MAX_NETWORKS);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char name[64];
        const char *base = strrchr(found.gl_pathv[i], '/') + 1;
        (void)snprintf(name, sizeof name, "%.*s", (int)(strlen(base) - strlen(".onnx")), base);
        check_network(name, reference);
    }
    globfree(&found);
}

static void fast_path(void **state) {
    (void)state;
    each_network(false);
}

static void reference_path(void **state) {
    (void)state;
    each_network(true);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(fast_path), cmocka_unit_test(reference_path)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
