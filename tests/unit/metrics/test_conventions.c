/* SPDX-License-Identifier: Apache-2.0
 * The conventions that docs/STATISTICS.md states: ties, non-finite outputs, missing and unknown labels, names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "metrics/metric.h"

typedef struct wanted {
    const char *name, *slice;
    metric_row row;
    char reason[256];
    int found, total;
} wanted;

static void keep(void *context, const metric_row *row) {
    wanted *w = context;
    w->total++;
    if (strcmp(row->name, w->name) == 0 && strcmp(row->slice, w->slice) == 0) {
        w->row = *row;
        (void)snprintf(w->reason, sizeof w->reason, "%s", row->reason);
        w->found++;
    }
}

static wanted run_with(const char *id, const columns *c, const char *name, const char *slice, const char *key,
                       const char *value) {
    const metric *m = metric_find(id);
    arena a = {0};
    void *block = arena_alloc(&a, m->info.params_bytes + 1);
    params_default(&m->info, block, &a);
    wanted w = {.name = name, .slice = slice};
    const metric_sink sink = {&w, keep};
    error err = {0};
    assert_true(key == NULL || param_set_text(&m->info, block, key, value, &a, &err) == STATUS_OK);
    assert_int_equal(m->compute(block, c, 0.95, &sink, &err), STATUS_OK);
    arena_free(&a);
    return w;
}

static wanted run(const char *id, const columns *c, const char *name, const char *slice) {
    return run_with(id, c, name, slice, NULL, NULL);
}

static const int64_t index5[5] = {0, 1, 2, 3, 4};

/* scikit-learn#34425: y = 0, 1, 2 with scores (.5,.5,0), (.5,.5,0), (.4,.2,.4): accuracy is 1/3, and so is our top-1.
 */
static void ties(void **state) {
    (void)state;
    static const float z[9] = {.5f, .5f, 0, .5f, .5f, 0, .4f, .2f, .4f};
    static const int32_t y[3] = {0, 1, 2};
    static const int32_t pred[3] = {0, 0, 0};
    static const uint32_t flags[3] = {OBS_TIE, OBS_TIE, OBS_TIE};
    const columns c = {.n = 3,
                       .n_expected = 3,
                       .i_example = index5,
                       .label = y,
                       .pred = pred,
                       .flags = flags,
                       .logits = z,
                       .n_classes = 3};
    assert_true(run("accuracy", &c, "accuracy", "").row.value == 1.0 / 3.0);
    assert_true(run("topk", &c, "topk{k=1}", "").row.value == 1.0 / 3.0);
    assert_true(run_with("topk", &c, "topk{k=1,ties=highest}", "", "ties", "highest").row.value == 2.0 / 3.0);
    assert_string_equal(run("accuracy", &c, "accuracy", "").reason, "largest output not unique: 3");
    const wanted all = run("topk", &c, "topk{k=3}", "");
    assert_true(all.row.value == 1.0 && (all.row.flags & METRIC_FLAG_DEGENERATE) != 0);
}

static void bad_examples(void **state) {
    (void)state;
    static const float z[10] = {3, 1, NAN, 1, 1, 3, 2, 1, 1, 2};
    static const int32_t y[5] = {0, 0, -1, 7, 1};
    static const int32_t pred[5] = {0, -1, 1, 0, 1};
    static const uint32_t flags[5] = {0, OBS_NONFINITE, OBS_NO_LABEL, OBS_LABEL_UNKNOWN, 0};
    const columns c = {.n = 5,
                       .n_expected = 6,
                       .i_example = index5,
                       .label = y,
                       .pred = pred,
                       .flags = flags,
                       .logits = z,
                       .n_classes = 2};
    const wanted acc = run("accuracy", &c, "accuracy", "");
    assert_int_equal(acc.row.n, 4);
    assert_true(acc.row.value == 0.5);
    assert_string_equal(acc.reason,
                        "left out, no label: 1; non-finite output, counted wrong: 1; label unknown to the model, "
                        "counted wrong: 1; planned examples that were not observed: 1");
    const wanted top = run("topk", &c, "topk{k=3}", "");
    assert_true(top.row.value == 0.5 && top.row.n == 4);
    const wanted loss = run("log-loss", &c, "log-loss{clip=0,from=logits}", "");
    assert_true(isnan(loss.row.value) && loss.row.n == 4);
    assert_string_equal(loss.reason, "undefined: 2 of 4 examples have non-finite outputs or an unknown label");
    assert_true(run("confusion", &c, "confusion", "true=0,pred=(none)").row.value == 1);
    assert_true(run("confusion", &c, "confusion", "true=7,pred=0").row.value == 1);
}

static void one_example(void **state) {
    (void)state;
    static const float z[2] = {0, 1000};
    static const int32_t y[1] = {0};
    static const int32_t pred[1] = {1};
    static const uint32_t flags[1] = {0};
    const columns c = {.n = 1,
                       .n_expected = 1,
                       .i_example = index5,
                       .label = y,
                       .pred = pred,
                       .flags = flags,
                       .logits = z,
                       .n_classes = 2};
    const wanted loss = run("log-loss", &c, "log-loss{clip=0,from=logits}", "");
    assert_true(loss.row.value == 1000.0); /* a softmax would have underflowed to an infinite loss */
    assert_true(isnan(loss.row.lo) && isnan(loss.row.hi));
}

static void names(void **state) {
    (void)state;
    static const char *const name[4] = {"a,b", "x=y", "same", "same"};
    static const int32_t y[5] = {0, 1, 2, 3, 9};
    static const int32_t pred[5] = {0, 0, 2, 3, 3};
    static const uint32_t flags[5] = {0, 0, 0, 0, OBS_LABEL_UNKNOWN};
    const columns c = {.n = 5,
                       .n_expected = 5,
                       .i_example = index5,
                       .label = y,
                       .pred = pred,
                       .flags = flags,
                       .n_classes = 4,
                       .class_names = name};
    assert_int_equal(run("confusion", &c, "recall", "class=a\\,b").found, 1);
    assert_int_equal(run("confusion", &c, "confusion", "true=x\\=y,pred=a\\,b").found, 1);
    assert_int_equal(run("confusion", &c, "recall", "class=same#2").found, 1);
    assert_int_equal(run("confusion", &c, "recall", "class=same#3").found, 1);
    const wanted never = run("confusion", &c, "precision", "class=#9");
    assert_int_equal(never.found, 1);
    assert_true(never.row.value == 0 && (never.row.flags & METRIC_FLAG_DEGENERATE) != 0);
    assert_string_equal(never.reason, "never predicted: 0 by convention");
    assert_int_equal(never.total, 5 * 3 + 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(ties), cmocka_unit_test(bad_examples),
                                       cmocka_unit_test(one_example), cmocka_unit_test(names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
