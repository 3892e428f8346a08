/* SPDX-License-Identifier: Apache-2.0
 * The example models against tests/golden/models (float models: float64 evaluation by torch; int8: ONNX Runtime, bit
 * for bit). Files of the golden directory decide what is tested; its README says what they hold. */
#include "support.h"

#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define LOGIT_TOLERANCE 1e-4f
/* relative to the largest gradient of the model */
#define GRADIENT_TOLERANCE 1e-4f

static bool golden(const char *model, const char *kind, npy *out) {
    char relative[300], path[512];
    (void)snprintf(relative, sizeof relative, "tests/golden/models/%s%s%s.npy", model, kind[0] != '\0' ? "." : "",
                   kind);
    return npy_read(source_path(path, relative), out);
}

/* ---- inputs ------------------------------------------------------------------------------------- */

static float cell_value(const char *cell) {
    double v = 0;
    bool yes = strcmp(cell, "yes") == 0;
    if (!yes && strcmp(cell, "no") != 0) {
        assert_true(str_to_double(cell, &v));
    }
    return yes ? 1 : (float)v;
}

static size_t split_line(char *line, char *cells[32]) {
    size_t n = 0;
    line[strcspn(line, "\r")] = '\0';
    for (char *at = line; at != NULL && n < 32;) {
        cells[n++] = strsep(&at, ",");
    }
    return n;
}

/* The `test` rows of hmda.csv in file order, with the columns that the model names. */
static float *hmda_rows(const rig *r, size_t *n) {
    char path[512];
    size_t bytes = 0, columns[32] = {0}, n_rows = 0;
    char *text = (char *)read_whole(source_path(path, "examples/data/hmda.csv"), &bytes), *at = text;
    assert_non_null(text);
    const assay_labels *l = r->api->capability(r->model, ASSAY_LABELS_1);
    char *cells[32];
    size_t n_cells = split_line(strsep(&at, "\n"), cells);
    for (uint32_t k = 0; k < l->n_columns(r->model); k++) {
        size_t c = 0;
        while (c < n_cells && strcmp(cells[c], l->column(r->model, k)) != 0) {
            c++;
        }
        assert_true(c < n_cells);
        columns[k] = c;
    }
    float *x = mem_zalloc(2380 * r->n_features * sizeof *x);
    for (char *line = strsep(&at, "\n"); line != NULL && line[0] != '\0'; line = strsep(&at, "\n")) {
        if (split_line(line, cells) != n_cells || strcmp(cells[n_cells - 1], "test") != 0) {
            continue;
        }
        for (size_t k = 0; k < r->n_features; k++) {
            x[n_rows * r->n_features + k] = cell_value(cells[columns[k]]);
        }
        n_rows++;
    }
    mem_free(text);
    *n = n_rows;
    return x;
}

static float *test_inputs(const rig *r, size_t want, size_t *n) {
    if (r->n_features == 784) {
        *n = want;
        return fashion_images(0, want);
    }
    return hmda_rows(r, n);
}

/* ---- comparisons -------------------------------------------------------------------------------- */

static float largest_difference(const float *a, const float *b, size_t n) {
    float d = 0;
    for (size_t i = 0; i < n; i++) {
        float e = fabsf(a[i] - b[i]);
        d = e > d || isnan(e) ? e : d;
    }
    return d;
}

static size_t argmax(const float *v, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++) {
        best = v[i] > v[best] ? i : best;
    }
    return best;
}

/* Labels may differ only where the two largest logits are closer than the tolerance. */
static void check_labels(const char *name, const float *logits, size_t k, const npy *labels) {
    for (size_t i = 0; i < labels->n; i++) {
        const float *row = logits + i * k;
        size_t want = (size_t)labels->data[i], got = argmax(row, k);
        if (got != want && !(row[got] - row[want] <= 2 * LOGIT_TOLERANCE)) {
            fail_msg("%s: example %zu is %zu, expected %zu", name, i, got, want);
        }
    }
}

static void check_logits(rig *r, const char *name) {
    npy want, labels;
    assert_true(golden(name, "logits", &want));
    assert_true(golden(name, "labels", &labels));
    size_t n = 0;
    float *x = test_inputs(r, labels.n, &n);
    if (x == NULL) {
        skip(); /* the dataset is not installed */
    }
    assert_int_equal(n, labels.n);
    assert_true((size_t)want.shape[1] == r->n_outputs && want.n <= n * r->n_outputs);
    float *out = mem_zalloc(n * r->n_outputs * sizeof *out);
    assay_session *s = rig_session(r, 32, 0);
    rig_predict(r, s, x, n, out);
    r->api->session_close(s);
    float d = largest_difference(out, want.data, want.n);
    bool exact = strstr(name, "int8") != NULL;
    print_message("%s: logits differ by at most %g\n", name, (double)d);
    assert_true(exact ? memcmp(out, want.data, want.n * sizeof *out) == 0 : d <= LOGIT_TOLERANCE);
    check_labels(name, out, r->n_outputs, &labels);
    npy_free(&want);
    npy_free(&labels);
    mem_free(x);
    mem_free(out);
}

