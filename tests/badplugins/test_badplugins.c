/* SPDX-License-Identifier: Apache-2.0
 * Every bad plug-in fails the check that is named for its sin, and the list goes on. This test is its own child. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/validate.h"

typedef struct expected {
    const char *plugin;
    const char *check; /* must fail */
    const char *text;  /* part of the report, where no sanitizer writes its own; NULL: any */
} expected;

static const expected table[] = {
    {"crash", "predicts", NULL},
    {"crash_load", "loads", NULL},
    {"hang", "predicts", "timed out"},
    {"nan", "predicts", "not finite"},
    {"wrong_shape", "ports", "zero or negative"},
    {"prints", "stdout", "predicting"},
    {"fpmode", "fp-load", "loader code"},
    {"fpmode", "fp-call", "in predict"},
    {"locale", "locale", "in open"},
    {"overrun", "output-bounds", "outside"},
    {"mutate", "input-kept", "changed an input"},
    {"leak", "leaks", NULL},
    {"hugealloc", "predicts", "memory"},
    {"exits", "predicts", "exit code 0 before"},
    {"abi_newer", "loads", "ABI 2"},
    {"no_entry", "loads", "no symbol assay_plugin_entry"},
    {"badstruct", "loads", "struct_size 0"},
    {"bigstruct", "loads", "struct_size 4096"},
    {"badname", "loads", "name must be"},
    {"batch_dependent", "batch-invariant", "other bits"},
    {"nondeterministic", "deterministic", "other bits"},
    {"wrong_gradient", "vjp", "differ"},
    {"trusting", "bad-calls", NULL},
    {"handlers", "signals", "was changed"},
    {"any_option", "unknown-option", "succeeds"},
    {"any_id", "unknown-id", "is not NULL"},
};

static const char *plugin_path(const char *name, char path[512]) {
    const char *dir = getenv("ASSAY_BUILD_DIR");
    (void)snprintf(path, 512, "%s/badplugins/%s.so", dir == NULL ? "." : dir, name);
    return path;
}

static void each_fails_by_name(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const expected *e = &table[i];
        char path[512];
        arena a = {0};
        error err = {0};
        validate_result *r = NULL;
        size_t n = 0;
        const char *only[] = {e->check, NULL};
        bool slow = strcmp(e->text == NULL ? "" : e->text, "timed out") == 0;
        validate_spec spec = {.plugin = plugin_path(e->plugin, path),
                              .only = only,
                              .timeout_s = slow ? 2 : 60,
                              .rss_limit = INT64_C(768) << 20};
        assert_int_equal(validate_all(&spec, &a, &r, &n, &err), STATUS_OK);
        assert_int_equal(n, 1);
        if (r[0].outcome != VALIDATE_FAIL || (e->text != NULL && strstr(r[0].text, e->text) == NULL)) {
            fail_msg("%s: %s: %s: \"%s\"", e->plugin, e->check, validate_outcome_name(r[0].outcome), r[0].text);
        }
        arena_free(&a);
    }
}

static size_t run_all(const char *plugin, size_t *n, arena *a, validate_result **r) {
    char path[512];
    error err = {0};
    validate_spec spec = {.plugin = plugin_path(plugin, path), .timeout_s = 60};
    assert_int_equal(validate_all(&spec, a, r, n, &err), STATUS_OK);
    size_t failed = 0;
    for (size_t i = 0; i < *n; i++) {
        failed += (*r)[i].outcome == VALIDATE_FAIL;
    }
    return failed;
}

/* The base of all bad plug-ins breaks no rule, so each of them fails for its sin only; nor does one from the future. */
static void the_good_ones_pass(void **state) {
    (void)state;
    static const char *const good[] = {"good", "future"};
    size_t n_tests = 0;
    (void)validate_tests(&n_tests);
    for (size_t g = 0; g < sizeof good / sizeof good[0]; g++) {
        arena a = {0};
        validate_result *r = NULL;
        size_t n = 0;
        size_t failed = run_all(good[g], &n, &a, &r);
        assert_int_equal(n, n_tests);
        for (size_t i = 0; i < n; i++) {
            if (r[i].outcome == VALIDATE_FAIL) {
                print_error("%s: %s: %s\n", good[g], r[i].name, r[i].text);
            }
        }
        assert_int_equal(failed, 0);
        arena_free(&a);
    }
}

/* A crash in predict fails what calls predict, and nothing before it; one in the loader ends the list at once. */
static void the_list_goes_on(void **state) {
    (void)state;
    arena a = {0};
    validate_result *r = NULL;
    size_t n = 0;
    size_t n_tests = 0;
    (void)validate_tests(&n_tests);
    assert_true(run_all("crash", &n, &a, &r) > 3);
    assert_int_equal(n, n_tests);
    for (size_t i = 0; i < n; i++) {
        bool calm = strcmp(r[i].name, "loads") == 0 || strcmp(r[i].name, "opens") == 0 ||
                    strcmp(r[i].name, "ports") == 0 || strcmp(r[i].name, "unknown-option") == 0;
        assert_true(!calm || r[i].outcome == VALIDATE_PASS);
    }
    assert_int_equal(run_all("crash_load", &n, &a, &r), 1);
    assert_int_equal(n, n_tests);
    arena_free(&a);
}

static void unknown_check(void **state) {
    (void)state;
    arena a = {0};
    error err = {0};
    validate_result *r = NULL;
    size_t n = 0;
    const char *only[] = {"no-such-check", NULL};
    validate_spec spec = {.plugin = "./x.so", .only = only};
    assert_int_equal(validate_all(&spec, &a, &r, &n, &err), STATUS_USAGE);
    arena_free(&a);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], VALIDATE_VERB) == 0) {
        return validate_child(argc - 2, argv + 2);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fails_by_name),
        cmocka_unit_test(the_good_ones_pass),
        cmocka_unit_test(the_list_goes_on),
        cmocka_unit_test(unknown_check),
    };
    return cmocka_run_group_tests_name("badplugins", tests, NULL, NULL);
}
