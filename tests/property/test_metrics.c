/* SPDX-License-Identifier: Apache-2.0
 * What every registered metric must hold; a metric without a line in `cases` fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "metrics/metric.h"

enum { N = 300, K = 5, MAX_ROWS = 256 };

/* The headline row of each metric (a prefix of its name) for perfect and worst data. */
typedef struct metric_case {
    const char *id, *name, *slice;
    double perfect, worst;
} metric_case;

static const metric_case cases[] = {
    {"accuracy", "accuracy", "", 1.0, 0.0},
    {"topk", "topk{k=1}", "", 1.0, 0.0},
    {"log-loss", "log-loss{clip=0,from=logits}", "", 0.0, 200.0},
    {"confusion", "recall", "class=1", 1.0, 0.0},
};

typedef struct example_set {
    int64_t index[N];
    int32_t label[N], pred[N];
    double score[N];
    uint32_t flags[N];
    float logits[N * K];
} example_set;

typedef struct kept_row {
    char name[64], slice[64], reason[256];
    double value, lo, hi;
    int64_t n;
    uint32_t flags;
} kept_row;

typedef struct kept {
    kept_row row[MAX_ROWS];
    size_t n;
} kept;

static void keep(void *context, const metric_row *row) {
    kept *k = context;
    assert_true(k->n < MAX_ROWS);
    kept_row *r = &k->row[k->n++];
    (void)snprintf(r->name, sizeof r->name, "%s", row->name);
    (void)snprintf(r->slice, sizeof r->slice, "%s", row->slice);
    (void)snprintf(r->reason, sizeof r->reason, "%s", row->reason);
    r->value = row->value;
    r->lo = row->lo;
    r->hi = row->hi;
    r->n = row->n;
    r->flags = row->flags;
    assert_non_null(row->unit);
    assert_non_null(row->ci_method);
    assert_true(row->level == 0.95);
}

static columns view(const example_set *e, size_t n) {
    return (columns){.n = n,
                     .n_expected = n,
                     .i_example = e->index,
                     .label = e->label,
                     .pred = e->pred,
                     .score = e->score,
                     .flags = e->flags,
                     .logits = e->logits,
                     .n_classes = K};
}

static void compute(const metric *m, const columns *c, kept *out) {
    arena a = {0};
    void *block = arena_alloc(&a, m->info.params_bytes + 1);
    params_default(&m->info, block, &a);
    memset(out, 0, sizeof *out);
    error err = {0};
    const metric_sink sink = {out, keep};
    assert_int_equal(m->compute(block, c, 0.95, &sink, &err), STATUS_OK);
    assert_true(out->n > 0);
    arena_free(&a);
}

/* `scale` > 0 makes the label's logit the largest by it, < 0 another's; 0 is noise. */
static void fill(example_set *e, float scale) {
    memset(e, 0, sizeof *e);
    for (size_t i = 0; i < N; i++) {
        rng r = rng_at(7, "test-metrics@1", i, 0, 0);
        e->index[i] = (int64_t)i;
        e->label[i] = (int32_t)(i % K);
        for (size_t j = 0; j < K; j++) {
            e->logits[i * K + j] = scale == 0 ? (float)rng_normal(&r) : 0.0f;
        }
        e->logits[i * K + (scale < 0 ? (i + 1) % K : i % K)] += scale < 0 ? -scale : scale;
        for (size_t j = 0; j < K; j++) {
            e->pred[i] = e->logits[i * K + j] > e->logits[i * K + (size_t)e->pred[i]] ? (int32_t)j : e->pred[i];
        }
        e->score[i] = rng_unit(&r);
    }
}

static const metric_case *case_of(const char *id) {
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (strcmp(cases[i].id, id) == 0) {
            return &cases[i];
        }
    }
    fail_msg("metric \"%s\" has no line in tests/property/test_metrics.c", id);
    return NULL;
}

static const kept_row *find(const kept *k, const char *name, const char *slice) {
    for (size_t i = 0; i < k->n; i++) {
        if (strcmp(k->row[i].name, name) == 0 && strcmp(k->row[i].slice, slice) == 0) {
            return &k->row[i];
        }
    }
    fail_msg("no row %s %s", name, slice);
    return NULL;
}

static void check_rows(const kept *k) {
    for (size_t i = 0; i < k->n; i++) {
        const kept_row *r = &k->row[i];
        assert_true(r->n >= 0);
        if (isnan(r->value)) { /* never a silent NaN */
            assert_true(r->reason[0] != '\0');
        }
        if (isfinite(r->lo) && isfinite(r->hi)) {
            assert_true(r->lo <= r->value && r->value <= r->hi);
        } else {
            assert_true((r->flags & (METRIC_FLAG_NO_INTERVAL | METRIC_FLAG_DEGENERATE)) != 0);
        }
        for (size_t j = 0; j < i; j++) { /* (name, slice) is the key in the store */
            assert_false(strcmp(r->name, k->row[j].name) == 0 && strcmp(r->slice, k->row[j].slice) == 0);
        }
    }
}

typedef void check(const metric *m, const metric_case *c);

static void for_all(check *f) {
    size_t n = 0;
    const metric *const *all = metric_all(&n);
    assert_int_equal(n, sizeof cases / sizeof cases[0]);
    for (size_t i = 0; i < n; i++) {
        f(all[i], case_of(all[i]->info.id));
    }
}

