/* SPDX-License-Identifier: Apache-2.0
 * Paired comparison: counts and p-values, refusals that name fields, references, families. */
#include "unit/run/judged_fixture.h"

#include "math/tests.h"
#include "run/compare.h"

static const compare_options defaults;

static compare_ref resolve(fx *f, arena *a, const char *text) {
    compare_ref r = {0};
    FX_OK(compare_resolve(f->s, text, a, &r, &err));
    return r;
}

static compare_set texts(fx *f, arena *a, const char *x, const char *y) {
    compare_set set = {0};
    FX_OK(compare_texts(f->s, (const char *const[]){x, y}, 2, &defaults, a, &set, &err));
    return set;
}

static void pairs(void **state) {
    fx *f = *state;
    arena a = {0};
    const int64_t run = fx_run(f, "r", 1, false);
    fx_add(f, run, &(fx_item){.model = "base", .dataset = "d", .n = 200, .wrong_every = 20});
    fx_add(f, run, &(fx_item){.model = "cand", .dataset = "d", .n = 200, .wrong_every = 5, .wrong_offset = 1});
    const compare_set set = texts(f, &a, "base", "cand");
    assert_int_equal(set.n, 1);
    const compare_result *r = set.v;
    assert_int_equal(r->n_pair, 200);
    assert_int_equal(r->n_a, 200);
    /* wrong sets are disjoint: 10 of base, 40 of the candidate */
    assert_int_equal(r->n_newly_right, 10);
    assert_int_equal(r->n_newly_wrong, 40);
    assert_int_equal(r->n_flips, 50);
    assert_true(r->flips[0].i_example == 0 && r->flips[0].newly_right && r->flips[0].label == 0 &&
                r->flips[0].pred_a == 1);
    assert_true(r->accuracy_a == 0.95 && r->accuracy_b == 0.8 && fabs(r->difference + 0.15) < 1e-15);
    assert_true(r->difference_ci.lo < r->difference && r->difference < r->difference_ci.hi && r->difference_ci.hi < 0);
    assert_true(r->p_exact == tests_mcnemar_exact(40, 10));
    assert_true(r->p_mid < r->p_exact);
    assert_int_equal(compare_verdict_of(r), COMPARE_REGRESSED);
    /* the other way round */
    const compare_set back = texts(f, &a, "cand", "base");
    assert_true(back.v[0].difference == -r->difference && back.v[0].n_newly_right == 40);
    assert_true(back.v[0].difference_ci.lo == -r->difference_ci.hi);
    assert_int_equal(compare_verdict_of(&back.v[0]), COMPARE_IMPROVED);
    /* a model with itself: nothing changes, nothing is detected, and the text can say what would have been */
    const compare_set self = texts(f, &a, "base", "latest:base");
    assert_true(self.v[0].difference == 0 && self.v[0].p_exact == 1 && self.v[0].n_flips == 0);
    assert_true(self.v[0].detectable > 0 && self.v[0].detectable < 0.1);
    assert_int_equal(compare_verdict_of(&self.v[0]), COMPARE_NO_EVIDENCE);
    arena_free(&a);
}

