/* SPDX-License-Identifier: Apache-2.0
 * `assay db`: check finds what was changed, export escapes, backup copies, prune deletes what nobody refers to; and
 * no query of the judge scans all observations. */
#include <fcntl.h>
#include <jansson.h>

#include "store_fixture.h"

static const char hostile[] = "<script>alert('x')</script>\"; DROP TABLE run; --\x01\x1b[31m\xff,\nline";

/* Two runs: the older has models a and b, the newer b and c; b's item is shared. */
static store *make_store(const char *path, fixture_ids *id, int64_t run[2]) {
    store *s;
    ok(store_open(path, STORE_WRITE, &s, &err));
    put_parents(s, id);
    const char *models[2][2] = {{"a", "b"}, {"b", "c"}};
    for (int r = 0; r < 2; r++) {
        run[r] = put_run(s, id, r == 0 ? "old" : "new", hostile);
        for (int k = 0; k < 2; k++) {
            int64_t item = put_item(s, id, run[r], models[r][k], 0, 100);
            append_examples(s, item, id->clean, 0, 100, 5 + k, true);
            end_item(s, id, item, OUTCOME_OK, NULL);
            ok(store_run_item(s, run[r], item, models[r][k], r == 1 && k == 0, &err));
            ok(store_run_model(s, run[r], models[r][k], k == 0 ? "" : models[r][0], &err));
        }
        ok(store_run_event(s, run[r], "info", "test", "=1+1", &err));
        store_metric m = {.run_id = run[r],
                          .model_name = "b",
                          .dataset = "digits",
                          .suite = "accuracy",
                          .metric_id = "accuracy",
                          .name = "top1",
                          .value = 0.6,
                          .lo = -0.5,
                          .hi = INFINITY,
                          .level = 0.95,
                          .n = 100,
                          .better = "higher"};
        ok(store_metric_put(s, &m, &err));
    }
    ok(store_flush(s, &err));
    return s;
}

typedef struct lines {
    size_t n;
    char text[4000];
} lines;

static void gather(void *context, const char *line) {
    lines *l = context;
    l->n++;
    strncat(l->text, line, sizeof l->text - strlen(l->text) - 2);
    strncat(l->text, "\n", sizeof l->text - strlen(l->text) - 1);
}

static void check_finds_changes(void **state) {
    static const struct {
        const char *sql, *says;
    } change[] = {
        {"SELECT 1", "ok"},
        {"UPDATE observation SET pred = pred + 1 WHERE i_example = 3 AND item_id = 2", "decisions were changed"},
        {"UPDATE observation SET score = 0.25 WHERE i_example = 3 AND item_id = 2", "scores or vectors were changed"},
        {"UPDATE observation_vec SET blob = zeroblob(40) WHERE i_example = 3", "scores or vectors were changed"},
        {"DELETE FROM observation WHERE i_example = 3 AND item_id = 1", "vectors without their observation"},
        {"DELETE FROM plugin", "reference: a row of item refers to a row of plugin"},
        {"UPDATE item SET outcome = 'SKIPPED'", "decisions were changed"},
        {"UPDATE observation SET latency_ns = 5", "ok"}, /* not part of the digests */
    };
    for (size_t i = 0; i < sizeof change / sizeof change[0]; i++) {
        char path[256], name[16];
        fixture_ids id;
        int64_t run[2];
        snprintf(name, sizeof name, "c%zu.db", i);
        store_close(make_store(in_scratch(state, name, path), &id, run));
        tamper(path, change[i].sql);
        store *s;
        lines l = {0};
        ok(store_open(path, STORE_READ, &s, &err));
        error err;
        status st = store_check(s, gather, &l, &err);
        bool fine = strcmp(change[i].says, "ok") == 0;
        if (st != (fine ? STATUS_OK : STATUS_IO) || strstr(l.text, change[i].says) == NULL) {
            fail_msg("%s: %s: %s\n%s", change[i].sql, status_name(st), st != STATUS_OK ? err.text : "", l.text);
        }
        store_close(s);
    }
}

