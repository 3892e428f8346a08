/* SPDX-License-Identifier: Apache-2.0
 * What is put comes back: parents, runs, items, observations, groups, columns, metrics, digests. */
#include "base/io.h"
#include "store_fixture.h"

static store *open_new(void **state, fixture_ids *id) {
    char path[256];
    store *s;
    ok(store_open(in_scratch(state, "a.db", path), STORE_WRITE, &s, &err));
    assert_string_equal(store_warning(s), "");
    put_parents(s, id);
    return s;
}

static void parents_are_idempotent(void **state) {
    fixture_ids a, b;
    store *s = open_new(state, &a);
    put_parents(s, &b);
    assert_int_equal(a.build, b.build);
    assert_int_equal(a.host, b.host);
    assert_int_equal(a.suite, b.suite);
    assert_int_equal(a.clean, b.clean);
    int64_t run = put_run(s, &a, "one", "first");
    assert_int_equal(run, put_run(s, &a, "one", "first"));
    int64_t item = put_item(s, &a, run, "cnn", 0, 10);
    assert_int_equal(item, put_item(s, &a, run, "cnn", 0, 10));
    store_close(s);
}

static void observations_come_back(void **state) {
    fixture_ids id;
    char path[256];
    arena a = {0};
    store *s = open_new(state, &id);
    int64_t run = put_run(s, &id, "one", "first");
    for (int64_t shard = 2; shard >= 0; shard--) { /* the order of arrival does not matter */
        int64_t item = put_item(s, &id, run, "cnn", shard, 10);
        append_examples(s, item, id.clean, 10 * shard, 10, 7, true);
        append_examples(s, item, id.clean, 10 * shard, 10, 7, true); /* twice = once */
        end_item(s, &id, item, OUTCOME_OK, NULL);
    }
    store_group *g;
    size_t n;
    ok(store_groups(s, run, &a, &g, &n, &err));
    assert_int_equal(n, 1);
    assert_string_equal(g->model_name, "cnn");
    assert_string_equal(g->dataset, "digits");
    assert_string_equal(g->split, "test");
    assert_string_equal(g->suite, "accuracy");
    assert_int_equal(g->n_items, 3);
    assert_int_equal(g->n_expected, 30);
    assert_int_equal(g->n_outcome[OUTCOME_OK], 3);
    assert_int_equal(strlen(g->comparability_key), 64);
    assert_string_equal(g->comparability_json, "{\"seed\":1}");
    store_columns c;
    ok(store_load_columns(s, run, g, "", true, &a, &c, &err));
    assert_int_equal(c.n, 30);
    assert_int_equal(c.n_expected, 30);
    assert_int_equal(c.n_classes, 10);
    for (size_t i = 0; i < c.n; i++) {
        float logits[10];
        observation o = example_row((int64_t)i, 7, logits);
        assert_int_equal(c.i_example[i], i);
        assert_int_equal(c.label[i], o.label);
        assert_int_equal(c.pred[i], o.pred);
        assert_true(c.score[i] == o.score);
        assert_int_equal(c.flags[i], 0);
        assert_memory_equal(c.logits + 10 * i, logits, sizeof logits);
    }
    ok(store_load_columns(s, run, g, "fog@1/3", true, &a, &c, &err));
    assert_int_equal(c.n, 0);
    store_close(s);
    assert_int_equal(peek(in_scratch(state, "a.db", path), "SELECT count(*) FROM observation"), 30);
    assert_int_equal(peek(path, "SELECT count(*) FROM observation_vec"), 30);
    arena_free(&a);
}

