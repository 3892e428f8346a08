/* SPDX-License-Identifier: Apache-2.0
 * plugins/skeleton: values, its model file and what is wrong with it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/io.h"
#include "model/host_internal.h"

static const char *join(const char *variable, const char *rest, char path[512]) {
    const char *dir = getenv(variable);
    (void)snprintf(path, 512, "%s/%s", dir == NULL ? "." : dir, rest);
    return path;
}

static plugin *load(void) {
    char path[512];
    error err = {0};
    plugin *p = NULL;
    if (plugin_load(join("ASSAY_BUILD_DIR", "plugins/skeleton.so", path), &p, &err) != STATUS_OK) {
        fail_msg("%s", err.text);
    }
    return p;
}

static model *open_sample(plugin *p, const assay_option *o, size_t n) {
    char path[512];
    error err = {0};
    model *m = NULL;
    if (model_open(p, join("ASSAY_SOURCE_DIR", "plugins/skeleton/corners.weights", path), o, n, &m, &err) !=
        STATUS_OK) {
        fail_msg("%s", err.text);
    }
    return m;
}

static void knows_its_corners(void **state) {
    (void)state;
    plugin *p = load();
    model *m = open_sample(p, NULL, 0);
    const model_facts *f = model_get_facts(m);
    assert_int_equal(f->n_outputs, 3);
    assert_false(f->probabilities);
    assert_string_equal(f->output_name, "logits");
    assert_string_equal(f->labels[1], "right");
    assert_string_equal(f->columns[1], "y");
    assert_true(f->range_lo == 0 && f->range_hi == 1);
    error err = {0};
    session *s = NULL;
    assert_int_equal(session_open(m, &(session_options){.tile = 1, .n_threads = 1}, &s, &err), STATUS_OK);
    const float x[6] = {0.25F, 0, 1, 0.125F, 0.5F, 1};
    float z[9];
    assert_int_equal(session_predict(s, x, 3, z, &err), STATUS_OK);
    const float want[9] = {0, -1, -2, 0, 2, -1.5F, 0, 0, 2};
    assert_memory_equal(z, want, sizeof want);
    session_close(s);
    model_close(m);
    plugin_unload(p);
}

/* The gradient is with respect to the raw input: `scale` is inside. */
static void scales_inside(void **state) {
    (void)state;
    plugin *p = load();
    model *m = open_sample(p, &(assay_option){"scale", "0.5"}, 1);
    error err = {0};
    session *s = NULL;
    assert_int_equal(session_open(m, &(session_options){.tile = 1, .n_threads = 1}, &s, &err), STATUS_OK);
    const float x[2] = {1, 0.5F};
    const float u[3] = {1, 10, 100};
    float z[3];
    float g[2];
    assert_int_equal(session_vjp(s, x, 1, u, ASSAY_VJP_EXACT, z, g, &err), STATUS_OK);
    assert_true(z[0] == 0 && z[1] == 0 && z[2] == -1);
    assert_true(g[0] == 20 && g[1] == 200);
    session_close(s);
    model_close(m);
    plugin_unload(p);
}

/* The second output: probabilities and the vjp through the softmax, straight through the ABI. */
static void probabilities(void **state) {
    (void)state;
    plugin *p = load();
    model *m = open_sample(p, NULL, 0);
    error err = {0};
    session *s = NULL;
    assert_int_equal(session_open(m, &(session_options){.tile = 1, .n_threads = 1}, &s, &err), STATUS_OK);
    float x[2] = {0.25F, 0.75F};
    float v[3] = {0.5F, -1, 2};
    float q[3];
    float g[2];
    assay_tensor in = host_tensor(&m->in[0], 1, x);
    assay_tensor ct[2] = {host_tensor(&m->out[0], 1, NULL), host_tensor(&m->out[1], 1, v)};
    assay_tensor out[2] = {host_tensor(&m->out[0], 1, NULL), host_tensor(&m->out[1], 1, q)};
    assay_tensor grad = host_tensor(&m->in[0], 1, g);
    host_error e;
    host_error_init(&e);
    assert_int_equal(m->vjp.vjp(s->raw, &in, 1, ct, 2, out, &grad, ASSAY_VJP_EXACT, &e.e), ASSAY_OK);
    const double z[3] = {0, -1, 1};
    double prob[3];
    double sum = 0;
    double mean = 0;
    for (int k = 0; k < 3; k++) {
        sum += prob[k] = exp(z[k]);
    }
    for (int k = 0; k < 3; k++) {
        prob[k] /= sum;
        mean += prob[k] * (double)v[k];
        assert_true(fabs(prob[k] - (double)q[k]) < 1e-6);
    }
    assert_true(fabs((double)g[0] - 4 * prob[1] * ((double)v[1] - mean)) < 1e-6);
    assert_true(fabs((double)g[1] - 4 * prob[2] * ((double)v[2] - mean)) < 1e-6);
    session_close(s);
    model_close(m);
    plugin_unload(p);
}

