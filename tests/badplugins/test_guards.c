/* SPDX-License-Identifier: Apache-2.0
 * What the host makes of bad plug-ins inside one process: errors, repairs, warnings. */
#include <fenv.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/host.h"

typedef struct rig {
    plugin *p;
    model *m;
    session *s;
} rig;

static const char *plugin_path(const char *name, char path[512]) {
    const char *dir = getenv("ASSAY_BUILD_DIR");
    (void)snprintf(path, 512, "%s/badplugins/%s.so", dir == NULL ? "." : dir, name);
    return path;
}

static rig set_up(const char *name) {
    rig r = {0};
    char path[512];
    error err = {0};
    if (plugin_load(plugin_path(name, path), &r.p, &err) != STATUS_OK ||
        model_open(r.p, NULL, NULL, 0, &r.m, &err) != STATUS_OK ||
        session_open(r.m, &(session_options){.tile = 8, .n_threads = 1}, &r.s, &err) != STATUS_OK) {
        fail_msg("%s", err.text);
    }
    return r;
}

static void tear_down(rig *r) {
    session_close(r->s);
    model_close(r->m);
    plugin_unload(r->p);
}

static const float x[8] = {0.1F, 0.2F, 0.3F, 0.4F, 0.5F, 0.6F, 0.7F, 0.8F};
static float z[6];

static void overrun_is_an_error(void **state) {
    (void)state;
    rig r = set_up("overrun");
    error err = {0};
    assert_int_equal(session_predict(r.s, x, 2, z, &err), STATUS_MODEL);
    assert_non_null(strstr(err.text, "predict: wrote outside its output buffer"));
    tear_down(&r);
}

/* The caller's x is out of reach. */
static void mutation_is_an_error(void **state) {
    (void)state;
    rig r = set_up("mutate");
    error err = {0};
    float mine[8];
    memcpy(mine, x, sizeof x);
    assert_int_equal(session_predict(r.s, mine, 2, z, &err), STATUS_MODEL);
    assert_non_null(strstr(err.text, "changed its input"));
    assert_memory_equal(mine, x, sizeof x);
    tear_down(&r);
}

static void nan_is_handed_on(void **state) {
    (void)state;
    rig r = set_up("nan");
    error err = {0};
    assert_int_equal(session_predict(r.s, x, 2, z, &err), STATUS_OK);
    assert_true(isnan(z[1]) && z[0] == x[0] + x[3] && z[5] == x[6] + x[7]);
    tear_down(&r);
}

static void fp_mode_is_restored(void **state) {
    (void)state;
    rig r = set_up("fpmode");
    error err = {0};
    volatile double tiny = 0x1p-1074;
    assert_true(tiny * 1.0 > 0);
    assert_int_equal(session_predict(r.s, x, 2, z, &err), STATUS_OK);
    assert_int_equal(session_predict(r.s, x, 2, z, &err), STATUS_OK);
    assert_int_equal(fegetround(), FE_TONEAREST);
    assert_string_equal(plugin_warnings(r.p), "changed the floating-point environment in its loader code\n"
                                              "changed the floating-point environment in predict");
    tear_down(&r);
}

static void locale_is_restored(void **state) {
    (void)state;
    rig r = set_up("locale");
    assert_string_equal(setlocale(LC_ALL, NULL), "C");
    assert_string_equal(plugin_warnings(r.p), "changed the locale in open");
    tear_down(&r);
}

static void refused_at_load(void **state) {
    (void)state;
    static const char *const names[] = {"abi_newer", "no_entry", "badstruct", "bigstruct", "badname"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[512];
        error err = {0};
        plugin *p = NULL;
        assert_int_equal(plugin_load(plugin_path(names[i], path), &p, &err), STATUS_MODEL);
        assert_null(p);
        assert_non_null(strstr(err.text, names[i])); /* the path */
    }
}

static void refused_at_open(void **state) {
    (void)state;
    char path[512];
    error err = {0};
    plugin *p = NULL;
    model *m = NULL;
    assert_int_equal(plugin_load(plugin_path("wrong_shape", path), &p, &err), STATUS_OK);
    assert_int_equal(model_open(p, NULL, NULL, 0, &m, &err), STATUS_MODEL);
    assert_non_null(strstr(err.text, "output port 0: a dimension is zero or negative"));
    plugin_unload(p);
    assert_int_equal(plugin_load(plugin_path("any_id", path), &p, &err), STATUS_OK);
    assert_int_equal(model_open(p, NULL, NULL, 0, &m, &err), STATUS_MODEL);
    assert_non_null(strstr(err.text, "assay.labels/1 is incomplete"));
    plugin_unload(p);
}

static void later_members_do_not_matter(void **state) {
    (void)state;
    rig r = set_up("future");
    error err = {0};
    assert_string_equal(plugin_version(r.p), "2.1");
    assert_int_equal(session_predict(r.s, x, 2, z, &err), STATUS_OK);
    tear_down(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overrun_is_an_error), cmocka_unit_test(mutation_is_an_error),
        cmocka_unit_test(nan_is_handed_on),    cmocka_unit_test(fp_mode_is_restored),
        cmocka_unit_test(locale_is_restored),  cmocka_unit_test(refused_at_load),
        cmocka_unit_test(refused_at_open),     cmocka_unit_test(later_members_do_not_matter),
    };
    return cmocka_run_group_tests_name("guards", tests, NULL, NULL);
}
