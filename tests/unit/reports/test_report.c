/* SPDX-License-Identifier: Apache-2.0
 * Reports of a small run in every format. */
#include "unit/run/judged_fixture.h"

#include <jansson.h>

#include "reports/report.h"

static int64_t sample(fx *f, bool limited) {
    static const char names[] = "[\"T-shirt/top\",\"Trouser\",\"Bag\",\"Boot\"]";
    const int64_t run = fx_run(f, "sample", 7, limited);
    fx_add(
        f, run,
        &(fx_item){.model = "cnn-fp32", .dataset = "fashion", .class_names_json = names, .n = 400, .wrong_every = 10});
    fx_add(f, run,
           &(fx_item){.model = "cnn-int8",
                      .variant_of = "cnn-fp32",
                      .dataset = "fashion",
                      .class_names_json = names,
                      .n = 400,
                      .wrong_every = 9});
    fx_add(f, run,
           &(fx_item){.model = "cnn-pruned",
                      .variant_of = "cnn-fp32",
                      .dataset = "fashion",
                      .class_names_json = names,
                      .n = 400,
                      .wrong_every = 10});
    fx_add(f, run,
           &(fx_item){.model = "broken",
                      .dataset = "fashion",
                      .class_names_json = names,
                      .n = 400,
                      .end = OUTCOME_CRASHED,
                      .reason = "signal 11 (Segmentation fault)"});
    fx_add(f, run, &(fx_item){.model = "logreg", .dataset = "hmda", .n = 100, .no_logits = true, .wrong_every = 6});
    fx_judge(f, run);
    fx_end(f, run);
    return run;
}

static char *render(fx *f, int64_t run, const char *format) {
    arena a = {0};
    report_data d = {0};
    strbuf b = {0};
    FX_OK(report_load(f->s, run, &a, &d, &err));
    FX_OK(report_render(&d, format, &b, &err));
    char *text = strdup(strbuf_str(&b));
    strbuf_free(&b);
    arena_free(&a);
    return text;
}

/* ASSAY_SHOW=1 prints the reports for a look. */
static void show(const char *text) {
    if (getenv("ASSAY_SHOW") != NULL) {
        (void)fputs(text, stdout);
    }
}

static void must_hold(const char *text, const char *part) {
    if (strstr(text, part) == NULL) {
        fail_msg("missing \"%s\" in:\n%s", part, text);
    }
}

static void terminal(void **state) {
    fx *f = *state;
    char *text = render(f, sample(f, false), "terminal");
    show(text);
    must_hold(text, "cnn-fp32    400  0.9000 [0.8667, 0.9257]");
    must_hold(text, "top-3");
    assert_null(strstr(text, "top-5")); /* four classes: says nothing */
    must_hold(text, "CRASHED");
    must_hold(text, "signal 11 (Segmentation fault)");
    must_hold(text, "SKIPPED: logits were not stored (store: {logits: clean})");
    must_hold(text, "no difference detected; 400 pairs detect a difference of");
    must_hold(text, "TIMEOUT            0"); /* counted also when zero */
    must_hold(text, "T-shirt/top");
    assert_null(strstr(text, "LIMITED"));
    assert_null(strstr(text, "(null)"));
    for (const char *s = text; *s != '\0'; s++) {
        assert_false(*s == ' ' && s[1] == '\n');
        assert_false((unsigned char)*s < 0x20 && *s != '\n');
    }
    free(text);
}

static void markdown(void **state) {
    fx *f = *state;
    char *text = render(f, sample(f, true), "md");
    show(text);
    must_hold(text, "# assay report: sample\n");
    must_hold(text, "> **Note:** LIMITED RUN");
    must_hold(text, "| cnn-fp32 | 400 | 0.9000 \\[0.8667, 0.9257\\] |");
    must_hold(text, "A &lt;b&gt;title&lt;/b&gt; \\| x");
    free(text);
}

static void json(void **state) {
    fx *f = *state;
    const int64_t run = sample(f, true);
    char *text = render(f, run, "json");
    char *again = render(f, run, "json");
    assert_string_equal(text, again);
    json_error_t e;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &e);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "schema")), "assay.report/1");
    const json_t *r = json_object_get(root, "run");
    assert_true(json_is_true(json_object_get(r, "limited")));
    assert_int_equal(json_object_size(json_object_get(r, "outcomes")), 7);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(r, "outcomes"), "CRASHED")), 1);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(r, "outcomes"), "TIMEOUT")), 0);
    assert_int_equal(json_array_size(json_object_get(root, "models")), 5);
    assert_int_equal(json_array_size(json_object_get(root, "datasets")), 2);
    assert_int_equal(json_array_size(json_object_get(root, "comparisons")), 2);
    const json_t *c = json_array_get(json_object_get(root, "comparisons"), 0);
    assert_string_equal(json_string_value(json_object_get(json_object_get(c, "candidate"), "model")), "cnn-int8");
    bool found = false;
    size_t i = 0;
    json_t *m = NULL;
    json_array_foreach(json_object_get(root, "metrics"), i, m) {
        const bool skipped = strncmp(json_string_value(json_object_get(m, "reason")), "SKIPPED", 7) == 0;
        assert_true(!skipped || json_is_null(json_object_get(m, "value")));
        found = found || skipped;
    }
    assert_true(found);
    json_decref(root);
    free(text);
    free(again);
}