static void check_gradient(rig *r, const char *name, const char *kind, const char *inputs) {
    npy want, c, dither = {0};
    if (!golden(name, kind, &want)) {
        return;
    }
    char cotangent[32];
    (void)snprintf(cotangent, sizeof cotangent, "cotangent-%zu", r->n_outputs);
    assert_true(golden(cotangent, "", &c));
    size_t n = (size_t)want.shape[0], have = 0;
    float *x = inputs != NULL ? NULL : test_inputs(r, n, &have);
    if (inputs != NULL) {
        assert_true(golden(inputs, "", &dither));
        x = dither.data;
    }
    if (x == NULL) {
        skip();
    }
    assert_int_equal(want.n, n * r->n_features);
    float *g = mem_zalloc(want.n * sizeof *g), largest = 0;
    assay_session *s = rig_session(r, 8, 0);
    const assay_vjp *v = r->api->capability(r->model, ASSAY_VJP_1);
    bool second = strcmp(kind, "grad-probabilities") == 0;
    assay_tensor in = rig_tensor(&r->in, x, n), out = rig_tensor(&r->in, g, n);
    assay_tensor ct[2] = {rig_tensor(&r->out[0], second ? NULL : c.data, n),
                          rig_tensor(&r->out[1], second ? c.data : NULL, n)};
    assert_int_equal(v->vjp(s, &in, 1, ct, r->n_ports, NULL, &out, ASSAY_VJP_EXACT, &r->err), ASSAY_OK);
    r->api->session_close(s);
    for (size_t i = 0; i < want.n; i++) {
        largest = fmaxf(largest, fabsf(want.data[i]));
    }
    float d = largest_difference(g, want.data, want.n);
    print_message("%s: %s differs by at most %g of %g\n", name, kind, (double)d, (double)largest);
    assert_true(d <= GRADIENT_TOLERANCE * (1 + largest));
    mem_free(g);
    npy_free(&want);
    npy_free(&c);
    mem_free(x);
}

static void each_golden(const char *kind, void (*fn)(rig *r, const char *name)) {
    char pattern[512], relative[64];
    glob_t found = {0};
    (void)snprintf(relative, sizeof relative, "tests/golden/models/*.%s.npy", kind);
    assert_int_equal(glob(source_path(pattern, relative), 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char name[128], model[256], path[512];
        const char *base = strrchr(found.gl_pathv[i], '/') + 1;
        (void)snprintf(name, sizeof name, "%.*s", (int)(strlen(base) - strlen(kind) - 5), base);
        (void)snprintf(model, sizeof model, "examples/models/%s.onnx", name);
        rig r;
        if (rig_open(&r, source_path(path, model), NULL, 0) != ASSAY_OK) {
            fail_msg("%s", r.text);
        }
        fn(&r, name);
        rig_close(&r);
    }
    globfree(&found);
}

static void test_logits(void **state) {
    (void)state;
    each_golden("logits", check_logits);
}

static void check_gradients(rig *r, const char *name) {
    bool images = r->n_features == 784;
    if (!images) {
        check_gradient(r, name, "grad", NULL);
    }
    check_gradient(r, name, "grad-dither", "fashion.dither");
    check_gradient(r, name, "grad-probabilities", NULL);
    if (images) { /* where windows of equal inputs occur, the choice of the maximum is the implementation's */
        check_gradient(r, name, "grad", NULL);
    }
}

static void test_gradients(void **state) {
    (void)state;
    each_golden("grad", check_gradients);
}

static void check_probabilities(rig *r, const char *name) {
    npy want;
    assert_true(golden(name, "probabilities", &want));
    size_t n = 0;
    float *x = test_inputs(r, (size_t)want.shape[0], &n), *out = mem_zalloc(want.n * sizeof *out);
    assay_session *s = rig_session(r, 8, 0);
    const assay_predict *p = r->api->capability(r->model, ASSAY_PREDICT_1);
    assay_tensor in = rig_tensor(&r->in, x, n);
    assay_tensor o[2] = {rig_tensor(&r->out[0], NULL, n), rig_tensor(&r->out[1], out, n)};
    assert_int_equal(p->predict(s, &in, 1, o, r->n_ports, &r->err), ASSAY_OK);
    assert_true(largest_difference(out, want.data, want.n) <= 1e-6f);
    r->api->session_close(s);
    npy_free(&want);
    mem_free(x);
    mem_free(out);
}

static void test_probabilities(void **state) {
    (void)state;
    each_golden("probabilities", check_probabilities);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_logits), cmocka_unit_test(test_gradients),
                                       cmocka_unit_test(test_probabilities)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