static void missing_values_are_null_with_flags(void **state) {
    fixture_ids id;
    char path[256];
    arena a = {0};
    store *s = open_new(state, &id);
    int64_t run = put_run(s, &id, "one", "");
    int64_t item = put_item(s, &id, run, "cnn", 0, 3);
    observation o[3] = {
        {.i_example = 0, .label = 4, .pred = -1, .flags = OBS_NONFINITE, .score = NAN, .latency_ns = -1},
        {.i_example = 1, .label = -1, .pred = 2, .flags = OBS_NO_LABEL, .score = 0.5, .latency_ns = 7},
        {.i_example = 2, .label = 2, .pred = 2, .flags = 0, .score = 1.0, .latency_ns = 7},
    };
    ok(store_append(s, item, &id.clean, o, 3, &err));
    end_item(s, &id, item, OUTCOME_UNTRUSTWORTHY, "NaN in 1 of 3");
    store_group *g;
    size_t n;
    store_columns c;
    ok(store_groups(s, run, &a, &g, &n, &err));
    assert_string_equal(g->reasons, "NaN in 1 of 3");
    ok(store_load_columns(s, run, g, "clean", true, &a, &c, &err));
    assert_int_equal(c.n, 3);
    assert_null(c.logits);
    assert_true(isnan(c.score[0]));
    assert_int_equal(c.pred[0], -1);
    assert_int_equal(c.flags[0], OBS_NONFINITE);
    assert_int_equal(c.label[1], -1);
    store_close(s);
    in_scratch(state, "a.db", path);
    assert_int_equal(peek(path, "SELECT score IS NULL AND pred IS NULL AND latency_ns IS NULL AND correct = 0"
                                " FROM observation WHERE i_example = 0"),
                     1);
    assert_int_equal(peek(path, "SELECT label IS NULL AND correct IS NULL FROM observation WHERE i_example = 1"), 1);
    assert_int_equal(peek(path, "SELECT correct FROM observation WHERE i_example = 2"), 1);
    arena_free(&a);
}

static void unfinished_items_resume(void **state) {
    fixture_ids id;
    arena a = {0};
    store *s = open_new(state, &id);
    int64_t run = put_run(s, &id, "one", "");
    int64_t item = put_item(s, &id, run, "cnn", 0, 10);
    append_examples(s, item, id.clean, 0, 3, 7, false);
    append_examples(s, item, id.clean, 6, 2, 7, false);
    int64_t *i_example;
    size_t n;
    ok(store_item_examples(s, item, &a, &i_example, &n, &err));
    int64_t expected[] = {0, 1, 2, 6, 7};
    assert_int_equal(n, 5);
    assert_memory_equal(i_example, expected, sizeof expected);
    char key[DIGEST_HEX];
    store_item_state state_now;
    ok(store_item_find(s, hash("item cnn 0", key), &state_now, &err));
    assert_int_equal(state_now.item_id, item);
    assert_int_equal(state_now.outcome, OUTCOME_NONE);
    assert_int_equal(state_now.n_observed, 5);
    store_attempt t = {.host_id = id.host, .signal = 9, .reason = "interrupted"};
    ok(store_item_end(s, item, OUTCOME_NONE, "", &t, &err));
    refuses(store_item_end(s, item, OUTCOME_OK, "", &t, &err), STATUS_INTERNAL, "5 of 10 examples");
    append_examples(s, item, id.clean, 0, 10, 7, false);
    end_item(s, &id, item, OUTCOME_OK, NULL);
    ok(store_item_find(s, key, &state_now, &err));
    assert_int_equal(state_now.outcome, OUTCOME_OK);
    assert_int_equal(state_now.n_observed, 10);
    assert_int_equal(state_now.n_attempts, 2);
    ok(store_item_reset(s, item, &err));
    ok(store_item_find(s, key, &state_now, &err));
    assert_int_equal(state_now.outcome, OUTCOME_NONE);
    assert_int_equal(state_now.n_observed, 0);
    ok(store_item_find(s, "unknown", &state_now, &err));
    assert_int_equal(state_now.item_id, 0);
    store_close(s);
    arena_free(&a);
}

/* What a worker finds out about a model, what the config says of it, and one item's rows whatever its outcome. */
static void models_and_single_items(void **state) {
    fixture_ids id;
    arena a = {0};
    store *s = open_new(state, &id);
    int64_t run = put_run(s, &id, "one", "");
    int64_t item = put_item(s, &id, run, "cnn", 0, 10), n_flagged = -1;
    ok(store_run_model(s, run, "cnn", "base", &err));
    ok(store_set_model_json(s, put_model(s, "cnn"), "{\"macs\":5}", &err));
    observation o = example_row(4, 7, NULL);
    o.flags = OBS_TIE;
    ok(store_append(s, item, &id.clean, &o, 1, &err));
    append_examples(s, item, id.clean, 0, 4, 7, false);
    end_item(s, &id, item, OUTCOME_CRASHED, "signal 11");
    ok(store_item_count_flag(s, item, OBS_TIE | OBS_NONFINITE, &n_flagged, &err));
    assert_int_equal(n_flagged, 1);
    store_group *g;
    size_t n;
    store_columns c;
    ok(store_groups(s, run, &a, &g, &n, &err));
    assert_int_equal(n, 1);
    assert_string_equal(g->variant_of, "base");
    assert_string_equal(g->model_json, "{\"macs\":5}");
    ok(store_load_columns(s, run, g, "", false, &a, &c, &err));
    assert_int_equal(c.n, 0);
    ok(store_load_item_columns(s, item, "", false, &a, &c, &err));
    assert_int_equal(c.n, 5);
    assert_int_equal(c.flags[4], OBS_TIE);
    store_close(s);
    arena_free(&a);
}

