/* link: assay_store PkgConfig::SQLITE
 * SPDX-License-Identifier: Apache-2.0
 * What the store costs: store_append (and the item's digests) against a bare loop over one prepared statement into
 * the same table with the same durability (WAL, synchronous=FULL, a commit per 1,000 rows), alternating in one run.
 * The issue asks for >= 0.7x with logits off. Usage: bench_store [rows] [repeats] [directory] */
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "store/store.h"

enum { N_CLASSES = 10, CHUNK = 32, BATCH = 1000, ITEM = 1024, MAX_REPEATS = 99 };

typedef enum way { BARE, BARE_CHECKED, APPEND, APPEND_END, APPEND_LOGITS, APPEND_LOGITS_END, N_WAYS } way;
static const char *const way_name[N_WAYS] = {
    "bare loop, plain INSERT",      "bare loop, ON CONFLICT DO NOTHING",
    "store_append, logits off",     "store_append + item_end (digests), logits off",
    "store_append, 10 logits each", "store_append + item_end (digests), 10 logits each",
};

static void must(status st, const error *err) {
    if (st != STATUS_OK) {
        fprintf(stderr, "bench_store: %s\n", err->text);
        exit(status_exit_code(st));
    }
}

static void must_sql(sqlite3 *db, int rc, int wanted) {
    if (rc != wanted) {
        fprintf(stderr, "bench_store: %s\n", sqlite3_errmsg(db));
        exit(6);
    }
}

/* A store with one condition and the items that n_rows rows need. */
static store *prepare(const char *path, int64_t n_rows, int64_t *condition, int64_t *host) {
    store *s;
    error err;
    int64_t run, build, plugin, model, dataset, suite;
    (void)unlink(path);
    must(store_open(path, STORE_WRITE, &s, &err), &err);
    must(store_put_build(s, &(store_build){.sha256 = "b"}, &build, &err), &err);
    must(store_put_host(s, &(store_host){.hw_sha256 = "h"}, host, &err), &err);
    must(store_put_plugin(s, &(store_plugin){.so_sha256 = "p"}, &plugin, &err), &err);
    must(store_put_model(s, &(store_model){.key_sha256 = "m"}, &model, &err), &err);
    must(store_put_dataset(s, &(store_dataset){.sha256 = "d"}, &dataset, &err), &err);
    must(store_put_suite(s, &(store_suite){.spec_sha256 = "s"}, &suite, &err), &err);
    must(store_put_condition(s, &(store_condition){.key = "clean", .kind = "clean", .severity = NAN}, condition, &err),
         &err);
    store_run_spec spec = {.run_uid = "r", .build_id = build, .host_id = *host};
    must(store_run_begin(s, &spec, &run, &err), &err);
    for (int64_t i = 0; i * ITEM < n_rows; i++) {
        char key[32];
        int64_t item;
        int64_t n = n_rows - i * ITEM < ITEM ? n_rows - i * ITEM : ITEM;
        snprintf(key, sizeof key, "item%lld", (long long)i);
        store_item_spec p = {.item_key = key,
                             .model_id = model,
                             .plugin_id = plugin,
                             .suite_id = suite,
                             .dataset_id = dataset,
                             .i_shard = i,
                             .i_first = i * ITEM,
                             .n_expected = n};
        must(store_item_put(s, &p, &item, &err), &err);
        must(store_run_item(s, run, item, "m", false, &err), &err);
    }
    must(store_flush(s, &err), &err);
    return s;
}

static observation row_of(int64_t i) {
    return (observation){.i_example = i,
                         .label = (int32_t)(i % 10),
                         .pred = (int32_t)(i % 7),
                         .latency_ns = -1,
                         .score = 1.0 / (double)(i + 1)};
}

static void bare_settings(sqlite3 *db) {
    must_sql(db, sqlite3_exec(db, "PRAGMA foreign_keys=ON; PRAGMA synchronous=FULL", NULL, NULL, NULL), SQLITE_OK);
}

