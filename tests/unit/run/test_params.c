/* SPDX-License-Identifier: Apache-2.0
 * run/params: a block from JSON and back; what is no value is refused by name. */
#include "unit/base/check.h"

#include <math.h>

#include "run/params.h"

typedef struct block {
    bool flag;
    int64_t count;
    double eps;
    const char *name, *mode;
    param_ints ks;
    param_reals levels;
    param_strings words;
} block;

#define AT(member) .help = "h", .unit = "", .offset = offsetof(block, member)

static const param params[] = {
    {.name = "count", AT(count), .type = PARAM_INT, .def = 40, .min = -1e18, .max = 1e18},
    {.name = "eps", AT(eps), .type = PARAM_REAL, .def = 0.1, .min = -(double)INFINITY, .max = (double)INFINITY},
    {.name = "flag", AT(flag), .type = PARAM_BOOL, .def = 1},
    {.name = "ks", AT(ks), .type = PARAM_INTS, .def_text = "1,3,5", .min = 1, .max = 1e6},
    {.name = "levels", AT(levels), .type = PARAM_REALS, .min = -1, .max = 1},
    {.name = "mode", AT(mode), .type = PARAM_CHOICE, .def_text = "fast", .choices = "fast|slow"},
    {.name = "name", AT(name), .type = PARAM_STRING},
    {.name = "words", AT(words), .type = PARAM_STRINGS, .def_text = "x,y"},
};

static const info thing = {.id = "thing",
                           .summary = "",
                           .cite = "",
                           .version = 1,
                           .params = params,
                           .n_params = N_OF(params),
                           .params_bytes = sizeof(block)};

static status from_text(const char *text, block *b, arena *a, error *err) {
    json_error_t je;
    json_t *o = json_loads(text, JSON_DECODE_ANY, &je);
    assert_non_null(o);
    status s = params_from_json(&thing, o, b, a, err);
    json_decref(o);
    return s;
}

static void test_defaults(void **state) {
    (void)state;
    arena a = {0};
    error err = {0};
    block want;
    params_default(&thing, &want, &a);
    block b;
    memset(&b, 0x5a, sizeof b);
    assert_int_equal(params_from_json(&thing, NULL, &b, &a, &err), STATUS_OK);
    assert_string_equal(params_json(&thing, &b, &a), params_json(&thing, &want, &a));
    memset(&b, 0x5a, sizeof b);
    assert_int_equal(from_text("{}", &b, &a, &err), STATUS_OK);
    assert_string_equal(params_json(&thing, &b, &a), params_json(&thing, &want, &a));
    arena_free(&a);
}

/* What params_json wrote reads back as the same block, whatever it holds. */
static void test_round_trip(void **state) {
    (void)state;
    static const char *const texts[] = {
        "{\"count\":-7,\"eps\":0.30000000000000004,\"flag\":false,\"ks\":[],\"levels\":[-1,0.25,1e-07,5e-324],"
        "\"mode\":\"slow\",\"name\":\"a\\\"b\\\\c, \\n\\u00e9\\u0001\",\"words\":[\"one two\",\"\\u4e2d\"]}",
        "{\"count\":1000000000000000000,\"eps\":\"inf\",\"flag\":true,\"ks\":[1000000],\"levels\":[],\"mode\":\"fast\","
        "\"name\":\"\",\"words\":[]}",
        "{\"count\":0,\"eps\":1e+22,\"flag\":true,\"ks\":[1,2,3,4],\"levels\":[0],\"mode\":\"fast\",\"name\":\"1\","
        "\"words\":[\"a\"]}",
        "{\"count\":100,\"eps\":\"-inf\",\"flag\":true,\"ks\":[100],\"levels\":[0.5],\"mode\":\"fast\","
        "\"name\":\"true\",\"words\":[\"null\",\"1\"]}"};
    for (size_t i = 0; i < N_OF(texts); i++) {
        arena a = {0};
        error err = {0};
        block b;
        if (from_text(texts[i], &b, &a, &err) != STATUS_OK) {
            fail_msg("%s", err.text);
        }
        const char *json = params_json(&thing, &b, &a);
        block again;
        assert_int_equal(from_text(json, &again, &a, &err), STATUS_OK);
        assert_string_equal(params_json(&thing, &again, &a), json);
        assert_true(again.count == b.count && memcmp(&again.eps, &b.eps, sizeof b.eps) == 0);
        assert_string_equal(again.name, b.name);
        assert_int_equal(again.words.n, b.words.n);
        arena_free(&a);
    }
}

static void test_values(void **state) {
    (void)state;
    arena a = {0};
    error err = {0};
    block b;
    assert_int_equal(from_text("{\"eps\": 3, \"levels\": [1, -0.5], \"words\": [\"a\", \"b c\"], \"name\": \"x\\ny\"}",
                               &b, &a, &err),
                     STATUS_OK);
    assert_true(b.eps == 3 && b.levels.n == 2 && b.levels.v[0] == 1 && b.levels.v[1] == -0.5);
    assert_string_equal(b.words.v[1], "b c");
    assert_string_equal(b.name, "x\ny");
    assert_int_equal(b.count, 40);
    arena_free(&a);
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *expected;
    } rows[] = {{"{\"cuont\": 1}", "cuont"},
                {"{\"count\": 1.5}", "\"count\""},
                {"{\"count\": 2e18}", "\"count\""},
                {"{\"count\": 2000000000000000000}", "\"count\""},
                {"{\"count\": \"x\"}", "\"count\""},
                {"{\"count\": true}", "\"count\""},
                {"{\"count\": null}", "\"count\""},
                {"{\"count\": {}}", "\"count\""},
                {"{\"count\": [1, 2]}", "\"count\""},
                {"{\"eps\": \"nan\"}", "\"eps\""},
                {"{\"flag\": 2}", "\"flag\""},
                {"{\"flag\": \"maybe\"}", "\"flag\""},
                {"{\"flag\": null}", "\"flag\""},
                {"{\"mode\": \"medium\"}", "\"mode\""},
                {"{\"mode\": [\"fast\", \"slow\"]}", "\"mode\""},
                {"{\"ks\": [1, 0]}", "\"ks\""},
                {"{\"ks\": [1, null]}", "\"ks\""},
                {"{\"ks\": [[1]]}", "\"ks\""},
                {"{\"ks\": {}}", "\"ks\""},
                {"{\"ks\": null}", "\"ks\""},
                {"{\"levels\": [2]}", "\"levels\""},
                {"{\"words\": null}", "\"words\""},
                {"{\"words\": [null]}", "\"words\""},
                {"{\"words\": [\"a\", {}]}", "\"words\""},
                {"{\"words\": [\"a,b\"]}", "\"words\""},
                {"{\"words\": [\"a\\nb\"]}", "\"words\""},
                {"{\"name\": null}", "\"name\""},
                {"{\"name\": {}}", "\"name\""},
                {"{\"name\": [\"a\", \"b\"]}", "\"name\""},
                {"[]", "parameters"},
                {"5", "parameters"},
                {"null", "parameters"}};
    for (size_t i = 0; i < N_OF(rows); i++) {
        arena a = {0};
        error err = {0};
        block b;
        if (from_text(rows[i].text, &b, &a, &err) != STATUS_USAGE) {
            fail_msg("%s was accepted", rows[i].text);
        }
        check_has(err.text, rows[i].expected);
        arena_free(&a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
