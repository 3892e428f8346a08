/* SPDX-License-Identifier: Apache-2.0
 * Judging from the store: the rows, the parameters, what is skipped and why. */
#include "unit/run/judged_fixture.h"

static const store_metric *find(const store_metric *v, size_t n, const char *model, const char *name,
                                const char *slice) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(v[i].model_name, model) == 0 && strcmp(v[i].name, name) == 0 && strcmp(v[i].slice, slice) == 0) {
            return &v[i];
        }
    }
    fail_msg("no row %s %s %s", model, name, slice);
    return NULL;
}

static void rows(void **state) {
    fx *f = *state;
    const int64_t run = fx_run(f, "r", 1, false);
    static const char names[] = "[\"shirt\",\"coat, long\",\"bag\",\"boot\"]";
    fx_add(f, run, &(fx_item){.model = "m1", .dataset = "d", .class_names_json = names, .n = 60, .wrong_every = 10});
    fx_add(
        f, run,
        &(fx_item){.model = "m1", .dataset = "d", .class_names_json = names, .n = 40, .first = 60, .wrong_every = 10});
    fx_judge(f, run);
    fx_judge(f, run); /* again: replaces, does not add */
    arena a = {0};
    store_metric *v = NULL;
    size_t n = 0;
    FX_OK(store_metrics(f->s, run, &a, &v, &n, &err));
    const store_metric *m = find(v, n, "m1", "accuracy", "");
    assert_true(m->value == 0.9 && m->n == 100 && m->lo < 0.9 && m->hi > 0.9 && m->level == 0.95);
    assert_string_equal(m->ci_method, "wilson");
    assert_string_equal(m->better, "higher");
    assert_string_equal(m->metric_id, "accuracy");
    assert_true(find(v, n, "m1", "topk{k=3}", "")->value >= 0.9);
    const double right = log(exp(2) + 3) - 2;
    const double wrong = log(exp(2) + 3);
    assert_true(fabs(find(v, n, "m1", "log-loss{clip=0,from=logits}", "")->value - (0.9 * right + 0.1 * wrong)) <
                1e-12);
    assert_true(find(v, n, "m1", "recall", "class=coat\\, long")->n == 25);
    arena_free(&a);
}

static void skipped(void **state) {
    fx *f = *state;
    const int64_t run = fx_run(f, "r", 1, false);
    fx_add(f, run, &(fx_item){.model = "dry", .dataset = "d", .n = 20, .no_logits = true});
    fx_add(f, run, &(fx_item){.model = "dead", .dataset = "d", .n = 20, .end = OUTCOME_CRASHED, .reason = "signal 11"});
    fx_judge(f, run);
    arena a = {0};
    store_metric *v = NULL;
    size_t n = 0;
    FX_OK(store_metrics(f->s, run, &a, &v, &n, &err));
    const store_metric *m = find(v, n, "dry", "topk", "");
    assert_true(isnan(m->value));
    assert_string_equal(m->reason, "SKIPPED: logits were not stored (store: {logits: clean})");
    assert_true(find(v, n, "dry", "accuracy", "")->value == 1.0);
    assert_true(isnan(find(v, n, "dead", "accuracy", "")->value));
    assert_string_equal(find(v, n, "dead", "accuracy", "")->reason, "SKIPPED: no example was observed");
    arena_free(&a);
}

static const char *const *unknown(void *context, const char *suite, const char *params) {
    static const char *const ids[] = {"no-such-metric", NULL};
    (void)context;
    (void)suite;
    (void)params;
    return ids;
}

static void parameters(void **state) {
    fx *f = *state;
    const int64_t run = fx_run(f, "r", 1, false);
    fx_add(f, run, &(fx_item){.model = "m", .dataset = "d", .n = 20});
    const judge_param good[] = {
        {NULL, "topk", "k", "1"}, {"accuracy", "topk", "k", "2,4"}, {"other", "topk", "k", "3"}};
    judge_options o = {.level = 0.9, .metrics_for = fx_metrics, .params = good, .n_params = 3};
    FX_OK(judge_run(f->s, run, &o, &err));
    arena a = {0};
    store_metric *v = NULL;
    size_t n = 0;
    FX_OK(store_metrics(f->s, run, &a, &v, &n, &err));
    assert_true(find(v, n, "m", "topk{k=2}", "")->level == 0.9);
    for (size_t i = 0; i < n; i++) {
        assert_string_not_equal(v[i].name, "topk{k=1}");
        assert_string_not_equal(v[i].name, "topk{k=3}");
    }
    arena_free(&a);
    const judge_param bad[] = {{NULL, "topk", "k", "0"}};
    o.params = bad;
    o.n_params = 1;
    FX_REFUSES(judge_run(f->s, run, &o, &err), STATUS_USAGE, "metric topk: \"k\" must be in 1..");
    o = (judge_options){.metrics_for = unknown};
    FX_REFUSES(judge_run(f->s, run, &o, &err), STATUS_USAGE, "there is no metric \"no-such-metric\"");
}

static void probabilities(void **state) {
    fx *f = *state;
    const int64_t run = fx_run(f, "r", 1, false);
    fx_add(f, run, &(fx_item){.model = "p", .dataset = "d", .n = 20, .probabilities = true});
    fx_judge(f, run);
    arena a = {0};
    store_metric *v = NULL;
    size_t n = 0;
    FX_OK(store_metrics(f->s, run, &a, &v, &n, &err));
    const store_metric *m = find(v, n, "p", "log-loss{clip=2.220446049250313e-16,from=probabilities}", "");
    assert_true(m->value >= 0 && m->value < 1e-14);
    arena_free(&a);
}

/* Another plug-in gave probabilities for the same file later: this one's outputs are still logits. */
static void two_plugins(void **state) {
    fx *f = *state;
    char h[DIGEST_HEX];
    char text[256];
    const int64_t run = fx_run(f, "r", 1, false);
    fx_add(f, run, &(fx_item){.model = "m", .dataset = "d", .n = 20});
    arena a = {0};
    store_group *g = NULL;
    store_metric *v = NULL;
    size_t n = 0;
    FX_OK(store_groups(f->s, run, &a, &g, &n, &err));
    (void)snprintf(text, sizeof text, "{\"probabilities\":false,\"plugins\":{\"%s\":{\"probabilities\":false}}}",
                   fx_hash("p", h));
    FX_OK(store_set_model_json(f->s, g->model_id, text, &err));
    FX_OK(store_set_model_json(f->s, g->model_id,
                               "{\"probabilities\":true,\"plugins\":{\"x\":{\"probabilities\":true}}}", &err));
    FX_OK(store_groups(f->s, run, &a, &g, &n, &err));
    (void)snprintf(text, sizeof text,
                   "{\"plugins\":{\"%s\":{\"probabilities\":false},\"x\":{\"probabilities\":true}},"
                   "\"probabilities\":true}",
                   h);
    assert_string_equal(g->model_json, text);
    fx_judge(f, run);
    FX_OK(store_metrics(f->s, run, &a, &v, &n, &err));
    assert_true(find(v, n, "m", "log-loss{clip=0,from=logits}", "")->value > 0);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(skipped, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(parameters, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(probabilities, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(two_plugins, fx_setup, fx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