/* The whole export as text. */
static char *export(store *s, const char *name, const char *format, void **state, size_t *n) {
    char path[256];
    int fd = open(in_scratch(state, "export", path), O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    ok(store_export(s, name, format, fd, &err));
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = calloc(1, (size_t)size + 1);
    *n = (size_t)pread(fd, text, (size_t)size, 0);
    assert_int_equal(*n, size);
    close(fd);
    return text;
}

static void exports_escape(void **state) {
    char path[256];
    fixture_ids id;
    int64_t run[2];
    size_t n;
    store *s = make_store(in_scratch(state, "a.db", path), &id, run);
    char *csv = export(s, "run_event", "csv", state, &n);
    assert_non_null(strstr(csv, "run_id,seq,t_ns,level,kind,msg,json\r\n"));
    assert_non_null(strstr(csv, ",info,test,'=1+1,\r\n"));
    free(csv);
    csv = export(s, "v_metric", "csv", state, &n);
    assert_non_null(strstr(csv, ",0.6,-0.5,inf,0.95,100,")); /* a negative number is no formula */
    free(csv);
    csv = export(s, "run", "csv", state, &n);
    assert_non_null(strstr(csv, ",\"<script>alert('x')</script>\"\"; DROP TABLE run; --"));
    free(csv);
    char *text = export(s, "v_run", "json", state, &n);
    assert_null(strchr(text, '<'));
    json_t *json = json_loadb(text, n, 0, NULL);
    assert_non_null(json);
    assert_int_equal(json_array_size(json), 2);
    const char *label = json_string_value(json_object_get(json_array_get(json, 0), "label"));
    assert_non_null(strstr(label, "\x01\x1b[31m\xef\xbf\xbd,\nline"));
    json_decref(json);
    free(text);
    text = export(s, "v_metric", "json", state, &n);
    json = json_loadb(text, n, 0, NULL);
    assert_true(json_is_null(json_object_get(json_array_get(json, 0), "hi")));
    json_decref(json);
    free(text);
    refuses(store_export(s, "v_runs", "csv", 1, &err), STATUS_USAGE, "did you mean v_run?");
    refuses(store_export(s, "run\" UNION SELECT 1 --", "csv", 1, &err), STATUS_USAGE, "there is no table or view");
    refuses(store_export(s, "sqlite_schema", "csv", 1, &err), STATUS_USAGE, "there is no table or view");
    refuses(store_export(s, "run", "xml", 1, &err), STATUS_USAGE, "\"csv\" or \"json\"");
    store_close(s);
}

static const char *const public_names[] = {
    "build",         "host",     "model",           "plugin",       "dataset",   "suite",         "condition", "run",
    "run_event",     "item",     "run_item",        "item_attempt", "metric",    "observation",   "v_run",     "v_item",
    "v_observation", "v_metric", "observation_vec", "v_flips",      "v_outcome", "v_leaderboard", "run_model",
};

static void everything_exports(void **state) {
    char path[256];
    fixture_ids id;
    int64_t run[2];
    store *s = make_store(in_scratch(state, "a.db", path), &id, run);
    for (size_t i = 0; i < sizeof public_names / sizeof public_names[0]; i++) {
        size_t n;
        char *text = export(s, public_names[i], "json", state, &n);
        json_t *json = json_loadb(text, n, 0, NULL);
        if (json == NULL || json_array_size(json) == 0) {
            fail_msg("%s: no rows", public_names[i]);
        }
        json_decref(json);
        free(text);
        free(export(s, public_names[i], "csv", state, &n));
    }
    store_close(s);
}

static void hostile_names_come_back(void **state) {
    char path[256];
    fixture_ids id;
    int64_t run[2];
    arena a = {0};
    store *s = make_store(in_scratch(state, "a.db", path), &id, run);
    int64_t item = put_item(s, &id, run[0], hostile, 7, 10);
    append_examples(s, item, id.clean, 70, 10, 5, false);
    end_item(s, &id, item, OUTCOME_FAILED, hostile);
    store_run_row r;
    ok(store_run_get(s, hostile, &a, &r, &err));
    assert_int_equal(r.run_id, run[1]); /* the newest with that label */
    assert_string_equal(r.label, hostile);
    store_group *g;
    size_t n;
    ok(store_groups(s, run[0], &a, &g, &n, &err));
    assert_int_equal(n, 3);
    assert_string_equal(g[0].model_name, hostile);
    store_close(s);
    arena_free(&a);
}

static void backup_is_complete_and_repeatable(void **state) {
    char path[256], copy[2][256];
    fixture_ids id;
    int64_t run[2];
    digest_value d[2];
    store *s = make_store(in_scratch(state, "a.db", path), &id, run);
    for (int i = 0; i < 2; i++) {
        in_scratch(state, i == 0 ? "c1.db" : "c'2.db", copy[i]);
        ok(store_backup(s, copy[i], &err));
        ok(digest_file(copy[i], &d[i], NULL, &err));
    }
    assert_true(digest_equal(&d[0], &d[1]));
    refuses(store_backup(s, copy[0], &err), STATUS_IO, "exists already");
    refuses(store_backup(s, "/nonexistent/x.db", &err), STATUS_IO, "/nonexistent/x.db");
    store_close(s);
    ok(store_open(copy[0], STORE_READ, &s, &err));
    ok(store_check(s, NULL, NULL, &err));
    store_close(s);
}

static void prune_keeps_what_is_shared(void **state) {
    char path[256];
    fixture_ids id;
    int64_t run[2], n_runs, n_items, n_rows;
    store *s = make_store(in_scratch(state, "a.db", path), &id, run);
    refuses(store_prune(s, -1, NULL, 0, true, &n_runs, &n_items, &n_rows, &err), STATUS_USAGE, "how many to keep");
    int64_t unknown = 99;
    refuses(store_prune(s, 0, &unknown, 1, false, &n_runs, &n_items, &n_rows, &err), STATUS_USAGE, "no run 99");
    ok(store_prune(s, 1, NULL, 0, true, &n_runs, &n_items, &n_rows, &err));
    assert_int_equal(n_runs, 1);
    assert_int_equal(n_items, 1);
    assert_int_equal(n_rows, 100);
    assert_int_equal(peek(path, "SELECT count(*) FROM observation"), 300);
    ok(store_prune(s, 0, &run[0], 1, false, &n_runs, &n_items, &n_rows, &err));
    assert_int_equal(n_items, 1);
    assert_int_equal(peek(path, "SELECT count(*) FROM observation"), 200);
    assert_int_equal(peek(path, "SELECT count(*) FROM run"), 1);
    assert_int_equal(peek(path, "SELECT count(*) FROM metric"), 1);
    assert_int_equal(peek(path, "SELECT count(*) FROM item"), 2);
    ok(store_check(s, NULL, NULL, &err));
    ok(store_prune(s, 0, NULL, 0, false, &n_runs, &n_items, &n_rows, &err));
    assert_int_equal(n_rows, 200);
    assert_int_equal(peek(path, "SELECT count(*) FROM observation_vec"), 0);
    ok(store_prune(s, 0, NULL, 0, false, &n_runs, &n_items, &n_rows, &err));
    assert_int_equal(n_runs, 0);
    assert_string_equal(store_warning(s), "");
    store_close(s);
}

/* SQLite's own account of the plan: observation is searched by its key, never scanned. */
static void views_use_the_index(void **state) {
    static const char *const sql[] = {
        "SELECT * FROM v_observation WHERE run_id = 1 AND model = 'a'",
        "SELECT * FROM v_flips WHERE run_id = 1 AND base_model = 'a' AND cand_model = 'b'",
        "SELECT i_example, label, pred, score, flags FROM observation WHERE item_id = 1 AND condition_id = 1"
        " ORDER BY i_example, i_repeat",
        "SELECT o.i_example, v.blob FROM observation o JOIN observation_vec v ON v.item_id = o.item_id AND"
        " v.condition_id = o.condition_id AND v.i_example = o.i_example AND v.i_repeat = o.i_repeat AND"
        " v.kind = 'logits' WHERE o.item_id = 1 AND o.condition_id = 1 ORDER BY o.i_example, o.i_repeat",
    };
    char path[256], explain[1000];
    fixture_ids id;
    int64_t run[2];
    sqlite3 *db;
    store_close(make_store(in_scratch(state, "a.db", path), &id, run));
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    for (size_t i = 0; i < sizeof sql / sizeof sql[0]; i++) {
        sqlite3_stmt *q;
        int n = 0;
        snprintf(explain, sizeof explain, "EXPLAIN QUERY PLAN %s", sql[i]);
        assert_int_equal(sqlite3_prepare_v2(db, explain, -1, &q, NULL), SQLITE_OK);
        while (sqlite3_step(q) == SQLITE_ROW) {
            const char *step = (const char *)sqlite3_column_text(q, 3);
            n++;
            if (strncmp(step, "SCAN o", 6) == 0 || strncmp(step, "SCAN v", 6) == 0 ||
                strncmp(step, "USE TEMP", 8) == 0) {
                fail_msg("%s: %s", sql[i], step);
            }
        }
        assert_true(n > 0);
        sqlite3_finalize(q);
    }
    sqlite3_close(db);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        T(check_finds_changes),
        T(exports_escape),
        T(everything_exports),
        T(hostile_names_come_back),
        T(backup_is_complete_and_repeatable),
        T(prune_keeps_what_is_shared),
        T(views_use_the_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
