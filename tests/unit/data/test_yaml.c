/* SPDX-License-Identifier: Apache-2.0
 * base/yaml: places, types, and what a hostile file can do to it. */
#include "unit/data/fixture.h"

#include <math.h>

#include "base/yaml.h"

static const yaml_node *load(arena *a, const char *text) {
    error err = {0};
    const yaml_node *root = NULL;
    if (yaml_load_text("f.yaml", text, strlen(text), a, &root, &err) != STATUS_OK) {
        fail_msg("%s", err.text);
    }
    return root;
}

static void refused_bytes(const char *text, size_t n, const char *expected) {
    arena a = {0};
    error err = {0};
    const yaml_node *root = NULL;
    assert_int_equal(yaml_load_text("f.yaml", text, n, &a, &root, &err), STATUS_USAGE);
    assert_null(root);
    if (strstr(err.text, expected) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", expected, err.text);
    }
    arena_free(&a);
}

static void refused(const char *text, const char *expected) {
    refused_bytes(text, strlen(text), expected);
}

static void test_tree(void **state) {
    (void)state;
    arena a = {0};
    const yaml_node *root = load(&a, "seed: 7\nlist:\n  - a\n  - \"b c\"\n  - {k: v}\nlicence: NO\nempty:\n");
    assert_int_equal(root->kind, YAML_MAPPING);
    assert_int_equal(root->n, 4);
    const yaml_node *list = yaml_get(root, "list");
    assert_int_equal(list->kind, YAML_SEQUENCE);
    assert_int_equal(list->n, 3);
    assert_int_equal(list->item[1]->line, 4);
    assert_int_equal(list->item[1]->col, 5);
    assert_true(list->item[1]->quoted);
    assert_string_equal(list->item[1]->text, "b c");
    assert_string_equal(yaml_get(list->item[2], "k")->text, "v");
    assert_int_equal(yaml_key_at(root, "licence")->line, 6);
    assert_null(yaml_get(root, "absent"));
    assert_null(yaml_get(list, "absent"));
    assert_true(yaml_is_empty(yaml_get(root, "empty")));
    const char *text = NULL;
    error err = {0};
    assert_int_equal(yaml_string(yaml_get(root, "licence"), "licence", &text, &err), STATUS_OK);
    assert_string_equal(text, "NO");
    assert_int_equal(load(&a, "")->n, 0);
    assert_int_equal(load(&a, "# only a comment\n")->kind, YAML_MAPPING);
    arena_free(&a);
}

static void test_refused(void **state) {
    (void)state;
    refused("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: duplicate key \"a\" (first on line 1)");
    refused("{a: 1, a: 2}", "f.yaml:1:8: duplicate key");
    refused("a: &x 1\n", "f.yaml:1:7: anchors");
    refused("b: *x\n", "aliases");
    refused("a: !!str 1\n", "tags");
    refused("a: [1, 2\n", "f.yaml:2:1: not well-formed YAML");
    refused("a: \"x\n", "not well-formed YAML");
    refused("\ta: 1\n", "not well-formed YAML");
    refused("---\na: 1\n---\nb: 2\n", "a second document");
    refused("? [a]\n: 1\n", "a key must be plain text, not a list");
    refused("a: \"\\0\"\n", "NUL");
    refused_bytes("a: 1\nb: \0", 9, "f.yaml:2:4: a NUL byte");
    refused_bytes("a: \xff\n", 5, "f.yaml:1:4: invalid UTF-8");
}

static char *repeat(arena *a, const char *s, size_t n, const char *end) {
    strbuf b = {0};
    for (size_t i = 0; i < n; i++) {
        strbuf_add(&b, s);
    }
    strbuf_add(&b, end);
    char *text = arena_strdup(a, strbuf_str(&b));
    strbuf_free(&b);
    return text;
}

static void test_limits(void **state) {
    (void)state;
    arena a = {0};
    refused(repeat(&a, "[", 33, ""), "deeper than 32");
    refused(repeat(&a, "- ", 5000, "x"), "deeper than 32");
    refused(repeat(&a, "{a: ", 60000, ""), "deeper than 32");
    refused(repeat(&a, "%", 1000000, ""), "f.yaml:1:1: directives"); /* quadratic in libfyaml */
    refused(repeat(&a, "- x\n-", 2, repeat(&a, " ", 1000000, "")), "f.yaml:3:1: more than 256 blanks");
    refused(repeat(&a, "- x\n", YAML_MAX_NODES + 1, ""), "more than 100000 values");
    char *ok = repeat(&a, "[", 32, repeat(&a, "]", 32, ""));
    (void)load(&a, ok);
    arena_free(&a);
}

static void test_file_limits(void **state) {
    fixture *f = *state;
    fixture_write_text(f, "a.yaml", "a: 12345\n");
    const yaml_node *root = NULL;
    error err = {0};
    assert_int_equal(yaml_load_file(fixture_path(f, "a.yaml"), 9, &f->mem, &root, &err), STATUS_OK);
    assert_int_equal(yaml_load_file(fixture_path(f, "a.yaml"), 8, &f->mem, &root, &err), STATUS_USAGE);
    assert_non_null(strstr(err.text, "more than 8 bytes"));
    assert_int_equal(yaml_load_file(fixture_path(f, "none.yaml"), 8, &f->mem, &root, &err), STATUS_IO);
}