static void refusals(void **state) {
    fx *f = *state;
    arena a = {0};
    const int64_t run1 = fx_run(f, "one", 1, false);
    fx_add(f, run1, &(fx_item){.model = "m", .dataset = "d", .n = 50, .seed = 1});
    const int64_t run2 = fx_run(f, "two", 2, true);
    fx_add(f, run2, &(fx_item){.model = "m", .dataset = "d", .n = 50, .seed = 2, .wrong_every = 7});
    const int64_t run3 = fx_run(f, "three", 3, false);
    fx_add(f, run3, &(fx_item){.model = "m", .dataset = "d", .n = 40, .seed = 1});
    const int64_t run4 = fx_run(f, "four", 4, false);
    fx_add(f, run4, &(fx_item){.model = "m", .dataset = "other", .n = 40, .seed = 1});
    compare_set set = {0};
    FX_REFUSES(compare_texts(f->s, (const char *const[]){"one", "two"}, 2, &defaults, &a, &set, &err), STATUS_REFUSED,
               "not comparable: seed: 1 against 2");
    FX_REFUSES(compare_texts(f->s, (const char *const[]){"one", "three"}, 2, &defaults, &a, &set, &err), STATUS_REFUSED,
               "index_sha256: 0+50 against 0+40");
    FX_REFUSES(compare_texts(f->s, (const char *const[]){"one", "four"}, 2, &defaults, &a, &set, &err), STATUS_REFUSED,
               "nothing in common");
    FX_REFUSES(compare_texts(f->s, (const char *const[]){"one"}, 1, &defaults, &a, &set, &err), STATUS_USAGE,
               "baseline");
    /* explicit permission is recorded */
    static const char *const seed[] = {"seed", NULL};
    const compare_options o = {.allow_differ = seed};
    FX_OK(compare_texts(f->s, (const char *const[]){"one", "two"}, 2, &o, &a, &set, &err));
    assert_string_equal(set.v[0].allowed, "seed: 1 against 2");
    assert_true(set.v[0].limited && set.v[0].n_pair == 50);
    static const char *const index[] = {"index_sha256", NULL};
    const compare_options p = {.allow_differ = index};
    FX_OK(compare_texts(f->s, (const char *const[]){"one", "three"}, 2, &p, &a, &set, &err));
    assert_true(set.v[0].n_a == 50 && set.v[0].n_b == 40 && set.v[0].n_pair == 40);
    arena_free(&a);
}

/* The shard size is no part of what is compared: one item of 60 against two of 30. */
static void other_shards(void **state) {
    fx *f = *state;
    arena a = {0};
    const int64_t run1 = fx_run(f, "one", 1, false);
    fx_add(f, run1, &(fx_item){.model = "m", .dataset = "d", .n = 60});
    const int64_t run2 = fx_run(f, "two", 2, false);
    fx_add(f, run2, &(fx_item){.model = "m", .dataset = "d", .n = 30, .wrong_every = 6});
    fx_add(f, run2, &(fx_item){.model = "m", .dataset = "d", .n = 30, .first = 30, .wrong_every = 6});
    const compare_set set = texts(f, &a, "one", "two");
    assert_true(set.n == 1 && set.v[0].n_pair == 60 && set.v[0].n_newly_wrong == 10);
    arena_free(&a);
}

/* Both sides lack the same examples: nothing differs, and still it is said. */
static void missing(void **state) {
    fx *f = *state;
    arena a = {0};
    const int64_t run = fx_run(f, "r", 1, false);
    for (int k = 0; k < 2; k++) {
        const char *model = k == 0 ? "base" : "cand";
        fx_add(f, run, &(fx_item){.model = model, .dataset = "d", .n = 30});
        fx_add(f, run, &(fx_item){.model = model, .dataset = "d", .n = 20, .first = 30, .end = OUTCOME_TIMEOUT});
    }
    fx_add(f, run, &(fx_item){.model = "cand", .dataset = "d", .n = 5, .first = 50, .end = OUTCOME_UNTRUSTWORTHY});
    fx_add(f, run, &(fx_item){.model = "none", .dataset = "d", .n = 50, .end = OUTCOME_CRASHED});
    static const char *const index[] = {"index_sha256", NULL};
    const compare_options o = {.allow_differ = index};
    compare_set set = {0};
    FX_OK(compare_texts(f->s, (const char *const[]){"base", "cand", "none"}, 3, &o, &a, &set, &err));
    assert_int_equal(set.n, 2);
    assert_true(set.v[0].n_a == 30 && set.v[0].n_b == 30 && set.v[0].n_pair == 30);
    assert_true(set.v[0].n_missing_a == 20 && set.v[0].n_missing_b == 25);
    assert_true(set.v[0].n_doubtful_a == 0 && set.v[0].n_doubtful_b == 1);
    assert_int_equal(compare_verdict_of(&set.v[1]), COMPARE_NO_DATA);
    assert_int_equal(compare_family(&set), 1); /* without pairs there is no test */
    arena_free(&a);
}

