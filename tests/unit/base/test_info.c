/* SPDX-License-Identifier: Apache-2.0
 * base/info: parameter tables: defaults, every type, ranges, and the canonical JSON that enters item keys. */
#include "unit/base/check.h"

#include <jansson.h>
#include <math.h>

#include "base/info.h"

typedef struct block {
    bool flag;
    int64_t count;
    double eps;
    const char *name, *mode;
    param_ints ks;
    param_reals levels;
    param_strings words;
} block;

#define AT(member) .offset = offsetof(block, member)

static const param params[] = {
    {.name = "words", .help = "w", .unit = "", AT(words), .type = PARAM_STRINGS, .def_text = "x,y"},
    {.name = "count", .help = "c", .unit = "steps", AT(count), .type = PARAM_INT, .def = 40, .min = 1, .max = 1000},
    {.name = "eps",
     .help = "e",
     .unit = "",
     AT(eps),
     .type = PARAM_REAL,
     .def = 0.1,
     .min = 0,
     .max = (double)INFINITY},
    {.name = "flag", .help = "f", .unit = "", AT(flag), .type = PARAM_BOOL, .def = 1},
    {.name = "name", .help = "n", .unit = "", AT(name), .type = PARAM_STRING},
    {.name = "mode",
     .help = "m",
     .unit = "",
     AT(mode),
     .type = PARAM_CHOICE,
     .def_text = "fast",
     .choices = "fast|slow|"
                "off"},
    {.name = "ks", .help = "k", .unit = "", AT(ks), .type = PARAM_INTS, .def_text = "1,3,5", .min = 1, .max = 1e6},
    {.name = "levels", .help = "l", .unit = "", AT(levels), .type = PARAM_REALS, .min = -1, .max = 1},
};

static const info thing = {.id = "thing",
                           .summary = "",
                           .cite = "",
                           .version = 1,
                           .params = params,
                           .n_params = N_OF(params),
                           .params_bytes = sizeof(block)};

static void test_defaults(void **state) {
    (void)state;
    arena a = {0};
    block b;
    memset(&b, 0x5a, sizeof b);
    params_default(&thing, &b, &a);
    assert_true(b.flag);
    assert_int_equal(b.count, 40);
    assert_true(b.eps == 0.1);
    assert_string_equal(b.name, "");
    assert_string_equal(b.mode, "fast");
    assert_int_equal(b.ks.n, 3);
    assert_int_equal(b.ks.v[2], 5);
    assert_int_equal(b.levels.n, 0);
    assert_int_equal(b.words.n, 2);
    assert_string_equal(b.words.v[1], "y");
    const info none = {.id = "none"};
    params_default(&none, NULL, &a);
    assert_string_equal(params_json(&none, NULL, &a), "{}");
    arena_free(&a);
}

static void set(block *b, arena *a, const char *name, const char *text) {
    error err = {0};
    if (param_set_text(&thing, b, name, text, a, &err) != STATUS_OK) {
        fail_msg("%s", err.text);
    }
}