static void expect_error(status s, const error *err, const char *expected) {
    assert_int_equal(s, STATUS_USAGE);
    assert_string_equal(err->text, expected);
}

static void test_typed(void **state) {
    (void)state;
    arena a = {0};
    error e = {0};
    const yaml_node *m =
        load(&a, "i: 7\nbig: 99\nword: abc\nq: \"7\"\nr: 0.25\ninf: -.inf\nyes: true\nbad: Yes\nnone:\n"
                 "l: [1, 2]\nls: [1, x]\none: 5\nm: {}\nlong: 99999999999999999999\n");
    int64_t i = -1;
    assert_int_equal(yaml_opt_int(m, "i", 0, 10, &i, &e), STATUS_OK);
    assert_int_equal(i, 7);
    assert_int_equal(yaml_opt_int(m, "absent", 0, 10, &i, &e), STATUS_OK);
    assert_int_equal(i, 7);
    expect_error(yaml_opt_int(m, "big", 0, 10, &i, &e), &e, "f.yaml:2:6: \"big\" must be in 0..10, not 99");
    expect_error(yaml_opt_int(m, "word", 0, 10, &i, &e), &e, "f.yaml:3:7: \"word\" must be an integer, not \"abc\"");
    expect_error(yaml_opt_int(m, "q", 0, 10, &i, &e), &e,
                 "f.yaml:4:4: \"q\" must be an integer, not quoted text (\"7\")");
    expect_error(yaml_opt_int(m, "l", 0, 10, &i, &e), &e, "f.yaml:10:4: \"l\" must be an integer, not a list");
    assert_int_equal(yaml_opt_int(m, "none", 0, 10, &i, &e), STATUS_USAGE);
    assert_int_equal(yaml_opt_int(m, "long", INT64_MIN, INT64_MAX, &i, &e), STATUS_USAGE);
    double r = 0;
    assert_int_equal(yaml_opt_real(m, "r", 0, 1, &r, &e), STATUS_OK);
    assert_true(r == 0.25);
    assert_int_equal(yaml_opt_real(m, "inf", -INFINITY, 1, &r, &e), STATUS_OK);
    assert_true(isinf(r) && r < 0);
    assert_int_equal(yaml_opt_real(m, "i", 0, 1, &r, &e), STATUS_USAGE);
    bool b = false;
    assert_int_equal(yaml_opt_bool(m, "yes", &b, &e), STATUS_OK);
    assert_true(b);
    expect_error(yaml_opt_bool(m, "bad", &b, &e), &e, "f.yaml:8:6: \"bad\" must be true or false, not \"Yes\"");
    const int64_t *ints = NULL;
    size_t n = 0;
    assert_int_equal(yaml_ints(yaml_get(m, "l"), "l", 0, 9, &a, &ints, &n, &e), STATUS_OK);
    assert_int_equal(n, 2);
    assert_int_equal(ints[1], 2);
    assert_int_equal(yaml_ints(yaml_get(m, "one"), "one", 0, 9, &a, &ints, &n, &e), STATUS_OK);
    assert_int_equal(n, 1);
    assert_int_equal(yaml_ints(yaml_get(m, "ls"), "ls", 0, 9, &a, &ints, &n, &e), STATUS_USAGE);
    assert_int_equal(yaml_ints(yaml_get(m, "m"), "m", 0, 9, &a, &ints, &n, &e), STATUS_USAGE);
    const char *text = NULL;
    expect_error(yaml_opt_string(m, "none", &text, &e), &e, "f.yaml:9:1: \"none\" must be text, not empty");
    arena_free(&a);
}

static void test_keys_and_choices(void **state) {
    (void)state;
    static const char *const keys[] = {"seed", "limits"};
    arena a = {0};
    error e = {0};
    const yaml_node *m = load(&a, "seed: 1\nlimts: 2\n");
    expect_error(yaml_check_keys(m, "the config", keys, 2, &e), &e,
                 "f.yaml:2:1: the config: unknown key \"limts\", did you mean \"limits\"? (allowed: seed, limits)");
    expect_error(yaml_check_keys(yaml_get(m, "seed"), "seed", keys, 2, &e), &e,
                 "f.yaml:1:7: seed must be a mapping, not text");
    const yaml_node *v = NULL;
    expect_error(yaml_need(m, "models", "the config", &v, &e), &e,
                 "f.yaml:1:1: the config: the key \"models\" is missing");
    size_t which = 9;
    m = load(&a, "order: hcw\n");
    static const char *const orders[] = {"chw", "hwc"};
    assert_int_equal(yaml_choice(yaml_get(m, "order"), "order", orders, 2, &which, &e), STATUS_USAGE);
    assert_non_null(strstr(e.text, "f.yaml:1:8: \"order\" cannot be \"hcw\", did you mean"));
    arena_free(&a);
}