static example_set e1, e2;
static kept k1, k2;

static void check_info(const metric *m, const metric_case *c) {
    (void)c;
    assert_true(metric_find(m->info.id) == m);
    assert_true(m->info.summary[0] != '\0' && m->info.cite != NULL && m->info.version >= 1);
    for (const char *s = m->info.id; *s != '\0'; s++) {
        assert_true(islower((unsigned char)*s) || isdigit((unsigned char)*s) || *s == '-');
    }
}

static void check_extremes(const metric *m, const metric_case *c) {
    fill(&e1, 200);
    columns v = view(&e1, N);
    compute(m, &v, &k1);
    check_rows(&k1);
    assert_true(fabs(find(&k1, c->name, c->slice)->value - c->perfect) < 1e-12);
    fill(&e1, -200);
    compute(m, &v, &k1);
    check_rows(&k1);
    assert_true(fabs(find(&k1, c->name, c->slice)->value - c->worst) < 1e-12);
}

static void check_order(const metric *m, const metric_case *c) {
    (void)c;
    fill(&e1, 0);
    uint32_t order[N];
    for (uint32_t i = 0; i < N; i++) {
        order[i] = i;
    }
    rng r = rng_at(3, "test-order@1", 0, 0, 0);
    rng_shuffle_u32(&r, order, N);
    for (size_t i = 0; i < N; i++) {
        const size_t o = order[i];
        e2.index[i] = e1.index[o];
        e2.label[i] = e1.label[o];
        e2.pred[i] = e1.pred[o];
        e2.score[i] = e1.score[o];
        e2.flags[i] = e1.flags[o];
        memcpy(&e2.logits[i * K], &e1.logits[o * K], K * sizeof(float));
    }
    columns v1 = view(&e1, N);
    columns v2 = view(&e2, N);
    compute(m, &v1, &k1);
    compute(m, &v2, &k2);
    check_rows(&k1);
    assert_int_equal(k1.n, k2.n);
    for (size_t i = 0; i < k1.n; i++) {
        assert_string_equal(k1.row[i].name, k2.row[i].name);
        assert_string_equal(k1.row[i].slice, k2.row[i].slice);
        assert_int_equal(k1.row[i].n, k2.row[i].n);
        const bool both_nan = isnan(k1.row[i].value) && isnan(k2.row[i].value);
        assert_true(both_nan || fabs(k1.row[i].value - k2.row[i].value) <= 1e-12 * fabs(k1.row[i].value));
    }
}

static void check_empty(const metric *m, const metric_case *c) {
    (void)c;
    fill(&e1, 0);
    columns v = view(&e1, 0);
    compute(m, &v, &k1);
    check_rows(&k1);
    for (size_t i = 0; i < k1.n; i++) {
        assert_true(isnan(k1.row[i].value) && k1.row[i].n == 0 && k1.row[i].reason[0] != '\0');
    }
    v.n = N; /* the same when no example has a label */
    for (size_t i = 0; i < N; i++) {
        e1.label[i] = -1;
        e1.flags[i] = OBS_NO_LABEL;
    }
    compute(m, &v, &k1);
    check_rows(&k1);
    for (size_t i = 0; i < k1.n; i++) {
        assert_true(isnan(k1.row[i].value) && k1.row[i].n == 0 && k1.row[i].reason[0] != '\0');
    }
}

/* Outputs that are not finite make the number worse or undefined with a reason; they never leave n. */
static void check_nonfinite(const metric *m, const metric_case *c) {
    fill(&e1, 200);
    static const float bad[3] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 30; i++) {
        e1.logits[i * K + i % K] = bad[i % 3];
        e1.flags[i] = OBS_NONFINITE;
        e1.pred[i] = -1;
        e1.score[i] = NAN;
    }
    columns v = view(&e1, N);
    compute(m, &v, &k1);
    check_rows(&k1);
    const kept_row *r = find(&k1, c->name, c->slice);
    assert_true(isnan(r->value) || r->value != c->perfect);
    assert_int_equal(r->n, c->slice[0] == '\0' ? N : N / K);
}

/* The same bits on a second call, and no reading past n (the rest is poisoned). */
static void check_pure(const metric *m, const metric_case *c) {
    (void)c;
    fill(&e1, 0);
    columns v = view(&e1, N / 2);
    compute(m, &v, &k1);
    for (size_t i = N / 2; i < N; i++) {
        e1.label[i] = 1 << 30;
        e1.pred[i] = 1 << 30;
        e1.logits[i * K] = NAN;
    }
    compute(m, &v, &k2);
    assert_memory_equal(&k1, &k2, sizeof k1);
}

static void described(void **state) {
    (void)state;
    for_all(check_info);
}
static void extremes(void **state) {
    (void)state;
    for_all(check_extremes);
}
static void order(void **state) {
    (void)state;
    for_all(check_order);
}
static void empty(void **state) {
    (void)state;
    for_all(check_empty);
}
static void nonfinite(void **state) {
    (void)state;
    for_all(check_nonfinite);
}
static void pure(void **state) {
    (void)state;
    for_all(check_pure);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(described), cmocka_unit_test(extremes),
                                       cmocka_unit_test(order),     cmocka_unit_test(empty),
                                       cmocka_unit_test(nonfinite), cmocka_unit_test(pure)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
