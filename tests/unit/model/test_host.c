/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/host.h"

static const char *plugin_path(const char *name, char path[512]) {
    const char *dir = getenv("ASSAY_BUILD_DIR");
    (void)snprintf(path, 512, "%s/plugins/%s.so", dir == NULL ? "." : dir, name);
    return path;
}

static plugin *load_null(void) {
    char path[512];
    error err = {0};
    plugin *p = NULL;
    assert_int_equal(plugin_load(plugin_path("null", path), &p, &err), STATUS_OK);
    return p;
}

static model *open_null(plugin *p, const assay_option *o, size_t n) {
    error err = {0};
    model *m = NULL;
    status s = model_open(p, NULL, o, n, &m, &err);
    if (s != STATUS_OK) {
        fail_msg("%s", err.text);
    }
    return m;
}

static session *start(model *m) {
    error err = {0};
    session *s = NULL;
    assert_int_equal(session_open(m, &(session_options){.tile = 8, .n_threads = 1}, &s, &err), STATUS_OK);
    return s;
}

static void loads_null(void **state) {
    (void)state;
    plugin *p = load_null();
    assert_string_equal(plugin_name(p), "null");
    assert_string_equal(plugin_version(p), "1.0.0");
    assert_string_equal(plugin_environment(p), "");
    assert_string_equal(plugin_warnings(p), "");
    char hex[DIGEST_HEX];
    digest_hex(plugin_sha256(p), hex);
    assert_int_equal(strlen(hex), 64);
    plugin_unload(p);
    plugin_unload(NULL);
}

static void refuses_paths(void **state) {
    (void)state;
    error err = {0};
    plugin *p = NULL;
    assert_int_equal(plugin_load("null.so", &p, &err), STATUS_USAGE);
    assert_non_null(strstr(err.text, "explicit path"));
    assert_int_equal(plugin_load("./no-such-file.so", &p, &err), STATUS_IO);
    assert_int_equal(plugin_load("/dev/null", &p, &err), STATUS_IO);
    assert_int_equal(plugin_load("./CMakeLists.txt", &p, &err), STATUS_MODEL);
    assert_null(p);
}

