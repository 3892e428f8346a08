/* SPDX-License-Identifier: Apache-2.0
 * docs/STORE.md: its five queries run and return rows, and every column of every table and view is described. */
#include "base/io.h"
#include "store_fixture.h"

/* Three models over two shards, so that every query has something to find. */
static void make_store(const char *path) {
    static const char *const model[] = {"a", "b", "c"};
    store *s;
    fixture_ids id;
    ok(store_open(path, STORE_WRITE, &s, &err));
    put_parents(s, &id);
    int64_t run = put_run(s, &id, "one", "nightly");
    for (int m = 0; m < 3; m++) {
        for (int64_t shard = 0; shard < 2; shard++) {
            int64_t item = put_item(s, &id, run, model[m], shard, 50);
            append_examples(s, item, id.clean, 50 * shard, 50, 5 + m, false);
            end_item(s, &id, item, OUTCOME_OK, NULL);
        }
        store_metric p = {.run_id = run,
                          .model_name = model[m],
                          .dataset = "digits",
                          .suite = "accuracy",
                          .metric_id = "accuracy",
                          .metric_version = 1,
                          .name = "top1",
                          .value = 0.5 + 0.1 * m,
                          .lo = 0.4,
                          .hi = 0.9,
                          .level = 0.95,
                          .n = 100,
                          .better = "higher"};
        ok(store_metric_put(s, &p, &err));
    }
    ok(store_run_event(s, run, "info", "test", "hello", &err));
    ok(store_run_end(s, run, "done", "aa", "bb", "sse", &err));
    store_close(s);
}

static char *read_docs(void) {
    const char *root = getenv("ASSAY_SOURCE_DIR");
    char path[1024];
    char *text;
    size_t n;
    snprintf(path, sizeof path, "%s/docs/STORE.md", root != NULL ? root : ".");
    ok(io_read_file(path, 1 << 20, &text, &n, &err));
    return text;
}

static sqlite3 *open_reader(void **state) {
    char path[256];
    sqlite3 *db;
    make_store(in_scratch(state, "a.db", path));
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    return db;
}

static int count_rows(sqlite3 *db, const char *sql, size_t n) {
    sqlite3_stmt *q;
    int rows = 0, rc;
    if (sqlite3_prepare_v2(db, sql, (int)n, &q, NULL) != SQLITE_OK) {
        fail_msg("%s: %.*s", sqlite3_errmsg(db), (int)n, sql);
    }
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        rows++;
    }
    assert_int_equal(rc, SQLITE_DONE);
    sqlite3_finalize(q);
    return rows;
}

static int count_all(sqlite3 *db, const char *sql) {
    return count_rows(db, sql, strlen(sql));
}

static void queries_return_rows(void **state) {
    sqlite3 *db = open_reader(state);
    char *docs = read_docs();
    int n = 0;
    for (const char *p = strstr(docs, "```sql\n"); p != NULL; p = strstr(p, "```sql\n")) {
        p += strlen("```sql\n");
        const char *end = strstr(p, "```");
        assert_non_null(end);
        if (count_rows(db, p, (size_t)(end - p)) == 0) {
            fail_msg("no rows: %.*s", (int)(end - p), p);
        }
        n++;
        p = end;
    }
    assert_int_equal(n, 5);
    mem_free(docs);
    sqlite3_close(db);
}

static void flips_and_ranks_are_right(void **state) {
    sqlite3 *db = open_reader(state);
    /* a has 50 of 100 right, c has 70: all that a has right, c has too */
    assert_int_equal(count_all(db, "SELECT * FROM v_flips WHERE base_model = 'c' AND cand_model = 'a'"), 20);
    assert_int_equal(count_all(db, "SELECT * FROM v_flips WHERE base_model = 'a' AND cand_model = 'c'"), 0);
    assert_int_equal(count_all(db, "SELECT * FROM v_leaderboard WHERE rank = 1 AND model = 'c'"), 1);
    assert_int_equal(count_all(db, "SELECT * FROM v_outcome WHERE n = 6 AND outcome = 'OK'"), 1);
    assert_int_equal(count_all(db, "SELECT * FROM v_outcome WHERE n = 0"), 6);
    assert_int_equal(count_all(db, "SELECT * FROM v_run WHERE n_items = 6 AND n_ok = 6 AND n_reused = 0"), 1);
    assert_int_equal(count_all(db, "SELECT * FROM v_observation WHERE correct"), 180);
    sqlite3_close(db);
}

/* The section of a table or view: from its heading to the next. */
static char *section_of(const char *docs, const char *name) {
    char heading[200];
    snprintf(heading, sizeof heading, "\n### `%s`\n", name);
    const char *start = strstr(docs, heading);
    if (start == NULL) {
        fail_msg("docs/STORE.md has no section \"%s\"", name);
        return NULL; /* fail_msg does not come back, but analysers do not know */
    }
    const char *body = start + strlen(heading);
    const char *end = strstr(body, "\n##");
    return end != NULL ? strndup(body, (size_t)(end - body)) : strdup(body);
}

static void every_column_is_described(void **state) {
    sqlite3 *db = open_reader(state);
    sqlite3_stmt *q;
    char *docs = read_docs();
    int n = 0;
    const char *sql = "SELECT s.name, c.name FROM sqlite_schema s, pragma_table_xinfo(s.name) c"
                      " WHERE s.type IN ('table', 'view') AND s.name NOT LIKE 'sqlite%'";
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
    while (sqlite3_step(q) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(q, 0), *column = (const char *)sqlite3_column_text(q, 1);
        char row[200];
        char *section = section_of(docs, name);
        snprintf(row, sizeof row, "| `%s` | ", column);
        if (strstr(section, row) == NULL) {
            fail_msg("docs/STORE.md does not describe %s.%s", name, column);
        }
        free(section);
        n++;
    }
    assert_true(n > 150);
    sqlite3_finalize(q);
    mem_free(docs);
    sqlite3_close(db);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {T(queries_return_rows), T(flips_and_ranks_are_right),
                                       T(every_column_is_described)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