typedef struct block {
    int64_t k;
    bool on;
    param_reals eps;
    const char *mode;
} block;

static void test_params(void **state) {
    (void)state;
    static const param params[] = {
        {.name = "k", .unit = "", .offset = offsetof(block, k), .type = PARAM_INT, .def = 3, .min = 1, .max = 9},
        {.name = "on", .unit = "", .offset = offsetof(block, on), .type = PARAM_BOOL, .max = 1},
        {.name = "eps", .unit = "", .offset = offsetof(block, eps), .type = PARAM_REALS, .max = 1, .def_text = "0.5"},
        {.name = "mode",
         .unit = "",
         .offset = offsetof(block, mode),
         .type = PARAM_CHOICE,
         .def_text = "a",
         .choices = "a|b"},
    };
    static const info i = {.id = "thing", .params = params, .n_params = 4, .params_bytes = sizeof(block)};
    static const char *const also[] = {"limit"};
    arena a = {0};
    error e = {0};
    block b;
    params_default(&i, &b, &a);
    assert_int_equal(
        yaml_set_params(load(&a, "k: 5\neps: [0.1, 0.2]\non: true\nmode: b\nlimit: 10\n"), &i, also, 1, &b, &a, &e),
        STATUS_OK);
    assert_int_equal(b.k, 5);
    assert_true(b.on);
    assert_int_equal(b.eps.n, 2);
    assert_true(b.eps.v[1] == 0.2);
    assert_string_equal(b.mode, "b");
    static const char *const bad[][2] = {
        {"kk: 5", "f.yaml:1:1: thing: unknown key \"kk\""},
        {"k: 0", "f.yaml:1:4: \"k\" must be in 1..9"},
        {"k: [1]", "f.yaml:1:4:"},
        {"k: \"1\"", "quoted"},
        {"on: 1", "true or false"},
        {"eps: [0.1, 3]", "f.yaml:1:6: \"eps\" must be in 0..1"},
        {"eps: [\"0.1,0.2\"]", "comma"},
        {"mode: c", "f.yaml:1:7:"},
        {"eps: {a: 1}", "must be a list"},
        {"- k", "must be a mapping"},
    };
    for (size_t n = 0; n < sizeof bad / sizeof bad[0]; n++) {
        e.text[0] = '\0';
        assert_int_equal(yaml_set_params(load(&a, bad[n][0]), &i, also, 1, &b, &a, &e), STATUS_USAGE);
        if (strstr(e.text, bad[n][1]) == NULL) {
            fail_msg("\"%s\" is not in \"%s\"", bad[n][1], e.text);
        }
    }
    arena_free(&a);
}

/* Whatever the bytes: a tree or one placed error, and nothing on stderr (libfyaml likes to talk). */
static void survive(const char *text, size_t n) {
    arena a = {0};
    error err = {0};
    const yaml_node *root = NULL;
    status s = yaml_load_text("f.yaml", text, n, &a, &root, &err);
    assert_true(s == STATUS_OK || s == STATUS_USAGE);
    assert_true((s == STATUS_OK) == (root != NULL));
    assert_true(s == STATUS_OK || strncmp(err.text, "f.yaml:", 7) == 0);
    arena_free(&a);
}

static void test_every_cut_and_flip(void **state) {
    fixture *f = *state;
    static const char text[] =
        "# c\na: 1\nb: [x, 'y z', \"\\u00e9\\n\"]\nc:\n  - {d: e, f: [1, 2.5e3]}\n  - >-\n    folded\n"
        "    text\n  - |\n    block\n? g\n: h\n";
    char *log = fixture_path(f, "stderr.txt");
    (void)fflush(stderr);
    int saved = dup(2);
    assert_non_null(freopen(log, "w", stderr));
    for (size_t n = 0; n < sizeof text; n++) {
        survive(text, n);
    }
    static const char with[] = "\0\t\n\r \"'#&*!%@`[]{}|>-?:,~\x7f\x80\xc3\xff";
    char copy[sizeof text];
    for (size_t i = 0; i + 1 < sizeof text; i++) {
        for (size_t k = 0; k + 1 < sizeof with; k++) {
            memcpy(copy, text, sizeof text);
            copy[i] = with[k];
            survive(copy, sizeof text - 1);
        }
    }
    (void)fflush(stderr);
    (void)dup2(saved, 2);
    (void)close(saved);
    io_map m;
    error err = {0};
    assert_int_equal(io_map_file(log, &m, &err), STATUS_OK);
    assert_int_equal(m.n, 0);
    io_unmap(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_limits),
        cmocka_unit_test_setup_teardown(test_file_limits, fixture_setup, fixture_teardown),
        cmocka_unit_test(test_typed),
        cmocka_unit_test(test_keys_and_choices),
        cmocka_unit_test(test_params),
        cmocka_unit_test_setup_teardown(test_every_cut_and_flip, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