static void predicts_and_differentiates(void **state) {
    (void)state;
    plugin *p = load_null();
    const assay_option o[] = {{"shape", "2\n3"}, {"classes", "3"}, {"labels", "a\nb\nc"}};
    model *m = open_null(p, o, 3);
    const model_facts *f = model_get_facts(m);
    assert_int_equal(f->n_features, 6);
    assert_int_equal(f->n_outputs, 3);
    assert_string_equal(f->labels[2], "c");
    assert_true(model_has(m, ASSAY_VJP_1));
    assert_false(model_has(m, "assay.vjp/99"));
    assay_cost_info cost;
    assert_true(model_cost(m, &cost));
    assert_int_equal(cost.n_params, 0);
    session *s = start(m);
    const float x[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    float out[6];
    error err = {0};
    assert_int_equal(session_predict(s, x, 2, out, &err), STATUS_OK);
    const float want[6] = {0, 2, 4, 6, 8, 10};
    assert_memory_equal(out, want, sizeof want);
    const float ct[6] = {1, 2, 3, 4, 5, 6};
    float g[12];
    assert_int_equal(session_vjp(s, x, 2, ct, ASSAY_VJP_EXACT, NULL, g, &err), STATUS_OK);
    const float want_g[12] = {1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0};
    assert_memory_equal(g, want_g, sizeof want_g);
    assert_int_equal(session_vjp(s, x, 2, ct, 31, NULL, g, &err), STATUS_UNSUPPORTED);
    assert_int_equal(session_predict(s, x, 0, out, &err), STATUS_OK);
    session_close(s);
    model_close(m);
    plugin_unload(p);
}

static void binds_columns(void **state) {
    (void)state;
    plugin *p = load_null();
    const assay_option o[] = {{"features", "3"}, {"classes", "3"}, {"columns", "age\nincome\nage2"}};
    model *m = open_null(p, o, 3);
    error err = {0};
    const char *wrong[] = {"income", "agee", "age2"};
    assert_int_equal(model_bind_columns(m, wrong, 3, &err), STATUS_USAGE);
    assert_non_null(strstr(err.text, "\"age\""));
    assert_non_null(strstr(err.text, "did you mean"));
    const char *names[] = {"noise", "age2", "income", "more", "age"};
    assert_int_equal(model_bind_columns(m, names, 5, &err), STATUS_OK);
    assert_int_equal(model_get_facts(m)->n_features, 5);
    assert_int_equal(model_get_facts(m)->n_model_features, 3);
    session *s = start(m);
    const float x[10] = {0, 1, 2, 3, 4, 10, 11, 12, 13, 14};
    float out[6];
    float g[10];
    assert_int_equal(session_predict(s, x, 2, out, &err), STATUS_OK);
    const float want[6] = {4, 2, 1, 14, 12, 11};
    assert_memory_equal(out, want, sizeof want);
    const float ct[6] = {1, 2, 3, 4, 5, 6};
    assert_int_equal(session_vjp(s, x, 2, ct, ASSAY_VJP_EXACT, out, g, &err), STATUS_OK);
    const float want_g[10] = {0, 3, 2, 0, 1, 0, 6, 5, 0, 4};
    assert_memory_equal(g, want_g, sizeof want_g);
    session_close(s);
    model_close(m);
    plugin_unload(p);
}

static void sets_columns(void **state) {
    (void)state;
    plugin *p = load_null();
    const assay_option o[] = {{"features", "2"}, {"classes", "2"}};
    model *m = open_null(p, o, 2);
    error err = {0};
    const char *names[] = {"b", "a", "c"};
    assert_int_equal(model_bind_columns(m, names, 3, &err), STATUS_USAGE);
    assert_int_equal(model_set_columns(m, names, 3, &err), STATUS_USAGE);
    const char *columns[] = {"a", "a"}; /* read twice: the gradients add up */
    assert_int_equal(model_set_columns(m, columns, 2, &err), STATUS_OK);
    assert_int_equal(model_bind_columns(m, names, 3, &err), STATUS_OK);
    session *s = start(m);
    const float x[3] = {1, 2, 3};
    const float ct[2] = {10, 20};
    float out[2];
    float g[3];
    assert_int_equal(session_vjp(s, x, 1, ct, ASSAY_VJP_EXACT, out, g, &err), STATUS_OK);
    assert_true(out[0] == 2 && out[1] == 2 && g[0] == 0 && g[1] == 30 && g[2] == 0);
    session_close(s);
    model_close(m);
    plugin_unload(p);
}

static void checks_shapes(void **state) {
    (void)state;
    plugin *p = load_null();
    model *m = open_null(p, &(assay_option){"shape", "3\n28\n28"}, 1);
    error err = {0};
    assert_int_equal(model_check_shape(m, (const int64_t[]){3, 28, 28}, 3, &err), STATUS_OK);
    assert_int_equal(model_check_shape(m, (const int64_t[]){1, 3, 28, 28}, 4, &err), STATUS_OK);
    assert_int_equal(model_check_shape(m, (const int64_t[]){2352}, 1, &err), STATUS_OK);
    assert_int_equal(model_check_shape(m, (const int64_t[]){28, 28, 3}, 3, &err), STATUS_USAGE);
    assert_non_null(strstr(err.text, "(3, 28, 28)"));
    assert_non_null(strstr(err.text, "(28, 28, 3)"));
    assert_int_equal(model_check_shape(m, (const int64_t[]){-3, -28, 28}, 3, &err), STATUS_USAGE);
    assert_int_equal(model_check_shape(m, (const int64_t[]){INT64_MAX, INT64_MAX}, 2, &err), STATUS_USAGE);
    model_close(m);
    plugin_unload(p);
}

static void rejects_options(void **state) {
    (void)state;
    static const assay_option bad[] = {{"colour", "red"},   {"shape", "0"},          {"shape", "28x28"},
                                       {"classes", "ten"},  {"classes", "99999999"}, {"range", "1\n0"},
                                       {"labels", "a\nb"},  {"columns", "a"},        {"shape", "9999999\n9999999"},
                                       {"features", "1\n2"}};
    plugin *p = load_null();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        error err = {0};
        model *m = NULL;
        assert_int_equal(model_open(p, NULL, &bad[i], 1, &m, &err), STATUS_USAGE);
        assert_null(m);
        assert_non_null(strstr(err.text, bad[i].key[0] == 'f' ? "shape" : bad[i].key));
    }
    error err = {0};
    model *m = NULL;
    assert_int_equal(model_open(p, "some.file", NULL, 0, &m, &err), STATUS_USAGE);
    session *s = NULL;
    m = open_null(p, NULL, 0);
    assert_int_equal(session_open(m, &(session_options){.tile = 5, .n_threads = 1}, &s, &err), STATUS_USAGE);
    assert_int_equal(session_open(m, &(session_options){.tile = 8, .n_threads = 0}, &s, &err), STATUS_USAGE);
    model_close(m);
    plugin_unload(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_null),
        cmocka_unit_test(refuses_paths),
        cmocka_unit_test(predicts_and_differentiates),
        cmocka_unit_test(binds_columns),
        cmocka_unit_test(sets_columns),
        cmocka_unit_test(checks_shapes),
        cmocka_unit_test(rejects_options),
    };
    return cmocka_run_group_tests_name("model_host", tests, NULL, NULL);
}