/* With two conditions and two repeats an example counts once all four rows are there. */
static void conditions_and_repeats(void **state) {
    fixture_ids id;
    arena a = {0};
    store *s = open_new(state, &id);
    store_condition fog = {.key = "fog@1/3", .kind = "perturbation", .algo = "fog", .version = 1, .severity = 3};
    int64_t condition[2] = {id.clean, 0};
    ok(store_put_condition(s, &fog, &condition[1], &err));
    int64_t run = put_run(s, &id, "one", "");
    char key[DIGEST_HEX];
    int64_t item;
    store_item_spec p = {.item_key = hash("multi", key),
                         .model_id = put_model(s, "cnn"),
                         .plugin_id = id.plugin,
                         .suite_id = id.suite,
                         .dataset_id = id.dataset,
                         .n_expected = 2,
                         .n_conditions = 2,
                         .n_repeats = 2,
                         .comparability_json = "{}"};
    ok(store_item_put(s, &p, &item, &err));
    ok(store_run_item(s, run, item, "cnn", false, &err));
    int64_t *done;
    size_t n;
    for (int32_t i = 0; i < 8; i++) {
        observation o = {.i_example = i / 4, .i_condition = i / 2 % 2, .i_repeat = i % 2, .pred = i, .label = i};
        ok(store_append(s, item, condition, &o, 1, &err));
        ok(store_item_examples(s, item, &a, &done, &n, &err));
        assert_int_equal(n, (i + 1) / 4);
    }
    end_item(s, &id, item, OUTCOME_OK, NULL);
    store_group *g;
    store_columns c;
    ok(store_groups(s, run, &a, &g, &n, &err));
    ok(store_load_columns(s, run, g, "fog@1/3", false, &a, &c, &err));
    assert_int_equal(c.n, 4);
    assert_int_equal(c.pred[0], 2);
    assert_int_equal(c.pred[3], 7);
    store_close(s);
    arena_free(&a);
}

static void only_judged_outcomes_are_loaded(void **state) {
    fixture_ids id;
    arena a = {0};
    store *s = open_new(state, &id);
    int64_t run = put_run(s, &id, "one", "");
    const outcome o[] = {OUTCOME_OK, OUTCOME_CRASHED, OUTCOME_UNTRUSTWORTHY, OUTCOME_TIMEOUT, OUTCOME_CRASHED};
    for (int64_t i = 0; i < 5; i++) {
        int64_t item = put_item(s, &id, run, "cnn", i, 10);
        append_examples(s, item, id.clean, 10 * i, 10, 7, i != 2);
        end_item(s, &id, item, o[i], o[i] == OUTCOME_CRASHED ? "signal 11" : "slow");
    }
    put_item(s, &id, run, "cnn", 5, 10);
    store_group *g;
    size_t n;
    store_columns c;
    ok(store_groups(s, run, &a, &g, &n, &err));
    assert_int_equal(g->n_items, 6);
    assert_int_equal(g->n_outcome[OUTCOME_CRASHED], 2);
    assert_int_equal(g->n_outcome[OUTCOME_NONE], 1);
    assert_string_equal(g->reasons, "signal 11\nslow");
    ok(store_load_columns(s, run, g, "", true, &a, &c, &err));
    assert_int_equal(c.n, 20);
    assert_int_equal(c.n_expected, 60);
    assert_null(c.logits); /* one item has none */
    store_close(s);
    arena_free(&a);
}