static void test_set(void **state) {
    (void)state;
    arena a = {0};
    block b;
    params_default(&thing, &b, &a);
    set(&b, &a, "flag", "false");
    set(&b, &a, "count", "1000");
    set(&b, &a, "eps", "inf");
    set(&b, &a, "name", "a,b\nc");
    set(&b, &a, "mode", "off");
    set(&b, &a, "ks", " 7 ,\t8\n1000000");
    set(&b, &a, "levels", "-1,0.5,1");
    set(&b, &a, "words", "one two , three");
    assert_false(b.flag);
    assert_int_equal(b.count, 1000);
    assert_true(isinf(b.eps));
    assert_string_equal(b.name, "a,b\nc");
    assert_string_equal(b.mode, "off");
    assert_int_equal(b.ks.n, 3);
    assert_int_equal(b.ks.v[1], 8);
    assert_int_equal(b.ks.v[2], 1000000);
    assert_true(b.levels.v[1] == 0.5);
    assert_string_equal(b.words.v[0], "one two");
    assert_string_equal(b.words.v[1], "three");
    set(&b, &a, "ks", "");
    assert_int_equal(b.ks.n, 0);
    arena_free(&a);
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *name, *text, *expected;
    } rows[] = {{"flag", "maybe", "\"flag\" must be true or false, not \"maybe\""},
                {"flag", "", "\"flag\" must be true or false"},
                {"count", "0", "\"count\" must be in 1..1000 steps, not 0"},
                {"count", "1001", "\"count\" must be in 1..1000 steps, not 1001"},
                {"count", "-1", "not -1"},
                {"count", "1e2", "\"count\" must be an integer"},
                {"count", "4.0", "\"count\" must be an integer"},
                {"count", "", "\"count\" must be an integer"},
                {"count", "99999999999999999999", "\"count\" must be an integer"},
                {"eps", "-0.5", "\"eps\" must be in 0..inf, not -0.5"},
                {"eps", "nan", "\"eps\" must be a number"},
                {"eps", "-inf", "\"eps\" must be in 0..inf, not -inf"},
                {"eps", "0x1p-3", "\"eps\" must be a number"},
                {"eps", "1e999", "\"eps\" must be a number"},
                {"mode", "slo", "\"mode\" must be fast|slow|off, not \"slo\""},
                {"mode", "", "\"mode\" must be"},
                {"mode", "fast|slow", "\"mode\" must be"},
                {"mode", "|", "\"mode\" must be"},
                {"mode", "FAST", "\"mode\" must be"},
                {"ks", "1,0", "\"ks\" must be in 1..1000000, not 0"},
                {"ks", "1,,2", "\"ks\" must be an integer"},
                {"ks", ",", "\"ks\" must be an integer"},
                {"ks", "1, x", "\"ks\" must be an integer, not \"x\""},
                {"levels", "0,2", "\"levels\" must be in -1..1, not 2"},
                {"levels", "0 1", "\"levels\" must be a number"},
                {"cuont", "1", "thing has no parameter \"cuont\""},
                {"", "1", "thing has no parameter \"\""}};
    arena a = {0};
    block b;
    params_default(&thing, &b, &a);
    char *before = params_json(&thing, &b, &a);
    for (size_t i = 0; i < N_OF(rows); i++) {
        error err = {0};
        assert_int_equal(param_set_text(&thing, &b, rows[i].name, rows[i].text, &a, &err), STATUS_USAGE);
        check_has(err.text, rows[i].expected);
        assert_string_equal(params_json(&thing, &b, &a), before); /* a refused value leaves the block alone */
    }
    char long_text[4000];
    memset(long_text, 'z', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    error err = {0};
    for (size_t i = 0; i < N_OF(params); i++) {
        if (params[i].type != PARAM_STRING && params[i].type != PARAM_STRINGS) {
            assert_int_equal(param_set_text(&thing, &b, params[i].name, long_text, &a, &err), STATUS_USAGE);
            assert_true(strlen(err.text) < 200);
        }
    }
    arena_free(&a);
}

static void test_json(void **state) {
    (void)state;
    arena a = {0};
    block b;
    params_default(&thing, &b, &a);
    assert_string_equal(params_json(&thing, &b, &a),
                        "{\"count\":40,\"eps\":0.1,\"flag\":true,\"ks\":[1,3,5],\"levels\":[],\"mode\":\"fast\","
                        "\"name\":\"\",\"words\":[\"x\",\"y\"]}");
    /* the value decides, not how it was written */
    set(&b, &a, "eps", "1.0e-1");
    set(&b, &a, "count", "0040");
    set(&b, &a, "flag", "on");
    set(&b, &a, "ks", "1\n3 , 5");
    check_has(params_json(&thing, &b, &a), "{\"count\":40,\"eps\":0.1,\"flag\":true,\"ks\":[1,3,5]");
    set(&b, &a, "count", "100");
    check_has(params_json(&thing, &b, &a), "\"count\":100");
    assert_string_equal(param_text(param_find(&thing, "ks"), &b, &a), "[1,3,5]");
    assert_string_equal(param_text(param_find(&thing, "mode"), &b, &a), "\"fast\"");
    assert_null(param_find(&thing, "K"));
    arena_free(&a);
}

/* Whatever a block holds, its JSON is JSON, and says the same. */
static void test_json_escapes(void **state) {
    (void)state;
    arena a = {0};
    block b;
    params_default(&thing, &b, &a);
    set(&b, &a, "name", "q\"b\\s/n\nt\tr\rbell\a esc\x1b del\x7f \xc3\xa9 \xf0\x9f\x98\x80");
    set(&b, &a, "words", "a\"b,c\\d,\xe4\xb8\xad");
    set(&b, &a, "levels", "-1,1e-300,5e-324,-0.1");
    json_error_t je;
    char *text = params_json(&thing, &b, &a);
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, &je);
    if (o == NULL) {
        fail_msg("%s: %s", je.text, text);
    }
    assert_string_equal(json_string_value(json_object_get(o, "name")), b.name);
    assert_string_equal(json_string_value(json_array_get(json_object_get(o, "words"), 0)), "a\"b");
    assert_true(json_number_value(json_array_get(json_object_get(o, "levels"), 2)) == 5e-324);
    json_decref(o);
    arena_free(&a);
}

/* JSON has no infinity: it is written as text, as params_from_json reads it. */
static void test_json_infinity(void **state) {
    (void)state;
    arena a = {0};
    block b;
    params_default(&thing, &b, &a);
    set(&b, &a, "eps", "inf");
    json_error_t je;
    json_t *o = json_loads(params_json(&thing, &b, &a), 0, &je);
    assert_non_null(o);
    assert_string_equal(json_string_value(json_object_get(o, "eps")), "inf");
    json_decref(o);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_set),          cmocka_unit_test(test_refused),
        cmocka_unit_test(test_json),     cmocka_unit_test(test_json_escapes), cmocka_unit_test(test_json_infinity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
