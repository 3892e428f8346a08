/* SPDX-License-Identifier: Apache-2.0
 * labels: threads
 * Checks in the calling process (so that sanitizers see them), and the list in docs/PLUGIN_ABI.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/io.h"
#include "base/str.h"
#include "model/validate.h"

static const char *plugin_path(const char *name, char path[512]) {
    const char *dir = getenv("ASSAY_BUILD_DIR");
    (void)snprintf(path, 512, "%s/plugins/%s.so", dir == NULL ? "." : dir, name);
    return path;
}

static const char *source_path(const char *name, char path[512]) {
    const char *dir = getenv("ASSAY_SOURCE_DIR");
    (void)snprintf(path, 512, "%s/%s", dir == NULL ? "." : dir, name);
    return path;
}

static void passes(const char *plugin, const char *model, const assay_option *o, size_t n_options) {
    size_t n = 0;
    const validate_test *t = validate_tests(&n);
    for (size_t i = 0; i < n; i++) {
        char report[512];
        error err = {0};
        status s = validate_run_test(t[i].name, plugin, model, o, n_options, report, sizeof report, &err);
        if (s != STATUS_OK && s != STATUS_UNSUPPORTED) {
            fail_msg("%s: %s %s", t[i].name, report, err.text);
        }
    }
}

static void skeleton_passes(void **state) {
    (void)state;
    char p[512];
    char m[512];
    passes(plugin_path("skeleton", p), source_path("plugins/skeleton/corners.weights", m), NULL, 0);
}

static void null_passes(void **state) {
    (void)state;
    char p[512];
    const assay_option o[] = {{"shape", "3\n8\n8"}, {"classes", "7"}, {"range", "0\n255"}};
    passes(plugin_path("null", p), NULL, NULL, 0);
    passes(plugin_path("null", p), NULL, o, 3);
}

static void says_what_is_wrong(void **state) {
    (void)state;
    char p[512];
    char report[512];
    char tiny[8];
    error err = {0};
    (void)plugin_path("skeleton", p);
    assert_int_equal(validate_run_test("no-such", p, NULL, NULL, 0, report, sizeof report, &err), STATUS_USAGE);
    assert_int_equal(validate_run_test("opens", p, NULL, NULL, 0, report, sizeof report, &err), STATUS_MODEL);
    assert_non_null(strstr(report, "a model file is needed"));
    assert_int_equal(validate_run_test("predicts", p, NULL, NULL, 0, report, sizeof report, &err), STATUS_UNSUPPORTED);
    assert_non_null(strstr(report, "not reached"));
    assert_int_equal(validate_run_test("loads", "./no-such.so", NULL, NULL, 0, tiny, sizeof tiny, &err), STATUS_MODEL);
    assert_int_equal(strlen(tiny), sizeof tiny - 1);
}

/* The page that explains the ABI lists every check in the words of the code. */
static void docs_list_them(void **state) {
    (void)state;
    char path[512];
    char *text = NULL;
    size_t n_text = 0;
    size_t n = 0;
    error err = {0};
    assert_int_equal(io_read_file(source_path("docs/PLUGIN_ABI.md", path), 1 << 20, &text, &n_text, &err), STATUS_OK);
    const validate_test *t = validate_tests(&n);
    for (size_t i = 0; i < n; i++) {
        strbuf line = {0};
        strbuf_addf(&line, "\n| `%s` | %s |\n", t[i].name, t[i].summary);
        if (strstr(text, strbuf_str(&line)) == NULL) {
            fail_msg("docs/PLUGIN_ABI.md lacks: %s", strbuf_str(&line));
        }
        strbuf_free(&line);
    }
    mem_free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(skeleton_passes),
        cmocka_unit_test(null_passes),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(docs_list_them),
    };
    return cmocka_run_group_tests_name("model_validate", tests, NULL, NULL);
}