static void metrics_come_back(void **state) {
    fixture_ids id;
    arena a = {0};
    store *s = open_new(state, &id);
    int64_t run = put_run(s, &id, "one", "");
    store_metric m = {.run_id = run,
                      .model_name = "cnn",
                      .dataset = "digits",
                      .suite = "accuracy",
                      .condition = "",
                      .metric_id = "accuracy",
                      .metric_version = 2,
                      .name = "top1",
                      .slice = "",
                      .value = 0.75,
                      .lo = 0.7,
                      .hi = 0.8,
                      .level = 0.95,
                      .n = 100,
                      .flags = 1,
                      .ci_method = "wilson",
                      .unit = "",
                      .better = "higher",
                      .reason = ""};
    ok(store_metric_put(s, &m, &err));
    m.value = 0.5;
    ok(store_metric_put(s, &m, &err)); /* replaces */
    m.slice = "class=a";
    m.value = m.lo = m.hi = NAN;
    m.reason = "no examples";
    ok(store_metric_put(s, &m, &err));
    store_metric *got;
    size_t n;
    ok(store_metrics(s, run, &a, &got, &n, &err));
    assert_int_equal(n, 2);
    assert_true(got[0].value == 0.5 && got[0].lo == 0.7 && got[0].hi == 0.8 && got[0].level == 0.95);
    assert_int_equal(got[0].n, 100);
    assert_int_equal(got[0].metric_version, 2);
    assert_int_equal(got[0].flags, 1);
    assert_string_equal(got[0].metric_id, "accuracy");
    assert_string_equal(got[0].better, "higher");
    assert_true(isnan(got[1].value) && isnan(got[1].lo));
    assert_string_equal(got[1].slice, "class=a");
    assert_string_equal(got[1].reason, "no examples");
    ok(store_metrics_clear(s, run, &err));
    ok(store_metrics(s, run, &a, &got, &n, &err));
    assert_int_equal(n, 0);
    store_close(s);
    arena_free(&a);
}

static void runs_are_found(void **state) {
    fixture_ids id;
    arena a = {0};
    store *s = open_new(state, &id);
    store_run_row r, *rows;
    size_t n;
    refuses(store_run_get(s, "latest", &a, &r, &err), STATUS_USAGE, "no runs yet");
    int64_t one = put_run(s, &id, "one", "base");
    int64_t two = put_run(s, &id, "two", "base");
    int64_t three = put_run(s, &id, "three", "other");
    put_item(s, &id, one, "cnn", 0, 10);
    ok(store_run_event(s, one, "warning", "test", "a message", &err));
    ok(store_run_event(s, one, "warning", "test", "another", &err));
    ok(store_run_end(s, one, "done", "d1", "", "sse", &err));
    ok(store_runs(s, &a, &rows, &n, &err));
    assert_int_equal(n, 3);
    assert_int_equal(rows[0].run_id, three);
    assert_int_equal(rows[2].run_id, one);
    assert_int_equal(rows[2].n_items, 1);
    assert_int_equal(rows[2].n_outcome[OUTCOME_NONE], 1);
    assert_string_equal(rows[2].status, "done");
    assert_string_equal(rows[2].decisions, "d1");
    assert_string_equal(rows[2].results, "");
    assert_string_equal(rows[2].host_name, "box");
    assert_string_equal(rows[2].version, "0.1.0");
    assert_string_equal(rows[1].finished_at, "");
    ok(store_run_get(s, "latest", &a, &r, &err));
    assert_int_equal(r.run_id, three);
    ok(store_run_get(s, "base", &a, &r, &err));
    assert_int_equal(r.run_id, two);
    ok(store_run_get(s, "1", &a, &r, &err));
    assert_int_equal(r.run_id, 1);
    char uid[DIGEST_HEX];
    hash("one", uid);
    ok(store_run_get(s, uid, &a, &r, &err));
    assert_int_equal(r.run_id, one);
    uid[6] = '\0';
    ok(store_run_get(s, uid, &a, &r, &err));
    assert_int_equal(r.run_id, one);
    uid[3] = '\0';
    refuses(store_run_get(s, uid, &a, &r, &err), STATUS_USAGE, "there is no run");
    refuses(store_run_get(s, "othre", &a, &r, &err), STATUS_USAGE, "did you mean \"other\"?");
    refuses(store_run_get(s, "' OR 1 --", &a, &r, &err), STATUS_USAGE, "there is no run");
    store_close(s);
    arena_free(&a);
}

static void ambiguous_prefix_is_refused(void **state) {
    fixture_ids id;
    arena a = {0};
    store *s = open_new(state, &id);
    store_run_row r;
    const char *uid[] = {"abcd1", "abcd2"};
    for (int i = 0; i < 2; i++) {
        int64_t run;
        store_run_spec spec = {.run_uid = uid[i], .build_id = id.build, .host_id = id.host};
        ok(store_run_begin(s, &spec, &run, &err));
    }
    refuses(store_run_get(s, "abcd", &a, &r, &err), STATUS_USAGE, "beginning of several runs");
    ok(store_run_get(s, "abcd2", &a, &r, &err));
    assert_string_equal(r.run_uid, "abcd2");
    assert_string_equal(r.label, "");
    store_close(s);
    arena_free(&a);
}