static void empty(void **state) {
    fx *f = *state;
    char *text = render(f, 0, "terminal");
    must_hold(text, "The store holds no runs.");
    free(text);
    text = render(f, 0, "json");
    must_hold(text, "\"run\": null");
    free(text);
    const int64_t run = fx_run(f, "", 1, false); /* a run without items */
    text = render(f, run, "md");
    must_hold(text, "The run holds no items.");
    must_hold(text, "some of its items have no result");
    free(text);
    arena a = {0};
    report_data d = {0};
    FX_REFUSES(report_load(f->s, 999, &a, &d, &err), STATUS_USAGE, "there is no run 999");
    strbuf b = {0};
    FX_REFUSES(report_render(&d, "pdf", &b, &err), STATUS_USAGE, "(there are: terminal, md, json)");
    arena_free(&a);
}

static void summary(void **state) {
    fx *f = *state;
    strbuf b = {0};
    FX_OK(report_print_summary(f->s, sample(f, true), &b, &err));
    must_hold(strbuf_str(&b), "LIMITED RUN");
    must_hold(strbuf_str(&b), "cnn-int8");
    must_hold(strbuf_str(&b), "Variants against their baselines");
    assert_null(strstr(strbuf_str(&b), "Provenance"));
    strbuf_free(&b);
}

/* What is missing or doubtful stands beside the comparison, and only tests that were made are counted. */
static void partial(void **state) {
    fx *f = *state;
    const int64_t run = fx_run(f, "partial", 3, false);
    static const char *const model[] = {"base", "cand", "none"};
    for (int k = 0; k < 3; k++) {
        const char *of = k == 0 ? "" : "base";
        fx_add(f, run,
               &(fx_item){.model = model[k],
                          .variant_of = of,
                          .dataset = "d",
                          .n = 20,
                          .end = k == 2 ? OUTCOME_CRASHED : OUTCOME_NONE});
        fx_add(f, run,
               &(fx_item){
                   .model = model[k], .variant_of = of, .dataset = "d", .n = 7, .first = 20, .end = OUTCOME_TIMEOUT});
    }
    fx_judge(f, run);
    fx_end(f, run);
    char *text = render(f, run, "md");
    must_hold(text, "cand: planned examples without a result (items failed or unfinished): baseline 7, model 7.");
    must_hold(text, "Holm over 1 comparison,");
    free(text);
    text = render(f, run, "json");
    must_hold(text, "\"n_missing\": [\n        7,\n        27\n      ]");
    free(text);
}

/* Classes without examples come last, and a class may be called like the lack of a prediction. */
static void class_order(void **state) {
    fx *f = *state;
    const int64_t run = fx_run(f, "order", 4, false);
    fx_add(f, run,
           &(fx_item){.model = "m",
                      .dataset = "d",
                      .class_names_json = "[\"(none)\",\"absent\",\"c\",\"d\"]",
                      .n = 1,
                      .wrong_every = 1});
    fx_judge(f, run);
    fx_end(f, run);
    char *text = render(f, run, "terminal");
    must_hold(text, "(none)  1");
    assert_true(strstr(text, "(none)  1") < strstr(text, "absent  0"));
    free(text);
    text = render(f, run, "json");
    must_hold(text, "true=\\\\(none),pred=absent");
    free(text);
}

static void comparison(void **state) {
    fx *f = *state;
    (void)sample(f, false);
    arena a = {0};
    compare_set set = {0};
    const compare_options o = {0};
    FX_OK(compare_texts(f->s, (const char *const[]){"cnn-fp32", "cnn-int8"}, 2, &o, &a, &set, &err));
    strbuf b = {0};
    FX_OK(report_render_compare(&set, "terminal", &b, &err));
    show(strbuf_str(&b));
    must_hold(strbuf_str(&b), "cnn-int8 against cnn-fp32");
    must_hold(strbuf_str(&b), "newly wrong");
    strbuf_free(&b);
    FX_OK(report_render_compare(&set, "json", &b, &err));
    must_hold(strbuf_str(&b), "\"schema\": \"assay.compare/1\"");
    strbuf_free(&b);
    FX_OK(report_render_compare(&(compare_set){0}, "md", &b, &err)); /* nothing to say is no fault */
    strbuf_free(&b);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(terminal, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(markdown, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(json, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(empty, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(summary, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(partial, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(class_order, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(comparison, fx_setup, fx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