/* The loop that anybody would write. */
static int64_t run_bare(const char *path, int64_t n_rows, int64_t condition, bool checked) {
    sqlite3 *db;
    sqlite3_stmt *q;
    must_sql(NULL, sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL), SQLITE_OK);
    bare_settings(db);
    const char *sql = checked
                          ? "INSERT INTO observation(item_id, condition_id, i_example, i_repeat, label, pred, score,"
                            " latency_ns, flags) VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"
                          : "INSERT INTO observation(item_id, condition_id, i_example, i_repeat, label, pred, score,"
                            " latency_ns, flags) VALUES (?,?,?,?,?,?,?,?,?)";
    must_sql(db, sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
    int64_t start = clock_ns();
    for (int64_t i = 0; i < n_rows; i++) {
        if (i % BATCH == 0) {
            must_sql(db, sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
        }
        observation o = row_of(i);
        sqlite3_bind_int64(q, 1, 1 + i / ITEM);
        sqlite3_bind_int64(q, 2, condition);
        sqlite3_bind_int64(q, 3, o.i_example);
        sqlite3_bind_int(q, 4, o.i_repeat);
        sqlite3_bind_int(q, 5, o.label);
        sqlite3_bind_int(q, 6, o.pred);
        sqlite3_bind_double(q, 7, o.score);
        sqlite3_bind_null(q, 8);
        sqlite3_bind_int64(q, 9, o.flags);
        must_sql(db, sqlite3_step(q), SQLITE_DONE);
        sqlite3_reset(q);
        if (i % BATCH == BATCH - 1 || i == n_rows - 1) {
            must_sql(db, sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
        }
    }
    int64_t took = clock_ns() - start;
    sqlite3_finalize(q);
    sqlite3_close(db);
    return took;
}

/* As the supervisor calls it: a tile of rows at a time, an item's end after each shard. */
static int64_t run_store(store *s, int64_t n_rows, int64_t condition, int64_t host, way w) {
    bool ends = w == APPEND_END || w == APPEND_LOGITS_END, with_logits = w >= APPEND_LOGITS;
    error err;
    observation rows[CHUNK];
    float logits[CHUNK][N_CLASSES] = {{0}};
    store_attempt attempt = {.host_id = host};
    int64_t start = clock_ns();
    for (int64_t i = 0; i < n_rows; i += CHUNK) {
        int64_t n = n_rows - i < CHUNK ? n_rows - i : CHUNK;
        for (int64_t k = 0; k < n; k++) {
            rows[k] = row_of(i + k);
            rows[k].logits = with_logits ? logits[k] : NULL;
            rows[k].n_logits = with_logits ? N_CLASSES : 0;
        }
        must(store_append(s, 1 + i / ITEM, &condition, rows, (size_t)n, &err), &err);
        if (ends && ((i + n) % ITEM == 0 || i + n == n_rows)) {
            must(store_item_end(s, 1 + i / ITEM, OUTCOME_OK, NULL, &attempt, &err), &err);
        }
    }
    must(store_flush(s, &err), &err);
    return clock_ns() - start;
}

static int64_t run_way(const char *path, int64_t n_rows, way w) {
    int64_t condition, host, took;
    store *s = prepare(path, n_rows, &condition, &host);
    if (w == BARE || w == BARE_CHECKED) {
        store_close(s);
        return run_bare(path, n_rows, condition, w == BARE_CHECKED);
    }
    took = run_store(s, n_rows, condition, host, w);
    store_close(s);
    return took;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
    int64_t n_rows = 200000, n_repeats = 5;
    bool numbers = (argc < 2 || str_to_i64(argv[1], &n_rows)) && (argc < 3 || str_to_i64(argv[2], &n_repeats));
    int repeats = n_repeats > MAX_REPEATS ? 0 : (int)n_repeats;
    static int64_t took[N_WAYS][MAX_REPEATS];
    char dir[256];
    char path[300];
    snprintf(dir, sizeof dir, "%.200s/bench-store-XXXXXX", argc > 3 ? argv[3] : "/tmp");
    if (!numbers || n_rows < 1 || repeats < 1 || mkdtemp(dir) == NULL) {
        fprintf(stderr, "usage: bench_store [rows >= 1] [repeats 1..99] [directory]\n");
        return 2;
    }
    snprintf(path, sizeof path, "%s/bench.db", dir);
    for (int r = 0; r < repeats; r++) {
        for (int w = 0; w < N_WAYS; w++) {
            took[w][r] = run_way(path, n_rows, (way)w);
        }
    }
    (void)unlink(path);
    (void)rmdir(dir);
    printf("store: %lld rows, commit per %d rows, median of %d\n", (long long)n_rows, BATCH, repeats);
    for (int w = 0; w < N_WAYS; w++) { /* ratios within a round: the machine's mood is the same for both */
        double ratio[MAX_REPEATS], seconds[MAX_REPEATS];
        for (int r = 0; r < repeats; r++) {
            ratio[r] = (double)took[BARE][r] / (double)took[w][r];
            seconds[r] = (double)took[w][r] / 1e9;
        }
        qsort(ratio, (size_t)repeats, sizeof ratio[0], ascending);
        qsort(seconds, (size_t)repeats, sizeof seconds[0], ascending);
        printf("  %-50s %9.0f rows/s  %5.2fx\n", way_name[w], (double)n_rows / seconds[repeats / 2],
               ratio[repeats / 2]);
    }
    return 0;
}