/* Digests depend on what was measured: not on ids, order or latency; any other change shows. */
static void digests(void **state) {
    char decisions[3][65], results[3][65];
    for (int k = 0; k < 3; k++) {
        char name[16], path[256];
        fixture_ids id;
        store *s;
        snprintf(name, sizeof name, "d%d.db", k);
        ok(store_open(in_scratch(state, name, path), STORE_WRITE, &s, &err));
        if (k == 1) {
            put_model(s, "something else"); /* other ids */
        }
        put_parents(s, &id);
        int64_t run = put_run(s, &id, "one", "");
        ok(store_run_digests(s, run, decisions[k], results[k], &err));
        assert_string_equal(decisions[k], "");
        for (int64_t j = 0; j < 2; j++) {
            int64_t shard = k == 1 ? 1 - j : j;
            int64_t item = put_item(s, &id, run, "cnn", shard, 10);
            for (int64_t i = 0; i < 10; i++) {
                float logits[10];
                observation o = example_row(10 * shard + (k == 1 ? 9 - i : i), 7, logits);
                o.latency_ns += k;
                o.score += k == 2 && o.i_example == 13 ? 1e-9 : 0;
                ok(store_append(s, item, &id.clean, &o, 1, &err));
            }
            ok(store_run_digests(s, run, decisions[k], results[k], &err));
            assert_string_equal(results[k], ""); /* an unfinished item */
            end_item(s, &id, item, OUTCOME_OK, NULL);
        }
        ok(store_run_digests(s, run, decisions[k], results[k], &err));
        store_close(s);
    }
    assert_int_equal(strlen(decisions[0]), 64);
    assert_string_equal(decisions[0], decisions[1]);
    assert_string_equal(results[0], results[1]);
    assert_string_equal(decisions[0], decisions[2]);
    assert_string_not_equal(results[0], results[2]);
}

/* Two names of one content are two datasets; the same name again is the same one. */
static void datasets_of_one_content(void **state) {
    fixture_ids id;
    char h[DIGEST_HEX];
    int64_t again = 0, other_name = 0, other_split = 0;
    store *s = open_new(state, &id);
    store_dataset d = {.sha256 = hash("dataset", h), .name = "digits", .split = "test", .n = 1000, .json = "{}"};
    ok(store_put_dataset(s, &d, &again, &err));
    assert_int_equal(again, id.dataset);
    d.name = "numerals";
    ok(store_put_dataset(s, &d, &other_name, &err));
    d.split = "valid";
    ok(store_put_dataset(s, &d, &other_split, &err));
    assert_int_not_equal(other_name, id.dataset);
    assert_int_not_equal(other_split, other_name);
    d.sha256 = "";
    refuses(store_put_dataset(s, &d, &again, &err), STATUS_INTERNAL, "natural key");
    store_close(s);
}

/* The layout of docs/STORE.md, as an independent program understands it (tests/golden/store/make_digests.py). */
static void digests_follow_the_documentation(void **state) {
    fixture_ids id;
    store *s = open_new(state, &id);
    char decisions[65], results[65], path[1024], *golden;
    int64_t run = put_run(s, &id, "one", "");
    for (int64_t shard = 0; shard < 3; shard++) {
        int64_t item = put_item(s, &id, run, "cnn", shard, 10);
        append_examples(s, item, id.clean, 10 * shard, 10, 7, true);
        end_item(s, &id, item, OUTCOME_OK, NULL);
    }
    ok(store_run_digests(s, run, decisions, results, &err));
    const char *root = getenv("ASSAY_SOURCE_DIR");
    size_t n;
    snprintf(path, sizeof path, "%s/tests/golden/store/digests.txt", root != NULL ? root : ".");
    ok(io_read_file(path, 4096, &golden, &n, &err));
    assert_int_equal(n, 130);
    assert_memory_equal(golden, decisions, 64);
    assert_memory_equal(golden + 65, results, 64);
    mem_free(golden);
    store_close(s);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        T(parents_are_idempotent),
        T(observations_come_back),
        T(missing_values_are_null_with_flags),
        T(unfinished_items_resume),
        T(conditions_and_repeats),
        T(models_and_single_items),
        T(only_judged_outcomes_are_loaded),
        T(metrics_come_back),
        T(runs_are_found),
        T(ambiguous_prefix_is_refused),
        T(digests),
        T(digests_follow_the_documentation),
        T(datasets_of_one_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