/* Opens `text` as a model file. */
static status open_text(plugin *p, const char *text, size_t n, error *err) {
    char path[] = "/tmp/assay-skeleton-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(io_write_all(fd, text, n, err), STATUS_OK);
    (void)close(fd);
    model *m = NULL;
    status s = model_open(p, path, NULL, 0, &m, err);
    model_close(m);
    (void)unlink(path);
    return s;
}

static void names_the_line(void **state) {
    (void)state;
    static const struct {
        const char *text, *want;
    } bad[] = {
        {"", ":1: expected \"skeleton-weights\""},
        {"skeleton-weights 2\n", ":1: expected a number from 1 to 1"},
        {"# x\nskeleton-weights 1\nfeatures 1.5\n", ":3: features must be a whole number"},
        {"skeleton-weights 1\nfeatures 1000000\nclasses 100000\nrange 0 1\n", "too short"},
        {"skeleton-weights 1\nfeatures 1\nclasses 1\nrange 1 0\ncolumns a labels b weights 1 1", "range is empty"},
        {"skeleton-weights 1\nfeatures 1\nclasses 1\nrange 0 nan\n", ":4: expected a number"},
        {"skeleton-weights 1\nfeatures 1\nclasses 1\nrange 0 1\ncolumns a\nlabels b\nweights\n1 x\n",
         ":8: expected a number from -1e+30 to 1e+30, not \"x\""},
        {"skeleton-weights 1\nfeatures 1\nclasses 1\nrange 0 1\ncolumns a\nlabels b\nweights\n1 2 3\n",
         ":8: more numbers than 1 x (1 + 1)"},
    };
    plugin *p = load();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        error err = {0};
        assert_int_equal(open_text(p, bad[i].text, strlen(bad[i].text), &err), STATUS_MODEL);
        if (strstr(err.text, bad[i].want) == NULL) {
            fail_msg("\"%s\" does not hold \"%s\"", err.text, bad[i].want);
        }
    }
    static const char good[] = "skeleton-weights 1 features 1 classes 1 range 0 1 columns a labels b weights 1 2";
    error err = {0};
    assert_int_equal(open_text(p, good, strlen(good), &err), STATUS_OK);
    assert_int_equal(open_text(p, good, sizeof good, &err), STATUS_IO); /* a NUL inside */
    plugin_unload(p);
}

static void survives_every_cut(void **state) {
    (void)state;
    char path[512];
    error err = {0};
    io_map file = {0};
    plugin *p = load();
    assert_int_equal(io_map_file(join("ASSAY_SOURCE_DIR", "plugins/skeleton/corners.weights", path), &file, &err),
                     STATUS_OK);
    for (size_t n = 0; n < file.n; n++) {
        status s = open_text(p, (const char *)file.data, n, &err);
        assert_true(s == STATUS_MODEL || n + 2 >= file.n);
    }
    io_unmap(&file);
    plugin_unload(p);
}

static void needs_its_file(void **state) {
    (void)state;
    plugin *p = load();
    model *m = NULL;
    error err = {0};
    assert_int_equal(model_open(p, NULL, NULL, 0, &m, &err), STATUS_USAGE);
    assert_int_equal(model_open(p, "./no-such.weights", NULL, 0, &m, &err), STATUS_IO);
    assert_non_null(strstr(err.text, "./no-such.weights"));
    assert_int_equal(model_open(p, "/tmp", NULL, 0, &m, &err), STATUS_IO);
    plugin_unload(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_its_corners), cmocka_unit_test(scales_inside),      cmocka_unit_test(probabilities),
        cmocka_unit_test(names_the_line),    cmocka_unit_test(survives_every_cut), cmocka_unit_test(needs_its_file),
    };
    return cmocka_run_group_tests_name("model_skeleton", tests, NULL, NULL);
}