static void references(void **state) {
    fx *f = *state;
    arena a = {0};
    const int64_t old = fx_run(f, "old:one", 1, false);
    fx_add(f, old, &(fx_item){.model = "m:1", .dataset = "d", .n = 20});
    const int64_t run = fx_run(f, "both", 2, false);
    fx_add(f, run, &(fx_item){.model = "m:1", .dataset = "d", .n = 20, .wrong_every = 3});
    fx_add(f, run, &(fx_item){.model = "both", .dataset = "d", .n = 20});
    assert_null(resolve(f, &a, "old:one").model);
    assert_int_equal(resolve(f, &a, "old:one").run.run_id, old);
    assert_string_equal(resolve(f, &a, "m:1").model, "m:1");
    assert_int_equal(resolve(f, &a, "m:1").run.run_id, run);
    const compare_ref r = resolve(f, &a, "old:one:m:1");
    assert_true(r.run.run_id == old && strcmp(r.model, "m:1") == 0);
    compare_ref out = {0};
    FX_REFUSES(compare_resolve(f->s, "both", &a, &out, &err), STATUS_USAGE, "is a run and a model");
    FX_REFUSES(compare_resolve(f->s, "nothing", &a, &out, &err), STATUS_USAGE, "it has: both, m:1");
    FX_REFUSES(compare_resolve(f->s, "old:one:gone", &a, &out, &err), STATUS_USAGE, "no model of that name");
    const compare_set set = texts(f, &a, "old:one", "latest"); /* by name; what has no partner is listed */
    assert_true(set.n == 1 && set.n_unmatched == 1);
    assert_non_null(strstr(set.unmatched[0], "both on d"));
    arena_free(&a);
}

static void families(void **state) {
    fx *f = *state;
    arena a = {0};
    const int64_t run = fx_run(f, "r", 1, false);
    fx_add(f, run, &(fx_item){.model = "base", .dataset = "d", .n = 100});
    fx_add(f, run, &(fx_item){.model = "v1", .variant_of = "base", .dataset = "d", .n = 100, .wrong_every = 12});
    fx_add(f, run, &(fx_item){.model = "v2", .variant_of = "base", .dataset = "d", .n = 100, .wrong_every = 15});
    fx_add(f, run, &(fx_item){.model = "v3", .variant_of = "gone", .dataset = "d", .n = 100});
    fx_add(
        f, run,
        &(fx_item){
            .model = "v4", .variant_of = "base", .dataset = "d", .n = 100, .end = OUTCOME_TIMEOUT, .reason = "10 s"});
    store_run_row row = {0};
    FX_OK(store_run_get(f->s, "latest", &a, &row, &err));
    compare_set set = {0};
    FX_OK(compare_variants(f->s, &row, &defaults, &a, &set, &err));
    assert_int_equal(set.n, 3);
    assert_int_equal(set.n_unmatched, 1);
    /* 9 and 7 of 100 newly wrong: p = 2^-8 and 2^-6; Holm over the two with data */
    assert_true(fabs(set.v[0].p_exact - 0.00390625) < 1e-15 && fabs(set.v[0].p_holm - 0.0078125) < 1e-15);
    assert_true(fabs(set.v[1].p_exact - 0.015625) < 1e-15 && fabs(set.v[1].p_holm - 0.015625) < 1e-15);
    assert_true(isnan(set.v[2].p_exact) && isnan(set.v[2].p_holm));
    assert_int_equal(compare_verdict_of(&set.v[2]), COMPARE_NO_DATA);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pairs, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(refusals, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(other_shards, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(missing, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(references, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(families, fx_setup, fx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
