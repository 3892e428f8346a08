/* SPDX-License-Identifier: Apache-2.0
 * Every metric against sklearn 1.2.1 (tests/golden/stats/make_metrics.py) at 1e-12; counts exactly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "metrics/metric.h"
#include "unit/math/golden.h"

enum { N = 400, K = 6 };

typedef struct fixture {
    int64_t index[N];
    int32_t label[N], pred[N];
    double score[N];
    uint32_t flags[N];
    float logits[N * K], probabilities[N * K];
} fixture;

static fixture data;

static int load(void **state) {
    (void)state;
    FILE *f = golden_open("metrics_data.csv");
    FILE *g = golden_open("metrics_prob.csv");
    golden_row r;
    for (size_t i = 0; i < N; i++) {
        assert_true(golden_next(f, &r) && r.n == 2 + K);
        data.index[i] = (int64_t)i;
        data.label[i] = (int32_t)r.v[0];
        data.pred[i] = (int32_t)r.v[1];
        for (size_t j = 0; j < K; j++) {
            data.logits[i * K + j] = (float)r.v[2 + j];
        }
        assert_true(golden_next(g, &r) && r.n == K);
        for (size_t j = 0; j < K; j++) {
            data.probabilities[i * K + j] = (float)r.v[j];
        }
    }
    (void)fclose(f);
    (void)fclose(g);
    return 0;
}

static columns columns_of(bool probabilities) {
    return (columns){.n = N,
                     .n_expected = N,
                     .i_example = data.index,
                     .label = data.label,
                     .pred = data.pred,
                     .score = data.score,
                     .flags = data.flags,
                     .logits = probabilities ? data.probabilities : data.logits,
                     .n_classes = K,
                     .probabilities = probabilities};
}

typedef struct expectation {
    const char *name, *slice;
    double value, n;
    int found;
} expectation;

static void match(void *context, const metric_row *row) {
    expectation *e = context;
    if (strcmp(row->name, e->name) != 0 || strcmp(row->slice, e->slice) != 0) {
        return;
    }
    e->found++;
    if (!(golden_error(row->value, e->value) < 1e-12)) {
        fail_msg("%s %s = %.17g, not %.17g", row->name, row->slice, row->value, e->value);
    }
    if (e->n >= 0) {
        assert_int_equal(row->n, (int64_t)e->n);
    }
    assert_true(isnan(row->lo) || (row->lo <= row->value && row->value <= row->hi));
}

static void check(const golden_row *r) {
    char name[64];
    char slice[64] = "";
    (void)snprintf(name, sizeof name, "%s", r->name);
    for (char *c = name; *c != '\0'; c++) {
        *c = *c == ';' ? ',' : *c;
    }
    const int i = (int)r->v[0];
    const bool cell = strcmp(name, "confusion") == 0;
    if (cell) {
        (void)snprintf(slice, sizeof slice, "true=%d,pred=%d", i / K, i % K);
    } else if (i >= 0) {
        (void)snprintf(slice, sizeof slice, "class=%d", i);
    }
    const bool loss = strncmp(name, "log-loss", 8) == 0;
    const columns c = columns_of(strstr(name, "probabilities") != NULL);
    const metric *m = metric_find(cell || i >= 0                  ? "confusion"
                                  : loss                          ? "log-loss"
                                  : strncmp(name, "topk", 4) == 0 ? "topk"
                                                                  : "accuracy");
    arena a = {0};
    void *block = arena_alloc(&a, m->info.params_bytes + 1);
    params_default(&m->info, block, &a);
    error err = {0};
    if (loss && strstr(name, "0.01") != NULL) {
        assert_int_equal(param_set_text(&m->info, block, "clip", "0.01", &a, &err), STATUS_OK);
    }
    expectation e = {.name = name, .slice = slice, .value = r->v[1], .n = r->v[2]};
    const metric_sink sink = {&e, match};
    assert_int_equal(m->compute(block, &c, 0.95, &sink, &err), STATUS_OK);
    if (e.found != (cell && r->v[1] == 0 ? 0 : 1)) { /* empty cells are not emitted */
        fail_msg("%s %s: found %d times", name, slice, e.found);
    }
    arena_free(&a);
}

static void sklearn(void **state) {
    (void)state;
    FILE *f = golden_open("metrics.csv");
    golden_row r;
    size_t n = 0;
    while (golden_next(f, &r)) {
        assert_int_equal(r.n, 3);
        check(&r);
        n++;
    }
    (void)fclose(f);
    assert_int_equal(n, 1 + 3 + 3 + 18 + 36);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(sklearn)};
    return cmocka_run_group_tests(tests, load, NULL);
}
